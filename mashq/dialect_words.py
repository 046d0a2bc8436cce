"""The word lists of dialect normalisation: how they are read, and how they become one table of words for a variety.

An entry of `data/dialect/<variety>.yaml` is one dialect word:

* `forms`: the spellings that are replaced; a bare alef that begins a form stands for ا, أ and إ, unless `=` stands
  before it,
* `spelling`: the convention that they are brought to; `function_words` or `towards_msa`: the word of the standard that
  stands for it from that strength on,
* `gloss` in English, and an `example`: `{before|spelling|standard}` stands for the word before and after,
* `clitics`: what may be attached before it, `و ف` where nothing is said; `noun` for و ف ب ل ك with and without ال,
  `the` for those with ال alone, `none`,
* `after`, `before`, `not_after`, `not_before`: the neighbour that the standard word needs (where there is none: that
  the spelling needs) or must not have. A star stands for any letters, `$name` for a class of `classes.yaml`, `|` for no
  neighbour: the edge of the text, punctuation, or what is protected,
* `of`: the finer varieties that it belongs to; `named_only`: it is used only when its variety is named, because it is
  a word of the standard or of another variety too.

A target that ends with `_` is joined to the word behind it.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from typing import Any

from mashq import arabic
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got

__all__ = ["CONTEXTS", "FILES", "STRENGTHS", "Entry", "Rule", "Table", "data_hash", "entries", "key_of", "table"]

STRENGTHS = ("spelling", "function_words", "towards_msa")
FILES = ("egyptian", "gulf", "levantine", "iraqi", "maghrebi")  # one file each; what all share stands in common.yaml
FINER = {"moroccan": "maghrebi", "algerian": "maghrebi", "tunisian": "maghrebi"}
CONTEXTS = ("after", "before", "not_after", "not_before")
FIELDS = {"forms", *STRENGTHS, "gloss", "example", "clitics", *CONTEXTS, "of", "named_only"}
GLUE = "_"
DATA = files("mashq").joinpath("data/dialect")

_MARKS = re.compile(f"[{arabic.TASHKEEL}{arabic.TATWEEL}{arabic.ZERO_WIDTH}{arabic.BIDI}]")
ALEFS = (arabic.ALEF, "\N{ARABIC LETTER ALEF WITH HAMZA ABOVE}", "\N{ARABIC LETTER ALEF WITH HAMZA BELOW}")
_HAMZA_OFF = str.maketrans(dict.fromkeys((*ALEFS, "\N{ARABIC LETTER ALEF WITH MADDA ABOVE}"), arabic.ALEF))
_THE = ("ال", "بال", "كال", "فال", "لل", "عال")
_BARE = ("", "ب", "ل", "ك")
CLITICS = {
    "none": ("",),
    "noun": tuple(conj + rest for conj, rest in product(("", "و", "ف"), (*_BARE, *_THE[:3], "لل"))),
    "the": tuple(conj + rest for conj, rest in product(("", "و", "ف"), (*_THE[:3], "لل"))),
}


def key_of(word: str) -> str:
    """A word as the lists know it: without marks of vowels, tatweel and invisible marks; every letter is kept."""
    return _MARKS.sub("", word)


def plain(word: str) -> str:
    """A neighbour as contexts compare it: `key_of`, with one alef."""
    return key_of(word).translate(_HAMZA_OFF)


# --- entries ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One dialect word as its list has it; see the module for the fields."""

    variety: str  # the list: common, or one of `FILES`
    place: int  # its number in the list, from 1
    forms: tuple[str, ...]
    targets: Mapping[str, str]  # strength -> target
    gloss: str
    example: str
    clitics: tuple[str, ...]
    contexts: Mapping[str, tuple[str, ...]]
    of: tuple[str, ...]
    named_only: bool

    @property
    def name(self) -> str:
        """What an edit calls its rule, `egyptian/كده`."""
        return f"{self.variety}/{self.targets.get('spelling') or self.forms[0]}"

    def sentence(self, strength: str | None) -> str:
        """The example as it stands at a strength; before any with None."""

        def choose(match: re.Match[str]) -> str:
            ways = match[1].split("|")
            if strength is None:
                return ways[0]
            return ways[1] if strength == "spelling" and "spelling" in self.targets else ways[-1]

        return re.sub(r"\{([^}]*)\}", choose, self.example)


