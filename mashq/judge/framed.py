"""How a judge without a chat template is asked: in the chat frame that fits its tokenizer, as ids.

Embedded models and base models of a folder have none. They can be asked so, and measured; that they were never taught
to answer is for the judge card to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mashq import chat
from mashq.lm import Messages, Model

__all__ = ["Framing", "framing_of"]


@dataclass(frozen=True)
class Framing:
    """A tokenizer and the frame for it; `stop_ids` end a reply, where the model can be told so."""

    tokenizer: Any
    frame: chat.Frame
    stop_ids: tuple[int, ...]

    def ids(self, messages: Messages) -> tuple[int, ...]:
        """What is asked as ids, up to where the assistant speaks."""
        turns = [{"role": role, "content": content} for role, content in messages]
        return tuple(chat.prompt_ids(turns, self.tokenizer, self.frame))


def framing_of(model: Model) -> Framing | None:
    """The framing that a model needs, None for one that takes messages: a server, a script, a chat template.

    Weights in this process are loaded for it. Raises MashqError where no frame fits.
    """
    from mashq.lm.llamacpp import LlamaCpp, _has_chat_template
    from mashq.lm.transformers import InProcess
    from mashq.lm.weights import EMBEDDED, weights

    if isinstance(model, InProcess):
        _, tokenizer = model.loaded()
        if tokenizer.chat_template:
            return None
        frame = chat.frame_for(tokenizer)
        return Framing(tokenizer, frame, tuple(chat.stop_ids(tokenizer, frame)))
    name = model.spec.removeprefix("llamacpp:") if isinstance(model, LlamaCpp) else ""
    if isinstance(model, LlamaCpp) and name in EMBEDDED and not _has_chat_template(model.path):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(weights(name))
        return Framing(tokenizer, chat.frame_for(tokenizer), ())  # llama.cpp ends at the model's own end alone
    return None
