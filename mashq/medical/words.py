"""Phrases of a word list, found in running Arabic text whatever the marks, the spelling and the letters attached.

A phrase is elements with spaces between them, each element a word or several with a bar:

    ألم|وجع .. صدر*      a pain, up to three words, a word that begins with "chest"
    ضيق في? تنفس         the middle word may be missing

A star is any ending, a question mark makes an element optional, two dots are up to three words of the same clause, and
a_b is two words that stand where one may ("بدل|افضل_من"). صدر~ is the word with any ending of possession (صدري, صدره,
صدرها ...), and @stop stands for the words of the set `stop` in `terms.yaml`.
A word of the text also counts without its attached و ف ب ل ك ال (and ع م ه before ال), so a list holds plain words.
What the dialects put around a verb is taken off while reading: مبيوقفش and ما كيوقفش are ما with the verb, عم before a
present and the Iraqi د of ديوجع fall away, and گ is ق.
What a phrase says may be denied, asked about in general, feared, or long past; `Spotter.spots` tells such hits apart.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashq.packaged import parsed
from mashq.rows import MashqError, nearest
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


_LETTERS = str.maketrans("گچڤپ", "قكفب")  # Iraqi گ is ق, چ mostly ك
_DENIED = re.compile(
    r"(?P<and>[وف]?)(?:ما(?P<long>\w{3,})|م(?P<short>[بك]?[يتنا]\w{2,}|(?:قدر|عرف|بق|فاق|صح|وقف|كن|كان|شف|حس|بغ|رض|رد)\w*))ش[يو]?"
)
_FUSED = re.compile(r"ما([بك]?[يتن]\w{3,})")  # written as one: مايقدر, ماتكدر
# Words that only look like a denied verb: wild, thirsty, amazing, ...
_WHOLE = frozenset(
    [
        "متوحش",
        "متعطش",
        "منتعش",
        "مناقش",
        "متشوش",
        "منكمش",
        "مايش",
        "ماشوش",
        "مافيش",
        "مندهش",
        "متناقش",
        "ملتهش",
        "مانيش",
        "ماكانش",
        "مقرمش",
        "منغش",
    ]
)


@functools.lru_cache(maxsize=1 << 16)
def _parts(word: str) -> tuple[str, ...]:
    """مبيوقفش -> ما, بيوقف; most words are their own one part."""
    if word[-1] in "شيو" and word not in _WHOLE:
        match = _DENIED.fullmatch(word)
        if match:
            return match["and"] + "ما", match["long"] or match["short"]
    if word.startswith("ما"):
        fused = _FUSED.fullmatch(word)
        if fused and not word.startswith(("مايكرو", "مايون", "ماتريكس", "مايسترو")):
            return "ما", fused[1]
    return (word,)


def _verbs(words: list[str], clauses: list[int]) -> tuple[list[str], list[int]]:
    """The words without the عم of a present, and without the ش of "ما ... ش"."""
    made: list[str] = []
    places: list[int] = []
    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else ""
        if word == "عم" and after[:1] in ("ب", "ي", "ت", "ن", "ا") and len(after) > 3:
            continue
        if word[-1] == "ش" and len(word) > 4 and made and made[-1] in ("ما", "م", "وما") and places[-1] == clauses[at]:
            word = word[:-1]
        made.append(word)
        places.append(clauses[at])
    return made, places


@functools.lru_cache(maxsize=16)
def read(text: str) -> Words:
    """The words of a text. Never raises; of a text longer than `MOST_CHARACTERS` only the beginning is read."""
    folded = folded_lower("\x1f".join(text[:MOST_CHARACTERS].split("\n"))).replace("\x1f", "\n").translate(_LETTERS)
    words: list[str] = []
    clauses: list[int] = []
    questions, clause = set(), 0
    for piece in _PIECE.findall(folded):
        if piece in _CLAUSE_ENDS:
            if piece in "?؟":
                questions.add(clause)
            clause += 1
        else:
            parts = _parts(piece) if "ش" in piece or piece.startswith("ما") else (piece,)
            words += parts
            clauses += [clause] * len(parts)
    if "ش" in folded or "عم" in words:
        words, clauses = _verbs(words, clauses)
    return Words(folded, tuple(words), tuple(clauses), frozenset(questions), len(text) > MOST_CHARACTERS)


@functools.lru_cache(maxsize=1 << 16)
def _bare(word: str) -> tuple[str, ...]:
    """The word, and what is left of it without attached letters; at least three letters unless only و or ال go."""
    found = {word: None}
    if len(word) > 4 and word[0] == "د" and word[1] in "يتن":  # Iraqi and Maghrebi: ديوجعني, دينزف
        found[word[1:]] = None
    for start in range(1, min(5, len(word) - 1)):
        head, rest = word[:start], word[start:]
        if _ATTACHED.fullmatch(head) and (len(rest) > 2 or head in ("و", "ال", "وال")):
            found[rest] = None
            if head.endswith("لل"):
                found["ال" + rest] = None
    return tuple(found)


@dataclass(frozen=True)
class _Element:
    """What one element of a phrase takes: whole words, stems of words, several words together; or it is a gap."""

    whole: frozenset[str]
    stems: frozenset[str]
    joined: frozenset[tuple[str, ...]]
    optional: bool = False
    gap: bool = False

    @property
    def needed(self) -> bool:
        return not (self.gap or self.optional)

    @property
    def size(self) -> int:
        return len(self.whole) + 3 * len(self.stems) + len(self.joined)


def _element(text: str) -> _Element:
    if text == "..":
        return _Element(frozenset(), frozenset(), frozenset(), gap=True)
    optional = text.endswith("?")
    options = [folded_lower(option) for option in text.rstrip("?").split("|")]
    joined = frozenset(tuple(option.split("_")) for option in options if "_" in option)
    single = [option for option in options if "_" not in option]
    whole = frozenset(option for option in single if not option.endswith("*"))
    stems = frozenset(option.rstrip("*") for option in single if option.endswith("*"))
    if not all([*options, *stems, *(word for words in joined for word in words)]):
        raise MashqError(f"medical words: the element '{text}' has an empty word. Write a|b|c, or .. for a gap.")
    return _Element(whole, stems, joined, optional)


_OWNERS = ("", "ي", "ه", "ها", "و", "هم", "هن", "نا", "ك", "كم", "كي", "ا", "ج", "يا", "يه", "هو")
_SET = re.compile(r"@(\w+)")


@functools.cache
def _sets() -> dict[str, str]:
    return {name: "|".join(map(str, options)) for name, options in data("terms")["sets"].items()}


def _owned(option: str) -> str:
    """ركبه~ -> ركبه|ركبتي|ركبته|...: the word with each ending of possession."""
    if not option.endswith("~"):
        return option
    head, _, word = option[:-1].rpartition("_")
    head, word = head + "_" * bool(head), folded_lower(word)
    stems = [word, word[:-1] + "ت"] if word.endswith("ه") else [word]  # وجهي, ركبتي: folding hides which ه it is
    return "|".join([head + word, *(head + stem + owner for stem in stems for owner in _OWNERS if owner)])


def _plain(line: str) -> str:
    """A phrase without @ and ~: sets and endings written out."""

    def of_set(match: re.Match[str]) -> str:
        name = match[1]
        if name not in _sets():
            raise MashqError(f"medical words: no set '@{name}' in terms.yaml, in '{line}'.{nearest(name, _sets())}")
        return _sets()[name]

    while "@" in line:
        line = _SET.sub(of_set, line)
    return " ".join(
        "|".join(map(_owned, part.rstrip("?").split("|"))) + part[len(part.rstrip("?")) :] if "~" in part else part
        for part in line.split()
    )


@dataclass(frozen=True, slots=True)
class _Text:
    """A text for phrases: of each word the elements it fits; `wide`: where several words fit, (end, elements)."""

    fits: Sequence[frozenset[int]]
    clauses: Sequence[int]
    wide: Mapping[int, Sequence[tuple[int, frozenset[int]]]]


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase's elements by number; -1 is a gap. `needs`: the rarest of those after the first, -1 where none is."""

    tag: str
    steps: tuple[tuple[int, bool], ...]  # (number, optional)
    needs: int

    def end(self, text: _Text, at: int, step: int) -> int:
        """The place after the phrase's last word, the farthest, if its elements from `step` on stand from word `at` on.

        -1 where they do not.
        """
        fits, clauses, best = text.fits, text.clauses, -1
        for place in range(step, len(self.steps)):
            number, optional = self.steps[place]
            if number < 0:
                return max(best, self._after_gap(text, at, place + 1))
            here = at < len(fits) and clauses[at] == clauses[at - 1]
            if here and at in text.wide:
                ends = [end for end, elements in text.wide[at] if number in elements]
                best = max([best, *(self.end(text, end, place + 1) for end in ends)])
            if here and number in fits[at]:
                at += 1
            elif not optional:
                return best
        return max(best, at)

    def _after_gap(self, text: _Text, at: int, step: int) -> int:
        for place in range(at, min(at + GAP + 1, len(text.fits))):
            if text.clauses[place] != text.clauses[at - 1]:
                return -1
            end = self.end(text, place, step)
            if end >= 0:
                return end
        return -1


