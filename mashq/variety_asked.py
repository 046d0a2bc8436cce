"""Is a text in the variety that was asked for? What the shipped teller is sure of, and nothing where it is not."""

from __future__ import annotations

import functools

from mashq import arabic
from mashq.variety import MIXED, Teller, open_teller

__all__ = ["LEAST_WORDS", "SURE", "SURE_WORDS", "is_other", "reads_as"]

# When is a text SURELY in another variety? Openings of n words of real texts, with the teller's own decision and with a
# probability of 0.9 (shares called another; NTREX and stories in the variety that they are asked for):
#
#   n words            1           3           5           10          20          30
#   NTREX, msa       .060 .014   .032 .003   .017 .002   .005 .000   .000 .000   .000 .000
#   stories, msa     .176 .021   .070 .003   .037 .000   .010 .000   .002 .000   .001 .000
#   stories, Egypt   .643 .088   .381 .031   .259 .015   .136 .008   .068 .009   .024 .002
#   stories, Morocco .541 .056   .403 .040   .316 .036   .214 .032   .186 .067   .098 .023
#
# So "نعم" is called standard, and a wrong Egyptian answer, where it is only short. At 0.9 half of the NTREX openings of
# 5 words are still seen to be no Egyptian, and 85 % of those of 20. Many sentences of Moroccan stories are standard.
LEAST_WORDS = 5  # Arabic words; fewer decide nothing
SURE_WORDS = 30  # Arabic words from which the teller's own decision stands
SURE = 0.9  # probability that another variety needs below that

# Varieties of writers that the teller knows under a wider label.
WIDER = {"algerian": "maghrebi", "tunisian": "maghrebi", "libyan": "maghrebi"}


@functools.cache
def _teller() -> Teller:
    return open_teller()


def reads_as(text: str, asked: str) -> str | None:
    """`asked`, where a text is surely in it or mixed of it and another; else the variety that it surely is in.

    None: the teller is unsure, does not know `asked`, or would judge by a label that too few real rows made, which
    never decides against a text.
    """
    teller = _teller()
    label = WIDER.get(asked, asked)
    if label not in teller.labels:
        return None
    told = teller.tell([text])
    if told.labels[0] == label:
        return asked
    if told.labels[0] == MIXED:
        return asked if told.best[0] == label else None
    decided = told.labels[0] in teller.labels and not {label, told.labels[0]} & teller.experimental
    return told.labels[0] if decided else None


def is_other(text: str, asked: str) -> bool | None:
    """Whether a text is surely in another variety than `asked`; None where that cannot be told.

    As `reads_as`, but nothing is told of a text of fewer than `LEAST_WORDS` Arabic words, and below `SURE_WORDS` the
    other variety needs a probability of `SURE`: short texts are made of words that the varieties share.
    """
    words = sum(arabic.arabic_share(word) > 0 for word in arabic.words(text))
    told = reads_as(text, asked) if words >= LEAST_WORDS else None
    if told is None or told == asked:
        return None if told is None else False
    sure = words >= SURE_WORDS or _teller().tell([text]).probabilities.max() >= SURE
    return True if sure else None
