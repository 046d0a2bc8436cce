"""A text as recognisers read it: one spelling, ASCII digits, no marks, and the way back to the original places."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cache, cached_property
from typing import NamedTuple

from mashq import arabic
from mashq.word_patterns import FOLD

__all__ = ["BARRIER", "Page", "Word", "fold_word"]

BARRIER = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for what was replaced: no letter, no digit, no space

# After folding no word has a mark in it, so `\w` does not split vocalised words; an underscore parts words (#أحمد_علي).
_WORD = re.compile(r"[A-Za-z]+|[^\W\d_A-Za-z]+|\d+")  # بMina: two words
_MARKS = ("Mn", "Me", "Lm")


class Word(NamedTuple):
    """A run of letters or of digits in `Page.flat`."""

    text: str
    start: int
    end: int


@cache
def _table() -> dict[int, str]:
    """Every character that folding changes -> what it becomes."""
    blocks = [(0x80, 0x2100), (0xFB50, 0xFE00), (0xFE20, 0xFF00), (0xFF00, 0xFFF0)]
    table = {}
    for first, last in blocks:
        for code in range(first, last):
            folded = " " if unicodedata.category(chr(code)) == "Zs" else arabic.normalise(chr(code), FOLD)
            if folded != chr(code):
                table[code] = folded
    for code in (*range(0x1E00, 0x1F00), *range(0xC0, 0x250)):  # é: as it is typed without marks
        plain = unicodedata.normalize("NFD", chr(code))[0]
        if plain.isascii():
            table[code] = plain
    for code in range(0x300, 0x370):
        table[code] = ""
    for code in (0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFE63, 0xFF0D):
        table[code] = "-"
    table[0xFF20], table[0xFE6B], table[0xFF0B] = "@", "@", "+"
    for digit in range(10):
        table[0xFF10 + digit] = str(digit)
    return table


@cache
def _shifting() -> re.Pattern[str]:
    """Characters whose folded form is not one character long."""
    return re.compile("[" + "".join(chr(code) for code, to in _table().items() if len(to) != 1) + "]")


def fold_word(word: str) -> str:
    """A word of a data file in the spelling of `Page.flat`; Latin letters keep their case."""
    return word.translate(_table())


class Page:
    """One text and what recognisers share of it, each part made when it is first asked for.

    flat: the text folded (`word_patterns.FOLD`: no tashkeel, tatweel or bidi marks, one alef, ي for ى, ه for ة, ASCII
    digits; é as e, dashes as one). `places(start, end)` gives the original places of a span of it. Takes any string.
    """

    def __init__(self, text: str, masked: tuple[tuple[int, int], ...] = ()):
        """masked: spans of the original text that nothing may be found in; each is one `BARRIER` to recognisers."""
        self.text = text
        if not masked and not _shifting().search(text):
            self.flat, self._at = text.translate(_table()), None  # type: tuple[str, list[int] | None]
            return
        pieces: list[str] = []
        at: list[int] = []
        position = 0
        for start, end in (*masked, (len(text), len(text))):
            self._add(pieces, at, position, start)
            if end > start:
                pieces.append(BARRIER)
                at.append(start)
            position = end
        self.flat, self._at = "".join(pieces), [*at, len(text)]

    def _add(self, pieces: list[str], at: list[int], start: int, end: int) -> None:
        """One stretch of the text folded, and the place of each of its characters."""
        stretch = self.text[start:end]
        folded = stretch.translate(_table())
        if len(folded) == len(stretch) and not _shifting().search(stretch):
            pieces.append(folded)
            at.extend(range(start, end))
            return
        for place, char in enumerate(stretch, start):
            piece = _table().get(ord(char), char)
            pieces.append(piece)
            at.extend([place] * len(piece))

    @cached_property
    def lower(self) -> str:
        """`flat` with ASCII letters in lower case: as long as `flat`."""
        return self.flat.translate(_LOWER)

    @cached_property
    def words(self) -> list[Word]:
        """The runs of letters and the runs of digits, in order."""
        return [Word(match.group(), match.start(), match.end()) for match in _WORD.finditer(self.flat)]

    @cached_property
    def has_digit(self) -> bool:
        return _DIGIT.search(self.flat) is not None

    @cached_property
    def has_latin(self) -> bool:
        return _LATIN.search(self.flat) is not None

    def places(self, start: int, end: int) -> tuple[int, int]:
        """A span of `flat` -> the span of the original text, with the marks on its last letter."""
        if self._at is not None:
            start, end = self._at[start], self._at[end - 1] + 1
        while end < len(self.text) and unicodedata.category(self.text[end]) in _MARKS and self._is_gone(end):
            end += 1
        return start, end

    def original(self, start: int, end: int) -> str:
        """The original characters of a span of `flat`."""
        first, last = self.places(start, end)
        return self.text[first:last]

    def _is_gone(self, place: int) -> bool:
        """Whether folding takes this character away."""
        return _table().get(ord(self.text[place])) == ""

    def before(self, start: int, reach: int) -> str:
        """Up to `reach` characters of `lower` before a place, in the same line and after the last barrier."""
        piece = self.lower[max(0, start - reach) : start]
        return _CUT.split(piece)[-1]

    def after(self, end: int, reach: int) -> str:
        """Up to `reach` characters of `lower` after a place, in the same line and before the next barrier."""
        return _CUT.split(self.lower[end : end + reach], maxsplit=1)[0]

    def word_at(self, start: int) -> int:
        """The number of the first word that begins at or after a place."""
        return bisect_right(self.words, start - 1, key=_start_of)


def _start_of(word: Word) -> int:
    return word.start


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_DIGIT = re.compile(r"[0-9]")
_LATIN = re.compile(r"[A-Za-z]")
_CUT = re.compile(rf"[\n\r{BARRIER}]")
