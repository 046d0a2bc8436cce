"""Scores of every system in every slice and over tasks, and the paired comparisons with the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mashq.evaluate.items import Items
from mashq.evaluate.measure import Measure
from mashq.evaluate.slices import Cut, by_task
from mashq.metrics import Comparison, Score, compare, holm
from mashq.metrics.paired import EXACT_CLUSTERS, FLIPS
from mashq.metrics.perplexity import compare_bits_per_byte
from mashq.metrics.resample import ROUNDS, cluster_codes, cluster_sums, interval
from mashq.metrics.score import extended

__all__ = ["compare_all", "compare_two", "score_all"]


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
    scored = [places[measure.scored[places]] for places in tasks.values()]
    scored = [places for places in scored if len(places)]
    if len(scored) < 2:
        return None
    whole = np.concatenate(scored)
    single = measure.score(whole, groups, seed)
    if measure.nats is None or measure.units is None:
        over, under = measure.values, np.ones(len(measure.values))
    else:
        over, under = measure.nats / (math.log(2) if measure.metric == "bits_per_byte" else 1.0), measure.units
    shape: Callable[[np.ndarray], np.ndarray] = np.exp if measure.metric == "perplexity" else np.asarray
    columns = np.zeros((2 * len(scored), len(over)))
    for task, places in enumerate(scored):
        columns[task, places] = over[places]
        columns[len(scored) + task, places] = under[places]
    codes = cluster_codes(len(whole), [groups[place] for place in whole], measure.metric)
    sums = cluster_sums(codes, *columns[:, whole])

    def mean_of_tasks(totals: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):  # a task that a draw left without items
            return np.nanmean(shape(totals[:, : len(scored)] / totals[:, len(scored) :]), axis=1)

    over_sums, under_sums = np.split(sums, 2, axis=1)  # (clusters, tasks) each
    ratios, under_all = over_sums.sum(axis=0) / under_sums.sum(axis=0), under_sums.sum(axis=0)
    slopes = shape(ratios) if shape is np.exp else np.ones_like(ratios)  # of the shape at each task's ratio
    pulls = ((over_sums - ratios * under_sums) / under_all * slopes).mean(axis=1)
    weights = (under_sums / under_all).mean(axis=1)
    found = interval(sums, mean_of_tasks, pulls, weights, seed=seed, bounds=measure.bounds)
    value = float(mean_of_tasks(sums.sum(axis=0)[None])[0])
    # A share's own interval is Wilson's; the mean of several shares is drawn.
    signature = single.signature.replace("|ci:wilson|", f"|ci:bootstrap{ROUNDS}|").replace(
        "|by:group|mashq:", f"|by:group|seed:{seed}|mashq:"
    )
    signed = extended(signature, "over:task")
    return Score(measure.metric, value, found.low, found.high, len(whole), signed, found.by)


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
            pieces = [(by, value, places[both[places]], np.ones(len(both))) for by, value, places in cuts]
            if (weights := _macro_weights(ours, tasks, both)) is not None:
                pieces.append(("macro", "task", np.flatnonzero(both), weights))
            for by, value, places, weight in pieces:
                if len(places):
                    one = compare_two(ours, theirs, places, weight, items.groups, seed)
                    found.append(_comparison_facts(one, metric, system, baseline, by, value))
    for family in dict.fromkeys(entry["slice"]["by"] for entry in found):
        members = [entry for entry in found if entry["slice"]["by"] == family]
        for entry, p in zip(members, holm([entry["p"] for entry in members]), strict=True):
            entry["p_holm"] = p
    return found


def _macro_weights(measure: Measure, tasks: Mapping[str, np.ndarray], both: np.ndarray) -> np.ndarray | None:
    """Weights under which the mean over items is the mean of the tasks' scores; None for fewer than two tasks."""
    units = np.ones(len(both)) if measure.units is None else np.where(both, measure.units, 0.0)
    scored = [places[both[places]] for places in tasks.values()]
    scored = [places for places in scored if len(places)]
    if len(scored) < 2:
        return None
    weights = np.zeros(len(both))
    for places in scored:
        weights[places] = units[both].sum() / (len(scored) * units[places].sum())
    return weights


def compare_two(
    ours: Measure,
    theirs: Measure,
    places: np.ndarray,
    weight: np.ndarray,
    groups: Sequence[str | None],
    seed: int,
    *,
    tested: bool = True,
) -> Comparison:
    here, weight = [groups[place] for place in places], weight[places]
    if ours.nats is None or theirs.nats is None or ours.units is None:
        better = ours.higher_is_better
        left, right = ours.values[places] * weight, theirs.values[places] * weight
        return compare(
            left, right, metric=ours.metric, groups=here, higher_is_better=better, bounds=ours.bounds, seed=seed,
            tested=tested,
        )  # fmt: skip
    left, right = ours.nats[places] * weight, theirs.nats[places] * weight
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
        "least_p": _least_p(one.groups),
        "signature": extended(one.signature, "over:task" if by == "macro" else ""),
        "interval_by": one.interval_by,
    }


def _least_p(groups: int) -> float:
    """The smallest p that the paired test can give with so many clusters, whatever the difference.

    Of all 2^groups swaps two, none and all, reach any difference; drawn at random, p is at least 1 / (rounds + 1).
    """
    return 2.0 ** (1 - groups) if groups <= EXACT_CLUSTERS else 1 / (FLIPS + 1)
