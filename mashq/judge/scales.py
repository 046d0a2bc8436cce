"""A scale said once for all that is not the one asked for: "Scores (out of 10)", `"max_score": 10`, "1 = best".

What stands in its scope has no score: 4 of 10 is not 4 of 5, and a 1 that is best is not the worst. A scale said of one
number alone ("4 on a scale of 10") is read with that number, in `values`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mashq.judge.rubrics import LEVELS
from mashq.judge.words import Claim, Fault, Pairs, Vocabulary, of_object

__all__ = ["behind_name", "of_pairs", "says_other", "scale_of_all", "with_chosen"]

MOST_PAIRS = 5_000  # objects of a reply whose keys are looked at
WORDS = ("six", "seven", "ten", "hundred", "سته", "سبعه", "عشره", "عشر", "مئه", "مائه")
COUNT = rf"(\d{{1,4}}|{'|'.join(WORDS)})(?![\w.]*\d|\w|\s?[%٪])"
SPAN = r"\d{1,2}[ \t]*(?:-|–|—|to|through|الي|حتي|\.\.+)[ \t]*"
ENDS = rf"(?:/|out of|max(?:imum)?(?: of)?|من اصل|من|علي)[ \t]*(?:{SPAN})?{COUNT}"
# A word for all scores, and right behind it what they are out of.
HEADED = re.compile(
    r"(?<!\w)(?P<what>(?:scores?|ratings?|grades?|marks?|points|scale|الدرجات|الدرجه|درجات\w*|التقييم|التقييمات|العلامه"
    r"|العلامات|المقياس|النتائج|النقاط))[ \t*_]*(?:are|is|given|:|هي|هو)?[ \t]*[(\[]?[ \t]*"
    rf"(?:{ENDS}|(?:from|between|of|range[sd]?|بين|من)?[ \t]*"
    rf"[01][ \t]*(?:-|–|—|to|through|and|الي|حتي|و|\.\.+)[ \t]*{COUNT})"
)
# "on a 0-10 scale", "on a scale of 1 to 10", "scored from 0 to 100", "علي مقياس من 1 الي 10".
SPOKEN = re.compile(
    rf"(?<!\w)(?:(?:on|in|using|use|with|by) (?:a|an|the)[ \t]*(?:{SPAN})?{COUNT}"
    r"(?:[ \t-]*(?:point|level))?[ \t-]*scale"
    rf"|(?:on|in|using|use|with|by) (?:a|the) scale (?:of|from|out of)[ \t]*(?:{SPAN})?{COUNT}"
    rf"|(?:scor(?:e|es|ed|ing)|rat(?:e|es|ed|ing)|grad(?:e|ed|ing)|marked) (?:\w+ ){{0,4}}"
    rf"(?:from|between|out of) (?:{SPAN}|\d{{1,2}} and )?{COUNT}"
    rf"|(?:علي|في|ب)[ \t]?مقياس (?:من |بين )?(?:{SPAN})?{COUNT}|مقياس من (?:{SPAN})?{COUNT}"
    rf"|(?:a|the) (?:{SPAN})?{COUNT}[ \t-]*(?:point )?scale)"
)
OPENING = re.compile(rf"(?:^|\n)[ \t*_#(]*{ENDS}[ \t*_)]*:[ \t*_]*(?=\n)")  # "Out of ten:"
WHOLE = re.compile(
    r"(?<!\w)(?:overall|total|average|mean|sum|confidence|final|previous|old|المجموع|مجموع|الاجمالي|متوسط|المتوسط|المعدل"
    r"|الثقه)[^\n]{0,30}\Z"
)
OFFERED = re.compile(
    r"(?<!\w)(?:let me know|if you (?:want|prefer|like|wish)|instead|اذا اردت|ان اردت|لو تحب|بدلا)(?!\w)"
)
BEST = r"(?:the )?(?:best|highest|perfect|strongest)|(?:هي |هو )?(?:الافضل|افضل|الاحسن|الاعلي)"
WORST = r"(?:the )?(?:worst|lowest|weakest)|(?:هي |هو )?(?:الاسوا|اسوا|الاضعف|الادني)"
MEANS = r"[ \t]*(?:=|:|\(|means|being|is|تعني|يعني|هي|هو|-|–)[ \t]*"
GOOD = "excellent|very good|outstanding|ممتاز\\w*|جيده? جدا"
BAD = "very (?:poor|bad|weak)|poor|bad|terrible|unacceptable|رديء\\w*|رديئه|ضعيفه?|سيي\\w*|سيء\\w*"
TURNED = re.compile(
    rf"(?<![\d.,/])(?:1{MEANS}(?:{BEST})|[2-9]{MEANS}(?:{WORST}))(?!\w)"
    r"(?! (?:of|in|part|point|thing|ما|شيء|reply|story))"
    rf"|(?<![\d.,/])1{MEANS}(?:{GOOD})(?!\w)[^\n]{{0,60}}?[2-9]{MEANS}(?:{BAD})(?!\w)"
    r"|(?<!\w)(?:lower|smaller|less) is better|(?<!\w)(?:الاقل|الادني) (?:هو |هي )?(?:الافضل|افضل)"
)
LIMITS = re.compile(
    r"(?:max|maximum|of|out[ _-]?of|scale|(?:max|maximum|highest|full)[ _-]?(?:score|rating|value|points?|mark|grade)"
    r"|(?:score|rating)[ _-]?(?:scale|range|max)|scale[ _-]?max|range|المقياس|من|من اصل|الدرجه القصوي|الحد الاقصي)"
)
NUMBER_AT_END = re.compile(rf"(?:{COUNT})[ \t)\]]*\Z")


def _is_other(found: re.Match[str]) -> bool:
    """Whether the end of a scale is another than that of the rubric."""
    ends = [one for one in found.groups() if one and (one.isdigit() or one in WORDS)]
    return bool(ends) and ends[-1] != str(LEVELS[-1])


def scale_of_all(text: str, mention: re.Pattern[str]) -> Fault | None:
    """The other scale that a text says for all its scores; None where it says none.

    Behind a criterion's name (`mention`) it may be a reason: "asks for pain on a scale of 1 to 10".
    """
    if turned := TURNED.search(text):
        return Fault(f"another scale: {turned[0]!r}")
    for pattern in (HEADED, SPOKEN, OPENING):
        for found in pattern.finditer(text):
            before = text[max(0, found.start() - 300) : found.start()].rpartition("\n")[2]
            line = before + text[found.start() : found.end() + 60].partition("\n")[0]
            spoken = pattern is SPOKEN or re.match("scale (?:of|from)", found[0])
            own = spoken and _of_one(before, mention)
            if _is_other(found) and not own and not WHOLE.search(before[-60:]) and not OFFERED.search(line):
                return Fault(f"another scale: {found[0]!r}")
    return None


def _of_one(before: str, mention: re.Pattern[str]) -> bool:
    """Whether a scale is that of the one number before it, or stands in the reason for a score."""
    names = len(mention.findall(before))
    return names < 2 if re.search(r"\d[ \t(\[,]*(?:(?:on|in) a )?\Z", before) else names > 0


def behind_name(text: str, at: int) -> Fault | None:
    """Another scale right behind a criterion's name: "Fluency (out of 10): 8", "الطلاقة (من 10)"."""
    found = re.compile(
        rf"[ \t*_]*(?:[(\[][ \t]*(?:score[ \t]*)?(?:{ENDS}|[01][ \t]*(?:-|–|—|to|الي)[ \t]*{COUNT})[ \t]*[)\]]"
        rf"|/[ \t]*{COUNT}[ \t*_]*[:=|])"
    ).match(text, at)
    return Fault(f"another scale: {found[0].strip()!r}") if found and _is_other(found) else None


