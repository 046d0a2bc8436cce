"""The count of the second paper in full: 67.49 million prompts from made-up rows of the library's data sets.

    python benchmarks/prompts_at_scale.py make-rows DIR            # rows in the published sizes and schemas, as Parquet
    mashq make benchmarks/prompts_at_scale.py --set data=DIR       # the one command that is timed
    mashq make benchmarks/prompts_at_scale.py --set data=DIR --set mix=true     # on to 800,000 and 8,000,000 of them
    python benchmarks/prompts_at_scale.py shares DIR               # what reading, rendering, hashing and writing cost

Rows: each library data set with a verified schema, as many rows as it was published with but at most the largest
number for which the prompts are not more than the paper's 67,488,303. The labels, numbers and lengths of lists of a row
are those of one of the data set's sample rows, drawn by chance; a text has as many words as drawn from a log-normal law
whose median is the number of words of that field in the sample rows and whose spread is that of real fields (sigma 0.6:
tweets of ArSarcasm-v2 0.55, paragraphs of ARCD 0.45, measured on the published files; both medians and spread are ours,
for most data sets publish none). Words come from 60,000 forms with Zipf weights and each text carries its row's number,
so no row repeats another.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mashq import steps as shared
from mashq import templates
from mashq.recipes.prompts import SIZES as SIZES_OF_RECIPE
from mashq.rows import PartWriter, source_ids
from mashq.run import Step
from mashq.sources import SourceSettings, column_slices, read_columns
from mashq.templates import Dataset
from mashq.templates.columns import lists_of, places_within

PROMPTS = 67_488_303  # native prompts of arXiv 2408.05882
SIGMA = 0.6
BLOCK = 50_000  # rows made at a time, and in a row group
LABEL_WORDS = 3  # a text of so few words in the sample is a label: drawn from the sample, not made up
LETTERS = "بتثجحخدذرزسشصضطعغفقكلمنهوي"
PATTERNS = ("{}{}{}", "{}ا{}{}", "م{}{}و{}", "{}{}ي{}", "ت{}{}ي{}", "ا{}ت{}ا{}", "است{}{}ا{}", "م{}{}{}ة")


# --- the recipe ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    data: str = ""  # the folder that `make-rows` filled
    mix: bool = False  # also hold out, find equal prompts, and take the paper's two mixtures


SIZES = {"paper": Settings()}


def steps(settings: Settings) -> list[Step]:
    folders = sorted(path for path in Path(settings.data).iterdir() if path.is_dir())
    prompts = shared.prompts_of_columns("prompts", {path.name: path for path in folders})
    if not settings.mix:
        return [prompts]
    paper = SIZES_OF_RECIPE["paper"]
    divided = shared.held_out("split", {"prompts": prompts}, paper.split)
    unique = shared.deduplicated("unique", divided)
    mixtures = [
        shared.mixture(f"learnt-{total}", unique, replace(paper.mixture, total=total)) for total in paper.totals
    ]
    return [prompts, divided, unique, *mixtures]


# --- made-up rows ----------------------------------------------------------------------------------------------------


def datasets() -> dict[str, tuple[Dataset, int]]:
    """Data sets with sample rows and a verified schema, and how many templates each has."""
    found = {name: templates.library(name) for name in templates.library_names()}
    return {
        name: (each[0].dataset, len(each))
        for name, each in found.items()
        if each[0].dataset.sample and not each[0].dataset.unverified and each[0].dataset.splits
    }


def rates(known: Mapping[str, tuple[Dataset, int]]) -> dict[str, float]:
    """Prompts a row, measured on 2,000 made-up rows: `when` and empty fields leave some pairs without one."""
    words = Words()
    made = {}
    for name, (dataset, _) in known.items():
        table = block(dataset, words, 0, 2_000)
        ids = source_ids(name, "", n=table.num_rows)
        out = templates.apply_columns(table, ids, templates.library(name), step="prompts")
        made[name] = out["dropped"].null_count / table.num_rows
    return made


def sizes(known: Mapping[str, tuple[Dataset, int]], rate: Mapping[str, float]) -> tuple[dict[str, int], int]:
    """Rows of each data set, and the cap: the largest for which the prompts are at most the paper's."""
    published = {name: sum(dataset.splits.values()) for name, (dataset, _) in known.items()}
    low, high = 1, max(published.values())
    while low < high:
        middle = (low + high + 1) // 2
        total = sum(min(n, middle) * rate[name] for name, n in published.items())
        low, high = (middle, high) if total <= PROMPTS else (low, middle - 1)
    return {name: min(n, low) for name, n in published.items()}, low


class Words:
    """60,000 forms and their Zipf weights; texts of given numbers of words, fast."""

    def __init__(self) -> None:
        dice = random.Random(0)
        forms: dict[str, None] = {}
        while len(forms) < 60_000:
            forms[
                dice.choice(PATTERNS).format(*dice.sample(LETTERS, 3)) + dice.choice(("", "", "ه", "ها", "ون", "ات"))
            ] = None
        self.forms = pa.array([f"{form} " for form in forms])
        weights = np.array(list(accumulate(1 / (rank + 2.7) for rank in range(len(forms)))))
        self.weights = weights / weights[-1]

    def texts(self, lengths: np.ndarray, numbers: np.ndarray, dice: np.random.Generator) -> pa.Array:
        """One text a length, ending with its number."""
        drawn = np.searchsorted(self.weights, dice.random(int(lengths.sum())))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), self.forms.take(pa.array(drawn)))
        return pc.binary_join_element_wise(pc.binary_join(lists, ""), pa.array(numbers).cast(pa.string()), "")


