"""Translation beside Transformers' `generate` and a loop like EasyNMT's: equal translations first, then sentences a
second.

    python benchmarks/translation.py                                  # prints the page; half an hour on two cores
    python benchmarks/translation.py --write docs/benchmarks/translation.md

The model has an Opus-MT model's size and random weights; an end is worth more to it than any token and is held back
until 24 tokens are written, so that every translation is 24 tokens long and no side wins by stopping early. Repeats are
interleaved, torch and CTranslate2 each on `--threads` cores. Times are wall seconds, and with one thread CPU seconds of
this process, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sheet import give, machine

PACKAGES = ("ctranslate2", "transformers", "torch", "sentencepiece")

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "mt"))

NEW_TOKENS = 24
SHARES = (1.0, 0.4, 0.1)  # of sentences that are different
VOCABULARY = 60_000  # about that of opus-mt-en-ar, 62,834
SYLLABLES = (
    "ba",
    "con",
    "de",
    "er",
    "fi",
    "gra",
    "in",
    "ket",
    "lo",
    "men",
    "ny",
    "o",
    "per",
    "ra",
    "sti",
    "tion",
    "vel",
)


def sentences(count: int, share: float, seed: int = 0) -> list[str]:
    """So many sentences of 5 to 40 words, of which a share is different, shuffled."""
    generator = random.Random(seed)
    lexicon = ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 4))) for _ in range(3000)]
    weights = [1 / (rank + 2.7) for rank in range(len(lexicon))]
    made: dict[str, None] = {}
    while len(made) < round(count * share):
        words = generator.choices(lexicon, weights, k=min(40, max(5, round(generator.lognormvariate(2.7, 0.5)))))
        made[" ".join(words).capitalize() + "."] = None
    # Templates repeat unevenly, but how unevenly decides nothing here: each is translated once or always.
    listed = list(made) + generator.choices(list(made), k=count - len(made))
    generator.shuffle(listed)
    return listed


# --- the contenders --------------------------------------------------------------------------------------------------


class Transformers:
    """`generate` on one model, batch after batch, as its documentation shows it."""

    def __init__(self, folder: Path, beams: int):
        from transformers import MarianMTModel, MarianTokenizer

        self.tokenizer = MarianTokenizer.from_pretrained(folder)
        self.model = MarianMTModel.from_pretrained(folder).eval()
        self.model.generation_config.forced_eos_token_id = None
        self.beams = beams

    def translate(self, texts: Sequence[str], batch: int) -> list[str]:
        """Every text, in the order given."""
        import torch

        said: list[str] = []
        for start in range(0, len(texts), batch):
            given = [f">>ara<< {text}" for text in texts[start : start + batch]]
            ids = self.tokenizer(given, return_tensors="pt", padding=True)
            with torch.inference_mode():
                new = self.model.generate(
                    **ids, num_beams=self.beams, do_sample=False, max_length=None,
                    min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS + 1,
                )  # fmt: skip
            said += self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return said

    def by_length(self, texts: Sequence[str], batch: int) -> list[str]:
        """The same, the longest texts first."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        said = self.translate([texts[place] for place in order], batch)
        back = sorted(range(len(texts)), key=order.__getitem__)
        return [said[place] for place in back]

    def like_easynmt(self, documents: Sequence[str]) -> list[str]:
        """What EasyNMT's `translate` does: split into sentences, sort them by length, translate all in batches of 16,
        put them back; a sentence that comes again is translated again."""
        pieces = [
            (number, part) for number, text in enumerate(documents) for part in text.replace(". ", ".\n").split("\n")
        ]
        said = self.by_length([part for _, part in pieces], batch=16)
        made: list[list[str]] = [[] for _ in documents]
        for (number, _), text in zip(pieces, said, strict=True):
            made[number].append(text)
        return [" ".join(parts) for parts in made]


def opened(folder: Path, quantization: str, beams: int, threads: int) -> Any:
    """Our engine on the same folder, with its translations as long."""
    from mashq.mt import open_engine

    return open_engine(
        str(folder), quantization=quantization, beams=beams, threads=threads,
        least_new_tokens=NEW_TOKENS, most_new_tokens=NEW_TOKENS + 1,
    )  # fmt: skip


