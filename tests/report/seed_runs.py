"""Runs that differ in their training seed, made of small steps through the real runner; replies come from the seed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fake_run
import pyarrow as pa

from mashq.evaluate import evaluate
from mashq.rows import child_ids, replace
from mashq.run import Job, Step, Store, manifest_of
from mashq.shards import write_json

SIZE = fake_run.Size(rows=90)
METRICS = ("bits_per_byte", "rougeL", "perplexity")
LABELS = {"before": "untuned", "after": "tuned"}
GAINS = {0: 0.30, 1: 0.24, 2: 0.33, 3: 0.27}  # bits a byte that a training with that seed gains


def train(job: Job) -> dict[str, Any]:
    """A training that leaves the gain of its seed."""
    settings = job.settings["train"]
    write_json(job.folder / "card.json", {"settings": settings, "base": {"name": job.settings["student"]["model"]}})
    line = {"step": 1, "loss": 2.0, "supervised_tokens": 10}
    (job.folder / "log.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    return {}


def replies(table: pa.Table, job: Job) -> pa.Table:
    """Replies with likelihoods: what the seed of the training gains, and noise of item and seed."""
    seed = None
    if "trained" in job.inputs:
        seed = (manifest_of(job.inputs["trained"]) or {})["settings"]["train"]["seed"]
    turns, metas = [], []
    for index, row in enumerate(table.to_pylist()):
        size = len(row["references"][0].encode())
        easy, luck = random.Random(f"item {index}").gauss(0, 0.1), random.Random(f"{index} {seed}").gauss(0, 0.02)
        bits = 1.3 + easy + luck - (GAINS[seed] if seed is not None else 0)
        facts = {"finish": "stop", "new_tokens": 5, "target_tokens": size // 4, "target_bytes": size}
        metas.append(json.dumps({**facts, "nats": bits * size * math.log(2)}))
        said = row["references"][0].split()[: 3 if seed is None else 9 + seed]
        turns.append([*row["messages"], {"role": "assistant", "content": " ".join(said)}])
    ids = child_ids(table.column("id"), step="replies", template=job.name)
    made = replace(table, parents=[[one] for one in table.column("id").to_pylist()], messages=turns, meta=metas)
    return made.set_column(0, made.schema.field("id"), ids)


def score(job: Job) -> dict[str, Any]:
    """The real evaluation."""
    found = evaluate(
        {name: job.read(name) for name in LABELS},
        baseline="before",
        metrics=METRICS,
        labels=LABELS,
        about={name: {"model": job.settings["model"]} for name in LABELS},
        seed=0,
        out=job.folder,
    )
    return {"items": found["items"]}


def make(
    root: Path,
    seed: int,
    *,
    name: str = "",
    recipe: str = "quickstart",
    lr_peak: float = 2e-4,
    model: str = "gemma3-270m",
    size: fake_run.Size = SIZE,
) -> Path:
    """Make one run with this training seed; gives its record."""
    raw = Step("facts", fake_run.facts, size, kind="stream", rows_per_part=150)
    asked = Step("asked", fake_run.prompts, size, {"facts": raw}, here=True)
    told: Mapping[str, Any] = {"student": {"model": model}, "train": {"lr_peak": lr_peak, "seed": seed}}
    tuned = Step("tuned", train, told, {"rows": raw}, kind="folder", produces="model")
    before = Step("before", replies, {"student": {"model": model}}, {"rows": asked}, here=True)
    after = Step("after", replies, {"student": {"model": model}}, {"rows": asked, "trained": tuned}, here=True)
    scored = Step(
        "gain", score, {"model": model}, {"before": before, "after": after}, kind="folder", produces="evaluation"
    )
    made = [Store(root, say=lambda line: None).make(step) for step in (raw, asked, tuned, before, after, scored)]
    record = root / recipe / f"{name or f'seed-{seed}'}.json"
    steps = [
        {
            "name": one.step.name,
            "folder": f"steps/{one.folder.name}",
            "fingerprint": one.step.fingerprint,
            "seconds": 0.1,
            "reused": one.reused,
            "drift": [],
        }
        for one in made
    ]
    about = {"caption": "A toy.", "settings": {"train": {"seed": seed}}, "steps": steps, "mashq": "0.1.0"}
    write_json(record, {"recipe": recipe, "name": record.stem, **about, "machine": {"cpu": "2 cores"}})
    return record
