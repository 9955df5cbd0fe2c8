"""What of a printed poem is the poem: notes out, restored characters in, boxes for gaps."""

import re
import unicodedata
from dataclasses import dataclass

BOX = "□"
"""Stands for a character that is lost, or that the encoding lacks."""

HAN = "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Inside of a regular expression's character class."""

_HAN = re.compile(f"[{HAN}]")
_GAP = re.compile("[○●■〓\N{REPLACEMENT CHARACTER}\ue000-\uf8ff\U000f0000-\U0010fffd]")
# {艹/尔} and ⿰艹尔 spell out a character that the encoding lacks; ⿰艹⿱口一 is one as well.
_SPELT_OUT = re.compile(
    r"\{[^{}\n]*\}|[⿰⿱⿴-⿽][^⿰-⿿\n]{2}|[⿲⿳][^⿰-⿿\n]{3}|[⿾⿿][^⿰-⿿\n]"
)
_UNSEEN = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064]"
)
"""Which of a character's forms is meant, where a line may break, which way it runs."""
_NARROW_BRACKETS = str.maketrans("［］｛｝", "[]{}")
_RESTORED = re.compile(rf"\[([{HAN}{BOX}]+)\]")
_NOTE = re.compile(r"（[^（）]*）|〖[^〖〗]*〗|【[^【】]*】|〔[^〔〕]*〕|\([^()]*\)|\[[^\[\]]*\]")
_UNCLOSED = re.compile(r"[（〖【〔(\[][^\n]*")
_LEFT_OVER = re.compile(r"[）〗】〕)\]{}]")
_SQUARE_NOTE = re.compile(r"\[[^\[\]\n]*\]")


@dataclass(frozen=True)
class CleanText:
    """A poem's text without what editors added.

    Parameters
    ----------
    text : str
        In Unicode's composed form (NFC), with `BOX` where a character is missing.
    n_notes, n_missing : int
        Brackets that went with what they held, and boxes.
    """

    text: str
    n_notes: int
    n_missing: int


def is_mostly_han(text: str) -> bool:
    """Whether more than half of the letters are Chinese characters.

    Examples
    --------
    >>> is_mostly_han("白日依山盡 (Wang)"), is_mostly_han("The sun 日"), is_mostly_han("...")
    (True, False, False)
    """
    n_letters = sum(each.isalpha() or each == "〇" for each in text)
    return 2 * len(_HAN.findall(text)) > n_letters


def clean(text: str) -> CleanText:
    """Leave out what editors added, and mark what is lost.

    Parameters
    ----------
    text : str
        Paragraph a line, as printed. A note may go on over several.

    Notes
    -----
    In Chinese text （ ） ( ) 〖 〗 【 】 〔 〕 hold notes, which go; a bracket that is never closed
    takes the rest of its line along. Square brackets around nothing but characters hold what
    an editor restored, which stays; others hold notes. ○ ● ■ 〓 and characters that are spelt out,
    as {艹/尔}, become □. In other text only square brackets hold notes ("[Chorus]").

    Examples
    --------
    >>> clean("水急客舟（一作「行」）疾，[爽]節○重九。")
    CleanText(text='水急客舟疾，爽節□重九。', n_notes=1, n_missing=1)
    >>> clean("[Chorus] I am large (I contain multitudes)").text
    'I am large (I contain multitudes)'
    """
    text = unicodedata.normalize("NFC", text)
    if is_mostly_han(text):
        text, n_notes = _clean_chinese(text)
    else:
        text, n_notes = _SQUARE_NOTE.subn("", text)
    lines = (" ".join(line.split()) for line in text.split("\n"))
    text = "\n".join(line for line in lines if any(map(_is_content, line)))
    return CleanText(text, n_notes, text.count(BOX))


def _clean_chinese(text: str) -> tuple[str, int]:
    text = text.translate(_NARROW_BRACKETS)
    text, n_found = _GAP.sub(BOX, _UNSEEN.sub("", text)), 1
    while n_found:  # from the innermost out
        text, n_found = _SPELT_OUT.subn(BOX, text)
    text = _RESTORED.sub(r"\1", text)
    n_notes, n_found = 0, 1
    while n_found:  # from the innermost out
        text, n_found = _NOTE.subn("", text)
        n_notes += n_found
    text, n_found = _UNCLOSED.subn("", text)
    return _LEFT_OVER.sub("", text), n_notes + n_found


def _is_content(character: str) -> bool:
    return character.isalpha() or character in "〇□"
