"""HTTP in pieces: however an answer is cut into packets, it is read the same."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Act, serving

from mashq.lm import Decoding, Request, generate, open_model, wire
from mashq.lm.wire import Answer, Broken, Connection, Proxied, _Reader, connect

HEAD = b"HTTP/1.1 200 OK\r\nX-Kind: a\r\n"
BODY = '{"نص": "سلام"}\r\n\r\n'.encode()
CHUNKED = b"".join(b"%x;q=1\r\n%s\r\n" % (len(BODY[i : i + 5]), BODY[i : i + 5]) for i in range(0, len(BODY), 5))
WHOLE = {
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
    "trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
}


def feed(reader: _Reader, data: bytes, cuts: list[int]) -> Answer | None:
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    answer = None
    for start, end in itertools.pairwise(places):
        assert answer is None
        answer = reader.feed(data[start:end])
    return answer


@pytest.mark.parametrize("kind", sorted(WHOLE))
@given(st.lists(st.integers(0, 500), max_size=12))
def test_an_answer_is_read_the_same_in_any_pieces(kind: str, cuts: list[int]) -> None:
    answer = feed(_Reader(), WHOLE[kind], cuts)
    assert answer is not None
    assert (answer.status, answer.headers["x-kind"], answer.body) == (200, "a", BODY)


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    for kind in ("length", "chunks", "trailers"):
        reader = _Reader()
        answer = reader.feed(WHOLE[kind] + b"HTTP/1.1 200 OK\r\n")
        assert answer is not None
        assert answer.body == BODY
        assert reader.closes


IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "told"),
    [
        (IN_CHUNKS, b"a", "a chunk size without end in 65536 bytes"),
        (IN_CHUNKS, b"5;q=1;", "a chunk size without end in 65536 bytes"),
        (IN_CHUNKS + b"5\r\nabcde\r\n0\r\n", b"x: y\r\n", "trailers without end in 65536 bytes"),
        (IN_CHUNKS + b"0\r\n", b"x", "trailers without end in 65536 bytes"),
        (b"", b"x: y\r\n", "a head without end"),
        (IN_CHUNKS, b"8000\r\n" + b"a" * 0x8000 + b"\r\n", "a chunk of 32768 bytes, more than 1000000 in all"),
        (HEAD + b"\r\n", b"a" * 999, "more than 1000000 bytes"),
    ],
)
def test_what_never_ends_is_let_go(start: bytes, piece: bytes, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1_000_000)
    reader = _Reader()
    reader.feed(start)
    with pytest.raises(ValueError, match=told):
        for _ in range(3_000_000 // len(piece)):
            reader.feed(piece)
    assert len(reader._bytes) < 1_100_000


KEY = "sk-SECRET'0123456789" + "SECRET\\0123456789" * 2


@pytest.mark.parametrize(
    "data",
    [
        b"AUTH " + KEY.encode() + b"\r\n\r\n",
        b"x" * 30 + KEY.encode() + b"\r\n\r\n",
        HEAD + b"Content-Length: " + KEY.encode() + b"\r\n\r\n",
        IN_CHUNKS + KEY.encode() + b"\r\n",
    ],
)
def test_no_error_holds_a_piece_of_the_key(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        _Reader(KEY).feed(data)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def told_by(answer: bytes, monkeypatch: pytest.MonkeyPatch, proxied: bool) -> str:
    """What is said of a server that answers with these bytes and closes."""

    async def talk() -> str:
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            with contextlib.suppress(ConnectionError):  # the other end has heard enough
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(say, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if proxied:
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.setenv("no_proxy", "")
        sender = connect("http://models.example/v1" if proxied else url, KEY, 5)
        assert isinstance(sender, Proxied) is proxied
        try:
            with pytest.raises(Broken) as caught:
                await sender.post("/x", b"{}", 5)
        finally:
            await sender.close()
            server.close()
        return caught.value.why

    return asyncio.run(talk())


@pytest.mark.parametrize("proxied", [False, True])
def test_a_server_that_says_the_key_instead_of_http(proxied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    why = told_by(b"x" * 10 + KEY.encode() + b"\r\n\r\n", monkeypatch, proxied)
    assert "SECRET" not in why
    assert why == ("RemoteProtocolError" if proxied else "an answer that is not HTTP: it begins 'xxxxxxxxxx***'")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_through_a_proxy_has_a_bound(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1_000_000)
    body = b"a" * 3_000_000
    more = b"Content-Encoding: gzip\r\n" if packed else b""
    answer = HEAD + more + b"\r\n" + (gzip.compress(body) if packed else body)
    assert told_by(answer, monkeypatch, True) == "an answer of more than 1000000 bytes"


def test_an_answer_without_length_ends_with_the_connection() -> None:
    reader = _Reader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nabc") is None
    assert reader.at_end() == Answer(200, {}, b"abc")
    assert reader.closes


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Content-Length: 99999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\n",
        HEAD + b"Content-Length: 1_0\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        _Reader().feed(data)


@given(st.binary(max_size=200))
def test_noise_never_becomes_an_answer_by_another_error(data: bytes) -> None:
    try:
        _Reader().feed(data)
    except ValueError as error:
        assert str(error)


def test_a_connection_closed_while_idle_is_opened_again_without_a_failed_try() -> None:
    async def talk(url: str) -> list[int]:
        sender = connect(url, "", 5)
        assert isinstance(sender, Connection)
        codes = [(await sender.post("/completions", b'{"prompt": "a"}', 5)).status]
        await asyncio.sleep(0.1)  # the server has closed by now
        codes.append((await sender.post("/completions", b'{"prompt": "b"}', 5)).status)
        await sender.close()
        return codes

    with serving(lambda *_: Act(cut_after=100_000)) as server:  # a whole answer, then the end
        assert asyncio.run(talk(server.url)) == [200, 200]
        assert (len(server.asked), server.connections) == (2, 2)


def test_a_server_that_speaks_something_else_is_told() -> None:
    async def talk() -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp ready\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        sender = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "", 5)
        try:
            await sender.post("/x", b"{}", 5)
        finally:
            await sender.close()
            server.close()

    with pytest.raises(Broken):
        asyncio.run(talk())


def test_through_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:  # the loopback server plays the proxy: it is asked for another host
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "")
        assert isinstance(connect("http://models.example/v1", "", 5), Proxied)
        request = Request(messages=(("user", "سلام"),), decoding=Decoding(max_new_tokens=4))
        model = open_model("http://models.example/v1#m")
        assert generate(model, [request], ledger=None, budget=None)[0].text == "[] سلام"
        assert server.paths == ["http://models.example/v1/chat/completions"]
