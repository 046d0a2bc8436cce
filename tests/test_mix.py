from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from mashq import mix
from mashq.mix import MixtureSettings, Population, allocate, fill, mixed, refusal, splits
from mashq.rows import MashqError, conform, source_ids


def test_each_stratum_gets_its_rows_and_whole_groups():
    groups = [f"g{i // 3}" for i in range(600)]
    strata = ["msa" if i < 300 else "egyptian" for i in range(600)]
    got = splits(groups, strata, test=80, validation=30, seed=1)
    for stratum in ("msa", "egyptian"):
        counts = Counter(split for split, one in zip(got, strata, strict=True) if one == stratum)
        assert 80 <= counts["test"] <= 82
        assert 30 <= counts["validation"] <= 32
    for group in set(groups):
        assert len({split for split, one in zip(got, groups, strict=True) if one == group}) == 1


def test_order_of_rows_does_not_matter_and_the_seed_does():
    groups = [f"g{i}" for i in range(200)]
    one = dict(zip(groups, splits(groups, ["x"] * 200, test=0.1), strict=True))
    two = dict(zip(groups[::-1], splits(groups[::-1], ["x"] * 200, test=0.1), strict=True))
    assert one == two
    assert one != dict(zip(groups, splits(groups, ["x"] * 200, test=0.1, seed=1), strict=True))


def test_too_few_rows_are_an_error():
    with pytest.raises(MashqError, match=r"stratum 'x': expected more than 80 rows .* got 50"):
        splits([str(i) for i in range(50)], ["x"] * 50, test=80)
    with pytest.raises(MashqError, match="too few and too large"):
        splits(["one"] * 50, ["x"] * 50, test=5)


@given(st.lists(st.integers(0, 30), min_size=10, max_size=100), st.integers(0, 5))
def test_no_group_straddles(numbers, seed):
    groups = [str(n) for n in numbers]
    try:
        got = splits(groups, ["x"] * len(groups), test=0.2, seed=seed)
    except MashqError:
        assert len(set(groups)) < 10
        return
    assert len({(g, s) for g, s in zip(groups, got, strict=True)}) == len(set(groups))


# --- how many rows of each cell --------------------------------------------------------------------------------------

A, B, C = ("a", "sentiment", "a/1"), ("b", "answers", "b/1"), ("c", "answers", "c/1")


def taken(counts, **settings) -> dict:
    return allocate(counts, MixtureSettings(**settings))


def test_proportional_takes_each_data_set_up_to_the_cap():
    assert taken({A: 100, B: 5_000, C: 40_000}, cap=3_000) == {A: 100, B: 3_000, C: 3_000}
    assert taken({A: 100, B: 5_000}) == {A: 100, B: 5_000}


def test_proportional_with_a_total_follows_the_capped_counts():
    assert taken({A: 1_000, B: 3_000, C: 50_000}, cap=6_000, total=1_000) == {A: 100, B: 300, C: 600}


def test_temperature_draws_rates_together():
    assert taken({A: 100, B: 10_000}, mode="temperature", temperature=2, total=110) == {A: 10, B: 100}
    assert taken({A: 100, B: 10_000}, mode="temperature", temperature=1, total=1_010) == {A: 10, B: 1_000}


def test_without_a_total_the_rates_are_kept_and_nothing_runs_dry():
    assert taken({A: 100, B: 10_000}, mode="temperature") == {A: 100, B: 1_000}
    assert taken({A: 70, B: 10_000}, mode="equal") == {A: 70, B: 70}
    assert taken({A: 70, B: 10_000}, mode="equal", cap=50) == {A: 50, B: 50}


def test_what_runs_dry_is_given_to_the_others():
    assert taken({A: 10, B: 1_000, C: 1_000}, mode="equal", total=310) == {A: 10, B: 150, C: 150}


