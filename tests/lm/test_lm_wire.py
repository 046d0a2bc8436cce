"""HTTP in pieces: however an answer is cut into packets, it is read the same."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Act, serving

from mashq.lm import Decoding, Request, generate, open_model
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
