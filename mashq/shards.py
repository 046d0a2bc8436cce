"""One part of a row step: its kept and its dropped rows, counts that close, and the receipt that says it is whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq.rows import CONTENT, ID, MashqError, PartWriter, id_hex, id_words, read_part

__all__ = [
    "account",
    "counts_line",
    "make_shard",
    "make_slice",
    "receipt_path",
    "stream_parts",
    "sum_parts",
    "write_json",
    "write_whole",
]

COUNTS = ("in", "made", "kept", "dropped", "merged", "unsampled")
TALLIED = ("licence", "source", "split", "task", "variety")


def account(before: pa.ChunkedArray, after: pa.Table, name: str, unsampled: int = 0) -> Counter[str]:
    """Close the counts of one step: ids taken in, and the columns `id` and `parents` of all that came out.

    A row of the output stands for the input row of the same id, else for its first parent among the inputs. A further
    row of the same input row was *made*; an input row that is only a further parent was *merged*. Raises MashqError
    where an input row is in none of the output (unless the step said how many it left unsampled) or an id stands twice.
    """
    ids = after.column("id")
    if _stands_twice(id_words(ids)):
        raise MashqError(f"{name}: two rows of its output have one id. Make ids with rows.child_ids and a repetition.")
    if not len(before) and not unsampled:
        return Counter({"made": len(ids)})
    known = pa.concat_arrays(before.chunks) if before.num_chunks else pa.array([], ID)
    stood_for, used = _lineage(after, known)
    gone = len(known) - int(used.sum())
    if gone != unsampled:
        lost = next((id_hex(known[int(place)].as_py()) for place in np.flatnonzero(~used)), "none")
        raise MashqError(
            f"{name}: expected every row taken in to be kept, dropped, merged or counted as unsampled, got {gone} rows "
            f"in none of these and {unsampled} counted as unsampled; the first is {lost}. Drop rows with a reason."
        )
    made, merged = len(ids) - int(stood_for.sum()), int(used.sum()) - int(stood_for.sum())
    return Counter({"in": len(known), "made": made, "merged": merged, "unsampled": gone})


def _stands_twice(words: np.ndarray) -> bool:
    """Is one of the (n, 2) ids there more than once? The low halves alone nearly always tell, and sort fast."""
    low = np.sort(words[:, 0])
    return bool((low[1:] == low[:-1]).any()) and len(np.unique(words, axis=0)) < len(words)


def _lineage(after: pa.Table, known: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """For each place in `known`: does an output row stand for it, and was any output row made from it at all."""
    primary = _places(after.column("id"), known)
    parents = after.column("parents")
    used = np.zeros(len(known), dtype=bool)
    if parents.null_count < len(parents):
        places = _places(pc.list_flatten(parents), known)
        owners = pc.list_parent_indices(parents).to_numpy()[places >= 0]
        places = places[places >= 0]
        used[places] = True
        rows, first = np.unique(owners, return_index=True)
        bare = primary[rows] < 0
        primary[rows[bare]] = places[first[bare]]
    stood_for = np.zeros(len(known), dtype=bool)
    stood_for[primary[primary >= 0]] = True
    return stood_for, used | stood_for


def _places(ids: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    """The place of each id in `known`, -1 where it is not there."""
    return pc.fill_null(pc.index_in(ids, known), -1).to_numpy().copy()


def make_shard(work: Callable[..., pa.Table], job: Any, shard: Mapping[str, str]) -> str:
    """Run one shard of a map step, `work` on each row group, and write its part and its receipt; gives its name."""

    def worked() -> Iterator[tuple[pa.Table, pa.Table, Counter[str]]]:
        for rows in read_part(shard["source"]):
            own = replace(job, unsampled=0)
            after = work(rows, own)
            kept, dropped = _parted(after, [rows.column("id")])
            yield kept, dropped, account(rows.column("id"), after, job.name, own.unsampled)

    _write_part(job.folder, shard["part"], worked())
    return shard["part"]


def make_slice(work: Callable[..., Iterable[pa.Table]], job: Any, shard: Mapping[str, str]) -> str:
    """Run one slice of a slices step: write the rows that `work` gives as a part, and its receipt; gives its name."""
    nothing = pa.chunked_array([], ID)

    def worked() -> Iterator[tuple[pa.Table, pa.Table, Counter[str]]]:
        for rows in work(shard, job):
            kept, dropped = _parted(rows, [nothing])
            yield kept, dropped, account(nothing, rows, job.name)

    _write_part(job.folder, shard["part"], worked())
    return shard["part"]


def stream_parts(
    tables: Iterable[pa.Table], job: Any, rows_per_part: int, seen: list[pa.ChunkedArray]
) -> list[dict[str, Any]]:
    """Cut what a stream step gives into parts; those that an interrupted run finished are not written again.

    `seen` grows with the ids of the rows that the work takes in while it runs.
    """
    receipts: list[dict[str, Any]] = []
    lineage: list[pa.Table] = []
    for index, pieces in enumerate(_slices(tables, rows_per_part)):
        lineage += [piece.select(["id", "parents"]) for piece in pieces]
        name = f"part-{index:05}.parquet"
        stands_for, noted = _stands_for(pieces), receipt_path(job.folder, name).with_suffix(".rows")
        if not receipt_path(job.folder, name).exists():
            noted.write_text(stands_for, "utf-8")
            _write_part(job.folder, name, ((*_parted(piece, seen), Counter()) for piece in pieces))
        elif noted.read_text("utf-8") != stands_for:
            raise MashqError(
                f"{job.name}: {name} holds other rows than this run would put there: what the step reads beside its "
                "inputs has changed since it was interrupted. Make it anew with --force."
            )
        receipts.append(read_receipt(job.folder, name))
    if not receipts:
        raise MashqError(f"{job.name}: expected rows, got none. Its input is empty, or every row was left out.")
    known = pa.chunked_array([chunk for ids in seen for chunk in ids.chunks], ID)
    receipts[0]["counts"].update(account(known, pa.concat_tables(lineage), job.name, job.unsampled))
    return receipts


def _stands_for(pieces: Iterable[pa.Table]) -> str:
    """A hash of the ids of rows in their order, and of which are dropped."""
    digest = hashlib.blake2b(digest_size=8)
    for piece in pieces:
        digest.update(id_words(piece.column("id")).tobytes())
        digest.update(pc.is_valid(piece.column("dropped")).to_numpy().tobytes())
    return digest.hexdigest()


def _slices(tables: Iterable[pa.Table], rows: int) -> Iterator[list[pa.Table]]:
    """Tables of any size -> lists of tables of `rows` rows together (the last may be shorter)."""
    waiting: list[pa.Table] = []
    held = 0
    for table in tables:
        while table.num_rows:
            piece = table.slice(0, rows - held)
            table = table.slice(piece.num_rows)
            waiting.append(piece)
            held += piece.num_rows
            if held == rows:
                yield waiting
                waiting, held = [], 0
    if waiting:
        yield waiting


def _parted(table: pa.Table, before: Iterable[pa.ChunkedArray]) -> tuple[pa.Table, pa.Table]:
    """Rows kept, and rows dropped: one that stands unchanged in the input is not given a second copy of its text."""
    if table.column("dropped").null_count == table.num_rows:
        return table, table.schema.empty_table()
    dropped = table.filter(table.column("dropped").is_valid())
    known = pa.chunked_array([chunk for ids in before for chunk in ids.chunks], ID)
    stands = pc.is_in(dropped.column("id"), value_set=pa.concat_arrays(known.chunks) if len(known) else known)
    for name in CONTENT:
        index, column = dropped.column_names.index(name), dropped.column(name)
        bare = pc.if_else(stands, pa.nulls(dropped.num_rows, column.type), column)
        dropped = dropped.set_column(index, dropped.schema.field(index), bare)
    return table.filter(table.column("dropped").is_null()), dropped


# --- writing ---------------------------------------------------------------------------------------------------------


def _write_part(folder: Path, name: str, tables: Iterable[tuple[pa.Table, pa.Table, Counter[str]]]) -> None:
    """Write a part's kept and dropped rows, then its receipt."""
    kept_file, dropped_file = PartWriter(folder / name), PartWriter(folder / "dropped" / name)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    tally: dict[str, Counter[str]] = {column: Counter() for column in TALLIED}
    for kept, dropped, closed in tables:
        kept_file.write(kept)
        dropped_file.write(dropped)
        counts.update({**closed, "kept": kept.num_rows, "dropped": dropped.num_rows})
        for column, counter in tally.items():
            counter.update(_values(kept.column(column)))
        for reason, n in _values(dropped.column("dropped")).items():
            reasons[reason.split(":")[0]] += n
    gone = dropped_file.close()
    if gone.rows == 0:
        dropped_file.path.unlink()
    whole = kept_file.close()
    receipt = {
        **{"name": name, "rows": whole.rows, "bytes": whole.bytes, "hash": whole.hash},
        **{"dropped_rows": gone.rows, "dropped_hash": gone.hash if gone.rows else None},
        **{"counts": counts, "reasons": reasons, "tally": tally},
    }
    write_json(receipt_path(folder, name), receipt)


