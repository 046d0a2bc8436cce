"""Prompts of templated English through the whole translation with an engine that is no model: rows a second, memory.

    python benchmarks/translated_prompts.py --prompts 200000

Measured is what mashq does around an engine: reading rows, splitting, finding equal sentences, the memory, checks, the
rule, putting together, lineage, writing zstd Parquet. The prompts are made by a seed; each quotes sentences of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from mashq import rows
from mashq.run import Job, Step, Store, read_rows
from mashq.translate import cut
from mashq.translate import step as translate_step
from mashq.translate.settings import TranslationSettings

WHO = "The owner,My neighbour,A young waiter,The old doctor,Our teacher,The tall driver,A friend of mine,The manager"
WHAT = "opened,repaired,described,forgot,painted,returned,carried,cleaned,praised,sold,broke,measured"
THING = "the door,a small lamp,the red chair,our luggage,the menu,a heavy box,the garden,two tickets,the kitchen,a map"
WHEN = "in the morning,after lunch,on Friday,before the rain,at noon,in the evening,last week,during the holiday"
HOW = "without a word,very carefully,for 20 dollars,with a smile,in 15 minutes,for the second time,in great haste"
LISTS = [part.split(",") for part in (WHO, WHAT, THING, WHEN, HOW)]

TEMPLATES = [
    (
        "Read the review below and decide how the writer feels. Answer with one of the choices.\n\nReview: {text}\n\n"
        "Is this review positive or negative?\n- positive\n- negative",
        ["positive", "negative"],
    ),
    (
        "You are given a passage and a question about it. Think about every detail, then answer in one word.\n\n"
        "Passage: {text}\n\nQuestion: Does the passage mention money?\nAnswer:",
        ["yes", "no"],
    ),
    ("{text}\n\nWas the writer satisfied? Choose true or false.\n\nA) true\nB) false", ["true", "false"]),
    ("Decide whether the following text is about a person. Reply with yes or no.\n\nText: {text}", ["yes", "no"]),
]


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(words) for words in LISTS) + "."


def prompts(job: Job) -> Iterator[pa.Table]:
    draw = random.Random(job.settings["seed"])
    size = 10_000
    for start in range(0, job.settings["prompts"], size):
        n = min(size, job.settings["prompts"] - start)
        asked, answers, choices = [], [], []
        for _ in range(n):
            template, own = draw.choice(TEMPLATES)
            text = " ".join(sentence(draw) for _ in range(job.settings["own_sentences"]))
            asked.append([{"role": "user", "content": template.format(text=text)}])
            answers.append([draw.choice(own)])
            choices.append(own)
        ids = rows.source_ids("invented", "1", n=n, start=start)
        columns = {"id": ids, "source": "invented", "licence": "CC0-1.0", "messages": asked}
        yield rows.conform({**columns, "references": answers, "choices": choices})


def run(count: int, own: int, folder: Path) -> dict[str, float]:
    """One run in this process's store: seconds and what came of it."""
    made = Step("english", prompts, {"prompts": count, "own_sentences": own, "seed": 0}, kind="stream")
    asked = TranslationSettings(engine="transliterate", scorer="")
    arabic = translate_step.translation("arabic", made, asked)
    store = Store(folder)
    store.make(made)
    started = time.perf_counter()
    done = store.make(arabic)
    seconds = time.perf_counter() - started
    counts = done.manifest["counts"]
    return {"seconds": seconds, "kept": counts["kept"], "in": counts["in"], "peak_mb": done.manifest["peak_memory_mb"]}


def uniqueness(folder: Path) -> tuple[int, int]:
    """(sentences, different ones) of the prompts, their answers and choices."""
    (step,) = (folder / "steps").glob("english@*")
    total, different = 0, set()
    for table in itertools.islice(read_rows(step), 50):
        texts = [turn["content"] for turns in table["messages"].to_pylist() for turn in turns]
        for column in ("references", "choices"):
            texts += [text for some in table[column].to_pylist() for text in some]
        found = cut(texts)
        owned = found.sentence[found.places]
        total += int((owned >= 0).sum())
        different.update(found.sentences)
    return total, len(different)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200_000)
    parser.add_argument("--own-sentences", type=int, default=2, help="sentences that each prompt has of its own")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=Path, help="(a single run in this folder, its result as JSON)")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(run(asked.prompts, asked.own_sentences, asked.one)))
        return
    print("| prompts | run | seconds | prompts/s | kept | peak MB |\n|---:|---:|---:|---:|---:|---:|")
    for count in (asked.prompts // 4, asked.prompts):
        for repeat in range(asked.repeats):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, "--one", folder, "--prompts", str(count)]
                command += ["--own-sentences", str(asked.own_sentences)]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found = json.loads(said.splitlines()[-1])
                rate = count / found["seconds"]
                line = f"| {count:,} | {repeat + 1} | {found['seconds']:.1f} | {rate:,.0f} "
                print(line + f"| {found['kept'] / found['in']:.1%} | {found['peak_mb']:,.0f} |", flush=True)
                if repeat == 0 and count == asked.prompts:
                    total, different = uniqueness(Path(folder))
    print(f"\n{total:,} sentences, {different:,} different ({different / total:.1%}).")


if __name__ == "__main__":
    main()
