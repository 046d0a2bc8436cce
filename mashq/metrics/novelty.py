"""What a reply took from the training text: the longest copied span, and the share of n-grams that are new.

n-gram novelty after McCoy et al. 2023 (TACL 11, "How Much Do Language Models Copy From Their Training Data?"):
the share of a text's n-grams that do not occur in the training data. It is not a measure of quality, random words score
1: read it beside the novelty of the human references at the same n.

Both come from one exact index, a suffix array of the training words: no n-gram is hashed, so none is mistaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mashq.metrics.profile import ARABIC, Profile
from mashq.metrics.score import Score, ratio_score, sign
from mashq.rows import MashqError, expected_got

__all__ = ["ORDERS", "Copied", "TrainingIndex", "longest_copied", "novel_counts", "novelty"]

ORDERS = range(1, 11)  # the n of McCoy et al., figure 2
_UNKNOWN = -1  # a word that the training text does not have
_BATCH = 512  # texts normalised at a time


@dataclass(frozen=True)
class TrainingIndex:
    """Every span of words of a training corpus, found in time that does not grow with the corpus.

    Spans never cross from one text into the next. Memory: 8 bytes a word, and the vocabulary.
    """

    profile: Profile
    texts: int
    words: int
    vocabulary: dict[str, int] = field(repr=False)
    tokens: np.ndarray = field(repr=False)  # (words + texts,) int32; each text ends in a number of its own
    order: np.ndarray = field(repr=False)  # (words + texts,) int32: positions by the words that follow, sorted

    @classmethod
    def of(cls, texts: Iterable[str], profile: Profile = ARABIC) -> TrainingIndex:
        """Index texts: about 1 s for 8.5 MB of stories (830,000 words).

        Raises MashqError where there is not one word.
        """
        vocabulary: dict[str, int] = {}
        lines: list[np.ndarray] = []
        count = 0
        for batch in _batches(texts):
            numbered = profile.numbered(batch)
            # The batch's own number of a word -> its number in the whole corpus.
            common = np.array([vocabulary.setdefault(word, len(vocabulary)) for word in numbered.vocabulary], np.int32)
            ends = numbered.offsets[1:]
            lines.append(np.insert(common[numbered.numbers], ends, _UNKNOWN))
            count += len(batch)
        if not vocabulary:
            do = "An empty corpus cannot tell what was copied."
            raise MashqError(expected_got("novelty: training texts", "at least one word", f"{count} texts", do))
        tokens = np.concatenate(lines)
        ends = np.flatnonzero(tokens == _UNKNOWN)
        tokens[ends] = len(vocabulary) + np.arange(len(ends), dtype=np.int32)
        order = _suffix_order(tokens)
        return cls(profile, count, len(tokens) - count, vocabulary, tokens, order)

    def copied_lengths(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text, for each of its words: how many words from there on stand so in one training text."""
        if not len(texts):
            return []
        numbered = self.profile.numbered(texts)
        known = np.array([self.vocabulary.get(word, _UNKNOWN) for word in numbered.vocabulary], dtype=np.int64)
        # An unknown word closes every text, so that no match runs into the next one.
        query = np.insert(known[numbered.numbers], numbered.offsets[1:], _UNKNOWN)
        lengths = _match_lengths(self.tokens, self.order, query)
        ends = numbered.offsets[1:] + np.arange(1, len(texts) + 1)
        return [part[:-1] for part in np.split(lengths, ends[:-1])]


@dataclass(frozen=True)
class Copied:
    """The longest span of a reply that stands word for word in the training text."""

    words: int
    of: int  # words in the reply
    text: str  # the span, in the profile's normal form


def longest_copied(replies: Sequence[str], index: TrainingIndex) -> list[Copied]:
    """One `Copied` per reply; the first of equally long spans. A reply without words copied nothing: 0 of 0."""
    found = []
    for words, lengths in zip(index.profile.words(replies), index.copied_lengths(replies), strict=True):
        start = int(lengths.argmax()) if len(lengths) else 0
        longest = int(lengths[start]) if len(lengths) else 0
        found.append(Copied(longest, len(words), " ".join(words[start : start + longest])))
    return found


