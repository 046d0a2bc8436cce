"""The section on what people said of the replies: means, differences, how far raters agree, and a judge beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashq.record import Step
from mashq.report import disagreements
from mashq.report.cells import interval_text, p_text
from mashq.report.evaluated import ALPHA, verdict
from mashq.report.lines import left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words
from mashq.rows import MashqError, expected_got

__all__ = ["HEADING", "TEMPLATE", "markdown", "read", "view"]

HEADING = "people"
TEMPLATE = "people.html"
EVERY = "all"  # varieties together, as people.json names them
PLACES = 2  # decimals of scores and coefficients
WARNED = ("ordinal alpha", "quadratic kappa")  # coefficients whose trouble is told, the first of them that has some
MOST_FAILED = 0.2  # share of attention items above which a rater is pointed at

Sentence = tuple[str, dict[str, Any]]  # key in the words, and what is filled in


def read(step: Step) -> dict[str, Any]:
    """`people.json`. Raises MashqError where it is absent or is something else."""
    path = step.folder / "people.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MashqError(expected_got(f"report: {path}", "what people said", f"none ({error})")) from error
    if not isinstance(found, dict) or "raters" not in found:
        raise MashqError(expected_got(f"report: {path}", "what people said, with 'raters'", type(found).__name__))
    return found


def view(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with names, numbers as text and sentences, for page and Markdown alike."""
    labels = {name: label for one in run["evaluations"] for name, label in one["labels"].items()}

    def label(system: str) -> str:
        return words.term("system_name", str(labels.get(system, system)))

    shown = {
        "figures": _figures(facts),
        "means": [_means(words, facts, label, variety) for variety in _varieties(facts["means"])],
        "differences": [_difference(words, one, label) for one in facts["comparisons"]],
        "preferred": [_difference(words, one, label) for one in facts["preferences"]],
        "agreed": [_agreed(words, one) for one in facts["agreement"]],
        "warnings": [_sentence(words, one) for one in _warnings(words, facts)],
        "severe": _severe(words, facts),
        "beside": _beside(words, facts["judge"]),
        "few": [_sentence(words, one) for one in _too_few(facts)],
        "none": facts["means"] and not facts["comparisons"],
        "base": label(facts["baseline"]),
    }
    return {**facts, **shown}


