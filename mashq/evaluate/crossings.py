"""Two slicings crossed: in each cell, such as one task in one data set, scores and differences, described not tested.

Candidates (`CROSSED`) are every pair of task, data set, variety and origin, and length with task and variety: what is
asked and in which variety sets how long a reference is, so by data set or origin it would show those two again.
A pair is left out, with the reason, where
* "one value": one side has fewer than two values among the items that have both,
* "repeats": every value of one side occurs with a single value of the other, so the cells are that side's slices again,
* "thin": fewer than two cells have `FEWEST` items, so there is nothing to set beside anything.
In a crossing that stays every cell stands, however few its items, with its items and groups beside it.

Cells have no p value and belong to no family of tests. There are many, they overlap with each other and with the
slices, and nobody asked about one of them before seeing it: Holm's correction over them would answer no question, and
over them together with the slices it would make every other p larger. A value, a difference, and an interval of each
that is its own, not one for all cells at once: to test a cell, ask about it beforehand and evaluate its items alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashq.evaluate.items import Items
from mashq.evaluate.measure import Measure
from mashq.evaluate.scores import compare_two
from mashq.evaluate.slices import Labels
from mashq.metrics.resample import cluster_codes

__all__ = ["CROSSED", "FEWEST", "Crossing", "crossed", "crossings"]

CROSSED = (  # (rows, columns) of a grid
    ("task", "source"),
    ("task", "variety"),
    ("source", "variety"),
    ("task", "origin"),
    ("source", "origin"),
    ("variety", "origin"),
    ("task", "length"),
    ("variety", "length"),
)
FEWEST = 10  # items of a cell that may be named the worst; ten is also the least third of `slices`

Measured = Mapping[tuple[str, str], Measure]  # (system, metric)


@dataclass(frozen=True)
class Crossing:
    """A pair of slicings and the items in each of their cells; cells without an item are absent."""

    rows: str
    columns: str
    row_values: tuple[str, ...]  # in the order of the slicing itself; "" = the row does not say it
    column_values: tuple[str, ...]
    cells: Mapping[tuple[str, str], np.ndarray]  # (row value, column value) -> positions of items, rows first


def crossings(labels: Mapping[str, Labels]) -> tuple[list[Crossing], list[dict[str, str]]]:
    """The crossings of these slicings that say something of their own, and of the others why they do not.

    A pair that is left out is {"rows", "columns", "why", "of"}, `of` being the side with one value or the one repeated.
    """
    made: list[Crossing] = []
    left_out: list[dict[str, str]] = []
    for rows, columns in CROSSED:
        if rows not in labels or columns not in labels:
            continue
        one = _cross(rows, columns, labels[rows], labels[columns])
        if reason := _says_nothing(one):
            left_out.append({"rows": rows, "columns": columns, **reason})
        else:
            made.append(one)
    return made, left_out


def crossed(measured: Measured, baseline: str, items: Items, labels: Mapping[str, Labels], seed: int) -> dict[str, Any]:
    """What `scores.json` holds of crossings: those that were made, each with the scores of every system and metric and
    the differences from the baseline in each cell, and those left out with the reason."""
    made, left_out = crossings(labels)
    told = [
        {
            "rows": one.rows,
            "columns": one.columns,
            "row_values": list(one.row_values),
            "column_values": list(one.column_values),
            "scores": list(_scores(measured, one, items.groups, seed)),
            "comparisons": list(_comparisons(measured, baseline, one, items.groups, seed)),
        }
        for one in made
    ]
    return {"least_items": FEWEST, "made": told, "left_out": left_out}


def _cross(rows: str, columns: str, of_rows: Labels, of_columns: Labels) -> Crossing:
    (row_of, row_order), (column_of, column_order) = of_rows, of_columns
    places: dict[tuple[str, str], list[int]] = {}
    for place, cell in enumerate(zip(row_of, column_of, strict=True)):
        places.setdefault(cell, []).append(place)
    cells = {
        (row, column): np.array(places[row, column])
        for row in row_order
        for column in column_order
        if (row, column) in places
    }
    used_rows, used_columns = {row for row, _ in cells}, {column for _, column in cells}
    return Crossing(
        rows,
        columns,
        tuple(row for row in row_order if row in used_rows),
        tuple(column for column in column_order if column in used_columns),
        cells,
    )


def _says_nothing(one: Crossing) -> dict[str, str] | None:
    """Why a crossing is left out; None where it stays."""
    sides = ((one.rows, len(one.row_values)), (one.columns, len(one.column_values)))
    by, fewest = min(reversed(sides), key=lambda side: side[1])  # where no item has both, the later is the partial one
    if fewest < 2:
        return {"why": "one value", "of": by}
    for by, values in sides:
        if len(one.cells) == values:  # as many cells as values: each has but one
            return {"why": "repeats", "of": by}
    if sum(len(places) >= FEWEST for places in one.cells.values()) < 2:
        return {"why": "thin", "of": ""}
    return None


def _scores(measured: Measured, one: Crossing, groups: Sequence[str | None], seed: int) -> Iterator[dict[str, Any]]:
    for (system, metric), measure in measured.items():
        for (row, column), places in one.cells.items():
            chosen = places[measure.scored[places]]
            if not len(chosen):
                continue
            score = measure.score(chosen, groups, seed)
            codes = cluster_codes(len(chosen), [groups[place] for place in chosen], metric)
            yield {
                "system": system,
                "metric": metric,
                "row": row,
                "column": column,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "n": score.n,
                "groups": len(np.unique(codes)),
                "signature": score.signature,
                "interval_by": score.interval_by,
            }


def _comparisons(
    measured: Measured, baseline: str, one: Crossing, groups: Sequence[str | None], seed: int
) -> Iterator[dict[str, Any]]:
    """The difference of every other system from the baseline in each cell, on the items that both have a score for."""
    for (system, metric), ours in measured.items():
        theirs = measured[baseline, metric]
        if system == baseline or metric == "perplexity" or ours.signature != theirs.signature:
            continue
        both = ours.scored & theirs.scored
        for (row, column), every in one.cells.items():
            places = every[both[every]]
            if not len(places):
                continue
            found = compare_two(ours, theirs, places, groups, seed, tested=False)
            yield {
                "metric": metric,
                "a": system,
                "b": baseline,
                "row": row,
                "column": column,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "n": found.n,
                "groups": found.groups,
                "wins": found.wins,
                "ties": found.ties,
                "losses": found.losses,
                "signature": found.signature,
                "interval_by": found.interval_by,
            }
