"""Medical questions and answers from social text: pairs, specialty, patient, red flags, safety.

A thread of posts becomes one pair, or a reason why not. What a question is about and whom, which questions must not
wait, and which answers are unsafe to learn from, is told from words that anybody can read and mend in
`mashq/data/medical/*.yaml`. All of it is for making and sorting training data; none of it judges medicine.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.medical.columns import Layout, columns_of, record_pair
from mashq.medical.patient import CHILDREN, Patient, patient
from mashq.medical.safety import DISCLAIMER, DISCLAIMER_ARABIC, RedFlag, Safety, Sign, red_flags, safety
from mashq.medical.words import Spot, Spotter, Words, data, read
from mashq.word_patterns import folded_lower

__all__ = [
    "DATA",
    "DISCLAIMER",
    "DISCLAIMER_ARABIC",
    "GENERAL",
    "Layout",
    "Pair",
    "Patient",
    "Post",
    "RedFlag",
    "Safety",
    "Sign",
    "columns_of",
    "is_doctor",
    "pair",
    "pairs",
    "patient",
    "patient_column",
    "record_pair",
    "red_flags",
    "red_flags_column",
    "safety",
    "safety_column",
    "specialties",
    "specialty",
    "specialty_column",
    "useless",
]

GENERAL = "general"  # the specialty of a text that tells none
DATA = Path(__file__).parents[1] / "data" / "medical"  # words of specialties, red flags, safety
LEAST_WORDS = 3  # of a question or an answer, courtesies not counted


# --- a thread of posts -> a pair -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Post:
    """One post of a thread: its text, who wrote it, and as what ("doctor", "asker", "" where nothing says so)."""

    text: str
    author: str = ""
    role: str = ""


@dataclass(frozen=True)
class Pair:
    """A complaint and the advice on it."""

    question: str
    answer: str
    by_doctor: bool  # by the writer's role or title; else the longest useful reply
    replies: int  # posts after the question by others than the asker


_KEYS = {
    "text": ("text", "body", "content", "message", "comment", "post"),
    "author": ("author", "user", "name", "username", "user_id", "author_id", "from"),
    "role": ("role", "author_role", "user_type", "type"),
}


def post_of(given: Post | Mapping[str, Any] | str) -> Post:
    """A post, a record with its text, author and role under common names, or a text alone. `is_doctor` is a role."""
    if isinstance(given, Post):
        return given
    if isinstance(given, str):
        return Post(given)
    found = {
        name: next((str(given[key]) for key in keys if given.get(key) is not None), "") for name, keys in _KEYS.items()
    }
    if given.get("is_doctor") is True:
        found["role"] = "doctor"
    return Post(**found)


def pair(posts: Sequence[Post | Mapping[str, Any] | str]) -> Pair | str:
    """A thread, the question first -> one pair, or the reason why it gives none.

    The answer is the first useful reply of a doctor (by role, or by the title before the name); without one the longest
    useful reply of anybody but the asker. What the asker adds before the first reply belongs to the question. A reply
    is not useful that is thanks, a prayer, "me too" or a promotion: `useless` says which. Never raises.
    """
    thread = [post_of(given) for given in posts]
    if not thread:
        return "no question: an empty thread"
    first = thread[0]
    added = []
    for post in thread[1:]:
        if not _same(post, first):
            break
        added.append(post.text)
    question = "\n".join(text.strip() for text in [first.text, *added] if text.strip())
    fault = useless(question)
    if fault:
        return f"no question: {fault}"
    if is_doctor(first):
        return "no question: a doctor began the thread"
    replies = [post for post in thread[1 + len(added) :] if not _same(post, first)]
    if not replies:
        return "no answer: answered by the asker alone" if len(thread) > 1 else "no answer: no reply"
    return _answered(question, replies)


def _answered(question: str, replies: Sequence[Post]) -> Pair | str:
    faults = [useless(post.text) for post in replies]
    useful = [post for post, fault in zip(replies, faults, strict=True) if fault is None]
    if not useful:
        return f"no answer: {next(fault for fault in reversed(faults) if fault)}"
    doctors = [post for post in useful if is_doctor(post)]
    best = doctors[0] if doctors else max(useful, key=lambda post: len(post.text))
    return Pair(question, best.text.strip(), bool(doctors), len(replies))


def pairs(threads: Iterable[Sequence[Post | Mapping[str, Any] | str]]) -> list[Pair | str]:
    """`pair` of each thread."""
    return [pair(thread) for thread in threads]


@functools.cache
def _roles() -> tuple[frozenset[str], frozenset[str], re.Pattern[str]]:
    talk = data("talk")
    folded = {name: frozenset(folded_lower(word) for word in talk[name]) for name in ("doctor_roles", "asker_roles")}
    titles = "|".join(sorted((re.escape(folded_lower(word)) for word in talk["doctor_titles"]), key=len, reverse=True))
    return folded["doctor_roles"], folded["asker_roles"], re.compile(rf"^(?:{titles})(?:[\s./:_-]|$)")


def is_doctor(post: Post) -> bool:
    doctors, askers, titles = _roles()
    role = folded_lower(post.role)
    if role in doctors:
        return True
    return role not in askers and bool(titles.match(folded_lower(post.author)))


def _same(post: Post, first: Post) -> bool:
    """Is it the asker? By name where both have one, else by role; an unknown writer is somebody else."""
    if post.author and first.author:
        return folded_lower(post.author) == folded_lower(first.author)
    return folded_lower(post.role) in _roles()[1]


@functools.cache
def _talk() -> tuple[Spotter, re.Pattern[str]]:
    talk = data("talk")
    return Spotter({"courtesy": talk["courtesy"], "promotion": talk["promotion"], "sold": talk["sold"]}), re.compile(
        talk["contact"]
    )


def useless(text: str) -> str | None:
    """Why a post is neither a question nor an answer, or None: empty, a promotion, thanks or a prayer, too short."""
    spotter, contact = _talk()
    words = read(text)
    if not words.words:
        return "empty: no words"
    spots = spotter.spots(words)
    sold = [spot for spot in spots if spot.tag in ("promotion", "sold")]
    plainly = any(spot.tag == "sold" for spot in sold)  # work, money, goods: no link needed
    if (sold and (len(sold) > 1 or plainly or contact.search(text))) or (
        not sold and contact.search(text) and len(words.words) < 8
    ):
        clauses = {words.clauses[spot.start] for spot in sold}
        rest = sum(clause not in clauses for clause in words.clauses)
        if rest < 8:
            return f"promotion: {' '.join(words.words[sold[0].start : sold[0].end]) if sold else 'a link or a number'}"
    polite = {place for spot in spots if spot.tag == "courtesy" for place in range(spot.start, spot.end)}
    left = len(words.words) - len(polite)
    if left < LEAST_WORDS and polite:
        return f"courtesy: {left} words beside thanks or a prayer < {LEAST_WORDS}"
    return f"short: {left} words < {LEAST_WORDS}" if left < LEAST_WORDS else None


# --- what it is about ------------------------------------------------------------------------------------------------

ADDS = {"sure": 3.0, "mild": 3.0, "hint": 1.0}  # what a word of each kind adds
OF_A_CHILD = (
    1.5  # what a child as the patient adds to paediatrics: with "my son" more than hints, less than a sure word
)
CHILDHOOD = 14  # years below which a patient is a child here
LEAST = 2  # two hints, or one sure word; one hint where a word of complaint stands in the text


@functools.cache
def _specialties() -> Spotter:
    phrases = {f"{name} {kind}": one.get(kind, []) for name, one in data("specialties").items() for kind in ADDS}
    phrases["complaint complaint"] = data("terms")["complaint"]
    frames = data("frames")
    return Spotter(phrases, nothing=frames["nothing"], frames={"denied": frames["denied"]}, reach=3)


@functools.cache
def specialties() -> tuple[str, ...]:
    """The names of all specialties, in the order of `specialties.yaml`; `GENERAL` is none of them."""
    return tuple(data("specialties"))


def specialty(text: str) -> str:
    """What a question is about, by its words: the specialty with the highest sum, of equals the one told first.

    A word that belongs to a specialty alone adds 3, a hint 1; a phrase covers the words inside it and counts once. A
    child whose complaint no other specialty is sure of belongs to paediatrics. `GENERAL` below 2, or below 1 where
    the text has a word of complaint. Never raises.
    """
    told = list(dict.fromkeys(_told(read(text))))
    child = _is_child(patient(text)) if told else False
    sums: dict[str, float] = {}
    for name, kind, _ in told:
        if name != "complaint" and not (child and kind == "mild"):
            sums[name] = sums.get(name, 0) + ADDS[kind]
    if child:
        sums["paediatrics"] = sums.get("paediatrics", 0) + OF_A_CHILD
    best = max(sums, key=sums.__getitem__, default=GENERAL)  # the first of equals: sums are in the order of the text
    least = 1 if any(name == "complaint" for name, _, _ in told) else LEAST
    return best if sums.get(best, 0) >= least else GENERAL


def _is_child(who: Patient) -> bool:
    return who.age_years < CHILDHOOD if who.age_years is not None else who.relation in CHILDREN


def _told(words: Words) -> Iterable[tuple[str, str, str]]:
    """(specialty, kind, words) of each phrase; of one specialty a longer phrase covers what lies inside it."""
    covered: dict[str, int] = {}
    for spot in sorted(_specialties().spots(words), key=_by_place):
        name, kind = spot.tag.split()
        if spot.state or covered.get(name, -1) >= spot.end:
            continue
        covered[name] = spot.end
        yield name, kind, " ".join(words.words[spot.start : spot.end])


def _by_place(spot: Spot) -> tuple[int, int, float]:
    return spot.start, -spot.end, -ADDS.get(spot.tag.partition(" ")[2], 0.0)


# --- columns ---------------------------------------------------------------------------------------------------------


def specialty_column(texts: Iterable[str]) -> list[str]:
    """`specialty` of each text."""
    return [specialty(text) for text in texts]


def patient_column(texts: Iterable[str]) -> list[Patient]:
    """`patient` of each text."""
    return [patient(text) for text in texts]


def red_flags_column(texts: Iterable[str]) -> list[tuple[RedFlag, ...]]:
    """`red_flags` of each text."""
    return [red_flags(text) for text in texts]


def safety_column(questions: Iterable[str], answers: Iterable[str]) -> list[Safety]:
    """`safety` of each question with its answer."""
    return [safety(question, answer) for question, answer in zip(questions, answers, strict=True)]
