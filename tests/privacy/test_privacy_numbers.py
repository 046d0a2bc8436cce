"""Check digits and formats, against published examples and arithmetic of our own."""

from __future__ import annotations

import pytest

from mashq.privacy.number_checks import fitting, iban_is_valid, luhn


def countries(digits: str) -> list[str]:
    return [one.country for one in fitting(digits)]


def test_luhn_of_the_standards_example():
    assert luhn("79927398713")
    assert not luhn("79927398710")


def test_saudi_number_needs_its_check_digit():
    assert "SA" in countries("1000000008")
    assert "SA" not in countries("1000000009")
    assert "SA" not in countries("3000000004")


def test_egyptian_number_needs_a_date_and_a_governorate():
    assert "EG" in countries("29001010123456")
    assert "EG" not in countries("29013010123456")  # month 13
    assert "EG" not in countries("29001019923456")  # governorate 99
    assert "EG" not in countries("19001010123456")  # century 1


def test_kuwaiti_check_digit_is_eleven_minus_the_rest():
    first = "28501010001"
    total = sum(weight * int(digit) for weight, digit in zip((2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), first, strict=True))
    check = 11 - total % 11
    assert check < 10
    assert "KW" in countries(f"{first}{check}")
    assert "KW" not in countries(f"{first}{(check + 1) % 10}")


@pytest.mark.parametrize(
    "iban", ["SA0380000000608010167519", "AE070331234567890123456", "KW81CBKU0000000000001234560101"]
)
def test_ibans_of_the_registry_are_valid(iban):
    assert iban_is_valid(iban)
    assert not iban_is_valid(iban[:-1] + ("1" if iban[-1] != "1" else "2"))


def test_no_iban_is_no_error():
    assert not iban_is_valid("")
    assert not iban_is_valid("SA03 8000")
    assert not iban_is_valid("ﻻ" * 20)
