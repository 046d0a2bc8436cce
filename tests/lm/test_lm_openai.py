"""A real server on loopback that misbehaves: what is retried, what is told, what is never lost, where the key goes."""

from __future__ import annotations

import email.utils
import http.server
import json
import logging
import resource
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
from loopback import Act, answer_to, completion, serving, words_of

from mashq.lm import Budget, Decoding, Ledger, Reply, Request, generate, open_model, openai
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
def test_many_refusals_hold_everyone_back(as_date: bool) -> None:
    times: list[float] = []

    def plan(number: int, _: dict[str, Any]) -> Act:
        times.append(time.time())
        # a date has whole seconds: 2 from now is at least 1
        wait = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        return Act(status=429, headers={"retry-after": wait}) if number < 8 else Act(delay_s=0.2)

    replies, _ = run(plan, many(24), concurrency=16)
    assert {reply.finish for reply in replies} == {"stop"}
    assert len(times) == 32
    first = [moment for moment in times if moment - times[0] < 0.9]
    assert len(first) <= 16 + 3  # those that were in flight, and who went in before the third refusal


def test_a_single_refusal_holds_up_nobody_else() -> None:
    times: list[float] = []

    def plan(number: int, _: dict[str, Any]) -> Act:
        times.append(time.time())
        return Act(status=429, headers={"retry-after": "1"}) if number == 0 else Act(delay_s=0.01)

    replies, _ = run(plan, many(30), concurrency=4)
    assert {reply.finish for reply in replies} == {"stop"}
    assert sum(moment - times[0] < 0.9 for moment in times) == 30
    assert times[-1] - times[0] >= 1  # the refused one waited as it was told


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


# --- how many are in flight -------------------------------------------------------------------------------------------


def test_a_thousand_are_in_flight_where_the_server_keeps_up() -> None:
    with serving(lambda *_: Act(delay_s=1.0)) as server:
        model = open_model(server.url + "#tiny", concurrency=1000)
        model.pace.window = 1000  # as found by an earlier call
        replies = generate(model, many(2000), ledger=None, budget=None)
        assert {reply.finish for reply in replies} == {"stop"}
        assert server.most_in_flight == 1000


def test_the_window_grows_from_small_and_connections_with_it() -> None:
    with serving(lambda *_: Act(delay_s=0.05)) as server:
        model = open_model(server.url + "#tiny", concurrency=128)
        generate(model, many(16), ledger=None, budget=None)
        assert server.most_in_flight <= 16
        assert server.connections <= 16
        generate(model, many(1500), ledger=None, budget=None)
        assert server.most_in_flight > 64


def test_refusals_shrink_the_window_to_what_the_server_takes() -> None:
    """A server that takes 6 at a time and answers 429 to the others."""
    with serving() as server:
        server.plan = lambda *_: Act(status=429) if server.in_flight > 6 else Act(delay_s=0.02)
        model = open_model(server.url + "#tiny", concurrency=64, retries=50)
        replies = generate(model, many(400), ledger=None, budget=None)
        assert {reply.finish for reply in replies} == {"stop"}
        assert model.pace.window <= 12
        assert len(server.asked) < 2 * 400


def test_connections_are_as_many_as_are_used() -> None:
    _, server = run(lambda *_: Act(), many(3), concurrency=500)
    assert server.connections <= 3


def test_more_open_files_are_asked_for_and_what_there_is_is_kept_to(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, before[1]))
        assert openai._files_for(300) == 300
        assert openai._files_for(800) == 800
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 800 + openai.SPARE_FILES
        if before[1] != resource.RLIM_INFINITY:
            assert openai._files_for(2 * before[1]) == before[1] - openai.SPARE_FILES
            assert "need as many open files" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_rate_of_requests_is_kept() -> None:
    started = time.monotonic()
    replies, _ = run(lambda *_: Act(), many(11), requests_per_minute=1200)  # one in 50 ms
    assert {reply.finish for reply in replies} == {"stop"}
    assert 0.5 <= time.monotonic() - started < 2


