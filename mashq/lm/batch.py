"""A server's batch interface, as OpenAI has it: a file of requests up, replies within a day, at about half the price.

    POST /files (purpose=batch) -> POST /batches -> GET /batches/ID until it ended -> GET /files/ID/content

Nothing is paid twice: what was sent is noted in a folder beside the ledger before the batch begins, by the keys of its
requests, and a run that finds its requests in a note waits for that batch instead of sending another. A note goes when
all its replies are in the ledger, those too that this run did not ask for, or when the server has the batch no longer.
Killed between the upload and the server's answer, the next run asks the server's list of batches whether that file was
begun. Notes of other models on the same ledger are let alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.ledger import Ledger
from mashq.lm.request import Reply, key_of
from mashq.lm.trouble import Trouble, backoff, kind_of, retry_after, what_said
from mashq.rows import MashqError

if TYPE_CHECKING:
    from mashq.lm.openai import OpenAI

__all__ = ["Batches"]

MOST_REQUESTS = 50_000  # of a batch, OpenAI's limit
MOST_BYTES = 190_000_000  # of its file; OpenAI's limit is 200 MB
ENDED = ("completed", "failed", "expired", "cancelled")
S = TypeVar("S", bound=msgspec.Struct)
log = logging.getLogger("mashq.lm.batch")


class _Note(msgspec.Struct):
    """What was sent in one batch. `file` and `batch` are the server's names, "" as long as they are not known."""

    keys: list[str]  # of the requests, in hexadecimal: the lines' custom_id
    endpoint: str
    model: str = ""  # its identity
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


class _Gone(MashqError):
    """The server does not have what it was asked for (404, 410)."""


class _Group:
    """Requests for one file: those of one endpoint, all with their schemas or all without."""

    def __init__(self, model: str, endpoint: str, plain: bool):
        self.note, self.lines = _Note(keys=[], endpoint=endpoint, model=model, plain=plain), bytearray()

    def has_room(self, line: bytes) -> bool:
        return len(self.note.keys) < MOST_REQUESTS and len(self.lines) + len(line) <= MOST_BYTES

    def add(self, key: str, line: bytes) -> None:
        self.note.keys.append(key)
        self.lines += line


