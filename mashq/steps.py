"""The steps that recipes share, one function each.

Rows: read, prompts, together, split, take; for rows of any number held_out, deduplicated, mixture, few_shot. Models:
train, replies, frequent_answers, evaluation.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mashq import dedup, sources, templates
from mashq.contamination import contamination
from mashq.holdout import HeldOut, Published, held_splits
from mashq.mix import CELL, MixtureSettings, Population, allocate, mixed, splits
from mashq.rows import MashqError, conform, drop, id_hex, id_hexes
from mashq.rows import replace as with_columns
from mashq.run import Job, Step, manifest_of, read_rows
from mashq.shots import COLUMNS as POOL_COLUMNS
from mashq.shots import Pool, ShotSettings, with_examples

if TYPE_CHECKING:
    from mashq.lm import Decoding
    from mashq.metrics import Metric
    from mashq.train import TrainSettings

__all__ = [
    "EncoderSettings",
    "StudentSettings",
    "data_folder",
    "deduplicated",
    "evaluation",
    "examples",
    "few_shot",
    "frequent_answers",
    "held_out",
    "mixture",
    "prompts",
    "prompts_of_columns",
    "published",
    "read",
    "replies",
    "run_training",
    "split",
    "take",
    "together",
    "train",
    "tuned_and_asked",
    "with_licence",
    "with_shots",
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


FOLLOWED = ("model", "frame", "remote_code")  # fields of the training that are those of the student
ModelSettings = TypeVar("ModelSettings", StudentSettings, EncoderSettings)


def _told_by_content(role: str, asked: ModelSettings) -> tuple[ModelSettings, dict[str, Path]]:
    """Settings and files of a step: a local folder is told by its content, not its path; a name stands for itself."""
    folder = Path(asked.model).expanduser()
    if not (asked.model and folder.is_dir()):
        return asked, {}
    return replace(asked, model="local folder"), {role: folder}


def _spec(role: str, asked: StudentSettings | EncoderSettings, job: Job) -> str:
    return str(job.files.get(role, asked.model))


# --- rows ------------------------------------------------------------------------------------------------------------


def read(name: str, location: str | Path, source: sources.SourceSettings, rows_per_part: int = 50_000) -> Step:
    """Raw rows of a file or folder (its content is in the fingerprint) or of a remote address (`hf://…`)."""
    remote = "://" in str(location)
    source = replace(source, source=source.source or Path(str(location)).name.split(".")[0])
    settings = {"location": str(location) if remote else None, "source": source}
    files = {} if remote else {"data": location}
    return Step(name, _read, settings, files=files, kind="stream", rows_per_part=rows_per_part)


def _read(job: Job) -> Iterator[pa.Table]:
    return sources.read(job.settings["location"] or job.files["data"], job.settings["source"])


def data_folder(folder: str) -> Path | None:
    """The folder of published files: the one named, else that in $MASHQ_DATA."""
    folder = folder or os.environ.get("MASHQ_DATA", "")
    return Path(folder) if folder else None


def published(recipe: str, folder: str, file: str, address: str) -> Path:
    """The file of a published data set in `folder` ("" = the folder in $MASHQ_DATA)."""
    place = data_folder(folder)
    path = (place or Path()) / file
    if place and path.exists():
        return path
    where = f"there is no file {path}" if place else "no folder is named"
    raise MashqError(
        f"{recipe}: expected {file} (from {address}): {where}. Name its folder with --data DIR or MASHQ_DATA."
    )


def with_licence(source: sources.SourceSettings, licence: str | None) -> sources.SourceSettings:
    """The same source under this licence; where neither says one, rows carry `unknown`, which every card shows."""
    return replace(source, licence=licence or "unknown")


def prompts(
    name: str, raw: Step, library: Sequence[str] = (), files: Sequence[str | Path] = (), leave: Sequence[str] = ()
) -> Step:
    """Prompt rows of raw rows, through the templates of library data sets and of the user's own files.

    `leave` names templates that are not applied, such as those that `mashq lint` finds errors in.
    """
    found = [
        *(one for each in library for one in templates.library(each)),
        *(one for f in files for one in templates.load(f)),
    ]
    chosen = [one for one in found if one.name not in leave]
    settings = {"library": list(library), "templates": {one.name: one.fingerprint for one in chosen}}
    return Step(name, _prompts, settings, {"raw": raw}, files={f"templates{i}": path for i, path in enumerate(files)})


def _prompts(rows: pa.Table, job: Job) -> pa.Table:
    prints = tuple(job.settings["templates"].items())
    chosen = _templates(tuple(job.settings["library"]), tuple(job.files.values()), prints)
    return templates.apply(rows, chosen, step=job.name)


def prompts_of_columns(
    name: str,
    published: Mapping[str, str | Path],
    licences: Mapping[str, str] | None = None,
    leave: Sequence[str] = (),
    splits: Mapping[str, str] | None = None,
) -> Step:
    """Prompt rows of Parquet files, straight from their columns: library data set -> its published file or folder.

    For tables of millions of rows. The rows are those of `prompts` over `read` of the same files, and the raw rows
    themselves are not written: a prompt's parent is found again in its file. `licences` goes before the library's;
    `leave` names templates that are not applied, `splits` the split of all rows of a data set.
    """
    chosen = {each: [one for one in templates.library(each) if one.name not in leave] for each in published}
    settings = {
        "datasets": list(published),
        "licences": dict(licences or {}),
        **({"splits": dict(splits)} if splits else {}),
        "templates": {one.name: one.fingerprint for each in chosen.values() for one in each},
    }
    return Step(name, _prompts_of_slice, settings, files=dict(published), kind="slices", slices=_slices_of_files)


def _slices_of_files(job: Job) -> list[dict[str, str]]:
    return [
        {**one, "dataset": each}
        for each in job.settings["datasets"]
        for one in sources.column_slices(job.files[each], _of_columns(each, job))
    ]


def _of_columns(dataset: str, job: Job) -> sources.SourceSettings:
    return sources.SourceSettings(source=dataset, split=job.settings.get("splits", {}).get(dataset))


def _prompts_of_slice(one: Mapping[str, str], job: Job) -> Iterator[pa.Table]:
    chosen = _templates((one["dataset"],), (), tuple(job.settings["templates"].items()))
    licence = job.settings["licences"].get(one["dataset"])
    for found in sources.read_columns(one):
        groups = id_hexes(found.ids)  # a record is its own group, as in `read`
        carried = {"source": one["source"], "split": found.split, "licence": licence, "group": groups}
        if not found.faults:
            yield templates.apply_columns(found.fields, found.ids, chosen, step=job.name, carried=carried)
            continue
        sound = pa.array([place not in found.faults for place in range(len(found.ids))])
        lost = pc.invert(sound)
        reasons = list(found.faults.values())
        yield conform({**carried, "group": groups.filter(lost), "id": found.ids.filter(lost), "dropped": reasons})
        carried["group"] = groups.filter(sound)
        fields = found.fields.filter(sound)
        yield templates.apply_columns(fields, found.ids.filter(sound), chosen, step=job.name, carried=carried)


@functools.cache
def _templates(
    library: tuple[str, ...], files: tuple[Path, ...], prints: tuple[tuple[str, str], ...]
) -> tuple[templates.Template, ...]:
    """Those in `prints`, loaded once a process; their fingerprints tell a file that was changed from what it was."""
    found = [one for each in library for one in templates.library(each)]
    found += [one for path in files for one in templates.load(path)]
    wanted = dict(prints)
    return tuple(one for one in found if one.name in wanted)


def together(name: str, rows: Mapping[str, Step]) -> Step:
    """The rows of several steps, one step after the other."""
    return Step(name, _together, inputs=rows, kind="stream")


def _together(job: Job) -> Iterator[pa.Table]:
    for name in job.inputs:
        yield from job.read(name)


@dataclass(frozen=True)
class SplitSettings:
    """Which rows are kept from training; whole groups, seeded."""

    test: float = 0.1  # rows a stratum where >= 1, else a share of it
    validation: float = 0.05  # likewise
    by: str = "variety"  # the column whose values are the strata
    seed: int = 0


def split(name: str, rows: Step, settings: SplitSettings, rows_per_part: int = 50_000) -> Step:
    """The same rows with `split` set; rows that came with a split keep it."""
    return Step(name, _split, settings, {"rows": rows}, kind="stream", rows_per_part=rows_per_part)


def _split(job: Job) -> Iterator[pa.Table]:
    table = job.table("rows")
    groups = [
        group or id_hex(one) for group, one in zip(table["group"].to_pylist(), table["id"].to_pylist(), strict=True)
    ]
    strata = [value or "none" for value in table[job.settings.by].to_pylist()]
    asked = job.settings
    fresh = splits(groups, strata, test=asked.test, validation=asked.validation, seed=asked.seed)
    given = table["split"].to_pylist()
    yield with_columns(table, split=[old or new for old, new in zip(given, fresh, strict=True)], group=groups)


def take(name: str, rows: Step, which: str | None, most: int = 0, by: str = "variety", seed: int = 0) -> Step:
    """Rows of one split (None: of all), at most `most` for each value of `by` (0 = all).

    They are chosen by a seeded hash of their ids. The rest are counted as unsampled.
    """
    settings = {"split": which, "most": most, "by": by, "seed": seed}
    return Step(name, _take, settings, {"rows": rows}, kind="stream", rows_per_part=5_000)


def _take(job: Job) -> Iterator[pa.Table]:
    asked = job.settings
    table = job.table("rows")
    places = [place for place, value in enumerate(table["split"].to_pylist()) if asked["split"] in (None, value)]
    ids, strata = table["id"].to_pylist(), table[asked["by"]].to_pylist()
    kept: dict[Any, int] = {}
    chosen = []
    for place in sorted(places, key=lambda place: _lot(asked["seed"], ids[place])):
        kept[strata[place]] = kept.get(strata[place], 0) + 1
        if not asked["most"] or kept[strata[place]] <= asked["most"]:
            chosen.append(place)
    if not chosen:
        of = "" if asked["split"] is None else f" of split '{asked['split']}'"
        raise MashqError(f"{job.name}: expected rows{of}, got none of {table.num_rows}.")
    job.unsampled += table.num_rows - len(chosen)
    yield table.take(pa.array(sorted(chosen)))


def _lot(seed: int, one: bytes) -> bytes:
    return hashlib.blake2b(one, key=str(seed).encode(), digest_size=8).digest()


# --- rows of any number ----------------------------------------------------------------------------------------------
#
# Two steps each: one reads all rows, a few columns of them, and leaves a small plan; the other does what the plan says,
# a part at a time, on as many workers as there are.


def held_out(name: str, rows: Mapping[str, Step], settings: HeldOut) -> Step:
    """The rows of several steps, one after the other, with `split` set; one that leaks into a test is dropped."""
    published = Step(f"{name}-groups", _published, settings, rows, kind="folder", produces="plan")
    return Step(name, _held_out, settings, {**rows, "groups": published}, over=tuple(rows))


def _published(job: Job) -> Mapping[str, Any]:
    found = Published(job.settings)
    for folder in job.inputs.values():
        for table in read_rows(folder, ["source", "split", "group"]):
            found.add(table)
    table = found.table()
    pq.write_table(table, job.folder / "groups.parquet")
    return {"groups": table.num_rows}


def _held_out(rows: pa.Table, job: Job) -> pa.Table:
    found, reasons = held_splits(rows, Published(job.settings, _table(job.inputs["groups"] / "groups.parquet")))
    return drop(with_columns(rows, split=found), reasons)


def deduplicated(name: str, rows: Step, forms: Sequence[str] = ()) -> Step:
    """The rows without second ones of the same prompt and answers, and without any to learn that a test asks.

    Rows are dropped with the id of the one that stays; `forms` as for `dedup.find_twins`.
    """
    settings = {"forms": list(forms)}
    twins = Step(f"{name}-twins", _twins, settings, {"rows": rows}, kind="folder", produces="plan")
    return Step(name, _deduplicated, settings, {"rows": rows, "twins": twins})


def _twins(job: Job) -> Mapping[str, Any]:
    columns = list(dedup.COLUMNS)
    found = dedup.find_twins(lambda: read_rows(job.inputs["rows"], columns), job.settings["forms"])
    pq.write_table(found, job.folder / "twins.parquet")
    return {"rows": found.num_rows}


def _deduplicated(rows: pa.Table, job: Job) -> pa.Table:
    return dedup.without_twins(rows, _table(job.inputs["twins"] / "twins.parquet"))


def mixture(name: str, rows: Step, settings: MixtureSettings) -> Step:
    """Rows of one split as the mixture says; those of licences that it leaves out are dropped, the rest unsampled.

    The step `NAME-plan` leaves `cells.csv`: of each data set, task and template how many rows there are and are taken.
    """
    plan = Step(f"{name}-plan", _plan, settings, {"rows": rows}, kind="folder", produces="plan")
    return Step(name, _mixture, settings, {"rows": rows, "plan": plan})


def _plan(job: Job) -> Mapping[str, Any]:
    def population() -> Iterator[pa.Table]:
        return read_rows(job.inputs["rows"], ["id", "split", "licence", *CELL])

    found = Population(job.settings)
    for table in population():
        found.add(table)
    plan = found.plan(allocate(found.counts, job.settings), population)
    if not (taken := pc.sum(plan["taken"]).as_py()):
        there = f"{found.rows.total():,} rows, {found.elsewhere.total():,} of them of other splits and "
        there += f"{found.refused.total():,} of licences that are left out"
        raise MashqError(f"{job.name}: expected rows of split '{job.settings.split}' to take, got none of {there}.")
    pq.write_table(plan, job.folder / "plan.parquet")
    pa_csv.write_csv(plan.drop_columns(["last_key", "left"]), job.folder / "cells.csv")
    return {"cells": plan.num_rows, "rows": found.rows.total(), "taken": taken, "refused": found.refused.total()}


def _mixture(rows: pa.Table, job: Job) -> pa.Table:
    kept, job.unsampled = mixed(rows, _table(job.inputs["plan"] / "plan.parquet"), job.settings)
    return kept


def with_shots(
    rows: Sequence[Step], source: Step, chosen: Iterable[templates.Template], shots: int | None, seed: int
) -> tuple[list[Step], list[Step]]:
    """The steps with examples out of `source` before their prompts, as many as a template says or `shots` of each.

    Gives (the rows to go on with, the steps that are new): where no template has examples the same rows, and none.
    """
    asked = {one.name: one.shots if shots is None else shots for one in chosen}
    if not any(asked.values()):
        return list(rows), []
    pool = examples("examples", source, ShotSettings(asked, seed))
    shown = [few_shot(f"{one.name}-shots", one, pool) for one in rows]
    return shown, [pool, *shown]


def examples(name: str, rows: Step, settings: ShotSettings) -> Step:
    """The training rows that examples are drawn from, a pool for each template that has examples."""
    return Step(name, _examples, settings, {"rows": rows}, kind="folder", produces="plan")


def _examples(job: Job) -> Mapping[str, Any]:
    pool = Pool(job.settings)
    for table in read_rows(job.inputs["rows"], list(POOL_COLUMNS)):
        pool.add(table)
    found = pool.table()
    pq.write_table(found, job.folder / "examples.parquet")
    return {"rows": found.num_rows}


def few_shot(name: str, rows: Step, pool: Step) -> Step:
    """The rows, those of templates with examples with answered training rows as earlier turns; see `mashq.shots`."""
    return Step(name, _few_shot, pool.settings, {"rows": rows, "pool": pool})


def _few_shot(rows: pa.Table, job: Job) -> pa.Table:
    return with_examples(rows, _table(job.inputs["pool"] / "examples.parquet"), job.settings, job.name)


def _table(path: Path) -> pa.Table:
    return _table_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _table_of(path: Path, changed: int) -> pa.Table:
    """Read once a process; `changed` tells a file that was made anew."""
    return pq.read_table(path).combine_chunks()


# --- models ----------------------------------------------------------------------------------------------------------


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
    """A student's reply to every row, and how likely it finds the reference; `trained` is what a train step left."""
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
    return generate.replies(
        asked, rows, job.settings["decoding"], system=job.name, ledger=job.root / "ledger" / "replies"
    )


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


