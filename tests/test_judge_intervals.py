"""Intervals of a card's means: the published ones for values of one step, and never of no width."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.judge.intervals import MOVES, TURNS, span_of_mean, span_of_slope
from mashq.metrics.resample import quantile_t


def apart(n):
    return [str(place) for place in range(n)]


def test_nothing_seen_in_forty_is_bonett_and_prices_interval():
    span = span_of_mean([0.0] * 40, apart(40), TURNS, (-1.0, 1.0))
    half = quantile_t(0.975, 39) * math.sqrt(2) / 42
    assert (span.low, span.high) == pytest.approx((-half, half))
    assert span.detectable == pytest.approx((quantile_t(0.975, 39) + quantile_t(0.8, 39)) * math.sqrt(2) / 42)


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
