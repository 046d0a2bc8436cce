"""Replies of several systems on the same items -> samples and scores: intervals by cluster, paired comparisons.

An item is one prompt; systems are joined by its id, so every difference is taken on the same items. An item that one
system has no reply to leaves every system's scores, and is counted. Intervals and tests draw and swap whole groups.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq import arabic, obedience
from mashq.evaluate_items import Answer, Items, answers_of, join
from mashq.evaluate_slices import SLICES, Cut, by_task, cuts
from mashq.metrics import CATALOGUE, Comparison, Metric, Score, compare, holm, mean_score
from mashq.metrics.health import check, summary
from mashq.metrics.novelty import TrainingIndex, longest_copied, novelty
from mashq.metrics.paired import EXACT_CLUSTERS, FLIPS
from mashq.metrics.perplexity import bits_per_byte, compare_bits_per_byte, item_bits_per_byte, perplexity
from mashq.metrics.resample import ROUNDS, bootstrap, cluster_codes, cluster_sums
from mashq.metrics.score import extended
from mashq.metrics.sensitivity import METRICS as OVERLAP
from mashq.metrics.sensitivity import sensitivity
from mashq.rows import MashqError, expected_got, id_hex, nearest

__all__ = ["LIKELIHOOD", "SLICES", "evaluate"]

LIKELIHOOD = ("bits_per_byte", "perplexity")  # metrics of the reference under the model, not of the reply
NOT_ASKED = "not asked"  # how a judged row's reason begins for a criterion that does not apply to it
JUDGE = "judge_"  # how the name of a judge's metric begins
ABSENT = ("label", "model", "why")  # what is said of a system that was not run
UNITS = {"bits_per_byte": "bits/byte", "perplexity": "per token"}
OPENING = 3  # words of a reply that are its opening


def evaluate(
    systems: Mapping[str, Iterable[pa.Table]],
    *,
    baseline: str,
    metrics: Sequence[str | Metric],
    slices: Sequence[str] = SLICES,
    labels: Mapping[str, str] | None = None,
    about: Mapping[str, Mapping[str, Any]] | None = None,
    training_texts: Iterable[str] | None = None,
    origins: Mapping[str, str] | None = None,
    absent: Sequence[Mapping[str, str]] = (),
    seed: int = 0,
    out: Path,
) -> dict[str, Any]:
    """Score every system, compare each with the baseline, write `samples.parquet` and `scores.json` into `out`.

    `systems` gives each system's reply rows: `parents[0]` is the prompt row, the last message is the reply, `meta`
    holds finish, nats, target_tokens and target_bytes. `metrics` are names of `metrics.CATALOGUE` and
    `obedience.METRICS`, "bits_per_byte" and "perplexity", and metrics of one's own, as of `bertscore.metrics`.
    `labels` are the systems' names for people; `about` holds facts on each (model, adapter, tokenizer, decoding),
    written as they are, and its "tokenizer" (else "model") is named in the signature of perplexity. With
    `training_texts` the longest span copied from them and the share of novel n-grams are measured, for the references
    too. `origins` (`lineage_origin.origins`) says of items, by id, whether they are native, translated or synthetic,
    where their rows do not; `absent` names systems that were not run: of each its label, its model and why.
    Holm's correction is made within each family: all items, each slicing, and the macro average. The same rows and
    seed give the same bytes. Returns what `scores.json` holds.

    Raises MashqError for an unknown metric, slice or baseline, a system that answers an item twice or lacks an item
    altogether (rather than having it dropped with a reason), where no item is left, and for an absent system without
    a reason or with the label of one that was run.
    """
    own = {one.name: one for one in metrics if isinstance(one, Metric)}
    names = [one.name if isinstance(one, Metric) else one for one in metrics]
    catalogue = {**CATALOGUE, **obedience.METRICS, **own}
    _check_names(systems, baseline, names, slices, catalogue)
    items, notes = join({name: answers_of(name, tables) for name, tables in systems.items()})
    tokenizers = {
        name: str(facts.get("tokenizer") or facts.get("model") or "unnamed") for name, facts in (about or {}).items()
    }
    measured = {
        (system, metric): _measure(items, system, metric, tokenizers.get(system, "unnamed"), catalogue)
        for system in systems
        for metric in names
    }
    notes += _unscored(items, measured, names)
    sliced = list(cuts(items, slices, origins))
    comparisons = _compare_all(
        measured, [name for name in systems if name != baseline], baseline, names, items, sliced, seed
    )
    told = [
        {"name": name, "label": (labels or {}).get(name, name), **dict((about or {}).get(name, {}))} for name in systems
    ]
    scores = {
        "systems": told,
        "absent": _absent(absent, told),
        "baseline": baseline,
        "items": len(items.ids),
        "groups": len(np.unique(cluster_codes(len(items.ids), items.groups, "evaluate"))),
        "seed": seed,
        "metrics": {metric: _facts(metric, catalogue) for metric in names},
        "scores": _score_all(measured, items, sliced, seed),
        "comparisons": comparisons,
        "sensitivity": _sensitivity(items, names, seed),
        "health": [_health(items, name, seed) for name in systems],
        "copied": [] if training_texts is None else _copied(items, TrainingIndex.of(training_texts), seed),
        "notes": notes,
    }
    out.mkdir(parents=True, exist_ok=True)
    _write_samples(items, measured, names, out / "samples.parquet")
    _write_whole(out / "scores.json", json.dumps(scores, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return scores


def _absent(absent: Sequence[Mapping[str, str]], run: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    labels = {one["label"] for one in run}
    for one in absent:
        if set(one) != set(ABSENT) or not one["why"]:
            raise MashqError(expected_got("evaluate: absent", ", ".join(ABSENT), f"{dict(one)}", "Say why each is."))
        if one["label"] in labels:
            raise MashqError(expected_got("evaluate: absent", "systems that were not run", f"'{one['label']}'"))
    return [{name: str(one[name]) for name in ABSENT} for one in absent]


def _check_names(
    systems: Mapping[str, Any],
    baseline: str,
    metrics: Sequence[str],
    slices: Sequence[str],
    catalogue: Mapping[str, Metric],
) -> None:
    if baseline not in systems:
        raise MashqError(expected_got("evaluate: baseline", f"one of {', '.join(systems)}", f"'{baseline}'"))
    for kind, names, known in (("metric", metrics, (*catalogue, *LIKELIHOOD)), ("slice", slices, SLICES)):
        for name in names:
            if name not in known:
                raise MashqError(f"evaluate: there is no {kind} '{name}' ({', '.join(known)}).{nearest(name, known)}")
    if "reference" in systems:
        raise MashqError(expected_got("evaluate: systems", "any other name", "'reference'", "It names the references."))
    if not metrics:
        raise MashqError(expected_got("evaluate: metrics", "at least one", "none"))


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measure:
    """One metric of one system over all items.

    A mean of `values`, or for likelihoods the ratio of summed `nats` and `units` (bytes or tokens). NaN: not scored.
    """

    metric: str
    signature: str  # of the items' values; a score's own is longer
    values: np.ndarray  # (items,)
    nats: np.ndarray | None = None
    units: np.ndarray | None = None
    tokenizer: str = ""
    higher_is_better: bool = True  # of a mean; likelihoods have their own comparison

    @property
    def scored(self) -> np.ndarray:
        return np.isfinite(self.values)

    def score(self, chosen: np.ndarray, groups: Sequence[str | None], seed: int) -> Score:
        """The score of the chosen items (positions, all of them scored)."""
        here = [groups[place] for place in chosen]
        if self.nats is None or self.units is None:
            return mean_score(self.values[chosen], name=self.metric, signature=self.signature, groups=here, seed=seed)
        if self.metric == "perplexity":
            tokenizer = self.tokenizer
            return perplexity(self.nats[chosen], self.units[chosen], tokenizer=tokenizer, groups=here, seed=seed)
        return bits_per_byte(self.nats[chosen], self.units[chosen], groups=here, seed=seed)


def _measure(items: Items, system: str, metric: str, tokenizer: str, catalogue: Mapping[str, Metric]) -> _Measure:
    answers = items.answers[system]
    if metric in LIKELIHOOD:
        unit = "target_tokens" if metric == "perplexity" else "target_bytes"
        nats = np.array([answer.number("nats") for answer in answers])
        units = np.array([answer.number(unit) for answer in answers])
        units[~(units > 0)] = math.nan  # an empty reference has no likelihood per unit
        values = np.full(len(nats), math.nan)
        known = np.flatnonzero(np.isfinite(nats / units))
        each = item_bits_per_byte if metric == "bits_per_byte" else _item_perplexity
        values[known] = each(nats[known], units[known]) if len(known) else []
        return _Measure(
            metric, f"{metric} {tokenizer if metric == 'perplexity' else ''}", values, nats, units, tokenizer
        )
    entry, values = catalogue[metric], np.full(len(answers), math.nan)
    if entry.of_meta is not None:
        values = np.array([entry.of_meta(answer.facts) for answer in answers], dtype=float)
        return _Measure(metric, entry.signature, values, higher_is_better=entry.higher_is_better)
    if entry.of_turns is not None:
        values = np.array([entry.of_turns(answer.row["messages"]) for answer in answers], dtype=float)
        return _Measure(metric, entry.signature, values, higher_is_better=entry.higher_is_better)
    known = np.array([place for place, texts in enumerate(items.references) if texts], dtype=np.int64)
    if len(known):
        replies = [answers[place].reply for place in known]
        values[known] = entry.per_item(replies, [items.references[place] for place in known])
    return _Measure(metric, entry.signature, values, higher_is_better=entry.higher_is_better)


def _item_perplexity(nats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.exp(nats / tokens)


def _unscored(
    items: Items, measured: Mapping[tuple[str, str], _Measure], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Notes on items that some metrics could not score, and on what is not tested."""
    notes: list[dict[str, Any]] = []
    bare = sum(not texts for texts in items.references)
    if bare:
        notes.append({"code": "no_reference", "n": bare})
    likely = [measured[key].scored for key in measured if key[1] in LIKELIHOOD]
    if likely and (unknown := int((~np.logical_and.reduce(likely)).sum())):
        notes.append({"code": "no_likelihood", "n": unknown})
    if "perplexity" in metrics:
        notes.append({"code": "perplexity_untested", "n": 0})
    return notes + _unjudged(items, measured)


