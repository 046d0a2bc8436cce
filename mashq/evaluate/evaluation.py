"""Replies of several systems on the same items -> samples and scores: intervals by cluster, paired comparisons.

An item is one prompt; systems are joined by its id, so every difference is taken on the same items. An item that one
system has no reply to leaves every system's scores, and is counted. Intervals and tests draw and swap whole groups.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq import obedience
from mashq.evaluate.crossings import crossed
from mashq.evaluate.health import copied, health
from mashq.evaluate.items import Answer, Items, answers_of, join
from mashq.evaluate.measure import LIKELIHOOD, Measure, measure
from mashq.evaluate.scores import compare_all, score_all
from mashq.evaluate.slices import SLICES, cuts, labelled
from mashq.metrics import CATALOGUE, Metric
from mashq.metrics.novelty import TrainingIndex
from mashq.metrics.resample import cluster_codes
from mashq.metrics.sensitivity import METRICS as OVERLAP
from mashq.metrics.sensitivity import sensitivity
from mashq.rows import MashqError, expected_got, id_hex, nearest
from mashq.shards import write_whole

__all__ = ["evaluate"]

NOT_ASKED = "not asked"  # how a judged row's reason begins for a criterion that does not apply to it
JUDGE = "judge_"  # how the name of a judge's metric begins
ABSENT = ("label", "model", "why")  # what is said of a system that was not run
UNITS = {"bits_per_byte": "bits/byte", "perplexity": "per token"}


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
    `training_texts` the longest span copied from them and the share of n-grams new against them and the context (and
    against each alone) are measured, for the references too. `origins` (`lineage_origin.origins`) says of items, by id,
    whether they are native, translated or synthetic, where their rows do not; `absent` names systems that were not run:
    of each its label, its model and why.
    Holm's correction is made within each family: all items, each slicing, and the macro average. Crossings of two
    slicings are described and not tested (`crossings` says why). The same rows and seed give the same bytes.
    Returns what `scores.json` holds.

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
        (system, metric): measure(items, system, metric, tokenizers.get(system, "unnamed"), catalogue)
        for system in systems
        for metric in names
    }
    notes += _unscored(items, measured, names)
    labels_of = {by: labelled(by, items, origins) for by in slices}
    sliced = list(cuts(items, slices, labels_of))
    comparisons = compare_all(
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
        "scores": score_all(measured, items, sliced, seed),
        "comparisons": comparisons,
        "crossings": crossed(measured, baseline, items, labels_of, seed),
        "sensitivity": _sensitivity(items, names, seed),
        "health": [health(items, name, seed) for name in systems],
        "copied": [] if training_texts is None else copied(items, TrainingIndex.of(training_texts), seed),
        "notes": notes,
    }
    out.mkdir(parents=True, exist_ok=True)
    _write_samples(items, measured, names, out / "samples.parquet")
    text = json.dumps(scores, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with write_whole(out / "scores.json") as partial:
        partial.write_text(text, encoding="utf-8")
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


# --- what is said beside the scores ----------------------------------------------------------------------------------


def _unscored(
    items: Items, measured: Mapping[tuple[str, str], Measure], metrics: Sequence[str]
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


def _unjudged(items: Items, measured: Mapping[tuple[str, str], Measure]) -> list[dict[str, Any]]:
    """Notes on replies without a judge's score: by system and metric how many, and why as the judged rows say it.

    "not_asked": the criterion does not apply to the item; "unjudged": it was asked for and no score could be read.
    """
    notes: list[dict[str, Any]] = []
    for (system, metric), one in measured.items():
        if not metric.startswith(JUDGE):
            continue
        answers = [items.answers[system][place] for place in np.flatnonzero(~one.scored)]
        reasons = Counter(_why(answer, metric.removeprefix(JUDGE)) for answer in answers)
        spared = {why: n for why, n in reasons.items() if why == NOT_ASKED}
        for code, some in (("unjudged", reasons - Counter(spared)), ("not_asked", spared)):
            if some:
                told = dict(sorted(some.items(), key=lambda pair: (-pair[1], pair[0])))
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


def _facts(metric: str, catalogue: Mapping[str, Metric]) -> dict[str, Any]:
    if metric in LIKELIHOOD:
        return {"unit": UNITS[metric], "higher_is_better": False, "of": "reference"}
    entry = catalogue[metric]
    return {"unit": entry.unit, "higher_is_better": entry.higher_is_better, "of": "reply"}


# --- writing ---------------------------------------------------------------------------------------------------------


def _write_samples(
    items: Items, measured: Mapping[tuple[str, str], Measure], metrics: Sequence[str], path: Path
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
    with write_whole(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def _prompt_text(turns: Sequence[Mapping[str, str]]) -> str:
    """A prompt as one text: a single turn as it is, several with the role before each."""
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in turns)
