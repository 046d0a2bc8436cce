import gzip
import json
import subprocess
import sys
import tracemalloc

import pytest

from mashq.rows import MashqError
from mashq.sources import ROWS, Fault, Shape, SourceSettings, files, lookup, read, register, registry

TWEETS = "id,tweet,sarcasm,dialect,user,part\n1,مرحبا,TRUE,egypt,u1,train\n2,وداعا,FALSE,msa,u1,dev\n"


def test_columns_of_a_row_come_from_settings_and_fields(rows_of, write):
    rows = rows_of(
        write("tweets.csv", TWEETS),
        source="arsarcasm",
        licence="MIT",
        text_field="tweet",
        key_field="id",
        group_field="user",
        variety_field="dialect",
        varieties={"egypt": "egyptian"},
        split_field="part",
        types={"sarcasm": "bool", "id": "int"},
    )
    assert [[row[name] for name in ("text", "group", "variety", "split", "source", "licence")] for row in rows] == [
        ["مرحبا", "u1", "egyptian", "train", "arsarcasm", "MIT"],
        ["وداعا", "u1", "msa", "validation", "arsarcasm", "MIT"],
    ]
    assert [(row["meta"]["id"], row["meta"]["sarcasm"]) for row in rows] == [(1, True), (2, False)]


def test_the_default_group_is_the_record_itself(rows_of, write):
    rows = rows_of(write("a.csv", "x\n1\n1\n"))
    assert [row["group"] for row in rows] == [row["id"].hex() for row in rows]


def test_ids_depend_on_source_version_and_position_not_on_content_or_path(rows_of, write):
    first = [row["id"] for row in rows_of(write("a.csv", "x\n1\n2\n"))]
    assert [row["id"] for row in rows_of(write("b/a.csv", "x\n3\n4\n"))] == first
    assert [row["id"] for row in rows_of(write("b.csv", "x\n1\n2\n"), source="a")] == first
    assert not {row["id"] for row in rows_of(write("a.csv", "x\n1\n2\n"), version="2")} & set(first)


def test_ids_from_keys_do_not_depend_on_the_order(rows_of, write):
    one = rows_of(write("a.csv", "id,x\n1,a\n2,b\n"), key_field="id")
    two = rows_of(write("a.csv", "id,x\n2,b\n1,a\n"), key_field="id")
    assert {row["meta"]["x"]: row["id"] for row in one} == {row["meta"]["x"]: row["id"] for row in two}


def test_fields_inside_objects_are_named_with_dots(rows_of, write):
    path = write("a.jsonl", '{"question": {"stem": "سؤال"}, "a.b": 1}\n')
    assert rows_of(path, text_field="question.stem")[0]["text"] == "سؤال"
    assert lookup({"question": {"stem": 1}, "a.b": 2}, "a.b") == 2
    with pytest.raises(KeyError):
        lookup({"question": {"stem": 1}}, "question.stem.x")


@pytest.mark.parametrize(
    ("record", "settings", "reason"),
    [
        ({"b": 1}, {"text_field": "text"}, "missing field: line 2: no 'text' (text_field)"),
        ({"text": None}, {"text_field": "text"}, "missing field: line 2: 'text' is null (text_field)"),
        ({"text": 3}, {"text_field": "text"}, "wrong type: line 2: 'text' is a number, expected text (text_field)"),
        ({"id": ""}, {"key_field": "id"}, "missing field: line 2: 'id' is empty (key_field)"),
        (
            {"id": [1]},
            {"key_field": "id"},
            "wrong type: line 2: 'id' is an array, expected text or a whole number (key_field)",
        ),
        ({"id": "a1"}, {"key_field": "id"}, "duplicate id: line 2: 'a1' stands on an earlier record"),
        (
            {"id": "fa-1"},
            {"key_field": "id", "key_prefix": "a"},
            "not selected: line 2: the key 'fa-1' does not begin with 'a'",
        ),
        ({"part": "x"}, {"split_field": "part"}, "unknown split: line 2: 'x', expected one of train"),
        (
            {"flag": "maybe"},
            {"types": {"flag": "bool"}},
            "wrong type: line 2: 'flag' is 'maybe', expected true or false",
        ),
        ({"n": "1.5"}, {"types": {"n": "int"}}, "wrong type: line 2: 'n' is '1.5', expected a whole number"),
        ({"list": "[1"}, {"types": {"list": "json"}}, "wrong type: line 2: 'list' is '[1', expected JSON"),
    ],
)
def test_a_record_that_does_not_fit_the_settings_is_dropped(rows_of, write, record, settings, reason):
    good = {"text": "x", "id": "a1", "part": "train", "flag": "no", "n": "1", "list": "[1]"}
    rows = rows_of(write("a.jsonl", json.dumps(good) + "\n" + json.dumps(record) + "\n"), **settings)
    assert rows[0]["dropped"] is None
    assert rows[1]["dropped"].startswith(reason)
    assert rows[1]["meta"] == (None if reason.startswith("not selected") else record)


