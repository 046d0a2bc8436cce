"""Scores of an evaluation on clean and on contaminated items, what the difference is, and the gain on clean items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq.contamination.check import SUBSETS, Contamination
from mashq.metrics.paired import Comparison, compare, holm
from mashq.metrics.perplexity import bits_per_byte, compare_bits_per_byte, perplexity
from mashq.metrics.resample import cluster_codes, cluster_sums, quantile_t
from mashq.metrics.score import BINARY, Score, extended, mean_score, sign
from mashq.rows import MashqError, expected_got

__all__ = ["subset_scores"]


def subset_scores(
    found: Contamination, samples: pa.Table | Path, scores: Mapping[str, Any], *, seed: int = 0
) -> dict[str, Any]:
    """Every system's scores on each subset of items, what the difference is, and the gain over the baseline when clean.

    `samples` and `scores` are what `evaluate` wrote (`samples.parquet`, `scores.json`). `difference` is contaminated
    minus clean: two disjoint sets of items, so nothing is paired; its interval is Student's around a linearised
    standard error over groups (a group with items in both sets counts in both, once), with the groups of the smaller
    set minus 1 as degrees of freedom, and none where a set has fewer than 2 groups or nothing varies. `gains` compares
    each system with the baseline, pair by pair, on all and on the clean items alone; p is Holm's over the metrics and
    systems of a subset.

    Raises MashqError for a sample of an item that was not checked, and for a metric without a column.
    """
    table = pq.read_table(samples) if isinstance(samples, Path) else samples
    unknown = sorted(set(table["item"].to_pylist()) - found.subset("all"))
    if unknown:
        do = "Check the rows that were asked: their ids are the samples' items."
        raise MashqError(
            expected_got(f"contamination: sample of item {unknown[0]}", "an item that was checked", "none", do)
        )
    by_system: dict[str, dict[str, dict[str, Any]]] = {}
    for line in table.to_pylist():
        by_system.setdefault(line["system"], {})[line["item"]] = line
    known = {(one["system"], one["metric"]): one for one in scores["scores"] if one["slice"]["by"] == "all"}
    members = {name: found.subset(name) for name in SUBSETS}
    lines, differences = [], []
    for (system, metric), whole in known.items():
        columns = {name: _columns(by_system[system], metric, items) for name, items in members.items()}
        for name, rows in columns.items():
            if rows:
                score = _subset_score(metric, rows, whole["signature"], name, seed)
                lines.append({"system": system, "subset": name, **_score_facts(score)})
        gap = _gap(columns["contaminated"], columns["clean"], metric)
        differences.append({"system": system, "metric": metric, **gap})
    gains = [one for name in ("all", "clean") for one in _gains(by_system, scores, known, name, members[name], seed)]
    return {"signature": found.settings.signature, "scores": lines, "differences": differences, "gains": gains}


_Row = tuple[float, float, str | None]  # over, under, group


def _columns(lines: Mapping[str, Mapping[str, Any]], metric: str, items: set[str]) -> list[_Row]:
    """What a metric adds up over the items: a value and 1, or nats and bytes or tokens; without what is not scored."""
    per = {"bits_per_byte": "target_bytes", "perplexity": "target_tokens"}.get(metric)
    found = []
    for item in sorted(items & lines.keys()):
        line = lines[item]
        for name in ("nats", per) if per else (metric,):
            if name not in line:
                raise MashqError(
                    expected_got("contamination: samples", f"a column '{name}' for {metric}", ", ".join(line))
                )
        over, under = (line["nats"], line[per]) if per else (line[metric], 1.0)
        if over is not None and math.isfinite(over) and under:
            found.append((float(over), float(under), line["group"]))
    return found


def _subset_score(metric: str, rows: Sequence[_Row], signature: str, subset: str, seed: int) -> Score:
    over, under, groups = (list(column) for column in zip(*rows, strict=True))
    if metric == "bits_per_byte":
        score = bits_per_byte(over, under, groups=groups, seed=seed)
    elif metric == "perplexity":
        score = perplexity(over, under, tokenizer="", groups=groups, seed=seed)
    else:
        kind = BINARY if BINARY in signature.split("|") else ""
        score = mean_score(over, name=metric, signature=kind, groups=groups, seed=seed)
    return replace(score, name=metric, signature=extended(signature, f"subset:{subset}"))


def _score_facts(score: Score) -> dict[str, Any]:
    facts = asdict(score)
    return {"metric": facts.pop("name"), **facts}


def _gap(ours: Sequence[_Row], theirs: Sequence[_Row], metric: str) -> dict[str, Any]:
    """The first set's mean (or ratio of sums) minus the second's, with the interval that `subset_scores` describes."""
    signature = sign(metric, "contaminated-clean", "ci:linearised-t", "by:group")
    empty = {"difference": None, "low": None, "high": None, "n": [len(ours), len(theirs)], "signature": signature}
    if not ours or not theirs:
        return empty
    scale = 1 / math.log(2) if metric == "bits_per_byte" else 1.0
    rows = [*ours, *theirs]
    codes = cluster_codes(len(rows), [row[2] for row in rows], metric)
    pulls, counts, means = np.zeros(int(codes.max()) + 1), [], []
    for sign_, places in ((1.0, slice(0, len(ours))), (-1.0, slice(len(ours), None))):
        over, under = (np.array([row[column] for row in rows[places]]) for column in (0, 1))
        mean = float(over.sum() / under.sum()) * scale
        sums = cluster_sums(codes[places], (over * scale - mean * under) / under.sum())[:, 0]
        groups = len(np.unique(codes[places]))
        pulls[: len(sums)] += sign_ * math.sqrt(groups / max(groups - 1, 1)) * sums
        counts.append(groups)
        means.append(mean)
    first, second = (math.exp(mean) for mean in means) if metric == "perplexity" else means
    found = {**empty, "difference": first - second}
    error = math.sqrt(float(pulls @ pulls))
    if min(counts) < 2 or error <= 1e-12 or metric == "perplexity":  # a difference of exponentials is not linearised
        return found
    half = quantile_t(0.975, min(counts) - 1) * error
    return {**found, "low": first - second - half, "high": first - second + half}


def _gains(
    by_system: Mapping[str, Mapping[str, Mapping[str, Any]]],
    scores: Mapping[str, Any],
    known: Mapping[tuple[str, str], Mapping[str, Any]],
    subset: str,
    items: set[str],
    seed: int,
) -> list[dict[str, Any]]:
    """Each system minus the baseline on the same items of a subset."""
    baseline = scores["baseline"]
    made: list[tuple[str, Comparison]] = []
    for system, metric in known:
        if system == baseline or metric == "perplexity" or (baseline, metric) not in known:
            continue
        both = [
            item
            for item in sorted(items & by_system[system].keys() & by_system[baseline].keys())
            if _columns(by_system[system], metric, {item}) and _columns(by_system[baseline], metric, {item})
        ]
        if not both:
            continue
        ours, theirs = (_columns(by_system[name], metric, set(both)) for name in (system, baseline))
        left, right, groups = [row[0] for row in ours], [row[0] for row in theirs], [row[2] for row in ours]
        if metric == "bits_per_byte":
            one = compare_bits_per_byte(left, right, [row[1] for row in ours], groups=groups, seed=seed)
        else:
            better = scores["metrics"][metric]["higher_is_better"]
            one = compare(left, right, metric=metric, groups=groups, higher_is_better=better, seed=seed)
        made.append((system, one))
    adjusted = holm([one.p for _, one in made if one.p is not None])  # every one is tested
    return [
        {"system": system, "baseline": baseline, "subset": subset, **asdict(one), "p_holm": p}
        for (system, one), p in zip(made, adjusted, strict=True)
    ]
