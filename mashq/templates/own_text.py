"""What of a rendered text is the template's own, and what came from the row.

A row is rendered twice: as it is, and with the characters of its texts replaced by stand-ins, one for each kind of
character (Arabic letter, Latin letter, digit, space, sign). Where both texts have the same shape, whatever is no
stand-in in the second one is the template's own, wherever it stood: between expressions, in a `{% set %}` list, in a
record, in a separator. A field whose text decides what is written (`{'POS': 'إيجابي'}[label]`) cannot be replaced and
stays.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
import regex
from jinja2 import nodes

from mashq.rows import MashqError
from mashq.templates.rendering import render, used_fields
from mashq.templates.template import Rendered, Template

__all__ = [
    "ARABIC",
    "HOLE",
    "LATIN",
    "constants",
    "data_spans",
    "fields_used",
    "leaves",
    "literals",
    "masked",
    "own",
    "shown",
    "texts_of",
    "without_holes",
]

# Private-use characters: nothing that a text interchanges, no space, no letter, and not stripped.
ARABIC, LATIN, LETTER, DIGIT, SPACE, SIGN = "\ue0f0", "\ue0f1", "\ue0f2", "\ue0f3", "\ue0f4", "\ue0f5"
HOLE = f"[{ARABIC}-{SIGN}]"
_HOLES = regex.compile(f"{HOLE}+")
_KINDS = (
    (ARABIC, regex.compile(r"(?V1)[\p{Arabic}&&[\p{L}\p{M}]]")),
    (LATIN, regex.compile(r"\p{Latin}")),
    (LETTER, regex.compile(r"[\p{L}\p{M}]")),
    (DIGIT, regex.compile(r"\p{N}")),
    (SPACE, regex.compile(r"\s")),
)
_ROW = regex.compile(r"\brow\b")
LEAST = 2  # characters of a value that is looked for in a text; shorter ones are found by chance
# How much of a text is left standing, tried in turn: nothing; the space behind it, before it and on both sides, which
# the end of a part and `trim` take; there also the signs that the template names (`strip(' -.')`); what its constants
# say anywhere (`split('؟')`); every space.
_LEVELS = ("all", "behind", "before", "ends", "edges", "constants", "spaces")


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    if character == "\n" or ARABIC <= character <= SIGN:
        return character
    return next((kind for kind, known in _KINDS if known.match(character)), SIGN)


def _shape(text: str) -> str:
    return "".join(map(_kind, text))


@dataclass(frozen=True)
class _Mask:
    """How the texts of a row are replaced."""

    level: str
    signs: str  # of the template's constants that are signs only
    kept: regex.Pattern[str] | None  # its constants

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        if self.level == "all":
            return _shape(text)
        ends = string.whitespace + (self.signs if self.level == "edges" else "")
        body = text if self.level == "behind" else text.lstrip(ends)
        start = len(text) - len(body)
        body = body if self.level == "before" else body.rstrip(ends)
        shaped = list(_shape(body))
        if self.level in ("constants", "spaces") and self.kept:
            for found in self.kept.finditer(body, overlapped=True):
                shaped[found.start() : found.end()] = found.group()
        if self.level == "spaces":
            shaped = [old if old.isspace() else new for old, new in zip(body, shaped, strict=True)]
        return text[:start] + "".join(shaped) + text[start + len(body) :] if body else text


def _same(made: Rendered | None, other: Rendered) -> bool:
    if made is None or len(made.messages) != len(other.messages) or len(made.choices) != len(other.choices):
        return False
    pairs = [
        *zip((text for _, text in made.messages), (text for _, text in other.messages), strict=True),
        *zip(made.choices, other.choices, strict=True),
        (made.references[0], other.references[0]),
    ]
    return all(_shape(one) == _shape(two) for one, two in pairs)


def _render(template: Template, fields: Mapping[str, Any], row_id: bytes) -> Rendered | None:
    try:
        made = render(template, fields, row_id)
    except MashqError:
        return None
    return made if isinstance(made, Rendered) else None


def own(template: Template, fields: Mapping[str, Any], row_id: bytes, made: Rendered) -> Rendered:
    """`made`, which this row rendered to, with stand-ins for all that came from the row.

    Where a field could not be replaced, its value is looked for in the texts instead.
    """
    masks = [_Mask(level, *_kept(template)) for level in _LEVELS]
    names = fields_used(template, fields)
    for mask in masks[:2]:  # most rows go through at once; what does not, field by field, each as little as it needs
        best = _render(template, {**fields, **{name: mask(fields[name]) for name in names}}, row_id)
        if best is not None and _same(best, made):
            return _mapped(best, _numbers(fields))
    current, best, left = dict(fields), made, []
    for name in sorted(names):
        for mask in masks:
            tried = {**current, name: mask(fields[name])}
            written = _render(template, tried, row_id)
            if written is not None and _same(written, made):
                current, best = tried, written
                break
        else:
            left.append(name)
    values = [value for name in left for _, value in leaves(fields[name]) if len(value.strip()) >= LEAST]
    return _mapped(best, [*values, *_numbers(fields)])


def fields_used(template: Template, fields: Mapping[str, Any]) -> frozenset[str]:
    """The fields of this row that the template names, all of them where it writes `row[…]`."""
    every = any(_ROW.search(source) for _, source in _sources(template)) or _ROW.search(template.when or "")
    return frozenset(fields) if every else used_fields(template) & frozenset(fields)


def _numbers(fields: Mapping[str, Any]) -> list[str]:
    return [str(value) for value in fields.values() if isinstance(value, (int, float)) and not isinstance(value, bool)]


def _mapped(made: Rendered, values: list[str]) -> Rendered:
    """The same texts without these values of the row, as whole words."""
    if not values:
        return made
    found = regex.compile("|".join(rf"(?<!\w){regex.escape(value.strip())}(?!\w)" for value in values if value.strip()))

    def write(text: str) -> str:
        return found.sub(lambda match: _shape(match.group()), text)

    return Rendered(
        tuple((role, write(text)) for role, text in made.messages),
        tuple(map(write, made.references)),
        tuple(map(write, made.choices)),
    )


def without_holes(text: str) -> str:
    """The template's own text alone; where the row wrote, one space."""
    return _HOLES.sub(" ", text)


