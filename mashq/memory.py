"""The translation memory: what was translated and scored before, so that nothing is translated or scored twice.

One SQLite file that every run in a store shares. A batch is one transaction: after kill -9 it is there whole or not at
all. A translation is found by its engine (all that decides a translation) and the masked sentence, a score by its
scorer and the pair. Nothing is ever overwritten: what was said first stands.
"""

from __future__ import annotations

import math
import operator
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from mashq.rows import MashqError

__all__ = ["FILE", "Entry", "Memory"]

FILE = "translations.sqlite"  # its name in a store
WAIT_S = 60  # for another process that writes
WAITING_PAGES = 16_000  # 64 MB of batches beside the file before they go into it: a batch costs half of it then
AT_ONCE = 16_000  # keys in one question; SQLite takes 32,766
TABLES = """
create table if not exists translations (
  key blob primary key, engine text not null, source text not null, translation text not null, fault text, made blob
) without rowid;
create table if not exists scores (key blob primary key, value real, made blob) without rowid;
create table if not exists work (
  made blob primary key, step text not null, what text not null
) without rowid;
"""


class Entry(NamedTuple):
    """A translation as kept: of a masked sentence, with the engine's fault or None, and which work made it."""

    text: str
    fault: str | None
    made: bytes


def _key(*texts: str) -> bytes:
    """16 bytes of several texts; their lengths in bytes stand before them, so that no two lists are one."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return xxhash.xxh3_128_digest(b"%b%b" % (b",".join(b"%d" % len(one) for one in encoded), b"".join(encoded)))


class Memory:
    """The memory of a store; any number of processes may have it open."""

    def __init__(self, path: Path | None):
        self.path = path  # None: in this process alone
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._told("open"):
            # Transactions are begun by hand: the module's own would begin one at the first insert and at no select.
            self._file = sqlite3.connect(
                path or ":memory:", timeout=WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._write_ahead()
            self._file.execute("pragma synchronous = normal")  # a power cut may lose the last batches, never the file
            self._file.execute(f"pragma wal_autocheckpoint = {WAITING_PAGES}")
            self._file.executescript(TABLES)

    def _write_ahead(self) -> None:
        """Readers and a writer at once. SQLite does not wait for this change while another process makes it too."""
        until = time.monotonic() + WAIT_S
        while True:
            try:
                self._file.execute("pragma journal_mode = wal")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every batch is in it."""
        self._file.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise MashqError(
                f"translation memory {self.path or ''}: cannot {doing} ({error}). What was kept before is kept; "
                "free space or wait for the other process, and run again. A damaged file may be moved away: all is "
                "asked anew."
            ) from error

    # --- translations ------------------------------------------------------------------------------------------------

    def translations(self, engine: str, sentences: Sequence[str]) -> list[Entry | None]:
        """What the engine made of each sentence; None where it was not asked."""
        keys = [_key(engine, sentence) for sentence in sentences]
        found = {key: Entry(*rest) for key, *rest in self._find("translations", "translation, fault, made", keys)}
        return [found.get(key) for key in keys]

    def keep_translations(self, engine: str, batch: Iterable[tuple[str, str, str | None]], made: bytes) -> bool:
        """Keep a batch of (sentence, translation, fault), all or none; False where some stood there before."""
        rows = [(_key(engine, source), engine, source, text, fault, made) for source, text, fault in batch]
        return self._keep("insert or ignore into translations values (?, ?, ?, ?, ?, ?)", rows)

    # --- scores ------------------------------------------------------------------------------------------------------

    def scores(self, scorer: str, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bytes] | None]:
        """What the scorer said of each pair, and which work made it; None where it was not asked."""
        keys = [_key(scorer, *pair) for pair in pairs]
        found = {
            key: (math.nan if value is None else value, made)
            for key, value, made in self._find("scores", "value, made", keys)
        }
        return [found.get(key) for key in keys]

    def keep_scores(self, scorer: str, batch: Iterable[tuple[tuple[str, str], float]], made: bytes) -> bool:
        """Keep a batch of (pair, score), all or none; False where some stood there before. A score may be nan."""
        rows = [(_key(scorer, *pair), value, made) for pair, value in batch]
        return self._keep("insert or ignore into scores values (?, ?, ?)", rows)

    # --- what work was done ------------------------------------------------------------------------------------------

    def keep_work(self, made: bytes, step: str, what: str) -> None:
        """Note what one piece of a step's work was, as JSON; the first note of a piece stands."""
        self._keep("insert or ignore into work values (?, ?, ?)", [(made, step, what)])

    def work(self, step: str) -> list[str]:
        """The notes of a step's work, in an order of their own."""
        with self._told("read"):
            return [what for (what,) in self._file.execute("select what from work where step = ?", (step,))]

    # --- the file ----------------------------------------------------------------------------------------------------

    def _find(self, table: str, columns: str, keys: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        unique = sorted(set(keys))  # in the order of the table, so that its pages are read once
        with self._told("read"):
            for start in range(0, len(unique), AT_ONCE):
                some = unique[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                yield from self._file.execute(f"select key, {columns} from {table} where key in ({marks})", some)

    def _keep(self, statement: str, rows: list[Any]) -> bool:
        ordered: list[Any] = sorted(rows, key=operator.itemgetter(0))  # keys side by side share a page of the file
        with self._told("write"):
            self._file.execute("begin immediate")
            try:
                inserted = self._file.executemany(statement, ordered).rowcount
                self._file.execute("commit")
            except BaseException:
                if self._file.in_transaction:  # a full disk ends it by itself
                    self._file.execute("rollback")
                raise
        return inserted == len(rows)
