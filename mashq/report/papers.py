"""The section on the paper that a run's recipe stands for: the run in the shape of its table, and what it published.

Published figures (`mashq/data/papers.yaml`) are of other data, another test set and other models: they stand in a box
of their own, never in a column with a run's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mashq.report import judging
from mashq.report.cells import interval_text, slice_text
from mashq.report.lines import code, left_to_right, safe, table
from mashq.report.paper_tables import AGREED, NOVELTY, criteria, read
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["HEADING", "TEMPLATE", "markdown", "read", "view"]

HEADING = "paper_table"
TEMPLATE = "papers.html"
NO_MODEL = "no model at hand"  # why a further system was not run, as an evaluation writes it
MOST_TASKS = 80  # lines of a table by task; report.json has all
PLACES = {"perplexity": 2, "chrF++": 1}  # decimals of scores; else 3, and 2 of what a judge or people gave
MARKS = {"better": "\N{BLACK UP-POINTING TRIANGLE}", "worse": "\N{BLACK DOWN-POINTING TRIANGLE}"}
ARABIC = re.compile("[\u0621-\u064a]")  # letters
LOWER = ("perplexity", "bits_per_byte")

Sentence = tuple[str, dict[str, Any]]  # key in the words, and what is filled in


# --- what the template lays out --------------------------------------------------------------------------------------


def view(words: Words, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of `read` with names, numbers as text, and sentences as (key, values), for page and Markdown alike."""
    several = len({table["step"] for table in facts["tables"]}) > 1
    return {
        "toys": facts["toys"],
        "tables": [_table(words, table, facts["rubric"], several) for table in facts["tables"]],
        "agreement": _agreement(words, facts),
        "published": _published(words, facts["published"]),
    }


def _table(words: Words, table: Mapping[str, Any], rubric: str, several: bool) -> dict[str, Any]:
    shared = {"kind": table["kind"], "heading": f"paper_{table['kind']}", "step": table["step"] if several else ""}
    if table["kind"] == "tasks":
        return {**shared, **_by_task(words, table)}
    names = [_column_name(words, column, table["columns"], rubric) for column in table["columns"]]
    places = [_places(table["kind"], column["metric"]) for column in table["columns"]]
    cells = [cell for family in table["families"] for row in family["rows"] for cell in row["cells"]]
    return {
        **shared,
        "first": "system",
        "simulated": table.get("simulated", False),
        "columns": [
            {"name": name, "note": _direction(table["kind"], column["metric"]), "signature": column["signature"]}
            for name, column in zip(names, table["columns"], strict=True)
        ],
        "families": [
            {
                "name": slice_text(words, family["by"], family["value"]) if len(table["families"]) > 1 else "",
                "rows": [
                    _row(words.term("system_name", row["label"]), row, places) for row in family["rows"]
                ],
            }
            for family in table["families"]
        ],
        "absent": [
            {"label": words.term("system_name", one["label"]), "why": _absent(one["why"])} for one in table["absent"]
        ],
        "notes": [*_marked(words, table, cells), *_told(words, table), *_reasons(words, table, names)],
    }  # fmt: skip


def _by_task(words: Words, table: Mapping[str, Any]) -> dict[str, Any]:
    shown = table["rows"][:MOST_TASKS]
    labels = [words.term("system_name", label) for label in table["labels"]]
    places = [_places("tasks", table["metric"])] * len(labels)
    signed = {"signature": table["signature"], "note": ""}
    hidden = len(table["rows"]) - len(shown)
    return {
        "first": "task",
        "simulated": False,
        "columns": [{"name": label, **signed} for label in labels],
        "families": [{"name": "", "rows": [_row(slice_text(words, "task", r["task"]), r, places) for r in shown]}],
        "absent": [],
        "notes": [("more_rows", {"n": number(hidden)})] if hidden else [],
    }


def _row(label: str, row: Mapping[str, Any], places: Sequence[int]) -> dict[str, Any]:
    """A row's cells as text; a cell of another number of items than the row's says it."""
    cells = [
        {
            "value": number(cell["value"], some),
            "interval": interval_text(cell["low"], cell["high"], some),
            "mark": MARKS.get(cell["verdict"] or "", ""),
            "verdict": cell["verdict"] or "",
            "n": number(cell["n"]) if cell["n"] != row["n"] else "",
        }
        if cell
        else None
        for cell, some in zip(row["cells"], places, strict=True)
    ]
    return {"label": label, "n": number(row["n"]), "cells": cells}


