"""Every ready-made sweep from end to end on toy weights: does it run, how long, and does its page say what it is?

    python benchmarks/sweeps.py                                    # prints the page
    python benchmarks/sweeps.py --write docs/benchmarks/sweeps.md

Each sweep is `mashq make sweeps --set name=NAME` in a process and a folder of its own, from empty. Its page must say
that the models have random weights, and must give no verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sheet

from mashq.sweep import ready_made

SAYS = '<div class="toys" role="note">'  # that weights are random, at the head of the page
VERDICTS = ('class="verdict better"', 'class="verdict worse"')


def line(name: str, threads: int) -> str:
    """One sweep from empty, as a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-c", "from mashq.cli import main; main()", "make", "sweeps"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [*command, "--set", f"name={name}", "--runs", folder],
            **{"capture_output": True, "text": True, "check": False, "env": environment},
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
        page = next(Path(folder).glob("**/report.html")).read_text("utf-8")
        found = json.loads(next(Path(folder).glob("steps/sweep@*/sweep.json")).read_text("utf-8"))
        steps = len(list(Path(folder).glob("steps/*/manifest.json")))
    marked = bool(found["toys"]) and SAYS in page and not any(one in page for one in VERDICTS)
    counts = [len(found["cells"]), len(found["seeds"]), steps, round(seconds), "yes" if marked else "**no**"]
    return f"| `{name}` | {' | '.join(str(one) for one in counts)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="these sweeps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    lines = []
    for name in options.only or sorted(ready_made()):
        lines.append(line(name, options.threads))
        print(lines[-1], file=sys.stderr, flush=True)
    page = f"""# Ready-made sweeps on toy weights

Made by `python benchmarks/sweeps.py`.

* Machine: {sheet.machine("torch", "transformers")}. It was shared with other work, so times are upper bounds.
* Each line is `mashq make sweeps --set name=NAME`, from empty to its page. What cells share is made once: steps are the
  folders that were made.
* The last column: the page says that its models have random weights, and gives no verdict.

| sweep | values | seeds | steps | seconds | marked |
|---|---:|---:|---:|---:|---|
"""
    sheet.give(page + "\n".join(lines) + "\n", options.write)


if __name__ == "__main__":
    main()
