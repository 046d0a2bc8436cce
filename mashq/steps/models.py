"""Models that are trained and asked, and what they gained."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mashq.lineage_origin import origins
from mashq.rows import MashqError
from mashq.run import Job, Step, Store, manifest_of, read_rows
from mashq.shards import write_json

if TYPE_CHECKING:
    from mashq.lm import Decoding, Request
    from mashq.lm.purse import Purse
    from mashq.metrics import Metric
    from mashq.train import TrainSettings

__all__ = [
    "EncoderSettings",
    "StudentSettings",
    "asked_for_replies",
    "evaluation",
    "frequent_answers",
    "note_asked",
    "replies",
    "run_training",
    "train",
]


@dataclass(frozen=True)
class StudentSettings:
    """The model that is asked, or trained and asked."""

    model: str = "gemma3-270m"  # an embedded model's name, a local folder, or a hub name where the hub can be reached
    frame: str = ""  # chat frame; "" = the model's own template, else the first of ours that fits
    dtype: str = "bfloat16"  # numbers the weights are held in while it is asked: bfloat16 | float16 | float32
    remote_code: bool = False  # run the Python that its folder brings


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder of BERTScore: its numbers compare with those of the same encoder and layer alone."""

    model: str = ""  # a local folder, a hub name, or an embedded model's name; "" = BERTScore is not asked for
    layer: int = 9  # whose vectors are compared, from 0; bert_score takes 9 of multilingual BERT for Arabic
    idf: bool = False  # weigh words by how few references have them


SCRIPT = "scripted:"  # of a model whose replies stand in a file
FOLLOWED = ("model", "frame", "remote_code")  # fields of the training that are those of the student
ModelSettings = TypeVar("ModelSettings", StudentSettings, EncoderSettings)


def _told_by_content(role: str, asked: ModelSettings) -> tuple[ModelSettings, dict[str, Path]]:
    """Settings and files of a step: a local folder or script is told by its content, not its path; a name stands for
    itself."""
    if asked.model.startswith(SCRIPT):
        return replace(asked, model=SCRIPT), {role: Path(asked.model.removeprefix(SCRIPT)).expanduser()}
    folder = Path(asked.model).expanduser()
    if not (asked.model and folder.is_dir()):
        return asked, {}
    return replace(asked, model="local folder"), {role: folder}


def _spec(role: str, asked: StudentSettings | EncoderSettings, job: Job) -> str:
    if asked.model == SCRIPT:
        return f"{SCRIPT}{job.files[role]}"
    return str(job.files.get(role, asked.model))


def train(
    name: str, rows: Mapping[str, Step], student: StudentSettings, settings: TrainSettings, after: Step | None = None
) -> Step:
    """A student trained on the rows of split `train` (or of none), validated on those of `validation`.

    `after` is an earlier stage: its adapter or model is trained on.
    """
    for field in FOLLOWED:
        if getattr(settings, field) != getattr(type(settings)(), field):
            raise MashqError(f"train.{field} follows the student: set student.{field}.")
    told, files = _told_by_content("student", student)
    return Step(
        name,
        run_training,
        {"student": told, "train": settings},
        {**rows, **({"after": after} if after else {})},
        files=files,
        kind="folder",
        produces="model",
    )


def run_training(job: Job, on_step: Callable[[Mapping[str, float | int]], None] | None = None) -> Mapping[str, Any]:
    """What a step of `train` does; `on_step` gets every line of its log, and may raise to end it there."""
    from mashq.train import train as trained

    folders = {name: folder for name, folder in job.inputs.items() if name != "after"}
    tables = [table for folder in folders.values() for table in read_rows(folder)]
    if not tables:
        raise MashqError(f"{job.name}: expected rows to learn from {', '.join(folders)}, got none.")
    table = pa.concat_tables(tables)
    of_split = pc.fill_null(table["split"], "train")
    held = table.filter(pc.equal(of_split, "validation"))
    student: StudentSettings = job.settings["student"]
    trained(
        replace(
            job.settings["train"],
            model=_spec("student", student, job),
            frame=student.frame,
            remote_code=student.remote_code,
        ),
        table.filter(pc.equal(of_split, "train")),
        job.folder,
        validation=held if held.num_rows else None,
        init=job.inputs.get("after"),
        data=[_about_data(name, folder) for name, folder in folders.items()],
        on_step=on_step,
    )
    card = json.loads((job.folder / "card.json").read_text("utf-8"))
    return {"rows": card["rows"], "run": card["run"], "licence": card.get("licence")}


