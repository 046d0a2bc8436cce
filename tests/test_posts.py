"""The steps over threads of posts: nothing that names a person comes through, every post that goes is counted."""

import json
from pathlib import Path

import pytest

from mashq import posts, rows
from mashq.engine import Engine
from mashq.posts import CleanSettings, NormaliseSettings, PairSettings, PrivacySettings, VarietySettings
from mashq.posts_survey import survey
from mashq.rows import MashqError
from mashq.run import Made, Step, Store, read_rows

pytest.importorskip("phonenumbers")

THREAD = {
    "key": "t1",
    "group": "g1",
    "variety": "egyptian",
    "posts": [
        {
            "author": "sara_m",
            "role": "asker",
            "text": "سلام عليكم 😀 أنا اسمي سارة محمود وعندي صداع من أسبوعين علشان الشغل. تليفوني 01001234567",
        },
        {
            "author": "shop",
            "role": "member",
            "text": "عروض وخصومات على كل المنتجات! واتساب 01112223334 https://s.example/x",
        },
        {
            "author": "dr_adel",
            "role": "doctor",
            "text": "أهلًا يا سارة، ارتاحي من الشاشات واشربي ماء كفاية، ولو استمر الصداع راجعي طبيب الأعصاب.",
        },
        {"author": "sara_m", "role": "asker", "text": "شكرا يا دكتور"},
    ],
}
SHORT = {"key": "t2", "posts": [{"author": "a", "role": "asker", "text": "؟"}, {"author": "b", "text": "أهلا بك معنا"}]}
DOSE = {
    "key": "t3",
    "posts": [
        {"author": "n", "role": "asker", "text": "عندي ألم في الحلق منذ يومين فماذا أفعل؟"},
        {
            "author": "d",
            "role": "doctor",
            "text": "خذ حبتين من المضاد الحيوي كل ست ساعات ولا داعي لزيارة الطبيب.",
        },
    ],
}
FLAG = {
    "key": "t4",
    "posts": [
        {
            "author": "m",
            "role": "asker",
            "text": "أبي عنده ألم شديد في صدره يمتد إلى ذراعه اليسرى مع تعرق، ماذا نفعل؟",
        },
        {"author": "d", "role": "doctor", "text": "هذه حالة طارئة، اتصلوا بالإسعاف فورًا ولا تنتظروا."},
    ],
}
COLUMNS = {
    "Question": "ما أسباب جفاف الجلد في الشتاء عند الكبار؟",
    "Answer": "البرد والماء الساخن من أسبابه، والمرطب ينفع.",
}
NO_ANSWER = {"Question": "ما أسباب جفاف الجلد؟"}


def given(job):
    records = job.settings["records"]
    yield rows.conform(
        {
            "id": rows.source_ids("posts", "1", n=len(records)),
            "source": "posts",
            "licence": "CC0-1.0",
            "meta": [json.dumps(record, ensure_ascii=False) for record in records],
        }
    )


def chain(root: Path, *records: dict) -> dict[str, Made]:
    raw = Step("raw", given, {"records": list(records)}, kind="stream", private=True)
    thread = posts.threads("threads", raw)
    clean = posts.cleaned("cleaned", thread, CleanSettings())
    distinct = posts.distinct("distinct", clean)
    safe = posts.deidentified("safe", distinct, PrivacySettings())
    told = posts.varieties_told("told", safe, VarietySettings())
    pairs = posts.pairs("pairs", told, PairSettings())
    normal = posts.normalised("normalised", pairs, NormaliseSettings(references=False))
    store = Store(root, Engine("local", 1))
    steps = (raw, thread, clean, distinct, safe, told, pairs, normal, survey("survey", raw, safe, pairs, normal))
    return {step.name: store.make(step) for step in steps}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Made]:
    return chain(tmp_path_factory.mktemp("posts"), THREAD, SHORT, DOSE, FLAG, COLUMNS, NO_ANSWER)


def kept(one: Made, dropped: bool = False) -> list[dict]:
    found = [row for table in read_rows(one.folder, dropped=dropped) for row in table.to_pylist()]
    return [{**row, "meta": json.loads(row["meta"] or "{}")} for row in found]


