"""What a judge replied -> a score for each criterion, or the reason for which none can be known.

A reply is read in one normal form: thoughts and invisible marks gone, letters folded, every script's digits western.
Then each thing in it that claims a score is gathered: values of JSON objects, of lines, tables and sentences that name
a criterion. What repeats the scale ("1 = very poor ... 5 = excellent", "from 1 to 5") claims nothing. A criterion has a
score where all its claims agree on one number from 1 to 5; else it has none and a reason. Nothing is guessed: a number
that may count something else ("4 mistakes") is no score.
"""

from __future__ import annotations

import itertools
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mashq.judge.rubrics import LEVELS, Criterion
from mashq.judge.words import (
    SCORE,
    SCORING,
    Claim,
    Fault,
    Pairs,
    Vocabulary,
    objects,
    of_object,
    plain_of,
    said_in,
    vocabulary,
)

__all__ = ["Reading", "ReplyText", "read_scores"]

MOST_MENTIONS = 500  # names of criteria in a reply
NUMBER = r"\d+(?:\.\d+)?"
WORDS = {
    "واحد": 1, "واحده": 1, "one": 1, "اثنان": 2, "اثنين": 2, "اثنتان": 2, "اثنتين": 2, "two": 2, "ثلاثه": 3, "ثلاث": 3,
    "three": 3, "اربعه": 4, "اربع": 4, "four": 4, "خمسه": 5, "خمس": 5, "five": 5,
}  # fmt: skip
WORD = "|".join(sorted(WORDS, key=len, reverse=True))
STARS = re.compile(r"([★⭐🌟](?:\s?[★⭐🌟])*)(?:\s?☆)*")
GIVES = "i give (?:it|this)?|i'd give (?:it|this)?|i would give (?:it|this)?|i(?: would)? rate (?:it|this)?"
GIVES += "|اعطيها|اعطيه|اعطي|امنحها|امنحه|امنح|منحتها|منحته"
# Between a name and its value. A comma and a full stop end a thought, so they are not here.
LINK = rf"{SCORE}|final|level|is|was|gets?|deserves|scores|scored|rated|at|a|as|of"
LINK += "|المستوى|المستوي|هي|هو|تستحق|يستحق|حصلت على|نالت|بدرجه"
TAG = r"</?(?:td|th|b|i|em|strong|span|p|li|br)\b[^<>\n]{0,60}>"
FILLER = re.compile(
    rf"""[ \t"'“”‘’`*_\#:=|>→()\[\]{{}}«»•…–—-]|\\boxed|\.{{2,}}|{TAG}|(?:{LINK}|ف?(?:{GIVES}))(?!\w)"""
    rf"""|[,،](?=[ \t]*(?:{GIVES}|{NUMBER}[ \t]*(?:/|out of|من)[ \t]*5))"""
)
ASIDE = re.compile(r"\(\s*(?:[^()\d\s][^()\n]{0,120})?\)|\[\s*(?:[^\[\]\d\s][^\[\]\n]{0,120})?\]")
OUT_OF = re.compile(rf"\s*(?:/|out of|من اصل|من|على|of)\s*({NUMBER}|five|خمسه|خمس)(?!\w)")
BEHIND_OUT_OF = re.compile(r"[ \t]*(?:$|[\n.,،;؛:)\]}|\"'“”*_`–—!?(<-])")
RANGE = re.compile(rf"[ \t]*(?:-|–|—|~|→|->|=>|to|or|الى|او|حتى|و|(?:,|،)[ \t]*)[ \t]*(?:{NUMBER}|{WORD})(?![\w:)])")
# What may stand behind a number that is a score: an end, a sign, the reason. Another word makes it a count of things.
BECAUSE = "because|since|as|due|with|for|but|and|stars?|points?|on a scale|لان|لانه|لانها|بسبب|حيث|نظرا|اذ|مع|لكن"
BECAUSE += "|نجوم|نقاط|درجات|على مقياس|في مقياس"
BEHIND = re.compile(rf"""[ \t]*(?:\Z|[\n.,،;؛:)\]}}|"'“”‘’*_`–—=!?؟(<&\[«»\\/-]|(?:{BECAUSE})(?!\w))""")
SCALE = re.compile(r"(?<![\d.])1\s*(?:-|–|—|to|through|الى|حتى|و|\.\.+)\s*5(?![\d.]*\d|\s*/)")
LEVEL = re.compile(r"""(?<![\d.,/])([1-5])[ \t]*+(?:[=:|.)(–—-]|->|→)[ \t*]*+(?=["'“«]?[^\W\d_])""")
ENDS_LEVEL = re.compile(r"[\n;)\]}|]")
TOTAL = re.compile(r"(?<!\w)(?:overall|total|average|mean|sum|المجموع|الاجمالي|المتوسط|المعدل|العام|النهائي)(?!\w)")
CUE = re.compile(rf"(?<!\w)(?:{SCORE}|{GIVES})(?!\w)")
PER_FIVE = re.compile(rf"(?<![\d.,/])({NUMBER}|{WORD})\s*(?:/|out of|من اصل|من)\s*(?:5|five|خمسه)(?![\w/.]*\d|\w)")
AT_LINE_END = re.compile(rf"(?:[:=→(|]|[–—-]\s)\s*({NUMBER})\s*[)\]*|.\"'_]*\s*$")
CELL = re.compile(rf"(?<=\|)[\s*_]*({NUMBER})[\s*_]*(?=\|)")
LINE_START = re.compile(r"""[ \t"'“”‘’`*_\#>|(\[{•–—+-]*(?:\d{1,2}[.):-]+|[a-zا-ي][.)])?[ \t"'“”`*_\#>|(\[{–—-]*\Z""")
BEFORE_KEY = re.compile(r"""[{,،;؛.|(\[]\s*["'“”`*_]*\Z""")
BEHIND_KEY = re.compile(r"""["'“”`*_)\s]*[:=|]""")
OF_SCHEMA = {"type", "enum", "minimum", "maximum", "$ref", "labels", "ask", "title"}


