"""A page as names are read in it: its words by number, what stands between them, which are in the gazetteer."""

from __future__ import annotations

import re
from functools import lru_cache

from mashq.privacy.lexicon import Entry, Weight, names
from mashq.privacy.page import BARRIER, Page
from mashq.privacy.people_words import Lists, phrases, spelt

__all__ = ["FATHATAN", "OTHER_SPELLING", "Passage", "lookup"]

OTHER_SPELLING = "!"  # Entry.last of a name whose ى is written as ي, or the other way round
FATHATAN = "\N{ARABIC FATHATAN}"
_SHADDA = "\N{ARABIC SHADDA}"
_RUN = re.compile(r"(.)\1+")
_LAST_RUN = re.compile(r"(.)\1+$")
_ODD = re.compile(r"[چگپڤژڨ]|(.)\1\1|(.)\2$")
_PLAIN_LETTERS = str.maketrans("چگپڤژڨ", "جقبفزق")
_JOIN = re.compile(r"[ \t_]{1,3}")


@lru_cache(100_000)
def lookup(word: str) -> Entry | None:
    """The gazetteer's entry of a folded word; a surer name also in Iraqi letters (چاسم) or drawn out (محمممد)."""
    known = names()
    if word in known or not _ODD.search(word):
        return known.get(word)
    for spelling in (word.translate(_PLAIN_LETTERS), _RUN.sub(r"\1", word), _LAST_RUN.sub(r"\1", word)):
        entry = known.get(spelling)
        if entry and entry.weight >= Weight.ALSO and spelling != word:
            return entry
    return None


class Passage:
    """One page with its word lists. Every method takes the number of a word; out of range is an empty word."""

    def __init__(self, page: Page, lists: Lists):
        self.page, self.lists, self.known = page, lists, names()
        self.words = page.words
        self.blocked = self._blocked()

    def _blocked(self) -> set[int]:
        """Words inside fixed phrases."""
        return {
            place
            for match in phrases().finditer(self.page.flat)
            for place in range(self.page.word_at(match.start()), self.page.word_at(match.end()))
        }

    def word(self, place: int) -> str:
        return self.words[place].text if 0 <= place < len(self.words) else ""

    def gap(self, place: int) -> str:
        """What stands between a word and the one before it."""
        return self.page.flat[self.words[place - 1].end : self.words[place].start]

    def joined(self, place: int) -> bool:
        """Whether nothing but a space parts a word from the one before."""
        if not 0 < place < len(self.words):
            return False
        gap = self.gap(place)
        return gap == " " or _JOIN.fullmatch(gap) is not None

    def entry(self, place: int) -> Entry | None:
        """The gazetteer's word, one weight lower where ى and ي are exchanged."""
        if place >= len(self.words) or place in self.blocked:
            return None
        entry = lookup(self.words[place].text)
        if entry is None or (self._may_be_inflected(place) and FATHATAN in self.original(place)):
            return None  # كريمًا is no name with another spelling
        if self.words[place].text == "علي" and self.original(place).endswith(_SHADDA):
            return None  # عليّ: upon me
        if self.words[place].text in spelt() and self.original(place) not in spelt()[self.words[place].text]:
            return None  # ايه: what
        if not entry.last:
            return entry
        written = self.page.original(self.words[place].end - 1, self.words[place].end)[:1]
        lower = entry._replace(weight=Weight(max(entry.weight - 1, 0)), last=OTHER_SPELLING)
        return entry if written == entry.last else lower

    def original(self, place: int) -> str:
        return self.page.original(self.words[place].start, self.words[place].end)

    def _may_be_inflected(self, place: int) -> bool:
        return self.words[place].text.endswith(("ا", "ه"))

    def near(self, place: int) -> bool:
        return place > 0 and not set(self.gap(place)) & set(".،,؛!؟\n")

    def starts_at(self, place: int) -> bool:
        """Whether a phrase begins at a word; what follows something that was masked goes on with its phrase."""
        before = self.page.flat[self.words[place - 1].end if place else 0 : self.words[place].start]
        return (place == 0 or not self.joined(place)) and not before.rstrip(" \t").endswith(BARRIER)
