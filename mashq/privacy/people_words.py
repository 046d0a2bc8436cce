"""The words that speak for and against a name, with their clitics, and phrases in which a name is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property

from mashq.privacy.lexicon import any_of, data, with_clitics, wordset
from mashq.privacy.page import fold_word

__all__ = ["ABBREVIATIONS", "Lists", "lists", "phrases", "spelt"]

ABBREVIATIONS = frozenset(("د", "ا", "م", "ود", "لد", "بد"))  # titles of a letter: alone it is often something else


@dataclass(frozen=True)
class Lists:
    """The word lists that speak for and against a name."""

    doctor: frozenset[str]
    person: frozenset[str]
    kunya: frozenset[str]
    nasab: frozenset[str]
    introductions: frozenset[str]
    kin: frozenset[str]
    deeds: frozenset[str]
    holy_before: frozenset[str]
    holy_after: frozenset[str]
    diseases: frozenset[str]
    bearers: frozenset[str]
    prayers: frozenset[str]
    adverbs: frozenset[str]
    no_family: frozenset[str]
    common: frozenset[str]
    servants: frozenset[str]
    of_faith: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    specialties: frozenset[str]
    fullness: frozenset[str]
    professions: frozenset[str]
    visits: frozenset[str]
    practices: frozenset[str]
    ages: frozenset[str]
    said: frozenset[str]

    @cached_property
    def doctors_in_full(self) -> frozenset[str]:
        """The titles of a doctor that are words and no letters."""
        return self.doctor - ABBREVIATIONS

    @cached_property
    def compounding(self) -> frozenset[str]:
        """First words of a name of two: عبد, نور."""
        return self.of_faith | {"عبد"}

    @cached_property
    def triggers(self) -> frozenset[str]:
        """Words without a place in the gazetteer at which a name may begin or be announced."""
        servant = with_clitics([fold_word("عبد")], ("و", "ل", "ب", "ف"))
        return self.doctor | self.person | self.kunya | self.introductions | self.kin | servant


@cache
def lists() -> Lists:
    def words(*path: str) -> frozenset[str]:
        return wordset("words", *path)

    wa_fa = ("و", "ف")
    heads = wordset("places", "care", "heads") | wordset("places", "addresses", "roads") - {"ش", "حي"}
    return Lists(
        doctor=with_clitics(words("titles", "doctor"), (*wa_fa, "ل", "ب")),
        person=with_clitics(words("titles", "person"), (*wa_fa, "ل")),
        kunya=with_clitics(words("kunya"), (*wa_fa, "ل")),
        nasab=words("nasab"),
        introductions=with_clitics(words("introductions"), wa_fa),
        kin=with_clitics(_kin(), (*wa_fa, "ل", "ب")),
        deeds=with_clitics(words("deeds"), wa_fa),
        holy_before=with_clitics(words("holy_before"), (*wa_fa, "ل", "ب")),
        holy_after=words("holy_after"),
        diseases=with_clitics(words("diseases"), (*wa_fa, "ل", "ب")),
        bearers=with_clitics(words("institutions") | heads, (*wa_fa, "ل", "ب", "ع", "من")),
        prayers=words("prayers"),
        adverbs=words("adverbs"),
        no_family=words("no_family"),
        common=words("common"),
        servants=frozenset(fold_word(word) for word in data("names")["servants"].split()),
        of_faith=frozenset(fold_word(word) for word in data("names")["of_faith"].split()),
        pairs=frozenset(
            (a, b) for a, _, b in (fold_word(pair).partition("_") for pair in data("names")["pairs"].split())
        ),
        specialties=words("specialties"),
        fullness=words("fullness"),
        professions=words("professions"),
        visits=with_clitics(words("visits"), wa_fa),
        practices=with_clitics(words("practices"), (*wa_fa, "ل", "ب")),
        ages=words("ages"),
        said=with_clitics(words("said"), wa_fa),
    )


def _kin() -> frozenset[str]:
    """The kin of the list, and each stem with a pronoun: نسيبتك، خوه."""
    stems, pronouns = wordset("words", "kin_stems"), wordset("words", "pronouns")
    made = frozenset(stem + pronoun for stem in stems for pronoun in pronouns)
    return wordset("words", "kin") | made - wordset("words", "no_kin")


@cache
def phrases() -> re.Pattern[str]:
    """Fixed phrases in which a name stands for no private person."""
    known = any_of(" ".join(fold_word(phrase) for phrase in data("places")["phrases"].split())).replace("_", r"\s")
    return re.compile(rf"(?<!\w)[وفبلك]?(?:{known})(?!\w)")


@cache
def spelt() -> dict[str, frozenset[str]]:
    """Folded word -> the only spellings in which it is a name: ايه, as آية."""
    written = data("words")["spelt"].split()
    return {fold_word(word): frozenset(one for one in written if fold_word(one) == fold_word(word)) for word in written}
