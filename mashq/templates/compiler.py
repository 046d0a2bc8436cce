"""A template as operations on columns: the Jinja that templates really use, a batch of rows at a time.

`columnar(template)` parses a template once; `render_columns(program, table, ...)` walks its syntax tree over Arrow
columns, so that Python is paid once a batch and not once a row. Handled: fields and their parts, answer_choices by
number or name, `if`, loops over lists, `set`, comparisons, and the filters and methods of `filters` and `operations`.
A `|||` that stands in the template's text divides it there; one that a branch, a loop or a value writes is looked for
in what was written, which takes some 0.6 us a row more. The rest raises `NotColumnar`, and Jinja itself renders the
batch; rows on which Jinja would complain or that hold a `|` are *odd* and go to Jinja one by one. So what comes out is
what `rendering.render_row` gives, row by row: the tests hold the two against each other, and `applying` does so again
on two rows of every batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from jinja2 import nodes

from mashq.templates.columns import (
    Column,
    Const,
    NotColumnar,
    Parts,
    Record,
    Value,
    as_column,
    either,
    flat,
    gather,
    holds,
    interleaved,
    item_at,
    joined,
    leaf,
    lengths_of,
    listed,
    lists_of,
    merged,
    nulls_of,
    numpy_mask,
    odd_rows,
    of_owner,
    owners_of,
    places_within,
    repeated,
    rows_with,
    trimmed,
    unique_within,
)
from mashq.templates.expressions import (
    Zip,
    truth_of,
    value_of,
    written,
)
from mashq.templates.operations import (
    UNROLLED,
    Columnar,
    Loop,
    Scope,
    empty_lists,
    text_of,
)
from mashq.templates.rendering import MARK, PIPE, SEPARATOR, Compiled, joined_source

__all__ = ["Batch", "Field", "columnar", "field_column", "names_in", "render_columns"]

PIECES = 4096  # of one text, after unrolling


@dataclass(frozen=True)
class Field:
    """A field of n rows: its column, the rows that Jinja must render for its sake, and whether any text has a `|`."""

    data: pa.Array
    odd: np.ndarray | None
    piped: bool


def field_column(array: pa.Array) -> Field:
    """A column of any type -> a field. Raises NotColumnar for a type that the kernels do not know."""
    data = leaf(array)
    return Field(data, odd_rows(data, (SEPARATOR, MARK, PIPE)), holds(data, "|"))


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
    body, choices = parse(joined_source(template)), parse(template.choices or "") if dynamic else None
    return Columnar(
        template=template,
        sandbox=ready.sandbox,
        body=body,
        choices=choices,
        fixed_choices=ready.fixed_choices,
        when=when,
        roles=ready.roles,
        seed=ready.seed,
        flat=_strays(body) or (choices is not None and _strays(choices)),
    )


def _strays(tree: nodes.Template) -> bool:
    """Whether a `|` of the template may make a `|||` beside those of its text and of `join('|||')`."""
    joins = {id(arg) for node in tree.find_all(nodes.Filter) if node.name == "join" for arg in node.args}
    consts = [node for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    named = [node.value for node in consts if id(node) not in joins or node.value.strip() != SEPARATOR]
    texts = [node.data.replace(SEPARATOR, "") for node in tree.find_all(nodes.TemplateData)]
    return any("|" in text for text in (*named, *texts))


@dataclass(frozen=True)
class _Many:
    """Texts divided by `|||` that a join of a list writes: (lengths, flat)."""

    lengths: np.ndarray
    values: pa.Array


Piece = Any  # str | pa.Array | _Many; pyarrow has no types of its own


class _Text:
    """What a template writes: pieces, cut into segments by the marks between parts and by the template's own `|||`.

    Where `flat`, a `|||` is text like other text: the finished text is divided by it, as Jinja's is.
    """

    def __init__(self, flat: bool) -> None:
        self.flat = flat
        self.segments: list[list[Piece]] = [[]]
        self.marks: list[str] = []  # between segments: MARK or SEPARATOR
        self.odd: Any = None

    def data(self, text: str) -> None:
        """A constant of the template, which may hold marks."""
        for i, part in enumerate(text.split(MARK)):
            if i:
                self._cut(MARK)
            for j, piece in enumerate([part] if self.flat else part.split(SEPARATOR)):
                if j:
                    self._cut(SEPARATOR)
                self.put(piece)

    def put(self, piece: Piece) -> None:
        if isinstance(piece, str) and not piece:
            return
        last = self.segments[-1]
        if isinstance(piece, str) and last and isinstance(last[-1], str):
            last[-1] += piece
        else:
            last.append(piece)
        if sum(map(len, self.segments)) > PIECES:
            raise NotColumnar(f"a text of more than {PIECES:,} pieces")

    def _cut(self, mark: str) -> None:
        self.marks.append(mark)
        self.segments.append([])

    def whole(self, n: int) -> pa.Array | str:
        """The one text, which has no marks."""
        if self.marks:
            raise NotColumnar("a ||| inside a branch, a loop or a block")
        return _whole(self.segments[0], n)

    def branch(self, mask: np.ndarray, yes: _Text, no: _Text, n: int) -> None:
        """Append what an `if` writes: the texts of both branches, chosen by row."""
        for one, condition in ((yes, mask), (no, ~mask)):
            if one.odd is not None:
                self.odd = either(self.odd, one.odd & condition)
        first, second = yes.whole(n), no.whole(n)
        if isinstance(first, str) and first == second:
            self.put(first)
        else:
            self.put(pc.if_else(pa.array(mask), first, second))


def _whole(pieces: Sequence[Piece], n: int) -> pa.Array | str:
    """A text without marks, as a constant where it is one."""
    if any(isinstance(piece, _Many) for piece in pieces):
        raise NotColumnar("a list joined by ||| inside a branch, a loop or a block")
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    return joined(pieces, n)


def _write(body: Sequence[nodes.Node], scope: Scope, out: _Text) -> None:
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
            value = value_of(node.node, scope)
            if isinstance(value, Column):
                out.odd = either(out.odd, value.odd)  # Jinja may fail here already, used or not
            scope.names[node.target.name] = value
        elif isinstance(node, nodes.AssignBlock) and isinstance(node.target, nodes.Name) and node.filter is None:
            block = _Text(out.flat)
            _write(node.body, scope, block)
            text = block.whole(scope.n)
            out.odd = either(out.odd, block.odd)
            scope.names[node.target.name] = (
                Const(text) if isinstance(text, str) and block.odd is None else _column(text, scope.n, block.odd)
            )
        elif isinstance(node, nodes.With):
            inner = scope.inner()
            inner.ids = scope.ids
            for target, given in zip(node.targets, node.values, strict=True):
                if not isinstance(target, nodes.Name):
                    raise NotColumnar("with of several names")
                inner.names[target.name] = value_of(given, scope)
            _write(node.body, inner, out)
        else:
            raise NotColumnar(f"{type(node).__name__.lower()}")


def _column(text: pa.Array | str, n: int, odd: Any) -> Column:
    return Column(repeated(text, n, pa.string()) if isinstance(text, str) else text, odd)


def _write_value(node: Any, scope: Scope, out: _Text) -> None:
    if (
        not out.flat
        and isinstance(node, nodes.Filter)
        and node.name == "join"
        and len(node.args) == 1
        and isinstance(node.args[0], nodes.Const)
        and isinstance(node.args[0].value, str)
        and SEPARATOR in node.args[0].value
    ):
        if node.args[0].value.strip() != SEPARATOR or node.kwargs or node.node is None:
            raise NotColumnar("a list joined by a text around |||")
        listed = value_of(node.node, scope)
        if isinstance(listed, Parts):
            for i, item in enumerate(listed.items):
                if i:
                    out.data(SEPARATOR)
                _put(text_of(item, scope), out)
            return
        if not isinstance(listed, Column) or not pt.is_list(listed.data.type):
            raise NotColumnar("a join of what is no list")
        values = flat(listed.data)
        text = text_of(Column(values), scope)
        lengths = lengths_of(listed.data)
        odd = either(listed.odd, nulls_of(listed.data), of_owner(nulls_of(values), lengths), empty_lists(lengths))
        out.odd = either(out.odd, odd)
        assert isinstance(text, Column)
        out.put(_Many(lengths, text.data))
        return
    _put(text_of(value_of(written(node), scope), scope), out)


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


def _write_if(node: nodes.If, scope: Scope, out: _Text) -> None:
    chain = [(node.test, node.body), *((each.test, each.body) for each in node.elif_)]
    _write_chain(chain, node.else_, scope, out)


def _write_chain(
    chain: Sequence[tuple[Any, Sequence[nodes.Node]]],
    rest: Sequence[nodes.Node],
    scope: Scope,
    out: _Text,
) -> None:
    if not chain:
        _write(rest, scope, out)
        return
    (test, body), *others = chain
    mask, odd = truth_of(test, scope)
    out.odd = either(out.odd, odd)
    if mask is True or (isinstance(mask, np.ndarray) and mask.all() and odd is None):
        _write(body, scope, out)
        return
    if mask is False or (isinstance(mask, np.ndarray) and not mask.any() and odd is None):
        _write_chain(others, rest, scope, out)
        return
    assert isinstance(mask, np.ndarray)
    texts, scopes = (_Text(out.flat), _Text(out.flat)), (scope.inner(), scope.inner())
    _write(body, scopes[0], texts[0])
    _write_chain(others, rest, scopes[1], texts[1])
    out.branch(mask, *texts, scope.n)
    for name in dict.fromkeys([*scopes[0].names, *scopes[1].names]):
        first, second = (each.names.get(name) for each in scopes)
        if first is second:
            scope.names[name] = first
        elif first is not None and second is not None and not isinstance(first, Loop):
            scope.names[name] = merged(mask, first, second, scope.n)
        elif name in scope.names:
            continue  # found while one branch was walked: it is the outer one
        elif scope.outer is None:
            known, missing = (first, ~mask) if first is not None else (second, mask)
            if known is None or isinstance(known, (Loop, Parts, Record)):
                raise NotColumnar("a list set in one branch only")
            one = as_column(known, scope.n)
            scope.names[name] = Column(one.data, either(one.odd, missing))


def _write_for(node: Any, scope: Scope, out: _Text) -> None:
    if node.recursive:
        raise NotColumnar("a loop that calls itself")
    over = value_of(node.iter, scope, zipped=True)
    if isinstance(over, Const) and isinstance(over.value, range):
        over = Parts(tuple(Const(i) for i in over.value[: UNROLLED + 1]))
    if isinstance(over, Parts) and len(over.items) > UNROLLED:
        raise NotColumnar(f"a written list of more than {UNROLLED} items")
    if isinstance(over, Parts) and (node.test is not None or node.else_):
        over = listed(over, scope.n)
    if isinstance(over, Parts):
        for i, item in enumerate(over.items):
            turn = scope.inner()
            turn.names["loop"] = Loop(Const(i), Const(len(over.items)))
            _bind(node.target, item, turn)
            _write(node.body, turn, out)
        return
    columns = over.columns if isinstance(over, Zip) else (over,)
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
    owner = owners_of(lengths)
    items = [Column(flat(each.data)) for each in columns]
    turn = Scope(scope.program, len(owner), {}, None, scope.draws, scope, owner)
    _bind(node.target, items[0] if not isinstance(over, Zip) else Parts(tuple(items)), turn)
    if node.test is not None:
        mask, strange = truth_of(node.test, turn)
        odd = either(odd, of_owner(strange, lengths))
        keep = np.broadcast_to(np.asarray(mask), owner.shape)
        place = np.flatnonzero(keep)
        owner = owner[keep]
        lengths = np.bincount(owner, minlength=scope.n)
        turn = Scope(scope.program, len(owner), {}, None, scope.draws, scope, owner)
        items = [Column(each.data.take(pa.array(place))) for each in items]
        _bind(node.target, items[0] if not isinstance(over, Zip) else Parts(tuple(items)), turn)
    turn.names["loop"] = Loop(Column(pa.array(places_within(lengths))), Column(pa.array(lengths[owner])))
    text = _Text(out.flat)
    _write(node.body, turn, text)
    whole = _column(text.whole(turn.n), turn.n, text.odd)
    out.odd = either(out.odd, odd, of_owner(whole.odd, lengths))
    turns = pc.binary_join(lists_of(lengths, whole.data), "")
    if node.else_ and not lengths.all():
        bare = _Text(out.flat)
        _write(node.else_, scope.inner(), bare)
        instead = _column(bare.whole(scope.n), scope.n, bare.odd)
        out.odd = either(out.odd, None if instead.odd is None else instead.odd & (lengths == 0))
        turns = pc.if_else(pa.array(lengths > 0), turns, instead.data)
    out.put(turns)


def _bind(target: Any, value: Value, scope: Scope) -> None:
    if isinstance(target, nodes.Name):
        scope.names[target.name] = value
    elif isinstance(target, nodes.Tuple) and isinstance(value, Parts) and len(value.items) == len(target.items):
        for each, item in zip(target.items, value.items, strict=True):
            _bind(each, item, scope)
    else:
        raise NotColumnar("a loop over several names")


def render_columns(
    program: Columnar,
    fields: Mapping[str, Field],
    ids: pa.Array,
    odd: Any = None,
    memo: dict[str, Any] | None = None,
) -> Batch:
    """Render n rows. `fields`: what `field_column` made of each; `ids`: (n,) 16-byte row ids; `odd`: (n,) or None;
    `memo`: one dict for all templates of the same rows, so that a condition that several share is asked once.

    Raises NotColumnar where this template cannot be rendered on these columns.
    """
    try:
        try:
            return _rendered(program, fields, ids, odd, memo)
        except NotColumnar:
            if program.flat:
                raise
            # It may be for a `|||` that has no one place in the template: in the finished text it has.
            return _rendered(replace(program, flat=True), fields, ids, odd, memo)
    except pa.ArrowException as error:  # a kernel that does not know these types: Jinja does
        raise NotColumnar(f"{type(error).__name__}: {error}") from error


def _rendered(
    program: Columnar, fields: Mapping[str, Field], ids: pa.Array, odd: Any, memo: dict[str, Any] | None
) -> Batch:
    n = len(ids)
    names: dict[str, Any] = {name: Column(one.data) for name, one in fields.items()}
    odd = either(odd, *(one.odd for one in fields.values()))
    piped = any(one.piped for one in fields.values())
    wanted = np.ones(n, dtype=bool)
    words = {} if memo is None else memo.setdefault("words", {})
    if program.when is not None:
        mask, strange = truth_of(program.when, Scope(program, n, dict(names), None, memo=memo, words=words))
        wanted = np.array(np.broadcast_to(np.asarray(mask), (n,)))
        if strange is not None:
            wanted |= strange
            odd = either(odd, strange)
        if not wanted.all():
            taken = pa.array(wanted)
            names = {name: Column(one.data.filter(taken)) for name, one in names.items()}
            ids = ids.filter(taken)
            odd = None if odd is None else odd[wanted]
            n, words = len(ids), {}
    scope = Scope(program, n, names, ids, words=words)
    choices, lacking = _set_choices(program, scope)
    out = _Text(program.flat)
    out.odd = either(odd, lacking)
    _write(program.body.body, scope, out)
    return _finish(program, scope, out, choices, wanted, piped)


@lru_cache(maxsize=4096)
def names_in(program: Columnar) -> frozenset[str]:
    """Every name that may be a field: a field that is not among them is not used."""
    trees: list[nodes.Node] = [program.body, *(tree for tree in (program.choices, program.when) if tree is not None)]
    found = {node.name for tree in trees for node in tree.find_all(nodes.Name)}
    found |= {node.attr for tree in trees for node in tree.find_all(nodes.Getattr)}
    return frozenset(
        found | {node.value for tree in trees for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    )


def _set_choices(program: Columnar, scope: Scope) -> tuple[pa.Array | tuple[str, ...], Any]:
    """Give `answer_choices` its value; returns the choices, as in `Batch`, and the rows that lack them."""
    if program.choices is not None:
        text = _Text(program.flat)
        inner = scope.inner()
        inner.ids = scope.ids
        _write(program.choices.body, inner, text)
        found: Value
        if program.flat:
            found = Column(_divided(text.segments[0], scope.n))
        else:
            wholes = [_whole(segment, scope.n) for segment in text.segments]
            found = Parts(tuple(Const(one.strip()) if isinstance(one, str) else Column(trimmed(one)) for one in wholes))
        scope.names["answer_choices"] = found
        return as_column(found, scope.n).data, text.odd
    if program.fixed_choices is not None:
        if any("|" in choice for choice in program.fixed_choices):
            raise NotColumnar("a choice with a |")
        scope.names["answer_choices"] = Parts(tuple(map(Const, program.fixed_choices)))
        return program.fixed_choices, None
    if not program.plain:
        scope.names["answer_choices"] = Const(None)
    return (), None


def _divided(pieces: Sequence[Piece], n: int) -> pa.Array:
    """A text of each row -> its parts between the `|||`, each stripped."""
    text = joined(pieces, n)
    if not holds(text, SEPARATOR):
        return lists_of(np.ones(n, dtype=np.int64), trimmed(text))
    parts = pc.split_pattern(text, SEPARATOR)
    return lists_of(lengths_of(parts), trimmed(flat(parts)))


def _finish(
    program: Columnar,
    scope: Scope,
    out: _Text,
    choices: pa.Array | tuple[str, ...],
    wanted: np.ndarray,
    piped: bool,
) -> Batch:
    n, roles = scope.n, len(program.roles)
    bounds = [0, *(i + 1 for i, mark in enumerate(out.marks) if mark == MARK), len(out.segments)]
    parts = [out.segments[first:last] for first, last in pairwise(bounds)]
    contents = [_segment([piece for segment in part for piece in segment], n) for part in parts[: roles - 1]]
    if any(len(part) > 1 for part in parts[: roles - 1]):
        raise NotColumnar("a ||| before the prompt")
    if program.flat:
        prompt, *others = (Column(_divided(part[0], n)) for part in parts[roles - 1 :])
        contents.append(item_at(prompt, 0).data)
        lists = [(lengths_of(each.data), flat(each.data)) for each in (gather(prompt, 1, None), *others)]
    else:
        first, *targets = (segment for part in parts[roles - 1 :] for segment in part)
        contents.append(_segment(first, n))
        lists = [_references(pieces, n) for pieces in targets]
    counts, values = interleaved(lists or [(np.zeros(n, dtype=np.int64), pa.array([], pa.string()))], n)
    if program.plain:
        counts, values = unique_within(counts, values)
    odd = np.zeros(n, dtype=bool) if out.odd is None else out.odd.copy()
    if piped and not program.flat:
        odd |= _ambiguous(contents, counts, values, choices)
    reasons: np.ndarray | None = None
    for i, content in reversed(list(enumerate(contents[:-1]))):
        reasons = _reason(reasons, numpy_mask(pc.equal(content, "")), 3 + i)
    reasons = _reason(reasons, _no_target(program, counts, values), 2)
    reasons = _reason(reasons, numpy_mask(pc.equal(contents[-1], "")), 1)
    return Batch(wanted, odd, tuple(contents), counts, values, choices, reasons)


def _reason(reasons: np.ndarray | None, rows: np.ndarray, code: int) -> np.ndarray | None:
    if not rows.any():
        return reasons
    reasons = np.zeros(len(rows), dtype=np.int64) if reasons is None else reasons
    reasons[rows] = code
    return reasons


def _no_target(program: Columnar, counts: np.ndarray, values: pa.Array) -> np.ndarray:
    if program.plain:
        return np.asarray(counts == 0)
    return ~rows_with(numpy_mask(pc.not_equal(values, "")), counts)


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


def _references(pieces: Sequence[Piece], n: int) -> tuple[np.ndarray, pa.Array]:
    """A target segment -> how many references each row has of it, and all of them in order."""
    many = [piece for piece in pieces if isinstance(piece, _Many)]
    if not many:
        return np.ones(n, dtype=np.int64), _segment(pieces, n)
    if len(many) > 1 or not all(
        isinstance(piece, _Many) or (isinstance(piece, str) and not piece.strip()) for piece in pieces
    ):
        raise NotColumnar("text beside a list joined by |||")
    return many[0].lengths, trimmed(many[0].values)


def _ambiguous(contents: Sequence[pa.Array], counts: np.ndarray, values: pa.Array, choices: Any) -> np.ndarray:
    """Rows in which a `|` of the row's own may stand beside one of the template's `|||`, or make another."""
    odd = rows_with(_near_pipes(values), counts)
    for content in contents:
        odd |= _near_pipes(content)
    if not isinstance(choices, tuple):
        odd |= rows_with(_near_pipes(flat(choices)), lengths_of(choices))
    return odd


def _near_pipes(texts: pa.Array) -> np.ndarray:
    near = pc.or_(pc.starts_with(texts, "|"), pc.ends_with(texts, "|"))
    return numpy_mask(pc.or_(near, pc.match_substring(texts, SEPARATOR)))
