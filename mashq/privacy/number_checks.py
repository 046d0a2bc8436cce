"""National numbers of Arab countries: which formats a run of digits fits, and whether its check digit is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

__all__ = ["FORMATS", "IBAN_LENGTHS", "Format", "fitting", "iban_is_valid", "luhn"]

# Lengths of the IBAN registry (SWIFT), and Algeria's 26, which is not in it.
IBAN_LENGTHS = {
    **{"AE": 23, "BH": 22, "DJ": 27, "DZ": 26, "EG": 29, "IQ": 23, "JO": 30, "KW": 30, "LB": 28, "LY": 25, "MA": 28},
    **{"MR": 27, "OM": 23, "PS": 29, "QA": 29, "SA": 24, "SD": 18, "SO": 23, "TN": 24, "YE": 30},
}
# Egypt's governorates by the eighth and ninth digit; 88 is born abroad.
_GOVERNORATES = frozenset([1, 2, 3, 4, *range(11, 20), *range(21, 30), *range(31, 36), 88])
_KUWAIT = (2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def _is_date(year: int, month: str, day: str) -> bool:
    try:
        date(year, int(month), int(day))
    except ValueError:
        return False
    return True


def _egypt(digits: str) -> bool:
    """Century (2 or 3), date of birth, governorate; the published rules of the check digit disagree: not checked."""
    century = {"2": 1900, "3": 2000}.get(digits[0])
    known = int(digits[7:9]) in _GOVERNORATES
    return century is not None and known and _is_date(century + int(digits[1:3]), digits[3:5], digits[5:7])


def _emirates(digits: str) -> bool:
    """784, year of birth, seven digits, check digit."""
    return digits.startswith("784") and 1900 <= int(digits[3:7]) <= 2100


def _kuwait(digits: str) -> bool:
    """Century (2 or 3), date of birth, serial, and a check digit modulo 11."""
    century = {"2": 1900, "3": 2000}.get(digits[0])
    if century is None or not _is_date(century + int(digits[1:3]), digits[3:5], digits[5:7]):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_KUWAIT, digits[:11], strict=True))
    return 11 - total % 11 == int(digits[11])


def _qatar(digits: str) -> bool:
    """Century (2 or 3), year of birth, the ISO 3166 number of the nationality, serial."""
    return digits[0] in "23" and 4 <= int(digits[3:6]) <= 894


def _bahrain(digits: str) -> bool:
    """Year and month of birth, serial, check digit."""
    return 1 <= int(digits[2:4]) <= 12


class Format(NamedTuple):
    """A country's national number: `alone` is how sure it makes us without a word of context, 0..1."""

    country: str
    digits: int
    fits: Callable[[str], bool]
    alone: float


def _starts(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda digits: compiled.match(digits) is not None


FORMATS = (
    Format("EG", 14, _egypt, 0.85),
    Format("AE", 15, _emirates, 0.9),
    Format("SA", 10, lambda digits: digits[0] in "12" and luhn(digits), 0.6),
    Format("KW", 12, _kuwait, 0.7),
    Format("QA", 11, _qatar, 0.3),
    Format("BH", 9, _bahrain, 0.2),
    Format("JO", 10, _starts("[29]"), 0.3),
    Format("IQ", 12, _starts("[12]"), 0.3),
    Format("LY", 12, _starts("[12](19|20)"), 0.4),
    Format("DZ", 18, _starts("[1-3]"), 0.5),
    Format("SY", 11, _starts("0"), 0.2),
    Format("SD", 11, _starts("[1-9]"), 0.2),
    Format("YE", 11, _starts("0[1-9]"), 0.2),
    Format("MR", 10, _starts("[0-9]"), 0.2),
    Format("PS", 9, luhn, 0.3),
    Format("TN", 8, _starts("[01]"), 0.2),
    Format("OM", 8, _starts("[0-9]"), 0.1),
    Format("LB", 12, _starts("0"), 0.2),
)


def fitting(digits: str) -> list[Format]:
    """The national numbers that a run of ASCII digits can be, the surest first."""
    found = [one for one in FORMATS if one.digits == len(digits) and one.fits(digits)]
    return sorted(found, key=lambda one: -one.alone)


def iban_is_valid(iban: str) -> bool:
    """Whether letters and digits without spaces have the check digits of ISO 13616 (modulo 97)."""
    if not iban.isalnum() or not iban.isascii():
        return False
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1
