"""Runs -> one page with tables, plots and samples; the same as Markdown and JSON; the data card.

`write` makes `report.html` (self-contained, opens offline), `report.md`, `report.json` (of no language) and a data card
for each run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from mashq.record import read_run
from mashq.report.card import data_card
from mashq.report.content import build
from mashq.report.markdown import report_markdown
from mashq.report.page import render
from mashq.report.sweep import page_of, sweep_of, table_of
from mashq.report.words import LANGUAGES, Lang, Words
from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole

__all__ = ["data_card", "write"]


def write(runs: Sequence[Path], out: Path, *, lang: Lang | Literal["both"] = "ar", seed: int = 0) -> Path:
    """Report on runs, given as their records `runs/<recipe>/<name>.json`, into the folder `out`; gives the page.

    In both languages the English page and Markdown are `report.en.html` and `report.en.md`, beside the Arabic ones.
    `seed` draws the samples. The same runs, language and seed give the same bytes.

    Raises MashqError for no run, a record or step folder that is absent or unreadable, an unknown language, a page of
    5 MB or more, and an `out` that cannot be written.
    """
    if not runs:
        raise MashqError(expected_got("report", "one or more run records", "none", "Name a run: mashq report RECIPE."))
    tongues = [Words(one) for one in (LANGUAGES if lang == "both" else (lang,))]
    found = [read_run(Path(run)) for run in runs]
    texts: dict[str, str] = {}
    if len(found) == 1 and (sweep := sweep_of(found[0])) is not None:
        texts["report.json"] = (sweep.folder / "sweep.json").read_text("utf-8")
        for words in tongues:
            pair = (table_of(sweep, words.lang), page_of(sweep, words.lang))
            texts |= zip(_names(words.lang, lang), pair, strict=True)
    else:
        content = build(found, seed=seed)
        texts["report.json"] = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        cards = [facts["data_card"] for facts in content["runs"]]
        texts |= {name: data_card(run.path) for run, name in zip(found, cards, strict=True) if name}
        for words in tongues:
            pair = (report_markdown(content, words), render(content, words))
            texts |= zip(_names(words.lang, lang), pair, strict=True)
    _write(out, texts)
    return out / "report.html"


def _names(lang: Lang, asked: str) -> tuple[str, str]:
    """The Markdown and the page in a language; the one that is read first, or alone, has the plain name."""
    end = ".en" if (lang, asked) == ("en", "both") else ""
    return f"report{end}.md", f"report{end}.html"


def _write(out: Path, texts: Mapping[str, str]) -> None:
    """Every file whole or not at all; the page comes last."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with write_whole(out / name) as partial:
                partial.write_bytes(text.encode("utf-8", "backslashreplace"))  # half a character is "\\ud800" in JSON
    except OSError as error:
        got = f"'{error.strerror}' ({error.filename or out})"
        do = "Name another folder with --out."
        raise MashqError(expected_got(f"report: {out}", "a folder that can be written to", got, do)) from error
