"""CSV and TSV: quotes, newlines in fields, a missing header, ragged lines, and how to go on after a broken quote."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mashq.rows import MashqError
from mashq.sources.files import SAMPLE, as_text, byte_lines, open_utf8
from mashq.sources.header import Header, plan_columns
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["delimiter_of", "quotes_of", "records"]

DELIMITERS = (",", ";", "\t", "|")
RAW_SHOWN = 2_000  # characters kept of a record that is too long to keep


class _TooLong(Exception):
    """A record grew beyond the limit: most often an opening quote that nothing closes."""


class _Lines:
    """Lines for csv.reader, kept until their record is whole, so that reading can go on from an earlier one."""

    def __init__(self, source: Iterator[bytes], largest: int):
        self.source, self.largest = source, largest
        self.again: deque[bytes] = deque()
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.passed = 0  # lines of finished records
        self.bad_bytes = False  # a held line is not UTF-8

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.source)
        self.held.append(line)
        self.held_bytes += len(line)
        if self.held_bytes > self.largest:
            raise _TooLong
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.bad_bytes = True
            return as_text(line)

    def release(self) -> None:
        """The held lines are done with."""
        self.passed += len(self.held)
        self.held, self.held_bytes, self.bad_bytes = [], 0, False

    def rewind(self, keep: int) -> None:
        """Release the first `keep` held lines and read the others again."""
        self.again.extendleft(reversed(self.held[keep:]))
        self.held = self.held[:keep]
        self.release()

    def raw(self) -> str:
        """The held lines as text, cut where they are too long to keep."""
        data = b"".join(self.held)
        return as_text(data) if self.held_bytes <= self.largest else as_text(data[:RAW_SHOWN])


def _reader(lines: Iterator[str], delimiter: str, quotes: str) -> Iterator[list[str]]:
    """The cells of each record; no cells for a blank line."""
    if quotes == "literal":
        ends = (line.rstrip("\r\n") for line in lines)
        return (line.split(delimiter) if line else [] for line in ends)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def delimiter_of(path: Path, first_line: str, settings: SourceSettings) -> str:
    """The given delimiter; a tab for .tsv and .tab; else the first of , ; tab | that cuts the first line."""
    if settings.delimiter is not None:
        return settings.delimiter
    if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")):
        return "\t"
    outside = re.sub(r'"[^"]*"', "", first_line)
    return next((delimiter for delimiter in DELIMITERS if delimiter in outside), ",")


def quotes_of(sample: list[str], delimiter: str, settings: SourceSettings) -> str:
    """ "csv" or "literal": the reading under which the sample has no faults, and csv where both or neither has none.

    Quotes are text only if so read every line has the same number of fields, while the CSV reading has more faults than
    lines that only CSV explains (all fields quoted, or a doubled quote inside a quoted field).
    """
    if settings.quotes != "auto":
        return settings.quotes
    plain = [line.rstrip("\r\n").split(delimiter) for line in sample if line.strip()]
    if len({len(cells) for cells in plain}) > 1:
        return "csv"
    explained = sum(
        1
        for cells in plain
        if all(_quoted(cell) for cell in cells) or any('""' in cell[1:-1] for cell in cells if _quoted(cell))
    )
    width, faults, lines = len(plain[0]) if plain else 0, 0, iter(sample)
    broken = True
    while broken:  # after a broken quote a new reader goes on with the lines that are left
        broken = False
        try:
            faults += sum(1 for cells in _reader(lines, delimiter, "csv") if cells and len(cells) != width)
        except csv.Error:
            faults, broken = faults + 1, True
    return "literal" if faults > explained else "csv"


def _quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The records of a CSV or TSV file with the line each begins at.

    The quoting is RFC 4180 and strict, because a lenient reader silently changes text. A stray quote drops its record;
    an opening quote that nothing closes drops its line and reading goes on at the next. Blank lines are no records.
    """
    csv.field_size_limit(max(csv.field_size_limit(), settings.largest_record))
    with open_utf8(path, settings) as stream:
        sample = _sample(stream)
        if not "".join(sample).strip():
            raise MashqError(f"{path}: the file holds blank lines only. Fetch it again.")
        delimiter = delimiter_of(path, next(line for line in sample if line.strip()), settings)
        quotes = quotes_of(sample, delimiter, settings)
        first = _first_cells(path, sample, delimiter, quotes, settings)
        header, is_header = plan_columns(f"{path}, line 1", first[0], first[1:], settings)
        lines = _Lines(byte_lines(stream, settings.largest_record), settings.largest_record)
        yield from islice(_records(lines, header, delimiter, quotes), int(is_header), None)


