"""A training killed by SIGKILL at any moment ends as one that was never killed: weights, log and card are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import log_of, quick, weights_of

from mashq.rows import MashqError
from mashq.train import TrainSettings, checkpoints, launch, train

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = 22  # 6 steps an epoch at 4 rows a batch
TIMES = ("seconds", "speed", "this_process_s")

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import tiny_models
import mashq.train as t
import mashq.train.card as card
import mashq.train.launch as launch
import mashq.train.loop as loop

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def then_die(work, when=lambda *_: True):
    def worked(*given):
        work(*given)
        if when(*given):
            die()
    return worked

moment, step = {moment!r}, {step!r}
if moment == "sealed":  # the checkpoint of this step is whole
    loop.seal = then_die(loop.seal, lambda path: path.name == f"checkpoint-{{step}}")
if moment == "thinning":  # the first checkpoint that goes is gone in part
    loop.thin_out.__globals__["shutil"] = type("S", (), dict(rmtree=staticmethod(
        lambda path, **_: (os.unlink(path / "optimizer.pt"), die()))))
if moment == "saved":  # the weights are written and not in place
    card.card = die
if moment == "placed":  # the weights are in place, the checkpoints still there
    card.write = then_die(card.write)
if {job!r}:
    launch.main(Path({job!r}))
else:
    settings = t.TrainSettings(**{settings!r})
    def tell(line):
        if line["step"] == step and moment == ("evaluated" if "eval_loss" in line else "step"):
            die()
    t.train(settings, tiny_models.rows({rows}), Path({out!r}), validation={held}, on_step=tell)
"""


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.folder(tmp_path_factory.mktemp("student"))


def script(
    moment: str, step: int, settings: TrainSettings, out: Path, held: str, rows: int = ROWS, job: str = ""
) -> str:
    known = {"settings": vars(settings), "out": str(out), "held": held, "rows": rows, "job": job}
    return KILLED.format(tests=str(Path(__file__).parent), moment=moment, step=step, **known)


