"""The window of requests in flight, on a clock of our own: it finds what a server can do, and gives way."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable

import pytest

from mashq.lm.pace import SHRINK, START, Gate, Pace, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Latency = Callable[[float, int, int], float]  # (now, in flight, new tokens) -> seconds


def served(latency: Latency, *, most: int, replies: int, tokens: Callable[[], int] = lambda: 100) -> tuple[Pace, float]:
    """A window that has asked so many requests of a server, always as many as it allows; and replies a second of the
    last half."""
    clock = Clock()
    pace = Pace(most, clock)
    going: list[tuple[float, float, int]] = []
    half = 0.0
    for number in range(replies):
        while len(going) < int(pace.window):
            new = tokens()
            heapq.heappush(going, (clock.now + latency(clock.now, len(going) + 1, new), clock.now, new))
        in_flight = len(going)
        clock.now, started, new = heapq.heappop(going)
        pace.came(started, new, in_flight)
        half = clock.now if number == replies // 2 else half
    return pace, (replies / 2) / (clock.now - half)


def slots(count: int) -> Latency:
    """A server with so many slots, one second a reply, the rest waits in line."""
    return lambda _, in_flight, __: max(1.0, in_flight / count)


def test_it_begins_small_and_doubles_while_latency_stays() -> None:
    assert Pace(4).window == 4
    assert Pace(1000).window == START
    pace, rate = served(lambda *_: 1.0, most=1000, replies=20_000)
    assert pace.window == 1000
    assert rate == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("count", [16, 50, 200])
def test_it_settles_near_what_the_server_has_slots_for(count: int) -> None:
    pace, rate = served(slots(count), most=2000, replies=20_000)
    assert 0.7 * count <= pace.window <= 2.5 * count
    assert rate > 0.8 * count


@pytest.mark.parametrize("seed", range(5))
def test_it_settles_with_replies_of_every_length_and_noise(seed: int) -> None:
    """Replies of 10 to 2,000 tokens, 20 ms a token and half a second before the first, a third more or less."""
    draw = random.Random(seed)
    count = 64

    def latency(_: float, in_flight: int, new: int) -> float:
        return (0.5 + 0.02 * new) * max(1.0, in_flight / count) * draw.uniform(0.7, 1.3)

    pace, _ = served(latency, most=2000, replies=30_000, tokens=lambda: int(10 * 200 ** draw.random()))
    assert 0.5 * count <= pace.window <= 4 * count


def test_latency_that_rises_slower_than_the_window_is_worth_it() -> None:
    """A server that computes requests together: with 64 in flight each takes twice as long, and 32 times as many
    come."""
    pace, _ = served(lambda _, in_flight, __: 1 + in_flight / 64, most=2000, replies=20_000)
    assert 64 <= pace.window <= 512


def test_a_server_that_gets_slow_is_given_less_to_do() -> None:
    """From the 300th second it has 5 slots of 50 left."""
    windows = []

    def latency(now: float, in_flight: int, _: int) -> float:
        windows.append((now, in_flight))
        return max(1.0, in_flight / (5 if now > 300 else 50))

    _, rate = served(latency, most=60, replies=20_000)
    assert max(window for now, window in windows if 200 < now <= 300) >= 40
    assert min(window for now, window in windows if now > 300) <= 12
    assert rate >= 4.5


def test_a_server_that_is_slow_however_little_it_is_asked_keeps_its_window() -> None:
    pace, rate = served(lambda now, _, __: 1.0 if now < 300 else 10.0, most=60, replies=30_000)
    assert pace.window >= 60 * SHRINK
    assert rate > 5


def test_long_replies_among_short_ones_are_no_slowness() -> None:
    lengths = iter([20] * 4000 + [2000] * 4000)
    pace, _ = served(lambda _, __, new: 0.02 * new, most=256, replies=7000, tokens=lambda: next(lengths))
    assert pace.window == 256


def test_a_refusal_shrinks_once_a_round_trip_and_never_below_one() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    clock.now = 1.0
    for _ in range(START):  # all that were in flight are refused
        pace.failed(started=0.5)
    assert pace.window == pytest.approx(START * SHRINK)
    for _ in range(50):
        clock.now += 1
        pace.failed(started=clock.now)
    assert pace.window == 1.0


def test_a_few_refusals_among_many_replies_are_borne() -> None:
    clock = Clock()
    pace = Pace(64, clock)
    for number in range(6000):
        started = clock.now
        clock.now += 1
        if number % 10 == 9:
            assert not pace.failed(started)
        else:
            pace.came(started, 10, int(pace.window))
    assert pace.window == 64


def test_it_comes_back_after_refusals() -> None:
    clock = Clock()
    pace = Pace(64, clock)
    for _ in range(24):
        pace.failed(clock.now)
    low = pace.window
    for _ in range(3000):
        started = clock.now
        clock.now += 1
        pace.came(started, 10, int(pace.window))
    assert low < 3
    assert pace.window == 64


def test_a_window_that_is_not_used_does_not_grow() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    for _ in range(500):
        started = clock.now
        clock.now += 1
        pace.came(started, 10, in_flight=3)
    assert pace.window == START


def test_replies_that_were_sent_before_the_window_changed_say_nothing() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    clock.now = 10.0
    for _ in range(8):
        pace.failed(started=5.0)
    window = pace.window
    for _ in range(500):
        pace.came(started=5.0, new_tokens=10, in_flight=100)
    assert pace.window == window


# --- the gate --------------------------------------------------------------------------------------------------------


def test_the_gate_lets_in_what_the_window_says_in_the_order_of_coming() -> None:
    pace = Pace(2)
    log: list[str] = []

    async def visitor(gate: Gate, name: str) -> None:
        await gate.enter()
        log.append(f"{name} in, {gate.in_flight}")
        await asyncio.sleep(0.001)
        gate.leave()

    async def all_() -> None:
        gate = Gate(pace)
        await asyncio.gather(*(visitor(gate, name) for name in "abcde"))
        assert gate.in_flight == 0
        assert gate.has_room

    asyncio.run(all_())
    assert [line.split()[0] for line in log] == list("abcde")
    assert {line.split()[2] for line in log} == {"1", "2"}


def test_a_visitor_who_gives_up_waiting_is_not_counted() -> None:
    async def all_() -> None:
        gate = Gate(Pace(1))
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        gate.leave()
        assert gate.in_flight == 0

    asyncio.run(all_())


# --- rates -----------------------------------------------------------------------------------------------------------


def test_no_minute_holds_more_than_its_rate() -> None:
    clock = Clock()
    rate = Rate(60, clock)
    sent = []
    for _ in range(200):
        clock.now += rate.book()
        sent.append(clock.now)
    assert sent[0] == 0
    assert max(sum(start <= at < start + 60 for at in sent) for start in sent) == 60


def test_what_was_booked_too_high_is_given_back() -> None:
    clock = Clock()
    rate = Rate(6000, clock)  # tokens: 100 a second
    assert rate.book(1000) == 0
    assert rate.book(1000) == pytest.approx(10)
    rate.correct(-900)
    rate.correct(-900)
    assert rate.book(1) == pytest.approx(2)
