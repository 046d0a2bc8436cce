"""Templates in a terminal: the list, one data set, one template on a sample row. Arabic lines stand right to left.

Texts come from strangers: escape sequences, control characters and direction overrides never reach the terminal.
Terminals that know the bidirectional algorithm take each line for a paragraph, so a line that was wrapped would lose
the direction of its text; `Paper.bidi` puts Unicode isolates around it. A pipe or file gets the text as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

from mashq.licences import uses
from mashq.rows import MashqError
from mashq.templates.catalogue import (
    Entry,
    Example,
    examples,
    path_on_sample,
    row_count,
    short_name,
)
from mashq.templates.lint import tasks
from mashq.templates.template import Dataset, Template

__all__ = ["Paper", "data_set", "json_text", "listing", "one_template", "paper", "safe", "type_text", "wrapped"]

LRI, RLI, PDI = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{RIGHT-TO-LEFT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
FSI = "\N{FIRST STRONG ISOLATE}"
# ECMA-48: CSI and its one-character form, strings (OSC, DCS, PM, APC, SOS) to their end, then two-character escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Embeddings, overrides and isolates: with one of them a text can reorder what stands beside it.
_DIRECTING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_LINE_ENDS = {0x2028: "\n", 0x2029: "\n", 0x85: "\n", ord("\t"): "    "}
MOST_COLUMNS = 100  # longer lines are hard to read
LABEL = 12  # columns of a fact's name


@dataclass(frozen=True)
class Paper:
    """Where lines are written: columns, and whether Arabic is wrapped in isolates."""

    width: int = 80
    bidi: bool = False


def paper(bidi: str) -> Paper:
    """What standard output is, at most `MOST_COLUMNS` wide; `bidi`: "auto" (on a terminal), "on" or "off"."""
    shown = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if shown else MOST_COLUMNS
    return Paper(min(columns, MOST_COLUMNS), bidi == "on" or (bidi == "auto" and shown))


def safe(text: str) -> str:
    """The text without what a terminal would obey: escape sequences, controls, direction overrides, lone surrogates."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n")).translate(_LINE_ENDS).translate(_DIRECTING)
    kept = (mark for mark in text if mark == "\n" or unicodedata.category(mark) != "Cc")
    return "".join(kept).encode("utf-8", "replace").decode()


# --- lines -----------------------------------------------------------------------------------------------------------


def wrapped(text: str, paper: Paper, indent: int = 0) -> list[str]:
    """A text from data as lines of at most `paper.width` columns, each after `indent` spaces.

    A line of the text keeps its direction on every line it is broken into; with `paper.bidi` one that runs right to
    left ends at the right edge.
    """
    room = max(20, paper.width - indent)
    lines = []
    for paragraph in safe(text).split("\n"):
        direction = _direction(paragraph)
        for line in _broken(paragraph.rstrip(), room):
            lines.append((" " * indent + _isolated(line, direction, room, paper.bidi)).rstrip())
    return lines


def _direction(paragraph: str) -> str:
    """ "R" or "L" by the first strong character, "" where there is none (UAX #9, P2)."""
    for mark in paragraph:
        kind = unicodedata.bidirectional(mark)
        if kind in ("R", "AL"):
            return "R"
        if kind == "L":
            return "L"
    return ""


def _isolated(line: str, direction: str, room: int, bidi: bool) -> str:
    """The line with its own direction, whatever stands before it; right to left, it ends at the right edge."""
    if not bidi or not line:
        return line
    if direction == "R":
        return " " * (room - cell_len(line)) + f"{RLI}{line}{PDI}"
    return f"{LRI}{line}{PDI}" if _mixed(line) else line


def _mixed(line: str) -> bool:
    return any(unicodedata.bidirectional(mark) in ("R", "AL", "AN") for mark in line)


