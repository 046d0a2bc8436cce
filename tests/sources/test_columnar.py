"""Parquet as columns: the ids and the prompts that reading record by record gives."""

import datetime as dt
import decimal
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq import steps
from mashq.engine import Engine
from mashq.rows import MashqError
from mashq.run import Store, manifest_of, read_rows
from mashq.sources import SourceSettings, column_slices, read, read_columns
from mashq.sources.columnar import raw_row, record_of
from mashq.templates import apply, library


def tweets(n: int, start: int = 0) -> pa.Table:
    labels, dialects = ["POS", "NEG", "NEU"], ["msa", "egypt", "gulf", "levant", "magreb"]
    return pa.table(
        {
            "tweet": [f'"تغريدة رقم {i} عن الجو"' if i % 7 else f"a | {i}" for i in range(start, start + n)],
            "sarcasm": ["TRUE" if i % 5 == 0 else "FALSE" for i in range(start, start + n)],
            "sentiment": [labels[i % 3] for i in range(start, start + n)],
            "dialect": [dialects[i % 5] for i in range(start, start + n)],
        }
    )


def test_the_prompts_are_those_of_the_records(tmp_path: Path) -> None:
    folder = tmp_path / "arsarcasm_v2"
    folder.mkdir()
    pq.write_table(tweets(900), folder / "train-0.parquet", row_group_size=100)
    pq.write_table(tweets(300, 900), folder / "test-0.parquet", row_group_size=100)
    by_records = [
        apply(rows, library("arsarcasm_v2"), step="prompts")
        for rows in read(folder, SourceSettings(source="arsarcasm_v2"))
    ]
    want = {row["id"]: row for table in by_records for row in table.to_pylist() if row["dropped"] is None}
    step = steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    made = Store(tmp_path / "runs", Engine(workers=1)).make(step)
    got = {row["id"]: row for table in read_rows(made.folder) for row in table.to_pylist()}
    assert got.keys() == want.keys()
    others = [(name, row[name], want[one][name]) for one, row in got.items() for name in row]
    assert [each for each in others if each[1] != each[2]] == []
    assert {row["split"] for row in got.values()} == {"train", "test"}
    counts = made.manifest["counts"]
    assert counts["made"] == counts["kept"] + counts["dropped"] == len(want) + counts["dropped"]


def test_workers_do_not_change_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "arsarcasm_v2"
    folder.mkdir()
    pq.write_table(tweets(250_000), folder / "train.parquet", row_group_size=50_000)
    step = steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    one = Store(tmp_path / "one", Engine(workers=1)).make(step)
    two = Store(tmp_path / "two", Engine(workers=2)).make(step)
    assert len(one.manifest["parts"]) == 3
    assert one.manifest["hash"] == two.manifest["hash"]
    assert manifest_of(two.folder) is not None


