"""Dialect normalisation: spelling variants to one convention, function words and frequent words to the standard.

Three strengths, each with what the one before it does:

* `spelling`: the spellings of one dialect word become one (كدا، كدة -> كده), frequent misspellings are mended
  (لاكن -> لكن). The word stays what it was. The convention follows the principles of CODA* (Habash et al. 2018,
  "Unified Guidelines and Resources for Arabic Dialect Orthography"): spelling as in the standard where the word is
  shared with it, the dialect's own morphology kept. Two differences: initial hamza is written as in the standard where
  the word is one of its words, and چ گ ڤ پ stay as they are written.
* `function_words`: also negation, demonstratives, interrogatives, relative pronouns, prepositions, adverbs of time,
  possessive particles, and the particles of future and progressive before verbs that the standard shares.
* `towards_msa`: also frequent content words and verbs. The result is *not* standard Arabic: it is a dialect sentence
  with many words of the standard. Word order, agreement, case and what stands in no list stay.

A word that can be something else is left, or has a rule that looks at its neighbours. Protected and never changed:
terms of medicine and names of drugs (`data/dialect/protected.yaml`), the user's own terms, Latin words, numbers, links,
e-mail addresses, @handles, #hashtags, and what stands in square brackets, where de-identification puts placeholders.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from mashq import arabic
from mashq.dialect_words import FILES, FINER, GLUE, STRENGTHS, Rule, Table, data_hash, key_of, plain, protected, table
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["STRENGTHS", "VARIETIES", "Edit", "Normalised", "Normaliser", "undo"]

VARIETIES = (*FILES, *FINER)
PASSES = 16  # a rule may need a neighbour that another rule made; three were the most that any text took
# A run of letters, marks and digits is one token: a word glued to a Latin one or to a digit is in no list. Square
# brackets hold a placeholder only when they are short and on one line.
_PIECES = re.compile(
    rf"(?P<kept>\[[^\[\]\n]{{1,60}}\]|(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[@#][\w{arabic.TASHKEEL}]+)"
    rf"|[\w{arabic.TASHKEEL}{arabic.SEAT_MARKS}{arabic.ZERO_WIDTH}{arabic.BIDI}]+"
)
_PLAIN_WORD = re.compile(r"\w+")
_TANWIN = frozenset("\N{ARABIC FATHATAN}\N{ARABIC DAMMATAN}\N{ARABIC KASRATAN}")
_NEEDS_CARE = re.compile(f"[{arabic.TASHKEEL}{arabic.TATWEEL}{arabic.ZERO_WIDTH}{arabic.BIDI}]")


@dataclass(frozen=True)
class Edit:
    """One replacement: characters [start, end) of the original are [new_start, new_end) of the result."""

    start: int
    end: int
    new_start: int
    new_end: int
    old: str
    new: str
    rule: str  # the list and the word, `egyptian/كده`; several joined by ` + ` where one change made another possible


@dataclass(frozen=True)
class Normalised:
    """A normalised text, and the edits that made it, in order and without overlap."""

    text: str
    edits: tuple[Edit, ...] = ()


def undo(normalised: Normalised) -> str:
    """The original text, exactly.

    Raises MashqError where the text is not the one that the edits belong to.
    """
    parts, at = [], 0
    for edit in normalised.edits:
        found = normalised.text[edit.new_start : edit.new_end]
        if found != edit.new:
            where = f"dialect.undo: characters {edit.new_start} to {edit.new_end}"
            raise MashqError(expected_got(where, repr(edit.new), repr(found), "Undo before you change the text."))
        parts += [normalised.text[at : edit.new_start], edit.old]
        at = edit.new_end
    return "".join([*parts, normalised.text[at:]])


@dataclass(frozen=True)
class Normaliser:
    """Brings dialect text to one convention; see the module for the strengths.

    Without a variety the rules that all share are used, and those of one variety that no other contradicts and that
    touch no word of the standard. `maghrebi` holds what Morocco, Algeria and Tunisia share and what only one of them
    says, as far as the others do not say it otherwise. The same text gives the same result everywhere, and a result is
    left as it is when it is normalised again.

    Raises MashqError for an unknown variety or strength.
    """

    variety: str | None = None  # one of VARIETIES; None: what no variety contradicts
    strength: str = "spelling"  # one of STRENGTHS
    protect: tuple[str, ...] = ()  # words and phrases that are never changed, beside those of protected.yaml
    _table: Table = field(init=False, repr=False, compare=False)
    _guards: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for what, value, known in (("variety", self.variety, VARIETIES), ("strength", self.strength, STRENGTHS)):
            if value not in known and not (what == "variety" and value is None):
                expected = f"one of {', '.join(known)}" + (", or None" if what == "variety" else "")
                raise MashqError(expected_got(f"dialect: {what}", expected, repr(value)) + nearest(str(value), known))
        if isinstance(self.protect, str):
            raise MashqError(expected_got("dialect: protect", "a list of words", repr(self.protect)))
        object.__setattr__(self, "protect", tuple(self.protect))
        object.__setattr__(self, "_table", table(self.variety, self.strength, self.protect))
        object.__setattr__(self, "_guards", _guards(self.variety, self.strength, self.protect))

    @property
    def identity(self) -> str:
        """What decides a result, for a fingerprint or a signature."""
        own = hashlib.blake2b("\0".join(self.protect).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        parts = [f"variety:{self.variety or 'any'}", f"strength:{self.strength}", f"lists:{data_hash()}"]
        return "|".join(["dialect", *parts, *([f"protect:{own}"] if self.protect else []), "v:1"])

    def normalise(self, text: str) -> Normalised:
        """The text normalised, with its edits. Never raises on a string."""
        if not _NEEDS_CARE.search(text) and self._table.keys.isdisjoint(_PLAIN_WORD.findall(text)):
            return Normalised(text)
        edits: list[Edit] = []
        now = text
        for _ in range(PASSES):
            changes = list(self._changes(now))
            if not changes:
                break
            edits, now = _composed(text, now, edits, changes)
        return Normalised(now, tuple(edits))

    def column(self, texts: Iterable[str]) -> list[Normalised]:
        """`normalise` of each text, in order."""
        return [self.normalise(text) for text in texts]

    # --- one pass ----------------------------------------------------------------------------------------------------

    def _changes(self, text: str) -> Iterator[_Change]:
        tokens = _tokens(text, self._table.keys, self._guards)
        at, past = 0, 0
        while at < len(tokens):
            size, change = self._change_at(text, tokens, at)
            if change is not None and change.start >= past and text[change.start : change.end] != change.new:
                yield change
                past = change.end
            at += size

    def _change_at(self, text: str, tokens: list[_Token], at: int) -> tuple[int, _Change | None]:
        """How many tokens are done with at this place, and the change there."""
        first = tokens[at]
        if not first.may_change or first.key not in self._table.keys:
            return 1, None
        for size in (*self._table.lengths.get(first.key, ()), 1):
            run = tokens[at : at + size]
            if len(run) < size or not all(_together(text, one, two) for one, two in pairwise(run)):
                continue
            if not all(token.may_change for token in run):
                continue
            found = self._table.phrases.get(tuple(token.key for token in run)) if size > 1 else None
            rules = self._table.words.get(first.key, ()) if size == 1 else found or ()
            change = _applied(text, tokens, at, size, rules)
            if change is not None:
                return size, change
        return 1, None


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    key: str  # empty for what is protected by its shape
    may_change: bool


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    new: str
    rule: str


def _tokens(text: str, keys: frozenset[str], guards: tuple[tuple[str, ...], ...]) -> list[_Token]:
    tokens = []
    for match in _PIECES.finditer(text):
        kept = match.lastgroup == "kept"
        tokens.append(_Token(match.start(), match.end(), "" if kept else key_of(match[0]), not kept))
    for guard in guards:
        for at in range(len(tokens) - len(guard) + 1):
            if all(_same(token.key, word) for token, word in zip(tokens[at : at + len(guard)], guard, strict=True)):
                for place in range(at, at + len(guard)):
                    one = tokens[place]
                    tokens[place] = _Token(one.start, one.end, one.key, False)
    return tokens


def _same(key: str, word: str) -> bool:
    """Whether a token is a word of a protected term, with or without what may be attached before it."""
    return key == word or (key.endswith(word) and key.removesuffix(word) in ("و", "ف", "ب", "ل", "ال", "وال", "بال"))


def _together(text: str, one: _Token, two: _Token) -> bool:
    return text[one.end : two.start].isspace()


def _neighbours(text: str, tokens: list[_Token], at: int, size: int) -> tuple[str, str]:
    before = after = ""
    if at and _together(text, tokens[at - 1], tokens[at]):
        before = plain(tokens[at - 1].key)
    last = at + size - 1
    if last + 1 < len(tokens) and _together(text, tokens[last], tokens[last + 1]):
        after = plain(tokens[last + 1].key)
    return before, after


def _applied(text: str, tokens: list[_Token], at: int, size: int, rules: tuple[Rule, ...]) -> _Change | None:
    """The change of the first rule whose neighbours fit."""
    if not rules:
        return None
    before, after = _neighbours(text, tokens, at, size)
    start, end = tokens[at].start, tokens[at + size - 1].end
    tanwin = size == 1 and not _TANWIN.isdisjoint(text[start:end])
    for rule in rules:
        if tanwin and not rule.name.startswith("common/"):
            continue  # جوًّا is "by air" and no جوه: only the standard writes tanwin
        if rule.fits(before, after):
            if not rule.target.endswith(GLUE):
                return _Change(start, end, rule.target, rule.name)
            if after:
                return _Change(start, tokens[at + size].start, rule.target[:-1], rule.name)
    return None


@functools.lru_cache(maxsize=64)
def _guards(variety: str | None, strength: str, protect: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The protected phrases that hold a word which a rule could change; most hold none and cost nothing."""
    keys = table(variety, strength, protect).keys
    return tuple(term for term in protected(protect) if len(term) > 1 and not keys.isdisjoint(term))


