"""A real server on loopback that misbehaves: what is retried, what is told, what is never lost, where the key goes."""

from __future__ import annotations

import email.utils
import http.server
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Act, answer_to, serving, words_of

from mashq.lm import Budget, Decoding, Ledger, Reply, Request, generate, open_model
from mashq.rows import MashqError

SHORT = Decoding(max_new_tokens=8)
Plan = Callable[[int, dict[str, Any]], Act]


def ask(text: str, system: str = "", decoding: Decoding = SHORT) -> Request:
    head = (("system", system),) if system else ()
    return Request(messages=(*head, ("user", text)), decoding=decoding)


def many(count: int) -> list[Request]:
    return [ask(f"سؤال {number}") for number in range(count)]


def run(plan: Plan, requests: list[Request], ledger: Path | None = None, **settings: Any) -> tuple[list[Reply], Any]:
    """Replies from a server that follows the plan, and the server."""
    with serving(plan) as server:
        model = open_model(server.url + "#tiny", **settings)
        return generate(model, requests, ledger=ledger, budget=None), server


def first_then_right(act: Act) -> Plan:
    """Misbehaves once for each question."""
    seen: set[str] = set()

    def plan(_: int, body: dict[str, Any]) -> Act:
        new = words_of(body) not in seen
        seen.add(words_of(body))
        return act if new else Act()

    return plan


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_messages_prompts_and_ids_go_where_they_belong() -> None:
    requests = [
        ask("مرحبا", "كن موجزا"),
        Request(prompt="كان", decoding=SHORT),
        Request(prompt_ids=(2, 5), decoding=SHORT),
    ]
    replies, server = run(lambda *_: Act(), requests, concurrency=1)
    assert server.paths == ["/v1/chat/completions", "/v1/completions", "/v1/completions"]
    assert server.asked[0] == {
        "model": "tiny", "max_tokens": 8, "temperature": 0.0,
        "messages": [{"role": "system", "content": "كن موجزا"}, {"role": "user", "content": "مرحبا"}],
    }  # fmt: skip
    assert [body.get("prompt") for body in server.asked] == [None, "كان", [2, 5]]
    assert [reply.text for reply in replies] == ["[كن موجزا] مرحبا", "[] كان", "[] [2, 5]"]
    assert (replies[0].finish, replies[0].prompt_tokens, replies[0].new_tokens) == ("stop", 1, 3)