def _about_data(name: str, folder: Path) -> dict[str, Any]:
    manifest = manifest_of(folder) or {}
    about = {key: manifest[key] for key in ("fingerprint", "hash", "licences", "tally", "counts")}
    return {"name": name, **about, "judges": _judges(folder)}


def _judges(folder: Path) -> list[str]:
    """`name (licence)` of the models that translated or judged the rows of a step, in it or before it."""
    manifest = manifest_of(folder) or {"inputs": {}, "identity": {}}
    own = [f"{one['name']} ({one['licence']})" for one in manifest["identity"].get("models", []) if one["licence"]]
    before = [path for one in manifest["inputs"].values() for path in sorted(folder.parent.glob(f"*@{one}"))]
    return list(dict.fromkeys([*(name for path in before for name in _judges(path)), *own]))


def replies(name: str, rows: Step, student: StudentSettings, decoding: Decoding, trained: Step | None = None) -> Step:
    """A model's reply to every row, and how likely it finds the reference; `trained` is what a train step left.

    A model with a door of its own (http://host/v1#name, echo, scripted:FILE, llamacpp:NAME) is sent the messages,
    through the ledger of the store: what it was asked once it is not asked again. It gives no likelihood.
    """
    told, files = _told_by_content("student", student)
    return Step(
        name,
        _replies,
        {"student": told, "decoding": decoding},
        {"rows": rows, **({"trained": trained} if trained else {})},
        files=files,
        here=True,
    )


def _replies(rows: pa.Table, job: Job) -> pa.Table:
    from mashq import generate

    student: StudentSettings = job.settings["student"]
    asked = _student(_spec("student", student, job), job.inputs.get("trained"), student)
    note_asked(asked, job)
    ledger, decoding = job.root / "ledger" / "replies", job.settings["decoding"]
    purse: Purse | None = job.aside  # of further systems, which spend together
    budget = purse.open(ledger, generate.asked_of(asked, rows, decoding)) if purse else None
    return generate.replies(asked, rows, decoding, system=job.name, ledger=ledger, budget=budget)


def asked_for_replies(step: Step, root: Path, who: Any = None) -> list[tuple[str, Request]]:
    """What a step of `replies` asks a model with a door of its own, in the store `root`; nothing of weights in this
    process, and nothing where the rows are not made there."""
    from mashq import generate
    from mashq.lm import open_model
    from mashq.lm.at_hand import has_door

    student: StudentSettings = step.settings["student"]
    spec = f"{SCRIPT}{step.files['student']}" if student.model == SCRIPT else student.model
    folder = Store(root).folder(step.inputs["rows"])
    if not has_door(spec) or manifest_of(folder) is None:
        return []
    model, decoding = open_model(spec), step.settings["decoding"]
    return [one for table in read_rows(folder) for one in generate.asked_of(model, table, decoding)]


def frequent_answers(name: str, rows: Step, learnt: Step) -> Step:
    """A reply to every row without a model: the answer that its template has most often in the rows of `learnt`."""
    return Step(name, _frequent_answers, {"answers": "most frequent"}, {"rows": rows, "learnt": learnt}, here=True)


def _frequent_answers(rows: pa.Table, job: Job) -> pa.Table:
    from mashq import generate

    return generate.most_frequent(rows, _answers_in(job.inputs["learnt"]), system=job.name)


@functools.lru_cache(maxsize=1)
def _answers_in(folder: Path) -> dict[tuple[str, str], str]:
    from mashq import generate

    return generate.answers_by_frequency(read_rows(folder, ["template", "task", "references"]))


def note_asked(asked: Any, job: Job) -> None:
    """Note beside the replies who is asked, and through which tokenizer and frame; it is in no hash of the step."""
    from mashq import model_identity

    path = job.folder / model_identity.NOTE
    if path.exists():
        return
    student: StudentSettings = job.settings["student"]
    spec, _ = _whole(_spec("student", student, job), job.inputs.get("trained"))
    write_json(path, model_identity.note_of(asked, spec, student.remote_code))


