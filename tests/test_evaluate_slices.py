"""Slices by the length of the reference and by the origin of the text, which no row is guessed to have."""

import json

import pyarrow as pa
import pytest
from test_evaluate import answered, find, prompts, run, wrong

from mashq.evaluate import SLICES
from mashq.lineage_origin import origins, said
from mashq.rows import SCORES, children, conform, source_ids
from mashq.run import Step, Store, read_rows

QE = {**dict.fromkeys(SCORES), "qe": 0.9}


def systems_of(table: pa.Table, **changed: pa.Array) -> dict[str, list[pa.Table]]:
    made = {}
    for name in ("base", "tuned"):
        rows = answered(table, name, wrong(table.num_rows))
        for column, values in changed.items():
            rows = rows.set_column(rows.column_names.index(column), rows.schema.field(column), values)
        made[name] = [rows]
    return made


def cut(scores: dict, by: str) -> list[tuple[str, int]]:
    """(value, items) of a slicing, in the order in which it stands."""
    mine = [one for one in scores["scores"] if one["slice"]["by"] == by and one["system"] == "base"]
    return [(one["slice"]["value"], one["n"]) for one in mine]


def long(*words: int) -> pa.Array:
    return pa.array([[" ".join(["كلمة"] * n)] if n else None for n in words], pa.list_(pa.string()))


# --- length ----------------------------------------------------------------------------------------------------------


def test_lengths_are_cut_in_thirds_from_short_to_long(tmp_path):
    table = prompts(30)
    scores = run(tmp_path, table, systems_of(table, references=long(*range(30, 0, -1))), metrics=("rougeL",))
    assert cut(scores, "length") == [("1-10 words", 10), ("11-20 words", 10), ("21-30 words", 10)]
    assert find(scores["comparisons"], by="length", value="11-20 words")["n"] == 10
    assert "length" in SLICES and "origin" in SLICES


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([1] * 25 + [2] * 4 + [9] * 4, [("1 word", 25), ("2-9 words", 8)]),  # equal lengths are not parted
        ([3] * 11 + [4] * 11 + [5] * 11, [("3 words", 11), ("4 words", 11), ("5 words", 11)]),
        ([4] * 40, []),  # all of one length
        (range(1, 30), []),  # too few
        ([0] * 9 + [1] * 15 + [5] * 15, [("1 word", 15), ("5 words", 15)]),  # an item without a reference has no length
        ([0] * 9 + [1] * 12 + [5] * 12, []),
    ],
)
def test_thirds_of_lengths(tmp_path, words, values):
    table = prompts(len(words))
    scores = run(tmp_path, table, systems_of(table, references=long(*words)), metrics=("rougeL",))
    assert cut(scores, "length") == values


# --- origin, by what rows say ----------------------------------------------------------------------------------------


def metas(*told: str) -> pa.Array:
    return pa.array([json.dumps({"finish": "stop", **({"origin": one} if one else {})}) for one in told])


def test_origin_is_what_rows_say_and_the_silent_are_in_no_slice(tmp_path):
    table = prompts(8)
    told = metas("synthetic", "native", "native", "translated", "", "", "Egypt", "native")
    scores = run(tmp_path, table, systems_of(table, meta=told), metrics=("rougeL",))
    assert cut(scores, "origin") == [("native", 3), ("translated", 1), ("synthetic", 1)]


def test_one_origin_alone_is_no_slicing(tmp_path):
    table = prompts(8)
    for told in (metas(*["native"] * 8), metas("native", *[""] * 7), metas(*[""] * 8)):
        assert cut(run(tmp_path, table, systems_of(table, meta=told), metrics=("rougeL",)), "origin") == []


def test_a_score_of_a_translation_says_translated():
    assert said({}, QE) == "translated"
    assert said({"origin": "native"}, QE) == "native"
    assert said({}, {**dict.fromkeys(SCORES), "judge": 4.0}) == said({}, None) == said({"origin": 7}, None) == ""


def test_the_store_speaks_where_rows_are_silent(tmp_path):
    table = prompts(4)
    ids = [one.hex() for one in table["id"].to_pylist()]
    told = metas("native", "", "", "")
    known = {ids[0]: "translated", ids[1]: "translated", ids[2]: "synthetic"}
    scores = run(tmp_path, table, systems_of(table, meta=told), metrics=("rougeL",), origins=known)
    assert cut(scores, "origin") == [("native", 1), ("translated", 1), ("synthetic", 1)]


# --- origin, by the steps of a store ---------------------------------------------------------------------------------


def read(job):
    n, kind = 5, job.settings
    told = [json.dumps({"origin": "native"} if kind == "said" and i < 3 else {"text": str(i)}) for i in range(n)]
    yield conform({"id": source_ids(kind, "1", n=n), "source": kind, "meta": told, "text": "نص"})


def children_of(rows, job):
    return children(rows, job.name, meta=pa.nulls(rows.num_rows, pa.string()))


def together(job):
    for name in job.inputs:
        yield from job.read(name)


def made_by(name: str, role: str, rows: Step) -> Step:
    """A step in which a model translated, judged or wrote."""
    return Step(name, children_of, {}, {"rows": rows}, identity={"models": [{"role": role, "name": "m"}]})


def test_the_origin_of_an_item_is_found_in_the_steps_before_it(tmp_path):
    """Five rows of each raw set: translated; written of translated ones; judged; three of five said to be native."""
    raw = {kind: Step(f"raw-{kind}", read, kind, kind="stream") for kind in ("english", "judged", "said")}
    arabic = made_by("arabic", "translated", raw["english"])
    stories = made_by("stories", "wrote", arabic)
    seen = made_by("seen", "judged", raw["judged"])
    prompted = Step("prompts", children_of, {}, {"rows": raw["said"]})
    parts = {"arabic": arabic, "stories": stories, "seen": seen, "said": prompted}
    everything = Step("all", together, {}, parts, kind="stream")
    kept = Step("kept", together, {}, {"all": everything}, kind="stream")
    replies = Step("replies", children_of, {}, {"rows": kept})
    store = Store(tmp_path)
    folders = {step.name: store.make(step).folder for step in (replies, *parts.values())}
    found = origins(folders["replies"])
    rows = {name: [one.hex() for one in id_column(folders[name])] for name in ("arabic", "stories", "seen", "prompts")}
    assert [found.pop(one) for one in rows["arabic"]] == ["translated"] * 5
    assert [found.pop(one) for one in rows["stories"]] == ["synthetic"] * 5
    assert [found.pop(one) for one in rows["prompts"][:3]] == ["native"] * 3
    assert found == {}
    assert origins(folders["seen"]) == {}


def id_column(folder) -> list[bytes]:
    return [one for table in read_rows(folder, ["id"]) for one in table["id"].to_pylist()]
