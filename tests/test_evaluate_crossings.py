"""Two slicings crossed: which pairs are made, what their cells hold, and that no other number moves for them."""

import numpy as np
import pyarrow as pa
import pytest
from test_evaluate import REFERENCES, answered, prompts, run
from test_evaluate_slices import metas, systems_of

from mashq.evaluate import crossings as evaluate_crossings
from mashq.evaluate.crossings import FEWEST
from mashq.metrics import holm

N = 44


def column(*runs: tuple[str | None, int]) -> pa.Array:
    """`("a", 3), ("b", 1)` -> a a a b."""
    return pa.array([value for value, n in runs for _ in range(n)], pa.string())


def made_of(tmp_path, table=None, metrics=("exact",), slices=("task", "source"), origins=None, **changed):
    table = prompts(N) if table is None else table
    found = run(tmp_path, table, systems_of(table, **changed), metrics=metrics, slices=slices, origins=origins)
    return found["crossings"]


def two_by_two() -> dict[str, pa.Array]:
    """22 items a task; a source of 11 + 20 and one of 11 + 2."""
    return {
        "task": column(("qa", 22), ("title", 22)),
        "source": column(("arcd", 11), ("xquad", 11), ("arcd", 20), ("xquad", 2)),
    }


def mixed(table: pa.Table) -> dict[str, list[pa.Table]]:
    """The base answers every fourth item rightly, the tuned one every second, in crossed columns."""
    right = [REFERENCES[place % 4] for place in range(table.num_rows)]
    replies = {
        name: [text if place % step == 0 else "لا أعرف" for place, text in enumerate(right)]
        for name, step in (("base", 4), ("tuned", 2))
    }
    made = {}
    for name, texts in replies.items():
        rows = answered(table, name, texts, nats=40.0 if name == "base" else 30.0)
        for named, values in two_by_two().items():
            rows = rows.set_column(rows.column_names.index(named), rows.schema.field(named), values)
        made[name] = [rows]
    return made


# --- which are made --------------------------------------------------------------------------------------------------


def test_a_crossing_that_is_one_of_its_columns_again_is_left_out(tmp_path):
    told = column(("qa", 22), ("title", 22))
    sources = column(("arcd", 11), ("xquad", 11), ("ajgt", 22))  # each source has one task
    found = made_of(tmp_path, task=told, source=sources)
    assert found["made"] == []
    assert found["left_out"] == [{"rows": "task", "columns": "source", "why": "repeats", "of": "source"}]


def test_one_item_elsewhere_makes_it_say_something(tmp_path):
    sources = column(("arcd", 11), ("xquad", 11), ("ajgt", 21), ("arcd", 1))
    found = made_of(tmp_path, task=column(("qa", 22), ("title", 22)), source=sources)
    assert [(one["rows"], one["columns"]) for one in found["made"]] == [("task", "source")]


def test_a_column_of_one_value_crosses_nothing(tmp_path):
    found = made_of(tmp_path, task=column(("qa", 22), ("title", 22)), slices=("task", "source", "variety", "origin"))
    assert found["made"] == []
    told = {(one["rows"], one["columns"]): (one["why"], one["of"]) for one in found["left_out"]}
    assert told["task", "source"] == ("one value", "source")
    assert told["task", "origin"] == ("one value", "origin")
    assert len(told) == 6


def test_fewer_than_two_cells_with_enough_items_are_too_thin(tmp_path):
    tasks = column(("qa", 22), ("title", 22))
    thin = column(
        ("arcd", FEWEST),
        *((f"s{place}", 6) for place in range(2)),
        *((f"s{place}", 6) for place in range(3)),
        ("arcd", 4),
    )
    found = made_of(tmp_path, task=tasks, source=thin)
    assert found["left_out"] == [{"rows": "task", "columns": "source", "why": "thin", "of": ""}]
    enough = column(("arcd", FEWEST), ("xquad", 12), ("arcd", FEWEST), ("xquad", 12))
    assert len(made_of(tmp_path / "more", task=tasks, source=enough)["made"]) == 1


def test_only_slicings_that_were_asked_for_are_crossed(tmp_path):
    assert made_of(tmp_path, slices=("task",), **two_by_two()) == {"least_items": FEWEST, "made": [], "left_out": []}


