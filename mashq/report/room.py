"""How much of each run one page has room for; what it leaves out stands in report.json."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "MOST_CELLS", "SMALLER", "Room"]

MOST_CELLS = 40  # of those that a survey found short; a page has as many in every room


@dataclass(frozen=True)
class Room:
    """The most that a page shows of one run."""

    slices: int = 40  # rows of one slicing, of reasons and of a composition
    replies: int = 100  # items with replies, of an evaluation: largest gain, median and largest loss come first
    rows: int = 100  # drawn rows of a step, as many of kept as of dropped ones
    metrics: int = 1_000  # metrics with tables by slice, of an evaluation; the boards have every metric


FULL = Room()
# Tried in turn where the page would be too large. Tables by slice are most of its bytes (801 and 685 of the 2,217
# kB of one run of the stages): a few metrics with their slices say more than the first slices of every metric.
SMALLER = (Room(12, 6, 2), Room(12, 3, 1, 3), Room(6, 3, 1, 2), Room(3, 1, 0, 1), Room(0, 1, 0, 1))
