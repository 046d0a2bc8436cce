"""Runs -> one page with tables, plots and samples; the same as Markdown and JSON; the data card.

`write` makes `report.html` (self-contained, opens offline), `report.md`, `report.json` and a data card for each run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mashq.report.card import data_card
from mashq.report.content import build
from mashq.report.markdown import report_markdown
from mashq.report.page import render
from mashq.report.record import read_run
from mashq.report.sweep import page_of, sweep_of, table_of
from mashq.report.words import Lang, Words
from mashq.rows import MashqError, expected_got

__all__ = ["data_card", "write"]


def write(runs: Sequence[Path], out: Path, *, lang: Lang = "ar", seed: int = 0) -> Path:
    """Report on runs, given as their records `runs/<recipe>/<name>.json`, into the folder `out`; gives the page.

    `seed` draws the samples. The same runs, language and seed give the same bytes.

    Raises MashqError for no run, a record or step folder that is absent or unreadable, an unknown language, and a page
    of 5 MB or more.
    """
    if not runs:
        raise MashqError(expected_got("report", "one or more run records", "none", "Name a run: mashq report RECIPE."))
    words = Words(lang)
    found = [read_run(Path(run)) for run in runs]
    if len(found) == 1 and (sweep := sweep_of(found[0])) is not None:
        html, markdown = page_of(sweep, lang), table_of(sweep, lang)
        out.mkdir(parents=True, exist_ok=True)
        _write_whole(out / "report.json", (sweep.folder / "sweep.json").read_text("utf-8"))
        _write_whole(out / "report.md", markdown)
        _write_whole(out / "report.html", html)
        return out / "report.html"
    content = build(found, seed=seed)
    html = render(content, words)
    out.mkdir(parents=True, exist_ok=True)
    _write_whole(out / "report.json", json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    _write_whole(out / "report.md", report_markdown(content, words))
    for run, facts in zip(found, content["runs"], strict=True):
        if facts["data_card"]:
            _write_whole(out / facts["data_card"], data_card(run.path))
    _write_whole(out / "report.html", html)
    return out / "report.html"


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
