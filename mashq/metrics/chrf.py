"""chrF++ and BLEU through sacrebleu, one score per item, under a named text profile.

chrF++ (Popović 2017) counts character n-grams up to 6 and word n-grams up to 2; BLEU (Papineni et al. 2002) counts word
n-grams up to 4. Neither mean over items is sacrebleu's corpus score, which sums n-grams first.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from mashq.metrics.profile import ARABIC, Profile, is_visible
from mashq.metrics.score import Metric, paired_references, sign

__all__ = ["bleu_items", "bleu_metric", "chrf_items", "metric"]


def chrf_items(replies: Sequence[str], references: Sequence[Sequence[str]], profile: Profile = ARABIC) -> list[float]:
    """Sentence-level chrF++ in 0..100 of each reply against its best reference, in the profile's normal form.

    Case and punctuation count, as sacrebleu has it. A reply without a visible character is 0.0. Raises MashqError for
    an item without a reference and for unequal lengths.
    """
    from sacrebleu.metrics.chrf import CHRF

    paired_references(replies, references, "chrF++")
    scorer = CHRF(word_order=2)
    said = profile.normal(replies)
    wanted = iter(profile.normal([text for texts in references for text in texts]))
    scores = []
    for reply, texts in zip(said, references, strict=True):
        targets = [text for text in (next(wanted) for _ in texts) if is_visible(text)]
        seen = is_visible(reply) and targets
        scores.append(float(scorer.sentence_score(reply, targets).score) if seen else 0.0)
    return scores


def metric(profile: Profile = ARABIC) -> Metric:
    """Sentence-level chrF++ as a metric; the settings in its signature are sacrebleu's."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        return chrf_items(replies, references, profile)

    settings = ("level:item", "refs:best", "nc:6", "nw:2", "beta:2", "space:no", "eps:no", "case:mixed")
    signature = sign("chrF++", *settings, profile.form_signature, f"sacrebleu:{version('sacrebleu')}")
    return Metric("chrF++", per_item, signature, True, "0..100")


def bleu_items(replies: Sequence[str], references: Sequence[Sequence[str]], profile: Profile = ARABIC) -> list[float]:
    """Sentence-level BLEU in 0..100 of each reply against all its references, on the profile's words.

    sacrebleu's 13a leaves Arabic punctuation on its word, so here sacrebleu gets our words and splits nothing. Orders
    that the reply is too short for are left out (effective order); one without a match is smoothed (Chen and Cherry
    2014, method 3, sacrebleu's `exp`). A reply without words is 0.0. Raises MashqError as `chrf_items` does.
    """
    from sacrebleu.metrics.bleu import BLEU

    paired_references(replies, references, "BLEU")
    scorer = BLEU(tokenize="none", effective_order=True)
    said = profile.words(replies)
    wanted = iter(profile.words([text for texts in references for text in texts]))
    scores = []
    for words, texts in zip(said, references, strict=True):
        targets = [" ".join(target) for target in (next(wanted) for _ in texts) if target]
        seen = words and targets
        scores.append(float(scorer.sentence_score(" ".join(words), targets).score) if seen else 0.0)
    return scores


def bleu_metric(profile: Profile = ARABIC) -> Metric:
    """Sentence-level BLEU as a metric; of the settings in its signature the words are the profile's."""

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        return bleu_items(replies, references, profile)

    settings = ("level:item", "refs:all", "max:4", "eff:yes", "smooth:exp")
    return Metric(
        "BLEU",
        per_item,
        sign("BLEU", *settings, profile.signature, f"sacrebleu:{version('sacrebleu')}"),
        True,
        "0..100",
    )
