"""Is the dialogue score to be trusted? How often it ranks a true reply above a wrong one, variety by variety."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from mashq import arabic
from mashq.encode import Encoder, open_encoder
from mashq.metrics.dialogue_score import VERSION, Auc, Messages, Parts, Validation, dialogue_items, spoken
from mashq.metrics.resample import ROUNDS, cluster_codes, expanded_tail
from mashq.rows import MashqError, expected_got

__all__ = ["Remembering", "about", "shuffled", "validate"]


class Remembering:
    """An encoder that encodes no text twice while it lives: a shuffled conversation has no text of its own."""

    def __init__(self, encoder: Encoder, known: Mapping[str, np.ndarray] | None = None):
        self.inner = encoder
        self.name, self.identity, self.licence = encoder.name, encoder.identity, encoder.licence
        self.known = dict(known or {})  # text -> (dimensions,)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """n texts -> (n, dimensions), as the inner encoder gives them."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, self.inner.encode(new), strict=True))
        return np.stack([self.known[text] for text in texts]) if len(texts) else self.inner.encode([])


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
    turns = spoken(messages, place)
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
    encoder = Remembering(encoder or open_encoder())
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
        mixed = dialogue_items([wrong[place] or [] for place in kept], encoder)  # no text of which is new
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
