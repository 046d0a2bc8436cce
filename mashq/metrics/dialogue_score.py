"""A reference-free score of a conversation: does each reply belong to what was said before it?

| part | weight | of a conversation, 0..1 |
|---|---|---|
| `relevance` | 0.4 | the mean likeness of each reply and the three turns before it |
| `coherence` | 0.2 | the mean likeness of each turn and all others |
| `specificity` | 0.2 | 1 - the mean likeness of each reply and the nearest of some replies that fit everything |
| `freshness` | 0.1 | distinct runs of three words in the replies / all of them |
| `arabic` | 0.1 | the share of the replies' letters that are Arabic script |

Likeness is the cosine of two vectors of a sentence encoder, less what all vectors have in common (the mean of the
`background` in `data/dialogues/dialogue_score.yaml`: cosines of e5 stand between 0.7 and 1 whatever is said), and 0 for
a negative one. A conversation with an empty reply, or none, scores 0 in every part. The weights were set before any
measurement and are not fitted to anything.

This score is ours and carries no other name: the dialogue metric "RAVEN" of the first paper has no public definition.
It must be validated before it is used: `dialogue_validation.validate` asks how often it ranks a true reply above one of
another conversation of the same variety and about the same length, and `dialogue_score` refuses a variety where the
lower end of that AUC is not above `LEAST_AUC`. It says whether replies belong, not whether they are true, polite or
well written.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mashq import arabic
from mashq.encode import Encoder, open_encoder
from mashq.metrics.score import Metric, Score, mean_score, sign
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got

__all__ = [
    "LEAST_AUC",
    "VALIDATED",
    "WEIGHTS",
    "Auc",
    "Parts",
    "Validation",
    "dialogue_items",
    "dialogue_score",
    "facts_of",
    "metric",
    "why_not_validated",
]

NAME = "dialogue_score"  # as a metric, and of the facts in a row's `meta`
VERSION = 1  # of parts, weights and data together
WEIGHTS = {"relevance": 0.4, "coherence": 0.2, "specificity": 0.2, "freshness": 0.1, "arabic": 0.1}
HISTORY = 3  # turns before a reply that it is compared with
RUN = 3  # words in the runs that freshness counts
LEAST_AUC = 0.6  # the lower end of a validation's interval is above it; 0.5 is chance
LEAST_CONVERSATIONS = 20  # of a variety, to be validated at all
# What benchmarks/dialogue_score.py found for the embedded encoder: a variety by the texts on which it tells least.
VALIDATED = Path(__file__).parents[1] / "data" / "dialogues" / "dialogue_score_validated.json"

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Parts:
    """The parts of one conversation's score, each 0..1; more is better."""

    relevance: float
    coherence: float
    specificity: float
    freshness: float
    arabic: float

    @property
    def whole(self) -> float:
        """The weighted sum, 0..1."""
        return sum(weight * getattr(self, name) for name, weight in WEIGHTS.items())


