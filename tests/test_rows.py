import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq import rows
from mashq.rows import MashqError


def test_ids_do_not_depend_on_how_the_source_is_cut():
    whole = rows.source_ids("arcd", "1", n=1000)
    halves = [*rows.source_ids("arcd", "1", n=400), *rows.source_ids("arcd", "1", start=400, n=600)]
    assert whole.to_pylist() == [one.as_py() for one in halves]


def test_ids_are_stable_across_versions_of_mashq():
    """Golden: a changed id would orphan every row made before. Made with rows.source_ids and rows.child_ids."""
    first = rows.source_ids("arcd", "1", n=1)
    assert first[0].as_py().hex() == GOLDEN_SOURCE
    assert rows.child_ids(first, step="prompts", template="arcd/answer", repetition=2)[0].as_py().hex() == GOLDEN_CHILD
    assert rows.source_ids("arcd", "1", keys=["q1"])[0].as_py().hex() == GOLDEN_KEY


GOLDEN_SOURCE = "7c033d8f14a5de9efecee7d05a3f5e8e"
GOLDEN_CHILD = "da9d867f5e6e9928986fe67df50d9c33"
GOLDEN_KEY = "7162d2ac749094d8dc496ac7c1aed4f4"


def test_source_version_key_step_template_and_repetition_each_change_the_id():
    parent = rows.source_ids("a", "1", n=1)
    made = [
        parent,
        rows.source_ids("b", "1", n=1),
        rows.source_ids("a", "2", n=1),
        rows.source_ids("a", "1", keys=["0"]),
        rows.child_ids(parent, step="s"),
        rows.child_ids(parent, step="t"),
        rows.child_ids(parent, step="s", template="x"),
        rows.child_ids(parent, step="s", template="x", repetition=1),
        rows.child_ids(parent, step="s", template="x", repetition=np.array([2])),
    ]
    assert len({one[0].as_py() for one in made}) == len(made)


def test_two_million_children_never_collide():
    parents = rows.source_ids("big", "1", n=1_000_000)
    words = [rows.id_words(rows.child_ids(parents, step="s", repetition=turn)) for turn in (0, 1)]
    assert len(np.unique(np.concatenate(words)[:, 0])) == 2_000_000


@given(st.lists(st.text(max_size=8), min_size=1, max_size=20, unique=True))
def test_distinct_keys_have_distinct_ids(keys):
    assert len(set(rows.source_ids("s", "1", keys=keys).to_pylist())) == len(keys)


def test_id_words_of_slices_and_chunks():
    ids = rows.source_ids("s", "1", n=10)
    assert (rows.id_words(ids.slice(3, 4)) == rows.id_words(ids)[3:7]).all()
    assert (rows.id_words(pa.chunked_array([ids.slice(0, 4), ids.slice(4)])) == rows.id_words(ids)).all()
    assert rows.id_words(ids.slice(0, 0)).shape == (0, 2)


def test_conform_fills_absent_columns_and_spreads_a_string():
    table = rows.conform({"id": rows.source_ids("s", "1", n=2), "licence": "MIT", "references": [["نعم"], None]})
    assert table.schema == rows.SCHEMA
    assert table["licence"].to_pylist() == ["MIT", "MIT"]
    assert table["references"].to_pylist() == [["نعم"], None]
    assert table["text"].null_count == 2


def test_conform_names_the_unknown_column_and_the_nearest():
    with pytest.raises(MashqError, match=r"no column 'refrences'.*Did you mean 'references'\?"):
        rows.conform({"id": rows.source_ids("s", "1", n=1), "refrences": [["x"]]})


def test_conform_wants_ids_and_types():
    with pytest.raises(MashqError, match="need the column 'id'"):
        rows.conform({"text": ["x"]})
    with pytest.raises(MashqError, match="column 'text' does not hold string"):
        rows.conform({"id": rows.source_ids("s", "1", n=1), "text": [7]})


def test_drop_keeps_the_first_reason():
    table = rows.conform({"id": rows.source_ids("s", "1", n=3), "text": "x"})
    table = rows.drop(table, ["short: 1 words < 3", None, None])
    table = rows.drop(table, ["later: x", None, "copy: y"])
    assert table["dropped"].to_pylist() == ["short: 1 words < 3", None, "copy: y"]


def test_a_part_has_the_same_bytes_however_its_rows_came(tmp_path):
    table = rows.conform({"id": rows.source_ids("s", "1", n=40_000), "text": "نص", "source": "s"})
    receipts = []
    for size in (40_000, 777, 16_384):
        writer = rows.PartWriter(tmp_path / f"{size}.parquet")
        for start in range(0, table.num_rows, size):
            writer.write(table.slice(start, size))
        receipts.append(writer.close())
    assert len({receipt.hash for receipt in receipts}) == 1
    assert receipts[0].rows == 40_000
    back = pa.concat_tables(rows.read_part(tmp_path / "777.parquet"))
    assert back.equals(table.combine_chunks()) or back.to_pylist() == table.to_pylist()


def test_nothing_is_at_the_path_before_close(tmp_path):
    writer = rows.PartWriter(tmp_path / "part.parquet")
    writer.write(rows.conform({"id": rows.source_ids("s", "1", n=5)}))
    assert not (tmp_path / "part.parquet").exists()
    assert writer.close().bytes == (tmp_path / "part.parquet").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["part.parquet"]
