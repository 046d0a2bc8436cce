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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from mashq.metrics.agreed import KRIPPENDORFF, LANDIS_KOCH, Agreement, Recipe, measured
from mashq.metrics.coefficients import ALPHA, Statistic, divided, kappa_columns, spearman_columns
from mashq.metrics.ratings import Ratings
from mashq.metrics.resample import LEVEL, ROUNDS, bootstrap, cluster_codes, cluster_sums, freedom, quantile_t
from mashq.metrics.score import sign
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["COEFFICIENTS", "Beside", "Difference", "beside"]

JUDGE = 0  # the judge's place among the raters; people follow
Columns = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, Statistic]]


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
    pairs = [two for two in combinations(persons, 2) if coefficient.shared(*two).any()]
    return Beside(
        judge=coefficient.mean([(JUDGE, person) for person in persons]),
        people=coefficient.mean(pairs) if pairs else None,
        difference=coefficient.difference(pairs),
    )


@dataclass
class _Blocks:
    """Columns of several pairs of raters side by side, and how to read the sums of them."""

    columns: np.ndarray  # (items, columns of all pairs)
    statistics: list[Statistic]
    ends: np.ndarray  # of each pair's columns

    def read(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums (rounds, columns) -> the pairs' coefficients, NaN where undefined, and items, both (pairs, rounds)."""
        parts = np.split(sums, self.ends[:-1], axis=1)
        found = np.stack([statistic(part) for statistic, part in zip(self.statistics, parts, strict=True)])
        return found, np.stack([part[:, 0] for part in parts])

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs' coefficients and items over all items, both (pairs,)."""
        found, weights = self.read(self.columns.sum(axis=0)[None])
        return found[:, 0], weights[:, 0]


class _Coefficient:
    """One coefficient on one matrix of ratings, over chosen pairs of raters and chosen items."""

    def __init__(self, ratings: Ratings, name: str, seed: int, rounds: int):
        self.ratings, self.name, self.seed, self.rounds = ratings, name, seed, rounds
        self.rated = ~np.isnan(ratings.scores)  # (items, raters)
        self.values = np.unique(ratings.scores[self.rated])
        filled = np.where(self.rated, ratings.scores, self.values[:1] if len(self.values) else 0.0)
        self.numbers = np.searchsorted(self.values, filled)  # (items, raters)
        low, high = ratings.scale
        self.parts = (*_PARTS[name], f"scale:{low}..{high}", "agg:pairs")

    def shared(self, *raters: int) -> np.ndarray:
        """Which items all of these raters scored, (items,)."""
        return np.asarray(self.rated[:, list(raters)].all(axis=1))

    def blocks(self, pairs: Sequence[tuple[int, int]], kept: Sequence[np.ndarray]) -> _Blocks:
        """The columns of each pair on the items kept for it; 0 on the others."""
        made, statistics = [], []
        for (first, second), rows in zip(pairs, kept, strict=True):
            columns, statistic = COEFFICIENTS[self.name](
                self.numbers[rows, first], self.numbers[rows, second], self.values
            )
            block = np.zeros((len(rows), columns.shape[1]))
            block[rows] = columns
            made.append(block)
            statistics.append(statistic)
        return _Blocks(np.hstack(made), statistics, np.cumsum([block.shape[1] for block in made]))

    def mean(self, pairs: Sequence[tuple[int, int]]) -> Agreement:
        """The mean over these pairs, each weighted by the items that it shares; undefined ones do not count."""
        sharing = [two for two in pairs if self.shared(*two).any()]
        recipe = Recipe(self.name, self.parts, _YARDSTICKS.get(self.name), self.seed, self.rounds)
        if not sharing:
            nothing = np.zeros(len(self.rated), dtype=bool)
            return measured(self.ratings, recipe, nothing, np.zeros((0, 0)), _mean_of_none, "", len(pairs))
        kept = [self.shared(*two) for two in sharing]
        blocks, any_pair = self.blocks(sharing, kept), np.any(kept, axis=0)
        lost = len(pairs) - len(sharing) + int(np.isnan(blocks.whole()[0]).sum())

        def statistic(sums: np.ndarray) -> np.ndarray:
            return _weighted(*blocks.read(sums))

        return measured(self.ratings, recipe, any_pair, blocks.columns[any_pair], statistic, _REASONS[self.name], lost)

    def difference(self, pairs: Sequence[tuple[int, int]]) -> Difference | None:
        """Judge minus people on the same items, pair by pair of people."""
        both_ways = [*pairs, *((second, first) for first, second in pairs)]
        turned = [two for two in both_ways if self.shared(JUDGE, *two).any()]
        if not turned:
            return None
        kept = [self.shared(JUDGE, *two) for two in turned]
        blocks = self.blocks([*((JUDGE, one) for one, _ in turned), *turned], [*kept, *kept])

        def statistic(sums: np.ndarray) -> np.ndarray:
            found, weights = blocks.read(sums)
            return _weighted(found[: len(turned)] - found[len(turned) :], weights[: len(turned)])

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
        given = self.ratings.groups
        groups = None if given is None else [group for group, keep in zip(given, kept, strict=True) if keep]
        codes = cluster_codes(int(kept.sum()), groups, self.name)
        sums = cluster_sums(codes, *columns[kept].T)
        clusters = len(sums)
        if clusters < 2:
            return None, None
        undefined = [False]

        def filled(totals: np.ndarray, end: float) -> np.ndarray:
            values = statistic(totals)
            undefined[0] |= bool(np.isnan(values).any())
            return np.where(np.isnan(values), end, values)

        low, high = bootstrap(sums, partial(filled, end=-2.0), seed=self.seed, rounds=self.rounds)
        if undefined[0]:
            _, high = bootstrap(sums, partial(filled, end=2.0), seed=self.seed, rounds=self.rounds)
        assert low is not None and high is not None  # there are two clusters or more
        left = statistic(sums.sum(axis=0) - sums)
        left = np.where(np.isnan(left), value, left)
        error = math.sqrt((clusters - 1) / clusters * float(((left - left.mean()) ** 2).sum()))
        half = quantile_t(1 - (1 - LEVEL) / 2, freedom(np.bincount(codes) / len(codes))) * error
        return max(-2.0, min(low, value - half)), min(2.0, max(high, value + half))


def _weighted(found: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean over the first axis, of what is not NaN; NaN where nothing is left."""
    weights = np.where(np.isnan(found), 0.0, weights)
    return divided((np.nan_to_num(found) * weights).sum(axis=0), weights.sum(axis=0))


def _mean_of_none(sums: np.ndarray) -> np.ndarray:
    return np.full(len(sums), np.nan)
