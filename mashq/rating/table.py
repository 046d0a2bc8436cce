"""Answers as rows: one for each rater, item and criterion, whatever they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from mashq.rating import dealing
from mashq.rating.answers import is_right
from mashq.rating.study import Item, Study

__all__ = ["COLUMNS", "answer_rows"]

COLUMNS = pa.schema(
    [
        ("study", pa.string()),
        ("simulated", pa.bool_()),  # the raters were programs
        ("rater", pa.string()),
        ("dialect", pa.string()),  # the rater's own
        ("withdrawn", pa.bool_()),  # the rater left the study; no measure counts the answer unless it is asked to
        ("item", pa.string()),
        ("kind", pa.string()),
        ("role", pa.string()),
        ("variety", pa.string()),
        ("group", pa.string()),
        ("criterion", pa.string()),  # of a check: "verdict"
        ("system", pa.string()),  # whose text it is; of a pair the first in the study's order
        ("other", pa.string()),  # of a pair: the second
        ("value", pa.float64()),  # absolute: 1 to 5; pair: 1 where `system` is preferred, -1 `other`, 0 a tie
        ("said", pa.string()),  # the same in words: "4", "first", "second" or "tie" in the study's order, a verdict
        ("side", pa.string()),  # of a pair: where `system` stood for this rater, "first" or "second"
        ("right", pa.bool_()),  # of practice and attention items; null otherwise
        ("text", pa.string()),  # of a check: the corrected text
        ("note", pa.string()),
        ("seconds", pa.float64()),  # spent on the item in all visits that answered it; all its criteria share it
        ("when", pa.timestamp("us", tz="UTC")),
    ]
)


def answer_rows(
    study: Study,
    rater: str,
    item: Item,
    said: Mapping[str, Any],
    *,
    dialect: str = "",
    withdrawn: bool = False,
    seconds: float,
    when: int,
    key: str = "",
) -> Iterator[dict[str, Any]]:
    """The rows (`COLUMNS`) of one answer, whose sides are in the study's order; `when` in microseconds.

    `key` is the store's, by which the sides of pairs were drawn.
    """
    systems = (*item.systems, "", "")
    shared = {
        **{"study": study.name, "simulated": study.simulated, "rater": rater, "dialect": dialect},
        "withdrawn": withdrawn,
        **{name: getattr(item, name) for name in ("kind", "role", "variety", "group")},
        **{"item": item.id, "system": systems[0], "other": systems[1], "side": "", "text": said.get("text", "")},
        **{"note": said["note"], "seconds": seconds, "when": when},
    }
    if item.kind == "pairwise":
        shared["side"] = "second" if dealing.flipped(study, rater, item, key) else "first"
    values = said.get("scores") or said.get("prefer") or {"verdict": said.get("verdict")}
    for name, value in values.items():
        number = {"first": 1.0, "second": -1.0, "tie": 0.0}.get(value) if isinstance(value, str) else float(value)
        yield {**shared, "criterion": name, "value": number, "said": str(value), "right": _right(item, said, name)}


def _right(item: Item, said: Mapping[str, Any], criterion: str) -> bool | None:
    """Whether this row says what is right; None where nothing is known to be."""
    for key, values in item.right.items():
        if key == "verdict":
            return is_right(item.right, said)
        if criterion in values:
            return is_right({key: {criterion: values[criterion]}}, said)
    return None
