"""Parquet as the hub lays it out: data/SPLIT-00000-of-0000N.parquet, in types that `datasets` shows as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.export.survey import whole
from mashq.rows import ROWS_PER_GROUP, id_hex
from mashq.sources.exported import HUB_SCHEMA

__all__ = ["HubWriter"]

ROWS_PER_FILE = 500_000  # about 300 MB of prompts; the hub asks for files well below 5 GB
SAME = [name for name in HUB_SCHEMA.names if name not in ("id", "messages", "prompt_turns", "parents")]


class HubWriter:
    """Rows by split, in row groups and files of fixed numbers of rows."""

    def __init__(self, folder: Path, rows_per_file: int = ROWS_PER_FILE):
        self.folder, self.rows_per_file = folder / "data", rows_per_file
        self.folder.mkdir()
        self._splits: dict[str, _Split] = {}

    def why_not(self, table: pa.Table) -> list[str | None]:
        """Every row can be written."""
        return [None] * table.num_rows

    def write(self, table: pa.Table) -> None:
        """Write rows, each into the files of its split; a row without one is train's."""
        names = [name or "train" for name in table.column("split").to_pylist()]
        made = _hub_columns(table)
        for name in dict.fromkeys(names):
            if name not in self._splits:
                self._splits[name] = _Split(self.folder, name, self.rows_per_file)
            mine = made.filter(pa.array([one == name for one in names], pa.bool_()))
            self._splits[name].write(mine)

    def close(self) -> dict[str, str]:
        """Finish the files and give them their numbers; split -> the pattern of its files."""
        for split in self._splits.values():
            split.close()
        return {name: f"data/{name}-*" for name in self._splits}

    def abandon(self) -> None:
        """Let go of the files as they are."""
        for split in self._splits.values():
            split.end_file()


class _Split:
    """The files of one split."""

    def __init__(self, folder: Path, name: str, rows_per_file: int):
        self.folder, self.name, self.rows_per_file = folder, name, rows_per_file
        self._paths: list[Path] = []
        self._file: pq.ParquetWriter | None = None
        self._in_file = 0
        self._waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        while sum(one.num_rows for one in self._waiting) >= self._room():
            self._flush(self._room())

    def _room(self) -> int:
        return min(ROWS_PER_GROUP, self.rows_per_file - self._in_file)

    def _flush(self, rows: int) -> None:
        joined = pa.concat_tables(self._waiting)
        if self._file is None:
            self._paths.append(self.folder / f"{self.name}-{len(self._paths):05}")
            self._file = pq.ParquetWriter(self._paths[-1], HUB_SCHEMA, compression="zstd")
        self._file.write_table(joined.slice(0, rows).combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self._waiting = [joined.slice(rows)] if joined.num_rows > rows else []
        self._in_file += min(rows, joined.num_rows)
        if self._in_file == self.rows_per_file:
            self.end_file()

    def end_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._in_file = None, 0

    def close(self) -> None:
        if self._waiting:
            self._flush(sum(one.num_rows for one in self._waiting))
        self.end_file()
        for path in self._paths:
            path.replace(path.with_name(f"{path.name}-of-{len(self._paths):05}.parquet"))


def _hub_columns(table: pa.Table) -> pa.Table:
    """Rows of `rows.SCHEMA` -> the columns of `HUB_SCHEMA`."""
    messages = table.column("messages").to_pylist()
    answered = zip(messages, table.column("references").to_pylist(), strict=True)
    parents = table.column("parents").to_pylist()
    columns: dict[str, Any] = {
        "id": pa.array([id_hex(one) for one in table.column("id").to_pylist()], pa.string()),
        "messages": pa.array(
            [None if asked is None else whole(asked, references) for asked, references in answered],
            HUB_SCHEMA.field("messages").type,
        ),
        "prompt_turns": pa.array([None if asked is None else len(asked) for asked in messages], pa.int32()),
        "parents": pa.array(
            [None if of is None else [id_hex(one) for one in of] for of in parents], pa.list_(pa.string())
        ),
        **{name: table.column(name) for name in SAME},
    }
    return pa.Table.from_arrays([columns[name] for name in HUB_SCHEMA.names], schema=HUB_SCHEMA)
