"""Requests through a model: each asked once, kept in the ledger at once, within the budget, in the order they came."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from mashq.lm.budget import Budget, Guess
from mashq.lm.ledger import Ledger
from mashq.lm.progress import Progress
from mashq.lm.request import Reply, Request, key_of
from mashq.rows import MashqError

__all__ = ["Ask", "Batched", "Budget", "Done", "Model", "Served", "Take", "generate"]

BEGINNING = 400  # characters of a prompt text that two requests must share to be asked one after the other


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


@runtime_checkable
class Served(Model, Protocol):
    """A model behind a connection. It is handed requests that begin alike one after another, because servers keep what
    they computed of a beginning; `notes` is where it may remember what a run that was killed had begun: a folder beside
    the ledger, set by the engine before it asks, None where there is no ledger."""

    notes: Path | None


def generate(
    model: Model,
    requests: Sequence[Request],
    *,
    ledger: Path | Ledger | None,
    budget: Budget | None,
    progress: bool = False,
    concurrency: int | None = None,
) -> list[Reply]:
    """The reply to each request, in order. Equal requests are asked once; what the ledger knows is not asked at all.

    A request that fails has an error reply, which is not kept. `ledger`: its file, or one that is open. `progress`: a
    bar where stderr is a terminal, elsewhere a line in the log every half minute. `concurrency`: the most requests in
    flight; None: what the model says.

    Raises MashqError where the budget is spent before the last request, and where no request can succeed (nothing
    reachable, key refused, disk full); every reply that came is in the ledger then, and the same call goes on from it.
    """
    with ExitStack() as stack:
        book = ledger if isinstance(ledger, Ledger | None) else stack.enter_context(Ledger(Path(ledger)))
        if book is not None:
            book.refresh()
        work = _Work(model, requests, book, budget, concurrency or model.concurrency)
        if progress:
            work.progress = stack.enter_context(Progress(len(set(work.keys)), len(work.replies)))
        if isinstance(model, Served):
            model.notes = None if book is None else book.path.with_name(book.path.name + ".batches")
        if work.waiting:
            try:
                _outside_loop(
                    lambda: model.answer(work.take, work.done, concurrency=work.concurrency), stop=work.waiting.clear
                )
            finally:
                work.release()
        work.show(final=True)
    return work.replies_in_order()


def _outside_loop(call: Callable[[], None], stop: Callable[[], None]) -> None:
    """Call where no event loop is running (a notebook has one): here, else in a thread of its own.

    An interrupt there stops what has not begun, waits for what is in flight, and is raised then.
    """
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

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        stop()
        thread.join()
        raise
    if caught:
        raise caught[0]


class _Work:
    """The state of one call: what waits, what came, what it cost."""

    def __init__(
        self, model: Model, requests: Sequence[Request], book: Ledger | None, budget: Budget | None, concurrency: int
    ):
        self.identity, self.book, self.budget, self.concurrency = model.identity, book, budget, concurrency
        self.progress: Progress | None = None
        self.replies: dict[bytes, Reply] = {}
        self.keys = [key_of(model.identity, request) for request in requests]
        self.failed = self.tokens_in = self.tokens_out = 0
        self.in_flight = 0
        self._held: dict[int, tuple[int, int]] = {}
        self._guess = Guess()
        first = {key: number for number, key in reversed(list(enumerate(self.keys)))}  # key -> where it stands first
        for key, number in first.items():
            if book is not None and (known := book.get(key)) is not None:
                self._keep(key, requests[number], known)
        self.waiting = self._to_ask(model, requests, sorted(first.values()))
        self.waiting.reverse()  # so that pop() gives the first

    def _to_ask(self, model: Model, requests: Sequence[Request], numbers: list[int]) -> list[Ask]:
        """What must be sent: the unknown, and where the model works in batches, all of every batch that holds one."""
        unknown = {number for number in numbers if self.keys[number] not in self.replies}
        if isinstance(model, Served):
            return [Ask(number, requests[number]) for number in _alike_together(requests, sorted(unknown))]
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
            need = (self._guess.of(ask.request), ask.request.decoding.max_new_tokens)
            if not self.budget.hold(*need):
                return None
            self._held[ask.number] = need
        self.in_flight += 1
        return self.waiting.pop()

    def done(self, ask: Ask, reply: Reply) -> None:
        self.in_flight -= 1
        key = self.keys[ask.number]
        if key in self.replies:
            return  # computed again for its neighbours' sake; what was said first stands
        if self.book is not None:
            reply = self.book.put(key, self.identity, reply)
        if self.budget is not None:
            self.budget.release(*self._held.pop(ask.number))
        if reply.finish == "error":
            self.failed += 1
            self.replies[key] = reply
        else:
            self.tokens_in += reply.prompt_tokens
            self.tokens_out += reply.new_tokens
            self._keep(key, ask.request, reply)
        self.show()

    def release(self) -> None:
        """Give back what was set aside for requests that a failed or interrupted call left."""
        if self.budget is not None:
            for need in self._held.values():
                self.budget.release(*need)
        self._held.clear()

    def show(self, final: bool = False) -> None:
        """Tell the progress, if anyone wants to know."""
        if self.progress is not None and (final or self.progress.due()):
            money = self.budget.spent_money if self.budget is not None and self.budget.money is not None else None
            self.progress.show(len(self.replies), self.failed, self.tokens_out, self.in_flight, money)

    def _keep(self, key: bytes, request: Request, reply: Reply) -> None:
        self.replies[key] = reply
        self._guess.learn(request, reply)
        if self.budget is not None:
            tokens_in = reply.prompt_tokens or self._guess.of(request)
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


def _alike_together(requests: Sequence[Request], numbers: Sequence[int]) -> list[int]:
    """The numbers, those of requests with one beginning next to each other, else in their order."""
    groups: dict[object, list[int]] = {}
    for number in numbers:
        one = requests[number]
        begins = one.messages[:1] if len(one.messages) > 1 else (one.prompt or "")[:BEGINNING] or None
        groups.setdefault(begins, []).append(number)
    return [number for group in groups.values() for number in group]
