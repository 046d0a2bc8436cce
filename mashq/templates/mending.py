"""Mechanical faults mended in the text of a template file; every other byte of it stays.

A mend is an edit of a template's own text as Jinja reads it. It is carried to the place in the YAML where that text is
written, in whatever style, and kept only if the file then reads as it should: the same everywhere else, and here the
mended text. Nothing inside `{{ … }}`, `{% … %}` and `{# … #}` is touched.
"""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex
import yaml

from mashq import arabic
from mashq.templates.own_text import data_spans

__all__ = ["ENTITY", "ESCAPE", "MENDED", "PUNCTUATION", "SPACES", "lines_of", "mend"]

Edit = tuple[int, int, str]  # from, to, what stands there instead

ENTITY = regex.compile(r"&(?:[A-Za-z]{2,8}\d?|#\d{2,6}|#x[0-9A-Fa-f]{2,5});")
ESCAPE = regex.compile(r"\\+ ?[nrt](?![A-Za-z])|\\+u[0-9A-Fa-f]{4}|\\+[\"']")
SPACES = regex.compile(r"(?<=\S) {2,}(?=\S)")
PUNCTUATION = regex.compile(r"(?V1)(?<=[[\p{Arabic}&&[\p{L}\p{M}]]][»)\]\"]?[ ]?)[?,;]")
_LINE_END = regex.compile(r"[ \t]*\\+ ?n[ \t]*(?![A-Za-z])")
_ARABIC_SIGN = {"?": arabic.QUESTION, ",": arabic.COMMA, ";": arabic.SEMICOLON}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# --- what to change in a text ----------------------------------------------------------------------------------------


def _entities(text: str) -> Iterator[Edit]:
    for found in ENTITY.finditer(text):
        meant = html.unescape(found.group()).replace("\N{NO-BREAK SPACE}", " ")
        if meant != found.group():
            yield found.start(), found.end(), meant


def _escapes(text: str) -> Iterator[Edit]:
    for found in _LINE_END.finditer(text):
        yield found.start(), found.end(), "\n"


def _forms(text: str) -> Iterator[Edit]:
    for i, character in enumerate(text):
        letters = arabic.normalise(character, ("presentation",)) if character > "\ufb00" else character
        if letters != character:
            yield i, i + 1, letters


def _hidden(text: str) -> Iterator[Edit]:
    kept = arabic.normalise(text, ("bidi", "zero_width"))
    at = 0
    for i, character in enumerate(text):
        if at < len(kept) and kept[at] == character:
            at += 1
        else:
            yield i, i + 1, ""


def _punctuation(text: str) -> Iterator[Edit]:
    for found in PUNCTUATION.finditer(text):
        yield found.start(), found.end(), _ARABIC_SIGN[found.group()]


def _spaces(text: str) -> Iterator[Edit]:
    for found in SPACES.finditer(text):
        if text[: found.start()].endswith("%}") or text[found.end() :].startswith("{%"):
            continue  # beside a tag a space may be meant
        yield found.start(), found.end(), " "


# In this order: an entity may be a space, an escape the end of a line.
MENDED: dict[str, Callable[[str], Iterator[Edit]]] = {
    "html-entity": _entities,
    "broken-escape": _escapes,
    "presentation-form": _forms,
    "hidden-mark": _hidden,
    "latin-punctuation": _punctuation,
    "double-space": _spaces,
}


def _edits(rule: str, source: str) -> list[Edit]:
    """What `rule` changes in the template's own text of a Jinja source. Behind `}}` rows decide."""
    spans = data_spans(source)
    found = MENDED[rule](source)
    return [edit for edit in found if any(start <= edit[0] and edit[1] <= end for start, end in spans)]


def _applied(text: str, edits: list[Edit]) -> str:
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


# --- where it is written ---------------------------------------------------------------------------------------------

TEXTS = ("system", "turns", "prompt", "target", "targets", "choices", "jinja", "answer_choices")


@dataclass(frozen=True)
class Written:
    """One text of a template in the file."""

    key: str  # of the template: its name, or PromptSource's id
    node: yaml.ScalarNode


def _composed(text: str) -> Any:
    return yaml.compose(text, Loader=_Loader)


