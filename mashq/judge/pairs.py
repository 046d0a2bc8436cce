"""What verdicts on pairs amount to: shares of wins with intervals and tests, and flips apart from ties.

A pair is a system's reply beside the baseline's, judged in both orders. Where the orders agree that is the verdict; a
verdict that changes with the order is a flip, says nothing of the replies and counts as half a win, as a tie does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mashq.judge.intervals import TURNS, span_of_mean
from mashq.metrics import compare, holm, mean_score
from mashq.metrics.paired import FLIPS
from mashq.metrics.score import BINARY, extended, sign

__all__ = ["pair_results"]

WINS = {"second": 1.0, "tie": 0.5, "first": 0.0}  # of the system, by the verdict; the baseline is the first
LEAST_GROUPS = 2  # clusters below which nothing is tested

Line = Mapping[str, Any]  # of `pairs.parquet`


def pair_results(
    lines: Sequence[Line], criteria: Sequence[str], signature: str, seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """`pairs`: one entry for each system and criterion; `varieties`: one for each variety too, where there are two.

    An entry holds the counts (wins, ties and losses in both orders, flips, unread), `share` of wins of the pairs that
    could be read (0..1, ties and flips half), its 95 % interval by clusters, the p of the sign-flip test of the share
    against one half, `p_holm` over all entries of its list, and the share of `flip` with its interval. What cannot be
    measured is None: all of it without a readable pair, interval and p with one cluster.
    """
    systems = list(dict.fromkeys(line["system"] for line in lines))
    varieties = sorted({line["variety"] for line in lines if line["variety"]})
    told = [(system, name) for system in systems for name in criteria]
    pairs = [_entry(_of(lines, system=system, criterion=name), signature, seed) for system, name in told]
    apart = [
        {"variety": variety, **_entry(own, signature, seed)}
        for system, name in told
        for variety in (varieties if len(varieties) > 1 else ())
        if (own := _of(lines, system=system, criterion=name, variety=variety))
    ]
    return {"pairs": _adjusted(pairs), "varieties": _adjusted(apart)}


def _of(lines: Iterable[Line], **wanted: str) -> list[Line]:
    return [line for line in lines if all(line[key] == value for key, value in wanted.items())]


def _adjusted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With Holm's p over those that were tested."""
    tested = [one for one in entries if one["p"] is not None]
    for one, p in zip(tested, holm([one["p"] for one in tested]), strict=True):
        one["p_holm"] = p
    return entries


def _entry(lines: Sequence[Line], signature: str, seed: int) -> dict[str, Any]:
    """One system by one criterion; `lines`, at least one, are all of it."""
    read = [line for line in lines if line["verdict"] is not None]
    verdicts = [line["verdict"] for line in read if not line["flip"]]
    counts = {name: verdicts.count(verdict) for name, verdict in _COUNTED.items()}
    same = {key: lines[0][key] for key in ("system", "criterion")}
    told = {**same, "asked": len(lines), "unread": len(lines) - len(read), **counts, "flips": len(read) - len(verdicts)}
    groups = [line["group"] or line["item"] for line in read]
    empty: dict[str, Any] = dict.fromkeys(("share", "low", "high", "p", "p_holm", "flip", "signature"))
    return {**told, "n": len(read), "groups": len(set(groups)), **empty, **_measured(read, groups, signature, seed)}


_COUNTED = {"wins": "second", "ties": "tie", "losses": "first"}


def _measured(read: Sequence[Line], groups: Sequence[str], signature: str, seed: int) -> dict[str, Any]:
    if not read:
        return {}
    wins = [WINS[line["verdict"]] for line in read]
    losses = [1 - win for win in wins]
    # Wins less losses, a step of 1 each way: the case that the pseudo-items of `span_of_mean` were made for.
    span = span_of_mean([2 * win - 1 for win in wins], groups, TURNS, (-1.0, 1.0))
    found = compare(wins, losses, metric="judge_pairs", groups=groups, seed=seed)
    flips = [float(line["flip"]) for line in read]
    flip = mean_score(flips, name="flip", signature=sign("judge_flip", BINARY), groups=groups, seed=seed)
    recipe = ("ties:half", f"test:swap{FLIPS}", "ci:plus2", "by:group", f"seed:{seed}")
    return {
        "share": float(np.mean(wins)),
        "low": None if span.low is None else (1 + span.low) / 2,
        "high": None if span.high is None else (1 + span.high) / 2,
        "p": found.p if found.groups >= LEAST_GROUPS else None,
        "flip": {"value": flip.value, "low": flip.low, "high": flip.high},
        "signature": extended(signature, *recipe),
    }
