"""What an answer may be, and answers made clean; nothing here knows a file or a page.

An answer is plain values: of an absolute item {"scores": {criterion: 1..5}}, of a pair {"prefer": {criterion: "first" |
"second" | "tie"}}, of a check {"verdict": "accept" | "correct" | "reject", "text": the corrected text}; each may hold
a "note".
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mashq import arabic
from mashq.rows import MashqError, expected_got, nearest

if TYPE_CHECKING:
    from mashq.rating.study import Item

__all__ = [
    "MOST_NOTE",
    "MOST_SECONDS",
    "MOST_TEXT",
    "PREFERENCES",
    "SCALE",
    "VERDICTS",
    "changes_nothing",
    "checked",
    "clean",
    "is_right",
    "spent",
    "turned",
]

SCALE = (1, 2, 3, 4, 5)
PREFERENCES = ("first", "second", "tie")
VERDICTS = ("accept", "correct", "reject")
MOST_NOTE = 2_000  # characters: some 300 words
MOST_TEXT = 20_000  # characters of a corrected text: more than any sentence or render that was proposed
MOST_SECONDS = 3_600.0  # a page left open overnight is not a night of work
OTHER_SIDE = {"first": "second", "second": "first", "tie": "tie"}
WANTED = {"absolute": ("scores",), "pairwise": ("prefer",), "check": ("verdict", "text")}


def checked(item: Item, criteria: Sequence[str], answer: Any) -> dict[str, Any]:
    """The answer in its one form, texts clean. Raises MashqError that says what does not fit the item.

    Errors reach the rater's page, so they hold no id, which could tell a system.
    """
    what = "answer"
    if not isinstance(answer, Mapping):
        raise MashqError(expected_got(what, "names and values", type(answer).__name__))
    known = (*WANTED[item.kind], "note")
    for key in answer:
        if key not in known:
            of = f"to an item of kind {item.kind} ({', '.join(known)})"
            raise MashqError(f"{what}: there is no {_brief(key)} {of}.{nearest(str(key), known)}")
    note = clean(answer.get("note", ""), MOST_NOTE, f"{what}: note")
    if item.kind == "check":
        return {**_verdict(item, answer, what), "note": note}
    key = WANTED[item.kind][0]
    allowed: tuple[Any, ...] = SCALE if item.kind == "absolute" else PREFERENCES
    return {key: _each(answer.get(key), criteria, allowed, f"{what}: {key}"), "note": note}


def _each(said: Any, criteria: Sequence[str], allowed: tuple[Any, ...], what: str) -> dict[str, Any]:
    """One allowed value for each criterion, in their order."""
    if not isinstance(said, Mapping):
        raise MashqError(expected_got(what, f"a value for each of {', '.join(criteria)}", type(said).__name__))
    for name in said:
        if name not in criteria:
            known = ", ".join(criteria)
            raise MashqError(f"{what}: there is no criterion {_brief(name)} ({known}).{nearest(str(name), criteria)}")
    missing = [name for name in criteria if name not in said]
    if missing:
        raise MashqError(expected_got(what, "a value for every criterion", f"none for {', '.join(missing)}"))
    for name in criteria:
        value = said[name]
        if type(value) is not type(allowed[0]) or value not in allowed:  # True is an int, and no score
            expected = f"{allowed[0]} to {allowed[-1]}" if allowed is SCALE else " or ".join(allowed)
            raise MashqError(expected_got(f"{what}: {name}", expected, _brief(value)))
    return {name: said[name] for name in criteria}


def _brief(value: Any) -> str:
    """A value in an error: short, and without characters that a page cannot hold."""
    return repr(value)[:80]


def _verdict(item: Item, answer: Mapping[str, Any], what: str) -> dict[str, Any]:
    verdict = answer.get("verdict")
    if verdict not in VERDICTS:
        raise MashqError(expected_got(f"{what}: verdict", " or ".join(VERDICTS), _brief(verdict)))
    text = clean(answer.get("text", ""), MOST_TEXT, f"{what}: text").strip()
    if verdict != "correct":
        return {"verdict": verdict, "text": ""}
    if not text:
        raise MashqError(expected_got(f"{what}: text", "the corrected text", "an empty one"))
    if changes_nothing(item, text):
        raise MashqError(f"{what}: the corrected text is what was proposed. Accept it, or change it.")
    return {"verdict": verdict, "text": text}


def changes_nothing(item: Item, text: str) -> bool:
    """Whether a corrected text (of at most `MOST_TEXT` characters) is empty, or what the check proposed.

    Spaces and line ends within it are changes too: a render is corrected in them. Those around it are not kept.
    """
    text = clean(text, MOST_TEXT, "text").strip()
    return text in ("", clean(item.shown[1], len(item.shown[1]), "proposed").strip())


def clean(text: Any, most: int, what: str) -> str:
    """A text that can be kept: NFC, lone surrogates replaced, no control characters but tabs and line ends.

    Raises MashqError for what is no text and for one of more than `most` characters.
    """
    if not isinstance(text, str):
        raise MashqError(expected_got(what, "a text", type(text).__name__))
    if len(text) > most:  # before anything is done with it
        raise MashqError(expected_got(what, f"at most {most} characters", f"{len(text)}", "Shorten it."))
    text = arabic.whole(text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (one for one in text if one in "\n\t" or unicodedata.category(one) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept))


def spent(seconds: Any) -> float:
    """Seconds as they are kept: 0 to an hour; a number that is none is 0, so that a page's clock loses no answer."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise MashqError(expected_got("seconds", "a number", type(seconds).__name__))
    return 0.0 if math.isnan(seconds) else float(min(max(seconds, 0), MOST_SECONDS))


def turned(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The same answer (or `right`) for a pair whose sides stand the other way round."""
    if "prefer" not in answer:
        return dict(answer)
    return {**answer, "prefer": {name: _other(said) for name, said in answer["prefer"].items()}}


def _other(said: Any) -> Any:
    return OTHER_SIDE[said] if isinstance(said, str) else [OTHER_SIDE[one] for one in said]


def is_right(right: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether an answer says what is known to be right; both with the same sides."""
    if "verdict" in right:
        return bool(answer["verdict"] == right["verdict"])
    for key in ("scores", "prefer"):
        for name, value in right.get(key, {}).items():
            if answer[key][name] not in (value if isinstance(value, (list, tuple)) else (value,)):
                return False
    return True
