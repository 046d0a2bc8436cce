"""JSON asked for by a schema, and JSON found in what a model says."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.lm import Decoding, Request, key_of, seed_of
from mashq.lm.structured import canonical, parsed, response_format
from mashq.rows import MashqError

SHORT = Decoding(max_new_tokens=8)


def test_a_schema_has_one_spelling_and_keeps_its_order() -> None:
    schema = {"type": "object", "properties": {"ب": {"type": "string"}, "ا": {"type": "integer"}}}
    spaced = json.dumps(schema, indent=2)
    assert canonical(schema) == canonical(spaced) == canonical(canonical(spaced))
    assert canonical(schema) == '{"type":"object","properties":{"ب":{"type":"string"},"ا":{"type":"integer"}}}'
    assert Request(prompt="a", decoding=SHORT, schema=spaced) == Request(
        prompt="a", decoding=SHORT, schema=canonical(schema)
    )


@pytest.mark.parametrize("schema", ["{", "[]", "3", "", '{"a": NaN}'])
def test_what_is_no_schema_is_refused(schema: str) -> None:
    with pytest.raises(MashqError, match="schema: expected a JSON"):
        Request(prompt="a", decoding=SHORT, schema=schema)


def test_a_schema_changes_the_key_and_its_absence_does_not() -> None:
    plain = Request(messages=(("user", "سؤال"),), decoding=SHORT)
    held = Request(messages=(("user", "سؤال"),), decoding=SHORT, schema='{"type":"object"}')
    assert key_of("m", plain).hex() == "810b3bb1d5640c0259cdcabf863a7026"  # as it was before there were schemas
    assert key_of("m", held) != key_of("m", plain)
    assert seed_of(held) == seed_of(plain)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {}}}}, False),
        ({"anyOf": [{"properties": {"a": {}}, "required": ["a"], "additionalProperties": False}]}, True),
        ({"properties": {"a": {}}, "required": True, "additionalProperties": False}, False),  # draft 3
        ({"properties": {"a": {}}, "required": None, "additionalProperties": False}, False),
        ({"properties": {"a": {}}, "required": [["a"]], "additionalProperties": False}, False),
        ({"properties": {}, "additionalProperties": False}, True),
    ],
)
def test_strict_is_asked_for_where_a_schema_allows_it(schema: object, strict: bool) -> None:
    assert response_format(canonical(schema))["json_schema"]["strict"] is strict


def nested(depth: int) -> dict[str, object]:
    inner: dict[str, object] = {}
    for _ in range(depth - 1):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize("depth", [201, 600, 990, 3000, 100_000])
def test_a_schema_nested_without_measure_is_refused(depth: int) -> None:
    for schema in (nested(depth), '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)):
        with pytest.raises(MashqError, match="schema: expected a JSON schema"):
            canonical(schema)
        if depth > 3000:
            break  # Python itself frees such a mapping slowly


def test_a_deep_schema_is_taken_up_to_the_limit() -> None:
    assert response_format(canonical(nested(200)))["json_schema"]["strict"] is True
    with pytest.raises(MashqError, match="at most 200 levels, got 201 levels"):
        canonical(nested(201))


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" \n[1, 2]\n", [1, 2]),
        ('```json\n{"نص": "سلام"}\n```', {"نص": "سلام"}),
        ('بالتأكيد! إليك المطلوب:\n```\n{"a": [1, {"b": "}"}]}\n```\nهل تريد المزيد؟', {"a": [1, {"b": "}"}]}),
        ('<think>{"a": 0} or {"a": 2}?</think>{"a": 1}', {"a": 1}),
        ('<think>ربما {"city": "القاهرة"}؟ لا، السؤال عن المغرب', None),  # no end: it is all thought
        ('حسنًا. <think>ربما {"city": "القاهرة"}', None),
        ('{"city": "الرباط"}\n<think>أو {"city": "الدار البيضاء، أكبر مدنها"}', {"city": "الرباط"}),
        ('أولًا {"city": "القاهرة"}، لا.\n</think>\n{"city": "الرباط"}', {"city": "الرباط"}),
        ('<think>{"a": 0}</think>{"a": 1}<think>{"a": 2}</think>{"a": 3}', {"a": 3}),
        ('{"tag": "</think>"}', {"tag": "</think>"}),  # the whole reply is JSON: the mark is a word in it
        ('الجواب: {"tag": "<think>"} انتهى', {"tag": "<think>"}),
        ('انظر [1] ثم {"a": "قال: \\"نعم\\" {"} انتهى', {"a": 'قال: "نعم" {'}),
        ('the set {x, y} is {"a": 1}', {"a": 1}),
        ('"نص"', "نص"),
        ("لا شيء هنا", None),
        ("", None),
        ('{"a": 1,}', None),  # a comma too many is a fault, not a reply
        ('{"turns": [{"a": 1}, {"a": 2}', None),  # cut off: its pieces are not the reply
        ('الرقم [1] والجواب {"turns": [{"a": 1}, {"a"', None),
        ('{"a": NaN}', None),
        ('{"a": "\\ud800"}', None),  # no Unicode text
        ("[" * 100_000, None),
        ("[" * 5000 + "]" * 5000, None),
    ],
)
def test_json_is_found_in_what_a_model_says(reply: str, value: object) -> None:
    assert parsed(reply) == value


@given(
    st.recursive(st.integers(-9, 9) | st.text(max_size=5), lambda inner: st.dictionaries(st.text(max_size=3), inner))
)
def test_an_object_comes_back_from_a_fence_with_words_around(value: object) -> None:
    said = json.dumps({"v": value}, ensure_ascii=False)
    assert parsed(f"إليك الجواب:\n```json\n{said}\n```\nانتهى.") == {"v": value}


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    found = parsed(text)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "piece", ["{", '"', '{"a": "\\"', "[1,", '{"a": {"b": ', "\\", "[[1]] ", '{"a" ', "<think>", "</think>", "} {"]
)
def test_the_time_grows_with_the_length_alone(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        begun = time.process_time()
        parsed(text)
        return time.process_time() - begun

    assert seconds(1_000_000) < 1.0
