"""What apps, forums and habit add to a post: sent from my phone, edited at, forwarded, counters, signatures."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mashq import arabic
from mashq.clean.columns import FLOOD, matching_folded, spellings
from mashq.clean.rule import data
from mashq.word_patterns import fold

__all__ = ["boilerplate", "may_hold_boilerplate"]

_CLASSES = {"ا": "[اأإآٱ]", "ى": "[ىي]", "ي": "[ىيی]", "ة": "[ةه]", "ه": "[هة]", "ك": "[كک]", " ": r"[ \t\u00a0]+"}
_MARKS = f"[{arabic.TASHKEEL}{arabic.TATWEEL}]*"
_EDGE = r"[ \"'()\[\]<>«»*.,،:!\-–—_=~|•·↪⏩\t]*"
_DAY = (
    r"(?:ال)?(?:سبت|[أا]حد|[إا]ثنين|ثلاثاء|[أا]ربعاء|خميس|جمعة|اليوم|يوم|[أا]مس|الآن|today|yesterday|"
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)"
)
_MONTH = (
    r"(?:يناير|فبراير|مارس|[أا]بريل|مايو|يونيو|يوليو|[أا]غسطس|سبتمبر|[أا]كتوبر|نوفمبر|ديسمبر|جانفي|فيفري|"
    r"[أا]فريل|جوان|جويلية|"
    r"[أا]وت|كانون|شباط|آذار|نيسان|[أا]يار|حزيران|تموز|آب|[أا]يلول|تشرين|(?:ال)?(?:[أا]ول|ثاني)|"
    r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6})"
)
_TIME = (
    r"(?:الساع[ةه]|ساع(?:[ةه]|ات|تين)|دقيق[ةه]|دقيقتين|دقائق|ثواني?|[أا]يام|يومين|[أا]سبوع|[أا]سابيع|شهر|"
    r"شهور|[أا]شهر|سن[ةه]|سنوات|منذ|قبل|في|بتاريخ|صباحا|مساء|صباحاً|مساءً|[صم]|am|pm|at|on|ago|hours?|"
    r"minutes?|days?|utc|gmt)"
)
# What may stand in a phrase of words.yaml. A time has at least a digit or a day in it.
_SLOTS = {
    "{n}": r"[0-9٠-٩][0-9٠-٩.,٫٬]{0,9}[ \t]?(?:[km]|ألف|الف|مليون|آلاف)?",
    "{when}": rf"[;؛:،,\-–|]?[ \t]*(?=[^\n]{{0,60}}?(?:[0-9٠-٩]|{_DAY}))(?:(?:[0-9٠-٩][0-9٠-٩:/.\-]*|{_DAY}|{_MONTH}|"
    rf"{_TIME})(?![\w])[ \t،,;|·.\-]*){{1,12}}",
    "{who}": r"[^\s:;،,.()\[\]|·]{1,25}(?:[ \t][^\s:;،,.()\[\]|·]{1,25}){0,3}?",
    "{phone}": r"(?:(?:ال)?(?:هاتف|جوال|جهاز|موبايل|تلفون|محمول|[آأا]يفون|[آأا]يباد)(?:ي|ه)?|(?:ال[ \t]?)?iphone|"
    r"tapatalk|تاباتوك)"
    r"(?:[ \t]+(?:ال)?(?:[A-Za-z0-9+-]{1,15}|[آأا]يفون|[آأا]يباد|[أا]ندرويد|جالاكسي|جلاكسي|سامسونج|"
    r"سامسونغ|هواوي|شاومي|نوكيا|"
    r"محمول|جوال|نقال|ذكي|خاص(?:[ةه]|ت)?(?:ي|[ \t]?بي)|جديد|باستخدام|بواسط[ةه]|تاباتوك)){0,5}",
    "{app}": r"[\"«“]?[A-Za-zء-ي0-9]{2,20}(?:[ \t][A-Za-zء-ي0-9]{2,20}){0,2}?[\"»”]?",
}
_STAMP = re.compile(
    r"(?m)^\[?[0-9٠-٩]{1,4}[/.-][0-9٠-٩]{1,2}[/.-][0-9٠-٩]{2,4}[,،]?\s[0-9٠-٩]{1,2}:[0-9٠-٩]{2}(?::[0-9٠-٩]{2})?"
    r"\s?(?:AM|PM|am|pm|ص|م)?\]?\s?[-–]?\s[^:\n]{1,40}:[ \t]"
)
_SIGNATURE = re.compile(
    r"(?m)^[ \t]*(?:_{5,}|-- ?)[ \t]*\n(?:.*\n?){1,6}\Z|^[ \t]*[-_=*~]*[ \t]*(?:ال)?توقيع[ \t]*:.*(?:\n.*){0,4}\Z"
)
_COUNTED = (
    r"(?:(?:عدد[ \t]+)?(?:ال)?(?:مشاهد(?:[ةه]|ات|ين)|[إا]عجاب(?:ات)?|لايك(?:ات)?|تعليق(?:ات|ا|اً)?|"
    r"رد(?:ود)?|مشارك(?:[ةه]|ات)|ريتويت(?:ات)?|"
    r"[إا]عاد[ةه] (?:تغريد|نشر)|قراء[ةه]|زيار(?:[ةه]|ات)|متابع(?:ين|ون)?)|views?|likes?|comments?|replies|"
    r"shares?|retweets?|reactions?)"
)
_COUNT = (
    rf"(?:{_COUNTED}[ \t]*[:：=][ \t]*{_SLOTS['{n}']}|{_SLOTS['{n}']}[ \t]*{_COUNTED}|"
    rf"{_COUNTED}[ \t]*[(][ \t]*{_SLOTS['{n}']}[ \t]*[)])(?!\w)"
)
_COUNTERS = re.compile(
    rf"(?im)^[ \t|•·\-(\[]*{_COUNT}(?:[ \t|•·،,\-–/و]*{_COUNT})*[ \t|•·.\-)\]]*$"
    rf"|(?:(?<=[.!؟?…)»\"|•·])|(?<=[.!؟?…)»\"|•·][ \t]))[ \t|•·]*{_COUNT}(?:[ \t|•·،,\-–/و]+{_COUNT})+[ \t|•·.\-)\]]*\Z"
)
_BUTTON = (
    r"(?:[أا]عجبني|رد|مشارك[ةه]|تعليق|متابع[ةه]|حفظ|[إا]بلاغ|like|reply|share|comment|follow|"
    r"[0-9٠-٩]{1,3}[ \t]?(?:س|د|ي|ث|h|d|m|w|min|hrs?))"
)
_BUTTONS = re.compile(rf"(?im)^[ \t]*{_BUTTON}(?:[ \t]*[·•|.\-–][ \t]*{_BUTTON}|[ \t]+{_BUTTON}){{1,6}}[ \t]*$")


def _loose(phrase: str) -> str:
    """A phrase with slots -> a pattern that finds it in any of its spellings, with vowel marks and stretching."""
    pieces = re.split(r"(\{[a-z]+\})", phrase)
    return "".join(_SLOTS[piece] if piece in _SLOTS else _loose_words(piece) for piece in pieces)


def _loose_words(words: str) -> str:
    """The words between two slots."""
    if not words.strip():
        return r"[ \t]*"
    left, right = words[: len(words) - len(words.lstrip())], words[len(words.rstrip()) :]
    letters = [
        _CLASSES.get(char, re.escape(char)) for char in left[:1] + fold(words) + (right[:1] if words.strip() else "")
    ]
    return "".join(
        f"{letter}{_MARKS}" if letter[0] != "[" or "اىية".find(letter[1]) >= 0 else letter for letter in letters
    )


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Group of words.yaml -> its pattern."""
    words = data("words")["boilerplate"]
    known = {key: "|".join(map(_loose, sorted(words[key], key=len, reverse=True))) for key in words}
    behind = r"(?:(?<=[.!؟?…،:\n\"»)|])|(?<=[.!؟?…،:\n\"»)|] )|\A)"
    over = r"[ \t)>\].،!]*(?=\n|\Z)"
    return {
        "anywhere": re.compile(rf"(?i)(?<!\w)[ \t(<\[]{{0,8}}(?:{known['anywhere']})(?!\w)[ \t)>\].]*"),
        "last": re.compile(rf"(?i)(?<!\w)[ \t(<\[\-–—]{{0,8}}(?:{known['last']})(?!\w){over}"),
        "stamp": re.compile(
            rf"(?i)(?:(?<=[\s.!؟?…)(\[])|\A)[ \t(<\[\-–—*]{{0,8}}(?:{known['stamp']})(?![\w])[ \t)>\].،!*]*"
        ),
        "line": re.compile(rf"(?im)^{_EDGE}(?:{known['line']}){_EDGE}$"),
        "head": re.compile(rf"(?im)^[ \t(\[*\-–—_]*(?:{known['head']})[ \t)\]*\-–—_]*[:\n][ \t]*"),
        "end": re.compile(
            rf"(?i){behind}[ \t]{{0,8}}[(\[#*]{{0,8}}(?:{known['end']})[)\]*. …\t]*\Z|[(\[](?:{known['end']})[)\]]"
        ),
    }


