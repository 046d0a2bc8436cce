"""A score carries its recipe, its interval and its n."""

import numpy as np
import pytest

from mashq import __version__
from mashq.metrics.score import Metric, mean_score, ratio_score, sign
from mashq.rows import MashqError

RECIPE = sign("rougeL", "f", "tok:uax29-ar1")
YES_NO = sign("exact", "values:01")


def test_signature_names_aggregation_interval_seed_and_version():
    score = mean_score([0.1, 0.2], name="rougeL", signature=RECIPE, seed=7)
    assert score.signature == f"rougeL|f|tok:uax29-ar1|agg:mean|ci:bootstrap1000|seed:7|mashq:{__version__}"


def test_signature_tells_grouped_from_ungrouped():
    score = mean_score([0.1, 0.2], name="rougeL", signature=RECIPE, groups=["a", "b"])
    assert "|ci:bootstrap1000|by:group|" in score.signature


def test_signature_does_not_depend_on_the_values():
    zeros = mean_score([0.0, 0.0, 1.0], name="rougeL", signature=RECIPE)
    others = mean_score([0.3, 0.4, 0.5], name="rougeL", signature=RECIPE)
    assert zeros.signature == others.signature


def test_a_signature_without_a_version_gets_one():
    assert mean_score([1, 2], name="x", signature="x").signature.endswith(f"|seed:0|mashq:{__version__}")


def test_mean_lies_in_its_interval_and_n_is_the_items():
    values = np.random.default_rng(0).random(80)
    score = mean_score(values, name="rougeL", signature=RECIPE)
    assert score.value == pytest.approx(values.mean())
    assert score.low < score.value < score.high
    assert score.n == 80


def test_the_same_seed_gives_the_same_score_and_another_seed_another_interval():
    values = np.random.default_rng(0).random(50)
    first = mean_score(values, name="x", signature=RECIPE, seed=1)
    assert mean_score(values, name="x", signature=RECIPE, seed=1) == first
    assert mean_score(values, name="x", signature=RECIPE, seed=2).low != first.low


def test_the_order_of_grouped_items_does_not_matter():
    generator = np.random.default_rng(3)
    values, groups = generator.random(40), [f"g{index % 9}" for index in range(40)]
    order = generator.permutation(40)
    one = mean_score(values, name="x", signature=RECIPE, groups=groups)
    other = mean_score(values[order], name="x", signature=RECIPE, groups=[groups[index] for index in order])
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-12)


def test_an_empty_set_has_no_score():
    with pytest.raises(MashqError, match="An empty set has no score"):
        mean_score([], name="rougeL", signature=RECIPE)
    with pytest.raises(MashqError, match="An empty set has no score"):
        ratio_score([], [], name="bits", signature=RECIPE)
    with pytest.raises(MashqError, match="bits: expected something to count, got only zeros"):
        ratio_score([0, 0], [0, 0], name="bits", signature=RECIPE)


def test_yes_or_no_items_get_wilsons_interval():
    score = mean_score([1] * 8 + [0] * 2, name="exact", signature=YES_NO)
    assert (score.low, score.high) == (pytest.approx(0.490162, abs=2e-6), pytest.approx(0.943318, abs=2e-6))
    assert score.signature == f"exact|values:01|agg:mean|ci:wilson|mashq:{__version__}"


def test_a_share_that_is_neither_0_nor_1_is_refused_under_a_yes_or_no_signature():
    with pytest.raises(MashqError, match=r"exact: item 1: expected 0 or 1 \(signature values:01\), got 0.5"):
        mean_score([1, 0.5], name="exact", signature=YES_NO)


def test_repeating_every_item_in_its_group_adds_no_certainty():
    answers = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    names = [str(index) for index in range(10)]
    once = mean_score(answers, name="exact", signature=YES_NO, groups=names)
    tenfold = mean_score(answers * 10, name="exact", signature=YES_NO, groups=names * 10)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high), abs=0.02)
    blind = mean_score(answers * 10, name="exact", signature=YES_NO)
    assert blind.high - blind.low < 0.5 * (once.high - once.low)


def test_all_yes_in_three_groups_is_no_more_than_three_observations():
    score = mean_score([1] * 300, name="exact", signature=YES_NO, groups=["a", "b", "c"] * 100)
    assert score.high == 1.0
    assert score.low < 0.4


def test_one_cluster_has_a_value_and_no_interval():
    for signature in (RECIPE, YES_NO):
        score = mean_score([1, 0, 1, 1], name="x", signature=signature, groups=["a"] * 4)
        assert (score.value, score.low, score.high) == (0.75, None, None)


def test_a_ratio_is_of_the_sums_and_not_the_mean_of_ratios():
    score = ratio_score([1, 9], [1, 1], name="x", signature="x")
    assert score.value == 5.0
    assert ratio_score([1, 9], [1, 3], name="x", signature="x").value == 2.5


