"""The smallest true difference that the paired test would find four times in five, given these clusters and this noise.

It tells how large a test set is, not whether two systems differ. How often what is called detectable is found:
docs/benchmarks/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mashq.metrics.resample import Drawn, jackknife_error, quantile_t

__all__ = ["ALPHA", "POWER", "Louder", "louder_yes", "smallest_detectable"]

POWER, ALPHA = 0.8, 0.05  # two-sided
SIMULATED = 30  # effective clusters below which the test itself is simulated
_DRAWS, _SWAPS, _EXACT = 200, 256, 8  # simulated data sets; swaps of each; clusters up to which all 2^k are tried
_CELLS = 2_000_000  # swaps held at a time, 8 bytes each

Louder = Callable[[float], float]  # how many times the standard error grows at a true difference of so much


def smallest_detectable(
    drawn: Drawn, differ: int, *, scale: float, louder: Louder | None = None, seed: int = 0
) -> float | None:
    """The true difference that the test finds four times in five; None where the data cannot tell it.

    `drawn` is the difference; `differ` is how many clusters have two sides that are not the same: fewer than six can
    give no p below 0.05, and then nothing is detectable. `scale` is the size of the scores: noise below a 1e-12th of it
    is rounding, and none.

    With many clusters (t at 0.975 + t at 0.8) standard errors (Bloom 1995); with fewer than `SIMULATED` effective ones
    the test itself is simulated, because there a large cluster, or the coarse p of few swaps, changes what it can find.
    The noise is taken to be what it is at the difference seen, unless `louder` says how it grows with a true one.
    """
    if 2.0 ** (1 - differ) >= ALPHA:
        return None
    error = jackknife_error(drawn.pulls, drawn.weights)
    if error <= 1e-12 * scale:
        return None
    free = drawn.freedom
    if free + 1 < SIMULATED:
        return _simulated(drawn.pulls, drawn.weights, louder, seed)
    needed = (quantile_t(1 - ALPHA / 2, free) + quantile_t(POWER, free)) * error
    return needed if louder is None else _least(lambda shift: shift >= needed * louder(shift), needed)


def louder_yes(a: np.ndarray, b: np.ndarray) -> Louder | None:
    """How the error of a difference of yes-or-no items (0 and 1) grows with it; None for any other scores.

    `a` and `b` (n,) are two systems on the same items. Where a share c of the items is right in one of them alone,
    their differences vary by c - d^2. A larger difference makes c larger: where the better system gains right answers,
    drawn at random from its wrong ones, a share 1 - q of them is right in it alone now and a share q in the other alone
    no longer, q being the share of its wrong items that the other had right; and so where the other loses right
    answers. Nobody knows which of these it will be, so the one that makes more noise is taken. What surely is there of
    the difference seen (the lower end of its interval) has made its noise already.
    """
    if not np.isin(a, (0.0, 1.0)).all() or not np.isin(b, (0.0, 1.0)).all():
        return None
    better, worse = (a, b) if a.mean() >= b.mean() else (b, a)
    seen, apart = float((better - worse).mean()), float((better != worse).mean())
    behind = float((worse > better).mean())  # the share of the items that only the worse one has right
    sure = max(0.0, seen - 1.96 * math.sqrt((apart - seen * seen) / len(a)))
    pools = [pool for pool in (1 - float(better.mean()), float(worse.mean())) if pool > 0]
    steep = max((1 - 2 * behind / pool for pool in pools), default=0.0)

    def louder(shift: float) -> float:
        differ = min(1.0, max(shift, apart + steep * max(0.0, shift - sure)))
        return math.sqrt(max(differ - shift * shift, 0.0) / (apart - seen * seen))

    return louder


def _simulated(pulls: np.ndarray, weights: np.ndarray, louder: Louder | None, seed: int) -> float | None:
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

    def enough(shift: float) -> bool:
        grown = louder(shift) if louder else 1.0
        totals = np.abs(shift * of_shift + grown * of_noise)
        found = (totals >= totals[0] - 1e-9 * unit).mean(axis=0) < ALPHA
        return float(found.mean()) >= POWER

    return _least(enough, unit)


def _swaps(rows: int, which: range, clusters: int, generator: np.random.Generator) -> np.ndarray:
    """0 and 1, (rows, clusters in `which`): every swap of so few clusters, or random ones; the first swaps nothing."""
    if clusters <= _EXACT:
        return (np.arange(rows)[:, None] >> np.asarray(which)) & 1
    swaps = generator.integers(0, 2, size=(rows, len(which)))
    swaps[0] = 0
    return swaps


def _least(enough: Callable[[float], bool], unit: float) -> float | None:
    """The least shift that is enough, by doubling and halving to 1 in 1,000; None above a million units."""
    low, high = 0.0, unit
    while not enough(high):
        low, high = high, 2 * high
        if high > 1e6 * unit:
            return None
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
