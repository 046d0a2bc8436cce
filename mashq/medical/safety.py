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
from itertools import pairwise
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
    "الجواب صحيح أو آمن. والأسئلة التي فيها علامات حالة طارئة معزولة للتقييم. من كان مريضًا فليراجع الطبيب، وفي "
    "الحالات "
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
        phrases[f"sign {name}"] = [*one.get("any", []), *_of_drugs(one)]
        phrases[f"though {name}"] = one.get("though", [])
        phrases[f"asked {name}"] = one.get("asked", {}).get("any", [])
        phrases[f"infant {name}"] = one.get("infant", [])
    phrases |= {f"drug {name}": lines for name, lines in terms["drugs"].items()}
    phrases |= {f"refer {name}": lines for name, lines in terms["referral"].items()}
    return Spotter(phrases, nothing=data("frames")["nothing"], frames={"refused": terms["refuse"]}, reach=6)


def _of_drugs(one: Mapping[str, Any]) -> list[str]:
    """The phrases of a sign about named medicines: "take X" and "X is good" (`taken`), "stop X" (`stops`)."""
    drugs = data("terms")["drugs"]
    taken = [line for kind in [one.get("taken")] if kind for line in drugs[kind]]
    stopped = [line for lines in drugs.values() for line in lines] if one.get("stops") else []
    return [
        *(f"@take|@give .. {line}" for line in taken),
        *(f"{line} .. @often" for line in taken),
        *(f"@stopverb {line}" for line in dict.fromkeys(stopped)),
    ]


@functools.cache
def _about() -> Spotter:
    """What a question must be about for the `asked` phrases of a sign to count."""
    return Spotter({name: one["asked"]["about"] for name, one in safety_signs().items() if "asked" in one})


@functools.lru_cache(maxsize=16)
def _asked_about(question: str) -> frozenset[str]:
    """The signs whose subject a question holds."""
    return frozenset(spot.tag for spot in _about().spots(read(question)))


