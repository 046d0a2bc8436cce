"""Two slicings crossed, as a grid: a system's value in each cell, its difference from the baseline, and the items.

Cells are described and not tested (`mashq.evaluate.crossings`), so nothing here has a p or a verdict. A cell *leans* to
one side; it leans surely where it has enough items and the interval of its difference leaves zero out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mashq.report.cells import interval_text, num, numerals, places_of, slice_text, system_label
from mashq.report.lines import left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.words import Words, isolate

__all__ = ["markdown", "read", "shown", "view"]

MOST_ROWS, MOST_COLUMNS = 30, 12  # of a grid on the page: those with most items; report.json has all
ORDERED = ("length", "origin")  # columns whose values have an order of their own
LEANS = {  # what a cell leans to, and whether surely -> its words
    ("better", True): "lean_better",
    ("better", False): "lean_better_unsure",
    ("worse", True): "lean_worse",
    ("worse", False): "lean_worse_unsure",
    ("same", False): "lean_same",
}
NAMED = {"worst": ("crossing_worst", "value"), "least_gain": ("crossing_least_gain", "difference")}
WHY = {"repeats": "crossing_repeats", "thin": "crossing_thin"}  # why a crossing is not there, where it is worth a line

Entry = Mapping[str, Any]
Cells = Mapping[tuple[str, str], Entry]  # (row, column) -> a score or a comparison


def read(scores: Mapping[str, Any], metrics: Mapping[str, Entry], *, least_groups: int) -> dict[str, Any] | None:
    """The crossings of an evaluation with what each cell leans to, and the worst cells of the first system that is not
    the baseline (the baseline where it is alone); None for an evaluation made before there were any.

    `worst` and `least_gain` give, by metric, the cell of lowest value and of smallest gain over all crossings, among
    cells with `least_items` items; each crossing has its own too.
    """
    found = scores.get("crossings")
    if found is None:
        return None
    least = found["least_items"]
    names = [system["name"] for system in scores["systems"]]
    system = next((name for name in names if name != scores["baseline"]), scores["baseline"])
    made = []
    for one in found["made"]:
        comparisons = [{**entry, **_lean(entry, metrics, least)} for entry in one["comparisons"]]
        rough = [{**entry, "rough": entry["groups"] < least_groups} for entry in one["scores"]]
        whole = {**one, "scores": rough, "comparisons": comparisons}
        mine = [entry for entry in rough if entry["system"] == system]
        gains = [entry for entry in comparisons if entry["a"] == system]
        worst = _lowest(mine, "value", metrics, least, one)
        made.append({**whole, "worst": worst, "least_gain": _lowest(gains, "difference", metrics, least, one)})
    return {
        **found,
        "system": system,
        "least_groups": least_groups,
        "made": made,
        "worst": _lowest((e for one in made for e in one["worst"].values()), "value", metrics, least),
        "least_gain": _lowest((e for one in made for e in one["least_gain"].values()), "difference", metrics, least),
    }


def _lean(entry: Entry, metrics: Mapping[str, Entry], least: int) -> dict[str, Any]:
    """`lean` is better, worse or same, by the sign of the difference; `sure` as the module says."""
    difference, low, high = entry["difference"], entry["low"], entry["high"]
    if not difference:
        return {"lean": "same", "sure": False}
    better = (difference > 0) == metrics[entry["metric"]]["higher_is_better"]
    apart = low is not None and high is not None and (low > 0 or high < 0)
    return {"lean": "better" if better else "worse", "sure": apart and entry["n"] >= least}


def _lowest(
    entries: Iterable[Entry], of: str, metrics: Mapping[str, Entry], least: int, one: Entry | None = None
) -> dict[str, dict[str, Any]]:
    """Metric -> the entry that is worst by its field `of`, with the names of its crossing; the first of equals."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["n"] < least:
            continue
        sign = 1 if metrics[entry["metric"]]["higher_is_better"] else -1
        known = found.get(entry["metric"])
        if known is None or sign * entry[of] < sign * known[of]:
            crossing = {"rows": one["rows"], "columns": one["columns"]} if one else {}
            found[entry["metric"]] = {**crossing, **entry}
    return found


