import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mashq.rows import SCHEMA
from mashq.sources import SourceSettings, read

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file of this name and content."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    """Read a source whole -> rows as dicts, `meta` decoded; every table is of the schema."""

    def rows_of(path: Path | str, **settings: Any) -> list[dict[str, Any]]:
        tables = list(read(path, SourceSettings(**settings)))
        assert all(table.schema == SCHEMA for table in tables)
        rows = pa.concat_tables(tables).to_pylist()
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            row["meta"] = None if row["meta"] is None else json.loads(row["meta"])
        return rows

    return rows_of


@pytest.fixture
def metas(rows_of) -> Callable[..., list[Any]]:
    """The records of a source none of whose rows is dropped."""

    def metas(path: Path | str, **settings: Any) -> list[Any]:
        rows = rows_of(path, **settings)
        assert [row["dropped"] for row in rows] == [None] * len(rows)
        return [row["meta"] for row in rows]

    return metas


@pytest.fixture
def drops(rows_of) -> Callable[..., list[tuple[str, str | None]]]:
    """(reason, raw text) of the dropped rows."""

    def drops(path: Path | str, **settings: Any) -> list[tuple[str, str | None]]:
        return [(row["dropped"], row["text"]) for row in rows_of(path, **settings) if row["dropped"]]

    return drops
