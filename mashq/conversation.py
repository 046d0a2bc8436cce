"""A reply with a conversation in it -> its messages.

Models write conversations in many layouts: lines with the speaker's name, numbered lines, JSON, the marks of the Jais
models. `read_turns` reads them all and says why where it cannot. Names of speakers, JSON keys and closing lines stand
in `data/dialogues/replies.yaml`. What is wrong with a conversation is told by `mashq.conversation_checks`.
"""

from __future__ import annotations

import collections
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq import arabic
from mashq.lm import Messages, without_thoughts
from mashq.packaged import parsed
from mashq.rows import MashqError, nearest
from mashq.word_patterns import folded_lower

__all__ = ["LAYOUTS", "Turns", "read_turns"]

DATA = Path(__file__).parent / "data" / "dialogues"
LAYOUTS = ("labelled", "numbered", "json", "marks")
MOST_CHARACTERS = 50_000  # of a reply that is read at all: a conversation of ten exchanges has under 10,000
MOST_JSON_STARTS = 8  # places at which a JSON value is tried


@dataclass(frozen=True)
class Turns:
    """The messages of a conversation as they stand in a reply, roles unchecked, and what stood around them."""

    messages: Messages  # ((role, content), ...); role: user or assistant
    layout: str  # one of LAYOUTS
    before: str = ""  # cut: all that stands before the first message
    after: str = ""  # cut: what stands after the last one and is not part of it


# --- the data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Replies:
    """`replies.yaml`, folded."""

    clear: Mapping[str, str]  # label -> role
    weak: Mapping[str, str]
    inline: re.Pattern[str]  # a known label in the middle of a line
    keys: Mapping[str, tuple[str, ...]]  # role, content, messages -> JSON keys
    begins: tuple[str, ...]
    speaks_of: tuple[str, ...]


@functools.cache
def _replies() -> _Replies:
    data = parsed("dialogues/replies")
    labels = data["labels"]
    spelled = [name for kinds in labels.values() for names in kinds.values() for name in names]
    longest_first = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
    return _Replies(
        clear={folded_lower(name): role for role, kinds in labels.items() for name in kinds["clear"]},
        weak={folded_lower(name): role for role, kinds in labels.items() for name in kinds["weak"]},
        inline=re.compile(rf"[؟?!.…/] (?P<label>\*{{0,2}}(?P<name>{longest_first})\*{{0,2}} ?[:：][ *]{{0,3}})"),
        keys={kind: tuple(map(folded_lower, names)) for kind, names in data["json"].items()},
        begins=tuple(map(folded_lower, data["after"]["begins"])),
        speaks_of=tuple(map(folded_lower, data["after"]["speaks_of"])),
    )


# --- reading ---------------------------------------------------------------------------------------------------------

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_FORMS = ("nfc", "presentation", "bidi", "zero_width")


def read_turns(text: str, layout: str = "auto", *, starts: str = "", most: int | None = None) -> Turns | str:
    """The conversation in a reply, or the reason why there is none to be read.

    layout: one of LAYOUTS, or "auto", which takes JSON where the reply looks like it, then marks, then lines. starts:
    "user" or "assistant" where the prompt ends with that speaker's label, so that the reply begins inside a message.
    most: messages beyond that number are cut (a model without an end goes on for ever).

    What stands before the first message is cut; so is, after the last one, a rule, a fence, a heading, or a line that
    speaks about the conversation ("ملاحظة: هذه المحادثة ..."), with all that follows. Invisible marks and control
    characters are removed, letters keep their spelling. Never raises for any reply; raises MashqError for an unknown
    layout or speaker, and for `most` below 1.
    """
    if layout not in ("auto", *LAYOUTS):
        raise MashqError(f"conversation: no layout '{layout}' (auto, {', '.join(LAYOUTS)}).{nearest(layout, LAYOUTS)}")
    if most is not None and most < 1:
        raise MashqError(f"conversation: most: expected at least 1 message, got {most}.")
    if starts not in ("", "user", "assistant"):
        raise MashqError(f"conversation: starts: expected 'user', 'assistant' or '', got '{starts}'.")
    if len(text) > MOST_CHARACTERS:
        return f"long: {len(text)} characters > {MOST_CHARACTERS}"
    text = without_thoughts(_plain(text)) or ""
    if not text:
        return "empty: no character that shows"
    if starts:
        mark = {"user": "[|Human|] ", "assistant": "[|AI|] "} if _MARK.search(text) else _OPENED
        text = mark[starts] + text.lstrip()
    found = _READERS[layout](text)
    if isinstance(found, Turns) and most is not None and len(found.messages) > most:
        *kept, (role, content) = found.messages[:most]
        content, after = _without_tail(content)  # the head of another conversation may stand between the two
        return Turns((*kept, (role, content)), found.layout, found.before, after)
    return found


