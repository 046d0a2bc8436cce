"""Scores that stand at no name: one for every criterion, numbers before the names, labels behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mashq.judge.patterns import ALONE, BEHIND, BRACKETED, CUE, EVERY, EXCEPT, NUMBER, PER_FIVE
from mashq.judge.values import Mention, PlainText, checked
from mashq.judge.words import Claim

__all__ = ["add_for_every", "add_unlinked"]

FOR_EVERY = re.compile(rf"{ALONE}(?:for|by|in|to|on|في|علي)?[ \t]*(?:{EVERY.pattern})")
SENTENCE_ENDS = re.compile(r"[\n!?؟;؛]|\.(?!\d)")
LEADS = re.compile(rf"(?:^|\n)[ \t*•]*(?:[-–—][ \t]+)?({NUMBER})\**(?:[ \t]*[-–—:][ \t]*|[ \t]+)[*_\"'`]*\Z")
ENDS_LINE = re.compile(r"[*_\"'`.]*[ \t]*(?:\n|\Z)")


def add_for_every(text: PlainText, mentions: Sequence[Mention], claims: dict[str, list[Claim]]) -> None:
    """Add a score that is said for every criterion, with the exceptions that the same sentence names.

    Only where nothing but those exceptions has a score of its own.
    """
    if not (every := EVERY.search(text.text)):
        return
    start = max((one.end() for one in SENTENCE_ENDS.finditer(text.text, 0, every.start())), default=0)
    ends = SENTENCE_ENDS.search(text.text, every.end())
    end = ends.start() if ends else len(text.text)
    apart = EXCEPT.search(text.text, start, end)
    left_out = {one.name for one in mentions if apart and apart.end() <= one.start < end}
    if any(several for name, several in claims.items() if name not in left_out):
        return
    said = _said_for_every(text, every, whole=not any(claims.values()) and not left_out)
    for name in claims:
        if name not in left_out:
            claims[name] += said


def _said_for_every(text: PlainText, every: re.Match[str], whole: bool) -> list[Claim]:
    """The score beside "all criteria"; in the `whole` reply too, where it names nothing else."""
    said: list[Claim] = []
    if whole:
        said = [text.number(one) for one in PER_FIVE.findall(text.text)]
        said = said or [one for cue in CUE.finditer(text.text) for one in text.value("", cue.end(), newline=False)[0]]
    said = said or [text.number(one[1]) for one in FOR_EVERY.finditer(text.text)]
    if said:
        return said
    found, span = text.value("", every.end(), newline=False)
    return [] if text.named_at(span[1], dotted=True) else found


def add_unlinked(text: PlainText, mentions: Sequence[Mention], claims: dict[str, list[Claim]]) -> None:
    """Add numbers before names on lines of their own, or the labels right behind all the names."""
    for pattern, ends in ((BRACKETED, re.compile("")), (LEADS, ENDS_LINE)):
        before = [(one, pattern.search(text.text, max(0, one.start - 16), one.start)) for one in mentions]
        found = [(one.name, float(number[1])) for one, number in before if number and ends.match(text.text, one.end)]
        if len(found) > 1 and not _counts_up([number for _, number in found]):
            for name, level in found:
                claims[name].append(checked(level))
            return
    labels = {one.name: _label_behind(text, one) for one in mentions}
    if len(mentions) == len(labels) == len(claims) > 1 and all(labels.values()):
        for name, said in labels.items():
            claims[name] += said


def _counts_up(numbers: Sequence[float]) -> bool:
    """Whether numbers are those of a list, 1, 2, 3, from wherever it begins."""
    return all(number == numbers[0] + place for place, number in enumerate(numbers))


def _label_behind(text: PlainText, one: Mention) -> list[Claim]:
    """The label that follows a name and ends there: "الطلاقة مقبولة،"."""
    at = text.skip(one.end, newline=False)
    found = text.label_at(one.name, at)
    return found[0] if found and BEHIND.match(text.text, found[1][1]) else []