def test_a_row_without_a_value_is_a_value_of_a_column_and_no_origin(tmp_path):
    sources = column(("arcd", 11), (None, 11), ("arcd", 11), (None, 11))
    told = metas(*["native"] * 11, *["translated"] * 11, *["native"] * 5, *["translated"] * 10, *[""] * 7)
    changed = {"task": column(("qa", 22), ("title", 22)), "source": sources, "meta": told}
    found = made_of(tmp_path, slices=("task", "source", "origin"), **changed)
    by = {(one["rows"], one["columns"]): one for one in found["made"]}
    assert by["task", "source"]["column_values"] == ["", "arcd"]
    assert sum(cell["n"] for cell in by["task", "source"]["scores"] if cell["system"] == "base") == N
    assert sum(cell["n"] for cell in by["task", "origin"]["scores"] if cell["system"] == "base") == N - 7


# --- what their cells hold -------------------------------------------------------------------------------------------


def test_cells_equal_a_hand_computation(tmp_path):
    table = prompts(N)
    found = run(tmp_path, table, mixed(table), metrics=("exact", "bits_per_byte"), slices=("task", "source"))
    ids = {one.hex(): place for place, one in enumerate(table["id"].to_pylist())}
    assert len(ids) == N
    one = found["crossings"]["made"][0]
    spans = {
        ("qa", "arcd"): (0, 11),
        ("qa", "xquad"): (11, 22),
        ("title", "arcd"): (22, 42),
        ("title", "xquad"): (42, 44),
    }
    assert len(one["scores"]) == 4 * 2 * 2 and len(one["comparisons"]) == 4 * 2
    for (row, column_), (start, end) in spans.items():
        places = np.arange(start, end)
        exact = {"base": (places % 4 == 0).mean(), "tuned": (places % 2 == 0).mean()}
        for system, value in exact.items():
            cell = cell_of(one["scores"], row, column_, "exact", system=system)
            assert cell["value"] == pytest.approx(value, abs=1e-12)
            assert (cell["n"], cell["groups"]) == (end - start, end - start)
        gain = cell_of(one["comparisons"], row, column_, "exact")
        assert gain["difference"] == pytest.approx(exact["tuned"] - exact["base"], abs=1e-12)
        assert gain["wins"] == ((places % 2 == 0) & (places % 4 != 0)).sum() and gain["losses"] == 0
        assert gain["wins"] + gain["ties"] == gain["n"] == end - start
        sizes = sum(len(REFERENCES[place % 4].encode()) for place in places)
        bits = cell_of(one["comparisons"], row, column_, "bits_per_byte")
        assert bits["difference"] == pytest.approx(-10 * len(places) / np.log(2) / sizes, abs=1e-9)


def cell_of(entries, row, column, metric, **more):
    keys = {"row": row, "column": column, "metric": metric, **more}
    mine = [one for one in entries if all(one[key] == value for key, value in keys.items())]
    assert len(mine) == 1
    return mine[0]


def test_a_cell_of_two_items_stands_and_equal_items_leave_most_open(tmp_path):
    one = made_of(tmp_path, **two_by_two())["made"][0]
    small = cell_of(one["comparisons"], "title", "xquad", "exact")
    # Both items tie. A share of 1 - 0.025^(1/2) = 0.842 of all could be won or lost, unseen.
    assert (small["n"], small["difference"], small["interval_by"]) == (2, 0.0, "unseen-share")
    assert (small["low"], small["high"]) == (pytest.approx(-0.841886, abs=1e-6), pytest.approx(0.841886, abs=1e-6))


def test_perplexity_has_cells_without_differences_and_no_cell_has_a_p(tmp_path):
    table = prompts(N)
    found = run(tmp_path, table, mixed(table), metrics=("perplexity", "exact"), slices=("task", "source"))
    one = found["crossings"]["made"][0]
    assert {entry["metric"] for entry in one["scores"]} == {"perplexity", "exact"}
    assert {entry["metric"] for entry in one["comparisons"]} == {"exact"}
    assert not {"p", "p_holm"} & set(one["comparisons"][0])
    assert "test:" not in one["comparisons"][0]["signature"] and "ci:bootstrap" in one["comparisons"][0]["signature"]


def test_no_other_number_moves_for_crossings(tmp_path, monkeypatch):
    table = prompts(N)
    asked = {"metrics": ("exact", "rougeL", "bits_per_byte"), "slices": ("task", "source")}
    crossed = run(tmp_path / "with", table, mixed(table), **asked)
    monkeypatch.setattr(evaluate_crossings, "CROSSED", ())
    plain = run(tmp_path / "without", table, mixed(table), **asked)
    assert len(crossed.pop("crossings")["made"]) == 1 and plain.pop("crossings")["made"] == []
    assert crossed == plain
    whole = [one for one in crossed["comparisons"] if one["slice"]["by"] == "all"]
    assert [one["p_holm"] for one in whole] == holm([one["p"] for one in whole])
