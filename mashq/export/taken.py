"""What is exported: Parquet files of kept rows, and the steps that they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq.rows import SCHEMA, MashqError, conform, expected_got
from mashq.run import manifest_of, parts_of

__all__ = ["Origin", "Taken", "take"]

ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Origin:
    """A step on the way to the rows: its counts, and why it dropped how many rows of each source."""

    step: str  # its folder's name
    counts: Mapping[str, int]
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (source, kind of reason) -> rows
    models: Sequence[Mapping[str, Any]] = ()  # that translated or judged, with licence and threshold


@dataclass(frozen=True)
class Taken:
    """Rows to export: where they lie, and how they came about (nothing where they are a single file)."""

    name: str
    files: tuple[Path, ...]
    origins: tuple[Origin, ...] = ()

    def tables(self) -> Iterator[pa.Table]:
        """The rows that are not dropped, in order, some thousands at a time. Raises MashqError for broken files."""
        for path in self.files:
            for table in _tables(path):
                yield table.filter(table.column("dropped").is_null())


def take(place: Path | Sequence[Path]) -> Taken:
    """A Parquet file of rows, the folder of a finished step, or several such folders.

    Raises MashqError where it is none of these.
    """
    places = [place] if isinstance(place, Path) else list(place)
    if len(places) == 1 and places[0].is_file():
        return _file(places[0])
    origins: dict[Path, Origin] = {}
    files = []
    for folder in places:
        if not folder.is_dir():
            raise MashqError(
                f"export: there is no step, run or file '{folder}'. `mashq show STEP` shows a step's rows."
            )
        manifest = manifest_of(folder)
        if manifest is not None and manifest.get("produces", "rows") != "rows":
            raise MashqError(expected_got(f"export: {folder}", "a step that makes rows", f"a {manifest['produces']}"))
        files += parts_of(folder)
        _trace(folder, origins)
    return Taken(" and ".join(folder.name.split("@")[0] for folder in places), tuple(files), tuple(origins.values()))


def _trace(folder: Path, found: dict[Path, Origin]) -> None:
    """Add the step and, before it, every step beside it that its rows were made from."""
    manifest = manifest_of(folder)
    if folder in found or manifest is None or not manifest.get("counts"):
        return
    for fingerprint in manifest["inputs"].values():
        for earlier in sorted(folder.parent.glob(f"*@{fingerprint}")):
            _trace(earlier, found)
    dropped: Counter[tuple[str, str]] = Counter()
    for part in parts_of(folder, dropped=True):
        for table in _tables(part, ["source", "dropped"]):
            dropped.update(dropped_in(table))
    models = manifest.get("identity", {}).get("models", [])
    found[folder] = Origin(folder.name, manifest["counts"], dict(dropped), models)


def _file(path: Path) -> Taken:
    dropped: Counter[tuple[str, str]] = Counter()
    rows = 0
    for table in _tables(path, ["source", "dropped"]):
        rows += table.num_rows
        dropped.update(dropped_in(table))
    gone = sum(dropped.values())
    counts = {"in": rows, "made": 0, "kept": rows - gone, "dropped": gone, "merged": 0, "unsampled": 0}
    beside = manifest_of(path.parent) or {}  # a part of a step carries the models of its step
    models = beside.get("identity", {}).get("models", [])
    return Taken(path.name, (path,), (Origin(path.name, counts, dict(dropped), models),))


def dropped_in(table: pa.Table) -> Counter[tuple[str, str]]:
    """How many rows of each source are dropped for each kind of reason (what stands before its colon)."""
    gone = table.filter(table.column("dropped").is_valid())
    if not gone.num_rows:
        return Counter()
    kinds = pc.list_element(pc.split_pattern(gone.column("dropped"), ":", max_splits=1), 0)
    pairs = pa.table({"source": pc.fill_null(gone.column("source"), ""), "kind": kinds})
    counted = pairs.group_by(["source", "kind"]).aggregate([([], "count_all")]).to_pylist()
    return Counter({(one["source"], one["kind"]): one["count_all"] for one in counted})


def _tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Rows of one file with the columns of `SCHEMA`; whatever is wrong with it is one MashqError."""
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow)
            wanted = [*columns, "id"] if columns else None
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
                batch.validate(full=True)  # text of strangers that is not UTF-8 would stop a writer half way
                table = conform(pa.Table.from_batches([batch]), str(path))
                _check_splits(path, table)
                yield table
    except (pa.ArrowException, OSError, ValueError) as error:
        reason: Any = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise MashqError(
            f"export: {path}: expected a whole Parquet file of rows, got: {reason}. Make it again."
        ) from error


def _check_splits(path: Path, table: pa.Table) -> None:
    """Splits are names of files here, so they are one of three."""
    other = {name for name in table.column("split").unique().to_pylist() if name} - {"train", "validation", "test"}
    if other:
        raise MashqError(
            expected_got(f"export: {path}: split", "train, validation, test or none", f"{min(other)!r:.60}")
        )


def _check(path: Path, schema: pa.Schema) -> None:
    unknown = [name for name in schema.names if name not in SCHEMA.names]
    if unknown or "id" not in schema.names:
        raise MashqError(
            f"export: {path}: expected rows of mashq (columns {', '.join(SCHEMA.names)}), got"
            f" {', '.join(schema.names)[:300] or 'no column'}. Read it first: docs/how-to/add-a-source.md."
        )
