"""Names of persons in Arabic script: a gazetteer finds the words, the words around them decide.

A word that is hardly anything but a name (أحمد) counts alone; one that is also a word (أمل، سعيد) needs a title, a
neighbouring name, a vocative, kin or a verb of speech; one that no list has (شنكول) goes on with a name, or follows a
title, where it is no plain word either. Prophets, diseases, schools and stations are no private persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mashq.privacy.evidence import Chain, Evidence
from mashq.privacy.found import Found
from mashq.privacy.lexicon import Entry, Weight, is_word, women, wordset
from mashq.privacy.page import Page, fold_word
from mashq.privacy.passage import FATHATAN, OTHER_SPELLING, Passage, lookup
from mashq.privacy.people_words import ABBREVIATIONS
from mashq.privacy.people_words import lists as lists_of_words

__all__ = ["ArabicNames"]

SURE, NEAR, LONE, LIKELY, PERHAPS, UNLIKELY = 0.95, 0.85, 0.75, 0.6, 0.45, 0.2
_TITLE_GAP = re.compile(r"[ \t]*[./\\:(«\"]?[ \t]{0,2}")
_INTRODUCTION_GAP = re.compile(r"[ \t]*[:=/-]?[ \t]{0,2}")
_MAGHREBI = re.compile(r"ل[^ايهم]\w{2,}ي")  # لعروسي, beside العروسي
_NISBA = re.compile(r"ال\w{3,}يه?")
_NO_NAME = re.compile("ال|[وفبك]ال|لل|[يت]")  # how an unlisted word does not begin, if it is a name
_ARABIC = re.compile(r"[\u0621-\u064a]+")
_STOPPED = ABBREVIATIONS | frozenset(("بروف", "البروف", "دكت", "السيد"))  # after these a full stop ends no sentence
_VERB_LIKE = re.compile(
    r"\w*(?:ههه|(\w)\1\1)\w*|ا[تنس]\w{3,}|ا\wت\w{2,}|ل\w+|[بلكف]ا(?:ست|[نت])\w+|\w+(?:تها|ته|تهم|وا|ناه|ناها|وها|وه|ولي|تلي|تلو|تلك|تني|توا|تون|تنا|هم|كم|لنا|لكم|\w{2,}ها)|ب[بمت]\w+|[سه][يتن]\w{3,}"
    r"|و\w+|ف[بلعي]\w+|وال\w+|ع?ال\w+|ما\w+ش|م[ابيتنك]\w+ش"
)
_PARTICIPLE = re.compile(r"م\w{3,4}ه?|مت\w{3,}")
_STATE = re.compile(r"[مبلفك]\w{3,}|\w+(?:ان|انه|ت|ين|ات|يه)|\w{3}")  # متوتره، زعلان، وقفت: what kin is and does
_LEADING = frozenset(("عند", "لعند", "مع", "من", "انا", "اني", "يا", "علي", "ست", "طرف"))  # before a name
_FIRST_PERSON = frozenset(map(fold_word, ("اسمي", "واسمي", "سميتها", "سميته", "سميناها", "سميناه")))


_Judged = tuple[Chain, str, float]  # a chain, its kind and its score


class ArabicNames:
    """Names and doctors in Arabic script. A title is not part of the name, بن and a kunya are."""

    name = "arabic names"
    version = "3"
    kinds = ("name", "doctor")

    def find(self, page: Page) -> Iterator[Found]:
        lists = lists_of_words()
        if any(word.text in lists.triggers or lookup(word.text) for word in page.words):
            yield from _Reading(Passage(page, lists)).found()


class _Reading:
    """One page, read from left to right."""

    def __init__(self, at: Passage):
        self.at, self.evidence = at, Evidence(at)
        self.read_to = -1  # the last word of the names that are read

    def found(self) -> Iterator[Found]:
        chains: list[_Judged] = []
        place = 0
        while place < len(self.at.words):
            chain = self._chain(place)
            if chain is None:
                place += 1
                continue
            chains.append((chain, *self._judge(chain)))
            self.read_to = chain.last
            place = chain.last + 1
        for chain, kind, score in self._in_company(chains):
            if score:
                yield Found(kind, chain.start, self.at.words[chain.last].end, score, ArabicNames.name)

    def _in_company(self, chains: list[_Judged]) -> list[_Judged]:
        """منى وإيمان وسارة: an ambiguous word in a list of names is one, where a sure one is in it."""
        for step in (-1, 1):
            for one in range(len(chains))[::-step]:
                other = one + step
                if not 0 <= other < len(chains):
                    continue
                (chain, kind, score), (beside, _, surer) = chains[one], chains[other]
                first, second = sorted((chain, beside), key=lambda each: each.first)
                possible = 0 < score < LIKELY <= surer and chain.surest >= Weight.WEAK and chain.givens
                if possible and self._listed_with(first, second):
                    chains[one] = chain, kind, LIKELY
        for start in range(len(chains) - 2):
            three = chains[start : start + 3]
            likely = all(PERHAPS <= score < LIKELY for _, _, score in three)
            if likely and all(self._listed_with(a[0], b[0]) for a, b in pairwise(three)):  # منى وإيمان وسحر
                chains[start : start + 3] = [(chain, kind, LIKELY) for chain, kind, _ in three]
        return chains

    def _listed_with(self, first: Chain, second: Chain) -> bool:
        """Whether nothing but "and" stands between two names."""
        if second.first == first.last + 1:
            attached = self.at.word(second.first).startswith("و") and second.start > self.at.words[second.first].start
            return attached and not set(self.at.gap(second.first)) & set(".!؟\n")
        return second.first == first.last + 2 and self.at.word(second.first - 1) == "و"

    # --- reading a chain of names ---

    def _unit(self, place: int, first: bool) -> tuple[int, Entry] | None:
        """The name that begins at a word, of one or two words: (its last word, what it is)."""
        word = self.at.word(place)
        if place in self.at.blocked:
            return None
        bare = word[1:] if first and word[:1] in "ولبفك" and word[1:] in self.at.lists.compounding else word
        if self.at.joined(place + 1):
            following = self.at.word(place + 1)
            if bare == "عبد" and following in self.at.lists.servants:
                return place + 1, Entry(Weight.ONLY, False, "", len(word) - len(bare))
            if bare in self.at.lists.of_faith and following == "الدين":
                return place + 1, Entry(Weight.ONLY, False, "", len(word) - len(bare))
            if (word, following) in self.at.lists.pairs:
                return place + 1, Entry(Weight.WEAK if following == "الله" else Weight.ONLY, False, "", 0)
        entry = self.at.entry(place)
        if entry is None or (entry.clitic and not first):
            return None
        return place, entry

    def _chain(self, place: int) -> Chain | None:
        """The longest name that begins at a word, or None."""
        chain = self._kunya(place) or self._first(place) or self._before_family(place)
        while chain and self.at.joined(chain.last + 1) and self._extend(chain):
            pass
        return chain

    def _before_family(self, place: int) -> Chain | None:
        """A word that no list knows before a sure family name: كوامي زغيب."""
        before = self.at.word(place - 1)
        led = not self.at.joined(place) or before in _LEADING or self._announced(place)[0]
        if not led or not self.at.joined(place + 1) or not self._is_strange(place) or self.at.word(place).endswith("ت"):
            return None
        unit = self._unit(place + 1, False)
        if unit is None or unit[1].weight < Weight.ONLY or not unit[1].family or self.at.word(place)[0] in "وع":
            return None
        return Chain(place, place, self.at.words[place].start, [Weight.WEAK], 1, guessed=True)

    def _kunya(self, place: int) -> Chain | None:
        word = self.at.word(place)
        if word not in self.at.lists.kunya or place in self.at.blocked or not self.at.joined(place + 1):
            return None
        unit = self._unit(place + 1, False)
        if unit is None and len(self.at.word(place + 1)) > 3 and self._is_strange(place + 1):
            unit = place + 1, Entry(Weight.WEAK, False, "", 0)  # أبو سرمد
        called = self._announced(place)[0] or self.at.word(place - 1) == "يا" or self.evidence.is_after_kin(place)
        if unit is None or unit[1].family or (unit[1].weight < Weight.WEAK and not called):
            return None
        plain = word in wordset("words", "kunya")
        start = self.at.words[place].start + (0 if plain else 1)
        return Chain(place, unit[0], start, [max(unit[1].weight, Weight.WEAK)], 1, kunya=True)

    def _first(self, place: int) -> Chain | None:
        """A chain of one name; after a title or an introduction also one that no list knows."""
        word = self.at.word(place)
        unit = self._unit(place, True)
        kind, score = self._announced(place)
        if not score and (
            word in self.at.lists.introductions
            or word in self.at.lists.person
            or word in self.at.lists.holy_before
            or (word in self.at.lists.doctor and self.at.joined(place + 1) and self._is_given(place + 1))
        ):
            return None  # باسم، الإمام، السيد: they announce a name
        whose = unit is not None and (
            self._is_of_kin(place, unit[0]) or self._is_of_nasab(unit[0]) or self.evidence.is_told(place, unit[0])
        )
        if (
            unit
            and unit[1].weight == Weight.RARE
            and not whose
            and (not kind or unit[1].last == OTHER_SPELLING or unit[1].clitic)
        ):
            return None  # صباح محمد: a morning, and a name; الدكتورة على
        if word in self.at.lists.fullness or (unit and self._is_noun(place, unit[1], kind)):
            return None  # الاسم الكامل: the name comes next
        if unit and unit[1].clitic:
            kind = ""  # مريض وأحمد: the title is not his
        if unit and kind and self._is_quality(place, unit[1]) and not self._is_given(unit[0] + 1):
            return None  # دكتور زين: a good one
        if unit and kind and unit[1].weight <= Weight.WEAK and score < SURE + (kind == "doctor"):
            unit = None if self._is_described(unit[0] + 1) else unit
        if unit and not (kind and word in self.at.lists.common and unit[1].weight < Weight.ONLY and score < SURE):
            last, entry = unit
            given = not entry.family or (self.evidence.is_after_kin(place) and not word.startswith("ال"))
            return Chain(place, last, self.at.words[place].start + entry.clitic, [entry.weight], int(given))
        return self._unlisted(place, score)

    def _unlisted(self, place: int, score: float) -> Chain | None:
        """A chain of a word that no list has, where a title or an introduction calls it a name."""
        if score >= NEAR and self._may_be_name(place):
            known_next = self.at.joined(place + 1) and (self._unit(place + 1, False) or self.at.word(place + 1) == "بن")
            strange = self._is_strange(place) and self._announces_strangers(place - 1, score)
            known_next = known_next and not is_word(self.at.word(place))
            if known_next or strange or (score >= SURE and self._standing_alone(place)):
                return Chain(place, place, self.at.words[place].start, [Weight.ALSO], 1, guessed=True)
        own = self.evidence.is_after_kin(place) and self.at.word(place - 1) not in wordset("words", "loose_kin")
        if own and self._is_strange(place) and not _STATE.fullmatch(self.at.word(place)):
            return Chain(place, place, self.at.words[place].start, [Weight.WEAK], 1, guessed=True)  # بنت خالتي ريتال
        return None

    def _is_noun(self, place: int, entry: Entry, kind: str) -> bool:
        """A family name with ال that is a noun here: ولي العهد محمد، الدكتور الهندي راجيش، الاسم الجديد."""
        if not entry.family or not self.at.word(place).startswith("ال"):
            return False
        if self.at.word(place - 1) == "الاسم" and entry.weight <= Weight.WEAK:
            return True
        if not self.at.joined(place + 1):
            return False
        stranger = kind == "doctor" and self._is_strange(place + 1)
        return stranger or ((entry.weight < Weight.ONLY or kind == "doctor") and self._is_given(place + 1))

    def _is_quality(self, place: int, entry: Entry) -> bool:
        """Whether a word after دكتور or طبيب without ال says what kind of doctor."""
        before = self.at.word(place - 1)
        if before not in ("دكتور", "دكتوره", "طبيب", "طبيبه"):
            return False
        frequent = before.startswith("طبيب") and entry.weight <= Weight.WEAK
        nisba = entry.family and not self.at.word(place).startswith("ال")
        return self.at.word(place) in self.at.lists.common or frequent or nisba

    def _is_of_kin(self, place: int, last: int) -> bool:
        """مؤمن صاحبي، حماتي عواطف: a word that is hardly a name, but beside kin; بنتي سليمة is well."""
        if self.at.word(place) in wordset("words", "states") or self.at.word(place) in self.at.lists.common:
            return False
        after = self.at.joined(last + 1) and self.at.word(last + 1) in self.at.lists.kin
        return (self.at.starts_at(place) and after) or self.evidence.is_after_kin(place)

    def _announces_strangers(self, place: int, score: float) -> bool:
        """Whether a title or introduction is hardly followed by anything but a name: الوزير is, by a verb."""
        word = self.at.word(place)
        if word == "باسم":
            return self.at.word(place - 1) not in ("المتحدث", "الناطق", "متحدث", "ناطق", "الرسمي")
        if score >= SURE:
            return word not in self.at.lists.professions or word.startswith("ال")
        bare = word[1:] if word[:1] in "ولف" else word
        return word in wordset("words", "surely_titles") or bare in wordset("words", "surely_titles")

    def _is_of_nasab(self, last: int) -> bool:
        """سلامة ولد خميس: whether a name of a father follows."""
        fathered = (
            self.at.word(last + 1) in self.at.lists.nasab and self.at.joined(last + 1) and self.at.joined(last + 2)
        )
        return fathered and self._unit(last + 2, False) is not None

    def _is_given(self, place: int) -> bool:
        unit = self._unit(place, False)
        return unit is not None and not unit[1].family and unit[1].weight >= Weight.ALSO

    def _is_strange(self, place: int) -> bool:
        """Whether a word that may be a name is in no list of plain words and has not the shape of a verb."""
        word = self.at.word(place)
        if not self._may_be_name(place) or _VERB_LIKE.fullmatch(word) or word in self.at.known:
            return False
        if FATHATAN in self.at.original(place):
            return False
        return not is_word(word)

    def _is_described(self, place: int) -> bool:
        """الطبيب شريف النفس: after a frequent word an unlisted one with ال, so it is an adjective."""
        word = self.at.word(place)
        listed = word in self.at.known or word in self.at.lists.common or _NISBA.fullmatch(word)
        return self.at.joined(place) and word.startswith("ال") and not listed

    def _standing_alone(self, place: int) -> bool:
        """After an unlisted word: what shows that the word before it was a whole name."""
        gap = self.at.gap(place)
        return "." in gap or "/" in gap or self.at.word(place - 1) in _FIRST_PERSON or ":" in gap

    def _may_be_name(self, place: int) -> bool:
        word = self.at.word(place)
        known = word in self.at.lists.common or word in self.at.lists.deeds or word in self.at.lists.kin
        known = known or word in self.at.lists.introductions or word in self.at.lists.professions
        titled = word in self.at.lists.doctor or word in self.at.lists.person or word in self.at.lists.bearers
        plain = _ARABIC.fullmatch(word) is not None and len(word) > 2 and not _NO_NAME.match(word)
        return plain and not known and not titled and place not in self.at.blocked

    def _extend(self, chain: Chain) -> bool:
        """Take one more name into the chain, if the next words are one."""
        place = chain.last + 1
        word = self.at.word(place)
        if word in self.at.lists.professions or word in self.at.lists.doctor:
            return False
        if word in wordset("words", "inside") and self.at.joined(place + 1):
            unit = self._unit(place + 1, False)
            enough = (
                chain.surest >= Weight.ALSO or self._announced(chain.first)[0] or self.at.word(place) in ("ابو", "ام")
            )
            if enough and (unit or self._is_strange(place + 1)):
                chain.take(unit[0] if unit else place + 1, Weight.ALSO, False)
                return True
        if word in self.at.lists.nasab and self.at.joined(place + 1):
            unit = self._unit(place + 1, False)
            if unit:
                chain.nasab = True
                chain.take(unit[0], unit[1].weight, not unit[1].family)
                return True
            sure = chain.surest >= Weight.ALSO or (chain.surest == Weight.WEAK and self._is_strange(place + 1))
            if word in ("بن", "ال") and self._may_be_name(place + 1) and sure:
                chain.nasab = True
                chain.take(place + 1, Weight.ALSO, True)
                return True
            return False
        unit = self._unit(place, False)
        if unit and self._fits(chain, place, *unit):
            chain.take(unit[0], unit[1].weight, not unit[1].family)
            return True
        return self._guess(chain, place)

    def _fits(self, chain: Chain, place: int, last: int, entry: Entry) -> bool:
        """Whether a listed word goes on with the name; a frequent word only where the name goes on or ends."""
        word = self.at.word(place)
        plain = word in self.at.lists.common and entry.weight <= Weight.ALSO and self._unit(last + 1, False) is None
        if plain or self._is_adverb(last + 1) or word in self.at.lists.deeds or word in self.at.lists.kin:
            return False
        if word in women() and not word.startswith("ال"):
            return False  # ياسمين حلوة، محمد سارة: after the first name come fathers and a family
        if word in wordset("words", "verbs_too") and not self._ends(last) and not self._is_sure(last + 1):
            return False  # إياد طلعت حرارته
        if word in wordset("words", "states") and len(chain.weights) > 1:
            return False  # رأي محمد السيد صحيح
        announced = self._announced(chain.first)[0]
        if word in wordset("words", "roles") and not announced and not self._ends(last) and not self._is_sure(last + 1):
            return False  # خالد ملك الراي
        if entry.last == OTHER_SPELLING and entry.weight < Weight.ALSO:
            return self._ends(last)  # محمد على: in Egypt a name, before another word a preposition
        if entry.weight >= Weight.ALSO:
            return chain.surest > Weight.RARE or entry.weight == Weight.ONLY
        if self.at.word(last + 1).isdigit() or (chain.surest < Weight.ALSO and not self._announced(chain.first)[0]):
            return False
        of_sure_form = word.endswith("ي") and chain.surest >= Weight.ALSO and self.evidence.starts(chain)
        steady = (entry.weight == Weight.WEAK or of_sure_form) and bool(
            of_sure_form or chain.surest == Weight.ONLY or announced
        )
        return bool(steady) or self._ends(last) or self._unit(last + 1, False) is not None

    def _is_sure(self, place: int) -> bool:
        unit = self._unit(place, False)
        return unit is not None and unit[1].weight == Weight.ONLY

    def _ends(self, place: int) -> bool:
        """Whether a phrase ends after a word."""
        return place + 1 >= len(self.at.words) or not self.at.joined(place + 1)

    def _guess(self, chain: Chain, place: int) -> bool:
        """Take an unlisted word: an الـ...ي after a sure name, or the last word after a title."""
        word = self.at.word(place)
        if (chain.guessed and chain.givens < 1) or place in self.at.blocked or word in self.at.lists.common:
            return False
        announced = bool(self._announced(chain.first)[0]) and chain.surest >= Weight.ALSO
        sure = chain.surest == Weight.ONLY or announced
        known = chain.surest >= Weight.ALSO or self._announced(chain.first)[1] >= SURE
        strange = known and len(word) > 3 and self._is_strange(place)
        # محذوف, مقفل: what has happened to it, rather than a family
        strange = strange and (announced or not _PARTICIPLE.fullmatch(word))
        strange = strange or (sure and word.startswith("ال") and len(word) > 4 and not is_word(word))
        nisba = _NISBA.fullmatch(word) is not None and len(word) > 5 and word not in self.at.lists.no_family
        nisba = nisba and (word.endswith("ي") or not is_word(word))
        bridge = announced and self._may_be_name(place) and self.at.joined(place + 1) and self._is_known(place + 1)
        last = announced and self._may_be_name(place) and self._ends(place) and chain.givens == 1
        last = last and ((len(chain.weights) == 1 and word.startswith("ال")) or not is_word(word))
        joined = (
            word.startswith("بن")
            and len(word) > 4
            and word not in self.at.lists.kin
            and not word.startswith(("بنت", "بنات", "بنفس", "بنسب"))
        )
        closing = word.startswith("ال") and self._ends(place) and chain.givens > 1 and chain.nasab and len(word) > 4
        joined = joined or (_MAGHREBI.fullmatch(word) is not None and not is_word(word))
        tagged = self.at.gap(place) == "_" and self._may_be_name(place) and self._ends(place) and chain.givens == 1
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
        return self.at.joined(place) and self.at.word(place) in self.at.lists.adverbs

    # --- judging it ---

    def _announced(self, place: int) -> tuple[str, float]:
        """(doctor, name or "", how sure) by the title or introduction before a word."""
        if place < 1 or (place - 1) in self.at.blocked or place - 1 <= self.read_to:
            return "", 0.0  # محمد السيد صحيح: no title, but a name
        before, gap = self.at.word(place - 1), self.at.gap(place)
        if before in self.at.lists.fullness and place > 1 and self.at.word(place - 2) in self.at.lists.introductions:
            return "name", SURE
        described = before in self.at.lists.specialties or (before.startswith("ال") and len(before) > 4)
        specialised = described and self.at.joined(place) and self.at.joined(place - 1)
        if specialised and (
            self.at.word(place - 2) in self.at.lists.doctors_in_full or self.at.word(place - 2) == "جراح"
        ):
            listed = self._is_known(place) or before in self.at.lists.specialties or self._is_strange(place)
            if listed:
                return "doctor", NEAR
        if before in self.at.lists.introductions and _INTRODUCTION_GAP.fullmatch(gap):
            return ("doctor" if self.evidence.speaks_of_doctor(place - 1) else "name"), SURE
        if not _TITLE_GAP.fullmatch(gap) or ("." in gap and before not in _STOPPED):
            return "", 0.0  # صباح الخير دكتور. انضرب راسي: a new sentence
        attached = before in ("ود", "لد", "بد") and re.search(r"[./]", gap)  # ود.فيصل
        kind = (
            "doctor" if before in self.at.lists.doctor or attached else "name" if before in self.at.lists.person else ""
        )
        if not kind or (before in ABBREVIATIONS and not self._abbreviates(place, before, gap)):
            return "", 0.0
        if kind == "name" and self.at.word(place - 2) in self.at.lists.doctors_in_full and self.at.joined(place - 1):
            kind = "doctor"  # الدكتور الشيخ
        if kind == "doctor" and self.at.word(place - 2) == "يا" and not self._is_known(place):
            return "", 0.0  # يا دكتور راسي: what he is told
        return kind, SURE if kind == "doctor" else NEAR

    def _abbreviates(self, place: int, letter: str, gap: str) -> bool:
        """Whether a letter before a word is a title: with its stop, or before a name that hardly is a word."""
        if self.at.word(place - 2) in ("فيتامين", "فيتامينات"):
            return False
        if "." in gap or "/" in gap or "\\" in gap:
            return letter in ("د", "ود", "لد", "بد") or self._is_known(place)
        entry = self.at.entry(place)
        return letter == "د" and entry is not None and not entry.clitic and entry.weight >= Weight.ALSO and bool(gap)

    def _judge(self, chain: Chain) -> tuple[str, float]:
        kind, announced = self._announced(chain.first)
        if chain.start != self.at.words[chain.first].start and not chain.kunya:
            announced = 0.0
        if self.evidence.is_public(chain):
            return "name", 0.0
        if announced and not (kind == "name" and announced < SURE and self._only_epithets(chain)):
            guess = chain.guessed and len(chain.weights) == 1
            if kind == "doctor" and self.evidence.is_scholar(chain):
                kind = "name"
            return kind, LONE if guess else announced
        score = self._score(chain)
        return ("doctor", max(score, LIKELY)) if score and self.evidence.treats(chain) else ("name", score)

    def _only_epithets(self, chain: Chain) -> bool:
        """الأخ العزيز: after a title of a person nothing but words with ال that are no sure family names."""
        return chain.givens == 0 and chain.surest < Weight.ONLY

    def _score(self, chain: Chain) -> float:
        """Without a title or an introduction."""
        weights, surest = chain.weights, chain.surest
        if len(weights) == 1 and self.evidence.is_age(chain.first):
            return 0.0
        if surest < Weight.ONLY and self.at.word(chain.first - 1) in ("قد", "لقد", "لم", "لن", "سوف"):
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
        supported = self.evidence.supported(chain)
        if surest == Weight.ALSO and len(weights) > 1:
            return LONE if supported else 0.5 if chain.givens < len(weights) or self.evidence.starts(chain) else PERHAPS
        return self._lone_score(chain, supported)

    def _lone_score(self, chain: Chain, supported: str) -> float:
        """One ambiguous word."""
        if self._is_adverb(chain.last + 1) and supported != "whose":
            return UNLIKELY
        if chain.surest == Weight.ALSO and supported:
            return LIKELY
        if chain.surest == Weight.WEAK and supported and len(chain.weights) > 1:
            return LIKELY
        if chain.surest <= Weight.WEAK and supported in ("whose", "self", "kin", "told"):
            return LIKELY
        if chain.surest == Weight.WEAK and supported in ("company", "vocative"):
            return LIKELY
        return PERHAPS if chain.surest == Weight.ALSO else UNLIKELY
