"""Poems know their lines, couplets and form, and come back from their table."""

import pytest

from recsys.data.poems import TABLE_COLUMNS, Poem, poem_table, poems_of

TOWER = Poem("t1", "登鸛雀樓", "王之渙", ("白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"))


def test_lines_are_without_punctuation_and_quotation_marks():
    poem = Poem("1", "", "", ("童子解吟《長恨曲》，胡兒能唱「琵琶篇」。",))
    assert poem.lines == ("童子解吟長恨曲", "胡兒能唱琵琶篇")
    assert poem.couplets == (("童子解吟長恨曲", "胡兒能唱琵琶篇"),)


@pytest.mark.parametrize(
    ("n_lines", "length", "form"),
    [(4, 5, "5-jueju"), (4, 7, "7-jueju"), (8, 5, "5-lvshi"), (8, 7, "7-lvshi"), (6, 5, "other")],
)
def test_the_form_is_that_of_the_lines(n_lines, length, form):
    assert Poem("1", "", "", ("，".join(["山" * length] * n_lines),)).form == form


def test_lines_of_several_lengths_have_no_form():
    assert Poem("1", "", "", ("山山，山山山，山山，山山",)).form == "other"


def test_poems_come_back_from_their_table():
    poems = [TOWER, Poem("2", "", "", ("one line",))]
    table = poem_table(poems)
    assert tuple(table.columns) == TABLE_COLUMNS
    assert list(table["form"]) == ["5-jueju", "other"]
    assert poems_of(table) == poems


def test_no_poems_make_an_empty_table():
    assert poems_of(poem_table([])) == []
    assert tuple(poem_table([]).columns) == TABLE_COLUMNS


def test_a_line_of_other_verse_is_a_line_of_its_text():
    poem = Poem("1", "", "", ("Shall I compare thee to a summer's day?", "Thou art more lovely,"))
    assert poem.lines == poem.paragraphs
    assert poem.form == "other"
