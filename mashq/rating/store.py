"""The SQLite file of a study: the study, its raters and their links, their lists, every answer.

A saved answer is on the disk when `save` returns (write-ahead log, synchronous=FULL): neither kill -9 nor a power cut
takes it back. Any number of threads and processes of one machine may have the file open (the log does not work over a
network drive); one writes at a time, the others wait.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from mashq.rating import dealing
from mashq.rating.answers import checked, clean, is_right, spent, turned
from mashq.rating.keeping import VISITS, keep
from mashq.rating.study import Item, Study
from mashq.rating.table import COLUMNS, answer_rows
from mashq.rows import MashqError, expected_got

__all__ = ["VERSION", "Answer", "Coverage", "Progress", "Rater", "Shown", "Store"]

VERSION = 1  # of the tables below
MARK = 0x6D736872  # "mshr": SQLite's application_id, by which the file is known
WAIT_S = 30  # for another process that writes
KEY_BYTES = 16  # 128 bits: what is drawn for raters cannot be drawn again without the file
TOKEN_BYTES = 24  # 192 bits: beyond any guessing, and 32 characters in a link
MOST_NAME, MOST_RATER_NOTE = 80, 2_000  # characters
TABLES = """
create table meta (key text primary key, value text not null) without rowid;
create table raters (
  id integer primary key, name text not null unique, dialect text not null, note text not null,
  token blob not null unique, paused integer not null default 0, left integer not null default 0, made integer not null
);
create table list (
  rater integer not null references raters (id), item text not null, place integer not null,
  active integer not null default 1, primary key (rater, item)
) without rowid;
create index by_place on list (rater, active, place);
create table answers (
  rater integer not null, item text not null, answer text not null, seconds real not null, made integer not null,
  primary key (rater, item), foreign key (rater, item) references list (rater, item)
) without rowid;
create table history (
  id integer primary key, rater integer not null, item text not null, answer text not null, seconds real not null,
  made integer not null, replaced integer not null, foreign key (rater, item) references list (rater, item)
);
"""


@dataclass(frozen=True)
class Rater:
    """One person who rates."""

    id: int
    name: str
    dialect: str
    paused: bool
    left: bool = False  # withdrawn: the link is dead


@dataclass(frozen=True)
class Answer:
    """An answer in the order of sides in which this rater saw the item."""

    said: Mapping[str, Any]  # see `mashq.rating.answers`
    seconds: float
    when: int  # microseconds since 1970, UTC


@dataclass(frozen=True)
class Shown:
    """An item as one rater is given it: blind, with the sides in this rater's order.

    Of `item`, `systems` and `group` are empty, `id` is a name for this rater alone, and an attention item looks like
    any other; `right` and `why` stand in practice items only.
    """

    number: int  # its place in this rater's list, from 1
    of: int  # the length of that list
    item: Item
    answer: Answer | None


@dataclass(frozen=True)
class Progress:
    """How far a rater is; practice and attention items are among `done` and `of`."""

    done: int
    of: int
    practice_done: int
    practice_of: int
    attention_right: int
    attention_of: int  # attention items answered so far


@dataclass(frozen=True)
class Coverage:
    """How the items are covered by raters who have them in their lists, and by answers; withdrawn raters apart."""

    items: int
    wanted: int  # raters an item should have
    raters: int
    dealt: int  # the fewest raters that any item has
    answered: int  # the fewest answers that any item has
    short: int  # items with fewer raters than wanted

    def __str__(self) -> str:
        text = f"{self.items} items, {self.raters} raters, fewest answers: {self.answered}"
        if not self.short:
            return text
        return f"{text}; {self.short} items have fewer than {self.wanted} raters (the fewest: {self.dealt}): add raters"


class Store:
    """A study's file, open. Safe to use from several threads."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, study: Study, admin_token: str = "", *, key: str = ""
    ):
        self.path = path
        self.study = study
        self.key = key  # of every draw (`mashq.rating.dealing`); "": the file was made before there were keys
        self.admin_token = admin_token  # only of a store just created: it is kept nowhere
        self._file = connection
        self._lock = threading.RLock()
        self._items = {item.id: item for item in study.items}
        self._criteria = [one.name for one in study.criteria]
        self._pages: dict[str, dict[str, Item]] = {}  # rater's name -> an item's name on their pages -> the item

    # --- the file ----------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path | str, study: Study, *, key: str | None = None) -> Store:
        """A new file that holds the study; its `admin_token` opens the admin page and cannot be read again.

        `key`: of what is drawn for raters, random where it is not given; with the same one the same is drawn. Raises
        MashqError where there is a file already.
        """
        path = Path(path)
        try:
            content = msgspec.json.encode(study).decode()
        except (TypeError, UnicodeEncodeError) as error:
            raise MashqError(f"rating study '{study.name}': cannot be kept as JSON ({error}).") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.touch(mode=0o600, exist_ok=False)  # what people answered is for its owner
        except FileExistsError as error:
            raise MashqError(f"rating store {path}: there is a file already. Open it, or name another.") from error
        token = secrets.token_urlsafe(TOKEN_BYTES)
        key = secrets.token_hex(KEY_BYTES) if key is None else key
        with _connected(path, "be made") as file:
            _write_ahead(file)
            with _transaction(file):
                for statement in (*TABLES.split(";\n"), VISITS):
                    file.execute(statement)
                meta = (("study", content), ("admin", _hashed(token).hex()), ("key", key))
                file.executemany("insert into meta values (?, ?)", meta)
                file.execute(f"pragma application_id = {MARK}")
                file.execute(f"pragma user_version = {VERSION}")
            return cls(path, file, study, token, key=key)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """The store in a file. Raises MashqError for a file that is absent, damaged, foreign or of another version."""
        path = Path(path)
        if not path.is_file():
            raise MashqError(f"rating store: there is no file {path}.")
        with _connected(path, "be opened") as file:
            _check_file(path, file)
            _write_ahead(file)
            try:
                (content,) = file.execute("select value from meta where key = 'study'").fetchone()
                study = msgspec.json.decode(content, type=Study)
            except (TypeError, msgspec.MsgspecError) as error:
                raise MashqError(f"rating store {path}: the study in it cannot be read ({error}). {MEND}") from error
            kept = file.execute("select value from meta where key = 'key'").fetchone()
            return cls(path, file, study, key=kept[0] if kept else "")

    def close(self) -> None:
        """Close the file; every answer is in it."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for all that is read, also where one reading asks for another."""
        with self._lock, _told(self.path, "be read"):
            if self._file.in_transaction:
                yield self._file
                return
            with _transaction(self._file, "begin"):
                yield self._file

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told(self.path, "be written"), _transaction(self._file):
            yield self._file

    # --- raters ------------------------------------------------------------------------------------------------------

    def add_rater(self, name: str, *, dialect: str = "", note: str = "") -> str:
        """A new rater, whose items are dealt; the token of their link, which cannot be read again.

        Items not begun may move to the new rater from others (`dealing.deal`); nobody's answers or present item do.
        Raises MashqError for a name that is empty or taken.
        """
        name = clean(name, MOST_NAME, "rater: name").strip()
        if not name.isprintable() or not name:
            raise MashqError(expected_got("rater: name", "a printable text", repr(name)))
        dialect = clean(dialect, MOST_NAME, "rater: dialect").strip()
        note = clean(note, MOST_RATER_NOTE, "rater: note")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._writing() as file:
            if file.execute("select 1 from raters where name = ?", (name,)).fetchone():
                raise MashqError(f"rater '{name}': there is one already; add a surname or a number.")
            file.execute(
                "insert into raters (name, dialect, note, token, made) values (?, ?, ?, ?, ?)",
                (name, dialect, note, _hashed(token), _now()),
            )
            self._deal(file)
        return token

    def rater_of(self, token: str) -> Rater | None:
        """Whose token this is; None: nobody's. Its hash is looked up, so that no comparison tells by its time."""
        with self._reading() as file:
            row = file.execute(f"{RATER} where token = ? and not left", (_hashed(token),)).fetchone()
        return _rater(row) if row else None

    def is_admin(self, token: str) -> bool:
        """Whether this is the token of the admin page."""
        with self._reading() as file:
            found = file.execute("select 1 from meta where key = 'admin' and value = ?", (_hashed(token).hex(),))
            return found.fetchone() is not None

    def new_token(self, rater: Rater) -> str:
        """Another token in place of a rater's, which opens nothing from now on."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._writing() as file:
            self._known(file, rater)
            file.execute("update raters set token = ? where id = ?", (_hashed(token), rater.id))
        return token

    def new_admin_token(self) -> str:
        """Another token in place of the admin page's, for who has the file and has lost the link."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._writing() as file:
            file.execute("update meta set value = ? where key = 'admin'", (_hashed(token).hex(),))
        return token

    def pause(self, rater: Rater, paused: bool = True) -> Rater:
        """The rater paused, or going on. Pausing deals nothing: the list waits."""
        with self._writing() as file:
            self._known(file, rater)
            file.execute("update raters set paused = ? where id = ?", (paused, rater.id))
        return dataclasses.replace(rater, paused=paused)

    def withdraw(self, rater: Rater) -> None:
        """The rater leaves: the link is dead, the answers stay and are marked, and all their items go to the others.

        Answered ones too: a withdrawn rater's answers do not count, so the item lacks a rater.
        """
        with self._writing() as file:
            self._known(file, rater)
            file.execute("update raters set left = 1 where id = ?", (rater.id,))
            self._deal(file)

    def raters(self) -> list[tuple[Rater, Progress]]:
        """Every rater, also who has left, in the order in which they came, and how far each is."""
        with self._reading() as file:
            found = [_rater(row) for row in file.execute(f"{RATER} order by id").fetchall()]
            return [(rater, self.progress(rater)) for rater in found]

    def _known(self, file: sqlite3.Connection, rater: Rater) -> None:
        if file.execute("select 1 from raters where id = ? and name = ?", (rater.id, rater.name)).fetchone() is None:
            raise MashqError(f"rater '{rater.name}' (id {rater.id}) is none of study '{self.study.name}'.")

    # --- lists -------------------------------------------------------------------------------------------------------

    def _deal(self, file: sqlite3.Connection) -> None:
        """Deal the items anew. Each rater keeps what was answered and what is next, at its place."""
        raters = file.execute("select id, name, left from raters order by id").fetchall()
        kept: dict[str, list[str]] = {}
        for rater, name, left in raters:
            answered = {item for (item,) in file.execute("select item from answers where rater = ?", (rater,))}
            kept[name] = self._kept(self._list(file, rater), answered, left)
        staying = [name for _, name, left in raters if not left]
        held = {name: {item for item in kept[name] if self._items[item].role == "item"} for name in staying}
        dealt = dealing.deal(self.study, staying, held, self.key)
        for rater, name, left in raters:
            items = kept[name] if left else self._whole_list(name, kept[name], dealt[name])
            file.execute("update list set active = 0 where rater = ?", (rater,))
            file.executemany(
                "insert into list (rater, item, place) values (?, ?, ?) "
                "on conflict do update set place = excluded.place, active = 1",
                [(rater, item, place) for place, item in enumerate(items, 1)],
            )

    @staticmethod
    def _list(file: sqlite3.Connection, rater: int) -> list[str]:
        found = file.execute("select item from list where rater = ? and active order by place", (rater,))
        return [item for (item,) in found]

    @staticmethod
    def _kept(items: Sequence[str], answered: set[str], left: int) -> list[str]:
        """The beginning of a list up to the item that is next, and what is answered after it."""
        first = next((place for place, item in enumerate(items) if item not in answered), len(items))
        upto = first if left else first + 1
        return [item for place, item in enumerate(items) if place < upto or item in answered]

    def _whole_list(self, rater: str, kept: Sequence[str], dealt: set[str]) -> list[str]:
        """What is kept, then practice, then the items dealt with attention items among them."""
        seen = set(kept)
        ordered = {
            role: dealing.in_order(self.study, rater, self.study.of_role(role), self.key)
            for role in ("item", "attention")
        }
        rest = {role: [item for item in items if item.id not in seen] for role, items in ordered.items()}
        mine = [item for item in rest["item"] if item.id in dealt]
        if not mine:
            return list(kept)  # nobody practises for nothing
        practice = [item for item in self.study.of_role("practice") if item.id not in seen]
        roles = [self._items[item].role for item in kept]
        before = (roles.count("item"), roles.count("attention"))
        coming = dealing.with_attention(self.study, mine, rest["attention"], before)
        return [*kept, *(item.id for item in (*practice, *coming))]

    def next(self, rater: Rater) -> Shown | None:
        """The first item of the rater's list that has no answer; None: all is done."""
        with self._reading() as file:
            row = file.execute(
                "select count(*) from list where rater = ? and active and place <= (select min(place) from list l "
                "where l.rater = ? and l.active and not exists "
                "(select 1 from answers a where a.rater = l.rater and a.item = l.item))",
                (rater.id, rater.id),
            ).fetchone()
            return self.shown(rater, row[0]) if row[0] else None

    def shown(self, rater: Rater, number: int) -> Shown:
        """The item at a place of the rater's list, counted from 1. Raises MashqError outside the list."""
        with self._reading() as file:
            items = self._list(file, rater.id)
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(items):
                raise MashqError(expected_got(f"item of rater '{rater.name}'", f"1 to {len(items)}", repr(number)[:40]))
            name = items[number - 1]
            found = file.execute(
                "select answer, seconds, made from answers where rater = ? and item = ?", (rater.id, name)
            ).fetchone()
        item = self._items[name]
        turn = dealing.flipped(self.study, rater.name, item, self.key)
        return Shown(number, len(items), self._blind(rater, item, turn), _answer(found, turn))

    def place_of(self, rater: Rater, public_id: str) -> int | None:
        """The place in the rater's list, from 1, of the item of that name on their pages; None: it is not in it."""
        item = self._names(rater).get(public_id)
        if item is None:
            return None
        theirs = "from list where rater = ? and active"
        with self._reading() as file:
            (place,) = file.execute(
                f"select count(*) {theirs} and place <= (select place {theirs} and item = ?)",
                (rater.id, rater.id, item.id),
            ).fetchone()
        return place or None

    def _blind(self, rater: Rater, item: Item, turn: bool) -> Item:
        practice = item.role == "practice"
        right = turned(item.right) if turn else item.right
        return dataclasses.replace(
            item,
            id=dealing.public_id(self.study, rater.name, item, self.key),
            shown=item.shown[::-1] if turn else item.shown,
            systems=(),
            group="",
            role="practice" if practice else "item",
            right=right if practice else {},
            why=item.why if practice else {},
        )

    # --- answers -----------------------------------------------------------------------------------------------------

    def save(
        self,
        rater: Rater,
        item_id: str,
        answer: Mapping[str, Any],
        seconds: float,
        *,
        visit: int | None = None,
        over: int | None = None,
    ) -> int:
        """Keep a rater's answer to an item; when that was (`Answer.when`). It is on the disk when this returns.

        `item_id` is that of `Shown.item` (or the study's own), the sides are those of `Shown`. Another answer to the
        same item replaces the first, which goes to the history; the same answer again changes nothing but the time of
        its visit. `seconds` are those of the `visit` so far: the page that was opened, by any number of its own (none:
        a visit of its own), and are added to those of others. `over` is the `when` of the answer that the page knows,
        0 where it knows none. Raises NewerAnswer where another one stands that came from another visit, and MashqError
        for an item that was never in the rater's list and for an answer that does not fit it.
        """
        item = self._mine(rater, item_id)
        said = checked(item, self._criteria, answer)
        if dealing.flipped(self.study, rater.name, item, self.key):
            said = turned(said)
        text, took = json.dumps(said, ensure_ascii=False), spent(seconds)
        with self._writing() as file:
            self._known(file, rater)
            if file.execute("select 1 from list where rater = ? and item = ?", (rater.id, item.id)).fetchone() is None:
                raise _not_theirs(rater, item_id)
            return keep(file, (rater.id, item.id), text, took, _now(), visit, over)

    def _names(self, rater: Rater) -> Mapping[str, Item]:
        """An item's name on the rater's pages -> the item."""
        if rater.name not in self._pages:
            pages = {dealing.public_id(self.study, rater.name, item, self.key): item for item in self.study.items}
            self._pages[rater.name] = pages
        return self._pages[rater.name]

    def _mine(self, rater: Rater, item_id: str) -> Item:
        found = self._names(rater).get(item_id) or self._items.get(item_id)
        if found is None:
            raise _not_theirs(rater, item_id)
        return found

    def progress(self, rater: Rater) -> Progress:
        """How far the rater is."""
        with self._reading() as file:
            items = self._list(file, rater.id)
            rows = file.execute("select item, answer from answers where rater = ?", (rater.id,)).fetchall()
        said = {item: json.loads(answer) for item, answer in rows}
        roles = defaultdict(list)
        for name in items:
            roles[self._items[name].role].append(name)
        attention = [name for name in roles["attention"] if name in said]
        return Progress(
            done=sum(name in said for name in items),
            of=len(items),
            practice_done=sum(name in said for name in roles["practice"]),
            practice_of=len(roles["practice"]),
            attention_right=sum(is_right(self._items[name].right, said[name]) for name in attention),
            attention_of=len(attention),
        )

    def coverage(self) -> Coverage:
        """How many raters and answers the items have, withdrawn ones apart; what is lacking where there are too few."""
        names = [item.id for item in self.study.of_role("item")]
        staying = "join raters r on r.id = rater where not r.left"
        with self._reading() as file:
            dealt = dict(file.execute(f"select item, count(*) from list {staying} and active group by item").fetchall())
            answered = dict(file.execute(f"select item, count(*) from answers {staying} group by item").fetchall())
            (raters,) = file.execute("select count(*) from raters where not left").fetchone()
        wanted = self.study.raters_per_item or raters
        counts = [dealt.get(name, 0) for name in names]
        return Coverage(
            items=len(names),
            wanted=wanted,
            raters=raters,
            dealt=min(counts),
            answered=min(answered.get(name, 0) for name in names),
            short=sum(count < wanted for count in counts),
        )

    def answers(self) -> pa.Table:
        """One row for each rater, item and criterion, systems named (`table.COLUMNS`), by rater and then item."""
        return self._rows("answers")

    def history(self) -> pa.Table:
        """The answers that were replaced, as `answers` has them, oldest first."""
        return self._rows("history")

    def _rows(self, table: str) -> pa.Table:
        order = "h.id" if table == "history" else "h.rater, h.item"
        with self._reading() as file:
            found = file.execute(
                f"select r.name, r.dialect, r.left, h.item, h.answer, h.seconds, h.made from {table} h "
                f"join raters r on r.id = h.rater order by {order}"
            ).fetchall()
        rows = [
            row
            for name, dialect, left, item, answer, seconds, made in found
            for row in answer_rows(
                self.study,
                name,
                self._items[item],
                json.loads(answer),
                dialect=dialect,
                withdrawn=bool(left),
                seconds=seconds,
                when=made,
                key=self.key,
            )
        ]
        return pa.Table.from_pylist(rows, COLUMNS)


