"""Does a judge favour its own family? Its scores of the family's replies beside people's scores of the same replies.

A family whose replies are better earns higher scores; that is no preference. So the judge is held against people, who
are of no model's family: of replies that people score alike, by how many steps does the judge score its own family's
higher? Spiliopoulou et al. 2025 (arXiv 2508.06709, "Play Favorites") put the question so: they model the difference
between the scores that a judge gives to its own completions and to other models', "while accounting for the underlying
quality of the completions provided by an independent, third-party judge (e.g., humans)", do not take for granted that
judge and people use the scale alike, and look at other models of the judge's family too.

    judge's score = a + b x people's mean + g x (1 for the own family, 0 for others) + error           g is `adjusted`

What is equal: people stand for quality, own is set against others on the same scale, and `a` and `b` are free, so that
neither a mild judge nor one that uses less of the scale looks partial. What is not: here is one judge with its family
as one group (no term for each judge, model or prompt), scores are taken for numbers, and the model is fitted by
least squares. Two things are added, for a test set of twenty replies rated by three people is not five thousand:

* Noise in people's scores makes `b` too small, and then what the family is better by would count as preference. Where
  replies have several raters, that noise is known from how they differ after each one's own severity is taken off, and
  is taken out of the normal equations, a little less of it with few replies, which keeps the slope from running away
  (Fuller 1987, "Measurement error models", sections 2.2 and 2.5). Where replies have one rater it cannot be known, and
  the card says that it cannot tell: with the noise left in, a family that is truly better looks favoured
  (benchmarks/judge_preference.py shows by how much).
* The interval leaves out one cluster of items at a time (the jackknife, with Student's quantile), and counts a reply a
  step above and a step below the fit on either side with the real ones, as Agresti and Caffo 2000 do for two shares
  ("Simple and effective confidence intervals for proportions and differences of proportions", Am. Stat. 54:280-288):
  twenty replies without a difference do not show that there is none.

`difference` is plainer: judge minus people, own family minus others. It takes `b` for 1. `wins` are of pairs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import numpy as np

from mashq.judge.asking import Case
from mashq.judge.intervals import Noise, span_of_mean
from mashq.judge.measures import VERDICTS, Measure, Measuring, People
from mashq.metrics.resample import LEVEL, p_of_t, quantile_t
from mashq.metrics.score import sign

__all__ = ["PROBE", "Rated", "preference"]

PROBE = "preference"
LEAST_CLUSTERS = 5  # of items on each side; Student's quantile of fewer says nothing
LEAST_RELIABLE = 0.3  # share of the variance of people's means that is not noise, below which quality is not known
MOST = 4.0  # points between the ends of the scale
LEAST_FREE = 10  # ratings beyond those that replies and raters take up, from which the noise of one is known
FULLER = 4.0  # his alpha: of so many replies' worth the noise is left in
NO_PEOPLE, NO_OTHERS, FEW = "no people", "no others", "few"  # why nothing can be told; `preference_` in words.yaml
ONE_RATER, NOISY = "one rater", "noisy"


@dataclass(frozen=True)
class Rated:
    """Replies that the judge and people scored under one criterion; arrays of shape (replies,)."""

    judge: np.ndarray
    people: np.ndarray  # means of the raters
    own: np.ndarray  # 1.0 for the judge's own family, 0.0 for others
    groups: tuple[str, ...]
    noise: np.ndarray | None  # variance of each mean by its raters' differences; None where too few replies have two
    unparsed: int = 0  # replies that people scored and whose score by the judge cannot be read


def preference(measuring: Measuring, own: Sequence[bool | None], people: People | None) -> list[Measure]:
    """The measures of the probe; none where no case is of the judge's own family.

    `own` says of each case whether its writer is of the judge's family, None where that is not known: such cases are
    left out. A measure without a value says why.
    """
    if not any(own):
        return []
    if not any(one is False for one in own):
        return [_untold("", NO_OTHERS, 0)]
    if not people:
        return [_untold("", NO_PEOPLE, 0)]
    made: list[Measure] = []
    for criterion, raters in people.items():
        made += _of_scores(_rated(measuring, own, raters, criterion), criterion)
    return made + _of_pairs(measuring, own, people)


def _untold(criterion: str, reason: str, n: int) -> Measure:
    return Measure(PROBE, "adjusted", criterion, "", None, None, None, n, "", reason=reason)


# --- scores -----------------------------------------------------------------------------------------------------------


def _rated(
    measuring: Measuring, own: Sequence[bool | None], raters: Sequence[Sequence[int | None]], criterion: str
) -> Rated:
    """The cases of known families that people and the judge scored."""
    plan = measuring.plan
    scores = [measuring.said.score((plan.language, 0, case), criterion) for case in plan.cases]
    given = [[row[at] for row in raters] for at in range(len(plan.cases))]
    rated = [at for at, one in enumerate(own) if one is not None and any(score is not None for score in given[at])]
    places = [at for at in rated if scores[at] is not None]
    asked = [at for at in rated if measuring.said.asked((plan.language, 0, plan.cases[at]), criterion)]
    means, spread = _settled([given[at] for at in places])
    counts = np.array([sum(one is not None for one in given[at]) for at in places])
    return Rated(
        judge=np.array([scores[at] for at in places], dtype=np.float64),
        people=means,
        own=np.array([float(bool(own[at])) for at in places]),
        groups=tuple(plan.groups[at] for at in places),
        noise=None if spread is None else spread / counts,
        unparsed=len(asked) - len(places),
    )


def _settled(given: Sequence[Sequence[int | None]]) -> tuple[np.ndarray, float | None]:
    """People's mean of each reply, each rater's severity taken off, and the variance of one rating about them.

    `given`: for each reply one score a rater. Both are of the additive model reply + rater, by least squares; where too
    few replies have several raters to fit it, the means are plain and the variance is None.
    """
    rows = [(at, rater, score) for at, one in enumerate(given) for rater, score in enumerate(one) if score is not None]
    plain = np.array([fmean(score for score in one if score is not None) for one in given])
    raters = sorted({rater for _, rater, _ in rows})
    free = len(rows) - len(given) - len(raters) + 1
    if len(raters) < 2 or free < LEAST_FREE:
        return plain, None
    design = np.zeros((len(rows), len(given) + len(raters)))
    for line, (at, rater, _) in enumerate(rows):
        design[line, at] = design[line, len(given) + raters.index(rater)] = 1.0
    scores = np.array([score for _, _, score in rows], dtype=np.float64)
    fitted = np.linalg.lstsq(design, scores, rcond=None)[0]
    left = scores - design @ fitted
    replies, severity = fitted[: len(given)], fitted[len(given) :]
    return replies + float(severity.mean()), float(left @ left) / free


def _of_scores(rated: Rated, criterion: str) -> list[Measure]:
    sides = [{group for group, own in zip(rated.groups, rated.own, strict=True) if own == side} for side in (1, 0)]
    n = len(rated.judge)
    if min(map(len, sides)) < LEAST_CLUSTERS:
        return [_untold(criterion, FEW, n)]
    plain = _measured("difference", criterion, rated, slope=1.0)
    plain = replace(plain, p=None, noise=None)  # one question, one test: that of `adjusted`
    if rated.noise is None:
        return [_untold(criterion, ONE_RATER, n), plain]
    if not _reliable(rated):
        return [_untold(criterion, NOISY, n), plain]
    return [_measured("adjusted", criterion, rated, slope=None), plain]


def _reliable(rated: Rated) -> bool:
    """Whether people's means differ, within a family, by more than their noise."""
    within = _centred(rated.people, rated.own)
    whole = float(within @ within)
    return whole > 1e-9 and 1 - _noise_of(rated) / whole >= LEAST_RELIABLE


