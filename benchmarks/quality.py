"""COMETKiwi scores beside unbabel-comet's, on one checkpoint of random weights that both read from the same files.

What is measured: seconds for the scores of every sentence pair of a set of documents. unbabel-comet gets every pair,
as `predict(batch_size=16, gpus=0)` takes them (it sorts by the source's letters); mashq scores each different pair
once, in batches of like length within a token budget. One set repeats sentences as templates and answers do, one
repeats none: the second shows what is left without repetition. Scores are compared first; where they differ by more
than 1e-5 nothing is timed. Then the two take turns, one running while the other waits, each in its own environment.
CPU seconds (all threads of the process) are what ratios are made of, because the machine is shared; wall seconds stand
beside them.
Where MASHQ_COMET_PYTHON or --comet-python names no Python with unbabel-comet 2.2.7, its columns say "not installed".

    python3.11 -m venv comet && comet/bin/pip install unbabel-comet==2.2.7 'transformers<5' 'numpy<2' \\
        'sentencepiece<0.2.2' 'setuptools<81'
    python benchmarks/quality.py --comet-python comet/bin/python --write docs/benchmarks/quality.md
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "quality"))
import comet_checkpoints as small  # noqa: E402
from sheet import check_repeats, give, machine, with_page  # noqa: E402

from mashq.quality.comet import CPU_TOKENS, Comet, open_comet  # noqa: E402

COMMAND = "python benchmarks/quality.py --comet-python PATH --write docs/benchmarks/quality.md"
TOLERANCE = 1e-5
# Six layers of multilingual-MiniLM's width: large enough that the encoder decides the time, small enough for two cores.
ENCODER = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 514,
}
ENGLISH = ["the", "boy", "girl", "teacher", "letter", "city", "asked", "wrote", "answered", "house", "water", "why"]
ARABIC = ["الولد", "البنت", "المعلم", "رسالة", "مدينة", "سأل", "كتب", "أجاب", "بيت", "ماء", "لماذا", "في"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Timing:
    """CPU and wall seconds of one repeat, in the order they ran."""

    cpu: list[float]
    wall: list[float]


def documents(count: int, repeated: float, seed: int) -> list[list[Pair]]:
    """`count` documents of 1 to 8 sentence pairs; `repeated` is the chance that a pair is one of 20 known ones.

    Lengths are log-normal, median 9 words, as those of questions, answers and passages are.
    """
    generator = random.Random(seed)
    known = [pair(generator) for _ in range(20)]
    return [
        [generator.choice(known) if generator.random() < repeated else pair(generator) for _ in range(size)]
        for size in (generator.randint(1, 8) for _ in range(count))
    ]


def pair(generator: random.Random) -> Pair:
    """A sentence and one of about its length in the other language."""
    words = min(60, max(2, round(generator.lognormvariate(2.2, 0.6))))
    other = max(1, round(words * generator.uniform(0.7, 1.0)))
    return " ".join(generator.choices(ENGLISH, k=words)) + ".", " ".join(generator.choices(ARABIC, k=other)) + "."


def score_documents(scorer: Comet, texts: Sequence[Sequence[Pair]]) -> list[list[float]]:
    """The scores of every document's pairs. The place for a rule that stops at a document's first bad sentence."""
    flat = scorer.score([one for text in texts for one in text]).tolist()
    ends = np.cumsum([len(text) for text in texts]).tolist()
    return [flat[end - len(text) : end] for text, end in zip(texts, ends, strict=True)]


# --- unbabel-comet, in a process of its own --------------------------------------------------------------------------

PEER = """
import json, os, sys, time, warnings
warnings.filterwarnings("ignore")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # Lightning prints to standard output
import comet
from importlib.metadata import version
model = comet.load_from_checkpoint(sys.argv[1], local_files_only=True)
versions = {name: version(name) for name in ("unbabel-comet", "transformers", "torch")}
print(json.dumps(versions), file=answers, flush=True)
for line in sys.stdin:
    samples = [{"src": source, "mt": translation} for source, translation in json.loads(line)]
    cpu, wall = time.process_time(), time.perf_counter()
    scores = model.predict(samples, batch_size=16, gpus=0, progress_bar=False).scores
    took = [time.process_time() - cpu, time.perf_counter() - wall]
    print(json.dumps([*took, scores]), file=answers, flush=True)
"""


class Peer:
    """unbabel-comet with the checkpoint loaded, waiting for pairs."""

    def __init__(self, python: str, checkpoint: Path):
        self.process = subprocess.Popen(
            [python, "-c", PEER, str(checkpoint / "checkpoints" / "model.ckpt")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        self.versions: dict[str, str] = json.loads(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("quality: unbabel-comet did not start or died; run its Python by hand: import comet")
        return line

    def scores(self, pairs: Sequence[Pair]) -> tuple[float, float, list[float]]:
        """CPU seconds, wall seconds and scores of one `predict`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(pairs) + "\n")
        self.process.stdin.flush()
        cpu, wall, scores = json.loads(self._line())
        return cpu, wall, scores

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


# --- timing ----------------------------------------------------------------------------------------------------------


