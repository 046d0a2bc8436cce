"""The character map of camel-tools' profile "arclean", as data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import regex

from mashq.clean.rule import data

__all__ = ["arclean", "arclean_many"]


def _characters(ranges: list[str]) -> str:
    """Hexadecimal code points and ranges -> their characters."""
    ends = [[int(end, 16) for end in part.split("-")] for part in ranges]
    return "".join(chr(code) for first, *last in ends for code in range(first, (last or [first])[0] + 1))


@cache
def _map() -> tuple[regex.Pattern[str], dict[str, str]]:
    """(everything that does not stay as it is, what replaces it where it is not removed)."""
    table = data("arclean")
    kept = _characters(table["kept"])
    replaced = {char: to for to, ranges in table["replaced"].items() for char in _characters(ranges)}
    return regex.compile("[^" + regex.escape(kept, special_only=False) + "]"), replaced


def arclean(text: str) -> tuple[str, int]:
    """Arabic, ASCII and Latin-1 letters kept, look-alikes of other planes mapped onto them, vowel marks and the rest
    removed, character by character; counts characters."""
    pattern, replaced = _map()
    return pattern.subn(lambda match: replaced.get(match[0], ""), text)


_GONE, _GROWS = 0xFFFFFFFF, 0xFFFFFFFE  # no code points


@cache
def _table() -> np.ndarray:
    """(65537,) code point -> the one that replaces it; the last for all beyond the Basic Multilingual Plane."""
    codes = np.arange((1 << 16) + 1, dtype="<u4")
    for code in range(1 << 16):
        made = arclean(chr(code))[0]
        codes[code] = ord(made) if len(made) == 1 else _GROWS if made else _GONE
    codes[-1] = _GONE
    return codes


def arclean_many(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """`arclean` of n texts: one look-up over all their characters; texts with … and others that grow go one by one."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    mapped = _table()[np.minimum(codes, 1 << 16)]
    ends = np.cumsum(lengths)
    kept_before, changed_before, grown_before = (
        np.concatenate([[0], np.cumsum(flags)]) for flags in (mapped < _GROWS, mapped != codes, mapped == _GROWS)
    )
    made = mapped[mapped < _GROWS].tobytes().decode("utf-32-le")
    starts = ends - lengths
    whole = [
        made[first:last] for first, last in zip(kept_before[starts].tolist(), kept_before[ends].tolist(), strict=True)
    ]
    things = (changed_before[ends] - changed_before[starts]).tolist()
    for row in np.flatnonzero(grown_before[ends] > grown_before[starts]).tolist():
        whole[row] = arclean(texts[row])[0]
    return whole, things