def _noise_of(rated: Rated) -> float:
    """What noise adds to the squares of people's means about their sides' means."""
    return 0.0 if rated.noise is None else float(rated.noise.mean()) * (len(rated.noise) - 2)


def _centred(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Values less the mean of their side."""
    return values - np.where(own == 1, values[own == 1].mean(), values[own == 0].mean())


def _measured(what: str, criterion: str, rated: Rated, slope: float | None) -> Measure:
    """The coefficient of the own family with `slope` (None: fitted), its interval, p and noise."""
    error, value, clusters = _error(rated, slope)
    half = quantile_t(1 - (1 - LEVEL) / 2, clusters - 1) * error
    about = ("ols", "noise:removed") if slope is None else ("agg:mean",)
    return Measure(
        PROBE, what, criterion, "", value, max(-MOST, value - half), min(MOST, value + half), len(rated.judge),
        sign(f"{PROBE}.{what}", *about, "ci:jackknife+4", "by:group"),
        p=p_of_t(value / error, clusters - 1) if error > 0 else float(value == 0),
        unparsed=rated.unparsed,
        noise=Noise(error, clusters),
    )  # fmt: skip


def _fit(rated: Rated, slope: float | None) -> tuple[float, float]:
    """The own family's coefficient and people's; closed form, for own is 0 or 1 and `a` is free."""
    judge, people = _centred(rated.judge, rated.own), _centred(rated.people, rated.own)
    if slope is None:
        whole = float(people @ people)
        known = whole - (1 - FULLER / (len(judge) - 1)) * _noise_of(rated)
        # Without a cluster the rest may be alike but for noise: a bound, or its slope would be endless.
        slope = float(judge @ people) / max(known, LEAST_RELIABLE / 2 * whole) if whole > 1e-9 else 0.0
    left = rated.judge - slope * rated.people
    return float(left[rated.own == 1].mean() - left[rated.own == 0].mean()), slope


def _error(rated: Rated, slope: float | None) -> tuple[float, float, int]:
    """The standard error of the coefficient with the pseudo-replies, the coefficient, and the number of clusters."""
    value, steepness = _fit(rated, slope)
    names = sorted(set(rated.groups))
    groups = np.array(rated.groups)
    found = []
    for name in names:
        stays = groups != name
        some = Rated(
            rated.judge[stays], rated.people[stays], rated.own[stays], tuple(groups[stays]),
            None if rated.noise is None else rated.noise[stays],
        )  # fmt: skip
        found.append(_fit(some, slope)[0])
    moves = np.array(found) - value
    count = len(names)
    variance = (count - 1) / count * float(moves @ moves)
    left = rated.judge - steepness * rated.people
    variance += sum(_unseen(left[rated.own == side]) for side in (1.0, 0.0))
    return math.sqrt(variance), value, count


def _unseen(values: np.ndarray) -> float:
    """What a value a step above the mean and one a step below it add to the squared error of that mean, if anything."""
    n, squares = len(values), float(((values - values.mean()) ** 2).sum())
    return max(0.0, (squares + 2) / ((n + 2) * (n + 1)) - squares / (n * (n - 1)))


# --- pairs ------------------------------------------------------------------------------------------------------------


def _of_pairs(measuring: Measuring, own: Sequence[bool | None], people: People) -> list[Measure]:
    """How often the own family's reply wins by the judge, less how often by people's means; ties are half a win."""
    means = _means(measuring.plan.cases, people)
    sides: dict[Case, set[bool | None]] = defaultdict(set)
    for case, writer in zip(measuring.plan.cases, own, strict=True):
        sides[case].add(writer)
    moves, groups, unparsed = [], [], 0
    half = len(measuring.plan.pairs)
    for at, (one, two) in enumerate(measuring.plan.pairs):
        if sides[one] | sides[two] != {True, False} or len(sides[one]) > 1 or not {one, two} <= set(means):
            continue
        straight, turned = measuring.said.verdicts[at], measuring.said.verdicts[half + at]
        if straight is None or turned is None:
            unparsed += 1
            continue
        turn = 1.0 if sides[one] == {True} else -1.0
        judge = turn * (VERDICTS[straight] - VERDICTS[turned]) / 2
        moves.append((judge - turn * _compared(means[one], means[two])) / 2)
        groups.append(measuring.plan.pair_groups[at])
    if not moves:
        return []
    named = partial(Measure, PROBE, "wins", "", "", unparsed=unparsed)
    span = span_of_mean(moves, groups, (-1.0, 1.0), (-1.0, 1.0))
    return [named(fmean(moves), span.low, span.high, len(moves), sign(f"{PROBE}.wins", "ci:plus2", "by:group"))]


def _means(cases: Sequence[Case], people: People) -> dict[Case, float]:
    """What people gave a case: the mean over criteria of the means of raters."""
    found = {}
    for at, case in enumerate(cases):
        said = [[score for row in rows if (score := row[at]) is not None] for rows in people.values()]
        if by_criterion := [fmean(one) for one in said if one]:
            found[case] = fmean(by_criterion)
    return found


def _compared(one: float, two: float) -> float:
    return float(one > two) - float(one < two)
