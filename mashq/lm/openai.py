"""Any OpenAI-compatible server: vLLM, llama.cpp, hosted APIs. Many requests in flight, retried where that can help.

Messages go to `/chat/completions`, prompt texts and token ids to `/completions`. The key comes from the environment
(`MASHQ_API_KEY`, else `OPENAI_API_KEY`) and goes into one header and nowhere else: not into the identity, the ledger, a
log or an error, even where a server repeats it. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from mashq.lm.engine import Ask, Done, Take
from mashq.lm.request import Finish, Reply, Request, seed_of
from mashq.lm.wire import Answer, Broken, Sender, connect
from mashq.rows import MashqError

__all__ = ["OpenAI"]

KEYS = ("MASHQ_API_KEY", "OPENAI_API_KEY")
BACKOFF_S = (0.5, 30.0)  # first wait and longest wait; each is drawn from its upper half
PATIENCE_S = 300.0  # a Retry-After beyond this is an error, not a wait
CONNECT_S = 10.0
FIRST_TRIES = 3  # tries of a connection before any request was ever answered
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
HOPELESS = {401: "the key was refused", 403: "the key may not do this", 404: "no such address or model"}
ENDS: dict[str | None, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    None: "stop",
    "length": "length",
    "max_tokens": "length",
}


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Name(msgspec.Struct):
    id: str


class _Names(msgspec.Struct):
    data: list[_Name]


_answer = msgspec.json.Decoder(_Answer)
_encode = msgspec.json.Encoder()


class _TryAgain(Exception):
    """A failure that may pass: why, how long the server asks to wait, whether no server was there at all."""

    def __init__(self, why: str, wait_s: float = 0.0, absent: bool = False):
        super().__init__(why)
        self.why, self.wait_s, self.absent = why, wait_s, absent


class OpenAI:
    """A model behind an address: `http://host:8000/v1#model`; without `#model` the server's only model.

    timeout_s: how long one try may take from sending to the last byte; retries: how often a failure that may pass
    (429, 5xx, no connection, timeout, an answer that does not parse) is tried again; extra: fields added to every body,
    a part of the identity. Raises MashqError for an address that holds a password or a query.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 16,
        timeout_s: float = 300.0,
        retries: int = 6,
        extra: Mapping[str, Any] | None = None,
    ):
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise MashqError(
                f"server {parts.scheme}://{parts.hostname}: an address holds no password, key or query. "
                f"Put the key into the environment: {KEYS[0]}=..."
            )
        if not parts.hostname:
            raise MashqError(f"server '{url}': expected an address like http://localhost:8000/v1#model.")
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self.concurrency, self.timeout_s, self.retries = concurrency, timeout_s, retries
        self.extra = dict(extra or {})
        self._key = next((value for name in KEYS if (value := os.environ.get(name, "").strip())), "")
        self.name = parts.fragment or self._only_model()
        self.identity = f"openai:{self.address}#{self.name}"
        if self.extra:
            self.identity += ":" + msgspec.json.encode(self.extra, order="sorted").decode()
        self._limit = "max_tokens"  # newer hosted models want max_completion_tokens
        self._fresh_run()

    def __repr__(self) -> str:
        return f"OpenAI({self.address}#{self.name})"

    def _fresh_run(self) -> None:
        self._answered = 0  # requests that got a reply in this run
        self._given_up = 0  # requests given up since the last reply
        self._not_before = 0.0  # all wait until then: a server asked one of us to

    def _only_model(self) -> str:
        """The name of the one model that the server has."""
        try:
            response = httpx.get(self.address + "/models", headers=self._headers(), timeout=CONNECT_S)
            names = [model.id for model in msgspec.json.decode(response.content, type=_Names).data]
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise MashqError(
                f"server {self.address}: does not say which models it has ({self._clean(_what(error))}). "
                f"Start it, check the address, or name the model: {self.address}#NAME"
            ) from error
        if len(names) != 1:
            raise MashqError(
                f"server {self.address}: has {len(names)} models ({', '.join(names[:10])}). "
                f"Name one: {self.address}#{names[0] if names else 'NAME'}"
            )
        return names[0]

    def _headers(self) -> dict[str, str]:
        return {"content-type": "application/json"} | ({"authorization": f"Bearer {self._key}"} if self._key else {})

    def _clean(self, text: str) -> str:
        """A text without the key."""
        return text.replace(self._key, "***") if self._key else text

    # --- asking ------------------------------------------------------------------------------------------------------

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        """`concurrency` workers on one event loop, each with one request in flight."""
        asyncio.run(self._answer(take, done, concurrency))

    async def _answer(self, take: Take, done: Done, concurrency: int) -> None:
        self._fresh_run()
        workers = [asyncio.create_task(self._work(take, done, concurrency)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, take: Take, done: Done, concurrency: int) -> None:
        """One request after another over one connection, until there is nothing to take."""
        sender = connect(self.address, self._key, CONNECT_S)
        try:
            while ask := take():
                done(ask, await self._reply(sender, ask, concurrency))
        finally:
            await sender.close()

    async def _reply(self, sender: Sender, ask: Ask, concurrency: int) -> Reply:
        """A reply, or after every retry an error reply. Raises MashqError where nobody can succeed."""
        tries = 0
        while True:
            tries += 1
            await self._gate()
            started = time.monotonic()
            try:
                reply = await self._try(sender, ask.request, started)
            except _TryAgain as failure:
                last = failure.absent and not self._answered and tries >= FIRST_TRIES
                if last or tries > self.retries or failure.wait_s > PATIENCE_S:
                    return self._give_up(failure, tries, concurrency)
                await asyncio.sleep(max(failure.wait_s, _backoff(tries)))
                continue
            if reply.finish != "error":
                self._answered += 1
                self._given_up = 0
            return reply

    async def _gate(self) -> None:
        """Wait while the server wants to be left alone; then go in a few at a time, not all at once."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait + random.uniform(0, 0.1))

    def _give_up(self, failure: _TryAgain, tries: int, concurrency: int) -> Reply:
        """An error reply for this request; for all of them, where no server is there or none succeeds any more."""
        self._given_up += 1
        why = self._clean(failure.why)
        if failure.absent and not self._answered:
            raise MashqError(
                f"server {self.address}: no server answers ({why}). Start it, or check the address and port; "
                "what was asked before is in the ledger."
            )
        if self._given_up > max(concurrency, 8):
            raise MashqError(
                f"server {self.address}: {self._given_up} requests in a row failed after {tries} tries each, the last "
                f"with: {why}. Every reply before is in the ledger: see to the server and run the same command again."
            )
        return Reply.failed(f"{self.address}: given up after {tries} tries: {why}")

    async def _try(self, sender: Sender, request: Request, started: float) -> Reply:
        path, body = self._body(request)
        try:
            answer = await sender.post(path, _encode.encode(body), self.timeout_s)
        except Broken as error:
            raise _TryAgain(error.why, absent=error.absent) from error
        seconds = time.monotonic() - started
        return self._read(answer.body, seconds) if answer.status == 200 else self._refused(answer, body, seconds)

    def _body(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Path and body of a request. Settings that only some servers know are sent only where they say something."""
        decoding = request.decoding
        body: dict[str, Any] = {"model": self.name, self._limit: decoding.max_new_tokens}
        body["temperature"] = decoding.temperature
        if not decoding.greedy:
            body |= {"top_p": decoding.top_p, "seed": seed_of(request)}
            if decoding.top_k:
                body["top_k"] = decoding.top_k
        if decoding.repetition_penalty != 1:  # vLLM's name and llama.cpp's
            body |= {"repetition_penalty": decoding.repetition_penalty, "repeat_penalty": decoding.repetition_penalty}
        if decoding.stop:
            body["stop"] = list(decoding.stop)
        if decoding.stop_ids:
            body["stop_token_ids"] = list(decoding.stop_ids)
        body |= self.extra
        if request.messages:
            body["messages"] = [{"role": role, "content": content} for role, content in request.messages]
            return "/chat/completions", body
        body["prompt"] = request.prompt if request.prompt is not None else list(request.prompt_ids or ())
        return "/completions", body

    def _read(self, content: bytes, seconds: float) -> Reply:
        try:
            answer = _answer.decode(content)
            choice = answer.choices[0]
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError) as error:
            start = content[:80].decode("utf-8", errors="replace")
            raise _TryAgain(f"an answer that is no completion ({error}; it begins {start!r})") from error
        if choice.finish_reason not in ENDS:
            return Reply.failed(self._clean(f"{self.address}: the reply ended with '{choice.finish_reason}'."), seconds)
        text = choice.message.content if choice.message is not None else choice.text
        usage = answer.usage or _Usage()
        return Reply(
            text=self._clean(text or ""),
            finish=ENDS[choice.finish_reason],
            prompt_tokens=usage.prompt_tokens or 0,
            new_tokens=usage.completion_tokens or 0,
            seconds=seconds,
        )

    def _refused(self, answer: Answer, sent: Mapping[str, Any], seconds: float) -> Reply:
        """What a status other than 200 means: try again, an error for this request, or the end for all."""
        status = answer.status
        said = self._clean(" ".join(answer.body[:2000].decode("utf-8", errors="replace").split()))[:300]
        why = f"HTTP {status}" + (f": {said}" if said else "")
        if status in AGAIN or status >= 500:
            wait_s = _retry_after(answer.headers.get("retry-after"))
            if 0 < wait_s <= PATIENCE_S:
                self._not_before = max(self._not_before, time.monotonic() + wait_s)
            raise _TryAgain(why, wait_s)
        if status == 400 and "max_tokens" in sent and "max_completion_tokens" in said:
            self._limit = "max_completion_tokens"
            raise _TryAgain(why)
        if status in HOPELESS and not self._answered:
            have = f"{KEYS[0]} or {KEYS[1]} is set" if self._key else f"neither {KEYS[0]} nor {KEYS[1]} is set"
            raise MashqError(
                f"server {self.address}: {HOPELESS[status]} for model '{self.name}' ({why}). Check address and model "
                f"name; {have} in the environment."
            )
        return Reply.failed(f"{self.address}: {why}", seconds)


def _backoff(tries: int) -> float:
    """Seconds before the next try: doubled each time, jittered so that a crowd does not come back at once."""
    first, longest = BACKOFF_S
    return min(longest, first * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)


def _retry_after(header: str | None) -> float:
    """Seconds that a Retry-After header asks for, given as seconds or as a date; 0 where it asks for nothing."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _what(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
