"""Places that point at a person: addresses, and the hospitals and clinics that are named.

Public places without a number or a head of their own (مدينة الملك خالد، شرم الشيخ), countries and towns stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from mashq.privacy.found import Found
from mashq.privacy.lexicon import Weight, any_of, is_word, names, with_clitics, wordset
from mashq.privacy.page import Page

__all__ = ["Addresses", "Hospitals"]

_DEFINITE = ("المستشفي", "المركز")  # المستشفى السعودي الألماني
_PRACTICES = ("عياده", "عيادات", "مركز", "مجمع")  # need none where two words name them: عيادات بسمة الغد
_LABORATORIES = ("مختبر", "مختبرات", "معمل", "معامل")  # need no word of care after their name
LONGEST = 6  # words in the name of a hospital
_SPACE = re.compile(r"[ \t_]{1,2}")
_LATIN_HOSPITAL = re.compile(
    r"(?<!\w)(?:[A-Z][\w'-]+ |Al |El |of |and |& |[A-Z]\. ?){1,5}"
    r"(?:Hospital|Clinics?|Medical (?:Cent(?:er|re)|City|Complex)|Polyclinic|Dispensary)(?!\w)"
)
_FRENCH_HOSPITAL = re.compile(
    r"(?<!\w)(?:[Cc]linique|[Hh]opital|CHU|CHR|EPH|EHU)(?: (?:de|du|des|la|le|el|al|d'))*(?: [A-Z][\w'-]+){1,4}"
)


@cache
def _care(name: str) -> frozenset[str]:
    words = wordset("places", "care", name)
    return with_clitics(words, ("و", "ف", "ب", "ل", "ع", "فال", "وال")) if name.endswith("heads") else words


class Hospitals:
    """A named hospital, clinic, centre or laboratory, with its head: مستشفى الملك فيصل التخصصي."""

    name = "hospitals"
    version = "3"
    kinds = ("hospital",)

    def find(self, page: Page) -> Iterator[Found]:
        heads, loose = _care("heads"), _care("loose_heads")
        for place, word in enumerate(page.words):
            if word.text in heads or word.text in loose or word.text.endswith(_DEFINITE):
                found = self._named(page, place, word.text in loose)
                if found:
                    yield found
        if page.has_latin:
            for pattern in (_LATIN_HOSPITAL, _FRENCH_HOSPITAL):
                for match in pattern.finditer(page.flat):
                    if not re.match(r"(?:The|A|My|This|Our|In|At|of|and|&) \w+$", match.group()):
                        yield Found("hospital", match.start(), match.end(), 0.8, self.name)

    def _named(self, page: Page, head: int, loose: bool) -> Found | None:
        """The name that follows a head, or None where nothing proper follows."""
        words, last, proper, caring = page.words, head, False, False
        for place in range(head + 1, min(head + 1 + LONGEST, len(words))):
            if not _SPACE.fullmatch(page.flat[words[place - 1].end : words[place].start]):
                break
            verdict = _part_of_name(page, place, place == head + 1, loose)
            if verdict == "no":
                break
            last = place
            proper = proper or verdict == "proper"
            caring = caring or words[place].text in wordset("places", "care", "of_care")
        if "ال" in words[head].text[: _clitic(words[head].text)] and loose and not caring:
            return None  # والمعمل الجنائي
        laboratory = words[head].text.endswith(_LABORATORIES)
        if words[head].text.endswith(_DEFINITE) and (
            last == head + 1 or not proper or words[head + 1].text[:2] != "ال"
        ):
            return None  # المستشفى القديم
        if words[head].text.endswith("المركز") and not caring:
            return None
        first = words[head + 1].text if last > head else ""
        persons = [names().get(words[place].text) for place in range(head + 1, last + 1)]
        if loose and not caring and first != "بن" and all(persons) and len(persons) > 1:
            return None  # عيادة أسامة الغندور: a doctor's name
        named = (
            words[head].text.endswith(_PRACTICES)
            and not caring
            and (first == "بن" or (last > head + 1 and not first.startswith("ال") and proper))
        )
        if (not proper and (loose or last < head + 2)) or (loose and not caring and not laboratory and not named):
            return None
        if laboratory and not caring and last == head + 1 and is_word(words[last].text):
            return None  # مختبر الجامعة
        before = (
            words[head - 1].text
            if head and _SPACE.fullmatch(page.flat[words[head - 1].end : words[head].start])
            else ""
        )
        if before in _care("loose_heads") and words[head].text in wordset("places", "care", "loose_heads"):
            head -= 1  # مجمع عيادات الرحمة
        start = words[head].start + _clitic(words[head].text)
        known = (
            (loose and not named)
            or (not loose and last > head + 1)
            or words[last].text.startswith("ال")
            or words[last].text in names()
        )
        return Found("hospital", start, words[last].end, 0.8 if known else 0.55, self.name)


def _clitic(head: str) -> int:
    """How many letters stand before the head itself."""
    plain = wordset("places", "care", "heads") | wordset("places", "care", "loose_heads") | set(_DEFINITE)
    return next(cut for cut in range(len(head)) if head[cut:] in plain)


def _part_of_name(page: Page, place: int, first: bool, loose: bool) -> str:
    """Whether a word goes on with a hospital's name: "proper", "kind" (الأطفال) or "no"."""
    word = page.words[place].text
    kinds = wordset("places", "care", "generic") | wordset("places", "care", "of_care")
    if word in kinds - wordset("places", "care", "proper"):
        return "kind"
    if not first and word.startswith("وال") and len(word) > 5 and not _is_of_people(word[1:]):
        return "kind"  # مستشفى الأم والطفل
    if word in wordset("places", "addresses", "titles") or word in (
        "دار",
        "واد",
        "وادي",
        "بن",
        "ابن",
        "عين",
        "ام",
        "ابو",
        "سيدي",
        "قصر",
        "مدينه",
    ):
        return "proper"
    stop = word in wordset("places", "care", "stop") or (word in wordset("words", "common") and word[:2] != "ال")
    if stop or word.isdigit():
        return "no"
    if not first and page.words[place - 1].text in kinds and word[:2] not in ("ال", "لل"):
        return "no"
    entry = names().get(word)
    if (
        entry
        and not entry.clitic
        and (first or entry.weight >= Weight.ALSO)
        and (not first or entry.weight or not loose)
    ):
        return "proper"
    if word.startswith("ال") and len(word) > 4:
        return "proper"
    before = page.words[place - 1].text
    unlisted = first and not loose and len(word) > 2 and not word.startswith(("و", "ف", "ب", "ل", "ي", "ت", "ع"))
    return (
        "proper" if unlisted or before in ("ابن", "بن", "دار", "عين", "واد", "وادي", "سيدي", "قصر", "مدينه") else "no"
    )


