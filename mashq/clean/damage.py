"""Text that was read or typed wrongly: bytes taken for another encoding, keys of another layout."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mashq.clean.columns import matching
from mashq.clean.rule import data
from mashq.clean.signs import rare_pair

__all__ = ["cost", "layout", "may_hold_keys", "mojibake"]

# --- encodings -------------------------------------------------------------------------------------------------------
#
# Three accidents make nearly all damaged Arabic. UTF-8 read as cp1252 (Ø§Ù„), UTF-8 read as cp1256 (ط§ظ„), and cp1256
# read as cp1252 (ÇáÓáÇã). The well-known package ftfy 6.3.1 was tried: it repairs the first, neither of the others.


def _byte_of(codec: str) -> dict[str, int]:
    """Character -> its byte; bytes that the code page leaves open are the control characters of that number."""
    return {bytes([byte]).decode(codec, "ignore") or chr(byte): byte for byte in range(0x80, 0x100)}


_CP1252, _CP1256 = _byte_of("cp1252"), _byte_of("cp1256")
# Latin-1 leaves 80 to 9F as control characters, which cp1252 writes with others.
_LATIN = {chr(byte): byte for byte in range(0x80, 0x100)} | _CP1252


def _sequence(byte_of: dict[str, int], lead: Iterable[int], trails: int) -> str:
    """Pattern of one character of UTF-8, seen through a code page."""

    def chars(wanted: Iterable[int]) -> str:
        return "[" + "".join(re.escape(char) for char, byte in byte_of.items() if byte in wanted) + "]"

    return chars(set(lead)) + chars(set(range(0x80, 0xC0))) * trails


def _run(byte_of: dict[str, int], leads: Iterable[int]) -> re.Pattern[str]:
    four, three = _sequence(byte_of, [0xF0], 3), _sequence(byte_of, [0xE2, 0xEF], 2)
    return re.compile(f"(?:{four}|{three}|{_sequence(byte_of, leads, 1)})+")


_ARABIC_LEADS = range(0xD8, 0xDC)  # U+0600-06FF
_AS_LATIN = _run(_LATIN, [0xC2, 0xC3, *_ARABIC_LEADS])
_AS_1256 = _run(_CP1256, [0xC2, *_ARABIC_LEADS])
_SURE_1256 = re.compile(f"(?:{_sequence(_CP1256, _ARABIC_LEADS, 1)}){{2}}")
_NATURAL = set(
    "،؛؟«»\u200c\u200d\N{NO-BREAK SPACE}–—’”“‘…"
)  # marks that may follow ط ظ ع غ, and Persian letters may too
_HIGH_RUN = re.compile(
    r"[\u00a1\u00ab\u00ba\u00bf-\u00ff\u0152\u0153\u0160\u0161\u0178\u0192\u02c6\u2020\u2021\u2030\u2039\u203a]"
    r"[\u0080-\u00ff\u0152-\u02dc\u2018-\u203a\u20ac\u2122 ]*"
)
_ACCENTS = re.compile("[\u00c0-\u00ff]{2}")
LEAST_HIGH = 5  # letters of cp1252 above ASCII that damage of the third kind must show; French words show fewer


def mojibake(text: str) -> tuple[str, int]:
    """Arabic whose bytes were read in the wrong encoding, read rightly again; counts the runs that were repaired.

    Repairs UTF-8 read as cp1252, Latin-1 or cp1256, and cp1256 read as cp1252. A run is changed only where its bytes
    are valid and what comes out is a better reading; «Café», «über» and محفوظ، stay.
    """
    found = 0
    for pattern, reading, sure in (
        (_HIGH_RUN, _arabic_of_1256, lambda text: any(_surely_arabic(run[0]) for run in _HIGH_RUN.finditer(text))),
        (_AS_LATIN, _utf8_of_latin, lambda text: any(_surely_utf8(run[0]) for run in _AS_LATIN.finditer(text))),
        (_AS_1256, _utf8_of_1256, _surely_1256),
    ):
        if sure(text):
            text, n = _read_again(text, pattern, reading)
            found += n
    return text, found


def _read_again(text: str, pattern: re.Pattern[str], reading: Callable[[str], str | None]) -> tuple[str, int]:
    """Every run that has another reading, in that reading; and how many had."""
    found = 0

    def other(match: re.Match[str]) -> str:
        nonlocal found
        made = reading(match[0])
        found += made is not None
        return match[0] if made is None else made

    return pattern.sub(other, text), found


def _decoded(run: str, byte_of: dict[str, int]) -> str | None:
    """A run of characters read as the UTF-8 that their bytes are; None where they are none."""
    try:
        return bytes(byte_of[char] for char in run).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _utf8_of_latin(run: str) -> str | None:
    return _decoded(run, _LATIN)


def _utf8_of_1256(run: str) -> str | None:
    return _decoded(run, _CP1256)


def _surely_utf8(run: str) -> bool:
    """Whether a run seen through cp1252 is UTF-8 beyond doubt: more than one digit or mark of Arabic (Ù¡)."""
    made = _decoded(run, _LATIN)
    return made is not None and not (len(made) == 1 and "\u0600" <= made <= "\u06ff" and not made.isalpha())


def _surely_1256(text: str) -> bool:
    """Whether some two neighbouring pairs read as Arabic letters, and are no word with a mark behind it."""
    for match in _SURE_1256.finditer(text):
        made = _decoded(match[0], _CP1256)
        if made and all("\u0620" <= char <= "\u0652" for char in made) and not _NATURAL & set(match[0][1::2]):
            return True
    return False


def _arabic_of_1256(run: str) -> str | None:
    """A run of Latin-1 letters -> the Arabic that its bytes are in cp1256; None where they are anything else."""
    body = run.rstrip(" ")
    if any(char not in _CP1252 for char in body if char != " "):
        return None
    made = bytes(_CP1252.get(char, 0x20) for char in body).decode("cp1256")
    letters = [char for char in made if char not in " ،؛؟«»"]
    arabic = sum("\u0621" <= char <= "\u0652" for char in letters)
    return made + run[len(body) :] if arabic >= 0.9 * len(letters) else None


def _surely_arabic(run: str) -> bool:
    """Whether a run of Latin-1 letters is long enough to tell, and likely Arabic in cp1256."""
    if sum(char in _CP1252 for char in run) < LEAST_HIGH or not _ACCENTS.search(run):
        return False
    made = _arabic_of_1256(run)
    return made is not None and cost(made, "arabic") <= MOST_BITS


# --- letter pairs ----------------------------------------------------------------------------------------------------

MOST_BITS = 5.2  # a letter of Arabic words, one after the other; real words cost 3.4 on average, letters at random 7


class _Pairs(dict[tuple[str, str], int]):
    """Two letters -> bits of the second after the first; 15 where the table lacks one of them."""

    def __missing__(self, pair: tuple[str, str]) -> int:
        return 15


@functools.cache
def _pairs(language: str) -> _Pairs:
    table = data("letter_pairs")[language]
    columns = table["letters"] + "$"
    return _Pairs(
        ((row, char), int(bit, 16))
        for row, digits in table["bits"].items()
        for char, bit in zip(columns, digits, strict=True)
    )


def cost(text: str, language: str) -> float:
    """Bits that a letter of the text's words costs on average in "arabic" or "english"; 15 where there is no word.

    Letters that the language does not have cost 15 bits. Vowel marks are passed over.
    """
    words = _WORD.findall(_PASSED_OVER.sub("", text.lower()))
    letters = sum(map(len, words)) + len(words)
    return sum(_word_bits(word, language) for word in words) / letters if letters else 15.0


_WORD, _PASSED_OVER = re.compile(r"[^\W\d_]+"), re.compile("[\u064b-\u0652\u0670\u0640]")


@functools.lru_cache(maxsize=1 << 16)
def _word_bits(word: str, language: str) -> int:
    """Bits of one word, its end among them."""
    return sum(map(_pairs(language).__getitem__, pairwise(f"^{word}$")))


# --- keyboard layouts ------------------------------------------------------------------------------------------------


@functools.cache
def _keys() -> tuple[dict[str, str], dict[str, str]]:
    """(English key -> Arabic letters, Arabic letter -> English key)."""
    layout = data("letters")["layout"]
    to_arabic = dict(zip(layout["keys"], layout["plain"], strict=True))
    to_english = {arabic: key for key, arabic in to_arabic.items()}
    to_arabic |= {key.upper(): arabic for key, arabic in to_arabic.items() if key.isalpha()}
    return to_arabic | layout["pairs"] | layout["shifted"], to_english


LEAST_BITS_TYPED = 4.5  # a letter of a run of Arabic letters that may be English: words of Arabic cost fewer
# Words of keys between spaces; marks that no key of the other layout gives may stand around them.
_BEFORE, _BEHIND = r"(?<![^\s(«])", r"(?=[!؟،:…)»]*(?:\s|\Z))"
_KEYS = r"[A-Za-z;\[\],.`'/\"?]+"
_ENGLISH_KEYS = re.compile(rf"{_BEFORE}{_KEYS}(?:[ \t]+{_KEYS})*{_BEHIND}")
_LATIN_RUN = re.compile(r"[A-Za-z]{2}")
_ARABIC_KEYS = re.compile(r"(?<![^\s(«])[\u0621-\u064a]+(?:[ \t]+[\u0621-\u064a]+)*(?=[!؟?،,.:…)»]*(?:\s|\Z))")
_ATTACHED = re.compile(r"^[وف]?(?:[بكل]?ال|لل|[بكل])?(?=..)")


def may_hold_keys(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether a long run of keys with Latin letters, or a rare pair of Arabic letters, is in it."""
    keys, rare = r"A-Za-z;\[\],.`'/\"?", rare_pair().pattern
    least = min(settings["least_letters"], 200) - 1
    return matching(texts, rf"[{keys}][{keys} \t]{{{least},}}|{rare}")


