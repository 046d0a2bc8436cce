"""What a template's values are when a whole batch of rows is rendered at once, and the Arrow kernels that work on them.

A value is the same for every row (`Const`), one a row (`Column`), or a list or record whose parts are values (`Parts`,
`Record`). Each kernel gives exactly what Jinja in our sandbox gives for that row, or marks the row as `odd`: an odd row
is rendered again by Jinja itself, which knows its error or its reason. What no kernel can do for a whole batch raises
`NotColumnar`, and the batch goes through Jinja.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

__all__ = [
    "SPACE",
    "Column",
    "Const",
    "NotColumnar",
    "Parts",
    "Record",
    "Value",
    "by_row",
    "by_value",
    "choose",
    "flat",
    "gather",
    "holds",
    "interleaved",
    "item_at",
    "joined",
    "leaf",
    "listed",
    "lists_of",
    "merged",
    "odd_rows",
    "of_owner",
    "owners_of",
    "places_within",
    "repeated",
    "rows_with",
    "sliced",
    "trimmed",
    "truth",
    "unique_within",
    "within",
    "words_of",
]

# What Python's `str.strip` takes off: Arrow's own notion of white space is another.
SPACE = "".join(chr(i) for i in range(0x110000) if chr(i).isspace())
Odd = np.ndarray | None  # (rows,) bool; None = no row
Bound = int | np.ndarray | None  # of a slice: for all rows, or (rows,) one a row


class NotColumnar(Exception):
    """A part of a template that has no kernel, or has none for these types. The text says which."""


@dataclass(frozen=True)
class Const:
    """A value that is the same for every row."""

    value: Any


@dataclass(frozen=True)
class Column:
    """One value a row; null is None. In odd rows the value means nothing."""

    data: pa.Array
    odd: Odd = None


@dataclass(frozen=True)
class Parts:
    """A list of the same length in every row."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Record:
    """A record whose keys are written in the template."""

    items: Mapping[Any, Value]


Value = Const | Column | Parts | Record


def leaf(array: pa.Array) -> pa.Array:
    """A column of a file -> a type that kernels know: string, int64, float64, bool, lists and records of them."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    wanted = _known(array.type)
    return array if array.type == wanted else array.cast(wanted)


def _known(kind: pa.DataType) -> pa.DataType:
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.string()
    if pt.is_integer(kind):
        return pa.int64()
    if pt.is_float32(kind) or pt.is_float64(kind):
        return pa.float64()
    if pt.is_boolean(kind) or pt.is_null(kind):
        return kind
    if pt.is_list(kind) or pt.is_large_list(kind):
        return pa.list_(_known(kind.value_type))
    if pt.is_struct(kind):
        return pa.struct([(field.name, _known(field.type)) for field in kind])
    if pt.is_dictionary(kind):
        return _known(kind.value_type)
    raise NotColumnar(f"a column of type {kind}")


# --- odd rows --------------------------------------------------------------------------------------------------------


def either(*odds: Odd) -> Odd:
    """Odd in any of them."""
    found: Odd = None
    for odd in odds:
        if odd is not None:
            found = odd if found is None else found | odd
    return found


def numpy_mask(array: pa.Array) -> np.ndarray:
    """A bool column without nulls -> (rows,) bool."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def nulls_of(array: pa.Array) -> Odd:
    """Rows that hold None, or None where there are none."""
    return numpy_mask(array.is_null()) if array.null_count else None


def holds(array: pa.Array, mark: str) -> bool:
    """Whether any text, at any depth, holds the mark."""
    if pt.is_struct(array.type):
        return any(holds(pc.struct_field(array, [i]), mark) for i in range(array.type.num_fields))
    if pt.is_list(array.type):
        return holds(flat(array), mark)
    return pt.is_string(array.type) and _stands_in(mark.encode(), _bytes_of(array))