def _unjudged(items: Items, measured: Mapping[tuple[str, str], _Measure]) -> list[dict[str, Any]]:
    """Notes on replies without a judge's score: by system and metric how many, and why as the judged rows say it.

    "not_asked": the criterion does not apply to the item; "unjudged": it was asked for and no score could be read.
    """
    notes: list[dict[str, Any]] = []
    for (system, metric), measure in measured.items():
        if not metric.startswith(JUDGE):
            continue
        answers = [items.answers[system][place] for place in np.flatnonzero(~measure.scored)]
        reasons = Counter(_why(answer, metric.removeprefix(JUDGE)) for answer in answers)
        spared = {why: n for why, n in reasons.items() if why == NOT_ASKED}
        for code, some in (("unjudged", reasons - Counter(spared)), ("not_asked", spared)):
            if some:
                told = dict(sorted(some.items(), key=lambda one: (-one[1], one[0])))
                notes.append(
                    {"code": code, "system": system, "metric": metric, "n": sum(told.values()), "reasons": told}
                )
    return notes


def _why(answer: Answer, criterion: str) -> str:
    """Why a judge's score is null, without what follows the colon, which may be the judge's own words."""
    why = ((answer.facts.get("judge") or {}).get("why") or {}).get(criterion)
    return str(why).split(":")[0] if why else "no judge read it"


