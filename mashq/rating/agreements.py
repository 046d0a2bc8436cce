"""How far the raters of a study agree: a line for each criterion and variety, from the answers to real items alone.

Scores of replies and preferences between them are different questions though their criteria have one name, so they are
never put together. Of checks the verdicts are compared, as names without an order: to correct a text is no middle
between accepting and rejecting it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq.metrics.agreed import Agreement
from mashq.metrics.agreement import alpha, exact, measures, severity
from mashq.metrics.ratings import Ratings
from mashq.metrics.score import Score
from mashq.rating.answers import VERDICTS
from mashq.rating.store import Store
from mashq.rows import MashqError

__all__ = ["EVERY", "SCALES", "Agreed", "agreements", "agreements_of", "as_text", "counted"]

SCALES = {"absolute": (1, 5), "pairwise": (-1, 1), "check": (0, len(VERDICTS) - 1)}
ASKED = {"absolute": "scores", "pairwise": "preferences", "check": "checks"}  # kind -> its word in a heading
EVERY = "all"  # varieties together


@dataclass(frozen=True)
class Agreed:
    """The raters' agreement on one criterion, in one variety or in all."""

    criterion: str
    kind: str  # absolute | pairwise | check
    variety: str
    items: int  # with at least one answer
    measures: tuple[Agreement, ...]
    severity: dict[str, Score | None]  # of scores alone: of each rater, in points; None: shares no item
    simulated: bool


def agreements(store: Store, *, seed: int = 0, withdrawn: bool = False) -> list[Agreed]:
    """Agreement by criterion, of all varieties together and then of each; practice and attention items do not count.

    `withdrawn`: raters who were withdrawn count too. Raises MashqError where fewer than two raters answered.
    """
    return agreements_of(store.answers(), seed=seed, withdrawn=withdrawn)


def agreements_of(answers: pa.Table, *, seed: int = 0, withdrawn: bool = False) -> list[Agreed]:
    """`agreements` of answers as rows (`table.COLUMNS`)."""
    rows = [row for row in (*counted(answers), *_verdicts(answers)) if withdrawn or not row["withdrawn"]]
    if len({row["rater"] for row in rows}) < 2:
        raise MashqError("agree: expected answers of at least two raters, got fewer. Ask more raters, or wait.")
    found = []
    for kind, criterion in dict.fromkeys((row["kind"], row["criterion"]) for row in rows):
        here = [row for row in rows if (row["kind"], row["criterion"]) == (kind, criterion)]
        varieties = sorted({row["variety"] or "" for row in here} - {""})
        for variety in [EVERY, *(varieties if len(varieties) > 1 else [])]:
            some = [row for row in here if variety in (EVERY, row["variety"])]
            if len({row["rater"] for row in some}) >= 2:
                found.append(_agreed(some, kind, criterion, variety, seed))
    return found


def counted(answers: pa.Table) -> list[dict[str, Any]]:
    """The rows that say something of a text: a number, on a real item."""
    return answers.filter(pc.and_(pc.equal(answers["role"], "item"), pc.is_valid(answers["value"]))).to_pylist()


def _verdicts(answers: pa.Table) -> list[dict[str, Any]]:
    """The rows that say a verdict on a real item, with its place in `VERDICTS` as the value."""
    rows = answers.filter(pc.and_(pc.equal(answers["role"], "item"), pc.equal(answers["kind"], "check"))).to_pylist()
    return [{**row, "value": VERDICTS.index(row["said"])} for row in rows]


def _agreed(rows: Sequence[Mapping[str, Any]], kind: str, criterion: str, variety: str, seed: int) -> Agreed:
    ratings = Ratings.of(
        [(row["item"], row["rater"], int(row["value"])) for row in rows],
        scale=SCALES[kind],
        groups={row["item"]: row["group"] or row["item"] for row in rows},
    )
    simulated, items = any(row["simulated"] for row in rows), len({row["item"] for row in rows})
    if kind == "check":
        told: tuple[Agreement, ...] = (alpha(ratings, level="nominal", seed=seed), exact(ratings, seed=seed))
    else:
        told = measures(ratings, seed=seed)
    severe = severity(ratings, seed=seed) if kind == "absolute" else {}
    return Agreed(criterion, kind, variety, items, told, severe, simulated)


def as_text(found: Sequence[Agreed], *, as_json: bool = False) -> str:
    """Lines for the terminal, or everything as JSON."""
    if as_json:
        return json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1)
    lines = ["SIMULATED raters: these numbers say nothing about people."] if any(one.simulated for one in found) else []
    advice: dict[str, None] = {}
    for one in found:
        lines.append(f"{one.criterion} ({ASKED[one.kind]}, {one.variety}, {one.items} items)")
        for measure in one.measures:
            value = "no value" if measure.value is None else f"{measure.value:6.3f}"
            between = "" if measure.low is None else f" [{measure.low:.3f}, {measure.high:.3f}]"
            lines.append(f"  {measure.name:<20} {value}{between} n={measure.n} {measure.word}".rstrip())
        # What to do is the same for many coefficients, and is said once, after all of them.
        advice |= {f"! {measure.advice}.": None for measure in one.measures if measure.advice}
        warnings = (
            measure.warning.replace(f". {measure.advice} (", " (") for measure in one.measures if measure.warning
        )
        lines += [f"  ! {warning}" for warning in dict.fromkeys(warnings)]
        said = [f"{rater} {score.value:+.2f}" for rater, score in one.severity.items() if score is not None]
        lines += [f"  severity: {', '.join(said)}"] if said else []
    return "\n".join([*lines, *advice])
