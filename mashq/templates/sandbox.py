"""Jinja for templates from strangers: no file, no attribute of Python's, no endless loop, no gigabyte.

`environment(dialect)` gives jinja2's `ImmutableSandboxedEnvironment`, narrowed: an attribute is reachable only if it is
listed in `ATTRIBUTES`, a filter only if it is listed in `FILTERS`, and every operation that can repeat, grow or loop is
charged to the budget of the row being rendered. A budget counts work, which is the same on every machine; seconds are
only the net below it. What a template may do at most is `Limits`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any

import jinja2
import xxhash
from jinja2 import nodes
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context, LoopContext, Macro, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace, missing, pass_context, pass_environment
from jinja2.visitor import NodeTransformer

from mashq.rows import MashqError, nearest
from mashq.templates.template import Dialect

__all__ = ["ATTRIBUTES", "FILTERS", "LIMITS", "Forbidden", "Limits", "MissingValue", "environment", "forbidden_nodes"]


class Forbidden(MashqError):
    """A template did what no template may do, or more than `Limits` allow. Never a matter of one row."""


class MissingValue(jinja2.UndefinedError):
    """A template used a value that the row does not have. `owner` is what lacks it, or None for the row itself."""

    def __init__(self, owner: Any, key: Any, message: str):
        super().__init__(message)
        self.owner = None if owner is missing else owner
        self.key = key


@dataclass(frozen=True)
class Limits:
    """What one template may do with one row. Source: ours, about 100 times what PromptSource's heaviest one does."""

    work: int = 1_000_000  # characters made; a loop turn counts as 8
    work_per_character: int = 16  # more work for a longer row
    seconds: float = 10.0  # the net below the work limit
    range: int = 100_000  # numbers in one range()
    source: int = 100_000  # characters of a template's own text


LIMITS = Limits()
TURN = 8  # what a turn of a loop costs beside what it writes, in characters
NO_BRACKETS = "a method or macro is written out; it needs its brackets: name()"
NODE = 4  # what looking at one item of a list costs


# --- the budget ------------------------------------------------------------------------------------------------------


class Budget(threading.local):
    """What is left for the row being rendered in this thread, and the seed of its choices."""

    left: int = 0
    calls: int = 0
    deadline: float = 0.0
    seed: bytes = b""
    draws: int = 0

    def start(self, seed: bytes, characters: int) -> None:
        """A new row of so many characters."""
        self.left = LIMITS.work + LIMITS.work_per_character * characters
        self.deadline = time.monotonic() + LIMITS.seconds
        self.calls = 0
        self.seed = seed
        self.draws = 0

    def charge(self, amount: int) -> None:
        """Take `amount` off. Raises Forbidden when nothing is left, or when the time is over."""
        self.left -= amount
        self.calls += 1
        if self.left < 0:
            raise Forbidden(
                f"it does more work for one row than the {LIMITS.work:,} characters and loop turns a template may "
                "(nested loops, or text that doubles?)."
            )
        if not self.calls & 127 and time.monotonic() > self.deadline:
            raise Forbidden(f"it takes more than {LIMITS.seconds:g} seconds for one row.")

    def weigh(self, value: Any) -> None:
        """Charge every node and character of a nested value as it would be written out, shared parts once per use."""
        waiting, owed = [value], 0
        while waiting:
            item = waiting.pop()
            owed += NODE
            if isinstance(item, str):
                owed += len(item) >> 3
            elif isinstance(item, Mapping):
                waiting.extend(item.keys())
                waiting.extend(item.values())
            elif isinstance(item, (list, tuple, set, frozenset)):
                waiting.extend(item)
            elif isinstance(item, partial):
                raise TypeError(NO_BRACKETS)
            elif isinstance(item, range):
                owed += NODE * len(item)
            if owed > 4096 or len(waiting) > self.left:
                self.charge(owed + (len(waiting) if len(waiting) > self.left else 0))
                owed = 0
        self.charge(owed)

    def made(self, value: Any) -> Any:
        """Charge a value that an operation has just made, and hand it on."""
        if isinstance(value, str):
            self.charge(1 + len(value))
        elif isinstance(value, (list, tuple, Mapping)):
            self.weigh(value)
        elif isinstance(value, Iterator):
            return _turns(value, TURN)  # lazy: charged as it is consumed
        else:
            self.charge(1)
        return value

    def draw(self, n: int) -> int:
        """A number in 0..n-1 decided by the seed and by how many were drawn before it for this row."""
        self.draws += 1
        return xxhash.xxh3_64_intdigest(self.seed + self.draws.to_bytes(4, "little")) % n


