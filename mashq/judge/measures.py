"""The numbers of a judge card, from what a judge said: one method for each probe.

What is asked stands in a `Plan`, what was said in `Said`; `mashq.judge.card` makes both. A trial of which one side
cannot be read is left out of the means and counted in `Measure.unparsed`; one that was not asked is left out alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from mashq.arabic import words
from mashq.judge.asking import Case
from mashq.judge.intervals import MOVES, TURNS, Noise, Span, span_of_mean, span_of_slope
from mashq.judge.probes import DEFECTS, Trial, Trials, target, untouched
from mashq.metrics.agreed import Agreement
from mashq.metrics.agreement import spearman
from mashq.metrics.beside import beside
from mashq.metrics.paired import FLIPS, Comparison, compare, compare_ratio
from mashq.metrics.ratings import Ratings
from mashq.metrics.score import BINARY, mean_score, sign

__all__ = ["CHANGES", "HIGHEST", "LOWEST", "VERDICTS", "JudgeCard", "Key", "Measure", "Measuring"]
__all__ += ["People", "Plan", "Said", "aimed"]

CHANGES = ("length", "dialect", "spelling", "defects")  # probes that are made of trials
LOWEST, HIGHEST, STEP = 1.0, 5.0, 1.0  # of the scale; a defect is detected where the score falls by a step
NEED_VARIETY = ("variety",)  # criteria that are not asked of a case without a variety
VERDICTS = {"first": 1.0, "tie": 0.0, "second": -1.0}
IN_POINTS = (("position", "advantage"), ("position", "longer"), ("defects", "lift"))  # of shares, not of scores

People = Mapping[str, Sequence[Sequence[int | None]]]  # criterion -> one row a rater, of one score a case
Key = tuple[str, int, Case]  # language, repeat, case: one request


@dataclass(frozen=True)
class Measure:
    """One number of the card. `value` is None where nothing could be measured, and then `reason` says why."""

    probe: str
    what: str  # which number of the probe: a key of `measures` in `data/judge/words.yaml`, which says what it means
    criterion: str  # "" where it is of verdicts or of the judge as a whole
    about: str  # the variety, spelling, defect, or other criterion; "" where there is none
    value: float | None
    low: float | None  # 95 % interval; None where one cluster leaves nothing to draw from
    high: float | None
    n: int  # items
    signature: str
    p: float | None = None  # Holm's, over the measures of this probe and kind; None where nothing is tested
    detectable: float | None = None  # the smallest true difference found with 80 % power by that test; None: none
    unparsed: int = 0  # items left out because a score could not be read
    reason: str = ""
    noise: Noise | None = None  # of what is tested
    family: int = 0  # how many tests p is corrected for


@dataclass(frozen=True)
class JudgeCard:
    """What was measured of one judge, ready for JSON."""

    judge: str
    language: str  # of the rubric it was measured with
    criteria: tuple[str, ...]
    cases: int
    groups: int
    seed: int
    requests: int  # asked once each; probes share them
    pairs: str  # where the pairs of the position probe are from: "given", "filler" or ""
    distribution: Mapping[str, Mapping[str, int]]  # criterion -> score of a given case -> how often
    measures: tuple[Measure, ...]
    left_out: Mapping[str, Mapping[str, int]]  # probe/kind -> why cases were not changed -> how many

    def of(self, probe: str, what: str = "") -> list[Measure]:
        """The measures of a probe, or one kind of them."""
        return [one for one in self.measures if one.probe == probe and what in ("", one.what)]


# --- what is asked, and what was said ---------------------------------------------------------------------------------


@dataclass
class Plan:
    """Everything that is asked, before anything is."""

    cases: list[Case]
    groups: list[str]
    language: str
    probes: tuple[str, ...]
    trials: Trials
    pairs: list[tuple[Case, Case]]
    pair_groups: list[str]
    basis: str

    def keys(self, probe: str) -> dict[Key, str]:
        """The requests for scores that a probe needs -> their clusters; equal ones once."""
        own = {(self.language, 0, case): group for case, group in zip(self.cases, self.groups, strict=True)}
        other = "en" if self.language == "ar" else "ar"
        if probe == "retest":
            return own | {(self.language, 1, case): group for (_, _, case), group in own.items()}
        if probe == "rubric":
            return own | {(other, 0, case): group for (_, _, case), group in own.items()}
        if probe in CHANGES:
            trials = self.trials.of(probe) + (self.trials.of("harmless") if probe == "defects" else [])
            return {key: trial.group for trial in trials for key in self.sides(trial)}
        return own if probe == "halo" else {}

    def sides(self, trial: Trial) -> tuple[Key, Key]:
        """The requests for a trial's case before and after its change."""
        again = trial.probe == "harmless" and trial.kind == "again"
        return (self.language, 0, trial.before), (self.language, int(again), trial.after)

    def all_keys(self) -> list[Key]:
        """Every request for scores, each once."""
        own = [(self.language, 0, case) for case in self.cases]  # the distribution needs them, whatever is probed
        return list(dict.fromkeys([*own, *(key for probe in self.probes for key in self.keys(probe))]))

    def shown(self) -> list[tuple[Case, Case]]:
        """The pairs in both orders: all as they are, then all turned round."""
        return [*self.pairs, *((two, one) for one, two in self.pairs)]


