"""Instruction data beyond the papers: from seed tasks, from evolving, from passages, from personas.

mashq make instructions --set kind=passages --data my.json --set writer.model=http://localhost:8000/v1

The four kinds go through one engine and one set of filters: `tasks` (Self-Instruct), `evolve` (Evol-Instruct, any
number of rounds), `passages` (a question, and its answer as a span), `requests` (a persona's request, then its answer).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq import instructions, passages, persona_requests, rows, tasks
from mashq import steps as shared
from mashq.lm import Decoding
from mashq.rows import MashqError, expected_got, nearest
from mashq.run import Job, Step
from mashq.sources import SourceSettings
from mashq.synthesis import Asked
from mashq.synthesis_step import WriterSettings, Writing, synthesised, wanted_rows
from mashq.synthesis_survey import survey

KINDS = ("tasks", "evolve", "passages", "requests")
SOURCE = "mashq-instructions"
HELD_OUT = ("test", "validation")
# A model without a chat template never ends by itself: its text is cut where the next record begins.
GOES_ON = Asked(
    decoding=Decoding(max_new_tokens=256, temperature=0.8, top_p=0.95, stop=("\n---",)), repair=False, whole=False
)


@dataclass(frozen=True)
class Settings:
    kind: str = "tasks"  # tasks, evolve, passages or requests
    n: int = 96  # texts wanted: tasks, evolved tasks, requests; of passages: passages that are asked about, 0 = all
    seeds: str = ""  # your own seed tasks, in the form of data/instructions/seeds.yaml; "" = ours
    categories: tuple[str, ...] = ()  # of tasks; () = all
    varieties: tuple[str, ...] = ("msa",)  # of tasks
    shown: int = 6  # seeds in a prompt
    operations: tuple[str, ...] = ()  # of evolving; () = all
    rounds: int = 1  # of evolving: each round takes the tasks of the one before
    data: str = ""  # your passages: SQuAD, or records with `context` or a text
    source: SourceSettings = field(default_factory=SourceSettings)
    each: int = 2  # questions on a passage
    unanswerable: float = 0.0  # share of questions whose answer is not in the passage
    passage: passages.PassageLimits = field(default_factory=passages.PassageLimits)
    personas: str = ""  # your own people, in the form of data/instructions/personas.yaml; "" = ours
    kinds: tuple[str, ...] = ()  # of requests; () = all
    style: str = "messages"  # completion for a model without a chat template
    limits: tasks.TaskLimits = field(default_factory=tasks.TaskLimits)
    writer: WriterSettings = field(default_factory=WriterSettings)
    seed: int = 0


SIZES = {
    "small": Settings(n=8, shown=3, style="completion", writer=WriterSettings(asked=GOES_ON)),
    "large": Settings(n=20_000, writer=WriterSettings(model="http://localhost:8000/v1#Qwen/Qwen3-32B")),
}


def steps(settings: Settings) -> list[Step]:
    made = {"tasks": _tasks, "evolve": _evolve, "passages": _passages, "requests": _requests}
    if settings.kind not in made:
        known = ", ".join(KINDS)
        raise MashqError(f"instructions: no kind '{settings.kind}' ({known}).{nearest(settings.kind, KINDS)}")
    found = made[settings.kind](settings)
    written = [step for step in found if isinstance(step.aside, Writing)]
    return [*found, *(survey(f"{step.name}-survey", step.inputs["wanted"], step, {}) for step in written)]


def _own(path: str) -> Path | None:
    return Path(path) if path else None


def _files(settings: Settings) -> dict[str, Path]:
    """What decides what is wanted, beside the settings."""
    named = {"seeds": settings.seeds, "personas": settings.personas}
    return {"wordings": tasks.DATA, **{name: Path(path) for name, path in named.items() if path}}


def _gathered(job: Job, name: str) -> pa.Table:
    return job.table(name)


# --- tasks -----------------------------------------------------------------------------------------------------------


def _tasks(settings: Settings) -> list[Step]:
    told = {name: getattr(settings, name) for name in ("n", "categories", "varieties", "seed")}
    wanted = Step("wanted-tasks", wanted_tasks, told, files=_files(settings), kind="stream")
    known = tasks.seeds(_own(settings.seeds))
    writer = instructions.SelfInstruct(known, settings.shown, settings.style, settings.limits)
    return [wanted, synthesised("tasks", wanted, writer, settings.writer)]


def wanted_tasks(job: Job) -> Iterator[pa.Table]:
    """The tasks that are wanted, as rows."""
    yield wanted_rows(instructions.wanted_tasks(**job.settings), SOURCE)


# --- evolved tasks ---------------------------------------------------------------------------------------------------


def _evolve(settings: Settings) -> list[Step]:
    if settings.rounds < 1:
        raise MashqError(expected_got("instructions: rounds", "1 or more", str(settings.rounds)))
    writer = instructions.Evolve(settings.style, settings.limits)
    made: list[Step] = []
    for number in range(1, settings.rounds + 1):
        told = {"n": 0 if made else settings.n, "operations": settings.operations, "seed": settings.seed + number}
        inputs = {"tasks": made[-1]} if made else {}
        wanted = Step(f"wanted-{number}", wanted_evolved, told, inputs, files=_files(settings), kind="stream")
        made += [wanted, synthesised(f"evolved-{number}", wanted, writer, settings.writer)]
    return made


def wanted_evolved(job: Job) -> Iterator[pa.Table]:
    """The evolved tasks that are wanted: of the seeds, or one of each task of the round before."""
    if "tasks" in job.inputs:
        parents = instructions.parents_of(_gathered(job, "tasks"))
    else:
        parents = instructions.seed_parents(tasks.seeds(job.files.get("seeds")))
    yield wanted_rows(instructions.wanted_evolved(parents, **job.settings), SOURCE)


# --- questions on passages -------------------------------------------------------------------------------------------


def _passages(settings: Settings) -> list[Step]:
    if not settings.data:
        raise MashqError(
            "instructions: expected passages, got no --data FILE. For example: "
            "mashq make instructions --set kind=passages --data my.json"
        )
    raw = shared.read("raw", settings.data, shared.with_licence(settings.source, settings.source.licence))
    told = {name: getattr(settings, name) for name in ("n", "each", "unanswerable", "passage", "seed")}
    wanted = Step("wanted-questions", wanted_questions, told, {"raw": raw}, files=_files(settings), kind="stream")
    writer = passages.PassageQuestions(settings.style, settings.passage)
    questions = synthesised("questions", wanted, writer, settings.writer)
    return [raw, wanted, questions, Step("spans", spans, {}, {"questions": questions})]


def wanted_questions(job: Job) -> Iterator[pa.Table]:
    """The questions that are wanted on n passages; rows without a passage, and those held out, are dropped."""
    table, told = _gathered(job, "raw"), job.settings
    table = rows.drop(table, [_held_out(split) for split in table["split"].to_pylist()])
    free = table.filter(table["dropped"].is_null())
    found, reasons = passages.passages_of(free, told["passage"])
    free = rows.drop(free, reasons)
    chosen = found
    if 0 < told["n"] < len(found):
        chosen = tasks.drawn("passages", told["seed"]).sample(found, told["n"])
        job.unsampled += sum(len(one.ids) for one in found) - sum(len(one.ids) for one in chosen)
    yield table.filter(table["dropped"].is_valid())
    yield free.filter(free["dropped"].is_valid())
    asked = passages.wanted_questions(chosen, told["each"], unanswerable=told["unanswerable"], seed=told["seed"])
    if not asked:
        raise MashqError(f"{job.name}: expected passages to ask about, got none of {table.num_rows:,} rows.")
    yield wanted_rows(asked, SOURCE)


def _held_out(split: str | None) -> str | None:
    return f"held out: split '{split}'" if split in HELD_OUT else None


def spans(table: pa.Table, job: Job) -> pa.Table:
    """The questions with their answers' offsets."""
    return passages.with_spans(table)


# --- requests of personas --------------------------------------------------------------------------------------------


def _requests(settings: Settings) -> list[Step]:
    told: dict[str, Any] = {name: getattr(settings, name) for name in ("n", "kinds", "seed")}
    wanted = Step("wanted-requests", wanted_requests, told, files=_files(settings), kind="stream")
    asking = persona_requests.PersonaRequests(settings.style, settings.limits)
    requests = synthesised("requests", wanted, asking, settings.writer)
    open_ = Step("wanted-answers", wanted_answers, {}, {"requests": requests}, kind="stream")
    answering = persona_requests.Answers(settings.style, settings.limits)
    return [wanted, requests, open_, synthesised("answers", open_, answering, settings.writer)]


def wanted_requests(job: Job) -> Iterator[pa.Table]:
    """The requests that are wanted."""
    people = persona_requests.personas(job.files.get("personas"))
    yield wanted_rows(persona_requests.wanted_requests(people=people, **job.settings), SOURCE)


def wanted_answers(job: Job) -> Iterator[pa.Table]:
    """An answer to each request that was kept."""
    yield wanted_rows(persona_requests.wanted_answers(_gathered(job, "requests")), SOURCE)
