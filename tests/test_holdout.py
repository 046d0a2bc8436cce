from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from mashq.holdout import HeldOut, Published, held_names, held_splits
from mashq.rows import MashqError, conform, source_ids


def table(rows: list[tuple]) -> pa.Table:
    """Rows of (source, template, split, group)."""
    names = ("source", "template", "split", "group")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return conform({"id": source_ids("test", "1", n=len(rows)), **columns})


def parted(tables: list[pa.Table], settings: HeldOut) -> list[tuple[str, str | None]]:
    known = Published(settings)
    for one in tables:
        known.add(one)
    known = Published(settings, known.table())
    return [
        pair for one in tables for pair in zip(*(each.to_pylist() for each in held_splits(one, known)), strict=True)
    ]


def test_shares_are_of_groups_and_near_what_was_asked():
    got = parted([table([("a", "a/1", None, f"g{i // 2}") for i in range(20_000)])], HeldOut())
    splits = [split for split, _ in got]
    assert splits[::2] == splits[1::2]
    assert splits.count("test") == pytest.approx(2_000, rel=0.1)
    assert splits.count("validation") == pytest.approx(1_000, rel=0.15)


def test_named_data_sets_and_templates_are_in_test_whatever_was_published():
    rows = [("a", "a/1", "train", "g"), ("a", "a/2", "train", "g"), ("b", "b/1", "train", "h"), ("b", "b/2", None, "i")]
    got = parted([table(rows)], HeldOut(test=0, validation=0, datasets=("b",), templates=("a/2",)))
    assert got == [("train", None), ("test", None), ("test", None), ("test", None)]


def test_a_group_in_a_published_test_is_in_test_and_never_in_train():
    rows = [("a", "a/1", "test", "g"), ("b", "b/1", None, "g"), ("c", "c/1", "train", "g"), ("c", "c/1", "train", "h")]
    got = parted([table(rows)], HeldOut(test=0, validation=0))
    assert got[:2] == [("test", None), ("test", None)]
    assert got[2] == ("train", "leak: published as train, but its group 'g' is in test")
    assert got[3] == ("train", None)


def test_shares_are_taken_of_published_train_only_where_asked():
    rows = [table([("a", "a/1", "train", f"g{i}") for i in range(1_000)])]
    assert {split for split, _ in parted(rows, HeldOut())} == {"train"}
    assert {split for split, _ in parted(rows, HeldOut(of_train=True))} == {"train", "validation", "test"}


def test_a_row_without_a_group_is_a_group_of_its_own():
    got = parted([table([("a", "a/1", split, None) for split in ("train", "test", None) * 100])], HeldOut(test=0.5))
    assert {split for split, _ in got[::3]} == {"train"}
    assert {split for split, _ in got[2::3]} == {"train", "validation", "test"}
    assert {reason for _, reason in got} == {None}


def test_prompts_of_one_record_stay_together_without_a_group():
    rows = [("a", f"a/{i % 4}", None, None) for i in range(400)]
    records = source_ids("raw", "1", n=100).to_pylist()
    columns = {name: table(rows)[name] for name in ("id", "source", "template")}
    whole = conform({**columns, "parents": [[records[i // 4]] for i in range(400)]})
    splits = [split for split, _ in parted([whole], HeldOut(test=0.3, validation=0.3))]
    assert all(len(set(splits[i : i + 4])) == 1 for i in range(0, 400, 4))
    assert set(splits) == {"train", "validation", "test"}


def test_an_unknown_split_is_an_error():
    with pytest.raises(MashqError, match="expected splits test, validation, train, got 'dev'"):
        parted([table([("a", "a/1", "dev", "g")])], HeldOut())


row = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["x/1", "x/2"]),
    st.sampled_from([None, "train", "validation", "test"]),
    st.sampled_from([None, *(f"g{i}" for i in range(8))]),
)
ASKED = st.sampled_from(
    [HeldOut(test=0.3, validation=0.3), HeldOut(test=0.3, validation=0.3, of_train=True), HeldOut(datasets=("b",))]
)


@limits(deadline=None)
@given(st.lists(row, min_size=1, max_size=60), ASKED, st.integers(1, 59))
def test_no_group_straddles_and_shards_do_not_matter(rows, settings, cut):
    whole = table(rows)
    got = parted([whole], settings)
    pieces = [whole.slice(0, cut), whole.slice(cut)]
    assert parted([piece for piece in pieces if piece.num_rows], settings) == got
    at = defaultdict(set)
    for (source, _, given_, group), (split, reason) in zip(rows, got, strict=True):
        if given_ in ("test", "validation") and source not in settings.datasets:
            assert split == given_
        if source in settings.datasets:
            assert split == "test"
        if group and reason is None:
            at[group].add(split)
    assert [group for group, splits in at.items() if len(splits) > 1] == []


def test_a_seeded_share_of_names():
    names = [f"set{i}" for i in range(20)]
    assert len(held_names(names, 0.1, 0)) == 2
    assert held_names(names[::-1], 0.1, 0) == held_names(names, 0.1, 0) != held_names(names, 0.1, 1)
    assert held_names(["one"], 0.9, 0) == ()
    assert len(held_names(["one", "two"], 0.01, 0)) == 1
    assert held_names(names, 0, 0) == ()
