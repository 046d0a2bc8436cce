"""What templates do with values, a column at a time: text of a value, comparisons, joins, methods of text.

Each function gives what Jinja in our sandbox gives for every row that it does not mark as odd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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
    interleaved,
    item_at,
    joined,
    leaf,
    lengths_of,
    lists_of,
    nulls_of,
    numpy_mask,
    of_owner,
    offsets_of,
    owners_of,
    repeated,
    rows_with,
    truth,
    within,
    words_of,
)
from mashq.templates.rendering import SEPARATOR
from mashq.templates.sandbox import ATTRIBUTES, Sandbox
from mashq.templates.template import Dialect, Template

__all__ = [
    "GROWTH",
    "LEAST_GROWTH",
    "UNROLLED",
    "Columnar",
    "Loop",
    "Scope",
    "arithmetic",
    "as_text",
    "chained",
    "compared",
    "drawn",
    "empty_lists",
    "field_of",
    "joinable",
    "joined_list",
    "list_method",
    "mask_value",
    "method_of",
    "spread",
    "string_of",
    "strung",
    "text_of",
]

UNROLLED = 64  # turns of a loop over a list written in the template


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
    flat: bool  # whether the `|||` are found in the text that was written, and not in the template

    @property
    def plain(self) -> bool:
        return self.template.dialect == Dialect.PLAIN


@dataclass
class Loop:
    """The variable `loop`: place in the list and length of the list, one value a turn."""

    index: Any
    length: Any


@dataclass
class Scope:
    """Names and their values over n rows; inside a loop, over the turns of all rows."""

    program: Columnar
    n: int
    names: dict[str, Any]
    ids: pa.Array | None  # for choices; None inside branches and loops, where the count of draws differs by row
    draws: list[int] = field(default_factory=lambda: [0])
    outer: Scope | None = None
    owner: np.ndarray | None = None  # (n,) the outer row of each turn
    memo: dict[str, Any] | None = None  # comparisons of the fields alone, which the templates of a data set share
    words: dict[tuple[int, int, int], tuple[pa.Array, pa.Array]] = field(default_factory=dict)  # see `words_in`

    def find(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if self.outer is None:
            raise NotColumnar(f"the name '{name}'")
        value = spread(self.outer.find(name), self.owner)
        self.names[name] = value
        return value

    def inner(self) -> Scope:
        """The same rows; what is set inside is not seen outside, and nothing is drawn."""
        return replace(self, names=dict(self.names), ids=None)

    def words_in(self, texts: pa.Array) -> pa.Array:
        """`words_of`, cut once: templates ask for the words of one text in a condition, the prompt and the target."""
        key = (texts.buffers()[1].address, texts.offset, len(texts))
        if key not in self.words:
            self.words[key] = texts, words_of(texts)  # the texts too: their address is taken as long as they live
        return self.words[key][1]


def spread(value: Any, owner: np.ndarray | None) -> Any:
    """A value of the outer rows, repeated for the turns of each."""
    if owner is None or isinstance(value, (Const, Loop)):
        return value
    if isinstance(value, Column):
        return Column(value.data.take(pa.array(owner)), None if value.odd is None else value.odd[owner])
    if isinstance(value, Parts):
        return Parts(tuple(spread(item, owner) for item in value.items))
    return Record({key: spread(item, owner) for key, item in value.items.items()})


def empty_lists(lengths: np.ndarray) -> np.ndarray | None:
    return None if lengths.all() else lengths == 0


def field_of(owner: Column, name: str) -> Column:
    kind = owner.data.type
    if not pt.is_struct(kind) or kind.get_field_index(name) < 0:
        raise NotColumnar(f"the field '{name}', which the record has not")
    return Column(leaf(pc.struct_field(owner.data, name)), either(owner.odd, nulls_of(owner.data)))


def text_of(value: Value, scope: Scope) -> Const | Column:
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
    data = as_text(value.data)
    return Column(data.fill_null(absent) if data.null_count else data, value.odd)


def as_text(data: pa.Array) -> pa.Array:
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


def string_of(value: Value, what: str) -> Column | Const:
    """A text; where it is None, which has no methods, the row is odd."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return value
    if isinstance(value, Column) and pt.is_string(value.data.type):
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    raise NotColumnar(f"{what} of what is no text")


def mask_value(mask: np.ndarray | bool, odd: Any) -> Value:
    if isinstance(mask, np.ndarray):
        return Column(pa.array(mask), odd)
    return Const(mask) if odd is None else Column(pa.array(np.full(len(odd), mask)), odd)


_ORDER: dict[str, Callable[..., pa.Array]] = {
    "lt": pc.less,
    "lteq": pc.less_equal,
    "gt": pc.greater,
    "gteq": pc.greater_equal,
}


