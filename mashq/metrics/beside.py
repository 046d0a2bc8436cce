"""A judge held against people: how far it agrees with them, how far they do with each other, and the difference.

All three are means over pairs of raters of one coefficient of two, each pair once, and each pair keeps its own margins.
Pairs poured into one table would share theirs: a person who is more severe than another would then lower what people
reach among themselves (Spearman's rho of two people a point apart fell from 0.74 to 0.52), and raise the judge beside
them. Krippendorff's alpha, too, is taken pair by pair here: of three raters together it weighs three margins against
each other, and a judge with a person has two. Kappa and alpha ask for the same scores, not the same order, so between a
severe and a mild person a judge of middling severity rightly stands above both; rho does not see severity. A judge that
copies one of few people agrees with that one wholly, and its mean says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from mashq.metrics.agreed import KRIPPENDORFF, LANDIS_KOCH, Agreement, Recipe, drawn_between, groups_of, left_out_half
from mashq.metrics.coefficients import ALPHA, Statistic, kappa_columns, spearman_columns
from mashq.metrics.pairs import Columns, Pairs, weighted
from mashq.metrics.ratings import Ratings
from mashq.metrics.resample import ROUNDS, cluster_codes, cluster_sums
from mashq.metrics.score import sign
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["COEFFICIENTS", "Beside", "Difference", "beside"]

JUDGE = 0  # the judge's place among the raters; people follow


def _alpha_columns(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Ordinal alpha of two raters in the shape of `kappa_columns`: ones, then the columns of alpha."""
    each = np.eye(len(values))
    columns, statistic = ALPHA["ordinal"](each[first] + each[second], values)
    return np.column_stack([np.ones(len(first)), columns]), lambda sums: statistic(sums[:, 1:])


COEFFICIENTS: Mapping[str, Columns] = {
    "quadratic kappa": partial(kappa_columns, weights="quadratic"),
    "spearman": spearman_columns,
    "ordinal alpha": _alpha_columns,
}
_PARTS = {
    "quadratic kappa": ("kappa", "weights:quadratic"),
    "spearman": ("spearman",),
    "ordinal alpha": ("alpha", "level:ordinal"),
}
_YARDSTICKS = {"quadratic kappa": LANDIS_KOCH, "ordinal alpha": KRIPPENDORFF}
_REASONS = {
    "quadratic kappa": "every pair of raters that shares items used one and the same score on them",
    "spearman": "in every pair of raters that shares items one gave them all the same score",
    "ordinal alpha": "every pair of raters that shares items used one and the same score on them",
}


@dataclass(frozen=True)
class Difference:
    """Judge minus people, -2 to 2. Without an interval (None) where one cluster leaves nothing to draw from."""

    value: float
    low: float | None
    high: float | None
    n: int  # items that the judge and at least two people scored
    signature: str

    @property
    def below(self) -> bool:
        """Whether the judge surely agrees with people less than they do with each other."""
        return self.high is not None and self.high < 0


@dataclass(frozen=True)
class Beside:
    """One coefficient of a judge with people, of people among themselves, and the one minus the other."""

    judge: Agreement
    people: Agreement | None  # None: no two people scored one item
    difference: Difference | None  # None: no item that the judge and two people scored has a coefficient


