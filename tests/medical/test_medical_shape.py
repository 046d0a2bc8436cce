"""Medical text: a thread gives one pair or a reason, a text its specialty and patient, a set its columns."""

import csv
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import medical
from mashq.medical import Pair, Post, columns_of, pair, patient, record_pair, specialty, useless
from mashq.medical.words import Spotter, read
from mashq.rows import MashqError

DATA = Path(__file__).parent / "data"
PARTS = (
    *("built_on", "built_on_4", "built_on_6"),
    *("kept_apart", "kept_apart_2", "kept_apart_3", "kept_apart_4", "kept_apart_5", "kept_apart_6"),
)
QUESTION = "السلام عليكم عندي كحة ببلغم من أسبوع ماذا أفعل"
ADVICE = "اشرب سوائل دافئة وراجع طبيب الصدر إذا استمرت الكحة"


def sentences(kind):
    """Rows of one kind: what was built on, and the six parts that were kept apart and measured once."""
    parts = {part: yaml.safe_load((DATA / f"medical_{part}.yaml").read_text("utf-8")) for part in PARTS}
    return [pytest.param(*row, id=f"{part}-{row[0][:30]}") for part, one in parts.items() for row in one.get(kind, ())]


# --- threads ---------------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer_are_a_pair():
    assert pair([QUESTION, ADVICE]) == Pair(QUESTION, ADVICE, by_doctor=False, replies=1)


@pytest.mark.parametrize(
    "doctor",
    [Post(ADVICE, "د. سامي"), Post(ADVICE, "Dr. Sami"), Post(ADVICE, "سامي", "doctor"), Post(ADVICE, "دكتورة هند")],
)
def test_the_doctor_answers_before_a_longer_reply(doctor):
    thread = [Post(QUESTION, "ليلى"), Post("والله أنا صار لي نفس الشيء " * 9, "نور"), doctor]
    assert pair(thread) == Pair(QUESTION, ADVICE, by_doctor=True, replies=2)


def test_a_name_that_begins_like_a_title_is_no_doctor():
    assert pair([Post(QUESTION, "ليلى"), Post(ADVICE, "درويش")]).by_doctor is False


def test_without_a_doctor_the_longest_useful_reply_answers():
    thread = [QUESTION, "الله يشفيك ويعافيك يا رب العالمين", "اشرب ماء كثيرا", ADVICE]
    assert pair(thread).answer == ADVICE


def test_what_the_asker_adds_before_a_reply_belongs_to_the_question():
    thread = [Post(QUESTION, "ليلى"), Post("عمري ٣٠ سنة", "ليلى"), Post(ADVICE, "نور"), Post("شكرا جزيلا", "ليلى")]
    assert pair(thread).question == f"{QUESTION}\nعمري ٣٠ سنة"


def test_posts_may_be_records_under_common_names():
    thread = [{"body": QUESTION, "user": "ليلى"}, {"comment": ADVICE, "user": "سامي", "is_doctor": True}]
    assert pair(thread) == Pair(QUESTION, ADVICE, by_doctor=True, replies=1)


@pytest.mark.parametrize(
    ("thread", "reason"),
    [
        ([], "no question: an empty thread"),
        (["", ADVICE], "no question: empty: no words"),
        (["السلام عليكم ورحمة الله", ADVICE], "no question: courtesy: 0 words"),
        ([QUESTION], "no answer: no reply"),
        ([Post(QUESTION, "ليلى"), Post(ADVICE, "ليلى")], "no answer: "),
        ([QUESTION, "شكرا جزيلا دكتور"], "no answer: courtesy"),
        ([QUESTION, "الله يشفيك ويعافيك"], "no answer: courtesy"),
        ([QUESTION, "متابعة"], "no answer: courtesy"),
        ([QUESTION, "نعم ممكن"], "no answer: "),
        ([QUESTION, "للحجز تواصل معنا واتساب 0100 200 3000 خصم 50"], "no answer: promotion"),
        ([Post(QUESTION, "د. سامي"), Post(ADVICE, "ليلى")], "no question: a doctor began the thread"),
    ],
)
def test_a_thread_without_a_pair_says_why(thread, reason):
    assert str(pair(thread)).startswith(reason)


def test_advice_with_a_prayer_or_a_booking_line_is_kept():
    assert useless(f"سلامتك ألف سلامة. {ADVICE}") is None
    assert useless(f"{ADVICE} وقلل الدخان وابتعد عن الغبار. للحجز واتساب 01002003000") is None


# --- what it is about ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "wanted"), sentences("specialty"))
def test_specialty(text, wanted):
    assert specialty(text) == wanted


