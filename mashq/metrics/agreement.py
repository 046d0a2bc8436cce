"""How far raters agree: Cohen's kappa, Krippendorff's alpha, Spearman's rho, the exact share, and who is severe.

Raters are people or judges; an item is what they scored (one reply under one criterion). Agreement between people is
the ceiling for any judge. A number that cannot be had is None with its reason, never 0 or 1. Every interval draws whole
groups of items, never single ratings, since the ratings of one item are not independent. Where one score is rare these
intervals are too narrow: with two scores, one of them on a tenth of 50 items, they held the true kappa in 81 % and the
true alpha in 85 % of simulated data sets (docs/benchmarks/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from mashq.metrics.resample import ROUNDS, bootstrap, cluster_codes, cluster_sums, wilson
from mashq.metrics.score import BINARY, Score, mean_score, sign
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "KRIPPENDORFF",
    "LANDIS_KOCH",
    "LEVELS",
    "WEIGHTS",
    "Agreement",
    "Ratings",
    "Yardstick",
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

Statistic = Callable[[np.ndarray], np.ndarray]  # sums (rounds, columns) -> values (rounds,), NaN where undefined


@dataclass(frozen=True)
class Yardstick:
    """Words for a coefficient. `steps` are the least values of the words, rising; below `enough` mashq warns."""

    source: str
    digits: int  # the decimals in which the source gives its bounds: values are rounded to them first
    steps: tuple[tuple[float, str], ...]
    enough: float

    def word(self, value: float) -> str:
        """The word of the highest step that the rounded value reaches."""
        rounded = round(value, self.digits)
        return [word for least, word in self.steps if rounded >= least][-1]

    def suffices(self, value: float) -> bool:
        """Whether the rounded value reaches `enough`."""
        return round(value, self.digits) >= self.enough


LANDIS_KOCH = Yardstick(
    "Landis and Koch 1977, table on page 165",
    2,
    (
        (-math.inf, "poor"),
        (0.0, "slight"),
        (0.21, "fair"),
        (0.41, "moderate"),
        (0.61, "substantial"),
        (0.81, "almost perfect"),
    ),
    enough=0.41,
)
KRIPPENDORFF = Yardstick(
    "Krippendorff 2004, Content Analysis, page 241",
    3,
    ((-math.inf, "unreliable"), (0.667, "tentative"), (0.8, "reliable")),
    enough=0.667,
)

ADVICE = {
    "low": "Make the guidelines clearer, look at where the raters differ, and do not rest a claim on these scores",
    "no interval": "Rate items of more than one group",
    "unsure": "Have more items rated",
}


@dataclass(frozen=True)
class Agreement:
    """One coefficient over items. It has the fields of a `Score`, but `value` may be None, and then `reason` says why.

    `low` and `high` are None where there is no value, or where one cluster leaves nothing to draw from.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int  # items with at least two ratings
    signature: str
    raters: int
    reason: str = ""  # why there is no value; "" where there is one
    undefined: float = 0.0  # share of the resamples that had no value; each counts as lying at both ends, -1 and 1
    left_out: int = 0  # pairs of raters without a value of their own (nothing shared, or one score only)
    yardstick: Yardstick | None = None  # None: no scale of words is in use for this coefficient

    @property
    def word(self) -> str:
        """How good the value is, in the yardstick's word; "" without a value or a yardstick."""
        return self.yardstick.word(self.value) if self.yardstick and self.value is not None else ""

    @property
    def trouble(self) -> str:
        """What is wrong, as a key for translation: "" | "undefined" | "low" | "no interval" | "unsure".

        "low": the value itself is not good enough; "unsure": the value is, but the lower end of its interval is not.
        Without a yardstick (Spearman, exact share) only "undefined" is said.
        """
        if self.value is None:
            return "undefined"
        if not self.yardstick:
            return ""
        if not self.yardstick.suffices(self.value):
            return "low"
        if self.low is None:
            return "no interval"
        return "" if self.yardstick.suffices(self.low) else "unsure"

    @property
    def advice(self) -> str:
        """What to do about `trouble`; "" where there is none, or where its reason says it."""
        return ADVICE.get(self.trouble, "")

    @property
    def warning(self) -> str:
        """`trouble` as an English sentence with the measured value, the limit and what to do; "" for none."""
        trouble = self.trouble
        if not trouble:
            return ""
        if self.value is None or self.yardstick is None:
            return f"{self.name} has no value: {self.reason}."
        least = self.yardstick.enough
        limit = f"the limit is {least:g}, '{self.yardstick.word(least)}' in {self.yardstick.source}"
        if trouble == "low":
            return f"Agreement is only {self.word}: {self._shown()}. {self.advice} ({limit})."
        if trouble == "no interval":
            return f"How sure it is cannot be said: {self._shown()}. {self.advice} ({limit})."
        assert self.low is not None
        word = self.yardstick.word(self.low)
        return f"Agreement may be only {word}: {self._shown()}. {self.advice} ({limit})."

    def _shown(self) -> str:
        interval = "no interval" if self.low is None else f"95 % interval {self.low:.2f} to {self.high:.2f}"
        return f"{self.name} {self.value:.2f}, {interval}, n = {self.n}"


