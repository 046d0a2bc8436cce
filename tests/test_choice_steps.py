"""Multiple choice by likelihood as steps: who offers choices, the majority class, and both beside a student."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
import tiny_models

from mashq import choices
from mashq.engine import Engine
from mashq.generate import load_student
from mashq.rows import MashqError, conform, source_ids
from mashq.run import Step, Store, read_rows
from mashq.steps import StudentSettings
from mashq.steps.choices import Frequent, accuracies, frequent_choices, offered, picked

LABELS = ["إيجابي", "سلبي", "محايد"]
CITIES = [["الرباط", "فاس", "طنجة"], ["صنعاء", "عدن", "تعز"], ["عمّان", "إربد", "الزرقاء"]]


def rows(split: str, count: int) -> pa.Table:
    """Sentiments, mostly negative, and capitals, always first; the last row of each half offers nothing."""
    of_labels = [i % 2 == 0 for i in range(count)]
    given = [LABELS if label else CITIES[i % 3] for i, label in enumerate(of_labels)]
    right = [LABELS[1 if i % 8 else 0] if label else CITIES[i % 3][0] for i, label in enumerate(of_labels)]
    return conform(
        {
            "id": source_ids("quiz", split, n=count),
            "source": "quiz",
            "template": ["quiz/sentiment" if label else "quiz/capital" for label in of_labels],
            "task": ["sentiment" if label else "capital" for label in of_labels],
            "group": [f"{split}{i // 4}" for i in range(count)],
            "split": split,
            "messages": [[{"role": "user", "content": f"{i}. أي جواب أصح؟"}] for i in range(count)],
            "choices": [None if i >= count - 2 else one for i, one in enumerate(given)],
            "references": [[one] for one in right],
        }
    )


def learnt(job):
    yield rows("train", 40)


def asked(job):
    yield rows("test", 26)


LEARNT, ASKED = Step("learnt", learnt, kind="stream"), Step("asked", asked, kind="stream")
OFFERED = offered("offered", ASKED)


def table_of(store: Store, step: Step) -> pa.Table:
    return pa.concat_tables(read_rows(store.make(step).folder))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"), Engine("local", 1))


def test_rows_without_choices_are_left_out_and_counted(store: Store) -> None:
    counts = store.make(OFFERED).manifest["counts"]
    assert (counts["in"], counts["kept"], counts["unsampled"]) == (26, 24, 2)


def test_the_majority_is_the_label_else_the_place() -> None:
    frequent = Frequent([rows("train", 40)])
    assert frequent.pick("quiz/sentiment", LABELS) == 1
    assert frequent.pick("quiz/sentiment", LABELS[::-1]) == 1  # the text decides, not its place
    assert (
        frequent.pick("quiz/sentiment", ["نعم", "لا", "ربما"]) == 1
    )  # none was ever right: the place, of its template
    assert frequent.pick("quiz/capital", ["بغداد", "البصرة", "أربيل"]) == 0
    assert frequent.pick("other/one", ["بغداد", "البصرة", "أربيل"]) == 0  # right in the first place: 19 + 5, second: 14
    assert frequent.pick("other/one", ["أ", "ب", "ج", "د"]) == 0  # nothing learnt with four choices


def test_a_row_that_is_no_multiple_choice_teaches_nothing() -> None:
    twice = rows("train", 40).set_column(
        rows("train", 40).column_names.index("choices"), "choices", pa.array([["س", "س"]] * 40, pa.list_(pa.string()))
    )
    assert Frequent([twice]).pick("quiz/capital", ["أ", "ب"]) == 0 and not Frequent([twice]).texts


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> StudentSettings:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("student")
    tiny_models.tokenizer().save_pretrained(folder)
    tiny_models.model(max_position_embeddings=512).save_pretrained(folder)
    return StudentSettings(model=str(folder), dtype="float32")


def test_a_student_beside_the_majority(store: Store, student: StudentSettings) -> None:
    untuned = picked("before", OFFERED, student)
    majority = frequent_choices("majority", OFFERED, LEARNT)
    (step,) = accuracies({"before": untuned}, {"before": "untuned"}, majority, student)
    scores = json.loads((store.make(step).folder / "scores.json").read_text("utf-8"))
    assert (step.name, scores["baseline"], scores["items"]) == ("choices", "frequent", 24)
    found = {one["system"]: one for one in scores["scores"] if one["slice"] == {"by": "all", "value": ""}}
    table = table_of(store, untuned)
    hits = choices.accuracy(table)
    assert found["before"]["value"] == hits.score.value
    assert hits.score.n == 24 and table["parents"].to_pylist() == [
        [i] for i in table_of(store, OFFERED)["id"].to_pylist()
    ]
    sentiments = [row for row in table_of(store, majority).to_pylist() if row["task"] == "sentiment"]
    assert {row["messages"][-1]["content"] for row in sentiments} == {"سلبي"}
    assert found["frequent"]["value"] == pytest.approx((12 + 9) / 24)  # all capitals, 9 of 12 sentiments
    assert "|ci:wilson|by:group|" in found["frequent"]["signature"] and "values:01" in found["before"]["signature"]
    clustered = choices.accuracy(table, groups=table["group"].to_pylist()).score
    assert (found["before"]["low"], found["before"]["high"]) == (clustered.low, clustered.high)
    (paired,) = [one for one in scores["comparisons"] if one["slice"]["by"] == "all"]
    assert (paired["a"], paired["b"], paired["groups"]) == ("before", "frequent", 6)
    assert paired["difference"] == pytest.approx(found["before"]["value"] - found["frequent"]["value"])
    assert 0 < paired["p"] <= 1
    assert [one["model"] for one in scores["systems"]] == ["none: the most frequent answer in training", "local folder"]


def test_the_same_nats_as_without_steps(store: Store, student: StudentSettings) -> None:
    by_hand = choices.answers(load_student(student.model, dtype="float32"), table_of(store, OFFERED), system="before")
    made = table_of(store, picked("before", OFFERED, student))
    facts = [[json.loads(text)["choices"]["nats"] for text in one["meta"].to_pylist()] for one in (by_hand, made)]
    assert facts[0] == facts[1]


def test_tuned_students_are_also_compared_with_the_untuned_one(student: StudentSettings) -> None:
    systems = {"before": picked("b", OFFERED, student), "after": picked("a", OFFERED, student)}
    majority = frequent_choices("majority", OFFERED, LEARNT)
    both = accuracies(systems, {"before": "untuned", "after": "tuned"}, majority, student)
    assert [(one.name, one.settings["systems"]) for one in both] == [
        ("choices", ["frequent", "before", "after"]),
        ("choices-gain", ["before", "after"]),
    ]


def test_a_model_that_gives_no_likelihood_is_refused(store: Store) -> None:
    with pytest.raises(
        MashqError, match=r"server: student: expected a model with weights at hand, got echo\. A server"
    ):
        store.make(picked("server", OFFERED, StudentSettings(model="echo")))
