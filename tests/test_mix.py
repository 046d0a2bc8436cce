from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.mix import splits
from mashq.rows import MashqError


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
