"""How well the shipped model tells varieties, and what it does to plain and old standard Arabic.

    MASHQ_DATA=FOLDER python benchmarks/variety.py
    MASHQ_DATA=FOLDER python benchmarks/variety.py --write docs/benchmarks/variety.md

Trains the shipped model anew (about a minute of CPU), which gives what models that had not seen a row said of it: by
folds that leave whole groups out, and with each source left out as a whole. The guard is standard Arabic of which no
row is trained on; its first half was looked at while the threshold was chosen, the second half was not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from sheet import give, machine

from mashq.rows import file_hash
from mashq.sentences import sentences
from mashq.variety import MIXED, UNSURE, Teller, open_teller
from mashq.variety.features import folded_text
from mashq.variety.model import LinearModel
from mashq.variety.teller import MODEL
from mashq.variety_training import PLAN, Trained, TrainingSettings, read_plan, train
from mashq.variety_validation import LENGTHS, Measured, calibration_error, confusion, gain, length_band, measured

DATA = Path(__file__).parent.parent / "mashq" / "data"
OTHERS = ("sudanese", "yemeni")
GUARDS = (0.97, 0.985)  # shares of the guard that are not to be told as a dialect; 0.97 is what mashq asks for
Table = Iterator[str]


@dataclass(frozen=True)
class Guarded:
    """One text of the guard."""

    text: str
    source: str

    @property
    def seen(self) -> bool:
        """Whether it was looked at while the threshold was chosen."""
        return hashlib.blake2b(self.text.encode(), digest_size=6).digest()[-1] % 2 == 0


def guard(data: Path) -> list[Guarded]:
    """Standard Arabic that no row of training comes from: news, encyclopedia, questions, exams, old texts."""
    found = [
        Guarded(line.split("\t")[1], "NTREX, news")
        for line in (data / "ntrex_en_ar.tsv").read_text("utf-8").splitlines()[1:]
    ]
    for file, name in (("xquad.ar.json", "XQuAD"), ("arcd_train.json", "ARCD")):
        for article in json.loads((data / file).read_text("utf-8"))["data"]:
            for part in article["paragraphs"]:
                found += [Guarded(sentence, f"{name}, contexts") for sentence in sentences(part["context"])]
                found += [Guarded(one["question"], f"{name}, questions") for one in part["qas"]]
    for line in (data / "exams_ar.jsonl").read_text("utf-8").splitlines():
        found.append(Guarded(json.loads(line)["question"]["stem"], "EXAMS, questions"))
    for one in yaml.safe_load((DATA / "variety" / "sentences" / "classical.yaml").read_text("utf-8")):
        found.append(Guarded(one["text"], f"classical {one['genre']} (written down for this)"))
    return [one for one in dict.fromkeys(found) if folded_text(one.text)]


# --- what it is measured against --------------------------------------------------------------------------------------


def lexicon_words(labels: Sequence[str]) -> dict[str, set[str]]:
    """The marker words of data/variety/lexicon.yaml and data/dialogues/varieties.yaml, in the order of the labels."""
    words = {
        label: set(str(listed).split())
        for label, listed in yaml.safe_load((DATA / "variety" / "lexicon.yaml").read_text("utf-8")).items()
    }
    for label, about in yaml.safe_load((DATA / "dialogues" / "varieties.yaml").read_text("utf-8")).items():
        words.setdefault(label, set()).update(about["markers"])
    return {label: words[label] for label in labels}


def lexicon(labels: Sequence[str]) -> Callable[[str], str]:
    """The label with most of its marker words in a text; the standard where none has one, or it has more."""
    words = lexicon_words(labels)
    dialects = [label for label in labels if label != "msa"]

    def told(text: str) -> str:
        said = folded_text(text).split()
        counts = {label: sum(word in words[label] for word in said) for label in labels}
        best = max(dialects, key=lambda label: counts[label])
        return best if counts[best] and counts[best] >= counts["msa"] else "msa"

    return told


# --- the page ---------------------------------------------------------------------------------------------------------


def share(value: float) -> str:
    return f"{value:.3f}"


def interval(value: float, ends: tuple[float, float]) -> str:
    return f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


def scores(found: Measured) -> str:
    accuracy = interval(found.accuracy, found.accuracy_interval)
    return f"{accuracy} | {interval(found.macro_f1, found.macro_f1_interval)}"


def lexicon_evidence(texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """(n, k) marker words of each label over the root of the number of words: the lexicon with a threshold to set.

    Of four such measures (number, share, number less the standard's, and that over the root of the words) this one kept
    most macro-F1 at a guard of 0.97.
    """
    words = list(lexicon_words(labels).values())
    said = [folded_text(text).split() for text in texts]
    counts = np.array([[sum(word in listed for word in one) for listed in words] for one in said], dtype=float)
    return counts / np.sqrt([[max(len(one), 1)] for one in said])


def over_standard(evidence: np.ndarray, standard: int) -> np.ndarray:
    """(n,) the evidence of the best dialect less that of the standard."""
    return np.asarray(np.delete(evidence, standard, axis=1).max(axis=1) - evidence[:, standard])


def held(evidence: np.ndarray, least: float, standard: int) -> np.ndarray:
    """The best dialect where its evidence is more than `least` above the standard's, else the standard."""
    dialects = evidence.copy()
    dialects[:, standard] = -np.inf
    return np.where(over_standard(evidence, standard) > least, dialects.argmax(axis=1), standard)


def at_guard(made: Trained, texts: Sequence[Guarded]) -> Table:
    """Model and lexicon held to the same guard, on each source by what was trained without it.

    The evidence that a dialect needs is set on the first half of the guard, for both in the same way.
    """
    labels = list(made.model.labels)
    standard, seen = labels.index("msa"), np.array([one.seen for one in texts])
    truth, source, groups = columns(made)
    said = lexicon_evidence([row.text for row in made.rows], labels)
    said_guard = lexicon_evidence([one.text for one in texts], labels)
    yield "| rows | told by | guard: looked at | guard: **not looked at** | accuracy | macro-F1 | model less lexicon |"
    yield "|---|---|---:|---:|---|---|---|"
    for name, model in made.without.items():
        at = np.flatnonzero(source == name)
        model_guard = log_odds(model, [one.text for one in texts])
        pairs = {
            "**model**": (log_odds(model, [made.rows[place].text for place in at]), model_guard),
            "lexicon": (said[at], said_guard),
        }
        its_groups = [groups[place] for place in at]
        for target in GUARDS:
            told, cells = [], []
            for contender, (evidence, on_guard) in pairs.items():
                over = over_standard(on_guard, standard)
                least = float(np.quantile(over[seen], target, method="higher"))
                told.append(held(evidence, least, standard))
                kept = [share(float((over[half] <= least).mean())) for half in (seen, ~seen)]
                found = measured(truth[at], told[-1], its_groups, len(labels))
                cells.append(f"{name} | {contender}, held at {target} | {' | '.join(kept)} | {scores(found)}")
            more = interval(*gain(truth[at], told[0], told[1], its_groups, len(labels)))
            yield f"| {cells[0]} | {more} |"
            yield f"| {cells[1]} | |"


def log_odds(model: LinearModel, texts: Sequence[str]) -> np.ndarray:
    return np.log(np.maximum(model.probabilities(texts)[0], 1e-300))


def against(made: Trained) -> Table:
    """Model, lexicon and majority, by source, in folds and with the source left out."""
    labels = list(made.model.labels)
    truth, source, groups = columns(made)
    by_words = lexicon(labels)
    said = np.array([labels.index(by_words(row.text)) for row in made.rows])
    yield "| rows | told by | accuracy | macro-F1 | standard told as a dialect |"
    yield "|---|---|---|---|---:|"
    for name in sorted(set(source)):
        mask = source == name
        majority = np.full(len(truth), np.bincount(truth[mask]).argmax())
        contenders = {
            "**model**, groups left out": made.by_fold.argmax(axis=1),
            "**model**, whole source left out": made.by_source.argmax(axis=1),
            "lexicon": said,
            "majority": majority,
        }
        for contender, told in contenders.items():
            yield line(name, contender, truth[mask], told[mask], [groups[at] for at in np.flatnonzero(mask)], labels)


def line(name: str, contender: str, truth: np.ndarray, told: np.ndarray, groups: list[str], labels: list[str]) -> str:
    found: Measured = measured(truth, told, groups, len(labels))
    standard = truth == labels.index("msa")
    false = share(float((told[standard] != labels.index("msa")).mean())) if standard.any() else "-"
    first = f"{name}, {found.rows:,} in {found.groups:,} groups"
    return f"| {first} | {contender} | {scores(found)} | {false} |"


def columns(made: Trained) -> tuple[np.ndarray, np.ndarray, list[str]]:
    labels = list(made.model.labels)
    truth = np.array([labels.index(row.label) for row in made.rows])
    return truth, np.array([row.source for row in made.rows]), [row.group for row in made.rows]


def per_label(made: Trained) -> Table:
    labels = list(made.model.labels)
    truth, source, _ = columns(made)
    names = sorted(set(source))
    yield "| label | " + " | ".join(f"{name}, folds | {name}, left out" for name in names) + " |"
    yield "|---|" + "---:|---:|" * len(names)
    for place, label in enumerate(labels):
        cells = []
        for name in names:
            for odds in (made.by_fold, made.by_source):
                mask = source == name
                table = confusion(truth[mask], odds[mask].argmax(axis=1), len(labels))
                rows, score = (
                    table[place].sum(),
                    2 * table[place, place] / max(table[place].sum() + table[:, place].sum(), 1),
                )
                cells.append(f"{score:.2f}" if rows else "-")
        mark = " (experimental)" if label in made.model.about["experimental"] else ""
        yield f"| {label}{mark} | " + " | ".join(cells) + " |"


def confusions(made: Trained) -> Table:
    labels = list(made.model.labels)
    truth, _, _ = columns(made)
    table = confusion(truth, made.by_fold.argmax(axis=1), len(labels))
    yield "| is \\ told as | " + " | ".join(labels) + " |"
    yield "|---|" + "---:|" * len(labels)
    for label, row in zip(labels, table, strict=True):
        yield f"| {label} | " + " | ".join(f"{count:,}" for count in row) + " |"


def by_length(made: Trained) -> Table:
    labels = list(made.model.labels)
    truth, _, groups = columns(made)
    about = made.model.about
    bands = np.array([length_band(int(count)) for count in made.words])
    yield "| words | rows | accuracy | macro-F1 | unsure | calibration error |"
    yield "|---|---:|---|---|---:|---:|"
    for band in LENGTHS:
        mask = bands == band
        odds = made.by_fold[mask]
        found = measured(truth[mask], odds.argmax(axis=1), [groups[at] for at in np.flatnonzero(mask)], len(labels))
        least = np.where(odds.argmax(axis=1) == labels.index("msa"), about["sure_standard"], about["sure"])
        unsure = float((odds.max(axis=1) < least).mean())
        error, _ = calibration_error(odds, truth[mask])
        yield f"| {band} | {found.rows:,} | {scores(found)} | {share(unsure)} | {share(error)} |"


def guarded(teller: Teller, texts: Sequence[Guarded]) -> Table:
    told = teller.tell([one.text for one in texts])
    by_words = lexicon(list(teller.labels))
    words = [by_words(one.text) for one in texts]
    yield "| guard | half | texts | called msa | most likely msa | unsure | mixed | a dialect | lexicon calls msa |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for source in [*dict.fromkeys(one.source for one in texts), None]:
        for seen in (True, False):
            at = [n for n, one in enumerate(texts) if source in (None, one.source) and one.seen == seen]
            said = Counter(told.labels[n] for n in at)
            likely = sum(told.best[n] == "msa" for n in at) / len(at)
            named = [said["msa"], said[UNSURE], said[MIXED], len(at) - said["msa"] - said[UNSURE] - said[MIXED]]
            called, *rest = (share(count / len(at)) for count in named)
            lexical = share(sum(words[n] == "msa" for n in at) / len(at))
            half = "looked at" if seen else "**not looked at**"
            cells = [source or "**all**", half, f"{len(at):,}", called, share(likely), *rest, lexical]
            yield f"| {' | '.join(cells)} |"


def reliability(made: Trained) -> Table:
    truth, source, _ = columns(made)
    yield "| rows | models | calibration error | said, right, rows in each tenth |"
    yield "|---|---|---:|---|"
    for name in sorted(set(source)):
        for kind, odds in (("groups left out", made.by_fold), ("source left out", made.by_source)):
            error, bins = calibration_error(odds[source == name], truth[source == name])
            shown = "; ".join(f"{said:.2f} {right:.2f} {rows:,}" for said, right, rows in bins)
            yield f"| {name} | {kind} | {share(error)} | {shown} |"


def other_varieties(teller: Teller) -> Table:
    """What the model makes of varieties that it has no label for."""
    for name in OTHERS:
        file = DATA / "variety" / "sentences" / f"{name}.yaml"
        labels = teller.tell([one["text"] for one in yaml.safe_load(file.read_text("utf-8"))]).labels
        shares = [f"{label} {share(count / len(labels))}" for label, count in Counter(labels).most_common()]
        yield f"* {name}, {len(labels)} written sentences: {', '.join(shares)}"


def speed(teller: Teller, texts: list[str]) -> Table:
    """Texts a second of CPU, one process; the middle of seven."""
    said = (texts * (20_000 // len(texts) + 1))[:20_000]
    rates = []
    for _ in range(7):
        begun = time.process_time()
        teller.tell(said)
        rates.append(len(said) / (time.process_time() - begun))
    size = sum(map(len, said)) / len(said)
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    yield f"* {sorted(rates)[3]:,.0f} tweets a second of CPU ({spread}), {size:.0f} characters each on average."
    yield f"* {MODEL.stat().st_size / 1e6:.2f} MB, BLAKE2b {file_hash(MODEL)}."


NOTES = (
    "* The best label is counted, unsure or not. Intervals: 95 %, bootstrap over groups. Macro-F1 is the mean "
    "over the labels that the rows have.",
    "* Tweets: ArSarcasm-v2, train; one noisy label each. Stories: AraStories, written by GPT-4; the Moroccan "
    "ones hold many standard sentences. Written: sentences by mashq's authors; experimental labels have no "
    "others.",
    "* At the same guard: a model trained without the source, and the lexicon, each with the evidence that a "
    "dialect needs set on the first half of the guard, so that this share of it is not told as a dialect. The "
    "lexicon is the strongest of four forms tried: marker words of the dialect less those of the standard, over "
    "the root of the words. The free lexicon beneath has no such limit: it calls many a plain standard sentence a"
    " dialect.",
    "* In the other tables a model decides by the evidence that it set itself, on trusted standard rows of folds."
    " Without the stories few of those are left, and it asks for more than it needs.",
    "* What was found with sources left out (one choice for all three, on these same rows): the strength of the "
    "penalty, which groups of letters are counted, the weight of the lexicon's words, one prior for all dialects."
    " The lexicon's dialect words were cleared of most that three of the standard stories hold: it knows that "
    "source a little, and the model too.",
    "* Settings were chosen on the first half of the guard. Two things about the second half were known before: "
    "that `msa` needs a probability of 0.35 and a dialect 0.5 was decided when an older model had been seen on "
    "both halves, and its share over all sources was printed during the search, but nothing was chosen by it.",
)


def page(data: Path) -> str:
    shipped = open_teller()
    assert hasattr(shipped, "model")
    about = shipped.model.about
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.npz"
        settings = TrainingSettings(name=about["name"], date=about["date"])
        made = train(read_plan(PLAN, data), out, settings)
        same = "equal" if file_hash(out) == file_hash(MODEL) else "NOT equal: data or code changed since"
    guarding = guard(data)
    tweets = [row.text for row in made.rows if row.source == "tweets"]
    sections: list[tuple[str, Table]] = [
        ("Against the lexicon at the same guard, each source left out as a whole", at_guard(made, guarding)),
        ("Against the free lexicon and the majority", against(made)),
        ("F1 of each label", per_label(made)),
        ("Standard Arabic must stay standard: the guard", guarded(shipped, guarding)),
        ("By length (groups left out)", by_length(made)),
        ("Confusions (groups left out, all sources)", confusions(made)),
        ("Calibration", reliability(made)),
        ("Varieties without a label", other_varieties(shipped)),
        ("Speed and size", speed(shipped, tweets)),
    ]
    counted = "; ".join(
        f"{name}: " + ", ".join(f"{label} {count:,}" for label, count in counts.items())
        for name, counts in about["rows"].items()
    )
    head = [
        "# Telling varieties of Arabic",
        "",
        "Made by `MASHQ_DATA=FOLDER python benchmarks/variety.py --write docs/benchmarks/variety.md`.",
        "",
        f"* Machine: {machine('scikit-learn', 'numpy', 'scipy', used='one used')}; other work ran beside it.",
        f"* Model `{shipped.identity}`, {about['date']}, licence {about['licence']}; trained anew here: {same}.",
        *NOTES,
        f"* Rows of training: {counted}.",
        "",
        "| file | licence | BLAKE2b |",
        "|---|---|---|",
        *(f"| {one['file']} | {one['licence']} | `{one['blake2b']}` |" for one in about["data"]),
        "",
    ]
    return "\n".join([*head, *(text for title, lines in sections for text in (f"## {title}", "", *lines, ""))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    given = parser.parse_args()
    if not os.environ.get("MASHQ_DATA"):
        parser.error("MASHQ_DATA does not name the folder of the published files")
    give(page(Path(os.environ["MASHQ_DATA"])), given.write)


if __name__ == "__main__":
    main()
