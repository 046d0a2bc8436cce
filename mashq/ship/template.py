"""A chat frame of ours as the Jinja template that Transformers, llama.cpp and servers read.

The template gives the very ids of `chat.encode` for contents that neither begin nor end with white space and spell no
special token. Where they do, a tokenizer may join the white space with the frame's own line end, and reads the token as
a turn; `chat.encode` encodes frame and contents apart, so there our ids stand and the template's differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mashq import chat
from mashq.packaged import parsed
from mashq.rows import MashqError

__all__ = ["conversations", "give", "jinja"]


def jinja(frame: chat.Frame, *, begins: bool) -> str:
    """The template's text; `begins`: whether a conversation starts with the tokenizer's beginning-of-text token.

    Raises MashqError for the frame `template`, which is the model maker's own.
    """
    if frame.name == "template":
        raise MashqError("chat template: the frame 'template' is the model's own; expected one of ours.")
    known = "', '".join(chat.ROLES)
    turn, speaker = _pair_turn(frame.pairs) if frame.pairs else _headed_turn(frame)
    return (
        ("{{ bos_token }}" if begins else "")
        + "{% for message in messages %}"
        + f"{{% if message['role'] not in ['{known}'] %}}"
        + "{{ raise_exception('expected the roles system, user and assistant') }}{% endif %}"
        + turn
        + "{% endfor %}"
        + (f"{{% if add_generation_prompt %}}{speaker}{{% endif %}}" if speaker else "")
    )


def _headed_turn(frame: chat.Frame) -> tuple[str, str]:
    """A turn that begins with its role, and the beginning of the assistant's."""
    opener, after = _said(frame.opener), _said(frame.header_end) + _said(frame.header)
    name = f"{{{{ '{frame.assistant}' if message['role'] == 'assistant' else message['role'] }}}}"
    closer = _said(frame.closer) if frame.closer else "{{ eos_token }}"
    gap = f"{{% if not loop.first %}}{_said(frame.gap)}{{% endif %}}" if frame.gap else ""
    turn = f"{gap}{opener}{name}{after}{{{{ message['content'] }}}}{closer}"
    return turn, _said(frame.gap) + opener + _said(frame.assistant) + after


def _pair_turn(pairs: chat.Pairs) -> tuple[str, str]:
    """A turn of a question, its answer, or what stands above all; nothing comes before an answer."""
    lead = _said(pairs.lead)
    content = lead + "{{ message['content'] }}"
    again = "{{ bos_token }}" if pairs.rounds else ""
    first = _said(pairs.alone) + _said(pairs.user[0])
    turn = (
        "{% if message['role'] == 'system' %}"
        + f"{_said(pairs.system[0])}{content}{_said(pairs.system[1])}"
        + "{% elif message['role'] == 'user' %}"
        + f"{{% if loop.first %}}{first}{{% elif loop.index0 == 1 and messages[0]['role'] == 'system' %}}"
        + f"{_said(pairs.resumes)}{{% else %}}{again}{_said(pairs.user[0])}{{% endif %}}"
        + f"{content}{_said(pairs.user[1])}"
        + "{% else %}"
        + f"{content}{{{{ eos_token }}}}"
        + "{% endif %}"
    )
    return turn, ""


def _said(text: str) -> str:
    """A text as an expression, so that no setting of Jinja for white space around blocks touches it."""
    return f"{{{{ {json.dumps(text)} }}}}" if text else ""


def give(tokenizer: Any, frame: chat.Frame) -> str | None:
    """Put the frame into the tokenizer as its chat template; None, or why it cannot be said by one.

    A model that was trained in its own template keeps it. Where the template's ids are not those of the training, the
    tokenizer is left without one: a template that is nearly right is worse than none.
    """
    if frame.name == "template":
        return None
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    tokenizer.chat_template = jinja(frame, begins=begin is not None and begin != end)
    for turns in conversations():
        ours = chat.prompt_ids(turns, tokenizer, frame)
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        theirs = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        if ours != theirs:
            place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
            tokenizer.chat_template = None
            return (
                f"template: from token {place} of {len(ours)} on this tokenizer reads the frame '{frame.name}' as one "
                f"text otherwise than piece by piece ({ours[place : place + 4]} != {theirs[place : place + 4]})."
            )
    return None


def conversations() -> Sequence[list[dict[str, str]]]:
    """Short conversations in Arabic and English that end with a question: what models are compared on."""
    found = parsed("ship/probes")["conversations"]
    return [[{"role": str(one["role"]), "content": str(one["content"])} for one in turns] for turns in found]
