"""Every kind of fault, and true translations that have none."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from mashq.mt.faults import fault

SOURCE = "The council decided to rebuild the old market after the fire."
TRUE = "قرر المجلس إعادة بناء السوق القديم بعد الحريق."

ELSE = (
    "وقال رئيسه للصحفيين إن العمل سيبدأ في الربيع المقبل وإن التجار سينتقلون حتى ذلك الحين إلى ساحة قريبة من محطة"
    " القطار في وسط المدينة."
)


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        (SOURCE, TRUE),
        (SOURCE, "قَرَّرَ المَجْلِسُ إِعَادَةَ بِنَاءِ السُّوقِ القَدِيمِ بَعْدَ الحَرِيقِ."),
        ("Yes.", "نعم."),
        ("Premise:", "المقدمة:"),
        ("IBM", "IBM"),
        ("B2", "B2"),
        ("He works at IBM in New York.", "يعمل في IBM في نيويورك."),
        ("She studied Python and Java at MIT.", "درست Python و Java في MIT."),
        ("Read https://example.org/long/path and answer.", "اقرأ https://example.org/long/path ثم أجب."),
        ("Run `print(total)` in the shell.", "شغّل `print(total)` في سطر الأوامر."),
        ("No, no, no!", "لا، لا، لا!"),
        ("Hahahahahaha", "ههههههههههههههههههههههههههه"),
        ("He said: \"I will come.", "قال: \"سآتي."),
        ("Choose one (a, b or c).", "اختر واحدا (أ أو ب أو ج)."),
        ("12.5", "12.5"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_true_translation_has_no_fault(source, translation):
    assert fault(source, translation) is None


@pytest.mark.parametrize(
    ("source", "translation", "reason"),
    [
        (SOURCE, "", "empty: 0 characters"),
        (SOURCE, " \n", "empty: 0 characters"),
        (SOURCE, "... 12", "empty: 0 letters"),
        (SOURCE, SOURCE, "untranslated: 6 of 6 words (after, council, decided) > 0.4"),
        ("Barack Obama", "Barack Obama", "script: 0 of 11 letters are Arabic"),
        (
            SOURCE,
            "The council decided to rebuild السوق القديم بعد الحريق",
            "untranslated: 3 of 6 words (council, decided, rebuild) > 0.4",
        ),
        (SOURCE, "Le conseil a décidé السوق القديم", "script: 0.41 of the letters Arabic < 0.5"),
        (SOURCE, "Совет решил восстановить рынок.", "script: 0 of 27 letters are Arabic"),
        (SOURCE, "قرر المجلس إعادة كتاب كتاب كتاب", "loop: 3 times 'كتاب' > 2"),
        (SOURCE, "قرر المجلس، قرر المجلس، قرر المجلس، قرر المجلس.", "loop: 4 times 'قرر المجلس' > 2"),
        (SOURCE, "قرر " + "لا" * 20, "loop: 20 times 'لا' in one word of 40 letters"),
        (SOURCE, "قرر.", "truncated: 4 characters for 61 < 17"),
        (SOURCE, f"{TRUE} {ELSE}", "long: 178 characters for 61 > 164"),
        (SOURCE, "قرر المجلس (إعادة بناء السوق القديم.", "truncated: '(' opened 1 times, closed 0"),
        (
            SOURCE,
            "قرر المجلس إعادة بناء السوق القديم،",
            "truncated: ends with '،' where its source ends with a full stop",
        ),
        (SOURCE, "قرر المجلس إعادة بناء السوق في", "truncated: ends with 'في' where its source ends with a full stop"),
        (SOURCE, 'قرر المجلس إعادة بناء "السوق القديم', "truncated: 1 quotation marks and no end mark"),
    ],
)
def test_a_fault_is_named_with_what_was_measured(source, translation, reason):
    assert fault(source, translation) == reason


def news(data: Path) -> list[tuple[str, str]]:
    with (data / "ntrex_en_ar.tsv").open(encoding="utf-8", newline="") as file:
        return [(row["en"], row["ar"]) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def test_professional_translations_pass(data):
    pairs = news(data)
    found = [reason for source, translation in pairs if (reason := fault(source, translation))]
    print(f"false alarms: {len(found)} of {len(pairs)}: {found}")
    assert len(pairs) == 1000
    assert len(found) <= 10


def test_copies_and_loops_and_ends_cut_off_are_found(data):
    pairs = news(data)
    assert all(fault(source, source) for source, _ in pairs)
    assert all(fault(source, said + 2 * f" {' '.join(said.split()[-2:])}") for source, said in pairs)
    quarters = sum(fault(source, said[: len(said) // 4]) is not None for source, said in pairs)
    print(f"found with a quarter left: {quarters} of {len(pairs)}")
    assert quarters >= 900


def test_a_check_takes_microseconds(data):
    pairs = [(source, said) for source, said in news(data) if 85 <= len(source) <= 115]
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for source, said in pairs:
            fault(source, said)
        rounds.append((time.process_time() - start) / len(pairs))
    assert min(rounds) < 60e-6  # 10 microseconds alone on a core; loose, because tests share theirs
