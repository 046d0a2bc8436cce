"""Training that stops early where other cells of a sweep do better: asynchronous successive halving (ASHA).

Li et al. 2020 (arXiv 1810.05934), as Optuna's `SuccessiveHalvingPruner` has it. The validation loss is looked at on
rungs: after `first_step` steps, after `factor` times as many, and so on. A training goes past a rung where it is among
the best 1/factor of all that have reached it, itself included; until factor trainings have, where it is the best.

Cells are trained one after the other, and a cell's training step has the trainings before it as inputs (`rival-000`
...). So a decision is a function of files that lie there: a sweep that was killed decides the same again, and what a
cell was judged against is in its fingerprint. The order matters: the first cell is never stopped, so put the value that
is most likely to be good, or the one in use, first. Only the first seed is judged; a cell that it stops gets no other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mashq import steps as shared
from mashq.rows import MashqError, expected_got
from mashq.run import Job, Step, before
from mashq.shards import write_json

__all__ = ["EarlySettings", "Halving", "judged", "losses", "stopped_at", "training_of", "with_training"]

RIVAL = "rival-"
FILE = "stopped.json"


@dataclass(frozen=True)
class EarlySettings:
    """Whether a training is ended that falls behind the others of its sweep, and when it is looked at."""

    rule: str = "off"  # off | asha
    first_step: int = 50  # optimiser steps before the first look
    factor: int = 3  # one of so many goes on at each rung, and the next rung is so many times as far; 2 or more

    def __post_init__(self) -> None:
        if self.rule not in ("off", "asha"):
            raise MashqError(expected_got("early.rule", "off or asha", f"'{self.rule}'"))
        if self.first_step < 1 or self.factor < 2:
            got = f"{self.first_step} and {self.factor}"
            raise MashqError(expected_got("early.first_step, early.factor", "at least 1 and at least 2", got))


class Halving:
    """Successive halving over trainings that come one after the other; a lower loss is better."""

    def __init__(self, settings: EarlySettings, before: Sequence[Sequence[tuple[int, float]]] = ()):
        """`before`: (step, loss) of each earlier training, in order; one that was stopped ends where it was."""
        self._study = _study(settings)
        for one in before:
            self._trial = self._study.ask()
            self._last = 0
            for step, loss in one:
                if self.stops(step, loss):
                    break
        self._trial, self._last = self._study.ask(), 0

    def stops(self, step: int, loss: float) -> bool:
        """Whether the present training ends here; a loss that is not a number ends it at its next rung."""
        if step <= self._last:  # told again after a crash
            return False
        self._last = step
        self._trial.report(loss, step)
        return bool(self._trial.should_prune())


def _study(settings: EarlySettings) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MashqError(
            "early.rule asha needs Optuna, which is not installed: pip install 'mashq[sweep]', or early.rule=off."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=settings.first_step, reduction_factor=settings.factor, min_early_stopping_rate=0
    )
    sampler = optuna.samplers.RandomSampler(seed=0)  # never asked for a value: the cells are the sweep's
    return optuna.create_study(direction="minimize", pruner=pruner, sampler=sampler)


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, validation loss) in the log of a training, in order."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines() if line.strip()]
    return [(int(line["step"]), float(line["eval_loss"])) for line in lines if "eval_loss" in line]


def stopped_at(folder: Path) -> dict[str, Any] | None:
    """Where and why a judged training was ended; None where it ran to its end."""
    path = folder / FILE
    return json.loads(path.read_text("utf-8")) if path.exists() else None


# --- steps -----------------------------------------------------------------------------------------------------------


def training_of(evaluation: Step, system: str) -> Step:
    """The training step behind a system of an evaluation. Raises MashqError where there is none."""
    asked = evaluation.inputs[system]
    for step in (asked, *before(asked)):
        if step.produces == "model":
            return step
    raise MashqError(f"sweep: '{system}' of '{evaluation.name}' is not trained, so it cannot be stopped early.")


def judged(training: Step, rivals: Sequence[Step], settings: EarlySettings) -> Step:
    """The same training, looked at on rungs beside `rivals`: the judged trainings of the cells before it.

    Raises MashqError where the training's own looks at its validation rows would miss a rung.
    """
    own = training.settings["train"]
    if own.evaluate_every and settings.first_step % own.evaluate_every:
        expected = f"a multiple of the training's evaluate_every ({own.evaluate_every})"
        raise MashqError(expected_got("early.first_step", expected, str(settings.first_step)))
    asked = replace(own, evaluate_every=own.evaluate_every or settings.first_step)
    return replace(
        training,
        work=_judged,
        settings={**training.settings, "train": asked, "early": settings},
        inputs={**training.inputs, **{f"{RIVAL}{place:03}": one for place, one in enumerate(rivals)}},
    )


def with_training(step: Step, old: Step, new: Step) -> Step:
    """The step with `new` wherever it or what it needs takes `old`; what does not need `old` stays itself."""
    if step is old:
        return new
    inputs = {name: with_training(needed, old, new) for name, needed in step.inputs.items()}
    return step if all(inputs[name] is needed for name, needed in step.inputs.items()) else replace(step, inputs=inputs)


class _Stopped(Exception):
    """Ends a training from within its log."""


def _judged(job: Job) -> Mapping[str, Any]:
    early: EarlySettings = job.settings["early"]
    rivals = [folder for name, folder in job.inputs.items() if name.startswith(RIVAL)]
    own = {name: folder for name, folder in job.inputs.items() if not name.startswith(RIVAL)}
    halving = Halving(early, [losses(folder) for folder in rivals])
    seen: list[int] = []

    def on_step(line: Mapping[str, Any]) -> None:
        if "eval_loss" not in line:
            return
        seen.append(int(line["step"]))
        if halving.stops(int(line["step"]), float(line["eval_loss"])):
            write_json(job.folder / FILE, {"step": int(line["step"]), "eval_loss": line["eval_loss"]})
            raise _Stopped

    try:
        facts = shared.run_training(replace(job, inputs=own), on_step)
    except _Stopped:
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
        return {"stopped": stopped_at(job.folder), "rivals": len(rivals)}
    if not seen and not losses(job.folder):
        raise MashqError(
            f"{job.name}: early.rule asha looks at the validation loss, and there is none: no validation row reached "
            "the training. Keep some (split.validation), or set early.rule=off."
        )
    return {**facts, "stopped": None, "rivals": len(rivals)}
