"""What of the test items the model had learnt, stage by stage, and what is left of the gain on the clean ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.record import Step, read_contamination
from mashq.report.cells import interval_text, p_text, places_of
from mashq.report.lines import cell, code, left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words

HEADING = "contamination"
TEMPLATE = "contamination.html"


def read(step: Step) -> dict[str, Any]:
    """`contamination.json`. Raises MashqError where it is absent."""
    return read_contamination(step)


def view(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Stages with the kinds of evidence in words, and scores of all items beside those of the clean ones."""
    stages = [
        {**stage, "found": _evidence(words, stage), "interval": _share_interval(stage)}
        for stage in facts["stages"]
        if stage["rows"]  # a step of validation rows alone taught nothing
    ]
    common = [{**one, "why_name": words.term("wording_kind", one["why"])} for one in facts["common_wording"]]
    return {
        **facts,
        "stages": stages,
        "gains": _gains(words, facts, run) if _something_left_out(facts) else [],
        "same_gains": bool(_all_gains(facts)) and not _something_left_out(facts),
        "common_wording": common,
    }


def _all_gains(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list((facts["scores"] or {}).get("gains", []))


def _something_left_out(facts: Mapping[str, Any]) -> bool:
    """Whether the clean items are fewer than all in any difference; else the two lines of each would be the same."""
    counts: dict[tuple[str, str], set[int]] = {}
    for one in _all_gains(facts):
        counts.setdefault((one["system"], one["metric"]), set()).add(one["n"])
    return any(len(several) > 1 for several in counts.values())


def _evidence(words: Words, stage: Mapping[str, Any]) -> str:
    kinds = ((kind, one["n"]) for kind, one in stage["kinds"].items() if one["n"])
    return words.comma.join(f"{words.term('evidence_kind', kind)}: {number(n)}" for kind, n in kinds)


def _share_interval(stage: Mapping[str, Any]) -> str:
    return interval_text(stage["contaminated"]["low"], stage["contaminated"]["high"], 3)


def _gains(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Differences from the baseline on all items and on the clean ones, the two beneath each other."""
    labels = {name: label for one in run["evaluations"] for name, label in one["labels"].items()}
    metrics = {name: about for one in run["evaluations"] for name, about in one["metrics"].items()}
    gains = []
    for one in _all_gains(facts):
        places = places_of(metrics, one["metric"])
        shown = {
            "label": words.term("system_name", str(labels.get(one["system"], one["system"]))),
            "name": words.term("metric", one["metric"]),
            "places": places,
            "interval": interval_text(one["low"], one["high"], places),
            "p": p_text(one["p_holm"]),
        }
        gains.append({**one, **shown})
    return sorted(gains, key=lambda one: (one["system"], one["metric"], one["subset"]))


def markdown(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What the page shows: the verdict, the stages with their evidence, the gains, and the wording left out."""
    say, shown = words.plain, view(words, facts, run)
    told = f"**{say('contamination_' + facts['verdict'])}**"
    rows = [
        [
            safe(stage["stage"]),
            number(stage["rows"]),
            number(stage["contaminated"]["n"]),
            number(stage["contaminated"]["share"], 3),
            left_to_right(words, stage["interval"]),
            safe(stage["found"] or "–"),
        ]
        for stage in shown["stages"]
    ]
    counts = {"items": facts["items"], "contaminated_items": facts["contaminated"]["n"]}
    counts |= {"clean_items": facts["clean"], "untold_items": facts["untold"]}
    heads = ("stage", "rows_learnt", "contaminated_items", "share", "interval", "evidence")
    return [
        say("contamination_note"),
        "",
        words.comma.join([told, *(f"{say(key)}: {number(n)}" for key, n in counts.items())]),
        "",
        *table([say(key) for key in heads], rows),
        *_gains_table(words, shown["gains"]),
        *([say("contamination_same"), ""] if shown["same_gains"] else []),
        *_wording_table(words, shown["common_wording"]),
        f"{say('signature')}: {code(facts['signature'])}",
        "",
    ]


def _wording_table(words: Words, common: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [[cell(one["text"]), safe(one["why_name"]), number(one["items"])] for one in common]
    head = [words.plain(key) for key in ("wording", "reason", "items")]
    return [f"#### {words.plain('common_wording')}", *table(head, rows)] if rows else []


def _gains_table(words: Words, gains: list[dict[str, Any]]) -> list[str]:
    if not gains:
        return []
    say = words.plain
    rows = [
        [
            safe(one["label"]),
            safe(one["name"]),
            say(f"subset_{one['subset']}"),
            left_to_right(words, number(one["difference"], one["places"], signed=True)),
            left_to_right(words, one["interval"]),
            left_to_right(words, safe(one["p"])),
            number(one["n"]),
        ]
        for one in gains
    ]
    keys = ("system", "measured", "subset", "difference", "interval", "p_holm", "items")
    return [say("contamination_gains"), *table([say(key) for key in keys], rows)]
