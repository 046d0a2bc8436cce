"""Steps over rows of any number.

Two steps each: one reads all rows, a few columns of them, and leaves a small plan; the other does what the plan says, a
part at a time, on as many workers as there are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mashq import dedup, templates
from mashq.holdout import HeldOut, Published, held_splits
from mashq.mix import CELL, MixtureSettings, Population, allocate, mixed
from mashq.rows import MashqError, drop
from mashq.rows import replace as with_columns
from mashq.run import Job, Step, read_rows
from mashq.shots import COLUMNS as POOL_COLUMNS
from mashq.shots import Pool, ShotSettings, with_examples

__all__ = [
    "deduplicated",
    "examples",
    "few_shot",
    "held_out",
    "mixture",
    "with_shots",
]


def held_out(name: str, rows: Mapping[str, Step], settings: HeldOut) -> Step:
    """The rows of several steps, one after the other, with `split` set; one that leaks into a test is dropped."""
    published = Step(f"{name}-groups", _published, settings, rows, kind="folder", produces="plan")
    return Step(name, _held_out, settings, {**rows, "groups": published}, over=tuple(rows))


def _published(job: Job) -> Mapping[str, Any]:
    found = Published(job.settings)
    for folder in job.inputs.values():
        for table in read_rows(folder, ["source", "split", "group"]):
            found.add(table)
    table = found.table()
    pq.write_table(table, job.folder / "groups.parquet")
    return {"groups": table.num_rows}


def _held_out(rows: pa.Table, job: Job) -> pa.Table:
    found, reasons = held_splits(rows, Published(job.settings, _table(job.inputs["groups"] / "groups.parquet")))
    return drop(with_columns(rows, split=found), reasons)


def deduplicated(name: str, rows: Step, forms: Sequence[str] = ()) -> Step:
    """The rows without second ones of the same prompt and answers, and without any to learn that a test asks.

    Rows are dropped with the id of the one that stays; `forms` as for `dedup.find_twins`.
    """
    settings = {"forms": list(forms)}
    twins = Step(f"{name}-twins", _twins, settings, {"rows": rows}, kind="folder", produces="plan")
    return Step(name, _deduplicated, settings, {"rows": rows, "twins": twins})


def _twins(job: Job) -> Mapping[str, Any]:
    columns = list(dedup.COLUMNS)
    found = dedup.find_twins(lambda: read_rows(job.inputs["rows"], columns), job.settings["forms"])
    pq.write_table(found, job.folder / "twins.parquet")
    return {"rows": found.num_rows}


def _deduplicated(rows: pa.Table, job: Job) -> pa.Table:
    return dedup.without_twins(rows, _table(job.inputs["twins"] / "twins.parquet"))


def mixture(name: str, rows: Step, settings: MixtureSettings) -> Step:
    """Rows of one split as the mixture says; those of licences that it leaves out are dropped, the rest unsampled.

    The step `NAME-plan` leaves `cells.csv`: of each data set, task and template how many rows there are and are taken.
    """
    plan = Step(f"{name}-plan", _plan, settings, {"rows": rows}, kind="folder", produces="plan")
    return Step(name, _mixture, settings, {"rows": rows, "plan": plan})


def _plan(job: Job) -> Mapping[str, Any]:
    def population() -> Iterator[pa.Table]:
        return read_rows(job.inputs["rows"], ["id", "split", "licence", *CELL])

    found = Population(job.settings)
    for table in population():
        found.add(table)
    plan = found.plan(allocate(found.counts, job.settings), population)
    if not (taken := pc.sum(plan["taken"]).as_py()):
        there = f"{found.rows.total():,} rows, {found.elsewhere.total():,} of them of other splits and "
        there += f"{found.refused.total():,} of licences that are left out"
        raise MashqError(f"{job.name}: expected rows of split '{job.settings.split}' to take, got none of {there}.")
    pq.write_table(plan, job.folder / "plan.parquet")
    pa_csv.write_csv(plan.drop_columns(["last_key", "left"]), job.folder / "cells.csv")
    return {"cells": plan.num_rows, "rows": found.rows.total(), "taken": taken, "refused": found.refused.total()}


def _mixture(rows: pa.Table, job: Job) -> pa.Table:
    kept, job.unsampled = mixed(rows, _table(job.inputs["plan"] / "plan.parquet"), job.settings)
    return kept


def with_shots(
    rows: Sequence[Step], source: Step, chosen: Iterable[templates.Template], shots: int | None, seed: int
) -> tuple[list[Step], list[Step]]:
    """The steps with examples out of `source` before their prompts, as many as a template says or `shots` of each.

    Gives (the rows to go on with, the steps that are new): where no template has examples the same rows, and none.
    """
    asked = {one.name: one.shots if shots is None else shots for one in chosen}
    if not any(asked.values()):
        return list(rows), []
    pool = examples("examples", source, ShotSettings(asked, seed))
    shown = [few_shot(f"{one.name}-shots", one, pool) for one in rows]
    return shown, [pool, *shown]


def examples(name: str, rows: Step, settings: ShotSettings) -> Step:
    """The training rows that examples are drawn from, a pool for each template that has examples."""
    return Step(name, _examples, settings, {"rows": rows}, kind="folder", produces="plan")


def _examples(job: Job) -> Mapping[str, Any]:
    pool = Pool(job.settings)
    for table in read_rows(job.inputs["rows"], list(POOL_COLUMNS)):
        pool.add(table)
    found = pool.table()
    pq.write_table(found, job.folder / "examples.parquet")
    return {"rows": found.num_rows}


def few_shot(name: str, rows: Step, pool: Step) -> Step:
    """The rows, those of templates with examples with answered training rows as earlier turns; see `mashq.shots`."""
    return Step(name, _few_shot, pool.settings, {"rows": rows, "pool": pool})


def _few_shot(rows: pa.Table, job: Job) -> pa.Table:
    return with_examples(rows, _table(job.inputs["pool"] / "examples.parquet"), job.settings, job.name)


def _table(path: Path) -> pa.Table:
    return _table_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _table_of(path: Path, changed: int) -> pa.Table:
    """Read once a process; `changed` tells a file that was made anew."""
    return pq.read_table(path).combine_chunks()
