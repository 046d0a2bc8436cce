"""The report as Markdown, for repositories and model hubs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.report import crossings, fertility, identity_view, papers, seeds_page, sensitivity
from mashq.report.cells import (
    interval_text,
    moved,
    own_cautions,
    p_text,
    pieces_by_slicing,
    places_in,
    places_of,
    shared_cautions,
    slice_text,
    system_label,
)
from mashq.report.lines import cell, code, left_to_right, safe, table, yaml_text
from mashq.report.markdown_data import licences, made, trained, written
from mashq.report.markdown_replies import drawn
from mashq.report.novelty import AGAINST, MAIN, novel
from mashq.report.parts import markdown_of
from mashq.report.plots import number
from mashq.report.words import Words

__all__ = ["cell", "code", "report_markdown", "safe", "table", "yaml_text"]


def report_markdown(content: Mapping[str, Any], words: Words) -> str:
    """report.md: every section of the page but the sample rows; a plot stands as its numbers."""
    lines = [f"# {words.plain('title')}", "", *seeds_page.markdown(words, content["over_seeds"])]
    lines += _beside(words, content["board"]) if content["board"] else []
    for run in content["runs"]:
        lines += _Markdown(words, content["seed"]).run(run)
    return "\n".join(lines) + "\n"


def _beside(words: Words, board: Mapping[str, Any]) -> list[str]:
    """Several runs' systems by metrics; each column has one signature."""
    columns = board["columns"]
    rows = [
        [
            code(row["run"], in_table=True),
            safe(words.term("system_name", row["label"])),
            words.comma.join(code(name, in_table=True) for name in row["evaluations"]),
            number(row["items"]),
            *_cells(words, row, columns),
        ]
        for row in board["rows"]
    ]
    names = [words.term("metric", column["metric"]) for column in columns]
    signed = [f"- {name}: {code(column['signature'])}" for name, column in zip(names, columns, strict=True)]
    head = [*(words.plain(key) for key in ("run", "system", "evaluation", "items")), *names]
    return [f"## {words.plain('runs_compared')}", "", words.plain("columns_note"), *table(head, rows), *signed, ""]


