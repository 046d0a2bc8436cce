"""ROUGE-L beside rouge_score: equal numbers first, then speed, then what each says about Arabic.

    python benchmarks/rouge.py                                  # prints the page
    python benchmarks/rouge.py --write docs/benchmarks/rouge.md

Both sides get the same texts and the same tokenizer (ours is handed to rouge_score), so the time shown is that of the
longest common subsequence and of the way to it. Repeats are interleaved; times are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from rouge_score import rouge_scorer
from sheet import check_repeats, give, machine, with_page

from mashq import arabic
from mashq.metrics.profile import ARABIC
from mashq.metrics.rouge import encode, overlap, rouge, rouge_items

PACKAGES = ("rouge-score", "rapidfuzz", "numpy", "pyarrow")

SIZES = {20: 600, 60: 250, 200: 60}  # words in a text: pairs in a repeat
LETTERS = "بتثجحخدذرزسشصضطعغفقكلمنهوي"
PATTERNS = ("{}{}{}", "{}ا{}{}", "م{}{}و{}", "{}{}ي{}", "ت{}{}ي{}", "ا{}ت{}ا{}", "است{}{}ا{}", "م{}{}{}ة")
PREFIXES = ("", "", "", "ال", "وال", "بال", "لل", "و", "ف")
SUFFIXES = ("", "", "", "ه", "ها", "هم", "ون", "ات")
PARTICLES = ("في", "من", "إلى", "على", "عن", "مع", "ثم", "أو", "لا", "ما", "هذا", "التي", "كان", "قد")
FORMS = 60_000  # with the exponent below 30,000 words hold 10,200 different ones; real stories 9,700
EXPONENT = 1.0  # of the Zipf-Mandelbrot law
PLAIN = "ذهب الولد إلى المدرسة في الصباح"
UNRELATED = "ارتفعت أسعار النفط أمس بعد قرار المنظمة"


class OurWords:
    """Our words as a tokenizer for rouge_score: one text at a time, and no piece between spaces is split twice."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}

    def tokenize(self, text: str) -> list[str]:
        """The words of one text, as `ARABIC.words` gives them."""
        words: list[str] = []
        for piece in arabic.normalise(text, ARABIC.forms).lower().split():
            if piece not in self.known:
                self.known[piece] = arabic.words(piece)
            words += self.known[piece]
        return words


@dataclass(frozen=True)
class Timing:
    """CPU seconds of one repeat, for each side, in the order they ran."""

    theirs: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times faster, by repeat."""
        return [theirs / ours for theirs, ours in zip(self.theirs, self.ours, strict=True)]


@cache
def lexicon() -> tuple[list[str], list[float]]:
    """Word forms and their cumulated weights: particles first, then roots in patterns, under affixes."""
    generator = random.Random(0)
    forms = dict.fromkeys(PARTICLES)
    while len(forms) < FORMS:
        stem = generator.choice(PATTERNS).format(*generator.sample(LETTERS, 3))
        forms[generator.choice(PREFIXES) + stem + generator.choice(SUFFIXES)] = None
    weights = accumulate(1 / (rank + 2.7) ** EXPONENT for rank in range(FORMS))
    return list(forms), list(weights)


def sentence(generator: random.Random, words: int) -> list[str]:
    """So many words, drawn from the lexicon."""
    forms, weights = lexicon()
    return generator.choices(forms, cum_weights=weights, k=words)


def pairs(words: int, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Replies and references of so many words; a reply keeps about half of its reference's words, in order."""
    generator = random.Random(seed)
    replies, references = [], []
    for _ in range(count):
        reference = sentence(generator, words)
        fresh = sentence(generator, words)
        reply = [old if generator.random() < 0.5 else new for old, new in zip(reference, fresh, strict=True)]
        references.append(punctuated(generator, reference))
        replies.append(punctuated(generator, reply))
    return replies, references


def punctuated(generator: random.Random, words: list[str]) -> str:
    """One text with a comma or full stop after about every eighth word."""
    return " ".join(word + generator.choice(("،", ".")) if generator.random() < 0.13 else word for word in words)


def cpu_seconds(task: Callable[[], object]) -> float:
    """CPU seconds of one call, this process."""
    start = time.process_time()
    task()
    return time.process_time() - start


def interleaved(theirs: Callable[[], object], ours: Callable[[], object], repeats: int, loops: int) -> Timing:
    """Time both in turn; ours runs `loops` times in a repeat, so that the clock can resolve it."""

    def many() -> None:
        for _ in range(loops):
            ours()

    theirs()  # warm-up
    many()
    timing = Timing([], [])
    for _ in range(repeats):
        timing.theirs.append(cpu_seconds(theirs))
        timing.ours.append(cpu_seconds(many) / loops)
    return timing


