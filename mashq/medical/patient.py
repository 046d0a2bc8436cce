"""Who is ill, as far as a question says it: age, sex, and whether the asker is the patient."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mashq.medical.words import data, read
from mashq.word_patterns import folded_lower

__all__ = ["Patient", "patient"]

MOST_YEARS = 120.0
CHILDREN = (
    "son",
    "daughter",
    "child",
)  # who do not ask themselves: named before a complaint of the asker, they are the patient
LEAST_SELF = 10  # years: "عندي 3 سنين" of oneself is a duration


@dataclass(frozen=True)
class Patient:
    """What a question states of its patient; None where it does not.

    `months` is the age as months, where it was said in months, weeks or days; `age_years` is then its share of a year.
    `relation` is what the patient is to the asker: "self", "son", "daughter", "child" (sex not stated), "wife",
    "husband", "mother", ... `asker_sex` is what "my wife" or "I am a mother" state of the asker, the patient or not.
    """

    age_years: float | None = None
    months: float | None = None
    sex: str | None = None  # "female" | "male"
    relation: str | None = None
    asker_sex: str | None = None
    pregnant: bool = False
    cut: bool = False  # the text was longer than is read (`words.MOST_CHARACTERS`): what came after was not seen


# --- numbers ---------------------------------------------------------------------------------------------------------


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted({re.escape(folded_lower(word)) for word in words}, key=lambda word: (-len(word), word)))


@functools.cache
def _numbers() -> dict[str, int]:
    return {folded_lower(word): value for word, value in data("patient")["numbers"].items()}


@functools.cache
def _ordinals() -> dict[str, int]:
    return {folded_lower(word): value for word, value in data("patient")["ordinals"].items()}


def _number(said: str) -> float:
    """A number in digits, as a word, or as two words (خمسة وثلاثين)."""
    said = said.strip().replace(",", ".")
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", said):
        return float(said)
    if said in _numbers():
        return _numbers()[said]
    ones, _, tens = (part.strip() for part in re.sub(r"\s+", " ", said).partition(" و"))
    return _numbers().get(ones, 0) + _numbers().get(tens, 0)


@dataclass(frozen=True)
class _Patterns:
    age: tuple[re.Pattern[str], ...]
    relation: re.Pattern[str]
    which: dict[str, str]  # folded word -> relation
    complains: re.Pattern[str]
    self_complains: re.Pattern[str]
    self_says: re.Pattern[str]
    female: frozenset[str]  # words for a relative that state a sex
    male: frozenset[str]
    female_always: re.Pattern[str]
    male_always: re.Pattern[str]
    has_child: re.Pattern[str]
    feels: re.Pattern[str]  # a state of oneself in the feminine or the masculine, at the beginning of a clause


_UNIT = (
    r"(?P<unit>سنوات|سنين|سنه|سنوا|سنتين|سنتان|عاما|عام|اعوام|عامين|عامان|شهور|اشهر|شهرا|شهرين|شهران|شهر|اسابيع|اسبوعين|اسبوعا|اسبوع|ايام|"
    r"يومين|يوما|يوم|years?|yrs?|y/o|yo|y|months?|weeks?|days?)(?!\w)"
)
_DUAL = r"(?P<dual>سنتين|سنتان|عامين|عامان|شهرين|شهران|اسبوعين|يومين|سنه|عام|شهر|اسبوع)(?!\w)"
_HALF = r"(?P<half> و(?:نصف|نص)(?!\w))?"
_FILL = r"(?:\s*(?:الان|حاليا|حوالي|تقريبا|هو|هي|دلوقتي|هلا|هسه|دابا|يقارب|قرابه|بحدود|في حدود|نحو|من)(?!\w))*"
_BEFORE = r"(?<!\w)(?<!كان )(?<!كانت )(?<!منذ )(?<!من )(?<!لما )(?<!طول )(?<!يوم )(?<!اول )[وف]?"


@functools.cache
def _patterns() -> _Patterns:
    given = data("patient")
    small = _any(_numbers())
    number = rf"(?P<n>[0-9]+(?:[.,][0-9]+)?|(?:{small}) ?و ?(?:{small})|(?:{small}))(?!\w)"
    relations = given["relations"]
    which = {folded_lower(word): name for name, one in relations.items() for word in one["words"]}
    kin = rf"(?:{_any(which)})"
    value = rf"(?:{number}(?:\s*{_UNIT})?|{_DUAL}){_HALF}"
    whole = rf"(?:{number}\s*{_UNIT}|{_DUAL}){_HALF}"
    people = "شاب|شابه|رجل|راجل|امراه|سيده|بنت|فتاه|ست|ولد|طفل|طفله|رضيع|رضيعه|مريض|مريضه|زلمه|حرمه|مولود|انثي|ذكر"
    ordinal = rf"(?P<ord>{_any(_ordinals())})(?!\w)"
    begins = rf"(?:{_BEFORE}(?:عمر(?:ي|ه|ها|و|ا|ك|هم|تي)|فعمري|العمر|السن|سن(?:ي|ها)|age|aged))"
    made = (
        rf"{begins}(?:\s*[:=-]\s*|\s+){_FILL}\s*{value}",
        rf"{_BEFORE}(?:عمر|سن) (?:ال)?{kin}{_FILL}\s+{_FILL}{value}",
        rf"(?<!\w)[وف]?(?:ابلغ|يبلغ|تبلغ|بلغ|بالغ|بالغه|البالغ|البالغه)(?: من)?(?: العمر)?{_FILL}\s+{whole}",
        rf"{_BEFORE}(?P<has>عندي|عنده|عندها|عندو|عندا|لديها|لديه){_FILL}\s+{whole}"
        r"(?!\s*(?:حامل|و?انا|من|علي|و?عندي|تعب))",
        rf"{_BEFORE}(?:{people})(?: عمره| عمرها| في)?{_FILL}\s+{whole}",
        rf"{_BEFORE}(?:{kin})(?: عمره| عمرها)?{_FILL}\s+{whole}",
        rf"{_BEFORE}انا{_FILL}\s+{whole}(?!\s*(?:و?(?:انا|عندي|اعاني)|متزوج|متزوجه|من|حامل|ما))",
        rf"(?<!\w)(?:في|ب|بال|فال) ?{ordinal} (?:من|في) (?:ال)?عمر(?:ي|ه|ها|هم)?(?!\w)",
        rf"(?<!\w)(?:i am|i'm|im) {number}(?!\w)",
        rf"(?<!\w){number}\s*(?:years? old|year old|yrs? old|y/o|yo)(?!\w)",
        rf"(?<!\w)[وف]?شهر(?:ه|ها) {ordinal}",
    )
    spaced = rf"(?<!\w)(?P<lead>[وفلبع]?(?:عند )?)(?P<kin>{_any(which)})(?!\w)"
    return _Patterns(
        age=tuple(re.compile(pattern) for pattern in made),
        relation=re.compile(spaced),
        which=which,
        complains=re.compile(rf"(?<!\w)و?(?:{_any(given['complains'])})(?!\w)"),
        self_complains=re.compile(rf"(?<!\w)[وف]?(?:{_any(given['self_complains'])})(?!\w)"),
        self_says=re.compile(
            r"(?<!\w)و?(?:انا|اني|i am a?)(?: \w+)? "
            rf"(?:(?P<f>{_any(given['female_self'])})|(?P<m>{_any(given['male_self'])}))(?!\w)"
        ),
        female=frozenset(folded_lower(word) for word in given["female_words"]),
        male=frozenset(folded_lower(word) for word in given["male_words"]),
        female_always=re.compile(rf"(?<!\w)[وف]?(?:{_any(given['female_always'])})(?!\w)"),
        male_always=re.compile(rf"(?<!\w)[وف]?(?:{_any(given['male_always'])})(?!\w)"),
        feels=re.compile(
            rf"(?:^|[.،,!؟?\n:]\s*|(?<!\w)(?:{_any(given['self_leads'])}) )[وف]?(?:(?:{_any(given['fills'])}) )*"
            rf"(?:(?P<f>{_any(given['female_feels'])})|(?P<m>{_any(given['male_feels'])}))(?!\w)"
        ),
        has_child=re.compile(
            rf"(?:{_any(given['has_child'])}) (?:طفل|طفله|بيبي|رضيع|رضيعه|مولود|ولد|بنت|بنوته|ابن|ابنه)(?!\w)"
        ),
    )


def _years(match: re.Match[str]) -> tuple[float, float | None] | None:
    """(years, months or None) of an age that was found, or None where nobody can be so old."""
    groups = match.groupdict()
    unit = groups.get("unit") or groups.get("dual") or ""
    half = 0.5 if groups.get("half") else 0.0
    if groups.get("ord"):
        count = float(_ordinals()[groups["ord"]])
        unit = "شهر" if match[0].lstrip("وف").startswith("شهر") else unit
    elif groups.get("n"):
        count = _number(groups["n"])
    else:
        count = 2.0 if unit.endswith(("ين", "ان")) else 1.0
    count += half
    months = None
    if unit.startswith(("شه", "اشهر", "month")):
        months = count
    elif unit.startswith(("اسب", "اساب", "week")):
        months = round(count * 7 / 30.4375, 2)
    elif unit.startswith(("يوم", "ايام", "day")):
        months = round(count / 30.4375, 2)
    years = count if months is None else months / 12
    if not 0 < years <= MOST_YEARS:
        return None
    return round(years, 3), months


# --- the patient -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def patient(text: str) -> Patient:
    """What a question states of its patient. Sex and age are never guessed from a complaint. Never raises.

    A relative is the patient where words of having or suffering follow ("بنتي عندها") and the asker has not complained
    before; a relative's age is never the asker's. "My wife is pregnant" states the sex of both.
    """
    words = read(text)
    folded = words.folded.replace("\n", " ")
    patterns = _patterns()
    relation, place, word = _who(folded, patterns)
    one = data("patient")["relations"].get(relation, {})
    asker = _own_sex(folded, patterns, whole=relation == "self") or one.get("asker")
    if relation == "self":
        sex = asker
    else:
        sex = one.get("sex") or ("female" if word in patterns.female else None)
        sex = sex or ("male" if word in patterns.male else None)
        sex = sex or _child_sex(folded, place)
        asker = asker or ({"خطيبي": "female", "خطيبتي": "male"}.get(word))
    age = _age(folded, relation, place, patterns)
    years, months = age or (None, None)
    pregnant = bool(_PREGNANT.search(folded)) and sex == "female" and relation in ("self", "wife", "sister", "daughter")
    named = relation if relation != "self" or age or sex or patterns.self_complains.search(folded) else None
    return Patient(years, months, sex, named, asker, pregnant, words.cut)


_PREGNANT = re.compile(
    r"(?<!\w)(?<!لست )(?<!مو )(?<!مش )(?<!ماني )(?<!غير )(?<!مب )(?<!هل انا )(?<!ما )"
    r"(?<!خاف اكون )(?<!ايفه اكون )(?<!ائفه اكون )(?<!ايف تكون )"
    r"و?(?:حامل|حبلي|حامله|حبله)(?!\w)"
)


def _who(folded: str, patterns: _Patterns) -> tuple[str, int, str]:
    """The relation, where it stands, and its word; the asker's self where no relative is the patient."""
    own = patterns.self_complains.search(folded)
    mine = patterns.has_child.search(folded)
    if mine:
        word = mine[0].rpartition(" ")[2]
        kind = {"بنت": "daughter", "بنوته": "daughter", "ابنه": "daughter", "طفله": "daughter"}.get(word)
        kind = kind or {"ولد": "son", "ابن": "son"}.get(word, "child")
        if patterns.complains.search(folded[mine.end() : mine.end() + 40]):
            return kind, mine.start(), word
    for match in patterns.relation.finditer(folded):
        word = match["kin"]
        before = folded[max(0, match.start() - 14) : match.start()]
        if own and own.start() < match.start() and not _just_has(own, match):
            break
        after = folded[match.end() : match.end() + 40]
        if after.startswith((" متزوج", " مسافر", " نجح", " تخرج")):
            continue  # told of, not ill
        kind = patterns.which[word]
        led = bool(match["lead"].strip("وف")) or re.search(r"(?:عمر|عند|سن|علي|ل) ?$", before)
        if (
            led
            or patterns.complains.search(after)
            or (match.start() < 25 and _DOES.match(after))
            or (kind in CHILDREN and match.start() < 25)
        ):
            return kind, match.start(), word
    return "self", 0, ""