def _is_of_people(word: str) -> bool:
    """والدكتور: who works there, and no part of its name."""
    return word in wordset("words", "titles", "doctor") or word in ("المريض", "المريضه", "الموظف", "الموظفه")


# --- addresses -------------------------------------------------------------------------------------------------------


@cache
def _piece() -> re.Pattern[str]:
    """One piece of an address in folded text: a road or quarter with its name, or a part of a house with its number."""

    def words(name: str) -> str:
        return any_of(" ".join(wordset("places", "addresses", name)))

    number = r"(?:(?:رقم|عدد|نمره|n)\s?)?(?:[(]\s?)?[\u0621-\u064a]?\d{1,5}(?:\s?[)])?(?:\s?[/-]\s?\d{1,4})?(?!\d|\s?%)"
    name = rf"(?:(?:{words('titles')})\s)?(?:(?:بن|ابن|ابو|عبد|ام)\s)?(?:ال\w{{2,}}|\w{{3,}})"
    more = r"(?:\sبن\s(?:ابي\s)?\w{3,})?(?:\s\w{3,}(?=\s?(?:[،,;\n]|$)))?(?:\s(?:بن\s)?ال\w{3,}){0,2}"
    dated = "مسكن|سكن|مسكنا|شقه|اوت|ماي|مايو|مارس|نوفمبر|يوليو|يونيو|جويليه|سبتمبر|اكتوبر|ديسمبر|فبراير|غشت"
    roads = words("roads")
    road = (
        rf"(?P<head>{roads})\.?\s(?:(?P<road_number>{number})(?:\s(?:{dated})(?!\w))?"
        rf"|(?P<name>{name}{more})(?:\s{number})?)"
    )
    letter = r"(?<=(?:ماره|نايه|قامه|بلوك)\s)[ابتجدهوز](?!\w)"
    house = (
        rf"(?:ال)?(?:{words('numbered')})\.?\s?:?\s?"
        rf"(?P<house_number>{number}|[a-z]\d{{0,3}}(?!\w)|{letter})"
    )
    floor = rf"(?:الدور|الطابق|دور|طابق)\s(?:{words('ordinals')})"
    building = rf"(?:{words('buildings')})\s(?:ال\w{{2,}}|{name})(?:\s(?:الطبي|السكني|التجاري|الطبيه|السكنيه))?"
    last = r"(?:\s\w{3,}(?=\s?(?:[،,.\n]|$)))?"
    landmark = rf"(?:{words('landmarks')})\s(?!(?:{words('roads')})\s)(?:ال)?\w{{3,}}(?:\sال\w{{3,}}){{0,2}}{last}"
    iraqi = (
        r"م(?:حله)?\s?/?\s?\d{2,4}\s?[،,/-]?\s?ز(?:قاق)?\s?/?\s?\d{1,3}(?:\s?[،,/-]?\s?د(?:ار)?\s?/?\s?\d{1,4})?(?!\w)"
    )
    part = rf"رقم\s{number}|(?:مدخل|بلوك|مدخل|جناح)\s[\u0621-\u064a](?!\w)"
    box = (
        r"(?:ص\s?\.?\s?ب\s?\.?|صندوق\s(?:ال)?بريد\w*|الرمز\sالبريدي|رمز\sبريدي|p\.?\s?o\.?\s?box|zip(?:\scode)?|"
        r"postal\scode|code\spostal)\s?:?\s?(?:رقم\s)?\d{3,9}"
    )
    latin = (
        r"(?:\d{1,5},?\s(?:(?:rue|avenue|av|bd|boulevard|hay|lot|cite)\s(?:[a-z'-]+\s?){1,4}|(?:[a-z'-]+\s){1,3}(?:street|st|road|rd|avenue|ave|lane|boulevard|blvd))(?!\w)"
        r"|(?:rue|avenue|boulevard|hay|cite)\s(?:[a-z'-]+\s){0,3}[a-z'-]+,?\s(?:n|no|num)?\s?\d{1,4}"
        r"|(?:residence|imm|immeuble|lotissement|lot|quartier|hay)\.?\s(?:al\s|el\s)?[a-z]{3,}(?:,?\s(?:n|no|num)\s?\d{1,4})?(?!\w)"
        r"|\d{1,2}(?:e|eme|er)\s(?:etage|floor)"
        r"|(?:apt|apartment|flat|building|bldg|villa|house|floor|unit|block|street|road|appt|imm|immeuble|way)\.?\s(?:no\.?\s?|n\s?|number\s)?\d{1,5}(?!\w))"
    )
    pieces = "|".join(f"(?:{one})" for one in (f"(?:\\d{{1,4}}\\s)?{road}", iraqi, house, floor, box, latin))
    weak = "|".join(f"(?:{one})" for one in (building, part))
    return re.compile(
        rf"(?<![\w/])(?:[وفبل]|ب?ال(?=عمار|شق))?(?P<body>{pieces}|(?P<weak>{weak})|(?P<landmark>{landmark}))"
    )


