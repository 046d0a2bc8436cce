"""A row's whole life: what it was made from and what was made of it, across the steps of a store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq.rows import MashqError, id_hex
from mashq.run import manifest_of, read_rows

__all__ = ["Found", "life", "lines"]


@dataclass(frozen=True)
class Found:
    """One row in one step, kept or dropped."""

    step: str
    row: dict[str, Any]


def _finished(root: Path) -> list[Path]:
    folders = [folder for folder in (root / "steps").glob("*@*") if manifest_of(folder) is not None]
    return sorted(folders, key=lambda folder: (folder / "manifest.json").stat().st_mtime)


def _rows(folder: Path) -> Iterator[pa.Table]:
    manifest = manifest_of(folder)
    if manifest and manifest["parts"]:
        yield from read_rows(folder)
        yield from read_rows(folder, dropped=True)


def _by_prefix(table: pa.Table, prefix: str) -> pa.Table:
    """Rows whose id starts with the hexadecimal digits; whole bytes are compared in Arrow, a half byte in Python."""
    ids = pc.binary_slice(pc.cast(table.column("id"), pa.binary()), 0, len(prefix) // 2)
    near = table.filter(pc.equal(ids, pa.scalar(bytes.fromhex(prefix[: len(prefix) // 2 * 2]), pa.binary())))
    return near.filter(
        pa.array([value.hex().startswith(prefix) for value in near.column("id").to_pylist()], pa.bool_())
    )


def life(root: Path, prefix: str) -> list[Found]:
    """Every row on the line of the row whose id starts with `prefix`: its forebears, itself, what was made of it.

    Raises MashqError where no row has such an id, or where more than one has.
    """
    folders = _finished(root)
    known = {
        row["id"] for folder in folders for table in _rows(folder) for row in _by_prefix(table, prefix).to_pylist()
    }
    if not known:
        raise MashqError(f"show: no row in {root} has an id that starts with '{prefix}'. `mashq show STEP` lists ids.")
    if len(known) > 1:
        some = ", ".join(sorted(id_hex(value) for value in known)[:4])
        raise MashqError(f"show: {len(known)} rows have ids that start with '{prefix}' ({some} …). Give more digits.")
    found: dict[tuple[str, bytes], Found] = {}
    _walk(folders, set(known), found, up=True)
    _walk(folders, set(known), found, up=False)
    order = {folder.name: place for place, folder in enumerate(folders)}
    return sorted(found.values(), key=lambda one: (order[one.step], one.row["id"]))


def _walk(folders: Sequence[Path], wanted: set[bytes], found: dict[tuple[str, bytes], Found], up: bool) -> None:
    """Add the rows of these ids and, as long as there are any, of their parents (up) or their children (down)."""
    seen: set[bytes] = set()
    while wanted:
        seen |= wanted
        fresh: set[bytes] = set()
        ids = pa.array(sorted(wanted), pa.binary(16))
        for folder in folders:
            for table in _rows(folder):
                own = pc.is_in(table.column("id"), value_set=ids)
                for row in table.filter(own).to_pylist():
                    found[folder.name, row["id"]] = Found(folder.name, row)
                    fresh |= set(row["parents"] or []) if up else set()
                if not up:
                    fresh |= set(_children(table, ids))
        wanted = fresh - seen


def _children(table: pa.Table, ids: pa.Array) -> list[bytes]:
    parents = table.column("parents")
    hit = pc.is_in(pc.list_flatten(parents), value_set=ids)
    places = pc.unique(pc.list_parent_indices(parents).filter(hit))
    children: list[bytes] = table.column("id").take(places).to_pylist()
    return children


def lines(found: Found) -> Iterator[str]:
    """A row as text for the terminal; each text on its own line, so that its direction is its own."""
    row = found.row
    state = f"dropped: {row['dropped']}" if row["dropped"] else "kept"
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