# A verb of the third person right after a relative: "زوجي يشخر"; one of saying tells of nobody ill.
_DOES = re.compile(r"\s+(?:ما |مش |مو )?[بكد]?[يت](?!قول|حكي|نصح|سال|قلي|بغي|بي|ريد)\w{2,}")


def _just_has(own: re.Match[str], match: re.Match[str]) -> bool:
    """`عندي ابن`: the word of having belongs to the relative."""
    return own.end() + 2 >= match.start()


def _own_sex(folded: str, patterns: _Patterns, *, whole: bool) -> str | None:
    """What the asker says of itself; without `whole`, which a relative's case is, only after "I"."""
    said = patterns.self_says.search(folded)
    if said:
        return "female" if said["f"] else "male"
    if not whole:
        return None
    if patterns.female_always.search(folded):
        return "female"
    felt = patterns.feels.search(folded)
    if felt:
        return "female" if felt["f"] else "male"
    if patterns.male_always.search(folded):
        return "male"
    stated = re.search(
        r"(?<!\w)(?:الجنس|النوع|sex|gender)\s*[:=]?\s*(?:(انثي|بنت|female|f)|(ذكر|ولد|male|m))(?!\w)", folded
    )
    if stated:
        return "female" if stated[1] else "male"
    alone = re.search(
        r"(?<!\w)و?(?:(شابه|سيده|امراه|فتاه|متزوجه|متجوزه|مزوجه|مطلقه|female)|(شاب|رجل|متزوج|متجوز|مزوج|اعزب|male))(?!\w)",
        folded[:60],
    )
    if alone:
        return "female" if alone[1] else "male"
    return None


