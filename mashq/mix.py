"""Which rows go where: splits of exact size by whole groups, and how many rows of each cell a mixture takes.

A cell is (data set, task, template). A mixture is decided from the counts of the cells alone, in whole numbers; within
a cell the rows with the smallest seeded keys of their ids are taken. So the same rows are taken whatever the shards,
the workers and the order of the rows, and with one seed the rows of a smaller total are among those of a larger one.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq.licences import uses
from mashq.rows import MashqError, child_ids, drop, id_words, nearest

__all__ = [
    "CELL",
    "Cell",
    "MixtureSettings",
    "Population",
    "allocate",
    "fill",
    "keys",
    "mixed",
    "refusal",
    "splits",
]

CELL = ("source", "task", "template")
Cell = tuple[str, str, str]


# --- splits of exact size --------------------------------------------------------------------------------------------


def splits(
    groups: Sequence[str], strata: Sequence[str], *, test: float, validation: float = 0.0, seed: int = 0
) -> list[str]:
    """`train`, `validation` or `test` for each row, so that no group straddles two and each stratum has its share.

    `test` and `validation` are numbers of rows a stratum where >= 1, else shares of it in 0..1. Within a stratum whole
    groups are taken in the order of a hash of seed and group until there are at least so many rows; a group that lies
    in two strata goes where its first stratum (in sorted order) put it. Raises MashqError where a stratum would be left
    without a training row.
    """
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group, stratum in zip(groups, strata, strict=True):
        rows[stratum][group] += 1
    chosen: dict[str, str] = {}
    for stratum in sorted(rows):
        sizes = rows[stratum]
        total = sum(sizes.values())
        wanted = {"test": _rows(test, total), "validation": _rows(validation, total)}
        if sum(wanted.values()) >= total:
            raise MashqError(
                f"split: stratum '{stratum}': expected more than {sum(wanted.values())} rows (test {wanted['test']}, "
                f"validation {wanted['validation']}), got {total}. Ask for fewer, or bring more data."
            )
        have = {name: sum(n for group, n in sizes.items() if chosen.get(group) == name) for name in wanted}
        for group in sorted((group for group in sizes if group not in chosen), key=lambda group: _order(seed, group)):
            chosen[group] = next((name for name in wanted if have[name] < wanted[name]), "train")
            have[chosen[group]] = have.get(chosen[group], 0) + sizes[group]
        if not any(chosen[group] == "train" for group in sizes):
            raise MashqError(
                f"split: stratum '{stratum}': its groups are too few and too large to leave one for training."
            )
    return [chosen[group] for group in groups]


def _rows(wanted: float, total: int) -> int:
    return round(wanted) if wanted >= 1 else round(wanted * total)


def _order(seed: int, group: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{group}".encode(), digest_size=8).digest()


# --- how many rows of each cell --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MixtureSettings:
    """How many rows of each data set, task and template are taken.

    Rates after Raffel et al. 2020 (T5, section 3.5.2): examples-proportional with a limit, temperature, equal.
    """

    mode: Literal["proportional", "temperature", "equal"] = "proportional"
    over: Literal["source", "task", "template"] = "source"  # whose rates these are: data sets, tasks or templates
    cap: int = 0  # rows that a rate counts at most: K of T5 and FLAN; 0 = no limit
    temperature: float = 2.0  # of mode temperature: rates n ** (1 / temperature)
    total: int = 0  # rows in all, exactly; 0 = as many as leave the rates what they are (of proportional: min(n, cap))
    most: dict[str, int] = field(default_factory=dict)  # data set -> rows at most
    most_a_dataset: int = 0  # rows at most of every data set that is not in `most`; 0 = no limit
    quotas: dict[str, float] = field(default_factory=dict)  # task -> rows exactly, or below 1 the share of `total`
    must_allow: tuple[str, ...] = ("train", "redistribute")  # uses that a row's licence may not forbid; also commercial
    licences: tuple[str, ...] = ()  # licences that are taken whatever they forbid
    split: str = "train"  # rows of this split alone; rows without a split are train's
    seed: int = 0


SCALE = 10**6  # rates are whole numbers of millionths, so that sums are exact on every machine


def fill(total: int, rates: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Whole numbers that sum to `total`, in proportion to `rates`, none above its limit.

    What one cannot give because of its limit goes to the others by their rates. Fractions go to the largest
    remainders, equal ones to the first. Raises ValueError where the limits of those with a rate sum to less.
    """
    given = [0] * len(rates)
    open_ = [place for place, (rate, limit) in enumerate(zip(rates, limits, strict=True)) if rate > 0 and limit > 0]
    if sum(limits[place] for place in open_) < total:
        raise ValueError(f"{total} > {sum(limits[place] for place in open_)}")
    left = total
    while True:
        whole = sum(rates[place] for place in open_)
        dry = [place for place in open_ if rates[place] * left >= limits[place] * whole]
        if not dry:
            break
        for place in dry:
            given[place] = limits[place]
            left -= limits[place]
        open_ = [place for place in open_ if place not in set(dry)]
    for place in open_:
        given[place] = rates[place] * left // whole
    short = left - sum(given[place] for place in open_)
    for place in sorted(open_, key=lambda place: (-(rates[place] * left % whole), place))[:short]:
        given[place] += 1
    return given