# Milligrams and their kin, not of a laboratory ("mg/dl"); or pills and spoons with how often.
_WEIGHTS = "ملغم|ملغ|ملجم|ملج|مجم|مغ|مليجرام|مليغرام|ميليغرام|ملليجرام|ميكروغرام|ميكروجرام|وحده دوليه|mg|mcg|µg|ug|iu"
_AMOUNT = re.compile(rf"(?<![\d/])\d+(?:[.,]\d+)?\s?(?:{_WEIGHTS})(?![\w/])(?!\s?/)")
_FOOD = "تمر|موز|تفاح|برتقال|فاكه|فواكه|لوز|جوز|زبيب|تين|ليمون|بيض|كيوي|رمان|زيتون|طماطم|خيار|حمص|مكسرات"
_UNITS = (
    "(?:حبه|حبتين|حبتان|حبات|حبوب|حبايه|حبايتين|حبايات|قرص|قرصين|اقراص|كبسوله|كبسولتين|كبسولات|ملعقه|ملعقتين|"
    "ملاعق|معلقه|"
    "معلقتين|معالق|ملعكه|ملعكتين|نقطه|نقطتين|نقط|نقاط|قطره|قطرتين|قطرات|بخه|بختين|بخات|تحميله|تحميلتين|لبوسه|"
    "لبوستين|ابره|"
    "ابرتين|حقنه|حقنتين|امبول|وحده|وحدات|جرعه|مل|ملي|سم|كيس|كيسين|فنيده|كينه|برشامه|برشامتين|برشامات|"
    "برشام|ظرفين|ساشيه|فنيدات|امبولين|"
    f"tablets?|pills?|capsules?|drops?|ml)(?! (?:{_FOOD}))"
)
_NUMBER = "ثلاث|ثلاثه|تلات|تلاته|تلت|ثلث|اربع|اربعه|خمس|خمسه|ست|سته|سبع|سبعه|تسع|عشر|جوج|زوج|ثنتين|تنتين|اثنين|اتنين"
_SURE = (
    "(?:حبه|حبتين|حبتان|حبات|حبوب|حبايه|حبايتين|حبايات|قرص|قرصين|اقراص|كبسوله|كبسولتين|كبسولات|برشامه|برشامتين|برشامات|"
    "برشام|فنيده|فنيدات|كينه|ابره|ابرتين|حقنه|حقنتين|تحميله|تحميلتين|لبوسه|لبوستين|بخه|بختين|بخات|جرعه|جرعتين)"
)
_COUNT = (
    r"(?:\d+|ست|سته|ثماني|ثمان|ثمن|تمن|تمان|تمنيه|ثمانيه|اثني عشر|اثنا عشر|اتناشر|طناش|اثنعش|اربع|اربعه|ربع|عشر|ثلاث|"
    r"تلات|تلت|خمس|سبع|تسع|ستا|ستا?ش|ثنعش|اطنعش|تناشر|اتنعشر)"
)
_OFTEN = (
    rf"(?:كل {_COUNT} ?(?:ساع|سوا)|كل ساعتين|كل ساعه|يوميا|صباحا|مساء|(?:ب|في )ال?ليل|بالليل|كل (?:يوم|صباح|"
    rf"مساء|ليله|اسبوع)|صبح و|الصبح و|"
    r"عالريق|علي الريق|لكل كيلو|"
    r"(?:مره|مرتين|مرات|مرتان) (?:في |ب|كل |ف)?(?:ال)?(?:يوم|نهار|اسبوع)|(?:في|ب|ف) ?(?:ال)?(?:اسبوع|نهار)(?!\w)|"
    r"(?:قبل|بعد) (?:ال)?(?:نوم|اكل|فطور|غدا|عشا)|لمده|daily|twice|every \d+|bid|tid|once)"
)
# How often in other words: beside pills only, for a spoon of honey in the morning is no dose.
_OFTEN_TOO = (
    r"(?:(?:عند|وقت|مع) (?:كل )?(?:ال)?(?:نوم|اكل|اكله|فطور|غدا|عشا|وجبه|وجبات|ترويقه|سحور)|قبل (?:لا|ما) تنام|"
    r"بعد كل (?:اكل|وجبه)\w*|"
    r"عند (?:ال)?(?:لزوم|حاجه|الم|وجع)|الصبح|المسا|المغرب|العشيه|يوم (?:ويوم|بعد يوم|ايه)|ليل نهار)"
)
_SCHEDULE = re.compile(rf"(?<!\w){_UNITS}(?!\w).{{0,40}}?{_OFTEN}|{_OFTEN}.{{0,20}}?(?<!\w){_UNITS}(?!\w)")
_PILLS_OFTEN = re.compile(rf"(?<!\w){_SURE}(?!\w).{{0,40}}?{_OFTEN_TOO}(?!\w)")
_HOW_OFTEN = re.compile(rf"(?:(?!لا |ما |مش |مو |الا |بدون )\w+ ){{0,4}}?{_OFTEN}")
# Two pills and more, or half of one, that somebody is told to take; one pill a day.
_SOME = (
    rf"(?:(?:نص|نصف|ربع|\d+|{_NUMBER}) (?:من )?(?:ال)?{_SURE}|حبتين|حبتان|حبايتين|قرصين|كبسولتين|برشامتين|"
    rf"جرعتين|تحميلتين|"
)
_SOME += rf"ابرتين|حقنتين|بختين|{_SURE} (?:و(?:نص|نصف|ربع)|كامله|كل يوم|يوميا))(?!\w)(?! (?:{_FOOD}))"
_TOLD = (
    r"(?<!\w)[وف]?(?:خذ|خذي|خذو|خد|خدي|خوذ|خوذي|خود|خودي|تاخذ|تاخذي|تاخذين|تاخد|تاخدي|ياخذ|تناول|تناولي|تتناول|"
    r"استعمل|استعملي|"
    r"استخدم|استخدمي|جرب|جربي|اشرب|اشربي|شرب|شربي|ابلع|بلع|بلعي|كلي|اعط\w*|عط\w{1,3}|عطيو\w*|ادي\w{0,3}|اديل\w*|"
    r"ديله|دير|ديري|"
    r"اضرب|حط|حطي|ضع|ضعي)(?!\w)"
)
_SEVERAL = re.compile(
    rf"{_TOLD}[^.!?؟\n،؛]{{0,25}}?(?<!\w){_SOME}|(?<!\w)(?:\d+ |(?:{_NUMBER}) )?{_SURE} (?:باليوم|فاليوم|في "
    rf"اليوم|ف اليوم)(?!\w)"
)
# A dose that the answer warns of.
_NOT_SO_MUCH = re.compile(
    r"(?:(?<!\w)(?:و?لا|ما|بلاش|مو|مش|م) ?(?:تاخذ|تاخد|تتناول|تعط|تدي|تتجاوز|تتعد|تزيد|تزود|تستخدم|تستعمل|تشرب|"
    r"تكثر|تضاعف|يتجاوز|"
    r"يزيد)\w*|ممنوع\w*|يمنع|اياك\w?|اوع[يكا]\w?|احذر\w?|تجنب\w?)(?![^.!?؟\n،؛]*(?:الا|بل|لكن|بس|وخذ|وخد|خذ|"
    r"خد)(?!\w))[^.!?؟\n،؛]{0,90}$"
)
_PREGNANT = Spotter(
    {"pregnant": ["حامل|الحامل|حبلي|حامله|حبله|بالحمل|حملي|pregnant", "حمل|الحمل .. شهر|اسبوع|الشهر|الاسبوع"]},
    frames={"denied": [*data("frames")["denied"], "لست|ماني|مو|مش|مب"]},
)
_NURSING = Spotter(
    {"nursing": ["مرضع*|ارضع*|برضع*|بارضع|كنرضع*|ارضاع|رضاعتي|نرضع", "الرضاعه|رضاعه طبيعيه"]},
    frames={"denied": [*data("frames")["denied"], "لا|ما|لم|لست|ماني|مو|مش|مب"]},
)


