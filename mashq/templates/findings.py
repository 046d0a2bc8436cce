"""What the linter can find, how a finding is told, and what its authors have accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mashq.rows import nearest
from mashq.templates import mending
from mashq.templates.template import Template

__all__ = [
    "ERROR",
    "FIXABLE",
    "RULES",
    "SHOWN",
    "WARNING",
    "Finding",
    "Report",
    "Rule",
    "grouped",
    "kept",
    "of_data",
    "of_template",
]

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Rule:
    """`level`: an error makes `mashq lint` fail. `about`: what is wrong, in one line."""

    level: str
    about: str


RULES: dict[str, Rule] = {
    "unreadable": Rule(ERROR, "the file or template cannot be read: YAML, keys, types, Jinja"),
    "field-missing": Rule(ERROR, "a field is named that the rows do not have"),
    "render-fails": Rule(ERROR, "the template fails on a row"),
    "renders-nothing": Rule(ERROR, "no row gives a prompt"),
    "empty-render": Rule(WARNING, "a row gives an empty prompt, turn or target; `when` says which rows it is for"),
    "duplicate-render": Rule(ERROR, "two templates give the same prompt for the same row"),
    "near-duplicate-template": Rule(WARNING, "two templates ask for the same with nearly the same words"),
    "target-not-a-choice": Rule(ERROR, "the target is none of the choices"),
    "unused-choices": Rule(WARNING, "a choice is never the target"),
    "choice-not-in-prompt": Rule(ERROR, "choices_in_prompt is true, but the prompt lacks a choice"),
    "claims-no-choices": Rule(WARNING, "the prompt shows the choices, but choices_in_prompt does not say so"),
    "target-in-prompt": Rule(ERROR, "the prompt shows the field that is the target"),
    "wrong-no": Rule(ERROR, "رقم (a number) where لا (no) is meant"),
    "english-in-arabic": Rule(ERROR, "Latin words in an Arabic template's own text"),
    "html-entity": Rule(ERROR, "an HTML entity in the template's own text"),
    "presentation-form": Rule(ERROR, "glyph forms in place of letters"),
    "hidden-mark": Rule(ERROR, "a bidi control or zero-width character that nobody sees"),
    "broken-escape": Rule(ERROR, "a backslash and a letter where a line should end"),
    "double-space": Rule(WARNING, "two spaces between words"),
    "latin-punctuation": Rule(ERROR, "? , or ; after Arabic"),
    "mixed-digits": Rule(WARNING, "٠١٢ and 012 in one text"),
    "unbalanced-quotes": Rule(WARNING, "«, ( or “ without its other half"),
    "unknown-task": Rule(ERROR, "a task that is not in mashq/templates/tasks.yaml"),
    "no-examples": Rule(WARNING, "`shots` in a data set without rows to train on, which examples are drawn from"),
    "unknown-metric": Rule(ERROR, "a metric that mashq does not have"),
    "missing-about": Rule(ERROR, "something is not said of the data set or the template"),
    "unverified-schema": Rule(WARNING, "the fields were not read at the source"),
    "licence-forbids": Rule(WARNING, "the licence forbids a use, or what it allows is unknown"),
    "unused-acceptance": Rule(WARNING, "`accepted` names no rule, gives no reason, or accepts nothing"),
}
FIXABLE = frozenset(mending.MENDED)
# Rules that judge what a template makes of a row, which an invented row cannot show.
_REAL_ROWS = frozenset({"field-missing", "render-fails", "renders-nothing", "empty-render"})
SHOWN = 3  # different places told in one finding


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what was found, what was expected, how to mend it."""

    rule: str
    path: str
    template: str  # or the data set, where it is not of one template
    part: str  # prompt, target, choices, system, turns[0], dataset …
    row: str  # sample[0], row 17, invented[2]; empty where no row is needed
    found: str
    expected: str
    mend: str
    key: str = ""  # of the template in its file
    line: int = 0  # in the file, from 1; 0 where it is not known

    @property
    def level(self) -> str:
        """Of its rule."""
        return RULES[self.rule].level

    @property
    def text(self) -> str:
        """All of it on one line."""
        path = Path(self.path)
        short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        where = f"{short}:{self.line}" if self.line else str(short)
        at = ", ".join(filter(None, (self.template and f"'{self.template}'", self.part, self.row)))
        rest = f"; expected {self.expected}" if self.expected else ""
        mend = f" {self.mend}" if self.mend else ""
        return f"{where}: {self.level}: {self.rule}: {at}{': ' if at else ''}{self.found}{rest}.{mend}"

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"level": self.level, **asdict(self), "text": self.text}


