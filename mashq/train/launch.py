"""Training in several processes: `accelerate launch` runs this module once a device, each process its share of a batch.

The parent writes the rows and the job beside the run, starts the processes, and reads what the first of them wrote.
`launch` names a file of `mashq/data/launch`, or an accelerate configuration of the user's own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mashq.rows import MashqError, expected_got, nearest
from mashq.train.fit import FIRST, Rows, Tell, fit
from mashq.train.rows import table_of
from mashq.train.settings import TrainSettings

__all__ = ["launched"]

SHIPPED = ("ddp", "fsdp", "deepspeed")
HELD = "MASHQ_PARENT_HOLDS_STDIN"  # set where standard input is a pipe whose other end is the parent's
SHOWN = 2_000  # characters of what a failed process said last


def launched(
    settings: TrainSettings,
    rows: Rows,
    out: Path,
    *,
    validation: Rows | None,
    init: Path | None,
    on_step: Tell | None,
) -> dict[str, Any] | None:
    """What `train.fit` gives, from processes of their own.

    Raises MashqError where one of them fails, with its words.
    """
    job = out / "launch"
    job.mkdir(exist_ok=True)
    result = job / "result.json"
    result.unlink(missing_ok=True)
    files = {"rows": rows} if validation is None else {"rows": rows, "validation": validation}
    for name, given in files.items():
        pq.write_table(table_of(given), job / f"{name}.parquet")
    about = {"settings": dataclasses.asdict(settings), "files": list(files), "init": init and str(init.absolute())}
    (job / "job.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    _run(settings, job)
    if not result.exists():
        raise MashqError(f"train: launch {settings.launch}: the processes ended without a result. See {job}.")
    facts = json.loads(result.read_text(encoding="utf-8"))
    for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines() if facts and on_step else ():
        on_step(json.loads(line))  # type: ignore[misc]
    return None if facts is None else dict(facts)


def _run(settings: TrainSettings, job: Path) -> None:
    command = [*_launcher(settings), "-m", "mashq.train.launch", str(job)]
    theirs, ours = os.pipe()  # the system closes our end however this process ends, and then they end too
    try:
        done = subprocess.run(
            command, stdin=theirs, env={**os.environ, HELD: "1"}, capture_output=True, text=True, errors="replace"
        )
    finally:
        os.close(theirs)
        os.close(ours)
    if done.returncode:
        told = job / "error.txt"
        said = told.read_text(encoding="utf-8") if told.exists() else done.stderr[-SHOWN:]
        told.unlink(missing_ok=True)
        raise MashqError(said if said.startswith("train:") else f"train: launch {settings.launch}: {said.strip()}")


def _launcher(settings: TrainSettings) -> list[str]:
    import torch

    configuration = str(_configuration(settings.launch))
    if torch.cuda.is_available():
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", configuration]
        return [*command, "--num_processes", str(settings.processes), "--main_process_port", "0"]
    if settings.launch != "ddp":
        raise MashqError(expected_got(f"train: launch {settings.launch}", "GPUs", "none", "On CPU use ddp."))
    # Without a GPU accelerate asks for MPI; torchrun, which it calls elsewhere, does without.
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(settings.processes)]


def _configuration(launch: str) -> Path:
    if launch in SHIPPED:
        return Path(str(resources.files("mashq").joinpath("data", "launch", f"{launch}.yaml")))
    path = Path(launch).expanduser()
    if not path.is_file():
        known = f"one of {', '.join(SHIPPED)}, or an accelerate configuration file"
        raise MashqError(expected_got("train: launch", known, f"'{launch}'", nearest(launch, SHIPPED).strip()))
    return path


def _end_with_parent() -> None:
    """End this process at once when the parent's is gone: else it would train on beside the one that resumes."""

    def wait() -> None:
        os.read(0, 1)  # until the end of the input: nothing is ever written
        os._exit(1)

    if os.environ.get(HELD):
        threading.Thread(target=wait, daemon=True).start()


def main(folder: Path) -> None:
    """One of the processes."""
    about = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    files = {name: pq.read_table(folder / f"{name}.parquet") for name in about["files"]}
    init = about["init"] and Path(about["init"])
    try:
        settings = TrainSettings(**about["settings"])
        facts = fit(settings, files["rows"], folder.parent, validation=files.get("validation"), init=init)
    except MashqError as error:
        if FIRST:
            (folder / "error.txt").write_text(str(error), encoding="utf-8")
        raise
    if FIRST:
        (folder / "result.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    _end_with_parent()
    main(Path(sys.argv[1]))
