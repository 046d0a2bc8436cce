"""Texts -> texts: sentences split, made unique, translated once, each one judged, and put back.

A row is kept when its sentences pass (`Rule`), else dropped with the sentence that failed, its translation and the
measured value. Sentences are judged in rounds: of each row that is still alive the next ones, those first that most
rows share, so that a failure is found before the rest of its row is paid for. The rows kept, and their scores, are
those of judging every sentence; a dropped row names a sentence that fails, which need not be its only one.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mashq.memory import Memory
from mashq.mt import Engine
from mashq.mt.faults import fault
from mashq.quality import Scorer
from mashq.sentences import Piece, mask, parts, split, unmask
from mashq.settings import check_limits
from mashq.translate.fixed import REJECTED, fixed_for, is_rejected

__all__ = ["Bar", "Cut", "Judge", "Judged", "Rule", "Translator", "below", "cut", "fixed_for", "verdicts"]


# --- texts cut into pieces -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """Texts as lists of pieces; equal pieces of different texts are one.

    pieces: (p,) the different pieces; sentence: (p,) which sentence a piece is, -1 where it is left as it is;
    sentences: (s,) the different sentences; offsets (t + 1,) and places: text i is the pieces
    places[offsets[i]:offsets[i + 1]].
    """

    pieces: list[str]
    sentence: np.ndarray
    sentences: list[str]
    offsets: np.ndarray
    places: np.ndarray
    foreign: np.ndarray  # (p,) whether a piece is left because its letters are of another script

    def letters(self) -> np.ndarray:
        """(t, 2) characters of each text in sentences, and in pieces left for their script."""
        lengths = np.array([len(piece) for piece in self.pieces], dtype=np.int64)
        kinds = np.stack([lengths * (self.sentence >= 0), lengths * self.foreign], axis=1)
        sums = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(kinds[self.places], axis=0)])
        return sums[self.offsets[1:]] - sums[self.offsets[:-1]]

    def joined(self, translations: Sequence[str]) -> pa.Array:
        """(t,) the texts with each sentence replaced by its translation."""
        strings = [
            piece if place < 0 else translations[place]
            for piece, place in zip(self.pieces, self.sentence.tolist(), strict=True)
        ]
        values = pa.array(strings, pa.large_string()).take(pa.array(self.places))
        listed = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), values)
        return pc.binary_join(listed, pa.scalar("", pa.large_string())).cast(pa.string())


def cut(texts: Sequence[str]) -> Cut:
    """Split each English text; its pieces joined are the text."""
    known: dict[Piece, int] = {}
    of_part: dict[tuple[str, str | None], list[int]] = {}  # templates repeat their lines: an equal one is looked up
    places: list[int] = []
    offsets = [0]
    for text in texts:
        for part in parts(text):
            if part not in of_part:
                made = split(part[0]) if part[1] is None else [Piece(*part)]
                of_part[part] = [known.setdefault(piece, len(known)) for piece in made]
            places += of_part[part]
        offsets.append(len(places))
    sentence = np.full(len(known), -1, dtype=np.int64)
    chosen = [place for piece, place in known.items() if piece.left is None]
    sentence[chosen] = np.arange(len(chosen))
    pieces = [piece.text for piece in known]
    sentences = [pieces[place] for place in chosen]
    foreign = np.array([piece.left in ("target language", "other script") for piece in known], dtype=bool)
    return Cut(pieces, sentence, sentences, np.array(offsets), np.array(places, np.int64), foreign)


# --- sentences translated and judged ---------------------------------------------------------------------------------


AT_HAND = 200_000  # verdicts in memory: some 100 MB


@dataclass(frozen=True)
class Bar:
    """What the score of a sentence must reach; `why` says where the threshold comes from."""

    scorer: Scorer
    least: float
    why: str = ""

    @property
    def name(self) -> str:
        """The name that reasons begin with: the column of the score, else the check's own name."""
        return self.scorer.column or self.scorer.name


@dataclass(frozen=True)
class Translator:
    """What translates and judges: an engine, fixed translations before it, checks, the scorer, and the memory."""

    engine: Engine
    memory: Memory
    bar: Bar | None = None  # of the score that the rule is about; None: only faults and checks
    checks: tuple[Bar, ...] = ()  # a sentence that fails one fails whatever the rule
    fixed: Mapping[str, str] = field(default_factory=dict)  # sentence -> its translation, given by people
    rejected: Mapping[str, frozenset[str]] = field(default_factory=dict)  # see `fixed.is_rejected`
    recent: dict[str, tuple[str, str | None, float]] = field(default_factory=dict)  # verdicts of this process

    def remember(self, sentence: str, verdict: tuple[str, str | None, float]) -> None:
        """Keep a verdict at hand, so that a sentence that stands in every prompt is not looked up for every part."""
        if len(self.recent) >= AT_HAND:
            self.recent.clear()
        self.recent[sentence] = verdict


