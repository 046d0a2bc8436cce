import codecs
import csv
import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.rows import MashqError
from mashq.sources import SourceSettings, read

POEM = "قفا نبكِ من ذكرى حبيبٍ ومنزلِ"


def test_fields_stand_in_meta_in_file_order(metas, write):
    path = write("a.csv", "tweet,label\nمرحبا,pos\n")
    assert [list(meta.items()) for meta in metas(path)] == [[("tweet", "مرحبا"), ("label", "pos")]]


def test_byte_order_mark_is_no_part_of_the_first_name(metas, write):
    assert metas(write("a.csv", codecs.BOM_UTF8 + b"text\nx\n")) == [{"text": "x"}]


def test_unnamed_index_column_of_pandas_is_left_out(metas, write):
    assert metas(write("a.csv", "Unnamed: 0,Story\n0,a\n1,b\n")) == [{"Story": "a"}, {"Story": "b"}]
    assert metas(write("b.csv", ",Story\n0,a\n1,b\n")) == [{"Story": "a"}, {"Story": "b"}]


def test_unnamed_first_column_of_words_is_kept(metas, write):
    assert metas(write("a.csv", ",Story\nx,a\n")) == [{"column 1": "x", "Story": "a"}]


def test_index_column_is_kept_when_it_is_the_key(rows_of, write):
    rows = rows_of(write("a.csv", "Unnamed: 0,Story\n7,a\n7,b\n"), key_field="Unnamed: 0")
    assert [row["dropped"] for row in rows] == [None, "duplicate id: line 3: '7' stands on an earlier record"]


def test_names_are_given_where_there_is_no_header(metas, write):
    path = write("reviews.tsv", "4\t338\tكتاب جميل\n1\t339\tكتاب ممل\n")
    assert metas(path, columns=("rating", "id", "review")) == [
        {"rating": "4", "id": "338", "review": "كتاب جميل"},
        {"rating": "1", "id": "339", "review": "كتاب ممل"},
    ]


def test_a_header_that_equals_the_given_names_is_no_record(metas, write):
    assert metas(write("a.csv", "x,y\n1,2\n"), columns=("x", "y")) == [{"x": "1", "y": "2"}]


def test_newlines_and_doubled_quotes_in_fields(metas, write):
    path = write("a.csv", 'n,text\n1,"سطر\nسطر ""ثان""\r\nثالث"\n2,b\n')
    assert metas(path) == [{"n": "1", "text": 'سطر\nسطر "ثان"\r\nثالث'}, {"n": "2", "text": "b"}]


def test_quotes_of_a_tsv_that_knows_no_quoting_are_text(metas, write):
    path = write("a.tsv", 'en\tar\n"Hello," he said.\t"مرحبا"، قال.\n"One" and "two"\tواحد\n')
    assert [meta["en"] for meta in metas(path)] == ['"Hello," he said.', '"One" and "two"']


def test_quotes_of_a_tsv_written_by_pandas_are_quoting(metas, write):
    path = write("a.tsv", 'en\tar\n"a\tb"\tc\n"say ""hi"""\td\n')
    assert [meta["en"] for meta in metas(path)] == ["a\tb", 'say "hi"']


