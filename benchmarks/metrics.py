"""Metrics on Arabic beside the packages that others use: what each says, then equal numbers, then speed and memory.

    python -m venv peers
    peers/bin/pip install -e '.[train]' rouge-score==0.1.2 rapidrouge==0.2.0 rouge-score-rs==0.2.1 rouge==1.0.1 \\
        rouge-chinese==1.0.3 jieba multilingual-rouge==0.0.1 pyonmttok torchmetrics bert-score==0.3.13 evaluate
    python benchmarks/metrics.py --peers peers/bin/python --write docs/benchmarks/metrics.md

Every contender runs in a process of its own (`metrics_peer.py`), on one core, with the same texts: it runs once to warm
up and to give its scores, and where these are not equal to ours nothing is timed. Then they take turns. Times are CPU
seconds of the contender's process, without loading. Memory is the process's peak, before and after the first run. A
package that is not installed or refuses is shown with what it said.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bertscore_models
import rouge_texts
from sheet import check_repeats, give, machine, with_page

from mashq.metrics.profile import ARABIC
from mashq.rows import MashqError, expected_got

COMMAND = "python benchmarks/metrics.py --peers PYTHON --write docs/benchmarks/metrics.md"
PEER = Path(__file__).with_name("metrics_peer.py")
SAID = ("rouge_score, default", "rapidrouge, default", "rouge-score-rs, UnicodeTokenizer", "rouge")
SAID += ("rouge_chinese + jieba", "multilingual_rouge", "torchmetrics", "evaluate", "mashq")
STRINGS = ("rouge_score", "rapidrouge", "rouge-score-rs", "mashq")
KERNELS = ("rouge_score, kernel", "mashq, kernel")
BERT = ("bert_score", "torchmetrics, bertscore", "mashq, bertscore")
FORWARD = "the encoder alone"
ALONE = "torchmetrics, pair by pair"
# Not held to equality: torchmetrics 1.9.0 puts sorted texts back by the order it sorted them in instead of its inverse,
# so replies meet other items' references (its issue 2728), and it leaves the framing tokens out of the matching, where
# bert_score gives them no weight but lets others match them. The encoder alone gives no score.
DIFFERENT = ("torchmetrics, bertscore", ALONE, FORWARD)
LOOPS = {"mashq": 5, "rapidrouge": 5, "rouge-score-rs": 5, "mashq, kernel": 50}  # runs a repeat, for the clock
EQUAL = {"rouge": 1e-12, "bertscore": 1e-6}  # the largest difference that passes for equal
GOALS = {"strings": 15, "kernel": 100, "bertscore": 3}  # times as fast, at 60 words
MEMORY_PAIRS = 5_000
WIDE_PAIRS = 40
SYSTEMS = (1, 2, 5)  # paper 4 compares five
# (family, layer, pairs, whether bert_score gets a pair at a time): random models of 64 dimensions and 4 layers
SMALL_MODELS = (("bert", 1, 200, False), ("bert", 3, 200, False), ("roberta", 2, 200, False), ("gemma3", 1, 30, True))
SMALL_MODELS += (("llama", 2, 30, True),)


class Contender:
    """One contender in its process, and what it said first."""

    def __init__(self, python: str, name: str, job: Path):
        self.name = name
        alone = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [str(Path(shutil.which(python) or python).absolute()), "-P", str(PEER), name, str(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **alone, "TRANSFORMERS_VERBOSITY": "error"},
            cwd=job.parent,
        )

    def answer(self) -> dict[str, Any]:
        """The next line it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"refused": f"it ended with status {self.process.wait()}"}

    def seconds(self) -> float:
        """CPU seconds of one run."""
        assert self.process.stdin is not None
        print(LOOPS.get(self.name, 1), file=self.process.stdin, flush=True)
        return float(self.answer()["seconds"])

    def end(self) -> None:
        """Let it go; a second time does nothing."""
        if self.process.returncode is None:
            self.process.communicate()


@dataclass(frozen=True)
class Told:
    """What one contender said: its scores, its memory, and its CPU seconds in every repeat."""

    version: str
    found: list[list[float]]  # [P, R, F] of each pair
    before: float  # peak MB once loaded
    peak: float  # and after the first run
    seconds: list[float]
    refused: str = ""


