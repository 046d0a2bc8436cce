"""Two systems on the same items: a permutation test over clusters, an interval, an effect, and what could be seen.

Under the null hypothesis a cluster's two sides could have been swapped, so each round swaps a random set of clusters
and asks how often the difference is as large as the one observed (the sign-flip test; Fisher 1935, Good 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.metrics.resample import (
    ROUNDS,
    Bounds,
    Numbers,
    checked,
    cluster_codes,
    cluster_sums,
    freedom,
    interval,
    jackknife_error,
    quantile_t,
    ratio_pulls,
)
from mashq.metrics.score import sign
from mashq.rows import MashqError, expected_got

__all__ = ["EXACT_CLUSTERS", "FLIPS", "POWER", "Comparison", "compare", "compare_ratio", "holm"]

FLIPS = 10_000  # random rounds of the permutation test
EXACT_CLUSTERS = 14  # up to so many clusters that differ, all 2^k swaps are tried instead (16,384)
POWER, ALPHA = 0.8, 0.05  # of the smallest detectable difference; two-sided
SIMULATED = 30  # effective clusters below which that is found by simulating the test itself
_DRAWS, _SWAPS, _EXACT = 200, 256, 8  # simulated data sets; swaps of each; clusters up to which all 2^k are tried
_CELLS = 2_000_000  # swaps held at a time, 8 bytes each
_TIE = 1e-12  # two items' scores nearer than this are a tie


@dataclass(frozen=True)
class Comparison:
    """System a against system b on the same items. `difference` is a minus b, in the metric's own unit."""

    metric: str
    n: int  # items
    groups: int  # clusters
    difference: float
    low: float | None  # 95 % interval of the difference; None where nothing tells how far off it could be
    high: float | None
    p: float | None  # two-sided, never 0
    effect: float | None  # mean / standard deviation of the items' differences (d_z); None where that has no spread
    wins: int  # items on which a is better
    ties: int
    losses: int
    # True difference found with 80 % power at alpha 0.05, given these clusters and this noise; None where there is no
    # noise to tell it from, and where fewer than six clusters differ: their least p is 0.0625, so power is 0.
    smallest_detectable: float | None
    signature: str  # its `ci:` names the interval of many clusters
    interval_by: str = ""  # how this one was made (`resample.Interval`): few or equal clusters are treated otherwise


def compare(
    a: Numbers,
    b: Numbers,
    *,
    metric: str = "score",
    groups: Sequence[str | None] | None = None,
    higher_is_better: bool = True,
    bounds: Bounds | None = None,
    seed: int = 0,
    tested: bool = True,
) -> Comparison:
    """Compare the means of two systems' item scores; `a[i]` and `b[i]` are the same item.

    `bounds` are the least and the greatest value of an item, where they are known: `resample.interval` says what is
    made of them. The test and the interval swap and draw whole groups. p is exact for up to 14 clusters that differ,
    otherwise (k + 1) / (10,000 + 1) (Phipson and Smyth 2010). `wins` follow `higher_is_better`; `difference` and
    `effect` do not. Not `tested`, a comparison is described alone: p and what could be detected are None.

    Raises MashqError for an empty set, unequal lengths, and a value that is not finite.
    """
    left, right = _same_items(a, b, metric)
    ones = np.ones_like(left)
    codes = cluster_codes(len(left), groups, metric)
    columns = cluster_sums(codes, left, ones, right, ones)
    width = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    grouped = groups is not None
    better = higher_is_better
    return _comparison(
        metric, columns, left - right, grouped=grouped, better=better, seed=seed, tested=tested, width=width
    )


