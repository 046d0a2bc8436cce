"""Stories in MSA, Egyptian and Moroccan: a student tuned on prompts and stories, and what it gained.

Paper 4 (arXiv 2407.07551). Reads the released AraStories files. Beside the tuned student stands an arm tuned on the
same stories under shuffled prompts of the same variety: what it gains too is "writes stories", not "obeys".

With `written` a model writes more stories from drawn slots, in these and other varieties (the paper's own were those of
GPT-4), and those that obey their slots are learnt beside the released ones. With `english` a first stage comes before:
English stories with their prompts (the shape of TinyStories' JSON) are translated sentence by sentence, those that pass
are learnt, and the released stories after them (the paper's Model B).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import arabic, rows, stories, story_writer
from mashq import steps as shared
from mashq.lm import Decoding
from mashq.proof import ProofSettings, compared, once, proven
from mashq.rows import MashqError, nearest
from mashq.run import Job, Step, read_rows
from mashq.sources import SourceSettings
from mashq.steps import SplitSettings, StudentSettings
from mashq.story_checks import Limits
from mashq.story_writer import Stories
from mashq.synthesis import Asked
from mashq.synthesis_step import WriterSettings, synthesised, wanted_rows
from mashq.synthesis_survey import survey
from mashq.train import TrainSettings
from mashq.translate import step as translate_step
from mashq.translate.settings import TranslationSettings

VARIETIES = stories.RELEASED
STORIES = "mashq-stories"  # the source of stories that a model writes


@dataclass(frozen=True)
class Writing:
    """How stories are written by a model."""

    varieties: tuple[str, ...] = VARIETIES  # any of data/stories/*.yaml: also gulf, levantine ...
    style: str = "messages"  # messages: chat models; completion: models that go on from a text
    limits: Limits = field(default_factory=Limits)
    must: tuple[str, ...] = ("variety", "characters", "country", "season", "place", "dialogue")  # checks that hold
    writer: WriterSettings = field(default_factory=WriterSettings)


# What the embedded model can do: it goes on from an opening and never ends by itself.
EMBEDDED = Writing(
    style="completion",
    limits=Limits(least_words=40, whole_end=False),
    must=("country", "season", "dialogue"),
    writer=WriterSettings(
        asked=Asked(
            decoding=Decoding(max_new_tokens=160, temperature=0.5, top_p=0.9, repetition_penalty=1.1),
            tries=2,
            repair=False,
            whole=False,
            most_opening=1.0,
        )
    ),
)


@dataclass(frozen=True)
class Settings:
    data: str = ""  # folder with arastories_{msa,egyptian,moroccan}.csv; "" = the folder in $MASHQ_DATA
    varieties: tuple[str, ...] = VARIETIES  # which of the three
    student: StudentSettings = field(default_factory=StudentSettings)
    split: SplitSettings = field(default_factory=lambda: SplitSettings(test=80, validation=6))
    most_words: int = 0  # words of a story; a longer one is dropped. 0 = no limit
    rows: int = 0  # training rows a variety; 0 = all
    train: TrainSettings = field(default_factory=TrainSettings)
    shuffled_arm: bool = True  # also tune on shuffled prompts
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=150))
    metrics: tuple[str, ...] = ("bits_per_byte", "perplexity", "rougeL", "chrF++", "obeys")
    proof: ProofSettings = field(default_factory=ProofSettings)  # further systems, a judge, people
    tune: bool = True  # false: make the data and the report on them, and tune no student
    written: int = 0  # stories of each variety that a model writes; 0 = none
    writing: Writing = field(default_factory=Writing)
    english: str = ""  # English stories for a first stage: JSON of TinyStories' shape, or text; "" = no first stage
    english_source: SourceSettings = field(default_factory=lambda: SourceSettings(source="tinystories"))
    translation: TranslationSettings = field(default_factory=TranslationSettings)
    first: TrainSettings = field(default_factory=TrainSettings)  # training of the first stage
    seed: int = 0


SIZES = {
    # For two processor cores: short stories, few rows, so that three systems are trained and asked within the hour.
    "small": Settings(
        most_words=250,
        rows=40,
        writing=EMBEDDED,
        train=TrainSettings(rows_per_batch=4, lr_peak=5e-4, max_tokens=768, save_every=10),
    ),
    # The paper's own: AraLLaMA-2-base 7B, lr 4e-5, batch 1, 20 epochs; LoRA's rank and the split are ours (not public).
    "paper": Settings(
        student=StudentSettings(model="UBC-NLP/AraLLaMA-2-base"),
        train=TrainSettings(lr_peak=4e-5, rows_per_batch=1, epochs=20, max_tokens=2048, rank=16, alpha=32),
        decoding=Decoding(max_new_tokens=1024),
        # 0.92 of an encoder that is not public: name yours in translation.scorer. 15,000 steps of batch 1.
        translation=TranslationSettings(scorer="", threshold=0.92, calibration="published", checks=()),
        first=TrainSettings(lr_peak=4e-5, rows_per_batch=1, steps=15_000, max_tokens=2048, rank=16, alpha=32),
    ),
}


def released(table: pa.Table, job: Job) -> pa.Table:
    """Released prompts and stories as prompt rows, grouped by what the prompt asks for."""
    made = stories.released(table)
    if not job.settings["most_words"]:
        return made
    return rows.drop(made, [_too_long(texts, job.settings["most_words"]) for texts in made["references"].to_pylist()])


def _too_long(references: list[str] | None, most: int) -> str | None:
    n = len(arabic.words(references[0])) if references else 0
    return f"long: {n} words > {most}" if n > most else None


ASKED = "Write a short story that a young child understands."  # of English stories that come without a prompt


def english_stories(table: pa.Table, job: Job) -> pa.Table:
    """English raw rows as prompt rows: TinyStories' own records, or any record with a story or text."""
    records = [json.loads(meta or "{}") for meta in table["meta"].to_pylist()]
    texts = [_story(record, text) for record, text in zip(records, table["text"].to_pylist(), strict=True)]
    made = rows.children(
        table,
        job.name,
        task="story-generation",
        messages=[[{"role": "user", "content": _asked(record)}] for record in records],
        references=[[text] for text in texts],
        text=pa.nulls(table.num_rows, pa.string()),
        meta=pa.nulls(table.num_rows, pa.string()),
    )
    return rows.drop(made, [None if text else "story: no field 'story' or 'text' with words in it" for text in texts])


