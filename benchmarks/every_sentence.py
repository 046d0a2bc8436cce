"""The every-sentence rule: what is kept, and in what time, beside scoring everything.

A text is kept where every one of its sentences reaches the threshold. Scoring everything and then looking gives the
set that must come out; mashq scores each different pair once, and of a text that has failed no more. Compared are
unbabel-comet over all pairs (where --comet-python names its Python), mashq over all different pairs, and mashq with the
short circuit, on one random-weight checkpoint, at thresholds that keep about 20 % (as paper 2) and 60 % of the texts.
The sets must be equal, or nothing is timed.

    python benchmarks/every_sentence.py --comet-python comet/bin/python --write docs/benchmarks/every_sentence.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import quality as beside
from quality import Pair, Peer
from sheet import give, machine, with_page

from mashq.memory import Memory
from mashq.mt import Output
from mashq.mt.faults import fault
from mashq.quality.comet import Comet, open_comet
from mashq.translate import Bar, Judge, Rule, Translator, verdicts

COMMAND = "python benchmarks/every_sentence.py --comet-python PATH --write docs/benchmarks/every_sentence.md"


class Given:
    """An engine that knows the translations already, so that scoring is what is timed."""

    name, identity, licence = "given", "given", ""

    def __init__(self, known: dict[str, str]):
        self.known = known

    def batches(self, sentences: Sequence[str]) -> list[list[int]]:
        return [list(range(len(sentences)))]

    def translate(self, sentences: Sequence[str]) -> list[Output]:
        return [Output(self.known[sentence]) for sentence in sentences]


def documents(count: int, repeated: float, seed: int) -> list[list[Pair]]:
    """Documents of pairs without faults, each source with one translation."""
    known: dict[str, str] = {}
    found = []
    for document in beside.documents(count, repeated, seed):
        sound = [one for one in document if fault(*one) is None and known.setdefault(*one) == one[1]]
        found.append(list(dict.fromkeys(sound)))
    return [document for document in found if document]


def kept(scorer: Comet, texts: list[list[Pair]], least: float, short: bool) -> tuple[list[bool], int]:
    """Which texts mashq keeps, and how many scores it asked for."""
    places: dict[str, int] = {}
    incidence = [
        (text, places.setdefault(source, len(places))) for text, pairs in enumerate(texts) for source, _ in pairs
    ]
    with Memory(None) as memory:
        known = dict(one for pairs in texts for one in pairs)
        judge = Judge(Translator(Given(known), memory, Bar(scorer, least)), list(places), b"bench")
        owners, sentences = (np.array(side) for side in zip(*incidence, strict=True))
        found = verdicts(judge, owners, sentences, len(texts), Rule(short_circuit=short))
    return [reason is None for reason in found.reasons], judge.spent[scorer.name]


def threshold(scores: np.ndarray, ends: np.ndarray, share: float) -> float:
    """A threshold that keeps about `share` of the texts, in the widest gap between scores near there."""
    lowest = np.sort([part.min() for part in np.split(scores, ends[:-1])])
    near = int(len(lowest) * (1 - share))
    window = np.sort(scores)[max(0, np.searchsorted(np.sort(scores), lowest[near]) - 5) :][:11]
    gap = int(np.argmax(np.diff(window)))
    return float(np.float32((window[gap] + window[gap + 1]) / 2))


def timed(repeats: int, tasks: dict[str, object]) -> dict[str, list[float]]:
    """Wall seconds of each task, taking turns."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(repeats):
        names = list(tasks) if repeat % 2 else list(reversed(tasks))
        for name in names:
            started = time.perf_counter()
            tasks[name]()  # type: ignore[operator]
            found[name].append(time.perf_counter() - started)
    return found


def rows(scorer: Comet, peer: Peer | None, repeated: float, count: int, repeats: int) -> list[str]:
    texts = documents(count, repeated, seed=3)
    flat = [one for pairs in texts for one in pairs]
    ends = np.cumsum([len(pairs) for pairs in texts])
    everything = np.array(peer.scores(flat)[2]) if peer else scorer.score(flat).astype(float)
    made = []
    for share in (0.2, 0.6):
        least = threshold(everything, ends, share)
        expected = [bool((part >= least).all()) for part in np.split(everything, ends[:-1])]
        whole, all_of_them = kept(scorer, texts, least, short=False)
        short, asked = kept(scorer, texts, least, short=True)
        if not expected == whole == short:
            raise SystemExit("every_sentence: the kept sets differ; nothing was timed")
        tasks: dict[str, object] = {"unbabel-comet": lambda: peer.scores(flat)} if peer else {}
        tasks |= {
            "all different": lambda least=least: kept(scorer, texts, least, short=False),
            "short circuit": lambda least=least: kept(scorer, texts, least, short=True),
        }
        took = timed(repeats, tasks)
        base = took.get("unbabel-comet") or took["all different"]
        for name, seconds in took.items():
            ratios = [a / b for a, b in zip(base, seconds, strict=True)]
            scored = {"unbabel-comet": len(flat), "all different": all_of_them, "short circuit": asked}[name]
            made.append(
                f"| {repeated:.0%} | {len(texts)} | {sum(expected)} ({sum(expected) / len(texts):.0%}) | {name} "
                f"| {scored:,} of {len(flat):,} | {statistics.median(seconds):.2f} "
                f"| **{statistics.median(ratios):.2f}x** | {min(ratios):.2f} to {max(ratios):.2f} |"
            )
    return made


def page(python: str | None, count: int, repeats: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MASHQ_CACHE"] = f"{folder}/cache"
        words = [*beside.ENGLISH, *beside.ARABIC]
        checkpoint = beside.small.build(Path(folder), "cometkiwi", extra_pieces=words, **beside.ENCODER)
        peer = Peer(python, checkpoint) if python else None
        scorer = open_comet(str(checkpoint))
        try:
            lines = [line for repeated in (0.0, 0.4) for line in rows(scorer, peer, repeated, count, repeats)]
        finally:
            if peer:
                peer.close()
    base = "unbabel-comet over all pairs" if python else "mashq over all different pairs (unbabel-comet not installed)"
    return "\n".join(
        [
            "# The every-sentence rule beside scoring everything",
            "",
            f"Made by `{COMMAND}`.",
            "",
            f"* Machine: {machine('torch', 'transformers', 'tokenizers')}.",
            "* Checkpoint: wmt22-cometkiwi-da's layout with random weights, "
            f"{beside.ENCODER['num_hidden_layers']} layers of {beside.ENCODER['hidden_size']}. Sentences: seeded, made "
            "by the script; texts of 1 to 8 of them. Random weights say nothing of quality; the threshold is put where "
            "it keeps about 20 % of the texts, as paper 2 did, and 60 %.",
            "* Equality, checked before timing: the kept texts are the same, all three ways.",
            f"* {repeats} repeats, taking turns; wall seconds on a shared machine; ratios to {base}, per repeat.",
            "",
            "| repeated | texts | kept | how | scored | seconds, median | faster, median | least to most |",
            "|---|---:|---:|---|---:|---:|---:|---:|",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comet-python", default=os.environ.get("MASHQ_COMET_PYTHON"))
    parser.add_argument("--documents", type=int, default=80)
    with_page(parser, repeats=7)
    asked = parser.parse_args()
    text = page(asked.comet_python, asked.documents, asked.repeats)
    give(text, asked.write)


if __name__ == "__main__":
    main()
