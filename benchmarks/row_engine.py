"""One row job three ways: mashq's shards on Daft, one Daft plan over all files, and one process.

    python benchmarks/row_engine.py [--rows 400000] [--repeats 5]

The job: read prompt rows, add the number of words as a new text column, drop the short ones with a reason, write
Parquet. Equal: the multiset of kept (id, text) pairs. Printed: seconds (median, min, max), and whether two runs of the
same way wrote byte-equal files.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq import rows
from mashq.engine import Engine
from mashq.run import Step, Store, parts_of

SHARD = 50_000


def texts(job) -> object:
    for start in range(0, job.settings["rows"], 10_000):
        ids = rows.source_ids("bench", "1", start=start, n=10_000)
        lines = [f"ما عاصمة البلد رقم {i} ؟ " + "كلمة " * (i % 40) for i in range(start, start + 10_000)]
        yield rows.conform({"id": ids, "text": lines, "source": "bench"})


def short(table: pa.Table, job: object) -> pa.Table:
    n = pc.list_value_length(pc.utf8_split_whitespace(table["text"]))
    reasons = pc.if_else(pc.less(n, 20), pc.binary_join_element_wise("short", pc.cast(n, pa.string()), ": "), None)
    return rows.drop(table, reasons.combine_chunks() if isinstance(reasons, pa.ChunkedArray) else reasons)


def with_shards(source: Step, root: Path, workers: int) -> list[Path]:
    return parts_of(Store(root, Engine("local", workers)).make(Step("short", short, inputs={"rows": source})).folder)


def with_one_plan(folder: Path, out: Path) -> list[Path]:
    import daft
    from daft import col

    @daft.func.batch(return_dtype=daft.DataType.int64())
    def words(texts: daft.Series) -> daft.Series:
        return daft.Series.from_arrow(pc.list_value_length(pc.utf8_split_whitespace(texts.to_arrow())).cast(pa.int64()))

    frame = daft.read_parquet([str(path) for path in parts_of(folder)]).with_column("n", words(col("text")))
    frame.where(col("n") >= 20).exclude("n").write_parquet(str(out), compression="zstd")
    return sorted(out.glob("*.parquet"))


def digest(paths: list[Path]) -> list[str]:
    return [hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() for path in paths]


def kept(paths: list[Path]) -> list[tuple[bytes, str]]:
    plain = pa.schema([("id", pa.binary()), ("text", pa.string())])
    table = pa.concat_tables([pq.read_table(path, columns=["id", "text"]).cast(plain) for path in paths])
    return sorted(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=400_000)
    asked.add_argument("--repeats", type=int, default=5)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = Step("texts", texts, {"rows": options.rows}, kind="stream", rows_per_part=SHARD)
        folder = Store(root / "source", Engine("local", 1)).make(source).folder
        ways: dict[str, Callable[[int], list[Path]]] = {
            "mashq shards, 2 workers": lambda turn: with_shards(source, root / "source", 2),
            "mashq shards, 1 process": lambda turn: with_shards(source, root / "source", 1),
            "one Daft plan": lambda turn: with_one_plan(folder, root / f"plan{turn}"),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        digests: dict[str, list[list[str]]] = {way: [] for way in ways}
        results = {}
        for turn in range(options.repeats + 1):
            for way, work in ways.items():
                for old in (root / "source" / "steps").glob("short@*"):
                    for path in sorted(old.rglob("*"), reverse=True):
                        path.unlink() if path.is_file() else path.rmdir()
                    old.rmdir()
                start = time.perf_counter()
                paths = work(turn)
                if turn:
                    seconds[way].append(time.perf_counter() - start)
                    digests[way].append(digest(paths))
                else:
                    results[way] = kept(paths)
        first = next(iter(results.values()))
        equal = all(one == first for one in results.values())
        print(f"{options.rows:,} rows, n = {options.repeats}; equal kept rows: {equal}\n")
        print("| way | s (median) | min-max | files byte-equal between runs |\n|---|---|---|---|")
        for way, times in seconds.items():
            same = "yes" if all(one == digests[way][0] for one in digests[way]) else "no"
            print(f"| {way} | {statistics.median(times):.2f} | {min(times):.2f}-{max(times):.2f} | {same} |")


if __name__ == "__main__":
    main()
