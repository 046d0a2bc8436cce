"""Multiple choice by likelihood, and rolling likelihood."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mashq import chat, choices
from mashq.choices import ChoiceSettings, Weighed, accuracy, answers, plain_text, right_choices, weigh, why_not
from mashq.generate import Student, load_student
from mashq.metrics.resample import wilson
from mashq.rolling import _windows, rolling
from mashq.rows import MashqError, conform, replace, source_ids

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS = ["أ", "ب", "ج", "د"]
ASKED = [
    ("ما عاصمة المغرب؟", ["الدار البيضاء", "الرباط", "فاس", "مراكش الحمراء"], 1),
    ("أي هذه الطيور لا يطير؟", ["النعامة", "الصقر", "الحمامة", "اللقلق"], 0),
    ("كم يوما في الأسبوع؟", ["ستة", "سبعة أيام كاملة", "ثمانية", "عشرة"], 1),
    ("من كتب المقدمة؟", ["ابن خلدون", "ابن بطوطة"], 0),
]
TEXT = ChoiceSettings(chat=False)


def questions(count: int = len(ASKED), **columns: Any) -> pa.Table:
    asked = [ASKED[i % len(ASKED)] for i in range(count)]
    given = {
        "id": source_ids("quiz", "1", n=count),
        "messages": [[{"role": "user", "content": f"{i}. {one[0]}\nالجواب:"}] for i, one in enumerate(asked)],
        "choices": [one[1] for one in asked],
        "references": [[one[1][one[2]]] for one in asked],
    }
    return conform({**given, **columns})


def student_of(family: str) -> Student:
    tokenizer = tiny_models.tokenizer()
    model = tiny_models.model(family, len(tokenizer))
    return Student(family, model, tokenizer, chat.frame_for(tokenizer, "gemma"), f"tiny {family}")


@pytest.fixture(scope="module")
def student() -> Student:
    return student_of("gemma3")


def by_hand(student: Student, ids: Sequence[int], start: int) -> float:
    """The nats of ids from `start` on, all logits of the whole row."""
    with torch.no_grad():
        logs = student.model(input_ids=torch.tensor([list(ids)])).logits[0].float().log_softmax(-1)
    return -sum(logs[at - 1, ids[at]].item() for at in range(start, len(ids)))


# --- likelihoods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gemma3", "llama", "gpt2"])
def test_plain_text_equals_a_computation_by_hand(family: str) -> None:
    """Gemma's window of 12 positions is shorter than the prompts."""
    student, table = student_of(family), questions(20)  # more than one batch
    for row, found in zip(table.to_pylist(), weigh(student, table, TEXT), strict=True):
        assert isinstance(found, Weighed) and not found.merged
        prompt = student.tokenizer(plain_text(row["messages"])).input_ids
        for place, choice in enumerate(row["choices"]):
            ids = student.tokenizer(f"{plain_text(row['messages'])} {choice}").input_ids
            assert ids[: len(prompt)] == prompt
            assert found.nats[place] == pytest.approx(by_hand(student, ids, len(prompt)), abs=2e-3, rel=1e-5)
            assert found.tokens[place] == len(ids) - len(prompt)
            assert (found.characters[place], found.bytes[place]) == (len(choice), len(choice.encode()))
        assert found.prompt_tokens == len(prompt)


@pytest.mark.parametrize("end", [False, True])
def test_in_its_frame_a_choice_is_the_reply(student: Student, end: bool) -> None:
    table = questions()
    for row, found in zip(table.to_pylist(), weigh(student, table, ChoiceSettings(end=end)), strict=True):
        assert isinstance(found, Weighed)
        prompt = chat.prompt_ids(row["messages"], student.tokenizer, student.frame)
        for place, choice in enumerate(row["choices"]):
            turns = [*row["messages"], {"role": "assistant", "content": choice}]
            ids = chat.encode(turns, student.tokenizer, student.frame).ids
            ids = ids if end else ids[:-1]
            assert found.nats[place] == pytest.approx(by_hand(student, ids, len(prompt)), abs=2e-3, rel=1e-5)


