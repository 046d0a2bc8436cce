"""Is a text in the variety that was asked for? What the shipped teller is sure of, and nothing where it is not."""

from __future__ import annotations

import functools

from mashq.variety import MIXED, Teller, open_teller

__all__ = ["reads_as"]

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
