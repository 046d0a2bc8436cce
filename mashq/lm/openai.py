"""Any OpenAI-compatible server: vLLM, llama.cpp, hosted APIs. Many requests in flight, retried where that can help.

Messages go to `/chat/completions`, prompt texts and token ids to `/completions`. The key comes from the environment
(`MASHQ_API_KEY`, else `OPENAI_API_KEY`) and goes into one header and nowhere else: not into the identity, the ledger, a
log or an error, even where a server repeats it. Redirects are not followed.

How many requests are in flight is found by trying (`pace.py`), what is done about each kind of failure stands in
`trouble.py`, and a server's batch interface is spoken in `batch.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from mashq.lm.budget import Guess
from mashq.lm.engine import Ask, Done, Take
from mashq.lm.pace import Gate, Pace, Rate
from mashq.lm.request import Finish, Reply, Request, seed_of
from mashq.lm.structured import response_format
from mashq.lm.trouble import AGAIN, Trouble, backoff, check_policy, kind_of, no_money, retry_after, what_said
from mashq.lm.wire import Answer, Broken, Sender, check_key, connect
from mashq.rows import MashqError
from mashq.settings import check_limits

__all__ = ["OpenAI", "address_of"]

KEYS = ("MASHQ_API_KEY", "OPENAI_API_KEY")
CONNECT_S = 10.0
FIRST_TRIES = 3  # tries of a connection before any request was ever answered
IN_A_ROW = (8, 32)  # requests given up one after another that end a run: at least, and at most
PROBE_S = 5.0  # the longest wait between two looks at a server that went away
LEAST_KEY = 16  # characters of a key that is no placeholder
GONE_S = 1.0  # without a reply, until a connection that is refused means that the server went away
SPARE_FILES = 256  # open files beside the connections
HOPELESS = {
    401: "the key was refused",
    301: "it sends elsewhere, which is not followed",
    302: "it sends elsewhere, which is not followed",
    307: "it sends elsewhere, which is not followed",
    308: "it sends elsewhere, which is not followed",
    402: "the account is empty",
    403: "the key may not do this",
    404: "no such address or model",
}
ENDS: dict[str | None, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "": "stop",
    None: "stop",
    "model_length": "length",
    "length": "length",
    "max_tokens": "length",
}
log = logging.getLogger("mashq.lm.openai")


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Name(msgspec.Struct):
    id: str


class _Names(msgspec.Struct):
    data: list[_Name]


_answer = msgspec.json.Decoder(_Answer)
_encode = msgspec.json.Encoder()


class OpenAI:
    """A model behind an address: `http://host:8000/v1#model`; without `#model` the server's only model.

    concurrency: the most requests in flight; timeout_s: how long one try may take from sending to the last byte;
    retries: how often each kind of failure that may pass is tried again (None: `trouble.AGAIN`); on_error: the same for
    single kinds, or "stop"; patience_s: how long a server that went away, or asks to be left alone, is waited for;
    requests_per_minute, tokens_per_minute (prompts and replies together): None for no limit; batch: send all at once to
    the server's batch interface, cheaper and within a day, and look every `poll_s`; extra: fields added to every body,
    a part of the identity. Raises MashqError for an address that holds a password or a query.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 256,
        timeout_s: float = 300.0,
        retries: int | None = None,
        on_error: Mapping[str, int | str] | None = None,
        patience_s: float = 300.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        batch: bool = False,
        poll_s: float = 30.0,
        extra: Mapping[str, Any] | None = None,
    ):
        self.address, name = address_of(url)
        self.concurrency, self.timeout_s, self.patience_s = concurrency, timeout_s, patience_s
        self.retries, self.requests_per_minute, self.tokens_per_minute = retries, requests_per_minute, tokens_per_minute
        self.batch, self.poll_s = batch, poll_s
        self._check_settings()
        self.extra = dict(extra or {})
        self._again = check_policy(f"model '{self.address}'", retries, on_error or {})
        self._key = next((value for name in KEYS if (value := os.environ.get(name, "").strip())), "")
        check_key(self._key)
        self.name = name or self._only_model()
        self.identity = f"openai:{self.address}#{self.name}"
        if self.extra:
            self.identity += ":" + msgspec.json.encode(self.extra, order="sorted").decode()
        self.notes: Path | None = None
        self.pace = Pace(concurrency)  # what one call finds, the next begins with
        self._rate = Rate(requests_per_minute) if requests_per_minute else None
        self._token_rate = Rate(tokens_per_minute) if tokens_per_minute else None
        self._guess = Guess()
        self._limit = "max_tokens"  # newer hosted models want max_completion_tokens
        self._unheld: set[str] = set()  # schemas that the server does not take
        self._answered = 0  # requests that ever got a reply
        self._replied = 0.0  # when the last one came
        self._given_up = 0  # requests given up since the last reply
        self._not_before = 0.0  # all wait until then: a server asked one of us to
        self._lost_at: float | None = None  # since when no server is there

    def _check_settings(self) -> None:
        above = "above 0"
        limits = {
            "concurrency": (self.concurrency >= 1, "1 or more"),
            "timeout_s": (self.timeout_s > 0, above),
            "retries": (self.retries is None or self.retries >= 0, "0 or more"),
            "patience_s": (self.patience_s >= 0, "0 or more"),
            "requests_per_minute": (self.requests_per_minute is None or self.requests_per_minute > 0, above),
            "tokens_per_minute": (self.tokens_per_minute is None or self.tokens_per_minute > 0, above),
            "poll_s": (self.poll_s > 0, above),
        }
        check_limits(f"model '{self.address}'", self, limits)

    def __repr__(self) -> str:
        return f"OpenAI({self.address}#{self.name})"

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
        """A text for an error or a log, without the key; to be called before the text is cut."""
        return text.replace(self._key, "***") if self._key else text

    def _clean_reply(self, text: str) -> str:
        """A reply without the key, where the key is one: EMPTY and none, as local servers take them, are words."""
        return self._clean(text) if len(self._key) >= LEAST_KEY else text

    # --- asking ------------------------------------------------------------------------------------------------------

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        """Workers on one event loop, each with one request in flight: as many as the window lets in."""
        self._given_up = 0
        if self.batch:
            from mashq.lm.batch import Batches

            Batches(self, self.notes).answer(take, done)
            return
        most = min(concurrency, _files_for(concurrency))
        if most != self.pace.most:
            self.pace = Pace(most)
        try:
            asyncio.run(self._answer(_Run(take, done, Gate(self.pace), most)))
        except BaseExceptionGroup as several:
            first = several.exceptions[0]
            raise first from first.__cause__

    async def _answer(self, run: _Run) -> None:
        async with asyncio.TaskGroup() as run.group:
            self._one_more(run)

    def _one_more(self, run: _Run) -> None:
        run.workers += 1
        assert run.group is not None
        run.group.create_task(self._work(run))

    async def _work(self, run: _Run) -> None:
        """One request after another over one connection, opened with the first, until there is nothing to take."""
        sender: Sender | None = None
        gate = run.gate
        try:
            while True:
                await gate.enter()
                try:
                    ask = run.take()
                    if ask is None:
                        return
                    if gate.has_room and run.workers < run.most:
                        self._one_more(run)
                    sender = sender or connect(self.address, self._key, CONNECT_S)
                    run.done(ask, await self._reply(run, sender, ask))
                finally:
                    gate.leave()
        finally:
            run.workers -= 1
            if sender is not None:
                await sender.close()

    async def _reply(self, run: _Run, sender: Sender, ask: Ask) -> Reply:
        """A reply, or after every retry an error reply. Raises MashqError where nobody can succeed."""
        tried: Counter[str] = Counter()
        held = ask.request.schema is not None and ask.request.schema not in self._unheld
        while True:
            booked = await self._turn(ask.request)
            started = time.monotonic()
            run.sending += 1
            try:
                reply = await self._try(sender, ask.request, held, started)
            except Trouble as trouble:
                if held and (trouble.status == 501 or (trouble.kind == "request" and trouble.status in (400, 422))):
                    held = False  # perhaps it is the schema that the server does not take
                    continue
                if trouble.kind == "form":
                    continue
                if trouble.overload and self.pace.failed(started) and trouble.wait_s <= self.patience_s:
                    # So many are refused that the wait is meant for all; a few refusals hold up nobody else.
                    self._not_before = max(self._not_before, time.monotonic() + trouble.wait_s)
                if self._token_rate is not None:
                    self._token_rate.correct(-booked)  # it was not used
                wait_s = self._after(trouble, tried, run.most)
                if isinstance(wait_s, Reply):
                    return wait_s
            else:
                self.pace.came(started, reply.new_tokens, run.sending)
                self._came(ask.request, reply, held, booked)
                return reply
            finally:
                run.sending -= 1
            run.gate.leave()  # others go in meanwhile
            try:
                await asyncio.sleep(wait_s)
            finally:
                await run.gate.enter()

    async def _turn(self, request: Request) -> int:
        """Wait while the server wants to be left alone, and for the rates; the tokens that were counted beforehand."""
        tokens = 0
        if self._rate is not None or self._token_rate is not None:
            wait_s = self._rate.book() if self._rate is not None else 0.0
            if self._token_rate is not None:
                tokens = self._guess.of(request) + request.decoding.max_new_tokens
                wait_s = max(wait_s, self._token_rate.book(tokens))
            await asyncio.sleep(wait_s)
        while (wait_s := self._not_before - time.monotonic()) > 0:  # then go in a few at a time, not all at once
            await asyncio.sleep(wait_s + random.uniform(0, 0.1))
        return tokens

    def _came(self, request: Request, reply: Reply, held: bool, booked: int) -> None:
        """What a reply says about the server and about how long prompts are."""
        self._answered += 1
        self._replied = time.monotonic()
        self._given_up = 0
        if self._lost_at is not None:
            log.info("server %s answers again after %.0f s.", self.address, time.monotonic() - self._lost_at)
            self._lost_at = None
            self.pace.restart()
        if request.schema is not None and not held and request.schema not in self._unheld:
            self._unheld.add(request.schema)
            log.warning(
                "server %s does not hold replies to this JSON schema: it is asked without, and the replies are read "
                "as they come.",
                self.address,
            )
        if self._token_rate is not None and reply.prompt_tokens:
            self._token_rate.correct(reply.prompt_tokens + reply.new_tokens - booked)
            self._guess.learn(request, reply)

    def _after(self, trouble: Trouble, tried: Counter[str], most: int) -> Reply | float:
        """What follows a failed try: seconds to wait before the next, or an error reply. Raises MashqError where the
        whole run ends."""
        if trouble.absent and self._answered and time.monotonic() - self._replied < GONE_S:
            return GONE_S / 4  # it answers others: too many connections for it
        if trouble.loading or (trouble.absent and self._answered):
            return self._wait_for_server(trouble)
        tried[trouble.kind] += 1
        times, allowed = tried[trouble.kind], self._again[trouble.kind]
        why = self._clean(trouble.why)
        if allowed is None:
            raise MashqError(
                f"server {self.address}: {trouble.kind}: {why}. on_error['{trouble.kind}'] says to stop. Every reply "
                "before is in the ledger."
            )
        if trouble.absent and not self._answered and times >= FIRST_TRIES:
            raise MashqError(
                f"server {self.address}: no server answers ({why}). Start it, or check the address and port; "
                "what was asked before is in the ledger."
            )
        if times <= allowed and trouble.wait_s <= self.patience_s:
            return max(trouble.wait_s, backoff(times))
        if AGAIN[trouble.kind] or trouble.status in HOPELESS:
            self._count_given_up(times, why, most)
        given_up = f"given up after {times} tries: " if allowed else ""
        return Reply.failed(f"{trouble.kind}: {self.address}: {given_up}{why}")

    def _count_given_up(self, times: int, why: str, most: int) -> None:
        self._given_up += 1
        if self._given_up > min(max(most, IN_A_ROW[0]), IN_A_ROW[1]):
            raise MashqError(
                f"server {self.address}: {self._given_up} requests in a row failed after {times} tries each, the last "
                f"with: {why}. Every reply before is in the ledger: see to the server and run the same command again."
            )

    def _wait_for_server(self, trouble: Trouble) -> float:
        """Seconds until the next look at a server that went away or loads its model; after the patience the end."""
        now = time.monotonic()
        why = self._clean(trouble.why)
        if self._lost_at is None:
            self._lost_at = now
            log.warning("server %s: %s; waiting up to %g s for it (patience_s).", self.address, why, self.patience_s)
        left = self._lost_at + self.patience_s - now
        if left <= 0:
            raise MashqError(
                f"server {self.address}: went away and did not come back within {self.patience_s:g} s (patience_s): "
                f"{why}. Every reply before is in the ledger: start the server and run the same command again."
            )
        return min(left, PROBE_S, backoff(4))

    async def _try(self, sender: Sender, request: Request, held: bool, started: float) -> Reply:
        path, body = self._body(request, held)
        try:
            answer = await sender.post(path, _encode.encode(body), self.timeout_s)
        except Broken as error:
            raise Trouble("timeout" if error.late else "connection", error.why, absent=error.absent) from error
        if answer.status != 200:
            raise self._refused(answer, body)
        return self._read(answer.body, time.monotonic() - started)

    def _body(self, request: Request, held: bool) -> tuple[str, dict[str, Any]]:
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
        if held and request.schema is not None:
            body["response_format"] = response_format(request.schema)
            if not request.messages:  # llama.cpp reads the other field here, vLLM the first
                body["json_schema"] = msgspec.Raw(request.schema.encode())
        body |= self.extra
        if request.messages:
            body["messages"] = [{"role": role, "content": content} for role, content in request.messages]
            return "/chat/completions", body
        body["prompt"] = request.prompt if request.prompt is not None else list(request.prompt_ids or ())
        return "/completions", body

    def _read(self, content: bytes, seconds: float) -> Reply:
        """The reply in an answer. Raises Trouble where there is none."""
        try:
            answer = _answer.decode(content)
            choice = answer.choices[0]
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError) as error:
            start = self._clean(content[:4000].decode("utf-8", errors="replace"))[:80]
            why = self._clean(str(error))
            raise Trouble("malformed", f"an answer that is no completion ({why}; it begins {start!r})") from error
        if choice.finish_reason not in ENDS:
            kind = "refused" if choice.finish_reason == "content_filter" else "malformed"
            raise Trouble(kind, f"the reply ended with '{choice.finish_reason}'")
        message = choice.message
        if message is not None and message.refusal and not message.content:
            raise Trouble("refused", f"the model refused: {self._clean(message.refusal)[:200]}")
        text = message.content if message is not None else choice.text
        if text is None:
            raise Trouble("malformed", "a completion without a text")
        usage = answer.usage or _Usage()
        return Reply(
            text=self._clean_reply(text),
            finish=ENDS[choice.finish_reason],
            prompt_tokens=max(0, int(usage.prompt_tokens or 0)),
            new_tokens=max(0, int(usage.completion_tokens or 0)),
            seconds=seconds,
        )

    def _refused(self, answer: Answer, sent: Mapping[str, Any]) -> Trouble:
        """What a status other than 200 means. Raises MashqError where it means that nobody can succeed."""
        status = answer.status
        said = what_said(answer.body, self._clean)
        why = f"HTTP {status}" + (f": {said}" if said else "")
        ours = "max_tokens" in sent and "max_tokens" not in self.extra
        if status == 400 and ours and "max_completion_tokens" in said:
            self._limit = "max_completion_tokens"
            return Trouble("form", why)
        if (status in HOPELESS and not self._answered) or no_money(said):
            have = f"{KEYS[0]} or {KEYS[1]} is set" if self._key else f"neither {KEYS[0]} nor {KEYS[1]} is set"
            raise MashqError(
                f"server {self.address}: {HOPELESS.get(status, HOPELESS[402])} for model '{self.name}' ({why}). Check "
                f"address, model name and account; {have} in the environment. What was asked before is in the ledger."
            )
        wait_s = retry_after(answer.headers)
        loading = status == 503 and "loading model" in said.lower()  # llama.cpp's server says so
        return Trouble(kind_of(status, said), why, wait_s=wait_s, status=status, loading=loading)


class _Run:
    """One call of `answer`: where requests come from and replies go, who is at work."""

    def __init__(self, take: Take, done: Done, gate: Gate, most: int):
        self.take, self.done, self.gate, self.most = take, done, gate, most
        self.workers = self.sending = 0
        self.group: asyncio.TaskGroup | None = None


def address_of(url: str) -> tuple[str, str]:
    """Address and model name ("" where none is given)."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise MashqError(f"server '{url.partition('://')[0]}://…': no address ({error}).") from error
    if parts.username or parts.password or parts.query:
        raise MashqError(
            f"server {parts.scheme}://{parts.hostname}: an address holds no password, key or query. "
            f"Put the key into the environment: {KEYS[0]}=..."
        )
    if not parts.hostname:
        raise MashqError(f"server '{url}': expected an address like http://localhost:8000/v1#model.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment


def _files_for(connections: int) -> int:
    """How many connections this process may hold open, after asking the system for as many as are wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = max(1, soft - SPARE_FILES)
        log.warning("%d requests in flight need as many open files; this process may have %d.", connections, most)
        return most
    return connections


def _what(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
