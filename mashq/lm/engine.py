"""Requests through a model: each asked once, kept in the ledger at once, within the budget, in the order they came."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from mashq.lm.ledger import Ledger
from mashq.lm.request import Reply, Request, key_of
from mashq.rows import MashqError

__all__ = ["Ask", "Batched", "Budget", "Done", "Model", "Take", "generate"]

CHARACTERS_PER_TOKEN = 2.0  # a first, cautious guess for Arabic; replaced by what the replies say
SHOW_EVERY_S = 0.2


class Ask(NamedTuple):
    """A request on its way: its number, for the engine, what is asked, and the batch it belongs to (`Batched`)."""

    number: int
    request: Request
    batch: int = 0


Take = Callable[[], Ask | None]
Done = Callable[[Ask, Reply], None]


class Model(Protocol):
    """What answers requests.

    `identity` names everything about the model that decides a reply (never a key or a password); `concurrency` is how
    many requests it is worth having in flight.
    """

    identity: str
    concurrency: int

    def answer(self, take: Take, done: Done, *, concurrency: int) -> None:
        """Take requests and report each with `done` as soon as its reply is there; end when nothing can be taken.

        `take` gives None when nothing may be sent now; a request that is finished may free some of the budget, so it is
        called again after each. A request that fails is reported as an error reply; what makes every request fail
        raises MashqError.
        """
        ...


@runtime_checkable
class Batched(Model, Protocol):
    """A model whose replies can depend, by rounding, on which requests are computed together.

    The engine cuts all requests into batches by `together`, those with known replies too, and hands over whole batches:
    a run that was killed and taken up again computes the same batches as one that was not.
    """

    def together(self, requests: Sequence[Request], concurrency: int) -> list[list[int]]:
        """Positions of requests in batches, each once, in the order in which the batches are to be asked."""
        ...


class Budget:
    """What the replies of a run may cost together, those found in the ledger included, so that a resumed run does not
    pay twice. One object may serve many calls of `generate`.

    tokens: of prompts and replies; money: in any currency, with prices per million tokens. A request is sent only where
    its longest possible reply still fits.
    """

    def __init__(
        self, *, tokens: int | None = None, money: float | None = None, price_in: float = 0.0, price_out: float = 0.0
    ):
        if money is not None and price_in <= 0 and price_out <= 0:
            raise MashqError("budget: money needs prices: price_in and price_out, for a million tokens each.")
        if (tokens is not None and tokens < 0) or (money is not None and money < 0) or price_in < 0 or price_out < 0:
            raise MashqError("budget: tokens, money and prices are 0 or more.")
        self.tokens, self.money, self.price_in, self.price_out = tokens, money, price_in, price_out
        self.spent_in = 0  # tokens
        self.spent_out = 0
        self._held_in = 0
        self._held_out = 0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Money for so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @property
    def spent_money(self) -> float:
        """Money spent so far."""
        return self.cost(self.spent_in, self.spent_out)

    def hold(self, tokens_in: int, tokens_out: int) -> bool:
        """Set tokens aside for a request, or say that they do not fit."""
        total_in = self.spent_in + self._held_in + tokens_in
        total_out = self.spent_out + self._held_out + tokens_out
        if self.tokens is not None and total_in + total_out > self.tokens:
            return False
        if self.money is not None and self.cost(total_in, total_out) > self.money:
            return False
        self._held_in += tokens_in
        self._held_out += tokens_out
        return True

    def release(self, tokens_in: int, tokens_out: int) -> None:
        """Give back what was set aside."""
        self._held_in -= tokens_in
        self._held_out -= tokens_out

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        """Count what a reply cost."""
        self.spent_in += tokens_in
        self.spent_out += tokens_out

    def __str__(self) -> str:
        parts = []
        if self.tokens is not None:
            parts.append(f"{self.spent_in + self.spent_out:,} of {self.tokens:,} tokens")
        if self.money is not None:
            parts.append(f"{self.spent_money:.2f} of {self.money:.2f} in money")
        return " and ".join(parts) or "no limit"


def generate(
    model: Model,
    requests: Sequence[Request],
    *,
    ledger: Path | None,
    budget: Budget | None,
    progress: bool = False,
    concurrency: int | None = None,
) -> list[Reply]:
    """The reply to each request, in order. Equal requests are asked once; what the ledger knows is not asked at all.

    A request that fails has an error reply, which is not kept. `progress` draws a bar where stderr is a terminal.

    Raises MashqError where the budget is spent before the last request, and where no request can succeed (nothing
    reachable, key refused, disk full); every reply that came is in the ledger then, and the same call goes on from it.
    """
    with ExitStack() as stack:
        book = stack.enter_context(Ledger(Path(ledger))) if ledger is not None else None
        work = _Work(model, requests, book, budget, concurrency or model.concurrency)
        bar = stack.enter_context(_Bar(len(requests))) if progress and sys.stderr.isatty() else None
        work.bar = bar
        if work.waiting:
            _outside_loop(lambda: model.answer(work.take, work.done, concurrency=work.concurrency))
        if bar:
            bar.show(work, final=True)
    return work.replies_in_order()


def _outside_loop(call: Callable[[], None]) -> None:
    """Call where no event loop is running (a notebook has one): here, else in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        call()
        return
    caught: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # raised again in the caller's thread
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


