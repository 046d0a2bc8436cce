from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tiny_models

from mashq import chat
from mashq.generate import Student, answers_by_frequency, likelihood, load_student, most_frequent, replies
from mashq.lm import Decoding, open_model
from mashq.rows import MashqError, child_ids, conform, replace, source_ids
from mashq.train import TrainSettings, train

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")
GREEDY = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.folder(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = TrainSettings(
        model=str(folder), rank=8, rows_per_batch=4, lr_peak=2e-2, steps=150, precision="fp32", save_every=1000
    )
    return train(settings, tiny_models.rows(5), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def student(folder: Path) -> Student:
    return load_student(str(folder), name="base", dtype="float32")


@pytest.fixture(scope="module")
def tuned(folder: Path, trained: Path) -> Student:
    return load_student(str(folder), trained, name="tuned", dtype="float32")


def meta_of(table: Any) -> list[dict[str, Any]]:
    return [json.loads(text) for text in table.column("meta").to_pylist()]


def nats_by_hand(student: Student, row: dict[str, Any]) -> tuple[float, int]:
    """One row alone, all logits, the last turn's tokens summed."""
    prompt = chat.prompt_ids(row["messages"], student.tokenizer, student.frame)
    turns = [*row["messages"], {"role": "assistant", "content": row["references"][0]}]
    ids = chat.encode(turns, student.tokenizer, student.frame).ids
    with torch.no_grad():
        logs = student.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return -sum(logs[at - 1, ids[at]].item() for at in range(len(prompt), len(ids))), len(ids) - len(prompt)


def test_likelihood_equals_a_computation_by_hand(student: Student) -> None:
    table = tiny_models.rows(40)  # more than one batch
    found = likelihood(student, table)
    for row, known in zip(table.to_pylist(), found, strict=True):
        assert known is not None
        nats, tokens = nats_by_hand(student, row)
        assert known.nats == pytest.approx(nats, abs=1e-3)
        assert (known.tokens, known.bytes) == (tokens, len(row["references"][0].encode()))


def test_likelihood_counts_the_reply_and_not_the_turns_before(student: Student) -> None:
    turns = [{"role": "user", "content": "أ"}, {"role": "assistant", "content": "ب"}, {"role": "user", "content": "ج"}]
    table = replace(tiny_models.rows(1), messages=[turns], references=[["نعم"]])
    (known,) = likelihood(student, table)
    assert known is not None
    nats, tokens = nats_by_hand(student, table.to_pylist()[0])
    assert (known.nats, known.tokens) == (pytest.approx(nats, abs=1e-4), tokens)


def test_a_row_without_reference_has_no_likelihood(student: Student) -> None:
    table = replace(tiny_models.rows(3), references=[None, [], ["نعم"]])
    assert [known is not None for known in likelihood(student, table)] == [False, False, True]


def test_reply_rows_say_where_they_come_from(student: Student) -> None:
    table = tiny_models.rows(3, task="qa", variety="msa")
    made = replies(student, table, GREEDY, system="before")
    assert made.column("parents").to_pylist() == [[i] for i in table.column("id").to_pylist()]
    ids = child_ids(table.column("id"), step="generate", template="before")
    assert made.column("id").to_pylist() == ids.to_pylist()
    for asked, row, meta in zip(table.to_pylist(), made.to_pylist(), meta_of(made), strict=True):
        assert row["messages"][:-1] == asked["messages"]
        assert row["messages"][-1]["role"] == "assistant"
        assert (row["references"], row["task"], row["variety"]) == (asked["references"], "qa", "msa")
        assert list(meta) == [
            "system", "finish", "new_tokens", "prompt_tokens", "nats", "target_tokens", "target_bytes",
        ]  # fmt: skip
        assert meta["prompt_tokens"] == len(chat.prompt_ids(asked["messages"], student.tokenizer, student.frame))
        assert (meta["finish"] == "length") <= (meta["new_tokens"] == 12)


def test_greedy_replies_equal_a_loop_without_cache_or_batch(student: Student) -> None:
    table = tiny_models.rows(5)
    made = replies(student, table, GREEDY, with_likelihood=False)
    ends = chat.stop_ids(student.tokenizer, student.frame)
    for asked, row in zip(table.to_pylist(), made.to_pylist(), strict=True):
        ids = chat.prompt_ids(asked["messages"], student.tokenizer, student.frame)
        said: list[int] = []
        while len(said) < 12 and (not said or said[-1] not in ends):
            with torch.no_grad():
                said.append(int(student.model(input_ids=torch.tensor([ids + said])).logits[0, -1].argmax()))
        assert row["messages"][-1]["content"] == chat.text_of(said, student.tokenizer, student.frame)


def test_what_was_learnt_is_said_and_ended(tuned: Student, student: Student) -> None:
    """Five rows learnt by heart: the replies are the references and stop by themselves."""
    table = tiny_models.rows(5)
    after, before = (replies(s, table, Decoding(max_new_tokens=60)) for s in (tuned, student))
    said = [row["messages"][-1]["content"] for row in after.to_pylist()]
    assert said == [row["references"][0] for row in table.to_pylist()]
    assert {meta["finish"] for meta in meta_of(after)} == {"stop"}
    nats = [sum(meta["nats"] for meta in meta_of(made)) for made in (before, after)]
    assert nats[1] < 0.5 * nats[0]


def test_an_adapter_has_an_identity_of_its_own(student: Student, tuned: Student, trained: Path, folder: Path) -> None:
    assert student.identity != tuned.identity
    assert tuned.identity == load_student(str(folder), trained / "adapter", frame="gemma", dtype="float32").identity
    assert tuned.identity != load_student(str(folder), trained, dtype="bfloat16").identity


def test_a_resumed_run_asks_nothing_twice_and_says_the_same(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tiny_models.rows(40)
    drawn = Decoding(max_new_tokens=8, temperature=0.9, top_p=0.9)
    unbroken = replies(student, table, drawn)
    book = tmp_path / "ledger"
    half = replies(student, table.slice(0, 20), drawn, ledger=book)
    likelihood(student, table, ledger=book)
    for known in tmp_path.glob("ledger-likelihood-*.jsonl"):
        known.write_text(known.read_text()[:-40])  # a crash in the middle of the last line
    resumed = replies(student, table, drawn, ledger=book)
    assert resumed.equals(unbroken)
    assert half.column("messages").equals(unbroken.slice(0, 20).column("messages"))
    calls: list[Any] = []
    forward = type(student.model).forward

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(*given, **named)

    monkeypatch.setattr(type(student.model), "forward", counted)
    assert replies(student, table, drawn, ledger=book).equals(unbroken)
    assert calls == []


def test_a_prompt_that_does_not_fit_is_a_dropped_row(student: Student) -> None:
    long = [{"role": "user", "content": "كتب " * 600}]
    table = replace(tiny_models.rows(2), messages=[long, [{"role": "user", "content": "قل"}]])
    made = replies(student, table, GREEDY)
    first, second = made.column("dropped").to_pylist()
    assert first.startswith("reply: too long: prompt ")
    assert second is None
    assert made.to_pylist()[0]["messages"] == long
    assert [meta["nats"] is None for meta in meta_of(made)] == [True, False]


def test_dropped_rows_are_not_asked_and_wrong_rows_are_told(student: Student) -> None:
    table = tiny_models.rows(2, dropped=["short: 1 words < 3", None])
    assert replies(student, table, GREEDY).num_rows == 1
    wrong = replace(tiny_models.rows(1), messages=[[{"role": "assistant", "content": "x"}]])
    with pytest.raises(MashqError, match="row 0: expected messages ending with a user turn"):
        replies(student, wrong, GREEDY)


def test_a_fully_trained_folder_is_loaded_in_its_frame(folder: Path, tmp_path: Path) -> None:
    settings = TrainSettings(model=str(folder), frame="chatml", method="full", steps=2, precision="fp32")
    out = train(settings, tiny_models.rows(8), tmp_path / "full")
    loaded = load_student(str(out), dtype="float32")
    assert loaded.frame.name == "chatml"
    assert replies(loaded, tiny_models.rows(2), GREEDY).num_rows == 2


def test_any_model_of_the_door_answers() -> None:
    made = replies(open_model("echo"), tiny_models.rows(2), GREEDY)
    assert [row["messages"][-1]["role"] for row in made.to_pylist()] == ["assistant", "assistant"]
    assert all(meta["nats"] is None and meta["system"].startswith("echo") for meta in meta_of(made))


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "وعليكم السلام"}}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        data = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def test_an_endpoint_is_sent_the_messages_and_has_no_likelihood() -> None:
    pytest.importorskip("mashq.lm.openai")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        model = open_model(f"http://127.0.0.1:{server.server_port}/v1#tiny")
        made = replies(model, tiny_models.rows(2), GREEDY, system="endpoint")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [row["messages"][-1]["content"] for row in made.to_pylist()] == ["وعليكم السلام"] * 2
    (meta, _) = meta_of(made)
    assert meta == {
        "system": "endpoint", "finish": "stop", "new_tokens": 3, "prompt_tokens": 7,
        "nats": None, "target_tokens": None, "target_bytes": None,
    }  # fmt: skip
    sent = sorted(body["messages"][0]["content"] for body in Server.asked)
    assert sent == [row["messages"][0]["content"] for row in tiny_models.rows(2).to_pylist()]


def test_the_most_frequent_answer_is_that_of_the_template_else_of_the_task():
    learnt = conform(
        {
            "id": source_ids("learnt", "1", n=6),
            "template": ["a/1", "a/1", "a/1", "a/2", "a/2", "a/2"],
            "task": ["mood"] * 6,
            "references": [["سلبي"], ["إيجابي", "جيد"], ["إيجابي"], ["لا"], ["لا"], ["لا"]],
        }
    )
    asked = conform(
        {
            "id": source_ids("asked", "1", n=4),
            "template": ["a/1", "a/2", "a/3", "b/1"],
            "task": ["mood", "mood", "mood", "other"],
            "messages": [[{"role": "user", "content": "ما رأيك؟"}]] * 4,
            "references": [["سلبي"]] * 4,
        }
    )
    made = most_frequent(asked, answers_by_frequency([learnt]), system="frequent")
    assert [row[-1]["content"] for row in made["messages"].to_pylist()] == ["إيجابي", "لا", "لا", ""]
    assert made["parents"].to_pylist() == [[one] for one in asked["id"].to_pylist()]
    assert made["references"].equals(asked["references"])
