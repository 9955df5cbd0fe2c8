"""Plain text -> poems: a poem a paragraph, a couplet a line, or a listing in source code."""

import re
from dataclasses import dataclass

from recsys.data.poem_text import HAN, is_mostly_han

_QUOTED = re.compile(
    r"""(?:\w+\s*=\s*)?[\[({]?\s*[rRuUbBfF]{0,2}(["'“]+)(.+?)["'”]+\s*[\])}]?\s*[,;]?\s*[\])}]?;?"""
)
_TRAILING = re.compile(r"[\s,;]+$")
_STOP = re.compile(r"[，。！？；,.!?;]")
_MARKED = re.compile(r"#+\s*|(?=《)")
_TITLE_FIRST = re.compile(r"《(?P<title>[^《》]+)》\s*[·/／—–-]?\s*(?P<author>.*)")
_AUTHOR_FIRST = re.compile(r"(?P<author>[^《》]+?)\s*[·/／:：]?\s*《(?P<title>[^《》]+)》")
_IN_BRACKETS = re.compile(r"(?P<title>.+?)\s*[（(](?P<author>[^（）()]+)[）)]")
_SEPARATED = re.compile(r"(?P<title>.+?)\s*(?:[·/／—–|]|\s-\s|\s)\s*(?P<author>[^\s·/／—–|]+)")
_BY = re.compile(r"(?P<title>\S.*?)\s+(?:by|—|–|\|)\s+(?P<author>(?:[^\W\d_a-z][\w.'’-]*\s*)+)")


LONGEST_ALONE = 60
"""Lines of a file that may be a single poem without being marked as one."""


@dataclass(frozen=True)
class PrintedPoem:
    """A poem as its file has it; what the file does not tell is empty."""

    paragraphs: tuple[str, ...]
    title: str = ""
    author: str = ""
    id: str = ""


@dataclass(frozen=True)
class Listing:
    """The poems of a plain text, how it was read, and what was passed over, a line each."""

    layout: str
    poems: list[PrintedPoem]
    passed_over: tuple[str, ...] = ()


def plain_text_poems(text: str) -> Listing:
    r"""Read poems from plain text.

    Parameters
    ----------
    text : str
        With plain line ends.

    Notes
    -----
    Where at least half of the lines are quoted, it is a listing in source code: every quoted
    line is a poem, the others are passed over. Where blank lines stand between the lines, or the
    first one is a marked title, a paragraph is a poem. Otherwise every line is one; a comma at
    its end goes.

    A paragraph's first line is its title (and author) when it is marked by # or 《》; or, in
    Chinese text, when it has no stop and all the others have one, or have another length that
    they share; or, in other text, when it reads "Title by Author". In Chinese text title and
    author may also stand in two lines without a stop, before lines that have one: a file of up
    to `LONGEST_ALONE` such lines is one poem.

    Examples
    --------
    >>> listing = plain_text_poems('["白日依山盡,黃河入海流",\n "空山新雨後,天氣晚來秋"]')
    >>> [each.paragraphs for each in listing.poems]
    [('白日依山盡,黃河入海流',), ('空山新雨後,天氣晚來秋',)]
    >>> plain_text_poems("登鸛雀樓 王之渙\n白日依山盡，黃河入海流。\n\n空山新雨後。").poems[0]
    PrintedPoem(paragraphs=('白日依山盡，黃河入海流。',), title='登鸛雀樓', author='王之渙', id='')
    """
    blocks = [
        [line.strip() for line in block.split("\n") if line.strip()]
        for block in re.split(r"\n[^\S\n]*\n", text)
    ]
    blocks = [block for block in blocks if block]
    lines = [line for block in blocks for line in block]
    if not lines:
        return Listing("plain text", [])
    quoted = [found for found in map(_QUOTED.fullmatch, lines) if found]
    if 2 * len(quoted) >= len(lines):
        poems = [PrintedPoem((_TRAILING.sub("", found[2]),)) for found in quoted]
        others = len(lines) - len(poems)
        return Listing(
            "listing, a poem a quoted line",
            poems,
            (f"{others:,} lines of code around the quoted ones",) if others else (),
        )
    are_paragraphs = len(blocks) > 1 and len(lines) > len(blocks)
    if are_paragraphs or _MARKED.match(lines[0]) or _is_one_poem(blocks[0]):
        return Listing("plain text, a poem a paragraph", [_paragraph_poem(each) for each in blocks])
    poems = [PrintedPoem((_TRAILING.sub("", line),)) for line in lines]
    return Listing("plain text, a poem a line", poems)


def _paragraph_poem(lines: list[str]) -> PrintedPoem:
    first, rest = lines[0], lines[1:]
    if len(rest) > 1 and is_mostly_han(first) and _are_two_headings(lines):
        return PrintedPoem(tuple(lines[2:]), title=lines[0], author=lines[1])
    if not _is_heading(first, rest):
        return PrintedPoem(tuple(lines))
    heading = re.sub(r"^#+\s*", "", first)
    patterns = [_TITLE_FIRST, _AUTHOR_FIRST, _BY]
    if re.search(f"[{HAN}]", heading):
        patterns += [_IN_BRACKETS, _SEPARATED]
    found = next(filter(None, (each.fullmatch(heading) for each in patterns)), None)
    if found is None:
        return PrintedPoem(tuple(rest), title=heading)
    return PrintedPoem(tuple(rest), title=found["title"].strip(), author=found["author"].strip())


def _is_one_poem(lines: list[str]) -> bool:
    """Whether a title and an author are above all lines; of a long listing they are the book's."""
    return 2 < len(lines) <= LONGEST_ALONE and is_mostly_han(lines[0]) and _are_two_headings(lines)


def _are_two_headings(lines: list[str]) -> bool:
    return not any(map(_STOP.search, lines[:2])) and all(map(_STOP.search, lines[2:]))


def _is_heading(first: str, rest: list[str]) -> bool:
    if _MARKED.match(first):
        return True
    if not rest:
        return False
    if not is_mostly_han(first):
        return _BY.fullmatch(first) is not None
    if _STOP.search(first):
        return False
    lengths = {len(line) for line in rest}
    shared = len(rest) > 1 and len(lengths) == 1
    return all(map(_STOP.search, rest)) or (shared and len(first) not in lengths)
