"""What a sweep's file says: cells, neighbours, and every fault in it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mashq.rows import MashqError
from mashq.sweep import TEXTS, Read, Sweep, factors_of, number_of, open_sweep, placed, ready_made, summary

READ = Read("gain", "after", metrics=("rougeL",))
OWN = {
    "base": "stories",
    "read": {"evaluation": "gain", "system": "tuned-replies", "metrics": ["rougeL"]},
    "sizes": {"toy": {"factors": {"rows": [1, 2]}}},
}


def sweep_of(factors, **changed):
    return Sweep("mine", "stories", None, factors_of("mine", factors, {}), READ, **changed)


def written(folder: Path, **changed) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changed}, allow_unicode=True), "utf-8")
    return str(path)


def test_a_grid_has_every_combination_the_first_values_first():
    cells = sweep_of({"rows": [1, 2], "lr": [0.1, 0.2]}).cells()
    assert [cell.name for cell in cells] == ["rows=1, lr=0.1", "rows=1, lr=0.2", "rows=2, lr=0.1", "rows=2, lr=0.2"]
    assert cells[3].settings == {"rows": 2, "lr": 0.2}


def test_one_at_a_time_leaves_the_other_factors_at_their_first_value():
    cells = sweep_of({"rows": [1, 2, 3], "lr": [0.1, 0.2]}, layout="one_at_a_time").cells()
    assert [tuple(cell.labels.values()) for cell in cells] == [("1", "0.1"), ("1", "0.2"), ("2", "0.1"), ("3", "0.1")]


def test_numbers_are_compared_with_the_first_and_the_one_before():
    assert sweep_of({"rows": [1, 2, 3]}).neighbours() == [(1, 0), (2, 0), (2, 1)]


def test_names_are_compared_with_the_first_alone():
    assert sweep_of({"how": ["a", "b", "c"]}).neighbours() == [(1, 0), (2, 0)]


def test_in_a_grid_only_cells_that_differ_in_one_factor_are_compared():
    sweep = sweep_of({"rows": [1, 2], "lr": [0.1, 0.2]})
    assert sweep.neighbours() == [(1, 0), (2, 0), (3, 1), (3, 2)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.sampled_from(["grid", "one_at_a_time"]))
def test_every_pair_differs_in_one_factor(sizes, layout):
    sweep = sweep_of({f"f{i}": list(range(n + 1)) for i, n in enumerate(sizes)}, layout=layout)
    cells = sweep.cells()
    for a, b in sweep.neighbours():
        assert sum(x != y for x, y in zip(cells[a].labels.values(), cells[b].labels.values(), strict=True)) == 1
    assert len({cell.name for cell in cells}) == len(cells)
    assert sweep.runs == 3 * len(cells)


def test_a_value_may_set_several_settings_and_be_read_elsewhere():
    (factor,) = factors_of("s", {"arm": {"a": {"x": 1, "y": [2]}, "b": {"x": 3, "read": {"system": "other"}}}}, {})
    assert factor.values == {"a": {"x": 1, "y": [2]}, "b": {"x": 3}}
    cells = Sweep("s", "r", None, (factor,), READ).cells()
    assert [cell.read.system for cell in cells] == ["after", "other"]


@pytest.mark.parametrize(
    ("label", "number"),
    [("10", 10), ("1e-4", 0.0001), ("25%", 0.25), ("none", None), ("nan", None), ("inf", None), ("٣", 3), ("", None)],
)
def test_labels_that_are_numbers(label, number):
    assert number_of(label) == number


def test_every_ready_made_sweep_has_its_texts_in_both_languages():
    for name, content in ready_made().items():
        for scale in content["sizes"]:
            sweep = open_sweep(name, scale)
            assert len(sweep.seeds) >= 3
            for key in ("question", "source", "answer"):
                assert all(sweep.texts[key].values()), (name, key)
            for factor in sweep.factors:
                assert factor.title["ar"] != factor.title["en"], (name, factor.name)
    assert set(TEXTS) <= set(sweep.texts)


def test_the_open_questions_of_the_papers_are_there_by_name():
    sources = " ".join(summary().values())
    for paper, number in (
        ("Paper 2", 1),
        ("Paper 2", 2),
        ("Paper 2", 3),
        ("Paper 4", 1),
        ("Paper 4", 2),
        ("Paper 4", 3),
    ):
        assert any(paper in line and f"Open Question {number}" in line for line in summary().values()), (paper, number)
    assert all(f"Next Check {number}" in sources for number in (1, 2, 3))  # paper 3 leaves no open question


def test_packaged_data_become_paths():
    assert Path(placed({"a": {"b": "package:sweeps/toy"}})["a"]["b"]).is_dir()
    with pytest.raises(MashqError, match="the package holds no 'sweeps/none'"):
        placed("package:sweeps/none")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sizes": {"toy": {"factors": {"rows": [1]}}}}, "factor 'rows': expected at least two values, got 1"),
        ({"sizes": {"toy": {"factors": {"rows": [1, 1]}}}}, "two values are named '1'"),
        ({"sizes": {"toy": {"factors": {"rows": 3}}}}, "expected a list of values"),
        ({"sizes": {"toy": {"factors": {"how": ["a", "\ud800"]}}}}, r"can be printed, got '.ud800'"),
        ({"sizes": {"toy": {"factors": {"how": ["a", "b\n"]}}}}, "can be printed"),
        ({"sizes": {"toy": {}}}, "factors: expected at least one"),
        ({"sizes": [1]}, "sizes: expected names"),
        ({"sizes": {"toy": {"factor": {}}}}, "unknown key 'sizes.toy.factor'.*Did you mean 'factors'"),
        ({"seed": [1]}, "unknown key 'seed'.*Did you mean 'seeds'"),
        ({"seeds": [1, 1]}, "seeds: expected different numbers"),
        ({"seeds": ["a"]}, "seeds: expected whole numbers"),
        ({"seeds": []}, "seeds: expected different numbers, at least one"),
        ({"layout": "ring"}, "layout: expected grid or one_at_a_time, got 'ring'"),
        ({"read": {"system": "x"}}, "lacks 'read.evaluation'"),
        ({"read": {"evaluation": "e", "system": "x"}}, "read.metrics: expected at least one"),
        ({"seed_settings": ["rows"]}, "rows: set by a factor and by the seed"),
    ],
)
def test_a_faulty_file_says_what_is_wrong(tmp_path, changed, message):
    with pytest.raises(MashqError, match=message):
        open_sweep(written(tmp_path, **changed), "toy")


def test_a_file_that_is_no_sweep(tmp_path):
    with pytest.raises(MashqError, match=r"there is no sweep 'story-data-sise'.*Did you mean 'story-data-size'"):
        open_sweep("story-data-sise", "toy")
    with pytest.raises(MashqError, match=r"has no size 'tiny' \(toy\)"):
        open_sweep(written(tmp_path), "tiny")
    with pytest.raises(MashqError, match="there is no file"):
        open_sweep(str(tmp_path / "none.yaml"), "toy")
    for text, message in (
        ("- 1", "expected base, factors"),
        ("a: [", "not readable as YAML"),
        ("x: 1", "lacks 'base'"),
    ):
        (tmp_path / "odd.yaml").write_text(text)
        with pytest.raises(MashqError, match=message):
            open_sweep(str(tmp_path / "odd.yaml"), "toy")
