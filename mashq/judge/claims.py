"""Everything in a judge's reply that claims a score: values of JSON objects, of lines, tables and sentences."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mashq.judge.alike import add_for_every, add_unlinked
from mashq.judge.amended import amendments
from mashq.judge.clear import cleared, not_meant
from mashq.judge.in_json import json_claims
from mashq.judge.patterns import (
    AT_LINE_END,
    BEHIND_OUT_OF,
    CELL,
    COUNT_OF,
    CUE,
    EACH,
    EACH_BEHIND,
    EARNS,
    ENDS_LEVEL,
    EVERY,
    EXAMPLE,
    FOR,
    FOR_IT,
    GIVES,
    LEVEL,
    NEGATED,
    NUMBER,
    PER_FIVE,
    SCALE,
    TOTAL,
    WORD,
)
from mashq.judge.scales import behind_name, of_pairs, with_chosen
from mashq.judge.values import Mention, PlainText
from mashq.judge.words import SCORING, Claim, Fault, Vocabulary, objects, of_object

__all__ = ["ReplyText"]

LISTED = re.compile(rf"(?:{NUMBER}|{WORD})[ \t]*(?:[,،;][ \t]*)?(?:and[ \t]+|و[ \t]*)?\Z")
OWN_SENTENCE = re.compile(rf"[^.\n!?؟]{{0,160}}?(?<!\w)(?:ف|و)?({GIVES}|{EARNS})(?!\w)")
LINE_SIGNS = " \t\n\"'`*_|•-"  # of which a name on a line of its own has nothing but before it
MOST_ROWS = 60  # of a table
MOST_MENTIONS = 500  # names of criteria in a reply


class ReplyText(PlainText):
    """One reply in its normal form, and the claims in it."""

    def __init__(self, text: str, known: Vocabulary, cut: bool):
        super().__init__(text, known, cut)
        self.used: list[tuple[int, int]] = []  # spans of numbers that a name has claimed

    def gather(self, claims: dict[str, list[Claim]]) -> None:
        """Add every claim to those of its criterion."""
        alone = self.known.names[0] if len(self.known.names) == 1 else ""
        spans = []
        for start, end, pairs in objects(self.text):
            spans.append((start, end))
            if EXAMPLE.search(self.text[max(0, start - 160) : start]) or not_meant(self.text, start, end):
                continue
            of_pairs(pairs, self.known, claims)
            if key := self._key_before(start):
                claims[key] += self._json(key, pairs)
            else:
                of_object(pairs, self.known, self._json, claims)
            if alone and not claims[alone]:
                claims[alone] += [one for k, v in pairs if k.strip() in SCORING for one in self._json(alone, v)]
        self.blank(spans, "\n")
        self.text = self.known.respelt(self.text.replace('\\"', '"'))  # JSON in a string that is none itself
        self.text = with_chosen(cleared(self.text))
        changed, places = amendments(self.text, self.known)
        self.blank(places)
        self.text = self._paired()
        self._tables(claims)
        self.blank([found.span() for found in SCALE.finditer(self.text)])
        self.blank(list(self._echoes(self.mentions())))
        mentions = self.mentions()
        if len(mentions) > MOST_MENTIONS:
            for several in claims.values():
                several.append(Fault(f"no score: {len(mentions)} names of criteria > {MOST_MENTIONS}"))
            return
        self._named(mentions, claims)
        add_for_every(self, mentions, claims)
        if not any(claims.values()):
            add_unlinked(self, mentions, claims)
        for name, claim in changed.items():
            claims[name] = [claim]
        if alone and not claims[alone]:
            claims[alone] += self._unnamed(alone)

    def _paired(self) -> str:
        """The text with "(fluency, 3)" as "fluency: 3"."""
        pair = rf"""[(\[][ ]?["'*]{{0,2}}({self.known.mention.pattern})["'*]{{0,2}}"""
        pair += rf"""[ ]?[,،][ ]?["']?({NUMBER})["']?[ ]?[)\]]"""
        return re.sub(pair, lambda found: f"{found[1]}: {found.groups()[-1]};", self.text)

    def _key_before(self, at: int) -> str:
        """The criterion that an object stands behind as its value, where what holds both is no whole object."""
        reach = max(0, at - 80)
        last = next(reversed([*self.known.mention.finditer(self.text, reach, at)]), None)
        joint = self.text[last.end() : at] if last else ""
        return self.known.of(last) if last and re.fullmatch(r"""["'“”`*_)\s]*[:=]\s*""", joint) else ""

    def _json(self, name: str, value: Any) -> list[Claim]:
        return json_claims(name, value, self._json_text)

    def _json_text(self, name: str, value: str) -> list[Claim]:
        if SCALE.fullmatch(value.strip(" <>()[]")):
            return []
        own = ReplyText(with_chosen(cleared(value)), self.known, cut=False)
        return own.value(name, 0, newline=True)[0] or own._in_block(name, 0, len(own.text))

    # --- tables whose columns are the criteria, or one of whose columns is the scores

    def _tables(self, claims: dict[str, list[Claim]]) -> None:
        lines, spans = self.text.split("\n"), []
        place = taken = 0
        for number, line in enumerate(lines):
            for sign in "|\t,،;" if place >= taken else "":
                cells = _cells(line, sign)
                if len(cells) < 2 or not any(cells):
                    continue
                rows, end = _rows_under(lines, number + 1, sign, len(cells), self.cut)
                found = [pair for row in rows for pair in self._cells_of(cells, row)]
                if not found:
                    continue
                for name, cell in found:
                    claims[name] += ReplyText(cell, self.known, cut=False).value(name, 0, newline=False)[0]
                length = sum(len(one) + 1 for one in lines[number:end]) - 1
                spans.append((place, place + length))
                taken = place + length
                break
            place += len(line) + 1
        self.blank(spans, "\n")

    def _cells_of(self, header: Sequence[str], row: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Criteria and the cells of a row that score them: under their names, or under the one word for score."""
        names = [self.known.criterion(cell) for cell in header]
        if len({name for name in names if name}) > 1:
            yield from ((name, cell) for name, cell in zip(names, row, strict=True) if name)
            return
        scores = [place for place, cell in enumerate(header) if _heads_scores(cell)]
        here = {name for cell in row if (name := self.known.criterion(cell))}
        if len(scores) == 1 and len(here) == 1:
            yield here.pop(), row[scores[0]]

    # --- names

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
            behind[place], span = self.value(one.name, one.end, newline=one.heading)
            if scale := behind_name(self.text, one.end):
                behind[place] = [scale]
            if behind[place]:
                self.used.append(span)
        for place, one in enumerate(mentions):
            found = behind[place]
            if place in together:
                if numbers := self._in_turn(mentions, together[place]):
                    claims[one.name].append(numbers[together[place].index(place)])
                    continue
                if (before := self._before(mentions[together[place][0]].start)) is not None:
                    claims[one.name].append(before)
                    continue
                if each := self._for_each(one.name, mentions[together[place][-1]].end):
                    claims[one.name] += each
                    continue
                several = [value for each in together[place] for value in behind[each]]
                if several and EVERY.search(self.text, max(0, mentions[together[place][0]].start - 60), one.start):
                    claims[one.name] += several
                    continue
                if several:
                    claims[one.name].append(Fault("ambiguous: one score for several criteria"))
                continue
            if not found and (before := self._before(one.start)) is not None:
                found = [before]
            end = self._block_end(mentions, place, behind)
            if one.heading:
                found = found + self._in_block(one.name, one.end, end, only_told=bool(found))
            elif not found:
                found = self._given_later(one.name, one.end, end)
            claims[one.name] += found

    def _for_each(self, name: str, at: int) -> list[Claim]:
        """The score of each of some names that stand together: "are both 4", ": 5 each"."""
        if each := EACH.match(self.text, at):
            return self.value(name, each.end(), newline=False)[0]
        number = re.compile(NUMBER).match(self.text, self.skip(at, newline=False))
        return [self.number(number[0])] if number and EACH_BEHIND.match(self.text, number.end()) else []

    def _given_later(self, name: str, start: int, end: int) -> list[Claim]:
        """What the writer says to give, later in the sentence that names a criterion."""
        given = OWN_SENTENCE.match(self.text, start, end)
        if not given or NEGATED.search(self.text, start, given.start(1)):
            return []
        return self.value(name, given.end(), newline=False)[0]

    def _together(self, mentions: Sequence[Mention]) -> dict[int, list[int]]:
        """Places of mentions with nothing but a joint between them and different names -> all of those places."""
        groups: list[list[int]] = []
        for place, one in enumerate(mentions):
            last = mentions[place - 1] if place else None
            joint = self.text[last.end : one.start] if last else "x"
            below = one.heading and "\n" in joint and not joint.strip(LINE_SIGNS)
            if last and not below and re.fullmatch(r"(?:[\s,،/&+*_|\"'-]|and|و)*", joint):
                groups[-1].append(place)
            else:
                groups.append([place])
        several = [group for group in groups if len({mentions[place].name for place in group}) > 1]
        return {place: group for group in several for place in group}

    def _in_turn(self, mentions: Sequence[Mention], group: Sequence[int]) -> list[Claim]:
        """The scores of names that stand together, where as many numbers stand behind or before them.

        "(fluency, variety) = (4, 5)", "4 and 5 for fluency and variety".
        """
        ordered = r"\s*(?:[,،/;-]\s*(?:and\s+|و\s*)?|and\s+|و\s*)".join([rf"({NUMBER})"] * len(group))
        at = self.skip(mentions[group[-1]].end, newline=False)
        found = re.compile(rf"(?:are|الدرجات|[\s:=(\[])*{ordered}(?![\d/%])").match(self.text, at)
        if not found:
            start = mentions[group[0]].start
            ahead = re.compile(rf"(?<![\d.,/\w]){ordered}[ \t]+(?:for|in|في|علي|ل)[ \t]+(?:the )?\Z")
            found = ahead.search(self.text, max(0, start - 80), start)
        return [self.number(one) for one in found.groups()] if found else []

    def _before(self, start: int) -> Claim | None:
        """The score right before a name: "4/5 for fluency", "a 4 for fluency", "4 للطلاقة"."""
        reach = max(0, start - 40)
        last = next(reversed([*PER_FIVE.finditer(self.text, reach, start)]), None)
        joint = self.text[last.end() : start] if last else ""
        leads = last and re.search(r"(?:^|\n)[ \t*•#>|-]*\Z", self.text[max(0, last.start() - 12) : last.start()])
        sign = "[-–—:|]?" if leads else ""
        if not last or not re.fullmatch(rf"[ \t]*(?:for|in|on|في|علي|عن)?[ \t]*{sign}[ \t]*[*_\"'(]*", joint):
            last = FOR.search(self.text, reach, start) or (
                FOR_IT.search(self.text, reach, start) if self.text.startswith(("لل", "لا"), start) else None
            )
        if last is None or any(a <= last.start(1) < b for a, b in self.used):
            return None
        if LISTED.search(self.text, max(0, last.start(1) - 12), last.start(1)):
            return None  # the last of several numbers
        return self.number(last[1])

    def _block_end(self, mentions: Sequence[Mention], place: int, behind: Mapping[int, Sequence[Claim]]) -> int:
        """Where the next heading stands, or the next other criterion with a score behind its name."""
        start, name = mentions[place].end, mentions[place].name
        ends = (
            one.start
            for number, one in itertools.islice(enumerate(mentions), place + 1, None)
            if one.heading or (one.name != name and behind[number])
        )
        end = next(ends, len(self.text))
        total = TOTAL.search(self.text, start, end)
        return total.start() if total else end

    # --- blocks

    def _in_block(self, name: str, start: int, end: int, only_told: bool = False) -> list[Claim]:
        """Scores in the block of a heading: out of five, behind a word for score, or at the end of its first line.

        `only_told`: where the heading has a score already, only one that is called a score can speak against it.
        """
        block = ReplyText(self.text[start:end], self.known, self.cut and end == len(self.text))
        claims: list[Claim] = []
        for cue in CUE.finditer(block.text):
            if NEGATED.search(block.text[max(0, cue.start() - 60) : cue.start()]):
                continue
            if only_told and not re.compile(r"[\"'*_\s]*[:=]").match(block.text, cue.end()):
                continue
            claims += block.value(name, cue.end(), newline=False)[0]
        if only_told:
            return claims
        for found in PER_FIVE.finditer(block.text):
            if BEHIND_OUT_OF.match(block.text, found.end()) and not COUNT_OF.match(block.text, found.end()):
                claims.append(self.number(found[1]))
        line = block.text.split("\n", 1)[0]
        cells = CELL.findall(line) if not claims else []
        ending = AT_LINE_END.search(line) if not claims and not cells else None
        claims += [self.number(cell) for cell in cells]
        if ending and not (block.cut and len(line) == len(block.text)):
            claims.append(self.number(ending[1]))
        return claims

    def _unnamed(self, name: str) -> list[Claim]:
        """Of one criterion that alone was asked for: a reply that is its score, or ends with it on a line by itself."""
        claims = self.value(name, 0, newline=True)[0]
        claims = claims + self._in_block(name, 0, len(self.text), only_told=bool(claims))
        if claims:
            return claims
        last = self.text.rstrip().rpartition("\n")[2]
        own = ReplyText(last, self.known, self.cut)
        return own.value(name, 0, newline=False)[0]


def _cells(line: str, sign: str) -> list[str]:
    cells = [cell.strip(" *_`\"'") for cell in line.split(sign)]
    return cells[1:-1] if sign == "|" and len(cells) > 2 and not cells[0] and not cells[-1] else cells


def _heads_scores(cell: str) -> bool:
    """Whether a cell says "score", "الدرجة (من 5)", "Rating 1-5"."""
    rest = re.sub(r"\([^()]*\)|(?:out of|من)?\s*[\d/–-]+", " ", cell).split()
    return bool(rest) and all(word in SCORING for word in rest)


def _rows_under(lines: Sequence[str], at: int, sign: str, width: int, cut: bool) -> tuple[list[list[str]], int]:
    """The rows of as many cells right under a header that have a number in them, and where they all end.

    Where the reply was `cut`, of its last line the cells count that a sign closes.
    """
    rows: list[list[str]] = []
    while at < len(lines) and len(rows) < MOST_ROWS:
        cells = _cells(lines[at], sign)
        if cut and at == len(lines) - 1 and 1 < len(cells) <= width:
            cells = [*cells[:-1], *[""] * (width - len(cells) + 1)]
        if len(cells) != width or not lines[at].strip():
            break
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            rows.append(cells)
        at += 1
    return [row for row in rows if any(re.match(rf"{NUMBER}|{WORD}", cell) for cell in row)], at
