r"""The one place that turns messages into token ids and a loss mask, and ids back into messages.

A *frame* says how turns become ids (`mashq.frames`). A tokenizer with a chat template of its own uses that one
(`template`); base models have none, and for them there are frames of ours.

The whole begins with the tokenizer's beginning-of-text token where it has one of its own, whatever its `add_bos_token`.
Markers, role and content are encoded apart, so earlier turns are a prefix of later ones whatever the text; content is
encoded with special-token parsing off, so no text can spell a special token. A marker that the tokenizer has no special
token for is plain text (all of `jais-*`; `[INST]` in Llama 2 and in Mistral before v0.3): a content that spells one is
refused, `why_not` says so beforehand. Labels cover the content of assistant turns and the token that ends them, nothing
else. The frame's name belongs to the settings of every run that uses it.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashq.frames import FRAMES, Frame, Pairs
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "FRAMES",
    "ROLES",
    "Frame",
    "Pairs",
    "Tokens",
    "encode",
    "encode_many",
    "frame_for",
    "last_turn",
    "pad_id",
    "parse",
    "prompt_ids",
    "stop_ids",
    "text_of",
    "why_not",
    "without_lead",
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


def frame_for(tokenizer: Any, name: str = "") -> Frame:
    """The frame of that name, checked against the tokenizer; "" picks the first that fits:

    its own template; gemma, chatml, llama3 or mistral where their markers are special tokens; the frame of its family
    (`mashq.families`), which `mashq.lm.load` notes on the tokenizer as `mashq_frame`; plain.

    Raises MashqError for an unknown name and for a tokenizer that lacks the frame's special tokens.
    """
    tokenizer.mashq_special = None  # tokens may have been added since
    if name:
        if name not in FRAMES:
            known = ", ".join(FRAMES)
            raise MashqError(expected_got("chat frame", f"one of {known}", f"'{name}'", nearest(name, FRAMES).strip()))
        if problem := _lacking(tokenizer, FRAMES[name]):
            raise MashqError(
                f"chat frame '{name}': {problem} Choose another frame, or leave it empty to have one picked."
            )
        return FRAMES[name]
    own = getattr(tokenizer, "mashq_frame", "")
    problems = []
    for one in ("template", "gemma", "chatml", "llama3", "mistral", own, "plain"):
        problem = _lacking(tokenizer, FRAMES[one], marked=one != own) if one else "none."
        if problem is None:
            return FRAMES[one]
        problems.append(f"{one or 'of its family'}: {problem}")
    raise MashqError("chat frame: no frame fits this tokenizer. " + " ".join(problems))


def encode(messages: Sequence[Message], tokenizer: Any, frame: Frame) -> Tokens:
    """One conversation -> ids and loss mask; see `encode_many`."""
    return encode_many([messages], tokenizer, frame)[0]


def encode_many(conversations: Sequence[Sequence[Message]], tokenizer: Any, frame: Frame) -> list[Tokens]:
    """Conversations -> ids and loss masks, the texts tokenised in one call.

    Every assistant turn is supervised, through the token that ends it. Raises MashqError for an empty conversation, an
    unknown role, a content that is not text or spells a marker, turns that do not alternate in a frame of pairs, and
    for a template that fails or rewrites earlier turns.
    """
    for messages in conversations:
        _check(messages, frame)
    if frame.name == "template":
        return [_encode_template(messages, tokenizer) for messages in conversations]
    marks = _Marks(tokenizer, frame)
    contents = _plain_ids([marks.lead + m["content"] for messages in conversations for m in messages], tokenizer)
    rest = iter(contents)
    return [_join(messages, [next(rest) for _ in messages], marks) for messages in conversations]


def why_not(messages: Sequence[Message], tokenizer: Any, frame: Frame) -> str | None:
    """The reason for which a conversation's contents cannot be encoded, or None: `marker: '[/INST]' in turn 2`.

    Only frames with markers in plain text have such contents; what is wrong with a conversation otherwise is an error.
    """
    if frame.pairs is None:
        return None
    marks = _Marks(tokenizer, frame)
    for place, message in enumerate(messages):
        if marks.spelled and (found := _spelled(message, _plain_ids([message["content"]], tokenizer)[0], marks)):
            return f"marker: '{found}' in turn {place + 1}"
    return None


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
    _check(messages, frame)
    if frame.name == "template":
        return _template_ids(messages, tokenizer, generation=True)
    last = messages[-1]["role"]
    if frame.pairs and last != "user":
        raise MashqError(expected_got(f"chat frame '{frame.name}': last turn of a prompt", "user", f"'{last}'"))
    marks = _Marks(tokenizer, frame)
    tokens = _join(messages, _plain_ids([marks.lead + m["content"] for m in messages], tokenizer), marks)
    return tokens.ids + marks.before("assistant", last)


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
    text = str(tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return without_lead(text, tokenizer, frame)


def without_lead(text: str, tokenizer: Any, frame: Frame) -> str:
    """A decoded content without the space that the frame, or the tokenizer by `add_prefix_space`, put before it."""
    if (frame.pairs and frame.pairs.lead) or _adds_space(tokenizer):
        return text.removeprefix(" ")
    return text


def pad_id(tokenizer: Any, vocabulary: int) -> int:
    """The id that fills rows up to the longest: the tokenizer's padding token where the model has it, else 0.

    Rows are padded on the right, labels are set by place, and a causal model looks at nothing on its right: so the id
    changes no result, and a real end of text is a target also where it is the padding token. It must only be one of the
    model's `vocabulary` ids, which a padding token added to Llama's or GPT-2's tokenizer is not.
    """
    pad = tokenizer.pad_token_id
    return int(pad) if pad is not None and 0 <= pad < vocabulary else 0


def parse(ids: Sequence[int], tokenizer: Any, frame: Frame) -> list[dict[str, str]]:
    """Ids made by `encode` -> the messages. The inverse for every tokenizer that decodes what it encoded.

    `mistral` has no mark between a system turn and the user's: they come back as one user turn. Raises MashqError where
    the ids are not whole turns of this frame, and for `template`, whose turns are the model maker's: name one of our
    frames that it equals.
    """
    if frame.name == "template":
        raise MashqError(f"chat parse: a model's own template cannot be read back. {_choose(tokenizer)}")
    marks = _Marks(tokenizer, frame)
    rest = list(ids)
    if marks.begin and rest[: len(marks.begin)] == marks.begin:
        rest = rest[len(marks.begin) :]
    messages: list[dict[str, str]] = []
    while rest:
        found = marks.turn(rest, messages[-1]["role"] if messages else None)
        if found is None:
            raise MashqError(expected_got(f"chat parse, turn {len(messages) + 1}", "a whole turn", f"ids {rest[:8]}"))
        role, start, end = found
        text = tokenizer.decode(rest[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        messages.append({"role": role, "content": without_lead(str(text), tokenizer, frame)})
        rest = rest[end + len(marks.after(role)) :]
    return messages


# --- frames of ours --------------------------------------------------------------------------------------------------


FOLLOWS: dict[str | None, tuple[str, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
}  # who speaks next in a frame of pairs


class _Marks:
    """A frame's markers as ids of one tokenizer."""

    def __init__(self, tokenizer: Any, frame: Frame):
        begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.tokenizer, self.pairs = tokenizer, frame.pairs
        self.begin = [int(begin)] if begin is not None and begin != end else []
        self.lead = frame.pairs.lead if frame.pairs else ""
        names = (frame.opener, frame.header_end, *(frame.pairs.marks if frame.pairs else ()))
        self.special = _special_of(tokenizer, names)
        self.spelled = [name for name in names if name and name not in self.special]  # markers in plain text
        self.closer = int(tokenizer.convert_tokens_to_ids(frame.closer)) if frame.closer else int(end)
        self.structural = {*self.begin, self.closer, *self.special.values()}
        self._around = _around_pairs(frame.pairs) if frame.pairs else _around_roles(frame)
        self._known = self._ids({frame.gap, *(text for texts in self._around.values() for text in texts)})
        self.gap = self._known[frame.gap]

    def _ids(self, texts: set[str]) -> dict[str, list[int]]:
        """Texts of the frame as ids, the markers in them as special tokens where the tokenizer has them."""
        marker = re.compile("(" + "|".join(map(re.escape, self.special)) + ")") if self.special else re.compile("(?!)")
        pieces = {text: [piece for piece in marker.split(text) if piece] for text in texts}
        plain = sorted({piece for cut in pieces.values() for piece in cut if piece not in self.special})
        ids = dict(zip(plain, _plain_ids(plain, self.tokenizer), strict=True))
        ids |= {mark: [place] for mark, place in self.special.items()}
        return {text: [i for piece in cut for i in ids[piece]] for text, cut in pieces.items()}

    def before(self, role: str, previous: str | None) -> list[int]:
        """The ids before the content of a turn that follows one of `previous`, or begins the conversation."""
        if self.pairs is None:
            return [*(self.gap if previous else []), *self._known[self._around[role, None][0]]]
        again = self.begin if self.pairs.rounds and (previous, role) == ("assistant", "user") else []
        texts = self._around.get((role, previous)) or self._around[role, "any"]
        return [*again, *(i for text in texts[:-1] for i in self._known[text])]

    def after(self, role: str) -> list[int]:
        """The ids after the content of a turn."""
        if self.pairs is None or role == "assistant":
            return [self.closer]
        return self._known[self._around[role, "any"][-1]]

    def turn(self, ids: list[int], previous: str | None) -> tuple[str, int, int] | None:
        """(role, start and end of the content) of the turn that ids begin with; None where they begin with none."""
        for role in ROLES if self.pairs is None else FOLLOWS[previous]:
            head, tail = self.before(role, previous), self.after(role)
            if self.pairs and role == "system" and head == self.before("user", previous):
                continue  # `mistral`: the system turn looks like the user's beginning
            if ids[: len(head)] == head:
                ends = (n for n in range(len(head), len(ids)) if ids[n : n + len(tail)] == tail)
                end = next(ends, None)
                if end is not None:
                    return role, len(head), end
        return None


