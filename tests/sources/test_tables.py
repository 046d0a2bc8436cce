import datetime
import json
import zipfile
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workbook import sheet_xml, write_xlsx

from mashq.rows import MashqError
from mashq.sources import SourceSettings, read, sniff, xlsx


def test_parquet_rows_with_every_common_type(metas, tmp_path):
    table = pa.table(
        {
            "text": ["مرحبا", None],
            "n": pa.array([1, 2], pa.int32()),
            "share": [0.5, float("nan")],
            "tags": [["a"], []],
            "at": pa.array([0, 1], pa.timestamp("ns")),
            "day": pa.array([0, 1], pa.date32()),
            "price": [Decimal("1.50"), None],
            "label": pa.array(["x", "y"]).dictionary_encode(),
            "nested": [{"a": 1}, None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert metas(tmp_path / "a.parquet")[0] == {
        "text": "مرحبا",
        "n": 1,
        "share": 0.5,
        "tags": ["a"],
        "at": "1970-01-01 00:00:00.000000000",
        "day": "1970-01-01",
        "price": "1.50",
        "label": "x",
        "nested": {"a": 1},
    }
    assert metas(tmp_path / "a.parquet")[1]["share"] is None


def test_a_parquet_cell_that_is_not_utf8_drops_its_row(rows_of, tmp_path):
    text = pa.array([b"ok", b"\xff\xfe", b"ok"]).cast(pa.binary())
    text = pa.StringArray.from_buffers(3, text.buffers()[1], text.buffers()[2])
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    rows = rows_of(tmp_path / "a.parquet")
    assert [row["dropped"] for row in rows] == [None, "bad UTF-8: row 2: invalid start byte", None]
    assert rows[1]["text"] == '{"text":"\\\\xff\\\\xfe"}'


def test_a_truncated_parquet_is_an_error(tmp_path):
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "whole.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-40])
    with pytest.raises(
        MashqError, match=r"a.parquet: expected a whole Parquet file, got: Parquet magic bytes not found"
    ):
        list(read(tmp_path / "a.parquet"))


def test_a_parquet_column_that_stands_twice_is_an_error(tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(
        MashqError, match=r"a.parquet: the column 'text' stands twice. Give the columns different names"
    ):
        list(read(tmp_path / "a.parquet"))


def test_a_named_column_that_parquet_does_not_have_is_an_error(tmp_path):
    pq.write_table(pa.table({"tweet": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(MashqError, match=r"text_field names the column 'tweets', .* \(tweet\). Did you mean 'tweet'\?"):
        list(read(tmp_path / "a.parquet", SourceSettings(text_field="tweets")))


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow_in_both_formats(metas, tmp_path, kind):
    table = pa.table({"text": [f"نص {i}" for i in range(3000)]})
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with new(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert metas(tmp_path / "a.arrow") == table.to_pylist()


def test_a_truncated_arrow_stream_is_an_error(tmp_path):
    table = pa.table({"text": ["x" * 1000] * 100})
    with pa.ipc.new_stream(str(tmp_path / "whole"), table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.arrow").write_bytes((tmp_path / "whole").read_bytes()[:5000])
    with pytest.raises(MashqError, match=r"a.arrow: expected a whole Arrow file, got: "):
        list(read(tmp_path / "a.arrow"))


def test_an_arrow_cell_that_is_not_utf8_drops_its_row(rows_of, tmp_path):
    text = pa.array([b"ok", b"\xff\xfe", b"ok"])
    text = pa.StringArray.from_buffers(3, text.buffers()[1], text.buffers()[2])
    table = pa.table({"text": text})
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert [row["dropped"] for row in rows_of(tmp_path / "a.arrow")] == [
        None,
        "bad UTF-8: row 2: invalid start byte",
        None,
    ]


def test_arrow_offsets_that_point_outside_are_an_error_and_not_a_crash(tmp_path):
    table = pa.table({"text": ["ab", "cd"]})
    with pa.ipc.new_stream(str(tmp_path / "good.arrow"), table.schema) as writer:
        writer.write_table(table)
    content = (tmp_path / "good.arrow").read_bytes()
    whole, broken = (np.array([0, 2, end], dtype=np.int32).tobytes() for end in (4, 2**30))
    assert content.count(whole) == 1
    (tmp_path / "a.arrow").write_bytes(content.replace(whole, broken))
    with pytest.raises(MashqError, match=r"a.arrow: expected a whole Arrow file, got: "):
        list(read(tmp_path / "a.arrow"))


# --- XLSX ------------------------------------------------------------------------------------------------------------


def test_cells_of_a_workbook(metas, tmp_path):
    rows = [["ID", "Feed", "Score"], [1, "مرحبا", 0.5], [None, None, None], [2, "=cmd|'/c calc'!A1", ("1+1", 2)]]
    path = write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml(rows)})
    assert metas(path) == [
        {"ID": 1, "Feed": "مرحبا", "Score": 0.5},
        {"ID": 2, "Feed": "=cmd|'/c calc'!A1", "Score": 2},  # a formula is the value that was saved with it
    ]


def test_a_workbook_without_a_header(metas, tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml([[1, "a"], [2, "b"]])})
    assert metas(path, columns=("n", "text")) == [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]


def test_dates_are_iso_text():
    assert xlsx._value(datetime.datetime(2024, 1, 2, 3, 4)) == "2024-01-02T03:04:00"
    assert json.dumps(xlsx._value(datetime.timedelta(hours=1))) == '"1:00:00"'


def test_the_sheet_is_named_where_several_hold_cells(metas, tmp_path):
    path = write_xlsx(
        tmp_path / "a.xlsx", {"new": sheet_xml([["x"], [1]]), "old": sheet_xml([["x"], [2]]), "none": sheet_xml([])}
    )
    with pytest.raises(MashqError, match=r"several sheets hold cells \(new, old\). Choose one with sheet='new'"):
        list(read(path))
    assert metas(path, sheet="old") == [{"x": 2}]
    with pytest.raises(MashqError, match=r"no sheet named 'olds' \(new, old, none\). Did you mean 'old'\?"):
        list(read(path, SourceSettings(sheet="olds")))


def test_a_workbook_that_is_no_zip_archive_is_an_error(write):
    with pytest.raises(
        MashqError, match=r"a.xlsx: expected a workbook \(.xlsx is a zip archive\), got: File is not a zip file"
    ):
        list(read(write("a.xlsx", "ID,Feed\n1,x\n")))


def test_a_zip_archive_that_is_no_workbook_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(MashqError, match=r"a.xlsx: expected a workbook \(.xlsx\), got: "):
        list(read(tmp_path / "a.xlsx"))


def test_a_truncated_workbook_is_an_error(tmp_path):
    path = write_xlsx(tmp_path / "whole.xlsx", {"1": sheet_xml([["x"], [1]])})
    (tmp_path / "a.xlsx").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(MashqError, match=r"a.xlsx: expected a workbook .* fetch it again"):
        list(read(tmp_path / "a.xlsx"))


def test_a_workbook_that_unpacks_beyond_measure_is_refused(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml([["x"], ["0" * (80 << 20)]])})
    with pytest.raises(MashqError, match=r"sheet1.xml' unpacks from .* it looks like a decompression bomb"):
        list(read(path))


def test_the_declared_size_of_a_member_is_not_believed(tmp_path):
    path = write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml([["x"], ["0" * (3 << 20)]])})
    size = len(sheet_xml([["x"], ["0" * (3 << 20)]])).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(MashqError, match=r"expected at most .* it looks like a decompression bomb"):
        list(read(path, SourceSettings(largest_file_mb=2)))


@pytest.mark.parametrize(
    "far",
    [
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        "<row r='1048576'><c r = 'XFD1048576'><v>1</v></c></row>",
        "<row>" + "<c><v>1</v></c>" * 16_000 + "</row>" + "<row/>" * 5_000,
    ],
)
def test_a_sheet_that_spreads_over_billions_of_cells_is_refused(tmp_path, far):
    path = write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml([["x"], [1]]).replace("</sheetData>", far + "</sheetData>")})
    with pytest.raises(MashqError, match=r"spreads over .* rows x .* columns, expected at most 64,000,000 cells"):
        list(read(path))


def test_shapes_are_told(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    assert sniff(tmp_path / "a.parquet") == "parquet"
    assert sniff(write_xlsx(tmp_path / "a.xlsx", {"1": sheet_xml([["x"], [1]])})) == "xlsx"
