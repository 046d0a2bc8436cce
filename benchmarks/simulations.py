"""Do mashq's tests and intervals keep what they promise? 10,000 simulations each, at 2 to 200 items, in clusters.

    python benchmarks/simulations.py --parts FOLDER                                       # prints the page
    python benchmarks/simulations.py --parts FOLDER --write docs/benchmarks/statistics.md
    python benchmarks/simulations.py --parts FOLDER --done                                # the page of what is there
    python benchmarks/simulations.py --quick                                              # 60 simulations each

Every part (a table row) is written to FOLDER when it is done, so a run that was stopped goes on where it was. The seed
was fixed before the first run. What is called is the product's own code, in this process, with fewer resamples than its
default; the last table shows what that changes. What falls short is printed by rule, not by choice: every cell that
misses its promise by more than the Monte-Carlo error.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri
from sheet import give, machine

from mashq.metrics import detectable, paired, resample
from mashq.metrics.agreement import alpha, kappa, spearman
from mashq.metrics.paired import compare, compare_strata, holm
from mashq.metrics.perplexity import bits_per_byte, compare_bits_per_byte
from mashq.metrics.ratings import Ratings
from mashq.metrics.score import mean_score

SEED = 20_261_122
SIMULATIONS, QUICK, CHECKED = 10_000, 60, 2_000  # of a part; with --quick; of the check of the number of resamples
ITEMS, SIZES = (20, 50, 200), (1, 2, 4)  # items in a test set; items in a cluster
FEW_ITEMS = (2, 3, 5, 8, 10)  # of slices so small that a mean hardly has an interval
CHECKED_ITEMS, UNTOLD = (20, 50), 50  # where fewer resamples are checked; where clusters are not told
ROUNDS, FLIPS = 500, 400  # in the simulations; with 400 swaps the largest p below 0.05 is 20/401 = 0.0499
FAMILY_FLIPS = 600  # so that the largest p that six metrics leave is 5/601 = 0.00832, near 0.05 / 6 = 0.00833
THEIR_ROUNDS, THEIR_FLIPS = resample.ROUNDS, paired.FLIPS  # the product's own
PROMISED, ALPHA = 0.95, 0.05
LARGE = 200_000  # items whose agreement stands for the true one

# Shares of the variance of a latent normal score: of the cluster, the cluster by the system, the item; rest: the reply.
CLUSTER, CLUSTER_BY_SYSTEM, ITEM = 0.20, 0.15, 0.25
BETA = (0.7, 3.5)  # ROUGE-like: mean 0.167, many near 0, few above 0.5
GRADES = (0.06, 0.14, 0.30, 0.32, 0.18)  # shares of the scores 1..5
YES = 0.2  # share of the items that are right
COMMON = 0.6  # of the variance of six metrics of one system on one item
METRICS = ("rouge-like", "ordinal 1-5", "binary") * 2
BITS, LENGTH = (0.35, 60.0), 0.8  # deviation of log bits per byte; median and log deviation of the bytes of a reference
RATERS = {"moderate": 0.55, "high": 0.9, "rare": 0.55}  # share of the latent variance that is the item's
RARE = 0.1  # with "rare" raters say 1 or 2, and 2 so seldom
MISSING = 0.1  # share of the ratings
DESIGNS = {  # items of each cluster, where clusters are unequal
    "two of 10, 20 of 1": (10, 10, *[1] * 20),
    "one of 20, 10 of 1": (20, *[1] * 10),
    "one of 100, 19 of 1": (100, *[1] * 19),
    "1, 2, ... 12": tuple(range(1, 13)),
    "50, 30, 10, 5, 10 of 1": (50, 30, 10, 5, *[1] * 10),
}
POWERED = {  # clusters for the power of the smallest detectable difference: few, equal and unequal
    **{f"{clusters} of {size}": (size,) * clusters for clusters, size in ((6, 4), (7, 4), (8, 3), (12, 1), (20, 1))},
    **{f"{clusters} of 1": (1,) * clusters for clusters in (50, 200)},
    **DESIGNS,
}
TASKS = ((10, 90), (20, 200), (5, 20, 75), (30, 30, 40))  # items of each task, in means over tasks
SHARES = (0.1, 0.7)  # of the variance of a difference that is the cluster's
YES_ITEMS = [(n, right) for right in (YES, 0.5, 0.9) for n in (20, 50, 200)]  # items, and the share that is right
SEARCHED = 0.1  # share of the simulations that find the mean smallest detectable difference


@dataclass(frozen=True)
class Shape:
    """How a latent normal score becomes the score of an item, and the true mean of that."""

    scores: Callable[[np.ndarray], np.ndarray]
    mean: float
    signature: str
    bounds: tuple[float, float]  # of one item, as a metric's unit tells them


def rouge_like(latent: np.ndarray) -> np.ndarray:
    """Beta quantiles, read from a fine table."""
    grid, values = _table()
    return np.interp(latent, grid, values)


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    grid = np.linspace(-6, 6, 6001)
    return grid, betaincinv(*BETA, ndtr(grid))


def ordinal(latent: np.ndarray) -> np.ndarray:
    """Scores 1..5 by cut points."""
    return 1.0 + np.searchsorted(ndtri(np.cumsum(GRADES)[:-1]), latent)


def binary(latent: np.ndarray) -> np.ndarray:
    """0 or 1."""
    return (latent > ndtri(1 - YES)).astype(np.float64)


SHAPES = {
    "rouge-like": Shape(rouge_like, BETA[0] / sum(BETA), "rouge-like", (0, 1)),
    "ordinal 1-5": Shape(ordinal, float(np.arange(1, 6) @ GRADES), "ordinal", (1, 5)),
    "binary": Shape(binary, YES, "binary|values:01", (0, 1)),
}


def sizes_of(n: int, size: int = 1) -> list[int]:
    """How many of n items each cluster has; the last may be smaller."""
    return [min(size, n - first) for first in range(0, n, size)]


def systems(generator: np.random.Generator, count: int, sizes: Sequence[int]) -> np.ndarray:
    """Latent normal scores of two equally good systems on the same items, in clusters of these sizes: (2, count, n).

    Each has variance 1.
    """
    n, clusters = sum(sizes), len(sizes)

    def spread(shape: tuple[int, ...]) -> np.ndarray:
        return np.repeat(generator.normal(size=(*shape, clusters)), sizes, axis=-1)

    shared = math.sqrt(CLUSTER) * spread((count,)) + math.sqrt(ITEM) * generator.normal(size=(count, n))
    own = math.sqrt(CLUSTER_BY_SYSTEM) * spread((2, count))
    rest = math.sqrt(1 - CLUSTER - CLUSTER_BY_SYSTEM - ITEM) * generator.normal(size=(2, count, n))
    return shared + own + rest


def groups(sizes: Sequence[int]) -> list[str] | None:
    """The cluster of each item; None where each item is one of its own, as a user would leave them out."""
    return None if max(sizes) == 1 else [f"{cluster:03}" for cluster, size in enumerate(sizes) for _ in range(size)]


@contextmanager
def resamples(rounds: int, flips: int, *, detectable: bool = False) -> Iterator[None]:
    """The product's functions with other numbers of bootstrap resamples and of swaps.

    Without `detectable` the smallest detectable difference, which is slow and not looked at, is left out.
    """
    before = paired.FLIPS, resample.bootstrap, paired._detectable
    resample.bootstrap = partial(resample.bootstrap, rounds=rounds)
    paired.FLIPS = flips
    if not detectable:
        paired._detectable = lambda *_: None
    try:
        yield
    finally:
        paired.FLIPS, resample.bootstrap, paired._detectable = before


def holds(found: object, true: float) -> bool:
    """Whether an interval holds the true value; where there is none it does not."""
    low, high = found.low, found.high  # type: ignore[attr-defined]
    return low is not None and bool(low <= true + 1e-12 and high >= true - 1e-12)


# --- the parts: each a function of a generator and a number of simulations, giving counts ---

Counts = dict[str, int]


def means(generator: np.random.Generator, count: int, *, shape: str, n: int, size: int, told: bool = True) -> Counts:
    """Two equal systems: does the test reject, does the interval hold the mean, and the difference 0?"""
    sizes = sizes_of(n, size)
    return counted(systems(generator, count, sizes), shape, groups(sizes) if told else None)


def counted(latent: np.ndarray, shape: str, by: list[str] | None) -> Counts:
    """What `means` counts, for the latent scores of two systems (2, count, n)."""
    made = SHAPES[shape]
    counts = {"rejected": 0, "mean": 0, "difference": 0}
    for a, b in zip(*made.scores(latent), strict=True):
        compared = compare(a, b, groups=by, bounds=made.bounds)
        counts["rejected"] += compared.p < ALPHA
        counts["difference"] += holds(compared, 0.0)
        found = mean_score(a, name=shape, signature=made.signature, groups=by, bounds=made.bounds)
        counts["mean"] += holds(found, made.mean)
    return counts


def sized(generator: np.random.Generator, count: int, *, shape: str, design: str) -> Counts:
    """As `means`, in clusters of unequal sizes."""
    sizes = DESIGNS[design]
    return counted(systems(generator, count, sizes), shape, groups(sizes))


def over_tasks(generator: np.random.Generator, count: int, *, shape: str, tasks: Sequence[int]) -> Counts:
    """Two equal systems' means over tasks, each task counting once: does the test reject, is the difference 0 held?"""
    made, ends = SHAPES[shape], np.cumsum(tasks)
    strata = np.split(np.arange(ends[-1]), ends[:-1])
    counts = {"rejected": 0, "difference": 0}
    for a, b in zip(*made.scores(systems(generator, count, sizes_of(sum(tasks)))), strict=True):
        compared = compare_strata(a, b, strata, bounds=made.bounds)
        counts["rejected"] += compared.p < ALPHA
        counts["difference"] += holds(compared, 0.0)
    return counts