def test_a_model_without_a_shared_cache_says_the_same(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = weigh(student, questions(), TEXT)
    monkeypatch.setattr(student.model, "_is_stateful", True, raising=False)
    for one, other in zip(shared, weigh(student, questions(), TEXT), strict=True):
        assert isinstance(one, Weighed) and isinstance(other, Weighed)
        assert one.nats == pytest.approx(other.nats, abs=2e-3, rel=1e-5)


def test_a_soft_cap_on_logits_counts() -> None:
    student = student_of("gemma3")
    student.model.config.final_logit_softcapping = 3.0
    student.model.get_output_embeddings().mashq_plain = None
    row = questions(1).to_pylist()[0]
    (found,) = weigh(student, questions(1), TEXT)
    prompt = student.tokenizer(plain_text(row["messages"])).input_ids
    ids = student.tokenizer(f"{plain_text(row['messages'])} {row['choices'][0]}").input_ids
    assert isinstance(found, Weighed)
    assert found.nats[0] == pytest.approx(by_hand(student, ids, len(prompt)), abs=2e-3, rel=1e-5)


def test_each_prompt_is_read_once(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    forward = student.model.forward

    def counting(*args: Any, **given: Any) -> Any:
        read.append(int(given["input_ids"].numel()))
        return forward(*args, **given)

    weigh(student, questions(1), TEXT)  # asks the head once
    monkeypatch.setattr(student.model, "forward", counting)
    (found,) = weigh(student, questions(1), TEXT)
    assert isinstance(found, Weighed)
    longest = max(found.tokens) - 1
    assert read == [found.prompt_tokens, sum(n > 1 for n in found.tokens) * longest]  # padded
    read.clear()
    single = replace(questions(1), choices=[["!", "?"]], references=[["!"]])
    (found,) = weigh(student, single, ChoiceSettings(chat=False, between=""))
    assert isinstance(found, Weighed) and found.tokens == (1, 1)
    assert read == [found.prompt_tokens]


# --- the border between prompt and choice ----------------------------------------------------------------------------


def test_spaces_at_the_end_of_a_prompt_go_to_the_choices(student: Student) -> None:
    one = replace(questions(1), messages=[[{"role": "user", "content": "ما عاصمة المغرب؟ "}]])
    other = replace(questions(1), messages=[[{"role": "user", "content": "ما عاصمة المغرب؟"}]])
    assert weigh(student, one, ChoiceSettings(chat=False, between="")) == weigh(student, other, TEXT)


def test_choices_that_merge_with_the_prompt_are_charged_for_the_same_text(student: Student) -> None:
    """The tokenizer has one token for " المغرب": a prompt that ends in its middle is no prefix of the whole."""
    turns = [[{"role": "user", "content": "ما عاصمة المغ"}]]
    table = replace(questions(1), messages=turns, choices=[["رب", "؟", "ول"]], references=[["رب"]])
    (found,) = weigh(student, table, ChoiceSettings(chat=False, between=""))
    assert isinstance(found, Weighed) and found.merged
    whole = [student.tokenizer(f"ما عاصمة المغ{choice}").input_ids for choice in ("رب", "؟", "ول")]
    border = found.prompt_tokens
    assert len({tuple(ids[:border]) for ids in whole}) == 1
    assert border < len(student.tokenizer("ما عاصمة المغ").input_ids)
    for place, ids in enumerate(whole):
        assert found.nats[place] == pytest.approx(by_hand(student, ids, border), abs=2e-3, rel=1e-5)


def test_an_empty_prompt_is_read_after_the_beginning_of_text(student: Student) -> None:
    table = replace(questions(1), messages=[[{"role": "user", "content": " \n"}]])
    (found,) = weigh(student, table, ChoiceSettings(chat=False, between=""))
    assert isinstance(found, Weighed) and found.prompt_tokens == 1
    ids = [1, *student.tokenizer(" \nالدار البيضاء").input_ids]
    assert found.nats[0] == pytest.approx(by_hand(student, ids, 1), abs=2e-3, rel=1e-5)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.text("ابةلمغرب كَ\u0640\u200f\u0000 \n😀aB1", max_size=20),
    st.sampled_from(["", " ", "ما عاصمة المغ"]),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.lists(TEXTS, min_size=2, max_size=4), st.sampled_from(["", " ", "\n"]))
def test_prompt_and_choice_are_together_the_ids_of_the_whole_text(
    student: Student, prompt: str, given_: list[str], between: str
) -> None:
    row = {"messages": [{"role": "user", "content": prompt}], "choices": given_}
    (asked,) = choices._as_text(student, [row], ChoiceSettings(chat=False, between=between))
    if isinstance(asked, str):
        assert asked.endswith("has no token")
        return
    whole = [student.tokenizer(f"{prompt}{between}{choice}").input_ids for choice in given_]
    start = [1] if asked.prompt == [1] and not all(ids[:1] == [1] for ids in whole) else []
    assert [asked.prompt + said for said in asked.choices] == [start + ids for ids in whole]
    assert asked.prompt and all(asked.choices)
    alone = student.tokenizer(prompt.rstrip()).input_ids
    assert asked.merged or asked.prompt == (alone or [1])


def test_the_beginning_of_text_is_asked_for_or_not(student: Student) -> None:
    plain, always = (weigh(student, questions(1), ChoiceSettings(False, begin=b))[0] for b in ("never", "always"))
    assert isinstance(plain, Weighed) and isinstance(always, Weighed)
    assert always.prompt_tokens == plain.prompt_tokens + 1
    assert always.nats != pytest.approx(plain.nats)


# --- what is right, tied, counted ------------------------------------------------------------------------------------


def weighed(*nats: float, tokens: Sequence[int] = (), choices_: Sequence[str] = ()) -> Weighed:
    texts = choices_ or ["نص"] * len(nats)
    sizes = tuple(len(text.encode()) for text in texts)
    return Weighed(nats, tuple(tokens) or (1,) * len(nats), tuple(map(len, texts)), sizes, 5)


def test_each_length_has_its_own_likeliest() -> None:
    one = weighed(8.0, 9.0, 12.0, tokens=(4, 5, 5), choices_=["نعم", "ABCDE", "لا أدري"])
    assert [one.pick(by) for by in choices.BY] == [0, 2, 2, 1]
    assert one.costs("characters") == [8 / 3, 9 / 5, 12 / 7]
    assert one.costs("bytes") == [8 / 6, 9 / 5, 12 / 13]
    with pytest.raises(MashqError, match=r"choices: no by 'byte' .* Did you mean 'bytes'"):
        one.pick("byte")


def test_of_tied_choices_the_first_counts_and_it_is_said() -> None:
    assert weighed(3.0, 2.0, 2.0).pick() == 1
    assert weighed(3.0, 2.0, 2.0).tied()
    assert not weighed(2.0, 2.1).tied()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["نعم"], "choices: 1 < 2"),
        (None, "choices: 0 < 2"),
        (["نعم", "  "], "choices: number 2 is empty"),
        (["نعم", "لا", "نعم "], "choices: «نعم» stands twice"),
        (["لا", "ربما"], "choices: the reference «نعم» is none of them"),
    ],
)
def test_what_is_no_multiple_choice_says_why(given: list[str] | None, reason: str) -> None:
    assert why_not({"choices": given, "references": ["نعم"]}) == reason


