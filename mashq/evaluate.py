"""Replies of several systems on the same items -> samples and scores: intervals by cluster, paired comparisons.

An item is one prompt; systems are joined by its id, so every difference is taken on the same items. An item that one
system has no reply to leaves every system's scores, and is counted. Intervals and tests draw and swap whole groups.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq import arabic
from mashq.metrics import CATALOGUE, Comparison, Metric, Score, compare, holm, mean_score
from mashq.metrics.health import check, summary
from mashq.metrics.novelty import TrainingIndex, longest_copied, novelty
from mashq.metrics.perplexity import bits_per_byte, compare_bits_per_byte, item_bits_per_byte, perplexity
from mashq.metrics.resample import ROUNDS, bootstrap, cluster_codes, cluster_sums
from mashq.metrics.score import extended
from mashq.rows import MashqError, expected_got, id_hex, nearest

__all__ = ["LIKELIHOOD", "SLICES", "evaluate"]

SLICES = ("task", "variety", "source", "template")
LIKELIHOOD = ("bits_per_byte", "perplexity")  # metrics of the reference under the model, not of the reply
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
    seed: int = 0,
    out: Path,
) -> dict[str, Any]:
    """Score every system, compare each with the baseline, write `samples.parquet` and `scores.json` into `out`.

    `systems` gives each system's reply rows: `parents[0]` is the prompt row, the last message is the reply, `meta`
    holds finish, nats, target_tokens and target_bytes. `metrics` are names of `metrics.CATALOGUE`, "bits_per_byte" and
    "perplexity", and metrics of one's own, such as those of `bertscore.metrics`.
    `labels` are the systems' names for people; `about` holds facts on each (model, adapter, tokenizer, decoding),
    written as they are, and its "tokenizer" (else "model") is named in the signature of perplexity. With
    `training_texts` the longest span copied from them and the share of novel n-grams are measured, for the references
    too. Holm's correction is made within each family: all items, each slicing, and the macro average. The same rows and
    seed give the same bytes. Returns what `scores.json` holds.

    Raises MashqError for an unknown metric, slice or baseline, a system that answers an item twice or lacks an item
    altogether (rather than having it dropped with a reason), and where no item is left.
    """
    own = {one.name: one for one in metrics if isinstance(one, Metric)}
    names = [one.name if isinstance(one, Metric) else one for one in metrics]
    catalogue = {**CATALOGUE, **own}
    _check_names(systems, baseline, names, slices, catalogue)
    items, notes = _join({name: _answers(name, tables) for name, tables in systems.items()})
    tokenizers = {
        name: str(facts.get("tokenizer") or facts.get("model") or "unnamed") for name, facts in (about or {}).items()
    }
    measured = {
        (system, metric): _measure(items, system, metric, tokenizers.get(system, "unnamed"), catalogue)
        for system in systems
        for metric in names
    }
    notes += _unscored(items, measured, names, baseline)
    cuts = list(_cuts(items, slices))
    comparisons = _compare_all(
        measured, [name for name in systems if name != baseline], baseline, names, items, cuts, seed
    )
    scores = {
        "systems": [
            {"name": name, "label": (labels or {}).get(name, name), **dict((about or {}).get(name, {}))}
            for name in systems
        ],
        "baseline": baseline,
        "items": len(items.ids),
        "groups": len(np.unique(cluster_codes(len(items.ids), items.groups, "evaluate"))),
        "seed": seed,
        "metrics": {metric: _facts(metric, catalogue) for metric in names},
        "scores": _score_all(measured, items, cuts, seed),
        "comparisons": comparisons,
        "health": [_health(items, name, seed) for name in systems],
        "copied": [] if training_texts is None else _copied(items, TrainingIndex.of(training_texts), seed),
        "notes": notes,
    }
    out.mkdir(parents=True, exist_ok=True)
    _write_samples(items, measured, names, out / "samples.parquet")
    _write_whole(out / "scores.json", json.dumps(scores, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return scores


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


# --- items -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """One system's answer to one item."""

    row: Mapping[str, Any]
    reply: str
    finish: str
    facts: Mapping[str, Any]  # the row's `meta`

    def number(self, name: str) -> float:
        """A number of `meta`, NaN where there is none."""
        value = self.facts.get(name)
        return math.nan if value is None else float(value)


