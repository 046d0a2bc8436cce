"""Story prompts and checks on the released AraStories: what parses, what passes, how different the stories are.

    MASHQ_DATA=... python benchmarks/story_checks.py --write docs/benchmarks/story_checks.md

Needs arastories_{msa,egyptian,moroccan}.csv (UBC-NLP/arastories) in the folder that --data or MASHQ_DATA names.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from sheet import give

from mashq import stories, story_checks
from mashq.metrics import diversity
from mashq.metrics.resample import wilson

SENTENCES = Path(__file__).parent.parent / "tests" / "varieties.yaml"
DRAWS = 20_000
SEED = 0
BLEU_TEXTS = 300
# AraStories' published rows, by word lists of others (MSA, Egyptian, Moroccan where three are known).
REFERENCE = {
    "country": "97 to 98 %",
    "season": "91 to 98 %",
    "dialogue": "97 to 99.6 %",
    "variety": "99.9, 95.7, 84.9 %",
}


@dataclass(frozen=True)
class Told:
    """A released prompt's slots, its story, and what the checks say of it."""

    slots: stories.Slots
    story: str
    found: dict[str, str | None]

    @classmethod
    def of(cls, prompt: str, story: str) -> Told:
        slots = stories.parse_prompt(prompt)
        return cls(slots, story, story_checks.check(story, slots))


def read(folder: Path, variety: str) -> list[Told]:
    """The released rows of a variety. A prompt that does not parse ends the benchmark with its error."""
    with (folder / f"arastories_{variety}.csv").open(encoding="utf-8-sig", newline="") as file:
        return [Told.of(row["Prompt"], row["Story"]) for row in csv.DictReader(file)]


def share(hits: int, n: int) -> str:
    """`93.1 % of 406 (90.2 to 95.2)`: a share with Wilson's 95 % interval."""
    if not n:
        return "-"
    low, high = wilson(hits / n, n)
    return f"{hits / n:.1%} of {n} ({100 * low:.1f} to {100 * high:.1f})".replace("%", " %")


def passes(told: Told, slots: stories.Slots, name: str) -> bool:
    return story_checks.check(told.story, slots)[name] is None


# --- what a prompt asks for ------------------------------------------------------------------------------------------


def asked_right(told: Sequence[Told], name: str) -> list[bool]:
    """Whether each story passes a check that its prompt asks for."""
    return [one.found[name] is None for one in told if name in one.found]


def asked_wrong(told: Sequence[Told], name: str, draw: random.Random) -> list[bool]:
    """The same where the prompt had asked for another value, drawn evenly; of dialogue: stories not asked for it."""
    if name == "dialogue":
        return [passes(one, replace(one.slots, dialogue=True), name) for one in told if not one.slots.dialogue]
    if name == "variety":
        others = [variety for variety in stories.RELEASED if variety != told[0].slots.variety]
        return [passes(one, replace(one.slots, variety=draw.choice(others)), name) for one in told]
    values = stories.values_of(name)
    made = []
    for one in told:
        value = getattr(one.slots, name)
        if value:
            wrong = draw.choice([other for other in values if other != value])
            made.append(passes(one, replace(one.slots, **{name: wrong}), name))
    return made


def acceptance(rows: dict[str, list[Told]]) -> Iterator[str]:
    """The table of every check."""
    yield "| check | variety | passes, as asked | would pass, asked for another value | reference |"
    yield "|---|---|---:|---:|---:|"
    for name in story_checks.CHECKS:
        for variety, told in rows.items():
            right = asked_right(told, name)
            draw = random.Random(f"{SEED}/{name}/{variety}")
            wrong = [] if name == "length" else asked_wrong(told, name, draw)
            reference = REFERENCE.get(name, "-") if variety == "msa" else ""
            yield (
                f"| {name} | {variety} | {share(sum(right), len(right))} | {share(sum(wrong), len(wrong))} "
                f"| {reference} |"
            )


def halves(rows: dict[str, list[Told]]) -> Iterator[str]:
    """Emotion and activity on the rows that were looked at while their words were written, and on the others."""
    yield "| check | variety | even rows: pass | wrong value | odd rows: pass | wrong value |"
    yield "|---|---|---:|---:|---:|---:|"
    for name in ("activity", "emotion"):
        for variety, told in rows.items():
            cells = []
            for first in (0, 1):
                part = told[first::2]
                right = asked_right(part, name)
                wrong = asked_wrong(part, name, random.Random(f"{SEED}/{name}/{variety}/{first}"))
                cells += [f"{sum(right) / len(right):.1%} of {len(right)}", f"{sum(wrong) / len(wrong):.1%}"]
            yield f"| {name} | {variety} | {' | '.join(cells)} |".replace("%", " %")