def boilerplate(text: str) -> tuple[str, int]:
    """What apps and habit add to a post: sent from my phone, via @app, (منقول), when it was edited, forwarded or how
    often seen, signatures, the stamps of a chat export."""
    if FLOOD.search(text):
        return text, 0
    found = 0
    for pattern in (*_patterns().values(), _STAMP, _SIGNATURE, _COUNTERS, _BUTTONS):
        text, n = pattern.subn(" ", text)
        found += n
    return text, found


_HINT_NUMBER = r"[0-9٠-٩][ \t]*(?:[km]|ألف|الف|مليون|آلاف)?[ \t]*"
_HINT_WORDS = (
    r"(?:مشاهد|[إا]عجاب|لايك|تعليق|رد|مشارك|ريتويت|[إا]عاد[ةه]|قراء[ةه]|زيار|متابع|view|like|comment|repl|"
    r"share|retweet|reaction)"
)
_HINTS = (
    r"[0-9٠-٩][/.-][0-9٠-٩]{1,2}[/.-][0-9٠-٩]{2}",  # the stamp of a chat
    r"_____|(?m:^)[ \t]*-- ?[ \t]*\n|توقيع[ \t]*:",
    rf"{_HINT_NUMBER}(?:عدد )?(?:ال)?{_HINT_WORDS}|{_HINT_WORDS}[\p{{L}}]*[ \t]*[:：=(][ \t]*[0-9٠-٩]",
    rf"(?m:^)[ \t]*{_BUTTON}[ \t]*[·•|.\-– \t]+{_BUTTON}[ \t·•|.\-–]",
    rf"(?m:^)[ \t]*{_BUTTON}[ \t]*[·•|.\-– \t]+{_BUTTON}(?m:$)",
)


