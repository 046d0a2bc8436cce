"""A run's results in the shape of the table of the paper that its recipe stands for: the facts, without layout.

Rows are the systems of an evaluation, further systems and those that were not run; columns are what the paper's table
has. What a run did not measure is a dash with its reason under the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashq.lm.toy import TOYS
from mashq.packaged import parsed
from mashq.report.evaluated import ALPHA, verdict
from mashq.report.novelty import MAIN, novel

__all__ = ["AGREED", "NOVELTY", "SHAPES", "Column", "Shape", "criteria", "read"]

NOVELTY = tuple(f"novelty{n}" for n in (2, 3, 4))  # of McCoy et al.'s n = 1..10; the report's curve has all
AGREED = ("kappa", "quadratic kappa", "spearman")  # between raters; the paper does not say how its kappa weighs
MEASURED = ("value", "low", "high", "n", "reason")  # what is taken of each

Cell = dict[str, Any]  # value, low, high, n, verdict (better | worse | None)
Find = Callable[[str, "Column", str, str], Cell | None]  # system, column, by, value -> its cell


@dataclass(frozen=True)
class Column:
    """One column of a table of ours."""

    metric: str
    by: str = "all"  # "all" = weighted by items, "macro" = each task once
    signature: str | None = None  # None: not measured


@dataclass(frozen=True)
class Shape:
    """How the table of a paper is laid out."""

    paper: str  # its key in papers.yaml
    evaluations: tuple[str, ...]  # beginnings of the names of the steps that are shown
    columns: tuple[Column, ...] = ()  # of metrics
    rubric: str = ""  # whose criteria a judge and people score; "" = neither stands in the paper's table
    judged: bool = False
    rated: bool = False
    by_task: str = ""  # the metric that is shown task by task


BERTSCORE = tuple(Column(f"bertscore_{part}") for part in ("precision", "recall", "f1"))
STORIES = Shape("stories", ("gain",), rubric="stories", judged=True, rated=True)
SHAPES: Mapping[str, Shape] = {
    "dialogue": Shape(
        "dialogue",
        ("gain",),
        (Column("perplexity"), Column("bits_per_byte"), Column("dialogue_score"), *map(Column, NOVELTY)),
        rubric="dialogue",
        rated=True,
    ),
    "prompts": Shape("prompts", ("gain", "beyond"), (Column("rougeL", "macro"), Column("rougeL")), by_task="rougeL"),
    "medical": Shape("medical", ("students",), BERTSCORE),
    "stories": STORIES,
    "stages": STORIES,
}


# --- facts -----------------------------------------------------------------------------------------------------------


def read(
    recipe: str, evaluations: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The tables of a run of `recipe` and what its paper published; None for other recipes and without an evaluation.

    `evaluations` and `parts` are those of the report's content.
    """
    shape = SHAPES.get(recipe)
    if shape is None or not evaluations:
        return None
    shown = [one for one in evaluations if str(one["step"]).startswith(shape.evaluations)] or evaluations[:1]
    judged = [one for one in shown if one["judged"]] if shape.judged else []
    shown = judged or shown  # an evaluation of the same systems that no judge read would be a table of dashes
    people = [part for part in parts if part["kind"] == "people"] if shape.rated else []
    tables = [table for one in shown for table in _of_evaluation(shape, one)]
    if shape.rated:
        tables += [_people(shape, part, _rated(shown, part)) for part in people] or [_nobody(shape, shown[0])]
    return {
        "paper": shape.paper,
        "rubric": shape.rubric,
        "tables": tables,
        "agreement": [line for part in people for line in _agreement(shape, part)],
        "toys": any(_random(one) for one in shown),
        "published": parsed("papers")[shape.paper],
    }


def _random(evaluation: Mapping[str, Any]) -> bool:
    """Whether a system of the evaluation has random weights."""
    about = (fact for facts in evaluation["about"].values() for fact in facts)
    return any(fact["name"] == "model" and fact["text"] in TOYS for fact in about)