def _whole(spec: str, trained: Path | None) -> tuple[str, Path | None]:
    """The weights that are loaded and the adapter on them; a model that was trained whole stands for its base."""
    if trained is not None and (trained / "model").is_dir():
        return str(trained), None
    return spec, trained


@functools.lru_cache(maxsize=1)  # one model in memory at a time
def _student(spec: str, trained: Path | None, student: StudentSettings) -> Any:
    from mashq.generate import opened

    spec, trained = _whole(spec, trained)
    return opened(spec, trained, frame=student.frame, dtype=student.dtype, remote_code=student.remote_code)


def evaluation(
    name: str,
    systems: Mapping[str, Step],
    labels: Mapping[str, str],
    metrics: Sequence[str | Metric],
    training: Step | None = None,
    seed: int = 0,
    encoder: EncoderSettings | None = None,
    absent: Sequence[Mapping[str, str]] = (),
) -> Step:
    """Scores of the systems (name -> its replies; the first is the baseline) and their paired comparisons.

    `training` is the step whose references the longest copied span is looked for in. A metric that is no name reads its
    values from the rows, as a judge's do; `absent` are systems that were not run: of each its label, model and why.
    """
    own = {one.name: one for one in metrics if not isinstance(one, str)}
    settings: dict[str, Any] = {
        "systems": list(systems),
        "labels": dict(labels),
        "metrics": [one if isinstance(one, str) else one.name for one in metrics],
        "seed": seed,
        **({"absent": [dict(one) for one in absent]} if absent else {}),
    }
    inputs = {**systems, **({"training": training} if training else {})}
    files: dict[str, Path] = {}
    if encoder is not None and encoder.model:
        settings["encoder"], files = _told_by_content("encoder", encoder)
    identity = {"metrics": {one: metric.signature for one, metric in own.items()}} if own else {}
    return Step(
        name,
        _evaluation,
        settings,
        inputs,
        version=5,
        files=files,
        identity=identity,
        kind="folder",
        produces="evaluation",
        aside=own,
    )


def _evaluation(job: Job) -> Mapping[str, Any]:
    from mashq.evaluate import evaluate

    asked = job.settings
    scores = evaluate(
        {name: read_rows(job.inputs[name]) for name in asked["systems"]},
        baseline=asked["systems"][0],
        metrics=_metrics(job),
        labels=asked["labels"],
        about={name: _about_system(job.inputs[name]) for name in asked["systems"]},
        training_texts=_references(job.inputs["training"]) if "training" in job.inputs else None,
        origins=origins(job.inputs[asked["systems"][0]]),
        absent=asked.get("absent", ()),
        seed=asked["seed"],
        out=job.folder,
    )
    return {"items": scores["items"], "groups": scores["groups"]}


def _metrics(job: Job) -> list[str | Metric]:
    """The metrics by name, but those that the step was handed, and those that want an encoder, opened with it."""
    asked = job.settings.get("encoder")
    own: dict[str, Metric] = dict(job.aside)
    if asked is not None:
        from mashq.metrics import bertscore

        own |= bertscore.metrics(_spec("encoder", asked, job), asked.layer, idf=asked.idf)
    return [own.get(name, name) for name in job.settings["metrics"]]


def _about_system(folder: Path) -> dict[str, Any]:
    manifest = manifest_of(folder) or {}
    settings = manifest["settings"] or {}
    if said := manifest["inputs"].get("replies"):  # the replies of that step under other items
        return _about_system(next(folder.parent.glob(f"*@{said}")))
    if "student" not in settings:
        return {"model": "none: the most frequent answer in training", "adapter": None, "decoding": None}
    about = {"model": settings["student"]["model"], "adapter": manifest["inputs"].get("trained")}
    return {**about, "tokenizer": settings["student"]["model"], "decoding": settings["decoding"]}


def _references(folder: Path) -> Iterator[str]:
    """What was learnt: the references of training rows, or the assistant's turns of conversations."""
    for table in read_rows(folder):
        train_rows = table.filter(pc.equal(pc.fill_null(table["split"], "train"), "train"))
        for texts, turns in zip(*(train_rows[name].to_pylist() for name in ("references", "messages")), strict=True):
            yield from texts or (turn["content"] for turn in turns or [] if turn["role"] == "assistant")
