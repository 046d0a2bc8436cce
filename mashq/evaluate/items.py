"""Reply rows of several systems -> the items that all of them answered, joined by id; what is left out is counted.

An item is one prompt: its id is that of the row which the reply was made from.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mashq.rows import MashqError, expected_got, id_hex

__all__ = ["Answer", "Items", "answers_of", "join"]


@dataclass(frozen=True)
class Answer:
    """One system's answer to one item."""

    row: Mapping[str, Any]
    reply: str
    finish: str
    facts: Mapping[str, Any]  # the row's `meta`

    def number(self, name: str) -> float:
        """A number of `meta`, NaN where there is none."""
        value = self.facts.get(name)
        return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Items:
    """The items that every system answered, in the order of their ids, and the answers in that order."""

    ids: list[str]
    answers: dict[str, list[Answer]] = field(repr=False)

    @functools.cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """One row an item, for what is the same in every system."""
        return [answer.row for answer in next(iter(self.answers.values()))]

    @functools.cached_property
    def groups(self) -> list[str | None]:
        return [row["group"] for row in self.rows]

    @functools.cached_property
    def references(self) -> list[list[str]]:
        return [row["references"] or [] for row in self.rows]


def answers_of(system: str, tables: Iterable[pa.Table]) -> dict[str, Answer | str]:
    """Item id -> the answer, or the reason for which its row was dropped."""
    found: dict[str, Answer | str] = {}
    for table in tables:
        for row in table.to_pylist():
            item = id_hex(row["parents"][0]) if row["parents"] else ""
            if not item:
                raise MashqError(f"evaluate: system '{system}': reply {id_hex(row['id'])} has no parent, so no item.")
            if item in found:
                raise MashqError(f"evaluate: system '{system}' answers item {item} twice. Give one reply an item.")
            found[item] = row["dropped"] or _answer(system, row)
    return found


def _answer(system: str, row: Mapping[str, Any]) -> Answer:
    turns = row["messages"] or []
    if not turns or turns[-1]["role"] != "assistant":
        got = f"a last turn of '{turns[-1]['role']}'" if turns else "no messages"
        raise MashqError(
            expected_got(f"evaluate: system '{system}', reply {id_hex(row['id'])}", "an assistant's turn last", got)
        )
    facts = json.loads(row["meta"] or "{}")
    return Answer(row, turns[-1]["content"] or "", str(facts.get("finish", "stop")), facts)


def join(answers: Mapping[str, Mapping[str, Answer | str]]) -> tuple[Items, list[dict[str, Any]]]:
    """Items with a reply from every system; what was left out is a note."""
    every = sorted(set().union(*answers.values()))
    for system, found in answers.items():
        lacking = [item for item in every if item not in found]
        if lacking:
            raise MashqError(
                f"evaluate: system '{system}' has no row for {len(lacking)} of {len(every)} items, the first is "
                f"{lacking[0]}. Systems are compared on the same items: drop a reply that failed with a reason."
            )
    reasons = Counter(
        f"{system}: {value.split(':')[0]}"
        for system, found in answers.items()
        for value in found.values()
        if isinstance(value, str)
    )
    kept = [item for item in every if not any(isinstance(found[item], str) for found in answers.values())]
    if not kept:
        raise MashqError(
            expected_got("evaluate: items with a reply from every system", "at least one", f"0 of {len(every)}")
        )
    chosen = {
        system: [answer for item in kept if not isinstance(answer := found[item], str)]
        for system, found in answers.items()
    }
    items = Items(kept, chosen)
    _check_same(items)
    gone = len(every) - len(kept)
    note = {"code": "missing", "n": gone, "reasons": dict(reasons.most_common())}
    return items, [note] if gone else []


def _check_same(items: Items) -> None:
    """Raise where two systems were given different references for one item, or counted their bytes differently."""
    first, *others = items.answers.items()
    for system, answers in others:
        for item, one, two in zip(items.ids, first[1], answers, strict=True):
            where = f"evaluate: item {item}"
            if one.row["references"] != two.row["references"]:
                raise MashqError(f"{where} has other references in system '{system}' than in '{first[0]}'.")
            sizes = one.number("target_bytes"), two.number("target_bytes")
            if sizes[0] != sizes[1] and not any(map(math.isnan, sizes)):
                expected = f"{sizes[0]:g} as in '{first[0]}', for its references are the same"
                what = f"{where}: target_bytes in system '{system}'"
                raise MashqError(expected_got(what, expected, f"{sizes[1]:g}", "Make its replies anew."))
