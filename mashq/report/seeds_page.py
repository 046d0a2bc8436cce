"""The section on several seeds as the page and the Markdown show it; its facts are those of `mashq.report.seeds`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from mashq.report import plots
from mashq.report.cells import interval_text, listed, num, numerals, p_text, places_of, system_label
from mashq.report.evaluations import KINDS
from mashq.report.lines import code, left_to_right, safe, table
from mashq.report.plots import number, scale_over
from mashq.report.seeds import LEAST_SEEDS
from mashq.report.words import Words

__all__ = ["HEADING", "first_runs", "markdown", "view"]

HEADING = "over_seeds"

MOST_DIFFERENCES = 12  # settings of two runs in which they differ; the rest is in report.json
MOST_VALUE = 120  # characters of a setting's value
UNTOLD = ("unscored", "signature")  # reasons with a sentence of their own; any other is the text of an error
NEVER = "\N{EN DASH}"


def first_runs(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs of a report without those that stand in for another seed; empty where none can be left out."""
    found = content["over_seeds"]
    rest = {one["run"] for pool in found["pools"] for one in pool["runs"][1:]} if found else set()
    kept = [run for run in content["runs"] if f"{run['recipe']}/{run['name']}" not in rest]
    return kept if rest else []


def view(words: Words, content: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The facts with the cells, plots and sentences that the template lays out; `shown` runs have own sections too.

    None where there are no runs to look at together.
    """
    found = content["over_seeds"]
    if not found:
        return None
    hidden = [f"{run['recipe']}/{run['name']}" for run in content["runs"] if run not in shown]
    return {
        "hidden": words.html("seeds_hidden", runs=listed(words, hidden)) if hidden else "",
        "pools": [_pool(words, one) for one in found["pools"]],
        "apart": [_apart(words, one, html=True) for one in found["apart"]],
    }


def _pool(words: Words, pool: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: f"s{place % KINDS}" for place, name in enumerate(pool["systems"])}
    labels = {name: system_label(words, pool, name) for name in pool["systems"]}
    return {
        **pool,
        "seed_list": listed(words, pool["seeds"]),
        "kinds": kinds,
        "labels": labels,
        "said": _said(words, pool, html=True),
        "notes": _notes(words, pool, html=True),
        "score_blocks": _blocks(words, pool, pool["scores"]),
        "gain_blocks": [_forest(words, pool, block) for block in _blocks(words, pool, pool["gains"])],
        "concluded": len(pool["seeds"]) >= LEAST_SEEDS and not pool["toys"],
    }


def _blocks(words: Words, pool: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of each metric together."""
    blocks = []
    for metric, some in groupby(rows, key=lambda one: one["metric"]):
        places = places_of(pool["metrics"], metric)
        better = bool(pool["metrics"][metric]["higher_is_better"])
        shown = [{**one, "interval": interval_text(one["low"], one["high"], places)} for one in some]
        name = words.term("metric", metric)
        blocks.append({"name": name, "places": places, "higher_is_better": better, "rows": shown})
    return blocks


def _forest(words: Words, pool: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """A metric's gains with their plots, on one axis."""
    bounds = [bound for one in block["rows"] for bound in (one["low"], one["high"], *one["seeds"])]
    scale = scale_over(bounds, zero=True, wanted=3)
    rows = [_gain(words, pool, block, one, scale) for one in block["rows"]]
    return {**block, "rows": rows, "axis": plots.axis(scale)}


def _gain(
    words: Words, pool: Mapping[str, Any], block: Mapping[str, Any], one: Mapping[str, Any], scale: plots.Scale
) -> dict[str, Any]:
    mean = number(one["mean"], block["places"], signed=True)
    label = f"{block['name']}, {system_label(words, pool, one['system'])}: {mean} {one['interval']}"
    kind = one["verdict"] or "unclear"
    plot = plots.interval(scale, one["mean"], one["low"], one["high"], kind=kind, label=label, zero=True)
    return {**one, "plot": plot, "p_text": p_text(one["p_holm"])}


# --- sentences -------------------------------------------------------------------------------------------------------


def _filled(words: Words, html: bool) -> tuple[Callable[..., Any], Callable[..., Any], Callable[[Any], Any]]:
    """How a sentence, a number and a name from data are written: on the page, or in Markdown."""
    if html:
        return words.html, num, str

    def shown(value: float | None, places: int | None = None, *, signed: bool = False) -> str:
        return left_to_right(words, number(value, places, signed=signed))

    return words.plain, shown, safe


def _said(words: Words, pool: Mapping[str, Any], *, html: bool) -> list[Any]:
    """For each gain whether it is larger than what seeds differ by; nothing of models with random weights."""
    say, shown, name = _filled(words, html)
    if pool["toys"]:
        return [say("not_toys")]
    lines = []
    for gain in pool["gains"]:
        places = places_of(pool["metrics"], gain["metric"])
        each = [shown(value, places, signed=True) for value in gain["seeds"]]
        p = p_text(gain["p_holm"])
        values = {
            "metric": name(words.term("metric", gain["metric"])),
            "system": name(system_label(words, pool, gain["system"])),
            "baseline": name(system_label(words, pool, gain["baseline"])),
            "mean": shown(gain["mean"], places, signed=True),
            "spread": shown(gain["spread"], places),
            "agree": shown(gain["agree"]),
            "n": shown(len(gain["seeds"])),
            "p": numerals(p) if html else left_to_right(words, safe(p)),
            "each": (Markup(words.comma) if html else words.comma).join(each),
        }
        lines.append(say(f"seeds_says_{gain['says']}", **values))
    return lines


def _notes(words: Words, pool: Mapping[str, Any], *, html: bool) -> list[Any]:
    """What a reader must know before quoting these numbers."""
    say, shown, name = _filled(words, html)
    lines = [say("seeds_two_rough")] if len(pool["seeds"]) < LEAST_SEEDS else []
    lines += [say("seeds_few_groups", groups=shown(pool["groups"]))] if pool["few_groups"] else []
    lines += [say("seeds_left_out", n=shown(pool["left_out"]))] if pool["left_out"] else []
    for one in pool["untold"]:
        why = words.plain(f"untold_{one['why']}") if one["why"] in UNTOLD else one["why"]
        lines.append(say("seeds_untold", metric=name(words.term("metric", one["metric"])), why=name(why)))
    if pool["versions"]:
        lines.append(say("seeds_versions", names=_names(words, pool["versions"], html)))
    return lines


def _names(words: Words, names: Iterable[str], html: bool) -> Any:
    return listed(words, names) if html else words.comma.join(map(safe, names))


def _apart(words: Words, one: Mapping[str, Any], *, html: bool) -> dict[str, Any]:
    """Why some runs were not put together, and the first settings in which they differ."""
    say, shown, name = _filled(words, html)
    runs = one["runs"]
    values = {
        "first": name(runs[0]),
        "second": name(runs[-1]),
        "evaluations": _names(words, one["evaluations"], html),
        "recipes": _names(words, runs, html),
        **{key: shown(one[key]) for key in ("shared", "all") if key in one},
    }
    rows = [
        {**told, "values": [_cut(value) for value in told["values"]]}
        for told in one.get("differences", [])[:MOST_DIFFERENCES]
    ]
    hidden = max(0, len(one.get("differences", [])) - MOST_DIFFERENCES)
    return {"line": say(f"apart_{one['why']}", **values), "runs": runs, "rows": rows, "hidden": hidden}


def _cut(value: str) -> str:
    return value if len(value) <= MOST_VALUE else f"{value[:MOST_VALUE]}…"


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(words: Words, found: Mapping[str, Any] | None) -> list[str]:
    """Lines of report.md, with the heading; none where runs were not looked at together."""
    if found is None:
        return []
    lines = [f"## {words.plain(HEADING)}", ""]
    for pool in found["pools"]:
        lines += _markdown_of_pool(words, pool)
    lines += [f"### {words.plain('seeds_apart')}", ""] if found["apart"] else []
    for one in found["apart"]:
        told = _apart(words, one, html=False)
        lines.append(f"- {told['line']}")
        head = [words.plain("step"), words.plain("apart_setting"), *map(safe, told["runs"])]
        rows = [
            [safe(row["step"]), safe(row["name"] or words.plain("apart_whole_step")), *map(safe, row["values"])]
            for row in told["rows"]
        ]
        lines += table(head, rows) if rows else []
        lines += [words.plain("more_rows", n=number(told["hidden"])), ""] if told["hidden"] else []
    return [*lines, ""]


def _markdown_of_pool(words: Words, pool: Mapping[str, Any]) -> list[str]:
    say = words.plain
    setting = {
        "seeds": left_to_right(words, ", ".join(pool["seeds"])),
        "items": number(pool["items"]),
        "groups": number(pool["groups"]),
    }
    runs = table([say("seed"), say("run")], [[one["seed"], code(one["run"], in_table=True)] for one in pool["runs"]])
    seeds = left_to_right(words, f"(n = {len(pool['seeds'])})")
    keys = ("seeds_metric", "system", "seeds_each", "seeds_mean")
    head = [
        *map(say, keys),
        f"{say('seeds_spread')} {seeds}",
        say("seeds_items_error", seed=pool["seeds"][0]),
        say("seeds_interval"),
    ]
    more = [say("seeds_freedom"), say("seeds_agree"), say("p_holm"), say("seeds_verdict")]
    return [
        f"### {safe(pool['recipe'])}: {safe(pool['evaluation'])}",
        "",
        say("seeds_note"),
        "",
        say("seeds_setting", **setting),
        *runs,
        *(f"- {line}" for line in [*_said(words, pool, html=False), *_notes(words, pool, html=False)]),
        "",
        f"**{say('seeds_scores')}**",
        *table(head, [_cells(words, pool, one, signed=False) for one in pool["scores"]]),
        *([f"**{say('seeds_gains')}**"] if pool["gains"] else []),
        *(table([*head, *more], [_gain_cells(words, pool, one) for one in pool["gains"]]) if pool["gains"] else []),
        say("seeds_how"),
        "",
    ]


def _cells(words: Words, pool: Mapping[str, Any], one: Mapping[str, Any], *, signed: bool) -> list[str]:
    places = places_of(pool["metrics"], one["metric"])
    _, shown, _ = _filled(words, html=False)
    each = left_to_right(words, " · ".join(number(value, places, signed=signed) for value in one["seeds"]))
    return [
        safe(words.term("metric", one["metric"])),
        safe(system_label(words, pool, one["system"])),
        words.plain("seeds_fixed") if one.get("fixed") else each,
        shown(one["mean"], places, signed=signed),
        NEVER if one.get("fixed") else shown(one["spread"], places),
        shown(one["item_errors"][0], places),
        left_to_right(words, interval_text(one["low"], one["high"], places)),
    ]


def _gain_cells(words: Words, pool: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    _, shown, _ = _filled(words, html=False)
    told = one["verdict"] if not pool["toys"] else ""
    return [
        *_cells(words, pool, one, signed=True),
        shown(one["freedom"], 1),
        left_to_right(words, f"{one['agree']} / {len(one['seeds'])}"),
        left_to_right(words, safe(p_text(one["p_holm"]))),
        words.plain(f"verdict_{told}") if told else NEVER,
    ]