NOTHING = Parts(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Auc:
    """How often a true conversation scores above a shuffled one; ties count half. 0.5 is chance."""

    value: float
    low: float | None  # 95 %, whole groups drawn; None where there is one group
    high: float | None
    n: int  # true conversations, each with a shuffled one beside it


@dataclass(frozen=True)
class Validation:
    """What a validation found: the AUC of the whole and of each part, for each variety, and for which encoder."""

    encoder: str  # Encoder.identity
    auc: Mapping[str, Auc]  # variety -> of the whole score
    parts: Mapping[str, Mapping[str, Auc]]  # variety -> part -> AUC
    version: int = VERSION
    seed: int = 0

    def why_not(self, variety: str) -> str | None:
        """The reason for which the score must not be used on a variety, or None: `auc: 0.55 of msa <= 0.6`."""
        found = self.auc.get(variety)
        if found is None:
            return f"validation: none for variety '{variety}'"
        if found.n < LEAST_CONVERSATIONS:
            return f"validation: {found.n} conversations of {variety} < {LEAST_CONVERSATIONS}"
        if found.low is None or found.low <= LEAST_AUC:
            low = "no lower end" if found.low is None else f"{found.low:.2f}"
            return f"auc: {low} of {variety} <= {LEAST_AUC} (value {found.value:.2f}, n {found.n})"
        return None

    def to_json(self) -> str:
        """As one JSON text, which `from_json` reads."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Validation:
        """What `to_json` wrote. Raises MashqError for anything else."""
        try:
            data = json.loads(text)
            auc = {variety: Auc(**one) for variety, one in data["auc"].items()}
            parts = {v: {part: Auc(**one) for part, one in of.items()} for v, of in data["parts"].items()}
            return cls(str(data["encoder"]), auc, parts, int(data["version"]), int(data["seed"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            do = "Write it with Validation.to_json."
            raise MashqError(expected_got("dialogue score: validation", "its JSON", f"{text!r:.60}", do)) from error


# --- the score -------------------------------------------------------------------------------------------------------


def dialogue_items(conversations: Sequence[Messages], encoder: Encoder | None = None) -> list[Parts]:
    """The parts of each conversation's score. System turns are left out of it.

    encoder: `encode.open_encoder()` by default. Raises MashqError for a message without role and content.
    """
    encoder = encoder or open_encoder()
    told = [spoken(messages, place) for place, messages in enumerate(conversations)]
    texts = sorted({text for turns in told for text in _texts(turns)})
    vectors = dict(zip(texts, _centred(encoder, texts), strict=True))
    generic = _centred(encoder, _data()["generic"])  # (replies, dimensions)
    return [_parts(turns, vectors, generic) for turns in told]


def dialogue_score(
    conversations: Sequence[Messages],
    varieties: Sequence[str],
    validation: Validation | None,
    *,
    encoder: Encoder | None = None,
    groups: Sequence[str | None] | None = None,
    mark: bool = False,
    seed: int = 0,
) -> dict[str, Score]:
    """The mean of the whole score (`dialogue`) and of its parts, each with an interval over groups.

    `varieties` has one name a conversation. `mark` = where the validation does not carry the score for one of them, say
    `validated:no` in the signatures instead of refusing.
    Raises MashqError, unless `mark`, for a variety that `validation` does not carry (`Validation.why_not`), and always
    for a validation of another encoder or version, for unequal lengths and for no conversation at all.
    """
    encoder = encoder or open_encoder()
    if len(varieties) != len(conversations):
        what = expected_got("dialogue score: varieties", f"{len(conversations)}, one each", str(len(varieties)))
        raise MashqError(what)
    problem = why_not_validated(varieties, validation, encoder)
    if problem and not mark:
        do = "Validate it on true conversations of that variety (validate), or set mark=True to have it marked."
        raise MashqError(f"dialogue score: {problem}. {do}")
    items = dialogue_items(conversations, encoder)
    columns = {"dialogue": [one.whole for one in items]}
    columns |= {name: [getattr(one, name) for one in items] for name in WEIGHTS}
    return {
        name: mean_score(
            values,
            name=name,
            signature=_signature(name, encoder, marked=bool(problem)),
            groups=groups,
            bounds=(0.0, 1.0),
            seed=seed,
        )
        for name, values in columns.items()
    }


def _signature(name: str, encoder: Encoder, *, marked: bool) -> str:
    weights = "weights:" + ",".join(f"{part}={weight}" for part, weight in WEIGHTS.items())
    return sign(
        name,
        "" if name in WEIGHTS else weights,
        f"encoder:{encoder.identity.replace('|', ',')}",
        f"v:{VERSION}",
        "validated:no" if marked else f"validated:auc>{LEAST_AUC}",
    )


def why_not_validated(varieties: Sequence[str], validation: Validation | None, encoder: Encoder) -> str | None:
    """The reason for which the score must not be used on one of these varieties, or None.

    Raises MashqError for a validation of another encoder or version.
    """
    if validation is None:
        return "not validated"
    if (validation.encoder, validation.version) != (encoder.identity, VERSION):
        got = f"'{validation.encoder}' in version {validation.version}"
        expected = f"the validation of encoder '{encoder.identity}' in version {VERSION}"
        raise MashqError(expected_got("dialogue score: validation", expected, got))
    return next((why for variety in sorted(set(varieties)) if (why := validation.why_not(variety))), None)


def spoken(messages: Messages, place: int) -> list[tuple[str, str]]:
    """(role, content) of the turns, without system turns. Raises MashqError for a message that lacks one."""
    try:
        turns = [(message["role"], message["content"]) for message in messages]
    except (KeyError, TypeError) as error:
        got = f"{messages!r:.60}"
        raise MashqError(expected_got(f"dialogue score: conversation {place}", "role and content", got)) from error
    return [(role, content or "") for role, content in turns if role != "system"]


def _history(turns: Sequence[tuple[str, str]], place: int) -> str:
    return "\n".join(content for _, content in turns[max(0, place - HISTORY) : place])


def _replies(turns: Sequence[tuple[str, str]]) -> list[int]:
    """Places of the replies: turns of the assistant with something before them."""
    return [place for place, (role, _) in enumerate(turns) if role == "assistant" and place]


def _texts(turns: Sequence[tuple[str, str]]) -> list[str]:
    return [content for _, content in turns] + [_history(turns, place) for place in _replies(turns)]


def _parts(turns: Sequence[tuple[str, str]], vectors: Mapping[str, np.ndarray], generic: np.ndarray) -> Parts:
    places = _replies(turns)
    replies = [turns[place][1] for place in places]
    words = [arabic.words(reply) for reply in replies]
    if not replies or not all(words):
        return NOTHING
    return Parts(
        relevance=_mean([_like(vectors[turns[place][1]], vectors[_history(turns, place)]) for place in places]),
        coherence=_coherence(np.stack([vectors[content] for _, content in turns])),
        specificity=_mean([1 - max(0.0, float((generic @ vectors[reply]).max())) for reply in replies]),
        freshness=_freshness(words),
        arabic=_mean([arabic.arabic_share(reply) for reply in replies]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.clip(np.mean(values), 0.0, 1.0))


def _like(one: np.ndarray, other: np.ndarray) -> float:
    return max(0.0, float(one @ other))


def _coherence(turns: np.ndarray) -> float:
    """(turns, dimensions) -> the mean likeness of each turn and the sum of the others."""
    others = _unit(turns.sum(0, keepdims=True) - turns)
    return _mean(np.maximum((turns * others).sum(1), 0.0).tolist())


def _freshness(replies: Sequence[Sequence[str]]) -> float:
    """Distinct runs of words / runs, over all replies; 1 where no reply is as long as a run."""
    runs = [run for words in replies for run in zip(*(words[start:] for start in range(RUN)), strict=False)]
    return len(set(runs)) / len(runs) if runs else 1.0


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)


def _centred(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """(texts, dimensions): vectors less the mean of the background, of length 1 again."""
    return _unit(encoder.encode(list(texts)) - encoder.encode(_data()["background"]).mean(0))


@functools.cache
def _data() -> Mapping[str, list[str]]:
    return parsed("dialogues/dialogue_score")


# --- as a metric of replies ------------------------------------------------------------------------------------------


def facts_of(conversations: Sequence[Messages], encoder: Encoder) -> list[dict[str, float]]:
    """What the `meta` of a reply row says of its conversation, under `NAME`: the whole and the parts."""
    return [{"whole": one.whole, **asdict(one)} for one in dialogue_items(conversations, encoder)]


def metric(encoder: Encoder, *, marked: bool) -> Metric:
    """The score as a metric of `mashq.evaluate`, read from rows that carry it; `marked`: its varieties do not pass."""
    return Metric(NAME, _of_replies, _signature(NAME, encoder, marked=marked), True, "0..1", _in_meta)


def _in_meta(meta: Mapping[str, Any]) -> float:
    return float(meta[NAME]["whole"]) if NAME in meta else math.nan


def _of_replies(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    raise MashqError(f"{NAME}: its values are read from rows that carry them: a reply alone has no history.")
