"""Training in stages: the order asked for, one stage alone, turned round, mixed; and what each stage forgets.

Paper 4 (arXiv 2407.07551) compares its Model A (synthetic stories alone) with its Model B (translated ones first). Here
every arm is a path through the stages; arms that begin alike share what they have in common. After each stage of an arm
the student answers the held-out rows of every stage, so that what a later stage takes away is measured, not guessed.

Without `stages` two stand in on the released files: the Arabic sides of NTREX and the contexts of XQuAD, translated by
people, are not the paper's machine-translated TinyStories, so no conclusion about the paper follows from them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from mashq import arabic, rows
from mashq import steps as shared
from mashq.contamination import contamination
from mashq.lm import Decoding
from mashq.proof import ProofSettings, compared, once, proven
from mashq.rows import MashqError, expected_got, nearest
from mashq.run import Job, Step, read_rows
from mashq.sources import SourceSettings
from mashq.steps import SplitSettings, StudentSettings
from mashq.train import TrainSettings

ASKED = "أكمل النص الآتي:"
OPENING = 12  # words of a text that the student is shown
LEAST = 24  # words of a text that has a beginning and a rest
MIXED = "+"  # parts the stages of an arm that are learnt together


@dataclass(frozen=True)
class DataFile:
    """One file of a stage: its prompts come from the template library, from a running text, or are chats already."""

    file: str = ""  # a file or folder; a bare name is looked for in the folder of `data` too
    library: str = ""  # the data set of the template library whose templates make its prompts
    templates: tuple[str, ...] = ()  # of those, by name; () = all
    text: str = ""  # instead: the field of a running text, whose first words are shown and whose rest is learnt
    variety: str = ""  # of all its rows
    licence: str = ""  # of all its rows; "" = the library's, else unknown


@dataclass(frozen=True)
class Stage:
    """What is learnt at a time, and how."""

    name: str = ""
    files: tuple[DataFile, ...] = ()
    rows: int = 0  # training rows of each source; 0 = all
    train: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True)
class Settings:
    data: str = ""  # folder of the files; "" = the folder in $MASHQ_DATA
    stages: tuple[Stage, ...] = ()  # in the order that is asked for; () = the two stand-ins
    arms: tuple[str, ...] = ()  # paths such as "first>second" and "first+second"; () = last, all, turned round, mixed
    rows: int = 0  # training rows of each source in each stage; 0 = as the stages say
    student: StudentSettings = field(default_factory=StudentSettings)
    split: SplitSettings = field(default_factory=lambda: SplitSettings(test=40, validation=0, by="source"))
    train: TrainSettings = field(default_factory=TrainSettings)  # of the stand-ins, and of stages that are mixed
    asked: int = 0  # held-out rows of each source that are asked; 0 = all
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=100))
    metrics: tuple[str, ...] = ("bits_per_byte", "perplexity", "rougeL", "chrF++", "obeys")
    proof: ProofSettings = field(default_factory=ProofSettings)  # further systems, a judge, people
    proof_of: str = ""  # the stage whose questions alone the proof is about; "" = those of all stages
    seed: int = 0


SIZES = {
    "small": Settings(
        rows=60,
        split=SplitSettings(test=20, validation=0, by="source"),
        train=TrainSettings(rows_per_batch=4, lr_peak=5e-4, max_tokens=768, save_every=10),
        decoding=Decoding(max_new_tokens=64),
    ),
    # The paper's own rates and steps (stage 1: 15,000 of batch 1); its stage 1 is not public, see `mashq make stories`.
    "paper": Settings(
        student=StudentSettings(model="UBC-NLP/AraLLaMA-2-base"),
        train=TrainSettings(lr_peak=4e-5, rows_per_batch=1, epochs=20, max_tokens=2048, rank=16, alpha=32),
        decoding=Decoding(max_new_tokens=1024),
    ),
}
STORIES = ("msa", "egyptian", "moroccan")


def stand_ins(train: TrainSettings) -> tuple[Stage, ...]:
    """Human-translated texts, then released synthetic stories: the shape of Models A and B, not their data."""
    translated = (
        DataFile("ntrex_en_ar.tsv", text="ar", variety="msa", licence="CC-BY-SA-4.0"),
        DataFile("xquad.ar.json", text="context", variety="msa", licence="CC-BY-SA-4.0"),
    )
    told = tuple(
        DataFile(f"arastories_{one}.csv", "arastories", ("arastories/story",), variety=one, licence="MIT")
        for one in STORIES
    )
    return Stage("human-translated", translated, train=train), Stage("synthetic", told, train=train)


# --- rows ------------------------------------------------------------------------------------------------------------


def continued(job: Job) -> Iterator[pa.Table]:
    """Running texts, each once: the first words are the prompt, the rest is the reference. Short ones are dropped."""
    seen: set[str] = set()
    for table in job.read("raw"):
        texts = [str(json.loads(meta or "{}").get(job.settings["text"]) or "") for meta in table["meta"].to_pylist()]
        reasons = [_unfit(text, seen) for text in texts]
        cut = [_cut(text) for text in texts]
        made = rows.children(
            table,
            job.name,
            task="continuation",
            text=pa.nulls(table.num_rows, pa.string()),
            meta=pa.nulls(table.num_rows, pa.string()),
            messages=[[{"role": "user", "content": f"{ASKED}\n{opening}"}] for opening, _ in cut],
            references=[[rest] for _, rest in cut],
        )
        yield rows.drop(made, reasons)


def _unfit(text: str, seen: set[str]) -> str | None:
    n = len(arabic.words(text))
    if n < LEAST:
        return f"short: {n} words < {LEAST}"
    if text in seen:
        return "twin: the same text stands before"
    seen.add(text)
    return None


def _cut(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[:OPENING]), " ".join(words[OPENING:])


def _rows_of(settings: Settings, stage: Stage) -> tuple[list[Step], Step]:
    """The steps that make a stage's rows, and the one that has them all, split."""
    parts: dict[str, Step] = {}
    made: list[Step] = []
    for place, file in enumerate(stage.files):
        name = f"{stage.name}-{place}"
        where = Path(file.file)
        if not where.exists():
            where = shared.published("stages", settings.data, file.file, "the stage's `files`")
        source = SourceSettings(
            source=where.name.split(".")[0], licence=file.licence or None, variety=file.variety or None
        )
        raw = shared.read(f"raw-{name}", where, source)
        made.append(raw)
        if file.library:
            raw = shared.prompts(f"prompts-{name}", raw, library=[file.library], leave=_others(file))
        elif file.text:
            raw = Step(f"texts-{name}", continued, {"text": file.text}, {"raw": raw}, kind="stream")
        made.append(raw)
        parts[name] = raw
    every = shared.together(f"rows-{stage.name}", parts)
    return made, shared.split(f"split-{stage.name}", every, settings.split)


