"""Serve the rating pages of a store until Ctrl-C, and begin a study: its file, its raters, their links."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mashq.rating.guard import ANYWHERE, LOOPBACK, Hosts
from mashq.rating.store import Store
from mashq.rating.study import Study
from mashq.rows import MashqError

__all__ = ["begun", "serve", "warning"]

GRACE_S = 5  # for requests under way when the server ends


def begun(
    path: Path | str, study: Study | None = None, *, raters: int = 0, admin: bool = False
) -> list[tuple[str, str]]:
    """Make the store of a study, or open one that is there, and add raters: (whose, path of the link) of each new link.

    A new store gets the link of the administrator and `raters` raters, "rater 1" and on. One that is there gets as many
    raters more as it has fewer (who was withdrawn is replaced), and with `admin` another link of the administrator in
    place of the lost one. Links are shown now and kept nowhere. Raises MashqError for a store of another study, or none
    and no study to begin.
    """
    path = Path(path)
    with Store.open(path) if study is None or path.exists() else Store.create(path, study) as store:
        if study is not None and msgspec.json.encode(study) != msgspec.json.encode(store.study):
            raise MashqError(
                f"rating store {path}: it holds study '{store.study.name}' with other items, criteria or texts than "
                f"'{study.name}' has now. Name another --out, or serve {path} itself."
            )
        token = store.admin_token or (store.new_admin_token() if admin else "")
        links = [("admin", f"/a/{token}/")] if token else []
        there = [rater for rater, _ in store.raters()]
        taken, staying = {rater.name for rater in there}, sum(not rater.left for rater in there)
        free = (name for number in range(1, raters + len(taken) + 1) if (name := f"rater {number}") not in taken)
        new = [next(free) for _ in range(raters - staying)]
        return [*links, *((name, f"/r/{store.add_rater(name)}/") for name in new)]


def serve(
    store_path: Path | str,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] = print,
    *,
    names: Sequence[str] = (),
) -> None:
    """Serve the pages until Ctrl-C; requests under way are answered first.

    `port` 0 takes any free one. `ready` is told the address once it is had and before the store is opened, so it may
    make the store (`begun`) and show its links; before that it is told the warning, where another host than loopback is
    named. `names` are the host names by which a proxy in front passes the pages on; it must stand on this machine, and
    its word on who asks (`X-Forwarded-For`) is then believed, and the links of the administration page are https and by
    these names. Raises MashqError where the port cannot be had.
    """
    from mashq.rating.app import app, need

    uvicorn = need("uvicorn")
    if unsafe := warning(host):
        ready(unsafe)
    with _listening(host, port) as listening:
        port = listening.getsockname()[1]
        try:
            ready(f"http://{_shown(host)}:{port}")
            with Store.open(store_path) as store:
                made = app(store, hosts=Hosts.at(host, port, tuple(names)), proxied=[name.lower() for name in names])
                # A link is a key: nothing writes one down.
                settings = uvicorn.Config(
                    made, log_level="error", access_log=False, server_header=False, lifespan="off", ws="none",
                    proxy_headers=bool(names), forwarded_allow_ips="127.0.0.1,::1", timeout_graceful_shutdown=GRACE_S,
                )  # fmt: skip
                uvicorn.Server(settings).run(sockets=[listening])
        except KeyboardInterrupt:
            pass


def _shown(host: str) -> str:
    """The host in an address: of a server on all addresses, this machine's name."""
    if host in ANYWHERE:
        return socket.gethostname().lower()
    return f"[{host}]" if ":" in host else host


def warning(host: str) -> str:
    """What whoever serves at another host than loopback must know; empty for loopback."""
    try:
        inside = host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if inside:
        return ""
    return (
        f"warning: {host} is not this machine alone. The pages travel unencrypted: who can listen on the way reads "
        "links and answers. Put a proxy with TLS in front (--name), or use a network that you trust."
    )


def _listening(host: str, port: int) -> Any:
    """A socket at that address. Raises MashqError where it cannot be had."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind)
    except OSError as error:
        raise MashqError(f"rate: there is no address {host} ({error.strerror}). Name another --host.") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(where)
        listening.listen()  # who is told the address may ask at once; the kernel keeps requests until they are answered
    except OSError as error:
        listening.close()
        raise MashqError(f"rate: {host} port {port} cannot be had ({error.strerror}). Name another --port.") from error
    return listening