def _child_sex(folded: str, place: int) -> str | None:
    near = folded[max(0, place - 12) : place + 60]
    said = re.search(r"(?<!\w)(?:(بنت|انثي|طفله|بنوته|رضيعه)|(ولد|ذكر))(?!\w)", near)
    if said:
        return "female" if said[1] else "male"
    return None


def _age(folded: str, relation: str, place: int, patterns: _Patterns) -> tuple[float, float | None] | None:
    """The age that belongs to the patient: nearest after a relative, by first words of the asker's self."""
    found: list[tuple[int, tuple[float, float | None]]] = []
    if not _AGED.search(folded):
        return None
    for number, pattern in enumerate(patterns.age):
        if not any(word in folded for word in _GATES[number]):
            continue
        for match in pattern.finditer(folded):
            value = _years(match)
            if value is None or not _belongs(match, folded, relation, number, patterns):
                continue
            has = match.groupdict().get("has")
            if has == "عندي" and (value[0] < LEAST_SELF or value[1] is not None):
                continue
            found.append((match.start(), value))
    if not found:
        return None
    if relation == "self":
        return min(found)[1]
    after = [one for one in found if one[0] >= place - 12]
    return min(after, key=lambda one: abs(one[0] - place))[1] if after else None


# Without a word of these no age is stated; most texts stop here.
_AGED = re.compile(r"عمر|سن|عام|اعوام|شهر|شهور|اسبوع|اسابيع|يوم|ايام|بلغ|بالغ|year|y/o|age|month|week|i am|i'm|im ")
_UNITS = ("سن", "عام", "شه", "اشهر", "اسب", "اساب", "يوم", "ايام", "عوام", "year", "month", "week", "day", "y")
# Words of which each pattern of `_patterns().age` needs one, in its order: `in` is far cheaper than a search in vain.
_GATES = (
    ("عمر", "السن", "سني", "سنه", "age"), ("عمر", "سن "), ("بلغ", "بالغ"), ("عند", "لدي"), _UNITS, _UNITS, ("انا ",),
    ("عمر",), ("i am", "i'm", "im "), ("year", "yr", "y/o", "yo"), ("شهره", "شهرها"),
)  # fmt: skip
_THIRD = re.compile(r"(?:عمر(?:ه|ها|و|ا|هم)|عنده|عندها|عندو|عندا|سنها|يبلغ|تبلغ|بلغ|شهره|شهرها)(?!\w)")
_FIRST = re.compile(r"(?:عمري|سني|ابلغ|عندي|انا|i am|i'm|im)(?!\w)")


def _belongs(match: re.Match[str], folded: str, relation: str, number: int, patterns: _Patterns) -> bool:
    """Is it the patient's age by the person of its words? Words of no person fit both."""
    said = match[0].lstrip("وف ")
    kin = patterns.relation.search(match[0])
    if relation == "self":
        before = folded[max(0, match.start() - 25) : match.start()]
        return not kin and not _THIRD.match(said) and not (number == 4 and patterns.relation.search(before))
    return not _FIRST.match(said)
