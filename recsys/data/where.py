"""Rules on attributes: "genres contains 'Drama' and year >= 1990" -> which rows of a table pass.

    rule        any | any "or" any ..
    any         one | one "and" one ..
    one         "not" one | "(" rule ")" | column operator value
    operator    =  ==  !=  <  <=  >  >=  contains
    column      a bare name, or any name in "double quotes"
    value       a number, or a text in 'single quotes' ('' inside it is one quote)

A number is compared with the numbers in the column: a cell that is empty or no number passes no
comparison with one, != included. A text is compared as it is written, so that ISO dates are
ordered by time; an empty cell is before and after nothing, and it is != any text. `contains`
looks for it anywhere in the cell, in capitals or not.
"""

import difflib
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.errors import ConfigError

Mask = NDArray[np.bool_]

DEEPEST = 50
"""Levels of parentheses and "not": a rule from a stranger must not exhaust the stack."""

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERS = frozenset({"<", "<=", ">", ">="})
_WORDS = frozenset({"and", "or", "not", "contains"})
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w))
      | (?P<name>[^\W\d]\w*)
      | "(?P<quoted>[^"]+)"
      | '(?P<text>(?:[^']|'')*)'
      | (?P<operator>==|!=|<=|>=|=|<|>)
      | (?P<bracket>[()])
    )""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a rule, and where it begins."""

    kind: Literal["number", "name", "quoted", "text", "operator", "bracket", "word", "end"]
    text: str
    at: int


@dataclass(frozen=True)
class Comparison:
    """One column against one value."""

    column: str
    operator: str
    value: float | str

    def mask(self, table: pd.DataFrame) -> Mask:
        """Which rows pass."""
        cells = table[known_column(self.column, table)]
        if isinstance(self.value, float):
            return np.asarray(self._compared(self._numbers(cells)), dtype=bool)
        if self.operator == "contains":
            found = cells.str.casefold().str.contains(self.value.casefold(), regex=False)
            return np.asarray(found, dtype=bool)
        return np.asarray(self._compared(cells), dtype=bool)

    def _compared(self, cells: "pd.Series[Any]") -> "pd.Series[bool]":
        passed: pd.Series[bool] = _COMPARISONS[self.operator](cells, self.value)
        if self.operator in _ORDERS:
            passed = passed & (cells != "")  # what is not known comes before nothing
        return passed & cells.notna()

    def _numbers(self, cells: "pd.Series[str]") -> "pd.Series[float]":
        numbers: pd.Series[float] = pd.to_numeric(cells, errors="coerce")
        numbers = numbers.where(np.isfinite(numbers))  # a film may be called Infinity
        first = next((each for each in cells if each), None)
        if first is not None and numbers.isna().all():
            raise ConfigError(
                f"where: {self.column!r} holds no number to compare with {self.value:g} (the "
                f"first that is there is {first!r}): put the value into 'single quotes'"
            )
        return numbers


@dataclass(frozen=True)
class Both:
    """All of these."""

    parts: tuple["Rule", ...]

    def mask(self, table: pd.DataFrame) -> Mask:
        """Which rows pass."""
        return np.asarray(np.logical_and.reduce([each.mask(table) for each in self.parts]))


@dataclass(frozen=True)
class Either:
    """At least one of these."""

    parts: tuple["Rule", ...]

    def mask(self, table: pd.DataFrame) -> Mask:
        """Which rows pass."""
        return np.asarray(np.logical_or.reduce([each.mask(table) for each in self.parts]))


@dataclass(frozen=True)
class Not:
    """Whatever does not pass this."""

    part: "Rule"

    def mask(self, table: pd.DataFrame) -> Mask:
        """Which rows pass."""
        return ~self.part.mask(table)


Rule = Comparison | Both | Either | Not


def parse_where(text: str) -> Rule:
    """Read a rule; nothing of it is ever run as code.

    Parameters
    ----------
    text : str
        See the top of this file.

    Raises
    ------
    ConfigError
        It is no rule; the message shows where it stops being one.

    Examples
    --------
    >>> films = pd.DataFrame({"genres": ["Drama|War", "Comedy"], "year": ["1994", ""]})
    >>> parse_where("genres contains 'drama' and not year < 1990").mask(films).tolist()
    [True, False]
    """
    return _Parser(text).whole()


def known_column(name: str, table: pd.DataFrame) -> str:
    """Give a column's name, if there is such a column.

    Raises
    ------
    ConfigError
        There is none; the message tells those that there are.
    """
    if name in table:
        return name
    known = [str(each) for each in table.columns]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"items have no column {name!r}; {hint}known: {', '.join(known)}")


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    def whole(self) -> Rule:
        rule = self._either()
        if self.next.kind != "end":
            raise _wrong(self.text, self.next.at, "expected and, or, or the end")
        return rule

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def _either(self) -> Rule:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Rule:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self) -> Rule:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _wrong(self.text, self.next.at, f"nested more than {DEEPEST} levels deep")
        if self._took("not"):
            rule: Rule = Not(self._one())
        elif self._took("("):
            rule = self._either()
            if not self._took(")"):
                raise _wrong(self.text, self.next.at, "expected and, or, or a closing )")
        else:
            rule = self._comparison()
        self.depth -= 1
        return rule

    def _comparison(self) -> Comparison:
        column = self._take(("name", "quoted"), "a column's name")
        compared = self.next
        if compared.kind != "operator" and (compared.kind, compared.text) != ("word", "contains"):
            raise _wrong(self.text, compared.at, f"expected {' '.join(_COMPARISONS)} or contains")
        self.place += 1
        if self.next.kind in ("name", "quoted"):
            raise _wrong(
                self.text, self.next.at, f"a text needs 'single quotes': '{self.next.text}'"
            )
        value = self._take(("number", "text"), "a number or a text in 'single quotes'")
        if value.kind == "text":
            return Comparison(column.text, compared.text, value.text.replace("''", "'"))
        if compared.text == "contains":
            return Comparison(column.text, "contains", value.text)
        if not math.isfinite(float(value.text)):
            raise _wrong(self.text, value.at, "a number is too large")
        return Comparison(column.text, compared.text, float(value.text))

    def _take(self, kinds: Sequence[str], noun: str) -> Token:
        token = self.next
        if token.kind not in kinds:
            raise _wrong(self.text, token.at, f"expected {noun}")
        self.place += 1
        return token

    def _took(self, text: str) -> bool:
        found = self.next.kind in ("word", "bracket") and self.next.text == text
        self.place += found
        return found


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            unclosed = text[at] in "'\""
            raise _wrong(text, at, "this quote is not closed" if unclosed else "cannot be read")
        kind, value = found.lastgroup, found[found.lastgroup]
        start = found.start(kind) - (kind in ("quoted", "text"))
        if kind == "name" and value.lower() in _WORDS:
            kind, value = "word", value.lower()
        tokens.append(Token(kind, value, start))  # type: ignore[arg-type]
        at = found.end()
    return [*tokens, Token("end", "", end)]


def _wrong(text: str, at: int, problem: str) -> ConfigError:
    here = f"at {text[at : at + 20]!r}" if at < len(text.rstrip()) else "at the end"
    return ConfigError(f"where {text!r}: {problem} {here} (character {at + 1})")
