"""Two translation engines without weights, for tests and for trying a recipe: one writes English in Arabic letters, one
gives the source back."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

from mashq.mt import Engine, Output, check_variety

__all__ = ["ENGINES", "Copy", "Transliterate"]

AT_ONCE = 4_096  # sentences in a batch: one that is lost costs nothing
PAIRS = {
    "sh": "ش", "th": "ث", "kh": "خ", "gh": "غ", "ph": "ف", "ch": "تش", "ck": "ك", "qu": "كو", "ee": "ي", "oo": "و",
    "ou": "و",
}  # fmt: skip
SINGLE = {
    "a": "ا", "b": "ب", "c": "ك", "d": "د", "e": "ي", "f": "ف", "g": "ج", "h": "ه", "i": "ي", "j": "ج", "k": "ك",
    "l": "ل", "m": "م", "n": "ن", "o": "و", "p": "ب", "q": "ق", "r": "ر", "s": "س", "t": "ت", "u": "و", "v": "ف",
    "w": "و", "x": "كس", "y": "ي", "z": "ز",
}  # fmt: skip
SIGNS = {"?": "\N{ARABIC QUESTION MARK}", ",": "\N{ARABIC COMMA}", ";": "\N{ARABIC SEMICOLON}"}
LETTERS = {**PAIRS, **SINGLE}
# Letters alone are a word; beside a digit or an underscore they are a code or a mark, which stays.
WORD = re.compile(r"(?<!\w)[^\W\d_]+(?!\w)")
WRITTEN = re.compile("|".join([*PAIRS, "[a-z]"]))
# A sign inside a number or an address (1,000, a?b=1) is none of the sentence.
SIGN = re.compile(r"[?,;](?=\s|$|[\"')\]])")


class _Invented:
    """What engines without weights share."""

    licence = ""

    def __init__(self, *, variety: str = "msa"):
        check_variety(variety)

    def batches(self, sentences: Sequence[str]) -> list[list[int]]:
        """By length in characters, the longest first."""
        order = sorted(range(len(sentences)), key=lambda place: -len(sentences[place]))
        return [order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)]


class Transliterate(_Invented):
    """Each Latin word written in Arabic letters, letter by letter; digits, codes and marks stay. Passes the checks of
    `faults.py` as a translation would; nobody could read it."""

    name = "transliterate"
    identity = "transliterate:1"

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        """One batch, in its order; no sentence has a fault."""
        return [Output(_transliterated(sentence)) for sentence in sentences]


class Copy(_Invented):
    """The source as its own translation, which `faults.py` must find: a run with it keeps nothing."""

    name = "copy"
    identity = "copy:1"

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        """One batch, in its order; the engine itself finds no fault."""
        return [Output(sentence) for sentence in sentences]


ENGINES: dict[str, Callable[..., Engine]] = {"transliterate": Transliterate, "copy": Copy}


def _transliterated(sentence: str) -> str:
    return SIGN.sub(lambda sign: SIGNS[sign[0]], WORD.sub(lambda found: _word(found[0]), sentence))


@functools.lru_cache(maxsize=1 << 16)
def _word(word: str) -> str:
    plain = unicodedata.normalize("NFD", word.lower())  # é is e and a mark
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return WRITTEN.sub(lambda found: LETTERS[found[0]], bare) if bare.isascii() else word