def _story(record: dict[str, Any], text: str | None) -> str:
    return str(record.get("story") or record.get("text") or text or "").strip()


def _asked(record: dict[str, Any]) -> str:
    """The prompt that a record keeps, without the words after which its story began."""
    kept = record.get("instruction")
    asked = (kept.get("prompt:") or kept.get("prompt") or "") if isinstance(kept, dict) else ""
    return str(asked).strip().removesuffix("Possible story:").strip() or ASKED


def _first_stage(settings: Settings) -> list[Step]:
    """English stories -> Arabic ones that pass -> the student after its first stage."""
    source = shared.with_licence(settings.english_source, settings.english_source.licence)
    raw = shared.read("raw-english", settings.english, source)
    told = Step("english", english_stories, {"asked": ASKED}, {"raw": raw})
    translated = translate_step.translation("translated", told, settings.translation)
    survey = translate_step.survey("translated-survey", translated)
    return [
        raw,
        told,
        translated,
        survey,
        shared.train("first", {"translated": translated}, settings.student, settings.first),
    ]


def wanted(job: Job) -> Iterator[pa.Table]:
    """What is wanted: slots drawn for each variety."""
    for variety in job.settings["varieties"]:
        drawn = story_writer.wanted(job.settings["n"], variety, job.settings["seed"])
        yield wanted_rows(drawn, STORIES, variety)


def apart(table: pa.Table, job: Job) -> pa.Table:
    """Written stories that are learnt; one that asks for the same as a prompt of test or validation is dropped."""
    held = set()
    for rows_of in read_rows(job.inputs["split"], ["split", "group"]):
        unseen = rows_of.filter(pc.not_equal(rows_of["split"], "train"))
        held.update(unseen["group"].to_pylist())
    made = rows.replace(table, split="train")
    groups = table["group"].to_pylist()
    return rows.drop(made, ["held out: an unseen prompt asks for the same" if one in held else None for one in groups])


