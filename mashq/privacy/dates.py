"""Dates of birth: a date after a word of birth. Other dates (an appointment, an operation) stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from mashq.privacy.found import Found
from mashq.privacy.lexicon import any_of, data
from mashq.privacy.page import BARRIER, Page

__all__ = ["BirthDates"]

_BORN = re.compile(r"ميلاد|ولد|مواليد|مولود")
REACH = 34  # characters between the word of birth and the date
_OTHER = re.compile(r"عمليه|موعد|تحليل|فحص|اشعه|حجز|دخول|خروج|زياره|تطعيم|عيد الفطر|[.!?؟;؛]\s")
_FAINT = re.compile(r"ولدت|ولد|الولاده|ne le|nee le|تولد|مولده|خلقت")

# مواليد 8/8/1988 وزوجي 9/9/1979
_SECOND = re.compile(
    r"\s?[،,]?\s?(?:و\s?(?:[^\W\d]+\s){0,2}|الموافق\s|\(|/\s?)(?P<date>\d{1,2}\s\w+(?:\s\w+)?\s1[34]\d\d\s?ه?|\d{1,2}\s?[/.-]\s?\d{1,2}\s?[/.-]\s?(?:19|20|13|14)\d\d)"
    r"(?![\w/.-])"
)


@cache
def _pattern() -> re.Pattern[str]:
    """A word of birth, a little between, a date."""
    words, months = any_of(data("numbers")["birth"]), any_of(data("numbers")["months"])
    era = r"(?:\s?(?:هجريه?|ه|ميلاديه?|م|h|ah)(?!\w))?"
    year = r"(?:1[34]\d\d|19\d\d|20\d\d)"
    of_year = r"(?:عام|سنه|لسنه|لعام|of|in)"
    counted = any_of(data("numbers")["day_words"])
    teens = r"(?:\s(?:و(?:ال)?(?:عشرين|عشرون|ثلاثين|ثلاثون|تلاتين)|عشر))?"
    day = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?|(?:ال)?(?:{counted}){teens})"
    spelled = (
        r"(?:سنه|عام)\s(?:الف\s)?(?:\w+\s(?:و\s?)?)?"
        r"(?:و?عشره|و?عشرين|و?ثلاثين|و?تلاتين|و?اربعين|و?خمسين|و?ستين|و?سبعين|و?ثمانين|و?تمانين|و?تسعين|الفين(?:\sو\w+)?)"
    )
    month = rf"(?:{months})(?:\s?[/(]\s?(?:{months})\)?)?"
    forms = (
        rf"\d{{4}}\s?[/.-]\s?\d{{1,2}}\s?[/.-]\s?\d{{1,2}}{era}",
        rf"\d{{1,2}}\s?[/.\\-]\s?\d{{1,2}}\s?[/.\\-]\s?(?:\d{{4}}|\d{{2}}){era}",
        rf"{day}\s?[-/]?\s?(?:من\s|of\s|شهر\s|من\sشهر\s)?{month}(?:[\s،,/-]{{1,3}}(?:(?:{of_year}\s)?{year}{era}|{spelled}))?",
        rf"{month}\s\d{{1,2}}(?:[\s،,]{{1,2}}(?:{of_year}\s)?{year}{era})?",
        rf"{month}\s?[/،,]?\s?(?:{of_year}\s)?{year}{era}",
        rf"شهر\s\d{{1,2}}[\s/-](?:{of_year}\s)?{year}{era}",
        rf"\d{{1,2}}\s?[/-]\s?{year}{era}",
        rf"{year}{era}",
    )
    uncounted = rf"(?![\d/.-]|\s?(?:سنه|عام|طفل|يوم|شهر|{months}))"
    short = rf"(?:مواليد|المواليد)\s(?:عام\s|سنه\s)?(?P<short>\d{{2}}){uncounted}"
    dated = rf"(?:[وبف]|ال)?(?P<word>{words})(?!\w)(?P<gap>[^\d\n{BARRIER}]{{0,{REACH}}}?)(?<![\w/.-])"
    dated += rf"(?P<date>{'|'.join(forms)})(?![\w%]|[/.]\d)"
    return re.compile(rf"(?<!\w)(?:{dated}|{short})")


class BirthDates:
    """Numeric and worded dates, with the months of all Arab countries and of the Hijri year, and years of birth."""

    name = "birth dates"
    version = "2"
    kinds = ("birth_date",)

    def find(self, page: Page) -> Iterator[Found]:
        if not page.has_digit and not _BORN.search(page.lower):
            return
        for match in _pattern().finditer(page.lower):
            part = "short" if match["short"] else "date"
            if part == "date" and _OTHER.search(match["gap"]):
                continue
            faint = part == "date" and _FAINT.fullmatch(match["word"])
            yield Found("birth_date", *match.span(part), 0.6 if faint else 0.9, self.name)
            second = _SECOND.match(page.lower, match.end(part))
            if second:
                yield Found("birth_date", *second.span("date"), 0.6, self.name)
