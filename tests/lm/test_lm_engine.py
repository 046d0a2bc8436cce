"""Requests, keys, the ledger, the budget, the two models without weights."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.lm import Budget, Decoding, Ledger, Reply, Request, generate, key_of, open_model, seed_of
from mashq.lm.echo import Echo, Scripted
from mashq.lm.progress import line
from mashq.rows import MashqError

SHORT = Decoding(max_new_tokens=8)


def ask(text: str, decoding: Decoding = SHORT, system: str = "", sample: int = 0) -> Request:
    head = (("system", system),) if system else ()
    return Request(messages=(*head, ("user", text)), decoding=decoding, sample=sample)


# --- requests and keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is at least 1, got 0"),
        ({"temperature": -1.0}, "temperature is 0 or more"),
        ({"top_p": 0.0}, "top_p is above 0"),
        ({"stop": ("",)}, "stop is texts that are not empty"),
    ],
)
def test_a_decoding_out_of_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MashqError, match=message):
        Decoding(**{"max_new_tokens": 1, **changes})  # type: ignore[arg-type]


def test_every_fault_of_a_decoding_is_told_at_once() -> None:
    with pytest.raises(MashqError, match=r"temperature is .*; top_k is"):
        Decoding(max_new_tokens=1, temperature=-1, top_k=-1)


def test_a_request_holds_exactly_one_prompt() -> None:
    with pytest.raises(MashqError, match="exactly one of messages, prompt, prompt_ids, got 0"):
        Request(decoding=SHORT)
    with pytest.raises(MashqError, match="got 2 of them"):
        Request(decoding=SHORT, prompt="x", prompt_ids=(1,))


def test_a_request_does_not_end_with_the_assistant() -> None:
    with pytest.raises(MashqError, match="whose last is not the assistant's, got user, assistant"):
        Request(decoding=SHORT, messages=(("user", "a"), ("assistant", "b")))


def test_everything_that_decides_a_reply_changes_its_key() -> None:
    base = ask("سؤال", system="كن موجزا")
    others = [
        ask("سؤال", system="كن مسهبا"),
        ask("سؤال"),
        ask("سؤال آخر", system="كن موجزا"),
        dataclasses.replace(base, sample=1),
        Request(prompt="سؤال", decoding=SHORT),
        Request(prompt_ids=(1, 2), decoding=SHORT),
        *(
            dataclasses.replace(base, decoding=dataclasses.replace(SHORT, **{name: value}))  # type: ignore[arg-type]
            for name, value in {
                "max_new_tokens": 9, "temperature": 0.5, "top_p": 0.5, "top_k": 3, "repetition_penalty": 1.1,
                "stop": ("x",), "stop_ids": (7,), "seed": 1,
            }.items()
        ),
    ]  # fmt: skip
    keys = {key_of("m", request) for request in [base, *others]} | {key_of("other", base)}
    assert len(keys) == len(others) + 2


def test_a_hint_about_length_does_not_change_the_key() -> None:
    assert key_of("m", ask("x")) == key_of("m", dataclasses.replace(ask("x"), tokens_expected=5))


@given(st.lists(st.tuples(st.sampled_from(["system", "user"]), st.text(max_size=5)), min_size=1, max_size=3))
def test_messages_cannot_be_moved_across_turns_without_a_new_key(turns: list[tuple[str, str]]) -> None:
    whole = Request(messages=tuple(turns), decoding=SHORT)
    joined = Request(messages=(("user", "".join(text for _, text in turns)),), decoding=SHORT)
    assert (key_of("m", whole) == key_of("m", joined)) == (whole.messages == joined.messages)


def test_seeds_differ_by_prompt_and_sample_and_not_by_model() -> None:
    seeds = [seed_of(ask("a")), seed_of(ask("b")), seed_of(ask("a", sample=1))]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


# --- generate --------------------------------------------------------------------------------------------------------


def test_replies_come_in_order_and_equal_requests_are_asked_once() -> None:
    model = Scripted(lambda request: "جواب " + request.messages[-1][1], name="t")
    replies = generate(model, [ask("ب"), ask("ا"), ask("ب")], ledger=None, budget=None)
    assert [reply.text for reply in replies] == ["جواب ب", "جواب ا", "جواب ب"]
    assert len(model.asked) == 2


def test_nothing_is_asked_twice_and_the_reply_says_so(ledger: Path) -> None:
    first = generate(Echo(), [ask("مرحبا")], ledger=ledger, budget=None)
    model = Scripted([], name="x")
    model.identity = "echo"
    (again,) = generate(model, [ask("مرحبا")], ledger=ledger, budget=None)
    assert dataclasses.replace(again, seconds=0, cached=False) == dataclasses.replace(first[0], seconds=0)
    assert again.cached
    assert not first[0].cached


def test_one_more_row_asks_one_more_and_another_system_text_asks_all(ledger: Path) -> None:
    model = Scripted(lambda request: str(request.messages), name="t")
    generate(model, [ask(f"{i}", system="ا") for i in range(5)], ledger=ledger, budget=None)
    generate(model, [ask(f"{i}", system="ا") for i in range(6)], ledger=ledger, budget=None)
    assert len(model.asked) == 6
    changed = generate(model, [ask(f"{i}", system="ب") for i in range(6)], ledger=ledger, budget=None)
    assert len(model.asked) == 12
    assert all("ب" in reply.text for reply in changed)


def test_errors_are_told_and_never_kept(ledger: Path) -> None:
    model = Scripted([Reply.failed("HTTP 500"), "بعد ذلك نعم"], name="t")
    (lost,) = generate(model, [ask("x")], ledger=ledger, budget=None)
    assert (lost.finish, lost.error) == ("error", "HTTP 500")
    (found,) = generate(model, [ask("x")], ledger=ledger, budget=None)
    assert found.text == "بعد ذلك نعم"


def test_no_requests_give_no_replies(ledger: Path) -> None:
    assert generate(Echo(), [], ledger=ledger, budget=None, progress=True) == []


def test_echo_keeps_the_limit_and_the_stop_text() -> None:
    decoding = Decoding(max_new_tokens=3, stop=("!",))
    cut, stopped = generate(Echo(), [ask("a b c d", decoding), ask("a b! c", decoding)], ledger=None, budget=None)
    assert (cut.text, cut.finish, cut.new_tokens) == ("a b c", "length", 3)
    assert (stopped.text, stopped.finish) == ("a b", "stop")


def test_generate_works_inside_a_running_event_loop() -> None:
    import asyncio

    async def notebook() -> list[Reply]:
        return generate(Echo(), [ask("a")], ledger=None, budget=None)

    assert asyncio.run(notebook())[0].text == "a"


def test_the_bar_tells_what_was_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    budget = Budget(money=1, price_in=1, price_out=1)
    generate(
        Scripted([Reply.failed("no"), "b"], name="t"), [ask("a"), ask("b")], ledger=None, budget=budget, progress=True
    )
    said = capsys.readouterr().err
    assert "2/2" in said
    assert "1 failed" in said
    assert "0.00 spent" in said


def test_the_log_tells_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mashq.lm.progress.LOG_EVERY_S", 0.0)
    budget = Budget(money=1, price_in=1e3, price_out=1e3)
    model = Scripted([Reply.failed("no"), "b", "c"], name="t")
    with caplog.at_level(logging.INFO, "mashq.lm"):
        generate(model, [ask("a"), ask("b"), ask("c"), ask("c")], ledger=None, budget=budget, progress=True)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4  # one a reply, and the last
    assert told[1].startswith("asked 2 of 3: ")
    assert "1 failed" in told[1]
    assert told[1].endswith(" left")
    assert told[-1].endswith("1 failed, 0.00 spent")


def test_a_line_of_progress_says_rates_and_time_left() -> None:
    told = line(done=30, failed=2, tokens=600, seconds=10.0, in_flight=8, money=1.25, left=10_900)
    assert told == "60 tokens/s, 3.0 requests/s, 8 in flight, 2 failed, 1.25 spent, 1:00:33 left"
    assert line(0, 0, 0, 0.0, 0, None, 5) == "0 tokens/s, 0.0 requests/s"


# --- scripts ---------------------------------------------------------------------------------------------------------


def test_a_script_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('"نعم"\n{"text": "لا", "finish": "length", "new_tokens": 4}\n{"finish": "error", "error": "503"}\n')
    model = open_model(f"scripted:{path}")
    replies = generate(model, [ask("1"), ask("2"), ask("3")], ledger=None, budget=None)
    assert [(reply.text, reply.finish) for reply in replies] == [("نعم", "stop"), ("لا", "length"), ("", "error")]
    with pytest.raises(MashqError, match="ended after 3 replies"):
        generate(model, [ask("4")], ledger=None, budget=None)


def test_a_broken_script_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('"a"\n{"finish": "later"}\n')
    with pytest.raises(MashqError, match=r"script\.jsonl line 2: expected a text or a reply"):
        open_model(f"scripted:{path}")


def test_a_mapping_knows_its_messages_and_no_others() -> None:
    model = Scripted({"كم؟": "خمسة"})
    assert generate(model, [ask("كم؟")], ledger=None, budget=None)[0].text == "خمسة"
    with pytest.raises(MashqError, match="no reply to 'أين؟'"):
        generate(model, [ask("أين؟")], ledger=None, budget=None)


def test_another_script_is_another_model() -> None:
    assert Scripted(["a"]).identity != Scripted(["b"]).identity
    assert Scripted(["a"]).identity == Scripted(["a"]).identity


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(MashqError, match=r"no setting 'timeout' .*timeout_s.* Did you mean 'timeout_s'"):
        open_model("http://127.0.0.1:1/v1#m", timeout=3)


# --- the budget ------------------------------------------------------------------------------------------------------


def test_a_spent_budget_says_how_to_go_on_and_keeps_what_was_done(ledger: Path) -> None:
    model = Scripted(lambda request: "a b c d", name="t")
    requests = [Request(prompt_ids=(1,), decoding=SHORT, sample=i) for i in range(10)]
    with pytest.raises(
        MashqError, match=r"spent 25 of 30 tokens; 5 of 10 requests were not sent\. 5 replies are in the ledger\. Raise"
    ):
        # 5 tokens a reply and its prompt; a sixth could take 1 + 8
        generate(model, requests, ledger=ledger, budget=Budget(tokens=30))
    assert len(model.asked) == 5
    replies = generate(model, requests, ledger=ledger, budget=Budget(tokens=1000))
    assert len(model.asked) == 10
    assert sum(reply.cached for reply in replies) == 5


def test_what_the_ledger_knows_counts_but_is_never_refused(ledger: Path) -> None:
    model = Scripted(lambda request: "a b c d", name="t")
    requests = [ask(f"{i}") for i in range(4)]
    generate(model, requests, ledger=ledger, budget=None)
    budget = Budget(tokens=1)
    assert all(reply.cached for reply in generate(model, requests, ledger=ledger, budget=budget))
    assert budget.spent_in + budget.spent_out == 4 * (1 + 4)
    with pytest.raises(MashqError, match="1 of 5 requests were not sent"):
        generate(model, [*requests, ask("5")], ledger=ledger, budget=budget)


def test_money_is_counted_with_its_prices() -> None:
    budget = Budget(money=10, price_in=1e6, price_out=2e6)
    generate(
        Scripted(["a b"], name="t"),
        [Request(prompt_ids=(1,), decoding=Decoding(max_new_tokens=2))],
        ledger=None,
        budget=budget,
    )
    assert budget.spent_in == 1
    assert budget.spent_out == 2
    assert budget.spent_money == 5


def test_money_without_prices_is_refused() -> None:
    with pytest.raises(MashqError, match="money needs prices"):
        Budget(money=1)


# --- the ledger ------------------------------------------------------------------------------------------------------


def reply(text: str) -> Reply:
    return Reply(text=text, finish="stop", prompt_tokens=1, new_tokens=2, seconds=0.5)


def test_a_torn_last_record_is_skipped_reported_and_asked_again(ledger: Path, caplog: pytest.LogCaptureFixture) -> None:
    requests = [ask(f"{i}") for i in range(3)]
    generate(Echo(), requests, ledger=ledger, budget=None)
    whole = ledger.read_bytes()
    for cut in (1, 2, 30, len(whole.splitlines()[-1]) - 1):
        ledger.write_bytes(whole[:-cut])
        with caplog.at_level(logging.WARNING):
            replies = generate(Echo(), requests, ledger=ledger, budget=None)
        assert [r.text for r in replies] == ["0", "1", "2"]
        assert sum(r.cached for r in replies) == (3 if cut == 1 else 2)
        assert ("1 damaged record" in caplog.text) == (cut > 1)
        caplog.clear()
        assert all(r.cached for r in generate(Echo(), requests, ledger=ledger, budget=None))


def test_the_first_of_two_records_with_one_key_is_the_reply(ledger: Path) -> None:
    with Ledger(ledger) as book:
        book.put(b"k" * 16, "m", reply("first"))
        book.put(b"k" * 16, "m", reply("second"))
    with Ledger(ledger) as book:
        found = book.get(b"k" * 16)
    assert found is not None
    assert found.text == "first"


def test_a_ledger_sees_what_another_process_wrote(ledger: Path) -> None:
    with Ledger(ledger) as one, Ledger(ledger) as two:
        two.put(b"k" * 16, "m", reply("سلام"))
        assert one.get(b"k" * 16) is None
        one.refresh()
        assert one.get(b"k" * 16) == dataclasses.replace(reply("سلام"), cached=True)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("ledger") / "l"
    with Ledger(path) as book:
        book.put(b"k" * 16, "m", reply(text))
    with Ledger(path) as book:
        assert book.get(b"k" * 16) == dataclasses.replace(reply(text), cached=True)


def test_a_ledger_larger_than_a_block_is_read_whole(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashq.lm.ledger.READ_BYTES", 100)
    with Ledger(ledger) as book:
        for number in range(50):
            book.put(number.to_bytes(16), "m", reply("نص " * number))
    with Ledger(ledger) as book:
        texts = [found.text for number in range(50) if (found := book.get(number.to_bytes(16)))]
    assert texts == ["نص " * number for number in range(50)]


def test_a_folder_in_the_place_of_the_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match="cannot be opened"):
        Ledger(tmp_path)


def test_a_full_disk_is_told_and_nothing_before_is_lost(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with Ledger(ledger) as book:
        book.put(b"a" * 16, "m", reply("kept"))
        monkeypatch.setattr(os, "write", lambda file, data: real(file, data[: len(data) // 2]))
        with pytest.raises(MashqError, match=r"cannot write .*free space, run again"):
            book.put(b"b" * 16, "m", reply("lost"))
        monkeypatch.undo()
        book.put(b"c" * 16, "m", reply("after"))
    with Ledger(ledger) as book:
        assert [book.get(key * 16) is not None for key in (b"a", b"b", b"c")] == [True, False, True]
        assert book.damaged == 0


WRITER = """
import sys
from pathlib import Path
from typing import Any
from mashq.lm import Decoding, Request, generate
from mashq.lm.echo import Scripted
model = Scripted(lambda request: "كلمة " * 200 + request.prompt, name="shared")
requests = [Request(prompt=f"{i}", decoding=Decoding(max_new_tokens=500)) for i in range(300)]
generate(model, requests if sys.argv[2] == "up" else requests[::-1], ledger=Path(sys.argv[1]), budget=None)
"""


def test_two_processes_write_one_ledger_without_harm(ledger: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(ledger), way]) for way in ("up", "down")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lines = [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]
    assert {len(line["text"].split()) for line in lines} == {201}
    with Ledger(ledger) as book:
        assert (len(book), book.damaged) == (300, 0)


APPENDER = """
import sys
from pathlib import Path
from typing import Any
from mashq.lm import Ledger, Reply
with Ledger(Path(sys.argv[1])) as book:
    for number in range(int(sys.argv[3])):
        reply = Reply(text="كلمة " * (number % 700), finish="stop", new_tokens=number)
        book.put(bytes([int(sys.argv[2])]) + number.to_bytes(15), "m", reply)
        print(number, flush=True)
