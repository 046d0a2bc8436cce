import gzip
import json

import pytest

from mashq.rows import MashqError
from mashq.sources import SourceSettings, read, sniff

RECORDS = [{"text": "مرحبا", "n": 1}, {"text": "وداعا", "n": 2}]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)


@pytest.mark.parametrize(
    ("name", "content", "shape"),
    [
        ("a.jsonl", LINES, "jsonl"),
        ("a.ndjson", LINES.replace("\n", "\r\n\r\n"), "jsonl"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0), "jsonl"),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES.encode(), "jsonl"),
        ("a.json", LINES, "jsonl"),  # JSON lines under the wrong name
        ("a.jsonl", json.dumps(RECORDS), "json"),  # and the other way round
        ("a.json", json.dumps(RECORDS, indent=2), "json"),
        ("a.json.gz", gzip.compress(json.dumps(RECORDS).encode(), mtime=0), "json"),
        ("a.json", json.dumps({"version": "1", "data": RECORDS}), "json"),
        ("a.json", json.dumps({"text": ["مرحبا", "وداعا"], "n": [1, 2]}), "json"),
        ("a.json", json.dumps({"text": {"0": "مرحبا", "1": "وداعا"}, "n": {"0": 1, "1": 2}}), "json"),
        ("a.json", json.dumps({"0": RECORDS[0], "1": RECORDS[1]}), "json"),
    ],
)
def test_every_layout_of_json_gives_the_same_records(metas, write, name, content, shape):
    path = write(name, content)
    assert sniff(path) == shape
    assert metas(path) == RECORDS


def test_one_line_is_json_lines_too(metas, write):
    assert metas(write("a.jsonl", '{"text": "a"}\n')) == [{"text": "a"}]


def test_meta_keeps_arabic_readable_and_keys_in_order(write):
    (table,) = read(write("a.jsonl", '{"b": "\\u0645", "a": 1.5}\n'))
    assert table.column("meta").to_pylist() == ['{"b":"م","a":1.5}']


def test_nan_which_is_not_json_is_null(metas, write):
    assert metas(write("a.jsonl", '{"a": NaN, "b": "x"}\n')) == [{"a": None, "b": "x"}]


def test_whole_numbers_beyond_64_bits_are_kept(metas, write):
    assert metas(write("a.jsonl", '{"a": 123456789012345678901234567890}\n')) == [{"a": 123456789012345678901234567890}]


def test_bad_lines_are_dropped_rows_with_their_text(drops, write):
    good = '{"a": 1}\n'
    lines = [good, '{"a": \n', "[1]\n", '{"a": "\\ud83d"}\n', "oops\n", good]
    assert drops(write("a.jsonl", "".join(lines))) == [
        ("unparsable: line 2: Input data was truncated", '{"a": \n'),
        ("wrong type: line 3: expected an object, got an array", "[1]\n"),
        ("unparsable: line 4: Input data was truncated", '{"a": "\\ud83d"}\n'),
        ("unparsable: line 5: JSON is malformed: invalid character (byte 0)", "oops\n"),
    ]


