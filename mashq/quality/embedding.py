"""Scores of a translation by the vectors of its two texts: their cosine, and its margin over the nearest others."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mashq.encode import Encoder, open_encoder, token_batches
from mashq.rows import MashqError, expected_got

__all__ = ["Cosine", "Margin", "pair_columns", "read_anchors"]

CHARACTERS_PER_BATCH = 65_536  # of both texts, padded: about 500 pairs of sentences
NEIGHBOURS = 4  # Artetxe and Schwenk 2019, section 3.1
ROWS_AT_A_TIME = 1_024  # of the matrix of cosines with the anchors

Anchors = str | Path | Sequence[tuple[str, str]]


class _Embedding:
    """What both scores share: an encoder, and each text encoded once in a call."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.licence = encoder.licence

    def batches(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Places, each once, the longest pairs first. Equal sources of unequal length may be encoded again."""
        return token_batches(
            [len(source) + len(translation) + 2 for source, translation in pairs], CHARACTERS_PER_BATCH
        )

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) rows of length 1; equal texts are encoded once."""
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return self.encoder.encode(list(places))[[places[text] for text in texts]]

    def _both(self, pairs: Sequence[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
        texts = [source for source, _ in pairs] + [translation for _, translation in pairs]
        vectors = self._vectors(texts)
        return vectors[: len(pairs)], vectors[len(pairs) :]


class Cosine(_Embedding):
    """The cosine of source and translation.

    Its scale is the encoder's own: true pairs lie near 0.88 with e5 and unrelated ones near 0.76, so a threshold of one
    encoder says nothing about another's.
    """

    scale: tuple[float, float] | None = (-1.0, 1.0)
    column = "similarity"

    def __init__(self, encoder: str | Encoder = "e5", *, prompt: str | None = None):
        opened = open_encoder(encoder, **_given(prompt)) if isinstance(encoder, str) else encoder
        super().__init__(opened)
        self.name = f"cosine:{opened.name}"
        self.identity = f"cosine|{opened.identity}"

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(n,) float32 in -1..1; NaN where one of the two texts is blank, because there is nothing to compare."""
        if not len(pairs):
            return np.zeros(0, np.float32)
        sources, translations = self._both(pairs)
        return _without_blank(np.einsum("nd,nd->n", sources, translations).clip(-1, 1), pairs)


class Margin(_Embedding):
    """The ratio margin of Artetxe and Schwenk 2019 ("Margin-based Parallel Corpus Mining", equation 2).

    The pair's cosine over the mean of two means: of the source's cosines to its `neighbours` nearest anchor
    translations, and of the translation's to its nearest anchor sources. 1 says: no nearer to each other than to
    others; true pairs lie above. Anchors are true pairs of the same kind of text; those that share a text with the pair
    are left out, so a pair scores the same whether it is among the anchors or not.
    """

    scale: tuple[float, float] | None = None
    column = "margin"

    def __init__(
        self,
        encoder: str | Encoder = "e5",
        *,
        anchors: Anchors | None = None,
        neighbours: int = NEIGHBOURS,
        prompt: str | None = None,
    ):
        if anchors is None:
            do = "Give a TSV of true pairs (source, tab, translation) of the kind of text to score."
            raise MashqError(expected_got("scorer 'margin'", "the setting anchors", "none", do))
        opened = open_encoder(encoder, **_given(prompt)) if isinstance(encoder, str) else encoder
        super().__init__(opened)
        self.anchors = read_anchors(anchors) if isinstance(anchors, str | Path) else list(anchors)
        if len(self.anchors) < 2 * neighbours:
            do = "Give more true pairs, or fewer neighbours."
            raise MashqError(
                expected_got("scorer 'margin': anchors", f"{2 * neighbours} or more", f"{len(self.anchors)}", do)
            )
        self.neighbours = neighbours
        self.name = f"margin:{opened.name}"
        content = json.dumps(self.anchors, ensure_ascii=False).encode("utf-8", "replace")
        pool = hashlib.blake2b(content, digest_size=8).hexdigest()
        self.identity = f"margin|k:{neighbours}|anchors:{pool}|{opened.identity}"
        self._pool: tuple[np.ndarray, np.ndarray] | None = None

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(n,) float32, about 0.8 to 1.2; NaN where one of the two texts is blank."""
        if not len(pairs):
            return np.zeros(0, np.float32)
        if self._pool is None:
            self._pool = self._both(self.anchors)
        sources, translations = self._both(pairs)
        made = np.empty(len(pairs), np.float32)
        shared = self._sharing()
        for start in range(0, len(pairs), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            left_out = [shared[0][source] + shared[1][translation] for source, translation in pairs[some]]
            forth = _nearest(sources[some] @ self._pool[1].T, left_out, self.neighbours)
            back = _nearest(translations[some] @ self._pool[0].T, left_out, self.neighbours)
            cosines = np.einsum("nd,nd->n", sources[some], translations[some])
            made[some] = cosines / np.maximum((forth + back) / 2, 1e-6)
        return _without_blank(made, pairs)

    def _sharing(self) -> tuple[defaultdict[str, list[int]], defaultdict[str, list[int]]]:
        """For a source and for a translation: the places of the anchors that hold it."""
        by: tuple[defaultdict[str, list[int]], defaultdict[str, list[int]]] = (defaultdict(list), defaultdict(list))
        for place, texts in enumerate(self.anchors):
            for known, text in zip(by, texts, strict=True):
                known[text].append(place)
        return by


def _nearest(cosines: np.ndarray, left_out: Sequence[Sequence[int]], neighbours: int) -> np.ndarray:
    """(n, anchors) cosines -> (n,) the mean of the highest, those left out apart."""
    for row, places in enumerate(left_out):
        if len(cosines[row]) - len(set(places)) >= neighbours:
            cosines[row, list(places)] = -np.inf
    return np.partition(cosines, -neighbours, axis=1)[:, -neighbours:].mean(axis=1)


def _without_blank(scores: np.ndarray, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    blank = [not source.strip() or not translation.strip() for source, translation in pairs]
    return np.where(blank, np.nan, scores).astype(np.float32)


def _given(prompt: str | None) -> dict[str, str]:
    return {} if prompt is None else {"prompt": prompt}


def pair_columns(header: Sequence[str]) -> tuple[str, str] | None:
    """Which two columns of a file hold the pairs: en and ar, or source and translation; None where neither do."""
    return next((pair for pair in (("en", "ar"), ("source", "translation")) if set(pair) <= set(header)), None)


def read_anchors(path: str | Path) -> list[tuple[str, str]]:
    """A TSV of pairs with a header: its columns en and ar, or source and translation, or the first two.

    Raises MashqError where the file cannot be read, and for a line with fewer cells.
    """
    file = Path(path).expanduser()
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise MashqError(f"anchors: cannot read {file.name} ({error}).") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    names = pair_columns(header)
    one, other = (header.index(names[0]), header.index(names[1])) if names else (0, 1)
    pairs = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) <= max(one, other):
            got = f"{len(row)} cell{'s'[: len(row) != 1]}"
            raise MashqError(expected_got(f"anchors: {file.name} line {number}", "a source, a tab, a translation", got))
        pairs.append((row[one], row[other]))
    return pairs
