"""How far scores tell good translations from bad ones: shares kept, precision, AUC with intervals, thresholds.

Numbers only: what was scored and why stands in `mashq.calibrate`, which also states the definitions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mashq.corruptions import KINDS, Pair
from mashq.quality import Scorer

__all__ = [
    "LEAST_KEPT", "ROUNDS", "Calibration", "Sample", "Scored", "Settings", "auc", "aucs", "documents_kept",
    "filtered", "halves", "held_out", "kept", "precision_at", "seen", "teams", "threshold_at",
]  # fmt: skip

ROUNDS = 1_000  # of the bootstrap
LEAST_KEPT = 0.05  # of the good ones: a threshold that keeps fewer is none


@dataclass(frozen=True)
class Settings:
    """What decides a calibration besides its pairs and scorers."""

    seed: int = 0
    share_bad: float | None = None  # of the translations that will be filtered; None: as people judged, else 0.2
    sees_at: float = 0.8  # a scorer sees a fault when the lower end of its AUC's interval is at least this
    precision: float = 0.95  # of the default threshold of a scorer of quality
    keeps: float = 0.99  # of good ones, by the default threshold of a check
    kinds: tuple[str, ...] = tuple(KINDS)
    good_at: float | None = None  # of a column `score` of people's judgements: good from here on
    encoder: str = "e5"  # that finds the near sentences
    documents: tuple[int, ...] = (1, 2, 5, 10)  # neighbouring sentences in a document, where the file names none
    as_judged: bool = False  # share_bad is what people found in a sample, no assumption; `calibrate` sets it

    @property
    def bad(self) -> float:
        """The share of bad ones that precision is told for."""
        return 0.2 if self.share_bad is None else self.share_bad

    @property
    def told(self) -> str:
        """The share with where it comes from."""
        return f"{self.bad:.0%} is bad ({'as judged' if self.as_judged else 'assumed'})"


@dataclass(frozen=True)
class Sample:
    """Pairs to calibrate on, and what people said of them."""

    pairs: list[Pair]
    good: list[bool] | None  # people's judgements; None: every pair is good
    documents: list[str] | None
    name: str
    hash: str  # of the file


@dataclass(frozen=True)
class Scored:
    """What one scorer gave: good (pairs,) and for each kind (pairs,).

    NaN where there is no such text; minus infinity where the scorer gave none, because a filter drops that one.
    """

    scorer: Scorer
    good: np.ndarray
    bad: Mapping[str, np.ndarray]
    unscored: int  # texts that the scorer gave no score: a filter drops them


@dataclass(frozen=True)
class Calibration:
    """The scores of every scorer on one sample, and what follows from them."""

    sample: Sample
    settings: Settings
    texts: Mapping[str, list[str | None]]  # kind -> the bad translations
    scored: tuple[Scored, ...]
    entries: tuple[dict[str, Any], ...]  # of calibration.yaml, one a scorer
    combined: Mapping[str, Scored]  # several scorers as one, by what they are called together
    seconds: Mapping[str, float]  # of each scorer, over every text


def auc(good: np.ndarray, bad: np.ndarray, of_good: np.ndarray | None = None, of_bad: np.ndarray | None = None) -> Any:
    """The chance that a good one scores above a bad one, ties half.

    `of_good` and `of_bad`, of shape (rounds, n), weigh the items; the result then has shape (rounds,). NaN where one
    side weighs nothing.
    """
    values, where = np.unique(np.concatenate([good, bad]), return_inverse=True)
    weights = [
        np.ones((1, len(good))) if of_good is None else of_good,
        np.ones((1, len(bad))) if of_bad is None else of_bad,
    ]
    sums = [
        np.stack([np.bincount(places, weights=row, minlength=len(values)) for row in side])
        for places, side in zip((where[: len(good)], where[len(good) :]), weights, strict=True)
    ]
    below = np.cumsum(sums[1], axis=1) - sums[1] / 2  # bad ones below each value, half of those at it
    whole = sums[0].sum(axis=1) * sums[1].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        made = (sums[0] * below).sum(axis=1) / whole
    return made if of_good is not None else float(made[0])


@functools.lru_cache(maxsize=4)
def _draws(pairs: int, seed: int) -> np.ndarray:
    """(ROUNDS, pairs): how often each pair is drawn."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(pairs, np.full(pairs, 1 / pairs), size=ROUNDS).astype(np.float64)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return float(low), float(high)


def aucs(scored: Scored, seed: int) -> dict[str, dict[str, Any]]:
    """Kind -> auc, low, high, n; and "balanced", their mean, in which every kind weighs the same."""
    draws = _draws(len(scored.good), seed)
    there = ~np.isnan(scored.good)
    good = scored.good[there]
    lines, rounds = {}, []
    for kind, values in scored.bad.items():
        here = ~np.isnan(values)
        if not here.any():
            continue
        drawn = auc(good, values[here], draws[:, there], draws[:, here])
        rounds.append(drawn)
        low, high = _interval(drawn)
        lines[kind] = {"auc": auc(good, values[here]), "low": low, "high": high, "n": int(here.sum())}
    low, high = _interval(np.mean(rounds, axis=0))
    mean = float(np.mean([line["auc"] for line in lines.values()]))
    lines["balanced"] = {"auc": mean, "low": low, "high": high, "n": sum(line["n"] for line in lines.values())}
    return lines