def test_several_choices_may_be_right() -> None:
    assert right_choices({"choices": ["أ", " ب", "ج"], "references": ["ب", "ج "]}) == [1, 2]


def test_the_reply_is_the_likeliest_choice_and_accuracy_counts_it(student: Student) -> None:
    table = questions(8, group=[f"g{i // 2}" for i in range(8)], variety="msa")
    made = answers(student, table, ChoiceSettings(chat=False, by="bytes"), system="base")
    found = weigh(student, table, TEXT)
    hits = []
    for asked, row, one in zip(table.to_pylist(), made.to_pylist(), found, strict=True):
        assert isinstance(one, Weighed)
        assert row["messages"] == [
            *asked["messages"],
            {"role": "assistant", "content": asked["choices"][one.pick("bytes")]},
        ]
        assert row["parents"] == [asked["id"]] and row["variety"] == "msa"
        hits.append(asked["choices"][one.pick("bytes")] in asked["references"])
    told = accuracy(made, "bytes")
    assert (told.score.value, told.score.n) == (sum(hits) / 8, 8)
    assert (told.score.low, told.score.high) == wilson(sum(hits) / 8, 8)
    assert told.chance == pytest.approx((3 * 0.25 + 0.5) / 4)
    assert told.score.signature.startswith(
        'choice_accuracy|by:bytes|frame:text|between:" "|begin:tokenizer|ties:first|'
    )
    clustered = accuracy(made, "bytes", groups=table["group"].to_pylist())
    assert "|by:group|" in clustered.score.signature


