"""Does the ranking of systems depend on how Arabic text is made comparable? The same replies under several profiles.

A number on Arabic is decided by its text profile: whether vowel marks, seats of hamza or final ya tell words apart. Two
papers with different ones do not compare; but a ranking that no profile moves may be trusted whichever was taken. Where
it moves, the question is whether the systems really change places or never differed: a pair turns for certain only
where the interval of its paired difference leaves 0 out under both profiles, on opposite sides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mashq.metrics import chrf, rouge
from mashq.metrics.profile import ARABIC, LOOSE, PROFILES, STRICT, Profile
from mashq.metrics.resample import Drawn, cluster_codes, cluster_sums, interval
from mashq.metrics.score import Metric, Score, mean_score
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["KEYS", "METRICS", "USUAL", "Agreement", "Cell", "Difference", "Sensitivity", "Turn", "sensitivity"]

METRICS: Mapping[str, Callable[[Profile], Metric]] = {
    "rougeL": lambda profile: rouge.metric("rougeL", profile),
    "rouge1": lambda profile: rouge.metric("rouge1", profile),
    "rouge2": lambda profile: rouge.metric("rouge2", profile),
    "chrF++": chrf.metric,
    "BLEU": chrf.bleu_metric,
}
USUAL = ("rougeL", "rouge1", "rouge2", "chrF++")
# Verdicts: no ranking; the same under every profile; a pair turns, but within noise; a pair turns for certain.
KEYS = ("none", "same", "noise", "moves")
_TIE = 1e-12  # means nearer than this are equal


@dataclass(frozen=True)
class Cell:
    """The mean of one system by one metric under one profile, and its place among the systems."""

    metric: str
    profile: str
    system: str
    score: Score
    rank: int  # 1 is best; equal means share a rank


@dataclass(frozen=True)
class Difference:
    """First system minus second on the same items, by one metric under one profile."""

    metric: str
    profile: str
    first: str
    second: str
    value: float
    low: float | None  # 95 % interval over clusters; None where there is one cluster
    high: float | None

    @property
    def sign(self) -> int:
        """1 where the first system is ahead, -1 where the second is, 0 for equal means."""
        return 0 if abs(self.value) <= _TIE else int(math.copysign(1, self.value))

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Turn:
    """A pair of systems whose order is not the same under two profiles."""

    metric: str
    profile: str
    other: str  # profile
    first: str  # the system that is ahead under `profile`; where the two are equal there, by name
    second: str
    difference: Difference  # first minus second under `profile`
    other_difference: Difference  # and under `other`

    @property
    def certain(self) -> bool:
        """Whether both intervals leave 0 out, on opposite sides; else the turn is within noise."""
        signs = self.difference.sign * self.other_difference.sign
        return signs < 0 and self.difference.certain and self.other_difference.certain


@dataclass(frozen=True)
class Agreement:
    """How far two profiles rank the systems alike by one metric."""

    metric: str
    profile: str
    other: str
    tau: float | None  # Kendall's tau-b of the means, -1..1; None with one system, or all equal under a profile
    turns: tuple[Turn, ...]

    @property
    def moved(self) -> bool:
        """Whether any pair of systems turns, for certain or not."""
        return bool(self.turns)


@dataclass(frozen=True)
class Sensitivity:
    """Every mean, every difference, and how the profiles agree. Nothing is corrected for the number of pairs."""

    n: int  # items
    clusters: int
    profiles: tuple[str, ...]
    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    agreements: tuple[Agreement, ...]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All pairs of systems that turn, by metric and pair of profiles."""
        return tuple(turn for one in self.agreements for turn in one.turns)

    def as_dict(self) -> dict[str, Any]:
        """As JSON reads it back: the fields, of turns whether they are certain, and `findings` as "verdicts"."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for listed, one in zip(made["agreements"], self.agreements, strict=True):
            listed["moved"] = one.moved
            for told, turn in zip(listed["turns"], one.turns, strict=True):
                told["certain"] = turn.certain
        made["verdicts"] = self.findings()
        return made

    def findings(self) -> list[dict[str, Any]]:
        """Of each metric a `key` of `KEYS`, the least of Kendall's taus (or None), the pairs that turn, and how many of
        them for certain: a pair counts once, under however many profiles it turns.
        """
        return [_finding(metric, self._of(metric)) for metric in self.metrics]

    def verdicts(self) -> list[str]:
        """One sentence a metric: whether its ranking moves with the profile, and what turns."""
        return [_verdict(metric, self._of(metric)) for metric in self.metrics]

    def _of(self, metric: str) -> list[Agreement]:
        return [one for one in self.agreements if one.metric == metric]

    def markdown(self) -> list[str]:
        """Lines of a table of means, system by profile, for every metric, with the verdict under it."""
        lines: list[str] = []
        for metric, verdict in zip(self.metrics, self.verdicts(), strict=True):
            lines += [f"| {metric} | {' | '.join(self.profiles)} |", "|---|" + "---:|" * len(self.profiles)]
            lines += [f"| {_escaped(system)} | {' | '.join(self._row(metric, system))} |" for system in self.systems]
            lines += ["", verdict, ""]
        return lines[:-1]

    def _row(self, metric: str, system: str) -> list[str]:
        found = {one.profile: one for one in self.cells if (one.metric, one.system) == (metric, system)}
        return [_shown(found[profile], len(self.systems)) for profile in self.profiles]


def sensitivity(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    groups: Sequence[str | None] | None = None,
    *,
    profiles: Sequence[str | Profile] = (STRICT, ARABIC, LOOSE),
    metrics: Sequence[str] = USUAL,
    seed: int = 0,
) -> Sensitivity:
    """Score every system's replies under every profile by every metric.

    `systems` holds one reply per item for each system, in the order of `references`; `groups` are the clusters of every
    interval, as in `mean_score`. Profiles are those of `PROFILES` by name, or one's own. The intervals of differences
    are those of whole groups, paired by item (`resample.interval`); None where all items differ by the same.

    Raises MashqError for no system, unequal numbers of items, fewer than two profiles, two of one name, an unknown
    profile or metric, and as the metrics do (an item without a reference).
    """
    chosen = _profiles(profiles)
    _check(systems, references, metrics)
    codes = cluster_codes(len(references), groups, "sensitivity")
    cells: list[Cell] = []
    differences: dict[tuple[str, str], list[Difference]] = {}
    for name in metrics:
        for profile in chosen:
            metric = METRICS[name](profile)
            items = {system: np.array(metric.per_item(replies, references)) for system, replies in systems.items()}
            scores = {
                system: mean_score(
                    values,
                    name=name,
                    signature=metric.signature,
                    groups=groups,
                    bounds=metric.bounds,
                    seed=seed,
                )
                for system, values in items.items()
            }
            cells += [Cell(name, profile.name, system, score, _rank(score, scores)) for system, score in scores.items()]
            differences[name, profile.name] = [
                _difference(name, profile.name, pair, items, codes, seed) for pair in combinations(systems, 2)
            ]
    names = [profile.name for profile in chosen]
    return Sensitivity(
        n=len(references),
        clusters=len(set(codes.tolist())),
        profiles=tuple(names),
        systems=tuple(systems),
        metrics=tuple(metrics),
        cells=tuple(cells),
        differences=tuple(one for listed in differences.values() for one in listed),
        agreements=tuple(
            _agreement(differences[name, one], differences[name, other], name, one, other)
            for name in metrics
            for one, other in combinations(names, 2)
        ),
    )


def _profiles(profiles: Sequence[str | Profile]) -> list[Profile]:
    chosen = []
    for one in profiles:
        if isinstance(one, str) and one not in PROFILES:
            do = nearest(one, PROFILES).strip()
            raise MashqError(expected_got("sensitivity: profile", " or ".join(PROFILES), f"'{one}'", do))
        chosen.append(PROFILES[one] if isinstance(one, str) else one)
    if len({one.name for one in chosen}) != len(chosen) or len(chosen) < 2:
        got = ", ".join(one.name for one in chosen) or "none"
        raise MashqError(expected_got("sensitivity: profiles", "at least two of different names", got))
    return chosen


def _check(systems: Mapping[str, Sequence[str]], references: Sequence[Sequence[str]], metrics: Sequence[str]) -> None:
    if not systems or not metrics:
        raise MashqError(expected_got(f"sensitivity: {'metrics' if systems else 'systems'}", "at least one", "none"))
    for metric in metrics:
        if metric not in METRICS:
            do = nearest(metric, METRICS).strip()
            raise MashqError(expected_got("sensitivity: metric", " or ".join(METRICS), f"'{metric}'", do))
    for system, replies in systems.items():
        if isinstance(replies, str) or len(replies) != len(references):
            got = "one text" if isinstance(replies, str) else str(len(replies))
            expected = f"{len(references)} replies, one per item"
            raise MashqError(expected_got(f"sensitivity: system '{system}'", expected, got))


def _rank(score: Score, scores: Mapping[str, Score]) -> int:
    return 1 + sum(other.value > score.value + _TIE for other in scores.values())


def _difference(
    metric: str, profile: str, pair: tuple[str, str], items: Mapping[str, np.ndarray], codes: np.ndarray, seed: int
) -> Difference:
    first, second = pair
    values = items[first] - items[second]
    sums = cluster_sums(codes, values, np.ones_like(values))  # (clusters, [sum, items])
    mean = float(values.mean())
    found = interval(Drawn.of_ratio(sums), seed=seed)
    return Difference(metric, profile, first, second, mean, found.low, found.high)


def _agreement(
    here: Sequence[Difference], there: Sequence[Difference], metric: str, profile: str, other: str
) -> Agreement:
    """The same pairs of systems, in the same order, under two profiles."""
    pairs = list(zip(here, there, strict=True))
    turns = tuple(_turn(metric, one, two) for one, two in pairs if one.sign != two.sign)
    return Agreement(metric, profile, other, _tau([one.sign for one in here], [one.sign for one in there]), turns)


def _turn(metric: str, here: Difference, there: Difference) -> Turn:
    if here.sign < 0 or (here.sign == 0 and here.first > here.second):
        here, there = _reversed(here), _reversed(there)
    return Turn(metric, here.profile, there.profile, here.first, here.second, here, there)


def _reversed(one: Difference) -> Difference:
    low, high = (None, None) if one.low is None or one.high is None else (-one.high, -one.low)
    return Difference(one.metric, one.profile, one.second, one.first, -one.value, low, high)


def _tau(here: Sequence[int], there: Sequence[int]) -> float | None:
    """Kendall's tau-b from the signs of all pairs under two profiles (Kendall 1945); None where it is not defined."""
    untied = sum(sign != 0 for sign in here) * sum(sign != 0 for sign in there)
    if not untied:
        return None
    return sum(one * two for one, two in zip(here, there, strict=True)) / math.sqrt(untied)


