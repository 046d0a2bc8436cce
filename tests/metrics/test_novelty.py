"""What was copied from the training text and the context."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics.novelty import AGAINST, Copied, TrainingIndex, longest_copied, novel_counts, novelty
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


def test_novelty_counts_every_n_gram_that_stands_nowhere_before():
    index = TrainingIndex.of(["ا ب ج د"])
    novel, total = novel_counts(["ا ب د ج ب د", "س"], ["د ج", ""], index, [1, 2, 3, 7])
    assert total.tolist() == [[6, 5, 4, 0], [1, 0, 0, 0]]
    assert novel["training"].tolist() == [[0, 4, 4, 0], [1, 0, 0, 0]]
    assert novel["context"].tolist() == [[2, 3, 4, 0], [1, 0, 0, 0]]  # "د ج" is the prompt's, the second "ب د" its own
    assert novel["training+context"].tolist() == [[0, 2, 4, 0], [1, 0, 0, 0]]


def by_hand(words: list[str], before: list[str], training: list[list[str]], n: int) -> dict[str, int]:
    """Novel n-grams as the authors' code has them: a string sought in the context, which ends before its last word."""

    def holds(text, gram):
        return f" {' '.join(gram)} " in f" {' '.join(text)} "

    count = dict.fromkeys(AGAINST, 0)
    for start in range(len(words) - n + 1):
        gram = words[start : start + n]
        taught = any(holds(text, gram) for text in training)
        said = holds(before + words[: start + n - 1], gram)
        for against, known in zip(AGAINST, (taught or said, taught, said), strict=True):
            count[against] += not known
    return count


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("ابج"), max_size=12), min_size=1, max_size=4),
    st.lists(st.tuples(*[st.lists(st.sampled_from("ابجد"), max_size=14)] * 2), min_size=1, max_size=4),
)
def test_novel_counts_equal_a_plain_search(training, said):
    training = [*training, ["ا"]]
    orders = [1, 2, 3, 5, 9]
    prompts, replies = ([" ".join(words) for words in side] for side in zip(*said, strict=True))
    novel, total = novel_counts(replies, prompts, TrainingIndex.of([" ".join(words) for words in training]), orders)
    for item, (before, words) in enumerate(said):
        for column, n in enumerate(orders):
            assert total[item, column] == max(0, len(words) - n + 1)
            expected = by_hand(words, before, training, n)
            assert {against: novel[against][item, column] for against in AGAINST} == expected


def test_a_looping_reply_is_not_novel():
    loop = "رأى القط الأزرق القمر " * 30
    curve = novelty([loop, loop], ["", ""], TrainingIndex.of(["ذهب الولد إلى المدرسة"]))
    assert {n: score.value for n, score in curve["training"].items()} == dict.fromkeys(range(1, 11), 1.0)
    assert {n: score.value for n, score in curve["training+context"].items()} == pytest.approx(
        {n: 4 / (121 - n) for n in range(1, 11)}
    )
    assert curve["context"][4].value == curve["training+context"][4].value


def test_what_the_prompt_has_is_not_novel_and_stays_in_its_conversation():
    index = TrainingIndex.of(["كتب"])
    reply = "البحر أزرق عميق"
    assert novelty([reply], ["هل البحر أزرق عميق؟"], index, [1, 2, 3])["training+context"][3].value == 0
    novel, _ = novel_counts([reply, reply], ["", "هل البحر أزرق عميق؟"], index, [1])
    assert novel["training+context"].tolist() == [[3], [0]]
    novel, _ = novel_counts(["ثلج كثير", "ثلج كثير"], ["", ""], index, [1])  # another reply is no context
    assert novel["training+context"].tolist() == [[2], [2]]


def test_batches_change_nothing(monkeypatch):
    generator = np.random.default_rng(1)
    texts = [" ".join(f"ك{word}" for word in generator.integers(0, 9, size=size)) for size in range(24)]
    index, prompts = TrainingIndex.of(texts[:8]), texts[::-1]
    whole = novel_counts(texts, prompts, index)
    monkeypatch.setattr("mashq.metrics.novelty._BATCH", 5)
    parts = novel_counts(texts, prompts, index)
    assert all((whole[0][against] == parts[0][against]).all() for against in AGAINST)
    assert (whole[1] == parts[1]).all()


def test_empty_and_short_replies():
    index = TrainingIndex.of(TRAINING)
    novel, total = novel_counts(["", "؟!", "جديد"], ["سؤال", "", ""], index, [1, 2])
    assert (total.tolist(), novel["training+context"].tolist()) == ([[0, 0], [0, 0], [1, 0]], [[0, 0], [0, 0], [1, 0]])
    assert novelty(["", "؟!"], ["سؤال", ""], index) == {against: {} for against in AGAINST}
    assert list(novelty(["", "كلام جديد"], ["", ""], index)["training+context"]) == [1, 2]


def test_a_copy_has_no_novelty_and_unknown_words_are_all_novel():
    index, nothing = TrainingIndex.of(TRAINING), ["", ""]
    curve = novelty(TRAINING, nothing, index)["training"]
    assert {n: score.value for n, score in curve.items()} == dict.fromkeys(range(1, 7), 0.0)
    strange = novelty(["كتب شعرا", "قرأ قصة"], nothing, index)
    for against in AGAINST:
        assert {n: score.value for n, score in strange[against].items()} == {1: 1.0, 2: 1.0}
        assert strange[against][1].signature.startswith(f"novelty1|mccoy2023|against:{against}|tok:uax29-ar1|norm:nfc-")
    assert [strange["training+context"][n].n for n in (1, 2)] == [2, 2]


def test_novelty_rises_with_n():
    generator = np.random.default_rng(0)
    texts = [" ".join(f"ك{word}" for word in generator.zipf(1.5, size=200) % 500) for _ in range(60)]
    curve = novelty(texts[:10], [""] * 10, TrainingIndex.of(texts[10:]))["training"]
    values = [curve[n].value for n in range(1, 11)]
    assert values == sorted(values)
    assert values[0] < 0.1 < 0.9 < values[9]


def test_no_training_text_and_no_reply_are_errors():
    with pytest.raises(MashqError, match="novelty: training texts: expected at least one word, got 2 texts"):
        TrainingIndex.of(["", "!"])
    with pytest.raises(MashqError, match="novelty: expected at least one reply, got none"):
        novelty([], [], TrainingIndex.of(TRAINING))
    with pytest.raises(MashqError, match="novelty: prompts: expected 2, one per reply, got 1"):
        novelty(["كلام", "كلام"], [""], TrainingIndex.of(TRAINING))
    assert longest_copied([], TrainingIndex.of(TRAINING)) == []


def test_repeated_and_long_texts_do_not_slow_the_index():
    text = " ".join(f"ك{index % 7}" for index in range(2000))
    started = time.process_time()
    index = TrainingIndex.of([text] * 60)  # 120,000 words, a thousand equal suffixes each
    assert longest_copied([text], index)[0].words == 2000
    novel, _ = novel_counts([text] * 60, [text] * 60, index)
    assert not novel["context"].any()
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
        novelty(["ذهب الولد"], [""], index, [order])


def test_copied_words_alone_leave_open_how_many_are_new():
    index = TrainingIndex.of(["ذهب الولد إلى المدرسة"])
    score = novelty(["ذهب الولد", "إلى المدرسة"], ["", ""], index, [1])["training"][1]
    assert (score.value, score.low, score.interval_by) == (0.0, 0.0, "unseen-share")
    assert score.high == pytest.approx(1 - 0.025**0.5)
