"""Judges without a model, with planted faults of known size, to measure the judge card with.

A scripted judge computes its scores from the text it is shown; of what it cannot compute it looks up the truth in a
table of known texts (how good the answer to a prompt is, what the whole reply to it says). Every draw is a hash of the
text and the judge's seed, so the same judge says the same again, and two seeds are two independent judges.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import regex

from mashq.arabic import words
from mashq.judge import Case
from mashq.judge.probes import packaged_parallel, packaged_vocalised
from mashq.packaged import parsed
from mashq.sentences import sentences

CRITERIA = ("fluency", "coherence", "following_instructions", "consistency", "variety")
TYPICAL_WORDS = 40  # the length at which no length bias shows
PENALTY = 2.0  # steps taken off for a defect that is seen
ENDED = regex.compile(r"[.!?؟…]\s*$")


class KnownTexts:
    """The true reply to each prompt, of these cases and the packaged ones; a prompt with two replies has none."""

    def __init__(self, cases: Sequence[Case]):
        packaged = [case for texts in packaged_parallel() for case in texts.values()] + packaged_vocalised()
        times = Counter(case.prompt for case in cases)
        self.replies = {case.prompt: case.reply for case in [*packaged, *cases] if times[case.prompt] < 2}
        self.texts = frozenset(self.replies.values())
        self.defects: dict[Case, list[str]] = {}  # what was seen in a case before

    def __repr__(self) -> str:
        return f"KnownTexts({len(self.replies)})"


@dataclass(frozen=True)
class ScriptedJudge:
    """A judge whose faults are known. All are 0 at first: then it is right every time and always readable."""

    known: KnownTexts = field(default_factory=lambda: KnownTexts([]))
    language: str = "en"
    seed: int = 0
    place: float = 0.0  # chance that a verdict is "first", whatever the replies are; below 0: "second"
    per_doubling: float = 0.0  # steps for each doubling of the length
    unlike: float = 0.0  # how far that differs from prompt to prompt: evenly over this much to both sides
    dialect: float = 0.0  # steps for a reply in Egyptian or Moroccan
    marks: float = 0.0  # steps for a reply with vowel marks
    arabic: float = 0.0  # steps when the rubric is in Arabic
    unstable: float = 0.0  # chance that a score moves by one step when asked again
    malformed: float = 0.0  # chance that an answer cannot be read
    alarm: float = 0.0  # chance that a text loses a step for no reason
    sees: float = 1.0  # chance that a defect is seen
    blind: tuple[str, ...] = ()  # defects that are never seen
    halo: float = 0.0  # steps that a seen defect takes off the other criteria
    worth: Mapping[str, float] = field(default_factory=dict)  # reply -> its score less 3, where not by its prompt
    family: frozenset[str] = frozenset()  # replies that its own family wrote
    favours: float = 0.0  # steps for a reply of its own family
    dithered: bool = False  # whole steps by chance, so that their mean is the true score; else rounded
    criteria: tuple[str, ...] = CRITERIA

    def scores(self, cases: Sequence[Case], *, repeat: int = 0) -> list[dict[str, float | None]]:
        """1 to 5 for each criterion; None for all of an answer that cannot be read."""
        return [self._scores(case, repeat) for case in cases]

    def prefer(self, pairs: Sequence[tuple[Case, Case]], *, repeat: int = 0) -> list[str | None]:
        """The better reply, or the one at the favoured place; None where the answer cannot be read."""
        return [self._verdict(one, two) for one, two in pairs]

    def in_language(self, language: str) -> ScriptedJudge:
        """The same judge with the rubric in that language."""
        return replace(self, language=language)

    def chance(self, *parts: object) -> float:
        """A number in 0..1 of these parts' own."""
        text = "\0".join(map(str, [self.seed, *parts])).encode("utf-8", "replace")
        return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) / 2**56

    def _scores(self, case: Case, repeat: int) -> dict[str, float | None]:
        if self.chance("malformed", self.language, repeat, case) < self.malformed:
            return dict.fromkeys(self.criteria)
        return {criterion: self._score(case, criterion, repeat) for criterion in self.criteria}

    def _score(self, case: Case, criterion: str, repeat: int) -> float:
        score = self.true_score(case, criterion)
        score = math.floor(score + (self.chance("dither", self.language, case, criterion) if self.dithered else 0.5))
        score -= self.chance("alarm", repeat, case, criterion) < self.alarm
        if repeat and self.chance("unstable", repeat, case, criterion) < self.unstable:
            score += 1 if score < 3 else -1
        return float(min(5, max(1, score)))

    def true_score(self, case: Case, criterion: str) -> float:
        """The mean of the scores this judge would give, before it is made a whole step."""
        slope = self.per_doubling + self.unlike * (2 * self.chance("slope", case.prompt) - 1)
        score = 3.0 + (self.worth[case.reply] if case.reply in self.worth else quality(case.prompt))
        score += self.favours * (case.reply in self.family)
        score += slope * math.log2(max(1, _length(case.reply)) / TYPICAL_WORDS)
        score += self.dialect * (variety_of(case.reply) != "msa")
        score += self.marks * _is_vocalised(case.reply)
        score += self.arabic * (self.language == "ar")
        for defect in self._defects(case):
            if defect in self.blind or self.chance("sees", defect, case) >= self.sees:
                continue
            score -= PENALTY if FALLS[defect] == criterion else self.halo
        return score

    def _defects(self, case: Case) -> list[str]:
        if case not in self.known.defects:
            truth = self.known.replies.get(case.prompt, case.reply)
            shown = [name for name, shows in SIGNS.items() if shows(case, truth, self.known.texts)]
            self.known.defects[case] = shown
        return self.known.defects[case]

    def _verdict(self, one: Case, two: Case) -> str | None:
        if self.chance("malformed", one, two) < self.malformed:
            return None
        if self.chance("place", one, two) < abs(self.place):
            return "first" if self.place > 0 else "second"
        better = max(one, two, key=lambda case: (self.true_score(case, "fluency"), self.chance("better", case)))
        return "first" if better == one else "second"


