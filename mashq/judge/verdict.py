"""What a judge replied on a pair -> the better side by each criterion and as a whole, or why none can be known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mashq.judge.claims import ReplyText
from mashq.judge.patterns import BEHIND, NEGATED
from mashq.judge.rubrics import Criterion
from mashq.judge.words import SCORING, Claim, Fault, Pairs, Plain, Vocabulary, objects, of_object, said_in, vocabulary

__all__ = ["OVERALL", "Verdicts", "read_verdicts"]

OVERALL = "overall"  # the name under which a pair is judged as a whole
KIND = "reply|response|answer|text|story|option|one|الرد|الاجابه|النص|القصه|الجواب|رد|اجابه|نص|قصه"
THING = rf"(?:the )?(?:{KIND})?\s?(?:number|no\.?|رقم)?\s?#?"
AGAIN = rf"(?:\s(?:{KIND}))?"  # "the first reply"
SIDES = {
    "first": rf"{THING}\s?(?:first|1st|one|1|a|(?:ال)?اول[يى]?){AGAIN}",
    "second": rf"{THING}\s?(?:second|2nd|two|2|b|(?:ال)?ثاني(?:ه)?){AGAIN}",
    "tie": r"(?:it'?s )?(?:a )?(?:tied?|draw|equal(?:ly good)?|(?:the )?same(?!\sas)|both|neither|no difference)"
    "|تعادل|متعادل(?:ان|تان|ين)|متساوي(?:ان|تان|ين)|سواء|لا فرق|كلاهما|كلتاهما|لا احد منهما",
}
OVERALLS: tuple[str, ...] = ("overall", "better", "winner", "verdict", "preference", "preferred", "best", "choice")
OVERALLS += ("عموما", "الافضل", "الحكم", "الفائز", "بشكل عام", "المجمل", "اجمالا", "الاختيار", "التفضيل")
SIDE = re.compile("|".join(rf"(?P<{side}>(?:{words}))(?!\w)" for side, words in SIDES.items()))
IS_BETTER = r"\s?(?:is|was|هو|هي)?\s?(?:clearly |slightly |much )?(?:the )?(?:better|best|winner|wins|الافضل|افضل|احسن)"
BEST = re.compile(
    "|".join(
        rf"(?P<{side}>(?<!\w)(?:{SIDES[side]})){IS_BETTER}(?!\w)(?!\s(?:in|at|by|في|من))"
        for side in ("first", "second")
    )
)
THERE = re.compile(r"""[\s:=*_"'`|(\[—–-]*""")
# "A > B", "B < A": the sign says which.
HELD = re.compile(
    rf"(?<!\w)(?P<one>{SIDES['first']}|{SIDES['second']})\s?(?P<sign>>+|<+|=+|≈)\s?"
    rf"(?P<other>{SIDES['first']}|{SIDES['second']})(?!\w)"
)
NEITHER = re.compile(r"(?<!\w)(?:neither|nor|ولا)\s\Z")


@dataclass(frozen=True)
class Verdicts:
    """ "first", "second" or "tie" for every name, None where none can be known; `why` as in `Reading`."""

    values: Mapping[str, str | None]
    why: Mapping[str, str] = field(default_factory=dict)


def read_verdicts(reply: str, criteria: Sequence[Criterion]) -> Verdicts:
    """A judge's reply on a pair -> the better side by each criterion and as a whole (`OVERALL`). Never raises.

    The verdict as a whole may stand without a name, where nothing else stands in the reply.
    """
    names = [*(one.name for one in criteria), OVERALL]
    said = said_in(reply)
    if isinstance(said, Fault):
        return Verdicts(dict.fromkeys(names), dict.fromkeys(names, str(said)))
    plain: Plain = (*((one.name, one.names, ()) for one in criteria), (OVERALL, OVERALLS, ()))
    claims: dict[str, list[Claim]] = {name: [] for name in names}
    _gather_verdicts(said, vocabulary(plain), claims)
    values, why = {}, {}
    for name, several in claims.items():
        found = sorted({str(one) for one in several})
        values[name] = found[0] if len(found) == 1 and found[0] in SIDES else None
        if values[name] is None:
            why[name] = f"ambiguous: {' and '.join(found)}" if found else "no verdict: none stands beside its name"
    return Verdicts(values, why)


def _gather_verdicts(text: str, known: Vocabulary, claims: dict[str, list[Claim]]) -> None:
    own = ReplyText(text, known, cut=False)
    spans = []
    for start, end, pairs in objects(text):
        of_object(pairs, known, lambda _, value: _side_of(value), claims)
        spans.append((start, end))
    own.blank(spans, "\n")
    own.text = re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", own.text))
    for one in own.mentions():
        there = THERE.match(own.text, one.end)
        place = there.end() if there else one.end
        if held := HELD.match(own.text, place):
            claims[one.name].append(_held(held))
            continue
        for at in (place, own.skip(one.end, one.heading)):
            found = SIDE.match(own.text, at)
            if found and BEHIND.match(own.text, found.end()):
                claims[one.name].append(str(found.lastgroup))
                break
    if not claims[OVERALL]:
        bare = own.text.strip(" \n\t[](){}<>*_`\"'.!«»")
        if found := SIDE.fullmatch(bare):
            claims[OVERALL].append(str(found.lastgroup))
        if held := HELD.fullmatch(bare):
            claims[OVERALL].append(_held(held))
        claims[OVERALL] += [str(found.lastgroup) for found in BEST.finditer(own.text) if not _denied(own.text, found)]


def _held(found: re.Match[str]) -> Claim:
    """The side that a sign puts above the other; a fault where both are one."""
    one, other = (str(match.lastgroup) for name in ("one", "other") if (match := SIDE.fullmatch(found[name])))
    if one == other:
        return Fault(f"no side: {found[0]!r}")
    return {">": one, "<": other}.get(found["sign"][0], "tie")


def _denied(text: str, found: re.Match[str]) -> bool:
    """Whether what stands before a praise takes it back: "I do not think the first is better"."""
    before = text[max(0, found.start() - 60) : found.start()]
    return bool(NEGATED.search(before) or NEITHER.search(before))


def _side_of(value: Any) -> list[Claim]:
    if isinstance(value, Pairs):
        inner = [v for k, v in value if k.strip() in SCORING | set(OVERALLS)]
        return [one for v in inner for one in _side_of(v)]
    if isinstance(value, bool) or not isinstance(value, int | str):
        return [Fault("no side")]
    found = SIDE.fullmatch(" ".join(str(value).split()).strip(" []()*_`\"'."))
    return [str(found.lastgroup) if found else Fault(f"no side: {str(value)[:40]!r}")]
