"""Whole posts: advertisements, replies that quote, what apps add, length, script, copies of one another."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import regex

from mashq import arabic
from mashq.clean.rule import data
from mashq.near import Near
from mashq.word_patterns import FOLD, fold, word_pattern

__all__ = [
    "boilerplate",
    "matching",
    "may_be_long",
    "may_be_short",
    "may_hold_boilerplate",
    "may_hold_quotation",
    "may_hold_spam",
    "near_duplicate",
    "not_arabic",
    "quoted",
    "spam",
    "too_long",
    "too_short",
]

# --- quoted replies --------------------------------------------------------------------------------------------------

_HANDLE = r"[@＠][\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*"
_RETWEET = regex.compile(
    rf"""(?x) \A [\s\"“«]*
    (?: RT \s* {_HANDLE} \s* :? | Retweeted \s [^@\n:]{{0,80}} \( {_HANDLE} \) \s* :? | RT \s+ (?=\S) )"""
)
_QUOTED_AFTER = regex.compile(rf"(?<=\S)\s*[\"“«(]*\bRT\s*{_HANDLE}.*\Z", regex.DOTALL)
_REPLY_TO = regex.compile(
    rf"""(?mx) ^[ \t]* (?: في\ الرد\ على | رد(?:ا|ًا|اً)\ على | Replying\ to | In\ reply\ to ) \s+
    (?: {_HANDLE} [\s،,]* (?: (?: and\s+ | و\s? ) (?=[@＠]) )? )+ :? [ \t]*"""
)
_ARROWS = re.compile(r"^[ \t]*>+[ \t]?", re.MULTILINE)
_ARROW_LINE = re.compile(r"^[ \t]*>.*$\n?", re.MULTILINE)
_BLOCK = re.compile(r"\[quote(?:=[^\[\]\n]{0,200})?\].{0,4000}?\[/quote\]", re.IGNORECASE | re.DOTALL)


def quoted(text: str) -> tuple[str, int]:
    """What a reply repeats of another post: RT @x: at the head goes and the words stay, for they are all there is; a
    quotation behind the writer's own words goes whole, and so do lines that begin with > and [quote] blocks, except
    where nothing else is there: then only the mark goes."""
    whole = text
    text, n = _BLOCK.subn(" ", text)
    found = n
    for pattern in (_REPLY_TO, _RETWEET, _QUOTED_AFTER):
        text, n = pattern.subn("", text)
        found += n
    if ">" in text and _ARROWS.search(text):
        rest, n = _ARROW_LINE.subn("", text)
        if not rest.strip():
            rest, n = _ARROWS.subn("", text)
        text, found = rest, found + n
    return (text, found) if text.strip() or not found else (_BLOCK.sub(" ", whole) and _unmarked(whole), found)


_QUOTING = r"RT|Retweeted|>|\[(?i:quote)|(?i:replying to|in reply to)|على[\s\pZ]+[@＠]"


def may_hold_quotation(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether a mark of quoting is in it."""
    return matching(texts, _QUOTING)


def _unmarked(text: str) -> str:
    """The words of a text that is nothing but a quotation, without the marks of quoting."""
    bare = re.sub(r"\[/?quote[^\[\]\n]*\]", " ", text, flags=re.IGNORECASE)
    return _ARROWS.sub("", _RETWEET.sub("", _REPLY_TO.sub("", bare)))


# --- words of a file -------------------------------------------------------------------------------------------------

_CLASSES = {"ا": "[اأإآٱ]", "ى": "[ىي]", "ي": "[ىيی]", "ة": "[ةه]", "ه": "[هة]", "ك": "[كک]", " ": r"[ \t\u00a0]+"}
_MARKS = f"[{arabic.TASHKEEL}{arabic.TATWEEL}]*"


def _loose(phrase: str) -> str:
    """A phrase -> a pattern that finds it in any of its spellings, with vowel marks and stretching."""
    letters = [_CLASSES.get(char, re.escape(char)) for char in fold(phrase)]
    return "".join(
        f"{letter}{_MARKS}" if letter[0] != "[" or "اىية".find(letter[1]) >= 0 else letter for letter in letters
    )


@functools.cache
def _boilerplate() -> tuple[re.Pattern[str], ...]:
    words = data("words")["boilerplate"]
    anywhere, lines, ends = (
        "|".join(map(_loose, sorted(words[key], key=len, reverse=True))) for key in ("anywhere", "line", "end")
    )
    edge = r"[\s\"'()\[\]<>«»*.,،:!-]*"
    return (
        re.compile(rf"(?i)(?<!\w)[ \t(<\[]{{0,8}}(?:{anywhere})(?!\w)[ \t)>\].]*"),
        re.compile(rf"(?im)^{edge.replace(chr(92) + 's', ' ')}(?:{lines}){edge.replace(chr(92) + 's', ' ')}$"),
        re.compile(
            rf"(?i)(?:(?<=[.!؟?…،:\n\"»)])|\A)[ \t]{{0,8}}[(\[#*]{{0,8}}(?:{ends})[)\]*. \t]*\Z|[(\[](?:{ends})[)\]]"
        ),
        re.compile(
            r"(?m)^\[?[0-9٠-٩]{1,2}[/.-][0-9٠-٩]{1,2}[/.-][0-9٠-٩]{2,4}[,،]?\s[0-9٠-٩]{1,2}:[0-9٠-٩]{2}(?::[0-9٠-٩]{2})?"
            r"\s?(?:AM|PM|am|pm|ص|م)?\]?\s?[-–]?\s[^:\n]{1,40}:[ \t]"
        ),
    )


def boilerplate(text: str) -> tuple[str, int]:
    """What apps and habit add to a post: sent from my phone, via @app, (منقول), the stamps of a chat export."""
    found = 0
    for pattern in _boilerplate():
        text, n = pattern.subn(" ", text)
        found += n
    return text, found


@functools.cache
def _boilerplate_hint() -> str:
    words = data("words")["boilerplate"]
    phrases = {fold(phrase) for group in words.values() for phrase in group}
    spaced = (r"[\s\pZ]+".join(map(re.escape, phrase.split())) for phrase in sorted(phrases))
    return "|".join([*spaced, r"[0-9][/.-][0-9]{1,2}[/.-][0-9]{2}"])


def may_hold_boilerplate(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether one of the phrases, or a date, is in it, in any spelling."""
    return _matching(texts, _boilerplate_hint())


def _matching(texts: Sequence[str], pattern: str) -> list[bool]:
    """For each text whether the pattern is found in its folded spelling; True for what Arrow cannot hold."""
    return matching(texts, pattern, folded=True)


def matching(texts: Sequence[str], pattern: str, folded: bool = False) -> list[bool]:
    """For each text whether the pattern (RE2's) is found in it; True for all where Arrow cannot hold one of them."""
    column = _column(texts)
    if column is None:
        return [True] * len(texts)
    if folded:
        column = arabic.normalise_column(column, (*FOLD, "persian"))
    return pc.match_substring_regex(column, pattern, ignore_case=folded).to_pylist()


def _column(texts: Sequence[str]) -> pa.Array | None:
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # a lone surrogate
        return None


# --- advertisements --------------------------------------------------------------------------------------------------


@functools.cache
def _advertising() -> dict[str, re.Pattern[str]]:
    """Sign of advertisement -> its words; a pattern over folded text."""
    return {sign: word_pattern(words) for sign, words in data("words")["spam"].items()}


@functools.cache
def _contacts() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    sites = "|".join(map(re.escape, data("words")["spam_sites"]))
    phone = re.compile(r"(?<![\w.,/])(?:\+|00)?[0-9](?:[ -]?[0-9]){8,13}(?![\w/])")
    return re.compile(rf"(?i)(?<![\w-])(?:{sites})(?!\w)"), phone, re.compile(r"https?://|www\.")


def spam(text: str, least_signs: int = 3) -> str | None:
    """Why a post is an advertisement or made by an app: `least_signs` different signs of `words.yaml`, of which a link
    or a telephone number counts as one and cannot be the only ones; or a link to a site that posts by itself."""
    folded = fold(text)
    site, phone, link = _contacts()
    automatic = site.search(text)
    if automatic:
        return f"spam: posted by an app ({automatic[0]})"
    hits = [match[0] for pattern in _advertising().values() if (match := pattern.search(folded))]
    signs = [*hits, *(["رقم هاتف"] if phone.search(folded) else []), *(["رابط"] if link.search(text) else [])]
    if len(hits) < min(2, least_signs) or len(signs) < least_signs:
        return None
    return f"spam: {len(signs)} signs of advertisement ({', '.join(signs)}) >= {least_signs}"


@functools.cache
def _spam_hint() -> str:
    stems = {fold(word.rstrip("*")) for words in data("words")["spam"].values() for word in words}
    return "|".join(map(re.escape, sorted(stems | set(data("words")["spam_sites"]))))


def may_hold_spam(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether a word of advertisement is in it, even inside another word."""
    return _matching(texts, _spam_hint())


# --- length and script -----------------------------------------------------------------------------------------------


def too_short(text: str, least_words: int = 3) -> str | None:
    """Why a text says too little: words as `arabic.words` counts them, without those of emoji and digits alone."""
    n = sum(any(map(str.isalpha, word)) for word in arabic.words(text))
    return f"short: {n} word{'s' * (n != 1)} < {least_words}" if n < least_words else None


_TOKEN_WITH_LETTER = r"[^\s\pZ]*\pL[^\s\pZ]*"


def may_be_short(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether fewer than `least_words` pieces between spaces have a letter: a text has as many words."""
    column = _column(texts)
    if column is None:
        return [True] * len(texts)
    tokens = pc.count_substring_regex(column, _TOKEN_WITH_LETTER)
    return pc.less(tokens, settings["least_words"]).to_pylist()


def may_be_long(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether it has more characters than it may have words."""
    return [len(text) > settings["most_words"] for text in texts]


def too_long(text: str, most_words: int = 400) -> str | None:
    """Why a text is no post."""
    if len(text) <= most_words:  # a word has a letter
        return None
    n = len(arabic.words(text))
    return f"long: {n:,} words > {most_words:,}" if n > most_words else None


def not_arabic(text: str, least_share: float = 0.5) -> str | None:
    """Why a text is not Arabic: the share of its letters that are of the Arabic script. A text without letters passes:
    what it lacks is words."""
    share = arabic.arabic_share(text)
    if share >= least_share or not any(map(str.isalpha, text)):
        return None
    return f"not arabic: {share:.2f} of letters < {least_share:.2f}"


def near_duplicate(texts: Sequence[str], least: float = 0.8, run: int = 2) -> list[str | None]:
    """Why a text repeats an earlier one of the column: Jaccard's measure of their runs of words, estimated.

    The first stays. Empty texts are nobody's copies. Of texts with equal words no sketch is made but the first's.
    """
    near = Near(least, run)
    seen: dict[str, int] = {}
    reasons: list[str | None] = []
    for place, text in enumerate(texts):
        first = seen.setdefault(text, place)
        if not text:
            reasons.append(None)
        elif first != place:
            reasons.append(f"near duplicate: 1.00 of text {first + 1} >= {least:.2f}")
        else:
            found = near.add(text, str(place + 1))
            reasons.append(f"near duplicate: {found[1]:.2f} of text {found[0]} >= {least:.2f}" if found else None)
    return reasons
