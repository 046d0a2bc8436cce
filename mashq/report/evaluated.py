"""What an evaluation found, as plain data: the headline, what speaks against it, boards, slices, and drawn replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq.evaluate.crossings import FEWEST
from mashq.record import Evaluation, Step
from mashq.report import crossings, fertility
from mashq.report.samples import draw_replies, flat

__all__ = ["ALPHA", "LEAST_GROUPS", "board", "evaluation_facts", "verdict"]

ALPHA = 0.05  # level of the verdicts, after Holm's correction
LEAST_GROUPS = 20  # below this many clusters an interval is called rough


def evaluation_facts(step: Step, evaluation: Evaluation, seed: int, *, private: bool = False) -> dict[str, Any]:
    """What an evaluation found, its headline, what stands against it, and the drawn replies.

    Of a `private` one, or one whose step says so, no text is given: no reply, no prompt and no span that was copied.
    """
    private = private or step.private
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
        "comparisons": [
            {**entry, "verdict": verdict(entry, metrics[entry["metric"]]["higher_is_better"])}
            for entry in scores.get("comparisons") or []
        ],
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


def verdict(entry: Mapping[str, Any], higher_is_better: bool) -> str:
    """`better`, `worse` or `unclear`: the sign of a difference whose corrected p is below `ALPHA`."""
    if entry["p_holm"] >= ALPHA or not entry["difference"]:
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
    unproven = [entry["slice"] for entry in _sliced(ours, first) if entry["verdict"] != "better"]
    powerless = [entry for entry in ours if (entry.get("least_p") or 0.0) >= ALPHA]
    few = {(entry["slice"]["by"], entry["slice"]["value"]) for entry in ours if entry["groups"] < LEAST_GROUPS}
    return {
        "headline": headline,
        "unproven_slices": unproven,
        "unproven_metrics": [entry["metric"] for entry in whole if entry["verdict"] != "better"],
        "worst": _worst(facts, first),
        "least_gain": _least_gain(facts, ours, first),
        "few_groups": [{"by": by, "value": value} for by, value in sorted(few)],
        "powerless": _powerless(powerless),
        "board": board([{"run": None, "system": name, "scores": facts["scores"]} for name in facts["systems"]]),
        "macro_board": board(
            [{"run": None, "system": name, "scores": facts["scores"]} for name in facts["systems"]], by="macro"
        ),
    }


def _powerless(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Where no difference, however large, could have been significant: over all items, and in which slices."""
    whole, slices = None, set()
    for entry in entries:
        if entry["slice"]["by"] == "all":
            whole = {"groups": entry["groups"], "p": entry["least_p"]}
        else:
            slices.add((entry["slice"]["by"], entry["slice"]["value"]))
    return {"all": whole, "slices": [{"by": by, "value": value} for by, value in sorted(slices)]}


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
    """Systems by metrics over all items. A column is a metric *and* its signature: numbers in it compare.

    `rows` hold run, system and that evaluation's scores; `by` is "all" or "macro".
    """
    columns: dict[tuple[str, str], None] = {}
    cells: list[dict[tuple[str, str], Mapping[str, Any]]] = []
    for row in rows:
        mine = [e for e in row["scores"] if e["system"] == row["system"] and e["slice"]["by"] == by]
        cells.append({(e["metric"], e["signature"]): e for e in mine})
        columns.update(dict.fromkeys(cells[-1]))
    return {
        "columns": [{"metric": metric, "signature": signature} for metric, signature in columns],
        "rows": [
            {"run": row["run"], "system": row["system"], "cells": [mine.get(column) for column in columns]}
            for row, mine in zip(rows, cells, strict=True)
        ],
    }
