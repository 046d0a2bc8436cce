"""How far raters agree: Cohen's kappa, Krippendorff's alpha, Spearman's rho, the exact share, and who is severe.

Raters are people or judges; an item is what they scored (one reply under one criterion). Agreement between people is
the ceiling for any judge. A number that cannot be had is None with its reason, never 0 or 1. Every interval draws whole
groups of items, never single ratings, since the ratings of one item are not independent. Where one score is rare these
intervals are too narrow: with two scores, one of them on a tenth of 50 items, they held the true kappa in 82 % and the
true alpha in 88 % of simulated data sets (docs/benchmarks/statistics.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np

from mashq.metrics.agreed import KRIPPENDORFF, LANDIS_KOCH, Agreement, Recipe, groups_of, measured
from mashq.metrics.coefficients import ALPHA, kappa_columns, spearman_columns
from mashq.metrics.pairs import Pairs
from mashq.metrics.ratings import Ratings
from mashq.metrics.resample import (
    ROUNDS,
)
from mashq.metrics.score import BINARY, Score, mean_score, sign
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "LEVELS",
    "WEIGHTS",
    "alpha",
    "exact",
    "kappa",
    "measures",
    "pairwise",
    "severity",
    "spearman",
]

WEIGHTS = ("plain", "linear", "quadratic")  # of a disagreement in kappa: any, its size, its size squared
LEVELS = ("nominal", "ordinal", "interval")  # of measurement in alpha


def alpha(ratings: Ratings, *, level: str = "ordinal", seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """Krippendorff's alpha of all raters together; missing ratings are allowed. 1 = full agreement, 0 = by chance.

    `level`: "nominal" (any disagreement counts the same), "ordinal" (by the ratings that lie between), "interval" (by
    the squared distance). Items with fewer than two ratings tell nothing and are left out of `n`. No value where all
    ratings are the same score.

    The interval goes from the lower to the higher end of two over groups of items: `resample.bootstrap`'s, which alone
    held the true value in 91 % of the data sets with five groups, and the jackknife's on Fisher's z scale. Its lower
    end is at most what Wilson's interval gives for so many clusters all in agreement, because items that all agree have
    no spread. A resample without a value counts as lying at both ends, -1 and 1. How often it holds the true value with
    few items, few clusters or one rare score is measured in docs/benchmarks/statistics.md.

    Source: Krippendorff 2004, Content Analysis, chapter 11. Raises MashqError for an unknown level.
    """
    _known(level, LEVELS, "alpha: level")
    values, counts = _counts(ratings)
    shared = counts.sum(axis=1) >= 2
    columns, statistic = ALPHA[level](counts[shared], values)
    parts = ("alpha", f"level:{level}", _scale(ratings))
    recipe = Recipe(f"{level} alpha", parts, KRIPPENDORFF, seed, rounds)
    reason = _one_score(values[counts[shared].any(axis=0)])
    return measured(ratings, recipe, shared, columns, statistic, reason)


def kappa(ratings: Ratings, *, weights: str = "plain", seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """Cohen's kappa of two raters; of more, the mean over pairs, each weighted by the items that it shares.

    `weights`: "plain" (1960), "linear" or "quadratic" in the distance of the scores (1968). Where all raters rate all
    items the mean is Light's kappa (1971). A pair that shares no item, or used one and the same score only, has no
    kappa and is counted in `left_out`. The distance is that of the scores themselves: 1 and 5 are 4 apart though
    nobody gave 2, 3 or 4. Interval as for `alpha`.

    Source: Cohen 1960; Cohen 1968; Light 1971. Raises MashqError for unknown weights.
    """
    _known(weights, WEIGHTS, "kappa: weights")
    name = "kappa" if weights == "plain" else f"{weights} kappa"
    parts = ("kappa", f"weights:{weights}", _scale(ratings), "agg:pairs")
    recipe = Recipe(name, parts, LANDIS_KOCH, seed, rounds)
    reason = "every pair of raters that shares items used one and the same score on them"
    return Pairs(ratings, partial(kappa_columns, weights=weights)).mean(_all_pairs(ratings), recipe, reason)


def spearman(ratings: Ratings, *, seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """Spearman's rho of two raters, equal scores sharing their mean rank; of more, the mean over pairs as in `kappa`.

    It asks whether raters put items in the same order, not whether they give the same scores. A pair in which one gave
    the same score to every shared item has no order, hence no rho, and is counted in `left_out`. Interval as for
    `alpha`. Source: Spearman 1904; the correlation of mid-ranks.
    """
    recipe = Recipe("spearman", ("spearman", _scale(ratings), "agg:pairs"), None, seed, rounds)
    reason = "in every pair of raters that shares items one gave them all the same score"
    return Pairs(ratings, spearman_columns).mean(_all_pairs(ratings), recipe, reason)


def exact(ratings: Ratings, *, seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """The share of pairs of ratings of one item that are equal. Not corrected for chance: give it beside kappa.

    With two raters an item is yes or no, and the interval is `mean_score`'s for such items (Wilson's); with more it is
    made as for `alpha`.
    """
    _, counts = _counts(ratings)
    totals = counts.sum(axis=1)
    shared = totals >= 2
    pairs = (totals * (totals - 1) / 2)[shared]
    equal = (counts * (counts - 1) / 2).sum(axis=1)[shared]
    parts = ("exact", _scale(ratings), "agg:pairs")
    if len(ratings.raters) > 2 or not shared.any():

        def share(sums: np.ndarray) -> np.ndarray:
            return sums[:, 1] / sums[:, 0]

        columns = np.column_stack([pairs, equal])
        return measured(ratings, Recipe("exact", parts, None, seed, rounds, least=0.0), shared, columns, share, "")
    score = mean_score(
        equal, name="exact", signature=sign(*parts, BINARY), groups=groups_of(ratings, shared), seed=seed
    )
    return Agreement("exact", score.value, score.low, score.high, score.n, score.signature, raters=2)


def measures(ratings: Ratings, *, seed: int = 0, rounds: int = ROUNDS) -> tuple[Agreement, ...]:
    """What a report shows for one criterion: ordinal alpha, the three kappas, Spearman's rho, the exact share."""
    kappas = (kappa(ratings, weights=weights, seed=seed, rounds=rounds) for weights in WEIGHTS)
    rho, share = spearman(ratings, seed=seed, rounds=rounds), exact(ratings, seed=seed, rounds=rounds)
    return (alpha(ratings, seed=seed, rounds=rounds), *kappas, rho, share)


