"""The shapes that sources come in: the one list of readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mashq.rows import MashqError, nearest
from mashq.sources import delimited, json_document, jsonl, lines, natural_instructions, squad, tables, xlsx
from mashq.sources.settings import Fault, Record, SourceSettings, Told, Where

__all__ = ["SHAPES", "Shape", "endings", "register", "shape_named"]


@dataclass(frozen=True)
class Shape:
    """One way in which records are published in a file.

    `records(path, settings)` gives every record in file order with its place, a `Told` for one whose columns it knows,
    a `Fault` for one that cannot be used, and raises MashqError for a file that cannot be read. It holds one record at
    a time where the format allows.
    """

    name: str
    about: str  # one line for the docs
    records: Callable[[Path, SourceSettings], Iterator[tuple[Where, Record | Told | Fault]]]
    endings: tuple[str, ...] = ()  # of file names, with the dot, in lower case; none: told from the content or given
    gzip: bool = False  # the endings may be followed by .gz
    unit: str = "record"  # what an integer place counts: line, row, record
    defaults: Mapping[str, str] = field(default_factory=dict)  # fields that this shape always has: setting -> field
    split_in_name: bool = True  # False: a file's own name is a task's, in which "evaluation" is no split


_SHAPES: dict[str, Shape] = {}
SHAPES: Mapping[str, Shape] = MappingProxyType(_SHAPES)


def register(shape: Shape) -> Shape:
    """Make a shape known. Raises MashqError where its name or an ending of it is taken."""
    if shape.name in _SHAPES:
        raise MashqError(f"sources: there is a shape named '{shape.name}' already. Choose another name.")
    for other in _SHAPES.values():
        for ending in set(shape.endings) & set(other.endings):
            raise MashqError(
                f"sources: the ending '{ending}' of '{shape.name}' belongs to '{other.name}'. Leave it out and give"
                f" shape='{shape.name}'."
            )
    _SHAPES[shape.name] = shape
    return shape


def shape_named(name: str) -> Shape:
    """The shape of a name. Raises MashqError with the known ones."""
    if name not in _SHAPES:
        raise MashqError(f"sources: shape: expected one of {', '.join(_SHAPES)}, got '{name}'.{nearest(name, _SHAPES)}")
    return _SHAPES[name]


def endings(shape: Shape) -> tuple[str, ...]:
    """Every ending that a shape's files may have."""
    return shape.endings + (tuple(ending + ".gz" for ending in shape.endings) if shape.gzip else ())


register(
    Shape(
        "csv",
        "comma, semicolon or bar between fields; a header line, or given names",
        delimited.records,
        (".csv",),
        gzip=True,
        unit="line",
    )
)
register(
    Shape(
        "tsv",
        "a tab between fields; a header line, or given names",
        delimited.records,
        (".tsv", ".tab"),
        gzip=True,
        unit="line",
    )
)
register(Shape("jsonl", "a JSON object on every line", jsonl.records, (".jsonl", ".ndjson"), gzip=True, unit="line"))
register(
    Shape(
        "json",
        "one JSON document with a list of objects, or with columns",
        json_document.records,
        (".json",),
        gzip=True,
    )
)
register(
    Shape(
        "squad",
        "JSON with articles, paragraphs, questions and answers",
        squad.records,
        defaults={"key_field": "id", "group_field": "title"},
    )
)
register(
    Shape(
        "natural_instructions",
        "JSON with a task's definition, examples and instances",
        natural_instructions.records,
        unit="instance",
        split_in_name=False,
    )
)
register(Shape("parquet", "Parquet", tables.parquet_records, (".parquet",), unit="row"))
register(Shape("arrow", "Arrow, stream or file format", tables.arrow_records, (".arrow", ".feather"), unit="row"))
register(Shape("xlsx", "one sheet of an Excel workbook", xlsx.records, (".xlsx", ".xlsm"), unit="row"))
register(Shape("text", "plain text, a record on every line", lines.records, (".txt", ".text"), gzip=True, unit="line"))