def compare_ratio(
    a: Numbers,
    b: Numbers,
    over: Numbers,
    b_over: Numbers | None = None,
    *,
    metric: str = "ratio",
    groups: Sequence[str | None] | None = None,
    higher_is_better: bool = False,
    seed: int = 0,
    tested: bool = True,
) -> Comparison:
    """Compare two ratios of sums, such as bits per byte: sum(a) / sum(over) minus sum(b) / sum(b_over).

    `a` and `b` are the items' numerators (bits), `over` their denominators (bytes), shared by both systems unless
    `b_over` is given (tokens of two tokenizers). Test and interval are those of the difference of the ratios, by
    cluster; effect, wins, ties and losses are counted on the items' own ratios.

    Raises MashqError as `compare` does, and for a denominator that is not above 0.
    """
    left, right = _same_items(a, b, metric)
    left_over, right_over = _same_items(over, over if b_over is None else b_over, f"{metric}: denominators")
    if len(left_over) != len(left):
        raise MashqError(expected_got(f"{metric}: denominators", f"{len(left)}, one per item", str(len(left_over))))
    small = np.flatnonzero((left_over <= 0) | (right_over <= 0))
    if small.size:
        raise MashqError(expected_got(f"{metric}: item {small[0]}", "a denominator above 0", "0 or less"))
    codes = cluster_codes(len(left), groups, metric)
    columns = cluster_sums(codes, left, left_over, right, right_over)
    items = left / left_over - right / right_over
    better, grouped = higher_is_better, groups is not None
    return _comparison(metric, columns, items, grouped=grouped, better=better, seed=seed, tested=tested)


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted for being one family (Holm 1979), in the order given: never smaller, at most 1.

    Raises MashqError for a value outside 0..1.
    """
    for index, p in enumerate(ps):
        if not 0 <= p <= 1:
            raise MashqError(expected_got(f"holm: p {index}", "0..1", str(p)))
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def _same_items(a: Numbers, b: Numbers, what: str) -> tuple[np.ndarray, np.ndarray]:
    left, right = checked(a, f"{what} of a"), checked(b, f"{what} of b")
    if len(left) != len(right):
        do = "A paired comparison needs both systems' scores on the same items, in the same order."
        raise MashqError(expected_got(what, f"{len(left)} values for b as for a", str(len(right)), do))
    return left, right


def _comparison(
    metric: str,
    columns: np.ndarray,
    items: np.ndarray,
    *,
    grouped: bool,
    better: bool,
    seed: int,
    tested: bool,
    width: Bounds | None = None,
) -> Comparison:
    """`columns`: (clusters, [a's numerator, a's denominator, b's numerator, b's denominator]); `items`: a minus b."""
    difference = float(_difference(columns.sum(axis=0)[None])[0])
    pulls, weights = _pulls(columns)
    found = interval(columns, _difference, pulls, weights, seed=seed, bounds=width)
    ahead, behind = int((items > _TIE).sum()), int((items < -_TIE).sum())
    wins, losses = (ahead, behind) if better else (behind, ahead)
    return Comparison(
        metric=metric,
        n=len(items),
        groups=len(columns),
        difference=difference,
        low=found.low,
        high=found.high,
        p=_swap_p(columns, seed) if tested else None,
        effect=_effect(items),
        wins=wins,
        ties=len(items) - wins - losses,
        losses=losses,
        smallest_detectable=_smallest_detectable(columns, pulls, weights, seed) if tested else None,
        signature=sign(
            metric,
            f"test:swap{FLIPS}" if tested else "",
            f"ci:bootstrap{ROUNDS}",
            "by:group" if grouped else "",
            f"seed:{seed}",
        ),
        interval_by=found.by,
    )


def _difference(totals: np.ndarray) -> np.ndarray:
    """(rounds, 4) sums -> (rounds,) differences of the two ratios."""
    return totals[:, 0] / totals[:, 1] - totals[:, 2] / totals[:, 3]


def _swap_p(columns: np.ndarray, seed: int) -> float:
    """The two-sided p of the observed difference among swaps of clusters: all of them, or 10,000 at random."""
    totals = columns.sum(axis=0)
    gain = columns[:, 2:] - columns[:, :2]  # what a swap adds to a's sums and takes from b's
    gain = gain[np.any(gain != 0, axis=1)]  # a cluster with equal sides changes nothing
    clusters = len(gain)
    observed = abs(_difference(totals[None])[0])
    # Equal differences must count as equal whatever the order of summation.
    floor = observed - 1e-11 * (np.abs(columns[:, [0, 2]]).sum() / min(totals[1], totals[3]))
    if clusters <= EXACT_CLUSTERS:
        swaps = (np.arange(2**clusters)[:, None] >> np.arange(clusters)) & 1
        return _count_at_least(swaps, gain, totals, floor) / 2**clusters
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // clusters)
    width = math.ceil(clusters / 8)
    reached = 0
    for start in range(0, FLIPS, step):
        rows = min(step, FLIPS - start)
        packed = np.frombuffer(generator.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
        reached += _count_at_least(np.unpackbits(packed, axis=1, count=clusters), gain, totals, floor)
    return (reached + 1) / (FLIPS + 1)


def _count_at_least(swaps: np.ndarray, gain: np.ndarray, totals: np.ndarray, floor: float) -> int:
    """How many of the swaps (rounds, clusters) of 0 and 1 give an absolute difference of at least `floor`."""
    moved = swaps.astype(np.float64) @ gain  # (rounds, [numerator, denominator])
    return int((np.abs(_difference(np.hstack([totals[:2] + moved, totals[2:] - moved]))) >= floor).sum())


def _effect(items: np.ndarray) -> float | None:
    """Cohen's d for pairs: mean over standard deviation of the differences; 0 where there is no difference at all."""
    if not np.any(items):
        return 0.0
    spread = float(items.std(ddof=1)) if len(items) > 1 else 0.0
    return float(items.mean()) / spread if spread > _TIE else None