def _entry(variety: str, place: int, given: Mapping[str, Any]) -> Entry:
    where = f"data/dialect/{variety}.yaml: entry {place}"
    for name in given:
        if name not in FIELDS:
            raise MashqError(expected_got(where, f"fields of {', '.join(sorted(FIELDS))}", f"'{name}'"))
    targets = {strength: given[strength] for strength in STRENGTHS if strength in given}
    if not targets or not given.get("example") or not given.get("gloss"):
        raise MashqError(expected_got(where, "a target, a gloss and an example", str(dict(given))))
    spellings = tuple(form.strip() for form in given.get("forms", "").split("،") if form.strip())
    clitics = given.get("clitics", "و ف")
    contexts = {name: tuple(given[name].split()) for name in CONTEXTS if name in given}
    return Entry(
        variety,
        place,
        spellings,
        targets,
        given["gloss"],
        given["example"],
        CLITICS.get(clitics) or ("", *clitics.split()),
        contexts,
        tuple(given.get("of", "").split()),
        bool(given.get("named_only", False)),
    )


@functools.cache
def entries(variety: str) -> tuple[Entry, ...]:
    """The entries of one list, in order: `common` or one of `FILES`. Raises MashqError where one is ill-formed."""
    return tuple(_entry(variety, place, given) for place, given in enumerate(parsed(f"dialect/{variety}"), start=1))


@functools.cache
def data_hash() -> str:
    """What all lists hold, as 16 hexadecimal digits: part of the identity of a normaliser."""
    names = sorted(file.name for file in DATA.iterdir() if file.name.endswith(".yaml"))
    whole = hashlib.blake2b(digest_size=8)
    for name in names:
        whole.update(name.encode() + b"\0" + DATA.joinpath(name).read_bytes() + b"\0")
    return whole.hexdigest()


# --- contexts --------------------------------------------------------------------------------------------------------


@functools.cache
def _classes() -> dict[str, tuple[str, ...]]:
    return {name: tuple(words.split()) for name, words in parsed("dialect/classes").items()}


def _alternatives(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        if pattern == "$verb":
            yield _verb_pattern()
        elif pattern == "|":
            yield ""  # no neighbour
        elif pattern.startswith("$"):
            yield from _alternatives(_classes()[pattern[1:]])
        else:
            yield re.escape(plain(pattern)).replace(r"\*", r"\w+")


@functools.cache
def _neighbour(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(_alternatives(patterns)) + ")")


@dataclass(frozen=True)
class Rule:
    """One word or phrase -> its target, where the neighbours fit."""

    target: str
    name: str
    strength: str
    contexts: tuple[tuple[str, re.Pattern[str]], ...] = ()

    def fits(self, before: str, after: str) -> bool:
        """Whether the words before and behind (`plain`, empty where there is none) are those that the rule needs."""
        for name, pattern in self.contexts:
            word = before if name.endswith("after") else after  # it stands after `before`
            if bool(pattern.fullmatch(word)) == name.startswith("not_"):
                return False
        return True


def _contexts(given: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, _neighbour(patterns)) for name, patterns in given.items())


# --- verbs -----------------------------------------------------------------------------------------------------------


@functools.cache
def _verbs() -> dict[str, Any]:
    loaded: dict[str, Any] = parsed("dialect/verbs")
    return loaded


def _stem(written: str) -> tuple[str, str]:
    """`مشي/مش` -> the stem of the imperfect alone, and before the ending of the plural."""
    one, _, many = written.partition("/")
    return one, many or one


@functools.cache
def _verb_pattern() -> str:
    """An imperfect of a known verb with its person, after the particle that it may carry."""
    stems = {stem for word in _verbs()["shared"].split() for stem in _stem(word)}
    stems |= {stem for pairs in _verbs()["own"].values() for word in pairs for stem in _stem(word)}
    known = "|".join(sorted((plain(stem) for stem in stems), key=len, reverse=True))
    return rf"[بكهحد]?[اتين](?:{known})(?:وا?|ون|ين?)?(?:ني|نا|ك|كم|ه|ها|هم|لي|لك|له|لها|لهم)?"


@dataclass(frozen=True)
class _Person:
    """A person of the imperfect: what it begins and ends with in the dialect, and in the standard."""

    prefix: str
    suffixes: tuple[str, ...]
    standard: str
    ending: str  # of the standard, where nothing governs the verb


_EASTERN = (
    _Person("ي", ("",), "ي", ""),
    _Person("ت", ("",), "ت", ""),
    _Person("ن", ("",), "ن", ""),
    _Person("ي", ("وا", "و", "ون"), "ي", "ون"),
    _Person("ت", ("وا", "و", "ون"), "ت", "ون"),
)
_FIRST = _Person("", ("",), "أ", "")  # هكتب; beside it with an alef, هاكتب
# In the Maghreb n- alone is I, and n- with the plural ending is we.
_WESTERN = (
    _Person("ي", ("",), "ي", ""),
    _Person("ت", ("",), "ت", ""),
    _Person("ن", ("",), "أ", ""),
    _Person("ن", ("وا", "و"), "ن", ""),
    _Person("ي", ("وا", "و"), "ي", "ون"),
    _Person("ت", ("وا", "و"), "ت", "ون"),
)