RATER = "select id, name, dialect, paused, left from raters"


# --- SQLite ----------------------------------------------------------------------------------------------------------


@contextmanager
def _connected(path: Path, doing: str) -> Iterator[sqlite3.Connection]:
    """A file that exists, open; closed again where what is done with it fails.

    Transactions are begun by hand, and the lock of `Store` keeps threads apart.
    """
    place = f"{path.absolute().as_uri()}?mode=rw"
    with _told(path, doing):
        file = sqlite3.connect(place, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            yield file
        except BaseException:
            file.close()
            raise


def _write_ahead(file: sqlite3.Connection) -> None:
    """Readers beside a writer, and a commit that is on the disk when it returns."""
    until = time.monotonic() + WAIT_S
    while True:  # SQLite does not wait for this change while another process makes it too
        try:
            file.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
    file.execute("pragma synchronous = full")
    file.execute("pragma foreign_keys = on")


def _check_file(path: Path, file: sqlite3.Connection) -> None:
    (mark,) = file.execute("pragma application_id").fetchone()
    (version,) = file.execute("pragma user_version").fetchone()
    if mark != MARK:
        raise MashqError(
            f"rating store {path}: no rating study is in this file (application_id {mark:#x}, expected {MARK:#x}). "
            "Where its making was cut off, delete it and make it again."
        )
    if version != VERSION:
        do = "Use the mashq that made it, or export there and begin a new study here."
        raise MashqError(expected_got(f"rating store {path}: schema", f"version {VERSION}", str(version), do))
    (found,) = file.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise MashqError(f"rating store {path}: damaged ({found}). {MEND}")


MEND = (
    "Free space, or wait for the other process; of a damaged file make a copy first, with its -wal file, and save what "
    "can be read with `sqlite3 FILE .recover`."
)


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise MashqError(f"rating store {path}: it cannot {what} ({error}). {MEND}") from error


@contextmanager
def _transaction(file: sqlite3.Connection, begin: str = "begin immediate") -> Iterator[None]:
    file.execute(begin)
    try:
        yield
        file.execute("commit")
    except BaseException:
        if file.in_transaction:  # a full disk ends it by itself
            file.execute("rollback")
        raise


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _now() -> int:
    return time.time_ns() // 1_000


def _rater(row: Sequence[Any]) -> Rater:
    return Rater(*row[:3], *map(bool, row[3:]))


def _answer(row: Sequence[Any] | None, turn: bool) -> Answer | None:
    if row is None:
        return None
    said = json.loads(row[0])
    return Answer(turned(said) if turn else said, row[1], row[2])


def _not_theirs(rater: Rater, item_id: str) -> MashqError:
    return MashqError(f"rater '{rater.name}': item '{str(item_id)[:80]}' is not in their list; nothing was saved.")
