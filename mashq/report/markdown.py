"""The report and the data card as Markdown, for repositories and model hubs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mashq.report.page import interval_text, p_text, places_of, slice_text, system_label
from mashq.report.parts import markdown_of
from mashq.report.plots import number
from mashq.report.record import COUNTS, Run, Step, read_run
from mashq.report.samples import draw_rows
from mashq.report.words import Words
from mashq.rows import MashqError

__all__ = ["cell", "code", "data_card", "final_steps", "report_markdown", "safe", "table", "yaml_text"]

LEFT, POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
MOST_CELL = 300  # characters of a text in a table
ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&\\`*[]<>|#"}
MOST_LINE = 2_000  # characters of any text from data
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
SPDX_ON_HUB = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC-BY-4.0": "cc-by-4.0", "CC-BY-SA-4.0": "cc-by-sa-4.0"}


def safe(text: object) -> str:
    """A text from data on one line of Markdown: no markup, table, link or HTML of its own."""
    line = " ".join(str(text).split())
    line = line if len(line) <= MOST_LINE else f"{line[:MOST_LINE]}…"
    return line.translate(ESCAPES)


def code(text: object, *, in_table: bool = False) -> str:
    """A name as a code span; what would end the span, or the cell it stands in, is taken out."""
    ends = "`|" if in_table else "`"
    return "`" + "".join(mark for mark in " ".join(str(text).split()) if mark not in ends) + "`"


def cell(text: str) -> str:
    """A text from data in a table, cut for show; the cut says the full length in characters."""
    return safe(text if len(text) <= MOST_CELL else f"{text[:MOST_CELL]}… ({len(text)})")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with an empty line before and after; the cells are Markdown already."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body, ""]


# --- the report ------------------------------------------------------------------------------------------------------


def report_markdown(content: Mapping[str, Any], words: Words) -> str:
    """report.md: the headline, counts, scores, paired tests, health and limits; plots and samples are on the page."""
    lines = [f"# {words.plain('title')}", ""]
    for run in content["runs"]:
        lines += _Markdown(words).run(run)
    return "\n".join(lines) + "\n"


class _Markdown:
    def __init__(self, words: Words):
        self.words, self.say = words, words.plain

    def ltr(self, text: str) -> str:
        """A run of numbers that keeps its order inside an Arabic line."""
        return f"{LEFT}{text}{POP}" if self.words.lang == "ar" else text

    def run(self, run: Mapping[str, Any]) -> list[str]:
        """All sections of one run."""
        lines = [f"## {safe(run['recipe'])}/{safe(run['name'])}", "", safe(run["caption"]), ""]
        for evaluation in run["evaluations"]:
            lines += self.summary(evaluation)
        lines += [f"### {self.say('data')}", ""] if run["data"] else []
        head = [self.say("step"), *(self.say(kind) for kind in COUNTS), self.say("reasons")]
        rows = [
            [
                safe(data["step"]),
                *(number(data["counts"][kind]) for kind in COUNTS),
                "; ".join(f"{safe(reason['reason'])}: {number(reason['rows'])}" for reason in data["reasons"]),
            ]
            for data in run["data"]
        ]
        lines += table(head, rows) if rows else []
        for survey in run["surveys"]:
            lines += self.written(survey)
        for found in run["tables"]:
            lines += self.counted(found)
        for evaluation in run["evaluations"]:
            lines += [*self.scores(evaluation), *self.pairs(evaluation), *self.health(evaluation)]
        for found in run["contamination"]:
            lines += self.contamination(found)
        lines += markdown_of(self.words, run)
        return [*lines, *self.cost(run), *self.limits(run)]

    def written(self, survey: Mapping[str, Any]) -> list[str]:
        """What a model wrote: how much of it was kept, round by round, and which checks it passes."""
        keys = ("wanted", "kept", "replies", "prompt_tokens", "new_tokens")
        rounds = [
            [
                self.say("mended_round" if line["mended"] else "plain_round", n=number(line["attempt"] + 1)),
                number(line["replies"]),
                number(line["kept"]),
            ]
            for line in survey["tries"]
        ]
        checks = [
            [
                safe(self.words.term("check_name", line["check"])),
                number(line["replies"]),
                number(line["passed"] / line["replies"], 3),
                number(line["kept_passed"] / line["kept"] if line["kept"] else None, 3),
            ]
            for line in survey["checks"]
        ]
        passed = ("check", "replies_made", "passed_of_replies", "passed_of_kept")
        return [
            f"### {self.say('written')}: {safe(survey['step'])}",
            *table([self.say(f"written_{key}") for key in keys], [[number(survey[key]) for key in keys]]),
            *table([self.say(key) for key in ("round", "replies_made", "kept")], rounds),
            *(table([self.say(key) for key in passed], checks) if checks else []),
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

    def contamination(self, found: Mapping[str, Any]) -> list[str]:
        """What of the test items stands in each stage of the training."""
        told = self.say(f"contamination_{found['verdict']}")
        rows = [
            [
                safe(stage["stage"]),
                number(stage["rows"]),
                number(stage["contaminated"]["n"]),
                number(stage["contaminated"]["share"], 3),
                self.ltr(interval_text(stage["contaminated"]["low"], stage["contaminated"]["high"], 3)),
            ]
            for stage in found["stages"]
        ]
        counts = {"items": found["items"], "untold_items": found["untold"]}
        heads = ("stage", "rows_learnt", "contaminated_items", "share", "interval")
        return [
            f"### {self.say('contamination')}: {safe(found['step'])}",
            "",
            self.words.comma.join([told, *(f"{self.say(key)}: {number(n)}" for key, n in counts.items())]),
            "",
            *table([self.say(key) for key in heads], rows),
        ]

    def summary(self, evaluation: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('summary')}", ""]
        for entry in evaluation["headline"]:
            places = places_of(evaluation["metrics"], entry["metric"])
            moved = "stayed" if not entry["difference"] else "went_up" if entry["difference"] > 0 else "went_down"
            sentence = self.say(
                moved,
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
        return [
            *lines,
            "",
            f"**{self.say('not_shown')}**",
            "",
            *([f"- {self.say('not_clean', **evaluation['learnt_items'])}"] if evaluation["learnt_items"] else []),
            *(f"- {self.say(key)}" for key in evaluation["not_shown"]),
            "",
        ]

    def scores(self, evaluation: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('scores')}", ""]
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
                lines += [f"**{self.words.term('metric', metric)}** {code(signature)}", *table(head, rows)]
        return lines

    def piece(self, piece: Mapping[str, str]) -> str:
        name = safe(slice_text(self.words, piece["by"], piece["value"]))
        return name if piece["by"] in ("all", "macro") else f"{self.say(piece['by'])}: {name}"

    def pairs(self, evaluation: Mapping[str, Any]) -> list[str]:
        keys = ("system", "slice", "difference", "interval", "p_holm", "effect", "wins_ties_losses", "groups")
        for_metric: dict[str, list[list[str]]] = {}
        for entry in evaluation["comparisons"]:
            places = places_of(evaluation["metrics"], entry["metric"])
            row = [
                safe(system_label(self.words, evaluation, entry["a"])),
                self.piece(entry["slice"]),
                self.ltr(number(entry["difference"], places, signed=True)),
                self.ltr(interval_text(entry["low"], entry["high"], places)),
                self.ltr(safe(p_text(entry["p_holm"]))),
                self.ltr(number(entry["effect"], 2)),
                self.ltr(f"{entry['wins']} / {entry['ties']} / {entry['losses']}"),
                number(entry["groups"]),
            ]
            for_metric.setdefault(entry["metric"], []).append(row)
        if not for_metric:
            return []
        lines = [f"### {self.say('paired')}", "", self.say("paired_note"), ""]
        for metric, rows in for_metric.items():
            lines += [f"**{self.words.term('metric', metric)}**", *table([self.say(key) for key in keys], rows)]
        return lines

    def health(self, evaluation: Mapping[str, Any]) -> list[str]:
        shares = ("empty", "cut", "looping", "wrong_variety", "arabic_share")
        rows = []
        for entry in evaluation["health"]:
            values = [number(None if entry.get(key) is None else 100 * entry[key], 1) for key in shares]
            rows.append(
                [safe(system_label(self.words, evaluation, entry["system"])), *(f"{value}%" for value in values)]
            )
        lines = [f"### {self.say('health')}", *table([self.say(key) for key in ("system", *shares)], rows)]
        copied = [
            [
                safe(system_label(self.words, evaluation, entry["system"])),
                *(number(entry.get(key), 1) for key in ("longest", "median", "p95")),
            ]
            for entry in evaluation["copied"]
        ]
        if copied:
            head = [self.say(key) for key in ("system", "longest_words", "median_words", "p95_words")]
            lines += [f"### {self.say('copied')}", *table(head, copied)]
        return lines

    def cost(self, run: Mapping[str, Any]) -> list[str]:
        rows = [
            [
                safe(step["name"]),
                number(step["seconds"], 1),
                number(step["peak_memory_mb"], 0),
                code(step["fingerprint"], in_table=True),
            ]
            for step in run["steps"]
        ]
        head = [self.say(key) for key in ("step", "seconds", "peak_memory", "fingerprint")]
        return [f"### {self.say('cost')}", *table(head, rows)]

    def limits(self, run: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('limits')}", ""]
        for limit in run["limits"]:
            values = {name: value for name, value in limit.items() if name != "limit"}
            if "slices" in values:
                values["slices"] = ", ".join(self.piece(piece) for piece in values["slices"])
            lines.append(f"- {self.say('limit_' + limit['limit'], **values)}")
        return [*lines, ""]


# --- the data card ---------------------------------------------------------------------------------------------------


def data_card(run: Path) -> str:
    """The Markdown data card of a run (`runs/<recipe>/<name>.json`), with the front matter that hubs read.

    It describes the rows that training takes, or where nothing is trained the rows that no further step takes. Raises
    MashqError for a run without a step that makes rows.
    """
    found = read_run(run)
    final = final_steps(found)
    needed = {step.fingerprint for last in final for step in (last, *found.upstream(last))}
    steps = [step for step in found.of("rows") if step.fingerprint in needed]
    tally = _summed(step.manifest.get("tally") or {} for step in final)
    rows = sum((step.counts or {}).get("kept", 0) for step in final)
    licences = list(_summed({"licence": step.manifest.get("licences") or {}} for step in steps).get("licence", {}))
    lines = [*_front(found, rows, licences, tally), f"# {safe(found.recipe)}: data card", ""]
    caption = str(found.record.get("caption") or "")
    lines += [safe(caption), ""] if caption else []
    lines += [
        f"{number(rows)} rows of Arabic training data, made by mashq {safe(found.record.get('mashq', ''))} with the "
        f"recipe {code(found.recipe)}, run {code(found.name)}, started {safe(found.record.get('started', ''))}.",
        "",
        "## How it was made",
        *_steps_table(steps),
        "Counts close at every step: in + made = kept + dropped + merged + unsampled. Dropped rows lie, with their "
        "reasons, in each step's folder `dropped/`.",
        "",
        "## Why rows were dropped",
        *_reasons(steps),
        "## What it is made of",
        *_composition(tally),
        "## Sources and licences",
        *_licence_lines(found, licences),
        "## Two rows, drawn by seed 0",
        *_examples(found, final),
        "## Limits",
        "",
        "- Rows made by templates or by a model are regular where people are not: do not take their variety for that "
        "of written Arabic.",
        "- The checks above catch what they name. They do not check facts, and nobody has read every row.",
        "- Names and other personal content of the sources are as the sources have them unless a step above removed "
        "them.",
        "",
        "## Identity",
        *table(["step", "fingerprint", "rows digest"], _identity(final)),
        f"To make it again: {code('mashq make ' + found.recipe)} with the settings in {code(found.path.name)}.",
        "",
    ]
    return "\n".join(lines)


def final_steps(run: Run) -> list[Step]:
    """The steps whose rows are the data: what training takes, else what no further step takes."""
    rows = list(run.of("rows"))
    if not rows:
        raise MashqError(f"data card: {run.path}: no step of this run makes rows, so there is no data to describe.")
    taken = {str(value) for step in run.of("model") for value in (step.manifest.get("inputs") or {}).values()}
    trained = [step for step in rows if step.fingerprint in taken]
    if trained:
        return trained
    used = {str(value) for step in rows for value in (step.manifest.get("inputs") or {}).values()}
    return [step for step in rows if step.fingerprint not in used]


def _summed(tallies: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for tally in tallies:
        for column, values in tally.items():
            for value, rows in values.items():
                column_of = found.setdefault(column, {})
                column_of[value] = column_of.get(value, 0) + rows
    return found


def _front(run: Run, rows: int, licences: Sequence[str], tally: Mapping[str, Mapping[str, int]]) -> list[str]:
    size = next((name for limit, name in SIZES if rows < limit), "n>1M")
    licence = SPDX_ON_HUB.get(licences[0], "other") if len(licences) == 1 else "other"
    lines = ["---", "language:", "- ar", f"license: {licence}"]
    if licence == "other":
        lines.append(f"license_name: {yaml_text('; '.join(licences) or 'unknown')}")
    lines += [f"pretty_name: {yaml_text(run.recipe)}", "size_categories:", f"- {size}"]
    lines += ["tags:", "- mashq", "- synthetic"]
    lines += [f"- {yaml_text(name)}" for name in tally.get("variety", {})]
    return [*lines, "---", ""]


def yaml_text(text: str) -> str:
    """A text as a double-quoted YAML scalar, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False)


