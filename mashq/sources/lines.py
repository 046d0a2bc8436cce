"""Plain text: every line is a record with the one field `text`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mashq.sources.files import as_text, byte_lines, open_utf8
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["records"]

RAW_SHOWN = 2_000  # characters kept of a line that is too long to keep


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The lines of a text file with their numbers. A blank line is a fault and not passed over, because files that are
    translations of each other are matched by line."""
    with open_utf8(path, settings) as stream:
        for number, line in enumerate(byte_lines(stream, settings.largest_record), 1):
            yield number, _record(number, line, settings.largest_record)


def _record(number: int, line: bytes, largest: int) -> Record | Fault:
    if len(line) > largest:
        return Fault(f"too long: line {number}: more than {largest:,} bytes", as_text(line[:RAW_SHOWN]))
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        return Fault(f"bad UTF-8: line {number}: {error.reason}", as_text(line))
    return {"text": text} if text.strip() else Fault(f"empty line: line {number}", text)
