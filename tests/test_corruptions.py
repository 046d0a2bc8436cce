"""Corruptions: each makes the one fault that it names, the same one every time, and none where it does not apply."""

import re

import numpy as np
import pytest

from mashq.corruptions import KINDS, corrupted
from mashq.quality.checks import numbers, translated
from mashq.rows import MashqError

PAIRS = [
    ("The boy read 3 books in 2019 and liked them.", "قرأ الولد 3 كتب في عام 2019 وأعجبته كثيرا."),
    ("She did not write the letter.", "لم تكتب الرسالة."),
    ("The house that we saw was far away.", "كان هذا البيت الذي رأيناه بعيدا جدا."),
    ("Yes.", "نعم."),
    ("Prices rose again yesterday in all the markets.", "ارتفعت الأسعار مجددا أمس في كل الأسواق."),
]
ALONE = tuple(kind for kind in KINDS if kind != "near_sentence")


def made(kind, source, translation, seed=0):
    return corrupted([(source, translation), *PAIRS], [kind], seed)[kind][0]


class Lengths:
    """An encoder by the number of letters: a text is nearest to those that are as long."""

    name = identity = "lengths"
    licence = ""

    def encode(self, texts):
        angles = np.array([len(text) / 100 for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_every_kind_changes_the_text_or_says_none():
    for kind, texts in corrupted(PAIRS, encoder=Lengths()).items():
        assert len(texts) == len(PAIRS), kind
        assert all(text != pair[1] for text, pair in zip(texts, PAIRS, strict=True)), kind


def test_a_seed_makes_the_same_texts_wherever_the_pair_stands():
    kinds = [kind for kind in ALONE if kind != "wrong_sentence"]
    forth, back = corrupted(PAIRS, kinds, 3), corrupted(PAIRS[::-1], kinds, 3)
    assert forth == {kind: texts[::-1] for kind, texts in back.items()}
    assert corrupted(PAIRS, ALONE, 3) == corrupted(PAIRS, ALONE, 3)
    assert forth["scrambled"] != corrupted(PAIRS, kinds, 4)["scrambled"]


@pytest.mark.parametrize(
    "kind", ["dropped_words", "truncated", "scrambled", "negation", "wrong_variety", "changed_number"]
)
def test_what_does_not_apply_is_none(kind):
    assert made(kind, "Yes.", "نعم.") is None


def test_dropped_words_leave_the_others_in_order():
    text = made("dropped_words", *PAIRS[0])
    words, left = PAIRS[0][1].split(), text.split()
    assert len(left) == len(words) - 3  # of nine
    rest = iter(words)
    assert all(word in rest for word in left)


def test_truncated_is_the_first_half():
    assert made("truncated", *PAIRS[0]) == " ".join(PAIRS[0][1].split()[:4])


def test_scrambled_keeps_the_words_and_the_full_stop():
    text = made("scrambled", *PAIRS[0])
    assert sorted(text.rstrip(".").split()) == sorted(PAIRS[0][1].rstrip(".").split())
    assert text.endswith(".")


def test_one_number_is_changed_and_the_check_sees_it():
    for seed in range(20):
        text = made("changed_number", *PAIRS[0], seed)
        here, there = re.findall(r"\d+", PAIRS[0][1]), re.findall(r"\d+", text)
        assert sum(one != other for one, other in zip(here, there, strict=True)) == 1
        assert [len(one) for one in here] == [len(one) for one in there]
        assert numbers(PAIRS[0][0], text) < 1


def test_digits_keep_their_script():
    digits = "".join(chr(0x0660 + number) for number in (2, 5))
    text = made("changed_number", "25 men", f"كان هناك {digits} رجلا")
    assert re.fullmatch(r"كان هناك [٠-٩]{2} رجلا", text)
    assert digits not in text


def test_two_numbers_change_places_whole():
    assert made("swapped_numbers", *PAIRS[0]) == "قرأ الولد 2019 كتب في عام 3 وأعجبته كثيرا."
    assert made("swapped_numbers", "It costs 350,000 dollars.", "يكلف 350,000 دولار.") is None


@pytest.mark.parametrize(
    ("translation", "wrong"),
    [
        ("لم تكتب الرسالة.", "كتبت الرسالة."),
        ("لم تفهم السؤال.", "تفهم السؤال."),
        ("لم يكن البيت كبيرا.", "كان البيت كبيرا."),
        ("وليس الأمر سهلا.", "والأمر سهلا."),
        ("لن يذهبوا إلى المدرسة.", "سيذهبون إلى المدرسة."),
        ("لا يعرف الولد الطريق.", "يعرف الولد الطريق."),
        ("كان البيت كبيرا.", "لم يكن البيت كبيرا."),
        ("وقال الرجل كلمة.", "ولم يقل الرجل كلمة."),
        ("سوف يسافر غدا.", "لن يسافر غدا."),
        ("يمكن فتح الباب.", "لا يمكن فتح الباب."),
    ],
)
def test_negation_is_taken_away_or_added(translation, wrong):
    assert made("negation", "A sentence.", translation) == wrong


@pytest.mark.parametrize("translation", ["لا يزال الطفل نائما.", "لقد قال الرجل كلمة.", "قرأ الولد الكتاب."])
def test_negation_leaves_what_it_would_only_spoil(translation):
    assert made("negation", "A sentence.", translation) is None


def test_wrong_variety_is_egyptian_or_moroccan():
    found = {made("wrong_variety", *PAIRS[2], seed) for seed in range(20)}
    assert found == {"كان البيت ده اللي رأيناه بعيدا أوي.", "كان هاد البيت اللي رأيناه بعيدا بزاف."}


def test_the_future_particle_becomes_a_prefix_in_egyptian():
    found = {made("wrong_variety", "x", "سوف يسافر الرجل الذي رأيناه.", seed) for seed in range(20)}
    assert found == {"هيسافر الرجل اللي رأيناه.", "غادي يسافر الرجل اللي رأيناه."}


def test_untranslated_is_the_source():
    assert made("untranslated", *PAIRS[1]) == PAIRS[1][0]
    assert translated(PAIRS[1][0], PAIRS[1][0]) == 0
    assert made("untranslated", "12 + 5", "١٢ + ٥") is None


def test_a_wrong_sentence_is_that_of_another_source():
    for place, text in enumerate(corrupted(PAIRS, ["wrong_sentence"])["wrong_sentence"]):
        assert text in {pair[1] for pair in PAIRS} - {PAIRS[place][1]}


def test_a_near_sentence_is_that_of_the_nearest_source():
    pairs = [("aa", "ا"), ("a" * 60, "ب"), ("aaa", "ج"), ("aa", "د")]
    assert corrupted(pairs, ["near_sentence"], encoder=Lengths())["near_sentence"] == ["ج", "ج", "ا", "ج"]


def test_unknown_kinds_and_a_missing_encoder_are_refused():
    with pytest.raises(MashqError, match=r"corruption 'truncate': there is none.*Did you mean 'truncated'"):
        corrupted(PAIRS, ["truncate"])
    with pytest.raises(MashqError, match="corruption 'near_sentence': expected an encoder, got none"):
        corrupted(PAIRS, ["near_sentence"])