def _longest(phrases: Sequence[str]) -> str:
    """The longest part of each phrase without slots, as a pattern of RE2."""
    parts = (max(re.split(r"\{[a-z]+\}", phrase), key=lambda part: len(part.strip())).strip() for phrase in phrases)
    return spellings(sorted(set(parts)))


def _first(phrases: Sequence[str]) -> str:
    """What each phrase begins with, up to its first slot."""
    return spellings(sorted({re.split(r"\{[a-z]+\}", phrase)[0].strip() for phrase in phrases} - {""}))


@functools.cache
def _hints() -> tuple[str, ...]:
    """Patterns of RE2, one of which is found in all that some kind of boilerplate is found in."""
    words = data("words")["boilerplate"]
    slotted = [phrase for phrase in words["line"] if "{" in phrase]
    whole = [phrase for phrase in words["line"] if "{" not in phrase]
    return (
        _longest([*words["anywhere"], *words["last"], *words["stamp"]]),
        rf"(?m:^){_EDGE}(?:{_first([*slotted, *words['head']])})",
        rf"(?m:^){_EDGE}(?:{spellings(whole)}){_EDGE}(?m:$)",
        rf"(?:[.!؟?…،:\n\"»)|(\[]|\A)[ \t(\[#*]*(?:{_first(words['end'])})",
        *("(?i)" + hint for hint in _HINTS),
    )


def may_hold_boilerplate(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether one of the phrases, or a date, is in it, in any spelling."""
    return matching_folded(texts, *_hints())
