"""Prompts from published Arabic data sets, mixed at scale; with `train=true` also a student, and its gain.

Paper 2 (arXiv 2408.05882). The data sets of the library whose files lie in one folder are read: the published file of
those in `FILES`, else NAME.parquet, NAME.jsonl … or a folder NAME; Parquet goes through the templates by columns.
`student` trains the embedded model on two mixtures, one ten times the other, as the paper's two. `samples` needs no
file: the two or three rows that the library holds of each of its data sets, written by us in the data set's fields, go
through all its templates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mashq import rows, templates
from mashq import steps as shared
from mashq.evaluate import LIKELIHOOD
from mashq.holdout import HeldOut, held_names
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.mix import MixtureSettings
from mashq.proof import ProofSettings, compared, once, proven
from mashq.rows import MashqError, nearest
from mashq.run import Job, Step
from mashq.sources import SourceSettings, sniff
from mashq.steps import StudentSettings, choices
from mashq.train import TrainSettings

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
    data: str = ""  # folder with the published files, or samples; "" = the folder in $MASHQ_DATA
    datasets: tuple[str, ...] = ()  # data sets of the library; none named: those in the folder, of samples all
    leave: tuple[str, ...] = ()  # templates that are not applied, such as those that `mashq lint` faults
    split: HeldOut = field(default_factory=lambda: HeldOut(of_train=True))
    forms: tuple[str, ...] = ()  # normal forms (or a profile) in which prompts count as equal; none: exact text
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    shots: int | None = None  # answered training rows before each prompt; null: as many as its template says
    totals: tuple[int, ...] = ()  # training prompts of several arms, in place of mixture.total
    asked_a_task: int = 40  # test prompts a task that the student is asked, at most
    checked_a_task: int = 10  # validation prompts a task, at most
    choices: int = 0  # test prompts a task, at most, that are answered by the likelihood of their choices; 0 = none
    train: bool = False  # train a student on each arm, and measure its gain
    student: StudentSettings = field(default_factory=StudentSettings)
    training: TrainSettings = field(default_factory=lambda: TrainSettings(lr_peak=5e-4, supervise="last"))
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=64))
    metrics: tuple[str, ...] = ("rougeL", "chrF++", "exact", "bits_per_byte", "perplexity")
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="prompts")))
    seed: int = 0


SAMPLES = "samples"  # in place of a folder: rows that the library holds

SIZES = {
    "small": Settings(mixture=MixtureSettings(over="template", cap=20)),
    # The paper's ratio of 1 to 10 between its two arms, with the embedded student.
    "student": Settings(
        mixture=MixtureSettings(mode="temperature", over="task"),
        totals=(300, 3_000),
        train=True,
    ),
    "samples": Settings(data=SAMPLES, shots=0, split=HeldOut(datasets_share=0.1), asked_a_task=3, checked_a_task=1),
    # The paper's model and numbers of prompts. LoRA, its numbers, the mixture and the split are ours (not public).
    "paper": Settings(
        split=HeldOut(test=0.02, validation=0.002, of_train=True),
        mixture=MixtureSettings(mode="temperature", cap=1_000_000),
        totals=(800_000, 8_000_000),
        asked_a_task=500,
        checked_a_task=50,
        train=True,
        student=StudentSettings(model="Qwen/Qwen2-7B"),
        training=TrainSettings(
            lr_peak=1e-4, rows_per_batch=8, accumulate=16, max_tokens=2048, rank=16, alpha=32, supervise="last"
        ),
        decoding=Decoding(max_new_tokens=256),
    ),
}


# --- where prompts come from -----------------------------------------------------------------------------------------


def _place(settings: Settings, dataset: str) -> Path | None:
    """Its published file, or a file or folder that is named after it."""
    folder = shared.data_folder(settings.data)
    if folder is None:
        return None
    if dataset in FILES and (folder / FILES[dataset][0]).exists():
        return folder / FILES[dataset][0]
    found = [*sorted(folder.glob(f"{dataset}.*")), *filter(Path.exists, [folder / dataset])]
    if len(found) > 1:
        named = ", ".join(path.name for path in found)
        raise MashqError(f"prompts: {folder}: expected one file or folder of '{dataset}', got {named}. Leave one.")
    return found[0] if found else None


def _datasets(settings: Settings) -> tuple[str, ...]:
    if settings.datasets:
        return settings.datasets
    if settings.data == SAMPLES:
        return tuple(name for name in templates.library_names() if templates.library(name)[0].dataset.sample)
    known = dict.fromkeys((*FILES, *templates.library_names()))
    found = tuple(name for name in known if _place(settings, name))
    if not found:
        folder = shared.data_folder(settings.data)
        raise MashqError(
            f"prompts: expected data sets of the library, got none in {folder or 'no folder'}. Name a folder with "
            "--data DIR or MASHQ_DATA. `mashq templates` lists the data sets; DIR/NAME.parquet or DIR/NAME/ is read."
        )
    return found


def _placed(settings: Settings) -> dict[str, Path]:
    """Data set -> where it lies. Raises MashqError that says what was looked for."""
    placed = {}
    for name in _datasets(settings):
        about, path = templates.library(name)[0].dataset, _place(settings, name)
        if path is None:
            file = FILES[name][0] if name in FILES else f"{name}.parquet (or another ending), or a folder {name}"
            raise MashqError(
                f"prompts: expected {file} (from {about.address}) in "
                f"{shared.data_folder(settings.data) or 'a folder, and none is named'}. Name its folder with --data "
                "DIR or MASHQ_DATA."
            )
        placed[name] = path
    return placed


def _of_files(settings: Settings) -> tuple[list[Step], dict[str, Step]]:
    """Every step, and those of them that make prompts: one of all Parquet data sets, else one of each."""
    placed = _placed(settings)
    known = {name for name, path in placed.items() if name in FILES and path.name == FILES[name][0]}
    by_columns = {name: path for name, path in placed.items() if name not in known and sniff(path) == "parquet"}
    made: list[Step] = []
    prompts: dict[str, Step] = {}
    if by_columns:
        asked = {name: "test" for name in by_columns if templates.library(name)[0].dataset.asked_only}
        prompts["prompts-columns"] = shared.prompts_of_columns(
            "prompts-columns", by_columns, leave=settings.leave, splits=asked
        )
        made.append(prompts["prompts-columns"])
    for name, path in placed.items():
        if name in by_columns:
            continue
        about = templates.library(name)[0].dataset
        plain = SourceSettings(source=name, licence=about.licence, split="test" if about.asked_only else None)
        raw = shared.read(f"raw-{name}", path, FILES[name][1] if name in known else plain, rows_per_part=5_000)
        prompts[f"prompts-{name}"] = shared.prompts(f"prompts-{name}", raw, library=[name], leave=settings.leave)
        made += [raw, prompts[f"prompts-{name}"]]
    return made, prompts


def samples(job: Job) -> Iterator[pa.Table]:
    """The library's own rows of each data set, under the data set's licence."""
    for name in job.settings["datasets"]:
        about = templates.library(name)[0].dataset
        ids = rows.source_ids(name, "sample", n=len(about.sample))
        meta = [json.dumps(record, ensure_ascii=False) for record in about.sample]
        columns = {"id": ids, "source": name, "licence": about.licence, "variety": about.variety or None, "meta": meta}
        yield rows.conform({**columns, "group": rows.id_hexes(ids)})


def of_samples(table: pa.Table, job: Job) -> pa.Table:
    """Each data set's rows through its own templates."""
    made = []
    for name in pc.unique(table["source"]).to_pylist():
        chosen = [one for one in templates.library(name) if one.name in job.settings["templates"]]
        made.append(templates.apply(table.filter(pc.equal(table["source"], name)), chosen, step=job.name))
    return pa.concat_tables(made)


