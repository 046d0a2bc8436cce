"""Checks: what each sees, what each is blind to, and that true translations pass."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mashq.quality import open_scorer
from mashq.quality.checks import CHECKS, entities, length, numbers, translated
from mashq.quality.embedding import read_anchors

ARABIC_FIVE = "\N{ARABIC-INDIC DIGIT FIVE}"


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("She bought 5 apples.", "اشترت 5 تفاحات."),
        ("She bought 5 apples.", f"اشترت {ARABIC_FIVE} تفاحات."),
        ("She bought 5 apples.", "اشترت ۵ تفاحات."),
        ("She bought 5 apples.", "اشترت خمس تفاحات."),
        ("She bought five apples.", "اشترت 5 تفاحات."),
        ("It costs 1,234.50 dollars.", "يكلف ١٬٢٣٤٫٥٠ دولار."),
        ("It costs 1,234 dollars.", "يكلف 1234 دولارا."),
        ("About 2.5 million people live here.", "يعيش هنا نحو 2,500,000 شخص."),
        ("The firm lost $5m.", "خسرت الشركة 5 ملايين دولار."),
        ("We met at 10:30 on May 7.", "التقينا في الساعة 10:30 يوم 7 مايو."),
        ("The meeting is on 12/05.", "الاجتماع يوم 12 مايو."),
        ("He read 2 books.", "قرأ كتابين."),
        ("He is 25 years old.", "عمره خمسة وعشرون عاما."),
        ("Music of the 1980s", "موسيقى الثمانينيات"),
        ("The king of 1620-21", "ملك 1620–1621"),
        ("The years 1620–1621", "الأعوام 1620-21"),
        ("Chapter XLIX", "الفصل 49"),
        ("The 3rd door", "الباب الثالث"),
        ("Open the door.", "افتح الباب."),
    ],
)
def test_the_same_numbers_in_any_dress_agree(source, translation):
    assert numbers(source, translation) == 1.0


@pytest.mark.parametrize(
    ("source", "translation", "score"),
    [
        ("She bought 5 apples.", "اشترت 6 تفاحات.", 0.0),
        ("She bought 5 apples.", "اشترت تفاحات.", 0.0),
        ("She bought apples.", "اشترت 6 تفاحات.", 0.0),
        ("From 7 to 9 on page 30", "من 7 إلى 8 في الصفحة 30", 2 / 3),
        ("It costs 1.5 dollars.", "يكلف 15 دولارا.", 0.0),
    ],
)
def test_numbers_that_differ_are_told(source, translation, score):
    assert numbers(source, translation) == pytest.approx(score)


def test_numbers_do_not_look_at_order():
    assert numbers("From 7 to 9", "من 9 إلى 7") == 1.0


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("Yesterday Michael went to Washington.", "ذهب مايكل أمس إلى واشنطن."),
        ("We saw Barbara and Robert Kennedy there.", "رأينا هناك باربرا وروبرت كينيدي."),
        ("They said that Goldman would come.", "قالوا إن غولدمان سيأتي."),
        ("The Airbus A320 landed.", "هبطت طائرة إيرباص A320."),
        ("Write to info@example.org soon.", "اكتب إلى info@example.org قريبا."),
        ("It rained on Monday.", "أمطرت يوم الاثنين."),
        ("the cat sleeps", "القطة نائمة"),
    ],
)
def test_names_that_are_heard_and_codes_that_are_kept_score_one(source, translation):
    assert entities(source, translation) == 1.0


@pytest.mark.parametrize(
    ("source", "translation", "score"),
    [
        ("Yesterday Michael went to Washington.", "ذهب الطفل أمس إلى المدرسة.", 1 / 3),
        ("Yesterday Michael went to Washington.", "ذهب مايكل أمس إلى المدرسة.", 2 / 3),
        ("Write to info@example.org soon.", "اكتب إلينا قريبا.", 0.0),
        ("The red A320 landed.", "هبطت الطائرة الحمراء.", 0.0),
    ],
)
def test_names_and_codes_that_are_lost_are_told(source, translation, score):
    assert entities(source, translation) == pytest.approx(score)


def test_words_left_in_english_are_told_and_names_are_not():
    source = "The quick fox visited London with Anna."
    assert translated(source, source) == 0.0
    assert translated(source, "زار الثعلب السريع London مع Anna.") == 1.0
    assert translated(source, "زار الثعلب quick لندن مع آنا.") == pytest.approx(1 - 1 / 5)  # the quick fox visited with
    assert translated("5 + 5 = 10", "5 + 5 = 10") == 1.0


def test_a_usual_length_scores_above_a_half_and_a_half_text_below_the_whole():
    source = "The teacher asked the children to open their books and to read the first page aloud."
    whole = "طلبت المعلمة من الأطفال أن يفتحوا كتبهم وأن يقرؤوا الصفحة الأولى بصوت عال."
    assert length(source, whole) > 0.9
    assert length(source, "طلبت المعلمة") < 0.3 < length(source, whole)
    assert length(source, whole * 4) < 0.3
    assert length(source, "طَلَبَتِ المُعَلِّمَةُ") == length(source, "طلبت المعلمة")


@pytest.mark.parametrize("name", CHECKS)
def test_a_blank_translation_scores_zero_and_two_blank_texts_one(name):
    scorer = open_scorer(name)
    assert scorer.score([("A word", ""), ("A word", " \n"), ("", ""), (" ", "")]).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert scorer.score([]).shape == (0,)


@pytest.mark.parametrize("name", CHECKS)
@given(pair=st.tuples(st.text(), st.text()))
@example(pair=("0", "CL"))  # letters of Roman numerals that are no numeral
def test_any_pair_scores_between_zero_and_one(name, pair):
    score = CHECKS[name][0](*pair)
    assert 0.0 <= score <= 1.0


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_a_scorer(name):
    scorer = open_scorer(name)
    pairs = [("a 5", "5"), ("b", "ب")] * 5_000
    places = [place for batch in scorer.batches(pairs) for place in batch]
    assert places == list(range(len(pairs)))
    assert (scorer.name, scorer.scale, scorer.licence, scorer.column) == (name, (0.0, 1.0), "", "")
    assert scorer.score(pairs[:2]).dtype == np.float32
    assert scorer.identity == open_scorer(name).identity


@pytest.mark.parametrize(
    ("name", "least"), [("length", 0.98), ("numbers", 0.98), ("entities", 0.98), ("translated", 0.98)]
)
def test_professional_translations_pass(data, name, least):
    """Share of 1,000 true pairs at or above the threshold that ships."""
    from mashq.quality import passes, threshold_of

    scorer = open_scorer(name)
    scores = scorer.score(read_anchors(data / "ntrex_en_ar.tsv"))
    assert passes(scores, threshold_of(scorer)).mean() >= least