_OPENED = {"user": "المستخدم: ", "assistant": "المساعد: "}


def _plain(text: str) -> str:
    return arabic.normalise(_CONTROLS.sub("", _LINE_ENDS.sub("\n", text)), _FORMS)


def _read_auto(text: str) -> Turns | str:
    reason = ""
    if _LOOKS_JSON.search(text):
        found = _read_json(text)
        if isinstance(found, Turns):
            return found
        reason = found
    found = _read_marks(text) if _MARK.search(text) else _read_lines(text)
    return (reason or found) if isinstance(found, str) else found


# Names of a line's speaker: "**المستخدم:** ...", "1. س: ...", "- السائل – ...", "[Human]: ...", "ج2) ...".
_LEAD = r"[ \t>*#•·\-–—_\"«(\[]{0,10}(?:\d{1,3}[ \t]?[.)\-:–][ \t]{0,3})?[*_\"«(\[]{0,4}"
_NAME = r"(?P<name>[^\W\d_][\w \u064b-\u0652\u0670]{0,24}?)"
_AFTER = r"[ \t]?\d{0,3}[*_\]»\")]{0,4}(?:[ \t]?\([^()\n]{1,40}\))?[*_]{0,3}[ \t]{0,2}"
_SPEAKER = re.compile(
    rf"^{_LEAD}{_NAME}{_AFTER}(?:(?P<colon>[:：︰﹕])|[-–—)](?=[ \t])|(?=$))[*_»\"]{{0,3}}[ \t]{{0,4}}", re.M
)
_NUMBER = re.compile(r"^[ \t*(]{0,6}(\d{1,3})[ \t]?[.)\-:–][ \t*]{0,4}(?=\S)", re.M)
_RULE = re.compile(r"[ \t]*(?:[-–—*_=#~]{2,}|`{3,}\w*|\(?\d{1,3}[.)\-:])[ \t]*")


@dataclass(frozen=True)
class _Label:
    """A speaker's label in a text: from its first character to the first of the message."""

    start: int
    end: int
    name: str  # folded
    colon: bool


@functools.lru_cache(maxsize=4096)
def _name(written: str) -> str:
    return folded_lower(written).strip()


def _labels(text: str) -> list[_Label]:
    """All that may be a speaker's label: the words before a colon or dash at a line's start, known names within one."""
    found = [
        _Label(match.start(), match.end(), _name(match["name"]), bool(match["colon"]))
        for match in _SPEAKER.finditer(text)
    ]
    found += [
        _Label(match.start(0 if match[0][0] == "/" else "label"), match.end(), _name(match["name"]), True)
        for match in _replies().inline.finditer(text)
    ]
    apart: list[_Label] = []
    for label in sorted(found, key=lambda label: label.start):
        if not apart or label.start >= apart[-1].end:  # "1. س:" is one label
            apart.append(label)
    return apart


def _read_lines(text: str) -> Turns | str:
    """Lines with speakers' names, with numbers, or with both."""
    labels = _labels(text)
    marks = _known(labels)
    roles = {role for _, role in marks}
    if roles == {"assistant"}:
        marks = _with_unknown(marks, labels, text)
        roles = {role for _, role in marks}
    if roles >= {"user", "assistant"}:
        numbered = bool(re.match(r"[ \t*(]{0,6}\d", text[marks[0][0].start : marks[0][0].end]))
        return _sliced(text, marks, "numbered" if numbered else "labelled")
    if not roles and len(numbers := _numbers(text)) >= 2:
        return _sliced(text, [(label, ("user", "assistant")[i % 2]) for i, label in enumerate(numbers)], "numbered")
    if roles:
        return f"no turns: only the {roles.pop()} is labelled"
    speakers = [label.name for label in labels if label.colon and label.start == 0]
    said = f"; '{speakers[0][:20]}' is no known speaker" if speakers else ""
    return f"no turns: no line begins with a known speaker, a mark or a number{said}"


