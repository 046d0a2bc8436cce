"""The shares of new n-grams in an evaluation's facts, as the page, the Markdown and the papers' tables read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["AGAINST", "MAIN", "novel"]

MAIN = "training+context"  # the number of McCoy et al. 2023: drawn, and in the papers' tables
AGAINST = {MAIN: "novel_both", "training": "novel_training", "context": "novel_context"}  # -> its words


def novel(entry: Mapping[str, Any], against: str) -> Mapping[str, Mapping[str, Any]]:
    """n -> value, low and high of an entry of `copied`; empty where that is not told, as in evaluations made before."""
    shares: Mapping[str, Any] = entry.get("novelty") or {}
    return shares.get(against) or {}
