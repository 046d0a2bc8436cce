import pytest

from mashq.word_patterns import fold, folded_lower, word_pattern


@pytest.mark.parametrize("text", ["والقهوة", "بالقَهوة", "للقهوه", "كقهوة", "القهــوة", "قهوة"])
def test_a_word_is_found_with_marks_and_attached_letters(text):
    assert word_pattern(["قهوه"]).fullmatch(fold(text))


@pytest.mark.parametrize("text", ["قهوتي", "سقهوة", "قهوةٌ_"])
def test_a_word_without_a_star_has_no_other_ending_or_beginning(text):
    assert not word_pattern(["قهوه"]).search(fold(text))


def test_a_star_stands_for_any_ending():
    assert word_pattern(["مصري*"]).search(fold("أكلة مصريّة"))


def test_without_prefixes_only_and_may_stand_before():
    pattern = word_pattern(["ديال"], prefixes=False)
    assert pattern.search("وديال") and not pattern.search("بديال")


def test_no_word_is_found_nowhere():
    assert not word_pattern([]).search("كلام")


def test_folding_joins_spellings_and_lower_case_joins_letters():
    assert fold("إلى  أحمد\nAI") == "الي احمد AI"
    assert folded_lower("AI") == "ai"