def allocate(counts: Mapping[Cell, int], settings: MixtureSettings) -> dict[Cell, int]:
    """How many rows of each cell are taken, of as many as `counts` says it has.

    A data set's limit comes first and thins its cells in proportion to their rows. Then each task with a quota gets
    exactly that, and the other tasks together get the rest. In each of these pools the data sets (or tasks, or
    templates: `over`) get rows by their rates, and the cells of one in proportion to their rows. Raises MashqError
    where total or quotas ask for more than can be had, naming the most, and for a name that no cell has.
    """
    _check_settings(counts, settings)
    had = _limited({cell: counts[cell] for cell in sorted(counts)}, settings)
    taken = dict.fromkeys(had, 0)
    for target, cells in _pools(had, settings):
        taken.update(_pool(cells, target, settings))
    return taken


def _check_settings(counts: Mapping[Cell, int], settings: MixtureSettings) -> None:
    for kind, what, names, known in (
        ("most", "data set", settings.most, {cell[0] for cell in counts}),
        ("quotas", "task", settings.quotas, {cell[1] for cell in counts}),
    ):
        for name in names:
            if name not in known:
                there = ", ".join(sorted(known))
                raise MashqError(
                    f"mixture: {kind}: there is no row of {what} '{name}' (there are {there}).{nearest(name, known)}"
                )
    numbers = (
        settings.total,
        settings.cap,
        settings.most_a_dataset,
        *settings.most.values(),
        *settings.quotas.values(),
    )
    if any(number < 0 for number in numbers) or settings.temperature < 0.1:
        raise MashqError("mixture: expected numbers of rows >= 0 and a temperature >= 0.1, got a smaller one.")


def _limited(counts: Mapping[Cell, int], settings: MixtureSettings) -> dict[Cell, int]:
    found: dict[Cell, int] = {}
    for source, cells in _by(counts, lambda cell: cell[0]):
        most = settings.most.get(source, settings.most_a_dataset or sum(cells.values()))
        rows = list(cells.values())
        found.update(zip(cells, fill(min(most, sum(rows)), rows, rows), strict=True))
    return found


def _by(counts: Mapping[Cell, int], of: Callable[[Cell], Hashable]) -> Iterator[tuple[Any, dict[Cell, int]]]:
    """The cells parted by what `of` says of each."""
    parts: dict[Hashable, dict[Cell, int]] = defaultdict(dict)
    for cell, rows in counts.items():
        parts[of(cell)][cell] = rows
    yield from parts.items()


def _pools(had: Mapping[Cell, int], settings: MixtureSettings) -> Iterator[tuple[int | None, dict[Cell, int]]]:
    """Each task with a quota, and the rest: (rows, or None for as many as the rates allow; cells that give them)."""
    wanted, total = _quotas(settings), settings.total or None
    rest = {cell: rows for cell, rows in had.items() if cell[1] not in wanted}
    for task, rows in wanted.items():
        cells = {cell: n for cell, n in had.items() if cell[1] == task}
        if rows > (most := sum(cells.values())):
            raise MashqError(
                f"mixture: task '{task}': expected {rows:,} rows, but {most:,} are the most that can be had. Lower its "
                "quota, or bring more data."
            )
        yield rows, cells
    if total is None:
        yield None, rest
        return
    named, most = sum(wanted.values()), sum(rest.values())
    if not named <= total <= named + most:
        can = f"{named + most:,} are the most that can be had" if total > named else f"the quotas ask for {named:,}"
        raise MashqError(
            f"mixture: expected {total:,} rows of split '{settings.split}', but {can}. Change total, quotas or limits, "
            "or bring more data."
        )
    yield total - named, rest


