"""Talk to a model on a page that this machine alone sees.

The server listens on loopback, under a path that is drawn anew for each start: who does not know it gets nothing, be it
another user of this machine or another site's script. Requests must name this host and, where a browser says where they
come from, this very page. Nothing is loaded from elsewhere, replies are put into the page as text and never as markup,
and the page keeps the conversation: the server remembers none of it.
"""

from __future__ import annotations

import importlib
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from importlib import resources
from typing import Any

import jinja2

from mashq.chat import ROLES
from mashq.lm import Decoding
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got
from mashq.talk.speaker import Speaker

__all__ = ["app", "serve"]

NEED = "pip install 'mashq[chat]'"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 1_000_000  # of a conversation sent by the page
MOST_TURNS = 1_000
KINDS = {"talk.css": "text/css", "talk.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def app(speaker: Speaker, decoding: Decoding, *, path: str, hosts: tuple[str, ...], system: str = "") -> Any:
    """The page and what answers it, as an ASGI application under `/path/`. `hosts` are the addresses by which it may be
    asked (`127.0.0.1:8000`). One reply is written at a time; who asks meanwhile is told so."""
    starlette = _need("starlette.applications")
    routing, answers = _need("starlette.routing"), _need("starlette.responses")
    busy = threading.Lock()

    async def page(request: Any) -> Any:
        if (refused := _why_not(request, hosts)) is not None:
            return answers.PlainTextResponse(refused, 403, HEADERS)
        lang = "en" if request.query_params.get("lang") == "en" else "ar"
        return answers.HTMLResponse(_html(speaker, system, lang), headers=HEADERS)

    async def part(request: Any) -> Any:
        if (refused := _why_not(request, hosts)) is not None:
            return answers.PlainTextResponse(refused, 403, HEADERS)
        name = request.path_params["name"]
        if name not in KINDS:
            return answers.PlainTextResponse("no such file", 404, HEADERS)
        return answers.Response(_file(name), media_type=KINDS[name], headers=HEADERS)

    async def say(request: Any) -> Any:
        if (refused := _why_not(request, hosts, writes=True)) is not None:
            return answers.PlainTextResponse(refused, 403, HEADERS)
        try:
            turns = _turns(await _body(request))
        except MashqError as error:
            return answers.JSONResponse({"error": str(error)}, 400, HEADERS)
        if not busy.acquire(blocking=False):
            return answers.JSONResponse({"error": "busy"}, 409, HEADERS)
        return answers.StreamingResponse(
            _streamed(speaker, turns, decoding, busy.release), media_type="application/x-ndjson", headers=HEADERS
        )

    routes = [
        routing.Route(f"/{path}/", page, methods=["GET"]),
        routing.Route(f"/{path}/say", say, methods=["POST"]),
        routing.Route(f"/{path}/{{name}}", part, methods=["GET"]),
    ]
    return starlette.Starlette(routes=routes)


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MashqError(f"chat --page needs the package '{module.partition('.')[0]}': {NEED}") from error


def _why_not(request: Any, hosts: tuple[str, ...], writes: bool = False) -> str | None:
    """Why a request is refused: another host name (DNS rebinding), another page's script, or a form of another site."""
    if request.headers.get("host", "") not in hosts:
        return f"host: expected {' or '.join(hosts)}"
    origin = request.headers.get("origin")
    if origin is not None and origin not in [f"http://{host}" for host in hosts]:
        return "origin: another page asked"
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "origin: another site asked"
    if writes and request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return "content-type: expected application/json"
    return None


async def _body(request: Any) -> bytes:
    """The request's body, no longer than a conversation may be."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MOST_BYTES:
            raise MashqError(expected_got("chat page", f"at most {MOST_BYTES:,} bytes", "more", "Begin anew."))
    return bytes(found)


def _turns(body: bytes) -> list[dict[str, str]]:
    """The conversation in a request. Raises MashqError for anything but turns that end with the user's."""
    try:
        asked = json.loads(body)
        turns = [(one["role"], one["content"]) for one in asked["messages"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MashqError(
            expected_got("chat page", '{"messages": [{"role", "content"}, …]}', "something else")
        ) from error
    fit = all(isinstance(role, str) and role in ROLES and isinstance(content, str) for role, content in turns)
    if not fit or not 0 < len(turns) <= MOST_TURNS or turns[-1][0] != "user":
        raise MashqError(expected_got("chat page", f"1 to {MOST_TURNS} turns, the last one the user's", "others"))
    return [{"role": role, "content": content.encode("utf-8", "replace").decode()} for role, content in turns]


async def _streamed(
    speaker: Speaker, turns: list[dict[str, str]], decoding: Decoding, release: Callable[[], None]
) -> AsyncIterator[bytes]:
    """A line of JSON a piece: {"text"}, at the end {"end", "cut"} or {"error"}. A page that goes away ends it."""
    threads = _need("anyio.to_thread")
    pieces: Iterator[str] = iter(speaker.stream(turns, decoding))
    try:
        while True:
            try:
                piece = await threads.run_sync(lambda: next(pieces, None))
            except MashqError as error:
                yield _line({"error": str(error)})
                return
            if piece is None:
                yield _line({"end": True, "cut": speaker.cut})
                return
            yield _line({"text": piece})
    finally:
        getattr(pieces, "close", lambda: None)()
        release()


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


# --- the page --------------------------------------------------------------------------------------------------------


def _file(name: str) -> bytes:
    return resources.files("mashq").joinpath("data", "talk", name).read_bytes()


def _html(speaker: Speaker, system: str, lang: str) -> str:
    """The page in a language; everything from outside is escaped."""
    room = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    words = parsed("talk/words")
    return room.from_string(_file("talk.html").decode()).render(
        lang=lang,
        dir="rtl" if lang == "ar" else "ltr",
        say=words[lang],
        other=words["en" if lang == "ar" else "ar"],
        name=speaker.name,
        warnings=speaker.warnings,
        system=system,
    )


def serve(
    speaker: Speaker,
    decoding: Decoding,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    system: str = "",
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C. `port` 0 takes any free one; `ready` is told the address, which is the key to it.

    Another `host` than loopback shows the page, unencrypted, to everyone who learns its address. Raises MashqError
    where the port cannot be had.
    """
    uvicorn = _need("uvicorn")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # who is told the address may ask at once
    except OSError as error:
        listening.close()
        raise MashqError(
            f"chat --page: {host} port {port} cannot be had ({error.strerror}). Name another --port."
        ) from error
    port = listening.getsockname()[1]
    path = secrets.token_urlsafe(18)
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    names = dict.fromkeys([shown, *(("localhost",) if host in LOOPBACK else ())])
    made = app(speaker, decoding, path=path, hosts=tuple(f"{name}:{port}" for name in names), system=system)
    # The address is a key: nothing writes it down but `ready`.
    settings = uvicorn.Config(made, log_level="error", access_log=False, server_header=False, lifespan="off", ws="none")
    settings.timeout_graceful_shutdown = 2
    try:
        ready(f"http://{shown}:{port}/{path}/")
        uvicorn.Server(settings).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
