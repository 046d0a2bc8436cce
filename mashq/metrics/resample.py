"""Clusters and the intervals over them: bootstrap, jackknife, Wilson's, and what to say where nothing varies.

Items that share a group (one story prompt, one document) are not independent, so whole groups are drawn, never items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.rows import MashqError, expected_got

__all__ = [
    "FEW",
    "LEVEL",
    "ROUNDS",
    "Bounds",
    "Drawn",
    "Interval",
    "Numbers",
    "bootstrap",
    "checked",
    "cluster_codes",
    "cluster_sums",
    "expanded_tail",
    "freedom",
    "interval",
    "jackknife_error",
    "p_of_t",
    "quantile_t",
    "ratio_pulls",
    "unseen_share",
    "wilson",
]

Numbers = Sequence[float] | np.ndarray  # one number per item
Bounds = tuple[float, float]  # the least and the greatest value that an item can have; infinite where there is no end

LEVEL = 0.95  # of every interval
ROUNDS = 1000  # bootstrap resamples; the signature names the number
FEW = 12  # effective clusters below which the interval is the jackknife's: there it holds more often than the bootstrap
_CELLS = 2_000_000  # drawn indices held at a time: 16 MB


def checked(values: Numbers, what: str) -> np.ndarray:
    """Values as a 1-D float array.

    Raises MashqError for an empty set (it has no score) and for a value that is not finite, with its position.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise MashqError(expected_got(what, "one number per item", f"an array of shape {array.shape}"))
    if array.size == 0:
        raise MashqError(expected_got(what, "at least one item", "none", "An empty set has no score: leave it out."))
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        do = "Score every item, or drop it with a reason before it is counted."
        raise MashqError(expected_got(f"{what}: item {bad[0]}", "a finite number", str(array[bad[0]]), do))
    return array


def cluster_codes(n: int, groups: Sequence[str | None] | None, what: str) -> np.ndarray:
    """The cluster of each of n items as integers 0..clusters-1, numbered in the order of the sorted group names.

    Without groups, and where a group is None, an item is a cluster of its own. The order of the items does not matter
    where all have groups. Raises MashqError when the lengths differ.
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise MashqError(expected_got(f"{what}: groups", f"{n}, one per item", str(len(groups))))
    names = sorted({group for group in groups if group is not None})
    number = {name: index for index, name in enumerate(names)}
    codes = np.empty(n, dtype=np.int64)
    fresh = len(names)
    for item, group in enumerate(groups):
        if group is None:
            codes[item], fresh = fresh, fresh + 1
        else:
            codes[item] = number[group]
    return codes


def cluster_sums(codes: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Columns of n items -> their sums by cluster, shape (clusters, columns)."""
    return np.stack([np.bincount(codes, weights=column) for column in columns], axis=1)


def ratio_pulls(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(clusters, [numerator, denominator]) -> what each cluster adds to the error of the ratio of the sums, linearised,
    and its share of the denominators; both (clusters,)."""
    over, under = sums.sum(axis=0)
    return (sums[:, 0] - over / under * sums[:, 1]) / under, sums[:, 1] / under


def p_of_t(t: float, freedom: float) -> float:
    """The two-sided p of Student's t with `freedom` degrees of freedom, at least 1; they may be broken."""
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(freedom, -abs(t))))


def quantile_t(share: float, freedom: float) -> float:
    """The quantile of Student's t at `share` with `freedom` degrees of freedom, at least 1."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def bootstrap(
    sums: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int,
    rounds: int = ROUNDS,
    effective: float | None = None,
) -> tuple[float, float] | tuple[None, None]:
    """The 95 % interval of a statistic of column sums, from whole clusters drawn with replacement.

    `sums` has shape (clusters, columns); `statistic` turns resampled sums (rounds, columns) into (rounds,) values. The
    interval is the expanded percentile interval: percentiles are taken further out by sqrt(G/(G-1)) t/z, because the
    plain ones are too narrow for few clusters (Hesterberg 2015, "What Teachers Should Know About the Bootstrap",
    section 5.3). G is the number of clusters, or `effective` where they do not weigh the same. With one cluster there
    is nothing to draw from, and the interval is (None, None).

    Below `FEW` clusters that is not enough: a percentile of draws cannot leave the range of the clusters' own values,
    so with two of them it holds the true mean half of the time at most. `interval` takes the jackknife there.
    """
    clusters = len(sums)
    if clusters < 2:
        return None, None
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // clusters)
    values = []
    for start in range(0, rounds, step):
        drawn = generator.integers(0, clusters, size=(min(step, rounds - start), clusters))
        totals = np.stack([column[drawn].sum(axis=1) for column in sums.T], axis=1)  # (rounds in step, columns)
        values.append(statistic(totals))
    tail = expanded_tail(effective or clusters)
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, or none, and how it was made or why there is none."""

    low: float | None
    high: float | None
    by: str  # "bootstrap", "jackknife-t", "wilson", "unseen-share" or "none: <why>"


@dataclass(frozen=True)
class Drawn:
    """A statistic of k clusters, as intervals are made of it."""

    sums: np.ndarray  # (k, columns)
    statistic: Callable[[np.ndarray], np.ndarray]  # resampled sums (rounds, columns) -> values (rounds,)
    pulls: np.ndarray  # (k,) what each cluster adds to the error of the value: its residual over the whole denominator
    weights: np.ndarray  # (k,) its share of the denominator
    free: float = math.nan  # degrees of freedom of the error; NaN: those of the weights

    @classmethod
    def of_ratio(cls, sums: np.ndarray) -> Drawn:
        """The ratio of the sums of two columns (k, [numerator, denominator])."""
        return cls(sums, lambda totals: totals[:, 0] / totals[:, 1], *ratio_pulls(sums))

    @property
    def value(self) -> float:
        """The statistic of all clusters."""
        return float(self.statistic(self.sums.sum(axis=0)[None])[0])

    @property
    def freedom(self) -> float:
        """The degrees of freedom; one more is the number of effective clusters. For two clusters or more."""
        return freedom(self.weights) if math.isnan(self.free) else self.free


