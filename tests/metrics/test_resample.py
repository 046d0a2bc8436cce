"""Clusters, the bootstrap and Wilson's interval."""

import numpy as np
import pytest

from mashq.metrics.resample import (
    FEW,
    Drawn,
    bootstrap,
    checked,
    cluster_codes,
    cluster_sums,
    freedom,
    interval,
    jackknife_error,
    unseen_share,
    wilson,
)
from mashq.rows import MashqError


def test_wilson_of_8_in_10_equals_the_hand_computed_interval():
    # (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 0.8, n = 10, z = 1.959964:
    # centre (0.8 + 0.192073) / 1.384146 = 0.716740, half 1.959964 * sqrt(0.016 + 0.009604) / 1.384146 = 0.226577
    low, high = wilson(0.8, 10)
    assert low == pytest.approx(0.490162, abs=2e-6)
    assert high == pytest.approx(0.943318, abs=2e-6)


def test_wilson_at_the_ends_stays_inside_and_has_width():
    assert wilson(0.0, 10) == (0.0, pytest.approx(0.277533, abs=2e-6))  # z² / (n + z²)
    assert wilson(1.0, 10) == (pytest.approx(1 - 0.277533, abs=2e-6), 1.0)


def test_an_empty_set_is_an_error_and_never_zero():
    with pytest.raises(MashqError, match=r"rougeL: expected at least one item, got none\. An empty set has no score"):
        checked([], "rougeL")


def test_a_value_that_is_not_finite_is_named_by_its_position():
    with pytest.raises(MashqError, match="rougeL: item 1: expected a finite number, got nan"):
        checked([0.5, float("nan")], "rougeL")


def test_groups_become_numbers_and_none_is_a_cluster_of_its_own():
    assert cluster_codes(5, ["b", None, "a", "b", None], "x").tolist() == [1, 2, 0, 1, 3]
    assert cluster_codes(3, None, "x").tolist() == [0, 1, 2]


def test_groups_of_another_length_are_refused():
    with pytest.raises(MashqError, match="rougeL: groups: expected 2, one per item, got 3"):
        cluster_codes(2, ["a", "b", "c"], "rougeL")


def test_sums_by_cluster():
    codes = np.array([0, 1, 0])
    assert cluster_sums(codes, np.array([1.0, 2.0, 4.0]), np.ones(3)).tolist() == [[5.0, 2.0], [2.0, 1.0]]


def test_one_cluster_has_no_interval():
    assert bootstrap(np.ones((1, 2)), lambda totals: totals[:, 0], seed=0) == (None, None)


def test_interval_does_not_depend_on_how_many_resamples_are_held_at_a_time(monkeypatch):
    sums = np.stack([np.random.default_rng(1).random(60), np.ones(60)], axis=1)
    whole = bootstrap(sums, lambda totals: totals[:, 0] / totals[:, 1], seed=3)
    monkeypatch.setattr("mashq.metrics.resample._CELLS", 500)
    assert bootstrap(sums, lambda totals: totals[:, 0] / totals[:, 1], seed=3) == whole


def test_interval_of_a_normal_mean_is_that_of_student():
    values = np.random.default_rng(5).normal(10, 2, size=400)
    sums = np.stack([values, np.ones(400)], axis=1)
    low, high = bootstrap(sums, lambda totals: totals[:, 0] / totals[:, 1], seed=0, rounds=20_000)
    half = 1.966 * values.std(ddof=1) / 20  # t at 399
    assert low == pytest.approx(values.mean() - half, abs=0.012)
    assert high == pytest.approx(values.mean() + half, abs=0.012)


def mean_interval(values, weights=None, **settings):
    """The interval of the mean of clusters with these means and these numbers of items."""
    sizes = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    sums = np.stack([np.asarray(values) * sizes, sizes], axis=1)
    mean = sums[:, 0].sum() / sizes.sum()
    pulls = sizes * (np.asarray(values) - mean) / sizes.sum()
    shares = sizes / sizes.sum()
    return interval(Drawn(sums, lambda totals: totals[:, 0] / totals[:, 1], pulls, shares), seed=0, **settings)


def test_three_equal_clusters_get_students_interval_of_their_mean():
    found = mean_interval([1.0, 2.0, 6.0])
    half = 4.302653 * np.std([1, 2, 6], ddof=1) / np.sqrt(3)  # t at 0.975 with 2 degrees of freedom
    assert (found.low, found.high) == (pytest.approx(3 - half, abs=1e-5), pytest.approx(3 + half, abs=1e-5))
    assert found.by == "jackknife-t"


def test_a_known_range_ends_the_interval_and_holds_the_value():
    found = mean_interval([0.0, 1.0], bounds=(0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
    assert mean_interval([0.0, 1.0]).low < -5


def test_enough_clusters_are_bootstrapped_and_fewer_are_not():
    values = np.random.default_rng(2).random(FEW)
    assert mean_interval(values).by == "bootstrap"
    assert mean_interval(values[1:]).by == "jackknife-t"


def test_one_heavy_cluster_among_many_small_ones_counts_as_few():
    values = np.random.default_rng(2).random(20)
    assert mean_interval(values, [100, *[1] * 19]).by == "jackknife-t"
    assert freedom(np.array([100, *[1] * 19]) / 119) == pytest.approx(1.39, abs=0.01)
    assert freedom(np.full(12, 1 / 12)) == 11.0
    assert freedom(np.array([0.9, 0.1])) == 1.0


def test_jackknife_error_is_that_of_leaving_out_each_cluster_once():
    values, sizes = np.array([0.2, 0.9, 0.4, 0.3]), np.array([10.0, 2.0, 1.0, 4.0])
    whole = (values * sizes).sum() / sizes.sum()
    left_out = [(values * sizes)[np.arange(4) != k].sum() / sizes[np.arange(4) != k].sum() for k in range(4)]
    by_hand = np.sqrt(3 / 4 * sum((one - whole) ** 2 for one in left_out))
    shares = sizes / sizes.sum()
    assert jackknife_error(shares * (values - whole), shares) == pytest.approx(by_hand)


def test_equal_clusters_leave_open_what_was_not_seen():
    found = mean_interval([0.0] * 12, bounds=(0.0, 1.0))
    assert (found.low, found.high, found.by) == (0.0, pytest.approx(1 - 0.025 ** (1 / 12)), "unseen-share")
    middle = mean_interval([3.0] * 12, bounds=(1.0, 5.0))
    assert (middle.low, middle.high) == pytest.approx((3 - 2 * unseen_share(12), 3 + 2 * unseen_share(12)))


@pytest.mark.parametrize("bounds", [None, (0.0, float("inf"))])
def test_equal_clusters_without_a_known_range_have_no_interval(bounds):
    found = mean_interval([0.1] * 30, bounds=bounds)
    assert (found.low, found.high, found.by) == (None, None, "none: no spread and no known range")