def beside(
    judge: Sequence[int | None],
    people: Sequence[Sequence[int | None]],
    name: str,
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Beside:
    """A coefficient (a key of `COEFFICIENTS`) of a judge's scores of items, 1 to 5, beside those of people.

    `judge` has a score an item, `people` a row of them a person, None where there is none; `groups` a cluster an item.

    * judge: the mean over people of the coefficient of judge and person, each weighted by the items that they share;
    * people: the mean over pairs of people, weighted likewise: of two people, their coefficient as it is. Kappa and rho
      are those of `mashq.metrics.agreement`;
    * difference: on the same items pair by pair, so that neither side has easier ones or more of them. On the items
      that persons A and B and the judge scored: judge with A minus A with B, and judge with B minus A with B; the mean
      over all pairs, weighted by those items. Where all people scored all items it is judge minus people.

    A coefficient of few items is biased: with pairs that share a handful, read the difference, where both sides are
    biased alike. Intervals draw whole clusters, for the difference the same for both its sides; it goes from the lower
    to the higher end of the bootstrap's interval and the jackknife's. Raises MashqError for an unknown name.
    """
    if name not in COEFFICIENTS:
        did = nearest(name, COEFFICIENTS).strip()
        raise MashqError(expected_got("beside: name", f"one of {', '.join(COEFFICIENTS)}", repr(name), did))
    ratings = Ratings.of_matrix([judge, *people], groups=groups)
    persons = range(1, len(ratings.raters))
    coefficient = _Coefficient(ratings, name, seed, rounds)
    pairs = [two for two in combinations(persons, 2) if coefficient.two.shared(*two).any()]
    return Beside(
        judge=coefficient.mean([(JUDGE, person) for person in persons]),
        people=coefficient.mean(pairs) if pairs else None,
        difference=coefficient.difference(pairs),
    )


class _Coefficient:
    """One coefficient on one matrix of ratings, the judge's first."""

    def __init__(self, ratings: Ratings, name: str, seed: int, rounds: int):
        self.ratings, self.name, self.seed, self.rounds = ratings, name, seed, rounds
        self.two = Pairs(ratings, COEFFICIENTS[name])
        low, high = ratings.scale
        self.parts = (*_PARTS[name], f"scale:{low}..{high}", "agg:pairs")

    def mean(self, pairs: Sequence[tuple[int, int]]) -> Agreement:
        """The mean over these pairs, each weighted by the items that it shares; undefined ones do not count."""
        recipe = Recipe(self.name, self.parts, _YARDSTICKS.get(self.name), self.seed, self.rounds)
        return self.two.mean(pairs, recipe, _REASONS[self.name])

    def difference(self, pairs: Sequence[tuple[int, int]]) -> Difference | None:
        """Judge minus people on the same items, pair by pair of people."""
        both_ways = [*pairs, *((second, first) for first, second in pairs)]
        turned = [two for two in both_ways if self.two.shared(JUDGE, *two).any()]
        if not turned:
            return None
        kept = [self.two.shared(JUDGE, *two) for two in turned]
        blocks = self.two.blocks([*((JUDGE, one) for one, _ in turned), *turned], [*kept, *kept])

        def statistic(sums: np.ndarray) -> np.ndarray:
            found, weights = blocks.read(sums)
            return weighted(found[: len(turned)] - found[len(turned) :], weights[: len(turned)])

        value = float(statistic(blocks.columns.sum(axis=0)[None])[0])
        if math.isnan(value):
            return None
        low, high = self._around(value, np.any(kept, axis=0), blocks.columns, statistic)
        by = "by:group" if self.ratings.groups is not None else ""
        recipe = (f"ci:bootstrap{self.rounds}+jackknife", by, f"seed:{self.seed}")
        signature = sign(*self.parts, "of:judge-minus-people", *recipe)
        return Difference(value, low, high, int(np.any(kept, axis=0).sum()), signature)

    def _around(
        self, value: float, kept: np.ndarray, columns: np.ndarray, statistic: Statistic
    ) -> tuple[float, float] | tuple[None, None]:
        """The interval of a difference: a resample without a value counts as lying at both ends, -2 and 2."""
        codes = cluster_codes(int(kept.sum()), groups_of(self.ratings, kept), self.name)
        sums = cluster_sums(codes, *columns[kept].T)
        low, high, _ = drawn_between(sums, statistic, 2.0, seed=self.seed, rounds=self.rounds)
        if low is None or high is None:
            return None, None
        left = statistic(sums.sum(axis=0) - sums)
        half = left_out_half(np.where(np.isnan(left), value, left), np.bincount(codes) / len(codes))
        return max(-2.0, min(low, value - half)), min(2.0, max(high, value + half))
