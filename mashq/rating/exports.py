"""The answers of a study as files, and people's corrections on their way back into translation.

Every table has the columns of `table.COLUMNS`, one row for each rater, item and criterion. What programs answered says
so: `simulated` is a column of each row, a field of the JSON and of the Parquet file's metadata.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mashq.mt import varieties
from mashq.rating.label_studio import from_label_studio, label_studio_config, label_studio_tasks, to_label_studio
from mashq.rating.store import Store
from mashq.rows import MashqError, nearest

__all__ = [
    "Agreed",
    "agreed",
    "corrections",
    "from_label_studio",
    "label_studio_config",
    "label_studio_tasks",
    "to_csv",
    "to_json",
    "to_label_studio",
    "to_parquet",
    "write_fixed",
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
    return _written(Path(path), ((MARK if bom else "") + text.getvalue()).encode())


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
    return _written(Path(path), (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode())


def to_parquet(store: Store, path: Path | str) -> Path:
    """The answers as Parquet; its metadata holds `study` and `simulated`."""
    table = store.answers()
    head = {"study": store.study.name, "simulated": json.dumps(store.study.simulated)}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(head), sink, compression="zstd")
    return _written(Path(path), sink.getvalue().to_pybytes())


def _written(path: Path, data: bytes) -> Path:
    """The file in its place, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise MashqError(f"{path}: cannot be written ({error}).") from error
    return path


# --- corrections -----------------------------------------------------------------------------------------------------

CORRECTIONS = pa.schema(
    [
        *((name, pa.string()) for name in ("study", "id", "variety", "system", "source", "proposed", "corrected")),
        *((name, pa.string()) for name in ("verdict", "rater", "note")),
        ("simulated", pa.bool_()),
    ]
)


def corrections(store: Store) -> pa.Table:
    """What people said of each text that was to be checked: one row for each rater and item of role "item".

    `corrected` is the text that stands: the proposal where it was accepted, null where it was rejected.
    """
    items = {item.id: item for item in store.study.of_role("item") if item.kind == "check"}
    rows = []
    for row in store.answers().to_pylist():
        if row["item"] not in items:
            continue
        source, proposed = items[row["item"]].shown
        stands = {"accept": proposed, "correct": row["text"], "reject": None}[row["said"]]
        texts = {"id": row["item"], "source": source, "proposed": proposed, "corrected": stands, "verdict": row["said"]}
        rows.append({**{key: row[key] for key in row if key in CORRECTIONS.names}, **texts})
    return pa.Table.from_pylist(rows, CORRECTIONS)


@dataclass(frozen=True)
class Agreed:
    """What the raters of a study agree on, by variety ("all" where an item names none).

    fixed: source -> the text that most raters have it be (accepted or corrected); rejected: sources that most raters
    reject; disputed: sources without a most.
    """

    fixed: Mapping[str, Mapping[str, str]]
    rejected: Mapping[str, tuple[str, ...]]
    disputed: Mapping[str, tuple[str, ...]]


def agreed(store: Store) -> Agreed:
    """The text that most raters give a source; a tie is disputed, whoever was first."""
    votes: dict[tuple[str, str], Counter[str | None]] = defaultdict(Counter)
    for row in corrections(store).to_pylist():
        votes[row["variety"] or "all", row["source"]][row["corrected"]] += 1
    fixed: dict[str, dict[str, str]] = defaultdict(dict)
    rejected: dict[str, list[str]] = defaultdict(list)
    disputed: dict[str, list[str]] = defaultdict(list)
    for (variety, source), counts in votes.items():
        (text, most), *rest = counts.most_common()
        if rest and rest[0][1] == most:
            disputed[variety].append(source)
        elif text is None:
            rejected[variety].append(source)
        elif source.strip() and text.strip():  # an empty text is no translation
            fixed[variety][source] = text
    lists = [{variety: tuple(sources) for variety, sources in one.items()} for one in (rejected, disputed)]
    return Agreed(dict(fixed), *lists)


def write_fixed(store: Store, path: Path | str) -> Agreed:
    """Write what raters agree on as a file of fixed translations (`mashq translate --fixed FILE`).

    Such a file stands before the engine and its translation memory, in which nothing is ever overwritten: from the next
    run on, a sentence that people corrected or accepted is what they said. Raises MashqError for a simulated study,
    for a variety that translation does not know, and where nothing was agreed on.
    """
    if store.study.simulated:
        raise MashqError(
            f"rating study '{store.study.name}': its raters are programs; their corrections are not people's, and go "
            "into no translation."
        )
    made = agreed(store)
    for variety in made.fixed:
        if variety not in ("all", *varieties()):
            known = ", ".join(("all", *varieties()))
            raise MashqError(f"fixed translations: no variety '{variety}' ({known}).{nearest(variety, varieties())}")
    if not made.fixed:
        raise MashqError(f"rating study '{store.study.name}': no text was accepted or corrected by most of its raters.")
    head = f"# What the raters of study {json.dumps(store.study.name, ensure_ascii=False)} accepted or corrected.\n"
    # Within double quotes alone does PyYAML read U+0085 and U+2028 back as it wrote them.
    body = yaml.safe_dump(made.fixed, allow_unicode=True, sort_keys=False, width=10_000, default_style='"')
    _written(Path(path), (head + body).encode())
    return made
