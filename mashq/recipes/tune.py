"""Your own file, your own template: prompts, a tuned student, and its gain on rows kept out.

mashq make tune --data my.csv --template my.yaml
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mashq import rows, templates
from mashq import steps as shared
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.proof import ProofSettings, tuned_and_asked
from mashq.rows import MashqError
from mashq.run import Job, Step
from mashq.sources import SourceSettings
from mashq.steps import SplitSettings, StudentSettings
from mashq.train import TrainSettings


@dataclass(frozen=True)
class Settings:
    data: str = ""  # your file or folder: CSV, TSV, JSON(L), Parquet, XLSX, SQuAD, chats, or hf://owner/name
    template: str = ""  # your template file; `mashq new template NAME` writes one to start from
    templates: str = ""  # a folder of template files, all of which are used
    source: SourceSettings = field(default_factory=SourceSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    shots: int | None = None  # answered training rows before each prompt; null: as many as its template says
    rows: int = 0  # training rows of each variety; 0 = all
    unseen: tuple[str, ...] = ()  # varieties that are asked and never learnt
    asked: int = 200  # test rows of each variety that the student is asked; 0 = all
    student: StudentSettings = field(default_factory=StudentSettings)
    train: TrainSettings = field(default_factory=lambda: TrainSettings(lr_peak=5e-4, supervise="last"))
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=64))
    metrics: tuple[str, ...] = ("rougeL", "chrF++", "exact", "bits_per_byte", "perplexity")
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="prompts")))
    seed: int = 0


class WithTemplates(Protocol):
    """Settings of a recipe that takes the user's template files."""

    @property
    def template(self) -> str: ...
    @property
    def templates(self) -> str: ...


SIZES = {"small": Settings(rows=400, asked=60), "large": Settings(asked=0)}


def template_files(settings: WithTemplates) -> list[Path]:
    """The user's template files: the one named, and those of the folder named."""
    named = [Path(settings.template)] if settings.template else []
    if settings.templates:
        folder = Path(settings.templates)
        found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        if not found:
            raise MashqError(f"--templates {folder}: expected a folder with template files (*.yaml), got none.")
        named += found
    return named


def seen(table: pa.Table, job: Job) -> pa.Table:
    """The rows of varieties that are learnt; the others are dropped with that reason."""
    unseen = set(job.settings["unseen"])
    reasons = [
        f"unseen: {one} is asked and not learnt" if one in unseen else None for one in table["variety"].to_pylist()
    ]
    return rows.drop(table, reasons)


def steps(settings: Settings) -> list[Step]:
    files = template_files(settings)
    if not settings.data or not files:
        lacking = "--data FILE" if not settings.data else "--template FILE (or --templates DIR)"
        raise MashqError(
            f"tune: expected your own data and template, got no {lacking}. For example: "
            "mashq make tune --data my.csv --template my.yaml; `mashq new template my` writes a template to start from."
        )
    dataset = templates.load(files[0])[0].dataset
    licence = settings.source.licence or dataset.licence
    raw = shared.read("raw", settings.data, shared.with_licence(settings.source, licence))
    made = shared.prompts("prompts", raw, files=files)
    divided = shared.split("split", made, settings.split)
    learnt = shared.take("learnt", divided, "train", most=settings.rows, seed=settings.seed)
    asked = shared.take("asked", divided, "test", most=settings.asked, seed=settings.seed)
    before = [raw, made, divided, learnt, asked]
    source = divided
    if settings.unseen:
        told = {"unseen": sorted(settings.unseen)}
        learnt = Step("learnt-seen", seen, told, {"rows": learnt})
        source = Step("examples-seen", seen, told, {"rows": divided})  # examples before a prompt are learnt from too
        before.append(learnt)
    of_file = [one for file in files for one in templates.load(file)]
    (learnt, asked), fresh = shared.with_shots([learnt, asked], source, of_file, settings.shots, settings.seed)
    student, training = settings.student, settings.train
    proof, seed = settings.proof, settings.seed
    gain = tuned_and_asked(learnt, asked, student, training, settings.decoding, settings.metrics, proof, seed)
    return [*before, *fresh, *gain]