def _figures(facts: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key of the name, number, number it is out of or None)."""
    found = [("people_raters", len(facts["raters"]), None)]
    if facts["replies"]:
        found.append(("people_replies", facts["replies"], facts["replies_of"]))
    if facts["pairs"]:
        found.append(("people_pairs", facts["pairs"], None))
    found += [("people_answers", facts["answers"], None), ("people_missing", facts["ratings_an_item"]["missing"], None)]
    if facts["seconds"]:
        found.append(("people_median_seconds", round(facts["seconds"]["median"], 1), None))
    return found


def _criterion(words: Words, name: str) -> str:
    return words.term("people_criterion_name", name)


def _variety(words: Words, name: str) -> str:
    return words.plain("people_every_variety") if name == EVERY else words.term("variety_name", name)


def _varieties(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(one["variety"] for one in lines))


def _means(words: Words, facts: Mapping[str, Any], label: Any, variety: str) -> dict[str, Any]:
    """A table of one variety: systems down, criteria across."""
    here = {(one["system"], one["criterion"]): one for one in facts["means"] if one["variety"] == variety}
    criteria = list(dict.fromkeys(criterion for _, criterion in here))
    rows = [
        {"label": label(system), "cells": [_scored(here.get((system, criterion))) for criterion in criteria]}
        for system in facts["systems"]
        if any((system, criterion) in here for criterion in criteria)
    ]
    signatures = list(dict.fromkeys(one["signature"] for one in here.values()))
    return {
        "variety": _variety(words, variety),
        "columns": [_criterion(words, criterion) for criterion in criteria],
        "rows": rows,
        "signatures": signatures,
    }


def _scored(one: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {**one, "interval": interval_text(one["low"], one["high"], PLACES)} if one else None


def _difference(words: Words, one: Mapping[str, Any], label: Any) -> dict[str, Any]:
    return {
        **one,
        "criterion_name": _criterion(words, one["criterion"]),
        "variety_name": _variety(words, one["variety"]),
        "a_label": label(one["a"]),
        "b_label": label(one["b"]),
        "interval": interval_text(one["low"], one["high"], PLACES),
        "p_text": p_text(one["p_holm"]),
        "outcomes": f"{one['wins']} / {one['ties']} / {one['losses']}",
        "verdict": verdict(one, higher_is_better=True),
    }


def _too_few(facts: Mapping[str, Any]) -> list[Sentence]:
    """That no difference could be significant, where so few groups were rated."""
    few = [one for one in [*facts["comparisons"], *facts["preferences"]] if one["least_p"] >= ALPHA]
    told = dict.fromkeys((one["groups"], number(one["least_p"], 3)) for one in few if one["variety"] == EVERY)
    return [("people_too_few", {"groups": groups, "p": p}) for groups, p in told]


# --- agreement --------------------------------------------------------------------------------------------------------


def _key(name: str) -> str:
    """Key of a coefficient's name, or of a yardstick's word: `ordinal alpha` -> `people_ordinal_alpha`."""
    return f"people_{name.replace(' ', '_')}"


def _word(words: Words, measure: Mapping[str, Any]) -> str:
    return words.plain(_key(f"word {measure['word']}")) if measure["word"] else ""


def _agreed(words: Words, one: Mapping[str, Any]) -> dict[str, Any]:
    cells = [_coefficient(words, measure) for measure in one["measures"]]
    names = {"criterion_name": _criterion(words, one["criterion"]), "variety_name": _variety(words, one["variety"])}
    return {**one, **names, "cells": cells}


def _coefficient(words: Words, measure: Mapping[str, Any]) -> dict[str, Any]:
    interval = interval_text(measure["low"], measure["high"], PLACES)
    return {**measure, "interval": interval, "said": _word(words, measure)}


def _warnings(words: Words, facts: Mapping[str, Any]) -> list[Sentence]:
    """What is wrong with the agreement of all varieties together, then who failed attention items, then the judge."""
    found: list[Sentence] = []
    for one in facts["agreement"]:
        troubled = [measure for measure in one["measures"] if measure["name"] in WARNED and measure["trouble"]]
        for measure in troubled[:1]:
            if one["variety"] == EVERY:
                filled = {
                    "criterion": _criterion(words, one["criterion"]),
                    "variety": _variety(words, one["variety"]),
                    "measure": words.plain(_key(measure["name"])),
                    "value": number(measure["value"], PLACES),
                    "word": _word(words, measure),
                    "low": number(measure["low"], PLACES),
                }
                found.append((_key(measure["trouble"]), filled))
    for rater in facts["raters"]:
        attention = rater["attention"]
        if attention["failed"] > MOST_FAILED * attention["items"]:
            filled = {"rater": rater["rater"], "failed": attention["failed"], "of": attention["items"]}
            found.append(("people_inattentive", filled))
    return found + _below(words, facts["judge"])


def _below(words: Words, judge: Mapping[str, Any] | None) -> list[Sentence]:
    """Criteria on which the judge's kappa with people is surely less than theirs with each other."""
    found: list[Sentence] = []
    for one in judge["criteria"] if judge else ():
        kappa = next(measure for measure in one["measures"] if measure["name"] == "quadratic kappa")
        difference = kappa.get("difference")  # absent where it was measured before there was one
        if difference and difference["below"]:
            interval = interval_text(difference["low"], difference["high"], PLACES)
            filled = {
                "criterion": _criterion(words, one["criterion"]),
                "value": number(kappa["judge"]["value"], PLACES),
                "people": number(kappa["people"]["value"], PLACES),
                "difference": f"{number(difference['value'], PLACES)} {interval}",
            }
            found.append(("people_below", filled))
    return found


def _sentence(words: Words, one: Sentence) -> Any:
    key, filled = one
    return words.html(key, **filled)