def _steps_table(steps: Sequence[Step]) -> list[str]:
    rows = [
        [code(step.folder.name, in_table=True), *(number((step.counts or {}).get(kind, 0)) for kind in COUNTS)]
        for step in steps
    ]
    return table(["step", *COUNTS], rows)


def _reasons(steps: Sequence[Step]) -> list[str]:
    rows = [
        [safe(step.name), safe(reason), number(count)]
        for step in steps
        for reason, count in (step.manifest.get("reasons") or {}).items()
    ]
    return table(["step", "reason", "rows"], rows) if rows else ["", "No row was dropped.", ""]


def _composition(tally: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = [
        [column, safe(value), number(count)]
        for column in ("source", "split", "task", "variety")
        for value, count in sorted(tally.get(column, {}).items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return table(["by", "value", "rows"], rows) if rows else ["", "Not recorded.", ""]


def _licence_lines(run: Run, licences: Sequence[str]) -> list[str]:
    lines = ["", *(f"- {safe(name)}" for name in licences)] if licences else ["", "No step recorded a licence."]
    notices = [
        str(value)
        for step in run.steps
        for name, value in (step.manifest.get("identity") or {}).items()
        if name in ("licence", "notice") and value
    ]
    notices += [f"{one['name']}, which {one['role']} rows: {one['licence']}" for s in run.steps for one in s.judges]
    return [*lines, *(f"- {safe(notice)}" for notice in dict.fromkeys(notices)), ""]


def _examples(run: Run, final: Sequence[Step]) -> list[str]:
    lines = [""]
    for step in final:
        for row in draw_rows(run, step, dropped=False, seed=0, n=2):
            turns = [f"- *{safe(turn['role'])}*: {cell(turn['text'])}" for turn in row["texts"]]
            lines += [*turns, *(f"- *reference*: {cell(text['text'])}" for text in row["references"][:1]), ""]
    return lines


def _identity(final: Sequence[Step]) -> list[list[str]]:
    return [
        [
            safe(step.name),
            code(step.fingerprint, in_table=True),
            code(step.manifest.get("hash") or "-", in_table=True),
        ]
        for step in final
    ]
