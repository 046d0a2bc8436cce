"""A score is a value with its interval, its number of items and the recipe that made it; an empty set has none."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashq import __version__
from mashq.metrics.resample import (
    LEVEL,
    NO_INTERVAL_OF_ONE,
    ROUNDS,
    Bounds,
    Drawn,
    Interval,
    Numbers,
    checked,
    cluster_codes,
    cluster_sums,
    freedom,
    interval,
    jackknife_error,
    quantile_t,
    ratio_pulls,
    wilson,
)
from mashq.rows import MashqError, expected_got

__all__ = ["Metric", "Score", "mean_score", "paired_references", "ratio_score", "sign"]

BINARY = "values:01"  # the part of a signature that says: every item scores 0 or 1
_RANGE = re.compile(r"(-?\d+)(?:\.\.| or )(-?\d+)")


@dataclass(frozen=True)
class Score:
    """One number that carries its recipe. Two scores are comparable exactly when their signatures agree."""

    name: str
    value: float
    low: float | None  # 95 % interval; None where nothing tells how far off the value could be
    high: float | None
    n: int  # items
    signature: str  # its `ci:` names the interval of many clusters
    interval_by: str = ""  # how this one was made (`resample.Interval`): few or equal clusters are treated otherwise


@dataclass(frozen=True)
class Metric:
    """A function from replies and their references to one number per item, and the recipe it belongs to."""

    name: str
    per_item: Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]
    signature: str
    higher_is_better: bool
    unit: str  # the range of one item: "0..1", "0..100", "0 or 1", "1..5"; words where it has none
    of_meta: Callable[[Mapping[str, Any]], float] | None = None  # instead: read from the reply row's `meta`; NaN = none
    of_turns: Callable[[Sequence[Mapping[str, str]]], float] | None = None  # or of prompt and reply

    @property
    def bounds(self) -> Bounds | None:
        """The least and the greatest value of an item, as `unit` tells them; None where it does not."""
        told = _RANGE.fullmatch(self.unit)
        return (float(told[1]), float(told[2])) if told else None


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
    bounds: Bounds | None = None,
    seed: int = 0,
) -> Score:
    """The mean over items, with a 95 % interval over clusters.

    The interval is over whole groups (over items without `groups`): a bootstrap, or with few clusters the jackknife
    with Student's t; where all items are equal it reaches towards the ends of `bounds`, the least and the greatest
    value of an item, and without them there is none (`resample.interval`). Where the signature says `values:01` it is
    Wilson's, with groups at the effective number of items (Kish's design effect) and Student's quantile at
    `resample.freedom`. The signature depends on the recipe and on whether groups are given, never on the values, so
    the scores of two systems stay comparable; `interval_by` says how this interval was made.

    Raises MashqError for an empty set, a value that is not finite, and a value other than 0 or 1 under `values:01`.
    """
    items = checked(values, name)
    codes = cluster_codes(len(items), groups, name)
    sums = cluster_sums(codes, items, np.ones_like(items))  # (clusters, [sum, items])
    binary = BINARY in signature.split("|")
    if binary:
        found = _share_interval(items, sums, clustered=groups is not None, name=name)
    else:
        found = _ratio_interval(sums, bounds, seed)
    recipe = ["agg:mean", "ci:wilson" if binary else f"ci:bootstrap{ROUNDS}", _by(groups)]
    signed = extended(signature, *recipe, "" if binary else f"seed:{seed}")
    return Score(name, float(items.mean()), found.low, found.high, len(items), signed, found.by)


def ratio_score(
    numerators: Numbers,
    denominators: Numbers,
    *,
    name: str,
    signature: str,
    groups: Sequence[str | None] | None = None,
    bounds: Bounds | None = None,
    seed: int = 0,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Score:
    """A ratio of two sums (bits per byte, novel n-grams of all n-grams), with an interval over whole groups.

    The interval is `resample.interval`'s, `bounds` are the ratio's. `transform` is a rising function of the ratio (exp
    for perplexity), applied to the value and to the interval. Items with denominator 0 have nothing to count and are
    left out of `n`.

    Raises MashqError for an empty set, a negative denominator, a numerator over the denominator 0, and a value that
    the transform takes beyond all numbers.
    """
    over, under = _checked_ratio(numerators, denominators, name)
    codes = cluster_codes(len(over), groups, name)
    sums = cluster_sums(codes, over, under)
    sums = sums[sums[:, 1] > 0]
    ratio = float(over.sum() / under.sum())
    found = _transformed(_ratio_interval(sums, bounds, seed), transform)
    value = _shaped(ratio, transform)
    if not math.isfinite(value):
        do = "Was the right unit counted (tokens, bytes)?"
        raise MashqError(expected_got(name, "a ratio whose value is a number", f"a ratio of {ratio:g}", do))
    recipe = ["agg:ratio", f"ci:bootstrap{ROUNDS}", _by(groups), f"seed:{seed}"]
    counted = int((under > 0).sum())
    return Score(name, value, found.low, found.high, counted, extended(signature, *recipe), found.by)


def _ratio_interval(sums: np.ndarray, bounds: Bounds | None, seed: int) -> Interval:
    """Of the sum of the first column over the sum of the second, which is above 0 in every cluster."""
    return interval(Drawn.of_ratio(sums), seed=seed, bounds=bounds)


def _shaped(ratio: float, transform: Callable[[np.ndarray], np.ndarray] | None) -> float:
    if transform is None:
        return ratio
    with np.errstate(over="ignore"):  # an infinite value is refused or left out, and said
        return float(transform(np.asarray(ratio)))


def _transformed(found: Interval, transform: Callable[[np.ndarray], np.ndarray] | None) -> Interval:
    if found.low is None or found.high is None:
        return found
    low, high = _shaped(found.low, transform), _shaped(found.high, transform)
    return Interval(low, high, found.by) if math.isfinite(high) else Interval(None, None, "none: beyond all numbers")


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


def _share_interval(items: np.ndarray, sums: np.ndarray, *, clustered: bool, name: str) -> Interval:
    odd = np.flatnonzero((items != 0) & (items != 1))
    if odd.size:
        raise MashqError(expected_got(f"{name}: item {odd[0]}", f"0 or 1 (signature {BINARY})", f"{items[odd[0]]:g}"))
    share, n = float(items.mean()), len(items)
    if not clustered:
        return Interval(*wilson(share, n), "wilson")
    if len(sums) < 2:
        return NO_INTERVAL_OF_ONE
    pulls, weights = ratio_pulls(sums)
    free, error = freedom(weights), jackknife_error(pulls, weights)
    # Clusters that all say the same show no variance but that of rounding: then every effective cluster counts once.
    effective = min(n, share * (1 - share) / error**2) if error > 1e-12 else min(n, free + 1)
    return Interval(*wilson(share, effective, quantile_t(1 - (1 - LEVEL) / 2, free)), "wilson")
