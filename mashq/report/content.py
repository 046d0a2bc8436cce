"""What a report says, as plain data without language or layout: the content of report.json, the page and the Markdown.

Nothing is dropped here that a reader could miss; the page shows less than this where it says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq import __version__
from mashq.lm.toy import TOYS
from mashq.report.parts import read_parts
from mashq.report.plots import Series
from mashq.report.record import (
    COUNTS,
    Evaluation,
    Model,
    Run,
    Step,
    read_contamination,
    read_evaluation,
    read_model,
    read_survey,
    read_tables,
)
from mashq.report.samples import draw_replies, draw_rows, shown

__all__ = ["ALPHA", "LEAST_GROUPS", "build", "flat"]

ALWAYS = ("not_truth", "not_people")
ALPHA = 0.05  # level of the verdicts, after Holm's correction
LEAST_GROUPS = 20  # below this many clusters an interval is called rough
LAST = 10  # steps that the last training loss is the mean of
LONGEST_VALUE = 240  # characters of one setting


def build(runs: Sequence[Run], *, seed: int) -> dict[str, Any]:
    """The facts of a report on `runs`, JSON-able; `seed` draws the samples."""
    facts = [_run(run, seed, alone=len(runs) == 1) for run in runs]
    rows = [
        {"run": f"{run['recipe']}/{run['name']}", "system": system, "scores": evaluation["scores"]}
        for run in facts
        for evaluation in run["evaluations"]
        for system in evaluation["systems"]
    ]
    several = len({row["run"] for row in rows}) > 1
    return {"mashq": __version__, "seed": seed, "runs": facts, "board": board(rows) if several else None}


def _run(run: Run, seed: int, alone: bool) -> dict[str, Any]:
    checked = [(step, read_contamination(step)) for step in run.of("contamination")]
    learnt = {str(step.manifest["inputs"]["evaluation"]): _learnt_items(found) for step, found in checked}
    evaluations = [
        {**_evaluation(step, read_evaluation(step), seed), "learnt_items": learnt.get(step.fingerprint)}
        for step in run.of("evaluation")
    ]
    scored = {
        str(step.manifest["inputs"][system])
        for step, evaluation in zip(run.of("evaluation"), evaluations, strict=True)
        for system in evaluation["systems"]
        if system in (step.manifest.get("inputs") or {})
    }
    data = [_data(run, step, seed, step.fingerprint in scored) for step in run.of("rows") if step.counts]
    models = [_model(step, read_model(step)) for step in run.of("model")]
    facts = {
        "recipe": run.recipe,
        "name": run.name,
        "caption": run.record.get("caption", ""),
        "started": run.record.get("started", ""),
        "seconds": float(run.record.get("seconds") or 0.0),
        "made_with": run.record.get("mashq", ""),
        "engine": run.record.get("engine", ""),
        "machine": flat(run.record.get("machine") or {}),
        "settings": flat(run.record.get("settings") or {}),
        "packages": _packages(run),
        "steps": [_step(step) for step in run.steps],
        "data_card": f"data_card{'' if alone else f'-{run.recipe}-{run.name}'}.md" if data else None,
        "data": data,
        "surveys": [_survey(step) for step in run.of("survey")],
        "tables": [{"step": step.name, **read_tables(step)} for step in run.of("tables")],
        "models": models,
        "contamination": [{"step": step.name, **found} for step, found in checked],
        "parts": read_parts(run),
        "evaluations": [
            # What no score of such a run can show, most telling first.
            {
                **evaluation,
                "not_shown": [*_toys(evaluation), *ALWAYS, *(["not_seeds"] if models else []), "not_elsewhere"],
            }
            for evaluation in evaluations
        ],
    }
    return {**facts, "licences": _licences(run, models), "limits": _limits(facts)}


def _learnt_items(found: Mapping[str, Any]) -> dict[str, int] | None:
    """How many of an evaluation's items were learnt in training; None where the test set is not contaminated."""
    if found["verdict"] != "contaminated":
        return None
    return {"n": found["contaminated"]["n"], "items": found["items"]}


def _toys(evaluation: Mapping[str, Any]) -> list[str]:
    """Whether a system of the evaluation has random weights."""
    named = (fact["text"] for about in evaluation["about"].values() for fact in about if fact["name"] == "model")
    return ["not_toys"] if any(name in TOYS for name in named) else []


