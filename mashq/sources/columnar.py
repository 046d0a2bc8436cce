"""Parquet files as columns: the same raw ids as `read` gives, without a Python object for a record.

For published tables of millions of rows, whose fields templates take as they are. What needs a record to be looked at
(a key, group, split or text field, types, split files) is `read`'s work; `column_slices` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.rows import MashqError, source_ids
from mashq.sources.layout import parts
from mashq.sources.read import source_name
from mashq.sources.settings import SourceSettings

__all__ = ["Columns", "column_slices", "read_columns"]

ROWS_AT_ONCE = 4_096  # rows of a table: what is rendered at a time
ROWS_PER_SLICE = 100_000  # row groups are put together until a slice has so many rows


@dataclass(frozen=True)
class Columns:
    """n raw records as columns: their ids, fields and split; `faults` has the reason of each that cannot be used."""

    ids: pa.Array
    fields: pa.Table
    split: str | None
    faults: Mapping[int, str]


def column_slices(location: str | Path, settings: SourceSettings) -> list[dict[str, str]]:
    """Cut a Parquet source into slices for `read_columns`: whole row groups, the same cuts on every machine.

    Raises MashqError for another shape, for settings that need records, and where the source holds no record.
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
        about = {
            "path": str(part.path),
            "source": settings.source or source_name(location),
            "version": version,
            "split": settings.split or part.split or "",
        }
        found += [{**about, **cut} for cut in _cuts(part.path)]
    if not found:
        raise MashqError(f"{location}: the source holds no record. Check that it was fetched whole.")
    return found


def _cuts(path: Path) -> Iterator[dict[str, str]]:
    """Row groups from `first` to before `last`, and the position of the first row."""
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise MashqError(f"{path}: expected a whole Parquet file, got: {error}. Fetch it again.") from error
    sizes = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
    first = start = held = 0
    for i, size in enumerate(sizes):
        held += size
        if held >= ROWS_PER_SLICE or i == len(sizes) - 1:
            if held:
                yield {"first": str(first), "last": str(i + 1), "start": str(start)}
            first, start, held = i + 1, start + held, 0


def read_columns(one: Mapping[str, str]) -> Iterator[Columns]:
    """The records of a slice, at most `ROWS_AT_ONCE` a time, in file order. Raises MashqError where the file breaks."""
    position = int(one["start"])
    try:
        with pq.ParquetFile(one["path"], memory_map=True) as file:
            groups = list(range(int(one["first"]), int(one["last"])))
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups):
                ids = source_ids(one["source"], one["version"], start=position, n=batch.num_rows)
                position += batch.num_rows
                table = pa.Table.from_batches([batch])
                yield Columns(ids, table, one["split"] or None, _faults(table))
    except (pa.ArrowException, OSError) as error:
        raise MashqError(f"{one['path']}: expected a whole Parquet file, got: {error}. Fetch it again.") from error


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
