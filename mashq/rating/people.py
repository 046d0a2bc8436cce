"""What people said of the replies of an evaluation: means, differences, agreement, and a judge beside them.

The ratings are an export of a study that `study_of_samples` made of this evaluation. Each of its items has a name made
from the item, the systems and the replies themselves, so that ratings of other replies are refused, not joined.
Raters are numbered, never named: people.json is made to be published.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mashq.metrics import compare, holm, mean_score
from mashq.metrics.agreed import Agreement
from mashq.metrics.score import Score, sign
from mashq.rating.agreements import EVERY, Agreed, agreements_of, counted
from mashq.rating.answered import read_answers
from mashq.rating.beside_judge import Scores, beside_people, of_each_reply, scores_of_rows, scores_of_samples
from mashq.rating.store import Store
from mashq.rating.study import sample_id
from mashq.rows import MashqError, expected_got
from mashq.run import Job, Step, read_rows
from mashq.shards import write_json

__all__ = ["people", "said_by_people"]

SCALE = (1.0, 5.0)  # of a score
PREFERRED = (0.0, 1.0)  # so that a preference, told against 0, may be -1 to 1
RATED = ("absolute", "pairwise")  # a check is of a translation, not of a reply
SAMPLES = ("id", "item", "system", "variety", "group", "reply")  # the columns that are read


def people(name: str, evaluation: Step, ratings: str | Path, judged: Mapping[str, Step] | None = None) -> Step:
    """What people said of an evaluation's replies: a folder with people.json.

    `ratings` is a file of `mashq.rating.exports` (CSV, JSON, Parquet) or the study's own .sqlite; its content is in the
    fingerprint. `judged`: system -> its judged rows; without them a judge's scores are looked for in the evaluation.
    The step raises MashqError for ratings of other replies and says how many. Raises MashqError for a .sqlite that is
    still served: its newest answers lie beside it, where the fingerprint does not see them.
    """
    if Path(ratings).suffix == ".sqlite":
        _settle(Path(ratings))
    beside = {f"judged {system}": step for system, step in (judged or {}).items()}
    inputs = {"evaluation": evaluation, **beside}
    return Step(
        name, _told, None, inputs, files={"ratings": ratings}, kind="folder", produces="people",
        private=evaluation.private, version=3,  # 2: what was said of each reply; 3: people pair by pair
    )  # fmt: skip


def _settle(path: Path) -> None:
    """Have the answers that lie beside a study's file, in its write-ahead log, written into it."""
    Store.open(path).close()
    if path.with_name(f"{path.name}-wal").exists():
        raise MashqError(f"people: {path} is open elsewhere. End `mashq rate` first, or name an export of it.")


def _told(job: Job) -> Mapping[str, Any]:
    evaluation = job.inputs["evaluation"]
    scores = json.loads((evaluation / "scores.json").read_text("utf-8"))
    folders = [folder for name, folder in job.inputs.items() if name != "evaluation"]
    judge = scores_of_rows(table for folder in folders for table in read_rows(folder, ["id", "meta"]))
    samples = evaluation / "samples.parquet"
    found = said_by_people(
        read_answers(job.files["ratings"]),
        samples,
        baseline=scores["baseline"],
        judge=judge if folders else scores_of_samples(samples),
        seed=scores.get("seed", 0),
    )
    write_json(job.folder / "people.json", found)
    return {key: found[key] for key in ("study", "simulated", "replies", "answers")} | {"raters": len(found["raters"])}