def compared(op: str, left: Value, right: Value, scope: Scope) -> Value:
    if op in ("ne", "notin"):
        mask, odd = truth(compared("eq" if op == "ne" else "in", left, right, scope), scope.n)
        return mask_value(~mask if isinstance(mask, np.ndarray) else not mask, odd)
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
    return mask_value(numpy_mask(pc.fill_null(said, False)), either(odd, nulls_of(first.data), nulls_of(second.data)))


def _equal(first: Column, second: Column, numbers: Sequence[bool], odd: Any) -> Value:
    n = len(first.data)
    both_null = pc.and_(first.data.is_null(), second.data.is_null())
    kinds = [each.data.type for each in (first, second)]
    if any(pt.is_null(kind) for kind in kinds):
        return mask_value(numpy_mask(both_null), odd)
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
    return mask_value(numpy_mask(pc.or_(pc.fill_null(same, False), both_null)), odd)


def _contained(item: Value, owner: Value, scope: Scope) -> Value:
    if isinstance(owner, Record):
        owner = Parts(tuple(Const(key) for key in owner.items))
    if isinstance(owner, Parts):
        mask: Any = False
        odd = None
        for each in owner.items:
            said, strange = truth(compared("eq", item, each, scope), scope.n)
            mask, odd = mask | np.asarray(said), either(odd, strange)
        return mask_value(np.broadcast_to(mask, (scope.n,)).copy(), odd)
    if isinstance(owner, Const) and isinstance(owner.value, range) and len(owner.value) <= UNROLLED:
        return _contained(item, Parts(tuple(map(Const, owner.value))), scope)
    if isinstance(owner, Const) and isinstance(owner.value, str):
        if isinstance(item, Const):
            return Const(item.value in owner.value)
        text = string_of(item, "in")
        assert isinstance(text, Column)
        inside = by_value(text.data, lambda value: value in owner.value, pa.bool_())
        return mask_value(numpy_mask(pc.fill_null(inside, False)), text.odd)
    if isinstance(owner, Column) and pt.is_list(owner.data.type):
        hit, odd = _hits(item, owner, scope)
        return mask_value(rows_with(hit, lengths_of(owner.data)), odd)
    text = string_of(owner, "in")
    assert isinstance(text, Column)
    if isinstance(item, Const) and isinstance(item.value, str):
        return mask_value(numpy_mask(pc.fill_null(pc.match_substring(text.data, item.value), False)), text.odd)
    part = string_of(item, "in")
    assert isinstance(part, Column)
    inside = within(part.data.fill_null(""), text.data.fill_null(""))
    return mask_value(inside, either(part.odd, text.odd))


def _hits(item: Value, owner: Column, scope: Scope) -> tuple[np.ndarray, Any]:
    """Which items of all lists equal the value of their row, (items,) bool; and the odd rows."""
    lengths = lengths_of(owner.data)
    rows = owners_of(lengths)
    inner = Scope(scope.program, len(rows), {}, None)
    hit, strange = truth(compared("eq", spread(item, rows), Column(flat(owner.data)), inner), inner.n)
    odd = either(owner.odd, item.odd if isinstance(item, Column) else None, nulls_of(owner.data))
    return np.broadcast_to(np.asarray(hit), rows.shape), either(odd, of_owner(strange, lengths))


def list_method(owner: Column, method: str, item: Value, scope: Scope) -> Column:
    """`list.count(item)`, or `list.index(item)`, which is odd where the list has no such item."""
    hit, odd = _hits(item, owner, scope)
    lengths = lengths_of(owner.data)
    rows = owners_of(lengths)[hit]
    if method == "count":
        return Column(pa.array(np.bincount(rows, minlength=scope.n)), odd)
    found, first = np.unique(rows, return_index=True)
    places = np.full(scope.n, -1)
    places[found] = np.flatnonzero(hit)[first] - offsets_of(lengths)[found]
    missing = places < 0
    return Column(pa.array(places), either(odd, missing if missing.any() else None))


def chained(left: Column, right: Column, n: int) -> Column:
    """Two lists of each row, one after the other."""
    lists = [left.data, right.data]
    if not all(pt.is_list(each.type) for each in lists):
        raise NotColumnar("a list and another value")
    lengths, values = interleaved([(lengths_of(each), flat(each)) for each in lists], n)
    return Column(lists_of(lengths, values), either(left.odd, right.odd, *map(nulls_of, lists)))


def joinable(value: Value, scope: Scope) -> Value:
    """`~` and join write None as empty text in our dialect; in PromptSource's, where it is "None", the row is odd."""
    if scope.program.plain:
        return value
    if isinstance(value, Column) and value.data.null_count:
        return Column(value.data, either(value.odd, nulls_of(value.data)))
    if isinstance(value, Const) and value.value is None:
        raise NotColumnar("None in a joined text")
    return value


