"""What was copied from the training text."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics.novelty import Copied, TrainingIndex, longest_copied, novel_counts, novelty
from mashq.rows import MashqError

TRAINING = ["ذهب الولد إلى المدرسة في الصباح", "عاد الولد إلى البيت في المساء"]


def test_the_longest_span_is_found_with_its_text():
    index = TrainingIndex.of(TRAINING)
    found = longest_copied(["ثم ذَهَبَ الوَلَدُ إلى البيت", "كلام جديد تماما", ""], index)
    assert found == [Copied(3, 5, "ذهب الولد الى"), Copied(0, 3, ""), Copied(0, 0, "")]


def test_a_training_text_is_copied_whole_and_spans_do_not_cross_texts():
    index = TrainingIndex.of(TRAINING)
    assert [found.words for found in longest_copied([*TRAINING, " ".join(TRAINING)], index)] == [6, 6, 6]
    assert longest_copied(["الصباح عاد"], index)[0].words == 1


def test_a_match_does_not_run_into_the_next_reply():
    index = TrainingIndex.of(TRAINING)
    assert [lengths.tolist() for lengths in index.copied_lengths(["ذهب الولد", "إلى المدرسة"])] == [[2, 1], [2, 1]]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("ابج"), max_size=14), min_size=1, max_size=4),
    st.lists(st.lists(st.sampled_from("ابجد"), max_size=10), min_size=1, max_size=3),
)
def test_lengths_equal_a_plain_search(training, replies):
    if not any(training):
        training = [*training, ["ا"]]
    index = TrainingIndex.of([" ".join(words) for words in training])
    spans = {tuple(text[i:j]) for text in training for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    for words, lengths in zip(replies, index.copied_lengths([" ".join(words) for words in replies]), strict=True):
        expected = []
        for start in range(len(words)):
            there = [end - start for end in range(start + 1, len(words) + 1) if tuple(words[start:end]) in spans]
            expected.append(max(there, default=0))
        assert lengths.tolist() == expected


def test_novelty_counts_every_n_gram_that_training_does_not_have():
    index = TrainingIndex.of(["ا ب ج د"])
    novel, total = novel_counts(["ا ب د ج", "س"], index, [1, 2, 3, 4, 5])
    assert total.tolist() == [[4, 3, 2, 1, 0], [1, 0, 0, 0, 0]]
    assert novel.tolist() == [[0, 2, 2, 1, 0], [1, 0, 0, 0, 0]]


def test_a_copy_has_no_novelty_and_unknown_words_are_all_novel():
    index = TrainingIndex.of(TRAINING)
    assert {n: score.value for n, score in novelty(TRAINING, index).items()} == dict.fromkeys(range(1, 7), 0.0)
    strange = novelty(["كتب شعرا", "قرأ قصة"], index)
    assert {n: score.value for n, score in strange.items()} == {1: 1.0, 2: 1.0}
    assert strange[1].signature.startswith("novelty1|mccoy2023|tok:uax29|norm:nfc-")
    assert (strange[1].n, strange[2].n) == (2, 2)


def test_novelty_rises_with_n():
    generator = np.random.default_rng(0)
    texts = [" ".join(f"ك{word}" for word in generator.zipf(1.5, size=200) % 500) for _ in range(60)]
    curve = novelty(texts[:10], TrainingIndex.of(texts[10:]))
    values = [curve[n].value for n in range(1, 11)]
    assert values == sorted(values)
    assert values[0] < 0.1 < 0.9 < values[9]


def test_no_training_text_and_no_reply_are_errors():
    with pytest.raises(MashqError, match="novelty: training texts: expected at least one word, got 2 texts"):
        TrainingIndex.of(["", "!"])
    with pytest.raises(MashqError, match="novelty: expected at least one reply, got none"):
        novelty([], TrainingIndex.of(TRAINING))
    assert longest_copied([], TrainingIndex.of(TRAINING)) == []


def test_repeated_and_long_texts_do_not_slow_the_index():
    text = " ".join(f"ك{index % 7}" for index in range(2000))
    started = time.process_time()
    index = TrainingIndex.of([text] * 60)  # 120,000 words, a thousand equal suffixes each
    assert longest_copied([text], index)[0].words == 2000
    assert time.process_time() - started < 10


def test_real_stories_copy_from_themselves_and_hardly_from_others(data):
    import pyarrow.csv

    stories = [
        str(value)
        for column in pyarrow.csv.read_csv(
            data / "arastories_msa.csv", parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
        ).columns
        for value in column.to_pylist()
        if value is not None and len(str(value)) > 600
    ]
    index = TrainingIndex.of(stories[50:])
    copies = longest_copied(stories[50:60], index)
    assert all(found.words == found.of for found in copies)
    assert np.median([found.words / found.of for found in longest_copied(stories[:50], index)]) < 0.2


@pytest.mark.parametrize("order", [0, -1, 1.5])
def test_an_n_that_is_no_number_of_words_is_refused(order):
    index = TrainingIndex.of(["ذهب الولد"])
    with pytest.raises(MashqError, match=f"novelty: orders: expected whole numbers from 1, got {order}"):
        novelty(["ذهب الولد"], index, [order])


def test_copied_words_alone_leave_open_how_many_are_new():
    index = TrainingIndex.of(["ذهب الولد إلى المدرسة"])
    score = novelty(["ذهب الولد", "إلى المدرسة"], index, [1])[1]
    assert (score.value, score.low, score.interval_by) == (0.0, 0.0, "unseen-share")
    assert score.high == pytest.approx(1 - 0.025**0.5)
