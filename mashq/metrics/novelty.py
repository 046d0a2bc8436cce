"""What a reply repeats: the share of its n-grams that are new, and the longest span it took from the training text.

n-gram novelty after McCoy et al. 2023 (TACL 11, "How Much Do Language Models Copy From Their Training Data? Evaluating
Linguistic Novelty in Text Generation Using RAVEN"), counted as the authors' code does (tommccoy1/raven: README and
src/analysis):

* **Against what.** `training+context` is the main number, as in the paper: an n-gram is novel where it stands neither
  in the training text nor in its context. `training` and `context` alone are further numbers, with signatures of their
  own: against training alone a reply that says one new phrase for ever is all novel.
* **Context** is every word before the n-gram's last one: the prompt's, then the reply's, as one run of words. So an
  earlier occurrence may overlap the n-gram (the second "a a" of "a a a" is no longer new) and may begin in the prompt.
  (Without a prompt the authors' code takes an n-gram that is the whole reply so far for known; here it is new.)
* **Which n-grams.** Those wholly in the reply; one that begins in the prompt is not counted. Each occurrence counts,
  not each different n-gram. n is 1 to 10, which the authors find enough; a reply shorter than n has none of that n.
* **Words, not tokens** of a model, so that systems with different tokenizers compare: those of a profile, in its
  normal form, without punctuation and case. The authors' code takes whatever white space parts, marks and case too.
* **Training** is the texts that the index was given, and no span crosses from one into the next (in the authors' code
  an end token parts the lines). What a model saw before it was tuned is not among them.

The longest copied span is looked for in the training text alone, never in the context.

Novelty is no measure of quality: random words score 1. Read it beside that of the human references at the same n.

Nothing is hashed, so no n-gram is mistaken: training is a suffix array, context numbers each n-gram by its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mashq.metrics.profile import ARABIC, Profile
from mashq.metrics.score import Score, ratio_score, sign
from mashq.rows import MashqError, expected_got

__all__ = ["AGAINST", "ORDERS", "Copied", "TrainingIndex", "longest_copied", "novel_counts", "novelty"]

ORDERS = range(1, 11)  # of the authors' README: enough "to give a reasonably clear sense of the model's novelty"
AGAINST = ("training+context", "training", "context")  # where an n-gram must not stand to be novel; the main one first
_UNKNOWN = -1  # a word that the training text does not have
_BATCH = 512  # texts looked into at a time: memory does not grow with their number


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

    def copied_lengths(self, texts: Sequence[str], longest: int | None = None) -> list[np.ndarray]:
        """For each text, for each of its words: how many words from there on, up to `longest`, one training text has.

        Time grows with the words times how many of them are copied in a row: `longest` bounds that.
        """
        if not len(texts):
            return []
        numbered = self.profile.numbered(texts)
        known = np.array([self.vocabulary.get(word, _UNKNOWN) for word in numbered.vocabulary], dtype=np.int64)
        # An unknown word closes every text, so that no match runs into the next one.
        query = np.insert(known[numbered.numbers], numbered.offsets[1:], _UNKNOWN)
        lengths = _match_lengths(self.tokens, self.order, query, len(query) if longest is None else longest)
        ends = numbered.offsets[1:] + np.arange(1, len(texts) + 1)
        return [part[:-1] for part in np.split(lengths, ends[:-1])]


@dataclass(frozen=True)
class Copied:
    """The longest span of a reply that stands word for word in one training text (what the prompt has is not asked)."""

    words: int
    of: int  # words in the reply
    text: str  # the span, in the profile's normal form


def longest_copied(replies: Sequence[str], index: TrainingIndex) -> list[Copied]:
    """One `Copied` from training per reply; the first of equally long spans. A reply without words: 0 of 0."""
    found = []
    for words, lengths in zip(index.profile.words(replies), index.copied_lengths(replies), strict=True):
        start = int(lengths.argmax()) if len(lengths) else 0
        longest = int(lengths[start]) if len(lengths) else 0
        found.append(Copied(longest, len(words), " ".join(words[start : start + longest])))
    return found


def novel_counts(
    replies: Sequence[str], prompts: Sequence[str], index: TrainingIndex, orders: Sequence[int] = ORDERS
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Novel n-grams of each reply against each of `AGAINST`, and all its n-grams: (replies, orders) arrays of counts.

    `prompts` are what was said before each reply ("" = nothing): the turns of the conversation, parted by white space.
    Raises MashqError for an n that is not a whole number from 1, and unless there is one prompt per reply.
    """
    for n in orders:
        if n < 1 or n != int(n):
            raise MashqError(expected_got("novelty: orders", "whole numbers from 1", str(n), "n is a number of words."))
    if len(prompts) != len(replies):
        raise MashqError(expected_got("novelty: prompts", f"{len(replies)}, one per reply", str(len(prompts))))
    novel = {against: np.zeros((len(replies), len(orders)), dtype=np.int64) for against in AGAINST}
    total = np.zeros((len(replies), len(orders)), dtype=np.int64)
    for start in range(0, len(replies), _BATCH):
        some = slice(start, start + _BATCH)
        known = _known_lengths(replies[some], prompts[some], index, int(max(orders, default=0)))
        sizes = np.array([len(lengths) for lengths in known["training"]])
        place = np.repeat(np.arange(len(sizes)), sizes)
        left = np.repeat(np.cumsum(sizes), sizes) - np.arange(sizes.sum())  # words from here to the reply's end
        for against, parts in known.items():
            lengths = np.concatenate(parts)
            for column, n in enumerate(orders):
                fresh = place[(left >= n) & (lengths < n)]
                novel[against][some, column] = np.bincount(fresh, minlength=len(sizes))
        total[some] = np.maximum(sizes[:, None] - np.array(orders, dtype=np.int64) + 1, 0)
    return novel, total


