"""Jinja's filters over columns, each giving what it gives in our sandbox for every row that it does not mark as odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from mashq.templates.columns import (
    Column,
    Const,
    NotColumnar,
    Parts,
    Record,
    Value,
    by_value,
    either,
    flat,
    item_at,
    lengths_of,
    lists_of,
    nulls_of,
    numpy_mask,
    of_owner,
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
    string_of,
)

__all__ = ["FILTERS"]


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
    if isinstance(value, Parts) or (isinstance(value, Column) and pt.is_list(value.data.type)):
        if isinstance(value, Column):
            return Column(value.data, either(value.odd, nulls_of(value.data)))
        return value
    raise NotColumnar("|list of what is no list")


def _f_int(value: Value, scope: Scope) -> Value:
    """Of numbers, and of texts that are whole numbers; Jinja gives 0 for the rest."""
    if isinstance(value, Column) and pt.is_integer(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_boolean(value.data.type):
        return Column(value.data.cast(pa.int64()), either(value.odd, nulls_of(value.data)))
    if isinstance(value, Column) and pt.is_string(value.data.type):
        plain = pc.match_substring_regex(value.data, "^[0-9]{1,15}$")
        unlike = ~numpy_mask(pc.fill_null(plain, False))
        safe = pc.if_else(pc.fill_null(plain, False), value.data, "0").cast(pa.int64())
        return Column(safe, either(value.odd, unlike if unlike.any() else None))
    if isinstance(value, Column) and pt.is_floating(value.data.type):
        numbers = value.data.fill_null(0).to_numpy()
        wild = ~(np.abs(numbers) < 2.0**53)
        odd = either(value.odd, nulls_of(value.data), wild if wild.any() else None)
        return Column(pa.array(np.where(wild, 0, np.trunc(numbers)).astype(np.int64)), odd)
    raise NotColumnar("|int of this")


def _f_round(value: Value, scope: Scope) -> Value:
    """To whole numbers, half to even, as a float: Python's own."""
    if isinstance(value, Column) and (pt.is_floating(value.data.type) or pt.is_integer(value.data.type)):
        if pt.is_integer(value.data.type):
            raise NotColumnar("|round of whole numbers")
        rounded = pc.round(value.data, 0, round_mode="half_to_even")
        return Column(rounded, either(value.odd, nulls_of(value.data)))
    raise NotColumnar("|round of this")


def _f_float(value: Value, scope: Scope) -> Value:
    """Of numbers; a text may be no number, of which Jinja makes 0.0."""
    if isinstance(value, Column) and (pt.is_integer(value.data.type) or pt.is_floating(value.data.type)):
        return Column(value.data.cast(pa.float64()), either(value.odd, nulls_of(value.data)))
    raise NotColumnar("|float of this")


def _f_unique(value: Value, scope: Scope) -> Value:
    """Of texts that do not differ in case alone, which Jinja takes for one."""
    if not isinstance(value, Column) or not pt.is_list(value.data.type) or not pt.is_string(value.data.type.value_type):
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
    """select, reject, selectattr, rejectattr: items of a list by a test with constant arguments."""

    def made(value: Value, scope: Scope, *args: Any) -> Value:
        if not isinstance(value, Column) or not pt.is_list(value.data.type):
            raise NotColumnar("a selection from what is no list")
        lengths, items = lengths_of(value.data), Column(flat(value.data))
        inner = Scope(scope.program, len(items.data), {}, None)
        asked: Value = items
        rest = args
        if by_part:
            if not args or not isinstance(args[0], str) or "." in args[0]:
                raise NotColumnar("a selection by this part")
            asked, rest = field_of(items, args[0]), args[1:]
        mask, odd = _tested(asked, inner, *rest)
        kept = np.broadcast_to(np.asarray(mask), (inner.n,))
        kept = kept if keeps else ~kept
        owner = np.repeat(np.arange(scope.n), lengths)[kept]
        strange = either(value.odd, nulls_of(value.data), of_owner(odd, lengths))
        taken = items.data.filter(pa.array(kept))
        return Column(lists_of(np.bincount(owner, minlength=scope.n), taken), strange)

    return made


def _tested(value: Value, scope: Scope, name: str | None = None, *args: Any) -> tuple[np.ndarray | bool, Any]:
    if name is None:
        return truth(value, scope.n)
    op = {"equalto": "eq", "==": "eq", "eq": "eq", "!=": "ne", "ne": "ne", "in": "in"}.get(name)
    if op is None or len(args) != 1:
        raise NotColumnar(f"a selection by the test '{name}'")
    given = args[0]
    other: Value = Parts(tuple(map(Const, given))) if isinstance(given, (list, tuple)) else Const(given)
    return truth(compared(op, value, other, scope), scope.n)


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
    "unique": _f_unique,
    "map": _f_map,
    "select": _selecting(True, False),
    "reject": _selecting(False, False),
    "selectattr": _selecting(True, True),
    "rejectattr": _selecting(False, True),
    **{name: _textual(name) for name in ("lower", "upper", "capitalize")},
}