def with_words(folder: Path, rows: dict[str, list[Told]]) -> list[str]:
    """`halves` under the words of another folder of data files."""
    own = stories.DATA
    try:
        _use(folder)
        again = {
            name: [Told(one.slots, one.story, story_checks.check(one.story, one.slots)) for one in told]
            for name, told in rows.items()
        }
        return list(halves(again))
    finally:
        _use(own)


def _use(folder: Path) -> None:
    stories.DATA = folder
    for cached in (stories._read, stories._table, stories._language, stories.varieties):
        cached.cache_clear()


# --- varieties -------------------------------------------------------------------------------------------------------


def confusion(rows: dict[str, list[Told]]) -> Iterator[str]:
    """What the stories of each variety read as, told from the released varieties and from all."""
    yield "| stories | told from | reads as |"
    yield "|---|---|---|"
    for among in (stories.RELEASED, stories.varieties()):
        for variety, told in rows.items():
            found = Counter(story_checks.variety_of(one.story, among) for one in told)
            names = ", ".join(f"{name} {n}" for name, n in found.most_common())
            yield f"| {variety} | {len(among)} | {names} |"


def own_sentences() -> Iterator[str]:
    """Our own sentences in nine varieties."""
    known = yaml.safe_load(SENTENCES.read_text("utf-8"))
    yield "| variety | sentences | marker words a sentence, its own list | the nearest other list | read right |"
    yield "|---|---:|---:|---|---:|"
    for variety, sentences in known.items():
        counts = Counter[str]()
        for sentence in sentences:
            counts.update(story_checks.marker_counts(sentence))
        own = counts.pop(variety) / len(sentences)
        other, most = counts.most_common(1)[0]
        right = sum(story_checks.variety_of(one, stories.varieties()) == variety for one in sentences)
        yield f"| {variety} | {len(sentences)} | {own:.1f} | {other} {most / len(sentences):.1f} | {right} |"


# --- drawing ---------------------------------------------------------------------------------------------------------


def drawn_rates() -> Iterator[str]:
    """How often each slot is drawn and how even its values are, over all varieties."""
    drawn = {variety: stories.draw(DRAWS, variety, SEED) for variety in stories.varieties()}
    yield "| slot | p | rates of the nine varieties | values | least and most frequent value, of an even share |"
    yield "|---|---:|---:|---:|---:|"
    for name in stories.SLOT_NAMES:
        rates, counts = [], Counter[str]()
        for slots in drawn.values():
            values = [value for one in slots if (value := one.values().get(name))]
            rates.append(len(values) / DRAWS)
            counts.update(values)
        even = sum(counts.values()) / len(counts)
        spread = f"{min(counts.values()) / even:.2f} to {max(counts.values()) / even:.2f}" if len(counts) > 1 else "-"
        p = stories.probability(name)
        yield f"| {name} | {p:.2f} | {min(rates):.3f} to {max(rates):.3f} | {len(counts)} | {spread} |"


def constraints() -> Iterator[str]:
    """What never meets in one prompt."""
    yield "| these | never with these |"
    yield "|---|---|"
    for rule in stories.contradictions():
        sides = [f"{slot}: {', '.join(values)}" for slot, values in rule.items()]
        yield f"| {sides[0]} | {' and '.join(sides[1:])} |"


# --- diversity -------------------------------------------------------------------------------------------------------


def different(rows: dict[str, list[Told]]) -> Iterator[str]:
    """How different the stories of each variety are, and how well they obey, of equal amounts."""
    texts = {variety: [one.story for one in told] for variety, told in rows.items()}
    words = min(diversity.summary(one).words for one in texts.values())
    yield (
        f"| variety | words a story | distinct-1 | distinct-2 | distinct-3 | entropy of pairs, bits "
        f"| self-BLEU of {BLEU_TEXTS} | most frequent opening | its share | effective openings | near-duplicates "
        "| mean obedience |"
    )
    yield "|---|" + "---:|" * 6 + "---|" + "---:|" * 4
    for variety, told in rows.items():
        found = diversity.summary(texts[variety], words=words, bleu_texts=BLEU_TEXTS, seed=SEED)
        obeyed = sum(story_checks.obedience(one.story, one.slots) for one in told) / len(told)
        yield (
            f"| {variety} | {found.mean_words:.0f} | {found.distinct1:.3f} | {found.distinct2:.3f} "
            f"| {found.distinct3:.3f} | {found.entropy2:.2f} | {found.self_bleu:.3f} | {found.opening} "
            f"| {found.opening_share:.1%} | {found.effective_openings:.0f} | {found.near_duplicate_share:.1%} "
            f"| {obeyed:.1%} |"
        ).replace("%", " %")


