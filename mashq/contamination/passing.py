"""Texts of rows as runs of words: an index of the test items, and what training rows that stream past share with it.

What is compared and what counts is said in `mashq.contamination`, which judges what is gathered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mashq import arabic
from mashq.dedup import flat_lists
from mashq.metrics.profile import Profile
from mashq.metrics.resample import cluster_codes
from mashq.metrics.score import sign
from mashq.rows import MashqError, expected_got, group_names, id_hex, scramble

__all__ = ["COLUMNS", "PARTS", "RUN", "SHOWN", "Index", "Kin", "Seen", "Settings", "alive_rows", "distinct", "kin_of"]

COLUMNS = ("id", "parents", "group", "template", "text", "messages", "references", "dropped")  # what rows need
RUN = 5  # words in a run, as in `near`
FORM = Profile("search", arabic.resolve("search"))
PROMPT, REFERENCE = 0, 1
PARTS = ("prompt", "reference")
SHOWN = 40  # words of a span that are written out
_LETTERED = 3  # words of a run that need a letter
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Settings:
    """What is measured and from which value on it is evidence: a value that reaches its limit is."""

    orders: tuple[int, ...] = (8, 13)  # words of an n-gram, each at least RUN
    share: float = 0.4  # of a text's n-grams of one order, or of its words in the lowest, that stand in a stage, 0..1
    span: int = 50  # words copied in a row
    near: float = 0.5  # Jaccard's measure of runs of five, 0..1: 1 word in 20 changed leaves 0.52
    least: int = 3  # n-grams of the lowest order that a text needs to be judged (10 words)
    own: float = 1 / 3  # of a text's n-grams of that order that must be its own to be judged by its parts, 0..1
    groups: int = 3  # groups that share a template's wording
    template_share: float = 0.01  # of the rows of one template that share its wording, 0..1
    formula_groups: int = 50  # groups, and different texts, of training from which on a run is a formula; 0 = never
    most: float = 0.01  # share of contaminated items that the verdict on the whole test set allows, 0..1

    def __post_init__(self) -> None:
        for name in ("share", "near", "own", "template_share", "most"):
            if not 0 <= getattr(self, name) <= 1:
                raise MashqError(expected_got(f"contamination: {name}", "0..1", str(getattr(self, name))))
        if not self.orders or min(self.orders) < RUN:
            raise MashqError(expected_got("contamination: orders", f"numbers from {RUN} up", str(self.orders)))
        for name, low in (("span", RUN), ("least", 1), ("groups", 1), ("formula_groups", 0)):
            if getattr(self, name) < low:
                raise MashqError(expected_got(f"contamination: {name}", f"{low} or more", str(getattr(self, name))))

    @property
    def signature(self) -> str:
        """How texts are compared and what is left out: two checks with equal signatures can be set side by side."""
        orders = "-".join(map(str, self.orders))
        common = f"common:{self.groups}g{self.template_share:g}t{self.formula_groups}f"
        limits = f"limits:{self.share:g}-{self.span}-{self.near:g}-{self.least}-{self.own:.3g}"
        return sign("contamination", f"n:{orders}", f"run:{RUN}", common, limits, FORM.signature)


def alive_rows(table: pa.Table, what: str) -> pa.Table:
    """The rows that were not dropped, with `COLUMNS` alone. Raises MashqError where one of these is absent."""
    for name in COLUMNS:
        if name not in table.column_names:
            raise MashqError(
                expected_got(f"contamination: {what}", f"a column '{name}'", ", ".join(table.column_names))
            )
    return table.select(COLUMNS).filter(pc.is_null(table["dropped"]))


# --- texts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """The texts of a table of rows, as hashes of their words."""

    rows: np.ndarray  # (texts,) which row each is of
    parts: np.ndarray  # (texts,) PROMPT or REFERENCE
    turns: np.ndarray  # (texts,) place in the conversation
    codes: np.ndarray  # (words,) uint64
    ends: np.ndarray  # (texts + 1,) where each text's words begin and end
    written: list[str] = field(repr=False)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ends)

    def whole(self) -> np.ndarray:
        """(texts,) a hash of all words of each in their order."""
        return _folded(self.codes, self.ends)

    def runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes of runs of RUN words that lie in one text, their texts, and their places in them."""
        count = max(len(self.codes) - RUN + 1, 0)
        made = self.codes[:count].copy()
        for offset in range(1, RUN):
            made = made * _STEP + self.codes[offset : count + offset]
        owner = np.repeat(np.arange(len(self.rows)), self.lengths)[:count]
        inside = np.flatnonzero(np.arange(count) + RUN <= self.ends[1:][owner])
        return made[inside], owner[inside], inside - self.ends[owner[inside]]


