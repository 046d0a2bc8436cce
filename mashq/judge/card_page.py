"""A judge card for readers: what to conclude first, then every number with what it means; Markdown and JSON.

Conclusions follow fixed rules. A bias is stated where its test, after Holm, is below `ALPHA`; where it is not, the card
says which size would have been seen. Sentences stand in `mashq/data/judge/words.yaml`, in English and Arabic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mashq.judge.card_words import (
    MOST_NAME,
    interval_text,
    label_of,
    meaning,
    name_of,
    number_text,
    reason_of,
    unit_of,
)
from mashq.judge.measures import HIGHEST, LOWEST, JudgeCard, Measure
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got

__all__ = ["LANGUAGES", "Conclusion", "card_json", "card_markdown", "conclusions", "interval_text", "label_of"]
__all__ += ["meaning", "name_of", "number_text", "reason_of", "unit_of"]

LANGUAGES = ("en", "ar")
ALPHA = 0.05  # after Holm
STEADY = 0.9  # share of equal scores below which a judge is not steady
FLIPS = 0.1  # share of flipped verdicts above which to beware
SEEN = 0.5  # a defect seen in fewer cases is seldom seen
MISSED = 0.3  # a defect whose detection is surely not so far above false alarms is not seen
ALIKE = 0.8  # two criteria whose rho is surely above are one opinion
UNREAD = 0.05  # share of unreadable answers above which to beware
CROWDED = 0.8  # share of cases at one end of the scale from which on it hides biases

_LEFT, _POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
_ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&\\`*_[]<>|#"}


@dataclass(frozen=True)
class Conclusion:
    """One thing to know before using the judge, in both languages."""

    status: str  # "concern", "open" or "clear"
    key: str  # of `conclusions` in words.yaml
    probe: str
    criterion: str
    about: str
    en: str
    ar: str


def conclusions(card: JudgeCard) -> list[Conclusion]:
    """What to conclude from a card: what to beware of first, then what is open, then what is clear."""
    found = [one for of in _RULES for one in of(card)]
    order = ("concern", "open", "clear")
    return sorted(found, key=lambda one: order.index(one.status))


def card_json(card: JudgeCard) -> str:
    """The text of `judge_card.json`: the conclusions, then every field of the card; each measure says its meaning."""
    fields = asdict(card)
    for one in fields["measures"]:
        one["meaning"] = meaning(one["probe"], one["what"], "en")
    content = {"conclusions": [asdict(one) for one in conclusions(card)], **fields}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _isolated(text: str, language: str) -> str:
    """A number in an Arabic line keeps its own direction."""
    return f"{_LEFT}{text}{_POP}" if language == "ar" else text


def _concluded(status: str, key: str, one: Measure, *, absolute: bool = True, other: str = "–") -> Conclusion:
    """The sentence with this measure's numbers. `absolute`: the size without its sign, which the sentence says."""
    unit, value, low, high = unit_of(one.probe, one.what), one.value, one.low, one.high
    if absolute and value is not None and value < 0:
        value, low, high = -value, None if high is None else -high, None if low is None else -low
    numbers = {
        "value": number_text(value, unit),
        "interval": interval_text(low, high, unit),
        "detectable": number_text(one.detectable, unit),
        "n": str(one.n),
        "other": other,
    }
    said = []
    for language in LANGUAGES:
        names = {name: name_of(getattr(one, name), language) for name in ("criterion", "about")}
        isolated = {name: _isolated(text, language) for name, text in numbers.items()}
        said.append(str(parsed("judge/words")["conclusions"][key][language]).format_map(names | isolated))
    return Conclusion(status, key, one.probe, one.criterion, one.about, *said)


# --- the rules -------------------------------------------------------------------------------------------------------


def _found(one: Measure) -> bool:
    return one.p is not None and one.p < ALPHA


def _of_position(card: JudgeCard) -> Iterator[Conclusion]:
    for one in card.of("position", "advantage"):
        if one.value is None:
            continue
        if _found(one):
            yield _concluded("concern", "prefers_first" if one.value > 0 else "prefers_second", one)
        else:
            yield _concluded("clear", "no_place", one, absolute=False)
    for one in card.of("position", "flip"):
        if one.value is not None:
            yield _concluded("concern" if one.value > FLIPS else "clear", "flips", one)


