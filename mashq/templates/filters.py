"""Jinja's filters over columns, each giving what it gives in our sandbox for every row that it does not mark as odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from jinja2.filters import do_float, do_int, do_sort

from mashq.templates.columns import (
    Column,
    Const,
    NotColumnar,
    Parts,
    Record,
    Value,
    by_row,
    by_value,
    either,
    flat,
    item_at,
    lengths_of,
    listed,
    lists_of,
    nulls_of,
    numpy_mask,
    of_owner,
    owners_of,
    trimmed,
    truth,
    unique_within,
)
from mashq.templates.operations import (
    Scope,
    as_text,
    compared,
    field_of,
    joined_list,
    method_of,
    spread,
    string_of,
)

__all__ = ["BY_ROW", "FILTERS"]


def _soft(value: Value, scope: Scope) -> Column | Const:
    """Filters of text write what is no text first; None is empty text in our dialect, an odd row in PromptSource's."""
    if scope.program.plain and isinstance(value, Column) and (value.data.null_count or pt.is_null(value.data.type)):
        return Column(as_text(value.data).fill_null(""), value.odd)
    if scope.program.plain and isinstance(value, Const) and value.value is None:
        return Const("")
    if isinstance(value, Column) and not pt.is_string(value.data.type):
        return Column(as_text(value.data), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Const) and isinstance(value.value, (bool, int, float)):
        return Const(str(value.value))
    return string_of(value, "a filter")


def _textual(method: str) -> Callable[..., Value]:
    def made(value: Value, scope: Scope) -> Value:
        return method_of(_soft(value, scope), method, [], scope)

    return made


def _f_trim(value: Value, scope: Scope, chars: str | None = None) -> Value:
    text = _soft(value, scope)
    if isinstance(text, Const):
        return Const(text.value.strip(chars))
    return Column(trimmed(text.data, chars), text.odd)


def _f_replace(value: Value, scope: Scope, old: Any, new: Any) -> Value:
    text = _soft(value, scope)
    if not isinstance(old, str) or not isinstance(new, str) or not old:
        raise NotColumnar("|replace of what is no text")
    if isinstance(text, Const):
        return Const(text.value.replace(old, new))
    return Column(pc.replace_substring(text.data, old, new), text.odd)


def _f_string(value: Value, scope: Scope) -> Value:
    if isinstance(value, Column) and value.data.null_count:
        return Column(as_text(value.data).fill_null("" if scope.program.plain else "None"), value.odd)
    if isinstance(value, Column):
        return Column(as_text(value.data), value.odd)
    if isinstance(value, Const) and isinstance(value.value, (str, bool, int, float)):
        return Const(str(value.value))
    raise NotColumnar("|string of a list")


def _f_length(value: Value, scope: Scope) -> Value:
    if isinstance(value, (Parts, Record)):
        return Const(len(value.items))
    if isinstance(value, Const) and isinstance(value.value, str):
        return Const(len(value.value))
    if isinstance(value, Column) and pt.is_list(value.data.type):
        return Column(pa.array(lengths_of(value.data)), either(value.odd, nulls_of(value.data)))
    text = string_of(value, "|length")
    assert isinstance(text, Column)
    return Column(pc.utf8_length(text.data).cast(pa.int64()), text.odd)


def _end(at: int) -> Callable[..., Value]:
    def made(value: Value, scope: Scope) -> Value:
        if isinstance(value, Parts) and value.items:
            return value.items[at]
        if isinstance(value, Column) and pt.is_list(value.data.type):
            return item_at(value, at)
        if isinstance(value, Column) and pt.is_string(value.data.type):
            letter = pc.utf8_slice_codeunits(value.data, at, 1 if at == 0 else None)
            bare = numpy_mask(pc.fill_null(pc.equal(letter, ""), True))
            return Column(letter, either(value.odd, bare if bare.any() else None))
        raise NotColumnar("|first or |last of what is no list")

    return made


