r"""The one place that turns messages into token ids and a loss mask, and ids back into messages.

A *frame* says how turns become ids. A tokenizer with a chat template of its own uses that one (`template`). Base models
have none; for them there are four of ours, in which a turn boundary is always a special token of the tokenizer:

| name     | a turn                                                                             | between turns |
|----------|------------------------------------------------------------------------------------|---------------|
| `gemma`  | `<start_of_turn>` role `\n` content `<end_of_turn>`                                | `\n`          |
| `chatml` | `<\|im_start\|>` role `\n` content `<\|im_end\|>`                                  | `\n`          |
| `llama3` | `<\|start_header_id\|>` role `<\|end_header_id\|>` `\n\n` content `<\|eot_id\|>`    | nothing       |
| `plain`  | role `:\n` content, then the tokenizer's end-of-text token                         | nothing       |

Roles are system, user and assistant; `gemma` calls the last one model.

The whole begins with the tokenizer's beginning-of-text token where it has one of its own. Markers, role and content
are encoded apart, so earlier turns are a prefix of later ones whatever the text; content is encoded with special-token
parsing off, so no text can open or close a turn. Labels cover the content of assistant turns and the token that ends
them, nothing else. The frame's name belongs to the settings of every run that uses it.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "FRAMES",
    "ROLES",
    "Frame",
    "Tokens",
    "encode",
    "encode_many",
    "frame_for",
    "last_turn",
    "parse",
    "prompt_ids",
    "stop_ids",
    "text_of",
]

Message = Mapping[str, str]
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Tokens:
    """Token ids and, for each, whether the model is trained to say it. Equal lengths; the first is never supervised."""

    ids: list[int]
    supervised: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Frame:
    """How a turn becomes ids: `opener` role `header` content `closer`, with `gap` between turns.

    `opener`, `header_end` and `closer` are special tokens ("" = none; a `closer` of "" means the tokenizer's end of
    text); `header` and `gap` are plain text. `assistant` is the assistant's name in the model's eyes.
    """

    name: str
    opener: str = ""
    header_end: str = ""
    header: str = "\n"
    closer: str = ""
    gap: str = ""
    assistant: str = "assistant"

    def role_name(self, role: str) -> str:
        """The role as the model reads it."""
        return self.assistant if role == "assistant" else role


FRAMES: dict[str, Frame] = {
    frame.name: frame
    for frame in (
        Frame("template"),
        Frame("gemma", "<start_of_turn>", "", "\n", "<end_of_turn>", "\n", "model"),
        Frame("chatml", "<|im_start|>", "", "\n", "<|im_end|>", "\n"),
        Frame("llama3", "<|start_header_id|>", "<|end_header_id|>", "\n\n", "<|eot_id|>", ""),
        Frame("plain", "", "", ":\n", "", ""),
    )
}


def frame_for(tokenizer: Any, name: str = "") -> Frame:
    """The frame of that name, checked against the tokenizer; "" picks: its own template, else the first of ours it has.

    Raises MashqError for an unknown name and for a tokenizer that lacks the frame's special tokens.
    """
    if name:
        if name not in FRAMES:
            known = ", ".join(FRAMES)
            raise MashqError(expected_got("chat frame", f"one of {known}", f"'{name}'", nearest(name, FRAMES).strip()))
        if problem := _lacking(tokenizer, FRAMES[name]):
            raise MashqError(
                f"chat frame '{name}': {problem} Choose another frame, or leave it empty to have one picked."
            )
        return FRAMES[name]
    problems = []
    for frame in FRAMES.values():
        problem = _lacking(tokenizer, frame)
        if problem is None:
            return frame
        problems.append(f"{frame.name}: {problem}")
    raise MashqError("chat frame: no frame fits this tokenizer. " + " ".join(problems))


def encode(messages: Sequence[Message], tokenizer: Any, frame: Frame) -> Tokens:
    """One conversation -> ids and loss mask; see `encode_many`."""
    return encode_many([messages], tokenizer, frame)[0]


def encode_many(conversations: Sequence[Sequence[Message]], tokenizer: Any, frame: Frame) -> list[Tokens]:
    """Conversations -> ids and loss masks, the texts tokenised in one call.

    Every assistant turn is supervised, through the token that ends it. Raises MashqError for an empty conversation, an
    unknown role, a content that is not text, and for a template that fails or rewrites earlier turns.
    """
    for messages in conversations:
        _check(messages)
    if frame.name == "template":
        return [_encode_template(messages, tokenizer) for messages in conversations]
    contents = _plain_ids([m["content"] for messages in conversations for m in messages], tokenizer)
    marks = _Marks(tokenizer, frame)
    rest = iter(contents)
    return [_join(messages, [next(rest) for _ in messages], marks) for messages in conversations]


def last_turn(tokens: Tokens) -> Tokens:
    """The same ids, only the last of the supervised turns still supervised."""
    end = max((place for place, said in enumerate(tokens.supervised) if said), default=-1)
    start = end
    while start > 0 and tokens.supervised[start - 1]:
        start -= 1
    return Tokens(tokens.ids, [end >= 0 and start <= place <= end for place in range(len(tokens.ids))])


def prompt_ids(messages: Sequence[Message], tokenizer: Any, frame: Frame) -> list[int]:
    """The ids after which the assistant speaks: the conversation, then the opening of an assistant turn.

    `encode(messages + [reply])` begins with exactly these ids.
    """
    _check(messages)
    if frame.name == "template":
        return _template_ids(messages, tokenizer, generation=True)
    marks = _Marks(tokenizer, frame)
    tokens = _join(messages, _plain_ids([m["content"] for m in messages], tokenizer), marks)
    return tokens.ids + marks.gap + marks.head("assistant")


def stop_ids(tokenizer: Any, frame: Frame) -> list[int]:
    """The ids that end a reply: the frame's end of turn and the tokenizer's end of text, sorted."""
    ends = set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}
    if frame.name == "template":
        probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        tokens = _encode_template(probe, tokenizer)
        last = max(i for i, said in enumerate(tokens.supervised) if said)
        if tokens.ids[last] in _special_ids(tokenizer):
            ends.add(tokens.ids[last])
    else:
        ends.add(_Marks(tokenizer, frame).closer)
    return sorted(ends)


def text_of(ids: Sequence[int], tokenizer: Any, frame: Frame) -> str:
    """The text of a reply: its ids up to the first that ends a turn, decoded without special tokens."""
    ends = set(stop_ids(tokenizer, frame))
    said = list(itertools.takewhile(lambda i: int(i) not in ends, ids))
    return str(tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def parse(ids: Sequence[int], tokenizer: Any, frame: Frame) -> list[dict[str, str]]:
    """Ids made by `encode` -> the messages. The inverse for every tokenizer that decodes what it encoded.

    Raises MashqError where the ids are not whole turns of this frame, and for `template`, whose turns are the model
    maker's: name one of our frames that it equals.
    """
    if frame.name == "template":
        raise MashqError(
            "chat parse: a model's own template cannot be read back. Use a frame of ours: gemma, chatml, llama3."
        )
    marks = _Marks(tokenizer, frame)
    rest = list(ids)
    if marks.begin and rest[: len(marks.begin)] == marks.begin:
        rest = rest[len(marks.begin) :]
    messages: list[dict[str, str]] = []
    while rest:
        if messages and marks.gap and rest[: len(marks.gap)] == marks.gap:
            rest = rest[len(marks.gap) :]
        role = next((r for r in ROLES if rest[: len(marks.head(r))] == marks.head(r)), None)
        if role is None or marks.closer not in rest:
            raise MashqError(expected_got(f"chat parse, turn {len(messages) + 1}", "a whole turn", f"ids {rest[:8]}"))
        end = rest.index(marks.closer)
        content = rest[len(marks.head(role)) : end]
        text = tokenizer.decode(content, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        messages.append({"role": role, "content": str(text)})
        rest = rest[end + 1 :]
    return messages


# --- frames of ours --------------------------------------------------------------------------------------------------


class _Marks:
    """A frame's markers as ids of one tokenizer."""

    def __init__(self, tokenizer: Any, frame: Frame):
        begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.begin = [int(begin)] if begin is not None and begin != end else []
        self.closer = int(tokenizer.convert_tokens_to_ids(frame.closer)) if frame.closer else int(end)
        texts = [frame.role_name(role) + ("" if frame.header_end else frame.header) for role in ROLES]
        *names, header, gap = _plain_ids([*texts, frame.header, frame.gap], tokenizer)
        opener = [int(tokenizer.convert_tokens_to_ids(frame.opener))] if frame.opener else []
        tail = [int(tokenizer.convert_tokens_to_ids(frame.header_end)), *header] if frame.header_end else []
        self._heads = {role: [*opener, *name, *tail] for role, name in zip(ROLES, names, strict=True)}
        self.gap = gap
        self.structural = {*self.begin, self.closer, *opener, *(tail[:1])}

    def head(self, role: str) -> list[int]:
        """The ids before the content of a turn."""
        return self._heads[role]


