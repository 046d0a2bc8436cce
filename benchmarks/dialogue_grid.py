"""The whole grid of the dialogue recipe, 43,316 conversations, against a server that writes and errs on purpose.

    python benchmarks/dialogue_grid.py --write docs/benchmarks/dialogue_grid.md

The server (`dialogue_writer.py`) is no model: its sentences are put together by a seed, one reply in five is bad, and
connections fail as `llm_server` has it. Measured is the recipe around it: asking, retrying, reading, checking, mending,
near-duplicates, quotas, rows, lineage.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llm_server import Loopback
from sheet import give, machine, with_page

COMMAND = "python benchmarks/dialogue_grid.py --write docs/benchmarks/dialogue_grid.md"
FAULTS = {"limit": 0.05, "error": 0.02, "malformed": 0.01, "cut": 0.005}
HERE = Path(__file__).parent


class Writer(Loopback):
    """`dialogue_writer.py` in a process of its own."""

    script = HERE / "dialogue_writer.py"


def made(url: str, runs: Path, count: int) -> tuple[float, float, float]:
    """Make the conversations and their survey: seconds, CPU seconds, peak memory in MB."""
    sets = ["style=messages", "frame=", "train=false", f"grid.n={count}", f"writer.model={url}#loopback"]
    sets += ["writer.licence=CC0-1.0", "writer.asked.tries=10", "writer.options={concurrency: 128}"]
    command = [sys.executable, "-m", "mashq.cli", "make", "dialogue/survey", "--size", "paper", "--runs", str(runs)]
    for one in sets:
        command += ["--set", one]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "MASHQ_API_KEY": ""}, stdout=sys.stderr)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, after.ru_maxrss / 1024


def survey_of(runs: Path) -> dict[str, Any]:
    (folder,) = (runs / "steps").glob("survey@*")
    return json.loads((folder / "survey.json").read_text("utf-8"))


def reasons_of(runs: Path) -> dict[str, int]:
    (folder,) = (runs / "steps").glob("conversations@*")
    return json.loads((folder / "manifest.json").read_text("utf-8"))["reasons"]


def page(
    found: dict[str, Any], counts: dict[str, Any], reasons: dict[str, int], cost: tuple[float, float, float]
) -> str:
    seconds, cpu, peak = cost
    grid = found["grid"]
    shares = sorted({n for line in grid["wanted"] for n in line})
    per_cell = ", ".join(f"{sum(line.count(n) for line in grid['wanted']):,} of {n}" for n in shares)
    full = sum(
        k == w
        for kept, wanted in zip(grid["kept"], grid["wanted"], strict=True)
        for k, w in zip(kept, wanted, strict=True)
    )
    cells = sum(len(line) for line in grid["wanted"])
    seen = "every cell is full" if full == cells else "cells below their quota in another colour"
    ends = ", ".join(f"{share:.1%} end with {kind}" for kind, share in FAULTS.items())
    rounds = "\n".join(
        f"| {'repair after ' if one['mended'] else ''}try {one['attempt'] + 1} | {one['replies']:,} | {one['kept']:,} |"
        for one in found["tries"]
    )
    dropped = "\n".join(f"| {reason} | {n:,} |" for reason, n in sorted(reasons.items(), key=lambda one: -one[1])[:15])
    return f"""# The whole grid of dialogues, against a server that errs

Made by `{COMMAND}`.

No model is behind it: a server puts conversations together from sentences of its own, in the layout that the prompt
asks for. One reply in five is bad on purpose (refusal, another country, turns missing, English, loops, cut, a telephone
number, no layout, nothing), and of the tries {ends}. {machine()}.

| | |
|---|---:|
| conversations wanted | {found["wanted"]:,} |
| kept | {found["kept"]:,} |
| topics x countries | {len(grid["rows"])} x {len(grid["columns"])} |
| wanted in a cell | {per_cell} |
| **cells at their quota** | **{full:,} of {cells:,}** |
| conversations lacking | {found["short"]["texts"]:,} in {found["short"]["cells"]:,} cells |
| replies read | {found["replies"]:,} |
| HTTP requests | {counts["requests"]:,}, of them {counts["repeats"]:,} again after a fault |
| most in flight | {counts["most_open"]:,} |
| seconds | {seconds:.0f} |
| CPU seconds of mashq | {cpu:.0f}, {1000 * cpu / max(found["replies"], 1):.2f} ms a reply |
| CPU seconds of the server | {counts["cpu_s"]:.0f} |
| peak memory | {peak:,.0f} MB |

One run (n = 1), other work on the machine. The seconds are those of two cores that carry the server too; a model that
writes 60,000 conversations takes hours.

| round | replies | kept |
|---|---:|---:|
{rounds}

| why replies were dropped | replies |
|---|---:|
{dropped}

The heat map, from the same `survey.json` as the report's (a line a topic, a column a country; {seen}):

![kept of wanted in each cell](../images/dialogue_grid.png)
"""


def picture(grid: dict[str, Any], path: Path) -> None:
    """The share of each cell that is there."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    shares = np.array(grid["kept"]) / np.maximum(np.array(grid["wanted"]), 1)
    figure, axes = plt.subplots(figsize=(9, 5.6))
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="viridis", aspect="auto", interpolation="nearest")
    axes.set(xlabel=f"{shares.shape[1]} countries", ylabel=f"{shares.shape[0]} topics", xticks=[], yticks=[])
    figure.colorbar(drawn, label="kept / wanted")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    parser = with_page(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--count", type=int, default=43_316)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Writer() as server:
        server.reset(latency_s=asked.latency_ms / 1000, faults=FAULTS)
        cost = made(server.url, Path(folder), asked.count)
        counts, found = server.counts(), survey_of(Path(folder))
        reasons = reasons_of(Path(folder))
    if asked.write:
        picture(found["grid"], Path(asked.write).parents[1] / "images" / "dialogue_grid.png")
    give(page(found, counts, reasons, cost), asked.write)


if __name__ == "__main__":
    main()
