"""Parquet as columns: the ids and the prompts that reading record by record gives."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq import steps
from mashq.engine import Engine
from mashq.rows import MashqError
from mashq.run import Store, manifest_of, read_rows
from mashq.sources import SourceSettings, column_slices, read, read_columns
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
