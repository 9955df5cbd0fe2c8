import pandas as pd
import pytest

from recsys.data.where import parse_where
from recsys.errors import ConfigError

FILMS = pd.DataFrame(
    {
        "title": ["Alien", "Amélie", "O'Brother", "Duck; Soup", ""],
        "genres": ["Horror|Sci-Fi", "Comedy|Romance", "Comedy", "COMEDY", ""],
        "year": ["1979", "2001", "2000.0", "n/a", ""],
        "release date": ["1979-05-25", "2001-04-25", "", "1933-11-17", ""],
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("genres contains 'comedy'", "1 2 3"),
        ("genres = 'Comedy'", "2"),
        ("genres == 'Comedy' or genres contains 'sci-fi'", "0 2"),
        ("year >= 2000", "1 2"),
        ("year = 2000", "2"),
        ("year != 2000", "0 1"),
        ("not year = 2000", "0 1 3 4"),
        ("year < 1980 and genres contains 'horror' or title = 'Amélie'", "0 1"),
        ("year < 1980 AND (genres contains 'horror' OR title = 'Amélie')", "0"),
        ("not (year < 1980) and not genres = ''", "1 2 3"),
        ("title contains 'o''b'", "2"),
        ("\"release date\" < '1980'", "0 3"),
        ("\"release date\" != '1979-05-25'", "1 2 3 4"),
        ("year contains 9", "0"),
        ("year>-1e3", "0 1 2"),
        ("title contains 'k; s'", "3"),
        ("title contains ''", "0 1 2 3 4"),
        ("title contains '.'", ""),
    ],
)
def test_a_rule_passes_the_rows_it_says(text, expected):
    passed = parse_where(text).mask(FILMS)
    assert " ".join(str(row) for row in range(len(FILMS)) if passed[row]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column's name at the end (character 1)"),
        ("year", "expected = == != < <= > >= or contains at the end"),
        ("year >", "expected a number or a text in 'single quotes' at the end"),
        ("genres = Comedy", "a text needs 'single quotes': 'Comedy' at 'Comedy' (character 10)"),
        ("year > 1 year", "expected and, or, or the end at 'year' (character 10)"),
        ("(year > 1", "expected and, or, or a closing ) at the end"),
        ("year > 1)", "expected and, or, or the end at ')'"),
        ("year > 1 and", "expected a column's name at the end"),
        ("genres contains 'x", 'this quote is not closed at "\'x"'),
        ("__import__('os')", "expected = == != < <= > >= or contains at \"('os')\""),
        ("year > 1; drop", "cannot be read at '; drop'"),
        ("(" * 60 + "year > 1", "nested more than 50 levels deep"),
        ("not " * 5000 + "year > 1", "nested more than 50 levels deep"),
    ],
)
def test_what_is_no_rule_is_refused_where_it_stops_being_one(text, message):
    with pytest.raises(ConfigError) as refusal:
        parse_where(text)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yeer > 1", "items have no column 'yeer'; did you mean 'year'? known: title, genres"),
        ("genres > 1", "'genres' holds no number to compare with 1 (the first that is there is"),
    ],
)
def test_a_rule_that_does_not_fit_the_table_is_refused(text, message):
    with pytest.raises(ConfigError) as refusal:
        parse_where(text).mask(FILMS)
    assert message in str(refusal.value)


def test_a_column_that_holds_nothing_passes_no_number():
    empty = FILMS.assign(year="")
    assert not parse_where("year > 0").mask(empty).any()


def test_a_number_is_finite():
    table = pd.DataFrame({"title": ["Infinity", "1984", "nan"]})
    assert parse_where("title > 1").mask(table).tolist() == [False, True, False]
    with pytest.raises(ConfigError, match="a number is too large"):
        parse_where("title > 1e400")
