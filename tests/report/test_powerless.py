"""What could never be significant after Holm's correction is said to be so, and not to lack an improvement."""

import itertools
import random

from mashq.metrics.paired import holm, least_p
from mashq.report.evaluated import ALPHA, _comparisons, _least_holm, _summary, verdict

METRICS = {"rougeL": {"higher_is_better": True, "unit": "0..1"}, "chrF++": {"higher_is_better": True, "unit": "0..100"}}


def entry(value, groups, *, by="source", metric="rougeL", difference=0.2, p=None, a="tuned"):
    least = least_p(groups)
    return {
        "a": a,
        "b": "base",
        "metric": metric,
        "slice": {"by": by, "value": value},
        "difference": difference,
        "low": 0.1,
        "high": 0.3,
        "p": least if p is None else p,
        "n": groups,
        "groups": groups,
        "least_p": least,
        "smallest_detectable": 0.01,
    }


def corrected(entries):
    """With p after the correction within each slicing, as an evaluation has them."""
    found = []
    for by in dict.fromkeys(one["slice"]["by"] for one in entries):
        family = [one for one in entries if one["slice"]["by"] == by]
        found += [{**one, "p_holm": p} for one, p in zip(family, holm([e["p"] for e in family]), strict=True)]
    return _comparisons(found, METRICS)


def summary(entries):
    facts = {"comparisons": entries, "primary": "tuned", "baseline": "base", "systems": ["base", "tuned"]}
    return _summary({**facts, "scores": [], "metrics": METRICS})


def family(n):
    """A slicing of `n` slices of 8 groups each, and one of many groups, every one with its least p."""
    small = [entry(f"s{place}", 8, metric=metric) for place, metric in itertools.product(range(n // 2), METRICS)]
    return [entry("all", 400, by="all"), entry("large", 200), *small]


def test_no_corrected_p_is_below_the_bound_whatever_the_others_are():
    chooser = random.Random(5)
    for _ in range(500):
        sizes = [chooser.choice((2, 4, 6, 8, 9, 12, 30)) for _ in range(chooser.randint(1, 12))]
        least = [entry(str(place), size) for place, size in enumerate(sizes)]
        drawn = [min(1.0, one["least_p"] * chooser.choice((1, 1, 1.5, 3, 40))) for one in least]
        assert all(p >= bound for p, bound in zip(holm(drawn), _least_holm(least), strict=True))


def test_few_groups_stand_behind_all_that_have_more():
    """The first of four is 0.125 x 4; then 0.25 x 2 and 0.5 x 1, and none of them falls below it."""
    found = _least_holm([entry("a", 4), entry("b", 2), entry("c", 4), entry("d", 3), entry("other", 6, by="all")])
    assert found == [0.5, 0.5, 0.5, 0.5, 2**-5]


def test_eight_groups_in_a_large_family_have_no_power_though_their_own_least_p_is_small():
    found = corrected(family(72))
    small = [one for one in found if one["groups"] == 8]
    assert small[0]["least_p"] < ALPHA  # 0.0078: alone it could be significant
    assert {one["least_p_holm"] for one in small} == {72 / 128}
    assert all(one["powerless"] and one["smallest_detectable"] is None for one in small)
    told = summary(found)
    assert {"by": "source", "value": "s0"} in told["powerless"]["slices"] and len(told["powerless"]["slices"]) == 36
    assert told["unproven_slices"] == [] and told["powerless"]["all"] is None


def test_the_same_groups_in_a_small_family_keep_their_power_and_are_told_unproven():
    found = corrected([*family(4), entry("s9", 9, p=0.9)])
    assert not any(one["powerless"] for one in found)
    assert all(one["smallest_detectable"] == 0.01 for one in found)
    told = summary(found)
    assert told["powerless"]["slices"] == [] and told["unproven_slices"] == [{"by": "source", "value": "s9"}]


def test_a_slice_in_which_one_metric_could_be_significant_is_not_called_powerless():
    mixed = [entry("s", 3), entry("s", 12, metric="chrF++"), entry("other", 12)]
    told = summary(corrected([entry("all", 400, by="all"), *mixed]))
    assert told["powerless"]["slices"] == [] and {"by": "source", "value": "s"} in told["unproven_slices"]


def test_correction_alone_can_leave_all_items_without_power():
    found = corrected([entry("all", 6, by="all", a=f"tuned{n or ''}") for n in range(4)])
    assert summary(found)["powerless"]["all"] == {"groups": 6, "p": 2**-5, "p_holm": 4 * 2**-5}
    assert summary(corrected([entry("all", 6, by="all")]))["powerless"]["all"] is None


def test_an_evaluation_without_least_ps_is_told_nothing():
    old = [{name: value for name, value in one.items() if name != "least_p"} for one in family(4)]
    assert not any(one["powerless"] for one in corrected(old))


def test_better_needs_an_interval_without_0_too():
    told = {"difference": 0.02, "p_holm": 0.001}
    assert verdict({**told, "low": 0.01, "high": 0.03}, higher_is_better=True) == "better"
    assert verdict({**told, "low": 0.01, "high": 0.03}, higher_is_better=False) == "worse"
    assert verdict({**told, "low": -0.01, "high": 0.05}, higher_is_better=True) == "unclear"
    assert verdict({**told, "low": None, "high": None}, higher_is_better=True) == "better"  # the same everywhere
    assert verdict({**told, "p_holm": 0.05, "low": 0.01, "high": 0.03}, higher_is_better=True) == "unclear"