def test_a_thread_says_who_wrote_by_number_and_role(made):
    first = kept(made["threads"])[0]
    assert [one["role"] for one in first["messages"]] == ["user", "assistant", "assistant", "user"]
    assert (first["meta"]["writers"], first["meta"]["roles"]) == ([0, 1, 2, 0], ["asker", "", "doctor", "asker"])
    assert "sara_m" not in json.dumps(first["meta"]) and first["group"] == "g1"


def test_a_record_of_columns_is_a_thread_of_two_posts_and_one_without_an_answer_says_so(made):
    assert any(row["messages"][0]["content"] == COLUMNS["Question"] for row in kept(made["threads"]))
    (lost,) = kept(made["threads"], dropped=True)
    assert lost["dropped"].startswith("layout:") and "answer" in lost["dropped"]


def test_noise_leaves_its_thread_and_is_counted(made):
    first = kept(made["cleaned"])[0]
    assert len(first["messages"]) == len(first["meta"]["writers"]) == len(first["meta"]["roles"])
    assert not any("عروض" in one["content"] for one in first["messages"])
    assert first["meta"]["posts_dropped"]["spam"] == 1 and first["meta"]["cleaned"]["emoji"] == 1
    assert [row["dropped"].split(":")[0] for row in kept(made["cleaned"], dropped=True)] == ["question short"]


def test_nothing_that_names_a_person_is_left_and_one_person_has_one_placeholder(made):
    first = kept(made["safe"])[0]
    question, answer = first["messages"][0]["content"], first["messages"][1]["content"]
    assert not any(word in question + answer for word in ("سارة", "محمود", "01001234567"))
    assert "[اسم 1]" in question and "[اسم 1]" in answer and "[هاتف 1]" in question
    assert first["meta"]["removed"]["phone"] == 1 and first["meta"]["removed"]["name"] == 2


def test_pairs_have_facts_and_unsafe_answers_are_dropped(made):
    by_key = {row["meta"].get("record"): row for row in kept(made["pairs"])}
    assert by_key["t1"]["task"] == posts.TASK and by_key["t1"]["meta"]["specialty"] == "neurology"
    assert by_key["t1"]["references"][0].startswith("أهلًا يا [اسم 1]") and by_key["t1"]["meta"]["by_doctor"]
    assert by_key["t4"]["task"] == posts.RED_FLAG and "heart_attack" in by_key["t4"]["meta"]["red_flags"]
    (lost,) = kept(made["pairs"], dropped=True)
    assert lost["meta"]["record"] == "t3" and lost["dropped"].startswith("unsafe: ")


def test_normalising_questions_leaves_the_references(made):
    before, after = ({row["meta"].get("record"): row for row in kept(made[name])} for name in ("pairs", "normalised"))
    assert "عشان" in after["t1"]["messages"][0]["content"] and "علشان" in before["t1"]["messages"][0]["content"]
    assert after["t1"]["references"] == before["t1"]["references"] and after["t1"]["meta"]["normalised"] >= 1
    assert after["t1"]["parents"] == [before["t1"]["id"]]


def test_rows_are_private_until_they_are_safe(made):
    private = {name: one.manifest["private"] for name, one in made.items()}
    assert [name for name, said in private.items() if said] == ["raw", "threads", "cleaned", "distinct"]


def test_the_survey_counts_and_holds_no_text(made):
    text = (made["survey"].folder / "tables.json").read_text("utf-8")
    tables = {one["table"]: {row["name"]: row["n"] for row in one["rows"]} for one in json.loads(text)["tables"]}
    assert tables["removed"]["phone"] == 1 and tables["posts_dropped"]["spam"] == 1
    assert tables["red_flags"]["heart_attack"] == 1 and tables["unsafe"]["dose"] == 1
    assert "سارة" not in text


def test_a_question_asked_twice_is_dropped_once(tmp_path):
    twice = {**THREAD, "key": "again"}
    made = chain(tmp_path, THREAD, twice)
    assert len(kept(made["distinct"])) == 1
    (lost,) = kept(made["distinct"], dropped=True)
    assert lost["dropped"].startswith("near duplicate: 1.00 like ") and lost["id"] != kept(made["distinct"])[0]["id"]


def test_a_wrong_strength_is_an_error_before_anything_is_made():
    raw = Step("raw", given, {"records": []}, kind="stream")
    with pytest.raises(MashqError, match=r"strength: expected one of spelling, .* got 'all'"):
        posts.normalised("normalised", raw, NormaliseSettings(strength="all"))