@dataclass
class Said:
    """What the judge said: scores by request, verdicts in the order shown."""

    scores: dict[Key, dict[str, float | None]]
    verdicts: list[str | None]

    def score(self, key: Key, criterion: str) -> float | None:
        """A score; None where it is unreadable or was not asked."""
        return self.scores[key].get(criterion)

    def asked(self, key: Key, criterion: str) -> bool:
        """Whether the judge was asked about this criterion of this case."""
        return criterion in self.scores[key]


# --- measures ---------------------------------------------------------------------------------------------------------


@dataclass
class _Column:
    """The items of one measure that could be read: numbers, clusters, and how many could not."""

    before: list[float]
    after: list[float]
    groups: list[str]
    amounts: list[float]
    unparsed: int = 0

    @classmethod
    def empty(cls) -> _Column:
        return cls([], [], [], [])

    def moves(self) -> list[float]:
        """After minus before, of each item."""
        return [after - before for before, after in zip(self.before, self.after, strict=True)]

    def add(self, before: float, after: float, group: str, amount: float = 1.0) -> None:
        """One item more."""
        self.before.append(before)
        self.after.append(after)
        self.groups.append(group)
        self.amounts.append(amount)


def aimed(criteria: Sequence[str], cases: Sequence[Case]) -> tuple[str, ...]:
    """The criteria that defects can be aimed at: those that some given case is asked about."""
    has_variety = any(case.variety for case in cases)
    return tuple(name for name in criteria if has_variety or name not in NEED_VARIETY)


