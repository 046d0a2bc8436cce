"""Two systems on the same items: a permutation test over clusters, an interval, an effect, and what could be seen.

Under the null hypothesis a cluster's two sides could have been swapped, so each round swaps a random set of clusters
and asks how often the difference is as large as the one observed (the sign-flip test; Fisher 1935, Good 2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mashq.metrics.detectable import Louder, louder_yes, smallest_detectable
from mashq.metrics.resample import (
    ROUNDS,
    Bounds,
    Drawn,
    Numbers,
    checked,
    cluster_codes,
    cluster_sums,
    interval,
    ratio_pulls,
)
from mashq.metrics.score import sign
from mashq.metrics.strata import stratified
from mashq.rows import MashqError, expected_got

__all__ = ["EXACT_CLUSTERS", "FLIPS", "Comparison", "compare", "compare_ratio", "compare_strata", "holm", "least_p"]

FLIPS = 10_000  # random rounds of the permutation test
EXACT_CLUSTERS = 14  # up to so many clusters that differ, all 2^k swaps are tried instead (16,384)
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
    # Mean / standard deviation of the items' differences (d_z), for a ratio of what each item adds to the difference;
    # None where that has no spread, and where items do not weigh the same.
    effect: float | None
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
    found = _Settled(groups is not None, higher_is_better, seed, tested, width, louder_yes(left, right))
    return _comparison(metric, columns, left - right, left - right, found)


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
    `b_over` is given (tokens of two tokenizers). Test, interval and effect are those of the difference of the ratios;
    wins, ties and losses are counted on the items' own ratios.

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
    each = np.stack([left, left_over, right, right_over], axis=1)
    spread = _difference(each.sum(axis=0)[None]) + len(left) * _pulls(each)[0]
    return _comparison(metric, columns, items, spread, _Settled(groups is not None, higher_is_better, seed, tested))


def compare_strata(
    a: Numbers,
    b: Numbers,
    strata: Sequence[np.ndarray],
    over: Numbers | None = None,
    *,
    metric: str = "score",
    groups: Sequence[str | None] | None = None,
    higher_is_better: bool = True,
    bounds: Bounds | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two systems' means over strata, such as tasks that count once each however many items they have.

    `strata` are the positions of each one's items: none empty, and each item in one of them. A stratum's score is the
    mean of its items, or with `over` the ratio of its sums. The test swaps whole groups, a group's items in every
    stratum with it, and the interval draws them. Items do not weigh the same, so there is no effect size.

    Raises MashqError as `compare_ratio` does, and for strata that are not a partition of the items.
    """
    left, right = _same_items(a, b, metric)
    under, _ = _same_items(np.ones_like(left) if over is None else over, left, f"{metric}: denominators")
    _check_strata(strata, len(left), metric)
    if (small := np.flatnonzero(under <= 0)).size:
        raise MashqError(expected_got(f"{metric}: item {small[0]}", "a denominator above 0", "0 or less"))
    each = np.zeros(len(left))  # under these weights the ratio of all sums is the mean over strata
    for places in strata:
        each[places] = under.sum() / (len(strata) * under[places].sum())
    codes = cluster_codes(len(left), groups, metric)
    columns = cluster_sums(codes, left * each, under, right * each, under)
    width = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    how = _Settled(groups is not None, higher_is_better, seed, True, width)
    drawn = stratified(left - right, under, strata, codes)
    items = (left - right) / under
    return replace(_comparison(metric, columns, items, items, how, drawn), effect=None)


def _check_strata(strata: Sequence[np.ndarray], n: int, metric: str) -> None:
    held = np.sort(np.concatenate([np.asarray(places, dtype=np.int64) for places in (*strata, [])]))
    if not all(len(places) for places in strata) or not np.array_equal(held, np.arange(n)):
        expected = f"each of {n} items in one stratum, and none empty"
        raise MashqError(expected_got(f"{metric}: strata", expected, f"{len(strata)} strata of {len(held)} items"))


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


def least_p(groups: int) -> float:
    """The smallest p that the paired test can give with so many clusters, whatever the difference.

    Of all 2^groups swaps two, none and all, reach any difference; drawn at random, p is at least 1 / (rounds + 1).
    """
    return 2.0 ** (1 - groups) if groups <= EXACT_CLUSTERS else 1 / (FLIPS + 1)


def _same_items(a: Numbers, b: Numbers, what: str) -> tuple[np.ndarray, np.ndarray]:
    left, right = checked(a, f"{what} of a"), checked(b, f"{what} of b")
    if len(left) != len(right):
        do = "A paired comparison needs both systems' scores on the same items, in the same order."
        raise MashqError(expected_got(what, f"{len(left)} values for b as for a", str(len(right)), do))
    return left, right


@dataclass(frozen=True)
class _Settled:
    """How two systems are compared, whatever their scores are."""

    grouped: bool
    higher_is_better: bool
    seed: int
    tested: bool
    width: Bounds | None = None  # of the difference of two items
    louder: Louder | None = None


def _comparison(
    metric: str,
    columns: np.ndarray,
    items: np.ndarray,
    spread: np.ndarray,
    how: _Settled,
    drawn: Drawn | None = None,
) -> Comparison:
    """`columns`: (clusters, [a's numerator, a's denominator, b's numerator, b's denominator]); `items`: a minus b.

    The columns are what is swapped; they are drawn too, unless `drawn` is given. `spread`: numbers of the items, whose
    mean is the difference.
    """
    difference = float(_difference(columns.sum(axis=0)[None])[0])
    drawn = drawn or Drawn(columns, _difference, *_pulls(columns))
    found = interval(drawn, seed=how.seed, bounds=how.width)
    ahead, behind = int((items > _TIE).sum()), int((items < -_TIE).sum())
    wins, losses = (ahead, behind) if how.higher_is_better else (behind, ahead)
    return Comparison(
        metric=metric,
        n=len(items),
        groups=len(columns),
        difference=difference,
        low=found.low,
        high=found.high,
        p=_swap_p(columns, how.seed) if how.tested else None,
        effect=_effect(spread),
        wins=wins,
        ties=len(items) - wins - losses,
        losses=losses,
        smallest_detectable=_detectable(columns, drawn, how) if how.tested else None,
        signature=sign(
            metric,
            f"test:swap{FLIPS}" if how.tested else "",
            f"ci:bootstrap{ROUNDS}",
            "by:group" if how.grouped else "",
            f"seed:{how.seed}",
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


def _detectable(columns: np.ndarray, drawn: Drawn, how: _Settled) -> float | None:
    differ = int(np.any(columns[:, :2] != columns[:, 2:], axis=1).sum())
    scale = float(np.abs(columns[:, 0]).sum() / columns[:, 1].sum() + np.abs(columns[:, 2]).sum() / columns[:, 3].sum())
    return smallest_detectable(drawn, differ, scale=scale, louder=how.louder, seed=how.seed)
