"""The linter's rules for one text of a template, in which stand-ins hold the place of what came from the row.

A rule gives (what was found, what was expected) for each place. `ANYWHERE` are also held against the source, which
tells of texts that no row reaches; `WHOLE` need a whole rendered text.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import regex

from mashq import arabic
from mashq.templates import mending
from mashq.templates.own_text import ARABIC, HOLE, LATIN, shown, without_holes

__all__ = ["ANYWHERE", "NOT_OF_CODE", "OF_ARABIC", "WHOLE"]

Look = Callable[[str], Iterator[tuple[str, str]]]

# What Arabic writes in Latin letters, in any case.
LATIN_WORDS = frozenset(
    {"sql", "json", "jsonl", "xml", "html", "csv", "tsv", "yaml", "url", "pdf", "sms", "yyyy", "mm", "dd", "hh"}
    | {"python", "javascript", "java", "latex", "markdown", "unicode", "wikipedia", "twitter", "facebook", "iso"}
)
_LATIN = regex.compile(rf"(?<![\w&{LATIN}])[A-Za-z]['’A-Za-z-]*[A-Za-z](?![\w{LATIN}])")
_NOT_PROSE = regex.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\w+|&#?\w+;|\\+ ?[nrt](?![A-Za-z])|\\u[0-9A-Fa-f]{4}")
_LIST_MARK = regex.compile(r"(?m)(?:^|[\s،,:])[^\s()]{1,3}\)\Z|[:;]-?\)\Z")  # `أ)`, `12)`, `:)`
_DIGITS = {"Western": "[0-9]", "Arabic": "[٠-٩]", "Persian": "[۰-۹]"}
_PUNCTUATION = regex.compile(
    rf"(?V1)(?:(?<={ARABIC}[»)\]\"]?[ ]?)|(?<=[[\p{{Arabic}}&&[\p{{L}}\p{{M}}]]][»)\]\"]?[ ]?))[?,;]"
)
_PAIRS = (("«", "»"), ("(", ")"), ("“", "”"), ("[", "]"))


def _around(text: str, start: int, end: int) -> str:
    """A little of the line around a place, for a reader."""
    before, after = text[:start].rsplit("\n", 1)[-1], text[end:].split("\n", 1)[0]
    return "«" + shown(before[-20:] + text[start:end] + after[:12]).strip() + "»"


def _in_row(text: str, found: Any) -> bool:
    """Between two stand-ins a sign is the row's, left standing because the template splits there."""
    after, before = text[found.end() : found.end() + 1], text[found.start() - 1 : found.start()]
    return bool(regex.match(HOLE, after) and regex.match(HOLE, before))


def _entities(text: str) -> Iterator[tuple[str, str]]:
    for found in mending.ENTITY.finditer(text):
        meant = html.unescape(found.group())
        if meant != found.group():
            yield found.group(), f"the character itself ({meant!r})"


def _forms(text: str) -> Iterator[tuple[str, str]]:
    for word in regex.findall(r"\S+", text):
        letters = arabic.normalise(word, ("presentation",))
        if letters != word:
            codes = " ".join(f"U+{ord(one):04X}" for one in word if one > "\ufb00")
            yield f"«{shown(word)}» ({codes})", f"letters: «{shown(letters)}»"


def _hidden(text: str) -> Iterator[tuple[str, str]]:
    for start, _, _ in mending.MENDED["hidden-mark"](text):
        mark = text[start]
        yield f"U+{ord(mark):04X} {unicodedata.name(mark, '')} in {_around(text, start, start + 1)}", "no hidden mark"


def _escapes(text: str) -> Iterator[tuple[str, str]]:
    for found in mending.ESCAPE.finditer(text):
        yield f"{found.group()!r} in {_around(text, *found.span())}", "the end of a line, or no backslash"


def _spaces(text: str) -> Iterator[tuple[str, str]]:
    for found in mending.SPACES.finditer(text):
        if _in_row(text, found):
            continue
        yield f"{len(found.group())} spaces in {_around(text, *found.span())}", "one"


def _signs(text: str) -> Iterator[tuple[str, str]]:
    for found in _PUNCTUATION.finditer(text):
        if not _in_row(text, found):
            meant = {"?": "؟", ",": "،", ";": "؛"}[found.group()]
            yield f"'{found.group()}' in {_around(text, *found.span())}", f"'{meant}'"


def _latin(text: str) -> Iterator[tuple[str, str]]:
    for found in _LATIN.finditer(_NOT_PROSE.sub(" ", text)):
        words = [word for word in regex.split(r"[-'’]", found.group().lower()) if word]
        if not all(word in LATIN_WORDS for word in words):
            yield f"«{found.group()}»", "Arabic; what is rightly Latin is said under `accepted`"


def _digits(text: str) -> Iterator[tuple[str, str]]:
    kinds = [name for name, digits in _DIGITS.items() if regex.search(digits, without_holes(text))]
    if len(kinds) > 1:
        yield f"{' and '.join(kinds)} digits", "one kind"


def _quotes(text: str) -> Iterator[tuple[str, str]]:
    for opening, closing in _PAIRS:
        open_, stray = 0, 0
        for found in regex.finditer(f"[{opening}{closing}]", text):
            if found.group() == opening:
                open_ += 1
            elif open_:
                open_ -= 1
            elif not _LIST_MARK.search(text[: found.end()]):
                stray += 1
        if open_ or stray:
            yield f"{open_} {opening} and {stray} {closing} without the other half", "as many of both"


ANYWHERE: dict[str, Look] = {
    "html-entity": _entities,
    "presentation-form": _forms,
    "hidden-mark": _hidden,
    "broken-escape": _escapes,
    "double-space": _spaces,
    "latin-punctuation": _signs,
    "english-in-arabic": _latin,
}  # in the source too, whether a row reaches it or not
WHOLE: dict[str, Look] = {"mixed-digits": _digits, "unbalanced-quotes": _quotes}
OF_ARABIC = frozenset({"latin-punctuation", "english-in-arabic", "mixed-digits"})
NOT_OF_CODE = OF_ARABIC | {"broken-escape", "unbalanced-quotes", "double-space"}