def test_there_are_eighteen_to_twenty_five_specialties_and_general_is_none():
    assert 18 <= len(medical.specialties()) <= 25
    assert medical.GENERAL not in medical.specialties()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("عندي acne في وجهي واستخدمت cream بدون فايدة", "dermatology"),
        ("نتيجة HbA1c عندي 8.5 هل أحتاج insulin", "endocrinology"),
        ("عملت MRI على الـ disc وطلع بروز", "orthopaedics"),
        ("الـ ECG سليم بس عندي palpitation في القلب", "cardiology"),
    ],
)
def test_english_terms_inside_arabic_count(text, wanted):
    assert specialty(text) == wanted


def test_marks_and_stretching_change_nothing():
    assert specialty("عِنْدِي صُدَاعٌ شَدِيد") == specialty("عندي صـــداع شديد") == "neurology"


def test_what_is_denied_is_not_what_it_is_about():
    assert specialty("ما عندي سكري ولا ضغط بس ضرسي يوجعني") == "dentistry"


# --- whom ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "wanted"), sentences("patient"))
def test_patient(text, wanted):
    found = patient(text)
    got = {name: getattr(found, name) for name in wanted}
    assert got == {name: pytest.approx(value) if isinstance(value, float) else value for name, value in wanted.items()}


@pytest.mark.parametrize(
    ("said", "years"),
    [("٣٥", 35), ("۳۵", 35), ("35", 35), ("خمسة وثلاثين", 35), ("خمس و ثلاثين", 35), ("تلاتين", 30), ("ثمنطعش", 18)],
)
def test_numbers_in_digits_and_words(said, years):
    assert patient(f"عمري {said} سنة").age_years == years


def test_months_are_months_and_a_share_of_a_year():
    found = patient("ابني عمره ٦ شهور")
    assert (found.months, found.age_years) == (6, 0.5)


@pytest.mark.parametrize("text", ["عمري ٥٠٠ سنة", "عمري 0 سنة", "عمري ما رحت لدكتور", "عمري"])
def test_no_age_where_none_is_possible(text):
    assert patient(text).age_years is None


# --- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "question", "answer"),
    [
        (["Question_description", "Answer_details"], "Question_description", "Answer_details"),
        (["\ufeffQuestion", "Answer", "Category", "", ""], "\ufeffQuestion", "Answer"),
        (["Unnamed: 0", "Question", "Answer", "Category"], "Question", "Answer"),
        (["q_body", "a_body", "category"], "q_body", "a_body"),
        (["سؤال", "جواب"], "سؤال", "جواب"),
        (["instruction", "input", "output"], "instruction", "output"),
        (["input", "output"], "input", "output"),
        (["prompt", "completion"], "prompt", "completion"),
    ],
)
def test_columns_of_published_layouts(names, question, answer):
    layout = columns_of(names)
    assert (layout.question, layout.answer, layout.missing) == (question, answer, ())


def test_a_titled_consultation_keeps_title_and_specialty():
    names = ["Consultation Number", "Question Title", "Question", "Answer", "Doctor Name", "Hierarchical Diagnosis"]
    layout = columns_of(names)
    assert (layout.title, layout.specialty) == ("Question Title", "Hierarchical Diagnosis")
    assert layout.ignored == ("Consultation Number", "Doctor Name")
    record = {"Question Title": "كحة مزمنة", "Question": QUESTION, "Answer": ADVICE}
    assert record_pair(record, layout) == (f"كحة مزمنة\n{QUESTION}", ADVICE)


@pytest.mark.parametrize("said", [1, "1", "b", "B)", "ب"])
def test_choices_are_written_out_and_the_letter_becomes_the_answer(said):
    layout = columns_of(["question", "opa", "opb", "opc", "opd", "cop"])
    assert layout.missing == ()
    record = {"question": "أين القلب؟", "opa": "البطن", "opb": "الصدر", "opc": "الرأس", "opd": "", "cop": said}
    assert record_pair(record, layout) == ("أين القلب؟\n1. البطن\n2. الصدر\n3. الرأس", "الصدر")


def test_an_input_belongs_to_its_instruction():
    layout = columns_of(["instruction", "input", "output"])
    assert record_pair({"instruction": "أجب", "input": "نعم", "output": "حسنا"}, layout) == ("أجب\nنعم", "حسنا")


def test_messages_give_the_first_question_and_its_reply():
    layout = columns_of(["id", "messages"])
    turns = [{"role": "system", "content": "أنت طبيب"}, {"from": "human", "value": QUESTION}]
    assert record_pair({"messages": [*turns, {"from": "gpt", "value": ADVICE}]}, layout) == (QUESTION, ADVICE)
    assert record_pair({"messages": turns}, layout) == "no answer: no reply in the conversation"
    assert record_pair({"messages": None}, layout) == "no question: none in the conversation"


