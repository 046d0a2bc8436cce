"""Train a student on rows: full, LoRA or QLoRA, one stage after another, with the lineage kept.

The loop is Transformers' Trainer, the adapters are PEFT's. What is ours stands around them: rows become ids and labels
in `chat`, a row that does not fit is refused with a reason and never cut, the loss is computed at supervised tokens
only and weighted by them across accumulated batches, batches hold rows of like length with the longest first (memory
fails at once, or never), and a killed run goes on to the same bits on CPU.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashq.train import card as train_card
from mashq.train.fit import Rows, Tell, fit
from mashq.train.settings import TrainSettings, check, kept_as

__all__ = ["TrainSettings", "train"]


def train(
    settings: TrainSettings,
    rows: Rows,
    out: Path,
    *,
    validation: Rows | None = None,
    init: Path | None = None,
    data: Sequence[Mapping[str, Any]] = (),
    on_step: Tell | None = None,
) -> Path:
    """Train and leave in `out`: adapter/ or model/, log.jsonl, loss.svg, card.json, README.md, refused.jsonl.

    `rows`, `validation`: tables of rows, Parquet files or folders of them. `init`: the folder of an earlier stage,
    whose adapter or model is trained on. `data`: what the card says of the rows ({"name", "fingerprint", "licences"},
    ...). `on_step` gets every line of the log (with `launch`, after the end). Called again on a folder that a crash
    left, it goes on from the last checkpoint; on a finished folder it returns at once. The weights are put in place
    last, whole.

    Raises MashqError for wrong settings, rows of a test split, no rows left, another run's folder, a loss that is not a
    number, a full disk and memory that does not suffice.
    """
    check(settings)
    out.mkdir(parents=True, exist_ok=True)
    started = time.time()
    if settings.launch:
        from mashq.train.launch import launched

        facts = launched(settings, rows, out, validation=validation, init=init, on_step=on_step)
    else:
        facts = fit(settings, rows, out, validation=validation, init=init, on_step=on_step)
    if facts is not None:
        weights = out / f"{kept_as(settings.method)}.partial"
        run = {**facts.pop("run"), "this_process_s": round(time.time() - started, 1)}
        card = train_card.card(
            settings=dataclasses.asdict(settings), data=[dict(one) for one in data], run=run, weights=weights, **facts
        )
        train_card.write(out, card, weights)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # also of a run killed when its weights were in place
    return out
