"""Texts -> counts of letter groups and words, in hashed columns: what the variety of a text is told by.

A text is folded first, so that what is learnt is the language and not the platform or the keyboard: only Arabic letters
are left, in one spelling (no hamza seats, no vowels, no stretching); addresses, handles, emoji, digits, Latin letters
and punctuation are word ends, and so is the mark of a hashtag. Every text is counted by itself: what stands in the same
batch changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import sparse

from mashq.arabic import (
    ALEF_MAKSURA,
    ALEF_SEATS,
    BIDI,
    LETTERS,
    SEAT_MARKS,
    TA_MARBUTA,
    TASHKEEL,
    TATWEEL,
    WAW_HAMZA,
    YA_HAMZA,
    ZERO_WIDTH,
    normalise,
)

__all__ = [
    "Folded",
    "Groups",
    "counted",
    "fold",
    "folded_text",
    "groups",
    "marked",
    "marker_matrix",
    "matrix",
    "spelling",
    "word_hashes",
]

ORDERS = (3, 4)  # letters in a group; shorter and longer ones tell a source left out of training no better, or worse

# Letters that keyboards of some countries have; their sounds are the dialects' own (g, ch, v, p).
_FOREIGN = "چگڤپڨڭژ"
_FOLDS = {ALEF_MAKSURA: "ي", TA_MARBUTA: "ه", WAW_HAMZA: "و", YA_HAMZA: "ي", "ڜ": "ش", "ݣ": "گ", "ڥ": "ڤ"}
_FOLDS |= dict.fromkeys(ALEF_SEATS, "ا") | dict(zip("کیےہھەۀۃ", "كييههههه", strict=True))
_PLAIN = "".join(letter for letter in LETTERS if letter not in _FOLDS) + _FOREIGN
_REMOVED = TASHKEEL + TATWEEL + BIDI + ZERO_WIDTH + SEAT_MARKS
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.I)
_SHAPE = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]")

END, BEGIN, GONE = 0, 63, 255  # codes: between words, before each text, taken out; letters lie between
_LAUGHS = "هخ"  # ههههه and خخخخ say that somebody laughs, not where


@cache
def _codes() -> np.ndarray:
    """(65536,) code point -> code of its letter, `END` or `GONE`."""
    table = np.zeros(1 << 16, np.uint8)
    for number, letter in enumerate(_PLAIN):
        table[ord(letter)] = number + 1
    for letter, plain in _FOLDS.items():
        table[ord(letter)] = table[ord(plain)]
    table[[ord(mark) for mark in _REMOVED]] = GONE
    return table


@dataclass(frozen=True)
class Folded:
    """n texts as letters: words with one `END` between them, `BEGIN` before each text and after the last."""

    codes: np.ndarray  # (length,) uint8
    begins: np.ndarray  # (n + 1,) places of `BEGIN`


def fold(texts: Sequence[str]) -> Folded:
    """The letters of each text. A text without an Arabic letter has none."""
    spelt = [_spelt(text) for text in texts]
    begins = np.cumsum([0, *(len(text) + 1 for text in spelt)])
    data = (" " + " ".join(spelt) + " ").encode("utf-32-le", "surrogatepass")
    codes = _codes()[np.minimum(np.frombuffer(data, "<u4"), 0xFFFF)]
    codes[begins[: len(texts) + 1]] = BEGIN
    if not texts:
        codes = codes[:1]
    codes, begins = _kept(codes, begins, codes != GONE)
    codes, begins = _kept(codes, begins, ~_stretched(codes))
    codes = _without_laughter(codes)
    ends = codes == END
    codes, begins = _kept(codes, begins, ~(ends & np.roll(ends | (codes == BEGIN), 1)))
    return Folded(*_kept(codes, begins, ~((codes == END) & np.roll(codes == BEGIN, -1))))


def _spelt(text: str) -> str:
    """Addresses out, letters that are drawn as one written out: the two things that a table of letters cannot do."""
    if "://" in text or "www." in text:
        text = _ADDRESS.sub(" ", text)
    return normalise(text, ("phrases", "presentation")) if not text.isascii() and _SHAPE.search(text) else text


def _kept(codes: np.ndarray, begins: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before = np.concatenate([[0], np.cumsum(keep)])
    return codes[keep], before[begins]


def _stretched(codes: np.ndarray) -> np.ndarray:
    """Where a letter stands that repeats the one before it in a run of three or more."""
    same = np.zeros(len(codes) + 1, bool)  # same[i]: code i equals code i - 1
    same[1:-1] = (codes[1:] == codes[:-1]) & (codes[1:] != END) & (codes[1:] != BEGIN)
    again, follows = same[:-1], same[1:]
    return again & (np.roll(again, 1) | follows)


def _without_laughter(codes: np.ndarray) -> np.ndarray:
    """A lone letter of laughter, which is what is left of a run, as a word end."""
    edge = (codes == END) | (codes == BEGIN)
    lone = np.roll(edge, 1) & np.roll(edge, -1)
    for letter in _LAUGHS:
        codes = np.where(lone & (codes == _codes()[ord(letter)]), END, codes)
    return codes


def spelling(codes: np.ndarray) -> str:
    """Codes as letters, word ends as spaces."""
    return "".join(" " if code in (END, BEGIN) else _PLAIN[code - 1] for code in codes)


def folded_text(text: str) -> str:
    """A text as it is counted, words with single spaces between them."""
    return spelling(fold([text]).codes[1:-1])


# --- groups of letters and words -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Groups:
    """Groups of one kind in n texts, in the order of the texts."""

    columns: np.ndarray  # (m,) int32 hashed column of each group
    first: np.ndarray  # (m,) place of its first letter or word end in `Folded.codes`
    last: np.ndarray  # (m,) place of its last one


def groups(folded: Folded, bits: int) -> Iterator[Groups]:
    """Runs of three and four letters and word ends, words, pairs of words, and what a word begins and ends with.

    bits: columns are numbered below 2**bits. No group reaches over the end of its text.
    """
    codes = np.where(folded.codes == BEGIN, END, folded.codes).astype(np.uint32)
    yield from _runs(codes, folded.begins, bits)
    edge = codes == END
    first = np.flatnonzero(edge[:-1] & ~edge[1:]) + 1
    last = np.flatnonzero(~edge[:-1] & edge[1:])
    if len(first):
        yield from _word_groups(codes, first, last, np.searchsorted(folded.begins, first), bits)


def _runs(codes: np.ndarray, begins: np.ndarray, bits: int) -> Iterator[Groups]:
    """Letters with their word ends, over spaces too; six bits a letter, so that four make one key."""
    end_of_text = np.repeat(begins[1:], np.diff(begins))  # of each place but the last
    keys = np.zeros(len(codes), np.uint32)
    for order in ORDERS:
        size = max(min(len(codes) - order + 1, len(end_of_text)), 0)
        keys = np.zeros(size, np.uint32)
        for place in range(order):
            keys |= codes[place : place + size] << np.uint32(6 * place)
        inside = np.arange(size) + order - 1 <= end_of_text[:size]
        at = np.flatnonzero(inside & (keys != END))  # two word ends of an empty text say nothing
        yield Groups(_column(keys[at], order, bits), at, at + order - 1)


def _word_groups(
    codes: np.ndarray, first: np.ndarray, last: np.ndarray, text: np.ndarray, bits: int
) -> Iterator[Groups]:
    """first, last: places of each word's letters; text: number of the text that it stands in."""
    names = _word_names(codes, first)
    yield Groups(_column(names, 11, bits), first, last)
    pair = np.flatnonzero(text[1:] == text[:-1])
    with np.errstate(over="ignore"):
        both = names[pair] * np.uint32(0x27D4EB2F) + names[pair + 1]
    yield Groups(_column(both, 12, bits), first[pair], last[pair + 1])
    long = last - first >= 3  # ما...ش, بي...وا: what a dialect puts around a word
    first, last = first[long], last[long]
    ends = codes[first] | codes[last] << np.uint32(12)
    for salt, third in ((13, codes[first + 1]), (14, codes[last - 1])):
        yield Groups(_column(ends | third << np.uint32(6), salt, bits), first, last)


