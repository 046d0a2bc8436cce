"""A coefficient of two raters over chosen pairs of them: columns side by side, and the mean that shared items weigh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.metrics.agreed import Agreement, Recipe, measured
from mashq.metrics.coefficients import Statistic, divided
from mashq.metrics.ratings import Ratings

__all__ = ["Blocks", "Columns", "Pairs", "weighted"]

# Two raters' score numbers (shared items,) and the scores in use -> columns, the first all ones, and their statistic.
Columns = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, Statistic]]


@dataclass
class Blocks:
    """Columns of several pairs of raters side by side, and how to read the sums of them."""

    columns: np.ndarray  # (items, columns of all pairs)
    statistics: list[Statistic]
    ends: np.ndarray  # of each pair's columns

    def read(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums (rounds, columns) -> the pairs' coefficients, NaN where undefined, and items, both (pairs, rounds)."""
        parts = np.split(sums, self.ends[:-1], axis=1)
        found = np.stack([statistic(part) for statistic, part in zip(self.statistics, parts, strict=True)])
        return found, np.stack([part[:, 0] for part in parts])


class Pairs:
    """One coefficient on one matrix of ratings."""

    def __init__(self, ratings: Ratings, make: Columns):
        self.ratings, self.make = ratings, make
        self.rated = ~np.isnan(ratings.scores)  # (items, raters)
        self.values = np.unique(ratings.scores[self.rated])
        filled = np.where(self.rated, ratings.scores, self.values[:1] if len(self.values) else 0.0)
        self.numbers = np.searchsorted(self.values, filled)  # (items, raters)

    def shared(self, *raters: int) -> np.ndarray:
        """Which items all of these raters scored, (items,)."""
        return np.asarray(self.rated[:, list(raters)].all(axis=1))

    def blocks(self, pairs: Sequence[tuple[int, int]], kept: Sequence[np.ndarray]) -> Blocks:
        """The columns of each pair on the items kept for it; 0 on the others."""
        made, statistics = [], []
        for (first, second), rows in zip(pairs, kept, strict=True):
            columns, statistic = self.make(self.numbers[rows, first], self.numbers[rows, second], self.values)
            block = np.zeros((len(rows), columns.shape[1]))
            block[rows] = columns
            made.append(block)
            statistics.append(statistic)
        return Blocks(np.hstack(made), statistics, np.cumsum([block.shape[1] for block in made]))

    def mean(self, pairs: Sequence[tuple[int, int]], recipe: Recipe, reason: str) -> Agreement:
        """The mean over these pairs, each weighted by the items that it shares; those without a value do not count.

        `reason` is told where none has one; `left_out` counts those, and pairs that share no item.
        """
        sharing = [two for two in pairs if self.shared(*two).any()]
        if not sharing:
            nothing = np.zeros(len(self.rated), dtype=bool)
            return measured(self.ratings, recipe, nothing, np.zeros((0, 0)), _undefined, "", len(pairs))
        kept = [self.shared(*two) for two in sharing]
        blocks, any_pair = self.blocks(sharing, kept), np.any(kept, axis=0)
        found, _ = blocks.read(blocks.columns.sum(axis=0)[None])
        lost = len(pairs) - len(sharing) + int(np.isnan(found).sum())

        def statistic(sums: np.ndarray) -> np.ndarray:
            return weighted(*blocks.read(sums))

        return measured(self.ratings, recipe, any_pair, blocks.columns[any_pair], statistic, reason, lost)


def weighted(found: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean over the first axis, of what is not NaN; NaN where nothing is left."""
    weights = np.where(np.isnan(found), 0.0, weights)
    return divided((np.nan_to_num(found) * weights).sum(axis=0), weights.sum(axis=0))


def _undefined(sums: np.ndarray) -> np.ndarray:
    return np.full(len(sums), np.nan)