def _around_roles(frame: Frame) -> dict[tuple[str, str | None], tuple[str, ...]]:
    middle = frame.header_end + frame.header
    return {(role, None): (frame.opener + frame.role_name(role) + middle,) for role in ROLES}


def _around_pairs(pairs: Pairs) -> dict[tuple[str, str | None], tuple[str, ...]]:
    """(role, role before) -> texts before the content, and last the text after it; `any` = whatever came before."""
    return {
        ("system", "any"): pairs.system,
        ("user", "any"): pairs.user,
        ("user", None): (pairs.alone, *pairs.user),
        ("user", "system"): (pairs.resumes, pairs.user[1]),
        ("assistant", "any"): ("",),
    }


def _join(messages: Sequence[Message], contents: Sequence[list[int]], marks: _Marks) -> Tokens:
    ids, supervised, previous = list(marks.begin), [False] * len(marks.begin), None
    for place, (message, content) in enumerate(zip(messages, contents, strict=True)):
        role = message["role"]
        _check_content(f"chat: content of turn {place + 1} ({message['content'][:40]!r})", message, content, marks)
        lead, tail = marks.before(role, previous), marks.after(role)
        ids += [*lead, *content, *tail]
        supervised += [False] * len(lead) + [role == "assistant"] * (len(content) + len(tail))
        previous = role
    return Tokens(ids, supervised)


