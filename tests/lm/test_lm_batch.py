"""Batches against a real server of them: what is sent, what comes back, and that nothing is paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import batch_server
import pytest
from batch_server import batching
from loopback import Act, completion, words_of

from mashq.lm import Budget, Decoding, Ledger, Request, batch, generate, open_model
from mashq.lm.structured import parsed
from mashq.rows import MashqError

SHORT = Decoding(max_new_tokens=8)


def many(count: int, **settings: Any) -> list[Request]:
    return [Request(messages=(("user", f"سؤال {i}"),), decoding=SHORT, **settings) for i in range(count)]


def model_of(server: Any, **settings: Any) -> Any:
    return open_model(server.url + "#tiny", batch=True, poll_s=0.01, **settings)


def notes(ledger: Path) -> list[Path]:
    return list(ledger.with_name(ledger.name + ".batches").glob("*.json"))


def test_all_go_in_one_batch_and_come_back_in_order(ledger: Path) -> None:
    with batching(looks=3) as server:
        replies = generate(model_of(server), many(30), ledger=ledger, budget=None)
        assert [reply.text for reply in replies] == [f"[] سؤال {i}" for i in range(30)]
        assert (len(server.batches), server.looked["batch_0"]) == (1, 3)
        line = json.loads(server.files["file-0"].splitlines()[0])
        assert (line["method"], line["url"], line["body"]["model"]) == ("POST", "/v1/chat/completions", "tiny")
        assert line["body"]["messages"] == [{"role": "user", "content": "سؤال 0"}]
        again = generate(model_of(server), many(30), ledger=ledger, budget=None)
        assert all(reply.cached for reply in again)
        assert len(server.batches) == 1
    assert notes(ledger) == []


def test_a_batch_holds_no_more_than_the_server_takes(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 10)
    prompts = [Request(prompt=f"كان {i}", decoding=SHORT) for i in range(5)]
    with batching() as server:
        replies = generate(model_of(server), [*many(25), *prompts], ledger=ledger, budget=None)
        assert {reply.finish for reply in replies} == {"stop"}
        sizes = [data.count(b"\n") for name, data in server.files.items() if name.startswith("file")]
        assert sorted(sizes) == [5, 5, 10, 10]
    monkeypatch.setattr(batch, "MOST_REQUESTS", 50_000)
    monkeypatch.setattr(batch, "MOST_BYTES", 1000)
    with batching() as server:
        generate(model_of(server), many(25), ledger=None, budget=None)
        assert len(server.batches) > 2
        assert all(len(data) <= 1000 for name, data in server.files.items() if name.startswith("file"))


def test_lines_that_failed_or_expired_are_errors_and_asked_again_by_the_next_run(ledger: Path) -> None:
    trouble = {
        "سؤال 1": Act(status=500, body=b'{"error": "oops"}'),
        "سؤال 2": None,
        "سؤال 3": Act(finish="content_filter"),
    }
    with batching(lambda body: trouble.get(words_of(body), Act())) as server:
        replies = generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert [reply.finish for reply in replies] == ["stop", "error", "error", "error", "stop"]
        assert str(replies[1].error).startswith(f"server: {server.url}: HTTP 500: ")
        assert replies[2].error == f"batch: {server.url}: batch_expired: not done in time"
        assert replies[3].error == f"refused: {server.url}: the reply ended with 'content_filter'"
        trouble.clear()
        again = generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert {reply.finish for reply in again} == {"stop"}
        assert sum(server.paid.values()) == 5 + 3


def test_a_refused_batch_says_why_and_leaves_no_note(ledger: Path) -> None:
    with batching(refuse="token_limit_exceeded") as server:
        with pytest.raises(MashqError, match=r"refused batch batch_0 of 3 requests: token_limit_exceeded: no"):
            generate(model_of(server), many(3), ledger=ledger, budget=None)
        assert notes(ledger) == []


def test_a_server_without_batches_is_told() -> None:
    told = r"POST /files failed \(HTTP 404: .*no such address.*\)\. Does it have a batch"
    with batching(there=False) as server, pytest.raises(MashqError, match=told):
        generate(model_of(server), many(3), ledger=None, budget=None)


def test_an_answer_that_got_lost_does_not_begin_a_second_batch(ledger: Path) -> None:
    with batching(lose=1) as server:
        replies = generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert {reply.finish for reply in replies} == {"stop"}
        assert max(server.paid.values()) == 1


def test_a_budget_is_kept_batch_by_batch(ledger: Path) -> None:
    with batching() as server:
        with pytest.raises(MashqError, match="of 100 tokens"):
            generate(model_of(server), many(100), ledger=ledger, budget=Budget(tokens=100))
        assert 5 <= len(Ledger(ledger)) <= 20
        assert len(server.batches) > 1


def test_a_server_that_wants_other_names_is_asked_again_in_them(ledger: Path) -> None:
    def plan(body: dict[str, Any]) -> Act:
        if "max_tokens" in body:
            return Act(status=400, body=b'{"error": "Use max_completion_tokens instead."}')
        if "response_format" in body:
            return Act(status=400, body=b'{"error": "response_format is not supported"}')
        return Act()

    with batching(plan) as server:
        replies = generate(model_of(server), many(4, schema='{"type":"object"}'), ledger=ledger, budget=None)
        assert {reply.finish for reply in replies} == {"stop"}
        assert len(server.batches) == 3


def test_stop_on_a_kind_stops_after_all_came(ledger: Path) -> None:
    told = r"refused: the reply ended with 'content_filter'\. on_error says to stop"
    with (
        batching(lambda body: Act(finish="content_filter" if "1" in words_of(body) else "stop")) as server,
        pytest.raises(MashqError, match=told),
    ):
        generate(model_of(server, on_error={"refused": "stop"}), many(5), ledger=ledger, budget=None)
    assert len(Ledger(ledger)) == 4


def test_the_key_is_in_no_note(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASHQ_API_KEY", "sk-secret-0123456789")
    seen: list[str] = []
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda a, b: (seen.append(a.read_text()), real(a, b))[1])
    with batching() as server:
        generate(model_of(server), many(3), ledger=ledger, budget=None)
        assert all("Bearer sk-secret-0123456789" in head for head in server.headers)
    assert len(seen) == 2
    assert not any("sk-secret" in text for text in seen)


CLIENT = """
import sys
from pathlib import Path
from mashq.lm import Decoding, Request, generate, open_model
short = Decoding(max_new_tokens=8)
asks = [Request(messages=(("user", f"سؤال {i}"),), decoding=short) for i in range(int(sys.argv[3]))]
model = open_model(sys.argv[1], batch=True, poll_s=0.05)
generate(model, asks, ledger=Path(sys.argv[2]), budget=None)
"""


@pytest.mark.parametrize("moment", ["uploaded", "begun", "looked"])
def test_a_killed_run_finds_its_batch_again_and_pays_nothing_twice(ledger: Path, moment: str) -> None:
    with batching(looks=10**9) as server:
        client = subprocess.Popen([sys.executable, "-c", CLIENT, server.url + "#tiny", str(ledger), "40"])
        there = {"uploaded": server.files, "begun": server.batches, "looked": server.looked}[moment]
        while not there:
            assert client.poll() is None
            time.sleep(0.001)
        client.send_signal(signal.SIGKILL)
        client.wait()
        server.looks = 1
        replies = generate(model_of(server), many(41), ledger=ledger, budget=None)  # one row more than before
        assert [reply.text for reply in replies] == [f"[] سؤال {i}" for i in range(41)]
        assert set(server.paid.values()) == {1}
        assert notes(ledger) == []


def test_a_killed_run_that_did_not_know_its_batch_yet_finds_it_by_its_file(ledger: Path) -> None:
    with batching(looks=10**9) as server:
        client = subprocess.Popen([sys.executable, "-c", CLIENT, server.url + "#tiny", str(ledger), "40"])
        while not server.looked:
            time.sleep(0.001)
        client.kill()
        client.wait()
        (path,) = notes(ledger)
        note = json.loads(path.read_text())
        path.write_text(json.dumps(note | {"batch": ""}))  # as if killed before the answer to POST /batches
        server.looks = 1
        generate(model_of(server), many(40), ledger=ledger, budget=None)
        assert set(server.paid.values()) == {1}


def interrupted(model: Any, requests: list[Request], ledger: Path, **settings: Any) -> None:
    """A run that ends when its batches have begun."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch.Batches, "_ended", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            generate(model, requests, ledger=ledger, **{"budget": None, **settings})


