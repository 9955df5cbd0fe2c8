"""Traditional and simplified characters."""

import sys

import pytest

from recsys.errors import ConfigError
from recsys.verse.scripts import Scripts

TANG = Scripts.of(
    {"雲": 900, "云": 30, "後": 500, "后": 40, "里": 800, "裏": 300, "發": 90, "髮": 80, "與": 700}
    | {"与": 2, "月": 999, "樓": 100, "為": 600, "皇": 50, "白": 300}
)
SIMPLIFIED = Scripts.of({"云": 900, "楼": 100, "月": 999, "后": 40, "里": 800})


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("月楼", "月樓"),  # one form
        ("发", "發"),  # two forms: the more frequent
        ("云", "雲"),  # a word of its own, but rarer than the other
        ("里", "里"),  # a word of its own, and more frequent
        ("白云楼", "白雲樓"),
        ("皇后樓", "皇后樓"),  # a traditional text keeps what the vocabulary has
        ("与樓", "與樓"),  # but for a slip
        ("爲", "為"),  # a variant that the vocabulary lacks
        ("楼 abc，龘", "樓 abc，龘"),  # what the vocabulary lacks stays
        ("", ""),
    ],
)
def test_a_text_is_brought_to_the_most_frequent_traditional_form(text, source):
    assert TANG.to_source(text) == source


def test_the_vocabulary_alone_decides():
    assert Scripts.of({"髮": 9, "發": 8}).to_source("发") == "髮"
    assert Scripts.of({"髮": 8, "發": 8}).to_source("发") == "發"  # a tie goes by code point


def test_words_count_for_their_characters():
    assert Scripts.of({"白髮": 5, "發": 4, "髮": 1}).to_source("发") == "髮"


def test_a_wholly_simplified_corpus_is_said_to_be_and_takes_simplified_text():
    assert SIMPLIFIED.is_simplified
    assert not TANG.is_simplified
    assert SIMPLIFIED.to_source("雲樓") == "云楼"


def test_a_corpus_without_han_characters_is_left_alone():
    english = Scripts.of({"moon": 3})
    assert not english.is_simplified
    assert english.to_source("the moon") == "the moon"
    assert not Scripts.of({}).is_simplified


def test_a_reader_is_shown_the_script_asked_for():
    assert TANG.shown("白雲樓", "simplified") == "白云楼"
    assert TANG.shown("白雲樓", "traditional") == "白雲樓"
    assert SIMPLIFIED.shown("白云楼", "traditional") == "白雲樓"
    assert SIMPLIFIED.shown("白云楼", "simplified") == "白云楼"


def test_a_line_break_and_spaces_survive():
    assert TANG.to_source("云\n楼 月") == "雲\n樓 月"


def test_a_missing_opencc_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(ConfigError, match=r"opencc.*pip install 'recsys-vae\[verse\]'"):
        Scripts.of({"月": 1})
