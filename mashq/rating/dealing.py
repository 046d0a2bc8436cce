"""Which rater rates which items, in which order, and on which side a pair's texts stand: drawn by hashing.

A draw depends on the store's key, the study's seed and name, the rater's name and the item's id alone, so that it is
the same after a restart and whoever else joins. The key is random and in the store's file alone: without it who knows
the study's name and its items' ids (a published run has both) could draw the same, and tell systems and sides. "" is
the key of stores that were made without one, and of tasks that no store made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mashq.rating.study import Item, Study, draw

__all__ = ["deal", "flipped", "in_order", "public_id", "with_attention"]


def flipped(study: Study, rater: str, item: Item, key: str = "") -> bool:
    """Whether this rater sees the second text first."""
    return item.kind == "pairwise" and bool(_draw(study, key, rater, item.id, "side") & 1)


def public_id(study: Study, rater: str, item: Item, key: str = "") -> str:
    """The item's name on this rater's pages: it tells neither a system nor whether two raters see the same item."""
    return f"{_draw(study, key, rater, item.id, 'page'):016x}"


def in_order(study: Study, rater: str, items: Iterable[Item], key: str = "") -> list[Item]:
    """Items in this rater's drawn order."""
    return sorted(items, key=lambda item: (_draw(study, key, rater, item.id, "order"), item.id))


def _draw(study: Study, key: str, *names: str) -> int:
    return draw(*((key,) if key else ()), study.seed, study.name, *names)


def with_attention(
    study: Study, items: Sequence[Item], attention: Sequence[Item], before: tuple[int, int] = (0, 0)
) -> list[Item]:
    """Items in order with attention items spread evenly among them: one after each `attention_every`, or all.

    `before`: (items, attention items) that the rater's list holds already, ahead of these. They count, so that a list
    that is dealt anew however often holds as many attention items as one that never was, at the same places.
    """
    if not items:
        return []
    there, seen = before
    whole = there + len(items)
    owed = max(0, whole // study.attention_every - seen) if study.attention_every else len(attention)
    chosen = list(attention[:owed])
    apart = whole / (seen + len(chosen)) if chosen else 0.0
    made: list[Item] = []
    start = 0
    for turn, item in enumerate(chosen, seen):
        place = max(start + bool(made), round((turn + 0.5) * apart) - there)  # two that are overdue stand apart
        made += [*items[start:place], item]
        start = place
    return [*made, *items[start:]]


def deal(study: Study, raters: Sequence[str], held: Mapping[str, set[str]], key: str = "") -> dict[str, set[str]]:
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
    for item in sorted(items, key=lambda item: (_stratum(item), _draw(study, key, item.id, "deal"))):
        start = _draw(study, key, item.id, "first") % max(len(raters), 1)
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
