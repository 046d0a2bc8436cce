"""How far a run is: a line on the terminal, or elsewhere a line in the log every half minute."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress", "line"]

SHOW_EVERY_S = 0.2
LOG_EVERY_S = 30.0
log = logging.getLogger("mashq.lm")


class Progress:
    """Tells of `total` requests, of which `known` were in the ledger."""

    def __init__(self, total: int, known: int = 0):
        self._total, self._known = total, known
        self._started = self._shown = time.monotonic()
        self._bar = _bar(total) if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def due(self) -> bool:
        """Whether it is time to tell again."""
        return time.monotonic() - self._shown >= (LOG_EVERY_S if self._bar is None else SHOW_EVERY_S)

    def show(self, done: int, failed: int, tokens: int, in_flight: int, money: float | None) -> None:
        """Tell: requests done (those known before and those failed with them), new tokens, money spent."""
        self._shown = time.monotonic()
        seconds = self._shown - self._started
        told = line(done - self._known, failed, tokens, seconds, in_flight, money, self._total - done)
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=done, description=told)
        elif self._total:
            log.info("asked %s of %s: %s", f"{done:,}", f"{self._total:,}", told)


def line(done: int, failed: int, tokens: int, seconds: float, in_flight: int, money: float | None, left: int) -> str:
    """Rates over the whole run, and the time left at that rate: "12 tokens/s, 3.0 requests/s, 8 in flight ..."."""
    rate = done / seconds if seconds > 0 else 0.0
    parts = [f"{tokens / seconds if seconds > 0 else 0:,.0f} tokens/s", f"{rate:,.1f} requests/s"]
    parts += [f"{in_flight:,} in flight"] if in_flight else []
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{money:.2f} spent"] if money is not None else []
    parts += [f"{_clock(left / rate)} left"] if rate and left else []
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _bar(total: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, console=Console(stderr=True))
    return bar, bar.add_task("", total=total)
