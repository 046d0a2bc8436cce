"""The pieces that Markdown is made of: texts from data that cannot break a line, a table or the page they stand on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from mashq.report.words import Words

__all__ = ["cell", "code", "left_to_right", "safe", "table", "yaml_text"]

LEFT, POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
MOST_CELL = 300  # characters of a text in a table
ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&\\`*[]<>|#"}
MOST_LINE = 2_000  # characters of any text from data


def safe(text: object) -> str:
    """A text from data on one line of Markdown: no markup, table, link or HTML of its own."""
    line = " ".join(str(text).split())
    line = line if len(line) <= MOST_LINE else f"{line[:MOST_LINE]}…"
    return line.translate(ESCAPES)


def code(text: object, *, in_table: bool = False) -> str:
    """A name as a code span; what would end the span, or the cell it stands in, is taken out."""
    ends = "`|" if in_table else "`"
    return "`" + "".join(mark for mark in " ".join(str(text).split()) if mark not in ends) + "`"


def cell(text: str) -> str:
    """A text from data in a table, cut for show; the cut says the full length in characters."""
    return safe(text if len(text) <= MOST_CELL else f"{text[:MOST_CELL]}… ({len(text)})")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with an empty line before and after; the cells are Markdown already."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body, ""]


def left_to_right(words: Words, text: str) -> str:
    """A run of numbers that keeps its order inside an Arabic line."""
    return f"{LEFT}{text}{POP}" if words.lang == "ar" else text


def yaml_text(text: str) -> str:
    """A text as a double-quoted YAML scalar, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False)
