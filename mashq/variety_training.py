"""Labelled texts -> a linear model that tells varieties, with its cross-validation.

Rows come from files of any shape that `mashq.sources` reads, from YAML lists of sentences, and from a lexicon. Equal
files give a model of equal bytes: rows are sorted by their own hash, training runs in one thread from a fixed seed.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import yaml
from scipy import optimize, sparse

from mashq.rows import MashqError, expected_got, file_hash, nearest
from mashq.sentences import sentences
from mashq.sources import SourceSettings, read
from mashq.variety.features import fold, folded_text, marker_matrix, matrix, word_hashes
from mashq.variety.model import FORMAT, MOST_WEIGHT, LinearModel, calibrated
from mashq.variety.teller import LABELS
from mashq.variety_validation import folds

__all__ = ["LabelledFile", "Row", "Trained", "TrainingSettings", "read_plan", "read_rows", "train"]

NEED = "pip install 'mashq[variety]'"
CARRIED = 4  # texts made of each word of a lexicon
NAMES = Path(__file__).parent / "data" / "variety" / "names.yaml"


@dataclass(frozen=True)
class LabelledFile:
    """One file of labelled texts and how it is read."""

    path: Path
    source: str  # what is left out as a whole in validation; several files may share it
    licence: str = "unknown"
    text_field: str = "text"  # a table's column; of plain text, a text a line, "text"
    label_field: str | None = None  # a table's column; None: `label` stands for all rows
    label: str | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)  # value of the label column -> ours; null: left out
    cut: bool = False  # texts are stories: cut into pieces of one to four sentences
    share: float = 1.0  # of the pieces that are used, chosen by their hash
    weight: float = 1.0  # of each row beside a row of another file
    written: bool = False  # written for this purpose: no evidence that a label is known from life
    trusted: bool = False  # its rows of the standard are all standard: they set the limit for false dialects
    lexicon: bool = False  # a YAML mapping of label -> words


@dataclass(frozen=True)
class Row:
    """One labelled text; rows of one group stay in one fold."""

    text: str
    label: str
    source: str
    group: str
    weight: float = 1.0
    written: bool = False
    trusted: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. The defaults made the shipped one; docs/benchmarks/variety.md says how they did."""

    name: str = "variety"  # of the model
    licence: str = "Apache-2.0"  # of the model file; its data's licences stand beside it
    date: str = ""  # ISO date that the model file states; part of its bytes
    bits: int = 18  # 2**bits columns
    alpha: float = 1e-5  # strength of the L2 penalty
    passes: int = 6  # over the rows
    marker: float = (
        30.0  # what a word of the lexicon adds to its label, beside what is learnt; found by sources left out
    )
    folds: int = 5  # of the grouped cross-validation that sets the calibration
    standard_share: float = 0.5  # prior probability of the standard; the other labels share the rest evenly
    false_dialect: float = 0.02  # share of trusted standard rows, in the folds, that may be told as a dialect
    sure: float = 0.5  # least probability of a label; below it a text is unsure
    piece_sure: float = 0.9  # least probability of a piece of a mixed text
    least_rows: int = 200  # rows that were not written for this purpose; a label with fewer is experimental


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and what it told about its own training rows by models that had not seen them."""

    model: LinearModel
    rows: list[Row]  # without the lexicon
    words: np.ndarray  # (n,) words of each row
    by_fold: np.ndarray  # (n, k) probabilities, from models of the other folds
    by_source: (
        np.ndarray
    )  # (n, k) probabilities, from models of the other sources; uniform where a label is unknown there


# --- rows ------------------------------------------------------------------------------------------------------------


def read_plan(path: Path, data: Path | None = None) -> list[LabelledFile]:
    """The files that a YAML plan names: a list of `LabelledFile` fields; paths are relative to the plan, or, where a
    plan says `data:`, to the folder `data`.

    Raises MashqError for an unknown field, and for `data:` without a folder.
    """
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"variety: the plan {path} is not readable as YAML: {error}") from error
    known = {one.name for one in dataclasses.fields(LabelledFile)} | {"data"}
    made = []
    for number, entry in enumerate(loaded if isinstance(loaded, list) else [loaded], 1):
        where = f"variety: {path}, entry {number}"
        if not isinstance(entry, dict):
            raise MashqError(expected_got(where, "names and values", type(entry).__name__))
        for name in entry.keys() - known:
            raise MashqError(f"{where}: there is no field '{name}' ({', '.join(sorted(known))}).{nearest(name, known)}")
        made.append(_entry(dict(entry), path.parent, data, where))
    return made


def _entry(entry: dict[str, Any], here: Path, data: Path | None, where: str) -> LabelledFile:
    if (name := entry.pop("data", None)) is not None:
        if data is None:
            raise MashqError(expected_got(where, "the folder of the published files", "none", "Give --data FOLDER."))
        entry["path"] = data / name
    elif "path" in entry:
        entry["path"] = here / entry["path"]
    if missing := {"path", "source"} - entry.keys():
        raise MashqError(expected_got(where, "a path (or data) and a source", f"no {', '.join(sorted(missing))}"))
    return LabelledFile(**entry)


def read_rows(file: LabelledFile, labels: Sequence[str] = LABELS) -> list[Row]:
    """The labelled texts of one file; those without an Arabic letter are left out.

    Raises MashqError, with row and column, for a record without text or label and for an unknown label.
    """
    if not file.path.is_file():
        raise MashqError(expected_got(f"variety: {file.path}", "a file", "none"))
    made = _of_yaml(file, labels) if file.path.suffix in (".yaml", ".yml") else _of_source(file, labels)
    pieces = [piece for row in made for piece in (_cut(row, file.share) if file.cut else [row])]
    return [row for row in pieces if folded_text(row.text)]


def _row(file: LabelledFile, text: str, label: str, group: str) -> Row:
    return Row(text, label, file.source, group, file.weight, file.written, file.trusted)


def _of_source(file: LabelledFile, labels: Sequence[str]) -> list[Row]:
    settings = SourceSettings(text_field=file.text_field, variety_field=file.label_field)
    made: list[Row] = []
    number = 0
    for table in read(file.path, settings):
        columns = (table[name].to_pylist() for name in ("text", "variety", "dropped"))
        for text, value, dropped in zip(*columns, strict=True):
            number += 1
            where = f"variety: {file.path}, row {number}"
            if dropped or not isinstance(text, str):
                raise MashqError(f"{where}: {dropped or 'no text'}. Mend the file, or leave the row out.")
            label = _known(where, file, value if file.label_field else file.label, labels)
            if label is not None:
                made.append(_row(file, text, label, _group(file, text, number)))
    return made


def _group(file: LabelledFile, text: str, number: int) -> str:
    """A story is a group; other texts are one with those of equal folded text."""
    return f"{file.path.name}:{number}" if file.cut else folded_text(text)


def _known(where: str, file: LabelledFile, value: Any, labels: Sequence[str]) -> str | None:
    """Our label of a value, None for one that is to be left out."""
    value = str(value) if value is not None else ""
    if value in file.labels:
        value = file.labels[value] or ""
        if not value:
            return None
    if value not in labels:
        column = f"column '{file.label_field}'" if file.label_field else "label"
        do = f"Map it with `labels`, to null to leave its rows out.{nearest(value, labels)}"
        raise MashqError(expected_got(f"{where}, {column}", f"one of {', '.join(labels)}", f"'{value}'", do))
    return value


def _of_yaml(file: LabelledFile, labels: Sequence[str]) -> list[Row]:
    """A lexicon (label -> words), or a list of {text, genre}: the genre is the group."""
    try:
        loaded = yaml.safe_load(file.path.read_text("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"variety: {file.path} is not readable as YAML: {error}") from error
    if file.lexicon and isinstance(loaded, dict):
        for label in loaded:
            _known(f"variety: {file.path}", dataclasses.replace(file, label=label), label, labels)
        pairs = [(label, word) for label, words in loaded.items() for word in folded_text(str(words)).split()]
        return [_row(file, word, label, word) for label, word in dict.fromkeys(pairs)]
    if not isinstance(loaded, list):
        kind = "a mapping of labels to words" if file.lexicon else "a list of {text, genre}"
        raise MashqError(expected_got(f"variety: {file.path}", kind, type(loaded).__name__))
    made = []
    for number, entry in enumerate(loaded, 1):
        where = f"variety: {file.path}, row {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise MashqError(expected_got(where, "text and genre", str(entry)[:80]))
        label = _known(where, file, file.label, labels)
        if label is not None:
            made.append(_row(file, entry["text"], label, f"genre:{entry.get('genre', '')}"))
    return made


def _cut(row: Row, share: float) -> list[Row]:
    """A story in pieces of one, one, two or four sentences, by the hash of the first; a share of them."""
    said = [part for sentence in sentences(row.text) if len((part := sentence.strip()).split()) > 1]
    made, start = [], 0
    while start < len(said):
        drawn = _drawn(said[start])
        size = (1, 1, 2, 4)[drawn % 4]
        if (drawn >> 8) % 1000 < share * 1000:
            made.append(dataclasses.replace(row, text=" ".join(said[start : start + size])))
        start += size
    return made


def _drawn(text: str) -> int:
    """A number below 2**64 that depends on a text alone."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