def _quotas(settings: MixtureSettings) -> dict[str, int]:
    """Task -> rows. Shares of the total are rounded so that their sum is the rounded sum of the shares."""
    shares = {task: Fraction(str(quota)) for task, quota in settings.quotas.items() if 0 < quota < 1}
    if shares and not settings.total:
        raise MashqError(f"mixture: the quota of task '{next(iter(shares))}' is a share, and total is 0. Set total.")
    if sum(shares.values()) > 1:
        raise MashqError(f"mixture: the shares of the quotas sum to {float(sum(shares.values())):.3f}, more than 1.")
    found = {task: round(quota) for task, quota in settings.quotas.items() if task not in shares}
    if shares:
        scale = 10**12
        rates = [round(share * scale) for share in shares.values()]
        whole = round(sum(shares.values()) * settings.total)
        found.update(zip(shares, fill(whole, rates, [settings.total] * len(rates)), strict=True))
    return {task: found[task] for task in sorted(found)}


def _pool(cells: Mapping[Cell, int], target: int | None, settings: MixtureSettings) -> dict[Cell, int]:
    of = {"source": lambda cell: cell[0], "task": lambda cell: cell[1], "template": lambda cell: cell}[settings.over]
    units = [part for _, part in _by(cells, of)]
    rows = [sum(part.values()) for part in units]
    rates = [_rate(n, settings) for n in rows]
    given = _unstrained(rows, rates, settings.cap) if target is None else fill(target, rates, rows)
    taken: dict[Cell, int] = {}
    for part, n in zip(units, given, strict=True):
        taken.update(zip(part, fill(n, list(part.values()), list(part.values())), strict=True))
    return taken


def _rate(rows: int, settings: MixtureSettings) -> int:
    counted = min(rows, settings.cap) if settings.cap else rows
    if not counted:
        return 0
    if settings.mode == "equal":
        return SCALE
    return counted * SCALE if settings.mode == "proportional" else round(counted ** (1 / settings.temperature) * SCALE)


def _unstrained(rows: Sequence[int], rates: Sequence[int], cap: int) -> list[int]:
    """The most rows in exact proportion to the rates, with none above its rows or the cap."""
    steps = [Fraction(min(n, cap) if cap else n, rate) for n, rate in zip(rows, rates, strict=True) if rate]
    least = min(steps, default=Fraction(0))
    return [int(rate * least) for rate in rates]


# --- which rows of a cell --------------------------------------------------------------------------------------------


def refusal(licence: str | None, settings: MixtureSettings) -> str | None:
    """Why a row under this licence is not taken, or None. A licence that says nothing of a use does not forbid it."""
    if licence is None or licence in settings.licences:
        return None
    allowed = uses(licence)
    forbidden = [use for use in settings.must_allow if getattr(allowed, use) == "no"]
    words = {"train": "training", "redistribute": "redistribution", "commercial": "commercial use"}
    named = " and ".join(words[use] for use in forbidden)
    return f"licence: {licence} does not allow {named}" if forbidden else None


def keys(ids: pa.Array | pa.ChunkedArray, seed: int) -> np.ndarray:
    """(n,) 64-bit numbers that order rows by chance: a function of id and seed alone."""
    return id_words(child_ids(ids, step="mixture", template=str(seed)))[:, 0]


class Population:
    """The rows that a mixture chooses from: their number and their keys in each cell, 8.1 MB a million rows.

    `add` needs the columns `id`, `split`, `licence` and those of `CELL`.
    """

    def __init__(self, settings: MixtureSettings):
        self.settings = settings
        self.rows: Counter[Cell] = Counter()  # of every split and licence
        self.elsewhere: Counter[Cell] = Counter()  # of another split
        self.refused: Counter[Cell] = Counter()  # of the split, but of a licence that is left out
        self._keys: dict[Cell, array[int]] = defaultdict(lambda: array("Q"))

    def add(self, table: pa.Table) -> None:
        """Take in rows."""
        cells, codes = _cells(table)
        here, reasons = _in_split(table, self.settings), _refusals(table, self.settings)
        free, lots = here & ~np.asarray(reasons.is_valid()), keys(table["id"], self.settings.seed)
        for code, cell in enumerate(cells):
            own = codes == code
            self.rows[cell] += int(own.sum())
            self.elsewhere[cell] += int((own & ~here).sum())
            self.refused[cell] += int((own & here & ~free).sum())
            self._keys[cell].frombytes(lots[own & free].tobytes())

    @property
    def counts(self) -> dict[Cell, int]:
        """Cell -> rows that may be taken."""
        return {cell: len(self._keys[cell]) for cell in self.rows}

    def last_key(self, cell: Cell, taken: int) -> tuple[int | None, int]:
        """(the largest key among the `taken` smallest, how many rows too many have a key as small); None: no row."""
        if not taken:
            return None, 0
        lots = np.frombuffer(self._keys[cell], dtype=np.uint64)
        if taken == len(lots):
            return int(lots.max()), 0
        lots.partition(taken - 1)
        last = lots[taken - 1]
        return int(last), int((lots[taken:] == last).sum())

    def plan(self, taken: Mapping[Cell, int], again: Callable[[], Iterable[pa.Table]]) -> pa.Table:
        """A line a cell: its rows, why some cannot be taken, how many are, and up to which key.

        Where rows of one cell share the last key, `again` reads the population once more, and the smallest ids of
        these are taken; `left` holds the others.
        """
        cells = sorted(self.rows)
        lasts = {cell: self.last_key(cell, taken[cell]) for cell in cells}
        left = _left({cell: (last, extra) for cell, (last, extra) in lasts.items() if extra}, again, self.settings)
        columns = {
            **{name: pa.array([cell[place] for cell in cells], pa.string()) for place, name in enumerate(CELL)},
            "rows": pa.array([self.rows[cell] for cell in cells], pa.int64()),
            "elsewhere": pa.array([self.elsewhere[cell] for cell in cells], pa.int64()),
            "refused": pa.array([self.refused[cell] for cell in cells], pa.int64()),
            "taken": pa.array([taken[cell] for cell in cells], pa.int64()),
            "last_key": pa.array([lasts[cell][0] for cell in cells], pa.uint64()),
            "left": pa.array([left.get(cell, []) for cell in cells], pa.list_(pa.binary(16))),
        }
        return pa.table(columns)


