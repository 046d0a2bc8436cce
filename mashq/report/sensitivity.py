"""Whether the order of the systems hangs on how Arabic text is made comparable: ranks under each text profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.report.cells import interval_text, num, system_label
from mashq.report.lines import left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["markdown", "view"]

PLACES = {"chrF++": 1, "BLEU": 1}  # 0..100; the others 0..1 have three


def view(words: Words, evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """A table a metric, system by profile, with the verdict as a sentence; None where it was not measured."""
    found = evaluation["sensitivity"]
    if not found:
        return None
    return {
        "profiles": [words.term("profile_name", name) for name in found["profiles"]],
        "metrics": [_metric(words, evaluation, verdict) for verdict in found["verdicts"]],
        "n": found["n"],
        "clusters": found["clusters"],
    }


def _metric(words: Words, evaluation: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    found, metric = evaluation["sensitivity"], verdict["metric"]
    cells = {(one["profile"], one["system"]): one for one in found["cells"] if one["metric"] == metric}
    turned = {name for one in found["agreements"] for name in _turned(one, metric)}
    rows = [
        {
            "name": system,
            "label": system_label(words, evaluation, system),
            "turned": system in turned,
            "cells": [_cell(cells[profile, system]) for profile in found["profiles"]],
        }
        for system in found["systems"]
    ]
    values = {"turns": verdict["turns"], "certain": verdict["certain"], "tau": number(verdict["tau"], 2)}
    return {
        "metric": metric,
        "name": words.term("metric", metric),
        "key": verdict["key"],
        "values": values,
        "shown": {name: num(value) if isinstance(value, int) else value for name, value in values.items()},
        "rows": rows,
    }


def _turned(agreement: Mapping[str, Any], metric: str) -> set[str]:
    """The systems that change places between two profiles."""
    mine = agreement["turns"] if agreement["metric"] == metric else []
    return {name for turn in mine for name in (turn["first"], turn["second"])}


def _cell(one: Mapping[str, Any]) -> dict[str, Any]:
    score, places = one["score"], PLACES.get(one["metric"], 3)
    return {
        "value": score["value"],
        "places": places,
        "interval": interval_text(score["low"], score["high"], places),
        "rank": one["rank"],
    }


def markdown(words: Words, evaluation: Mapping[str, Any]) -> list[str]:
    """The tables and the verdicts; nothing where it was not measured."""
    shown = view(words, evaluation)
    if shown is None:
        return []
    lines = [f"### {words.plain('sensitivity')}", "", words.plain("sensitivity_note"), ""]
    for one in shown["metrics"]:
        head = [words.plain("system"), *shown["profiles"]]
        rows = [[safe(row["label"]), *_texts(words, row["cells"])] for row in one["rows"]]
        sentence = words.plain(f"sensitivity_{one['key']}", **one["values"])
        lines += [f"**{safe(one['name'])}** {sentence}", *table(head, rows)]
    return lines


def _texts(words: Words, cells: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        left_to_right(words, f"{number(one['value'], one['places'])} {one['interval']} ({one['rank']})")
        for one in cells
    ]
