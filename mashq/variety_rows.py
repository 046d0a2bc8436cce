"""Labelled files -> rows: tables, plain text, YAML lists of sentences, a lexicon; and the plan that lists them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash
import yaml

from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest
from mashq.sentences import sentences
from mashq.sources import SourceSettings, read
from mashq.variety.features import folded_text
from mashq.variety.teller import LABELS

__all__ = ["PLAN", "LabelledFile", "Row", "drawn", "labelled", "read_plan", "read_rows", "without_names"]

DATA = Path(__file__).parent / "data" / "variety"
PLAN = DATA / "training.yaml"  # what the shipped model is trained on


@dataclass(frozen=True)
class LabelledFile:
    """One file of labelled texts and how it is read."""

    path: Path
    source: str  # what is left out as a whole in validation; several files may share it
    licence: str = "unknown"
    text_field: str = "text"  # a table's column; of plain text, a text a line, "text"
    label_field: str | None = None  # a table's column; None: `label` stands for all rows
    label: str | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)  # value of the label column -> ours; null: left out
    cut: bool = False  # texts are stories: cut into pieces of one to four sentences
    share: float = 1.0  # of the pieces that are used, chosen by their hash
    weight: float = 1.0  # of each row beside a row of another file
    written: bool = False  # written for this purpose: no evidence that a label is known from life
    trusted: bool = False  # its rows of the standard are all standard: they set the limit for false dialects
    lexicon: bool = False  # a YAML mapping of label -> words


@dataclass(frozen=True)
class Row:
    """One labelled text; rows of one group stay in one fold."""

    text: str
    label: str
    source: str
    group: str
    weight: float = 1.0
    written: bool = False
    trusted: bool = False


def read_plan(path: Path, data: Path | None = None) -> list[LabelledFile]:
    """The files that a YAML plan names: a list of `LabelledFile` fields; paths are relative to the plan, or, where a
    plan says `data:`, to the folder `data`.

    Raises MashqError for an unknown field, and for `data:` without a folder.
    """
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"variety: the plan {path} is not readable as YAML: {error}") from error
    known = {one.name for one in dataclasses.fields(LabelledFile)} | {"data"}
    made = []
    for number, entry in enumerate(loaded if isinstance(loaded, list) else [loaded], 1):
        where = f"variety: {path}, entry {number}"
        if not isinstance(entry, dict):
            raise MashqError(expected_got(where, "names and values", type(entry).__name__))
        for name in entry.keys() - known:
            raise MashqError(f"{where}: there is no field '{name}' ({', '.join(sorted(known))}).{nearest(name, known)}")
        made.append(_entry(dict(entry), path.parent, data, where))
    return made


def _entry(entry: dict[str, Any], here: Path, data: Path | None, where: str) -> LabelledFile:
    if (name := entry.pop("data", None)) is not None:
        if data is None:
            raise MashqError(expected_got(where, "the folder of the published files", "none", "Give --data FOLDER."))
        entry["path"] = data / str(name)
    elif "path" in entry:
        entry["path"] = here / str(entry["path"])
    if missing := {"path", "source"} - entry.keys():
        raise MashqError(expected_got(where, "a path (or data) and a source", f"no {', '.join(sorted(missing))}"))
    if not isinstance(labels := entry.get("labels", {}), dict):
        raise MashqError(expected_got(f"{where}, labels", "values and our labels", type(labels).__name__))
    entry["labels"] = {str(value): label for value, label in labels.items()}  # a column's values are read as text
    return LabelledFile(**entry)


def labelled(
    path: Path,
    *,
    text_field: str = "text",
    label_field: str = "label",
    labels: Sequence[str] = (),
    licence: str = "unknown",
) -> LabelledFile:
    """A file as the command line names it; its source is the file's name without its ending.

    labels: "value=label", what a value of the label column stands for; "value=" leaves its rows out. A value that is
    one of our labels needs none. Raises MashqError for one without "=" or value, of an unknown label, or said twice,
    and for a file that has no columns (plain text, YAML), which a plan is to name.
    """
    if path.suffix.lower() in (".txt", ".yaml", ".yml"):
        do = f"Name its label in a plan, given as --plan: - {{path: {path.name}, source: {path.stem}, label: gulf}}"
        raise MashqError(expected_got(f"variety: {path}", "a table with a column of labels", path.suffix, do))
    known: dict[str, str | None] = {}
    for said in labels:
        value, sign, label = (part.strip() for part in said.rpartition("="))
        where = f"variety: the label '{said}' of {path}"
        if not sign or not value:
            raise MashqError(expected_got(where, "value=label, as egypt=egyptian", f"'{said}'"))
        if label and label not in LABELS:
            do = f"To leave its rows out, write '{value}='.{nearest(label, LABELS)}"
            raise MashqError(expected_got(where, f"one of {', '.join(LABELS)} after '='", f"'{label}'", do))
        if value in known and known[value] != (label or None):
            before = f"'{known[value]}'" if known[value] else "nothing"
            raise MashqError(f"{where}: '{value}' already stands for {before}. Say it once.")
        known[value] = label or None
    return LabelledFile(path, path.stem, licence=licence, text_field=text_field, label_field=label_field, labels=known)


def read_rows(file: LabelledFile, labels: Sequence[str] = LABELS) -> list[Row]:
    """The labelled texts of one file; those without an Arabic letter are left out.

    Raises MashqError, with row and column, for a record without text or label and for an unknown label.
    """
    if not file.path.is_file():
        raise MashqError(expected_got(f"variety: {file.path}", "a file", "none"))
    made = _of_yaml(file, labels) if file.path.suffix in (".yaml", ".yml") else _of_source(file, labels)
    pieces = [piece for row in made for piece in (_cut(row, file.share) if file.cut else [row])]
    return [row for row in pieces if folded_text(row.text)]


def _row(file: LabelledFile, text: str, label: str, group: str) -> Row:
    return Row(text, label, file.source, group, file.weight, file.written, file.trusted)


def _of_source(file: LabelledFile, labels: Sequence[str]) -> list[Row]:
    settings = SourceSettings(text_field=file.text_field, variety_field=file.label_field)
    made: list[Row] = []
    number = 0
    for table in read(file.path, settings):
        columns = (table[name].to_pylist() for name in ("text", "variety", "dropped"))
        for text, value, dropped in zip(*columns, strict=True):
            number += 1
            where = f"variety: {file.path}, row {number}"
            if dropped or not isinstance(text, str):
                raise MashqError(f"{where}: {dropped or 'no text'}. Mend the file, or leave the row out.")
            label = _known(where, file, value if file.label_field else file.label, labels)
            if label is not None:
                made.append(_row(file, text, label, _group(file, text, number)))
    return made


def _group(file: LabelledFile, text: str, number: int) -> str:
    """A story is a group; other texts are one with those of equal folded text."""
    return f"{file.path.name}:{number}" if file.cut else folded_text(text)


def _known(where: str, file: LabelledFile, value: Any, labels: Sequence[str]) -> str | None:
    """Our label of a value, None for one that is to be left out."""
    value = str(value) if value is not None else ""
    if value in file.labels:
        value = file.labels[value] or ""
        if not value:
            return None
    if value not in labels:
        column = f"column '{file.label_field}'" if file.label_field else "label"
        do = f"Map it with `labels`, to null to leave its rows out.{nearest(value, labels)}"
        raise MashqError(expected_got(f"{where}, {column}", f"one of {', '.join(labels)}", f"'{value}'", do))
    return value


def _of_yaml(file: LabelledFile, labels: Sequence[str]) -> list[Row]:
    """A lexicon (label -> words), or a list of {text, genre}: the genre is the group."""
    try:
        loaded = yaml.safe_load(file.path.read_text("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"variety: {file.path} is not readable as YAML: {error}") from error
    if file.lexicon and isinstance(loaded, dict):
        for label in loaded:
            _known(f"variety: {file.path}", dataclasses.replace(file, label=label), label, labels)
        pairs = [(label, word) for label, words in loaded.items() for word in folded_text(str(words)).split()]
        return [_row(file, word, label, word) for label, word in dict.fromkeys(pairs)]
    if not isinstance(loaded, list):
        kind = "a mapping of labels to words" if file.lexicon else "a list of {text, genre}"
        raise MashqError(expected_got(f"variety: {file.path}", kind, type(loaded).__name__))
    made = []
    for number, entry in enumerate(loaded, 1):
        where = f"variety: {file.path}, row {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise MashqError(expected_got(where, "text and genre", str(entry)[:80]))
        label = _known(where, file, file.label, labels)
        if label is not None:
            made.append(_row(file, entry["text"], label, f"genre:{entry.get('genre', '')}"))
    return made


def _cut(row: Row, share: float) -> list[Row]:
    """A story in pieces of one, one, two or four sentences, by the hash of the first; a share of them."""
    said = [part for sentence in sentences(row.text) if len((part := sentence.strip()).split()) > 1]
    made, start = [], 0
    while start < len(said):
        number = drawn(said[start])
        size = (1, 1, 2, 4)[number % 4]
        if (number >> 8) % 1000 < share * 1000:
            made.append(dataclasses.replace(row, text=" ".join(said[start : start + size])))
        start += size
    return made


def drawn(text: str) -> int:
    """A number below 2**64 that depends on a text alone."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


@functools.cache
def _names() -> re.Pattern[str]:
    """Names as whole words of a folded text, with what may be joined to them."""
    listed = parsed("variety/names")["names"].split()
    return re.compile(rf"\b(?:[وف]?(?:[بلك]?ال|لل|[بلك])?)(?:{'|'.join(sorted(set(listed), key=len, reverse=True))})\b")


def without_names(text: str) -> str:
    """A text as it is counted, its names of places, peoples and public persons (data/variety/names.yaml) left out."""
    return _names().sub(" ", folded_text(text))
