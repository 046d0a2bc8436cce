"""From nothing to a measured gain in minutes: Arabic facts and stories made, a small student tuned, the gain shown.

Facts of the Unicode CLDR go through Arabic templates to prompts; some countries and some wordings are held out. Story
prompts in three varieties go to the embedded model, and its stories are kept or dropped with reasons. The student is
tuned on the facts and asked the held-out prompts before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from mashq import steps as shared
from mashq import stories, story_checks, templates
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.mix import splits
from mashq.proof import ProofSettings, proven
from mashq.rows import children, drop
from mashq.rows import replace as with_columns
from mashq.run import Job, Step
from mashq.sources import cldr
from mashq.steps import StudentSettings
from mashq.train import TrainSettings

HELD_OUT = "_heldout_"  # in the name of a template that is never trained on


@dataclass(frozen=True)
class Settings:
    facts: tuple[str, ...] = cldr.KINDS  # which kinds of facts
    held_out: float = 0.15  # share of each kind's countries, languages, units ... that are never trained on
    learnt_a_task: int = 40  # training prompts a task; 0 = all
    asked_a_task: int = 10  # held-out prompts a task that the student is asked; 0 = all
    stories_a_variety: int = 4  # story prompts in each of MSA, Egyptian and Moroccan
    writer: str = "llamacpp:gemma3-270m"  # who writes the stories: any model of `mashq.lm`
    story_decoding: Decoding = field(
        default_factory=lambda: Decoding(max_new_tokens=160, temperature=0.5, top_p=0.9, repetition_penalty=1.1, seed=7)
    )
    limits: story_checks.Limits = field(default_factory=lambda: story_checks.Limits(least_words=40, whole_end=False))
    must: tuple[str, ...] = ("country", "season", "dialogue")  # slots that a kept story obeys, where asked
    learn_stories: bool = False  # also train on the kept stories: for a writer better than the embedded one
    student: StudentSettings = field(default_factory=StudentSettings)
    train: TrainSettings = field(default_factory=lambda: TrainSettings(lr_peak=7e-4, rows_per_batch=16, max_tokens=512))
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=24))
    metrics: tuple[str, ...] = ("rougeL", "exact", "chrF++", "bits_per_byte", "perplexity")
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="prompts")))
    seed: int = 0


SIZES = {"small": Settings(), "large": Settings(learnt_a_task=0, asked_a_task=40, stories_a_variety=40)}


# --- facts -----------------------------------------------------------------------------------------------------------


def facts(job: Job) -> Iterator[pa.Table]:
    """CLDR's facts, one raw row each."""
    yield cldr.read(job.settings["kinds"])


def prompts(rows: pa.Table, job: Job) -> pa.Table:
    """Each fact through the templates of its own kind."""
    library = templates.library("cldr")
    kinds = pa.array([json.loads(meta)["kind"] for meta in rows["meta"].to_pylist()])
    made = []
    for kind in pc.unique(kinds).to_pylist():
        chosen = [one for one in library if one.name.startswith(f"cldr/{kind}_")]
        made.append(templates.apply(rows.filter(pc.equal(kinds, kind)), chosen, step=job.name))
    return pa.concat_tables(made)


def held_out(job: Job) -> Iterator[pa.Table]:
    """Test: every prompt in a held-out wording, and every prompt on a held-out country, language or unit."""
    table = job.table("prompts")
    groups = table["group"].to_pylist()
    kinds = [group.split(":")[0] for group in groups]
    apart = splits(groups, kinds, test=job.settings["share"], seed=job.settings["seed"])
    wordings = [HELD_OUT in name for name in table["template"].to_pylist()]
    yield with_columns(
        table, split=["test" if new or old == "test" else "train" for old, new in zip(apart, wordings, strict=True)]
    )


# --- stories ---------------------------------------------------------------------------------------------------------


def asked_stories(job: Job) -> Iterator[pa.Table]:
    """Story prompts drawn from slots, in each variety."""
    for variety in stories.RELEASED:
        yield stories.prompts(job.settings["n"], variety, job.settings["seed"])


def told_stories(rows: pa.Table, job: Job) -> pa.Table:
    """One story a prompt from the writer; a base model goes on from an opening in the variety asked for."""
    from mashq.lm import Request, generate, licence, open_model

    writer, turns = job.settings["writer"], rows["messages"].to_pylist()
    openings = [stories.openings_of(stories.Slots(**json.loads(meta)))[0] for meta in rows["meta"].to_pylist()]
    texts = [f"{messages[-1]['content']}\n\n{opening}" for messages, opening in zip(turns, openings, strict=True)]
    requests = [Request(prompt=text, decoding=job.settings["decoding"]) for text in texts]
    got = generate(open_model(writer), requests, ledger=job.root / "ledger" / "replies", budget=None)
    told = [opening + reply.text.rstrip() for opening, reply in zip(openings, got, strict=True)]
    made = children(
        rows,
        job.name,
        licence=licence(writer),
        split="train",
        messages=[[*asked, {"role": "assistant", "content": story}] for asked, story in zip(turns, told, strict=True)],
    )
    return drop(made, [f"no reply: {reply.error}" if reply.error else None for reply in got])


def kept_stories(rows: pa.Table, job: Job) -> pa.Table:
    """Stories that are long enough, Arabic, as they were asked for, and neither loop nor repeat the prompt."""
    return drop(rows, story_checks.reasons_column(rows, limits=job.settings["limits"], must=job.settings["must"]))


# --- the recipe ------------------------------------------------------------------------------------------------------


def steps(settings: Settings) -> list[Step]:
    raw = Step("facts", facts, {"kinds": settings.facts, "version": cldr.version()}, kind="stream", rows_per_part=400)
    library = {one.name: one.fingerprint for one in templates.library("cldr")}
    made = Step("prompts", prompts, {"templates": library}, {"facts": raw})
    parting = {"share": settings.held_out, "seed": settings.seed}
    divided = Step("held-out", held_out, parting, {"prompts": made}, kind="stream")
    learnt = shared.take("learnt", divided, "train", most=settings.learnt_a_task, by="task", seed=settings.seed)
    asked = shared.take("asked", divided, "test", most=settings.asked_a_task, by="task", seed=settings.seed)

    drawn = {"n": settings.stories_a_variety, "seed": settings.seed}
    wanted = Step("story-prompts", asked_stories, drawn, files={"slots": stories.DATA}, kind="stream", rows_per_part=4)
    writing = {"writer": settings.writer, "decoding": settings.story_decoding}
    told = Step("stories-told", told_stories, writing, {"prompts": wanted}, here=True)
    fit = {"limits": settings.limits, "must": settings.must}
    kept = Step("stories-kept", kept_stories, fit, {"stories": told}, files={"slots": stories.DATA})

    lessons = {"facts": learnt, **({"stories": kept} if settings.learn_stories else {})}
    tuned = shared.train("tuned", lessons, settings.student, settings.train)
    systems = {
        "before": shared.replies("before", asked, settings.student, settings.decoding),
        "after": shared.replies("after", asked, settings.student, settings.decoding, tuned),
    }
    labels = {"before": "untuned", "after": "tuned"}
    found = proven(
        "gain",
        systems,
        labels,
        settings.metrics,
        settings.proof,
        asked=asked,
        student=settings.student,
        decoding=settings.decoding,
        training=learnt,
        seed=settings.seed,
    )
    return [raw, made, divided, learnt, asked, wanted, told, kept, tuned, *systems.values(), *found]
