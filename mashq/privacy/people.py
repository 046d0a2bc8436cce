"""Names of persons in Arabic script: a gazetteer finds the words, the words around them decide.

A word that is hardly anything but a name (أحمد) counts alone; one that is also a word (أمل، سعيد) needs a title, a
neighbouring name, a vocative, kin or a verb of speech; one that no list has (شنكول) goes on with a name, or follows a
title, where it is no plain word either. Prophets, diseases, schools and stations are no private persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mashq.privacy.found import Found
from mashq.privacy.lexicon import Entry, Weight, is_word, names, wordset
from mashq.privacy.page import Page, fold_word
from mashq.privacy.people_words import Lists, phrases
from mashq.privacy.people_words import lists as lists_of_words

__all__ = ["ArabicNames"]

REACH = 3  # words between a school's or a disease's head and the name that it bears
SURE, NEAR, LONE, LIKELY, PERHAPS, UNLIKELY = 0.95, 0.85, 0.75, 0.6, 0.45, 0.2
_JOIN = re.compile(r"[ \t_]{1,3}")
_TITLE_GAP = re.compile(r"[ \t]*[./\\:(«\"]?[ \t]{0,2}")
_INTRODUCTION_GAP = re.compile(r"[ \t]*[:=/-]?[ \t]{0,2}")
_NISBA = re.compile(r"ال\w{3,}يه?")
_NO_NAME = re.compile("ال|[وفبك]ال|لل|[يت]")  # how an unlisted word does not begin, if it is a name
_AND_THEN = re.compile(r"[ \t]{0,2}[،,(-]?[ \t]{1,2}")
_ARABIC = re.compile(r"[\u0621-\u064a]+")
_OTHER_SPELLING = "!"  # Entry.last of a name whose ى is written as ي, or the other way round
_FATHATAN = "\N{ARABIC FATHATAN}"
_SHADDA = "\N{ARABIC SHADDA}"
_ABBREVIATIONS = frozenset(("د", "ا", "م", "ود", "لد", "بد"))  # titles of a letter: alone it is often something else
_STOPPED = _ABBREVIATIONS | frozenset(("بروف", "البروف", "دكت", "السيد"))  # after these a full stop ends no sentence
_VERB_LIKE = re.compile(
    r"ا[تنس]\w{3,}|ا\wت\w{2,}|ل\w+|[بلكف]ا(?:ست|[نت])\w+|\w+(?:تها|ته|تهم|وا|ناه|ناها|وها|وه|ولي|تلي|تلو|تلك|تني|توا|تون|تنا|هم|كم|لنا|لكم|\w{2,}ها)|ب[بمت]\w+|[سه][يتن]\w{3,}"
    r"|و\w+|ف[بلعي]\w+|وال\w+|ع?ال\w+|ما\w+ش"
)
_LEADING = frozenset(("عند", "لعند", "مع", "من", "انا", "اني", "يا", "علي", "ست", "طرف"))  # before a name
_FIRST_PERSON = frozenset(map(fold_word, ("اسمي", "واسمي", "سميتها", "سميته", "سميناها", "سميناه")))


@dataclass
class _Chain:
    """Words of one name: `first` and `last` are numbers of words, `start` is after a clitic."""

    first: int
    last: int
    start: int
    weights: list[Weight]
    givens: int = 0
    guessed: bool = False  # holds a word that no list knows
    kunya: bool = False
    nasab: bool = False  # بن or another between two names

    @property
    def surest(self) -> Weight:
        return max(self.weights)

    def take(self, last: int, weight: Weight, given: bool) -> None:
        self.last = last
        self.weights.append(weight)
        self.givens += given


class ArabicNames:
    """Names and doctors in Arabic script. A title is not part of the name, بن and a kunya are."""

    name = "arabic names"
    version = "2"
    kinds = ("name", "doctor")

    def find(self, page: Page) -> Iterator[Found]:
        lists, known = lists_of_words(), names()
        triggers = lists.triggers
        if any(word.text in known or word.text in triggers for word in page.words):
            yield from _Reading(page, lists, known).found()


class _Reading:
    """One page, read from left to right."""

    def __init__(self, page: Page, lists: Lists, known: dict[str, Entry]):
        self.page, self.lists, self.known = page, lists, known
        self.words = page.words
        self.blocked = self._blocked()

    def found(self) -> Iterator[Found]:
        place = 0
        while place < len(self.words):
            chain = self._chain(place)
            if chain is None:
                place += 1
                continue
            kind, score = self._judge(chain)
            if score:
                yield Found(kind, chain.start, self.words[chain.last].end, score, ArabicNames.name)
            place = chain.last + 1

    # --- reading a chain of names ---

    def _blocked(self) -> set[int]:
        """Words inside fixed phrases."""
        return {
            place
            for match in phrases().finditer(self.page.flat)
            for place in range(self.page.word_at(match.start()), self.page.word_at(match.end()))
        }

    def _word(self, place: int) -> str:
        return self.words[place].text if 0 <= place < len(self.words) else ""

    def _gap(self, place: int) -> str:
        """What stands between a word and the one before it."""
        return self.page.flat[self.words[place - 1].end : self.words[place].start]

    def _joined(self, place: int) -> bool:
        """Whether nothing but a space parts a word from the one before."""
        return 0 < place < len(self.words) and _JOIN.fullmatch(self._gap(place)) is not None

    def _entry(self, place: int) -> Entry | None:
        """The gazetteer's word, one weight lower where ى and ي are exchanged."""
        if place >= len(self.words) or place in self.blocked:
            return None
        entry = self.known.get(self.words[place].text)
        if entry is None or (self._may_be_inflected(place) and _FATHATAN in self._original(place)):
            return None  # كريمًا is no name with another spelling
        if self.words[place].text == "علي" and self._original(place).endswith(_SHADDA):
            return None  # عليّ: upon me
        if not entry.last:
            return entry
        written = self.page.original(self.words[place].end - 1, self.words[place].end)[:1]
        lower = entry._replace(weight=Weight(max(entry.weight - 1, 0)), last=_OTHER_SPELLING)
        return entry if written == entry.last else lower

    def _original(self, place: int) -> str:
        return self.page.original(self.words[place].start, self.words[place].end)

    def _may_be_inflected(self, place: int) -> bool:
        return self.words[place].text.endswith(("ا", "ه"))

    def _unit(self, place: int, first: bool) -> tuple[int, Entry] | None:
        """The name that begins at a word, of one or two words: (its last word, what it is)."""
        word = self._word(place)
        if place in self.blocked:
            return None
        bare = word[1:] if first and word[:1] in "ولبفك" and word[1:] in ("عبد", *self.lists.of_faith) else word
        if self._joined(place + 1):
            following = self._word(place + 1)
            if bare == "عبد" and following in self.lists.servants:
                return place + 1, Entry(Weight.ONLY, False, "", len(word) - len(bare))
            if bare in self.lists.of_faith and following == "الدين":
                return place + 1, Entry(Weight.ONLY, False, "", len(word) - len(bare))
            if (word, following) in self.lists.pairs:
                return place + 1, Entry(Weight.WEAK if following == "الله" else Weight.ONLY, False, "", 0)
        entry = self._entry(place)
        if entry is None or (entry.clitic and not first):
            return None
        return place, entry

    def _chain(self, place: int) -> _Chain | None:
        """The longest name that begins at a word, or None."""
        chain = self._kunya(place) or self._first(place) or self._before_family(place)
        while chain and self._joined(chain.last + 1) and self._extend(chain):
            pass
        return chain

    def _before_family(self, place: int) -> _Chain | None:
        """A word that no list knows before a sure family name: كوامي زغيب."""
        before = self._word(place - 1)
        led = not self._joined(place) or before in _LEADING or self._announced(place)[0]
        if not led or not self._joined(place + 1) or not self._is_strange(place) or self._word(place).endswith("ت"):
            return None
        unit = self._unit(place + 1, False)
        if unit is None or unit[1].weight < Weight.ONLY or not unit[1].family or self._word(place)[0] in "وع":
            return None
        return _Chain(place, place, self.words[place].start, [Weight.WEAK], 1, guessed=True)

    def _kunya(self, place: int) -> _Chain | None:
        word = self._word(place)
        if word not in self.lists.kunya or place in self.blocked or not self._joined(place + 1):
            return None
        unit = self._unit(place + 1, False)
        if unit is None and len(self._word(place + 1)) > 3 and self._is_strange(place + 1):
            unit = place + 1, Entry(Weight.WEAK, False, "", 0)  # أبو سرمد
        if unit is None or unit[1].family or (unit[1].weight < Weight.WEAK and not self._announced(place)[0]):
            return None
        plain = word in wordset("words", "kunya")
        start = self.words[place].start + (0 if plain else 1)
        return _Chain(place, unit[0], start, [max(unit[1].weight, Weight.WEAK)], 1, kunya=True)

    def _first(self, place: int) -> _Chain | None:
        """A chain of one name; after a title or an introduction also one that no list knows."""
        word = self._word(place)
        unit = self._unit(place, True)
        kind, score = self._announced(place)
        if not score and (
            word in self.lists.introductions
            or word in self.lists.person
            or word in self.lists.holy_before
            or (word in self.lists.doctor and self._joined(place + 1) and self._is_given(place + 1))
        ):
            return None  # باسم، الإمام، السيد: they announce a name
        whose = unit is not None and (self._is_of_kin(place, unit[0]) or self._is_of_nasab(unit[0]))
        if (
            unit
            and unit[1].weight == Weight.RARE
            and not whose
            and (not kind or unit[1].last == _OTHER_SPELLING or unit[1].clitic)
        ):
            return None  # صباح محمد: a morning, and a name; الدكتورة على
        if word in self.lists.fullness or (unit and self._is_noun(place, unit[1], kind)):
            return None  # الاسم الكامل: the name comes next
        if unit and unit[1].clitic:
            kind = ""  # مريض وأحمد: the title is not his
        if unit and kind and self._is_quality(place, unit[1]) and not self._is_given(unit[0] + 1):
            return None  # دكتور زين: a good one
        if unit and kind and unit[1].weight <= Weight.WEAK and score < SURE + (kind == "doctor"):
            unit = None if self._is_described(unit[0] + 1) else unit
        if unit and not (kind and word in self.lists.common and unit[1].weight < Weight.ONLY and score < SURE):
            last, entry = unit
            return _Chain(place, last, self.words[place].start + entry.clitic, [entry.weight], int(not entry.family))
        return self._unlisted(place, score)

    def _unlisted(self, place: int, score: float) -> _Chain | None:
        """A chain of a word that no list has, where a title or an introduction calls it a name."""
        if score >= NEAR and self._may_be_name(place):
            known_next = self._joined(place + 1) and (self._unit(place + 1, False) or self._word(place + 1) == "بن")
            strange = self._is_strange(place) and self._announces_strangers(place - 1, score)
            known_next = known_next and not is_word(self._word(place))
            if known_next or strange or (score >= SURE and self._standing_alone(place)):
                return _Chain(place, place, self.words[place].start, [Weight.ALSO], 1, guessed=True)
        return None

    def _is_noun(self, place: int, entry: Entry, kind: str) -> bool:
        """A family name with ال that is a noun here: ولي العهد محمد، الدكتور الهندي راجيش، الاسم الجديد."""
        if not entry.family or not self._word(place).startswith("ال"):
            return False
        if self._word(place - 1) == "الاسم" and entry.weight <= Weight.WEAK:
            return True
        if not self._joined(place + 1):
            return False
        stranger = kind == "doctor" and self._is_strange(place + 1)
        return stranger or ((entry.weight < Weight.ONLY or kind == "doctor") and self._is_given(place + 1))

    def _is_quality(self, place: int, entry: Entry) -> bool:
        """Whether a word after دكتور or طبيب without ال says what kind of doctor."""
        before = self._word(place - 1)
        if before not in ("دكتور", "دكتوره", "طبيب", "طبيبه"):
            return False
        frequent = before.startswith("طبيب") and entry.weight <= Weight.WEAK
        nisba = entry.family and not self._word(place).startswith("ال")
        return self._word(place) in self.lists.common or frequent or nisba

    def _is_of_kin(self, place: int, last: int) -> bool:
        """مؤمن صاحبي، حماتي عواطف: a word that is hardly a name, but beside kin; بنتي سليمة is well."""
        if self._word(place) in wordset("words", "states") or self._word(place) in self.lists.common:
            return False
        after = self._joined(last + 1) and self._word(last + 1) in self.lists.kin
        return (self._starts_at(place) and after) or (self._joined(place) and self._word(place - 1) in self.lists.kin)

    def _announces_strangers(self, place: int, score: float) -> bool:
        """Whether a title or introduction is hardly followed by anything but a name: الوزير is, by a verb."""
        word = self._word(place)
        if word == "باسم":
            return self._word(place - 1) not in ("المتحدث", "الناطق", "متحدث", "ناطق", "الرسمي")
        if score >= SURE:
            return word not in self.lists.professions or word.startswith("ال")
        bare = word[1:] if word[:1] in "ولف" else word
        return word in wordset("words", "surely_titles") or bare in wordset("words", "surely_titles")

    def _is_of_nasab(self, last: int) -> bool:
        """سلامة ولد خميس: whether a name of a father follows."""
        fathered = self._word(last + 1) in self.lists.nasab and self._joined(last + 1) and self._joined(last + 2)
        return fathered and self._unit(last + 2, False) is not None

    def _is_given(self, place: int) -> bool:
        unit = self._unit(place, False)
        return unit is not None and not unit[1].family and unit[1].weight >= Weight.ALSO

    def _is_strange(self, place: int) -> bool:
        """Whether a word that may be a name is in no list of plain words and has not the shape of a verb."""
        word = self._word(place)
        if not self._may_be_name(place) or _VERB_LIKE.fullmatch(word) or word in self.known:
            return False
        if _FATHATAN in self._original(place):
            return False
        return not is_word(word)

    def _is_described(self, place: int) -> bool:
        """الطبيب شريف النفس: after a frequent word an unlisted one with ال, so it is an adjective."""
        word = self._word(place)
        listed = word in self.known or word in self.lists.common or _NISBA.fullmatch(word)
        return self._joined(place) and word.startswith("ال") and not listed

    def _standing_alone(self, place: int) -> bool:
        """After an unlisted word: what shows that the word before it was a whole name."""
        gap = self._gap(place)
        return "." in gap or "/" in gap or self._word(place - 1) in _FIRST_PERSON or ":" in gap

    def _may_be_name(self, place: int) -> bool:
        word = self._word(place)
        known = word in self.lists.common or word in self.lists.deeds or word in self.lists.kin
        known = known or word in self.lists.introductions or word in self.lists.professions
        titled = word in self.lists.doctor or word in self.lists.person or word in self.lists.bearers
        plain = _ARABIC.fullmatch(word) is not None and len(word) > 2 and not _NO_NAME.match(word)
        return plain and not known and not titled and place not in self.blocked

    def _extend(self, chain: _Chain) -> bool:
        """Take one more name into the chain, if the next words are one."""
        place = chain.last + 1
        word = self._word(place)
        if word in self.lists.professions or word in self.lists.doctor:
            return False
        if word in wordset("words", "inside") and self._joined(place + 1):
            unit = self._unit(place + 1, False)
            enough = (
                chain.surest >= Weight.ALSO or self._announced(chain.first)[0] or self._word(place) in ("ابو", "ام")
            )
            if enough and (unit or self._is_strange(place + 1)):
                chain.take(unit[0] if unit else place + 1, Weight.ALSO, False)
                return True
        if word in self.lists.nasab and self._joined(place + 1):
            unit = self._unit(place + 1, False)
            if unit:
                chain.nasab = True
                chain.take(unit[0], unit[1].weight, not unit[1].family)
                return True
            if word in ("بن", "ال") and self._may_be_name(place + 1) and chain.surest >= Weight.ALSO:
                chain.nasab = True
                chain.take(place + 1, Weight.ALSO, True)
                return True
            return False
        unit = self._unit(place, False)
        if unit and self._fits(chain, place, *unit):
            chain.take(unit[0], unit[1].weight, not unit[1].family)
            return True
        return self._guess(chain, place)

    def _fits(self, chain: _Chain, place: int, last: int, entry: Entry) -> bool:
        """Whether a listed word goes on with the name; a frequent word only where the name goes on or ends."""
        word = self._word(place)
        plain = word in self.lists.common and entry.weight <= Weight.ALSO and self._unit(last + 1, False) is None
        if plain or self._is_adverb(last + 1) or word in self.lists.deeds or word in self.lists.kin:
            return False
        if entry.last == _OTHER_SPELLING and entry.weight < Weight.ALSO:
            return self._ends(last)  # محمد على: in Egypt a name, before another word a preposition
        if entry.weight >= Weight.ALSO:
            return chain.surest > Weight.RARE or entry.weight == Weight.ONLY
        if self._word(last + 1).isdigit() or (chain.surest < Weight.ALSO and not self._announced(chain.first)[0]):
            return False
        steady = entry.weight == Weight.WEAK and (chain.surest == Weight.ONLY or self._announced(chain.first)[0])
        return bool(steady) or self._ends(last) or self._unit(last + 1, False) is not None

    def _ends(self, place: int) -> bool:
        """Whether a phrase ends after a word."""
        return place + 1 >= len(self.words) or not self._joined(place + 1)

    def _guess(self, chain: _Chain, place: int) -> bool:
        """Take an unlisted word: an الـ...ي after a sure name, or the last word after a title."""
        word = self._word(place)
        if (chain.guessed and chain.givens < 1) or place in self.blocked or word in self.lists.common:
            return False
        announced = bool(self._announced(chain.first)[0]) and chain.surest >= Weight.ALSO
        sure = chain.surest == Weight.ONLY or announced
        known = chain.surest >= Weight.ALSO or self._announced(chain.first)[1] >= SURE
        strange = known and len(word) > 3 and self._is_strange(place)
        strange = strange or (sure and word.startswith("ال") and len(word) > 4 and not is_word(word))
        nisba = _NISBA.fullmatch(word) is not None and len(word) > 5 and word not in self.lists.no_family
        nisba = nisba and (word.endswith("ي") or not is_word(word))
        bridge = announced and self._may_be_name(place) and self._joined(place + 1) and self._is_known(place + 1)
        last = announced and self._may_be_name(place) and self._ends(place) and chain.givens == 1
        joined = word.startswith("بن") and len(word) > 4 and not word.startswith(("بنت", "بنات", "بنفس", "بنسب"))
        closing = word.startswith("ال") and self._ends(place) and chain.givens > 1 and chain.nasab and len(word) > 4
        tagged = self._gap(place) == "_" and self._may_be_name(place) and self._ends(place) and chain.givens == 1
        if not strange and not (sure and (nisba or bridge or last or joined or closing or tagged)):
            return False
        if not chain.givens:
            return False
        chain.take(place, Weight.RARE, False)
        chain.guessed = True
        return True

    def _is_known(self, place: int) -> bool:
        unit = self._unit(place, False)
        return unit is not None and unit[1].weight >= Weight.ALSO

    def _is_adverb(self, place: int) -> bool:
        return self._joined(place) and self._word(place) in self.lists.adverbs

    # --- judging it ---

    def _announced(self, place: int) -> tuple[str, float]:
        """(doctor, name or "", how sure) by the title or introduction before a word."""
        if place < 1 or (place - 1) in self.blocked:
            return "", 0.0
        before, gap = self._word(place - 1), self._gap(place)
        if before in self.lists.fullness and place > 1 and self._word(place - 2) in self.lists.introductions:
            return "name", SURE
        described = before in self.lists.specialties or (before.startswith("ال") and len(before) > 4)
        specialised = described and self._joined(place) and self._joined(place - 1)
        if specialised and self._word(place - 2) in self.lists.doctor - _ABBREVIATIONS:
            listed = self._is_known(place) or before in self.lists.specialties or self._is_strange(place)
            if listed:
                return "doctor", NEAR
        if before in self.lists.introductions and _INTRODUCTION_GAP.fullmatch(gap):
            return ("doctor" if self._speaks_of_doctor(place - 1) else "name"), SURE
        if not _TITLE_GAP.fullmatch(gap) or ("." in gap and before not in _STOPPED):
            return "", 0.0  # صباح الخير دكتور. انضرب راسي: a new sentence
        attached = before in ("ود", "لد", "بد") and re.search(r"[./]", gap)  # ود.فيصل
        kind = "doctor" if before in self.lists.doctor or attached else "name" if before in self.lists.person else ""
        if not kind or (before in _ABBREVIATIONS and not self._abbreviates(place, before, gap)):
            return "", 0.0
        if kind == "name" and self._word(place - 2) in self.lists.doctor - _ABBREVIATIONS and self._joined(place - 1):
            kind = "doctor"  # الدكتور الشيخ
        if kind == "doctor" and self._word(place - 2) == "يا" and not self._is_known(place):
            return "", 0.0  # يا دكتور راسي: what he is told
        return kind, SURE if kind == "doctor" else NEAR

    def _speaks_of_doctor(self, place: int) -> bool:
        """دكتور التخدير اسمه: whether "his name" is a doctor's."""
        if self._word(place) not in ("اسمه", "اسمها", "اسمو"):
            return False
        near = [self._word(other) for other in range(max(0, place - 3), place)]
        return any(word in self.lists.professions for word in near) and "يا" not in near

    def _abbreviates(self, place: int, letter: str, gap: str) -> bool:
        """Whether a letter before a word is a title: with its stop, or before a name that hardly is a word."""
        if self._word(place - 2) in ("فيتامين", "فيتامينات"):
            return False
        if "." in gap or "/" in gap or "\\" in gap:
            return letter in ("د", "ود", "لد", "بد") or self._is_known(place)
        entry = self._entry(place)
        return letter == "د" and entry is not None and not entry.clitic and entry.weight >= Weight.ALSO and bool(gap)

    def _judge(self, chain: _Chain) -> tuple[str, float]:
        kind, announced = self._announced(chain.first)
        if chain.start != self.words[chain.first].start and not chain.kunya:
            announced = 0.0
        if self._is_public(chain):
            return "name", 0.0
        if announced and not (kind == "name" and announced < SURE and self._only_epithets(chain)):
            guess = chain.guessed and len(chain.weights) == 1
            return kind, LONE if guess else announced
        score = self._score(chain)
        return ("doctor", max(score, LIKELY)) if score and self._treats(chain) else ("name", score)

    def _treats(self, chain: _Chain) -> bool:
        """Whether words around a name say that its bearer treats: عيادة فلان، موعد عند فلان، فلان طبيب العيون."""
        if chain.surest < Weight.ALSO:
            return False
        behind = chain.last + 1
        after = self._word(behind) if behind < len(self.words) and _AND_THEN.fullmatch(self._gap(behind)) else ""
        if after in self.lists.professions and self._word(chain.first - 1) in ("عند", "لعند"):
            return True
        if after in wordset("words", "treating") and len(chain.weights) > 1:
            return True
        if after in self.lists.professions and (len(chain.weights) > 1 or not after.startswith("ال")):
            return True
        before = self._word(chain.first - 1) if self._joined(chain.first) else ""
        if before in self.lists.practices and (before != "موعد" or chain.surest == Weight.ONLY):
            return True  # no موعد زايد: a spare appointment
        reach = range(max(0, chain.first - 5), chain.first - 1)
        return before in ("عند", "لعند", "مع") and any(self._word(place) in self.lists.visits for place in reach)

    def _only_epithets(self, chain: _Chain) -> bool:
        """الأخ العزيز: after a title of a person nothing but words with ال that are no sure family names."""
        return chain.givens == 0 and chain.surest < Weight.ONLY

    def _is_public(self, chain: _Chain) -> bool:
        """Whether the name is a prophet's, a sura's, a disease's, a school's or a station's."""
        before = self._word(chain.first - 1) if self._near(chain.first) else ""
        if before in self.lists.holy_before:
            return True
        after = chain.last + 1
        if after < len(self.words) and self._word(after) in self.lists.holy_after and self._joined(after):
            return True
        return before in self.lists.diseases or self._borne(chain.first)

    def _near(self, place: int) -> bool:
        return place > 0 and not set(self._gap(place)) & set(".،,؛!؟\n")

    def _borne(self, place: int) -> bool:
        """Whether a head such as جامعة or شارع stands before, with nothing but titles between."""
        for step in range(1, REACH + 1):
            if not self._near(place - step + 1):
                return False
            word = self._word(place - step)
            if word in self.lists.bearers:
                return True
            if word not in self.lists.person and word not in ("الشهيد", "الامام"):
                return False
        return False

    def _score(self, chain: _Chain) -> float:
        """Without a title or an introduction."""
        weights, surest = chain.weights, chain.surest
        if len(weights) == 1 and self._is_age(chain.first):
            return 0.0
        if surest < Weight.ONLY and self._word(chain.first - 1) in ("قد", "لقد", "لم", "لن", "سوف"):
            return 0.0  # قد شهد
        if chain.kunya:
            return NEAR if surest >= Weight.ALSO or len(weights) > 1 else LIKELY
        if chain.nasab and surest >= Weight.WEAK:
            return NEAR if surest >= Weight.ALSO else LIKELY
        if surest == Weight.ONLY:
            if len(weights) > 1:
                return NEAR
            return LONE if chain.givens else LIKELY
        if chain.givens == 0:
            return UNLIKELY
        supported = self._supported(chain)
        if surest == Weight.ALSO and len(weights) > 1:
            return LONE if supported else 0.5 if chain.givens < len(weights) or self._starts(chain) else PERHAPS
        return self._lone_score(chain, supported)

    def _lone_score(self, chain: _Chain, supported: str) -> float:
        """One ambiguous word."""
        if self._is_adverb(chain.last + 1):
            return UNLIKELY
        if chain.surest == Weight.ALSO and supported:
            return LIKELY
        if chain.surest <= Weight.WEAK and supported in ("whose", "self"):
            return LIKELY
        if chain.surest == Weight.RARE and supported == "kin":
            return LIKELY
        if chain.surest == Weight.WEAK and supported in ("kin", "company"):
            return LIKELY
        return PERHAPS if chain.surest == Weight.ALSO else UNLIKELY

    def _is_age(self, place: int) -> bool:
        """عمرو شهرين، عمر ٣ سنوات: how old, and no name."""
        if not self._word(place).lstrip("و").startswith("عمر"):
            return False
        after = self._word(place + 1)
        return after.isdigit() or after in self.lists.ages

    def _starts(self, chain: _Chain) -> bool:
        return self._starts_at(chain.first)

    def _starts_at(self, place: int) -> bool:
        return place == 0 or not self._joined(place)

    def _after_name(self, place: int) -> bool:
        """سارة ومنى: whether the word before is a sure name."""
        entry = self._entry(place - 1) if place and self._joined(place) else None
        return entry is not None and entry.weight == Weight.ONLY

    def _supported(self, chain: _Chain) -> str:
        """What speaks for an ambiguous word: "kin", "vocative", "deed" before or after it, or ""."""
        before = self._word(chain.first - 1) if self._joined(chain.first) else ""
        after = self._word(chain.last + 1) if self._joined(chain.last + 1) else ""
        entry_clitic = self.words[chain.first].start != chain.start
        if entry_clitic and self._word(chain.first).startswith("و") and self._after_name(chain.first):
            return "company"
        if before == "يا":
            return "" if self._word(chain.first) in self.lists.prayers else "vocative"
        if before in self.lists.kin and not entry_clitic:
            return "kin"
        if after in ("ابن", "بنت", "ولد", "اخت", "اخو", "ام", "مرت") and self._word(chain.last + 2) in self.lists.kin:
            return "whose"  # وسيم ابن عمتي
        if after in self.lists.kin:
            return "whose" if self._starts(chain) else "company"
        if before in wordset("words", "selves") and not entry_clitic:
            return "self" if after in ("من", "بنت", "ابن", "ام", "اخت") else "deed"
        if chain.first == 0 and after in wordset("words", "requests"):
            return "self"
        if before in self.lists.deeds or (after in self.lists.deeds and self._starts(chain)):
            return "deed"
        return ""
