"""An OpenAI-compatible server on loopback that costs little, counts every request and misbehaves by a seeded rule.

What it says is a function of the messages (`answer_to`), so whoever asks can be checked against texts worked out
elsewhere. It knows a request by its messages: the first of a kind is unique, every later one a repeat. Which tries
fail, and how, is a function of the seed, the messages and the number of the try (`fate`), the same for every client.

    python benchmarks/llm_server.py        # prints {"port": ..., "control": ...} and serves until its input ends

`POST /` to the control port, each with a JSON body: {"reset": {...}} takes the fields of `Manners` and forgets all
counts, {"counts": true} gives them, {"wait_for": 800} answers once that many unique requests have come.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

MODEL = "loopback"
RETRY_AFTER_S = 1
FAULTS = ("limit", "error", "malformed", "stall", "cut")  # 429, 500, no JSON, no answer, half an answer


class Manners(msgspec.Struct, forbid_unknown_fields=True):
    """How the server behaves until it is told otherwise."""

    latency_s: float = 0.0
    faults: dict[str, float] = {}  # of FAULTS: the share of tries that end like this
    seed: int = 0
    dies_at: int = 0  # with this request it goes away; 0 = never
    away_s: float = 0.0
    mark: str = ""  # a request whose last text lacks it is answered rightly and counted apart: clients ask on their own


class Part(msgspec.Struct):
    """A piece of a message, where a client sends a list of pieces."""

    text: str = ""


class Message(msgspec.Struct):
    """One message."""

    role: str
    content: str | list[Part]


class Body(msgspec.Struct):
    """What is read of a request."""

    messages: list[Message]


def plain(content: str | list[Part]) -> str:
    """The text of a message."""
    return content if isinstance(content, str) else "".join(part.text for part in content)


def digest_of(messages: Sequence[tuple[str, str]]) -> str:
    """What messages, as (role, text), are known by: 16 hexadecimal digits."""
    return hashlib.blake2b(msgspec.json.encode(messages), digest_size=8).hexdigest()


def answer_to(messages: Sequence[tuple[str, str]]) -> str:
    """The text of the right reply: other messages, the system text too, have another one."""
    return f"{digest_of(messages)} {messages[-1][1][::-1]}"


def fate(manners: Manners, digest: str, number: int) -> str:
    """Which of FAULTS the `number`-th try of a request meets; "" for none."""
    drawn = hashlib.blake2b(f"{manners.seed} {digest} {number}".encode(), digest_size=8).digest()
    point = int.from_bytes(drawn, "little") / 2**64
    for fault, share in manners.faults.items():
        point -= share
        if point < 0:
            return fault
    return ""


class Counts:
    """What came since the last reset."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}  # digest -> tries
        self.requests = self.others = self.answered = self.open = self.most_open = self.connections = 0
        self.faults = dict.fromkeys(FAULTS, 0)
        self.cpu = time.process_time()

    def told(self) -> dict[str, Any]:
        """The counts as JSON; cpu_s is the server's own."""
        return {
            "requests": self.requests,
            "unique": len(self.seen),
            "repeats": self.requests - len(self.seen),
            "others": self.others,  # that hold no prompt of the benchmark, counted nowhere else
            "answered": self.answered,  # whole answers, right or wrong, handed to the system
            "most_open": self.most_open,
            "connections": self.connections,
            "faults": self.faults,
            "cpu_s": time.process_time() - self.cpu,
        }


class Server:
    """The state that all connections share."""

    def __init__(self) -> None:
        self.manners, self.counts = Manners(), Counts()
        self.links: set[Link] = set()
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.port = 0
        self._listener: asyncio.Server | None = None

    async def listen(self) -> None:
        """Take connections, on the same port as before where there was one."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Link(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def go_away(self) -> None:
        """What a killed server looks like from outside: connections reset, nobody listening; then it is back."""
        assert self._listener is not None
        self._listener.close()
        for link in list(self.links):
            link.abort()
        await asyncio.sleep(self.manners.away_s)
        await self.listen()

    def meet(self, link: Link, body: bytes) -> None:
        """Count a request and answer it, now or when its time has come."""
        messages = [(one.role, plain(one.content)) for one in _body.decode(body).messages]
        digest = digest_of(messages)
        counts = self.counts
        if not messages or self.manners.mark not in messages[-1][1]:
            counts.others += 1
            link.send(reply(messages, digest, "") if messages else http_answer(400, b'{"error":{"message":"empty"}}'))
            return
        number = counts.seen[digest] = counts.seen.get(digest, 0) + 1
        counts.requests += 1
        link.busy = True
        counts.open += 1
        counts.most_open = max(counts.most_open, counts.open)
        if number == 1:
            self.tell_waiting()
        if counts.requests == self.manners.dies_at:
            asyncio.get_running_loop().create_task(self.go_away())
            return
        fault = fate(self.manners, digest, number)
        if fault:
            counts.faults[fault] += 1
        if fault == "stall":
            return
        data = reply(messages, digest, fault)
        if self.manners.latency_s:
            asyncio.get_running_loop().call_later(self.manners.latency_s, link.answer, data, fault == "cut")
        else:
            link.answer(data, fault == "cut")

    def tell_waiting(self) -> None:
        """Answer those who wait for as many unique requests as there are now."""
        unique = len(self.counts.seen)
        for wanted, future in self.waiting:
            if unique >= wanted and not future.done():
                future.set_result(None)
        self.waiting = [(wanted, future) for wanted, future in self.waiting if not future.done()]


_body = msgspec.json.Decoder(Body)


def reply(messages: Sequence[tuple[str, str]], digest: str, fault: str) -> bytes:
    """The whole HTTP answer to a request that meets `fault`."""
    if fault == "limit":
        return http_answer(429, b'{"error":{"message":"too many requests"}}', f"retry-after: {RETRY_AFTER_S}\r\n")
    if fault == "error":
        return http_answer(500, b'{"error":{"message":"something broke"}}')
    text = answer_to(messages)
    content = {
        "id": f"chatcmpl-{digest}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60},
    }
    data = msgspec.json.encode(content)
    return http_answer(200, data[: len(data) // 2] if fault == "malformed" else data)


def http_answer(status: int, body: bytes, more: str = "") -> bytes:
    """An answer whose connection stays open."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


