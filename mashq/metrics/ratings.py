"""What raters gave to items: one scale, any number of raters, any rating missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.metrics.resample import cluster_codes
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["Ratings"]


@dataclass(frozen=True, eq=False)
class Ratings:
    """The scores that raters gave to items on one scale; any may be missing. Made by `of` or `of_matrix`."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    scores: np.ndarray  # (items, raters) float64; NaN = not rated
    scale: tuple[int, int]  # lowest and highest score, both included
    groups: tuple[str | None, ...] | None = None  # one per item; None = every item is a cluster of its own

    @classmethod
    def of(
        cls,
        triples: Iterable[tuple[str, str, int | None]],
        *,
        scale: tuple[int, int] = (1, 5),
        groups: Mapping[str, str | None] | None = None,
    ) -> Ratings:
        """(item, rater, score) triples in any order: what a rating study exports. A score of None is not a rating.

        `groups` names the cluster of an item (the prompt that several systems answered); items it does not name are
        clusters of their own. Items and raters are sorted by name, so the order of the triples changes nothing.

        Raises MashqError for no triples, fewer than two raters, a second score of one rater for one item, and a score
        that is not an integer of the scale.
        """
        given: dict[tuple[str, str], int | None] = {}
        for item, rater, score in triples:
            if not (isinstance(item, str) and isinstance(rater, str)):
                raise MashqError(expected_got("ratings", "names of item and rater as text", f"{item!r}, {rater!r}"))
            if (item, rater) in given:
                do = "Keep the rater's last answer only."
                raise MashqError(expected_got(f"ratings: item {item!r}, rater {rater!r}", "one score", "two", do))
            given[item, rater] = score
        items = tuple(sorted({item for item, _ in given}))
        raters = tuple(sorted({rater for _, rater in given}))
        row, column = _numbers(items), _numbers(raters)
        scores = np.full((len(items), len(raters)), np.nan)
        for (item, rater), score in given.items():
            where = f"ratings: item {item!r}, rater {rater!r}"
            scores[row[item], column[rater]] = np.nan if score is None else _on_scale(score, scale, where)
        clusters = None if groups is None else tuple(groups.get(item) for item in items)
        return cls(items, raters, scores, scale, clusters)._checked()

    @classmethod
    def of_matrix(
        cls,
        matrix: Sequence[Sequence[float | None]] | np.ndarray,
        *,
        scale: tuple[int, int] = (1, 5),
        raters: Sequence[str] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> Ratings:
        """A matrix of shape (raters, items), NaN or None for what is missing: the shape that `krippendorff` takes.

        Raters are named "1", "2", ... unless `raters` names them, items by their position. Raises MashqError as `of`
        does, and for a matrix that is not rectangular or names and groups of another length.
        """
        scores = _rectangle(matrix).T
        names = tuple(raters) if raters is not None else tuple(str(number + 1) for number in range(scores.shape[1]))
        if len(names) != scores.shape[1] or len(set(names)) != len(names):
            expected = f"{scores.shape[1]} different names, one per row"
            raise MashqError(expected_got("ratings: raters", expected, f"{len(names)}: {', '.join(names)}"))
        rated = ~np.isnan(scores)
        wrong = rated & ~((scores >= scale[0]) & (scores <= scale[1]) & (scores == np.floor(scores)))
        for item, rater in np.argwhere(wrong)[:1]:
            _on_scale(scores[item, rater], scale, f"ratings: item {item}, rater {names[rater]!r}")
        items = tuple(str(item) for item in range(len(scores)))
        return cls(items, names, scores, scale, None if groups is None else tuple(groups))._checked()

    def pair(self, first: str, second: str) -> Ratings:
        """The same items with two raters only. Raises MashqError for a rater who is not there, or is there twice."""
        for name in (first, second):
            if name not in self.raters:
                did = nearest(name, self.raters).strip()
                raise MashqError(expected_got("ratings: rater", f"one of {', '.join(self.raters)}", repr(name), did))
        if first == second:
            raise MashqError(expected_got("ratings: a pair", "two different raters", f"{first!r} twice"))
        columns = [self.raters.index(first), self.raters.index(second)]
        return Ratings(self.items, (first, second), self.scores[:, columns], self.scale, self.groups)

    def _checked(self) -> Ratings:
        low, high = self.scale
        if low >= high:
            raise MashqError(expected_got("ratings: scale", "a lowest below a highest score", f"{low} to {high}"))
        if not self.items:
            raise MashqError(expected_got("ratings", "at least one item", "none", "An empty set has no agreement."))
        if len(self.raters) < 2:
            do = "Agreement is between raters: have a second one rate the same items."
            raise MashqError(expected_got("ratings", "at least two raters", f"{len(self.raters)}", do))
        cluster_codes(len(self.items), self.groups, "ratings")  # for its errors
        return self


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _on_scale(score: float, scale: tuple[int, int], where: str) -> float:
    low, high = scale
    if isinstance(score, (int, float, np.number)) and low <= score <= high and float(score).is_integer():
        return float(score)
    do = "Take what was not rated as None, or name the scale with scale=(lowest, highest)."
    shown = f"{score:g}" if isinstance(score, (float, np.number)) else repr(score)
    raise MashqError(expected_got(where, f"an integer from {low} to {high}", shown, do))


def _rectangle(matrix: Sequence[Sequence[float | None]] | np.ndarray) -> np.ndarray:
    try:
        array = np.array(matrix, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise MashqError(expected_got("ratings", "numbers, as many for every rater", str(error))) from error
    if array.ndim != 2:
        raise MashqError(expected_got("ratings", "a matrix (raters, items)", f"an array of shape {array.shape}"))
    return array
