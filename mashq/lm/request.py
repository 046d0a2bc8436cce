"""What is asked of a language model, what comes back, and the key that names a question with everything deciding it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from mashq.lm.structured import canonical
from mashq.rows import MashqError
from mashq.settings import check_limits

__all__ = ["Decoding", "Finish", "Messages", "Reply", "Request", "as_messages", "key_of", "seed_of"]

Finish = Literal["stop", "length", "error"]
KEY_VERSION = 1  # raise it when the meaning of a request's fields changes: old replies are then asked again
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a reply is drawn. Greedy unless said otherwise; the length limit has no default, so no cut is silent."""

    max_new_tokens: int
    temperature: float = 0.0  # 0 = greedy
    top_p: float = 1.0  # the smallest set of tokens with this share of the probability; 1 = all
    top_k: int = 0  # 0 = all
    repetition_penalty: float = 1.0  # divides the logits of tokens seen in prompt or reply; 1 = off
    stop: tuple[str, ...] = ()  # a reply ends before the first of these texts
    stop_ids: tuple[int, ...] = ()  # and before the first of these tokens, besides the model's own end
    seed: int = 0  # of draws at temperature > 0

    def __post_init__(self) -> None:
        for name in ("temperature", "top_p", "repetition_penalty"):  # 1 and 1.0 are one question
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "stop", tuple(self.stop))
        object.__setattr__(self, "stop_ids", tuple(self.stop_ids))
        limits = {
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0 (1 = off)"),
            "stop": (all(self.stop), "texts that are not empty"),
        }
        check_limits("decoding", self, limits)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken at every step."""
        return self.temperature == 0


Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question: exactly one of `messages` ((role, content), ...), `prompt` (text) or `prompt_ids`, and a decoding.

    `sample` tells several replies to one prompt apart: 0, 1, 2 ... are asked, drawn and kept each on its own. `schema`:
    the JSON schema of the reply, for models that can be held to one (servers, llama.cpp; others are asked as without);
    any spelling becomes `structured.canonical`. What comes is for the caller to read, with `structured.parsed`.
    """

    decoding: Decoding
    messages: Messages = ()
    prompt: str | None = None
    prompt_ids: tuple[int, ...] | None = None
    sample: int = 0
    schema: str | None = None
    tokens_expected: int | None = field(
        default=None, compare=False
    )  # length of the prompt, for budgets; a guess if None

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple((role, content) for role, content in self.messages))
        if self.prompt_ids is not None:
            object.__setattr__(self, "prompt_ids", tuple(self.prompt_ids))
        if self.schema is not None:
            object.__setattr__(self, "schema", canonical(self.schema))
        given = [bool(self.messages), self.prompt is not None, self.prompt_ids is not None]
        if sum(given) != 1:
            raise MashqError(
                f"request: expected exactly one of messages, prompt, prompt_ids, got {sum(given)} of them."
            )
        if self.messages and (
            self.messages[-1][0] == "assistant" or any(role not in ROLES for role, _ in self.messages)
        ):
            raise MashqError(
                f"request: expected messages of {', '.join(ROLES)} whose last is not the assistant's, "
                f"got {', '.join(role for role, _ in self.messages)}."
            )

    @property
    def characters(self) -> int:
        """Length of what is asked, in characters (in tokens for `prompt_ids`)."""
        if self.prompt_ids is not None:
            return len(self.prompt_ids)
        return len(self.prompt) if self.prompt is not None else sum(len(content) for _, content in self.messages)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. `finish` says why it ended: the model or a stop text (`stop`), the limit (`length`), or `error`."""

    text: str
    finish: Finish
    prompt_tokens: int = 0  # 0 where the server does not say
    new_tokens: int = 0  # with the token that ended it; 0 where the server does not say
    seconds: float = 0.0  # from sending to reading, the last try
    cached: bool = False  # came from the ledger
    error: str | None = None  # one line: what went wrong, where, what to do

    @classmethod
    def failed(cls, error: str, seconds: float = 0.0) -> Reply:
        """No answer, and why."""
        return cls(text="", finish="error", error=error, seconds=seconds)


def as_messages(turns: Sequence[Mapping[str, str]]) -> Messages:
    """Rows' messages ({"role", "content"}) -> a request's."""
    return tuple((turn["role"], turn["content"]) for turn in turns)


def key_of(identity: str, request: Request) -> bytes:
    """16 bytes that name a question: the model, the decoding, every message or token, the sample number, the schema."""
    asked = (request.messages, request.prompt, request.prompt_ids)
    held = () if request.schema is None else (request.schema,)  # nothing, so that keys from before schemas stay
    data = msgspec.json.encode((KEY_VERSION, identity, request.decoding, asked, request.sample, *held))
    return hashlib.blake2b(data, digest_size=16).digest()


def seed_of(request: Request) -> int:
    """The seed of one request's draws, 0 .. 2^31 - 1: of its prompt and sample, so no two rows share their luck."""
    asked = (request.messages, request.prompt, request.prompt_ids)
    data = msgspec.json.encode((request.decoding.seed, asked, request.sample))
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little") & 0x7FFFFFFF
