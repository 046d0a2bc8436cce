"""Replies with the dialogue score of their conversation, where that score has been shown to hear anything."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mashq import rows as tables
from mashq.encode import Encoder, open_encoder
from mashq.metrics import Metric, dialogue_score
from mashq.metrics.dialogue_score import Validation
from mashq.rows import MashqError
from mashq.run import Job, Step

__all__ = ["DialogueScoreSettings", "metric_of", "scored"]


@dataclass(frozen=True)
class DialogueScoreSettings:
    """The reference-free score of whether a reply belongs to what was said before it."""

    encoder: str = ""  # e5 (embedded), a local folder or a hub name; "" = the score is not asked for
    validation: str = ""  # file with what `validate` found for that encoder; "" = the package's own, which is of e5
    unvalidated: bool = False  # also in varieties where the validation fails; their scores then say validated:no


def metric_of(settings: DialogueScoreSettings, varieties: Iterable[str]) -> Metric:
    """The metric whose values `scored` writes, for rows of these varieties.

    Raises MashqError, unless `unvalidated`, where the validation does not carry the score for one of them, and always
    where a validation that was named is of another encoder.
    """
    encoder = _encoder(settings.encoder)
    problem = dialogue_score.why_not_validated(sorted(varieties), _validation(settings, encoder), encoder)
    if problem and not settings.unvalidated:
        raise MashqError(
            f"dialogue_score: {problem}. In such a variety the score cannot tell a true reply from one to another "
            "question well enough. Leave dialogue_score.encoder empty, name a validation on conversations of your own "
            "(dialogue_score.validation), or take it marked as not validated: dialogue_score.unvalidated=true."
        )
    return dialogue_score.metric(encoder, marked=problem is not None)


def scored(name: str, replies: Step, settings: DialogueScoreSettings) -> Step:
    """The rows of a step of replies; `meta` of each that was not dropped has the score of its conversation."""
    identity = {"encoder": _encoder(settings.encoder).identity, "score": dialogue_score.VERSION}
    inputs = {"replies": replies, "rows": replies.inputs["rows"]}  # whoever asks what was asked finds it here too
    return Step(name, _scored, None, inputs, identity=identity, here=True, aside=settings.encoder)


def _scored(rows: pa.Table, job: Job) -> pa.Table:
    spoken = [place for place, why in enumerate(rows["dropped"].to_pylist()) if why is None]
    messages, meta = rows["messages"].to_pylist(), rows["meta"].to_pylist()
    found = dialogue_score.facts_of([messages[place] for place in spoken], _encoder(job.aside))
    for place, facts in zip(spoken, found, strict=True):
        told = {**json.loads(meta[place] or "{}"), dialogue_score.NAME: facts}
        meta[place] = json.dumps(told, ensure_ascii=False)
    return tables.replace(rows, meta=meta)


def _validation(settings: DialogueScoreSettings, encoder: Encoder) -> Validation | None:
    """The validation that was named, else the package's where it is of this encoder."""
    if settings.validation:
        return Validation.from_json(Path(settings.validation).expanduser().read_text("utf-8"))
    own = dialogue_score.VALIDATED
    found = Validation.from_json(own.read_text("utf-8")) if own.exists() else None
    return found if found and found.encoder == encoder.identity else None


@functools.lru_cache(maxsize=1)
def _encoder(spec: str) -> Encoder:
    return open_encoder(spec)
