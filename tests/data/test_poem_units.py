"""Poems become counts of characters or words."""

import numpy as np
import pytest

from recsys.data.poem_units import find_unit, poem_events, units_of
from recsys.data.poems import Poem
from recsys.errors import DataError


def poem(key: str, *paragraphs: str) -> Poem:
    return Poem(key, "", "", paragraphs)


def test_counts_are_those_of_the_text():
    poems = [poem("b", "山山水，", "山。"), poem("a", "水□7日")]
    events = poem_events(poems, "character")
    assert list(events.users.ids) == ["a", "b"]
    assert list(events.items.ids) == ["山", "日", "水"]
    assert events.value_kind == "weight"
    np.testing.assert_array_equal(events.interactions().matrix.toarray(), [[0, 1, 1], [3, 0, 1]])
    assert [events.users.ids[each] for each in events.user_positions] == ["b", "b", "a", "a"]
    assert events.user_positions.dtype == events.item_positions.dtype == np.int32
    assert events.values.dtype == np.float32


def test_a_poem_without_a_unit_has_no_row():
    assert list(poem_events([poem("1", "□□"), poem("2", "山")], "character").users.ids) == ["2"]
    with pytest.raises(DataError, match="none of 1 poems holds a character: expected text with"):
        poem_events([poem("1", "□□。")], "character")


def test_characters_are_single_letters_of_any_script():
    assert units_of("一〇Aé 7，。「山」\U00020000", "character") == list("一〇aé山\U00020000")


def test_words_are_lower_case_and_keep_apostrophes_and_hyphens_inside():
    text = "“Shall I compare THEE’s—'tis sea-change -- 18 o'er_all?”"
    expected = ["shall", "i", "compare", "thee's", "tis", "sea-change", "o'er", "all"]
    assert units_of(text, "word") == expected


def test_vowel_signs_stay_in_their_word():
    assert units_of("हिन्दी कविता।", "word") == ["हिन्दी", "कविता"]


def test_the_unit_is_found_by_the_letters():
    assert find_unit(
        [poem("1", "白日依山盡 (Wang Zhihuan)"), poem("2", "黃河入海流欲窮千里目")]
    ) == ("character")
    assert find_unit([poem("1", "Shall I compare thee to a summer's day? 日")]) == "word"


def test_which_form_of_a_character_is_meant_is_no_character():
    assert list(units_of("葛\U000e0100山\ufe00", "character")) == ["葛", "山"]
