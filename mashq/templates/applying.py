"""Raw rows and templates -> prompt rows: every pair of a row and a template is a row, kept or dropped with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq.rows import ID, SCHEMA, MashqError, child_ids, conform
from mashq.templates.rendering import MARK, PIPE, SEPARATOR, Compiled, Fault, compiled, render_row
from mashq.templates.template import Rendered, Template

__all__ = ["apply", "fields_of"]

MESSAGES = SCHEMA.field("messages").type
CARRIED = ("split", "group")  # as the raw row has them


NOT_FOR_THIS = "skip: not for this row"  # how `rendering` says that a template's `when` is false


@dataclass(frozen=True)
class _Record:
    """The fields of one raw row, and what rendering can be spared."""

    fields: Mapping[str, Any]
    characters: int
    plain: bool  # no `|||` and no mark anywhere


def fields_of(meta: str | None, text: str | None, messages: Sequence[Mapping[str, str]] | None) -> dict[str, Any]:
    """What templates may name of a raw row: the fields of `meta`, and `text` and `messages` where the row has them.

    Raises MashqError where `meta` is no JSON object.
    """
    fields: dict[str, Any] = {}
    if meta:
        try:
            fields = msgspec.json.decode(meta)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MashqError(f"meta of a raw row: expected a JSON object, got {meta!r:.80} ({error}).") from error
        if not isinstance(fields, dict):
            raise MashqError(f"meta of a raw row: expected a JSON object, got {meta!r:.80}.")
    if text is not None:
        fields.setdefault("text", text)
    if messages is not None:
        fields.setdefault("messages", messages)
    return fields


def apply(rows: pa.Table, templates: Sequence[Template], *, step: str) -> pa.Table:
    """Render every raw row with every template that is for it.

    `rows`: raw rows of `SCHEMA`. Returns rows of `SCHEMA`: for each raw row, in order, one row a template, in order,
    with parents = [raw id], messages, references, choices, template, task, variety, and the raw row's source, licence,
    split and group. A pair that gives no prompt is a row with a reason in `dropped`; a raw row that a template's `when`
    leaves to other templates gives such a row only where all of them leave it. A raw row that was dropped before
    passes through once, as it is. Ids depend on raw id, `step` and template name alone.

    Raises MashqError where a template fails on every row it is for (a field that these rows do not have), where it does
    what no template may, and where two templates share a name.
    """
    names = [template.name for template in templates]
    if not names or len(set(names)) < len(names):
        raise MashqError(f"{step}: expected templates with different names, got {', '.join(names) or 'none'}.")
    live = np.flatnonzero(pc.is_null(rows.column("dropped")).to_numpy(zero_copy_only=False))
    ready = [compiled(template) for template in templates]
    records = _records(rows.take(live))
    ids = rows.column("id").take(pa.array(live))
    row_ids = ids.to_pylist()
    made = [
        render_row(one, record.fields, row_id, characters=record.characters, plain=record.plain)
        for record, row_id in zip(records, row_ids, strict=True)
        for one in ready
    ]
    _complain(made, ready)
    wanted = _wanted(made, len(ready))
    prompts = _table(rows, live, ids, ready, made, step).filter(pa.array(wanted))
    return prompts if len(live) == rows.num_rows else _woven(rows, np.repeat(live, len(ready))[wanted], prompts)


def _wanted(made: Sequence[Rendered | str | Fault], k: int) -> np.ndarray:
    """Which pairs are rows: a template's `when` leaves a raw row to the others, unless there is no other."""
    other = np.array([isinstance(result, str) and result.startswith(NOT_FOR_THIS) for result in made], dtype=bool)
    other = other.reshape(-1, k)
    other[other.all(axis=1), 0] = False
    return ~other.ravel()


def _records(rows: pa.Table) -> list[_Record]:
    columns = (rows.column(name).to_pylist() for name in ("meta", "text", "messages"))
    return [_record(*values) for values in zip(*columns, strict=True)]


