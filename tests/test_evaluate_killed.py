"""Kill -9 while systems are asked, and while they are compared: nothing is asked twice, and every byte is the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mashq import report

RECIPE = Path(__file__).parent / "data" / "answering.py"
ITEMS, SYSTEMS = 180, 2
TIMES = {
    "seconds": 1.0,
    "cpu_seconds": 1.0,
    "peak_memory_mb": 1.0,
    "started": "2026-01-01T00:00:00+00:00",
    "reused": False,
}


def command(runs: Path) -> list[str]:
    return [sys.executable, "-m", "mashq.cli", "make", str(RECIPE), "--runs", str(runs), "--workers", "1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The store of a run that nothing broke."""
    runs = tmp_path_factory.mktemp("whole")
    subprocess.run(command(runs), check=True, capture_output=True, timeout=500)
    return runs


def killed_when(runs: Path, there) -> None:
    """Start the run, and end it by SIGKILL as soon as `there()` holds."""
    running = subprocess.Popen(
        command(runs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 500
    while not there():
        assert time.monotonic() < end and running.poll() is None
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def resumed(runs: Path) -> str:
    return subprocess.run(command(runs), check=True, capture_output=True, timeout=500, text=True).stdout


def the(runs: Path, pattern: str) -> Path:
    (found,) = runs.glob(pattern)
    return found


def asked_once(runs: Path, in_flight: int) -> None:
    """Every reply is in the ledger once; at most the question that the killed process waited for was put again."""
    keys = [json.loads(line)["key"] for line in lines(runs / "ledger" / "replies") if line]
    assert len(keys) == len(set(keys)) == ITEMS * SYSTEMS
    questions = lines(runs / "asked")
    assert len(set(questions)) == ITEMS * SYSTEMS
    assert len(questions) <= ITEMS * SYSTEMS + in_flight


def same_scores(runs: Path, whole: Path) -> None:
    for name in ("scores.json", "samples.parquet"):
        here, there = (the(store, f"steps/compared@*/{name}").read_bytes() for store in (runs, whole))
        assert here == there, name


def without_times(value):
    """Facts of a run in which every time and memory is the same; a step that was made is not told from one reused."""
    if isinstance(value, dict):
        return {key: TIMES[key] if key in TIMES else without_times(one) for key, one in value.items()}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def rendered(runs: Path, to: Path) -> dict[str, bytes]:
    """The report of a copy of a store in which all took the same time and memory: file -> bytes."""
    shutil.copytree(runs, to)
    record = the(to, "answering/*.json")
    for path in (record, *to.glob("steps/*/manifest.json")):
        path.write_text(json.dumps(without_times(json.loads(path.read_text("utf-8")))), "utf-8")
    shutil.rmtree(record.with_suffix(""))
    report.write([record], record.with_suffix(""))
    return {path.name: path.read_bytes() for path in record.with_suffix("").iterdir() if path.is_file()}


def same_report(runs: Path, whole: Path, tmp_path: Path) -> None:
    here, there = (rendered(store, tmp_path / name) for store, name in ((runs, "here"), (whole, "there")))
    assert {"report.html", "report.json", "report.md"} <= here.keys() == there.keys()
    assert {name for name in here if here[name] != there[name]} == set()


def test_killed_while_a_system_is_asked(whole, tmp_path):
    runs = tmp_path / "runs"
    killed_when(runs, lambda: len(lines(runs / "asked")) >= ITEMS + 75)  # in the second system's second part
    before = len([line for line in lines(runs / "ledger" / "replies") if line])
    assert ITEMS < before < ITEMS * SYSTEMS
    assert not list(runs.glob("steps/knowing@*/manifest.json"))
    assert "resuming knowing@" in resumed(runs)
    asked_once(runs, in_flight=1)
    same_scores(runs, whole)
    same_report(runs, whole, tmp_path)


def test_killed_while_systems_are_compared(whole, tmp_path):
    runs = tmp_path / "runs"
    killed_when(runs, lambda: list(runs.glob("steps/compared@*/.progress/made_by.json")))
    assert not list(runs.glob("steps/compared@*/manifest.json"))
    assert len(lines(runs / "asked")) == ITEMS * SYSTEMS
    said = resumed(runs)
    assert "resuming compared@" in said and "knowing@" not in said
    asked_once(runs, in_flight=0)
    same_scores(runs, whole)
    same_report(runs, whole, tmp_path)