BUDGET = Budget()


# --- operations that grow --------------------------------------------------------------------------------------------

_WIDE = re.compile(r"\d{4,}")
_PRINTF = re.compile(r"%[-#0 +.\d*]*(?:\d{4,}|\*)")


def _integer_fits(bits: float) -> None:
    if bits > 4096:
        raise Forbidden("it makes a whole number of more than 4,096 bits.")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 64


def _times(left: Any, right: Any) -> Any:
    for value, n in ((left, right), (right, left)):
        if isinstance(value, (str, list, tuple)) and isinstance(n, int):
            BUDGET.charge(max(n, 0) * len(value))  # before it is made, not after
            return BUDGET.made(value * n)
    _integer_fits(_bits(left) + _bits(right))
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _integer_fits(_bits(left) * abs(right))
    return left**right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        return _printf(left, right)
    return left % right


def _printf(text: str, values: Any) -> str:
    if _PRINTF.search(text):
        raise Forbidden("it formats a number wider than 999 characters.")
    BUDGET.weigh(values)
    return str(BUDGET.made(text % values))


def _plus(left: Any, right: Any) -> Any:
    return BUDGET.made(left + right) if isinstance(left, (str, list, tuple)) else left + right


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"*": _times, "**": _power, "%": _modulo, "+": _plus}


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old)
    BUDGET.charge(1 + len(text) + (found if count is None or count < 0 else min(found, count)) * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _joined(separator: str, values: Iterable[Any]) -> str:
    pieces = []
    for value in values:
        pieces.append(_text(value))
        BUDGET.charge(1 + len(pieces[-1]) + len(separator))
    return separator.join(pieces)


def _method_join(separator: str, values: Iterable[Any]) -> str:
    """`str.join`, which refuses what is not text."""
    pieces = []
    for value in values:
        if isinstance(value, Undefined):
            str(value)
        if not isinstance(value, str):
            raise TypeError(f"join expects text, got {type(value).__name__}")
        BUDGET.charge(1 + len(value) + len(separator))
        pieces.append(value)
    return separator.join(pieces)


def _text(value: Any) -> str:
    """`str` of a value whose nesting has been charged first; undefined raises."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, Mapping, set, frozenset)):
        BUDGET.weigh(value)
    elif isinstance(value, Undefined):
        return str(value)  # raises
    elif callable(value):
        raise TypeError(NO_BRACKETS)
    elif isinstance(value, Iterator):
        raise TypeError("what map, select or zip gives is written out; it needs `| list` or `| join`")
    return str(value)


def _whole(text: str, method: str, *args: Any) -> Any:
    """A string method whose result is never longer than three times the text."""
    BUDGET.charge(1 + len(text))
    return getattr(text, method)(*args)


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Methods of text; those that can grow are ours.
GROWING: dict[str, Callable[..., Any]] = {"replace": _replace, "join": _method_join}
WHOLE = _words(
    "lower upper strip lstrip rstrip split rsplit splitlines partition rpartition capitalize title swapcase casefold "
    "removeprefix removesuffix count find rfind index rindex startswith endswith"
)
TESTS_OF_TEXT = _words(
    "isalpha isdigit isnumeric isdecimal isalnum islower isupper isspace istitle isascii isidentifier"
)
LOOP = _words("index index0 revindex revindex0 first last length cycle depth depth0 previtem nextitem changed")
# What a template may reach on a value by `value.name`, by type; a record's own fields come on top.
ATTRIBUTES: dict[type, frozenset[str]] = {
    str: frozenset(GROWING) | WHOLE | TESTS_OF_TEXT | {"format"},
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
    LoopContext: LOOP,
    Cycler: frozenset({"current", "next", "reset"}),
}
# PromptSource's templates change lists and records that they made themselves.
MUTATORS: dict[type, frozenset[str]] = {
    list: frozenset({"append", "pop"}),
    dict: frozenset({"update", "pop"}),
}


def _change(value: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    for item in (*args, *kwargs.values()):
        BUDGET.weigh(item)
    BUDGET.charge(16)
    return getattr(value, method)(*args, **kwargs)


class _Format(SandboxedFormatter):
    """`str.format` whose fields go through the sandbox and whose widths have at most three digits."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        if _WIDE.search(format_spec):
            raise Forbidden("it formats a value wider than 999 characters.")
        BUDGET.weigh(value)
        return BUDGET.made(format(value, format_spec))

    def convert_field(self, value: Any, conversion: Any) -> Any:
        BUDGET.weigh(value)
        return super().convert_field(value, conversion)


# --- filters and globals ---------------------------------------------------------------------------------------------

# Jinja's own filters that templates may use. Left out: those that grow without bound or speak HTML
# (center, indent, pprint, slice, urlize, xmlattr, wordwrap, safe, escape, ...).
FILTERS = _words(
    "abs attr batch capitalize count d default dictsort first float groupby int items last length list lower map max "
    "min reject rejectattr reverse round select selectattr sort string title tojson trim truncate unique upper "
    "urlencode wordcount"
)


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments and result count; `wraps` keeps Jinja's mark of what it wants to be passed."""

    @wraps(function)
    def charged(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            if isinstance(value, (list, tuple, dict, range)):
                BUDGET.weigh(value)
        return BUDGET.made(function(*args, **kwargs))

    return charged


def _filter_join(env: Any, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = (_path(env, value, attribute) for value in values)
    if env.fields_first:
        values = ("" if value is None else value for value in values)
    return _joined(_text(d), values)


@pass_environment
def _concatenated(env: Any, values: Iterable[Any]) -> str:
    return _joined("", ("" if value is None and env.fields_first else value for value in values))


def _null_is_empty(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of text that reads null as empty text, as `{{ … }}` writes it in our dialect."""

    @wraps(function)
    def called(value: Any, *args: Any, **kwargs: Any) -> Any:
        return function("" if value is None else value, *args, **kwargs)

    return called


# Filters that write what they are given before they work on it.
TEXTUAL = _words("trim lower upper capitalize title replace string")


def _path(env: Any, value: Any, attribute: str | int) -> Any:
    for part in str(attribute).split("."):
        value = env.getitem(value, int(part) if part.isdigit() else part)
    return value


def _filter_replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    return _replace(_text(text), _text(old), _text(new), -1 if count is None else count)


def _filter_format(text: Any, *values: Any, **named: Any) -> str:
    return _printf(_text(text), named or values)


def _filter_sum(env: Any, values: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    total = start
    for value in values:
        BUDGET.charge(1)
        total = _plus(total, value if attribute is None else _path(env, value, attribute))
    return total


def _filter_round(value: Any, precision: int = 0, method: str = "common") -> Any:
    if abs(precision) > 300:
        raise Forbidden("it rounds to more than 300 digits.")
    return JINJA_FILTERS["round"](value, precision, method)


def _filter_batch(values: Any, linecount: int, fill_with: Any = None) -> Iterator[Any]:
    if linecount > LIMITS.range:
        raise Forbidden(f"it batches by more than {LIMITS.range:,}.")
    return JINJA_FILTERS["batch"](values, linecount, fill_with)


def _choice(_context: Context, values: Iterable[Any]) -> Any:
    """One of the values, decided by the row's id and the template's name: the same on every run and machine."""
    if isinstance(values, Undefined):
        str(values)
    listed = values if isinstance(values, (list, tuple, str, range)) else list(values)
    if not listed:
        raise ValueError("choice of nothing: the list is empty")
    return listed[BUDGET.draw(len(listed))]


def _most_frequent(values: Iterable[Any]) -> list[Any] | None:
    """The values that occur most often, in their first order; None of nothing. As in PromptSource."""
    counts = Counter(values).most_common()
    return [value for value, n in counts if n == counts[0][1]] if counts else None


def _highlight(text: str) -> str:
    """As in PromptSource."""
    return "<span style='color: #F08080'>" + text + "</span>"


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > LIMITS.range:
        raise Forbidden(f"range() of {len(numbers):,} numbers; at most {LIMITS.range:,}.")
    return numbers


def _zip(*values: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*values, strict=False)


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    made = dict(*args, **kwargs)
    BUDGET.weigh(made)
    return made


def _counted(values: Any, cost: int) -> Iterator[Any]:
    """What a `for` runs over: each turn is charged."""
    return _turns(iter(values), cost)


def _turns(values: Iterator[Any], cost: int) -> Iterator[Any]:
    for value in values:
        BUDGET.charge(cost)
        yield value


def _weighed(value: Any) -> Any:
    BUDGET.weigh(value)
    return value


# Names that no template can write, for what `_Guard` puts into its syntax tree.
INTERNAL = {"mashq counted": _counted, "mashq joined": _concatenated, "mashq weighed": _weighed}


# --- the syntax tree -------------------------------------------------------------------------------------------------

_REFUSED: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Import, "import"),
    (nodes.FromImport, "from … import"),
    (nodes.Include, "include"),
    (nodes.Extends, "extends"),
    (nodes.Block, "block"),
    (nodes.ScopedEvalContextModifier, "autoescape"),
)


def forbidden_nodes(tree: nodes.Template) -> str | None:
    """Why this tree is no template of ours, or None: parts of Jinja that read other files or change its rules."""
    for kind, tag in _REFUSED:
        for node in tree.find_all(kind):
            return f"line {node.lineno}: a template has no {{% {tag} %}}; it is one text, complete in itself."
    return None


def _constant(node: nodes.Node) -> bool:
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return all(_constant(item) for item in node.items)
    if isinstance(node, nodes.Dict):
        return all(_constant(pair.key) and _constant(pair.value) for pair in node.items)
    return isinstance(node, nodes.Const)


class _Guard(NodeTransformer):
    """Put the budget into a syntax tree: loops, macros, `~`, and lists made of variables."""

    def _filter(self, node: Any, name: str, *args: nodes.Expr) -> nodes.Filter:
        return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)

    def _tick(self, node: nodes.Node, cost: int) -> nodes.ExprStmt:
        call = nodes.Call(nodes.EnvironmentAttribute("tick"), [nodes.Const(cost)], [], None, None)
        statement = nodes.ExprStmt(call, lineno=node.lineno)
        statement.set_lineno(node.lineno)
        return statement

    def _cost(self, node: nodes.Node) -> int:
        """What one turn costs: its share of constant text, which no other hook sees."""
        written = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        written += sum(len(const.value) for const in node.find_all(nodes.Const) if isinstance(const.value, str))
        return TURN + written // 8

    def visit_For(self, node: nodes.For) -> nodes.Node:
        cost = self._cost(node)
        self.generic_visit(node)
        if node.recursive:
            node.body.insert(0, self._tick(node, cost))
        node.iter = self._filter(node.iter, "mashq counted", nodes.Const(cost))
        return node

    def _visit_callable(self, node: Any) -> nodes.Node:
        cost = self._cost(node)
        self.generic_visit(node)
        node.body.insert(0, self._tick(node, cost))
        return node

    visit_Macro = _visit_callable
    visit_CallBlock = _visit_callable

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return self._filter(nodes.List(node.nodes, lineno=node.lineno), "mashq joined")

    def _visit_display(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        if _constant(node) or getattr(node, "ctx", "load") != "load":
            return node
        return self._filter(node, "mashq weighed")

    visit_List = _visit_display
    visit_Tuple = _visit_display
    visit_Dict = _visit_display


# --- the environment -------------------------------------------------------------------------------------------------


class _Missing(StrictUndefined):
    """An undefined value that remembers what lacked it."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: Any = None):
        super().__init__(hint, obj, name, partial(MissingValue, obj, name))  # type: ignore[arg-type]


class Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's immutable sandbox, narrowed to what is listed here and charged to `BUDGET`."""

    intercepted_binops = frozenset(OPERATORS)

    def __init__(self, dialect: str):
        plain = dialect == Dialect.PLAIN
        super().__init__(
            undefined=_Missing,
            autoescape=False,
            trim_blocks=plain,
            lstrip_blocks=plain,
            finalize=self._write_plain if plain else self._write,
        )
        self.fields_first = plain
        self.mutators = {} if plain else MUTATORS
        self.binop_table = {**self.default_binop_table, **OPERATORS}
        filters: dict[str, Callable[..., Any]] = {name: JINJA_FILTERS[name] for name in FILTERS}
        filters |= {
            "attr": pass_environment(lambda env, value, name: env.getattr(value, name, changing=False)),
            "join": pass_environment(_filter_join),
            "replace": _filter_replace,
            "format": _filter_format,
            "sum": pass_environment(_filter_sum),
            "string": _text,
            "round": _filter_round,
            "batch": _filter_batch,
            "most_frequent": _most_frequent,
            "highlight": _highlight,
        }
        choice = pass_context(_choice)
        if plain:
            filters |= {name: _null_is_empty(filters[name]) for name in TEXTUAL}
        self.filters = {name: _charged(function) for name, function in filters.items()}
        self.filters |= {**INTERNAL, "choice": choice, "random": choice}
        self.globals = {
            "range": _range,
            "zip": _zip,
            "dict": _dict,
            "namespace": Namespace,
            "cycler": Cycler,
            "joiner": Joiner,
        }
        if plain:  # in PromptSource it is a filter only, and some data sets have a field of that name
            self.globals["choice"] = choice

    def _write(self, value: Any) -> Any:
        """What `{{ … }}` writes: charged; undefined raises."""
        text = _text(value)
        BUDGET.charge(len(text))
        return text

    def _write_plain(self, value: Any) -> Any:
        if value is None:
            return ""
        text = _text(value)
        BUDGET.charge(len(text))
        return text

    def tick(self, cost: int) -> str:
        """One turn of a recursive loop or one call of a macro."""
        BUDGET.charge(cost)
        return ""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        reason = forbidden_nodes(tree)
        if reason:
            raise Forbidden(reason)
        guarded: nodes.Template = _Guard().visit(tree)
        return guarded

    def getattr(self, obj: Any, attribute: str, changing: bool = True) -> Any:
        """`obj.attribute`: a field of a record, or what `ATTRIBUTES` lists. Raises Forbidden for the rest."""
        if isinstance(obj, Undefined):
            str(obj)  # raises
        if isinstance(obj, Mapping) and self.fields_first and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Namespace) and not attribute.startswith("_"):
            found: Any = getattr(obj, attribute, missing)
            return self.undefined(obj=obj, name=attribute) if found is missing else found
        if isinstance(obj, tuple) and attribute in getattr(obj, "_fields", ()):
            return getattr(obj, attribute)  # the parts of `groupby`: grouper, list
        method = self._method(obj, attribute, changing)
        if method is not None:
            return method
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if attribute.startswith("_") or hasattr(type(obj), attribute):
            known = ATTRIBUTES.get(self._kind(obj), frozenset())
            raise Forbidden(
                f"'{attribute}' of a {type(obj).__name__} is closed to templates.{nearest(attribute, known)}"
            )
        return self.undefined(obj=obj, name=attribute)

    def _kind(self, obj: Any) -> type:
        return next((kind for kind in ATTRIBUTES if isinstance(obj, kind)), type(obj))

    def _method(self, obj: Any, attribute: str, changing: bool) -> Any:
        kind = self._kind(obj)
        if changing and attribute in self.mutators.get(kind, ()):
            return partial(_change, obj, attribute)
        if attribute not in ATTRIBUTES.get(kind, ()):
            return None
        if kind is str:
            if attribute == "format":
                return partial(_Format(self).format, str(obj))
            if attribute in GROWING:
                return partial(GROWING[attribute], str(obj))
            return partial(_whole, str(obj), attribute)
        return getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, and `obj.argument` where there is no such item; no method that changes the object."""
        for value in (obj, argument):
            if isinstance(value, Undefined):
                str(value)  # raises
        try:
            if not isinstance(obj, type):
                return obj[argument]
        except (TypeError, LookupError, AttributeError):
            pass
        if isinstance(argument, str):
            return self.getattr(obj, argument, changing=False)
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Only what this file hands out, and macros and loops of the template itself; undefined raises."""
        if isinstance(obj, Undefined):
            str(obj)
        if isinstance(obj, partial):
            return True
        owner = getattr(obj, "__self__", None)
        return (
            isinstance(obj, (Macro, LoopContext, Joiner))
            or any(obj is known for known in self.globals.values())
            or isinstance(owner, (dict, list, tuple, LoopContext, Cycler, Sandbox))
        )


@cache
def environment(dialect: str) -> Sandbox:
    """The one environment of a dialect in this process; its budget is kept per thread."""
    return Sandbox(dialect)
