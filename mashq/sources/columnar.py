"""Parquet files as columns: the same raw ids as `read` gives, without a Python object for a record.

For published tables of millions of rows, whose fields templates take as they are. What needs a record to be looked at
(a key, group, split or text field, types, split files) is `read`'s work; `column_slices` says so. `raw_row` finds one
record again by its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mashq.rows import ID, MashqError, expected_got, id_words, source_ids
from mashq.sources.exported import is_exported
from mashq.sources.layout import Part, parts
from mashq.sources.read import row_of, source_name
from mashq.sources.registry import SHAPES
from mashq.sources.settings import Fault, Record, SourceSettings
from mashq.sources.tables import records_of

__all__ = ["Columns", "column_slices", "raw_row", "read_columns", "record_of"]

ROWS_AT_ONCE = 4_096  # rows of a table: what is rendered at a time
ROWS_PER_SLICE = 100_000  # row groups are put together until a slice has so many rows
SLICE = frozenset({"path", "source", "version", "split", "content", "first", "last", "start", "rows"})


@dataclass(frozen=True)
class Columns:
    """n raw records as columns: their ids, fields and split; `faults` has the reason of each that cannot be used."""

    ids: pa.Array
    fields: pa.Table
    split: str | None
    faults: Mapping[int, str]


def column_slices(location: str | Path, settings: SourceSettings) -> list[dict[str, str]]:
    """Cut a Parquet source into slices for `read_columns`: whole row groups, the same cuts on every machine.

    Raises MashqError for another shape, for settings that need records, for rows that mashq exported, and where the
    source holds no record.
    """
    needs = [name for name in settings.named_fields() if not name.startswith("columns")]
    needs += [name for name in ("types", "split_files", "key_prefix") if getattr(settings, name)]
    if needs:
        raise MashqError(
            f"{location}: expected a source that is read as columns, got settings that need its records "
            f"({', '.join(needs)}). Leave them out, or read it with `read`."
        )
    found = []
    for part in parts(location, settings):
        if part.shape.name != "parquet":
            raise MashqError(
                f"{part.path}: expected Parquet, got {part.shape.name}. Columns are read from Parquet only; `read` "
                "takes every shape."
            )
        version = settings.version + (f"|{part.name}" if part.name else "")
        cuts = list(_cuts(part.path))
        about = {
            "path": str(part.path),
            "source": settings.source or source_name(location),
            "version": version,
            "split": settings.split or part.split or "",
            "content": _content(part.path),
        }
        found += [{**about, **cut} for cut in cuts]
    if not found:
        raise MashqError(f"{location}: the source holds no record. Check that it was fetched whole.")
    return found


@contextmanager
def _opened(path: Path | str) -> Iterator[pq.ParquetFile]:
    """A Parquet file. Raises MashqError where it breaks."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise MashqError(f"{path}: expected a whole Parquet file, got: {error}. Fetch it again.") from error


