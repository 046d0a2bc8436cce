"""The word lists of `mashq/data/privacy`, folded and compiled once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import cache, lru_cache
from typing import Any, NamedTuple

from mashq.packaged import parsed, raw
from mashq.privacy.page import fold_word
from mashq.rows import MashqError, expected_got

__all__ = [
    "FILES",
    "Entry",
    "Weight",
    "any_of",
    "data",
    "data_hash",
    "is_word",
    "names",
    "skeleton",
    "with_clitics",
    "women",
    "wordset",
]

FILES = ("names", "latin", "words", "vocabulary", "places", "numbers", "placeholders")
CLITICS = ("و", "ف", "ب", "ل", "ك", "وب", "ول", "فل", "فب", "وك")  # before a name


class Weight(IntEnum):
    """How much a word alone speaks for a name."""

    RARE = 0
    WEAK = 1
    ALSO = 2
    ONLY = 3


class Entry(NamedTuple):
    """A word of the gazetteer, or one with a clitic before it."""

    weight: Weight
    family: bool  # a family name and no given name
    last: str  # the last letter as the list spells it: ى or ي where that matters, else ""
    clitic: int  # how many letters stand before the name


def data(name: str) -> Any:
    """One of `FILES`, parsed."""
    return parsed(f"privacy/{name}")


@cache
def data_hash() -> str:
    """A hash of all word lists: 16 hexadecimal digits."""
    content = "".join(f"{name}\n{raw(f'privacy/{name}').decode()}" for name in FILES)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


@cache
def wordset(file: str, *path: str) -> frozenset[str]:
    """A list of a file as folded words; an underscore in it is a space.

    Raises MashqError for a list that the file does not have.
    """
    found = data(file)
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            known = ", ".join(found) if isinstance(found, Mapping) else "a list"
            raise MashqError(expected_got(f"privacy data '{file}'", known, f"'{key}'"))
        found = found[key]
    return frozenset(fold_word(word).replace("_", " ").lower() for word in str(found).split())


def with_clitics(words: Iterable[str], clitics: Iterable[str] = ("و", "ف")) -> frozenset[str]:
    """The words, and each of more than one letter with a clitic before it (ل and the title أ. would be لا)."""
    words = tuple(words)
    return frozenset([*words, *(clitic + word for clitic in clitics for word in words if len(word) > 1)])


def any_of(patterns: str) -> str:
    """A list of regular expressions, divided by spaces -> one that matches any of them; the longest first."""
    return "|".join(sorted(set(patterns.split()), key=len, reverse=True))


# --- Arabic names ----------------------------------------------------------------------------------------------------


@cache
def names() -> dict[str, Entry]:
    """Folded word -> what it is as a name, clitics included; a word in two lists has the lower weight."""
    lists = data("names")
    whole: dict[str, Entry] = {}
    for part in ("family", "men", "women"):  # a given name that is a family name too counts as given
        for weight in Weight:
            for word in lists[part].get(weight.name.lower(), "").split():
                _add(whole, word, weight, part == "family")
    for word in _compounds():
        _add(whole, word, Weight.ONLY, False)
    for word in lists["foreign"].split():
        _add(whole, word, Weight.ONLY, True)
    _derive(whole, lists)
    for word, entry in whole.items():
        plainly = word in wordset("words", "plain") or (word.startswith("ال") and is_word(word))
        if entry.weight is Weight.ONLY and plainly:
            whole[word] = entry._replace(weight=Weight.WEAK)  # الجاف, العالية: families, and plain words far more often
    known = dict(whole)
    given = (word for part in ("men", "women") for words in lists[part].values() for word in words.split())
    hamza = frozenset(fold_word(word) for word in given if re.match("[أإآ]ل", word))  # إلياس: its ال is no article
    plain = vocabulary() | wordset("words", "plain")
    for clitic in CLITICS:
        for word, entry in whole.items():
            if len(word) > 2 and word in hamza and clitic + word not in plain:
                weight = min(entry.weight, Weight.WEAK if is_word(word) else Weight.ONLY)  # والهام: and what matters
                known.setdefault(clitic + word, entry._replace(clitic=len(clitic), weight=weight))
            elif len(word) > 2 and not word.startswith("ال") and clitic + word not in plain:
                known.setdefault(clitic + word, entry._replace(clitic=len(clitic)))
            # In a list of names it is one: سعاد وهناء.
            elif clitic == "و" and len(word) > 2 and entry.weight >= Weight.ALSO and not word.startswith("ال"):
                known.setdefault(clitic + word, entry._replace(clitic=1, weight=Weight.WEAK))
    return known


@cache
def women() -> frozenset[str]:
    """Folded names of women that are neither a man's nor a family's: no second part of a name."""
    lists = data("names")
    of = {
        part: {fold_word(word) for words in lists[part].values() for word in words.split()}
        for part in ("women", "men", "family")
    }
    return frozenset(of["women"] - of["men"] - of["family"])


def _derive(whole: dict[str, Entry], lists: Mapping[str, Any]) -> None:
    """بوخالد and أبوخالد beside خالد; القاسم beside قاسم, برزنجي beside البرزنجي: the last two may be plain words."""
    men = lists["men"]
    for word in map(fold_word, f"{men['only']} {men['also']} {men['weak']}".split()):
        for kunya in ("بو", "ابو"):
            if kunya + word not in vocabulary() and len(word) > 2:
                whole.setdefault(kunya + word, Entry(Weight.ONLY, False, "", 0))
    for word in map(fold_word, f"{men['only']} {men['also']}".split()):
        whole.setdefault("ال" + word, Entry(Weight.ALSO, True, "", 0))
    for word in map(fold_word, lists["family"]["only"].split()):
        bare = word[2:]
        if word.startswith("ال") and word.endswith("ي") and len(bare) > 3 and bare not in vocabulary():
            whole.setdefault(bare, Entry(Weight.ALSO, True, "", 0))


def _add(whole: dict[str, Entry], word: str, weight: Weight, family: bool) -> None:
    folded = fold_word(word)
    before = whole.get(folded)
    weight = min(weight, before.weight) if before else weight
    whole[folded] = Entry(weight, family, word[-1] if word[-1] in "ىي" else "", 0)


def _compounds() -> Iterable[str]:
    """Names of two parts written as one word: عبدالرحمن, نورالدين."""
    lists = data("names")
    yield from ("عبد" + word for word in lists["servants"].split())
    yield from (word + "الدين" for word in lists["of_faith"].split())


# --- plain words ---------------------------------------------------------------------------------------------------

_BEFORE = tuple("_ ال و وال ف فال ب بال ل لل ك كال ول وب هال عال وت وي وم".replace("_", "").split(" "))
_OF_VERBS = ("س", "ه", "ع", "م", "ت", "ي", "ا", "ن", "ك")  # with one letter more of the word left
_AFTER = tuple("_ ه ها ي ني نا ك كم هم ت تي ته ات ين ون وا ان ا و ش لي لك له".replace("_", "").split(" "))
_SHORTEST = 3  # letters of what is left


@cache
def vocabulary() -> frozenset[str]:
    """Plain words of Arabic and its dialects, folded, and those that announce numbers."""
    announcing = " ".join(str(words) for words in data("numbers").values()).replace("\\s", " ").replace("\\w*", "")
    return frozenset([*data("vocabulary")["words"].split(), *announcing.split()])


@lru_cache(100_000)
def is_word(word: str) -> bool:
    """Whether a folded word, or what is left without an attached particle, pronoun or ending, is a plain word."""
    if word in vocabulary() or word in wordset("words", "common"):
        return True
    for before in (*_BEFORE, *_OF_VERBS):
        if word.startswith(before) and _ends_plainly(word[len(before) :], _SHORTEST + (before in _OF_VERBS)):
            return True
    return False


def _ends_plainly(stem: str, shortest: int) -> bool:
    """Whether a word of at least so many letters and perhaps an ending is a plain one."""
    for after in _AFTER:
        left = stem[: len(stem) - len(after)]
        plain = left in vocabulary() or (after[:1] == "ت" and left + "ه" in vocabulary())
        if plain and stem.endswith(after) and len(left) >= shortest:
            return True
    return False


# --- Latin names -----------------------------------------------------------------------------------------------------

# The consonants of a name in both scripts: what is left when vowels, doubling and rival spellings are taken away.
_LETTERS = {
    **dict(zip("بتثجحخدذرزسشصضطظغفقكلمنه", "btTjhkddrzsSsdtzgfkklmnh", strict=True)),
    "ث": "t",
    "خ": "h",
    "ق": "k",
    "و": "w",
    "ي": "y",
}
_LATIN_PAIRS = (("sh", "S"), ("ch", "S"), ("th", "t"), ("kh", "h"), ("dh", "d"), ("gh", "g"), ("ph", "f"), ("ou", "w"))


def skeleton(word: str) -> str:
    """The consonants of an Arabic or Latin word: محمد and Mohammed are both `mhmd`."""
    if word.isascii():
        word = word.lower()
        for pair, letter in _LATIN_PAIRS:
            word = word.replace(pair, letter)
        letters = re.sub(r"[aeiouywv']", "", word).replace("q", "k").replace("c", "k").replace("x", "ks")
        letters = letters.replace("p", "b").replace("dj", "j") if word.startswith("dj") else letters.replace("p", "b")
        letters = letters.replace("g", "j") if "j" not in letters and word.startswith("g") else letters
        trailing = letters[:-1] if letters.endswith("h") and word.endswith(("ah", "eh")) else letters
        return re.sub(r"(.)\1+", r"\1", trailing)
    word = re.sub("ه$", "", word)
    return re.sub(r"(.)\1+", r"\1", "".join(_LETTERS.get(letter, "") for letter in word if letter not in "وي"))


@cache
def latin_names() -> dict[str, Weight]:
    """Latin spelling in lower case -> its weight."""
    lists = data("latin")
    known = {word: Weight.ONLY for part in ("men", "women", "family") for word in lists[part].split()}
    return known | dict.fromkeys(lists["also"].split(), Weight.ALSO)


@cache
def skeletons() -> frozenset[str]:
    """The consonants of every Arabic name of the gazetteer, three or more."""
    arabic_names = (word for word, entry in names().items() if not entry.clitic)
    return frozenset(bones for bones in map(skeleton, arabic_names) if len(bones) >= 3)
