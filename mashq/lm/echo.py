"""Two models without weights, for tests and for trying a recipe: one repeats what it is told, one follows a script."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.request import Reply, Request
from mashq.rows import MashqError

__all__ = ["Echo", "Scripted"]

Script = Callable[[Request], Reply | str] | Mapping[str, Reply | str] | Sequence[Reply | str]


def _last_words(request: Request) -> str:
    """What the user said last: the last message, the prompt, or the ids as numbers."""
    if request.prompt_ids is not None:
        return " ".join(map(str, request.prompt_ids))
    return request.prompt if request.prompt is not None else request.messages[-1][1]


def _reply(request: Request, text: str, seconds: float = 0.0) -> Reply:
    """A text as a reply under the request's decoding; a token is a word here."""
    for stop in request.decoding.stop:
        text = text.partition(stop)[0]
    words = text.split()
    limit = request.decoding.max_new_tokens
    if len(words) > limit:
        text, words = " ".join(words[:limit]), words[:limit]
        finish = "length"
    else:
        finish = "stop"
    asked = sum(len(content.split()) for _, content in request.messages) or len(_last_words(request).split())
    return Reply(text=text, finish=finish, prompt_tokens=asked, new_tokens=len(words), seconds=seconds)  # type: ignore[arg-type]


class Echo:
    """Replies with the last user message, cut at `max_new_tokens` words."""

    identity = "echo"
    concurrency = 1

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        while ask := take():
            done(ask, _reply(ask.request, _last_words(ask.request)))


class Scripted:
    """Replies from a script: a function of the request, a mapping from the last user message, or a sequence in the
    order of asking. A script may misbehave on purpose: `Reply.failed(...)` is an error, a reply with `seconds` is slow.

    Raises MashqError for a message the mapping does not know, and when the sequence is at its end.
    """

    concurrency = 1

    def __init__(self, script: Script, name: str = ""):
        self.script = script
        self.asked: list[Request] = []
        self.identity = "scripted:" + (name or _script_hash(script))

    @classmethod
    def from_file(cls, path: Path) -> Scripted:
        """A JSON Lines file: each line a text or {"text", "finish", "error", "seconds", ...}."""
        replies: list[Reply | str] = []
        try:
            lines = path.read_text("utf-8").splitlines()
        except OSError as error:
            raise MashqError(f"scripted model: cannot read {path} ({error.strerror}).") from error
        for number, line in enumerate(lines, 1):
            try:
                loaded = json.loads(line)
                replies.append(loaded if isinstance(loaded, str) else msgspec.convert({"text": "", **loaded}, Reply))
            except (ValueError, TypeError, msgspec.ValidationError) as error:
                raise MashqError(
                    f"scripted model: {path} line {number}: expected a text or a reply, got {error}."
                ) from error
        return cls(replies)

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        while ask := take():
            found = self._find(ask)
            reply = _reply(ask.request, found) if isinstance(found, str) else found
            if reply.seconds:
                time.sleep(reply.seconds)
            done(ask, reply)

    def _find(self, ask: Ask) -> Reply | str:
        self.asked.append(ask.request)
        if callable(self.script):
            return self.script(ask.request)
        if isinstance(self.script, Mapping):
            words = _last_words(ask.request)
            if words not in self.script:
                raise MashqError(f"scripted model: its script has no reply to {words[:80]!r}.")
            return self.script[words]
        if len(self.asked) > len(self.script):
            raise MashqError(f"scripted model: its script ended after {len(self.script)} replies.")
        return self.script[len(self.asked) - 1]


def _script_hash(script: Script) -> str:
    """A script's content as a name; of a function, its source."""
    if callable(script):
        try:
            data = inspect.getsource(script).encode()
        except (OSError, TypeError) as error:
            raise MashqError(
                "scripted model: a function without source needs a name: Scripted(f, name='...')."
            ) from error
    else:
        data = msgspec.json.encode(script)
    return hashlib.blake2b(data, digest_size=8).hexdigest()
