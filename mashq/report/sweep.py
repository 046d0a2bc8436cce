"""The page of a sweep: the question, what came out, curves, paired comparisons, and what it does not show.

Like every page of mashq it opens offline, holds no script, and escapes every text.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

from mashq import __version__
from mashq.record import Run, Step
from mashq.report import plots
from mashq.report.cells import interval_text, p_text, places_of, slice_text
from mashq.report.page import environment_of
from mashq.report.plots import LABELS_AT, Upright, number, scale_over
from mashq.report.words import Words
from mashq.rows import MashqError

__all__ = ["SweepWords", "page_of", "sweep_of", "table_of"]

KINDS = 6  # colours of lines before they repeat
LEAST_SEEDS = 3
LEAST_GROUPS = 20  # below this many an interval is called rough
DECADE = 10.0  # values that span so much stand on a logarithmic axis


class SweepWords(Words):
    """The report's sentences, and before them a sweep's own."""

    def plain(self, key: str, **values: Any) -> str:
        entry = _own().get(key)
        return entry[self.lang].format_map(values) if entry else super().plain(key, **values)

    def html(self, key: str, **values: Any) -> Markup:
        entry = _own().get(key)
        if entry is None:
            return super().html(key, **values)
        isolated = {
            name: v if isinstance(v, Markup) else Markup(f"<bdi>{escape(v)}</bdi>") for name, v in values.items()
        }
        return Markup(str(escape(entry[self.lang])).format_map(isolated))

    def other(self, key: str) -> str:
        entry = _own().get(key)
        return entry[self.other_lang] if entry else super().other(key)


@functools.cache
def _own() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("sweep_words.yaml").read_text("utf-8"))
    return loaded


def sweep_of(run: Run) -> Step | None:
    """The sweep that a run ends in; None where it is of another kind."""
    return next(iter(run.of("sweep")), None)


def read_sweep(step: Step) -> dict[str, Any]:
    """What the sweep's collecting step left. Raises MashqError where it is absent or no JSON."""
    path = step.folder / "sweep.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MashqError(f"report: {path}: expected a sweep's results, got none: {error}. Make it anew.") from error
    return found


def page_of(step: Step, lang: Any) -> str:
    """The whole page of one sweep."""
    words = SweepWords(lang)
    here = Path(__file__).parent
    style = (here / "page.css").read_text("utf-8") + (here / "sweep.css").read_text("utf-8")
    return (
        environment_of(words)
        .get_template("sweep.html")
        .render(
            page=_View(read_sweep(step), words).page(),
            style=Markup(style),
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            version=__version__,
        )
    )


def table_of(step: Step, lang: Any) -> str:
    """The same as Markdown: the question, what came out, and a table for each metric."""
    view = _View(read_sweep(step), SweepWords(lang))
    page, words = view.page(), view.words
    lines = [f"# {words.plain('sweep')}: {page['name']}", "", page["question"], "", page["source"], ""]
    if page["toys"]:
        lines += [f"**{words.plain('toys')}.** {_bare(words.html('toys_why', models=page['toys']))}", ""]
    lines += [line for one in [*page["summary"], *page["cautions"]] for line in (f"- {_bare(one)}",)]
    heads = ("cell", "mean", "interval95", "each_seed")
    for block in page["blocks"]:
        lines += ["", f"## {block['name']}", "", _row(words.plain(key) for key in heads), _row(["---"] * len(heads))]
        for line in block["lines"]:
            if line["stopped"]:
                lines.append(_row([line["name"], _bare(line["stopped"]), "", ""]))
                continue
            seeds = " ".join(number(one, block["places"]) for one in line["seeds"])
            lines.append(_row([line["name"], number(line["value"], block["places"]), line["interval"], seeds]))
        if block["pairs"]:
            heads_of_pairs = ("cell", "against", "difference", "interval95", "p_holm", "verdict")
            lines += ["", _row(words.plain(key) for key in heads_of_pairs), _row(["---"] * 6)]
        for pair in block["pairs"]:
            told = number(pair["difference"], pair["places"], signed=True)
            lines.append(_row([pair["a"], pair["b"], told, pair["interval"], pair["p"], words.plain(pair["word"])]))
    return "\n".join(lines) + "\n"


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(one).replace("|", "\\|").replace("\n", " ") for one in cells) + " |"