def novel_counts(
    replies: Sequence[str], index: TrainingIndex, orders: Sequence[int] = ORDERS
) -> tuple[np.ndarray, np.ndarray]:
    """n-grams of each reply that the training text does not have, and all its n-grams: two (replies, orders) arrays.

    Repeated n-grams count each time, as in McCoy et al. Raises MashqError for an n that is not a whole number from 1.
    """
    for n in orders:
        if n < 1 or n != int(n):
            raise MashqError(expected_got("novelty: orders", "whole numbers from 1", str(n), "n is a number of words."))
    novel = np.zeros((len(replies), len(orders)), dtype=np.int64)
    total = np.zeros_like(novel)
    for row, lengths in enumerate(index.copied_lengths(replies)):
        for column, n in enumerate(orders):
            starts = lengths[: max(0, len(lengths) - n + 1)]
            total[row, column] = len(starts)
            novel[row, column] = int((starts < n).sum())
    return novel, total


def novelty(
    replies: Sequence[str],
    index: TrainingIndex,
    orders: Sequence[int] = ORDERS,
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> dict[int, Score]:
    """The share of novel n-grams for each n, over all replies, with its interval over groups.

    An n for which no reply is long enough has no score and is left out. Raises MashqError where there is no reply,
    and for an n below 1.
    """
    if not len(replies):
        raise MashqError(expected_got("novelty", "at least one reply", "none", "An empty set has no score."))
    novel, total = novel_counts(replies, index, orders)
    scores = {}
    for column, n in enumerate(orders):
        if total[:, column].any():
            scores[n] = ratio_score(
                novel[:, column],
                total[:, column],
                name=f"novelty{n}",
                signature=sign(f"novelty{n}", "mccoy2023", index.profile.signature),
                groups=groups,
                bounds=(0.0, 1.0),
                seed=seed,
            )
    return scores


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _suffix_order(tokens: np.ndarray) -> np.ndarray:
    """Positions of `tokens` sorted by what follows them: prefix doubling (Manber and Myers 1993) on numpy sorts.

    Every text ends in a number of its own, so ranks are all different after log2(longest repeat) rounds.
    """
    size = len(tokens)
    rank = tokens.astype(np.int64)
    width = 1
    while True:
        after = np.zeros(size, dtype=np.int64)
        after[:-width] = rank[width:] + 1
        key = rank * (int(rank.max()) + 2) + after
        order = np.argsort(key)
        ordered = key[order]
        fresh = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
        if fresh[-1] == size - 1 or width >= size:
            return order.astype(np.int32)
        rank[order] = fresh
        width *= 2


def _match_lengths(tokens: np.ndarray, order: np.ndarray, query: np.ndarray) -> np.ndarray:
    """For each position of `query`, the length of the longest span from there that occurs in `tokens`.

    All positions walk at once: step d narrows each one's interval of the sorted suffixes to those whose word d is the
    query's, and a position leaves when its interval is empty.
    """
    lengths = np.zeros(len(query), dtype=np.int64)
    alive = np.arange(len(query))
    low, high = np.zeros(len(query), dtype=np.int64), np.full(len(query), len(order))
    depth = 0
    while len(alive):
        wanted = query[alive + depth]  # in bounds: an unknown word ends every walk
        first = _boundary(tokens, order, low, high, wanted, depth)
        last = _boundary(tokens, order, first, high, wanted + 1, depth)
        stay = first < last
        alive, low, high = alive[stay], first[stay], last[stay]
        depth += 1
        lengths[alive] = depth
    return lengths


def _boundary(
    tokens: np.ndarray, order: np.ndarray, low: np.ndarray, high: np.ndarray, wanted: np.ndarray, depth: int
) -> np.ndarray:
    """In each interval low..high of the sorted suffixes, the first whose word `depth` is at least `wanted`."""
    low, high = low.copy(), high.copy()
    open_ = np.flatnonzero(low < high)
    while len(open_):
        middle = (low[open_] + high[open_]) >> 1
        below = tokens[order[middle] + depth] < wanted[open_]
        low[open_[below]] = middle[below] + 1
        high[open_[~below]] = middle[~below]
        open_ = open_[low[open_] < high[open_]]
    return low
