"""One agreement coefficient as it is told: its value, its interval, a word for it, and what to do where it is low."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from mashq.metrics.coefficients import Statistic
from mashq.metrics.ratings import Ratings
from mashq.metrics.resample import LEVEL, bootstrap, cluster_codes, cluster_sums, freedom, quantile_t, wilson
from mashq.metrics.score import sign

__all__ = [
    "KRIPPENDORFF",
    "LANDIS_KOCH",
    "Agreement",
    "Recipe",
    "Yardstick",
    "drawn_between",
    "groups_of",
    "left_out_half",
    "measured",
]

_END = 1 - 1e-9  # of a coefficient on Fisher's scale, where 1 is infinite


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

    `low` and `high` are None where there is no value, where one cluster leaves nothing to draw from, and where the
    value would be the same whatever the items were, as kappa is 0 beside a rater who always gives one score.
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
class Recipe:
    """What a coefficient is called, what its signature begins with, and how its interval is drawn."""

    name: str
    parts: tuple[str, ...]
    yardstick: Yardstick | None
    seed: int
    rounds: int
    least: float = -1.0  # that the coefficient can be


def measured(
    ratings: Ratings,
    recipe: Recipe,
    shared: np.ndarray,
    columns: np.ndarray,
    statistic: Statistic,
    reason: str,
    left_out: int = 0,
) -> Agreement:
    """The value and interval of a statistic of sums of `columns` (shared items, columns); `reason` if it is NaN."""
    groups, n = groups_of(ratings, shared), int(shared.sum())
    by = "by:group" if groups is not None else ""
    signature = sign(*recipe.parts, f"ci:bootstrap{recipe.rounds}+jackknife-z", by, f"seed:{recipe.seed}")
    raters, yardstick = len(ratings.raters), recipe.yardstick
    known = partial(
        Agreement, recipe.name, n=n, signature=signature, raters=raters, left_out=left_out, yardstick=yardstick
    )
    if not n:
        return known(None, None, None, reason="no item was rated by two raters")
    value = float(statistic(columns.sum(axis=0)[None])[0])
    if math.isnan(value):
        return known(None, None, None, reason=reason)
    codes = cluster_codes(n, groups, recipe.name)
    sums = cluster_sums(codes, *columns.T)
    low, high, undefined = drawn_between(sums, statistic, 1.0, seed=recipe.seed, rounds=recipe.rounds)
    if low is None or high is None:
        return known(value, None, None)
    low = min(low, wilson(1.0, len(sums))[0])
    around = _left_out_interval(value, sums, statistic, np.bincount(codes) / n)
    if value < 1 and max(high, around[1]) - around[0] <= 1e-12:  # no choice of items would have made another value
        return known(value, None, None)
    return known(value, max(recipe.least, min(low, around[0])), max(high, around[1]), undefined=undefined)


def drawn_between(
    sums: np.ndarray, statistic: Statistic, most: float, *, seed: int, rounds: int
) -> tuple[float | None, float | None, float]:
    """The bootstrap's low and high, and the share of resamples without a value.

    These count as lying at both ends, -`most` and `most`.
    """
    lost = [0]

    def filled(totals: np.ndarray, end: float) -> np.ndarray:
        values = statistic(totals)
        undefined = np.isnan(values)
        lost[0] += int(undefined.sum())
        return np.where(undefined, end, values)

    low, high = bootstrap(sums, partial(filled, end=-most), seed=seed, rounds=rounds)
    if low is None:
        return None, None, 0.0
    share = lost[0] / rounds
    if lost[0]:
        _, high = bootstrap(sums, partial(filled, end=most), seed=seed, rounds=rounds)
    return low, high, share


def left_out_half(left: np.ndarray, weights: np.ndarray) -> float:
    """Half of the jackknife's interval, from the values without each cluster (clusters,) and its share of items."""
    clusters = len(left)
    error = math.sqrt((clusters - 1) / clusters * float(((left - left.mean()) ** 2).sum()))
    return quantile_t(1 - (1 - LEVEL) / 2, freedom(weights)) * error


def _left_out_interval(
    value: float, sums: np.ndarray, statistic: Statistic, weights: np.ndarray
) -> tuple[float, float]:
    """The jackknife's interval of a coefficient on Fisher's z scale, on which its error hardly depends on its value.

    Each cluster of `sums` (clusters, columns) is left out once; `weights` (clusters,) are their shares of the items.
    Where the rest has no value without a cluster, that cluster is taken to have changed nothing.
    """

    def z(values: np.ndarray) -> np.ndarray:
        return np.arctanh(np.clip(values, -_END, _END))

    left = statistic(sums.sum(axis=0) - sums)
    half = left_out_half(z(np.where(np.isnan(left), value, left)), weights)
    centre = float(z(np.array(value)))
    return min(value, math.tanh(centre - half)), max(value, math.tanh(centre + half))


def groups_of(ratings: Ratings, kept: np.ndarray) -> list[str | None] | None:
    """The groups of the items kept (items,); None where no groups were named."""
    if ratings.groups is None:
        return None
    return [group for group, keep in zip(ratings.groups, kept, strict=True) if keep]