def _places(kind: str, metric: str) -> int:
    return 2 if kind in ("judge", "people") else PLACES.get(metric, 3)


def _direction(kind: str, metric: str) -> str:
    """The key of what is better; "" where the heading says it of all columns."""
    if kind != "scores":
        return ""
    if metric in NOVELTY:
        return "paper_no_quality"
    return "lower_better" if metric in LOWER else "higher_better"


def _column_name(words: Words, column: Mapping[str, Any], every: Sequence[Mapping[str, Any]], rubric: str) -> str:
    """The metric's or criterion's name, with what tells it from its neighbours: the averaging, or the tokenizer."""
    metric = str(column["metric"])
    title = criteria(rubric).get(metric.removeprefix("judge_"))
    if title:
        return title[words.lang]
    name = words.plain("paper_novelty", n=metric[-1]) if metric in NOVELTY else words.term("metric", metric)
    same = [one for one in every if one["metric"] == metric]
    if len({one["by"] for one in same}) > 1:
        return f"{name}{words.comma}{words.plain('paper_macro' if column['by'] == 'macro' else 'paper_weighted')}"
    if len(same) > 1:
        parts = str(column["signature"]).split("|")
        told = next((part for part in parts if part.startswith("tokenizer:")), "")
        return f"{name}{words.comma}{told.partition(':')[2]}" if told else name
    return name


def _absent(why: str) -> Sentence:
    return ("paper_absent_model", {}) if why == NO_MODEL else ("paper_absent", {"why": why})


def _marked(words: Words, table: Mapping[str, Any], cells: Sequence[Mapping[str, Any] | None]) -> list[Sentence]:
    """What the marks mean, or why there can be none."""
    if not any(cells):
        return []
    baseline = words.term("system_name", table["baseline"])
    if table["unmarkable"]:
        return [("paper_unmarkable", {})]
    return [("paper_marks", {"better": MARKS["better"], "worse": MARKS["worse"], "baseline": baseline})]


def _told(words: Words, table: Mapping[str, Any]) -> list[Sentence]:
    """With what the numbers were made: encoder, judge, raters; and the references' own novelty."""
    found: list[Sentence] = []
    if told := table.get("encoder"):
        facts = {name: told.get(name, "?") for name in ("encoder", "layer", "idf", "baseline")}
        facts |= {name: words.plain("none") for name in ("idf", "baseline") if facts[name] == "none"}
        found.append(("paper_encoder", facts))
    if any("|validated:no|" in (column["signature"] or "") for column in table["columns"]):
        found.append(("paper_not_validated", {}))
    if told := table.get("judge"):
        found.append(("paper_judged_by", {"model": told.get("model", "?"), "rubric": told.get("rubric", "?")}))
        found += [("not_judge", {})] if judging.has_no_model({"model": told.get("model", "?")}) else []
    if table.get("raters"):
        found.append(("paper_rated_by", {"n": number(table["raters"])}))
    if table["references"]:
        shares = " · ".join(f"n={one['metric'][-1]}: {number(one['value'], 3)}" for one in table["references"])
        found.append(("paper_references", {"shares": shares}))
    return found


def _reasons(words: Words, table: Mapping[str, Any], names: Sequence[str]) -> list[Sentence]:
    """Why there are dashes, with the names of the columns."""
    by_metric: dict[str, list[str]] = {}
    for column, name in zip(table["columns"], names, strict=True):
        by_metric.setdefault(column["metric"], []).append(name)
    return [
        (one["why"], {"metrics": words.comma.join(dict.fromkeys(n for m in one["metrics"] for n in by_metric[m]))})
        for one in table["reasons"]
    ]


