"""A text of a judge's in its normal form, and what stands at a place in it: names of criteria, numbers, labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mashq.judge.clear import DOUBT
from mashq.judge.patterns import (
    ASIDE,
    AT_LINE_END,
    BEFORE_KEY,
    BEHIND,
    BEHIND_KEY,
    BEHIND_OUT_OF,
    COUNT_OF,
    COUNTED,
    FILLER,
    FULL,
    LEVEL,
    LINE_START,
    NAMED_BEHIND,
    NUMBER,
    OTHER_SCALE,
    OUT_OF,
    RANGE,
    REVISED,
    STARS,
    WORD,
    WORDS,
)
from mashq.judge.rubrics import LEVELS
from mashq.judge.words import Claim, Fault, Vocabulary

__all__ = ["Mention", "PlainText", "checked"]

KEYED_END = (
    r"""[ \t]+[^\W\d_][^\d{}\n"']{0,200}(?:,\s*["'“}]|\}|\n|\Z)"""  # a reason without quotes behind a key's number
)


def checked(number: float) -> Claim:
    if not LEVELS[0] <= number <= LEVELS[-1]:
        return Fault(f"out of range: {number:g} is not {LEVELS[0]} to {LEVELS[-1]}")
    return float(number)


@dataclass(frozen=True)
class Mention:
    """A name of a criterion in a text. A heading opens a block that belongs to it."""

    name: str
    start: int
    end: int
    heading: bool


