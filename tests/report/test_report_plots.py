import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashq.report.cells import interval_text, p_text
from mashq.report.plots import MOST_POINTS, Series, axis, bar, curve, interval, number, scale_over, stack

MINUS = "\N{MINUS SIGN}"
finite = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.12345, None, "0.123"),
        (1234567, None, "1,234,567"),
        (-0.5, 2, f"{MINUS}0.50"),
        (-0.0001, 2, "0.00"),
        (0, None, "0"),
        (98.76, None, "98.8"),
        (0.000123, None, "0.0001"),
        (None, None, "–"),
        (math.nan, 1, "–"),
        (math.inf, None, "–"),
    ],
)
def test_numbers_are_printed_in_one_way(value, places, text):
    assert number(value, places) == text


def test_sign_of_a_difference():
    assert [number(value, 1, signed=True) for value in (0.5, -0.5, 0.0)] == ["+0.5", f"{MINUS}0.5", "0.0"]


def test_intervals_and_p_values():
    assert interval_text(-1.0, 2.0, 1) == f"[{MINUS}1.0, 2.0]"
    assert interval_text(None, None, 1) == "–"
    assert (p_text(0.0001), p_text(0.02), p_text(1.0)) == ("< 0.001", "0.020", "1.000")


@given(st.lists(finite, max_size=8), st.booleans())
def test_scale_holds_every_value_and_its_ticks(values, zero):
    scale = scale_over(values, zero=zero)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    assert all(scale.low - 1e-6 * abs(scale.low) <= tick <= scale.high + 1e-6 * abs(scale.high) for tick in scale.ticks)
    assert 1 <= len(scale.ticks) <= 12
    assert all(0 <= scale.percent(value) <= 100 for value in values)
    assert not zero or scale.low <= 0 <= scale.high


@given(st.floats(0.001, 1000), st.floats(0.1, 5))
def test_tick_labels_are_their_ticks(low, factor):
    scale = scale_over([low, low * (1 + factor)])
    labels = [float(number(tick, scale.places).replace(",", "").replace(MINUS, "-")) for tick in scale.ticks]
    assert labels == pytest.approx(list(scale.ticks), rel=1e-9, abs=1e-9 * low)


def test_value_without_interval_is_a_dot_alone():
    scale = scale_over([0.0, 1.0])
    assert "range" not in interval(scale, 0.5, None, None, kind="s0", label="x")
    assert 'class="range"' in interval(scale, 0.5, 0.4, 0.6, kind="s0", label="x")
    assert ">0.5<" in axis(scale)


def test_label_cannot_leave_its_attribute():
    drawn = interval(scale_over([0, 1]), 0.5, 0.1, 0.9, kind='"><script>', label='"><script>')
    assert "<script" not in drawn


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5))
def test_parts_of_a_bar_fill_it(amounts):
    drawn = stack([(amount, "kept") for amount in amounts], label="x")
    widths = [float(width) for width in re.findall(r' width="([\d.]+)%" height="14"', drawn)][1:]
    assert sum(widths) == pytest.approx(100 if sum(amounts) else 0, abs=0.05)
    assert 'width="100.0%" height="10"/></svg>' in bar(2.0, kind="bad", label="x")


def test_long_curve_is_thinned_by_means():
    series = Series("loss", tuple((float(step), float(step % 2)) for step in range(4001)))
    thin = series.thinned().points
    assert len(thin) <= MOST_POINTS
    assert thin[0] == (5.0, pytest.approx(5 / 11))
    assert Series("loss", ((1.0, 2.0),)).thinned().points == ((1.0, 2.0),)


def test_curve_leaves_out_what_is_not_finite():
    drawn = curve([Series("loss", ((1.0, 2.0), (2.0, math.nan), (3.0, 1.0)))], label="x")
    assert "nan" not in drawn
    assert len(re.findall(r"<g class=\"loss\">(<line[^>]*>)</g>", drawn)) == 1