class Judge:
    """The different sentences of some rows: their translations, what is wrong with them, their scores.

    `made` names the piece of work, and with it the batches: those of a run that was killed are cut as before.
    """

    def __init__(self, translator: Translator, sentences: Sequence[str], made: bytes):
        self.with_, self.sentences, self.made = translator, sentences, made
        self.translations: list[str] = [""] * len(sentences)
        self.why: list[str | None] = [None] * len(sentences)  # a fault, or a check that failed
        self.scores = np.full(len(sentences), np.nan)  # of the bar's scorer; nan where it was not asked
        self.judged = np.zeros(len(sentences), dtype=bool)
        self.spent: Counter[str] = Counter()  # what was done anew: sentences, scores; and seconds

    def judge(self, places: Iterable[int]) -> None:
        """Translate and score these sentences, those that were judged before apart."""
        fresh = [place for place in places if not self.judged[place]]
        self.judged[fresh] = True
        asked = [place for place in fresh if not self._at_hand(place)]
        self._translate(asked)
        sound = [place for place in asked if self.why[place] is None]
        for bar in self.with_.checks:
            for place, value in zip(sound, self._scores(bar.scorer, sound), strict=True):
                self.why[place] = below(bar, value)
            sound = [place for place in sound if self.why[place] is None]
        if self.with_.bar is not None:
            self.scores[sound] = values = self._scores(self.with_.bar.scorer, sound)
            for place in (place for place, value in zip(sound, values, strict=True) if math.isnan(value)):
                self.why[place] = self._no_score(self.with_.bar, place)
        for place in asked:
            verdict = (self.translations[place], self.why[place], float(self.scores[place]))
            self.with_.remember(self.sentences[place], verdict)

    def _at_hand(self, place: int) -> bool:
        """Whether a sentence's verdict is known without asking; it is set then."""
        sentence = self.sentences[place]
        fixed = fixed_for(self.with_.fixed, sentence)
        known = self.with_.recent.get(sentence) if fixed is None else (fixed, None, math.nan)
        if known is not None:
            self.translations[place], self.why[place], self.scores[place] = known
        return known is not None

    def _no_score(self, bar: Bar, place: int) -> str:
        """Why the scorer gives no score, where it can say so (`quality.comet`: a pair too long for the encoder)."""
        told = getattr(bar.scorer, "fault", lambda source, translation: None)
        why = told(self.sentences[place], self.translations[place]) or f"{bar.scorer.name} gives none"
        return f"{bar.name}: no score, {why}"

    def failed(self) -> np.ndarray:
        """(s,) whether a sentence has a fault or failed a check; False where it was not judged."""
        return np.array([why is not None for why in self.why], dtype=bool)

    def low(self) -> np.ndarray:
        """(s,) whether a sentence's score is below the bar; False where there is none."""
        return self.scores < (self.with_.bar.least if self.with_.bar else -math.inf)

    def sample(self, most: int) -> list[tuple[int, str, str]]:
        """At most so many sentences that have a score: (draw, sentence, translation), the lowest draws first.

        A draw is a hash of the sentence, so that samples of several pieces of work make one of the whole.
        """
        scored = np.flatnonzero(~np.isnan(self.scores)).tolist()
        drawn = [(xxhash.xxh3_64_intdigest(self.sentences[place].encode()), place) for place in scored]
        return [(draw, self.sentences[place], self.translations[place]) for draw, place in heapq.nsmallest(most, drawn)]

    def reason(self, place: int) -> str | None:
        """Why a sentence fails by itself: a fault, a failed check, or its score; None where nothing is known of one."""
        if self.why[place] is not None or self.with_.bar is None or math.isnan(self.scores[place]):
            return self.why[place]
        return below(self.with_.bar, self.scores[place])

    def _translate(self, places: Sequence[int]) -> None:
        engine, memory = self.with_.engine, self.with_.memory
        masked = [mask(self.sentences[place]) for place in places]
        texts = list(dict.fromkeys(one.text for one in masked))
        found = dict(zip(texts, memory.translations(engine.identity, texts), strict=True))
        known = {text: (entry.text, entry.fault) for text, entry in found.items() if entry is not None}

        def ask(batch: list[str]) -> None:
            said = [_unicode(*each) for each in engine.translate(batch)]
            rows = [(one, *each) for one, each in zip(batch, said, strict=True)]
            if memory.keep_translations(engine.identity, rows, self.made):
                known.update(zip(batch, said, strict=True))
            else:  # another process was first with some of them: what was said first stands
                stand = memory.translations(engine.identity, batch)
                known.update({one: (entry.text, entry.fault) for one, entry in zip(batch, stand, strict=True) if entry})

        ours = [text for text, entry in found.items() if entry is None or entry.made == self.made]
        self._in_batches("translate", ours, known, engine.batches, ask)
        for place, one in zip(places, masked, strict=True):
            said, why = known[one.text]
            restored, lost = unmask(said, one.kept)
            self.translations[place] = restored
            if is_rejected(self.with_.rejected, self.sentences[place], restored):
                why = REJECTED
            self.why[place] = why or lost or fault(self.sentences[place], restored)

    def _scores(self, scorer: Scorer, places: Sequence[int]) -> list[float]:
        if not scorer.licence and not scorer.column:  # a check of texts: sooner done than looked up
            return scorer.score([(self.sentences[place], self.translations[place]) for place in places]).tolist()
        memory = self.with_.memory
        pairs = [(self.sentences[place], self.translations[place]) for place in places]
        found = dict(zip(pairs, memory.scores(scorer.identity, pairs), strict=True))
        known = {pair: entry[0] for pair, entry in found.items() if entry is not None}

        def ask(batch: list[tuple[str, str]]) -> None:
            values = scorer.score(batch).tolist()
            if memory.keep_scores(scorer.identity, list(zip(batch, values, strict=True)), self.made):
                known.update(zip(batch, values, strict=True))
            else:
                stand = memory.scores(scorer.identity, batch)
                known.update({pair: entry[0] for pair, entry in zip(batch, stand, strict=True) if entry})

        ours = [pair for pair, entry in found.items() if entry is None or entry[1] == self.made]
        self._in_batches(scorer.name, ours, known, scorer.batches, ask)
        return [known[pair] for pair in pairs]

    def _in_batches(
        self,
        what: str,
        things: list[Any],
        known: Mapping[Any, Any],
        batches: Callable[[list[Any]], Sequence[Sequence[int]]],
        ask: Callable[[list[Any]], None],
    ) -> None:
        """Ask every batch of `things` in which anything is unknown, whole; each is kept before the next is asked."""
        started = time.perf_counter()
        for batch in batches(things) if any(thing not in known for thing in things) else ():
            members = [things[place] for place in batch]
            if any(member not in known for member in members):
                self.spent[what] += len(members)
                ask(members)
        self.spent[f"{what}_s"] += time.perf_counter() - started  # type: ignore[assignment]  # seconds beside counts


