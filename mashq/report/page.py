"""The content of a report as one HTML page that opens anywhere: no script, no network, every text escaped.

The page's policy (CSP) allows its own style sheet, by hash, and nothing else; a text from data or a model can neither
run nor load anything, and stands in an element of its own so that its direction marks end with it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mashq.report import fertility, identity_view, papers, plots, seeds_page
from mashq.report.cells import (
    compositions,
    interval_text,
    models_by_notice,
    num,
    numerals,
    own_cautions,
    shared_cautions,
    slice_text,
    slices_listed,
)
from mashq.report.evaluations import EvaluationView
from mashq.report.lines import seen
from mashq.report.parts import views_of
from mashq.report.plots import Series, number
from mashq.report.room import FULL, MOST_CELLS, SMALLER, Room
from mashq.report.words import Words, isolate
from mashq.rows import MashqError

__all__ = ["MOST_BYTES", "environment_of", "render"]

MOST_BYTES = 5_000_000  # of one page


def environment_of(words: Words) -> jinja2.Environment:
    """Where the pages beside this file are rendered: everything escaped, words and numbers at hand."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )
    environment.globals.update(
        t=words.html, other=words.other, plain=words.plain, words=words, num=num, numerals=numerals, isolate=isolate
    )
    return environment


def _seen(value: object) -> object:
    """What is filled into a page, its control characters made harmless."""
    if isinstance(value, Markup):
        return Markup(seen(value))
    return seen(value) if isinstance(value, str) else value


def render(content: Mapping[str, Any], words: Words) -> str:
    """The whole page. Raises MashqError where it would be 5 MB or more.

    Of runs that differ in their training seed alone, a page that would be too large shows the first in full; where that
    is not enough it shows less of every run (`room`), and says how much.
    """
    every, few = content["runs"], seeds_page.first_runs(content)
    tries = [(every, FULL), *([(few, FULL)] if few else []), *((few or every, room) for room in SMALLER)]
    size = 0
    for shown, room in tries:
        html = _rendered(content, words, shown, room)
        size = len(html.encode())
        if size < MOST_BYTES:
            return html
    raise MashqError(
        f"report: the page would have {size:,} bytes, expected less than {MOST_BYTES:,}. Report fewer runs at once."
    )


