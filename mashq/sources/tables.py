"""Parquet and Arrow files: typed tables whose rows become records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from mashq.rows import MashqError
from mashq.sources.exported import is_exported, told
from mashq.sources.files import as_text, open_binary
from mashq.sources.header import require
from mashq.sources.settings import Fault, Record, SourceSettings, Told, Where

__all__ = ["arrow_records", "parquet_records", "records_of"]

ROWS_AT_ONCE = 1_024


def parquet_records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Told | Fault]]:
    """The rows of a Parquet file with their number; of one that mashq exported, the rows that they were.

    Where a setting names a field, every file is a table like others. Raises MashqError where the file is not whole.
    """
    open_binary(path).close()
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            require(str(path), file.schema_arrow.names, settings)
            ours = not settings.named_fields() and is_exported(file.schema_arrow)
            for number, record in records_of(file.iter_batches(batch_size=ROWS_AT_ONCE), settings):
                yield number, told(number, record) if ours and isinstance(record, dict) else record
    except MashqError as error:
        raise error if str(path) in str(error) else MashqError(f"{path}: {error}.") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MashqError(
            f"{path}: expected a whole Parquet file, got: {_first_line(error)}. The file is truncated or of another"
            " kind: fetch it again."
        ) from error


def arrow_records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The rows of an Arrow file (stream or random-access format) with their number. Raises MashqError if not whole."""
    open_binary(path).close()
    try:
        with pa.memory_map(str(path)) as source:
            is_file = source.read(6) == b"ARROW1"
            source.seek(0)
            if is_file:
                reader = pa.ipc.open_file(source)
                given: Iterable[pa.RecordBatch] = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                reader = pa.ipc.open_stream(source)
                given = reader
            require(str(path), reader.schema.names, settings)
            yield from records_of(map(_sound, given), settings)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MashqError(
            f"{path}: expected a whole Arrow file, got: {_first_line(error)}. The file is truncated or of another"
            " kind: fetch it again."
        ) from error


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose offsets lie inside its buffers: Arrow maps files as they are, and broken ones crash Python.

    Text that is not UTF-8 passes; it is its row's fault. Raises ArrowInvalid.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
        columns = [
            column.view(as_bytes[column.type]) if column.type in as_bytes else column for column in batch.columns
        ]
        pa.RecordBatch.from_arrays(columns, names=batch.schema.names).validate(full=True)
    return batch


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def records_of(batches: Iterable[pa.RecordBatch], settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    number = 0
    for whole in batches:
        for start in range(0, whole.num_rows, ROWS_AT_ONCE):
            batch = _readable(whole.slice(start, ROWS_AT_ONCE))
            for record in _rows(batch):
                number += 1
                yield number, _checked(number, record, settings)


def _readable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Nanosecond times as text: Python's own times end at microseconds."""
    columns = [
        column.cast(pa.string()) if pa.types.is_timestamp(column.type) and column.type.unit == "ns" else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _rows(batch: pa.RecordBatch) -> Iterator[Record | Fault]:
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass  # one cell is not UTF-8: read the rows one by one, so that only its own row is lost
    for index in range(batch.num_rows):
        row = batch.slice(index, 1)
        try:
            yield row.to_pylist()[0]
        except UnicodeDecodeError as error:
            yield Fault(f"bad UTF-8: {error.reason}", _raw(row))


def _raw(row: pa.RecordBatch) -> str:
    cells = {name: _raw_cell(column) for name, column in zip(row.schema.names, row.columns, strict=True)}
    return msgspec.json.encode(cells).decode()


def _raw_cell(column: pa.Array) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        data = column.cast(pa.large_binary())[0].as_py()
        return None if data is None else as_text(data)
    return str(column[0])


def _checked(number: int, record: Record | Fault, settings: SourceSettings) -> Record | Fault:
    if isinstance(record, Fault):
        return Fault(record.reason.replace(":", f": row {number}:", 1), record.raw)
    return record
