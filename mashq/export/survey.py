"""What an export holds: counts, licences, languages and samples, gathered while the rows pass."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["COLUMNS", "Survey", "reply_of", "whole"]

COLUMNS = ("source", "split", "licence", "task", "template", "variety")
SAMPLES = 3  # of each source
_LANGUAGES = re.compile(r'"(?:Input|Output)_language":(\[[^\]]*\]|"[^"]*")')


def reply_of(messages: Sequence[dict[str, str]] | None, references: Sequence[str] | None) -> str | None:
    """The reply that a row teaches: the first reference, or what its conversation ends with; None where it has none."""
    if not messages:
        return None
    if messages[-1]["role"] == "assistant":
        return messages[-1]["content"]
    return next(iter(references or ()), None) or None


def whole(messages: Sequence[dict[str, str]], references: Sequence[str] | None) -> list[dict[str, str]]:
    """The conversation with its reply: the first reference is the assistant's turn where the row has none."""
    reply = reply_of(messages, references)
    if reply is None or messages[-1]["role"] == "assistant":
        return list(messages)
    return [*messages, {"role": "assistant", "content": reply}]


class Survey:
    """Counts of the rows that were written, and of those that were left out."""

    def __init__(self) -> None:
        self.rows = 0
        self.counts: Counter[tuple[str, ...]] = Counter()  # values of COLUMNS ("" where a row has none) -> rows
        self.left_out: Counter[tuple[str, str]] = Counter()  # (source, reason) -> rows
        self.languages: Counter[str] = Counter()  # as a task names them; "" where a row says nothing
        self._samples: dict[str, list[tuple[bytes, int, dict[str, Any]]]] = {}

    def add(self, table: pa.Table) -> None:
        """Take rows of `rows.SCHEMA` into account."""
        if not table.num_rows:
            return
        keys = {name: pc.fill_null(table.column(name), "") for name in COLUMNS}
        counted = pa.table(keys).group_by(list(COLUMNS)).aggregate([([], "count_all")])
        for one in counted.to_pylist():
            self.counts[tuple(one[name] for name in COLUMNS)] += one["count_all"]
        for meta in table.column("meta").to_pylist():
            found = _LANGUAGES.findall(meta) if meta and '"about":' in meta else ()
            names = {name for text in found for name in re.findall(r'"([^"]*)"', text)}
            self.languages.update(names or {""})
        self._draw(table, keys["source"].to_pylist())
        self.rows += table.num_rows

    def leave_out(self, table: pa.Table, reasons: Sequence[str | None]) -> None:
        """Count the rows that have a reason."""
        if any(reasons):
            sources = table.column("source").to_pylist()
            self.left_out.update((s or "", reason) for s, reason in zip(sources, reasons, strict=True) if reason)

    def by(self, column: str, source: str | None = None) -> dict[str, int]:
        """Rows for each value of one of COLUMNS (of one source), the most frequent first."""
        place = COLUMNS.index(column)
        found: Counter[str] = Counter()
        for key, rows in self.counts.items():
            if source is None or key[0] == source:
                found[key[place]] += rows
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def left_out_reasons(self, source: str | None = None) -> dict[str, int]:
        """Rows left out for each reason (of one source)."""
        found: Counter[str] = Counter()
        for (of, reason), rows in self.left_out.items():
            if source in (None, of):
                found[reason] += rows
        return dict(found.most_common())

    def samples(self, source: str) -> list[dict[str, Any]]:
        """Rows drawn by the hashes of their ids, whatever their order."""
        return [row for _, _, row in sorted(self._samples.get(source, []), key=lambda one: one[:2], reverse=True)]

    def _draw(self, table: pa.Table, sources: Sequence[str]) -> None:
        for place, (source, one) in enumerate(zip(sources, table.column("id").to_pylist(), strict=True)):
            drawn = self._samples.setdefault(source, [])
            lot = bytes(255 - byte for byte in hashlib.blake2b(one, digest_size=8).digest())
            if len(drawn) < SAMPLES or lot > drawn[0][0]:  # the heap's first is the one to go
                entry = (lot, self.rows + place, table.slice(place, 1).to_pylist()[0])
                (heapq.heappush if len(drawn) < SAMPLES else heapq.heapreplace)(drawn, entry)
