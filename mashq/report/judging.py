"""How far the judge of these replies can be trusted: its card, biases first, with every number and what it means.

The numbers and the conclusions are those of `judge_card.json` (`mashq.judge`); their sentences stand in
`mashq/data/judge/words.yaml`, those of this section in `words_judging.yaml`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mashq.judge.card_words import interval_text, label_of, meaning, name_of, number_text, reason_of, unit_of
from mashq.packaged import parsed
from mashq.record import Step
from mashq.report import plots
from mashq.report.cells import p_text
from mashq.report.lines import left_to_right, safe, table
from mashq.report.words import Words, apart
from mashq.rows import MashqError, expected_got

HEADING = "judge_card"
TEMPLATE = "judging.html"

FILE = "judge_card.json"
ORDER: tuple[str, ...] = ("position", "preference", "length", "dialect", "spelling", "rubric", "defects", "halo")
ORDER += ("people", "retest", "unparsed")
OPEN = ("position", "preference", "length", "dialect")  # probes whose numbers are shown without a click
NO_MODEL = ("echo", "scripted")  # how the identity of a judge begins behind which there is no language model
ISOLATED = re.compile("\N{LEFT-TO-RIGHT ISOLATE}[^\N{POP DIRECTIONAL ISOLATE}]*")  # a number that no line may break
LEVELS = ("1", "2", "3", "4", "5")
STATUS_KIND = {"concern": "worse", "open": "unclear", "clear": "better"}
LABELS: tuple[str, ...] = ("distribution", "what", "criterion", "about", "value", "interval", "n", "unparsed", "p")
LABELS += ("detectable", "change", "reason", "count")
COEFFICIENTS = ("kappa", "spearman", "alpha")


def read(step: Step) -> dict[str, Any]:
    """`judge_card.json`. Raises MashqError where it is absent or holds no card."""
    path = step.folder / FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MashqError(f"report: step '{step.name}' produces a judge card, but {path} is absent.") from error
    except ValueError as error:
        raise MashqError(expected_got(f"report: {path}", "a judge card in JSON", str(error)[:200])) from error
    for key in ("about", "measures", "conclusions", "distribution"):
        if key not in card:
            raise MashqError(expected_got(f"report: {path}", f"the key '{key}'", ", ".join(card)))
    return dict(card)


def view(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The card with its warnings and conclusions in words, its probes as tables and its scores as bars."""
    return {
        **facts,
        "labels": {key: label_of(key, words.lang) for key in LABELS},
        "warnings": _warnings(words, facts, run),
        "figures": _figures(words, facts),
        "concluded": _concluded(words, facts),
        "probes": [_probe(words, facts, probe) for probe in _probes(facts)],
        "scores": [_scores(words, criterion, counts) for criterion, counts in facts["distribution"].items()],
        "matrix": _matrix(words, facts),
        "beside_people": _beside_people(words, facts),
        "left": _left_out(words, facts),
    }