def _check_content(where: str, message: Message, content: list[int], marks: _Marks) -> None:
    """Refuse a content that would be read as a marker of the frame."""
    if not marks.structural.isdisjoint(content):
        raise MashqError(
            expected_got(
                where,
                "a tokenizer that can read special tokens as plain text",
                "a turn marker inside the content",
                "Load the fast tokenizer (tokenizer.json) of this model.",
            )
        )
    if found := _spelled(message, content, marks):
        raise MashqError(
            expected_got(
                where,
                f"no '{found}', which opens or closes a turn and is plain text to this tokenizer",
                "it in the content",
                "Leave this conversation out, or choose the frame plain.",
            )
        )


def _spelled(message: Message, content: list[int], marks: _Marks) -> str | None:
    """The plain marker that a content spells, as it is written or as the tokenizer makes it of full-width letters."""
    if not marks.spelled:
        return None
    texts = (message["content"], str(marks.tokenizer.decode(content)))
    return next((mark for mark in marks.spelled if any(mark in text for text in texts)), None)


def _plain_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Texts -> ids, special tokens read as the text they are spelled with, nothing added."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, return_attention_mask=False)
    return [list(map(int, ids)) for ids in found["input_ids"]]


def _adds_space(tokenizer: Any) -> bool:
    """Whether a text comes back from the tokenizer with a space before it (`add_prefix_space`)."""
    return str(tokenizer.decode(_plain_ids(["a"], tokenizer)[0])) == " a"


