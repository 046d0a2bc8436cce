"""Rows for PromptSource's templates, which come without data: invented from how each template uses its fields."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import jinja2
import pyarrow as pa
from jinja2 import nodes

from mashq.templates import Template
from mashq.templates.rendering import used_fields

METHODS = {"split", "lower", "upper", "strip", "replace", "startswith", "append", "items", "keys", "join"}
WORDS = ["كتاب", "the house", "مدرسة كبيرة", "x <b>", "  spaced  ", "قلب؟", "1952", "line\nbreak", "", "A|B", "Über İ"]


def used(template: Template) -> tuple[dict[str, Any], list[str]]:
    """What the template's text tells of its fields: a shape for some, and the names used inside records."""
    shapes: dict[str, Any] = {}
    inner: set[str] = set()
    for source in filter(None, (template.prompt, template.choices)):
        tree = jinja2.Environment().parse(source)
        for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
            key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
            if isinstance(key, str) and key not in METHODS:
                inner.add(key)
                if isinstance(node.node, nodes.Name):
                    shapes.setdefault(node.node.name, set())
                    if isinstance(shapes[node.node.name], set):
                        shapes[node.node.name].add(key)
            if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Name):
                shapes[node.arg.name] = "integer"
        for loop in tree.find_all(nodes.For):
            if isinstance(loop.iter, nodes.Name):
                shapes.setdefault(loop.iter.name, "list")
        for compare in tree.find_all(nodes.Compare):
            right = compare.ops[0].expr
            if isinstance(compare.expr, nodes.Name) and isinstance(right, nodes.Const):
                shapes.setdefault(compare.expr.name, ("equal", right.value))
    return shapes, sorted(inner)


def _type(shape: Any, dice: random.Random) -> Any:
    if shape == "integer":
        return "int"
    if shape == "list":
        return [dice.choice(["str", "str", "rec"])]
    if isinstance(shape, tuple):
        return shape
    if isinstance(shape, set):
        return {key: dice.choice(["str", ["str"], "int"]) for key in sorted(shape)}
    return dice.choice(["str", "str", "str", "int", "bool", "float", ["str"], ["int"], ["rec"], "rec"])


def _value(kind: Any, inner: list[str], dice: random.Random) -> Any:
    if dice.random() < 0.04:
        return None
    if isinstance(kind, tuple):
        equal = kind[1]
        other = dice.choice(WORDS) if equal is None or isinstance(equal, str) else type(equal)(dice.choice([1, 0, 2]))
        return dice.choice([equal, equal, other])
    if isinstance(kind, list):
        return [_value(kind[0], inner, dice) for _ in range(dice.choice([0, 1, 2, 3, 4]))]
    if isinstance(kind, dict):
        return {key: _value(each, inner, dice) for key, each in kind.items()}
    simple: dict[str, Any] = {"int": [0, 1, 2, -1, 3], "bool": [True, False], "float": [0.5, 1.0, 2.25, 1e-7]}
    return {key: dice.choice(WORDS) for key in inner} if kind == "rec" else dice.choice(simple.get(kind, WORDS))


def typed_rows(template: Template, trials: int, n: int = 6) -> Iterator[pa.Table]:
    """Tables of n rows whose columns each have one type; a new draw of types for every table."""
    shapes, inner = used(template)
    names = sorted(used_fields(template))
    for trial in range(trials if names else 0):
        dice = random.Random(f"{template.uuid} {trial}")
        kinds = {name: _type(shapes.get(name, "text"), dice) for name in names}
        if trial == 0:
            kinds = {name: kind if name in shapes else "str" for name, kind in kinds.items()}
        rows = [{name: _value(kinds[name], inner, dice) for name in names} for _ in range(n)]
        try:
            yield pa.table({name: pa.array([row[name] for row in rows]) for name in names})
        except pa.ArrowException:
            continue  # values of several types: no table has such a column