def strung(texts: Sequence[Const | Column], scope: Scope) -> Value:
    if all(isinstance(each, Const) for each in texts):
        return Const("".join(each.value for each in texts))  # type: ignore[union-attr]
    odd = None
    for each in texts:
        odd = either(odd, each.odd) if isinstance(each, Column) else odd
    pieces = [each.value if isinstance(each, Const) else each.data for each in texts]
    made = joined([piece for piece in pieces if not (isinstance(piece, str) and not piece)], scope.n)
    _modest(made, scope)
    return Column(made, odd)


def _modest(made: pa.Array, scope: Scope) -> None:
    """Text that doubles and doubles is left to Jinja, whose budget ends it."""
    if made.nbytes > LEAST_GROWTH + GROWTH * scope.n * 1024:
        raise NotColumnar("a text that grows without end")


def arithmetic(function: Callable[..., pa.Array], left: Value, right: Value, scope: Scope) -> Value:
    first, second = as_column(left, scope.n), as_column(right, scope.n)
    kinds = (first.data.type, second.data.type)
    if not all(pt.is_integer(kind) or pt.is_floating(kind) for kind in kinds):
        raise NotColumnar("arithmetic of what are no numbers")
    odd = either(first.odd, second.odd, nulls_of(first.data), nulls_of(second.data))
    try:
        return Column(function(first.data, second.data), odd)
    except pa.ArrowInvalid as error:
        raise NotColumnar("a number of more than 64 bits") from error


_PURE = ATTRIBUTES[str] - {"format", "join", "replace"}


def method_of(owner: Value, method: str, args: list[Any], scope: Scope) -> Value:
    """A method of text with constant arguments."""
    text = string_of(owner, f".{method}()")
    if method not in _PURE | {"replace"}:
        raise NotColumnar(f".{method}()")
    if isinstance(text, Const):
        made = getattr(text.value, method)(*args)
        return Parts(tuple(map(Const, made))) if isinstance(made, (list, tuple)) else Const(made)
    if method == "split" and not args and len(text.data):
        return Column(scope.words_in(text.data), text.odd)
    return Column(_method_kernel(text.data, method, args), text.odd)


_TRIM = {"strip": pc.utf8_trim, "lstrip": pc.utf8_ltrim, "rstrip": pc.utf8_rtrim}


def _method_kernel(data: pa.Array, method: str, args: list[Any]) -> pa.Array:
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
    if method == "split" and not args:
        return words_of(data)
    if method in ("startswith", "endswith") and len(args) == 1 and isinstance(args[0], str):
        return (pc.starts_with if method == "startswith" else pc.ends_with)(data, args[0])
    try:
        sample = getattr("a", method)(*args)
        kinds: dict[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64()}
        kinds |= {list: pa.list_(pa.string()), tuple: pa.list_(pa.string())}
        return by_value(data, lambda value: getattr(value, method)(*args), kinds[type(sample)])
    except (TypeError, ValueError) as error:
        raise NotColumnar(f".{method}(): {error}") from error


def joined_list(listed: Value, separator: Const, scope: Scope, strict: bool = False) -> Value:
    if not isinstance(separator.value, str) or (SEPARATOR in separator.value and not scope.program.flat):
        raise NotColumnar("a join by this")
    if isinstance(listed, Parts):
        texts: list[Const | Column] = []
        for i, item in enumerate(listed.items):
            if strict and not (isinstance(item, Const) and isinstance(item.value, str)):
                raise NotColumnar(".join() of values of the row")
            texts += [separator] * bool(i)
            texts.append(text_of(joinable(item, scope), scope))
        return strung(texts, scope)
    if not isinstance(listed, Column) or not pt.is_list(listed.data.type):
        raise NotColumnar("a join of what is no list")
    values = flat(listed.data)
    if strict and not pt.is_string(values.type):
        raise NotColumnar(".join() of what are no texts")
    odd = either(listed.odd, nulls_of(listed.data))
    if strict or not scope.program.plain:
        odd = either(odd, of_owner(nulls_of(values), lengths_of(listed.data)))
    texts_of = as_text(values)
    lists = lists_of(lengths_of(listed.data), texts_of.fill_null("") if texts_of.null_count else texts_of)
    made = pc.binary_join(lists, separator.value)
    _modest(made, scope)
    return Column(made, odd)


def drawn(listed: Value, scope: Scope) -> Value:
    """`choice`: the number that the sandbox's budget draws, for every row."""
    if scope.ids is None:
        raise NotColumnar("a choice in a branch or loop")
    scope.draws[0] += 1
    tail = scope.program.seed + scope.draws[0].to_bytes(4, "little")
    numbers = np.fromiter(
        (xxhash.xxh3_64_intdigest(one + tail) for one in scope.ids.to_pylist()), dtype=np.uint64, count=scope.n
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
        return Column(made.data, either(made.odd, empty_lists(lengths)))
    raise NotColumnar("a choice of what is no list")