def _broken(paragraph: str, room: int) -> list[str]:
    """Broken between words; a word longer than a line is cut between characters, never before a combining mark."""
    lines: list[str] = []
    line, columns = "", 0
    for word in re.findall(r"\s*\S+", paragraph):
        size = cell_len(word)
        if columns + size > room and columns:
            lines.append(line)
            line, columns, word = "", 0, word.lstrip()
            size = cell_len(word)
        while size > room:
            head = _head(word, room)
            lines.append(head)
            word = word[len(head) :]
            size = cell_len(word)
        line, columns = line + word, columns + size
    return [*lines, line] if line or not lines else lines


def _head(word: str, room: int) -> str:
    columns = 0
    for place, mark in enumerate(word):
        columns += cell_len(mark)
        if columns > room:
            return word[:place]
    return word


def _inline(text: str, paper: Paper) -> str:
    """A text from data inside a line of ours: on one line, isolated where it may run right to left."""
    line = " ".join(safe(text).split())
    return f"{FSI}{line}{PDI}" if paper.bidi and _mixed(line) else line


def _fact(name: str, text: str, paper: Paper) -> Iterator[str]:
    """`  licence     MIT`, its further lines under the first; nothing where there is no text."""
    lines = wrapped(text, paper, LABEL + 2) if text.strip() else []
    for place, line in enumerate(lines):
        yield f"  {name:<{LABEL}}{line[LABEL + 2 :]}" if place == 0 else line


# --- views -----------------------------------------------------------------------------------------------------------


def listing(entries: Sequence[Entry], paper: Paper) -> Iterator[str]:
    """Every data set with its title, tasks, templates, varieties, licence and rows; then the sum."""
    shown = [(_name(entry, paper), _templates(entry), _rows(entry.dataset)) for entry in entries]
    longest = [min(28, max(cell_len(line[i]) for line in shown)) for i in range(3)]
    for entry, (name, count, rows) in zip(entries, shown, strict=True):
        spaces = " " * max(0, longest[0] - cell_len(name))
        licence = _inline(entry.dataset.licence or "unknown", paper)
        yield f"{name}{spaces}  {count:>{longest[1]}}  {rows:>{longest[2]}}  {licence}"
        if entry.dataset.title:
            yield from wrapped(entry.dataset.title, paper, 4)
        what = "; ".join(filter(None, (", ".join(entry.varieties), ", ".join(entry.tasks))))
        yield from wrapped(what, paper, 4)
        for fault in entry.faults:
            yield from wrapped(f"not readable: {fault}", paper, 4)
    templates = sum(len(entry.templates) for entry in entries)
    every = {task for entry in entries for task in entry.tasks}
    yield "\n" + ", ".join([_many(len(entries), "data set"), _many(templates, "template"), _many(len(every), "task")])


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _name(entry: Entry, paper: Paper) -> str:
    return _inline(entry.dataset.name, paper)


def _templates(entry: Entry) -> str:
    n = len(entry.templates)
    return f"{n} of {_many(entry.count, 'template')}" if n < entry.count else _many(n, "template")


def _rows(dataset: Dataset) -> str:
    n = row_count(dataset)
    return "" if n is None else _many(n, "row")


def data_set(entry: Entry, paper: Paper) -> Iterator[str]:
    """What is known of the data set, and its templates."""
    data = entry.dataset
    yield _inline(data.name, paper)
    splits = ", ".join(f"{name} {n:,}" if isinstance(n, int) else f"{name} {n}" for name, n in data.splits.items())
    for name, text in (
        ("title", data.title),
        ("address", data.address),
        ("licence", data.licence or "unknown"),
        ("allows", _allows(data.licence)),
        ("citation", data.citation),
        ("shape", data.shape),
        ("splits", splits),
        ("size", data.size),
        ("language", data.language),
        ("variety", data.variety),
        ("domain", data.domain),
        ("fields", "\n".join(f"{field}: {type_text(kind)}" for field, kind in data.fields.items())),
        ("schema", data.schema),
        ("notes", data.notes),
    ):
        yield from _fact(name, text, paper)
    yield from _fact("sample", "none" if not data.sample else _record(data), paper)
    yield ""
    for template in entry.templates:
        yield f"  {_inline(short_name(template), paper)}"
        facts = (template.task or "no task", template.variety or "no variety", ", ".join(template.metrics))
        yield from wrapped("; ".join([*filter(None, facts), path_on_sample(template)]), paper, 6)
    for fault in entry.faults:
        yield from wrapped(f"not readable: {fault}", paper, 2)
    yield f"\n  {_templates(entry)}"
    if entry.templates:
        yield f"  one of them: mashq templates {_asked(entry.templates[0], paper)}"


