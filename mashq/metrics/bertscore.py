"""BERTScore (Zhang et al. 2020): each token of a reply finds the reference's most similar one, by cosine in context.

Equal to bert_score within 1e-6 with the same encoder and layer (`benchmarks/metrics.py`), except that here

* an empty text scores 0 and is counted, where bert_score may crash or count a text of two tokens as empty;
* of several references the best is the one of highest F, whose precision and recall are given; bert_score takes the
  best of each of the three by itself, so its F need not follow from its precision and recall;
* a cosine below 0 stays, where bert_score puts 0 for it when a batch happens to be padded;
* a number is called rescaled only if it is.

The numbers of two encoders, layers, weightings or baselines do not compare, so all four stand in the signature.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mashq.encode import TokenEncoder, open_token_encoder
from mashq.metrics.score import Metric, Score, mean_score, paired_references, sign
from mashq.rows import MashqError, expected_got

__all__ = [
    "PAPER",
    "PARTS",
    "Baseline",
    "BertScore",
    "Held",
    "Match",
    "bertscore",
    "bertscore_items",
    "metrics",
    "read_baseline",
]

# What bert_score itself takes for Arabic, which has no model of its own there: multilingual BERT at layer 9.
PAPER = ("bert-base-multilingual-cased", 9)
TOKENS_HELD = 250_000  # tokens whose vectors are held at a time: 0.8 GB at 768 dimensions


class Match(NamedTuple):
    """Precision (of the reply's tokens), recall (of the reference's tokens) and their harmonic mean; -1..1, mostly > 0.

    Rescaled ones are at most 1 and have no fixed least value: a cosine of -1 over a floor of 0.9 is -19.
    `nothing`: the reply or each reference has no token that counts, so all three are 0. `cut`: the reply or a reference
    was longer than the encoder's positions.
    """

    precision: float
    recall: float
    f1: float
    nothing: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Baseline:
    """What unrelated texts score; a rescaled score is (score - baseline) / (1 - baseline), 0 for unrelated texts.

    `mashq.metrics.baseline` makes one. Raises MashqError for a value that is not from -1 to below 1.
    """

    name: str  # stands in the signature
    precision: float
    recall: float
    f1: float
    layer: int | None = None  # of the encoder it was made with; None where nothing says it
    weights: str = ""  # hash of that encoder's files; "" where nothing says it

    def __post_init__(self) -> None:
        for value in (self.precision, self.recall, self.f1):
            if not -1 <= value < 1:
                do = "1 would be what equal texts score."
                raise MashqError(expected_got(f"baseline '{self.name}'", "values from -1 to below 1", str(value), do))


@dataclass(frozen=True)
class BertScore:
    """The three scores, and how many items were scored 0 for want of words or read only in part."""

    precision: Score
    recall: Score
    f1: Score
    nothing: int  # items
    cut: int  # items


def bertscore(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: TokenEncoder | str,
    layer: int | None = None,
    *,
    idf: bool = False,
    baseline: Baseline | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> BertScore:
    """Means over items with 95 % intervals, as `mean_score` makes them; see `bertscore_items` for one item.

    Raises MashqError for no item at all, and as `bertscore_items` does.
    """
    opened = _opened(encoder, layer)
    items = bertscore_items(candidates, references, opened, idf=idf, baseline=baseline)

    def mean(part: str) -> Score:
        values = [getattr(item, part) for item in items]
        signature = _signature(part, opened, idf, baseline)
        bounds = (-1.0, 1.0) if baseline is None else None
        name = f"bertscore_{part}"
        return mean_score(values, name=name, signature=signature, groups=groups, bounds=bounds, seed=seed)

    nothing, cut = sum(item.nothing for item in items), sum(item.cut for item in items)
    return BertScore(mean("precision"), mean("recall"), mean("f1"), nothing, cut)


class Held:
    """Vectors of references that were encoded before, for the next system on the same items; `most` tokens of them."""

    def __init__(self, most: int = TOKENS_HELD // 2):
        self._most, self._tokens = most, 0
        self._vectors: dict[tuple[int, ...], np.ndarray] = {}

    def __len__(self) -> int:
        """Tokens that are held."""
        return self._tokens

    def vectors(
        self, ids: Sequence[list[int]], wanted: Sequence[int], kept: set[int], encoder: TokenEncoder
    ) -> dict[int, np.ndarray]:
        """Number of a text -> its vectors; of texts in `kept` they are held from now on, as far as there is room."""
        fresh = [number for number in wanted if tuple(ids[number]) not in self._vectors]
        made = dict(zip(fresh, encoder.vectors([ids[number] for number in fresh]), strict=True))
        found = {number: made[number] if number in made else self._vectors[tuple(ids[number])] for number in wanted}
        for number in sorted(kept & made.keys()):
            if self._tokens + len(ids[number]) <= self._most:
                self._vectors[tuple(ids[number])] = made[number]
                self._tokens += len(ids[number])
        return found


def bertscore_items(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: TokenEncoder | str,
    layer: int | None = None,
    *,
    idf: bool = False,
    baseline: Baseline | None = None,
    held: Held | None = None,
) -> list[Match]:
    """One `Match` per candidate, against the best of its references: the one of highest F, the first of equals.

    `encoder` is an opened one, or a name with its `layer` (`open_token_encoder`). Classifying and separating tokens
    can be matched but have no weight. With `idf` a token's weight is log((n + 1) / (d + 1)), d of the n references of
    this call having it (0 where all have it); without, it is 1. A candidate without a token of weight scores 0, before
    rescaling.

    Each different text is encoded once as long as `TOKENS_HELD` tokens hold the call, else once in each part. With
    `held`, one for every call with this encoder, references are not encoded again for the next system.

    Raises MashqError for an item without a reference, unequal lengths, an encoder named without its layer, a baseline
    that says it was made with another encoder or layer, and `idf` without two different references.
    """
    paired_references(candidates, references, "bertscore")
    if idf and len({text for item in references for text in item}) < 2:
        do = "With one of them every token's weight is log 1 = 0: leave idf out."
        raise MashqError(expected_got("bertscore: idf", "at least 2 different references", "fewer", do))
    opened = _opened(encoder, layer)
    _refuse_other_encoders(baseline, opened)
    texts = list(dict.fromkeys([*candidates, *(text for item in references for text in item)]))
    ids, cut = opened.tokens(texts)
    place = {text: number for number, text in enumerate(texts)}
    pairs = [(place[reply], [place[text] for text in item]) for reply, item in zip(candidates, references, strict=True)]
    weights = _weights(ids, pairs, opened, idf=idf)
    found: list[Match] = []
    for part in _parts(pairs, [len(one) for one in ids]):
        needed = sorted({number for reply, item in part for number in (reply, *item)})
        kept = {number for _, item in part for number in item} if held is not None else set()
        vectors = (Held(0) if held is None else held).vectors(ids, needed, kept, opened)
        found += [_best(pair, vectors, weights, cut, baseline) for pair in part]
    return found


def _opened(encoder: TokenEncoder | str, layer: int | None) -> TokenEncoder:
    if isinstance(encoder, str):
        if layer is None:
            do = f"bert_score takes layer {PAPER[1]} of {PAPER[0]} for Arabic."
            raise MashqError(expected_got(f"bertscore: encoder '{encoder}'", "a layer beside its name", "none", do))
        return open_token_encoder(encoder, layer)
    if layer is not None and layer != encoder.layer:
        raise MashqError(expected_got("bertscore: layer", f"{encoder.layer}, the opened encoder's", str(layer)))
    return encoder


def _refuse_other_encoders(baseline: Baseline | None, encoder: TokenEncoder) -> None:
    """What unrelated texts score under one encoder says nothing of another."""
    if baseline is None:
        return
    do = "Make one for it: mashq bertscore-baseline ENCODER --texts FILE."
    if baseline.layer not in (None, encoder.layer):
        expected = f"one of layer {encoder.layer}"
        raise MashqError(expected_got(f"bertscore: baseline '{baseline.name}'", expected, f"layer {baseline.layer}"))
    if baseline.weights not in ("", encoder.weights):
        expected = f"one made with weights {encoder.weights}, those of '{encoder.name}'"
        raise MashqError(expected_got(f"bertscore: baseline '{baseline.name}'", expected, baseline.weights, do))


Pair = tuple[int, list[int]]  # the place of a reply's text, and those of its references


def _weights(ids: list[list[int]], pairs: Sequence[Pair], encoder: TokenEncoder, *, idf: bool) -> list[np.ndarray]:
    """The weights of each text's tokens: a sum of 1, or zeros where no token counts."""
    corpus = [number for _, item in pairs for number in item]
    counts: Counter[int] = Counter()
    if idf:
        for number, times in Counter(corpus).items():
            counts.update(dict.fromkeys(ids[number], times))
    made = []
    for tokens in ids:
        if tokens == encoder.frame:
            row = np.zeros(len(tokens))
        elif idf:
            row = np.array([math.log((len(corpus) + 1) / (counts[token] + 1)) for token in tokens])
        else:
            row = np.array([0.0 if token in encoder.unweighted else 1.0 for token in tokens])
        made.append(row / (row.sum() or 1.0))
    return made


