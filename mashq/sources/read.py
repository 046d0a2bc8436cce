"""A source -> raw rows: records become tables of the one schema, bad records become dropped rows with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from mashq.rows import ID, SCHEMA, MashqError, conform, id_hexes, id_words, nearest, source_ids
from mashq.sources.conversations import conversation_field, messages_of
from mashq.sources.jsonl import decode, kind_of
from mashq.sources.layout import Part, parts
from mashq.sources.registry import SHAPES, endings
from mashq.sources.settings import SPLITS, Fault, Record, SourceSettings, Told, Where
from mashq.sources.splitfiles import SplitFiles

__all__ = ["ROWS", "lookup", "read", "row_of", "source_name"]

ROWS = 4_096  # rows in a table at most
TABLE_BYTES = 64 << 20  # bytes of content after which a table is closed before it has so many rows
RAW_SHOWN = 2_000  # bytes kept of a record that is too long to keep
COLUMNS = ("group", "split", "variety", "licence", "text", "messages", "meta", "dropped")
TOLD = tuple(name for name in SCHEMA.names if name not in (*COLUMNS, "id"))  # columns that only a `Told` record fills
NOTHING: Mapping[str, Any] = {}
_TRUE = frozenset({"true", "yes", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "0", "f", "n"})


def read(location: str | Path, settings: SourceSettings | None = None) -> Iterator[pa.Table]:
    """The raw rows of a source, in file order, in tables of at most `ROWS` rows of `rows.SCHEMA`.

    `meta` is the record as a JSON object with its fields in file order (without a conversation, which is in
    `messages`), `text` the named text field. Ids are made from the key field where one is named, else from the position
    in the file. A record that cannot be used is a row with `dropped` set: its fields in `meta`, or what could be read
    of it in `text`; one that the settings leave out has its content in the source only.
    Memory stays flat for CSV, TSV, JSON lines, Parquet, Arrow and text; with a key field it grows by about 150 bytes a
    record, because keys must be unique.

    Raises MashqError for a source that cannot be read: before the first table wherever the file's beginning tells, else
    when the fault is reached (a truncated gzip file). A source without any record is an error too.
    """
    settings = settings or SourceSettings()
    found = parts(location, settings)
    if settings.split_files and len(found) > 1:
        raise MashqError(
            f"{location}: split_files name rows of one file, but this is a folder of {len(found)} files. Give the one"
            " file."
        )
    reading = _Reading(settings, settings.source or source_name(location))
    for part in found:
        yield from reading.part(part)
    if reading.rows == 0:
        raise MashqError(f"{location}: the source holds no record. Check that it was fetched whole.")


def source_name(location: str | Path) -> str:
    """The name on the hub, or the last name of a path without known endings: `data/arcd.json.gz` -> `arcd`."""
    text = str(location)
    if text.startswith("hf://"):
        return text.split("/")[4].partition("@")[0]
    name = Path(text).expanduser().absolute().name
    for ending in sorted((ending for shape in SHAPES.values() for ending in endings(shape)), key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def row_of(part: Part, settings: SourceSettings, position: int, record: Record) -> dict[str, Any]:
    """The row that `read` makes of one record of a file, at this position counted from 0."""
    builder = _Builder(_Reading(settings, settings.source or source_name(part.path)), part)
    builder.position = position
    builder.add(position + 1, record)
    row: dict[str, Any] = builder.table().to_pylist()[0]
    return row


def lookup(record: Record, name: str) -> Any:
    """The value of a field, or of a field inside objects (`question.stem`); raises KeyError where there is none."""
    if name in record:
        return record[name]
    value: Any = record
    for step in name.split("."):
        if not isinstance(value, dict):
            raise KeyError(name)
        value = value[step]
    return value


class _Reading:
    """What lasts from file to file of one source: its settings, the keys seen, the rows made."""

    def __init__(self, settings: SourceSettings, source: str):
        self.settings, self.source = settings, source
        self.splits = SplitFiles(settings) if settings.split_files else None
        self.seen: dict[str | None, set[bytes]] = {}  # split of a file -> digests of the keys in it
        self.rows = 0

    def part(self, part: Part) -> Iterator[pa.Table]:
        """The tables of one file."""
        builder = _Builder(self, part)
        for where, record in part.shape.records(part.path, self.settings):
            builder.add(where, record)
            if len(builder.rows) == ROWS or builder.bytes > TABLE_BYTES:
                yield self._next_table(builder)
        if builder.rows:
            yield self._next_table(builder)
        self.rows += builder.position
        if self.splits:
            self.splits.check_end(builder.position)

    def _next_table(self, builder: _Builder) -> pa.Table:
        if builder.position == 0:
            builder.refuse_absent_fields()
        return builder.table()


class _Refused(Exception):
    """Why a record cannot be a kept row."""


class _Builder:
    """Records of one file -> tables. Each row is a tuple in the order of `COLUMNS`."""

    def __init__(self, reading: _Reading, part: Part):
        self.reading, self.part, self.settings = reading, part, reading.settings
        settings, defaults = self.settings, part.shape.defaults
        self.key, self.key_named = settings.key_field or defaults.get("key_field"), settings.key_field is not None
        self.group = settings.group_field or defaults.get("group_field")
        self.version = settings.version + (f"|{part.name}" if part.name else "")
        self.seen = reading.seen.setdefault(part.split, set())
        self.own_ids: set[bytes] = set()
        self.position = 0  # of the first record of the next table in the file
        self.clear()

    def clear(self) -> None:
        """Begin the next table."""
        self.rows: list[tuple[Any, ...]] = []
        self.keys: list[str | None] = []
        self.told: list[Mapping[str, Any]] = []
        self.good = self.bytes = 0
        self.absent: dict[str, int] = {}

    # -- one record --

    def add(self, where: Where, item: Record | Told | Fault) -> None:
        """Take one record or fault as the next row."""
        if isinstance(item, Fault):
            self._add_refused(item.reason, item.raw or None, item.record)
            return
        self.good += 1
        record, told = (item.record, item.columns) if isinstance(item, Told) else (item, NOTHING)
        try:
            self._add_kept(record, told, item.key if isinstance(item, Told) else None)
        except _NotSelected as error:
            self._add_refused(f"not selected: {self._place(where)}: {error}", None, None)
        except _Refused as error:
            kind, _, rest = str(error).partition(": ")
            self._add_refused(f"{kind}: {self._place(where)}: {rest}", None, record)

    def _place(self, where: Where) -> str:
        return f"{self.part.shape.unit} {where}" if isinstance(where, int) else where

    def _add_kept(self, record: Record, told: Mapping[str, Any], own_key: str | None) -> None:
        settings = self.settings
        for name, kind in settings.types.items():
            self._convert(record, name, kind)
        key = self._key(record) or own_key
        text = self._text(record) if settings.text_field else told.get("text")
        group = self._group(record) if self.group else told.get("group")
        split = self._split(record) if settings.split_field else told.get("split", settings.split or self.part.split)
        variety, licence = told.get("variety", settings.variety), told.get("licence", settings.licence)
        if settings.variety_field:
            value = self._word(record, settings.variety_field, "variety_field")
            variety = settings.varieties.get(value, value)
        if settings.licence_field:
            licence = self._word(record, settings.licence_field, "licence_field")
        messages = told.get("messages")
        field = settings.messages_field or (None if told else conversation_field(record))
        meta = record
        if field:
            messages = self._messages(record, field)
            meta = {name: value for name, value in record.items() if name != field}
        encoded = told["meta"] if "meta" in told else self._encode(meta)
        size = len(encoded or "") + (sum(len(turn["content"]) for turn in messages) if messages else 0)
        if size > settings.largest_record:
            raise _Refused(f"too long: {size:,} bytes > {settings.largest_record:,}")
        if key is not None:
            self._claim(key)
        if "id" in told:
            self._claim_id(told["id"])
        self.keys.append(key)
        self.told.append(told)
        self.rows.append((group, split, variety, licence, text, messages, encoded, None))
        self.bytes += size

    def _add_refused(self, reason: str, raw: str | None, record: Record | None) -> None:
        encoded = None
        if record is not None:
            try:
                encoded = self._encode(record)
            except _Refused:
                raw = repr(record)
        if encoded is not None and len(encoded) > self.settings.largest_record:
            raw, encoded = encoded[:RAW_SHOWN].decode("utf-8", "ignore"), None
        self.keys.append(None)
        self.told.append(NOTHING)
        split = self.settings.split or self.part.split
        group = record.get(self.group) if record is not None and self.group else None
        group = group if isinstance(group, str) else None
        self.rows.append((group, split, self.settings.variety, self.settings.licence, raw, None, encoded, reason))
        self.bytes += len(encoded or b"") + len(raw or "")

    def _value(self, record: Record, name: str, setting: str) -> Any:
        """The value of a field that must be there and hold something."""
        try:
            value = lookup(record, name)
        except KeyError:
            self.absent[name] = self.absent.get(name, 0) + 1
            raise _Refused(f"missing field: no '{name}' ({setting})") from None
        if value is None or value == "":
            raise _Refused(f"missing field: '{name}' is empty ({setting})")
        return value

    def _word(self, record: Record, name: str, setting: str) -> str:
        value = self._value(record, name, setting)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise _Refused(f"wrong type: '{name}' is {kind_of(value)}, expected text or a whole number ({setting})")
        return str(value)

    def _text(self, record: Record) -> str:
        name = str(self.settings.text_field)
        value = lookup(record, name) if name in record else self._value(record, name, "text_field")
        if value is None:
            raise _Refused(f"missing field: '{name}' is null (text_field)")
        if not isinstance(value, str):
            raise _Refused(f"wrong type: '{name}' is {kind_of(value)}, expected text (text_field)")
        return value

    def _key(self, record: Record) -> str | None:
        if self.key is None or not (self.key_named or record.get(self.key) not in (None, "")):
            return None
        key = self._word(record, self.key, "key_field")
        if not key.startswith(self.settings.key_prefix):
            raise _NotSelected(f"the key '{key[:40]}' does not begin with '{self.settings.key_prefix}'")
        return key

    def _claim(self, key: str) -> None:
        digest = xxhash.xxh3_128_digest(key.encode())
        if digest in self.seen:
            raise _Refused(f"duplicate id: '{key[:80]}' stands on an earlier record")
        self.seen.add(digest)

    def _claim_id(self, own: bytes) -> None:
        if own in self.own_ids:
            raise _Refused(f"duplicate id: {own.hex()} stands on an earlier record")
        self.own_ids.add(own)

    def _group(self, record: Record) -> str:
        return self._word(record, str(self.group), "group_field")

    def _split(self, record: Record) -> str:
        value = self._word(record, str(self.settings.split_field), "split_field")
        split = self.settings.splits.get(value) or SPLITS.get(value.strip().lower())
        if split is None:
            raise _Refused(
                f"unknown split: '{value[:40]}', expected one of {', '.join(dict.fromkeys(SPLITS))}; name others with"
                " splits=…"
            )
        return split

    def _messages(self, record: Record, field: str) -> list[dict[str, str]]:
        value = record[field] if field in record else self._value(record, field, "messages_field")
        messages = messages_of(value)
        if isinstance(messages, str):
            raise _Refused(messages)
        return messages

    def _convert(self, record: Record, name: str, kind: str) -> None:
        """Give a top-level field its named type, in place; an empty text is null for every type but text."""
        if name not in record:
            self.absent[name] = self.absent.get(name, 0) + 1
            raise _Refused(f"missing field: no '{name}' (types)")
        record[name] = _typed(name, record[name], kind)

    def _encode(self, record: Record) -> bytes:
        try:
            return _ENCODER.encode(record)
        except OverflowError:  # whole numbers beyond 64 bits, which JSON has and msgspec does not write
            return json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str).encode()
        except (UnicodeEncodeError, RecursionError) as error:
            raise _Refused(f"unparsable: a text cannot be written as UTF-8 ({error})") from None

    # -- one table --

    def refuse_absent_fields(self) -> None:
        """Raise MashqError where a named field is in no record at all: then the setting is wrong, not the records."""
        for name, count in self.absent.items():
            if count == self.good:
                known = list(_decoded_meta(self.rows[0])) if self.rows else []
                raise MashqError(
                    f"{self.part.path}: {self.settings.named_fields()[name]} names the field '{name}', which none of"
                    f" the first {count}"
                    f" records has ({', '.join(known)}).{nearest(name, known)}"
                )

    def table(self) -> pa.Table:
        """The rows so far as a table; begins the next one."""
        position, splits = self.position, self.reading.splits
        rows = self._with_split_files(splits.of(position, len(self.rows)), position) if splits else self.rows
        columns = {name: list(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}
        columns["source"] = [self.reading.source] * len(rows)
        for name in {name for told in self.told for name in told} & set(TOLD):
            default = self.reading.source if name == "source" else None
            columns[name] = [told.get(name, default) for told in self.told]
        ids = self._ids(position)
        hexes = id_hexes(ids).to_pylist()
        columns["group"] = [group or own for group, own in zip(columns["group"], hexes, strict=True)]
        made = conform({**columns, "id": ids}, str(self.part.path))
        self.position += len(rows)
        self.clear()
        return made

    def _with_split_files(self, splits: list[str | None], position: int) -> list[tuple[Any, ...]]:
        rows = []
        for offset, (row, split) in enumerate(zip(self.rows, splits, strict=True)):
            if split is None and row[-1] is None:
                index = position + offset + self.settings.first_index
                self.told[offset] = NOTHING
                rows.append(
                    (
                        *row[:1],
                        None,
                        *row[2:4],
                        None,
                        None,
                        None,
                        f"not selected: row {index} is in none of the split files",
                    )
                )
            else:
                rows.append((*row[:1], split or row[1], *row[2:]))
        return rows

    def _ids(self, position: int) -> pa.Array:
        """Ids from keys where records have them; a key is unique in the split of its file, as it is published."""
        ids = source_ids(self.reading.source, self.version, start=position, n=len(self.keys))
        keyed = np.array([key is not None for key in self.keys])
        owned = np.array(["id" in told for told in self.told])
        if not keyed.any() and not owned.any():
            return ids
        version = self.settings.version + (f"|{self.part.split}" if self.part.name and self.part.split else "")
        words = id_words(ids).copy()
        words[keyed] = id_words(source_ids(self.reading.source, version, [key for key in self.keys if key is not None]))
        words[owned] = id_words(pa.array([told["id"] for told in self.told if "id" in told], ID))
        return pa.FixedSizeBinaryArray.from_buffers(ID, len(words), [None, pa.py_buffer(words.tobytes())])


class _NotSelected(Exception):
    """A record that the settings leave out: its content stays in the source."""


def _decoded_meta(row: tuple[Any, ...]) -> Record:
    return decode(row[COLUMNS.index("meta")] or b"{}")


def _typed(name: str, value: Any, kind: str) -> Any:
    """A value as the named type, from text. Raises _Refused where it is not one."""
    if kind == "text":
        return value if value is None or isinstance(value, str) else str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return _CONVERT[kind](value)
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise _Refused(f"wrong type: '{name}' is {str(value)[:40]!r}, expected {_EXPECTED[kind]}") from None


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _int(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _json(value: Any) -> Any:
    return decode(value.encode()) if isinstance(value, str) else value


_CONVERT: dict[str, Callable[[Any], Any]] = {"bool": _bool, "int": _int, "float": float, "json": _json}
_EXPECTED = {"bool": "true or false, yes or no, 1 or 0", "int": "a whole number", "float": "a number", "json": "JSON"}
_ENCODER = msgspec.json.Encoder(enc_hook=str)