def _stands_in(mark: bytes, text: bytes) -> bool:
    """Its first byte is asked for first: a single byte is found sixty times faster than several."""
    return mark[:1] in text and mark in text


def _bytes_of(array: pa.Array) -> bytes:
    """All texts of a column, one after another."""
    data = array.buffers()[2]
    if data is None or not len(array):
        return b""
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    return bytes(memoryview(data)[offsets[0] : offsets[-1]])


def odd_rows(array: pa.Array, marks: Sequence[str]) -> Odd:
    """Rows with a text, at any depth, that holds one of the marks."""
    if pt.is_struct(array.type):
        return either(*(odd_rows(pc.struct_field(array, [i]), marks) for i in range(array.type.num_fields)))
    if pt.is_list(array.type):
        return of_owner(odd_rows(flat(array), marks), lengths_of(array))
    if not pt.is_string(array.type) or not len(array):
        return None
    text = _bytes_of(array)
    found = [mark for mark in marks if _stands_in(mark.encode(), text)]
    if not found:
        return None
    return numpy_mask(pc.fill_null(either_match(array, found), False))


def either_match(array: pa.Array, marks: Sequence[str]) -> pa.Array:
    """Rows that hold one of the marks; null where the text is null."""
    hits = [pc.match_substring(array, mark) for mark in marks]
    while len(hits) > 1:
        hits.append(pc.or_(hits.pop(), hits.pop()))
    return hits[0]


# --- lists -----------------------------------------------------------------------------------------------------------


def lengths_of(array: pa.Array) -> np.ndarray:
    """How many items each list has; 0 for null."""
    return np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def flat(array: pa.Array) -> pa.Array:
    """The items of all lists that are not null, in order."""
    return array.flatten()


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(n,) lengths -> (n + 1,) places where each list begins and ends among the flat items."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def owners_of(lengths: np.ndarray) -> np.ndarray:
    """The row of each item of lists of these lengths."""
    return np.repeat(np.arange(len(lengths)), lengths)


def places_within(lengths: np.ndarray) -> np.ndarray:
    """The place of each item in its own list."""
    return np.arange(int(lengths.sum())) - np.repeat(offsets_of(lengths)[:-1], lengths)


def lists_of(lengths: np.ndarray, values: pa.Array) -> pa.Array:
    """Flat items and how many each row has -> lists."""
    return pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), values)


def of_owner(odd: np.ndarray | None, lengths: np.ndarray) -> np.ndarray | None:
    """Odd items -> the rows whose lists hold them."""
    return None if odd is None else rows_with(odd, lengths)


