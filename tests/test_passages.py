"""Questions on passages: spans are exact, and a faulty question or answer is dropped with the reason."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import arabic, rows
from mashq.engine import Engine
from mashq.passages import (
    PassageLimits,
    PassageQuestions,
    passages_of,
    question_faults,
    span_of,
    wanted_questions,
    with_spans,
)
from mashq.recipes import instructions as recipe
from mashq.rows import MashqError
from mashq.run import Store, read_rows
from mashq.sources import SourceSettings, read
from mashq.synthesis import Asked, Wanted
from mashq.synthesis_step import WriterSettings
from mashq.tasks import wordings
from mashq.word_patterns import folded_lower as fold

PASSAGE = (
    "افتُتحت مكتبة الميناء سنة ١٩٣٤ في بيتٍ قديم تبرّع به التاجر سليم العطّار، وكانت تضمّ ثلاثة آلاف كتاب. وفي عام 1961 "
    "نُقلت المكتبة إلى المبنى الحالي قرب المنارة، لأنّ البيت القديم لم يعد يتّسع للقرّاء. ويزورها اليوم نحو مئتي طالب كل "
    "أسبوع، وأكثرهم من طلاب معهد الملاحة."
)
LONG = PASSAGE[arabic.word_spans(PASSAGE)[17][0] : arabic.word_spans(PASSAGE)[37][1]]  # 21 of its 47 words
DATA = os.environ.get("MASHQ_DATA", "")


def at(answer, passage=PASSAGE, question=""):
    span = span_of(answer, passage, question)
    return None if span is None else passage[span[0] : span[1]]


# --- spans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, span",
    [
        ("سليم العطّار", "سليم العطّار"),
        ("سليم العطار", "سليم العطّار"),  # without its mark
        ("سَلِيم   العط\N{ARABIC TATWEEL}\N{ARABIC TATWEEL}ار", "سليم العطّار"),  # other marks, spaces and stretching
        ("«سليم العطار».", "سليم العطّار"),
        ("1934", "١٩٣٤"),
        ("سنة 1934", "سنة ١٩٣٤"),
        ("بيت قديم", "بيتٍ قديم"),
        ("البيت القديم", "البيت القديم"),
        ("ثلاثه الاف كتاب", "ثلاثة آلاف كتاب"),
        ("لأن البيت القديم لم يعد يتسع للقراء", "لأنّ البيت القديم لم يعد يتّسع للقرّاء"),
        ("قرّاء", None),  # inside a word, and what stands before is no clitic alone
        ("مكتب", None),
        ("المكتبة القديمة", None),
        ("193", None),
        ("", None),
        ("؟!", None),
    ],
)
def test_an_answer_is_found_whatever_marks_and_spaces_it_has(answer, span):
    assert at(answer) == span


def test_a_clitic_may_stand_before_the_answer():
    assert at("القاهرة", "وُلد الكاتب بالقاهرة.") == "القاهرة"
    assert span_of("القاهرة", "وُلد الكاتب بالقاهرة.") == (13, 20)
    assert at("دمشق", "زار حلب ودمشق معًا.") == "دمشق"
    assert at("دمشق", "زار حلب وبدمشق أقام.") == "دمشق"
    assert at("اهرة", "وُلد بالقاهرة.") is None


def test_marks_and_ligatures_at_the_edges_are_whole():
    assert at("العلم", "قالَ إنّ العِلْمَ نورٌ") == "العِلْمَ"
    assert at("أ", "ا\N{COMBINING GRAVE ACCENT}ب") is None
    lam_alef = "\N{ARABIC LIGATURE LAM WITH ALEF ISOLATED FORM}"
    assert at("لا", f"قال {lam_alef} ثم مضى") == lam_alef
    assert at("ل", f"قال {lam_alef} ثم مضى") is None


def test_of_several_places_the_one_nearest_to_the_questions_words_is_taken():
    passage = "كان عام 1920 عام الجفاف في الوادي. " + "ومرّت السنون على الناس هادئة. " * 6
    passage += "وفي عام 1920 أيضًا بُني الجسر الحجري على النهر."
    near_bridge = span_of("عام 1920", passage, "متى بُني الجسر الحجري؟")
    near_drought = span_of("عام 1920", passage, "متى حدث الجفاف في الوادي؟")
    assert near_drought == (4, 12)
    assert passage[near_bridge[0] : near_bridge[1]] == "عام 1920" and near_bridge[0] > 200
    assert span_of("عام 1920", passage) == (4, 12)


MARKS = "\N{ARABIC FATHA}\N{ARABIC DAMMA}\N{ARABIC SHADDA}\N{ARABIC SUKUN}\N{ARABIC FATHATAN}\N{ARABIC TATWEEL}"
TEXTS = st.text(st.sampled_from(MARKS + 'ابتةهىيأآإؤئ ول١٢12 .،"\n\tﻻﷺA') | st.characters(), max_size=60)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.data())
def test_a_span_that_is_found_reads_as_the_answer(text, data):
    start = data.draw(st.integers(0, len(text)))
    answer = data.draw(st.just(text[start : start + data.draw(st.integers(0, 20))]) | TEXTS)
    span = span_of(answer, text, text)
    if span is None:
        return
    start, end = span
    assert 0 <= start < end <= len(text)
    quotes = "\"'“”«»„‘’()[] \t\n"
    assert fold(text[start:end]) == fold(answer.strip(quotes).rstrip(".،؛:,;!").strip(quotes))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_run_of_words_of_a_passage_is_found_as_it_stands(data):
    spans = arabic.word_spans(PASSAGE)
    first = data.draw(st.integers(0, len(spans) - 1))
    last = data.draw(st.integers(first, min(first + 12, len(spans) - 1)))
    answer = PASSAGE[spans[first][0] : spans[last][1]]
    assert at(arabic.normalise(answer, "search")) is None or fold(at(answer)) == fold(answer)
    assert fold(at(answer)) == fold(answer)


# --- faults ----------------------------------------------------------------------------------------------------------


def draft(question, answer, answerable=True):
    about = {"passage": PASSAGE, "title": "", "asks": "who", "answerable": answerable}
    return PassageQuestions().read(Wanted("q", about), 0, f"السؤال: {question}\nالجواب: {answer}")


@pytest.mark.parametrize(
    "question, answer",
    [
        ("من تبرّع ببيت لمكتبة الميناء؟", "سليم العطار"),
        ("متى نُقلت مكتبة الميناء إلى مبناها الحالي؟", "عام 1961"),
        ("لماذا نُقلت مكتبة الميناء من بيتها الأول؟", "لأن البيت القديم لم يعد يتسع للقراء"),
        ("إلى أي معهد ينتمي أكثر زوار المكتبة؟", "معهد الملاحة"),
        ("مكتبة الميناء، كم كتابًا كانت تضم؟", "ثلاثة آلاف"),
        ("مين اللي تبرع ببيت المكتبة؟", "التاجر سليم العطار"),
    ],
)
def test_a_grounded_question_is_kept_with_the_span_as_it_stands(question, answer):
    made = draft(question, answer)
    assert made.reason is None
    assert made.fields["messages"] == [{"role": "user", "content": f"{PASSAGE}\n\n{question}"}]
    (reference,) = made.fields["references"]
    assert reference in PASSAGE and fold(reference) == fold(answer)


@pytest.mark.parametrize(
    "question, answer, reason",
    [
        ("من تبرّع ببيت لمكتبة الميناء؟", "سليم النجار", "not in the passage: «سليم النجار»"),
        ("هل كان سليم العطار هو من تبرّع بالبيت؟", "سليم العطّار", "given away: «سليم العطار» stands in the question"),
        ("من كتب رواية الأيام؟", "التاجر", "not of the passage: 0 content words of the question stand in it < 1"),
        ("كم تضمّ ثلاثة آلاف كتاب. وفي عام 1961؟", "التاجر", "copied: 0.88 of the question is one run"),
        ("هل نُقلت المكتبة من البيت القديم؟", "المبنى الحالي", "no question word: «هل نقلت"),
        ("متى نُقلت المكتبة إلى المنارة", "عام 1961", "no question mark: ends with ' إلى المنارة'"),
        ("من تبرّع بالبيت كما ورد في النص؟", "سليم العطار", "points at the passage: «كما ورد في النص»"),
        ("متى افتُتحت؟", "١٩٣٤", "short: 2 words of the question < 3"),
        (
            "ماذا " + " ".join(f"كلمة{n}" for n in range(30)) + " للمكتبة؟",
            "١٩٣٤",
            "long: 32 words of the question > 30",
        ),
        ("ماذا جرى للمكتبة بعد ذلك كله؟", PASSAGE, "long: the answer is 47 of 47 words of the passage > 0.5"),
        ("ماذا جرى للبيت والمكتبة معًا؟", LONG, "long: 21 words of the answer > 20"),
        ("من تبرّع ببيت لمكتبة الميناء؟", "", "unreadable: no field «الجواب»"),
    ],
)
def test_a_faulty_question_is_dropped_with_the_reason(question, answer, reason):
    assert re.match(reason, draft(question, answer).reason or "kept"), draft(question, answer).reason


def test_a_near_miss_is_told_what_to_mend():
    mend = wordings()["mend"]
    assert draft("متى نُقلت المكتبة إلى المنارة", "عام 1961").mend == f"{mend['mark']} {mend['closing']}"
    assert draft("من تبرّع ببيت لمكتبة الميناء؟", "سليم النجار").mend == f"{mend['span']} {mend['closing']}"
    assert draft("من كتب رواية الأيام؟", "التاجر").mend is None


def test_a_question_without_an_answer_needs_a_wrong_one_from_the_passage():
    made = draft("من رسم صورة سليم في المكتبة؟", "التاجر", answerable=False)
    assert made.reason is None
    assert made.fields["references"] == ["لا يوجد جواب في النص."]
    assert draft("من رسم صورة سليم في المكتبة؟", "الرسّام", answerable=False).reason.startswith("not in the passage")


# --- what is wanted --------------------------------------------------------------------------------------------------


def raw(*contexts, **columns):
    metas = [json.dumps({"title": "مكتبات", "context": one, "question": "س"}, ensure_ascii=False) for one in contexts]
    ids = rows.source_ids("mine", "1", n=len(metas))
    return rows.conform({"id": ids, "licence": "CC-BY-4.0", "meta": metas, **columns}, "t")


OTHER = PASSAGE.replace("الميناء", "الجبل")


def test_rows_of_one_passage_are_one_passage_and_the_others_say_why_not():
    table = raw(PASSAGE, OTHER, PASSAGE, "قصير جدًا", "", PASSAGE + " كلمة" * 400, group=[*"aabbcc"])
    found, reasons = passages_of(table)
    assert [one.text for one in found] == [PASSAGE, OTHER]
    assert found[0].ids == (table["id"][0].as_py(), table["id"][2].as_py())
    assert (found[0].group, found[0].title, found[0].licence) == ("a", "مكتبات", "CC-BY-4.0")
    assert reasons[:3] == [None] * 3
    assert reasons[3:5] == ["short: 2 words of the passage < 20", "no passage"]
    assert re.fullmatch(r"long: \d+ words of the passage > 400", reasons[5])
    text = rows.conform({"id": rows.source_ids("t", "1", n=1), "text": [PASSAGE]}, "t")
    assert passages_of(text)[0][0].group.startswith("passage/")


def test_each_question_on_a_passage_is_about_something_else():
    found, _ = passages_of(raw(PASSAGE, OTHER))
    wanted = wanted_questions(found, 3, seed=1)
    assert len({one.key for one in wanted}) == 6
    assert len({one.about["asks"] for one in wanted[:3]}) == 3
    assert wanted[0].parents == found[0].ids and wanted[0].licence == "CC-BY-4.0"
    assert wanted_questions(found[1:], 3, seed=1) == wanted[3:]
    none = wanted_questions(found, 7, unanswerable=1.0)
    assert {one.cell for one in none} == {"unanswerable"}
    with pytest.raises(MashqError, match="each: expected 1 to 7 questions, got 8"):
        wanted_questions(found, 8)
    with pytest.raises(MashqError, match="unanswerable: expected a share, 0 to 1, got 2"):
        wanted_questions(found, unanswerable=2)


def test_a_prompt_holds_the_passage_and_what_is_asked():
    wanted = wanted_questions(passages_of(raw(PASSAGE))[0], 1)[0]
    _, (_, text) = PassageQuestions().ask(wanted, 0, [])
    assert PASSAGE in text and wordings()["passages"]["about"][wanted.about["asks"]] in text
    base = PassageQuestions(style="completion").ask(wanted, 0, [])
    assert base.endswith("\nالسؤال:") and PASSAGE in base
    reply = " من تبرّع ببيت المكتبة؟\nالجواب: سليم العطار\n\nالنص:\nنص آخر"
    assert PassageQuestions(style="completion").read(wanted, 0, reply).reason is None


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters()) | TEXTS.map(lambda text: f"السؤال: {text}\nالجواب: {text}"))
def test_no_reply_makes_the_writer_raise(reply):
    wanted = Wanted("q", {"passage": PASSAGE, "title": "", "asks": "who", "answerable": True})
    made = PassageQuestions().read(wanted, 0, reply)
    assert made == PassageQuestions().read(wanted, 0, reply)
    assert made.reason is None or made.reason


# --- end to end ------------------------------------------------------------------------------------------------------


def test_passages_become_questions_with_offsets(tmp_path):
    file = tmp_path / "library.jsonl"
    lines = [{"context": PASSAGE}, {"context": PASSAGE}, {"context": "قصير"}, {"context": OTHER}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    replies = tmp_path / "replies.jsonl"
    good = "السؤال: من تبرّع ببيت المكتبة؟\nالجواب: سليم العطار"
    replies.write_text("".join(json.dumps(one) + "\n" for one in (good, "كلام")), "utf-8")
    writer = WriterSettings(model=f"scripted:{replies}", licence="CC0-1.0", asked=Asked(tries=1, repair=False))
    settings = recipe.Settings(
        kind="passages", data=str(file), n=0, each=1, source=SourceSettings(licence="CC-BY-4.0"), writer=writer
    )
    store = Store(tmp_path / "runs", Engine("local", 1))
    made = {step.name: store.make(step) for step in recipe.steps(settings)}
    assert made["wanted-questions"].manifest["reasons"] == {"short": 1}
    assert made["questions"].manifest["reasons"] == {"unreadable": 1}
    (row,) = [row for table in read_rows(made["spans"].folder) for row in table.to_pylist()]
    meta = json.loads(row["meta"])
    start, end = meta["span"]
    assert meta["passage"][start:end] == row["references"][0] == meta["answers"]["text"][0] == "سليم العطّار"
    assert meta["answers"]["answer_start"] == [start]
    assert meta["question"] == "من تبرّع ببيت المكتبة؟"
    assert row["licence"] == "CC-BY-4.0 AND CC0-1.0"


def test_rows_that_are_held_out_are_not_asked_about(tmp_path):
    file = tmp_path / "library.jsonl"
    file.write_text(json.dumps({"context": PASSAGE}) + "\n", "utf-8")
    replies = tmp_path / "replies.jsonl"
    replies.write_text("", "utf-8")
    source = SourceSettings(licence="CC-BY-4.0", split="test")
    settings = recipe.Settings(
        kind="passages", data=str(file), source=source, writer=WriterSettings(model=f"scripted:{replies}", licence="X")
    )
    with pytest.raises(MashqError, match="wanted-questions: expected passages to ask about, got none of 1 rows"):
        store = Store(tmp_path / "runs", Engine("local", 1))
        for step in recipe.steps(settings):
            store.make(step)


def test_an_unanswerable_row_has_no_span():
    wanted = Wanted("q", {"passage": PASSAGE, "title": "", "asks": "who", "answerable": False})
    fields = PassageQuestions().read(wanted, 0, "السؤال: من رسم صورة سليم؟\nالجواب: التاجر").fields
    table = rows.conform(
        {"id": rows.source_ids("t", "1", n=1), "meta": [json.dumps(wanted.about)]}
        | {name: [value] for name, value in fields.items()},
        "t",
    )
    meta = json.loads(with_spans(table)["meta"][0].as_py())
    assert (meta["span"], meta["answers"]) == (None, {"text": [], "answer_start": []})


# --- questions that people wrote -------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA, reason="needs ARCD and XQuAD in $MASHQ_DATA")
@pytest.mark.parametrize(
    "file, least_found, most_dropped", [("arcd_train.json", 1.0, 0.19), ("xquad.ar.json", 0.98, 0.08)]
)
def test_peoples_answers_are_found_and_most_of_their_questions_pass(file, least_found, most_dropped):
    faults, n = Counter(), 0
    for table in read(Path(DATA) / file, SourceSettings(source="s", licence="MIT")):
        for meta, dropped in zip(table["meta"].to_pylist(), table["dropped"].to_pylist(), strict=True):
            if dropped:
                continue
            record = json.loads(meta)
            passage, answer, question = record["context"], record["answers"]["text"][0], record["question"].strip(" -")
            span = span_of(answer, passage, question)
            assert span is None or fold(passage[span[0] : span[1]]) in fold(answer)
            found = question_faults(question, answer, passage, span, PassageLimits())
            faults["span"] += span is None
            faults["any"] += any(found.values())
            n += 1
    assert n > 600
    assert 1 - faults["span"] / n >= least_found  # XQuAD's 13 that are not stand glued to the word before
    assert faults["any"] / n < most_dropped
