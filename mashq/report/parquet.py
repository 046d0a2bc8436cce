"""Parquet files of a run, read so that a damaged one is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.rows import MashqError, expected_got

__all__ = ["SAMPLE_COLUMNS", "read_samples", "reading"]

SAMPLE_COLUMNS = ("item", "system", "prompt", "reference", "reply", "finish")  # that an evaluation's samples have


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of reading `path` into a MashqError that names it and says what to do."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        got = str(error).splitlines()[0].rstrip(".")
        do = "It is damaged or absent: remove its step's folder and run the recipe again, which makes that step anew."
        raise MashqError(expected_got(f"report: {path}", "a Parquet file that can be read", got, do)) from error


def read_samples(path: Path, *, also: Sequence[str] = ()) -> pa.Table:
    """An evaluation's samples. Raises MashqError where the file is damaged or lacks a column, of `also` among them."""
    with reading(path):
        table = pq.read_table(path)
    lacking = [name for name in (*SAMPLE_COLUMNS, *also) if name not in table.column_names]
    if lacking:
        got = f"none of the name {', '.join(lacking)}"
        raise MashqError(expected_got(f"report: {path}", f"the columns {', '.join(SAMPLE_COLUMNS)}", got))
    return table
