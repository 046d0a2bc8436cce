"""chrF++ (Popović 2017) through sacrebleu, one score per item: character n-grams up to 6, word n-grams up to 2."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from mashq.metrics.profile import ARABIC, Profile
from mashq.metrics.score import Metric, paired_references, sign

__all__ = ["chrf_items", "metric"]


def chrf_items(replies: Sequence[str], references: Sequence[Sequence[str]], profile: Profile = ARABIC) -> list[float]:
    """Sentence-level chrF++ in 0..100 of each reply against its best reference, in the profile's normal form.

    Case and punctuation count, as sacrebleu has it. The mean of these is not sacrebleu's corpus score, which sums
    n-grams first. A reply without a visible character is 0.0. Raises MashqError for an item without a reference and for
    unequal lengths.
    """
    from sacrebleu.metrics.chrf import CHRF

    paired_references(replies, references, "chrF++")
    scorer = CHRF(word_order=2)
    said = profile.normal(replies)
    wanted = iter(profile.normal([text for texts in references for text in texts]))
    scores = []
    for reply, texts in zip(said, references, strict=True):
        targets = [text for text in (next(wanted) for _ in texts) if text.strip()]
        seen = reply.strip() and targets
        scores.append(float(scorer.sentence_score(reply, targets).score) if seen else 0.0)
    return scores


def metric(profile: Profile = ARABIC) -> Metric:
    """Sentence-level chrF++ as a metric; the settings in its signature are sacrebleu's."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        return chrf_items(replies, references, profile)

    settings = ("level:item", "refs:best", "nc:6", "nw:2", "beta:2", "space:no", "eps:no", "case:mixed")
    signature = sign("chrF++", *settings, profile.form_signature, f"sacrebleu:{version('sacrebleu')}")
    return Metric("chrF++", per_item, signature, True, "0..100")