def _of_evaluation(shape: Shape, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    scores = [*evaluation["scores"], *_novelty(evaluation)]
    find = _finder(scores, evaluation["comparisons"])
    made = []
    if shape.columns:
        columns = _measured(shape.columns, scores)
        made.append({**_table("scores", evaluation, columns, [("all", "")], find), "encoder": _encoder(columns)})
    if shape.by_task:
        made += _tasks(shape.by_task, evaluation, find)
    if shape.judged:
        columns = _measured([Column(f"judge_{name}") for name in criteria(shape.rubric)], scores)
        slices = _varieties(scores) if evaluation["judged"] else [("all", "")]  # dashes once, not once a variety
        made.append({**_table("judge", evaluation, columns, slices, find), "judge": _judge(columns)})
    return made


def _measured(wanted: Iterable[Column], scores: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Each wanted column once for each signature: numbers of two signatures do not compare."""
    found = []
    for one in wanted:
        mine = (entry for entry in scores if (entry["metric"], entry["slice"]["by"]) == (one.metric, one.by))
        signatures: list[str | None] = list(dict.fromkeys(entry["signature"] for entry in mine))
        found += [Column(one.metric, one.by, signature) for signature in signatures or [None]]
    return found


def _finder(scores: Iterable[Mapping[str, Any]], comparisons: Iterable[Mapping[str, Any]]) -> Find:
    """Gives a cell by system, column and slice, with the verdict of its comparison with the baseline."""
    values = {
        (one["system"], one["metric"], one["slice"]["by"], one["slice"]["value"], one["signature"]): one
        for one in scores
    }
    verdicts = {
        (one["a"], one["metric"], one["slice"]["by"], one["slice"]["value"]): one["verdict"] for one in comparisons
    }

    def find(system: str, column: Column, by: str, value: str) -> Cell | None:
        where = ("macro", "task") if column.by == "macro" else (by, value)
        one = values.get((system, column.metric, *where, column.signature))
        if one is None:
            return None
        said = verdicts.get((system, column.metric, *where))
        numbers = {name: one[name] for name in ("value", "low", "high", "n")}
        return {**numbers, "verdict": said if said in ("better", "worse") else None}

    return find


def _novelty(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Shares of n-grams new against training and context, of all items, in the shape of scores."""
    return [
        {
            "system": entry["system"],
            "metric": f"novelty{n}",
            "slice": {"by": "all", "value": ""},
            **{name: share[name] for name in ("value", "low", "high")},
            "n": entry["n"],
            "signature": entry["signatures"][MAIN].replace("novelty1|", f"novelty{n}|", 1),
        }
        for entry in evaluation["copied"]
        for n, share in novel(entry, MAIN).items()
    ]


def _table(
    kind: str,
    evaluation: Mapping[str, Any],
    columns: Sequence[Column],
    cuts: Sequence[tuple[str, str]],
    find: Find,
) -> dict[str, Any]:
    """One table: families of rows (all items, each variety), a row for each system and for each that was not run."""
    families = []
    for by, value in cuts:
        rows = []
        for system in evaluation["systems"]:
            cells = [find(system, column, by, value) for column in columns]
            n = max((cell["n"] for cell in cells if cell), default=None)
            rows.append({"system": system, "label": evaluation["labels"][system], "n": n, "cells": cells})
        families.append({"by": by, "value": value, "rows": rows})
    return {
        "kind": kind,
        "step": evaluation["step"],
        "baseline": evaluation["labels"][evaluation["baseline"]],
        "columns": [vars(column) for column in columns],
        "families": families,
        "absent": [{"label": one["label"], "why": one["why"]} for one in evaluation.get("absent") or []],
        "reasons": _reasons(kind, columns, families),
        "unmarkable": _unmarkable(evaluation, columns),
        "references": [one for one in _novelty(evaluation) if one["system"] == "reference" and one["metric"] in NOVELTY]
        if kind == "scores" and any(column.metric in NOVELTY for column in columns)
        else [],
    }


def _varieties(scores: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """All items, and each variety where there are two or more."""
    found = dict.fromkeys(
        one["slice"]["value"] for one in scores if one["slice"]["by"] == "variety" and one["slice"]["value"]
    )
    return [("all", ""), *(("variety", value) for value in found if len(found) > 1)]


def _tasks(metric: str, evaluation: Mapping[str, Any], find: Find) -> list[dict[str, Any]]:
    """A line for each task and a column for each system; nothing where there is one task, or none was scored."""
    here = [one for one in evaluation["scores"] if (one["metric"], one["slice"]["by"]) == (metric, "task")]
    tasks = list(dict.fromkeys(one["slice"]["value"] for one in here))
    if len(tasks) < 2:
        return []
    signature = here[0]["signature"]
    rows = []
    for task in tasks:
        cells = [find(system, Column(metric, "all", signature), "task", task) for system in evaluation["systems"]]
        rows.append({"task": task, "n": max((cell["n"] for cell in cells if cell), default=None), "cells": cells})
    told = {"kind": "tasks", "step": evaluation["step"], "metric": metric, "signature": signature}
    return [{**told, "labels": [evaluation["labels"][one] for one in evaluation["systems"]], "rows": rows}]


def _reasons(kind: str, columns: Sequence[Column], families: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Why cells are dashes: a code, and the metrics that it holds for."""
    whole = families[0]["rows"]
    found: dict[str, list[str]] = {}
    for place, column in enumerate(columns):
        have = [row["cells"][place] is not None for row in whole]
        if not any(have):
            found.setdefault(_why(kind, column, columns), []).append(column.metric)
        elif not all(have):
            found.setdefault("paper_why_some", []).append(column.metric)
        if column.metric == "perplexity" and any(have):
            found.setdefault("paper_why_untested", []).append(column.metric)
    return [{"why": why, "metrics": list(dict.fromkeys(metrics))} for why, metrics in found.items()]


def _why(kind: str, column: Column, columns: Sequence[Column]) -> str:
    if kind in ("judge", "people"):
        return "paper_why_criterion" if any(one.signature for one in columns) else f"paper_why_{kind}"
    if column.by == "macro" and any(one.metric == column.metric and one.signature for one in columns):
        return "paper_why_macro"
    if column.metric in NOVELTY:
        return "paper_why_novelty"
    if column.metric == "dialogue_score":
        return "paper_why_dialogue"
    return "paper_why_bertscore" if column in BERTSCORE else "paper_why_metric"


def _unmarkable(evaluation: Mapping[str, Any], columns: Sequence[Column]) -> bool:
    """Whether no difference could have been marked: too few groups for any test to reach the level after correction."""
    shown = {column.metric for column in columns}
    ours = [one for one in evaluation["comparisons"] if one["metric"] in shown]
    return bool(ours) and all(one.get("powerless", (one.get("least_p") or 0.0) >= ALPHA) for one in ours)


def _said(signature: str | None, *names: str) -> dict[str, str]:
    """Parts `name:value` of a signature."""
    parts = dict(part.split(":", 1) for part in (signature or "").split("|") if ":" in part)
    return {name: parts[name] for name in names if name in parts}


def _encoder(columns: Iterable[Column]) -> dict[str, str] | None:
    """Encoder, layer, weighting and baseline of the BERTScore columns; None where there is none."""
    signed = next((one.signature for one in columns if one.metric.startswith("bertscore") and one.signature), None)
    return _said(signed, "encoder", "layer", "idf", "baseline") if signed else None


def _judge(columns: Iterable[Column]) -> dict[str, str] | None:
    """Model, rubric and language of a judge's columns; None where nobody judged."""
    signed = next((one.signature for one in columns if one.signature), None)
    return _said(signed, "model", "rubric", "lang") if signed else None


def criteria(rubric: str) -> dict[str, dict[str, str]]:
    """Criterion -> its title in both languages; none without a rubric."""
    return {one["name"]: one["title"] for one in parsed(f"rubrics/{rubric}")["criteria"]} if rubric else {}


# --- people ----------------------------------------------------------------------------------------------------------


def _rated(shown: Sequence[Mapping[str, Any]], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The evaluation whose replies people rated: the one that has every system that they rated."""
    fits = (one for one in shown if set(part["systems"]) <= set(one["systems"]))
    return next(fits, shown[0])


def _people(shape: Shape, part: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """People's means by system and criterion, of all items and of each variety."""

    def sliced(one: Mapping[str, Any]) -> dict[str, str]:
        return {"by": "all", "value": ""} if one["variety"] == "all" else {"by": "variety", "value": one["variety"]}

    scores = [{**one, "metric": one["criterion"], "slice": sliced(one)} for one in part["means"]]
    comparisons = [
        {**one, "metric": one["criterion"], "slice": sliced(one), "verdict": verdict(one, higher_is_better=True)}
        for one in part["comparisons"]
    ]
    asked = dict.fromkeys([*criteria(shape.rubric), *(one["criterion"] for one in part["means"])])
    columns = _measured(map(Column, asked), scores)
    rated = {**evaluation, "comparisons": comparisons}
    found = _table("people", rated, columns, _varieties(scores), _finder(scores, comparisons))
    return {**found, "raters": len(part["raters"]), "simulated": bool(part["simulated"])}


def _nobody(shape: Shape, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The table of people's scores where no people were asked: dashes and the reason."""
    columns = [Column(name) for name in criteria(shape.rubric)]
    found = _table("people", {**evaluation, "comparisons": []}, columns, [("all", "")], _finder([], []))
    return {**found, "raters": 0, "simulated": False}


def _agreement(shape: Shape, part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each criterion that people scored, kappa and Spearman's rho between the raters."""
    lines = []
    for one in part["agreement"]:
        if one["kind"] != "absolute" or one["variety"] != "all":
            continue
        told = {kind: next((m for m in one["measures"] if m["name"] == kind), None) for kind in AGREED}
        kept = {kind: {name: m[name] for name in MEASURED} if m else None for kind, m in told.items()}
        lines.append({"criterion": one["criterion"], "measures": kept})
    return lines
