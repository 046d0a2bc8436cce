"""Whether an item was written in Arabic by people, translated, or written by a model: what its rows and steps say.

Three places say it: the field "origin" of a row's `meta`, a score that translations alone are given, and, for a row
made in a store, the step that it or a forebear was made in: one of a translator or of a writing model. What none of
them says is not known, and is not guessed from a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq.rows import ID, id_hex
from mashq.run import manifest_of, parts_of, read_rows

__all__ = ["ORIGINS", "origins", "said"]

ORIGINS = ("native", "translated", "synthetic")
ROLES = {"translated": "translated", "wrote": "synthetic"}  # of a model in a step's identity -> origin of its rows
OF_TRANSLATIONS = ("qe", "similarity", "margin")  # scores of a sentence pair


def said(meta: Mapping[str, Any], scores: Mapping[str, Any] | None) -> str:
    """The origin that a row states itself, or ""."""
    told = meta.get("origin")
    if told in ORIGINS:
        return str(told)
    return "translated" if any((scores or {}).get(name) is not None for name in OF_TRANSLATIONS) else ""


def origins(folder: Path) -> dict[str, str]:
    """Of a finished step of replies in a store: item (id of the row replied to) -> origin, where that is known.

    The line of first parents is followed up through all the steps before, until a row states its origin or lies in a
    step that translated or wrote it. Each generation is one reading of the ids and parents of those steps.
    """
    steps = [(one, _role(one)) for one in _before(folder)]
    parents = [first for table in read_rows(folder, ["parents"]) for first in table["parents"].to_pylist()]
    waiting = {first[0]: {first[0]} for first in parents if first}  # row -> items that it is the forebear of
    found: dict[bytes, str] = {}
    seen: set[bytes] = set()
    while waiting:
        seen |= waiting.keys()
        above: dict[bytes, set[bytes]] = {}
        for row, origin in _rows(steps, waiting):
            if origin:
                found = dict.fromkeys(waiting[row["id"]], origin) | found
            elif row["parents"] and row["parents"][0] not in seen:
                above.setdefault(row["parents"][0], set()).update(waiting[row["id"]])
        waiting = {row: left for row, items in above.items() if (left := items - found.keys())}
    return {id_hex(item): origin for item, origin in found.items()}


def _rows(steps: Sequence[tuple[Path, str]], wanted: Iterable[bytes]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every row of these ids in these steps, nearest step first, with its origin or "". Whole rows are read where one
    of their row group is asked for.
    """
    ids = pa.array(sorted(wanted), ID)
    for folder, role in steps:
        for part in parts_of(folder):
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    here = pc.is_in(file.read_row_group(group, columns=["id"])["id"], value_set=ids)
                    if pc.any(here).as_py():
                        table = file.read_row_group(group, columns=["id", "parents", "meta", "scores"])
                        for row in table.filter(here).to_pylist():
                            yield row, _stated(row) or role


def _stated(row: Mapping[str, Any]) -> str:
    meta = row["meta"]
    facts = json.loads(meta) if meta and '"origin"' in meta else {}
    return said(facts if isinstance(facts, dict) else {}, row["scores"])


def _role(folder: Path) -> str:
    models = (manifest_of(folder) or {}).get("identity", {}).get("models") or []
    return next((ROLES[model["role"]] for model in models if model["role"] in ROLES), "")


def _before(folder: Path) -> list[Path]:
    """The finished steps of rows that this one was made from, each once, nearest first."""
    found: dict[str, Path] = {}
    waiting = [folder]
    while waiting:
        manifest = manifest_of(waiting.pop(0)) or {"inputs": {}}
        for fingerprint in manifest["inputs"].values():
            for path in sorted(folder.parent.glob(f"*@{fingerprint}")):
                if path.name not in found and (manifest_of(path) or {}).get("produces") == "rows":
                    found[path.name] = path
                    waiting.append(path)
    return list(found.values())