def rows_with(items: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(items,) bool -> (rows,) bool: rows whose list holds one of them."""
    rows = np.zeros(len(lengths), dtype=bool)
    rows[owners_of(lengths)[items]] = True
    return rows


def item_at(column: Column, index: Any) -> Column:
    """`list[index]` for an int or (rows,) ints; a row without such an item is odd."""
    lengths = lengths_of(column.data)
    starts = offsets_of(lengths)[:-1].astype(np.int64)
    index = np.broadcast_to(np.asarray(index, dtype=np.int64), lengths.shape)
    place = np.where(index < 0, index + lengths, index)
    fits = (place >= 0) & (place < lengths)
    data = flat(column.data).take(pa.array(starts + place, mask=~fits))
    return Column(data, either(column.odd, None if fits.all() else ~fits))


def gather(column: Column, start: Bound, stop: Bound) -> Column:
    """`list[start:stop]`, each bound as in Python, the same for all rows or one a row."""
    lengths = lengths_of(column.data)
    first, last = _bound(start, lengths, 0), _bound(stop, lengths, None)
    kept = np.maximum(last - first, 0)
    begins = offsets_of(lengths)[:-1].astype(np.int64) + first
    values = flat(column.data).take(pa.array(np.repeat(begins, kept) + places_within(kept)))
    return Column(lists_of(kept, values), either(column.odd, nulls_of(column.data)))


def _bound(at: Bound, lengths: np.ndarray, absent: int | None) -> np.ndarray:
    if at is None:
        return lengths if absent is None else np.zeros_like(lengths)
    return np.where(np.asarray(at) >= 0, np.minimum(at, lengths), np.maximum(lengths + at, 0))


def sliced(column: Column, start: Bound, stop: Bound, step: Any = None) -> Column:
    """`value[start:stop:step]` of lists or texts, as in Python."""
    data, odd = column.data, either(column.odd, nulls_of(column.data))
    if isinstance(step, np.ndarray) or step == 0:
        raise NotColumnar("a slice with this step")
    if pt.is_list(data.type) and step is None:
        return gather(column, start, stop)
    fixed = not isinstance(start, np.ndarray) and not isinstance(stop, np.ndarray)
    if pt.is_string(data.type) and step is None and fixed and stop != 0:
        return Column(pc.utf8_slice_codeunits(data, start or 0, stop), odd)
    firsts, lasts = (each if isinstance(each, np.ndarray) else [each] * len(data) for each in (start, stop))
    rows = zip(data.to_pylist(), firsts, lasts, strict=True)
    return Column(pa.array([None if value is None else value[a:b:step] for value, a, b in rows], data.type), odd)


def interleaved(columns: Sequence[tuple[np.ndarray, pa.Array]], n: int) -> tuple[np.ndarray, pa.Array]:
    """Several lists a row, each as (lengths, flat items) -> the one list of a row that has all of them in order."""
    if len(columns) == 1:
        return columns[0]
    lengths = np.sum([each for each, _ in columns], axis=0)
    owner = np.concatenate([owners_of(each) for each, _ in columns])
    values = pa.concat_arrays([each for _, each in columns])
    return lengths, values.take(pa.array(np.argsort(owner, kind="stable")))


def listed(parts: Parts, n: int) -> Column:
    """A list of the same length in every row as a column of lists; a row that lacks one of the items is odd."""
    columns = [as_column(item, n) for item in parts.items]
    kind = _common([column.data.type for column in columns])
    one = np.ones(n, dtype=np.int64)
    none = np.zeros(n, dtype=np.int64), pa.nulls(0, kind)
    lengths, values = interleaved([(one, column.data.cast(kind)) for column in columns] or [none], n)
    return Column(lists_of(lengths, values), either(*(column.odd for column in columns)))


def _common(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """The one type of values that stand in for each other. None is of any type, an empty list of any type of list."""
    known = {kind for kind in kinds if not pt.is_null(kind)}
    if len(known) > 1 and all(map(pt.is_list, known)):
        known = {kind for kind in known if not pt.is_null(kind.value_type)}
    if len(known) > 1:
        raise NotColumnar(f"{' or '.join(sorted(map(str, known)))}, by row")
    return known.pop() if known else pa.null()


def unique_within(lengths: np.ndarray, values: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Lists of texts -> the same without empty ones and without repetitions, in the order in which they first stand."""
    full = numpy_mask(pc.not_equal(values, ""))
    owner = owners_of(lengths)
    if not full.all():
        values, owner = values.filter(pa.array(full)), owner[full]
    if len(values) and lengths.max(initial=0) > 1:
        codes = values.dictionary_encode().indices.to_numpy().astype(np.int64)
        _, first = np.unique(owner * (codes.max() + 1) + codes, return_index=True)
        if len(first) < len(values):
            first.sort()
            values, owner = values.take(pa.array(first)), owner[first]
    return np.bincount(owner, minlength=len(lengths)), values


# --- texts -----------------------------------------------------------------------------------------------------------


def trimmed(array: pa.Array, characters: str | None = None) -> pa.Array:
    """`text.strip(characters)` of each."""
    if characters is None and not _edges_may_be_space(array):
        return array
    return pc.utf8_trim(array, characters=SPACE if characters is None else characters)


# The bytes that white space begins and ends with in UTF-8, beside those up to 0x20: most texts of a batch begin and end
# with others, and are spared the copy.
_FIRST = np.zeros(256, dtype=bool)
_FIRST[[*range(0x21), *(char.encode()[0] for char in SPACE)]] = True
_LAST_TWO = np.zeros(65536, dtype=bool)
for _char in SPACE:
    _bytes = _char.encode()
    if len(_bytes) > 1:
        _LAST_TWO[_bytes[-2] << 8 | _bytes[-1]] = True
    else:
        _LAST_TWO[[high << 8 | _bytes[0] for high in range(256)]] = True


def _edges_may_be_space(array: pa.Array) -> bool:
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    starts, ends = offsets[:-1], offsets[1:]
    if (starts == ends).any():
        starts, ends = starts[starts < ends], ends[starts < ends]
    if not len(starts):
        return False
    data = np.frombuffer(array.buffers()[2], dtype=np.uint8)
    if _FIRST[data[starts]].any():
        return True
    before = data[np.maximum(ends - 2, 0)].astype(np.int64)
    return bool(_LAST_TWO[before << 8 | data[ends - 1]].any())


def words_of(array: pa.Array) -> pa.Array:
    """`text.split()` of each: its words between white space."""
    words = pc.utf8_split_whitespace(trimmed(array))
    empty = numpy_mask(pc.fill_null(pc.equal(pc.list_value_length(words), 1), False))
    if empty.any():  # of nothing Arrow makes one empty word, Python none
        lengths = lengths_of(words)
        values = flat(words)
        bare = numpy_mask(pc.equal(values, ""))
        if bare.any():
            owner = owners_of(lengths)[~bare]
            mask = array.is_null() if array.null_count else None
            kept = np.bincount(owner, minlength=len(array))
            return pa.ListArray.from_arrays(pa.array(offsets_of(kept)), values.filter(pa.array(~bare)), mask=mask)
    return words


def within(parts: pa.Array, texts: pa.Array) -> np.ndarray:
    """`part in text`, row by row, over the bytes of both columns. Neither has nulls."""
    short, long = _bytes_of(parts), _bytes_of(texts)
    a, b = _places_of(parts), _places_of(texts)
    found = (
        long.find(short[first:last], start, end) >= 0
        for first, last, start, end in zip(a[:-1], a[1:], b[:-1], b[1:], strict=True)
    )
    return np.fromiter(found, dtype=bool, count=len(parts))


def _places_of(array: pa.Array) -> list[int]:
    """Where each text begins and the last ends, in `_bytes_of`."""
    if not len(array):
        return [0]
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    return (offsets - offsets[0]).tolist()


def by_value(array: pa.Array, function: Callable[[Any], Any], kind: pa.DataType | None = None) -> pa.Array:
    """A Python function of each value, called once for each different one; null stays null."""
    if pt.is_list(array.type) or pt.is_struct(array.type) or pt.is_null(array.type):
        raise NotColumnar(f"a function of {array.type}")
    coded = array.dictionary_encode()
    made = pa.array([function(value) for value in coded.dictionary.to_pylist()], kind or array.type)
    return made.take(coded.indices)


def by_row(column: Column, function: Callable[[Any], Any], kind: pa.DataType) -> Column:
    """A Python function of each value; a row that is null, or that the function fails on, is odd."""
    values, failed = [], np.zeros(len(column.data), dtype=bool)
    for i, value in enumerate(column.data.to_pylist()):
        try:
            values.append(None if value is None else function(value))
        except (TypeError, ValueError):
            values.append(None)
            failed[i] = True
    odd = either(column.odd, nulls_of(column.data), failed if failed.any() else None)
    return Column(pa.array(values, kind), odd)


def repeated(value: Any, n: int, kind: pa.DataType | None = None) -> pa.Array:
    """The same value n times."""
    return pa.repeat(pa.scalar(value, kind) if kind is not None else pa.scalar(value), n)


def joined(pieces: Sequence[str | pa.Array], n: int) -> pa.Array:
    """Texts put one after another, row by row. Pieces are constants or columns without nulls."""
    if not pieces:
        return repeated("", n, pa.string())
    if len(pieces) == 1:
        return repeated(pieces[0], n, pa.string()) if isinstance(pieces[0], str) else pieces[0]
    if all(isinstance(piece, str) for piece in pieces):
        return repeated("".join(pieces), n, pa.string())
    return pc.binary_join_element_wise(*pieces, "")


# --- choosing --------------------------------------------------------------------------------------------------------


def truth(value: Value, n: int) -> tuple[np.ndarray | bool, Odd]:
    """Python's truth of a value: a bool for all rows, or (rows,) bool; and the odd rows."""
    if isinstance(value, Const):
        return bool(value.value), None
    if isinstance(value, (Parts, Record)):
        return bool(value.items), None
    data = value.data
    if pt.is_null(data.type):
        return False, value.odd
    if pt.is_boolean(data.type):
        said = data
    elif pt.is_string(data.type):
        said = pc.not_equal(data, "")
    elif pt.is_integer(data.type) or pt.is_floating(data.type):
        said = pc.not_equal(data, 0)
    elif pt.is_list(data.type):
        said = pc.greater(pc.list_value_length(data), 0)
    elif pt.is_struct(data.type):
        said = data.is_valid() if data.type.num_fields else repeated(False, n)
    else:
        raise NotColumnar(f"the truth of {data.type}")
    return numpy_mask(pc.fill_null(said, False)), value.odd


def as_column(value: Value, n: int) -> Column:
    """Any value as one value a row."""
    if isinstance(value, Column):
        return value
    if isinstance(value, Const) and (value.value is None or isinstance(value.value, (str, bool, int, float))):
        kinds: dict[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        if isinstance(value.value, int) and not -(2**63) <= value.value < 2**63:
            raise NotColumnar("a number of more than 64 bits")
        return Column(repeated(value.value, n, kinds.get(type(value.value), pa.null())))
    if isinstance(value, Parts):
        return listed(value, n)
    raise NotColumnar("a record chosen by row")


def merged(mask: np.ndarray | bool, yes: Value, no: Value, n: int) -> Value:
    """`yes if mask else no`, row by row."""
    if mask is True or mask is False:
        return yes if mask else no
    if isinstance(yes, Const) and isinstance(no, Const) and yes.value == no.value and type(yes.value) is type(no.value):
        return yes
    first, second = as_column(yes, n), as_column(no, n)
    kind = _common([first.data.type, second.data.type])
    return Column(
        pc.if_else(pa.array(mask), first.data.cast(kind), second.data.cast(kind)),
        either(
            None if first.odd is None else first.odd & mask,
            None if second.odd is None else second.odd & ~mask,
        ),
    )


def choose(index: np.ndarray, items: Sequence[Value], n: int, odd: Odd) -> Column:
    """`items[index]`, row by row; an index outside of the items makes the row odd."""
    fits = (index >= 0) & (index < len(items))
    odd = either(odd, None if fits.all() else ~fits)
    if all(isinstance(item, Const) for item in items):
        values = [item.value for item in items]  # type: ignore[union-attr]  # all are Const
        kinds = {type(value) for value in values}
        if len(kinds) != 1 or not kinds <= {str, int, float, bool}:
            raise NotColumnar("values of several types, chosen by row")
        return Column(pa.array(values).take(pa.array(np.where(fits, index, 0))), odd)
    columns = [as_column(item, n) for item in items]
    if len({column.data.type for column in columns}) != 1:
        raise NotColumnar("values of several types, chosen by row")
    data = pc.choose(pa.array(np.where(fits, index, 0)), *(column.data for column in columns))
    for place, column in enumerate(columns):
        if column.odd is not None:
            odd = either(odd, column.odd & (index == place))
    return Column(data, odd)