def _differences(card: JudgeCard, probe: str, what: str, less: str, more: str, none: str) -> Iterator[Conclusion]:
    """A sentence for the largest difference of each kind and sign; where none was found, what would have been."""
    measured = [one for one in card.of(probe, what) if one.value is not None]
    found: dict[tuple[str, bool, str], list[Measure]] = {}
    for one in measured:
        if _found(one):
            concluded = _of_difference(one, less, more)
            found.setdefault((one.about, concluded.status == "open", concluded.key), []).append(one)
    for several in found.values():
        largest = max(several, key=lambda one: abs(one.value or 0.0))
        of_kind = sum(one.about == largest.about for one in measured)
        yield _with_more(_of_difference(largest, less, more), len(several), of_kind)
    coarsest = max((one for one in measured if one.detectable is not None), key=_detectable, default=None)
    if not found and coarsest is not None:
        yield _concluded("clear", none, coarsest)


def _with_more(one: Conclusion, found: int, of: int) -> Conclusion:
    """The sentence, and on how many criteria the same was found, where it is more than one."""
    if found < 2:
        return one
    more = parsed("judge/words")["conclusions"]["and_more"]
    numbers = {"found": str(found), "all": str(of)}
    en, ar = (
        more[language].format_map({key: _isolated(text, language) for key, text in numbers.items()})
        for language in LANGUAGES
    )
    return replace(one, en=f"{one.en} {en}", ar=f"{one.ar} {ar}")


def _detectable(one: Measure) -> float:
    return one.detectable or 0.0


def _of_difference(one: Measure, less: str, more: str) -> Conclusion:
    if one.value is not None and one.value > 0:
        return _concluded("concern", more, one)
    rightly = one.criterion in parsed("judge/probes")["misspelt"].get(one.about, ())
    if less == "spelling_less" and rightly:
        return _concluded("open", "spelling_rightly", one)
    return _concluded("open" if less == "minds_filler" else "concern", less, one)


def _of_length(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "length", "slope", "minds_filler", "pays_length", "no_length")


def _of_dialect(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "dialect", "gap", "dialect_less", "dialect_more", "no_dialect")


def _of_spelling(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "spelling", "change", "spelling_less", "spelling_more", "no_spelling")


def _of_preference(card: JudgeCard) -> Iterator[Conclusion]:
    yield from _differences(card, "preference", "adjusted", "harsher_on_own", "favours_own", "no_preference")
    for one in card.of("preference", "adjusted"):
        if one.value is None:
            yield _concluded("open", f"preference_{one.reason.replace(' ', '_')}", one)


def _of_rubric(card: JudgeCard) -> Iterator[Conclusion]:
    return _differences(card, "rubric", "gap", "rubric_less", "rubric_more", "no_rubric")


def _of_retest(card: JudgeCard) -> Iterator[Conclusion]:
    measured = [one for one in card.of("retest", "equal") if one.value is not None]
    if measured:
        least = min(measured, key=lambda one: one.value or 0.0)
        yield _concluded("concern" if (least.value or 0.0) < STEADY else "clear", "repeats", least)


def _of_defects(card: JudgeCard) -> Iterator[Conclusion]:
    alarms = {one.criterion: one for one in card.of("defects", "false_alarm")}
    detections = {one.about: one for one in card.of("defects", "detection")}
    for lift in card.of("defects", "lift"):
        seen = detections[lift.about]
        if lift.value is None or seen.value is None:
            continue
        other = number_text(alarms[lift.criterion].value, "share")
        if _found(lift) and lift.value > 0:
            clear = seen.value >= SEEN
            yield _concluded("clear" if clear else "concern", "sees" if clear else "seldom_sees", seen, other=other)
        elif lift.high is not None and lift.high < MISSED:
            yield _concluded("concern", "blind", seen, other=other)
        else:
            yield _concluded("open", "cannot_tell", seen, other=other)


