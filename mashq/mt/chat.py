"""A language model as a translator: asked in words, its reply cleaned of what is not the translation.

What to ask for each variety stands in `data/target_tokens.yaml`. A model with a chat template (any server is taken for
one) gets the instruction as the system's message and the sentence as the user's; one without is given examples to go on
from. Replies are greedy. Nothing is kept here: the translation memory of the caller is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from mashq import lm
from mashq.licences import named
from mashq.mt import Output, targets
from mashq.rows import MashqError, expected_got

__all__ = ["Chat", "cleaned"]

RULES = 1  # raise it when replies are cleaned otherwise: what was translated is asked again
AT_ONCE = 8  # requests in a batch for each one that is worth having in flight
MOST_TOGETHER = 32  # of them: a kill loses a batch
# New tokens of a reply; few limits, because a model in this process answers requests of one limit together.
LIMITS = (64, 128, 256, 512, 1024, 2048, 4096)
# Tokens for each character of the source. A chat model's vocabulary is not known: two bytes a letter, each a token of
# its own, are the worst. A model that goes on from Arabic examples was chosen for its Arabic and needs at most one
# token a letter; what it says beyond is a loop, which costs as much as twenty sentences.
TOKENS_A_CHARACTER = {"messages": 2.0, "completion": 1.0}
STYLES = ("auto", "messages", "completion")
MODELESS = ("echo", "scripted")

LABEL = re.compile(
    r"\A(?:\*\*)?(?:(?:here is |here's )?(?:the )?(?:arabic )?translation(?: (?:in|into|to) [\w ()]{3,40})?|arabic"
    r"|الترجمة(?: العربية)?)(?:\*\*)?\s*:(?:\*\*)?\s*",
    re.I,
)
QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "‘": "’", "`": "`"}


class Chat:
    """A model of `mashq.lm` as a translation engine.

    style: "messages", "completion" (for a model without a chat template, into msa alone), or "auto", which looks; the
    other settings are those of `mashq.lm.open_model`: concurrency, timeout_s, dtype ...

    Raises MashqError for an unknown style or setting, and for a variety that a model without a chat template cannot be
    asked for.
    """

    def __init__(self, spec: str, *, variety: str = "msa", style: str = "auto", **settings: Any):
        if style not in STYLES:
            raise MashqError(expected_got(f"translation engine 'lm:{spec}': style", " or ".join(STYLES), f"'{style}'"))
        self.name = f"lm:{lm.public_name(spec)}"
        self.model = lm.open_model(spec, **settings)
        self.style = ("messages" if _chats(spec) else "completion") if style == "auto" else style
        if self.style == "completion" and variety != "msa":
            raise MashqError(
                f"translation engine '{self.name}': a model without a chat template is shown examples, and they are in "
                f"msa, got the variety '{variety}'. Name a chat model."
            )
        licence = "" if spec.partition(":")[0] in MODELESS else lm.licence(spec)
        self.licence = named(licence) or licence
        self._before = _instruction(variety) if self.style == "messages" else _examples()
        asked = hashlib.blake2b(self._before.encode(), digest_size=8).hexdigest()
        self.identity = f"chat:{RULES}:{self.style}:{asked}:{self.model.identity}"

    def batches(self, sentences: Sequence[str]) -> list[list[int]]:
        """Places by length in characters, the longest first, `AT_ONCE` for each request in flight."""
        order = sorted(range(len(sentences)), key=lambda place: -len(sentences[place]))
        size = AT_ONCE * min(self.model.concurrency, MOST_TOGETHER)
        return [order[start : start + size] for start in range(0, len(order), size)]

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        """One batch, in its order, all in flight at once. Raises MashqError where no request can succeed."""
        requests = [self._request(sentence) for sentence in sentences]
        replies = lm.generate(self.model, requests, ledger=None, budget=None)
        return [
            _output(source, request, reply) for source, request, reply in zip(sentences, requests, replies, strict=True)
        ]

    def _request(self, sentence: str) -> lm.Request:
        limit = _limit(sentence, TOKENS_A_CHARACTER[self.style])
        if self.style == "messages":
            turns = (("system", self._before), ("user", sentence))
            return lm.Request(messages=turns, decoding=lm.Decoding(max_new_tokens=limit))
        one_line = " ".join(sentence.split())
        prompt = f"{self._before}English: {one_line}\nArabic:"
        return lm.Request(prompt=prompt, decoding=lm.Decoding(max_new_tokens=limit, stop=("\n",)))


def cleaned(reply: str, source: str) -> str:
    """The translation in a reply: without thoughts, a fence around it, a label before it, and quotes around it that
    the source does not have."""
    text = lm.without_thoughts(reply) or ""
    if not source.lstrip().startswith("```"):
        text = lm.unfenced(text)
    text = LABEL.sub("", text, count=1) if not LABEL.match(source.lstrip()) else text
    opening = text[:1]
    closing = QUOTES.get(opening)
    quoted = closing is not None and len(text) > 2 and text.endswith(closing)
    if quoted and source.strip()[:1] not in QUOTES and not {opening, closing} & set(text[1:-1]):
        text = text[1:-1].strip()
    return text


def _output(source: str, request: lm.Request, reply: lm.Reply) -> Output:
    if reply.finish == "error":
        return Output("", f"error: {reply.error}")
    text = cleaned(reply.text, source)
    if reply.finish == "length":
        return Output(text, f"cut: {request.decoding.max_new_tokens} new tokens, the limit")
    lines, had = len(text.splitlines()), len(source.strip().splitlines())
    if lines > had:
        return Output(text, f"more than a translation: {lines} lines > {had}")
    return Output(text)


def _limit(sentence: str, tokens_a_character: float) -> int:
    """New tokens that a reply to this sentence may have: enough for any translation of it, and a little."""
    enough = int(tokens_a_character * len(sentence)) + 32
    return next((limit for limit in LIMITS if limit >= enough), enough)


def _chats(spec: str) -> bool:
    """Whether a model takes messages, by its files; what has none (a server, a script) does."""
    kind, _, rest = spec.partition(":")
    if kind in ("http", "https", *MODELESS):
        return True
    if kind == "llamacpp" or spec.endswith(".gguf"):
        from mashq.lm.llamacpp import _has_chat_template

        return _has_chat_template(lm.gguf(rest if kind == "llamacpp" else spec))
    folder = lm.weights(rest if kind == "transformers" else spec)
    settings = folder / "tokenizer_config.json"
    stated = settings.is_file() and json.loads(settings.read_text("utf-8")).get("chat_template")
    return bool(stated) or any(folder.glob("*chat_template*"))


def _instruction(variety: str) -> str:
    told = targets()["varieties"][variety]
    return targets()["ask"]["instruction"].format(name=told["name"], prompt=told["prompt"]).strip()


def _examples() -> str:
    pairs = targets()["ask"]["examples"]
    return "".join(f"English: {english}\nArabic: {arabic}\n" for english, arabic in pairs)
