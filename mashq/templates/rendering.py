"""A template and a row's fields -> prompt, targets and choices, or the reason why this row has none.

A template is compiled once per process into one Jinja text: system, earlier turns, prompt and targets stand in it one
after another with a mark between them, so that what the prompt sets (`{% set … %}`) the target sees. A `|||` inside a
value of the row is carried through as it is; only the template's own `|||` divides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.filters import FILTERS as JINJA_FILTERS

from mashq.rows import MashqError, nearest
from mashq.templates.sandbox import BUDGET, LIMITS, Forbidden, MissingValue, Sandbox, environment
from mashq.templates.template import Dialect, Rendered, Template

__all__ = ["NOT_FOR_THIS", "Fault", "check", "compiled", "joined_source", "render", "render_row", "used_fields"]

# Two of Unicode's noncharacters, which no text interchanges: between the parts of a template, and for `|` in a value.
MARK = "\ufdd0"
PIPE = "\ufdd1"
SEPARATOR = "|||"
NOT_FOR_THIS = "skip: not for this row"  # a template's `when` is false
# What a template may name besides the fields of the row.
NAMES = frozenset({"row", "answer_choices", "range", "zip", "dict", "namespace", "cycler", "joiner", "choice"})


@dataclass(frozen=True)
class Fault:
    """A row that this template could not be rendered on. `missing` where the row lacks a value that it names."""

    reason: str
    missing: bool
    error: str  # the same for the person who wrote the template: where, expected, got, what to do


@dataclass(frozen=True)
class Compiled:
    """A template ready to render. `roles` are those of the parts before the targets."""

    template: Template
    sandbox: Sandbox
    body: jinja2.Template
    roles: tuple[str, ...]
    fixed_choices: tuple[str, ...] | None
    choices: jinja2.Template | None
    when: jinja2.Template | None  # asked before the choices are written, which are for the rows that it keeps
    seed: bytes
    changes_lists: bool

    @property
    def where(self) -> str:
        """For reasons: `template arcd/answer`."""
        return f"template {self.template.name}"


# --- compile ---------------------------------------------------------------------------------------------------------


def _parts(template: Template) -> list[tuple[str, str, str]]:
    """(key, role, Jinja source) of every part, in order; targets last, without a role."""
    parts = [("system", "system", template.system)] if template.system is not None else []
    parts += [(f"turns[{i}]", turn.role, turn.content) for i, turn in enumerate(template.turns)]
    parts += [("prompt", "user", template.prompt)]
    parts += [(f"target[{i}]", "", target) for i, target in enumerate(template.targets)]
    return parts


def _title(template: Template) -> str:
    return (f"{template.path}: " if template.path else "") + f"template '{template.name}'"


def _unknown_name(tree: nodes.Template, sandbox: Sandbox) -> str | None:
    """A filter or test that templates do not have: what is wrong, and the nearest one."""
    for kind, word, known in ((nodes.Filter, "filter", sandbox.filters), (nodes.Test, "test", sandbox.tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                closed = word == "filter" and node.name in JINJA_FILTERS
                do = " Jinja has it, but it is closed to templates." if closed else nearest(node.name, known)
                return f"line {node.lineno}: no {word} named '{node.name}'.{do}"
    return None


def _parse(sandbox: Sandbox, source: str, title: str) -> nodes.Template:
    """Raises MashqError that names template, part and line for what is no Jinja, or no Jinja of ours."""
    if len(source) > LIMITS.source:
        raise MashqError(f"{title}: {len(source):,} characters; a template has at most {LIMITS.source:,}.")
    BUDGET.start(b"", 0)
    try:
        tree = sandbox.parse(source)
        unknown = _unknown_name(tree, sandbox)
    except jinja2.TemplateSyntaxError as error:
        raise MashqError(f"{title}, line {error.lineno}: {str(error.message).rstrip('.')}.") from error
    except (RecursionError, MemoryError) as error:
        raise MashqError(f"{title}: nested too deeply.") from error
    except Forbidden as error:
        raise Forbidden(f"{title}, {error}") from error
    if unknown:
        raise MashqError(f"{title}, {unknown}")
    return tree


def _compile(sandbox: Sandbox, source: str, title: str) -> jinja2.Template:
    BUDGET.start(b"", 0)
    try:
        return sandbox.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise MashqError(f"{title}: {str(error.message).rstrip('.')}.") from error
    except (RecursionError, MemoryError, SyntaxError, ValueError) as error:
        raise MashqError(f"{title}: too deeply nested or too large to compile ({error}).") from error


def _choices(template: Template, sandbox: Sandbox) -> tuple[tuple[str, ...] | None, jinja2.Template | None]:
    """Choices that are the same for every row, or the Jinja that gives them."""
    if template.choices is None:
        return None, None
    title = f"{_title(template)}, choices"
    tree = _parse(sandbox, template.choices, title)
    dynamic = bool(meta.find_undeclared_variables(tree)) or "choice" in template.choices or "random" in template.choices
    made = _compile(sandbox, template.choices, title)
    if dynamic:
        return None, made
    try:
        return _split(made.render()), None
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, Forbidden) as error:
        raise MashqError(f"{title}: {error}.") from error


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(SEPARATOR))


def joined_source(template: Template) -> str:
    """All parts as one Jinja text, with a mark between them: what the prompt sets, the targets see."""
    parts = _parts(template)
    return parts[0][2] if len(parts) == 1 else f"\n{MARK}\n".join(part[2] for part in parts)


@lru_cache(maxsize=4096)
def compiled(template: Template) -> Compiled:
    """Compile once per process. Raises MashqError that names file, template, part and line."""
    sandbox = environment(template.dialect)
    parts = _parts(template)
    for key, _, source in parts:
        _parse(sandbox, source, f"{_title(template)}, {key}")
    source = joined_source(template)
    fixed, choices = _choices(template, sandbox)
    when = None
    if template.when is not None:
        tree = _parse(sandbox, "{{ (" + template.when + ") }}", f"{_title(template)}, when")
        if choices is not None and "answer_choices" not in meta.find_undeclared_variables(tree):
            asked = "{% if " + template.when + " %}1{% endif %}"
            when = _compile(sandbox, asked, f"{_title(template)}, when")
        source = "{% if " + template.when + " %}" + source + "\n" + MARK + "{% endif %}"
    return Compiled(
        template=template,
        sandbox=sandbox,
        body=_compile(sandbox, source, _title(template)),
        roles=tuple(role for _, role, _ in parts if role),
        fixed_choices=fixed,
        choices=choices,
        when=when,
        seed=template.name.encode(),
        changes_lists=template.dialect == Dialect.PROMPTSOURCE
        and any(f"{kind}(" in template.prompt for kind in ("append", "pop", "update")),
    )


def used_fields(template: Template) -> frozenset[str]:
    """The top-level fields a template names, in any of its parts."""
    sandbox = environment(template.dialect)
    sources = [source for _, _, source in _parts(template)]
    body = "\n".join(sources)  # together: what the prompt sets is no field of the target
    free = meta.find_undeclared_variables(_parse(sandbox, body, _title(template)))
    for key, source in (("choices", template.choices), ("when", template.when and "{{ (" + template.when + ") }}")):
        if source:
            free |= meta.find_undeclared_variables(_parse(sandbox, source, f"{_title(template)}, {key}"))
    return frozenset(free) - NAMES


# --- check against the declared fields -------------------------------------------------------------------------------


def check(template: Template) -> None:
    """Compile, and hold the fields a template names against those its data set declares.

    Raises MashqError that names file, template, field, the known fields and the nearest. Where the data set declares
    no fields, only the rows can tell.
    """
    compiled(template)
    fields = template.dataset.fields
    if not fields:
        return
    for name in sorted(used_fields(template)):
        if name not in fields:
            raise MashqError(_names_field(template, name, fields, template.dataset.title or template.dataset.name))
    sandbox = environment(template.dialect)
    trees = [_parse(sandbox, source, f"{_title(template)}, {key}") for key, _, source in _parts(template)]
    bound = {node.name for tree in trees for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    for tree in trees:
        for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
            _check_path(template, node, fields, bound)


def _names_field(template: Template, name: str, known: Any, owner: str) -> str:
    listed = ", ".join(map(str, known)) or "none"
    return f"{_title(template)} names field '{name}', which {owner} does not have ({listed}).{nearest(name, known)}"


def _check_path(template: Template, node: nodes.Expr, fields: Mapping[str, Any], bound: set[str]) -> None:
    """`question.stm` against `{question: {stem: string}}`; what is not a plain path of names is left to the rows."""
    path: list[Any] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr):
            path.append(node.attr)
        elif isinstance(node.arg, nodes.Const):
            path.append(node.arg.value)
        else:
            return
        node = node.node
    if not isinstance(node, nodes.Name) or node.name in bound or node.name not in fields:
        return
    kind, owner = fields[node.name], node.name
    for key in reversed(path):
        if isinstance(kind, Mapping):
            if key not in kind and key not in ("items", "keys", "values", "get"):
                raise MashqError(_names_field(template, str(key), kind, f"'{owner}'"))
            kind = kind.get(key, "any")
        elif isinstance(kind, list):
            if isinstance(key, str) and key not in ("index", "count", "append", "pop"):
                got = f"'{owner}' is a list, and a list has no '{key}'; write {owner}[0].{key} or a loop"
                raise MashqError(f"{_title(template)}: {got}.")
            kind = kind[0]
        else:
            return
        owner = f"{owner}.{key}"


# --- render ----------------------------------------------------------------------------------------------------------


def _protected(value: Any) -> Any:
    """The same value with every `|||` of its texts put out of the template's way; never the same lists, if it has any.

    Raises ValueError for a text that holds one of the two marks.
    """
    if isinstance(value, str):
        if MARK in value or PIPE in value:
            raise ValueError("a field holds a noncharacter (U+FDD0 or U+FDD1), which no text should")
        return value.replace(SEPARATOR, PIPE * 3) if SEPARATOR in value else value
    if isinstance(value, Mapping):
        return {key: _protected(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_protected(item) for item in value]
    return value


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, (list, tuple)) else 1


def render(template: Template, fields: Mapping[str, Any], row_id: bytes) -> Rendered | str:
    """Render one row, or say why it is skipped: `skip: empty target (template arcd/answer)`.

    `choice` draws from `row_id`, so the same row gives the same text on any machine. Texts are stripped at both ends
    and not touched otherwise. Raises MashqError where the template names a field that the row does not have, fails on
    this row, or does what no template may.
    """
    made = render_row(compiled(template), fields, row_id)
    if isinstance(made, Fault):
        raise MashqError(made.error)
    return made


def render_row(
    ready: Compiled, fields: Mapping[str, Any], row_id: bytes, *, characters: int | None = None, plain: bool = False
) -> Rendered | str | Fault:
    """As `render`, but what fails on this row alone is a value.

    `characters`: how long the fields are, where that is known; `plain`: they are known to hold no `|||` and no mark.
    """
    try:
        if not plain or ready.changes_lists:
            fields = _protected(fields)
        BUDGET.start(row_id + ready.seed, _characters(fields) if characters is None else characters)
        return _render(ready, fields)
    except MissingValue as error:
        return _missing(ready, error, fields)
    except Forbidden as error:
        raise Forbidden(f"{_title(ready.template)}: not allowed: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise Forbidden(f"{_title(ready.template)}: not allowed: it calls itself without end.") from error
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}"
        return Fault(f"skip: error ({ready.where}): {text}", False, f"{_title(ready.template)} fails on a row: {text}.")


def _missing(ready: Compiled, error: MissingValue, fields: Mapping[str, Any]) -> Fault | str:
    key, owner = error.key, error.owner
    if key is None:
        return Fault(
            f"skip: error ({ready.where}): {error}", False, f"{_title(ready.template)} fails on a row: {error}."
        )
    reason = (
        f"skip: no {key} ({ready.where})" if not isinstance(key, str) else f"skip: no field '{key}' ({ready.where})"
    )
    if owner is not None and not isinstance(owner, Mapping):
        what = f"a {type(owner).__name__} of {len(owner)}" if isinstance(owner, (list, tuple, str)) else "a value"
        if not isinstance(key, str):
            return f"skip: {what} has no item {key} ({ready.where})"
        return Fault(reason, True, f"{_title(ready.template)} names '{key}' of {what}, which has none.")
    known = [str(name) for name in (fields if owner is None else owner)]
    error_text = _names_field(ready.template, str(key), known, "this row" if owner is None else "this record")
    return Fault(reason, True, f"{error_text} If only some rows have it, write {{% if {key} is defined %}}.")


def _write(template: jinja2.Template, names: dict[str, Any]) -> str:
    return "".join(template.root_render_func(template.new_context(names)))


def _render(ready: Compiled, fields: Mapping[str, Any]) -> Rendered | str:
    names: dict[str, Any] = {"row": fields, **fields}
    choices = ready.fixed_choices
    if ready.when is not None and not _write(ready.when, names):
        return f"{NOT_FOR_THIS} ({ready.where})"
    if ready.choices is not None:
        choices = _split(_write(ready.choices, names))
    if choices is not None:
        names["answer_choices"] = list(choices)
    elif ready.template.dialect == Dialect.PROMPTSOURCE:
        names["answer_choices"] = None
    text = _write(ready.body, names)
    return _finish(ready, text, choices or ())


def _finish(ready: Compiled, text: str, choices: tuple[str, ...]) -> Rendered | str:
    """The written text -> its parts. A part is stripped before the pipes of values come back."""
    parts = text.split(MARK)
    if ready.template.when is not None:
        if len(parts) == 1:
            return f"{NOT_FOR_THIS} ({ready.where})"
        parts.pop()
    n = len(ready.roles)
    prompt, *targets = _split(parts[n - 1])
    if ready.template.dialect == Dialect.PLAIN:
        targets = [target for part in (*targets, *parts[n:]) for target in _split(part) if target]
        targets = list(dict.fromkeys(targets))
    if not prompt:
        return f"skip: empty prompt ({ready.where})"
    if not any(targets):
        return f"skip: empty target ({ready.where})"
    contents = [*(part.strip() for part in parts[: n - 1]), prompt]
    for i, content in enumerate(contents):
        if not content:
            return f"skip: empty turn {i + 1} ({ready.where})"
    if PIPE in text or any(PIPE in choice for choice in choices):
        contents = [content.replace(PIPE, "|") for content in contents]
        targets = [target.replace(PIPE, "|") for target in targets]
        choices = tuple(choice.replace(PIPE, "|") for choice in choices)
    return Rendered(tuple(zip(ready.roles, contents, strict=True)), tuple(targets), choices)
