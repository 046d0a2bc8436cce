"""The benchmark compares like with like before it times anything, and a package that is missing stops no other."""

import sys

import pytest
from bench import bench as load

from mashq.metrics.profile import ARABIC
from mashq.metrics.rouge import rouge
from mashq.rows import MashqError


@pytest.fixture(scope="module")
def texts():
    return load("rouge_texts")


@pytest.fixture(scope="module")
def bench():
    return load("metrics")


def test_both_sides_get_the_same_words(texts):
    replies, _ = texts.pairs(60, 20, seed=3)
    words = load("metrics_peer").OurWords()
    assert [words.tokenize(text) for text in replies] == ARABIC.words(replies)


def test_texts_are_seeded_and_of_the_stated_length(texts):
    assert texts.pairs(20, 5, seed=1) == texts.pairs(20, 5, seed=1)
    assert [len(words) for words in ARABIC.words(texts.pairs(20, 5, seed=1)[0])] == [20] * 5


def test_the_validity_table_holds_for_ours(texts):
    for case in texts.cases():
        assert case.holds(rouge(case.reply, [case.reference]).f), case.name


def test_a_wrong_score_and_one_that_is_missing_are_told_apart(texts, bench):
    case = texts.cases()[0]
    assert (case.must, bench.cell(case, 1.0), bench.cell(case, 0.0)) == ("1", "1.000", "**0.000**")
    assert bench.cell(case, float("nan")) == "**stops**"
    small = texts.Case("digits", "", "", "small")
    assert (small.holds(0.13), small.holds(0.0), small.holds(1.0)) == (True, False, False)


def test_contenders_take_turns_in_processes_of_their_own(bench, texts, monkeypatch):
    monkeypatch.setattr(bench, "LOOPS", {})
    replies, references = texts.pairs(20, 3, seed=1)
    job = {"replies": replies, "references": references}
    found = bench.contest(sys.executable, ["mashq, kernel", "mashq"], job, repeats=2, equal=1e-12)
    assert found["mashq, kernel"].found == found["mashq"].found
    assert [len(one.seconds) for one in found.values()] == [2, 2]
    assert found["mashq"].peak >= found["mashq"].before > 0


def test_a_package_that_is_missing_is_told_and_one_that_disagrees_stops_everything(bench, tmp_path, monkeypatch):
    job = {"replies": ["ذهب الولد"], "references": ["ذهب الولد اليوم"]}
    monkeypatch.setattr(bench, "PEER", tmp_path / "peer.py")
    script = "import json, sys\nname = sys.argv[1]\nsaid = {'gone': {'refused': 'ModuleNotFoundError: gone'}}\n"
    script += "other = {'ready': '1', 'found': [[1.0, 1.0, 0.5 if name == 'wrong' else 1.0]], 'before': 1, 'peak': 2}\n"
    (tmp_path / "peer.py").write_text(script + "print(json.dumps(said.get(name, other)))\n", "utf-8")
    assert bench.contest(sys.executable, ["gone", "mashq"], job, 0, 1e-12)["gone"].refused.startswith("ModuleNotFound")
    with pytest.raises(MashqError, match=r"wrong against mashq: expected a difference of at most 1e-12, got 5\.0e-01"):
        bench.contest(sys.executable, ["wrong", "mashq"], job, 0, 1e-12)
    with pytest.raises(MashqError, match="gone: expected scores, got ModuleNotFoundError"):
        bench.contest(sys.executable, ["mashq", "gone"], job, 0, 1e-12)
