"""Answers that were exported, read back: the CSV, JSON or Parquet of `exports`, or the store itself."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.rating.answers import SCALE
from mashq.rating.exports import FORMULA
from mashq.rating.store import Store
from mashq.rating.study import KINDS, ROLES
from mashq.rating.table import COLUMNS
from mashq.rows import MashqError, expected_got

__all__ = ["KINDS_OF_FILE", "read_answers"]

NEEDED = ("rater", "item", "kind", "role", "criterion", "value", "simulated")  # without these nothing can be said
ALLOWED = {"absolute": tuple(map(float, SCALE)), "pairwise": (-1.0, 0.0, 1.0)}
TRUTH = {"true": True, "false": False}


def read_answers(path: Path | str) -> pa.Table:
    """One row for each rater, item and criterion, with the columns of `table.COLUMNS`.

    Columns that an older export lacks are null, `withdrawn` is false there. A file that says of itself that it is
    simulated is so in every row. Raises MashqError for a file that is absent or none of these, for a score outside its
    scale, and for two answers of one rater to one question.
    """
    path = Path(path)
    read = KINDS_OF_FILE.get(path.suffix.lower())
    if read is None:
        raise MashqError(expected_got(f"ratings {path}", f"a file {' or '.join(KINDS_OF_FILE)}", path.suffix or "none"))
    if not path.is_file():
        raise MashqError(f"ratings: there is no file {path}.")
    try:
        rows, simulated = read(path)
        _check(rows, str(path))
        table = pa.Table.from_pylist([_whole(row, simulated) for row in rows], COLUMNS)
    except (OSError, ValueError, TypeError, csv.Error, pa.ArrowException) as error:
        do = "Export it again: the rating pages' own page hands out the files."
        told = expected_got(f"ratings {path}", "answers as mashq exports them", str(error)[:300], do)
        raise MashqError(told) from error
    return table


def _whole(row: Mapping[str, Any], simulated: bool) -> dict[str, Any]:
    known = {name: row.get(name) for name in COLUMNS.names}
    return {**known, "simulated": simulated or bool(row["simulated"]), "withdrawn": bool(row.get("withdrawn"))}


def _check(rows: Iterable[Mapping[str, Any]], where: str) -> None:
    """Raise MashqError for the first row that cannot be an answer, and for the second answer to one question."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for number, row in enumerate(rows, 1):
        what = f"ratings {where}: row {number}"
        missing = [name for name in NEEDED if row.get(name) is None and not (name == "value" and name in row)]
        if missing:
            raise MashqError(expected_got(what, f"a value for {', '.join(missing)}", "none"))
        if row["kind"] not in KINDS or row["role"] not in ROLES:
            known = f"kind {', '.join(KINDS)} and role {', '.join(ROLES)}"
            raise MashqError(expected_got(what, known, f"{str(row['kind'])[:40]!r}, {str(row['role'])[:40]!r}"))
        allowed = ALLOWED.get(row["kind"])
        if allowed and row["value"] not in allowed:
            scale = ", ".join(f"{value:g}" for value in allowed)
            raise MashqError(expected_got(f"{what}: value", f"one of {scale}", str(row["value"])[:40]))
        key = (row["rater"], row["item"], row["criterion"])
        seen[key] += 1
        if seen[key] > 1:
            raise MashqError(expected_got(what, "one answer of a rater to a question", "a second one"))


# --- one reader for each kind of file ---------------------------------------------------------------------------------

Read = tuple[list[dict[str, Any]], bool]  # rows, and whether the file as a whole is simulated


def _of_store(path: Path) -> Read:
    with Store.open(path) as store:
        return store.answers().to_pylist(), store.study.simulated


def _of_parquet(path: Path) -> Read:
    table = pq.read_table(path)
    said = (table.schema.metadata or {}).get(b"simulated", b"false")
    return table.to_pylist(), bool(json.loads(said))


def _of_json(path: Path) -> Read:
    content = json.loads(path.read_text("utf-8-sig"))
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list):
        raise ValueError("not an object with a list 'rows'")
    if not all(isinstance(row, dict) for row in content["rows"]):
        raise ValueError("a row that is no object")
    return [{**row, "when": _time(row.get("when"))} for row in content["rows"]], bool(content.get("simulated"))


def _of_csv(path: Path) -> Read:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [{name: _told(name, text) for name, text in row.items()} for row in csv.DictReader(file)], False


def _told(name: str | None, text: Any) -> Any:
    """A cell of the CSV as its column's value, without the apostrophe that keeps a spreadsheet from computing it."""
    if name not in COLUMNS.names:
        return None
    if not isinstance(text, str):
        raise ValueError("rows of different lengths")
    kind = COLUMNS.field(name).type
    if pa.types.is_string(kind):
        return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text
    if not text:
        return None
    if pa.types.is_boolean(kind):
        if text.lower() not in TRUTH:  # a spreadsheet writes TRUE
            raise ValueError(f"{name}: {text[:40]!r}, which is neither true nor false")
        return TRUTH[text.lower()]
    return _time(text) if pa.types.is_timestamp(kind) else float(text)


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


KINDS_OF_FILE: Mapping[str, Callable[[Path], Read]] = {
    ".csv": _of_csv,
    ".json": _of_json,
    ".parquet": _of_parquet,
    ".sqlite": _of_store,
}
