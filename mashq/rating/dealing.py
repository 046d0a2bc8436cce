"""Which rater rates which items, in which order, and on which side a pair's texts stand: drawn by hashing.

A draw depends on the study's seed and name, the rater's name and the item's id alone, so that it is the same after a
restart, on any machine, and whoever else joins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mashq.rating.study import Item, Study, draw

__all__ = ["deal", "flipped", "in_order", "public_id"]


def flipped(study: Study, rater: str, item: Item) -> bool:
    """Whether this rater sees the second text first."""
    return item.kind == "pairwise" and bool(draw(study.seed, study.name, rater, item.id, "side") & 1)


def public_id(study: Study, rater: str, item: Item) -> str:
    """The item's name on this rater's pages: it tells neither a system nor whether two raters see the same item."""
    return f"{draw(study.seed, study.name, rater, item.id, 'page'):016x}"


def in_order(study: Study, rater: str, items: Iterable[Item]) -> list[Item]:
    """Items in this rater's drawn order."""
    return sorted(items, key=lambda item: (draw(study.seed, study.name, rater, item.id, "order"), item.id))


def with_attention(study: Study, items: Sequence[Item], attention: Sequence[Item]) -> list[Item]:
    """Items in order with attention items spread evenly among them: one after each `attention_every`, or all."""
    most = len(items) // study.attention_every if study.attention_every else len(attention)
    chosen = list(attention[:most]) if items else []
    places = [round((turn + 0.5) * len(items) / len(chosen)) for turn in range(len(chosen))]
    made: list[Item] = []
    start = 0
    for place, item in zip(places, chosen, strict=True):
        made += [*items[start:place], item]
        start = place
    return [*made, *items[start:]]


def deal(study: Study, raters: Sequence[str], held: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Rater -> the ids of the items (of role "item") that are theirs.

    Each item gets `raters_per_item` raters (all, where there are no more). It is given to who has the fewest items,
    among these to who shares the fewest with its other raters, then to who has the fewest of its kind, variety and
    systems. So loads differ by one item at most where nothing is held, and every two raters share items as far as the
    items go round (60 items, 2 of 8 raters each: 15 items a rater, 1 to 3 shared by every two).
    `held` are the items that a rater keeps whatever is dealt (rater -> ids). Withdrawn raters are in neither: what they
    answered does not count, so it is dealt anew.
    """
    items = study.of_role("item")
    if not study.raters_per_item or study.raters_per_item >= len(set(raters) | {who for who in held if held[who]}):
        return {rater: {item.id for item in items} for rater in raters}
    made: dict[str, set[str]] = {rater: set(held.get(rater, ())) for rater in raters}
    having: dict[str, list[str]] = defaultdict(list)
    loads = _Loads()
    for item in items:
        for rater in sorted(rater for rater in held if item.id in held[rater]):
            loads.add(item, rater, having[item.id])
    for item in sorted(items, key=lambda item: (_stratum(item), draw(study.seed, study.name, item.id, "deal"))):
        start = draw(study.seed, study.name, item.id, "first") % max(len(raters), 1)
        theirs = having[item.id]
        while len(theirs) < study.raters_per_item:
            free = [rater for rater in (*raters[start:], *raters[:start]) if rater not in theirs]
            if not free:
                break
            best = min(free, key=lambda rater: loads.cost(item, rater, theirs))
            loads.add(item, best, theirs)
            made[best].add(item.id)
    return made


def _stratum(item: Item) -> tuple[str, ...]:
    return (item.kind, item.variety, *item.systems)


class _Loads:
    """How many items each rater has, in all and of each stratum, and every two raters share."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.stratum: Counter[tuple[str, ...]] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()  # both ways round

    def add(self, item: Item, rater: str, others: list[str]) -> None:
        """Give the item to a rater beside the others who have it, among whom the rater then is."""
        self.all[rater] += 1
        self.stratum[(rater, *_stratum(item))] += 1
        for other in others:
            self.pairs[rater, other] += 1
            self.pairs[other, rater] += 1
        others.append(rater)

    def cost(self, item: Item, rater: str, others: Sequence[str]) -> tuple[int, int, int]:
        """What giving the item to this rater costs; the least is chosen, among equals the first."""
        shared = sum(self.pairs[rater, other] for other in others)
        return self.all[rater], shared, self.stratum[(rater, *_stratum(item))]
