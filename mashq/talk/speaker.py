"""A model by name -> its reply, piece by piece as it is written.

| name | who speaks |
|---|---|
| folder of a training or of a merged model | Transformers, with the adapter and the chat frame of the training |
| `gemma3-270m`, `toy-llama`, a folder, `owner/name` | Transformers, in the model's own template or a frame of ours |
| a `.gguf` file, `llamacpp:gemma3-270m` | llama.cpp |
| `http://host:8000/v1#model` | an OpenAI-compatible server |
| `echo`, `scripted:FILE` | no model at all |

Greedy replies are those of `mashq.generate`; drawn ones have its seeds, so an evaluation's reply can be seen again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

from mashq import chat, lm
from mashq.lm import Decoding
from mashq.lm.weights import EMBEDDED
from mashq.rows import MashqError, expected_got
from mashq.ship import card as cards
from mashq.ship.trained import read

__all__ = ["Speaker", "open_speaker"]

Turns = Sequence[Mapping[str, str]]
TIMEOUT_S = 300.0  # between two pieces of a reply
CONTEXT = 4096  # tokens of prompt and reply in llama.cpp
UNTAUGHT = "`{name}` is a base model that nobody taught to chat: it goes on with the text rather than answer it."


class Speaker(Protocol):
    """Who answers. `warnings` are to be read before the first reply; `cut`: whether the last reply met the limit."""

    name: str
    warnings: tuple[str, ...]
    cut: bool

    def stream(self, turns: Turns, decoding: Decoding) -> Iterator[str]:
        """The reply to a conversation that ends with a user turn; closing the iterator ends the writing.

        Raises MashqError where the model cannot answer: too long, turns that the frame refuses, a server that is gone.
        """
        ...


def open_speaker(
    spec: str, *, adapter: str = "", frame: str = "", dtype: str = "bfloat16", threads: int = 1
) -> Speaker:
    """Who speaks under that name (the table above). `adapter` is a PEFT folder for a base model; `frame`, `dtype` are
    for models in Transformers, `threads` for llama.cpp.

    Raises MashqError where nothing of that name is found or loads.
    """
    path = Path(spec).expanduser()
    if spec.startswith(("http://", "https://")):
        return _Served.of(spec)
    if spec.startswith("llamacpp:") or spec.endswith(".gguf"):
        return _LlamaCpp(spec, threads)
    if spec == "echo" or spec.startswith("scripted:"):
        return _Whole(lm.open_model(spec), spec)
    if (path / "card.json").is_file() and not adapter:
        return _of_training(path, frame, dtype)
    from mashq.generate import load_student

    student = load_student(spec, Path(adapter).expanduser() if adapter else None, frame=frame, dtype=dtype)
    from mashq.lm.toy import TOYS

    told = [f"`{spec}` is a toy with random weights: what it writes is noise."] if spec in TOYS else []
    if spec not in TOYS and not adapter and student.frame.name != "template":
        told.append(UNTAUGHT.format(name=lm.public_name(spec)))
    return _Student(student, lm.public_name(spec), tuple(told))


def _of_training(folder: Path, frame: str, dtype: str) -> Speaker:
    from mashq.generate import load_student

    trained = read(folder)
    adapter = folder if trained.kind == "adapter" else None
    student = load_student(trained.base if adapter else str(folder), adapter, frame=frame or trained.frame, dtype=dtype)
    return _Student(student, folder.resolve().name, tuple(cards.warnings(trained)))


# --- in this process -------------------------------------------------------------------------------------------------


class _Student:
    """A model in Transformers, token by token."""

    def __init__(self, student: Any, name: str, warnings: tuple[str, ...]):
        self.student, self.name, self.warnings, self.cut = student, name, warnings, False

    def stream(self, turns: Turns, decoding: Decoding) -> Iterator[str]:
        """Pieces of whole characters; a character of several tokens waits for its last."""
        tokenizer, frame = self.student.tokenizer, self.student.frame
        prompt = chat.prompt_ids(turns, tokenizer, frame)
        room = self.student.longest
        if room is not None and len(prompt) + decoding.max_new_tokens > room:
            raise MashqError(
                expected_got(
                    "chat", f"at most {room} tokens", f"{len(prompt)} and a reply of {decoding.max_new_tokens}",
                    "Begin anew with /reset, or ask for a shorter reply.",
                )
            )  # fmt: skip
        self.cut = True
        said = _Said(tokenizer)
        ends = set(chat.stop_ids(tokenizer, frame))
        for token in _tokens(self.student.model, prompt, decoding):
            if token in ends:
                self.cut = False
                break
            if piece := said.add(token):
                yield piece
        if piece := said.rest():
            yield piece


class _Said:
    """Ids -> text as they come. Only the last few ids are decoded again, so a long reply costs no more than its length
    (a tokenizer may write a token otherwise after another, so the one before is always with it)."""

    def __init__(self, tokenizer: Any):
        self._tokenizer, self._ids = tokenizer, list[int]()
        self._from = self._told = 0

    def add(self, token: int) -> str:
        self._ids.append(token)
        return self._new(whole=True)

    def rest(self) -> str:
        return self._new(whole=False)

    def _new(self, whole: bool) -> str:
        before = self._text(self._ids[self._from : self._told])
        now = self._text(self._ids[self._from :])
        if len(now) <= len(before) or (whole and now.endswith("\N{REPLACEMENT CHARACTER}")):
            return ""
        self._from, self._told = self._told, len(self._ids)
        return now[len(before) :]

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _tokens(model: Any, prompt: Sequence[int], decoding: Decoding) -> Iterator[int]:
    """Token after token, chosen as `mashq.lm` chooses them, up to the limit."""
    import torch
    from transformers import DynamicCache

    from mashq.lm.engine import Ask
    from mashq.lm.transformers import _choose, _Row, _seen

    request = lm.Request(prompt_ids=tuple(prompt), decoding=decoding)
    row = _Row(Ask(0, request), list(prompt))
    config = model.config.get_text_config(decoder=True)
    device = next(model.parameters()).device
    if not decoding.greedy:
        row.generator = torch.Generator().manual_seed(lm.seed_of(request))
    seen = _seen([row], config.vocab_size, device) if decoding.repetition_penalty != 1 else None
    cache, ids = DynamicCache(config=config), torch.tensor([row.ids], device=device)
    for _ in range(decoding.max_new_tokens):
        with torch.inference_mode():
            out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            ids = _choose(out.logits[:, -1], [row], decoding, seen)[:, None]
        yield int(ids[0, 0])


class _Whole:
    """A model that answers in one piece."""

    def __init__(self, model: Any, name: str):
        self.model, self.name, self.cut = model, name, False
        self.warnings: tuple[str, ...] = ()

    def stream(self, turns: Turns, decoding: Decoding) -> Iterator[str]:
        """The whole reply."""
        request = lm.Request(messages=lm.as_messages(turns), decoding=decoding)
        (reply,) = lm.generate(self.model, [request], ledger=None, budget=None)
        if reply.finish == "error":
            raise MashqError(f"model '{self.name}': {reply.error}")
        self.cut = reply.finish == "length"
        yield reply.text


# --- behind an address -----------------------------------------------------------------------------------------------


class _Served:
    """An OpenAI-compatible server, asked to send its reply as it is written."""

    def __init__(self, address: str, model: str, headers: Mapping[str, str], hide: Any, own: Mapping[str, Any]):
        self.address, self.model, self._headers, self._hide, self._own = address, model, headers, hide, own
        self.name, self.cut = model, False
        self.warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: str) -> _Served:
        from mashq.lm.openai import OpenAI

        door = OpenAI(spec)
        return cls(door.address, door.name, door._headers(), door._clean, {})

    def stream(self, turns: Turns, decoding: Decoding) -> Iterator[str]:
        """Pieces as the server sends them."""
        body = {"model": self.model, "messages": [dict(turn) for turn in turns], **_asked(decoding), **self._own}
        self.cut = False
        for event in _events(f"{self.address}/chat/completions", body, self._headers, self._hide):
            choice = (event.get("choices") or [{}])[0] or {}
            self.cut = self.cut or choice.get("finish_reason") == "length"
            if piece := (choice.get("delta") or choice.get("message") or {}).get("content"):
                yield str(piece)


def _asked(decoding: Decoding) -> dict[str, Any]:
    body: dict[str, Any] = {
        "stream": True,
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
    }
    if not decoding.greedy:
        body |= {"top_p": decoding.top_p, "seed": decoding.seed}
    if decoding.top_k:
        body["top_k"] = decoding.top_k
    if decoding.repetition_penalty != 1:
        body["repetition_penalty"] = decoding.repetition_penalty
    return body


def _events(url: str, body: Mapping[str, Any], headers: Mapping[str, str], hide: Any) -> Iterator[dict[str, Any]]:
    """Server-sent events as objects; a server that answers in one piece gives one. Redirects are not followed."""
    limits = httpx.Timeout(TIMEOUT_S, connect=10.0)
    try:
        proxies = not url.startswith("http://127.0.0.1:")  # our own engine is asked directly
        with httpx.stream("POST", url, json=body, headers=dict(headers), timeout=limits, trust_env=proxies) as answer:
            if answer.status_code != 200:
                answer.read()
                raise MashqError(f"server {url}: answered {answer.status_code}: {hide(answer.text)[:300]}")
            if "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
                yield _object(answer.text, url, hide)
                return
            for line in answer.iter_lines():
                data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                if data == "[DONE]":
                    return
                if data:
                    yield _object(data, url, hide)
    except httpx.HTTPError as error:
        raise MashqError(f"server {url}: {type(error).__name__}: {hide(str(error))[:200]}. Is it running?") from error


def _object(text: str, url: str, hide: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise MashqError(expected_got(f"server {url}", "JSON", repr(hide(text)[:120]))) from error
    if not isinstance(found, dict) or "error" in found:
        raise MashqError(f"server {url}: {hide(json.dumps(found, ensure_ascii=False))[:300]}")
    return found


class _LlamaCpp:
    """A GGUF file in this process, asked through its own server on loopback, which ends a reply that is left."""

    def __init__(self, spec: str, threads: int):
        from mashq.lm.llamacpp import LlamaCpp, _has_chat_template

        plain = spec.removeprefix("llamacpp:")
        self._engine = LlamaCpp(plain, threads=threads, context=CONTEXT)
        self.name, self.cut = lm.public_name(plain), False
        self.warnings: tuple[str, ...] = ()
        self._framed: tuple[Any, chat.Frame] | None = None
        if not _has_chat_template(self._engine.path):
            self._framed = self._frame_of(plain)
            self.warnings = (UNTAUGHT.format(name=self.name),)
        self._url = self._engine.server().listening_address

    def _frame_of(self, plain: str) -> tuple[Any, chat.Frame]:
        """Tokenizer and frame of an embedded model, whose file has no chat template."""
        if plain not in EMBEDDED:
            raise MashqError(
                f"chat: {plain} has no chat template, and llama.cpp would take ChatML without a word. Make the file "
                "anew with `mashq ship gguf`, which puts the frame of the training into it."
            )
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(lm.weights(plain))
        return tokenizer, chat.frame_for(tokenizer)

    def stream(self, turns: Turns, decoding: Decoding) -> Iterator[str]:
        """Pieces of whole characters."""
        own = {
            "top_k": decoding.top_k,
            "min_p": 0.0,
            "repeat_penalty": decoding.repetition_penalty,
            "repeat_last_n": CONTEXT,
            "cache_prompt": True,  # a conversation is read again from its last turn only
        }
        if self._framed is None:
            served = _Served(f"{self._url}/v1", self.name, {}, str, own)
            yield from served.stream(turns, decoding)
            self.cut = served.cut
            return
        ids = chat.prompt_ids(turns, *self._framed)
        body = _asked(decoding) | own | {"prompt": ids, "n_predict": decoding.max_new_tokens}
        for event in _events(f"{self._url}/completion", body, {}, str):
            self.cut = event.get("stop_type") == "limit"
            if event.get("content"):
                yield str(event["content"])
