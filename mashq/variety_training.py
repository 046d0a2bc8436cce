"""Labelled texts -> a linear model that tells varieties, with its cross-validation.

Rows come from files of any shape that `mashq.sources` reads, from YAML lists of sentences, and from a lexicon. Equal
files give a model of equal bytes: rows are sorted by their own hash, training runs in one thread from a fixed seed.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, sparse

from mashq.places import file_place
from mashq.rows import MashqError, expected_got, file_hash
from mashq.variety.features import fold, folded_text, marker_matrix, matrix, word_hashes
from mashq.variety.model import FORMAT, MOST_WEIGHT, LinearModel, calibrated
from mashq.variety.teller import LABELS
from mashq.variety_rows import PLAN, LabelledFile, Row, drawn, labelled, read_plan, read_rows, without_names
from mashq.variety_validation import calibration_error, folds, measured

__all__ = [
    "PLAN",
    "LabelledFile",
    "Row",
    "Trained",
    "TrainingSettings",
    "card",
    "labelled",
    "read_plan",
    "read_rows",
    "train",
    "without_names",
]

NEED = "pip install 'mashq[variety]'"
CARRIED = 4  # texts made of each word of a lexicon


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. The defaults made the shipped one; docs/benchmarks/variety.md says how they did."""

    name: str = "variety"  # of the model
    licence: str = "Apache-2.0"  # of the model file; its data's licences stand beside it
    date: str = ""  # ISO date that the model file states; part of its bytes
    bits: int = 18  # 2**bits columns
    alpha: float = 3e-5  # strength of the L2 penalty; of 1e-5, 3e-5 and 1e-4 the best with whole sources left out
    passes: int = 6  # over the rows
    marker: float = 15.0  # what a word of the lexicon adds to its label; found with whole sources left out
    folds: int = 5  # of the grouped cross-validation that sets the calibration
    standard_share: float = 0.5  # prior probability of the standard; the other labels share the rest evenly
    false_dialect: float = 0.02  # share of trusted standard rows, in the folds, told as a dialect
    sure: float = 0.5  # least probability of a label; below it a text is unsure
    sure_standard: float = 0.35  # the same of the standard, which needs no evidence
    piece_sure: float = 0.8  # least probability of a piece of a mixed text
    least_rows: int = 200  # rows that were not written for this purpose; a label with fewer is experimental


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and what it told about its own training rows by models that had not seen them."""

    model: LinearModel
    rows: list[Row]  # without the lexicon
    words: np.ndarray  # (n,) words of each row
    by_fold: np.ndarray  # (n, k) probabilities, from models of the other folds
    by_source: np.ndarray  # (n, k) probabilities, from models of the other sources, calibrated on their rows alone
    without: Mapping[str, LinearModel]  # those models, by the source that they leave out; empty for one source


# --- one model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Linear:
    """Coefficients before they are whole numbers."""

    coefficients: np.ndarray  # (2**bits, k) float32; a label without rows has zeros
    intercepts: np.ndarray  # (k,)

    def scores(self, columns: sparse.csr_array) -> np.ndarray:
        return np.asarray(columns @ self.coefficients, dtype=np.float64) + self.intercepts


def _carried(words: Sequence[Row], carriers: Sequence[Row]) -> list[Row]:
    """Each word of the lexicon in `CARRIED` short runs of words of the standard, most with another of its label.

    So a marker outweighs standard words around it, as it does in life, and a word counts as it does in a sentence.
    """
    said = [run for row in carriers if len(run := folded_text(row.text).split()) >= 4]
    others: dict[str, list[str]] = {}
    for row in words:
        others.setdefault(row.label, []).append(row.text)
    made = []
    for row in words:
        for turn in range(CARRIED):
            number = drawn(f"{row.label} {row.text} {turn}")
            run = said[number % len(said)] if said else []
            start = (number >> 20) % max(1, len(run) - 4)
            text = run[start : start + 1 + (number >> 30) % 4]
            text.insert((number >> 35) % (len(text) + 1), row.text)
            if (number >> 40) % 3:
                text.insert(
                    (number >> 42) % (len(text) + 1), others[row.label][(number >> 50) % len(others[row.label])]
                )
            made.append(dataclasses.replace(row, text=" ".join(text), weight=row.weight / CARRIED))
    return made


def _fit(rows: Sequence[Row], columns: sparse.csr_array, settings: TrainingSettings, labels: Sequence[str]) -> _Linear:
    """One against the rest by logistic loss; every label has the same weight in total, rare groups count for more."""
    coefficients = np.zeros((columns.shape[1], len(labels)), np.float32)
    intercepts = np.full(len(labels), -9.0)  # of a label that has no rows here: never the best
    if len({row.label for row in rows}) < 2:  # what is left of the rows has nothing to tell apart
        intercepts[[labels.index(row.label) for row in rows]] = 0.0
        return _Linear(coefficients, intercepts)
    truth = np.array([row.label for row in rows])
    weights = np.array([row.weight for row in rows])
    totals = {label: weights[truth == label].sum() for label in set(truth.tolist())}
    even = sum(totals.values()) / len(totals)
    weights = weights * np.array([even / totals[label] for label in truth.tolist()])
    seen = np.bincount(columns.indices, minlength=columns.shape[1])
    rarity = (np.log1p(len(rows) / (1 + seen)) / 4).astype(np.float32)
    scaled = sparse.csr_array((columns.data * rarity[columns.indices], columns.indices, columns.indptr), columns.shape)
    learner = _sklearn().SGDClassifier(
        loss="log_loss", alpha=settings.alpha, max_iter=settings.passes, tol=None, random_state=0
    )
    learner.fit(scaled, truth, sample_weight=weights)
    known = learner.classes_.tolist()
    for place, label in enumerate(known if len(known) > 2 else known[1:]):
        coefficients[:, labels.index(label)] = learner.coef_[place] * rarity
        intercepts[labels.index(label)] = learner.intercept_[place]
    if len(known) == 2:  # one column for two labels: the other one is its negative
        other, one = (labels.index(label) for label in known)
        coefficients[:, other], intercepts[other] = -coefficients[:, one], -intercepts[one]
    return _Linear(coefficients, intercepts)


def _sklearn() -> Any:
    try:
        return importlib.import_module("sklearn.linear_model")
    except ModuleNotFoundError as error:
        raise MashqError(f"training a variety model needs the package 'scikit-learn': {NEED}") from error


# --- the whole training ----------------------------------------------------------------------------------------------


def train(
    files: Sequence[LabelledFile],
    out: Path,
    settings: TrainingSettings | None = None,
    tell: Callable[[str], None] | None = None,
) -> Trained:
    """Train on the files, write `out` (model.npz) and its card beside it (.md), and give what cross-validation said.

    Each fold leaves whole groups out (a story, a genre, texts of equal folded form), each source once all of its rows.
    The folds' scores set the calibration; among them the trusted standard rows set how much evidence a dialect needs.
    tell: called with a line of progress.

    Raises MashqError without scikit-learn, for an `out` that cannot be written, for a faulty file, and where fewer
    than two labels have rows.
    """
    settings = settings or TrainingSettings()
    tell = tell or _silent
    _sklearn()
    out = file_place(out, "variety train")
    rows, words, labels = _gathered(files)
    tell(f"{len(rows):,} rows, {len(words):,} words of a lexicon, {len(labels)} labels")
    columns = matrix([without_names(row.text) for row in rows], settings.bits)
    model_of = _Fitting(rows, words, columns, settings, labels)
    counts = np.array([len(folded_text(row.text).split()) for row in rows])
    scores, _ = model_of.held_out(folds([row.group for row in rows], settings.folds), tell)
    said = _Said(rows, counts, scores, settings, labels)
    whole = model_of(np.ones(len(rows), bool))
    model = _whole_numbers(whole, model_of.markers, *said.calibration(), _about(files, rows, settings, labels))
    by_fold = calibrated(scores, counts, model.priors, model.softness)
    by_source, without = _without_each_source(model_of, said, model, tell)
    made = Trained(model, rows, counts, by_fold, by_source, without)
    model.save(out)
    out.with_suffix(".md").write_text(card(made), "utf-8")
    return made


def _gathered(files: Sequence[LabelledFile]) -> tuple[list[Row], list[Row], list[str]]:
    """Rows and words of lexicons, each in the order of their own hashes, and the labels that they have."""
    read_in = [row for file in files for row in read_rows(file)]
    lexicon = {file.source for file in files if file.lexicon}
    rows = sorted((row for row in read_in if row.source not in lexicon), key=_order)
    words = sorted((row for row in read_in if row.source in lexicon), key=_order)
    labels = [label for label in LABELS if any(row.label == label for row in (*rows, *words))]
    if len({row.label for row in rows}) < 2:
        raise MashqError(expected_got("variety: training rows", "at least two labels", ", ".join(labels) or "no rows"))
    return rows, words, labels


def _without_each_source(
    model_of: _Fitting, said: _Said, whole: LinearModel, tell: Callable[[str], None]
) -> tuple[np.ndarray, dict[str, LinearModel]]:
    """(n, k) probabilities of each row by a model of the other sources, and those models; of one source, the folds'."""
    sources = np.array([row.source for row in said.rows])
    if len(names := np.unique(sources)) < 2:
        return calibrated(said.scores, said.words, whole.priors, whole.softness), {}
    scores, linears = model_of.held_out(np.searchsorted(names, sources), tell)
    odds, models = np.zeros_like(scores), {}
    for place, name in enumerate(names.tolist()):
        at = sources == name
        priors, softness = said.only(~at).calibration()
        about = {**whole.about, "name": f"{whole.about['name']} without {name}"}
        models[name] = _whole_numbers(linears[place], model_of.markers, priors, softness, about)
        odds[at] = calibrated(scores[at], said.words[at], priors, softness)
    return odds, models


