"""Few-shot examples: answered rows of the training split, set as earlier turns before a row's own prompt.

Two passes. The first keeps a pool of each template's training rows, those with the smallest seeded keys of their ids;
the second draws from it for each row, by a seeded hash of both ids, no answer twice before every other was shown once
(examples of one label teach that label: Zhao et al. 2021, arXiv 2102.09690). So a row has the same examples whatever
the shards, the workers and the order of the rows, and a change of one training row changes few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mashq.dedup import content_hashes, flat_lists
from mashq.rows import SCHEMA, MashqError, child_ids, drop, group_names, id_words, replace, scramble
from mashq.templates.columns import offsets_of, places_within
from mashq.templates.template import MOST_SHOTS

__all__ = ["COLUMNS", "POOL", "Pool", "ShotSettings", "with_examples"]

POOL = 500  # training rows of a template that its examples are drawn from
COLUMNS = ("id", "parents", "split", "group", "template", "text", "messages", "references")  # what `Pool.add` needs
MESSAGES = SCHEMA.field("messages").type
ROWS = 1_024  # rows that are given examples at a time
POOLED = pa.schema(
    [
        pa.field("id", SCHEMA.field("id").type),
        pa.field("template", pa.string()),
        pa.field("key", pa.uint64()),
        pa.field("group", pa.uint64()),
        pa.field("prompt", pa.uint64()),  # hash of the prompt: a row is no example of itself under another id
        pa.field("answer", pa.uint64()),  # hash of the answer
        pa.field("turns", MESSAGES),  # without a system text, the answer last
    ]
)


@dataclass(frozen=True)
class ShotSettings:
    """How many examples stand before the rows of each template."""

    shots: dict[str, int] = field(default_factory=dict)  # template -> examples; 0, or not named: none
    seed: int = 0

    def __post_init__(self) -> None:
        for name, shots in self.shots.items():
            if not 0 <= shots <= MOST_SHOTS:
                raise MashqError(f"examples of template '{name}': expected 0 to {MOST_SHOTS}, got {shots}.")


class Pool:
    """Of each template the training rows that examples are drawn from, at most `POOL`."""

    def __init__(self, settings: ShotSettings):
        self.settings = settings
        self._kept = POOLED.empty_table()
        self._fresh: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Take in rows; those of another split, without an answer or of a template without examples are passed over."""
        wanted = [name for name, shots in self.settings.shots.items() if shots]
        own = pc.and_(
            pc.equal(pc.fill_null(table["split"], "train"), "train"),
            pc.is_in(table["template"], value_set=pa.array(wanted, pa.string())),
        )
        answered = pc.greater(pc.fill_null(pc.list_value_length(table["references"]), 0), 0)
        some = table.filter(pc.and_(own, answered))
        if some.num_rows:
            keys = _keys(some["id"], self.settings.seed)
            least = _least(pa.table({"template": some["template"], "key": keys}))
            self._fresh.append(_pooled(some.take(least), keys[least.to_numpy()]))
        if sum(fresh.num_rows for fresh in self._fresh) > max(self._kept.num_rows, 10_000):
            self.table()

    def table(self) -> pa.Table:
        """The pool, by template and key."""
        rows = pa.concat_tables([self._kept, *self._fresh])
        self._kept, self._fresh = rows.take(_least(rows)).combine_chunks(), []
        return self._kept


def _keys(ids: pa.ChunkedArray, seed: int) -> np.ndarray:
    return id_words(child_ids(ids, step="examples", template=str(seed)))[:, 0]


def _least(rows: pa.Table) -> pa.Array:
    """The places of the rows with the smallest keys, at most `POOL` of a template, by template and key."""
    order = pc.sort_indices(rows, [("template", "ascending"), ("key", "ascending")])
    names = rows["template"].take(order).to_numpy(zero_copy_only=False)
    first = np.searchsorted(names, names) if len(names) else np.zeros(0, dtype=np.int64)
    return order.filter(pa.array(np.arange(len(names)) - first < POOL))


def _pooled(rows: pa.Table, keys: np.ndarray) -> pa.Table:
    said = zip(rows["messages"].to_pylist(), rows["references"].to_pylist(), strict=True)
    turns = [
        [*(turn for turn in messages if turn["role"] != "system"), {"role": "assistant", "content": references[0]}]
        for messages, references in said
    ]
    columns = [
        rows["id"],
        rows["template"],
        keys,
        _groups(rows),
        content_hashes(rows)[0][:, 0],
        _codes(said[-1]["content"] for said in turns),
        pa.array(turns, MESSAGES),
    ]
    return pa.table(columns, schema=POOLED)


def _groups(rows: pa.Table) -> np.ndarray:
    return _codes(group_names(rows).to_pylist())


def _codes(texts: Iterable[str]) -> np.ndarray:
    return np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], dtype=np.uint64)


def with_examples(table: pa.Table, pool: pa.Table, settings: ShotSettings, step: str) -> pa.Table:
    """The rows, those of templates with examples as new rows: system text, examples, then their own turns.

    An example is of the same template, another group and another prompt. A new row's parents are the row itself and
    its examples in their order. A row that the pool has too few examples for is dropped.
    """
    pools = {
        name: pool.filter(pc.equal(pool["template"], name)).combine_chunks()
        for name in pc.unique(table["template"]).to_pylist()
        if settings.shots.get(name)
    }
    if not pools:
        return table
    some = (table.slice(at, ROWS) for at in range(0, table.num_rows, ROWS))  # one text array holds 2 GB at most
    return pa.concat_tables([_each_template(rows, pools, settings, step) for rows in some])