# --- what is known of texts ------------------------------------------------------------------------------------------


def quality(prompt: str) -> float:
    """How good the answers to a prompt are, in steps from the middle: by its last words, so equal in all varieties."""
    digest = hashlib.blake2b(" ".join(prompt.split()[-2:]).encode("utf-8", "replace"), digest_size=1).digest()
    return (digest[0] / 255 - 0.5) * 0.6


@functools.cache
def _only_in() -> dict[str, str]:
    """A word that stands in the packaged texts of one dialect and of no other variety -> the dialect."""
    found: dict[str, set[str]] = {
        word: {"msa"} for text in parsed("judge/probes")["padding"]["msa"] for word in words(text)
    }
    for texts in packaged_parallel():
        for variety, case in texts.items():
            for word in words(case.reply):
                found.setdefault(word, set()).add(variety)
    alone = {word: next(iter(names)) for word, names in found.items() if len(names) == 1}
    return {word: variety for word, variety in alone.items() if variety != "msa"}


@functools.lru_cache(20_000)
def _said(text: str) -> tuple[str, ...]:
    return tuple(words(text))


def _length(text: str) -> int:
    return len(_said(text))


@functools.lru_cache(20_000)
def _is_vocalised(text: str) -> bool:
    return len(regex.findall(r"\p{Mn}", text)) > _length(text)


@functools.lru_cache(20_000)
def variety_of(text: str) -> str:
    """The dialect with most words of its own in a text; Standard Arabic where there are fewer than two."""
    said = [_only_in()[word] for word in _said(text) if word in _only_in()]
    best = max(sorted(set(said)), key=said.count, default="msa")
    return best if said.count(best) >= 2 else "msa"


@functools.lru_cache(20_000)
def _parts(text: str) -> list[str]:
    return [part.strip().rstrip(".") for part in sentences(text) if words(part)]


@functools.cache
def _filler() -> frozenset[str]:
    return frozenset(sentence.rstrip(".") for texts in parsed("judge/probes")["padding"].values() for sentence in texts)


def _added(case: Case, truth: str) -> set[str]:
    return set(_parts(case.reply)) - set(_parts(truth)) - _filler()


@functools.cache
def _first_names() -> frozenset[str]:
    return frozenset(name for row in parsed("judge/probes")["names"] for name in row)


def _renamed(said: Sequence[str], truth: Sequence[str]) -> bool:
    """One word differs, and it is or ends in a first name."""
    other = [one for one, two in zip(said, truth, strict=False) if one != two]
    return len(said) == len(truth) and len(other) == 1 and bool({other[0], other[0][1:]} & _first_names())


FALLS = {  # the criterion each is seen in
    "wrong_name": "consistency",
    "contradiction": "consistency",
    "wrong_variety": "variety",
    "code_switch": "variety",
    "truncation": "coherence",
    "shuffled": "coherence",
    "repeated": "coherence",
    "other_prompt": "following_instructions",
}
SIGNS = {
    "wrong_name": lambda case, truth, known: _renamed(_said(case.reply), _said(truth)),
    "contradiction": lambda case, truth, known: (
        _parts(case.reply)[: len(_parts(truth))] == _parts(truth)
        and bool(_added(case, truth))
        and not regex.search(r"\p{Latin}", case.reply)
    ),
    "wrong_variety": lambda case, truth, known: variety_of(case.reply) != (case.variety or "msa"),
    "code_switch": lambda case, truth, known: bool(regex.search(r"\p{Latin}", case.reply)),
    "truncation": lambda case, truth, known: not ENDED.search(case.reply),
    "shuffled": lambda case, truth, known: (
        sorted(_parts(case.reply)) == sorted(_parts(truth)) and _parts(case.reply) != _parts(truth)
    ),
    "repeated": lambda case, truth, known: len(set(_parts(case.reply))) < len(_parts(case.reply)),
    "other_prompt": lambda case, truth, known: case.reply != truth and case.reply in known,
}


# --- cases to be judged ----------------------------------------------------------------------------------------------


def example_cases(count: int = 60, of_a_prompt: int = 1) -> list[Case]:
    """So many cases in Standard Arabic made of the packaged texts: replies of 3, 6 and 9 sentences, in turn."""
    texts = [one["msa"].reply for one in packaged_parallel()]
    cases = []
    for number in range(count):
        topic = number // of_a_prompt
        picked = [texts[(5 * number + step * (3 + topic // 24)) % 24] for step in range(1 + number % 3)]
        cases.append(Case(f"اكتب قصة قصيرة رقمها {topic}", " ".join(picked), "msa"))
    return cases
