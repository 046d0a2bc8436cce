"""Replies changed on purpose, each in one named way, to see what a judge does: the probes of the judge card.

A probe is a trial: a case as it is and the same case changed, and by how much. Changes are made by rule and depend on
the text and the seed alone. One that does not apply says why (no name that stands twice, fewer than three sentences),
and the card counts these reasons. Texts and rules that a linguist edits stand in `mashq/data/judge/`.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

import regex

from mashq.arabic import (
    ALEF,
    ALEF_MAKSURA,
    ALEF_SEATS,
    HA,
    TA_MARBUTA,
    TASHKEEL,
    TATWEEL,
    YA,
    normalise,
    word_spans,
    words,
)
from mashq.corruptions import corrupted
from mashq.judge.asking import Case
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest
from mashq.sentences import sentences

__all__ = [
    "DEFECTS",
    "HARMLESS",
    "LEAST_TEXTS",
    "SPELLINGS",
    "Parallel",
    "Trial",
    "Trials",
    "asked_variety",
    "case_groups",
    "doublings",
    "packaged_parallel",
    "packaged_vocalised",
    "target",
    "trials_of",
    "twins",
    "untouched",
]

LEAST_TEXTS = 12  # given cases to which a change applies; with fewer, the packaged texts are changed too
STANDARD = "msa"  # what dialects are held against, and what a case without a variety is taken for
LEAST_DOUBLINGS = 0.5  # of the length by padding; packaged filler cannot stretch a longer reply
MOST_FILLER = 8  # filler sentences in one reply: more would be a defect of its own
MOST_TRIED = 20  # sentences of a reply that are tried for one that can be denied
LEAST_MARKS = 1.0  # a word, of a reply that counts as vocalised
TATWEEL_EVERY = 3  # one word in so many is stretched

Parallel = Mapping[str, Case]  # the same content by variety, each case asked for in its own variety
Change = Callable[[Case, Random], "str | None"]  # a changed reply; None where the change does not apply


@dataclass(frozen=True)
class Trial:
    """One case before and after one change."""

    probe: str  # length | dialect | spelling | defects | harmless
    kind: str  # which change: a name of `DEFECTS`, `SPELLINGS`, `HARMLESS`, a variety, or "padded"
    group: str  # the cluster
    before: Case
    after: Case
    amount: float = 1.0  # doublings of the length in words, for "padded"


@dataclass
class Trials:
    """What can be tried, and why the rest cannot: `left_out["defects/wrong_name"]` counts cases by reason."""

    made: list[Trial] = field(default_factory=list)
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)

    def of(self, probe: str, kind: str = "") -> list[Trial]:
        """The trials of a probe, or of one kind of it."""
        return [trial for trial in self.made if trial.probe == probe and kind in ("", trial.kind)]


# --- what is packaged ------------------------------------------------------------------------------------------------


def packaged_parallel() -> list[Parallel]:
    """Each of 24 short texts in Standard, Egyptian and Moroccan Arabic, each asked for in its own variety."""
    data = parsed("judge/parallel")
    return [
        {
            variety: Case(ask.replace("{topic}", text["topic"]), text[variety], variety)
            for variety, ask in data["ask"].items()
        }
        for text in data["texts"]
    ]


def packaged_vocalised() -> list[Case]:
    """12 short texts in Standard Arabic with every mark written."""
    data = parsed("judge/parallel")["vocalised"]
    return [Case(data["ask"].replace("{topic}", text["topic"]), text["text"], STANDARD) for text in data["texts"]]


@functools.cache
def _packaged_texts() -> dict[str, Mapping[str, str]]:
    """Packaged standard reply -> the same in the other varieties, and a sentence that denies it."""
    return {text[STANDARD]: text for text in parsed("judge/parallel")["texts"]}


def target(defect: str, criteria: Sequence[str]) -> str | None:
    """The criterion of these that this defect should lower; None where none of them is about it."""
    return next((name for name in parsed("judge/probes")["defects"][defect]["falls"] if name in criteria), None)


def untouched(defect: str, criteria: Sequence[str]) -> tuple[str, ...]:
    """The criteria that this defect has nothing to do with: where they move, it is halo."""
    rule = parsed("judge/probes")["defects"][defect]
    return tuple(name for name in criteria if name not in rule["may"] and name != target(defect, criteria))


def asked_variety(case: Case) -> str:
    """The variety a case asks for; Standard Arabic where it names none."""
    return case.variety or STANDARD


# --- sentences and words ---------------------------------------------------------------------------------------------

_ENDED = regex.compile(r"[.!?؟…][\"'”»)\]\s]*$")


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _stripped(text: str) -> list[str]:
    return [sentence.strip() for sentence in sentences(text) if _has_words(sentence)]


def _closed(sentence: str) -> str:
    return sentence if _ENDED.search(sentence) else f"{sentence}."


def _fold(word: str) -> str:
    return normalise(word, ("tashkeel", "tatweel"))


# --- planted defects -------------------------------------------------------------------------------------------------

_PREFIXES = ("", "و", "ف", "ل", "ب")  # written together with a name


@functools.cache
def _names() -> dict[str, tuple[str, tuple[str, ...]]]:
    """A name with or without a prefix -> (the prefix, the row of names it is from)."""
    rows: list[list[str]] = parsed("judge/probes")["names"]
    known = {name for row in rows for name in row}
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for row in rows:
        for name in row:
            for prefix in _PREFIXES:
                if not prefix or prefix + name not in known:
                    found.setdefault(prefix + name, (prefix, tuple(row)))
    return found


def _wrong_name(case: Case, random: Random) -> str | None:
    """The middle one of a name's places gets another name of the same row, which the reply does not have."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for start, end in word_spans(case.reply):
        word = _fold(case.reply[start:end])
        if word in _names():
            spans.setdefault(word[len(_names()[word][0]) :], []).append((start, end))
    name = max(spans, key=lambda known: len(spans[known]), default=None)
    if name is None or len(spans[name]) < 2:
        return None
    start, end = spans[name][len(spans[name]) // 2]
    prefix, row = _names()[_fold(case.reply[start:end])]
    others = [known for known in row if known not in spans and known not in case.prompt]
    return case.reply[:start] + prefix + random.choice(others) + case.reply[end:] if others else None


def _contradiction(case: Case, random: Random) -> str | None:
    """A sentence of the reply denied, at its end; for packaged texts a denial written by hand."""
    if case.reply in _packaged_texts():
        return f"{case.reply} {_packaged_texts()[case.reply]['contradiction']}"
    if asked_variety(case) != STANDARD:
        return None  # negation is made by rules of Standard Arabic
    said = [sentence for sentence in _stripped(case.reply) if len(words(sentence)) >= 4]
    random.shuffle(said)
    for sentence in said[:MOST_TRIED]:
        denied = corrupted([("", sentence)], ["negation"])["negation"][0]
        if denied is not None:
            return f"{_closed(case.reply.rstrip())} {_closed(denied)}"
    return None


def _wrong_variety(case: Case, random: Random) -> str | None:
    """Words of Egyptian or Moroccan Arabic in a standard reply, at least two; a packaged reply wholly in a dialect."""
    if case.reply in _packaged_texts():
        return _packaged_texts()[case.reply][random.choice(("egyptian", "moroccan"))]
    if case.variety != STANDARD:
        return None  # the rules go from Standard Arabic only, and it must have been asked for
    return corrupted([("", case.reply)], ["wrong_variety"], seed=random.randrange(2**32))["wrong_variety"][0]


def _code_switch(case: Case, random: Random) -> str | None:
    said = _stripped(case.reply)
    if not said:
        return None
    said.insert((len(said) + 1) // 2, random.choice(parsed("judge/probes")["english"]))
    return " ".join(said)


def _truncation(case: Case, random: Random) -> str | None:
    """Cut inside the sentence in which six words in ten have been read, after a word that does not end it."""
    spans = word_spans(case.reply)
    for last in range(int(0.6 * len(spans)), len(spans) - 1):
        between = case.reply[spans[last][1] : spans[last + 1][0]]
        if last >= 2 and not between.strip():
            return case.reply[: spans[last][1]]
    return None


def _shuffled(case: Case, random: Random) -> str | None:
    said = _stripped(case.reply)
    if len(set(said)) < 3:
        return None
    mixed = said.copy()
    while mixed == said or mixed[0] == said[0]:  # the first sentence leads in: it must not stay
        random.shuffle(mixed)
    return " ".join(map(_closed, mixed))


def _repeated(case: Case, random: Random) -> str | None:
    said = _stripped(case.reply)
    if len(said) < 2:
        return None
    middle = (len(said) - 1) // 2
    again = _closed(said[middle])
    return " ".join([*said[:middle], again, again, *said[middle + 1 :]])


DEFECTS: dict[str, tuple[Change, str]] = {  # how it is made, and why not where it is not
    "wrong_name": (_wrong_name, "no known first name stands in it twice"),
    "contradiction": (_contradiction, "no sentence that the rules can deny"),
    "wrong_variety": (_wrong_variety, "Standard Arabic was not asked for, or fewer than two words have a dialect form"),
    "standard_reply": (lambda case, random: None, "no parallel text"),  # needs texts in two varieties
    "code_switch": (_code_switch, "no sentence"),
    "truncation": (_truncation, "too few words"),
    "shuffled": (_shuffled, "fewer than three sentences"),
    "repeated": (_repeated, "fewer than two sentences"),
    "other_prompt": (lambda case, random: None, "no other prompt in its variety"),  # needs the other cases
}


# --- changes that say the same ---------------------------------------------------------------------------------------

_JOINS_ON = "بتثجحخسشصضطظعغفقكلمنهيئ"  # letters that join to the next one
_ALEFS = str.maketrans(dict.fromkeys(ALEF_SEATS, ALEF))
_LAST = regex.compile(rf"(?P<letter>[{TA_MARBUTA}{YA}])(?=[{TASHKEEL}]*(?![\p{{L}}\p{{M}}]))")


def _unmarked(case: Case, random: Random) -> str | None:
    """The marks removed where a reply is vocalised; none are invented. A tanwin here and there does not make it so."""
    bare = normalise(case.reply, ("tashkeel",))
    return bare if len(case.reply) - len(bare) >= LEAST_MARKS * len(words(bare)) else None


def _stretched(case: Case, random: Random) -> str | None:
    """A tatweel after the first joining letter of every third word, not before an alef (lam-alef would break)."""
    made, at = [], 0
    for number, (start, end) in enumerate(word_spans(case.reply)):
        if number % TATWEEL_EVERY:
            continue
        for place in range(start, end - 1):
            if case.reply[place] in _JOINS_ON and case.reply[place + 1] in _JOINS_ON + "دذرزو":
                made += [case.reply[at : place + 1], TATWEEL]
                at = place + 1
                break
    return "".join([*made, case.reply[at:]])


def _bare_alefs(case: Case, random: Random) -> str | None:
    return case.reply.translate(_ALEFS)


def _loose_endings(case: Case, random: Random) -> str | None:
    """Final ya written as alef maksura and ta marbuta as ha: the commonest slips at a word's end."""
    swap = {TA_MARBUTA: HA, YA: ALEF_MAKSURA}
    return _LAST.sub(lambda match: swap[match["letter"]], case.reply)


def _lines(case: Case, random: Random) -> str | None:
    return "\n".join(_stripped(case.reply))


SPELLINGS: dict[str, tuple[Change, str]] = {
    "unmarked": (_unmarked, "not vocalised"),
    "tatweel": (_stretched, "no word that can be stretched"),
    "alef": (_bare_alefs, "no alef with a hamza"),
    "endings": (_loose_endings, "no final ya or ta marbuta"),
}
HARMLESS: dict[str, tuple[Change, str]] = {  # what no criterion should be lowered for
    "again": (lambda case, random: case.reply, ""),  # the same text, asked once more
    "lines": (_lines, "fewer than two sentences"),
    "tatweel": (_stretched, "no word that can be stretched"),
}


def _padded(case: Case, random: Random) -> str | None:
    """Filler of the reply's own variety after it, until it is about twice as long; no sentence twice."""
    filler = list(parsed("judge/probes")["padding"].get(asked_variety(case), ()))
    random.shuffle(filler)
    wanted, added = len(words(case.reply)), 0
    taken: list[str] = []
    for sentence in filler[:MOST_FILLER]:
        if added >= wanted:
            break
        taken.append(sentence)
        added += len(words(sentence))
    return " ".join([_closed(case.reply.rstrip()), *taken]) if taken else None


def doublings(before: str, after: str) -> float:
    """How many times the number of words was doubled, below 0 where it fell; 0.0 where one of the two has no word."""
    least, most = len(words(before)), len(words(after))
    return math.log2(most / least) if least and most else 0.0


# --- trials ----------------------------------------------------------------------------------------------------------


def case_groups(cases: Sequence[Case], groups: Sequence[str | None] | None) -> list[str]:
    """A cluster for each case: the group given, else the prompt, so that replies to one prompt stay together.

    Raises MashqError when the lengths differ.
    """
    if groups is not None and len(groups) != len(cases):
        raise MashqError(expected_got("judge card: groups", f"{len(cases)}, one per case", str(len(groups))))
    given = groups if groups is not None else [None] * len(cases)
    return [
        f"group {group}" if group is not None else f"prompt {case.prompt}"
        for case, group in zip(cases, given, strict=True)
    ]


def _random(seed: int, *parts: str) -> Random:
    """A generator of this text's and this change's own; NUL keeps the parts apart."""
    data = "\0".join([str(seed), *parts]).encode("utf-8", "replace")
    return Random(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()))


def trials_of(
    cases: Sequence[Case],
    groups: Sequence[str],
    *,
    probes: Sequence[str],
    criteria: Sequence[str],
    parallel: Sequence[Parallel] = (),
    seed: int = 0,
) -> Trials:
    """Every trial of these probes: of the given cases, and of packaged texts where fewer than 12 given ones do.

    `parallel` are the caller's own sets of the same content in several varieties, beside the packaged ones. A defect
    that no criterion of the rubric is about is left out, with that reason. Raises MashqError for an unknown probe.
    """
    found = Trials()
    plan: dict[str, Callable[[], None]] = {
        "length": lambda: _add(found, "length", {"padded": (_padded, "")}, cases, groups, seed),
        "dialect": lambda: _add_dialects(found, parallel),
        "spelling": lambda: _add(found, "spelling", SPELLINGS, cases, groups, seed),
        "defects": lambda: _add_defects(found, cases, groups, criteria, parallel, seed),
    }
    for probe in probes:
        if probe not in plan:
            raise MashqError(f"judge card: probe '{probe}': there is none ({', '.join(plan)}).{nearest(probe, plan)}")
        plan[probe]()
    return found


def _add(
    found: Trials,
    probe: str,
    changes: Mapping[str, tuple[Change, str]],
    cases: Sequence[Case],
    groups: Sequence[str],
    seed: int,
) -> None:
    """The trials of these changes; packaged texts join where fewer than `LEAST_TEXTS` given cases can be changed."""
    for kind, (change, why) in changes.items():
        made = [_trial(probe, kind, change, case, group, seed) for case, group in zip(cases, groups, strict=True)]
        _count(
            found,
            probe,
            kind,
            [_why_not(kind, case, why) for case, one in zip(cases, made, strict=True) if one is None],
        )
        kept = [one for one in made if one is not None]
        if len(kept) < LEAST_TEXTS:
            unused = ((case, group) for case, group in _packaged(kind) if case not in cases)
            more = (_trial(probe, kind, change, case, group, seed) for case, group in unused)
            kept += [one for one in more if one is not None]
        found.made += kept


def _trial(probe: str, kind: str, change: Change, case: Case, group: str, seed: int) -> Trial | None:
    reply = change(case, _random(seed, kind, case.prompt, case.reply))
    if reply is None or (reply == case.reply and kind != "again") or not _has_words(case.reply):
        return None
    amount = doublings(case.reply, reply) if kind == "padded" else 1.0
    if kind == "padded" and amount < LEAST_DOUBLINGS:
        return None
    return Trial(probe, kind, group, case, replace(case, reply=reply), amount)


def _why_not(kind: str, case: Case, why: str) -> str:
    if not _has_words(case.reply):
        return "an empty reply"
    if kind == "padded":
        known = asked_variety(case) in parsed("judge/probes")["padding"]
        return "too long to be stretched by filler" if known else f"no filler in {asked_variety(case)}"
    return why


def _count(found: Trials, probe: str, kind: str, reasons: Sequence[str]) -> None:
    if reasons:
        found.left_out[f"{probe}/{kind}"] = dict(Counter(reasons))


def _packaged(kind: str) -> list[tuple[Case, str]]:
    cases = packaged_vocalised() if kind == "unmarked" else [texts[STANDARD] for texts in packaged_parallel()]
    return [(case, f"packaged {case.reply}") for case in cases]


def _sets(parallel: Sequence[Parallel]) -> list[tuple[Parallel, str]]:
    """The caller's parallel sets and the packaged ones, with their clusters; a set needs a standard text."""
    for number, texts in enumerate(parallel):
        if STANDARD not in texts:
            got = ", ".join(texts) or "none"
            raise MashqError(expected_got(f"judge card: parallel set {number}", f"a case for '{STANDARD}'", got))
    given = [(texts, f"parallel {number}") for number, texts in enumerate(parallel)]
    return given + [(texts, f"packaged {texts[STANDARD].reply}") for texts in packaged_parallel()]


def _add_dialects(found: Trials, parallel: Sequence[Parallel]) -> None:
    """Standard Arabic before, a dialect after."""
    for texts, group in _sets(parallel):
        for variety in sorted(set(texts) - {STANDARD}):
            found.made.append(Trial("dialect", variety, group, texts[STANDARD], texts[variety]))


def _add_defects(
    found: Trials,
    cases: Sequence[Case],
    groups: Sequence[str],
    criteria: Sequence[str],
    parallel: Sequence[Parallel],
    seed: int,
) -> None:
    """Every defect that the rubric has a criterion for, and the harmless changes of every case that got one."""
    wanted = {name: rule for name, rule in DEFECTS.items() if target(name, criteria) is not None}
    for name in set(DEFECTS) - set(wanted):
        found.left_out[f"defects/{name}"] = {"the rubric has no criterion for it": len(cases)}
    if wanted.pop("standard_reply", None):
        _add_standard_replies(found, parallel, seed)
    if "other_prompt" in wanted:
        wanted["other_prompt"] = (_from_another(cases), DEFECTS["other_prompt"][1])
    _add(found, "defects", wanted, cases, groups, seed)
    touched = {trial.before: trial.group for trial in found.of("defects")}
    for kind, (change, _) in HARMLESS.items():
        made = (_trial("harmless", kind, change, case, group, seed) for case, group in touched.items())
        found.made += [one for one in made if one is not None]


def _add_standard_replies(found: Trials, parallel: Sequence[Parallel], seed: int) -> None:
    """A dialect was asked for; the reply says the same in Standard Arabic. One dialect of each set."""
    for texts, group in _sets(parallel):
        dialects = sorted(set(texts) - {STANDARD})
        if dialects:
            asked = texts[_random(seed, "standard_reply", texts[STANDARD].reply).choice(dialects)]
            changed = replace(asked, reply=texts[STANDARD].reply)
            found.made.append(Trial("defects", "standard_reply", group, asked, changed))


def _from_another(cases: Sequence[Case]) -> Change:
    """The reply to another prompt of the same variety."""
    by_variety: dict[str, list[Case]] = {}
    for case in [*cases, *(texts[STANDARD] for texts in packaged_parallel())]:
        by_variety.setdefault(asked_variety(case), []).append(case)

    def change(case: Case, random: Random) -> str | None:
        others = [one for one in by_variety.get(asked_variety(case), ()) if _unlike(one, case)]
        return random.choice(others).reply if others else None

    return change


def _unlike(one: Case, other: Case) -> bool:
    return one.prompt != other.prompt and one.reply != other.reply and _has_words(one.reply)


def twins(cases: Sequence[Case], groups: Sequence[str]) -> tuple[list[tuple[Case, Case]], list[str]]:
    """Pairs of different replies to one prompt in one variety, next ones in order, and their clusters."""
    by_prompt: dict[tuple[str, str], list[int]] = {}
    for place, case in enumerate(cases):
        by_prompt.setdefault((case.prompt, case.variety), []).append(place)
    pairs, clusters = [], []
    for places in by_prompt.values():
        for one, two in pairwise(places):
            if cases[one].reply != cases[two].reply:
                pairs.append((cases[one], cases[two]))
                clusters.append(groups[one])
    return pairs, clusters
