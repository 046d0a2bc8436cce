"""The pieces that Markdown is made of: texts from data that cannot break a line, a table or the page they stand on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from mashq.report.words import Words

__all__ = ["cell", "closed", "code", "left_to_right", "safe", "seen", "table", "yaml_text"]

LEFT, POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
MOST_CELL = 300  # characters of a text in a table
ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&\\`*[]<>|#"}
MOST_LINE = 2_000  # characters of any text from data
# Controls but tab and line ends, and halves of a character, which no file of UTF-8 can hold.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
PICTURES, DELETE = 0x2400, "\N{SYMBOL FOR DELETE}"  # U+2400 is the picture of NUL, U+241B of ESC
# Marks that open a direction, and the mark that closes each.
END = "\N{POP DIRECTIONAL FORMATTING}"
OPENS = dict.fromkeys(map(chr, (0x2066, 0x2067, 0x2068)), POP) | dict.fromkeys(
    map(chr, (0x202A, 0x202B, 0x202D, 0x202E)), END
)
DIRECTED = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def seen(text: str) -> str:
    """A text whose control characters are seen as their pictures, which no terminal or browser acts on."""
    return CONTROL.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code_point = ord(found[0])
    if code_point < 0x20:
        return chr(PICTURES + code_point)
    return DELETE if code_point == 0x7F else "\N{REPLACEMENT CHARACTER}"


def closed(text: str) -> str:
    """A text whose direction marks end with it: those left open are closed, a closing one without an opening goes."""
    if not DIRECTED.search(text):
        return text
    kept: list[str] = []
    waiting: list[str] = []  # the closing marks that are still to come, the nearest last
    for mark in text:
        if mark in OPENS:
            waiting.append(OPENS[mark])
        elif mark == POP and POP in waiting:
            while waiting.pop() != POP:  # the end of an isolate ends what was opened inside it
                pass
        elif mark == END and waiting and waiting[-1] == END:
            waiting.pop()
        elif mark in (POP, END):
            continue
        kept.append(mark)
    return "".join([*kept, *reversed(waiting)])


def safe(text: object) -> str:
    """A text from data on one line of Markdown: no markup, table, link or HTML of its own."""
    line = seen(" ".join(str(text).split()))
    line = line if len(line) <= MOST_LINE else f"{line[:MOST_LINE]}…"
    return closed(line).translate(ESCAPES)


def code(text: object, *, in_table: bool = False) -> str:
    """A name as a code span; what would end the span, or the cell it stands in, is taken out."""
    ends = "`|" if in_table else "`"
    line = closed(seen(" ".join(str(text).split())))
    return "`" + "".join(mark for mark in line if mark not in ends) + "`"


def cell(text: str, whole: int = 0) -> str:
    """A text from data in a table, cut for show; the cut says the full length in characters.

    `whole` is that length where the text was cut before, else 0.
    """
    whole = whole or len(text)
    return safe(text if whole <= MOST_CELL else f"{text[:MOST_CELL]}… ({whole})")


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
