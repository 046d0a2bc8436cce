"""What a run may cost, and what a request will cost before it is asked."""

from __future__ import annotations

import math

from mashq.lm.request import Reply, Request
from mashq.rows import MashqError

__all__ = ["Budget", "Guess"]

CHARACTERS_PER_TOKEN = 2.0  # a first, cautious guess for Arabic; replaced by what the replies say


class Budget:
    """What the replies of a run may cost together, those found in the ledger included, so that a resumed run does not
    pay twice. One object may serve many calls of `generate`.

    tokens: of prompts and replies; money: in any currency, with prices per million tokens. A request is sent only where
    its longest possible reply still fits; how long a prompt is, is a guess until replies say it, so that what is in
    flight at the beginning may go over. Answers that a server bills and that are no replies are not counted.
    """

    def __init__(
        self, *, tokens: int | None = None, money: float | None = None, price_in: float = 0.0, price_out: float = 0.0
    ):
        if money is not None and price_in <= 0 and price_out <= 0:
            raise MashqError("budget: money needs prices: price_in and price_out, for a million tokens each.")
        if any(value is not None and not 0 <= value < math.inf for value in (tokens, money, price_in, price_out)):
            raise MashqError("budget: tokens, money and prices are 0 or more, and numbers.")
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


class Guess:
    """How many tokens a prompt has: exact for token ids, else by the characters a token that replies showed so far."""

    def __init__(self) -> None:
        self._characters = self._tokens = 0

    def of(self, request: Request) -> int:
        """Tokens of the prompt."""
        if request.prompt_ids is not None:
            return len(request.prompt_ids)
        if request.tokens_expected is not None:
            return request.tokens_expected
        per_token = self._characters / self._tokens if self._tokens else CHARACTERS_PER_TOKEN
        return int(request.characters / per_token) + 8

    def learn(self, request: Request, reply: Reply) -> None:
        """What a reply shows."""
        if request.prompt_ids is None and reply.prompt_tokens:
            self._characters += request.characters
            self._tokens += reply.prompt_tokens
