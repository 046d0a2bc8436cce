"""A linear model over hashed groups: its file, and the scores of texts by it.

Weights are whole numbers (int16), so that sums are exact: a text's score is the same in any batch and on any machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole
from mashq.variety.features import BEGIN, END, Folded, Groups, counted, fold, groups, marked, spelling

__all__ = ["FORMAT", "LinearModel", "calibrated"]

FORMAT = "mashq-variety-2"  # changes with the features or the layout of the file
BLOCK = 1 << 18  # characters of whole texts that are scored at a time: the groups of a block stay in the cache
ARRAYS = ("weights", "markers", "intercepts", "priors", "softness", "about")
MOST_WEIGHT = np.iinfo(np.int16).max


def calibrated(scores: np.ndarray, words: np.ndarray, priors: np.ndarray, softness: np.ndarray) -> np.ndarray:
    """(n, k) scores, (n,) numbers of words, (k,) and (2,) learnt numbers -> (n, k) probabilities, float64.

    A score is divided by exp(s0 + s1 log(1 + words)): how far the scores of a text of this length are to be believed.
    After temperature scaling (Guo et al. 2017), with a temperature for each length.
    """
    temperature = np.exp(softness[0] + softness[1] * np.log1p(words))
    logits = scores / temperature[:, None] + priors
    logits -= logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What a model file holds. `about` is a JSON object: labels, scale, thresholds, data with licences, measures."""

    weights: np.ndarray  # (2**bits + m, k) int16, in units of about["scale"]: of hashed groups, then of the m markers
    markers: np.ndarray  # (m,) uint32 hashes of marker words, sorted; they share no column with anything
    intercepts: np.ndarray  # (k,) float64
    priors: np.ndarray  # (k,) float64, added to the scaled scores
    softness: np.ndarray  # (2,) float64
    about: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """The k labels, in the order of the columns."""
        return tuple(self.about["labels"])

    @functools.cached_property
    def bits(self) -> int:
        """2**bits columns."""
        return (len(self.weights) - len(self.markers)).bit_length() - 1

    @functools.cached_property
    def _wide(self) -> np.ndarray:
        return self.weights.astype(np.int32)

    def scores(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """n texts -> (n, k) float64 scores, and (n,) numbers of words, 0 for a text without an Arabic letter."""
        blocks = [self._block(block) for block in _blocks(texts)]
        if not blocks:
            return np.zeros((0, len(self.labels))), np.zeros(0, np.int64)
        sums, words = zip(*blocks, strict=True)
        return np.concatenate(sums), np.concatenate(words)

    def _block(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        folded = fold(texts)
        # 10 groups a letter at most; beyond that many an int32 could overflow. Both kinds give the same whole number.
        short = 10 * np.diff(folded.begins).max(initial=0) * MOST_WEIGHT < 1 << 31
        weights = self._wide if short else self.weights.astype(np.int64)
        hashed, listed = weights[: 1 << self.bits], weights[1 << self.bits :]
        sums = np.zeros((len(texts), weights.shape[1]), weights.dtype)
        number = np.zeros(len(texts), np.int64)
        for found in groups(folded, self.bits):
            part = counted(found, folded.begins, 1 << self.bits)
            sums += part @ hashed
            number += np.diff(part.indptr)
        sums += counted(marked(folded, self.markers), folded.begins, len(self.markers)) @ listed
        scale = self.about["scale"] / np.sqrt(np.maximum(number, 1))
        return sums * scale[:, None] + self.intercepts, _word_counts(folded)

    def probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """n texts -> (n, k) float64 that sum to 1, and (n,) numbers of words; uniform where there is no word."""
        scores, words = self.scores(texts)
        made = calibrated(scores, words, self.priors, self.softness)
        made[words == 0] = 1 / len(self.labels)
        return made, words

    def word_weights(self, text: str) -> tuple[list[str], np.ndarray]:
        """The m words of a text as they are folded, and (m, k) what each adds to the scores.

        A group that reaches over several words is shared out evenly among them.
        """
        folded = fold([text])
        starts, ends = _word_places(folded)
        made = np.zeros((len(starts), len(self.labels)))
        number = 0
        marks = marked(folded, self.markers)
        shifted = Groups(marks.columns + (1 << self.bits), marks.first, marks.last)
        for found in (*groups(folded, self.bits), shifted):
            number += 0 if found is shifted else len(found.columns)
            first = np.searchsorted(ends, found.first)  # the first word that ends there or later
            last = np.searchsorted(starts, found.last, "right") - 1
            _share(made, self.weights[found.columns], first, last)
        made *= self.about["scale"] / np.sqrt(max(number, 1))
        return _folded_words(folded, starts, ends), made

    @staticmethod
    def load(path: Path) -> LinearModel:
        """Read a model file; nothing in it is unpickled. Raises MashqError for a file that is none."""
        what, do = f"variety model {path}", "Train one with `mashq variety train`, or name another."
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS}
            about = json.loads(arrays.pop("about").tobytes().decode())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise MashqError(expected_got(what, f"an .npz file with {', '.join(ARRAYS)}", str(error), do)) from error
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            got = about.get("format") if isinstance(about, dict) else type(about).__name__
            raise MashqError(expected_got(what, f"format {FORMAT}", str(got), do))
        model = LinearModel(**arrays, about=about)
        if fault := _misshapen(model):
            raise MashqError(expected_got(what, "arrays that fit each other", fault, do))
        return model

    def save(self, path: Path) -> None:
        """Write the model file, under any name: equal models give equal bytes."""
        about = np.frombuffer(json.dumps(self.about, ensure_ascii=False, sort_keys=True).encode(), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as partial, partial.open("wb") as file:  # given a name, NumPy would add .npz to it
            np.savez_compressed(
                file,
                weights=self.weights,
                markers=self.markers,
                intercepts=self.intercepts,
                priors=self.priors,
                softness=self.softness,
                about=about,
            )

    @functools.cached_property
    def identity(self) -> str:
        """16 hexadecimal digits of everything that decides a probability."""
        digest = hashlib.blake2b(FORMAT.encode(), digest_size=8)
        for part in (self.weights, self.markers, self.intercepts, self.priors, self.softness):
            digest.update(np.ascontiguousarray(part).tobytes())
        decisive = {
            name: self.about.get(name)
            for name in ("labels", "scale", "sure", "sure_standard", "piece_sure", "experimental")
        }
        digest.update(json.dumps(decisive, sort_keys=True).encode())
        return digest.hexdigest()


def _misshapen(model: LinearModel) -> str | None:
    """What does not fit, or None."""
    count = len(model.about.get("labels", ()))
    size = len(model.weights) - len(model.markers)
    if (
        model.markers.dtype != np.uint32
        or model.markers.ndim != 1
        or (np.diff(model.markers.astype(np.int64)) <= 0).any()
    ):
        return "markers that are no sorted hashes"
    if model.weights.dtype != np.int16 or model.weights.shape[1:] != (count,) or size & (size - 1) or size < 2:
        return f"weights {model.weights.dtype} {model.weights.shape} for {count} labels"
    if (model.intercepts.shape, model.priors.shape, model.softness.shape) != ((count,), (count,), (2,)):
        return f"intercepts {model.intercepts.shape}, priors {model.priors.shape}, softness {model.softness.shape}"
    known = {"scale", "sure", "sure_standard", "piece_sure", "experimental", "name", "licence"}
    return f"no {', '.join(sorted(known - model.about.keys()))}" if known - model.about.keys() else None


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in runs of about `BLOCK` characters."""
    start = size = 0
    for place, text in enumerate(texts):
        if size and size + len(text) > BLOCK:
            yield texts[start:place]
            start, size = place, 0
        size += len(text) + 1
    if start < len(texts):
        yield texts[start:]


def _word_places(folded: Folded) -> tuple[np.ndarray, np.ndarray]:
    """Places of each word's first and last letter, in all texts together."""
    edge = (folded.codes == END) | (folded.codes == BEGIN)
    return np.flatnonzero(edge[:-1] & ~edge[1:]) + 1, np.flatnonzero(~edge[:-1] & edge[1:])


def _word_counts(folded: Folded) -> np.ndarray:
    """(n,) words of each text."""
    starts, _ = _word_places(folded)
    return np.diff(np.searchsorted(starts, folded.begins))


def _folded_words(folded: Folded, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    """The words between these places, as they were folded."""
    return [spelling(folded.codes[start : end + 1]) for start, end in zip(starts, ends, strict=True)]


def _share(made: np.ndarray, weights: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
    """Add (m, k) weights of groups to the words from `first` to `last`, in equal parts."""
    over = last - first + 1
    for step in range(int(over.max(initial=0))):
        some = over > step
        np.add.at(made, first[some] + step, weights[some] / over[some, None])
