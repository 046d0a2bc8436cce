"""Perplexity and bits per byte, from the nats, tokens and bytes that a model's likelihood of the references came with.

Perplexity is per token, so it compares systems with one tokenizer only; bits per byte compares any two on one text.
Both count the nats of the end-of-turn token; the bytes are those of the reference alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mashq.metrics.paired import Comparison, compare_ratio
from mashq.metrics.resample import Numbers, checked
from mashq.metrics.score import Score, ratio_score, sign
from mashq.rows import MashqError, expected_got

__all__ = ["bits_per_byte", "compare_bits_per_byte", "item_bits_per_byte", "perplexity"]

NATS = (0.0, math.inf)  # the range of nats or bits per unit
BITS_PER_BYTE = sign("bits_per_byte", "nats:reference+end", "bytes:utf8-reference")


def perplexity(
    nats: Numbers,
    tokens: Numbers,
    *,
    tokenizer: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Score:
    """exp(sum of nats / sum of tokens) with its interval; `tokenizer` is named in the signature.

    Raises MashqError for an empty set, negative or non-finite nats, an item without tokens, and a perplexity beyond
    all numbers (above e^709). Where only the interval's end is beyond them there is none (`interval_by` says so).
    """
    over, under = _counted(nats, tokens, "perplexity", "tokens")
    signature = sign("perplexity", "nats:reference+end", f"tokenizer:{tokenizer}")
    return ratio_score(
        over,
        under,
        name="perplexity",
        signature=signature,
        groups=groups,
        bounds=NATS,
        seed=seed,
        transform=np.exp,
    )


def bits_per_byte(
    nats: Numbers, target_bytes: Numbers, *, groups: Sequence[str | None] | None = None, seed: int = 0
) -> Score:
    """sum of nats / ln 2 / sum of UTF-8 bytes, with its interval.

    Raises MashqError for an empty set, negative or non-finite nats, and an item without bytes.
    """
    over, under = _counted(nats, target_bytes, "bits_per_byte", "bytes")
    return ratio_score(
        over / math.log(2), under, name="bits_per_byte", signature=BITS_PER_BYTE, groups=groups, bounds=NATS, seed=seed
    )


def item_bits_per_byte(nats: Numbers, target_bytes: Numbers) -> list[float]:
    """Bits per byte of each item, for looking at samples; the score of a set is `bits_per_byte`, not their mean."""
    over, under = _counted(nats, target_bytes, "bits_per_byte", "bytes")
    return [float(value) for value in over / math.log(2) / under]


def compare_bits_per_byte(
    nats_a: Numbers,
    nats_b: Numbers,
    target_bytes: Numbers,
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    tested: bool = True,
) -> Comparison:
    """Bits per byte of system a minus that of b on the same references; lower is better, so wins are lower items."""
    over_a, under = _counted(nats_a, target_bytes, "bits_per_byte of a", "bytes")
    over_b, _ = _counted(nats_b, target_bytes, "bits_per_byte of b", "bytes")
    bits_a, bits_b = over_a / math.log(2), over_b / math.log(2)
    return compare_ratio(bits_a, bits_b, under, metric="bits_per_byte", groups=groups, seed=seed, tested=tested)


def _counted(nats: Numbers, units: Numbers, name: str, unit: str) -> tuple[np.ndarray, np.ndarray]:
    over, under = checked(nats, f"{name}: nats"), checked(units, f"{name}: {unit}")
    if len(over) != len(under):
        raise MashqError(expected_got(f"{name}: {unit}", f"{len(over)}, one per item", str(len(under))))
    wrong = np.flatnonzero((over < 0) | (under <= 0))
    if wrong.size:
        item = wrong[0]
        got = f"{over[item]:g} nats over {under[item]:g} {unit}"
        do = "An item with an empty reference has no likelihood: drop it with a reason."
        raise MashqError(expected_got(f"{name}: item {item}", f"nats of at least 0 and {unit} above 0", got, do))
    return over, under
