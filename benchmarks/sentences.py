"""Sentence splitting beside pysbd, blingfire and sentencex: right boundaries, nothing lost, and speed.

    python -m venv peers && peers/bin/pip install pysbd==0.3.4 blingfire sentencex
    python benchmarks/sentences.py --peers-python peers/bin/python
    python benchmarks/sentences.py --peers-python peers/bin/python --write docs/benchmarks/sentences.md

The peers run in their own environment, each in a process that is told its texts line by line. Compared are boundaries
only, on those cases of tests/sentences.yaml that are plain sentence splitting: one line, nothing to leave but spaces,
no label. A case is right when the places of all sentence ends are, white space not counted. "Nothing lost" counts the
texts of the whole set that a contender's pieces, joined, give back. Speed: CPU seconds of the contender's process for
paragraphs of five sentences, every paragraph different and no memory of lines kept, repeats interleaved.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sheet import check_repeats, give, machine, with_page

SET = Path(__file__).parent.parent / "tests" / "sentences.yaml"
PEERS = ("pysbd", "blingfire", "sentencex")
PARAGRAPHS = 400  # in a repeat
HIDDEN = "\N{RIGHT-TO-LEFT MARK}\N{ZERO WIDTH NO-BREAK SPACE}"


# --- contenders -------------------------------------------------------------------------------------------------------


def peer(name: str) -> tuple[str, Callable[[str, str], list[str]]]:
    """A peer's version, and it as a function of a language and a text."""
    from importlib.metadata import version

    if name == "pysbd":
        import pysbd

        segmenters = {language: pysbd.Segmenter(language=language, clean=False) for language in ("en", "ar")}
        return version(name), lambda language, text: segmenters[language].segment(text)
    if name == "blingfire":
        import blingfire

        return version(name), lambda _, text: blingfire.text_to_sentences(text).split("\n")
    import sentencex

    return version(name), lambda language, text: list(sentencex.segment(language, text))


