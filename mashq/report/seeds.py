"""Several runs that differ in the training seed alone: what seeds differ by, apart from what items differ by.

Runs are put together only where everything that an evaluation was made from is the same but for the seeds of its
trainings, and where they scored the same items; the others are named with what they differ in. The numbers are those
of a sweep (`mashq.sweep_results`): a two-way analysis of variance, items by seeds, with Student's interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mashq.lm.toy import TOYS
from mashq.metrics import holm
from mashq.record import Run, Step, read_evaluation
from mashq.report.alike import Making, differences, making
from mashq.report.evaluated import LEAST_GROUPS, verdict
from mashq.rows import MashqError
from mashq.sweep import Read
from mashq.sweep_results import Scores, read_scores, results

__all__ = ["FORMULA", "LEAST_SEEDS", "not_shown", "read", "seeds_of"]

LEAST_SEEDS = 3  # fewer say hardly anything of how trainings differ, so nothing is concluded from them
FORMULA = "items x seeds, both drawn at random (Clark 1973); df: Satterthwaite 1946; Student's t, 95%"
NO_MEAN = "perplexity"  # no mean over items: bits_per_byte stands for it


@dataclass(frozen=True)
class _Made:
    """One evaluation of one run."""

    run: Run
    step: Step
    making: Making

    @property
    def name(self) -> str:
        return f"{self.run.recipe}/{self.run.name}"

    @property
    def seeds(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.making.seeds.items()))


def read(runs: Sequence[Run]) -> dict[str, Any] | None:
    """`pools` (runs put together, an evaluation each) and `apart` (runs that were not, and why), JSON-able.

    None for a single run, and where no run has an evaluation with a training behind it.
    """
    if len(runs) < 2:
        return None
    made = [_Made(run, step, making(run, step)) for run in runs for step in run.of("evaluation")]
    made = [one for one in made if one.making.seeds]
    if not made:
        return None
    pools: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    for (recipe, _), members in _grouped(made).items():
        if len(members) == 1 and any(one.run.recipe == recipe for one in made if one.run is not members[0].run):
            apart.append(_apart("alone", members))
        classes = _classes(members)
        for members_alike in classes:
            chosen, again = _once(members_alike)
            apart += [_apart("same", [first, other]) for first, other in again]
            found = _pool(chosen) if len(chosen) > 1 else None
            if found:
                (pools if "gains" in found else apart).append(found)
        for other in classes[1:]:
            told = differences(classes[0][0].making, other[0].making)
            apart.append({**_apart("settings", [classes[0][0], other[0]]), "differences": told})
    recipes = list(dict.fromkeys(one.run.recipe for one in made))
    if len(recipes) > 1:
        apart.append({"why": "recipes", "runs": recipes, "evaluations": []})
    return {"pools": pools, "apart": _merged(apart), "formula": FORMULA}


def seeds_of(found: Mapping[str, Any] | None) -> dict[str, int]:
    """Fingerprint of an evaluation -> how many seeds it was put together with, its own among them."""
    pools = found["pools"] if found else []
    return {one["fingerprint"]: len(pool["runs"]) for pool in pools for one in pool["runs"]}


def not_shown(fingerprint: str, trained: bool, pooled: Mapping[str, int]) -> list[str]:
    """What the intervals of one evaluation do not show of trainings: the keys of sentences.

    `pooled` is what `seeds_of` gave: only three seeds or more let the line on a single training go.
    """
    seeds = pooled.get(fingerprint, 1)
    if not trained:
        return []
    return ["not_seeds" if seeds == 1 else "not_seeds_two" if seeds < LEAST_SEEDS else "not_seeds_here"]


def _grouped(made: Sequence[_Made]) -> dict[tuple[str, str], list[_Made]]:
    """(recipe, evaluation) -> the evaluations of that name in runs of that recipe."""
    found: dict[tuple[str, str], list[_Made]] = {}
    for one in made:
        found.setdefault((one.run.recipe, one.step.name), []).append(one)
    return found


def _classes(members: Sequence[_Made]) -> list[list[_Made]]:
    """Those that differ in nothing but training seeds together, the largest class first."""
    classes: list[list[_Made]] = []
    for one in members:
        home = next((some for some in classes if some[0].making.steps == one.making.steps), None)
        if home is None:
            classes.append([one])
        else:
            home.append(one)
    return sorted(classes, key=len, reverse=True)


def _once(members: Sequence[_Made]) -> tuple[list[_Made], list[tuple[_Made, _Made]]]:
    """One run for each seed, in the order of the seeds; and those that repeat the seed of one, beside it."""
    chosen: dict[tuple[tuple[str, int], ...], _Made] = {}
    again = []
    for one in members:
        if chosen.setdefault(one.seeds, one) is not one:
            again.append((chosen[one.seeds], one))
    return [chosen[seeds] for seeds in sorted(chosen, key=lambda seeds: [seed for _, seed in seeds])], again


def _apart(why: str, made: Sequence[_Made]) -> dict[str, Any]:
    return {"why": why, "runs": [one.name for one in made], "evaluations": [made[0].step.name]}


def _merged(apart: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry where several evaluations of the same runs are apart for the same reason."""
    found: dict[str, dict[str, Any]] = {}
    for one in apart:
        key = json.dumps({name: value for name, value in one.items() if name != "evaluations"}, sort_keys=True)
        if key in found:
            found[key]["evaluations"] += one["evaluations"]
        else:
            found[key] = dict(one)
    return list(found.values())


