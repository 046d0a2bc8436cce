"""Stock phrases of language models, such as those by which they refuse: which of a list stands in a text, by its words.

The lists stand in `data/dialogues/replies.yaml`; a phrase that ends in `*` may go on inside a word.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from mashq.packaged import parsed
from mashq.word_patterns import folded_lower

__all__ = ["WORD", "own_words", "phrase_in", "refusal"]

WORD = re.compile(r"\w+")
ELSEWHERE = " 0 "  # stands for speech that is left out, so that no phrase goes across the gap
# What stands in quotation marks; one that is not closed ends with its line.
QUOTED = re.compile(r"«[^»\n]*(?:»|$)|“[^”\n]*(?:”|$)|\"[^\"\n]*(?:\"|$)", re.MULTILINE)
DASHED = re.compile(r"^[ \t]*[-–—][ \t]*(?=[^\s\d-])[^\n]*$", re.MULTILINE)  # a line of a dialogue
# Somebody else says (folded spelling), and then what, to the end of the line.
SAYS = (
    r"[وف]?(?:قال\w{0,3}|قلت|[يت]قول\w{0,2}|اجاب\w{0,4}|[يت]جيب\w{0,2}|جاوب\w{0,3}|رد(?:ت|ا|وا)?|[يت]رد|صاح\w?|صرخ\w?|[يت]صرخ"
    r"|همس\w?|هتف\w?|اضاف\w?|تمتم\w?|نادي|نادت|اعتذر\w?|بكي|بكت|گال\w?)"
)
SPOKEN = re.compile(rf"(?<!\w)(?P<says>{SAYS}(?!\w)(?P<who>[^\n:.!؟?]{{0,60}}):)[^\n]*")
# An assistant that is said to speak is the reply's own voice.
OWN_VOICE = re.compile(r"المساعد|النموذج|الذكاء|الروبوت|البوت|assistant|bot|(?<!\w)ai(?!\w)", re.I)


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


def own_words(text: str) -> str:
    """What a reply says itself, in folded spelling and lower case: without the speech of others that it tells.

    That is speech in quotation marks, lines of a dialogue that begin with a dash, and what follows "he said:" on its
    line. Where nothing else is said the whole text stands: a reply that is one quotation speaks for itself.
    """
    lines = "\n".join(folded_lower(line) for line in text.splitlines())
    left = QUOTED.sub(ELSEWHERE, lines)
    left = SPOKEN.sub(lambda found: found[0] if OWN_VOICE.search(found["who"]) else found["says"] + ELSEWHERE, left)
    left = DASHED.sub(ELSEWHERE, left)
    return left if WORD.search(left.replace(ELSEWHERE.strip(), "")) else lines


def refusal(text: str) -> str | None:
    """The phrase by which a reply refuses, or speaks of itself as a model; None where it does neither.

    A character of a story who says that he cannot help does not refuse (`own_words`).
    """
    return phrase_in(WORD.findall(own_words(text)), "refusal")
