"""Exact match after a stated normal form."""

import pytest

from mashq.metrics.exact import exact_items, metric
from mashq.metrics.score import mean_score
from mashq.rows import MashqError


def test_marks_digits_and_punctuation_do_not_count():
    replies = ["القَاهِرَةُ.", "عام ١٩٥٢", "Cairo", "القاهرة مصر"]
    references = [["القاهرة"], ["عام 1952"], ["cairo"], ["القاهرة"]]
    assert exact_items(replies, references) == [1.0, 1.0, 1.0, 0.0]


def test_any_reference_will_do():
    assert exact_items(["نعم", "لا"], [["لا", "نعم"], ["نعم"]]) == [1.0, 0.0]


@pytest.mark.parametrize(("reply", "reference"), [("", ""), ("!", "؟"), ("", "نعم"), ("نعم", "")])
def test_a_text_without_words_matches_nothing(reply, reference):
    assert exact_items([reply], [[reference]]) == [0.0]


def test_an_item_without_a_reference_is_refused():
    with pytest.raises(MashqError, match="exact: item 0: expected a list of at least one reference"):
        exact_items(["نعم"], [[]])


def test_its_mean_gets_wilsons_interval():
    match = metric()
    values = match.per_item(["نعم"] * 10, [["نعم"]] * 8 + [["لا"]] * 2)
    score = mean_score(values, name=match.name, signature=match.signature)
    assert (score.value, score.low) == (0.8, pytest.approx(0.490162, abs=2e-6))
    assert "|ci:wilson|" in score.signature