def _sensitivity(items: Items, metrics: Sequence[str], seed: int) -> dict[str, Any] | None:
    """What other text profiles make of the overlap metrics asked for; None for one system and where there is none."""
    asked = [name for name in metrics if name in OVERLAP]
    scored = [place for place, texts in enumerate(items.references) if texts]
    if len(items.answers) < 2 or not asked or not scored:
        return None
    replies = {name: [answers[place].reply for place in scored] for name, answers in items.answers.items()}
    references, groups = zip(*((items.references[place], items.groups[place]) for place in scored), strict=True)
    return sensitivity(replies, references, groups, metrics=asked, seed=seed).as_dict()


def _score_all(
    measured: Mapping[tuple[str, str], _Measure],
    items: Items,
    cuts: Sequence[Cut],
    seed: int,
) -> list[dict[str, Any]]:
    found = []
    for (system, metric), measure in measured.items():
        for by, value, places in cuts:
            chosen = places[measure.scored[places]]
            if len(chosen):
                score = measure.score(chosen, items.groups, seed)
                found.append(_score_facts(system, metric, by, value, score))
        macro = _macro(measure, by_task(items), items.groups, seed)
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
    }


def _macro(measure: _Measure, tasks: Mapping[str, np.ndarray], groups: Sequence[str | None], seed: int) -> Score | None:
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

    low, high = bootstrap(sums, mean_of_tasks, seed=seed)
    if low == high:  # all items equal: draws show no width, which is not certainty
        low = high = None
    value = float(mean_of_tasks(sums.sum(axis=0)[None])[0])
    # A share's own interval is Wilson's; the mean of several shares is drawn.
    signature = single.signature.replace("|ci:wilson|", f"|ci:bootstrap{ROUNDS}|").replace(
        "|by:group|mashq:", f"|by:group|seed:{seed}|mashq:"
    )
    return Score(measure.metric, value, low, high, len(whole), extended(signature, "over:task"))


