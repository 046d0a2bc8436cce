"""JSON: the one decoder, and files with an object on every line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mashq.rows import MashqError
from mashq.sources.files import as_text, byte_lines, open_utf8
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["decode", "kind_of", "records", "undecoded"]

RAW_SHOWN = 2_000  # characters kept of a line that is too long to keep
LINES_BELIEVED = 1_000  # when none of the first lines is JSON, the file is not JSON lines

_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def kind_of(value: Any) -> str:
    """A JSON value's type in words."""
    return _KINDS.get(type(value), "null" if value is None else type(value).__name__)


def decode(data: bytes) -> Any:
    """JSON -> value. NaN and the infinities, which Python writes and JSON does not have, are null.

    Raises ValueError (UnicodeDecodeError where the bytes are not UTF-8) or RecursionError.
    """
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        raise
    except msgspec.DecodeError:
        if b"NaN" not in data and b"Infinity" not in data:
            raise
        return json.loads(data, parse_constant=lambda _: None)


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The object on every line with the line's number; blank lines are no records.

    Raises MashqError where not one of the first 1,000 lines is a JSON object, and as `open_utf8` does.
    """
    good, refused = 0, []
    with open_utf8(path, settings) as stream:
        for number, line in enumerate(byte_lines(stream, settings.largest_record), 1):
            if not line.strip():
                continue
            record = _record(number, line, settings.largest_record)
            if good:
                yield number, record
                continue
            refused.append((number, record))
            good += isinstance(record, dict)
            if good:
                yield from refused
            elif len(refused) == LINES_BELIEVED:
                break
    if not good:
        raise MashqError(
            f"{path}: expected a JSON object on every line, got none{_first_reason(refused)}. Check that the file is"
            " JSON lines."
        )


def _first_reason(refused: list[tuple[int, Any]]) -> str:
    return f" ({refused[0][1].reason})" if refused else " but blank lines"


def undecoded(where: str, data: bytes, error: Exception) -> Fault:
    """What `decode` raised -> the fault of the record it stands in."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(f"bad UTF-8: {where}: {error.reason}", as_text(data))
    return Fault(f"unparsable: {where}: {error}", as_text(data))


def _record(number: int, line: bytes, largest: int) -> Record | Fault:
    if len(line) > largest:
        return Fault(f"too long: line {number}: more than {largest:,} bytes", as_text(line[:RAW_SHOWN]))
    try:
        record = decode(line)
    except (ValueError, RecursionError) as error:
        return undecoded(f"line {number}", line, error)
    if not isinstance(record, dict):
        return Fault(f"wrong type: line {number}: expected an object, got {kind_of(record)}", as_text(line))
    return record
