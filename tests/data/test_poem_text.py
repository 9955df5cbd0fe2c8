"""What editors added to a poem goes, what they restored stays, what is lost becomes a box."""

import pytest

from recsys.data.poem_text import BOX, clean, is_mostly_han

NESTED = "⿱艹⿰氵⿱一口"


@pytest.mark.parametrize(
    ("printed", "cleaned", "n_notes"),
    [
        ("水急客舟（一作「行」）疾，山花拂面香。", "水急客舟疾，山花拂面香。", 1),
        ("禾(一作木)頭生耳〖七〇二〗黍穗黑【注】。", "禾頭生耳黍穗黑。", 3),
        ("白日（見《集》（卷三））依山盡。", "白日依山盡。", 2),
        ("白日依山盡。\n（此詩\n又見他集。）\n黃河入海流。", "白日依山盡。\n黃河入海流。", 1),
        ("白日依山盡（一作\n黃河入海流", "白日依山盡\n黃河入海流", 1),
        ("白日依山盡）。", "白日依山盡。", 0),
        ("（全是注。）", "", 1),
    ],
)
def test_notes_in_brackets_go_with_what_they_hold(printed, cleaned, n_notes):
    found = clean(printed)
    assert (found.text, found.n_notes) == (cleaned, n_notes)


@pytest.mark.parametrize("printed", ["[爽]節在重九", "［爽］節在重九"])
def test_a_restored_character_stays_without_its_brackets(printed):
    found = clean(printed)
    assert (found.text, found.n_notes) == ("爽節在重九", 0)


def test_square_brackets_around_anything_else_hold_a_note():
    assert clean("大國多任士[1]，何處[見於 2 本]歸。").text == "大國多任士，何處歸。"


@pytest.mark.parametrize(
    "gap", ["□", "○", "●", "■", "〓", "\ufffd", "\ue829", "{艹/尔}", "⿰艹尔", NESTED, "\U000f0001"]
)
def test_what_is_lost_is_one_box_whatever_stands_for_it(gap):
    found = clean(f"綬吐芽{gap}嫩，冰猶已鏤津。")
    assert (found.text, found.n_missing) == (f"綬吐芽{BOX}嫩，冰猶已鏤津。", 1)


def test_compatible_characters_become_the_plain_ones():
    assert clean("\ufa19仙").text == "神仙"


def test_round_brackets_of_other_languages_are_part_of_the_poem():
    printed = "[Chorus]\nI am large (I contain\nmultitudes)"
    found = clean(printed)
    assert (found.text, found.n_notes) == ("I am large (I contain\nmultitudes)", 1)


def test_lines_of_punctuation_alone_go():
    assert clean("白日依山盡。\n。。\n\n  黃河　入海流  ").text == "白日依山盡。\n黃河 入海流"


def test_more_than_half_of_the_letters_make_a_text_chinese():
    assert is_mostly_han("日月 a")
    assert not is_mostly_han("日 a")
    assert not is_mostly_han("123 。")


@pytest.mark.parametrize("unseen", ["\u200b", "\ufe00", "\U000e0100", "\u2060"])
def test_what_nobody_sees_is_no_part_of_a_line(unseen):
    assert clean(f"白日{unseen}依山盡。").text == "白日依山盡。"
