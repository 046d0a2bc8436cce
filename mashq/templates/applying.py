"""Raw rows and templates -> prompt rows: every pair of a row and a template is a row, kept or dropped with a reason.

A batch is rendered column by column (`compiler`); what that cannot do, and rows that are odd, Jinja renders one by one.
Two rows of every batch go both ways, and a template whose texts differ goes through Jinja from then on.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq.rows import ID, SCHEMA, MashqError, child_ids, conform
from mashq.templates.columns import NotColumnar, leaf, lists_of, repeated
from mashq.templates.compiler import Batch, Field, columnar, field_column, names_in, render_columns
from mashq.templates.rendering import MARK, NOT_FOR_THIS, PIPE, SEPARATOR, Compiled, Fault, compiled, render_row
from mashq.templates.template import Rendered, Template

__all__ = ["apply", "apply_columns", "fields_of", "path_of"]

CARRIED = ("split", "group")  # as the raw row has them
TOLD = ("source", "licence", "variety")  # as the raw row has them, else as the template's data set says
ROWS = 4_096  # raw rows rendered at a time: larger batches leave the caches, and cost four times as much
# Templates whose columns gave another text than Jinja, and the difference: they go through Jinja in this process.
_DISTRUSTED: dict[str, str] = {}


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


# --- records: the fields of a batch, as columns and as Python values -------------------------------------------------


class _Records(ABC):
    """The fields of n raw rows. `column` gives one field of all of them, `record` all fields of one."""

    odd: np.ndarray | None = None  # rows that have other fields than the rest

    def __init__(self, n: int):
        self.n = n
        self._columns: dict[str, Field] = {}
        self.memo: dict[str, Any] = {}

    @abstractmethod
    def names(self) -> Sequence[str]: ...

    @abstractmethod
    def record(self, place: int, used: frozenset[str]) -> Mapping[str, Any]:
        """At least the fields in `used`."""

    @abstractmethod
    def _column(self, name: str) -> Field: ...

    def column(self, name: str) -> Field:
        """Raises NotColumnar where its values have no common type that the kernels know."""
        if name not in self._columns:
            self._columns[name] = self._column(name)
        return self._columns[name]

    def plain(self, place: int) -> bool:
        """Whether it is known that no text of this row holds `|||` or a mark."""
        return False


class _FromColumns(_Records):
    """Fields that are columns of a table."""

    def __init__(self, table: pa.Table):
        super().__init__(table.num_rows)
        self._table = table

    def names(self) -> Sequence[str]:
        return self._table.column_names

    def record(self, place: int, used: frozenset[str]) -> Mapping[str, Any]:
        names = [name for name in self._table.column_names if name in used or "row" in used]
        return {name: self._table.column(name)[place].as_py() for name in names}

    def _column(self, name: str) -> Field:
        return field_column(self._table.column(name))


class _FromRows(_Records):
    """Fields that stand in raw rows of `SCHEMA`: their `meta`, `text` and `messages`."""

    def __init__(self, rows: pa.Table):
        super().__init__(rows.num_rows)
        meta, text, messages = (rows.column(name).to_pylist() for name in ("meta", "text", "messages"))
        self._records = [fields_of(*values) for values in zip(meta, text, messages, strict=True)]
        said = (json.dumps(each, ensure_ascii=False) if each else "" for each in messages)
        self._plain = [
            not (SEPARATOR in whole or "\\u" in whole or MARK in whole or PIPE in whole)
            for whole in map("{}{}{}".format, meta, text, said)
        ]
        keys = self._records[0].keys() if self._records else set()
        odd = np.fromiter((record.keys() != keys for record in self._records), dtype=bool, count=self.n)
        self.odd = odd if odd.any() else None

    def names(self) -> Sequence[str]:
        return list(self._records[0]) if self._records else []

    def record(self, place: int, used: frozenset[str]) -> Mapping[str, Any]:
        return self._records[place]

    def plain(self, place: int) -> bool:
        return self._plain[place]

    def _column(self, name: str) -> Field:
        values = [record.get(name) for record in self._records]
        try:
            data = leaf(pa.array(values))
        except (pa.ArrowException, OverflowError) as error:
            raise NotColumnar(f"the field '{name}' has values of several types") from error
        if not all(_fits(value, data.type) for value in values):
            raise NotColumnar(f"the field '{name}' has values of several types")
        return field_column(data)


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether Arrow took the value as it is: a whole number among floats or a record without a key are changed."""
    if value is None:
        return True
    if pa.types.is_floating(kind):
        return type(value) is float
    if pa.types.is_list(kind):
        return all(_fits(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind):
        return len(value) == kind.num_fields and all(_fits(value[field.name], field.type) for field in kind)
    return True


# --- public ----------------------------------------------------------------------------------------------------------


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
    live = np.flatnonzero(pc.is_null(rows.column("dropped")).to_numpy(zero_copy_only=False))
    taken = rows if len(live) == rows.num_rows else rows.take(pa.array(live))
    carried = {name: _one(taken.column(name)) for name in (*CARRIED, *TOLD)}
    ids = _one(taken.column("id"))
    prompts, places = _apply(lambda at: _FromRows(taken.slice(at, ROWS)), ids, carried, templates, step)
    return prompts if len(live) == rows.num_rows else _woven(rows, live[places], prompts)


def apply_columns(
    fields: pa.Table,
    ids: pa.Array,
    templates: Sequence[Template],
    *,
    step: str,
    carried: Mapping[str, pa.Array | str | None] | None = None,
) -> pa.Table:
    """As `apply`, for raw records that are columns of a table and not rows of `SCHEMA`.

    `fields`: (n,) records; `ids`: their (n,) raw ids; `carried`: split, group, source, licence or variety of the raw
    rows, each a column or one value for all. The result is that of `apply` on the raw rows with these fields, except
    that numbers keep the type of their column (a float column has no whole numbers).
    """
    given = dict(carried or {})
    columns = {name: _column_of(given.get(name), len(ids)) for name in (*CARRIED, *TOLD)}
    return _apply(lambda at: _FromColumns(fields.slice(at, ROWS)), ids, columns, templates, step, typed=True)[0]


def path_of(template: Template, fields: pa.Table) -> str:
    """How a template is rendered on records like these: "columns", or "jinja: " and why."""
    if template.fingerprint in _DISTRUSTED:
        return f"jinja: {_DISTRUSTED[template.fingerprint]}"
    ids = child_ids(pa.array([bytes(16)] * fields.num_rows, ID), step="path", repetition=np.arange(fields.num_rows))
    try:
        batch = _by_columns(columnar(compiled(template)), _FromColumns(fields), ids)
    except NotColumnar as reason:
        return f"jinja: {reason}"
    return "jinja: every row is odd" if len(batch.odd) and batch.odd.all() else "columns"


def _column_of(value: pa.Array | str | None, n: int) -> pa.Array:
    return value if isinstance(value, (pa.Array, pa.ChunkedArray)) else repeated(value, n, pa.string())


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# --- one batch -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """Prompt rows that one template made of some of the raw rows."""

    places: np.ndarray  # (m,) raw rows
    template: int
    messages: pa.Array
    references: pa.Array
    choices: pa.Array
    dropped: pa.Array


def _apply(
    records_at: Callable[[int], _Records],
    ids: pa.Array,
    carried: Mapping[str, pa.Array],
    templates: Sequence[Template],
    step: str,
    typed: bool = False,
) -> tuple[pa.Table, np.ndarray]:
    """Prompt rows of SCHEMA, and the raw row that each was made from; `ROWS` raw rows at a time.

    Raises MashqError where a template fails on every row it is for; of `typed` columns, which come a few at a time,
    only where they lack a field that it names.
    """
    names = [template.name for template in templates]
    if not names or len(set(names)) < len(names):
        raise MashqError(f"{step}: expected templates with different names, got {', '.join(names) or 'none'}.")
    ready = [compiled(template) for template in templates]
    own, failed = Counter[int](), Counter[int]()
    errors: dict[int, str] = {}
    tables: list[pa.Table] = []
    places: list[np.ndarray] = []
    for at in range(0, max(len(ids), 1), ROWS):
        records, some = records_at(at), ids.slice(at, ROWS)
        pieces: list[_Piece] = []
        for place, one in enumerate(ready):
            made, faults = _pieces(one, place, records, some)
            pieces += made
            own[place] += sum(len(piece.places) for piece in made)
            failed[place] += len(faults)
            told = [fault.error for fault in faults if fault.missing or not typed]
            if told:
                errors.setdefault(place, told[0])
        pieces += _left_over(pieces, ready[0], records.n)
        beside = {name: column.slice(at, ROWS) for name, column in carried.items()}
        table, theirs = _table(pieces, some, beside, templates, step)
        tables.append(table)
        places.append(theirs + at)
    wrong = [error for place, error in sorted(errors.items()) if failed[place] == own[place]]
    if wrong:
        raise MashqError("\n".join(wrong))
    return pa.concat_tables(tables), np.concatenate(places)


def _pieces(ready: Compiled, template: int, records: _Records, ids: pa.Array) -> tuple[list[_Piece], list[Fault]]:
    """What one template makes of the batch, and the rows that it fails on."""
    used = names_in(columnar(ready))

    def by_jinja(place: int) -> Rendered | str | Fault:
        return render_row(ready, records.record(place, used), ids[place].as_py(), plain=records.plain(place))

    batch = _trusted(ready, records, ids, by_jinja)
    if batch is None:
        slow, done = np.arange(records.n), []
    else:
        wanted = np.flatnonzero(batch.wanted)
        slow, done = wanted[batch.odd], [_of_batch(batch, wanted, template, ready)]
    made = [by_jinja(int(place)) for place in slow]
    theirs = np.array([not (isinstance(one, str) and one.startswith(NOT_FOR_THIS)) for one in made], dtype=bool)
    kept = [one for one, own in zip(made, theirs, strict=True) if own]
    faults = [one for one in kept if isinstance(one, Fault)]
    if kept:
        done.append(_of_jinja(kept, slow[theirs], template))
    return [piece for piece in done if len(piece.places)], faults


def _by_columns(program: Any, records: _Records, ids: pa.Array) -> Batch:
    used = names_in(program)
    fields = {name: records.column(name) for name in records.names() if name in used}
    return render_columns(program, fields, ids, records.odd, records.memo)


def _trusted(
    ready: Compiled, records: _Records, ids: pa.Array, by_jinja: Callable[[int], Rendered | str | Fault]
) -> Batch | None:
    """The batch by columns, if two of its rows are the same by Jinja; else None."""
    template = ready.template
    if not records.n or (_DISTRUSTED and template.fingerprint in _DISTRUSTED):
        return None
    try:
        batch = _by_columns(columnar(ready), records, ids)
    except NotColumnar:
        return None
    wanted = np.flatnonzero(batch.wanted)
    own = np.flatnonzero(~batch.odd)
    for m in {int(own[0]), int(own[len(own) // 2])} if len(own) else ():
        theirs, ours = by_jinja(int(wanted[m])), _row_of(batch, m, ready)
        if theirs != ours:
            _DISTRUSTED[template.fingerprint] = "its columns gave another text than Jinja"
            warnings.warn(
                f"{template.name}: columns gave {ours!r:.200}, Jinja {theirs!r:.200}. Jinja renders it from here on; "
                "please report this template.",
                stacklevel=2,
            )
            return None
    return batch


def _reason_text(code: int, ready: Compiled) -> str:
    what = {1: "empty prompt", 2: "empty target"}.get(code, f"empty turn {code - 2}")
    return f"skip: {what} ({ready.where})"


def _row_of(batch: Batch, m: int, ready: Compiled) -> Rendered | str:
    """One row of a batch as `render` gives it."""
    if batch.reasons is not None and batch.reasons[m]:
        return _reason_text(int(batch.reasons[m]), ready)
    start = int(batch.reference_counts[:m].sum())
    said = tuple(zip(ready.roles, (content[m].as_py() for content in batch.contents), strict=True))
    references = batch.references.slice(start, int(batch.reference_counts[m])).to_pylist()
    choices = batch.choices if isinstance(batch.choices, tuple) else tuple(batch.choices[m].as_py())
    return Rendered(said, tuple(references), choices)


# --- pieces ----------------------------------------------------------------------------------------------------------

MESSAGES = SCHEMA.field("messages").type
TEXTS = SCHEMA.field("references").type


def _of_batch(batch: Batch, wanted: np.ndarray, template: int, ready: Compiled) -> _Piece:
    m, k = len(wanted), len(ready.roles)
    own = ~batch.odd
    lost = None if batch.reasons is None else batch.reasons > 0
    contents = batch.contents[0]
    if k > 1:
        order = np.arange(m * k).reshape(k, m).T.ravel()
        contents = pa.concat_arrays(batch.contents).take(pa.array(order))
    roles = (
        repeated(ready.roles[0], m, pa.string())
        if k == 1
        else pa.array(ready.roles).take(pa.array(np.tile(np.arange(k), m)))
    )
    said = pa.StructArray.from_arrays([roles, contents], fields=list(MESSAGES.value_type))
    hidden = None if lost is None else pa.array(lost)
    offsets = pa.array(np.arange(0, (m + 1) * k, k, dtype=np.int32))
    messages = pa.ListArray.from_arrays(offsets, said, type=MESSAGES, mask=hidden)
    ends = np.zeros(m + 1, dtype=np.int32)
    np.cumsum(batch.reference_counts, out=ends[1:])
    references = pa.ListArray.from_arrays(pa.array(ends), batch.references, type=TEXTS, mask=hidden)
    choices = _choices_of(batch, m, lost)
    if lost is None:
        dropped = pa.nulls(m, pa.string())
    else:
        texts = [None, *(_reason_text(code, ready) for code in range(1, 3 + k))]
        assert batch.reasons is not None
        dropped = pa.array(texts, pa.string()).take(pa.array(batch.reasons))
    piece = _Piece(wanted, template, messages, references, choices, dropped)
    if own.all():
        return piece
    keep = pa.array(own)
    return _Piece(wanted[own], template, *(each.filter(keep) for each in (messages, references, choices, dropped)))


def _choices_of(batch: Batch, m: int, lost: np.ndarray | None) -> pa.Array:
    if isinstance(batch.choices, tuple):
        k = len(batch.choices)
        if not k:
            return pa.nulls(m, TEXTS)
        flat = pa.array(batch.choices).take(pa.array(np.tile(np.arange(k), m)))
        lists = lists_of(np.full(m, k), flat)
    else:
        lists = batch.choices
    return lists if lost is None else pc.if_else(pa.array(lost), pa.nulls(m, lists.type), lists)


def _of_jinja(made: Sequence[Rendered | str | Fault], places: np.ndarray, template: int) -> _Piece:
    kept = [result if isinstance(result, Rendered) else None for result in made]
    reasons = [None if isinstance(r, Rendered) else r.reason if isinstance(r, Fault) else r for r in made]
    return _Piece(
        places,
        template,
        _messages(kept),
        pa.array([one.references if one else None for one in kept], TEXTS),
        pa.array([(one.choices or None) if one else None for one in kept], TEXTS),
        pa.array(reasons, pa.string()),
    )


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


def _left_over(pieces: Sequence[_Piece], first: Compiled, n: int) -> list[_Piece]:
    """Raw rows that every template leaves to the others: a dropped row each, in the name of the first template."""
    met = np.zeros(n, dtype=bool)
    for piece in pieces:
        met[piece.places] = True
    if met.all():
        return []
    places = np.flatnonzero(~met)
    return [_of_jinja([f"{NOT_FOR_THIS} ({first.where})"] * len(places), places, 0)]


# --- the table -------------------------------------------------------------------------------------------------------


def _table(
    pieces: Sequence[_Piece],
    ids: pa.Array,
    carried: Mapping[str, pa.Array],
    templates: Sequence[Template],
    step: str,
) -> tuple[pa.Table, np.ndarray]:
    """Pieces -> rows of SCHEMA, a raw row's together and in the order of the templates."""
    which = np.concatenate([np.full(len(piece.places), piece.template) for piece in pieces]) if pieces else _none()
    places = np.concatenate([piece.places for piece in pieces]) if pieces else _none()
    order = np.lexsort((which, places))
    sorted_already = bool((order[1:] > order[:-1]).all())
    turned = pa.array(order)

    def in_order(arrays: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
        joined = pa.concat_arrays(arrays) if arrays else pa.array([], kind)
        return joined if sorted_already else joined.take(turned)

    own = (
        pa.concat_arrays(
            [
                child_ids(ids.take(pa.array(piece.places)), step=step, template=templates[piece.template].name)
                for piece in pieces
            ]
        )
        if pieces
        else pa.array([], ID)
    )
    which, places = which[order], places[order]
    raw, template = pa.array(places), pa.array(which)
    columns: dict[str, Any] = {name: carried[name].take(raw) for name in CARRIED}
    columns |= {
        "id": own if sorted_already else own.take(turned),
        "parents": pa.ListArray.from_arrays(np.arange(len(places) + 1, dtype=np.int32), ids.take(raw)),
        "template": _by_template([one.name for one in templates], template),
        "task": _by_template([one.task for one in templates], template),
        "variety": pc.coalesce(
            _by_template([one.variety for one in templates], template),
            carried["variety"].take(raw),
            _by_template([one.dataset.variety for one in templates], template),
        ),
        "source": _told("source", [one.dataset.name for one in templates], carried, raw, template),
        "licence": _told("licence", [one.dataset.licence for one in templates], carried, raw, template),
        "messages": in_order([piece.messages for piece in pieces], MESSAGES),
        "references": in_order([piece.references for piece in pieces], TEXTS),
        "choices": in_order([piece.choices for piece in pieces], TEXTS),
        "dropped": in_order([piece.dropped for piece in pieces], pa.string()),
    }
    return conform(columns, where=step), places


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


def _by_template(values: Sequence[str | None], which: pa.Array) -> pa.Array:
    texts = [text or None for text in values]
    if len(set(texts)) == 1:
        return repeated(texts[0], len(which), pa.string())
    return pa.array(texts, pa.string()).take(which)


def _told(
    name: str, values: Sequence[str], carried: Mapping[str, pa.Array], raw: pa.Array, which: pa.Array
) -> pa.Array:
    own = carried[name].take(raw)
    return pc.coalesce(own, _by_template(values, which)) if own.null_count else own


def _woven(rows: pa.Table, places: np.ndarray, prompts: pa.Table) -> pa.Table:
    """Put the raw rows that were dropped before back where they stood; `places` are those of the prompts."""
    before = np.flatnonzero(pc.is_valid(rows.column("dropped")).to_numpy(zero_copy_only=False))
    joined = pa.concat_tables([prompts, rows.take(pa.array(before))])
    place = np.concatenate([places, before])
    return joined.take(pa.array(np.argsort(place, kind="stable")))