def test_the_cells_of_a_data_set_share_by_their_rows():
    counts = {("a", "t", "a/1"): 100, ("a", "t", "a/2"): 300, B: 400}
    assert taken(counts, mode="equal", total=200) == {("a", "t", "a/1"): 25, ("a", "t", "a/2"): 75, B: 100}
    assert taken(counts, mode="equal", over="template", total=300) == dict.fromkeys(counts, 100)
    assert taken(counts, mode="equal", over="task", total=200)[B] == 100


def test_limits_of_data_sets():
    assert taken({A: 500, B: 5_000, C: 9_000}, most={"b": 70}, most_a_dataset=1_000) == {A: 500, B: 70, C: 1_000}


def test_quotas_are_exact_and_the_rest_shares_what_is_left():
    assert taken({A: 500, B: 5_000, C: 5_000}, total=1_000, quotas={"sentiment": 400}) == {A: 400, B: 300, C: 300}
    assert taken({A: 500, B: 5_000, C: 5_000}, total=1_000, quotas={"sentiment": 0.25}) == {A: 250, B: 375, C: 375}
    assert taken({A: 500, B: 5_000}, quotas={"sentiment": 0}) == {A: 0, B: 5_000}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"total": 701}, r"expected 701 rows of split 'train', but 700 are the most that can be had"),
        ({"total": 500, "most": {"b": 100}}, "but 300 are the most"),
        ({"total": 500, "quotas": {"sentiment": 250}}, r"task 'sentiment': expected 250 rows, but 200 are the most"),
        ({"total": 100, "quotas": {"sentiment": 150}}, r"expected 100 rows .* but the quotas ask for 150"),
        ({"quotas": {"sentiment": 0.5}}, "is a share, and total is 0"),
        ({"total": 100, "quotas": {"sentiment": 0.6, "answers": 0.6}}, r"sum to 1\.200, more than 1"),
        ({"most": {"bb": 1}}, r"no row of data set 'bb' \(there are a, b\)"),
        ({"quotas": {"sentimant": 1}}, r"Did you mean 'sentiment'\?"),
        ({"temperature": 0}, "a temperature >= 0.1"),
    ],
)
def test_what_cannot_be_had_is_an_error_that_says_the_most(settings, says):
    with pytest.raises(MashqError, match=says):
        taken({A: 200, B: 500}, **settings)


cells = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["t", "u"]), st.sampled_from("1234")),
    st.integers(0, 10**9),
    min_size=1,
)
modes = st.sampled_from(["proportional", "temperature", "equal"])
units = st.sampled_from(["source", "task", "template"])


@limits(deadline=None)
@given(cells, modes, units, st.integers(0, 10**6), st.floats(0.1, 9), st.floats(0, 1), st.integers(1, 10**6))
def test_the_sum_is_the_total_and_no_cell_gives_more_than_it_has(counts, mode, over, cap, temperature, share, most):
    had = sum(min(most, sum(n for cell, n in counts.items() if cell[0] == source)) for source in "abc")
    total = int(had * share)
    asked = {"mode": mode, "over": over, "cap": cap, "temperature": temperature, "most_a_dataset": most}
    got = taken(counts, total=total, **asked)
    if total:
        assert sum(got.values()) == total
    assert all(0 <= got[cell] <= n for cell, n in counts.items())
    for source in "abc":
        assert sum(n for cell, n in got.items() if cell[0] == source) <= most
    backwards = dict(reversed(counts.items()))
    assert taken(backwards, total=total, **asked) == got
    with pytest.raises(MashqError, match=f"{had:,} are the most that can be had"):
        taken(counts, total=had + 1, **asked)


@limits(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 10**7)), min_size=1), st.floats(0, 1))
def test_fill_is_in_proportion_to_the_nearest_whole_row(pairs, share):
    rates, limits = [rate for rate, _ in pairs], [limit for _, limit in pairs]
    total = int(sum(limits) * share)
    given_ = fill(total, rates, limits)
    assert sum(given_) == total
    free = [(n, rate) for n, rate, limit in zip(given_, rates, limits, strict=True) if n < limit]
    # Below their limits all stand at one level, up to one row: n / rate.
    assert all((n - 1) / rate <= (m + 1) / other + 1e-9 for n, rate in free for m, other in free)
    dry = [(limit, rate) for n, rate, limit in zip(given_, rates, limits, strict=True) if n == limit]
    assert all((limit - 1) / rate <= (n + 1) / other + 1e-9 for limit, rate in dry for n, other in free)


