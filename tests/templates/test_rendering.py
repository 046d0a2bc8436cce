"""One template, one row: what is written, what is skipped and why, what is an error."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.rows import MashqError
from mashq.templates import Dataset, Dialect, Rendered, Template, Turn, render
from mashq.templates.rendering import used_fields

ID = b"\x01" * 16


def template(prompt: str, *targets: str, **more: object) -> Template:
    return Template(name="t/one", dataset=Dataset("t"), prompt=prompt, targets=targets, **more)  # type: ignore[arg-type]


def test_prompt_and_target() -> None:
    made = render(template("ما عاصمة {{ country }}؟", "{{ capital }}"), {"country": "مصر", "capital": "القاهرة"}, ID)
    assert made == Rendered((("user", "ما عاصمة مصر؟"),), ("القاهرة",), ())
    assert isinstance(made, Rendered)
    assert made.prompt == "ما عاصمة مصر؟"


def test_target_behind_the_separator() -> None:
    made = render(template("س: {{ q }} ||| {{ a }}"), {"q": "من؟", "a": "سعاد"}, ID)
    assert made == Rendered((("user", "س: من؟"),), ("سعاد",))


def test_a_separator_in_a_value_does_not_divide() -> None:
    row = {"q": "a ||| b", "list": ["c|||d"], "record": {"x": "e||||f"}}
    made = render(template("{{ q }} {{ list[0] }} {{ record.x }}", "{{ q }}"), row, ID)
    assert made == Rendered((("user", "a ||| b c|||d e||||f"),), ("a ||| b",))


def test_a_separator_in_a_choice_value_does_not_divide() -> None:
    made = render(template("{{ q }}", "{{ answer_choices[0] }}", choices="{{ q }} ||| لا"), {"q": "نعم|||أجل"}, ID)
    assert made == Rendered((("user", "نعم|||أجل"),), ("نعم|||أجل",), ("نعم|||أجل", "لا"))


def test_a_noncharacter_in_a_value_is_a_fault_of_the_row() -> None:
    with pytest.raises(MashqError, match="noncharacter"):
        render(template("{{ q }}", "x"), {"q": "a\ufdd0b"}, ID)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0\ufdd1")))
def test_a_value_comes_through_untouched(text: str) -> None:
    """Marks, ligatures, bidi, tatweel: between two words nothing of a value changes."""
    made = render(template("أ{{ q }}ب", "ج{{ q }}د"), {"q": text}, ID)
    assert made == Rendered((("user", f"أ{text}ب"),), (f"ج{text}د",))


def test_arabic_marks_are_kept() -> None:
    text = (
        "كَتَبَ \N{ARABIC TATWEEL}\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM} "
        "\N{ARABIC LIGATURE LAM WITH ALEF ISOLATED FORM}"
        "\N{RIGHT-TO-LEFT MARK} ١٢٣ \N{ZERO WIDTH NON-JOINER}ـه"
    )
    made = render(template("«{{ q }}»", "{{ q }}"), {"q": text}, ID)
    assert isinstance(made, Rendered)
    assert (made.prompt, made.references) == (f"«{text}»", (text,))


def test_fields_may_have_arabic_names() -> None:
    made = render(template("{{ السؤال }} {{ row['نص الجواب'] }}", "ن"), {"السؤال": "من؟", "نص الجواب": "أنا"}, ID)
    assert isinstance(made, Rendered)
    assert made.prompt == "من؟ أنا"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"q": "  ", "a": "x"}, "skip: empty prompt (template t/one)"),
        ({"q": "x", "a": "\n"}, "skip: empty target (template t/one)"),
        ({"q": "x", "a": None}, "skip: empty target (template t/one)"),
        ({"q": "x", "a": []}, "skip: a list of 0 has no item 0 (template t/one)"),
    ],
)
def test_skipped_with_a_reason(row: dict[str, object], reason: str) -> None:
    target = "{{ a[0] }}" if isinstance(row["a"], list) else "{{ a }}"
    assert render(template("{{ q }}", target), row, ID) == reason


def test_when_says_which_rows_a_template_is_for() -> None:
    one = template("{{ q }}", "x", when="dialect == 'egypt'")
    assert render(one, {"q": "ازيك", "dialect": "msa"}, ID) == "skip: not for this row (template t/one)"
    assert isinstance(render(one, {"q": "ازيك", "dialect": "egypt"}, ID), Rendered)


def test_choices_are_for_the_rows_that_when_keeps() -> None:
    one = template("{{ q }}", "x", when="options", choices="{{ options[0] }} ||| {{ options[1] }}")
    assert render(one, {"q": "ما؟", "options": []}, ID) == "skip: not for this row (template t/one)"
    made = render(one, {"q": "ما؟", "options": ["أ", "ب"]}, ID)
    assert isinstance(made, Rendered)
    assert made.choices == ("أ", "ب")


def test_several_targets_in_order_without_repetition() -> None:
    one = template("{{ q }}", "{{ answers | join('|||') }}", "{{ other }}")
    made = render(one, {"q": "؟", "answers": ["أ", "ب", "أ"], "other": ""}, ID)
    assert isinstance(made, Rendered)
    assert made.references == ("أ", "ب")


def test_system_and_earlier_turns() -> None:
    one = template(
        "{{ q }}", "{{ a }}", system="كن موجزًا.", turns=(Turn("user", "{{ c }}"), Turn("assistant", "قرأت."))
    )
    made = render(one, {"q": "من؟", "a": "هو", "c": "نص"}, ID)
    assert isinstance(made, Rendered)
    assert made.messages == (("system", "كن موجزًا."), ("user", "نص"), ("assistant", "قرأت."), ("user", "من؟"))
    assert render(one, {"q": "من؟", "a": "هو", "c": " "}, ID) == "skip: empty turn 2 (template t/one)"


def test_what_the_prompt_sets_the_target_sees() -> None:
    made = render(template("{% set x = words | choice %}{{ x }}", "{{ x }}"), {"words": ["أ", "ب", "ج"]}, ID)
    assert isinstance(made, Rendered)
    assert made.references == (made.prompt,)


def test_a_tag_alone_on_its_line_leaves_no_empty_line() -> None:
    one = template("أ\n  {% for w in words %}\n- {{ w }}\n  {% endfor %}\nب", "x")
    made = render(one, {"words": ["1", "2"]}, ID)
    assert isinstance(made, Rendered)
    assert made.prompt == "أ\n- 1\n- 2\nب"


def test_a_field_is_found_before_a_method_of_its_name() -> None:
    made = render(template("{{ r.items }} {{ r.count }}", "x"), {"r": {"items": "أ", "count": 2}}, ID)
    assert isinstance(made, Rendered)
    assert made.prompt == "أ 2"


def test_choice_depends_on_row_and_template_and_on_nothing_else() -> None:
    one, words = template("{{ words | choice }}{{ choice(words) }}", "x"), [str(i) for i in range(50)]
    first = [render(one, {"words": words}, bytes([i]) * 16) for i in range(40)]
    assert first == [render(one, {"words": words}, bytes([i]) * 16) for i in range(40)]
    prompts = [made.prompt for made in first if isinstance(made, Rendered)]
    assert len(set(prompts)) > 30
    assert any(prompt[: len(prompt) // 2] != prompt[len(prompt) // 2 :] for prompt in prompts)
    other = Template(name="t/two", dataset=Dataset("t"), prompt=one.prompt, targets=("x",))
    assert [render(other, {"words": words}, bytes([i]) * 16) for i in range(40)] != first


def test_choice_is_even() -> None:
    one, counts = template("{{ [0, 1, 2] | choice }}", "x"), [0, 0, 0]
    for i in range(3000):
        made = render(one, {}, i.to_bytes(16, "big"))
        assert isinstance(made, Rendered)
        counts[int(made.prompt)] += 1
    assert min(counts) > 900


def test_the_first_choice_is_pinned() -> None:
    """Another machine, another day: the same words. A change here changes every data set made with `choice`."""
    made = render(template("{{ range(1000) | choice }} {{ range(1000) | choice }}", "x"), {}, ID)
    assert isinstance(made, Rendered)
    assert made.prompt == "146 85"


def test_a_missing_field_names_template_field_known_and_nearest() -> None:
    with pytest.raises(
        MashqError,
        match=r"template 't/one' names field 'contxt', which this row does not have \(id, context\)\. Did.*'context'\?",
    ):
        render(template("{{ contxt }}", "x"), {"id": 1, "context": "نص"}, ID)


def test_a_missing_field_of_a_record_too() -> None:
    with pytest.raises(MashqError, match=r"names field 'stm', which this record does not have \(stem\).*'stem'"):
        render(template("{{ question.stm }}", "x"), {"question": {"stem": "نص"}}, ID)


def test_is_defined_and_default_ask_before_they_use() -> None:
    one = template("{% if hint is defined %}{{ hint }}{% endif %}{{ q | default('بلا سؤال') }}", "x")
    made = render(one, {}, ID)
    assert isinstance(made, Rendered)
    assert made.prompt == "بلا سؤال"


def test_a_failing_expression_is_a_clear_error() -> None:
    with pytest.raises(MashqError, match=r"template 't/one' fails on a row: TypeError"):
        render(template("{{ q + 1 }}", "x"), {"q": "نص"}, ID)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{{ q.strip }}", r"it needs its brackets: name\(\)"),
        ("{{ [q.strip] | map('string') | list }}", "brackets"),
        ("{{ shout(q) }}", "names field 'shout'"),
        ("{{ [q] | map('upper') }}", r"it needs `\| list` or"),
    ],
)
def test_an_address_in_memory_is_never_written(prompt: str, message: str) -> None:
    with pytest.raises(MashqError, match=message):
        render(template(prompt, "x"), {"q": "نص"}, ID)


def test_used_fields() -> None:
    one = template("{% set x = a.b %}{{ x }}{{ row.z }}", "{{ x }}{{ c }}", when="d", choices="{{ e }}")
    assert used_fields(one) == {"a", "c", "d", "e"}


def test_a_template_goes_to_a_worker_and_back() -> None:
    one = template("{{ q }}", "x")
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.fingerprint == pickle.loads(pickle.dumps(one)).fingerprint
    assert one.fingerprint != template("{{ q }} ", "x").fingerprint


def test_plain_and_promptsource_differ_where_they_say() -> None:
    row = {"none": None}
    plain = render(template("أ{% if true %}\nب{% endif %}{{ none }}", "x"), row, ID)
    source = render(template("أ{% if true %}\nب{% endif %}{{ none }} ||| x", dialect=Dialect.PROMPTSOURCE), row, ID)
    assert isinstance(plain, Rendered)
    assert isinstance(source, Rendered)
    assert (plain.prompt, source.prompt) == ("أب", "أ\nبNone")