class Measuring:
    """The measures of each probe: one method for each name in `PROBES`, and one for people."""

    def __init__(self, plan: Plan, said: Said, criteria: tuple[str, ...], seed: int):
        self.plan, self.said, self.criteria, self.seed = plan, said, criteria, seed
        self.aimed = aimed(criteria, plan.cases)

    # what they share

    def changed(self, trials: Sequence[Trial], criterion: str) -> _Column:
        """The scores before and after a change, where both can be read and both were asked."""
        found = _Column.empty()
        for trial in trials:
            self._take(found, self.plan.sides(trial), criterion, trial.group, trial.amount)
        return found

    def _take(self, found: _Column, keys: tuple[Key, Key], criterion: str, group: str, amount: float = 1.0) -> None:
        if not all(self.said.asked(key, criterion) for key in keys):
            return
        before, after = (self.said.score(key, criterion) for key in keys)
        if before is None or after is None:
            found.unparsed += 1
        else:
            found.add(before, after, group, amount)

    def against(self, other: tuple[str, int], criterion: str) -> _Column:
        """The given cases' scores, and those of another language of the rubric or another repeat."""
        found = _Column.empty()
        for case, group in zip(self.plan.cases, self.plan.groups, strict=True):
            self._take(found, ((self.plan.language, 0, case), (*other, case)), criterion, group)
        return found

    def difference(self, probe: str, what: str, column: _Column, criterion: str = "", about: str = "") -> Measure:
        """Mean of after minus before, with its test."""
        named = partial(Measure, probe, what, criterion, about, unparsed=column.unparsed)
        if not column.before:
            return named(None, None, None, 0, "", reason="no item could be measured")
        found = compare(column.after, column.before, metric=f"{probe}.{what}", groups=column.groups, seed=self.seed)
        most = 1.0 if (probe, what) in IN_POINTS else HIGHEST - LOWEST
        span = span_of_mean(column.moves(), column.groups, TURNS, (-most, most))
        return _of_comparison(named, found, span, self.seed)

    def share(self, probe: str, what: str, column: _Column, criterion: str = "", about: str = "") -> Measure:
        """The share of items whose `after` is 1; the others' is 0."""
        named = partial(Measure, probe, what, criterion, about, unparsed=column.unparsed)
        if not column.after:
            return named(None, None, None, 0, "", reason="no item could be measured")
        label = f"{probe}.{what}"
        score = mean_score(
            column.after, name=label, signature=sign(label, BINARY), groups=column.groups, seed=self.seed
        )
        return named(score.value, score.low, score.high, score.n, score.signature)

    def moved(self, probe: str, column: _Column, criterion: str, about: str = "", *, amount: bool) -> Measure:
        """Mean of after minus before without a test; `amount`: of its size, whatever its sign."""
        named = partial(Measure, probe, "moved", criterion, about, unparsed=column.unparsed)
        if not column.after:
            return named(None, None, None, 0, "", reason="no item could be measured")
        moves = [abs(move) for move in column.moves()] if amount else column.moves()
        most = HIGHEST - LOWEST
        unseen, least = (MOVES, 0.0) if amount else (TURNS, -most)
        span = span_of_mean(moves, column.groups, unseen, (least, most))
        recipe = sign(f"{probe}.moved", "agg:mean", f"ci:plus{len(unseen)}", "by:group")
        return named(float(np.mean(moves)), span.low, span.high, len(moves), recipe)

    # one method for each probe

    def retest(self) -> list[Measure]:
        """Equal scores and mean absolute change when the given cases are asked again."""
        return self._sameness("retest", (self.plan.language, 1))

    def _sameness(self, probe: str, other: tuple[str, int]) -> list[Measure]:
        made = []
        for criterion in self.criteria:
            column = self.against(other, criterion)
            equal = replace(column, after=[float(move == 0) for move in column.moves()])
            made.append(self.share(probe, "equal", equal, criterion))
            made.append(self.moved(probe, column, criterion, amount=True))
        return made

    def rubric(self) -> list[Measure]:
        """The same cases with the rubric in Arabic and in English."""
        other = "en" if self.plan.language == "ar" else "ar"
        made = []
        for criterion in self.criteria:
            column = self.against((other, 0), criterion)
            if self.plan.language == "ar":  # always Arabic minus English
                column = replace(column, before=column.after, after=column.before)
            made.append(self.difference("rubric", "gap", column, criterion))
        return made + self._sameness("rubric", (other, 0))

    def position(self) -> list[Measure]:
        """Flips between the two orders of a pair, ties in both, and the first place's wins minus the second's."""
        flips, ties, places, longer = (_Column.empty() for _ in range(4))
        half = len(self.plan.pairs)
        for item, group in enumerate(self.plan.pair_groups):
            one, two = self.said.verdicts[item], self.said.verdicts[half + item]
            if one is None or two is None:
                for column in (flips, ties, places, longer):
                    column.unparsed += 1
                continue
            straight, turned = VERDICTS[one], VERDICTS[two]
            flips.add(0.0, float(straight != -turned), group)
            ties.add(0.0, float(straight == turned == 0), group)
            wins = [(straight > 0) + (turned > 0), (straight < 0) + (turned < 0)]  # of the first place, of the second
            places.add(wins[1] / 2, wins[0] / 2, group)
            of_second = [(straight < 0) + (turned > 0), (straight > 0) + (turned < 0)]
            longer.add(of_second[1] / 2, of_second[0] / 2, group)
        made = [self.share("position", "flip", flips), self.share("position", "tie", ties)]
        made.append(self.difference("position", "advantage", places))
        return made + ([self.difference("position", "longer", longer)] if self.plan.basis == "filler" else [])

    def length(self) -> list[Measure]:
        """Change of score per doubling of the length: by filler, and as an association in the given cases."""
        made = []
        for criterion in self.criteria:
            made.append(self._slope(self.changed(self.plan.trials.of("length"), criterion), criterion))
            made.append(self._association(criterion))
        return made

    def _slope(self, column: _Column, criterion: str) -> Measure:
        """Least squares through the origin: sum of change times doublings over sum of doublings squared."""
        named = partial(Measure, "length", "slope", criterion, "padded", unparsed=column.unparsed)
        if not column.before:
            return named(None, None, None, 0, "", reason="no item could be measured")
        amounts = np.asarray(column.amounts)
        after, before = np.asarray(column.after) * amounts, np.asarray(column.before) * amounts
        found = compare_ratio(after, before, amounts**2, metric="length.slope", groups=column.groups, seed=self.seed)
        return _of_comparison(named, found, span_of_slope(column.moves(), column.amounts, column.groups), self.seed)

    def _association(self, criterion: str) -> Measure:
        xs, ys, groups, unparsed = [], [], [], 0
        for case, group in zip(self.plan.cases, self.plan.groups, strict=True):
            key = (self.plan.language, 0, case)
            score, count = self.said.score(key, criterion), len(words(case.reply))
            if score is not None and count:
                xs.append(math.log2(count))
                ys.append(score)
                groups.append(group)
            elif score is None:
                unparsed += self.said.asked(key, criterion)
        named = partial(Measure, "length", "association", criterion, "", unparsed=unparsed)
        if len(set(xs)) < 2:
            return named(None, None, None, len(xs), "", reason="all replies have the same length")
        x, y = np.asarray(xs) - np.mean(xs), np.asarray(ys) - np.mean(ys)
        span = span_of_slope(y.tolist(), x.tolist(), groups)
        recipe = sign("length.association", "ci:plus2", "by:group")
        return named(float(x @ y / (x @ x)), span.low, span.high, len(x), recipe)

    def dialect(self) -> list[Measure]:
        """A dialect's score minus that of the same content in Standard Arabic."""
        return self._by_kind("dialect", "gap")

    def spelling(self) -> list[Measure]:
        """The score of a reply in another spelling minus that of the reply as it is."""
        return self._by_kind("spelling", "change")

    def _by_kind(self, probe: str, what: str) -> list[Measure]:
        return [
            self.difference(probe, what, self.changed(self.plan.trials.of(probe, kind), criterion), criterion, kind)
            for kind in dict.fromkeys(trial.kind for trial in self.plan.trials.of(probe))
            for criterion in self.criteria
        ]

    def defects(self) -> list[Measure]:
        """Detection of each defect, false alarms of each criterion, what a defect moves, and where it should not."""
        made = [
            self.share("defects", "false_alarm", self._falls(self.plan.trials.of("harmless"), criterion), criterion)
            for criterion in self.criteria
        ]
        for defect in DEFECTS:
            trials, criterion = self.plan.trials.of("defects", defect), target(defect, self.aimed)
            if not trials or criterion is None:
                continue
            made.append(self.share("defects", "detection", self._falls(trials, criterion), criterion, defect))
            made.append(self.difference("defects", "lift", self._beside_alarms(trials, criterion), criterion, defect))
            made += [self._moved(trials, one, defect) for one in self.criteria]
            if others := untouched(defect, self.aimed):
                made.append(self.difference("defects", "spill", self._spilt(trials, others), "", defect))
        return made

    def _moved(self, trials: Sequence[Trial], criterion: str, defect: str) -> Measure:
        """Mean change, with its interval; nothing is tested here."""
        return self.moved("defects", self.changed(trials, criterion), criterion, defect, amount=False)

    def _falls(self, trials: Sequence[Trial], criterion: str) -> _Column:
        """1 where the score falls by a step, else 0; a score that is the lowest cannot fall, and is left out."""
        column, found = self.changed(trials, criterion), _Column.empty()
        for before, after, group in zip(column.before, column.after, column.groups, strict=True):
            if before >= LOWEST + STEP:
                found.add(0.0, float(after <= before - STEP), group)
        found.unparsed = column.unparsed
        return found

    def _beside_alarms(self, trials: Sequence[Trial], criterion: str) -> _Column:
        """Whether a defect was seen, beside the share of the same case's harmless changes that raised an alarm."""
        harmless: dict[Case, list[Trial]] = {}
        for trial in self.plan.trials.of("harmless"):
            harmless.setdefault(trial.before, []).append(trial)
        found = _Column.empty()
        for trial in trials:
            seen = self._falls([trial], criterion)
            alarms = self._falls(harmless.get(trial.before, []), criterion)
            found.unparsed += seen.unparsed
            if seen.after and alarms.after:
                found.add(float(np.mean(alarms.after)), seen.after[0], trial.group)
        return found

    def _spilt(self, trials: Sequence[Trial], criteria: Sequence[str]) -> _Column:
        """The mean over criteria that a defect has nothing to do with."""
        found = _Column.empty()
        for trial in trials:
            columns = [self.changed([trial], criterion) for criterion in criteria]
            before = [column.before[0] for column in columns if column.before]
            after = [column.after[0] for column in columns if column.after]
            if before:
                found.add(float(np.mean(before)), float(np.mean(after)), trial.group)
            else:
                found.unparsed += any(column.unparsed for column in columns)
        return found

    def halo(self) -> list[Measure]:
        """Spearman's rho between each two criteria over the given cases."""
        return [self._correlation(one, two) for one, two in combinations(self.criteria, 2)]

    def _correlation(self, one: str, two: str) -> Measure:
        rows = [self._rounded(criterion) for criterion in (one, two)]
        found = spearman(Ratings.of_matrix(rows, raters=[one, two], groups=self.plan.groups), seed=self.seed)
        return _of_agreement("halo", "correlation", one, two, found)

    def _rounded(self, criterion: str) -> list[int | None]:
        """The given cases' scores as whole steps, None where there is none."""
        keys = ((self.plan.language, 0, case) for case in self.plan.cases)
        scores = (self.said.score(key, criterion) for key in keys)
        return [None if score is None else math.floor(score + 0.5) for score in scores]

    def people(self, people: People) -> list[Measure]:
        """The judge with a person, beside a person with another: kappa, rho and alpha for each criterion."""
        made = []
        for criterion, rows in people.items():
            for name, coefficient in _AGREEMENT.items():
                found = beside(self._rounded(criterion), rows, coefficient, groups=self.plan.groups, seed=self.seed)
                made.append(_of_agreement("people", f"{name}_judge", criterion, "", found.judge))
                if found.people is not None:
                    made.append(_of_agreement("people", f"{name}_people", criterion, "", found.people))
                if (one := found.difference) is not None:
                    about = ("people", f"{name}_difference", criterion, "")
                    made.append(Measure(*about, one.value, one.low, one.high, one.n, one.signature))
        return made

    # what is not of one probe

    def unparsed(self, probe: str) -> Measure:
        """The share of a probe's requests of whose answer a part could not be read."""
        column = _Column.empty()
        if probe == "position":
            for verdict, group in zip(self.said.verdicts, self.plan.pair_groups * 2, strict=True):
                column.add(0.0, float(verdict is None), group)
        for key, group in self.plan.keys(probe).items():
            unread = any(score is None and self.said.asked(key, name) for name, score in self.said.scores[key].items())
            column.add(0.0, float(unread), group)
        return self.share("unparsed", "share", column, about=probe)

    def distribution(self) -> dict[str, dict[str, int]]:
        """How often each score was given to the given cases; "unparsed" and "not asked" are counted too."""
        counts: dict[str, dict[str, int]] = {}
        for criterion in self.criteria:
            found: Counter[str] = Counter()
            for case in self.plan.cases:
                key = (self.plan.language, 0, case)
                score, asked = self.said.score(key, criterion), self.said.asked(key, criterion)
                found[f"{score:g}" if score is not None else "unparsed" if asked else "not asked"] += 1
            counts[criterion] = dict(sorted(found.items()))
        return counts


_AGREEMENT = {"kappa": "quadratic kappa", "spearman": "spearman", "alpha": "ordinal alpha"}


def _of_comparison(named: Callable[..., Measure], found: Comparison, span: Span, seed: int) -> Measure:
    """The difference and the test of a comparison, with an interval that has a width where nothing differs."""
    recipe = sign(found.metric, f"test:swap{FLIPS}", "ci:plus2", "by:group", f"seed:{seed}")
    p = found.p if found.groups > 1 else None
    return named(found.difference, span.low, span.high, found.n, recipe, p=p, noise=span.noise)


def _of_agreement(probe: str, what: str, criterion: str, about: str, found: Agreement) -> Measure:
    return Measure(
        probe, what, criterion, about, found.value, found.low, found.high, found.n, found.signature, reason=found.reason
    )
