"""A score is a value with its interval, its number of items and the recipe that made it; an empty set has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashq import __version__
from mashq.metrics.resample import (
    LEVEL,
    ROUNDS,
    Numbers,
    bootstrap,
    checked,
    cluster_codes,
    cluster_sums,
    quantile_t,
    wilson,
)
from mashq.rows import MashqError, expected_got

__all__ = ["Metric", "Score", "mean_score", "paired_references", "ratio_score", "sign"]

BINARY = "values:01"  # the part of a signature that says: every item scores 0 or 1


@dataclass(frozen=True)
class Score:
    """One number that carries its recipe. Two scores are comparable exactly when their signatures agree."""

    name: str
    value: float
    low: float | None  # 95 % interval; None where one cluster leaves nothing to draw from
    high: float | None
    n: int  # items
    signature: str


@dataclass(frozen=True)
class Metric:
    """A function from replies and their references to one number per item, and the recipe it belongs to."""

    name: str
    per_item: Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]
    signature: str
    higher_is_better: bool
    unit: str  # the range of one item: "0..1", "0..100", "0 or 1", "1..5"
    of_meta: Callable[[Mapping[str, Any]], float] | None = None  # instead: read from the reply row's `meta`; NaN = none
    of_turns: Callable[[Sequence[Mapping[str, str]]], float] | None = None  # or of prompt and reply


def sign(name: str, *parts: str) -> str:
    """`name|part|...|mashq:<version>`; empty parts are left out."""
    return "|".join([name, *(part for part in parts if part), f"mashq:{__version__}"])


def extended(signature: str, *parts: str) -> str:
    """A signature with parts put before its last one, the version: `rougeL|...|agg:mean|...|mashq:0.1.0`."""
    head, bar, version = signature.rpartition("|mashq:")
    added = [part for part in parts if part]
    if not bar:
        return "|".join([signature, *added, f"mashq:{__version__}"])
    return "|".join([head, *added]) + bar + version


def paired_references(replies: Sequence[str], references: Sequence[Sequence[str]], name: str) -> None:
    """Raise MashqError unless every reply has at least one reference, which is a list of texts and not one text."""
    if len(replies) != len(references):
        raise MashqError(
            expected_got(f"{name}: references", f"{len(replies)}, one list per reply", str(len(references)))
        )
    for item, texts in enumerate(references):
        if isinstance(texts, str) or not len(texts):
            got = "a string" if isinstance(texts, str) else "none"
            do = "Pass [[reference, ...], ...]; an item without a reference has no score."
            raise MashqError(expected_got(f"{name}: item {item}", "a list of at least one reference", got, do))


def mean_score(
    values: Numbers,
    *,
    name: str,
    signature: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Score:
    """The mean over items, with a 95 % interval over clusters.

    The interval is a bootstrap of whole groups (of items without `groups`); see `resample.bootstrap`. Where the
    signature says `values:01` it is Wilson's, with groups at the effective number of items (Kish's design effect) and
    Student's quantile for clusters - 1. How the interval is made depends on the signature and on whether groups are
    given, never on the values, so the scores of two systems stay comparable.

    Raises MashqError for an empty set, a value that is not finite, and a value other than 0 or 1 under `values:01`.
    """
    items = checked(values, name)
    codes = cluster_codes(len(items), groups, name)
    sums = cluster_sums(codes, items, np.ones_like(items))  # (clusters, [sum, items])
    binary = BINARY in signature.split("|")
    if binary:
        low, high = _share_interval(items, sums, clustered=groups is not None, name=name)
    else:
        low, high = bootstrap(sums, lambda totals: totals[:, 0] / totals[:, 1], seed=seed)
    recipe = ["agg:mean", "ci:wilson" if binary else f"ci:bootstrap{ROUNDS}", _by(groups)]
    return Score(
        name, float(items.mean()), low, high, len(items), extended(signature, *recipe, "" if binary else f"seed:{seed}")
    )


def ratio_score(
    numerators: Numbers,
    denominators: Numbers,
    *,
    name: str,
    signature: str,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Score:
    """A ratio of two sums (bits per byte, novel n-grams of all n-grams), with a bootstrap of whole groups.

    `transform` is a rising function of the ratio (exp for perplexity), applied to the value and to the interval. Items
    with denominator 0 have nothing to count and are left out of `n`.

    Raises MashqError for an empty set, a negative denominator, and a numerator over the denominator 0.
    """
    over, under = _checked_ratio(numerators, denominators, name)
    codes = cluster_codes(len(over), groups, name)
    sums = cluster_sums(codes, over, under)
    sums = sums[sums[:, 1] > 0]
    shape = transform or (lambda ratio: ratio)
    low, high = bootstrap(sums, lambda totals: shape(totals[:, 0] / totals[:, 1]), seed=seed)
    value = float(shape(np.asarray(over.sum() / under.sum())))
    recipe = ["agg:ratio", f"ci:bootstrap{ROUNDS}", _by(groups), f"seed:{seed}"]
    return Score(name, value, low, high, int((under > 0).sum()), extended(signature, *recipe))


def _by(groups: Sequence[str | None] | None) -> str:
    return "by:group" if groups is not None else ""


def _checked_ratio(numerators: Numbers, denominators: Numbers, name: str) -> tuple[np.ndarray, np.ndarray]:
    over = checked(numerators, f"{name}: numerators")
    under = checked(denominators, f"{name}: denominators")
    if len(over) != len(under):
        raise MashqError(expected_got(f"{name}: denominators", f"{len(over)}, one per numerator", str(len(under))))
    wrong = np.flatnonzero((under < 0) | ((under == 0) & (over != 0)))
    if wrong.size:
        item = wrong[0]
        got = f"{over[item]:g} over {under[item]:g}"
        raise MashqError(expected_got(f"{name}: item {item}", "a denominator above 0", got))
    if not under.any():
        raise MashqError(expected_got(name, "something to count", "only zeros", "An empty set has no score."))
    return over, under


def _share_interval(
    items: np.ndarray, sums: np.ndarray, *, clustered: bool, name: str
) -> tuple[float, float] | tuple[None, None]:
    odd = np.flatnonzero((items != 0) & (items != 1))
    if odd.size:
        raise MashqError(expected_got(f"{name}: item {odd[0]}", f"0 or 1 (signature {BINARY})", f"{items[odd[0]]:g}"))
    share, n, clusters = float(items.mean()), len(items), len(sums)
    if not clustered:
        return wilson(share, n)
    if clusters < 2:
        return None, None
    residuals = sums[:, 0] - share * sums[:, 1]
    variance = clusters / (clusters - 1) * float(residuals @ residuals) / n**2
    # All yes or all no shows no variance: then count every cluster once.
    effective = min(n, share * (1 - share) / variance) if variance > 0 else clusters
    return wilson(share, effective, quantile_t(1 - (1 - LEVEL) / 2, clusters - 1))
