"""What the text of a test or a training costs in tokens, by variety: tokens a word and bytes a token.

Per-token perplexity means nothing without it: a tokenizer that cuts words into more pieces has more, easier tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mashq import arabic
from mashq.report.cells import slice_text
from mashq.report.lines import safe, table
from mashq.report.parquet import reading
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["markdown", "of_samples", "of_training", "view"]

COLUMNS = ("system", "variety", "reference", "target_tokens", "target_bytes")
HEADS = ("tokenizer", "variety", "items", "tokens_per_word", "bytes_per_token")
WHOLE = ""  # the line of all varieties together

Line = dict[str, Any]


def of_samples(samples: Path, systems: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Of the references, as each tokenizer of the systems counts them: a line a variety, the whole first.

    A system's tokenizer is named in `tokenizer`, else its `model` counts. Empty where no likelihood was asked for.
    """
    with reading(samples):
        names = pq.read_schema(samples).names
        rows = pq.read_table(samples, columns=list(COLUMNS)).to_pylist() if set(COLUMNS) <= set(names) else []
    named = {str(one["name"]): str(one.get("tokenizer") or one.get("model") or one["name"]) for one in systems}
    first = {tokenizer: system for system, tokenizer in reversed(named.items())}  # one system speaks for a tokenizer
    counted = [row for row in rows if row["target_tokens"] and row["target_bytes"] and row["reference"]]
    found: list[Line] = []
    for tokenizer in dict.fromkeys(named.values()):
        mine = [row for row in counted if row["system"] == first[tokenizer]]
        varieties = sorted({row["variety"] or "" for row in mine})
        found += [_counted(tokenizer, WHOLE, mine)] if mine else []
        if len(varieties) > 1:
            of = {variety: [row for row in mine if (row["variety"] or "") == variety] for variety in varieties}
            found += [_counted(tokenizer, variety or "unnamed", some) for variety, some in of.items()]
    return found


def _counted(tokenizer: str, variety: str, rows: Iterable[Mapping[str, Any]]) -> Line:
    listed = list(rows)
    words = sum(len(arabic.words(row["reference"])) for row in listed)
    tokens, size = (sum(row[name] for row in listed) for name in ("target_tokens", "target_bytes"))
    return {
        "tokenizer": tokenizer,
        "variety": variety,
        "n": len(listed),
        "words": words,
        "tokens": tokens,
        "bytes": size,
        "tokens_per_word": tokens / words if words else None,
        "bytes_per_token": size / tokens,
    }


def of_training(card: Mapping[str, Any]) -> list[Line]:
    """The same of the rows that a model learnt, as its card has it; empty for a card without."""
    told = card.get("fertility") or {}
    tokenizer = str(told.get("tokenizer") or (card.get("base") or {}).get("name") or "")
    return [
        {"tokenizer": tokenizer, "variety": variety, "n": cost.get("texts"), **cost}
        for variety, cost in (told.get("by") or {}).items()
    ]


def view(words: Words, lines: Iterable[Mapping[str, Any]]) -> list[Line]:
    """The lines with their varieties as readers know them."""
    return [
        {
            **line,
            "name": words.plain("all") if line["variety"] == WHOLE else slice_text(words, "variety", line["variety"]),
            "tokens_per_word": line.get("tokens_per_word"),
            "bytes_per_token": line.get("bytes_per_token"),
        }
        for line in lines
    ]


def markdown(words: Words, lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """A table, or nothing where nothing was counted."""
    rows = [
        [
            safe(line["tokenizer"]),
            safe(line["name"]),
            number(line["n"]),
            number(line["tokens_per_word"], 2),
            number(line["bytes_per_token"], 2),
        ]
        for line in view(words, lines)
    ]
    return [f"**{words.plain('fertility')}**", *table([words.plain(key) for key in HEADS], rows)] if rows else []