def _pulls(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each cluster adds to the error of the difference of ratios, linearised, and its share of the denominators.

    Both (clusters,).
    """
    (ours, our_weights), (theirs, their_weights) = ratio_pulls(columns[:, :2]), ratio_pulls(columns[:, 2:])
    return ours - theirs, (our_weights + their_weights) / 2


def _smallest_detectable(columns: np.ndarray, pulls: np.ndarray, weights: np.ndarray, seed: int) -> float | None:
    """The true difference that the test finds four times in five; None where the data cannot tell it.

    With many clusters (t at 0.975 + t at 0.8) standard errors (Bloom 1995); with fewer than `SIMULATED` effective ones
    the test itself is simulated, because there a large cluster, or the coarse p of few swaps, changes what it can find.

    The noise is taken to be what it is at the difference seen. Power was 72 to 81 % in simulations of normal
    differences, but 61 and 71 % of 50 and 200 yes-or-no items, a fifth of them right: there a true difference makes
    more noise than none (docs/benchmarks/statistics.md).
    """
    differ = int(np.any(columns[:, :2] != columns[:, 2:], axis=1).sum())
    if 2.0 ** (1 - differ) >= ALPHA:
        return None
    scale = float(np.abs(columns[:, 0]).sum() / columns[:, 1].sum() + np.abs(columns[:, 2]).sum() / columns[:, 3].sum())
    error = jackknife_error(pulls, weights)
    if error <= 1e-12 * scale:
        return None
    free = freedom(weights)
    if free + 1 < SIMULATED:
        return _simulated_detectable(pulls, weights, seed)
    return (quantile_t(1 - ALPHA / 2, free) + quantile_t(POWER, free)) * error


def _simulated_detectable(pulls: np.ndarray, weights: np.ndarray, seed: int) -> float | None:
    """The smallest shift of all clusters that the swap test finds in `POWER` of simulated data sets.

    A data set has the clusters' own residuals, each with a sign drawn anew (the wild bootstrap; Wu 1986) and divided by
    sqrt(1 - w) because a heavy cluster has drawn the value to itself; the same swaps serve all data sets and shifts.
    """
    generator = np.random.default_rng(seed)
    noise = pulls / np.sqrt(np.maximum(1 - weights, 1e-12))
    clusters = len(noise)
    rows = 2**clusters if clusters <= _EXACT else _SWAPS
    of_shift, of_noise = np.zeros((rows, 1)), np.zeros((rows, _DRAWS))  # sums over clusters in each swap
    step = max(1, _CELLS // rows)
    for start in range(0, clusters, step):
        some = slice(start, min(start + step, clusters))
        signs = 1.0 - 2 * _swaps(rows, range(clusters)[some], clusters, generator)  # (rows, clusters in step)
        of_shift += signs @ weights[some, None]
        drawn = generator.integers(0, 2, size=(len(noise[some]), _DRAWS))
        of_noise += signs @ (noise[some, None] * (1 - 2 * drawn))
    unit = math.sqrt(float(noise @ noise))

    def power(shift: float) -> float:
        totals = np.abs(shift * of_shift + of_noise)
        return float(((totals >= totals[0] - 1e-9 * unit).mean(axis=0) < ALPHA).mean())

    return _least(power, unit)


def _swaps(rows: int, which: range, clusters: int, generator: np.random.Generator) -> np.ndarray:
    """0 and 1, (rows, clusters in `which`): every swap of so few clusters, or random ones; the first swaps nothing."""
    if clusters <= _EXACT:
        return (np.arange(rows)[:, None] >> np.asarray(which)) & 1
    swaps = generator.integers(0, 2, size=(rows, len(which)))
    swaps[0] = 0
    return swaps


def _least(power: Callable[[float], float], unit: float) -> float | None:
    """The least shift of enough power, by doubling and halving to 1 in 1,000; None above a million units."""
    low, high = 0.0, unit
    while power(high) < POWER:
        low, high = high, 2 * high
        if high > 1e6 * unit:
            return None
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
