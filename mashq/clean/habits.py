"""What apps, forums and habit add to a post: sent from my phone, edited at, forwarded, counters, signatures."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from mashq import arabic
from mashq.clean.columns import FLOOD
from mashq.clean.rule import data
from mashq.word_patterns import fold

__all__ = ["boilerplate"]

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
_CHAT_DAY = r"[0-9٠-٩]{1,4}[/.-][0-9٠-٩]{1,2}[/.-][0-9٠-٩]{2,4}"
_CHAT_TIME = r"[0-9٠-٩]{1,2}:[0-9٠-٩]{2}(?::[0-9٠-٩]{2})?(?:\s?(?:AM|PM|am|pm|ص|م))?"
# [12:30, 3/4/2023] +966 ...: and Sara, [3/4/2023 12:30]
_STAMP_TOO = re.compile(
    rf"(?m)^\[{_CHAT_TIME}[,،]\s?{_CHAT_DAY}\]\s?[^:\n]{{1,40}}:[ \t]*"
    rf"|^[^\n\[\]:]{{1,40}}[,،]\s?\[{_CHAT_DAY}[,،]?\s{_CHAT_TIME}\]:?[ \t]*"
)
_STAMP = re.compile(
    r"(?m)^\[?[0-9٠-٩]{1,4}[/.-][0-9٠-٩]{1,2}[/.-][0-9٠-٩]{2,4}[,،]?\s[0-9٠-٩]{1,2}:[0-9٠-٩]{2}(?::[0-9٠-٩]{2})?"
    r"\s?(?:AM|PM|am|pm|ص|م)?\]?\s?[-–]?\s[^:\n]{1,40}:[ \t]"
)
_SIGNATURE = re.compile(
    r"(?m)^[ \t]*(?:_{5,}|-- ?)[ \t]*\n(?:.*\n?){1,6}\Z|^[ \t]*[-_=*~]*[ \t]*(?:ال)?توقيعي?[ \t]*:.*(?:\n.*){0,4}\Z"
    r"|(?<!\w)[-_=*~| \t]*(?:التوقيع|توقيعي|توقيع)[ \t]*:[^\n]{1,120}\Z"
)
_POLL = re.compile(
    r"(?m)(?:^|(?<=[.!؟?…|\n])|(?<=[.!؟?…|] ))[ \t(\[*\-–—]*(?:(?:ال)?استطلاع(?: ال?ر[أا]ي)?|(?:ال)?تصويت|"
    r"نتيج[ةه] التصويت|"
    r"نتائج (?:التصويت|الاستطلاع)|poll)[ \t]*:[^\n]{1,120}?[0-9٠-٩][ \t]?[%٪)]?[ \t)\].]*$"
)
_TITLE = re.compile(r"\A[ \t]*(?:(?:رد|(?i:re))[ \t]*:[ \t]*)+(?=\S)")
# What a forum shows of a member: at least two of them side by side, of which one is only a forum's.
_FORUM_KEY = (
    r"(?:(?:عدد )?(?:ال)?(?:مشاركات|مساهمات|مواضيع|ردود|نقاط)|تاريخ (?:التسجيل|الانضمام|الانتساب)|(?:رقم "
    r")?(?:ال)?عضوي[ةه]|"
    r"معدل تقييم المستو[ىي]|(?:نقاط )?(?:ال)?تقييم|(?:قو[ةه] )?السمع[ةه]|[آا]خر (?:زيار[ةه]|نشاط|ظهور|تواجد)|"
    r"الرتب[ةه]|المزاج|"
    r"posts|join date|joined|location|reputation)"
)
_OF_FORUM = re.compile(rf"(?i){_FORUM_KEY}[ \t]*[:：]")
_MEMBER_KEY = (
    rf"(?:{_FORUM_KEY}|الدول[ةه]|البلد|المدين[ةه]|(?:مكان )?ال[إا]قام[ةه]|الجنس|المهن[ةه]|الوظيف[ةه]|العمر|"
    rf"الهواي[ةه]|الموقع)"
)
_PAIRED = rf"(?:عضو[ةه]? [^\s|:]{{2,12}}|{_MEMBER_KEY}[ \t]*[:：][ \t]*[^\n|·•:：]{{1,40}}?)"
_MEMBER = re.compile(
    rf"(?im)(?<!\w)(?=[^\n]*(?:\n[^\n]*){{0,5}}?{_FORUM_KEY}[ \t]*[:：])[|·•*\-–—(\[ \t]*{_PAIRED}"
    rf"(?:[ \t]*(?:[|·•،,]|[\-–—](?=[ \t])|\n)+[ \t]*{_PAIRED})+[ \t)\]*.]*$"
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
    r"(?:[أا]عجبني|[إا]عجاب|لايك|رد|الرد|مشارك[ةه]|تعليق|متابع[ةه]|حفظ|[إا]بلاغ|تبليغ|[إا]خفاء|تعديل|حذف|"
    r"ترجم[ةه]|عرض الترجم[ةه]|"
    r"المزيد|[إا]قتباس|شكر|like|reply|share|comment|follow|report|edit|"
    r"[0-9٠-٩]{1,3}[ \t]?(?:س|د|ي|ث|h|d|m|w|min|hrs?))"
)
_BUTTONS = re.compile(
    rf"(?im)^[ \t]*{_BUTTON}(?:[ \t]*[·•|.،,/\-–][ \t]*{_BUTTON}|[ \t]+{_BUTTON}){{1,6}}[ \t]*$"
    rf"|[ \t.(\[|·•\-–]*(?<!\w){_BUTTON}(?:[ \t]*[·•|][ \t]*{_BUTTON}){{1,6}}[ \t)\].]*$"
    rf"|(?<=[.!؟?…)»|·•\-–])[ \t]*{_BUTTON}(?:[ \t]+[\-–/][ \t]+{_BUTTON}){{1,6}}[ \t)\].]*$"
)


def _loose(phrase: str) -> tuple[str, ...]:
    """A phrase with slots -> patterns that together find it in any spelling, with vowel marks and stretching."""
    pieces = re.split(r"(\{[a-z]+\})", phrase)
    return tuple(one for piece in pieces for one in ([_SLOTS[piece]] if piece in _SLOTS else _loose_words(piece)))


def _any_of(phrases: Sequence[tuple[str, ...]]) -> str:
    """Phrases as pieces -> a pattern that finds one of them, longer ones first. What begins alike is written once,
    which is found in a tenth of the time."""
    begun: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in (phrase for phrase in phrases if phrase):
        begun.setdefault(first, []).append(tuple(rest))
    longest = sorted(begun.items(), key=lambda one: -max(map(len, one[1])))
    branches = "|".join(first + _any_of(rest) for first, rest in longest)
    if not begun:
        return ""
    return f"(?:{branches})" + "?" * any(not phrase for phrase in phrases)


def _loose_words(words: str) -> list[str]:
    """The words between two slots."""
    if not words:
        return []
    if not words.strip():
        return [r"[ \t]*"]
    left, right = words[: len(words) - len(words.lstrip())], words[len(words.rstrip()) :]
    letters = [
        _CLASSES.get(char, re.escape(char)) for char in left[:1] + fold(words) + (right[:1] if words.strip() else "")
    ]
    return [f"{letter}{_MARKS}" if letter[0] != "[" or "اىية".find(letter[1]) >= 0 else letter for letter in letters]


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Group of words.yaml -> its pattern."""
    words = data("words")["boilerplate"]
    known = {key: _any_of([_loose(phrase) for phrase in words[key]]) for key in words}
    behind = r"(?:(?<=[.!؟?…،:\n\"»)|])|(?<=[.!؟?…،:\n\"»)|] )|\A)"
    over = r"[ \t)>\].…؟،!|·•*~_=\-–—»]*(?=\n|\Z)"
    return {
        "anywhere": re.compile(rf"(?i)(?<!\w)[ \t(<\[]{{0,8}}(?:{known['anywhere']})(?!\w)[ \t)>\].]*"),
        "last": re.compile(rf"(?i)(?<!\w)[ \t(<\[\-–—|·•*~_=]{{0,8}}(?:{known['last']})(?!\w){over}"),
        "stamp": re.compile(
            rf"(?i)(?:(?<=[\s.!؟?…)(\[])|\A)[ \t(<\[\-–—*]{{0,8}}(?:{known['stamp']})(?![\w])[ \t)>\].،!*]*"
        ),
        "line": re.compile(
            rf"(?im)(?:^{_EDGE}|[ \t]*[|·•~](?<!\w[~]){_EDGE}|[ "
            rf"\t]*[(\[]{_EDGE}(?=[^()\[\]\n]{{1,60}}[)\]]))(?:{known['line']}){_EDGE}$"
        ),
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
    text, found = _MEMBER.subn(" ", text) if _OF_FORUM.search(text) else (text, 0)
    for group, pattern in _patterns().items():
        if group == "last":
            text, n = _last(text, pattern)
        else:
            text, n = pattern.subn(" ", text)
        found += n
    for pattern in _SHAPES:
        text, n = pattern.subn(" ", text)
        found += n
    return text, found


# Words before a phrase at a line's end that make it part of the sentence: "how do I ...", "the button ...".
_GOES_ON = frozenset(
    fold(word)
    for word in [
        "كيف",
        "كيفاش",
        "ازاي",
        "شلون",
        "وين",
        "اين",
        "زر",
        "الزر",
        "زرار",
        "كلمة",
        "عبارة",
        "خيار",
        "خاصية",
        "ميزة",
        "طريقة",
        "مكتوب",
        "يظهر",
        "تظهر",
        "طلع",
        "طلعت",
        "على",
        "في",
        "من",
        "إلى",
        "عن",
        "أريد",
        "أبغى",
        "ابي",
        "بدي",
        "عايز",
        "عاوز",
        "نبغي",
        "اعمل",
        "أعمل",
        "أسوي",
        "اضغط",
        "ضغطت",
        "أضغط",
        "ما",
        "لا",
        "لم",
        "لن",
        "مو",
        "مش",
        "قبل",
        "بعد",
        "عند",
        "عندي",
        "هل",
        "أن",
        "إن",
        "كان",
        "كانت",
        "هذا",
        "هذه",
        "هذي",
        "حاول",
        "حاولت",
        "أحاول",
        "يعني",
        "معنى",
        "ليش",
        "ليه",
        "لماذا",
        "هو",
        "هي",
        "قال",
        "قالت",
        "كتب",
        "كتبت",
    ]
)
_WORD_BEFORE = re.compile(r"(\S+)[ \t]*\Z")


def _last(text: str, pattern: re.Pattern[str]) -> tuple[str, int]:
    """Phrases at the end of a line taken, but where the word before shows that the sentence goes on."""
    found = 0

    def taken(match: re.Match[str]) -> str:
        nonlocal found
        before = _WORD_BEFORE.search(text, max(0, match.start() - 30), match.start())
        between = match[0][: len(match[0]) - len(match[0].lstrip(" \t"))]
        if before and "\n" not in between and fold(before[1]) in _GOES_ON:
            return match[0]
        found += 1
        return " "

    return pattern.sub(taken, text), found


_SHAPES = (_STAMP, _STAMP_TOO, _SIGNATURE, _COUNTERS, _BUTTONS, _POLL, _TITLE)