def layout(text: str, least_letters: int = 8, least_bits: float = 1.0) -> tuple[str, int]:
    """Arabic typed on the English keyboard and the reverse, typed again; counts the runs that were.

    A run of words is mended where its letters as typed cost at least `least_bits` more each than on the other layout,
    and the other reading is one that the language has; runs of fewer than `least_letters` letters stay. A full stop or
    a comma behind a word stays one, unless the word is one only with the letter of that key.
    """
    found = 0

    def mended(match: re.Match[str], typed: str, meant: str) -> str:
        nonlocal found
        made = _typed_again(match[0], typed, meant, least_letters, least_bits)
        found += made is not None
        return match[0] if made is None else made

    if _LATIN_RUN.search(text):
        text = _ENGLISH_KEYS.sub(lambda match: mended(match, "english", "arabic"), text)
    if rare_pair().search(text):
        text = _ARABIC_KEYS.sub(lambda match: mended(match, "arabic", "english"), text)
    return text, found


def _typed_again(run: str, typed: str, meant: str, least_letters: int, least_bits: float) -> str | None:
    """A run of words on the other layout; None where it was typed on the right one."""
    if len(run) < least_letters:
        return None
    # English typed on the Arabic layout has pairs of letters that Arabic words hardly have.
    if typed == "arabic" and (not rare_pair().search(run) or cost(run, typed) < LEAST_BITS_TYPED):
        return None
    if meant == "arabic":
        made = " ".join(map(_arabic_word, run.split(" ")))
    else:
        made = " ".join(map(_english_word, run.split(" ")))
    likely = cost(made, meant) if sum(map(str.isalpha, made)) >= least_letters else 15.0
    return None if likely > MOST_BITS - 0.4 or cost(run, typed) - likely < least_bits else made


