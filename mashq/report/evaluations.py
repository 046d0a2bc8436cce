"""An evaluation as the page shows it: headline, boards, intervals by slice, forests of differences, replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mashq.report import crossings, fertility, plots, sensitivity
from mashq.report.cells import (
    interval_text,
    listed,
    moved,
    num,
    numerals,
    p_text,
    places_in,
    places_of,
    slice_text,
    slices_listed,
    system_label,
)
from mashq.report.novelty import AGAINST, MAIN, novel
from mashq.report.plots import Scale, Series, number, scale_over
from mashq.report.room import FULL, Room
from mashq.report.words import Words, isolate

__all__ = ["KINDS", "EvaluationView"]

KINDS = 8  # colours of systems before they repeat


class EvaluationView:
    """Turns an evaluation's facts into cells, plots and sentences."""

    def __init__(self, words: Words, room: Room = FULL):
        self.words, self.room = words, room

    def view(self, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        """One evaluation, as the template lays it out."""
        names = [evaluation["baseline"], *(n for n in evaluation["systems"] if n != evaluation["baseline"])]
        kinds = {name: f"s{index % KINDS}" for index, name in enumerate(names)} | {"reference": "reference"}
        labels = {name: system_label(self.words, evaluation, name) for name in [*names, "reference"]}
        shared = {**evaluation, "kinds": kinds, "labels": labels, "order": names}
        detailed = self._detailed(evaluation)
        return {
            **shared,
            "headline": [self._headline(shared, entry) for entry in evaluation["headline"]],
            "against": self._against(shared),
            "board": self.board(evaluation["board"], shared),
            "macro_board": self.board(evaluation["macro_board"], shared),
            "blocks": [self._metric(shared, name) for name in detailed],
            "pairs": self._pairs(shared),
            "copied": self._copied(shared),
            "notes_of_slices": self._slices_notes(shared),
            "replies": self._replies(shared),
            "absent": self._absent(evaluation),
            "marked": any(entry["powerless"] for entry in evaluation["comparisons"]),
            "sensitivity": sensitivity.view(self.words, evaluation),
            "fertility": fertility.view(self.words, evaluation["fertility"]),
            "crossings": crossings.view(
                self.words, {**evaluation, "metrics": {name: evaluation["metrics"][name] for name in detailed}}
            ),
            "obedience": self._obedience(shared),
        }

    def _absent(self, evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
        """Systems that were not run, with why in words."""
        return [
            {
                "label": self.words.term("system_name", one["label"]),
                "model": one["model"],
                "why": self.words.plain("not_run", why=self.words.term("absent_why", one["why"])),
            }
            for one in evaluation["absent"]
        ]

    def _obedience(self, evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
        """System by rule: the share of replies that obey what their prompt asks for; None where no rule was asked."""
        names = [name for name in evaluation["metrics"] if name == "obeys" or name.startswith("obeys_")]
        if not names:
            return None
        whole = {(one["system"], one["metric"]): one for one in evaluation["scores"] if one["slice"]["by"] == "all"}
        columns = [{"name": self.metric(name), "n": self._asked(whole, name)} for name in names]
        rows = [
            {
                "label": evaluation["labels"][system],
                "kind": evaluation["kinds"][system],
                "cells": [self._percent(whole.get((system, name))) for name in names],
            }
            for system in evaluation["order"]
        ]
        return {"columns": columns, "rows": rows}

    def _asked(self, whole: Mapping[tuple[str, str], Mapping[str, Any]], metric: str) -> int:
        return max((one["n"] for (_, name), one in whole.items() if name == metric), default=0)

    def _percent(self, one: Mapping[str, Any] | None) -> dict[str, str] | None:
        if one is None:
            return None
        low, high = (None if end is None else 100 * end for end in (one["low"], one["high"]))
        return {"value": f"{number(100 * one['value'], 1)}%", "interval": interval_text(low, high, 1)}

    def metric(self, name: str) -> str:
        """A metric's name for readers."""
        return self.words.term("metric", name)

    def slice(self, piece: Mapping[str, str]) -> str:
        """A slice's name for readers."""
        return slice_text(self.words, piece["by"], piece["value"])

    def _headline(self, evaluation: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        metric, places = entry["metric"], places_of(evaluation["metrics"], entry["metric"])
        sentence = self.words.html(
            moved(entry, places),
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
            pieces = slices_listed(self.words, evaluation["unproven_slices"])
            found.append(self.words.html("not_all_slices", metric=self.metric(first), slices=pieces))
        if powerless := evaluation["powerless"]["slices"]:
            found.append(self.words.html("limit_powerless", slices=slices_listed(self.words, powerless)))
        if evaluation["unproven_metrics"]:
            names = listed(self.words, (self.metric(name) for name in evaluation["unproven_metrics"]))
            found.append(self.words.html("not_all_metrics", metrics=names))
        if powerless := evaluation["powerless"]["all"]:
            ps = {"p": numerals(p_text(powerless["p"])), "holm": numerals(p_text(powerless["p_holm"]))}
            found.append(self.words.html("not_powerful", groups=num(powerless["groups"]), **ps))
        if learnt := evaluation["learnt_items"]:
            found.append(self.words.html("not_clean", n=num(learnt["n"]), items=num(learnt["items"])))
        return [*found, *(self.words.html(key) for key in evaluation["not_shown"])]

    def _slices_notes(self, evaluation: Mapping[str, Any]) -> list[Markup]:
        """The worst slice, the one that gains least, and where slices are crossed the two cells that are so."""
        found = []
        if worst := evaluation["worst"]:
            value = num(worst["value"], places_of(evaluation["metrics"], worst["metric"]))
            names = {"system": evaluation["labels"][worst["system"]], "metric": self.metric(worst["metric"])}
            found.append(self.words.html("worst_slice", value=value, **self._where(evaluation, worst), **names))
        if least := evaluation["least_gain"]:
            value = num(least["difference"], places_of(evaluation["metrics"], least["metric"]), signed=True)
            found.append(self.words.html("least_gain", value=value, **self._where(evaluation, least)))
        return [*found, *self._cells_notes(evaluation)]

    def _cells_notes(self, evaluation: Mapping[str, Any]) -> list[Markup]:
        """The worst cell of all crossings in the metric of the headline, and the cell that gains least in it."""
        crossed, first = evaluation["crossings"], evaluation["worst"]
        if not crossed or not first or not (worst := crossed["worst"].get(first["metric"])):
            return []
        metric, places = first["metric"], places_of(evaluation["metrics"], first["metric"])
        shown = crossings.shown(self.words, worst, "value", places)
        found = [self.words.html("worst_cell", metric=self.metric(metric), **shown)]
        if least := crossed["least_gain"].get(metric):
            found.append(self.words.html("least_gain_cell", **crossings.shown(self.words, least, "difference", places)))
        return [*found, self.words.html("named_from", n=num(crossed["least_items"]))]

    def _where(self, evaluation: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Markup]:
        """The slice of a number, its interval and its items."""
        ends = interval_text(entry["low"], entry["high"], places_of(evaluation["metrics"], entry["metric"]))
        none = entry["low"] is None or entry["high"] is None
        interval = Markup(self.words.plain("without_interval")) if none else numerals(ends)
        return {"slice": self._of(entry["slice"]), "interval": interval, "n": num(entry["n"])}

    def _of(self, piece: Mapping[str, str]) -> Markup:
        """`task: capital`, with the name of the slicing."""
        return Markup("{}: {}").format(self.words.plain(piece["by"]), isolate(self.slice(piece)))

    def board(self, board: Mapping[str, Any], evaluation: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Systems by metrics; each column has one signature.

        Without an `evaluation` it is that of several runs, whose rows have labels and numbers of items of their own.
        """
        columns = [
            {**column, "name": self.metric(column["metric"]), "places": places_in(column)}
            for column in board["columns"]
        ]
        rows = [
            {
                **row,
                "label": evaluation["labels"][row["system"]]
                if evaluation
                else self.words.term("system_name", row["label"]),
                "kind": evaluation["kinds"][row["system"]] if evaluation else "plain",
                "cells": [
                    {
                        **cell,
                        "interval": interval_text(cell["low"], cell["high"], column["places"]),
                        "fewer": cell["n"] if not evaluation and cell["n"] != row["items"] else None,
                    }
                    if cell
                    else None
                    for cell, column in zip(row["cells"], columns, strict=True)
                ],
            }
            for row in board["rows"]
        ]
        return {"columns": columns, "rows": rows}

    def _detailed(self, evaluation: Mapping[str, Any]) -> list[str]:
        """The metrics that have tables by slice: all, where there is room."""
        return list(evaluation["metrics"])[: self.room.metrics]

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
            most = len(values) if by in ("all", "macro") else self.room.slices
            rows = [row([entry for entry in mine if entry["slice"]["value"] == value]) for value in values[:most]]
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
            for metric in self._detailed(evaluation):
                mine = [e for e in evaluation["comparisons"] if (e["a"], e["metric"]) == (system, metric)]
                if not mine:
                    continue
                bounds = [bound for e in mine for bound in (e["difference"], e["low"], e["high"])]
                scale = scale_over(bounds, zero=True)

                def row(entries: Sequence[Mapping[str, Any]], scale: Scale = scale) -> dict[str, Any]:
                    return self._pair_row(evaluation, entries[0], scale)

                found.append(
                    {
                        "name": self.metric(metric),
                        "a": evaluation["labels"][system],
                        "b": evaluation["labels"][evaluation["baseline"]],
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
        """Copied spans, the curve of n-grams new against training and context, and its table against each alone."""
        entries = evaluation["copied"]
        if not entries:
            return None
        kinds, labels = evaluation["kinds"], evaluation["labels"]
        rows = [{**e, "label": labels[e["system"]], "kind": kinds[e["system"]]} for e in entries]
        series = [
            Series(kinds[e["system"]], tuple((int(n), s["value"]) for n, s in by_n.items()), dots=True)
            for e in entries
            if (by_n := novel(e, MAIN))
        ]
        orders = sorted({int(n) for e in entries for n in novel(e, MAIN)})
        novelty = [
            {
                "against": said,
                "rows": [
                    {**row, "shares": [novel(row, against).get(str(n), {}).get("value") for n in orders]}
                    for row in rows
                ],
            }
            for against, said in AGAINST.items()
        ]
        plot = plots.curve(series, label=self.words.plain("novelty_alt")) if series else None
        return {"rows": rows, "orders": orders, "novelty": novelty, "plot": plot}

    def _replies(self, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        replies = evaluation["replies"]
        metric = replies["metric"]
        places = places_of(evaluation["metrics"], metric) if metric else None
        names = evaluation["order"]
        ranked = any(item["pick"] == "best" for item in replies["items"])
        drawn = replies["items"][: self.room.replies]
        items = [{**item, "sentences": self._told(evaluation, item, places)} for item in drawn]
        return {
            "items": items,
            "places": places,
            "metric": self.metric(metric) if metric else "",
            "ranked": ranked,
            "pair": [evaluation["labels"][name] for name in names[:2]],
        }

    def _told(self, evaluation: Mapping[str, Any], item: Mapping[str, Any], places: int | None) -> list[Markup]:
        """What stands against what, where an item shows a disagreement."""
        told, metric = item["told"], evaluation["replies"]["metric"]
        found: list[Markup] = []
        if "spread" in told:
            spread = num(told["spread"], places)
            found.append(self.words.html("told_apart", metric=self.metric(metric), spread=spread))
        if "judge" in told:
            system = evaluation["labels"][told["system"]]
            numbers = {"judge": num(told["judge"], 2), "value": num(told["value"], places)}
            found.append(self.words.html("told_judge", system=system, metric=self.metric(metric), **numbers))
        return found