def power(generator: np.random.Generator, count: int, *, design: str, share: float) -> Counts:
    """How often the test finds the mean smallest detectable difference: normal differences, `share` the cluster's."""
    sizes = POWERED[design]
    by, zeros = groups(sizes), np.zeros(sum(sizes))

    def draw(number: int) -> np.ndarray:
        shared = np.repeat(generator.normal(size=(number, len(sizes))), sizes, axis=-1)
        return math.sqrt(share) * shared + math.sqrt(1 - share) * generator.normal(size=(number, len(zeros)))

    told = [compare(one, zeros, groups=by).smallest_detectable for one in draw(round(count * SEARCHED))]
    shift = float(np.mean([one for one in told if one is not None]))
    with resamples(2, FLIPS):
        found = sum(compare(one + shift, zeros, groups=by).p < ALPHA for one in draw(count))
    return {"found": found, "shift, millionths": round(1e6 * shift)}


def power_of_shares(generator: np.random.Generator, count: int, *, n: int, right: float) -> Counts:
    """The same for right and wrong answers: one system comes nearer to half of them right by the difference."""
    way = 1 if right <= 0.5 else -1

    def draw(number: int, more: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        a, b = systems(generator, number, sizes_of(n))
        shares = (right + way * more, right)
        return zip(
            *((one > ndtri(1 - share)).astype(float) for one, share in zip((a, b), shares, strict=True)), strict=True
        )

    told = [compare(a, b).smallest_detectable for a, b in draw(max(50, round(count * SEARCHED)), 0.0)]
    shift = float(np.mean([one for one in told if one is not None]))
    with resamples(2, FLIPS):
        found = sum(compare(a, b).p < ALPHA for a, b in draw(count, shift))
    return {"found": found, "shift, millionths": round(1e6 * shift)}


def unequal(generator: np.random.Generator, count: int, *, n: int) -> Counts:
    """Equal means but another spread: a is ROUGE-like, b lies evenly around the same mean."""
    counts = {"rejected": 0, "difference": 0}
    mean = SHAPES["rouge-like"].mean
    latent = systems(generator, count, sizes_of(n))
    for a, b in zip(rouge_like(latent[0]), 2 * mean * ndtr(latent[1]), strict=True):
        compared = compare(a, b)  # b has no range
        counts["rejected"] += compared.p < ALPHA
        counts["difference"] += holds(compared, 0.0)
    return counts


def bits(generator: np.random.Generator, count: int, *, n: int, size: int) -> Counts:
    """Bits per byte of two equal systems on references of very different lengths; the rate does not know the length."""
    counts = {"rejected": 0, "mean": 0, "difference": 0}
    deviation, median = BITS
    sizes = sizes_of(n, size)
    rates = np.exp(deviation * systems(generator, count, sizes) - deviation**2 / 2)  # bits per byte, mean 1
    lengths = np.ceil(median * np.exp(LENGTH * generator.normal(size=(count, n))))
    by = groups(sizes)
    for a, b, length in zip(*(rates * lengths * math.log(2)), lengths, strict=True):
        compared = compare_bits_per_byte(a, b, length, groups=by)
        counts["rejected"] += compared.p < ALPHA
        counts["difference"] += holds(compared, 0.0)
        counts["mean"] += holds(bits_per_byte(a, length, groups=by), 1.0)
    return counts


def family(generator: np.random.Generator, count: int, *, n: int) -> Counts:
    """Six metrics of two equal systems: is any found different, before and after Holm?"""
    counts = {"any": 0, "holm": 0}
    for _ in range(count):
        common = systems(generator, 1, sizes_of(n))[:, 0]  # (2, n)
        latent = math.sqrt(COMMON) * common + math.sqrt(1 - COMMON) * generator.normal(size=(len(METRICS), 2, n))
        ps = [compare(*SHAPES[name].scores(both)).p for name, both in zip(METRICS, latent, strict=True)]
        counts["any"] += min(ps) < ALPHA
        counts["holm"] += min(holm(ps)) < ALPHA
    return counts


def rated(generator: np.random.Generator, count: int, n: int, size: int, level: str, raters: int = 3) -> np.ndarray:
    """Scores of raters, a tenth missing: (count, raters, n)."""
    share = RATERS[level]
    true = systems(generator, count, sizes_of(n, size))[0]
    own = generator.normal(size=(raters, count, n))
    latent = math.sqrt(share) * true + math.sqrt(1 - share) * own
    scores = 1.0 + (latent > ndtri(1 - RARE)) if level == "rare" else ordinal(latent)
    scores[generator.random(scores.shape) < MISSING] = np.nan
    return scores.transpose(1, 0, 2)


AGREED = (  # items, level, cluster size
    *((n, level, size) for n in ITEMS for level, size in (("moderate", 1), ("moderate", 4), ("rare", 1))),
    *((n, "high", 1) for n in ITEMS if n < 200),
)
MEASURES = {
    "alpha, ordinal": alpha,
    "kappa, quadratic": partial(kappa, weights="quadratic"),
    "spearman": spearman,
}


@cache
def truths(level: str) -> dict[str, float]:
    """The measures on so many items that they stand for the true ones; kappa and rho of the first two raters."""
    scores = rated(np.random.default_rng(SEED), 1, LARGE, 1, level)[0]
    return {name: float(measure(of(name, scores), rounds=2).value or 0.0) for name, measure in MEASURES.items()}


def asked(level: str, size: int) -> list[str]:
    """The measures of one setting: rho once, since it is the slowest and says what kappa does."""
    return [name for name in MEASURES if name != "spearman" or (level, size) == ("moderate", 1)]


def of(name: str, scores: np.ndarray, by: list[str] | None = None) -> Ratings:
    """All three raters for alpha, two for the measures of a pair."""
    return Ratings.of_matrix(scores if name.startswith("alpha") else scores[:2], groups=by)


def agreement(generator: np.random.Generator, count: int, *, n: int, size: int, level: str) -> Counts:
    """Do the intervals of agreement hold the true agreement? A data set without a value is counted apart."""
    true, by = truths(level), groups(sizes_of(n, size))
    names = asked(level, size)
    counts = dict.fromkeys(names, 0) | {f"no {name}": 0 for name in names}
    for scores in rated(generator, count, n, size, level):
        for name in names:
            found = MEASURES[name](of(name, scores, by), rounds=ROUNDS)
            if found.value is None:
                counts[f"no {name}"] += 1
            else:
                counts[name] += holds(found, true[name])
    return counts


def rounds_matter(generator: np.random.Generator, count: int, *, n: int, size: int, level: str = "moderate") -> Counts:
    """The same data with the product's own numbers of resamples and with those used here."""
    pairs = SHAPES["rouge-like"].scores(systems(generator, count, sizes_of(n, size)))
    scores, by = rated(generator, count, n, size, level), groups(sizes_of(n, size))
    counts: Counts = {}
    for label, rounds, flips in (("ours", THEIR_ROUNDS, THEIR_FLIPS), ("here", ROUNDS, FLIPS)):
        with resamples(rounds, flips):
            compared = [compare(a, b, groups=by) for a, b in zip(*pairs, strict=True)]
            held = [mean_score(a, name="x", signature="x", groups=by) for a in pairs[0]]
        agreed = [alpha(of("alpha", one, by), rounds=rounds) for one in scores]
        counts |= {
            f"{label} rejected": sum(one.p < ALPHA for one in compared),
            f"{label} difference": sum(holds(one, 0.0) for one in compared),
            f"{label} mean": sum(holds(one, SHAPES["rouge-like"].mean) for one in held),
            f"{label} alpha": sum(holds(one, truths(level)["alpha, ordinal"]) for one in agreed),
        }
    return counts


@dataclass(frozen=True)
class Part:
    """One thing to simulate. Its name is its file and, with the seed, its random numbers."""

    name: str
    simulate: Callable[[np.random.Generator, int], Counts]
    share: float = 1.0  # of the number of simulations
    rounds: int = ROUNDS
    flips: int = FLIPS
    detectable: bool = False  # whether the smallest detectable difference is looked at

    @property
    def file(self) -> str:
        return f"{self.name.replace(' ', '-').replace(',', '').replace('...', 'to')}.json"


def parts() -> list[Part]:
    """Everything that is simulated, small test sets first: they are the quickest, and where most goes wrong."""
    few = [
        Part(f"means {shape} {n} 1", partial(means, shape=shape, n=n, size=1)) for n in FEW_ITEMS for shape in SHAPES
    ]
    few += [Part(f"bits {n} 1", partial(bits, n=n, size=1)) for n in FEW_ITEMS]
    few += [
        Part(f"sizes {shape} {design}", partial(sized, shape=shape, design=design))
        for design in DESIGNS
        for shape in SHAPES
    ]
    few += [
        Part(f"tasks {shape} {named(tasks)}", partial(over_tasks, shape=shape, tasks=tasks))
        for tasks in TASKS
        for shape in SHAPES
    ]
    few += [
        Part(
            f"power {design} share {share}",
            partial(power, design=design, share=share),
            rounds=2,
            detectable=True,
        )
        for design in POWERED
        for share in SHARES
        if len(set(POWERED[design])) > 1 or share == SHARES[-1]  # equal clusters: the share changes only the scale
    ]
    few += [
        Part(f"power binary {n} {right}", partial(power_of_shares, n=n, right=right), rounds=2, detectable=True)
        for n, right in YES_ITEMS
    ]
    return few + [part for n in ITEMS for part in parts_of(n)]


def parts_of(n: int) -> list[Part]:
    """What is simulated with n items."""
    found = [
        Part(f"means {shape} {n} {size}", partial(means, shape=shape, n=n, size=size))
        for size in SIZES
        for shape in SHAPES
    ]
    found += [
        Part(f"agreement {level} {n} {size}", partial(agreement, n=n, size=size, level=level))
        for items, level, size in AGREED
        if items == n
    ]
    # Only p is looked at: two resamples are enough for the interval that comes with it.
    found.append(Part(f"family {n}", partial(family, n=n), rounds=2, flips=FAMILY_FLIPS))
    found += [Part(f"bits {n} {size}", partial(bits, n=n, size=size)) for size in (1, 4)]
    found.append(Part(f"unequal {n}", partial(unequal, n=n)))
    if n in CHECKED_ITEMS:
        share = CHECKED / SIMULATIONS
        found.append(Part(f"rounds {n}", partial(rounds_matter, n=n, size=1), share=share))
    if n == UNTOLD:
        found += [
            Part(f"untold {shape} {n} 4", partial(means, shape=shape, n=n, size=4, told=False)) for shape in SHAPES
        ]
    return found


def key(part: Part, simulations: int) -> dict[str, int]:
    """What a stored part must agree with."""
    count = max(1, round(simulations * part.share))
    return {"seed": SEED, "simulations": count, "rounds": part.rounds, "flips": part.flips}


def stored(part: Part, simulations: int, folder: Path | None) -> Counts | None:
    """The counts of a part that was done before, with this seed and these numbers; else None."""
    path = folder and folder / part.file
    if not path or not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    wanted = key(part, simulations)
    return known["counts"] if {name: known.get(name) for name in wanted} == wanted else None


def run(part: Part, simulations: int, folder: Path | None) -> Counts:
    """The counts of a part: the stored ones, else simulated and stored."""
    if known := stored(part, simulations, folder):
        return known
    start = time.process_time()
    generator = np.random.default_rng([SEED, *part.name.encode()])
    wanted = key(part, simulations)
    count = wanted["simulations"]
    with resamples(part.rounds, part.flips, detectable=part.detectable):
        counts = {name: int(value) for name, value in part.simulate(generator, count).items()}
    counts |= {"simulations": count, "milliseconds": round(1000 * (time.process_time() - start))}
    if folder:
        text = json.dumps({**wanted, "counts": counts})
        unfinished = folder / f"{part.file}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / part.file)
    return counts


# --- the page ---


@dataclass(frozen=True)
class Cell:
    """A share of simulations with its Monte-Carlo error (95 %), and what it was to be."""

    count: int
    of: int
    promised: float
    at_least: bool  # coverage is to be at least what was promised, a rate of errors at most

    @property
    def share(self) -> float:
        return self.count / self.of

    @property
    def error(self) -> float:
        """Half the width of the 95 % interval of the share."""
        return 1.96 * math.sqrt(max(self.share * (1 - self.share), 1 / self.of) / self.of)

    @property
    def missed(self) -> float:
        """By how much it misses what was promised, beyond its own error; 0 where it does not."""
        gap = self.promised - self.share if self.at_least else self.share - self.promised
        return gap if gap > self.error else 0.0

    def __str__(self) -> str:
        text = f"{self.share * 100:.1f} ± {self.error * 100:.1f}"
        return f"**{text}**" if self.missed else text


def covered(counts: Counts, name: str) -> Cell:
    """A coverage, promised at 95 %."""
    return Cell(counts[name], counts["simulations"], PROMISED, at_least=True)


def wrong(counts: Counts, name: str) -> Cell:
    """A rate of false alarms, promised at 5 % at most."""
    return Cell(counts[name], counts["simulations"], ALPHA, at_least=False)


@dataclass
class Page:
    """Lines of Markdown, and on the way every cell that misses its promise."""

    found: dict[str, Counts]
    short: list[tuple[float, str]]

    def table(
        self, columns: tuple[str, ...], rows: list[tuple[str, dict[str, object]]], *, promised: bool = True
    ) -> list[str]:
        """Rows of (what, {column: cell}); `what` names the row in the list of what falls short, if it was promised."""
        marks = "|".join(" ---: " for _ in columns)
        lines = ["| " + " | ".join(["", *columns]) + " |", f"| --- |{marks}|"]
        for what, cells in rows:
            lines.append("| " + " | ".join([what, *(str(cells[column]) for column in columns)]) + " |")
            for column, cell in cells.items():
                if promised and isinstance(cell, Cell) and cell.missed:
                    self.short.append((cell.missed, f"{what}: {column.removesuffix(', %')} {cell.share:.1%}"))
        return lines


def _paired(counts: Counts, n: int, size: int) -> dict[str, object]:
    return {
        "clusters": len(sizes_of(n, size)),
        "false alarms, %": wrong(counts, "rejected"),
        "difference held, %": covered(counts, "difference"),
        **({"score held, %": covered(counts, "mean")} if "mean" in counts else {}),
    }


def page_of_pairs(page: Page, prefix: str) -> list[str]:
    """One table over items and cluster sizes."""
    rows = []
    for n in (*FEW_ITEMS, *ITEMS):
        for size in SIZES:
            counts = page.found.get(f"{prefix} {n} {size}")
            if counts:
                label = prefix.removeprefix("means ").replace("bits", "bits per byte")
                rows.append((f"{label}, n = {n}, clusters of {size}", _paired(counts, n, size)))
    return page.table(("clusters", "false alarms, %", "difference held, %", "score held, %"), rows)


def page_of_sizes(page: Page) -> list[str]:
    """Clusters of unequal sizes."""
    rows = []
    for shape in SHAPES:
        for design, sizes in DESIGNS.items():
            if counts := page.found.get(f"sizes {shape} {design}"):
                effective = resample.freedom(np.array(sizes) / sum(sizes)) + 1
                cells = _paired(counts, len(sizes), 1) | {"effective": f"{effective:.1f}"}
                rows.append((f"{shape}, clusters of {design}", cells))
    columns = ("clusters", "effective", "false alarms, %", "difference held, %", "score held, %")
    return page.table(columns, rows)


def named(tasks: Sequence[int]) -> str:
    """`5, 20 and 75`."""
    return f"{', '.join(map(str, tasks[:-1]))} and {tasks[-1]}"


def page_of_tasks(page: Page) -> list[str]:
    """Means over tasks of unequal sizes."""
    rows = []
    for shape in SHAPES:
        for tasks in TASKS:
            if counts := page.found.get(f"tasks {shape} {named(tasks)}"):
                cells = {**_paired(counts, sum(tasks), 1), "tasks": len(tasks)}
                rows.append((f"{shape}, tasks of {named(tasks)} items", cells))
    return page.table(("tasks", "clusters", "false alarms, %", "difference held, %"), rows)


def page_of_power(page: Page) -> list[str]:
    """How often what is called detectable is found."""
    rows: list[tuple[str, dict[str, object]]] = []
    named = {f"power {design} share {share}": (design, share) for design in POWERED for share in SHARES}
    for name, (design, share) in named.items():
        if counts := page.found.get(name):
            alike = len(set(POWERED[design])) == 1
            label = f"clusters: {design}" + ("" if alike else f", {share:.0%} of the variance theirs")
            rows.append((label, _power(counts, POWERED[design])))
    for n, right in YES_ITEMS:
        if counts := page.found.get(f"power binary {n} {right}"):
            rows.append((f"binary, {right:.0%} right, n = {n}", _power(counts, (1,) * n)))
    return page.table(("clusters", "effective", "mean smallest detectable", "found, %"), rows)


def _power(counts: Counts, sizes: Sequence[int]) -> dict[str, object]:
    return {
        "clusters": len(sizes),
        "effective": f"{resample.freedom(np.array(sizes) / sum(sizes)) + 1:.1f}",
        "mean smallest detectable": f"{counts['shift, millionths'] / 1e6:.3f}",
        "found, %": Cell(counts["found"], counts["simulations"], detectable.POWER, at_least=True),
    }


def page_of_agreement(page: Page) -> list[str]:
    """Coverage of the agreement measures, among the data sets that had a value; the share of those without one."""
    rows: list[tuple[str, dict[str, object]]] = []
    for n, level, size in sorted(AGREED, key=lambda row: (row[1], row[2], row[0])):
        counts = page.found.get(f"agreement {level} {n} {size}")
        if counts:
            names = asked(level, size)
            without = {name: counts[f"no {name}"] / counts["simulations"] for name in names}
            cells: dict[str, object] = dict.fromkeys(MEASURES, "") | {
                name: Cell(counts[name], counts["simulations"] - counts[f"no {name}"], PROMISED, at_least=True)
                for name in names
            }
            worst = max(without, key=lambda name: without[name])
            cells["no value"] = f"{worst} {without[worst]:.1%}" if without[worst] else "none"
            rows.append((f"{level} agreement, n = {n}, clusters of {size}", cells))
    return page.table((*MEASURES, "no value"), rows)


def page_of_rounds(page: Page) -> list[str]:
    """What fewer resamples change, on the same data; the largest change of a coverage beside the Monte-Carlo error."""
    names = {"rejected": "false alarms", "difference": "difference held", "mean": "score held", "alpha": "alpha held"}
    lines = ["|  | " + " | ".join(names.values()) + " |", "| --- | ---: | ---: | ---: | ---: |"]
    changes = []
    for n in CHECKED_ITEMS:
        counts = page.found.get(f"rounds {n}")
        if not counts:
            continue
        for label, rounds, flips in (("ours", THEIR_ROUNDS, THEIR_FLIPS), ("here", ROUNDS, FLIPS)):
            shares = (f"{counts[f'{label} {name}'] / counts['simulations']:.2%}" for name in names)
            lines.append(f"| n = {n}, {rounds:,} resamples, {flips:,} swaps | " + " | ".join(shares) + " |")
        changes += [abs(counts[f"ours {name}"] - counts[f"here {name}"]) / counts["simulations"] for name in names]
    error = Cell(round(PROMISED * SIMULATIONS), SIMULATIONS, PROMISED, at_least=True).error
    if changes:
        simulations = max(counts["simulations"] for name, counts in page.found.items() if name.startswith("rounds"))
        said = f"The largest change is {max(changes):.2%} over {simulations:,} data sets"
        lines += ["", f"{said}; the Monte-Carlo error of a coverage over {SIMULATIONS:,} is {error:.2%}."]
    return lines


def correlation(shape: str) -> tuple[float, float]:
    """Of two items' scores in one cluster, and of two systems' scores on one item; from a large sample."""
    latent = systems(np.random.default_rng(SEED), 100_000, [2])
    a, b = SHAPES[shape].scores(latent)
    return float(np.corrcoef(a[:, 0], a[:, 1])[0, 1]), float(np.corrcoef(a[:, 0], b[:, 0])[0, 1])


def setting(simulations: int, found: dict[str, Counts]) -> list[str]:
    """What was simulated, in words and numbers."""
    related = [
        f"{shape} {inside:.2f} and {between:.2f}" for shape in SHAPES for inside, between in [correlation(shape)]
    ]
    true = "; ".join(
        f"{level}: " + ", ".join(f"{name} {value:.3f}" for name, value in truths(level).items()) for level in RATERS
    )
    seconds = sum(counts["milliseconds"] for counts in found.values()) / 1000
    deviation, median = BITS
    lines = [
        f"Machine: {machine('numpy', 'scipy')}; {seconds:,.0f} CPU seconds in all.",
        f"Seed {SEED}, fixed before the first run; {simulations:,} simulations a row; ± is the Monte-Carlo error.",
        f"Bootstrap with {ROUNDS} resamples and tests with {FLIPS} swaps ({FAMILY_FLIPS} for Holm), where the product "
        f"takes {THEIR_ROUNDS:,} and {THEIR_FLIPS:,}; the last table shows what that changes.",
        f"Scores: ROUGE-like, Beta{BETA}, mean {SHAPES['rouge-like'].mean:.3f}; ordinal 1-5, shares {GRADES}; "
        f"binary, {YES:.0%} right. All come from a latent normal score of which the cluster makes {CLUSTER:.0%}, the "
        f"cluster by the system {CLUSTER_BY_SYSTEM:.0%}, the item {ITEM:.0%}.",
        "Correlation of two items' scores in one cluster, and of two systems' scores on one item (in a cluster): "
        f"{'; '.join(related)}.",
        f"Intervals of {resample.FEW} effective clusters or more are bootstraps, of fewer the jackknife's with "
        "Student's t; of one system's binary items always Wilson's. The ranges of the scores are known to them.",
        "Power: normal differences of variance 1 (the share of the cluster is in the row), or right and wrong answers; "
        f"the mean smallest detectable difference of {simulations * SEARCHED:,.0f} data sets, found in so many of "
        f"{simulations:,} others that differ by it.",
        f"Bits per byte: log-normal rates (deviation {deviation}), references of {median:.0f} bytes at the median with "
        f"a log deviation of {LENGTH}.",
        f"Raters: three, {MISSING:.0%} of the ratings missing; scores 1-5, or (rare) 1 and 2 with {RARE:.0%} of 2. "
        f"Alpha is of all three, the rest of the first two. True values, from {LARGE:,} items: {true}.",
    ]
    return [f"* {line}" for line in lines]


def falls_short(page: Page) -> list[str]:
    """Every cell that misses its promise by more than its error, the worst first; and tests that cannot reject."""
    lines = [f"* {text}" for _, text in sorted(page.short, reverse=True)]
    powerless = [f"{n} items" for n in FEW_ITEMS if 2 / 2**n >= ALPHA] + [
        f"{n} items in clusters of {size}" for n in ITEMS for size in SIZES if 2 / 2 ** len(sizes_of(n, size)) >= ALPHA
    ]
    if powerless:
        lines.append(
            f"* With five clusters or fewer ({', '.join(powerless)}) the smallest two-sided p is 2/32 = 0.0625 or "
            "more: the test can never reject at 0.05, whatever the difference, and no difference is called detectable."
        )
    return lines or ["* Nothing beyond the Monte-Carlo error."]


def page_of_families(page: Page) -> list[str]:
    """Family-wise errors."""
    rows: list[tuple[str, dict[str, object]]] = []
    for n in ITEMS:
        counts = page.found.get(f"family {n}")
        if counts:
            uncorrected = f"{counts['any'] / counts['simulations'] * 100:.1f}"
            cells: dict[str, object] = {"any p < 0.05, %": uncorrected, "after Holm, %": wrong(counts, "holm")}
            rows.append((f"six metrics, n = {n}", cells))
    return page.table(("any p < 0.05, %", "after Holm, %"), rows)


def page_of_misuse(page: Page) -> list[str]:
    """Two settings in which nothing is promised."""
    columns = ("false alarms, %", "difference held, %")
    spread = [
        (f"equal means, another spread, n = {n}", _paired(page.found[f"unequal {n}"], n, 1))
        for n in ITEMS
        if f"unequal {n}" in page.found
    ]
    untold = [
        (f"{shape}, groups not given", _paired(page.found[f"untold {shape} {UNTOLD} 4"], UNTOLD, 4))
        for shape in SHAPES
        if f"untold {shape} {UNTOLD} 4" in page.found
    ]
    return [
        "Equal means, but another spread (ROUGE-like against evenly spread): the test asks whether the two systems "
        "could be swapped, and here they could not.",
        "",
        *page.table(columns, spread),
        "",
        f"Clusters of 4 that the user did not name, {UNTOLD} items (nothing is promised here):",
        "",
        *page.table((*columns, "score held, %"), untold, promised=False),
    ]


def page_text(found: dict[str, Counts], simulations: int) -> str:
    """The whole page, from whatever parts are there."""
    page = Page(found, [])
    sections = {f"Means: {shape}": page_of_pairs(page, f"means {shape}") for shape in SHAPES}
    sections |= {
        "Ratios: bits per byte": page_of_pairs(page, "bits"),
        "Clusters of unequal sizes": page_of_sizes(page),
        "Means over tasks, each task counting once": page_of_tasks(page),
        "Power of the smallest detectable difference": [
            f"A difference that is called detectable promises to be found in {detectable.POWER:.0%} of the data sets "
            f"at least. With fewer than {detectable.SIMULATED} effective clusters the test itself is simulated for it.",
            "",
            *page_of_power(page),
        ],
        "Families: six correlated metrics, no difference in any": page_of_families(page),
        "Agreement between raters": page_of_agreement(page),
        "Where the assumptions fail": page_of_misuse(page),
        "What fewer resamples change": [
            "The same data (ROUGE-like; raters of moderate agreement), once with the product's numbers and once with "
            "those used above.",
            "",
            *page_of_rounds(page),
        ],
    }
    missing = [part.name for part in parts() if part.name not in found]
    head = [
        "# Statistics: do the tests and intervals keep what they promise?",
        "",
        "Made by `python benchmarks/simulations.py --parts FOLDER --write docs/benchmarks/statistics.md`.",
        "",
        *setting(simulations, found),
        *([f"* Not run yet: {', '.join(missing)}."] if missing else []),
        "",
        "A test at 0.05 promises false alarms in at most 5 % of the comparisons of two equal systems; a 95 % interval "
        "promises to hold the true value in at least 95 %. Bold: missed by more than the Monte-Carlo error.",
        "",
        "## What falls short",
        "",
        *falls_short(page),
        "",
    ]
    body = [line for title, lines in sections.items() for line in (f"## {title}", "", *lines, "")]
    return "\n".join([*head, *body]).rstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=Path, help="folder in which finished parts are kept")
    parser.add_argument("--done", action="store_true", help="simulate nothing: the page of the parts in the folder")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} simulations instead of {SIMULATIONS:,}")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    simulations = QUICK if options.quick else SIMULATIONS
    if options.parts:
        options.parts.mkdir(parents=True, exist_ok=True)
    counted = {part.name: (stored if options.done else run)(part, simulations, options.parts) for part in parts()}
    found = {name: counts for name, counts in counted.items() if counts}
    give(page_text(found, simulations), options.write)


if __name__ == "__main__":
    main()