def _values(column: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in column.value_counts().to_pylist() if pair["values"] is not None}


def receipt_path(folder: Path, part: str) -> Path:
    """Where the receipt of a finished part of an unfinished step lies."""
    return folder / ".progress" / (part + ".json")


def read_receipt(folder: Path, part: str) -> dict[str, Any]:
    """The receipt of a finished part of an unfinished step."""
    receipt: dict[str, Any] = json.loads(receipt_path(folder, part).read_text("utf-8"))
    return receipt


def sum_parts(name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Receipts -> what the manifest says of all of them; the counts must close."""
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    reasons: Counter[str] = Counter()
    tally: dict[str, Counter[str]] = {}
    for part in parts:
        counts.update(part.pop("counts"))
        reasons.update(part.pop("reasons"))
        for column, values in part.pop("tally").items():
            tally.setdefault(column, Counter()).update(values)
    if counts["in"] + counts["made"] != sum(counts[kind] for kind in COUNTS[2:]):
        raise MashqError(f"{name}: the counts do not close: {counts_line(counts)}.")
    return {
        **{"parts": parts, "counts": dict(counts), "reasons": dict(reasons.most_common())},
        **{"tally": {column: dict(counter.most_common()) for column, counter in tally.items()}},
    }


def counts_line(counts: Mapping[str, int] | None) -> str:
    """`in 10 + made 90 = kept 95 + dropped 5`; merged and unsampled where there are any."""
    if counts is None:
        return "files"
    right = [f"{kind} {counts[kind]:,}" for kind in COUNTS[2:] if counts[kind] or kind in ("kept", "dropped")]
    return f"in {counts['in']:,} + made {counts['made']:,} = {' + '.join(right)}"


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside its place and then put it there, so that a reader finds all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path, f".{id(value)}") as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")


@contextmanager
def write_whole(path: Path, mark: str = "") -> Iterator[Path]:
    """A path beside `path` to write to; the file there takes its place when the block ends, all of it or nothing.

    The folder must exist. A block that ends with an error leaves what stood at `path`. `mark` tells apart those who
    write one path at one time.
    """
    partial = path.with_name(f"{path.name}{mark}.partial")
    yield partial
    partial.replace(path)