@dataclass(frozen=True)
class Reading:
    """A score for every criterion, None where none can be known; `why` says so, for each of those."""

    values: Mapping[str, float | None]
    why: Mapping[str, str] = field(default_factory=dict)


def read_scores(reply: str, criteria: Sequence[Criterion], *, cut: bool = False) -> Reading:
    """A judge's reply -> what it says of each criterion. Never raises for anything a model may say.

    With one criterion a score without its name is read too. `cut`: the reply ended at its length limit, so that a
    number at its very end may lack digits.
    """
    said = said_in(reply)
    if isinstance(said, Fault):
        return Reading({one.name: None for one in criteria}, {one.name: str(said) for one in criteria})
    claims: dict[str, list[Claim]] = {one.name: [] for one in criteria}
    ReplyText(said, vocabulary(plain_of(criteria)), cut).gather(claims)
    values, why = {}, {}
    for name, several in claims.items():
        values[name], reason = _agreed(several)
        if reason:
            why[name] = reason
    return Reading(values, why)


def _agreed(claims: Sequence[Claim]) -> tuple[float | None, str]:
    faults = [one for one in claims if isinstance(one, Fault)]
    found = sorted({one for one in claims if not isinstance(one, str)})
    if faults:
        return None, str(faults[0])
    if not found:
        return None, "no score: none stands beside its name"
    if len(found) > 1:
        return None, f"ambiguous: {' and '.join(f'{one:g}' for one in found)}"
    return found[0], ""


# --- scores ----------------------------------------------------------------------------------------------------------


def _checked(number: float) -> Claim:
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