@dataclass(frozen=True)
class _Items:
    """The items that every system answered, in the order of their ids, and the answers in that order."""

    ids: list[str]
    answers: dict[str, list[_Answer]] = field(repr=False)

    @functools.cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """One row an item, for what is the same in every system."""
        return [answer.row for answer in next(iter(self.answers.values()))]

    @functools.cached_property
    def groups(self) -> list[str | None]:
        return [row["group"] for row in self.rows]

    @functools.cached_property
    def references(self) -> list[list[str]]:
        return [row["references"] or [] for row in self.rows]


def _answers(system: str, tables: Iterable[pa.Table]) -> dict[str, _Answer | str]:
    """Item id -> the answer, or the reason for which its row was dropped."""
    found: dict[str, _Answer | str] = {}
    for table in tables:
        for row in table.to_pylist():
            item = id_hex(row["parents"][0]) if row["parents"] else ""
            if not item:
                raise MashqError(f"evaluate: system '{system}': reply {id_hex(row['id'])} has no parent, so no item.")
            if item in found:
                raise MashqError(f"evaluate: system '{system}' answers item {item} twice. Give one reply an item.")
            found[item] = row["dropped"] or _answer(system, row)
    return found


def _answer(system: str, row: Mapping[str, Any]) -> _Answer:
    turns = row["messages"] or []
    if not turns or turns[-1]["role"] != "assistant":
        got = f"a last turn of '{turns[-1]['role']}'" if turns else "no messages"
        raise MashqError(
            expected_got(f"evaluate: system '{system}', reply {id_hex(row['id'])}", "an assistant's turn last", got)
        )
    facts = json.loads(row["meta"] or "{}")
    return _Answer(row, turns[-1]["content"] or "", str(facts.get("finish", "stop")), facts)


def _join(answers: Mapping[str, Mapping[str, _Answer | str]]) -> tuple[_Items, list[dict[str, Any]]]:
    """Items with a reply from every system; what was left out is a note."""
    every = sorted(set().union(*answers.values()))
    for system, found in answers.items():
        lacking = [item for item in every if item not in found]
        if lacking:
            raise MashqError(
                f"evaluate: system '{system}' has no row for {len(lacking)} of {len(every)} items, the first is "
                f"{lacking[0]}. Systems are compared on the same items: drop a reply that failed with a reason."
            )
    reasons = Counter(
        f"{system}: {value.split(':')[0]}"
        for system, found in answers.items()
        for value in found.values()
        if isinstance(value, str)
    )
    kept = [item for item in every if not any(isinstance(found[item], str) for found in answers.values())]
    if not kept:
        raise MashqError(
            expected_got("evaluate: items with a reply from every system", "at least one", f"0 of {len(every)}")
        )
    chosen = {
        system: [answer for item in kept if not isinstance(answer := found[item], str)]
        for system, found in answers.items()
    }
    items = _Items(kept, chosen)
    _check_same(items)
    gone = len(every) - len(kept)
    note = {"code": "missing", "n": gone, "reasons": dict(reasons.most_common())}
    return items, [note] if gone else []


def _check_same(items: _Items) -> None:
    """Raise where two systems were given different references for one item, or counted their bytes differently."""
    first, *others = items.answers.items()
    for system, answers in others:
        for item, one, two in zip(items.ids, first[1], answers, strict=True):
            same = one.row["references"] == two.row["references"]
            sizes = one.number("target_bytes"), two.number("target_bytes")
            if not same or (sizes[0] != sizes[1] and not any(map(math.isnan, sizes))):
                raise MashqError(
                    f"evaluate: item {item} has other references in system '{system}' than in '{first[0]}'."
                )


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


