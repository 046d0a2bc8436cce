"""Tables of raw rows and templates -> tables of prompt rows."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute
import pytest

from mashq.rows import SCHEMA, MashqError, child_ids, conform, drop, source_ids
from mashq.templates import Dataset, Forbidden, Template, apply

SET = Dataset("set", licence="MIT", variety="msa")
ASK = Template("set/ask", SET, "س: {{ q }}", ("{{ a }}",), task="qa", variety="egyptian")
TURN = Template("set/turn", SET, "{{ a }}", ("{{ q }}", "x"), task="qg", choices="أ ||| ب", when="q != 'لا'")


def raw(*records: dict[str, object], **columns: object) -> pa.Table:
    meta = [json.dumps(record, ensure_ascii=False) for record in records]
    return conform({"id": source_ids("s", "1", n=len(records)), "meta": meta, **columns})


ROWS = raw(
    {"q": "من؟", "a": "هو"},
    {"q": "لا", "a": "هي"},
    {"q": "أين؟", "a": ""},
    source="file",
    licence=["CC0-1.0", None, None],
    split="train",
    group=["g0", "g1", "g2"],
    variety=["gulf", None, "gulf"],
)


def test_every_pair_is_a_row_and_carries_what_the_raw_row_has() -> None:
    made = apply(ROWS, [ASK, TURN], step="prompts")
    raw_ids = ROWS.column("id").to_pylist()
    assert made.schema == SCHEMA
    assert made.column("template").to_pylist() == ["set/ask", "set/turn", "set/ask", "set/ask", "set/turn"]
    assert made.column("parents").to_pylist() == [[raw_ids[i]] for i in (0, 0, 1, 2, 2)]
    assert made.column("group").to_pylist() == ["g0", "g0", "g1", "g2", "g2"]
    assert made.column("split").to_pylist() == ["train"] * 5
    assert made.column("source").to_pylist() == ["file"] * 5
    assert made.column("licence").to_pylist() == ["CC0-1.0", "CC0-1.0", "MIT", "MIT", "MIT"]
    assert made.column("task").to_pylist() == ["qa", "qg", "qa", "qa", "qg"]
    assert made.column("variety").to_pylist() == ["egyptian", "gulf", "egyptian", "egyptian", "gulf"]
    assert made.column("dropped").to_pylist() == [
        None,
        None,
        None,
        "skip: empty target (template set/ask)",
        "skip: empty prompt (template set/turn)",
    ]
    assert made.column("messages").to_pylist()[:2] == [
        [{"role": "user", "content": "س: من؟"}],
        [{"role": "user", "content": "هو"}],
    ]
    assert made.column("references").to_pylist() == [["هو"], ["من؟", "x"], ["هي"], None, None]
    assert made.column("choices").to_pylist() == [None, ["أ", "ب"], None, None, None]
    assert made.column("messages").to_pylist()[3] is None


def test_a_row_that_no_template_is_for_is_dropped_once() -> None:
    second = replace(TURN, name="set/turn2")
    made = apply(ROWS, [TURN, second], step="prompts")
    reasons = made.filter(pa.compute.equal(made.column("group"), "g1")).column("dropped").to_pylist()
    assert reasons == ["skip: not for this row (template set/turn)"]


def test_ids_are_those_of_the_lineage() -> None:
    made = apply(ROWS, [ASK, TURN], step="prompts")
    for one, rows in ((ASK, ROWS), (TURN, ROWS.take([0, 2]))):
        ids = made.filter(pa.compute.equal(made.column("template"), one.name)).column("id").to_pylist()
        assert ids == child_ids(rows.column("id"), step="prompts", template=one.name).to_pylist()


def test_the_same_whether_a_table_comes_whole_or_in_slices() -> None:
    whole = apply(ROWS, [ASK, TURN], step="prompts")
    parts = [apply(part, [ASK, TURN], step="prompts") for part in (ROWS.slice(0, 1), ROWS.slice(1))]
    sliced = pa.concat_tables(parts)
    assert whole.to_pylist() == sliced.to_pylist()


def test_a_row_dropped_before_passes_through_in_its_place() -> None:
    rows = drop(ROWS, [None, "source: bad row", None])
    made = apply(rows, [ASK, TURN], step="prompts")
    assert made.num_rows == 5
    assert made.column("dropped").to_pylist()[2] == "source: bad row"
    assert made.slice(2, 1).to_pylist() == rows.slice(1, 1).to_pylist()
    assert apply(drop(ROWS, ["x"] * 3), [ASK], step="prompts").column("dropped").to_pylist() == ["x"] * 3


def test_no_rows() -> None:
    assert apply(ROWS.slice(0, 0), [ASK, TURN], step="prompts").num_rows == 0


def test_text_and_messages_are_fields_too() -> None:
    one = Template("set/t", SET, "{{ text }} {{ messages[0].content }}", ("{{ messages[-1].role }}",))
    turns = [[{"role": "user", "content": "سلام"}, {"role": "assistant", "content": "أهلا"}]]
    made = apply(conform({"id": source_ids("s", "1", n=1), "text": ["نص"], "messages": turns}), [one], step="p")
    assert made.column("messages").to_pylist()[0][0]["content"] == "نص سلام"
    assert made.column("references").to_pylist() == [["assistant"]]


def test_a_separator_in_a_field_stays() -> None:
    made = apply(raw({"q": "a|||b", "a": "c ||| d"}), [ASK], step="p")
    assert made.column("messages").to_pylist()[0][0]["content"] == "س: a|||b"
    assert made.column("references").to_pylist() == [["c ||| d"]]
    escaped = conform({"id": source_ids("s", "1", n=1), "meta": ['{"q": "a\\u007c||b", "a": "x"}']})
    assert apply(escaped, [ASK], step="p").column("messages").to_pylist()[0][0]["content"] == "س: a|||b"


def test_a_field_that_some_rows_lack_is_a_dropped_row() -> None:
    made = apply(raw({"q": "من؟", "a": "هو"}, {"q": "من؟"}), [ASK], step="p")
    assert made.column("dropped").to_pylist() == [None, "skip: no field 'a' (template set/ask)"]


def test_a_field_that_no_row_has_is_an_error_of_the_template() -> None:
    wrong = Template("set/wrong", SET, "{{ qq }}", ("x",))
    with pytest.raises(
        MashqError, match=r"template 'set/wrong' names field 'qq', which this row does not have \(q, a\).*'q'"
    ):
        apply(ROWS, [ASK, wrong], step="p")


def test_a_row_that_fails_is_dropped_and_the_others_are_kept() -> None:
    one = Template("set/n", SET, "{{ 1 / n }}", ("x",))
    made = apply(raw({"n": 2}, {"n": 0}), [one], step="p")
    assert made.column("dropped").to_pylist() == [
        None,
        "skip: error (template set/n): ZeroDivisionError: division by zero",
    ]


def test_a_hostile_template_stops_the_step() -> None:
    with pytest.raises(Forbidden, match="set/bad"):
        apply(ROWS, [Template("set/bad", SET, "{{ 'a' * 10**9 }}", ("x",))], step="p")


def test_names_must_differ() -> None:
    with pytest.raises(MashqError, match="templates with different names, got set/ask, set/ask"):
        apply(ROWS, [ASK, ASK], step="p")
    with pytest.raises(MashqError, match="got none"):
        apply(ROWS, [], step="p")


def test_meta_that_is_no_record() -> None:
    rows = conform({"id": source_ids("s", "1", n=1), "meta": ["[1]"]})
    with pytest.raises(MashqError, match="expected a JSON object"):
        apply(rows, [ASK], step="p")