# --- one evaluation of several seeds ---------------------------------------------------------------------------------


def _pool(made: Sequence[_Made]) -> dict[str, Any]:
    """The numbers over seeds; or, where the runs scored other items without a reason, why they stay apart."""
    every = [read_evaluation(one.step).scores for one in made]
    first = every[0]
    others = [one["name"] for one in first["systems"] if one["name"] != first["baseline"]]
    systems = [first["baseline"], *others]
    names = tuple(name for name in first["metrics"] if name != NO_MEAN)
    cells = {
        system: [read_scores(one.step.folder, Read(one.step.name, system, metrics=names)) for one in made]
        for system in systems
    }
    sets = [set(one.items) for one in cells[systems[0]]]
    shared, asked = set.intersection(*sets), set.union(*sets)
    missing = sum(note["n"] or 0 for one in every for note in one.get("notes") or [] if note["code"] == "missing")
    if not shared or len(asked) - len(shared) > missing:
        return {**_apart("items", made), "shared": len(shared), "all": len(asked)}
    about = _about(made, first, systems)
    numbers = _numbers(made, cells, first, toys=bool(about["toys"]))
    return {**about, "left_out": len(asked) - len(shared), **numbers}


def _about(made: Sequence[_Made], scores: Mapping[str, Any], systems: Sequence[str]) -> dict[str, Any]:
    return {
        "recipe": made[0].run.recipe,
        "evaluation": made[0].step.name,
        "runs": [{"run": one.name, "seed": one.making.seed, "fingerprint": one.step.fingerprint} for one in made],
        "seeds": [one.making.seed for one in made],
        "baseline": systems[0],
        "systems": list(systems),
        "labels": {one["name"]: one.get("label") or one["name"] for one in scores["systems"]},
        "toys": sorted({str(one.get("model") or "") for one in scores["systems"]} & set(TOYS)),
        "versions": _versions(made),
    }


def _numbers(
    made: Sequence[_Made], cells: Mapping[str, Sequence[Scores]], evaluated: Mapping[str, Any], *, toys: bool
) -> dict[str, Any]:
    metrics = {name: facts for name, facts in evaluated["metrics"].items() if name != NO_MEAN}
    counted, untold = _counted(cells, metrics)
    scores = [{**one, "fixed": _fixed(made, one["system"])} for part in counted for one in part["scores"]]
    gains = _judged([one for part in counted for one in part["gains"]], metrics)
    return {
        "metrics": metrics,
        "untold": untold,
        "items": max((one["n"] for one in scores), default=0),
        "groups": max((one["groups"] for one in scores), default=0),
        "few_groups": any(one["groups"] < LEAST_GROUPS for one in scores),
        "scores": scores,
        "gains": [{**one, "says": "toys" if toys else _says(one)} for one in gains],
    }


