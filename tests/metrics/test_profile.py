"""Texts become comparable words: the fast path of a profile equals the plain one."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mashq import arabic
from mashq.metrics.profile import ARABIC, LATIN, PROFILES, STRICT, Profile

LETTERS = "ابتكإأةىيگپ\N{ARABIC FATHA}\N{ARABIC SHADDA}\N{ARABIC TATWEEL}\N{ARABIC HAMZA ABOVE}\N{ARABIC MADDAH ABOVE}"
SIGNS = "٣5۷.,،؟!:;'’\"«»()_-@#/ \t\n\N{NO-BREAK SPACE}\N{LINE SEPARATOR}\N{NEXT LINE}\x1c"
STRANGE = (
    "abİΣß日本カ\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{RIGHT-TO-LEFT MARK}\N{ZERO WIDTH SPACE}"
    "\N{ARABIC LIGATURE LAM WITH ALEF ISOLATED FORM}\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}\N{GRINNING FACE}"
    "\N{ARABIC DECIMAL SEPARATOR}\N{COMBINING ACUTE ACCENT}"
)


def plainly(text, profile):
    """The definition: normal form, lower case, words."""
    normal = arabic.normalise(text, profile.forms).lower()
    return arabic.words(normal)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text(alphabet=LETTERS + SIGNS + STRANGE, max_size=30), max_size=4))
@example(["", "  ", "كَتَبَ", "ΑΣ ΑΣ.", "3.5 ٣٫٥ a.b", "السوق،ثم", "_", "don't", "(كتاب)", "كتاب_كبير"])
def test_words_of_a_batch_equal_the_definition_on_each_text(texts):
    for profile in (ARABIC, STRICT):
        assert profile.words(texts) == [plainly(text, profile) for text in texts]


def test_a_vocalised_word_is_one_word():
    assert ARABIC.words(["كَتَبَ الطَّالِبُ"]) == [["كتب", "الطالب"]]
    assert STRICT.words(["كَتَبَ"]) == [["كَتَبَ"]]


def test_vocalised_verses_have_the_words_of_their_plain_letters():
    verses = {
        "عَلَىٰٓ": "على",
        "قَالُوٓا۟": "قالوا",
        "وَإِذْ قَالَ رَبُّكَ لِلْمَلَٰٓئِكَةِ": "وإذ قال ربك للملئكة",
        "أُو۟لَٰٓئِكَ عَلَىٰ هُدًى مِّن رَّبِّهِمْ": "أولئك على هدى من ربهم",
        "فَلَمَّا جَآءَ": "فلما جاء",
    }
    for profile in (ARABIC, PROFILES["loose"]):
        assert profile.words(list(verses)) == profile.words(list(verses.values()))
    assert STRICT.words(["عَلَىٰٓ"]) != STRICT.words(["على"])


def test_numbers_are_equal_exactly_where_words_are():
    numbered = ARABIC.numbered(["ذهب الولد", "", "ثم ذهب، ثم الولد-الصغير"])
    assert sorted(numbered.vocabulary) == sorted({"ذهب", "الولد", "ثم", "الصغير"})
    words = [numbered.vocabulary[number] for number in numbered.numbers]
    assert words == ["ذهب", "الولد", "ثم", "ذهب", "ثم", "الولد", "الصغير"]
    assert numbered.offsets.tolist() == [0, 2, 2, 7]
    assert [len(numbers) for numbers in numbered.texts()] == [2, 0, 5]


def test_no_texts_give_no_words():
    assert ARABIC.words([]) == []
    assert np.array_equal(ARABIC.numbered([]).offsets, [0])


def test_latin_words_are_those_of_rouge_scores_tokenizer():
    tokenize = pytest.importorskip("rouge_score.tokenize").tokenize
    for text in ["It's a well-known fact: 1,952.5!", "Über İstanbul كتاب x", "", "a_b\nc"]:
        assert LATIN.words([text]) == [tokenize(text, None)]


def test_signature_names_forms_in_the_order_in_which_they_are_applied():
    one, other = Profile("x", ("tashkeel", "nfc")), Profile("y", ("nfc", "tashkeel"))
    assert one.signature == other.signature == "tok:uax29-ar1|norm:nfc-tashkeel|case:lower"
    assert LATIN.signature == "tok:latin|norm:none|case:lower"


def test_profiles_are_named_and_differ():
    assert all(profile.name == name for name, profile in PROFILES.items())
    assert len({profile.signature for profile in PROFILES.values()}) == len(PROFILES)


def test_an_invisible_operator_or_tag_does_not_part_a_word_from_its_like():
    for mark in (0x2061, 0x2063, 0xE0041):
        assert ARABIC.words([f"كت{chr(mark)}اب"]) == [["كتاب"]]
        assert STRICT.words([f"كت{chr(mark)}اب"]) != [["كتاب"]]


def test_a_lone_surrogate_is_no_word_and_two_halves_are_their_character():
    assert ARABIC.words(["نعم \ud83d لا", "نعم"]) == [["نعم", "لا"], ["نعم"]]
    assert ARABIC.normal(["\ud83d\ude00", "\ud83d"]) == ["\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}"]
    assert LATIN.words(["a \udc00 b"]) == [["a", "b"]]