# --- edits -----------------------------------------------------------------------------------------------------------


def _composed(text: str, middle: str, edits: list[Edit], changes: list[_Change]) -> tuple[list[Edit], str]:
    """Edits from `text` to `middle`, then changes of `middle` -> the edits from `text` to the new text, and that text.

    A change that touches earlier edits swallows them, so that edits never overlap.
    """
    spans = [(e.start, e.end, e.new_start, e.new_end, e.new, e.rule) for e in edits]  # original, middle
    merged: list[tuple[int, int, str, str]] = []  # original span, new text, rule
    shift = at = 0  # middle position - original position, as far as the edits before `at` moved it
    for change in changes:
        while at < len(spans) and spans[at][3] <= change.start:
            merged.append((*spans[at][:2], spans[at][4], spans[at][5]))
            shift = spans[at][3] - spans[at][1]
            at += 1
        first, last, new, rules = change.start, change.end, change.new, []
        start = first - shift
        while at < len(spans) and spans[at][2] < last:
            o_start, o_end, m_start, m_end, m_new, rule = spans[at]
            if m_start < first:
                new, start = m_new[: first - m_start] + new, o_start
            if m_end > last:
                new, last = new + m_new[last - m_start :], m_end
            rules.append(rule)
            shift = m_end - o_end
            at += 1
        merged.append((start, last - shift, new, " + ".join(dict.fromkeys([*rules, change.rule]))))
    merged += [(*span[:2], span[4], span[5]) for span in spans[at:]]
    return _placed(text, merged)


def _placed(text: str, merged: list[tuple[int, int, str, str]]) -> tuple[list[Edit], str]:
    parts: list[str] = []
    edits, at, length = [], 0, 0
    for start, end, new, rule in merged:
        parts += [text[at:start], new]
        length += start - at
        if text[start:end] != new:
            edits.append(Edit(start, end, length, length + len(new), text[start:end], new, rule))
        length += len(new)
        at = end
    return edits, "".join([*parts, text[at:]])
