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

# What one character shows.
SIGNS = {
    "at": r"[@＠]",
    "hash": r"[#＃]",
    "latin": r"[A-Za-z\u017f\u212a]",  # ſ and the Kelvin sign are s and k to a pattern that ignores case
    "digit": r"\p{Nd}",
    "entity": r"[&<]",
    # And what NFC changes. Single vowel marks are harmless: two together show "doubled".
    "hidden": r"[[\p{M}--[\u064b-\u0652\u0670]][\p{C}--[\t\n\r]]\ufb50-\ufdff\ufe70-\ufefe\ufffc\ufffd\u1100-\u11ff]",
    "pictograph": r"[\u00a9\u00ae\u200d\u203c\u2049\u20d0-\u20ff\u2100-\u2bff\u3030\u303d\u3297\u3299\ufe0e\ufe0f]",
    "markup": r"[*`\[]",
    "persian": r"[کیےہھەۀۃ]",
    "tatweel": r"\u0640",
    "foreign": r"[\p{L}--\p{Arabic}]",
}
# What neighbours show: a dot behind a Latin letter or "tp"; Latin letters touching Arabic ones; a letter three times;
# laughter; two vowel marks; a lead byte before a trail byte; two letters of Latin-1; two
# letters of Arabic that hardly meet in a word.
_TOGETHER = ("link", "glued", "triple", "laughter", "doubled", "damaged", "accents", "rare")
_BIT = {name: np.uint32(1 << place) for place, name in enumerate((*SIGNS, *_TOGETHER))}
_OTHER_PLANES = np.uint32((1 << len(SIGNS)) - 1)
RARE_BITS = 12  # what a pair of letters costs at least to be rare (letter_pairs.yaml)

# Kinds of characters that the signs of neighbours are made of.
_KINDS = {
    "space": r"[\s\u2000-\u200b]",
    "vowel": r"\p{M}",
    "word": r"[\w]",
    "ascii": r"[A-Za-z0-9\u017f\u212a-]",
    "latin": r"[A-Za-z\u0131\u0130\u0406\u0456\u03b9\u0399\u043e\u041e\u03bf\u039f]",  # and the strokes of letters.yaml
    "arabic": r"[\u0621-\u063a\u0641-\u064a]",
    "number": r"\p{Nd}",
    "stretched": r"[\p{Arabic}a-zA-Z5\u0665\p{M}]",
    "lead": r"[طظعغآØÙÚÛÂÃâïðً]",  # the first byte of an Arabic letter or of an emoji, as cp1256 and cp1252 show it
    "trail": r"[\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u060c\u061b\u061f\u2013-\u203a\u20ac\u2122\u200c-\u200f"
    r"ٹپچژڈگکڑںھہ]",
    "capital": r"[\u00c0-\u00ff]",
    "rule": r"[~\-_=]",
}
_KIND = {name: np.uint32(1 << place) for place, name in enumerate(_KINDS)}
_LAUGHS = ("haHA", "loLO", "xdXD", "هاأ", "هي", "5٥")  # four letters of one of these side by side may be laughter
assert len(_BIT) <= 32 and len(_KIND) <= 32


def bits(signs: Sequence[str]) -> np.uint32:
    """Names of signs -> the mask that `signs_of` gives a row which shows them all."""
    return np.bitwise_or.reduce(np.array([_BIT[name] for name in signs], dtype=np.uint32))


def _marked(patterns: dict[str, str], bit: dict[str, np.uint32]) -> np.ndarray:
    """(65537,) code point -> the bits of the patterns that it matches; 0 for the last."""
    table = np.zeros((1 << 16) + 1, dtype=np.uint32)
    plane = "".join(map(chr, range(1 << 16)))
    for name, pattern in patterns.items():
        for match in regex.finditer(f"(?V1){pattern}+", plane):
            table[match.start() : match.end()] |= bit[name]
    return table


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """(signs, kinds), each (65537,) by code point; the last for all beyond the Basic Multilingual Plane."""
    signs, kinds = _marked(SIGNS, _BIT), _marked(_KINDS, _KIND)
    recomposed = [code for code in range(1 << 16) if unicodedata.normalize("NFC", chr(code)) != chr(code)]
    signs[recomposed] |= _BIT["hidden"]
    signs[-1] = _OTHER_PLANES
    kinds[-1] = _KIND["word"] | _KIND["vowel"]
    return signs, kinds


def signs_of(texts: Sequence[str]) -> np.ndarray:
    """n texts -> (n,) the signs of each, as bits."""
    pieces = [_signs_of(texts[start : start + _PIECE]) for start in range(0, len(texts), _PIECE)]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint32)


_PIECE = 512  # rows whose arrays fit a processor's cache


def _signs_of(texts: Sequence[str]) -> np.ndarray:
    """The same for a few texts."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    # A line end behind every text keeps neighbours of two texts apart.
    codes = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass"), dtype="<u4")
    codes = np.minimum(codes, 1 << 16)
    signs, kinds = _tables()
    found = np.bitwise_or.reduceat(signs[codes], starts)
    for name, places in _neighbours(codes, kinds[codes]):
        found[np.searchsorted(starts, np.flatnonzero(places), side="right") - 1] |= _BIT[name]
    return found


def _neighbours(codes: np.ndarray, kinds: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(sign of `_TOGETHER` or "markup", where it begins)."""

    def are(*names: str) -> np.ndarray:
        return (kinds & np.bitwise_or.reduce([_KIND[name] for name in names])) != 0

    same = codes[1:] == codes[:-1]
    space, vowel, latin = are("space"), are("vowel"), are("latin")
    lead, trail, accent, letter = are("lead"), are("trail"), are("capital"), _letter_places()[codes]
    stretched = are("stretched")
    dot, t, p = codes == ord("."), (codes | 32) == ord("t"), (codes | 32) == ord("p")
    hash_, line, dash = codes == ord("#"), codes == ord("_"), codes == ord("-")
    return [
        ("link", (are("ascii")[:-1] & dot[1:]) | (t[:-1] & p[1:])),
        ("glued", (are("arabic", "vowel")[:-1] & latin[1:]) | (latin[:-1] & are("arabic", "number")[1:])),
        ("triple", same[1:] & same[:-1] & stretched[:-2]),
        ("laughter", _laughing(codes)),
        ("doubled", vowel[:-1] & vowel[1:]),
        ("markup", same & are("rule")[1:]),
        ("markup", (hash_[:-1] & space[1:]) | (line[1:] & ~are("word")[:-1])),
        ("markup", dash[:-2] & space[1:-1] & dash[2:]),
        ("damaged", lead[:-1] & trail[1:]),
        ("accents", accent[:-1] & accent[1:]),
        ("rare", _rare().ravel()[letter[:-1].astype(np.int16) * _rare().shape[1] + letter[1:]]),
    ]


def _laughing(codes: np.ndarray) -> np.ndarray:
    """Where four letters of one laugh stand side by side."""
    laughs = _laugh_places()[codes]
    two = laughs[1:] & laughs[:-1]
    return (two[2:] & two[:-2]) != 0


@functools.cache
def _laugh_places() -> np.ndarray:
    """(65537,) code point -> the laughs of `_LAUGHS` that it belongs to, as bits."""
    places = np.zeros((1 << 16) + 1, dtype=np.uint8)
    for place, chars in enumerate(_LAUGHS):
        for char in chars:
            places[ord(char)] |= np.uint8(1 << place)
    return places


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
