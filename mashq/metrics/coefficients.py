"""Agreement coefficients as functions of sums over items, so that resampling items only adds their columns up anew.

Each gives the items' columns, shape (items, columns), and a statistic that turns sums of them, shape (rounds, columns),
into values (rounds,), NaN where the coefficient is not defined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["ALPHA", "Statistic", "divided", "kappa_columns", "spearman_columns"]

Statistic = Callable[[np.ndarray], np.ndarray]  # sums (rounds, columns) -> values (rounds,), NaN where undefined


def _off_diagonal(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(size, k=1)


def _alpha_of(observed: np.ndarray, expected: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """1 - (N - 1) observed / expected, both summed over ordered pairs; NaN where nothing is expected."""
    return 1 - (ratings - 1) * divided(observed, expected)


def divided(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """NaN where `under` is 0."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)


def _nominal(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: how often each score was given (pairable ratings), then the observed disagreement."""
    totals = counts.sum(axis=1)
    observed = (totals**2 - (counts**2).sum(axis=1)) / (totals - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :-1]
        n = given.sum(axis=1)
        return _alpha_of(sums[:, -1], n**2 - (given**2).sum(axis=1), n)

    return np.column_stack([counts, observed]), statistic


def _interval_level(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """As `_nominal`, with the squared distance of the scores as the disagreement."""
    totals = counts.sum(axis=1)
    means = counts @ values / totals
    observed = 2 * totals * (counts * (values - means[:, None]) ** 2).sum(axis=1) / (totals - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :-1]
        n = given.sum(axis=1)
        mean = given @ values / n
        return _alpha_of(sums[:, -1], 2 * n * (given * (values - mean[:, None]) ** 2).sum(axis=1), n)

    return np.column_stack([counts, observed]), statistic


def _ordinal(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: how often each score was given, then the coincidences of each two different scores.

    The ordinal distance of two scores is that of their mid-ranks among all pairable ratings, squared, so it changes
    with every resample, and the coincidences have to be kept apart.
    """
    size = len(values)
    first, second = _off_diagonal(size)
    coincidences = 2 * counts[:, first] * counts[:, second] / (counts.sum(axis=1, keepdims=True) - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :size]
        n = given.sum(axis=1)
        ranks = _centred_ranks(given)
        observed = (sums[:, size:] * (ranks[:, first] - ranks[:, second]) ** 2).sum(axis=1)
        return _alpha_of(observed, 2 * n * (given * ranks**2).sum(axis=1), n)

    return np.column_stack([counts, coincidences]), statistic


ALPHA = {"nominal": _nominal, "ordinal": _ordinal, "interval": _interval_level}  # by level of measurement


def _centred_ranks(given: np.ndarray) -> np.ndarray:
    """How often each score was given (rounds, scores) -> the scores' mid-ranks minus their mean, which is n / 2."""
    return given.cumsum(axis=1) - given / 2 - given.sum(axis=1, keepdims=True) / 2


def kappa_columns(
    first: np.ndarray, second: np.ndarray, values: np.ndarray, weights: str
) -> tuple[np.ndarray, Statistic]:
    """Columns: ones, the disagreement, then how often the first and the second rater gave each score."""
    size = len(values)
    apart = np.abs(values[:, None] - values)
    distances = {"plain": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    each = np.eye(size)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, observed, left, right = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + size], sums[:, 2 + size :]
        return 1 - divided(n * observed, ((left @ distances) * right).sum(axis=1))

    return np.column_stack([np.ones(len(first)), distances[first, second], each[first], each[second]]), statistic


def spearman_columns(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: ones, then one for each two scores that occur together."""
    size = len(values)
    cells, where = np.unique(first * size + second, return_inverse=True)
    left, right = np.divmod(cells, size)

    def statistic(sums: np.ndarray) -> np.ndarray:
        together = sums[:, 1:]
        by_left, by_right = together @ np.eye(size)[left], together @ np.eye(size)[right]
        ranks, others = _centred_ranks(by_left), _centred_ranks(by_right)
        spread = np.sqrt((by_left * ranks**2).sum(axis=1)) * np.sqrt((by_right * others**2).sum(axis=1))
        return np.clip(divided((together * ranks[:, left] * others[:, right]).sum(axis=1), spread), -1.0, 1.0)

    return np.column_stack([np.ones(len(first)), np.eye(len(cells))[where]]), statistic