def _measure(items: _Items, system: str, metric: str, tokenizer: str, catalogue: Mapping[str, Metric]) -> _Measure:
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
    known = np.array([place for place, texts in enumerate(items.references) if texts], dtype=np.int64)
    if len(known):
        replies = [answers[place].reply for place in known]
        values[known] = entry.per_item(replies, [items.references[place] for place in known])
    return _Measure(metric, entry.signature, values, higher_is_better=entry.higher_is_better)


def _item_perplexity(nats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.exp(nats / tokens)


def _unscored(
    items: _Items, measured: Mapping[tuple[str, str], _Measure], metrics: Sequence[str], baseline: str
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
    return notes


def _cuts(items: _Items, slices: Sequence[str]) -> Iterable[tuple[str, str, np.ndarray]]:
    """(by, value, positions) of all items and of every value of every slicing, in the order of the names."""
    yield "all", "", np.arange(len(items.ids))
    for by in slices:
        values = [row[by] or "" for row in items.rows]
        for value in sorted(set(values)):
            yield by, value, np.array([place for place, found in enumerate(values) if found == value])


def _by_task(items: _Items) -> dict[str, np.ndarray]:
    return {value: places for _, value, places in list(_cuts(items, ("task",)))[1:]}


def _score_all(
    measured: Mapping[tuple[str, str], _Measure],
    items: _Items,
    cuts: Sequence[tuple[str, str, np.ndarray]],
    seed: int,
) -> list[dict[str, Any]]:
    found = []
    for (system, metric), measure in measured.items():
        for by, value, places in cuts:
            chosen = places[measure.scored[places]]
            if len(chosen):
                score = measure.score(chosen, items.groups, seed)
                found.append(_score_facts(system, metric, by, value, score))
        macro = _macro(measure, _by_task(items), items.groups, seed)
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
    items: _Items,
    cuts: Sequence[tuple[str, str, np.ndarray]],
    seed: int,
) -> list[dict[str, Any]]:
    """Every other system against the baseline, with p corrected within each family (`by`)."""
    tasks = _by_task(items)
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
        "signature": extended(one.signature, "over:task" if by == "macro" else ""),
    }


def _facts(metric: str, catalogue: Mapping[str, Metric]) -> dict[str, Any]:
    if metric in LIKELIHOOD:
        return {"unit": UNITS[metric], "higher_is_better": False, "of": "reference"}
    entry = catalogue[metric]
    return {"unit": entry.unit, "higher_is_better": entry.higher_is_better, "of": "reply"}


# --- health and copying ----------------------------------------------------------------------------------------------


def _health(items: _Items, system: str, seed: int) -> dict[str, Any]:
    """Shares of replies that are empty, cut, looping, in another script or variety; Arabic letters; openings."""
    answers = items.answers[system]
    asked = [row["variety"] for row in items.rows]
    checked = check([answer.reply for answer in answers], [answer.finish for answer in answers], asked)
    scores = summary(checked, groups=items.groups, seed=seed)
    words = [arabic.words(answer.reply) for answer in answers]
    openings = {tuple(some[:OPENING]) for some in words if some}
    spoken = sum(bool(some) for some in words)
    found: dict[str, Any] = {"system": system, "n": len(answers)}
    intervals: dict[str, list[float | None]] = {}
    for name in (one for one in ("empty", "cut", "looping", "wrong_script", "wrong_variety") if one in scores):
        found[name], intervals[name] = scores[name].value, [scores[name].low, scores[name].high]
    if (other := scores.get("non_arabic")) is not None:
        ends = [None if end is None else 1 - end for end in (other.high, other.low)]
        found["arabic_share"], intervals["arabic_share"] = 1 - other.value, ends
    found["median_words"] = float(np.median([len(some) for some in words]))
    found["distinct_openings"] = len(openings) / spoken if spoken else None
    return {**found, "intervals": intervals, "signatures": {name: score.signature for name, score in scores.items()}}


def _copied(items: _Items, index: TrainingIndex, seed: int) -> list[dict[str, Any]]:
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
    items: _Items, measured: Mapping[tuple[str, str], _Measure], metrics: Sequence[str], path: Path
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