def _rendered(content: Mapping[str, Any], words: Words, shown: Sequence[Mapping[str, Any]], room: Room) -> str:
    """The page with the sections of these runs, and as much of each as there is room for."""
    here = Path(__file__).parent
    style = (here / "page.css").read_text(encoding="utf-8")
    view = _View(words, room)
    environment = environment_of(words)
    environment.globals.update(view=view, visible=identity_view.visible)
    return environment.get_template("page.html").render(
        content=content,
        runs=[view.run(run, index) for index, run in enumerate(shown, 1)],
        over_seeds=seeds_page.view(words, content, shown),
        board=view.evaluations.board(content["board"]) if content["board"] else None,
        less=room if room != FULL else None,
        style=Markup(style),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


# --- what the template shows -----------------------------------------------------------------------------------------


class _View:
    """Turns content into the cells, plots and sentences that the template lays out."""

    def __init__(self, words: Words, room: Room = FULL):
        self.words, self.room, self.evaluations = words, room, EvaluationView(words, room)

    def run(self, run: Mapping[str, Any], index: int) -> dict[str, Any]:
        """One run with its plots."""
        return {
            **run,
            "key": f"r{index}",
            "data": [self._data(data) for data in run["data"]],
            "surveys": [self._survey(survey) for survey in run["surveys"]],
            "tables": [self._tables(found) for found in run["tables"]],
            "models": [self._model(model) for model in run["models"]],
            "parts": views_of(self.words, run),
            "paper": papers.view(self.words, run["paper"]) if run["paper"] else None,
            "evaluations": [self.evaluations.view(evaluation) for evaluation in own_cautions(run)],
            "against_all": [self.words.html(key) for key in shared_cautions(run)],
            "models_licences": models_by_notice(run["licences"]["models"]),
            "identity": identity_view.view(self.words, run["identity"]),
            "limits": [self._limit(limit) for limit in run["limits"]],
            "total_seconds": sum(step["seconds"] for step in run["steps"]),
            "total_cpu": sum(step["cpu_seconds"] or 0 for step in run["steps"]),
            "peak": max((step["peak_memory_mb"] or 0 for step in run["steps"]), default=0),
        }

    def _data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        counts = data["counts"]
        parts = [(counts[kind], kind) for kind in ("kept", "dropped", "merged", "unsampled")]
        alt = self.words.comma.join(f"{self.words.plain(kind)}: {number(count)}" for count, kind in parts)
        reasons = [
            {
                **reason,
                "name": self.words.term("drop_reason", reason["reason"]),
                "bar": plots.bar(reason["share"], kind="bad", label=f"{100 * reason['share']:.1f}%"),
            }
            for reason in data["reasons"]
        ]
        tally = {by: self._tally(by, values) for by, values in compositions(data)}
        most = max(1, self.room.slices)
        shown_reasons, hidden = reasons[:most], max(0, len(reasons) - most)
        return {
            **data,
            **{kind: data[kind][: self.room.rows] for kind in ("kept", "dropped")},
            "stack": plots.stack(parts, label=alt),
            "reasons": shown_reasons,
            "hidden_reasons": hidden,
            "tally": tally,
        }

    def _tally(self, by: str, values: Sequence[tuple[str, int]]) -> dict[str, Any]:
        """`values` with their rows, most first."""
        most = values[0][1]
        rows = [
            {
                "name": slice_text(self.words, by, value),
                "rows": rows,
                "bar": plots.bar(rows / most, kind="plain", label=number(rows)),
            }
            for value, rows in values[: max(1, self.room.slices)]
        ]
        return {"rows": rows, "hidden": len(values) - len(rows)}

    def _survey(self, survey: Mapping[str, Any]) -> dict[str, Any]:
        tries = [{**line, "bar": self._bar(line["kept"], line["replies"])} for line in survey["tries"]]
        checks = [
            {
                **line,
                "name": self.words.term("check_name", line["check"]),
                "share": line["passed"] / line["replies"],
                "kept_share": line["kept_passed"] / line["kept"] if line["kept"] else None,
                "bar": self._bar(line["passed"], line["replies"]),
            }
            for line in survey["checks"]
        ]
        grid = survey["grid"]
        if grid:
            lines = zip(grid["rows"], grid["kept"], grid["wanted"], strict=True)
            grid = {**grid, "lines": [self._heat(row["name"], kept, wanted) for row, kept, wanted in lines]}
        short = {**survey["short"], "first": survey["short"]["first"][:MOST_CELLS]}
        return {**survey, "tries": tries, "checks": checks, "grid": grid, "short": short}

    def _tables(self, found: Mapping[str, Any]) -> dict[str, Any]:
        def lines(one: Mapping[str, Any]) -> list[dict[str, Any]]:
            most = max(row["n"] for row in one["rows"])
            return [
                {
                    **row,
                    "label": self.words.term("counted_row", row["name"]),
                    "bar": self._bar(row["left"], row["n"])
                    if "left" in row
                    else self._bar(row["n"], one["of"] or most),
                }
                for row in one["rows"]
            ]

        tables = [
            {
                "title": self.words.term("counted_table", one["table"]),
                "left": "left" in one["rows"][0],
                "of": one["of"],
                "lines": lines(one),
            }
            for one in found["tables"]
        ]
        return {"step": found["step"], "tables": tables}

    def _heat(self, name: str, kept: Sequence[int], wanted: Sequence[int]) -> dict[str, Any]:
        label = f"{name}: {sum(kept)} / {sum(wanted)}"
        return {"name": name, "kept": sum(kept), "wanted": sum(wanted), "plot": plots.heat(kept, wanted, label=label)}

    def _bar(self, part: int, whole: int) -> Markup:
        share = part / whole if whole else 0.0
        return plots.bar(share, kind="plain", label=f"{100 * share:.1f}%")

    def _model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        model = {**model, "fertility": fertility.view(self.words, model["fertility"])}
        if not model["first"]:
            return {**model, "plot": None}
        series = [Series("loss", tuple(map(tuple, model["curve"])))]
        if model["eval_curve"]:
            series.append(Series("held", tuple(map(tuple, model["eval_curve"])), dots=True))
        (start, first), (end, last) = model["first"], model["last"]
        alt = self.words.plain(
            "curve_alt", first=number(first), start=number(int(start)), last=number(last), end=number(int(end))
        )
        return {**model, "plot": plots.curve(series, label=alt)}

    def metric(self, name: str) -> str:
        """A metric's name for readers."""
        return self.words.term("metric", name)

    def labels(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """A row's source, task, template and variety, as (heading, name)."""
        return [(name, slice_text(self.words, name, value)) for name, value in labels.items()]

    def _limit(self, limit: Mapping[str, Any]) -> Markup:
        """One limit as a sentence."""
        values: dict[str, Any] = {}
        for name, value in limit.items():
            if name == "slices":
                values[name] = slices_listed(self.words, value)
            elif name == "metric":
                values[name] = self.metric(value)
            elif name in ("system", "label"):
                values[name] = self.words.term("system_name", value)
            elif name == "why":
                values[name] = self.words.term("absent_why", value)
            elif name != "limit":
                values[name] = num(value) if isinstance(value, (int, float)) else value
        return self.words.html(f"limit_{limit['limit']}", **values)

    def texts(self, text: Mapping[str, Any]) -> Markup:
        """A text from data in a block of its own, with the note of a cut; an empty one says so."""
        if not text["text"].strip():
            return Markup('<p class="quiet">{}</p>').format(self.words.plain("empty_text"))
        block = Markup('<div class="text" dir="auto">{}</div>').format(text["text"])
        if text["cut"]:
            block += Markup('<p class="quiet">{}</p>').format(self.words.html("cut_text", n=num(text["cut"])))
        return block

    def reason(self, text: str) -> Markup:
        """Why a row was dropped: what it means, and beside it the words of the step, which have the numbers."""
        code, _, rest = text.partition(":")
        name = self.words.term("drop_reason", code)
        if name == code:
            return isolate(text)
        return Markup("{}: {}").format(isolate(name), isolate(rest.strip())) if rest.strip() else isolate(name)

    def share(self, row: Mapping[str, Any], name: str) -> Markup:
        """A share of replies in percent, with its interval where it has one."""
        value = row.get(name)
        if value is None:
            return Markup("\N{EN DASH}")
        low, high = (row.get("intervals") or {}).get(name) or (None, None)
        text = numerals(f"{number(100 * value, 1)}%")
        if low is None or high is None:
            return text
        return text + Markup("<br>") + numerals(interval_text(100 * low, 100 * high, 1), "quiet")

    def role(self, role: str) -> str:
        """A turn's role for readers."""
        known = {"system", "user", "assistant", "text", "record"}
        return self.words.plain(f"role_{role}") if role in known else role

    def grouped(self, rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
        """Neighbouring rows with one value of `key` together."""
        return [(str(name), list(some)) for name, some in groupby(rows, key=lambda row: row[key])]
