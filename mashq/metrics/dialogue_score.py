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
It must be validated before it is used: `validate` asks how often it ranks a true reply above one of another
conversation of the same variety and about the same length, and `dialogue_score` refuses a variety where the lower end
of that AUC is not above `LEAST_AUC`. It says whether replies belong, not whether they are true, polite or well written.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mashq import arabic
from mashq.encode import Encoder, open_encoder
from mashq.metrics.resample import ROUNDS, cluster_codes, expanded_tail
from mashq.metrics.score import Score, mean_score, sign
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got

__all__ = [
    "LEAST_AUC",
    "WEIGHTS",
    "Auc",
    "Parts",
    "Validation",
    "dialogue_items",
    "dialogue_score",
    "shuffled",
    "validate",
]

VERSION = 1  # of parts, weights and data together
WEIGHTS = {"relevance": 0.4, "coherence": 0.2, "specificity": 0.2, "freshness": 0.1, "arabic": 0.1}
HISTORY = 3  # turns before a reply that it is compared with
RUN = 3  # words in the runs that freshness counts
LEAST_AUC = 0.6  # the lower end of a validation's interval is above it; 0.5 is chance
LEAST_CONVERSATIONS = 20  # of a variety, to be validated at all

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
    spoken = [_spoken(messages, place) for place, messages in enumerate(conversations)]
    texts = sorted({text for turns in spoken for text in _texts(turns)})
    vectors = dict(zip(texts, _centred(encoder, texts), strict=True))
    generic = _centred(encoder, _data()["generic"])  # (replies, dimensions)
    return [_parts(turns, vectors, generic) for turns in spoken]


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
    problem = _not_validated(varieties, validation, encoder)
    if problem and not mark:
        do = "Validate it on true conversations of that variety (validate), or set mark=True to have it marked."
        raise MashqError(f"dialogue score: {problem}. {do}")
    items = dialogue_items(conversations, encoder)
    data = f"encoder:{encoder.identity.replace('|', ',')}", f"v:{VERSION}"
    about = (*data, "validated:no" if problem else f"validated:auc>{LEAST_AUC}")
    weights = "weights:" + ",".join(f"{name}={weight}" for name, weight in WEIGHTS.items())
    columns: dict[str, tuple[list[float], tuple[str, ...]]] = {
        "dialogue": ([one.whole for one in items], (weights, *about))
    }
    columns |= {name: ([getattr(one, name) for one in items], about) for name in WEIGHTS}
    return {
        name: mean_score(values, name=name, signature=sign(name, *told), groups=groups, seed=seed)
        for name, (values, told) in columns.items()
    }


def _not_validated(varieties: Sequence[str], validation: Validation | None, encoder: Encoder) -> str | None:
    if validation is None:
        return "not validated"
    if (validation.encoder, validation.version) != (encoder.identity, VERSION):
        got = f"'{validation.encoder}' in version {validation.version}"
        expected = f"the validation of encoder '{encoder.identity}' in version {VERSION}"
        raise MashqError(expected_got("dialogue score: validation", expected, got))
    return next((why for variety in sorted(set(varieties)) if (why := validation.why_not(variety))), None)


def _spoken(messages: Messages, place: int) -> list[tuple[str, str]]:
    """(role, content) of the turns, without system turns."""
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


# --- validation ------------------------------------------------------------------------------------------------------


def shuffled(
    conversations: Sequence[Messages], groups: Sequence[str | None] | None = None, *, seed: int = 0
) -> list[list[dict[str, str]] | None]:
    """Each conversation with its last reply replaced by one of another conversation of about the same number of words.

    Each takes the reply nearest in length of another group and with another text, of several as near a drawn one; a
    reply may be taken twice. None where there is no such reply, and for a conversation that does not end with a reply.
    """
    codes = cluster_codes(len(conversations), groups, "dialogue score")
    last = [_last_reply(messages, place) for place, messages in enumerate(conversations)]
    generator = np.random.default_rng(seed)
    lots = generator.random(len(last))
    counts = np.array([-1 if reply is None else len(arabic.words(reply)) for reply in last])
    able = np.flatnonzero(counts >= 0)
    found: list[list[dict[str, str]] | None] = []
    for place, reply in enumerate(last):
        others = [] if reply is None else [o for o in able if codes[o] != codes[place] and last[o] != reply]
        if not others:
            found.append(None)
            continue
        taken = min(others, key=lambda other: (abs(counts[other] - counts[place]), lots[other]))
        turns = [dict(turn) for turn in conversations[place]]
        found.append([*turns[:-1], {**turns[-1], "content": last[taken] or ""}])
    return found