def test_what_is_missing_is_said_with_the_nearest_name():
    layout = columns_of(["Quesion", "Label"])
    assert [line.split(":")[0] for line in layout.missing] == ["question", "answer"]
    assert "among Quesion, Label" in layout.missing[0]
    assert record_pair({"Quesion": "x"}, layout).startswith("columns: question: no column such as question")


@pytest.mark.parametrize("empty", [None, "", "  ", float("nan"), "nan"])
def test_an_empty_cell_is_a_reason(empty):
    layout = columns_of(["Question", "Answer"])
    assert record_pair({"Question": QUESTION, "Answer": empty}, layout) == "no answer: an empty column"
    assert record_pair({"Question": empty, "Answer": ADVICE}, layout) == "no question: an empty column"


def test_a_file_with_byte_order_mark_and_empty_columns_is_read_by_settings_alone(tmp_path):
    from mashq.sources import read as read_source

    file = tmp_path / "qa.csv"
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([["Question", "Answer", "spare"], [QUESTION, ADVICE, ""]])
    import json

    rows = [json.loads(meta) for table in read_source(file) for meta in table.column("meta").to_pylist()]
    assert record_pair(rows[0], columns_of(rows[0])) == (QUESTION, ADVICE)


# --- any string ------------------------------------------------------------------------------------------------------

ODD = [
    "",
    " ",
    "\x00",
    "\ud800",
    "٣" * 5000,
    "عمري " * 5000,
    "؟" * 5000,
    "漢字",
    "😀",
    "a_b|c",
    "عمري ٣.٥.٥ سنة",
    "\n" * 100,
]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_raise_nothing(text):
    medical.specialty(text), medical.patient(text), medical.red_flags(text), medical.safety(text, text)
    assert isinstance(pair([text, text]), str | Pair)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("عمريسنةحاملبنتيدوءلا ٣٥12.،\n؟ًـ\u200f"), max_size=80))
def test_any_text_gives_the_same_twice(text):
    first = (specialty(text), patient(text), medical.red_flags(text), medical.safety(text, text))
    read.cache_clear()
    patient.cache_clear()
    medical.red_flags.cache_clear()
    assert (specialty(text), patient(text), medical.red_flags(text), medical.safety(text, text)) == first


def test_a_megabyte_is_cut_and_says_so():
    assert read("عندي صداع " * 100_000).cut is True
    assert specialty("عندي صداع " * 100_000) == "neurology"


def test_columns_agree_with_single_texts():
    texts = [QUESTION, "عمري ٣٠ سنة وضرسي يوجعني", ""]
    assert medical.specialty_column(texts) == [specialty(text) for text in texts]
    assert medical.patient_column(texts) == [patient(text) for text in texts]
    assert medical.red_flags_column(texts) == [medical.red_flags(text) for text in texts]
    assert medical.safety_column(texts, texts) == [medical.safety(text, text) for text in texts]
    assert medical.pairs([texts, []]) == [pair(texts), pair([])]


# --- the notation ----------------------------------------------------------------------------------------------------


def spots(phrase, text, **frames):
    return [(spot.start, spot.end, spot.state) for spot in Spotter({"t": [phrase]}, **frames).spots(read(text))]


def test_a_phrase_takes_attached_letters_gaps_and_endings():
    assert spots("ألم|وجع .. صدر*", "عندي وجع شديد بالصدر") == [(1, 4, "")]
    assert spots("ضيق في? تنفس", "ضيق تنفس و ضيق في تنفس") == [(0, 2, ""), (3, 6, "")]
    assert spots("عسل|حبة_البركة .. بدل|أفضل_من", "حبة البركة عندي أفضل من ذاك") == [(0, 5, "")]


def test_a_gap_ends_with_the_clause_and_after_three_words():
    assert spots("ألم .. صدر", "ألم. صدر") == []
    assert spots("ألم .. صدر", "ألم في وسط أعلى الصدر") == [(0, 5, "")]
    assert spots("ألم .. صدر", "ألم في وسط أعلى يمين الصدر") == []


def test_a_word_inside_another_is_not_found():
    assert spots("دم", "عدم انتظام في القدم") == []


def test_a_frame_reaches_to_the_end_of_its_clause_or_a_but():
    frames = {"frames": {"denied": ["ما عندي"]}}
    assert spots("صداع", "ما عندي صداع", **frames) == [(2, 3, "denied")]
    assert spots("صداع", "ما عندي حرارة. صداع", **frames) == [(3, 4, "")]
    assert spots("صداع", "ما عندي حرارة بس صداع", **frames) == [(4, 5, "")]


@pytest.mark.parametrize(("phrase", "match"), [(".. صدر", "begins or ends with a gap"), ("ألم||وجع", "an empty word")])
def test_a_phrase_that_cannot_be_read_is_refused(phrase, match):
    with pytest.raises(MashqError, match=match):
        Spotter({"t": [phrase]})


