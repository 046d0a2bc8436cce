"""Characters without which a rule has nothing to do: which rows of a column show them, found in one pass of numpy.

A sign may stand in a text that the rule leaves alone; a text that the rule changes shows one of its signs.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import regex

from mashq.clean.rule import data

__all__ = ["SIGNS", "bits", "rare_pair", "signs_of"]

SIGNS = {
    "at": r"[@＠]",
    "hash": r"[#＃]",
    "latin": r"[A-Za-z]",
    "digit": r"\p{Nd}",
    "entity": r"[&<]",
    "hidden": r"[\p{M}\p{C}\ufb50-\ufdff\ufe70-\ufefe\ufffc\ufffd\u1100-\u11ff]",  # and what NFC changes
    "pictograph": r"[\u00a9\u00ae\u200d\u203c\u2049\u20d0-\u20ff\u2100-\u2bff\u3030\u303d\u3297\u3299\ufe0e\ufe0f]",
    "markup": r"[*_`~\[#>|=-]",
    "persian": r"[کیےہھەۀۃ]",
    "tatweel": r"\u0640",
    "space": r"[\s\u2000-\u200b]",
    "mark": r"[\p{P}\p{S}\u0640]",
    "vowel": r"\p{M}",
    "foreign": r"[\p{L}--\p{Arabic}]",
    "lead": r"[طظعغآØÙÚÛÂÃâïðً]",  # the first byte of an Arabic letter or of an emoji, as cp1256 and cp1252 show it
    "trail": r"[\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u060c\u061b\u061f\u2013-\u203a\u20ac\u2122\u200c-\u200f"
    r"ٹپچژڈگکڑںھہ]",
    "quote": r"[\"]",
    "capital": r"[\u00c0-\u00ff]",
}
# And what neighbours show: one character three times; a vowel mark twice; two by turns, x.x.x; marks side by side,
# spaces between them or not; a lead byte before a trail byte; two letters of Latin-1; two letters of Arabic that hardly
# meet in a word.
_TOGETHER = ("triple", "doubled", "alternate", "marks", "damaged", "accents", "rare")
_NAMES = (*SIGNS, *_TOGETHER)
_BIT = {name: np.uint32(1 << place) for place, name in enumerate(_NAMES)}
_OTHER_PLANES = np.uint32((1 << len(SIGNS)) - 1)
RARE_BITS = 12  # what a pair of letters costs at least to be rare (letter_pairs.yaml)


def bits(signs: Sequence[str]) -> np.uint32:
    """Names of signs -> the mask that `signs_of` gives a row which shows them all."""
    return np.bitwise_or.reduce(np.array([_BIT[name] for name in signs], dtype=np.uint32))


@functools.cache
def _table() -> np.ndarray:
    """(65537,) code point -> its signs; the last for all beyond the Basic Multilingual Plane."""
    table = np.zeros((1 << 16) + 1, dtype=np.uint32)
    plane = "".join(map(chr, range(1 << 16)))
    for name, pattern in SIGNS.items():
        for match in regex.finditer(f"(?V1){pattern}+", plane):
            table[match.start() : match.end()] |= _BIT[name]
    recomposed = [code for code in range(1 << 16) if unicodedata.normalize("NFC", chr(code)) != chr(code)]
    table[recomposed] |= _BIT["hidden"]
    table[-1] = _OTHER_PLANES
    return table


def signs_of(texts: Sequence[str]) -> np.ndarray:
    """n texts -> (n,) the signs of each, as bits."""
    found = np.zeros(len(texts), dtype=np.uint32)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    filled = np.flatnonzero(lengths)
    if not len(filled):
        return found
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    shown = _table()[np.minimum(codes, 1 << 16)]
    _neighbours(codes, shown)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    found[filled] = np.bitwise_or.reduceat(shown, starts[filled])
    return found


def _neighbours(codes: np.ndarray, shown: np.ndarray) -> None:
    """The signs of `_TOGETHER`, set where they begin; a pair across two rows is a sign too much, which does no harm."""
    same, skip = codes[1:] == codes[:-1], codes[2:] == codes[:-2]
    mark, space = (shown & _BIT["mark"]) > 0, (shown & _BIT["space"]) > 0
    after_space = space[1:-1] & (mark[2:] | space[2:])
    lead, trail, accent = ((shown & _BIT[name]) > 0 for name in ("lead", "trail", "capital"))
    letter = _letter_places()[np.minimum(codes, 1 << 16)]
    shown[:-2][same[1:] & same[:-1]] |= _BIT["triple"]
    shown[:-1][same & ((shown[:-1] & _BIT["vowel"]) > 0)] |= _BIT["doubled"]
    shown[:-4][skip[2:] & skip[:-2]] |= _BIT["alternate"]
    shown[:-1][mark[:-1] & mark[1:]] |= _BIT["marks"]
    shown[:-2][mark[:-2] & after_space] |= _BIT["marks"]
    shown[:-1][lead[:-1] & trail[1:]] |= _BIT["damaged"]
    shown[:-1][accent[:-1] & accent[1:]] |= _BIT["accents"]
    shown[:-1][_rare()[letter[:-1], letter[1:]]] |= _BIT["rare"]


@functools.cache
def _letter_places() -> np.ndarray:
    """(65537,) code point -> its place among the letters of letter_pairs.yaml, from 1; 0 for every other."""
    places = np.zeros((1 << 16) + 1, dtype=np.uint8)
    for place, char in enumerate(data("letter_pairs")["arabic"]["letters"], start=1):
        places[ord(char)] = place
    return places


@functools.cache
def _rare() -> np.ndarray:
    """(n + 1, n + 1) whether the second letter hardly follows the first."""
    table = data("letter_pairs")["arabic"]
    letters = table["letters"]
    rare = np.zeros((len(letters) + 1, len(letters) + 1), dtype=bool)
    for row, letter in enumerate(letters, start=1):
        rare[row, 1:] = [int(bit, 16) >= RARE_BITS for bit in table["bits"][letter][:-1]]
    return rare


@functools.cache
def rare_pair() -> re.Pattern[str]:
    """A pattern of the sign "rare"."""
    letters = data("letter_pairs")["arabic"]["letters"]
    rows = ((letters[row - 1], np.flatnonzero(_rare()[row]) - 1) for row in range(1, len(letters) + 1))
    return re.compile(
        "|".join(f"{first}[{''.join(letters[at] for at in seconds)}]" for first, seconds in rows if len(seconds))
    )