class _Work:
    """The state of one call: what waits, what came, what it cost."""

    def __init__(
        self, model: Model, requests: Sequence[Request], book: Ledger | None, budget: Budget | None, concurrency: int
    ):
        self.identity, self.book, self.budget, self.concurrency = model.identity, book, budget, concurrency
        self.bar: _Bar | None = None
        self.replies: dict[bytes, Reply] = {}
        self.keys = [key_of(model.identity, request) for request in requests]
        self.failed = self.tokens_in = self.tokens_out = 0
        self._held: dict[int, tuple[int, int]] = {}
        self._characters = self._tokens = 0
        first = {key: number for number, key in reversed(list(enumerate(self.keys)))}  # key -> where it stands first
        for key, number in first.items():
            if book is not None and (known := book.get(key)) is not None:
                self._keep(key, requests[number], known)
        self.waiting = self._to_ask(model, requests, sorted(first.values()))
        self.waiting.reverse()  # so that pop() gives the first

    def _to_ask(self, model: Model, requests: Sequence[Request], numbers: list[int]) -> list[Ask]:
        """What must be sent: the unknown, and where the model works in batches, all of every batch that holds one."""
        unknown = {number for number in numbers if self.keys[number] not in self.replies}
        if not unknown or not isinstance(model, Batched):
            return [Ask(number, requests[number]) for number in sorted(unknown)]
        batches = model.together([requests[number] for number in numbers], self.concurrency)
        asks = []
        for place, batch in enumerate(batches):
            members = [numbers[position] for position in batch]
            if unknown.intersection(members):
                asks += [Ask(number, requests[number], place) for number in members]
        return asks

    def take(self) -> Ask | None:
        if not self.waiting:
            return None
        ask = self.waiting[-1]
        if self.budget is not None and self.keys[ask.number] not in self.replies:
            need = (self._prompt_tokens(ask.request), ask.request.decoding.max_new_tokens)
            if not self.budget.hold(*need):
                return None
            self._held[ask.number] = need
        return self.waiting.pop()

    def _prompt_tokens(self, request: Request) -> int:
        """A guess before asking: exact for token ids, else from the characters a token that replies showed so far."""
        if request.prompt_ids is not None:
            return len(request.prompt_ids)
        if request.tokens_expected is not None:
            return request.tokens_expected
        per_token = self._characters / self._tokens if self._tokens else CHARACTERS_PER_TOKEN
        return int(request.characters / per_token) + 8

    def done(self, ask: Ask, reply: Reply) -> None:
        key = self.keys[ask.number]
        if key in self.replies:
            return  # computed again for its neighbours' sake; what was said first stands
        if self.book is not None:
            self.book.put(key, self.identity, reply)
        if self.budget is not None:
            self.budget.release(*self._held.pop(ask.number))
        if reply.finish == "error":
            self.failed += 1
            self.replies[key] = reply
        else:
            self.tokens_in += reply.prompt_tokens
            self.tokens_out += reply.new_tokens
            self._keep(key, ask.request, reply)
        if self.bar is not None:
            self.bar.show(self)

    def _keep(self, key: bytes, request: Request, reply: Reply) -> None:
        self.replies[key] = reply
        if request.prompt_ids is None and reply.prompt_tokens:
            self._characters += request.characters
            self._tokens += reply.prompt_tokens
        if self.budget is not None:
            tokens_in = reply.prompt_tokens or self._prompt_tokens(request)
            self.budget.spend(tokens_in, reply.new_tokens or len(reply.text))

    def replies_in_order(self) -> list[Reply]:
        missing = len({*self.keys} - self.replies.keys())
        if missing:
            kept = "in the ledger" if self.book is not None else "lost, because no ledger was named"
            raise MashqError(
                f"budget: spent {self.budget}; {missing:,} of {len(set(self.keys)):,} requests were not "
                f"sent. {len(self.replies):,} replies are {kept}. Raise the budget and run the same command: "
                "only the rest is asked."
            )
        return [self.replies[key] for key in self.keys]


class _Bar:
    """A line on the terminal: done, failed, tokens a second, money, time left."""

    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("asking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total)
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    def show(self, work: _Work, final: bool = False) -> None:
        now = time.monotonic()
        if now - self._shown < SHOW_EVERY_S and not final:
            return
        self._shown = now
        rate = work.tokens_out / max(now - self._started, 1e-9)
        text = f"{rate:,.0f} tokens/s" + (f", {work.failed:,} failed" if work.failed else "")
        if work.budget is not None and work.budget.money is not None:
            text += f", {work.budget.spent_money:.2f} spent"
        done = len(work.keys) if final and not work.waiting else len(work.replies)
        self._progress.update(self._task, completed=done, description=text)
