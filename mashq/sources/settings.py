"""How a source is read: its settings, what one record is, and what a bad record is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mashq.rows import MashqError, nearest

__all__ = ["QUOTES", "SPLITS", "TYPES", "Fault", "Record", "SourceSettings", "Told", "Where"]

Record = dict[str, Any]  # field -> value, in file order; values are what JSON can hold
Where = int | str  # the line, record or row of a file, counted from 1, or words for a place inside nested data

# The names under which splits are published -> the three of a row.
SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
QUOTES = ("auto", "csv", "literal")
EXAMPLES_AS = ("turns", "prompt")
TYPES = ("text", "bool", "int", "float", "json")
_FIELDS = (
    "text_field",
    "key_field",
    "group_field",
    "messages_field",
    "variety_field",
    "split_field",
    "licence_field",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that cannot be used: the reason, and all that could be read of it (`raw`, and the fields if any)."""

    reason: str
    raw: str = ""
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A record whose shape says more than its fields: `columns` of `rows.SCHEMA` by name, which its row then has.

    The record becomes `meta`, unless the columns hold that too. A `*_field` of the settings goes before a column told
    so, a default of theirs after it. With `id` among the columns (16 bytes, unique in the file) the row keeps it.
    """

    record: Record
    columns: Mapping[str, Any]
    key: str | None = None  # the record's own key, where no key_field is named


@dataclass(frozen=True)
class SourceSettings:
    """How one source is read. Every field has a default that fits the plainest file of its shape.

    A `*_field` names a field of the record; a dot goes into an object (`question.stem`). Fields are required once
    named: a table without the column is an error, a record without the field is a dropped row.

    Raises MashqError for a value that no source understands.
    """

    shape: str | None = None  # None: told from name and content; else one of `mashq.sources.SHAPES`
    source: str | None = None  # name of the data set; None: the file's name without its endings. Part of every id
    version: str = ""  # of the data set; part of every id
    licence: str | None = None  # SPDX where there is one
    split: str | None = None  # train | validation | test; None: the word in the file's name, if it says one
    variety: str | None = None  # msa | egyptian | moroccan | gulf | levantine | ...

    text_field: str | None = None  # the field that is the plain text of the record
    key_field: str | None = None  # the record's own key, unique in a split; None: the position in the file is the key
    group_field: str | None = None  # what must never straddle splits; None: the record itself (SQuAD: the article)
    messages_field: str | None = None  # a conversation; None: `messages` or `conversations` where a record has one
    variety_field: str | None = None
    split_field: str | None = None
    licence_field: str | None = None
    varieties: Mapping[str, str] = field(default_factory=dict)  # value of variety_field -> name in a row
    splits: Mapping[str, str] = field(default_factory=dict)  # value of split_field -> name in a row, beside the usual
    types: Mapping[str, str] = field(default_factory=dict)  # field -> text | bool | int | float | json, from text

    key_prefix: str = ""  # keep only keys that begin so: "arabic-" where one file holds many languages
    split_files: Mapping[str, str] = field(default_factory=dict)  # split -> file of row indices
    first_index: int = 0  # the index that split files give to the first record: 0 or 1

    columns: tuple[str, ...] | None = None  # CSV, TSV, XLSX: names of the columns of a file without a header
    delimiter: str | None = None  # CSV, TSV: one character; None: tab for .tsv, else told from the first line
    quotes: str = "auto"  # CSV, TSV: "csv" (RFC 4180), "literal" (quotes are text), "auto" (told from the first 1 MiB)
    sheet: str | None = None  # XLSX: name of the sheet; None: the only one that holds cells
    entry: str | None = None  # JSON: where the list of records stands, e.g. "data.items"; None: the only list there is
    examples: int = 0  # Super-NaturalInstructions: positive examples before each input, fewer where a task has fewer
    examples_as: str = "turns"  # Super-NaturalInstructions: "turns" of the conversation, or inside the "prompt"
    encoding: str = "utf-8"  # of text files; UTF-16 and UTF-8 byte order marks are understood without being named
    largest_record_mb: int = 16  # MB: a larger record is a dropped row, so that a broken quote cannot fill the memory
    largest_file_mb: int = 2048  # MB after unpacking: for JSON documents and XLSX, which cannot be read as a stream

    def __post_init__(self) -> None:
        if isinstance(self.columns, list):
            object.__setattr__(self, "columns", tuple(self.columns))
        _one_of("quotes", self.quotes, QUOTES)
        _one_of("examples_as", self.examples_as, EXAMPLES_AS)
        if self.examples < 0:
            raise MashqError(f"sources: examples: expected 0 or more, got {self.examples}.")
        for name in (self.split, *self.splits.values(), *self.split_files):
            if name is not None:
                _one_of("split", name, ("train", "validation", "test"))
        for name, kind in self.types.items():
            _one_of(f"types['{name}']", kind, TYPES)
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise MashqError(f"sources: delimiter: expected one character, got {self.delimiter!r}.")
        if self.columns is not None and len(set(self.columns)) != len(self.columns):
            raise MashqError(f"sources: columns: expected different names, got {', '.join(self.columns)}.")
        if self.largest_record_mb < 1 or self.largest_file_mb < 1:
            raise MashqError("sources: largest_record_mb and largest_file_mb: expected at least 1.")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise MashqError(
                f"sources: encoding: no codec named '{self.encoding}'. Arabic files not in utf-8 are most often cp1256."
            ) from error

    @property
    def largest_record(self) -> int:
        """Bytes that one record may have."""
        return self.largest_record_mb << 20

    def named_fields(self) -> dict[str, str]:
        """The fields that every record must have -> the setting that says so."""
        named = {getattr(self, setting): setting for setting in _FIELDS if getattr(self, setting) is not None}
        return named | {name: "types" for name in self.types if name not in named}


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MashqError(f"sources: {what}: expected one of {', '.join(known)}, got '{value}'.{nearest(value, known)}")
