"""Intervals of a card's means: the published ones for values of one step, and never of no width."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import nctdtr

from mashq.judge.intervals import MOVES, TURNS, Noise, detectable, groups_needed, span_of_mean, span_of_slope
from mashq.metrics.paired import compare, holm, least_p
from mashq.metrics.resample import quantile_t


def apart(n):
    return [str(place) for place in range(n)]


def test_nothing_seen_in_forty_is_bonett_and_prices_interval():
    span = span_of_mean([0.0] * 40, apart(40), TURNS, (-1.0, 1.0))
    half = quantile_t(0.975, 39) * math.sqrt(2) / 42
    assert (span.low, span.high) == pytest.approx((-half, half))
    assert span.noise == Noise(pytest.approx(math.sqrt(2) / 42), 40, 1.0, least_p(40), seen=0.0)


def test_moves_of_one_step_are_agresti_and_coulls_interval():
    span = span_of_mean([1.0] * 3 + [0.0] * 37, apart(40), MOVES, (0.0, 4.0))
    share = 5 / 44
    half = quantile_t(0.975, 39) * math.sqrt(share * (1 - share) / 44)
    assert (span.low, span.high) == pytest.approx((max(0.0, share - half), share + half), abs=0.003)


def test_few_clusters_widen_the_interval_and_one_leaves_none():
    values = [float(place // 4 % 2) for place in range(40)]
    alone = span_of_mean(values, apart(40), TURNS, (-4.0, 4.0))
    of_four = span_of_mean(values, [str(place // 4) for place in range(40)], TURNS, (-4.0, 4.0))
    assert of_four.high - of_four.low > 1.5 * (alone.high - alone.low)
    assert span_of_mean(values, ["one"] * 40, TURNS, (-4.0, 4.0)).low is None


def test_a_slope_does_not_depend_on_the_unit_of_its_amounts_but_by_that_unit():
    changes, amounts = [1.0, 0.0, 2.0, 1.0, 0.0], [1.0, 0.8, 1.2, 1.0, 0.9]
    one = span_of_slope(changes, amounts, apart(5))
    ten = span_of_slope(changes, [10 * amount for amount in amounts], apart(5))
    assert (10 * ten.low, 10 * ten.high) == pytest.approx((one.low, one.high))


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=30), st.integers(2, 30))
def test_the_mean_is_inside_and_the_interval_has_a_width(values, clusters):
    groups = [str(place % clusters) for place in range(len(values))]
    span = span_of_mean([float(value) for value in values], groups, TURNS, (-4.0, 4.0))
    assert -4.0 <= span.low <= sum(values) / len(values) <= span.high <= 4.0
    assert span.high - span.low > 0.05


# --- what a test would find ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), [(1, 6), (5, 8), (10, 9), (20, 10), (400, 14), (500, 15), (501, None)])
def test_groups_needed_are_the_first_whose_least_p_times_the_family_is_below_five_percent(family, groups):
    assert groups_needed(family) == groups
    if groups:
        assert holm([least_p(groups), *[1.0] * (family - 1)])[0] < 0.05 <= family * least_p(groups - 1)


@pytest.mark.parametrize("error", [1e-6, 0.1])
def test_nothing_is_detectable_with_fewer_groups_than_are_needed(error):
    for family in (1, 5, 20):
        needed = groups_needed(family)
        for groups in (needed - 1, needed):
            found = detectable(Noise(error, groups, least_p=least_p(groups)), family, 4.0)
            assert (found is None) == (groups < needed), (family, groups)


def test_what_is_above_the_scale_is_not_detectable_and_students_test_asks_for_no_number_of_groups():
    wide = Noise(1.5, 20, least_p=least_p(20))
    assert detectable(wide, 20, 100.0) > 1.5 * (quantile_t(1 - 0.025 / 20, 19) + quantile_t(0.8, 19)) > 4
    assert detectable(wide, 20, 4.0) is None
    student = detectable(Noise(0.1, 5), 20, 4.0)
    beyond = quantile_t(1 - 0.025 / 20, 4)
    assert 1 - nctdtr(4, student / 0.1, beyond) == pytest.approx(0.8, abs=0.01)


def test_more_questions_more_noise_and_fewer_groups_make_less_detectable():
    def of(error=0.1, groups=30, family=5):
        return detectable(Noise(error, groups, least_p=least_p(groups)), family, 4.0)

    assert of(family=1) < of(family=5) < of(family=20)
    assert of(error=0.05) < of(error=0.1) < of(error=0.4)
    assert of(groups=60) < of(groups=30) < of(groups=15) < of(groups=12) < of(groups=10)


@pytest.mark.parametrize("spread", [0.0, 0.8])
@pytest.mark.parametrize(("groups", "family"), [(8, 1), (8, 5), (10, 20), (12, 20), (20, 20), (40, 5)])
def test_what_is_called_detectable_is_found_four_times_in_five(groups, family, spread):
    """Items that move by a step or do not, one a cluster, and noise of this spread in each."""
    generator = np.random.default_rng(groups + family)

    def noise():
        return spread * generator.standard_normal(groups)

    seen = [span_of_mean(noise().tolist(), apart(groups), TURNS, (-4.0, 4.0)).noise for _ in range(20)]
    error, without = (float(np.mean([getattr(one, name) for one in seen])) for name in ("error", "seen"))
    steps = detectable(Noise(error, groups, 1.0, least_p(groups), without), family, 4.0)
    found = 0
    for _ in range(100):
        whole = math.floor(steps) + (generator.random(groups) < steps % 1)
        p = compare((whole + noise()).tolist(), [0.0] * groups, groups=apart(groups)).p
        found += family * p < 0.05
    assert found >= 72  # 80 less two standard errors of a hundred
