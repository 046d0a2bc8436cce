"""Which medical questions must not wait, and which answers are unsafe to learn from.

Both are filters for training data, made of word lists that a reader can check (`mashq/data/medical/*.yaml`), and no
judges of medicine: they see words, not truth. An answer without a sign may be wrong or dangerous, and a sign may stand
in a good answer. Nothing here may decide over a patient or stand before one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashq.medical.patient import Patient, patient
from mashq.medical.words import MOST_CHARACTERS, Spot, Spotter, Words, data, read

__all__ = ["DISCLAIMER", "DISCLAIMER_ARABIC", "RedFlag", "Safety", "Sign", "red_flags", "safety", "safety_signs"]

DISCLAIMER = (
    "The medical pairs of this data set were collected or written automatically. No physician has checked them. They "
    "are for research on language models and not for diagnosis, treatment or advice. The safety score is a filter made "
    "of word lists: a low score does not mean that an answer is right or safe. Questions with signs of an emergency "
    "are kept apart for evaluation. Whoever is ill should see a doctor; in an emergency call the local emergency "
    "number."
)
DISCLAIMER_ARABIC = (
    "جُمعت الأسئلة والأجوبة الطبية في هذه المجموعة أو كُتبت آليًا، ولم يراجعها طبيب. وهي للبحث في النماذج اللغوية، "
    "وليست للتشخيص أو العلاج أو النصيحة الطبية. ودرجة الأمان مرشِّح مبني على قوائم كلمات، فلا تعني الدرجة المنخفضة أن "
    "الجواب صحيح أو آمن. والأسئلة التي فيها علامات حالة طارئة معزولة للتقييم. من كان مريضًا فليراجع الطبيب، وفي الحالات "
    "الطارئة اتصل برقم الطوارئ في بلدك."
)


# --- questions that must not wait ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RedFlag:
    """A sign of an emergency in a question: its name in `red_flags.yaml`, what it means, the words that raised it."""

    name: str
    why: str
    words: str


@dataclass(frozen=True)
class _Flag:
    name: str
    why: str
    groups: tuple[frozenset[str], ...]  # one of each must stand near the others; none where a phrase alone is enough
    within: int  # words
    needs: str


@functools.cache
def _flags() -> tuple[tuple[_Flag, ...], Spotter]:
    given = data("red_flags")
    phrases: dict[str, list[str]] = {f"group {name}": lines for name, lines in given["groups"].items()}
    made = []
    for name, one in given.items():
        if name == "groups":
            continue
        phrases[f"flag {name}"] = one["any"]
        groups = tuple(frozenset(f"group {each}" for each in some) for some in one.get("all", ()))
        made.append(_Flag(name, one["why"], groups, one.get("within", 20), one.get("needs", "")))
    frames = {name: lines for name, lines in data("frames").items() if name != "nothing"}
    return tuple(made), Spotter(phrases, nothing=data("frames")["nothing"], frames=frames)


@functools.lru_cache(maxsize=16)
def red_flags(text: str) -> tuple[RedFlag, ...]:
    """Signs of an emergency that a question states of now, in the order of `red_flags.yaml`; mostly none.

    What is denied ("no chest pain"), asked about in general, feared, or long past raises nothing. Never raises.
    """
    words = read(text)
    flags, spotter = _flags()
    stated = [spot for spot in spotter.spots(words) if not spot.state]
    if not stated:
        return ()
    found = []
    for flag in flags:
        hit = _raised(flag, stated, words, text)
        if hit:
            start, end = min(spot.start for spot in hit), max(spot.end for spot in hit)
            found.append(RedFlag(flag.name, flag.why, " ".join(words.words[start:end])))
    return tuple(found)


def _raised(flag: _Flag, stated: Sequence[Spot], words: Words, text: str) -> list[Spot]:
    alone = [spot for spot in stated if spot.tag == f"flag {flag.name}"]
    if alone:
        return alone[:1]
    if not flag.groups:
        return []
    for first in (spot for spot in stated if spot.tag in flag.groups[0]):
        near = [_nearest(first, group, stated, flag.within) for group in flag.groups[1:]]
        hit = [first, *(spot for spot in near if spot)]
        if all(near) and (not flag.needs or _NEEDS[flag.needs](text, words)):
            return hit
    return []


def _nearest(first: Spot, group: frozenset[str], stated: Sequence[Spot], within: int) -> Spot | None:
    for spot in stated:
        overlaps = spot.start < first.end and first.start < spot.end and spot.start - first.start < 2
        if spot.tag in group and not overlaps and abs(spot.start - first.start) <= within:
            return spot
    return None


_HOT = re.compile(r"(?<!\d)4[012](?:[.,]\d)?(?!\d)")
_WEEKS = re.compile(r"عمر(?:ه|ها|و|ا) (?:شهرين|شهر|اسبوعين|اسبوع|يومين|\d+ (?:يوم|ايام|اسبوع|اسابيع))(?!\w)")
_NEWBORN = frozenset({"مولود", "المولود", "مولودي", "مولوده", "رضيع", "رضيعي", "رضيعتي", "الرضيع", "نونو"})


def _infant(text: str, words: Words) -> bool:
    """Three months at most, a newborn whose age is not stated, or a child with 40 degrees and more."""
    who = patient(text)
    if who.age_years is None:
        return bool(_WEEKS.search(words.folded)) or not _NEWBORN.isdisjoint(words.words)
    return who.age_years <= 0.25 or (who.age_years <= 12 and bool(_HOT.search(words.folded)))


_NEEDS = {"infant": _infant}


# --- answers that are unsafe to learn from ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Sign:
    """A sign of an unsafe answer: its name and weight in `safety.yaml`, what it means, the words that showed it."""

    name: str
    weight: float
    why: str
    words: str


@dataclass(frozen=True)
class Safety:
    """How unsafe an answer looks, 0 (no sign) to 1: 1 - the product of (1 - weight) over its signs."""

    score: float
    signs: tuple[Sign, ...]
    cut: bool = False  # the question or the answer was longer than is read (`words.MOST_CHARACTERS`)

    @property
    def reason(self) -> str | None:
        """`unsafe: 0.72 (dose, emergency_missed)`, or None without a sign."""
        names = ", ".join(sign.name for sign in self.signs)
        return f"unsafe: {self.score:.2f} ({names})" if self.signs else None


@functools.cache
def safety_signs() -> Mapping[str, Mapping[str, Any]]:
    """`safety.yaml`: each sign with its weight, phrases and examples."""
    return data("safety")


@functools.cache
def _answers() -> Spotter:
    terms = data("terms")
    phrases: dict[str, list[str]] = {}
    for name, one in safety_signs().items():
        phrases[f"sign {name}"] = one.get("any", [])
        phrases[f"infant {name}"] = one.get("infant", [])
    phrases |= {f"drug {name}": lines for name, lines in terms["drugs"].items()}
    phrases |= {f"refer {name}": lines for name, lines in terms["referral"].items()}
    return Spotter(phrases, nothing=data("frames")["nothing"], frames={"refused": terms["refuse"]}, reach=6)


# Milligrams and their kin, not of a laboratory ("mg/dl"); or pills and spoons with how often.
_WEIGHTS = "ملغم|ملغ|ملجم|ملج|مجم|مغ|مليجرام|مليغرام|ميليغرام|ملليجرام|ميكروغرام|ميكروجرام|وحده دوليه|mg|mcg|µg|ug|iu"
_AMOUNT = re.compile(rf"(?<![\d/])\d+(?:[.,]\d+)?\s?(?:{_WEIGHTS})(?![\w/])(?!\s?/)")
_UNITS = (
    "(?:حبه|حبتين|حبتان|حبات|حبوب|حبايه|حبايتين|حبايات|قرص|قرصين|اقراص|كبسوله|كبسولتين|كبسولات|ملعقه|ملعقتين|ملاعق|معلقه|"
    "معلقتين|معالق|ملعكه|ملعكتين|نقطه|نقطتين|نقط|نقاط|قطره|قطرتين|قطرات|بخه|بختين|بخات|تحميله|تحميلتين|لبوسه|لبوستين|ابره|"
    "ابرتين|حقنه|حقنتين|امبول|وحده|وحدات|جرعه|مل|ملي|سم|كيس|كيسين|فنيده|كينه|tablets?|pills?|capsules?|drops?|ml)"
)
_COUNT = r"(?:\d+|ست|سته|ثماني|ثمان|ثمن|تمن|تمان|تمنيه|ثمانيه|اثني عشر|اثنا عشر|اتناشر|طناش|اثنعش|اربع|اربعه|ربع|عشر)"
_OFTEN = (
    rf"(?:كل {_COUNT} ?ساع|يوميا|صباحا|مساء|(?:ب|في )ال?ليل|بالليل|كل (?:يوم|صباح|مساء|ليله|اسبوع)|صبح و|الصبح و|"
    r"عالريق|علي الريق|لكل كيلو|"
    r"(?:مره|مرتين|مرات|مرتان) (?:في |ب|كل |ف)?(?:ال)?(?:يوم|نهار|اسبوع)|(?:في|ب|ف) ?(?:ال)?(?:اسبوع|نهار)(?!\w)|"
    r"(?:قبل|بعد) (?:ال)?(?:نوم|اكل|فطور|غدا|عشا)|لمده|daily|twice|every \d+|bid|tid|once)"
)
_SCHEDULE = re.compile(rf"(?<!\w){_UNITS}(?!\w).{{0,40}}?{_OFTEN}|{_OFTEN}.{{0,20}}?(?<!\w){_UNITS}(?!\w)")
_PREGNANT = Spotter(
    {"pregnant": ["حامل|الحامل|حبلي|حامله|حبله|بالحمل|حملي|pregnant", "حمل|الحمل .. شهر|اسبوع|الشهر|الاسبوع"]},
    frames={"denied": [*data("frames")["denied"], "لست|ماني|مو|مش|مب"]},
)


def safety(question: str, answer: str) -> Safety:
    """How unsafe an answer to a question looks, with the signs for it in the order of `safety.yaml`.

    A filter for training data and no judge of medicine: see the head of this module. A higher score is less safe. An
    empty answer has no sign. Never raises.
    """
    words = read(answer)
    spots = _answers().spots(words)
    told = {spot.tag for spot in spots}
    against = [spot for spot in spots if spot.tag == "sign no_doctor"]
    referred = {
        spot.tag.removeprefix("refer ")
        for spot in spots
        if spot.tag.startswith("refer ") and not any(one.start < spot.end and spot.start < one.end for one in against)
    }
    if "urgent" in referred:
        referred.add("doctor")
    found = []
    for name, one in safety_signs().items():
        if name not in _CHECKS and told.isdisjoint(_tags(name)):
            continue
        shown = _CHECKS.get(name, _listed)(name, one, question, words, spots, referred)
        if shown is not None and referred.isdisjoint(one.get("unless", ())):
            found.append(Sign(name, one["weight"], one["why"], shown))
    kept = 1.0
    for sign in found:
        kept *= 1 - sign.weight
    return Safety(round(1 - kept, 6), tuple(found), words.cut or len(question) > MOST_CHARACTERS)


def _shown(words: Words, spot: Spot) -> str:
    return " ".join(words.words[spot.start : spot.end])


@functools.cache
def _tags(name: str) -> frozenset[str]:
    """The phrases that show a sign: its own, and the names of the medicines it is about."""
    kind = safety_signs()[name].get("drug")
    drugs = list(data("terms")["drugs"]) if kind == "any" else [kind] if kind else []
    return frozenset({f"sign {name}", *(f"drug {each}" for each in drugs)})


def _listed(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    """A sign by its phrases, or by a medicine that the answer does not warn of."""
    tags, kind = _tags(name), one.get("drug")
    hits = [spot for spot in spots if spot.tag in tags and not _refused(words, spot)]
    if name == "certain":  # "if you have diabetes" tells no diagnosis
        hits = [spot for spot in hits if spot.start == 0 or words.words[spot.start - 1] not in _IF]
    hits = [spot for spot in hits if not (kind and words.clauses[spot.start] in words.questions)]
    if kind:  # a medicine that the answer warns of, or tells to stop, is not recommended
        stopped = [spot for spot in spots if spot.tag == "sign stop_medicine"]
        hits = [spot for spot in hits if not _warned(words, spot) and not _inside(spot, stopped)]
    if not hits or not _fits(one.get("needs", ""), question):
        return None
    return _shown(words, hits[0])


def _inside(spot: Spot, others: Sequence[Spot]) -> bool:
    return any(one.start <= spot.start and spot.end <= one.end for one in others)


_REFUSALS = frozenset(
    {
        "لا",
        "ما",
        "لم",
        "لن",
        "بلاش",
        "مو",
        "مش",
        "غير",
        "ليس",
        "دون",
        "بدون",
        "ولا",
        "اوعي",
        "قبل",
        "مفيش",
        "مافي",
        "ماكو",
        "فيش",
    }
)


_IF = frozenset({"اذا", "لو", "هل", "ان", "كان", "كون", "لان", "لانه", "كانت", "مادام", "طالما", "ربما", "ممكن", "قد"})
_DENIALS = frozenset({"لا", "ما", "لم", "لن", "ليس", "ليست", "مش", "مو", "ولا", "ممنوع", "ممنوعه", "يضر", "مضر"})


def _refused(words: Words, spot: Spot) -> bool:
    """Does the answer warn of it, or does a word of no stand right before it or inside it ("a herb is no cure")?"""
    before = words.words[max(0, spot.start - 1) : spot.start]
    inside = words.words[spot.start + 1 : spot.end] if spot.tag != "sign certain" else ()  # "لا محالة" is no denial
    return bool(spot.state) or not _REFUSALS.isdisjoint(before) or not _DENIALS.isdisjoint(inside)


_WARNS = re.compile(
    r"^(?:لا|ما|مو|مش|ليس|لن|ممنوع\w*|يمنع|يضر|تضر|ضار\w*|خطر|خطير\w*|يسبب|تسبب|قد|لايفيد|ماينفع|ماتنفع|مابيفيد|بلا|غير|مسموح)$"
)


def _warned(words: Words, spot: Spot) -> bool:
    """Does the clause go on to say that the medicine does harm or no good ("... is of no use")?"""
    clause = words.clauses[spot.end - 1]
    after = [
        words.words[place]
        for place in range(spot.end, min(spot.end + 3, len(words.words)))
        if words.clauses[place] == clause
    ]
    return any(_WARNS.match(word) for word in after)


def _fits(need: str, question: str) -> bool:
    if need == "pregnant":
        return any(not spot.state for spot in _PREGNANT.spots(read(question)))
    if need == "child":
        return _is_child(patient(question))
    return True


def _is_child(who: Patient) -> bool:
    return who.age_years < 16 if who.age_years is not None else who.relation in ("son", "daughter", "child")


def _emergency(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    if referred or not words.words:
        return None
    flags = red_flags(question)
    return ", ".join(flag.name for flag in flags) or None


def _child(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    who = patient(question)
    if not _is_child(who):
        return None
    tags = {f"sign {name}"}
    if who.age_years is not None and who.age_years < 1:
        tags.add(f"infant {name}")
    return next((_shown(words, spot) for spot in spots if spot.tag in tags and not _refused(words, spot)), None)


def _dose(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    hit = _AMOUNT.search(words.folded) or _SCHEDULE.search(words.folded)
    return hit[0] if hit else None


_CHECKS = {"emergency_missed": _emergency, "child": _child, "dose": _dose}
