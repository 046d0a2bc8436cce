"""Does a story obey its prompt, by rule: the share of what was asked for that can be seen in the story's words.

`obeys` is that share; `obeys_country` and the like are 0 or 1, each over the items whose prompt asks for it. The rules
are those of `mashq.story_checks` with its usual limits of length. They err both ways: how often real stories pass them,
and stories that were asked for something else, stands in docs/benchmarks/story_checks.md.

What a reply takes over from its prompt, four words or more in a row, is not its own and does not count: a model that
repeats the prompt names every country and season that it was asked for, and has told no story.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence

from mashq.metrics.score import BINARY, Metric, sign
from mashq.rows import MashqError, expected_got

__all__ = ["ASKED", "METRICS", "own_words"]

# `story_checks.CHECKS`, which is not imported here: it opens what tells varieties.
ASKED = ("length", "variety", "characters", "country", "season", "place", "activity", "emotion", "dialogue")
COPIED = 4  # words in a row that are the prompt's, not the reply's own
OWN = f"own:{COPIED}"
LIMITS = "words:60-600"  # of a story, as `story_checks.Limits` has them

WORD_AND_GAP = re.compile(r"\s*\S+")
EDGES = re.compile(r"^\W+|\W+$")

Turns = Sequence[Mapping[str, str]]


def _metrics() -> list[Metric]:
    """`obeys`, and `obeys_<check>` for each of `ASKED`: read from a conversation that ends with the story.

    An item whose prompt is none of `mashq.stories`, or does not ask for that, has no score; a reply without a word
    obeys nothing.
    """
    shares = Metric("obeys", _needs_turns, sign("obeys", LIMITS, OWN), True, "0..1", of_turns=_share)
    return [shares, *(_one(check) for check in ASKED)]


def _one(check: str) -> Metric:
    name = f"obeys_{check}"
    signature = sign(name, LIMITS if check == "length" else "", OWN, BINARY)
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
    return asked, own_words(asked, turns[-1]["content"] or "")


def own_words(prompt: str, reply: str) -> str:
    """The reply without what stands in the prompt, `COPIED` words or more in a row; marks at words' edges are equal."""
    asked, said = _plain(prompt), _plain(reply)
    taken = {tuple(asked[at : at + COPIED]) for at in range(len(asked) - COPIED + 1)}
    copied = {at + more for at in range(len(said)) if tuple(said[at : at + COPIED]) in taken for more in range(COPIED)}
    if not copied:
        return reply
    return "".join(piece for at, piece in enumerate(WORD_AND_GAP.findall(reply)) if at not in copied).strip()


def _plain(text: str) -> list[str]:
    return [EDGES.sub("", word) for word in text.split()]


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
