"""A judge's scores beside people's: how far it agrees with a person, and a person with another.

Both are one coefficient of two ratings of one reply, over all such pairs: (judge, person) and (person, other person),
each pair of people both ways. The second is the ceiling: a judge cannot be asked to agree better than people do.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.metrics.agreement import Agreement, Ratings, alpha, kappa, spearman
from mashq.rows import id_hex

__all__ = ["Scores", "beside_people", "of_each_reply", "scores_of_rows", "scores_of_samples"]

COLUMN = "judge_"  # how the columns of samples.parquet begin that a judge filled
MEASURES: Mapping[str, Callable[..., Agreement]] = {
    "quadratic kappa": partial(kappa, weights="quadratic"),
    "spearman": spearman,
    "ordinal alpha": alpha,
}


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
    """For each criterion that both scored: the coefficients of judge and person, and of person and person.

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
    with_judge = [(said[sample], score, groups[sample]) for sample, one in given.items() for score in one.values()]
    people = [(*two, groups[sample]) for sample, one in given.items() for two in permutations(one.values(), 2)]
    bias = [said[sample] - sum(one.values()) / len(one) for sample, one in given.items()]
    return {
        "criterion": criterion,
        "replies": len(given),
        "shared": sum(len(one) > 1 for one in given.values()),  # replies with two raters or more
        "higher": sum(bias) / len(bias),  # judge minus the mean of people, points of the scale
        "measures": [
            {"name": name, "judge": _measured(with_judge, measure, seed), "people": _measured(people, measure, seed)}
            for name, measure in MEASURES.items()
        ],
    }


def _measured(
    pairs: Sequence[tuple[int, int, str]], measure: Callable[..., Agreement], seed: int
) -> dict[str, Any] | None:
    if not pairs:
        return None
    left, right, groups = zip(*pairs, strict=True)
    found = measure(Ratings.of_matrix([left, right], raters=["one", "other"], groups=groups), seed=seed)
    return {
        **{name: getattr(found, name) for name in ("value", "low", "high", "reason", "word", "trouble", "signature")},
        "pairs": len(pairs),
    }