"""


def test_two_write_while_a_third_reads_and_no_line_is_damaged(ledger: Path) -> None:
    command = [sys.executable, "-c", APPENDER, str(ledger)]
    with Ledger(ledger) as book:
        writers = [subprocess.Popen([*command, who, "1500"], stdout=subprocess.DEVNULL) for who in "12"]
        while any(writer.poll() is None for writer in writers):
            book.refresh()
            assert book.damaged == 0
        book.refresh()
        assert (len(book), book.damaged) == (3000, 0)
        for number in (0, 699, 1499):
            found = book.get(b"\x01" + number.to_bytes(15))
            assert found is not None
            assert found.text == "كلمة " * (number % 700)


@pytest.mark.parametrize("after", [1, 17, 260, 900])
def test_kill_9_while_writing_loses_nothing_that_was_told(ledger: Path, after: int) -> None:
    """A writer says each number once it is kept; another goes on writing beside it."""
    command = [sys.executable, "-c", APPENDER, str(ledger)]
    other = subprocess.Popen([*command, "2", "1000"], stdout=subprocess.DEVNULL)
    killed = subprocess.Popen([*command, "1", "100000"], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    for told in killed.stdout:
        if int(told) >= after:
            break
    killed.kill()
    rest = killed.stdout.read().split("\n")[:-1]  # a last number may be cut off
    killed.communicate()
    assert other.wait(60) == 0
    last = max([after, *map(int, rest)])
    with Ledger(ledger) as book:
        assert all(book.get(b"\x01" + number.to_bytes(15)) for number in range(last + 1))
        assert last + 1 <= len(book) - 1000 <= last + 2
        assert book.damaged <= 1  # a record longer than a page may be cut off by the kill; it was not told yet


def test_a_reply_is_in_the_file_before_it_is_counted(ledger: Path) -> None:
    book = Ledger(ledger)
    book.put(b"k" * 16, "m", reply("x"))
    assert ledger.read_bytes().endswith(b"\n")  # no close, no sync: what kill -9 leaves
    book.close()


def test_the_ledger_costs_little(ledger: Path) -> None:
    started = time.process_time()
    with Ledger(ledger) as book:
        for number in range(2000):
            book.put(number.to_bytes(16), "m", reply("كلمة " * 100))
    assert (time.process_time() - started) / 2000 < 0.5e-3  # seconds; measured 0.02e-3


def test_what_another_process_kept_first_stands(tmp_path: Path) -> None:
    ours, theirs = Ledger(tmp_path / "replies"), Ledger(tmp_path / "replies")
    first = theirs.put(b"k" * 16, "m", Reply(text="theirs", finish="stop"))
    assert first.text == "theirs"
    assert ours.get(b"k" * 16) is None  # it has not looked since
    stands = ours.put(b"k" * 16, "m", Reply(text="ours", finish="stop"))
    assert stands.text == "theirs"
    assert ours.put(b"j" * 16, "m", Reply(text="new", finish="stop")).text == "new"
    ours.close()
    theirs.close()
    again = Ledger(tmp_path / "replies")
    assert len(again) == 2 and again.get(b"k" * 16).text == "theirs"  # type: ignore[union-attr]
    again.close()


def test_one_bad_byte_and_one_missing_field_cost_only_their_records(ledger: Path) -> None:
    with Ledger(ledger) as book:
        for number in range(3):
            book.put(bytes([number]) * 16, "m", Reply(text=f"reply {number}", finish="stop"))
    lines = ledger.read_bytes().splitlines()
    lines[0] = lines[0].replace(b"reply 0", b"reply \xff")
    lines[1] = lines[1].replace(b'"seconds"', b'"secs"')
    ledger.write_bytes(b"\n".join(lines) + b"\n")
    with Ledger(ledger) as book:
        assert (len(book), book.damaged) == (1, 2)
        assert book.get(b"\x00" * 16) is None
        book.put(b"\x00" * 16, "m", Reply(text="again", finish="stop"))
    with Ledger(ledger) as book:
        assert book.get(b"\x00" * 16).text == "again"  # type: ignore[union-attr]


def test_a_ledger_that_was_closed_takes_nothing(ledger: Path) -> None:
    book = Ledger(ledger)
    book.close()
    with pytest.raises(MashqError, match="cannot write"):
        book.put(b"k" * 16, "m", Reply(text="late", finish="stop"))


def test_what_was_set_aside_is_given_back_when_a_call_fails() -> None:
    budget = Budget(tokens=200)

    class Breaks(Echo):
        def answer(self, take: Any, done: Any, *, concurrency: int) -> None:
            take()
            raise MashqError("broken")

    request = [Request(prompt="سؤال", decoding=Decoding(max_new_tokens=120))]
    with pytest.raises(MashqError, match="broken"):
        generate(Breaks(), request, ledger=None, budget=budget)
    assert generate(Echo(), request, ledger=None, budget=budget)[0].text == "سؤال"


def test_one_and_one_point_nought_are_one_question() -> None:
    one, other = (Request(prompt="x", decoding=Decoding(max_new_tokens=3, temperature=t)) for t in (1, 1.0))
    assert key_of("m", one) == key_of("m", other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_budget_is_a_number(value: float) -> None:
    with pytest.raises(MashqError, match="0 or more"):
        Budget(money=value, price_in=1.0)