def test_bad_utf8_drops_one_line(drops, write):
    assert drops(write("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n{"a": 2}\n')) == [
        ("bad UTF-8: line 2: invalid start byte", '{"a": "\\xff"}\n')
    ]


def test_bad_utf8_drops_one_record_of_a_list(rows_of, write):
    rows = rows_of(write("a.json", b'[{"a": 1},\n{"a": "\xff"},\n{"a": 2}]'))
    assert [row["dropped"] for row in rows] == [None, "bad UTF-8: record 2: invalid start byte", None]
    assert rows[1]["text"] == '{"a": "\\xff"}'


def test_nesting_without_end_drops_one_line(drops, write):
    ((reason, raw),) = drops(write("a.jsonl", '{"a": 1}\n' + "[" * 100_000 + "\n"))
    assert reason.startswith("unparsable: line 2: maximum recursion depth exceeded")
    assert raw is not None and raw.startswith("[[[")


def test_a_line_above_the_limit_is_dropped_and_cut(rows_of, write):
    rows = rows_of(write("a.jsonl", '{"a": "' + "ا" * (1 << 20) + '"}\n{"a": 2}\n'), largest_record_mb=1)
    assert [row["dropped"] for row in rows] == ["too long: line 1: more than 1,048,576 bytes", None]


def test_a_record_of_the_wrong_type_in_a_list_is_dropped(drops, write):
    assert drops(write("a.json", '[{"a": 1}, "x", null]')) == [
        ("wrong type: record 2: expected an object, got a string", '"x"'),
        ("wrong type: record 3: expected an object, got null", "null"),
    ]


def test_the_list_is_named_where_there_are_several(metas, write):
    path = write("a.json", json.dumps({"train": RECORDS, "test": RECORDS[:1]}))
    with pytest.raises(MashqError, match=r"several lists of objects \(train, test\). Choose one with entry='train'"):
        list(read(path))
    assert metas(path, entry="test") == RECORDS[:1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '[{"a": 1},\n {"b": 2', "expected one JSON document, got Input data was truncated at the end"),
        ("a.json", '[{"a": 1},\n {"b" 2}]', r"JSON is malformed: .* line 2 near"),
        ("a.json", "[1, 2]", "expected a list of objects, got a list of which the first is a number"),
        ("a.json", "[]", "the source holds no record"),
        ("a.json", '"text"', "expected a list of objects, got a string"),
        ("a.json", '{"a": 1, "b": "x"}', "got an object with a, b. Name the list with entry=…"),
        (
            "a.json",
            b'{"a": [{"b":\n1}\n,\n{"b":"\xff"}]}',
            r"the JSON holds bytes that are not UTF-8 \(invalid start byte\)",
        ),
        ("a.jsonl", "not json\nat all\n", r"expected a JSON object on every line, got none \(unparsable: line 1"),
        ("a.jsonl", "\n\n", "got none but blank lines"),
    ],
)
def test_a_file_that_is_not_json_is_one_error(write, name, content, message):
    with pytest.raises(MashqError, match=message):
        list(read(write(name, content)))


def test_an_unknown_entry_lists_what_there_is(write):
    with pytest.raises(MashqError, match=r"entry 'rows' is not there: 'rows' is none of \(data\)"):
        list(read(write("a.json", json.dumps({"data": RECORDS})), SourceSettings(entry="rows")))


def test_a_document_above_the_limit_is_an_error(write):
    path = write("a.json", json.dumps([{"a": "x" * (1 << 20)}]))
    with pytest.raises(MashqError, match=r"larger than largest_file_mb=1. Write it as JSON lines"):
        list(read(path, SourceSettings(largest_file_mb=1)))


# --- SQuAD -----------------------------------------------------------------------------------------------------------

CONTEXT = "وُلد ابن بطوطة في طنجة سنة 1304."


def squad(answers, **question):
    start = {"question": "أين وُلد ابن بطوطة؟", "id": "q1", "answers": answers}
    return json.dumps(
        {"data": [{"title": "ابن بطوطة", "paragraphs": [{"context": CONTEXT, "qas": [start | question]}]}]}
    )


def test_a_question_becomes_a_record_and_the_article_its_group(rows_of, write):
    path = write("a.json", squad([{"text": "طنجة", "answer_start": CONTEXT.index("طنجة")}]))
    assert sniff(path) == "squad"
    (row,) = rows_of(path)
    assert row["group"] == "ابن بطوطة"
    assert row["meta"] == {
        "id": "q1",
        "title": "ابن بطوطة",
        "context": CONTEXT,
        "question": "أين وُلد ابن بطوطة؟",
        "answers": {"text": ["طنجة"], "answer_start": [CONTEXT.index("طنجة")]},
    }


def test_a_wrong_offset_drops_the_answer_and_keeps_the_question_with_the_others(rows_of, write):
    right = {"text": "طنجة", "answer_start": CONTEXT.index("طنجة")}
    (row,) = rows_of(write("a.json", squad([{"text": "طنجة", "answer_start": 3}, right])))
    assert row["dropped"] is None
    assert row["meta"]["answers"]["text"] == ["طنجة"]
    assert row["meta"]["dropped_answers"][0]["answer"]["answer_start"] == 3
    assert row["meta"]["dropped_answers"][0]["reason"].startswith("answer offset: 3: the context has")


def test_a_question_without_a_right_answer_is_dropped(rows_of, write):
    (row,) = rows_of(write("a.json", squad([{"text": "طنجة!", "answer_start": CONTEXT.index("طنجة")}])))
    assert row["dropped"] == "answer offset: 18: the context has 'طنجة ', expected 'طنجة!', unequal at character 4"
    assert row["meta"]["question"] == "أين وُلد ابن بطوطة؟"


