"""What a writing step achieved: each cell's share, the tries it took, which checks replies pass, how alike they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq.arabic import words
from mashq.metrics import diversity
from mashq.run import Job, Step, read_rows
from mashq.shards import write_json

__all__ = ["FILE", "survey"]

FILE = "survey.json"
OPENING_WORDS = 3
SHOWN = 200  # short cells, openings and checks in the file
COMPARED = 1_000  # kept texts that diversity is told of, the first in order of their ids


def survey(name: str, wanted: Step, written: Step, names: Mapping[str, str]) -> Step:
    """`survey.json` of a writing step. `names`: what the parts of a cell ("cooking/EG") are called in the report."""
    inputs = {"wanted": wanted, "written": written}
    return Step(name, _survey, {"names": dict(names)}, inputs, kind="folder", produces="survey")


def _survey(job: Job) -> Mapping[str, Any]:
    wanted = Counter(_cells(job.inputs["wanted"]))
    kept, dropped = _Tally(), _Tally()
    texts: list[tuple[bytes, str]] = []
    for table in read_rows(job.inputs["written"]):
        kept.add(table)
        texts += list(zip(table["id"].to_pylist(), _texts(table), strict=True))
    for table in read_rows(job.inputs["written"], dropped=True):
        dropped.add(table)
    found = {
        "wanted": sum(wanted.values()),
        "kept": kept.rows,
        "replies": kept.rows + dropped.rows,
        "prompt_tokens": kept.prompt_tokens + dropped.prompt_tokens,
        "new_tokens": kept.new_tokens + dropped.new_tokens,
        "tries": _tries(kept, dropped),
        "grid": _grid(wanted, kept.cells, job.settings["names"]),
        "short": _short(wanted, kept.cells),
        "checks": _checks(kept, dropped),
        "openings": _openings([text for _, text in texts]),
        "diversity": _diversity([text for _, text in sorted(texts)[:COMPARED]]),
    }
    write_json(job.folder / FILE, found)
    return {name: found[name] for name in ("wanted", "kept", "replies", "prompt_tokens", "new_tokens")}


class _Tally:
    """What the rows of one kind add up to."""

    def __init__(self) -> None:
        self.rows = self.prompt_tokens = self.new_tokens = 0
        self.cells: Counter[str] = Counter()
        self.tries: Counter[tuple[int, bool]] = Counter()
        self.seen: Counter[str] = Counter()  # check -> replies that it looked at
        self.passed: Counter[str] = Counter()

    def add(self, table: pa.Table) -> None:
        for text in table["meta"].to_pylist():
            meta = json.loads(text)
            self.rows += 1
            self.prompt_tokens += meta["prompt_tokens"]
            self.new_tokens += meta["new_tokens"]
            self.cells[meta["cell"]] += 1
            self.tries[meta["attempt"], meta["mended"]] += 1
            for name, passed in meta.get("checks", {}).items():
                self.seen[name] += 1
                self.passed[name] += passed


def _cells(folder: Path) -> Iterable[str]:
    for table in read_rows(folder, ["meta"]):
        for meta in table["meta"].to_pylist():
            yield json.loads(meta)["cell"]


def _texts(table: pa.Table) -> list[str]:
    """What was written in each row: its references, else the turns of its conversation, else its text."""
    made = []
    for row in table.select(["references", "messages", "text"]).to_pylist():
        turns = "\n".join(turn["content"] for turn in row["messages"] or [])
        made.append("\n".join(row["references"] or []) or turns or row["text"] or "")
    return made


def _tries(kept: _Tally, dropped: _Tally) -> list[dict[str, Any]]:
    """Each round: replies, and how many were kept."""
    rounds = sorted({*kept.tries, *dropped.tries})
    return [
        {
            "attempt": attempt,
            "mended": mended,
            "replies": kept.tries[attempt, mended] + dropped.tries[attempt, mended],
            "kept": kept.tries[attempt, mended],
        }
        for attempt, mended in rounds
    ]


def _grid(wanted: Counter[str], kept: Counter[str], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Cells "row/column" as a matrix of what is wanted and kept; None where cells are no pairs."""
    pairs = [cell.split("/") for cell in wanted]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        return None
    rows, columns = ([*dict.fromkeys(sorted(pair[side] for pair in pairs))] for side in (0, 1))

    def matrix(counts: Counter[str]) -> list[list[int]]:
        return [[counts[f"{row}/{column}"] for column in columns] for row in rows]

    return {
        "rows": [{"key": key, "name": names.get(key, key)} for key in rows],
        "columns": [{"key": key, "name": names.get(key, key)} for key in columns],
        "wanted": matrix(wanted),
        "kept": matrix(kept),
    }


def _short(wanted: Counter[str], kept: Counter[str]) -> dict[str, Any]:
    lacking = [(n - kept[cell], cell) for cell, n in wanted.items() if kept[cell] < n]
    lacking.sort(key=lambda one: (-one[0], one[1]))
    first = [{"cell": cell, "wanted": wanted[cell], "kept": kept[cell]} for _, cell in lacking[:SHOWN]]
    return {"cells": len(lacking), "texts": sum(n for n, _ in lacking), "first": first}


def _checks(kept: _Tally, dropped: _Tally) -> list[dict[str, Any]]:
    """Of each check: replies it looked at and those that passed, of all and of the kept."""
    names = sorted({*kept.seen, *dropped.seen}, key=lambda name: -(kept.seen[name] + dropped.seen[name]))[:SHOWN]
    return [
        {
            "check": name,
            "replies": kept.seen[name] + dropped.seen[name],
            "passed": kept.passed[name] + dropped.passed[name],
            "kept": kept.seen[name],
            "kept_passed": kept.passed[name],
        }
        for name in names
    ]


def _openings(texts: Sequence[str]) -> list[dict[str, Any]]:
    counts = Counter(" ".join(words(text[:200])[:OPENING_WORDS]) for text in texts)
    return [{"opening": opening, "texts": n} for opening, n in counts.most_common(10) if n > 1]


def _diversity(texts: Sequence[str]) -> dict[str, Any]:
    """Empty where fewer than two texts were kept."""
    return asdict(diversity.summary(texts)) if len(texts) > 1 else {}