def _persons(variety: str) -> tuple[_Person, ...]:
    return _WESTERN if variety == "maghrebi" else _EASTERN


def _conjugated(variety: str, own: str, standard: str) -> Iterator[tuple[_Person, str, str, str]]:
    """(person, dialect form, form of the standard, its form after لن) of a verb, without particles."""
    (one, many), (new_one, new_many) = _stem(own), _stem(standard)
    for person in _persons(variety):
        plural = person.suffixes != ("",)
        for suffix in person.suffixes:
            new = new_many if person.ending else new_one
            whole = person.standard + new + person.ending
            governed = person.standard + new + ("وا" if person.ending else "")
            yield person, person.prefix + (many if plural else one) + suffix, whole, governed


def _verb_rules(variety: str, strength: str) -> Iterator[tuple[str, Rule]]:
    """Imperfects with a particle or a negation -> the standard; the dialect's own verbs from `towards_msa` on."""
    pairs = [(word, word, "function_words") for word in _verbs()["shared"].split()]
    if strength == "towards_msa":
        pairs += [(own, new, "towards_msa") for own, new in _verbs()["own"].get(variety, {}).items()]
    particles: dict[str, str] = _verbs()["particles"][variety]
    negations: list[str] = _verbs()["negations"].get(variety, [])
    for own, new, level in pairs:
        name = f"{variety}/verb {_stem(own)[0]}"
        for person, form, whole, governed in _conjugated(variety, own, new):
            yield from _with_particles(particles, person, form, whole, Rule("", name, level))
            if level == "towards_msa" and person.prefix in ("ي", "ت") and not person.ending:
                yield form, Rule(whole, name, level)
            if variety == "egyptian":
                for future in ("ه", "ح"):
                    yield f"مش {future}{form}", Rule(f"لن {governed}", name, level)
            if person.prefix != "ت":
                # ت- may be a prohibition, which the standard writes otherwise (لا تخف); the others are certain.
                for negation, between in product(negations, ("", *particles.get("negated", ""))):
                    closed = form.removesuffix("ا") if form.endswith("وا") else form
                    yield f"{negation}{between}{closed}ش", Rule(f"لا {whole}", name, level)
        for future in _verbs()["first"].get(variety, []):
            one, new_one = _stem(own)[0], _stem(new)[0]
            for alef in ("", *ALEFS[:2]):
                yield f"{future}{alef}{one}", Rule(f"سأ{new_one}", name, level)
                yield f"مش {future}{alef}{one}", Rule(f"لن أ{new_one}", name, level)


def _with_particles(
    particles: Mapping[str, str], person: _Person, form: str, whole: str, rule: Rule
) -> Iterator[tuple[str, Rule]]:
    for particle, standard in particles.items():
        if particle != "negated":
            yield f"{particle}{form}", Rule(f"{standard}{whole}", rule.name, rule.strength)


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Words and phrases, in the spelling of `key_of`, with the rules that they may follow, in order."""

    words: Mapping[str, tuple[Rule, ...]]
    phrases: Mapping[tuple[str, ...], tuple[Rule, ...]]
    lengths: Mapping[str, tuple[int, ...]]  # first word -> lengths of the phrases that begin with it, longest first
    keys: frozenset[str]  # the words at which anything can begin


def _alef_forms(word: str) -> tuple[str, ...]:
    return tuple(alef + word[1:] for alef in ALEFS) if word.startswith(arabic.ALEF) else (word,)


def _spellings(written: str) -> tuple[str, ...]:
    """What a form of a list stands for: `=` before it says that its alef is meant as it is."""
    return (written[1:],) if written.startswith("=") else _alef_forms(written)


def _rules_of(entry: Entry, strength: str) -> Iterator[tuple[str, Rule]]:
    """Every surface of an entry with its rule; a surface may come twice, the one with a context first."""
    level = STRENGTHS.index(strength)
    usable = [name for name in STRENGTHS[: level + 1] if name in entry.targets]
    spelt = entry.targets.get("spelling")
    contexts = _contexts(entry.contexts)
    surfaces = {form: None for written in entry.forms for form in _spellings(written)}
    if spelt is not None and len(entry.targets) > 1:
        surfaces |= {spelt: None}
    for name in reversed(usable):
        held = contexts if name != "spelling" or len(entry.targets) == 1 else ()
        for form, clitic in product(surfaces, entry.clitics):
            target = entry.targets[name]
            if key_of(form) != target:
                yield clitic + form, Rule(clitic + target, entry.name, name, held)


def _belongs(entry: Entry, variety: str | None) -> bool:
    if variety is None:
        return not entry.named_only
    return not entry.of or variety in entry.of or (variety == "maghrebi" and not entry.named_only)


@functools.lru_cache(maxsize=64)
def _listed(name: str, variety: str | None, strength: str) -> dict[str, tuple[Rule, ...]]:
    """One list at a strength: surface -> rules, those with a context before the one without."""
    found: dict[str, list[Rule]] = {}
    for entry in entries(name):
        if _belongs(entry, variety):
            for surface, rule in _rules_of(entry, strength):
                found.setdefault(surface, []).append(rule)
    if name != "common" and strength != "spelling" and (variety is not None or name in _verbs()["unnamed"]):
        never = frozenset(_verbs()["never"].split())
        for surface, rule in _verb_rules(name, strength):
            if surface not in found and surface not in never:
                found[surface] = [rule]
                found.setdefault("و" + surface, [Rule("و" + rule.target, rule.name, rule.strength)])
    return {surface: _ordered(rules) for surface, rules in found.items()}


def _ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules with a context first, of the others the strongest alone."""
    held = [rule for rule in rules if rule.contexts]
    free = sorted((rule for rule in rules if not rule.contexts), key=lambda rule: -STRENGTHS.index(rule.strength))
    return (*held, *free[:1])