def test_ties_are_counted(student: Student) -> None:
    """Choices whose ids are equal: a model cannot tell them apart."""
    made = answers(student, questions(2), TEXT)
    facts = [json.loads(text) for text in made["meta"].to_pylist()]
    facts[0]["choices"]["nats"] = [2.0, 2.0, 5.0, 6.0]
    told = accuracy(replace(made, meta=[json.dumps(one) for one in facts]))
    assert told.ties == 1


def test_rows_that_cannot_be_asked_are_dropped_with_the_reason(student: Student) -> None:
    long = [{"role": "user", "content": "كلمة " * 600}]
    table = replace(questions(3), choices=[["نعم"], *questions(3)["choices"].to_pylist()[1:]])
    table = replace(table, messages=[*table["messages"].to_pylist()[:2], long])
    made = answers(student, table, TEXT)
    reasons = made["dropped"].to_pylist()
    assert reasons[:2] == ["choices: 1 < 2", None]
    assert reasons[2].startswith("long: ") and reasons[2].endswith(" tokens > 512 of the model")
    assert made["messages"].to_pylist()[0] == table["messages"].to_pylist()[0]
    assert accuracy(made).score.n == 1


def test_no_row_has_no_accuracy(student: Student) -> None:
    with pytest.raises(MashqError, match="An empty set has no score"):
        accuracy(answers(student, questions(1).slice(0, 0), TEXT))


def test_rows_asked_in_two_ways_are_not_added_up(student: Student) -> None:
    two = [answers(student, questions(1), one) for one in (TEXT, ChoiceSettings())]
    with pytest.raises(MashqError, match=r"expected rows asked in one way, got frame:gemma.* and frame:text"):
        accuracy(pa.concat_tables(two))


def test_accuracy_wants_rows_of_answers() -> None:
    with pytest.raises(MashqError, match="choices: row 0: expected the nats of every choice in `meta`, got none"):
        accuracy(questions(1))


def test_a_prompt_ends_with_the_user(student: Student) -> None:
    table = replace(questions(1), messages=[[{"role": "assistant", "content": "نعم"}]])
    with pytest.raises(MashqError, match="choices: row 0: expected messages ending with a user turn"):
        weigh(student, table)


@pytest.mark.parametrize(("given", "text"), [({"by": "byte"}, "no by 'byte'"), ({"begin": "once"}, "no begin 'once'")])
def test_unknown_settings_are_named(given: dict[str, str], text: str) -> None:
    with pytest.raises(MashqError, match=text):
        ChoiceSettings(**given)  # type: ignore[arg-type]


# --- resuming --------------------------------------------------------------------------------------------------------