@dataclass(frozen=True)
class _Recipe:
    """What a coefficient is called, what its signature begins with, and how its interval is drawn."""

    name: str
    parts: tuple[str, ...]
    yardstick: Yardstick | None
    seed: int
    rounds: int


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


def alpha(ratings: Ratings, *, level: str = "ordinal", seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """Krippendorff's alpha of all raters together; missing ratings are allowed. 1 = full agreement, 0 = by chance.

    `level`: "nominal" (any disagreement counts the same), "ordinal" (by the ratings that lie between), "interval" (by
    the squared distance). Items with fewer than two ratings tell nothing and are left out of `n`. No value where all
    ratings are the same score.

    The interval is `resample.bootstrap`'s over groups of items; its lower end is at most what Wilson's interval gives
    for so many clusters all in agreement, because a bootstrap of items that all agree has no width. A resample without
    a value counts as lying at both ends, -1 and 1. How often it holds the true value with few items, few clusters or
    one rare score is measured in docs/benchmarks/statistics.md.

    Source: Krippendorff 2004, Content Analysis, chapter 11. Raises MashqError for an unknown level.
    """
    _known(level, LEVELS, "alpha: level")
    values, counts = _counts(ratings)
    shared = counts.sum(axis=1) >= 2
    columns, statistic = _ALPHA[level](counts[shared], values)
    parts = ("alpha", f"level:{level}", _scale(ratings))
    recipe = _Recipe(f"{level} alpha", parts, KRIPPENDORFF, seed, rounds)
    reason = _one_score(values[counts[shared].any(axis=0)])
    return _measured(ratings, recipe, shared, columns, statistic, reason)


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
    recipe = _Recipe(name, parts, LANDIS_KOCH, seed, rounds)
    reason = "every pair of raters that shares items used one and the same score on them"
    return _mean_over_pairs(ratings, partial(_kappa, weights=weights), recipe, reason)


def spearman(ratings: Ratings, *, seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """Spearman's rho of two raters, equal scores sharing their mean rank; of more, the mean over pairs as in `kappa`.

    It asks whether raters put items in the same order, not whether they give the same scores. A pair in which one gave
    the same score to every shared item has no order, hence no rho, and is counted in `left_out`. Interval as for
    `alpha`. Source: Spearman 1904; the correlation of mid-ranks.
    """
    recipe = _Recipe("spearman", ("spearman", _scale(ratings), "agg:pairs"), None, seed, rounds)
    reason = "in every pair of raters that shares items one gave them all the same score"
    return _mean_over_pairs(ratings, _spearman, recipe, reason)


def exact(ratings: Ratings, *, seed: int = 0, rounds: int = ROUNDS) -> Agreement:
    """The share of pairs of ratings of one item that are equal. Not corrected for chance: give it beside kappa.

    With two raters an item is yes or no, and the interval is `mean_score`'s for such items (Wilson's); with more it is
    the bootstrap, with the lower end bounded as for `alpha`.
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
        return _measured(ratings, _Recipe("exact", parts, None, seed, rounds), shared, columns, share, "")
    score = mean_score(equal, name="exact", signature=sign(*parts, BINARY), groups=_groups(ratings, shared), seed=seed)
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
        name, groups = f"severity of {rater}", _groups(ratings, shared)
        signature = sign("severity", _scale(ratings), "from:mean-of-others")
        found[rater] = (
            mean_score(differences, name=name, signature=signature, groups=groups, seed=seed) if shared.any() else None
        )
    return found


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


def _known(name: str, names: tuple[str, ...], what: str) -> None:
    if name not in names:
        raise MashqError(expected_got(what, f"one of {', '.join(names)}", repr(name), nearest(name, names).strip()))


def _scale(ratings: Ratings) -> str:
    return f"scale:{ratings.scale[0]}..{ratings.scale[1]}"


def _groups(ratings: Ratings, kept: np.ndarray) -> list[str | None] | None:
    if ratings.groups is None:
        return None
    return [group for group, keep in zip(ratings.groups, kept, strict=True) if keep]


def _one_score(values: np.ndarray) -> str:
    if len(values) != 1:
        return ""
    return f"all ratings are {values[0]:g}, so no disagreement is to be expected by chance"


def _counts(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """The scores in use, rising, and how often each item got each: shape (items, scores)."""
    values = np.unique(ratings.scores[~np.isnan(ratings.scores)])
    return values, (ratings.scores[:, :, None] == values).sum(axis=1).astype(np.float64)


def _measured(
    ratings: Ratings,
    recipe: _Recipe,
    shared: np.ndarray,
    columns: np.ndarray,
    statistic: Statistic,
    reason: str,
    left_out: int = 0,
) -> Agreement:
    """The value and interval of a statistic of sums of `columns` (shared items, columns); `reason` if it is NaN."""
    groups, n = _groups(ratings, shared), int(shared.sum())
    by = "by:group" if groups is not None else ""
    signature = sign(*recipe.parts, f"ci:bootstrap{recipe.rounds}", by, f"seed:{recipe.seed}")
    raters, yardstick = len(ratings.raters), recipe.yardstick
    known = partial(
        Agreement, recipe.name, n=n, signature=signature, raters=raters, left_out=left_out, yardstick=yardstick
    )
    if not n:
        return known(None, None, None, reason="no item was rated by two raters")
    value = float(statistic(columns.sum(axis=0)[None])[0])
    if math.isnan(value):
        return known(None, None, None, reason=reason)
    sums = cluster_sums(cluster_codes(n, groups, recipe.name), *columns.T)
    low, high, undefined = _interval(sums, statistic, seed=recipe.seed, rounds=recipe.rounds)
    return known(value, low, high, undefined=undefined)


def _interval(
    sums: np.ndarray, statistic: Statistic, *, seed: int, rounds: int
) -> tuple[float | None, float | None, float]:
    """Low, high, and the share of resamples without a value, which count as -1 for the low end and 1 for the high."""
    lost = [0]

    def filled(totals: np.ndarray, end: float) -> np.ndarray:
        values = statistic(totals)
        undefined = np.isnan(values)
        lost[0] += int(undefined.sum())
        return np.where(undefined, end, values)

    low, high = bootstrap(sums, partial(filled, end=-1.0), seed=seed, rounds=rounds)
    if low is None:
        return None, None, 0.0
    share = lost[0] / rounds
    if lost[0]:
        _, high = bootstrap(sums, partial(filled, end=1.0), seed=seed, rounds=rounds)
    return min(low, wilson(1.0, len(sums))[0]), high, share


def _off_diagonal(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(size, k=1)


def _alpha_of(observed: np.ndarray, expected: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """1 - (N - 1) observed / expected, both summed over ordered pairs; NaN where nothing is expected."""
    return 1 - (ratings - 1) * _divided(observed, expected)


def _divided(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """NaN where `under` is 0."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)


def _nominal(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: how often each score was given (pairable ratings), then the observed disagreement."""
    totals = counts.sum(axis=1)
    observed = (totals**2 - (counts**2).sum(axis=1)) / (totals - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :-1]
        n = given.sum(axis=1)
        return _alpha_of(sums[:, -1], n**2 - (given**2).sum(axis=1), n)

    return np.column_stack([counts, observed]), statistic


def _interval_level(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """As `_nominal`, with the squared distance of the scores as the disagreement."""
    totals = counts.sum(axis=1)
    means = counts @ values / totals
    observed = 2 * totals * (counts * (values - means[:, None]) ** 2).sum(axis=1) / (totals - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :-1]
        n = given.sum(axis=1)
        mean = given @ values / n
        return _alpha_of(sums[:, -1], 2 * n * (given * (values - mean[:, None]) ** 2).sum(axis=1), n)

    return np.column_stack([counts, observed]), statistic


def _ordinal(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: how often each score was given, then the coincidences of each two different scores.

    The ordinal distance of two scores is that of their mid-ranks among all pairable ratings, squared, so it changes
    with every resample, and the coincidences have to be kept apart.
    """
    size = len(values)
    first, second = _off_diagonal(size)
    coincidences = 2 * counts[:, first] * counts[:, second] / (counts.sum(axis=1, keepdims=True) - 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        given = sums[:, :size]
        n = given.sum(axis=1)
        ranks = _centred_ranks(given)
        observed = (sums[:, size:] * (ranks[:, first] - ranks[:, second]) ** 2).sum(axis=1)
        return _alpha_of(observed, 2 * n * (given * ranks**2).sum(axis=1), n)

    return np.column_stack([counts, coincidences]), statistic


_ALPHA = {"nominal": _nominal, "ordinal": _ordinal, "interval": _interval_level}


def _centred_ranks(given: np.ndarray) -> np.ndarray:
    """How often each score was given (rounds, scores) -> the scores' mid-ranks minus their mean, which is n / 2."""
    return given.cumsum(axis=1) - given / 2 - given.sum(axis=1, keepdims=True) / 2


def _mean_over_pairs(
    ratings: Ratings,
    make: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, Statistic]],
    recipe: _Recipe,
    reason: str,
) -> Agreement:
    """The mean of a coefficient over pairs of raters, weighted by shared items; those without a value do not count.

    `make` turns two raters' score numbers (shared items,) into columns, the first all ones, and their statistic.
    """
    values, _ = _counts(ratings)
    rated = ~np.isnan(ratings.scores)
    numbers = np.searchsorted(values, np.where(rated, ratings.scores, values[:1] if len(values) else 0.0))
    shared = rated.sum(axis=1) >= 2
    blocks, statistics, lost = [], [], 0
    for first, second in combinations(range(len(ratings.raters)), 2):
        both = rated[:, first] & rated[:, second]
        if not both.any():
            lost += 1
            continue
        columns, statistic = make(numbers[both, first], numbers[both, second], values)
        lost += bool(np.isnan(statistic(columns.sum(axis=0)[None])[0]))
        block = np.zeros((len(both), columns.shape[1]))
        block[both] = columns
        blocks.append(block[shared])
        statistics.append(statistic)
    joined = np.hstack(blocks) if blocks else np.zeros((0, 0))
    ends = np.cumsum([block.shape[1] for block in blocks])

    def mean(sums: np.ndarray) -> np.ndarray:
        parts = np.split(sums, ends[:-1], axis=1)
        found = np.stack([statistic(part) for statistic, part in zip(statistics, parts, strict=True)])
        weights = np.where(np.isnan(found), 0.0, np.stack([part[:, 0] for part in parts]))  # (pairs, rounds)
        return _divided((np.nan_to_num(found) * weights).sum(axis=0), weights.sum(axis=0))

    return _measured(ratings, recipe, shared, joined, mean, reason, lost)


def _kappa(first: np.ndarray, second: np.ndarray, values: np.ndarray, weights: str) -> tuple[np.ndarray, Statistic]:
    """Columns: ones, the disagreement, then how often the first and the second rater gave each score."""
    size = len(values)
    apart = np.abs(values[:, None] - values)
    distances = {"plain": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    each = np.eye(size)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, observed, left, right = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + size], sums[:, 2 + size :]
        return 1 - _divided(n * observed, ((left @ distances) * right).sum(axis=1))

    return np.column_stack([np.ones(len(first)), distances[first, second], each[first], each[second]]), statistic


def _spearman(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, Statistic]:
    """Columns: ones, then one for each two scores that occur together."""
    size = len(values)
    cells, where = np.unique(first * size + second, return_inverse=True)
    left, right = np.divmod(cells, size)

    def statistic(sums: np.ndarray) -> np.ndarray:
        together = sums[:, 1:]
        by_left, by_right = together @ np.eye(size)[left], together @ np.eye(size)[right]
        ranks, others = _centred_ranks(by_left), _centred_ranks(by_right)
        spread = np.sqrt((by_left * ranks**2).sum(axis=1)) * np.sqrt((by_right * others**2).sum(axis=1))
        return np.clip(_divided((together * ranks[:, left] * others[:, right]).sum(axis=1), spread), -1.0, 1.0)

    return np.column_stack([np.ones(len(first)), np.eye(len(cells))[where]]), statistic
