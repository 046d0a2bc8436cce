"""Letters and marks that stand for a long breath or a loud voice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import regex

from mashq.clean.columns import matching

__all__ = ["letters", "marks", "may_hold_runs"]

_L = r"[\u0621-\u063a\u0641-\u064a\u066e-\u06d3\u06d5\u0750-\u077f]"
_STRETCH = regex.compile(rf"({_L})\1{{2,}}|([a-hj-vyz])\2{{2,}}|(\p{{M}})\3+")
# Three equal letters at the head of a word where grammar puts them: تتتبع، تتتالى، وستتتابع.
_RIGHT = re.compile(
    r"(?<![\u0621-\u064a])[وف]?س?تتت(?=[\u0621-\u064a])|(?<![\u0621-\u064a])[وف]?ككك(?=[\u0621-\u064a]{2})"
)
_NOT_IN_WORD = r"(?<![\p{L}\p{M}\p{N}_])", r"(?![\p{L}\p{M}\p{N}_])"
_LAUGHTER = regex.compile(
    rf"{_NOT_IN_WORD[0]}(?:[اأ]?ه{{3,}}ا?ي?|ه*(?:ها){{2,}}ه*|ه{{2,}}(?:[اأ]ه+)+|خ{{3,}}|ك{{4,}}|(?:هي){{3,}}|ح{{4,}}"
    rf"|(?i:(?:ha|ah){{3,}}h?|h{{4,}}|(?:lo){{2,}}l+|lo{{2,}}l+|x{{3,}}d+|5{{4,}}|٥{{4,}})){_NOT_IN_WORD[1]}"
)


# What every laugh and every stretch has, cheap to look for.
_LAUGHING = re.compile(r"ههه|ه[اأ]ه|خخخ|كككك|حححح|هيهي|(?i:[ha]{4}|[lo]{4}|xxx)|5555|٥٥٥٥")
_THRICE = regex.compile(r"(\p{L})\1\1|(\p{M})\2")


def letters(text: str, most: int = 2, laughter: str = "ههه") -> tuple[str, int]:
    """Letters repeated more than `most` times, vowel marks more than once; laughter as one word, "" for none of that.

    Digits stay, so do capital letters (VIII), i, w and x (www, xxx), and words that begin with three equal letters by
    grammar (تتتبع). With laughter "" a laugh is shortened as any other word.
    """
    found = 0

    def laugh(match: regex.Match[str]) -> str:
        nonlocal found
        found += match[0] != laughter
        return laughter

    def shorter(match: regex.Match[str]) -> str:
        nonlocal found
        char = match[0][0]
        to = char if match[3] else char * min(most, len(match[0]))
        if to == match[0] or match.span() in right or (laughter and text[slice(*match.span())] == laughter):
            return match[0]
        found += 1
        return to

    if laughter and _LAUGHING.search(text):
        text = _LAUGHTER.sub(laugh, text)
    if not _THRICE.search(text):
        return text, found
    right = {(match.end() - 3, match.end()) for match in _RIGHT.finditer(text)}
    right = {span for span in right if text[span[0] - 1 : span[0]] != text[span[0]]}
    return _STRETCH.sub(shorter, text), found


_EMPTY = re.compile(r"\(\s*\)|\[\s*\]|\{\s*\}|«\s*»|“\s*”|\"[ \t]+\"|(?<!\S)\"\"(?!\S)")
_DOTS = re.compile(r"\.{4,}|(?<!\.)\.\.(?!\.)|…{2,}|\.+…[.…]*|…\.+")
_SAME = re.compile(r"([!?؟،,؛;:~^*=_|/\\#@%&+\-–—<>•·'\"“”«»])\1+")
_LOUD = re.compile(r"[!?؟]{2,}")
_LONE_QUOTE = re.compile(r'\A\s*"\s*|(?<![0-9])[ \t]{0,4}"\s*\Z')
_DRAWN = re.compile(r"(?:[=_*~#+•·★☆♥♡|<>^\-–—\\/][ \t]*){4,}")


_ONE_OF = "!?؟،,؛;:~^*=_|/\\#@%&+-–—<>•·'\"“”«»"
_RUNS = "|".join(
    (
        *(rf"\x{{{ord(mark):04x}}}{{2}}" for mark in _ONE_OF),
        r"[!?؟]{2}|[.…]{2}|[(\[{«“\"][\s\pZ]*[)\]}»”\"]|(?:[=_*~#+•·★☆♥♡|<>^\-–—\\/][ \t]*){4}",
        r"\A\s*\"[^\"]*\z|\A[^\"]*\"\s*\z",  # a quotation mark alone
    )
)


def may_hold_runs(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether two marks that may be one are in it, or a single quotation mark."""
    return matching(texts, _RUNS)


def marks(text: str) -> tuple[str, int]:
    """Runs of punctuation: !!!! as !, ؟!؟!؟ as ؟!, four dots or two as three, lines drawn with marks and empty brackets
    as a space. One mark of each kind stays, and so do three dots."""
    found = 0

    def once(match: re.Match[str]) -> str:
        nonlocal found
        to = "".join(dict.fromkeys(match[0].replace("?", "؟") if "؟" in match[0] else match[0]))
        found += to != match[0]
        return to

    text, empty = _EMPTY.subn(" ", text)
    text, drawn = _DRAWN.subn(" ", text)
    text = _LOUD.sub(once, text)
    text, same = _SAME.subn(r"\1", text)
    text, dots = _DOTS.subn("...", text) if ".." in text or "…" in text else (text, 0)
    text, lone = _lone_quote(text)
    return text, found + drawn + same + dots + empty + lone


def _lone_quote(text: str) -> tuple[str, int]:
    """A straight quotation mark at one end that nothing in the text opens or closes, which cutting has left."""
    if text.count('"') == 1:
        bare = _LONE_QUOTE.sub("", text)
        return bare, int(bare != text)
    return text, 0