def test_a_field_that_no_record_has_is_an_error_and_not_a_thousand_dropped_rows(write):
    path = write("a.jsonl", '{"tweet": "x"}\n' * 3)
    with pytest.raises(
        MashqError,
        match=r"text_field names the field 'twet', which none of the first 3 records has \(tweet\). Did you mean",
    ):
        list(read(path, SourceSettings(text_field="twet")))


def test_a_column_that_the_header_does_not_have_is_an_error(write):
    with pytest.raises(
        MashqError, match=r"a.csv, line 1: key_field names the column 'key', which the file does not have \(id, x\)"
    ):
        list(read(write("a.csv", "id,x\n1,2\n"), SourceSettings(key_field="key")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quotes": "cvs"}, r"quotes: expected one of auto, csv, literal, got 'cvs'. Did you mean 'csv'\?"),
        ({"split": "tests"}, r"split: expected one of train, validation, test, got 'tests'. Did you mean 'test'\?"),
        ({"types": {"a": "boolean"}}, r"types\['a'\]: expected one of text, bool, int, float, json, got 'boolean'"),
        ({"delimiter": "::"}, "delimiter: expected one character, got '::'"),
        ({"columns": ("a", "a")}, "columns: expected different names, got a, a"),
        ({"encoding": "cp12567"}, "no codec named 'cp12567'. Arabic files not in utf-8 are most often cp1256"),
        ({"largest_record_mb": 0}, "expected at least 1"),
    ],
)
def test_settings_that_nothing_understands_are_refused(settings, message):
    with pytest.raises(MashqError, match=message):
        SourceSettings(**settings)


# --- splits as files of indices --------------------------------------------------------------------------------------


def test_splits_given_as_files_of_row_indices(rows_of, write):
    path = write("reviews.tsv", "x\ty\n" + "".join(f"{i}\tr\n" for i in range(5)))
    files = {"train": str(write("train.txt", "0\n3\n")), "test": str(write("test.json", "[1, 4]"))}
    rows = rows_of(path, split_files=files)
    assert [row["split"] for row in rows] == ["train", "test", None, "train", "test"]
    assert rows[2]["dropped"] == "not selected: row 2 is in none of the split files"
    shifted = {"train": str(write("one.txt", "1\n4\n"))}
    assert [row["split"] for row in rows_of(path, split_files=shifted, first_index=1)] == [
        "train",
        None,
        None,
        "train",
        None,
    ]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            "0\n1\n",
            "1\n",
            "test.txt: 1 rows are also in the split 'train', the first is row 1|1 rows are also in the split 'test'",
        ),
        ("0\n", "7\n", "test.txt: names row 7, but the data has 5 rows counted from 0"),
        ("0\n", "x\n", "test.txt: expected row indices, one whole number a line or a JSON list of them"),
        ("0\n", "[0.5]", "test.txt: expected row indices"),
        ("0\n", "-1\n", "test.txt: holds an index below first_index=0"),
        ("0\n", "", r"test.txt: the file is empty \(0 bytes\)"),
    ],
)
def test_split_files_that_cannot_be_meant_are_an_error(write, train, test, message):
    path = write("a.csv", "x\n" + "1\n" * 5)
    files = {"train": str(write("train.txt", train)), "test": str(write("test.txt", test))}
    with pytest.raises(MashqError, match=message):
        list(read(path, SourceSettings(split_files=files)))


# --- text, gzip, sizes -----------------------------------------------------------------------------------------------


def test_every_line_of_a_text_is_a_record_and_a_blank_one_is_dropped(rows_of, write):
    rows = rows_of(write("a.txt", "سطر\r\n\n  آخر\n"))
    assert [(row["meta"], row["dropped"]) for row in rows] == [
        ({"text": "سطر"}, None),
        (None, "empty line: line 2"),
        ({"text": "  آخر"}, None),
    ]