# --- the page --------------------------------------------------------------------------------------------------------


def page(folder: Path, older: Path | None) -> str:
    """The whole page in Markdown; `older`: a folder of data files with the words as they were before."""
    rows = {variety: read(folder, variety) for variety in stories.RELEASED}
    title = "The same with the words as they were before (`--older FOLDER`, a folder of data files):"
    before = [title, "", *with_words(older, rows)] if older else []
    counts = ", ".join(f"{variety} {len(told)}" for variety, told in rows.items())
    return "\n".join(
        [
            "# Story prompts and checks on real stories",
            "",
            "Made by `MASHQ_DATA=... python benchmarks/story_checks.py --write docs/benchmarks/story_checks.md`.",
            "",
            f"* Stories: the released rows of AraStories (arXiv 2407.07551): {counts}. GPT-4 wrote them, and they "
            "were not chosen for obeying: some checks fail because the story does.",
            f"* Parsed back into slots: {sum(map(len, rows.values()))} of {sum(map(len, rows.values()))} prompts, "
            "every value known (asserted in `tests/test_stories.py`).",
            "* Intervals are Wilson's, 95 %. Wrong values are drawn evenly from the others of the slot, seed 0.",
            "* The teller of varieties, which decides where it is sure, was trained on pieces of a third of these "
            "stories, so the variety rows are no measurement of new ones.",
            "",
            "## Does a story obey: acceptance as asked, and asked for something else",
            "",
            *acceptance(rows),
            "",
            "References are rates on the same publication's rows that others measured with word lists of their own. "
            "The checks of country, season, place, activity and emotion look for words; a feeling is often shown "
            "without its name, and a story that names one feeling names others, so `emotion` tells little and is no "
            "default of a kept story. `characters` only sees more characters than asked for, by the names that a story "
            "introduces and the numbers that it says: fewer go unseen. Dialogue was not asked of the stories in "
            "the last column but one, and nothing forbade it. Not checked by words: ending, moral, topic, twist, age; "
            "`judge_questions` asks a language model.",
            "",
            "## Activity and emotion: rows looked at, and rows kept back",
            "",
            "The words were revised by what they mean and with the even rows in view: stems that begin other words "
            "went (قص is in قصير, short; قط with ف is فقط, only; مش is Egyptian for not), so did words of another "
            "feeling, and verbs are found in every person. Of odd rows only the rates were seen.",
            "",
            *halves(rows),
            *(["", *before] if before else []),
            "",
            "## Which variety a story reads as",
            "",
            *confusion(rows),
            "",
            "A story asked for in a released variety is told from the released ones; one asked for in another variety "
            "from all. So varieties can be added without changing what is said of the released stories.",
            "",
            "Our own sentences, written to be told apart (`tests/varieties.yaml`); no real stories in the six further "
            "varieties were at hand:",
            "",
            *own_sentences(),
            "",
            f"## Drawing: {DRAWS:,} prompts in each of {len(stories.varieties())} varieties, all different",
            "",
            *drawn_rates(),
            "",
            f"The standard error of a rate of 0.45 in {DRAWS:,} is 0.0035. Values bend where others contradict them "
            "(below); one character is rarer for it, because dialogue is drawn first.",
            "",
            "### What never meets in one prompt",
            "",
            *constraints(),
            "",
            "## How different the released stories are",
            "",
            *different(rows),
            "",
            "Distinct-n and entropy are of equally many running words of each variety, self-BLEU of equally many "
            "stories: with more text distinct-n falls and self-BLEU rises, so compare these with nothing else. "
            "Effective openings: the exponential of the entropy of the first three words. Near-duplicates: stories "
            "that share half of their runs of five words with another. Mean obedience: share of a story's checks "
            "passed.",
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="Story prompts and checks on the released AraStories")
    parser.add_argument("--data", default=os.environ.get("MASHQ_DATA"), help="folder of arastories_*.csv")
    parser.add_argument("--older", type=Path, help="data files with the words as they were before, to compare")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    if not options.data:
        parser.error("--data: expected the folder of arastories_*.csv, got nothing. Name it, or set MASHQ_DATA")
    give(page(Path(options.data), options.older), options.write)


if __name__ == "__main__":
    main()