# --- page ------------------------------------------------------------------------------------------------------------


def shown(words: Words, cell: Entry, field: str, places: int | None) -> dict[str, Markup]:
    """What a sentence on a cell says: its name, the number in `field` with its interval, and its items."""
    ends: Markup = isolate(words.plain("no_interval"))
    if text := _interval(cell, places):
        ends = numerals(text)
    value = num(cell[field], places, signed=field == "difference")
    return {"cell": _name(words, cell), "value": value, "interval": ends, "n": num(cell["n"])}


def _interval(entry: Entry, places: int | None) -> str:
    """`[low, high]`, empty where there is none."""
    return "" if entry["low"] is None else interval_text(entry["low"], entry["high"], places)


def _name(words: Words, cell: Entry) -> Markup:
    """`task: capital × source: xquad`, each part isolated."""
    parts = ((cell["rows"], cell["row"]), (cell["columns"], cell["column"]))
    named = [Markup("{}: {}").format(words.plain(by), isolate(slice_text(words, by, value))) for by, value in parts]
    return Markup(" × ").join(named)


def view(words: Words, evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """A grid for each crossing and metric; None where there is nothing to say."""
    found = evaluation["crossings"]
    if found is None:
        return None
    told = [_left_out(words, one, found["least_items"]) for one in found["left_out"] if one["why"] in WHY]
    if not found["made"] and not told:
        return None
    return {
        "made": [
            {
                "title": Markup("{} × {}").format(words.plain(one["rows"]), words.plain(one["columns"])),
                "grids": [grid for metric in evaluation["metrics"] if (grid := _grid(words, evaluation, one, metric))],
            }
            for one in found["made"]
        ],
        "left_out": told,
        "least_items": found["least_items"],
        "least_groups": found["least_groups"],
        "a": system_label(words, evaluation, found["system"]),
        "b": system_label(words, evaluation, evaluation["baseline"]),
        "alone": found["system"] == evaluation["baseline"],
    }


def _left_out(words: Words, one: Entry, least: int) -> Markup:
    of = words.plain(one["of"]) if one["of"] else ""
    names = {"rows": words.plain(one["rows"]), "columns": words.plain(one["columns"]), "of": of}
    return words.html(WHY[one["why"]], n=num(least), **names)


def _grid(words: Words, evaluation: Mapping[str, Any], one: Entry, metric: str) -> dict[str, Any] | None:
    """One metric of one crossing; None where no cell of the system has a score."""
    system = evaluation["crossings"]["system"]
    values = _cells(one["scores"], "system", system, metric)
    gains = _cells(one["comparisons"], "a", system, metric)
    if not values:
        return None
    rows = _most(one["row_values"], values, 0, MOST_ROWS)
    columns = _most(one["column_values"], values, 1, MOST_COLUMNS)
    if one["columns"] not in ORDERED:  # the fullest first, as a phone shows only the first
        columns = _fullest(columns, values)
    places = places_of(evaluation["metrics"], metric)
    lines = [
        {
            "name": slice_text(words, one["rows"], row),
            "cells": [_cell(values.get((row, column)), gains.get((row, column)), places) for column in columns],
        }
        for row in rows
    ]
    signature = next((entry["signature"] for entry in (*gains.values(), *values.values())), "")
    used_rows, used_columns = ({cell[side] for cell in values} for side in (0, 1))
    return {
        "name": words.term("metric", metric),
        "higher_is_better": evaluation["metrics"][metric]["higher_is_better"],
        "places": places,
        "rows_name": words.plain(one["rows"]),
        "columns": [slice_text(words, one["columns"], column) for column in columns],
        "rows": lines,
        "hidden": len(used_rows) - len(rows) + len(used_columns) - len(columns),
        "notes": _notes(words, one, metric, places),
        "signature": signature,
    }


def _cells(entries: Iterable[Entry], side: str, system: str, metric: str) -> Cells:
    mine = (entry for entry in entries if (entry[side], entry["metric"]) == (system, metric))
    return {(entry["row"], entry["column"]): entry for entry in mine}


def _most(order: Sequence[str], cells: Cells, side: int, most: int) -> list[str]:
    """The values with most items, at most so many, in their own order."""
    items = _items(cells, side)
    kept = set(sorted(items, key=lambda value: (-items[value], value))[:most])
    return [value for value in order if value in kept]


def _fullest(columns: Sequence[str], cells: Cells) -> list[str]:
    items = _items(cells, 1)
    return sorted(columns, key=lambda value: -items[value])


def _items(cells: Cells, side: int) -> Counter[str]:
    """The items of each row (side 0) or column (side 1)."""
    items: Counter[str] = Counter()
    for cell, entry in cells.items():
        items[cell[side]] += entry["n"]
    return items


def _cell(score: Entry | None, gain: Entry | None, places: int | None) -> dict[str, Any] | None:
    """A cell's numbers; None where nothing was scored."""
    if score is None:
        return None
    cell: dict[str, Any] = {"value": score["value"], "n": score["n"], "rough": score["rough"], "gain": None}
    if gain is not None:
        kind = gain["lean"] + (" sure" if gain["sure"] else "")
        lean, interval = LEANS[gain["lean"], gain["sure"]], _interval(gain, places)
        cell["gain"] = {"difference": gain["difference"], "interval": interval, "kind": kind, "lean": lean}
    return cell


def _notes(words: Words, one: Entry, metric: str, places: int | None) -> list[Markup]:
    """The weakest cell of a crossing, and the one that gains least."""
    found = []
    for key, (sentence, field) in NAMED.items():
        if entry := one[key].get(metric):
            found.append(words.html(sentence, **shown(words, entry, field, places)))
    return found


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(words: Words, evaluation: Mapping[str, Any]) -> list[str]:
    """The same grids as tables, a cell on one line; nothing where there is nothing to say."""
    grids = view(words, evaluation)
    if grids is None:
        return []
    numbers = {"n": grids["least_items"], "groups": grids["least_groups"]}
    lines = [f"### {words.plain('crossings')}", ""]
    if grids["made"]:
        pair = safe(grids["a"]) if grids["alone"] else words.plain("versus", a=safe(grids["a"]), b=safe(grids["b"]))
        lines += [pair, "", words.plain("crossings_note"), "", words.plain("crossing_marks", **numbers), ""]
    lines += [f"- {_bare(one)}" for one in grids["left_out"]]
    for one in grids["made"]:
        for grid in one["grids"]:
            head = [grid["rows_name"], *(safe(name) for name in grid["columns"])]
            rows = [
                [safe(row["name"]), *(_text(words, cell, grid["places"]) for cell in row["cells"])]
                for row in grid["rows"]
            ]
            lines += ["", f"**{_bare(one['title'])}: {safe(grid['name'])}** {' '.join(map(_bare, grid['notes']))}"]
            lines += table(head, rows)
    return lines


def _bare(text: Markup) -> str:
    """A sentence of the page without its tags, harmless on a line of Markdown."""
    return safe(text.striptags())


def _text(words: Words, cell: Mapping[str, Any] | None, places: int | None) -> str:
    if cell is None:
        return "–"
    tail = f"n = {number(cell['n'])}{' ≈' if cell['rough'] else ''}"
    if (gain := cell["gain"]) is None:
        return left_to_right(words, f"{number(cell['value'], places)} ({tail})")
    difference = f"{number(gain['difference'], places, signed=True)} {gain['interval']}".rstrip()
    numbers = left_to_right(words, f"{number(cell['value'], places)} ({difference}, {tail})")
    return f"{numbers} {words.plain(gain['lean'])}"
