"""The samples of an evaluation as logs that `inspect_ai` reads (`inspect view`, `read_eval_log`): one JSON a system.

A sample is one item: prompt, reference, reply, and of each metric its value. The scores of all items stand in the
results, each with its signature and interval in `metadata`. A value that was not measured is absent, never 0. Format:
version 2 of inspect's EvalLog (inspect.aisi.org.uk/eval-logs.html), read by inspect_ai 0.3. Only what mashq knows is
filled in; the time is one that the caller names, so that equal evaluations give equal bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq import __version__
from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole

__all__ = ["inspect_logs"]

NEVER = "1970-01-01T00:00:00+00:00"
NEEDED = ("item", "system", "prompt", "reference", "reply", "finish")
CARRIED = ("id", "task", "template", "variety", "group", "source")
STOPS = {"stop": "stop", "length": "max_tokens"}  # other words for an end are inspect's "unknown"


def inspect_logs(evaluation: Path, out: Path, *, created: str = NEVER) -> list[Path]:
    """Write `out`/TIME_SYSTEM.json for each system of an evaluation (the folder that `evaluate` left); gives the files.

    `created` is the time in the logs and, to the second, in their names, without which `inspect view` lists none: ISO
    8601 with its offset. Raises MashqError for another time, where `scores.json` or `samples.parquet` is missing or not
    as `evaluate` writes them, and where a log is there already.
    """
    moment = _moment(created)
    scores, samples = _read(evaluation)
    metrics = [name for name in scores["metrics"] if name in samples.column_names]
    systems = [one["name"] for one in scores["systems"]]
    names = {system: f"{moment}_{name}" for system, name in _file_names(systems).items()}
    out.mkdir(parents=True, exist_ok=True)
    taken = [out / name for name in names.values() if (out / name).exists()]
    if taken:
        raise MashqError(f"inspect log: {taken[0]} is there already. Name another folder, or remove it.")
    rows = samples.to_pylist()
    found = []
    for system in systems:
        own = [row for row in rows if row["system"] == system]
        text = json.dumps(_log(scores, system, own, metrics, created), ensure_ascii=False, indent=1, allow_nan=False)
        path = out / names[system]
        with write_whole(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
        found.append(path)
    return found


def _moment(created: str) -> str:
    """A time as it begins the name of a log: `2026-01-31T09-30-00`."""
    moment: datetime | None = None
    with contextlib.suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(created)
    if moment is None or moment.tzinfo is None:
        raise MashqError(expected_got("inspect log: created", "a time as 2026-01-31T09:30:00+00:00", f"{created!r}"))
    return moment.strftime("%Y-%m-%dT%H-%M-%S")


def _read(folder: Path) -> tuple[dict[str, Any], pa.Table]:
    try:
        scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        samples = pq.read_table(folder / "samples.parquet")
    except (OSError, ValueError) as error:
        got = (str(error).splitlines() or [type(error).__name__])[0]
        do = "Name the folder of an evaluation step."
        raise MashqError(expected_got(f"inspect log: {folder}", "scores.json and samples.parquet", got, do)) from error
    lacking = [name for name in NEEDED if name not in samples.column_names]
    if lacking or not {"systems", "metrics", "scores"} <= set(scores):
        got = f"no column {lacking[0]}" if lacking else "another scores.json"
        raise MashqError(expected_got(f"inspect log: {folder}", "what mashq.evaluate writes", got))
    return scores, samples


def _file_names(systems: Sequence[str]) -> dict[str, str]:
    """A file name for each system: letters, digits, `-` and `_`; two that come out alike get a hash."""
    plain = {system: re.sub(r"[^\w-]+", "_", system).strip("_") or "system" for system in systems}
    often = [name.lower() for name in plain.values()]
    return {
        system: f"{name}{'-' + _hash(system, 8) if often.count(name.lower()) > 1 else ''}.json"
        for system, name in plain.items()
    }


def _hash(text: str, digits: int = 22) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()[:digits]


def _log(
    scores: Mapping[str, Any], system: str, rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], created: str
) -> dict[str, Any]:
    about = next(one for one in scores["systems"] if one["name"] == system)
    ids = [row["item"] for row in rows]
    named = _hash(json.dumps([system, ids], ensure_ascii=False))
    model = f"mashq/{about.get('model') or about.get('label') or system}"
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": named,
            "run_id": _hash(json.dumps(ids)),
            "task_id": named,
            "created": created,
            "task": system,
            "task_version": 0,
            "dataset": {"name": "mashq", "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": model,
            "model_args": {},
            "config": {"epochs": 1},
            "packages": {"mashq": __version__},
            "metadata": {"system": dict(about), "seed": scores.get("seed")},
        },
        "plan": {"name": "plan", "steps": [{"solver": "mashq", "params": {}}], "config": {}},
        "results": {
            "total_samples": len(ids),
            "completed_samples": len(ids),
            "scores": [_result(scores, system, metric) for metric in metrics if _whole(scores, system, metric)],
        },
        "stats": {"started_at": created, "completed_at": created},
        "samples": [_sample(row, metrics, model) for row in rows],
    }


def _whole(scores: Mapping[str, Any], system: str, metric: str) -> Mapping[str, Any] | None:
    """The score of a system over all items, or None."""
    return next(
        (
            one
            for one in scores["scores"]
            if (one["system"], one["metric"], one["slice"]["by"]) == (system, metric, "all")
        ),
        None,
    )


def _result(scores: Mapping[str, Any], system: str, metric: str) -> dict[str, Any]:
    found = _whole(scores, system, metric) or {}
    kept = {name: found.get(name) for name in ("low", "high", "n", "signature")}
    value = {"name": "value", "value": found["value"], "metadata": kept}
    return {"name": metric, "scorer": metric, "scored_samples": found.get("n"), "metrics": {"value": value}}


def _sample(row: Mapping[str, Any], metrics: Sequence[str], model: str) -> dict[str, Any]:
    reply = row["reply"] or ""
    said = {"role": "assistant", "content": reply, "source": "generate"}
    values = {name: row[name] for name in metrics if row[name] is not None and math.isfinite(row[name])}
    return {
        "id": row["item"],
        "epoch": 1,
        "input": row["prompt"] or "",
        "target": row["reference"] or "",
        "messages": [{"role": "user", "content": row["prompt"] or ""}, said],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": STOPS.get(row["finish"], "unknown")}],
            "completion": reply,
        },
        "scores": {name: {"value": value, "answer": reply} for name, value in values.items()},
        "metadata": {name: row[name] for name in CARRIED if row.get(name) is not None},
    }