def texts_of(table: pa.Table) -> Texts:
    """Turns, references and plain texts of rows; texts without a word are left out."""
    turns, ends = flat_lists(table["messages"])
    answers, answer_ends = flat_lists(table["references"])
    numbers = np.arange(table.num_rows)
    rows = [np.repeat(numbers, np.diff(ends)), np.repeat(numbers, np.diff(answer_ends)), numbers]
    last = np.arange(len(turns)) == ends[1:][rows[0]] - 1
    replies = last & np.asarray(pc.equal(pc.fill_null(turns.field("role"), ""), "assistant"))
    parts = [replies.astype(np.int8), np.ones(len(answers), np.int8), np.zeros(table.num_rows, np.int8)]
    order = [np.arange(len(turns)) - ends[rows[0]], np.zeros(len(answers)), np.zeros(table.num_rows)]
    written = [*turns.field("content").to_pylist(), *answers.to_pylist(), *table["text"].to_pylist()]
    kept = np.flatnonzero([bool(text) for text in written])
    chosen = [written[place] for place in kept]
    codes, word_ends = worded(chosen)
    filled = np.flatnonzero(np.diff(word_ends))
    kept = kept[filled]
    return Texts(
        np.concatenate(rows)[kept],
        np.concatenate(parts)[kept],
        np.concatenate(order)[kept].astype(np.int64),
        codes,
        np.append(word_ends[filled], word_ends[-1]),
        [chosen[place] for place in filled],
    )


