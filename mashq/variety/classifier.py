"""Varieties by a Transformers sequence classifier: a folder or a hub name, its labels mapped onto ours."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mashq.arabic import arabic_share, words
from mashq.lm.weights import fingerprint, licence, public_name, quiet, weights
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got
from mashq.variety.teller import Marker, Teller

__all__ = ["ClassifierTeller", "our_label"]

TABLE = Path(__file__).parent.parent / "data" / "variety" / "classifiers.yaml"
NEED = "pip install 'mashq[train]'"
WINDOW = 64  # words that the model reads at a time; a longer text has the mean over its windows, by their words
BATCH = 32  # windows
LONGEST_WORD = 40  # characters: what is longer is cut into such words, so that a window fits the model
SURE, PIECE_SURE = 0.5, 0.9  # not calibrated here, so the standard needs as much as a dialect


@functools.cache
def _table() -> dict[str, str]:
    loaded = parsed("variety/classifiers")
    return {str(name): ours for ours, names in loaded.items() for name in names}


def our_label(theirs: str) -> str | None:
    """A classifier's label -> ours, or None where data/variety/classifiers.yaml does not know it."""
    name = theirs.strip().lower().replace("_", "-").replace(" ", "-")
    return _table().get(name) or _table().get(name.partition("-")[0])


class ClassifierTeller(Teller):
    """A teller by `AutoModelForSequenceClassification`, in float32.

    Its probabilities are the model's own softmax, not calibrated here. Raises MashqError for a model that is not to be
    had, does not load, or has a label that is not in data/variety/classifiers.yaml.
    """

    experimental: frozenset[str] = frozenset()
    sure, sure_standard, piece_sure = SURE, SURE, PIECE_SURE

    def __init__(self, spec: str):
        self.name = public_name(spec)
        self._folder = weights(spec)
        self.licence = licence(spec)
        self._columns = _columns(self._folder, self.name)
        self.labels = tuple(dict.fromkeys(self._columns))
        self.identity = f"classifier|{self.name}|weights:{fingerprint(self._folder)[:16]}|window:{WINDOW}"

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        """(torch, model, tokenizer)."""
        try:
            torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
        except ModuleNotFoundError as error:
            raise MashqError(f"variety model '{self.name}' needs the package '{error.name}': {NEED}") from error
        try:
            with quiet():
                tokenizer = transformers.AutoTokenizer.from_pretrained(self._folder)
                model = transformers.AutoModelForSequenceClassification.from_pretrained(
                    self._folder, dtype=torch.float32, use_safetensors=True
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise MashqError(
                f"variety model '{self.name}': it does not load ({type(error).__name__}: {error})."[:600]
            ) from error
        return torch, model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer

    def _probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        made = np.full((len(texts), len(self.labels)), 1 / len(self.labels))
        counts = np.zeros(len(texts), np.int64)
        windows: list[str] = []
        owners: list[tuple[int, int]] = []
        for place, text in enumerate(texts):
            if arabic_share(text):
                said = _windows(text)
                counts[place] = sum(size for _, size in said)
                windows += [window for window, _ in said]
                owners += [(place, size) for _, size in said]
        made[counts > 0] = 0
        for start in range(0, len(windows), BATCH):
            odds = self._odds(windows[start : start + BATCH])
            for row, (place, size) in zip(odds, owners[start : start + BATCH], strict=True):
                made[place] += row * (size / counts[place])
        return made, counts

    def _odds(self, windows: Sequence[str]) -> np.ndarray:
        """(b, k) probabilities of windows, each read alone: padding would change the last digits."""
        torch, model, tokenizer = self._loaded
        longest = min(int(getattr(model.config, "max_position_embeddings", 512) or 512), 512) - 2
        made = np.zeros((len(windows), len(self.labels)))
        for place, window in enumerate(windows):
            given = tokenizer(window, return_tensors="pt", truncation=True, max_length=longest)
            with torch.inference_mode():
                logits = model(**given.to(model.device)).logits[0].double().cpu().numpy()
            odds = np.exp(logits - logits.max())
            for column, label in enumerate(self._columns):
                made[place, self.labels.index(label)] += odds[column] / odds.sum()
        return made

    def why(self, text: str, most: int = 5) -> list[Marker]:
        """The words without which the best label's log-odds against the runner-up would fall most.

        Each word is left out in turn: one reading of the text a word.
        """
        said = words(text)
        if not arabic_share(text):
            return []
        without = [" ".join(said[:place] + said[place + 1 :]) for place in range(len(said))]
        odds = np.log(np.maximum(self._probabilities([" ".join(said), *without])[0], 1e-12))
        if len(self.labels) < 2:
            return []
        runner_up, best = np.argsort(odds[0], kind="stable")[-2:]
        fallen = odds[0, best] - odds[0, runner_up] - (odds[1:, best] - odds[1:, runner_up])
        order = np.argsort(-np.abs(fallen), kind="stable")[:most]
        return [Marker(said[place], self.labels[best], float(fallen[place])) for place in order]


def _windows(text: str) -> list[tuple[str, int]]:
    """The text in windows of `WINDOW` words, with the number of each one's words."""
    said = [
        word[start : start + LONGEST_WORD]
        for word in text.encode("utf-8", "replace").decode("utf-8").split()
        for start in range(0, len(word), LONGEST_WORD)
    ]
    return [
        (" ".join(said[start : start + WINDOW]), len(said[start : start + WINDOW]))
        for start in range(0, len(said), WINDOW)
    ]


def _columns(folder: Path, name: str) -> list[str]:
    """Our label of each of the model's outputs."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    named = config.get("id2label") or {}
    theirs = [str(named[key]) for key in sorted(named, key=int)]
    if not theirs:
        raise MashqError(expected_got(f"variety model '{name}': its config.json", "id2label", "none"))
    unknown = [label for label in theirs if our_label(label) is None]
    if unknown:
        do = f"Write these into {TABLE.name} under the variety they mean, or set id2label in the model's config.json."
        known = "labels that data/variety/classifiers.yaml knows"
        raise MashqError(expected_got(f"variety model '{name}'", known, ", ".join(unknown), do))
    return [label for label in map(our_label, theirs) if label is not None]