def test_a_run_with_fewer_requests_keeps_what_was_paid_for_the_others(ledger: Path) -> None:
    with batching() as server:
        interrupted(model_of(server), many(10), ledger)
        few = generate(model_of(server), many(2), ledger=ledger, budget=None)
        assert [reply.text for reply in few] == ["[] سؤال 0", "[] سؤال 1"]
        assert notes(ledger) == []
        assert len(Ledger(ledger)) == 10
        replies = generate(model_of(server), many(10), ledger=ledger, budget=None)
        assert [reply.text for reply in replies] == [f"[] سؤال {i}" for i in range(10)]
        assert set(server.paid.values()) == {1}


def test_a_run_with_a_smaller_budget_pays_nothing_twice(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 6)  # a note that nobody waits for yet, too
    with batching() as server:
        interrupted(model_of(server), many(20), ledger, budget=Budget(tokens=100_000))
        assert len(notes(ledger)) == 4
        with pytest.raises(MashqError, match="of 60 tokens"):
            generate(model_of(server), many(20), ledger=ledger, budget=Budget(tokens=60))
        replies = generate(model_of(server), many(20), ledger=ledger, budget=Budget(tokens=100_000))
        assert [reply.text for reply in replies] == [f"[] سؤال {i}" for i in range(20)]
        assert set(server.paid.values()) == {1}
        assert notes(ledger) == []


