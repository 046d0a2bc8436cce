"""Names of persons in Latin letters: Mohammed Al-Otaibi, Dr. Salma, my name is Nour."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mashq.privacy.found import Found
from mashq.privacy.lexicon import Weight, any_of, latin_names, skeleton, skeletons, wordset
from mashq.privacy.page import Page
from mashq.privacy.people_words import lists

__all__ = ["LatinNames"]

_DOCTOR = frozenset(("dr", "dra", "doctor", "docteur", "prof", "professor", "professeur", "doc"))
_PERSON = wordset("latin", "titles")
_BORNE = wordset("latin", "bearers")
_PLAIN = wordset("latin", "plain")
# Arabizi has digits in its words (5oya), which are words of their own on a page.
_BEFORE = re.compile(rf"(?<!\w)(?:{any_of(' '.join(wordset('latin', 'before')))})[ \t:]{{1,2}}$")
_LATIN = re.compile(r"[A-Za-z]+")
_JOIN = re.compile(r"[ \t]{1,2}|-|_|'|’")
_TITLE_GAP = re.compile(r"\.?[ \t]{0,2}[/:]?[ \t]?")


class LatinNames:
    """Names and doctors in Latin script: listed spellings alone, others beside a title or a listed name."""

    name = "latin names"
    version = "3"
    kinds = ("name", "doctor")

    def find(self, page: Page) -> Iterator[Found]:
        if not page.has_latin:
            return
        place = 0
        while place < len(page.words):
            last = _chain(page, place)
            if last is None:
                place += 1
                continue
            kind, score = _judge(page, place, last)
            if score:
                yield Found(kind, page.words[place].start, page.words[last].end, score, self.name)
            place = last + 1


def _lower(page: Page, place: int) -> str:
    return page.words[place].text.lower() if 0 <= place < len(page.words) else ""


def _gap(page: Page, place: int) -> str:
    return page.flat[page.words[place - 1].end : page.words[place].start]


def _title(page: Page, place: int) -> str:
    """The kind that a title before a word gives, or ""."""
    if place < 1 or not _TITLE_GAP.fullmatch(_gap(page, place)):
        return ""
    before = _lower(page, place - 1)
    if before in _DOCTOR or before in wordset("words", "titles", "doctor") - {"د"}:
        return "doctor"
    if before == "د" and "." in _gap(page, place):
        return "doctor"
    introduced = before in wordset("words", "introductions")
    named = before in ("is", "s") and "name" in (_lower(page, place - 2), _lower(page, place - 3))
    alone = before in ("انا", "اني", "اسمي") and page.words[place].text[0].isupper() and place + 1 < len(page.words)
    if alone and page.words[place + 1].text[:1].isupper() and page.words[place + 1].text[:1].isascii():
        return "name"
    return "name" if before in _PERSON or introduced or named or before == "appelle" else ""


def _spoken_of(page: Page, place: int) -> bool:
    """Whether kin, a vocative or "my name" stands right before: 5oya omar, يا Nour, شكرا Amira."""
    start = page.words[place].start
    if _BEFORE.search(page.lower[max(0, start - 20) : start]):
        return True
    before = _lower(page, place - 1) if _JOIN.fullmatch(_gap(page, place)) else ""
    return before == "يا" or before in lists().kin or before in lists().deeds


def _is_name_like(word: str) -> bool:
    """A word with a capital that may go on with a name."""
    return word[0].isupper() and len(word) > 2 and word.lower() not in _PLAIN


def _chain(page: Page, place: int) -> int | None:
    """The last word of the Latin name that begins here, or None."""
    word = page.words[place].text
    if not _LATIN.fullmatch(word):
        return None
    listed = latin_names().get(word.lower())
    particle = word.lower() in wordset("latin", "particles") and word[0].isupper()
    if listed is None and not particle and not (_title(page, place) and _is_name_like(word)):
        return None
    last = place
    while last + 1 < len(page.words) and _JOIN.fullmatch(_gap(page, last + 1)):
        taken = _extension(page, last + 1)
        if not taken:
            break
        last += taken
    return None if particle and last == place else last


def _extension(page: Page, place: int) -> int:
    """How many words from here go on with a name: 0, 1, or 2 where one is a particle (Al-Otaibi, bin Said)."""
    word = page.words[place].text
    if not _LATIN.fullmatch(word) or word.lower() in _PLAIN:
        return 0
    following = place + 1 < len(page.words) and _JOIN.fullmatch(_gap(page, place + 1)) is not None
    if word.lower() in wordset("latin", "particles"):
        after = page.words[place + 1].text if following else ""
        return 2 if after and _LATIN.fullmatch(after) and (after[0].isupper() or after.lower() in latin_names()) else 0
    listed = word.lower() in latin_names()
    return int(listed or _is_name_like(word) or (len(word) > 4 and skeleton(word) in skeletons()))


def _judge(page: Page, first: int, last: int) -> tuple[str, float]:
    """(kind, score) of a chain."""
    title = _title(page, first)
    if title:
        return title, 0.9
    if _lower(page, first - 1) in _BORNE or _lower(page, last) in _BORNE or _lower(page, last + 1) in _BORNE:
        return "name", 0.0
    words = [page.words[place].text for place in range(first, last + 1)]
    weights = [latin_names().get(word.lower()) for word in words]
    capital = words[0][0].isupper()
    if Weight.ONLY in weights:
        return "name", 0.85 if len(words) > 1 else 0.7 if capital else 0.6
    known = sum(weight is not None for weight in weights)
    if known and _spoken_of(page, first):
        return "name", 0.6
    if not capital:
        return "name", 0.2
    return "name", 0.6 if known > 1 else 0.5 if known and _has_bones(words) else 0.3


def _has_bones(words: list[str]) -> bool:
    """Whether a word after the first has the consonants of a listed Arabic name."""
    return any(len(word) > 3 and skeleton(word) in skeletons() for word in words[1:])