@functools.lru_cache(maxsize=1)  # one model in memory at a time
def _student(spec: str, trained: Path | None, student: StudentSettings) -> Any:
    from mashq.generate import load_student

    if trained is not None and (trained / "model").is_dir():
        spec, trained = str(trained), None
    return load_student(spec, trained, frame=student.frame, dtype=student.dtype, remote_code=student.remote_code)


def evaluation(
    name: str,
    systems: Mapping[str, Step],
    labels: Mapping[str, str],
    metrics: Sequence[str],
    training: Step | None = None,
    seed: int = 0,
    encoder: EncoderSettings | None = None,
) -> Step:
    """Scores of the systems (name -> its replies; the first is the baseline) and their paired comparisons.

    `training` is the step whose references the longest copied span is looked for in.
    """
    settings: dict[str, Any] = {
        "systems": list(systems),
        "labels": dict(labels),
        "metrics": list(metrics),
        "seed": seed,
    }
    inputs = {**systems, **({"training": training} if training else {})}
    files: dict[str, Path] = {}
    if encoder is not None and encoder.model:
        settings["encoder"], files = _told_by_content("encoder", encoder)
    return Step(name, _evaluation, settings, inputs, files=files, kind="folder", produces="evaluation")


def tuned_and_asked(
    learnt: Step,
    asked: Step,
    student: StudentSettings,
    training: TrainSettings,
    decoding: Decoding,
    metrics: Sequence[str],
    seed: int = 0,
) -> list[Step]:
    """The student tuned on `learnt`, its replies to `asked` before and after, its gain, and whether it knew `asked`."""
    tuned = train("tuned", {"learnt": learnt}, student, training)
    systems = {
        "before": replies("before", asked, student, decoding),
        "after": replies("after", asked, student, decoding, tuned),
    }
    labels = {"before": "untuned", "after": "tuned"}
    gain = evaluation("gain", systems, labels, metrics, training=learnt, seed=seed)
    return [tuned, *systems.values(), gain, contamination("contamination", gain)]


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
        seed=asked["seed"],
        out=job.folder,
    )
    return {"items": scores["items"], "groups": scores["groups"]}


def _metrics(job: Job) -> list[str | Metric]:
    """The metrics by name, but those that want an encoder, which are opened with it."""
    names, asked = job.settings["metrics"], job.settings.get("encoder")
    if asked is None:
        return list(names)
    from mashq.metrics import bertscore

    opened = bertscore.metrics(_spec("encoder", asked, job), asked.layer, idf=asked.idf)
    return [opened.get(name, name) for name in names]


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
