"""How different texts are from one another: words, runs of words, openings, near-duplicates, self-BLEU.

Every number here depends on how much text it is taken of: distinct-n falls and self-BLEU rises as texts are added.
Compare equal amounts only: `sample` draws equally many texts, and `words` cuts them to equally many running words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mashq.metrics.profile import ARABIC, Profile
from mashq.rows import MashqError, expected_got

__all__ = [
    "Diversity",
    "distinct",
    "effective_openings",
    "near_duplicates",
    "ngram_entropy",
    "openings",
    "sample",
    "self_bleu",
    "summary",
]

SMALL = 0.1  # matches that an order without any is given: method 1 of Chen and Cherry 2014, as Texygen has it
SHINGLE = 5  # words in the runs by which near-duplicates are found
LEAST_ALIKE = 0.5  # of the runs of two texts together: near-duplicates share as much


def sample(texts: Sequence[str], n: int, seed: int = 0) -> list[str]:
    """n of the texts, drawn without replacement, in their order; all where there are no more."""
    if n >= len(texts):
        return list(texts)
    drawn = np.random.default_rng(seed).choice(len(texts), n, replace=False)
    return [texts[place] for place in np.sort(drawn)]


def distinct(texts: Sequence[str], n: int, *, words: int = 0, profile: Profile = ARABIC) -> float:
    """Distinct-n (Li et al. 2016): different runs of n words over all runs of n words of the texts, 0 to 1.

    Runs do not cross from one text into the next. words: only so many running words of the first texts; 0, or more
    than there are: all. Raises MashqError where there is no run of n words.
    """
    counts = np.unique(_runs(texts, n, words, profile), return_counts=True)[1]
    return len(counts) / int(counts.sum())


def ngram_entropy(texts: Sequence[str], n: int, *, words: int = 0, profile: Profile = ARABIC) -> float:
    """Shannon entropy of the runs of n words, in bits (Ent-n, Zhang et al. 2018): 0 where all runs are the same.

    Two to the entropy is how many equally frequent runs would be as diverse. Raises MashqError as `distinct`.
    """
    return _entropy(np.unique(_runs(texts, n, words, profile), return_counts=True)[1])


def openings(texts: Sequence[str], words: int = 3, profile: Profile = ARABIC) -> list[tuple[str, int]]:
    """The first words of the texts in normal form with their counts, the most frequent first; texts without words are
    left out."""
    begun = (" ".join(said[:words]) for said in profile.words(texts) if said)
    return Counter(begun).most_common()


def effective_openings(texts: Sequence[str], words: int = 3, profile: Profile = ARABIC) -> float:
    """How many equally frequent openings would be as diverse: the exponential of their entropy (Hill 1973), 1 to the
    number of texts. Raises MashqError where no text has a word."""
    found = openings(texts, words, profile)
    if not found:
        raise _nothing("effective openings", texts, 1)
    return 2 ** _entropy(np.array([count for _, count in found]))


def near_duplicates(
    texts: Sequence[str], *, run: int = SHINGLE, least: float = LEAST_ALIKE, profile: Profile = ARABIC
) -> list[tuple[int, int, float]]:
    """Pairs of places (i, j), i < j, of texts whose sets of runs of words have a Jaccard index of at least `least`.

    Exact: every pair is compared, in memory that grows with the runs that texts share. A text shorter than a run is
    alike to none.
    """
    from scipy.sparse import csr_array

    codes, owners = _coded(texts, run, profile)
    pairs = np.unique(np.stack([owners, codes], axis=1), axis=0) if len(codes) else np.zeros((0, 2), dtype=np.int64)
    shape = (len(texts), int(codes.max(initial=-1)) + 1)
    held = csr_array((np.ones(len(pairs), dtype=np.int32), (pairs[:, 0], pairs[:, 1])), shape=shape)
    sizes = np.bincount(pairs[:, 0], minlength=len(texts))
    shared = (held @ held.T).tocoo()
    upper = shared.row < shared.col
    first, second, both = shared.row[upper], shared.col[upper], shared.data[upper]
    alike = both / (sizes[first] + sizes[second] - both)
    hit = np.flatnonzero(alike >= least)
    order = hit[np.lexsort((second[hit], first[hit]))]
    return [(int(first[k]), int(second[k]), float(alike[k])) for k in order]


def self_bleu(texts: Sequence[str], *, order: int = 4, profile: Profile = ARABIC) -> float:
    """Self-BLEU (Zhu et al. 2018, section 3.4): the mean sentence BLEU of each text against all others, 0 to 1.

    Lower is more diverse. BLEU (Papineni et al. 2002) has orders 1 to `order` with equal weights, counts clipped to the
    most that any one other text has, the brevity penalty of the nearest length (of two the shorter), and 0.1 matches
    for an order without any. Texts with fewer words than `order` are left out. With more texts it rises: `sample` to a
    stated number. Raises MashqError where fewer than two texts are left.
    """
    numbered = profile.numbered(texts)
    lengths = np.diff(numbered.offsets)
    lengths = lengths[lengths >= order]
    if len(lengths) < 2:
        raise MashqError(
            expected_got("self-BLEU", f"at least 2 texts of {order} words or more", f"{len(lengths)} of {len(texts)}")
        )
    log = np.zeros(len(lengths))
    for n in range(1, order + 1):
        matches = _clipped(*_coded(texts, n, profile, least=order), len(lengths))
        log += np.log(np.where(matches > 0, matches, SMALL) / (lengths - n + 1)) / order
    nearest = _nearest_others(lengths)
    return float(np.mean(np.exp(log + np.minimum(0.0, 1.0 - nearest / lengths))))


@dataclass(frozen=True)
class Diversity:
    """What `summary` found, with the amount it was taken of."""

    texts: int
    words: int  # running words of the distinct-n and entropy numbers
    mean_words: float  # of a text
    distinct1: float
    distinct2: float
    distinct3: float
    entropy2: float  # bits
    self_bleu: float
    self_bleu_texts: int  # how many texts it was taken of
    opening: str  # the most frequent three first words
    opening_share: float  # of the texts
    effective_openings: float
    near_duplicate_share: float  # of the texts: those that have another one of Jaccard 0.5 or more

    def rounded(self) -> dict[str, str | int | float]:
        """The fields with four decimals at most."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def summary(
    texts: Sequence[str], *, words: int = 0, bleu_texts: int = 300, seed: int = 0, profile: Profile = ARABIC
) -> Diversity:
    """All numbers of one set of texts. words: see `distinct`; self-BLEU is taken of `bleu_texts` texts drawn by seed.

    Raises MashqError for fewer than two texts with words.
    """
    lengths = np.diff(profile.numbered(texts).offsets)
    if (lengths > 0).sum() < 2:
        raise MashqError(expected_got("diversity", "at least 2 texts with words", f"{(lengths > 0).sum()}"))
    found = openings(texts, 3, profile)
    drawn = sample(texts, bleu_texts, seed)
    twins = {place for one, other, _ in near_duplicates(texts, profile=profile) for place in (one, other)}
    return Diversity(
        texts=len(texts),
        words=min(words, int(lengths.sum())) if words else int(lengths.sum()),
        mean_words=float(lengths.mean()),
        distinct1=distinct(texts, 1, words=words, profile=profile),
        distinct2=distinct(texts, 2, words=words, profile=profile),
        distinct3=distinct(texts, 3, words=words, profile=profile),
        entropy2=ngram_entropy(texts, 2, words=words, profile=profile),
        self_bleu=self_bleu(drawn, profile=profile),
        self_bleu_texts=len(drawn),
        opening=found[0][0],
        opening_share=found[0][1] / len(texts),
        effective_openings=effective_openings(texts, 3, profile),
        near_duplicate_share=len(twins) / len(texts),
    )