# --- steps -----------------------------------------------------------------------------------------------------------


def _step(step: Step) -> dict[str, Any]:
    manifest = step.manifest
    return {
        "name": step.name,
        "folder": step.folder.name,
        "fingerprint": step.fingerprint,
        "version": manifest.get("version"),
        "produces": step.produces,
        "hash": manifest.get("hash"),
        "inputs": manifest.get("inputs") or {},
        "files": manifest.get("files") or {},
        "settings": flat(manifest.get("settings") or {}),
        "identity": flat(manifest.get("identity") or {}),
        "facts": flat(manifest.get("facts") or {}),
        "seconds": float(manifest.get("seconds") or step.seconds),
        "cpu_seconds": manifest.get("cpu_seconds"),
        "peak_memory_mb": manifest.get("peak_memory_mb"),
        "reused": step.reused,
        "drift": list(step.drift),
        "commit": (manifest.get("code") or {}).get("commit"),
    }


def _packages(run: Run) -> dict[str, str]:
    """Package -> version, or the versions of several steps beside each other."""
    found: dict[str, list[str]] = {}
    for step in run.steps:
        for name, version in (step.manifest.get("packages") or {}).items():
            if version not in found.setdefault(name, []):
                found[name].append(str(version))
    return {name: " / ".join(versions) for name, versions in sorted(found.items())}


def _data(run: Run, step: Step, seed: int, scored: bool) -> dict[str, Any]:
    """A step's counts, reasons, composition and samples; kept replies that are `scored` are shown beside each other."""
    counts = step.counts or dict.fromkeys(COUNTS, 0)
    reasons = step.manifest.get("reasons") or {}
    dropped = sum(reasons.values())
    return {
        "step": step.name,
        "counts": counts,
        "closes": counts["in"] + counts["made"] == sum(counts[kind] for kind in COUNTS[2:]),
        "reasons": [
            {"reason": reason, "rows": rows, "share": rows / dropped}
            for reason, rows in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
            if rows
        ],
        "tally": step.manifest.get("tally") or {},
        "scored": scored,
        "private": step.private,
        "kept": [] if scored else draw_rows(run, step, dropped=False, seed=seed),
        "dropped": draw_rows(run, step, dropped=True, seed=seed),
    }


