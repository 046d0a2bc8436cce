"""Rows for templates that come without any: invented from the declared fields and from how the templates use them.

A label that is compared with `'POS'` gets `'POS'`, a number that picks from three choices 0, 1 and 2, what a loop runs
over is a list. Texts are stand-ins. Good enough to see what a template writes of its own; never to judge what it does
with real rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import jinja2
from jinja2 import nodes

from mashq.templates.rendering import used_fields
from mashq.templates.template import Template

__all__ = ["invented"]

MOST = 32  # rows for one template
ITEMS = 4  # in an invented list
OTHER = "نص آخر"  # what is none of the values that a template compares with
_SAME = frozenset({"string", "lower", "upper", "trim", "strip", "lstrip", "rstrip", "capitalize", "title", "replace"})
_SAME |= {"default", "d", "int", "float", "list", "sort", "unique", "reverse"}  # it can still be compared after these
_ONE_OF = frozenset({"first", "last", "random", "choice", "max", "min"})
_METHODS = _SAME | {"split", "items", "keys", "values", "get", "join", "append", "count", "index", "format"}
_ENVIRONMENT = jinja2.Environment()


@dataclass
class _Shape:
    """What is known of one place in a row."""

    kind: str = ""  # as declared
    fields: dict[str, _Shape] = field(default_factory=dict)
    item: _Shape | None = None
    values: dict[Any, None] = field(default_factory=dict)  # in the order in which they were met

    def part(self, name: str) -> _Shape:
        return self.fields.setdefault(name, _Shape())

    def one(self) -> _Shape:
        self.item = self.item or _Shape()
        return self.item

    def every(self) -> Iterator[_Shape]:
        yield self
        for inner in (*self.fields.values(), *([self.item] if self.item else [])):
            yield from inner.every()


def invented(templates: Sequence[Template]) -> list[dict[str, Any]]:
    """Rows that all these templates of one data set can be tried on, at most `MOST` a template, all different."""
    root = _declared(dict(templates[0].dataset.fields))
    met: list[dict[int, tuple[_Shape, list[Any]]]] = []
    for template in templates:
        reader = _Reader(root, template)
        met.append(reader.read())
    rows: dict[str, dict[str, Any]] = {}
    for values in met:
        for picked in islice(_picks([options for _, options in values.values()]), MOST):
            chosen = dict(zip(values, picked, strict=True))
            row = {name: _value(shape, chosen, name) for name, shape in root.fields.items()}
            rows.setdefault(repr(row), row)
    return list(rows.values())


def _picks(options: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Every value beside the first ones of the others, before all their combinations."""
    first = [values[0] for values in options]
    yield tuple(first)
    for i, values in enumerate(options):
        yield from ((*first[:i], value, *first[i + 1 :]) for value in values[1:])
    yield from product(*options)


def _declared(kind: Any) -> _Shape:
    if isinstance(kind, Mapping):
        return _Shape(fields={str(name): _declared(inner) for name, inner in kind.items()})
    if isinstance(kind, list):
        return _Shape(item=_declared(kind[0]))
    return _Shape(kind=kind)


def _value(shape: _Shape, chosen: Mapping[int, Any], label: str) -> Any:
    if id(shape) in chosen:
        return chosen[id(shape)]
    if shape.item is not None:
        return [_value(shape.item, chosen, f"{label} {i + 1}") for i in range(ITEMS)]
    if shape.fields:
        return {name: _value(inner, chosen, f"{label} {name}") for name, inner in shape.fields.items()}
    if shape.values:
        return next(iter(shape.values))
    return {"integer": 1, "float": 0.5, "boolean": True}.get(shape.kind, f"نص {label}")


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else OTHER