def _record(meta: str | None, text: str | None, messages: list[dict[str, str]] | None) -> _Record:
    said = json.dumps(messages, ensure_ascii=False) if messages else ""
    whole = f"{meta or ''}{text or ''}{said}"
    plain = not (SEPARATOR in whole or "\\u" in whole or MARK in whole or PIPE in whole)
    return _Record(fields_of(meta, text, messages), len(whole), plain)


def _complain(made: Sequence[Rendered | str | Fault], ready: Sequence[Compiled]) -> None:
    """A template that fails on every row it is for is wrong itself."""
    faults = []
    for i, one in enumerate(ready):
        own = made[i :: len(ready)]
        other = f"{NOT_FOR_THIS} ({one.where})"
        failed = [result for result in own if isinstance(result, Fault)]
        if failed and len(failed) == sum(result != other for result in own):
            faults.append(failed[0].error)
    if faults:
        raise MashqError("\n".join(faults))


def _table(
    rows: pa.Table,
    live: np.ndarray,
    ids: pa.ChunkedArray,
    ready: Sequence[Compiled],
    made: Sequence[Rendered | str | Fault],
    step: str,
) -> pa.Table:
    """n live rows and k templates -> n * k rows, a raw row's together."""
    n, k = len(live), len(ready)
    kept = [result if isinstance(result, Rendered) else None for result in made]
    reasons = [None if isinstance(r, Rendered) else r.reason if isinstance(r, Fault) else r for r in made]
    own = pa.concat_arrays([child_ids(ids, step=step, template=one.template.name) for one in ready])
    turned = pa.array(np.arange(n * k).reshape(k, n).T.ravel())  # template-major -> row-major
    which = pa.array(np.repeat(live, k))
    templates = [one.template for one in ready]
    parents = ids.take(pa.array(np.repeat(np.arange(n), k)))
    columns: dict[str, Any] = {name: rows.column(name).take(which) for name in CARRIED}
    columns |= {
        "id": own.take(turned),
        "parents": pa.ListArray.from_arrays(np.arange(n * k + 1, dtype=np.int32), _one(parents)),
        "template": _tiled([template.name for template in templates], n),
        "task": _tiled([template.task for template in templates], n),
        "variety": _filled(
            _tiled([template.variety for template in templates], n),
            rows.column("variety").take(which),
            [template.dataset.variety for template in templates],
        ),
        "source": _filled(rows.column("source").take(which), [template.dataset.name for template in templates]),
        "licence": _filled(rows.column("licence").take(which), [template.dataset.licence for template in templates]),
        "messages": _messages(kept),
        "references": pa.array([one.references if one else None for one in kept], pa.list_(pa.string())),
        "choices": pa.array([(one.choices or None) if one else None for one in kept], pa.list_(pa.string())),
        "dropped": pa.array(reasons, pa.string()),
    }
    return conform(columns, where=step)


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], ID)


def _tiled(values: Sequence[str | None], n: int) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(np.tile(np.arange(len(values)), n)))


def _filled(*columns: Any) -> Any:
    """The first value that is not null, column by column; the last column is one text a template."""
    *known, last = columns
    n = len(known[0]) // len(last)
    return pc.coalesce(*known, _tiled([text or None for text in last], n))


def _messages(kept: Sequence[Rendered | None]) -> pa.Array:
    """Built flat, which is several times faster than from records."""
    lengths = np.array([0, *(len(one.messages) if one else 0 for one in kept)], dtype=np.int32)
    flat = [message for one in kept if one for message in one.messages]
    structs = pa.StructArray.from_arrays(
        [pa.array([role for role, _ in flat], pa.string()), pa.array([content for _, content in flat], pa.string())],
        fields=list(MESSAGES.value_type),
    )
    absent = pa.array([one is None for one in kept], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(np.cumsum(lengths, dtype=np.int32)), structs, type=MESSAGES, mask=absent)


def _woven(rows: pa.Table, places: np.ndarray, prompts: pa.Table) -> pa.Table:
    """Put the raw rows that were dropped before back where they stood; `places` are those of the prompts."""
    dropped = np.setdiff1d(np.arange(rows.num_rows), places)
    joined = pa.concat_tables([prompts, rows.take(pa.array(dropped))])
    place = np.concatenate([places, dropped])
    return joined.take(pa.array(np.argsort(place, kind="stable")))