def _sizes(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


def _cuts(path: Path) -> Iterator[dict[str, str]]:
    """Row groups from `first` to before `last`, the position of the first of their rows, and how many rows."""
    with _opened(path) as file:
        sizes = _sizes(file)
        ours = is_exported(file.schema_arrow)
    if ours:
        raise MashqError(f"{path}: rows that mashq exported have ids of their own. Read them with `read`.")
    first = start = held = 0
    for i, size in enumerate(sizes):
        held += size
        if held >= ROWS_PER_SLICE or i == len(sizes) - 1:
            if held:
                yield {"first": str(first), "last": str(i + 1), "start": str(start), "rows": str(held)}
            first, start, held = i + 1, start + held, 0


def _content(path: Path) -> str:
    """XXH3 of a file's bytes, which reads 10 GB a second: neither size nor time tells for sure that it changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()


def read_columns(one: Mapping[str, str]) -> Iterator[Columns]:
    """The records of a slice, at most `ROWS_AT_ONCE` a time, in file order. Raises MashqError where the file breaks."""
    position = int(one["start"])
    with _opened(one["path"]) as file:
        groups = list(range(int(one["first"]), int(one["last"])))
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups):
            ids = source_ids(one["source"], one["version"], start=position, n=batch.num_rows)
            position += batch.num_rows
            table = pa.Table.from_batches([batch])
            yield Columns(ids, table, one["split"] or None, _faults(table))


def _faults(table: pa.Table) -> dict[int, str]:
    """Records with a text that is not UTF-8, which Parquet does not forbid."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        bad = (place for place in range(table.num_rows) if not _sound(table, place))
        return dict.fromkeys(bad, "bad UTF-8: a text of the record")
    return {}


def _sound(table: pa.Table, place: int) -> bool:
    try:
        table.slice(place, 1).to_pylist()
    except UnicodeDecodeError:
        return False
    return True


# --- one record by its id --------------------------------------------------------------------------------------------


def record_of(one: Mapping[str, str], raw_id: bytes) -> Record | None:
    """The record of a slice that has this raw id, as `read` reads it; None where none has.

    Raises MashqError where the file is gone or is not, byte for byte, what was cut into slices, and where the record
    cannot be read.
    """
    found = _found(one, raw_id)
    return found[1] if found else None


def raw_row(one: Mapping[str, str], raw_id: bytes) -> tuple[str, dict[str, Any]] | None:
    """Where the record of this raw id stands (`train.parquet row 17`), and the row that `read` makes of it.

    None and `Raises` as for `record_of`.
    """
    found = _found(one, raw_id)
    if found is None:
        return None
    position, record = found
    path = Path(one["path"])
    settings = SourceSettings(source=one["source"], version=one["version"])
    part = Part(path, SHAPES["parquet"], one["split"] or None, "")  # the version has the name inside the folder
    return f"{path.name} row {position + 1}", row_of(part, settings, position, record)


def _found(one: Mapping[str, str], raw_id: bytes) -> tuple[int, Record] | None:
    """The position of a raw id in the file, and its record. A slice that is not ours has none."""
    if not one.keys() >= SLICE:
        return None
    path, start, rows = Path(one["path"]), int(one["start"]), int(one["rows"])
    if not path.is_file():
        do = "Put it back, or go to the folder in which the step was made."
        raise MashqError(expected_got(str(path), "the Parquet file that the step read", "no file", do))
    with _opened(path) as file:
        sizes = _sizes(file)
        _refuse_other_content(one, sum(sizes))
        place = _place(source_ids(one["source"], one["version"], start=start, n=rows), raw_id)
        if place is None:
            return None
        record = _record_at(file, sizes, start + place)
    if isinstance(record, Fault):
        raise MashqError(f"{path}: row {start + place + 1}: expected a record, got {record.reason}.")
    return start + place, record


def _refuse_other_content(one: Mapping[str, str], rows: int) -> None:
    path, least = Path(one["path"]), int(one["start"]) + int(one["rows"])
    do = "It is shorter than when the step read it: fetch it again."
    if rows < least:
        raise MashqError(expected_got(str(path), f"at least {least:,} rows", f"{rows:,}", do))
    if (content := _content(path)) != one["content"]:
        do = "It changed since the step read it: fetch that version again, or make the step anew."
        raise MashqError(expected_got(str(path), f"the content {one['content']} (XXH3)", content, do))


def _place(ids: pa.Array, raw_id: bytes) -> int | None:
    same = (id_words(ids) == id_words(pa.array([raw_id], ID))).all(axis=1)
    return int(same.argmax()) if same.any() else None


def _record_at(file: pq.ParquetFile, sizes: list[int], position: int) -> Record | Fault:
    """The record at a position of the file; of its row group no more rows than those before it are read."""
    ends = np.cumsum(sizes)
    group = int(np.searchsorted(ends, position, side="right"))
    left = position - int(ends[group]) + sizes[group]
    for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group]):
        if left < batch.num_rows:
            break
        left -= batch.num_rows
    ((_, record),) = records_of([batch.slice(left, 1)], SourceSettings())
    return record
