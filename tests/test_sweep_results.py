"""The numbers of a sweep against other ways to the same number, and how often its intervals hold the truth."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from mashq.metrics import holm
from mashq.rows import MashqError
from mashq.sweep import Read
from mashq.sweep_results import Scores, crossed, estimate, linearised, read_scores, results, write

FACTS = {"rougeL": {"unit": "0..1", "higher_is_better": True, "signature": "rougeL|seed:0|mashq:1"}}


def scores_of(values, items=None, groups=None, under=None, facts=FACTS, slices=None):
    n = len(values)
    items = items or [f"i{k:03}" for k in range(n)]
    metric = next(iter(facts))
    return Scores(
        items,
        groups or [None] * n,
        slices or {},
        {metric: np.asarray(values, float)},
        {metric: np.ones(n) if under is None else np.asarray(under, float)},
        facts,
        ["toy-gpt2"],
    )


def cells_of(values):
    """(cells, seeds, items) -> cells of scores."""
    return {c: [scores_of(one) for one in seeds] for c, seeds in enumerate(values)}


def test_with_one_seed_the_test_is_the_paired_t_test():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 40))
    found = estimate((a - b)[:, None], np.ones(40), np.arange(40))
    told = stats.ttest_rel(a, b)
    assert math.isclose(found.p, told.pvalue, rel_tol=1e-9)
    low, high = told.confidence_interval(0.95)
    assert math.isclose(found.low, low, rel_tol=1e-9) and math.isclose(found.high, high, rel_tol=1e-9)


def test_with_one_group_the_test_is_that_of_the_seeds():
    random = np.random.default_rng(1)
    over = random.normal(size=(7, 5))
    found = estimate(over, np.ones(7), np.zeros(7, int))
    assert math.isclose(found.p, stats.ttest_1samp(over.mean(axis=0), 0).pvalue, rel_tol=1e-9)


def by_hand(z):
    """Mean squares, written out as sums over every entry."""
    groups, seeds = z.shape
    mean = sum(z[g][s] for g in range(groups) for s in range(seeds)) / (groups * seeds)
    of_group = [sum(z[g]) / seeds for g in range(groups)]
    of_seed = [sum(z[g][s] for g in range(groups)) / groups for s in range(seeds)]
    ms_g = seeds * sum((m - mean) ** 2 for m in of_group) / (groups - 1)
    ms_s = groups * sum((m - mean) ** 2 for m in of_seed) / (seeds - 1)
    rest = sum((z[g][s] - of_group[g] - of_seed[s] + mean) ** 2 for g in range(groups) for s in range(seeds))
    ms_e = rest / ((groups - 1) * (seeds - 1))
    total = ms_g + ms_s - ms_e
    bottom = ms_g**2 / (groups - 1) + ms_s**2 / (seeds - 1) + ms_e**2 / ((groups - 1) * (seeds - 1))
    return math.sqrt(total / (groups * seeds)), total**2 / bottom


def test_the_two_way_variance_is_that_of_the_sums_written_out():
    random = np.random.default_rng(2)
    z = random.normal(size=(12, 1)) + random.normal(size=(1, 3)) + 0.3 * random.normal(size=(12, 3))
    assert crossed(z) == pytest.approx(by_hand(z), rel=1e-9)


def test_a_part_that_is_estimated_as_nothing_is_left_out():
    random = np.random.default_rng(3)
    groups = random.normal(size=(9, 1))
    error, freedom = crossed(np.repeat(groups, 3, axis=1))  # every seed the same
    assert error == pytest.approx(stats.sem(groups[:, 0])) and freedom == pytest.approx(8)
    assert crossed(np.zeros((4, 3))) == (0.0, 6.0)
    assert crossed(np.ones((1, 1))) is None


def test_a_ratio_of_sums_is_linearised_as_the_jackknife_has_it():
    random = np.random.default_rng(4)
    over, under = random.uniform(1, 5, size=(60, 1)), random.uniform(50, 90, size=60)
    codes = np.arange(60) // 3
    ratio, z = linearised(over, under, codes)
    assert ratio == pytest.approx(over.sum() / under.sum()) and abs(z.mean()) < 1e-12
    error, _ = crossed(z)
    left = np.array([over[codes != g].sum() / under[codes != g].sum() for g in range(20)])
    jackknife = math.sqrt(19 / 20 * ((left - left.mean()) ** 2).sum())
    assert error == pytest.approx(jackknife, rel=0.02)


@pytest.mark.parametrize(
    ("groups", "seeds", "parts"), [(50, 3, (1, 0, 0.5)), (50, 3, (1, 0.2, 0.5)), (50, 3, (0.2, 1, 0.2))]
)
def test_intervals_hold_the_truth_where_items_and_seeds_vary(groups, seeds, parts):
    """95 % intervals, 600 worlds: a binomial count of 540 or fewer has probability 1e-6. Items alone held 10-95 %."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(600):
        over = parts[0] * random.normal(size=(groups, 1)) + parts[1] * random.normal(size=(1, seeds))
        over = over + parts[2] * random.normal(size=(groups, seeds))
        found = estimate(over, np.ones(groups), np.arange(groups))
        held += found.low <= 0 <= found.high
    assert held > 540


