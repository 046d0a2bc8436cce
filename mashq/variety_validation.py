"""How well varieties are told: macro-F1 and accuracy with intervals, confusions, lengths, calibration.

Labels are numbers 0..k-1 here. An interval is a percentile bootstrap over groups, because rows of one story are no
independent draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.rows import MashqError, expected_got

__all__ = [
    "LENGTHS",
    "Measured",
    "calibration_error",
    "confusion",
    "folds",
    "gain",
    "length_band",
    "macro_f1",
    "measured",
]

LENGTHS: Mapping[str, tuple[int, int]] = {
    "1-3": (1, 3),
    "4-7": (4, 7),
    "8-15": (8, 15),
    "16-30": (16, 30),
    "31+": (31, 10**9),
}
BOOTSTRAPS = 500
BINS = 10


@dataclass(frozen=True)
class Measured:
    """Shares of 1 with 95 % intervals (low, high), and what they were measured on."""

    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float  # over the labels that the rows have; what was told outside of them is wrong
    macro_f1_interval: tuple[float, float]
    rows: int
    groups: int


def confusion(truth: np.ndarray, told: np.ndarray, k: int, weights: np.ndarray | None = None) -> np.ndarray:
    """(k, k) how often label i (row) was told as j (column)."""
    return np.bincount(truth * k + told, weights, minlength=k * k).reshape(k, k)


def macro_f1(table: np.ndarray) -> float:
    """The mean F1 of the labels that have rows in a confusion table. Raises MashqError for a table of no rows."""
    has = table.sum(axis=1) > 0
    if not has.any():
        raise MashqError(expected_got("variety: macro-F1", "at least one row", "none"))
    right = np.diag(table)
    scores = 2 * right / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1e-12)
    return float(scores[has].mean())


def measured(truth: np.ndarray, told: np.ndarray, groups: Sequence[str], k: int, seed: int = 0) -> Measured:
    """Accuracy and macro-F1 of n rows. Raises MashqError for no rows."""
    table = confusion(truth, told, k)
    value = macro_f1(table)
    drawn = []
    for times in _resampled(groups, seed):
        one = confusion(truth, told, k, times)
        drawn.append((np.trace(one) / max(one.sum(), 1), macro_f1(one) if one.sum() else 0.0))
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    return Measured(
        accuracy=float(np.trace(table) / table.sum()),
        accuracy_interval=(float(low[0]), float(high[0])),
        macro_f1=value,
        macro_f1_interval=(float(low[1]), float(high[1])),
        rows=len(truth),
        groups=len(set(groups)),
    )


def gain(
    truth: np.ndarray, told: np.ndarray, other: np.ndarray, groups: Sequence[str], k: int, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Macro-F1 of `told` less that of `other` on the same n rows, with its paired interval of 95 %.

    Raises MashqError for no rows.
    """
    value = macro_f1(confusion(truth, told, k)) - macro_f1(confusion(truth, other, k))
    drawn = [
        macro_f1(confusion(truth, told, k, times)) - macro_f1(confusion(truth, other, k, times))
        for times in _resampled(groups, seed)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return value, (float(low), float(high))


def _resampled(groups: Sequence[str], seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn, when whole groups are drawn with replacement; `BOOTSTRAPS` times."""
    _, owner = np.unique(np.asarray(groups), return_inverse=True)
    number = int(owner.max()) + 1
    random = np.random.default_rng(seed)
    for _ in range(BOOTSTRAPS):
        yield np.bincount(random.integers(0, number, number), minlength=number)[owner]


def calibration_error(odds: np.ndarray, truth: np.ndarray) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error of the best label (Naeini et al. 2015), and ten bins of equal width.

    odds: (n, k) probabilities. A bin is (mean probability, share right, rows); empty ones are left out.
    """
    top, right = odds.max(axis=1), odds.argmax(axis=1) == truth
    which = np.minimum((top * BINS).astype(int), BINS - 1)
    bins = [
        (float(top[which == place].mean()), float(right[which == place].mean()), int((which == place).sum()))
        for place in range(BINS)
        if (which == place).any()
    ]
    return sum(abs(said - was) * rows for said, was, rows in bins) / len(truth), bins


def length_band(words: int) -> str | None:
    """The name of the band of `LENGTHS` that a number of words falls into; None for no words."""
    return next((name for name, (least, most) in LENGTHS.items() if least <= words <= most), None)


def folds(groups: Sequence[str], count: int) -> np.ndarray:
    """(n,) the fold 0..count-1 of each row: a function of its group's name alone."""
    import xxhash

    return np.array([xxhash.xxh3_64_intdigest(group.encode("utf-8", "replace")) % count for group in groups])
