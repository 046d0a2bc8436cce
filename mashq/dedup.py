"""Equal prompts: one of each is kept, and none that is asked in a test is learnt.

Two passes. The first holds 8 bytes a row: a hash of its prompt; only rows that share it with another are looked at
again, by 16-byte hashes (XXH3) of prompt and answers (measured: 8.9 MB a million rows, and 165 MB a million of those
that share their prompt). Equal hashes of 16 bytes count as equal texts: among 10**8 rows two different ones meet with a
chance of one in 10**22.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mashq.arabic import normalise_column
from mashq.rows import ID, drop, id_hex, id_words, scramble

__all__ = ["COLUMNS", "REASONS", "content_hashes", "find_twins", "flat_lists", "without_twins"]

COLUMNS = ("id", "split", "text", "messages", "references")  # what `find_twins` needs of its rows
RANKS = {"test": 0, "validation": 1}  # a row gives way to an equal one of a lower rank; train's is 2
REASONS = (  # followed by an id
    "contaminated: its prompt is that of test row",
    "contaminated: its prompt is that of validation row",
    "duplicate: same prompt and answers as row",
)


def find_twins(again: Callable[[], Iterable[pa.Table]], forms: Sequence[str] = ()) -> pa.Table:
    """The rows that must go, by id: `id`, the row that stays (`of`) and why (`reason`).

    `again` reads the same rows in the same order each time it is called; the columns `COLUMNS` are enough. Of rows with
    equal prompts only those of the first of test, validation and train stay (a row without a split is train's); of
    these, where the answers are equal too, the first in order. Texts are equal when they are in the normal form
    (`arabic.FORMS`, or a profile); without one when they are the same characters. A last turn of the assistant and the
    references are answers, the rest is the prompt.
    """
    seen = array("Q")
    for table in again():
        seen.frombytes(content_hashes(table, forms)[0][:, 0].tobytes())
    lows = np.frombuffer(seen, dtype=np.uint64)
    lows.sort()
    twice = np.unique(lows[1:][lows[1:] == lows[:-1]])
    del lows, seen
    prompts, whole, ids, ranks = bytearray(), bytearray(), bytearray(), bytearray()
    for table in again() if len(twice) else ():
        of_prompt, of_whole = content_hashes(table, forms)
        at = twice[np.searchsorted(twice, of_prompt[:, 0]).clip(max=len(twice) - 1)] == of_prompt[:, 0]
        prompts += of_prompt[at].tobytes()
        whole += of_whole[at].tobytes()
        ids += id_words(table["id"])[at].tobytes()
        ranks += bytes(RANKS.get(split, 2) for split in table["split"].filter(pa.array(at)).to_pylist())
    return _judged(_pairs(prompts), _pairs(whole), _pairs(ids), np.frombuffer(ranks, dtype=np.int8))


def _pairs(data: bytearray) -> np.ndarray:
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2)


def _judged(prompts: np.ndarray, whole: np.ndarray, ids: np.ndarray, ranks: np.ndarray) -> pa.Table:
    """(n, 2) hashes of prompts, of prompts and answers, (n, 2) ids, (n,) ranks, in order -> the rows that go."""
    order = np.lexsort((np.arange(len(ids)), ranks, prompts[:, 1], prompts[:, 0]))
    first = _firsts(prompts[order])
    best = np.empty(len(ids), dtype=np.int64)
    best[order] = order[first]  # for each row the first row of the lowest rank with its prompt
    contaminated = ranks > ranks[best] if len(ids) else np.zeros(0, dtype=bool)

    stay = np.flatnonzero(~contaminated)
    order = stay[np.lexsort((stay, whole[stay, 1], whole[stay, 0], prompts[stay, 1], prompts[stay, 0]))]
    first = _firsts(np.concatenate([prompts[order], whole[order]], axis=1))
    same = np.arange(len(ids))
    same[order] = order[first]

    gone = np.flatnonzero(contaminated | (same != np.arange(len(ids))))
    of = np.where(contaminated, best, same)[gone]
    reasons = np.where(contaminated[gone], ranks[of], 2).astype(np.int8)
    by_id = np.argsort(_bytes(_ids(ids[gone])))
    return pa.table(
        {
            "id": _ids(ids[gone[by_id]]),
            "of": _ids(ids[of[by_id]]),
            "reason": pa.DictionaryArray.from_arrays(reasons[by_id], pa.array(REASONS)),
        }
    )


def _firsts(rows: np.ndarray) -> np.ndarray:
    """(n, k) sorted rows -> for each the place of the first one that is equal to it."""
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))


def _ids(words: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(ID, len(words), [None, pa.py_buffer(np.ascontiguousarray(words).tobytes())])


def without_twins(table: pa.Table, twins: pa.Table) -> pa.Table:
    """The rows, those that `find_twins` named dropped with the reason and the id of the row that stays."""
    known, ids = _bytes(twins["id"]), _bytes(table["id"])
    places = np.searchsorted(known, ids)
    found = np.flatnonzero(places < len(known))
    hit = found[known[places[found]] == ids[found]]
    reasons: list[str | None] = [None] * table.num_rows
    lines = twins.take(pa.array(places[hit]))
    for row, reason, of in zip(hit, lines["reason"].to_pylist(), lines["of"].to_pylist(), strict=True):
        reasons[row] = f"{reason} {id_hex(of)}"
    return drop(table, reasons)


def _bytes(ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of n ids -> (n,) 16-byte strings that NumPy compares; equal exactly when the ids are."""
    one = ids.chunk(0) if isinstance(ids, pa.ChunkedArray) and ids.num_chunks == 1 else ids  # without a copy
    return np.ascontiguousarray(id_words(one)).view("S16")[:, 0]


# --- what is compared ------------------------------------------------------------------------------------------------


def content_hashes(table: pa.Table, forms: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) 64-bit words each: a hash of the prompt, and one of prompt and answers."""
    messages, ends = flat_lists(table["messages"])
    references, answer_ends = flat_lists(table["references"])
    roles = pc.fill_null(messages.field("role"), "")
    coded = roles.dictionary_encode()
    turns = _fold(
        _digests(coded.dictionary)[coded.indices.to_numpy()], _digests(_formed(messages.field("content"), forms))
    )
    answers = _digests(_formed(references, forms))
    texts = _digests(_formed(table["text"], forms))
    starts, lengths = ends[:-1], np.diff(ends)
    replies = np.append(np.asarray(pc.equal(roles, "assistant")), False)
    answered = (lengths > 0) & replies[ends[1:] - 1]
    asked = lengths - answered
    prompts = _chained(texts, turns, starts, asked)
    with_reply = _chained(_fold(prompts, answered[:, None].astype(np.uint64)), turns, starts + asked, lengths - asked)
    whole = _chained(with_reply, answers, answer_ends[:-1], np.diff(answer_ends))
    return prompts, whole


def _chained(begun: np.ndarray, digests: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(n, 2) hashes, each with the digests of its own list folded in, one after the other."""
    made = begun.copy()
    for place in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > place)
        made[rows] = _fold(made[rows], digests[starts[rows] + place])
    return made


