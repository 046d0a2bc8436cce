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


_PIECE = 1_024  # texts whose characters fit a processor's cache


def arclean_many(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """`arclean` of n texts: one look-up over all their characters; texts with … and others that grow go one by one."""
    made: list[str] = []
    things: list[int] = []
    for start in range(0, len(texts), _PIECE):
        some, changed = _mapped(texts[start : start + _PIECE])
        made += some
        things += changed
    return made, things


def _mapped(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The same for a few texts; a line end behind each keeps every text longer than nothing."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    starts = np.cumsum(lengths) - lengths
    codes = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass"), dtype="<u4")
    mapped = _table()[np.minimum(codes, 1 << 16)]
    stays = mapped < _GROWS
    joined = mapped[stays].tobytes().decode("utf-32-le")
    kept, things = (np.add.reduceat(flags, starts, dtype=np.int64) for flags in (stays, mapped != codes))
    ends = np.cumsum(kept)
    whole = [joined[first:last] for first, last in zip((ends - kept).tolist(), (ends - 1).tolist(), strict=True)]
    grown = np.searchsorted(starts, np.flatnonzero(mapped == _GROWS), side="right") - 1
    rows = np.unique(grown).tolist()
    if rows:
        longer = {char: _map()[1][char] for char in map(chr, np.unique(codes[mapped == _GROWS]).tolist())}
        for row, text in zip(rows, _mapped([_written_out(texts[row], longer) for row in rows])[0], strict=True):
            whole[row] = text
    return whole, things.tolist()


def _written_out(text: str, longer: dict[str, str]) -> str:
    """A text with the characters that become several as these; what they become stays as it is."""
    for char, to in longer.items():
        text = text.replace(char, to)
    return text
