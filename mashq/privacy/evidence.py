"""What the words around a name say: whether it is a doctor's, nobody's, and whether an ambiguous word is a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mashq.privacy.lexicon import Weight, is_word, wordset
from mashq.privacy.passage import Passage

__all__ = ["Chain", "Evidence"]

REACH = 3  # words between a school's or a disease's head and the name that it bears
_ACTING = re.compile(r"(?:ب|ح|ه|ك)[يت]\w{3,}")  # بتاكل، هيروح، كيدير: present and future of the dialects
_AND_THEN = re.compile(r"[ \t]{0,2}[،,(-]?[ \t]{1,2}")


@dataclass
class Chain:
    """Words of one name: `first` and `last` are numbers of words, `start` is after a clitic."""

    first: int
    last: int
    start: int
    weights: list[Weight]
    givens: int = 0
    guessed: bool = False  # holds a word that no list knows
    kunya: bool = False
    nasab: bool = False  # بن or another between two names

    def __post_init__(self) -> None:
        self.surest = max(self.weights)

    def take(self, last: int, weight: Weight, given: bool) -> None:
        self.last = last
        self.weights.append(weight)
        self.surest = max(self.surest, weight)  # kept, because a text of one long name would ask for it at every word
        self.givens += given


class Evidence:
    """Of one passage; takes chains of its words."""

    def __init__(self, at: Passage):
        self.at = at

    def speaks_of_doctor(self, place: int) -> bool:
        """دكتور التخدير اسمه: whether "his name" is a doctor's."""
        if self.at.word(place) not in ("اسمه", "اسمها", "اسمو"):
            return False
        near = [self.at.word(other) for other in range(max(0, place - 3), place)]
        return any(word in self.at.lists.professions for word in near) and "يا" not in near

    def treats(self, chain: Chain) -> bool:
        """Whether words around a name say that its bearer treats: عيادة فلان، موعد عند فلان، فلان طبيب العيون."""
        if chain.surest < Weight.ALSO:
            return False
        behind = chain.last + 1
        after = self.at.word(behind) if behind < len(self.at.words) and _AND_THEN.fullmatch(self.at.gap(behind)) else ""
        if after in self.at.lists.professions and self.at.word(chain.first - 1) in ("عند", "لعند"):
            return True
        if after in wordset("words", "treating") and len(chain.weights) > 1:
            return True
        if after in self.at.lists.professions and (len(chain.weights) > 1 or not after.startswith("ال")):
            return True
        before = self.at.word(chain.first - 1) if self.at.joined(chain.first) else ""
        if before in self.at.lists.practices and (before != "موعد" or chain.surest == Weight.ONLY):
            return True  # no موعد زايد: a spare appointment
        reach = range(max(0, chain.first - 5), chain.first - 1)
        return before in ("عند", "لعند", "مع") and any(self.at.word(place) in self.at.lists.visits for place in reach)

    def is_scholar(self, chain: Chain) -> bool:
        """كتاب د. طه حسين: whether "doctor" before a name is a degree and no practice."""
        reach = range(max(0, chain.first - 1 - REACH), chain.first)
        before = {self.at.word(place) for place in reach if self.at.near(place + 1)}
        if before & (self.at.lists.visits | self.at.lists.practices):
            return False
        behind = chain.last + 1
        after = self.at.word(behind) if behind < len(self.at.words) and _AND_THEN.fullmatch(self.at.gap(behind)) else ""
        words = [self.at.word(place) for place in range(chain.first, behind)]
        runs = {
            " ".join(words[start:end])
            for start in range(len(words))
            for end in range(start + 1, min(start + 3, len(words)) + 1)
        }
        known = runs & wordset("words", "known_scholars")
        return bool(known or before & wordset("words", "scholars") or after in wordset("words", "after_scholars"))

    def is_public(self, chain: Chain) -> bool:
        """Whether the name is a prophet's, a sura's, a disease's, a school's or a station's."""
        before = self.at.word(chain.first - 1) if self.at.near(chain.first) else ""
        if before in self.at.lists.holy_before:
            return True
        after = chain.last + 1
        if after < len(self.at.words) and self.at.word(after) in self.at.lists.holy_after and self.at.joined(after):
            return True
        if before in wordset("words", "works") and len(chain.weights) > 1 and chain.surest >= Weight.ALSO:
            return False  # أفلام أحمد حلمي: who made them
        further = self.at.word(chain.first - 2) if before and self.at.joined(chain.first) else ""
        if further in self.at.lists.diseases and not is_word(before) and self.at.joined(chain.first - 1):
            return True  # متلازمة ستيفنز جونسون
        return before in self.at.lists.diseases or self.borne(chain.first)

    def borne(self, place: int) -> bool:
        """Whether a head such as جامعة or شارع stands before, with nothing but titles between."""
        for step in range(1, REACH + 1):
            if not self.at.near(place - step + 1):
                return False
            word = self.at.word(place - step)
            if word in self.at.lists.bearers:
                return True
            if word not in self.at.lists.person and word not in ("الشهيد", "الامام"):
                return False
        return False

    def is_age(self, place: int) -> bool:
        """عمرو شهرين، عمر ٣ سنوات: how old, and no name."""
        if not self.at.word(place).lstrip("و").startswith("عمر"):
            return False
        after = self.at.word(place + 1)
        return after.isdigit() or after in self.at.lists.ages

    def starts(self, chain: Chain) -> bool:
        return self.at.starts_at(chain.first)

    def after_name(self, place: int) -> bool:
        """سارة ومنى: whether the word before is a sure name."""
        entry = self.at.entry(place - 1) if place and self.at.joined(place) else None
        return entry is not None and entry.weight == Weight.ONLY

    def is_after_kin(self, place: int) -> bool:
        """أختي سارة، أخي الأصغر أنس، ابن الجيران سيف: whether kin stands right before, perhaps with its age."""
        if not self.at.joined(place):
            return False
        before = self.at.word(place - 1)
        if before == "ابي" and self.at.original(place - 1) != "أبي":
            return False  # I want
        if before in self.at.lists.kin:
            return True
        if not self.at.joined(place - 1):
            return False
        further = self.at.word(place - 2)
        aged = before in wordset("words", "ages_of_kin") and further in self.at.lists.kin
        return aged or (before in wordset("words", "neighbours") and further in wordset("words", "of_neighbours"))

    def is_told(self, place: int, last: int) -> bool:
        """قالت صباح، صباح راحت: whether a word that is hardly a name says, or is said to do, what only people do."""
        word = self.at.word(place)
        if word in wordset("words", "states"):
            return False
        before = self.at.word(place - 1) if self.at.joined(place) else ""
        after = self.at.word(last + 1) if self.at.joined(last + 1) else ""
        if word == after == "علي" and self.at.original(place).endswith("ي") and self._opens(place):
            return True  # علي على السرير
        if before in self.at.lists.said:
            entry = self.at.entry(place)
            rare = word == "علي" or entry is None or entry.weight == Weight.RARE
            return not rare or after.startswith("ان")  # no قالي علي الدوا (about it), no قالتلي روح
        return word not in self.at.lists.common and after in wordset("words", "only_people") and self._opens(place)

    def _opens(self, place: int) -> bool:
        """Whether a clause begins at a word: nothing before it, or a word such as "yesterday" and "that"."""
        return self.at.starts_at(place) or self.at.word(place - 1) in wordset("words", "openers")

    def supported(self, chain: Chain) -> str:
        """What speaks for an ambiguous word.

        "company" of a name, "vocative", "kin" before it, "whose" kin after it, "self" (انا), "told" (what only people
        do or say), "deed" before or after it, or "".
        """
        before = self.at.word(chain.first - 1) if self.at.joined(chain.first) else ""
        after = self.at.word(chain.last + 1) if self.at.joined(chain.last + 1) else ""
        entry_clitic = self.at.words[chain.first].start != chain.start
        if entry_clitic:
            return self._in_company(chain, before, after)
        if before == "يا":
            return "" if self.at.word(chain.first) in self.at.lists.prayers else "vocative"
        if self.is_after_kin(chain.first):
            return "" if self._is_praised(chain, after) else "kin"
        if after in wordset("words", "whose") and self.at.word(chain.last + 2) in self.at.lists.kin:
            return "whose"  # وسيم ابن عمتي
        if after in wordset("words", "whose") and self._is_sure(chain.last + 2):
            return "whose"  # صفاء مرات حسين
        if after in self.at.lists.kin:
            return "whose" if self.starts(chain) else "company"
        if before in wordset("words", "selves"):
            return self._of_self(chain, after)
        if self.is_told(chain.first, chain.last):
            return "told"
        if chain.first == 0 and after in wordset("words", "requests"):
            return "self"
        return "deed" if self._does(chain, before, after) else ""

    def _is_praised(self, chain: Chain, after: str) -> bool:
        """ابنتي جميلة وذكية، زوجي كريم معي: an adjective after kin, and no name."""
        if len(chain.weights) > 1 or self.at.word(chain.first) not in wordset("words", "feelings"):
            return False
        return after in wordset("words", "after_praise") or (after.startswith("و") and is_word(after))

    def _is_sure(self, place: int) -> bool:
        entry = self.at.entry(place) if self.at.joined(place) else None
        return entry is not None and entry.weight == Weight.ONLY and not entry.clitic

    def _in_company(self, chain: Chain, before: str, after: str) -> str:
        """Of a word with a particle before it."""
        if self.at.word(chain.first).startswith("و") and self.after_name(chain.first):
            return "company"
        if after in self.at.lists.kin and not self.starts(chain):
            return "company"
        return "deed" if before in self.at.lists.deeds else ""

    def _of_self(self, chain: Chain, after: str) -> str:
        """انا سعيد من طنطا and انا سعيد بالنتيجة: a name, and how one feels."""
        if after in wordset("words", "of_myself"):
            return "self"
        if len(chain.weights) == 1 and self.at.word(chain.first) in wordset("words", "feelings"):
            return "" if after else "deed"
        return "deed"

    def _does(self, chain: Chain, before: str, after: str) -> bool:
        """A verb before or after: after it only where a clause begins (هدى بتاكل)."""
        if before in self.at.lists.deeds:
            return True
        return self._opens(chain.first) and (after in self.at.lists.deeds or _ACTING.fullmatch(after) is not None)