def _finding(metric: str, agreements: Sequence[Agreement]) -> dict[str, Any]:
    turns = [turn for one in agreements for turn in one.turns]
    taus = [one.tau for one in agreements if one.tau is not None]
    pairs = {frozenset((turn.first, turn.second)) for turn in turns}
    certain = {frozenset((turn.first, turn.second)) for turn in turns if turn.certain}
    key = "moves" if certain else "noise" if turns else "same" if taus else "none"
    return {
        "metric": metric,
        "key": key,
        "tau": min(taus, default=None),
        "turns": len(pairs),
        "certain": len(certain),
    }


# --- words -----------------------------------------------------------------------------------------------------------


def _verdict(metric: str, agreements: Sequence[Agreement]) -> str:
    finding = _finding(metric, agreements)
    if finding["key"] == "none":
        return f"{metric}: there is no ranking to move (one system, or all are equal)."
    tau = finding["tau"]
    least = "Kendall's tau not defined" if tau is None else f"Kendall's tau at least {tau:.2f}"
    if finding["key"] == "same":
        return f"{metric}: the ranking is the same under every profile ({least})."
    turns = [turn for one in agreements for turn in one.turns]
    noise = ", but within noise" if finding["key"] == "noise" else ""
    return f"{metric}: the ranking moves with the profile{noise} ({least}): {'; '.join(map(_told, turns))}."


def _told(turn: Turn) -> str:
    verb = "swaps with" if turn.difference.sign * turn.other_difference.sign < 0 else "ties with"
    sides = f"{_gap(turn.difference)} under {turn.profile}, {_gap(turn.other_difference)} under {turn.other}"
    sure = "certain" if turn.certain else "within noise"
    return f"{_escaped(turn.first)} {verb} {_escaped(turn.second)} ({sides}; {sure})"


def _gap(one: Difference) -> str:
    span = "no interval" if one.low is None or one.high is None else f"{_number(one.low)} to {_number(one.high)}"
    return f"{_number(one.value)} [{span}]"


def _number(value: float) -> str:
    return f"{value:+.4f}"


def _shown(cell: Cell, systems: int) -> str:
    score = cell.score
    digits = 1 if cell.metric in ("chrF++", "BLEU") else 3  # 0..100, the others 0..1
    span = "" if score.low is None or score.high is None else f" [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    return f"{score.value:.{digits}f}{span}" + (f" (#{cell.rank})" if systems > 1 else "")


def _escaped(name: str) -> str:
    """A name that cannot break a table's line."""
    return " ".join(name.replace("|", "\\|").split())
