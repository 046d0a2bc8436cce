"""How fast a server is asked: how many requests are in flight, and how many requests and tokens go out in a minute.

The window of requests in flight is found by trying. It doubles while that brings more replies a second, steps back
where it does not (latency rose as fast as the window), and gives way where refusals are many. Where a server gets slow,
smaller windows are tried, and kept as long as as many replies come. What counts is throughput, not latency alone: a
server that computes requests together answers each a little later and all of them much sooner. By Little's law
throughput is requests in flight / latency, so two rounds are compared by their windows and latencies; and latencies are
compared between replies of about one length, because a long reply takes long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from statistics import median

__all__ = ["Gate", "Pace", "Rate"]

START = 16  # requests in flight at first
LEAST_REPLIES = 8  # in a round: fewer say nothing
SHRINK = 0.7
BEARABLE = 0.25  # of a round's outcomes that may be refusals: fewer come from a server's bad luck, not from its load
FEW_OUTCOMES = 8  # a share of fewer than these says little
GROW = (2.0, 1.25)  # until the window first gave way, and after
GAIN = 0.3  # of what was added to the window that must come back as throughput
RISE = 2.0  # at one window: this much slower than before may be a server that has too much to do
SLOW_ROUNDS = 2  # that slow, one after another, before a smaller window is tried
UNSEEN_S = 0.005  # differences of this size are the clock's and the machine's
REST = (4, 32)  # rounds until the next try to grow, after the first vain one and at most
USED = 0.75  # of the window: a round that used less says nothing about it

Round = dict[int, tuple[int, float]]  # length class of a reply -> how many, their median seconds


class Pace:
    """The window of requests in flight, between 1 and `most`.

    Told of every reply and of every failure that a server which has too much to do would cause. `clock` gives seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic):
        self.most, self._clock = most, clock
        self.restart()

    def restart(self) -> None:
        """Forget what was found, as behind a server that was away."""
        self.window = float(min(START, self.most))
        self._steep, self._rest, self._vain, self._slow = True, 0, 0, 0
        self._from: float | None = None  # the window before the one that is being tried
        self._new_round(None)

    def _new_round(self, before: Round | None) -> None:
        """`before`: what the next round is compared with; None where it has nothing to be compared with."""
        self._before = before
        self._since = self._clock()
        self._seconds: dict[int, list[float]] = {}
        self._replies = self._refused = self._busiest = 0

    def came(self, started: float, new_tokens: int, in_flight: int) -> None:
        """A reply to what was sent at `started`; new_tokens: 0 where the server does not say; in_flight: with it."""
        if started <= self._since:
            return  # sent while the window was another
        self._seconds.setdefault(new_tokens.bit_length(), []).append(self._clock() - started)
        self._replies += 1
        self._busiest = max(self._busiest, in_flight)
        if self._replies >= max(LEAST_REPLIES, int(self.window)):
            self._end_round()

    def failed(self, started: float) -> bool:
        """A refusal, a timeout or a lost connection of what was sent at `started`: is the server asked too much?

        It is where more than BEARABLE of a round ends so; the window gives way then, once in a round trip.
        """
        if started < self._since:
            return False
        self._refused += 1
        # Refusals come at once and replies later: a share of the whole round is meant, not of what has come.
        if self._refused <= BEARABLE * max(self._replies + self._refused, FEW_OUTCOMES, int(self.window)):
            return False
        self._give_way(self.window * SHRINK)
        return True

    def _give_way(self, window: float) -> None:
        """A smaller window, and some rounds of rest before the next try to grow."""
        self.window = max(1.0, window)
        self._steep, self._from = False, None
        self._vain += 1
        self._rest = min(REST[0] * 2 ** (self._vain - 1), REST[1])
        self._new_round(None)

    def _try(self, window: float, seen: Round) -> None:
        """Another window, to be compared with this one."""
        self._from = self.window
        self.window = min(float(self.most), max(1.0, window))
        self._new_round(seen)

    def _end_round(self) -> None:
        seen = {kind: (len(all_), median(all_)) for kind, all_ in self._seconds.items()}
        slower = _slower(self._before, seen)
        tried, self._from = self._from, None
        if tried is not None:
            more = self.window / tried
            if more / slower - 1 < GAIN * (more - 1):  # too little gained, or by a smaller window too much lost
                self._give_way(tried)
                return
            if more < 1:
                self._try(self.window * SHRINK, seen)
                return
            self._vain = 0
        self._slow = self._slow + 1 if slower > RISE else 0
        if self._slow == SLOW_ROUNDS:
            self._slow, self._steep, self._rest = 0, False, REST[0]
            self._try(self.window * SHRINK, seen)
            return
        self._rest -= 1
        if self._rest < 0 and self.window < self.most and self._busiest >= USED * int(self.window):
            self._try(max(self.window + 1, self.window * GROW[not self._steep]), seen)
            return
        calm = tried is None and self._before is not None and slower >= 1
        self._new_round(self._before if calm else seen)


def _slower(before: Round | None, now: Round) -> float:
    """By which factor the replies of a round took longer than those of another; 1 where no lengths are shared."""
    shared = [(min(before[kind][0], now[kind][0]), kind) for kind in now if kind in before] if before else []
    weight = sum(count for count, _ in shared)
    if not before or not weight:
        return 1.0
    return sum(count * (now[kind][1] + UNSEEN_S) / (before[kind][1] + UNSEEN_S) for count, kind in shared) / weight


class Gate:
    """Lets as many in as the window says; the others wait in the order in which they came."""

    def __init__(self, pace: Pace):
        self.pace, self.in_flight = pace, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether one more could go in at once."""
        return self.in_flight < int(self.pace.window) and not self._waiting

    async def enter(self) -> None:
        if self.has_room:
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn  # whoever leaves counts us in
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # counted in, and gone before it came in
            raise

    def leave(self) -> None:
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.pace.window):
            turn = self._waiting.popleft()
            if not turn.done():  # else cancelled
                self.in_flight += 1
                turn.set_result(None)


class Rate:
    """At most so many a minute, evenly: no burst, so that no minute holds more, wherever the server's minute begins."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic):
        self._each_s, self._clock = 60.0 / per_minute, clock
        self._next = 0.0

    def book(self, amount: float = 1.0) -> float:
        """Seconds to wait before so many may go out; they are counted at once."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + amount * self._each_s
        return at - now

    def correct(self, amount: float) -> None:
        """Count so many more (or, below 0, fewer) than were booked."""
        self._next += amount * self._each_s
