"""What a judge replied on a pair -> the better side by each criterion and as a whole, or why none can be known."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mashq.judge.amended import apart
from mashq.judge.claims import ReplyText
from mashq.judge.clear import DOUBT, cleared, first_turn, not_meant
from mashq.judge.patterns import EVERY, EXCEPT
from mashq.judge.rubrics import Criterion
from mashq.judge.sides import (
    ASIDE_OF_SIDE,
    BEST,
    BEST_AT_THIS,
    CONCLUDES,
    DENIED,
    HELD,
    IF_SO,
    NEITHER,
    OVERALLS,
    SIDE,
    SIDE_ENDS,
    SIDES,
    THERE,
    TIED,
    WINNING,
    WORSE,
)
from mashq.judge.values import Mention
from mashq.judge.words import SCORING, Claim, Fault, Pairs, Plain, Vocabulary, objects, of_object, said_in, vocabulary

__all__ = ["OVERALL", "Verdicts", "read_verdicts"]

OVERALL = "overall"  # the name under which a pair is judged as a whole
# Behind "the first is better": by what, so that it is no verdict as a whole.
BY_ONE = re.compile(r"\s(?:in|at|by|on|for|في|من حيث|من ناحيه)(?!\w)")
UNTIL_REASON = re.compile(r"(?:(?!(?<!\w)(?:because|since|as it|لان\w*|بسبب)(?!\w))[^.\n!?؟;])*")
THAN = rf"(?:\s(?:than|من)\s(?:{SIDES['first']}|{SIDES['second']}))?"
BY_EVERY = re.compile(rf"{THAN}\s(?:by|in|on|at|across|for|في|ب|من حيث)?\s?(?:{EVERY.pattern})")

ALL_TIED = re.compile(rf"(?:{EVERY.pattern})\s(?:is|are|ends? in)\s(?:{TIED.pattern})")
# Around a name: what makes the side behind it the one that holds.
CHANGES = (
    ("", r"[*_\"'`”»]{0,3}(?: verdict| winner)? (?:should|must|ought to)(?: \w+)?(?: have been| be)(?: the)?(?!\w)"),
    ("", r"[*_\"'`”»]{0,3} (?:يجب|ينبغي|الصحيح)(?: ان)? (?:تكون|يكون|تصبح|يصبح)(?!\w)"),
    (
        r"(?<!\w)(?:change|correct|revise) (?:the |my )?[\"'`*]*",
        r"[*_\"'`]{0,3}(?: verdict)?(?: from (?:the )?\w+)? to(?!\w)",
    ),
    (r"(?:^|\n)[*_ ]*(?:correction|corrected|تصحيح)[*_ ]*:?[*_ ]*", r"[*_\"'`”»]{0,3} ?(?::|is|هو|هي)(?!\w)"),
)


@dataclass(frozen=True)
class Verdicts:
    """ "first", "second" or "tie" for every name, None where none can be known; `why` as in `Reading`."""

    values: Mapping[str, str | None]
    why: Mapping[str, str] = field(default_factory=dict)


def read_verdicts(reply: str, criteria: Sequence[Criterion]) -> Verdicts:
    """A judge's reply on a pair -> the better side by each criterion and as a whole (`OVERALL`). Never raises.

    The verdict as a whole may stand without a name in a sentence ("the first is better") or in brackets ("[[A]]");
    a bare "first" is none, as several verdicts were asked for.
    """
    names = [*(one.name for one in criteria), OVERALL]
    said = said_in(first_turn(reply))
    if isinstance(said, Fault):
        return Verdicts(dict.fromkeys(names), dict.fromkeys(names, str(said)))
    plain: Plain = (*((one.name, one.names, ()) for one in criteria), (OVERALL, OVERALLS, ()))
    claims: dict[str, list[Claim]] = {name: [] for name in names}
    _Said(said, vocabulary(plain)).gather(claims)
    values, why = {}, {}
    for name, several in claims.items():
        found = sorted({str(one) for one in several})
        values[name] = found[0] if len(found) == 1 and found[0] in SIDES else None
        if values[name] is None:
            why[name] = f"ambiguous: {' and '.join(found)}" if found else "no verdict: none stands beside its name"
    return Verdicts(values, why)


class _Said:
    """One reply on a pair in its normal form, and the verdicts in it."""

    def __init__(self, text: str, known: Vocabulary):
        self.known = known
        self.own = ReplyText(text, known, cut=False)
        # Whether it gives scores, so that a 1 or a 2 is no side.
        self.scored = bool(re.search(rf"{known.mention.pattern}[\s\"'*_:=|(]{{1,6}}[03-9](?!\w)", text))

    def gather(self, claims: dict[str, list[Claim]]) -> None:
        """Add every verdict to those of its name."""
        text, own, spans = self.own.text, self.own, []
        for start, end, pairs in objects(text):
            spans.append((start, end))
            if not not_meant(text, start, end):
                of_object(pairs, self.known, lambda _, value: self._in_json(value), claims)
        own.blank(spans, "\n")
        own.text = re.sub(rf"[ \t]/[ \t](?={self.known.mention.pattern}[*_\"'` ]*[:=])", "\n", own.text)
        self._columns()
        own.text = cleared(re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", own.text)))
        changed = self._changed()
        mentions = own.mentions()
        under = self._under(mentions)
        for one in mentions:
            if claim := self._beside(one):
                claims[under.get(one.start) or self._whose(one, mentions)].append(claim)
        self._concluded(mentions, claims)
        self._for_every(mentions, claims)
        for name, claim in changed.items():
            claims[name][:] = [claim]
        if not claims[OVERALL]:
            self._unnamed(mentions, claims[OVERALL])

    def _changed(self) -> dict[str, Claim]:
        """Verdicts that words change after they were given, "overall should be second"; those words are taken out."""
        said: dict[str, set[Claim]] = {}
        spans = []
        for lead, behind in CHANGES:
            for found in re.finditer(rf"{lead}{self.known.mention.pattern}{behind}[\s:*_\"'`“«]*", self.own.text):
                side = SIDE.match(self.own.text, found.end())
                if side and SIDE_ENDS.match(self.own.text, side.end()):
                    claim = self._sure(str(side.lastgroup), side.end())
                    said.setdefault(self.known.of(found), set()).add(claim)
                    spans.append((found.start(), side.end()))
        self.own.blank(apart(spans))
        return {name: one.pop() if len(one) == 1 else Fault("changed twice") for name, one in said.items()}

    def _under(self, mentions: Sequence[Mention]) -> dict[int, str]:
        """Where a line such as "Winner: the first" stands under each criterion's heading -> that criterion.

        Only where one such line, with the same word, stands under every one of two headings or more.
        """
        blocks: list[tuple[str, list[Mention]]] = []
        starts = {one.start: one for one in mentions if one.heading and one.name == OVERALL}
        place = 0
        for line in self.own.text.split("\n"):
            heads = self.known.criterion(line.strip(" #*_`:.)-0123456789"))
            found = [starts[at] for at in range(place, place + len(line)) if at in starts]
            if heads:
                blocks.append((heads, []))
            elif blocks:
                blocks[-1][1].extend(found[:1])
            place += len(line) + 1
        own = [(name, lines) for name, lines in blocks if name != OVERALL]
        words = {self.own.text[lines[0].start : lines[0].end] for _, lines in own if lines}
        whole = all(lines for _, lines in own) and all(len(lines) == 1 for _, lines in own[:-1])
        return {lines[0].start: name for name, lines in own} if len(own) > 1 and whole and len(words) == 1 else {}

    def _in_json(self, value: Any) -> list[Claim]:
        if self.scored and str(value).strip().isdigit():
            return [Fault(f"no side: {str(value)[:40]!r}")]
        return _side_of(value)

    def _columns(self) -> None:
        """Make lines of a table with one column for the winner: "| fluency | 4 | 3 | first |" -> "fluency: first"."""
        lines, column, width = self.own.text.split("\n"), None, 0
        for number, line in enumerate(lines):
            cells = [cell.strip(" *_`") for cell in line.strip().strip("|").split("|")]
            if len(cells) < 3:
                column = None
                continue
            winning = [place for place, cell in enumerate(cells) if WINNING.fullmatch(cell)]
            if len(winning) == 1 and winning[0] > 0:
                column, width = winning[0], len(cells)
                lines[number] = ""
            elif column is not None and len(cells) == width and self.known.criterion(cells[0]):
                lines[number] = f"{cells[0]}: {cells[column]}"
        self.own.text = "\n".join(lines)

    def _beside(self, one: Mention) -> Claim | None:
        """The side that stands behind a name; a fault where the line goes on to doubt it."""
        own = self.own
        there = THERE.match(own.text, one.end)
        place = there.end() if there else one.end
        comma = re.compile(r"[*_]*, ").match(own.text, one.end) if one.name == OVERALL else None
        for at in (place, own.skip(one.end, one.heading), comma.end() if comma else place):
            if "\n" in own.text[one.end : at] and not one.heading:
                continue
            if worse := WORSE.match(own.text, at):
                return self._sure(_side(worse), worse.end())
            if held := HELD.match(own.text, at):
                return self._sure(_held(held), held.end())
            best = BEST.match(own.text, at)
            if best and not (one.name == OVERALL and BY_ONE.match(own.text, best.end())):
                return self._sure(_side(best), best.end())
            more = BEST_AT_THIS.match(own.text, at) if one.name != OVERALL else None
            if more:
                return self._sure(_side(more), more.end())
            found = SIDE.match(own.text, at)
            if found and SIDE_ENDS.match(own.text, found.end()) and not (self.scored and found[0].isdigit()):
                return self._sure(str(found.lastgroup), found.end())
        return None

    def _sure(self, claim: Claim, end: int) -> Claim:
        line = self.own.text[end : end + 80].partition("\n")[0]
        asks = re.match(r"[^.!\n]{0,80}?[?؟]", line)
        unsure = asks or DOUBT.search(line) or IF_SO.search(re.split(r"[.!؛;]", line)[0])
        return Fault("no side: the writer is in doubt") if unsure else claim

    def _line(self, at: int) -> int:
        return self.own.text.rfind("\n", 0, at) + 1

    def _whose(self, one: Mention, mentions: Sequence[Mention]) -> str:
        """A word such as "winner" in a line that begins with a criterion speaks of that criterion."""
        if one.name != OVERALL or one.heading:
            return one.name
        start = self._line(one.start)
        heads = [each for each in mentions if each.heading and start <= each.start < one.start]
        others = {each.name for each in mentions if heads and heads[-1].start < each.start < one.start}
        return one.name if not heads or others - {heads[-1].name, OVERALL} else heads[-1].name

    def _concluded(self, mentions: Sequence[Mention], claims: dict[str, list[Claim]]) -> None:
        """Add what the line of a criterion ends with: "الاول اقل سلاسه من الثاني، فالافضل الثاني"."""
        for one in mentions:
            if not one.heading or claims[one.name]:
                continue
            line = self.own.text[one.end : one.end + 300].partition("\n")[0]
            if found := [*CONCLUDES.finditer(line)]:
                claims[one.name].append(str(found[-1].lastgroup))
            elif re.search(r"[,،] ?(?:so )?(?:it's )?(?:a )?(?:تعادل|tie)[.!]?\Z", line):
                claims[one.name].append("tie")

    def _for_every(self, mentions: Sequence[Mention], claims: dict[str, list[Claim]]) -> None:
        """Add a verdict that is said of all criteria, with the exceptions that its sentence names."""
        text = self.own.text
        for best in itertools.chain(BEST.finditer(text), TIED.finditer(text), ALL_TIED.finditer(text)):
            behind = best if best.re is ALL_TIED else BY_EVERY.match(text, best.end())
            if not behind or _denied(text, best):
                continue
            end = re.compile(r"[^.\n!?؟]*").match(text, behind.end())
            stop = end.end() if end else len(text)
            apart = EXCEPT.search(text, behind.end(), stop)
            left_out = {one.name for one in mentions if apart and apart.end() <= one.start < stop}
            for name, several in claims.items():
                if name not in left_out and (name != OVERALL or not several):
                    several.append("tie" if best.re in (TIED, ALL_TIED) else _side(best))

    def _unnamed(self, mentions: Sequence[Mention], claims: list[Claim]) -> None:
        """Add a verdict as a whole that stands without a name, and in no sentence about a criterion.

        A side alone is one in the brackets that stand for it, "[[A]]"; else nobody knows which of the verdicts it is.
        """
        text = self.own.text
        bare = text.strip(" \n\t[](){}<>*_`\"'.!«»")
        if (found := SIDE.fullmatch(bare)) and "[[" in text:
            claims.append(str(found.lastgroup))
        if held := HELD.fullmatch(bare):
            claims.append(_held(held))
        about = [one.start for one in mentions if one.name != OVERALL]
        for found in BEST.finditer(text):
            start = max(text.rfind(sign, 0, found.start()) for sign in "\n.!?؟;") + 1
            rest = UNTIL_REASON.match(text, found.end())
            stop = rest.end() if rest else len(text)
            if _denied(text, found) or any(start <= one < stop for one in about) or BY_ONE.match(text, found.end()):
                continue
            claims.append(self._sure(_side(found), found.end()))


def _side(found: re.Match[str]) -> str:
    return str(found.lastgroup).strip("_")


def _held(found: re.Match[str]) -> Claim:
    """The side that a sign puts above the other; a fault where both are one."""
    one, other = (str(match.lastgroup) for name in ("one", "other") if (match := SIDE.fullmatch(found[name])))
    if one == other:
        return Fault(f"no side: {found[0]!r}")
    return {">": one, "<": other}.get(found["sign"][0], "tie")


def _denied(text: str, found: re.Match[str]) -> bool:
    """Whether what stands before a praise takes it back: "I do not think the first is better"."""
    before = text[max(0, found.start() - 60) : found.start()]
    return bool(DENIED.search(before) or NEITHER.search(before))


def _side_of(value: Any) -> list[Claim]:
    if isinstance(value, Pairs):
        inner = [v for k, v in value if k.strip() in SCORING | set(OVERALLS)]
        return [one for v in inner for one in _side_of(v)]
    if isinstance(value, bool) or not isinstance(value, int | str):
        return [Fault("no side")]
    said = " ".join(str(value).split()).strip(" []*_`\"'.")
    aside = ASIDE_OF_SIDE.fullmatch(said)
    found = [SIDE.fullmatch(one.strip(" ()")) for one in (aside.groups() if aside else (said,))]
    sides = {str(one.lastgroup) for one in found if one}
    if found[0] and len(sides) == 1:
        return [*sides]
    if held := HELD.fullmatch(said):
        return [_held(held)]
    return [Fault(f"no side: {str(value)[:40]!r}")]
