"""The templates as one HTML page that a linguist reviews offline: what is known of each data set, every template as it
was written and what it makes of the sample rows, with search and filters.

The page's policy (CSP) allows its own style sheet and script, by hash, and nothing else. Texts from template files are
escaped, and each stands in an element of its own, so that neither markup nor direction marks leave it. Everything is
in the page from the start, in closed <details>, which browsers do not lay out: without scripts all of it can be read.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import regex
from markupsafe import Markup, escape

from mashq.licences import uses
from mashq.report.cells import num
from mashq.report.page import environment_of
from mashq.report.words import Lang, Words, isolate
from mashq.rows import MashqError
from mashq.shards import write_whole
from mashq.templates.catalogue import (
    Entry,
    Example,
    examples,
    licence_names,
    path_on_sample,
    row_count,
    short_name,
    sources,
)
from mashq.templates.lint import tasks
from mashq.templates.template import Dataset, Template
from mashq.templates.terminal import json_text, type_text

__all__ = ["MOST_BYTES", "gallery", "write_gallery"]

MOST_BYTES = 6_000_000  # of the page
FILTERS = ("task", "variety", "licence", "path")
_TAG = regex.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", regex.DOTALL)  # Jinja's three kinds of tags
# In code, words of a right-to-left script: the `[:6]` after an Arabic name would be drawn before it.
_WORDS = regex.compile(r"([\p{bc=R}\p{bc=AL}][\p{bc=R}\p{bc=AL}\p{bc=NSM}]*(?:[ _][\p{bc=R}\p{bc=AL}\p{bc=NSM}]+)*)")
_SURROGATES = regex.compile("[\ud800-\udfff]")  # a template can make a lone half of a pair, which no file can hold


def write_gallery(entries: Sequence[Entry], out: Path, *, lang: Lang = "ar") -> int:
    """Write the page to the file `out`; -> its bytes. The same templates and language give the same bytes.

    Raises MashqError for no template, a folder in place of a file, and a page of 6 MB or more.
    """
    if out.is_dir():
        raise MashqError(f"templates: --html: expected the name of a file, got the folder {out}.")
    page = gallery(entries, lang=lang).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(out) as partial:
        partial.write_bytes(page)
    return len(page)


def gallery(entries: Sequence[Entry], *, lang: Lang = "ar") -> str:
    """The whole page. Raises MashqError for no template and for a page of 6 MB or more."""
    if not entries:
        raise MashqError("templates: --html: expected one or more data sets, got none.")
    words = Words(lang)
    here = Path(__file__).parent
    style = "".join((here / name).read_text("utf-8") for name in ("page.css", "gallery.css"))
    script = (here / "gallery.js").read_text("utf-8")
    environment = environment_of(words)
    view = _View(words)
    shown = [view.entry(entry) for entry in entries]
    html = environment.get_template("gallery.html").render(
        entries=shown,
        filters=view.filters(shown),
        templates=sum(len(entry.templates) for entry in entries),
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
    )
    html = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", html)
    size = len(html.encode())
    if size >= MOST_BYTES:
        raise MashqError(
            f"templates: --html: the page would have {size:,} bytes, expected less than {MOST_BYTES:,}. "
            "Show fewer with --task, --variety, --licence or --search."
        )
    return html


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def marked(source: str, *, code: bool = False) -> Markup:
    """Jinja as HTML: every tag isolated left to right, so that braces stay on their sides in an Arabic line.

    `code`: all of it is one expression, without braces.
    """
    pieces = ["", source, ""] if code else _TAG.split(source)
    return Markup("").join(_tag(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces))


def _tag(text: str) -> Markup:
    inside = (isolate(piece) if place % 2 else escape(piece) for place, piece in enumerate(_WORDS.split(text)))
    return Markup('<bdi dir="ltr" class="tag">{}</bdi>').format(Markup("").join(inside))


class _View:
    """Turns entries into what the page lays out: plain values, and HTML where a text has a structure of its own."""

    def __init__(self, words: Words):
        self.words = words

    def entry(self, entry: Entry) -> dict[str, Any]:
        """One data set."""
        data = entry.dataset
        return {
            "id": f"d/{data.name}",
            "name": data.name,
            "title": data.title or data.name,
            "count": len(entry.templates),
            "rows": row_count(data),
            "licences": licence_names(data.licence),
            "licence": data.licence or self.words.plain("unknown_licence"),
            "short_licence": self._licence(data.licence),
            "varieties": [self.variety(name) for name in entry.varieties],
            "unverified": data.unverified,
            "facts": list(self._facts(data)),
            "fields": self._fields(data),
            "sample": len(data.sample),
            "templates": [self._template(template) for template in entry.templates],
            "faults": entry.faults,
        }

    def variety(self, name: str) -> str:
        """A variety's name for readers."""
        return self.words.term("variety_name", name)

    def _licence(self, licence: str) -> str:
        names = licence_names(licence)
        known = {"custom": "gallery_custom", "unknown": "unknown_licence"}
        return " + ".join(self.words.plain(known[name]) if name in known else name for name in names)

    def _facts(self, data: Dataset) -> list[tuple[str, Any]]:
        splits = [
            Markup("{} {}").format(isolate(name), num(n) if isinstance(n, int) else isolate(n))
            for name, n in data.splits.items()
        ]
        facts = [
            ("licence", data.licence or self.words.plain("unknown_licence")),
            ("gallery_allows", self._allows(data.licence)),
            ("gallery_citation", data.citation),
            ("gallery_splits", Markup(" · ").join(splits)),
            ("gallery_size", data.size),
            ("gallery_shape", data.shape),
            ("gallery_language", data.language),
            ("variety", data.variety and self.variety(data.variety)),
            ("gallery_domain", data.domain),
            ("gallery_schema", data.schema),
            ("gallery_notes", data.notes),
        ]
        address = data.address
        if address.startswith(("https://", "http://")):
            address = Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(address)
        return [(name, value) for name, value in (("gallery_address", address), *facts) if value]

    def _allows(self, licence: str) -> Markup:
        allowed = uses(licence)
        told = [
            Markup('<span class="use {}">{}: {}</span>').format(
                value, self.words.plain(f"gallery_use_{use}"), self.words.plain(f"gallery_allowed_{value}")
            )
            for use in ("train", "redistribute", "commercial")
            if (value := getattr(allowed, use))
        ]
        return Markup(" ").join(told)

    def _fields(self, data: Dataset) -> list[dict[str, Any]]:
        """A field a row: its name, its type, its value in every sample row."""
        names = dict.fromkeys([*data.fields, *(name for row in data.sample for name in row)])
        return [
            {
                "name": str(name),
                "type": type_text(data.fields.get(name, "")),
                "values": [_value(row.get(name)) for row in data.sample],
            }
            for name in names
        ]

    def _template(self, template: Template) -> dict[str, Any]:
        path = path_on_sample(template)
        kind, _, why = path.partition(": ")
        task = template.task or ""
        return {
            "id": f"t/{template.name}",
            "name": short_name(template),
            "task": task,
            "task_name": self.task(task),
            "variety": template.variety or "",
            "variety_name": self.variety(template.variety or ""),
            "metrics": template.metrics,
            "shots": template.shots,
            "path": kind,
            "why": why if kind != "unknown" else "",
            "sources": [(part, marked(source, code=part == "when")) for part, source in sources(template)],
            "notes": [text for text in (template.reference, template.notes) if text],
            "examples": [self._example(example) for example in examples(template)],
        }

    def task(self, task: str) -> str:
        """A task's name for readers: in Arabic where the page is Arabic and tasks.yaml has it."""
        if not task:
            return self.words.plain("gallery_no_task")
        return tasks().get(task, task) if self.words.lang == "ar" else task

    def _example(self, example: Example) -> dict[str, Any]:
        turns: list[tuple[str, str]] = []
        if example.made is not None:
            roles = {"system": "role_system", "user": "role_user", "assistant": "role_assistant"}
            turns = [(self.words.plain(roles.get(role, "role_text")), text) for role, text in example.made.messages]
            turns[-1] = (self.words.plain("prompt"), turns[-1][1])
        return {
            "row": example.row,
            "turns": turns,
            "targets": example.made.references if example.made else (),
            "choices": example.made.choices if example.made else (),
            "why": example.why,
            "failed": example.failed,
        }

    def filters(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """For each filter its values with their templates, the most frequent first."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in FILTERS}
        for entry in entries:
            for template in entry["templates"]:
                for name in ("task", "variety", "path"):
                    counts[name][template[name]] += 1
            for licence in entry["licences"]:
                counts["licence"][licence] += len(entry["templates"])
        return [
            {
                "name": name,
                "label": self.words.plain("gallery_path" if name == "path" else name),
                "values": [
                    {"value": value, "label": self._filter_label(name, value), "count": n}
                    for value, n in sorted(counts[name].items(), key=lambda pair: (-pair[1], pair[0]))
                    if value
                ],
            }
            for name in FILTERS
        ]

    def _filter_label(self, name: str, value: str) -> str:
        if name == "path":
            return self.words.plain(f"gallery_path_{value}")
        return {"task": self.task, "variety": self.variety, "licence": self._licence}[name](value)


def _value(value: Any) -> tuple[bool, str]:
    """(whether it is a text, the text or JSON)."""
    return (True, value) if isinstance(value, str) else (False, json_text(value))