def test_a_null_sweep_finds_nothing():
    """Cells that differ by chance alone: one sweep in twenty may claim something, after Holm."""
    random = np.random.default_rng(6)
    claims = 0
    for _ in range(120):
        values = random.normal(size=(1, 1, 30)) + 0.2 * random.normal(size=(3, 3, 1)) + random.normal(size=(3, 3, 30))
        found = results(cells_of(values), [(1, 0), (2, 0), (2, 1)], ["rougeL"])
        claims += any(one["verdict"] != "unclear" for one in found["comparisons"])
    assert claims <= 14  # of 120 at 5 %, 15 or more has probability 0.001


def test_equal_cells_differ_by_nothing_at_all():
    values = np.random.default_rng(7).normal(size=(1, 3, 20)).repeat(2, axis=0)
    found = results(cells_of(values), [(1, 0)], ["rougeL"])
    (one,) = found["comparisons"]
    assert (one["difference"], one["low"], one["high"], one["p"], one["verdict"]) == (0.0, None, None, 1.0, "unclear")
    assert found["leaders"] == [{"metric": "rougeL", "cell": 0, "level_with": [1]}]


def test_a_true_difference_is_found_and_has_a_direction():
    random = np.random.default_rng(8)
    values = random.normal(size=(1, 1, 40)) + 0.05 * random.normal(size=(3, 3, 40))
    values[2] += 0.5
    found = results(cells_of(values), [(1, 0), (2, 0), (2, 1)], ["rougeL"])
    assert [one["verdict"] for one in found["comparisons"]] == ["unclear", "better", "better"]
    assert found["leaders"] == [{"metric": "rougeL", "cell": 2, "level_with": []}]
    ps = [one["p"] for one in found["comparisons"]]
    assert [one["p_holm"] for one in found["comparisons"]] == holm(ps)


def test_means_and_spread_are_those_of_the_seeds():
    values = np.random.default_rng(9).normal(size=(2, 3, 10))
    found = results(cells_of(values), [], ["rougeL"])
    for c, one in enumerate(found["scores"]):
        assert one["value"] == pytest.approx(values[c].mean())
        assert one["seeds"] == pytest.approx(list(values[c].mean(axis=1)))
        assert one["spread"] == pytest.approx(values[c].mean(axis=1).std(ddof=1))
        assert one["low"] < one["value"] < one["high"]


def test_the_order_of_items_does_not_matter_and_only_shared_ones_count():
    values = np.random.default_rng(10).normal(size=(2, 3, 8))
    cells = cells_of(values)
    names = cells[0][0].items
    turned = [scores_of(seed[::-1], items=names[::-1]) for seed in values[1]]
    more = [scores_of([*seed, 9.0], items=[*names, "z"]) for seed in values[0]]
    plain = results(cells, [(1, 0)], ["rougeL"])
    found = results({0: more, 1: turned}, [(1, 0)], ["rougeL"])
    assert found["comparisons"] == plain["comparisons"] and (plain["left_out"], found["left_out"]) == (0, 1)


def test_slices_have_scores_and_tests_of_their_own():
    values = np.random.default_rng(11).normal(size=(2, 3, 12))
    values[1, :, 6:] += 5
    slices = {"variety": ["msa"] * 6 + ["gulf"] * 6}
    cells = {c: [scores_of(one, slices=slices) for one in seeds] for c, seeds in enumerate(values)}
    found = results(cells, [(1, 0)], ["rougeL"], ["variety"])
    told = {one["slice"]["value"]: one for one in found["comparisons"] if one["slice"]["by"] == "variety"}
    assert told["gulf"]["verdict"] == "better" and told["msa"]["n"] == 6
    assert told["gulf"]["p_holm"] == min(1, 2 * told["gulf"]["p"])  # a family of two


def test_values_of_other_signatures_are_not_compared():
    other = {"rougeL": {**FACTS["rougeL"], "signature": "rougeL|norm:x|seed:3|mashq:1"}}
    same = {"rougeL": {**FACTS["rougeL"], "signature": "rougeL|seed:3|mashq:1"}}
    cells = {
        c: [scores_of([1.0, 2, 4], facts=f), scores_of([1.0, 3, 4], facts=f)]
        for c, f in enumerate((FACTS, other, same))
    }
    found = results(cells, [(1, 0), (2, 0)], ["rougeL"])
    assert [(one["a"], one["b"]) for one in found["comparisons"]] == [(2, 0)] and found["leaders"] == []