def _fold(hashes: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """(n, 2) hashes and (n, 2) or (n, 1) words -> (n, 2) hashes that depend on both and on their order."""
    with np.errstate(over="ignore"):
        first = scramble(hashes[:, 0] ^ scramble(digests[:, 0] + np.uint64(0x9E3779B97F4A7C15)))
        second = scramble(hashes[:, 1] ^ scramble(digests[:, -1] + first))
        return np.stack([scramble(first + second), second], axis=1)


def flat_lists(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """A column of n lists -> their values one after the other, and the n + 1 places where lists begin and end."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = pc.list_flatten(column)
    values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], column.type.value_type)
    return values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _formed(column: pa.Array | pa.ChunkedArray, forms: Sequence[str]) -> pa.Array:
    filled = pc.fill_null(column, "")
    return normalise_column(filled, forms) if forms else filled


def _digests(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(n, 2) words: XXH3 of each text, 128 bits."""
    joined = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if len(joined) and pc.max(pc.binary_length(joined)).as_py() == 0:
        return np.tile(_pairs(bytearray(xxhash.xxh3_128_digest(b""))), (len(joined), 1))
    return _pairs(bytearray(b"".join(map(xxhash.xxh3_128_digest, joined.cast(pa.binary()).to_pylist()))))