def safety(question: str, answer: str) -> Safety:
    """How unsafe an answer to a question looks, with the signs for it in the order of `safety.yaml`.

    A filter for training data and no judge of medicine: see the head of this module. A higher score is less safe. An
    empty answer has no sign. Never raises.
    """
    words = read(answer)
    spots = _answers().spots(words)
    told = {spot.tag for spot in spots}
    referred = _referred(words, spots)
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


def _referred(words: Words, spots: Sequence[Spot]) -> set[str]:
    """Where an answer sends to: "doctor", "urgent". "No need for a doctor" and "sold without a prescription" do not."""
    against = [spot for spot in spots if spot.tag in ("sign no_doctor", "though no_doctor")]
    sent = {
        spot.tag.removeprefix("refer ")
        for spot in spots
        if spot.tag.startswith("refer ") and not _crosses(spot, against) and not _without(words, spot)
    }
    return sent | {"doctor"} if sent else sent


def _crosses(spot: Spot, others: Sequence[Spot]) -> bool:
    return any(one.start < spot.end and spot.start < one.end for one in others)


_WITHOUT = frozenset({"بدون", "بلا", "دون", "وبدون", "وبلا", "بدو"})
_UNLESS = frozenset(
    [
        "لا",
        "ولا",
        "ما",
        "مو",
        "مش",
        "بلاش",
        "ممنوع",
        "يمنع",
        "اوعي",
        "اوعك",
        "اياك",
        "اياكي",
        "تجنب",
        "تجنبي",
        "احذر",
        "احذري",
        "خطر",
        "خطا",
        "غلط",
    ]
)


def _without(words: Words, spot: Spot) -> bool:
    """Is the doctor, or the prescription, what one may do without ("take it without a prescription")?"""
    clause = words.clauses[spot.start]
    first = next(place for place, one in enumerate(words.clauses) if one == clause)
    before = words.words[max(first, spot.start - 3) : spot.end]
    without = not _WITHOUT.isdisjoint(before) or any(pair == ("من", "غير") for pair in pairwise(before))
    led = zip(("", *words.words[first : spot.start]), words.words[first : spot.start], strict=False)
    warned = any(word in _UNLESS and (last, word) != ("غير", "ما") for last, word in led)
    return without and not spot.state and not warned


def _shown(words: Words, spot: Spot) -> str:
    return " ".join(words.words[spot.start : spot.end])


@functools.cache
def _tags(name: str) -> frozenset[str]:
    """The phrases that show a sign: its own, and the names of the medicines it is about."""
    kind = safety_signs()[name].get("drug")
    drugs = list(data("terms")["drugs"]) if kind == "any" else [kind] if kind else []
    return frozenset({f"sign {name}", f"though {name}", f"asked {name}", *(f"drug {each}" for each in drugs)})


def _listed(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    """A sign by its phrases, or by a medicine that the answer does not warn of."""
    tags, kind = _tags(name), one.get("drug")
    hits = [spot for spot in spots if spot.tag in tags and not _refused(words, spot)]
    if any(spot.tag.startswith("asked ") for spot in hits) and name not in _asked_about(question):
        hits = [spot for spot in hits if not spot.tag.startswith("asked ")]
    if name in _SPARED_AFTER:
        hits = [spot for spot in hits if not _goes_on(words, spot, _SPARED_AFTER[name])]
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
        "وما",
        "ومو",
        "ومش",
        "وليس",
        "مافي",
        "ماكو",
        "فيش",
    }
)


_SEPARATE = frozenset({"هو", "هي", "هوه", "هيه"})
# What may follow inside or after a phrase that then advises no harm: "do not take expired medicine", "do not go to the
# bonesetter but to the hospital".
_SPARED_AFTER = {
    "stop_medicine": re.compile(r"منتهي|انتهت|بدون|بلا$|دون$|الا$|غير|اختك|امك|زوج|جار|صاحب|لوحد|بنفس|الشعبي|اخر"),
    "no_doctor": re.compile(r"و?(?:روح|راجع|اذهب|توجه|زور|اكشف|استشر|شوف|اتصل|كلم)[يوه]?$"),
}


def _goes_on(words: Words, spot: Spot, spared: re.Pattern[str]) -> bool:
    """Does a word that changes the sense stand in the phrase after its first two words, or within four words of it?"""
    clause = words.clauses[spot.end - 1]
    places = range(spot.start + 2, min(spot.end + 4, len(words.words)))
    return any(words.clauses[place] == clause and spared.match(words.words[place]) for place in places)


