"""The judge card on simulated judges whose faults are known: how often its intervals hold the planted value.

    python benchmarks/judge_card.py                                        # prints the page
    python benchmarks/judge_card.py --write docs/benchmarks/judge_card.md

Every judge is scripted (tests/scripted_judges.py): it computes its scores from the text it is shown, with a fault of
known size, noise, and answers that cannot be read. Seeds and sizes are fixed below, before anything was run.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from judge_card_power import of_population, section
from scripted_judges import KnownTexts, ScriptedJudge, example_cases
from sheet import give, machine

from mashq.judge import Case
from mashq.judge.card import JudgeCard, Measure, judge_card
from mashq.judge.probes import doublings, packaged_parallel, trials_of
from mashq.metrics.resample import wilson

JUDGES = 200
CASES = 40  # given to each judge
MALFORMED = 0.05  # of its answers
CRITERIA = ("fluency", "coherence")
PACKAGED = KnownTexts([])  # what judges know who look for no defects

METHOD = (
    "A fault near 0 often does not happen once in 40 cases, and a bootstrap of items that are all equal has no width.",
    "So the intervals of means, differences and slopes count a few pseudo-items of what was merely not seen: a step up",
    "and a step down (Bonett and Price 2012), for amounts of change two that did not move and two that moved a step",
    "(Agresti and Coull 1998). Shares are Wilson's. Clusters count as their effective number, with Student's quantile.",
    'Such intervals err on the wide side: "above" says where.',
)


@dataclass
class Tally:
    """How often the interval of one measure held what was planted."""

    planted: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, measure: Measure, planted: float) -> None:
        """One judge more."""
        assert measure.value is not None and measure.low is not None and measure.high is not None, measure
        self.planted.append(planted)
        self.found.append(measure.value)
        self.held.append(measure.low <= planted <= measure.high)
        self.widths.append(measure.high - measure.low)

    def row(self, name: str) -> str:
        """A line of the table."""
        n, share = len(self.held), sum(self.held) / len(self.held)
        low, high = wilson(share, n)
        errors = [found - planted for found, planted in zip(self.found, self.planted, strict=True)]
        bias, width = sum(errors) / n, sum(self.widths) / n
        verdict = "yes" if low <= 0.95 <= high else "above" if low > 0.95 else "**short**"
        spread = f"{min(self.planted):.2f} to {max(self.planted):.2f}"
        return (
            f"| {name} | {n} | {spread} | {bias:+.3f} | {width:.2f} "
            f"| **{100 * share:.1f} %** | {100 * low:.1f} to {100 * high:.1f} | {verdict} |"
        )


@dataclass(frozen=True)
class Planted:
    """One simulated judge, the cases it is given, and what its card must find: (row of the table, measure, value)."""

    judge: ScriptedJudge
    cases: Sequence[Case]
    groups: Sequence[str] | None
    probes: tuple[str, ...]
    truths: Callable[[JudgeCard], Iterator[tuple[str, Measure, float]]]


def the(card: JudgeCard, probe: str, what: str, criterion: str = "", about: str = "") -> Measure:
    """The one measure of that name."""
    (found,) = (one for one in card.of(probe, what) if (one.criterion, one.about) == (criterion, about))
    return found


def of_places(seed: int) -> Planted:
    """Two replies to each of 40 prompts; a preference for the first or the second place."""
    place = random.Random(f"place {seed}").uniform(-0.5, 0.5)

    def truths(card: JudgeCard) -> Iterator[tuple[str, Measure, float]]:
        yield "place: first minus second", the(card, "position", "advantage"), place
        # In one of the two orders the favoured place is the better reply's already.
        yield "place: flips", the(card, "position", "flip"), abs(place)
        yield "answers that cannot be read", the(card, "unparsed", "share", about="position"), MALFORMED

    judge = ScriptedJudge(known=PACKAGED, place=place, malformed=MALFORMED, seed=seed, criteria=CRITERIA)
    return Planted(judge, example_cases(2 * CASES, of_a_prompt=2), None, ("position",), truths)


def of_lengths(seed: int, *, clustered: bool) -> Planted:
    """A slope that differs from prompt to prompt; `clustered`: four replies to each of ten prompts."""
    per_doubling = random.Random(f"length {seed}").uniform(-0.5, 0.5)
    # A new population of prompts for each judge, or the item effects would be the same ones again.
    cases = of_population(seed, example_cases(CASES, of_a_prompt=4 if clustered else 1))
    of = ", ten clusters of four" if clustered else ""

    def truths(card: JudgeCard) -> Iterator[tuple[str, Measure, float]]:
        for criterion in CRITERIA:
            yield f"length: per doubling{of}", the(card, "length", "slope", criterion, "padded"), per_doubling
            # How good a reply is has nothing to do with its length here, so the association is the slope.
            association = the(card, "length", "association", criterion)
            yield f"length: association in the cases{of}", association, per_doubling

    judge = ScriptedJudge(
        known=PACKAGED,
        per_doubling=per_doubling,
        unlike=0.3,
        dithered=True,
        malformed=MALFORMED,
        seed=seed,
        criteria=CRITERIA,
    )
    return Planted(judge, cases, None, ("length",), truths)


def of_dialects(seed: int) -> Planted:
    """A gap to dialect and a length bias beside it; the texts of the varieties differ a little in length."""
    gap = random.Random(f"dialect {seed}").uniform(-0.8, 0.4)
    per_doubling = 0.2
    sets = packaged_parallel()

    def truths(card: JudgeCard) -> Iterator[tuple[str, Measure, float]]:
        for dialect in ("egyptian", "moroccan"):
            longer = sum(doublings(texts["msa"].reply, texts[dialect].reply) for texts in sets) / len(sets)
            for criterion in CRITERIA:
                found = the(card, "dialect", "gap", criterion, dialect)
                yield "dialect minus standard, 24 sets", found, gap + per_doubling * longer

    judge = ScriptedJudge(
        known=PACKAGED,
        dialect=gap,
        per_doubling=per_doubling,
        dithered=True,
        malformed=MALFORMED,
        seed=seed,
        criteria=CRITERIA,
    )
    return Planted(judge, example_cases(2), None, ("dialect",), truths)


def of_unsteadiness(seed: int) -> Planted:
    """Scores that move by a step when asked again."""
    unstable = random.Random(f"retest {seed}").uniform(0.0, 0.4)

    def truths(card: JudgeCard) -> Iterator[tuple[str, Measure, float]]:
        for criterion in CRITERIA:
            yield "asked twice: equal scores", the(card, "retest", "equal", criterion), 1 - unstable
            yield "asked twice: mean change", the(card, "retest", "moved", criterion), unstable

    judge = ScriptedJudge(known=PACKAGED, unstable=unstable, malformed=MALFORMED, seed=seed, criteria=CRITERIA)
    return Planted(judge, example_cases(CASES), None, ("retest",), truths)


def of_defects(seed: int, known: KnownTexts, cases: Sequence[Case]) -> Planted:
    """Defects that are seen by chance, and false alarms."""
    draw = random.Random(f"defects {seed}")
    sees, alarm = draw.uniform(0.1, 0.9), draw.uniform(0.05, 0.3)
    false = alarm * (1 - alarm)  # the changed text raises an alarm, and the first did not
    detected = sees + (1 - sees) * false

    def truths(card: JudgeCard) -> Iterator[tuple[str, Measure, float]]:
        for defect in ("truncation", "repeated"):
            yield "defects: detection", the(card, "defects", "detection", "coherence", defect), detected
            lift = the(card, "defects", "lift", "coherence", defect)
            yield "defects: detection minus false alarms", lift, detected - false
        yield "defects: false alarms", the(card, "defects", "false_alarm", "coherence"), false

    judge = ScriptedJudge(known=known, sees=sees, alarm=alarm, malformed=MALFORMED, seed=seed, criteria=("coherence",))
    return Planted(judge, cases, None, ("defects",), truths)


def planted(judges: int) -> Iterator[Planted]:
    """Every simulated judge of the page."""
    cases = example_cases(CASES)
    known = KnownTexts(cases)
    for seed in range(judges):
        yield of_places(seed)
        yield of_lengths(seed, clustered=False)
        yield of_lengths(seed, clustered=True)
        yield of_dialects(seed)
        yield of_unsteadiness(seed)
        yield of_defects(seed, known, cases)


def tallies(judges: int) -> tuple[dict[str, Tally], int]:
    """What the cards of so many judges of each kind held, and how many requests were made."""
    found: dict[str, Tally] = {}
    requests = 0
    for number, one in enumerate(planted(judges)):
        if number % 120 == 119:
            print(
                f"{number + 1} judges of {6 * judges}",
                *(tally.row(name) for name, tally in found.items()),
                sep="\n",
                file=sys.stderr,
                flush=True,
            )
        card = judge_card(one.judge, one.cases, groups=one.groups, probes=one.probes, seed=one.judge.seed)
        requests += card.requests
        for name, measure, value in one.truths(card):
            found.setdefault(name, Tally()).add(measure, value)
    return found, requests


def page(judges: int) -> str:
    """The whole page in Markdown."""
    start = time.process_time()
    found, requests = tallies(judges)
    powers = section(judges)
    seconds = time.process_time() - start
    rows = [tally.row(name) for name, tally in found.items()]
    short = [name for name, tally in found.items() if "short" in tally.row(name)]
    padded = trials_of(example_cases(3), ["a", "b", "c"], probes=["length"], criteria=()).of("length")
    example = math.fsum(trial.amount for trial in padded[:3]) / 3
    return "\n".join(
        [
            "# The judge card on judges whose faults are known",
            "",
            "Made by `python benchmarks/judge_card.py --write docs/benchmarks/judge_card.md`.",
            "",
            f"* Machine: {machine('numpy', 'scipy')}; {seconds:.0f} CPU seconds, {requests:,} requests answered.",
            f"* {judges} judges of each kind with {CASES} cases each, seeds 0 to {judges - 1}, fixed beforehand.",
            f"  The size of a judge's fault is drawn for it; {100 * MALFORMED:.0f} % "
            "of the answers of all cannot be read.",
            f"* A judge computes its scores from the text it is shown; filler made the replies longer by {example:.1f}",
            "  doublings. Whole steps are drawn by chance, so that the mean score is the true one, and no score is cut",
            "  off at the ends of the scale. Slopes differ from prompt to prompt by up to 0.3 to both sides.",
            "* Held: the share of 95 % intervals that hold the planted value, with its own 95 % interval (Wilson).",
            "  Where a judge has several of one kind (criteria, dialects), they are counted apart, so that this",
            "  interval is a little narrow.",
            "",
            "| measure | intervals | planted | mean error | mean width | held | 95 % | holds 95 % |",
            "|---|---:|---|---:|---:|---:|---|---|",
            *rows,
            "",
            "What falls short: " + (", ".join(short) if short else "nothing in this table") + ".",
            "",
            *METHOD,
            "",
            *powers,
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="the judge card on judges whose faults are known")
    parser.add_argument("--judges", type=int, default=JUDGES, help="of each kind (default %(default)s)")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    if options.judges < 1:
        parser.error("--judges: at least 1")
    give(page(options.judges), options.write)


if __name__ == "__main__":
    main()
