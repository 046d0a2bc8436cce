"""The report as Markdown, for repositories and model hubs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.report import fertility, papers, sensitivity
from mashq.report.cells import interval_text, moved, p_text, places_of, slice_text, system_label
from mashq.report.lines import cell, code, left_to_right, safe, table, yaml_text
from mashq.report.parts import markdown_of
from mashq.report.plots import number
from mashq.report.record import COUNTS
from mashq.report.words import Words

__all__ = ["cell", "code", "report_markdown", "safe", "table", "yaml_text"]


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
        return left_to_right(self.words, text)

    def run(self, run: Mapping[str, Any]) -> list[str]:
        """All sections of one run."""
        lines = [f"## {safe(run['recipe'])}/{safe(run['name'])}", "", safe(run["caption"]), ""]
        for evaluation in run["evaluations"]:
            lines += self.summary(evaluation)
        lines += papers.markdown(self.words, run["paper"]) if run["paper"] else []
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
        lines += self.training(run["models"])
        for evaluation in run["evaluations"]:
            lines += [*self.scores(evaluation), *fertility.markdown(self.words, evaluation["fertility"])]
            lines += [*sensitivity.markdown(self.words, evaluation), *self.pairs(evaluation)]
            lines += [*self.health(evaluation), *self.obedience(evaluation)]
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

    def training(self, models: Sequence[Mapping[str, Any]]) -> list[str]:
        """Steps, losses, tokens and seed of every model that was trained."""
        rows = [
            [
                safe(model["step"]),
                number(model["steps"]),
                number(model["first"] and model["first"][1], 3),
                number(model["last"] and model["last"][1], 3),
                number(model["last_eval"] and model["last_eval"][1], 3),
                number(model["supervised_tokens"]),
                number(model["tokens"].get("tokens")),
                safe("–" if model["seed"] is None else model["seed"]),
            ]
            for model in models
        ]
        keys = (
            "optimiser_steps",
            "first_loss",
            "last_loss",
            "last_eval_loss",
            "supervised_tokens",
            "all_tokens",
            "seed",
        )
        head = [self.say(key) for key in ("step", *keys)]
        return [f"### {self.say('training')}", *table(head, rows)] if rows else []

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

    def summary(self, evaluation: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('summary')}", ""]
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
        return [
            *lines,
            "",
            f"**{self.say('not_shown')}**",
            "",
            *self.powerless(evaluation),
            *([f"- {self.say('not_clean', **evaluation['learnt_items'])}"] if evaluation["learnt_items"] else []),
            *(f"- {self.say(key)}" for key in evaluation["not_shown"]),
            "",
        ]

    def powerless(self, evaluation: Mapping[str, Any]) -> list[str]:
        """The line that nothing could have been significant, where it holds."""
        least = evaluation["powerless"]["all"]
        return [f"- {self.say('not_powerful', groups=least['groups'], p=safe(p_text(least['p'])))}"] if least else []

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
        shares = ("empty", "cut", "looping", "refused", "wrong_variety", "arabic_share")
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
                number(step["cpu_seconds"], 1),
                number(step["peak_memory_mb"], 0),
                code(step["fingerprint"], in_table=True),
            ]
            for step in run["steps"]
        ]
        head = [self.say(key) for key in ("step", "seconds", "cpu_seconds", "peak_memory", "fingerprint")]
        return [f"### {self.say('cost')}", *table(head, rows)]

    def limits(self, run: Mapping[str, Any]) -> list[str]:
        lines = [f"### {self.say('limits')}", ""]
        for limit in run["limits"]:
            values = {name: self.limit_value(name, value) for name, value in limit.items() if name != "limit"}
            if "slices" in values:
                values["slices"] = ", ".join(self.piece(piece) for piece in values["slices"])
            lines.append(f"- {self.say('limit_' + limit['limit'], **values)}")
        return [*lines, ""]

    def limit_value(self, name: str, value: Any) -> Any:
        """What is filled into a limit's sentence: a name for readers, or a text from data made harmless."""
        kinds = {"metric": "metric", "system": "system_name", "label": "system_name", "why": "absent_why"}
        if name in kinds:
            return safe(self.words.term(kinds[name], value))
        return safe(value) if isinstance(value, str) else value
