"""Presidio's recognisers in ours, and ours in Presidio's engine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mashq.privacy import Deidentifier


def test_presidio_is_not_imported_by_default():
    code = "import sys; from mashq.privacy import Deidentifier; Deidentifier().find('أحمد 0551234567'); "
    code += "print([m for m in ('presidio_analyzer', 'spacy', 'tldextract') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_presidio_pattern_recogniser_is_taken_with_its_context_words():
    presidio = pytest.importorskip("presidio_analyzer")
    badge = presidio.PatternRecognizer(
        "EMPLOYEE",
        patterns=[presidio.Pattern("badge", r"\bE-\d{4}\b", 0.3)],
        context=["بطاقتي"],
        supported_language="ar",
    )
    find = Deidentifier(recognisers=(badge,))
    assert find.replace("بطاقتي E-4411 ضاعت").text == "بطاقتي [employee 1] ضاعت"
    assert find.find("الصنف E-4411") == []


def test_our_recognisers_run_in_presidios_engine():
    pytest.importorskip("presidio_analyzer")
    from mashq.privacy.presidio import analyzer

    text = "أنا مُحَمَّد وجوالي ٠٥٥١٢٣٤٥٦٧"
    found = {(one.entity_type, text[one.start : one.end]) for one in analyzer().analyze(text, "ar")}
    assert found == {("PERSON", "مُحَمَّد"), ("PHONE_NUMBER", "٠٥٥١٢٣٤٥٦٧")}
