"""What the replies are like, whatever their score: empty, cut, looping, refused; and how much of them was copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mashq import arabic
from mashq.evaluate.items import Items
from mashq.metrics.health import check, summary
from mashq.metrics.novelty import TrainingIndex, longest_copied, novelty
from mashq.metrics.score import sign

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
    """Longest spans copied from training and novel n-grams, of each system's replies and of the references.

    Novelty is told against each of `novelty.AGAINST`, by n. A reply's context is what its system was asked, a
    reference's what the first system was.
    """
    found = []
    for name, (replies, prompts, groups) in _said(items).items():
        spans = longest_copied(replies, index)
        lengths = np.array([span.words for span in spans])
        longest = spans[int(lengths.argmax())]
        fresh = novelty(replies, prompts, index, groups=groups, seed=seed)
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
                "novelty": {
                    against: {str(n): {"value": s.value, "low": s.low, "high": s.high} for n, s in by_n.items()}
                    for against, by_n in fresh.items()
                },
                "signatures": {
                    "longest": sign("longest_copied", "against:training", index.profile.signature),
                    **{against: by_n[1].signature for against, by_n in fresh.items() if by_n},
                },
            }
        )
    return found


def _said(items: Items) -> dict[str, tuple[list[str], list[str], list[str | None]]]:
    """Each system and "reference" -> its texts, what was said before each, and their groups."""
    said = {
        name: ([answer.reply for answer in answers], [_before(answer.row) for answer in answers], items.groups)
        for name, answers in items.answers.items()
    }
    if scored := [place for place, some in enumerate(items.references) if some]:
        said["reference"] = (
            [items.references[place][0] for place in scored],
            [_before(items.rows[place]) for place in scored],
            [items.groups[place] for place in scored],
        )
    return said


def _before(row: Mapping[str, Any]) -> str:
    """All turns before the reply, as one text."""
    return "\n".join(turn["content"] or "" for turn in row["messages"][:-1])
