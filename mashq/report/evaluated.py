"""What an evaluation found, as plain data: the headline, what speaks against it, boards, slices, and drawn replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq.evaluate.crossings import FEWEST
from mashq.metrics.paired import holm
from mashq.record import Evaluation, Step
from mashq.report import crossings, fertility
from mashq.report.samples import draw_replies, flat

__all__ = ["ALPHA", "LEAST_GROUPS", "board", "board_beside", "evaluation_facts", "verdict"]

ALPHA = 0.05  # level of the verdicts, after Holm's correction
LEAST_GROUPS = 20  # below this many clusters an interval is called rough
SAME = ("run", "system", "label", "items", "cells")  # rows of several runs' board that are one but for their evaluation

Column = tuple[str, str, bool, str]  # of a board: metric, signature, is higher better, unit


def evaluation_facts(step: Step, evaluation: Evaluation, seed: int, *, private: bool) -> dict[str, Any]:
    """What an evaluation found, its headline, what stands against it, and the drawn replies.

    Of a `private` one no text is given: no reply, no prompt and no span that was copied.
    """
    scores = evaluation.scores
    names = [system["name"] for system in scores["systems"]]
    baseline = scores["baseline"]
    others = [name for name in names if name != baseline]
    metrics = _metrics(scores)
    primary = others[0] if others else None
    ranking = next((name for name, facts in metrics.items() if facts.get("of") != "reference"), None)
    facts = {
        "step": step.name,
        "fingerprint": step.fingerprint,
        "baseline": baseline,
        "primary": primary,
        "systems": names,
        "labels": {system["name"]: system.get("label") or system["name"] for system in scores["systems"]},
        "about": {
            system["name"]: flat({key: value for key, value in system.items() if key not in ("name", "label")})
            for system in scores["systems"]
        },
        "items": scores.get("items"),
        "groups": scores.get("groups"),
        "metrics": metrics,
        "scores": scores["scores"],
        "comparisons": _comparisons(scores.get("comparisons") or [], metrics),
        "health": scores.get("health") or [],
        "copied": [{**one, "text": ""} if private else one for one in scores.get("copied") or []],
        "private": private,
        "notes": scores.get("notes") or [],
        "seed": scores.get("seed"),
        "absent": scores.get("absent") or [],
        "sensitivity": scores.get("sensitivity"),
        "fertility": fertility.of_samples(evaluation.samples, scores["systems"]),
        "crossings": crossings.read(scores, metrics, least_groups=LEAST_GROUPS),
        "judged": any(name.startswith("judge_") for name in metrics),
    }
    order = [baseline, *others]
    better = bool(ranking and metrics[ranking]["higher_is_better"])
    replies = []
    if not private:
        replies = draw_replies(evaluation.samples, systems=order, metric=ranking, higher_is_better=better, seed=seed)
    return {**facts, **_summary(facts), "replies": {"metric": ranking, "items": replies}}


def _metrics(scores: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Facts on each metric that has a score, in the order of the evaluation."""
    known = scores.get("metrics") or {}
    used = dict.fromkeys(entry["metric"] for entry in scores["scores"])
    named = [*(name for name in known if name in used), *(name for name in used if name not in known)]
    return {name: {"higher_is_better": True, "unit": "", "of": "reply", **known.get(name, {})} for name in named}


