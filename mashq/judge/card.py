"""How far a judge can be trusted: the judge card, measured with probes of known effect.

    card = judge_card(judge, cases)          # judge: anything with the protocol `mashq.judge.Judging`
    needs(judge, cases)["total"]             # how many requests that takes, told beforehand
    judge_card_page.card_json(card), judge_card_page.card_markdown(card, "ar")

| probe | what is done | what is measured |
|---|---|---|
| retest | the given cases are asked twice | share of equal scores, mean absolute change |
| position | pairs are shown in both orders | share of verdicts that flip, first place minus second |
| length | neutral filler until about twice as long | score per doubling; apart, the association in the cases |
| dialect | the same content in Standard Arabic and a dialect | dialect minus standard |
| spelling | marks removed, tatweel, alefs, endings | changed minus given |
| rubric | the rubric in Arabic and in English | Arabic minus English |
| defects | one planted defect | detection beside false alarms on harmless changes, and what else it moves |
| halo | nothing more | Spearman's rho between criteria |
| people | nothing more | agreement with people beside people's agreement with each other |
| preference | nothing more | judge beside people on replies of its own family and of others |

What the judge says unreadably is data: counted for each probe, and left out of the means, with its n. A criterion that
a judge does not mention for a case (a variety where none was asked for) was not asked, and is neither. Items that share
a prompt or a given group are one cluster of every interval. Differences are tested by swapping clusters
(`metrics.paired`), and p is Holm's over the measures of one probe and kind: of a fair judge at most one card in twenty
finds a fault in such a family. What would have been found is said by the same correction (`intervals.detectable`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mashq.judge.asking import Case, Judging
from mashq.judge.intervals import detectable
from mashq.judge.measures import (
    CHANGES,
    HIGHEST,
    IN_POINTS,
    LOWEST,
    VERDICTS,
    JudgeCard,
    Key,
    Measure,
    Measuring,
    People,
    Plan,
    Said,
    aimed,
)
from mashq.judge.preference import preference
from mashq.judge.probes import LEAST_TEXTS, Parallel, case_groups, trials_of, twins
from mashq.metrics.paired import holm
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["PROBES", "JudgeCard", "Measure", "judge_card", "needs"]

PROBES = ("retest", "position", "length", "dialect", "spelling", "rubric", "defects", "halo")


# --- what will be asked ----------------------------------------------------------------------------------------------


def _plan(
    judge: Judging,
    cases: Sequence[Case],
    groups: Sequence[str | None] | None,
    pairs: Sequence[tuple[Case, Case]],
    parallel: Sequence[Parallel],
    probes: Sequence[str],
    seed: int,
) -> Plan:
    if not cases:
        raise MashqError(expected_got("judge card: cases", "at least one case", "none", "Give replies to be judged."))
    for probe in probes:
        if probe not in PROBES:
            raise MashqError(
                f"judge card: probe '{probe}': there is none ({', '.join(PROBES)}).{nearest(probe, PROBES)}"
            )
    clusters = case_groups(cases, groups)
    asked = tuple(probe for probe in PROBES if probe in probes)
    changes = [probe for probe in asked if probe in CHANGES]
    criteria = aimed(judge.criteria, cases)
    trials = trials_of(cases, clusters, probes=changes, criteria=criteria, parallel=parallel, seed=seed)
    plan = Plan(list(cases), clusters, judge.language, asked, trials, [], [], "")
    if "position" in asked:
        _add_pairs(plan, pairs, seed)
    return plan


def _add_pairs(plan: Plan, pairs: Sequence[tuple[Case, Case]], seed: int) -> None:
    """Pairs given by the caller; else replies of the cases to one prompt; else, and where these are too few, replies
    beside their padded selves.
    """
    plan.pairs, plan.pair_groups, plan.basis = list(pairs), case_groups([one for one, _ in pairs], None), "given"
    if not plan.pairs:
        plan.pairs, plan.pair_groups = twins(plan.cases, plan.groups)
    if not pairs and len(plan.pairs) < LEAST_TEXTS:
        made = trials_of(plan.cases, plan.groups, probes=["length"], criteria=(), seed=seed).of("length")
        plan.pairs, plan.pair_groups = [(one.before, one.after) for one in made], [one.group for one in made]
        plan.basis = "filler"


def needs(
    judge: Judging,
    cases: Sequence[Case],
    *,
    groups: Sequence[str | None] | None = None,
    pairs: Sequence[tuple[Case, Case]] = (),
    parallel: Sequence[Parallel] = (),
    probes: Sequence[str] = PROBES,
    seed: int = 0,
) -> dict[str, int]:
    """How many cases and pairs `judge_card` will put to the judge, by probe and in total; nothing is asked.

    Probes share requests, so the total is less than the sum. A judge that asks for each criterion apart makes as many
    requests of each as it has criteria. Raises MashqError as `judge_card` does.
    """
    plan = _plan(judge, cases, groups, pairs, parallel, probes, seed)
    counts = {probe: len(plan.keys(probe)) for probe in plan.probes}
    if "position" in counts:
        counts["position"] = len(set(plan.shown()))
    return {**counts, "total": len(plan.all_keys()) + counts.get("position", 0)}


# --- asking ----------------------------------------------------------------------------------------------------------


def _ask(judge: Judging, plan: Plan) -> Said:
    """Every request once: one batch for each language of the rubric and each repeat, then the pairs."""
    said: dict[Key, dict[str, float | None]] = {}
    batches: dict[tuple[str, int], list[Key]] = {}
    for key in plan.all_keys():
        batches.setdefault(key[:2], []).append(key)
    for (language, repeat), keys in batches.items():
        asked = judge if language == judge.language else judge.in_language(language)
        found = asked.scores([case for _, _, case in keys], repeat=repeat)
        _as_many(found, keys, "scores")
        said |= {key: _checked_scores(one, judge.criteria) for key, one in zip(keys, found, strict=True)}
    shown = list(dict.fromkeys(plan.shown()))
    verdicts = judge.prefer(shown) if shown else []
    _as_many(verdicts, shown, "verdicts")
    for verdict in verdicts:
        if verdict is not None and verdict not in VERDICTS:
            raise MashqError(expected_got("judge card: a verdict", f"{', '.join(VERDICTS)} or None", repr(verdict)))
    preferred = dict(zip(shown, verdicts, strict=True))
    return Said(said, [preferred[pair] for pair in plan.shown()])


def _as_many(found: Sequence[Any], asked: Sequence[Any], what: str) -> None:
    if len(found) != len(asked):
        raise MashqError(expected_got(f"judge card: {what}", f"{len(asked)}, one for each asked", str(len(found))))


def _checked_scores(found: Mapping[str, float | None], criteria: Sequence[str]) -> dict[str, float | None]:
    for criterion, score in found.items():
        where = f"judge card: score of '{criterion}'"
        if criterion not in criteria:
            raise MashqError(expected_got(where, f"one of {', '.join(criteria)}", "another criterion"))
        if score is not None and not LOWEST <= score <= HIGHEST:
            raise MashqError(expected_got(where, f"{LOWEST:g} to {HIGHEST:g}, or None", f"{score:g}"))
    return dict(found)


# --- the card --------------------------------------------------------------------------------------------------------


def judge_card(
    judge: Judging,
    cases: Sequence[Case],
    *,
    groups: Sequence[str | None] | None = None,
    pairs: Sequence[tuple[Case, Case]] = (),
    parallel: Sequence[Parallel] = (),
    people: People | None = None,
    own: Sequence[bool | None] | None = None,
    probes: Sequence[str] = PROBES,
    name: str = "",
    seed: int = 0,
) -> JudgeCard:
    """Measure a judge on cases and on probes made of them.

    `groups` names the cluster of each case (without: its prompt). `pairs` are for the position probe; without them the
    replies to one prompt are paired, or else each reply with its padded self. `parallel` are sets of the same content
    in several varieties, beside the 24 packaged ones. `people` holds human scores of the cases. `own` says of each case
    whether a model of the judge's family wrote it, None where that is not known; with people's scores it is measured
    whether the judge favours its own. Use at least 30 cases: with fewer most intervals say little.

    Raises MashqError for no cases, an unknown probe, lengths that differ, and a judge that answers out of its range.
    """
    plan = _plan(judge, cases, groups, pairs, parallel, probes, seed)
    _check_people(people, plan, judge.criteria)
    _as_many(own if own is not None else cases, cases, "own")
    said = _ask(judge, plan)
    measuring = Measuring(plan, said, tuple(judge.criteria), seed)
    made = [one for probe in plan.probes for one in getattr(measuring, probe)()]
    if people is not None:
        made += measuring.people(people)
    made += preference(measuring, own or [], people)
    made += [measuring.unparsed(probe) for probe in plan.probes]
    return JudgeCard(
        judge=name or str(getattr(judge, "name", "")),
        language=judge.language,
        criteria=tuple(judge.criteria),
        cases=len(cases),
        groups=len(set(plan.groups)),
        seed=seed,
        requests=len(said.scores) + len(set(plan.shown())),
        pairs=plan.basis,
        distribution=measuring.distribution(),
        measures=tuple(_holm(made)),
        left_out=plan.trials.left_out,
    )


def _check_people(people: People | None, plan: Plan, criteria: Sequence[str]) -> None:
    for criterion, matrix in (people or {}).items():
        where = f"judge card: people's scores of '{criterion}'"
        if criterion not in criteria:
            raise MashqError(expected_got(where, f"one of {', '.join(criteria)}", "another criterion"))
        for row in matrix:
            if len(row) != len(plan.cases):
                raise MashqError(expected_got(where, f"{len(plan.cases)} a rater, one per case", str(len(row))))


def _holm(made: Sequence[Measure]) -> list[Measure]:
    """p adjusted within each probe and kind of measure, and what would have been found by it."""
    families: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(made):
        if one.p is not None:
            families.setdefault((one.probe, one.what), []).append(place)
    adjusted = list(made)
    for places in families.values():
        ps = holm([made[place].p for place in places])  # type: ignore[misc]  # None is sorted out above
        for place, p in zip(places, ps, strict=True):
            adjusted[place] = _detected(replace(made[place], p=p, family=len(places)))
    return adjusted


def _detected(one: Measure) -> Measure:
    """With the smallest difference that its test would find, if any that the scale allows."""
    most = 1.0 if (one.probe, one.what) in IN_POINTS else HIGHEST - LOWEST
    return one if one.noise is None else replace(one, detectable=detectable(one.noise, one.family, most))