@pytest.mark.parametrize(("items", "p", "verdict"), [(60, 1 / 10_001, "better"), (5, 2 / 2**5, "unclear")])
def test_a_gain_that_is_the_same_everywhere_is_tested_by_swaps_and_has_no_interval(items, p, verdict):
    values = np.stack([np.zeros((3, items)), np.ones((3, items))])
    found = results(cells_of(values), [(1, 0)], ["rougeL"])
    (one,) = found["comparisons"]
    assert (one["difference"], one["low"], one["high"], one["error"]) == (1.0, None, None, None)
    assert (one["p"], one["verdict"]) == (pytest.approx(p), verdict)
    assert [(score["low"], score["high"]) for score in found["scores"]] == [(None, None)] * 2
    assert found["leaders"][0]["level_with"] == ([] if verdict == "better" else [0])
    tenth = results(cells_of(0.3 + 0.1 * values), [(1, 0)], ["rougeL"])["comparisons"][0]  # with rounding
    assert (tenth["low"], tenth["p"]) == (None, pytest.approx(p))


def test_what_cannot_be_compared_says_so():
    one, two = scores_of([1.0, 2]), scores_of([1.0, 2], items=["a", "b"])
    with pytest.raises(MashqError, match="the cells share no item"):
        results({0: [one], 1: [two]}, [(1, 0)], ["rougeL"])
    with pytest.raises(MashqError, match="another length in two cells"):
        results({0: [one], 1: [scores_of([1.0, 2], under=[1, 3])]}, [(1, 0)], ["rougeL"])
    with pytest.raises(MashqError, match="no shared item has a score of 'rougeL'"):
        results({0: [one], 1: [scores_of([math.nan, math.nan])]}, [(1, 0)], ["rougeL"])
    with pytest.raises(MashqError, match="expected at least one, got none"):
        results({}, [], ["rougeL"])


def test_items_without_a_score_leave_every_cell():
    cells = {0: [scores_of([1.0, 2, 3])], 1: [scores_of([math.nan, 2, 4])]}
    found = results(cells, [(1, 0)], ["rougeL"])
    assert [one["n"] for one in found["scores"]] == [2, 2] and found["comparisons"][0]["difference"] == 0.5


def evaluation(folder):
    samples = {
        "item": ["b", "a", "a", "b"],
        "system": ["after", "after", "before", "before"],
        "group": ["g", None, None, "g"],
        "variety": ["msa", None, None, "msa"],
        "rougeL": [0.5, 0.25, 0.125, None],
        "nats": [10.0, 20.0, 30.0, 40.0],
        "target_bytes": [10, 20, 20, 10],
    }
    pq.write_table(pa.table(samples), folder / "samples.parquet")
    about = {
        "systems": [{"name": "before", "model": "toy-gpt2"}, {"name": "after", "model": "toy-gpt2"}],
        "metrics": {
            m: {"unit": "", "higher_is_better": m == "rougeL"} for m in ("rougeL", "bits_per_byte", "perplexity")
        },
        "scores": [{"system": "after", "metric": "rougeL", "signature": "rougeL|x"}],
    }
    (folder / "scores.json").write_text(json.dumps(about))
    return folder


def test_samples_are_read_in_the_order_of_their_items(tmp_path):
    read = Read("gain", "after", metrics=("rougeL", "bits_per_byte"), slices=("variety",))
    found = read_scores(evaluation(tmp_path), read)
    assert found.items == ["a", "b"] and found.slices == {"variety": ["", "msa"]} and found.groups == [None, "g"]
    assert list(found.over["rougeL"]) == [0.25, 0.5]
    assert list(found.over["bits_per_byte"] / found.under["bits_per_byte"]) == pytest.approx([1 / math.log(2)] * 2)


def test_a_gain_is_taken_item_by_item(tmp_path):
    found = read_scores(evaluation(tmp_path), Read("gain", "after", minus="before", metrics=("rougeL",)))
    assert found.over["rougeL"][0] == 0.125 and math.isnan(found.over["rougeL"][1])


def test_reading_what_is_not_there(tmp_path):
    folder = evaluation(tmp_path)
    for read, message in (
        (Read("gain", "aftr", metrics=("rougeL",)), "has no system 'aftr'.*Did you mean 'after'"),
        (Read("gain", "after", metrics=("rogueL",)), "has no metric 'rogueL'.*Did you mean 'rougeL'"),
        (Read("gain", "after", metrics=("perplexity",)), "read bits_per_byte"),
        (Read("gain", "after", metrics=("rougeL",), slices=("country",)), "read.slices"),
    ):
        with pytest.raises(MashqError, match=message):
            read_scores(folder, read)


def test_the_table_holds_every_cell_the_stopped_too(tmp_path):
    found = results(cells_of(np.random.default_rng(12).normal(size=(2, 3, 5))), [(1, 0)], ["rougeL"])
    cells = [{"name": f"x={c}", "labels": {"x": str(c)}, "state": "made"} for c in range(2)]
    stopped = {"name": "x=2", "labels": {"x": "2"}, "state": "stopped", "step": 40, "eval_loss": 3.5}
    write({**found, "cells": [*cells, stopped]}, tmp_path)
    lines = (tmp_path / "sweep.csv").read_text("utf-8").splitlines()
    assert len(lines) == 4 and lines[-1].startswith("x=2,2,stopped at step 40")
    assert pq.read_table(tmp_path / "cells.parquet").num_rows == 3
    assert json.loads((tmp_path / "sweep.json").read_text("utf-8"))["scores"] == found["scores"]
