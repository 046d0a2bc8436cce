"""One metric of one system over all items: the value of every item, and the score of any of them with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mashq.evaluate.items import Items
from mashq.metrics import Metric, Score, mean_score
from mashq.metrics.perplexity import bits_per_byte, item_bits_per_byte, perplexity
from mashq.metrics.resample import Bounds

__all__ = ["LIKELIHOOD", "Measure", "measure"]

LIKELIHOOD = ("bits_per_byte", "perplexity")  # metrics of the reference under the model, not of the reply


@dataclass(frozen=True)
class Measure:
    """One metric of one system over all items.

    A mean of `values`, or for likelihoods the ratio of summed `nats` and `units` (bytes or tokens). NaN: not scored.
    """

    metric: str
    signature: str  # of the items' values; a score's own is longer
    values: np.ndarray  # (items,)
    nats: np.ndarray | None = None
    units: np.ndarray | None = None
    tokenizer: str = ""
    higher_is_better: bool = True  # of a mean; likelihoods have their own comparison
    bounds: Bounds | None = None  # the least and the greatest value of an item, where its unit tells them

    @property
    def scored(self) -> np.ndarray:
        return np.isfinite(self.values)

    def ratio(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The chosen items' numerators and denominators: values over ones, bits over bytes, or nats over tokens."""
        if self.nats is None or self.units is None:
            return self.values[chosen], np.ones(len(chosen))
        return self.nats[chosen] / (math.log(2) if self.metric == "bits_per_byte" else 1.0), self.units[chosen]

    def score(self, chosen: np.ndarray, groups: Sequence[str | None], seed: int) -> Score:
        """The score of the chosen items (positions, all of them scored)."""
        here = [groups[place] for place in chosen]
        if self.nats is None or self.units is None:
            return mean_score(
                self.values[chosen],
                name=self.metric,
                signature=self.signature,
                groups=here,
                bounds=self.bounds,
                seed=seed,
            )
        if self.metric == "perplexity":
            tokenizer = self.tokenizer
            return perplexity(self.nats[chosen], self.units[chosen], tokenizer=tokenizer, groups=here, seed=seed)
        return bits_per_byte(self.nats[chosen], self.units[chosen], groups=here, seed=seed)


def measure(items: Items, system: str, metric: str, tokenizer: str, catalogue: Mapping[str, Metric]) -> Measure:
    answers = items.answers[system]
    if metric in LIKELIHOOD:
        unit = "target_tokens" if metric == "perplexity" else "target_bytes"
        nats = np.array([answer.number("nats") for answer in answers])
        units = np.array([answer.number(unit) for answer in answers])
        units[~(units > 0)] = math.nan  # an empty reference has no likelihood per unit
        values = np.full(len(nats), math.nan)
        known = np.flatnonzero(np.isfinite(nats / units))
        each = item_bits_per_byte if metric == "bits_per_byte" else _item_perplexity
        values[known] = each(nats[known], units[known]) if len(known) else []
        return Measure(
            metric, f"{metric} {tokenizer if metric == 'perplexity' else ''}", values, nats, units, tokenizer
        )
    entry, values = catalogue[metric], np.full(len(answers), math.nan)
    if entry.of_meta is not None:
        values = np.array([entry.of_meta(answer.facts) for answer in answers], dtype=float)
        return _mean_of(entry, metric, values)
    if entry.of_turns is not None:
        values = np.array([entry.of_turns(answer.row["messages"]) for answer in answers], dtype=float)
        return _mean_of(entry, metric, values)
    known = np.array([place for place, texts in enumerate(items.references) if texts], dtype=np.int64)
    if len(known):
        replies = [answers[place].reply for place in known]
        values[known] = entry.per_item(replies, [items.references[place] for place in known])
    return _mean_of(entry, metric, values)


def _mean_of(entry: Metric, metric: str, values: np.ndarray) -> Measure:
    better = entry.higher_is_better
    return Measure(metric, entry.signature, values, higher_is_better=better, bounds=entry.bounds)


def _item_perplexity(nats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.exp(nats / tokens)
