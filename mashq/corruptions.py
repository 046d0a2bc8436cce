"""True (English, Arabic) pairs made wrong on purpose, each in one named way, so that a scorer can be measured on it.

A corruption says None where it does not apply: no number to change, too few words to drop. What it makes depends on the
pair, the kind and the seed alone, never on the pair's place; the two that take another pair's sentence depend on the
other pairs too. Words that a linguist edits stand in `mashq/data/corruptions.yaml`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import regex

from mashq.arabic import DECIMAL_MARK, DIGITS, PERSIAN_DIGITS, THOUSANDS_MARK
from mashq.encode import Encoder
from mashq.packaged import parsed
from mashq.rows import MashqError, nearest

__all__ = ["KINDS", "Pair", "corrupted"]

Pair = tuple[str, str]  # (source, translation)
DROPPED_SHARE = 0.3  # of the words
TRUNCATED_SHARE = 0.5  # of the words that stay
LEAST_WORDS = 4  # of a text that words are dropped from or that is put out of order

KINDS = {
    "dropped_words": "three words in ten left out",
    "changed_number": "one number, written in digits, is another",
    "swapped_numbers": "two numbers have changed places",
    "negation": "a negation taken away, or one added where there was none",
    "wrong_sentence": "the translation of another source",
    "near_sentence": "the translation of the source that is most like this one",
    "wrong_variety": "words of Egyptian or Moroccan Arabic in a standard text",
    "untranslated": "the source, copied",
    "truncated": "the second half is missing",
    "scrambled": "the words out of order",
}


def corrupted(
    pairs: Sequence[Pair], kinds: Sequence[str] = tuple(KINDS), seed: int = 0, encoder: Encoder | None = None
) -> dict[str, list[str | None]]:
    """For each kind the wrong translation of each pair, or None where it does not apply.

    `near_sentence` needs an encoder: it takes the pair whose source is nearest by the sources' own vectors, so that no
    score of the translation decides. Raises MashqError for an unknown kind, and for `near_sentence` without an encoder.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise MashqError(f"corruption '{kind}': there is none ({', '.join(KINDS)}).{nearest(kind, KINDS)}")
    if "near_sentence" in kinds and encoder is None:
        raise MashqError("corruption 'near_sentence': expected an encoder, got none. Name one, or leave this kind out.")
    made: dict[str, list[str | None]] = {}
    for kind in kinds:
        if kind == "wrong_sentence":
            made[kind] = [_another(pairs, place, _random(seed, kind, pair)) for place, pair in enumerate(pairs)]
        elif kind == "near_sentence":
            assert encoder is not None
            made[kind] = _nearest_others(pairs, encoder)
        else:
            made[kind] = [_alone(kind, pair, seed) for pair in pairs]
    return made


def _alone(kind: str, pair: Pair, seed: int) -> str | None:
    made = _MAKERS[kind](*pair, _random(seed, kind, pair))
    return made if made is not None and made != pair[1] else None


def _random(seed: int, kind: str, pair: Pair) -> Random:
    """A generator of this pair's own; NUL keeps the parts apart."""
    text = "\0".join([str(seed), kind, *pair])
    return Random(int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()))


# --- another pair's sentence -----------------------------------------------------------------------------------------


def _another(pairs: Sequence[Pair], place: int, random: Random) -> str | None:
    """The translation of a pair that shares neither text with this one; None where a few draws find none."""
    for _ in range(20):
        source, translation = pairs[random.randrange(len(pairs))]
        if source != pairs[place][0] and translation != pairs[place][1]:
            return translation
    return None


def _nearest_others(pairs: Sequence[Pair], encoder: Encoder) -> list[str | None]:
    vectors = encoder.encode([source for source, _ in pairs])
    made: list[str | None] = []
    for place, (source, translation) in enumerate(pairs):
        order = np.argsort(-(vectors @ vectors[place]), kind="stable")
        others = (pairs[other] for other in order)
        made.append(next((ours for theirs, ours in others if theirs != source and ours != translation), None))
    return made


# --- words -----------------------------------------------------------------------------------------------------------


def _dropped_words(source: str, translation: str, random: Random) -> str | None:
    words = translation.split()
    if len(words) < LEAST_WORDS:
        return None
    gone = set(random.sample(range(len(words)), max(1, round(DROPPED_SHARE * len(words)))))
    return " ".join(word for place, word in enumerate(words) if place not in gone)


def _truncated(source: str, translation: str, random: Random) -> str | None:
    words = translation.split()
    return " ".join(words[: round(TRUNCATED_SHARE * len(words))]) if len(words) >= LEAST_WORDS else None


_END = regex.compile(r"[\p{P}\s]*$")


def _scrambled(source: str, translation: str, random: Random) -> str | None:
    """The words shuffled, the punctuation at the end in its place."""
    end = _END.search(translation)
    assert end is not None
    words = translation[: end.start()].split()
    if len(set(words)) < LEAST_WORDS:
        return None
    mixed = words.copy()
    while mixed == words:
        random.shuffle(mixed)
    return " ".join(mixed) + end[0]


def _untranslated(source: str, translation: str, random: Random) -> str | None:
    return source if any(char.isalpha() for char in source) else None


# --- numbers ---------------------------------------------------------------------------------------------------------

_DIGITS = regex.compile(r"\p{Nd}+")
_NUMBER = regex.compile(rf"\p{{Nd}}+(?:[.,{DECIMAL_MARK}{THOUSANDS_MARK}]\p{{Nd}}+)*")


