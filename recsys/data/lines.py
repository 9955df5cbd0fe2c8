"""Text of any size as blocks of whole lines, with exact line numbers and bounded memory."""

import csv
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from recsys.errors import DataError

BLOCK_BYTES = 8 << 20
LINE_LIMIT = 1 << 20
"""A longer line is refused: it is no row of a table, and memory has to stay bounded."""

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF_16_ADVICE = "convert the file with iconv -f UTF-16 -t UTF-8"
ENCODING_ADVICE = "find out the encoding (GB18030, LATIN1, ...), then iconv -f ENCODING -t UTF-8"
"""No encoding is suggested: one that accepts every byte would turn ids into others in silence."""

csv.field_size_limit(2**31 - 1)  # of Python's own limit csv says that the quotes do not match

_ZIP = b"PK\x03\x04"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class ByteSource:
    """An open file or standard input, unzipped on the way.

    Parameters
    ----------
    name : str
        For messages.
    stream : BufferedReader
        What the file holds, unzipped.
    is_seekable : bool
        A plain file, in which one can jump.
    total : int or None
        Size on disk in bytes, where known.
    done : callable
        How many bytes of it have been read.
    """

    name: str
    stream: io.BufferedReader
    is_seekable: bool
    total: int | None
    done: Callable[[], int]

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; a damaged gzip stream is a DataError."""
        with self._refusing_damage():
            return self.stream.read(size)

    def starts_with(self, magic: bytes) -> bool:
        """Tell whether the content begins with `magic`, without consuming it."""
        # A damage met here is refused here: after an error gzip may report a plain end of file.
        with self._refusing_damage():
            return self.stream.peek(len(magic)).startswith(magic)

    @contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise DataError(
                f"{self.name}: the gzip stream is cut short or damaged ({problem}): "
                "fetch or copy the file again"
            ) from problem


@contextmanager
def open_source(source: Path | Literal["-"]) -> Iterator[ByteSource]:
    """Open a file or standard input; gzip is known by its first bytes, not by its name."""
    if source == "-":
        raw: io.BufferedReader = io.BufferedReader(sys.stdin.buffer)  # type: ignore[arg-type]
        try:
            yield _unzipped("standard input", raw, None)
        finally:
            raw.detach()
        return
    path = Path(source)
    try:
        file = path.open("rb")
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be read ({problem.strerror}): give a readable file"
        ) from problem
    with file:
        state = os.fstat(file.fileno())
        # A pipe has neither a size nor a place in it.
        yield _unzipped(str(path), file, state.st_size if stat.S_ISREG(state.st_mode) else None)


def _unzipped(name: str, raw: io.BufferedReader, total: int | None) -> ByteSource:
    if raw.peek(len(_ZIP)).startswith(_ZIP):
        raise DataError(f"{name}: a zip or Excel file: unpack it, or save the sheet as CSV")
    stream = raw
    if raw.peek(2).startswith(b"\x1f\x8b"):
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw))
    is_file = total is not None
    return ByteSource(
        name, stream, is_file and stream is raw, total, raw.tell if is_file else lambda: 0
    )


@dataclass(frozen=True, eq=False)
class Block:
    r"""Whole lines, each ended by one ``\n``.

    Parameters
    ----------
    first_line : int
        Number of the first line in its file, from 1.
    text : bytes
        Valid UTF-8.
    n_lines, n_rows : int
        All lines, and those that are not empty.
    """

    first_line: int
    text: bytes
    n_lines: int
    n_rows: int

    def lines(self) -> Iterator[tuple[int, str]]:
        """Give every line that is not blank, with its number."""
        for number, line in enumerate(self.text.decode().split("\n"), start=self.first_line):
            if line.strip(" "):
                yield number, line

    def without_first_row(self) -> "Block":
        """Leave out everything up to the end of the first line that is not blank."""
        number = next(number for number, _ in self.lines())
        start = 0
        for _ in range(number - self.first_line + 1):
            start = self.text.index(b"\n", start) + 1
        return measure(self.text[start:], number + 1)


def measure(text: bytes, first_line: int) -> Block:
    """Count the lines of `text`."""
    lengths = _line_lengths(text)
    return Block(first_line, text, len(lengths), int(np.count_nonzero(lengths)))


def _line_lengths(text: bytes) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    return np.diff(ends, prepend=-1) - 1


class LineBlocks:
    """Iterates once over the blocks of a source, remembering what was odd about its bytes."""

    def __init__(self, source: ByteSource, block_bytes: int = BLOCK_BYTES) -> None:
        self._source = source
        self._block_bytes = block_bytes
        self._next_line = 1
        self._has_bom = False
        self._line_ends: set[str] = set()

    def __iter__(self) -> Iterator[Block]:
        rest = b""
        while raw := self._read():
            if self._next_line == 1 and not rest and not self._has_bom and raw.startswith(_BOM):
                self._has_bom = True
                raw = raw[len(_BOM) :]
            buffer = rest + raw
            cut = _end_of_lines(buffer)
            if cut:
                yield self._block(buffer[:cut])
            rest = buffer[cut:]
            self._refuse_long_line(len(rest), self._next_line)
        if rest:
            yield self._block(rest)

    def warnings(self) -> list[str]:
        """Word what was odd in the blocks so far, one line each."""
        found = []
        if self._has_bom:
            found.append(f"{self._source.name}: a byte order mark (BOM) at its start was left out")
        if len(self._line_ends) > 1:
            ends = " and ".join(sorted(self._line_ends))
            found.append(f"{self._source.name}: mixed line ends ({ends}); each was taken as one")
        return found

    def _read(self) -> bytes:
        try:
            return self._source.read(self._block_bytes)
        except DataError as problem:
            n_read = self._next_line - 1
            raise DataError(f"{problem} ({n_read:,} lines had been read)") from problem

    def _block(self, raw: bytes) -> Block:
        text = self._with_plain_line_ends(raw)
        lengths = _line_lengths(text)
        longest = int(lengths.argmax())
        self._refuse_long_line(int(lengths[longest]), self._next_line + longest)
        self._check_characters(text)
        block = Block(self._next_line, text, len(lengths), int(np.count_nonzero(lengths)))
        self._next_line += block.n_lines
        return block

    def _with_plain_line_ends(self, raw: bytes) -> bytes:
        n_crlf = raw.count(b"\r\n") if b"\r" in raw else 0
        if raw.count(b"\n") > n_crlf:
            self._line_ends.add(r"\n")
        if n_crlf:
            self._line_ends.add(r"\r\n")
            raw = raw.replace(b"\r\n", b"\n")
        if b"\r" in raw:
            self._line_ends.add(r"\r")
            raw = raw.replace(b"\r", b"\n")
        return raw if raw.endswith(b"\n") else raw + b"\n"

    def _refuse_long_line(self, length: int, line: int) -> None:
        if length > LINE_LIMIT:
            raise DataError(
                f"{self._source.name}, line {line}: longer than {LINE_LIMIT:,} bytes, "
                "which no row is: is it the right file, with line ends?"
            )

    def _check_characters(self, text: bytes) -> None:
        if self._next_line == 1 and text.startswith(UTF_16_MARKS):
            self._refuse_byte(text, 0, "the byte order mark of UTF-16", UTF_16_ADVICE)
        zero = text.find(b"\0")
        if zero >= 0:
            found = "a NUL byte (UTF-16 or a binary file?)"
            self._refuse_byte(text, zero, found, f"if it is UTF-16, {UTF_16_ADVICE}")
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError as problem:
                found = f"byte 0x{text[problem.start]:02x}"
                self._refuse_byte(text, problem.start, found, ENCODING_ADVICE)

    def _refuse_byte(self, text: bytes, place: int, found: str, advice: str) -> None:
        line = self._next_line + text.count(b"\n", 0, place)
        column = place - text.rfind(b"\n", 0, place)
        raise DataError(
            f"{self._source.name}, line {line}, byte {column}: {found} where UTF-8 text was "
            f"expected: {advice}"
        )


def _end_of_lines(buffer: bytes) -> int:
    end = buffer.rfind(b"\n")
    if end < 0:
        # A carriage return at the very end may be the first half of a pair.
        end = buffer.rfind(b"\r", 0, len(buffer) - 1)
    return end + 1
