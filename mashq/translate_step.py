"""The step that translates and judges rows, and the survey of what it did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from mashq import translate_rows, translate_settings
from mashq.memory import FILE, Memory
from mashq.run import Job, Step, read_rows
from mashq.translate import Translator
from mashq.translate_settings import TranslationSettings
from mashq.translate_show import failures

__all__ = ["survey", "translation"]


def translation(name: str, rows: Step, settings: TranslationSettings) -> Step:
    """The rows in Arabic, each sentence translated once and judged; a row with one that fails is dropped."""
    opened = translate_settings.translator(settings, None)
    return Step(
        name,
        _translated,
        translate_settings.without_paths(settings),
        {"rows": rows},
        files=translate_settings.files_of(settings),
        identity={"models": translate_settings.models_of(opened)},
        here=bool(opened.engine.licence or opened.bar),  # a model is held once; without one every worker translates
    )


def _translated(rows: pa.Table, job: Job) -> pa.Table:
    opened = _translator(job)
    asked = job.settings
    shown = translate_rows.Shown(job.name, asked.variety, asked.lost_choices)
    made = translate_rows.work_of(rows, job.folder.name)
    table, judge = translate_rows.translated(rows, opened, asked.rule, shown, made)
    opened.memory.keep_work(made, job.folder.name, json.dumps(judge.spent))
    return table


def survey(name: str, translated: Step) -> Step:
    """What a translation step did: `failures.csv`, the sentences that cost most rows; and how much was done anew."""
    return Step(name, _survey, inputs={"translated": translated}, kind="folder", produces="plan")


def _survey(job: Job) -> Mapping[str, Any]:
    folder = job.inputs["translated"]
    found = failures(read_rows(folder, ["dropped"], dropped=True))
    pa_csv.write_csv(found, job.folder / "failures.csv")
    spent: Counter[str] = Counter()
    with Memory(job.root / FILE) as memory:
        for note in memory.work(folder.name):
            spent.update(json.loads(note))
    return {name: round(value, 1) for name, value in sorted(spent.items())}


_OPEN: dict[Path, Translator] = {}  # the engine and the scorer of one step at a time


def _translator(job: Job) -> Translator:
    if job.folder not in _OPEN:
        _OPEN.clear()
        settings = translate_settings.with_paths(job.settings, job.files)
        _OPEN[job.folder] = translate_settings.translator(settings, job.root)
    return _OPEN[job.folder]