def block(dataset: Dataset, words: Words, first: int, n: int) -> pa.Table:
    """Rows `first` to `first + n` of a data set."""
    dice = np.random.default_rng([first, *dataset.name.encode()])
    numbers = np.arange(first, first + n)
    like = dice.integers(0, len(dataset.sample), n)
    columns = {}
    for name, kind in dataset.fields.items():
        columns[name] = column(kind, [row.get(name) for row in dataset.sample], like, words, numbers, dice)
    return pa.table(columns)


def column(
    kind: Any, samples: list[Any], like: np.ndarray, words: Words, numbers: np.ndarray, dice: np.random.Generator
) -> pa.Array:
    """A column of one type. `like`: the sample that each row has its labels, numbers and lengths of lists from, so that
    numbers which point into a list still do."""
    known = [value for value in samples if value is not None]
    n = len(like)
    if not known:
        return pa.nulls(n, arrow(kind))
    if len(known) < len(samples):
        absent = np.array([value is None for value in samples])[like]
        places = np.cumsum([value is not None for value in samples]) - 1
        like = np.where(absent, dice.integers(0, len(known), n), places[like])
    if isinstance(kind, Mapping):
        parts = [
            column(each, [value.get(key) for value in known], like, words, numbers, dice) for key, each in kind.items()
        ]
        return pa.StructArray.from_arrays(parts, names=list(kind))
    if isinstance(kind, list):
        sizes = np.array([len(value) for value in known])
        starts, lengths = (np.cumsum(sizes) - sizes)[like], sizes[like]
        inside = np.repeat(starts, lengths) + places_within(lengths)
        items = [item for value in known for item in value]
        inner = column(kind[0], items, inside, words, np.repeat(numbers, lengths), dice)
        return lists_of(lengths, inner.cast(arrow(kind[0])))
    if all(isinstance(value, str) for value in known):
        counts = [len(value.split()) for value in known]
        if max(counts) <= LABEL_WORDS:
            return pa.array(known).take(pa.array(like))
        median = np.median(counts)
        lengths = np.maximum(1, np.round(np.exp(dice.normal(np.log(median), SIGMA, n)))).astype(np.int64)
        return words.texts(lengths, numbers, dice)
    return pa.array(known, arrow(kind) if kind != "any" else None).take(pa.array(like))


def arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, Mapping):
        return pa.struct([(name, arrow(each)) for name, each in kind.items()])
    if isinstance(kind, list):
        return pa.list_(arrow(kind[0]))
    known = {"string": pa.string(), "integer": pa.int64(), "float": pa.float64(), "boolean": pa.bool_()}
    return known.get(kind, pa.string())


def make_rows(folder: Path) -> None:
    known = datasets()
    rate = rates(known)
    wanted, cap = sizes(known, rate)
    words = Words()
    total = 0
    for name, n in wanted.items():
        path = folder / name / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset = known[name][0]
        with pq.ParquetWriter(path, block(dataset, words, 0, 1).schema, compression="zstd") as file:
            for first in range(0, n, BLOCK):
                file.write_table(block(dataset, words, first, min(BLOCK, n - first)))
        total += path.stat().st_size
    expected = sum(rate[name] * n for name, n in wanted.items())
    print(f"{len(wanted)} data sets, {sum(wanted.values()):,} rows, at most {cap:,} of one")
    print(f"{total / 1e9:.2f} GB of Parquet")
    print(f"about {expected:,.0f} prompts from {sum(n for _, n in known.values())} templates")


# --- what costs what -------------------------------------------------------------------------------------------------


def shares(folder: Path, rows: int) -> None:
    """CPU seconds of reading, rendering, counting and writing, in one process, over the first rows of each data set."""
    from mashq import shards

    spent: dict[str, float] = {}
    nothing = pa.chunked_array([], pa.binary(16))
    count = 0

    def timed(what: str, task: Any) -> Any:
        start = time.process_time()
        made = task()
        spent[what] = spent.get(what, 0.0) + time.process_time() - start
        return made

    writer = PartWriter(folder / "shares.parquet")
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        left = rows
        chosen = templates.library(path.name)
        for one in column_slices(path, SourceSettings(source=path.name)):
            batches: Iterator[Any] = read_columns(one)
            while left > 0 and (found := timed("reading", lambda b=batches: next(b, None))) is not None:
                left -= len(found.ids)
                made = timed(
                    "rendering", lambda f=found, c=chosen: templates.apply_columns(f.fields, f.ids, c, step="p")
                )
                kept, _ = timed("counting", lambda m=made: shards._parted(m, [nothing]))
                timed("counting", lambda m=made: shards.account(nothing, m, "p"))
                count += kept.num_rows
                timed("writing", lambda k=kept: writer.write(k))
    timed("writing", writer.close)
    total = sum(spent.values())
    for what, seconds in spent.items():
        print(f"{what}: {seconds:.1f} CPU s, {seconds / total:.0%}, {seconds / count * 1e6:.2f} us a prompt")
    print(f"{count:,} prompts, {count / total:,.0f} a CPU second")
    (folder / "shares.parquet").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make-rows", "shares"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="shares: rows of each data set")
    given = parser.parse_args()
    if given.what == "make-rows":
        make_rows(given.folder)
    else:
        shares(given.folder, given.rows)


if __name__ == "__main__":
    main()
