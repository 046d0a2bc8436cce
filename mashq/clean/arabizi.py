"""Arabic in Latin letters and digits: found, and turned into Arabic letters by a table."""

from __future__ import annotations

import functools
import re

from mashq.clean.rule import data

__all__ = ["arabizi", "arabizi_share", "is_arabizi", "to_arabic", "transliterate"]

_TOKEN = re.compile(
    r"(?<![\w@#'’/.:=?&-])(?:[A-Za-z]|[235679](?=['’]?[A-Za-z]))(?:[A-Za-z235-9]|['’](?=[A-Za-z235-9])|-(?=[A-Za-z2-9]))*(?![\w@])(?![./:][A-Za-z])"
)
_ARTICLE = re.compile(r"(?i)\b([wbfl]?[aei]l) (?=[a-z2356789])")
# A digit for a letter stands before a vowel or between letters; mp3, h264, 3D, 2nd, 5k, b2b, COVID19 are no Arabizi.
_DIGIT_WORD = re.compile(
    r"(?i)[a-z]+'?[23579]'?[a-z]+|[2357]'?[aeiouy][a-z0-9']+|[a-z]*[aeiou][a-z]*[a-z][2357]'?|[2357][a-z]{3,}"
)
_ENGLISH = re.compile(
    r"(?i)\d+(?:st|nd|rd|th|am|pm|k|m|d|g|gb|mb|tb|km|kg|cm|mm|x|s|v|w|hz|p)|[bp]2[bpc]|h2o|co2|mp[34]"
    r"|\w*(?:19|20|21|365)"
)
# Words of the table that other languages have too: they show nothing by themselves.
_SHARED = frozenset(
    ["al", "alf", "da", "dial", "di", "eh", "el", "fen", "hal", "il", "isa", "kol", "la", "law", "li", "men", "min",
     "mo", "mu", "rani", "sabah", "sho", "w", "wen", "ya"]
)  # fmt: skip


LONGEST = 24  # letters of a word; longer ones are no words, and cost the patterns above the square of their length


@functools.cache
def _table() -> dict[str, dict[str, str]]:
    table = data("letters")["arabizi"]
    return {
        name: {str(latin): arabic for latin, arabic in table[name].items()}
        for name in ("consonants", "long", "first", "last", "words")
    }


def is_arabizi(word: str) -> bool:
    """Whether one word shows it is Arabic: a digit that stands for a letter, or one of the frequent words that is no
    word of English or French."""
    if len(word) > LONGEST or _ENGLISH.fullmatch(word):
        return False
    plain = word.lower()
    return bool(_DIGIT_WORD.fullmatch(word)) or (plain in _table()["words"] and plain not in _SHARED)


def _latin_words(text: str) -> list[str]:
    return [match[0] for match in _TOKEN.finditer(text)]


def arabizi_share(text: str) -> tuple[int, int]:
    """(words that show it, words in Latin letters) of a text; frequent words that other languages have too count once
    another word has shown it."""
    words = _latin_words(text)
    sure = [word for word in words if is_arabizi(word)]
    if not sure:
        return 0, len(words)
    known = _table()["words"]
    return sum(is_arabizi(word) or word.lower() in known for word in words), len(words)


_ARABIC_WORD, _LATIN_RUN = re.compile(r"[\u0621-\u064a]{2,}"), re.compile(r"[A-Za-z]+")


def arabizi(text: str, least_share: float = 0.3) -> str | None:
    """Why a post is Arabizi: the share of its Latin words that show it, where most words are Latin and two show it."""
    arabic, runs = len(_ARABIC_WORD.findall(text)), len(_LATIN_RUN.findall(text))
    if runs < 2 or runs <= arabic:  # a Latin word has one run of letters at least
        return None
    shown, latin = arabizi_share(text)
    if shown < 2 or latin <= arabic or shown < least_share * latin:
        return None
    return f"arabizi: {shown} of {latin} Latin words >= {least_share:.2f}"


def transliterate(text: str, least_share: float = 0.3) -> tuple[str, int]:
    """The Latin words of an Arabizi post in Arabic letters; counts words. Any other text stays.

    By a table of letters, after one of frequent words: a first draft for a reader, not spelling. Words in capital
    letters stay, as do words of other languages that the share allows for, which come out as they sound.
    """
    if arabizi(text, least_share) is None:
        return text, 0
    count = 0

    def word(match: re.Match[str]) -> str:
        nonlocal count
        if match[0].isupper() and len(match[0]) > 1:
            return match[0]
        count += 1
        return to_arabic(match[0])

    return _TOKEN.sub(word, _ARTICLE.sub(r"\1-", text)), count


@functools.cache
def _pattern() -> re.Pattern[str]:
    table = _table()
    spellings = sorted({**table["consonants"], **table["long"]}, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, spellings), "[aeiou]"]))


def to_arabic(word: str) -> str:
    """One word of Arabizi in Arabic letters: "7abibi" -> حبيبي, "3arab" -> عرب."""
    table, plain = _table(), word.lower().replace("’", "'")
    if plain in table["words"]:
        return table["words"][plain]
    article, rest = _article(plain)
    rest = re.sub(r"(?<=[a-z2-9]{3})[ae]h$", "a", rest) if len(rest) > 4 else rest
    rest = re.sub(r"([^aeiou235679])\1", r"\1", rest)
    matches = list(_pattern().finditer(rest))
    letters = [_letter(match, rest, table) for match in matches]
    return article + "".join(letters)


def _article(word: str) -> tuple[str, str]:
    """The article of a word as Arabic letters, and the rest."""
    match = re.match(r"(?:([wbfl])[- ]?)?(?:[aei]l)-?(?=[b-df-hj-np-tv-z2356789]['a-z235679]{2})", word)
    if not match:
        return "", word
    prefix = {"w": "و", "b": "ب", "f": "ف", "l": "ل"}.get(match[1] or "", "")
    return (prefix + ("ل" if prefix == "ل" else "ال")), word[match.end() :]


def _letter(match: re.Match[str], word: str, table: dict[str, dict[str, str]]) -> str:
    spelling = match[0]
    if spelling in table["consonants"]:
        return table["consonants"][spelling]
    if match.start() == 0:
        return table["first"][spelling[0]]
    if match.end() == len(word) and spelling == "a" and len(word) > 3:
        return "ة"
    if match.end() == len(word) and spelling in table["last"]:
        return table["last"][spelling]
    return table["long"].get(spelling, "")
