"""Everything that comes out of a study as files, by name: for the admin page and for `mashq rate --export`."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashq.rating.corrections import corrections
from mashq.rating.exports import to_csv, to_json, to_parquet, written
from mashq.rating.label_studio import label_studio_config, label_studio_tasks
from mashq.rating.store import Store
from mashq.rating.study import Study

__all__ = ["downloads", "write_downloads"]


def downloads(study: Study, language: str = "ar") -> dict[str, Callable[[Store], bytes]]:
    """Name of a download -> what makes its bytes. The CSV begins with a byte order mark, for spreadsheets.

    `language` ("ar" or "en") is that of Label Studio's labelling configurations.
    """
    kinds = dict.fromkeys(item.kind for item in study.items if item.role != "practice")
    made: dict[str, Callable[[Store], bytes]] = {
        "answers.csv": lambda store: _bytes(lambda path: to_csv(store, path, bom=True)),
        "answers.json": lambda store: _bytes(lambda path: to_json(store, path)),
        "answers.parquet": lambda store: _bytes(lambda path: to_parquet(store, path)),
    }
    if "check" in kinds:
        made["corrections.json"] = lambda store: _json(corrections(store).to_pylist())
    for kind in kinds:
        made[f"label-studio-{kind}.json"] = functools.partial(_tasks, kind)
        made[f"label-studio-{kind}.xml"] = functools.partial(_config, kind, language)
    return made


def write_downloads(store: Store, folder: Path) -> list[Path]:
    """Every download into a folder, which is made; the files. Raises MashqError where one cannot be written."""
    return [written(folder / name, make(store)) for name, make in downloads(store.study).items()]


def _tasks(kind: str, store: Store) -> bytes:
    return _json(label_studio_tasks(store, kind))


def _config(kind: str, language: str, store: Store) -> bytes:
    return label_studio_config(store.study, kind, language).encode("utf-8", "replace")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode("utf-8", "replace")


def _bytes(write: Callable[[Path], object]) -> bytes:
    """What is written to a file, without the file."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "export")
        return (Path(folder) / "export").read_bytes()