def card(made: Trained) -> str:
    """A model's card in Markdown: its data with licences, and what cross-validation said, source by source."""
    about, labels = made.model.about, list(made.model.labels)
    truth = np.array([labels.index(row.label) for row in made.rows])
    sources = np.array([row.source for row in made.rows])
    groups = np.array([row.group for row in made.rows], dtype=object)
    lines = [
        f"# {about['name']}",
        "",
        f"Tells {', '.join(labels)}. Licence {about['licence']}. {about['date']}".strip(),
    ]
    lines += ["", f"Experimental, known from too few real rows: {', '.join(about['experimental']) or 'none'}.", ""]
    lines += ["| file | licence | BLAKE2b |", "|---|---|---|"]
    lines += [f"| {one['file']} | {one['licence']} | `{one['blake2b']}` |" for one in about["data"]]
    lines += ["", "| rows | left out | accuracy | macro-F1 | calibration error |", "|---|---|---|---|---:|"]
    for source in np.unique(sources).tolist():
        at = sources == source
        for kind, odds in (("groups", made.by_fold), ("the whole source", made.by_source)):
            found = measured(truth[at], odds[at].argmax(axis=1), groups[at].tolist(), len(labels))
            error, _ = calibration_error(odds[at], truth[at])
            ends = [f"({low:.3f} to {high:.3f})" for low, high in (found.accuracy_interval, found.macro_f1_interval)]
            scores = f"{found.accuracy:.3f} {ends[0]} | {found.macro_f1:.3f} {ends[1]}"
            lines.append(f"| {source}, {found.rows:,} | {kind} | {scores} | {error:.3f} |")
    return "\n".join(lines) + "\n"


