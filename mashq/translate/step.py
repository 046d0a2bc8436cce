"""The step that translates and judges rows, and the survey of what it did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from mashq.memory import FILE, Memory
from mashq.run import Job, Step, read_rows
from mashq.translate import Judge, Translator
from mashq.translate import rows as translate_rows
from mashq.translate import settings as translate_settings
from mashq.translate.settings import TranslationSettings
from mashq.translate.show import failures

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
        version=2,
        here=bool(opened.engine.licence or opened.bar),  # a model is held once; without one every worker translates
    )


def _translated(rows: pa.Table, job: Job) -> pa.Table:
    opened = _translator(job)
    asked = job.settings
    shown = translate_rows.Shown(job.name, asked.variety, asked.lost_choices)
    made = translate_rows.work_of(rows, job.folder.name)
    table, judge = translate_rows.translated(rows, opened, asked.rule, shown, made)
    opened.memory.keep_work(made, job.folder.name, _note(judge))
    return table


TO_JUDGE = 120  # sentence pairs for people: enough to tell a precision of 0.7 from one of 0.9


def _note(judge: Judge) -> str:
    """What one piece of work did, and a sample of what it judged."""
    return json.dumps({"spent": judge.spent, "sample": judge.sample(TO_JUDGE)}, ensure_ascii=False)


def survey(name: str, translated: Step) -> Step:
    """What a translation step did, and how much of it anew.

    `failures.csv`: the sentences that cost most rows. `to_judge.tsv`: some sentences drawn from those with a score, for
    people to say which translations are good; `mashq calibrate` reads it then.
    """
    return Step(name, _survey, inputs={"translated": translated}, kind="folder", produces="plan", version=2)


def _survey(job: Job) -> Mapping[str, Any]:
    folder = job.inputs["translated"]
    found = failures(read_rows(folder, ["dropped"], dropped=True))
    pa_csv.write_csv(found, job.folder / "failures.csv")
    spent: Counter[str] = Counter()
    sample: set[tuple[int, str, str]] = set()
    with Memory(job.root / FILE) as memory:
        for note in memory.work(folder.name):
            told = json.loads(note)
            spent.update(told["spent"])
            sample.update(tuple(one) for one in told["sample"])
    pairs = [pair for _, *pair in sorted(sample) if not any(sign in text for text in pair for sign in "\t\n\r")]
    lines = ["en\tar\tgood", *("\t".join([*pair, ""]) for pair in pairs[:TO_JUDGE])]
    (job.folder / "to_judge.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return {name: round(value, 1) for name, value in sorted(spent.items())}


_OPEN: dict[Path, Translator] = {}  # the engine and the scorer of one step at a time


def _translator(job: Job) -> Translator:
    if job.folder not in _OPEN:
        _OPEN.clear()
        settings = translate_settings.with_paths(job.settings, job.files)
        _OPEN[job.folder] = translate_settings.translator(settings, job.root)
    return _OPEN[job.folder]
