"""Placeholders: one for each person, number or place, the same one wherever it returns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property

from mashq.privacy.lexicon import data
from mashq.privacy.page import fold_word
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["Names", "Style", "style_of"]

PERSONS = ("name", "doctor")
_NASAB = frozenset(("بن", "ابن", "بنت", "bin", "ibn", "ben", "bint"))
_SAME_DIGITS = 8  # 0551234567 and +966 55 123 4567 are one phone: their last digits are compared
_PART = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Style:
    """How placeholders are written: `form` holds {label} and {number}; a kind without a label is its own label."""

    form: str
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if (
            self.form.count("{label}") != 1
            or self.form.count("{number}") != 1
            or self.form[0] == "{"
            or self.form[-1] == "}"
        ):
            raise MashqError(
                expected_got(
                    "de-identification: the form of placeholders",
                    "'{label}' and '{number}' once each with brackets about them, such as '[{label} {number}]'",
                    f"'{self.form}'",
                )
            )

    def write(self, kind: str, number: int) -> str:
        """The placeholder of the number-th thing of a kind."""
        return self.form.format(label=dict(self.labels).get(kind, kind), number=number)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Placeholders in a text; group 1 is the label, group 2 the number."""
        before, _, rest = self.form.partition("{label}")
        between, _, after = rest.partition("{number}")
        labels = sorted((label for _, label in self.labels), key=len, reverse=True)
        known = "|".join([*map(re.escape, labels), r"[A-Za-z_]{2,40}"])
        return re.compile(f"{re.escape(before)}({known}){re.escape(between)}([0-9]{{1,9}}){re.escape(after)}")


@cache
def style_of(name: str) -> Style:
    """A style of placeholders.yaml by name. Raises MashqError for another."""
    styles = data("placeholders")
    if name not in styles:
        known = nearest(name, styles)
        raise MashqError(expected_got("de-identification: style", " or ".join(styles), f"'{name}'", known.strip()))
    return Style(styles[name]["form"], tuple(styles[name]["labels"].items()))


class Names:
    """Who and what was replaced in a group of texts that belong together, such as a thread. Never shows what it holds.

    It holds the names themselves, in memory: make one for a group, and let it go with the group.
    """

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()
        self._persons: list[tuple[str, int, tuple[str, ...]]] = []
        self._others: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"Names({sum(self._last.values())} placeholders)"

    def __reduce__(self) -> str:
        raise MashqError("de-identification: Names holds what was removed; it is not written to files or sent away.")

    def placeholder(self, kind: str, original: str) -> tuple[str, int]:
        """(kind, number) for a removed text: those of the same person or number where it was met before."""
        if kind in PERSONS:
            return self._person(kind, _parts(original))
        key = (kind, _key(kind, original))
        if key not in self._others:
            self._others[key] = self._next(kind)
        return kind, self._others[key]

    def reserve(self, kind: str, number: int) -> None:
        """A number that stands in the text already is not given again."""
        self._last[kind] = max(self._last[kind], number)

    def _next(self, kind: str) -> int:
        self._last[kind] += 1
        return self._last[kind]

    def _person(self, kind: str, parts: tuple[str, ...]) -> tuple[str, int]:
        for same in (_equal, _shortened):
            for kinds in ((kind,), PERSONS):
                fitting = [known for known in self._persons if known[0] in kinds and same(known[2], parts)]
                if len({known[:2] for known in fitting}) == 1:
                    return self._remember(*fitting[0][:2], parts)
        return self._remember(kind, self._next(kind), parts)

    def _remember(self, kind: str, number: int, parts: tuple[str, ...]) -> tuple[str, int]:
        known = (kind, number, parts)
        if known not in self._persons:
            self._persons.append(known)
        return kind, number


def _parts(name: str) -> tuple[str, ...]:
    """A name as its folded parts, those of two words as one, without بن."""
    words = [word for word in _PART.findall(fold_word(name).lower()) if word not in _NASAB]
    parts: list[str] = []
    for word in words:
        if parts and (parts[-1] in ("عبد", "ابو", "ام", "al", "el") or word == "الدين"):
            parts[-1] += word
        else:
            parts.append(word)
    return tuple(parts)


def _equal(known: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    return known == parts


def _shortened(known: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether one name is the beginning or the end of the other: أحمد or الشمري for أحمد الشمري."""
    short, long = sorted((known, parts), key=len)
    return bool(short) and (long[: len(short)] == short or long[-len(short) :] == short)


def _key(kind: str, original: str) -> str:
    key = "".join(_PART.findall(fold_word(original).lower()))
    return key[-_SAME_DIGITS:] if kind == "phone" else key