def test_slices_are_row_groups_put_together(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(tweets(1_000), file, row_group_size=300)
    (one,) = column_slices(file, SourceSettings())
    assert (one["first"], one["last"], one["start"]) == ("0", "4", "0")
    found = list(read_columns(one))
    raw = pa.concat_tables(read(file))
    assert pa.concat_arrays([each.ids for each in found]).equals(raw["id"].combine_chunks())


def test_a_text_that_is_no_utf8_drops_its_record(tmp_path: Path) -> None:
    folder = tmp_path / "arsarcasm_v2"
    folder.mkdir()
    good = tweets(4).to_pydict()
    texts = pa.array([text.encode() for text in good.pop("tweet")[:3]] + [b"\xff\xfe"], pa.binary())
    broken = pa.table({"tweet": texts.view(pa.string()), **good})
    pq.write_table(broken, folder / "train.parquet")
    made = Store(tmp_path / "runs", Engine(workers=1)).make(
        steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    )
    assert made.manifest["reasons"] == {"bad UTF-8": 1}
    assert len({row["parents"][0] for table in read_rows(made.folder) for row in table.to_pylist()}) == 3


def test_what_needs_records_is_told(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(tweets(3), file)
    with pytest.raises(MashqError, match="need its records"):
        column_slices(file, SourceSettings(key_field="tweet"))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(MashqError, match="expected Parquet, got csv"):
        column_slices(tmp_path / "t.csv", SourceSettings())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(MashqError, match="whole Parquet file"):
        column_slices(file, SourceSettings())


def test_a_field_that_the_file_lacks_is_one_error(tmp_path: Path) -> None:
    folder = tmp_path / "arsarcasm_v2"
    folder.mkdir()
    pq.write_table(tweets(5).drop_columns(["sentiment"]), folder / "train.parquet")
    step = steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    with pytest.raises(MashqError, match="names field 'sentiment'"):
        Store(tmp_path / "runs", Engine(workers=1)).make(step)


# --- one record by its id --------------------------------------------------------------------------------------------


def of_every_type(n: int) -> pa.Table:
    """Values that JSON has no type for, and some that it has."""
    day, floats = dt.date(2024, 2, 29), [float("nan"), float("inf"), -0.0, 1e300, None]
    moments = pa.array([i * 1_000_000_007 for i in range(n)], pa.int64())
    return pa.table(
        {
            "text": [f"نص «{i}»\n" if i % 3 else None for i in range(n)],
            "day": [day + dt.timedelta(days=i) for i in range(n)],
            "price": [decimal.Decimal(i).scaleb(-2) for i in range(n)],
            "bytes": [bytes([i % 256, 255]) for i in range(n)],
            "share": pa.array([floats[i % 5] for i in range(n)], pa.float64()),
            "nanoseconds": moments.cast(pa.timestamp("ns")),
            "cairo": pa.array([i * 1_000_003 for i in range(n)], pa.timestamp("us", "Africa/Cairo")),
            "lasted": pa.array(range(n), pa.duration("ms")),
            "label": pa.array(["نعم", "لا"]).take(pa.array([i % 2 for i in range(n)])).dictionary_encode(),
            "large": pa.array([2**64 - 1 - i for i in range(n)], pa.uint64()),
            "nested": [{"a": [day, None], "b": {"c": i % 2 == 0}} for i in range(n)],
        }
    )


@pytest.mark.parametrize("conversation", [False, True])
def test_a_record_is_found_again_as_the_row_that_read_writes(tmp_path: Path, conversation: bool) -> None:
    file = tmp_path / "train.parquet"
    records = of_every_type(9_000)
    if conversation:
        turns = [[{"role": "user", "content": f"سؤال {i}"}] for i in range(9_000)]
        records = records.append_column("messages", pa.array(turns))
    pq.write_table(records, file, row_group_size=5_000)
    settings = SourceSettings(source="mine", version="2")
    raw = Store(tmp_path / "runs", Engine(workers=1)).make(steps.read("raw", file, settings))
    want = [row for table in read_rows(raw.folder) for row in table.to_pylist()]
    (one,) = column_slices(file, settings)
    places = [0, 1, 4_095, 4_096, 4_999, 5_000, 8_999]
    assert [raw_row(one, want[i]["id"]) for i in places] == [(f"train.parquet row {i + 1}", want[i]) for i in places]
    assert [str(record_of(one, want[i]["id"])["price"]) for i in places[:2]] == ["0.00", "0.01"]


def test_a_record_is_looked_for_in_its_slice_alone(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(tweets(250_000), folder / "train.parquet", row_group_size=50_000)
    pq.write_table(tweets(10), folder / "test.parquet")
    ids = pa.concat_tables(read(folder))["id"]
    found = column_slices(folder, SourceSettings())
    assert [int(one["rows"]) for one in found] == [10, 100_000, 100_000, 50_000]
    for place, owner in ((9, 0), (10, 1), (100_009, 1), (100_010, 2), (250_009, 3)):
        there = [record_of(one, ids[place].as_py()) for one in found]
        assert [record is not None for record in there] == [place == owner for place in range(4)]
        assert there[owner] == tweets(1, place if owner == 0 else place - 10).to_pylist()[0]
    assert record_of(found[0], b"0" * 16) is None
    assert record_of({"path": found[0]["path"]}, ids[0].as_py()) is None


def test_a_record_of_another_file_is_never_given(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(tweets(1_000), file, row_group_size=300, **plain)
    (one,) = column_slices(file, SourceSettings())
    (found, *_) = read_columns(one)
    raw_id, stat, whole = found.ids[7].as_py(), file.stat(), file.read_bytes()
    changed = whole.replace("تغريدة رقم 6 ".encode(), "تغريدة رقم 8 ".encode())
    file.write_bytes(changed)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_size, changed != whole) == (stat.st_size, True)
    with pytest.raises(MashqError, match=r"t\.parquet: expected the content \w+ .* It changed since the step read it"):
        record_of(one, raw_id)
    pq.write_table(tweets(900), file, row_group_size=300, **plain)
    with pytest.raises(MashqError, match=r"expected at least 1,000 rows, got 900\. It is shorter"):
        record_of(one, raw_id)
    file.write_bytes(whole[:-20])
    with pytest.raises(MashqError, match="expected a whole Parquet file"):
        record_of(one, raw_id)
    file.unlink()
    with pytest.raises(MashqError, match="expected the Parquet file that the step read, got no file"):
        record_of(one, raw_id)
    file.write_bytes(whole)
    assert record_of(one, raw_id) == tweets(1, 7).to_pylist()[0]


def test_a_record_that_is_no_utf8_says_so(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    texts = pa.array(["نص".encode(), b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), file)
    (one,) = column_slices(file, SourceSettings())
    (found,) = read_columns(one)
    assert record_of(one, found.ids[0].as_py()) == {"text": "نص"}
    with pytest.raises(MashqError, match=r"t\.parquet: row 2: expected a record, got bad UTF-8"):
        record_of(one, found.ids[1].as_py())
