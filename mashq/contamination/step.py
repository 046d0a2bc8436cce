"""The step that looks for what was asked in all that was learnt, and gives the scores without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq.contamination.check import check_items, write
from mashq.contamination.passing import COLUMNS, Settings
from mashq.contamination.subsets import subset_scores
from mashq.rows import MashqError, id_hexes
from mashq.run import Job, Step, before, read_rows

__all__ = ["contamination"]


def contamination(name: str, evaluation: Step, settings: Settings | None = None) -> Step:
    """Whether the items of an evaluation stand in what its systems learnt, and its scores on the clean items alone.

    The items are those that the evaluation holds of the rows that its first system was asked, whatever was done with
    the replies since; the stages are all rows that any trained model before it learnt from, those of earlier stages
    too. Twins made from one source are found through every step of rows between. Raises MashqError where nothing before
    it was asked or trained.
    """
    asked = next(filter(None, map(_asked, evaluation.inputs.values())), None)
    models = [step for step in before(evaluation) if step.produces == "model"]
    learnt = {step.fingerprint: step for one in models for step in one.inputs.values() if step.produces == "rows"}
    if asked is None or not learnt:
        raise MashqError(
            f"{name}: expected an evaluation of replies by a trained model, got '{evaluation.name}', before which "
            f"{'nothing was asked' if asked is None else 'no model was trained'}. Name another evaluation."
        )
    stages = {f"stage-{place:02}-{step.name}": step for place, step in enumerate(learnt.values())}
    sides = {asked.fingerprint, *learnt}
    sources = {one.fingerprint: one for side in (asked, *learnt.values()) for one in before(side)}
    between = [one for one in sources.values() if one.produces == "rows" and one.fingerprint not in sides]
    lines = {f"line-{place:02}-{step.name}": step for place, step in enumerate(between)}
    inputs = {"asked": asked, "evaluation": evaluation, **stages, **lines}
    known = {"settings": settings or Settings(), "private": asked.private}
    return Step(
        name, _checked, known, inputs, kind="folder", produces="contamination", private=asked.private,
        version=2,  # 2: the evaluation's items alone
    )  # fmt: skip


def _asked(system: Step | None) -> Step | None:
    """The rows that replies are to: those of the replies themselves, or of the replies that a judge or another step
    passed on."""
    while system is not None and "rows" not in system.inputs:
        system = system.inputs.get("replies")
    return system and system.inputs["rows"]


def _checked(job: Job) -> Mapping[str, Any]:
    stages = {name[len("stage-00-") :]: name for name in job.inputs if name.startswith("stage-")}
    between = [folder for name, folder in job.inputs.items() if name.startswith("line-")]

    def lineage() -> Iterator[pa.Table]:
        return (table for folder in between for table in read_rows(folder, ["id", "parents"]))

    done = job.inputs["evaluation"]
    found = check_items(
        _items(job.inputs["asked"], done / "samples.parquet"),
        {stage: _learnt(job, name) for stage, name in stages.items()},
        lineage=lineage,
        settings=job.settings["settings"],
        private=job.settings["private"],
    )
    scores = json.loads((done / "scores.json").read_text("utf-8"))
    write(found, job.folder, subset_scores(found, done / "samples.parquet", scores, seed=scores["seed"]))
    return {key: found.summary[key] for key in ("verdict", "reason", "items", "clean", "untold")}


def _items(asked: Path, samples: Path) -> pa.Table:
    """The rows that were asked and that the evaluation holds."""
    held = pq.read_table(samples, columns=["item"])["item"].unique().cast(pa.string())
    rows = pa.concat_tables(read_rows(asked, list(COLUMNS)))
    return rows.filter(pc.is_in(id_hexes(rows["id"]), held))


def _learnt(job: Job, name: str) -> Iterator[pa.Table]:
    """The rows of a stage that train, without those that only validate."""
    for table in read_rows(job.inputs[name], [*COLUMNS, "split"]):
        trains = pc.not_equal(pc.fill_null(table["split"], "train"), "validation")
        yield table.filter(trains).drop_columns("split")