def _changed_number(source: str, translation: str, random: Random) -> str | None:
    """One run of digits made another of its length and kind of digits, its first digit not zero where it was not."""
    runs = list(_DIGITS.finditer(translation))
    if not runs:
        return None
    run = random.choice(runs)
    digits = next((set_ for set_ in (DIGITS, PERSIAN_DIGITS) if run[0][0] in set_), "0123456789")
    while True:
        made = "".join(random.choice(digits) for _ in run[0])
        if made != run[0] and (made[0] != digits[0] or run[0][0] == digits[0]):
            return translation[: run.start()] + made + translation[run.end() :]


def _swapped_numbers(source: str, translation: str, random: Random) -> str | None:
    runs = list(_NUMBER.finditer(translation))
    choices = [(one, two) for at, one in enumerate(runs) for two in runs[at + 1 :] if one[0] != two[0]]
    if not choices:
        return None
    one, two = random.choice(choices)
    between = translation[one.end() : two.start()]
    return translation[: one.start()] + two[0] + between + one[0] + translation[two.end() :]


# --- negation --------------------------------------------------------------------------------------------------------


_EDGE, _CLOSE = r"(?<![\p{L}\p{M}\p{N}])", r"(?![\p{L}\p{M}\p{N}])"
_WORD = r"[\p{L}\p{M}]+"
_NEGATION = regex.compile(rf"{_EDGE}(?P<and>[وف]?)(?P<not>لم|لن|لا|ليس|ليست|غير)\s+(?P<next>{_WORD})")
_PREFIXES = "يتنأ"  # of the imperfect verb


def _negation(source: str, translation: str, random: Random) -> str | None:
    """The first negation taken away; where there is none, the first word that can be negated is."""
    found = list(_NEGATION.finditer(translation))
    for match in found:
        said = _affirmed(match["not"], match["next"])
        if said is not None:
            return translation[: match.start()] + match["and"] + said + translation[match.end() :]
    return None if found else _denied(translation)


def _affirmed(negation: str, word: str) -> str | None:
    """لن يكتب -> سيكتب, لم يكتبوا -> يكتبون, ليس سهلا -> سهلا; None where the word is not what it seems."""
    data = parsed("corruptions")
    if word in data["no_negation"].get(negation, ()):
        return None
    before = {negated: plain for plain, negated in data["negated"].items()}.get(f"{negation} {word}")
    if before is not None:
        return before
    if negation in ("لم", "لن", "لا") and (word[0] not in _PREFIXES or len(word) < 3):
        return None
    indicative = word[:-1] + "ن" if negation != "لا" and word.endswith("وا") else word
    return "س" + indicative if negation == "لن" else indicative


@functools.cache
def _deniable() -> regex.Pattern[str]:
    words = "|".join(sorted(map(regex.escape, parsed("corruptions")["negated"]), key=len, reverse=True))
    return regex.compile(rf"(?:{_EDGE}(?P<before>{_WORD})\s+)?{_EDGE}(?P<and>[وف]?)(?P<word>{words}){_CLOSE}")


def _denied(translation: str) -> str | None:
    data = parsed("corruptions")
    for match in _deniable().finditer(translation):
        before = (match["before"] or "").lstrip("وف")
        if before not in data["after_these_not"]:
            said = match["and"] + data["negated"][match["word"]]
            return translation[: match.start("and")] + said + translation[match.end() :]
    return None


# --- variety ---------------------------------------------------------------------------------------------------------

LEAST_REPLACED = 2  # words of another variety; one alone may pass for a slip


@functools.cache
def _variety_patterns(variety: str) -> tuple[regex.Pattern[str], regex.Pattern[str] | None]:
    words: Mapping[str, Any] = parsed("corruptions")["varieties"][variety]
    alone = "|".join(sorted(map(regex.escape, words["words"]), key=len, reverse=True))
    after = "|".join(map(regex.escape, words["after"]))
    moved = regex.compile(rf"{_EDGE}(?P<and>[وف]?)(?P<this>{after})\s+(?P<noun>ال{_WORD})") if after else None
    return regex.compile(rf"{_EDGE}(?P<and>[وف]??)(?P<word>سوف\s+(?=[{_PREFIXES}])|(?:{alone}){_CLOSE})"), moved


def _wrong_variety(source: str, translation: str, random: Random) -> str | None:
    """Egyptian or Moroccan words for standard ones, by chance the one or the other first; at least two."""
    varieties = sorted(parsed("corruptions")["varieties"])
    random.shuffle(varieties)
    return next(filter(None, (_in_variety(translation, variety) for variety in varieties)), None)


def _in_variety(text: str, variety: str) -> str | None:
    words = parsed("corruptions")["varieties"][variety]
    alone, moved = _variety_patterns(variety)
    count = 0
    if moved is not None:
        text, count = moved.subn(lambda match: f"{match['and']}{match['noun']} {words['after'][match['this']]}", text)

    def said(match: regex.Match[str]) -> str:
        standard = match["word"]
        return match["and"] + (words["future"] if standard.startswith("سوف") else words["words"][standard])

    text, more = alone.subn(said, text)
    return text if count + more >= LEAST_REPLACED else None


_MAKERS: dict[str, Callable[[str, str, Random], str | None]] = {
    "dropped_words": _dropped_words,
    "changed_number": _changed_number,
    "swapped_numbers": _swapped_numbers,
    "negation": _negation,
    "wrong_variety": _wrong_variety,
    "untranslated": _untranslated,
    "truncated": _truncated,
    "scrambled": _scrambled,
}
