"""What a sweep's cells left -> means over seeds, intervals that hold items and seeds, paired tests, one table.

Every cell answers the same items, each with every seed. Two things are drawn at random there: the items (in groups that
belong together) and the seeds; they are crossed, as subjects and words are in a reading experiment. An interval that
draws only items says what these very trainings would score on other items; it is silent on another training. So both
are counted. With z(g, s) the linearised contribution of group g under seed s (to a mean, or to a ratio of sums such as
bits per byte), a two-way analysis of variance without replication gives mean squares of groups, of seeds and of the
rest, and the variance of the score is (MS_groups + MS_seeds - MS_rest) / (groups x seeds), where a part whose estimate
is negative is left out. Degrees of freedom are Satterthwaite's (1946), and the interval and the test are Student's: the
quasi-F ratio of Clark (1973, "The language-as-fixed-effect fallacy"). A bootstrap that draws groups and seeds covers
too little here: of three seeds it can draw nothing wider than the three (see tests/test_sweep_results.py for both).

A difference is taken on the same items and the same seed first, and then treated in the same way.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashq.metrics import holm
from mashq.metrics.paired import least_p
from mashq.metrics.resample import LEVEL, cluster_codes, p_of_t, quantile_t
from mashq.rows import MashqError, expected_got, nearest
from mashq.shards import write_whole
from mashq.sweep import Read

__all__ = ["ALPHA", "Estimate", "Scores", "crossed", "linearised", "read_scores", "results", "write"]

ALPHA = 0.05  # level of the verdicts, after Holm's correction
RATIO = "bits_per_byte"  # a ratio of sums; every other metric is a mean over items
_TIE = 1e-12  # differences nearer to 0 than this part of the scores are rounding


@dataclass(frozen=True)
class Estimate:
    """A score or a difference with what is known of it."""

    value: float
    error: float | None  # standard error; None where one group and one seed leave nothing to estimate it from
    freedom: float | None  # degrees of freedom of that error
    low: float | None  # 95 % interval
    high: float | None
    p: float  # two-sided test of 0; 1 where nothing can be tested, or nothing differs


def crossed(z: np.ndarray) -> tuple[float, float] | None:
    """Standard error of the mean of z (groups, seeds), both drawn at random and crossed, and its degrees of freedom.

    With one seed the groups alone are drawn, with one group the seeds alone; None with one of each.
    """
    groups, seeds = z.shape
    if min(groups, seeds) == 1:
        n = max(groups, seeds)
        return (math.sqrt(float(z.var(ddof=1)) / n), n - 1.0) if n > 1 else None
    mean, by_group, by_seed = z.mean(), z.mean(axis=1), z.mean(axis=0)
    freedom = np.array([groups - 1.0, seeds - 1.0, (groups - 1.0) * (seeds - 1.0)])
    rest = z - by_group[:, None] - by_seed + mean
    squares = np.array(
        [seeds * ((by_group - mean) ** 2).sum(), groups * ((by_seed - mean) ** 2).sum(), (rest**2).sum()]
    )
    squares /= freedom
    # A part whose own mean square is below that of the rest is estimated as nothing, and is left out.
    parts = np.array([squares[0] > squares[2], squares[1] > squares[2]], dtype=float)
    weights = np.array([parts[0], parts[1], 1 - parts.sum()])
    variance = float(weights @ squares)
    if variance <= 0:
        return 0.0, float(freedom[2])
    return math.sqrt(variance / (groups * seeds)), variance**2 / float((weights**2 * squares**2 / freedom).sum())


def linearised(over: np.ndarray, under: np.ndarray, codes: np.ndarray) -> tuple[float, np.ndarray]:
    """A ratio of sums and its z (groups, seeds): over (items, seeds), under (items,), codes: each item's group.

    For a mean `under` is all ones. The mean of z is 0: z is what a group under a seed adds to the ratio or takes away.
    """
    groups = int(codes.max()) + 1
    sums = np.stack([np.bincount(codes, weights=column, minlength=groups) for column in over.T], axis=1)
    sizes = np.bincount(codes, weights=under, minlength=groups)
    ratio = float(over.sum() / (over.shape[1] * under.sum()))
    return ratio, (sums - ratio * sizes[:, None]) / sizes.mean()


def estimate(over: np.ndarray, under: np.ndarray, codes: np.ndarray) -> Estimate:
    """The score or difference of these items under these seeds; see the module's text.

    Where all of them say the same there is no error to learn how far off it may be from, hence no interval: items that
    were not seen may be otherwise. A difference is tested then by swapping groups alone, as `metrics.compare` does.
    """
    value, z = linearised(over, under, codes)
    found = crossed(z)
    if found is None or found[0] <= _TIE * np.abs(z).max(initial=abs(value)):
        groups = 0 if found is None or value == 0 else len(z)
        return Estimate(value, None, None, None, None, least_p(groups) if groups else 1.0)
    error, freedom = found
    half = quantile_t(1 - (1 - LEVEL) / 2, freedom) * error
    return Estimate(value, error, freedom, value - half, value + half, p_of_t(value / error, freedom))


# --- reading what the cells left -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """One evaluation as a sweep reads it: the items of one system, in the order of their ids."""

    items: list[str]
    groups: list[str | None]
    slices: dict[str, list[str]]  # column -> value of each item
    over: dict[str, np.ndarray]  # metric -> numerators (items,); NaN where not scored
    under: dict[str, np.ndarray]  # metric -> denominators (items,)
    facts: dict[str, dict[str, Any]]  # metric -> unit, higher_is_better, signature
    models: list[str]  # of the systems that were read


def read_scores(folder: Path, read: Read) -> Scores:
    """The samples of an evaluation step. Raises MashqError for a system or metric that is not there."""
    scores = json.loads((folder / "scores.json").read_text("utf-8"))
    models = {one["name"]: str(one.get("model") or "") for one in scores["systems"]}
    wanted = [read.system, *([read.minus] if read.minus else [])]
    for name in wanted:
        if name not in models:
            raise MashqError(
                f"sweep: {folder.name} has no system '{name}' ({', '.join(models)}).{nearest(name, models)}"
            )
    for metric in read.metrics:
        if metric not in scores["metrics"] or metric == "perplexity":
            known = [one for one in scores["metrics"] if one != "perplexity"]
            do = " Perplexity is no mean over items: read bits_per_byte." if metric == "perplexity" else ""
            raise MashqError(
                f"sweep: {folder.name} has no metric '{metric}' to read ({', '.join(known)})."
                f"{nearest(metric, known)}{do}"
            )
    parts = {name: _samples(folder, name, read) for name in wanted}
    own = parts[read.system]
    over = {metric: own["over"][metric] for metric in read.metrics}
    if read.minus:
        other = parts[read.minus]
        over = {metric: over[metric] - other["over"][metric] for metric in read.metrics}
    return Scores(
        items=own["item"],
        groups=own["group"],
        slices={by: own[by] for by in read.slices},
        over=over,
        under={metric: own["under"][metric] for metric in read.metrics},
        facts={metric: _facts(scores, read.system, metric) for metric in read.metrics},
        models=[models[name] for name in wanted],
    )


def _facts(scores: Mapping[str, Any], system: str, metric: str) -> dict[str, Any]:
    signature = next((s["signature"] for s in scores["scores"] if (s["system"], s["metric"]) == (system, metric)), "")
    return {**scores["metrics"][metric], "signature": signature}


def _samples(folder: Path, system: str, read: Read) -> dict[str, Any]:
    metrics = [metric for metric in read.metrics if metric != RATIO]
    likely = ["nats", "target_bytes"] if RATIO in read.metrics else []
    columns = list(dict.fromkeys(["item", "system", "group", *read.slices, *metrics, *likely]))
    schema = pq.read_schema(folder / "samples.parquet").names
    for by in read.slices:
        if by not in schema:
            raise MashqError(expected_got("sweep: read.slices", "variety, task, template or source", f"'{by}'"))
    table = pq.read_table(folder / "samples.parquet", columns=columns)
    table = table.filter(pa.compute.equal(table["system"], system)).sort_by("item")
    ones = np.ones(table.num_rows)
    over = {metric: _numbers(table, metric) for metric in metrics}
    under = dict.fromkeys(metrics, ones)
    if likely:
        over[RATIO], under[RATIO] = _numbers(table, "nats") / math.log(2), _numbers(table, "target_bytes")
    named = {by: [value or "" for value in table[by].to_pylist()] for by in read.slices}
    return {
        "item": table["item"].to_pylist(),
        "group": table["group"].to_pylist(),
        **named,
        "over": over,
        "under": under,
    }


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    return np.array([math.nan if value is None else float(value) for value in table[name].to_pylist()])


# --- the numbers of a sweep ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Matter:
    """One metric of the finished cells on the items that all of them share."""

    over: np.ndarray  # (cells, items, seeds)
    under: np.ndarray  # (items,)
    codes: np.ndarray  # (items,) group of each item
    facts: list[dict[str, Any]]  # of each cell

    def estimate(self, a: int, b: int | None, places: np.ndarray) -> Estimate:
        """Cell a, or a minus b, on some of the items."""
        over = self.over[a] if b is None else self.over[a] - self.over[b]
        if b is not None:
            scale = np.abs(self.over[[a, b]]).max(initial=0.0)
            over = np.where(np.abs(over) <= _TIE * scale, 0.0, over)
        _, codes = np.unique(self.codes[places], return_inverse=True)
        return estimate(over[places], self.under[places], codes)

    def of_seeds(self, a: int, b: int | None, places: np.ndarray) -> list[Estimate]:
        """Cell a, or a minus b, under each seed alone: what is known of it from the items."""
        seeds = range(self.over.shape[2])
        return [replace(self, over=self.over[:, :, one : one + 1]).estimate(a, b, places) for one in seeds]


def results(
    cells: Mapping[int, Sequence[Scores]],
    pairs: Sequence[tuple[int, int]],
    metrics: Sequence[str],
    slices: Sequence[str] = (),
    *,
    comparable: bool = True,
) -> dict[str, Any]:
    """`cells`: number of a finished cell -> its scores, one a seed; `pairs` (a, b): compare a with b.

    Gives `scores` (a cell, metric and slice each); `comparisons` with p after Holm over all pairs and metrics of a
    slicing; `leaders`, for each metric of two cells or more the one with the best mean and those that cannot be told
    from it; the items that all share, and how many others were left out. Where `comparable` is false, or where two
    cells' signatures differ, no pair is tested.

    Raises MashqError where the cells share no item, and where one item's reference has another length in two cells.
    """
    if not cells:
        raise MashqError(expected_got("sweep: finished cells", "at least one", "none"))
    shared, left_out = _shared(cells)
    order = list(cells)
    first = cells[order[0]][0]
    at = {item: place for place, item in enumerate(first.items)}
    here = [at[item] for item in shared]
    cuts = [("all", "", np.arange(len(shared)))]
    for by in slices:
        values = [first.slices[by][place] for place in here]
        cuts += [(by, one, np.flatnonzero(np.array(values) == one)) for one in sorted(set(values))]
    groups = [first.groups[place] for place in here]
    codes = cluster_codes(len(shared), groups, "sweep")
    scores, comparisons, leaders = [], [], []
    for metric in metrics:
        matter, scored = _matter(cells, metric, shared, codes)
        usable = [(by, value, places[scored[places]]) for by, value, places in cuts]
        usable = [cut for cut in usable if len(cut[2])]
        scores += [_score(matter, metric, order, one, cut) for one in range(len(order)) for cut in usable]
        if not comparable:
            continue
        same = {a: {b for b in order if _same(matter, order, a, b)} for a in order}
        told = [(a, b) for a, b in pairs if a in cells and b in cells and b in same[a]]
        comparisons += [_comparison(matter, metric, order, pair, cut) for cut in usable for pair in told]
        if len(set(_signatures(matter))) == 1 and usable and len(order) > 1:
            leaders.append(_leader(matter, metric, order, usable[0][2]))
    _corrected(comparisons)
    return {
        "items": len(shared),
        "groups": int(codes.max()) + 1,
        "left_out": left_out,
        "scores": scores,
        "comparisons": comparisons,
        "leaders": leaders,
    }


def _shared(cells: Mapping[int, Sequence[Scores]]) -> tuple[list[str], int]:
    """The items that every cell answered with every seed, and how many others some of them did."""
    every = [set(one.items) for seeds in cells.values() for one in seeds]
    shared = set.intersection(*every)
    if not shared:
        raise MashqError(
            "sweep: the cells share no item, so nothing can be compared. The rows that are asked must not depend on "
            "the factor or the seed: keep split.seed fixed, and ask rows that the factor does not choose."
        )
    return sorted(shared), len(set.union(*every)) - len(shared)


def _matter(
    cells: Mapping[int, Sequence[Scores]], metric: str, shared: Sequence[str], codes: np.ndarray
) -> tuple[_Matter, np.ndarray]:
    """One metric of every cell on the shared items, and which of these every cell scored."""

    def at(one: Scores, column: np.ndarray) -> np.ndarray:
        place = {item: index for index, item in enumerate(one.items)}
        return column[[place[item] for item in shared]]

    over = np.array([[at(one, one.over[metric]) for one in seeds] for seeds in cells.values()]).transpose(0, 2, 1)
    under = np.array([[at(one, one.under[metric]) for one in seeds] for seeds in cells.values()]).transpose(0, 2, 1)
    scored = np.isfinite(over).all(axis=(0, 2)) & np.isfinite(under).all(axis=(0, 2)) & (under[0, :, 0] > 0)
    if not scored.any():
        raise MashqError(f"sweep: no shared item has a score of '{metric}' in every cell.")
    if (under[:, scored] != under[0, scored, :1]).any():
        raise MashqError(f"sweep: {metric}: an item's reference has another length in two cells. Ask the same rows.")
    facts = [seeds[0].facts[metric] for seeds in cells.values()]
    return _Matter(over, under[0, :, 0], codes, facts), scored


def _signatures(matter: _Matter) -> list[str]:
    """What the cells' numbers are, without what stands for the seed of the evaluation's own intervals."""
    return ["|".join(part for part in f["signature"].split("|") if part[:5] != "seed:") for f in matter.facts]


def _same(matter: _Matter, order: Sequence[int], a: int, b: int) -> bool:
    found = _signatures(matter)
    return found[order.index(a)] == found[order.index(b)]


def _score(
    matter: _Matter, metric: str, order: Sequence[int], one: int, cut: tuple[str, str, np.ndarray]
) -> dict[str, Any]:
    by, value, places = cut
    found, apart = matter.estimate(one, None, places), matter.of_seeds(one, None, places)
    return {
        "cell": order[one],
        "metric": metric,
        "slice": {"by": by, "value": value},
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "error": found.error,
        **_apart(apart),
        "n": len(places),
        "groups": len(np.unique(matter.codes[places])),
        "freedom": found.freedom,
        "signature": matter.facts[one]["signature"],
    }


def _apart(each: Sequence[Estimate]) -> dict[str, Any]:
    """The value under each seed, their standard deviation, and the standard error that the items of each alone give."""
    values = [one.value for one in each]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"seeds": values, "spread": spread, "item_errors": [one.error for one in each]}


def _comparison(
    matter: _Matter, metric: str, order: Sequence[int], pair: tuple[int, int], cut: tuple[str, str, np.ndarray]
) -> dict[str, Any]:
    by, value, places = cut
    a, b = order.index(pair[0]), order.index(pair[1])
    found, apart = matter.estimate(a, b, places), matter.of_seeds(a, b, places)
    return {
        **{"metric": metric, "a": pair[0], "b": pair[1], "slice": {"by": by, "value": value}},
        **{"difference": found.value, "low": found.low, "high": found.high, "freedom": found.freedom},
        **{"p": found.p, "p_holm": found.p, "n": len(places), "verdict": ""},
        **{"error": found.error, **_apart(apart), "groups": len(np.unique(matter.codes[places]))},
        "higher_is_better": bool(matter.facts[a]["higher_is_better"]),
    }


def _corrected(comparisons: list[dict[str, Any]]) -> None:
    """Holm within each slicing, over all its values, pairs and metrics; and what is to be said of each."""
    for family in dict.fromkeys(one["slice"]["by"] for one in comparisons):
        members = [one for one in comparisons if one["slice"]["by"] == family]
        for one, p in zip(members, holm([one["p"] for one in members]), strict=True):
            one["p_holm"] = p
            better = (one["difference"] > 0) == one["higher_is_better"]
            one["verdict"] = "unclear" if p >= ALPHA else "better" if better else "worse"


def _leader(matter: _Matter, metric: str, order: Sequence[int], places: np.ndarray) -> dict[str, Any]:
    """The cell with the best mean, and those that cannot be told from it.

    It was chosen after looking, so every pair of cells is in the family that Holm corrects for.
    """
    means = [matter.estimate(one, None, places).value for one in range(len(order))]
    better = matter.facts[0]["higher_is_better"]
    best = int(np.argmax(means) if better else np.argmin(means))
    pairs = [(a, b) for a in range(len(order)) for b in range(a)]
    ps = holm([matter.estimate(a, b, places).p for a, b in pairs])
    level = [a + b - best for (a, b), p in zip(pairs, ps, strict=True) if best in (a, b) and p >= ALPHA]
    return {"metric": metric, "cell": order[best], "level_with": sorted(order[one] for one in level)}


# --- writing ---------------------------------------------------------------------------------------------------------


def write(found: Mapping[str, Any], out: Path) -> None:
    """`sweep.json` (everything), `sweep.csv` and `cells.parquet` (a line for each cell, metric and slice)."""
    names = [cell["name"] for cell in found["cells"]]
    factors = list(found["cells"][0]["labels"])
    lines = []
    for one in found["scores"]:
        cell = found["cells"][one["cell"]]
        lines.append(
            {
                **{"cell": names[one["cell"]], **{name: cell["labels"][name] for name in factors}},
                **{"state": cell["state"], "metric": one["metric"], "by": one["slice"]["by"]},
                **{"slice": one["slice"]["value"], "value": one["value"], "low": one["low"], "high": one["high"]},
                **{"spread": one["spread"], "seeds": json.dumps(one["seeds"]), "n": one["n"], "groups": one["groups"]},
                "signature": one["signature"],
            }
        )
    stopped = [cell for cell in found["cells"] if cell["state"] == "stopped"]
    lines += [{"cell": cell["name"], **cell["labels"], "state": f"stopped at step {cell['step']}"} for cell in stopped]
    columns = list(lines[0])
    with (out / "sweep.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(lines)
    table = pa.table({name: pa.array([line.get(name) for line in lines]) for name in columns})
    pq.write_table(table, out / "cells.parquet", compression="zstd")
    text = json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with write_whole(out / "sweep.json") as partial:
        partial.write_text(text, encoding="utf-8")