def _english_word(word: str) -> str:
    """One word typed on the English layout. لا is one key, b, or two, gh: whichever makes the likelier word."""
    keys = _keys()[1]
    made = ["".join(keys.get(char, char) for char in word.replace("لا", b).replace("لإ", "T")) for b in ("b", "gh")]
    return min(made, key=_english_bits) if made[0] != made[1] else made[0]


def _english_bits(text: str) -> int:
    return sum(_word_bits(word, "english") for word in _WORD.findall(text.lower()))


@functools.lru_cache(maxsize=1 << 14)
def _arabic_word(word: str) -> str:
    """One word typed on the Arabic layout; a mark behind it as the mark or as its letter, whichever is likelier."""
    keys = _keys()[0]
    body = word.rstrip(".,?")
    marks, made = word[len(body) :], "".join(keys.get(char, char) for char in body)
    first, others = marks[:1], marks[1:].replace("?", "؟")
    if first not in _ends() or others[:1] == first or not made[-1:].isalpha():
        return made + marks.replace("?", "؟")
    whole = made + keys[first]
    return (whole if len(made) == 1 or _ends_in(whole, *_ends()[first]) else made + first) + others


@functools.cache
def _ends() -> dict[str, tuple[int, frozenset[str]]]:
    """Mark behind a word -> (bits, words that end in the letter of its key)."""
    ends = data("letters")["layout"]["ends"]
    return {mark: (each["bits"], frozenset(each["words"])) for mark, each in ends.items()}


def _ends_in(whole: str, most_bits: int, words: frozenset[str]) -> bool:
    """Whether a word ends in its last letter rather than before it."""
    plain = re.sub("[أإآ]", "ا", whole)
    if plain in words or _ATTACHED.sub("", plain) in words or plain[1:] in words:
        return True
    pairs, before, last = _pairs("arabic"), whole[-2], whole[-1]
    return pairs[before, last] + pairs[last, "$"] - pairs[before, "$"] <= most_bits