def _written(settings: Settings) -> list[Step]:
    """What is wanted -> every reply -> the survey."""
    own = settings.writing
    drawn = {"n": settings.written, "varieties": own.varieties, "seed": settings.seed}
    asked = Step("wanted", wanted, drawn, files={"slots": stories.DATA}, kind="stream")
    writer = Stories(limits=own.limits, must=own.must, style=own.style)  # type: ignore[arg-type]  # it checks the style
    told = synthesised("written", asked, writer, own.writer)
    return [asked, told, survey("written-survey", asked, told, {})]


def shuffled(job: Job) -> Iterator[pa.Table]:
    """The training stories, each under the prompt of another story of its variety."""
    table = job.table("rows")
    places: dict[str, list[int]] = defaultdict(list)
    for place, variety in enumerate(table["variety"].to_pylist()):
        places[variety].append(place)
    given = list(range(table.num_rows))
    random = np.random.default_rng(job.settings["seed"])
    for members in places.values():
        turned = random.permutation(members)  # a cycle through a random order leaves no story its own prompt
        for story, prompt in zip(turned, np.roll(turned, 1), strict=True):
            given[int(story)] = int(prompt)
    yield rows.children(table, job.name, messages=table["messages"].take(pa.array(given)))


def _prompts(settings: Settings, variety: str) -> Step:
    if variety not in VARIETIES:
        raise MashqError(f"stories: no variety '{variety}' ({', '.join(VARIETIES)}).{nearest(variety, VARIETIES)}")
    source = SourceSettings(source="arastories", version=variety, licence="MIT", variety=variety)
    raw = shared.read(
        f"raw-{variety}",
        shared.published("stories", settings.data, f"arastories_{variety}.csv", "UBC-NLP/arastories"),
        source,
    )
    limit = {"most_words": settings.most_words}
    return Step(f"prompts-{variety}", released, limit, {"raw": raw}, files={"slots": stories.DATA})


def steps(settings: Settings) -> list[Step]:
    by_variety = {variety: _prompts(settings, variety) for variety in settings.varieties}
    every = shared.together("prompts", by_variety)
    divided = shared.split("split", every, settings.split)
    learnt = shared.take("learnt", divided, "train", most=settings.rows, seed=settings.seed)
    checked = shared.take("checked", divided, "validation")
    asked = shared.take("asked", divided, "test")
    student = settings.student
    stage = _first_stage(settings) if settings.english else []
    first = stage[-1] if stage else None
    more = _written(settings) if settings.written else []
    if more:
        more.append(Step("written-apart", apart, None, {"written": more[1], "split": divided}))
        more.append(shared.together("lessons", {"learnt": learnt, "written": more[-1]}))
        learnt = more[-1]
    lessons = {"learnt": learnt, "checked": checked}
    if not settings.tune:
        return [*stage, *by_variety.values(), divided, *more]
    tuned = shared.train("tuned", lessons, student, settings.train, first)
    systems = {
        "untuned": shared.replies("untuned", asked, student, settings.decoding),
        "tuned-replies": shared.replies("tuned-replies", asked, student, settings.decoding, tuned),
    }
    labels = {"untuned": "untuned", "tuned-replies": "tuned"}
    made = [*stage, *by_variety.values(), divided, *more, learnt, asked, tuned]
    if settings.shuffled_arm:
        mixed = Step("shuffled", shuffled, {"seed": settings.seed}, {"rows": learnt}, kind="stream")
        arm = shared.train("tuned-shuffled", {"shuffled": mixed, "checked": checked}, student, settings.train, first)
        systems["shuffled-replies"] = shared.replies("shuffled-replies", asked, student, settings.decoding, arm)
        labels["shuffled-replies"] = "shuffled"
        made += [mixed, arm]
    found = proven(
        "gain",
        systems,
        labels,
        settings.metrics,
        settings.proof,
        asked=asked,
        student=student,
        decoding=settings.decoding,
        training=learnt,
        seed=settings.seed,
    )
    if settings.shuffled_arm:  # what is left when "writes stories" is taken away
        both = {name: systems[name] for name in ("shuffled-replies", "tuned-replies")}
        told = {name: labels[name] for name in both}
        found += compared("obeyed", both, told, settings.metrics, settings.proof, training=learnt, seed=settings.seed)
    return once([*made, *systems.values(), *found])