# --- runs as numbers -------------------------------------------------------------------------------------------------


def _coded(
    texts: Sequence[str], n: int, profile: Profile, *, words: int = 0, least: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of n words, equal numbers for equal runs, and the text of each: two (runs,) int64 arrays.

    words: only of so many running words; 0 = all. Texts of fewer than `least` words are left out, and those that stay
    are counted from 0 without them.
    """
    numbered = profile.numbered(texts)
    lengths = np.diff(numbered.offsets)
    said = min(words or len(numbered.numbers), len(numbered.numbers))
    owners = np.repeat(np.arange(len(texts)), lengths)
    ends = np.minimum(numbered.offsets[1:][owners], said)  # (words,) where the text of each word ends
    places, codes, kinds = np.arange(said), numbered.numbers[:said], len(numbered.vocabulary)
    for step in range(1, n):
        goes_on = places + step < ends[places]
        places = places[goes_on]
        longer = codes[goes_on] * kinds + numbered.numbers[places + step]
        codes = np.unique(longer, return_inverse=True)[1].reshape(-1)
    owners = owners[places]
    if least:
        stays = lengths >= least
        codes, owners = codes[stays[owners]], (np.cumsum(stays) - 1)[owners[stays[owners]]]
    return codes, owners


def _runs(texts: Sequence[str], n: int, words: int, profile: Profile) -> np.ndarray:
    """The runs of n words as numbers, of the first `words` running words where that is not 0."""
    codes = _coded(texts, n, profile, words=words)[0]
    if not len(codes):
        raise _nothing(f"distinct-{n}", texts, n)
    return codes


def _nothing(what: str, texts: Sequence[str], n: int) -> MashqError:
    return MashqError(f"diversity: {what} of {len(texts)} texts without a run of {n} words has no value.")


def _entropy(counts: np.ndarray) -> float:
    """In bits."""
    shares = counts / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _clipped(codes: np.ndarray, owners: np.ndarray, texts: int) -> np.ndarray:
    """(texts,) runs of each text that another one has, each at most as often as any one other text has it."""
    base = texts
    pairs, counts = np.unique(codes * base + owners, return_counts=True)
    runs, held_by = pairs // base, pairs % base
    order = np.lexsort((-counts, runs))
    runs, held_by, counts = runs[order], held_by[order], counts[order]
    first = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    last = np.concatenate([first[1:], [len(runs)]])
    most = counts[first]
    second = np.where(last - first > 1, counts[np.minimum(first + 1, len(counts) - 1)], 0)
    which = np.repeat(np.arange(len(first)), last - first)
    # The text that holds a run most often is measured by the runner-up.
    others = np.where(np.arange(len(runs)) == first[which], second[which], most[which])
    return np.bincount(held_by, weights=np.minimum(counts, others), minlength=texts)


def _nearest_others(lengths: np.ndarray) -> np.ndarray:
    """For each text the length of another one that is nearest to its own, of two the shorter."""
    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order].astype(np.float64)
    below = np.concatenate([[-math.inf], ranked[:-1]])
    above = np.concatenate([ranked[1:], [math.inf]])
    found = np.empty(len(lengths))
    found[order] = np.where(ranked - below <= above - ranked, below, above)
    return found
