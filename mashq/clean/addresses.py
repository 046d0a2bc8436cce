"""Addresses in social text: links, e-mail, telephone numbers, mentions, hashtags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import combining

import regex

from mashq.clean.columns import matching

__all__ = ["email", "hashtag", "may_hold_phone", "mention", "phone", "url"]

# A link may stand right behind an Arabic word, and an Arabic word right behind a link. Arabic letters belong to it only
# after a character that a path, query or fragment uses (…/wiki/القاهرة), never right after a Latin letter or a digit.
_PLAIN = r"A-Za-z0-9"
_JOINT = r"/?=&%#_+~:;,.!'()*@$-"
_TAIL = rf"(?:[{_PLAIN}]|[{_JOINT}]|(?<=[/=_%#-])[\p{{Arabic}}\p{{M}}]++)*"
_END = rf"(?:[{_PLAIN}/=_%#&~+-]|(?<=[\p{{Arabic}}\p{{M}}]))"
_DOMAIN = (
    r"(?:t\.co|bit\.ly|goo\.gl|youtu\.be|wa\.me|t\.me|fb\.me|ow\.ly|tinyurl\.com|is\.gd|dlvr\.it|pic\.twitter\.com|"
    r"[a-z0-9-]{2,}(?:\.[a-z0-9-]{2,})*\.(?:com|net|org|info|co|me|tv|ly|io|app|edu|gov|sa|ae|eg|kw|qa|bh|om|jo|lb|ma|dz|tn))"
)
_URL = regex.compile(
    rf"""(?ix)
    (?:https?|ftp)\s?:\s?/{{1,2}}\s?(?:{_TAIL}{_END})?+[…]?
    | (?<![{_PLAIN}@.])www\.{_TAIL}{_END}[…]?
    | (?<![{_PLAIN}@._-]){_DOMAIN}(?:/(?:{_TAIL}{_END})?+|(?![{_PLAIN}@._-]))
    | (?<![{_PLAIN}])https?(?:…|:…)
    """
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}[@＠][A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,12}"
)
_MENTION = regex.compile(r"(?<![A-Za-z0-9_@/])(?<![A-Za-z0-9]\.)[@＠][\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*")
_HASHTAG = regex.compile(
    r"(?<![#＃])[#＃]++([\p{L}\p{M}\p{N}_\u0640\u200c]*[\p{L}\p{M}][\p{L}\p{M}\p{N}_\u0640\u200c]*)"
)

_D = r"[0-9٠-٩۰-۹]"
_GAP = r"[ .()‐‑–/-]{0,2}"
_ZERO, _PLUS = "[0٠۰]", r"(?:\+|[0٠۰]{2})"
# Country codes of the Arab states, for numbers that are written without + or 00.
_CODES = "(?:20|21[2368]|222|249|252|253|269|96[1-8]|970|97[1-4])"
_PHONE = re.compile(
    rf"""(?x)
    (?<![\w+.,/٫٬-])
    (?: {_PLUS}(?:{_GAP}{_D}){{8,14}}              # international
      | \(?{_ZERO}{_D}(?:{_GAP}{_D}){{7,9}}         # with the trunk zero: 05x xxx xxxx, 01x xxxx xxxx, 0x xx xx xx xx
      | {_CODES}(?:{_GAP}{_D}){{8,10}}             # a country code alone
      | (?:9200|8001|٩٢٠٠|٨٠٠١){_GAP}{_D}{_GAP}{_D}{_GAP}{_D}{_GAP}{_D}{_D}   # unified and toll-free numbers
      )
    (?![\w٫٬]|[.,/:-]{_D})
    """
)
_DATE = re.compile(rf"{_D}{{1,2}}[-/.]{_D}{{1,2}}[-/.]{_D}{{4}}|{_D}{{4}}[-/.]{_D}{{1,2}}[-/.]{_D}{{1,2}}(?!{_D})")


def url(text: str, put: str = "") -> tuple[str, int]:
    """Links replaced by `put`: with a scheme, with www, shortened, or a bare domain of a known ending."""
    return _URL.subn(f" {put} " if put else " ", text)


def email(text: str, put: str = "") -> tuple[str, int]:
    """E-mail addresses replaced by `put`."""
    return _EMAIL.subn(f" {put} " if put else " ", text)


def mention(text: str, put: str = "") -> tuple[str, int]:
    """Handles, in Latin or Arabic letters, replaced by `put`; an at sign before a space or a mark stays."""
    return _MENTION.subn(f" {put} " if put else " ", text)


def phone(text: str, put: str = "") -> tuple[str, int]:
    """Telephone numbers replaced by `put`: the pattern only, a date and a sum of money are none."""
    found = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal found
        if _DATE.match(match[0]):
            return match[0]
        found += 1
        return f" {put} " if put else " "

    return _PHONE.sub(replaced, text), found


_DIGITS = "[0-9٠-٩۰-۹](?:[ .()‐‑–/-]{0,2}[0-9٠-٩۰-۹]){7}"


def may_hold_phone(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether eight digits stand together, as a number has at least."""
    return matching(texts, _DIGITS)


def hashtag(text: str, do: str = "words") -> tuple[str, int]:
    """Hashtags as the words in them, or dropped; numbers after a hash (#1) are none."""

    def words(match: regex.Match[str]) -> str:
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        inside = " ".join(match[1].replace("_", " ").split()) if do == "words" else ""
        return _spaced(before) + inside + _spaced(after)

    return _HASHTAG.subn(words, text)


def _spaced(neighbour: str) -> str:
    """A space where a letter, a vowel mark, a digit or another hashtag stands next to it."""
    return " " if neighbour.isalnum() or neighbour in ("#", "＃", "@") or combining(neighbour or " ") else ""
