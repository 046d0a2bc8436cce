"""Prompts from published Arabic data sets, through the templates of the library.

Paper 2 (arXiv 2408.05882). `small` reads the data sets whose files lie in one folder; every reader meets real data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mashq import steps as shared
from mashq import templates
from mashq.rows import MashqError, nearest
from mashq.run import Step
from mashq.sources import SourceSettings
from mashq.steps import SplitSettings

# Library data set -> its published file and how it is read.
FILES = {
    "arcd": ("arcd_train.json", SourceSettings(source="arcd", licence="MIT")),
    "xquad_ar": ("xquad.ar.json", SourceSettings(source="xquad_ar", licence="CC-BY-SA-4.0", split="test")),
    "arsarcasm_v2": ("arsarcasm_v2_train.csv", SourceSettings(source="arsarcasm_v2", licence="MIT")),
    "ajgt": ("ajgt.xlsx", SourceSettings(source="ajgt", licence="AFL-3.0")),
    "exams_ar": ("exams_ar.jsonl", SourceSettings(source="exams_ar", licence="CC-BY-SA-4.0")),
}


@dataclass(frozen=True)
class Settings:
    data: str = ""  # folder with the published files; "" = the folder in $MASHQ_DATA
    datasets: tuple[str, ...] = tuple(FILES)  # data sets of the library
    split: SplitSettings = field(default_factory=lambda: SplitSettings(by="source"))


SIZES = {"small": Settings()}


def _file(settings: Settings, dataset: str) -> Path:
    if dataset not in FILES:
        raise MashqError(f"prompts: no data set '{dataset}' ({', '.join(FILES)}).{nearest(dataset, FILES)}")
    address = templates.library(dataset)[0].dataset.address
    return shared.published("prompts", settings.data, FILES[dataset][0], address)


def steps(settings: Settings) -> list[Step]:
    made = []
    for dataset in settings.datasets:
        raw = shared.read(f"raw-{dataset}", _file(settings, dataset), FILES[dataset][1], rows_per_part=5_000)
        made += [raw, shared.prompts(f"prompts-{dataset}", raw, library=[dataset])]
    every = shared.together("prompts", {one.name: one for one in made[1::2]})
    return [*made, every, shared.split("split", every, settings.split)]
