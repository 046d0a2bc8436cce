"""counting: numbers, each twice, the odd ones dropped; slow on request, so that it can be killed."""

import time
from dataclasses import dataclass

import pyarrow as pa

from mashq import rows
from mashq.run import Job, Step


@dataclass(frozen=True)
class Settings:
    numbers: int = 3500  # rows of the source
    pause_s: float = 0.0  # seconds that each part takes longer
    fault: str = ""  # which fault the work has


SIZES = {"small": Settings(), "large": Settings(numbers=35_000)}


def numbers(job: Job):
    for start in range(0, job.settings["numbers"], 700):
        n = min(700, job.settings["numbers"] - start)
        ids = rows.source_ids("numbers", "1", start=start, n=n)
        texts = [f"العدد {i}" for i in range(start, start + n)]
        yield rows.conform({"id": ids, "text": texts, "source": "numbers", "licence": "CC0-1.0"})


def twice(table: pa.Table, job: Job) -> pa.Table:
    time.sleep(job.settings["pause_s"])
    if job.settings["fault"] == "vanish":
        return table.slice(1)
    if job.settings["fault"] == "same id":
        return pa.concat_tables([table, table])
    if job.settings["fault"] == "clear":
        raise rows.MashqError("numbers: expected a number, got 'seven'.")
    if job.settings["fault"] == "bug":
        raise ZeroDivisionError("in a recipe")
    parents = [[one] for one in table["id"].to_pylist()]
    copies = [rows.child_ids(table["id"], step=job.name, repetition=turn) for turn in (0, 1)]
    return pa.concat_tables([rows.replace(table, id=ids, parents=parents) for ids in copies])


def even(table: pa.Table, job: Job) -> pa.Table:
    values = [int(text.split()[1]) for text in table["text"].to_pylist()]
    return rows.drop(table, [f"odd: {value} % 2 = 1" if value % 2 else None for value in values])


def pairs(job: Job):
    """Two rows of one number merged into one; the last tenth left out on purpose."""
    for table in job.read("rows"):
        keep = table.num_rows // 20 * 18
        job.unsampled += table.num_rows - keep
        table = table.slice(0, keep)
        ids = table["id"].to_pylist()
        parents = [list(pair) for pair in zip(ids[::2], ids[1::2], strict=True)]
        first = table.take(pa.array(range(0, keep, 2)))
        yield rows.replace(first, id=rows.child_ids(first["id"], step=job.name), parents=parents)


def steps(settings: Settings) -> list[Step]:
    source = Step("numbers", numbers, {"numbers": settings.numbers}, kind="stream", rows_per_part=1000)
    work = {"pause_s": settings.pause_s, "fault": settings.fault}
    doubled = Step("twice", twice, work, {"rows": source})
    kept = Step("even", even, inputs={"rows": doubled})
    return [source, doubled, kept, Step("pairs", pairs, inputs={"rows": kept}, kind="stream", rows_per_part=400)]
