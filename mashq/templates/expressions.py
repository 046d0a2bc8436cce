"""Jinja's expressions over columns: names, parts, conditions, calls and filters, from the syntax tree to values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    choose,
    either,
    item_at,
    listed,
    lists_of,
    merged,
    nulls_of,
    numpy_mask,
    places_within,
    sliced,
    truth,
)
from mashq.templates.filters import BY_ROW, FILTERS
from mashq.templates.operations import (
    UNROLLED,
    Loop,
    Scope,
    arithmetic,
    chained,
    compared,
    drawn,
    field_of,
    joinable,
    joined_list,
    list_method,
    mask_value,
    method_of,
    string_of,
    strung,
    text_of,
)
from mashq.templates.sandbox import ATTRIBUTES, LIMITS

__all__ = ["Zip", "constant_of", "truth_of", "value_of", "written"]


@dataclass(frozen=True)
class Zip:
    """What `zip(a, b)` gives, which only a loop can use."""

    columns: tuple[Column, ...]


def value_of(node: nodes.Node | None, scope: Scope, zipped: bool = False) -> Any:
    """The value of an expression over the rows of the scope."""
    assert node is not None
    kind = type(node)
    if zipped and _is_zip(node, scope):
        given = tuple(value_of(each, scope) for each in node.args)  # type: ignore[attr-defined]
        if all(isinstance(each, Column) for each in given):
            return Zip(given)
        raise NotColumnar("zip of written lists")
    view = _view(node, scope) if zipped else None
    if view is not None:
        return view
    handler = _EXPRESSIONS.get(kind)
    if handler is None:
        raise NotColumnar(kind.__name__.lower())
    return handler(node, scope)


def _is_zip(node: Any, scope: Scope) -> bool:
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.node.name != "zip":
        return False
    return bool(node.args) and not node.kwargs and not _knows(scope, "zip")


def _view(node: Any, scope: Scope) -> Parts | None:
    """`.keys()`, `.values()` or `.items()` of a written record: a list to loops and filters, and to nothing else."""
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Getattr) or node.args or node.kwargs:
        return None
    owner, name = node.node.node, node.node.attr
    if name not in ("keys", "values", "items") or not isinstance(owner, (nodes.Name, nodes.Dict)):
        return None
    record = value_of(owner, scope)
    if not isinstance(record, Record) or name in record.items:
        return None
    pairs = tuple(Parts((Const(key), value)) for key, value in record.items.items())
    return Parts(pairs if name == "items" else tuple(pair.items[name == "values"] for pair in pairs))


def _knows(scope: Scope, name: str) -> bool:
    try:
        scope.find(name)
    except NotColumnar:
        return False
    return True


def _const(node: Any, scope: Scope) -> Value:
    return Const(node.value)


def _name(node: Any, scope: Scope) -> Value:
    value = scope.find(node.name)
    if isinstance(value, Loop):
        raise NotColumnar("loop as a value")
    return value


def _lacking(value: Value) -> bool:
    """Whether some rows lack a part of a written list or record, which Jinja evaluates asked for or not."""
    return isinstance(value, Column) and value.odd is not None and bool(value.odd.any())


def _list(node: Any, scope: Scope) -> Value:
    made = Parts(tuple(value_of(item, scope) for item in node.items))
    return listed(made, scope.n) if any(map(_lacking, made.items)) else made


def _dict(node: Any, scope: Scope) -> Value:
    made: dict[Any, Value] = {}
    for pair in node.items:
        key = value_of(pair.key, scope)
        if not isinstance(key, Const):
            raise NotColumnar("a record with keys from the row")
        made[key.value] = value_of(pair.value, scope)
        if _lacking(made[key.value]):
            raise NotColumnar("a written record with a value that some rows lack")
    return Record(made)


def _getattr(node: Any, scope: Scope) -> Value:
    if isinstance(node.node, nodes.Name) and node.node.name == "loop":
        return _loop_part(scope.find("loop"), node.attr)
    owner = _owner(node.node, scope)
    if owner is None:
        return scope.find(node.attr)
    if isinstance(owner, Column) and pt.is_struct(owner.data.type):
        if not scope.program.plain and node.attr in ATTRIBUTES[dict]:
            raise NotColumnar(f"a field named as the method {node.attr}")
        return field_of(owner, node.attr)
    raise NotColumnar(f".{node.attr} of what is no record")


def _owner(node: nodes.Expr, scope: Scope) -> Any:
    """The value, or None for the record `row` of all fields."""
    if isinstance(node, nodes.Name) and node.name == "row" and "row" not in _top(scope).names:
        return None
    return value_of(node, scope)


def _top(scope: Scope) -> Scope:
    while scope.outer is not None:
        scope = scope.outer
    return scope


def _loop_part(loop: Any, name: str) -> Value:
    if not isinstance(loop, Loop):
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


def _getitem(node: Any, scope: Scope) -> Value:
    owner = _owner(node.node, scope)
    if isinstance(node.arg, nodes.Slice):
        return _slice(owner, node.arg, scope)
    index = value_of(node.arg, scope)
    if owner is None and isinstance(index, Column) and pt.is_string(index.data.type):
        return _field_by_row(index, scope)
    if owner is None:
        if isinstance(index, Const) and isinstance(index.value, str):
            return scope.find(index.value)
        raise NotColumnar("row[…] by a value of the row")
    if isinstance(owner, Record):
        return _of_record(owner, index, scope)
    if isinstance(owner, Parts):
        return _of_parts(owner, index, scope)
    if not isinstance(owner, Column):
        raise NotColumnar("a part of a constant")
    kind = owner.data.type
    if pt.is_struct(kind) and isinstance(index, Const) and isinstance(index.value, str):
        return field_of(owner, index.value)
    whole = isinstance(index, Const) and isinstance(index.value, int) and not isinstance(index.value, bool)
    if pt.is_list(kind):
        if whole:
            return item_at(owner, index.value)
        if isinstance(index, Column) and pt.is_integer(index.data.type):
            places = index.data.fill_null(-(2**31)).to_numpy()
            made = item_at(owner, places)
            return Column(made.data, either(made.odd, index.odd, nulls_of(index.data)))
    if pt.is_string(kind) and whole:
        at = index.value
        letter = pc.utf8_slice_codeunits(owner.data, at, None if at == -1 else at + 1)
        missing = numpy_mask(pc.fill_null(pc.equal(letter, ""), True))
        if at < -1:  # a shorter text has no such letter, and Arrow's slice starts at its first
            missing |= numpy_mask(pc.fill_null(pc.less(pc.utf8_length(owner.data), -at), True))
        return Column(letter, either(owner.odd, missing if missing.any() else None))
    raise NotColumnar("a part of this value")


def _field_by_row(index: Column, scope: Scope) -> Value:
    """`row[name]` where the name differs by row: a few names, all of them fields."""
    names = pc.unique(index.data).to_pylist()
    if len(names) > UNROLLED or not all(isinstance(name, str) for name in names):
        raise NotColumnar("row[…] by many names")
    places = pc.fill_null(pc.index_in(index.data, value_set=pa.array(names, pa.string())), -1).to_numpy()
    return choose(places, [scope.find(name) for name in names], scope.n, index.odd)


def _of_record(owner: Record, index: Value, scope: Scope) -> Value:
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


def _of_parts(owner: Parts, index: Value, scope: Scope) -> Value:
    n = len(owner.items)
    if isinstance(index, Const) and isinstance(index.value, int):
        if not -n <= index.value < n:
            raise NotColumnar("an index outside of the list")
        return owner.items[index.value]
    if not isinstance(index, Column) or not (pt.is_integer(index.data.type) or pt.is_boolean(index.data.type)):
        raise NotColumnar("an index that is no whole number")
    place = index.data.cast(pa.int64()).fill_null(-n - 1).to_numpy()
    return choose(np.where(place < 0, np.where(place < -n, -1, place + n), place), owner.items, scope.n, index.odd)


def _slice(owner: Any, node: nodes.Slice, scope: Scope) -> Value:
    bounds = [_slice_bound(bound, scope) for bound in (node.start, node.stop, node.step)]
    columns = [bound for bound in bounds if isinstance(bound, Column)]
    if isinstance(owner, Parts) and not columns and bounds[2] != 0:
        return Parts(owner.items[slice(*bounds)])
    owner = listed(owner, scope.n) if isinstance(owner, Parts) else owner
    if not isinstance(owner, Column) or not (pt.is_list(owner.data.type) or pt.is_string(owner.data.type)):
        raise NotColumnar("a slice of this value")
    odd = either(owner.odd, *(either(each.odd, nulls_of(each.data)) for each in columns))
    places = [each.data.fill_null(0).to_numpy() if isinstance(each, Column) else each for each in bounds]
    return sliced(Column(owner.data, odd), *places)


def _slice_bound(node: nodes.Expr | None, scope: Scope) -> Any:
    """None, a whole number, or a column of them."""
    value = Const(None) if node is None else value_of(node, scope)
    if isinstance(value, Const) and (value.value is None or type(value.value) is int):
        return value.value
    if isinstance(value, Column) and pt.is_integer(value.data.type):
        return value
    raise NotColumnar("a slice by this value")


def truth_of(node: nodes.Node | None, scope: Scope) -> tuple[np.ndarray | bool, Any]:
    """Whether an expression is true, row by row: its parts may be of any types, for none of them is written."""
    if isinstance(node, nodes.Not):
        mask, odd = truth_of(node.node, scope)
        return (~mask if isinstance(mask, np.ndarray) else not mask), odd
    if isinstance(node, (nodes.And, nodes.Or)):
        stops = isinstance(node, nodes.Or)
        mask, odd = truth_of(node.left, scope)
        if isinstance(mask, bool) and odd is None:
            return (mask, None) if mask == stops else truth_of(node.right, scope)
        first = np.broadcast_to(np.asarray(mask), (scope.n,))
        other, strange = truth_of(node.right, scope.inner())
        asked = ~first if stops else first
        second = np.broadcast_to(np.asarray(other), (scope.n,))
        strange = None if strange is None else strange & asked
        return (first | second if stops else first & second), either(odd, strange)
    if scope.memo is None or not isinstance(node, nodes.Compare):
        return truth(value_of(node, scope), scope.n)
    key = repr(node)
    if key not in scope.memo:
        scope.memo[key] = truth(value_of(node, scope), scope.n)
    known: tuple[np.ndarray | bool, Any] = scope.memo[key]
    return known


def _not(node: Any, scope: Scope) -> Value:
    mask, odd = truth_of(node.node, scope)
    return mask_value(~mask if isinstance(mask, np.ndarray) else not mask, odd)


def _and(node: Any, scope: Scope) -> Value:
    return _both(node, scope, stops=False)


def _or(node: Any, scope: Scope) -> Value:
    return _both(node, scope, stops=True)


def _both(node: Any, scope: Scope, stops: bool) -> Value:
    """`a and b`, `a or b`: the value that decides, as in Python; the second is asked only where the first does not."""
    first = value_of(node.left, scope)
    mask, odd = truth(first, scope.n)
    if isinstance(mask, bool) and odd is None:
        return first if mask == stops else value_of(node.right, scope)
    second = value_of(node.right, scope.inner())
    mask = np.broadcast_to(np.asarray(mask), (scope.n,))
    made = merged(mask, first, second, scope.n) if stops else merged(mask, second, first, scope.n)
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


def _cond(node: Any, scope: Scope) -> Value:
    mask, odd = truth_of(node.test, scope)
    if isinstance(mask, bool) and odd is None:
        if not mask and node.expr2 is None:
            raise NotColumnar("an `if` without `else`, where it is false")
        return value_of(node.expr1 if mask else node.expr2, scope)
    mask = np.broadcast_to(np.asarray(mask), (scope.n,))
    if node.expr2 is None:  # where it is false there is no value, of which Jinja decides
        column = as_column(value_of(node.expr1, scope.inner()), scope.n)
        return Column(column.data, either(None if column.odd is None else column.odd & mask, odd, ~mask))
    made = merged(mask, value_of(node.expr1, scope.inner()), value_of(node.expr2, scope.inner()), scope.n)
    if odd is None:
        return made
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


def _compare(node: Any, scope: Scope) -> Value:
    left = value_of(node.expr, scope)
    made: Value | None = None
    for operand in node.ops:
        right = value_of(operand.expr, scope if made is None else scope.inner())
        one = compared(operand.op, left, right, scope)
        if made is None:
            made = one
        else:
            first, odd = truth(made, scope.n)
            second, strange = truth(one, scope.n)
            if strange is not None:
                strange = strange & first
            mask = np.broadcast_to(np.asarray(first), (scope.n,)) & second
            made = mask_value(mask, either(odd, strange))
        left = right
    assert made is not None
    return made


def _test(node: Any, scope: Scope) -> Value:
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
        return mask_value(node.name == "defined", odd)
    if node.name in ("none", "eq", "equalto", "==", "ne", "!=", "in"):
        value = value_of(node.node, scope)
        if node.name == "none":
            return compared("eq", value, Const(None), scope)
        op = {"equalto": "eq", "==": "eq", "!=": "ne"}.get(node.name, node.name)
        return compared(op, value, value_of(node.args[0], scope), scope)
    if node.name in ("even", "odd"):
        value = as_column(value_of(node.node, scope), scope.n)
        if not pt.is_integer(value.data.type):
            raise NotColumnar(f"the test '{node.name}' of what is no whole number")
        rest = np.mod(value.data.fill_null(0).to_numpy(), 2)
        return mask_value(rest == (node.name == "odd"), either(value.odd, nulls_of(value.data)))
    if node.name in ("string", "number"):
        value = as_column(value_of(node.node, scope), scope.n)
        kind = value.data.type
        fits = pt.is_string(kind) if node.name == "string" else not (pt.is_string(kind) or pt.is_null(kind))
        if pt.is_list(kind) or pt.is_struct(kind):
            fits = False
        return mask_value(numpy_mask(value.data.is_valid()) & fits, value.odd)
    raise NotColumnar(f"the test '{node.name}'")


def written(node: Any) -> Any:
    """`a if b` without `else` writes nothing where it is false, and what it writes is text."""
    if isinstance(node, nodes.CondExpr) and node.expr2 is None:
        return nodes.CondExpr(node.test, nodes.Concat([node.expr1]), nodes.Const(""))
    return node


def _concat(node: Any, scope: Scope) -> Value:
    return strung([text_of(joinable(value_of(written(each), scope), scope), scope) for each in node.nodes], scope)


def _add(node: Any, scope: Scope) -> Value:
    left, right = value_of(node.left, scope), value_of(node.right, scope)
    if isinstance(left, Parts) and isinstance(right, Parts):
        return Parts(left.items + right.items)
    if isinstance(left, Parts) or (isinstance(left, Column) and pt.is_list(left.data.type)):
        return chained(as_column(left, scope.n), as_column(right, scope.n), scope.n)
    if isinstance(left, Const) and isinstance(right, Const):
        if type(left.value) is type(right.value) and isinstance(left.value, (str, int, float)):
            return Const(left.value + right.value)
        raise NotColumnar("a sum of constants of two types")
    if any(isinstance(each, Const) and isinstance(each.value, str) for each in (left, right)) or (
        isinstance(left, Column) and pt.is_string(left.data.type)
    ):
        return strung([string_of(left, "+"), string_of(right, "+")], scope)
    return arithmetic(pc.add_checked, left, right, scope)


def _sub(node: Any, scope: Scope) -> Value:
    return arithmetic(pc.subtract_checked, value_of(node.left, scope), value_of(node.right, scope), scope)


def _mul(node: Any, scope: Scope) -> Value:
    return arithmetic(pc.multiply_checked, value_of(node.left, scope), value_of(node.right, scope), scope)


def _divided(function: Callable[..., np.ndarray]) -> Callable[[Any, Scope], Value]:
    """`//` and `%` of whole numbers, rounded down as in Python; a row that divides by zero is odd."""

    def made(node: Any, scope: Scope) -> Value:
        first, second = (as_column(value_of(each, scope), scope.n) for each in (node.left, node.right))
        if not pt.is_integer(first.data.type) or not pt.is_integer(second.data.type):
            raise NotColumnar("a division of what are no whole numbers")
        by = second.data.fill_null(0).to_numpy()
        zero = by == 0
        quotient = function(first.data.fill_null(0).to_numpy(), np.where(zero, 1, by))
        odd = either(first.odd, second.odd, nulls_of(first.data), zero if zero.any() else None)
        return Column(pa.array(quotient, pa.int64()), odd)

    return made


def _neg(node: Any, scope: Scope) -> Value:
    value = value_of(node.node, scope)
    if isinstance(value, Const) and isinstance(value.value, (int, float)):
        return Const(-value.value)
    raise NotColumnar("minus a value of the row")


def _call(node: Any, scope: Scope) -> Value:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise NotColumnar("a call with named arguments")
    if isinstance(node.node, nodes.Name):
        return _function(node, scope)
    if not isinstance(node.node, nodes.Getattr):
        raise NotColumnar("a call")
    method, owner = node.node.attr, value_of(node.node.node, scope)
    if isinstance(owner, Record) and method == "get" and len(node.args) == 2:
        key, other = (value_of(each, scope) for each in node.args)
        found = _of_record(owner, key, scope) if isinstance(key, Column) else None
        if not isinstance(found, Column) or not isinstance(key, Column):
            raise NotColumnar("get by a constant")
        missing = numpy_mask(
            pc.fill_null(pc.is_in(key.data, value_set=pa.array(list(owner.items), key.data.type)), False)
        )
        bare = Column(found.data, key.odd)
        return merged(missing, bare, other, scope.n)
    given = [value_of(each, scope) for each in node.args]
    if method == "join" and isinstance(owner, Const) and len(given) == 1:
        return joined_list(given[0], owner, scope, strict=True)
    if isinstance(owner, Parts) and method in ATTRIBUTES[list]:
        owner = listed(owner, scope.n)
    if isinstance(owner, Column) and pt.is_list(owner.data.type) and method in ATTRIBUTES[list] and len(given) == 1:
        return list_method(owner, method, given[0], scope)
    args = [each.value for each in given if isinstance(each, Const)]
    if len(args) < len(given):
        raise NotColumnar(f".{method}() by a value of the row")
    return method_of(owner, method, args, scope)


def _function(node: Any, scope: Scope) -> Value:
    name = node.node.name
    if _knows(scope, name):
        raise NotColumnar("a call of a value")
    if name == "range":
        bounds = [value_of(each, scope) for each in node.args]
        if bounds and all(isinstance(each, Const) and type(each.value) is int for each in bounds):
            return Const(range(*(each.value for each in bounds)))
        start, stop = bounds if len(bounds) == 2 else (Const(0), bounds[0])
        if len(bounds) <= 2 and isinstance(start, Const) and type(start.value) is int and isinstance(stop, Column):
            if not pt.is_integer(stop.data.type):
                raise NotColumnar("range of what is no whole number")
            lengths = np.maximum(stop.data.fill_null(0).to_numpy() - start.value, 0)
            many = lengths > LIMITS.range
            lengths = np.where(many, 0, lengths)
            numbers = places_within(lengths) + start.value
            odd = either(stop.odd, nulls_of(stop.data), many if many.any() else None)
            return Column(lists_of(lengths, pa.array(numbers, pa.int64())), odd)
        raise NotColumnar("range of values of the row")
    if name == "choice" and len(node.args) == 1:
        return drawn(value_of(node.args[0], scope), scope)
    raise NotColumnar(f"{name}()")


def _filter(node: Any, scope: Scope) -> Value:
    name = node.name
    if name == "default" or name == "d":
        return _default(node, scope)
    if node.node is None or node.dyn_args or node.dyn_kwargs:
        raise NotColumnar("a filter block")
    view = _view(node.node, scope)
    value = value_of(node.node, scope) if view is None else view
    given = [value_of(each, scope) for each in node.args]
    named = {each.key: value_of(each.value, scope) for each in node.kwargs}
    args = [each if name in BY_ROW and isinstance(each, Column) else constant_of(each, name) for each in given]
    keys = {key: constant_of(each, name) for key, each in named.items()}
    if name in ("choice", "random"):
        if args or keys:
            raise NotColumnar(f"|{name} with arguments")
        return drawn(value, scope)
    made = FILTERS.get(name)
    if made is None:
        raise NotColumnar(f"|{name}")
    try:
        return made(value, scope, *args, **keys)
    except TypeError as error:
        raise NotColumnar(f"|{name}: {error}") from error


def constant_of(value: Value, name: str) -> Any:
    """The Python value of what is the same for every row."""
    if isinstance(value, Const):
        return value.value
    if isinstance(value, Parts):
        return tuple(constant_of(item, name) for item in value.items)
    raise NotColumnar(f"|{name} by a value of the row")


def _default(node: Any, scope: Scope) -> Value:
    if node.kwargs or len(node.args) not in (1, 2):
        raise NotColumnar("|default with named arguments")
    other, *rest = (value_of(each, scope) for each in node.args)
    also_empty = bool(rest and isinstance(rest[0], Const) and rest[0].value)
    if isinstance(node.node, nodes.Name) and not _knows(scope, node.node.name):
        if node.node.name in scope.program.sandbox.globals or node.node.name == "row":
            raise NotColumnar("|default of a function")
        return other
    value = value_of(node.node, scope)
    if not also_empty:
        return value
    mask, odd = truth(value, scope.n)
    made = merged(mask, value, other, scope.n)
    if odd is None:
        return made
    column = as_column(made, scope.n)
    return Column(column.data, either(column.odd, odd))


_EXPRESSIONS: dict[type, Callable[[Any, Scope], Value]] = {
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
