"""Stock phrases of language models, such as those by which they refuse: which of a list stands in a text, by its words.

The lists stand in `data/dialogues/replies.yaml`; a phrase that ends in `*` may go on inside a word.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from mashq.packaged import parsed
from mashq.word_patterns import folded_lower

__all__ = ["WORD", "phrase_in", "refusal"]

WORD = re.compile(r"\w+")


@functools.cache
def _phrases(kind: str) -> Mapping[str, tuple[str, ...]]:
    """First word -> the phrases that begin with it, as they stand in words joined by single spaces."""
    found: dict[str, tuple[str, ...]] = {}
    for phrase in parsed("dialogues/replies")[kind]:
        words = WORD.findall(folded_lower(phrase.rstrip("*")))
        for first in (words[0], f"و{words[0]}"):
            said = " ".join([first, *words[1:]])
            found[first] = (*found.get(first, ()), f" {said}" if phrase.endswith("*") else f" {said} ")
    return found


def phrase_in(words: Sequence[str], kind: str, joined: str = "") -> str | None:
    """The first phrase of a list (`refusal`, `about_prompt`, `scripture` ...) that stands in a text, None for none.

    `words` are the text's, folded and in lower case (`word_patterns.folded_lower`); `joined` is the same with single
    spaces between, before and behind, where it is at hand.
    """
    here = set(words)
    joined = joined or f" {' '.join(words)} "
    for first, phrases in _phrases(kind).items():
        if first in here:
            for phrase in phrases:
                if phrase in joined:
                    return phrase.strip()
    return None


def refusal(text: str) -> str | None:
    """The phrase by which a reply refuses, or speaks of itself as a model; None where it does neither."""
    return phrase_in(WORD.findall(folded_lower(text)), "refusal")
