"""An answer into the tables of a store: what it replaces goes to the history, and how long it took is added up.

A visit is a page that was opened. What it sends again (another try, a changed mind, a form sent twice) holds its whole
time so far, so of one visit the longest counts, and the visits to an item are added. Files made before there was a
table of visits get it with the next answer.
"""

from __future__ import annotations

import sqlite3

from mashq.rating.answers import spent
from mashq.rows import MashqError

__all__ = ["VISITS", "NewerAnswer", "keep"]

VISITS = """
create table if not exists visits (
  rater integer not null, item text not null, visit integer not null, seconds real not null, made integer not null,
  primary key (rater, item, visit), foreign key (rater, item) references list (rater, item)
) without rowid
"""
THEIRS = "rater = ? and item = ?"


class NewerAnswer(MashqError):
    """Another answer stands than the one that was to be replaced; `when` is its time, as `Answer.when`."""

    def __init__(self, when: int):
        super().__init__("answer: another one was saved since the page was opened; nothing was saved.")
        self.when = when


def keep(
    file: sqlite3.Connection,
    mine: tuple[int, str],
    text: str,
    took: float,
    now: int,
    visit: int | None,
    over: int | None,
) -> int:
    """Keep the answer `text` (JSON) of `mine` (rater, item), within a transaction; when it was made, in microseconds.

    `took`: seconds of this visit so far. The same answer again adds only those, and without a visit nothing. `over`:
    the time of the answer that this one is to replace (0: of none; None: of whichever stands). Raises NewerAnswer where
    another stands, which is not of this visit: the visit knows its own, though the server's word on it was lost.
    """
    file.execute(VISITS)
    old = file.execute(f"select made, seconds, answer from answers where {THEIRS}", mine).fetchone()
    if old and old[2] == text:
        if visit is not None:
            whole = _added(file, mine, visit, took, old[0], old)
            file.execute(f"update answers set seconds = ? where {THEIRS}", (whole, *mine))
        return int(old[0])
    if old and over not in (None, old[0]) and not _is_of(file, mine, visit, old[0]):
        raise NewerAnswer(old[0])
    now = max(now, old[0] + 1) if old else now  # an answer is known by its time, also where a clock was set back
    whole = _added(file, mine, now if visit is None else visit, took, now, old)
    file.execute(
        "insert into history (rater, item, answer, seconds, made, replaced) select rater, item, answer, "
        f"seconds, made, ? from answers where {THEIRS}",
        (now, *mine),
    )
    file.execute("insert or replace into answers values (?, ?, ?, ?, ?)", (*mine, text, whole, now))
    # An item that was given to another rater while this one had it open counts for both.
    file.execute(f"update list set active = 1 where {THEIRS}", mine)
    return now


def _is_of(file: sqlite3.Connection, mine: tuple[int, str], visit: int | None, made: int) -> bool:
    """Whether the answer that was made then is of this visit."""
    found = file.execute(f"select 1 from visits where {THEIRS} and visit = ? and made = ?", (*mine, visit, made))
    return found.fetchone() is not None


def _added(
    file: sqlite3.Connection,
    mine: tuple[int, str],
    visit: int,
    took: float,
    made: int,
    old: tuple[int, float, str] | None,
) -> float:
    """The seconds of all visits, at most an hour, with this one's among them; `made`: the answer that then stands.

    The seconds of `old`, the answer before, count as a visit where it was saved before there were any.
    """
    if old and not file.execute(f"select 1 from visits where {THEIRS}", mine).fetchone():
        file.execute("insert into visits values (?, ?, ?, ?, ?)", (*mine, old[0], old[1], old[0]))
    file.execute(
        "insert into visits values (?, ?, ?, ?, ?) on conflict do update set "
        "seconds = max(seconds, excluded.seconds), made = excluded.made",
        (*mine, visit, took, made),
    )
    (whole,) = file.execute(f"select sum(seconds) from visits where {THEIRS}", mine).fetchone()
    return spent(whole)