def _licences(run: Run, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [
        {"step": step.name, "licence": licence, "rows": rows}
        for step in run.steps
        for licence, rows in (step.manifest.get("licences") or {}).items()
    ]
    notices = [
        {"step": model["step"], "model": base.get("name"), "licence": base.get("licence"), "notice": base.get("notice")}
        for model in models
        if (base := model["base"])
    ]
    notices += [
        {"step": step.name, "model": one["name"], "licence": one["licence"], "notice": one["why"]}
        for step in run.steps
        for one in step.judges
    ]
    return {"rows": rows, "models": notices}


def _survey(step: Step) -> dict[str, Any]:
    found = read_survey(step)
    return {"step": step.name, **found, "diversity": flat(found["diversity"])}


def _model(step: Step, model: Model) -> dict[str, Any]:
    """The training log in short, thinned for a curve, and the card."""
    losses = [(float(line["step"]), float(line["loss"])) for line in model.log if line.get("loss") is not None]
    held = [(float(line["step"]), float(line["eval_loss"])) for line in model.log if line.get("eval_loss") is not None]
    finite = [point for point in losses if math.isfinite(point[1])]
    card = model.card
    base = card.get("base")
    return {
        "step": step.name,
        "steps": int(max((step for step, _ in losses), default=0)),
        "first": finite[0] if finite else None,
        "last": (finite[-1][0], _mean(value for _, value in finite[-LAST:])) if finite else None,
        "last_eval": held[-1] if held and math.isfinite(held[-1][1]) else None,
        "not_finite": len(losses) - len(finite),
        "curve": Series("loss", tuple(finite)).thinned().points,
        "a_point": max(1, math.ceil(len(finite) / max(1, len(Series("loss", tuple(finite)).thinned().points)))),
        "eval_curve": [point for point in held if math.isfinite(point[1])],
        "supervised_tokens": sum(int(line.get("supervised_tokens") or 0) for line in model.log if "loss" in line),
        "base": base if isinstance(base, dict) else {},
        "card": flat({name: card[name] for name in ("base", "settings", "rows", "run", "weights") if name in card}),
        "readme": f"{step.folder.name}/{model.readme.name}" if model.readme else None,
    }


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


# --- evaluation ------------------------------------------------------------------------------------------------------


def _evaluation(step: Step, evaluation: Evaluation, seed: int) -> dict[str, Any]:
    scores = evaluation.scores
    names = [system["name"] for system in scores["systems"]]
    baseline = scores["baseline"]
    others = [name for name in names if name != baseline]
    metrics = _metrics(scores)
    primary = others[0] if others else None
    ranking = next((name for name, facts in metrics.items() if facts.get("of") != "reference"), None)
    facts = {
        "step": step.name,
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
        "copied": scores.get("copied") or [],
        "notes": scores.get("notes") or [],
    }
    order = [baseline, *others]
    better = bool(ranking and metrics[ranking]["higher_is_better"])
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
    unproven = [
        entry["slice"]
        for entry in ours
        if entry["metric"] == first and entry["slice"]["by"] not in ("all", "macro") and entry["verdict"] != "better"
    ]
    few = {(entry["slice"]["by"], entry["slice"]["value"]) for entry in ours if entry["groups"] < LEAST_GROUPS}
    return {
        "headline": headline,
        "unproven_slices": unproven,
        "unproven_metrics": [entry["metric"] for entry in whole if entry["verdict"] != "better"],
        "worst": _worst(facts, first),
        "least_gain": _least_gain(facts, ours, first),
        "few_groups": [{"by": by, "value": value} for by, value in sorted(few)],
        "board": board([{"run": None, "system": name, "scores": facts["scores"]} for name in facts["systems"]]),
        "macro_board": board(
            [{"run": None, "system": name, "scores": facts["scores"]} for name in facts["systems"]], by="macro"
        ),
    }


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


def _worst(facts: Mapping[str, Any], metric: str | None) -> dict[str, Any] | None:
    mine = _sliced((entry for entry in facts["scores"] if entry["system"] == facts["primary"]), metric)
    if metric is None or not mine:
        return None
    sign = 1 if facts["metrics"][metric]["higher_is_better"] else -1
    return dict(min(mine, key=lambda entry: sign * entry["value"]))


def _least_gain(
    facts: Mapping[str, Any], ours: Iterable[Mapping[str, Any]], metric: str | None
) -> dict[str, Any] | None:
    mine = _sliced(ours, metric)
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


# --- limits ----------------------------------------------------------------------------------------------------------


def _limits(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a reader must know before quoting a number: a code and its values."""
    found: list[dict[str, Any]] = []
    for evaluation in facts["evaluations"]:
        found += [{"limit": note["code"], "n": note.get("n")} for note in evaluation["notes"]]
        if evaluation["few_groups"]:
            found.append({"limit": "few_groups", "slices": evaluation["few_groups"], "least": LEAST_GROUPS})
        if "perplexity" in evaluation["metrics"]:
            found.append({"limit": "perplexity"})
        if any(facts["of"] == "reply" for facts in evaluation["metrics"].values()):
            found.append({"limit": "overlap"})
    toys = sorted({base["name"] for model in facts["models"] if (base := model["base"]).get("name") in TOYS})
    found += [{"limit": "toys", "names": ", ".join(toys)}] if toys else []
    dropped = sum(data["counts"]["dropped"] for data in facts["data"])
    found += [{"limit": "dropped", "n": dropped}] if dropped else []
    found += [{"limit": "open_counts", "step": data["step"]} for data in facts["data"] if not data["closes"]]
    found += [{"limit": "drift", "step": step["name"]} for step in facts["steps"] if step["drift"]]
    unique: list[dict[str, Any]] = []
    for entry in found:
        if entry not in unique:
            unique.append(entry)
    return unique


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    """Nested values -> [{name: dotted, text, cut}] in their order; a list is shown as JSON, a long text is cut."""
    found: list[dict[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            found.append({"name": f"{prefix}{name}", **shown(text, LONGEST_VALUE)})
    return found
