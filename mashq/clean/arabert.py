"""The text that AraBERT was trained on: its preprocessing for the models without segmentation (v0.2, and for tweets).

Written from the published behaviour of the package arabert 1.0.1 (Antoun et al. 2020, `ArabertPreprocessor`), and held
against its output in benchmarks/cleaning.py. Orders and quirks are its own: a full stop inside Arabic words may make
Latin letters beside it an address, and every mark stands between spaces.
"""

from __future__ import annotations

import html
import re
from functools import cache

import regex

from mashq.arabic import DIGITS, TATWEEL, WESTERN_DIGITS

__all__ = ["arabert"]

LINK, USER, MAIL = " [رابط] ", " [مستخدم] ", " [بريد] "
_VOWELS = re.compile("[\u064b-\u0652]+")

_HOST = r"[-a-zA-Z0-9@:%._+~#=]"
_DOTTED = re.compile(rf"(?:https?://.)?(?:www\.)?{_HOST}{{2,256}}\.[a-z]{{2,6}}\b[-a-zA-Z0-9@:%_+.~#?&/=]*")
_SCHEMES = (
    re.compile(r"https?://[a-zA-Z0-9_\-./~?=%&]+"),
    re.compile(r"www[a-zA-Z0-9_\-?=%&/.~]+"),
    re.compile(r"[a-zA-Z]+\.com"),
    re.compile(r"(?:http|www)\S+"),
    re.compile(r"://"),
)
_MAIL = (re.compile(r"[\w-]+@(?:[\w-]+\.)+[\w-]+"), re.compile(r"\S+@\S+"))
_USER = re.compile(r"@\w+")
_TAG = re.compile(r"</?[^>]+>")
_REPEATED = re.compile(r"(\D)\1{2,}", re.DOTALL)
_APART = re.compile(r"[^0-9\u0621-\u063A\u0641-\u064A\u0660-\u0669a-zA-Z\[\]]")
# Held to the beginning of a run, which changes no match and keeps long runs from costing the square of their length.
_DIGITS_FIRST = re.compile(r"(?<!\d)(\d+)([\u0621-\u063A\u0641-\u064A\u0660-\u066C]+)")
_DIGITS_LAST = re.compile(
    r"(?<![\u0621-\u063A\u0641-\u064A\u0660-\u066C])([\u0621-\u063A\u0641-\u064A\u0660-\u066C]+)(\d+)"
)
_DIGIT = re.compile(r"\d")
_USUAL = re.compile(
    r"[ -%'-.0-~\n\u060c\u061b\u061f\u0621-\u063a\u0640-\u0652]*"
)  # some of what is known, for a first look
_INDIC = str.maketrans(DIGITS, WESTERN_DIGITS)
# What its vocabulary has: everything else becomes a space. Marks one by one, as they were counted in its training text.
_KNOWN = (
    r"0-9a-zA-Z\u0621-\u063A\u0640-\u066C\u0671-\u0674\s"
    r"\[\]!\"#$%'()*+,.:;\-<=·>?@\\^_`{|}~—٪’،؟\u0b4d“؛”\u06da»«–…‘"
)


@cache
def _unknown(pictures: bool) -> regex.Pattern[str]:
    emoji = r"\p{Emoji}\u200d\ufe0f\u20e3\U000E0020-\U000E007F" if pictures else ""
    return regex.compile(f"[^{_KNOWN}{emoji}]")


def arabert(text: str, emoji: str = "drop") -> tuple[str, int]:
    """The text as AraBERT v0.2 wants it; with emoji "keep" as its models for tweets do. Counts 1 where it changed.

    Links, handles and e-mail become [رابط] [مستخدم] [بريد]; vowel marks, tatweel and tags go; digits become 0-9; three
    equal characters become two; marks and numbers stand apart; / becomes -, what the vocabulary lacks a space.
    """
    made = html.unescape(text) if "&" in text else text
    made = _addressed(_VOWELS.sub("", made).replace(TATWEEL, ""))
    if "<" in made and ">" in made:
        made = _TAG.sub(" ", made)
    made = _REPEATED.sub(r"\1\1", made.translate(_INDIC))
    made = _APART.sub(r" \g<0> ", made)
    if _DIGIT.search(made):
        made = _DIGITS_LAST.sub(r" \1 \2 ", _DIGITS_FIRST.sub(r" \1 \2 ", made))
    made = made.replace("/", "-")
    if not _USUAL.fullmatch(made):
        made = _unknown(emoji == "keep").sub(" ", made)
    made = " ".join(made.replace("\N{VARIATION SELECTOR-16}", "").split())
    return made, int(made != text)


def _addressed(text: str) -> str:
    """Links, then e-mail, then handles as their words; each pattern only where a character of its own stands."""
    if "." in text:
        text = _DOTTED.sub(LINK, text)
    if "http" in text or "www" in text or ".com" in text or "://" in text:
        for pattern in _SCHEMES:
            text = pattern.sub(LINK, text)
    if "@" in text:
        for pattern in _MAIL:
            text = pattern.sub(MAIL, text)
        text = _USER.sub(USER, text)
    return text