def said_by_people(
    answers: pa.Table, samples: Path, *, baseline: str, judge: Scores | None = None, seed: int = 0
) -> dict[str, Any]:
    """The content of people.json: answers (`table.COLUMNS`) joined to an evaluation's samples.parquet.

    `scored` holds what was said of each reply (`of_each_reply`), by the numbers of the raters.
    Raters who were withdrawn are counted and left out. A reply's score is the mean of its raters; means and differences
    are over replies, their intervals over groups of items. Differences are the systems' less the baseline's on the
    items on which both were rated; Holm's correction is over all of them, and over those of single varieties.
    Raises MashqError where no reply was rated by people who stayed, and for rated items that are none of the replies.
    """
    stays = [not gone for gone in answers["withdrawn"].to_pylist()]
    staying = answers.filter(pa.array(stays, pa.bool_()))
    rows, rated = _joined(staying, pq.read_table(samples, columns=list(SAMPLES)).to_pylist())
    numbers = {name: str(place) for place, name in enumerate(sorted({row["rater"] for row in rows}), 1)}
    rows = [{**row, "rater": numbers[row["rater"]]} for row in rows]
    single = [row for row in rows if row["kind"] == "absolute"]
    several = len(numbers) > 1
    agreed = agreements_of(pa.Table.from_pylist(rows), seed=seed) if several else []
    present = dict.fromkeys(system for row in rows for system in row["systems"])
    systems = [*(name for name in (baseline,) if name in present), *(name for name in present if name != baseline)]
    return {
        "study": _first(answers["study"].to_pylist()),
        "simulated": any(answers["simulated"].to_pylist()),
        "baseline": baseline,
        "systems": systems,
        "criteria": list(dict.fromkeys(row["criterion"] for row in rows)),
        "varieties": sorted({row["variety"] for row in rows} - {""}),
        "replies": rated["replies"],
        "replies_of": rated["replies_of"],
        "pairs": rated["pairs"],
        "answers": len({(row["rater"], row["item"]) for row in rows}),
        "withdrawn": len({row["rater"] for row in answers.to_pylist() if row["withdrawn"]}),
        "raters": _raters(staying, numbers, agreed),
        "ratings_an_item": _coverage(rows),
        "seconds": _seconds(rows),
        "means": _means(single, systems, seed),
        "comparisons": _differences(single, baseline, systems, seed),
        "preferences": _preferences([row for row in rows if row["kind"] == "pairwise"], seed),
        "agreement": [_agreement(one) for one in agreed],
        "judge": _beside(single, judge, seed),
        "scored": of_each_reply(single, judge),
        "seed": seed,
    }


def _first(values: Sequence[str | None]) -> str:
    return next((value for value in values if value), "")


# --- joining ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    """A reply, or a pair of replies to one item, that could have been rated."""

    samples: tuple[str, ...]  # ids in samples.parquet
    item: str
    systems: tuple[str, ...]
    variety: str
    group: str