class Link(asyncio.Protocol):
    """One connection. Requests come one after another, as from every HTTP/1.1 client asked about here."""

    def __init__(self, server: Server):
        self.server, self.bytes, self.busy = server, bytearray(), False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.links.add(self)
        self.server.counts.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.server.links.discard(self)
        self._end_request()

    def abort(self) -> None:
        """Reset the connection."""
        if self.transport:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.bytes += data
        while (end := self.bytes.find(b"\r\n\r\n")) >= 0:
            head = self.bytes[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r", 1)[0]) if place >= 0 else 0
            if len(self.bytes) < end + 4 + length:
                return
            body = bytes(self.bytes[end + 4 : end + 4 + length])
            del self.bytes[: end + 4 + length]
            if head.startswith(b"get"):
                self.send(http_answer(200, b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % MODEL.encode()))
            else:
                self.server.meet(self, body)

    def answer(self, data: bytes, cut: bool) -> None:
        """Send a reply, or half of it and then the end of the connection."""
        if not self.busy:
            return  # whoever asked has gone
        self._end_request()
        self.server.counts.answered += 1
        self.send(data[: len(data) // 2] if cut else data)
        if cut and self.transport:
            self.transport.close()

    def send(self, data: bytes) -> None:
        """Write, where anyone is still there."""
        if self.transport and not self.transport.is_closing():
            self.transport.write(data)

    def _end_request(self) -> None:
        self.server.counts.open -= self.busy
        self.busy = False


# --- control ---------------------------------------------------------------------------------------------------------


async def obey(server: Server, wish: Mapping[str, Any]) -> dict[str, Any]:
    """Do what the benchmark asks for, and say the counts."""
    if "reset" in wish:
        server.manners = msgspec.convert(wish["reset"], Manners)
        still_open = server.counts.open
        server.counts = Counts()
        server.counts.open = still_open
    if "wait_for" in wish:
        future = asyncio.get_running_loop().create_future()
        server.waiting.append((wish["wait_for"], future))
        server.tell_waiting()
        await future
    return server.counts.told()


async def serve() -> None:
    """Serve until standard input ends; the ports are printed first."""
    server = Server()
    await server.listen()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r")[0])
        told = await obey(server, json.loads(await reader.readexactly(length)))
        writer.write(http_answer(200, json.dumps(told).encode(), "connection: close\r\n"))
        writer.close()

    side = await asyncio.start_server(control, "127.0.0.1", 0)
    print(json.dumps({"port": server.port, "control": side.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started this is gone


class Loopback:
    """The server in a process of its own, from the benchmark's side."""

    script = Path(__file__)  # a subclass may name one that changes `answer_to` and calls `serve`

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(self.script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ports = json.loads(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{ports['port']}/v1"
        self._control = ports["control"]

    def _ask(self, wish: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        line = http.client.HTTPConnection("127.0.0.1", self._control, timeout=timeout_s)
        try:
            line.request("POST", "/", json.dumps(wish))
            return json.loads(line.getresponse().read())
        finally:
            line.close()

    def reset(self, **manners: Any) -> None:
        """Forget all counts; `manners` are the fields of `Manners`."""
        self._ask({"reset": manners}, 10)

    def counts(self) -> dict[str, Any]:
        """What came since the last reset."""
        return self._ask({"counts": True}, 10)

    def wait_for(self, unique: int, timeout_s: float) -> dict[str, Any]:
        """The counts once that many unique requests have come. Raises TimeoutError."""
        return self._ask({"wait_for": unique}, timeout_s)

    def __enter__(self) -> Loopback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.communicate()


if __name__ == "__main__":
    asyncio.run(serve())