def _unicode(text: str, fault: str | None) -> tuple[str, str | None]:
    """An engine's output as text that can be kept: a lone surrogate, as broken JSON holds them, is a fault."""
    if text.isprintable():  # a surrogate is not, and this is the fast way to know
        return text, fault
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode(), fault or "broken: a lone surrogate in the translation"
    return text, fault


def below(bar: Bar, value: float) -> str | None:
    """Why a score does not reach the bar, or None."""
    if math.isnan(value):
        return f"{bar.name}: {bar.scorer.name} gives no score"
    return f"{bar.name}: {value:.3f} < {bar.least:.3f}" if value < bar.least else None


# --- the rule --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """When a text is kept. A fault or a failed check of any of its sentences drops it under every rule."""

    keep: Literal["every", "mean", "lowest", "share"] = "every"  # what must reach the threshold
    lowest: int = 3  # of `lowest`: the mean of this many lowest scores; fewer where the text has fewer sentences
    share: float = 0.9  # of `share`: the least share of the sentences
    short_circuit: bool = True  # leave the rest of a text that failed untranslated and unscored

    def __post_init__(self) -> None:
        limits = {
            "keep": (self.keep in ("every", "mean", "lowest", "share"), "every, mean, lowest or share"),
            "lowest": (self.lowest >= 1, "1 or more"),
            "share": (0 < self.share <= 1, "above 0 and at most 1"),
        }
        check_limits("rule", self, limits)

    def allowed(self, sentences: np.ndarray) -> np.ndarray:
        """(r,) sentences of each text -> how many of them may be below the threshold before it is lost."""
        if self.keep == "every":
            return np.zeros(len(sentences), dtype=np.int64)
        if self.keep == "share":  # of 10 sentences at 0.9 one: the product is 0.99999 in binary
            return np.floor(sentences * (1 - self.share) + 1e-9).astype(np.int64)
        return sentences.astype(np.int64)


