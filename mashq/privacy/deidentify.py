"""Find what identifies a person in Arabic text, and put placeholders in its place."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from mashq.privacy.contacts import Contacts
from mashq.privacy.dates import BirthDates
from mashq.privacy.found import KINDS, Found, Recogniser
from mashq.privacy.latin_people import LatinNames
from mashq.privacy.lexicon import data_hash
from mashq.privacy.numbers import Ibans, Numbers, need_phonenumbers
from mashq.privacy.page import Page
from mashq.privacy.people import ArabicNames
from mashq.privacy.placeholders import Names, Style, style_of
from mashq.privacy.places import Addresses, Hospitals
from mashq.privacy.presidio import from_presidio
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["OURS", "Deidentifier", "Replaced", "survey"]

VERSION = "1"  # of how candidates are merged and replaced; part of the identity
OURS: tuple[Recogniser, ...] = (
    Contacts(),
    Ibans(),
    Numbers(),
    BirthDates(),
    Hospitals(),
    Addresses(),
    ArabicNames(),
    LatinNames(),
)


@dataclass(frozen=True)
class Replaced:
    """A text with placeholders, what was found (places are those of the text before), and each one's placeholder."""

    text: str
    found: tuple[Found, ...]
    placeholders: tuple[str, ...]


@dataclass(frozen=True)
class Deidentifier:
    """Which identifiers are found, from which score on, and how they are replaced.

    kinds: those of `KINDS`, and those of your own recognisers, which count in any case.
    least: a candidate of this score is enough, 0..1. Lower finds more and is wrong more often.
    recognisers: beside ours; a `Recogniser`, or a Presidio `EntityRecognizer` (needs presidio-analyzer).
    style: "arabic" ([اسم 1]), "english" (<PERSON_1>), or a `Style`.

    Raises MashqError for an unknown kind or style, a score outside 0..1, a recogniser without `find` or `analyze`, and
    where a kind needs a package that is absent.
    """

    kinds: tuple[str, ...] = KINDS
    least: float = 0.5
    recognisers: tuple[Any, ...] = ()
    style: str | Style = "arabic"

    def __post_init__(self) -> None:
        own = {kind for one in self._theirs for kind in one.kinds}
        for kind in self.kinds:
            if kind not in KINDS and kind not in own:
                known = (*KINDS, *sorted(own))
                raise MashqError(
                    expected_got(
                        "de-identification: kinds", ", ".join(known), f"'{kind}'", nearest(kind, known).strip()
                    )
                )
        if not 0 <= self.least <= 1:
            raise MashqError(expected_got("de-identification: least", "a score of 0..1", str(self.least)))
        if "phone" in self.kinds:
            need_phonenumbers()
        self._style.pattern  # noqa: B018  an unknown style fails here

    @cached_property
    def _theirs(self) -> tuple[Recogniser, ...]:
        return tuple(one if hasattr(one, "kinds") else from_presidio(one) for one in self.recognisers)

    @cached_property
    def _wanted(self) -> frozenset[str]:
        return frozenset(self.kinds) | {kind for one in self._theirs for kind in one.kinds}

    @cached_property
    def _all(self) -> tuple[Recogniser, ...]:
        """Those that find a wanted kind; theirs first, so that of equal spans theirs names the kind."""
        return tuple(one for one in (*self._theirs, *OURS) if self._wanted & set(one.kinds))

    @cached_property
    def _style(self) -> Style:
        return self.style if isinstance(self.style, Style) else style_of(self.style)

    @cached_property
    def identity(self) -> str:
        """A hash of settings, word lists and versions: equal identities replace equally. 16 hexadecimal digits."""
        parts = [VERSION, data_hash(), sorted(self._wanted), self.least, self._style.form, self._style.labels]
        parts += [[one.name, one.version, sorted(one.kinds)] for one in self._all]
        parts += [version("phonenumbers") if "phone" in self.kinds else ""]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()

    def find(self, text: str) -> list[Found]:
        """The identifiers of a text in order; they do not overlap, and none is inside a placeholder of this style.

        Spans of several recognisers that overlap become one, of the kind of the longest. What is found is masked and
        the rest is read again until nothing new is found, so a text with placeholders gives nothing. Never raises for
        a string.
        """
        found: list[Found] = []
        masked = [match.span() for match in self._style.pattern.finditer(text)]
        while True:
            fresh = self._round(Page(text, tuple(sorted(masked))))
            if not fresh:
                return sorted(found, key=_place)
            found += fresh
            masked += [(one.start, one.end) for one in fresh]

    def _round(self, page: Page) -> list[Found]:
        enough = []
        for one in self._all:
            for found in _asked(one, page):
                if found.score >= self.least and found.kind in self._wanted and found.start < found.end:
                    enough.append(found)
        places = [(one, page.places(one.start, one.end)) for one in enough]
        return _merged([one._replace(start=start, end=end) for one, (start, end) in places])

    def candidates(self, text: str) -> list[Found]:
        """Everything that a recogniser considered, whatever its score, in order of place; for a person's review."""
        page = Page(text, tuple(match.span() for match in self._style.pattern.finditer(text)))
        considered = [found for one in self._all for found in _asked(one, page)]
        moved = [(found, page.places(found.start, found.end)) for found in considered]
        return sorted((found._replace(start=start, end=end) for found, (start, end) in moved), key=_place)

    def replace(self, text: str, names: Names | None = None) -> Replaced:
        """The text with a placeholder for each identifier.

        names: shared by texts that belong together, so that a person has one placeholder in all of them; without it
        placeholders are counted anew in each text. A second pass changes nothing.
        """
        names = names if names is not None else Names()
        self._reserve(text, names)
        found = self.find(text)
        written, pieces, position = [], [], 0
        for one in found:
            kind, number = names.placeholder(one.kind, text[one.start : one.end])
            written.append(self._style.write(kind, number))
            pieces += [text[position : one.start], written[-1]]
            position = one.end
        return Replaced("".join([*pieces, text[position:]]), tuple(found), tuple(written))

    def _reserve(self, text: str, names: Names) -> None:
        """Numbers of placeholders that the text has already are not given to others."""
        kinds = {label: kind for kind, label in self._style.labels}
        for match in self._style.pattern.finditer(text):
            names.reserve(kinds.get(match.group(1), match.group(1)), int(match.group(2)))