def _joined(answers: pa.Table, samples: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The answers that give a number to a reply, with what the evaluation knows of it; and how much was rated."""
    rows = [row for row in counted(answers) if row["kind"] in RATED]
    if not rows:
        do = "Name the export of a study of this evaluation (mashq rate FOLDER)."
        raise MashqError(expected_got("people", "scores or preferences of replies", "none", do))
    known = _known(samples, pairs=any(row["kind"] == "pairwise" for row in rows))
    names = {row["item"] for row in rows}
    strange = sorted(names - set(known))
    if strange:
        got = f"{len(strange)} of {len(names)} rated items that are none of them ('{strange[0][:40]}' first)"
        do = "The replies were made anew, or the study is of another evaluation: name the evaluation that was rated."
        raise MashqError(expected_got("people", "ratings of this evaluation's replies", got, do))
    joined = []
    for row in rows:
        one = known[row["item"]]
        about = {"sample": one.samples[0], "asked": one.item, "systems": one.systems}
        joined.append({**row, **about, "variety": one.variety, "group": one.group})
    single = {row["item"] for row in rows if row["kind"] == "absolute"}
    return joined, {"replies": len(single), "replies_of": len(samples), "pairs": len(names - single)}


def _known(samples: Sequence[Mapping[str, Any]], *, pairs: bool) -> dict[str, _Known]:
    """Name of a study's item -> what it shows, of every reply and, where asked, of every two replies to one item."""
    items: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in samples:
        items[row["item"]].append(row)
    found = {}
    for item, rows in items.items():
        shown: list[tuple[Mapping[str, Any], ...]] = [(row,) for row in rows]
        for some in [*shown, *(permutations(rows, 2) if pairs else ())]:
            systems = tuple(row["system"] for row in some)
            name = sample_id(RATED[len(some) - 1], item, systems, [row["reply"] or "" for row in some])
            same = {"variety": some[0]["variety"] or "", "group": some[0]["group"] or item}
            found[name] = _Known(tuple(row["id"] for row in some), item, systems, **same)
    return found


# --- raters -----------------------------------------------------------------------------------------------------------


def _raters(answers: pa.Table, numbers: Mapping[str, str], agreed: Sequence[Agreed]) -> list[dict[str, Any]]:
    """Each rater's dialect, work, time, attention and severity; practice counts for nothing."""
    rows = [row for row in answers.to_pylist() if row["role"] != "practice" and row["rater"] in numbers]
    made = []
    for name, number in numbers.items():
        mine = [row for row in rows if row["rater"] == name]
        failed: dict[str, bool] = defaultdict(bool)
        for row in mine:
            if row["role"] == "attention":
                failed[row["item"]] |= row["right"] is False
        made.append(
            {
                "rater": number,
                "dialect": _first([row["dialect"] for row in mine]),
                "items": len({row["item"] for row in mine if row["role"] == "item"}),
                "seconds": _seconds([row for row in mine if row["role"] == "item"]),
                "attention": {"items": len(failed), "failed": sum(failed.values())},
                "remarks": len({row["item"] for row in mine if row["note"]}),
                "severity": [
                    {"criterion": one.criterion, **_plain(score)}
                    for one in agreed
                    if one.variety == EVERY and one.kind == "absolute" and (score := one.severity.get(number))
                ],
            }
        )
    return made


def _seconds(rows: Iterable[Mapping[str, Any]]) -> dict[str, float] | None:
    """Quartiles of the seconds spent on an item, over raters and items; None where no time is known."""
    spent = {(row["rater"], row["item"]): row["seconds"] for row in rows if row["seconds"]}
    if not spent:
        return None
    values = sorted(spent.values())
    cuts = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": cuts[1], "low": cuts[0], "high": cuts[2], "total": sum(values)}


def _coverage(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many raters the items have, and how many ratings are missing for all to have as many as the most rated."""
    raters: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        raters[row["item"]].add(row["rater"])
    counts = Counter(len(some) for some in raters.values())
    most = max(counts)
    return {
        "least": min(counts),
        "most": most,
        "items": {str(count): items for count, items in sorted(counts.items())},
        "missing": sum((most - count) * items for count, items in counts.items()),
    }


# --- scores -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reply:
    """The mean of a reply's raters (or of a pair's) under one criterion."""

    value: float
    item: str
    group: str
    variety: str
    raters: int


def _by_reply(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, ...], str], list[_Reply]]:
    """(systems, criterion) -> one value for each reply, or each pair."""
    given: dict[tuple[tuple[str, ...], str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        given[row["systems"], row["criterion"], row["item"]].append(row)
    found: dict[tuple[tuple[str, ...], str], list[_Reply]] = defaultdict(list)
    for (systems, criterion, _), some in given.items():
        value, one = statistics.fmean(row["value"] for row in some), some[0]
        found[systems, criterion].append(_Reply(value, one["asked"], one["group"], one["variety"], len(some)))
    return found


def _varieties(replies: Iterable[_Reply]) -> list[str]:
    """All together, then each, where there are several."""
    named = sorted({one.variety for one in replies} - {""})
    return [EVERY, *(named if len(named) > 1 else [])]


def _means(rows: Sequence[Mapping[str, Any]], systems: Sequence[str], seed: int) -> list[dict[str, Any]]:
    found = _by_reply(rows)
    made = []
    for criterion in dict.fromkeys(criterion for _, criterion in found):
        for system in systems:
            replies = found.get(((system,), criterion), [])
            for variety in _varieties(replies) if replies else ():
                some = [one for one in replies if variety in (EVERY, one.variety)]
                score = mean_score(
                    [one.value for one in some],
                    name=criterion,
                    signature=sign("people", f"criterion:{criterion}", "scale:1-5", "of:raters-mean"),
                    groups=[one.group for one in some],
                    seed=seed,
                    bounds=SCALE,
                )
                about = {"system": system, "criterion": criterion, "variety": variety}
                made.append({**about, **_plain(score), "ratings": sum(one.raters for one in some)})
    return made


def _differences(
    rows: Sequence[Mapping[str, Any]], baseline: str, systems: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Every system against the baseline on the items on which both were rated."""
    found = _by_reply(rows)
    made = []
    for criterion in dict.fromkeys(criterion for _, criterion in found):
        theirs = {one.item: one for one in found.get(((baseline,), criterion), [])}
        for system in systems:
            ours = [one for one in found.get(((system,), criterion), []) if one.item in theirs]
            if system == baseline or not ours:
                continue
            for variety in _varieties(ours):
                some = [one for one in ours if variety in (EVERY, one.variety)]
                sides = [one.value for one in some], [theirs[one.item].value for one in some]
                about = {"criterion": criterion, "a": system, "b": baseline, "variety": variety}
                made.append({**about, **_compared(*sides, [one.group for one in some], seed, SCALE)})
    return _corrected(made)


def _preferences(rows: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Of each two systems: the mean preference, 1 = always the first, -1 = always the second, 0 = neither."""
    made = []
    for (systems, criterion), replies in _by_reply(rows).items():
        for variety in _varieties(replies):
            some = [one for one in replies if variety in (EVERY, one.variety)]
            sides = [one.value for one in some], [0.0] * len(some)
            about = {"criterion": criterion, "a": systems[0], "b": systems[1], "variety": variety}
            made.append({**about, **_compared(*sides, [one.group for one in some], seed, PREFERRED)})
    return _corrected(made)


def _compared(
    a: Sequence[float], b: Sequence[float], groups: Sequence[str], seed: int, bounds: tuple[float, float]
) -> dict[str, Any]:
    one = compare(a, b, metric="people", groups=groups, seed=seed, bounds=bounds)
    kept = ("difference", "low", "high", "p", "n", "groups", "effect", "wins", "ties", "losses", "signature")
    # With few groups even a difference in the same direction in all of them cannot be significant.
    least = {"smallest": one.smallest_detectable, "least_p": min(1.0, 2.0 ** (1 - one.groups))}
    return {**{name: getattr(one, name) for name in kept}, "p_holm": one.p, **least}


def _corrected(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holm's correction over the comparisons of all varieties together, and over those of single ones."""
    for whole in (True, False):
        family = [one for one in made if (one["variety"] == EVERY) == whole]
        for one, p in zip(family, holm([one["p"] for one in family]), strict=True):
            one["p_holm"] = p
    return made


# --- as plain values --------------------------------------------------------------------------------------------------


def _plain(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in ("value", "low", "high", "n", "signature")}


def _agreement(one: Agreed) -> dict[str, Any]:
    about = {"criterion": one.criterion, "kind": one.kind, "variety": one.variety, "items": one.items}
    return {**about, "measures": [_coefficient(measure) for measure in one.measures]}


def _coefficient(measure: Agreement) -> dict[str, Any]:
    kept = ("name", "value", "low", "high", "n", "reason", "word", "trouble", "signature")
    return {name: getattr(measure, name) for name in kept}


def _beside(rows: Sequence[Mapping[str, Any]], judge: Scores | None, seed: int) -> dict[str, Any] | None:
    """A judge beside people; None where no reply that people rated has a judge's score."""
    criteria = beside_people(rows, judge, seed=seed) if judge and judge.values else []
    return {**(judge.about if judge else {}), "criteria": criteria} if criteria else None
