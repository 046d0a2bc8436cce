"""Scores of every system in every slice and over tasks, and the paired comparisons with the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mashq.evaluate.items import Items
from mashq.evaluate.measure import Measure
from mashq.evaluate.slices import Cut, by_task
from mashq.metrics import Comparison, Score, compare, holm
from mashq.metrics.paired import compare_strata, least_p
from mashq.metrics.perplexity import compare_bits_per_byte
from mashq.metrics.resample import ROUNDS, cluster_codes, interval
from mashq.metrics.score import extended
from mashq.metrics.strata import stratified

__all__ = ["compare_all", "compare_two", "score_all"]

LEAST = {"perplexity": (1.0, math.inf), "bits_per_byte": (0.0, math.inf)}  # of likelihoods


def score_all(
    measured: Mapping[tuple[str, str], Measure],
    items: Items,
    cuts: Sequence[Cut],
    seed: int,
) -> list[dict[str, Any]]:
    tasks, found = by_task(items), []
    for (system, metric), measure in measured.items():
        for by, value, places in cuts:
            chosen = places[measure.scored[places]]
            if len(chosen):
                score = measure.score(chosen, items.groups, seed)
                found.append(_score_facts(system, metric, by, value, score))
        macro = _macro(measure, tasks, items.groups, seed)
        if macro is not None:
            found.append(_score_facts(system, metric, "macro", "task", macro))
    return found


def _score_facts(system: str, metric: str, by: str, value: str, score: Score) -> dict[str, Any]:
    return {
        "system": system,
        "metric": metric,
        "slice": {"by": by, "value": value},
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n,
        "signature": score.signature,
        "interval_by": score.interval_by,
    }


def _macro(measure: Measure, tasks: Mapping[str, np.ndarray], groups: Sequence[str | None], seed: int) -> Score | None:
    """The mean of the tasks' own scores, each task with one weight; None for fewer than two tasks.

    Its interval draws whole groups, a group's items in every task with it.
    """
    whole, strata = _strata(tasks, measure.scored)
    if len(strata) < 2:
        return None
    single = measure.score(whole, groups, seed)
    over, under = measure.ratio(whole)
    codes = cluster_codes(len(whole), [groups[place] for place in whole], measure.metric)
    mean = stratified(over, under, strata, codes, np.exp if measure.metric == "perplexity" else np.asarray)
    found = interval(mean, seed=seed, bounds=measure.bounds or LEAST.get(measure.metric))
    # A share's own interval is Wilson's; the mean of several shares is drawn.
    signature = single.signature.replace("|ci:wilson|", f"|ci:bootstrap{ROUNDS}|").replace(
        "|by:group|mashq:", f"|by:group|seed:{seed}|mashq:"
    )
    signed = extended(signature, "over:task")
    return Score(measure.metric, mean.value, found.low, found.high, len(whole), signed, found.by)


# --- comparing -------------------------------------------------------------------------------------------------------


def compare_all(
    measured: Mapping[tuple[str, str], Measure],
    others: Sequence[str],
    baseline: str,
    metrics: Sequence[str],
    items: Items,
    cuts: Sequence[Cut],
    seed: int,
) -> list[dict[str, Any]]:
    """Every other system against the baseline, with p corrected within each family (`by`)."""
    tasks = by_task(items)
    found: list[dict[str, Any]] = []
    for system in others:
        for metric in metrics:
            ours, theirs = measured[system, metric], measured[baseline, metric]
            if metric == "perplexity" or ours.signature != theirs.signature:
                continue
            both = ours.scored & theirs.scored
            for by, value, places in cuts:
                if len(shared := places[both[places]]):
                    one = compare_two(ours, theirs, shared, items.groups, seed)
                    found.append(_comparison_facts(one, metric, system, baseline, by, value))
            if (macro := _compare_macro(ours, theirs, tasks, items.groups, seed)) is not None:
                found.append(_comparison_facts(macro, metric, system, baseline, "macro", "task"))
    for family in dict.fromkeys(entry["slice"]["by"] for entry in found):
        members = [entry for entry in found if entry["slice"]["by"] == family]
        for entry, p in zip(members, holm([entry["p"] for entry in members]), strict=True):
            entry["p_holm"] = p
    return found


def _strata(tasks: Mapping[str, np.ndarray], scored: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The scored items of all tasks, and among these the positions of each task's that has any."""
    kept = [places[scored[places]] for places in tasks.values()]
    kept = [places for places in kept if len(places)]
    ends = np.cumsum([len(places) for places in kept])
    whole = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    return whole, np.split(np.arange(len(whole)), ends[:-1]) if kept else []


def _compare_macro(
    ours: Measure, theirs: Measure, tasks: Mapping[str, np.ndarray], groups: Sequence[str | None], seed: int
) -> Comparison | None:
    """The means of the tasks' own scores, each task with one weight; None for fewer than two tasks."""
    whole, strata = _strata(tasks, ours.scored & theirs.scored)
    if len(strata) < 2:
        return None
    (left, under), (right, _) = ours.ratio(whole), theirs.ratio(whole)
    return compare_strata(
        left, right, strata, under, metric=ours.metric, groups=[groups[place] for place in whole],
        higher_is_better=ours.higher_is_better and ours.nats is None, bounds=ours.bounds, seed=seed,
    )  # fmt: skip


def compare_two(
    ours: Measure,
    theirs: Measure,
    places: np.ndarray,
    groups: Sequence[str | None],
    seed: int,
    *,
    tested: bool = True,
) -> Comparison:
    """Two systems on the items at these places, which both have a score for."""
    here = [groups[place] for place in places]
    if ours.nats is None or theirs.nats is None or ours.units is None:
        return compare(
            ours.values[places], theirs.values[places], metric=ours.metric, groups=here,
            higher_is_better=ours.higher_is_better, bounds=ours.bounds, seed=seed, tested=tested,
        )  # fmt: skip
    left, right = ours.nats[places], theirs.nats[places]
    return compare_bits_per_byte(left, right, ours.units[places], groups=here, seed=seed, tested=tested)


def _comparison_facts(one: Comparison, metric: str, system: str, baseline: str, by: str, value: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "a": system,
        "b": baseline,
        "slice": {"by": by, "value": value},
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "p_holm": one.p,
        "n": one.n,
        "groups": one.groups,
        "effect": one.effect,
        "wins": one.wins,
        "ties": one.ties,
        "losses": one.losses,
        "smallest_detectable": one.smallest_detectable,
        "least_p": least_p(one.groups),
        "signature": extended(one.signature, "over:task" if by == "macro" else ""),
        "interval_by": one.interval_by,
    }
