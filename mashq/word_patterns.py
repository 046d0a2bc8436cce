"""Words of a data file, found in running text whatever its marks, its spelling and the letters attached to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mashq import arabic

__all__ = ["FOLD", "fold", "folded_lower", "word_pattern"]

FOLD = ("nfc", "presentation", "bidi", "zero_width", "tashkeel", "tatweel", "alef", "ya", "ta_marbuta", "digits")


def fold(text: str) -> str:
    """The spelling in which words are compared: no marks, one alef, one ya, ta marbuta as ha, single spaces."""
    return " ".join(arabic.normalise(text, FOLD).split())


def folded_lower(text: str) -> str:
    """`fold`, and Latin letters in lower case."""
    return fold(text).lower()


def word_pattern(words: Sequence[str], *, prefixes: bool = True) -> re.Pattern[str]:
    """Words, or stems with a star -> one pattern over folded text, with attached prefixes where allowed.

    prefixes: و ف ب ل ك ال before the word, as far as they may stand together, and ف ع م ه of the dialects; without them
    only و. No word gives a pattern that is found nowhere.
    """
    stems = [re.escape(fold(word.rstrip("*"))) + (r"\w*" if word.endswith("*") else "") for word in words]
    before = r"[وف]?(?:[بلكفعم]|ها?)?(?:ال|ل)?" if prefixes else r"و?"
    known = "|".join(sorted(stems, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"(?<!\w){before}(?:{known})(?!\w)")
