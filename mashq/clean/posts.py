"""Whole posts: advertisements, length, script, copies of one another."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from mashq import arabic
from mashq.clean.columns import column_of, matching_folded, spellings
from mashq.clean.rule import data
from mashq.near import alike
from mashq.word_patterns import folded_lower, word_pattern

__all__ = [
    "may_be_long",
    "may_be_short",
    "may_hold_spam",
    "near_duplicate",
    "not_arabic",
    "spam",
    "too_long",
    "too_short",
]

# --- advertisements --------------------------------------------------------------------------------------------------


@functools.cache
def _advertising() -> dict[str, re.Pattern[str]]:
    """Sign of advertisement -> its words; a pattern over folded text."""
    return {sign: word_pattern(words) for sign, words in data("words")["spam"].items()}


_ALONE = "strong"  # signs that count twice: with one way of contact they are enough


@functools.cache
def _contacts() -> tuple[re.Pattern[str], dict[str, re.Pattern[str]]]:
    """(sites that post by themselves, way of contact -> its pattern). Words in brackets stand for what was taken."""
    sites = "|".join(map(re.escape, data("words")["spam_sites"]))
    phone = (
        r"(?<![\w.,/])(?:\+|00)?[0-9](?:[ -]?[0-9]){8,13}(?![\w/])|"
        r"[\[<](?:رقم|هاتف|جوال|تليفون|phone)[^\]>\n]{0,20}[\]>]"
    )
    link = (
        r"https?:|www\.|(?<![\w@-])(?:bit\.ly|t\.me|wa\.me|t\.co|goo\.gl|tinyurl\.com|[a-z0-9][a-z0-9-]{1,62}\.(?:com|"
        r"net|org|info|me|shop|store|xyz))"
        r"(?![\w])|[\[<](?:رابط|لينك|url|link)[^\]>\n]{0,20}[\]>]"
    )
    return re.compile(rf"(?i)(?<![\w-])(?:{sites})(?!\w)"), {"رقم هاتف": re.compile(phone), "رابط": re.compile(link)}


def spam(text: str, least_signs: int = 3, came: str = "") -> str | None:
    """Why a post is an advertisement or made by an app: `least_signs` different signs of `words.yaml`, of which a link
    or a telephone number counts as one and cannot be the only ones, and a strong one as two; or a link to a site that
    posts by itself. came: the text before any rule; links and numbers count where either of the two has them."""
    folded = folded_lower(text)
    whole = folded if came in ("", text) else f"{folded}\n{folded_lower(came)}"
    sites, ways = _contacts()
    automatic = sites.search(whole)
    if automatic:
        return f"spam: posted by an app ({automatic[0]})"
    contacts = [way for way, pattern in ways.items() if pattern.search(whole)]
    hits = [match[0] for match in [_advertising()[_ALONE].search(folded)] if match]
    words = 2 * len(hits)
    folded = _advertising()[_ALONE].sub(" ", folded) if hits else folded  # what it says counts once
    for sign, pattern in _advertising().items():
        if sign != _ALONE and (match := pattern.search(folded)):
            hits, words = [*hits, match[0]], words + 1
    if words < min(2, least_signs) or words + len(contacts) < least_signs:
        return None
    shown = ", ".join([*hits, *contacts])
    return f"spam: {words + len(contacts)} signs of advertisement ({shown}) >= {least_signs}"


@functools.cache
def _spam_hint() -> str:
    words = [word.rstrip("*") for words in data("words")["spam"].values() for word in words]
    return spellings([*words, *data("words")["spam_sites"]])


def may_hold_spam(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether a word of advertisement is in it, even inside another word."""
    return matching_folded(texts, _spam_hint())


# --- length and script -----------------------------------------------------------------------------------------------


def too_short(text: str, least_words: int = 3) -> str | None:
    """Why a text says too little: words as `arabic.words` counts them, without those of emoji and digits alone."""
    n = sum(any(map(str.isalpha, word)) for word in arabic.words(text))
    return f"short: {n} word{'s' * (n != 1)} < {least_words}" if n < least_words else None


_LETTER = r"[A-Za-z\x{0621}-\x{063a}\x{0641}-\x{064a}]"  # not all letters: a text of others is looked at


def may_be_short(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether fewer than `least_words` pieces between spaces have a letter: a text has as many words."""
    least = settings["least_words"]
    if least > 50:
        return [True] * len(texts)
    column = column_of(texts)
    if column is None:
        return [True] * len(texts)
    return pc.invert(
        pc.match_substring_regex(column, rf"(?s){_LETTER}(?:.*?[\s\pZ].*?{_LETTER}){{{least - 1}}}")
    ).to_pylist()


def may_be_long(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether it has more characters than it may have words."""
    return [len(text) > settings["most_words"] for text in texts]


def too_long(text: str, most_words: int = 400) -> str | None:
    """Why a text is no post."""
    if len(text) <= most_words:  # a word has a letter
        return None
    n = len(arabic.words(text))
    return f"long: {n:,} words > {most_words:,}" if n > most_words else None


_OWN, _OTHERS = re.compile(r"[\u0621-\u063a\u0641-\u064a]"), re.compile(r"[^\W\d_\u0620-\u064a]")


def not_arabic(text: str, least_share: float = 0.5) -> str | None:
    """Why a text is not Arabic: the share of its letters that are of the Arabic script. A text without letters passes:
    what it lacks is words."""
    own, others = len(_OWN.findall(text)), len(_OTHERS.findall(text))
    if own and own >= least_share * (own + others):  # of more letters than these the share is no smaller
        return None
    share = arabic.arabic_share(text)
    if share >= least_share or not any(map(str.isalpha, text)):
        return None
    return f"not arabic: {share:.2f} of letters < {least_share:.2f}"


def near_duplicate(texts: Sequence[str], least: float = 0.8, run: int = 2) -> list[str | None]:
    """Why a text repeats an earlier one of the column: Jaccard's measure of their runs of words, estimated.

    The first stays. Empty texts are nobody's copies. Of texts with equal words no sketch is made but the first's.
    """
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    unique = sorted(first.values())
    like = dict(zip(unique, alike([texts[place] for place in unique], least, run), strict=True))
    reasons: list[str | None] = []
    for place, text in enumerate(texts):
        found = like[first[text]]
        share, of = (1.0, first[text]) if first[text] != place else (found[1], unique[found[0]]) if found else (0.0, 0)
        told = bool(text) and share >= least
        reasons.append(f"near duplicate: {share:.2f} of text {of + 1} >= {least:.2f}" if told else None)
    return reasons