def test_decoding_is_sent_where_it_says_something() -> None:
    full = Decoding(
        max_new_tokens=8, temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.2, stop=("؟",), stop_ids=(106,)
    )
    _, server = run(lambda *_: Act(), [ask("a", decoding=full)], extra={"min_p": 0.0})
    body = server.asked[0]
    sent = {name: body[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty", "stop", "min_p")}
    assert sent == {
        "temperature": 0.7, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.2, "stop": ["؟"], "min_p": 0.0
    }  # fmt: skip
    assert body["stop_token_ids"] == [106]
    assert 0 <= body["seed"] < 2**31


def test_connections_are_kept_and_bounded() -> None:
    replies, server = run(lambda *_: Act(delay_s=0.01), many(40), concurrency=4)
    assert {reply.finish for reply in replies} == {"stop"}
    assert server.connections == 4
    assert server.most_in_flight == 4


def test_the_only_model_of_a_server_needs_no_name() -> None:
    with serving(models=("one",)) as server:
        assert open_model(server.url).identity == f"openai:{server.url}#one"
    with (
        serving(models=("one", "two")) as server,
        pytest.raises(MashqError, match=r"has 2 models \(one, two\)\. Name one"),
    ):
        open_model(server.url)


def test_extra_fields_are_a_part_of_the_model() -> None:
    plain, extra = open_model("http://h/v1#m"), open_model("http://h/v1#m", extra={"min_p": 0.1})
    assert plain.identity != extra.identity


def test_an_answer_in_chunks_is_read() -> None:
    replies, _ = run(lambda *_: Act(chunked=True), many(3))
    assert [reply.text for reply in replies] == [f"[] سؤال {number}" for number in range(3)]


def test_a_reply_at_the_limit_says_length() -> None:
    replies, _ = run(lambda *_: Act(finish="length"), many(1))
    assert replies[0].finish == "length"


def test_a_filtered_reply_is_an_error() -> None:
    replies, server = run(lambda *_: Act(finish="content_filter"), many(1))
    assert replies[0].error == f"refused: {server.url}: the reply ended with 'content_filter'"


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        Act(status=429, body=b"slow down"),
        Act(status=500, body=b"oops"),
        Act(status=503, body=b"", chunked=True),
        Act(body=b'{"choices": [{"mess'),
        Act(body=b'{"choices": []}'),
        Act(body=b"<html>busy</html>"),
        Act(body=b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
        Act(cut_after=0),
        Act(cut_after=60),
        Act(cut_after=120, chunked=True),
        Act(cut_after=9),
    ],
    ids=["429", "500", "503", "torn-json", "no-choice", "html", "surrogate", "closed", "cut", "cut-chunks", "cut-head"],
)
def test_what_may_pass_is_tried_again(act: Act) -> None:
    requests = many(12)
    replies, server = run(first_then_right(act), requests, concurrency=4)
    assert [reply.text for reply in replies] == [
        answer_to({"messages": [{"role": "user", "content": words}]}) for words in (r.messages[0][1] for r in requests)
    ]
    assert len(server.asked) == 24


def test_a_stalled_socket_is_left_and_tried_again() -> None:
    replies, server = run(first_then_right(Act(delay_s=30)), many(3), timeout_s=0.3)
    assert {reply.finish for reply in replies} == {"stop"}
    assert len(server.asked) == 6


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_holds_everyone_back(as_date: bool) -> None:
    times: list[float] = []

    def plan(number: int, _: dict[str, Any]) -> Act:
        times.append(time.time())
        # a date has whole seconds: 2 from now is at least 1
        wait = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        return Act(status=429, headers={"retry-after": wait}) if number == 0 else Act(delay_s=0.05)

    replies, _ = run(plan, many(6), concurrency=2)
    assert {reply.finish for reply in replies} == {"stop"}
    early = [moment for moment in times[1:] if moment - times[0] < 0.9]
    assert len(early) <= 1  # the one in flight beside it


def test_a_server_that_asks_for_an_hour_is_told_not_waited_for() -> None:
    plan = first_then_right(Act(status=429, headers={"retry-after": "3600"}))
    started = time.monotonic()
    replies, _ = run(plan, many(1))
    assert "HTTP 429" in str(replies[0].error)
    assert time.monotonic() - started < 5


def test_what_never_passes_is_one_error_with_its_reason(ledger: Path) -> None:
    def plan(_: int, body: dict[str, Any]) -> Act:
        return Act(status=500, body=b"out of memory") if "3" in words_of(body) else Act()

    replies, server = run(plan, many(6), ledger, retries=2)
    assert replies[3].error == f"server: {server.url}: given up after 3 tries: HTTP 500: out of memory"
    assert [reply.finish for reply in replies].count("stop") == 5
    assert len(Ledger(ledger)) == 5


def test_a_refusal_is_told_at_once_and_the_others_go_on() -> None:
    def plan(_: int, body: dict[str, Any]) -> Act:
        return Act(status=400, body=b'{"error": "wrong role"}') if "1" in words_of(body) else Act()

    replies, server = run(plan, many(3))
    assert replies[1].error == f'request: {server.url}: HTTP 400: {{"error": "wrong role"}}'
    assert len(server.asked) == 3


def test_a_server_that_wants_another_name_for_the_limit_gets_it() -> None:
    def plan(_: int, body: dict[str, Any]) -> Act:
        return (
            Act() if "max_completion_tokens" in body else Act(status=400, body=b"Use 'max_completion_tokens' instead.")
        )

    replies, _ = run(plan, many(3))
    assert {reply.finish for reply in replies} == {"stop"}


# --- what stops everything -------------------------------------------------------------------------------------------


def test_nothing_reachable_is_one_error_that_says_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        MashqError, match=r"no server answers \(no connection: ConnectionRefusedError.*Start it, or check the address"
    ):
        generate(open_model(f"http://127.0.0.1:{port}/v1#m"), many(50), ledger=None, budget=None)


def test_a_refused_key_stops_at_once() -> None:
    with pytest.raises(MashqError, match=r"the key was refused .*neither MASHQ_API_KEY nor OPENAI_API_KEY is set"):
        run(lambda *_: Act(status=401, body=b"no key"), many(50))


def test_a_server_that_only_fails_is_left_after_some(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: Act(status=500)) as server:
        model = open_model(server.url + "#tiny", retries=1, concurrency=4)
        with pytest.raises(MashqError, match="9 requests in a row failed after 2 tries each"):
            generate(model, many(100), ledger=None, budget=None)
        assert len(server.asked) < 40


def test_a_server_that_dies_and_comes_back_loses_nothing(ledger: Path) -> None:
    def plan(number: int, _: dict[str, Any]) -> Act:
        return Act(cut_after=0) if 20 <= number < 60 else Act()

    replies, _ = run(plan, many(100), ledger, retries=12, concurrency=8)
    assert [reply.text for reply in replies] == [f"[] سؤال {number}" for number in range(100)]


def test_all_kinds_of_trouble_together_lose_nothing_and_make_nothing_up(ledger: Path) -> None:
    def plan(number: int, _: dict[str, Any]) -> Act:
        kinds = {3: Act(status=429), 7: Act(status=429), 11: Act(status=500), 13: Act(body=b"{"), 17: Act(cut_after=70)}
        return kinds.get(number % 20, Act())

    replies, server = run(plan, many(300), ledger, concurrency=16, retries=8)
    assert [reply.text for reply in replies] == [f"[] سؤال {number}" for number in range(300)]
    bad = sum(number % 20 in (3, 7, 11, 13, 17) for number in range(len(server.asked)))
    assert len(server.asked) == 300 + bad
    with Ledger(ledger) as book:
        assert (len(book), book.damaged) == (300, 0)


