"""ROUGE: right for Arabic, equal to rouge_score on English."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics.profile import ARABIC, LATIN, LOOSE, STRICT
from mashq.metrics.rouge import Overlap, encode, metric, overlap, rouge, rouge_items
from mashq.rows import MashqError

PLAIN = "ذهب الولد إلى المدرسة في الصباح"
VOCALISED = "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ فِي الصَّبَاحِ"
UNRELATED = "ارتفعت أسعار النفط أمس بعد قرار المنظمة"

# python -c "from rouge_score.rouge_scorer import RougeScorer as R; s = R(['rouge1','rouge2','rougeL']);
#   print(s.score(TARGET, PREDICTION))"   with rouge_score 0.1.2
GOLDEN = [
    (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
        {
            "rouge1": (0.75, 0.6666666666666666, 0.7058823529411765),
            "rouge2": (0.2857142857142857, 0.25, 0.26666666666666666),
            "rougeL": (0.625, 0.5555555555555556, 0.5882352941176471),
        },
    ),
    (
        "In 1952, the king's ship sailed at dawn; nobody saw it.",
        "Nobody saw the ship: in 1952 the king sailed!",
        {
            "rouge1": (0.8888888888888888, 0.6666666666666666, 0.761904761904762),
            "rouge2": (0.5, 0.36363636363636365, 0.4210526315789474),
            "rougeL": (0.5555555555555556, 0.4166666666666667, 0.4761904761904762),
        },
    ),
]


@pytest.mark.parametrize(("target", "prediction", "expected"), GOLDEN)
def test_english_equals_the_stored_numbers_of_rouge_score(target, prediction, expected):
    for kind, numbers in expected.items():
        assert rouge(prediction, [target], kind, LATIN) == pytest.approx(numbers, abs=1e-12)


def english(seed, words):
    """A text of common words with numbers, capitals and punctuation."""
    generator = random.Random(seed)
    stock = ["the", "a", "of", "sea", "King's", "ship", "1952", "42", "saw", "SAW", "well-known", "it's", "über", "to"]
    return " ".join(generator.choice(stock) + generator.choice(["", "", ",", "."]) for _ in range(words))


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_english_equals_rouge_score(kind):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer([kind])
    generator = random.Random(4)
    for seed in range(150):
        target, prediction = english(seed, generator.randrange(0, 50)), english(seed + 1000, generator.randrange(0, 50))
        theirs = scorer.score(target, prediction)[kind]
        expected = (theirs.precision, theirs.recall, theirs.fmeasure)
        assert rouge(prediction, [target], kind, LATIN) == pytest.approx(expected, abs=1e-12)


def test_arabic_equals_rouge_score_with_our_words():
    scorers = pytest.importorskip("rouge_score.rouge_scorer")

    class Ours:
        def tokenize(self, text):
            return ARABIC.words([text])[0]

    scorer = scorers.RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Ours())
    texts = [PLAIN, VOCALISED, UNRELATED, f"{UNRELATED} {PLAIN}", "الولد ذهب ثم ذهب الولد إلى الصباح، 1952", ""]
    for target in texts:
        for prediction in texts:
            theirs = scorer.score(target, prediction)
            for kind in ("rouge1", "rouge2", "rougeL"):
                expected = (theirs[kind].precision, theirs[kind].recall, theirs[kind].fmeasure)
                assert rouge(prediction, [target], kind) == pytest.approx(expected, abs=1e-12)


def test_several_references_equal_rouge_scores_best():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    targets = [english(seed, 12) for seed in range(5)]
    for seed in range(40):
        prediction = english(seed + 50, 15)
        theirs = scorer.score_multi(targets, prediction)["rougeL"]
        expected = (theirs.precision, theirs.recall, theirs.fmeasure)
        assert rouge(prediction, targets, "rougeL", LATIN) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_identity_is_1_and_unrelated_is_0(kind):
    assert rouge(PLAIN, [PLAIN], kind) == Overlap(1.0, 1.0, 1.0)
    assert rouge(UNRELATED, [PLAIN], kind) == Overlap(0.0, 0.0, 0.0)


VARIANTS = {
    "vocalised": VOCALISED,
    "tatweel": PLAIN.replace("ل", "ل\N{ARABIC TATWEEL}\N{ARABIC TATWEEL}"),
    "alef without hamza": PLAIN.replace("إ", "ا"),
    "presentation form": PLAIN.replace("لا", "\N{ARABIC LIGATURE LAM WITH ALEF ISOLATED FORM}").replace(
        "ذهب", "\N{ARABIC LETTER THAL ISOLATED FORM}\N{ARABIC LETTER HEH MEDIAL FORM}\N{ARABIC LETTER BEH FINAL FORM}"
    ),
    "bidi marks": f"\N{RIGHT-TO-LEFT MARK}{PLAIN}\N{LEFT-TO-RIGHT MARK}",
    "punctuation": PLAIN.replace(" ", "، ") + "؟!",
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_variant_of_writing_is_the_same_text(variant):
    assert variant != PLAIN
    assert rouge(variant, [PLAIN]).f == 1.0


def test_digit_shapes_are_the_same_number():
    assert rouge("عام ١٩٥٢", ["عام 1952"]).f == 1.0
    assert rouge("عام ۱۹۵۲", ["عام 1952"]).f == 1.0


def test_texts_that_share_only_a_number_score_little():
    first = f"{PLAIN} عام 1952"
    second = f"{UNRELATED} 1952"
    assert 0.0 < rouge(first, [second]).f < 0.15


def test_the_strict_profile_sees_vowel_marks_and_the_loose_one_folds_ta_marbuta():
    assert rouge(VOCALISED, [PLAIN], profile=STRICT).f < 0.2
    assert rouge("مدرسه", ["مدرسة"]).f == 0.0
    assert rouge("مدرسه", ["مدرسة"], profile=LOOSE).f == 1.0


def test_precision_is_of_the_reply_and_recall_of_the_reference():
    found = rouge("ذهب الولد", ["ذهب الولد إلى المدرسة"])
    assert found == pytest.approx((1.0, 0.5, 2 / 3))


def test_order_counts_for_rouge_l_and_not_for_rouge_1():
    assert rouge("ب أ", ["أ ب"], "rougeL").f == 0.5
    assert rouge("ب أ", ["أ ب"], "rouge1").f == 1.0


def test_the_best_of_several_references_counts():
    assert rouge(PLAIN, [UNRELATED, PLAIN]).f == 1.0


@pytest.mark.parametrize("reply", ["", "  ", "؟!", "\N{ARABIC TATWEEL}"])
@pytest.mark.parametrize("reference", ["", "...", PLAIN])
def test_a_reply_without_words_scores_0_even_against_an_empty_reference(reply, reference):
    assert rouge(reply, [reference]) == Overlap(0.0, 0.0, 0.0)


def test_rouge_2_of_one_word_is_0():
    assert rouge("نعم", ["نعم"], "rouge2").f == 0.0


def test_an_item_without_a_reference_is_refused():
    with pytest.raises(MashqError, match="rougeL: item 1: expected a list of at least one reference, got none"):
        rouge_items(["a", "b"], [["a"], []])
    with pytest.raises(MashqError, match="rougeL: item 0: expected a list of at least one reference, got a string"):
        rouge_items(["a"], ["a"])
    with pytest.raises(MashqError, match="rougeL: references: expected 2, one list per reply, got 1"):
        rouge_items(["a", "b"], [["a"]])


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(MashqError, match=r"expected rouge1 or rouge2 or rougeL, got 'rougel'. Did you mean 'rougeL'\?"):
        rouge_items(["a"], [["a"]], "rougel")


def test_no_items_give_no_values():
    assert rouge_items([], []) == []


def longest_common(a, b):
    """The textbook table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=90), st.lists(st.integers(0, 6), min_size=1, max_size=90))