@dataclass(frozen=True)
class Report:
    """What was looked at and what was found. `untried`: templates that no row could be rendered with."""

    findings: tuple[Finding, ...]
    templates: int
    files: int
    untried: tuple[str, ...]

    def count(self, level: str) -> int:
        """Findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def page(self, mended: int = 0) -> str:
        """For the terminal: errors first, then warnings, then the sum."""
        ordered = sorted(self.findings, key=lambda finding: finding.level)
        lines = [finding.text for finding in ordered]
        if mended:
            lines.append(f"mended: {mended}")
        if self.untried:
            n = len(self.untried)
            names = ", ".join(self.untried[:SHOWN]) + (" …" if n > SHOWN else "")
            lines.append(
                f"not tried, because no row was for them: {n} of {self.templates} templates ({names}). Give --data."
            )
        counts = f"{self.count(ERROR)} errors, {self.count(WARNING)} warnings"
        return "\n".join([*lines, f"{counts} in {self.templates} templates of {self.files} files"])

    def json(self, mended: int = 0) -> str:
        """The same for programs."""
        content = {
            "findings": [finding.record() for finding in self.findings],
            "errors": self.count(ERROR),
            "warnings": self.count(WARNING),
            "templates": self.templates,
            "files": self.files,
            "untried": self.untried,
            "mended": mended,
        }
        return json.dumps(content, ensure_ascii=False, indent=1)


def of_template(
    template: Template, rule: str, part: str, row: str, found: str, expected: str, mend: str = ""
) -> Finding:
    short = template.name.removeprefix(f"{template.dataset.name}/")
    return Finding(rule, template.path, template.name, part, row, found, expected, mend, template.uuid or short)


def of_data(template: Template, rule: str, part: str, found: str, expected: str, mend: str = "") -> Finding:
    return Finding(rule, template.path, template.dataset.name, part, "", found, expected, mend)


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a rule, template and part, with the first place and how many there are."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.template, finding.part), []).append(finding)
    made = []
    for group in groups.values():
        founds = list(dict.fromkeys(finding.found for finding in group))
        more = f" and {len(founds) - SHOWN} more" if len(founds) > SHOWN else ""
        rows = len({finding.row for finding in group if finding.row})
        row = f"{group[0].row} and {rows - 1} more" if rows > 1 else group[0].row
        made.append(replace(group[0], found="; ".join(founds[:SHOWN]) + more, row=row))
    return made


def kept(findings: list[Finding], group: list[Template], real: bool) -> list[Finding]:
    """Without what is accepted; and what is wrong with acceptances."""
    data = group[0].dataset
    owners: list[tuple[str, Mapping[str, str], Template | None]] = [(data.name, data.accepted, None)]
    owners += [(template.name, template.accepted, template) for template in group]
    left = findings
    extra = []
    for name, accepted, template in owners:
        for rule, why in accepted.items():
            covered = [one for one in findings if one.rule == rule and (template is None or one.template == name)]
            left = [one for one in left if one not in covered]
            fault = _acceptance_fault(rule, why, covered, real)
            if fault and template:
                extra.append(of_template(template, "unused-acceptance", "accepted", "", *fault))
            elif fault:
                extra.append(of_data(group[0], "unused-acceptance", "accepted", *fault))
    return left + extra


def _acceptance_fault(rule: str, why: Any, covered: list[Finding], real: bool) -> tuple[str, str] | None:
    if rule not in RULES:
        return f"there is no rule '{rule}'", f"one of {', '.join(RULES)}.{nearest(rule, RULES)}".rstrip(".")
    if not (isinstance(why, str) and why.strip()):
        return f"'{rule}' is accepted without a reason", f"`{rule}: why`"
    if not covered and (real or rule not in _REAL_ROWS):
        return f"'{rule}' is accepted, and nothing breaks it", "no such line"
    return None
