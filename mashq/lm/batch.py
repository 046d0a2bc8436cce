"""A server's batch interface, as OpenAI has it: a file of requests up, replies within a day, at about half the price.

    POST /files (purpose=batch) -> POST /batches -> GET /batches/ID until it ended -> GET /files/ID/content

Nothing is paid twice: what was sent is noted in a folder beside the ledger before the batch begins, by the keys of its
requests, and a run that finds its requests in a note waits for that batch instead of sending another. A note goes when
all its replies are in the ledger. Killed between the upload and the server's answer, the next run asks the server's
list of batches whether that file was begun.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.request import Reply, key_of
from mashq.lm.trouble import Trouble, backoff, kind_of, retry_after, what_said
from mashq.rows import MashqError

if TYPE_CHECKING:
    from mashq.lm.openai import OpenAI

__all__ = ["Batches"]

MOST_REQUESTS = 50_000  # of a batch, OpenAI's limit
MOST_BYTES = 190_000_000  # of its file; OpenAI's limit is 200 MB
ENDED = ("completed", "failed", "expired", "cancelled")
FORGET_S = 30 * 86_400  # a note older than that: the server has deleted the replies
log = logging.getLogger("mashq.lm.batch")


class _Note(msgspec.Struct):
    """What was sent in one batch. `file` and `batch` are the server's names, "" as long as they are not known."""

    keys: list[str]  # of the requests, in hexadecimal: the lines' custom_id
    endpoint: str
    file: str = ""
    batch: str = ""
    plain: bool = False  # asked without the schemas of its requests


class _File(msgspec.Struct):
    id: str


class _Fault(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Faults(msgspec.Struct):
    data: list[_Fault] | None = None


class _Counts(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Batch(msgspec.Struct):
    id: str
    status: str = ""
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None
    request_counts: _Counts | None = None


class _List(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Fault | None = None


class Batches:
    """One call of `OpenAI.answer` by way of batches. `notes`: the folder of the notes, None where there is no ledger."""

    def __init__(self, model: OpenAI, notes: Path | None, poll_s: float, patience_s: float):
        self._model, self._notes, self._poll_s, self._patience_s = model, notes, poll_s, patience_s
        self._waiting: dict[str, Ask] = {}  # key -> what no reply has come to
        self._plain: set[str] = set()  # keys of those to be asked without their schema
        self._told: dict[str, _Counts | None] = {}

    def answer(self, take: Take, done: Done) -> None:
        """As `Model.answer`. Raises MashqError where the server has no batches, or refuses one as a whole."""
        with httpx.Client(headers=self._model._headers(), timeout=self._model.timeout_s) as self._http:
            going = self._noted()
            while True:
                while ask := take():
                    self._waiting[key_of(self._model.identity, ask.request).hex()] = ask
                going = {path: note for path, note in going.items() if any(key in self._waiting for key in note.keys)}
                under_way = {key for note in going.values() for key in note.keys}
                going |= self._begin([key for key in self._waiting if key not in under_way])
                if not going:
                    return
                if not any([self._ended(path, going[path], done) for path in list(going)]):
                    time.sleep(self._poll_s)
                going = {path: note for path, note in going.items() if note.batch}

    # --- notes -------------------------------------------------------------------------------------------------------

    def _noted(self) -> dict[Path, _Note]:
        """The batches that an earlier run began."""
        found = {}
        for path in sorted(self._notes.glob("*.json")) if self._notes and self._notes.is_dir() else []:
            try:
                note = msgspec.json.decode(path.read_bytes(), type=_Note)
            except (msgspec.MsgspecError, FileNotFoundError):
                continue  # another process is done with it
            if path.stat().st_mtime < time.time() - FORGET_S:
                path.unlink(missing_ok=True)
            elif note.batch or (note.file and self._adopt(note)):
                found[path] = note
        return found

    def _adopt(self, note: _Note) -> bool:
        """Whether the server began a batch with the note's file: its name is noted then."""
        note.batch = self._batch_of(note.file)
        return bool(note.batch)

    def _keep(self, path: Path, note: _Note) -> None:
        if self._notes is None:
            return
        try:
            self._notes.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            with part.open("wb") as file:
                file.write(msgspec.json.encode(note))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise MashqError(f"batch: cannot write {path} ({error.strerror}). Nothing was sent after it.") from error

    # --- sending -----------------------------------------------------------------------------------------------------

    def _begin(self, keys: Sequence[str]) -> dict[Path, _Note]:
        """New batches for what is not under way."""
        begun = {}
        for endpoint, plain, some, lines in self._cut(keys):
            note = _Note(keys=some, endpoint=endpoint, plain=plain)
            name = "{}-{}-{}.json".format(some[0][:16], len(some), "plain" if plain else "full")
            path = (self._notes or Path()) / name
            note.file = self._upload(lines)
            self._keep(path, note)
            note.batch = self._create(note)
            self._keep(path, note)
            log.info("server %s: batch %s begun with %d requests.", self._model.address, note.batch, len(some))
            begun[path] = note
        return begun

    def _cut(self, keys: Sequence[str]) -> Iterator[tuple[str, bool, list[str], bytes]]:
        """Endpoint, whether without schemas, keys and file of each batch, within the server's limits."""
        open_: dict[tuple[str, bool], tuple[list[str], list[bytes]]] = {}
        for key in keys:
            request, plain = self._waiting[key].request, key in self._plain
            endpoint, body = self._model._body(request, request.schema is not None and not plain)
            line = {"custom_id": key, "method": "POST", "url": "/v1" + endpoint, "body": body}
            group = open_.setdefault((endpoint, plain), ([], []))
            data = msgspec.json.encode(line) + b"\n"
            if len(group[0]) == MOST_REQUESTS or sum(map(len, group[1][-1:])) + self._size(group) > MOST_BYTES:
                yield endpoint, plain, group[0], b"".join(group[1])
                group = open_[endpoint, plain] = ([], [])
            group[0].append(key)
            group[1].append(data)
        for (endpoint, plain), (some, lines) in open_.items():
            yield endpoint, plain, some, b"".join(lines)
