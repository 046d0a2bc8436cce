"""The word lists: each word once, folded apart, enough of them."""

from __future__ import annotations

import pytest

from mashq.privacy.lexicon import FILES, Weight, data, data_hash, is_word, latin_names, names, skeleton, wordset
from mashq.privacy.page import Page, fold_word
from mashq.rows import MashqError


def test_no_word_has_two_weights_in_one_list():
    for part in ("men", "women", "family"):
        lists = [{fold_word(word) for word in words.split()} for words in data("names")[part].values()]
        assert sum(map(len, lists)) == len(set().union(*lists)), part


def test_the_gazetteer_is_as_large_as_said():
    whole = [entry for entry in names().values() if not entry.clitic]
    assert sum(not entry.family for entry in whole) > 2500
    assert len({fold_word(word) for words in data("names")["family"].values() for word in words.split()}) > 2500
    assert len(latin_names()) > 900


def test_a_frequent_word_never_counts_alone():
    for word in ("على", "عمر", "كريم", "صباح", "شفاء", "دعاء", "أسماء", "سليم"):
        assert names()[fold_word(word)].weight <= Weight.WEAK, word


def test_both_scripts_share_their_consonants():
    pairs = {"محمد": "Mohammed", "فاطمة": "Fatimah", "يوسف": "Yousef", "جمال": "Gamal", "خديجة": "Khadija"}
    assert {arabic: skeleton(fold_word(arabic)) for arabic in pairs} == {
        a: skeleton(latin) for a, latin in pairs.items()
    }


def test_an_absent_list_is_an_error_that_names_the_lists():
    with pytest.raises(MashqError, match=r"expected titles, .*kunya.*, got 'nothing'"):
        wordset("words", "nothing")


def test_every_file_is_part_of_the_identity():
    assert {"names", "latin", "words", "vocabulary", "places", "numbers", "placeholders"} == set(FILES)
    assert len(data_hash()) == 16


def test_a_page_leads_back_to_the_original():
    page = Page("قُلْتُ: ٱلرَّقْمُ ٠٥٥ ﻻ")
    assert page.flat == "قلت: الرقم 055 لا"
    assert page.original(0, 3) == "قُلْتُ"
    assert page.original(5, 10) == "ٱلرَّقْمُ"
    assert page.original(11, 14) == "٠٥٥"
    assert page.original(15, 17) == "ﻻ"


def test_a_plain_word_is_known_with_its_particles_and_pronouns():
    assert is_word("وبالمستشفي")
    assert is_word("صداعها")
    assert not is_word("شنكول")
    assert not is_word("")


def test_no_sure_name_is_a_plain_word_with_a_particle():
    assert "برشا" not in names()
    assert "لكنه" not in names()
