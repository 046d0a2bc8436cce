"""The simulations call the product's own functions, and count what they say they count."""

import json

import numpy as np
import pytest
from bench import bench as load

from mashq.metrics import paired, resample

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def bench():
    return load("simulations")


def test_scores_have_the_mean_that_coverage_is_measured_against(bench):
    latent = np.random.default_rng(1).normal(size=200_000)
    for shape in bench.SHAPES.values():
        assert shape.scores(latent).mean() == pytest.approx(shape.mean, abs=0.01)


def test_clusters_and_systems_are_related_as_the_page_says(bench):
    a, b = bench.systems(np.random.default_rng(1), 60_000, bench.sizes_of(3, 2))
    assert a.var() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(a[:, 0], a[:, 1])[0, 1] == pytest.approx(bench.CLUSTER + bench.CLUSTER_BY_SYSTEM, abs=0.02)
    assert np.corrcoef(a[:, 1], a[:, 2])[0, 1] == pytest.approx(0, abs=0.02)
    assert np.corrcoef(a[:, 0], b[:, 0])[0, 1] == pytest.approx(bench.CLUSTER + bench.ITEM, abs=0.02)


def test_the_last_cluster_may_be_smaller(bench):
    assert bench.groups(bench.sizes_of(5, 2)) == ["000", "000", "001", "001", "002"]
    assert bench.groups(bench.sizes_of(5)) is None
    assert len(bench.sizes_of(50, 4)) == 13


def test_fewer_resamples_are_the_products_own_functions_and_are_put_back(bench):
    whole, search = resample.bootstrap, paired._detectable
    a, b = np.random.default_rng(0).random((2, 20))
    with bench.resamples(7, 11):
        assert resample.bootstrap.func is whole
        assert (resample.bootstrap.keywords, paired.FLIPS) == ({"rounds": 7}, 11)
        few = paired.compare(a, b)
    assert (resample.bootstrap, paired._detectable, paired.FLIPS) == (whole, search, 10_000)
    many = paired.compare(a, b)
    assert few.low != many.low
    assert few.smallest_detectable is None
    assert many.smallest_detectable > 0


def test_what_is_detectable_is_found_more_often_than_not(bench):
    part = next(part for part in bench.parts() if part.name == "power one of 20, 10 of 1 share 0.7")
    counts = bench.run(part, 150, None)
    assert counts["shift, millionths"] > 100_000
    assert 100 < counts["found"] < 145


def test_unequal_clusters_hold_the_mean(bench):
    counts = bench.run(
        bench.Part("sizes", bench.partial(bench.sized, shape="ordinal 1-5", design="1, 2, ... 12")), 150, None
    )
    assert counts["mean"] > 130
    assert counts["rejected"] < 20


def test_equal_systems_are_seldom_found_different_and_intervals_mostly_hold(bench):
    counts = bench.run(
        bench.Part("means ordinal 1-5 20 1", bench.partial(bench.means, shape="ordinal 1-5", n=20, size=1)), 150, None
    )
    assert counts["simulations"] == 150
    assert counts["rejected"] < 20
    assert counts["mean"] > 130
    assert counts["difference"] > 130


def test_groups_that_are_not_told_cost_coverage(bench):
    told = bench.means(np.random.default_rng(2), 120, shape="ordinal 1-5", n=48, size=4)
    untold = bench.means(np.random.default_rng(2), 120, shape="ordinal 1-5", n=48, size=4, told=False)
    assert untold["mean"] < told["mean"]


def test_a_part_that_was_done_is_read_and_one_of_another_number_is_not(bench, tmp_path):
    calls = []

    def simulate(generator, count):
        calls.append(count)
        return {"rejected": int(generator.integers(1000))}

    part = bench.Part("tiny part", simulate)
    first = bench.run(part, 10, tmp_path)
    assert bench.run(part, 10, tmp_path) == first
    assert calls == [10]
    assert json.loads((tmp_path / "tiny-part.json").read_text())["seed"] == bench.SEED
    assert bench.run(part, 20, tmp_path)["rejected"] == first["rejected"]  # the same random numbers
    assert calls == [10, 20]


def test_a_cell_misses_only_beyond_its_error(bench):
    assert bench.Cell(940, 1000, 0.95, at_least=True).missed == 0
    assert bench.Cell(900, 1000, 0.95, at_least=True).missed == pytest.approx(0.05)
    assert bench.Cell(990, 1000, 0.95, at_least=True).missed == 0
    assert bench.Cell(80, 1000, 0.05, at_least=False).missed == pytest.approx(0.03)
    assert str(bench.Cell(80, 1000, 0.05, at_least=False)) == "**8.0 ± 1.7**"
    assert bench.Cell(0, 1000, 0.05, at_least=False).missed == 0


@pytest.fixture
def small(bench, monkeypatch):
    """Sizes at which the whole page takes a second or two."""
    monkeypatch.setattr(bench, "LARGE", 500)
    bench.truths.cache_clear()
    yield bench
    bench.truths.cache_clear()


def test_the_page_says_what_was_run_and_what_falls_short(small):
    names = (
        "means ordinal 1-5 20 4",
        "means binary 3 1",
        "sizes binary 1, 2, ... 12",
        "family 20",
        "agreement moderate 20 4",
        "agreement rare 20 1",
        "unequal 20",
    )
    found = {part.name: small.run(part, 4, None) for part in small.parts() if part.name in names}
    assert set(found) == set(names)
    page = small.page_text(found, 4)
    assert "| ordinal 1-5, n = 20, clusters of 4 | 5 |" in page
    assert "| binary, n = 3, clusters of 1 | 3 |" in page
    assert "| binary, clusters of 1, 2, ... 12 | 12 | 9.4 |" in page
    assert "| six metrics, n = 20 |" in page
    assert "the test can never reject at 0.05" in page
    assert "* Not run yet: means rouge-like 2 1, " in page
    assert "nan" not in page


def test_every_part_has_a_name_of_its_own_and_a_place_in_the_page(small):
    names = [part.name for part in small.parts()]
    assert len(set(names)) == len(names)
    keys = ["rejected", "difference", "mean", "any", "holm", "simulations", "milliseconds", *small.MEASURES]
    keys += ["found", "shift, millionths"]
    keys += [f"no {name}" for name in small.MEASURES]
    keys += [f"{label} {name}" for label in ("ours", "here") for name in ("rejected", "difference", "mean", "alpha")]
    page = small.page_text({name: dict.fromkeys(keys, 1) | {"simulations": 100} for name in names}, 100)
    assert "Not run yet" not in page
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "|  |", "| |"))
    ]
    assert len(rows) == len(names) + sum(name.startswith("rounds") for name in names)  # those show two rows each
