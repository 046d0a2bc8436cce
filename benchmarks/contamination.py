"""Contamination: recall by kind of planted copy, false alarms, time and memory beside the number of training texts.

    python -m venv peers && peers/bin/pip install --no-deps lm-eval==0.4.9.1
    python benchmarks/contamination.py --peers-python peers/bin/python
    python benchmarks/contamination.py --peers-python peers/bin/python --write docs/benchmarks/contamination.md

2,000 test items and 100,000 and 1,000,000 training texts are made by the script (seeded), with a known number of copies
of each kind planted. The check runs in a process of its own, so that its memory is its own; making texts is not timed.
Before speed: on 20,000 texts the shares of n-grams are those of a plain Python index of the same words, and the items
that share an n-gram of 13 words with a training text are those that lm-evaluation-harness's Janitor finds, apart from
texts in another spelling, which it does not fold. Its file is run by itself: it needs nothing of the harness.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sheet import give, machine

from mashq.arabic import TATWEEL
from mashq.contamination import COLUMNS, Settings, check_items
from mashq.contamination.passing import FORM
from mashq.rows import PartWriter, child_ids, conform, read_part, source_ids

ITEMS = 2_000
PLANTED = 150  # items of each kind
SEED = 2  # the limits were chosen on plants of seed 1
SIZES = (100_000, 1_000_000)
PLAIN = 20_000  # training texts of the comparison with a plain index
LETTERS = "بتثجحخدذرزسشصضطعغفقكلمنهوي"
PATTERNS = ("{}{}{}", "{}ا{}{}", "م{}{}و{}", "{}{}ي{}", "ت{}{}ي{}", "ا{}ت{}ا{}", "است{}{}ا{}", "م{}{}{}ة", "أ{}{}ا{}")
PARTICLES = ("في", "من", "إلى", "على", "عن", "مع", "ثم", "أو", "لا", "ما", "هذا", "التي", "كان", "قد")
INSTRUCTION = "اكتب نصا قصيرا واضحا يتناول الموضوع الآتي بأسلوب مناسب للقراء الشباب دون مقدمات"
PRAYER = "اللهم صل وسلم وبارك على سيدنا محمد وعلى آله وصحبه أجمعين"
FATHA = "\N{ARABIC FATHA}"
KINDS = {
    "exact": "the same text",
    "respelt": "the same text with vowel marks, stretching, other alefs and other digits",
    "one in 20": "one word in twenty replaced",
    "one in 10": "one word in ten replaced",
    "embedded": "the whole text between 40 other words",
    "half": "the first half, then other words",
    "fifth": "a fifth in a row, among other words",
    "translated": "a row made from the same source, no word shared",
    "shuffled": "all of its words in another order (no copy of any span)",
}
WANTED = ("exact", "respelt", "one in 20", "one in 10", "embedded", "half", "translated")


JANITOR = """
import importlib.util, json, sys, time
where = importlib.util.find_spec("lm_eval").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("janitor", where + "/decontamination/janitor.py")
janitor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(janitor)
told = json.load(sys.stdin)
started = time.process_time()
found = janitor.Janitor(ngram_n=13, minimum_slice_length=0)
for text in told["training"]:
    found.register_contaminant_python(text)
dirty = [item for item, text in told["items"].items() if found.clean_python(text) != [text]]
print(json.dumps({"dirty": dirty, "cpu": time.process_time() - started}))
"""


class Writer:
    """Seeded Arabic-like texts: 30,000 forms under a Zipf-Mandelbrot law."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        generator = random.Random(0)
        forms = dict.fromkeys(PARTICLES)
        while len(forms) < 30_000:
            forms[
                generator.choice(("", "", "ال", "و")) + generator.choice(PATTERNS).format(*generator.sample(LETTERS, 3))
            ] = None
        self.forms = np.array(list(forms), dtype=object)
        weights = np.array(list(accumulate(1 / (rank + 2.7) for rank in range(len(forms)))))
        self.weights = weights / weights[-1]
        self.numbers = np.random.default_rng(seed)

    def texts(self, count: int, low: int, high: int) -> list[str]:
        """Texts of `low` to `high` words."""
        ends = np.append(0, np.cumsum(self.numbers.integers(low, high + 1, count)))
        words = self.forms[np.searchsorted(self.weights, self.numbers.random(ends[-1]))].tolist()
        return [" ".join(words[start:end]) for start, end in pairwise(ends.tolist())]