def _others(file: DataFile) -> list[str]:
    from mashq import templates

    known = [one.name for one in templates.library(file.library)]
    for name in file.templates:
        if name not in known:
            told = f"stages: templates of {file.library}"
            raise MashqError(
                expected_got(told, f"some of {', '.join(known)}", f"'{name}'", nearest(name, known).strip())
            )
    return [name for name in known if file.templates and name not in file.templates]


# --- the recipe ------------------------------------------------------------------------------------------------------


def of_stage(table: pa.Table, job: Job) -> pa.Table:
    """The replies to one stage's questions; the others are counted as unsampled."""
    asked = {one for page in read_rows(job.inputs["asked"], ["id"]) for one in page["id"].to_pylist()}
    own = pa.array([parents[0] in asked for parents in table["parents"].to_pylist()], pa.bool_())
    kept = table.filter(own)
    job.unsampled += table.num_rows - kept.num_rows
    return kept


def _paths(settings: Settings, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Each arm as its stages in order; a stage is a name, or several joined by `+`."""
    if settings.arms:
        paths = [tuple(arm.split(">")) for arm in settings.arms]
    else:
        paths = [(names[-1],), tuple(names), tuple(reversed(names)), (MIXED.join(names),)]
    for name in itertools.chain.from_iterable(paths):
        for one in name.split(MIXED):
            if one not in names:
                known = f"names of stages ({', '.join(names)}) joined by > or {MIXED}"
                raise MashqError(expected_got("stages: arms", known, f"'{one}'", nearest(one, names).strip()))
    return list(dict.fromkeys(paths))


def _check(stages: Sequence[Stage], proof_of: str) -> None:
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names) or not all(names) or any(mark in name for name in names for mark in f">{MIXED}"):
        wanted = f"one for each, all different, without > and {MIXED}"
        raise MashqError(expected_got("stages: names", wanted, ", ".join(names) or "none"))
    if proof_of and proof_of not in names:
        known = f"the name of a stage ({', '.join(names)})"
        raise MashqError(expected_got("stages: proof_of", known, f"'{proof_of}'", nearest(proof_of, names).strip()))
    for stage in stages:
        if not stage.files:
            raise MashqError(expected_got(f"stages: files of '{stage.name}'", "at least one", "none"))


def steps(settings: Settings) -> list[Step]:
    stages = settings.stages or stand_ins(settings.train)
    _check(stages, settings.proof_of)
    made: list[Step] = []
    learnt: dict[str, Step] = {}
    asked: dict[str, Step] = {}
    for stage in stages:
        before, divided = _rows_of(settings, stage)
        most = settings.rows or stage.rows
        learnt[stage.name] = shared.take(f"learnt-{stage.name}", divided, "train", most, "source", settings.seed)
        asked[stage.name] = shared.take(f"asked-{stage.name}", divided, "test", settings.asked, "source", settings.seed)
        made += [*before, divided, learnt[stage.name], asked[stage.name]]
    questions = shared.together("asked", asked)
    paths = _paths(settings, [stage.name for stage in stages])
    models, replies = _trained(settings, stages, learnt, paths, questions)
    untuned = shared.replies("untuned", questions, settings.student, settings.decoding)
    made += [questions, untuned, *models.values(), *replies.values()]
    arms = {_label(path): replies[path] for path in paths}
    found = [*_gain(settings, {"untuned": untuned, **arms}, questions, asked), *_compared(settings, "arms", arms)]
    for path in paths:
        if len(path) > 1:
            after = {_label(path[:end]): replies[path[:end]] for end in range(1, len(path) + 1)}
            found += _compared(settings, f"forgetting-{'-'.join(path)}", after)
    return once([*made, *found])


def _gain(settings: Settings, systems: dict[str, Step], questions: Step, asked: dict[str, Step]) -> list[Step]:
    """What the arms gained on all questions, and the proof of it: on all, or on those of one stage."""
    one = settings.proof_of
    if not one:
        return _proven(settings, "gain", systems, questions)
    gain = _compared(settings, "gain", systems)
    some = {
        label: Step(f"{step.name}-{one}", of_stage, None, {"replies": step, "asked": asked[one]})
        for label, step in systems.items()
    }
    known = contamination("contamination", gain[-1])
    return [*gain, known, *some.values(), *_proven(settings, f"gain-{one}", some, asked[one])]


def _trained(
    settings: Settings,
    stages: Sequence[Stage],
    learnt: dict[str, Step],
    paths: Sequence[tuple[str, ...]],
    questions: Step,
) -> tuple[dict[tuple[str, ...], Step], dict[tuple[str, ...], Step]]:
    """Of each path and each beginning of one: the model after it, and its replies."""
    how = {stage.name: stage.train for stage in stages}
    models: dict[tuple[str, ...], Step] = {}
    replies: dict[tuple[str, ...], Step] = {}
    for path in paths:
        for end in range(1, len(path) + 1):
            here, last = path[:end], path[end - 1]
            if here in models:
                continue
            lessons = {name: learnt[name] for name in last.split(MIXED)}
            training = how.get(last, settings.train)
            name = "-then-".join(here).replace(MIXED, "-and-")
            models[here] = shared.train(name, lessons, settings.student, training, models.get(path[: end - 1]))
            replies[here] = shared.replies(
                f"replies-{name}", questions, settings.student, settings.decoding, models[here]
            )
    return models, replies


def _label(path: tuple[str, ...]) -> str:
    return ", then ".join(path).replace(MIXED, " and ")


def _named(systems: dict[str, Step]) -> tuple[dict[str, Step], dict[str, str]]:
    """Systems by label -> their steps by name, and their labels by name."""
    return {step.name: step for step in systems.values()}, {step.name: label for label, step in systems.items()}


def _compared(settings: Settings, name: str, systems: dict[str, Step]) -> list[Step]:
    """The systems on all questions; a judge reads them unless the proof is about one stage."""
    proof = ProofSettings() if settings.proof_of else settings.proof
    return compared(name, *_named(systems), settings.metrics, proof, seed=settings.seed)


def _proven(settings: Settings, name: str, systems: dict[str, Step], asked: Step) -> list[Step]:
    return proven(
        name,
        *_named(systems),
        settings.metrics,
        settings.proof,
        asked=asked,
        student=settings.student,
        decoding=settings.decoding,
        seed=settings.seed,
    )