@dataclass(frozen=True)
class Spot:
    """A phrase in a text: words `start` to before `end`. `state`: "" where it is stated, else a key of the frames."""

    tag: str
    start: int
    end: int
    state: str


_Begun = dict[int, list[_Phrase]]  # phrases by what they need
_Join = tuple[tuple[str, ...], frozenset[int], _Begun]  # words after the first, elements, phrases begun
_Known = tuple[frozenset[int], _Begun, dict[str, list[_Join]]]  # joins by their second word, "*" where it is a stem


def _stands(rest: tuple[str, ...], words: Words, at: int) -> bool:
    """Do these words follow word `at` in its clause?"""
    end = at + 1 + len(rest)
    if end > len(words.words) or words.clauses[end - 1] != words.clauses[at]:
        return False
    following = words.words[at + 1 : end]
    return all(
        one in _bare(word) or (one.endswith("*") and any(form.startswith(one[:-1]) for form in _bare(word)))
        for one, word in zip(rest, following, strict=True)
    )


def _place(hit: tuple[tuple[str, int], int]) -> int:
    return hit[0][1]


class Spotter:
    """Tags with their phrases, compiled once.

    `nothing` are phrases whose words belong to no other ("من كل قلبي" is no heart). `frames` are, by name, phrases that
    change what follows in their clause, up to `reach` words on: "denied", "feared", ...; "gone" changes what is before.
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
                self._add(tag, [_element(part) for part in _plain(str(line)).split()])
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._stems: dict[str, list[int]] = defaultdict(list)
        self._joined: dict[str, dict[tuple[str, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for element, number in self._elements.items():
            for word in element.whole:
                self._whole[word].append(number)
            for stem in element.stems:
                self._stems[stem].append(number)
            for first, *rest in element.joined:
                self._joined[first][tuple(rest)].append(number)
        self._lengths = sorted({len(stem) for stem in self._stems})
        self._known = functools.lru_cache(maxsize=1 << 16)(self._look_up)

    def _add(self, tag: str, elements: Sequence[_Element]) -> None:
        if elements[0].gap or elements[0].optional or elements[-1].gap:
            raise MashqError(f"medical words: a phrase of '{tag}' begins or ends with a gap or an optional word.")
        plain = [_Element(one.whole, one.stems, one.joined) for one in elements]
        numbers = [
            -1 if one.gap else self._elements.setdefault(bare, len(self._elements))
            for one, bare in zip(elements, plain, strict=True)
        ]
        steps = tuple((number, one.optional) for number, one in zip(numbers, elements, strict=True))
        later = [(one.size, number) for number, one in zip(numbers[1:], elements[1:], strict=True) if one.needed]
        self._first[numbers[0]].append(_Phrase(tag, steps, min(later, default=(0, -1))[1]))

    def _look_up(self, word: str) -> _Known:
        """The elements that this word fits, the phrases that may begin with it, what it begins with others."""
        found: set[int] = set()
        joins: dict[tuple[str, ...], list[int]] = {}
        for form in _bare(word):
            found.update(self._whole.get(form, ()))
            joins.update(self._joined.get(form, {}))
            for length in self._lengths:
                if length > len(form):
                    break
                found.update(self._stems.get(form[:length], ()))
        wide: dict[str, list[_Join]] = defaultdict(list)
        for rest, numbers in joins.items():
            wide["*" if rest[0].endswith("*") else rest[0]].append((rest, *self._of(numbers)))
        return *self._of(found), dict(wide)

    def _of(self, numbers: Iterable[int]) -> tuple[frozenset[int], _Begun]:
        begun: dict[int, list[_Phrase]] = defaultdict(list)
        for number in sorted(numbers):
            for phrase in self._first.get(number, ()):
                begun[phrase.needs].append(phrase)
        return frozenset(numbers), dict(begun)

    def _hits(self, words: Words) -> dict[tuple[str, int], int]:
        """(tag, place) -> end of the longest phrase."""
        known = [self._known(word) for word in words.words]
        begun = [(at, at + 1, phrases) for at, (_, phrases, _) in enumerate(known) if phrases]
        wide: dict[int, list[tuple[int, frozenset[int]]]] = {}
        here = {-1}.union(*(elements for elements, _, _ in known))
        for at, (_, _, joins) in enumerate(known[:-1]):
            for form in (*_bare(words.words[at + 1]), "*") if joins else ():
                for rest, elements, phrases in joins.get(form, ()):
                    end = at + 1 + len(rest)
                    if _stands(rest, words, at):
                        wide.setdefault(at, []).append((end, elements))
                        begun.append((at, end, phrases))
                        here |= elements
        text = _Text([elements for elements, _, _ in known], words.clauses, wide)
        hits: dict[tuple[str, int], int] = {}
        for at, after, phrases in begun:
            for needs in sorted(phrases.keys() & here):  # a phrase whose rarest word is missing is not looked for
                for phrase in phrases[needs]:
                    end = phrase.end(text, after, 1)
                    if end > hits.get((phrase.tag, at), 0):
                        hits[phrase.tag, at] = end
        return dict(sorted(hits.items(), key=_place)) if wide else hits

    def spots(self, words: Words) -> list[Spot]:
        """Every phrase that stands in the text, in order; of one tag at one place the longest."""
        hits = self._hits(words)
        if not hits:
            return []
        taken = {place for (tag, start), end in hits.items() if not tag for place in range(start, end)}
        framed = [(tag, start, end) for (tag, start), end in hits.items() if tag in self.frames]
        return [
            Spot(tag, start, end, self._state(words, start, framed))
            for (tag, start), end in hits.items()
            if tag and tag not in self.frames and not (taken and taken.intersection(range(start, end)))
        ]

    def _state(self, words: Words, start: int, framed: Sequence[tuple[str, int, int]]) -> str:
        clause = words.clauses[start]
        for tag, begin, end in framed:
            if words.clauses[end - 1] != clause or (tag == "denied" and words.words[start] in _NOT):
                continue  # "I cannot walk": a spot that begins with a word of no is not denied by one before it
            if tag == "gone":
                if start < begin <= start + self.reach + 3:
                    return tag
            elif end <= start <= end + self.reach and not _turned(words, end, start):
                return tag
        return ""


_NOT = frozenset(["ما", "وما", "مو", "ومو", "مش", "ومش", "مب", "لا", "ولا", "لم", "ولم"])
TURNS = frozenset({"لكن", "ولكن", "بس", "انما", "الا", "but", "غير"})  # what ends the reach of a frame


def _turned(words: Words, end: int, start: int) -> bool:
    return not TURNS.isdisjoint(words.words[end:start])


def data(name: str) -> dict[str, Any]:
    """A file of `mashq/data/medical`, without its ending."""
    return parsed(f"medical/{name}")