def _agreement(words: Words, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    titles = criteria(facts["rubric"])
    return [
        {
            "name": titles[one["criterion"]][words.lang] if one["criterion"] in titles else one["criterion"],
            "cells": [_coefficient(one["measures"][kind]) for kind in AGREED],
        }
        for one in facts["agreement"]
    ]


def _coefficient(one: Mapping[str, Any] | None) -> dict[str, str] | None:
    if one is None or one["value"] is None:
        return None
    shown = {"value": number(one["value"], 3), "interval": interval_text(one["low"], one["high"], 3)}
    return {**shown, "mark": "", "verdict": "", "n": ""}


def _published(words: Words, paper: Mapping[str, Any]) -> dict[str, Any]:
    def said(text: Any) -> dict[str, str] | None:
        """A text with its direction: a phrase has the page's, a number or a Latin name its own."""
        shown = text[words.lang] if isinstance(text, Mapping) else text
        return {"text": shown, "dir": words.direction if ARABIC.search(shown) else "ltr"} if shown else None

    shown = paper["table"] or {"columns": [], "rows": []}
    rows = [{"system": said(row["system"]), "cells": row["cells"]} for row in shown["rows"]]
    return {
        **{name: paper[name] for name in ("title", "authors", "where")},
        "columns": [said(column) for column in shown["columns"]],
        "rows": rows,
        "gaps": any(cell is None for row in rows for cell in row["cells"]),
        "said": [{"what": said(one["what"]), "value": said(one["value"])} for one in paper["said"]],
        "against": [one[words.lang] for one in paper["against"]],
        "hidden": [one[words.lang] for one in paper["hidden"]],
    }


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(words: Words, facts: Mapping[str, Any]) -> list[str]:
    """The section as lines of Markdown, with its heading."""
    seen, say = view(words, facts), words.plain
    lines = [f"### {say(HEADING)}", "", say("paper_note"), ""]
    lines += [say("paper_toys"), ""] if seen["toys"] else []
    for one in seen["tables"]:
        lines += _table_lines(words, one)
    if seen["agreement"]:
        head = [say("paper_criterion"), *(say(f"paper_{kind.replace(' ', '_')}") for kind in AGREED)]
        rows = [[safe(one["name"]), *(_cell_line(words, cell) for cell in one["cells"])] for one in seen["agreement"]]
        lines += [f"**{say('paper_agreement')}**", *table(head, rows)]
    return [*lines, *_published_lines(words, seen["published"])]


def _table_lines(words: Words, one: Mapping[str, Any]) -> list[str]:
    say = words.plain
    named = f" {code(one['step'])}" if one["step"] else ""
    lines = [f"**{say(one['heading'])}**{named}"]
    lines += ["", f"**{say('paper_simulated')}**"] if one["simulated"] else []
    head = [say(one["first"]), say("items"), *(safe(column["name"]) for column in one["columns"])]
    for family in one["families"]:
        rows = [
            [safe(row["label"]), row["n"], *(_cell_line(words, cell) for cell in row["cells"])]
            for row in family["rows"]
        ]
        gone = [""] * (len(one["columns"]))
        if family is one["families"][0]:
            rows += [[safe(row["label"]), say(row["why"][0], **_safe(row["why"][1])), *gone] for row in one["absent"]]
        lines += ["", safe(family["name"])] if family["name"] else []
        lines += table(head, rows)
    return [*lines, *(f"- {say(key, **_safe(values))}" for key, values in one["notes"]), ""]


def _safe(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: safe(value) for name, value in values.items()}


def _cell_line(words: Words, cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "\N{EN DASH}"
    of = f" (n = {cell['n']})" if cell.get("n") else ""
    return left_to_right(words, f"{cell['value']} {cell['interval']}{of}") + f" {cell.get('mark', '')}".rstrip()


def _published_lines(words: Words, paper: Mapping[str, Any]) -> list[str]:
    say = words.plain
    told = ". ".join(one for one in (paper["authors"], paper["title"], paper["where"]) if one)
    lines = [f"#### {say('paper_published')}", "", f"**{say('paper_apart')}**", ""]
    lines += [f"> {left_to_right(words, safe(told))}", ""]
    if paper["rows"]:
        head = [say("system"), *(_figure(words, column) for column in paper["columns"])]
        rows = [
            [_figure(words, row["system"]), *(safe(cell or "\N{EN DASH}") for cell in row["cells"])]
            for row in paper["rows"]
        ]
        lines += [*table(head, rows), *([say("paper_gaps"), ""] if paper["gaps"] else [])]
    lines += [f"- {safe(one['what']['text'])}: {_figure(words, one['value'])}" for one in paper["said"]]
    lines += ["", *(f"- {safe(one)}" for one in paper["against"]), ""]
    return [*lines, f"{say('paper_hidden')} {words.comma.join(map(safe, paper['hidden']))}", ""]


def _figure(words: Words, text: Mapping[str, str]) -> str:
    """A published figure on a line: a number or a Latin name keeps its order, a phrase is in the line's language."""
    return left_to_right(words, safe(text["text"])) if text["dir"] == "ltr" else safe(text["text"])
