"""The benchmark's arithmetic, and that it keeps people's texts out of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def deidentify(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "deidentify", raising=False)
    import deidentify

    return deidentify


def test_wilsons_interval_of_eight_in_ten(deidentify):
    assert deidentify.wilson(8, 10) == "0.800 [0.490, 0.943]"
    assert deidentify.wilson(0, 0) == "–"


def test_exact_and_overlapping_spans_are_counted_apart(deidentify):
    rows = [deidentify.Row("0123456789", frozenset([("name", 0, 4)]), "")]

    def finder(text):
        return [("name", 0, 5), ("phone", 6, 8)]

    assert deidentify.tally(rows, finder, False)["name"] == deidentify.Tally(0, 1, 0, 1)
    assert deidentify.tally(rows, finder, True)["name"] == deidentify.Tally(1, 1, 1, 1)
    assert deidentify.tally(rows, finder, True)["any kind"] == deidentify.Tally(1, 2, 1, 1)


def test_half_of_the_review_was_let_through(deidentify):
    texts = ["كلمني أحمد", "هذا شيء جميل", "يا كريم", "كلمني خالد"]
    rows = deidentify.review(texts, 4, 0)
    assert [row["decision"] for row in rows] == ["found", "found", "let through", "let through"]
    assert rows == deidentify.review(texts, 4, 0)


def test_the_review_refuses_a_place_in_the_repository(deidentify):
    with pytest.raises(SystemExit, match="inside the repository"):
        deidentify.write_review([], BENCHMARKS / "review.tsv")


def test_a_hard_negative_counts_only_what_touches_no_span(deidentify):
    rows = [
        deidentify.Row("0123456789", frozenset([("name", 0, 4)]), negatives=("word", "word", "price")),
        deidentify.Row("0123456789", frozenset(), negatives=("word",)),
    ]
    assert deidentify.false_alarms(rows, lambda text: [("name", 0, 5)]) == {"word": 1}
    assert deidentify.false_alarms(rows, lambda text: [("name", 5, 7)]) == {"word": 2, "price": 1}


def test_public_persons_are_counted_apart(deidentify):
    row = deidentify.Row(
        "قال سعيد مراد لليلى", frozenset([("name", 4, 13), ("name", 15, 19)]), "public figure: سعيد مراد"
    )
    assert deidentify.public_figures([row], lambda text: [("name", 4, 8)]) == (1, 1)
    assert deidentify.public_figures([row], lambda text: [("name", 15, 19)]) == (0, 1)


def test_another_file_is_read_whole(deidentify, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"part": "dev", "text": "a\\u2028b", "spans": []}\n\n{"part": "test", "text": "c", "spans": []}\n', "utf-8"
    )
    assert [row.text for row in deidentify.labelled("dev", file)] == ["a\N{LINE SEPARATOR}b", "c"]
