"""Two systems on the same items."""

import itertools
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics import paired
from mashq.metrics.detectable import louder_yes
from mashq.metrics.paired import compare, compare_ratio, compare_strata, holm
from mashq.rows import MashqError


def p_by_hand(differences):
    """Every assignment of signs, one by one."""
    observed = abs(sum(differences))
    signs = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(sign * value for sign, value in zip(row, differences, strict=True))) for row in signs]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
def test_few_items_give_the_exact_p(differences):
    result = compare([float(value) for value in differences], [0.0] * len(differences))
    assert result.p == pytest.approx(p_by_hand(differences))


def test_many_items_give_p_near_the_exact_one():
    generator = np.random.default_rng(2)
    differences = generator.normal(0.4, 1, size=16)
    result = compare(differences, np.zeros(16))
    assert result.p == pytest.approx(p_by_hand(differences.tolist()), abs=0.01)


def test_p_is_never_0():
    result = compare(np.ones(500), np.zeros(500))
    assert result.p == pytest.approx(1 / 10_001)


def test_equal_systems_have_p_1_and_no_effect():
    result = compare([0.3, 0.4, 0.5], [0.3, 0.4, 0.5])
    assert (result.p, result.difference, result.effect) == (1.0, 0.0, 0.0)
    assert (result.wins, result.ties, result.losses) == (0, 3, 0)


def test_difference_is_a_minus_b_and_effect_is_in_standard_deviations():
    result = compare([3.0, 4.0, 8.0], [1.0, 1.0, 4.0])
    assert result.difference == pytest.approx(3.0)
    assert result.effect == pytest.approx(3.0)  # differences 2, 3, 4: mean 3, deviation 1
    assert (result.n, result.groups) == (3, 3)


def test_a_constant_difference_has_no_standardised_effect():
    assert compare([1.0, 2.0], [0.0, 1.0]).effect is None


def test_wins_follow_what_is_better():
    up = compare([3.0, 1.0, 2.0], [1.0, 2.0, 2.0])
    assert (up.wins, up.ties, up.losses) == (1, 1, 1)
    down = compare([3.0, 3.0, 2.0], [1.0, 2.0, 2.0], higher_is_better=False)
    assert (down.wins, down.ties, down.losses) == (0, 1, 2)
    assert down.difference > 0


def test_interval_holds_the_difference():
    generator = np.random.default_rng(0)
    a = generator.normal(0.3, 1, size=100)
    result = compare(a, np.zeros(100))
    assert result.low < result.difference < result.high


def test_swapping_the_systems_swaps_the_signs():
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 60))
    one, other = compare(a, b), compare(b, a)
    assert other.difference == pytest.approx(-one.difference)
    assert other.p == pytest.approx(one.p)
    assert (other.wins, other.losses) == (one.losses, one.wins)


def test_the_same_seed_gives_the_same_comparison():
    a, b = np.random.default_rng(0).random((2, 60))
    assert compare(a, b, seed=4) == compare(a, b, seed=4)


def test_p_does_not_depend_on_how_many_swaps_are_held_at_a_time(monkeypatch):
    a, b = np.random.default_rng(0).random((2, 60))
    whole = compare(a, b)
    monkeypatch.setattr(paired, "_CELLS", 700)
    assert compare(a, b).p == whole.p


def test_a_group_is_swapped_whole():
    # Two groups can be signed in 4 ways; the observed way and its mirror are the most extreme.
    result = compare(np.ones(40), np.zeros(40), groups=["x", "y"] * 20)
    assert (result.p, result.groups, result.n) == (0.5, 2, 40)


def test_one_group_tells_nothing():
    result = compare([1.0, 1.0], [0.0, 0.0], groups=["x", "x"])
    assert (result.p, result.low, result.high, result.smallest_detectable) == (1.0, None, None, None)


def test_systems_with_different_items_are_refused():
    with pytest.raises(MashqError, match="rougeL: expected 2 values for b as for a, got 1"):
        compare([1.0, 2.0], [1.0], metric="rougeL")
    with pytest.raises(MashqError, match="An empty set has no score"):
        compare([], [], metric="rougeL")


