"""Settings of a translation -> the engine, the scorers with their thresholds, and the fixed translations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from mashq.memory import FILE, Memory
from mashq.mt import open_engine
from mashq.quality import Scorer, open_scorer, threshold_of
from mashq.rows import MashqError
from mashq.translate import Bar, Rule, Translator

__all__ = [
    "FIXED",
    "TranslationSettings",
    "files_of",
    "fixed_translations",
    "models_of",
    "translator",
    "with_paths",
    "without_paths",
]

FIXED = Path(__file__).parent / "data" / "fixed_translations.yaml"


@dataclass(frozen=True)
class TranslationSettings:
    """What translates, and what a translation must pass."""

    engine: str = ""  # folder or hub name of a Marian, NLLB or M2M-100 model, or lm:MODEL; transliterate = dry run
    options: dict[str, Any] = field(default_factory=dict)  # the engine's own settings: beams, quantization, threads …
    variety: str = "msa"  # of Arabic, to translate into
    language: Literal["en", "ar"] = "en"  # of the rows
    fixed: str = ""  # YAML file of labels and choices with their translations, used before ours and the engine
    scorer: str = "cosine:e5"  # of sentence pairs: cosine:ENCODER, margin:ENCODER, comet:FOLDER; "" = none
    scorer_options: dict[str, Any] = field(default_factory=dict)  # the scorer's own settings: anchors, encoder …
    threshold: float | None = None  # least score; null: the scorer's calibrated one
    precision: float | None = None  # 0.9, 0.95 or 0.99 good among the kept; null: as the calibration recommends
    calibration: str = ""  # file of `mashq calibrate`; "" = ours; "published" = the threshold is somebody else's
    checks: tuple[str, ...] = ("length", "numbers", "translated")  # a sentence must pass each, whatever the rule
    rule: Rule = field(default_factory=Rule)
    lost_choices: bool = True  # drop a prompt that no longer shows a choice which it showed


def _folder_of(scorer: str) -> str:
    """The path in `kind:PATH`, or an empty string."""
    _, _, rest = scorer.partition(":")
    return rest if Path(rest).exists() and ("/" in rest or Path(rest).is_dir()) else ""


def files_of(settings: TranslationSettings) -> dict[str, str | Path]:
    """What decides the result and lies in files: they are told by their content, not by their paths."""
    found: dict[str, str | Path] = {"fixed-ours": FIXED}
    if Path(settings.engine).is_dir():
        found["engine"] = settings.engine
    if settings.scorer and (folder := _folder_of(settings.scorer)):
        found["scorer"] = folder
    if settings.fixed:
        found["fixed"] = settings.fixed
    if settings.calibration not in ("", "published"):
        found["calibration"] = settings.calibration
    return found


def without_paths(settings: TranslationSettings) -> TranslationSettings:
    """The settings with what `files_of` names left out."""
    files = files_of(settings)
    kind = settings.scorer.partition(":")[0]
    return replace(
        settings,
        engine="local folder" if "engine" in files else settings.engine,
        scorer=f"{kind}:local folder" if "scorer" in files else settings.scorer,
        fixed="file" if settings.fixed else "",
        calibration="file" if "calibration" in files else settings.calibration,
    )


def with_paths(settings: TranslationSettings, files: Mapping[str, Path]) -> TranslationSettings:
    """The settings of `without_paths` with the paths of the same files."""
    kind = settings.scorer.partition(":")[0]
    return replace(
        settings,
        engine=str(files.get("engine", settings.engine)),
        scorer=f"{kind}:{files['scorer']}" if "scorer" in files else settings.scorer,
        fixed=str(files.get("fixed", "")),
        calibration=str(files.get("calibration", settings.calibration)),
    )


def translator(settings: TranslationSettings, root: Path | None) -> Translator:
    """What these settings open; its memory lies in the store `root` (None: in this process only).

    Raises MashqError where no engine is named, and where a scorer has no threshold (`mashq.quality.threshold_of`).
    """
    if not settings.engine:
        raise MashqError(
            "translation: no engine is named. Set engine to a folder of an Opus-MT, NLLB or M2M-100 model, a hub name "
            "such as Helsinki-NLP/opus-mt-en-ar, lm:MODEL for a language model, or transliterate for a dry run."
        )
    if settings.threshold is not None and not settings.scorer:
        raise MashqError(
            f"translation: the threshold {settings.threshold:g} belongs to a scorer, and none is named. A paper's "
            "number means nothing without its model: set scorer to cosine:ENCODER or comet:MODEL."
        )
    scorer = open_scorer(settings.scorer, **settings.scorer_options) if settings.scorer else None
    return Translator(
        engine=open_engine(settings.engine, variety=settings.variety, **settings.options),
        memory=Memory(root / FILE if root is not None else None),
        bar=_bar(scorer, settings.threshold, settings.precision, settings.calibration) if scorer else None,
        checks=tuple(_bar(open_scorer(name)) for name in settings.checks),
        fixed=fixed_translations(settings.variety, Path(settings.fixed) if settings.fixed else None),
    )


def _bar(scorer: Scorer, asked: float | None = None, precision: float | None = None, calibration: str = "") -> Bar:
    limit = threshold_of(scorer, asked, precision, calibration)
    return Bar(scorer, float(np.float32(limit.value)), limit.why)  # as exact as the scores are


def models_of(opened: Translator) -> list[dict[str, Any]]:
    """What translated and judged, with licences and thresholds: for manifests and cards."""
    engine = {"role": "translated", "name": opened.engine.name, "licence": opened.engine.licence, "column": ""}
    bars = [*opened.checks, *([opened.bar] if opened.bar else [])]
    return [
        {**engine, "identity": opened.engine.identity, "least": None, "why": ""},
        *(
            {
                **{"role": "judged", "name": bar.scorer.name, "licence": bar.scorer.licence},
                **{"column": bar.scorer.column, "identity": bar.scorer.identity, "least": bar.least, "why": bar.why},
            }
            for bar in bars
        ),
    ]


# --- fixed translations ----------------------------------------------------------------------------------------------


def fixed_translations(variety: str, own: Path | None = None) -> Mapping[str, str]:
    """Sentence -> its translation into a variety, of the user's file before ours; also capitalised and in capitals.

    A file maps a variety (or `all`) to sentences and their translations; a variety takes over what MSA has, where
    neither file says it in the variety itself. Raises MashqError for a file of another shape.
    """
    found: dict[str, str] = {}
    contents = [_content(path) for path in (FIXED, own) if path is not None]
    for part in dict.fromkeys(("all", "msa", variety)):
        for content in contents:
            found |= {form: text for source, text in (content.get(part) or {}).items() for form in _forms(source)}
    return found


def _forms(source: str) -> tuple[str, ...]:
    """A source that is written small as it may stand at a beginning or on a label; any other as it is."""
    return (source, source[:1].upper() + source[1:], source.upper()) if source.islower() else (source,)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # every value a text: `no` is a word here
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"fixed translations {path}: cannot be read ({error}).") from error
    tables = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(table, dict) and all(isinstance(text, str) for text in table.values()) for table in tables):
        raise MashqError(
            f"fixed translations {path}: expected varieties (or all) -> sentences -> translations, such as\n"
            "  msa:\n    yes: نعم"
        )
    return content