def test_a_budget_holds_with_many_in_flight(ledger: Path) -> None:
    with serving(lambda *_: Act(delay_s=0.002)) as server:
        model = open_model(server.url + "#tiny", concurrency=16)
        budget = Budget(tokens=400)
        with pytest.raises(MashqError, match="of 400 tokens"):
            generate(model, many(200), ledger=ledger, budget=budget)
        assert 300 < budget.spent_in + budget.spent_out <= 400  # 5 tokens each
        sent = len(server.asked)
        assert sent == len(Ledger(ledger))
        generate(model, many(200), ledger=ledger, budget=Budget(tokens=10_000))
        assert len(server.asked) == 200


# --- the key ---------------------------------------------------------------------------------------------------------

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize("name", ["MASHQ_API_KEY", "OPENAI_API_KEY"])
def test_the_key_goes_into_one_header_and_nowhere_else(
    name: str, ledger: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, KEY)

    def gossip(_: int, body: dict[str, Any]) -> Act:  # a server that repeats the key wherever it can
        if "1" in words_of(body):
            return Act(status=400, body=f"bad key {KEY}".encode())
        if "2" in words_of(body):
            return Act(status=500, body=f"broken {KEY}".encode())
        said = {"choices": [{"message": {"content": f"your key is {KEY}"}, "finish_reason": "stop"}]}
        return Act(body=json.dumps(said).encode())

    with caplog.at_level(logging.DEBUG), serving(gossip) as server:
        model = open_model(server.url + "#tiny", retries=1)
        replies = generate(model, many(3), ledger=ledger, budget=None)
        assert all(f"Bearer {KEY}" in head for head in server.headers)
    shown = [ledger.read_text(), caplog.text, repr(model), str(model), model.identity, str(replies)]
    assert not any(KEY in text for text in shown)
    assert replies[0].text == "your key is ***"


def test_a_refused_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHQ_API_KEY", KEY)
    with pytest.raises(MashqError, match="the key was refused") as caught:
        run(lambda *_: Act(status=401, body=f"Incorrect API key provided: {KEY}".encode()), many(1))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://user:hush@host/v1#m", "https://host/v1?api-key=hush#m"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(MashqError, match="an address holds no password") as caught:
        open_model(url)
    assert "hush" not in str(caught.value)


def test_a_key_with_a_line_break_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHQ_API_KEY", "sk-a\r\nx-evil: 1")
    with pytest.raises(MashqError, match="characters that no key has") as caught:
        run(lambda *_: Act(), many(1))
    assert "evil" not in str(caught.value)


def test_a_redirect_is_not_followed() -> None:
    replies, server = run(lambda *_: Act(status=307, body=b"", headers={"location": "http://127.0.0.1:1/"}), many(1))
    assert replies[0].error == f"request: {server.url}: HTTP 307"


# --- kill -9 ---------------------------------------------------------------------------------------------------------

CLIENT = """
import sys
import threading
from pathlib import Path
from mashq.lm import Decoding, Request, generate, open_model
requests = [Request(messages=(("user", f"سؤال {i}"),), decoding=Decoding(max_new_tokens=8)) for i in range(300)]
generate(open_model(sys.argv[1], concurrency=8), requests, ledger=Path(sys.argv[2]), budget=None)
"""


@pytest.mark.parametrize("after", [5, 120, 250])
def test_kill_9_loses_at_most_what_was_in_flight(ledger: Path, after: int) -> None:
    with serving(lambda *_: Act(delay_s=0.01)) as server:
        client = subprocess.Popen([sys.executable, "-c", CLIENT, server.url + "#tiny", str(ledger)])
        while len(server.asked) < after:
            assert client.poll() is None
            time.sleep(0.002)
        client.send_signal(signal.SIGKILL)
        client.wait()
        model = open_model(server.url + "#tiny", concurrency=8)
        replies = generate(model, many(300), ledger=ledger, budget=None)
        times = Counter(words_of(body) for body in server.asked)
    assert [reply.text for reply in replies] == [f"[] سؤال {number}" for number in range(300)]
    assert len(times) == 300
    assert sum(times.values()) - 300 <= 8
    assert max(times.values()) <= 2


def test_ctrl_c_keeps_what_came(ledger: Path) -> None:
    with serving(lambda *_: Act(delay_s=0.01)) as server:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, server.url + "#tiny", str(ledger)],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` ignores Ctrl-C
        )
        while len(server.asked) < 50:
            time.sleep(0.002)
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=20)
        assert "KeyboardInterrupt" in told
        with Ledger(ledger) as book:
            assert len(server.asked) - 8 <= len(book) < 300
            assert book.damaged == 0


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_a_server_that_closes_after_each_answer_is_read_at_once(protocol):
    class Closing(http.server.BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = {"message": {"role": "assistant", "content": answer_to(asked)}, "finish_reason": "stop"}
            body = json.dumps({"choices": [said]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        model = open_model(f"http://127.0.0.1:{server.server_port}/v1#tiny", timeout_s=20)
        started = time.monotonic()
        replies = generate(model, many(5), ledger=None, budget=None)
        assert time.monotonic() - started < 10
        assert [reply.finish for reply in replies] == ["stop"] * 5
    finally:
        server.shutdown()
        server.server_close()