def test_a_transform_moves_value_and_interval_alike():
    over, under = np.random.default_rng(0).random((2, 30)) + 0.5
    plain = ratio_score(over, under, name="x", signature="x")
    risen = ratio_score(over, under, name="x", signature="x", transform=np.exp)
    assert risen.value == pytest.approx(np.exp(plain.value))
    assert risen.low == pytest.approx(np.exp(plain.low), rel=1e-3)
    assert risen.high == pytest.approx(np.exp(plain.high), rel=1e-3)


def test_items_with_nothing_to_count_are_not_in_n():
    assert ratio_score([1, 0, 1], [2, 0, 2], name="x", signature="x").n == 2


def test_something_over_nothing_is_refused():
    with pytest.raises(MashqError, match="x: item 1: expected a denominator above 0, got 3 over 0"):
        ratio_score([1, 3], [2, 0], name="x", signature="x")


def coverage(draw, *, simulations=400, seed=11, **settings):
    """The share of intervals that hold the true value 1."""
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(simulations):
        values, groups = draw(generator)
        score = mean_score(values, name="x", signature=RECIPE, groups=groups, **settings)
        held += score.low <= 1.0 <= score.high
    return held / simulations


def test_coverage_of_normal_items_is_near_95_percent():
    assert 0.92 <= coverage(lambda generator: (generator.normal(1, 1, size=25), None)) <= 0.98


def test_coverage_of_skewed_items_is_not_far_below_95_percent():
    assert 0.87 <= coverage(lambda generator: (generator.exponential(1, size=30), None)) <= 0.98


def clustered(generator):
    groups = [str(index % 12) for index in range(120)]
    shared = generator.normal(0, 1, size=12)
    return 1 + shared[np.arange(120) % 12] + generator.normal(0, 0.5, size=120), groups


def test_coverage_holds_with_groups_and_fails_when_they_are_ignored():
    assert 0.91 <= coverage(clustered) <= 0.985
    assert coverage(lambda generator: (clustered(generator)[0], None)) < 0.7


@pytest.mark.parametrize("size", [2, 3, 5])
def test_coverage_of_few_normal_items_is_near_95_percent(size):
    # A percentile bootstrap of two items holds their mean half of the time, of three three quarters.
    assert 0.92 <= coverage(lambda generator: (generator.normal(1, 1, size=size), None)) <= 0.98


def unequal(generator):
    sizes = [50, 30, 10, 5, *[1] * 10]
    groups = [str(place) for place, size in enumerate(sizes) for _ in range(size)]
    shared = np.repeat(generator.normal(0, 1, size=len(sizes)), sizes)
    return 1 + shared + generator.normal(0, 0.5, size=len(groups)), groups


def test_coverage_holds_with_clusters_of_very_different_sizes():
    assert 0.92 <= coverage(unequal) <= 0.985


def test_equal_items_have_a_wide_interval_where_the_range_is_known_and_none_elsewhere():
    known = mean_score([0.0] * 12, name="x", signature=RECIPE, bounds=(0, 1))
    assert (known.value, known.low, known.interval_by) == (0.0, 0.0, "unseen-share")
    assert 0.2 < known.high < 0.3
    unknown = mean_score([0.0] * 12, name="x", signature=RECIPE)
    assert (unknown.low, unknown.high) == (None, None)
    assert known.signature == unknown.signature


def test_each_score_says_how_its_interval_was_made():
    generator = np.random.default_rng(0)
    made = [mean_score(generator.random(size), name="x", signature=RECIPE).interval_by for size in (1, 2, 11, 12)]
    assert made == ["none: one cluster", "jackknife-t", "jackknife-t", "bootstrap"]
    assert mean_score([1, 0], name="x", signature=YES_NO).interval_by == "wilson"


def test_clusters_of_one_and_the_same_share_are_not_taken_for_certain():
    # 15 of 22 six times: 22 * (90 / 132) is not quite 15, and by that rounding each item was counted by itself.
    answers = ([1] * 15 + [0] * 7) * 6
    score = mean_score(answers, name="x", signature=YES_NO, groups=[str(item // 22) for item in range(132)])
    alone = mean_score(answers, name="x", signature=YES_NO)
    assert score.high - score.low > 1.5 * (alone.high - alone.low)


def test_the_range_of_a_metric_is_read_from_its_unit():
    units = ("0..1", "0 or 1", "-1..1", "1..5", "0..100", "up to 1", "bits/byte")
    bounds = [Metric("x", lambda replies, references: [], "x", True, unit).bounds for unit in units]
    assert bounds == [(0, 1), (0, 1), (-1, 1), (1, 5), (0, 100), None, None]
