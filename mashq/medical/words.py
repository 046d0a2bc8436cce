"""Phrases of a word list, found in running Arabic text whatever the marks, the spelling and the letters attached.

A phrase is elements with spaces between them, each element a word or several with a bar:

    ألم|وجع .. صدر*      a pain, up to three words, a word that begins with "chest"
    ضيق في? تنفس         the middle word may be missing

A star is any ending, a question mark makes an element optional, two dots are up to three words of the same clause, and
a_b is two words that stand where one may ("بدل|افضل_من").
A word of the text also counts without its attached و ف ب ل ك ال (and ع م ه before ال), so a list holds plain words.
What a phrase says may be denied, asked about in general, feared, or long past; `Spotter.spots` tells such hits apart.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from mashq.rows import MashqError
from mashq.word_patterns import folded_lower

__all__ = ["Spot", "Spotter", "Words", "data", "read"]

GAP = 3  # words that two dots may stand for
MOST_CHARACTERS = 20_000  # of a text that is read: a longer one is cut, and `Words.cut` says so
_PIECE = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d]+|[.!?؟\n؛;،,:()]|%")
_CLAUSE_ENDS = frozenset(".!?؟\n؛;،,:()")
_ATTACHED = re.compile(r"[وف]?(?:[بلك]?ال|لل|[عمه]ال|[بلك])?")


@dataclass(frozen=True)
class Words:
    """A text as words: folded, in lower case, digits Western; `clauses[i]` numbers the clause in which word i stands.

    `questions` has the clauses that end with a question mark. `folded` is the text the words were taken from.
    """

    folded: str
    words: tuple[str, ...]
    clauses: tuple[int, ...]
    questions: frozenset[int]
    cut: bool


@functools.lru_cache(maxsize=16)
def read(text: str) -> Words:
    """The words of a text. Never raises; of a text longer than `MOST_CHARACTERS` only the beginning is read."""
    folded = folded_lower("\x1f".join(text[:MOST_CHARACTERS].split("\n"))).replace("\x1f", "\n")
    words, clauses, questions, clause = [], [], set(), 0
    for piece in _PIECE.findall(folded):
        if piece in _CLAUSE_ENDS:
            if piece in "?؟":
                questions.add(clause)
            clause += 1
        else:
            words.append(piece)
            clauses.append(clause)
    return Words(folded, tuple(words), tuple(clauses), frozenset(questions), len(text) > MOST_CHARACTERS)


@functools.lru_cache(maxsize=1 << 16)
def _bare(word: str) -> tuple[str, ...]:
    """The word, and what is left of it without attached letters; at least three letters unless only و or ال go."""
    found = {word: None}
    for start in range(1, min(5, len(word) - 1)):
        head, rest = word[:start], word[start:]
        if _ATTACHED.fullmatch(head) and (len(rest) > 2 or head in ("و", "ال", "وال")):
            found[rest] = None
            if head.endswith("لل"):
                found["ال" + rest] = None
    return tuple(found)


@dataclass(frozen=True)
class _Element:
    """What one element of a phrase takes: whole words, stems of words; or it is a gap."""

    whole: frozenset[str]
    stems: frozenset[str]
    optional: bool = False
    gap: bool = False


def _element(text: str) -> _Element:
    if text == "..":
        return _Element(frozenset(), frozenset(), gap=True)
    optional = text.endswith("?")
    options = [folded_lower(option) for option in text.rstrip("?").split("|")]
    whole = frozenset(option for option in options if not option.endswith("*"))
    stems = frozenset(option.rstrip("*") for option in options if option.endswith("*"))
    if not all([*options, *stems]):
        raise MashqError(f"medical words: the element '{text}' has an empty word. Write a|b|c, or .. for a gap.")
    return _Element(whole, stems, optional)


def _variants(parts: Sequence[str]) -> list[list[str]]:
    """A phrase's elements, once for each a_b of its elements that is chosen instead of the single words."""
    made: list[list[str]] = [[]]
    for part in parts:
        options = part.rstrip("?").split("|")
        single = "|".join(option for option in options if "_" not in option)
        choices = [[single + part[len(part.rstrip("?")) :]]] if single else []
        choices += [option.split("_") for option in options if "_" in option]
        made = [[*before, *choice] for before in made for choice in choices]
    return made


@dataclass(frozen=True)
class _Phrase:
    """The numbers of a phrase's elements; -1 is a gap. `needs`: those without which it cannot stand in a text."""

    tag: str
    steps: tuple[tuple[int, bool], ...]  # (number, optional)
    needs: frozenset[int]

    def end(self, fits: Sequence[frozenset[int]], clauses: Sequence[int], at: int, step: int) -> int | None:
        """The place after the phrase's last word, if its elements from `step` on stand from word `at` on."""
        for place in range(step, len(self.steps)):
            number, optional = self.steps[place]
            if number < 0:
                return self._after_gap(fits, clauses, at, place + 1)
            if at < len(fits) and number in fits[at] and clauses[at] == clauses[at - 1]:
                at += 1
            elif not optional:
                return None
        return at

    def _after_gap(self, fits: Sequence[frozenset[int]], clauses: Sequence[int], at: int, step: int) -> int | None:
        for place in range(at, min(at + GAP + 1, len(fits))):
            if clauses[place] != clauses[at - 1]:
                return None
            end = self.end(fits, clauses, place, step)
            if end is not None:
                return end
        return None


