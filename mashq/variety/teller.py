"""Which Arabic a text is: labels with probabilities, "mixed" and "unsure" among them.

| spec | what tells |
|---|---|
| `shipped` | the model in this package: linear, no network, no torch |
| a path to an .npz file | a model of `mashq variety train` |
| a folder, or `owner/name[@revision]` on the hub | a Transformers sequence classifier (CAMeL, NADI) |
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mashq.lm.weights import HUB_NAME
from mashq.rows import MashqError, expected_got, nearest
from mashq.variety.model import LinearModel

__all__ = ["LABELS", "MIXED", "SHIPPED", "UNSURE", "LinearTeller", "Marker", "Teller", "Told", "open_teller"]

LABELS = ("msa", "egyptian", "gulf", "levantine", "iraqi", "moroccan", "maghrebi")  # maghrebi: not Moroccan
MIXED, UNSURE = "mixed", "unsure"
SHIPPED = "shipped"
MODEL = Path(__file__).parent.parent / "data" / "variety" / "model.npz"

PIECE_WORDS = 6  # words of a piece at least: of shorter ones no model here is sure
MIXED_SHARE = 0.2  # of the words, in pieces of the second variety, before a text is mixed
_PIECE_END = re.compile(r"[.!?؟…:\n\r«»\"“”]+")


@dataclass(frozen=True)
class Told:
    """What was told about n texts."""

    labels: list[str]  # a label of the teller, "mixed" or "unsure"
    probabilities: np.ndarray  # (n, k) float32, columns as the teller's labels; rows sum to 1
    best: list[str]  # the label of highest probability, also where the text is mixed or unsure; of equals the first
    experimental: frozenset[str]  # labels of too few real rows: never a reason to drop a row


@dataclass(frozen=True)
class Marker:
    """A word that speaks for a label."""

    word: str  # as it is counted: without vowels, hamza seats and stretching
    label: str
    weight: float  # what it adds to the label's log-odds against the next likely label; negative where against it


class Teller(abc.ABC):
    """Tells varieties. What it says of a text does not depend on the other texts of a call."""

    name: str  # as the user named it, without a private path
    identity: str  # names everything that decides a label
    licence: str  # of the model; "unknown" where nothing says it
    labels: tuple[str, ...]
    experimental: frozenset[str]
    sure: float  # least probability of a dialect; below it the text is unsure
    sure_standard: float  # the same of "msa", which needs no evidence
    piece_sure: float  # least probability of a piece that counts for "mixed"

    @abc.abstractmethod
    def _probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """n texts -> (n, k) float64 that sum to 1, and (n,) numbers of Arabic words."""

    @abc.abstractmethod
    def why(self, text: str, most: int = 5) -> list[Marker]:
        """The words that decided, the strongest first: for the best label, or (negative weight) against it."""

    def tell(self, texts: Sequence[str]) -> Told:
        """The variety of each text.

        "unsure": no dialect reaches the probability `sure`, nor the standard `sure_standard`, or there is no Arabic
        letter (then all are equally likely). "mixed": two parts of the text, of at least six words and a fifth of all
        words each, are surely of two varieties, the standard among them or not (`pieces` says where parts end).
        Raises MashqError where `texts` is one string.
        """
        if isinstance(texts, str):
            raise MashqError(expected_got("variety: texts to tell", "a list of texts", "one string", "Write [text]."))
        odds, words = self._probabilities(texts)
        best = [self.labels[place] for place in odds.argmax(axis=1)]
        said = [
            label if count and top >= (self.sure_standard if label == "msa" else self.sure) else UNSURE
            for label, top, count in zip(best, odds.max(axis=1), words, strict=True)
        ]
        for place in self._mixed(texts, words):
            said[place] = MIXED
        return Told(said, odds.astype(np.float32), best, self.experimental)

    def _mixed(self, texts: Sequence[str], words: np.ndarray) -> Iterator[int]:
        """Places of the texts whose parts are surely of two varieties."""
        owners: list[int] = []
        found: list[str] = []
        for place in np.flatnonzero(words >= 2 * PIECE_WORDS).tolist():
            cut = pieces(texts[place])
            owners += [place] * len(cut)
            found += cut
        if not found:
            return
        odds, sizes = self._probabilities(found)
        sure = odds.max(axis=1) >= self.piece_sure
        share = np.zeros((len(texts), len(self.labels)))
        np.add.at(share, (np.array(owners)[sure], odds.argmax(axis=1)[sure]), sizes[sure])
        second = np.sort(share, axis=1)[:, -2] if len(self.labels) > 1 else share[:, 0] * 0
        yield from np.flatnonzero(second >= np.maximum(MIXED_SHARE * words, PIECE_WORDS)).tolist()


def pieces(text: str) -> list[str]:
    """A text cut after sentence marks, quotation marks and line ends, into pieces of at least six words each.

    What is too short goes with the piece after it, at the end with the one before it. A text without a place to cut is
    cut in the middle of its words, where each half has six.
    """
    made: list[str] = []
    start = 0
    for stop in [*(match.end() for match in _PIECE_END.finditer(text)), len(text)]:
        if len(text[start:stop].split(maxsplit=PIECE_WORDS)) >= PIECE_WORDS:
            made.append(text[start:stop])
            start = stop
    if made:
        made[-1] += text[start:]
    if len(made) < 2 and len(said := text.split()) >= 2 * PIECE_WORDS:
        return [" ".join(said[: len(said) // 2]), " ".join(said[len(said) // 2 :])]
    return made or ([text] if text.strip() else [])


class LinearTeller(Teller):
    """A teller by a linear model; see `mashq.variety.model`."""

    def __init__(self, model: LinearModel, name: str):
        self.model = model
        self.name = name
        self.identity = f"variety|{model.about['name']}|{model.identity}"
        self.licence = str(model.about["licence"])
        self.labels = model.labels
        self.experimental = frozenset(model.about["experimental"])
        self.sure = float(model.about["sure"])
        self.sure_standard = float(model.about["sure_standard"])
        self.piece_sure = float(model.about["piece_sure"])

    def _probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self.model.probabilities(texts)

    def why(self, text: str, most: int = 5) -> list[Marker]:
        """The words that decided, by the summed weights of their groups of letters: best label against runner-up.

        A word that comes twice has the sum. An empty list for a text without an Arabic letter.
        """
        odds, count = self.model.probabilities([text])
        if not count[0]:
            return []
        runner_up, best = np.argsort(odds[0], kind="stable")[-2:]
        words, weights = self.model.word_weights(text)
        temperature = float(np.exp(self.model.softness[0] + self.model.softness[1] * np.log1p(count[0])))
        summed: dict[str, float] = {}
        for word, row in zip(words, weights, strict=True):
            summed[word] = summed.get(word, 0.0) + float(row[best] - row[runner_up]) / temperature
        ordered = sorted(summed.items(), key=lambda item: -abs(item[1]))[:most]
        return [Marker(word, self.labels[best], weight) for word, weight in ordered]


def open_teller(spec: str | Path = SHIPPED) -> Teller:
    """A teller by name (the table above). Raises MashqError where there is none, saying what can be given."""
    name = str(spec)
    if name == SHIPPED:
        return LinearTeller(LinearModel.load(MODEL), SHIPPED)
    path = Path(name).expanduser()
    if path.is_file():
        return LinearTeller(LinearModel.load(path), path.name)
    if path.is_dir() and (path / "model.npz").is_file():
        return LinearTeller(LinearModel.load(path / "model.npz"), path.resolve().name)
    if path.is_dir() or (HUB_NAME.fullmatch(name) and "/" in name and not path.is_absolute()):
        from mashq.variety.classifier import ClassifierTeller

        return ClassifierTeller(name)
    raise MashqError(
        f"variety: there is no model '{name}'. Give '{SHIPPED}', a model.npz of `mashq variety train`, a folder or hub "
        f"name (owner/name) of a Transformers sequence classifier.{nearest(name, [SHIPPED])}"
    )