class Batches:
    """One call of `OpenAI.answer` by way of batches. `notes`: the folder of notes, None where there is no ledger."""

    def __init__(self, model: OpenAI, notes: Path | None):
        self._model, self._notes = model, notes
        self._waiting: dict[str, Ask] = {}  # key -> what no reply has come to
        self._early: dict[str, Reply] = {}  # key -> a reply that came before its request was taken
        self._begun: set[str] = set()  # batches that this run began
        self._plain: set[str] = set()  # keys of those to be asked without their schema
        self._renamed: set[str] = set()  # and of those that wanted another name for the length limit
        self._counts: dict[str, tuple[int, int]] = {}  # batch -> completed, failed, as told last

    def answer(self, take: Take, done: Done) -> None:
        """As `Model.answer`. Raises MashqError where the server has no batches, or refuses one as a whole."""
        model = self._model
        with httpx.Client(headers=_without_type(model._headers()), timeout=model.timeout_s) as self._http:
            noted = self._noted()
            while True:
                self._take(take, done)
                under_way = {key for note in noted.values() for key in note.keys}
                self._begin([key for key in self._waiting if key not in under_way], noted)
                # A note that nobody waits for stays: a budget may let its requests come later.
                going = {path: note for path, note in noted.items() if not self._waiting.keys().isdisjoint(note.keys)}
                if not going:
                    return
                ended = [path for path, note in going.items() if self._ended(path, note, done)]
                for path in ended:
                    del noted[path]
                if not ended:
                    time.sleep(model.poll_s)

    def _take(self, take: Take, done: Done) -> None:
        """All that may be sent now; what has its reply already is done at once."""
        while ask := take():
            key = key_of(self._model.identity, ask.request).hex()
            if (reply := self._early.pop(key, None)) is not None:
                done(ask, reply)
            else:
                self._waiting[key] = ask

    # --- notes -------------------------------------------------------------------------------------------------------

    def _noted(self) -> dict[Path, _Note]:
        """The batches that an earlier run of this model began. A note without a model is of the time before notes had
        one: it may be another's, so it is used where it fits and else let alone."""
        found, identity = {}, self._model.identity
        for path in sorted(self._notes.iterdir()) if self._notes and self._notes.is_dir() else []:
            if path.suffix != ".json":
                continue  # half written by a run that was killed
            try:
                note = msgspec.json.decode(path.read_bytes(), type=_Note)
            except (msgspec.MsgspecError, FileNotFoundError):
                continue  # another process is done with it
            if note.model not in (identity, ""):
                continue
            note.batch = note.batch or self._batch_of(note.file)
            if note.batch:
                found[path] = note
            elif note.model:
                path.unlink(missing_ok=True)  # the file was sent, and no batch begun with it
        return found

    def _keep(self, path: Path, note: _Note) -> None:
        if self._notes is None:
            return
        part = path.with_suffix(f".{os.getpid()}")
        try:
            self._notes.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(msgspec.json.encode(note))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise MashqError(f"batch: cannot write {path} ({error.strerror}). Free space, run again.") from error

    def _forget(self, path: Path) -> None:
        if self._notes is not None:
            path.unlink(missing_ok=True)

    # --- sending -----------------------------------------------------------------------------------------------------

    def _begin(self, keys: Sequence[str], going: dict[Path, _Note]) -> None:
        """New batches for what is not under way."""
        for group in self._cut(keys):
            note = group.note
            note.file = self._upload(bytes(group.lines))
            mark = hashlib.sha256(note.file.encode()).hexdigest()[:12]  # no two notes have one name
            path = (self._notes or Path()) / f"{note.keys[0]}-{mark}.json"
            self._keep(path, note)  # a run that is killed now finds out whether the file was begun
            note.batch = self._create(note)
            self._keep(path, note)
            self._begun.add(note.batch)
            log.info("server %s: batch %s begun, %d requests.", self._model.address, note.batch, len(note.keys))
            going[path] = note

    def _cut(self, keys: Sequence[str]) -> Iterator[_Group]:
        """The requests in groups within the server's limits."""
        groups: dict[tuple[str, bool], _Group] = {}
        for key in keys:
            request, plain = self._waiting[key].request, key in self._plain
            endpoint, body = self._model._body(request, not plain)
            line = msgspec.json.encode({"custom_id": key, "method": "POST", "url": f"/v1{endpoint}", "body": body})
            line += b"\n"
            group = groups.setdefault((endpoint, plain), _Group(self._model.identity, endpoint, plain))
            if not group.has_room(line):
                yield group
                group = groups[endpoint, plain] = _Group(self._model.identity, endpoint, plain)
            group.add(key, line)
        yield from groups.values()

    def _upload(self, lines: bytes) -> str:
        form = {"data": {"purpose": "batch"}, "files": {"file": ("mashq.jsonl", lines, "application/jsonl")}}
        return self._decode(self._call("POST", "/files", form), _File).id

    def _create(self, note: _Note) -> str:
        """The name of a new batch; where an answer got lost, of the one that was begun nevertheless."""
        body = {"input_file_id": note.file, "endpoint": f"/v1{note.endpoint}", "completion_window": "24h"}
        answer = self._call("POST", "/batches", {"json": body}, unless=lambda: self._batch_of(note.file))
        return answer if isinstance(answer, str) else self._decode(answer, _Batch).id

    def _batch_of(self, file: str) -> str:
        """The batch that was begun with a file, "" where there is none among the last hundred."""
        return next((batch.id for batch in self._listed() if batch.input_file_id == file), "")

    def _listed(self) -> list[_Batch]:
        return self._decode(self._call("GET", "/batches?limit=100"), _List).data

    # --- fetching ----------------------------------------------------------------------------------------------------

    def _ended(self, path: Path, note: _Note, done: Done) -> bool:
        """Whether a batch has ended; its replies are delivered then, and its note is gone.

        One of an earlier run that the server has no longer has ended too: what is missing of it is asked again."""
        try:
            return self._looked(path, note, done)
        except _Gone:
            self._listed()  # raises where the server has no batches at all today: it may have them tomorrow
            # A server that forgets what it just began would be paid for ever.
            if note.batch in self._begun:
                raise
            told = (self._model.address, note.batch, len(note.keys))
            log.warning("server %s has batch %s of %d requests no longer: what is missing of it is asked again.", *told)
            self._forget(path)
            return True

    def _looked(self, path: Path, note: _Note, done: Done) -> bool:
        batch = self._decode(self._call("GET", f"/batches/{note.batch}"), _Batch)
        counts = batch.request_counts or _Counts()
        if self._counts.get(note.batch) != (counts.completed, counts.failed):
            self._counts[note.batch] = (counts.completed, counts.failed)
            told = (batch.status, counts.completed, len(note.keys), counts.failed)
            log.info("batch %s: %s, %d of %d done, %d failed.", note.batch, *told)
        if batch.status not in ENDED:
            return False
        if batch.status == "failed":
            self._forget(path)
            faults = batch.errors.data if batch.errors and batch.errors.data else []
            said = "; ".join(f"{fault.code}: {fault.message}" for fault in faults[:3]) or "no reason given"
            raise MashqError(
                f"server {self._model.address}: refused batch {note.batch} of {len(note.keys):,} requests: "
                f"{self._model._clean(said)}. What was asked before is in the ledger."
            )
        stop = self._deliver(note, batch, done)
        self._forget(path)
        if stop:
            raise MashqError(stop)
        return True

    def _deliver(self, note: _Note, batch: _Batch, done: Done) -> str:
        """Every line's reply, and an error for each request without a line; why the run must stop, or "". Replies to
        what was not taken, by a run with fewer requests or a smaller budget, go into the ledger alone."""
        again, stop, paid = set(), "", set(note.keys)
        early: dict[str, Reply] = {}
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            answer = self._call("GET", f"/files/{file}/content")
            assert isinstance(answer, httpx.Response)
            for data in answer.content.split(b"\n"):
                line = self._line(data)
                if line is None or line.custom_id not in self._waiting:
                    if line is not None and line.custom_id in paid:
                        early |= self._untaken(line)
                    continue
                try:
                    reply = self._reply(line)
                except Trouble as trouble:
                    if trouble.kind == "form":
                        again.add(line.custom_id)
                        continue
                    why = self._model._clean(trouble.why)
                    if self._model._again.get(trouble.kind, 0) is None:
                        stop = f"server {self._model.address}: {trouble.kind}: {why}. on_error says to stop."
                    reply = Reply.failed(f"{trouble.kind}: {self._model.address}: {why}")
                done(self._waiting.pop(line.custom_id), reply)
            self._put(early)
        for key in note.keys:
            if key not in again and (ask := self._waiting.pop(key, None)):
                done(ask, Reply.failed(f"batch: {self._model.address}: {batch.status}, and no line for this request"))
        return stop

    def _untaken(self, line: _Line) -> dict[str, Reply]:
        """The reply to a request that this run has not taken; none where it failed: a run that wants it asks again."""
        if line.response is None or line.response.status_code != 200:
            return {}
        try:
            return {line.custom_id: self._model._read(bytes(line.response.body), 0.0)}
        except Trouble:
            return {}

    def _put(self, early: dict[str, Reply]) -> None:
        """Keep replies in the ledger, which stands beside the notes, and in mind for when they are taken."""
        if not early or self._notes is None:
            return
        with Ledger(self._notes.with_name(self._notes.name.removesuffix(".batches"))) as ledger:
            for key, reply in early.items():
                self._early[key] = ledger.put(bytes.fromhex(key), self._model.identity, reply)
        early.clear()

    def _line(self, data: bytes) -> _Line | None:
        try:
            return msgspec.json.decode(data, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # its request is one without a line

    def _reply(self, line: _Line) -> Reply:
        """The reply in a line. Raises Trouble: of the kind `form` where it is to be asked again in another form."""
        request, model, response = self._waiting[line.custom_id].request, self._model, line.response
        held = request.schema is not None and line.custom_id not in self._plain
        if response is None or response.status_code == 0:
            fault = line.error or _Fault(message="no answer")
            raise Trouble("batch", f"{fault.code or 'error'}: {fault.message}")
        if response.status_code == 200:
            reply = model._read(bytes(response.body), 0.0)
            model._came(request, reply, held, 0)
            return reply
        said, status = what_said(bytes(response.body), model._clean), response.status_code
        kind = kind_of(status, said)
        if status == 400 and "max_completion_tokens" in said and line.custom_id not in self._renamed:
            model._limit = "max_completion_tokens"
            self._renamed.add(line.custom_id)
            kind = "form"
        elif held and kind == "request" and status in (400, 422, 501):
            self._plain.add(line.custom_id)
            kind = "form"
        raise Trouble(kind, f"HTTP {status}: {said}")

    # --- HTTP --------------------------------------------------------------------------------------------------------

    def _call(
        self, method: str, path: str, form: dict[str, Any] | None = None, unless: Callable[[], str] | None = None
    ) -> httpx.Response | str:
        """An answer with a status below 300; what may pass is tried again as long as the patience lasts, `unless` says
        before a further try that it is not needed: that is the answer then."""
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            wait_s = 0.0
            try:
                answer = self._http.request(method, self._model.address + path, **(form or {}))
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 300:
                    return answer
                why = f"HTTP {answer.status_code}: {what_said(answer.content, self._model._clean)}"
                if answer.status_code in (404, 410):
                    raise _Gone(self._refusal(method, path, why))
                if kind_of(answer.status_code, "") not in ("limit", "server"):
                    raise MashqError(self._refusal(method, path, why))
                wait_s = retry_after(answer.headers)
            wait_s = max(wait_s, backoff(tries))
            if time.monotonic() + wait_s - began > self._model.patience_s:
                raise MashqError(self._refusal(method, path, why))
            time.sleep(wait_s)
            if unless is not None and (done := unless()):
                return done

    def _refusal(self, method: str, path: str, why: str) -> str:
        return (
            f"server {self._model.address}: {method} {path} failed ({self._model._clean(why)}). Does it have a batch "
            "interface? Without one, open the model without batch. The same command goes on with what was begun, "
            f"by its note in {self._notes}."
        )

    def _decode(self, answer: httpx.Response | str, kind: type[S]) -> S:
        content = answer.content if isinstance(answer, httpx.Response) else answer.encode()
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            start = self._model._clean(content.decode("utf-8", errors="replace"))[:80]
            why = self._model._clean(f"{error}; it begins {start!r}")
            raise MashqError(
                f"server {self._model.address}: an answer of its batch interface cannot be read ({why})."
            ) from error


def _without_type(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without the content type, which a form sets itself."""
    return {name: value for name, value in headers.items() if name != "content-type"}
