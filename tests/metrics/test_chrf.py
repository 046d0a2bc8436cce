"""chrF++ is sacrebleu's, per item, in a stated normal form."""

import pytest
from sacrebleu.metrics.chrf import CHRF

from mashq.metrics.chrf import chrf_items, metric
from mashq.metrics.profile import STRICT
from mashq.rows import MashqError


def test_plain_text_equals_sacrebleu():
    reply, references = "the cat sat on the mat", ["the cat sat on a mat", "a dog stood there"]
    expected = CHRF(word_order=2).sentence_score(reply, references).score
    assert chrf_items([reply], [references]) == [expected]
    assert 50 < expected < 100


def test_identity_is_100_and_other_script_0():
    assert chrf_items(["ذهب الولد", "abc"], [["ذهب الولد"], ["ذهب الولد"]]) == [100.0, 0.0]


def test_vocalised_equals_plain_in_the_arabic_profile_only():
    assert chrf_items(["ذَهَبَ الوَلَدُ"], [["ذهب الولد"]]) == [100.0]
    assert chrf_items(["ذَهَبَ الوَلَدُ"], [["ذهب الولد"]], STRICT)[0] < 50


@pytest.mark.parametrize(("reply", "reference"), [("", ""), (" ", "نعم"), ("نعم", " ")])
def test_an_empty_text_scores_0(reply, reference):
    assert chrf_items([reply], [[reference]]) == [0.0]


def test_an_empty_reference_beside_a_full_one_does_not_matter():
    assert chrf_items(["نعم"], [["", "نعم"]]) == [100.0]


def test_signature_says_that_it_is_per_item_and_whose_it_is():
    assert "|level:item|" in metric().signature
    assert "|nc:6|nw:2|" in metric().signature
    assert "|sacrebleu:" in metric().signature
    # The settings named are those sacrebleu says it used.
    scorer = CHRF(word_order=2)
    scorer.corpus_score(["a"], [["a"]])
    theirs = str(scorer.get_signature())
    assert all(part in theirs for part in ("nc:6", "nw:2", "space:no", "eff:yes", "case:mixed"))


def test_an_item_without_a_reference_is_refused():
    with pytest.raises(MashqError, match=r"chrF\+\+: item 0: expected a list of at least one reference"):
        chrf_items(["نعم"], [[]])