def _each_template(rows: pa.Table, pools: Mapping[str, pa.Table], settings: ShotSettings, step: str) -> pa.Table:
    names = rows["template"].to_numpy(zero_copy_only=False)
    pieces, places = [], []
    for name, pool in pools.items():
        own = np.flatnonzero(names == name)
        if len(own):
            shown, turned = _shown(rows.take(pa.array(own)), pool, settings.shots[name], settings.seed, step)
            pieces.append(shown)
            places.append(own[turned])
    rest = np.setdiff1d(np.arange(rows.num_rows), np.concatenate(places)) if places else np.arange(rows.num_rows)
    joined = pa.concat_tables([*pieces, rows.take(pa.array(rest))])
    return joined.take(pa.array(np.argsort(np.concatenate([*places, rest]), kind="stable")))


def _shown(rows: pa.Table, pool: pa.Table, shots: int, seed: int, step: str) -> tuple[pa.Table, np.ndarray]:
    """Rows of one template with `shots` examples each out of its pool; those dropped; their places in `rows`."""
    chosen, filled = _drawn(rows, pool, shots, seed)
    whole = filled.all(axis=1)
    template, got = rows["template"][0].as_py(), filled.sum(axis=1).tolist()
    few = f"of {shots} among the {pool.num_rows} training rows that they are drawn from (template {template})"
    lost = rows.filter(pa.array(~whole))
    lost = drop(lost, [f"examples: {n} {few}" for n in got if n < shots])
    places = np.concatenate([np.flatnonzero(whole), np.flatnonzero(~whole)])
    if not whole.any():
        return lost, places
    own, examples = rows.filter(pa.array(whole)), chosen[whole]
    made = replace(
        own,
        id=child_ids(own["id"], step=step, template=str(shots)),
        parents=_parents(own, pool, examples),
        messages=_conversations(own, pool, examples),
    )
    return pa.concat_tables([made, lost]), places


def _drawn(rows: pa.Table, pool: pa.Table, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, shots) places in the pool in the order they are shown, and whether there was a row for each."""
    chosen, filled = np.zeros((rows.num_rows, shots), dtype=np.int64), np.zeros((rows.num_rows, shots), dtype=bool)
    if not pool.num_rows:
        return chosen, filled
    lots = id_words(child_ids(rows["id"], step="draw examples", template=str(seed)))[:, :1]
    keys = scramble(lots ^ pool["key"].to_numpy())
    barred = (_groups(rows)[:, None] == pool["group"].to_numpy()) | (
        content_hashes(rows)[0][:, :1] == pool["prompt"].to_numpy()
    )
    keys[barred] = np.iinfo(np.uint64).max
    order = np.argsort(keys, axis=1, kind="stable")  # the barred last
    turn = _turns(pool["answer"].to_numpy()[order])
    turn[np.take_along_axis(barred, order, axis=1)] = pool.num_rows
    first = np.argsort(turn, axis=1, kind="stable")[:, :shots]
    found = np.take_along_axis(order, first, axis=1)
    width = found.shape[1]
    again = np.take_along_axis(scramble(~lots ^ pool["key"].to_numpy()), found, axis=1)
    again[np.take_along_axis(barred, found, axis=1)] = np.iinfo(np.uint64).max
    chosen[:, :width] = np.take_along_axis(found, np.argsort(again, axis=1), axis=1)  # no answer has a place of its own
    filled[:, :width] = ~np.take_along_axis(barred, chosen[:, :width], axis=1)
    return chosen, filled


def _turns(answers: np.ndarray) -> np.ndarray:
    """(n, m) codes of answers -> how many equal ones stand before each in its row."""
    n, m = answers.shape
    grouped = np.argsort(answers, axis=1, kind="stable")
    runs = np.take_along_axis(answers, grouped, axis=1)
    begins = np.zeros((n, m), dtype=np.int64)
    begins[:, 1:] = np.where(runs[:, 1:] != runs[:, :-1], np.arange(1, m), 0)
    turns = np.empty((n, m), dtype=np.int64)
    np.put_along_axis(turns, grouped, np.arange(m) - np.maximum.accumulate(begins, axis=1), axis=1)
    return turns


def _parents(rows: pa.Table, pool: pa.Table, examples: np.ndarray) -> pa.Array:
    n, shots = examples.shape
    ids = pa.concat_arrays([*rows["id"].chunks, *pool["id"].chunks])
    places = np.concatenate([np.arange(n)[:, None], n + examples], axis=1)
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, n * (shots + 1) + 1, shots + 1, dtype=np.int32)), ids.take(pa.array(places.ravel()))
    )


def _conversations(rows: pa.Table, pool: pa.Table, examples: np.ndarray) -> pa.Array:
    """System text, the turns of each example, the row's own turns: gathered from both columns at once."""
    own_turns, own_ends = flat_lists(rows["messages"])
    turns, ends = flat_lists(pool["turns"])
    own_starts, own_lengths, starts, lengths = own_ends[:-1], np.diff(own_ends), ends[:-1], np.diff(ends)
    first = pc.struct_field(own_turns, "role").take(pa.array(own_starts))
    system = np.asarray(pc.equal(first, "system")).astype(np.int64)
    begins = np.concatenate(
        [own_starts[:, None], len(own_turns) + starts[examples], (own_starts + system)[:, None]], axis=1
    )
    counts = np.concatenate([system[:, None], lengths[examples], (own_lengths - system)[:, None]], axis=1)
    pieces = counts.ravel()
    places = np.repeat(begins.ravel(), pieces) + places_within(pieces)
    gathered = pa.concat_arrays([own_turns, turns]).take(pa.array(places))
    return pa.ListArray.from_arrays(pa.array(offsets_of(counts.sum(axis=1))), gathered, type=MESSAGES)