def _pairs(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for _, item in node.value:
            yield from _scalars(item)


def _written(root: yaml.Node) -> list[Written]:
    return [
        Written(key, scalar)
        for key, entry in _pairs(_pairs(root).get("templates")).items()
        for name, value in _pairs(entry).items()
        if name in TEXTS
        for scalar in _scalars(value)
    ]


def lines_of(path: Path) -> dict[str, int]:
    """The line of each template's key in a file, counted from 1, and under "" that of `dataset`."""
    try:
        root = _composed(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return {}
    found = {}
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "dataset":
            found[""] = key.start_mark.line + 1
        elif key.value == "templates" and isinstance(value, yaml.MappingNode):
            found |= {str(name.value): name.start_mark.line + 1 for name, _ in value.value}
    return found


@dataclass(frozen=True)
class _Unit:
    """What the YAML source says at start..end. `firm`: exactly this; else white space that YAML may fold."""

    start: int
    end: int
    text: str
    firm: bool


_DOUBLE = regex.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r?\n[ \t]*|.)|.", regex.DOTALL)
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b"} | {
    "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_SOFT = " \t\r\n"


def _units(text: str, node: yaml.ScalarNode) -> list[_Unit]:
    start, end = node.start_mark.index, node.end_mark.index
    if node.style == '"':
        return [_double(found, start + 1) for found in _DOUBLE.finditer(text[start + 1 : end - 1])]
    if node.style == "'":
        spans = [found.span() for found in regex.finditer(r"''|.", text[start + 1 : end - 1], regex.DOTALL)]
        return [_plain_unit(text, start + 1 + a, start + 1 + b) for a, b in spans]
    if node.style in ("|", ">"):
        start = text.index("\n", start) + 1
    return [_plain_unit(text, i, i + 1) for i in range(start, end)]


def _plain_unit(text: str, start: int, end: int) -> _Unit:
    return _Unit(start, end, text[start], text[start] not in _SOFT)


def _double(found: Any, offset: int) -> _Unit:
    start, end, raw = found.start() + offset, found.end() + offset, found.group()
    if raw[0] != "\\":
        return _Unit(start, end, raw, raw not in _SOFT)
    if raw[1] in "xuU" and len(raw) > 2:
        return _Unit(start, end, chr(int(raw[2:], 16)), True)
    if raw[1] in "\r\n":
        return _Unit(start, end, "", True)
    return _Unit(start, end, _ESCAPES.get(raw[1], raw[1]), True)


def _places(units: list[_Unit], value: str) -> list[tuple[int, int] | None] | None:
    """Where in the file each character of the value is written; None for white space that YAML folded."""
    places: list[tuple[int, int] | None] = [None] * len(value)
    at, gap_units, gap = 0, [], []  # type: ignore[var-annotated]

    def close() -> None:
        real = [unit for unit in gap_units if unit.text]
        if "".join(unit.text for unit in real) == "".join(value[i] for i in gap):
            for i, unit in zip(gap, real, strict=True):
                places[i] = (unit.start, unit.end)

    for i, character in enumerate(value):
        if character in _SOFT:
            gap.append(i)
            continue
        while at < len(units) and (units[at].text == "" or units[at].text in _SOFT):
            gap_units.append(units[at])
            at += 1
        close()
        gap_units, gap = [], []
        if at == len(units) or units[at].text != character:
            return None
        places[i] = (units[at].start, units[at].end)
        at += 1
    return places


def _spelt(new: str, node: yaml.ScalarNode, newline: str, indent: int) -> str:
    """Text as it is written in a scalar of this style."""
    if node.style == '"':
        return new.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    if node.style == "'":
        new = new.replace("'", "''")
    breaks = 1 if node.style == "|" else 2
    return new.replace("\n", newline * breaks + " " * indent)


def _indent(text: str, node: yaml.ScalarNode) -> int:
    """How far the lines of a scalar are indented."""
    begin = node.start_mark.index
    if node.style in ("|", ">") or "\n" in text[begin : node.end_mark.index]:
        for line in text[begin : node.end_mark.index].split("\n")[1:]:
            if line.strip():
                return len(line) - len(line.lstrip(" "))
    line = text[text.rfind("\n", 0, begin) + 1 : begin]
    return len(line) - len(line.lstrip(" ")) + 2


# --- files -----------------------------------------------------------------------------------------------------------


def _with_keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Every scalar, keys too, and a mark of every collection's kind and length."""
    if isinstance(node, yaml.ScalarNode):
        yield node
        return
    yield yaml.ScalarNode(node.tag, f"{type(node).__name__} {len(node.value)}")
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            yield from _with_keys(part)


def _mended_text(text: str, wanted: Mapping[str, frozenset[str]]) -> tuple[str, int]:
    """The file's text with what could be mended, and how many edits that were. What an alias repeats is not mended."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
        return text, 0
    count = 0
    for rule in MENDED:
        root = _composed(text)
        for one in reversed(_written(root)):  # from the end, so that the places before stay true
            if rule not in wanted.get(one.key, ()):
                continue
            edits = _edits(rule, one.node.value)
            changed = _with_edits(text, one.node, edits) if edits else None
            if changed is None:
                continue
            expected = _applied(one.node.value, edits)
            if _reads_as(changed, text, one.node, expected):
                text, count = changed, count + len(edits)
    return text, count


def _with_edits(text: str, node: yaml.ScalarNode, edits: list[Edit]) -> str | None:
    places = _places(_units(text, node), node.value)
    if places is None:
        return None
    newline = "\r\n" if "\r\n" in text else "\n"
    raw: list[Edit] = []
    for start, end, new in edits:
        span = places[start:end]
        known = [place for place in span if place]
        if not known or span[0] is None or span[-1] is None:
            return None
        raw.append((known[0][0], known[-1][1], _spelt(new, node, newline, _indent(text, node))))
    return _applied(text, raw)


def _reads_as(changed: str, before: str, node: yaml.ScalarNode, expected: str) -> bool:
    """Whether the changed file reads as before in all but this scalar, which is as expected, with the same Jinja."""
    try:
        new, old = _composed(changed), _composed(before)
    except yaml.YAMLError:
        return False
    one, two = list(_with_keys(new)), list(_with_keys(old))
    if len(one) != len(two):
        return False
    for now, then in zip(one, two, strict=True):
        here = then.start_mark is not None and then.start_mark.index == node.start_mark.index
        if now.tag != then.tag or now.value != (expected if here else then.value):
            return False
    return _expressions(expected) == _expressions(node.value)


def _expressions(source: str) -> list[str]:
    """What of a Jinja source is not plain text."""
    found, at = [], 0
    for start, end in data_spans(source):
        found.append(source[at:start])
        at = end
    return [piece for piece in (*found, source[at:]) if piece]


def mend(path: Path, wanted: Mapping[str, frozenset[str]]) -> int:
    """Mend these rules' faults in these templates (key in the file -> rules) of one file; how many edits were made.

    The file is replaced whole and at once; it is not touched where nothing could be mended.
    """
    path = path.resolve()
    data = path.read_bytes()
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text, count = _mended_text(data[len(mark) :].decode("utf-8"), wanted)
    if count:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(mark + text.encode("utf-8"))
        shutil.copymode(path, partial)
        partial.replace(path)
    return count
