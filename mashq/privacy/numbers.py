"""Numbers that name a person: phones, national numbers, record numbers, passports, bank accounts, car plates.

Every run of digits is weighed once: what the nearest word before it calls it, and which formats and check digits it
satisfies. So two kinds never quarrel about one number.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from mashq.privacy.found import Found
from mashq.privacy.lexicon import any_of, data
from mashq.privacy.number_checks import IBAN_LENGTHS, fitting, iban_is_valid
from mashq.privacy.page import Page
from mashq.rows import MashqError

__all__ = ["REGIONS", "Ibans", "Numbers", "need_phonenumbers"]

REGIONS = (  # the 22 members of the Arab League
    *("SA", "EG", "AE", "KW", "QA", "BH", "OM", "JO", "LB", "SY", "IQ"),
    *("PS", "YE", "SD", "LY", "TN", "DZ", "MA", "MR", "SO", "DJ", "KM"),
)
_LETTERED = ("record_number", "passport", "national_id")  # kinds whose numbers may have letters
REACH = 44  # characters before a number in which a word says what it is
LONGEST_PHONE, SHORTEST_PHONE = 15, 7  # digits; ITU-T E.164 allows 15 with the country's

MOST_PARTS = 4  # of a national number that nothing announces: 784-1990-1234567-1
MOST_GROUPS = 9  # of digits in one number: +212 6 11 00 11 00 has six

_RUN = re.compile(r"(?<![\w@])(?<!\d[.,])[+(]{0,2}\d+\)?(?:[ \t./()-]{1,3}\d+)*(?![.,:]\d)")
_GROUP = re.compile(r"\d+")
_DATE = re.compile(
    r"(?<![\d/.-])(?:\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})|\d{4}[/.-]\d{1,2}[/.-]\d{1,2})(?![\d-]|[/.]\d)"
)
_MIXED = re.compile(
    r"(?<![\w@./-])(?:[\u0621-\u064a]\.?[\u0621-\u064a]?/)?(?:[a-z]{1,6}[-/#.]){0,2}(?:(?!id |no |n )[a-z]{1,2} )?"
    r"[a-z]{0,6}\d[a-z0-9]*(?:[-/][a-z0-9]+)*(?:[-/][\u0621-\u064a][-/]\d+)?(?:[-/][\u0621-\u064a](?!\w))?"
    r"(?!\w|@|\.[a-z])"
)
# Mobile numbers as they are dialled at home: SA/AE/PS 05, EG 010-015, MA/DZ 05-07, IQ 07, JO 07, SY/LY/SD 09.
_DIALLED = re.compile(r"05\d{8}|01[0125]\d{8}|0[567]\d{8}|07\d{9}|09\d{8}|92000\d{4,5}|800\d{7}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_LETTER = r"[\u0621-\u064a]"
_PLATE = re.compile(
    rf"{_LETTER}(?: ?{_LETTER}){{2}} ?\d{{1,4}}|\d{{1,4}} ?{_LETTER}(?: {_LETTER}){{2}}|"
    rf"\d{{2,6}}[-| /]{_LETTER}[-| /]\d{{1,3}}"
)
_CODE = re.compile(r"[a-z]{1,5}[-/#]\d{4,8}(?:[-/][a-z0-9]{1,4})?")  # of a file: PATH-2211; no CA-125, no Covid-19
_CARE = re.compile(r"ملف|تحاليل|تحليل|عين[هت]|اشعه|تقرير|مختبر|مريض")
_YEARS = re.compile(r"(?:1[2-9]|20)\d\d\s?[-/]\s?(?:1[2-9]|20)\d\d")
_SENTENCE = re.compile(r"(?<!\bno)[.!?؟](?=\s)|[؛\n]")


@cache
def _contexts() -> re.Pattern[str]:
    kinds = ("record_number", "national_id", "passport", "iban", "plate", "phone", "amount")
    parts = (f"(?P<{kind}>{any_of(data('numbers')[kind])})" for kind in kinds)
    return re.compile(rf"(?<!\w)(?:[وفبل]?ال|لل|[وبفلع])?(?:{'|'.join(parts)})(?!\w)")


@cache
def _unit() -> re.Pattern[str]:
    return re.compile(rf"\s?(?:%|(?:{any_of(data('numbers')['units'])})(?!\w))")


@cache
def need_phonenumbers() -> Any:
    """The package that knows the numbering plans. Raises MashqError where it is not installed."""
    try:
        return importlib.import_module("phonenumbers")
    except ModuleNotFoundError as error:
        raise MashqError(
            "de-identification: phones need the package 'phonenumbers': pip install 'mashq[privacy]', or leave "
            "'phone' out of kinds."
        ) from error


def _is_phone(digits: str, international: bool) -> bool:
    """Whether a numbering plan of an Arab country has the number (any country's, where it begins with + or 00)."""
    package = need_phonenumbers()
    regions = (None,) if international else REGIONS
    text = "+" + digits if international else digits
    for region in regions:
        try:
            number = package.parse(text, region)
        except package.NumberParseException:
            continue
        if package.is_valid_number(number):
            return True
    return False


def context_of(page: Page, start: int, kinds: tuple[str, ...] = ()) -> str:
    """What the nearest word before a place in the same sentence calls a number, or "".

    kinds: only these, where a phone, say, is out of the question.
    """
    piece = _SENTENCE.split(page.before(start, REACH))[-1]
    kind = ""
    for match in _contexts().finditer(piece):
        if not kinds or match.lastgroup in kinds:
            kind = match.lastgroup or ""
    return kind


class Numbers:
    """Phones, national numbers, record numbers, passports and plates."""

    name = "numbers"
    version = "2"
    kinds = ("phone", "national_id", "record_number", "passport", "plate")

    def find(self, page: Page) -> Iterator[Found]:
        if not page.has_digit:
            return
        dates = [match.span() for match in _DATE.finditer(page.flat)]
        yield from self._named(page, dates)
        for match in _RUN.finditer(page.flat):
            if any(start < match.end() and match.start() < end for start, end in dates):
                continue
            yield from self._weigh(page, match.start(), match.end())

    def _weigh(self, page: Page, start: int, end: int) -> Iterator[Found]:
        """A run of groups of digits: the longest beginning that is something, then the rest."""
        context = context_of(page, start)
        if context == "amount" and not _is_dialled(page.flat[start:end]):
            return
        ends = [match.end() for match in _GROUP.finditer(page.flat, start, end)]
        if _unit().match(page.lower, end) and not (len(ends) == 1 and _is_dialled(page.flat[start:end])):
            ends, end = ends[:-1], ends[-2] if len(ends) > 1 else end  # the last group is an age, a price or a dose
        while ends:
            for count in range(min(len(ends), MOST_GROUPS), 0, -1):
                kind, score = _verdict(page, start, ends[count - 1], context)
                if kind:
                    yield Found(kind, start, ends[count - 1], score, self.name)
                    break
            following = _GROUP.search(page.flat, ends[count - 1], end)
            start = following.start() if following else end
            if following and page.flat[start - 1] in "+(":
                start -= 1
            ends = ends[count:]

    def _named(self, page: Page, dates: list[tuple[int, int]]) -> Iterator[Found]:
        """Numbers with letters or slashes, which are something only by the word before them; and plates."""
        for match in _MIXED.finditer(page.lower):
            inside = any(start < match.end() and match.start() < end for start, end in dates)
            text = match.group()
            digits = sum(map(str.isdigit, text))
            if (
                (inside and "/" not in text)
                or digits < 3
                or digits == len(text)
                or _unit().match(page.lower, match.end())
            ):
                continue
            kind = context_of(page, match.start(), _LETTERED)
            enough = kind == "record_number" or (digits >= 5 and "/" not in text)
            if kind and enough and not _DATE.fullmatch(text):
                yield Found(kind, match.start(), match.end(), 0.85, self.name)
            elif (
                not kind and _CODE.fullmatch(text) and _CARE.search(page.lower) and not context_of(page, match.start())
            ):
                yield Found("record_number", match.start(), match.end(), 0.5, self.name)
        for match in _PLATE.finditer(page.flat):
            if context_of(page, match.start()) == "plate":
                yield Found("plate", match.start(), match.end(), 0.8, self.name)


def _is_dialled(text: str) -> bool:
    """Whether this can be nothing but a phone: a home mobile number in one group, or one that begins with +."""
    return text.startswith("+") or _DIALLED.fullmatch(text) is not None


def _verdict(page: Page, start: int, end: int, context: str) -> tuple[str, float]:
    """(kind or "", score) of groups of digits taken as one number."""
    text = page.flat[start:end]
    digits = "".join(_GROUP.findall(text))
    if context == "record_number" and 3 <= len(digits) <= 14 and not re.search(r"[ \t(.]", text):
        return "record_number", 0.85
    if context == "passport" and 6 <= len(digits) <= 10:
        return "passport", 0.85
    if context == "national_id" and 7 <= len(digits) <= 20:
        return "national_id", 0.95 if fitting(digits) else 0.7
    phone = _phone_score(text, digits, context)
    formats = fitting(digits)
    whole = len(_GROUP.findall(text)) <= MOST_PARTS and "+" not in text and "." not in text
    alone = formats[0].alone if formats and whole else 0.0
    if _YEARS.fullmatch(text):
        return "", 0.0
    if max(phone, alone) < 0.1 or len(digits) < SHORTEST_PHONE:
        return "", 0.0
    return ("phone", phone) if phone >= alone else ("national_id", alone)


def _phone_score(text: str, digits: str, context: str) -> float:
    """How sure we are that this is a phone, 0..1."""
    if not SHORTEST_PHONE <= len(digits) <= LONGEST_PHONE or text.count("/") > 1:
        return 0.0
    international = text.lstrip("(").startswith("+") or digits.startswith("00")
    valid = _DIALLED.fullmatch(digits) or _is_phone(
        digits.removeprefix("00") if international else digits, international
    )
    if context == "phone":
        return 0.95 if valid else 0.6
    if not valid:
        return 0.6 if international and len(digits) >= 9 and "+" in text else 0.0
    if international:
        return 0.95
    if digits.startswith("0"):
        return 0.85 if len(digits) > 8 else 0.5 if "-" in text else 0.45
    shaped = re.search(r"[ ./]", text) is None or len(digits) > 8
    return 0.5 if shaped and not context else 0.3


class Ibans:
    """Bank accounts as IBAN; the check digits decide, an Arab country's length or the word before it helps."""

    name = "ibans"
    version = "1"
    kinds = ("iban",)

    def find(self, page: Page) -> Iterator[Found]:
        if not page.has_latin or not page.has_digit:
            return
        for match in _IBAN.finditer(page.flat):
            length = IBAN_LENGTHS.get(match.group()[:2].upper())
            places = [place for place in range(match.start(), match.end()) if page.flat[place].isalnum()]
            if length and len(places) >= length and not _goes_on(page, places, length):
                places = places[:length]
            letters = "".join(page.flat[place] for place in places).upper()
            named = context_of(page, match.start()) == "iban"
            if iban_is_valid(letters) or len(letters) == length or (named and len(letters) >= 15):
                score = 0.98 if iban_is_valid(letters) else 0.85 if named else 0.7
                yield Found("iban", places[0], places[-1] + 1, score, self.name)


def _goes_on(page: Page, places: list[int], length: int) -> bool:
    """Whether the letter after the country's length follows without a space: then this is something else."""
    return len(places) > length and places[length] == places[length - 1] + 1