def shown(text: str) -> str:
    """The same for a reader of a finding: where the row wrote, `…`."""
    return _HOLES.sub("…", text)


def masked(text: str) -> str:
    """A text of the same shape that is nobody's."""
    return _shape(text)


def texts_of(made: Rendered) -> Iterator[tuple[str, str]]:
    """(part, text) of everything that was rendered: `system`, `turns[0]` …, `prompt`, `choices`, `target`."""
    *before, (_, prompt) = made.messages
    turn = 0
    for role, text in before:
        if role == "system" and not turn:
            yield "system", text
        else:
            yield f"turns[{turn}]", text
            turn += 1
    yield "prompt", prompt
    for choice in made.choices:
        yield "choices", choice
    for reference in made.references:
        yield "target", reference


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(path, text) of every text in a value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from leaves(item, (*path, i))


# --- the template's source -------------------------------------------------------------------------------------------

_JINJA = jinja2.Environment(keep_trailing_newline=True)


def _sources(template: Template) -> Iterator[tuple[str, str]]:
    """(part, Jinja source) of every part; PromptSource's one text is `prompt`."""
    if template.system is not None:
        yield "system", template.system
    for i, turn in enumerate(template.turns):
        yield f"turns[{i}]", turn.content
    yield "prompt", template.prompt
    for target in template.targets:
        yield "target", target
    if template.choices is not None:
        yield "choices", template.choices


@lru_cache(maxsize=4096)
def _trees(template: Template) -> tuple[tuple[str, nodes.Template], ...]:
    return tuple((part, _JINJA.parse(source)) for part, source in _sources(template))


