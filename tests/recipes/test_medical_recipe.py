"""The medical recipe whole: synthetic posts, toys of two architectures, both arms, BERTScore, the page."""

import json
from pathlib import Path

import pytest

from mashq.dialect import Normaliser
from mashq.make import Wish, make_recipe
from mashq.medical.posts import write
from mashq.rows import MashqError
from mashq.run import manifest_of, read_rows

pytest.importorskip("phonenumbers")
pytest.importorskip("transformers")

SETS = (
    "posts=60",
    "rows=12",
    "toy_rows=12",
    "asked=3",
    "students={GPT-2: toy-gpt2, BLOOM: toy-bloom}",
    "measured=GPT-2",
    "dtype=float32",
    "train.steps=2",
    "train.max_tokens=3000",
    "train.precision=fp32",
    "decoding.max_new_tokens=8",
    "encoder.model=toy-llama",
    "encoder.layer=1",
    "split.test=0.3",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    found = make_recipe(Wish("medical", runs, assignments=SETS, workers=1), lambda line: None)
    assert found is not None
    return found


def steps_of(page: Path) -> dict[str, tuple[Path, dict]]:
    folders = (page.parents[2] / "steps").glob("*@*")
    return {folder.name.split("@")[0]: (folder, manifest_of(folder) or {}) for folder in folders}


def test_both_arms_have_every_student_with_bertscore(page):
    made = steps_of(page)
    for name, systems in (("students", 3), ("students-normalised", 3), ("normalisation", 2)):
        scores = json.loads((made[name][0] / "scores.json").read_text("utf-8"))
        assert len(scores["systems"]) == systems and scores["items"] >= 3
        whole = [one for one in scores["scores"] if one["slice"]["by"] == "all"]
        found = {(one["system"], one["metric"]) for one in whole if one["metric"].startswith("bertscore")}
        assert len(found) == 3 * systems
        assert all("encoder:toy-llama" in one["signature"] for one in whole if one["metric"] == "bertscore_f1")


def test_both_arms_say_what_of_the_questions_was_learnt(page):
    made = steps_of(page)
    asked = made["asked"][1]["counts"]["kept"]
    for arm in ("students", "students-normalised"):
        found = json.loads((made[f"contamination-{arm}"][0] / "contamination.json").read_text("utf-8"))
        assert found["items"] == asked
        assert all(stage["rows"] for stage in found["stages"])
        assert {one["subset"] for one in found["scores"]["gains"]} >= {"all"}


def test_arms_are_compared_on_the_questions_as_they_were_asked(page):
    made = steps_of(page)
    asked = {row["id"] for table in read_rows(made["asked"][0]) for row in table.to_pylist()}
    for name in ("replies-0", "items-0-normalised"):
        replies = [row for table in read_rows(made[name][0]) for row in table.to_pylist()]
        assert {row["parents"][0] for row in replies} == asked


def test_red_flags_are_asked_and_never_learnt(page):
    made = steps_of(page)
    assert made["asked"][1]["tally"]["task"].get("medical-red-flag")
    assert set(made["learnt-toys"][1]["tally"]["task"]) == {"medical-answer"}


def test_the_page_says_that_toys_prove_nothing_and_shows_no_identifier(page):
    text = page.read_text("utf-8")
    assert "نماذج أوزانها عشوائية: <bdi>toy-bloom, toy-gpt2</bdi>" in text
    assert "نماذج صغيرة أوزانها عشوائية" in text and "لا يُعرض منها شيء" in text
    identifiers = {"phone", "email", "national_id"}
    planted = [
        (one.kind, post.text[one.start : one.end])
        for thread in write(60)
        for post in thread.posts
        for one in post.planted
        if one.kind in identifiers
    ]
    assert len(planted) > 5
    assert not [value for _, value in planted if value in text]


def test_further_pairs_are_learnt_by_generator_but_none_that_a_test_asks(page, tmp_path):
    asked = [row for table in read_rows(steps_of(page)["asked"][0]) for row in table.to_pylist()]
    fresh = {
        "question": "هو ايه سبب التنميل فى صوابعى لما اصحى من النوم يا دكتور؟",
        "answer": "ضغط العصب قليلًا، وإن تكرر فراجع الطبيب.",
        "variety": "egyptian",
    }
    copied = {"question": asked[0]["messages"][0]["content"], "answer": "جواب آخر يكفي هنا، وراجع الطبيب."}
    file = tmp_path / "writer.jsonl"
    file.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in (fresh, copied)) + "\n", "utf-8")
    runs = page.parents[2]
    more = (*SETS, f"more={{writer: {file}}}", "both_arms=false", "students={GPT-2: toy-gpt2}")
    make_recipe(Wish("medical/lessons-normalised", runs, assignments=more, workers=1), lambda line: None)
    lessons = [row for table in read_rows(steps_of(page)["lessons-normalised"][0]) for row in table.to_pylist()]
    assert {row["source"] for row in lessons} == {"mashq-medical-posts", "writer"}
    questions = [row["messages"][0]["content"] for row in lessons if row["source"] == "writer"]
    one_spelling = Normaliser("egyptian", "spelling").normalise(fresh["question"]).text
    assert questions == [one_spelling] != [fresh["question"]]


def test_the_data_card_carries_the_disclaimer(page):
    card = (page.parent / "data_card.md").read_text("utf-8")
    assert "not for diagnosis, treatment or advice" in card and "فليراجع الطبيب" in card


def test_a_measured_student_that_is_none_is_named():
    from mashq.recipes import medical

    with pytest.raises(MashqError, match=r"measured: expected one of .*, got 'Gema'"):
        medical.steps(medical.Settings(students={"Gemma": "gemma3-270m"}, measured="Gema"))
    with pytest.raises(MashqError, match="expected at least one"):
        medical.steps(medical.Settings())
