"""One JSON document that holds a list of records: bare, under a key, as columns, or numbered as pandas writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mashq.rows import MashqError
from mashq.sources.files import as_text, read_whole
from mashq.sources.jsonl import decode, kind_of
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["decoded", "document", "records"]


def document(path: Path, settings: SourceSettings) -> Any:
    """The value of a JSON file. Raises MashqError where it is not JSON, with the line."""
    return decoded(path, read_whole(path, settings))


def decoded(path: Path, data: bytes) -> Any:
    """The value of a JSON file's bytes. Raises MashqError where they are not JSON, with the line."""
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        raise MashqError(
            f"{path}: the JSON holds bytes that are not UTF-8 ({error.reason}). Convert the file, or give encoding=…."
        ) from error
    except RecursionError as error:
        raise MashqError(f"{path}: the JSON is nested too deep to be read, expected a list of objects.") from error
    except ValueError as error:
        raise MashqError(
            f"{path}: expected one JSON document, got {error}{_place(data, str(error))}. If every line is an object of"
            " its own, give shape='jsonl'."
        ) from error


def _place(data: bytes, message: str) -> str:
    """Where msgspec's `(byte N)` lies, as line and excerpt."""
    digits = message.rpartition("(byte ")[2].rstrip(")")
    if not digits.isdigit():
        return f" at the end, after {len(data):,} bytes: the file is truncated" if "truncated" in message else ""
    at = int(digits)
    return f", line {data.count(10, 0, at) + 1} near {as_text(data[max(0, at - 20) : at + 20])!r}"


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The objects of the list with their number. Raises MashqError where no one list of objects can be told."""
    data = read_whole(path, settings)
    for number, item in enumerate(_items(path, data, settings), 1):
        if isinstance(item, msgspec.Raw):
            item = _alone(number, bytes(item))
        if isinstance(item, (dict, Fault)):
            yield number, item
        else:
            raw = msgspec.json.encode(item).decode()
            yield number, Fault(f"wrong type: record {number}: expected an object, got {kind_of(item)}", raw)


def _items(path: Path, data: bytes, settings: SourceSettings) -> list[Any]:
    """The list of records; still undecoded where one of them holds bytes that are not UTF-8."""
    try:
        value = decoded(path, data)
    except MashqError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError) or not data.lstrip().startswith(b"["):
            raise
        try:
            return msgspec.json.decode(data, type=list[msgspec.Raw])
        except (ValueError, RecursionError):  # broken beside its bad bytes: what was said first is what helps
            raise error from None
    for part in settings.entry.split(".") if settings.entry else ():
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(value) if isinstance(value, dict) else kind_of(value)
            raise MashqError(f"{path}: entry '{settings.entry}' is not there: '{part}' is none of ({known}).")
        value = value[part]
    return _listed(path, value)


def _alone(number: int, data: bytes) -> Any:
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        return Fault(f"bad UTF-8: record {number}: {error.reason}", as_text(data))
    except (ValueError, RecursionError) as error:
        return Fault(f"unparsable: record {number}: {error}", as_text(data))


def _listed(path: Path, value: Any) -> list[Any]:
    if isinstance(value, list):
        if value and not any(isinstance(item, dict) for item in value):
            raise MashqError(
                f"{path}: expected a list of objects, got a list of which the first is {kind_of(value[0])}."
            )
        return value
    if not isinstance(value, dict):
        raise MashqError(f"{path}: expected a list of objects, got {kind_of(value)}.")
    lists = {key: item for key, item in value.items() if isinstance(item, list)}
    tables = [key for key, item in lists.items() if any(isinstance(part, dict) for part in item)]
    if len(lists) == len(value) > len(tables) and len({len(item) for item in lists.values()}) == 1:
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if len(tables) == 1:
        return lists[tables[0]]
    if tables:
        raise MashqError(
            f"{path}: holds several lists of objects ({', '.join(tables)}). Choose one with entry='{tables[0]}'."
        )
    if value and all(isinstance(item, dict) for item in value.values()):
        return _numbered(value)
    raise MashqError(
        f"{path}: expected a list of objects, got an object with {', '.join(list(value)[:12]) or 'nothing in it'}."
        " Name the list with entry=…."
    )


def _numbered(value: dict[str, dict[str, Any]]) -> list[Any]:
    """pandas' `columns` layout (column -> index -> cell) or `index` layout (index -> record), told by the digits."""
    inner = list(value.values())
    if all(key.isdigit() for key in inner[0]) and inner[0] and not all(key.isdigit() for key in value):
        return [{name: cells.get(index) for name, cells in value.items()} for index in inner[0]]
    return inner