def _f_list(value: Value, scope: Scope) -> Value:
    """The items of a list, the keys of a record, the letters of a text."""
    if isinstance(value, Parts):
        return value
    if isinstance(value, Record):
        return Parts(tuple(map(Const, value.items)))
    if isinstance(value, Column) and pt.is_list(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    text = string_of(value, "|list")
    if isinstance(text, Const):
        return Parts(tuple(map(Const, text.value)))
    return Column(by_value(text.data, list, pa.list_(pa.string())), text.odd)


def _items_of(value: Value, scope: Scope) -> Column:
    """What `|list` gives, as a column of lists."""
    made = _f_list(value, scope)
    return listed(made, scope.n) if isinstance(made, Parts) else made  # type: ignore[return-value]


def _f_sort(value: Value, scope: Scope, reverse: bool = False, case_sensitive: bool = False) -> Value:
    items = _items_of(value, scope)
    kind = items.data.type
    return by_row(items, lambda each: do_sort(scope.program.sandbox, each, reverse, case_sensitive), kind)


def _f_int(value: Value, scope: Scope, default: int = 0) -> Value:
    """Of numbers, and of texts as Jinja reads them."""
    if isinstance(value, Column) and pt.is_integer(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_boolean(value.data.type):
        return Column(value.data.cast(pa.int64()), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_string(value.data.type) and type(default) is int:
        numbers = by_value(value.data, lambda text: _held(do_int(text, default)), pa.int64())
        return Column(numbers, either(value.odd, nulls_of(numbers)))
    if isinstance(value, Column) and pt.is_floating(value.data.type):
        numbers = value.data.fill_null(0).to_numpy()
        wild = ~(np.abs(numbers) < 2.0**53)
        odd = either(value.odd, nulls_of(value.data), wild if wild.any() else None)
        return Column(pa.array(np.where(wild, 0, np.trunc(numbers)).astype(np.int64)), odd)
    raise NotColumnar("|int of this")


def _held(number: int) -> int | None:
    """The number, or None where a column cannot hold it."""
    return number if -(2**63) <= number < 2**63 else None


def _f_round(value: Value, scope: Scope) -> Value:
    """To whole numbers, half to even, as a float: Python's own."""
    if isinstance(value, Column) and (pt.is_floating(value.data.type) or pt.is_integer(value.data.type)):
        if pt.is_integer(value.data.type):
            raise NotColumnar("|round of whole numbers")
        rounded = pc.round(value.data, 0, round_mode="half_to_even")
        return Column(rounded, either(value.odd, nulls_of(value.data)))
    raise NotColumnar("|round of this")


def _f_float(value: Value, scope: Scope, default: float = 0.0) -> Value:
    """Of numbers, and of texts as Jinja reads them."""
    if isinstance(value, Column) and (pt.is_integer(value.data.type) or pt.is_floating(value.data.type)):
        return Column(value.data.cast(pa.float64()), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_string(value.data.type) and type(default) is float:
        numbers = by_value(value.data, lambda text: do_float(text, default), pa.float64())
        return Column(numbers, either(value.odd, nulls_of(value.data)))
    raise NotColumnar("|float of this")


def _f_unique(value: Value, scope: Scope) -> Value:
    """Of texts that do not differ in case alone, which Jinja takes for one."""
    value = _items_of(value, scope)
    if not pt.is_string(value.data.type.value_type):
        raise NotColumnar("|unique of this")
    values, lengths = flat(value.data), lengths_of(value.data)
    cased = nulls_of(values)
    folded = by_value(values, lambda text: text.lower() != text, pa.bool_())
    if len(folded):
        cased = either(cased, numpy_mask(pc.fill_null(pc.or_(folded, pc.equal(values, "")), False)))
    counts, kept = unique_within(lengths, values.fill_null("-"))
    return Column(lists_of(counts, kept), either(value.odd, nulls_of(value.data), of_owner(cased, lengths)))


def _f_join(value: Value, scope: Scope, d: Any = "", attribute: Any = None) -> Value:
    if attribute is not None:
        if not isinstance(value, Column) or not pt.is_list(value.data.type) or not isinstance(attribute, str):
            raise NotColumnar("|join by a part of this")
        inner = field_of(Column(flat(value.data)), attribute)
        lengths = lengths_of(value.data)
        odd = either(value.odd, nulls_of(value.data), of_owner(inner.odd, lengths))
        value = Column(lists_of(lengths, inner.data), odd)
    return joined_list(value, Const(d), scope)


_OF_ITEMS = ("trim", "lower", "upper", "string", "replace", "capitalize", "length", "float", "int")


def _f_map(value: Value, scope: Scope, *args: Any, attribute: Any = None) -> Value:
    if isinstance(value, Parts) and attribute is None and args and args[0] in _OF_ITEMS:
        return Parts(tuple(FILTERS[args[0]](item, scope, *args[1:]) for item in value.items))
    if not isinstance(value, Column) or not pt.is_list(value.data.type):
        raise NotColumnar("|map of what is no list")
    lengths, items = lengths_of(value.data), Column(flat(value.data))
    inner = Scope(scope.program, len(items.data), {}, None)
    if isinstance(attribute, str) and not args:
        made: Value = field_of(items, attribute)
    elif (
        attribute is None and args and args[0] in ("trim", "lower", "upper", "string", "replace", "title", "capitalize")
    ):
        made = FILTERS[args[0]](items, inner, *args[1:])
    else:
        raise NotColumnar("|map of this")
    assert isinstance(made, Column)
    return Column(lists_of(lengths, made.data), either(value.odd, nulls_of(value.data), of_owner(made.odd, lengths)))


def _selecting(keeps: bool, by_part: bool) -> Callable[..., Value]:
    """select, reject, selectattr, rejectattr: items of a list by a test against constants or a value of the row."""

    def made(value: Value, scope: Scope, *args: Any) -> Value:
        value = _items_of(value, scope)
        lengths, items = lengths_of(value.data), Column(flat(value.data))
        owner = owners_of(lengths)
        inner = Scope(scope.program, len(items.data), {}, None)
        strange = either(value.odd, *(each.odd for each in args if isinstance(each, Column)))
        rest = [spread(each, owner) if isinstance(each, Column) else each for each in args]
        if by_part:
            if not rest or not isinstance(rest[0], str) or "." in rest[0]:
                raise NotColumnar("a selection by this part")
            asked: Value = field_of(items, rest.pop(0))
        else:
            asked = items
        mask, odd = _tested(asked, inner, *rest)
        kept = np.broadcast_to(np.asarray(mask), (inner.n,))
        kept = kept if keeps else ~kept
        taken = items.data.filter(pa.array(kept))
        counts = np.bincount(owner[kept], minlength=scope.n)
        return Column(lists_of(counts, taken), either(strange, of_owner(odd, lengths)))

    return made


def _tested(value: Value, scope: Scope, name: str | None = None, *args: Any) -> tuple[np.ndarray | bool, Any]:
    if name is None:
        return truth(value, scope.n)
    op = {"equalto": "eq", "==": "eq", "eq": "eq", "!=": "ne", "ne": "ne", "in": "in"}.get(name)
    if op is None or len(args) != 1:
        raise NotColumnar(f"a selection by the test '{name}'")
    given = args[0]
    other: Value = Parts(tuple(map(Const, given))) if isinstance(given, (list, tuple)) else Const(given)
    return truth(compared(op, value, given if isinstance(given, Column) else other, scope), scope.n)


# Filters that take a value of the row, and not only constants.
BY_ROW = frozenset({"select", "reject", "selectattr", "rejectattr"})
FILTERS: dict[str, Callable[..., Value]] = {
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
    "float": _f_float,
    "round": _f_round,
    "sort": _f_sort,
    "unique": _f_unique,
    "map": _f_map,
    "select": _selecting(True, False),
    "reject": _selecting(False, False),
    "selectattr": _selecting(True, True),
    "rejectattr": _selecting(False, True),
    **{name: _textual(name) for name in ("lower", "upper", "capitalize")},
}
