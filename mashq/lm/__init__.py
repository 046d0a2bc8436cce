"""The one door to language models: `open_model` gives a model by name, `generate` asks it.

| name | what answers |
|---|---|
| `gemma3-270m`, `toy-llama` (`toy.py`), a folder, `owner/name` | Transformers in this process (`transformers.py`) |
| `llamacpp:gemma3-270m`, a `.gguf` file | llama.cpp in this process (`llamacpp.py`) |
| `http://host:8000/v1#model` | any OpenAI-compatible server (`openai.py`) |
| `echo`, `scripted:replies.jsonl` | no model at all (`echo.py`) |
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mashq.lm.budget import Budget
from mashq.lm.engine import Ask, Batched, Done, Model, Served, Take, generate
from mashq.lm.ledger import Ledger
from mashq.lm.request import Decoding, Messages, Reply, Request, as_messages, key_of, seed_of
from mashq.lm.spoken import unfenced, without_thoughts
from mashq.lm.structured import canonical, parsed
from mashq.lm.weights import gguf, licence, load, notice, public_name, weights
from mashq.settings import taken

__all__ = [
    "Ask",
    "Batched",
    "Budget",
    "Decoding",
    "Done",
    "Ledger",
    "Messages",
    "Model",
    "Reply",
    "Request",
    "Served",
    "Take",
    "as_messages",
    "canonical",
    "generate",
    "gguf",
    "key_of",
    "licence",
    "load",
    "notice",
    "open_model",
    "parsed",
    "public_name",
    "seed_of",
    "unfenced",
    "weights",
    "without_thoughts",
]


def open_model(spec: str, **settings: Any) -> Model:
    """A model by name (the table above); `settings` are those of its class: adapter, dtype, batch, timeout_s ...

    Weights in this process are loaded with the first request that is really asked. Raises MashqError for an unknown
    name or setting.
    """
    kind, _, rest = spec.partition(":")
    make: Callable[..., Model]
    if kind in ("http", "https"):
        from mashq.lm.openai import OpenAI

        make, name = OpenAI, spec
    elif kind == "llamacpp" or spec.endswith(".gguf"):
        from mashq.lm.llamacpp import LlamaCpp

        make, name = LlamaCpp, rest if kind == "llamacpp" else spec
    elif spec == "echo":
        from mashq.lm.echo import Echo

        return Echo(**taken(f"model '{spec}'", Echo, settings))
    elif kind == "scripted" and rest:
        from mashq.lm.echo import Scripted

        return Scripted.from_file(Path(rest), **taken(f"model '{spec}'", Scripted.from_file, settings))
    else:
        from mashq.lm.transformers import InProcess

        make, name = InProcess, rest if kind == "transformers" else spec
    return make(name, **taken(f"model '{spec}'", make, settings))
