"""One factor or a grid of them, with several seeds: means, intervals that hold items and seeds, tests, curves, a page.

`name` is a ready-made sweep (an open question of the papers) or your own YAML file. Each cell is a recipe with some
settings changed; a step that two cells share has one fingerprint, and is made once. A sweep that was stopped goes on
where it was. The size `toy` runs every ready-made sweep in minutes on random weights and proves the path alone; `small`
is for the embedded student and real data, `paper` for the papers' own models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mashq import recipes
from mashq.lm.toy import TOYS
from mashq.rows import MashqError, nearest
from mashq.run import Job, Step, Store
from mashq.settings import builtins, override
from mashq.sweep import Cell, Sweep, check, factors_of, open_sweep, placed, read_of
from mashq.sweep_results import Scores, read_scores, results, write
from mashq.sweep_stop import EarlySettings, judged, stopped_at, training_of, with_training


@dataclass(frozen=True)
class Settings:
    name: str = "story-data-size"  # a ready-made sweep (`mashq list sweeps` names them), or your own YAML file
    scale: str = "toy"  # which of the sweep's sizes: toy, small, paper
    fixed: dict[str, Any] = field(default_factory=dict)  # settings of its recipe in every cell: {data: DIR}
    factors: dict[str, Any] = field(default_factory=dict)  # instead of its own: {rows: [10, 30]}
    layout: str = ""  # grid | one_at_a_time; "" = as the sweep says
    seeds: tuple[int, ...] = ()  # () = as the sweep says, three at least
    seed_settings: tuple[str, ...] = ()  # what a seed sets, such as train.seed and seed; () = as the sweep says
    most_runs: int = 60  # a sweep of more cells times seeds is refused
    early: EarlySettings = field(default_factory=EarlySettings)


SIZES = {"toy": Settings(), "small": Settings(scale="small"), "paper": Settings(scale="paper", most_runs=200)}


def asked_for(settings: Settings) -> Sweep:
    """The sweep that the settings mean. Raises MashqError where it cannot be made or is larger than `most_runs`."""
    sweep = open_sweep(settings.name, settings.scale)
    titles = {factor.name: factor.title for factor in sweep.factors}
    sweep = replace(
        sweep,
        settings={**sweep.settings, **placed(settings.fixed)},
        factors=factors_of(sweep.name, settings.factors, titles) if settings.factors else sweep.factors,
        layout=settings.layout or sweep.layout,
        seeds=settings.seeds or sweep.seeds,
        seed_settings=settings.seed_settings or sweep.seed_settings,
    )
    check(sweep)
    if sweep.runs > settings.most_runs:
        raise MashqError(
            f"sweep '{sweep.name}': {len(sweep.cells())} cells with {len(sweep.seeds)} seeds are {sweep.runs} runs, "
            f"expected at most {settings.most_runs} (most_runs). Take fewer values, or layout=one_at_a_time."
        )
    return sweep


def evaluation_of(sweep: Sweep, cell: Cell, seed: int) -> Step:
    """The step that a cell is read from, made with this seed."""
    if sweep.base == "sweeps":
        raise MashqError(f"sweep '{sweep.name}': a sweep of sweeps is not made. Name the recipe that they rest on.")
    recipe = recipes.load(sweep.base)
    seeded = dict.fromkeys(sweep.seed_settings, seed)
    try:
        steps = recipe.steps(override(recipe.settings(sweep.size), config={**cell.settings, **seeded}))
    except MashqError as error:
        raise MashqError(f"sweep '{sweep.name}', cell {cell.name}, recipe '{sweep.base}': {error}") from error
    known = {step.name: step for step in steps if step.produces == "evaluation"}
    if cell.read.evaluation not in known:
        raise MashqError(
            f"sweep '{sweep.name}': recipe '{sweep.base}' has no evaluation '{cell.read.evaluation}' with the settings "
            f"of cell {cell.name} ({', '.join(known) or 'none'}).{nearest(cell.read.evaluation, known)}"
        )
    step = known[cell.read.evaluation]
    systems, metrics = step.settings["systems"], [one for one in step.settings["metrics"] if one != "perplexity"]
    wanted = [("system", name, systems) for name in (cell.read.system, cell.read.minus) if name]
    for kind, name, there in [*wanted, *(("metric", name, metrics) for name in cell.read.metrics)]:
        if name not in there:
            raise MashqError(
                f"sweep '{sweep.name}': evaluation '{step.name}' has no {kind} '{name}' to read ({', '.join(there)})."
                f"{nearest(name, there)}"
            )
    return step


def steps(settings: Settings) -> list[Step]:
    sweep = asked_for(settings)
    cells = sweep.cells()
    # Seed by seed: a sweep that is stopped half-way has every cell with the first seeds.
    every = {_key(c, seed): evaluation_of(sweep, one, seed) for seed in sweep.seeds for c, one in enumerate(cells)}
    told = {"sweep": _told(sweep), "early": settings.early}
    # Paths among the settings decide nothing: what lies there is in the cells' own steps.
    shown = {"settings": dict(sweep.settings), "values": {one.name: dict(one.values) for one in sweep.factors}}
    if settings.early.rule == "off":
        return [Step("sweep", collected, told, every, kind="folder", produces="sweep", aside=shown)]
    trained, rest = _judged(sweep, every, settings.early)
    identity = {key: step.fingerprint for key, step in rest.items()}
    aside = {**shown, "evaluations": rest}
    return [Step("sweep", survivors, told, trained, identity=identity, kind="folder", produces="sweep", aside=aside)]


def _key(cell: int, seed: int) -> str:
    return f"cell-{cell:03}-seed-{seed}"


def _judged(sweep: Sweep, every: Mapping[str, Step], early: EarlySettings) -> tuple[dict[str, Step], dict[str, Step]]:
    """The first seed's trainings, each beside those before it; and all evaluations, to be made where one goes on."""
    if any(
        name.endswith("student.model") for factor in sweep.factors for one in factor.values.values() for name in one
    ):
        raise MashqError(f"sweep '{sweep.name}': losses of different students do not compare: set early.rule=off.")
    trained: dict[str, Step] = {}
    evaluations = dict(every)
    for c, cell in enumerate(sweep.cells()):
        key = _key(c, sweep.seeds[0])
        old = training_of(every[key], cell.read.system)
        trained[key] = judged(old, list(trained.values()), early)
        evaluations[key] = with_training(every[key], old, trained[key])
    return trained, evaluations