def test_a_rate_of_tokens_is_kept_and_corrected_by_what_came() -> None:
    """Each is thought to cost 8 + 4 + 8 tokens and costs 5: the first wait for the guess, later ones for what was."""
    started = time.monotonic()
    replies, _ = run(lambda *_: Act(), many(60), tokens_per_minute=60_000 / 4)  # 250 tokens a second
    seconds = time.monotonic() - started
    assert {reply.finish for reply in replies} == {"stop"}
    assert 59 * 5 / 250 <= seconds < 60 * 20 / 250


# --- what is done about each kind of failure --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "kind", "tries"),
    [
        (Act(status=429), "limit", 13),
        (Act(status=529), "limit", 13),
        (Act(status=500), "server", 7),
        (Act(cut_after=60), "connection", 7),
        (Act(body=b"{}"), "malformed", 3),
        (Act(delay_s=5), "timeout", 3),
        (Act(finish="content_filter"), "refused", 1),
        (Act(status=400, body=b'{"error": {"code": "content_filter"}}'), "refused", 1),
        (Act(body=b'{"choices": [{"message": {"content": null, "refusal": "No."}}]}'), "refused", 1),
        (Act(status=400, body=b'{"error": {"code": "context_length_exceeded"}}'), "too long", 1),
        (Act(status=400, body=b"This model's maximum context length is 4096 tokens"), "too long", 1),
        (Act(status=400, body=b'{"error": {"type": "exceed_context_size_error"}}'), "too long", 1),
        (Act(status=422, body=b"what?"), "request", 1),
    ],
)  # fmt: skip
def test_each_kind_has_its_name_and_number_of_tries(act: Act, kind: str, tries: int) -> None:
    (reply,), server = run(lambda *_: act, many(1), timeout_s=0.1)
    assert str(reply.error).startswith(f"{kind}: {server.url}: ")
    assert len(server.asked) == tries


def test_a_kind_can_have_its_own_number_of_tries_or_stop_the_run(ledger: Path) -> None:
    def plan(_: int, body: dict[str, Any]) -> Act:
        return Act(finish="content_filter" if "3" in words_of(body) else "stop")

    replies, server = run(plan, many(5), on_error={"refused": 2})
    assert (str(replies[3].error).split(":")[0], len(server.asked)) == ("refused", 4 + 3)
    told = r"refused: the reply ended with 'content_filter'\. on_error\['refused'\] says to stop"
    with pytest.raises(MashqError, match=told):
        run(plan, many(5), ledger, on_error={"refused": "stop"}, concurrency=1)
    assert len(Ledger(ledger)) == 3


@pytest.mark.parametrize(
    ("on_error", "message"),
    [
        ({"refusal": 1}, r"on_error has no kind 'refusal' .*Did you mean 'refused'"),
        ({"limit": "often"}, r"on_error\['limit'\].*a number of tries or 'stop'"),
        ({"limit": -1}, "a number of tries or 'stop'"),
    ],
)
def test_a_policy_that_says_nothing_is_refused(on_error: dict[str, Any], message: str) -> None:
    with pytest.raises(MashqError, match=message):
        open_model("http://h/v1#m", on_error=on_error)


def test_settings_out_of_range_are_told_together() -> None:
    with pytest.raises(MashqError, match=r"concurrency is 1 or more, got 0; .*poll_s is above 0"):
        open_model("http://h/v1#m", concurrency=0, poll_s=0)


def test_an_empty_account_is_no_limit_to_wait_for() -> None:
    body = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
    with pytest.raises(MashqError, match="the account is empty"):
        run(lambda *_: Act(status=429, body=body), many(5))


def test_a_key_that_is_withdrawn_in_the_middle_ends_the_run(ledger: Path) -> None:
    with pytest.raises(MashqError, match="requests in a row failed after 1 tries each, the last with: HTTP 401"):
        run(lambda number, _: Act(status=401 if number > 20 else 200), many(500), ledger, concurrency=4)
    assert len(Ledger(ledger)) == 21


SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from loopback import Act, Loopback
server = Loopback(lambda *_: Act(delay_s=0.02), port=int(sys.argv[2])).start()
print(server.url, flush=True)
time.sleep(600)
"""


def started(port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-c", SERVER, str(Path(__file__).parents[1]), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def ended(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.communicate()


def test_a_server_that_is_killed_and_started_again_is_waited_for(
    ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, url = started()

    def away() -> None:
        nonlocal server
        time.sleep(0.3)
        ended(server)
        time.sleep(1.7)
        server, _ = started(int(url.split(":")[2].split("/")[0]))

    other = threading.Thread(target=away)
    other.start()
    try:
        with caplog.at_level(logging.INFO):
            replies = generate(open_model(url + "#tiny", concurrency=8), many(400), ledger=ledger, budget=None)
    finally:
        other.join()
        ended(server)
    assert {reply.finish for reply in replies} == {"stop"}
    assert len(Ledger(ledger)) == 400
    told = [record.message for record in caplog.records if "server" in record.message]
    assert len(told) == 2
    assert "waiting up to 300 s for it (patience_s)" in told[0]
    assert "answers again after" in told[1]


def test_a_server_that_stays_away_ends_the_run_after_the_patience(ledger: Path) -> None:
    server, url = started()

    def kill_at_work() -> None:
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < 8:
            time.sleep(0.01)
        server.kill()

    threading.Thread(target=kill_at_work, daemon=True).start()
    model = open_model(url + "#tiny", concurrency=8, patience_s=1)
    with pytest.raises(
        MashqError, match=r"did not come back within 1 s \(patience_s\): no connection: .*ledger: start"
    ):
        generate(model, many(4000), ledger=ledger, budget=None)
    ended(server)
    assert 8 <= len(Ledger(ledger)) < 4000


def test_a_server_that_loads_its_model_is_waited_for() -> None:
    loading = Act(status=503, body=b'{"error": {"code": 503, "message": "Loading model"}}')
    replies, _ = run(lambda number, _: loading if number < 30 else Act(), many(2), retries=0)
    assert {reply.finish for reply in replies} == {"stop"}


# --- schemas ----------------------------------------------------------------------------------------------------------

SCHEMA = '{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"}}}'


def test_a_schema_is_sent_in_the_servers_words() -> None:
    requests = [
        Request(messages=(("user", "a"),), decoding=SHORT, schema=SCHEMA),
        Request(prompt="b", decoding=SHORT, schema=SCHEMA),
    ]
    _, server = run(lambda *_: Act(), requests, concurrency=1)
    form = {"type": "json_schema", "json_schema": {"name": "reply", "strict": False, "schema": json.loads(SCHEMA)}}
    assert [body["response_format"] for body in server.asked] == [form, form]
    assert [body.get("json_schema") for body in server.asked] == [None, json.loads(SCHEMA)]  # llama.cpp's other name
    assert list(server.asked[0]["response_format"]["json_schema"]["schema"]["properties"]) == ["b", "a"]


def test_a_server_without_schemas_is_told_once_and_asked_without(caplog: pytest.LogCaptureFixture) -> None:
    requests = [Request(messages=(("user", f"{i}"),), decoding=SHORT, schema=SCHEMA) for i in range(40)]
    replies, server = run(
        lambda _, body: Act(status=400, body=b"what?") if "response_format" in body else Act(), requests, concurrency=2
    )
    assert {reply.finish for reply in replies} == {"stop"}
    assert caplog.text.count("does not hold replies to this JSON schema") == 1
    assert sum("response_format" in body for body in server.asked) <= 2


def test_a_request_that_is_wrong_in_itself_does_not_cost_the_others_their_schema() -> None:
    requests = [Request(messages=(("user", f"{i}"),), decoding=SHORT, schema=SCHEMA) for i in range(10)]
    replies, server = run(
        lambda _, body: Act(status=400, body=b"what?") if words_of(body) == "3" else Act(), requests, concurrency=1
    )
    assert [reply.finish for reply in replies].count("error") == 1
    assert sum("response_format" in body for body in server.asked) == 10


# --- requests that begin alike ----------------------------------------------------------------------------------------


def test_requests_with_one_system_text_go_one_after_another() -> None:
    requests = [ask(f"{i}", system="ا" if i % 2 else "ب") for i in range(8)]
    replies, server = run(lambda *_: Act(), requests, concurrency=1)
    assert [words_of(body) for body in server.asked] == ["0", "2", "4", "6", "1", "3", "5", "7"]
    assert [reply.text for reply in replies] == [f"[{'ا' if i % 2 else 'ب'}] {i}" for i in range(8)]


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
        return Act(body=completion(f"your key is {KEY}"))

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


def test_a_redirect_is_not_followed_and_ends_the_run() -> None:
    act = Act(status=307, body=b"", headers={"location": "http://127.0.0.1:1/"})
    with pytest.raises(MashqError, match=r"it sends elsewhere, which is not followed .*HTTP 307"):
        run(lambda *_: act, many(30))


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
            body = completion(answer_to(asked))
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


# --- what a review found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://host:99999/v1#m", "http://host:abc/v1#m", "http://[::1/v1#m"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(MashqError, match="no address"):
        open_model(url)


def test_a_placeholder_for_a_key_is_no_secret_in_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHQ_API_KEY", "none")
    replies, _ = run(lambda *_: Act(body=completion("There are none left")), many(1))
    assert replies[0].text == "There are none left"


@pytest.mark.parametrize("place", [250, 285, 299])
def test_a_key_that_an_error_would_cut_is_gone_before(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setenv("MASHQ_API_KEY", KEY)
    replies, _ = run(lambda *_: Act(status=400, body=b"x" * place + KEY.encode()), many(1))
    assert KEY[:8] not in str(replies[0].error)
    replies, _ = run(lambda *_: Act(body=b"y" * (place % 80) + KEY.encode()), many(1), retries=0)
    assert KEY[:8] not in str(replies[0].error)


def test_a_completion_without_a_text_is_none() -> None:
    body = json.dumps({"choices": [{"message": {"content": None, "tool_calls": []}, "finish_reason": "stop"}]}).encode()
    replies, _ = run(lambda *_: Act(body=body), many(1), retries=1)
    assert "malformed" in str(replies[0].error) and "a completion without a text" in str(replies[0].error)


def test_what_only_other_servers_say_is_understood() -> None:
    body = completion("نعم", "model_length", {"prompt_tokens": 12.0, "completion_tokens": -3})
    (reply,), _ = run(lambda *_: Act(body=body), many(1))
    assert (reply.text, reply.finish, reply.prompt_tokens, reply.new_tokens) == ("نعم", "length", 12, 0)


def test_a_limit_that_extra_names_is_asked_for_once() -> None:
    answer = b"use max_completion_tokens instead of max_tokens"
    with serving(lambda *_: Act(status=400, body=answer)) as server:
        model = open_model(server.url + "#tiny", extra={"max_tokens": 5})
        (reply,) = generate(model, many(1), ledger=None, budget=None)
        assert "HTTP 400" in str(reply.error)
        assert len(server.asked) == 1


def test_random_refusals_hold_up_nobody_else() -> None:
    def plan(number: int, _: dict[str, Any]) -> Act:
        return Act(status=429, headers={"retry-after": "1"}) if number % 10 == 3 else Act(delay_s=0.2)

    started = time.monotonic()
    replies, _ = run(plan, many(400), concurrency=64)
    assert {reply.finish for reply in replies} == {"stop"}
    assert time.monotonic() - started < 20  # 400 replies of 0.2 s, 64 at once, and three waits of a second
