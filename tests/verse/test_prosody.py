"""Tone patterns and the checker, on Tang poems in the public domain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ConfigError
from recsys.verse.prosody import PATTERNS, check, patterns
from recsys.verse.tones import ToneTable

REGULAR = {
    "登鸛雀樓": ("5-jueju", "尤", "白日依山盡 黃河入海流 欲窮千里目 更上一層樓"),
    "相思": ("5-jueju", "支", "紅豆生南國 春來發幾枝 願君多采擷 此物最相思"),
    "早發白帝城": (
        "7-jueju",
        "刪",
        "朝辭白帝彩雲間 千里江陵一日還 兩岸猿聲啼不住 輕舟已過萬重山",
    ),
    "楓橋夜泊": (
        "7-jueju",
        "先",
        "月落烏啼霜滿天 江楓漁火對愁眠 姑蘇城外寒山寺 夜半鐘聲到客船",
    ),
    "春望": (
        "5-lvshi",
        "侵",
        "國破山河在 城春草木深 感時花濺淚 恨別鳥驚心 烽火連三月 家書抵萬金 白頭搔更短 渾欲不勝簪",
    ),
    "山居秋暝": (
        "5-lvshi",
        "尤",
        "空山新雨後 天氣晚來秋 明月松間照 清泉石上流 竹喧歸浣女 蓮動下漁舟 隨意春芳歇 王孫自可留",
    ),
    "登高": (
        "7-lvshi",
        "灰",
        "風急天高猿嘯哀 渚清沙白鳥飛迴 無邊落木蕭蕭下 不盡長江滾滾來 "
        "萬里悲秋常作客 百年多病獨登臺 艱難苦恨繁霜鬢 潦倒新停濁酒杯",
    ),
    "聞官軍收河南河北": (
        "7-lvshi",
        "陽",
        "劍外忽傳收薊北 初聞涕淚滿衣裳 卻看妻子愁何在 漫卷詩書喜欲狂 "
        "白日放歌須縱酒 青春作伴好還鄉 即從巴峽穿巫峽 便下襄陽向洛陽",
    ),
    "登鸛雀樓, its second half": ("couplet-5", "尤", "欲窮千里目 更上一層樓"),
    "登高, its second couplet": ("couplet-7", "灰", "無邊落木蕭蕭下 不盡長江滾滾來"),
}

IRREGULAR = {
    "靜夜思": ("5-jueju", "床前明月光 疑是地上霜 舉頭望明月 低頭思故鄉", "character 4"),
    "春曉": ("5-jueju", "春眠不覺曉 處處聞啼鳥 夜來風雨聲 花落知多少", "the rhyme is broken"),
    "江雪": ("5-jueju", "千山鳥飛絕 萬徑人蹤滅 孤舟簑笠翁 獨釣寒江雪", "the rhyme is broken"),
    "黃鶴樓": (
        "7-lvshi",
        "昔人已乘黃鶴去 此地空餘黃鶴樓 黃鶴一去不復返 白雲千載空悠悠 "
        "晴川歷歷漢陽樹 芳草萋萋鸚鵡洲 日暮鄉關何處是 煙波江上使人愁",
        "line 3, character",
    ),
}

# 送杜少府之任蜀州; its seventh line has 平平仄平仄 for 平平平仄仄
PARTING = "城闕輔三秦 風煙望五津 與君離別意 同是宦遊人 海內存知己 天涯若比鄰 無爲在歧路 兒女共霑巾"

TOWER = REGULAR["登鸛雀樓"][2].split()

PLAIN = ToneTable({"東": frozenset({"東"})}, {"月": frozenset({"月"})})
SPELLED = {"平": "東", "仄": "月"}


@pytest.mark.parametrize("title", REGULAR)
def test_famous_regular_poems_pass(table, title):
    form, rhyme, text = REGULAR[title]
    verdict = check(text.split(), form, table)
    assert (verdict.faults, verdict.ok) == ((), True)
    assert verdict.rhyme == rhyme
    assert verdict.unknown == ()


@pytest.mark.parametrize("title", IRREGULAR)
def test_famous_irregular_poems_fail_and_are_told_why(table, title):
    form, text, fault = IRREGULAR[title]
    verdict = check(text.split(), form, table)
    assert not verdict.ok
    assert any(fault in each for each in verdict.faults)


def test_marks_ambiguous_places_and_pattern_are_those_of_a_known_poem(table):
    verdict = check(TOWER, "5-jueju", table)
    assert verdict.marks == ("仄仄平平仄", "平平仄仄平", "仄平平仄仄", "兩仄仄平平")
    assert verdict.ambiguous == ((3, 0),)
    assert (verdict.pattern.start, verdict.pattern.first_rhymes) == ("oblique", False)
    assert verdict.pattern.rhyme_lines == (1, 3)


def test_a_line_of_the_poets_licence_passes_and_is_named(table):
    verdict = check(PARTING.split(), "5-lvshi", table)
    assert verdict.ok
    assert verdict.licensed == (6,)


def test_a_rescued_first_character_passes_and_an_unrescued_one_does_not():
    second = {"平平仄仄平": True, "仄平平仄平": True, "仄平仄仄平": False}
    for line, passes in second.items():
        poem = _spell(("仄仄平平仄", line))
        assert check(poem, "couplet-5", PLAIN).ok is passes


@pytest.mark.parametrize("lines", [("平平仄仄平", "仄仄平平平"), ("平平仄仄仄", "仄仄仄平平")])
def test_three_level_or_three_oblique_at_an_end_fail(lines):
    assert not check(_spell(lines), "couplet-5", PLAIN).ok


@pytest.mark.parametrize(
    ("at", "line", "fault"),
    [
        (0, "白日月山盡", None),  # a free place
        (1, "黃河入山流", "line 2, character 4 (山) is level; expected oblique"),
        (2, "欲月千里目", "line 3, character 2 (月) is oblique; expected level"),
        (3, "更上一層x", "line 4, character 5 (x) is in no rhyme table; expected level"),
    ],
)
def test_a_single_wrong_character_is_named(table, at, line, fault):
    poem = [*TOWER[:at], line, *TOWER[at + 1 :]]
    faults = check(poem, "5-jueju", table).faults
    assert (fault in faults) if fault else (faults == ())


def test_a_broken_rhyme_names_lines_characters_and_groups(table):
    verdict = check([*TOWER[:3], "更上一層山"], "5-jueju", table)
    assert verdict.rhyme is None
    assert verdict.faults == (
        "the rhyme is broken: line 2 流 (尤), line 4 山 (刪); "
        "expected one level rhyme group in common",
    )


def test_lost_sticking_fails(table):
    """The second couplet repeats the tones of the first."""
    assert not check([*TOWER[:2], *TOWER[:2]], "5-jueju", table).ok


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (TOWER[:3], "5-jueju has 4 lines; found 3"),
        ([], "5-jueju has 4 lines; found 0"),
        ([*TOWER[:3], "更上一層"], "line 4 (更上一層) has 4 characters; expected 5"),
        ([*TOWER[:3], ""], "line 4 () has 0 characters; expected 5"),
    ],
)
def test_a_wrong_shape_is_a_fault(table, lines, fault):
    verdict = check(lines, "5-jueju", table)
    assert not verdict.ok
    assert fault in verdict.faults


def test_an_unknown_form_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'haiku'.*5-jueju, 7-jueju"):
        patterns("haiku")


@pytest.mark.parametrize("form", PATTERNS)
def test_patterns_oppose_within_couplets_and_stick_between_them(form):
    for pattern in patterns(form):
        places = (1, 3) if form.endswith("5") or form.startswith("5") else (1, 3, 5)
        for at, (line, after) in enumerate(zip(pattern.lines, pattern.lines[1:], strict=False)):
            for place in places:
                assert (line[place] == after[place]) is (at % 2 == 1)
        ends = [line[-1] for line in pattern.lines]
        assert [at for at, end in enumerate(ends) if end == "平"] == list(pattern.rhyme_lines)
    kinds = {(pattern.start, pattern.first_rhymes) for pattern in patterns(form)}
    assert len(kinds) == 4


@st.composite
def spelled_poems(draw):
    pattern = draw(st.sampled_from([each for form in PATTERNS for each in patterns(form)]))
    free = st.sampled_from("平仄")
    lines = [
        "".join(draw(free) if mark == "中" else mark for mark in line) for line in pattern.lines
    ]
    return pattern, lines


@settings(deadline=None)
@given(spelled_poems())
def test_every_poem_of_a_pattern_passes(poem):
    pattern, lines = poem
    verdict = check(_spell(lines), pattern.form, PLAIN)
    assert (verdict.ok, verdict.licensed, verdict.pattern) == (True, (), pattern)


@settings(deadline=None)
@given(spelled_poems(), st.data())
def test_a_flipped_fixed_character_fails_or_is_the_licence(poem, data):
    pattern, lines = poem
    at = data.draw(st.integers(0, len(lines) - 1))
    wanted = pattern.lines[at]
    fixed = [place for place, mark in enumerate(wanted) if mark != "中"]
    if at == 0:  # another end of the first line may make another pattern
        fixed.remove(len(wanted) - 1)
    place = data.draw(st.sampled_from(fixed))
    flipped = {"平": "仄", "仄": "平"}[lines[at][place]]
    lines[at] = lines[at][:place] + flipped + lines[at][place + 1 :]
    verdict = check(_spell(lines), pattern.form, PLAIN)
    rescued = wanted[-5:] == "平平中仄平" and lines[at][-5:] == "仄平平仄平"
    assert verdict.ok is rescued
    assert verdict.licensed == ((at,) if verdict.ok else ())


def _spell(lines):
    return ["".join(SPELLED[mark] for mark in line) for line in lines]
