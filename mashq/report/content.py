"""What a report says, as plain data without language or layout: the content of report.json, the page and the Markdown.

Nothing is dropped here that a reader could miss; the page shows less than this where it says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq import __version__
from mashq.lm.toy import TOYS
from mashq.record import (
    COUNTS,
    Model,
    Run,
    Step,
    read_contamination,
    read_evaluation,
    read_model,
    read_survey,
    read_tables,
)
from mashq.report import fertility, identity, judging, papers, seeds
from mashq.report.disagreements import with_people
from mashq.report.evaluated import LEAST_GROUPS, board_beside, evaluation_facts
from mashq.report.parts import read_parts
from mashq.report.plots import Series
from mashq.report.samples import draw_rows, flat

__all__ = ["build"]

LAST = 10  # steps that the last training loss is the mean of


def build(runs: Sequence[Run], *, seed: int) -> dict[str, Any]:
    """The facts of a report on `runs`, JSON-able; `seed` draws the samples."""
    over_seeds = seeds.read(runs)
    pooled = seeds.seeds_of(over_seeds)
    facts = [_run(run, seed, len(runs) == 1, pooled) for run in runs]
    beside = {"board": board_beside(facts), "over_seeds": over_seeds}
    return {"mashq": __version__, "seed": seed, "runs": facts, **beside}


def _run(run: Run, seed: int, alone: bool, pooled: Mapping[str, int]) -> dict[str, Any]:
    learnt = {
        str(step.manifest["inputs"]["evaluation"]): _learnt_items(read_contamination(step))
        for step in run.of("contamination")
    }
    evaluations = [
        {**_evaluated(run, step, seed), "learnt_items": learnt.get(step.fingerprint)} for step in run.of("evaluation")
    ]
    scored = _scored(run, evaluations)
    data = [_data(run, step, seed, step.fingerprint in scored) for step in run.of("rows") if step.counts]
    models = [_model(step, read_model(step)) for step in run.of("model")]
    parts = read_parts(run)
    rated = {
        str(step.manifest["inputs"]["evaluation"]): bool(part["simulated"])
        for part in parts
        if part["kind"] == "people"
        for step in run.of("people")
        if step.name == part["step"]
    }
    no_judge = any(part["kind"] == "judge_card" and judging.has_no_model(part["about"]) for part in parts)
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
        "parts": parts,
        "paper": papers.read(run.recipe, evaluations, parts),
        "evaluations": [
            {**one, "not_shown": _not_shown(one, of_seeds, rated, no_judge=no_judge)}
            for one in with_people(run, evaluations, parts)
            for of_seeds in [seeds.not_shown(one["fingerprint"], bool(models), pooled)]
        ],
        "seeds": _seeds(run, evaluations, seed),
        "identity": identity.read(run, evaluations),
    }
    return {**facts, "licences": _licences(run, models), "limits": _limits(facts)}


def _evaluated(run: Run, step: Step, seed: int) -> dict[str, Any]:
    return evaluation_facts(step, read_evaluation(step), seed, private=run.hides(step))


def _scored(run: Run, evaluations: Sequence[Mapping[str, Any]]) -> set[str]:
    """The steps of replies: those that an evaluation reads, and those that these were made from, as by a judge."""
    made = {step.fingerprint: step for step in run.steps}
    waiting = [
        str(step.manifest["inputs"][system])
        for step, evaluation in zip(run.of("evaluation"), evaluations, strict=True)
        for system in evaluation["systems"]
        if system in (step.manifest.get("inputs") or {})
    ]
    found: set[str] = set()
    while waiting:
        one = waiting.pop()
        found.add(one)
        before = made[one].manifest.get("inputs") or {} if one in made else {}
        waiting += [str(before["replies"])] if "replies" in before else []
    return found


def _not_shown(
    evaluation: Mapping[str, Any], of_seeds: Sequence[str], rated: Mapping[str, bool], *, no_judge: bool
) -> list[str]:
    """What no score of such a run can show, most telling first.

    `rated`: evaluation -> are its raters programs; `no_judge`: behind the run's judge there is no model.
    """
    judged, simulated = bool(evaluation["judged"]), rated.get(evaluation["fingerprint"])
    judges = ["not_judge"] if judged and no_judge else []
    raters = ["not_people_judged" if judged else "not_people"] if simulated is None else []
    raters += ["not_people_simulated"] if simulated else []
    truth = "not_truth_judged" if judged else "not_truth"
    return [*judges, *_toys(evaluation), truth, *raters, *of_seeds, "not_elsewhere"]


def _seeds(run: Run, evaluations: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Every seed that the run was made with: of its steps' settings, its evaluations and this report's samples."""
    found = [
        {"step": step.name, "name": one["name"], "seed": one["text"]}
        for step in run.steps
        for one in flat(step.manifest.get("settings") or {})
        if one["name"].rpartition(".")[2] == "seed"
    ]
    known = {(one["step"], one["seed"]) for one in found}
    found += [
        {"step": one["step"], "name": "seed", "seed": str(one["seed"])}
        for one in evaluations
        if one["seed"] is not None and (one["step"], str(one["seed"])) not in known
    ]
    return [*found, {"step": "report", "name": "samples", "seed": str(seed)}]


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
        "private": run.hides(step),
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
        "seed": (card.get("settings") or {}).get("seed"),
        "tokens": (card.get("run") or {}).get("tokens") or {},
        "rows": (card.get("rows") or {}).get("train"),
        "fertility": fertility.of_training(card),
        "card": flat({name: card[name] for name in ("base", "settings", "rows", "run", "weights") if name in card}),
        "readme": f"{step.folder.name}/{model.readme.name}" if model.readme else None,
    }


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


# --- limits ----------------------------------------------------------------------------------------------------------


def _limits(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a reader must know before quoting a number: a code and its values."""
    found: list[dict[str, Any]] = []
    for evaluation in facts["evaluations"]:
        found += [_noted(note, evaluation["labels"]) for note in evaluation["notes"]]
        if evaluation["powerless"]["slices"]:
            found.append({"limit": "powerless", "slices": evaluation["powerless"]["slices"]})
        found += [{"limit": "absent", **one} for one in evaluation["absent"]]
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
    drifted = ", ".join(step["name"] for step in facts["steps"] if step["drift"])
    found += [{"limit": "drift", "steps": drifted}] if drifted else []
    unique: list[dict[str, Any]] = []
    for entry in found:
        if entry not in unique:
            unique.append(entry)
    return unique


def _noted(note: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A note of an evaluation as a limit; one on a system and a metric names them, and why."""
    if "metric" not in note:
        return {"limit": note["code"], "n": note.get("n")}
    why = "; ".join(f"{reason}: {n}" for reason, n in (note.get("reasons") or {}).items())
    system = labels.get(note["system"], note["system"])
    return {"limit": note["code"], "n": note["n"], "metric": note["metric"], "system": system, "reasons": why}