def _known(labels: Sequence[_Label]) -> list[tuple[_Label, str]]:
    """The labels that are known, with their roles: clear names, or weak ones for a role that has no clear name."""
    replies = _replies()
    marks = [(label, replies.clear[label.name]) for label in labels if label.name in replies.clear]
    present = {role for _, role in marks}
    weak = [(label, replies.weak[label.name]) for label in labels if label.name in replies.weak and label.colon]
    marks += [(label, role) for label, role in weak if role not in present]
    return sorted(marks, key=lambda mark: mark[0].start)


def _with_unknown(marks: list[tuple[_Label, str]], labels: Sequence[_Label], text: str) -> list[tuple[_Label, str]]:
    """Where the assistant alone is named: the user is the numbers, or the one unknown name, that alternate with it."""
    known = {label.name for label, _ in marks}
    names = collections.Counter(label.name for label in labels if label.colon and label.name not in known)
    choices = [[label for label in labels if label.name == name] for name, _ in names.most_common(5)]
    for choice in (_numbers(text), *choices):
        merged = sorted([*marks, *((label, "user") for label in choice)], key=lambda mark: mark[0].start)
        roles = [role for _, role in merged]
        if choice and roles == ["user", "assistant"] * (len(roles) // 2):
            return merged
    return marks


def _numbers(text: str) -> list[_Label]:
    """Lines that count 1, 2, 3 ...; other numbers (a list in an answer) are text."""
    found: list[_Label] = []
    for match in _NUMBER.finditer(text):
        if int(match[1]) == len(found) + 1:
            found.append(_Label(match.start(), match.end(), "", False))
    return found


def _sliced(text: str, marks: Sequence[tuple[_Label, str]], layout: str) -> Turns | str:
    """Labels in their order -> the texts between them as messages."""
    ends = [*(label.start for label, _ in marks[1:]), len(text)]
    turns = [(role, text[label.end : end]) for (label, role), end in zip(marks, ends, strict=True)]
    return _turns(turns, layout, before=text[: marks[0][0].start])


def _turns(turns: Sequence[tuple[str, str]], layout: str, *, before: str = "", after: str = "") -> Turns | str:
    """Roles and raw contents -> messages, without rules and quotation marks around them; system messages are cut."""
    if turns and turns[0][0] == "system":
        turns = turns[1:]
    if not turns:
        return "no turns: none but the system's"
    contents = [content if layout == "json" else _stripped(content) for _, content in turns]
    if layout != "json":
        contents[-1], cut = _without_tail(contents[-1])
        after = after or cut
        contents = _unquoted(contents)
    roles = [role for role, _ in turns]
    messages = tuple(zip(roles, (content.strip() for content in contents), strict=True))
    return Turns(messages, layout, before.strip(), after.strip())


def _stripped(content: str) -> str:
    """A message without the rules, fences and lone numbers that stand between it and the next."""
    lines = content.strip().split("\n")
    while len(lines) > 1 and (not lines[-1].strip() or _RULE.fullmatch(lines[-1])):
        lines.pop()
    text = "\n".join(lines).strip()
    if text.count("**") % 2:  # the bold face began before the label, or ends in the next
        text = text.removesuffix("**") if text.endswith("**") else text.removeprefix("**")
    return text.strip()


def _without_tail(content: str) -> tuple[str, str]:
    """The last message, and what follows it and is not part of it: `read_turns` states the rule."""
    lines = content.split("\n")
    for number, line in enumerate(lines[1:], 1):
        rule = _RULE.fullmatch(line) and not line.strip()[:1].isdigit()
        if rule or line.lstrip().startswith("###") or _is_after(line):
            return "\n".join(lines[:number]).strip(), "\n".join(lines[number:])
    return content, ""


def _is_after(line: str) -> bool:
    said = folded_lower(line[:300]).strip("*_()[] .:")
    replies = _replies()
    return said.startswith(replies.begins) and any(word in said for word in replies.speaks_of)


_QUOTES = {'"': '"', "“": "”", "«": "»"}


def _unquoted(contents: list[str]) -> list[str]:
    """Quotation marks around every single message are the layout's; around some they are the text's."""
    stripped = [text.strip() for text in contents]
    if all(len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and text[-1] not in text[1:-1] for text in stripped):
        return [text[1:-1] for text in stripped]
    return contents


# --- the marks of the Jais models ------------------------------------------------------------------------------------

_MARK = re.compile(r"\[\|[ \t]{0,3}(human|user|ai|assistant)[ \t]{0,3}\|\][ \t]{0,3}[:：]?", re.I)
_HEADING = re.compile(r"^[ \t]{0,3}###[ \t]{0,3}(?:Instruction|Input|Response)[ \t]{0,3}:[ \t]{0,3}", re.I | re.M)


def _read_marks(text: str) -> Turns | str:
    """Both Jais frames: headings are left out, what stands before the input is the instruction."""
    start = text.find("### Input")
    text = _HEADING.sub("", text[start:] if start > 0 else text)
    matches = list(_MARK.finditer(text))
    roles = ["user" if match[1].lower() in ("human", "user") else "assistant" for match in matches]
    if len(set(roles)) < 2:
        return f"no turns: only the mark of the {roles[0]} is there" if roles else "no turns: no mark of a speaker"
    marks = [(_Label(match.start(), match.end(), "", True), role) for match, role in zip(matches, roles, strict=True)]
    return _sliced(text, marks, "marks")


# --- JSON ------------------------------------------------------------------------------------------------------------

_LOOKS_JSON = re.compile(r"[\[{]\s{0,20}[\[{\"]")
_TRAILING_COMMA = re.compile(r",(\s{0,50}[\]}])")
_Pairs = tuple[tuple[str, Any], ...]  # a JSON object, repeated keys and all
_decoder = json.JSONDecoder(object_pairs_hook=tuple, strict=False)


def _read_json(text: str) -> Turns | str:
    """The first JSON value in a text that is a list of messages; trailing commas are forgiven."""
    reason = "no turns: no JSON list of messages"
    tried = 0
    position = 0
    while tried < MOST_JSON_STARTS and (match := _LOOKS_JSON.search(text, position)):
        tried += 1
        start = match.start()
        value, end = _decoded(text, start)
        if isinstance(value, str):
            reason = value if tried == 1 else reason
            position = start + 1
            continue
        turns = list(_json_turns(value))
        if len(turns) >= 2:
            fence = text[:start].rstrip().removesuffix("json").rstrip().rstrip("`")
            return _turns(turns, "json", before=fence, after=text[end:].strip().strip("`"))
        position = end
    return reason


def _decoded(text: str, start: int) -> tuple[list[Any] | str, int]:
    """The JSON values that begin at `start` and follow each other, and where they end; or the reason."""
    values: list[Any] = []
    end = start
    while True:
        try:
            value, end = _decoder.raw_decode(text, start)
        except RecursionError:
            return (values, end) if values else ("JSON: nested too deeply", end)
        except ValueError as error:
            if values:
                return values, end
            mended = _TRAILING_COMMA.sub(r"\1", text[start:])
            if len(mended) < len(text) - start:
                found, _ = _decoded(mended, 0)
                return found, len(text)
            return f"JSON: {str(error).split(':')[0].lower()} at character {getattr(error, 'pos', start)}", end
        values.append(value)
        following = re.compile(r"[\s,]{0,50}(?=[{\[])").match(text, end)
        if not following:
            return values, end
        start = following.end()


def _json_turns(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The messages in a decoded value: objects with a role and a text, or with speakers as keys, in their order."""
    if isinstance(value, list) and depth < 4:
        for item in value:
            yield from _json_turns(item, depth + 1)
    elif isinstance(value, tuple):
        yield from _object_turns(value, depth)


def _object_turns(pairs: _Pairs, depth: int) -> Iterator[tuple[str, str]]:
    keys = _replies().keys
    named = {folded_lower(str(key)): value for key, value in pairs}
    role = next((named[key] for key in keys["role"] if isinstance(named.get(key), str)), None)
    content = next((named[key] for key in keys["content"] if isinstance(named.get(key), str)), None)
    if role is not None and content is not None and (speaker := _role(role)):
        yield speaker, _plain(content)  # an escape in JSON may bring back what was taken out before
        return
    for key, value in pairs:
        speaker = _role(str(key))
        if speaker and isinstance(value, str):
            yield speaker, _plain(value)
        elif folded_lower(str(key)) in keys["messages"] and isinstance(value, list | tuple):
            yield from _json_turns(value, depth + 1)


def _role(name: str) -> str | None:
    said = folded_lower(name[:40]).strip(" :*_").rstrip("0123456789 _")
    replies = _replies()
    return replies.clear.get(said) or replies.weak.get(said)


_READERS = {
    "auto": _read_auto,
    "labelled": _read_lines,
    "numbered": _read_lines,
    "json": _read_json,
    "marks": _read_marks,
}
