"""The answers of a study as files; what people corrected goes back into translation by `corrections`.

Every table has the columns of `table.COLUMNS`, one row for each rater, item and criterion. What programs answered says
so: `simulated` is a column of each row, a field of the JSON and of the Parquet file's metadata.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.rating.label_studio import from_label_studio, label_studio_config, label_studio_tasks, to_label_studio
from mashq.rating.store import Store
from mashq.rows import MashqError
from mashq.shards import write_whole

__all__ = [
    "from_label_studio",
    "label_studio_config",
    "label_studio_tasks",
    "to_csv",
    "to_json",
    "to_label_studio",
    "to_parquet",
    "written",
]

# At the beginning of a cell these make a spreadsheet compute it; full-width forms do in some languages of it.
FORMULA = (*"=+-@\t\r\n", *(chr(ord(sign) + 0xFEE0) for sign in "=+-@"))  # 0xFEE0: from ASCII to full width
MARK = "\N{BYTE ORDER MARK}"


# --- tables ----------------------------------------------------------------------------------------------------------


def to_csv(store: Store, path: Path | str, *, bom: bool = False) -> Path:
    """The answers as CSV (RFC 4180, UTF-8). `bom`: begin with a byte order mark, without which Excel misreads Arabic.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; the other formats keep it as it is.
    """
    table = store.answers()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return written(Path(path), ((MARK if bom else "") + text.getvalue()).encode())


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value.isoformat()  # a time
    return f"'{value}" if value.startswith(FORMULA) else value


def to_json(store: Store, path: Path | str) -> Path:
    """The answers as one JSON object: `study`, `simulated`, `criteria` (names) and `rows`; times in ISO 8601, UTC."""
    rows = store.answers().to_pylist()
    for row in rows:
        row["when"] = row["when"].isoformat()
    head = {"study": store.study.name, "simulated": store.study.simulated}
    whole = {**head, "criteria": [one.name for one in store.study.criteria], "rows": rows}
    return written(Path(path), (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode())


def to_parquet(store: Store, path: Path | str) -> Path:
    """The answers as Parquet; its metadata holds `study` and `simulated`."""
    table = store.answers()
    head = {"study": store.study.name, "simulated": json.dumps(store.study.simulated)}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(head), sink, compression="zstd")
    return written(Path(path), sink.getvalue().to_pybytes())


def written(path: Path, data: bytes) -> Path:
    """The file in its place, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise MashqError(f"{path}: cannot be written ({error}).") from error
    return path