def _left(
    tied: Mapping[Cell, tuple[int | None, int]],
    again: Callable[[], Iterable[pa.Table]],
    settings: MixtureSettings,
) -> dict[Cell, list[bytes]]:
    """Of the rows that share their cell's last key, the ids that are one too many."""
    found: dict[Cell, list[bytes]] = defaultdict(list)
    for table in again() if tied else ():
        cells, codes = _cells(table)
        free = _in_split(table, settings) & ~np.asarray(_refusals(table, settings).is_valid())
        lots = keys(table["id"], settings.seed)
        for code, cell in enumerate(cells):
            if cell in tied:
                own = (codes == code) & free & (lots == np.uint64(tied[cell][0] or 0))
                found[cell] += table["id"].filter(pa.array(own)).to_pylist()
    return {cell: sorted(ids)[-tied[cell][1] :] for cell, ids in found.items()}


def mixed(table: pa.Table, plan: pa.Table, settings: MixtureSettings) -> tuple[pa.Table, int]:
    """The rows that the plan takes, those refused for their licence with the reason, and how many others there are."""
    cells, codes = _cells(table)
    lines = zip(*(plan[name].to_pylist() for name in CELL), plan["last_key"].to_pylist(), strict=True)
    lasts = {(source, task, template): last for source, task, template, last in lines}
    known = np.array([lasts[cell] is not None for cell in cells], dtype=bool)[codes]
    last = np.array([lasts[cell] or 0 for cell in cells], dtype=np.uint64)[codes]
    here, reasons = _in_split(table, settings), _refusals(table, settings)
    refused = here & np.asarray(reasons.is_valid())
    left = np.asarray(pc.is_in(table["id"], value_set=pc.list_flatten(plan["left"].combine_chunks())))
    taken = here & ~refused & known & (keys(table["id"], settings.seed) <= last) & ~left
    marked = drop(table, pc.if_else(pa.array(refused), reasons, pa.scalar(None, pa.string())))
    kept = marked.filter(pa.array(taken | refused))
    return kept, table.num_rows - kept.num_rows


def _cells(table: pa.Table) -> tuple[list[Cell], np.ndarray]:
    """The cells of a table, and for each row the place of its own among them."""
    columns = [pc.fill_null(table[name], "").combine_chunks().dictionary_encode() for name in CELL]
    code = np.zeros(table.num_rows, dtype=np.int64)
    for column in columns:
        code = code * len(column.dictionary) + column.indices.to_numpy()
    _, first, places = np.unique(code, return_index=True, return_inverse=True)
    names = [column.take(pa.array(first)).to_pylist() for column in columns]
    return list(zip(*names, strict=True)), places


def _in_split(table: pa.Table, settings: MixtureSettings) -> np.ndarray:
    return np.asarray(pc.equal(pc.fill_null(table["split"], "train"), settings.split))


def _refusals(table: pa.Table, settings: MixtureSettings) -> pa.Array:
    licences = table["licence"].combine_chunks().dictionary_encode()
    reasons = [refusal(licence, settings) for licence in licences.dictionary.to_pylist()]
    return pa.array(reasons, pa.string()).take(licences.indices)
