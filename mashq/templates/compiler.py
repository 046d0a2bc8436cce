"""A template as operations on columns: the Jinja that templates really use, a batch of rows at a time.

`columnar(template)` parses a template once; `render_columns(program, table, ...)` walks its syntax tree over Arrow
columns, so that Python is paid once a batch and not once a row. Handled: fields and their parts, answer_choices by
number or name, `if`, loops over lists, `set`, comparisons, and the filters and text methods listed below. The rest
raises `NotColumnar`, and Jinja itself renders the batch; rows on which Jinja would complain or that hold a `|` are *odd*
and go to Jinja one by one. So what comes out is what `rendering.render_row` gives, row by row (the tests hold both
against each other, and `applying` does so again on rows of every batch's first lines).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import xxhash
from jinja2 import nodes

from mashq.templates.columns import (
    SPACE,
    Column,
    Const,
    NotColumnar,
    Parts,
    Record,
    Value,
    as_column,
    by_value,
    choose,
    either,
    flat,
    gather,
    item_at,
    joined,
    leaf,
    lengths_of,
    lists_of,
    merged,
    nulls_of,
    numpy_mask,
    odd_rows,
    offsets_of,
    repeated,
    trimmed,
    truth,
    unique_within,
)
from mashq.templates.rendering import MARK, PIPE, SEPARATOR, Compiled, joined_source
from mashq.templates.sandbox import ATTRIBUTES, LIMITS, Sandbox
from mashq.templates.template import Dialect, Template

__all__ = ["Batch", "Columnar", "columnar", "render_columns"]

UNROLLED = 64  # turns of a loop over a list written in the template
PIECES = 4096  # of one text, after unrolling
GROWTH = 64  # bytes made for one byte of the row, beside what Limits allow
LEAST_GROWTH = 1 << 26


@dataclass(frozen=True)
class Columnar:
    """A template's syntax trees, ready to be walked over columns."""

    template: Template
    sandbox: Sandbox
    body: nodes.Template
    choices: nodes.Template | None
    fixed_choices: tuple[str, ...] | None
    when: nodes.Expr | None
    roles: tuple[str, ...]
    seed: bytes

    @property
    def plain(self) -> bool:
        return self.template.dialect == Dialect.PLAIN


@dataclass(frozen=True)
class Batch:
    """What a template made of n rows. In odd rows the rest means nothing."""

    wanted: np.ndarray  # (n,) bool: rows that `when` keeps
    odd: np.ndarray  # (m,) bool, m = rows wanted
    contents: tuple[pa.Array, ...]  # (m,) texts, one array a role
    reference_counts: np.ndarray  # (m,)
    references: pa.Array  # flat texts
    choices: pa.Array | tuple[str, ...]  # (m,) lists, or the same for all rows
    reasons: np.ndarray | None  # (m,) 0 = kept, 1 = empty prompt, 2 = empty target, 3 + i = empty turn i


@lru_cache(maxsize=4096)
def columnar(ready: Compiled) -> Columnar:
    """Parse for columns. `ready` is the same template compiled for Jinja, so its faults are known to be none."""

    def parse(source: str) -> nodes.Template:
        # Jinja's own tree, without the guards that the sandbox puts in: here nothing is called that can run away.
        return jinja2.Environment._parse(ready.sandbox, source, None, None)

    template = ready.template
    when = None
    if template.when is not None:
        output = parse("{{ (" + template.when + ") }}").body[0]
        assert isinstance(output, nodes.Output) and isinstance(output.nodes[0], nodes.Expr)
        when = output.nodes[0]
    dynamic = ready.choices is not None and template.choices is not None
    return Columnar(
        template=template,
        sandbox=ready.sandbox,
        body=parse(joined_source(template)),
        choices=parse(template.choices or "") if dynamic else None,
        fixed_choices=ready.fixed_choices,
        when=when,
        roles=ready.roles,
        seed=ready.seed,
    )


# --- text in the making ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Many:
    """Texts divided by `|||` that a join of a list writes: (lengths, flat)."""

    lengths: np.ndarray
    values: pa.Array


Piece = str | pa.Array | _Many


class _Text:
    """What a template writes: pieces, cut into segments by the marks between parts and by the template's own `|||`."""

    def __init__(self) -> None:
        self.segments: list[list[Piece]] = [[]]
        self.marks: list[str] = []  # between segments: MARK or SEPARATOR
        self.odd: Any = None
        self.padded: np.ndarray | None = None  # rows whose text has fewer segments than stand here
        self._open = True  # whether what comes next belongs to the last segment in every row

    def data(self, text: str) -> None:
        """A constant of the template, which may hold marks."""
        for i, part in enumerate(text.split(MARK)):
            if i:
                self._cut(MARK)
            for j, piece in enumerate(part.split(SEPARATOR)):
                if j:
                    self._cut(SEPARATOR)
                self.put(piece)

    def put(self, piece: Piece) -> None:
        if isinstance(piece, str) and not piece:
            return
        if not self._open and not (isinstance(piece, str) and not piece.strip()):
            raise NotColumnar("text after a branch that has a ||| which another branch has not")
        last = self.segments[-1]
        if isinstance(piece, str) and last and isinstance(last[-1], str):
            last[-1] += piece
        else:
            last.append(piece)
        if sum(map(len, self.segments)) > PIECES:
            raise NotColumnar(f"a text of more than {PIECES:,} pieces")

    def _cut(self, mark: str) -> None:
        if mark == SEPARATOR and not self._open:
            raise NotColumnar("a ||| after a branch that has one which another branch has not")
        self.marks.append(mark)
        self.segments.append([])
        self._open = True

    def blank(self) -> bool:
        return all(isinstance(piece, str) and not piece.strip() for segment in self.segments for piece in segment)

    def whole(self, n: int) -> pa.Array | str:
        """The one text, which has no marks."""
        if self.marks:
            raise NotColumnar("a ||| inside a loop or a block")
        pieces = self.segments[0]
        if any(isinstance(piece, _Many) for piece in pieces):
            raise NotColumnar("a list joined by ||| inside a loop or a block")
        if all(isinstance(piece, str) for piece in pieces):
            return "".join(pieces)  # type: ignore[arg-type]  # all are str
        return joined(pieces, n)  # type: ignore[arg-type]  # none is _Many

    def branch(self, mask: np.ndarray, yes: _Text, no: _Text, n: int) -> None:
        """Append what an `if` writes: the texts of both branches, chosen by row."""
        for one, condition in ((yes, mask), (no, ~mask)):
            if one.odd is not None:
                self.odd = either(self.odd, one.odd & condition)
            if one.padded is not None:
                self.padded = either(self.padded, one.padded & condition)
        longer, shorter, short_rows = (yes, no, ~mask) if len(yes.marks) >= len(no.marks) else (no, yes, mask)
        if longer.marks[: len(shorter.marks)] != shorter.marks:
            raise NotColumnar("branches whose ||| do not match")
        for i, mark in enumerate(["", *longer.marks]):
            if i:
                self._cut(mark)
            pair = [one.segments[i] if i < len(one.segments) else [] for one in (yes, no)]
            if any(isinstance(piece, _Many) for pieces in pair for piece in pieces):
                raise NotColumnar("a list joined by ||| in a branch")
            if pair[0] == pair[1] and all(isinstance(piece, str) for piece in pair[0]):
                for piece in pair[0]:
                    self.put(piece)
                continue
            first, second = (joined(pieces, n) for pieces in pair)  # type: ignore[arg-type]  # none is _Many
            self.put(pc.if_else(pa.array(mask), first, second))
        self._open = yes._open and no._open
        if len(shorter.marks) < len(longer.marks):
            self.padded = either(self.padded, short_rows)
            self._open = False


# --- the walk --------------------------------------------------------------------------------------------------------


@dataclass
class _Loop:
    """The variable `loop`: place in the list and length of the list, one value a turn."""

    index: Any
    length: Any