def largest_difference(replies: list[str], references: list[str]) -> float:
    """The largest difference of precision, recall or F between rouge_score and ours over all pairs."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=OurWords())
    largest = 0.0
    for mine, reply, reference in zip(
        rouge_items(replies, [[text] for text in references]), replies, references, strict=True
    ):
        score = scorer.score(reference, reply)["rougeL"]
        other = (score.precision, score.recall, score.fmeasure)
        largest = max(largest, *(abs(a - b) for a, b in zip(mine, other, strict=True)))
    return largest


def strings_in(replies: list[str], references: list[str], repeats: int) -> Timing:
    """Strings in, score out; both start every repeat with nothing remembered."""
    targets = [[text] for text in references]

    def theirs() -> None:
        scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=OurWords())
        for target, reply in zip(references, replies, strict=True):
            scorer.score(target, reply)

    return interleaved(theirs, lambda: rouge_items(replies, targets), repeats, loops=5)


def encoded_in(replies: list[str], references: list[str], repeats: int) -> Timing:
    """Words already split and numbered: the two kernels alone, on the same numbers."""
    codes = encode([*replies, *references])
    both = list(zip(codes[: len(replies)], codes[len(replies) :], strict=True))
    return interleaved(
        lambda: [rouge_scorer._score_lcs(target, reply) for reply, target in both],
        lambda: [overlap(reply, target) for reply, target in both],
        repeats,
        loops=50,
    )


def row(words: int, count: int, timing: Timing) -> str:
    """A table row: rates in pairs a CPU second (median), ratio with its spread."""
    theirs, ours = (count / statistics.median(side) for side in (timing.theirs, timing.ours))
    ratios = timing.ratios
    first, _, third = statistics.quantiles(ratios, n=4)
    return (
        f"| {words} | {theirs:,.0f} | {ours:,.0f} | **{statistics.median(ratios):.0f}x** "
        f"| {first:.0f} to {third:.0f} | {min(ratios):.0f} |"
    )


def validity() -> list[str]:
    """Table rows: a case, what must come out, rouge_score as it comes, ours."""
    default = rouge_scorer.RougeScorer(["rougeL"])
    vocalised = "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ فِي الصَّبَاحِ"
    stretched = PLAIN.replace("ل", "ل\N{ARABIC TATWEEL}\N{ARABIC TATWEEL}")
    ligature = PLAIN.replace("لد", "\N{ARABIC LETTER LAM MEDIAL FORM}\N{ARABIC LETTER DAL FINAL FORM}")
    cases = [
        ("identity", PLAIN, PLAIN, "1"),
        ("unrelated", UNRELATED, PLAIN, "0"),
        ("vocalised against plain", vocalised, PLAIN, "1"),
        ("stretched with tatweel", stretched, PLAIN, "1"),
        ("presentation forms", ligature, PLAIN, "1"),
        ("alef without its hamza", PLAIN.replace("إ", "ا"), PLAIN, "1"),
        ("Arabic-Indic digits", f"{PLAIN} ١٩٥٢", f"{PLAIN} 1952", "1"),
        ("only the digits shared", f"{UNRELATED} 1952", f"{PLAIN} 1952", "small"),
        ("two empty texts", "", "", "0"),
    ]
    lines = []
    for name, reply, reference, expected in cases:
        theirs, ours = default.score(reference, reply)["rougeL"].fmeasure, rouge(reply, [reference]).f
        lines.append(f"| {name} | {expected} | {theirs:.3f} | {ours:.3f} |")
    return lines


def page(repeats: int) -> str:
    """The whole page in Markdown. Raises SystemExit where the two do not agree: then no time means anything."""
    strings, kernels, largest = [], [], 0.0
    for words, count in SIZES.items():
        replies, references = pairs(words, count, seed=words)
        largest = max(largest, largest_difference(replies, references))
        if largest > 1e-12:
            raise SystemExit(f"rouge: the two disagree by {largest:g} at {words} words; nothing was timed")
        strings.append(row(words, count, strings_in(replies, references, repeats)))
        kernels.append(row(words, count, encoded_in(replies, references, repeats)))
    head = [
        "| words | rouge_score, pairs/s | mashq, pairs/s | faster, median | middle half | least |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join(
        [
            "# ROUGE-L beside rouge_score",
            "",
            "Made by `python benchmarks/rouge.py --write docs/benchmarks/rouge.md`.",
            "",
            "* Machine: " + machine(*PACKAGES, used=f"{os.cpu_count()} cores, one used") + ".",
            "* Texts: seeded, made by the script, with as many different words as real stories have; a reply "
            "shares about half of its words, in order, with its reference. "
            f"Pairs in a repeat: {', '.join(f'{count} of {words} words' for words, count in SIZES.items())}.",
            f"* Profile: `{ARABIC.signature}`; rouge_score is given the same tokenizer.",
            f"* {repeats} interleaved repeats after a warm-up; rates are medians in pairs a CPU second.",
            f"* Equality, checked before timing: largest difference of precision, recall or F over "
            f"{sum(SIZES.values())} pairs **{largest:.1e}**.",
            "",
            "## Strings in, score out",
            "",
            *head,
            *strings,
            "",
            "Both sides look into a piece between two spaces once, and start each repeat with nothing remembered. "
            "mashq does so over all texts as one column, and finds the longest common subsequence bit-parallel "
            "(rapidfuzz) instead of in a Python table.",
            "",
            "## Words already encoded",
            "",
            *head,
            *kernels,
            "",
            "## What each says about Arabic (F of ROUGE-L)",
            "",
            "rouge_score as it comes, with its own tokenizer, which deletes every letter that is not a-z.",
            "",
            "| case | must be | rouge_score | mashq |",
            "|---|---:|---:|---:|",
            *validity(),
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="ROUGE-L beside rouge_score")
    with_page(parser)
    options = parser.parse_args()
    check_repeats(parser, options.repeats)
    text = page(options.repeats)
    give(text, options.write)


if __name__ == "__main__":
    main()