def markdown(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What to beware of, what was measured, then every probe as a table."""
    lines = [line for warning in _warnings(words, facts, run) for line in (f"**⚠ {safe(warning)}**", "")]
    lines += [words.plain("judging_note"), ""]
    lines += [f"* {name}: {left_to_right(words, safe(value))}" for name, value in _figures(words, facts)]
    for group in _concluded(words, facts):
        lines += ["", f"**{group['name']}**", "", *(f"* {_sentence(line)}" for line in group["lines"])]
    lines += _scores_table(words, facts) + _matrix_table(words, facts) + _people_table(words, facts)
    for probe in (_probe(words, facts, name) for name in _probes(facts)):
        lines += ["", f"#### {probe['title']}", "", *(f"* {one}" for one in probe["meanings"])]
        head = [label_of(key, words.lang) for key in ("what", "criterion", "about", "value", "interval", "n", "p")]
        lines += table(head, ([*map(safe, row["names"]), *_numbers(words, row)] for row in probe["rows"]))
    return [*lines, *_left_table(words, facts)]


# --- what must be known first ----------------------------------------------------------------------------------------


def _warnings(words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What takes the worth from the scores, whatever the numbers say."""
    about = facts["about"]
    labels = {name: label for one in run["evaluations"] for name, label in one["labels"].items()}
    named = {name: words.term("system_name", str(labels.get(name, name))) for name in about.get("kin", ())}
    found = []
    if has_no_model(about):
        found.append(words.plain("judging_no_model", model=apart(about["model"])))
    if named:
        family = words.comma.join(about.get("family") or ()) or words.plain("judging_itself")
        found.append(words.plain("judging_kin", systems=words.comma.join(named.values()), family=family))
    if not about.get("family") and not found:
        found.append(words.plain("judging_family_unknown", model=apart(about["model"])))
    if (facts.get("people") or {}).get("simulated"):
        found.append(words.plain("judging_simulated"))
    if about["rubric"] == "medical":
        found.append(words.plain("judging_medical"))
    return found


def has_no_model(about: Mapping[str, Any]) -> bool:
    """Whether no language model stands behind a judge; a server may say so by its model's name."""
    spoken = (str(about.get("identity", "")), str(about["model"]), str(about["model"]).rpartition("#")[2])
    return any(one.startswith(NO_MODEL) for one in spoken)


def _figures(words: Words, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what was measured, and how much of the answers could not be read."""
    about, say = facts["about"], words.plain
    found = [
        (say("judging_model"), str(about["model"])),
        (say("judging_rubric"), str(about["rubric"])),
        (label_of("language", words.lang), say(f"judging_language_{about['language']}")),
        (say("judging_asked"), say("judging_apart" if about.get("apart") else "judging_together")),
        (label_of("cases", words.lang), f"{facts['cases']} ({facts['groups']})"),
        (label_of("requests", words.lang), plots.number(facts["requests"])),
    ]
    unread = [one for one in facts["measures"] if one["probe"] == "unparsed" and one["value"] is not None]
    if unread:
        most = max(unread, key=lambda one: float(one["value"]))
        share = f"{number_text(most['value'], 'share')} {interval_text(most['low'], most['high'], 'share')}"
        found.append((say("judging_unread"), share))
    if people := facts.get("people"):
        found.append((say("judging_raters"), f"{people['raters']} ({people['replies']})"))
    return found


def _concluded(words: Words, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conclusions by how grave they are, in the order of the card."""
    names = parsed("judge/words")["status"]
    groups = []
    for status, kind in STATUS_KIND.items():
        said = (_as_printed(one[words.lang]) for one in facts["conclusions"] if one["status"] == status)
        lines = [ISOLATED.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), line) for line in said]
        if lines:
            groups.append({"kind": kind, "name": names[status][words.lang], "lines": lines})
    return groups


def _as_printed(line: str) -> str:
    """A stored sentence with its numbers as the rest of the page has them; older cards say `31 %` and `-0.12`."""
    return re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", re.sub(r"(?<=\d) %", "%", line))


# --- numbers ---------------------------------------------------------------------------------------------------------


def _probes(facts: Mapping[str, Any]) -> list[str]:
    return [probe for probe in ORDER if any(one["probe"] == probe for one in facts["measures"])]


def _probe(words: Words, facts: Mapping[str, Any], probe: str) -> dict[str, Any]:
    measures = [one for one in facts["measures"] if one["probe"] == probe]
    kinds = dict.fromkeys(one["what"] for one in measures)
    return {
        "title": parsed("judge/words")["probes"][probe][words.lang],
        "open": probe in OPEN,
        "meanings": [meaning(probe, what, words.lang) for what in kinds],
        "rows": [_row(words, one) for one in measures],
    }


def _row(words: Words, one: Mapping[str, Any]) -> dict[str, Any]:
    unit = unit_of(one["probe"], one["what"])
    p = one["p"]
    return {
        "names": [name_of(one[key], words.lang) if one[key] else "–" for key in ("what", "criterion", "about")],
        "value": number_text(one["value"], unit),
        "interval": interval_text(one["low"], one["high"], unit),
        "n": one["n"],
        "unparsed": one["unparsed"],
        "p": "–" if p is None else p_text(p),
        "detectable": number_text(one["detectable"], unit),
    }


def _numbers(words: Words, row: Mapping[str, Any]) -> list[str]:
    """The numbers of a row as cells of Markdown."""
    return [left_to_right(words, safe(row[key])) for key in ("value", "interval", "n", "p")]


