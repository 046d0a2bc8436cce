"""English prompts in Arabic: translated sentence by sentence, and kept where every sentence passes.

Paper 2 (arXiv 2408.05882), its translated half. Takes tasks of Super-NaturalInstructions, chats and prompts as they
are; rows of any other data set go through English templates first, PromptSource's own files among them. Choices,
answers, examples and definitions are translated with the prompt. With `train=true` a student is tuned on what is kept.
With `native` too, Arabic prompts that nobody translated are learnt beside them, and only such ones are asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mashq import rows, templates
from mashq import steps as shared
from mashq.judge.asking import JudgeSettings
from mashq.lm import Decoding
from mashq.proof import ProofSettings, tuned_and_asked
from mashq.recipes.tune import template_files
from mashq.rows import MashqError
from mashq.run import Step
from mashq.sources import SourceSettings
from mashq.steps import SplitSettings, StudentSettings
from mashq.train import TrainSettings
from mashq.translate import Rule
from mashq.translate import step as translate_step
from mashq.translate.settings import TranslationSettings


@dataclass(frozen=True)
class Settings:
    data: str = ""  # English file or folder: tasks of Super-NaturalInstructions, chats, or rows for the templates
    template: str = ""  # template file, ours or PromptSource's templates.yaml; "" = the data are prompts already
    templates: str = ""  # a folder of template files, all of which are used
    source: SourceSettings = field(default_factory=SourceSettings)
    rows_per_part: int = 50_000  # prompts in one part
    most: int = 0  # English prompts to translate, chosen by the seed: a first look before the whole; 0 = all
    translation: TranslationSettings = field(default_factory=TranslationSettings)
    train: bool = False  # tune a student on what is kept, and measure its gain on kept prompts that it has not seen
    native: str = ""  # Arabic prompts that nobody translated: file or folder; only such ones are asked. "" = none
    native_source: SourceSettings = field(default_factory=SourceSettings)
    translated: float = 1.0  # share of the training rows that are translated, 0..1; the rest are native
    split: SplitSettings = field(default_factory=SplitSettings)
    rows: int = 0  # training rows of each variety; 0 = all
    asked: int = 200  # test rows of each variety that the student is asked; 0 = all
    student: StudentSettings = field(default_factory=StudentSettings)
    training: TrainSettings = field(default_factory=lambda: TrainSettings(lr_peak=5e-4, supervise="last"))
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=64))
    metrics: tuple[str, ...] = ("rougeL", "chrF++", "exact", "bits_per_byte", "perplexity")
    proof: ProofSettings = field(default_factory=lambda: ProofSettings(judge=JudgeSettings(rubric="prompts")))
    seed: int = 0


SIZES = {
    # The embedded language model translates: a path to try on a laptop, and a weak translator.
    "small": Settings(translation=TranslationSettings(engine="lm:gemma3-270m"), rows=400, asked=60),
    # No model: every word in Arabic letters. Shows what would be read, split, kept and dropped.
    "dry": Settings(translation=TranslationSettings(engine="transliterate", scorer="")),
    # The paper's own: Opus-MT, every sentence at 0.7 or above. Its CometKiwi is not named; this one fits best.
    "paper": Settings(
        translation=TranslationSettings(
            engine="Helsinki-NLP/opus-mt-en-ar",
            scorer="comet:Unbabel/wmt23-cometkiwi-da-xl",
            threshold=0.7,
            calibration="published",
            checks=(),
            rule=Rule(keep="every"),
        ),
        student=StudentSettings(model="Qwen/Qwen2-7B"),
    ),
}


def _english(settings: Settings) -> list[Step]:
    """What is read, and where there are templates the prompts that they make of it."""
    if not settings.data:
        raise MashqError(
            "translate_prompts: expected English data, got no --data FILE. For example a folder of "
            "Super-NaturalInstructions tasks, or --data FILE --template templates.yaml for rows and templates."
        )
    files = template_files(settings)
    licence = templates.load(files[0])[0].dataset.licence if files else None
    source = shared.with_licence(settings.source, settings.source.licence or licence)
    made = [shared.read("english", settings.data, source, settings.rows_per_part)]
    if files:
        made.append(shared.prompts("english-prompts", made[-1], files=files))
    if settings.most:
        made.append(shared.take("english-taken", made[-1], None, most=settings.most, seed=settings.seed))
    return made


def _native(settings: Settings) -> Step:
    """Arabic prompts as they were written."""
    if not 0 <= settings.translated <= 1:
        raise MashqError(rows.expected_got("translate_prompts: translated", "a share, 0..1", str(settings.translated)))
    if settings.translated < 1 and not settings.rows:
        raise MashqError(
            f"translate_prompts: translated={settings.translated:g} is a share of the training rows: say how many they "
            "are with rows."
        )
    return shared.read(
        "native", settings.native, shared.with_licence(settings.native_source, settings.native_source.licence)
    )


def _mixed(settings: Settings, arabic: Step, native: Step) -> tuple[list[Step], Step]:
    """The training rows, translated and native ones in the share that is asked for, and the steps that make them."""
    translated = round(settings.rows * settings.translated)
    parts: dict[str, Step] = {}
    if translated or (settings.translated and not settings.rows):
        # No native test row is here, so rows of any split are learnt, but for those that came as a test.
        lessons = shared.split("translated-split", arabic, SplitSettings(test=0, validation=0))
        parts["translated"] = shared.take("translated", lessons, "train", most=translated, seed=settings.seed)
    if settings.rows > translated or not parts:
        parts["native"] = shared.take(
            "native-learnt", native, "train", most=settings.rows - translated, seed=settings.seed
        )
    learnt = shared.together("learnt", parts)
    return [*parts.values(), learnt], learnt


def steps(settings: Settings) -> list[Step]:
    english = _english(settings)
    arabic = translate_step.translation("arabic", english[-1], settings.translation)
    made = [*english, arabic, translate_step.survey("arabic-survey", arabic)]
    if not settings.train:
        return made
    source = _native(settings) if settings.native else arabic
    divided = shared.split("split", source, settings.split)
    asked = shared.take("asked", divided, "test", most=settings.asked, seed=settings.seed)
    if settings.native:
        more, learnt = _mixed(settings, arabic, divided)
        made += [source, *more]
    else:
        learnt = shared.take("learnt", divided, "train", most=settings.rows, seed=settings.seed)
    student, training = settings.student, settings.training
    proof, seed = settings.proof, settings.seed
    gain = tuned_and_asked(learnt, asked, student, training, settings.decoding, settings.metrics, proof, seed)
    return [*made, divided, learnt, asked, *gain]