def ours(engine: Any, texts: Sequence[str]) -> list[str]:
    """Each different sentence once, then put back."""
    unique = list(dict.fromkeys(texts))
    said: dict[str, str] = {}
    for batch in engine.batches(unique):
        chosen = [unique[place] for place in batch]
        for text, output in zip(chosen, engine.translate(chosen), strict=True):
            if output.fault and not output.fault.startswith("unknown"):  # random weights write <unk> too
                raise SystemExit(f"translation: {output.fault}")
            said[text] = output.text
    return [said[text] for text in texts]


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One contender: what it is called and what it does with the sentences."""

    name: str
    run: Callable[[Sequence[str]], list[str]]


def timed(sides: Sequence[Side], texts: Sequence[str], repeats: int, threads: int) -> dict[str, list[float]]:
    """Seconds of each side in each repeat; all take turns, and the order turns too."""
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for repeat in range(repeats):
        for side in [*sides[repeat % len(sides) :], *sides[: repeat % len(sides)]]:
            start = clock()
            side.run(texts)
            seconds[side.name].append(clock() - start)
    return seconds


def rows(seconds: dict[str, list[float]], count: int, share: float, mine: Sequence[str]) -> list[str]:
    """Table rows: rate of each side, and how many times faster ours are, by repeat."""
    lines = []
    for name, taken in seconds.items():
        cells = [f"{share:.0%}", name, f"{count / statistics.median(taken):,.1f}"]
        for engine in mine:
            ratios = [theirs / here for theirs, here in zip(taken, seconds[engine], strict=True)]
            cells.append(
                "" if name in mine else f"**{statistics.median(ratios):.1f}x** ({min(ratios):.1f}-{max(ratios):.1f})"
            )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def equal(first: Sequence[str], second: Sequence[str]) -> int:
    """How many are the same."""
    return sum(one == other for one, other in zip(first, second, strict=True))


def alone_and_together(engine: Any, texts: Sequence[str]) -> int:
    """Sentences whose translation alone is the one they have in a batch of all."""
    together = [output.text for output in engine.translate(texts)]
    return equal([engine.translate([text])[0].text for text in texts], together)


def by_threads(folder: Path, texts: Sequence[str], threads: int, repeats: int) -> list[str]:
    """Table rows: how many threads side by side, how many on one batch, how many tokens at once."""
    import ctranslate2

    engine = opened(folder, "int8", 1, threads)
    sources = engine._sources(texts)
    lines = [
        "## Threads and tokens at once (int8, greedy)",
        "",
        "| side by side x on one batch | padded source tokens at once | sentences/s | slowest / fastest repeat |",
        "|---|---:|---:|---:|",
    ]
    for side_by_side, each in ((1, threads), (threads, 1)):
        translator = ctranslate2.Translator(
            str(engine._converted), compute_type="int8", inter_threads=side_by_side, intra_threads=each
        )
        for at_once in (256, 512, 1024, 2048, 4096):
            taken = []
            for _ in range(repeats):
                start = time.perf_counter()
                translator.translate_batch(
                    sources, beam_size=1, max_batch_size=at_once, batch_type="tokens",
                    min_decoding_length=NEW_TOKENS, max_decoding_length=NEW_TOKENS + 1,
                )  # fmt: skip
                taken.append(time.perf_counter() - start)
            rate = len(texts) / statistics.median(taken)
            lines.append(f"| {side_by_side} x {each} | {at_once:,} | {rate:,.0f} | {max(taken) / min(taken):.2f} |")
    return [*lines, ""]


# --- the page --------------------------------------------------------------------------------------------------------


def page(count: int, repeats: int, repeats_of_beams: int, threads: int) -> str:
    """The whole page in Markdown. Raises SystemExit where fp32 greedy translations differ: no time means anything."""
    import tiny_translators
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as home:
        os.environ["MASHQ_CACHE"] = f"{home}/cache"
        lines = sentences(4000, 1.0, seed=1)
        folder = tiny_translators.marian(
            Path(home) / "model", lessons=0, english=lines, pieces=2000, extra_pieces=VOCABULARY - 2200,
            ends_after_least=True, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
            decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, activation_function="swish",
            tie_word_embeddings=False,  # tied random weights say one token again and again
        )  # fmt: skip
        return _page(folder, count, repeats, repeats_of_beams, threads)


def _page(folder: Path, count: int, repeats: int, repeats_of_beams: int, threads: int) -> str:
    texts = sentences(count, 1.0)
    engines = {kind: opened(folder, kind, 1, threads) for kind in ("float32", "int8")}
    greedy = Transformers(folder, beams=1)
    theirs, fp32, int8 = greedy.by_length(texts, 32), ours(engines["float32"], texts), ours(engines["int8"], texts)
    if equal(theirs, fp32) != count:
        raise SystemExit(f"translation: fp32 greedy equal for {equal(theirs, fp32)} of {count}; nothing was timed")
    tables = {
        beams: _table(folder, beams, count, each, threads) for beams, each in ((1, repeats), (4, repeats_of_beams))
    }
    head = [
        "| different | who | sentences/s | mashq int8 is faster | mashq float32 is faster |",
        "|---:|---|---:|---:|---:|",
    ]
    return "\n".join(
        [
            "# Translation beside Transformers and a loop like EasyNMT's",
            "",
            f"Made by `python benchmarks/translation.py --sentences {count} --repeats {repeats} --repeats-of-beams "
            f"{repeats_of_beams} --threads {threads} --write docs/benchmarks/translation.md`.",
            "",
            *_facts(engines, texts, {"float32": fp32, "int8": int8}, theirs, threads),
            f"* Ratios are medians over interleaved repeats (greedy n = {repeats}, beam 4 n = {repeats_of_beams}), "
            "least and most in brackets.",
            "* EasyNMT itself is no longer maintained; the loop in the script does what it does: split, sort by "
            "length, batches of 16, every sentence.",
            "",
            "## Greedy",
            "",
            *head,
            *tables[1],
            "",
            "## Beam 4",
            "",
            *head,
            *tables[4],
            "",
            *(by_threads(folder, texts, threads, repeats) if threads > 1 else ()),
        ]
    )


def _facts(
    engines: dict[str, Any], texts: Sequence[str], said: dict[str, list[str]], theirs: Sequence[str], threads: int
) -> list[str]:
    """What was measured on what, and how far the translations are the same."""
    count = len(texts)
    pieces = [len(tokens) for tokens in engines["int8"]._sources(texts)]
    steady = {kind: alone_and_together(engine, texts) for kind, engine in engines.items()}
    same = {kind: equal(theirs, mine) for kind, mine in said.items()}
    return [
        "* Machine: " + machine(*PACKAGES, used=f"{threads} of {os.cpu_count()} cores") + ".",
        f"* Model: Marian's shape with random weights, 6 + 6 layers, width 512, {VOCABULARY:,} tokens. Every "
        f"translation is {NEW_TOKENS} tokens and its end.",
        f"* Sentences: {count}, seeded, {min(pieces)} to {max(pieces)} tokens, median {statistics.median(pieces):.0f}.",
        f"* Rates are sentences asked for a second of {'CPU' if threads == 1 else 'wall'} time, those that come again "
        "counted.",
        f"* Equality, before any timing: greedy float32 is Transformers' text for **{same['float32']} of {count}** "
        f"sentences, int8 for **{same['int8']} of {count}**. With random weights the likeliest tokens are nearly "
        "equal, so that the rounding of int8 shows more than in a trained model.",
        f"* A sentence alone and in one batch with all others: the same text for **{steady['float32']} of {count}** "
        f"in float32 and **{steady['int8']} of {count}** in int8.",
    ]


def _table(folder: Path, beams: int, count: int, repeats: int, threads: int) -> list[str]:
    them = Transformers(folder, beams)
    engines = {kind: opened(folder, kind, beams, threads) for kind in ("int8", "float32")}
    mine = [Side(f"mashq {kind}", lambda texts, engine=engine: ours(engine, texts)) for kind, engine in engines.items()]
    sides = [
        Side("generate, 32 by length", lambda texts: them.by_length(texts, 32)),
        Side("like EasyNMT", them.like_easynmt),
    ]
    if beams == 1:
        sides = [
            Side("generate, 16", lambda texts: them.translate(texts, 16)),
            Side("generate, 32", lambda texts: them.translate(texts, 32)),
            *sides,
        ]
    for side in [*sides, *mine]:
        side.run(sentences(16, 1.0, seed=2))  # warm-up
    lines = []
    for share in SHARES:
        seconds = timed([*sides, *mine], sentences(count, share), repeats, threads)
        lines += rows(seconds, count, share, [side.name for side in mine])
    return lines


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="Translation beside Transformers and a loop like EasyNMT's")
    parser.add_argument("--sentences", type=int, default=320, help="in each repeat")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats of greedy search")
    parser.add_argument("--repeats-of-beams", type=int, default=3, help="interleaved repeats of beam 4")
    parser.add_argument("--threads", type=int, default=2, help="cores for each side")
    parser.add_argument("--write", type=Path, help="the page goes into this file")
    options = parser.parse_args()
    text = page(options.sentences, options.repeats, options.repeats_of_beams, options.threads)
    give(text, options.write)


if __name__ == "__main__":
    main()