def serve(name: str) -> None:
    """The peer's process: a JSON line of [language, text] pairs in, one of pieces and CPU seconds out."""
    number, cut = peer(name)
    print(json.dumps(number), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.process_time()
        made = [cut(language, text) for language, text in asked]
        print(json.dumps([made, time.process_time() - start]), flush=True)


@dataclass
class Peer:
    """A running peer."""

    name: str
    process: subprocess.Popen[str]
    version: str

    def __call__(self, asked: list[tuple[str, str]]) -> tuple[list[list[str]], float]:
        """Pieces of each text, CPU seconds."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        made, seconds = json.loads(self.process.stdout.readline())
        return made, seconds


def start(name: str, python: str) -> Peer | None:
    """The peer, or None where the environment has none of that name."""
    command = [python, __file__, "--serve", name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    )
    assert process.stdout
    greeting = process.stdout.readline()
    if not greeting:
        process.wait()
        return None
    return Peer(name, process, json.loads(greeting))


def ours(asked: list[tuple[str, str]]) -> tuple[list[list[str]], float]:
    """mashq's sentences, with nothing remembered from before."""
    from mashq import sentences

    sentences._remembered_line.cache_clear()
    begun = time.process_time()
    made = [sentences.split(text, language) for language, text in asked]  # type: ignore[arg-type]
    seconds = time.process_time() - begun
    return [[piece.text for piece in pieces] for pieces in made], seconds


# --- cases ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A text with its sentences; `plain` where nothing but sentences and spaces is in it."""

    group: str
    language: str
    text: str
    sentences: tuple[str, ...]
    plain: bool


def cases() -> Iterator[Case]:
    """The fixed set."""
    import yaml

    for group in yaml.safe_load(SET.read_text(encoding="utf-8")):
        for language, *noted in group["cases"]:
            texts = [item if isinstance(item, str) else next(iter(item.values())) for item in noted]
            whole = "".join(texts)
            labels = any(text.rstrip().endswith(":") for text in texts[:-1])
            plain = all(isinstance(item, str) for item in noted) and not labels and whole.isprintable()
            yield Case(group["class"], language, whole, tuple(texts), plain)


def ends(pieces: list[str] | tuple[str, ...]) -> list[int]:
    """Where pieces end, counted in characters that are no white space."""
    places, at = [], 0
    for piece in pieces:
        length = len("".join(piece.split()))
        if length:
            at += length
            places.append(at)
    return places


def paragraphs(seed: int) -> list[tuple[str, str]]:
    """Different paragraphs of five sentences of the set, each with a number of its own so that no two are alike."""
    generator = random.Random(seed)
    made = []
    for language, word in (("en", "On page {} it says so"), ("ar", "ورد ذلك في الصفحة {} من الكتاب")):
        known = [
            text.strip() for case in cases() if case.plain and case.language == language for text in case.sentences
        ]
        known = [text for text in known if text.endswith(".")]
        for number in range(PARAGRAPHS // 2):
            chosen = generator.sample(known, 4)
            made.append((language, " ".join([*chosen, word.format(number + 1000 * seed) + "."])))
    return made


# --- the page ---------------------------------------------------------------------------------------------------------


def quality(chosen: list[Case], made: list[list[str]]) -> str:
    """Table cells: right cases by language."""
    cells = []
    for language in ("en", "ar"):
        right = [
            ends(pieces) == ends(case.sentences)
            for case, pieces in zip(chosen, made, strict=True)
            if case.language == language
        ]
        cells.append(f"{sum(right)} of {len(right)}")
    return " | ".join(cells)


def timed(contenders: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    """Sentences a CPU second by contender and repeat, in turn, after a warm-up."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        asked = paragraphs(repeat)
        for name, run in contenders.items():
            seconds = run(asked)[1]
            if repeat:
                rates[name].append(5 * len(asked) / seconds)
    return rates


def page(python: str | None, repeats: int) -> str:
    """The whole page in Markdown."""
    from mashq.sentences import split

    peers = {name: start(name, python) if python else None for name in PEERS}
    running: dict[str, Any] = {"mashq": ours, **{name: run for name, run in peers.items() if run}}
    known = list(cases())
    plain = [case for case in known if case.plain]
    rates = timed(running, repeats)
    rows = []
    for name, run in running.items():
        made = run([(case.language, case.text) for case in plain])[0]
        whole = run([(case.language, case.text) for case in known])[0]
        kept = sum("".join(pieces) == case.text for case, pieces in zip(known, whole, strict=True))
        low, middle, high = statistics.quantiles(rates[name], n=4)
        title = f"**{name}**" if name == "mashq" else f"{name} {run.version}"
        answer = "yes" if kept == len(known) else "no"
        rows.append(
            f"| {title} | {quality(plain, made)} | {answer}, {kept} of {len(known)} "
            f"| {middle:,.0f} | {low:,.0f} to {high:,.0f} |"
        )
    rows += [f"| {name} | not installed | | | | |" for name, run in peers.items() if run is None]
    repeated = paragraphs(1)
    for language, text in repeated:
        split(text, language)  # type: ignore[arg-type]
    begun = time.process_time()
    for language, text in repeated * 20:
        split(text, language)  # type: ignore[arg-type]
    again = 5 * 20 * len(repeated) / (time.process_time() - begun)
    for run in peers.values():
        if run:
            run.process.kill()
            run.process.communicate()
    return "\n".join(
        [
            "# Sentence splitting beside pysbd, blingfire and sentencex",
            "",
            "Made by `python benchmarks/sentences.py --peers-python PEERS/bin/python "
            "--write docs/benchmarks/sentences.md`.",
            "",
            f"* Machine: {machine(used=f'{os.cpu_count()} cores, one used')}; other work ran beside it.",
            f"* Right: boundaries on the {len(plain)} of {len(known)} cases of `tests/sentences.yaml` that are plain "
            "sentence splitting. The set was written by mashq's authors, half of it before the code and with mashq's "
            "rules in mind (a line end ends a sentence, Arabic ؛ does, a quoted question does): it measures how well "
            "a contender suits prompts, not who is best at prose. A peer that keeps a quotation whole is wrong here.",
            "* Nothing lost: texts of the whole set that the pieces, joined, give back.",
            f"* Speed: sentences a CPU second, {PARAGRAPHS} different paragraphs of 5 sentences in a repeat, half of "
            f"them Arabic, {repeats} interleaved repeats after a warm-up: median and middle half.",
            "",
            "| splitter | right, English | right, Arabic | nothing lost | sentences/s | middle half |",
            "|---|---:|---:|---|---:|---:|",
            *rows,
            "",
            "mashq's rows hold more work than the peers': it also finds code, addresses, list marks and labels. Of "
            f"paragraphs that it has met before (short lines of a template) it cuts {again:,.0f} sentences/s.",
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="Sentence splitting beside pysbd, blingfire and sentencex")
    parser.add_argument("--peers-python", help="python of an environment with pysbd, blingfire and sentencex")
    with_page(parser)
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    check_repeats(parser, options.repeats)
    text = page(options.peers_python, options.repeats)
    give(text, options.write)


if __name__ == "__main__":
    main()