def contest(python: str, names: Sequence[str], job: Mapping[str, Any], repeats: int, equal: float) -> dict[str, Told]:
    """Every contender on one job; each is compared with ours, the last of `names`, before any is timed.

    Raises MashqError where scores differ by more than `equal`, and where ours refuses.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), "utf-8")
        # Memory alone is measured one after the other; for times all stay, so that they can take turns.
        running, firsts = [], {}
        for name in names:
            one = Contender(python, name, file)
            stack.callback(one.end)
            firsts[name] = one.answer()
            running.append(one)
            if not repeats:
                one.end()
        check_equal(firsts, names[-1], equal)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(repeats):
            for one in running:
                if "found" in firsts[one.name]:
                    seconds[one.name].append(one.seconds())
    return {name: told(first, seconds[name]) for name, first in firsts.items()}


def check_equal(firsts: Mapping[str, Mapping[str, Any]], ours: str, equal: float) -> None:
    """Raise MashqError unless every contender that answered gave our scores."""
    if "refused" in firsts[ours]:
        raise MashqError(expected_got(f"metrics: {ours}", "scores", firsts[ours]["refused"]))
    for name, first in firsts.items():
        alike = "found" in first and name not in DIFFERENT
        apart = difference(first["found"], firsts[ours]["found"]) if alike else 0.0
        if apart > equal:
            raise MashqError(
                expected_got(f"{name} against mashq", f"a difference of at most {equal:g}", f"{apart:.1e}")
            )


def told(first: Mapping[str, Any], seconds: list[float]) -> Told:
    """A contender's first answer and its times."""
    if "refused" in first:
        return Told("", [], 0, 0, [], str(first["refused"]))
    return Told(first["ready"], first["found"], first["before"], first["peak"], seconds)