def pairwise(ratings: Ratings, measure: Callable[[Ratings], Agreement]) -> dict[tuple[str, str], Agreement]:
    """A measure of every pair of raters, `partial(kappa, weights="quadratic")` say; pairs in the order of `raters`."""
    return {(first, second): measure(ratings.pair(first, second)) for first, second in combinations(ratings.raters, 2)}


def severity(ratings: Ratings, *, seed: int = 0) -> dict[str, Score | None]:
    """Each rater's mean difference from the mean of the other raters on the same items: below 0 is severe, above mild.

    In points of the scale, with `mean_score`'s interval over groups of items. None for a rater who shares no item.
    """
    rated = ~np.isnan(ratings.scores)  # (items, raters)
    filled = np.where(rated, ratings.scores, 0.0)
    others = rated.sum(axis=1, keepdims=True) - rated
    means = (filled.sum(axis=1, keepdims=True) - filled) / np.maximum(others, 1)
    found: dict[str, Score | None] = {}
    for column, rater in enumerate(ratings.raters):
        shared = rated[:, column] & (others[:, column] > 0)
        differences = (filled - means)[shared, column]
        name, groups = f"severity of {rater}", groups_of(ratings, shared)
        signature = sign("severity", _scale(ratings), "from:mean-of-others")
        found[rater] = (
            mean_score(differences, name=name, signature=signature, groups=groups, seed=seed) if shared.any() else None
        )
    return found


def _known(name: str, names: tuple[str, ...], what: str) -> None:
    if name not in names:
        raise MashqError(expected_got(what, f"one of {', '.join(names)}", repr(name), nearest(name, names).strip()))


def _scale(ratings: Ratings) -> str:
    return f"scale:{ratings.scale[0]}..{ratings.scale[1]}"


def _all_pairs(ratings: Ratings) -> list[tuple[int, int]]:
    return list(combinations(range(len(ratings.raters)), 2))


def _one_score(values: np.ndarray) -> str:
    if len(values) != 1:
        return ""
    return f"all ratings are {values[0]:g}, so no disagreement is to be expected by chance"


def _counts(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """The scores in use, rising, and how often each item got each: shape (items, scores)."""
    values = np.unique(ratings.scores[~np.isnan(ratings.scores)])
    return values, (ratings.scores[:, :, None] == values).sum(axis=1).astype(np.float64)