_BETWEEN = re.compile(r"\s?[،,;/.|-]?\s{0,2}(?:و\s?|ثم\s|(?:ال)?متفرعه?\s(?:من|عن)\s)?")
_NUMERIC = re.compile(r"\d")


_Piece = tuple[int, int, bool | None]  # start, end, and whether it is sure; None for a landmark


class Addresses:
    """A road, quarter, house, flat, floor or post box; pieces in a row are one address. The town stays."""

    name = "addresses"
    version = "3"
    kinds = ("address",)

    def find(self, page: Page) -> Iterator[Found]:
        group: list[_Piece] = []
        for match in _piece().finditer(page.lower):
            score = _piece_score(page, match)
            if not score:
                continue
            piece: _Piece = (*match.span("body"), None if match["landmark"] else score > 0.5)
            if group and _BETWEEN.fullmatch(page.flat[group[-1][1] : piece[0]]):
                group.append(piece)
                continue
            yield from self._whole(page, group)
            group = [piece]
        yield from self._whole(page, group)

    def _whole(self, page: Page, group: list[_Piece]) -> Iterator[Found]:
        while group and group[-1][2] is None and not _closes(page, group[-1]):
            group.pop()  # a landmark before other words: it may be anything
        if (
            group
            and group[0][2] is None
            and (len(group) == 1 or not (len(group) > 2 or any(piece[2] for piece in group)))
        ):
            group.clear()
        if not group:
            return
        sure, start = any(one[2] for one in group), _led(page, group[0][0])
        pieces = len(group) + (start < group[0][0])
        score = 0.9 if pieces > 1 and sure else 0.7 if sure else 0.6 if pieces > 1 else 0.35
        end = _tailed(page, group[-1][1]) if score > 0.5 else group[-1][1]
        while (town := _TOWN_LAST.search(page.lower[start:end])) and _is_town(town["town"].strip()):
            end -= len(town["town"])
        yield Found("address", start, end, score, self.name)