def _parts(pairs: Sequence[Pair], lengths: Sequence[int]) -> Iterator[list[Pair]]:
    """Pairs in order, cut where the different texts of a part would have more than `TOKENS_HELD` tokens."""
    part: list[Pair] = []
    held: set[int] = set()
    tokens = 0
    for reply, item in pairs:
        fresh = {reply, *item} - held
        more = sum(lengths[number] for number in fresh)
        if part and tokens + more > TOKENS_HELD:
            yield part
            part, held, tokens = [], set(), 0
            fresh = {reply, *item}
            more = sum(lengths[number] for number in fresh)
        part.append((reply, item))
        held |= fresh
        tokens += more
    if part:
        yield part


def _best(
    pair: Pair,
    vectors: dict[int, np.ndarray],
    weights: Sequence[np.ndarray],
    cut: Sequence[bool],
    baseline: Baseline | None,
) -> Match:
    reply, item = pair
    best: Match | None = None
    for target in item:
        here = _match(vectors[reply], vectors[target], weights[reply], weights[target])
        best = here if best is None or here.f1 > best.f1 else best
    assert best is not None  # `paired_references` saw one
    best = best._replace(cut=any(cut[number] for number in (reply, *item)))
    return best if baseline is None else _rescaled(best, baseline)


def _rescaled(match: Match, baseline: Baseline) -> Match:
    floors = {part: getattr(baseline, part) for part in PARTS.values()}
    return match._replace(**{part: (getattr(match, part) - floor) / (1 - floor) for part, floor in floors.items()})


