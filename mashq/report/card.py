"""The data card of a run: what its rows are, how they were made, why others were dropped, under which licences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mashq.record import COUNTS, Run, Step, read_run
from mashq.report.lines import cell, code, safe, table, yaml_text
from mashq.report.plots import number
from mashq.report.samples import draw_rows
from mashq.rows import MashqError

__all__ = ["data_card", "final_steps"]

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
SPDX_ON_HUB = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC-BY-4.0": "cc-by-4.0", "CC-BY-SA-4.0": "cc-by-sa-4.0"}


def data_card(run: Path) -> str:
    """The Markdown data card of a run (`runs/<recipe>/<name>.json`), with the front matter that hubs read.

    It describes the rows that training takes, or where nothing is trained the rows that no further step takes. Raises
    MashqError for a run without a step that makes rows.
    """
    found = read_run(run)
    final = final_steps(found)
    needed = {step.fingerprint for last in final for step in (last, *found.upstream(last))}
    steps = [step for step in found.of("rows") if step.fingerprint in needed]
    tally = _summed(step.manifest.get("tally") or {} for step in final)
    rows = sum((step.counts or {}).get("kept", 0) for step in final)
    licences = list(_summed({"licence": step.manifest.get("licences") or {}} for step in steps).get("licence", {}))
    lines = [*_front(found, rows, licences, tally), f"# {safe(found.recipe)}: data card", ""]
    caption = str(found.record.get("caption") or "")
    lines += [safe(caption), ""] if caption else []
    lines += [
        f"{number(rows)} rows of Arabic training data, made by mashq {safe(found.record.get('mashq', ''))} with the "
        f"recipe {code(found.recipe)}, run {code(found.name)}, started {safe(found.record.get('started', ''))}.",
        "",
        "## How it was made",
        *_steps_table(steps),
        "Counts close at every step: in + made = kept + dropped + merged + unsampled. Dropped rows lie, with their "
        "reasons, in each step's folder `dropped/`.",
        "",
        "## Why rows were dropped",
        *_reasons(steps),
        "## What it is made of",
        *_composition(tally),
        "## Sources and licences",
        *_licence_lines(found, licences),
        "## Two rows, drawn by seed 0",
        *_examples(found, final),
        "## Limits",
        "",
        "- Rows made by templates or by a model are regular where people are not: do not take their variety for that "
        "of written Arabic.",
        "- The checks above catch what they name. They do not check facts, and nobody has read every row.",
        "- Names and other personal content of the sources are as the sources have them unless a step above removed "
        "them.",
        "",
        "## Identity",
        *table(["step", "fingerprint", "rows digest"], _identity(final)),
        f"To make it again: {code('mashq make ' + found.recipe)} with the settings in {code(found.path.name)}.",
        "",
    ]
    return "\n".join(lines)


def final_steps(run: Run) -> list[Step]:
    """The steps whose rows are the data: what training takes, else what no further step takes."""
    rows = list(run.of("rows"))
    if not rows:
        raise MashqError(f"data card: {run.path}: no step of this run makes rows, so there is no data to describe.")
    taken = {str(value) for step in run.of("model") for value in (step.manifest.get("inputs") or {}).values()}
    trained = [step for step in rows if step.fingerprint in taken]
    if trained:
        return trained
    used = {str(value) for step in rows for value in (step.manifest.get("inputs") or {}).values()}
    return [step for step in rows if step.fingerprint not in used]


def _summed(tallies: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for tally in tallies:
        for column, values in tally.items():
            for value, rows in values.items():
                column_of = found.setdefault(column, {})
                column_of[value] = column_of.get(value, 0) + rows
    return found


def _front(run: Run, rows: int, licences: Sequence[str], tally: Mapping[str, Mapping[str, int]]) -> list[str]:
    size = next((name for limit, name in SIZES if rows < limit), "n>1M")
    licence = SPDX_ON_HUB.get(licences[0], "other") if len(licences) == 1 else "other"
    lines = ["---", "language:", "- ar", f"license: {licence}"]
    if licence == "other":
        lines.append(f"license_name: {yaml_text('; '.join(licences) or 'unknown')}")
    lines += [f"pretty_name: {yaml_text(run.recipe)}", "size_categories:", f"- {size}"]
    lines += ["tags:", "- mashq", "- synthetic"]
    lines += [f"- {yaml_text(name)}" for name in tally.get("variety", {})]
    return [*lines, "---", ""]


def _steps_table(steps: Sequence[Step]) -> list[str]:
    rows = [
        [code(step.folder.name, in_table=True), *(number((step.counts or {}).get(kind, 0)) for kind in COUNTS)]
        for step in steps
    ]
    return table(["step", *COUNTS], rows)


def _reasons(steps: Sequence[Step]) -> list[str]:
    rows = [
        [safe(step.name), safe(reason), number(count)]
        for step in steps
        for reason, count in (step.manifest.get("reasons") or {}).items()
    ]
    return table(["step", "reason", "rows"], rows) if rows else ["", "No row was dropped.", ""]


def _composition(tally: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = [
        [column, safe(value), number(count)]
        for column in ("source", "split", "task", "variety")
        for value, count in sorted(tally.get(column, {}).items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return table(["by", "value", "rows"], rows) if rows else ["", "Not recorded.", ""]


def _licence_lines(run: Run, licences: Sequence[str]) -> list[str]:
    lines = ["", *(f"- {safe(name)}" for name in licences)] if licences else ["", "No step recorded a licence."]
    notices = [
        str(value)
        for step in run.steps
        for name, value in (step.manifest.get("identity") or {}).items()
        if name in ("licence", "notice") and value
    ]
    notices += [f"{one['name']}, which {one['role']} rows: {one['licence']}" for s in run.steps for one in s.judges]
    return [*lines, *(f"- {safe(notice)}" for notice in dict.fromkeys(notices)), ""]


def _examples(run: Run, final: Sequence[Step]) -> list[str]:
    lines = [""]
    for step in final:
        for row in draw_rows(run, step, dropped=False, seed=0, n=2):
            turns = [f"- *{safe(turn['role'])}*: {cell(turn['text'])}" for turn in row["texts"]]
            lines += [*turns, *(f"- *reference*: {cell(text['text'])}" for text in row["references"][:1]), ""]
    return lines


def _identity(final: Sequence[Step]) -> list[list[str]]:
    return [
        [
            safe(step.name),
            code(step.fingerprint, in_table=True),
            code(step.manifest.get("hash") or "-", in_table=True),
        ]
        for step in final
    ]