NO_INTERVAL_OF_ONE = Interval(None, None, "none: one cluster")


def interval(drawn: Drawn, *, seed: int, bounds: Bounds | None = None) -> Interval:
    """The 95 % interval of a ratio of sums, of a difference of two, or of a mean of several, over k clusters.

    `bounds` are the least and the greatest value possible; None where nobody knows. By the number of effective
    clusters, `drawn.freedom` + 1:

    * one cluster: none;
    * no spread, all clusters say the same: `unseen_share` of the clusters could still say the least or the greatest
      possible. Without finite bounds there is no interval, because nothing tells how far away those could be;
    * fewer than `FEW`: value ± t x the jackknife's error (`jackknife_error`), kept inside the bounds;
    * else: the bootstrap.

    How well each holds is in docs/benchmarks/statistics.md: skewed scores in fewer than ten clusters are held less
    often than 95 %, about 89 to 92 %. The paired test beside it swaps the same clusters: with five or fewer its
    smallest two-sided p is 2/32 = 0.0625, so it can never give p < 0.05, though the interval may leave 0 out. Read
    such intervals as rough, and collect more clusters rather than more items in each.
    """
    if len(drawn.sums) < 2:
        return NO_INTERVAL_OF_ONE
    value, free = drawn.value, drawn.freedom
    if _no_spread(drawn.pulls, value):
        return _unseen(value, free + 1, bounds)
    if free + 1 >= FEW:
        low, high = bootstrap(drawn.sums, drawn.statistic, seed=seed, effective=free + 1)
        return Interval(low, high, "bootstrap")
    half = quantile_t(1 - (1 - LEVEL) / 2, free) * jackknife_error(drawn.pulls, drawn.weights)
    least, greatest = bounds or (-math.inf, math.inf)
    return Interval(min(value, max(least, value - half)), max(value, min(greatest, value + half)), "jackknife-t")


def freedom(weights: np.ndarray) -> float:
    """Degrees of freedom of the error of a weighted mean of k clusters: k - 1 where all weigh the same, at least 1.

    `weights` (k,), k at least 2, sum to 1. Where one cluster outweighs the rest there is hardly more than one way to
    vary, however many small ones stand beside it. This is Satterthwaite's number for independent items (Bell and
    McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage samples", Survey
    Methodology 28:169-181): 1 / sum of the squared entries of a matrix with w_i on its diagonal and
    w_i w_j / sqrt((1 - w_i)(1 - w_j)) off it. One more is the effective number of clusters, near Kish's 1 / sum of w^2.
    """
    squares = weights * weights
    off = squares / np.maximum(1 - weights, 1e-12)
    free = 1 / float(squares.sum() + off.sum() ** 2 - (off * off).sum())
    return max(1.0, round(free, 9))  # k - 1 is not left to rounding


def jackknife_error(pulls: np.ndarray, weights: np.ndarray) -> float:
    """The standard error of a ratio over k clusters by leaving out each once (Quenouille 1956, Tukey 1958).

    A cluster of weight w draws the value to itself, so its residual is too small by 1 - w; leaving it out undoes that.
    Recommended for few and unequal clusters (MacKinnon, Nielsen and Webb 2023, "Fast and reliable jackknife and
    bootstrap methods for cluster-robust inference", J. Appl. Econometrics 38:671-694).
    """
    clusters = len(pulls)
    left_out = pulls / np.maximum(1 - weights, 1e-12)
    return math.sqrt((clusters - 1) / clusters * float(left_out @ left_out))


def unseen_share(clusters: float) -> float:
    """The greatest share of clusters that may be otherwise though none of so many was, at 97.5 % on its one side.

    The rule of three in its exact form (Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all
    right?", JAMA 249:1743-1745): 1 - 0.025^(1/k), which is 0.84 of 2 clusters, 0.26 of 12, 0.036 of 100.
    """
    return 1 - float(((1 - LEVEL) / 2) ** (1 / clusters))


def _no_spread(pulls: np.ndarray, value: float) -> bool:
    """Whether all clusters say the same, but for the rounding of sums."""
    return float(np.abs(pulls).max()) <= 1e-12 * max(1.0, abs(value))


def _unseen(value: float, clusters: float, bounds: Bounds | None) -> Interval:
    if bounds is None or not all(map(math.isfinite, bounds)):
        return Interval(None, None, "none: no spread and no known range")
    share = unseen_share(clusters)
    low, high = (value + share * (end - value) for end in bounds)
    return Interval(min(value, low), max(value, high), "unseen-share")


def expanded_tail(clusters: float) -> float:
    """The share to cut off on each side: 0.025 for many clusters, less for few."""
    from scipy.special import ndtr

    freedom = clusters - 1
    return float(ndtr(math.sqrt(clusters / freedom) * quantile_t((1 - LEVEL) / 2, freedom)))


def wilson(share: float, n: float, critical: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share of n yes-or-no items (Wilson 1927): inside 0..1, and not of width 0 at 0 or 1.

    `n` may be an effective number of items, and `critical` the quantile that goes with it.
    """
    square = critical * critical
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = critical * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    # At the ends one bound is the share itself, and is not left to rounding.
    return (0.0 if share <= 0 else centre - half), (1.0 if share >= 1 else centre + half)