def killed(moment: str, step: int, settings: TrainSettings, out: Path, held: str = "None", rows: int = ROWS) -> None:
    command = [sys.executable, "-W", "ignore", "-c", script(moment, step, settings, out, held, rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def told(out: Path) -> Any:
    """Weights, log and card of a training, without how long anything took."""
    card = json.loads((out / "card.json").read_text("utf-8"))
    card["run"] = {key: value for key, value in card["run"].items() if key not in TIMES}
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in log_of(out)]
    return weights_of(out), lines, card


def constant(student: Path, **changes: Any) -> TrainSettings:
    """A schedule whose last step teaches as much as any, and dropout, so that one step more or another draw is seen."""
    given = {"steps": 4, "schedule": "constant", "warmup": 0, "dropout": 0.1, "save_every": 3}
    return quick(student, **{**given, **changes})


@pytest.fixture(scope="module")
def unbroken(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return told(train(constant(student), tiny_models.rows(ROWS), tmp_path_factory.mktemp("unbroken")))


@pytest.mark.parametrize(
    ("moment", "step"),
    [("sealed", 4), ("sealed", 3), ("step", 2), ("saved", 0), ("placed", 0)],
    ids=["after the last checkpoint", "in the middle", "before the first", "weights written", "weights in place"],
)
def test_killed_and_started_again_it_ends_as_if_unkilled(
    student: Path, tmp_path: Path, unbroken: Any, moment: str, step: int
) -> None:
    out = tmp_path / "out"
    killed(moment, step, constant(student), out)
    train(constant(student), tiny_models.rows(ROWS), out)
    assert [line["step"] for line in log_of(out)] == [1, 2, 3, 4]
    assert told(out) == unbroken
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 6},
        {"steps": 0, "epochs": 0.5, "method": "full", "lr_peak": 1e-3},
        pytest.param({"steps": 0, "epochs": 2.0}, marks=pytest.mark.slow),
    ],
    ids=["an epoch's last step", "half an epoch", "two epochs"],
)
def test_the_last_checkpoint_is_the_end_however_the_end_was_set(
    student: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    settings = constant(student, **changes)
    whole = train(settings, tiny_models.rows(ROWS), tmp_path / "whole")
    killed("sealed", log_of(whole)[-1]["step"], settings, tmp_path / "out")
    assert told(train(settings, tiny_models.rows(ROWS), tmp_path / "out")) == told(whole)


HELD = "tiny_models.rows(7, split='validation').slice(4)"
OVERFITTED: dict[str, Any] = {"method": "full", "lr_peak": 2e-3, "schedule": "constant", "warmup": 0, "steps": 80}
OVERFITTED |= {"rows_per_batch": 2, "evaluate_every": 2, "save_every": 2, "patience": 3}


@pytest.mark.parametrize("keep_best", [False, True], ids=["the last", "the best"])
def test_patience_that_ended_on_a_checkpoint_stays_ended(student: Path, tmp_path: Path, keep_best: bool) -> None:
    settings = quick(student, **OVERFITTED, keep_best=keep_best)
    held = tiny_models.rows(7, split="validation").slice(4)
    whole = train(settings, tiny_models.rows(4), tmp_path / "whole", validation=held)
    run = json.loads((whole / "card.json").read_text())["run"]
    assert run["stopped_early"] and run["steps"] < 80
    killed("sealed", run["steps"], settings, tmp_path / "out", HELD, rows=4)
    (tmp_path / "out").rename(tmp_path / "moved")
    assert told(train(settings, tiny_models.rows(4), tmp_path / "moved", validation=held)) == told(whole)


def test_a_validation_at_the_end_is_neither_lost_nor_made_twice(student: Path, tmp_path: Path) -> None:
    held = tiny_models.rows(7, split="validation").slice(4)
    whole = told(train(constant(student), tiny_models.rows(ROWS), tmp_path / "whole", validation=held))
    for moment in ("sealed", "evaluated"):
        killed(moment, 4, constant(student), tmp_path / moment, HELD)
        assert told(train(constant(student), tiny_models.rows(ROWS), tmp_path / moment, validation=held)) == whole


def test_a_checkpoint_that_went_in_part_is_not_gone_on_from(student: Path, tmp_path: Path) -> None:
    """Without the optimiser's state Trainer would go on in silence, to other weights."""
    settings = constant(student, steps=6, save_every=2)
    whole = train(settings, tiny_models.rows(ROWS), tmp_path / "whole")
    killed("thinning", 0, settings, tmp_path / "out")
    left = {path.name: (path / "whole").exists() for path in (tmp_path / "out" / "checkpoints").iterdir()}
    assert left == {"checkpoint-2": False, "checkpoint-4": True, "checkpoint-6": True}
    assert told(train(settings, tiny_models.rows(ROWS), tmp_path / "out")) == told(whole)


def test_old_checkpoints_go_and_the_best_stays(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        (tmp_path / f"checkpoint-{step}").mkdir()
        checkpoints.seal(tmp_path / f"checkpoint-{step}")
    checkpoints.thin_out(tmp_path, tmp_path / "checkpoint-4")
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-4", "checkpoint-8"}
    (tmp_path / "checkpoint-10").mkdir()
    checkpoints.thin_out(tmp_path, None)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-8", "checkpoint-10"}


@pytest.mark.slow
def test_processes_killed_after_the_last_checkpoint(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two processes is killed when the last checkpoint is whole."""
    settings = constant(student, launch="ddp", processes=2, steps=3, save_every=2)
    whole = train(settings, tiny_models.rows(ROWS), tmp_path / "whole")
    started = launch._run

    def with_kill(settings: TrainSettings, job: Path) -> None:
        path = tmp_path / "one.py"
        path.write_text(script("sealed", 3, settings, job.parent, "None", job=str(job)), encoding="utf-8")
        done = subprocess.run([*launch._launcher(settings), str(path)], capture_output=True, text=True)
        raise MashqError(f"killed {done.returncode} {'SIGKILL' in done.stderr}")

    monkeypatch.setattr(launch, "_run", with_kill)
    with pytest.raises(MashqError, match="killed 1 True"):
        train(settings, tiny_models.rows(ROWS), tmp_path / "out")
    assert (tmp_path / "out" / "checkpoints" / "checkpoint-3" / "whole").exists()
    monkeypatch.setattr(launch, "_run", started)
    assert told(train(settings, tiny_models.rows(ROWS), tmp_path / "out")) == told(whole)


def with_words(words: str) -> list[Any]:
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(words in one for one in process.info["cmdline"] or ()):
            found.append(process)
    return found


def test_processes_end_when_the_one_that_started_them_is_killed(student: Path, tmp_path: Path) -> None:
    """They are in sessions of their own: a signal to the parent's group does not reach them."""
    settings = constant(student, launch="ddp", processes=2, steps=100_000)
    command = [sys.executable, "-W", "ignore", "-c", script("", 0, settings, tmp_path / "out", "None")]
    parent = subprocess.Popen(command, start_new_session=True)
    log, job = tmp_path / "out" / "log.jsonl", str(tmp_path / "out" / "launch")
    try:
        wait_for(lambda: log.exists() and log.stat().st_size > 0)
        assert len(with_words(job)) >= 2
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        wait_for(lambda: not with_words(job), most_s=20)
    finally:
        for process in with_words(str(tmp_path)):
            process.kill()


def wait_for(what: Any, most_s: float = 120) -> None:
    end = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
