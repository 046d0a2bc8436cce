"""Settings of a translation -> the engine, the scorers with their thresholds, and the fixed translations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mashq.memory import FILE, Memory
from mashq.mt import open_engine
from mashq.mt.invented import ENGINES
from mashq.quality import Scorer, open_scorer, threshold_of
from mashq.rows import MashqError
from mashq.translate import Bar, Rule, Translator
from mashq.translate.fixed import FIXED, fixed_translations, rejected_translations

__all__ = [
    "TranslationSettings",
    "files_of",
    "models_of",
    "translator",
    "with_paths",
    "without_paths",
]


@dataclass(frozen=True)
class TranslationSettings:
    """What translates, and what a translation must pass."""

    engine: str = ""  # folder or hub name of a Marian, NLLB or M2M-100 model, or lm:MODEL; transliterate = dry run
    options: dict[str, Any] = field(default_factory=dict)  # the engine's own settings: beams, quantization, threads …
    variety: str = "msa"  # of Arabic, to translate into
    fixed: str = ""  # YAML file of labels and choices with their translations, used before ours and the engine
    scorer: str = "cosine:e5"  # of sentence pairs: cosine:ENCODER, margin:ENCODER, comet:FOLDER; "" = none
    scorer_options: dict[str, Any] = field(default_factory=dict)  # the scorer's own settings: anchors, encoder …
    threshold: float | None = None  # least score; null: the scorer's calibrated one
    precision: float | None = None  # 0.9, 0.95 or 0.99 good among the kept; null: as the calibration recommends
    calibration: str = ""  # file of `mashq calibrate`; "" = ours; "published" = the threshold is somebody else's
    checks: tuple[str, ...] = ("length", "numbers", "translated")  # a sentence must pass each, whatever the rule
    rule: Rule = field(default_factory=Rule)
    lost_choices: bool = True  # drop a prompt that no longer shows a choice which it showed


# What may be a path, and what stands before it: engine, scorer, and the settings of both.
KINDS = re.compile(r"((?:(?:lm|llamacpp|transformers|cosine|margin|comet):)*)(.*)", re.DOTALL)


def _path(name: str, value: Any) -> tuple[str, Path] | None:
    """(`kind:`, an existing file or folder) of a setting that names one; None of any other."""
    if not isinstance(value, str) or value in ENGINES or "\n" in value or len(value) > 4_000:
        return None
    kinds, rest = _parted(value)
    if not rest or ("." in name and "/" not in rest):  # an option such as `device` may be the name of a folder here
        return None
    path = Path(rest).expanduser()
    return (kinds, path) if path.exists() else None


def _parted(value: str) -> tuple[str, str]:
    """`cosine:folder` -> `cosine:`, `folder`."""
    match = KINDS.fullmatch(value)
    return (match[1], match[2]) if match else ("", value)


def _places(settings: TranslationSettings) -> dict[str, Any]:
    """Every setting that may name a path: its name (of an option `options.NAME`) -> its value."""
    found: dict[str, Any] = {name: getattr(settings, name) for name in ("engine", "scorer", "fixed", "calibration")}
    for group in ("options", "scorer_options"):
        found |= {f"{group}.{name}": value for name, value in getattr(settings, group).items()}
    return found


def _placed(settings: TranslationSettings, values: Mapping[str, Any]) -> TranslationSettings:
    """The settings with other values at some of `_places`."""
    plain = {name: value for name, value in values.items() if "." not in name}
    for group in ("options", "scorer_options"):
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{group}.")}
        plain[group] = {**getattr(settings, group), **own}
    return replace(settings, **plain)


def files_of(settings: TranslationSettings) -> dict[str, str | Path]:
    """What decides the result and lies in files: they are told by their content, not by their paths."""
    found: dict[str, str | Path] = {"fixed-ours": FIXED}
    for name, value in _places(settings).items():
        if (place := _path(name, value)) is not None:
            found[name] = place[1]
        elif name == "fixed" and value:
            raise MashqError(f"fixed translations: there is no file {value}.")
    return found


def without_paths(settings: TranslationSettings) -> TranslationSettings:
    """The settings with what `files_of` names left out."""
    named = {name: place[0] for name, value in _places(settings).items() if (place := _path(name, value)) is not None}
    return _placed(settings, {name: f"{kinds}local" for name, kinds in named.items()})


def with_paths(settings: TranslationSettings, files: Mapping[str, Path]) -> TranslationSettings:
    """The settings of `without_paths` with the paths of the same files."""
    values = _places(settings)
    found = {name: f"{_parted(values[name])[0]}{path}" for name, path in files.items() if name in values}
    return _placed(settings, found)


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
    own = Path(settings.fixed) if settings.fixed else None
    return Translator(
        engine=open_engine(settings.engine, variety=settings.variety, **settings.options),
        memory=Memory(root / FILE if root is not None else None),
        bar=_bar(scorer, settings.threshold, settings.precision, settings.calibration) if scorer else None,
        checks=tuple(_bar(open_scorer(name)) for name in settings.checks),
        fixed=fixed_translations(settings.variety, own),
        rejected=rejected_translations(settings.variety, own),
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
