"""chrF++ and BLEU are sacrebleu's, per item, in a stated normal form."""

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from mashq.metrics.chrf import bleu_items, bleu_metric, chrf_items, metric
from mashq.metrics.profile import ARABIC, STRICT
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


@pytest.mark.parametrize("mark", [0x200F, 0xFEFF, 0xAD, 0x2063, 0xE0041, 0xFE0F, 0x34F])
@pytest.mark.parametrize("profile", [ARABIC, STRICT])
def test_a_text_of_invisible_marks_alone_scores_0(mark, profile):
    assert chrf_items([chr(mark)], [[chr(mark)]], profile) == [0.0]


def test_a_mark_that_is_seen_counts_though_unicode_calls_it_a_format_mark():
    assert chrf_items(["\N{ARABIC END OF AYAH}"], [["\N{ARABIC END OF AYAH}"]]) == [100.0]


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


def test_bleu_of_plain_text_equals_sacrebleu():
    reply, references = "the cat sat on the mat", ["the cat sat on a mat", "a dog stood there"]
    expected = BLEU(effective_order=True).sentence_score(reply, references).score
    assert bleu_items([reply], [references]) == [pytest.approx(expected, abs=1e-12)]
    assert 30 < expected < 100


def test_bleu_counts_words_that_a_reader_takes_for_equal():
    plain, vocalised = "ذهب الولد إلى المدرسة في الصباح.", "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ فِي الصَّبَاحِ"
    assert bleu_items([vocalised], [[plain]]) == [pytest.approx(100)]
    assert bleu_items([vocalised], [[plain]], STRICT)[0] < 5
    assert bleu_items(["سافر جارنا"], [[plain]])[0] == 0


@pytest.mark.parametrize(("reply", "reference"), [("", ""), ("؟!", "نعم"), ("نعم", "،")])
def test_bleu_of_a_text_without_words_is_0(reply, reference):
    assert bleu_items([reply], [[reference]]) == [0.0]


def test_the_signature_of_bleu_names_sacrebleus_settings_and_our_words():
    scorer = BLEU(tokenize="none", effective_order=True)
    scorer.corpus_score(["a"], [["a"]])
    theirs = str(scorer.get_signature())
    assert all(part in theirs and f"|{part}|" in bleu_metric().signature for part in ("eff:yes", "smooth:exp"))
    assert "|tok:uax29-ar1|norm:nfc-" in bleu_metric().signature


def test_bleu_refuses_an_item_without_a_reference():
    with pytest.raises(MashqError, match="BLEU: item 0: expected a list of at least one reference"):
        bleu_items(["نعم"], [[]])