def kept(
    scored: Scored, thresholds: np.ndarray, only: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """For each threshold the share of good ones that pass, and of each kind of bad ones; `only` picks pairs."""
    pick = np.ones(len(scored.good), dtype=bool) if only is None else only

    def share(values: np.ndarray) -> np.ndarray:
        known = np.sort(values[pick & ~np.isnan(values)])
        return 1 - np.searchsorted(known, thresholds, side="left") / max(1, len(known))

    return share(scored.good), {kind: share(values) for kind, values in scored.bad.items()}


def precision_at(good: np.ndarray, bad: Mapping[str, np.ndarray], share_bad: float) -> np.ndarray:
    """Precision from shares that pass: see the head of this module. NaN where nothing passes."""
    mean_bad = np.mean(list(bad.values()), axis=0)
    with np.errstate(invalid="ignore"):
        return (1 - share_bad) * good / ((1 - share_bad) * good + share_bad * mean_bad)


def seen(scored: Scored, settings: Settings, lines: Mapping[str, Mapping[str, Any]]) -> Scored:
    """The same scores with the faults alone that the scorer sees: no threshold of it can stop the others.

    `lines` are its `aucs`.
    """
    bad = {
        kind: values for kind, values in scored.bad.items() if kind in lines and lines[kind]["low"] >= settings.sees_at
    }
    return Scored(scored.scorer, scored.good, bad, scored.unscored)


def halves(pairs: int) -> np.ndarray:
    """(pairs,) True for one half: by lot, the same for every scorer, and not by places, which may alternate."""
    half = np.zeros(pairs, dtype=bool)
    half[np.random.default_rng(0).permutation(pairs)[: pairs // 2]] = True
    return half


def threshold_at(
    scored: Scored, precision: float, share_bad: float, only: np.ndarray | None = None
) -> tuple[float | None, float]:
    """The least threshold with the precision, or None; and the highest precision that any reaches."""
    pick = np.ones(len(scored.good), dtype=bool) if only is None else only
    candidates = np.unique(scored.good[pick & ~np.isnan(scored.good)])
    good, bad = kept(scored, candidates, pick)
    reached = precision_at(good, bad, share_bad)
    reached[good < LEAST_KEPT] = np.nan
    enough = np.flatnonzero(reached >= precision)
    return (float(candidates[enough[0]]) if len(enough) else None), float(np.nanmax(reached))


def held_out(scored: Scored, precision: float, share_bad: float) -> tuple[float, float] | None:
    """Precision and share of good ones kept, with the threshold found on the other half; the mean of both ways."""
    half = halves(len(scored.good))
    measured = []
    for chosen_on in (half, ~half):
        value, _ = threshold_at(scored, precision, share_bad, chosen_on)
        if value is None:
            return None
        good, bad = kept(scored, np.array([value]), ~chosen_on)
        measured.append((float(precision_at(good, bad, share_bad)[0]), float(good[0])))
    return float(np.mean([one for one, _ in measured])), float(np.mean([two for _, two in measured]))


def teams(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Which scorers filter together: each scorer of quality with all checks; without either, all of them."""
    checks = [one for one in scored if not one.scorer.column]
    quality = [one for one in scored if one.scorer.column]
    if checks and quality:
        return {f"{one.scorer.name} + checks": [one, *checks] for one in quality}
    return {"all together": list(scored)} if len(scored) > 1 else {}


def filtered(calibration: Calibration, names: Sequence[str] | None = None) -> dict[str, tuple[float, int]]:
    """What passes the default thresholds of these scorers (of all) together: "" (good) and each kind -> share, n."""
    chosen = [
        (one, entry["default"]["value"])
        for one, entry in zip(calibration.scored, calibration.entries, strict=True)
        if entry["default"] and (names is None or one.scorer.name in names)
    ]
    made = {}
    for kind in ("", *calibration.texts):
        there = np.array([True] * len(calibration.sample.pairs))
        if kind:
            there = np.array([text is not None for text in calibration.texts[kind]])
        elif calibration.sample.good is not None:
            there = np.array(calibration.sample.good)
        passed = there.copy()
        for one, value in chosen:
            scores = one.bad[kind] if kind else one.good
            passed &= np.nan_to_num(scores, nan=-np.inf) >= value
        made[kind] = (float(passed.sum() / max(1, there.sum())), int(there.sum()))
    return made


def documents_kept(calibration: Calibration, scored: Scored, threshold: float) -> dict[str, float]:
    """Share of documents of good pairs of which every sentence passes.

    Documents are those of the column `document`, or runs of 1, 2, 5, 10 neighbouring sentences.
    """
    passed = np.nan_to_num(scored.good, nan=-np.inf) >= threshold
    if (named := calibration.sample.documents) is not None:
        whole: dict[str, bool] = {}
        for name, one in zip(named, passed, strict=True):
            whole[name] = whole.get(name, True) and bool(one)
        return {"documents": sum(whole.values()) / len(whole)}
    made = {}
    for size in calibration.settings.documents:
        runs = passed[: len(passed) // size * size].reshape(-1, size)
        made[f"{size} sentence{'s'[: size != 1]}"] = float(runs.all(axis=1).mean())
    return made