def _bare(text: Markup | str) -> str:
    return Markup(text).striptags()


class _View:
    """Turns a sweep's results into what the template lays out."""

    def __init__(self, found: Mapping[str, Any], words: SweepWords):
        self.found, self.words, self.lang = found, words, words.lang
        self.toys = found["toys"]

    def page(self) -> dict[str, Any]:
        """Everything on the page."""
        found, texts = self.found, self.found["texts"]
        blocks = [self._block(metric) for metric in found["metrics"]]
        return {
            **{"name": found["name"], "base": found["base"], "size": found["size"] or "-", "blocks": blocks},
            **{key: texts.get(key, {}).get(self.lang, "") for key in ("question", "source", "answer")},
            "toys": self._list(self.toys),
            "seeds": self._list(found["seeds"]),
            "seed_settings": self._list(found["seed_settings"]),
            "item_count": found["items"],
            "groups": found["groups"],
            "cells": found["cells"],
            "settings": [(name, json.dumps(v, ensure_ascii=False)) for name, v in found["settings"].items()],
            "summary": [] if self.toys else [self._leading(metric) for metric in found["metrics"]],
            "cautions": self._cautions(blocks),
        }

    def _list(self, values: Sequence[Any]) -> str:
        return self.words.comma.join(map(str, values))

    def _metric(self, metric: str) -> str:
        return self.words.term("metric", metric)

    def name(self, cell: int) -> str:
        """A cell's name for people: the title of each factor with its value."""
        titles = {factor["name"]: factor["title"].get(self.lang, factor["name"]) for factor in self.found["factors"]}
        labels = self.found["cells"][cell]["labels"]
        return self._list([f"{titles[name]}: {label}" for name, label in labels.items()])

    def _leading(self, metric: str) -> Markup:
        leader = next((one for one in self.found["leaders"] if one["metric"] == metric), None)
        made = [c for c, one in enumerate(self.found["cells"]) if one["state"] == "made"]
        if len(made) == 1:
            return self.words.html("one_left", cell=self.name(made[0]))
        if leader is None:
            return self.words.html("no_leader", metric=self._metric(metric))
        told = {"metric": self._metric(metric), "cell": self.name(leader["cell"])}
        if not leader["level_with"] and len(self.found["seeds"]) >= LEAST_SEEDS:
            return self.words.html("best_is", **told)
        others = leader["level_with"] or made
        named = [self.name(one) for one in others if one != leader["cell"]]
        return self.words.html("level_with", **told, others="; ".join(named) or "-")

    def _cautions(self, blocks: Sequence[Mapping[str, Any]]) -> list[Markup]:
        found, say = self.found, self.words.html
        seeds = len(found["seeds"])
        lines = [say("one_seed")] if seeds == 1 else [say("few_seeds", n=seeds)] if seeds < LEAST_SEEDS else []
        lines += [say("few_groups", n=found["groups"])] if found["groups"] < LEAST_GROUPS else []
        lines += [say("left_out", n=found["left_out"])] if found["left_out"] else []
        lines += [say("overlap", metric=block["name"]) for block in blocks if block["overlap"]]
        stopped = [cell for cell in found["cells"] if cell["state"] == "stopped"]
        if stopped:
            told = {"n": len(stopped), "all": len(found["cells"]), "factor": found["early"]["factor"]}
            lines.append(say("stopped_why", **told))
        for read in {json.dumps(cell["read"], sort_keys=True): cell["read"] for cell in found["cells"]}.values():
            lines += [say("gain_over", system=read["system"], minus=read["minus"])] if read["minus"] else []
        note = found["texts"].get("note", {}).get(self.lang, "")
        return [*lines, *([Markup(f"<bdi>{escape(note)}</bdi>")] if note else []), say("not_elsewhere")]

    # --- one metric ---

    def _block(self, metric: str) -> dict[str, Any]:
        facts = self.found["metrics"][metric]
        whole = [s for s in self.found["scores"] if s["metric"] == metric and s["slice"]["by"] == "all"]
        places = places_of(self.found["metrics"], metric)
        scale = scale_over([v for s in whole for v in (s["low"], s["high"], *s["seeds"])])
        of_cell = {s["cell"]: s for s in whole}
        lines = [self._line(c, of_cell.get(c), scale, places) for c in range(len(self.found["cells"]))]
        bounds = [(s["low"], s["high"]) for s in whole if s["low"] is not None]
        meet = len(bounds) > 1 and max(low for low, _ in bounds) <= min(high for _, high in bounds)
        return {
            **{"name": self._metric(metric), "higher_is_better": facts["higher_is_better"], "places": places},
            **{"axis": plots.axis(scale), "lines": lines, "overlap": meet and self.found["comparable"]},
            "curves": self._curves(metric, of_cell),
            "pairs": self._pairs(metric, "all", places),
            "slices": self._slices(metric, places),
            "signatures": sorted({s["signature"] for s in whole}),
        }

    def _line(self, c: int, score: Mapping[str, Any] | None, scale: Any, places: int | None) -> dict[str, Any]:
        cell = self.found["cells"][c]
        if score is None:
            where = {"step": cell.get("step", "-"), "loss": number(cell.get("eval_loss"))}
            return {"name": self.name(c), "stopped": self.words.html("stopped", **where)}
        told = interval_text(score["low"], score["high"], places)
        label = f"{self.name(c)}: {number(score['value'], places)} {told}"
        plot = plots.interval(scale, score["value"], score["low"], score["high"], kind=self._kind(score), label=label)
        return {**score, "name": self.name(c), "stopped": None, "interval": told, "plot": plot}

    def _kind(self, score: Mapping[str, Any]) -> str:
        """The colour of the best cell, where there is one to be marked."""
        leader = next((one for one in self.found["leaders"] if one["metric"] == score["metric"]), None)
        best = leader is not None and leader["cell"] == score["cell"] and not leader["level_with"]
        return "leader" if best and not self.toys and len(self.found["seeds"]) >= LEAST_SEEDS else "s1"

    def _pairs(self, metric: str, by: str, places: int | None) -> list[dict[str, Any]]:
        return [
            {
                **{"a": self.name(one["a"]), "b": self.name(one["b"]), "difference": one["difference"]},
                **{"interval": interval_text(one["low"], one["high"], places), "p": p_text(one["p_holm"])},
                **{"verdict": "" if self.toys else one["verdict"], "places": places},
                **{"word": "no_verdict" if self.toys else one["verdict"]},
                "slice": slice_text(self.words, by, one["slice"]["value"]),
            }
            for one in self.found["comparisons"]
            if one["metric"] == metric and one["slice"]["by"] == by
        ]

    def _slices(self, metric: str, places: int | None) -> list[dict[str, Any]]:
        scores = [s for s in self.found["scores"] if s["metric"] == metric and s["slice"]["by"] != "all"]
        cuts = []
        for by in dict.fromkeys(s["slice"]["by"] for s in scores):
            values = list(dict.fromkeys(s["slice"]["value"] for s in scores if s["slice"]["by"] == by))
            at = {(s["cell"], s["slice"]["value"]): s for s in scores if s["slice"]["by"] == by}
            lines = [
                {"name": self.name(c), "cells": [self._cell(at.get((c, value)), places) for value in values]}
                for c, cell in enumerate(self.found["cells"])
                if cell["state"] == "made"
            ]
            columns = [slice_text(self.words, by, value) for value in values]
            told = {"columns": columns, "lines": lines, "pairs": self._pairs(metric, by, places)}
            cuts.append({"by": self.words.plain(by), **told})
        return cuts

    def _cell(self, score: Mapping[str, Any] | None, places: int | None) -> dict[str, Any] | None:
        if score is None:
            return None
        return {"value": score["value"], "interval": interval_text(score["low"], score["high"], places)}

    # --- curves ---

    def _curves(self, metric: str, of_cell: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A curve for each factor of numbers: a line for each setting of the other factors, at most KINDS of them."""
        if not self.found["comparable"]:
            return []
        curves = []
        for factor in self.found["factors"]:
            if factor["numbers"] is None:
                continue
            x_of = dict(zip(factor["labels"], factor["numbers"], strict=True))
            groups: dict[str, list[int]] = {}
            for c in of_cell:
                labels = self.found["cells"][c]["labels"]
                rest = self._list([label for name, label in labels.items() if name != factor["name"]])
                groups.setdefault(rest, []).append(c)
            chosen = [(name, members) for name, members in groups.items() if len(members) > 1]
            if not 1 <= len(chosen) <= KINDS:
                continue
            title = factor["title"].get(self.lang, factor["name"])
            lines: list[dict[str, Any]] = []
            for place, (name, members) in enumerate(chosen):
                points = [(x_of[self.found["cells"][c]["labels"][factor["name"]]], of_cell[c]) for c in members]
                told = {"name": name or title, "kind": f"s{1 + place % (KINDS - 1)}"}
                lines.append({**told, "points": sorted(points, key=lambda pair: pair[0])})
            alt = "; ".join(f"{number(x)} \N{RIGHTWARDS ARROW} {number(s['value'])}" for x, s in lines[0]["points"])
            label = self.words.plain("curve_alt", metric=self._metric(metric), factor=title, points=alt)
            plot, log = curve(lines, label)
            curves.append({"title": title, "lines": lines, "plot": plot, "log": log})
        return curves


def curve(lines: Sequence[Mapping[str, Any]], label: str) -> tuple[Markup, bool]:
    """Lines with their intervals and seeds as inline SVG, and whether the axis across is logarithmic.

    A line has `kind` and `points`: (x, score), in order of x. Ticks across stand at the values themselves.
    """
    xs = sorted({x for line in lines for x, _ in line["points"]})
    log = xs[0] > 0 and xs[-1] / xs[0] >= DECADE
    shape = math.log10 if log else float
    first, last = shape(xs[0]), shape(xs[-1])
    up = scale_over(
        [v for line in lines for _, s in line["points"] for v in (s["low"], s["high"], s["value"], *s["seeds"])],
        wanted=5,
    )
    upright = Upright(up)

    def across(x: float) -> float:
        return round(4 + 92 * (shape(x) - first) / ((last - first) or 1), 2)

    marks = "".join(f'<text x="{across(x)}%" y="{LABELS_AT}" text-anchor="middle">{x:g}</text>' for x in xs)
    drawn = "".join(_drawn(line, across, upright.height) for line in lines)
    return upright.framed(marks + drawn, label), log


def _drawn(line: Mapping[str, Any], across: Any, height: Any) -> str:
    places = [(across(x), height(s["value"])) for x, s in line["points"]]
    parts = [f'<line x1="{x1}%" y1="{y1}" x2="{x2}%" y2="{y2}"/>' for (x1, y1), (x2, y2) in pairwise(places)]
    for (x, y), (_, score) in zip(places, line["points"], strict=True):
        if score["low"] is not None:
            ends = f'y1="{height(score["low"])}" y2="{height(score["high"])}"'
            parts.append(f'<line class="bound" x1="{x}%" x2="{x}%" {ends}/>')
        parts += [f'<circle class="seed" cx="{x}%" cy="{height(one)}" r="2.5"/>' for one in score["seeds"]]
        parts.append(f'<circle cx="{x}%" cy="{y}" r="4"/>')
    return f'<g class="{escape(line["kind"])}">{"".join(parts)}</g>'
