"""What a row is, how it is read and written, and how it is kept or dropped with a reason.

A row is one line of an Arrow table with the columns of `SCHEMA`. Its id is a hash of where it came from, never of a
position after a shuffle, so the same input gives the same ids on any machine and with any number of workers.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

__all__ = [
    "ID",
    "SCHEMA",
    "SCORES",
    "MashqError",
    "PartWriter",
    "Receipt",
    "child_ids",
    "children",
    "conform",
    "drop",
    "expected_got",
    "file_hash",
    "group_names",
    "id_hex",
    "id_hexes",
    "id_words",
    "nearest",
    "read_part",
    "replace",
    "scramble",
    "source_ids",
]


class MashqError(Exception):
    """The root of every error that mashq raises on purpose: its text says what, where, expected, got, what to do."""


ID = pa.binary(16)
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
# Every reference-free score a row may carry; null where it was not computed. Adding one is a line here.
SCORES = ("qe", "similarity", "margin", "obedience", "variety", "judge")

SCHEMA = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("parents", pa.list_(ID)),  # ids of the rows this one was made from
        pa.field("source", pa.string()),  # name of the data set, e.g. "arcd"
        pa.field("licence", pa.string()),  # SPDX where there is one
        pa.field("split", pa.string()),  # train | validation | test
        pa.field("group", pa.string()),  # must never straddle splits; the cluster of every interval
        pa.field("task", pa.string()),
        pa.field("template", pa.string()),
        pa.field("variety", pa.string()),  # msa | egyptian | moroccan | gulf | levantine | ...
        pa.field("text", pa.string()),  # raw rows
        pa.field("messages", pa.list_(MESSAGE)),
        pa.field("references", pa.list_(pa.string())),  # one or more targets
        pa.field("choices", pa.list_(pa.string())),
        pa.field("meta", pa.string()),  # a small JSON object: the fields of a raw record
        pa.field("scores", pa.struct([(name, pa.float32()) for name in SCORES])),
        pa.field("dropped", pa.string()),  # null, or the reason: "qe: 0.61 < 0.70"
    ]
)
# Columns whose content stands in the input already when a row is dropped unchanged.
CONTENT = ("text", "messages", "references", "choices", "meta")

# Columns of few values; a dictionary of the others would be built and thrown away for every row group.
REPEATED = ["source", "licence", "split", "group", "task", "template", "variety", "dropped"]
REPEATED += ["messages.list.element.role", "references.list.element", "choices.list.element"]

ROWS_PER_GROUP = 16_384  # rows in one Parquet row group: what a reader holds at a time


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name nearest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def expected_got(what: str, expected: str, got: str, do: str = "") -> str:
    """One error line in mashq's fixed order: what and where, expected, got, what to do."""
    return f"{what}: expected {expected}, got {got}." + (f" {do}" if do else "")


# --- ids -------------------------------------------------------------------------------------------------------------


def _salt(*names: object) -> np.ndarray:
    """Names -> two 64-bit words; unambiguous, because the names are JSON before they are hashed."""
    data = json.dumps([str(name) for name in names], ensure_ascii=False).encode()
    return np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), dtype="<u8").copy()


def scramble(words: np.ndarray) -> np.ndarray:
    """The 64-bit finalizer of SplitMix64 (Steele et al. 2014): a bijection in which every bit moves every other."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _derive(words: np.ndarray, salt: np.ndarray, repetition: np.ndarray | int = 0) -> pa.Array:
    """(n, 2) parent words -> n ids. A bijection for one salt and repetition, so distinct parents never collide."""
    with np.errstate(over="ignore"):
        turn = scramble(np.asarray(repetition, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        low = scramble(words[:, 0] ^ salt[0] ^ turn)
        high = scramble((words[:, 1] + low) ^ salt[1])
        low = low + scramble(high)
    return _from_words(np.stack([low, high], axis=1))


def _from_words(words: np.ndarray) -> pa.Array:
    words = np.ascontiguousarray(words, dtype="<u8")
    return pa.Array.from_buffers(ID, len(words), [None, pa.py_buffer(words.tobytes())])


def id_words(ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of n ids -> (n, 2) unsigned 64-bit words; the column has no nulls."""
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks) if ids.num_chunks else pa.array([], ID)
    if len(ids) == 0:
        return np.zeros((0, 2), dtype="<u8")
    flat = np.frombuffer(ids.buffers()[1], dtype="<u8")
    return flat.reshape(-1, 2)[ids.offset : ids.offset + len(ids)]


def id_hex(value: bytes) -> str:
    """An id as people see it: 32 hexadecimal digits."""
    return value.hex()


_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype="<u2")