def _silent(line: str) -> None:
    """Where nobody wants to know the progress."""


def _order(row: Row) -> tuple[int, str, str]:
    return drawn(row.text), row.text, row.label


@dataclass(frozen=True, eq=False)
class _Fitting:
    """Models of some of the rows."""

    rows: Sequence[Row]
    words: Sequence[Row]
    columns: sparse.csr_array
    settings: TrainingSettings
    labels: Sequence[str]

    def __call__(self, chosen: np.ndarray) -> _Linear:
        """A model of the chosen rows, (n,) bool, and of the lexicon carried by their standard texts."""
        kept = [row for row, yes in zip(self.rows, chosen.tolist(), strict=True) if yes]
        carried = _carried(self.words, [row for row in kept if row.label == "msa"])
        columns = self.columns[np.flatnonzero(chosen)]
        if carried:
            more = matrix([row.text for row in carried], self.settings.bits)
            columns = sparse.csr_array(sparse.vstack([columns, more], format="csr"))
        columns.indices, columns.indptr = columns.indices.astype(np.int32), columns.indptr.astype(np.int32)
        return _fit([*kept, *carried], columns, self.settings, self.labels)

    @functools.cached_property
    def markers(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) sorted hashes of the lexicon's words, also with "and" or "then" joined to them; (m, k) their weights."""
        joined = [(before + row.text, self.labels.index(row.label)) for row in self.words for before in ("", "و", "ف")]
        names, _, _ = word_hashes(fold([word for word, _ in joined]))
        hashes, places = np.unique(names, return_inverse=True)
        weights = np.zeros((len(hashes), len(self.labels)), np.float32)
        weights[places, [label for _, label in joined]] = self.settings.marker
        return hashes, weights

    def held_out(self, parts: np.ndarray, tell: Callable[[str], None]) -> tuple[np.ndarray, dict[int, _Linear]]:
        """(n, k) scores of each row by a model of the other parts, and those models by the part they leave out."""
        hashes, weights = self.markers
        texts = [row.text for row in self.rows]
        whole = matrix(texts, self.settings.bits)  # with the names: as a text is told
        made = np.asarray(marker_matrix(texts, hashes, self.settings.bits) @ weights, dtype=np.float64)
        models: dict[int, _Linear] = {}
        for part in np.unique(parts).tolist():
            models[part] = self(parts != part)
            made[parts == part] += models[part].scores(whole[np.flatnonzero(parts == part)])
            tell(f"left out part {part}: {(parts == part).sum():,} rows")
        return made, models


