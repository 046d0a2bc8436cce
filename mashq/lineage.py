"""A row's whole life: what it was made from and what was made of it, across the steps of a store."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq.rows import ID, SCHEMA, MashqError, id_hex
from mashq.run import manifest_of, parts_of

__all__ = ["Found", "life", "lines"]

# The raw record of an id in one slice of a `slices` step: where it stands and its row, or None.
Raw = Callable[[Mapping[str, str], bytes], tuple[str, dict[str, Any]] | None]


@dataclass(frozen=True)
class Found:
    """One row in one step, kept or dropped; or a raw record that no step wrote."""

    step: str
    row: dict[str, Any]
    part: str = ""  # of the step, in which the row lies
    state: str = ""  # what is said of a raw record, which is neither kept nor dropped


@dataclass(frozen=True)
class _Group:
    """One row group of a step: ids and parents are at hand, whole rows only where they are asked for."""

    step: str
    part: str
    ids: pa.ChunkedArray
    parents: pa.ChunkedArray
    rows: Callable[[], pa.Table]


def _finished(root: Path) -> list[Path]:
    folders = [folder for folder in (root / "steps").glob("*@*") if manifest_of(folder) is not None]
    return sorted(folders, key=lambda folder: (folder / "manifest.json").stat().st_mtime)


def _groups(folders: Sequence[Path]) -> Iterator[_Group]:
    for folder in folders:
        for part in parts_of(folder) + parts_of(folder, dropped=True):
            with pq.ParquetFile(part) as file:
                for index in range(file.num_row_groups):
                    ids, parents = file.read_row_group(index, columns=["id", "parents"]).columns
                    whole = functools.partial(file.read_row_group, index)
                    yield _Group(folder.name, part.name, ids, parents, whole)


def _by_prefix(ids: pa.ChunkedArray, prefix: str) -> list[bytes]:
    """Ids that start with the hexadecimal digits; whole bytes are compared in Arrow, a half byte in Python."""
    first = pc.binary_slice(pc.cast(ids, pa.binary()), 0, len(prefix) // 2)
    near = ids.filter(pc.equal(first, pa.scalar(bytes.fromhex(prefix[: len(prefix) // 2 * 2]), pa.binary())))
    return [value for value in near.to_pylist() if value.hex().startswith(prefix)]


def life(root: Path, prefix: str, raw: Raw | None = None) -> list[Found]:
    """Every row on the line of the row whose id starts with `prefix`: its forebears, itself, what was made of it.

    `raw` reads the raw records that were rendered straight from their files, such as `sources.columnar.raw_row`; where
    it raises a MashqError, that is what is said of the record. The id may be that of such a record.
    Raises MashqError where no row has such an id, or where more than one has.
    """
    folders = _finished(root)
    known = {
        one for group in _groups(folders) for ids in (group.ids, pc.list_flatten(group.parents)) for one in _by_prefix(ids, prefix)
    }
    if not known:
        raise MashqError(f"show: no row in {root} has an id that starts with '{prefix}'. `mashq show STEP` lists ids.")
    if len(known) > 1:
        some = ", ".join(sorted(id_hex(value) for value in known)[:4])
        raise MashqError(f"show: {len(known)} rows have ids that start with '{prefix}' ({some} …). Give more digits.")
    found, forebears = _walk(folders, known.pop())
    absent = forebears - {one.row["id"] for one in found}
    records = [record for one in sorted(absent) if raw and (record := _raw_record(root, one, found, raw))]
    order = {folder.name: place for place, folder in enumerate(folders)}
    return records + sorted(found, key=lambda one: (order[one.step], one.row["id"]))


def _walk(folders: Sequence[Path], start: bytes) -> tuple[list[Found], set[bytes]]:
    """The rows of an id, of its parents and theirs, of its children and theirs; and the ids of all forebears."""
    found: list[Found] = []
    ...
