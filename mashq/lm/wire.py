"""POST over HTTP/1.1 and nothing else: one kept-alive connection a worker, TLS, whole answers.

Thousands of small requests cost what the client costs. On 2 cores against one loopback server, per request with ledger
and budget: 0.09 ms of CPU with 16 or 256 in flight; through httpx 2.3 ms with 16 and 9 ms with 256 on the same day.
Where the environment names a proxy for the address, `Proxied` sends through httpx instead.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import urllib.request
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit

import httpx

from mashq.rows import MashqError

__all__ = ["Answer", "Broken", "Connection", "Proxied", "Sender", "check_key", "connect"]

MOST_BYTES = 64 << 20  # of an answer; more is no completion
MOST_HEAD_BYTES = 1 << 16  # of a head, of the line before a chunk, of the trailers
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;|\Z)")
LENGTH = re.compile(r"[0-9]{1,18}")


class Answer(NamedTuple):
    """What came back: status, headers with lower-case names, the whole body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Broken(Exception):
    """No whole answer: why, whether there was nobody to talk to, and whether the time was over."""

    def __init__(self, why: str, absent: bool = False, late: bool = False):
        super().__init__(why)
        self.why, self.absent, self.late = why, absent, late


class Sender(Protocol):
    """Sends one request at a time."""

    async def post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        """The answer to a POST of JSON. Raises Broken, also where it takes longer than `timeout_s`."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


def check_key(key: str) -> None:
    """Raises MashqError for a key that no header can hold, without repeating it."""
    if key and not (key.isascii() and key.isprintable()):
        raise MashqError(
            "the key in the environment holds characters that no key has (a line break, an invisible mark)."
        )


def connect(address: str, key: str, connect_s: float) -> Sender:
    """A sender to `scheme://host[:port][/path]`: straight, or through the proxy that the environment names."""
    parts = urlsplit(address)
    check_key(key)
    proxies = urllib.request.getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(parts.netloc):
        return Proxied(address, key, connect_s)
    return Connection(parts, key, connect_s)


class Connection:
    """A connection of our own, opened when first needed and again after it broke."""

    def __init__(self, parts: SplitResult, key: str, connect_s: float):
        self._host, secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._tls = _tls() if secure else None
        self._connect_s = connect_s
        self._base, self._key = parts.path.rstrip("/"), key
        lines = [
            f"host: {parts.netloc}",
            "user-agent: mashq",
            "accept: application/json",
            "content-type: application/json",
        ]
        lines += [f"authorization: Bearer {key}"] if key else []
        self._head = "".join(f"{line}\r\n" for line in lines).encode()
        self._line: _Line | None = None

    async def post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        head = b"POST %s HTTP/1.1\r\n%scontent-length: %d\r\n\r\n" % (
            (self._base + path).encode(),
            self._head,
            len(body),
        )
        try:
            async with asyncio.timeout(timeout_s):
                if self._line is not None and self._line.open:  # it may have been closed at the other end just now
                    try:
                        return await self._line.exchange(head + body)
                    except _NothingCame:
                        self._line.drop()
                self._line = await self._open()
                return await self._line.exchange(head + body)
        except _NothingCame as error:
            raise Broken("the server closed the connection without an answer") from error
        except TimeoutError as error:
            raise Broken(f"no answer within {timeout_s:g} s (timeout_s)", late=True) from error
        except OSError as error:
            raise Broken(f"{type(error).__name__}: {error}") from error
        finally:
            if self._line is not None and self._line.busy:  # timed out or cancelled half-way
                self._line.drop()

    async def _open(self) -> _Line:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, line = await loop.create_connection(lambda: _Line(self._key), self._host, self._port, ssl=self._tls)
        except TimeoutError as error:
            raise Broken(f"no connection within {self._connect_s:g} s", absent=True) from error
        except OSError as error:
            raise Broken(f"no connection: {type(error).__name__}: {error.strerror or error}", absent=True) from error
        return line

    async def close(self) -> None:
        if self._line is not None:
            self._line.drop()


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all connections: making one takes some 20 ms."""
    return ssl.create_default_context()


class _NothingCame(Exception):
    """The connection ended before the first byte of an answer."""