@dataclass
class _Scope:
    """Names and their values over n rows; inside a loop, over the turns of all rows."""

    program: Columnar
    n: int
    names: dict[str, Any]
    ids: list[bytes] | None  # for choices; None inside branches and loops, where the count of draws differs by row
    draws: list[int] = field(default_factory=lambda: [0])
    outer: _Scope | None = None
    owner: np.ndarray | None = None  # (n,) the outer row of each turn

    def find(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if self.outer is None:
            raise NotColumnar(f"the name '{name}'")
        value = _spread(self.outer.find(name), self.owner)
        self.names[name] = value
        return value

    def inner(self) -> _Scope:
        """The same rows; what is set inside is not seen outside, and nothing is drawn."""
        return _Scope(self.program, self.n, dict(self.names), None, self.draws, self.outer, self.owner)


def _spread(value: Any, owner: np.ndarray | None) -> Any:
    """A value of the outer rows, repeated for the turns of each."""
    if owner is None or isinstance(value, (Const, _Loop)):
        return value
    if isinstance(value, Column):
        return Column(value.data.take(pa.array(owner)), None if value.odd is None else value.odd[owner])
    if isinstance(value, Parts):
        return Parts(tuple(_spread(item, owner) for item in value.items))
    return Record({key: _spread(item, owner) for key, item in value.items.items()})


def _write(body: Sequence[nodes.Node], scope: _Scope, out: _Text) -> None:
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                if isinstance(part, nodes.TemplateData):
                    out.data(part.data)
                else:
                    _write_value(part, scope, out)
        elif isinstance(node, nodes.If):
            _write_if(node, scope, out)
        elif isinstance(node, nodes.For):
            _write_for(node, scope, out)
        elif isinstance(node, nodes.Assign):
            if not isinstance(node.target, nodes.Name):
                raise NotColumnar("set of several names")
            scope.names[node.target.name] = _value(node.node, scope)
        elif isinstance(node, nodes.AssignBlock) and isinstance(node.target, nodes.Name) and node.filter is None:
            block = _Text()
            _write(node.body, scope, block)
            text = block.whole(scope.n)
            scope.names[node.target.name] = (
                Const(text) if isinstance(text, str) and block.odd is None else _column(text, scope.n, block.odd)
            )
        elif isinstance(node, nodes.With):
            inner = scope.inner()
            inner.ids = scope.ids
            for target, given in zip(node.targets, node.values, strict=True):
                if not isinstance(target, nodes.Name):
                    raise NotColumnar("with of several names")
                inner.names[target.name] = _value(given, scope)
            _write(node.body, inner, out)
        else:
            raise NotColumnar(f"{type(node).__name__.lower()}")


def _column(text: pa.Array | str, n: int, odd: Any) -> Column:
    return Column(repeated(text, n, pa.string()) if isinstance(text, str) else text, odd)


def _write_value(node: nodes.Expr, scope: _Scope, out: _Text) -> None:
    if (
        isinstance(node, nodes.Filter)
        and node.name == "join"
        and len(node.args) == 1
        and isinstance(node.args[0], nodes.Const)
        and isinstance(node.args[0].value, str)
        and SEPARATOR in node.args[0].value
    ):
        if node.args[0].value.strip() != SEPARATOR or node.kwargs or node.node is None:
            raise NotColumnar("a list joined by a text around |||")
        listed = _value(node.node, scope)
        if isinstance(listed, Parts):
            for i, item in enumerate(listed.items):
                if i:
                    out.data(SEPARATOR)
                _put(_text(item, scope), out)
            return
        if not isinstance(listed, Column) or not pt.is_list(listed.data.type):
            raise NotColumnar("a join of what is no list")
        values = flat(listed.data)
        text = _text(Column(values), scope)
        lengths = lengths_of(listed.data)
        odd = either(listed.odd, nulls_of(listed.data), _of_owner(nulls_of(values), lengths), _zero(lengths))
        out.odd = either(out.odd, odd)
        assert isinstance(text, Column)
        out.put(_Many(lengths, text.data))
        return
    _put(_text(_value(node, scope), scope), out)


def _zero(lengths: np.ndarray) -> np.ndarray | None:
    return None if lengths.all() else lengths == 0


def _of_owner(odd: np.ndarray | None, lengths: np.ndarray) -> np.ndarray | None:
    """Odd items -> the rows whose lists hold them."""
    if odd is None:
        return None
    rows = np.zeros(len(lengths), dtype=bool)
    rows[np.repeat(np.arange(len(lengths)), lengths)[odd]] = True
    return rows


def _put(text: Value, out: _Text) -> None:
    if isinstance(text, Const):
        if SEPARATOR in text.value or MARK in text.value:
            out.data(text.value)
        else:
            out.put(text.value)
        return
    assert isinstance(text, Column)
    out.odd = either(out.odd, text.odd)
    out.put(text.data)


def _write_if(node: nodes.If, scope: _Scope, out: _Text) -> None:
    chain = [(node.test, node.body), *((each.test, each.body) for each in node.elif_)]
    _write_chain(chain, node.else_, scope, out)


def _write_chain(
    chain: Sequence[tuple[nodes.Expr, Sequence[nodes.Node]]],
    rest: Sequence[nodes.Node],
    scope: _Scope,
    out: _Text,
) -> None:
    if not chain:
        _write(rest, scope, out)
        return
    (test, body), *others = chain
    mask, odd = _truth(test, scope)
    out.odd = either(out.odd, odd)
    if mask is True or (isinstance(mask, np.ndarray) and mask.all() and odd is None):
        _write(body, scope, out)
        return
    if mask is False or (isinstance(mask, np.ndarray) and not mask.any() and odd is None):
        _write_chain(others, rest, scope, out)
        return
    assert isinstance(mask, np.ndarray)
    texts, scopes = (_Text(), _Text()), (scope.inner(), scope.inner())
    _write(body, scopes[0], texts[0])
    _write_chain(others, rest, scopes[1], texts[1])
    out.branch(mask, *texts, scope.n)
    for name in dict.fromkeys([*scopes[0].names, *scopes[1].names]):
        first, second = (each.names.get(name) for each in scopes)
        if first is second:
            scope.names[name] = first
        elif first is not None and second is not None and not isinstance(first, _Loop):
            scope.names[name] = merged(mask, first, second, scope.n)
        elif name in scope.names:
            continue  # found while one branch was walked: it is the outer one
        elif scope.outer is None:
            known, missing = (first, ~mask) if first is not None else (second, mask)
            if known is None or isinstance(known, (_Loop, Parts, Record)):
                raise NotColumnar("a list set in one branch only")
            one = as_column(known, scope.n)
            scope.names[name] = Column(one.data, either(one.odd, missing))


def _write_for(node: nodes.For, scope: _Scope, out: _Text) -> None:
    if node.recursive:
        raise NotColumnar("a loop that calls itself")
    over = _value(node.iter, scope, zipped=True)
    if isinstance(over, Const) and isinstance(over.value, range):
        over = Parts(tuple(Const(i) for i in over.value[: UNROLLED + 1]))
    if isinstance(over, Parts):
        if len(over.items) > UNROLLED or node.test is not None or node.else_:
            raise NotColumnar(f"a written list of more than {UNROLLED} items, or one with a condition")
        for i, item in enumerate(over.items):
            turn = scope.inner()
            turn.names["loop"] = _Loop(Const(i), Const(len(over.items)))
            _bind(node.target, item, turn)
            _write(node.body, turn, out)
        return
    columns = over.columns if isinstance(over, _Zip) else (over,)
    if not all(isinstance(each, Column) and pt.is_list(each.data.type) for each in columns):
        raise NotColumnar("a loop over what is no list")
    lengths = lengths_of(columns[0].data)
    odd = None
    for each in columns:
        odd = either(odd, each.odd, nulls_of(each.data))
        if each is not columns[0]:
            other = lengths_of(each.data)
            if not np.array_equal(other, lengths):
                raise NotColumnar("a zip of lists that are not equally long")
    owner = np.repeat(np.arange(scope.n), lengths)
    items = [Column(flat(each.data)) for each in columns]
    turn = _Scope(scope.program, len(owner), {}, None, scope.draws, scope, owner)
    _bind(node.target, items[0] if not isinstance(over, _Zip) else Parts(tuple(items)), turn)
    if node.test is not None:
        mask, strange = _truth(node.test, turn)
        odd = either(odd, _of_owner(strange, lengths))
        keep = np.broadcast_to(np.asarray(mask), owner.shape)
        place = np.flatnonzero(keep)
        owner = owner[keep]
        lengths = np.bincount(owner, minlength=scope.n)
        turn = _Scope(scope.program, len(owner), {}, None, scope.draws, scope, owner)
        items = [Column(each.data.take(pa.array(place))) for each in items]
        _bind(node.target, items[0] if not isinstance(over, _Zip) else Parts(tuple(items)), turn)
    index = np.arange(len(owner)) - np.repeat(offsets_of(lengths)[:-1], lengths)
    turn.names["loop"] = _Loop(Column(pa.array(index)), Column(pa.array(lengths[owner])))
    text = _Text()
    _write(node.body, turn, text)
    whole = _column(text.whole(turn.n), turn.n, text.odd)
    out.odd = either(out.odd, odd, _of_owner(whole.odd, lengths))
    turns = pc.binary_join(lists_of(lengths, whole.data), "")
    if node.else_ and not lengths.all():
        text = _Text()
        _write(node.else_, scope.inner(), text)
        other = _column(text.whole(scope.n), scope.n, text.odd)
        out.odd = either(out.odd, None if other.odd is None else other.odd & (lengths == 0))
        turns = pc.if_else(pa.array(lengths > 0), turns, other.data)
    out.put(turns)


def _bind(target: nodes.Expr, value: Value, scope: _Scope) -> None:
    if isinstance(target, nodes.Name):
        scope.names[target.name] = value
    elif isinstance(target, nodes.Tuple) and isinstance(value, Parts) and len(value.items) == len(target.items):
        for each, item in zip(target.items, value.items, strict=True):
            _bind(each, item, scope)
    else:
        raise NotColumnar("a loop over several names")


# --- expressions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Zip:
    """What `zip(a, b)` gives, which only a loop can use."""

    columns: tuple[Column, ...]


def _value(node: nodes.Expr | None, scope: _Scope, zipped: bool = False) -> Any:
    """The value of an expression over the rows of the scope."""
    assert node is not None
    kind = type(node)
    if kind is nodes.Call and zipped and _is_zip(node, scope):
        given = tuple(_value(each, scope) for each in node.args)  # type: ignore[attr-defined]
        if all(isinstance(each, Column) for each in given):
            return _Zip(given)
        raise NotColumnar("zip of written lists")
    handler = _EXPRESSIONS.get(kind)
    if handler is None:
        raise NotColumnar(kind.__name__.lower())
    return handler(node, scope)


def _is_zip(node: Any, scope: _Scope) -> bool:
    named = isinstance(node.node, nodes.Name) and node.node.name == "zip" and not node.kwargs
    return named and bool(node.args) and not _knows(scope, "zip")


def _knows(scope: _Scope, name: str) -> bool:
    try:
        scope.find(name)
    except NotColumnar:
        return False
    return True


def _const(node: Any, scope: _Scope) -> Value:
    return Const(node.value)


def _name(node: Any, scope: _Scope) -> Value:
    value = scope.find(node.name)
    if isinstance(value, _Loop):
        raise NotColumnar("loop as a value")
    return value  # type: ignore[no-any-return]


def _list(node: Any, scope: _Scope) -> Value:
    return Parts(tuple(_value(item, scope) for item in node.items))


def _dict(node: Any, scope: _Scope) -> Value:
    made: dict[Any, Value] = {}
    for pair in node.items:
        key = _value(pair.key, scope)
        if not isinstance(key, Const):
            raise NotColumnar("a record with keys from the row")
        made[key.value] = _value(pair.value, scope)
    return Record(made)


def _getattr(node: Any, scope: _Scope) -> Value:
    if isinstance(node.node, nodes.Name) and node.node.name == "loop":
        return _loop_part(scope.find("loop"), node.attr)
    owner = _owner(node.node, scope)
    if owner is None:
        return scope.find(node.attr)  # type: ignore[no-any-return]  # row.field
    if isinstance(owner, Column) and pt.is_struct(owner.data.type):
        if not scope.program.plain and node.attr in ATTRIBUTES[dict]:
            raise NotColumnar(f"a field named as the method {node.attr}")
        return _field(owner, node.attr)
    raise NotColumnar(f".{node.attr} of what is no record")


def _owner(node: nodes.Expr, scope: _Scope) -> Any:
    """The value, or None for the record `row` of all fields."""
    if isinstance(node, nodes.Name) and node.name == "row" and "row" not in _top(scope).names:
        return None
    return _value(node, scope)


def _top(scope: _Scope) -> _Scope:
    while scope.outer is not None:
        scope = scope.outer
    return scope


def _loop_part(loop: Any, name: str) -> Value:
    if not isinstance(loop, _Loop):
        raise NotColumnar("loop outside of a loop")
    index, length = loop.index, loop.length
    if isinstance(index, Const):
        i, n = index.value, length.value
        known = {"index": i + 1, "index0": i, "first": i == 0, "last": i == n - 1, "length": n}
        known |= {"revindex": n - i, "revindex0": n - i - 1}
        if name not in known:
            raise NotColumnar(f"loop.{name}")
        return Const(known[name])
    i, n = index.data, length.data
    made: dict[str, Callable[[], pa.Array]] = {
        "index": lambda: pc.add(i, 1),
        "index0": lambda: i,
        "first": lambda: pc.equal(i, 0),
        "last": lambda: pc.equal(pc.add(i, 1), n),
        "length": lambda: n,
        "revindex": lambda: pc.subtract(n, i),
        "revindex0": lambda: pc.subtract(pc.subtract(n, i), 1),
    }
    if name not in made:
        raise NotColumnar(f"loop.{name}")
    return Column(made[name]())


def _field(owner: Column, name: str) -> Column:
    kind = owner.data.type
    if kind.get_field_index(name) < 0:
        raise NotColumnar(f"the field '{name}', which the record has not")
    return Column(leaf(pc.struct_field(owner.data, name)), either(owner.odd, nulls_of(owner.data)))


def _getitem(node: Any, scope: _Scope) -> Value:
    owner = _owner(node.node, scope)
    if isinstance(node.arg, nodes.Slice):
        return _slice(owner, node.arg, scope)
    index = _value(node.arg, scope)
    if owner is None:
        if isinstance(index, Const) and isinstance(index.value, str):
            return scope.find(index.value)  # type: ignore[no-any-return]
        raise NotColumnar("row[…] by a value of the row")
    if isinstance(owner, Record):
        return _of_record(owner, index, scope)
    if isinstance(owner, Parts):
        return _of_parts(owner, index, scope)
    if not isinstance(owner, Column):
        raise NotColumnar("a part of a constant")
    kind = owner.data.type
    if pt.is_struct(kind) and isinstance(index, Const) and isinstance(index.value, str):
        return _field(owner, index.value)
    whole = isinstance(index, Const) and isinstance(index.value, int) and not isinstance(index.value, bool)
    if pt.is_list(kind):
        if whole:
            return item_at(owner, index.value)  # type: ignore[union-attr]
        if isinstance(index, Column) and pt.is_integer(index.data.type):
            places = index.data.fill_null(-(2**31)).to_numpy()
            made = item_at(owner, places)
            return Column(made.data, either(made.odd, index.odd, nulls_of(index.data)))
    if pt.is_string(kind) and whole:
        at = index.value  # type: ignore[union-attr]
        letter = pc.utf8_slice_codeunits(owner.data, at, None if at == -1 else at + 1)
        missing = numpy_mask(pc.fill_null(pc.equal(letter, ""), True))
        if at < -1:  # a shorter text has no such letter, and Arrow's slice starts at its first
            missing |= numpy_mask(pc.fill_null(pc.less(pc.utf8_length(owner.data), -at), True))
        return Column(letter, either(owner.odd, missing if missing.any() else None))
    raise NotColumnar("a part of this value")


def _of_record(owner: Record, index: Value, scope: _Scope) -> Value:
    if isinstance(index, Const):
        if index.value not in owner.items:
            raise NotColumnar("a key that the record has not")
        return owner.items[index.value]
    if not isinstance(index, Column):
        raise NotColumnar("a list as a key")
    kinds = {type(key) for key in owner.items}
    data = index.data
    fits = {str: pt.is_string, int: pt.is_integer, bool: pt.is_boolean}
    if len(kinds) != 1 or not kinds <= set(fits) or not fits[next(iter(kinds))](data.type):
        raise NotColumnar("keys of another type than the value")
    place = pc.fill_null(pc.index_in(data, value_set=pa.array(list(owner.items), data.type)), -1).to_numpy()
    return choose(place, tuple(owner.items.values()), scope.n, index.odd)


def _of_parts(owner: Parts, index: Value, scope: _Scope) -> Value:
    n = len(owner.items)
    if isinstance(index, Const) and isinstance(index.value, int):
        if not -n <= index.value < n:
            raise NotColumnar("an index outside of the list")
        return owner.items[index.value]
    if not isinstance(index, Column) or not (pt.is_integer(index.data.type) or pt.is_boolean(index.data.type)):
        raise NotColumnar("an index that is no whole number")
    place = index.data.cast(pa.int64()).fill_null(-n - 1).to_numpy()
    return choose(np.where(place < 0, np.where(place < -n, -1, place + n), place), owner.items, scope.n, index.odd)


def _slice(owner: Any, node: nodes.Slice, scope: _Scope) -> Value:
    bounds = []
    for bound in (node.start, node.stop):
        value = Const(None) if bound is None else _value(bound, scope)
        if not isinstance(value, Const) or not (value.value is None or type(value.value) is int):
            raise NotColumnar("a slice by a value of the row")
        bounds.append(value.value)
    if node.step is not None:
        raise NotColumnar("a slice with a step")
    start, stop = bounds
    if isinstance(owner, Parts):
        return Parts(owner.items[start:stop])
    if isinstance(owner, Column) and pt.is_list(owner.data.type):
        return gather(owner, start, stop)
    if isinstance(owner, Column) and pt.is_string(owner.data.type):
        if stop == 0:
            raise NotColumnar("a slice of nothing")
        cut = pc.utf8_slice_codeunits(owner.data, start or 0, stop)
        return Column(cut, either(owner.odd, nulls_of(owner.data)))
    raise NotColumnar("a slice of this value")


# --- text of a value -------------------------------------------------------------------------------------------------


def _text(value: Value, scope: _Scope) -> Const | Column:
    """What `{{ value }}` writes."""
    absent = "" if scope.program.plain else "None"
    if isinstance(value, Const):
        if value.value is None:
            return Const(absent)
        if isinstance(value.value, (str, bool, int, float)):
            return Const(str(value.value))
        raise NotColumnar("a constant that is no text")
    if not isinstance(value, Column):
        raise NotColumnar("a list or record written out")
    data = _as_text(value.data)
    return Column(data.fill_null(absent) if data.null_count else data, value.odd)


def _as_text(data: pa.Array) -> pa.Array:
    """Texts, numbers and truths as Python's `str` has them; null stays null."""
    if pt.is_string(data.type):
        return data
    if pt.is_null(data.type):
        return pa.nulls(len(data), pa.string())
    if pt.is_integer(data.type):
        return data.cast(pa.string())
    if pt.is_boolean(data.type):
        return pc.if_else(data, "True", "False")
    if pt.is_floating(data.type):
        return by_value(data, str, pa.string())
    raise NotColumnar(f"{data.type} written out")


def _string(value: Value, what: str) -> Column | Const:
    """A text; where it is None, which has no methods, the row is odd."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return value
    if isinstance(value, Column) and pt.is_string(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    raise NotColumnar(f"{what} of what is no text")


# --- conditions ------------------------------------------------------------------------------------------------------


def _truth(node: nodes.Expr | None, scope: _Scope) -> tuple[np.ndarray | bool, Any]:
    """Whether an expression is true, row by row: its parts may be of any types, for none of them is written."""
    if isinstance(node, nodes.Not):
        mask, odd = _truth(node.node, scope)
        return (~mask if isinstance(mask, np.ndarray) else not mask), odd
    if isinstance(node, (nodes.And, nodes.Or)):
        stops = isinstance(node, nodes.Or)
        mask, odd = _truth(node.left, scope)
        if isinstance(mask, bool) and odd is None:
            return (mask, None) if mask == stops else _truth(node.right, scope)
        first = np.broadcast_to(np.asarray(mask), (scope.n,))
        other, strange = _truth(node.right, scope.inner())
        asked = ~first if stops else first
        second = np.broadcast_to(np.asarray(other), (scope.n,))
        strange = None if strange is None else strange & asked
        return (first | second if stops else first & second), either(odd, strange)
    return truth(_value(node, scope), scope.n)


def _said(mask: np.ndarray | bool, odd: Any) -> Value:
    if isinstance(mask, np.ndarray):
        return Column(pa.array(mask), odd)
    return Const(mask) if odd is None else Column(pa.array(np.full(len(odd), mask)), odd)


def _not(node: Any, scope: _Scope) -> Value:
    mask, odd = _truth(node.node, scope)
    return _said(~mask if isinstance(mask, np.ndarray) else not mask, odd)


def _and(node: Any, scope: _Scope) -> Value:
    return _both(node, scope, stops=False)


def _or(node: Any, scope: _Scope) -> Value:
    return _both(node, scope, stops=True)


def _both(node: Any, scope: _Scope, stops: bool) -> Value:
    """`a and b`, `a or b`: the value that decides, as in Python; the second is asked only where the first does not."""
    first = _value(node.left, scope)
    mask, odd = truth(first, scope.n)
    if isinstance(mask, bool) and odd is None:
        return first if mask == stops else _value(node.right, scope)  # type: ignore[no-any-return]
    second = _value(node.right, scope.inner())
    mask = np.broadcast_to(np.asarray(mask), (scope.n,))
    made = merged(mask, first, second, scope.n) if stops else merged(mask, second, first, scope.n)
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


def _cond(node: Any, scope: _Scope) -> Value:
    mask, odd = _truth(node.test, scope)
    if isinstance(mask, bool) and odd is None:
        if not mask and node.expr2 is None:
            raise NotColumnar("an `if` without `else`, where it is false")
        return _value(node.expr1 if mask else node.expr2, scope)  # type: ignore[no-any-return]
    mask = np.broadcast_to(np.asarray(mask), (scope.n,))
    if node.expr2 is None:  # where it is false there is no value, of which Jinja decides
        column = as_column(_value(node.expr1, scope.inner()), scope.n)
        return Column(column.data, either(None if column.odd is None else column.odd & mask, odd, ~mask))
    made = merged(mask, _value(node.expr1, scope.inner()), _value(node.expr2, scope.inner()), scope.n)
    if odd is None:
        return made
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


def _compare(node: Any, scope: _Scope) -> Value:
    left = _value(node.expr, scope)
    made: Value | None = None
    for operand in node.ops:
        right = _value(operand.expr, scope if made is None else scope.inner())
        one = _compared(operand.op, left, right, scope)
        if made is None:
            made = one
        else:
            first, odd = truth(made, scope.n)
            second, strange = truth(one, scope.n)
            if strange is not None:
                strange = strange & first
            mask = np.broadcast_to(np.asarray(first), (scope.n,)) & second
            made = _said(mask, either(odd, strange))
        left = right
    assert made is not None
    return made


_ORDER: dict[str, Callable[..., pa.Array]] = {
    "lt": pc.less,
    "lteq": pc.less_equal,
    "gt": pc.greater,
    "gteq": pc.greater_equal,
}


def _compared(op: str, left: Value, right: Value, scope: _Scope) -> Value:
    if op in ("ne", "notin"):
        mask, odd = truth(_compared("eq" if op == "ne" else "in", left, right, scope), scope.n)
        return _said(~mask if isinstance(mask, np.ndarray) else not mask, odd)
    if op == "in":
        return _contained(left, right, scope)
    if isinstance(left, Const) and isinstance(right, Const):
        if op == "eq":
            return Const(left.value == right.value)
        raise NotColumnar("an order of constants")
    if not isinstance(left, (Const, Column)) or not isinstance(right, (Const, Column)):
        raise NotColumnar("a comparison of lists")
    first, second = as_column(left, scope.n), as_column(right, scope.n)
    odd = either(first.odd, second.odd)
    numbers = [
        pt.is_integer(each.data.type) or pt.is_floating(each.data.type) or pt.is_boolean(each.data.type)
        for each in (first, second)
    ]
    if op == "eq":
        return _equal(first, second, numbers, odd)
    if not all(numbers) or any(pt.is_boolean(each.data.type) for each in (first, second)):
        raise NotColumnar("an order of what are no numbers")
    said = _ORDER[op](first.data, second.data)
    return _said(numpy_mask(pc.fill_null(said, False)), either(odd, nulls_of(first.data), nulls_of(second.data)))


def _equal(first: Column, second: Column, numbers: Sequence[bool], odd: Any) -> Value:
    n = len(first.data)
    both_null = pc.and_(first.data.is_null(), second.data.is_null())
    kinds = [each.data.type for each in (first, second)]
    if any(pt.is_null(kind) for kind in kinds):
        return _said(numpy_mask(both_null), odd)
    if all(pt.is_string(kind) for kind in kinds) or (kinds[0] == kinds[1] and all(numbers)):
        same = pc.equal(first.data, second.data)
    elif all(numbers):
        if any(pt.is_floating(kind) for kind in kinds) and any(pt.is_integer(kind) for kind in kinds):
            whole = first.data if pt.is_integer(kinds[0]) else second.data
            if len(whole) and pc.max(pc.abs(whole)).as_py() not in range(2**53):
                raise NotColumnar("a whole number that a float does not hold")
        cast = [each.data.cast(pa.int64()) if pt.is_boolean(each.data.type) else each.data for each in (first, second)]
        same = pc.equal(*cast)
    elif any(pt.is_list(kind) or pt.is_struct(kind) for kind in kinds):
        raise NotColumnar("a comparison of lists")
    else:
        same = repeated(False, n)
    return _said(numpy_mask(pc.or_(pc.fill_null(same, False), both_null)), odd)


def _contained(item: Value, owner: Value, scope: _Scope) -> Value:
    if isinstance(owner, Record):
        owner = Parts(tuple(Const(key) for key in owner.items))
    if isinstance(owner, Parts):
        mask: Any = False
        odd = None
        for each in owner.items:
            said, strange = truth(_compared("eq", item, each, scope), scope.n)
            mask, odd = mask | np.asarray(said), either(odd, strange)
        return _said(np.broadcast_to(mask, (scope.n,)).copy(), odd)
    if isinstance(owner, Const) and isinstance(owner.value, str):
        if isinstance(item, Const):
            return Const(item.value in owner.value)
        text = _string(item, "in")
        assert isinstance(text, Column)
        inside = by_value(text.data, lambda value: value in owner.value, pa.bool_())
        return _said(numpy_mask(pc.fill_null(inside, False)), text.odd)
    if isinstance(owner, Column) and pt.is_list(owner.data.type):
        lengths = lengths_of(owner.data)
        rows = np.repeat(np.arange(scope.n), lengths)
        inner = _Scope(scope.program, len(rows), {}, None)
        hit, strange = truth(_compared("eq", _spread(item, rows), Column(flat(owner.data)), inner), inner.n)
        inside = _of_owner(np.broadcast_to(np.asarray(hit), (inner.n,)), lengths)
        odd = item.odd if isinstance(item, Column) else None
        assert inside is not None
        return _said(inside, either(owner.odd, odd, nulls_of(owner.data), _of_owner(strange, lengths)))
    text = _string(owner, "in")
    assert isinstance(text, Column)
    if isinstance(item, Const) and isinstance(item.value, str):
        return _said(numpy_mask(pc.fill_null(pc.match_substring(text.data, item.value), False)), text.odd)
    part = _string(item, "in")
    assert isinstance(part, Column)
    pairs = zip(part.data.fill_null("").to_pylist(), text.data.fill_null("").to_pylist(), strict=True)
    return _said(np.fromiter((a in b for a, b in pairs), dtype=bool, count=scope.n), either(part.odd, text.odd))


def _test(node: Any, scope: _Scope) -> Value:
    if node.name in ("defined", "undefined"):
        if not isinstance(node.node, nodes.Name):
            raise NotColumnar("whether a part is defined")
        try:
            value = scope.find(node.node.name)
        except NotColumnar:
            if node.node.name in scope.program.sandbox.globals or node.node.name == "row":
                raise
            return Const(node.name == "undefined")
        odd = value.odd if isinstance(value, Column) else None
        return _said(node.name == "defined", odd)
    if node.name in ("none", "eq", "equalto", "==", "ne", "!=", "in"):
        value = _value(node.node, scope)
        if node.name == "none":
            return _compared("eq", value, Const(None), scope)
        op = {"equalto": "eq", "==": "eq", "!=": "ne"}.get(node.name, node.name)
        return _compared(op, value, _value(node.args[0], scope), scope)
    if node.name in ("string", "number"):
        value = as_column(_value(node.node, scope), scope.n)
        kind = value.data.type
        fits = pt.is_string(kind) if node.name == "string" else not (pt.is_string(kind) or pt.is_null(kind))
        if pt.is_list(kind) or pt.is_struct(kind):
            fits = False
        return _said(numpy_mask(value.data.is_valid()) & fits, value.odd)
    raise NotColumnar(f"the test '{node.name}'")


# --- numbers and joined texts ----------------------------------------------------------------------------------------


def _concat(node: Any, scope: _Scope) -> Value:
    return _strung([_text(_joinable(_value(each, scope)), scope) for each in node.nodes], scope)


def _joinable(value: Value) -> Value:
    """`~` and join write None as "None" in both dialects, unlike `{{ … }}`: such rows are odd."""
    if isinstance(value, Column) and value.data.null_count:
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    if isinstance(value, Const) and value.value is None:
        raise NotColumnar("None in a joined text")
    return value


def _strung(texts: Sequence[Const | Column], scope: _Scope) -> Value:
    if all(isinstance(each, Const) for each in texts):
        return Const("".join(each.value for each in texts))  # type: ignore[union-attr]
    odd = None
    for each in texts:
        odd = either(odd, each.odd) if isinstance(each, Column) else odd
    pieces = [each.value if isinstance(each, Const) else each.data for each in texts]
    made = joined([piece for piece in pieces if not (isinstance(piece, str) and not piece)], scope.n)
    _modest(made, scope)
    return Column(made, odd)


def _modest(made: pa.Array, scope: _Scope) -> None:
    """Text that doubles and doubles is left to Jinja, whose budget ends it."""
    if made.nbytes > LEAST_GROWTH + GROWTH * scope.n * 1024:
        raise NotColumnar("a text that grows without end")


def _add(node: Any, scope: _Scope) -> Value:
    left, right = _value(node.left, scope), _value(node.right, scope)
    if isinstance(left, Parts) and isinstance(right, Parts):
        return Parts(left.items + right.items)
    if isinstance(left, Const) and isinstance(right, Const):
        if type(left.value) is type(right.value) and isinstance(left.value, (str, int, float)):
            return Const(left.value + right.value)
        raise NotColumnar("a sum of constants of two types")
    if any(isinstance(each, Const) and isinstance(each.value, str) for each in (left, right)) or (
        isinstance(left, Column) and pt.is_string(left.data.type)
    ):
        return _strung([_string(left, "+"), _string(right, "+")], scope)
    return _arithmetic(pc.add_checked, left, right, scope)


def _sub(node: Any, scope: _Scope) -> Value:
    return _arithmetic(pc.subtract_checked, _value(node.left, scope), _value(node.right, scope), scope)


def _arithmetic(function: Callable[..., pa.Array], left: Value, right: Value, scope: _Scope) -> Value:
    first, second = as_column(left, scope.n), as_column(right, scope.n)
    if first.data.type != second.data.type or not pt.is_integer(first.data.type):
        raise NotColumnar("arithmetic of what are no whole numbers")
    odd = either(first.odd, second.odd, nulls_of(first.data), nulls_of(second.data))
    try:
        return Column(function(first.data, second.data), odd)
    except pa.ArrowInvalid as error:
        raise NotColumnar("a number of more than 64 bits") from error


def _mul(node: Any, scope: _Scope) -> Value:
    return _arithmetic(pc.multiply_checked, _value(node.left, scope), _value(node.right, scope), scope)


def _divided(function: Callable[..., np.ndarray]) -> Callable[[Any, _Scope], Value]:
    """`//` and `%` of whole numbers, rounded down as in Python; a row that divides by zero is odd."""

    def made(node: Any, scope: _Scope) -> Value:
        first, second = (as_column(_value(each, scope), scope.n) for each in (node.left, node.right))
        if not pt.is_integer(first.data.type) or not pt.is_integer(second.data.type):
            raise NotColumnar("a division of what are no whole numbers")
        by = second.data.fill_null(0).to_numpy()
        zero = by == 0
        quotient = function(first.data.fill_null(0).to_numpy(), np.where(zero, 1, by))
        odd = either(first.odd, second.odd, nulls_of(first.data), zero if zero.any() else None)
        return Column(pa.array(quotient, pa.int64()), odd)

    return made


def _neg(node: Any, scope: _Scope) -> Value:
    value = _value(node.node, scope)
    if isinstance(value, Const) and isinstance(value.value, (int, float)):
        return Const(-value.value)
    raise NotColumnar("minus a value of the row")


# --- methods and filters ---------------------------------------------------------------------------------------------


def _call(node: Any, scope: _Scope) -> Value:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise NotColumnar("a call with named arguments")
    if isinstance(node.node, nodes.Name):
        return _function(node, scope)
    if not isinstance(node.node, nodes.Getattr):
        raise NotColumnar("a call")
    method, owner = node.node.attr, _value(node.node.node, scope)
    if isinstance(owner, Record) and method == "get" and len(node.args) == 2:
        key, other = (_value(each, scope) for each in node.args)
        found = _of_record(owner, key, scope) if isinstance(key, Column) else None
        if not isinstance(found, Column) or not isinstance(key, Column):
            raise NotColumnar("get by a constant")
        missing = numpy_mask(pc.fill_null(pc.is_in(key.data, value_set=pa.array(list(owner.items), key.data.type)), False))
        bare = Column(found.data, key.odd)
        return merged(missing, bare, other, scope.n)
    given = [_value(each, scope) for each in node.args]
    if method == "join" and isinstance(owner, Const) and len(given) == 1:
        return _join(given[0], owner, scope, strict=True)
    args = [each.value for each in given if isinstance(each, Const)]
    if len(args) < len(given):
        raise NotColumnar(f".{method}() by a value of the row")
    return _method(owner, method, args, scope)


def _function(node: Any, scope: _Scope) -> Value:
    name = node.node.name
    if _knows(scope, name):
        raise NotColumnar("a call of a value")
    if name == "range":
        bounds = [_value(each, scope) for each in node.args]
        if bounds and all(isinstance(each, Const) and type(each.value) is int for each in bounds):
            return Const(range(*(each.value for each in bounds)))
        start, stop = bounds if len(bounds) == 2 else (Const(0), bounds[0])
        if len(bounds) <= 2 and isinstance(start, Const) and type(start.value) is int and isinstance(stop, Column):
            if not pt.is_integer(stop.data.type):
                raise NotColumnar("range of what is no whole number")
            lengths = np.maximum(stop.data.fill_null(0).to_numpy() - start.value, 0)
            many = lengths > LIMITS.range
            lengths = np.where(many, 0, lengths)
            numbers = np.arange(int(lengths.sum())) - np.repeat(offsets_of(lengths)[:-1], lengths) + start.value
            odd = either(stop.odd, nulls_of(stop.data), many if many.any() else None)
            return Column(lists_of(lengths, pa.array(numbers, pa.int64())), odd)
        raise NotColumnar("range of values of the row")
    if name == "choice" and len(node.args) == 1:
        return _drawn(_value(node.args[0], scope), scope)
    raise NotColumnar(f"{name}()")


_PURE = ATTRIBUTES[str] - {"format", "join", "replace"}


def _method(owner: Value, method: str, args: list[Any], scope: _Scope) -> Value:
    """A method of text with constant arguments."""
    text = _string(owner, f".{method}()")
    if method not in _PURE | {"replace"}:
        raise NotColumnar(f".{method}()")
    if isinstance(text, Const):
        made = getattr(text.value, method)(*args)
        return Parts(tuple(map(Const, made))) if isinstance(made, (list, tuple)) else Const(made)
    return Column(_method_of(text.data, method, args), text.odd)


_TRIM = {"strip": pc.utf8_trim, "lstrip": pc.utf8_ltrim, "rstrip": pc.utf8_rtrim}


def _method_of(data: pa.Array, method: str, args: list[Any]) -> pa.Array:
    if method in _TRIM and len(args) <= 1 and all(isinstance(each, str) for each in args):
        return _TRIM[method](data, characters=args[0] if args else SPACE)
    if method == "replace":
        if len(args) == 2 and all(isinstance(each, str) for each in args) and args[0]:
            return pc.replace_substring(data, args[0], args[1])
        raise NotColumnar(".replace() of nothing, or counted")
    if method == "split" and len(args) in (1, 2) and isinstance(args[0], str) and args[0]:
        most = args[1] if len(args) == 2 else -1
        if not isinstance(most, int) or most == 0:
            raise NotColumnar(".split() into one part")
        return pc.split_pattern(data, args[0], max_splits=None if most < 0 else most)
    if method in ("startswith", "endswith") and len(args) == 1 and isinstance(args[0], str):
        return (pc.starts_with if method == "startswith" else pc.ends_with)(data, args[0])
    try:
        sample = getattr("a", method)(*args)
        kinds: dict[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64()}
        kinds |= {list: pa.list_(pa.string()), tuple: pa.list_(pa.string())}
        return by_value(data, lambda value: getattr(value, method)(*args), kinds[type(sample)])
    except (TypeError, ValueError) as error:
        raise NotColumnar(f".{method}(): {error}") from error


def _join(listed: Value, separator: Const, scope: _Scope, strict: bool = False) -> Value:
    if not isinstance(separator.value, str) or SEPARATOR in separator.value:
        raise NotColumnar("a join by this")
    if isinstance(listed, Parts):
        texts: list[Const | Column] = []
        for i, item in enumerate(listed.items):
            if strict and not (isinstance(item, Const) and isinstance(item.value, str)):
                raise NotColumnar(".join() of values of the row")
            texts += [separator] * bool(i)
            texts.append(_text(_joinable(item), scope))
        return _strung(texts, scope)
    if not isinstance(listed, Column) or not pt.is_list(listed.data.type):
        raise NotColumnar("a join of what is no list")
    values = flat(listed.data)
    if strict and not pt.is_string(values.type):
        raise NotColumnar(".join() of what are no texts")
    odd = either(listed.odd, nulls_of(listed.data), _of_owner(nulls_of(values), lengths_of(listed.data)))
    texts_of = _as_text(values)
    lists = lists_of(lengths_of(listed.data), texts_of.fill_null("") if texts_of.null_count else texts_of)
    made = pc.binary_join(lists, separator.value)
    _modest(made, scope)
    return Column(made, odd)


def _drawn(listed: Value, scope: _Scope) -> Value:
    """`choice`: the number that the sandbox's budget draws, for every row."""
    if scope.ids is None:
        raise NotColumnar("a choice in a branch or loop")
    scope.draws[0] += 1
    tail = scope.program.seed + scope.draws[0].to_bytes(4, "little")
    numbers = np.fromiter(
        (xxhash.xxh3_64_intdigest(one + tail) for one in scope.ids), dtype=np.uint64, count=len(scope.ids)
    )
    if isinstance(listed, Const) and isinstance(listed.value, (str, range)):
        listed = Parts(tuple(map(Const, listed.value)))
    if isinstance(listed, Parts) and listed.items:
        index = (numbers % np.uint64(len(listed.items))).astype(np.int64)
        return choose(index, listed.items, scope.n, None)
    if isinstance(listed, Column) and pt.is_list(listed.data.type):
        lengths = lengths_of(listed.data)
        safe = np.maximum(lengths, 1).astype(np.uint64)
        made = item_at(listed, (numbers % safe).astype(np.int64))
        return Column(made.data, either(made.odd, _zero(lengths)))
    raise NotColumnar("a choice of what is no list")


def _filter(node: Any, scope: _Scope) -> Value:
    name = node.name
    if name == "default" or name == "d":
        return _default(node, scope)
    if node.node is None or node.dyn_args or node.dyn_kwargs:
        raise NotColumnar("a filter block")
    value = _value(node.node, scope)
    given = [_value(each, scope) for each in node.args]
    named = {each.key: _value(each.value, scope) for each in node.kwargs}
    args = [_constant(each, name) for each in given]
    keys = {key: _constant(each, name) for key, each in named.items()}
    if name in ("choice", "random"):
        if args or keys:
            raise NotColumnar(f"|{name} with arguments")
        return _drawn(value, scope)
    made = _FILTERS.get(name)
    if made is None:
        raise NotColumnar(f"|{name}")
    try:
        return made(value, scope, *args, **keys)
    except TypeError as error:
        raise NotColumnar(f"|{name}: {error}") from error


def _constant(value: Value, name: str) -> Any:
    """The Python value of what is the same for every row."""
    if isinstance(value, Const):
        return value.value
    if isinstance(value, Parts):
        return tuple(_constant(item, name) for item in value.items)
    raise NotColumnar(f"|{name} by a value of the row")


def _default(node: Any, scope: _Scope) -> Value:
    if node.kwargs or len(node.args) not in (1, 2):
        raise NotColumnar("|default with named arguments")
    other, *rest = (_value(each, scope) for each in node.args)
    also_empty = bool(rest and isinstance(rest[0], Const) and rest[0].value)
    if isinstance(node.node, nodes.Name) and not _knows(scope, node.node.name):
        if node.node.name in scope.program.sandbox.globals or node.node.name == "row":
            raise NotColumnar("|default of a function")
        return other
    value = _value(node.node, scope)
    if not also_empty:
        return value  # type: ignore[no-any-return]  # a value that is lacking made the row odd
    mask, odd = truth(value, scope.n)
    made = merged(mask, value, other, scope.n)
    if odd is None:
        return made
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


def _soft(value: Value) -> Column | Const:
    """Filters of text write what is no text first; None makes the row odd."""
    if isinstance(value, Column) and not pt.is_string(value.data.type):
        return Column(_as_text(value.data), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Const) and isinstance(value.value, (bool, int, float)):
        return Const(str(value.value))
    return _string(value, "a filter")


def _textual(method: str) -> Callable[..., Value]:
    def made(value: Value, scope: _Scope) -> Value:
        return _method(_soft(value), method, [], scope)

    return made


def _f_trim(value: Value, scope: _Scope, chars: str | None = None) -> Value:
    text = _soft(value)
    if isinstance(text, Const):
        return Const(text.value.strip(chars))
    return Column(trimmed(text.data, chars), text.odd)


def _f_replace(value: Value, scope: _Scope, old: Any, new: Any) -> Value:
    text = _soft(value)
    if not isinstance(old, str) or not isinstance(new, str) or not old:
        raise NotColumnar("|replace of what is no text")
    if isinstance(text, Const):
        return Const(text.value.replace(old, new))
    return Column(pc.replace_substring(text.data, old, new), text.odd)


def _f_string(value: Value, scope: _Scope) -> Value:
    if isinstance(value, Column) and value.data.null_count:
        return Column(_as_text(value.data).fill_null("None"), value.odd)
    if isinstance(value, Column):
        return Column(_as_text(value.data), value.odd)
    if isinstance(value, Const) and isinstance(value.value, (str, bool, int, float)):
        return Const(str(value.value))
    raise NotColumnar("|string of a list")


def _f_length(value: Value, scope: _Scope) -> Value:
    if isinstance(value, (Parts, Record)):
        return Const(len(value.items))
    if isinstance(value, Const) and isinstance(value.value, str):
        return Const(len(value.value))
    if isinstance(value, Column) and pt.is_list(value.data.type):
        return Column(pa.array(lengths_of(value.data)), either(value.odd, nulls_of(value.data)))
    text = _string(value, "|length")
    assert isinstance(text, Column)
    return Column(pc.utf8_length(text.data).cast(pa.int64()), text.odd)


def _end(at: int) -> Callable[..., Value]:
    def made(value: Value, scope: _Scope) -> Value:
        if isinstance(value, Parts) and value.items:
            return value.items[at]
        if isinstance(value, Column) and pt.is_list(value.data.type):
            return item_at(value, at)
        raise NotColumnar("|first or |last of what is no list")

    return made


def _f_list(value: Value, scope: _Scope) -> Value:
    if isinstance(value, Parts) or (isinstance(value, Column) and pt.is_list(value.data.type)):
        if isinstance(value, Column):
            return Column(value.data, either(value.odd, nulls_of(value.data)))
        return value
    raise NotColumnar("|list of what is no list")


def _f_int(value: Value, scope: _Scope) -> Value:
    """Of numbers, and of texts that are whole numbers; Jinja gives 0 for the rest."""
    if isinstance(value, Column) and pt.is_integer(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_boolean(value.data.type):
        return Column(value.data.cast(pa.int64()), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_string(value.data.type):
        plain = pc.match_substring_regex(value.data, "^[0-9]{1,15}$")
        odd = ~numpy_mask(pc.fill_null(plain, False))
        safe = pc.if_else(pc.fill_null(plain, False), value.data, "0").cast(pa.int64())
        return Column(safe, either(value.odd, odd if odd.any() else None))
    raise NotColumnar("|int of this")


def _f_join(value: Value, scope: _Scope, d: Any = "", attribute: Any = None) -> Value:
    if attribute is not None:
        if not isinstance(value, Column) or not pt.is_list(value.data.type) or not isinstance(attribute, str):
            raise NotColumnar("|join by a part of this")
        inner = _field(Column(flat(value.data)), attribute)
        lengths = lengths_of(value.data)
        odd = either(value.odd, nulls_of(value.data), _of_owner(inner.odd, lengths))
        value = Column(lists_of(lengths, inner.data), odd)
    return _join(value, Const(d), scope)


def _f_map(value: Value, scope: _Scope, *args: Any, attribute: Any = None) -> Value:
    if not isinstance(value, Column) or not pt.is_list(value.data.type):
        raise NotColumnar("|map of what is no list")
    lengths, items = lengths_of(value.data), Column(flat(value.data))
    inner = _Scope(scope.program, len(items.data), {}, None)
    if isinstance(attribute, str) and not args:
        made: Value = _field(items, attribute)
    elif attribute is None and args and args[0] in ("trim", "lower", "upper", "string", "replace", "title", "capitalize"):
        made = _FILTERS[args[0]](items, inner, *args[1:])
    else:
        raise NotColumnar("|map of this")
    assert isinstance(made, Column)
    return Column(lists_of(lengths, made.data), either(value.odd, nulls_of(value.data), _of_owner(made.odd, lengths)))


def _selecting(keeps: bool, by_part: bool) -> Callable[..., Value]:
    """select, reject, selectattr, rejectattr: items of a list by a test with constant arguments."""

    def made(value: Value, scope: _Scope, *args: Any) -> Value:
        if not isinstance(value, Column) or not pt.is_list(value.data.type):
            raise NotColumnar("a selection from what is no list")
        lengths, items = lengths_of(value.data), Column(flat(value.data))
        inner = _Scope(scope.program, len(items.data), {}, None)
        asked: Value = items
        rest = args
        if by_part:
            if not args or not isinstance(args[0], str) or "." in args[0]:
                raise NotColumnar("a selection by this part")
            asked, rest = _field(items, args[0]), args[1:]
        mask, odd = _tested(asked, inner, *rest)
        kept = np.broadcast_to(np.asarray(mask), (inner.n,))
        kept = kept if keeps else ~kept
        owner = np.repeat(np.arange(scope.n), lengths)[kept]
        strange = either(value.odd, nulls_of(value.data), _of_owner(odd, lengths))
        taken = items.data.filter(pa.array(kept))
        return Column(lists_of(np.bincount(owner, minlength=scope.n), taken), strange)

    return made


def _tested(value: Value, scope: _Scope, name: str | None = None, *args: Any) -> tuple[np.ndarray | bool, Any]:
    if name is None:
        return truth(value, scope.n)
    op = {"equalto": "eq", "==": "eq", "eq": "eq", "!=": "ne", "ne": "ne", "in": "in"}.get(name)
    if op is None or len(args) != 1:
        raise NotColumnar(f"a selection by the test '{name}'")
    given = args[0]
    other: Value = Parts(tuple(map(Const, given))) if isinstance(given, (list, tuple)) else Const(given)
    return truth(_compared(op, value, other, scope), scope.n)


_FILTERS: dict[str, Callable[..., Value]] = {
    "trim": _f_trim,
    "replace": _f_replace,
    "string": _f_string,
    "length": _f_length,
    "count": _f_length,
    "first": _end(0),
    "last": _end(-1),
    "list": _f_list,
    "int": _f_int,
    "join": _f_join,
    "map": _f_map,
    "select": _selecting(True, False),
    "reject": _selecting(False, False),
    "selectattr": _selecting(True, True),
    "rejectattr": _selecting(False, True),
    **{name: _textual(name) for name in ("lower", "upper", "capitalize")},
}

_EXPRESSIONS: dict[type, Callable[[Any, _Scope], Value]] = {
    nodes.Const: _const,
    nodes.Name: _name,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Call: _call,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.CondExpr: _cond,
    nodes.Concat: _concat,
    nodes.Add: _add,
    nodes.Sub: _sub,
    nodes.Mul: _mul,
    nodes.FloorDiv: _divided(np.floor_divide),
    nodes.Mod: _divided(np.mod),
    nodes.Neg: _neg,
}


# --- a batch ---------------------------------------------------------------------------------------------------------


def render_columns(program: Columnar, fields: Mapping[str, pa.Array], ids: pa.Array, odd: Any = None) -> Batch:
    """Render n rows. `fields`: column by name, as `leaf` gives them; `ids`: (n,) 16-byte row ids; `odd`: (n,) or None.

    Raises NotColumnar where this template cannot be rendered on these columns.
    """
    n = len(ids)
    names: dict[str, Any] = {name: Column(array) for name, array in fields.items()}
    wanted = np.ones(n, dtype=bool)
    if program.when is not None:
        mask, strange = _truth(program.when, _Scope(program, n, dict(names), None))
        wanted = np.array(np.broadcast_to(np.asarray(mask), (n,)))
        if strange is not None:
            wanted |= strange
            odd = either(odd, strange)
        if not wanted.all():
            taken = pa.array(wanted)
            names = {name: Column(one.data.filter(taken)) for name, one in names.items() if _used(program, name)}
            ids = ids.filter(taken)
            odd = None if odd is None else odd[wanted]
            n = len(ids)
    scope = _Scope(program, n, names, [] if n == 0 else _Ids(ids))
    choices = _set_choices(program, scope)
    out = _Text()
    out.odd = odd
    _write(program.body.body, scope, out)
    return _finish(program, scope, out, choices, wanted)


class _Ids(list[bytes]):
    """Row ids as bytes, made when the first choice is drawn."""

    def __init__(self, ids: pa.Array):
        super().__init__()
        self._ids = ids

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._ids.to_pylist())

    def __len__(self) -> int:
        return len(self._ids)


@lru_cache(maxsize=4096)
def _names_in(program: Columnar) -> frozenset[str]:
    trees: list[nodes.Node] = [program.body, *(tree for tree in (program.choices, program.when) if tree is not None)]
    found = {node.name for tree in trees for node in tree.find_all(nodes.Name)}
    found |= {node.attr for tree in trees for node in tree.find_all(nodes.Getattr)}
    return frozenset(found | {node.value for tree in trees for node in tree.find_all(nodes.Const) if isinstance(node.value, str)})


def _used(program: Columnar, name: str) -> bool:
    return name in _names_in(program)


def _set_choices(program: Columnar, scope: _Scope) -> Sequence[Const | Column] | None:
    """Give `answer_choices` its value; returns the choices, or None where there are none."""
    if program.choices is not None:
        text = _Text()
        inner = scope.inner()
        inner.ids = scope.ids
        _write(program.choices.body, inner, text)
        if text.odd is not None or text.padded is not None:
            raise NotColumnar("choices that some rows lack")
        found: list[Const | Column] = []
        for segment in text.segments:
            if any(isinstance(piece, _Many) for piece in segment):
                raise NotColumnar("choices from a list of the row")
            made = _Text()
            made.segments = [segment]
            whole = made.whole(scope.n)
            found.append(Const(whole.strip()) if isinstance(whole, str) else Column(trimmed(whole)))
        scope.names["answer_choices"] = Parts(tuple(found))
        return found
    if program.fixed_choices is not None:
        fixed = [Const(choice) for choice in program.fixed_choices]
        scope.names["answer_choices"] = Parts(tuple(fixed))
        return fixed
    if not program.plain:
        scope.names["answer_choices"] = Const(None)
    return None


def _finish(
    program: Columnar, scope: _Scope, out: _Text, choices: Sequence[Const | Column] | None, wanted: np.ndarray
) -> Batch:
    n, roles = scope.n, len(program.roles)
    bounds = [0, *(i + 1 for i, mark in enumerate(out.marks) if mark == MARK), len(out.segments)]
    parts = [out.segments[first:last] for first, last in zip(bounds, bounds[1:], strict=False)]
    contents = [_segment([piece for segment in part for piece in segment], n) for part in parts[: roles - 1]]
    if any(len(part) > 1 for part in parts[: roles - 1]):
        raise NotColumnar("a ||| before the prompt")
    prompt, *targets = parts[roles - 1]
    contents.append(_segment(prompt, n))
    targets = [*targets, *(segment for part in parts[roles:] for segment in part)]
    counts, values = _references(program, targets, n)
    odd = np.zeros(n, dtype=bool) if out.odd is None else out.odd.copy()
    if out.padded is not None and not program.plain:
        odd |= out.padded & (counts > 0)
    reasons: np.ndarray | None = None
    for i, content in reversed(list(enumerate(contents[:-1]))):
        reasons = _reason(reasons, numpy_mask(pc.equal(content, "")), 3 + i)
    reasons = _reason(reasons, _no_target(program, counts, values), 2)
    reasons = _reason(reasons, numpy_mask(pc.equal(contents[-1], "")), 1)
    return Batch(wanted, odd, tuple(contents), counts, values, _choice_lists(choices, n), reasons)


def _reason(reasons: np.ndarray | None, rows: np.ndarray, code: int) -> np.ndarray | None:
    if not rows.any():
        return reasons
    reasons = np.zeros(len(rows), dtype=np.int64) if reasons is None else reasons
    reasons[rows] = code
    return reasons


def _no_target(program: Columnar, counts: np.ndarray, values: pa.Array) -> np.ndarray:
    if program.plain:
        return np.asarray(counts == 0)
    full = np.zeros(len(counts), dtype=bool)
    full[np.repeat(np.arange(len(counts)), counts)[numpy_mask(pc.not_equal(values, ""))]] = True
    return ~full


def _segment(pieces: Sequence[Piece], n: int) -> pa.Array:
    """A segment's text, stripped."""
    if any(isinstance(piece, _Many) for piece in pieces):
        raise NotColumnar("a list joined by ||| in the prompt")
    left: list[Any] = list(pieces)
    while left and isinstance(left[0], str):
        left[0] = left[0].lstrip()
        if left[0]:
            break
        left.pop(0)
    while left and isinstance(left[-1], str):
        left[-1] = left[-1].rstrip()
        if left[-1]:
            break
        left.pop()
    made = joined(left, n)
    bare = left and not (isinstance(left[0], str) and isinstance(left[-1], str))
    return trimmed(made) if bare else made


def _references(program: Columnar, targets: Sequence[Sequence[Piece]], n: int) -> tuple[np.ndarray, pa.Array]:
    """Target segments -> how many references each row has, and all of them in order."""
    columns: list[tuple[np.ndarray, pa.Array]] = []
    for pieces in targets:
        many = [piece for piece in pieces if isinstance(piece, _Many)]
        if many:
            if len(many) > 1 or not all(
                isinstance(piece, _Many) or (isinstance(piece, str) and not piece.strip()) for piece in pieces
            ):
                raise NotColumnar("text beside a list joined by |||")
            columns.append((many[0].lengths, trimmed(many[0].values)))
        else:
            columns.append((np.ones(n, dtype=np.int64), _segment(pieces, n)))
    if not columns:
        return np.zeros(n, dtype=np.int64), pa.array([], pa.string())
    lengths, values = columns[0] if len(columns) == 1 else _interleaved(columns, n)
    return unique_within(lengths, values) if program.plain else (lengths, values)


def _interleaved(columns: Sequence[tuple[np.ndarray, pa.Array]], n: int) -> tuple[np.ndarray, pa.Array]:
    lengths = np.sum([each for each, _ in columns], axis=0)
    owner = np.concatenate([np.repeat(np.arange(n), each) for each, _ in columns])
    values = pa.concat_arrays([each for _, each in columns])
    return lengths, values.take(pa.array(np.argsort(owner, kind="stable")))


def _choice_lists(choices: Sequence[Const | Column] | None, n: int) -> pa.Array | tuple[str, ...]:
    if choices is None:
        return ()
    if all(isinstance(choice, Const) for choice in choices):
        return tuple(choice.value for choice in choices)  # type: ignore[union-attr]
    columns = [(np.ones(n, dtype=np.int64), as_column(choice, n).data) for choice in choices]
    lengths, values = _interleaved(columns, n)
    return lists_of(lengths, values)


def odd_fields(fields: Mapping[str, pa.Array]) -> Any:
    """Rows that Jinja must render: a text of theirs holds a `|` or one of the marks."""
    odd = None
    for array in fields.values():
        odd = either(odd, odd_rows(array, ("|", MARK, PIPE)))
    return odd