def _asked(template: Template, paper: Paper) -> str:
    """How this template is named on the command line."""
    library = Path(template.path).parent == Path(__file__).parent / "library"
    return _inline(template.name if library else f"{template.path}/{short_name(template)}", paper)


def _allows(licence: str) -> str:
    allowed = uses(licence)
    told = [f"training {allowed.train}", f"passing on {allowed.redistribute}", f"commercial use {allowed.commercial}"]
    return ", ".join([*told, *["share alike"] * bool(allowed.share_alike)])


def _record(data: Dataset) -> str:
    """The first sample row, a field a line."""
    fields = data.sample[0].items()
    return "\n".join(f"{name}: {value if isinstance(value, str) else json_text(value)}" for name, value in fields)


def json_text(value: object) -> str:
    """A value of a sample row that is no text, as JSON; a date or the like as its own text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def type_text(kind: object) -> str:
    """A field's type as it is written in the file: `{text: [string]}`."""
    return json_text(kind).replace('"', "")


def one_template(template: Template, paper: Paper, row: int | None = None) -> Iterator[str]:
    """The template on a sample row (from 1), by default the first that it gives a prompt for.

    Raises MashqError for a row that there is not.
    """
    tried = examples(template)
    if row is not None and not 1 <= row <= len(tried):
        expected = f"1 to {len(tried)}" if tried else "none, for the data set has no sample rows"
        raise MashqError(f"templates: --row: expected {expected}, got {row}.")
    yield _inline(template.name, paper)
    task = " ".join(filter(None, (template.task or "none", tasks().get(template.task or "", ""))))
    for name, text in (
        ("data set", template.dataset.title or template.dataset.name),
        ("task", task),
        ("variety", template.variety or "none"),
        ("language", template.language or ""),
        ("metrics", ", ".join(template.metrics) or "none"),
        ("for rows", template.when or ""),
        ("examples", f"{template.shots} answered training rows before it" if template.shots else ""),
        ("reference", template.reference),
        ("notes", template.notes),
        ("path", path_on_sample(template)),
        ("file", template.path),
    ):
        yield from _fact(name, text, paper)
    if not tried:
        yield "\n  The data set has no sample rows to show it on; the file holds its text."
        return
    shown = tried[row - 1] if row is not None else next((one for one in tried if one.made), tried[0])
    yield f"\nsample row {shown.row} of {len(tried)}"
    yield from _made(shown, paper)


def _made(example: Example, paper: Paper) -> Iterator[str]:
    if example.made is None:
        yield from wrapped(f"{'fails' if example.failed else 'gives nothing'}: {example.why}", paper, 2)
        return
    blocks = [("prompt" if role == "user" else role, text) for role, text in example.made.messages]
    blocks = [(f"{'user' if name == 'prompt' else name}, earlier", text) for name, text in blocks[:-1]] + blocks[-1:]
    blocks += [("target", text) for text in example.made.references]
    if example.made.choices:
        blocks.append(("choices", "\n".join(example.made.choices)))
    for name, text in blocks:
        yield f"\n  {name.replace('system, earlier', 'system')}"
        yield from wrapped(text, paper, 4)