class _Reader:
    """Reads one template into the shape of its data set's rows."""

    def __init__(self, root: _Shape, template: Template):
        self.root = root
        self.template = template
        self.names = used_fields(template)
        self.bound: dict[str, _Shape | None] = {}
        self.met: dict[int, tuple[_Shape, list[Any]]] = {}

    def read(self) -> dict[int, tuple[_Shape, list[Any]]]:
        """The places whose values decide what is written, with those values."""
        one = self.template
        sources = [one.system, *(turn.content for turn in one.turns), one.prompt, *one.targets, one.choices]
        sources.append("{{ " + one.when + " }}" if one.when else None)
        for name in sorted(self.names):
            self.root.part(name)
        for source in filter(None, sources):
            self._walk(_ENVIRONMENT.parse(source))
        return self.met

    def _walk(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.For):
            over = self._place(node.iter)
            if isinstance(node.target, nodes.Name):
                self.bound[node.target.name] = over.one() if over else None
        elif isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            self.bound[node.target.name] = self._place(node.node)
        elif isinstance(node, nodes.Compare):
            self._compare(node)
        elif isinstance(node, nodes.Getitem):
            self._pick(node)
        elif isinstance(node, (nodes.Getattr, nodes.Name)):
            self._place(node)
        elif isinstance(node, nodes.Filter) and node.name == "join" and node.node is not None:
            joined = self._place(node.node)
            if joined:
                joined.one()
        for child in node.iter_child_nodes():
            self._walk(child)

    def _place(self, node: nodes.Node | None) -> _Shape | None:
        """The place in the row that an expression names, or None."""
        if isinstance(node, nodes.Name):
            if node.name in self.bound:
                return self.bound[node.name]
            return self.root.part(node.name) if node.name in self.names else None
        if isinstance(node, nodes.Getattr):
            owner = self._place(node.node)
            if isinstance(node.node, nodes.Name) and node.node.name == "row":
                return self.root.part(node.attr)
            return owner.part(node.attr) if owner and node.attr not in _METHODS else None
        if isinstance(node, nodes.Getitem):
            key = node.arg.value if isinstance(node.arg, nodes.Const) else None
            if isinstance(node.node, nodes.Name) and node.node.name == "row" and isinstance(key, str):
                return self.root.part(key)
            owner = self._place(node.node)
            if owner is None or owner.kind == "string":
                return None
            return owner.part(key) if isinstance(key, str) else owner.one()
        if isinstance(node, nodes.Filter):
            inner = self._place(node.node)
            if node.name in _ONE_OF:
                return inner.one() if inner else None
            return inner if node.name in _SAME else None
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _SAME:
            return self._place(node.node.node)
        return None

    def _meet(self, place: _Shape | None, values: Sequence[Any]) -> None:
        if place is None or place.item is not None or place.fields:
            return
        _, options = self.met.setdefault(id(place), (place, []))
        for value in values:
            place.values.setdefault(value)
            if value not in options:
                options.append(value)

    def _compare(self, node: nodes.Compare) -> None:
        for operand in node.ops:
            left, right = self._place(node.expr), operand.expr
            if isinstance(node.expr, nodes.Const) and operand.op in ("in", "notin"):  # 'x' in text
                self._meet(self._place(right), [f"{node.expr.value} نص", OTHER])
            elif isinstance(right, nodes.Const) and operand.op in ("eq", "ne"):
                self._meet(left, [right.value, _another(right.value)])
            elif isinstance(right, (nodes.List, nodes.Tuple)):
                self._meet(left, [item.value for item in right.items if isinstance(item, nodes.Const)] + [OTHER])

    def _pick(self, node: nodes.Getitem) -> None:
        """`['أ', 'ب'][label]`, `answer_choices[label]`, `{'POS': …}[label]`."""
        place = self._place(node.arg)
        if place is None:
            return
        if isinstance(node.node, nodes.Dict):
            self._meet(place, [pair.key.value for pair in node.node.items if isinstance(pair.key, nodes.Const)])
        elif isinstance(node.node, nodes.List):
            self._meet(place, range(len(node.node.items)))
        elif isinstance(node.node, nodes.Name) and node.node.name == "answer_choices":
            self._meet(place, range((self.template.choices or "").count("|||") + 1))
        else:
            self._meet(place, range(ITEMS))