def _told(sweep: Sweep) -> dict[str, Any]:
    """What the collecting step is told, as plain values; settings that are paths here are in the cells' own steps."""
    cells = [{"name": one.name, "labels": dict(one.labels), "read": asdict(one.read)} for one in sweep.cells()]
    factors = [
        {"name": one.name, "title": dict(one.title), "labels": list(one.values), "numbers": one.numbers}
        for one in sweep.factors
    ]
    about = {key: getattr(sweep, key) for key in ("name", "layout", "seeds", "seed_settings", "comparable", "texts")}
    recipe = recipes.load(sweep.base).name
    return builtins(
        {**about, "base": recipe, "size": sweep.size, "factors": factors, "cells": cells, "pairs": sweep.neighbours()}
    )


# --- collecting ------------------------------------------------------------------------------------------------------


def collected(job: Job) -> Mapping[str, Any]:
    """All cells with all seeds -> sweep.json, sweep.csv, cells.parquet."""
    return _written(job, job.inputs, {})


def survivors(job: Job) -> Mapping[str, Any]:
    """The cells that no rung stopped are made with every seed, and collected; the stopped ones stand in the table."""
    seeds = job.settings["sweep"]["seeds"]
    stopped = {key: found for key, folder in job.inputs.items() if (found := stopped_at(folder)) is not None}
    gone = {int(key.split("-")[1]): found for key, found in stopped.items()}
    store = Store(job.root, say=print)
    cells = [c for c in range(len(job.settings["sweep"]["cells"])) if c not in gone]
    made = {
        key: store.make(job.aside["evaluations"][key]).folder
        for seed in seeds
        for c in cells
        for key in [_key(c, seed)]
    }
    return _written(job, made, gone)


def _written(job: Job, folders: Mapping[str, Path], gone: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
    asked = job.settings["sweep"]
    cells, seeds = asked["cells"], asked["seeds"]
    going = [c for c in range(len(cells)) if c not in gone]
    found: dict[int, list[Scores]] = {}
    for c in going:
        read = read_of(cells[c]["read"])
        found[c] = [read_scores(folders[_key(c, seed)], read) for seed in seeds]
    first = cells[going[0]]["read"]
    pairs = asked["pairs"]
    numbers = results(
        found, [(a, b) for a, b in pairs], first["metrics"], first["slices"], comparable=asked["comparable"]
    )
    models = sorted({model for one in found.values() for scores in one for model in scores.models if model})
    about = {
        "cells": [_about(job, c, cell, seeds, folders, gone.get(c)) for c, cell in enumerate(cells)],
        "metrics": {metric: found[going[0]][0].facts[metric] for metric in first["metrics"]},
        "models": models,
        "toys": [model for model in models if model in TOYS],
        "early": builtins(job.settings["early"]),
    }
    told = {key: asked[key] for key in asked if key not in ("cells", "pairs")}
    told |= {key: job.aside[key] for key in ("settings", "values")}
    write({**told, **about, **numbers}, job.folder)
    return {"cells": len(cells), "seeds": len(seeds), "items": numbers["items"], "stopped": len(gone)}


def _about(
    job: Job,
    c: int,
    cell: Mapping[str, Any],
    seeds: list[int],
    folders: Mapping[str, Path],
    gone: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A cell as sweep.json tells it: its labels, whether it was stopped, and where its evaluations lie."""
    base = {"name": cell["name"], "labels": cell["labels"], "read": cell["read"]}
    if gone is not None:
        folder = job.inputs[_key(c, seeds[0])].name
        return {**base, "state": "stopped", "step": gone["step"], "eval_loss": gone["eval_loss"], "folders": [folder]}
    return {**base, "state": "made", "folders": [folders[_key(c, seed)].name for seed in seeds]}