def test_signature_names_test_interval_and_seed():
    plain = compare([1.0, 2.0], [1.0, 1.0], metric="rougeL").signature
    assert plain.startswith("rougeL|test:swap10000|ci:bootstrap1000|seed:0|mashq:")
    assert "|by:group|" in compare([1.0, 2.0], [1.0, 1.0], metric="rougeL", groups=["a", "b"]).signature


def type_one(draw, simulations=400, seed=23):
    """The share of null comparisons with p < 0.05."""
    generator = np.random.default_rng(seed)
    return sum(draw(generator).p < 0.05 for _ in range(simulations)) / simulations


def test_type_one_rate_is_near_5_percent():
    rate = type_one(lambda generator: compare(generator.normal(size=20), generator.normal(size=20)))
    assert 0.02 <= rate <= 0.085


def grouped_null(generator, *, ignore):
    shared = np.repeat(generator.normal(size=12), 8)
    groups = None if ignore else [str(index // 8) for index in range(96)]
    return compare(shared + generator.normal(0, 0.5, size=96), np.zeros(96), groups=groups)


def test_type_one_rate_holds_with_groups_and_fails_when_they_are_ignored(monkeypatch):
    monkeypatch.setattr(paired, "FLIPS", 1000)
    assert 0.02 <= type_one(lambda generator: grouped_null(generator, ignore=False)) <= 0.085
    assert type_one(lambda generator: grouped_null(generator, ignore=True), simulations=100) > 0.25


def test_coverage_of_the_difference_is_near_95_percent():
    generator = np.random.default_rng(9)
    held = 0
    for _ in range(400):
        result = compare(generator.normal(0.5, 1, size=14), generator.normal(0, 1, size=14))
        held += result.low <= 0.5 <= result.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_smallest_detectable_difference_is_found_four_times_in_five():
    error = 1 / np.sqrt(14)
    difference = (2.160 + 0.870) * error  # t at 0.975 and 0.8 with 13 degrees of freedom
    generator = np.random.default_rng(31)
    results = [compare(generator.normal(difference, 1, size=14), np.zeros(14)) for _ in range(300)]
    assert 0.72 <= np.mean([result.p < 0.05 for result in results]) <= 0.88
    assert np.mean([result.smallest_detectable for result in results]) == pytest.approx(difference, rel=0.05)


def grouped(sizes):
    return [str(place) for place, size in enumerate(sizes) for _ in range(size)]


def test_nothing_is_detectable_where_no_p_could_be_below_alpha():
    generator = np.random.default_rng(4)
    for clusters, told in ((5, False), (6, True)):
        result = compare(generator.random(4 * clusters), np.zeros(4 * clusters), groups=grouped([4] * clusters))
        assert (result.smallest_detectable is not None) == told
    ties = compare([1.0, 0, 1, 0, 1, *[0] * 20], [0.0] * 25)  # three of 25 differ: p is 0.25 or more
    assert ties.smallest_detectable is None


def test_nothing_is_detectable_beside_a_large_and_three_small_clusters():
    result = compare([1] * 1000 + [0] * 3, [0] * 1000 + [1] * 3, groups=["big"] * 1000 + ["x", "y", "z"])
    assert (result.p, result.smallest_detectable, result.interval_by) == (1.0, None, "jackknife-t")
    assert result.low < 0 < result.high


def test_without_any_spread_there_is_neither_detectable_difference_nor_interval():
    for a in (np.full(20, 0.5), np.full(20, 0.7)):
        result = compare(a, np.full(20, 0.5))
        assert (result.smallest_detectable, result.low, result.high) == (None, None, None)


def test_ties_alone_leave_open_what_was_not_seen_where_the_range_is_known():
    result = compare([1.0] * 12, [1.0] * 12, bounds=(0.0, 1.0))
    assert (result.low, result.high) == (pytest.approx(-0.264648, abs=1e-6), pytest.approx(0.264648, abs=1e-6))
    assert result.interval_by == "unseen-share"


@pytest.mark.parametrize("sizes", [[4] * 7, [20, *[1] * 10], [100, *[1] * 19], [50, 30, 10, 5, *[1] * 10]])
def test_what_is_detectable_is_found_four_times_in_five_in_unequal_clusters_too(sizes, monkeypatch):
    monkeypatch.setattr(paired, "FLIPS", 400)
    generator = np.random.default_rng(12)
    names, places = grouped(sizes), np.repeat(np.arange(len(sizes)), sizes)

    def draw():
        return 0.8 * generator.normal(size=len(sizes))[places] + 0.5 * generator.normal(size=len(places))

    told = [compare(draw(), np.zeros(len(places)), groups=names).smallest_detectable for _ in range(80)]
    shift = float(np.mean(told))
    found = np.mean([compare(draw() + shift, np.zeros(len(places)), groups=names).p < 0.05 for _ in range(300)])
    assert 0.68 <= found <= 0.92


def test_a_ratio_over_ones_is_a_mean():
    a, b = np.random.default_rng(0).random((2, 30))
    mean, ratio = compare(a, b), compare_ratio(a, b, np.ones(30))
    assert (ratio.difference, ratio.p, ratio.low, ratio.effect) == pytest.approx(
        (mean.difference, mean.p, mean.low, mean.effect)
    )
    assert (ratio.wins, ratio.losses) == (mean.losses, mean.wins)  # a ratio such as bits per byte is better low


def test_difference_of_ratios_is_of_the_sums():
    result = compare_ratio([2.0, 8.0], [1.0, 5.0], [1.0, 4.0])
    assert result.difference == pytest.approx(10 / 5 - 6 / 5)


def test_each_system_may_have_its_own_denominators():
    result = compare_ratio([2.0, 8.0], [1.0, 5.0], [1.0, 4.0], [2.0, 10.0])
    assert result.difference == pytest.approx(10 / 5 - 6 / 12)


def test_type_one_rate_of_ratios_is_near_5_percent():
    def draw(generator):
        over = generator.integers(5, 200, size=18)
        return compare_ratio(over * generator.gamma(5, 1, size=18), over * generator.gamma(5, 1, size=18), over)

    assert 0.02 <= type_one(draw) <= 0.085


def test_a_ratio_over_nothing_is_refused():
    with pytest.raises(MashqError, match="bits: item 1: expected a denominator above 0"):
        compare_ratio([1.0, 1.0], [1.0, 1.0], [1.0, 0.0], metric="bits")


def test_holm_equals_the_worked_example():
    # 0.01, 0.04, 0.03, 0.005 -> sorted 0.005 x4, 0.01 x3, 0.03 x2, 0.04 x1 (raised to 0.06)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    ranked = [q for _, q in sorted(zip(ps, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(MashqError, match=r"holm: p 1: expected 0\.\.1, got nan"):
        holm([0.5, float("nan")])


@pytest.mark.parametrize(("n", "right"), [(20, 0.5), (50, 0.2), (200, 0.2), (200, 0.9)])
def test_what_is_detectable_in_yes_or_no_items_is_found_four_times_in_five(n, right, monkeypatch):
    monkeypatch.setattr(paired, "FLIPS", 400)
    generator = np.random.default_rng(8)
    way = 1 if right <= 0.5 else -1

    def draw(more=0.0):
        shared = generator.normal(size=n)
        a, b = (0.6 * shared + 0.8 * generator.normal(size=n) for _ in range(2))
        at = [NormalDist().inv_cdf(1 - share) for share in (right + way * more, right)]
        return (a > at[0]).astype(float), (b > at[1]).astype(float)

    told = [compare(*draw()).smallest_detectable for _ in range(80)]
    shift = float(np.mean([one for one in told if one is not None]))
    found = np.mean([compare(*draw(shift)).p < 0.05 for _ in range(400)])
    assert 0.74 <= found <= 0.92  # 0.61 and 0.71 of the 20 % right while the noise was taken not to grow


def test_the_noise_of_yes_or_no_items_grows_as_right_answers_are_gained():
    a = np.array([1.0] * 30 + [0.0] * 70)  # 10 of them b has too, 10 only b has, 60 neither
    b = np.array([1.0] * 10 + [0.0] * 20 + [1.0] * 10 + [0.0] * 60)
    seen, apart = 0.1, 0.3  # the interval reaches below 0: nothing of it is sure
    # Of the 70 wrong answers of a, 10 are right in b alone (1 - 2/7); of the 20 right ones of b also 10 (none more).
    grown = [np.sqrt((apart + shift * 5 / 7 - shift**2) / (apart - seen**2)) for shift in (0.1, 0.3)]
    assert [louder_yes(a, b)(shift) for shift in (0.1, 0.3)] == pytest.approx(grown)
    assert louder_yes(b, a)(0.3) == pytest.approx(grown[1])
    many = louder_yes(np.tile(a, 100), np.tile(b, 100))  # now 0.1 - 0.011 is sure
    assert many(0.08) == pytest.approx(np.sqrt((apart - 0.0064) / (apart - seen**2)))
    assert many(0.3) < grown[1]
    assert louder_yes(a, b + 0.5) is None


def test_a_mean_over_strata_counts_each_of_them_once():
    generator = np.random.default_rng(3)
    b = generator.random(100)
    strata = [np.arange(10), np.arange(10, 100)]
    a = b + np.repeat([0.3, 0.0], [10, 90])
    result = compare_strata(a, b, strata, bounds=(0, 1))
    assert result.difference == pytest.approx(0.15) and result.p == pytest.approx(2 / 2**10)
    assert (result.n, result.wins, result.ties, result.effect) == (100, 10, 90, None)
    alike = compare_strata(b + 0.1, b, strata)  # the same in both: no spread to make an interval of
    assert (alike.difference, alike.low, alike.high) == (pytest.approx(0.1), None, None)
    assert alike.smallest_detectable is None


@pytest.mark.parametrize("effects", [(0.3, 0.0), (0.1, 0.1)])
def test_the_interval_of_a_mean_over_strata_is_as_wide_as_it_must_be(effects):
    generator, strata = np.random.default_rng(5), [np.arange(20), np.arange(20, 220)]
    found = []
    for _ in range(200):
        items = generator.normal(np.repeat(effects, [20, 200]), 0.1)
        found.append(compare_strata(items, np.zeros(220), strata))
    width = 2 * 1.96 * 0.1 / 2 * np.sqrt(1 / 20 + 1 / 200)
    assert np.mean([one.high - one.low for one in found]) == pytest.approx(width, rel=0.1)
    assert np.mean([one.low <= np.mean(effects) <= one.high for one in found]) >= 0.9


def test_a_mean_of_ratios_is_that_of_each_stratums_own_sums():
    over, under = np.array([2.0, 4, 9, 3]), np.array([1.0, 3, 3, 3])
    result = compare_strata(over, np.zeros(4), [np.array([0, 1]), np.array([2, 3])], under, higher_is_better=False)
    assert result.difference == pytest.approx((6 / 4 + 12 / 6) / 2) and result.losses == 4


@pytest.mark.parametrize("strata", [[[0, 1]], [[0, 1, 2], []], [[0, 1], [1, 2]], [[0, 1], [2, 3]]])
def test_strata_that_are_no_partition_are_refused(strata):
    with pytest.raises(MashqError, match="expected each of 3 items in one stratum, and none empty"):
        compare_strata([1.0, 2, 3], [0.0, 0, 0], [np.array(places, dtype=int) for places in strata])


def test_the_effect_of_a_ratio_has_the_sign_of_its_difference():
    """Bits per byte: short texts got a little worse, and the one that holds most of the bytes got better."""
    over, under = np.array([1.0, 1, 1, 900]), np.array([1.0, 1, 1, 1000])
    result = compare_ratio(over + np.array([0.1, 0.2, 0.1, -100]), over, under)
    assert (result.difference < 0) == (result.effect < 0)
    items = np.random.default_rng(2).random((2, 30))
    same = compare_ratio(*items, np.full(30, 7.0))  # equal denominators: the effect of the mean
    assert same.effect == pytest.approx(compare(*items).effect)
