"""Rows of files and folders, through templates, put together, split and taken: small steps of whole tables."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq import sources, templates
from mashq.mix import splits
from mashq.rows import MashqError, conform, id_hex, id_hexes
from mashq.rows import replace as with_columns
from mashq.run import Job, Step

__all__ = [
    "SplitSettings",
    "data_folder",
    "prompts",
    "prompts_of_columns",
    "published",
    "read",
    "split",
    "take",
    "together",
    "with_licence",
]


def read(name: str, location: str | Path, source: sources.SourceSettings, rows_per_part: int = 50_000) -> Step:
    """Raw rows of a file or folder (its content is in the fingerprint) or of a remote address (`hf://…`)."""
    remote = "://" in str(location)
    source = replace(source, source=source.source or Path(str(location)).name.split(".")[0])
    settings = {"location": str(location) if remote else None, "source": source}
    files = {} if remote else {"data": location}
    return Step(name, _read, settings, files=files, kind="stream", rows_per_part=rows_per_part)


def _read(job: Job) -> Iterator[pa.Table]:
    return sources.read(job.settings["location"] or job.files["data"], job.settings["source"])


def data_folder(folder: str) -> Path | None:
    """The folder of published files: the one named, else that in $MASHQ_DATA."""
    folder = folder or os.environ.get("MASHQ_DATA", "")
    return Path(folder) if folder else None


def published(recipe: str, folder: str, file: str, address: str) -> Path:
    """The file of a published data set in `folder` ("" = the folder in $MASHQ_DATA)."""
    place = data_folder(folder)
    path = (place or Path()) / file
    if place and path.exists():
        return path
    where = f"there is no file {path}" if place else "no folder is named"
    raise MashqError(
        f"{recipe}: expected {file} (from {address}): {where}. Name its folder with --data DIR or MASHQ_DATA."
    )


def with_licence(source: sources.SourceSettings, licence: str | None) -> sources.SourceSettings:
    """The same source under this licence; where neither says one, rows carry `unknown`, which every card shows."""
    return replace(source, licence=licence or "unknown")


def prompts(
    name: str, raw: Step, library: Sequence[str] = (), files: Sequence[str | Path] = (), leave: Sequence[str] = ()
) -> Step:
    """Prompt rows of raw rows, through the templates of library data sets and of the user's own files.

    `leave` names templates that are not applied, such as those that `mashq lint` finds errors in.
    """
    found = [
        *(one for each in library for one in templates.library(each)),
        *(one for f in files for one in templates.load(f)),
    ]
    chosen = [one for one in found if one.name not in leave]
    settings = {"library": list(library), "templates": {one.name: one.fingerprint for one in chosen}}
    return Step(name, _prompts, settings, {"raw": raw}, files={f"templates{i}": path for i, path in enumerate(files)})


def _prompts(rows: pa.Table, job: Job) -> pa.Table:
    prints = tuple(job.settings["templates"].items())
    chosen = _templates(tuple(job.settings["library"]), tuple(job.files.values()), prints)
    return templates.apply(rows, chosen, step=job.name)


def prompts_of_columns(
    name: str,
    published: Mapping[str, str | Path],
    licences: Mapping[str, str] | None = None,
    leave: Sequence[str] = (),
    splits: Mapping[str, str] | None = None,
) -> Step:
    """Prompt rows of Parquet files, straight from their columns: library data set -> its published file or folder.

    For tables of millions of rows. The rows are those of `prompts` over `read` of the same files, and the raw rows
    themselves are not written: a prompt's parent is found again in its file. `licences` goes before the library's;
    `leave` names templates that are not applied, `splits` the split of all rows of a data set.
    """
    chosen = {each: [one for one in templates.library(each) if one.name not in leave] for each in published}
    settings = {
        "datasets": list(published),
        "licences": dict(licences or {}),
        **({"splits": dict(splits)} if splits else {}),
        "templates": {one.name: one.fingerprint for each in chosen.values() for one in each},
    }
    return Step(name, _prompts_of_slice, settings, files=dict(published), kind="slices", slices=_slices_of_files)


def _slices_of_files(job: Job) -> list[dict[str, str]]:
    return [
        {**one, "dataset": each}
        for each in job.settings["datasets"]
        for one in sources.column_slices(job.files[each], _of_columns(each, job))
    ]


def _of_columns(dataset: str, job: Job) -> sources.SourceSettings:
    return sources.SourceSettings(source=dataset, split=job.settings.get("splits", {}).get(dataset))


def _prompts_of_slice(one: Mapping[str, str], job: Job) -> Iterator[pa.Table]:
    chosen = _templates((one["dataset"],), (), tuple(job.settings["templates"].items()))
    licence = job.settings["licences"].get(one["dataset"])
    for found in sources.read_columns(one):
        groups = id_hexes(found.ids)  # a record is its own group, as in `read`
        carried = {"source": one["source"], "split": found.split, "licence": licence, "group": groups}
        if not found.faults:
            yield templates.apply_columns(found.fields, found.ids, chosen, step=job.name, carried=carried)
            continue
        sound = pa.array([place not in found.faults for place in range(len(found.ids))])
        lost = pc.invert(sound)
        reasons = list(found.faults.values())
        yield conform({**carried, "group": groups.filter(lost), "id": found.ids.filter(lost), "dropped": reasons})
        carried["group"] = groups.filter(sound)
        fields = found.fields.filter(sound)
        yield templates.apply_columns(fields, found.ids.filter(sound), chosen, step=job.name, carried=carried)


@functools.cache
def _templates(
    library: tuple[str, ...], files: tuple[Path, ...], prints: tuple[tuple[str, str], ...]
) -> tuple[templates.Template, ...]:
    """Those in `prints`, loaded once a process; their fingerprints tell a file that was changed from what it was."""
    found = [one for each in library for one in templates.library(each)]
    found += [one for path in files for one in templates.load(path)]
    wanted = dict(prints)
    return tuple(one for one in found if one.name in wanted)


def together(name: str, rows: Mapping[str, Step]) -> Step:
    """The rows of several steps, one step after the other."""
    return Step(name, _together, inputs=rows, kind="stream")


def _together(job: Job) -> Iterator[pa.Table]:
    for name in job.inputs:
        yield from job.read(name)


@dataclass(frozen=True)
class SplitSettings:
    """Which rows are kept from training; whole groups, seeded."""

    test: float = 0.1  # rows a stratum where >= 1, else a share of it
    validation: float = 0.05  # likewise
    by: str = "variety"  # the column whose values are the strata
    seed: int = 0


def split(name: str, rows: Step, settings: SplitSettings, rows_per_part: int = 50_000) -> Step:
    """The same rows with `split` set; rows that came with a split keep it."""
    return Step(name, _split, settings, {"rows": rows}, kind="stream", rows_per_part=rows_per_part)


def _split(job: Job) -> Iterator[pa.Table]:
    table = job.table("rows")
    groups = [
        group or id_hex(one) for group, one in zip(table["group"].to_pylist(), table["id"].to_pylist(), strict=True)
    ]
    strata = [value or "none" for value in table[job.settings.by].to_pylist()]
    asked = job.settings
    fresh = splits(groups, strata, test=asked.test, validation=asked.validation, seed=asked.seed)
    given = table["split"].to_pylist()
    yield with_columns(table, split=[old or new for old, new in zip(given, fresh, strict=True)], group=groups)


def take(name: str, rows: Step, which: str | None, most: int = 0, by: str = "variety", seed: int = 0) -> Step:
    """Rows of one split (None: of all), at most `most` for each value of `by` (0 = all).

    They are chosen by a seeded hash of their ids. The rest are counted as unsampled.
    """
    settings = {"split": which, "most": most, "by": by, "seed": seed}
    return Step(name, _take, settings, {"rows": rows}, kind="stream", rows_per_part=5_000)


def _take(job: Job) -> Iterator[pa.Table]:
    asked = job.settings
    table = job.table("rows")
    places = [place for place, value in enumerate(table["split"].to_pylist()) if asked["split"] in (None, value)]
    ids, strata = table["id"].to_pylist(), table[asked["by"]].to_pylist()
    kept: dict[Any, int] = {}
    chosen = []
    for place in sorted(places, key=lambda place: _lot(asked["seed"], ids[place])):
        kept[strata[place]] = kept.get(strata[place], 0) + 1
        if not asked["most"] or kept[strata[place]] <= asked["most"]:
            chosen.append(place)
    if not chosen:
        of = "" if asked["split"] is None else f" of split '{asked['split']}'"
        raise MashqError(f"{job.name}: expected rows{of}, got none of {table.num_rows}.")
    job.unsampled += table.num_rows - len(chosen)
    yield table.take(pa.array(sorted(chosen)))


def _lot(seed: int, one: bytes) -> bytes:
    return hashlib.blake2b(one, key=str(seed).encode(), digest_size=8).digest()