def respelt(text: str, generator: random.Random) -> str:
    """The text as another writer would have spelt it."""
    words = [word[:1] + generator.choice(("", FATHA)) + word[1:] for word in text.replace("أ", "ا").split()]
    words[0] = words[0][:1] + TATWEEL * 3 + words[0][1:]
    return "، ".join(words).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")) + "."


def planted(kind: str, text: str, writer: Writer) -> str:
    """The training text that is planted for an item's reference."""
    words = text.split()
    if kind.startswith("one in"):
        step = int(kind.split()[-1])
        return " ".join("بدلا" if place % step == step // 2 else word for place, word in enumerate(words))
    if kind == "shuffled":
        return " ".join(writer.random.sample(words, len(words)))
    before, after = writer.texts(2, 20, 20)
    cuts = {"embedded": words, "half": words[: len(words) // 2], "fifth": words[: len(words) // 5]}
    if kind in cuts:
        return " ".join([*([before] if kind != "half" else []), *cuts[kind], after])
    return respelt(text, writer.random) if kind == "respelt" else text


def make(folder: Path, size: int) -> None:
    """Items, their kinds and the training shards, in a folder."""
    folder.mkdir()
    writer = Writer(SEED)
    told = enumerate(writer.texts(ITEMS, 30, 60))
    references = [f"{text} {1900 + place % 120}" + (f" {PRAYER}" if place % 20 == 3 else "") for place, text in told]
    topics = writer.texts(ITEMS, 4, 8)
    sources = source_ids("sources", "1", n=ITEMS)
    items = conform(
        {
            "id": child_ids(sources, step="ask"),
            "parents": [[one] for one in sources.to_pylist()],
            "template": "story/topic",
            "messages": [[{"role": "user", "content": f"{INSTRUCTION}: {topic}"}] for topic in topics],
            "references": [[text] for text in references],
        }
    )
    kinds = [kind for kind in KINDS for _ in range(PLANTED)]
    kinds += ["unrelated"] * (ITEMS - len(kinds))
    (folder / "kinds.json").write_text(
        json.dumps(dict(zip((one.hex() for one in items["id"].to_pylist()), kinds, strict=True)))
    )
    out = PartWriter(folder / "items.parquet")
    out.write(items)
    out.close()
    plants = {
        place * (size // len(kinds)): (place, planted(kind, references[place], writer))
        for place, kind in enumerate(kinds)
        if kind not in ("unrelated", "translated")
    }
    twins = {place * (size // len(kinds)): place for place, kind in enumerate(kinds) if kind == "translated"}
    own = sources.to_pylist()
    for shard, start in enumerate(range(0, size, 50_000)):
        out = PartWriter(folder / "train" / f"part-{shard:05}.parquet")
        many = min(50_000, size - start)
        texts = writer.texts(many, 10, 50)
        for at in range(start, start + many):
            if at in plants:
                texts[at - start] = plants[at][1]
            elif at % 100 == 7:
                texts[at - start] += f" {PRAYER}"
        asked = [f"{INSTRUCTION}: {topic}" for topic in writer.texts(many, 4, 8)]
        columns: dict[str, Any] = {
            "id": source_ids("train", "1", start=start, n=many),
            "parents": [[own[twins[at]]] if at in twins else None for at in range(start, start + many)],
            "template": "story/topic",
            "messages": [
                [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
                for prompt, text in zip(asked, texts, strict=True)
            ],
        }
        out.write(conform(columns))
        out.close()


def shards(folder: Path) -> Iterator[Any]:
    """The training rows of a folder."""
    for path in sorted((folder / "train").glob("*.parquet")):
        yield from read_part(path, COLUMNS)


def most_mb() -> float:
    """The most memory that this process has held (getrusage would count what its parent held, too)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def child(folder: Path) -> None:
    """Check, and print what was found as JSON."""
    items = next(read_part(folder / "items.parquet"))
    before = most_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    found = check_items(items, {"tuning": shards(folder)})
    facts = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "before_mb": before}
    facts["peak_mb"] = most_mb()
    lines = found.items.select(["item", "verdict", "touched", "kinds"]).to_pylist()
    print(
        json.dumps(
            {
                **facts,
                "items": lines,
                "stage": found.summary["stages"][0],
                "common": found.summary["common_wording"][:3],
            }
        )
    )


def measured(folder: Path) -> dict[str, Any]:
    """One check in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(folder)], capture_output=True, text=True, check=True
    )
    return {**json.loads(done.stdout), "kinds_of": json.loads((folder / "kinds.json").read_text())}


def plain(folder: Path) -> tuple[int, float, float, float]:
    """Shares of n-grams by a plain Python index: values compared, largest difference, its seconds and ours."""
    items = next(read_part(folder / "items.parquet"))
    started = time.process_time()
    settings = Settings(groups=ITEMS + 1, formula_groups=0)
    found = check_items(items, {"tuning": shards(folder)}, settings=settings)
    ours = time.process_time() - started
    started = time.process_time()
    shares: dict[tuple[str, str], float] = {}
    held = {order: defaultdict[tuple[str, ...], bool](bool) for order in settings.orders}
    references = FORM.words([one[0] for one in items["references"].to_pylist()])
    for order, known in held.items():
        for words in references:
            known.update(dict.fromkeys(zip(*(words[at:] for at in range(order)), strict=False), False))
    for table in shards(folder):
        for words in FORM.words([turn["content"] for turns in table["messages"].to_pylist() for turn in turns]):
            for order, known in held.items():
                for gram in zip(*(words[at:] for at in range(order)), strict=False):
                    if gram in known:
                        known[gram] = True
    for order, known in held.items():
        for item, words in zip(items["id"].to_pylist(), references, strict=True):
            hits = [known[gram] for gram in zip(*(words[at:] for at in range(order)), strict=False)]
            shares[item.hex(), f"ngram{order}"] = sum(hits) / len(hits)
    theirs = time.process_time() - started
    got = {
        (line["item"], line["kind"]): line["value"]
        for line in found.evidence.to_pylist()
        if line["part"] == "reference" and line["kind"].startswith("ngram")
    }
    gap = max(abs(value - got.get(key, 0.0)) for key, value in shares.items())
    return len(shares), gap, theirs, ours


def beside_janitor(folder: Path, python: Path) -> dict[str, Any]:
    """Items that share 13 words in a row with a training text: by Janitor, by mashq, and in one of them alone."""
    items = next(read_part(folder / "items.parquet"))
    training = [
        turn["content"] for table in shards(folder) for turns in table["messages"].to_pylist() for turn in turns
    ]
    names = [one.hex() for one in items["id"].to_pylist()]
    references = dict(zip(names, (one[0] for one in items["references"].to_pylist()), strict=True))
    told = json.dumps({"training": training, "items": references})
    done = subprocess.run([str(python), "-c", JANITOR], input=told, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])  # it warns above
    started = time.process_time()
    settings = Settings(orders=(13,), groups=ITEMS + 1, formula_groups=0, least=1)
    found = check_items(items, {"tuning": shards(folder)}, settings=settings)
    seconds = time.process_time() - started
    lines = found.evidence.to_pylist()
    ours = {line["item"] for line in lines if line["kind"] == "ngram13" and line["part"] == "reference"}
    kinds = json.loads((folder / "kinds.json").read_text())
    apart = {item for item in names if kinds[item] == "respelt"}
    dirty = set(theirs["dirty"])
    return {
        "differ": len((dirty ^ ours) - apart),
        "same": len((dirty & ours) - apart),
        "respelt": (len(dirty & apart), len(ours & apart)),
        "seconds": (theirs["cpu"], seconds),
    }


def recall(result: dict[str, Any], kind: str) -> str:
    """A line of the table: how many items of a kind were called contaminated, touched, and by which evidence."""
    lines = [line for line in result["items"] if result["kinds_of"][line["item"]] == kind]
    flagged = [line for line in lines if line["verdict"] == "contaminated"]
    touched = sum(line["touched"] for line in lines)
    by: dict[str, int] = defaultdict(int)
    for line in flagged:
        for name in line["kinds"]:
            by[name] += 1
    said = ", ".join(f"{name} {count}" for name, count in sorted(by.items())) or "-"
    return f"| {kind} | {KINDS.get(kind, 'nothing planted')} | {len(lines)} | {len(flagged)} | {touched} | {said} |"


def page(sizes: tuple[int, ...], python: Path) -> str:
    """The whole page in Markdown."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "plain"
        make(folder, PLAIN)
        compared, gap, theirs, ours = plain(folder)
        if gap > 1e-12:
            raise SystemExit(f"contamination: shares differ from the plain index by {gap:g}; nothing was timed")
        peer = beside_janitor(folder, python)
        if peer["differ"]:
            raise SystemExit(f"contamination: Janitor and mashq differ on {peer['differ']} items; nothing was timed")
        results = []
        for size in sizes:
            folder = Path(scratch) / str(size)
            make(folder, size)
            results.append(measured(folder))
    speed = [
        f"| {one['stage']['rows']:,} | {one['stage']['words']:,} | {one['wall']:.1f} | {one['cpu']:.1f} | "
        f"{one['stage']['words'] / one['cpu'] / 1e6:.2f} | {one['before_mb']:,.0f} | {one['peak_mb']:,.0f} |"
        for one in results
    ]
    last = results[-1]
    alarms = [line for line in last["items"] if last["kinds_of"][line["item"]] == "unrelated"]
    wrong = sum(line["verdict"] == "contaminated" for line in alarms)
    wanted = [line for line in last["items"] if last["kinds_of"][line["item"]] in WANTED]
    hit = sum(line["verdict"] == "contaminated" for line in wanted)
    wording = [
        f"| {line['text']} | {line['why']} | {line['items']:,} | {line['training_groups']:,} |"
        for line in last["common"]
    ]
    return "\n".join(
        [
            "# Contamination: what is found, and at what cost",
            "",
            "Made by `python benchmarks/contamination.py --peers-python peers/bin/python "
            "--write docs/benchmarks/contamination.md`.",
            "",
            f"* Machine: {machine('numpy', 'pyarrow', used='one core used')}.",
            f"* {ITEMS:,} test items: one instruction, a topic of 4 to 8 words, a reference of 31 to 61; {PLANTED} of "
            "each kind below, the others unrelated. Training rows: the same instruction, other topics, replies of 10 "
            "to 50 words; a formula of prayer in one row of a hundred and in one item of twenty. Words are made up, "
            "30,000 forms under a Zipf law, so texts share fewer spans by chance than real prose.",
            f"* Settings as they come: `{Settings().signature}`. Their limits were chosen on plants of another seed.",
            f"* Equality, checked first: {compared:,} shares of n-grams over {PLAIN:,} rows, no wording left out, "
            f"against a plain Python index of the same words: largest difference **{gap:.1e}** (plain {theirs:.1f} s, "
            f"mashq with all its other measures {ours:.1f} s of CPU).",
            "",
            f"## What is found among {last['stage']['rows']:,} rows",
            "",
            f"**{hit} of {len(wanted)}** planted copies that should be called contaminated are, and **{wrong} of "
            f"{len(alarms)}** unrelated items. A fifth of a text and its words in another order stay below the limits: "
            "a fifth is `touched`, and shuffled words are no copy.",
            "",
            "| planted | what | items | contaminated | touched | by |",
            "|---|---|---:|---:|---:|---|",
            *(recall(last, kind) for kind in [*KINDS, "unrelated"]),
            "",
            "## Wording that was left out",
            "",
            "| text in normal form | why | items | training groups (least, counted up to 50) |",
            "|---|---|---:|---:|",
            *wording,
            "",
            "## Time and memory",
            "",
            "| training rows | words | wall, s | CPU, s | million words a CPU second | MB before | MB at most |",
            "|---:|---:|---:|---:|---:|---:|---:|",
            *speed,
            "",
            "Training rows stream past once; what grows with them is what they share with the items. CPU seconds are "
            "the measure: wall time is that of a machine that did other work as well.",
            "",
            "## Beside lm-evaluation-harness's Janitor",
            "",
            f"The one question that both answer: which items share 13 words in a row with any of {PLAIN:,} rows?",
            "",
            "| | Janitor | mashq |",
            "|---|---:|---:|",
            f"| items that both find, none but respelt ones differ | {peer['same']} | {peer['same']} |",
            f"| respelt copies, of {PLANTED} | {peer['respelt'][0]} | {peer['respelt'][1]} |",
            f"| CPU, s | {peer['seconds'][0]:.1f} | {peer['seconds'][1]:.1f} |",
            "",
            "mashq's time holds the reading of Parquet and all its other measures; Janitor was given texts in memory "
            "(its Python part). datatrove's decontamination says which *training documents* hold an n-gram of a test "
            "set: another output, so it is not timed here.",
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="contamination: recall, false alarms, time and memory")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="training rows (default %(default)s)")
    parser.add_argument("--peers-python", type=Path, help="a Python that has lm-eval")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
    elif options.peers_python is None:
        parser.error("--peers-python: name a Python that has lm-eval (see the top of the file)")
    else:
        give(page(tuple(options.sizes), options.peers_python), options.write)


if __name__ == "__main__":
    main()