_END = re.compile(r"\s?(?:[،,.؛;!؟?\n)]|$)")
_TOWN_LAST = re.compile(r"(?:\w+\s){1,}\w+(?P<town>\s\w+)$")
_IN_TOWN = re.compile(r"\s(?:(?:في|ف)\s(?P<town>\w+)|ب(?P<attached>\w{3,}))")


def _closes(page: Page, landmark: _Piece) -> bool:
    """Whether an address may end with a landmark: before a stop or a town, or where the landmark is a public place."""
    if _END.match(page.lower, landmark[1]):
        return True
    town = _IN_TOWN.match(page.lower, landmark[1])
    if town and _is_town(town["town"] or town["attached"]):
        return True
    said = page.lower[landmark[0] : landmark[1]].split()
    return len(said) > 2 and said[1] in wordset("places", "addresses", "landmarks_named")


_LEAD = re.compile(r"(?:^|\s)[وف]?(?P<home>\w+)[\s:]{1,2}(?P<rest>(?:\w+[\s،,:]{1,2}){1,5})$")
_TAIL = re.compile(r"\s?[،,-]?\s(?P<words>ال\w{3,}(?:\sال\w{3,})?|\w{3,})(?=\s?(?:[،,.؛;!؟?\n)]|$)|\s[بو]\w|\sفي\s)")
_PLAIN_LEADS = frozenset(
    (
        "في",
        "ف",
        "ب",
        "المريض",
        "المريضه",
        "البيت",
        "هو",
        "هنا",
        "حاليا",
        "الان",
        "هي",
        "السكن",
        "بالظبط",
        "العياده",
        "التوصيل",
        "العمل",
        "الشغل",
        "الدوام",
        "المحل",
        "الحالي",
        "بالضبط",
        "كالتالي",
        "التفصيلي",
        "الكامل",
    )
)
_PLACED = frozenset(("اول", "الاول", "جنب", "فوق", "تحت"))  # words of a sentence that also say where


_QUARTER = re.compile(r"\sفي\s(?P<name>ال\w{3,}(?:\sال\w{3,})?)\s?[،,]?\s$")


def _led(page: Page, start: int) -> int:
    """Where an address begins: after "I live in", and after a town's name there; else at its first piece."""
    piece = page.before(start, 48)
    quarter = _QUARTER.search(piece)
    if quarter and not any(_is_town(word) or is_word(word) for word in quarter["name"].split()[:1]):
        return start - len(piece) + quarter.start("name")
    homes = [match for match in re.finditer(r"\w+", piece) if match.group() in _homes()]
    if not homes:
        return start
    rest = piece[homes[-1].end() :]
    words = list(re.finditer(r"\w+", rest))
    while words and (words[0].group() in _PLAIN_LEADS or _is_town(words[0].group())):
        words.pop(0)
    if not 0 < len(words) <= 4 or re.search(r"[.؛;!؟?\d]", rest):
        return start
    if {word.group() for word in words} & (wordset("words", "common") - _PLACED):
        return start
    begun = start - len(rest) + words[0].start()
    return begun + (words[0].group().startswith("بال") and len(words[0].group()) > 6)