def difference(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """The largest difference of precision, recall or F over all pairs."""
    return max(abs(a - b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True))


def ratios(slow: Told, fast: Told) -> list[float]:
    """How many times as fast, by repeat."""
    return [one / other for one, other in zip(slow.seconds, fast.seconds, strict=True)]


# --- the page's parts ------------------------------------------------------------------------------------------------


def validity(python: str) -> list[str]:
    """What each says about pairs whose score is known."""
    cases = rouge_texts.cases()
    job = {"replies": [one.reply for one in cases], "references": [one.reference for one in cases]}
    said = contest(python, SAID, job, 0, math.inf)
    names = [name for name in SAID if not said[name].refused]
    lines = [f"| case | must be | {' | '.join(names)} |", "|---|---:|" + "---:|" * len(names)]
    for place, case in enumerate(cases):
        values = [said[name].found[place][2] for name in names]
        lines.append(f"| {case.name} | {case.must} | {' | '.join(cell(case, value) for value in values)} |")
    right = [sum(case.holds(one[2]) for case, one in zip(cases, said[name].found, strict=True)) for name in names]
    lines.append(f"| **right** | {len(cases)} | {' | '.join(f'**{count}**' for count in right)} |")
    refused = [f"* {name}: `{without_folders(one.refused)}`" for name, one in said.items() if one.refused]
    versions = ", ".join(f"{name} {said[name].version}" for name in names)
    return [*lines, "", f"Versions: {versions}.", *(["", "Not in the table:", "", *refused] if refused else [])]


def without_folders(said: str) -> str:
    """The first line of an error, with files named without the folders of whoever ran it."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\"]+/)+", "", said.splitlines()[0])[:300]


def cell(case: rouge_texts.Case, value: float) -> str:
    """A score, in bold where it is wrong."""
    shown = "stops" if math.isnan(value) else f"{value:.3f}"
    return shown if case.holds(value) else f"**{shown}**"


def rouge_speed(python: str, names: Sequence[str], repeats: int) -> list[str]:
    """Table lines: rates by number of words, and how many times as fast as rouge_score ours is."""
    shown = [name.removesuffix(", kernel") for name in names]
    lines = [
        f"| words | largest difference | {', pairs/s | '.join(shown)}, pairs/s | rouge_score / mashq | all repeats |"
    ]
    lines.append("|---:|---:|" + "---:|" * (len(names) + 2))
    for words, count in rouge_texts.SIZES.items():
        replies, references = rouge_texts.pairs(words, count, seed=words)
        found = contest(python, names, {"replies": replies, "references": references}, repeats, EQUAL["rouge"])
        ours = found[names[-1]]
        apart = max(difference(one.found, ours.found) for one in found.values() if one.found)
        rates = [
            f"{count / statistics.median(one.seconds):,.0f}" if one.seconds else "not installed"
            for one in found.values()
        ]
        times = ratios(found[names[0]], ours) if found[names[0]].seconds else [math.nan]
        spread = f"{min(times):.0f} to {max(times):.0f}"
        lines.append(
            f"| {words} | {apart:.0e} | {' | '.join(rates)} | **{statistics.median(times):.0f}x** | {spread} |"
        )
    return lines


def rouge_memory(python: str) -> list[str]:
    """Table lines: peak memory of each contender on many pairs of 60 words."""
    replies, references = rouge_texts.pairs(60, MEMORY_PAIRS, seed=1)
    found = contest(python, STRINGS, {"replies": replies, "references": references}, 0, EQUAL["rouge"])
    return ["| contender | MB once loaded | MB at its peak |", "|---|---:|---:|", *map(memory, found.items())]


def memory(item: tuple[str, Told]) -> str:
    """A table row."""
    name, one = item
    return f"| {name} | not installed | - |" if one.refused else f"| {name} | {one.before:,.0f} | {one.peak:,.0f} |"


def bert_rows(python: str, repeats: int) -> list[str]:
    """Table lines: equality and speed on small random models."""
    lines = [
        "| model | layer | idf | pairs | bert_score differs by | torchmetrics differs by | pair by pair by "
        "| bert_score, times our CPU seconds | torchmetrics, times |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as place:
        for family, layer, pairs, alone in SMALL_MODELS:
            folder = bertscore_models.model(Path(place) / family, family)
            for idf in (False, True):
                job = bert_job(folder, layer, pairs) | {"idf": idf, "alone": alone}
                names = [BERT[0], BERT[2]] if alone or idf else list(BERT)
                found = contest(python, names, job, 0 if alone else repeats, EQUAL["bertscore"])
                if BERT[1] in names:
                    found[ALONE] = contest(python, (ALONE, BERT[2]), job, 0, EQUAL["bertscore"])[ALONE]
                lines.append(bert_row(f"{family} | {layer} | {'yes' if idf else 'no'} | {pairs}", found))
    return lines


def bert_job(folder: Path, layer: int, pairs: int) -> dict[str, Any]:
    """Seeded texts for one model."""
    texts = {"replies": bertscore_models.texts(pairs, 1), "references": bertscore_models.texts(pairs, 2)}
    return {**texts, "folder": str(folder), "layer": layer, "idf": False, "alone": False}


def bert_row(what: str, found: Mapping[str, Told]) -> str:
    """A table row: how far the two others are from ours, and how many times our CPU seconds they take."""
    ours = found[BERT[2]]
    others = [found.get(name) for name in (*BERT[:2], ALONE)]
    apart = [f"{difference(one.found, ours.found):.1e}" if one and one.found else "-" for one in others]
    times = [f"{statistics.median(ratios(one, ours)):.1f}x" if one and one.seconds else "-" for one in others[:2]]
    return f"| {' | '.join([what, *apart, *times])} |"


def wide_model(python: str, repeats: int) -> list[str]:
    """Table lines: one encoder of a real one's width, where the encoder decides the time; speed and memory."""
    with tempfile.TemporaryDirectory() as place:
        folder = bertscore_models.model(Path(place) / "wide", "bert", width=384, layers=6)
        found = contest(python, (FORWARD, *BERT), bert_job(folder, 6, WIDE_PAIRS), repeats, EQUAL["bertscore"])
    lines = [
        "| contender | pairs/s | times mashq's CPU seconds | MB once loaded | MB at its peak |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in found.items():
        if one.refused:
            lines.append(f"| {name} | not installed | - | - | - |")
            continue
        rate = WIDE_PAIRS / statistics.median(one.seconds)
        times = statistics.median(ratios(one, found[BERT[2]]))
        lines.append(f"| {name} | {rate:.1f} | {times:.1f} | {one.before:,.0f} | {one.peak:,.0f} |")
    return lines


def several_systems(python: str, repeats: int) -> list[str]:
    """Table lines: so many systems' replies to the same references, as an evaluation has them."""
    lines = [
        "| systems | largest difference | bert_score, times mashq's CPU seconds | all repeats |",
        "|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = bertscore_models.model(Path(place) / "wide", "bert", width=384, layers=6)
        for systems in SYSTEMS:
            job = bert_job(folder, 6, WIDE_PAIRS)
            job["systems"] = [bertscore_models.texts(WIDE_PAIRS, 10 + number) for number in range(systems)]
            found = contest(python, (BERT[0], BERT[2]), job, repeats, EQUAL["bertscore"])
            theirs, ours = found[BERT[0]], found[BERT[2]]
            if not theirs.seconds:
                lines.append(f"| {systems} | not installed | - | - |")
                continue
            times = ratios(theirs, ours)
            spread = f"{min(times):.1f} to {max(times):.1f}"
            apart = difference(theirs.found, ours.found)
            lines.append(f"| {systems} | {apart:.1e} | **{statistics.median(times):.1f}x** | {spread} |")
    return lines


VALIDITY = """\
Each as it comes: with its own tokenizer, or the setting for Arabic or for any script that it has. Wrong scores are
bold; *small* is above 0 and below 0.2.
"""
STRINGS_IN = """\
Texts are seeded, with as many different words as real stories have; a reply shares about half of its words, in order,
with its reference. Pairs in a repeat: {sizes}. rouge_score and rapidrouge get mashq's words as their tokenizer
(`{profile}`), rouge-score-rs its own of any script, which splits these texts alike. All start each repeat with nothing
remembered.
"""
BERT_SMALL = """\
Random models of 64 dimensions and 4 layers; texts of 5 to 60 words, a fifth of them twice. Causal models are not timed:
bert_score gets them a pair at a time, because it puts 0 for a cosine below 0 where a batch is padded. torchmetrics is
not held to equality. It sorts replies and references by length, each for themselves, and puts them back by that order
instead of its inverse, so in a batch replies meet other items' references (its issue 2728 has more of it). Pair by pair
the rest shows: it leaves the framing tokens out of the matching, where bert_score gives them no weight but lets other
tokens match them.
"""
BERT_WIDE = """\
A random BERT of 384 dimensions and 6 layers, {pairs} pairs. *The encoder alone* runs the same texts through the same
model and scores nothing: what runs this model in fp32 cannot be faster. Where the encoder decides the time, three times
as fast as bert_score is therefore out of reach.
"""
BERT_SYSTEMS = """\
The same model and references, replies of several systems as an evaluation has them: mashq encodes the references once,
bert_score for every system.
"""


def page(python: str, repeats: int) -> str:
    """The whole page in Markdown."""
    sizes = ", ".join(f"{count} of {words} words" for words, count in rouge_texts.SIZES.items())
    return "\n".join(
        [
            "# Metrics on Arabic, beside the packages that others use",
            "",
            f"Made by `{COMMAND}`.",
            "",
            f"* Machine: {machine('numpy', 'pyarrow', 'rapidfuzz', used=f'{os.cpu_count()} cores, one used')}.",
            f"* {repeats} repeats in turn after a warm-up, each contender in its own process; medians of CPU seconds.",
            "* Equality is checked before anything is timed: ROUGE to 1e-12, BERTScore to 1e-6, each of P, R and F.",
            "",
            "## What each says about Arabic (F of ROUGE-L)",
            "",
            VALIDITY,
            *validity(python),
            "",
            "## ROUGE-L: strings in, score out",
            "",
            STRINGS_IN.format(sizes=sizes, profile=ARABIC.signature),
            *rouge_speed(python, STRINGS, repeats),
            "",
            f"Memory on {MEMORY_PAIRS:,} pairs of 60 words, once:",
            "",
            *rouge_memory(python),
            "",
            "## ROUGE-L: words already encoded",
            "",
            *rouge_speed(python, KERNELS, repeats),
            "",
            "## BERTScore",
            "",
            BERT_SMALL,
            *bert_rows(python, repeats),
            "",
            BERT_WIDE.format(pairs=WIDE_PAIRS),
            *wide_model(python, repeats),
            "",
            BERT_SYSTEMS,
            *several_systems(python, repeats),
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    with_page(parser)
    parser.add_argument("--peers", required=True, help="a Python with mashq and the packages above")
    options = parser.parse_args()
    check_repeats(parser, options.repeats)
    give(page(options.peers, options.repeats), options.write)


if __name__ == "__main__":
    main()
