"""What comes out of a study: tables that say the same in every format, Label Studio both ways, corrections."""

import csv
import json
import xml.etree.ElementTree as xml

import pyarrow.parquet as pq
import pytest
from rating_examples import ATTENTION, PRACTICE, absolute, added, check, pairwise, rate_all, study

from mashq.rating.corrections import corrections
from mashq.rating.exports import (
    from_label_studio,
    label_studio_config,
    label_studio_tasks,
    to_csv,
    to_json,
    to_label_studio,
    to_parquet,
)
from mashq.rating.store import Store
from mashq.rating.table import COLUMNS
from mashq.rows import MashqError

MIXED = [*map(absolute, range(4)), *map(pairwise, range(4, 8)), *map(check, range(8, 11)), PRACTICE, *ATTENTION]


@pytest.fixture
def store(tmp_path):
    """Items of every kind and role, answered by two raters."""
    with Store.create(tmp_path / "s.sqlite", study(MIXED), key="tests") as made:
        for name in ("سلمى", "كريم"):
            rate_all(made, added(made, name, dialect="egyptian"))
        yield made


def in_order(table):
    return table.sort_by([(name, "ascending") for name in ("rater", "item", "criterion")])


# --- tables ----------------------------------------------------------------------------------------------------------


def test_every_format_has_the_same_rows(store, tmp_path):
    rows = store.answers().to_pylist()
    assert len(rows) == 2 * (2 * (4 + 4 + 1 + 3) + 3)
    loaded = json.loads(to_json(store, tmp_path / "a.json").read_text("utf-8"))
    assert loaded["rows"] == [{**row, "when": row["when"].isoformat()} for row in rows]
    assert pq.read_table(to_parquet(store, tmp_path / "a.parquet")).to_pylist() == rows
    with to_csv(store, tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [list(row) for row in read] == [COLUMNS.names] * len(rows)
    for one, row in zip(read, rows, strict=True):
        assert one["when"] == row["when"].isoformat()
        assert one["value"] == ("" if row["value"] is None else str(row["value"]))
        assert one["right"] == {None: "", True: "true", False: "false"}[row["right"]]
        assert one["note"] == row["note"]


def test_a_csv_begins_with_a_byte_order_mark_where_it_is_asked_for(store, tmp_path):
    plain, marked = (to_csv(store, tmp_path / f"{bom}.csv", bom=bom).read_bytes() for bom in (False, True))
    assert marked == b"\xef\xbb\xbf" + plain
    assert plain.startswith(b"study,simulated,rater,")


@pytest.mark.parametrize(
    "begin", ["=", "+", "-", "@", "\t", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH COMMERCIAL AT}"]
)
def test_no_text_of_a_csv_is_a_formula(tmp_path, begin):
    with Store.create(tmp_path / "s.sqlite", study([absolute(1)])) as store:
        rater = added(store, "=cmd|' /C calc'!A0")
        note = f'{begin}HYPERLINK("http://x.example","اضغط")\nسطر ثانٍ, "بفاصلة"'
        store.save(rater, "a01-tuned", {"scores": {"fluency": 1, "coherence": 1}, "note": note}, 1)
        with to_csv(store, tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["note"] for row in rows] == [f"'{note}"] * 2
        assert rows[0]["rater"] == "'=cmd|' /C calc'!A0"
        assert store.answers()["note"].to_pylist() == [note] * 2


def test_a_preference_below_nought_stays_a_number_in_a_csv(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study([pairwise(1)])) as store:
        rater = added(store, "a")
        second = "second" if store.next(rater).item.shown == store.study.items[0].shown else "first"
        store.save(rater, "p01", {"prefer": {"fluency": second, "coherence": "tie"}}, 1)
        with to_csv(store, tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
            assert [row["value"] for row in csv.DictReader(file)] == ["-1.0", "0.0"]


def test_programs_answers_are_marked_in_every_export(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study([check(1)], simulated=True)) as store:
        rate_all(store, added(store, "a"))
        loaded = json.loads(to_json(store, tmp_path / "a.json").read_text("utf-8"))
        table = pq.read_table(to_parquet(store, tmp_path / "a.parquet"))
        with to_csv(store, tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
            assert [row["simulated"] for row in csv.DictReader(file)] == ["true"]
        assert loaded["simulated"] is True
        assert [row["simulated"] for row in loaded["rows"]] == [True]
        assert table.schema.metadata[b"simulated"] == b"true"
        assert table["simulated"].to_pylist() == [True]
        assert [task["data"]["simulated"] for task in to_label_studio(store)] == [True]
        assert from_label_studio(store, to_label_studio(store))["simulated"].to_pylist() == [True]
        assert corrections(store)["simulated"].to_pylist() == [True]


def test_a_store_without_answers_gives_tables_without_rows(tmp_path):
    with Store.create(tmp_path / "s.sqlite", study([absolute(1)])) as store:
        assert store.answers().schema == COLUMNS
        assert pq.read_table(to_parquet(store, tmp_path / "a.parquet")).num_rows == 0
        assert to_csv(store, tmp_path / "a.csv").read_text("utf-8").count("\n") == 1
        assert json.loads(to_json(store, tmp_path / "a.json").read_text("utf-8"))["rows"] == []


def test_a_place_that_cannot_be_written_is_told(store, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MashqError, match="cannot be written"):
        to_csv(store, tmp_path / "file" / "a.csv")


# --- Label Studio ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["absolute", "pairwise", "check"])
def test_answers_come_back_from_label_studio_as_they_were(store, kind):
    exported = json.dumps(to_label_studio(store, kind), ensure_ascii=False)
    rows = [row for row in store.answers().to_pylist() if row["kind"] == kind and row["role"] != "practice"]
    back = from_label_studio(store, exported)
    assert back.schema == COLUMNS
    assert in_order(back).to_pylist() == in_order(type(back).from_pylist(rows, COLUMNS)).to_pylist()


@pytest.mark.parametrize(
    ("kind", "texts"), [("absolute", ["reply"]), ("pairwise", ["first", "second"]), ("check", ["source", "proposed"])]
)
@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_configuration_shows_what_its_tasks_hold(store, kind, texts, language):
    page = xml.fromstring(label_studio_config(store.study, kind, language))
    shown = {one.get("name"): one.get("value") for one in page.iter("Text")}
    assert shown == {name: f"${name}" for name in ("prompt", *texts)}
    tasks = label_studio_tasks(store.study, kind)
    assert len(tasks) == {"absolute": 4 + 3, "pairwise": 4, "check": 3}[kind]
    for task in tasks:
        assert set(task["data"]) == {"study", "simulated", "mashq_item", "prompt", *texts}
    for one in page.iter():
        assert one.get("toName") in (None, *texts)
    controls = {one.get("name") for one in page.iter() if one.get("toName")}
    used = {
        one["from_name"] for task in to_label_studio(store, kind) for a in task["annotations"] for one in a["result"]
    }
    assert used <= controls


def test_a_configuration_offers_every_answer_by_its_name(store):
    pair = xml.fromstring(label_studio_config(store.study, "pairwise", "ar"))
    assert [one.get("alias") for one in pair.iter("Choice")] == ["first", "second", "tie"] * 2
    assert [one.get("value") for one in pair.iter("Choice")][:3] == ["الأول", "الثاني", "متساويان"]
    rated = xml.fromstring(label_studio_config(store.study, "absolute", "ar"))
    assert [one.get("name") for one in rated.iter("Rating")] == ["rate_fluency", "rate_coherence"]
    assert {one.get("maxRating") for one in rated.iter("Rating")} == {"5"}
    assert "5 = ممتازة" in [one.get("value") for one in rated.iter("Header")]
    assert rated.get("style") == "direction: rtl"


def test_a_title_with_markup_stays_a_title():
    made = study([absolute(1)], criteria=[{"name": "f", "title": {"ar": 'جودة "<b>" & غيرها'}}])
    page = xml.fromstring(label_studio_config(made))
    assert 'جودة "<b>" & غيرها' in [one.get("value") for one in page.iter("Header")]


def test_tasks_name_no_system_and_both_sides_stand_first():
    made = study([pairwise(place) for place in range(20)])
    tasks = label_studio_tasks(made)
    assert "tuned" not in json.dumps(tasks)
    assert {task["data"]["first"] for task in tasks} == set(made.items[0].shown)


def test_kinds_are_projects_of_their_own(store):
    with pytest.raises(MashqError, match="expected items of one kind, got absolute, pairwise, check"):
        label_studio_tasks(store.study)
    with pytest.raises(MashqError, match="expected absolute, got 'check'"):
        label_studio_tasks(study([absolute(1)]), "check")
    with pytest.raises(MashqError, match="language: expected ar or en, got 'fr'"):
        label_studio_config(store.study, "check", "fr")


def annotated(made, rated, **more):
    """An export of Label Studio as it writes it: its own ids, annotators by number, fields of its own."""
    (task,) = label_studio_tasks(made)
    annotation = {
        **{"id": 1001, "completed_by": 5, "was_cancelled": False, "ground_truth": False, "lead_time": 12.25},
        **{"created_at": "2026-03-09T22:16:08.728353Z", "updated_at": "2026-03-09T22:16:08.728378Z", "result_count": 2},
        **{"result": rated, "task": 7, "prediction": {}},
    }
    return [{"id": 7, "project": 3, "predictions": [], **task, "annotations": [{**annotation, **more}]}]


RATED = [
    {
        "id": "x",
        "from_name": f"rate_{name}",
        "to_name": "reply",
        "type": "rating",
        "value": {"rating": score},
        "origin": "m",
    }
    for name, score in (("fluency", 4), ("coherence", 2))
]
NOTE = {"id": "n", "from_name": "note", "to_name": "reply", "type": "textarea", "value": {"text": ["جيد"]}}


def test_label_studios_own_export_is_read():
    made = study([absolute(1)])
    rows = from_label_studio(made, annotated(made, [*RATED, NOTE]), {5: "سلمى"}).to_pylist()
    assert [(row["criterion"], row["value"], row["said"]) for row in rows] == [
        ("fluency", 4, "4"),
        ("coherence", 2, "2"),
    ]
    assert {(row["rater"], row["system"], row["note"], row["seconds"], row["side"]) for row in rows} == {
        ("سلمى", "tuned", "جيد", 12.25, "")
    }
    assert rows[0]["when"].isoformat() == "2026-03-09T22:16:08.728378+00:00"
    assert from_label_studio(made, annotated(made, RATED))["rater"].to_pylist() == ["5", "5"]
    by = {"id": 5, "email": "salma@example.org", "first_name": "", "last_name": ""}
    assert from_label_studio(made, annotated(made, RATED, completed_by=by))["rater"][0].as_py() == "salma@example.org"


def test_a_pair_that_label_studio_showed_the_other_way_round_is_turned_back():
    first = {"id": "x", "to_name": "first", "type": "choices", "value": {"choices": ["first"]}}
    result = [{**first, "from_name": f"rate_{name}"} for name in ("fluency", "coherence")]
    seen = set()
    for place in range(20):
        made = study([pairwise(place)])
        (task,) = label_studio_tasks(made)
        row = from_label_studio(made, annotated(made, result)).to_pylist()[0]
        as_it_was = task["data"]["first"] == made.items[0].shown[0]
        assert (row["value"], row["said"], row["side"]) == (
            (1, "first", "first") if as_it_was else (-1, "second", "second")
        )
        seen.add(as_it_was)
    assert seen == {True, False}


def test_a_score_that_was_written_as_a_decimal_is_the_same_score():
    made = study([absolute(1)])
    decimal = [{**one, "value": {"rating": float(one["value"]["rating"])}} for one in RATED]
    assert from_label_studio(made, annotated(made, decimal))["value"].to_pylist() == [4, 2]
    half = [{**RATED[0], "value": {"rating": 4.5}}, RATED[1]]
    with pytest.raises(MashqError, match=r"fluency: expected 1 to 5, got 4\.5"):
        from_label_studio(made, annotated(made, half))


def test_a_withdrawn_rater_comes_back_withdrawn(store):
    store.withdraw(store.raters()[0][0])
    rows = [row for row in store.answers().to_pylist() if row["kind"] == "check"]
    back = from_label_studio(store, json.dumps(to_label_studio(store, "check")))
    assert {(row["rater"], row["withdrawn"]) for row in rows} == {("سلمى", True), ("كريم", False)}
    assert in_order(back).to_pylist() == in_order(type(back).from_pylist(rows, COLUMNS)).to_pylist()


def test_a_correction_without_its_text_counts_for_nothing_and_is_told():
    made = study([check(1), check(2), check(3)], criteria=[])
    said = {"from_name": "verdict", "to_name": "proposed", "type": "choices", "value": {"choices": ["correct"]}}
    text = {"from_name": "text", "to_name": "proposed", "type": "textarea"}
    tasks = [annotated(study([check(number)], criteria=[]), [])[0] for number in (1, 2, 3)]
    tasks[0]["annotations"][0]["result"] = [said]
    tasks[1]["annotations"][0]["result"] = [said, {**text, "value": {"text": ["افتح باب 2. "]}}]
    tasks[2]["annotations"][0]["result"] = [said, {**text, "value": {"text": ["افتح الباب 3."]}}]
    with pytest.warns(UserWarning, match=r"2 corrections without a text .*The first: .*task 0, annotation of '5'\."):
        rows = from_label_studio(made, tasks).to_pylist()
    assert [(row["item"], row["text"]) for row in rows] == [("c03", "افتح الباب 3.")]
    (area,) = (one for one in xml.fromstring(label_studio_config(made)).iter("TextArea") if one.get("name") == "text")
    assert area.get("required") == "true"
    when = [area.get(name) for name in ("visibleWhen", "whenTagName", "whenChoiceValue")]
    assert when == ["choice-selected", "verdict", "correct"]


def test_tasks_of_a_store_cannot_be_drawn_from_its_study(store):
    ours, drawn = (label_studio_tasks(of, "pairwise") for of in (store, store.study))
    names = [{task["data"]["mashq_item"] for task in tasks} for tasks in (ours, drawn)]
    assert not names[0] & names[1]
    with pytest.raises(MashqError, match="Where the tasks are a store's, give the store"):
        from_label_studio(store.study, to_label_studio(store, "pairwise"))
    before = [{**task, "annotations": []} for task in drawn]  # made before there were keys
    assert from_label_studio(store, before).num_rows == 0


def test_skipped_annotations_count_for_nothing_and_the_last_one_stands():
    made = study([absolute(1)])
    (task,) = annotated(made, RATED)
    (old,) = task["annotations"]
    new = {**old, "updated_at": "2026-03-10T00:00:00Z", "result": [RATED[0], {**RATED[1], "value": {"rating": 5}}]}
    skipped = {**old, "updated_at": "2026-03-11T00:00:00Z", "was_cancelled": True, "result": []}
    table = from_label_studio(made, [{**task, "annotations": [new, skipped, old]}])
    assert table["value"].to_pylist() == [4, 5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"result": RATED[:1]}, "task 0, annotation of '5': answer: scores: expected a value for every criterion"),
        (
            {"result": [*RATED, {**NOTE, "type": "labels"}]},
            "result: expected one of rating, choices, textarea, got 'labels'",
        ),
        ({"result": [{**RATED[0], "value": {"rating": 9}}, RATED[1]]}, "expected 1 to 5, got 9"),
        ({"result": ["x"]}, "result: expected one of"),
        ({"completed_by": None}, "completed_by: expected who made the annotation"),
        ({"updated_at": "yesterday"}, "created_at: expected a time in ISO 8601, got 'yesterday'"),
        ({"lead_time": "long"}, "seconds: expected a number, got str"),
    ],
)
def test_an_annotation_that_is_no_answer_is_told(change, said):
    made = study([absolute(1)])
    with pytest.raises(MashqError, match=said):
        from_label_studio(made, annotated(made, RATED, **change))


@pytest.mark.parametrize("exported", ["{", "{}", [{"data": {}}], [1], [{"data": {}, "annotations": [1]}], None])
def test_what_is_no_export_is_told(exported):
    with pytest.raises(MashqError, match=r"Label Studio export: (cannot be read as JSON|expected a list of tasks)"):
        from_label_studio(study([absolute(1)]), exported)


def test_tasks_of_another_study_are_told():
    other = study([absolute(1)], name="أخرى")
    with pytest.raises(MashqError, match="task 0: expected an item of study 'قصص القطة', got mashq_item"):
        from_label_studio(study([absolute(1)]), annotated(other, RATED))
