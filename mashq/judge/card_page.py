"""A judge card for readers: what to conclude first, then every number with what it means; Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from mashq.judge.card_rules import LANGUAGES, conclusions
from mashq.judge.card_words import (
    MOST_NAME,
    interval_text,
    isolated,
    label_of,
    meaning,
    name_of,
    number_text,
    reason_of,
    unit_of,
)
from mashq.judge.measures import JudgeCard, Measure
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got

__all__ = ["card_json", "card_markdown", "safe", "table"]

_ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&\\`*_[]<>|#"}


def card_json(card: JudgeCard) -> str:
    """The text of `judge_card.json`: the conclusions, then every field of the card; each measure says its meaning."""
    fields = asdict(card)
    for one in fields["measures"]:
        one["meaning"] = meaning(one["probe"], one["what"], "en")
    content = {"conclusions": [asdict(one) for one in conclusions(card)], **fields}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


# --- Markdown --------------------------------------------------------------------------------------------------------


def safe(text: object) -> str:
    """A text from data on one line of Markdown: no markup, table, link or HTML of its own."""
    return " ".join(str(text).split())[:MOST_NAME].translate(_ESCAPES)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body, ""] if body else []


def card_markdown(card: JudgeCard, language: str = "en") -> str:
    """`judge_card.md`, in English or Arabic: what to conclude, then every number with what it means.

    Raises MashqError for another language.
    """
    if language not in LANGUAGES:
        raise MashqError(expected_got("judge card: language", " or ".join(LANGUAGES), repr(language)))
    lines = [f"# {label_of('title', language)}", "", f"## {label_of('conclude', language)}", ""]
    lines += _conclusion_lines(card, language)
    lines += [f"## {label_of('identity', language)}", "", *_identity_lines(card, language), ""]
    for probe in dict.fromkeys(one.probe for one in card.measures):
        lines += _probe_lines(card, probe, language)
    lines += _distribution_lines(card, language) + _left_out_lines(card, language)
    lines += [f"## {label_of('notes', language)}", ""]
    lines += [f"* {note[language]}" for note in parsed("judge/words")["notes"]]
    return "\n".join(lines) + "\n"


def _conclusion_lines(card: JudgeCard, language: str) -> list[str]:
    found = conclusions(card)
    lines: list[str] = []
    for status, names in parsed("judge/words")["status"].items():
        said = [one.ar if language == "ar" else one.en for one in found if one.status == status]
        if said:
            lines += [f"**{names[language]}**", "", *(f"* {_escaped(sentence)}" for sentence in said), ""]
    return lines or [label_of("nothing", language), ""]


def _escaped(sentence: str) -> str:
    """A sentence of ours with names from data in it: the marks of Markdown escaped, its brackets and digits kept."""
    return sentence.translate({code: mark for code, mark in _ESCAPES.items() if chr(code) not in "[]"})


def _identity_lines(card: JudgeCard, language: str) -> list[str]:
    facts: dict[str, Any] = {
        "judge": safe(card.judge) or "–",
        "language": safe(card.language),
        "cases": isolated(f"{card.cases} ({card.groups})", language),
        "requests": card.requests,
        "seed": card.seed,
    }
    return [f"* {label_of(key, language)}: {value}" for key, value in facts.items()]


def _probe_lines(card: JudgeCard, probe: str, language: str) -> list[str]:
    measures = card.of(probe)
    title = parsed("judge/words")["probes"][probe][language]
    meant = [f"* {meaning(probe, what, language)}" for what in dict.fromkeys(one.what for one in measures)]
    columns = ("what", "criterion", "about", "value", "interval", "n", "unparsed", "p", "detectable")
    head = [label_of(key, language) for key in columns]
    return [f"## {title}", "", *meant, *table(head, (_row(one, language) for one in measures))]


def _row(one: Measure, language: str) -> list[str]:
    unit = unit_of(one.probe, one.what)
    numbers = [
        number_text(one.value, unit),
        interval_text(one.low, one.high, unit).replace("[", "&#91;").replace("]", "&#93;"),
        str(one.n),
        str(one.unparsed),
        "–" if one.p is None else f"{one.p:.4f}" if one.p >= 0.0001 else "< 0.0001",
        number_text(one.detectable, unit),
    ]
    names = [safe(name_of(name, language)) if name else "–" for name in (one.what, one.criterion, one.about)]
    return [*names, *(isolated(number, language) for number in numbers)]


def _distribution_lines(card: JudgeCard, language: str) -> list[str]:
    scores = sorted({score for counts in card.distribution.values() for score in counts})
    rows = (
        [safe(name_of(criterion, language)), *(str(counts.get(score, 0)) for score in scores)]
        for criterion, counts in card.distribution.items()
    )
    head = [label_of("criterion", language), *map(safe, scores)]
    return [f"## {label_of('distribution', language)}", *table(head, rows)]


def _changed(kind: str, language: str) -> str:
    return " / ".join(safe(name_of(name, language)) for name in kind.split("/"))


def _left_out_lines(card: JudgeCard, language: str) -> list[str]:
    rows = [
        [_changed(kind, language), safe(reason_of(reason, language)), str(count)]
        for kind, reasons in sorted(card.left_out.items())
        for reason, count in reasons.items()
    ]
    head = [label_of(key, language) for key in ("change", "reason", "count")]
    return [f"## {label_of('left_out', language)}", *table(head, rows)] if rows else []