# --- comparing -------------------------------------------------------------------------------------------------------


def _compare_all(
    measured: Mapping[tuple[str, str], _Measure],
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
                    one = _compare(ours, theirs, places, weight, items.groups, seed)
                    found.append(_comparison_facts(one, metric, system, baseline, by, value))
    for family in dict.fromkeys(entry["slice"]["by"] for entry in found):
        members = [entry for entry in found if entry["slice"]["by"] == family]
        for entry, p in zip(members, holm([entry["p"] for entry in members]), strict=True):
            entry["p_holm"] = p
    return found


def _macro_weights(measure: _Measure, tasks: Mapping[str, np.ndarray], both: np.ndarray) -> np.ndarray | None:
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


def _compare(
    ours: _Measure,
    theirs: _Measure,
    places: np.ndarray,
    weight: np.ndarray,
    groups: Sequence[str | None],
    seed: int,
) -> Comparison:
    here, weight = [groups[place] for place in places], weight[places]
    if ours.nats is None or theirs.nats is None or ours.units is None:
        better = ours.higher_is_better
        left, right = ours.values[places] * weight, theirs.values[places] * weight
        return compare(left, right, metric=ours.metric, groups=here, higher_is_better=better, seed=seed)
    left, right = ours.nats[places] * weight, theirs.nats[places] * weight
    return compare_bits_per_byte(left, right, ours.units[places], groups=here, seed=seed)


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
    }


def _least_p(groups: int) -> float:
    """The smallest p that the paired test can give with so many clusters, whatever the difference.

    Of all 2^groups swaps two, none and all, reach any difference; drawn at random, p is at least 1 / (rounds + 1).
    """
    return 2.0 ** (1 - groups) if groups <= EXACT_CLUSTERS else 1 / (FLIPS + 1)


def _facts(metric: str, catalogue: Mapping[str, Metric]) -> dict[str, Any]:
    if metric in LIKELIHOOD:
        return {"unit": UNITS[metric], "higher_is_better": False, "of": "reference"}
    entry = catalogue[metric]
    return {"unit": entry.unit, "higher_is_better": entry.higher_is_better, "of": "reply"}


# --- health and copying ----------------------------------------------------------------------------------------------


HEALTH = ("empty", "cut", "looping", "refused", "wrong_script", "wrong_variety")


