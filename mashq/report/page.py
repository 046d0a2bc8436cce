"""The content of a report as one HTML page that opens anywhere: no script, no network, every text escaped.

The page's policy (CSP) allows its own style sheet, by hash, and nothing else; a text from data or a model can neither
run nor load anything, and stands in an element of its own so that its direction marks end with it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mashq.report import plots
from mashq.report.parts import views_of
from mashq.report.plots import Scale, Series, number, scale_over
from mashq.report.words import Words, isolate
from mashq.rows import MashqError

__all__ = [
    "MOST_BYTES",
    "environment_of",
    "interval_text",
    "p_text",
    "places_of",
    "render",
    "slice_text",
    "system_label",
]

MOST_BYTES = 5_000_000  # of one page
MOST_SLICES = 40  # rows of one slicing on the page; the rest is in report.json
PLACES = {"0..100": 1, "0..1": 3, "0 or 1": 3, "bits/byte": 3, "per token": 2}  # decimals by a metric's unit
KINDS = 6  # colours of systems before they repeat


def environment_of(words: Words) -> jinja2.Environment:
    """Where the pages beside this file are rendered: everything escaped, words and numbers at hand."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=words.html, other=words.other, plain=words.plain, words=words, num=num, isolate=isolate
    )
    return environment


def render(content: Mapping[str, Any], words: Words) -> str:
    """The whole page. Raises MashqError where it would be 5 MB or more."""
    here = Path(__file__).parent
    style = (here / "page.css").read_text(encoding="utf-8")
    view = _View(words)
    environment = environment_of(words)
    environment.globals.update(view=view)
    html = environment.get_template("page.html").render(
        content=content,
        runs=[view.run(run, index) for index, run in enumerate(content["runs"], 1)],
        board=view.board(content["board"], content["runs"]) if content["board"] else None,
        style=Markup(style),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    size = len(html.encode())
    if size >= MOST_BYTES:
        raise MashqError(
            f"report: the page would have {size:,} bytes, expected less than {MOST_BYTES:,}. Report fewer runs at once."
        )
    return html


# --- numbers ---------------------------------------------------------------------------------------------------------


def num(value: float | int | None, places: int | None = None, *, signed: bool = False) -> Markup:
    """A number as an isolated left-to-right run, so that its sign stays before it in Arabic."""
    return Markup(f'<bdi dir="ltr" class="num">{number(value, places, signed=signed)}</bdi>')


def interval_text(low: float | None, high: float | None, places: int | None = None) -> str:
    """`[low, high]`, or a dash where there is no interval."""
    return "\N{EN DASH}" if low is None or high is None else f"[{number(low, places)}, {number(high, places)}]"


def p_text(p: float) -> str:
    """A p value with three decimals, `< 0.001` below them."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def places_of(metrics: Mapping[str, Mapping[str, Any]], name: str) -> int | None:
    """Decimals of a metric's values, by its unit; None leaves it to the number."""
    return PLACES.get(str(metrics.get(name, {}).get("unit", "")))


def slice_text(words: Words, by: str, value: str) -> str:
    """A slice as readers know it."""
    if by in ("all", "macro"):
        return words.plain(by)
    return words.term("variety_name", value) if by == "variety" and value else value or words.plain("unnamed")


def system_label(words: Words, evaluation: Mapping[str, Any], name: str) -> str:
    """A system's name for people; the row of the references has one of its own."""
    return words.term("system_name", str(evaluation["labels"].get(name, name)))


# --- what the template shows -----------------------------------------------------------------------------------------


class _View:
    """Turns content into the cells, plots and sentences that the template lays out."""

    def __init__(self, words: Words):
        self.words = words

    def run(self, run: Mapping[str, Any], index: int) -> dict[str, Any]:
        """One run with its plots."""
        return {
            **run,
            "key": f"r{index}",
            "data": [self._data(data) for data in run["data"]],
            "surveys": [self._survey(survey) for survey in run["surveys"]],
            "tables": [self._tables(found) for found in run["tables"]],
            "models": [self._model(model) for model in run["models"]],
            "contamination": [self._contamination(found, run) for found in run["contamination"]],
            "parts": views_of(self.words, run),
            "evaluations": [self._evaluation(evaluation) for evaluation in run["evaluations"]],
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
            {**reason, "bar": plots.bar(reason["share"], kind="bad", label=f"{100 * reason['share']:.1f}%")}
            for reason in data["reasons"]
        ]
        tally = {
            by: self._tally(by, values)
            for by, values in data["tally"].items()
            if by in ("task", "variety", "source", "split") and len(values) > 1
        }
        shown_reasons, hidden = reasons[:MOST_SLICES], max(0, len(reasons) - MOST_SLICES)
        return {
            **data,
            "stack": plots.stack(parts, label=alt),
            "reasons": shown_reasons,
            "hidden_reasons": hidden,
            "tally": tally,
        }

    def _tally(self, by: str, values: Mapping[str, int]) -> dict[str, Any]:
        most = max(values.values())
        order = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        rows = [
            {
                "name": slice_text(self.words, by, value),
                "rows": rows,
                "bar": plots.bar(rows / most, kind="plain", label=number(rows)),
            }
            for value, rows in order[:MOST_SLICES]
        ]
        return {"rows": rows, "hidden": len(order) - len(rows)}

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
        return {**survey, "tries": tries, "checks": checks, "grid": grid}

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

    def _contamination(self, found: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
        """Stages with the kinds of evidence in words, and scores of all items beside those of the clean ones."""
        stages = [
            {
                **stage,
                "found": self.words.comma.join(
                    f"{self.words.term('evidence_kind', kind)}: {number(one['n'])}"
                    for kind, one in stage["kinds"].items()
                    if one["n"]
                ),
                "interval": interval_text(stage["contaminated"]["low"], stage["contaminated"]["high"], 3),
            }
            for stage in found["stages"]
            if stage["rows"]  # a step of validation rows alone taught nothing
        ]
        labels = {name: label for one in run["evaluations"] for name, label in one["labels"].items()}
        metrics = {name: facts for one in run["evaluations"] for name, facts in one["metrics"].items()}
        gains = []
        for one in (found["scores"] or {}).get("gains", []):
            places = places_of(metrics, one["metric"])
            shown = {
                "label": self.words.term("system_name", str(labels.get(one["system"], one["system"]))),
                "name": self.metric(one["metric"]),
                "places": places,
                "interval": interval_text(one["low"], one["high"], places),
                "p": p_text(one["p_holm"]),
            }
            gains.append({**one, **shown})
        gains.sort(key=lambda one: (one["system"], one["metric"], one["subset"]))
        common = [{**one, "why_name": self.words.term("wording_kind", one["why"])} for one in found["common_wording"]]
        return {**found, "stages": stages, "gains": gains, "common_wording": common}

    def _heat(self, name: str, kept: Sequence[int], wanted: Sequence[int]) -> dict[str, Any]:
        label = f"{name}: {sum(kept)} / {sum(wanted)}"
        return {"name": name, "kept": sum(kept), "wanted": sum(wanted), "plot": plots.heat(kept, wanted, label=label)}

    def _bar(self, part: int, whole: int) -> Markup:
        share = part / whole if whole else 0.0
        return plots.bar(share, kind="plain", label=f"{100 * share:.1f}%")

    def _model(self, model: Mapping[str, Any]) -> dict[str, Any]:
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

    # --- evaluations ---

    def _evaluation(self, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        names = [evaluation["baseline"], *(n for n in evaluation["systems"] if n != evaluation["baseline"])]
        kinds = {name: f"s{index % KINDS}" for index, name in enumerate(names)} | {"reference": "reference"}
        labels = {name: system_label(self.words, evaluation, name) for name in [*names, "reference"]}
        shared = {**evaluation, "kinds": kinds, "labels": labels, "order": names}
        return {
            **shared,
            "headline": [self._headline(shared, entry) for entry in evaluation["headline"]],
            "against": self._against(shared),
            "board": self.board(evaluation["board"], evaluation=shared),
            "macro_board": self.board(evaluation["macro_board"], evaluation=shared),
            "blocks": [self._metric(shared, name) for name in evaluation["metrics"]],
            "pairs": self._pairs(shared),
            "copied": self._copied(shared),
            "notes_of_slices": self._slices_notes(shared),
            "replies": self._replies(shared),
        }

    def metric(self, name: str) -> str:
        """A metric's name for readers."""
        return self.words.term("metric", name)

    def slice(self, piece: Mapping[str, str]) -> str:
        """A slice's name for readers."""
        return slice_text(self.words, piece["by"], piece["value"])

    def labels(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """A row's source, task, template and variety, as (heading, name)."""
        return [(name, slice_text(self.words, name, value)) for name, value in labels.items()]

    def _headline(self, evaluation: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        metric, places = entry["metric"], places_of(evaluation["metrics"], entry["metric"])
        moved = "stayed" if not entry["difference"] else "went_up" if entry["difference"] > 0 else "went_down"
        sentence = self.words.html(
            moved,
            metric=Markup(f"<b>{isolate(self.metric(metric))}</b>"),
            before=num(entry["before"], places),
            after=num(entry["after"], places),
            baseline=evaluation["labels"][entry["b"]],
            system=evaluation["labels"][entry["a"]],
        )
        return {
            **entry,
            "sentence": sentence,
            "places": places,
            "interval": interval_text(entry["low"], entry["high"], places),
            "p_text": p_text(entry["p_holm"]),
            "higher_is_better": evaluation["metrics"][metric]["higher_is_better"],
        }

    def _against(self, evaluation: Mapping[str, Any]) -> list[Markup]:
        """What the headline does not show: what speaks against this run's numbers first, then what always holds."""
        found = []
        first = evaluation["headline"][0]["metric"] if evaluation["headline"] else None
        if evaluation["unproven_slices"] and first:
            pieces = self._list(self.slice(piece) for piece in evaluation["unproven_slices"])
            found.append(self.words.html("not_all_slices", metric=self.metric(first), slices=pieces))
        if evaluation["unproven_metrics"]:
            names = self._list(self.metric(name) for name in evaluation["unproven_metrics"])
            found.append(self.words.html("not_all_metrics", metrics=names))
        if learnt := evaluation["learnt_items"]:
            found.append(self.words.html("not_clean", n=num(learnt["n"]), items=num(learnt["items"])))
        return [*found, *(self.words.html(key) for key in evaluation["not_shown"])]

    def _list(self, names: Iterable[str], most: int = 12) -> Markup:
        """Names in one line, each isolated; a long list ends in how many more there are."""
        every = list(names)
        line = Markup(self.words.comma).join(isolate(name) for name in every[:most])
        return line + (Markup(f" (+{len(every) - most})") if len(every) > most else Markup(""))

    def _slices_notes(self, evaluation: Mapping[str, Any]) -> list[Markup]:
        """The worst slice, and the one that gains least."""
        found = []
        if worst := evaluation["worst"]:
            value = num(worst["value"], places_of(evaluation["metrics"], worst["metric"]))
            names = {"system": evaluation["labels"][worst["system"]], "metric": self.metric(worst["metric"])}
            found.append(self.words.html("worst_slice", slice=self._of(worst["slice"]), value=value, **names))
        if least := evaluation["least_gain"]:
            value = num(least["difference"], places_of(evaluation["metrics"], least["metric"]), signed=True)
            found.append(self.words.html("least_gain", slice=self._of(least["slice"]), value=value))
        return found

    def _of(self, piece: Mapping[str, str]) -> Markup:
        """`task: capital`, with the name of the slicing."""
        return Markup("{}: {}").format(self.words.plain(piece["by"]), isolate(self.slice(piece)))

    def board(
        self,
        board: Mapping[str, Any],
        runs: Sequence[Mapping[str, Any]] = (),
        evaluation: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Systems by metrics; each column has one signature."""
        known = [one for run in runs for one in run["evaluations"]] + ([evaluation] if evaluation else [])
        metrics = {name: facts for one in known for name, facts in one["metrics"].items()}
        labels = {name: system_label(self.words, one, name) for one in known for name in one["labels"]}
        columns = [
            {
                **column,
                "name": self.metric(column["metric"]),
                "places": places_of(metrics, column["metric"]),
                "higher_is_better": metrics[column["metric"]]["higher_is_better"],
            }
            for column in board["columns"]
        ]
        rows = [
            {
                **row,
                "label": labels[row["system"]],
                "kind": evaluation["kinds"][row["system"]] if evaluation else "plain",
                "cells": [
                    {**cell, "interval": interval_text(cell["low"], cell["high"], column["places"])} if cell else None
                    for cell, column in zip(row["cells"], columns, strict=True)
                ],
            }
            for row in board["rows"]
        ]
        return {"columns": columns, "rows": rows}

    def _metric(self, evaluation: Mapping[str, Any], metric: str) -> dict[str, Any]:
        """The scores of one metric by slice: one table a signature, dots on one scale."""
        mine = [entry for entry in evaluation["scores"] if entry["metric"] == metric]
        scale = scale_over(bound for entry in mine for bound in (entry["value"], entry["low"], entry["high"]))
        signatures = list(dict.fromkeys(entry["signature"] for entry in mine))
        tables = []
        for signature in signatures:
            families = self._families(
                [entry for entry in mine if entry["signature"] == signature],
                lambda entries: self._score_row(evaluation, entries, scale),
            )
            tables.append({"signature": signature, "families": families})
        return {
            "metric": metric,
            "name": self.metric(metric),
            "higher_is_better": evaluation["metrics"][metric]["higher_is_better"],
            "tables": [table for table in tables if table["families"]],
            "several": len({e["signature"] for e in mine if e["slice"]["by"] != "macro"}) > 1,
            "axis": plots.axis(scale),
        }

    def _families(self, entries: Sequence[Mapping[str, Any]], row: Any) -> list[dict[str, Any]]:
        """Entries by slicing and slice; a slicing with one value says what "all" says and is left out."""
        found = []
        order = {"all": 0, "macro": 1}
        for by in sorted(dict.fromkeys(e["slice"]["by"] for e in entries), key=lambda by: order.get(by, 2)):
            mine = [entry for entry in entries if entry["slice"]["by"] == by]
            values = list(dict.fromkeys(entry["slice"]["value"] for entry in mine))
            if len(values) == 1 and by not in ("all", "macro"):
                continue
            rows = [
                row([entry for entry in mine if entry["slice"]["value"] == value]) for value in values[:MOST_SLICES]
            ]
            found.append({"by": by, "rows": rows, "hidden": len(values) - len(rows)})
        return found

    def _score_row(
        self, evaluation: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], scale: Scale
    ) -> dict[str, Any]:
        places = places_of(evaluation["metrics"], entries[0]["metric"])
        name = self.slice(entries[0]["slice"])
        cells = []
        for entry in entries:
            label, kind = evaluation["labels"][entry["system"]], evaluation["kinds"][entry["system"]]
            alt = self._alt(label, name, entry["value"], entry["low"], entry["high"], places)
            plot = plots.interval(scale, entry["value"], entry["low"], entry["high"], kind=kind, label=alt)
            interval = interval_text(entry["low"], entry["high"], places)
            cells.append({**entry, "label": label, "kind": kind, "plot": plot, "interval": interval})
        return {"name": name, "cells": cells, "places": places}

    def _alt(
        self, system: str, piece: str, value: float, low: float | None, high: float | None, places: int | None
    ) -> str:
        numbers = {"value": number(value, places), "low": number(low, places), "high": number(high, places)}
        return self.words.plain("score_alt", system=system, slice=piece, **numbers)

    def _pairs(self, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every other system against the baseline, a forest plot for each metric."""
        found = []
        for system in evaluation["order"][1:]:
            for metric in evaluation["metrics"]:
                mine = [e for e in evaluation["comparisons"] if (e["a"], e["metric"]) == (system, metric)]
                if not mine:
                    continue
                bounds = [bound for e in mine for bound in (e["difference"], e["low"], e["high"])]
                scale = scale_over(bounds, zero=True)

                def row(entries: Sequence[Mapping[str, Any]], scale: Scale = scale) -> dict[str, Any]:
                    return self._pair_row(evaluation, entries[0], scale)

                found.append(
                    {
                        "metric": metric,
                        "name": self.metric(metric),
                        "a": evaluation["labels"][system],
                        "b": evaluation["labels"][evaluation["baseline"]],
                        "kind": evaluation["kinds"][system],
                        "higher_is_better": evaluation["metrics"][metric]["higher_is_better"],
                        "families": self._families(mine, row),
                        "axis": plots.axis(scale),
                        "signature": mine[0]["signature"],
                    }
                )
        return found

    def _pair_row(self, evaluation: Mapping[str, Any], entry: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
        places = places_of(evaluation["metrics"], entry["metric"])
        name, label = self.slice(entry["slice"]), evaluation["labels"][entry["a"]]
        difference, low, high = entry["difference"], entry["low"], entry["high"]
        alt = self._alt(label, name, difference, low, high, places)
        outcomes = [(entry[kind], kind) for kind in ("wins", "ties", "losses")]
        outcomes_alt = " / ".join(f"{self.words.plain(kind)} {count}" for count, kind in outcomes)
        return {
            **entry,
            "name": name,
            "places": places,
            "interval": interval_text(low, high, places),
            "plot": plots.interval(scale, difference, low, high, kind=entry["verdict"], label=alt, zero=True),
            "outcomes": plots.stack(outcomes, label=outcomes_alt),
            "p_text": p_text(entry["p"]),
            "p_holm_text": p_text(entry["p_holm"]),
        }

    def _copied(self, evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
        """Copied spans, and the curve of novel n-grams."""
        entries = evaluation["copied"]
        if not entries:
            return None
        kinds, labels = evaluation["kinds"], evaluation["labels"]
        rows = [{**e, "label": labels[e["system"]], "kind": kinds[e["system"]]} for e in entries]
        series = [
            Series(kinds[e["system"]], tuple((int(n), s["value"]) for n, s in e["novelty"].items()), dots=True)
            for e in entries
            if e.get("novelty")
        ]
        orders = sorted({int(n) for e in entries for n in e.get("novelty") or {}})
        table = [
            {**row, "shares": [(row.get("novelty") or {}).get(str(n), {}).get("value") for n in orders]} for row in rows
        ]
        plot = plots.curve(series, label=self.words.plain("novelty_alt")) if series else None
        return {"rows": table, "orders": orders, "plot": plot}

    def _replies(self, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        replies = evaluation["replies"]
        metric = replies["metric"]
        places = places_of(evaluation["metrics"], metric) if metric else None
        names = evaluation["order"]
        ranked = any(item["pick"] == "best" for item in replies["items"])
        return {
            "items": replies["items"],
            "places": places,
            "metric": self.metric(metric) if metric else "",
            "ranked": ranked,
            "pair": [evaluation["labels"][name] for name in names[:2]],
        }

    def _limit(self, limit: Mapping[str, Any]) -> Markup:
        """One limit as a sentence."""
        values: dict[str, Any] = {}
        for name, value in limit.items():
            if name == "slices":
                values[name] = self._list(f"{self.words.plain(p['by'])}: {self.slice(p)}" for p in value)
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

    def share(self, row: Mapping[str, Any], name: str) -> Markup:
        """A share of replies in percent, with its interval where it has one."""
        value = row.get(name)
        if value is None:
            return Markup("\N{EN DASH}")
        low, high = (row.get("intervals") or {}).get(name) or (None, None)
        text = Markup('<bdi dir="ltr" class="num">{}%</bdi>').format(number(100 * value, 1))
        if low is None or high is None:
            return text
        ends = interval_text(100 * low, 100 * high, 1)
        return text + Markup('<br><bdi dir="ltr" class="num quiet">{}</bdi>').format(ends)

    def role(self, role: str) -> str:
        """A turn's role for readers."""
        known = {"system", "user", "assistant", "text", "record"}
        return self.words.plain(f"role_{role}") if role in known else role

    def grouped(self, rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
        """Neighbouring rows with one value of `key` together."""
        return [(str(name), list(some)) for name, some in groupby(rows, key=lambda row: row[key])]
