"""How a text becomes comparable words: a normal form, a tokenizer and case, all named in the signature.

A metric on Arabic is decided here: a tokenizer that drops non-Latin letters scores identical texts 0, and one that
splits at vowel marks scores a vocalised text against its plain form near 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import arabic

__all__ = ["ARABIC", "LATIN", "LOOSE", "PROFILES", "STRICT", "Numbered", "Profile", "is_visible"]

_PLAIN = f"^[{arabic.LETTERS}]+$"
_EDGES = ".,:;!?()[]\"'\N{ARABIC COMMA}\N{ARABIC SEMICOLON}\N{ARABIC QUESTION MARK}«»"
_LATIN_WORD = re.compile(r"[a-z0-9]+")
# Invisible operators (FUNCTION APPLICATION to INVISIBLE PLUS) and tags, which no form of `arabic` removes.
_OPERATORS_AND_TAGS = f"[{chr(0x2061)}-{chr(0x2064)}{chr(0xE0000)}-{chr(0xE007F)}]"
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"))  # categories of characters without a shape
_SEEN = (
    "\N{ARABIC END OF AYAH}\N{ARABIC NUMBER SIGN}\N{ARABIC SIGN SANAH}\N{ARABIC FOOTNOTE MARKER}\N{ARABIC SIGN SAFHA}"
)
_FILLERS = re.compile(
    f"[{chr(0x34F)}{chr(0x115F)}{chr(0x1160)}{chr(0x17B4)}{chr(0x17B5)}{chr(0x180B)}-{chr(0x180F)}"
    f"{chr(0x3164)}{chr(0xFE00)}-{chr(0xFE0F)}{chr(0xFFA0)}{chr(0xE0100)}-{chr(0xE01EF)}]"
)


def is_visible(text: str) -> bool:
    """Whether a text has a character that is seen: no space, control, invisible mark, filler or variation selector."""
    return any(
        character in _SEEN or (unicodedata.category(character) not in _UNSEEN and not _FILLERS.match(character))
        for character in text
    )


@dataclass(frozen=True)
class Profile:
    """A named way from text to words.

    `forms` are names of `arabic.FORMS`, which also fixes the order in which they are applied. `tokens` is "uax29-ar1"
    (the words of Unicode UAX #29 in version 1 of the tailoring that `arabic.words` lists: marks stay with their letter,
    punctuation is dropped) or "latin" (runs of a-z and 0-9: the default tokenizer of rouge_score without its stemmer;
    only for parity on English). With the form "zero_width" invisible operators and tags are removed too. A lone
    surrogate is read as U+FFFD.
    """

    name: str
    forms: tuple[str, ...]
    tokens: Literal["uax29-ar1", "latin"] = "uax29-ar1"

    @property
    def form_signature(self) -> str:
        """`norm:nfc-tashkeel-...`, or `norm:none`."""
        return "norm:" + ("-".join(arabic.resolve(self.forms)) or "none")

    @property
    def signature(self) -> str:
        """`tok:uax29-ar1|norm:nfc-tashkeel-...|case:lower`: what a word-based metric puts into its own."""
        return f"tok:{self.tokens}|{self.form_signature}|case:lower"

    def normal(self, texts: Sequence[str]) -> list[str]:
        """The texts in this profile's normal form, case kept."""
        return self._column(texts).to_pylist()

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        """The lower-case words of each text in normal form; a text without words gives an empty list."""
        numbered = self.numbered(texts)
        return [[numbered.vocabulary[number] for number in numbers] for numbers in numbered.texts()]

    def numbered(self, texts: Sequence[str]) -> Numbered:
        """The same words as numbers, equal exactly where the words are: what metrics compare.

        No word crosses white space, so texts are split there by Arrow, and only the different pieces are looked into:
        running text repeats itself.
        """
        pieces = pc.utf8_split_whitespace(self._column(texts))
        coded = pieces.flatten().dictionary_encode()
        words, starts, sizes = self._inside(coded.dictionary)
        number = defaultdict[str, int](count().__next__)
        numbers = np.fromiter(map(number.__getitem__, words), dtype=np.int64, count=len(words))
        here = coded.indices.to_numpy()
        return Numbered(list(number), *_laid_out(numbers, starts[here], sizes[here], pieces.offsets.to_numpy()))

    def _inside(self, pieces: pa.Array) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The lower-case words of n pieces without white space: all words in a row; where each piece's start; how many.

        Punctuation around is no word, and letters of Arabic alone are one: Arrow finds those pieces ten times as fast,
        and no list is made for each (ten thousand lists set off a full garbage collection, half of the whole time).
        """
        split: Callable[[str], list[str]] = _LATIN_WORD.findall if self.tokens == "latin" else arabic.words
        plain = pc.match_substring_regex(pc.utf8_trim(pieces, _EDGES), _PLAIN).to_numpy(False)
        if self.tokens == "latin":
            plain = np.zeros(len(pieces), dtype=bool)
        words = pc.utf8_trim(pieces.filter(plain), _EDGES).to_pylist()
        starts, sizes = np.cumsum(plain) - 1, np.ones(len(pieces), dtype=np.int64)
        for place in np.flatnonzero(~plain).tolist():
            found = split(pieces[place].as_py().lower())
            starts[place], sizes[place] = len(words), len(found)
            words += found
        return words, starts, sizes

    def _column(self, texts: Sequence[str]) -> pa.Array:
        column = _as_column(texts)
        if not self.forms:
            return column
        if "zero_width" in self.forms:
            column = pc.replace_substring_regex(column, _OPERATORS_AND_TAGS, "")
        return arabic.normalise_column(column, self.forms)


def _as_column(texts: Sequence[str]) -> pa.Array:
    """Texts for Arrow, without lone surrogates."""
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array(list(map(arabic.whole, texts)), pa.large_string())


@dataclass(frozen=True)
class Numbered:
    """Texts as numbers of words: text i is `numbers[offsets[i]:offsets[i + 1]]`, word k is `vocabulary[k]`."""

    vocabulary: list[str]
    numbers: np.ndarray  # (words of all texts,) int64
    offsets: np.ndarray  # (texts + 1,)

    def texts(self) -> list[list[int]]:
        """One list of numbers per text."""
        every, ends = self.numbers.tolist(), self.offsets.tolist()
        return [every[start:end] for start, end in pairwise(ends)]


def _laid_out(
    numbers: np.ndarray, starts: np.ndarray, sizes: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Words put where their pieces stand: the words of all texts in a row, and where each text starts.

    `numbers` are the words of all different pieces; for the pieces as they stand, `starts` and `sizes` say which of
    them are theirs; `offsets` say where each text's pieces start.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    shift = np.repeat(starts - ends[:-1], sizes)
    return numbers[shift + np.arange(ends[-1])], ends[offsets]


# Invisible marks, vowel marks, stretching, glyph forms, seats of hamza on alef and digit shapes carry no content that a
# reader of unvocalised Arabic would miss; final ya and ta marbuta can tell words apart, so only LOOSE folds them.
ARABIC = Profile("arabic", ("nfc", "presentation", "bidi", "zero_width", "tashkeel", "tatweel", "alef", "digits"))
LOOSE = Profile("loose", (*ARABIC.forms, "ya", "ta_marbuta", "hamza", "persian"))
STRICT = Profile("strict", ("nfc",))
LATIN = Profile("latin", (), "latin")

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (ARABIC, LOOSE, STRICT, LATIN)}