def id_hexes(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column of ids as people see them."""
    digits = _HEX[np.frombuffer(id_words(ids).tobytes(), dtype=np.uint8)].tobytes()
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))


def source_ids(source: str, version: str, keys: Sequence[str] | None = None, *, start: int = 0, n: int = 0) -> pa.Array:
    """Ids of raw records: from their own keys where they have any, else from n positions counted from `start`.

    Two records with equal content have different ids; two readings of one file have equal ids.
    """
    salt = _salt("source", source, version)
    if keys is None:
        words = np.zeros((n, 2), dtype=np.uint64)
        words[:, 0] = np.arange(start, start + n, dtype=np.uint64)
        return _derive(words, salt)
    digests = b"".join(xxhash.xxh3_128_digest(key.encode()) for key in keys)
    return _derive(np.frombuffer(digests, dtype="<u8").reshape(-1, 2), _salt("source key", source, version))


def child_ids(
    parents: pa.Array | pa.ChunkedArray, *, step: str, template: str = "", repetition: np.ndarray | int = 0
) -> pa.Array:
    """Ids of rows made from `parents`, one for each: a function of parent, step, template and repetition alone."""
    return _derive(id_words(parents), _salt("child", step, template), repetition)


# --- tables ----------------------------------------------------------------------------------------------------------


def conform(columns: Mapping[str, Any] | pa.Table, where: str = "rows") -> pa.Table:
    """Columns (or a table) -> a table of exactly `SCHEMA`; absent columns are null.

    Raises MashqError for an unknown column, for a type that does not fit, and where `id` is absent.
    """
    table = columns if isinstance(columns, pa.Table) else None
    names = table.column_names if table is not None else list(columns)
    for name in names:
        if name not in SCHEMA.names:
            known = ", ".join(SCHEMA.names)
            raise MashqError(f"{where}: a row has no column '{name}' ({known}).{nearest(name, SCHEMA.names)}")
    if "id" not in names:
        raise MashqError(f"{where}: rows need the column 'id'. Make ids with rows.source_ids or rows.child_ids.")
    length = len(columns["id"])
    arrays = []
    for field in SCHEMA:
        if field.name not in names:
            arrays.append(pa.nulls(length, field.type))
            continue
        value = columns[field.name]
        try:
            if isinstance(value, (pa.Array, pa.ChunkedArray)):
                arrays.append(value if value.type == field.type else value.cast(field.type))
            elif isinstance(value, str) or value is None:
                arrays.append(pa.repeat(pa.scalar(value, field.type), length))
            else:
                arrays.append(pa.array(value, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise MashqError(f"{where}: column '{field.name}' does not hold {field.type}: {error}") from error
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def replace(table: pa.Table, **columns: Any) -> pa.Table:
    """The same rows with some columns replaced; a plain string stands for every row."""
    merged: dict[str, Any] = {name: table.column(name) for name in table.column_names}
    return conform({**merged, **columns})


def children(table: pa.Table, step: str, *, repetition: np.ndarray | int = 0, **columns: Any) -> pa.Table:
    """One new row of `step` from each row, which is its one parent, with some columns replaced as `replace` has it."""
    ids = table.column("id")
    return replace(
        table, **{"id": child_ids(ids, step=step, repetition=repetition), "parents": _each_alone(ids), **columns}
    )


def _each_alone(ids: pa.ChunkedArray) -> pa.Array:
    """Each id as a list of itself, as `parents` holds it."""
    offsets = pa.array(np.arange(len(ids) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, ids.combine_chunks() if ids.num_chunks else pa.array([], ids.type))


def drop(table: pa.Table, reasons: Sequence[str | None] | pa.Array) -> pa.Table:
    """Mark rows as dropped: one reason or None a row. A row dropped before keeps its first reason."""
    fresh = reasons if isinstance(reasons, pa.Array) else pa.array(reasons, pa.string())
    return replace(table, dropped=pc.coalesce(table.column("dropped"), fresh))


def group_names(table: pa.Table) -> pa.Array:
    """The group of each row; of a row without one the record that it was made from, as 32 hexadecimal digits."""
    groups = pc.fill_null(table.column("group"), "").combine_chunks()
    alone = pc.equal(groups, "")
    if not pc.any(alone).as_py():
        return groups
    some = table.filter(alone)
    pairs = zip(some.column("parents").to_pylist(), some.column("id").to_pylist(), strict=True)
    records = pa.array([id_hex(own[0] if own else one) for own, one in pairs], pa.string())
    return pc.replace_with_mask(groups, alone, records)


# --- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """What a written part is: its rows, bytes and the hash of its bytes (BLAKE2b, 16 bytes, hexadecimal)."""

    rows: int
    bytes: int
    hash: str


class PartWriter:
    """Write tables of rows to one Parquet file; nothing is at `path` until `close`, and then the whole of it.

    Row groups are cut at `ROWS_PER_GROUP` rows whatever the sizes of the tables that came in, so equal rows give equal
    bytes.
    """

    def __init__(self, path: Path):
        self.path = path
        # The process number keeps a writer that outlived a killed run from touching the file of its successor.
        self.partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self.rows = 0
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(
            self.partial, SCHEMA, compression="zstd", write_statistics=["source", "split"], use_dictionary=REPEATED
        )

    def write(self, table: pa.Table) -> None:
        """Add rows of `SCHEMA`."""
        if not table.num_rows:
            return  # a slice of no rows would hold the whole of its table in memory
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        while self._waiting_rows >= ROWS_PER_GROUP:
            self._flush(ROWS_PER_GROUP)

    def _flush(self, rows: int) -> None:
        joined = pa.concat_tables(self._waiting)
        self._file.write_table(joined.slice(0, rows).combine_chunks(), row_group_size=ROWS_PER_GROUP)
        rest = joined.slice(rows)
        self._waiting, self._waiting_rows = [rest] if rest.num_rows else [], rest.num_rows

    def close(self) -> Receipt:
        """Finish the file, put it in its place, and say what it is."""
        if self._waiting_rows:
            self._flush(self._waiting_rows)
        self._file.close()
        receipt = Receipt(self.rows, self.partial.stat().st_size, file_hash(self.partial))
        self.partial.replace(self.path)
        return receipt


def file_hash(path: Path) -> str:
    """BLAKE2b of a file's bytes, 16 bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def read_part(path: Path | str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of one part, a row group at a time, in their fixed order."""
    with pq.ParquetFile(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index, columns=list(columns) if columns else None)