def _counted(
    cells: Mapping[str, Sequence[Scores]], metrics: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """For each metric its scores and gains; and the metrics of which nothing can be told, with why."""
    counted, untold = [], []
    for metric in metrics:
        scored = [name for name, some in cells.items() if all(np.isfinite(one.over[metric]).any() for one in some)]
        if not scored:
            untold.append({"metric": metric, "why": "unscored"})
            continue
        if any(_signature(a, metric) != _signature(b, metric) for name in scored for a, b in pairwise(cells[name])):
            untold.append({"metric": metric, "why": "signature"})
            continue
        base = next(iter(cells)) in scored
        pairs = [(place, 0) for place in range(1, len(scored))] if base else []
        try:
            found = results({place: cells[name] for place, name in enumerate(scored)}, pairs, [metric])
        except MashqError as error:  # no item that all scored, or references that differ: said on the page
            untold.append({"metric": metric, "why": str(error)})
            continue
        counted.append(
            {
                "scores": [{**_plain(one), "system": scored[one["cell"]]} for one in found["scores"]],
                "gains": [
                    {**_plain(one), "system": scored[one["a"]], "baseline": scored[0]} for one in found["comparisons"]
                ],
            }
        )
    return counted, untold


KEPT = ("metric", "seeds", "spread", "item_errors", "error", "freedom", "low", "high", "n", "groups")


def _plain(one: Mapping[str, Any]) -> dict[str, Any]:
    mean = one["value"] if "value" in one else one["difference"]
    more = {key: one[key] for key in ("signature", "p", "higher_is_better") if key in one}
    if one["low"] == one["high"]:  # every item has one value, as where no reply is right: what others hold is unknown
        more |= {"low": None, "high": None}
    return {**{key: one[key] for key in KEPT}, "mean": mean, **more}


def _signature(scores: Scores, metric: str) -> list[str]:
    """Without the seed of the evaluation's own intervals, which are not shown here."""
    return [part for part in scores.facts[metric]["signature"].split("|") if not part.startswith("seed:")]


def _judged(gains: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With p after Holm's correction over all systems and metrics, the verdict, and how many seeds agree in sign."""
    found = []
    for one, p in zip(gains, holm([one["p"] for one in gains]) if gains else [], strict=True):
        told = {**one, "difference": one["mean"], "p_holm": p}
        agree = sum(np.sign(value) == np.sign(one["mean"]) != 0 for value in one["seeds"])
        better = verdict(told, bool(metrics[one["metric"]]["higher_is_better"]))
        found.append({**told, "agree": int(agree), "verdict": better if len(one["seeds"]) >= LEAST_SEEDS else ""})
    return found


def _says(gain: Mapping[str, Any]) -> str:
    """Whether a gain is larger than what seeds differ by: the name of the sentence that says so."""
    if not any(gain["seeds"]):
        return "none"
    if len(gain["seeds"]) < LEAST_SEEDS:
        return "few"
    larger = abs(gain["mean"]) > gain["spread"]
    if gain["verdict"] == "unclear":
        return "unproven" if larger else "within"
    return "beyond" if larger and gain["agree"] == len(gain["seeds"]) else "average"


def _fixed(made: Sequence[_Made], system: str) -> bool:
    """Whether a system's replies are one step in all runs, so that no seed can move them."""
    return len({str((one.step.manifest.get("inputs") or {}).get(system)) for one in made}) == 1


def _versions(made: Sequence[_Made]) -> list[str]:
    """Packages and modules that the trainings did not all run with in one version."""
    names = dict.fromkeys(name for one in made for name in one.making.code)
    return [name for name in names if len({one.making.code.get(name) for one in made}) > 1]
