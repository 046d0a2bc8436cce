"""Is a reply well at all: not empty, not cut off, not caught in a loop, not in another script?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mashq import arabic
from mashq.metrics.score import BINARY, Score, mean_score, sign
from mashq.rows import MashqError, expected_got

__all__ = ["Health", "check", "is_looping", "summary"]

LONGEST_PERIOD = 100  # words in the unit of a loop: a repeated paragraph
LEAST_TURNS = 3  # a unit said three times over, without anything between
LEAST_REPEATED = 8  # words said again; "يا رب يا رب يا رب" says four again and is no loop
# One to four letters repeated twenty times without a space: "ههههههه..."; a ruler of dashes is no loop.
_LETTER_LOOP = re.compile(r"(\w{1,4}?)\1{19,}")


@dataclass(frozen=True)
class Health:
    """The state of one reply."""

    empty: bool  # not one word
    cut: bool  # ended by the limit of new tokens
    looping: bool  # see `is_looping`
    non_arabic: float | None  # share of its letters that are not Arabic script, 0..1; None for an empty reply


def check(replies: Sequence[str], finishes: Sequence[str]) -> list[Health]:
    """One `Health` per reply; `finishes` says why each one ended, and "length" means that it was cut.

    Raises MashqError for unequal lengths.
    """
    if len(replies) != len(finishes):
        raise MashqError(expected_got("health: finishes", f"{len(replies)}, one per reply", str(len(finishes))))
    return [_one(reply, finish) for reply, finish in zip(replies, finishes, strict=True)]


def _one(reply: str, finish: str) -> Health:
    words = arabic.words(reply)
    share = None if not words else 1.0 - arabic.arabic_share(reply)
    return Health(not words, finish == "length", is_looping(reply, words), share)


def is_looping(text: str, words: Sequence[str] | None = None) -> bool:
    """Whether some unit of 1 to 100 words is said at least 3 times in a row, 8 words or more of it again.

    Also true for 1 to 4 letters repeated 20 times in a row. A refrain with other words between is no loop.
    """
    if _LETTER_LOOP.search(text):
        return True
    said = arabic.words(text) if words is None else words
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(word, len(numbers)) for word in said], dtype=np.int64)
    for period in range(1, min(LONGEST_PERIOD, len(codes) // LEAST_TURNS) + 1):
        again = _longest_run(codes[period:] == codes[:-period])  # words that repeat the one a period before
        if again >= max(LEAST_REPEATED, (LEAST_TURNS - 1) * period):
            return True
    return False


def _longest_run(flags: np.ndarray) -> int:
    """The length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def summary(items: Sequence[Health], *, groups: Sequence[str | None] | None = None, seed: int = 0) -> dict[str, Score]:
    """`empty`, `cut`, `looping` as shares of the replies, `non_arabic` as the mean over replies that are not empty.

    `non_arabic` is absent where every reply is empty. Raises MashqError where there is no reply.
    """
    scores = {
        name: mean_score(
            [float(getattr(item, name)) for item in items],
            name=name,
            signature=sign(name, BINARY),
            groups=groups,
            seed=seed,
        )
        for name in ("empty", "cut", "looping")
    }
    spoken = [index for index, item in enumerate(items) if item.non_arabic is not None]
    if spoken:
        scores["non_arabic"] = mean_score(
            [float(items[index].non_arabic or 0.0) for index in spoken],
            name="non_arabic",
            signature=sign("non_arabic", "replies:not-empty"),
            groups=None if groups is None else [groups[index] for index in spoken],
            seed=seed,
        )
    return scores
