"""What a reply says: its text without the thoughts before it and the fence around it."""

from __future__ import annotations

import re

__all__ = ["unfenced", "without_thoughts"]

THOUGHT, THOUGHT_ENDS = "<think>", "</think>"
FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\s*\Z", re.S)


def without_thoughts(reply: str) -> str | None:
    """A reply, stripped, behind the thoughts that it begins with; None where such a thought never ends.

    Some servers send a thought without its opening mark: then all up to the last `</think>` is thought. A `<think>`
    behind other words is one of its words.
    """
    text = reply.strip()
    if THOUGHT not in text:
        return text.rpartition(THOUGHT_ENDS)[2].strip()
    while text.startswith(THOUGHT):
        _, ends, text = text.partition(THOUGHT_ENDS)
        if not ends:
            return None
        text = text.strip()
    return text


def unfenced(text: str) -> str:
    """The text inside a fence (three backticks, perhaps a language) that holds all of it, stripped; else as it was."""
    return found[1].strip() if (found := FENCE.match(text)) else text