@dataclass(frozen=True, eq=False)
class _Said:
    """What models of the other folds said of rows: it sets the calibration."""

    rows: Sequence[Row]
    words: np.ndarray  # (n,) words of each row
    scores: np.ndarray  # (n, k)
    settings: TrainingSettings
    labels: Sequence[str]

    def only(self, chosen: np.ndarray) -> _Said:
        """The same of the chosen rows, (n,) bool."""
        rows = [self.rows[place] for place in np.flatnonzero(chosen).tolist()]
        return dataclasses.replace(self, rows=rows, words=self.words[chosen], scores=self.scores[chosen])

    def calibration(self) -> tuple[np.ndarray, np.ndarray]:
        """Priors and softness of least log-loss, with the labels weighted as `standard_share` says.

        All dialects have one prior: one for each fits the sources at hand better and a source that is left out worse
        (macro-F1 of the written sentences .80 against .77 in folds, but .62 against .65 with all of them left out).
        """
        truth = np.array([self.labels.index(row.label) for row in self.rows])
        standard = np.array([float(label == "msa") for label in self.labels])
        weights = self._weights(truth, standard)

        def loss(given: np.ndarray) -> float:
            odds = calibrated(self.scores, self.words, given[2] * standard, given[:2])
            return float(-(weights * np.log(np.maximum(odds[np.arange(len(truth)), truth], 1e-12))).sum())

        found = optimize.minimize(loss, np.zeros(3), method="L-BFGS-B")
        priors, softness = found.x[2] * standard, found.x[:2]
        return priors + standard * self._evidence(priors, softness), softness

    def _weights(self, truth: np.ndarray, standard: np.ndarray) -> np.ndarray:
        k = len(self.labels)
        shares = np.full(k, 1.0 / k)
        if 0 < standard.sum() < k:
            shares = np.where(standard, self.settings.standard_share, (1 - self.settings.standard_share) / (k - 1))
        weights = np.array([row.weight for row in self.rows])
        return np.asarray(weights * shares[truth] / np.bincount(truth, weights, minlength=k)[truth])

    def _evidence(self, priors: np.ndarray, softness: np.ndarray) -> float:
        """What the standard's prior lacks, so that `false_dialect` of the trusted rows are told as a dialect."""
        trusted = np.array([row.trusted and row.label == "msa" for row in self.rows])
        if not trusted.any():
            return 0.0
        odds = calibrated(self.scores[trusted], self.words[trusted], priors, softness)
        logits = np.log(np.maximum(odds, 1e-300))
        standard = self.labels.index("msa")
        over = np.delete(logits, standard, axis=1).max(axis=1) - logits[:, standard]
        return float(np.quantile(over, 1 - self.settings.false_dialect))


def _whole_numbers(
    whole: _Linear,
    markers: tuple[np.ndarray, np.ndarray],
    priors: np.ndarray,
    softness: np.ndarray,
    about: Mapping[str, Any],
) -> LinearModel:
    hashes, marker_weights = markers
    exact = np.concatenate([whole.coefficients, marker_weights])
    scale = float(np.abs(exact).max()) / MOST_WEIGHT or 1.0
    weights = np.rint(exact / scale).astype(np.int16)
    return LinearModel(weights, hashes, whole.intercepts, priors, softness, {**about, "scale": scale})


def _about(
    files: Sequence[LabelledFile], rows: Sequence[Row], settings: TrainingSettings, labels: Sequence[str]
) -> dict[str, Any]:
    """What the model file says of itself."""
    real = Counter(row.label for row in rows if not row.written)
    return {
        "format": FORMAT,
        "name": settings.name,
        "licence": settings.licence,
        "date": settings.date,
        "labels": list(labels),
        "sure": settings.sure,
        "sure_standard": settings.sure_standard,
        "piece_sure": settings.piece_sure,
        "experimental": [label for label in labels if real[label] < settings.least_rows],
        "settings": dataclasses.asdict(settings),
        "data": [
            {"file": file.path.name, "source": file.source, "licence": file.licence, "blake2b": file_hash(file.path)}
            for file in files
        ],
        "rows": {
            source: dict(sorted(Counter(row.label for row in rows if row.source == source).items()))
            for source in sorted({row.source for row in rows})
        },
    }
