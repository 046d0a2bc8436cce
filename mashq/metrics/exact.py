"""Exact match: is the reply word for word one of the references, after a stated normal form?"""

from __future__ import annotations

from collections.abc import Sequence

from mashq.metrics.profile import ARABIC, Profile
from mashq.metrics.score import BINARY, Metric, paired_references, sign

__all__ = ["exact_items", "metric"]


def exact_items(replies: Sequence[str], references: Sequence[Sequence[str]], profile: Profile = ARABIC) -> list[float]:
    """1.0 where the reply's words are exactly those of a reference, else 0.0.

    Words are compared, so punctuation, spacing and what the profile folds do not count. A reply without words is 0.0,
    against a reference without words too. Raises MashqError for an item without a reference and for unequal lengths.
    """
    paired_references(replies, references, "exact")
    said = profile.words(replies)
    wanted = iter(profile.words([text for texts in references for text in texts]))
    targets = [[next(wanted) for _ in texts] for texts in references]
    return [float(bool(words) and words in texts) for words, texts in zip(said, targets, strict=True)]


def metric(profile: Profile = ARABIC) -> Metric:
    """Exact match as a metric; its mean gets Wilson's interval."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        return exact_items(replies, references, profile)

    return Metric("exact", per_item, sign("exact", "refs:any", profile.signature, BINARY), True, "0 or 1")