def test_a_resumed_run_computes_no_batch_twice(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = questions(24)
    unbroken = answers(student, table, TEXT)
    computed: list[int] = []
    real = choices._nats

    def counting(of: Student, units: Sequence[Any]) -> list[list[float]]:
        if len(computed) == 2:
            raise KeyboardInterrupt  # the third batch is never finished
        computed.append(len(units))
        return real(of, units)

    monkeypatch.setattr(choices, "_nats", counting)
    with pytest.raises(KeyboardInterrupt):
        answers(student, table, TEXT, ledger=tmp_path / "ledger")
    (book,) = tmp_path.glob("ledger-choices-*.jsonl")
    book.write_text(book.read_text() + '\n{"key": "cut off by a cra')
    done = sum(computed)
    computed.clear()
    monkeypatch.setattr(choices, "_nats", lambda of, units: (computed.append(len(units)), real(of, units))[1])
    resumed = answers(student, table, TEXT, ledger=tmp_path / "ledger")
    assert resumed.equals(unbroken)
    assert done > 0 and sum(computed) == 24 - done
    computed.clear()
    assert answers(student, table, TEXT, ledger=tmp_path / "ledger").equals(unbroken)
    assert computed == []


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_choices as tests
from mashq import choices
real, done = choices._nats, []
def until_killed(of, units):
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(len(units))
    return real(of, units)
choices._nats = until_killed
choices.answers(tests.student_of("gemma3"), tests.questions(24), tests.TEXT, ledger=Path({ledger!r}))
"""


@pytest.mark.slow
def test_a_run_killed_by_kill_9_asks_nothing_twice(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    script = KILLED.format(tests=str(Path(__file__).parent), ledger=str(ledger))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert died.returncode == -signal.SIGKILL
    computed: list[int] = []
    real = choices._nats
    monkeypatch.setattr(choices, "_nats", lambda of, units: (computed.append(len(units)), real(of, units))[1])
    resumed = answers(student, questions(24), TEXT, ledger=ledger)
    assert 0 < sum(computed) < 24
    monkeypatch.setattr(choices, "_nats", real)
    assert accuracy(resumed) == accuracy(answers(student, questions(24), TEXT))


def test_a_likelihood_that_is_no_number_is_a_reason(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "_nats", lambda of, units: [[math.nan] * len(unit.choices) for unit in units])
    assert weigh(student, questions(1), TEXT) == ["likelihood: not a finite number"]


def test_another_model_has_another_book(student: Student, tmp_path: Path) -> None:
    weigh(student, questions(1), TEXT, ledger=tmp_path / "ledger")
    weigh(student_of("llama"), questions(1), TEXT, ledger=tmp_path / "ledger")
    assert len(list(tmp_path.glob("ledger-choices-*.jsonl"))) == 2


def test_a_loaded_student_is_asked_like_any(tmp_path: Path) -> None:
    loaded = load_student(str(tiny_models.folder(tmp_path)), dtype="float32", frame="gemma")
    made = weigh(loaded, questions(), TEXT)
    assert [one.nats for one in made] == [  # type: ignore[union-attr]
        pytest.approx(one.nats, rel=1e-5, abs=2e-3)  # type: ignore[union-attr]
        for one in weigh(student_of("gemma3"), questions(), TEXT)
    ]


# --- whole texts -----------------------------------------------------------------------------------------------------


def test_a_whole_text_equals_a_computation_by_hand(student: Student) -> None:
    texts = [*tiny_models.LINES, ""]
    for text, found in zip(texts, rolling(student, texts), strict=True):
        if not text:
            assert found is None
            continue
        ids = [1, *student.tokenizer(text).input_ids]
        assert found is not None
        assert found.nats == pytest.approx(by_hand(student, ids, 1), abs=2e-3, rel=1e-5)
        assert (found.tokens, found.bytes) == (len(ids) - 1, len(text.encode()))


@pytest.mark.parametrize(("count", "window"), [(1, 4), (4, 4), (5, 4), (8, 4), (11, 4), (3, 1), (10, 7)])
def test_every_id_is_charged_once_in_windows_of_bounded_size(count: int, window: int) -> None:
    ids = list(range(10, 10 + count))
    cut = list(_windows(ids, 1, window))
    assert [i for _, charged in cut for i in charged] == ids
    assert all(len(read) + len(charged) <= window + 1 and read for read, charged in cut)
    # what is read stands right before what is charged
    flat = [1, *ids]
    for read, charged in cut:
        whole = read + charged
        assert any(flat[at : at + len(whole)] == whole for at in range(len(flat)))
    assert len(cut) == math.ceil(count / window)


def test_the_last_window_reaches_back_to_be_full() -> None:
    assert list(_windows([10, 11, 12, 13, 14], 1, 4)) == [([1], [10, 11, 12, 13]), ([10, 11, 12, 13], [14])]


def test_a_long_text_is_read_in_windows(student: Student) -> None:
    text = " ".join(tiny_models.LINES * 8)
    ids = student.tokenizer(text).input_ids
    assert len(ids) > 512
    (found,) = rolling(student, [text])
    sums = 0.0
    for read, charged in _windows(ids, 1, 512):
        sums += by_hand(student, [*read, *charged], len(read))
    assert found is not None and found.nats == pytest.approx(sums, rel=1e-5)
    assert found.tokens == len(ids)


def test_rolling_remembers_what_it_computed(student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rolling(student, tiny_models.LINES, ledger=tmp_path / "ledger")
    monkeypatch.setattr("mashq.rolling.target_sums", lambda *given: pytest.fail("computed again"))
    assert rolling(student, tiny_models.LINES, ledger=tmp_path / "ledger") == first


def test_rolling_refuses_what_it_cannot_read(student: Student) -> None:
    with pytest.raises(
        MashqError, match="rolling: text 1: expected Unicode text, got half of a surrogate pair at char"
    ):
        rolling(student, ["نص", "\ud800"])
    with pytest.raises(MashqError, match="rolling: window: expected at least 1 token, got 0"):
        rolling(student, ["نص"], window=0)
    with pytest.raises(MashqError, match="rolling: begin: expected 'once' or 'tokenizer', got 'twice'"):
        rolling(student, ["نص"], begin="twice")
