"""Poems under masks, written by a model that knows nothing: what is right is right by the masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.poems import Poem
from recsys.errors import ConfigError, DataError
from recsys.verse.antithesis import Antithesis
from recsys.verse.composing import Composer, Sampling
from recsys.verse.decoding import OPEN, RUN, Places, _draw_from, decode
from recsys.verse.masks import ANY, OBLIQUE_END, Masks, same_characters
from recsys.verse.novelty import ExistingLines
from recsys.verse.prosody import FREE, LEVEL, OBLIQUE, PATTERNS, check
from recsys.verse.requests import Request, rhyme_weights
from recsys.verse.scoring import Judge, Score, log_frequency
from recsys.verse.tones import Tone

FORMS = list(PATTERNS)
TOWER = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"
VERSE = (
    TOWER + "空山新雨後天氣晚來秋明月松間照清泉石上流竹喧歸浣女蓮動下漁舟隨意春芳歇王孫自可留"
    "國破山河在城春草木深感時花濺淚恨別鳥驚心烽火連三月家書抵萬金白頭搔更短渾欲不勝簪"
    "風急天高猿嘯哀渚清沙白鳥飛迴無邊落木蕭蕭下不盡長江滾滾來萬里悲秋常作客百年多病獨登臺"
    "艱難苦恨繁霜鬢潦倒新停濁酒杯悠遊幽憂牛侯鉤愁州洲浮求頭鷗眸羞休"
)


class Noise:
    """A model whose logits are fixed noise, plus what a latent code likes."""

    def __init__(self, characters):
        self.characters = ["<begin>", *characters]
        self.settings = []

    @property
    def latent_dim(self):
        return len(self.characters)

    def writing(self, setting, codes):
        self.settings.append(setting)

        def begin(rows):
            liked = codes(rows)
            return lambda previous: liked

        return begin


class Bags:
    """Themes that are counts of characters."""

    def __init__(self, characters):
        self.characters = characters

    def encode(self, texts):
        counts = [[text.count(each) for each in self.characters] for text in texts]
        return np.array(counts, dtype=np.float32)

    def closeness(self, texts, codes):
        return (self.encode(texts) * codes).sum(axis=1)

    def lift(self, codes):
        return np.concatenate([np.zeros((len(codes), 1), dtype=np.float32), 20 * codes], axis=1)


class Fixed:
    """A decoder whose logits are the same at every place."""

    def __init__(self, logits):
        self.logits = np.array(logits, dtype=np.float32)

    def __call__(self, rows):
        return lambda previous: np.tile(self.logits, (len(rows), 1))


@pytest.fixture(scope="module")
def composer(table):
    characters = sorted({each for each in VERSE if each not in "，。"})
    model = Noise(characters)

    existing = ExistingLines.of([Poem("1", "登鸛雀樓", "王之渙", (TOWER,))])
    frequency = log_frequency([], model.characters)
    judge = Judge(frequency, existing, Antithesis.of([]), Bags(characters))
    return Composer(model, judge, table, rhyme_weights("流樓秋流舟留", table))


def places(kinds, allowed, given=None, used=None):
    kinds = np.array(kinds)
    given = np.full(kinds.shape, OPEN) if given is None else np.array(given)
    used = np.zeros((len(kinds), len(allowed[0])), dtype=bool) if used is None else used
    return Places(kinds, given, used, np.array(allowed, dtype=bool))


def rng():
    return np.random.default_rng(0)


# --- decoding ---


def test_temperature_zero_takes_the_likeliest_that_is_allowed():
    drawn = decode(
        Fixed([5, 4, 3, 2]),
        places([[0, 0, 1]], [[1, 1, 1, 1], [0, 1, 0, 1]]),
        temperature=0,
        rng=rng(),
    )
    assert drawn.characters.tolist() == [[0, 1, 3]]  # 1 is used when the third place asks for it


def test_columns_beyond_the_vocabulary_are_never_chosen():
    logits, allowed = np.log([0.5, 0.3, 0.2]), [[1, 1, 1]]
    narrow = decode(Fixed(logits), places([[0, 0]], allowed), temperature=1, rng=rng())
    filled = Fixed([*logits, *[-np.inf] * (RUN - 3)])
    lift = np.zeros((1, 3), dtype=np.float32)
    wide = decode(filled, replace(places([[0, 0]], allowed), lift=lift), temperature=1, rng=rng())
    assert wide.characters.tolist() == narrow.characters.tolist()
    assert wide.log_likelihood == pytest.approx(narrow.log_likelihood)


def test_the_log_likelihood_is_the_models_own_at_temperature_one_without_masks():
    logits = np.log([0.5, 0.3, 0.2])
    drawn = decode(Fixed(logits), places([[0, 0]], [[0, 1, 1]]), temperature=0.1, rng=rng())
    assert drawn.log_likelihood == pytest.approx([np.log(0.3 * 0.2)], rel=1e-6)


def test_characters_are_drawn_by_their_share_at_the_temperature():
    logits = np.log([0.5, 0.3, 0.2])
    kinds = np.zeros((20_000, 1), dtype=int)
    drawn = decode(Fixed(logits), places(kinds, [[1, 1, 1]]), temperature=0.5, rng=rng())
    shares = np.bincount(drawn.characters[:, 0]) / 20_000
    expected = np.array([0.25, 0.09, 0.04]) / 0.38
    assert shares == pytest.approx(expected, abs=0.01)


def test_what_is_lifted_is_drawn_and_the_log_likelihood_stays_the_models_own():
    lifted = replace(places([[0]], [[1, 1]]), lift=np.array([[0, 9]], dtype=np.float32))
    drawn = decode(Fixed(np.log([0.8, 0.2])), lifted, temperature=0, rng=rng())
    assert drawn.characters.tolist() == [[1]]
    assert drawn.log_likelihood == pytest.approx([np.log(0.2)], rel=1e-6)


def test_given_characters_stand_where_they_are_given_even_against_the_masks():
    drawn = decode(
        Fixed([1, 1, 1, 1]),
        places([[0, 0, 0]], [[0, 1, 1, 1]], given=[[OPEN, 0, OPEN]]),
        temperature=1,
        rng=rng(),
    )
    assert drawn.characters[0, 1] == 0
    assert 0 not in drawn.characters[0, [0, 2]]


def test_what_is_used_is_not_written():
    used = np.array([[False, True, True], [True, False, True]])
    drawn = decode(
        Fixed([0, 0, 0]), places([[0], [0]], [[1, 1, 1]], used=used), temperature=1, rng=rng()
    )
    assert drawn.characters.tolist() == [[0], [1]]


def test_a_character_uses_up_its_other_forms():
    forms = np.array([[0, 1], [0, 1], [2, 2]])
    drawn = decode(
        Fixed([9, 8, 1]),
        replace(places([[0, 0]], [[1, 1, 1]]), forms=forms),
        temperature=0,
        rng=rng(),
    )
    assert drawn.characters.tolist() == [[0, 2]]


def test_a_dead_end_is_begun_anew_until_it_comes_out():
    """Place 2 wants character 0, which place 1 takes half of the time."""
    many = places(np.tile([0, 1], (200, 1)), [[1, 1], [1, 0]])
    drawn = decode(Fixed([0, 0]), many, temperature=1, rng=rng())
    assert drawn.characters.tolist() == [[1, 0]] * 200
    assert np.isfinite(drawn.log_likelihood).all()


def test_a_place_that_nobody_can_take_is_refused():
    with pytest.raises(DataError, match="no character of the model may stand at place 2"):
        decode(Fixed([0, 0]), places([[0, 1]], [[1, 1], [0, 0]]), temperature=1, rng=rng())


# --- masks ---


def test_masks_agree_with_the_table(table):
    characters = ["<begin>", "東", "月", "看", "x", "龘", "，"]
    masks = Masks.of(characters, table)
    allowed = dict(zip(masks.kinds, masks.allowed.tolist(), strict=True))
    written = [kind for kind, row in allowed.items() if row[1]]
    assert table.tone("看") is Tone.EITHER
    assert allowed[LEVEL] == [False, True, False, True, False, False, False]
    assert allowed[OBLIQUE] == [False, False, True, True, False, False, False]
    assert allowed[OBLIQUE_END] == [False, False, True, False, False, False, False]
    assert allowed[FREE] == [False, True, True, True, False, False, False]
    assert allowed[ANY] == [False, True, True, True, False, True, False]
    assert written == [ANY, FREE, LEVEL, "東"]
    assert "寒" in table.rhymes("看")
    assert not any(row[3] for kind, row in allowed.items() if kind in masks.rhymes)


def test_forms_of_a_character_are_the_same_and_others_are_not():
    characters = ["<begin>", "雁", "猿", "山", "鴈", "煙", "猨", "烟"]
    same = [sorted({characters[each] for each in row}) for row in same_characters(characters)]
    assert same[1] == same[4] == ["雁", "鴈"]
    assert same[2] == same[6] == ["猨", "猿"]
    assert same[5] == same[7] == ["烟", "煙"]
    assert same[3] == ["山"]


# --- poems ---


@pytest.mark.parametrize("form", FORMS)
def test_every_poem_keeps_to_its_form_and_repeats_no_character(composer, table, form):
    poems = composer.compose(Request(form), 20, Sampling(candidates=2))
    for poem in poems:
        assert check(poem.lines, form, table).faults == ()
        text = "".join(poem.lines)
        assert len(set(text)) == len(text)
    assert len({poem.lines for poem in poems}) == 20
    assert len({poem.plan.pattern for poem in poems}) > 1


def test_the_same_seed_writes_the_same_poems(composer):
    first, again, other = (
        composer.compose(Request("5-jueju"), 3, Sampling(candidates=2, seed=seed))
        for seed in (7, 7, 8)
    )
    assert first == again
    assert first[0].lines != other[0].lines


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_an_acrostic_begins_the_lines_and_the_poem_is_regular(composer, table, data):
    form = data.draw(st.sampled_from(FORMS))
    n_lines = len(PATTERNS[form][0].lines)
    known = st.sampled_from(composer.model.characters[1:])
    acrostic = "".join(data.draw(st.lists(known, min_size=n_lines, max_size=n_lines)))
    (poem,) = composer.compose(Request(form, acrostic=acrostic), 1, Sampling(candidates=1))
    assert "".join(line[0] for line in poem.lines) == acrostic
    assert check(poem.lines, form, table).ok


def test_an_oblique_acrostic_takes_a_pattern_or_a_licence_that_has_room_for_it(composer):
    (poem,) = composer.compose(Request("5-jueju", acrostic="日月白落"))
    assert "".join(line[0] for line in poem.lines) == "日月白落"
    assert poem.verdict.ok
    assert poem.verdict.licensed != ()  # some line begins 平平 in every pattern of five characters


def test_a_first_line_stands_first_and_decides_pattern_and_rhyme(composer):
    for poem in composer.compose(Request("5-jueju", first_line="黃河入海流"), 5):
        assert poem.lines[0] == "黃河入海流"
        assert poem.verdict.ok
        assert (poem.plan.rhyme, poem.plan.pattern.first_rhymes) == ("尤", True)


def test_what_is_given_is_not_written_again(composer):
    for poem in composer.compose(Request("5-jueju", first_line="白日依山盡"), 10):
        assert not set("白日依山盡") & set("".join(poem.lines[1:]))


def test_a_first_line_of_no_pattern_is_refused_with_the_nearest(composer):
    with pytest.raises(ConfigError, match=r"no tone pattern of a 5-jueju.*'明' would have to be"):
        composer.compose(Request("5-jueju", first_line="山山山明明"))


def test_free_verse_has_neither_pattern_nor_rhyme_but_repeats_nothing(composer):
    for poem in composer.compose(Request("5-jueju", free=True, first_line="山山山明明"), 5):
        assert (poem.plan.pattern, poem.plan.rhyme, poem.verdict) == (None, None, None)
        text = "".join(poem.lines[1:])
        assert len(set(text)) == len(text)


def test_a_theme_is_the_code_of_every_couplet_and_without_one_what_stands_already(composer):
    composer.model.settings.clear()
    composer.compose(Request("5-lvshi"), 2, Sampling(candidates=3), theme="明月")
    themes = [each.theme for each in composer.model.settings]
    assert all((each == composer.judge.themes.encode(["明月"])).all() for each in themes)
    composer.model.settings.clear()
    (poem,) = composer.compose(Request("5-jueju"), 1, Sampling(candidates=3))
    first, second = (each.theme for each in composer.model.settings)
    assert first is None
    assert (second == composer.judge.themes.encode(["".join(poem.lines[:2])])).all()


def test_what_a_theme_speaks_of_is_written_rather_than_other_things(composer):
    plain, moon = (
        composer.compose(Request("couplet-5", free=True), 40, Sampling(candidates=1), theme=theme)
        for theme in ("", "明月")
    )
    assert sum("明" in "".join(poem.lines) for poem in plain) < 10
    assert sum("明" in "".join(poem.lines) for poem in moon) == 40


def test_poems_of_many_blocks_are_all_written(composer, monkeypatch):
    monkeypatch.setattr("recsys.verse.composing.COUPLETS_AT_ONCE", 4)
    poems = composer.compose(Request("couplet-5"), 5, Sampling(candidates=2))
    assert len({poem.lines for poem in poems}) == 5


def test_of_the_candidates_the_one_with_the_best_score_stays(composer):
    def mean(candidates):
        poems = composer.compose(Request("couplet-5"), 30, Sampling(candidates=candidates))
        return np.mean([poem.score.total for poem in poems])

    assert mean(16) > mean(4) > mean(1)


def test_the_score_weighs_what_it_says():
    plain = Score(-5, -6, 0, 0, 0)
    assert plain.total > replace(plain, closeness=0.75).total > replace(plain, closeness=1).total
    assert plain.total == replace(plain, closeness=0.5).total  # as lines of other poets are
    assert plain.total < replace(plain, theme=0.1).total
    assert plain.total < replace(plain, antithesis=0.1).total
    assert plain.total < replace(plain, commonness=-7).total  # the same of rarer characters


def test_only_the_middle_couplets_of_a_lvshi_have_to_be_parallel(composer):
    class Counted(Antithesis):
        def parallelism(self, couplets):
            return np.ones(len(couplets), dtype=np.float32)

    counted = Counted({}, np.zeros((0, 1), dtype=np.float32))
    parallel = replace(composer, judge=replace(composer.judge, antithesis=counted))
    sampling = Sampling(candidates=1)
    assert parallel.compose(Request("5-lvshi"), 1, sampling)[0].score.antithesis == 0.5
    assert parallel.compose(Request("5-jueju"), 1, sampling)[0].score.antithesis == 0


def test_the_nearest_existing_line_is_told(composer):
    (poem,) = composer.compose(Request("5-jueju", first_line="白日依山盡"))
    assert (poem.nearest[0].line, poem.nearest[0].poem.author) == ("白日依山盡", "王之渙")
    assert poem.nearest[0].closeness == 1


def test_log_frequency_is_that_of_the_lines_plus_one():
    poem = Poem("1", "", "", ("山山，水。",))
    shares = {each: np.exp(nats) for each, nats in log_frequency([poem], "山水月").items()}
    assert shares == pytest.approx({"山": 3 / 6, "水": 2 / 6, "月": 1 / 6})


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"acrostic": "春夏秋"}, ConfigError, "'春夏秋' has 3 characters; a 5-jueju takes 4"),
        ({"first_line": "白日依山"}, ConfigError, "'白日依山' has 4 characters; a 5-jueju takes 5"),
        ({"acrostic": "abcd"}, DataError, "holds 'a', 'b', 'c', 'd'; expected Chinese"),
        ({"first_line": "白日，山盡"}, DataError, "holds '，'; expected Chinese"),
        (
            {"acrostic": "春夏秋冬", "first_line": "白日依山盡"},
            ConfigError,
            "begins with '春' and the first line with '白'",
        ),
    ],
)
def test_what_cannot_be_given_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Request("5-jueju", **options)


def test_a_character_that_the_model_has_not_met_is_refused(composer):
    with pytest.raises(DataError, match="the model has not met 龘"):
        composer.compose(Request("5-jueju", acrostic="龘日山水"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1, expected 0 to 10"),
        ({"candidates": 0}, "candidates is 0, expected 1 to 512"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_sampling_out_of_range_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)


def test_no_poems_are_refused(composer):
    with pytest.raises(ConfigError, match="n is 0, expected at least 1"):
        composer.compose(Request("5-jueju"), 0)


def test_a_model_whose_characters_do_not_rhyme_is_refused(composer, table):
    dumb = replace(composer, model=Noise("日月山水"), rhyme_weights={"尤": 1.0})
    with pytest.raises(ConfigError, match="have no rhyme group in common that is large enough"):
        dumb.compose(Request("5-jueju"))


def test_characters_are_drawn_by_their_share():
    shares = torch.zeros(200_000, 3 * RUN)
    shares[:, [3, 70, 149]] = torch.tensor([0.2, 0.5, 0.3])
    drawn = _draw_from(shares, torch.from_numpy(np.random.default_rng(0).random(len(shares))))
    found = torch.bincount(drawn, minlength=3 * RUN) / len(shares)
    torch.testing.assert_close(found, shares[0], rtol=0, atol=0.005)


@pytest.mark.parametrize("uniform", [0.0, 1 - 1e-16])
def test_no_draw_leads_to_a_character_without_a_share(uniform):
    shares = torch.rand(500, 3 * RUN, generator=torch.Generator().manual_seed(0))
    shares[:, 100:] = 0
    drawn = _draw_from(shares / shares.sum(1, keepdim=True), torch.full((500,), uniform).double())
    assert (shares[torch.arange(500), drawn] > 0).all()
