"""Means over strata: the mean of several sets' own scores, such as a macro average over tasks, each with one weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mashq.metrics.resample import Drawn, cluster_sums, freedom

__all__ = ["stratified"]


def stratified(
    over: np.ndarray,
    under: np.ndarray,
    strata: Sequence[np.ndarray],
    codes: np.ndarray,
    shape: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Drawn:
    """The mean over strata of `shape` of each one's ratio, sum of `over` by sum of `under` (items,) of its items.

    `strata` are the positions of each one's items, none of them empty; `codes` (items,) is each item's cluster, which
    is drawn whole, its items in every stratum with it. `shape` is np.asarray for the ratio itself, or np.exp.
    """
    count = len(strata)
    columns = np.zeros((2 * count, len(over)))
    for number, places in enumerate(strata):
        columns[number, places] = over[places]
        columns[count + number, places] = under[places]
    sums = cluster_sums(codes, *columns)

    def mean(totals: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):  # a stratum that a draw left without items
            return np.nanmean(shape(totals[:, :count] / totals[:, count:]), axis=1)

    over_sums, under_sums = sums[:, :count], sums[:, count:]
    under_all = under_sums.sum(axis=0)
    ratios = over_sums.sum(axis=0) / under_all
    slopes = shape(ratios) if shape is np.exp else np.ones_like(ratios)  # of the shape at each stratum's ratio
    shares = under_sums / under_all  # (clusters, strata)
    weights = shares.mean(axis=1)
    # A cluster draws a stratum's ratio to itself by its share there, and not by its share of all: leaving it out is
    # told by `parts`, from which `resample.jackknife_error` takes the whole's share off again.
    parts = (over_sums - ratios * under_sums) / under_all * slopes / count / np.maximum(1 - shares, 1e-12)
    return Drawn(sums, mean, parts.sum(axis=1) * (1 - weights), weights, _freedom(parts, shares))


def _freedom(parts: np.ndarray, shares: np.ndarray) -> float:
    """Welch's and Satterthwaite's number (1946): a few items of one task are known less well than many of another."""
    spread = (parts**2).sum(axis=0)  # (strata,)
    if not spread.any():
        return math.nan  # nothing to weigh strata by: the clusters' own
    each = np.array([freedom(share[share > 0]) if (share > 0).sum() > 1 else 1.0 for share in shares.T])
    return float(spread.sum() ** 2 / (spread**2 / each).sum())