def _comparisons(
    entries: Sequence[Mapping[str, Any]], metrics: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The comparisons, each with its verdict and the least p that it could have after Holm's correction.

    One that can never be significant has no smallest detectable difference: that of the test alone would say otherwise.
    """
    found = []
    for entry, least in zip(entries, _least_holm(entries), strict=True):
        better = verdict(entry, metrics[entry["metric"]]["higher_is_better"])
        told = {**entry, "verdict": better, "least_p_holm": least, "powerless": least >= ALPHA}
        found.append({**told, "smallest_detectable": None} if told["powerless"] else told)
    return found


def _least_holm(entries: Sequence[Mapping[str, Any]]) -> list[float]:
    """The least p after Holm's correction that each comparison could have, whatever the differences.

    It is what the correction makes of the least p of every comparison in its family, as no corrected p falls where
    another p of the family rises. An entry of an older evaluation has no least p, which counts as 0.
    """
    families: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        families.setdefault(entry["slice"]["by"], []).append(place)
    least = [float(entry.get("least_p") or 0.0) for entry in entries]
    found = [0.0] * len(entries)
    for places in families.values():
        for place, p in zip(places, holm([least[place] for place in places]), strict=True):
            found[place] = p
    return found


def verdict(entry: Mapping[str, Any], higher_is_better: bool) -> str:
    """`better`, `worse` or `unclear`: the sign of a difference whose corrected p is below `ALPHA`.

    Its interval must leave out 0 too. The test asks whether anything differs anywhere, and swaps whole groups: where a
    few of them hold most of the text, it can reject that while the whole difference may still be none.
    """
    if entry["p_holm"] >= ALPHA or not entry["difference"]:
        return "unclear"
    low, high = entry.get("low"), entry.get("high")
    if low is not None and high is not None and low <= 0 <= high:
        return "unclear"
    return "better" if (entry["difference"] > 0) == higher_is_better else "worse"


def _summary(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The headline of the first system against the baseline, and what stands against it."""
    ours = [entry for entry in facts["comparisons"] if entry["a"] == facts["primary"]]
    whole = [entry for entry in ours if entry["slice"]["by"] == "all"]
    headline = [
        {
            **entry,
            "before": _value(facts["scores"], facts["baseline"], entry["metric"]),
            "after": _value(facts["scores"], facts["primary"], entry["metric"]),
        }
        for entry in whole
    ]
    first = headline[0]["metric"] if headline else None
    powerless = _powerless(ours)
    unproven = [
        entry["slice"]
        for entry in _sliced(ours, first)
        if entry["verdict"] != "better" and entry["slice"] not in powerless["slices"]
    ]
    few = {(entry["slice"]["by"], entry["slice"]["value"]) for entry in ours if entry["groups"] < LEAST_GROUPS}
    rows = [{"system": name, "scores": facts["scores"], "metrics": facts["metrics"]} for name in facts["systems"]]
    return {
        "headline": headline,
        "unproven_slices": unproven,
        "unproven_metrics": [entry["metric"] for entry in whole if entry["verdict"] != "better"],
        "worst": _worst(facts, first),
        "least_gain": _least_gain(facts, ours, first),
        "few_groups": [{"by": by, "value": value} for by, value in sorted(few)],
        "powerless": powerless,
        "board": board(rows),
        "macro_board": board(rows, by="macro"),
    }


def _powerless(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Where no difference, however large, could have been significant: over all items, and in which slices.

    `all` has the groups and the least p of the comparison that could have come nearest, before and after correction.
    """
    parts: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in entries:
        parts.setdefault((entry["slice"]["by"], entry["slice"]["value"]), []).append(entry)
    without = {part: some for part, some in parts.items() if all(one["powerless"] for one in some)}
    whole = [
        {"groups": one["groups"], "p": one["least_p"], "p_holm": one["least_p_holm"]}
        for (by, _), some in without.items()
        if by == "all"
        for one in some
    ]
    slices = [{"by": by, "value": value} for by, value in sorted(without) if by != "all"]
    return {"all": min(whole, key=lambda one: (one["p_holm"], one["p"]), default=None), "slices": slices}


def _value(scores: Iterable[Mapping[str, Any]], system: str, metric: str) -> float | None:
    whole = (e for e in scores if (e["system"], e["metric"], e["slice"]["by"]) == (system, metric, "all"))
    return next((entry["value"] for entry in whole), None)


def _sliced(entries: Iterable[Mapping[str, Any]], metric: str | None) -> list[Mapping[str, Any]]:
    """Entries of real slices: those of a slicing with two values or more."""
    mine = [e for e in entries if e["metric"] == metric and e["slice"]["by"] not in ("all", "macro")]
    values: dict[str, set[str]] = {}
    for entry in mine:
        values.setdefault(entry["slice"]["by"], set()).add(entry["slice"]["value"])
    return [entry for entry in mine if len(values[entry["slice"]["by"]]) > 1]


def _enough(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Those of at least `FEWEST` items, which alone are named the worst; all of them where none has so many."""
    return [entry for entry in entries if entry["n"] >= FEWEST] or entries


def _worst(facts: Mapping[str, Any], metric: str | None) -> dict[str, Any] | None:
    mine = _enough(_sliced((entry for entry in facts["scores"] if entry["system"] == facts["primary"]), metric))
    if metric is None or not mine:
        return None
    sign = 1 if facts["metrics"][metric]["higher_is_better"] else -1
    return dict(min(mine, key=lambda entry: sign * entry["value"]))


def _least_gain(
    facts: Mapping[str, Any], ours: Iterable[Mapping[str, Any]], metric: str | None
) -> dict[str, Any] | None:
    mine = _enough(_sliced(ours, metric))
    if metric is None or not mine:
        return None
    sign = 1 if facts["metrics"][metric]["higher_is_better"] else -1
    return dict(min(mine, key=lambda entry: sign * entry["difference"]))


def board(rows: Sequence[Mapping[str, Any]], by: str = "all") -> dict[str, Any]:
    """Systems by metrics over all items. A column is a metric, its signature *and* its facts: numbers in it compare.

    `rows` hold system, that evaluation's scores and metrics, and whatever else names the row; `by` is "all" or "macro".
    """
    columns: dict[Column, None] = {}
    cells: list[dict[Column, Mapping[str, Any]]] = []
    for row in rows:
        mine = [e for e in row["scores"] if e["system"] == row["system"] and e["slice"]["by"] == by]
        cells.append({_column(entry, row["metrics"]): entry for entry in mine})
        columns.update(dict.fromkeys(cells[-1]))
    return {
        "columns": [
            {"metric": metric, "signature": signature, "higher_is_better": better, "unit": unit}
            for metric, signature, better, unit in columns
        ],
        "rows": [
            {
                **{name: value for name, value in row.items() if name not in ("scores", "metrics")},
                "cells": [mine.get(column) for column in columns],
            }
            for row, mine in zip(rows, cells, strict=True)
        ],
    }


def _column(entry: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> Column:
    facts = metrics[entry["metric"]]
    return entry["metric"], entry["signature"], bool(facts["higher_is_better"]), str(facts["unit"])


def board_beside(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The board of several runs, each row with its own run, label, evaluations and items; None where one run scored.

    A system with the same numbers in several evaluations of a run, as on the same replies, is one row.
    """
    rows = [
        {
            "run": f"{run['recipe']}/{run['name']}",
            "system": system,
            "label": evaluation["labels"].get(system, system),
            "evaluations": [evaluation["step"]],
            "items": evaluation["items"],
            "scores": evaluation["scores"],
            "metrics": evaluation["metrics"],
        }
        for run in runs
        for evaluation in run["evaluations"]
        for system in evaluation["systems"]
    ]
    if len({row["run"] for row in rows}) < 2:
        return None
    found = board(rows)
    once: list[dict[str, Any]] = []
    for row in found["rows"]:
        same = next((one for one in once if all(one[key] == row[key] for key in SAME)), None)
        if same:
            same["evaluations"] += row["evaluations"]
        else:
            once.append(row)
    return {**found, "rows": once}