def _join(messages: Sequence[Message], contents: Sequence[list[int]], marks: _Marks) -> Tokens:
    ids, supervised = list(marks.begin), [False] * len(marks.begin)
    for place, (message, content) in enumerate(zip(messages, contents, strict=True)):
        if not marks.structural.isdisjoint(content):
            raise MashqError(
                expected_got(
                    f"chat: content of turn {place + 1} ({message['content'][:40]!r})",
                    "a tokenizer that can read special tokens as plain text",
                    "a turn marker inside the content",
                    "Load the fast tokenizer (tokenizer.json) of this model.",
                )
            )
        lead = (marks.gap if place else []) + marks.head(message["role"])
        ids += [*lead, *content, marks.closer]
        said = message["role"] == "assistant"
        supervised += [False] * len(lead) + [said] * (len(content) + 1)
    return Tokens(ids, supervised)


def _plain_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Texts -> ids, special tokens read as the text they are spelled with, nothing added."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, return_attention_mask=False)
    return [list(map(int, ids)) for ids in found["input_ids"]]


def _special_ids(tokenizer: Any) -> set[int]:
    added = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(map(int, tokenizer.all_special_ids))


def _lacking(tokenizer: Any, frame: Frame) -> str | None:
    """What the tokenizer lacks for this frame, or None."""
    if frame.name == "template":
        return None if getattr(tokenizer, "chat_template", None) else "the tokenizer has no chat template."
    if not frame.closer and tokenizer.eos_token_id is None:
        return "the tokenizer has no end-of-text token."
    special = _special_ids(tokenizer)
    for marker in (frame.opener, frame.header_end, frame.closer):
        if marker and tokenizer.convert_tokens_to_ids(marker) not in special:
            return f"the tokenizer has no special token {marker}."
    return None


