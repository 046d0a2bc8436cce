"""One budget of several steps: what any of them was asked counts, whichever of them asks now.

The steps of a run that ask one judge spend together, and so do those that ask its further systems. What they spent is
read from the ledger each time: a step that is finished counts, a run that goes on counts nothing twice, and a request
that two steps share counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mashq.lm.budget import Budget, BudgetSettings, Guess
from mashq.lm.ledger import Ledger
from mashq.lm.request import Request, key_of

__all__ = ["Asked", "Purse"]

Asked = tuple[str, Request]  # the identity of a model, and what it is asked


class Purse:
    """A budget that steps join. `name`: what errors call it.

    `asked`: a step, the folder of its store and whoever asks now -> what the step asks, or asked; () where that is not
    known because what it is made of is not made.
    """

    def __init__(self, settings: BudgetSettings, name: str, asked: Callable[[Any, Path, Any], Sequence[Asked]]):
        self.settings, self.name = settings, name
        self._asked = asked
        self._steps: dict[str, Any] = {}

    def join(self, step: Any) -> None:
        """Let a step spend from it; one that joined already is the same."""
        self._steps.setdefault(step.fingerprint, step)

    def open(self, ledger: Path | Ledger | None, now: Sequence[Asked], who: Any = None) -> Budget | None:
        """The budget for one call of `generate` that asks `now`: what the other requests cost is spent already.

        None where nothing is limited. `ledger` is that of a store (STORE/ledger/replies).
        """
        budget = self.settings.open(self.name)
        if budget is None or ledger is None:
            return budget
        path = ledger.path if isinstance(ledger, Ledger) else ledger
        if path.exists():
            root = path.parent.parent
            others = [one for step in self._steps.values() for one in self._asked(step, root, who)]
            if isinstance(ledger, Ledger):
                _charge(budget, ledger, others, now)
            else:
                with Ledger(path) as book:
                    _charge(budget, book, others, now)
        return budget


def _charge(budget: Budget, book: Ledger, others: Sequence[Asked], now: Sequence[Asked]) -> None:
    """Count the replies that others have, each once, without those that are asked for now: these the engine counts."""
    seen = {key_of(identity, request) for identity, request in now}
    guess = Guess()
    for identity, request in others:
        key = key_of(identity, request)
        reply = None if key in seen else book.get(key)
        seen.add(key)
        if reply is not None:
            guess.learn(request, reply)
            budget.spend(reply.prompt_tokens or guess.of(request), reply.new_tokens or len(reply.text))