def test_quotes_may_be_named(metas, write):
    path = write("a.csv", 'x,y\n"a",b\n')
    assert metas(path, quotes="literal") == [{"x": '"a"', "y": "b"}]
    assert metas(path, quotes="csv") == [{"x": "a", "y": "b"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_told_from_the_first_line(metas, write, delimiter):
    assert metas(write("a.csv", f"x{delimiter}y\n1{delimiter}2\n")) == [{"x": "1", "y": "2"}]


def test_one_column_needs_no_delimiter(metas, write):
    assert metas(write("a.csv", f"text\n{POEM}\n")) == [{"text": POEM}]


def test_gzip_and_utf_16_and_windows_1256_and_lone_returns(metas, write):
    text = "text,n\nمرحبا,1\n"
    expected = [{"text": "مرحبا", "n": "1"}]
    assert metas(write("a.csv.gz", gzip.compress(text.encode()))) == expected
    assert metas(write("b.csv", text.encode("utf-16"))) == expected
    assert metas(write("c.csv", text.encode("cp1256")), encoding="cp1256") == expected
    assert metas(write("d.csv", text.replace("\n", "\r"))) == expected


def test_ragged_line_is_dropped_with_its_text_and_the_others_stay(rows_of, write):
    rows = rows_of(write("a.csv", "x,y\n1\n2,b,c\n3,d,,\n4,e\n"))
    assert [(row["dropped"], row["text"]) for row in rows] == [
        ("ragged: line 2: 1 fields, expected 2", "1\n"),
        ("ragged: line 3: 3 fields, expected 2", "2,b,c\n"),
        (None, None),
        (None, None),
    ]
    assert rows[2]["meta"] == {"x": "3", "y": "d"}


def test_stray_quote_drops_its_record_only(rows_of, write):
    path = write("a.csv", 'x,y\n1,"a, b"\n2,"he said "hi" there"\n3,"c, d"\n')
    rows = rows_of(path)
    assert [row["dropped"] for row in rows] == [None, "stray quote: line 3: ',' expected after '\"'", None]
    assert rows[1]["text"] == '2,"he said "hi" there"\n'


def test_a_quote_that_nothing_closes_does_not_swallow_the_file(rows_of, write):
    lines = "".join(f'{i},"t, {i}"\n' for i in range(5, 10))
    rows = rows_of(write("a.csv", 'x,y\n1,"a, b"\n2,"open\n3,c\n4,d\n' + lines))
    assert [row["dropped"] for row in rows] == [None, "unclosed quote: line 3: nothing closes it", *[None] * 7]
    assert [row["meta"]["x"] for row in rows if not row["dropped"]] == ["1", "3", "4", "5", "6", "7", "8", "9"]


def test_an_unclosed_quote_in_the_last_lines(rows_of, write):
    rows = rows_of(write("a.csv", 'x,y\n1,"a, b"\n2,"open\n3,c\n'), quotes="csv")
    assert [(row["dropped"], row["text"]) for row in rows][1] == (
        "unclosed quote: line 3: nothing closes it",
        '2,"open\n',
    )
    assert rows[2]["meta"] == {"x": "3", "y": "c"}


def test_the_rest_of_a_broken_field_never_passes_for_a_record(rows_of, write):
    rows = rows_of(write("a.csv", 'x,y\n1,"first line\nsecond "line" here\nthird"\n2,"b, c"\n'), quotes="csv")
    assert [row["dropped"] and row["dropped"].partition(":")[0] for row in rows] == ["stray quote", "ragged", None]
    assert rows[2]["meta"] == {"x": "2", "y": "b, c"}


def test_bad_bytes_drop_their_line(rows_of, write):
    rows = rows_of(write("a.csv", b"x,y\n1,\xd9\x85\n2,\xff\xfe\n3,ok\n"))
    assert [row["dropped"] for row in rows] == [None, "bad UTF-8: line 3", None]
    assert rows[1]["text"] == "2,\\xff\\xfe\n"


def test_a_record_above_the_limit_is_dropped_and_cut(rows_of, write):
    rows = rows_of(write("a.csv", "x,y\n1," + "ا" * (1 << 20) + "\n2,b\n"), largest_record_mb=1)
    assert rows[0]["dropped"] == "too long: line 2: more than 1,048,576 bytes"
    assert len(rows[0]["text"]) < 3_000
    assert rows[1]["meta"] == {"x": "2", "y": "b"}


def test_an_unclosed_quote_cannot_fill_the_memory(rows_of, write):
    path = write("a.csv", 'x,y\n1,"open\n' + "".join(f"{i},{'b' * 50}\n" for i in range(2, 40_000)))
    rows = rows_of(path, largest_record_mb=1, quotes="csv")
    assert rows[0]["dropped"] == "unclosed quote: line 2: nothing closes it"
    assert [row["meta"]["x"] for row in rows[1:]] == [str(i) for i in range(2, 40_000)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,x\n1,2\n", "a.csv, line 1: the column 'x' stands twice in the header"),
        ("4,338,7878381\n1,2,3\n", "line 1: expected names of columns in the first line, got what looks like a record"),
        ("x" * 121 + ",y\n1,2\n", "got what looks like a record"),
        ('"x,y\n1,"2, 3"\n', "line 1: expected names of columns, got a line whose quotes do not close"),
        ("\n\n\n", "the file holds blank lines only"),
        ("x,y\n", "the source holds no record"),
    ],
)
def test_a_header_that_cannot_be_is_one_error(write, content, message):
    with pytest.raises(MashqError, match=message):
        list(read(write("a.csv", content)))


def test_too_few_given_names_are_an_error(write):
    with pytest.raises(MashqError, match=r"columns names 1 columns \(x\), the first line has 2"):
        list(read(write("a.csv", "1,2\n"), SourceSettings(columns=("x",))))


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ['"', '""', 'قال "نعم"', "a,b", "سطر\nآخر", "a\tb", " ", "١٢"]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(cells, cells.filter(lambda cell: cell.strip())), min_size=1, max_size=8))
def test_what_python_writes_as_csv_is_read_back(tmp_path_factory, lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("first", "second"), *lines])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.getvalue().encode())
    read_back = [json.loads(meta) for table in read(path) for meta in table.column("meta").to_pylist()]
    assert [(meta["first"], meta["second"]) for meta in read_back] == lines