def novelty(
    replies: Sequence[str],
    prompts: Sequence[str],
    index: TrainingIndex,
    orders: Sequence[int] = ORDERS,
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> dict[str, dict[int, Score]]:
    """For each of `AGAINST` the share of novel n-grams by n, over all replies, with its interval over groups.

    An n for which no reply is long enough has no score and is left out. `prompts` as in `novel_counts`. Raises
    MashqError where there is no reply, unless there is one prompt per reply, and for an n below 1.
    """
    if not len(replies):
        raise MashqError(expected_got("novelty", "at least one reply", "none", "An empty set has no score."))
    novel, total = novel_counts(replies, prompts, index, orders)
    return {
        against: {
            n: ratio_score(
                novel[against][:, column],
                total[:, column],
                name=f"novelty{n}",
                signature=sign(f"novelty{n}", "mccoy2023", f"against:{against}", index.profile.signature),
                groups=groups,
                bounds=(0.0, 1.0),
                seed=seed,
            )
            for column, n in enumerate(orders)
            if total[:, column].any()
        }
        for against in AGAINST
    }


def _known_lengths(
    replies: Sequence[str], prompts: Sequence[str], index: TrainingIndex, longest: int
) -> dict[str, list[np.ndarray]]:
    """For each word of each reply, how many words from there on are not new, against each of `AGAINST`.

    An n-gram of up to `longest` words from there is novel exactly where this is below n.
    """
    training = index.copied_lengths(replies, longest)
    context = _earlier_lengths(replies, prompts, index.profile, longest)
    union = [np.maximum(*both) for both in zip(training, context, strict=True)]
    return dict(zip(AGAINST, (union, training, context), strict=True))


def _earlier_lengths(
    replies: Sequence[str], prompts: Sequence[str], profile: Profile, longest: int
) -> list[np.ndarray]:
    """For each reply, for each of its words: how many words from there on, up to `longest`, began before as well.

    Every n-gram of prompt and reply gets the number that its first n - 1 words and its last one have together, and all
    but the first of a number occurred before. Round n walks only those whose n - 1 words stand twice in their text.
    """
    numbered = profile.numbered([text for pair in zip(prompts, replies, strict=True) for text in pair])
    words, offsets = numbered.numbers, numbered.offsets
    sizes = np.diff(offsets[::2])  # words of prompt and reply together
    ends = np.repeat(offsets[2::2], sizes)
    lengths = np.zeros(len(words), dtype=np.int64)
    alive = np.arange(len(words))
    key = np.repeat(np.arange(len(sizes)), sizes) * len(numbered.vocabulary) + words  # a text's words are its own
    for n in range(1, longest + 1):
        _, first, names, times = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        lengths[alive[first[names] < np.arange(len(alive))]] = n
        stay = (times[names] > 1) & (alive + n < ends[alive])
        alive, names = alive[stay], names[stay]
        if not len(alive):
            break
        key = names * len(numbered.vocabulary) + words[alive + n]
    return [lengths[start:end] for start, end in zip(offsets[1::2], offsets[2::2], strict=True)]


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


def _match_lengths(tokens: np.ndarray, order: np.ndarray, query: np.ndarray, longest: int) -> np.ndarray:
    """For each position of `query`, the length of the longest span from there that occurs in `tokens`, up to `longest`.

    All positions walk at once: step d narrows each one's interval of the sorted suffixes to those whose word d is the
    query's, and a position leaves when its interval is empty.
    """
    lengths = np.zeros(len(query), dtype=np.int64)
    alive = np.arange(len(query))
    low, high = np.zeros(len(query), dtype=np.int64), np.full(len(query), len(order))
    depth = 0
    while len(alive) and depth < longest:
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
