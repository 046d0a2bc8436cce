"""What stands before the rating pages: which host names, which origins, how often, and the headers of every answer.

A link is the only key to a rater's pages, so nothing here writes one down, and an answer to a wrong link says no more
than that there is nothing. Who tries wrong links is slowed long before who rates quickly, and a right link is never
slowed for its neighbours' wrong ones: it is looked up first, which with 192 random bits gives nothing away.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HEADERS", "Bucket", "Gate", "Hosts", "Limits"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
MOST_KEYS = 10_000  # tokens or addresses that a bucket remembers; the longest unused is forgotten first
ANYWHERE = ("0.0.0.0", "::")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """(requests a second, requests at once): of one link, of one address, and of wrong links from one address.

    A page costs a rater about three requests, and a class of thirty behind one address a few pages a second.
    """

    link: tuple[float, float] = (20.0, 60.0)
    address: tuple[float, float] = (100.0, 300.0)
    wrong: tuple[float, float] = (0.1, 10.0)


class Bucket:
    """A token bucket a key: `burst` at once, `rate` a second after. `now` tells seconds."""

    def __init__(self, rate: float, burst: float, now: Callable[[], float] = time.monotonic):
        self.rate, self.burst, self.now = rate, burst, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (what is left, when that was so)
        self._lock = threading.Lock()

    def left(self, key: str) -> float:
        """What `key` may still take at once."""
        left, then = self._left.get(key, (self.burst, 0.0))
        return min(self.burst, left + (self.now() - then) * self.rate)

    def take(self, key: str) -> bool:
        """Whether `key` had one left, which it now has no more."""
        with self._lock:
            left = self.left(key)
            had = left >= 1
            self._left[key] = (left - had, self.now())
            self._left.move_to_end(key)
            while len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
            return had


@dataclass(frozen=True)
class Hosts:
    """By which names the pages may be asked; another one is a name that someone else points here (DNS rebinding).

    `exact` are names with their port ("127.0.0.1:8000"), `names` are further names at any port (a proxy's). `numbers`
    lets every IP address through: where the server listens on all addresses it need not know them, and a rebound
    request carries a name, never a number.
    """

    exact: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    numbers: bool = False

    @classmethod
    def at(cls, host: str, port: int, names: tuple[str, ...] = ()) -> Hosts:
        """The names of a server that listens at `host` and `port`."""
        shown = f"[{host}]" if ":" in host else host
        own = dict.fromkeys([shown, "localhost"] if host in LOOPBACK else [shown])
        if host in ANYWHERE:
            own, names = {"localhost": None}, (*names, socket.gethostname().lower())
        return cls(tuple(f"{name}:{port}" for name in own), tuple(name.lower() for name in names), host in ANYWHERE)

    def known(self, asked: str) -> bool:
        """Whether a Host header names this server."""
        asked = asked.lower()
        name = asked.rpartition(":")[0] if asked.rpartition(":")[2].isdecimal() and not asked.endswith("]") else asked
        if asked in self.exact or name in self.names:
            return True
        try:
            return self.numbers and bool(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            return False


@dataclass
class Gate:
    """An ASGI application before `inner`: refuses other hosts and other sites' requests, slows who asks too often, and
    puts `HEADERS` on every answer that does not set its own. `refuse(request, status)` is the page of a refusal."""

    inner: Any
    hosts: Hosts
    refuse: Callable[[Any, int], Any]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.links, self.addresses, self.wrongs = (
            Bucket(*of) for of in (self.limits.link, self.limits.address, self.limits.wrong)
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.inner(scope, receive, send)
        from starlette.requests import Request

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with(message.get("headers", []), HEADERS)}
            await send(message)

        request = Request(scope, receive)
        status = self.status(request)
        answer = self.inner if status is None else self.refuse(request, status)
        await answer(scope, receive, with_headers)
        return None

    def status(self, request: Any) -> int | None:
        """403 for another host or site, 429 for too many; None = let through."""
        if not self.hosts.known(request.headers.get("host", "")) or not _own(request.headers, request.method):
            return 403
        return None if self.addresses.take(address(request)) else 429

    def slowed(self, request: Any, link: str, right: bool) -> bool:
        """Whether who asks must wait: a right link was used too often, or this address tried too many wrong ones.

        `right`: whether the link leads somewhere, which is looked up before. So ten wrong links from behind one address
        shut out none of the right ones there, also after a restart, when nothing is known of who asked before.
        """
        return not (self.links.take(link) if right else self.wrongs.take(address(request)))


def address(request: Any) -> str:
    """Who asks, for the limits: an IPv4 address, or the /64 network that one holder of IPv6 addresses has."""
    host = request.client.host if request.client else ""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    return str(ipaddress.ip_network((number, 64), strict=False)) if number.version == 6 else host


def _own(headers: Mapping[str, str], method: str) -> bool:
    """Whether a request comes from these pages, or is a link that someone follows (from a letter, say).

    Under `Referrer-Policy: no-referrer` a browser sends `Origin: null` with our own plain forms, so there its word on
    the site counts (`Sec-Fetch-Site`, which no page can set); one that says neither is no browser of today.
    """
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin")
    if method in ("GET", "HEAD"):
        return site in ("", "same-origin", "none") or headers.get("sec-fetch-mode") == "navigate"
    if origin == "null":
        return site in ("same-origin", "none")
    if site not in ("", "same-origin", "none"):
        return False
    return origin is None or origin.lower().partition("://")[2] == headers.get("host", "").lower()


def _with(headers: list[tuple[bytes, bytes]], more: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers, and those of `more` that are not among them."""
    there = {name.lower() for name, _ in headers}
    made = [(name.lower().encode(), value.encode()) for name, value in more.items()]
    return [*headers, *((name, value) for name, value in made if name not in there)]