@dataclass(frozen=True)
class Spot:
    """A phrase in a text: words `start` to before `end`. `state`: "" where it is stated, else a key of the frames."""

    tag: str
    start: int
    end: int
    state: str


class Spotter:
    """Tags with their phrases, compiled once.

    `nothing` are phrases whose words belong to no other ("من كل قلبي" is no heart). `frames` are, by name, phrases that
    change what follows in their clause, up to `reach` words on: "denied", "feared", ...
    """

    def __init__(
        self,
        phrases: Mapping[str, Iterable[str]],
        *,
        nothing: Iterable[str] = (),
        frames: Mapping[str, Iterable[str]] | None = None,
        reach: int = 5,
    ):
        self.reach = reach
        self.frames = frozenset(frames or ())
        given = {"": nothing, **(frames or {}), **phrases}
        self._elements: dict[_Element, int] = {}
        self._first: dict[int, list[_Phrase]] = defaultdict(list)
        for tag, lines in given.items():
            for line in lines:
                for parts in _variants(str(line).split()):
                    self._add(tag, [_element(part) for part in parts])
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._stems: dict[str, list[int]] = defaultdict(list)
        for element, number in self._elements.items():
            for word in element.whole:
                self._whole[word].append(number)
            for stem in element.stems:
                self._stems[stem].append(number)
        self._lengths = sorted({len(stem) for stem in self._stems})
        self._fits = functools.lru_cache(maxsize=1 << 16)(self._elements_of)
        self._begun = functools.lru_cache(maxsize=1 << 16)(self._beginning)

    def _add(self, tag: str, elements: Sequence[_Element]) -> None:
        if elements[0].gap or elements[0].optional or elements[-1].gap:
            raise MashqError(f"medical words: a phrase of '{tag}' begins or ends with a gap or an optional word.")
        plain = [_Element(one.whole, one.stems) for one in elements]
        numbers = [
            -1 if one.gap else self._elements.setdefault(bare, len(self._elements))
            for one, bare in zip(elements, plain, strict=True)
        ]
        steps = tuple((number, one.optional) for number, one in zip(numbers, elements, strict=True))
        needs = frozenset(number for number, optional in steps if number >= 0 and not optional)
        self._first[numbers[0]].append(_Phrase(tag, steps, needs))

    def _elements_of(self, word: str) -> frozenset[int]:
        """The elements that this word fits."""
        found: set[int] = set()
        for form in _bare(word):
            found.update(self._whole.get(form, ()))
            for length in self._lengths:
                if length > len(form):
                    break
                found.update(self._stems.get(form[:length], ()))
        return frozenset(found)

    def _beginning(self, word: str) -> tuple[_Phrase, ...]:
        """Phrases that may begin with this word."""
        return tuple(phrase for number in sorted(self._fits(word)) for phrase in self._first.get(number, ()))

    def spots(self, words: Words) -> list[Spot]:
        """Every phrase that stands in the text, in order; of one tag at one place the longest."""
        fits = [self._fits(word) for word in words.words]
        here = frozenset().union(*fits)
        if not here:
            return []
        hits: dict[tuple[str, int], int] = {}
        for at, word in enumerate(words.words):
            for phrase in self._begun(word):
                if phrase.needs <= here:
                    end = phrase.end(fits, words.clauses, at + 1, 1)
                    if end is not None and end > hits.get((phrase.tag, at), 0):
                        hits[phrase.tag, at] = end
        if not hits:
            return []
        taken = {place for (tag, start), end in hits.items() if not tag for place in range(start, end)}
        framed = [(tag, start, end) for (tag, start), end in hits.items() if tag in self.frames]
        return [
            Spot(tag, start, end, self._state(words, start, framed))
            for (tag, start), end in hits.items()
            if tag and tag not in self.frames and not taken.intersection(range(start, end))
        ]

    def _state(self, words: Words, start: int, framed: Sequence[tuple[str, int, int]]) -> str:
        clause = words.clauses[start]
        for tag, _, end in framed:
            if end <= start <= end + self.reach and words.clauses[end - 1] == clause and not _turned(words, end, start):
                return tag
        return ""


TURNS = frozenset({"لكن", "ولكن", "بس", "انما", "الا", "but", "غير"})  # what ends the reach of a frame


def _turned(words: Words, end: int, start: int) -> bool:
    return not TURNS.isdisjoint(words.words[end:start])


@functools.cache
def data(name: str) -> dict[str, Any]:
    """A file of `mashq/data/medical`, without its ending."""
    return yaml.safe_load((files("mashq") / "data" / "medical" / f"{name}.yaml").read_text("utf-8"))
