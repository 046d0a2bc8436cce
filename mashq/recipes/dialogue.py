"""Conversations over topics x countries: written by a model, checked, learnt by a student, and what it gained.

Paper 1 (PLoS ONE 21(2) e0341905): 43,316 conversations over 93 topics x 151 countries. Its topics, countries, prompts
and rules are not public; ours stand in `data/dialogues/`. With `train=true` a student is tuned and asked on topics,
countries and cells it has not seen: every assistant turn from the history as it was written, before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import dialogues, rows
from mashq import steps as shared
from mashq.conversation_checks import Limits
from mashq.dialogues import Conversations, Grid
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.proof import ProofSettings, proven, tuned_and_asked
from mashq.rows import MashqError, expected_got
from mashq.run import Job, Step
from mashq.steps import StudentSettings
from mashq.steps.dialogue_scores import DialogueScoreSettings, metric_of, scored
from mashq.synthesis import Asked
from mashq.synthesis_step import WriterSettings, synthesised, wanted_rows
from mashq.synthesis_survey import survey
from mashq.train import TrainSettings

SOURCE = "mashq-dialogue"


@dataclass(frozen=True)
class Settings:
    grid: Grid = field(default_factory=Grid)
    style: str = "messages"  # messages: chat models; completion: models that go on from a text
    frame: str = ""  # of completions: example, jais-13b, jais-family
    layouts: tuple[str, ...] = ()  # that conversations are asked for in; () = those that suit the frame
    exchanges: tuple[int, ...] = ()  # user messages of a conversation, drawn evenly; () = as prompts.yaml has it
    limits: Limits = field(default_factory=Limits)
    writer: WriterSettings = field(default_factory=WriterSettings)
    train: bool = False  # tune a student on the conversations, and measure its gain; with a writer of one's own
    rows: int = 0  # training conversations; 0 = all
    asked: int = 200  # assistant turns of each unseen kind that the student is asked; 0 = all
    student: StudentSettings = field(default_factory=StudentSettings)
    training: TrainSettings = field(default_factory=lambda: TrainSettings(lr_peak=5e-4))
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=96))
    metrics: tuple[str, ...] = ("perplexity", "bits_per_byte", "rougeL", "chrF++")
    dialogue_score: DialogueScoreSettings = field(default_factory=DialogueScoreSettings)
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="dialogue")))
    seed: int = 0


# What the embedded model can do: few exchanges, limits that its weak Arabic sometimes meets.
EMBEDDED = Settings(
    grid=Grid(
        n=36,
        topics=("traditional_dishes", "football", "city_transport", "job_interview", "gardening", "smartphones"),
        countries=("EG", "MA", "SA", "JO", "TN", "FR"),
        test_topics=0.17,
        test_countries=0.17,
        test_cells=0.1,
    ),
    style="completion",
    frame="example",
    exchanges=(1, 2),
    limits=Limits(least_exchanges=1),
    writer=WriterSettings(
        asked=Asked(
            decoding=Decoding(
                max_new_tokens=220, temperature=0.7, top_p=0.9, repetition_penalty=1.1, stop=("\n###", "\nالموضوع:")
            ),
            tries=2,
            repair=False,
            whole=False,
        )
    ),
    asked=20,
)

SIZES = {
    "small": EMBEDDED,
    # The paper's size and generator; Jais-13b-chat behind vLLM, decoding as its card has it. Its students are two:
    # ArabianGPT-08B-V2 here, AraGPT2-mega by student.model=aubmindlab/aragpt2-mega. Training settings are not public.
    "paper": Settings(
        style="completion",
        frame="jais-13b",
        writer=WriterSettings(
            model="http://localhost:8000/v1#jais-13b-chat",
            asked=Asked(
                decoding=Decoding(max_new_tokens=1200, temperature=0.3, top_p=0.9, repetition_penalty=1.2), tries=8
            ),
        ),
        train=True,
        student=StudentSettings(model="riotu-lab/ArabianGPT-08B-V2"),
        training=TrainSettings(max_tokens=1024),
    ),
}


def wanted(job: Job) -> Iterator[pa.Table]:
    """What is wanted: each cell its share."""
    yield wanted_rows(dialogues.grid(Grid(**job.settings)), SOURCE)


def parted(table: pa.Table, job: Job) -> pa.Table:
    """Conversations with their split; of unseen ones the task says what is unseen."""
    parts = [dialogues.part_of(json.loads(meta)["cell"], job.settings) for meta in table["meta"].to_pylist()]
    split = ["train" if part == "train" else "test" for part in parts]
    return rows.replace(table, split=split, task=["dialogue" if part == "train" else part for part in parts])


def turns(table: pa.Table, job: Job) -> pa.Table:
    """Unseen conversations -> one prompt for each assistant turn: the history as it was written, the turn as reference.

    Conversations of train are left out, and counted.
    """
    unseen = pc.equal(table["split"], "test")
    job.unsampled += table.num_rows - pc.sum(unseen).as_py()
    table = table.filter(unseen)
    listed = table["messages"].to_pylist()
    places = [
        (row, at)
        for row, messages in enumerate(listed)
        for at, one in enumerate(messages)
        if one["role"] == "assistant"
    ]
    owners = pa.array([row for row, _ in places], pa.int64())
    own = table.take(owners)
    return rows.children(
        own,
        job.name,
        repetition=np.array([at for _, at in places], dtype=np.uint64),
        messages=[listed[row][:at] for row, at in places],
        references=[[listed[row][at]["content"]] for row, at in places],
        meta=[json.dumps({"turn": (at + 1) // 2}) for _, at in places],
    )


def _names() -> dict[str, str]:
    """What the parts of a cell are called in the report."""
    return {key: one.name for found in (dialogues.topics(), dialogues.countries()) for key, one in found.items()}


def _check(settings: Settings) -> None:
    """Raise MashqError before anything is asked where the writer cannot write what a student would learn from."""
    if settings.train and settings.writer.model == EMBEDDED.writer.model:
        do = (
            "Name one by writer.model=http://host:port/v1#name; without train the embedded model shows how it would go."
        )
        why = f"{settings.writer.model}, which keeps none to two of 36"
        raise MashqError(expected_got("dialogue: train=true", "a model that can write conversations", why, do))


def steps(settings: Settings) -> list[Step]:
    _check(settings)
    files = {"topics": dialogues.DATA}
    # What is held out decides nothing that is written.
    cells = {name: getattr(settings.grid, name) for name in ("n", "topics", "countries", "variety", "seed")}
    asked = Step("wanted", wanted, cells, files=files, kind="stream")
    writer = Conversations(
        style=settings.style,
        frame=settings.frame,
        layouts=settings.layouts,
        exchanges=settings.exchanges,
        limits=settings.limits,
    )
    told = synthesised("conversations", asked, writer, settings.writer)
    divided = Step("parted", parted, settings.grid, {"conversations": told}, files=files)
    made = [asked, told, survey("survey", asked, told, _names()), divided]
    if not settings.train:
        return made
    learnt = shared.take("learnt", divided, "train", most=settings.rows, seed=settings.seed)
    unseen = Step("turns", turns, None, {"conversations": divided})
    test = shared.take("asked", unseen, "test", most=settings.asked, by="task", seed=settings.seed)
    return [*made, learnt, unseen, test, *_gain(settings, learnt, test)]


def _gain(settings: Settings, learnt: Step, asked: Step) -> list[Step]:
    """The student before and after, and what it gained; with an encoder also the score without references."""
    student, decoding, metrics, score = settings.student, settings.decoding, settings.metrics, settings.dialogue_score
    training, proof, seed = settings.training, settings.proof, settings.seed
    if not score.encoder:
        return tuned_and_asked(learnt, asked, student, training, decoding, metrics, proof, seed)
    belongs = metric_of(score, [settings.grid.variety])  # refuses before anything is written or trained
    tuned = shared.train("tuned", {"learnt": learnt}, student, training)
    said = {
        "before": shared.replies("before", asked, student, decoding),
        "after": shared.replies("after", asked, student, decoding, tuned),
    }
    systems = {name: scored(f"{name}-scored", one, score) for name, one in said.items()}
    labels = {"before": "untuned", "after": "tuned"}
    found = proven(
        "gain",
        systems,
        labels,
        (*metrics, belongs),
        proof,
        asked=asked,
        student=student,
        decoding=decoding,
        training=learnt,
        seed=seed,
        scored=lambda name, replies: scored(f"{name}-scored", replies, score),
    )
    return [tuned, *said.values(), *systems.values(), *found]
