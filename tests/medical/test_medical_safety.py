"""Red flags and signs of unsafe answers: hits, near misses, and what a score means."""

from itertools import pairwise

import pytest
import yaml
from test_medical_shape import sentences

from mashq import medical
from mashq.medical import red_flags, safety
from mashq.medical.safety import safety_signs
from mashq.posts import PairSettings

NOT_TO_BE_LEARNT = ("dose", "more_dose", "miracle", "no_doctor", "stop_medicine", "certain", "emergency_missed")
EXAMPLES = [
    pytest.param(name, kind, *example, id=f"{name}-{kind}-{number}")
    for name, one in safety_signs().items()
    for kind in ("hit", "near")
    for number, example in enumerate(one[kind])
]


@pytest.mark.parametrize(("text", "wanted"), sentences("flags"))
def test_red_flags(text, wanted):
    assert {flag.name for flag in red_flags(text)} == set(wanted)


@pytest.mark.parametrize(("text", "wanted"), sentences("raised"))
def test_a_flag_is_raised_in_every_variety(text, wanted):
    assert wanted in {flag.name for flag in red_flags(text)}


@pytest.mark.parametrize(("question", "answer", "wanted"), sentences("unsafe"))
def test_a_sign_shows_in_every_variety(question, answer, wanted):
    assert wanted in {sign.name for sign in safety(question, answer).signs}


@pytest.mark.parametrize(("question", "answer", "spared"), sentences("safe"))
def test_a_sign_spares_a_near_miss(question, answer, spared):
    assert spared not in {sign.name for sign in safety(question, answer).signs}


def test_a_sign_of_what_must_not_be_learnt_weighs_enough_to_drop_the_pair():
    least = {name: safety_signs()[name]["weight"] for name in NOT_TO_BE_LEARNT}
    assert {name for name, weight in least.items() if weight < 0.3} == set()


@pytest.mark.parametrize(("question", "answer", "wanted"), sentences("safety"))
def test_signs_of_an_answer(question, answer, wanted):
    assert {sign.name for sign in safety(question, answer).signs} == set(wanted)


@pytest.mark.parametrize(("question", "answer"), sentences("unfit"))
def test_an_unsafe_answer_of_any_variety_is_dropped(question, answer):
    assert safety(question, answer).score >= PairSettings().most_unsafe


@pytest.mark.parametrize(("question", "answer"), sentences("fit"))
def test_a_warning_or_a_referral_is_kept(question, answer):
    assert safety(question, answer).score < PairSettings().most_unsafe


@pytest.mark.parametrize(
    ("answer", "referred"),
    [
        ("تقدر تاخذ أموكسيسيلين من الصيدلية بدون وصفة طبية", False),
        ("خذ أموكسيسيلين من غير ما تستشير طبيب", False),
        ("خذ أموكسيسيلين فورا", False),
        ("لا تأخذ أموكسيسيلين بدون وصفة طبية", True),
        ("أموكسيسيلين لكن راجع الطبيب أولا", True),
    ],
)
def test_doing_without_a_doctor_is_no_referral(answer, referred):
    signs = {sign.name for sign in safety("حلقي ملتهب", answer).signs}
    assert ("antibiotic" not in signs) == referred


def test_a_sign_may_depend_on_what_was_asked():
    assert "stop_medicine" in {sign.name for sign in safety("آخذ علاج الضغط", "وقفه خلاص").signs}
    assert "stop_medicine" not in {sign.name for sign in safety("جرح إصبعي ينزف", "وقفه بالضغط عليه").signs}


def test_food_that_is_counted_and_a_dose_that_is_warned_of_are_no_doses():
    for answer in ("كل ثلاث حبات تمر يوميا", "لا تأخذ حبتين مع بعض", "ملعقة عسل الصبح"):
        assert "dose" not in {sign.name for sign in safety("عندي صداع", answer).signs}
    assert "dose" in {sign.name for sign in safety("عندي صداع", "خود جوج حبات دابا").signs}


@pytest.mark.parametrize(("name", "kind", "question", "answer"), EXAMPLES)
def test_every_sign_hits_its_examples_and_spares_its_near_misses(name, kind, question, answer):
    assert (name in {sign.name for sign in safety(question, answer).signs}) == (kind == "hit")


def test_every_sign_has_a_weight_a_reason_and_both_kinds_of_example():
    for name, one in safety_signs().items():
        assert 0 < one["weight"] < 1, name
        assert one["why"] and one["hit"] and one["near"], name


def test_the_score_is_what_the_signs_leave_of_safety():
    found = safety("عندي صداع", "باراسيتامول 500 ملغ كل 8 ساعات")
    assert {sign.name: sign.weight for sign in found.signs} == {"dose": 0.3, "drug_alone": 0.25}
    assert found.score == pytest.approx(1 - 0.7 * 0.75)
    assert found.reason == "unsafe: 0.47 (dose, drug_alone)"


def test_no_sign_is_zero_and_no_reason():
    found = safety("عندي زكام", "ارتح واشرب الماء وراجع الطبيب إذا استمر")
    assert (found.score, found.signs, found.reason) == (0.0, (), None)
    assert safety("عندي زكام", "").score == 0.0


def test_a_referral_makes_an_answer_safer_never_less_safe():
    question, answer = "أبي عنده ألم في الصدر ينزل على يده اليسار", "خذ أسبرين"
    scores = [
        safety(question, text).score
        for text in (answer, f"{answer} وراجع الطبيب", f"{answer}. {answer} وراجع الطبيب فورا في الطوارئ")
    ]
    assert all(less >= more for less, more in pairwise(scores))
    assert scores[0] > scores[-1]


def test_no_sign_can_bring_the_score_to_one():
    worst = " ".join(text for one in safety_signs().values() for _, text in one["hit"])
    assert 0.9 < safety("أنا حامل وعندي نزيف شديد", worst).score <= 1


def test_a_red_flag_says_what_raised_it():
    (flag,) = red_flags("ابني شرب كلور من المطبخ")
    assert (flag.name, flag.words) == ("poisoning", "شرب كلور")
    assert "poisonous" in flag.why


@pytest.mark.parametrize(
    "denied",
    [
        "ما عندي نزيف شديد",
        "لا يوجد نزيف شديد",
        "بدون نزيف شديد",
        "مفيش نزيف شديد",
        "ليس لدي نزيف شديد",
        "ماكو نزيف شديد",
    ],
)
def test_what_is_denied_in_any_variety_raises_nothing(denied):
    assert red_flags(denied) == ()


def test_a_fever_is_a_flag_by_age():
    assert [flag.name for flag in red_flags("بنتي عمرها شهرين وعندها حرارة")] == ["infant_fever"]
    assert red_flags("بنتي عمرها أربع سنوات وعندها حرارة 38") == ()
    assert [flag.name for flag in red_flags("بنتي عمرها أربع سنوات وحرارتها 40.5")] == ["infant_fever"]


def test_the_disclaimer_says_that_no_physician_checked_it_in_both_languages():
    assert "No physician has checked" in medical.DISCLAIMER
    assert "ولم يراجعها طبيب" in medical.DISCLAIMER_ARABIC


def test_the_lists_are_read_as_written():
    for name in ("specialties", "red_flags", "safety", "terms", "frames", "talk"):
        from mashq.medical.words import data

        assert yaml.safe_dump(data(name))
