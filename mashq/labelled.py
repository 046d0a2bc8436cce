"""Fields out of a reply: labelled lines (`السؤال: …`) or one JSON object, whatever stands around them.

Replies come from strangers. Nothing here raises but `Unreadable`, and nothing takes longer than a pass over the text.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from mashq.lm import unfenced, without_thoughts
from mashq.rows import MashqError

__all__ = ["MOST_CHARACTERS", "Unreadable", "fields_of", "sound_text"]

MOST_CHARACTERS = 40_000  # of a reply: ten times the longest that any text here may have
RULE = re.compile(r"^[ \t]*(?:#{3,}|-{3,}|\*{3,}|={3,})[ \t]*$", re.M)
SEATED = "\n\t"  # control characters that a text may hold


class Unreadable(MashqError):
    """A reply without what was asked for; the text is the reason of its row."""


def sound_text(reply: str) -> str:
    """A reply's text: no thoughts before it, no fence around it, line ends as `\\n`.

    Raises Unreadable for an empty reply, one over `MOST_CHARACTERS`, one that is all thought, and for characters that
    no text has: controls, halves of surrogate pairs, the replacement character.
    """
    if len(reply) > MOST_CHARACTERS:
        raise Unreadable(f"long: {len(reply):,} characters > {MOST_CHARACTERS:,}")
    text = without_thoughts(reply)
    if text is None:
        raise Unreadable("unreadable: a thought without an end")
    text = unfenced("\n".join(text.splitlines()))
    if not text:
        raise Unreadable("empty")
    _check_characters(text)
    return text


def _check_characters(text: str) -> None:
    for character in set(text):
        kind = unicodedata.category(character)
        control = kind == "Cc" and character not in SEATED
        if control or kind in ("Cs", "Cn") or character == "\N{REPLACEMENT CHARACTER}":
            raise Unreadable(f"not text: U+{ord(character):04X}")


def fields_of(
    reply: str, labels: Mapping[str, Sequence[str]], needed: Sequence[str], *, first: str = ""
) -> dict[str, str]:
    """The fields of a reply by name, stripped; those it does not have are absent.

    labels: of each field the words that a model may write before it, in any case; a JSON object may use them, or the
    names, as keys. first: the field whose label stood at the end of the prompt, so that the reply begins with its text.
    A label that comes again begins another record: what follows is left out.

    Raises Unreadable where a field of `needed` is not there or empty, and as `sound_text` does.
    """
    text = sound_text(reply)
    found = _of_object(text, labels) if "{" in text else {}
    if not all(found.get(name) for name in needed):
        found = _of_lines(text, labels, first)
    for name in needed:
        if not found.get(name):
            raise Unreadable(f"unreadable: no field «{labels[name][0]}»")
    return {name: value for name, value in found.items() if value}


# --- labelled lines --------------------------------------------------------------------------------------------------


def _of_lines(text: str, labels: Mapping[str, Sequence[str]], first: str) -> dict[str, str]:
    pattern, names = _pattern(tuple((name, tuple(words)) for name, words in labels.items()))
    marks = [(match, match["label"].lower()) for match in pattern.finditer(text)]
    found: dict[str, str] = {}
    seen: dict[str, str] = {}  # name -> the label that it came with
    name, start = first, 0
    if first and marks and marks[0][0].start() == 0 and names[marks[0][1]] == first:
        name = ""  # the label is written again
    elif first:
        seen[first] = labels[first][0].lower()
    end = len(text)
    for match, label in marks:
        fresh = names[label]
        if seen.get(fresh) == label:
            end = match.start()
            break
        if fresh in seen:
            continue  # another word for it inside a text: "الإجابة:" in an output
        if name:
            found[name] = _bare(text[start : match.start()])
        seen[fresh] = label
        name, start = fresh, match.end()
    if name:
        found[name] = _bare(text[start:end])
    return found


@functools.cache
def _pattern(labels: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """What begins a field, and the name of the field for each label in lower case."""
    names = {word.lower(): name for name, words in labels for word in (*words, name)}
    words = "|".join(re.escape(word) for word in sorted(names, key=len, reverse=True))
    before = r"^[ \t]*(?:[>#*\-•]{1,6}[ \t]*|[\d\u0660-\u0669]{1,2}[.)\-][ \t]*)?(?:\*\*|__|[«\"])?"
    after = r"(?:\*\*|__|[»\"])?[ \t]*[:：](?:\*\*|__)?[ \t]*"
    return re.compile(rf"{before}(?P<label>{words}){after}", re.M | re.I), names


def _bare(text: str) -> str:
    """A field's text up to a rule that ends the record, without bold marks that hold all of it."""
    rule = RULE.search(text)
    if rule and "|" not in text:
        text = text[: rule.start()]
    text = text.strip()
    bold = len(text) > 4 and text.startswith("**") and text.endswith("**") and "**" not in text[2:-2]
    return text[2:-2].strip() if bold else text


# --- JSON ------------------------------------------------------------------------------------------------------------


def _of_object(text: str, labels: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The fields of the first JSON object in a text; none where it is broken or holds other things."""
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return {}
    names = {word.lower(): name for name, words in labels.items() for word in (*words, name)}
    found: dict[str, str] = {}
    for key, content in value.items():
        name = names.get(key.strip().lower())
        if name and name not in found:
            found[name] = _plain(content)
            _check_characters(found[name])
    return found


def _plain(value: Any, depth: int = 0) -> str:
    """A JSON value as text: a list line by line; nothing for what is no text, or lists in lists in lists."""
    if isinstance(value, str):
        return "\n".join(value.splitlines()).strip()
    if isinstance(value, bool) or value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return "\n".join(line for one in value if depth < 3 and (line := _plain(one, depth + 1)))
    return str(value)