def test_an_impossible_question_of_squad_2_is_kept(rows_of, write):
    (row,) = rows_of(write("a.json", squad([], is_impossible=True)))
    assert (row["dropped"], row["meta"]["answers"]["text"], row["meta"]["is_impossible"]) == (None, [], True)


def test_faults_inside_squad_name_article_paragraph_and_question(drops, write):
    document = {
        "data": [
            {
                "title": "a",
                "paragraphs": [{"context": "x", "qas": [{"id": "1"}, {"question": "?", "id": "2", "answers": []}]}],
            },
            {"title": "b", "paragraphs": [{"qas": []}]},
            {"title": "c", "paragraphs": "x"},
        ]
    }
    assert [reason for reason, _ in drops(write("a.json", json.dumps(document)))] == [
        "missing field: article 1, paragraph 1, question 1 has no 'question'",
        "missing field: article 2, paragraph 1 has no 'context'",
        "wrong type: article 3: 'paragraphs' is a string, expected a list",
    ]


def test_duplicate_question_ids_drop_the_second(rows_of, write):
    question = {"question": "?", "id": "1", "answers": []}
    document = {"data": [{"title": "a", "paragraphs": [{"context": "x", "qas": [question, question]}]}]}
    rows = rows_of(write("a.json", json.dumps(document)))
    assert [row["dropped"] for row in rows] == [
        None,
        "duplicate id: article 1, paragraph 1, question 2: '1' stands on an earlier record",
    ]


def test_a_file_given_as_squad_that_is_not_is_an_error(write):
    with pytest.raises(MashqError, match=r"expected SQuAD .*, got text"):
        list(read(write("a.json", '{"text": "x"}'), SourceSettings(shape="squad")))


# --- conversations ---------------------------------------------------------------------------------------------------

OPENAI = [
    {"role": "system", "content": "أنت مساعد."},
    {"role": "user", "content": "مرحبا"},
    {"role": "assistant", "content": "أهلا"},
]
SHAREGPT = [
    {"from": "system", "value": "أنت مساعد."},
    {"from": "human", "value": "مرحبا"},
    {"from": "gpt", "value": "أهلا"},
]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": OPENAI},
        {"conversations": SHAREGPT},
        {"messages": json.dumps(OPENAI)},
        {"conversations": json.dumps(SHAREGPT, ensure_ascii=False)},
        {"messages": [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in OPENAI]},
    ],
)
def test_conversations_of_every_layout_become_messages(rows_of, write, record):
    (row,) = rows_of(write("a.jsonl", json.dumps(record | {"topic": "x"}) + "\n"))
    assert row["messages"] == OPENAI
    assert row["meta"] == {"topic": "x"}
    assert row["dropped"] is None


def test_a_conversation_in_a_csv_is_json_text(rows_of, write):
    path = write("a.csv", 'id,chat\n1,"' + json.dumps(SHAREGPT).replace('"', '""') + '"\n')
    (row,) = rows_of(path, messages_field="chat")
    assert row["messages"] == OPENAI


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([{"role": "tool", "content": "x"}], "unknown role: line 1: turn 1 is by 'tool', expected one of system"),
        ([{"role": "user", "content": None}], "wrong type: line 1: the 'content' of turn 1 is no text"),
        ([{"role": "user"}], "missing field: line 1: turn 1 has role, expected role and content, or from and value"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "wrong type: line 1: the 'content' of turn 1 is no text",
        ),
        ([], "empty conversation: line 1"),
        (3, "wrong type: line 1: the conversation is a number, expected a list of turns"),
        ("[{", "unparsable: line 1: the conversation is text, expected JSON"),
    ],
)
def test_a_conversation_that_cannot_be_read_is_a_dropped_row(rows_of, write, turns, reason):
    path = write("a.jsonl", json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": OPENAI}) + "\n")
    rows = rows_of(path, messages_field="messages")
    assert rows[0]["dropped"].startswith(reason)
    assert rows[0]["meta"] == {"messages": turns}
    assert rows[1]["dropped"] is None


def test_a_field_called_messages_that_is_no_conversation_stays_a_field(metas, write):
    assert metas(write("a.jsonl", '{"messages": 3}\n')) == [{"messages": 3}]
