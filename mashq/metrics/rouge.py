"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), right for Arabic: which words are compared is a named text profile.

Equal to rouge_score 0.1.2 on the same words. A text without words scores 0, against another such text too: two empty
texts share nothing, and a reply that says nothing earns nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from rapidfuzz.distance import LCSseq

from mashq.metrics.profile import ARABIC, Profile
from mashq.metrics.score import Metric, paired_references, sign
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["Kind", "Overlap", "encode", "metric", "overlap", "rouge", "rouge_items"]

Kind = Literal["rouge1", "rouge2", "rougeL"]


class Overlap(NamedTuple):
    """Precision (of the reply's words), recall (of the reference's words) and their harmonic mean, each in 0..1."""

    precision: float
    recall: float
    f: float


NOTHING = Overlap(0.0, 0.0, 0.0)


def rouge(reply: str, references: Sequence[str], kind: Kind = "rougeL", profile: Profile = ARABIC) -> Overlap:
    """One reply against its best reference: the one with the highest F, the first of equals."""
    return rouge_items([reply], [references], kind, profile)[0]


def rouge_items(
    replies: Sequence[str], references: Sequence[Sequence[str]], kind: Kind = "rougeL", profile: Profile = ARABIC
) -> list[Overlap]:
    """One `Overlap` per reply, against the best of its references.

    ROUGE-L is the longest common subsequence of words over the whole text; ROUGE-n counts shared n-grams, each as often
    as both texts hold it, and is 0 for a text shorter than n words, even against itself.

    Raises MashqError for an item without a reference, unequal lengths, and an unknown kind.
    """
    paired_references(replies, references, kind)
    if kind not in get_args(Kind):
        known = get_args(Kind)
        raise MashqError(expected_got("rouge", " or ".join(known), f"'{kind}'", nearest(kind, known).strip()))
    encoded = encode([*replies, *(text for texts in references for text in texts)], profile)
    found, position = [], len(replies)
    for item, texts in enumerate(references):
        best = NOTHING
        for target in encoded[position : position + len(texts)]:
            here = overlap(encoded[item], target, kind)
            best = here if here.f > best.f else best
        position += len(texts)
        found.append(best)
    return found


def encode(texts: Sequence[str], profile: Profile = ARABIC) -> list[list[int]]:
    """Texts -> their words as numbers that are equal exactly where the words are, within this call."""
    distinct = list(dict.fromkeys(texts))  # references repeat: a label, one story for two systems
    coded = dict(zip(distinct, profile.numbered(distinct).texts(), strict=True))
    return [coded[text] for text in texts]


def overlap(reply: Sequence[int], reference: Sequence[int], kind: Kind = "rougeL") -> Overlap:
    """The overlap of two encoded texts."""
    if not reply or not reference:
        return NOTHING
    if kind == "rougeL":
        return _measure(LCSseq.similarity(reply, reference), len(reply), len(reference))
    if kind == "rouge1":
        shared = (Counter(reply) & Counter(reference)).total()
        return _measure(shared, len(reply), len(reference))
    ours = Counter(pairwise(reply))
    theirs = Counter(pairwise(reference))
    return _measure((ours & theirs).total(), len(reply) - 1, len(reference) - 1)


def _measure(shared: int, ours: int, theirs: int) -> Overlap:
    if not shared:
        return NOTHING
    precision, recall = shared / ours, shared / theirs
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


def metric(kind: Kind = "rougeL", profile: Profile = ARABIC) -> Metric:
    """F of `kind` as a metric; its signature names the profile."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        return [item.f for item in rouge_items(replies, references, kind, profile)]

    return Metric(kind, per_item, sign(kind, "f", "refs:best", profile.signature), True, "0..1")
