"""PromptSource's own files through both: its `apply(truncate=False)` and ours give the same text.

Needs PromptSource's source, which pip refuses to install on this Python but unpacks:
    pip download promptsource==0.2.3 --no-deps --ignore-requires-python && tar xzf promptsource-0.2.3.tar.gz
    MASHQ_PROMPTSOURCE=promptsource-0.2.3/promptsource pytest tests/templates/test_promptsource_parity.py -m slow
Rows are invented from how a template uses each field. `choice` takes the first item on both sides.
"""

import copy
import importlib.util
import os
import random
import sys
import types
from pathlib import Path
from typing import Any, cast

import pytest
from promptsource_rows import typed_rows, used
from test_compiler import compared

from mashq.templates import Rendered, Template, load
from mashq.templates.rendering import Fault, compiled, render_row, used_fields
from mashq.templates.sandbox import Budget

FOLDER = os.environ.get("MASHQ_PROMPTSOURCE")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="set MASHQ_PROMPTSOURCE to the folder promptsource-0.2.3/promptsource"),
]
WORDS = ["كتاب", "the house", "مدرسة كبيرة", "A|B", 'x <b> & "y"', "  spaced  ", "قلب؟", "1952", "line\nbreak"]


def original() -> Any:
    """PromptSource's templates.py, without pandas and pkg_resources, which it needs only to list and count files."""
    assert FOLDER
    pandas: Any = types.ModuleType("pandas")
    pandas.DataFrame = object
    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda *_: FOLDER
    added = {"pandas": pandas, "pkg_resources": resources}
    before = {name: sys.modules.get(name) for name in added}
    sys.modules.update(added)
    try:
        spec = importlib.util.spec_from_file_location("promptsource_templates", Path(FOLDER) / "templates.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, value in before.items():
            if value is None:
                del sys.modules[name]
            else:
                sys.modules[name] = value
    cast("Any", module).random = types.SimpleNamespace(choice=lambda values: values[0])
    cast("Any", module).env.filters["random"] = lambda values: next(iter(values))
    return module


def guessed(shape: Any, dice: random.Random) -> Any:
    if shape == "integer":
        return dice.choice([0, 0, 1, 1, 2])
    if shape == "list":
        return [dice.choice(WORDS) for _ in range(dice.choice([1, 2, 3, 4]))]
    if isinstance(shape, tuple):
        return dice.choice([shape[1], shape[1], 0])
    if isinstance(shape, set):
        return {key: guessed(dice.choice(["text", "list"]), dice) for key in sorted(shape)}
    return dice.choice(WORDS)


def wild(inner: list[str], dice: random.Random) -> Any:
    """Any shape a field may have: text, number, list, record, list of records."""

    def scalar() -> Any:
        return dice.choice([*WORDS[:7], 0, 1, "1"])

    def record(deep: bool) -> dict[str, Any]:
        below = [lambda: [record(False), record(False)], lambda: record(False)] if deep and len(inner) < 8 else []
        shapes = [scalar, scalar, lambda: [scalar() for _ in range(dice.choice([1, 2, 3]))], *below]
        return {key: dice.choice(shapes)() for key in inner}

    return dice.choice(
        [
            scalar,
            lambda: dice.choice(WORDS),
            lambda: 1,
            lambda: [0, 1, 1, 0],
            lambda: [dice.choice(WORDS) for _ in range(4)],
            lambda: record(True),
            lambda: [record(True) for _ in range(dice.choice([2, 5]))],
            lambda: [[WORDS[0], WORDS[1]], [WORDS[3]]],
        ]
    )()


def rows(template: Template) -> Any:
    shapes, inner = used(template)
    names = sorted(used_fields(template))
    for trial in range(60):
        dice = random.Random(f"{template.uuid} {trial}")
        if trial < 12:
            yield {name: guessed(shapes.get(name, "text"), dice) for name in names}
        else:
            yield {name: wild(inner, dice) for name in names}


def test_same_text_as_promptsource(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = original()
    monkeypatch.setattr(Budget, "draw", lambda self, n: 0)
    assert FOLDER
    templates = load(Path(FOLDER) / "templates")
    assert len(templates) == 2085
    equal, reached = 0, set()
    for template in templates:
        other = theirs.Template(template.name, template.prompt, "", None, template.choices)
        ready = compiled(template)
        for trial, row in enumerate(rows(template)):
            if trial >= 8 and template.uuid in reached:
                break
            try:
                want = other.apply(copy.deepcopy(row), truncate=False)
            except Exception:  # the invented row does not fit: not defined there
                continue
            got = render_row(ready, row, b"0" * 16)
            if isinstance(got, Fault) or (isinstance(got, str) and "no item" in got):
                continue  # undefined: empty there, a reason here
            if isinstance(got, Rendered):
                assert [got.prompt, *got.references] == want, (template.name, row)
            else:
                assert len(want) < 2 or not want[0] or not any(want[1:]), (template.name, row, got)
            equal += 1
            reached.add(template.uuid)
    print(f"{equal:,} renders equal, {len(reached):,} of {len(templates):,} templates reached")
    assert len(reached) > 1900


def test_columns_give_the_same_text_for_three_in_five() -> None:
    assert FOLDER
    templates = load(Path(FOLDER) / "templates")
    by_columns = 0
    for template in templates:
        for table in typed_rows(template, 30):
            if isinstance(compared(template, table.to_pylist()), tuple):
                by_columns += 1
                break
    print(f"{by_columns:,} of {len(templates):,} templates by columns")
    assert by_columns >= 0.6 * len(templates)