def worded(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the words of all texts in a row, and where each text's begin and end."""
    numbered = FORM.numbered(texts)
    codes = [xxhash.xxh3_64_intdigest(word.encode()) for word in numbered.vocabulary]
    return np.array(codes, dtype=np.uint64)[numbered.numbers], numbered.offsets


def _folded(codes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Lists of hashes, one after the other -> a hash of each that depends on the order in it."""
    places = np.arange(len(codes)) - np.repeat(ends[:-1], np.diff(ends))
    sums = np.cumsum(np.append(np.uint64(0), scramble(codes ^ scramble((places + 1).astype(np.uint64)))))
    return scramble(sums[ends[1:]] - sums[ends[:-1]] + np.diff(ends).astype(np.uint64))


def _pairs(texts: Texts, whole: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows,) a hash of each row's prompt; and for each answer of a row with a prompt its row and a hash of both."""
    asked = texts.parts == PROMPT
    prompts = np.zeros(rows, np.uint64)
    np.add.at(
        prompts, texts.rows[asked], scramble(whole[asked] ^ scramble(texts.turns[asked].astype(np.uint64) + _STEP))
    )
    answers = np.flatnonzero(~asked & (prompts[texts.rows] != 0))
    return prompts, texts.rows[answers], scramble(prompts[texts.rows[answers]] + scramble(whole[answers] ^ _STEP))


class Sieve:
    """A set of 64-bit numbers that most questions leave after one look at a small table."""

    def __init__(self, values: np.ndarray):
        self.values = np.unique(values)
        bits = min(max(16, len(self.values).bit_length() + 5), 26)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, dtype=bool)
        self._table[self.values >> self._shift] = True

    def find(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of `values` that are in the set, and the number in the set of each."""
        maybe = np.flatnonzero(self._table[values >> self._shift])
        if not len(maybe):
            return maybe, maybe
        number = np.searchsorted(self.values, values[maybe]).clip(max=len(self.values) - 1)
        right = self.values[number] == values[maybe]
        return maybe[right], number[right]


# --- the test items --------------------------------------------------------------------------------------------------


class Index:
    """The runs of all test items, where each stands, and which of them are shared wording."""

    def __init__(self, items: pa.Table, settings: Settings, formulae: Sequence[str], shown: int = SHOWN):
        if not items.num_rows:
            raise MashqError(expected_got("contamination: test items", "at least one", "none"))
        self.table, self.ids, self.shown = items, items["id"].to_pylist(), shown
        if len(set(self.ids)) < len(self.ids):
            twice = next(one for place, one in enumerate(self.ids) if one in self.ids[:place])
            raise MashqError(expected_got("contamination: test items", "one row an id", f"two of {id_hex(twice)}"))
        self.groups = group_names(items).to_pylist()
        named = pc.fill_null(items["template"], "").to_numpy()
        names, self.template = np.unique(named.astype(object), return_inverse=True)
        self.templates: list[str] = names.tolist()
        self.texts = texts_of(items)
        self.spoken = FORM.words(self.texts.written)
        hashes, self.text, self.place = self.texts.runs()  # of each occurrence of a run
        self.sieve = Sieve(hashes)
        self.run = self.sieve.find(hashes)[1]
        self.starts = np.searchsorted(self.text, np.arange(len(self.texts.rows) + 1))  # of each text's occurrences
        self.common, self.home = self._wording(settings, hashes, formulae)
        self.whole, self.answers = self._wholes(settings)

    def _wording(
        self, settings: Settings, hashes: np.ndarray, formulae: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """For each run: "" or why it is no evidence, and the template (by place) in which it is most frequent."""
        item = self.texts.rows[self.text]
        per_run = distinct(
            self.run, cluster_codes(len(self.ids), self.groups, "contamination")[item], len(self.sieve.values)
        )
        pairs = np.unique(np.stack([self.run, self.template[item], item], axis=1), axis=0)
        cells, held = np.unique(pairs[:, :2], axis=0, return_counts=True)
        shares = held / np.bincount(self.template)[cells[:, 1]]
        order = np.lexsort((cells[:, 1], -shares, cells[:, 0]))
        first = order[np.flatnonzero(np.diff(cells[order, 0], prepend=-1))]  # a run's template with the highest share
        why = np.full(len(self.sieve.values), "", dtype=object)
        why[(per_run >= settings.groups) & (shares[first] >= settings.template_share)] = "template"
        lettered = np.array([any(map(str.isalpha, word)) for words in self.spoken for word in words])
        sums = np.cumsum(np.append(0, lettered))
        begin = self.texts.ends[self.text] + self.place
        why[self.run[sums[begin + RUN] - sums[begin] < _LETTERED]] = "no letters"
        told = _formula_runs(formulae)
        why[self.sieve.find(told)[1]] = "given"
        return why, cells[first, 1]

    def _wholes(self, settings: Settings) -> tuple[Sieve, Sieve]:
        """What is looked up as a whole: texts long enough to tell, and pairs of a prompt that few groups share."""
        self.hashes = self.texts.whole()
        self.long = self.grams(min(settings.orders), self.common == "")[1] >= settings.least
        prompts, rows, pairs = _pairs(self.texts, self.hashes, len(self.ids))
        _, prompt = np.unique(prompts, return_inverse=True)
        shared = distinct(prompt, cluster_codes(len(self.ids), self.groups, "contamination"), len(self.ids))
        own = (shared[prompt] < settings.groups)[rows]
        self.pair_items, self.pair_hashes = rows[own], pairs[own]
        return Sieve(self.hashes[self.long]), Sieve(self.pair_hashes)

    def grams(self, order: int, content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Occurrences that begin an n-gram all of whose runs are content (by run), and their number in each text."""
        width = order - RUN + 1
        sums = np.cumsum(np.append(0, content[self.run]))
        at = np.arange(len(self.run))
        fits = at + width <= self.starts[1:][self.text]
        whole = np.zeros(len(at), dtype=bool)
        whole[fits] = sums[at[fits] + width] - sums[at[fits]] == width
        return whole, np.bincount(self.text[whole], minlength=len(self.texts.rows))

    def told(self, settings: Settings, content: np.ndarray) -> np.ndarray:
        """(texts,) whether enough of each text is its own to judge it by its parts."""
        order = min(settings.orders)
        own, every = self.grams(order, content)[1], self.grams(order, np.ones(len(content), bool))[1]
        return (own >= settings.least) & (own >= settings.own * every)

    def covered(self, order: int, at: np.ndarray) -> np.ndarray:
        """(texts,) how many words lie in the n-grams that begin at these occurrences."""
        begin = self.texts.ends[self.text[at]] + self.place[at]
        size = len(self.texts.codes) + 1
        inside = np.cumsum(np.bincount(begin, minlength=size) - np.bincount(begin + order, minlength=size))[:-1] > 0
        sums = np.cumsum(np.append(0, inside))[self.texts.ends]
        return np.diff(sums)

    def words(self, text: int, place: int, count: int) -> str:
        """Some words of a text in normal form, at most `shown` of them."""
        words = self.spoken[text][place : place + count]
        return " ".join(words[: self.shown]) + (" …" if len(words) > self.shown > 0 else "")


def _formula_runs(formulae: Sequence[str]) -> np.ndarray:
    """Runs of the texts that the caller named. Raises MashqError for one string and for what is not Unicode text."""
    if isinstance(formulae, str):
        raise MashqError(expected_got("contamination: formulae", "a list of texts", "one string", "Write [text]."))
    for place, text in enumerate(formulae):
        if not isinstance(text, str) or any("\ud800" <= char <= "\udfff" for char in text):
            got = "a lone surrogate" if isinstance(text, str) else f"a {type(text).__name__}"
            raise MashqError(expected_got(f"contamination: formula {place}", "a Unicode text", got))
    codes, ends = worded(formulae)
    none = np.zeros(len(formulae), np.int64)
    return Texts(np.arange(len(formulae)), none, none, codes, ends, []).runs()[0]


def distinct(keys: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(size,) how many different values stand beside each key 0..size-1 (64-bit integers, told apart by a hash)."""
    mixed = scramble(values.astype(np.uint64) ^ scramble(keys.astype(np.uint64) + _STEP))
    return np.bincount(keys[np.unique(mixed, return_index=True)[1]], minlength=size)


# --- descent ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kin:
    """Ids on the items' own lines and of what was made from them -> the ids on the lines that they go back to."""

    items: dict[bytes, list[int]]  # an id on a line -> the items whose line it is
    back: dict[bytes, frozenset[bytes]]
    known: pa.Array


def kin_of(index: Index, lineage: Callable[[], Iterable[pa.Table]] | None) -> Kin:
    """Up from the items by first parents, then down by all parents; each generation is one reading of `lineage`."""
    lines: dict[bytes, list[int]] = {one: [place] for place, one in enumerate(index.ids)}
    waiting = {index.ids[place]: own for place, own in enumerate(index.table["parents"].to_pylist()) if own}
    known_parents: dict[bytes, list[bytes]] = dict(waiting)
    # ids whose own parents are still to be read
    open_ = {own[0] for own in waiting.values()} - known_parents.keys()
    while open_ and lineage is not None:
        found = _parents_of(open_, lineage())
        known_parents |= found
        open_ = {own[0] for own in found.values()} - known_parents.keys()
    for place, item in enumerate(index.ids):
        at, passed = item, {item}
        while (own := known_parents.get(at)) and own[0] not in passed:
            at = own[0]
            passed.add(at)
            lines.setdefault(at, []).append(place)
    back = {one: frozenset([one]) for one in lines}
    fresh = set(back) if lineage is not None else set()
    while fresh and lineage is not None:
        made: dict[bytes, frozenset[bytes]] = {}
        for row, own in _children_of(fresh, lineage()):
            roots = frozenset().union(*(back[one] for one in own if one in back))
            if not roots <= back.get(row, frozenset()) and row not in lines:
                made[row] = made.get(row, back.get(row, frozenset())) | roots
        back |= made
        fresh = set(made)
    return Kin(lines, back, _id_set(back))


def _id_set(ids: Iterable[bytes]) -> pa.Array:
    return pa.array(sorted(ids), pa.binary(16))


def _parents_of(ids: set[bytes], tables: Iterable[pa.Table]) -> dict[bytes, list[bytes]]:
    wanted, found = _id_set(ids), {}
    for table in tables:
        some = table.filter(pc.is_in(table["id"], value_set=wanted))
        found.update(
            {row: own or [] for row, own in zip(some["id"].to_pylist(), some["parents"].to_pylist(), strict=True)}
        )
    return {row: own for row, own in found.items() if own}


def _children_of(ids: set[bytes], tables: Iterable[pa.Table]) -> Iterator[tuple[bytes, list[bytes]]]:
    wanted = _id_set(ids)
    for table in tables:
        some = table.take(pa.array(_with_parent(table, wanted)))
        yield from zip(some["id"].to_pylist(), some["parents"].to_pylist(), strict=True)


def _with_parent(table: pa.Table, wanted: pa.Array) -> np.ndarray:
    """Places of the rows that have one of these ids among their parents."""
    parents, ends = flat_lists(table["parents"])
    hit = np.flatnonzero(np.asarray(pc.is_in(parents, value_set=wanted)))
    return np.unique(np.searchsorted(ends, hit, side="right") - 1)


# --- the training rows -----------------------------------------------------------------------------------------------


class _Known:
    """Numbers that were seen: a large sorted array and a small one, so that few are sorted again each time."""

    def __init__(self) -> None:
        self._large, self._small = np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def add(self, values: np.ndarray) -> np.ndarray:
        """Places of those of some different values that were not seen yet."""
        new = np.ones(len(values), bool)
        for known in (self._large, self._small):
            if len(known):
                new &= known[np.searchsorted(known, values).clip(max=len(known) - 1)] != values
        self._small = np.sort(np.concatenate([self._small, values[new]]))
        if len(self._small) > max(100_000, len(self._large) // 8):
            self._large, self._small = np.sort(np.concatenate([self._large, self._small])), self._small[:0]
        return np.flatnonzero(new)


class Seen:
    """What the training rows that went past share with the items."""

    def __init__(self, index: Index, kin: Kin, settings: Settings):
        self.index, self.kin, self.settings = index, kin, settings
        self.names: list[str] = []
        self.counts: list[dict[str, int]] = []
        runs = len(index.sieve.values)
        self.groups = np.zeros(runs, np.int64)  # different groups of training rows that have a run
        self.texts = np.zeros(runs, np.int64)  # different training texts that have it
        self.at_home = np.zeros(runs, np.int64)  # rows of its own template that have it
        self.of_template = np.zeros(len(index.templates), np.int64)  # rows
        self.enough = max(settings.formula_groups, settings.groups)  # neither is counted any further than both are
        self._known = _Known()  # pairs of run and group, and of run and text
        self.wholes: dict[tuple[int, int], bytes] = {}  # (stage, text as a whole) -> the least id of a row
        self.couples: dict[tuple[int, int], bytes] = {}
        self.twins: dict[tuple[int, bytes], bytes] = {}
        self.ids: list[bytes] = []  # of the row of each training text that is kept
        self.of_stage: list[int] = []
        self.sizes: list[int] = []  # different runs of it that are no common wording
        self._hits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def stage(self, name: str) -> None:
        """What comes now is of this stage."""
        self.names.append(name)
        self.counts.append({"rows": 0, "texts": 0, "words": 0})

    def add(self, table: pa.Table) -> None:
        """Take in training rows."""
        texts = texts_of(table)
        for name, count in zip(
            ("rows", "texts", "words"), (table.num_rows, len(texts.rows), len(texts.codes)), strict=True
        ):
            self.counts[-1][name] += count
        places = self._templates_of(table)
        self.of_template += np.bincount(places[places >= 0], minlength=len(self.of_template))
        self._add_twins(table)
        whole = texts.whole()
        at, number = self.index.whole.find(whole)
        self._keep(self.wholes, number, table["id"].take(pa.array(texts.rows[at])))
        _, rows, pairs = _pairs(texts, whole, table.num_rows)
        at, number = self.index.answers.find(pairs)
        self._keep(self.couples, number, table["id"].take(pa.array(rows[at])))
        self._add_runs(table, texts, whole)

    def _keep(self, least: dict[Any, bytes], keys: Iterable[Any], ids: pa.ChunkedArray) -> None:
        stage = len(self.names) - 1
        for key, row in zip(keys, ids.to_pylist(), strict=True):
            known = least.get((stage, key))
            least[stage, key] = row if known is None else min(known, row)

    def _add_twins(self, table: pa.Table) -> None:
        own = np.flatnonzero(np.asarray(pc.is_in(table["id"], value_set=self.kin.known)))
        some = table.take(pa.array(np.union1d(own, _with_parent(table, self.kin.known)).astype(np.int64)))
        for row, parents in zip(some["id"].to_pylist(), some["parents"].to_pylist(), strict=True):
            for root in frozenset().union(*(self.kin.back.get(one, frozenset()) for one in [row, *(parents or [])])):
                key = (len(self.names) - 1, root)
                self.twins[key] = min(self.twins.get(key, row), row)

    def _add_runs(self, table: pa.Table, texts: Texts, whole: np.ndarray) -> None:
        hashes, text, place = texts.runs()
        at, run = self.index.sieve.find(hashes)
        if not len(at):
            return
        common = (self.index.common != "") | self.formulae
        self._count(table, texts, whole, text[at], run)
        kept = np.unique(text[at][~common[run]])  # texts that share more than common wording
        if not len(kept):
            return
        inside = np.isin(text, kept)
        sizes = distinct(text[inside], hashes[inside], len(texts.rows))
        wording = distinct(text[at][common[run]], run[common[run]], len(texts.rows))
        stays = ~common[run]
        numbers = np.searchsorted(kept, text[at][stays]) + len(self.ids)
        self._hits.append((numbers.astype(np.int32), place[at][stays].astype(np.int32), run[stays].astype(np.int32)))
        self.sizes += (sizes - wording)[kept].tolist()
        self.ids += table["id"].take(pa.array(texts.rows[kept])).to_pylist()
        self.of_stage += [len(self.names) - 1] * len(kept)

    @property
    def formulae(self) -> np.ndarray:
        """For each run whether as many groups and different texts have it as make a formula."""
        least = self.settings.formula_groups
        return np.minimum(self.groups, self.texts) >= (least or np.iinfo(np.int64).max)

    def _count(self, table: pa.Table, texts: Texts, whole: np.ndarray, text: np.ndarray, run: np.ndarray) -> None:
        """Count groups and texts that have each run, until there are enough, and the rows of its own template."""
        rows = texts.rows[text]
        home = self._templates_of(table)[rows] == self.index.home[run]
        self.at_home += distinct(run[home], rows[home], len(self.at_home))
        open_ = np.minimum(self.groups, self.texts)[run] < self.enough
        some, within = np.unique(rows[open_], return_inverse=True)
        names = group_names(table.take(pa.array(some))).to_pylist()
        codes = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], np.uint64)
        for counted, values in ((self.groups, codes[within]), (self.texts, scramble(whole[text[open_]]))):
            keys, first = np.unique(scramble(values ^ scramble(run[open_].astype(np.uint64))), return_index=True)
            fresh = self._known.add(keys)
            np.add.at(counted, run[open_][first[fresh]], 1)

    def _templates_of(self, table: pa.Table) -> np.ndarray:
        """The place of each row's template among those of the items, -1 for another."""
        known = pa.array(self.index.templates)
        places = pc.index_in(pc.fill_null(table["template"], ""), value_set=known)
        return pc.fill_null(places, -1).to_numpy()

    def hits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Training texts, places in them, and the runs that stand there."""
        if not self._hits:
            return tuple(np.zeros(0, np.int64) for _ in range(3))  # type: ignore[return-value]
        text, place, run = (np.concatenate(parts).astype(np.int64) for parts in zip(*self._hits, strict=True))
        return text, place, run
