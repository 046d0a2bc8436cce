"""Checkpoints of a training: which is whole, which may go, and whether one stands at the end of its training."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from mashq.shards import write_whole

__all__ = ["at_end", "last_whole", "rewind", "seal", "step_of", "thin_out", "waited"]

WHOLE = "whole"  # the file that is written after all others: a checkpoint without it was cut off by a crash
STATE = "trainer_state.json"  # Transformers' name
KEPT = 2  # checkpoints; the last and the best are always among them


def step_of(checkpoint: Path) -> int:
    """The optimiser steps that were taken before it was written."""
    return int(checkpoint.name.split("-")[1])


def seal(checkpoint: Path) -> None:
    """Have the disk hold all files of a checkpoint, then say that it is whole."""
    for path in checkpoint.iterdir():
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    with (checkpoint / WHOLE).open("w") as file:
        file.flush()
        os.fsync(file.fileno())


def last_whole(folder: Path, *, remove: bool) -> Path | None:
    """The latest checkpoint that was written whole; with `remove` those that were not are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of)
    whole = [path for path in found if (path / WHOLE).exists()]
    if remove:
        for path in set(found) - set(whole):
            shutil.rmtree(path)
    return whole[-1] if whole else None


def thin_out(folder: Path, best: Path | None) -> None:
    """Remove old checkpoints until `KEPT` are left. To be called when the newest is whole, so that one always is."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of)
    spare = [path for path in found[:-1] if best is None or path.name != best.name]
    for path in spare[: max(0, len(found) - KEPT)]:
        (path / WHOLE).unlink(missing_ok=True)  # first: what a crash leaves of it must not look whole
        shutil.rmtree(path)


def at_end(checkpoint: Path, patience: int, every: int) -> str | None:
    """Why nothing was left to train when a checkpoint was written: `steps`, `patience`; None where something was.

    `patience` and `every` (steps between validations, above 0 where patience is) are the run's settings; the state of
    the checkpoint says how many steps the run was to take.
    """
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    taken, wanted, best = state["global_step"], state["max_steps"], state["best_global_step"]
    if patience and waited(taken, best, every) >= patience:
        return "patience"
    return "steps" if taken >= wanted else None


def waited(step: int, best: int | None, every: int) -> int:
    """Validations since the best one, `every` steps one after the other; 0 where there was none."""
    return 0 if best is None else (step - best) // every


def rewind(log: Path, step: int) -> None:
    """Keep the log's lines up to a step; a last line that a crash cut is left out."""
    kept = []
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= step:
                    kept.append(line)
    with write_whole(log) as partial:
        partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