def _check(messages: Sequence[Message]) -> None:
    if not messages:
        raise MashqError(expected_got("chat messages", "at least one message", "none"))
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            got = f"'{message.get('role')}'"
            raise MashqError(
                expected_got(f"chat messages: role of turn {place + 1}", f"one of {', '.join(ROLES)}", got)
            )
        if not isinstance(message.get("content"), str):
            got = type(message.get("content")).__name__
            raise MashqError(expected_got(f"chat messages: content of turn {place + 1}", "text", got))


# --- a model's own template ------------------------------------------------------------------------------------------


def _render(messages: Sequence[Message], tokenizer: Any, generation: bool) -> str:
    from jinja2.exceptions import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template([dict(m) for m in messages], tokenize=False, add_generation_prompt=generation)
        )
    except TemplateError as error:
        roles = ", ".join(m["role"] for m in messages)
        raise MashqError(
            f"chat template of this model refuses the turns [{roles}]: {error}. Choose a frame of ours."
        ) from error


def _template_ids(messages: Sequence[Message], tokenizer: Any, generation: bool) -> list[int]:
    """What the tokenizer makes of its own template's text, unless content spells a special token.

    Then the markers found outside the contents are ids and all else is read as plain text, piece by piece.
    """
    text = _render(messages, tokenizer, generation)
    markers = {token for token in _special_texts(tokenizer) if any(token in m["content"] for m in messages)}
    if not markers:
        found = tokenizer(text, add_special_tokens=False, return_attention_mask=False)
        return list(map(int, found["input_ids"]))
    return _guarded_ids(text, _content_spans(text, messages, tokenizer, generation), tokenizer)