class ReplyText:
    """One reply in its normal form, and the claims in it."""

    def __init__(self, text: str, known: Vocabulary, cut: bool):
        self.known = known
        self.text = text
        self.cut = cut or text.count("{") > text.count("}")
        self.used: list[tuple[int, int]] = []  # spans of numbers that a name has claimed

    def gather(self, claims: dict[str, list[Claim]]) -> None:
        """Add every claim to those of its criterion."""
        alone = self.known.names[0] if len(self.known.names) == 1 else ""
        spans = []
        for start, end, pairs in objects(self.text):
            if key := self._key_before(start):
                claims[key] += self._json(key, pairs)
            else:
                of_object(pairs, self.known, self._json, claims)
            if alone and not claims[alone]:
                claims[alone] += [one for k, v in pairs if k.strip() in SCORING for one in self._json(alone, v)]
            spans.append((start, end))
        self.blank(spans, "\n")
        self.text = self.text.replace('\\"', '"')  # JSON in a string that is none itself
        self._tables(claims)
        self.blank([found.span() for found in SCALE.finditer(self.text)])
        self.blank(list(self._echoes(self.mentions())))
        mentions = self.mentions()
        if len(mentions) > MOST_MENTIONS:
            for several in claims.values():
                several.append(Fault(f"no score: {len(mentions)} names of criteria > {MOST_MENTIONS}"))
            return
        self._named(mentions, claims)
        if alone and not claims[alone]:
            claims[alone] += self._unnamed(alone)

    def _key_before(self, at: int) -> str:
        """The criterion that an object stands behind as its value, where what holds both is no whole object."""
        reach = max(0, at - 80)
        last = next(reversed([*self.known.mention.finditer(self.text, reach, at)]), None)
        joint = self.text[last.end() : at] if last else ""
        return self.known.of(last) if last and re.fullmatch(r"""["'“”`*_)\s]*[:=]\s*""", joint) else ""

    def blank(self, spans: Sequence[tuple[int, int]], first: str = " ") -> None:
        """Take out spans that come in order and do not overlap; one sign stands for each."""
        pieces, at = [], 0
        for start, end in spans:
            pieces += [self.text[at:start], first]
            at = end
        self.text = "".join([*pieces, self.text[at:]])

    # --- JSON values

    def _json(self, name: str, value: Any) -> list[Claim]:
        """The claims of a JSON value; none where it repeats the scale or says nothing."""
        if isinstance(value, bool) or value is None:
            return [Fault(f"no score: {json.dumps(value)}")]
        if isinstance(value, int | float):
            return [_checked(value)]
        if isinstance(value, str):
            return self._json_text(name, value)
        if not isinstance(value, Pairs):
            numbers = [one for one in value if isinstance(one, int | float)]
            return [] if numbers == list(LEVELS) else [one for inner in value for one in self._json(name, inner)]
        keys = {key.strip() for key, _ in value}
        if keys & OF_SCHEMA or (keys and all(key.isdigit() for key in keys)):
            return []
        if scoring := [inner for key, inner in value if key.strip() in SCORING]:
            return [one for inner in scoring for one in self._json(name, inner)]
        numbers = [inner for _, inner in value if isinstance(inner, int | float) and not isinstance(inner, bool)]
        if len(numbers) > 1:
            return [Fault(f"ambiguous: {len(numbers)} numbers and none is called a score")]
        return [_checked(one) for one in numbers]

    def _json_text(self, name: str, value: str) -> list[Claim]:
        own = ReplyText(value, self.known, cut=False)
        if SCALE.fullmatch(value.strip(" <>()[]")):
            return []
        return own._value(name, 0, newline=True)[0] or own._in_block(name, 0, len(value))

    # --- tables whose columns are the criteria

    def _tables(self, claims: dict[str, list[Claim]]) -> None:
        lines, spans = self.text.split("\n"), []
        place = taken = 0
        for number, line in enumerate(lines):
            for sign in "|\t,،;" if place >= taken else "":
                cells = _cells(line, sign)
                names = [self.known.criterion(cell) for cell in cells]
                if len({name for name in names if name}) < 2 or not any(cells):
                    continue
                rows, end = _rows_under(lines, number + 1, sign, len(cells))
                if not rows:
                    continue
                for row in rows:
                    for name, cell in zip(names, row, strict=True):
                        if name:
                            claims[name] += ReplyText(cell, self.known, self.cut)._value(name, 0, newline=False)[0]
                length = sum(len(one) + 1 for one in lines[number:end]) - 1
                spans.append((place, place + length))
                taken = place + length
                break
            place += len(line) + 1
        self.blank(spans, "\n")

    # --- names

    def mentions(self) -> list[Mention]:
        found = []
        for one in self.known.mention.finditer(self.text):
            before = self.text[max(0, one.start() - 80) : one.start()]
            line = before.rpartition("\n")
            heading = bool((line[1] or len(before) < 80) and LINE_START.match(line[2]))
            key = bool(BEFORE_KEY.search(before) and BEHIND_KEY.match(self.text, one.end()))
            found.append(Mention(self.known.of(one), one.start(), one.end(), heading or key))
        return found

    def _echoes(self, mentions: Sequence[Mention]) -> Iterator[tuple[int, int]]:
        """Where the scale is repeated: two or more levels, each with what it means, and no criterion between."""
        starts = {one.start for one in mentions}
        headings = [one.start for one in mentions if one.heading]
        marks = [one for one in LEVEL.finditer(self.text) if not self._numbers_a_name(one.end(), starts)]
        run: list[re.Match[str]] = []
        for mark in [*marks, None]:
            last = run[-1] if run else None
            goes_on = (
                mark is not None
                and last is not None
                and mark[1] != last[1]
                and mark.start() - last.end() < 400
                and bisect_left(headings, last.end()) == bisect_left(headings, mark.start())
            )
            if not goes_on:
                yield from self._span(run)
                run = []
            if mark is not None:
                run.append(mark)

    def _numbers_a_name(self, at: int, starts: set[int]) -> bool:
        """Whether a name begins here, so that the digit before it numbers a list."""
        while at < len(self.text) and self.text[at] in " \t*_\"'`#|[({“":
            at += 1
        return at in starts

    def _span(self, run: Sequence[re.Match[str]]) -> Iterator[tuple[int, int]]:
        levels = [int(mark[1]) for mark in run]
        steps = {two - one for one, two in itertools.pairwise(levels)}
        if len(run) > 1 and (steps in ({1}, {-1}) or {1, 5} <= set(levels)):
            ends = ENDS_LEVEL.search(self.text, run[-1].end())
            yield run[0].start(), ends.start() if ends else len(self.text)

    def _named(self, mentions: Sequence[Mention], claims: dict[str, list[Claim]]) -> None:
        together = self._together(mentions)
        behind: dict[int, list[Claim]] = {}
        for place, one in enumerate(mentions):
            behind[place], span = self._value(one.name, one.end, newline=one.heading)
            if behind[place]:
                self.used.append(span)
        for place, one in enumerate(mentions):
            found = behind[place]
            if place in together:
                if any(behind[each] for each in together[place]):
                    claims[one.name].append(Fault("ambiguous: one score for several criteria"))
                continue
            if not found and (before := self._before(one.start)) is not None:
                found = [before]
            if one.heading:
                end = self._block_end(mentions, place)
                found = found + self._in_block(one.name, one.end, end, only_told=bool(found))
            claims[one.name] += found

    def _together(self, mentions: Sequence[Mention]) -> dict[int, list[int]]:
        """Places of mentions with nothing but a joint between them and different names -> all of those places."""
        groups: list[list[int]] = []
        for place, one in enumerate(mentions):
            last = mentions[place - 1] if place else None
            joint = self.text[last.end : one.start] if last else "x"
            if last and re.fullmatch(r"(?:[\s,،/&+*_|\"'-]|and|و)*", joint):
                groups[-1].append(place)
            else:
                groups.append([place])
        several = [group for group in groups if len({mentions[place].name for place in group}) > 1]
        return {place: group for group in several for place in group}

    def _before(self, start: int) -> Claim | None:
        """The score out of five right before a name: "4/5 for fluency"."""
        reach = max(0, start - 40)
        last = next(reversed([*PER_FIVE.finditer(self.text, reach, start)]), None)
        if last is None or any(a <= last.start() < b for a, b in self.used):
            return None
        joint = self.text[last.end() : start]
        return self._number(last[1]) if re.fullmatch(r"[ \t]*(?:for|in|on|في|على|عن)?[ \t]*[*_\"'(]*", joint) else None

    def _block_end(self, mentions: Sequence[Mention], place: int) -> int:
        start = mentions[place].end
        later = itertools.islice(mentions, place + 1, None)
        end = next((one.start for one in later if one.heading), len(self.text))
        total = TOTAL.search(self.text, start, end)
        return total.start() if total else end

    # --- values

    def _number(self, text: str) -> Claim:
        return _checked(WORDS[text] if text in WORDS else float(text[:20]))

    def _value(self, name: str, at: int, newline: bool) -> tuple[list[Claim], tuple[int, int]]:
        """The score that stands at a place, behind signs and linking words; none where something else stands there."""
        begin, at = at, self.skip(at, newline)
        nothing: tuple[list[Claim], tuple[int, int]] = ([], (at, at))
        if stars := STARS.match(self.text, at):
            return [_checked(len(re.findall("[★⭐🌟]", stars[1])))], stars.span()
        if label := self._label(name, at):
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
            if self._is_five(out_of[1]):
                whole = text[end:].lstrip().startswith("/") or BEHIND_OUT_OF.match(text, out_of.end())
                after = text[out_of.end() : out_of.end() + 2]
                if re.match(r"/\d", after):
                    return [Fault(f"no score: {text[found.start() : out_of.end() + 2]!r} is no share of five")], span
                if whole or self._mention_at(out_of.end()):
                    return [self._number(found[1])], (found.start(), out_of.end())
                return [], span
            return [Fault(f"another scale: {text[found.start() : out_of.end()]!r}")], span
        if re.match(r"\s?[%٪]", text[end:]):
            return [Fault(f"another scale: {found[1]} %")], span
        if text[end : end + 1] == "+":
            return [Fault(f"no score: {found[1]}+ is no level")], span
        if (several := RANGE.match(text, end)) and not self._mention_at(several.end(), dotted=True):
            return [Fault(f"range: {text[found.start() : several.end()]!r}")], span
        if not BEHIND.match(text, end) and not self._mention_at(end):
            return [], span
        claims = [self._number(found[1])]
        claims += self._told_beside(name, end)
        return claims, span

    def _told_beside(self, name: str, end: int) -> list[Claim]:
        """A label or a second number in signs right behind a score: "4 (good)" says one thing, "4 (excellent)" two."""
        behind = re.compile(r"[ \t*_]*[=(\[–—:-]+[ \t*_\"'«“]*").match(self.text, end)
        if behind and (label := self._label(name, behind.end())):
            return label[0]
        again = re.compile(rf"[ \t]*\)[ \t*_]*[:=][ \t*_]*({NUMBER})").match(self.text, end)
        return [self._number(again[1])] if again else []

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
        return self._mention_at(found.end(), dotted=True) or bool(LEVEL.match(self.text, found.start()))

    def _mention_at(self, at: int, dotted: bool = False) -> bool:
        signs = re.compile(r"[ \t]*[.):-]?[ \t*_\"'`#|(]*" if dotted else r"[ \t*_\"'`|(]*").match(self.text, at)
        return bool(self.known.mention.match(self.text, signs.end() if signs else at))

    def _label(self, name: str, at: int) -> tuple[list[Claim], tuple[int, int]] | None:
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
            claims.append(self._number(number[1]))
        return claims, found.span()

    def _in_block(self, name: str, start: int, end: int, only_told: bool = False) -> list[Claim]:
        """Scores in the block of a heading: out of five, behind a word for score, or at the end of its first line.

        `only_told`: where the heading has a score already, only one that is called a score can speak against it.
        """
        block = ReplyText(self.text[start:end], self.known, self.cut and end == len(self.text))
        claims: list[Claim] = []
        for cue in CUE.finditer(block.text):
            if only_told and not re.compile(r"[\"'*_\s]*[:=]").match(block.text, cue.end()):
                continue
            claims += block._value(name, cue.end(), newline=False)[0]
        if only_told:
            return claims
        for found in PER_FIVE.finditer(block.text):
            if BEHIND_OUT_OF.match(block.text, found.end()):
                claims.append(self._number(found[1]))
        line = block.text.split("\n", 1)[0]
        cells = CELL.findall(line) if not claims else []
        ending = AT_LINE_END.search(line) if not claims and not cells else None
        claims += [self._number(cell) for cell in cells]
        if ending and not (block.cut and len(line) == len(block.text)):
            claims.append(self._number(ending[1]))
        return claims

    def _unnamed(self, name: str) -> list[Claim]:
        """Of one criterion that alone was asked for: a reply that is its score, or ends with it on a line by itself."""
        claims = self._value(name, 0, newline=True)[0]
        claims = claims + self._in_block(name, 0, len(self.text), only_told=bool(claims))
        if claims:
            return claims
        last = self.text.rstrip().rpartition("\n")[2]
        own = ReplyText(last, self.known, self.cut)
        return own._value(name, 0, newline=False)[0]


def _cells(line: str, sign: str) -> list[str]:
    cells = [cell.strip(" *_`\"'") for cell in line.split(sign)]
    return cells[1:-1] if sign == "|" and len(cells) > 2 and not cells[0] and not cells[-1] else cells


def _rows_under(lines: Sequence[str], at: int, sign: str, width: int) -> tuple[list[list[str]], int]:
    """The rows of as many cells right under a header, without the rule between, and where they end."""
    rows = []
    while at < len(lines):
        cells = _cells(lines[at], sign)
        if len(cells) != width or not lines[at].strip():
            break
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            rows.append(cells)
        at += 1
    return [row for row in rows if any(re.match(rf"{NUMBER}|{WORD}", cell) for cell in row)], at