def _limit(value: Any) -> bool:
    """Whether the value of a key such as `max_score` or `scale` is another scale than the rubric's."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    if isinstance(value, str):
        found = NUMBER_AT_END.search(value)
        return bool(TURNED.search(value) or (found and _is_other(found)))
    return value != LEVELS[-1]


def says_other(pairs: Pairs) -> bool:
    """Whether an object has a key that says another scale."""
    return any(LIMITS.fullmatch(key.strip()) and _limit(value) for key, value in pairs)


def _inside(value: Any) -> Iterator[Pairs]:
    waiting, seen = [value], 0
    while waiting and seen < MOST_PAIRS:
        one = waiting.pop()
        seen += 1
        if isinstance(one, Pairs):
            yield one
            waiting += [inner for _, inner in one if isinstance(inner, list)]
        elif isinstance(one, list):
            waiting += [inner for inner in one if isinstance(inner, list)]


def of_pairs(pairs: Pairs, known: Vocabulary, claims: dict[str, list[Claim]]) -> None:
    """A fault for every criterion that stands in an object, at any depth, which says another scale."""
    for one in _inside(pairs):
        if says_other(one):
            of_object(one, known, lambda _, value: [Fault("another scale: its object says so")], claims)


JOINT = r"[ \t]*[|/,،;-]?[ \t]*"
LISTED = re.compile(
    r"(?<![\d.,/|])" + JOINT.join(rf"(?:\[|\(|\*{{1,2}}|__|<)?{level}(?:\]|\)|\*{{1,2}}|__|>)?" for level in LEVELS)
)
MARKED = re.compile(r"(?:\[|\(|\*{1,2}|__|<)([1-5])(?:\]|\)|\*{1,2}|__|>)")


def with_chosen(text: str) -> str:
    """A text in which a listed scale with one level marked, "1 2 3 [4] 5", is that level."""

    def chosen(found: re.Match[str]) -> str:
        marked = MARKED.findall(found[0])
        return f" {marked[0]} " if len(marked) == 1 else found[0]

    return LISTED.sub(chosen, text)