# --- which rows of a cell --------------------------------------------------------------------------------------------


def rows(n: int = 3_000) -> pa.Table:
    source = [["a", "b", "c"][i % 3] for i in range(n)]
    return conform(
        {
            "id": source_ids("test", "1", n=n),
            "source": source,
            "task": ["t" if i % 2 else "u" for i in range(n)],
            "template": [f"{one}/{i % 4}" for i, one in enumerate(source)],
            "licence": [["MIT", "CC-BY-ND-4.0", "unknown"][i % 3] for i in range(n)],
            "split": [[None, "train", "test", "validation"][i // 3 % 4] for i in range(n)],
        }
    )


def choose(tables: list[pa.Table], settings: MixtureSettings) -> tuple[pa.Table, int]:
    found = Population(settings)
    for table in tables:
        found.add(table)
    plan = found.plan(allocate(found.counts, settings), lambda: tables)
    parts = [mixed(table, plan, settings) for table in tables]
    return pa.concat_tables(part for part, _ in parts), sum(left for _, left in parts)


def kept(table: pa.Table) -> list[bytes]:
    return sorted(row["id"] for row in table.to_pylist() if row["dropped"] is None)


@limits(deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=12), st.integers(0, 99), st.integers(0, 900))
def test_the_same_rows_whatever_the_shards_and_their_order(sizes, seed, total):
    table = rows()
    settings = MixtureSettings(mode="temperature", total=total, seed=seed)
    whole, _ = choose([table], settings)
    shuffled, start, pieces = table.take(np.random.default_rng(seed).permutation(table.num_rows)), 0, []
    for size in [*sizes, table.num_rows]:
        pieces += [shuffled.slice(start, size)] if start < table.num_rows else []
        start += size
    got, _ = choose(pieces, settings)
    assert kept(got) == kept(whole)
    assert len(kept(got)) == (total or len(kept(whole)))


def test_rows_of_other_splits_are_left_and_licences_give_reasons():
    table = rows()
    got, left = choose([table], MixtureSettings())
    assert got.num_rows + left == table.num_rows == 3_000
    assert set(got["split"].to_pylist()) == {None, "train"}
    reasons = Counter(got["dropped"].to_pylist())
    assert reasons == {None: 1_000, "licence: CC-BY-ND-4.0 does not allow redistribution": 500}
    assert set(choose([table], MixtureSettings(split="test"))[0]["split"].to_pylist()) == {"test"}


def test_a_licence_can_be_allowed_or_more_asked_of_it():
    assert refusal("CC-BY-ND-4.0", MixtureSettings(licences=("CC-BY-ND-4.0",))) is None
    assert refusal("CC-BY-ND-4.0", MixtureSettings(must_allow=("train",))) is None
    assert refusal("CC-BY-NC-4.0", MixtureSettings()) is None
    strict = MixtureSettings(must_allow=("train", "redistribute", "commercial"))
    reason = "licence: CC-BY-NC-ND-4.0 does not allow redistribution and commercial use"
    assert refusal("CC-BY-NC-ND-4.0", strict) == reason
    assert refusal("unknown", strict) is None
    assert refusal(None, strict) is None


def test_a_smaller_total_is_part_of_a_larger_one():
    small, large = (set(kept(choose([rows()], MixtureSettings(total=n))[0])) for n in (100, 700))
    assert small < large
    assert small != set(kept(choose([rows()], MixtureSettings(total=100, seed=1))[0]))


def test_rows_with_one_key_are_told_apart_by_their_ids(monkeypatch):
    monkeypatch.setattr(mix, "keys", lambda ids, seed: np.arange(len(ids), dtype=np.uint64) // 900)
    table = rows()
    settings = MixtureSettings(total=401)
    got, left = choose([table], settings)
    assert len(kept(got)) == 401
    assert got.num_rows + left == table.num_rows