def _of_samples(settings: Settings) -> tuple[list[Step], dict[str, Step]]:
    names = _datasets(settings)
    chosen = _used(settings)
    files = {name: templates.library(name)[0].dataset.sample for name in names}
    raw = Step("raw-samples", samples, {"datasets": names, "rows": files}, kind="stream")
    made = Step(
        "prompts-samples", of_samples, {"templates": {one.name: one.fingerprint for one in chosen}}, {"raw": raw}
    )
    return [raw, made], {"prompts-samples": made}


# --- the recipe ------------------------------------------------------------------------------------------------------


def _held(settings: Settings) -> HeldOut:
    """The names that are held out: those given, and those that the seed draws from the data sets and templates."""
    asked, names = settings.split, {one: _names(one, settings) for one in _datasets(settings)}
    known = (*names, *(name for some in names.values() for name in some))
    for name in (*asked.datasets, *asked.templates):
        if name not in known:
            raise MashqError(f"prompts: split holds out '{name}', which is not used.{nearest(name, known)}")
    datasets = held_names(names, asked.datasets_share, asked.seed)
    held = [name for some in names.values() for name in held_names(some, asked.templates_share, asked.seed)]
    return replace(
        asked,
        datasets=tuple(sorted({*asked.datasets, *datasets})),
        templates=tuple(sorted({*asked.templates, *held})),
    )


def _used(settings: Settings) -> list[templates.Template]:
    return [one for name in _datasets(settings) for one in templates.library(name) if one.name not in settings.leave]


def _names(dataset: str, settings: Settings) -> list[str]:
    return [one.name for one in templates.library(dataset) if one.name not in settings.leave]


