"""A row's whole life: what it was made from and what was made of it, across the steps of a store."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    others: int = 0  # rows that it is a further parent of, such as an example before a prompt


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
                    few = file.read_row_group(index, columns=["id", "parents"])
                    whole = functools.partial(file.read_row_group, index)
                    yield _Group(folder.name, part.name, few.column("id"), few.column("parents"), whole)


def _by_prefix(ids: pa.ChunkedArray, prefix: str) -> set[bytes]:
    """Ids that start with the hexadecimal digits; whole bytes are compared in Arrow, a half byte in Python."""
    first = pc.binary_slice(pc.cast(ids, pa.binary()), 0, len(prefix) // 2)
    near = ids.filter(pc.equal(first, pa.scalar(bytes.fromhex(prefix[: len(prefix) // 2 * 2]), pa.binary())))
    return {value for value in near.to_pylist() if value.hex().startswith(prefix)}


def life(root: Path, prefix: str, raw: Raw | None = None) -> list[Found]:
    """Every row on the line of the row whose id starts with `prefix`: its forebears, itself, what was made of it.

    `raw` (`sources.columnar.raw_row`) reads records that were rendered straight from their file; the id may be that of
    one. What it raises as MashqError is said in the record's place.
    Raises MashqError where no row has such an id, or where more than one has.
    """
    folders = _finished(root)
    known: set[bytes] = set()
    for group in _groups(folders):
        known |= _by_prefix(group.ids, prefix) | _by_prefix(pc.list_flatten(group.parents), prefix)
    if not known:
        raise MashqError(f"show: no row in {root} has an id that starts with '{prefix}'. `mashq show STEP` lists ids.")
    if len(known) > 1:
        some = ", ".join(sorted(id_hex(value) for value in known)[:4])
        raise MashqError(f"show: {len(known)} rows have ids that start with '{prefix}' ({some} …). Give more digits.")
    found, forebears = _walk(folders, known)
    absent = sorted(forebears - {row.row["id"] for row in found})
    records = [record for one in absent if raw and (record := _raw_record(folders, one, found, raw))]
    order = {folder.name: place for place, folder in enumerate(folders)}
    return records + sorted(found, key=lambda one: (order[one.step], one.row["id"]))


def _walk(folders: Sequence[Path], start: set[bytes]) -> tuple[list[Found], set[bytes]]:
    """The rows of these ids, of their parents and on up, of their children and on down; and the ids of all forebears.

    Each generation, one up and one down, is one reading of the ids and parents of every step. A row is the child of its
    first parent; of the others (a few-shot example may be one of thousands of rows) it is counted.
    """
    found: dict[tuple[str, bytes], Found] = {}
    forebears, offspring = set(start), set(start)
    further: Counter[bytes] = Counter()
    up, down = start, start
    while up or down:
        wanted, makers = _ids(up | down), _ids(down)
        above: set[bytes] = set()
        below: set[bytes] = set()
        for group in _groups(folders):
            own = pc.is_in(group.ids, value_set=wanted)
            if pc.any(own).as_py():
                for row in group.rows().filter(own).to_pylist():
                    found[group.step, row["id"]] = Found(group.step, row, group.part)
                    above |= set(row["parents"] or []) if row["id"] in up else set()
            if down:
                below |= _children(group, makers)
                further.update(_further(group, makers))
        up, down = above - forebears, below - offspring
        forebears |= up
        offspring |= down
    return [replace(one, others=further[one.row["id"]]) for one in found.values()], forebears


def _ids(values: set[bytes]) -> pa.Array:
    return pa.array(sorted(values), ID)


def _children(group: _Group, makers: pa.Array) -> set[bytes]:
    own = _has_parents(group)
    hit = pc.is_in(pc.list_element(group.parents.filter(own), 0), value_set=makers)
    return set(group.ids.filter(own).filter(hit).to_pylist())


def _has_parents(group: _Group) -> pa.ChunkedArray:
    return pc.greater(pc.fill_null(pc.list_value_length(group.parents), 0), 0)


def _further(group: _Group, makers: pa.Array) -> Iterable[bytes]:
    """The makers that are further parents of rows here, as often as they are."""
    every, first = pc.list_flatten(group.parents), pc.list_element(group.parents.filter(_has_parents(group)), 0)
    if len(every) == len(first):
        return []
    named = Counter(every.filter(pc.is_in(every, value_set=makers)).to_pylist())
    return (named - Counter(first.filter(pc.is_in(first, value_set=makers)).to_pylist())).elements()


def _raw_record(folders: Sequence[Path], raw_id: bytes, found: Sequence[Found], raw: Raw) -> Found | None:
    """A raw record from the slice that gave a part in which a child of it stands, or why it cannot be read there."""
    stands = {(one.step, one.part) for one in found if raw_id in (one.row["parents"] or [])}
    lacking = None
    for folder in folders:
        manifest = manifest_of(folder) or {}
        for part, cut in zip(manifest["parts"], manifest.get("slices", []), strict=False):
            if (folder.name, part["name"]) not in stands:
                continue
            try:
                if record := raw(cut, raw_id):
                    place, row = record
                    return Found(f"{folder.name} < {place}", row, state="read in its file")
            except MashqError as error:
                row = {**dict.fromkeys(SCHEMA.names), "id": raw_id}
                lacking = Found(f"{folder.name} < {Path(cut['path']).name}", row, state=f"lacking: {error}")
    return lacking


def lines(found: Found) -> Iterator[str]:
    """A row as text for the terminal; each text on its own line, so that its direction is its own."""
    row = found.row
    state = found.state or (f"dropped: {row['dropped']}" if row["dropped"] else "kept")
    state += f", a further parent of {found.others:,} rows" if found.others else ""
    yield f"{found.step}  {id_hex(row['id'])}  {state}"
    for name in ("source", "licence", "split", "group", "task", "template", "variety"):
        if row[name]:
            yield f"  {name:<10} {row[name]}"
    if row["text"]:
        yield f"  text       {row['text']}"
    for message in row["messages"] or []:
        yield f"  {message['role']:<10} {message['content']}"
    for name in ("references", "choices"):
        for text in row[name] or []:
            yield f"  {name[:-1]:<10} {text}"
    scores = {name: value for name, value in (row["scores"] or {}).items() if value is not None}
    if scores:
        yield f"  scores     {json.dumps(scores)}"
    if row["meta"] and not row["messages"]:
        yield f"  fields     {row['meta']}"