def test_what_failed_for_nobody_is_asked_again_by_who_wants_it(ledger: Path) -> None:
    trouble = {"سؤال 3": Act(status=500, body=b'{"error": "oops"}'), "سؤال 4": None}
    with batching(lambda body: trouble.get(words_of(body), Act())) as server:
        interrupted(model_of(server), many(5), ledger)
        generate(model_of(server), many(1), ledger=ledger, budget=None)
        assert len(Ledger(ledger)) == 3
        trouble.clear()
        assert {reply.finish for reply in generate(model_of(server), many(5), ledger=ledger, budget=None)} == {"stop"}


def test_another_models_note_on_the_same_ledger_is_let_alone(ledger: Path) -> None:
    with batching() as one, batching() as other:
        interrupted(model_of(one), many(5), ledger)
        (path,) = notes(ledger)
        note = json.loads(path.read_text())
        assert note["model"] == f"openai:{one.url}#tiny"
        path.write_text(json.dumps(note | {"batch": ""}))  # as if killed before the answer to POST /batches
        generate(model_of(other), many(3), ledger=ledger, budget=None)
        assert notes(ledger) == [path]
        generate(model_of(one), many(5), ledger=ledger, budget=None)
        assert set(one.paid.values()) == {1}
        assert notes(ledger) == []


class Forgetful(batch_server._Handler):
    """Says 404 for a batch or a file that is not there."""

    def do_GET(self) -> None:
        kind, name = [*self.path.split("/"), ""][2:4]
        if name and name not in getattr(self.owner, kind):
            self._say({"error": "no such thing"}, 404)
        else:
            super().do_GET()


@pytest.mark.parametrize("gone", ["batches", "files"])
def test_a_batch_that_the_server_has_no_longer_is_asked_again(
    ledger: Path, gone: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batch_server, "_Handler", Forgetful)
    with batching() as server:
        interrupted(model_of(server), many(5), ledger)
        if gone == "files":
            server.look("batch_0")  # it ends; then its files are deleted
            server.files = {"file-0": b""}
        else:
            server.batches = {"batch_x": {"id": "batch_x"}}
        with caplog.at_level("WARNING"):
            replies = generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert notes(ledger) == []
    assert {reply.finish for reply in replies} == {"stop"}
    assert "has batch batch_0 of 5 requests no longer" in caplog.text


def test_a_server_that_forgets_what_it_just_began_is_not_paid_for_ever(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_server, "_Handler", Forgetful)
    real = batch_server.BatchServer.begin
    monkeypatch.setattr(
        batch_server.BatchServer, "begin", lambda self, asked: {**real(self, asked), "id": "batch_nowhere"}
    )
    with batching() as server:
        with pytest.raises(MashqError, match=r"GET /batches/batch_nowhere failed \(HTTP 404"):
            generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert set(server.paid.values()) == {1}


def test_a_server_without_batches_today_costs_no_note(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with batching() as server:
        interrupted(model_of(server), many(5), ledger)
        with monkeypatch.context() as patch:
            patch.setattr(batch_server._Handler, "do_GET", lambda self: self._say({"error": "no such address"}, 404))
            with pytest.raises(MashqError, match="Does it have a batch"):
                generate(model_of(server), many(5), ledger=ledger, budget=None)
        generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert set(server.paid.values()) == {1}


def test_a_note_outlives_a_clock_that_jumps(ledger: Path) -> None:
    with batching() as server:
        interrupted(model_of(server), many(5), ledger)
        for path in notes(ledger):
            os.utime(path, (0, 0))  # as after a jump of half a century
        generate(model_of(server), many(5), ledger=ledger, budget=None)
        assert set(server.paid.values()) == {1}


def test_a_schema_goes_into_the_lines() -> None:
    schema = '{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}'
    with batching(lambda _: Act(body=completion('{"x": 3}'))) as server:
        (reply,) = generate(model_of(server), many(1, schema=schema), ledger=None, budget=None)
        assert parsed(reply.text) == {"x": 3}
        body = json.loads(server.files["file-0"])["body"]
        assert body["response_format"]["json_schema"] == {
            "name": "reply", "strict": True, "schema": json.loads(schema)
        }  # fmt: skip