def _word_names(codes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(words,) 32-bit hashes: the sum of the hashes of letter and place, which is a function of the word alone."""
    begins = np.concatenate([[0], first])
    place = np.arange(len(codes)) - np.repeat(begins, np.diff(np.append(begins, len(codes))))
    with np.errstate(over="ignore"):
        letters = _mixed(codes + np.uint32(64) * place.astype(np.uint32))
    return np.add.reduceat(np.where(codes == END, np.uint32(0), letters), first, dtype=np.uint32)


def word_hashes(folded: Folded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each word of all texts: its 32-bit hash, the place of its first letter, and of its last."""
    codes = np.where(folded.codes == BEGIN, END, folded.codes).astype(np.uint32)
    edge = codes == END
    first = np.flatnonzero(edge[:-1] & ~edge[1:]) + 1
    last = np.flatnonzero(~edge[:-1] & edge[1:])
    return (_word_names(codes, first) if len(first) else np.zeros(0, np.uint32)), first, last


def marked(folded: Folded, markers: np.ndarray) -> Groups:
    """The words that are markers; columns are places in `markers`, (m,) sorted uint32 hashes of `word_hashes`."""
    names, first, last = word_hashes(folded)
    places = np.searchsorted(markers, names)
    found = np.flatnonzero(places < len(markers))
    found = found[markers[places[found]] == names[found]]
    return Groups(places[found].astype(np.int32), first[found], last[found])


def _mixed(keys: np.ndarray) -> np.ndarray:
    """The 32-bit finalizer of MurmurHash3 (Appleby 2011): a bijection in which every bit moves every other."""
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        keys = (keys ^ (keys >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return keys ^ (keys >> np.uint32(16))


def _column(keys: np.ndarray, salt: int, bits: int) -> np.ndarray:
    """(m,) uint32 keys of one kind -> (m,) int32 columns; keys of two kinds are spread apart by the salt."""
    turned = keys ^ np.uint32(salt * 0x9E3779B1 & 0xFFFFFFFF)
    return (_mixed(turned) >> np.uint32(32 - bits)).astype(np.int32)


def counted(found: Groups, begins: np.ndarray, width: int) -> sparse.csr_array:
    """Groups of n texts -> (n, width) int32, a one for every group; a column may come twice in a row."""
    ends = np.searchsorted(found.first, begins).astype(np.int32)
    ones = np.ones(len(found.columns), np.int32)
    return sparse.csr_array((ones, found.columns, ends), shape=(len(begins) - 1, width))


def matrix(texts: Sequence[str], bits: int) -> sparse.csr_array:
    """(n, 2**bits) float32 for training: how often each group stands in each text, over the root of their number."""
    folded = fold(texts)
    total = sparse.csr_array((len(texts), 1 << bits), dtype=np.int32)
    for found in groups(folded, bits):
        total = total + counted(found, folded.begins, 1 << bits)
    return scaled(total, np.asarray(total.sum(axis=1)).ravel())


def scaled(counts: sparse.csr_array, number: np.ndarray) -> sparse.csr_array:
    """(n, width) counts over the roots of (n,) numbers of groups, float32."""
    data = counts.data / np.repeat(np.sqrt(np.maximum(number, 1)), np.diff(counts.indptr))
    indices, ends = (part.astype(np.int32) for part in (counts.indices, counts.indptr))
    return sparse.csr_array((data.astype(np.float32), indices, ends), shape=counts.shape)


def marker_matrix(texts: Sequence[str], markers: np.ndarray, bits: int) -> sparse.csr_array:
    """(n, m) float32: how often each marker stands in each text, over the root of the number of the text's groups."""
    folded = fold(texts)
    number = np.zeros(len(texts), np.int64)
    for found in groups(folded, bits):
        number += np.diff(np.searchsorted(found.first, folded.begins))
    return scaled(counted(marked(folded, markers), folded.begins, len(markers)), number)