def _match(ours: np.ndarray, theirs: np.ndarray, our_weights: np.ndarray, their_weights: np.ndarray) -> Match:
    """(a, d) and (b, d) rows of length 1 with their weights (a,), (b,)."""
    if not our_weights.any() or not their_weights.any():
        return Match(0.0, 0.0, 0.0, nothing=True)
    cosines = ours @ theirs.T  # (a, b)
    precision = float(cosines.max(axis=1) @ our_weights)
    recall = float(cosines.max(axis=0) @ their_weights)
    total = precision + recall
    return Match(precision, recall, 2 * precision * recall / total if total else 0.0)


# --- baselines and signatures ----------------------------------------------------------------------------------------


def read_baseline(path: Path | str, layer: int) -> Baseline:
    """A layer's baseline from a file as bert_score publishes them: LAYER,P,R,F, a line a layer.

    A header line begins with LAYER; where `write_baseline` wrote it, it names the encoder's weights. Lines that begin
    with # are passed over. Raises MashqError where there is no such file, a line that is not LAYER,P,R,F, and where it
    has no such layer.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        do = "Without a baseline numbers are not rescaled: leave it out."
        raise MashqError(expected_got(f"baseline {path}", "a file of lines LAYER,P,R,F", "no such file", do))
    known: dict[int, list[float]] = {}
    head, *lines = path.read_text("utf-8-sig", errors="replace").split("\n")
    for number, line in enumerate([head, *lines], start=1):
        if not line.strip() or line.startswith(("#", "LAYER")):
            continue
        try:
            first, *rest = line.replace("\t", ",").split(",")
            precision, recall, f1 = map(float, rest)
            known[int(first)] = [precision, recall, f1]
        except ValueError as error:
            raise MashqError(expected_got(f"{path}, line {number}", "LAYER,P,R,F", repr(line[:60]))) from error
    if layer not in known:
        got = f"layers {', '.join(map(str, sorted(known)))}" if known else "no layer"
        raise MashqError(expected_got(f"baseline {path.name}", f"P, R, F of layer {layer}", got))
    made_with = re.search(r"\bweights:([0-9a-f]+)", head)
    precision, recall, f1 = known[layer]
    return Baseline(path.stem, precision, recall, f1, layer, made_with[1] if made_with else "")


def _signature(part: str, encoder: TokenEncoder, idf: bool, baseline: Baseline | None) -> str:
    named = "none"
    if baseline is not None:
        named = f"{baseline.name}={baseline.precision:g},{baseline.recall:g},{baseline.f1:g}"
    return sign(
        "bertscore",
        part,
        f"encoder:{encoder.identity}",
        f"idf:{'references' if idf else 'none'}",
        f"baseline:{named}",
        "refs:best",
        f"most_tokens:{encoder.most_tokens or 'any'}",
    )


PARTS = {"bertscore_precision": "precision", "bertscore_recall": "recall", "bertscore_f1": "f1"}


def metrics(
    encoder: TokenEncoder | str, layer: int | None = None, *, idf: bool = False, baseline: Baseline | None = None
) -> dict[str, Metric]:
    """Precision, recall and F as three metrics by name; texts that two of them score are encoded once.

    Signatures name encoder, weights, layer, weighting and baseline. With `idf` the weights come from the references of
    each call: score every system on the same items. References are encoded once for all systems.
    """
    opened = _opened(encoder, layer)
    _refuse_other_encoders(baseline, opened)
    held = Held()

    @functools.lru_cache(maxsize=1)
    def items(replies: tuple[str, ...], references: tuple[tuple[str, ...], ...]) -> list[Match]:
        return bertscore_items(replies, references, opened, idf=idf, baseline=baseline, held=held)

    def part_of(part: str) -> Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]:
        return lambda replies, references: [
            getattr(item, part) for item in items(tuple(replies), tuple(map(tuple, references)))
        ]

    unit = "-1..1" if baseline is None else "up to 1"
    return {
        name: Metric(name, part_of(part), _signature(part, opened, idf, baseline), True, unit)
        for name, part in PARTS.items()
    }
