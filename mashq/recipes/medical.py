"""Medical answers from social posts: cleaned, de-identified, normalised, paired; five students tuned on the pairs.

Paper 3 (arXiv 2509.10095): 20,000 complaint-answer pairs from social media, LoRA on five models, BERTScore. Its data,
its rules, rank, learning rate, epochs, split and encoder are not public. Without `data` the posts are synthetic, with
noise, identifiers and dialects planted in them, so that the report can say how much of it is left. At `small` the five
architectures have random weights, which proves the path and nothing else; the embedded model is a sixth, measured one.

Each student is tuned on the pairs as they were written and, with `both_arms`, on pairs whose dialect words are brought
to one spelling; both are asked the same held-out questions. Red-flag questions are never learnt; they are asked apart.
Nothing that this makes is medical advice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from mashq import posts, rows
from mashq import steps as shared
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.lm.toy import TOYS
from mashq.medical import posts as medical_posts
from mashq.posts import CleanSettings, NormaliseSettings, PairSettings, PrivacySettings, VarietySettings
from mashq.posts_survey import survey
from mashq.proof import ProofSettings, compared, once, proven
from mashq.rows import MashqError, nearest
from mashq.run import Job, Step, read_rows
from mashq.sources import SourceSettings
from mashq.steps import EncoderSettings, SplitSettings, StudentSettings
from mashq.train import TrainSettings

SOURCE = "mashq-medical-posts"
BERTSCORE = ("bertscore_precision", "bertscore_recall", "bertscore_f1")


@dataclass(frozen=True)
class Settings:
    data: str = ""  # posts or pairs: a file or folder that `mashq.sources` reads; "" = synthetic posts
    source: SourceSettings = field(default_factory=lambda: SourceSettings(source="posts"))
    posts: int = 2_000  # synthetic threads, where no data are given
    clean: CleanSettings = field(default_factory=CleanSettings)
    alike: float = 0.8  # questions from this estimated Jaccard index on are near-duplicates
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    variety: VarietySettings = field(default_factory=VarietySettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    normalise: NormaliseSettings = field(default_factory=NormaliseSettings)
    more: dict[str, str] = field(default_factory=dict)  # generator -> file of synthetic pairs that are learnt too
    rows: int = 0  # training pairs of the posts; 0 = all
    more_rows: int = 0  # training pairs of each generator; 0 = all
    split: SplitSettings = field(default_factory=lambda: SplitSettings(test=0.1, validation=0.0))
    asked: int = 0  # held-out questions of each task that students are asked; 0 = all
    tune: bool = True  # false: make the data and the report on them, and tune no student
    both_arms: bool = True  # tune each student on plain and on normalised pairs; false: on normalised ones alone
    students: dict[str, str] = field(default_factory=dict)  # name in the report -> model
    toy_rows: int = 0  # training pairs of a toy (random weights); 0 = as many as the others
    measured: str = ""  # the student whose untuned self is the baseline; "" = the first
    dtype: str = "bfloat16"  # numbers the weights are held in while students are asked
    train: TrainSettings = field(default_factory=TrainSettings)
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=256))
    encoder: EncoderSettings = field(default_factory=EncoderSettings)  # of BERTScore
    metrics: tuple[str, ...] = (*BERTSCORE, "rougeL", "chrF++", "bits_per_byte")
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="medical")))
    seed: int = 0


SIZES = {
    # For two processor cores: five toys and the embedded model, on part of the pairs.
    "small": Settings(
        students={
            "Mistral (toy)": "toy-mistral",
            "Llama 2 (toy)": "toy-llama",
            "AraGPT2 (toy)": "toy-gpt2",
            "BLOOM (toy)": "toy-bloom",
            "GPT-2 medium (toy)": "toy-gpt2-medium",
            "Gemma 3 270M": "gemma3-270m",
        },
        rows=80,
        toy_rows=40,
        asked=8,
        measured="Gemma 3 270M",
        train=TrainSettings(lr_peak=5e-4, rows_per_batch=4, epochs=2, max_tokens=2048),
        decoding=Decoding(max_new_tokens=96),
        encoder=EncoderSettings(model="gemma3-270m", layer=9),
    ),
    # The paper's own five and 20,000 pairs, batch 8, 200 steps of warm-up, cosine, FP16; rank, rate and epochs are ours
    # (not public). Its posts are not public either: name yours with `data`. The follow-up (arXiv 2509.10108) adds
    # 80,000 synthetic pairs of two models: more='{model-1: pairs-1.jsonl, model-2: pairs-2.jsonl}', more_rows=40000.
    "paper": Settings(
        posts=25_000,
        rows=20_000,
        students={
            "Mistral-7B-Instruct": "mistralai/Mistral-7B-Instruct-v0.2",
            "LLaMA-2-7B": "meta-llama/Llama-2-7b-hf",
            "AraGPT2-Base": "aubmindlab/aragpt2-base",
            "BLOOM-560M": "bigscience/bloom-560m",
            "GPT-2 Medium": "openai-community/gpt2-medium",
        },
        both_arms=False,
        train=TrainSettings(rank=16, alpha=32, rows_per_batch=8, warmup=200, schedule="cosine", precision="fp16"),
        encoder=EncoderSettings(model="google-bert/bert-base-multilingual-cased", layer=9),
    ),
}


# --- posts -----------------------------------------------------------------------------------------------------------


def written(job: Job) -> Iterator[pa.Table]:
    """Synthetic posts as raw rows, read as a forum dump would be."""
    from mashq import sources

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "posts.jsonl"
        medical_posts.to_jsonl(medical_posts.write(job.settings["n"], seed=job.settings["seed"]), path)
        source = SourceSettings(source=SOURCE, version="1", licence=medical_posts.LICENCE, key_field="key")
        yield from sources.read(path, source)


def apart(job: Job) -> Iterator[pa.Table]:
    """Red-flag questions are for tests alone, with all of their group."""
    table = job.table("rows")
    flagged = {
        group
        for group, task in zip(table["group"].to_pylist(), table["task"].to_pylist(), strict=True)
        if task == posts.RED_FLAG
    }
    split = [
        "test" if group in flagged else old
        for group, old in zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True)
    ]
    yield rows.replace(table, split=split)


def own_items(table: pa.Table, job: Job) -> pa.Table:
    """Replies to normalised questions under the items of the questions as they were asked, which stand before them."""
    pages = [page.to_pydict() for page in read_rows(job.inputs["asked"], ["id", "parents"])]
    first = {one: own[0] for page in pages for one, own in zip(page["id"], page["parents"], strict=True)}
    return rows.replace(table, parents=[[first[own[0]], *own] for own in table["parents"].to_pylist()])


def _data(settings: Settings) -> list[Step]:
    """Raw posts -> threads -> clean -> distinct -> de-identified -> variety told -> pairs."""
    if settings.data:
        raw = shared.read("raw", settings.data, shared.with_licence(settings.source, settings.source.licence))
        raw = replace(raw, private=True)
    else:
        asked = {"n": settings.posts, "seed": settings.seed}
        raw = Step("raw", written, asked, files={"parts": medical_posts.DATA}, kind="stream", private=True)
    thread = posts.threads("threads", raw)
    clean = posts.cleaned("cleaned", thread, settings.clean)
    distinct = posts.distinct("distinct", clean, settings.alike)
    safe = posts.deidentified("deidentified", distinct, settings.privacy)
    told = posts.varieties_told("told", safe, settings.variety)
    return [raw, thread, clean, distinct, safe, told, posts.pairs("pairs", told, settings.pairs)]


# --- the recipe ------------------------------------------------------------------------------------------------------


def _lessons(settings: Settings, held: Step, arm: str) -> tuple[Step, Step]:
    """Training pairs of one arm ("": as written), for students and for toys: of the posts, and of each generator."""
    learnt = shared.take(f"learnt{arm}", held, "train", most=settings.rows, by="task", seed=settings.seed)
    toys = shared.take(f"learnt-toys{arm}", held, "train", most=settings.toy_rows, by="task", seed=settings.seed)
    if not settings.more:
        return learnt, toys
    further = {}
    for generator, file in settings.more.items():
        raw = shared.read(f"raw-{generator}", file, SourceSettings(source=generator, licence="unknown"))
        raw = replace(raw, private=True)
        safe = posts.deidentified(f"safe-{generator}", posts.threads(f"threads-{generator}", raw), settings.privacy)
        told = posts.varieties_told(f"told-{generator}", safe, settings.variety)
        made = posts.pairs(f"pairs-{generator}", told, settings.pairs)
        if arm:
            made = posts.normalised(f"pairs-{generator}{arm}", made, settings.normalise)
        new = posts.unlike(f"new-{generator}{arm}", made, held, settings.alike)
        further[generator] = shared.take(f"learnt-{generator}{arm}", new, None, most=settings.more_rows, by="source")
    return shared.together(f"lessons{arm}", {"posts": learnt, **further}), toys


def _tuned(settings: Settings, held: Step, normal: Step) -> list[Step]:
    """Every student tuned in each arm and asked; the evaluations of each arm, and of one arm against the other."""
    asked = shared.take("asked", held, "test", most=settings.asked, by="task", seed=settings.seed)
    unchanged = replace(settings.normalise, references=False)  # systems are compared on the same references
    arms = {"-normalised": (normal, posts.normalised("asked-normalised", asked, unchanged))}
    if settings.both_arms:
        arms = {"": (held, asked), **arms}
    measured = settings.measured or next(iter(settings.students))
    made: list[Step] = [asked]
    told: dict[str, dict[str, Step]] = {}
    first = StudentSettings(model=settings.students[measured], dtype=settings.dtype)
    untuned = shared.replies("untuned", asked, first, settings.decoding)
    made.append(untuned)
    for arm, (pairs, questions) in arms.items():
        lessons, toys = _lessons(settings, pairs, arm)
        made += [lessons, *([toys] if settings.toy_rows else [])]
        told[arm] = {}
        for place, (label, model) in enumerate(settings.students.items()):
            student = StudentSettings(model=model, dtype=settings.dtype)
            few = bool(settings.toy_rows) and model in TOYS
            tuned = shared.train(f"student-{place}{arm}", {"learnt": toys if few else lessons}, student, settings.train)
            said = shared.replies(f"replies-{place}{arm}", questions, student, settings.decoding, tuned)
            if arm:
                said = Step(f"items-{place}{arm}", own_items, None, {"replies": said, "asked": questions})
            told[arm][label] = said
            made += [tuned, said]
        # The measured student stands first after its untuned self: the summary speaks of it.
        systems = {f"{measured}, untuned": untuned, measured: told[arm][measured], **told[arm]}
        made += proven(
            f"students{arm}",
            *_named(systems),
            settings.metrics,
            settings.proof,
            asked=asked,
            student=first,
            decoding=settings.decoding,
            training=lessons,
            seed=settings.seed,
            encoder=settings.encoder,
        )
    if settings.both_arms:
        both = {f"{measured}, as written": told[""][measured], f"{measured}, normalised": told["-normalised"][measured]}
        made += compared(
            "normalisation",
            *_named(both),
            settings.metrics,
            settings.proof,
            seed=settings.seed,
            encoder=settings.encoder,
        )
    return once(made)


def _named(systems: dict[str, Step]) -> tuple[dict[str, Step], dict[str, str]]:
    """Systems by label -> their steps by name, and their labels by name."""
    return {step.name: step for step in systems.values()}, {step.name: label for label, step in systems.items()}


def _check(settings: Settings) -> None:
    """Raises MashqError for students that the settings do not say."""
    if not settings.students:
        raise MashqError("medical: students: expected at least one, name: model, got none. Or set tune=false.")
    if settings.measured and settings.measured not in settings.students:
        known = ", ".join(settings.students)
        expected = rows.expected_got("medical: measured", f"one of {known}", f"'{settings.measured}'")
        raise MashqError(expected + nearest(settings.measured, settings.students))


def steps(settings: Settings) -> list[Step]:
    data = _data(settings)
    raw, *_, safe, _, made = data
    divided = shared.split("divided", made, settings.split)
    held = Step("apart", apart, None, {"rows": divided}, kind="stream")
    normal = posts.normalised("normalised", held, settings.normalise)
    told = [*data, held, normal, survey("survey", raw, safe, made, normal)]
    if not settings.tune:
        return told
    _check(settings)
    return [*told, *_tuned(settings, held, normal)]
