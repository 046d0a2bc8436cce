"""Does a story obey its prompt, by rule: the share of what was asked for that can be seen in the story's words.

`obeys` is that share; `obeys_country` and the like are 0 or 1, each over the items whose prompt asks for it. The rules
are those of `mashq.story_checks` with its usual limits of length. They err both ways: how often real stories pass them,
and stories that were asked for something else, stands in docs/benchmarks/story_checks.md.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from mashq.metrics.score import BINARY, Metric, sign
from mashq.rows import MashqError, expected_got

__all__ = ["ASKED", "METRICS"]

# `story_checks.CHECKS`, which is not imported here: it opens what tells varieties.
ASKED = ("length", "variety", "characters", "country", "season", "place", "activity", "emotion", "dialogue")
LIMITS = "words:60-600"  # of a story, as `story_checks.Limits` has them

Turns = Sequence[Mapping[str, str]]


def _metrics() -> list[Metric]:
    """`obeys`, and `obeys_<check>` for each of `ASKED`: read from a conversation that ends with the story.

    An item whose prompt is none of `mashq.stories`, or does not ask for that, has no score; a reply without a word
    obeys nothing.
    """
    shares = Metric("obeys", _needs_turns, sign("obeys", LIMITS), True, "0..1", of_turns=_share)
    return [shares, *(_one(check) for check in ASKED)]


def _one(check: str) -> Metric:
    name = f"obeys_{check}"
    signature = sign(name, LIMITS if check == "length" else "", BINARY)
    return Metric(name, _needs_turns, signature, True, "0 or 1", of_turns=functools.partial(_passed, check))


def _needs_turns(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    do = "Score it with `of_turns`, as `mashq.evaluate` does."
    raise MashqError(expected_got("obeys", "the prompt of every reply", "replies and references alone", do))


def _share(turns: Turns) -> float:
    found = _found(*_prompt_and_story(turns))
    return sum(found.values()) / len(found) if found else math.nan


def _passed(check: str, turns: Turns) -> float:
    found = _found(*_prompt_and_story(turns))
    return float(found[check]) if check in found else math.nan


def _prompt_and_story(turns: Turns) -> tuple[str, str]:
    asked = next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), "")
    return asked, turns[-1]["content"] or ""


@functools.lru_cache(maxsize=8192)  # the metrics of one evaluation read each story once
def _found(prompt: str, story: str) -> Mapping[str, bool]:
    """Check -> whether the story passes; empty where the prompt is none of `mashq.stories`."""
    from mashq.stories import parse_prompt
    from mashq.story_checks import WORD, check

    try:
        slots = parse_prompt(prompt)
    except MashqError:
        return {}
    said = WORD.search(story) is not None
    return {name: said and reason is None for name, reason in check(story, slots).items()}


METRICS: dict[str, Metric] = {metric.name: metric for metric in _metrics()}
