"""What a run may cost, and what a request will cost before it is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mashq.lm.request import Reply, Request
from mashq.rows import MashqError

__all__ = ["Budget", "BudgetSettings", "Guess"]

CHARACTERS_PER_TOKEN = 2.0  # a first, cautious guess for Arabic; replaced by what the replies say
FRAME = 8  # tokens of a chat template around a prompt


class Budget:
    """What the replies of a run may cost together, those found in the ledger included, so that a resumed run does not
    pay twice. One object may serve many calls of `generate`.

    tokens: of prompts and replies; money: in any currency, with prices per million tokens; requests: that have a reply;
    name: of the setting to raise, for errors. A request is sent only where its longest possible reply still fits; how
    long a prompt is, is a guess until replies say it, so that what is in flight at the beginning may go over. Answers
    that a server bills and that are no replies are not counted.
    """

    def __init__(
        self,
        *,
        tokens: int | None = None,
        money: float | None = None,
        price_in: float = 0.0,
        price_out: float = 0.0,
        requests: int | None = None,
        name: str = "",
    ):
        if money is not None and price_in <= 0 and price_out <= 0:
            raise MashqError("budget: money needs prices: price_in and price_out, for a million tokens each.")
        limits = (tokens, money, price_in, price_out, requests)
        if any(value is not None and not 0 <= value < math.inf for value in limits):
            raise MashqError("budget: tokens, money, prices and requests are 0 or more, and numbers.")
        self.tokens, self.money, self.price_in, self.price_out = tokens, money, price_in, price_out
        self.requests, self.name = requests, name
        self.spent_in = 0  # tokens
        self.spent_out = 0
        self.spent_requests = 0
        self._held_in = 0
        self._held_out = 0
        self._held_requests = 0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Money for so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @property
    def spent_money(self) -> float:
        """Money spent so far."""
        return self.cost(self.spent_in, self.spent_out)

    def fits(self, tokens_in: int, tokens_out: int, requests: int = 1) -> bool:
        """Whether so much fits beside what is spent and set aside."""
        total_in = self.spent_in + self._held_in + tokens_in
        total_out = self.spent_out + self._held_out + tokens_out
        return (
            (self.tokens is None or total_in + total_out <= self.tokens)
            and (self.money is None or self.cost(total_in, total_out) <= self.money)
            and (self.requests is None or self.spent_requests + self._held_requests + requests <= self.requests)
        )

    def hold(self, tokens_in: int, tokens_out: int) -> bool:
        """Set tokens aside for a request, or say that they do not fit."""
        if not self.fits(tokens_in, tokens_out):
            return False
        self._held_in += tokens_in
        self._held_out += tokens_out
        self._held_requests += 1
        return True

    def release(self, tokens_in: int, tokens_out: int) -> None:
        """Give back what was set aside for a request."""
        self._held_in -= tokens_in
        self._held_out -= tokens_out
        self._held_requests -= 1

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        """Count what a reply cost."""
        self.spent_in += tokens_in
        self.spent_out += tokens_out
        self.spent_requests += 1

    @property
    def spent(self) -> str:
        """What is spent of what is limited, in words."""
        parts = []
        if self.tokens is not None:
            parts.append(f"{self.spent_in + self.spent_out:,} of {self.tokens:,} tokens")
        if self.money is not None:
            parts.append(f"{self.spent_money:.2f} of {self.money:.2f} in money")
        if self.requests is not None:
            parts.append(f"{self.spent_requests:,} of {self.requests:,} requests")
        return " and ".join(parts) or "no limit"

    def __str__(self) -> str:
        return self.spent + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True)
class BudgetSettings:
    """What asking a model may cost; of a writing step with its judge at the same prices.

    None of it decides what is said: a spent budget stops the run, a larger one goes on.
    """

    tokens: int | None = None  # of prompts and replies together; null = no limit
    money: float | None = None  # in the currency of the prices; null = no limit
    price_in: float = 0.0  # for a million tokens of prompts
    price_out: float = 0.0  # for a million tokens of replies
    requests: int | None = None  # that get a reply; null = no limit

    def open(self, name: str = "") -> Budget | None:
        """The budget of one run, or None where nothing is limited; `name`: what errors call it."""
        if self.tokens is None and self.money is None and self.requests is None:
            return None
        return Budget(
            tokens=self.tokens,
            money=self.money,
            price_in=self.price_in,
            price_out=self.price_out,
            requests=self.requests,
            name=name,
        )


class Guess:
    """How many tokens a prompt has: exact for token ids, else by the characters a token that replies showed so far."""

    def __init__(self) -> None:
        self._characters = self._tokens = 0

    @property
    def per_token(self) -> float:
        """Characters of prompts a token, as replies showed; 0.0 where none has."""
        return self._characters / self._tokens if self._tokens else 0.0

    def of(self, request: Request) -> int:
        """Tokens of the prompt."""
        if request.prompt_ids is not None:
            return len(request.prompt_ids)
        if request.tokens_expected is not None:
            return request.tokens_expected
        return int(request.characters / (self.per_token or CHARACTERS_PER_TOKEN)) + FRAME

    def learn(self, request: Request, reply: Reply) -> None:
        """What a reply shows."""
        if request.prompt_ids is None and reply.prompt_tokens:
            self._characters += request.characters
            self._tokens += reply.prompt_tokens
