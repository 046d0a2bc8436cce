import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mashq.rows import SCHEMA, MashqError
from mashq.sources import SourceSettings, read, sniff
from mashq.sources.natural_instructions import licence_of, prompt

TASK = {
    "Contributors": ["ليلى"],
    "Source": ["arcd"],
    "URL": ["https://example.org/arcd"],
    "Categories": ["Question Answering", "Text Span Selection"],
    "Reasoning": [],
    "Definition": ["أجب عن السؤال بكلمة واحدة.\n"],
    "Input_language": ["Arabic"],
    "Output_language": ["Arabic"],
    "Instruction_language": ["Arabic"],
    "Domains": ["Wikipedia"],
    "Positive Examples": [
        {"input": "ما عاصمة مصر؟", "output": "القاهرة", "explanation": "هي العاصمة."},
        {"input": "ما عاصمة العراق؟", "output": ["بغداد", "مدينة السلام"], "explanation": ""},
    ],
    "Negative Examples": [{"input": "ما عاصمة اليمن؟", "output": "عدن", "explanation": "العاصمة صنعاء."}],
    "Instances": [
        {"id": "task9-a", "input": "ما عاصمة الأردن؟", "output": ["عمّان"]},
        {"id": "task9-b", "input": "ما عاصمة المغرب؟", "output": "الرباط"},
        {"id": "task9-c", "input": "ما عاصمة عُمان؟", "output": ["مسقط", "مدينة مسقط"], "level": 2},
    ],
    "Instance License": ["CC BY-SA 4.0"],
}


def task(**changes):
    return json.dumps({name: value for name, value in (TASK | changes).items() if value is not Ellipsis}, indent=4)


def test_a_task_is_told_by_its_content_and_becomes_prompt_rows(rows_of, write):
    path = write("task9_arcd.json", task())
    assert sniff(path) == "natural_instructions"
    rows = rows_of(path)
    assert [row["messages"] for row in rows] == [
        [{"role": "user", "content": f"أجب عن السؤال بكلمة واحدة.\n\n{one['input']}"}] for one in TASK["Instances"]
    ]
    assert [row["references"] for row in rows] == [["عمّان"], ["الرباط"], ["مسقط", "مدينة مسقط"]]
    assert {(row["task"], row["template"], row["licence"], row["source"]) for row in rows} == {
        ("Question Answering", "task9_arcd", "CC-BY-SA-4.0", "task9_arcd")
    }
    assert [row["dropped"] for row in rows] == [None] * 3


@pytest.mark.parametrize("name", ["t.json", "t.json.gz", "t.jsonl"])
def test_one_line_packed_or_misnamed_is_the_same(rows_of, write, name):
    line = json.dumps(TASK, ensure_ascii=False).encode()
    rows = rows_of(write(name, gzip.compress(line) if name.endswith("gz") else line))
    assert len(rows) == 3
    assert rows[0]["references"] == ["عمّان"]


def test_meta_keeps_all_that_the_file_says_of_the_instance_and_its_task(rows_of, write):
    rows = rows_of(write("t.json", task()))
    about = {name: value for name, value in TASK.items() if name != "Instances"}
    assert rows[2]["meta"] == {"id": "task9-c", "input": "ما عاصمة عُمان؟", "more": {"level": 2}, "about": about}


def test_the_group_is_the_task_and_the_input(rows_of, write):
    same = [{"input": "أ", "output": "ب"}, {"input": "أ", "output": "ج"}, {"input": "د", "output": "ه"}]
    first, second, third = (row["group"] for row in rows_of(write("t.json", task(Instances=same))))
    assert first == second != third
    assert first.startswith("t:")
    assert rows_of(write("u.json", task(Instances=same)))[0]["group"] != first


def test_positive_examples_as_turns(rows_of, write):
    rows = rows_of(write("t.json", task()), examples=2)
    assert rows[0]["messages"] == [
        {"role": "user", "content": "أجب عن السؤال بكلمة واحدة.\n\nما عاصمة مصر؟"},
        {"role": "assistant", "content": "القاهرة"},
        {"role": "user", "content": "ما عاصمة العراق؟"},
        {"role": "assistant", "content": "بغداد"},
        {"role": "user", "content": "ما عاصمة الأردن؟"},
    ]
    assert rows_of(write("t.json", task()), examples=9)[0]["messages"] == rows[0]["messages"]  # fewer are all there are