@lru_cache(maxsize=4096)
def _kept(template: Template) -> tuple[str, regex.Pattern[str] | None]:
    """The signs of the texts in the template's expressions that are signs only, and all of these texts."""
    found: set[str] = set()
    signs: set[str] = set()
    for _, tree in _trees(template):
        for node in tree.find_all(nodes.Const):
            if isinstance(node.value, str) and node.value.strip("\n"):
                found.add(node.value)
                if not regex.search(r"[\p{L}\p{N}]", node.value):
                    signs |= set(node.value)
    words = sorted(found | signs, key=len, reverse=True)
    return "".join(sorted(signs)), regex.compile("|".join(map(regex.escape, words))) if words else None


def data_spans(source: str) -> list[tuple[int, int]]:
    """Where a Jinja source is plain text, no expression, tag or comment."""
    spans, at = [], 0
    for _, kind, value in _JINJA.lex(source):
        if value:
            start = source.index(value, at)
            at = start + len(value)
            if kind == "data":
                spans.append((start, at))
    return spans


@lru_cache(maxsize=4096)
def literals(template: Template) -> tuple[tuple[str, str], ...]:
    """(part, text) of all plain text in the source, whether a row reaches it or not."""
    return tuple(
        (part, piece)
        for part, source in _sources(template)
        for start, end in data_spans(source)
        for piece in source[start:end].split("|||")
    )


@lru_cache(maxsize=4096)
def constants(template: Template) -> tuple[tuple[str, str], ...]:
    """(part, text) of the texts in expressions that can be written: no operand of a comparison, no argument, no key."""
    trees = _trees(template)
    written = _written_names([tree for _, tree in trees])
    found = []
    for part, tree in trees:
        expressions: list[Any] = [node for output in tree.find_all(nodes.Output) for node in output.nodes]
        expressions += [node.node for node in tree.find_all(nodes.Assign) if _names(node.target) & written]
        emitted = [node for expression in expressions for node in _emitted(expression)]
        found += [
            (part, node.value) for node in emitted if isinstance(node, nodes.Const) and isinstance(node.value, str)
        ]
    return tuple(found)


def _emitted(node: Any) -> Iterator[nodes.Node]:
    """The constants and names whose value an expression can be."""
    if isinstance(node, (nodes.Const, nodes.Name)):
        yield node
        return
    inner: list[Any] = []
    if isinstance(node, nodes.CondExpr):
        inner = [node.expr1, node.expr2]
    elif isinstance(node, (nodes.List, nodes.Tuple)):
        inner = list(node.items)
    elif isinstance(node, nodes.Dict):
        inner = [pair.value for pair in node.items]
    elif isinstance(node, nodes.Concat):
        inner = list(node.nodes)
    elif isinstance(node, nodes.BinExpr):
        inner = [node.left, node.right]
    elif isinstance(node, nodes.Filter):
        inner = [node.node, *(node.args if node.name in ("default", "d") else [])]
    elif isinstance(node, nodes.Call):
        method = node.node.attr if isinstance(node.node, nodes.Getattr) else None
        inner = [node.node, *(node.args if method is None else node.args[1:] if method == "get" else [])]
    elif isinstance(node, (nodes.Getitem, nodes.Getattr)):
        inner = [node.node]
    for one in inner:
        if one is not None:
            yield from _emitted(one)


def _names(node: Any) -> set[str]:
    found = {name.name for name in node.find_all(nodes.Name)}
    return found | ({node.name} if isinstance(node, nodes.Name) else set())


def _written_names(trees: list[nodes.Template]) -> set[str]:
    """The names whose values are written, through loops and `{% set %}` too."""
    found = {
        name.name
        for tree in trees
        for output in tree.find_all(nodes.Output)
        for expression in output.nodes
        for name in _emitted(expression)
        if isinstance(name, nodes.Name)
    }
    for _ in range(8):  # a chain of names that is longer is nobody's
        before = len(found)
        for tree in trees:
            pairs: list[tuple[Any, Any]] = [(node.target, node.node) for node in tree.find_all(nodes.Assign)]
            pairs += [(node.target, node.iter) for node in tree.find_all(nodes.For)]
            for target, source in pairs:
                if _names(target) & found:
                    found |= {name.name for name in _emitted(source) if isinstance(name, nodes.Name)}
        if len(found) == before:
            break
    return found
