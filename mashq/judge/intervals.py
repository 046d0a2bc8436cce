"""Intervals of the judge card's means and slopes that stay honest where (nearly) all items say the same.

A bootstrap of equal values has no width, and a fault that happens once in fifty cases is often not seen in forty. So a
few pseudo-items of what may merely not have been seen yet are counted with the real ones, as it is done for shares:

* a difference (after minus before): one item a step up and one a step down (Bonett and Price 2012, "Adjusted Wald
  confidence interval for a difference of binomial proportions based on paired data", J. Educ. Behav. Stat. 37:479-488);
* an amount of change, never below 0: two items that did not move and two that moved a step (Agresti and Coull 1998,
  "Approximate is better than 'exact' for interval estimation of binomial proportions", Am. Stat. 52:119-126).

Both are made for values of one step; here the items' own variance stands in place of the binomial one, so that larger
steps count as they are. How well that holds is measured in docs/benchmarks/judge_card.md. Items in clusters count as
their effective number (Kish 1965: items over the design effect), flat ones once a cluster, with Student's quantile.

`detectable` says which true value a test of such a mean would find, given how many tests its p is corrected for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.metrics.detectable import ALPHA, POWER
from mashq.metrics.paired import EXACT_CLUSTERS, least_p
from mashq.metrics.resample import LEVEL, cluster_codes, cluster_sums, quantile_t

__all__ = ["MOVES", "TURNS", "Noise", "Span", "detectable", "groups_needed", "span_of_mean", "span_of_slope"]

TURNS = (-1.0, 1.0)  # pseudo-items of a difference, in steps
MOVES = (0.0, 0.0, 1.0, 1.0)  # pseudo-items of an amount of change, in steps
_SWAPS_NEED = 1.03  # what a swap test of many clusters needs of what Student's does (benchmarks/judge_card.py)
_CELLS = 2**22  # swaps times data sets held at a time, 8 bytes each


@dataclass(frozen=True)
class Noise:
    """What decides which true value a test could find."""

    error: float  # the standard error, with the pseudo-items or without, whichever is larger
    groups: int  # clusters, two or more
    step: float = 1.0  # the value where every item moves by a step
    least_p: float = 0.0  # the smallest p that the test can give; 0 where it is Student's
    seen: float = 0.0  # the standard error without the pseudo-items


@dataclass(frozen=True)
class Span:
    """A 95 % interval and the noise that it is made of; None with one cluster."""

    low: float | None
    high: float | None
    noise: Noise | None


def span_of_mean(
    values: Sequence[float], groups: Sequence[str], unseen: Sequence[float], bounds: tuple[float, float]
) -> Span:
    """Of the mean of n values, at least one, within `bounds`; `unseen` are the pseudo-items (`TURNS` or `MOVES`).

    The mean itself is always inside.
    """
    span = span_of_slope(values, [1.0] * len(values), groups, unseen)
    if span.low is None or span.high is None:
        return span
    return Span(max(bounds[0], span.low), min(bounds[1], span.high), span.noise)


def span_of_slope(
    changes: Sequence[float], amounts: Sequence[float], groups: Sequence[str], unseen: Sequence[float] = TURNS
) -> Span:
    """Of the slope through the origin, sum(change x amount) / sum(amount^2); a mean where all amounts are 1.

    Pseudo-items are steps at the items' root mean square of amounts, which must not be 0.
    """
    y, x = np.asarray(changes, dtype=np.float64), np.asarray(amounts, dtype=np.float64)
    n, square = len(y), float(x @ x)
    codes = cluster_codes(n, groups, "judge card")
    clusters = len(set(codes.tolist()))
    if clusters < 2:
        return Span(None, None, None)
    slope = float(x @ y) / square
    pulls = (y - slope * x) * x / square  # each item's part in the error of the slope
    of_items = n / (n - 1) * float(pulls @ pulls)
    by_cluster = cluster_sums(codes, pulls)[:, 0]
    of_clusters = clusters / (clusters - 1) * float(by_cluster @ by_cluster)
    effective = n * min(1.0, of_items / of_clusters) if min(of_items, of_clusters) > 1e-15 else float(clusters)
    added = np.asarray(unseen) / math.sqrt(square / n)
    count = effective + len(added)
    centre = (effective * slope + float(added.sum())) / count
    spread = effective * (n * of_items + (slope - centre) ** 2) + float(((added - centre) ** 2).sum())
    error = math.sqrt(spread) / count
    half = quantile_t(1 - (1 - LEVEL) / 2, clusters - 1) * error
    least = least_p(clusters)
    seen = math.sqrt(of_clusters)
    noise = Noise(max(error, seen), clusters, 1 / math.sqrt(square / n), least, seen)
    return Span(min(slope, centre - half), max(slope, centre + half), noise)


# --- what a test would find ------------------------------------------------------------------------------------------


def groups_needed(family: int) -> int | None:
    """The least number of clusters with which a swap test can be significant after correction for `family` tests.

    None where no number is enough: more tests than the 10,000 random swaps of many clusters can tell apart.
    """
    return next((groups for groups in range(2, EXACT_CLUSTERS + 2) if family * least_p(groups) < ALPHA), None)


def detectable(noise: Noise, family: int, most: float) -> float | None:
    """The smallest true value that is found four times in five, where p is corrected after Holm for `family` tests.

    None where no test can be significant with so few clusters, and where that value is above `most`, the end of the
    scale. It is on the safe side: every test is held to `ALPHA` / `family`, which Holm asks of the first alone; a value
    is taken for items that move by whole steps, some further than others, and the noise of that is added to the noise
    seen; and what moves at all is taken to move whole clusters.
    """
    if family * noise.least_p >= ALPHA:
        return None
    times = _errors_needed(noise.groups, family, noise.least_p > 0)
    if noise.least_p == 0:
        needed = times * noise.error
    else:
        least = noise.step * _share_that_moves(noise.groups, family)
        needed = max(_with_own_noise(noise, times), math.hypot(least, times * noise.seen))  # noise undoes some moves
    return needed if needed <= most else None


def _with_own_noise(noise: Noise, times: float) -> float:
    """The least value from which on each is `times` as large as the error that it would be seen with.

    A value between two whole steps is taken for items of which a share u moves by the larger: variance u (1 - u).
    """
    values = np.linspace(0.0, times * math.hypot(noise.error, noise.step / 2 / math.sqrt(noise.groups - 1)), 1001)
    share = values / noise.step % 1
    error = np.sqrt(noise.error**2 + noise.step**2 * share * (1 - share) / (noise.groups - 1))
    short = np.flatnonzero(values < times * error)
    return float(values[min(short[-1] + 1, len(values) - 1)])


def _share_that_moves(groups: int, family: int) -> float:
    """The share of clusters that has to move for enough of them to do so, `groups_needed`, four times in five."""
    from scipy.special import betaincinv

    least = groups_needed(family) or groups
    return float(betaincinv(least, groups - least + 1, POWER))


@functools.lru_cache(256)
def _errors_needed(groups: int, family: int, swapped: bool) -> float:
    """How many standard errors a true value must be away from 0 to be found four times in five.

    Of many clusters by Student's t; of few the swap test itself is tried on normal data: its p comes in large steps.
    """
    simulated = swapped and groups <= EXACT_CLUSTERS
    power = _power_of_swaps(groups, family) if simulated else _power_of_t(groups, family)
    low, high = 0.0, 1.0
    while power(high) < POWER:
        low, high = high, 2 * high
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high if simulated or not swapped else _SWAPS_NEED * high


def _power_of_t(groups: int, family: int) -> Callable[[float], float]:
    """Standard errors from 0 -> how often Student's test is below `ALPHA` / `family`, on the right side of 0."""
    from scipy.special import nctdtr

    beyond = quantile_t(1 - ALPHA / family / 2, groups - 1)
    return lambda away: 1 - float(nctdtr(groups - 1, away, beyond))


def _power_of_swaps(groups: int, family: int) -> Callable[[float], float]:
    """The same of the test that tries all swaps of so few clusters, on the same normal data sets for all values."""
    generator = np.random.default_rng(0)
    drawn = generator.standard_normal((groups, min(4000, _CELLS >> (groups - 1))))
    kept = np.arange(2 ** (groups - 1))[:, None] >> np.arange(groups) & 1  # the last one keeps its side: p is two-sided
    signs = 1.0 - 2 * kept
    noise, shift = signs @ drawn, signs.sum(axis=1, keepdims=True) / math.sqrt(groups)

    def power(away: float) -> float:
        sums = np.abs(noise + shift * away)
        p = (sums >= sums[0] - 1e-9).mean(axis=0)
        return float((p * family < ALPHA).mean())

    return power
