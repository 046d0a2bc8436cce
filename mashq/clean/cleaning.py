"""A profile over many texts: every rule in its order, again until nothing changes.

Texts are cleaned a block at a time. One pass of numpy over a block tells which rows show a sign that a rule needs
(`signs.py`); only these reach the rule's own function, so the result is that of calling every rule on every text.
A text that changed is gone through again, because what one rule leaves may be what an earlier one looks for; so
cleaning twice is cleaning once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashq.clean.catalogue import RULES
from mashq.clean.profile import Profile
from mashq.clean.rule import Count, Rule
from mashq.clean.signs import bits, signs_of

__all__ = ["Cleaned", "clean"]

BLOCK = 32_768  # texts looked at together
MOST_PASSES = 12  # a text that still changes then is dropped: real ones take 1 to 3
_ONCE = frozenset({"arclean", "arabert"})  # others' preprocessing, applied once, as they do


@dataclass(frozen=True)
class Cleaned:
    """What came of n texts, in their order."""

    texts: list[str]  # cleaned; a dropped text as it came, or what was left where that is nothing
    reasons: list[str | None]  # why dropped, with the measured value and the limit; None where kept
    applied: list[tuple[str, ...]]  # names of the rules that changed a text, or dropped it, in their order
    counts: dict[str, Count]  # rule -> what it did; every rule of the profile


@dataclass
class _Work:
    """Texts on their way, by row."""

    came: list[str]
    texts: list[str]
    reasons: list[str | None]
    applied: list[list[str]]
    things: dict[str, int]
    first: bool = True  # whether this is the first pass over these rows

    def seen(self, rule: Rule, rows: Sequence[int]) -> list[str]:
        """What tells whether a rule may find something: texts, and in the first pass the texts as they came behind."""
        texts = list(map(self.texts.__getitem__, rows))
        if not rule.came or not self.first:
            return texts
        came = map(self.came.__getitem__, rows)
        return [
            text if text is first or text == first else f"{text}\n{first}"
            for text, first in zip(texts, came, strict=True)
        ]

    def note(self, rule: str, row: int, things: int) -> None:
        self.things[rule] += things
        if rule not in self.applied[row]:
            self.applied[row].append(rule)


_Step = tuple[Rule, Mapping[str, Any]]


def clean(texts: Sequence[str | None], profile: Profile) -> Cleaned:
    """Texts through the rules of a profile. Deterministic; raises on no text; n texts give n texts, in their order.

    A text that is None or blank is dropped ("empty: no text"), and so is one of which nothing is left ("empty: nothing
    left of 12 characters (url)"). Edits are repeated until nothing changes, except "arclean" and "arabert", which are
    one pass. A rule over a column (near_duplicate) sees the texts of this call only; the first of its like stays.
    """
    came = ["" if text is None else text for text in texts]
    steps = [(RULES[name], settings) for name, settings in profile.rules]
    rowwise = [step for step in steps if not step[0].column]
    things = {rule.name: 0 for rule, _ in steps}
    work = _Work(
        came, list(came), [None if text.strip() else "empty: no text" for text in came], [[] for _ in came], things
    )
    for start in range(0, len(came), BLOCK):
        _clean_rows(work, range(start, min(start + BLOCK, len(came))), rowwise, came)
    for rule, settings in steps:
        if rule.column:
            _clean_column(work, rule, settings)
    for row, reason in enumerate(work.reasons):
        if reason and not reason.startswith("empty:"):
            work.texts[row] = came[row]
    touched = Counter(name for names in work.applied for name in names)
    counts = {rule.name: Count(touched[rule.name], things[rule.name]) for rule, _ in steps}
    return Cleaned(work.texts, work.reasons, [tuple(names) for names in work.applied], counts)


def _clean_rows(work: _Work, rows: Sequence[int], steps: Sequence[_Step], came: Sequence[str]) -> None:
    """The rules that look at one text, over some rows, until nothing changes."""
    rows = [row for row in rows if work.reasons[row] is None]
    signed = any(rule.signs for rule, _ in steps)
    shown = signs_of([work.texts[row] for row in rows]) if signed else np.zeros(len(rows), dtype=np.uint32)  # (rows)
    for turn in range(MOST_PASSES):
        work.first = turn == 0
        places = _pass(work, rows, shown, [step for step in steps if turn == 0 or step[0].name not in _ONCE])
        changed = [rows[place] for place in places]
        for row in changed:
            if not work.texts[row].strip() and work.reasons[row] is None:
                rules = ", ".join(work.applied[row])
                work.reasons[row] = f"empty: nothing left of {len(came[row]):,} characters ({rules})"
        alive = [place for place, row in zip(places, changed, strict=True) if work.reasons[row] is None]
        rows, shown = [rows[place] for place in alive], shown[alive]
        if not rows or all(rule.name in _ONCE for rule, _ in steps):
            return
    for row in rows:
        work.reasons[row] = f"unstable: still changing after {MOST_PASSES} passes"


def _pass(work: _Work, rows: Sequence[int], shown: np.ndarray, steps: Sequence[_Step]) -> list[int]:
    """Every rule once over some rows, in order -> the places of the rows that an edit changed. shown: (rows) the signs
    of each, which are those of the new texts in the end."""
    alive = np.ones(len(rows), dtype=bool)
    changed, stale = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for rule, settings in steps:
        if rule.signs:
            _show_again(work, rows, shown, stale)
        places = _suspects(rule, settings, work, rows, np.where(alive, shown, 0), alive)
        if rule.kind == "drop":
            _drop(work, rule, settings, rows, places, alive)
            continue
        edited = _edit_rows(work, rule, settings, rows, places)
        changed[edited] = stale[edited] = True
    if any(rule.signs for rule, _ in steps):
        _show_again(work, rows, shown, stale)
    places_changed: list[int] = np.flatnonzero(changed).tolist()
    return places_changed


def _show_again(work: _Work, rows: Sequence[int], shown: np.ndarray, stale: np.ndarray) -> None:
    """The signs of rows that changed since they were looked at."""
    places = np.flatnonzero(stale)
    if len(places):
        shown[places] = signs_of([work.texts[rows[place]] for place in places.tolist()])
        stale[:] = False


def _suspects(
    rule: Rule, settings: Mapping[str, Any], work: _Work, rows: Sequence[int], shown: np.ndarray, alive: np.ndarray
) -> list[int]:
    """Places of rows, among those alive, in which the rule may find something."""
    places: list[int] = np.flatnonzero(shown & bits(rule.signs) if rule.signs else alive).tolist()
    if rule.likely is None or not places:
        return places
    likely = rule.likely(work.seen(rule, [rows[place] for place in places]), settings)
    return [place for place, maybe in zip(places, likely, strict=True) if maybe]


def _edit_rows(
    work: _Work, rule: Rule, settings: Mapping[str, Any], rows: Sequence[int], places: Sequence[int]
) -> list[int]:
    """One rule on some rows -> the places of those that it changed."""
    if rule.bulk is None:
        return [place for place in places if _edit(work, rule, settings, rows[place])]
    texts, things = rule.bulk([work.texts[rows[place]] for place in places], **settings)
    edited = []
    for place, text, n in zip(places, texts, things, strict=True):
        if text != work.texts[rows[place]]:
            work.texts[rows[place]] = text
            work.note(rule.name, rows[place], max(n, 1))
            edited.append(place)
    return edited


def _edit(work: _Work, rule: Rule, settings: Mapping[str, Any], row: int) -> bool:
    """One rule on one text; whether it changed."""
    made, things = rule.apply(work.texts[row], **settings)
    if made == work.texts[row]:
        return False
    work.texts[row] = made
    work.note(rule.name, row, max(things, 1))
    return True


def _drop(
    work: _Work, rule: Rule, settings: Mapping[str, Any], rows: Sequence[int], places: Sequence[int], alive: np.ndarray
) -> None:
    """One rule that drops, over some rows; nothing is said of a text of which nothing is left."""
    for place in places:
        row = rows[place]
        came = {"came": work.came[row]} if rule.came else {}
        reason = rule.apply(work.texts[row], **settings, **came) if work.texts[row].strip() else None
        if reason:
            work.reasons[row] = reason
            work.note(rule.name, row, 1)
            alive[place] = False


def _clean_column(work: _Work, rule: Rule, settings: Mapping[str, Any]) -> None:
    """A rule that looks at all texts together: dropped ones are blank to it."""
    kept = [text if reason is None else "" for text, reason in zip(work.texts, work.reasons, strict=True)]
    for row, reason in enumerate(rule.apply(kept, **settings)):
        if reason and work.reasons[row] is None:
            work.reasons[row] = reason
            work.note(rule.name, row, 1)
