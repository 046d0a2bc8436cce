"""A real HTTP server on loopback that speaks the OpenAI protocol and misbehaves as told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Act:
    """What the server does with one request; the default is a right answer."""

    status: int = 200
    body: bytes | None = None  # instead of a right answer
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut_after: int | None = None  # bytes of the answer, then the connection is closed
    chunked: bool = False
    finish: str = "stop"


def words_of(body: dict[str, Any]) -> str:
    """What was asked: the last message or the prompt."""
    return body["messages"][-1]["content"] if "messages" in body else str(body["prompt"])


def answer_to(body: dict[str, Any]) -> str:
    """The right answer: a function of all that was said, the system text too."""
    system = "".join(m["content"] for m in body.get("messages", []) if m["role"] == "system")
    return f"[{system}] {words_of(body)}"


def completion(text: str, finish: str = "stop", usage: dict[str, Any] | None = None) -> bytes:
    """The body of a chat completion that says `text`; it tells no cost where `usage` is None."""
    said = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return json.dumps({"choices": [said]} | ({} if usage is None else {"usage": usage})).encode()


class Loopback:
    """Runs in a thread. `plan` is told the number of the request and its body."""

    def __init__(
        self,
        plan: Callable[[int, dict[str, Any]], Act] | None = None,
        models: tuple[str, ...] = ("tiny",),
        port: int = 0,
    ):
        self.plan = plan or (lambda number, body: Act())
        self.models = models
        self.port = port  # 0: any free one
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=2048)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    def start(self) -> Loopback:
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for _ in range(200):  # connections just taken begin first: a task that never began closes nothing
            await asyncio.sleep(0.01)
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            if all(task.get_coro().__name__ == "_serve" for task in tasks):
                break
        await asyncio.sleep(0.01)  # those that were made in the last turn begin, and note their writers
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()  # also one whose other end was killed and reads no more
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other end went away, or the server is stopped: Python 3.11 logs a cancelled task as an error
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length")]
        raw = await reader.readexactly(int(lengths[0]) if lengths else 0)
        if head.startswith("GET"):
            self._send(writer, Act(body=json.dumps({"data": [{"id": name} for name in self.models]}).encode()), {})
            return True
        body = json.loads(raw)
        number = len(self.asked)
        self.asked.append(body)
        self.paths.append(head.split()[1])
        self.headers.append(head)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            act = self.plan(number, body)
            await asyncio.sleep(act.delay_s)
        finally:
            self.in_flight -= 1
        return self._send(writer, act, body)

    def _send(self, writer: asyncio.StreamWriter, act: Act, body: dict[str, Any]) -> bool:
        data = act.body if act.body is not None else right(body, act.finish)
        headers = {"content-type": "application/json", **act.headers}
        if act.chunked:
            headers["transfer-encoding"] = "chunked"
            data = b"".join(b"%x\r\n%s\r\n" % (len(data[i : i + 7]), data[i : i + 7]) for i in range(0, len(data), 7))
            data += b"0\r\n\r\n"
        else:
            headers["content-length"] = str(len(data))
        lines = [f"HTTP/1.1 {act.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        data = "\r\n".join(lines).encode() + data
        writer.write(data[: act.cut_after])
        return act.cut_after is None


def right(body: dict[str, Any], finish: str = "stop") -> bytes:
    """The body of the right answer, with what it cost."""
    text = answer_to(body)
    usage = {"prompt_tokens": len(words_of(body).split()), "completion_tokens": len(text.split())}
    if "messages" in body:
        return completion(text, finish, usage)
    return json.dumps({"choices": [{"index": 0, "finish_reason": finish, "text": text}], "usage": usage}).encode()


@contextmanager
def serving(
    plan: Callable[[int, dict[str, Any]], Act] | None = None, models: tuple[str, ...] = ("tiny",)
) -> Iterator[Loopback]:
    """A server for the length of a block."""
    server = Loopback(plan, models).start()
    try:
        yield server
    finally:
        server.stop()
