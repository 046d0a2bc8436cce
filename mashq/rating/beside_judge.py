"""A judge's scores beside people's: how far it agrees with a person, and a person with another.

Both are the mean of one coefficient of two raters, over people and over pairs of people (`mashq.metrics.beside`). The
second is the ceiling: a judge cannot be asked to agree better than people do.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.metrics.agreed import Agreement
from mashq.metrics.beside import COEFFICIENTS, beside
from mashq.rows import id_hex

__all__ = ["Scores", "beside_people", "of_each_reply", "scores_of_rows", "scores_of_samples"]

COLUMN = "judge_"  # how the columns of samples.parquet begin that a judge filled


@dataclass(frozen=True)
class Scores:
    """What a judge said of replies: (id of the sample, criterion) -> 1 to 5; replies without a score are not in it."""

    values: Mapping[tuple[str, str], float]
    about: Mapping[str, str]  # model, rubric and language, where the rows say them


def scores_of_rows(tables: Iterable[pa.Table]) -> Scores:
    """The scores in the `meta` of judged rows."""
    values: dict[tuple[str, str], float] = {}
    about: dict[str, str] = {}
    for table in tables:
        for one, meta in zip(table["id"].to_pylist(), table["meta"].to_pylist(), strict=True):
            told = json.loads(meta or "{}").get("judge") or {}
            about |= {name: str(told[name]) for name in ("model", "rubric", "language") if name in told}
            for criterion, score in (told.get("scores") or {}).items():
                if score is not None:
                    values[id_hex(one), criterion] = float(score)
    return Scores(values, about)


def scores_of_samples(path: Path) -> Scores:
    """The scores in an evaluation's samples.parquet; empty where no judge was asked."""
    columns = [name for name in pq.read_schema(path).names if name.startswith(COLUMN)]
    rows = pq.read_table(path, columns=["id", *columns]).to_pylist() if columns else []
    values = {
        (row["id"], name.removeprefix(COLUMN)): float(row[name])
        for row in rows
        for name in columns
        if row[name] is not None and not math.isnan(row[name])
    }
    return Scores(values, {})


def of_each_reply(rows: Sequence[Mapping[str, Any]], judge: Scores | None) -> list[dict[str, Any]]:
    """What people and the judge said of each rated reply, in order of item and system.

    `rows` are people's scores of single replies: rater (a number as text), sample, asked, systems, criterion, value.
    `people`: criterion -> the raters' mean and each rater's score; `judge`: criterion -> its score as it gave it, for
    the criteria that people scored; without an entry where it gave none.
    """
    given: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for row in rows:
        said = given.setdefault((row["asked"], row["systems"][0], row["sample"]), {})
        said.setdefault(row["criterion"], {})[row["rater"]] = row["value"]
    values = judge.values if judge else {}
    found = []
    for (item, system, sample), said in sorted(given.items()):
        people = {
            criterion: {"mean": sum(scores.values()) / len(scores), "raters": dict(sorted(scores.items(), key=_number))}
            for criterion, scores in said.items()
        }
        judged = {criterion: values[sample, criterion] for criterion in said if (sample, criterion) in values}
        found.append({"item": item, "system": system, "people": people, "judge": judged})
    return found


def _number(rater: tuple[str, float]) -> int:
    return int(rater[0])


def beside_people(rows: Sequence[Mapping[str, Any]], judge: Scores, *, seed: int = 0) -> list[dict[str, Any]]:
    """For each criterion that both scored: the coefficients of judge and person, of person and person, and the one
    minus the other on the replies that two people scored.

    `rows` are people's scores of single replies: rater, sample, criterion, value, group. A judge's score between two
    steps goes to the nearer one, half up. A coefficient of people is None where no reply has two raters.
    """
    found = []
    for criterion in dict.fromkeys(row["criterion"] for row in rows):
        given: dict[str, dict[str, int]] = defaultdict(dict)
        groups: dict[str, str] = {}
        for row in rows:
            if row["criterion"] == criterion and (row["sample"], criterion) in judge.values:
                given[row["sample"]][row["rater"]] = int(row["value"])
                groups[row["sample"]] = row["group"]
        if given:
            said = {sample: math.floor(judge.values[sample, criterion] + 0.5) for sample in given}
            found.append(_one(criterion, given, said, groups, seed))
    return found


def _one(
    criterion: str,
    given: Mapping[str, Mapping[str, int]],
    said: Mapping[str, int],
    groups: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    """One criterion; `given`: sample -> rater -> score, `said`: sample -> the judge's."""
    raters = sorted({rater for one in given.values() for rater in one})
    judge = list(said.values())
    people = [[one.get(rater) for one in given.values()] for rater in raters]
    by = [groups[sample] for sample in given]
    bias = [said[sample] - sum(one.values()) / len(one) for sample, one in given.items()]
    numbers = [len(one) for one in given.values()]
    return {
        "criterion": criterion,
        "replies": len(given),
        "shared": sum(number > 1 for number in numbers),  # replies with two raters or more
        "higher": sum(bias) / len(bias),  # judge minus the mean of people, points of the scale
        "measures": [_measured(judge, people, name, by, seed, numbers) for name in COEFFICIENTS],
    }


def _measured(
    judge: Sequence[int],
    people: Sequence[Sequence[int | None]],
    name: str,
    groups: Sequence[str],
    seed: int,
    numbers: Sequence[int],
) -> dict[str, Any]:
    """One coefficient; `numbers`: of raters, of each reply."""
    found = beside(judge, people, name, groups=groups, seed=seed)
    pairs = sum(number * (number - 1) // 2 for number in numbers)
    return {
        "name": name,
        "judge": _plain(found.judge, sum(numbers)),
        "people": found.people and _plain(found.people, pairs),
        "difference": found.difference and {**asdict(found.difference), "below": found.difference.below},
    }


def _plain(found: Agreement, pairs: int) -> dict[str, Any]:
    """`pairs`: of ratings of one reply, each once."""
    kept = ("value", "low", "high", "reason", "word", "trouble", "signature")
    return {**{name: getattr(found, name) for name in kept}, "pairs": pairs}