def _special_ids(tokenizer: Any) -> set[int]:
    """The ids of special tokens; kept on the tokenizer until `frame_for`: to list the 6,414 of Gemma takes 100 ms."""
    known: set[int] | None = getattr(tokenizer, "mashq_special", None)
    if known is None:
        added = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        known = tokenizer.mashq_special = added | set(map(int, tokenizer.all_special_ids))
    return known


def _special_of(tokenizer: Any, names: Sequence[str]) -> dict[str, int]:
    """Those of some texts that are special tokens, and their ids.

    A text unknown to the tokenizer has the id of its unknown token, which may be special itself (`<unk>` of Llama,
    `<|endoftext|>` of GPT-2): so an id counts only where it stands for this very text.
    """
    special = _special_ids(tokenizer)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in names if name}
    return {name: int(i) for name, i in ids.items() if i in special and tokenizer.convert_ids_to_tokens(i) == name}


def _lacking(tokenizer: Any, frame: Frame, *, marked: bool = False) -> str | None:
    """What the tokenizer lacks for this frame, or None; `marked`: also the markers of pairs must be special tokens."""
    if frame.name == "template":
        return None if getattr(tokenizer, "chat_template", None) else "the tokenizer has no chat template."
    if not frame.closer and tokenizer.eos_token_id is None:
        return "the tokenizer has no end-of-text token."
    needed = (frame.opener, frame.header_end, frame.closer, *(frame.pairs.marks if frame.pairs and marked else ()))
    special = _special_of(tokenizer, needed)
    for marker in needed:
        if marker and marker not in special:
            return f"the tokenizer has no special token {marker}."
    return None


def _check(messages: Sequence[Message], frame: Frame) -> None:
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
        _check_text(message["content"], place)
        follows = FOLLOWS[messages[place - 1]["role"] if place else None]
        if frame.pairs and message["role"] not in follows:
            what = f"chat frame '{frame.name}': role of turn {place + 1}"
            raise MashqError(
                expected_got(what, " or ".join(follows), f"'{message['role']}'", "Choose the frame plain.")
            )


def _check_text(content: str, place: int) -> None:
    try:
        content.encode()
    except UnicodeEncodeError as error:
        what = f"chat messages: content of turn {place + 1}"
        got = f"half of a surrogate pair at character {error.start + 1}"
        raise MashqError(expected_got(what, "Unicode text", got)) from error


# --- a model's own template ------------------------------------------------------------------------------------------


# Llama 3's templates write today's date into every prompt unless they are given one; this is theirs where no clock is.
DATE = "26 Jul 2024"


def _choose(tokenizer: Any) -> str:
    fitting = [name for name, frame in FRAMES.items() if name != "template" and not _lacking(tokenizer, frame)]
    return f"Choose a frame of ours: {', '.join(fitting)}."


def _render(messages: Sequence[Message], tokenizer: Any, generation: bool) -> str:
    from jinja2.exceptions import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                [dict(m) for m in messages], tokenize=False, add_generation_prompt=generation, date_string=DATE
            )
        )
    except TemplateError as error:
        roles = ", ".join(m["role"] for m in messages)
        raise MashqError(
            f"chat template of this model refuses the turns [{roles}]: {error}. {_choose(tokenizer)}"
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
        f" {_choose(tokenizer)}"
    )


def _guarded_ids(text: str, spans: Sequence[tuple[int, int]], tokenizer: Any) -> list[int]:
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
                f" words of the assistant cannot be told from the rest. {_choose(tokenizer)}"
            )
        end = next((i for i in range(len(before), len(upto)) if ids[i] in special), len(upto) - 1)
        supervised[len(before) : end + 1] = [True] * (end + 1 - len(before))
    return Tokens(ids, supervised)
