"""The benchmark compares like with like before it times anything."""

import pytest
from bench import bench as load

from mashq.metrics.profile import ARABIC

pytest.importorskip("rouge_score")


@pytest.fixture(scope="module")
def bench():
    return load("rouge")


def test_both_sides_get_the_same_words_and_the_same_scores(bench):
    replies, references = bench.pairs(60, 20, seed=3)
    assert [bench.OurWords().tokenize(text) for text in replies] == ARABIC.words(replies)
    assert bench.largest_difference(replies, references) <= 1e-12


def test_texts_are_seeded_and_of_the_stated_length(bench):
    assert bench.pairs(20, 5, seed=1) == bench.pairs(20, 5, seed=1)
    assert [len(words) for words in ARABIC.words(bench.pairs(20, 5, seed=1)[0])] == [20] * 5


def test_the_validity_table_holds_for_ours(bench):
    rows = [line.strip("| ").split(" | ") for line in bench.validity()]
    assert all(float(ours) == float(must) for _, must, _, ours in rows if must != "small")
    assert {name: float(ours) < 0.2 for name, must, _, ours in rows if must == "small"} == {
        "only the digits shared": True
    }
