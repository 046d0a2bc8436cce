"""What a reply repeats of another post: retweets, quotations of forums, mail and messengers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import regex

from mashq.clean.columns import FLOOD, matching

__all__ = ["may_hold_quotation", "quoted"]

_HANDLE = r"[@＠][\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*"
_RETWEET = regex.compile(
    rf"""(?x) \A [\s\"“«]*
    (?: RT \s* {_HANDLE} \s* :? | Retweeted \s [^@\n:]{{0,80}} \( {_HANDLE} \) \s* :? | RT \s+ (?=\S) )"""
)
_QUOTED_AFTER = regex.compile(rf"(?<=\S)\s*[\"“«(]*\bRT\s*{_HANDLE}.*\Z", regex.DOTALL)
_REPLY_TO = regex.compile(
    rf"""(?mxi) ^[ \t]* (?: في\ الرد\ على | رد(?:ا|ًا|اً)?\ على | Replying\ to | In\ reply\ to ) :? \s+
    (?: {_HANDLE} [\s،,]* (?: (?: and\s+ | و\s? ) (?=[@＠]) )? )+ :? [ \t]*"""
)
_ARROW = r"(?:[>»]+(?![^\n«]*»)|[│┃▌▎❯]+|[↪⤷]\ufe0f?|\|(?![^\n|]*\|))"  # a row of a table has two bars
_ARROWS = re.compile(rf"^[ \t]*{_ARROW}[ \t]?", re.MULTILINE)
_ARROW_LINE = re.compile(rf"^[ \t]*{_ARROW}.*$\n?", re.MULTILINE)
_HANDLED = regex.compile(
    rf"(?m)^[ \t]*(?:QT|(?:ال)?[إا]قتباس[ \t]+من)[ \t]*:?[ \t]*{_HANDLE}[ \t]*:.*(?:(?=\n)|(?<=\n)\Z)|(?<=\S)[ "
    rf"\t]*//[ \t]*{_HANDLE}[ \t]*:.*\Z"
)

# A name is at most four words; words that no name begins with tell كتب لي الدكتور and رد على سؤالك from a header.
_NO_NAME = (
    r"(?!(?:لي|له|لها|لنا|لهم|في|من|على|عن|عند|هذا|هذه|كل|بعض|احد|أحد|ان|أن|إن|انه|أنه|ما|لا|و?هو|هي|انا|أنا|انت|"
    r"(?:ال)?د(?:كتور|كتورة|\.)|(?:و?ال)?(?:طبيب|طبيبة|معالج|صيدلي|مدير|معلم|استاذ|أستاذ)|"
    r"(?:ال)?(?:[أا]خصائي|[إا]ستشاري|مختص|ممرض|دكتور|طبيب|صيدلاني|مدرس|معلم|تقرير|نشر[ةه]|تحليل|[أا]شع[ةه]|"
    r"نتيج[ةه]|مختبر|ناس|"
    r"جميع|حكيم)\w*|(?:[أا]م|[أا]ب|[أا]خ|[أا]خت|ابن|بنت|ولد|زوج|جوز|مرات|والد|جد|خال|عم|حما|حمات|صديق|صاحب|جار|"
    r"خطيب|طفل|حفيد)"
    r"(?:ي|و?ي|تي|نا|ه|ها)|ماما|بابا|ستي|تيتا|"
    r"(?:ال)?(?:هاتف|جوال|تليفون|اتصال|سؤال|استفسار|كلام|رسال|موضوع|تعليق|مشارك|شكوى|طلب|أسئلة|اسئلة|رسائل|مكالم)\w*)"
    r"(?:[ \t:،]|$))"
)
_NAME = rf"{_NO_NAME}[^\s:;،,.؟?!()\[\]«»\"“”]{{1,25}}(?:[ \t][^\s:;،,.؟?!()\[\]«»\"“”]{{1,25}}){{0,3}}"
_FRAME = r"[ \t\-=_*•~–—(\[«]*"
_FRAMED = r"[ \t\-=_*•~–—)\]»]*"
_SAID = r"(?:كتب(?:ت|\(ت\)|/ت)?|قالت?|said|wrote|posted)"
_WROTE = r"(?:كتب(?:ت|\(ت\)|/ت)?|said|wrote|posted)"
_MEMBER = r"(?:ال)?(?:عضوة?|مستخدمة?|مشارك[ةه]?|[أا]خت?|زميلة?)[ \t]+"
# What a header quotes: the paragraph under it up to an empty line, else one line; or the rest of its line.
_BODY = r"(?:[ \t]*\n(?:(?!\s*\n).+\n)+(?=[ \t]*\n)|[ \t]*\n.+(?=\n)|[ \t]*\S.*(?=\n))"
_BY = (
    r"(?:ال)?مشارك[ةه]\s+(?:ال)?[أا]صلي[ةه]\s*(?:(?:من|كتبت)\s+)?(?:بواسط[ةه]|من\s+قبل|ل)?|"
    r"Originally\s+(?:posted|written)\s+by|(?:المرسل|الكاتب)\s+ال[أا]صلي(?=\s*:)"
)
_END_OF_QUOTE = r"(?:نهاي[ةه]|[إا]نتهاء|[إا]نتهى)\s+(?:ال)?[إا]قتباس|end\s+(?:of\s+)?quote"
_EXPAND = r"(?:[أاإ]نقر|[إا]ضغط|انقري)\s+(?:هنا\s+)?للتوس(?:ي|)ع\w*|click\s+to\s+expand"
_OPENED = rf"(?:{_FRAME}(?:بداي[ةه]\s+)?(?:ال)?[إا]قتباس|{_FRAME}(?:start\s+(?:of\s+)?)?quote)"

# (pattern of the whole quotation, pattern of its marks alone); tried in this order, each only where its word stands.
_BLOCKS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(whole, re.IGNORECASE | re.MULTILINE), re.compile(marks, re.IGNORECASE | re.MULTILINE))
    for whole, marks in (
        # [quote] … [/quote]
        (
            r"\[(quote|اقتباس|إقتباس)(?:[ =][^\[\]\n]{0,200})?\](?:(?!\[\1)[\s\S]){0,4000}?\[/\1\]",
            r"\[/?(?:quote|اقتباس|إقتباس)[^\[\]\n]{0,200}\]",
        ),
        # Mail: all that follows.
        (
            r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|(?:ال)?رسال[ةه] (?:ال)?[أا]صلي[ةه])"
            r"[ \t]*-{2,}"
            r"(?:.|\n)*\Z",
            r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|(?:ال)?رسال[ةه] (?:ال)?[أا]صلي[ةه])[ \t]*-{2,}"
            r"(?:\n[ \t]*(?:From|To|Sent|Date|Subject|من|إلى|الى|التاريخ|الموضوع)[ \t]*:.*)*",
        ),
        # On 3 May, Sara wrote: … and what follows in lines that begin with >, or all of it.
        (
            r"^[ \t]*(?:On\s.{4,80}\swrote|(?:في|بتاريخ)\s.{0,60}[0-9٠-٩].{0,40}?\sكتبت?\s.{1,60}?)"
            r"[ \t]*:[ \t]*(?:\n(?:[ \t]*>.*\n?)+|$(?:.|\n)*\Z)",
            r"^[ \t]*(?:On\s.{4,80}\swrote|(?:في|بتاريخ)\s.{0,60}[0-9٠-٩].{0,40}?\sكتبت?\s.{1,60}?)[ \t]*:[ \t]*$",
        ),
        # XenForo: name, words, "click to expand".
        (
            rf"^(?:{_NAME}[ \t]*{_SAID}|{_SAID}[ \t]+{_NAME}|{_OPENED})[^\n:]{{0,12}}:(?:.|\n)"
            rf"{{0,3000}}?(?:{_EXPAND})[.… ]*",
            rf"^(?:{_NAME}[ \t]*{_SAID}|{_SAID}[ \t]+{_NAME})[ \t]*:|(?:{_EXPAND})[.… ]*",
        ),
        # Quotation: … end of quotation.
        (
            rf"(?:^|(?<=[.!؟?…]) ?)(?:{_OPENED}){_FRAMED}(?::|\n|من\s|{_BY})(?:.|\n)"
            rf"{{0,4000}}?{_FRAME}(?:{_END_OF_QUOTE})(?!\w){_FRAMED}[:.،]?"
            rf"|[(\[](?:بداي[ةه] )?(?:ال)?[إا]قتباس[)\]](?:.|\n){{0,4000}}?{_FRAME}(?:{_END_OF_QUOTE})(?!\w)"
            rf"{_FRAMED}[:.،]?",
            rf"(?:^|(?<=[.!؟?…]) ?)(?:{_OPENED}){_FRAMED}(?::|\n)|{_FRAME}(?:{_END_OF_QUOTE})(?!\w){_FRAMED}[:.،]?",
        ),
        # Quotation from Sara: … and (quotation: …), and the word alone on its line.
        (
            rf"[(\[][ \t]*(?:ال)?[إا]قتباس[ \t]*:[^()\[\]]{{1,1500}}[)\]]|^{_FRAME}(?:(?:ال)?[إا]قتباس|مقتبس)[ "
            rf"\t]+(?:من[ \t]+)?"
            r"(?:(?:ال)?(?:مشارك[ةه]|كلام|رد|تعليق|رسال[ةه]|منشور|تغريد[ةه]|موضوع)[ \t]*)?"
            rf"(?:{_MEMBER})?(?:{_NAME})?{_FRAMED}:{_BODY}|^{_FRAME}[\"']?(?:ال)?[إا]قتباس[\"']?{_FRAMED}$"
            r"(?:\n(?:(?!\s*\n).+\n)+(?=[ \t]*\n)|\n.+(?=\n))",
            r"^[(\[]?[ \t]*(?:ال)?[إا]قتباس[ \t]*:|^(?:ال)?[إا]قتباس[ \t]*$",
        ),
        # Member Sara said: …, by Sara: …, Sara wrote on 3 May: …, and at the head of a post Sara said: …
        (
            rf"^{_FRAME}(?:(?:كتبت?|قالت?|ذكرت?|[أا]ضافت?)[ \t]+{_MEMBER}{_NAME}|{_MEMBER}{_NAME}[ \t]+(?:كتبت?|"
            rf"قالت?|ذكرت?)|"
            rf"بواسط[ةه][ \t]+{_NAME}|{_NAME}[ \t]+كتبت?[ \t]+(?:بتاريخ|في|يوم)[ \t].{{0,40}}[0-9٠-٩].{{0,20}}?|"
            rf"بتاريخ[ \t].{{0,30}}[0-9٠-٩][ \t]+كتبت?[ \t]+{_NAME}){_FRAMED}:{_BODY}"
            rf"|\A{_FRAME}(?:{_NAME}[ \t]+قالت?|قالت?[ \t]+{_NAME}(?=[ \t]*:[ \t]*\n?[ \t]*[\"«“])){_FRAMED}:"
            rf"(?:[ \t]*\n?[ \t]*[\"«“](?:.|\n){{1,1500}}?[\"»”](?=[ \t]*\S|[ \t]*\n)|{_BODY})",
            r"(?!)",
        ),
        # Reply to: … on one line; «…» — Sara; a first paragraph that is all in quotation marks; ❝ … ❞
        (
            rf"^{_FRAME}رد(?:ا|ًا|اً)?[ \t]+على[ \t]*:[ \t]*\S.*(?=\n)|^[\"«“][^\n\"»”]{{12,}}[\"»”][ \t]*[-–—][ \t]*"
            rf"(?:كتبت?[ \t]+)?{_NAME}[ \t]*(?=\n)|\A[ \t]*[\"«“][^\n\"»”]{{20,1500}}[\"»”][ \t]*(?=\n[ \t]*\n)|"
            rf"❝[^❞]{{1,1500}}❞",
            r"[❝❞]",
        ),
        # Mail that was forwarded.
        (
            r"^[ \t]*(?:-{2,}[ \t]*رسال[ةه] (?:محول[ةه]|معاد توجيهها|موجه[ةه])[ \t]*-{2,}|بد[أا]ت? الرسال[ةه] "
            r"المحول[ةه][ \t]*:|"
            r"Begin forwarded message:)(?:.|\n)*\Z",
            r"^[ \t]*(?:-{2,}[ \t]*رسال[ةه] (?:محول[ةه]|معاد توجيهها|موجه[ةه])[ \t]*-{2,}|بد[أا]ت? الرسال[ةه] "
            r"المحول[ةه][ \t]*:|"
            r"Begin forwarded message:)(?:\n[ \t]*(?:From|To|Sent|Date|Subject|من|إلى|الى|التاريخ|الموضوع)[ \t]*:.*)*",
        ),
        # vBulletin: a header of one or two lines, then words up to an empty line, or one line.
        (
            rf"^(?:{_OPENED}{_FRAMED}:?[ \t]*\n?[ \t]*)?{_FRAME}(?:{_BY})[ \t]*:?[ \t]*(?:{_NAME})?{_FRAMED}:?[ \t]*"
            r"(?:\n(?:(?!\s*\n).+\n)+(?=[ \t]*\n)|\n.+(?=\n)|(?<=:)[ \t]*\S.*(?=\n))?",
            rf"^(?:{_OPENED}{_FRAMED}:?[ \t]*\n?[ \t]*)?{_FRAME}(?:{_BY})[ \t]*:?[ \t]*(?:{_NAME})?{_FRAMED}:?",
        ),
        # Sara wrote: "…", or: Sara wrote: … with the reply on the next line; and a quotation without an end.
        (
            rf"^{_FRAME}(?:{_WROTE}[ \t]+(?:العضوة?[ \t]+|الأخت?[ \t]+)?{_NAME}|{_NAME}[ \t]+(?:كتبت?|wrote|said)|"
            rf"{_OPENED}){_FRAMED}"
            r"[ \t]*:[ \t]*\n?[ \t]*(?:[\"«“](?:.|\n){1,1500}?[\"»”][ \t]*(?=\n|\S)|(?!\n).+(?=\n))",
            rf"\A{_FRAME}(?:{_WROTE}[ \t]+(?:العضوة?[ \t]+|الأخت?[ \t]+)?{_NAME}|{_NAME}[ \t]+(?:كتبت?|wrote|said)|"
            rf"{_OPENED}){_FRAMED}[ \t]*:",
        ),
        # Reply to Sara, on a line of its own or before a colon.
        (
            rf"^{_FRAME}(?:(?:في[ \t]+)?(?:ال)?رد(?:ا|ًا|اً)?[ \t]+على[ \t]+(?:{_MEMBER})?{_NAME}{_FRAMED}:|"
            rf"(?:في[ \t]+ال)?رد(?:ا|ًا|اً)?[ \t]+على[ \t]*(?::[ \t]*|(?:مشارك[ةه]|تعليق|رسال[ةه]|"
            r"منشور|تغريد[ةه])[ \t]+(?:العضوة?[ \t]+)?)"
            rf"{_NAME}{_FRAMED}(?:$|:)|في[ \t]+الرد[ \t]+على[ \t]+{_NAME}{_FRAMED}(?:$|:)|↩\ufe0f?[^\n]{{1,60}}$|"
            rf"(?:Replying|In reply)[ \t]+to[ \t]+{_NAME}{_FRAMED}(?:$|:))",
            r"(?!)",
        ),
        (r"^[ \t]*(?:رد مع [إا]قتباس|Reply With Quote|رد ب[إا]قتباس)[ \t]*$", r"(?!)"),
    )
)
MOST_NESTED = 8  # quotations within quotations that are looked for
_WORDS = re.compile(
    r"قتباس|quote|شارك[ةه]\s+(?:ال)?[أا]صلي|رسال[ةه]\s+(?:ال)?[أا]صلي|original|forwarded|(?:wrote|said|"
    r"posted)\s*:|expand|للتوس"
    r"|(?:كتبت?|قالت?|ذكرت?|[أا]ضافت?|بواسط[ةه])[^\n:]{0,110}:|رد(?:ا|ًا|اً)?[ \t]+على|↩|repl|مقتبس|محول|المرسل|"
    r"❝|[\"»”][ \t]*(?:[-–—]|\n[ \t]*\n)",
    re.IGNORECASE,
)


def quoted(text: str) -> tuple[str, int]:
    """What a reply repeats of another post: RT @x: at the head goes and the words stay, for they are all there is; a
    quotation behind or before the writer's own words goes whole: [quote] blocks, lines that begin with >, اقتباس: … and
    the headers of forums and mail with the words under them. Where nothing else is there, only the marks go."""
    made, found = _without_blocks(text, whole=True) if _WORDS.search(text) and not FLOOD.search(text) else (text, 0)
    for pattern in (_REPLY_TO, _HANDLED, _RETWEET, _QUOTED_AFTER):
        made, n = pattern.subn("", made)
        found += n
    if _ARROWS.search(made):
        rest, n = _ARROW_LINE.subn("", made)
        made, found = rest, found + n
    return (made, found) if not found or made.strip() else (_unmarked(text), found)


def _without_blocks(text: str, whole: bool) -> tuple[str, int]:
    """A text without its quotations, or without their marks."""
    found = 0
    for block, marks in _BLOCKS:
        for _ in range(MOST_NESTED):
            text, n = (block if whole else marks).subn(" ", text)
            found += n
            if not n:
                break
    return text, found


_QUOTING = (
    r"RT|QT|//|Retweeted|[>»↩↪⤷│┃▌▎❯❝|]|مقتبس|محول|المرسل|[\"”][\s\pZ]*[-–—\n]|(?i:quote|originally|original "
    r"message|forwarded message|click\s+to\s+expand|wrote|said|posted)"
    r"|(?i:replying to|in reply to)|قتباس|شارك[ةه]\s+(?:ال)?[أا]صلي|رسال[ةه] (?:ال)?[أا]صلي|للتوس|على[\s\pZ]*:|"
    r"على[\s\pZ]+[@＠]|رد[اً]*[\s\pZ]+على|(?:كتبت?|قالت?|ذكرت?|[أا]ضافت?|بواسط[ةه])[^\n:]*:"
)


def may_hold_quotation(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether a mark of quoting is in it."""
    return matching(texts, _QUOTING)


def _unmarked(text: str) -> str:
    """The words of a text that is nothing but a quotation, without the marks of quoting."""
    bare = _without_blocks(text, whole=False)[0]
    return _ARROWS.sub("", _RETWEET.sub("", _REPLY_TO.sub("", bare)))