def _sample(stream: BinaryIO) -> list[str]:
    data = stream.peek(SAMPLE)  # type: ignore[attr-defined]
    whole = data if len(data) < SAMPLE - 4 else data[: data.rfind(b"\n") + 1] or data
    return list(io.StringIO(whole.decode("utf-8", "replace"), newline="\n"))


def _first_cells(
    path: Path, sample: list[str], delimiter: str, quotes: str, settings: SourceSettings
) -> list[list[str]]:
    """The cells of the first lines, as far as they can be read: what the plan of columns is made from."""
    cells: list[list[str]] = []
    lines = iter(sample)
    while not cells:
        try:
            cells.extend(islice((row for row in _reader(lines, delimiter, quotes) if row), 20))
            break
        except csv.Error as error:
            if not cells and settings.columns is None:
                raise MashqError(
                    f"{path}, line 1: expected names of columns, got a line whose quotes do not close ({error})."
                    " Mend it, or read quotes as text with quotes='literal'."
                ) from error
    return cells or [list(settings.columns or ())]


def _records(lines: _Lines, header: Header, delimiter: str, quotes: str) -> Iterator[tuple[Where, Record | Fault]]:
    """Every record including the header line; lines that are blank are passed over."""
    reader = _reader(lines, delimiter, quotes)
    while True:
        try:
            for cells in reader:
                where = lines.passed + 1
                if cells:
                    yield where, _judge(cells, where, lines, header)
                lines.release()
            return
        except (csv.Error, _TooLong) as error:
            yield lines.passed + 1, _recover(error, lines, header, delimiter)
            reader = _reader(lines, delimiter, quotes)


def _judge(cells: list[str], where: int, lines: _Lines, header: Header) -> Record | Fault:
    record = header.record(cells)
    if isinstance(record, str):
        return Fault(f"ragged: line {where}: {record}", lines.raw())
    if lines.bad_bytes:
        return Fault(f"bad UTF-8: line {where}", lines.raw())
    return record


def _recover(error: Exception, lines: _Lines, header: Header, delimiter: str) -> Fault:
    """Say what is wrong with the held lines, and choose where reading goes on.

    At the second line, where the record ran away (too long, or to the end of the file) or where the second line is a
    record by itself; else after the held lines, since the rest of a broken field must not pass for a record.
    """
    where = lines.passed + 1
    if len(lines.held) == 1 and isinstance(error, _TooLong):
        fault = Fault(f"too long: line {where}: more than {lines.largest:,} bytes", lines.raw())
        lines.release()
        return fault
    ran_away = isinstance(error, _TooLong) or "unexpected end" in str(error)
    if ran_away or (len(lines.held) > 1 and _is_record(lines.held[1], header, delimiter)):
        fault = Fault(f"unclosed quote: line {where}: nothing closes it", as_text(lines.held[0]))
        lines.rewind(1)
        return fault
    last = lines.passed + len(lines.held)
    kind = "stray carriage return" if "new-line" in str(error) else "stray quote"
    fault = Fault(f"{kind}: line {last}: {error}", lines.raw())
    lines.release()
    return fault


def _is_record(line: bytes, header: Header, delimiter: str) -> bool:
    try:
        cells = next(_reader(iter([as_text(line)]), delimiter, "csv"), [])
    except csv.Error:
        return False
    return len(cells) == header.width > 1
