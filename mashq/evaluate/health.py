"""What the replies are like, whatever their score: empty, cut, looping, refused; and how much of them was copied."""

from __future__ import annotations

from typing import Any

import numpy as np

from mashq import arabic
from mashq.evaluate.items import Items
from mashq.metrics.health import check, summary
from mashq.metrics.novelty import TrainingIndex, longest_copied, novelty

__all__ = ["HEALTH", "copied", "health"]

OPENING = 3  # words of a reply that are its opening
HEALTH = ("empty", "cut", "looping", "refused", "wrong_script", "wrong_variety")


def health(items: Items, system: str, seed: int) -> dict[str, Any]:
    """Shares of replies by `HEALTH`, of Arabic letters and of distinct openings, with their intervals."""
    answers = items.answers[system]
    asked = [row["variety"] for row in items.rows]
    checked = check([answer.reply for answer in answers], [answer.finish for answer in answers], asked)
    scores = summary(checked, groups=items.groups, seed=seed)
    words = [arabic.words(answer.reply) for answer in answers]
    openings = {tuple(some[:OPENING]) for some in words if some}
    spoken = sum(bool(some) for some in words)
    found: dict[str, Any] = {"system": system, "n": len(answers)}
    intervals: dict[str, list[float | None]] = {}
    for name in (one for one in HEALTH if one in scores):
        found[name], intervals[name] = scores[name].value, [scores[name].low, scores[name].high]
    if (other := scores.get("non_arabic")) is not None:
        ends = [None if end is None else 1 - end for end in (other.high, other.low)]
        found["arabic_share"], intervals["arabic_share"] = 1 - other.value, ends
    found["median_words"] = float(np.median([len(some) for some in words]))
    found["distinct_openings"] = len(openings) / spoken if spoken else None
    return {**found, "intervals": intervals, "signatures": {name: score.signature for name, score in scores.items()}}


def copied(items: Items, index: TrainingIndex, seed: int) -> list[dict[str, Any]]:
    """Longest spans copied from training and novel n-grams, of each system's replies and of the references."""
    texts = {name: [answer.reply for answer in answers] for name, answers in items.answers.items()}
    scored = [place for place, some in enumerate(items.references) if some]
    if scored:
        texts["reference"] = [items.references[place][0] for place in scored]
    found = []
    for name, replies in texts.items():
        groups = [items.groups[place] for place in scored] if name == "reference" else items.groups
        spans = longest_copied(replies, index)
        lengths = np.array([span.words for span in spans])
        longest = spans[int(lengths.argmax())]
        fresh = novelty(replies, index, groups=groups, seed=seed)
        found.append(
            {
                "system": name,
                "slice": {"by": "all", "value": ""},
                "n": len(replies),
                "longest": int(lengths.max()),
                "of": longest.of,
                "text": longest.text,
                "median": float(np.median(lengths)),
                "p95": float(np.quantile(lengths, 0.95)),
                "training_texts": index.texts,
                "training_words": index.words,
                "novelty": {str(n): {"value": s.value, "low": s.low, "high": s.high} for n, s in fresh.items()},
                "signature": next((score.signature for score in fresh.values()), ""),
            }
        )
    return found
