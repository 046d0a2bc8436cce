"""The benchmark compares like with like before it times anything."""

import importlib.util
from pathlib import Path

import pytest

from mashq.metrics.profile import ARABIC

pytest.importorskip("rouge_score")
PATH = Path(__file__).parents[2] / "benchmarks" / "rouge.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("rouge_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "rouge_benchmark", module)
        spec.loader.exec_module(module)
        yield module


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
