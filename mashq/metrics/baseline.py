"""What unrelated Arabic texts score by BERTScore: the floor that a rescaled score is measured from, computed offline.

bert_score publishes such floors for some languages and models, but none for Arabic. Theirs are means over random pairs
of sentences of fewer than 32 words (Zhang et al. 2020, section 3; the authors' journal/rescale_baseline.md says half a
million pairs of Common Crawl). Here the pairs are drawn from texts of one's own, the same way and by a seed, and every
mean has its standard error. The file can be read by `bertscore.read_baseline` and by bert_score (`baseline_path`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mashq import __version__, arabic
from mashq.encode import open_token_encoder
from mashq.metrics.bertscore import Match, bertscore_items
from mashq.metrics.rouge import rouge_items
from mashq.places import file_place
from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole

__all__ = ["BaselineSettings", "Floor", "MeasuredBaseline", "measure_baseline", "texts_of_file", "write_baseline"]

LEAST_PAIRS = 100  # with a standard deviation of 0.05 between pairs the standard error is then 0.005
MOST_OVERLAP = 0.10  # mean ROUGE-1 F of the pairs; above it texts share a template or a topic and are not unrelated


@dataclass(frozen=True)
class BaselineSettings:
    """How pairs are drawn."""

    pairs: int = 2_000  # at most; each text stands in one pair, so there are no more than half of the texts
    most_words: int = 31  # longer texts are left out, as bert_score does; 0 = no limit
    seed: int = 0
    layers: tuple[int, ...] | None = None  # None: the embeddings (0) and every layer, as bert_score's files have them

    def __post_init__(self) -> None:
        if self.pairs < LEAST_PAIRS:
            raise MashqError(expected_got("baseline: pairs", f"at least {LEAST_PAIRS}", str(self.pairs)))
        if self.most_words < 0:
            raise MashqError(expected_got("baseline: most_words", "0 (no limit) or more", str(self.most_words)))


@dataclass(frozen=True)
class Floor:
    """The mean precision, recall and F of one layer over all pairs, and their standard errors."""

    layer: int
    precision: float
    recall: float
    f1: float
    precision_error: float
    recall_error: float
    f1_error: float


@dataclass(frozen=True)
class MeasuredBaseline:
    """The floors of one encoder, and everything that made them."""

    encoder: str  # its name
    weights: str  # hash of its files
    floors: tuple[Floor, ...]  # in the order of their layers
    pairs: int
    cut: int  # pairs with a text over the encoder's positions: read up to there
    too_long: int  # texts left out for their words
    overlap: float  # mean ROUGE-1 F of the pairs: near 0 for unrelated texts
    words: float  # mean words of a text: floors rise with it
    settings: BaselineSettings
    source: str  # of the texts
    licence: str  # of the texts

    @property
    def warnings(self) -> list[str]:
        """Why the pairs may not be unrelated; empty where nothing says so."""
        if self.overlap <= MOST_OVERLAP:
            return []
        shared = f"mean ROUGE-1 F {self.overlap:.3f} (limit {MOST_OVERLAP})"
        return [f"the pairs share words, {shared}, so the floor is too high: take texts of more kinds"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "warnings": self.warnings}

    def lines(self) -> list[str]:
        """A table for a terminal, and the warnings."""
        head = f"{'layer':>5} {'P':>8} {'s.e.':>7} {'R':>8} {'s.e.':>7} {'F':>8} {'s.e.':>7}"
        rows = [
            f"{one.layer:>5} {one.precision:>8.4f} {one.precision_error:>7.4f} {one.recall:>8.4f} "
            f"{one.recall_error:>7.4f} {one.f1:>8.4f} {one.f1_error:>7.4f}"
            for one in self.floors
        ]
        told = f"{self.pairs:,} random pairs of {self.source} (licence {self.licence}), {self.words:.1f} words a text"
        counted = f"left out for length: {self.too_long:,} texts; cut at the encoder's positions: {self.cut:,} pairs"
        return [told, counted, head, *rows, *(f"warning: {one}" for one in self.warnings)]


def measure_baseline(
    encoder: str,
    texts: Sequence[str],
    settings: BaselineSettings | None = None,
    *,
    source: str,
    licence: str = "unknown",
    tell: Callable[[str], None] | None = None,
) -> MeasuredBaseline:
    """The mean BERTScore of random pairs of different texts, by layer, without rescaling and without idf.

    `encoder` is a name that `open_token_encoder` knows; `source` and `licence` are the texts'. Equal texts count once,
    texts without a word are passed over. The same texts in any order, settings and weights give the same floors.
    Every layer is a run of its own of the model up to there, exactly as `bertscore` runs it.

    Raises MashqError for fewer than `LEAST_PAIRS` pairs, a layer that is not there, and a floor of 1 (an encoder to
    which all texts are one).
    """
    settings = settings or BaselineSettings()
    usable, too_long = _usable(texts, settings.most_words)
    replies, references = _pairs(usable, settings, source)
    layers = _layers(encoder, settings)
    floors, cut = [], 0
    for layer in layers:
        if tell:
            tell(f"layer {layer} of {layers[-1]}")
        found = bertscore_items(replies, [[text] for text in references], open_token_encoder(encoder, layer))
        floors.append(_floor(layer, found, encoder))
        cut = sum(one.cut for one in found)
    opened = open_token_encoder(encoder, layers[0])
    shared = rouge_items(replies, [[text] for text in references], "rouge1")
    return MeasuredBaseline(
        encoder=opened.name,
        weights=opened.weights,
        floors=tuple(floors),
        pairs=len(replies),
        cut=cut,
        too_long=too_long,
        overlap=float(np.mean([one.f for one in shared])),
        words=float(np.mean([_words(text) for text in (*replies, *references)])),
        settings=settings,
        source=source,
        licence=licence,
    )


def _words(text: str) -> int:
    return len(arabic.words(text))


def _usable(texts: Sequence[str], most_words: int) -> tuple[list[str], int]:
    """Different texts with a word, sorted so that their order in the file does not matter; how many were too long."""
    known = {text.strip(): _words(text) for text in texts}
    told = {text: words for text, words in known.items() if words}
    kept = sorted(text for text, words in told.items() if not most_words or words <= most_words)
    return kept, len(told) - len(kept)


def _pairs(texts: list[str], settings: BaselineSettings, source: str) -> tuple[list[str], list[str]]:
    number = min(settings.pairs, len(texts) // 2)
    if number < LEAST_PAIRS:
        limit = f" of at most {settings.most_words} words" if settings.most_words else ""
        do = "Give more texts, a sentence each, or raise most_words."
        expected = f"at least {2 * LEAST_PAIRS:,} different ones{limit}"
        raise MashqError(expected_got(f"baseline: texts of {source}", expected, f"{len(texts):,}", do))
    drawn = random.Random(settings.seed).sample(texts, 2 * number)
    return drawn[:number], drawn[number:]


def _layers(encoder: str, settings: BaselineSettings) -> list[int]:
    if settings.layers:
        return sorted(set(settings.layers))
    depth = open_token_encoder(encoder, 0).depth
    if depth is None:
        do = "Name them: layers=(9,)."
        raise MashqError(expected_got(f"baseline: encoder '{encoder}'", "a number of layers in its config", "none", do))
    return list(range(depth + 1))


def _floor(layer: int, found: Sequence[Match], encoder: str) -> Floor:
    values = np.array([one[:3] for one in found if not one.nothing])  # (pairs, [P, R, F])
    if len(values) < 2 or values.mean(axis=0).max() >= 1:
        got = "none" if len(values) < 2 else f"{values.mean(axis=0).max():g}"
        do = "To this encoder unrelated texts are alike; a score cannot be rescaled from there."
        raise MashqError(expected_got(f"baseline: encoder '{encoder}', layer {layer}", "a floor below 1", got, do))
    errors = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return Floor(layer, *map(float, values.mean(axis=0)), *map(float, errors))


# --- files -----------------------------------------------------------------------------------------------------------


def texts_of_file(path: Path | str, text_field: str = "text", licence: str | None = None) -> tuple[list[str], str, str]:
    """(texts, name of the source, licence) of any file or folder that `mashq.sources` reads; of .txt, a text a line.

    The licence given counts; else the one that the rows name, else "unknown". Raises MashqError for a source that
    cannot be read and one without such a field.
    """
    from mashq.sources import SourceSettings, read
    from mashq.sources.read import source_name

    texts: list[str] = []
    licences: set[str] = set()
    for table in read(path, SourceSettings(text_field=text_field, licence=licence)):
        for row in table.select(["text", "dropped", "licence"]).to_pylist():
            if row["dropped"] is None and row["text"]:
                texts.append(row["text"])
                licences |= {row["licence"]} - {None}
    return texts, source_name(path), " and ".join(sorted(licences)) or "unknown"


def write_baseline(made: MeasuredBaseline, path: Path | str) -> None:
    """Lines LAYER,P,R,F; the header line holds, after its names, all that was known when they were made.

    It stands there because bert_score takes lines by their number and would not pass over a comment. The file's folder
    is made. Raises MashqError where the file cannot be written.
    """
    place = file_place(path, "baseline", option="")
    lines = [f"LAYER,P,R,F # {_comment(made)}"]
    lines += [f"{one.layer},{one.precision:.8f},{one.recall:.8f},{one.f1:.8f}" for one in made.floors]
    with write_whole(place) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8")


def _comment(made: MeasuredBaseline) -> str:
    """One line without a comma, which would be another column."""
    errors = " ".join(
        f"{one.layer}={one.precision_error:.6f}/{one.recall_error:.6f}/{one.f1_error:.6f}" for one in made.floors
    )
    limit = made.settings.most_words or "any"
    said = [
        f"mashq {__version__}",
        f"encoder:{made.encoder}",
        f"weights:{made.weights}",
        f"texts:{made.source}",
        f"licence:{made.licence}",
        f"pairs:{made.pairs}",
        f"seed:{made.settings.seed}",
        f"most_words:{limit}",
        f"cut:{made.cut}",
        f"rouge1:{made.overlap:.4f}",
        f"standard errors (layer=P/R/F) {errors}",
    ]
    return "; ".join(" ".join(one.replace(",", " ").replace('"', "'").split()) for one in said)
