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
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mashq.metrics.paired import POWER
from mashq.metrics.resample import LEVEL, cluster_codes, cluster_sums, quantile_t

__all__ = ["MOVES", "TURNS", "Span", "span_of_mean", "span_of_slope"]

TURNS = (-1.0, 1.0)  # pseudo-items of a difference, in steps
MOVES = (0.0, 0.0, 1.0, 1.0)  # pseudo-items of an amount of change, in steps


@dataclass(frozen=True)
class Span:
    """A 95 % interval, and the smallest true value that would differ from 0 with 80 % power; None with one cluster."""

    low: float | None
    high: float | None
    detectable: float | None


def span_of_mean(
    values: Sequence[float], groups: Sequence[str], unseen: Sequence[float], bounds: tuple[float, float]
) -> Span:
    """Of the mean of n values, at least one, within `bounds`; `unseen` are the pseudo-items (`TURNS` or `MOVES`).

    The mean itself is always inside.
    """
    span = span_of_slope(values, [1.0] * len(values), groups, unseen)
    if span.low is None or span.high is None:
        return span
    return Span(max(bounds[0], span.low), min(bounds[1], span.high), span.detectable)


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
    detectable = (quantile_t(0.975, clusters - 1) + quantile_t(POWER, clusters - 1)) * error
    return Span(min(slope, centre - half), max(slope, centre + half), detectable)
