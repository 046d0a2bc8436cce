"""What a judge replied -> a score for each criterion, or the reason for which none can be known.

A reply is read in one normal form: thoughts and invisible marks gone, letters folded, every script's digits western.
Then each thing in it that claims a score is gathered: values of JSON objects, of lines, tables and sentences that name
a criterion. What repeats the scale ("1 = very poor ... 5 = excellent", "from 1 to 5") claims nothing. A criterion has a
score where all its claims agree on one number from 1 to 5; else it has none and a reason. Nothing is guessed: a number
that may count something else ("4 mistakes") is no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mashq.judge.claims import ReplyText
from mashq.judge.clear import first_turn
from mashq.judge.patterns import CORRECTS
from mashq.judge.rubrics import Criterion
from mashq.judge.scales import scale_of_all
from mashq.judge.values import PlainText
from mashq.judge.words import Claim, Fault, Vocabulary, objects, plain_of, said_in, vocabulary

__all__ = ["Reading", "read_scores"]

MOST_CORRECTIONS = 3  # the last lines that call what follows them final


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
    said = said_in(first_turn(reply))
    if isinstance(said, Fault):
        return Reading({one.name: None for one in criteria}, {one.name: str(said) for one in criteria})
    known = vocabulary(plain_of(criteria))
    if scale := _scale_of_all(said, known):
        return Reading({one.name: None for one in criteria}, {one.name: str(scale) for one in criteria})
    for line in reversed(list(CORRECTS.finditer(said))[-MOST_CORRECTIONS:]):
        last = _read(said[line.end() :], known, cut)
        if not last.why:
            return last
        if any(value is not None for value in last.values.values()):
            return _corrected(_read(said[: line.end()], known, False), last)
    return _read(said, known, cut)


def _scale_of_all(said: str, known: Vocabulary) -> Fault | None:
    """Another scale that the reply says once for all, outside JSON."""
    prose = PlainText(said, known, cut=False)
    prose.blank([(start, end) for start, end, _ in objects(said)], "\n")
    return scale_of_all(prose.text, known.mention)


def _corrected(first: Reading, last: Reading) -> Reading:
    """What the last word says, and of what it does not speak, what the first said."""
    values = {name: first.values[name] if value is None else value for name, value in last.values.items()}
    return Reading(values, {name: why for name, why in first.why.items() if values[name] is None})


def _read(said: str, known: Vocabulary, cut: bool) -> Reading:
    claims: dict[str, list[Claim]] = {name: [] for name in known.names}
    ReplyText(said, known, cut).gather(claims)
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