def timed(task: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    task()
    return time.process_time() - cpu, time.perf_counter() - wall


def interleaved(peer: Peer | None, scorer: Comet, texts: list[list[Pair]], repeats: int) -> tuple[Timing, Timing]:
    """(theirs, ours), in turn; which one begins changes with every repeat."""
    flat = [one for text in texts for one in text]
    sides: tuple[Timing, Timing] = (Timing([], []), Timing([], []))
    for repeat in range(repeats):
        for side in (repeat % 2, 1 - repeat % 2):
            if side == 0 and peer is None:
                continue
            cpu, wall = peer.scores(flat)[:2] if side == 0 and peer else timed(lambda: score_documents(scorer, texts))
            sides[side].cpu.append(cpu)
            sides[side].wall.append(wall)
    return sides


def largest_difference(peer: Peer, scorer: Comet, texts: list[list[Pair]]) -> float:
    """Over every pair; also the warm-up of both."""
    flat = [one for text in texts for one in text]
    return float(np.abs(np.array(peer.scores(flat)[2]) - scorer.score(flat)).max())


# --- the page --------------------------------------------------------------------------------------------------------


def row(name: str, texts: list[list[Pair]], sides: tuple[Timing, Timing]) -> str:
    """A table row: pairs, different ones, CPU seconds of both, ratio and its spread, ratio of wall seconds."""
    flat = [one for text in texts for one in text]
    theirs, ours = sides
    start = f"| {name} | {len(flat):,} | {len(set(flat)):,} "
    if not theirs.cpu:
        return f"{start}| not installed | {statistics.median(ours.cpu):.2f} | | | |"
    ratios = [a / b for a, b in zip(theirs.cpu, ours.cpu, strict=True)]
    walls = [a / b for a, b in zip(theirs.wall, ours.wall, strict=True)]
    first, _, third = statistics.quantiles(ratios, n=4)
    return (
        f"{start}| {statistics.median(theirs.cpu):.2f} | {statistics.median(ours.cpu):.2f} "
        f"| **{statistics.median(ratios):.2f}x** | {first:.2f} to {third:.2f}, least {min(ratios):.2f} "
        f"| {statistics.median(walls):.2f}x |"
    )


def page(python: str | None, repeats: int, count: int) -> str:
    """The whole page in Markdown. Raises SystemExit where the two do not agree: then no time means anything."""
    sets = {"40 % repeated": documents(count, 0.4, seed=1), "none repeated": documents(count, 0.0, seed=2)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MASHQ_CACHE"] = f"{folder}/cache"
        checkpoint = small.build(Path(folder), "cometkiwi", extra_pieces=[*ENGLISH, *ARABIC], **ENCODER)
        peer = Peer(python, checkpoint) if python else None
        scorer = open_comet(str(checkpoint))
        largest, lines = 0.0, []
        try:
            for name, texts in sets.items():
                if peer:
                    largest = max(largest, largest_difference(peer, scorer, texts))
                    if largest > TOLERANCE:
                        raise SystemExit(f"quality: the two disagree by {largest:g} on '{name}'; nothing was timed")
                lines.append(row(name, texts, interleaved(peer, scorer, texts, repeats)))
        finally:
            if peer:
                peer.close()
    return written(lines, peer.versions if peer else {}, largest, repeats)


def written(lines: list[str], versions: dict[str, str], largest: float, repeats: int) -> str:
    """The page around the rows."""
    theirs = ", ".join(f"{name} {number}" for name, number in versions.items()) or "not installed"
    equality = f"**{largest:.1e}**" if versions else "not checked, unbabel-comet is not installed"
    return "\n".join(
        [
            "# COMETKiwi beside unbabel-comet",
            "",
            f"Made by `{COMMAND}`.",
            "",
            f"* Machine: {machine('torch', 'transformers', 'tokenizers')}. The other side: {theirs}.",
            "* Checkpoint: the layout of wmt22-cometkiwi-da with random weights, "
            f"{ENCODER['num_hidden_layers']} layers of {ENCODER['hidden_size']}, float32, read by both from the same "
            "files. The published one has 24 layers of 1024: more of its time goes into the encoder.",
            "* Sentences: seeded, made by the script, log-normal lengths with a median of 9 words, 60 at most.",
            "* unbabel-comet scores every pair (`predict(batch_size=16, gpus=0)`, sorted by the source's letters); "
            "mashq scores each different pair once, sorted by tokens, "
            f"in batches of at most {CPU_TOKENS:,}.",
            f"* {repeats} interleaved repeats after a warm-up. Ratios are of CPU seconds, all threads counted.",
            f"* Equality, checked before timing: largest difference of a score {equality}.",
            "",
            "| sentences | pairs | different | unbabel-comet, CPU s | mashq, CPU s | less time, median | middle half "
            "| wall, median |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *lines,
            "",
            "Without repetition the encoder is left, the same arithmetic on both sides; what differs there is padding "
            "and what stands around it.",
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="COMETKiwi beside unbabel-comet")
    parser.add_argument("--comet-python", default=os.environ.get("MASHQ_COMET_PYTHON"), help="has unbabel-comet 2.2.7")
    parser.add_argument("--documents", type=int, default=60, help="documents in a set (default 60)")
    with_page(parser)
    options = parser.parse_args()
    check_repeats(parser, options.repeats)
    text = page(options.comet_python, options.repeats, options.documents)
    give(text, options.write)


if __name__ == "__main__":
    main()
