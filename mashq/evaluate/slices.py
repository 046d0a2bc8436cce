"""Items cut into slices: by what a row says of itself, the length of its reference, and where its text came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mashq import arabic
from mashq.evaluate.items import Items
from mashq.lineage_origin import ORIGINS, said

__all__ = ["FEWEST", "SLICES", "Cut", "Labels", "by_task", "cuts", "labelled"]

COLUMNS = ("task", "variety", "source", "template")  # of a row
SLICES = (*COLUMNS, "length", "origin")
FEWEST = 30  # items with a reference, so ten a third: fewer are not cut by length

Cut = tuple[str, str, np.ndarray]  # by, value, positions of items


Labels = tuple[list[str], list[str]]  # of a slicing: the value of each item, and the values in their order


def cuts(items: Items, slices: Sequence[str], labels: Mapping[str, Labels]) -> Iterator[Cut]:
    """All items, then every value of every slicing; `labels` are those of each slicing (`labelled`).

    A column's values come in the order of their names, with "" for a row that has none. The other slicings are
    partial: an item without a reference has no length, one whose row does not say it no origin; where there is no more
    than one value nothing is cut.
    """
    yield "all", "", np.arange(len(items.ids))
    for by in slices:
        values, order = labels[by]
        if by in COLUMNS or len(order) > 1:
            yield from ((by, value, _places(values, value)) for value in order)


def labelled(by: str, items: Items, origins: Mapping[str, str] | None = None) -> Labels:
    """The value of each item in a slicing, and the values of its slices in their order.

    `origins` is item -> origin, as `lineage_origin.origins` finds it. "" is a value of a column whose row has none; in
    a partial slicing it is an item that is in no slice.
    """
    if by in COLUMNS:
        values = [row[by] or "" for row in items.rows]
        return values, sorted(set(values))
    return _lengths(items) if by == "length" else _origins(items, origins or {})


def by_task(items: Items) -> dict[str, np.ndarray]:
    """Task -> positions of its items."""
    values, order = labelled("task", items)
    return {value: _places(values, value) for value in order}


def _places(values: Sequence[str], value: str) -> np.ndarray:
    return np.array([place for place, found in enumerate(values) if found == value])


def _lengths(items: Items) -> tuple[list[str], list[str]]:
    """The third of the lengths that each item is in ("" = no reference), and the thirds from short to long.

    Words of the first reference; equal lengths are never parted, so a third may be larger than another, or lacking.
    """
    sizes = np.array([len(arabic.words(texts[0])) if texts else -1 for texts in items.references])
    ordered = np.sort(sizes[sizes >= 0])
    if len(ordered) < FEWEST:
        return [""] * len(sizes), []
    thirds = [math.ceil(len(ordered) * part / 3) - 1 for part in (1, 2, 3)]
    ends = np.unique(ordered[thirds])
    of_item = np.searchsorted(ends, sizes)
    names = [_span(sizes[(of_item == third) & (sizes >= 0)]) for third in range(len(ends))]
    return ["" if size < 0 else names[third] for size, third in zip(sizes, of_item, strict=True)], names


def _span(sizes: np.ndarray) -> str:
    """`4-12 words`, or `4 words` where all are of one length."""
    low, high = int(sizes.min()), int(sizes.max())
    if low == high:
        return f"{low} word" if low == 1 else f"{low} words"
    return f"{low}-{high} words"


def _origins(items: Items, origins: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The origin of each item ("" = not known), and those that occur."""
    first = next(iter(items.answers.values()))
    values = [
        said(answer.facts, answer.row["scores"]) or origins.get(item, "")
        for item, answer in zip(items.ids, first, strict=True)
    ]
    return values, [origin for origin in ORIGINS if origin in values]