def _of_halo(card: JudgeCard) -> Iterator[Conclusion]:
    for one in card.of("defects", "spill"):
        if _found(one) and one.value is not None and one.value < 0:
            yield _concluded("concern", "spills", one)
    for one in card.of("halo", "correlation"):
        if one.low is not None and one.low > ALIKE:
            yield _concluded("concern", "one_opinion", one)


def _of_unparsed(card: JudgeCard) -> Iterator[Conclusion]:
    measured = [one for one in card.of("unparsed") if one.value is not None]
    if measured:
        most = max(measured, key=lambda one: one.value or 0.0)
        if most.value == 0:
            yield _concluded("clear", "all_read", replace(most, n=card.requests))
        else:
            yield _concluded("concern" if (most.value or 0.0) > UNREAD else "clear", "unreadable", most)


def _of_ends(card: JudgeCard) -> Iterator[Conclusion]:
    """A criterion whose scores crowd at one end of the scale."""
    for criterion, counts in card.distribution.items():
        scored = sum(count for score, count in counts.items() if score not in ("unparsed", "not asked"))
        for score, key in ((HIGHEST, "at_top"), (LOWEST, "at_bottom")):
            share = counts.get(f"{score:g}", 0) / scored if scored else 0.0
            if share >= CROWDED:
                one = Measure("unparsed", "share", criterion, "", share, None, None, scored, "")
                yield replace(_concluded("concern", key, one), probe="distribution")


def _of_people(card: JudgeCard) -> Iterator[Conclusion]:
    ceilings = {one.criterion: one for one in card.of("people", "kappa_people")}
    for one in card.of("people", "kappa_judge"):
        if one.value is None:
            continue
        people = ceilings.get(one.criterion)
        other = (
            "–" if people is None else f"{number_text(people.value, '')} {interval_text(people.low, people.high, '')}"
        )
        below = people is not None and people.low is not None and one.value < people.low
        status = "concern" if below else "open" if people is None else "clear"
        yield _concluded(status, "below_people" if below else "with_people", one, absolute=False, other=other)


_RULES = (
    _of_position,
    _of_preference,
    _of_defects,
    _of_dialect,
    _of_length,
    _of_spelling,
    _of_rubric,
    _of_halo,
    _of_retest,
    _of_ends,
    _of_people,
    _of_unparsed,
)


# --- Markdown --------------------------------------------------------------------------------------------------------


def _safe(text: object) -> str:
    """A text from data on one line of Markdown: no markup, table, link or HTML of its own."""
    return " ".join(str(text).split())[:MOST_NAME].translate(_ESCAPES)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
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
        "judge": _safe(card.judge) or "–",
        "language": _safe(card.language),
        "cases": _isolated(f"{card.cases} ({card.groups})", language),
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
    return [f"## {title}", "", *meant, *_table(head, (_row(one, language) for one in measures))]


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
    names = [_safe(name_of(name, language)) if name else "–" for name in (one.what, one.criterion, one.about)]
    return [*names, *(_isolated(number, language) for number in numbers)]


def _distribution_lines(card: JudgeCard, language: str) -> list[str]:
    scores = sorted({score for counts in card.distribution.values() for score in counts})
    rows = (
        [_safe(name_of(criterion, language)), *(str(counts.get(score, 0)) for score in scores)]
        for criterion, counts in card.distribution.items()
    )
    head = [label_of("criterion", language), *map(_safe, scores)]
    return [f"## {label_of('distribution', language)}", *_table(head, rows)]


def _changed(kind: str, language: str) -> str:
    return " / ".join(_safe(name_of(name, language)) for name in kind.split("/"))


def _left_out_lines(card: JudgeCard, language: str) -> list[str]:
    rows = [
        [_changed(kind, language), _safe(reason_of(reason, language)), str(count)]
        for kind, reasons in sorted(card.left_out.items())
        for reason, count in reasons.items()
    ]
    head = [label_of(key, language) for key in ("change", "reason", "count")]
    return [f"## {label_of('left_out', language)}", *_table(head, rows)] if rows else []