class PlainText:
    """One text in its normal form. `cut`: it ended at a limit, so that a number at its end may lack digits."""

    def __init__(self, text: str, known: Vocabulary, cut: bool):
        self.known = known
        self.text = text
        self.cut = cut or (text.count("{") > text.count("}") and not self._whole())

    def _whole(self) -> bool:
        """Whether every criterion is named, so that an object that does not close was not cut, but badly written."""
        return {self.known.of(one) for one in self.known.mention.finditer(self.text)} == set(self.known.names)

    def blank(self, spans: Sequence[tuple[int, int]], first: str = " ") -> None:
        """Take out spans that come in order and do not overlap; one sign stands for each."""
        pieces, at = [], 0
        for start, end in spans:
            pieces += [self.text[at:start], first]
            at = end
        self.text = "".join([*pieces, self.text[at:]])

    def mentions(self) -> list[Mention]:
        found = []
        for one in self.known.mention.finditer(self.text):
            before = self.text[max(0, one.start() - 80) : one.start()]
            line = before.rpartition("\n")
            heading = bool((line[1] or len(before) < 80) and LINE_START.match(line[2]))
            key = bool(BEFORE_KEY.search(before) and BEHIND_KEY.match(self.text, one.end()))
            found.append(Mention(self.known.of(one), one.start(), one.end(), heading or key))
        return found

    @staticmethod
    def number(text: str) -> Claim:
        return checked(WORDS[text] if text in WORDS else float(text[:20]))

    def value(self, name: str, at: int, newline: bool) -> tuple[list[Claim], tuple[int, int]]:
        """The score that stands at a place, behind signs and linking words; none where something else stands there."""
        if full := FULL.match(self.text, at):
            return [float(LEVELS[-1])], full.span()
        begin, at = at, self.skip(at, newline)
        nothing: tuple[list[Claim], tuple[int, int]] = ([], (at, at))
        if stars := STARS.match(self.text, at):
            return [checked(len(re.findall("[★⭐🌟]", stars[1])))], stars.span()
        if (begin == at or re.search(r"[^\s\w]|\n", self.text[begin:at])) and (label := self.label_at(name, at)):
            return label
        found = re.compile(rf"({NUMBER}|(?:{WORD})(?!\w))").match(self.text, at)
        if not found:
            return nothing
        if self._is_list_number(found, begin):
            return nothing
        return self._judged(name, found, begin)

    def _judged(self, name: str, found: re.Match[str], begin: int) -> tuple[list[Claim], tuple[int, int]]:
        """What a number behind a name claims, by what stands around it."""
        text, end = self.text, found.end()
        span = found.span()
        signed = text[found.start() - 1 : found.start()] == "-" and re.search(r"[:=]", text[begin : found.start() - 1])
        if signed:
            return [Fault(f"out of range: -{found[1]} is not {LEVELS[0]} to {LEVELS[-1]}")], span
        if self.cut and not text[end:].strip():
            return [Fault("cut: the reply ends in the middle of its score")], span
        if out_of := OUT_OF.match(text, end):
            return self._shared(found, out_of)
        if (other := OTHER_SCALE.match(text, end)) and other[1] != str(LEVELS[-1]):
            return [Fault(f"another scale: {text[found.start() : other.end()]!r}")], span
        if re.search(r"(?<![\w\"'/=>-])[<>≥≤][ \t]*\Z", text[max(0, found.start() - 4) : found.start()]):
            return [Fault(f"no score: {text[found.start() - 1 : end]!r} is a bound")], span
        if re.match(r"\s?[%٪]", text[end:]):
            return [Fault(f"another scale: {found[1]} %")], span
        if text[end : end + 1] == "+":
            return [Fault(f"no score: {found[1]}+ is no level")], span
        several = None if COUNTED.match(text, end) else RANGE.match(text, end)
        if several and not self.named_at(several.end(), dotted=True):
            return [Fault(f"range: {text[found.start() : several.end()]!r}")], span
        keyed = re.match(r"""["'”][ \t]*[:=]""", text[begin:]) and re.compile(KEYED_END).match(text, end)
        if not BEHIND.match(text, end) and not self.named_at(end) and not keyed:
            return [], span
        if found[1] in WORDS and NAMED_BEHIND.match(text, end):
            return [], span
        if self._doubted(end):
            return [Fault("no score: the writer is in doubt")], span
        if revised := self._revised(end):
            return [revised], span
        claims = [self.number(found[1])]
        claims += self._told_beside(name, end)
        return claims, span

    def _shared(self, found: re.Match[str], out_of: re.Match[str]) -> tuple[list[Claim], tuple[int, int]]:
        """What "4/5" or "4 out of 5" claims: nothing where it counts things, a fault where the end is no five."""
        text, end, span = self.text, out_of.end(), found.span()
        if not self._is_five(out_of[1]):
            return [Fault(f"another scale: {text[found.start() : end]!r}")], span
        if re.match(r"/\d", text[end : end + 2]):
            return [Fault(f"no score: {text[found.start() : end + 2]!r} is no share of five")], span
        named = self.named_at(end)
        whole = text[found.end() :].lstrip().startswith("/") or BEHIND_OUT_OF.match(text, end)
        if not named and (not whole or COUNT_OF.match(text, end)):
            return [], span
        if self._doubted(end):
            return [Fault("no score: the writer is in doubt")], span
        return [self.number(found[1])], (found.start(), end)

    def _doubted(self, at: int) -> bool:
        """Whether the line goes on, before another name, to say that the writer does not know."""
        line = self.text[at : at + 80].partition("\n")[0].partition(";")[0]
        other = self.known.mention.search(line)
        return bool(DOUBT.search(line[: other.start()] if other else line))

    def _revised(self, at: int) -> Claim | None:
        """What the line goes on to make of a score, before another name: "3... actually the dose is right, so 4"."""
        line = self.text[at : at + 200].partition("\n")[0]
        other = self.known.mention.search(line)
        rest = line[: other.start()] if other else line
        if not (again := REVISED.search(rest)):
            return None
        rest = rest[again.end() :]
        if ending := AT_LINE_END.search(rest):
            return self.number(ending[1])
        number = re.search(rf"(?<![\w.])(?:{NUMBER}|{WORD})(?=[ \t]*(?:\Z|[.,،;؛!/)*]))", rest)
        return Fault("ambiguous: taken back in words") if number else None

    def _told_beside(self, name: str, end: int) -> list[Claim]:
        """A label or a second number in signs right behind a score: "4 (good)" says one thing, "4 (excellent)" two."""
        behind = re.compile(r"[ \t*_]*[=(\[–—:-]+[ \t*_\"'«“]*").match(self.text, end)
        if behind and (label := self.label_at(name, behind.end())):
            return label[0]
        again = re.compile(rf"[ \t]*\)[ \t*_]*[:=][ \t*_]*({NUMBER})").match(self.text, end)
        return [self.number(again[1])] if again else []

    def _is_five(self, text: str) -> bool:
        return text in ("five", "خمسه", "خمس") or float(text[:20]) == LEVELS[-1]

    def skip(self, at: int, newline: bool) -> int:
        """Past signs, asides in brackets and linking words; past line ends where a heading may have its score below."""
        text = self.text
        while at < len(text):
            if aside := ASIDE.match(text, at):
                at = aside.end()
            elif filler := FILLER.match(text, at):
                at = filler.end()
            elif (newline and text[at] == "\n") or (newline and text[at] == "," and text[at + 1 : at + 2].isdigit()):
                at += 1
            else:
                break
        return at

    def _is_list_number(self, found: re.Match[str], begin: int) -> bool:
        """Whether a number on a later line numbers the next name."""
        if "\n" not in self.text[begin : found.start()]:
            return False
        return self.named_at(found.end(), dotted=True) or bool(LEVEL.match(self.text, found.start()))

    def named_at(self, at: int, dotted: bool = False) -> bool:
        signs = re.compile(r"[ \t]*[.):-]?[ \t*_\"'`#|(]*" if dotted else r"[ \t*_\"'`|(]*").match(self.text, at)
        return bool(self.known.mention.match(self.text, signs.end() if signs else at))

    def label_at(self, name: str, at: int) -> tuple[list[Claim], tuple[int, int]] | None:
        """A label of the criterion standing at a place, alone or with its own number behind it."""
        if not (found := self.known.label[name].match(self.text, at) if name else None):
            return None
        behind = re.compile(r"[ \t]*(?:\Z|[\n.,،;؛:)\]}|\"'“”»*_`!(=–—-])").match(self.text, found.end())
        if not behind:
            return None
        claims: list[Claim] = [float(self.known.labels[name][found[0]])]
        number = re.compile(rf"[ \t]*[(\[:=–—-]+[ \t*]*({NUMBER})(?=[ \t]*(?:\Z|[\n.,،;؛)\]}}|*/]))").match(
            self.text, found.end()
        )
        if number:
            claims.append(self.number(number[1]))
        return claims, found.span()