def test_positive_examples_inside_the_prompt(rows_of, write):
    (turn,) = rows_of(write("t.json", task()), examples=1, examples_as="prompt")[0]["messages"]
    assert turn["content"] == (
        "أجب عن السؤال بكلمة واحدة.\n\nالمدخل: ما عاصمة مصر؟\nالمخرج: القاهرة\n\nالمدخل: ما عاصمة الأردن؟\nالمخرج:"
    )
    (turn,) = prompt(TASK | {"Instruction_language": ["English"]}, "س", 1, "prompt")
    assert turn["content"].endswith("Input: س\nOutput:")


def test_an_example_is_never_shown_before_its_own_input():
    turns = prompt(TASK, "ما عاصمة مصر؟", examples=1)
    assert [turn["content"] for turn in turns if turn["role"] == "assistant"] == ["بغداد"]


def test_definition_and_languages_may_be_text(rows_of, write):
    path = write("t.json", task(Definition="عرّف.", Categories="Definition", Input_language="Arabic"))
    row = rows_of(path)[0]
    assert row["messages"][0]["content"] == "عرّف.\n\nما عاصمة الأردن؟"
    assert row["task"] == "Definition"


def test_without_definition_text_the_input_is_the_prompt(rows_of, write):
    assert rows_of(write("t.json", task(Definition=[""])))[0]["messages"][0]["content"] == "ما عاصمة الأردن؟"


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"Instance License": ["CC BY 4.0"]}, "CC-BY-4.0"),
        ({"Instance License": ["Apache 2.0", "MIT License"]}, "Apache-2.0 AND MIT"),
        ({"License": "CC0 1.0"}, "CC0-1.0"),
        ({"Instance License": ["House rules, see page 3"]}, "House rules, see page 3"),
        ({"Instance License": ["Unknown"]}, None),
        ({}, None),
    ],
)
def test_the_licence_is_the_files_own_as_spdx_where_it_can_be_told(said, licence):
    assert licence_of(said) == licence


def test_the_files_licence_goes_before_the_settings_which_stands_in_where_it_says_nothing(rows_of, write):
    assert rows_of(write("t.json", task()), licence="MIT")[0]["licence"] == "CC-BY-SA-4.0"
    assert rows_of(write("t.json", task(**{"Instance License": ["Unknown"]})), licence="MIT")[0]["licence"] == "MIT"


def test_ids_follow_the_instances_own_ids_task_by_task(rows_of, write, tmp_path):
    write("tasks/a.json", task())
    write("tasks/b.json", task(Instances=TASK["Instances"][::-1]))
    rows = rows_of(tmp_path / "tasks")
    assert [row["dropped"] for row in rows] == [None] * 6
    write("tasks/a.json", task(Instances=TASK["Instances"][::-1]))
    assert {row["id"] for row in rows_of(tmp_path / "tasks")} == {row["id"] for row in rows}


def test_words_of_a_tasks_name_are_no_split_and_those_of_its_folder_are(rows_of, write, tmp_path):
    assert rows_of(write("task1338_equity_evaluation.json", task()))[0]["split"] is None
    write("tasks/test/task1_train.json", task())
    write("tasks/train/task2_test.json", task())
    assert [(row["template"], row["split"]) for row in rows_of(tmp_path / "tasks")][::3] == [
        ("task1_train", "test"),
        ("task2_test", "train"),
    ]


# --- bad instances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        ("x", "wrong type: instance 2: expected an object, got a string"),
        ({"output": "x"}, "missing field: instance 2 has no 'input'"),
        ({"input": "x"}, "missing field: instance 2 has no 'output'"),
        ({"input": 3, "output": "x"}, "wrong type: instance 2: 'input' is a number, expected text"),
        ({"input": " \n", "output": "x"}, "empty input: instance 2"),
        ({"input": "x", "output": []}, "empty output: instance 2 has none"),
        ({"input": "x", "output": ["a", ""]}, "empty output: instance 2: output 2"),
        ({"input": "x", "output": ["a", 10**400]}, "wrong type: instance 2: output 2 is a number, expected text"),
        (
            {"input": "x", "output": {}},
            "wrong type: instance 2: 'output' is an object, expected text or a list of texts",
        ),
        ({"id": [1], "input": "x", "output": "y"}, None),
        ({"id": "task9-a", "input": "x", "output": "y"}, "duplicate id: instance 2: 't:task9-a' stands on an earlier"),
    ],
)
def test_a_bad_instance_is_a_dropped_row_with_its_reason(rows_of, write, instance, reason):
    first, last = TASK["Instances"][0], TASK["Instances"][2]
    rows = rows_of(write("t.json", task(Instances=[first, instance, last])))
    assert [row["dropped"] is None for row in rows] == [True, reason is None, True]
    assert reason is None or rows[1]["dropped"].startswith(reason)


