"""Which rows of a column a pattern is found in: one call for many texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import arabic
from mashq.word_patterns import FOLD, fold

__all__ = ["FLOOD", "column_of", "matching", "matching_folded", "spellings"]

# Spaces and marks that go on and on cost patterns the square of their number; other rules make them one first, and a
# text that changed is gone through again.
FLOOD = re.compile(r"[ \t|•·.\-_=~*–—(\[\"'<>«»،,:!]{300}")
FEW = 48  # texts that are looked at by the rules themselves in less time than long patterns take to compile
# What folding changes beyond the letters of `_CLASSES`: marks, stretching, glyph forms, letters of other keyboards.
_FOLDED = r"[\x{0640}\x{064b}-\x{065f}\x{0670}\x{06d6}-\x{06ed}\x{fb50}-\x{fdff}\x{fe70}-\x{feff}\p{Cf}کیۀۃھہەے]"
_CLASSES = {"ا": "[اأإآٱ]", "ي": "[ىي]", "ه": "[هة]", " ": r"[\s\pZ]+"}


def column_of(texts: Sequence[str]) -> pa.Array | None:
    """Texts as a column; None where Arrow cannot hold one of them (a lone surrogate)."""
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return None


def matching(texts: Sequence[str], pattern: str) -> list[bool]:
    """For each text whether the pattern (RE2's) is found in it; True for all where Arrow cannot hold one of them."""
    column = column_of(texts)
    if column is None:
        return [True] * len(texts)
    found: list[bool] = pc.match_substring_regex(column, pattern).to_pylist()
    return found


def spellings(phrases: Sequence[str]) -> str:
    """Phrases -> a pattern of RE2 that finds each in every spelling without marks, capitals or not."""
    folded = sorted({fold(phrase).lower() for phrase in phrases})
    loose = ("".join(_CLASSES.get(char, re_quoted(char)) for char in phrase) for phrase in folded)
    return f"(?i){'|'.join(loose)}"


def re_quoted(char: str) -> str:
    """A character as a pattern of RE2."""
    return char if char.isalnum() or char in "@'_-" or not char.isascii() else f"\\{char}"


def matching_folded(texts: Sequence[str], *patterns: str) -> list[bool]:
    """For each text whether a pattern of `spellings` is found in it or, where it has marks and the like, in its folded
    spelling; True for all where Arrow cannot hold one of them, and of few texts."""
    column = column_of(texts) if len(texts) >= FEW else None
    if column is None:
        return [True] * len(texts)
    marked = np.flatnonzero(_any(column, (_FOLDED,)))
    folded = arabic.normalise_column(column.take(marked), (*FOLD, "persian")).cast(column.type)
    found = _any(pa.concat_arrays([column, folded]), patterns)  # one call: long patterns take long to compile
    found[marked] |= found[len(column) :]
    kept: list[bool] = found[: len(column)].tolist()
    return kept


def _any(column: pa.Array, patterns: Sequence[str]) -> np.ndarray:
    """(n,) whether one of the patterns is found. Several small ones are faster than one that is all of them."""
    hits = [pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False) for pattern in patterns]
    return np.asarray(np.logical_or.reduce(hits))