def test_bad_utf8_in_one_line_of_text(drops, write):
    assert drops(write("a.txt", b"x\ny\n\xff\n")) == [("bad UTF-8: line 3: invalid start byte", "\\xff\n")]


def test_a_truncated_gzip_is_an_error(write):
    packed = gzip.compress("".join(f'{{"a": {i * 7919 % 10007}}}\n' for i in range(50_000)).encode())
    with pytest.raises(
        MashqError, match=r"a.jsonl.gz: the gzip data ends too early, after .* truncated. Fetch it again"
    ):
        list(read(write("a.jsonl.gz", packed[: len(packed) // 2])))


def test_a_broken_gzip_is_an_error(write):
    packed = bytearray(gzip.compress(b'{"a": 1}\n' * 10))
    packed[-6] ^= 0xFF  # the checksum
    with pytest.raises(MashqError, match=r"a.jsonl.gz: the gzip data is broken .*CRC check failed"):
        list(read(write("a.jsonl.gz", bytes(packed))))


def test_a_gzip_bomb_is_refused(write, monkeypatch):
    monkeypatch.setattr(files, "BOMB_BYTES", 1 << 18)
    with pytest.raises(
        MashqError, match=r"unpacks to more than 300 times its size, .* it looks like a decompression bomb"
    ):
        list(read(write("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 100_000))))


def test_a_file_that_is_not_utf8_at_all_is_an_error(write):
    lines = "نص,وسم\n" + "مرحبا,1\n" * 9
    with pytest.raises(
        MashqError,
        match=r"expected UTF-8, but 10 of the first 10 lines are not. .* Windows-1256: give encoding='cp1256'",
    ):
        list(read(write("a.csv", lines.encode("cp1256"))))
    with pytest.raises(MashqError, match=r"got UTF-16 without a byte order mark. Give encoding='utf-16-le'"):
        list(read(write("b.csv", lines.encode("utf-16-le"))))


def test_a_wrong_encoding_is_an_error(write):
    with pytest.raises(MashqError, match=r"byte 2 is not ascii .*Give the file's encoding"):
        list(read(write("a.csv", "x\nمرحبا\n"), SourceSettings(encoding="ascii")))


def test_tables_are_cut_by_rows_and_by_bytes(write):
    small = write("a.jsonl", '{"a": 1}\n' * (ROWS + 1))
    assert [table.num_rows for table in read(small)] == [ROWS, 1]
    large = write("b.jsonl", (json.dumps({"a": "x" * (1 << 20)}) + "\n") * 70)
    assert [table.num_rows for table in read(large)] == [64, 6]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_memory_stays_flat(write, name):
    line = {"a.csv": "نص " * 50 + ",1\n", "a.jsonl": json.dumps({"a": "نص " * 50}) + "\n", "a.txt": "نص " * 50 + "\n"}[
        name
    ]
    head = "x,y\n" if name == "a.csv" else ""

    def peak(n):
        path = write(name, head + line * n)
        tracemalloc.start()
        try:
            for _ in read(path):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(15_000) < 1.2 * peak(5_000)


def test_importing_sources_loads_no_model_library():
    heavy = ("torch", "transformers", "daft", "matplotlib", "scipy", "huggingface_hub")
    code = f"import sys, mashq.sources; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- a shape of one's own --------------------------------------------------------------------------------------------


def poems(path, settings):
    for number, poem in enumerate(path.read_text().split("%"), 1):
        yield number, {"poem": poem.strip()} if poem.strip() else Fault("empty poem", poem)


def test_a_new_shape_is_one_function(rows_of, write):
    path = write("a.poems", "أ % ب %% ج")
    with pytest.raises(MashqError, match=r"no reader for the ending '.poems'"):
        list(read(path))
    register(Shape("poems", "poems parted by percent signs", poems, (".poems",), unit="poem"))
    try:
        rows = rows_of(path, text_field="poem")
    finally:
        del registry._SHAPES["poems"]
    assert [(row["text"], row["dropped"]) for row in rows] == [
        ("أ", None),
        ("ب", None),
        (None, "empty poem"),
        ("ج", None),
    ]


def test_a_name_or_ending_that_is_taken_is_refused():
    with pytest.raises(MashqError, match="there is a shape named 'csv' already"):
        register(Shape("csv", "", lambda path, settings: iter(())))
    with pytest.raises(MashqError, match=r"the ending '.csv' of 'mine' belongs to 'csv'"):
        register(Shape("mine", "", lambda path, settings: iter(()), (".csv",)))