def _cells(words: Words, row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row's values with their intervals, and with their items where these are not all of the row's."""
    cells = []
    for one, column in zip(row["cells"], columns, strict=True):
        if one is None:
            cells.append("–")
            continue
        to = places_in(column)
        fewer = "" if one["n"] == row["items"] else f" (n = {number(one['n'])})"
        ends = interval_text(one["low"], one["high"], to)
        cells.append(left_to_right(words, f"{number(one['value'], to)} {ends}{fewer}"))
    return cells


class _Markdown:
    def __init__(self, words: Words, seed: int):
        self.words, self.say, self.seed = words, words.plain, seed

    def ltr(self, text: str) -> str:
        return left_to_right(self.words, text)

    def run(self, run: Mapping[str, Any]) -> list[str]:
        """All sections of one run."""
        lines = [
            f"## {safe(run['recipe'])}/{safe(run['name'])}",
            "",
            safe(self.words.term("recipe_caption", run["caption"])),
            "",
        ]
        lines += self.summaries(run)
        lines += papers.markdown(self.words, run["paper"]) if run["paper"] else []
        lines += made(self.words, run)
        for survey in run["surveys"]:
            lines += written(self.words, survey)
        for found in run["tables"]:
            lines += self.counted(found)
        lines += trained(self.words, run["models"])
        for evaluation in run["evaluations"]:
            lines += [
                *self.named(run, evaluation),
                *self.scores(evaluation),
                *fertility.markdown(self.words, evaluation["fertility"]),
            ]
            lines += [*sensitivity.markdown(self.words, evaluation), *self.pairs(evaluation)]
            lines += crossings.markdown(self.words, evaluation)
            lines += [*self.health(evaluation), *self.obedience(evaluation)]
        lines += drawn(self.words, run, self.seed)
        lines += markdown_of(self.words, run)
        return [
            *lines,
            *self.cost(run),
            *licences(self.words, run),
            *identity_view.markdown(self.words, run),
            *self.limits(run),
        ]

    def counted(self, found: Mapping[str, Any]) -> list[str]:
        """Tables of counts: what was done to posts, and what is left of planted things."""
        lines = [f"### {self.say('counted')}: {safe(found['step'])}"]
        for one in found["tables"]:
            left = [[number(row["left"])] if "left" in row else [] for row in one["rows"]]
            rows = [
                [safe(self.words.term("counted_row", row["name"])), number(row["n"]), *more, number(row["share"], 3)]
                for row, more in zip(one["rows"], left, strict=True)
            ]
            heads = ["thing", "count", *(["left"] if any(left) else []), "share"]
            lines += [
                "",
                self.words.term("counted_table", one["table"]),
                *table([self.say(key) for key in heads], rows),
            ]
        return lines

    def obedience(self, evaluation: Mapping[str, Any]) -> list[str]:
        """System by rule of a story prompt: the share that obeys."""
        names = [name for name in evaluation["metrics"] if name == "obeys" or name.startswith("obeys_")]
        if not names:
            return []
        whole = {(one["system"], one["metric"]): one for one in evaluation["scores"] if one["slice"]["by"] == "all"}
        rows = [
            [
                safe(system_label(self.words, evaluation, system)),
                *(self.percent(whole.get((system, name))) for name in names),
            ]
            for system in evaluation["systems"]
        ]
        head = [self.say("system"), *(self.words.term("metric", name) for name in names)]
        return [f"### {self.say('obedience')}", "", self.say("obedience_note"), *table(head, rows)]

    def percent(self, one: Mapping[str, Any] | None) -> str:
        """A share in percent with its interval and its items."""
        if one is None:
            return "–"
        low, high = (None if end is None else 100 * end for end in (one["low"], one["high"]))
        return self.ltr(f"{number(100 * one['value'], 1)}% {interval_text(low, high, 1)} (n = {number(one['n'])})")

    def summaries(self, run: Mapping[str, Any]) -> list[str]:
        """The headline of each evaluation, with what speaks against it; what holds for all of them comes last."""
        lines = [f"### {self.say('summary')}", ""]
        for evaluation in own_cautions(run):
            lines += [*self.named(run, evaluation), *self.summary(evaluation)]
        lines += [] if run["evaluations"] else [self.say("no_comparison"), ""]
        shared = [f"- {self.say(key)}" for key in shared_cautions(run)]
        return [*lines, *([f"**{self.say('not_shown_all')}**", "", *shared, ""] if shared else [])]

    def named(self, run: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
        """The name of an evaluation as a heading, where a run has several."""
        if len(run["evaluations"]) < 2:
            return []
        labels = {name: system_label(self.words, evaluation, name) for name in evaluation["systems"]}
        base = safe(labels.pop(evaluation["baseline"]))
        against = self.say("versus", a=self.words.comma.join(map(safe, labels.values())), b=base)
        return [f"#### {code(evaluation['step'])}: {against if labels else base}", ""]

    def summary(self, evaluation: Mapping[str, Any]) -> list[str]:
        lines = []
        for entry in evaluation["headline"]:
            places = places_of(evaluation["metrics"], entry["metric"])
            sentence = self.say(
                moved(entry, places),
                metric=self.words.term("metric", entry["metric"]),
                before=number(entry["before"], places),
                after=number(entry["after"], places),
                baseline=safe(system_label(self.words, evaluation, entry["b"])),
                system=safe(system_label(self.words, evaluation, entry["a"])),
            )
            proof = [
                f"{self.say('difference')} {self.ltr(number(entry['difference'], places, signed=True))}",
                f"{self.say('interval')} {self.ltr(interval_text(entry['low'], entry['high'], places))}",
                f"{self.say('p_holm')} {self.ltr(safe(p_text(entry['p_holm'])))}",
                f"{self.say('items')} {number(entry['n'])}",
                f"{self.say('groups')} {number(entry['groups'])}",
            ]
            lines.append(f"- **{sentence}** {self.say('verdict_' + entry['verdict'])}. {' · '.join(proof)}")
        if not evaluation["headline"]:
            lines.append(self.say("no_comparison"))
        lines += ["", *(f"{note}\n" for note in self.slices(evaluation))]
        against = self.against(evaluation)
        return [*lines, *([f"**{self.say('not_shown')}**", "", *against, ""] if against else [])]

    def slices(self, evaluation: Mapping[str, Any]) -> list[str]:
        """The weakest slice, and the one that gains least."""
        found = []
        if worst := evaluation["worst"]:
            metric = self.words.term("metric", worst["metric"])
            value = self.ltr(number(worst["value"], places_of(evaluation["metrics"], worst["metric"])))
            system = safe(system_label(self.words, evaluation, worst["system"]))
            names = {"system": system, "metric": metric}
            found.append(self.say("worst_slice", value=value, **self.where(evaluation, worst), **names))
        if least := evaluation["least_gain"]:
            places = places_of(evaluation["metrics"], least["metric"])
            value = self.ltr(number(least["difference"], places, signed=True))
            found.append(self.say("least_gain", value=value, **self.where(evaluation, least)))
        return found

    def where(self, evaluation: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
        """The slice of a number, its interval and its items."""
        ends = interval_text(entry["low"], entry["high"], places_of(evaluation["metrics"], entry["metric"]))
        interval = self.say("without_interval") if entry["low"] is None or entry["high"] is None else self.ltr(ends)
        return {"slice": self.piece(entry["slice"]), "interval": interval, "n": number(entry["n"])}

    def against(self, evaluation: Mapping[str, Any]) -> list[str]:
        """What the headline does not show, as the page has it."""
        found, first = [], evaluation["headline"][0]["metric"] if evaluation["headline"] else None
        if evaluation["unproven_slices"] and first:
            slices = self.pieces(evaluation["unproven_slices"])
            found.append(self.say("not_all_slices", metric=self.words.term("metric", first), slices=slices))
        if powerless := evaluation["powerless"]["slices"]:
            found.append(self.say("limit_powerless", slices=self.pieces(powerless)))
        if evaluation["unproven_metrics"]:
            names = (self.words.term("metric", name) for name in evaluation["unproven_metrics"])
            found.append(self.say("not_all_metrics", metrics=self.words.comma.join(names)))
        lines = [f"- {line}" for line in found] + self.powerless(evaluation)
        lines += [f"- {self.say('not_clean', **evaluation['learnt_items'])}"] if evaluation["learnt_items"] else []
        return [*lines, *(f"- {self.say(key)}" for key in evaluation["not_shown"])]

    def powerless(self, evaluation: Mapping[str, Any]) -> list[str]:
        """The line that nothing could have been significant, where it holds."""
        if (least := evaluation["powerless"]["all"]) is None:
            return []
        ps = {"p": self.ltr(safe(p_text(least["p"]))), "holm": self.ltr(safe(p_text(least["p_holm"])))}
        return [f"- {self.say('not_powerful', groups=least['groups'], **ps)}"]

    def scores(self, evaluation: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('scores')}", ""]
        for one in evaluation["absent"]:
            why = self.say("not_run", why=safe(self.words.term("absent_why", one["why"])))
            lines.append(f"- {safe(self.words.term('system_name', one['label']))} ({code(one['model'])}): {why}")
        lines += [""] if evaluation["absent"] else []
        for metric in evaluation["metrics"]:
            mine = [entry for entry in evaluation["scores"] if entry["metric"] == metric]
            places = places_of(evaluation["metrics"], metric)
            for signature in dict.fromkeys(entry["signature"] for entry in mine):
                head = [self.say(key) for key in ("slice", "system", "value", "interval", "items")]
                rows = [
                    [
                        self.piece(entry["slice"]),
                        safe(system_label(self.words, evaluation, entry["system"])),
                        self.ltr(number(entry["value"], places)),
                        self.ltr(interval_text(entry["low"], entry["high"], places)),
                        number(entry["n"]),
                    ]
                    for entry in mine
                    if entry["signature"] == signature
                ]
                name = f"**{self.words.term('metric', metric)}** ({self.better(evaluation, metric)})"
                lines += [f"{name} {code(signature)}", *table(head, rows)]
        return lines

    def better(self, evaluation: Mapping[str, Any], metric: str) -> str:
        return self.say("higher_better" if evaluation["metrics"][metric]["higher_is_better"] else "lower_better")

    def piece(self, piece: Mapping[str, str]) -> str:
        name = safe(slice_text(self.words, piece["by"], piece["value"]))
        return name if piece["by"] in ("all", "macro") else f"{self.say(piece['by'])}: {name}"

    def pieces(self, pieces: Sequence[Mapping[str, str]]) -> str:
        """Slices in one line, grouped by slicing."""
        parts = (f"{by}: {safe(names)}" for by, names in pieces_by_slicing(self.words, pieces))
        return self.words.semicolon.join(parts)

    def pairs(self, evaluation: Mapping[str, Any]) -> list[str]:
        keys = ["system", "slice", "difference", "interval", "p_holm", "effect", "wins_ties_losses"]
        keys += ["items_groups", "smallest"]
        for_metric: dict[str, list[list[str]]] = {}
        for entry in evaluation["comparisons"]:
            places = places_of(evaluation["metrics"], entry["metric"])
            row = [
                safe(system_label(self.words, evaluation, entry["a"])),
                self.piece(entry["slice"]),
                self.ltr(number(entry["difference"], places, signed=True)),
                self.ltr(interval_text(entry["low"], entry["high"], places)),
                self.ltr(safe(p_text(entry["p_holm"]))) + (" †" if entry["powerless"] else ""),
                self.ltr(number(entry["effect"], 2)),
                self.ltr(f"{entry['wins']} / {entry['ties']} / {entry['losses']}"),
                self.ltr(f"{number(entry['n'])} ({number(entry['groups'])})"),
                self.ltr(number(entry["smallest_detectable"], places)),
            ]
            for_metric.setdefault(entry["metric"], []).append(row)
        if not for_metric:
            return []
        marked = any(entry["powerless"] for entry in evaluation["comparisons"])
        notes = ["paired_note", "smallest_note", *(["powerless_note"] if marked else [])]
        lines = [f"### {self.say('paired')}", "", " ".join(map(self.say, notes)), ""]
        for metric, rows in for_metric.items():
            name = f"**{self.words.term('metric', metric)}** ({self.better(evaluation, metric)})"
            lines += [name, *table([self.say(key) for key in keys], rows)]
        return lines

    def health(self, evaluation: Mapping[str, Any]) -> list[str]:
        shares = ("empty", "cut", "looping", "refused", "wrong_variety", "arabic_share", "distinct_openings")
        rows = [
            [
                safe(system_label(self.words, evaluation, entry["system"])),
                *(self.share(entry, key) for key in shares),
                number(entry.get("median_words"), 1),
                number(entry.get("n")),
            ]
            for entry in evaluation["health"]
        ]
        head = [self.say(key) for key in ("system", *shares, "words", "items")]
        lines = [f"### {self.say('health')}", "", self.say("health_note"), *table(head, rows)]
        copied = [
            [
                safe(system_label(self.words, evaluation, entry["system"])),
                *(number(entry.get(key), 1) for key in ("longest", "median", "p95")),
                number(entry.get("n")),
                cell(entry.get("text") or ""),
            ]
            for entry in evaluation["copied"]
        ]
        if copied:
            head = [
                self.say(key)
                for key in ("system", "longest_words", "median_words", "p95_words", "items", "longest_span")
            ]
            lines += [f"### {self.say('copied')}", "", self.say("copied_note"), *table(head, copied)]
            lines += self.novelty(evaluation)
        return lines

    def novelty(self, evaluation: Mapping[str, Any]) -> list[str]:
        """The share of new n-grams, by n: against training and context, then against each alone."""
        curves = {entry["system"]: entry for entry in evaluation["copied"] if novel(entry, MAIN)}
        orders = sorted({int(n) for entry in curves.values() for n in novel(entry, MAIN)})
        rows = [
            [
                self.say(said),
                safe(system_label(self.words, evaluation, system)),
                *(number(novel(entry, against).get(str(n), {}).get("value"), 3) for n in orders),
            ]
            for against, said in AGAINST.items()
            for system, entry in curves.items()
        ]
        head = [self.say("novelty_against"), self.say("system"), *(f"n={n}" for n in orders)]
        return [self.say("novelty_caption"), *table(head, rows)] if rows else []

    def share(self, entry: Mapping[str, Any], name: str) -> str:
        """A share of replies in percent, with its interval where it has one."""
        value = entry.get(name)
        if value is None:
            return "–"
        low, high = (entry.get("intervals") or {}).get(name) or (None, None)
        ends = "" if low is None or high is None else f" {interval_text(100 * low, 100 * high, 1)}"
        return self.ltr(f"{number(100 * value, 1)}%{ends}")

    def cost(self, run: Mapping[str, Any]) -> list[str]:
        rows = [
            [
                safe(step["name"]),
                number(step["seconds"], 1),
                number(step["cpu_seconds"], 1),
                number(step["peak_memory_mb"], 0),
                self.say("reused") if step["reused"] else "",
                code(step["fingerprint"], in_table=True),
            ]
            for step in run["steps"]
        ]
        total = [sum(step[key] or 0 for step in run["steps"]) for key in ("seconds", "cpu_seconds")]
        peak = max((step["peak_memory_mb"] or 0 for step in run["steps"]), default=0)
        rows.append([self.say("total"), *(number(one, 1) for one in total), number(peak, 0), "", ""])
        head = [self.say(key) for key in ("step", "seconds", "cpu_seconds", "peak_memory")]
        note = self.say("cost_note", seconds=number(run["seconds"], 1))
        return [f"### {self.say('cost')}", "", note, *table([*head, "", self.say("fingerprint")], rows)]

    def limits(self, run: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('limits')}", ""]
        for limit in run["limits"]:
            values = {name: self.limit_value(name, value) for name, value in limit.items() if name != "limit"}
            if "slices" in values:
                values["slices"] = self.pieces(values["slices"])
            lines.append(f"- {self.say('limit_' + limit['limit'], **values)}")
        return [*lines, *([] if run["limits"] else [f"- {self.say('none')}"]), ""]

    def limit_value(self, name: str, value: Any) -> Any:
        """What is filled into a limit's sentence: a name for readers, or a text from data made harmless."""
        kinds = {"metric": "metric", "system": "system_name", "label": "system_name", "why": "absent_why"}
        if name in kinds:
            return safe(self.words.term(kinds[name], value))
        return safe(value) if isinstance(value, str) else value