@cache
def _homes() -> frozenset[str]:
    return with_clitics(wordset("places", "addresses", "homes"))


@cache
def _bare_towns() -> frozenset[str]:
    return frozenset(town.removeprefix("ال") for town in wordset("places", "addresses", "towns"))


def _is_town(word: str) -> bool:
    if word == "مدينه":
        return False
    return word.removeprefix("ب").removeprefix("ال") in _bare_towns() or word.removeprefix("ال") in _bare_towns()


def _tailed(page: Page, end: int) -> int:
    """Where an address ends: a quarter's name after its last piece belongs to it, a town's does not."""
    while match := _TAIL.match(page.lower, end):
        words, last = match["words"].split(), match.end("words")
        if any(_is_town(word) or word.isdigit() for word in words):
            return end
        towned = re.match(r"\s?[،,]\s?(\w+)", page.lower[last : last + 24])
        strange = words[0].startswith("ال") and not any(map(is_word, words))
        if not strange and not (towned and _is_town(towned[1])):
            return end
        end = last
    return end


# Pieces that say something only beside others.
_LONELY = (
    "باب",
    "الباب",
    "دور",
    "الدور",
    "ط ",
    "غرف",
    "وحد",
    "مجمع",
    "الغرف",
    "الوحد",
    "طابق",
    "الطابق",
    "دار",
    "برج",
    "قطعه",
    "قسيمه",
    "القسيمه",
    "مكتب",
    "محل",
    "نمره",
    "floor",
    "unit",
)


def _piece_score(page: Page, match: re.Match[str]) -> float:
    """0 where a piece is none (طريق الفم، حي يرزق), 0.7 where it is one alone, 0.4 where only beside others."""
    head, name = match["head"], match["name"]
    if match["weak"] or match["landmark"]:
        return 0.4
    if head is None:
        found = match["body"]
        lonely = found.startswith(_LONELY)
        return 0.4 if lonely or _is_half_body(page, match) else 0.7
    if _is_half_body(page, match):
        return 0.0
    if name is None:
        return 0.7 if head not in ("طريق", "درب", "محله", "ش") else 0.4
    words = name.split()
    if set(words[:2]) & wordset("places", "addresses", "no_road"):
        return 0.0
    named = words[0].startswith("ال") or words[0] in wordset("places", "addresses", "titles") or words[0] in names()
    numbered = _NUMERIC.search(match["body"]) is not None
    if head in ("شارع", "زنقه", "نهج", "مخطط", "عطفه", "تجزئه"):
        return 0.7 if numbered else 0.4
    if head in ("ساحه", "طلعه", "دوار", "نزله", "ضاحيه", "مساكن", "اسكان"):
        return 0.4 if named else 0.0
    if head in ("حي", "ميدان", "حاره", "زقاق", "جاده", "كورنيش", "حومه"):
        known = named
        known = known or not is_word(words[0])
        return 0.7 if known and numbered else 0.4 if known else 0.0
    if head == "طريق":
        titled = words[0] in wordset("places", "addresses", "titles")
        return 0.4 if titled and page.before(match.start("body"), 5).strip() != "عن" else 0.0
    return 0.4 if named else 0.0


def _is_half_body(page: Page, match: re.Match[str]) -> bool:
    """A flat or house in talk of a rent (شقة 3 غرف): a number followed by a thing counted."""
    return (
        re.match(
            r"\s?(?:ساع|مرات|مره|كيلو|دقيق|دقايق|متر|غرف|امتار|متر|ادوار|اشخاص|طوابق|الف|ريال|جنيه|يوم|ايام|سنه|شهر)",
            page.lower[match.end() :],
        )
        is not None
    )
