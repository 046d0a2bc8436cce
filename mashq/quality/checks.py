"""Checks of a translation by its text alone, English to Arabic: length, numbers, names, and what stands untranslated.

Each scores a pair from 0 to 1, higher is better, without a model (10 to 150 microseconds a pair of 100 characters,
`docs/benchmarks/calibration.md`). A check sees one kind of fault and is blind to the others: a pair that gives it
nothing to compare scores 1. A blank translation of a source that is not blank scores 0 in every check; two blank texts
score 1.

What a linguist edits stands in `mashq/data/number_words.yaml`; its hash is in the identity of the checks that read it.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import regex
from rapidfuzz import fuzz

from mashq.arabic import DECIMAL_MARK, DIGITS, TASHKEEL, TATWEEL, THOUSANDS_MARK, normalise
from mashq.packaged import parsed, raw

__all__ = ["CHECKS", "Check", "entities", "length", "numbers", "translated"]

PAIRS_PER_BATCH = 4_096

# --- length ----------------------------------------------------------------------------------------------------------

# ln(Arabic letters / English letters) over 1,430 contexts and questions of XQuAD (en, ar): median -0.16; spread (1.48
# times the median absolute deviation) 0.29 at 20 characters, 0.19 at 50, 0.08 at 600, which the two terms below give.
USUAL_LOG_RATIO = -0.16
LONG_SPREAD = 0.06
SHORT_SPREAD = 1.27  # over the square root of the source's characters
_UNCOUNTED = re.compile(f"[{TASHKEEL}{TATWEEL}]")


def length(source: str, translation: str) -> float:
    """How usual the translation's length is for its source: 1 / (1 + (z / 3)^2), 0.5 at three deviations.

    z is how many deviations ln(characters of the translation / of the source) lies from the usual; the deviation is
    wider for short sources. White space, vowel marks and tatweel do not count.
    """
    ours, theirs = _counted(translation), _counted(source)
    if not ours or not theirs:
        return 1.0 if ours == theirs else 0.0
    spread = math.hypot(LONG_SPREAD, SHORT_SPREAD / math.sqrt(theirs))
    z = (math.log(ours / theirs) - USUAL_LOG_RATIO) / spread
    return 1 / (1 + (z / 3) ** 2)


def _counted(text: str) -> int:
    plain = "".join(text.split())
    return len(plain) if plain.isascii() else len(plain) - len(_UNCOUNTED.findall(plain))


# --- numbers ---------------------------------------------------------------------------------------------------------

_FOLDED = ("tashkeel", "tatweel", "alef", "ya", "ta_marbuta")
_MARKS = f".,{DECIMAL_MARK}{THOUSANDS_MARK}"
_NUMBER = regex.compile(rf"\p{{Nd}}+(?:[{_MARKS}]\p{{Nd}}+)*")
_SCALE = regex.compile(r"\s?(\p{L}+)")
_RANGE = regex.compile(r"(?<!\p{Nd})(\p{Nd}{4})[-–]$")
# 2 to 99 in two letters or more; `(?!\w)`, not `\b`: CL is no numeral here, and the nothing before it is none either
_ROMAN = re.compile(r"(?<!\w)(?=[IVXLC]{2})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?!\w)")
_ROMAN_WORTH = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_PARTICLES = regex.compile("^[وف]?[بلك]?(?:ال)?")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?|[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
# A number without a partner that a translation may say without any word for it: "2 books" is a dual, "1 man" a noun.
UNSAID = (1.0, 2.0)
NUMBER_WORDS = "number_words"  # of the package's data


def _words() -> dict[str, Any]:
    return parsed(NUMBER_WORDS)


@functools.cache
def _number_words() -> dict[str, tuple[float, ...]]:
    """English and Arabic words, the latter folded, and the numbers they may say."""
    words = {word: tuple(map(float, values)) for word, values in _words()["en"].items()}
    for word, values in _words()["ar"].items():
        folded = normalise(word, _FOLDED)
        words[folded] = (*words.get(folded, ()), *map(float, values))
    return words


@functools.cache
def _scales() -> dict[str, float]:
    return {normalise(word, _FOLDED): float(factor) for word, factor in _words()["scales"].items()}


def _values(digits: str) -> set[float]:
    """What a run of digits and marks may mean: 1,234 is 1234; 3,5 is 3.5; 1.234 is both 1.234 and 1234."""
    plain = digits.replace(DECIMAL_MARK, ".").replace(THOUSANDS_MARK, ",")
    plain = "".join(str(int(char)) if char.isdecimal() else char for char in plain)
    meant = set()
    if _THOUSANDS.fullmatch(plain):
        first = next(mark for mark in plain if mark in ".,")
        meant.add(float(plain.replace(first, "").replace(",", ".")))
    if sum(plain.count(mark) for mark in ".,") == 1 and not (plain.find(",") > 0 and meant):
        meant.add(float(plain.replace(",", ".")))
    elif plain.isdecimal():
        meant.add(float(plain))
    return meant


def _numbers_in(text: str) -> list[set[float]]:
    """The numbers of a folded text written in digits, each as the values it may have."""
    found: list[set[float]] = []
    for match in _NUMBER.finditer(text):
        values = _values(match[0])
        if not values:  # 192.168.0.1, 1.2.3: its parts
            found += [{float(part)} for part in re.split(f"[{_MARKS}]", match[0])]
            continue
        if begun := _RANGE.search(text, 0, match.start()):  # 1620-21 ends in 1621
            values |= {float(begun[1]) // 100 * 100 + value for value in values if value < 100}
        after = _SCALE.match(text, match.end())
        factor = _scales().get(after[1].lower()) if after else None
        found.append(values | {value * factor for value in values} if factor else values)
    return found


def _said_in(text: str) -> list[float]:
    """The numbers that a folded text says in words, and the sums of neighbours: خمسة وعشرون is 5, 20 and 25."""
    table = _number_words()
    said: list[float] = []
    before: tuple[float, ...] = ()
    said += [float(_roman(match[0])) for match in _ROMAN.finditer(text)]
    for match in _LETTERS.finditer(text.lower()):
        values = table.get(match[0]) or table.get(_PARTICLES.sub("", match[0])) or ()
        said += values
        said += [one + other for one in before for other in values if one != other and min(one, other) < 10]
        said += [one * other for one in before for other in values if other >= 100 and one < other]
        before = values
    return said


def _roman(numeral: str) -> int:
    worths = [_ROMAN_WORTH[char] for char in numeral]
    return sum(-one if one < after else one for one, after in zip(worths, [*worths[1:], 0], strict=True))


def numbers(source: str, translation: str) -> float:
    """Agreement of the numbers written in digits: 2 x partners / (numbers of both), 1 where neither has one.

    Western, Arabic-Indic and Persian digits and their decimal and thousands marks are one; a scale after a number
    multiplies it ("2.5 million", "5m", "٥ ملايين"). A number without a partner is excused where the other text says it
    in words (`number_words.yaml`: cardinals, ordinals, months, decades) or as a Roman numeral, a 1 or 2 of the source
    always (Arabic says them with the noun's own form); 1620-21 and 1620-1621 agree. Their order is not compared: two
    numbers that changed places agree.
    """
    if (blank := _blank(source, translation)) is not None:
        return blank
    if not (_has_digit(source) or _has_digit(translation)):
        return 1.0
    source, translation = normalise(source, _FOLDED), normalise(translation, _FOLDED)
    theirs, ours = _numbers_in(source), _numbers_in(translation)
    left: list[set[float]] = []
    waiting = list(ours)
    for values in theirs:
        partner = next((place for place, other in enumerate(waiting) if values & other), None)
        if partner is None:
            left.append(values)
        else:
            del waiting[partner]
    partners = len(ours) - len(waiting)
    if left:
        said = _said_in(translation)
        left = [values for values in left if not values & {*said, *UNSAID}]
    if waiting:
        said = _said_in(source)
        waiting = [values for values in waiting if not values & set(said)]
    whole = 2 * partners + len(left) + len(waiting)
    return 2 * partners / whole if whole else 1.0


_ANY_DIGIT = regex.compile(r"\p{Nd}")


def _has_digit(text: str) -> bool:
    return _ANY_DIGIT.search(text) is not None


def _blank(source: str, translation: str) -> float | None:
    if translation and not translation.isspace():
        return None
    return 0.0 if source.strip() else 1.0


# --- names -----------------------------------------------------------------------------------------------------------

_ADDRESS = regex.compile(r"(?:https?://|www\.)[^\s<>\"']+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![\w])[@#][A-Za-z]\w+")
_LATIN = regex.compile(r"[\p{Latin}\p{Nd}][\p{Latin}\p{Nd}\p{M}]*(?:[-_/.'’][\p{Latin}\p{Nd}]+)*")
_CODE = regex.compile(r"(?=.*\p{Nd})(?=.*\p{Lu})[\p{Lu}\p{Nd}]+(?:[-_/.][\p{Lu}\p{Nd}]+)*")
_ENDING = regex.compile(r"[.!?:…\"“”‘(«\n]\s*$")
_SAID_AFTER = regex.compile(r"['’]s?$")

# Letters that say the same consonant in the two scripts fall together; vowels, h and the glides w and y are left out.
_ARABIC_CLASS = {
    **dict.fromkeys("بپ", "B"), **dict.fromkeys("تطث", "T"), **dict.fromkeys("ضد", "D"), **dict.fromkeys("كقخ", "K"),
    **dict.fromkeys("جغگ", "G"), **dict.fromkeys("سصشزظذچ", "S"), **dict.fromkeys("فڤ", "F"), "ل": "L", "م": "M",
    "ن": "N", "ر": "R",
}  # fmt: skip
_LATIN_CLASS = {
    **dict.fromkeys("bp", "B"), "t": "T", "d": "D", **dict.fromkeys("kqc", "K"), **dict.fromkeys("gj", "G"),
    **dict.fromkeys("sz", "S"), **dict.fromkeys("fv", "F"), "l": "L", "m": "M", "n": "N", "r": "R", "x": "KS",
}  # fmt: skip
_SPELT = (("tch", "ts"), ("sch", "s"), ("sh", "s"), ("ch", "k"), ("ph", "f"), ("th", "t"), ("gh", "g"), ("kh", "k"))
_SOFT_C = re.compile("c(?=[eiy])")


def _latin_skeleton(word: str) -> str:
    """`Michael` -> MKL, `Washington` -> SNGTN; ch is k here, and ts or s in a second try (`_skeletons`)."""
    word = unicodedata.normalize("NFD", word.lower())
    for spelt, as_ in _SPELT:
        word = word.replace(spelt, as_)
    return _single("".join(_LATIN_CLASS.get(char, "") for char in _SOFT_C.sub("s", word)))


@functools.lru_cache(maxsize=1 << 14)
def _skeletons(word: str) -> tuple[str, ...]:
    made = _latin_skeleton(word)
    lower = word.lower()
    return (made,) if "ch" not in lower else (made, _latin_skeleton(lower.replace("ch", "s")))


@functools.lru_cache(maxsize=1 << 16)
def _arabic_skeletons(word: str) -> tuple[str, ...]:
    """Of the word, and of the word without the particles and the article before it."""
    bare = _PARTICLES.sub("", word)
    return tuple({_single("".join(_ARABIC_CLASS.get(char, "") for char in form)) for form in (word, bare)})


def _single(skeleton: str) -> str:
    return re.sub(r"(.)\1+", r"\1", skeleton)


# How alike two skeletons must be, in per cent of rapidfuzz's ratio: three letters in order within four are 86.
LEAST_ALIKE = {2: 100, 3: 85}
LEAST_ALIKE_LONG = 75


def _sounds_like(name: str, spoken: Sequence[str]) -> bool:
    """Whether one of the skeletons is that of the name."""
    return any(
        fuzz.ratio(made, other) >= LEAST_ALIKE.get(len(made), LEAST_ALIKE_LONG)
        for made in _skeletons(name)
        for other in spoken
        if abs(len(made) - len(other)) <= 2
    )


@functools.cache
def _not_names() -> frozenset[str]:
    return frozenset(_words()["translated_names"])


def _names_and_codes(source: str) -> tuple[list[str], list[str]]:
    """The capitalised words inside the source's sentences, and its codes (A320, COVID-19)."""
    names, codes = [], []
    for match in _LATIN.finditer(source):
        word = _SAID_AFTER.sub("", match[0])
        if _CODE.fullmatch(word):
            codes.append(word)
        elif word[:1].isupper() and word.lower() not in _not_names() and not _begins(source, match.start()):
            names += [part for part in re.split("[-/]", word) if len(_latin_skeleton(part)) >= 2]
    return names, codes


def _begins(text: str, place: int) -> bool:
    return place == 0 or _ENDING.search(text, max(0, place - 4), place) is not None


def entities(source: str, translation: str) -> float:
    """Whether what must be kept is kept, and names can be heard: (kept / to keep) x (1 + heard) / (1 + names).

    To keep, letter by letter: web and mail addresses, handles, tags, and codes of capitals and digits (A320). Names are
    capitalised words that do not begin a sentence and are not on the list of those that Arabic translates (Monday,
    University); a name is heard where it stands in Latin letters, or where a word's consonants are its own
    (`Michael` MKL, مايكل MKL), which rapidfuzz compares. A single name that is not heard gives 0.5, because many are
    translated after all; a name with fewer than two consonants is not looked for.
    """
    if (blank := _blank(source, translation)) is not None:
        return blank
    held = _ADDRESS.findall(source)
    names, codes = _names_and_codes(_ADDRESS.sub(" ", source) if held else source)
    if not (held or names or codes):
        return 1.0
    lower = translation.lower()
    western = "".join(str(int(char)) if char in DIGITS else char for char in lower)
    kept = [thing.rstrip(".,;:!?)").lower() in western for thing in (*held, *codes)]
    share = sum(kept) / len(kept) if kept else 1.0
    if not names:
        return share
    folded = normalise(translation, ("tashkeel", "tatweel", "persian"))
    spoken = {made for word in _LETTERS.findall(folded) for made in _arabic_skeletons(word)}
    heard = sum(name.lower() in lower or _sounds_like(name, tuple(spoken)) for name in names)
    return share * (1 + heard) / (1 + len(names))


# --- what stands untranslated ----------------------------------------------------------------------------------------

_COPIED = regex.compile(r"\p{Latin}{3,}")


def translated(source: str, translation: str) -> float:
    """1 - the share of the source's words that stand copied in the translation; 1 where the source has no such word.

    Words are runs of three or more Latin letters; a capitalised word inside a sentence and a word of capitals are names
    and not counted, and nor are addresses.
    """
    if (blank := _blank(source, translation)) is not None:
        return blank
    if not (there := {word.lower() for word in _COPIED.findall(translation)}):
        return 1.0
    source = _ADDRESS.sub(" ", source)
    spans = list(_COPIED.finditer(source))
    words = [m[0].lower() for m in spans if m[0].islower() or (m[0].istitle() and _begins(source, m.start()))]
    if not words:
        return 1.0
    return 1 - sum(word in there for word in words) / len(words)


# --- as scorers ------------------------------------------------------------------------------------------------------


class Check:
    """A check as a scorer (`mashq.quality.Scorer`)."""

    scale: tuple[float, float] | None = (0.0, 1.0)
    licence = ""
    column = ""

    def __init__(self, name: str):
        self.name = name
        self._score, version, reads = CHECKS[name]
        self.identity = f"{name}|v{version}" + (f"|words:{_hash()}" if reads else "")

    def batches(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """The places in order: a check pads nothing."""
        return [
            list(range(start, min(start + PAIRS_PER_BATCH, len(pairs))))
            for start in range(0, len(pairs), PAIRS_PER_BATCH)
        ]

    def score(self, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
        """(n,) float32 in 0..1."""
        return np.array([self._score(source, translation) for source, translation in pairs], np.float32)


@functools.cache
def _hash() -> str:
    return hashlib.blake2b(raw(NUMBER_WORDS), digest_size=6).hexdigest()


# name: (function, version of its definition, whether it reads number_words.yaml)
CHECKS: dict[str, tuple[Callable[[str, str], float], int, bool]] = {
    "length": (length, 1, False),
    "numbers": (numbers, 1, True),
    "entities": (entities, 1, True),
    "translated": (translated, 1, False),
}