def _health(items: Items, system: str, seed: int) -> dict[str, Any]:
    """Shares of replies by `HEALTH`, of Arabic letters and of distinct openings, with their intervals."""
    answers = items.answers[system]
    asked = [row["variety"] for row in items.rows]
    checked = check([answer.reply for answer in answers], [answer.finish for answer in answers], asked)
    scores = summary(checked, groups=items.groups, seed=seed)
    words = [arabic.words(answer.reply) for answer in answers]
    openings = {tuple(some[:OPENING]) for some in words if some}
    spoken = sum(bool(some) for some in words)
    found: dict[str, Any] = {"system": system, "n": len(answers)}
    intervals: dict[str, list[float | None]] = {}
    for name in (one for one in HEALTH if one in scores):
        found[name], intervals[name] = scores[name].value, [scores[name].low, scores[name].high]
    if (other := scores.get("non_arabic")) is not None:
        ends = [None if end is None else 1 - end for end in (other.high, other.low)]
        found["arabic_share"], intervals["arabic_share"] = 1 - other.value, ends
    found["median_words"] = float(np.median([len(some) for some in words]))
    found["distinct_openings"] = len(openings) / spoken if spoken else None
    return {**found, "intervals": intervals, "signatures": {name: score.signature for name, score in scores.items()}}


def _copied(items: Items, index: TrainingIndex, seed: int) -> list[dict[str, Any]]:
    """Longest spans copied from training and novel n-grams, of each system's replies and of the references."""
    texts = {name: [answer.reply for answer in answers] for name, answers in items.answers.items()}
    scored = [place for place, some in enumerate(items.references) if some]
    if scored:
        texts["reference"] = [items.references[place][0] for place in scored]
    found = []
    for name, replies in texts.items():
        groups = [items.groups[place] for place in scored] if name == "reference" else items.groups
        spans = longest_copied(replies, index)
        lengths = np.array([span.words for span in spans])
        longest = spans[int(lengths.argmax())]
        fresh = novelty(replies, index, groups=groups, seed=seed)
        found.append(
            {
                "system": name,
                "slice": {"by": "all", "value": ""},
                "n": len(replies),
                "longest": int(lengths.max()),
                "of": longest.of,
                "text": longest.text,
                "median": float(np.median(lengths)),
                "p95": float(np.quantile(lengths, 0.95)),
                "training_texts": index.texts,
                "training_words": index.words,
                "novelty": {str(n): {"value": s.value, "low": s.low, "high": s.high} for n, s in fresh.items()},
                "signature": next((score.signature for score in fresh.values()), ""),
            }
        )
    return found


# --- writing ---------------------------------------------------------------------------------------------------------


def _write_samples(
    items: Items, measured: Mapping[tuple[str, str], _Measure], metrics: Sequence[str], path: Path
) -> None:
    """One row per item and system, systems together under their item."""
    systems = list(items.answers)
    pairs = [(place, system) for place in range(len(items.ids)) for system in systems]
    answers = [items.answers[system][place] for place, system in pairs]
    columns: dict[str, Any] = {
        "id": [id_hex(answer.row["id"]) for answer in answers],
        "item": [items.ids[place] for place, _ in pairs],
        "system": [system for _, system in pairs],
        **{
            name: [answer.row[name] for answer in answers]
            for name in ("task", "template", "variety", "group", "source")
        },
        "prompt": [_prompt_text(answer.row["messages"][:-1]) for answer in answers],
        "reference": [(answer.row["references"] or [None])[0] for answer in answers],
        "reply": [answer.reply for answer in answers],
        "finish": [answer.finish for answer in answers],
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    for metric in metrics:
        values = np.array([measured[system, metric].values[place] for place, system in pairs])
        table = table.append_column(metric, pa.array(values, pa.float64(), from_pandas=True))
    for name, kind in (("nats", pa.float64()), ("target_bytes", pa.int64()), ("target_tokens", pa.int64())):
        table = table.append_column(name, pa.array([answer.facts.get(name) for answer in answers], kind))
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def _prompt_text(turns: Sequence[Mapping[str, str]]) -> str:
    """A prompt as one text: a single turn as it is, several with the role before each."""
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in turns)


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