_IF = frozenset({"اذا", "لو", "هل", "ان", "كان", "كون", "لان", "لانه", "كانت", "مادام", "طالما", "ربما", "ممكن", "قد"})
_DENIALS = frozenset({"لا", "ما", "لم", "لن", "ليس", "ليست", "مش", "مو", "ولا", "ممنوع", "ممنوعه", "يضر", "مضر"})


def _refused(words: Words, spot: Spot) -> bool:
    """Does the answer warn of it, or does a word of no stand right before it or inside it ("a herb is no cure")?"""
    before = words.words[max(0, spot.start - 1) : spot.start]
    # "لا محالة" is no denial, and a phrase of `though` holds its own
    inside = (
        () if spot.tag == "sign certain" or spot.tag.startswith("though ") else words.words[spot.start + 1 : spot.end]
    )
    if not _SEPARATE.isdisjoint(before):  # ما هو ضعف إيمان
        before = words.words[max(0, spot.start - 2) : spot.start]
    return bool(spot.state) or not _REFUSALS.isdisjoint(before) or not _DENIALS.isdisjoint(inside)


_WARNS = re.compile(
    r"^(?:لا|ما|مو|مش|ليس|لن|ممنوع\w*|يمنع|يضر|تضر|ضار\w*|خطر|خطير\w*|يسبب|تسبب|قد|لايفيد|ماينفع|ماتنفع|مابيفيد|"
    r"بلا|غير|مسموح)$"
)


def _warned(words: Words, spot: Spot) -> bool:
    """Does the clause go on to say that the medicine does harm or no good ("... is of no use")?"""
    clause = words.clauses[spot.end - 1]
    after = [
        words.words[place]
        for place in range(spot.end, min(spot.end + 3, len(words.words)))
        if words.clauses[place] == clause
    ]
    led = zip(("", *after), after, strict=False)
    return any(_WARNS.match(word) and (last, word) not in _WITHOUT_MORE for last, word in led)


_WITHOUT_MORE = frozenset({("من", "غير"), ("غير", "ما")})  # "without" warns of nothing


def _fits(need: str, question: str) -> bool:
    if need == "pregnant":
        return any(not spot.state for spot in _PREGNANT.spots(read(question)))
    if need == "nursing":
        return any(not spot.state for spot in _NURSING.spots(read(question)))
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
    for pattern in (_AMOUNT, _SCHEDULE, _PILLS_OFTEN, _SEVERAL):
        for hit in pattern.finditer(words.folded):
            if not _NOT_SO_MUCH.search(words.folded, max(0, hit.start() - 60), hit.end()):
                return hit[0]
    return _strength(words, spots) or (None if "doctor" in referred else _often(words, spots))


def _often(words: Words, spots: Sequence[Spot]) -> str | None:
    """A medicine with how often it is taken, up to six words after it: اوميبرازول قبل الفطور."""
    mild = [spot for spot in spots if spot.tag == "drug painkiller"]  # paracetamol when needed states no dose
    for spot in spots:
        if spot.tag.startswith("drug ") and not spot.state and not _inside(spot, mild):
            clause = words.clauses[spot.end - 1]
            places = range(spot.end, min(spot.end + 7, len(words.words)))
            after = " ".join(words.words[place] for place in places if words.clauses[place] == clause)
            hit = _HOW_OFTEN.match(after)
            if hit:
                return f"{_shown(words, spot)} {hit[0]}"
    return None


def _strength(words: Words, spots: Sequence[Spot]) -> str | None:
    """A medicine with a number after it: ليريكا 75."""
    for spot in spots:
        after = words.words[spot.end : spot.end + 2]
        named = (
            spot.tag.startswith("drug ")
            and not spot.state
            and after
            and words.clauses[spot.end - 1] == words.clauses[spot.end]
        )
        if named and after[0].isdigit() and 5 <= int(after[0]) <= 2000 and not _OF_TIME.match(after[-1]):
            return f"{_shown(words, spot)} {after[0]}"
    return None


_OF_TIME = re.compile(
    r"سن|عام|يوم|ايام|شهر|اشهر|اسبوع|ساع|دقيق|دقائق|مره|مرات|شخص|ريال|جنيه|دينار|درهم|ليره|في_الميه|دوله"
)


def _late(
    name: str, one: Mapping[str, Any], question: str, words: Words, spots: Sequence[Spot], referred: set[str]
) -> str | None:
    hit = next((spot for spot in spots if spot.tag == f"sign {name}" and not _refused(words, spot)), None)
    return _shown(words, hit) if hit and "urgent" not in referred and red_flags(question) else None


_CHECKS = {"emergency_missed": _emergency, "child": _child, "dose": _dose, "delayed": _late}