def _arms(settings: Settings, population: Step) -> Iterator[tuple[str, Step]]:
    """(what is behind the names of an arm's steps, its training rows)."""
    for total in sorted(settings.totals) or (settings.mixture.total,):
        arm = f"-{total}" if len(settings.totals) > 1 else ""
        yield arm, shared.mixture(f"learnt{arm}", population, replace(settings.mixture, total=total))


def _some(name: str, population: Step, split: str, most_a_task: int, seed: int) -> Step:
    """At most so many rows of each task; no licence forbids to ask a question."""
    return shared.mixture(
        name, population, MixtureSettings(over="task", cap=most_a_task, split=split, must_allow=(), seed=seed)
    )


def steps(settings: Settings) -> list[Step]:
    settings = replace(settings, datasets=_datasets(settings))  # the folder is looked through once
    made, prompts = _of_samples(settings) if settings.data == SAMPLES else _of_files(settings)
    divided = shared.held_out("split", prompts, _held(settings))
    unique = shared.deduplicated("unique", divided, settings.forms)
    arms = dict(_arms(settings, unique))
    checked = _some("checked", unique, "validation", settings.checked_a_task, settings.seed)
    asked = _some("asked", unique, "test", settings.asked_a_task, settings.seed)
    some = [*arms.values(), checked, asked]
    if settings.choices:
        offered = choices.offered("offered", unique)
        some.append(_some("multiple", offered, "test", settings.choices, settings.seed))
        made.append(offered)
    shown, fresh = shared.with_shots(some, unique, _used(settings), settings.shots, settings.seed)
    made += [divided, unique, *some, *fresh]
    arms, (checked, asked, *multiple) = dict(zip(arms, shown, strict=False)), shown[len(arms) :]
    found = _trained(settings, arms, checked, asked) if settings.train else []
    return [*made, *found, *(step for rows in multiple for step in _chosen(settings, arms, rows, found))]


def _chosen(settings: Settings, arms: dict[str, Step], rows: Step, trained: Sequence[Step]) -> list[Step]:
    """What the untuned student and each tuned one pick, beside the choice that is right most often in training."""
    student = settings.student
    systems, labels = {"before": choices.picked("choices-before", rows, student)}, {"before": "untuned"}
    tuned = {one.name.removeprefix("tuned"): one for one in trained if one.produces == "model"}
    for arm, model in tuned.items():
        systems[f"after{arm}"] = choices.picked(f"choices-after{arm}", rows, student, trained=model)
        labels[f"after{arm}"] = _label(arm)
    frequent = choices.frequent_choices("choices-frequent", rows, next(reversed(arms.values())))
    scores = choices.accuracies(systems, labels, frequent, student, seed=settings.seed)
    return [*systems.values(), frequent, *scores]


def _label(arm: str) -> str:
    """What a report calls the student that was tuned on an arm."""
    return f"tuned{f' on {int(arm[1:]):,} prompts' if arm else ''}"


def _trained(settings: Settings, arms: dict[str, Step], checked: Step, asked: Step) -> list[Step]:
    student, decoding = settings.student, settings.decoding
    systems = {"before": shared.replies("before", asked, student, decoding)}
    labels, tuned = {"before": "untuned"}, []
    for arm, learnt in arms.items():
        tuned.append(shared.train(f"tuned{arm}", {"learnt": learnt, "checked": checked}, student, settings.training))
        systems[f"after{arm}"] = shared.replies(f"after{arm}", asked, student, decoding, tuned[-1])
        labels[f"after{arm}"] = _label(arm)
    # The largest arm is what a report tells first.
    trained = {name: systems[name] for name in reversed(systems) if name != "before"}
    largest, smallest = next(reversed(arms.values())), next(reversed(trained))
    first = {"before": systems["before"], **trained}
    found = [*tuned, *systems.values()]
    found += proven(
        "gain",
        first,
        {name: labels[name] for name in first},
        settings.metrics,
        settings.proof,
        asked=asked,
        student=student,
        decoding=decoding,
        training=largest,
        seed=settings.seed,
    )
    if len(arms) > 1:
        more = {smallest: trained[smallest], **trained}
        named = {name: labels[name] for name in more}
        found += compared("more", more, named, settings.metrics, settings.proof, training=largest, seed=settings.seed)
    of_text = [metric for metric in settings.metrics if metric not in LIKELIHOOD]
    if of_text:  # what is left of the gain when the shares of the answers are known
        frequent = shared.frequent_answers("frequent", asked, largest)
        beyond, named = {"frequent": frequent, **trained}, {**labels, "frequent": "most frequent training answer"}
        named = {name: named[name] for name in beyond}
        scores = shared.evaluation("beyond", beyond, named, of_text, training=largest, seed=settings.seed)
        found += [frequent, scores]
    return once(found)
