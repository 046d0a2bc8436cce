"""What was done to posts, as counts: rules, identifiers, spelling, pairs; and of planted things how many are left.

Counts only: no text of a post stands in a survey.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from mashq.medical.posts import WHOLE
from mashq.rows import id_hex
from mashq.run import Job, Step, read_rows
from mashq.shards import write_json

__all__ = ["FILE", "survey"]

FILE = "tables.json"
KEPT_LONG = 4  # letters of a planted identifier below which finding it again in a text says nothing


def survey(name: str, raw: Step, deidentified: Step, pairs: Step, normalised: Step | None) -> Step:
    """`tables.json`: tables of counts. What `raw` records have planted under "gold" is looked for in what is left."""
    inputs = {"raw": raw, "deidentified": deidentified, "pairs": pairs}
    inputs |= {"normalised": normalised} if normalised else {}
    return Step(name, _survey, None, inputs, kind="folder", produces="tables")


def _survey(job: Job) -> Mapping[str, Any]:
    threads = _Threads()
    for table in read_rows(job.inputs["deidentified"]):
        threads.add(table)
    kept, dropped = _Pairs(), _Pairs()
    for table in read_rows(job.inputs["pairs"]):
        kept.add(table)
    for table in read_rows(job.inputs["pairs"], dropped=True):
        dropped.add(table)
    edits = _edits(job)
    tables = [
        _counted("cleaned", threads.cleaned, threads.posts),
        _counted("posts_dropped", threads.posts_dropped, threads.posts + threads.posts_dropped.total()),
        _counted("removed", threads.removed, None),
        _counted("specialties", kept.specialties, kept.rows),
        _counted("sexes", kept.sexes, kept.rows),
        _counted("red_flags", kept.red_flags, kept.rows),
        _counted("unsafe", dropped.signs, kept.rows + dropped.rows),
        *([_counted("normalised", edits, None)] if edits else []),
        *_planted(job, threads),
    ]
    write_json(job.folder / FILE, {"tables": [table for table in tables if table["rows"]]})
    return {"threads": threads.rows, "posts": threads.posts, "pairs": kept.rows}


def _counted(name: str, counts: Mapping[str, int], of: int | None) -> dict[str, Any]:
    """A table: name, count, and share of `of` where there is one; the most frequent first."""
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [{"name": key, "n": n, "share": n / of if of else None} for key, n in order if n]
    return {"table": name, "of": of, "rows": rows}


class _Threads:
    """What was done to threads, and the posts that are left of each raw record."""

    def __init__(self) -> None:
        self.rows = self.posts = 0
        self.cleaned: Counter[str] = Counter()
        self.posts_dropped: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.left: dict[str, str] = {}  # id of the row -> its posts

    def add(self, table: pa.Table) -> None:
        for row in table.select(["id", "messages", "meta"]).to_pylist():
            meta = json.loads(row["meta"])
            self.rows += 1
            self.posts += len(row["messages"])
            self.cleaned.update(meta.get("cleaned", {}))
            self.posts_dropped.update(meta.get("posts_dropped", {}))
            self.removed.update(meta.get("removed", {}))
            self.left[str(meta.get("record", id_hex(row["id"])))] = "\n".join(one["content"] for one in row["messages"])


class _Pairs:
    """What pairs say of their questions and answers."""

    def __init__(self) -> None:
        self.rows = 0
        self.specialties: Counter[str] = Counter()
        self.sexes: Counter[str] = Counter()
        self.red_flags: Counter[str] = Counter()
        self.signs: Counter[str] = Counter()

    def add(self, table: pa.Table) -> None:
        for meta in map(json.loads, table["meta"].to_pylist()):
            self.rows += 1
            self.specialties[meta.get("specialty") or "general"] += 1
            self.sexes[meta.get("sex") or "not stated"] += 1
            self.red_flags.update(meta.get("red_flags", ()))
            self.signs.update(meta.get("signs", ()))


def _edits(job: Job) -> Counter[str]:
    """Words that normalisation changed, by variety."""
    found: Counter[str] = Counter()
    if "normalised" in job.inputs:
        for table in read_rows(job.inputs["normalised"], ["variety", "meta"]):
            for variety, meta in zip(*(table[name].to_pylist() for name in ("variety", "meta")), strict=True):
                found[variety or "none"] += json.loads(meta).get("normalised", 0)
    return found


# --- what was planted ------------------------------------------------------------------------------------------------


def _planted(job: Job, threads: _Threads) -> Iterable[dict[str, Any]]:
    """Of each planted kind: how many stood in threads that were kept, and how many of these stand there still."""
    planted: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for table in read_rows(job.inputs["raw"], ["meta"]):
        for record in map(json.loads, table["meta"].to_pylist()):
            text = threads.left.get(str(record.get("key")))
            gold = record.get("gold")
            if text is None or not isinstance(gold, dict):
                continue
            for kind, value in _values(record["posts"], gold["planted"]):
                if kind in WHOLE:  # of a whole post: for the steps that drop posts
                    continue
                planted[kind] += 1
                left[kind] += value in text
    order = sorted(planted.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [{"name": kind, "n": n, "left": left[kind], "share": left[kind] / n} for kind, n in order]
    return [{"table": "planted", "of": None, "rows": rows}]


def _values(posts: list[dict[str, Any]], planted: list[list[dict[str, Any]]]) -> Iterable[tuple[str, str]]:
    """(kind, the characters planted), of those that are long enough to be looked for."""
    for post, things in zip(posts, planted, strict=True):
        for one in things:
            value = post["text"][one["start"] : one["end"]]
            if len(value.strip()) >= KEPT_LONG or not value.isalnum():
                yield one["kind"], value
