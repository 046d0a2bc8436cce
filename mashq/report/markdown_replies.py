"""The drawn replies of report.md: each item with the digits that `mashq show` takes, so that it can be traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mashq.report.cells import places_of, slice_text, system_label
from mashq.report.lines import cell, code, left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["drawn"]

MOST_ITEMS = 8  # of an evaluation; the page and report.json have all
DIGITS = 12  # of an item's id, as on the page


def drawn(words: Words, run: Mapping[str, Any], seed: int) -> list[str]:
    """The section: of each evaluation the first items that were drawn by `seed`, every text cut for show."""
    if not run["evaluations"]:
        return []
    lines = [f"### {words.plain('replies')}", ""]
    for evaluation in run["evaluations"]:
        lines += [f"#### {code(evaluation['step'])}", ""] if len(run["evaluations"]) > 1 else []
        lines += [_note(words, evaluation, number(seed)), ""]
        for item in evaluation["replies"]["items"][:MOST_ITEMS]:
            lines += _item(words, evaluation, item)
    return lines


def _note(words: Words, evaluation: Mapping[str, Any], seed: str) -> str:
    """How the items were chosen, or that none may be shown."""
    if evaluation["private"]:
        return words.plain("private_replies")
    found = evaluation["replies"]
    if not any(item["pick"] == "best" for item in found["items"]):
        return words.plain("replies_random_note", seed=seed)
    names = {
        "metric": words.term("metric", found["metric"]),
        "system": safe(system_label(words, evaluation, evaluation["primary"])),
        "baseline": safe(system_label(words, evaluation, evaluation["baseline"])),
    }
    return words.plain("replies_note", seed=seed, **names)


def _item(words: Words, evaluation: Mapping[str, Any], item: Mapping[str, Any]) -> list[str]:
    metric = evaluation["replies"]["metric"]
    places = places_of(evaluation["metrics"], metric) if metric else None
    facts = [f"**{words.plain('pick_' + item['pick'])}** {code(item['item'][:DIGITS])}"]
    if item["gain"] is not None:
        gain = left_to_right(words, number(item["gain"], places, signed=True))
        facts.append(f"{words.plain('gain_in', metric=words.term('metric', metric))} {gain}")
    facts += [f"{words.plain(by)}: {safe(slice_text(words, by, value))}" for by, value in item["labels"].items()]
    rows = [[words.plain("prompt"), "", _text(words, item["prompt"])]]
    for reply in item["replies"]:
        value = left_to_right(words, number(reply["value"], places)) if reply["value"] is not None else ""
        rows.append([safe(system_label(words, evaluation, reply["system"])), value, _text(words, reply)])
    rows.append([words.plain("reference"), "", _text(words, item["reference"])])
    head = ["", words.plain("value"), words.plain("role_text")]
    return [" · ".join(facts), *table(head, rows)]


def _text(words: Words, text: Mapping[str, Any]) -> str:
    """A text in a cell, cut for show; one that is empty says so."""
    return cell(text["text"], text["cut"]) if text["text"].strip() else words.plain("empty_text")
