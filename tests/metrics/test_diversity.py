import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics import diversity
from mashq.metrics.profile import ARABIC
from mashq.rows import MashqError

WORDS = ("ولد", "بنت", "قطة", "بيت", "شجرة", "ذهب", "عاد", "في", "إلى", "من")
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=4, max_size=14).map(" ".join), min_size=2, max_size=7)
STORIES = [
    "كان يا ما كان، كان في القرية ولد يحب البحر.",
    "كان يا ما كان، كانت في المدينة بنت تحب البحر.",
    "ذهب الصياد إلى النهر وعاد ومعه سمكة كبيرة.",
    "ذهب الصياد إلى البحر وعاد ومعه سمكة صغيرة جدًا، ثم نام.",
]


def runs(text: str, n: int) -> list[tuple[str, ...]]:
    words = ARABIC.words([text])[0]
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def plain_bleu(text: str, others: list[str]) -> float:
    """Sentence BLEU as the papers say it, n-gram by n-gram."""
    length = len(runs(text, 1))
    log = 0.0
    for n in range(1, 5):
        mine = Counter(runs(text, n))
        theirs = [Counter(runs(other, n)) for other in others]
        matches = sum(min(count, max(other[run] for other in theirs)) for run, count in mine.items())
        log += math.log((matches or 0.1) / sum(mine.values())) / 4
    lengths = [len(runs(other, 1)) for other in others]
    nearest = min(lengths, key=lambda other: (abs(other - length), other))
    return math.exp(log) * (1.0 if length >= nearest else math.exp(1 - nearest / length))


def plain_self_bleu(texts: list[str]) -> float:
    return float(np.mean([plain_bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]))


# --- distinct-n and entropy ------------------------------------------------------------------------------------------


def test_distinct_is_one_for_no_repetition_and_half_for_everything_twice():
    assert diversity.distinct(["ولد وبنت", "قطة وكلب"], 2) == 1.0
    assert diversity.distinct(["ولد وبنت", "ولد وبنت"], 1) == 0.5


def test_vowel_marks_and_alef_forms_do_not_make_words_different():
    assert diversity.distinct(["كَتَبَ إلى", "كتب الى"], 1) == 0.5


def test_runs_do_not_cross_from_one_text_into_the_next():
    with pytest.raises(MashqError, match="distinct-2 of 2 texts without a run of 2 words has no value"):
        diversity.distinct(["ولد", "بنت"], 2)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_distinct_and_entropy_are_those_of_counted_runs(texts, n):
    counts = Counter(run for text in texts for run in runs(text, n))
    total = sum(counts.values())
    assert diversity.distinct(texts, n) == len(counts) / total
    entropy = -sum(count / total * math.log2(count / total) for count in counts.values())
    assert diversity.ngram_entropy(texts, n) == pytest.approx(entropy, abs=1e-12)


def test_only_so_many_running_words_are_counted():
    texts = ["ولد بنت ولد", "بنت ولد قطة"]
    assert diversity.distinct(texts, 1, words=3) == 2 / 3
    assert diversity.distinct(texts, 1, words=4) == 2 / 4
    assert diversity.distinct(texts, 2, words=5) == 2 / 3  # ولد بنت, بنت ولد | بنت ولد
    assert diversity.distinct(texts, 1, words=99) == diversity.distinct(texts, 1) == 3 / 6


def test_equal_runs_have_no_entropy_and_four_different_ones_have_two_bits():
    assert diversity.ngram_entropy(["ولد", "ولد"], 1) == 0.0
    assert diversity.ngram_entropy(["ولد بنت قطة بيت"], 1) == 2.0


# --- openings --------------------------------------------------------------------------------------------------------


def test_openings_are_counted_without_punctuation():
    found = diversity.openings(["كان يا ما كان، ولد", "كان، يا ما نام", "في يوم", "…"])
    assert found == [("كان يا ما", 2), ("في يوم", 1)]


def test_effective_openings_are_all_where_equal_and_one_where_the_same():
    assert diversity.effective_openings(STORIES[:2]) == pytest.approx(1.0)
    assert diversity.effective_openings(["ولد", "بنت", "قطة"]) == pytest.approx(3.0)
    with pytest.raises(MashqError, match="effective openings of 1 texts"):
        diversity.effective_openings(["…"])


# --- self-BLEU -------------------------------------------------------------------------------------------------------


def test_the_same_text_twice_has_self_bleu_one_and_foreign_texts_next_to_none():
    assert diversity.self_bleu([STORIES[0]] * 3) == pytest.approx(1.0)
    assert diversity.self_bleu(["ولد بنت قطة بيت شجرة", "ذهب عاد جاء نام قام"]) < 0.05


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_self_bleu_is_that_of_the_plain_way(texts):
    assert diversity.self_bleu(texts) == pytest.approx(plain_self_bleu(texts), abs=1e-12)


def test_self_bleu_is_the_mean_of_sacrebleus_sentence_bleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    words = [" ".join(said) for said in ARABIC.words(STORIES)]
    scores = [
        sacrebleu.sentence_bleu(
            text, words[:i] + words[i + 1 :], smooth_method="floor", smooth_value=0.1, tokenize="none"
        ).score
        for i, text in enumerate(words)
    ]
    assert diversity.self_bleu(STORIES) == pytest.approx(np.mean(scores) / 100, abs=1e-9)


def test_texts_too_short_for_the_order_are_left_out():
    assert diversity.self_bleu([*STORIES, "ولد وبنت"]) == diversity.self_bleu(STORIES)
    with pytest.raises(MashqError, match="self-BLEU: expected at least 2 texts of 4 words or more, got 1 of 2"):
        diversity.self_bleu([STORIES[0], "ولد"])


# --- near-duplicates -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 3))
def test_near_duplicates_are_the_pairs_of_a_plain_search(texts, run):
    sets = [set(runs(text, run)) for text in texts]
    expected = []
    for i, one in enumerate(sets):
        for j in range(i + 1, len(sets)):
            alike = len(one & sets[j]) / len(one | sets[j])
            if alike >= 0.5:
                expected.append((i, j, pytest.approx(alike)))
    assert diversity.near_duplicates(texts, run=run) == expected


def test_short_texts_and_no_texts_are_alike_to_none():
    assert diversity.near_duplicates(["ولد", "ولد"]) == []
    assert diversity.near_duplicates([]) == []


# --- together --------------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_by_seed_and_keeps_the_order():
    texts = [str(i) for i in range(50)]
    drawn = diversity.sample(texts, 10, seed=3)
    assert drawn == diversity.sample(texts, 10, seed=3) != diversity.sample(texts, 10, seed=4)
    assert len(set(drawn)) == 10 and drawn == sorted(drawn, key=int)
    assert diversity.sample(texts, 99) == texts


def test_the_summary_says_what_it_was_taken_of():
    found = diversity.summary([*STORIES, STORIES[0]], bleu_texts=4)
    assert found.texts == 5 and found.self_bleu_texts == 4
    assert found.opening == "كان يا ما" and found.opening_share == 3 / 5
    assert found.near_duplicate_share == 2 / 5
    assert found.distinct1 < found.distinct2 < found.distinct3 <= 1.0
    assert found.rounded()["mean_words"] == round(found.words / 5, 4)


def test_one_text_has_no_diversity():
    with pytest.raises(MashqError, match="diversity: expected at least 2 texts with words, got 1"):
        diversity.summary(["ولد وبنت", "…"])