def _scores(words: Words, criterion: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """How often each score was given: a cell with a bar for each level, and what has none."""
    asked = sum(count for score, count in counts.items() if score != "not asked")
    name = name_of(criterion, words.lang)
    cells = []
    for level in LEVELS:
        count = counts.get(level, 0)
        label = words.plain("judging_bar_alt", criterion=name, level=level, count=count, of=asked)
        cells.append({"count": count, "bar": plots.bar(count / asked if asked else 0.0, kind="plain", label=label)})
    between = sum(n for score, n in counts.items() if score not in (*LEVELS, "unparsed", "not asked"))
    return {"name": name, "cells": cells, "unread": counts.get("unparsed", 0), "between": between, "asked": asked}


def _matrix(words: Words, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Spearman's rho between criteria: one line a criterion, one cell a criterion; None where nothing was measured."""
    found = {(one["criterion"], one["about"]): one for one in facts["measures"] if one["probe"] == "halo"}
    if not any(one["value"] is not None for one in found.values()):
        return None
    names = list(facts["criteria"])
    lines = []
    for first in names:
        ones = [found.get((first, second)) or found.get((second, first)) for second in names]
        cells = [
            None
            if one is None
            else {
                "value": number_text(one["value"], "coefficient"),
                "interval": interval_text(one["low"], one["high"], "coefficient"),
                "alike": one["low"] is not None and one["low"] > 0.8,
                "n": one["n"],
            }
            for one in ones
        ]
        lines.append({"name": name_of(first, words.lang), "cells": cells})
    return {"head": [name_of(name, words.lang) for name in names], "lines": lines}


def _beside_people(words: Words, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each criterion and coefficient: the judge with a person, a person with another, and the difference."""
    found = {(one["criterion"], one["what"]): one for one in facts["measures"] if one["probe"] == "people"}
    lines = []
    for criterion in dict.fromkeys(criterion for criterion, _ in found):
        for coefficient in COEFFICIENTS:
            sides = [found.get((criterion, f"{coefficient}_{side}")) for side in ("judge", "people", "difference")]
            cells = [_coefficient(one) for one in sides]
            of = words.plain(f"judging_{coefficient}")
            lines.append({"criterion": name_of(criterion, words.lang), "of": of, "cells": cells})
    return lines


def _coefficient(one: Mapping[str, Any] | None) -> dict[str, Any]:
    if one is None or one["value"] is None:
        return {"value": "–", "interval": "", "n": 0 if one is None else one["n"]}
    interval = interval_text(one["low"], one["high"], "coefficient")
    return {"value": number_text(one["value"], "coefficient"), "interval": interval, "n": one["n"]}


def _left_out(words: Words, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What could not be changed, why, and in how many cases."""
    return [
        {
            "name": " / ".join(name_of(name, words.lang) for name in kind.split("/")),
            "reason": reason_of(reason, words.lang),
            "n": count,
        }
        for kind, reasons in sorted(facts["left_out"].items())
        for reason, count in reasons.items()
    ]


# --- Markdown --------------------------------------------------------------------------------------------------------


def _sentence(line: str) -> str:
    """A sentence of the card, whose names may be from data, with its brackets kept readable."""
    return safe(line).replace("&#91;", "[").replace("&#93;", "]")


def _scores_table(words: Words, facts: Mapping[str, Any]) -> list[str]:
    rows = [_scores(words, criterion, counts) for criterion, counts in facts["distribution"].items()]
    head = [label_of("criterion", words.lang), *LEVELS, label_of("unparsed", words.lang)]
    cells = [[safe(row["name"]), *(str(one["count"]) for one in row["cells"]), str(row["unread"])] for row in rows]
    return ["", f"#### {label_of('distribution', words.lang)}", *table(head, cells)]


def _matrix_table(words: Words, facts: Mapping[str, Any]) -> list[str]:
    found = _matrix(words, facts)
    if found is None:
        return []
    rows: list[Sequence[str]] = [
        [safe(line["name"]), *("–" if one is None else left_to_right(words, one["value"]) for one in line["cells"])]
        for line in found["lines"]
    ]
    head = [label_of("criterion", words.lang), *map(safe, found["head"])]
    return [f"#### {words.plain('judging_matrix')}", *table(head, rows)]


def _people_table(words: Words, facts: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            safe(line["criterion"]),
            line["of"],
            *(left_to_right(words, safe(f"{one['value']} {one['interval']}".strip())) for one in line["cells"]),
            str(line["cells"][0]["n"]),
        ]
        for line in _beside_people(words, facts)
    ]
    keys = ("judging_coefficient", "judging_with_judge", "judging_with_people", "judging_above")
    head = [label_of("criterion", words.lang), *map(words.plain, keys), label_of("n", words.lang)]
    title = [f"#### {words.plain('judging_people')}", "", words.plain("judging_people_note")]
    return [*title, *table(head, rows)] if rows else []


def _left_table(words: Words, facts: Mapping[str, Any]) -> list[str]:
    rows = [[safe(one["name"]), safe(one["reason"]), str(one["n"])] for one in _left_out(words, facts)]
    head = [label_of(key, words.lang) for key in ("change", "reason", "count")]
    return ["", f"#### {words.plain('judging_left_out')}", *table(head, rows)] if rows else []