def test_rouge_l_is_the_longest_common_subsequence(a, b):
    shared = longest_common(a, b)
    assert overlap(a, b).precision == pytest.approx(shared / len(a))
    assert overlap(a, b).recall == pytest.approx(shared / len(b))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ابتكإأةى ًٌَُِّْـ٣5.،ab\n", max_size=40), st.text(alphabet="ابتكإأةى ًَّـ٣5.،ab\n", max_size=40))
def test_f_is_symmetric_and_between_0_and_1(a, b):
    for kind in ("rouge1", "rouge2", "rougeL"):
        one, other = rouge(a, [b], kind), rouge(b, [a], kind)
        assert one.f == pytest.approx(other.f)
        assert (one.precision, one.recall) == pytest.approx((other.recall, other.precision))
        assert 0 <= one.f <= 1


def test_a_batch_equals_its_items():
    replies, references = [PLAIN, UNRELATED, ""], [[VOCALISED], [PLAIN, UNRELATED], [PLAIN]]
    single = [rouge(reply, texts) for reply, texts in zip(replies, references, strict=True)]
    assert rouge_items(replies, references) == single


def test_words_are_equal_exactly_where_their_numbers_are():
    assert encode(["ذَهَبَ الولد", "ولد ذهب"]) == [[0, 1], [2, 0]]


def test_signature_names_words_forms_and_case():
    assert metric("rougeL").signature.startswith("rougeL|f|refs:best|tok:uax29-ar1|norm:nfc-")
    assert "-tatweel-tashkeel-" in metric("rougeL").signature
    assert metric("rougeL", STRICT).signature != metric("rougeL").signature
