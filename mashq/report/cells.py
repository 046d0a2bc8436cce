"""Numbers, intervals and names as the page and the Markdown show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from mashq.report.plots import number
from mashq.report.words import Words, apart, isolate

__all__ = ["compositions", "interval_text", "listed", "models_by_notice", "moved", "num", "numerals", "own_cautions"]
__all__ += ["p_text", "pieces_by_slicing", "places_in", "places_of", "shared_cautions", "slice_text", "slices_listed"]
__all__ += ["system_label"]

PLACES = {"0..100": 1, "0..1": 3, "0 or 1": 3, "1..5": 2, "bits/byte": 3, "per token": 2}  # decimals by a metric's unit
TALLIES = ("task", "variety", "source", "split")  # slicings whose composition is shown
LENGTHS = re.compile(r"^(\d+)(?:-(\d+))? words?$")  # a slice by length: 4-12 words, 1 word


def num(value: float | int | None, places: int | None = None, *, signed: bool = False) -> Markup:
    """A number as an isolated left-to-right run, so that its sign stays before it in Arabic."""
    return numerals(number(value, places, signed=signed))


def numerals(text: object, kind: str = "") -> Markup:
    """Numbers in one text, as `[1, 2]`, escaped, as an isolated left-to-right run; `kind` is a further class of it."""
    return Markup(f'<bdi dir="ltr" class="{f"num {kind}" if kind else "num"}">{escape(text)}</bdi>')


def interval_text(low: float | None, high: float | None, places: int | None = None) -> str:
    """`[low, high]`, or a dash where there is no interval."""
    return "\N{EN DASH}" if low is None or high is None else f"[{number(low, places)}, {number(high, places)}]"


def p_text(p: float) -> str:
    """A p value with three decimals, `< 0.001` below them."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def places_of(metrics: Mapping[str, Mapping[str, Any]], name: str) -> int | None:
    """Decimals of a metric's values, by its unit; None leaves it to the number."""
    return PLACES.get(str(metrics.get(name, {}).get("unit", "")))


def places_in(column: Mapping[str, Any]) -> int | None:
    """Decimals of the values in a column of a board, by its unit."""
    return PLACES.get(str(column["unit"]))


def moved(entry: Mapping[str, Any], places: int | None) -> str:
    """The key of the sentence on a difference: `stayed` where the two values read alike as they are shown."""
    if number(entry["before"], places) == number(entry["after"], places):
        return "stayed"
    return "went_up" if entry["difference"] > 0 else "went_down"


def slice_text(words: Words, by: str, value: str) -> str:
    """A slice as readers know it."""
    if by in ("all", "macro"):
        return words.plain(by)
    if by == "variety" and value:
        return words.term("variety_name", value)
    if by == "origin" and value:
        return words.term("origin_name", value)
    if by == "length" and (found := LENGTHS.match(value)):
        least, most = found.groups()
        return words.plain("words_between" if most else "words_exactly", least=least, most=most)
    if by == "task" and value:
        return words.term("task_name", value)
    return value or words.plain("no_template" if by == "template" else "unnamed")


def compositions(data: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """What a step's kept rows are made of: each slicing of several values that is shown, with its (value, rows).

    The values with most rows come first.
    """
    for by, values in data["tally"].items():
        if by in TALLIES and len(values) > 1:
            yield by, sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))


def system_label(words: Words, evaluation: Mapping[str, Any], name: str) -> str:
    """A system's name for people; the row of the references has one of its own."""
    return words.term("system_name", str(evaluation["labels"].get(name, name)))


def shared_cautions(run: Mapping[str, Any]) -> list[str]:
    """Keys of what no number of the run shows, where several evaluations say it: it is said once for all of them."""
    every = [one["not_shown"] for one in run["evaluations"]]
    return [key for key in every[0] if all(key in keys for keys in every)] if len(every) > 1 else []


def own_cautions(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The run's evaluations, each without the cautions that hold for all."""
    shared = shared_cautions(run)
    return [{**one, "not_shown": [key for key in one["not_shown"] if key not in shared]} for one in run["evaluations"]]


def models_by_notice(models: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Models with their licence and notice, each once, and all `steps` that it holds for."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for model in models:
        key = (model["model"], model["licence"], model["notice"])
        found.setdefault(key, {**model, "steps": []})["steps"].append(model["step"])
    return list(found.values())


def pieces_by_slicing(words: Words, pieces: Iterable[Mapping[str, str]], most: int = 12) -> Iterator[tuple[str, str]]:
    """Slices as (slicing, their names in one line), each slicing once; of a long list the first `most` names."""
    found: dict[str, list[str]] = {}
    for piece in pieces:
        found.setdefault(piece["by"], []).append(slice_text(words, piece["by"], piece["value"]))
    for by, names in found.items():
        more = f" (+{len(names) - most})" if len(names) > most else ""
        yield words.plain(by), words.comma.join(apart(name) for name in names[:most]) + more


def slices_listed(words: Words, pieces: Iterable[Mapping[str, str]]) -> Markup:
    """Slices in one line of the page, grouped by slicing."""
    parts = (Markup("{}: {}").format(by, isolate(names)) for by, names in pieces_by_slicing(words, pieces))
    return Markup(words.semicolon).join(parts)


def listed(words: Words, names: Iterable[str], most: int = 12) -> Markup:
    """Names in one line, each isolated; a long list ends in how many more there are."""
    every = list(names)
    line = Markup(words.comma).join(isolate(name) for name in every[:most])
    return line + (Markup(f" (+{len(every) - most})") if len(every) > most else Markup(""))