def test_bad_utf8_in_an_instance_drops_it_alone(drops, write):
    data = json.dumps(TASK, ensure_ascii=False, indent=1).encode().replace("ما عاصمة المغرب؟".encode(), b"\xff\xfe")
    ((reason, raw),) = drops(write("t.json", data))
    assert reason.startswith("bad UTF-8: instance 2: ")
    assert "\\xff\\xfe" in raw


def test_nesting_without_end_in_an_instance_is_one_dropped_row_or_one_error(write):
    deep = json.dumps(TASK)[:-1].replace('"task9-b"', "[" * 100_000 + "]" * 100_000) + "}"
    path = write("t.json", deep)
    try:
        rows = [row for table in read(path) for row in table.to_pylist()]
        assert sum(row["dropped"] is not None for row in rows) == 1
    except MashqError as error:
        assert "nested too deep" in str(error)


def test_whole_numbers_of_any_size_are_kept(rows_of, write):
    instances = [{"input": "x", "output": "y", "n": 10**30}]
    assert rows_of(write("t.json", task(Instances=instances)))[0]["meta"]["more"] == {"n": 10**30}


# --- bad files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"Definition": ...},
            r"t.json: 'Definition': expected text or a list of texts, got no such field \(Contributors",
        ),
        ({"Definition": 3}, "'Definition': expected text or a list of texts, got a number"),
        ({"Definition": []}, "'Definition': expected text or a list of texts, got an empty array"),
        ({"Definition": ["a", None]}, "'Definition': expected text or a list of texts, got an array with null"),
        ({"Categories": {"a": 1}}, "'Categories': expected text or a list of texts, got an object"),
        ({"Instances": ...}, "'Instances': expected a list of objects, got no such field"),
        ({"Instances": {}}, "'Instances': expected a list of objects, got an object"),
        ({"Instances": []}, "t.json: 'Instances': expected at least one instance, got an empty array"),
        ({"Positive Examples": "x"}, "'Positive Examples': expected a list of objects, got a string"),
        ({"Positive Examples": ["x"]}, "'Positive Examples, example 1': expected an object, got a string"),
        ({"Positive Examples": [{"output": "x"}]}, "'Positive Examples, example 1': expected a text 'input', got none"),
        ({"Negative Examples": [{"input": "x", "output": 1}]}, "example 1': expected a text 'output', got a number"),
    ],
)
def test_a_field_that_is_wrong_is_an_error_that_names_file_field_expected_and_got(write, changes, message):
    with pytest.raises(MashqError, match=message):
        list(read(write("t.json", task(**changes)), SourceSettings(shape="natural_instructions")))


def test_every_fault_of_a_file_is_told_at_once(write):
    with pytest.raises(MashqError) as error:
        list(read(write("t.json", task(Definition=3, Categories=4, Instances=[]))))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected an object with Definition and Instances, got an array"),
        (task()[:-60], "t.json: expected one JSON document, got Input data was truncated at the end"),
        (b'{"Definition":\n"\xff",\n"Instances": [{"input": "a", "output": "b"}]}', "bytes that are not UTF-8"),
        ('{"Definition": ' + "[" * 100_000, "nested too deep"),
        ("", "the file is empty"),
    ],
)
def test_a_file_that_is_no_task_is_one_error(write, content, message):
    with pytest.raises(MashqError, match=message):
        list(read(write("t.json", content), SourceSettings(shape="natural_instructions")))


def test_settings_that_cannot_be_meant_are_an_error():
    with pytest.raises(MashqError, match="examples: expected 0 or more, got -1"):
        SourceSettings(examples=-1)
    with pytest.raises(
        MashqError, match=r"examples_as: expected one of turns, prompt, got 'turn'. Did you mean 'turns'"
    ):
        SourceSettings(examples_as="turn")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_give_rows_or_one_error(tmp_path_factory, data):
    content = bytearray(json.dumps(TASK, ensure_ascii=False).encode())
    pieces = st.sampled_from([b"", b'"', b"\xff", b"{", b"]", b"null", b"1e999", b"NaN", b"\\ud800", b":", b"9" * 5000])
    for _ in range(data.draw(st.integers(1, 4))):
        at, cut = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 6))
        content[at : at + cut] = data.draw(pieces | st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / "any_task.json"
    path.write_bytes(content)
    try:
        for table in read(path, SourceSettings(shape="natural_instructions", examples=1)):
            assert table.schema == SCHEMA
            table.validate(full=True)
    except MashqError as error:
        assert "any_task.json" in str(error)
