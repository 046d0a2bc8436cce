"""How a model is spoken to: the hash of its tokenizer, and one conversation exactly as it sees it.

Two models with the same weights are not the same system where their tokenizers or their chat frames differ; so a card
and a report name both. None of it decides a result that the fingerprint of a step does not name already: it is noted
beside the result.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashq import chat
from mashq.rows import MashqError, expected_got

__all__ = ["NOTE", "SAMPLE", "file_tokenizer_hash", "note_of", "through", "tokenizer_hash"]

NOTE = "asked.json"  # beside the replies of a step: who was asked, and through what
SAMPLE = (  # what stands between turns is seen only where there are several
    {"role": "user", "content": "ما عاصمة مصر؟"},
    {"role": "assistant", "content": "القاهرة."},
    {"role": "user", "content": "وعاصمة المغرب؟"},
)
PASSING = ('"truncation":', '"padding":')  # what a tokenizer's last use left in it; they stand first, in this order


def tokenizer_hash(tokenizer: Any) -> str:
    """32 hexadecimal digits of all that turns a text into ids: vocabulary, merges, normal form, added tokens.

    Equal after saving and loading again, wherever the files lie. The chat template is no part of it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = _lasting(backend.to_str()) if backend is not None else _slow(tokenizer)
    return _digest(text)


def file_tokenizer_hash(path: Path) -> str:
    """The hash of the tokenizer that was saved as this `tokenizer.json`. Raises MashqError where it cannot be read."""
    from tokenizers import Tokenizer

    try:
        state = Tokenizer.from_file(str(path)).to_str()
    except Exception as error:  # the library has no class of its own for a file that it cannot read
        raise MashqError(expected_got(str(path), "a tokenizer as JSON", str(error))) from error
    return _digest(_lasting(state))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _lasting(state: str) -> str:
    """A fast tokenizer's JSON (12 MB for Gemma) without `PASSING`; only the head is parsed, which takes no time."""
    for name in PASSING:
        start = state.index(name)
        _, end = json.JSONDecoder().raw_decode(state, start + len(name))
        state = state[:start] + state[end + 1 :]  # and the comma
    return state


def _slow(tokenizer: Any) -> str:
    """What is known of a tokenizer written in Python: its kind, every token with its id, and the special ones."""
    added = {str(i): str(token) for i, token in sorted(tokenizer.added_tokens_decoder.items())}
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    told = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), added, special]
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def through(tokenizer: Any, frame: chat.Frame) -> dict[str, Any]:
    """What a conversation passes through on its way to the model.

    tokenizer: its hash; tokens: how many it knows; frame: the chat frame's name; pieces: `SAMPLE` as the model sees it
    before it answers, [{text, special}], where special tokens stand alone; template: the source of the tokenizer's own
    chat template where that is the frame, else ""; why_not: why there are no pieces, "" where there are.
    """
    pieces, why_not = _pieces(tokenizer, frame)
    return {
        "tokenizer": tokenizer_hash(tokenizer),
        "tokens": len(tokenizer),
        "frame": frame.name,
        "pieces": pieces,
        "template": _template(tokenizer) if frame.name == "template" else "",
        "why_not": why_not,
    }


def _template(tokenizer: Any) -> str:
    known = tokenizer.chat_template
    return str(known["default"] if isinstance(known, Mapping) else known)


def _pieces(tokenizer: Any, frame: chat.Frame) -> tuple[list[dict[str, Any]], str]:
    """The sample as ids and back as text; where a template takes no answered turn, its first turn alone."""
    for sample in (SAMPLE, SAMPLE[:1]):
        try:
            return _cut(chat.prompt_ids(sample, tokenizer, frame), tokenizer), ""
        except MashqError as error:
            why_not = str(error)
    return [], why_not


def _cut(ids: Sequence[int], tokenizer: Any) -> list[dict[str, Any]]:
    """Ids -> their text, cut around special tokens; their texts joined are the text of all ids.

    A cut stands where the text of the ids before it begins the whole text. A tokenizer of which this does not hold
    (its decoder looks ahead) gives one piece.
    """
    special = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(map(int, tokenizer.all_special_ids))
    whole, found, before = _text(ids, tokenizer), [], ""
    for is_special, run in itertools.groupby(range(len(ids)), key=lambda place: ids[place] in special):
        for end in [place + 1 for place in run] if is_special else [max(run) + 1]:
            text = _text(ids[:end], tokenizer)
            if not whole.startswith(text) or not text.startswith(before):
                return [{"text": whole, "special": False}]
            found.append({"text": text[len(before) :], "special": is_special})
            before = text
    return found


def _text(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def note_of(asked: Any, spec: str, remote_code: bool = False) -> dict[str, Any]:
    """What a step notes of the model that it asks, as `generate.opened` gave it for `spec`.

    Of a student `through`, the hash of its weights before any adapter, and the device that computes; of a model with a
    door of its own the door alone: http, llamacpp, echo, scripted. What its server does with the messages is not known.
    """
    from mashq.generate import Student
    from mashq.lm.weights import fingerprint, weights

    if not isinstance(asked, Student):
        kind = spec.partition(":")[0]
        return {"door": "http" if kind == "https" else kind}
    folder: Path = weights(spec, remote_code)
    told = {"door": "", "device": _device(asked.model), "weights": fingerprint(folder)}
    return {**told, **through(asked.tokenizer, asked.frame)}


def _device(model: Any) -> str:
    """The name of the GPU that a model is on, else the kind of its device: cpu."""
    import torch

    device = next(model.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)
