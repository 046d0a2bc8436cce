"""Sections of the report that a step of its own fills, each in a module and a template of its own.

A new one: a module with what `Part` says, its name in `PARTS`, its sentences in `words_<name>.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mashq.record import Run, Step
from mashq.report import contamination, judging, people
from mashq.report.words import Words

__all__ = ["PARTS", "Part", "markdown_of", "read_parts", "views_of"]


class Part(Protocol):
    """What a section's module holds."""

    HEADING: str  # key of its heading in words; a run's section of that kind is `#r1-HEADING`
    TEMPLATE: str  # file beside this one; it sees `part`, which is what `view` gave

    def read(self, step: Step) -> dict[str, Any]:
        """The facts that report.json holds, of a finished step. Raises MashqError where its files are absent."""
        ...

    def view(self, words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
        """The facts with the cells, plots and sentences that the template lays out."""
        ...

    def markdown(self, words: Words, facts: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
        """Lines of report.md, without the heading."""
        ...


PARTS: Mapping[str, Part] = {  # what a step produces -> the section that shows it, in the order of the page
    "contamination": contamination,
    "judge_card": judging,
    "people": people,
}


def read_parts(run: Run) -> list[dict[str, Any]]:
    """The facts of every step that has such a section."""
    return [
        {"kind": kind, "step": step.name, **part.read(step)} for kind, part in PARTS.items() for step in run.of(kind)
    ]


def views_of(words: Words, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each kind of section that a run has, with its steps as their template shows them."""
    found = []
    for kind, part in PARTS.items():
        steps = [part.view(words, facts, run) for facts in run["parts"] if facts["kind"] == kind]
        if steps:
            found.append({"heading": part.HEADING, "template": part.TEMPLATE, "steps": steps})
    return found


def markdown_of(words: Words, run: Mapping[str, Any]) -> list[str]:
    """The sections of a run as lines of Markdown."""
    lines: list[str] = []
    for facts in run["parts"]:
        part = PARTS[facts["kind"]]
        lines += [f"### {words.plain(part.HEADING)}: {facts['step']}", "", *part.markdown(words, facts, run)]
    return lines
