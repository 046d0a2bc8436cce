"""What is kept from training, told a row at a time: shares of the groups, published splits, data sets, templates.

`mix.splits` cuts splits of an exact size and needs all groups at once; this needs 8 bytes for each group that lies in a
published split, whatever the number of rows, and gives a group the same split whatever else is in the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mashq.rows import MashqError, group_names

__all__ = ["HeldOut", "Published", "held_names", "held_splits"]


@dataclass(frozen=True)
class HeldOut:
    """Which rows are kept from training."""

    test: float = 0.1  # share of the groups that no publisher put in a split, 0..1
    validation: float = 0.05  # likewise
    of_train: bool = False  # take these shares of what was published as train, too
    datasets: tuple[str, ...] = ()  # data sets that are never trained on
    templates: tuple[str, ...] = ()  # templates that are never trained on, as dataset/name
    datasets_share: float = 0.0  # share of the data sets that is never trained on, drawn by the seed
    templates_share: float = 0.0  # share of each data set's templates, likewise; one at least stays
    seed: int = 0


def held_names(names: Iterable[str], share: float, seed: int) -> tuple[str, ...]:
    """A seeded share of some names: the rounded number, one at least where share > 0, and never all of them."""
    ordered = sorted(set(names), key=lambda name: hashlib.blake2b(f"{seed}\n{name}".encode(), digest_size=8).digest())
    count = min(max(round(share * len(ordered)), 1), len(ordered) - 1) if share > 0 else 0
    return tuple(sorted(ordered[:count]))


SPLITS = ("test", "validation", "train")  # what a group is in is the first of these that any of its rows is in
NONE = len(SPLITS)  # the place, in arrays of places in SPLITS, of rows without a split


class Published:
    """What the publishers' splits (and held-out data sets) say of groups: 8 bytes a group that it concerns.

    A group is all in test if one of its rows is, else all in validation if one is, else all in train if one is.
    """

    def __init__(self, settings: HeldOut, known: pa.Table | None = None):
        """`known` is the `table` of an earlier one."""
        self.settings = settings
        self._codes: dict[str, np.ndarray] = {name: np.zeros(0, dtype=np.uint64) for name in SPLITS}  # sorted
        self._fresh: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}  # not yet among them
        if known is not None:
            self._codes = {name: known["group"].filter(pc.equal(known["split"], name)).to_numpy() for name in SPLITS}

    def table(self) -> pa.Table:
        """What it knows: a line a group and split."""
        return pa.table(
            {
                "group": pa.array(np.concatenate([self.codes(name) for name in SPLITS]), pa.uint64()),
                "split": pa.array(np.repeat(SPLITS, [len(self.codes(name)) for name in SPLITS]), pa.string()),
            }
        )

    def add(self, table: pa.Table) -> None:
        """Take in rows with at least the columns `source`, `split` and `group`."""
        given = _given(table, self.settings)
        codes, shares = _groups(table["group"], self.settings.seed)
        for place, name in enumerate(SPLITS):
            here = (given == place) & (codes != 0)
            if name == "train":  # the others would be in train anyhow
                here &= (shares < self.settings.test + self.settings.validation) & (not self.settings.of_train)
            self._fresh[name].append(np.unique(codes[here]))
            if sum(map(len, self._fresh[name])) > max(len(self._codes[name]), 100_000):  # sort seldom
                self.codes(name)

    def codes(self, name: str) -> np.ndarray:
        """The groups that have a row in this split, sorted."""
        if self._fresh[name]:
            self._codes[name] = np.unique(np.concatenate([self._codes[name], *self._fresh[name]]))
            self._fresh[name] = []
        return self._codes[name]

    def split_of(self, codes: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Places in SPLITS of groups: by their shares (0..1) where they have no row in a split."""
        asked = self.settings
        test, validation, train = range(NONE)
        found = np.where(shares < asked.test, test, np.where(shares < asked.test + asked.validation, validation, train))
        for place in (train, validation, test):
            found[_among(codes, self.codes(SPLITS[place]))] = place
        return found


def held_splits(table: pa.Table, published: Published) -> tuple[pa.Array, pa.Array]:
    """The split of each row, and a reason for which it must be dropped, or null.

    Published splits stay. A row of a held-out data set or template is in test. Another row is where its group is, or
    where it has none, the record that it was made from. A row published as train or validation whose group is in test
    (or, of train, in validation) is a leak.
    """
    asked = published.settings
    test, _, train = range(NONE)
    given = _given(table, asked)
    alone = np.asarray(pc.equal(pc.fill_null(table["group"], ""), ""))
    codes, shares = _groups(group_names(table), asked.seed)
    where = published.split_of(codes, shares)
    if asked.of_train:
        leaks = _among(codes, published.codes("test")) | _among(codes, published.codes("validation"))
        given = np.where((given == train) & ~leaks, NONE, given)
    where = np.where((given != NONE) & alone, given, where)  # a row of no group is its own
    held = np.asarray(pc.is_in(table["template"], value_set=pa.array(asked.templates, pa.string())))
    split = np.where(held, test, np.where(given != NONE, given, where))
    reasons: list[str | None] = [None] * table.num_rows
    for row in np.flatnonzero(~held & (where < split)):
        group = table["group"][int(row)].as_py()
        reasons[row] = f"leak: published as {SPLITS[split[row]]}, but its group '{group}' is in {SPLITS[where[row]]}"
    return pa.array(SPLITS).take(pa.array(split)), pa.array(reasons, pa.string())


def _given(table: pa.Table, settings: HeldOut) -> np.ndarray:
    """The place in SPLITS of each row's published split, NONE where it has none; test in a held-out data set."""
    split = pc.fill_null(table["split"], "")
    unknown = set(pc.unique(split).to_pylist()) - {*SPLITS, ""}
    if unknown:
        raise MashqError(f"held out: expected splits {', '.join(SPLITS)}, got '{min(unknown)}'.")
    places = pc.fill_null(pc.index_in(split, value_set=pa.array(SPLITS)), NONE).to_numpy().astype(np.int64)
    held = np.asarray(pc.is_in(table["source"], value_set=pa.array(settings.datasets, pa.string())))
    return np.where(held, SPLITS.index("test"), places)


def _among(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which codes are among the known ones, which are sorted; np.isin would sort all of them again each time."""
    if not len(known):
        return np.zeros(len(codes), dtype=bool)
    found: np.ndarray = known[np.searchsorted(known, codes).clip(max=len(known) - 1)] == codes
    return found


def _groups(groups: pa.Array | pa.ChunkedArray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For each group a 64-bit code (0: it has none) and its seeded place in 0..1."""
    joined = groups.combine_chunks() if isinstance(groups, pa.ChunkedArray) else groups
    coded = pc.fill_null(joined, "").dictionary_encode()
    names = [name.encode() for name in coded.dictionary.to_pylist()]
    codes = [(xxhash.xxh3_64_intdigest(name) or 1) if name else 0 for name in names]
    shares = [xxhash.xxh3_64_intdigest(name, seed=seed + 1) / 2**64 if name else 1.0 for name in names]
    rows = coded.indices.to_numpy()
    return np.array(codes, dtype=np.uint64)[rows], np.array(shares)[rows]