def _meaning(rules: tuple[Rule, ...]) -> list[tuple[str, object]]:
    return [(rule.target, rule.contexts) for rule in rules]


def _agreed(strength: str) -> dict[str, tuple[Rule, ...]]:
    """The rules of all lists that no other list contradicts: a word that two lists change differently is left."""
    whole = dict(_listed("common", None, strength))
    every = {name: _listed(name, name, strength) for name in FILES}
    # What a named variety leaves as it is contradicts, too: a spelling that is the convention of another variety.
    kept = {spelt: e.variety for name in FILES for e in entries(name) if (spelt := e.targets.get("spelling"))}
    for name in FILES:
        for surface, rules in _listed(name, None, strength).items():
            others = [every[other][surface] for other in FILES if other != name and surface in every[other]]
            conventional = kept.get(surface, name) != name and surface not in every[kept[surface]]
            if not conventional and all(_meaning(other) == _meaning(rules) for other in others):
                whole.setdefault(surface, rules)
    return whole


@functools.lru_cache(maxsize=64)
def table(variety: str | None, strength: str, protect: tuple[str, ...] = ()) -> Table:
    """The table of a variety at a strength; without a variety that of all, where none contradicts another.

    No surface that is a protected word, or a phrase with one, is in it.
    """
    if variety is None:
        rules = _agreed(strength)
    else:
        rules = dict(_listed("common", variety, strength))
        for surface, found in _listed(FINER.get(variety, variety), variety, strength).items():
            free = any(not rule.contexts for rule in found)
            rules[surface] = found if free else (*found, *rules.get(surface, ()))
    guarded = _guarded(protect)
    singles: dict[str, tuple[Rule, ...]] = {}
    phrases: dict[tuple[str, ...], tuple[Rule, ...]] = {}
    lengths: dict[str, set[int]] = {}
    for surface, found in rules.items():
        words = tuple(key_of(surface).split())
        if not words or not guarded.isdisjoint(words):
            continue
        if len(words) == 1:
            singles[words[0]] = found
        else:
            phrases[words] = found
            lengths.setdefault(words[0], set()).add(len(words))
    longest = {word: tuple(sorted(sizes, reverse=True)) for word, sizes in lengths.items()}
    return Table(singles, phrases, longest, frozenset(singles) | frozenset(longest))


@functools.lru_cache(maxsize=16)
def _guarded(protect: tuple[str, ...]) -> frozenset[str]:
    """Protected single words with the clitics of a noun, and every spelling of their first alef."""
    words = {form for term in protected(protect) if len(term) == 1 for form in _alef_forms(term[0])}
    return frozenset(clitic + word for word, clitic in product(words, CLITICS["noun"]))


@functools.lru_cache(maxsize=16)
def protected(own: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """The protected terms, ours and the user's own, as tuples of words in the spelling of `key_of`."""
    terms = [term for group in parsed("dialect/protected").values() for term in group.split("،")]
    return tuple(dict.fromkeys(tuple(key_of(term).split()) for term in [*terms, *own] if key_of(term).strip()))