@dataclass(frozen=True)
class Judged:
    """What became of texts: of each the reason that it is dropped for, or None; its score, nan where it has none."""

    reasons: list[str | None]
    scores: np.ndarray


def verdicts(judge: Judge, texts: np.ndarray, sentences: np.ndarray, count: int, rule: Rule) -> Judged:
    """Judge `count` texts by their sentences, as few of them as the rule needs.

    texts and sentences: (m,) pairs that say which text holds which sentence, in reading order, each pair once.
    """
    starts = np.searchsorted(texts, np.arange(count + 1))
    position = np.arange(len(texts)) - starts[texts]  # in reading order
    shared = np.bincount(sentences, minlength=len(judge.sentences))[sentences]
    order = np.lexsort((position, -shared, texts))
    sentences, position = sentences[order], position[order]
    rank = np.arange(len(texts)) - starts[texts]
    totals = np.diff(starts)
    allowed = rule.allowed(totals)
    alive = np.ones(count, dtype=bool)
    longest = int(totals.max(initial=0))
    upto = 1 if rule.short_circuit else longest
    while upto:
        judge.judge(np.unique(sentences[alive[texts] & (rank < upto)]).tolist())
        low = np.bincount(texts, judge.low()[sentences], count)
        failed = np.bincount(texts, judge.failed()[sentences], count)
        alive = (failed == 0) & (low <= allowed)
        upto = 0 if upto >= longest else upto * 2
    values = judge.scores[sentences]
    scores = np.where(alive, _values(values, texts, starts, count, rule, judge.with_.bar), np.nan)
    reasons: list[str | None] = [None] * count
    for text in np.flatnonzero(~alive).tolist():
        own = slice(starts[text], starts[text + 1])
        reasons[text] = _first(judge, sentences[own], position[own], int(allowed[text]))
    if judge.with_.bar is not None and rule.keep in ("mean", "lowest"):
        bar = judge.with_.bar
        for text in np.flatnonzero(scores < bar.least).tolist():
            own = slice(starts[text], starts[text + 1])
            worst = int(sentences[own][np.nanargmin(values[own])])
            what = "mean" if rule.keep == "mean" else f"mean of the {rule.lowest} lowest"
            reasons[text] = f"{bar.name}: {what} {scores[text]:.3f} < {bar.least:.3f}, lowest: {_pair(judge, worst)}"
    return Judged(reasons, scores)


def _values(
    values: np.ndarray, texts: np.ndarray, starts: np.ndarray, count: int, rule: Rule, bar: Bar | None
) -> np.ndarray:
    """(count,) each text's own score from those of its sentences; nan where none has one (all fixed, or nothing)."""
    scored = ~np.isnan(values)
    own, owners = values[scored], texts[scored]
    numbers = np.bincount(owners, minlength=count)
    found = np.full(count, np.nan)
    some = numbers > 0
    if bar is None or not some.any():
        return found
    if rule.keep in ("mean", "share"):  # of `share` too the mean: a score stays on its scorer's scale
        found[some] = np.bincount(owners, own, count)[some] / numbers[some]
        return found
    order = np.lexsort((own, owners))
    own, owners = own[order], owners[order]
    first = np.searchsorted(owners, np.arange(count))
    taken = np.arange(len(own)) - first[owners] < (1 if rule.keep == "every" else rule.lowest)
    own, owners = own[taken], owners[taken]
    found[some] = np.bincount(owners, own, count)[some] / np.bincount(owners, minlength=count)[some]
    return found


def _first(judge: Judge, sentences: np.ndarray, position: np.ndarray, allowed: int) -> str:
    """The reason for which a text is lost: of its sentences, in the order of judging, the one that settles it."""
    low = 0
    for sentence, place in zip(sentences.tolist(), position.tolist(), strict=True):
        reason = judge.reason(sentence)
        if reason is None:
            continue
        low += judge.why[sentence] is None
        if judge.why[sentence] is not None or low > allowed:
            more = f" and {low - 1} others" if low > 1 else ""
            return f"{reason}, sentence {place + 1} of {len(sentences)}{more}: {_pair(judge, sentence)}"
    raise AssertionError("a text is lost for a sentence of its own")


def _pair(judge: Judge, sentence: int) -> str:
    return f"«{judge.sentences[sentence]}» -> «{judge.translations[sentence]}»"