def _asked(recogniser: Recogniser, page: Page) -> Iterable[Found]:
    """What a recogniser finds; an error of theirs is told without its message, which may hold the text."""
    try:
        return list(recogniser.find(page))
    except MashqError:
        raise
    except Exception as error:
        if recogniser in OURS:
            raise
        raise MashqError(
            f"de-identification: recogniser '{recogniser.name}' failed with {type(error).__name__} (its message is "
            "left out, because it may hold the text). Try it on invented text."
        ) from None


def _place(found: Found) -> tuple[int, int]:
    return found.start, found.end


def _rank(found: Found) -> tuple[int, float, int]:
    """What names the kind of spans that overlap: the longest, then the surest, then the order of `KINDS`."""
    order = KINDS.index(found.kind) if found.kind in KINDS else -1
    return found.end - found.start, found.score, -order


def _merged(found: Sequence[Found]) -> list[Found]:
    """Spans that overlap made one, so that nothing of an identifier is left standing."""
    merged: list[Found] = []
    for one in sorted(found, key=_place):
        if not merged or one.start >= merged[-1].end:
            merged.append(one)
            continue
        last = merged[-1]
        best = max(last, one, key=_rank)
        merged[-1] = best._replace(start=last.start, end=max(last.end, one.end))
    return merged


def survey(replaced: Iterable[Replaced]) -> dict[str, Any]:
    """Counts for a report: texts, texts with an identifier, identifiers by kind and by recogniser; no text."""
    kinds: Counter[str] = Counter()
    recognisers: Counter[str] = Counter()
    texts = touched = 0
    for one in replaced:
        texts += 1
        touched += bool(one.found)
        kinds.update(found.kind for found in one.found)
        recognisers.update(found.recogniser for found in one.found)
    order = {kind: place for place, kind in enumerate(KINDS)}
    by_kind = {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (order.get(kind, len(order)), kind))}
    return {
        "texts": texts,
        "texts_with_identifiers": touched,
        "identifiers": kinds.total(),
        "kinds": by_kind,
        "recognisers": dict(sorted(recognisers.items())),
    }