class _Line(asyncio.Protocol):
    """One TCP connection, one exchange at a time. `key` is in no error, even where the server repeats it."""

    def __init__(self, key: str) -> None:
        self.open, self._key = False, key
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._reader = _Reader(key)

    @property
    def busy(self) -> bool:
        return self._waiting is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def exchange(self, request: bytes) -> asyncio.Future[Answer]:
        assert self._transport is not None
        self._reader = _Reader(self._key)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self.drop()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except ValueError as error:
            self._end(Broken(f"an answer that is not HTTP: {error}"))
            self.drop()
            return
        if answer is not None:
            self._end(answer)  # first, because a dropped connection waits for nothing
            if self._reader.closes:
                self.drop()

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._waiting is None:
            return
        answer = self._reader.at_end()
        if answer is not None:
            self._end(answer)
        else:
            self._end(Broken("the server cut the answer off") if self._reader.begun else _NothingCame())

    def _end(self, outcome: Answer | Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    def drop(self) -> None:
        self.open, self._waiting = False, None
        if self._transport is not None:
            self._transport.abort()


class _Reader:
    """Bytes -> one Answer: by length, in chunks, or until the connection ends (RFC 9112, section 6).

    An error quotes the first line alone, without the key; a number that is none is not quoted at all."""

    def __init__(self, key: str = "") -> None:
        self._key = key
        self._bytes = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None  # None = until the end; -1 = in chunks
        self._body = bytearray()
        self._left = 0  # of the chunk that is being read, its line end included
        self.begun = False
        self.closes = False

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. Raises ValueError for what is no HTTP."""
        self.begun = True
        self._bytes += data
        if not self._status and not self._read_head():
            return None
        if self._length == -1:
            return self._read_chunks()
        if len(self._bytes) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        if self._length is not None and len(self._bytes) >= self._length:
            self.closes |= len(self._bytes) > self._length  # what nobody asked for would pass for the next answer
            return Answer(self._status, self._headers, bytes(self._bytes[: self._length]))
        return None

    def at_end(self) -> Answer | None:
        """The answer, where the end of the connection is what ends it."""
        whole = self._status and self._length is None
        return Answer(self._status, self._headers, bytes(self._bytes)) if whole else None

    def _read_head(self) -> bool:
        while True:
            end = self._bytes.find(b"\r\n\r\n")
            if end < 0:
                if len(self._bytes) > MOST_HEAD_BYTES:
                    raise ValueError("a head without end")
                return False
            first, *lines = self._bytes[:end].decode("latin-1").split("\r\n")
            del self._bytes[: end + 4]
            version, _, rest = first.partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise ValueError(f"it begins {_clean(first, self._key)[:40]!r}")
            if rest[0] != "1":  # 100 Continue and its like come before the answer
                break
        self._status = int(rest[:3])
        for line in lines:
            name, _, value = line.partition(":")
            self._headers[name.strip().lower()] = value.strip()
        self.closes = self._headers.get("connection", "").lower() == "close" or version == "HTTP/1.0"
        if "chunked" in self._headers.get("transfer-encoding", "").lower():
            self._length = -1
        elif "content-length" in self._headers:
            if not LENGTH.fullmatch(self._headers["content-length"]):
                raise ValueError("a content-length that is no length")
            self._length = int(self._headers["content-length"])
            if self._length > MOST_BYTES:
                raise ValueError(f"content-length {self._length}, more than {MOST_BYTES}")
        else:
            self._length, self.closes = (0 if self._status in (204, 304) else None), True
        return True

    def _read_chunks(self) -> Answer | None:
        while True:
            if self._left:
                part = self._bytes[: self._left]
                del self._bytes[: len(part)]
                self._left -= len(part)
                self._body += part
                if self._left:
                    return None
                del self._body[-2:]  # the line end behind the chunk
            end = self._bytes.find(b"\r\n", 0, MOST_HEAD_BYTES)
            if end < 0:
                if len(self._bytes) >= MOST_HEAD_BYTES:
                    raise ValueError(f"a chunk size without end in {MOST_HEAD_BYTES} bytes")
                return None
            found = CHUNK_SIZE.match(self._bytes, 0, end)
            if not found:
                raise ValueError("a chunk size that is no number")
            size = int(found[1], 16)
            if len(self._body) + size > MOST_BYTES:
                raise ValueError(f"a chunk of {size} bytes, more than {MOST_BYTES} in all")
            if size == 0:
                return self._read_trailer(end)
            del self._bytes[: end + 2]
            self._left = size + 2

    def _read_trailer(self, end: int) -> Answer | None:
        """The answer, once the empty line behind the last chunk and its trailers is there."""
        if (last := self._bytes.find(b"\r\n\r\n", end, end + MOST_HEAD_BYTES)) >= 0:
            self.closes |= len(self._bytes) > last + 4
            return Answer(self._status, self._headers, bytes(self._body))
        if len(self._bytes) - end >= MOST_HEAD_BYTES:
            raise ValueError(f"trailers without end in {MOST_HEAD_BYTES} bytes")
        return None


def _clean(text: str, key: str) -> str:
    """A text without the key; before any cut, because half a key is not found any more."""
    return text.replace(key, "***") if key else text


class Proxied:
    """The same through httpx, which knows proxies."""

    def __init__(self, address: str, key: str, connect_s: float):
        headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "mashq"}
        headers["accept-encoding"] = "identity"  # a few packed bytes could become gigabytes
        self._address, self._key, self._connect_s = address, key, connect_s
        headers |= {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(verify=_tls(), headers=headers)

    async def post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        times = httpx.Timeout(timeout_s, connect=self._connect_s)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._client.stream("POST", self._address + path, content=body, timeout=times) as got,
            ):
                content = bytearray()
                async for part in got.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise Broken(f"an answer of more than {MOST_BYTES} bytes")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Broken(f"no answer within {timeout_s:g} s (timeout_s)", late=True) from error
        except httpx.HTTPError as error:
            absent = isinstance(error, (httpx.ConnectError, httpx.ProxyError))
            said = "" if isinstance(error, httpx.ProtocolError) else f": {_clean(str(error), self._key)}"
            raise Broken(type(error).__name__ + said, absent) from error
        return Answer(got.status_code, dict(got.headers), bytes(content))

    async def close(self) -> None:
        await self._client.aclose()