@functools.cache
def _names() -> re.Pattern[str]:
    """Names as whole words of a folded text, with what may be joined to them."""
    listed = yaml.safe_load(NAMES.read_text("utf-8"))["names"].split()
    return re.compile(rf"\b(?:[وف]?(?:[بلك]?ال|لل|[بلك])?)(?:{'|'.join(sorted(set(listed), key=len, reverse=True))})\b")


def without_names(text: str) -> str:
    """A text as it is counted, its names of places, peoples and public persons (data/variety/names.yaml) left out."""
    return _names().sub(" ", folded_text(text))


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
            drawn = _drawn(f"{row.label} {row.text} {turn}")
            run = said[drawn % len(said)] if said else []
            start = (drawn >> 20) % max(1, len(run) - 4)
            text = run[start : start + 1 + (drawn >> 30) % 4]
            text.insert((drawn >> 35) % (len(text) + 1), row.text)
            if (drawn >> 40) % 3:
                text.insert((drawn >> 42) % (len(text) + 1), others[row.label][(drawn >> 50) % len(others[row.label])])
            made.append(dataclasses.replace(row, text=" ".join(text), weight=row.weight / CARRIED))
    return made


def _fit(rows: Sequence[Row], columns: sparse.csr_array, settings: TrainingSettings, labels: Sequence[str]) -> _Linear:
    """One against the rest by logistic loss; every label has the same weight in total, rare groups count for more."""
    linear_model = _sklearn()
    truth = np.array([row.label for row in rows])
    weights = np.array([row.weight for row in rows])
    totals = {label: weights[truth == label].sum() for label in set(truth.tolist())}
    even = sum(totals.values()) / len(totals)
    weights = weights * np.array([even / totals[label] for label in truth.tolist()])
    seen = np.bincount(columns.indices, minlength=columns.shape[1])
    rarity = (np.log1p(len(rows) / (1 + seen)) / 4).astype(np.float32)
    scaled = sparse.csr_array((columns.data * rarity[columns.indices], columns.indices, columns.indptr), columns.shape)
    learner = linear_model.SGDClassifier(
        loss="log_loss", alpha=settings.alpha, max_iter=settings.passes, tol=None, random_state=0
    )
    learner.fit(scaled, truth, sample_weight=weights)
    coefficients = np.zeros((columns.shape[1], len(labels)), np.float32)
    intercepts = np.full(len(labels), -9.0)  # of a label that has no rows here: never the best
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
    tell: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train on the files, write `out` (model.npz), and give the model with what cross-validation said.

    Each fold leaves whole groups out (a story, a genre, texts of equal folded form), each source once all of its rows.
    The folds' scores set the calibration; among them the trusted standard rows set how much evidence a dialect needs.
    tell: called with a line of progress.

    Raises MashqError without scikit-learn, for a faulty file, and where fewer than two labels have rows.
    """
    settings = settings or TrainingSettings()
    _sklearn()
    read_in = [row for file in files for row in read_rows(file)]
    lexicon = {file.source for file in files if file.lexicon}
    rows = sorted((row for row in read_in if row.source not in lexicon), key=_order)
    words = sorted((row for row in read_in if row.source in lexicon), key=_order)
    labels = [label for label in LABELS if any(row.label == label for row in (*rows, *words))]
    if len({row.label for row in rows}) < 2:
        raise MashqError(expected_got("variety: training rows", "at least two labels", ", ".join(labels) or "no rows"))
    tell(f"{len(rows):,} rows, {len(words):,} words of a lexicon, {len(labels)} labels")
    columns = matrix([without_names(row.text) for row in rows], settings.bits)
    model_of = _Fitting(rows, words, columns, settings, labels)
    parts = folds([row.group for row in rows], settings.folds)
    by_fold = model_of.held_out(parts, tell)
    sources = np.unique([row.source for row in rows], return_inverse=True)[1]
    by_source = model_of.held_out(sources, tell) if sources.any() else by_fold
    whole = model_of(np.ones(len(rows), bool))
    truth = np.array([labels.index(row.label) for row in rows])
    counts = np.array([len(folded_text(row.text).split()) for row in rows])
    priors, softness = _calibration(by_fold, counts, truth, rows, settings, labels)
    priors = priors + _evidence(by_fold, counts, rows, priors, softness, settings, labels)
    about = _about(files, rows, settings, labels)
    model = _whole_numbers(whole, model_of.markers, priors, softness, about)
    model.save(out)
    odds = [calibrated(scores, counts, priors, softness) for scores in (by_fold, by_source)]
    return Trained(model, rows, counts, *odds)


def _order(row: Row) -> tuple[int, str, str]:
    return _drawn(row.text), row.text, row.label


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

    def held_out(self, parts: np.ndarray, tell: Callable[[str], None]) -> np.ndarray:
        """(n, k) scores of each row by a model of the other parts."""
        hashes, weights = self.markers
        texts = [row.text for row in self.rows]
        whole = matrix(texts, self.settings.bits)  # with the names: as a text is told
        made = np.asarray(marker_matrix(texts, hashes, self.settings.bits) @ weights, dtype=np.float64)
        for part in np.unique(parts):
            made[parts == part] += self(parts != part).scores(whole[np.flatnonzero(parts == part)])
            tell(f"left out part {part}: {(parts == part).sum():,} rows")
        return made


def _calibration(
    scores: np.ndarray,
    words: np.ndarray,
    truth: np.ndarray,
    rows: Sequence[Row],
    settings: TrainingSettings,
    labels: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Priors and softness of least log-loss, with the labels weighted as `standard_share` says."""
    k = len(labels)
    shares = np.full(k, 1.0 / k)
    if "msa" in labels and k > 1:
        shares[:] = (1 - settings.standard_share) / (k - 1)
        shares[labels.index("msa")] = settings.standard_share
    weights = np.array([row.weight for row in rows])
    totals = np.bincount(truth, weights, minlength=k)
    weights = weights * shares[truth] / totals[truth]

    def loss(given: np.ndarray) -> float:
        odds = calibrated(scores, words, given[2:], given[:2])
        return float(-(weights * np.log(np.maximum(odds[np.arange(len(truth)), truth], 1e-12))).sum())

    found = optimize.minimize(loss, np.zeros(2 + k), method="L-BFGS-B")
    return found.x[2:] - found.x[2:].mean(), found.x[:2]


def _evidence(
    scores: np.ndarray,
    words: np.ndarray,
    rows: Sequence[Row],
    priors: np.ndarray,
    softness: np.ndarray,
    settings: TrainingSettings,
    labels: Sequence[str],
) -> np.ndarray:
    """(k,) what is added to the standard's prior so that `false_dialect` of the trusted rows are told as a dialect."""
    added = np.zeros(len(labels))
    trusted = np.array([row.trusted and row.label == "msa" for row in rows])
    if not trusted.any():
        return added
    logits = np.log(np.maximum(calibrated(scores[trusted], words[trusted], priors, softness), 1e-300))
    standard = labels.index("msa")
    over = np.delete(logits, standard, axis=1).max(axis=1) - logits[:, standard]
    added[standard] = max(0.0, float(np.quantile(over, 1 - settings.false_dialect)))
    return added


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