def test_endings_of_possession_and_sets_are_written_out():
    assert spots("ركبة~ .. @ache", "ركبتي توجعني") == [(0, 2, "")]
    assert spots("وجه~", "وجهها") == [(0, 1, "")]


def test_a_set_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(MashqError, match=r"no set '@ach' in terms.yaml, in '@ach .. صدر'. Did you mean 'ache'"):
        Spotter({"t": ["@ach .. صدر"]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("مبيوقفش", "ما بيوقف"),
        ("ما كيحبسش", "ما كيحبس"),
        ("ما عم يوقف", "ما يوقف"),
        ("گلبي", "قلبي"),
        ("مش متوحش", "مش متوحش"),
        ("عم زوجي", "عم زوجي"),
    ],
)
def test_what_dialects_put_around_a_verb_falls_away(text, words):
    assert " ".join(read(text).words) == words


def test_a_cut_text_is_said_so_in_patient_and_safety():
    long = "عندي صداع " * 3000
    assert (patient(long).cut, medical.safety(long, "راجع الطبيب").cut) == (True, True)
    assert medical.safety("عندي صداع", long).cut is True
    assert (patient("عندي صداع").cut, medical.safety("عندي صداع", "راجع الطبيب").cut) == (False, False)


@pytest.mark.parametrize(("text", "wanted"), sentences("useless"))
def test_a_promotion_is_told_without_a_link(text, wanted):
    assert (str(useless(text)).partition(":")[0] if wanted == "promotion" else useless(text)) == (
        "promotion" if wanted == "promotion" else None
    )


# --- the lists -------------------------------------------------------------------------------------------------------

PARTICLES = frozenset(["ما", "لا", "لم", "مو", "مش", "مب", "من", "في", "علي", "عن", "غير", "بدون", "الا"])


def phrases_of(given):
    """Every phrase of a list file; single words and texts of examples are none."""
    if isinstance(given, str):
        yield given
    for name, one in given.items() if isinstance(given, dict) else ():
        if name not in ("why", "name", "hit", "near", "sets", "contact", "doctor_titles", "needs", "all"):
            yield from phrases_of(one)
    for one in given if isinstance(given, list) else ():
        yield from phrases_of(one)


def fault(phrase):
    """`نايم|مش مركز` asks for نايم مركز: a particle among other words, beside the next without a gap, wants a_b."""
    parts = phrase.split()
    for part, after in pairwise(parts):
        options = {option for option in part.rstrip("?").split("|") if not option.startswith("@")}
        if after != ".." and not part.endswith("?") and options & PARTICLES and options - PARTICLES - ALLOWED:
            return part
    return None


# Words beside a particle that mean it too, or that are one with the word after them.
ALLOWED = frozenset(
    [
        "ليس",
        "ليست",
        "لن",
        "م",
        "ولا",
        "وما",
        "ومش",
        "ومو",
        "موب",
        "بلاش",
        "بلا",
        "مفيش",
        "مافي",
        "مافيش",
        "ماكو",
        "لست",
        "ماني",
        "مانيش",
        "اوعي",
        "اوعك",
        "لاتطعم*",
        "لو",
        "اذا",
        "قبل",
        "عند",
        "ب",
        "هل",
        "متي",
        "وش",
        "مع",
        "منذ",
        "قبال",
        "هادي",
        "ال",
        "هال",
        "ل",
        "بعد",
        "اوعى",
        "اوعي",
        "اوعك",
        "اياك",
        "من_غير",
        "ما_غير",
        "ما_راح",
        "ما_ينزل",
        "وليس",
        "عنك",
        "هذا",
        "متاخدش",
        "لاا",
        "كان",
        "كانت",
        "مني",
        "دون",
        "انا",
        "ماهي",
        "ايش",
        "شو",
        "ايه",
        "شنو",
        "هي",
        "ملعقه",
        "ملاعق",
        "معلقه",
        "شويه",
        "كاس",
        "كوب",
        "صار_لها",
        "بقالها",
        "فقط",
        "حسب",
        "وفق",
    ]
)


@pytest.mark.parametrize("name", ["frames", "red_flags", "specialties", "safety", "terms", "talk"])
def test_two_words_that_stand_for_one_are_written_a_b(name):
    from mashq.medical.words import data

    found = {phrase: fault(phrase) for phrase in phrases_of(data(name)) if fault(phrase)}
    assert found == {}


def test_the_fault_is_found():
    assert fault("نعسان|نايم|مش مركز|واعي") == "نعسان|نايم|مش"
    assert fault("نعسان|نايم|مش_مركز|واعي") is None
