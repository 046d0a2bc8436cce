"""What a JSON value claims of a criterion: a number, a text, a list, or an object with a key for score."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from mashq.judge.patterns import OF_SCHEMA
from mashq.judge.rubrics import LEVELS
from mashq.judge.scales import says_other
from mashq.judge.values import checked
from mashq.judge.words import SCORING, Claim, Fault, Pairs

__all__ = ["json_claims"]

# Beside a word for score: a value that would stand instead of the first.
REVISING = {"final", "revised", "corrected", "adjusted", "new", "updated", "last", "actual", "true", "second"}
REVISING |= {"النهاييه", "النهايي", "المعدله", "المعدل", "المصححه", "الجديده", "الاخيره"}
# A lone number under such a key is none of a score.
NO_SCORE = {
    "weight",
    "errors",
    "error",
    "mistakes",
    "count",
    "id",
    "index",
    "rank",
    "words",
    "paragraph",
    "line",
    "max",
}
NO_SCORE |= {
    "min",
    "maximum",
    "minimum",
    "confidence",
    "deduction",
    "deducted",
    "deductions",
    "penalty",
    "issues",
    "gaps",
}
NO_SCORE |= {
    "number",
    "previous",
    "old",
    "length",
    "sentences",
    "typos",
    "slips",
    "total",
    "scale",
    "out",
    "bonus",
    "lost",
}
NO_SCORE |= {"problems", "violations", "contradictions", "requirements", "met", "missing", "examples", "difference"}
NO_SCORE |= {"الوزن", "وزن", "الاخطاء", "اخطاء", "العدد", "عدد", "رقم", "الخصم", "خصم", "الثقه", "السابقه", "المخصوم"}


def _parts(key: str) -> set[str]:
    return set(re.split(r"[\s_-]+", key.strip()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def json_claims(name: str, value: Any, in_text: Callable[[str, str], list[Claim]]) -> list[Claim]:
    """The claims of a JSON value; none where it repeats the scale or says nothing. `in_text` reads its strings."""
    if isinstance(value, bool) or value is None:
        return [Fault(f"no score: {json.dumps(value)}")]
    if isinstance(value, int | float):
        return [checked(value)]
    if isinstance(value, str):
        return in_text(name, value)
    if isinstance(value, Pairs):
        return _of_object(name, value, in_text)
    numbers = [one for one in value if _is_number(one)]
    if len(numbers) == 1:  # and a reason beside it
        return [checked(numbers[0])]
    return [] if numbers == list(LEVELS) else [one for inner in value for one in json_claims(name, inner, in_text)]


def _of_object(name: str, value: Pairs, in_text: Callable[[str, str], list[Claim]]) -> list[Claim]:
    keys = {key.strip() for key, _ in value}
    if keys & OF_SCHEMA - {"maximum", "minimum"} or (keys and all(key.isdigit() for key in keys)):
        return []
    if says_other(value):
        return [Fault("another scale: its object says so")]
    if scoring := [inner for key, inner in value if key.strip() in SCORING]:
        scoring += [inner for key, inner in value if _is_number(inner) and _revises(key)]
        return [one for inner in scoring for one in json_claims(name, inner, in_text)]
    if keys & OF_SCHEMA:
        return []
    found = [(key, inner) for key, inner in value if _is_number(inner)]
    if len(found) > 1:
        return [Fault(f"ambiguous: {len(found)} numbers and none is called a score")]
    return [checked(inner) for key, inner in found if not _parts(key) & NO_SCORE]


def _revises(key: str) -> bool:
    parts = _parts(key)
    return bool(parts & REVISING and (parts & SCORING or len(parts) == 1))