def _last_reply(messages: Messages, place: int) -> str | None:
    turns = _spoken(messages, place)
    return turns[-1][1] if len(turns) > 1 and turns[-1][0] == "assistant" and arabic.words(turns[-1][1]) else None


def validate(
    conversations: Sequence[Messages],
    varieties: Sequence[str],
    *,
    encoder: Encoder | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Validation:
    """The AUC of true conversations against the same with a wrong last reply (`shuffled`), within each variety.

    Conversations for which there is no wrong reply are left out of `n`. Raises MashqError for unequal lengths, for no
    conversation, and for a variety in which no wrong reply can be found.
    """
    encoder = encoder or open_encoder()
    for name, given in (("varieties", varieties), ("groups", groups)):
        if given is not None and len(given) != len(conversations):
            raise MashqError(
                expected_got(f"dialogue score: {name}", f"{len(conversations)}, one each", str(len(given)))
            )
    if not conversations:
        raise MashqError(expected_got("dialogue score: validation", "at least one conversation", "none"))
    whole: dict[str, Auc] = {}
    parts: dict[str, dict[str, Auc]] = {}
    for variety in sorted(set(varieties)):
        here = [place for place, name in enumerate(varieties) if name == variety]
        own = [conversations[place] for place in here]
        of = None if groups is None else [groups[place] for place in here]
        wrong = shuffled(own, of, seed=seed)
        kept = [place for place, one in enumerate(wrong) if one is not None]
        if not kept:
            raise MashqError(
                expected_got(f"dialogue score: conversations of {variety}", "two with different replies", str(len(own)))
            )
        right = dialogue_items([own[place] for place in kept], encoder)
        mixed = dialogue_items([wrong[place] or [] for place in kept], encoder)
        codes = cluster_codes(len(kept), None if of is None else [of[place] for place in kept], "dialogue score")
        whole[variety] = _auc([one.whole for one in right], [one.whole for one in mixed], codes, seed)
        parts[variety] = {
            part.name: _auc([getattr(r, part.name) for r in right], [getattr(m, part.name) for m in mixed], codes, seed)
            for part in fields(Parts)
        }
    return Validation(encoder.identity, whole, parts, VERSION, seed)


def _auc(right: Sequence[float], wrong: Sequence[float], codes: np.ndarray, seed: int) -> Auc:
    """The share of (true, shuffled) pairs in which the true one is higher, and a bootstrap of whole groups."""
    true, other = np.asarray(right), np.asarray(wrong)
    wins = (true[:, None] > other[None, :]) + 0.5 * (true[:, None] == other[None, :])  # (true, shuffled)
    clusters = int(codes.max()) + 1
    member = np.zeros((len(codes), clusters))
    member[np.arange(len(codes)), codes] = 1
    table, sizes = member.T @ wins @ member, member.sum(0)
    value = float(wins.mean())
    if clusters < 2:
        return Auc(value, None, None, len(codes))
    drawn = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=ROUNDS)
    values = ((drawn @ table) * drawn).sum(1) / (drawn @ sizes) ** 2
    tail = expanded_tail(clusters)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Auc(value, float(low), float(high), len(codes))


def about(validation: Validation) -> list[dict[str, Any]]:
    """The validation as a table: variety, part (`dialogue` is the whole), AUC, interval, n."""
    return [
        {"variety": variety, "part": part, **asdict(one)}
        for variety in sorted(validation.auc)
        for part, one in {"dialogue": validation.auc[variety], **validation.parts[variety]}.items()
    ]