def _special_texts(tokenizer: Any) -> set[str]:
    # Every added token counts, special or not: the template's own markers may be of either kind.
    return {str(token.content) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)


def _content_spans(text: str, messages: Sequence[Message], tokenizer: Any, generation: bool) -> list[tuple[int, int]]:
    """Where each content stands in the rendered text, found by rendering the same turns with random words."""
    words = [f"x{secrets.token_hex(8)}" for _ in messages]
    probe = [{"role": m["role"], "content": w} for m, w in zip(messages, words, strict=True)]
    skeleton = _render(probe, tokenizer, generation)
    for strip in (False, True):
        spans, built, at = [], "", 0
        for message, word in zip(messages, words, strict=True):
            place = skeleton.find(word, at)
            if place < 0:
                break
            content = message["content"].strip() if strip else message["content"]
            built += skeleton[at:place]
            spans.append((len(built), len(built) + len(content)))
            built, at = built + content, place + len(word)
        if built + skeleton[at:] == text and len(spans) == len(messages):
            return spans
    raise MashqError(
        "chat template of this model rewrites its messages; a content that spells a marker cannot be made safe."
        " Choose a frame of ours."
    )


def _guarded_ids(text: str, spans: Sequence[tuple[int, int]], tokenizer: Any) -> list[int]:
    import re

    markers = sorted(_special_texts(tokenizer), key=len, reverse=True)
    inside = [False] * (len(text) + 1)
    for start, end in spans:
        inside[start:end] = [True] * (end - start)
    pieces: list[tuple[str, bool]] = []  # (text, is a marker)
    at = 0
    for found in re.finditer("|".join(map(re.escape, markers)), text):
        if any(inside[found.start() : found.end()]):
            continue
        pieces += [(text[at : found.start()], False), (found.group(), True)]
        at = found.end()
    pieces.append((text[at:], False))
    plain = iter(_plain_ids([piece for piece, marker in pieces if not marker], tokenizer))
    return [
        i
        for piece, marker in pieces
        for i in ([int(tokenizer.convert_tokens_to_ids(piece))] if marker else next(plain))
    ]


def _encode_template(messages: Sequence[Message], tokenizer: Any) -> Tokens:
    ids = _template_ids(messages, tokenizer, generation=False)
    supervised = [False] * len(ids)
    special = _special_ids(tokenizer)
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if place == 0:
            raise MashqError("chat template: an assistant turn cannot come first. Put a user turn before it.")
        before = _template_ids(messages[:place], tokenizer, generation=True)
        upto = ids if place == len(messages) - 1 else _template_ids(messages[: place + 1], tokenizer, generation=False)
        if ids[: len(before)] != before or ids[: len(upto)] != upto:
            raise MashqError(
                f"chat template of this model rewrites earlier turns (turn {place + 1} of {len(messages)}), so the"
                " words of the assistant cannot be told from the rest. Choose a frame of ours."
            )
        end = next((i for i in range(len(before), len(upto)) if ids[i] in special), len(upto) - 1)
        supervised[len(before) : end + 1] = [True] * (end + 1 - len(before))
    return Tokens(ids, supervised)