def _severe(words: Words, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Raters down, the criteria's severity across."""
    raters = facts["raters"]
    criteria = list(dict.fromkeys(one["criterion"] for rater in raters for one in rater["severity"]))
    rows = []
    for rater in raters:
        here = {one["criterion"]: one for one in rater["severity"]}
        attention = rater["attention"]
        rows.append(
            {
                **rater,
                "failed": f"{attention['failed']} / {attention['items']}" if attention["items"] else "–",
                "median": rater["seconds"] and rater["seconds"]["median"],
                "cells": [_scored(here.get(criterion)) for criterion in criteria],
            }
        )
    return {"columns": [_criterion(words, criterion) for criterion in criteria], "rows": rows}


def _beside(words: Words, judge: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The judge's coefficients, people's, and the one minus the other, criterion by criterion."""
    if not judge:
        return None
    rows = [
        {
            "criterion_name": _criterion(words, one["criterion"]),
            "replies": one["replies"],
            "higher": one["higher"],
            "name": words.plain(_key(measure["name"])),
            "first": place == 0,
            "judge": _coefficient(words, measure["judge"]),
            "people": measure["people"] and _coefficient(words, measure["people"]),
            "difference": _scored(measure.get("difference")),
        }
        for one in judge["criteria"]
        for place, measure in enumerate(one["measures"])
    ]
    return {"model": judge.get("model", ""), "rows": rows}


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """The banner, the figures and every table of the section; the signatures are in report.json."""
    shown, say = view(words, facts, run), words.plain
    lines = [f"**{say('people_simulated')}.** {say('people_simulated_why')}", ""] if facts["simulated"] else []
    figures = (f"{say(key)}: {_out_of(words, value, of)}" for key, value, of in shown["figures"])
    lines += ["; ".join(figures), ""]
    for means in shown["means"]:
        head = [f"{say('people_means')}: {means['variety']}", *map(safe, means["columns"])]
        rows = [[safe(row["label"]), *(_cell(words, one) for one in row["cells"])] for row in means["rows"]]
        lines += table(head, rows)
    lines += _differences_lines(words, shown["differences"], "people_differences")
    lines += _differences_lines(words, shown["preferred"], "people_preferences")
    lines += [f"- {_plain_sentence(words, one)}" for one in [*_too_few(facts), *_warnings(words, facts)]]
    if shown["agreed"]:
        names = [say(_key(one["name"])) for one in shown["agreed"][0]["cells"]]
        head = [say("people_agreement"), say("people_variety"), say("people_items"), *names]
        lines += table(head, (_agreement_line(words, one) for one in shown["agreed"]))
    lines += [*_raters_lines(words, shown["severe"]), *_judge_lines(words, shown["beside"])]
    return [*lines, *disagreements.markdown(words, facts["step"], run)]


def _plain_sentence(words: Words, one: Sentence) -> str:
    key, filled = one
    said = {name: safe(value) for name, value in filled.items()}
    if "difference" in said:  # a minus and an interval, which an Arabic line would turn round
        said["difference"] = left_to_right(words, said["difference"])
    return words.plain(key, **said)


def _out_of(words: Words, value: float, of: int | None) -> str:
    return number(value) if of is None else words.plain("people_of", n=number(value), of=number(of))


def _cell(words: Words, one: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if one is None or one["value"] is None:
        return "–"
    return left_to_right(words, f"{number(one['value'], PLACES, signed=signed)} {one['interval']}")


def _differences_lines(words: Words, found: Sequence[Mapping[str, Any]], heading: str) -> list[str]:
    if not found:
        return []
    keys = ("people_criterion", "people_variety", "difference", "interval", "p_holm", "people_outcomes", "items")
    rows = [
        [
            words.plain("people_difference_of", a=safe(one["a_label"]), b=safe(one["b_label"])),
            safe(one["criterion_name"]),
            safe(one["variety_name"]),
            left_to_right(words, number(one["difference"], PLACES, signed=True)),
            left_to_right(words, one["interval"]),
            left_to_right(words, one["p_text"]),
            left_to_right(words, one["outcomes"]),
            number(one["n"]),
        ]
        for one in found
    ]
    return table([words.plain(heading), *map(words.plain, keys)], rows)


def _agreement_line(words: Words, one: Mapping[str, Any]) -> list[str]:
    cells = (f"{_cell(words, cell)} {cell['said']}".strip() for cell in one["cells"])
    return [safe(one["criterion_name"]), safe(one["variety_name"]), number(one["items"]), *cells]


def _raters_lines(words: Words, severe: Mapping[str, Any]) -> list[str]:
    say = words.plain
    severity = [say("people_severity", criterion=safe(name)) for name in severe["columns"]]
    keys = ("people_rater", "people_dialect", "people_items", "people_median_seconds", "people_attention")
    rows = [
        [
            row["rater"],
            safe(words.term("variety_name", row["dialect"])) or "–",
            number(row["items"]),
            number(row["median"], 1),
            left_to_right(words, row["failed"]),
            *(_cell(words, one, signed=True) for one in row["cells"]),
        ]
        for row in severe["rows"]
    ]
    return table([*map(say, keys), *severity], rows)


def _judge_lines(words: Words, beside: Mapping[str, Any] | None) -> list[str]:
    if not beside:
        return []
    say = words.plain
    keys = ("people_coefficient", "people_with_judge", "people_with_people", "people_above", "people_replies")
    rows = (
        [
            safe(row["criterion_name"]),
            row["name"],
            _cell(words, row["judge"]),
            _cell(words, row["people"]),
            _cell(words, row["difference"], signed=True),
            number(row["replies"]),
        ]
        for row in beside["rows"]
    )
    head = [say("people_judge"), *map(say, keys)]
    return [say("people_judge_model", model=safe(beside["model"] or "–")), *table(head, rows)]
