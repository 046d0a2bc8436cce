"""Does the judge card find how far a judge favours its own family? Judges with a planted preference, people with noise.

    python benchmarks/judge_preference.py                                             # prints the page
    python benchmarks/judge_preference.py --write docs/benchmarks/judge_preference.md

Every judge is scripted (tests/scripted_judges.py). How good a reply is, how a judge uses the scale, how much raters
differ and how many replies there are is set below, before anything was run. A first look at twelve judges a row changed
two things in the measure: with one rater it now says that it cannot tell, and the noise is taken out after Fuller's
correction for few replies. Nothing was changed after the whole page. Shares are of the cards that told something.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
from scripted_judges import ScriptedJudge
from sheet import give, machine

from mashq.judge import Case
from mashq.judge.card import JudgeCard, judge_card
from mashq.judge.measures import Measure
from mashq.metrics.resample import wilson

JUDGES = 240  # of each kind, half of them (every second) without a preference
REPLIES = (20, 40, 100)  # half by the judge's own family, half by another, to the same prompts
BETTER = (0.0, 0.8)  # steps by which the own family's replies are truly better
STEEP = (1.0, 0.6)  # steps of the judge for one step of quality: 0.6 is a judge that uses less of the scale
RATERS = (3, 2, 1)  # with one the card says that it cannot tell, and shows the plain difference alone
MOST = 0.8  # steps of preference, evenly to both sides
OF_PROMPT, OF_REPLY = 0.35, 0.45  # deviations of quality, in steps
JUDGES_OWN = 0.3  # deviation of what the judge sees otherwise than people do: of a prompt, and again of a reply
SEVERITY, RATING = 0.3, 0.6  # deviations of raters, and of one rating
BOUND = 1.2  # steps of quality from the middle, to both sides, so that the ends of the scale are seldom reached
TURNS = ("adjusted", "difference")


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    replies: int
    better: float
    steep: float
    raters: int


@dataclass
class Tally:
    """What the cards of one kind of judge held."""

    held: list[bool] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)  # of judges without a preference: was one found
    silent: int = 0  # cards that said that it cannot be told

    def add(self, measure: Measure, planted: float) -> None:
        """One card more."""
        if measure.value is None or measure.low is None or measure.high is None:
            self.silent += 1
            return
        self.held.append(measure.low <= planted <= measure.high)
        self.errors.append(measure.value - planted)
        self.widths.append(measure.high - measure.low)
        if planted == 0:
            self.alarms.append(measure.low > 0 or measure.high < 0)


@dataclass(frozen=True)
class Simulated:
    """A judge with a planted preference, the replies it is given, and what people said of them."""

    judge: ScriptedJudge
    cases: list[Case]
    own: list[bool]
    raters: list[list[int]]

    def card(self, probes: Sequence[str] = ()) -> JudgeCard:
        """Its card."""
        people = {"fluency": self.raters}
        return judge_card(self.judge, self.cases, people=people, own=self.own, probes=probes, seed=self.judge.seed)

    def with_noise(self) -> float:
        """What least squares say of the preference where the noise of people's means is left in."""
        scores = [one["fluency"] for one in self.judge.scores(self.cases)]
        columns = [np.ones(len(self.own)), np.mean(self.raters, axis=0), np.array(self.own, dtype=float)]
        return float(np.linalg.lstsq(np.stack(columns, axis=1), np.array(scores), rcond=None)[0][2])


def simulated(kind: Kind, seed: int) -> Simulated:
    """One judge of that kind; every second has no preference."""
    draw = random.Random(f"preference {kind} {seed}")
    planted = draw.uniform(-MOST, MOST) if seed % 2 else 0.0
    cases, own, quality, worth = [], [], {}, {}
    for item in range(kind.replies // 2):
        of_prompt, seen_in_prompt = draw.gauss(0, OF_PROMPT), draw.gauss(0, JUDGES_OWN)
        for is_own in (True, False):
            case = Case(
                f"اكتب قصة رقم {item}", f"{'رد' if is_own else 'جواب'} على الطلب {item} من البذرة {seed}.", "msa"
            )
            good = of_prompt + draw.gauss(0, OF_REPLY) + (0.5 if is_own else -0.5) * kind.better
            quality[case.reply] = min(BOUND, max(-BOUND, good))
            worth[case.reply] = kind.steep * quality[case.reply] + seen_in_prompt + draw.gauss(0, JUDGES_OWN)
            cases.append(case)
            own.append(is_own)
    judge = ScriptedJudge(
        worth=worth,
        family=frozenset(case.reply for case, is_own in zip(cases, own, strict=True) if is_own),
        favours=planted,
        dithered=True,
        seed=seed,
        criteria=("fluency",),
    )
    return Simulated(judge, cases, own, [_rater(draw, cases, quality) for _ in range(kind.raters)])


def _rater(draw: random.Random, cases: list[Case], quality: Mapping[str, float]) -> list[int]:
    """One rater's scores: the quality, the rater's severity and a draw for each; whole steps by chance."""
    severity = draw.gauss(0, SEVERITY)
    seen = (3 + quality[case.reply] + severity + draw.gauss(0, RATING) for case in cases)
    return [min(5, max(1, math.floor(one + draw.random()))) for one in seen]


def tallies(judges: int) -> Iterator[tuple[Kind, dict[str, Tally]]]:
    """Every kind, with what its cards held."""
    for replies, raters, better, steep in product(REPLIES, RATERS, BETTER, STEEP):
        kind = Kind(replies, better, steep, raters)
        found = {what: Tally() for what in TURNS}
        for seed in range(judges):
            one = simulated(kind, seed)
            card = one.card()
            for what in TURNS:
                for measure in card.of("preference", what):
                    found[what].add(measure, one.judge.favours)
        print(kind, *(len(one.held) for one in found.values()), file=sys.stderr, flush=True)
        yield kind, found


def _share(hits: list[bool], promised: float) -> str:
    """A share in percent with its interval; bold where the promise is outside it on the bad side."""
    if not hits:
        return "–"
    share = sum(hits) / len(hits)
    low, high = wilson(share, len(hits))
    bad = high < promised if promised > 0.5 else low > promised
    text = f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    return f"**{text}**" if bad else text


def _row(kind: Kind, found: Mapping[str, Tally]) -> str:
    one, plain = found["adjusted"], found["difference"]
    mean, width = ("–", "–")
    if one.errors:
        mean, width = f"{sum(one.errors) / len(one.errors):+.3f}", f"{sum(one.widths) / len(one.widths):.2f}"
    plain_mean = sum(plain.errors) / len(plain.errors)
    about = [kind.replies, kind.raters, kind.better, kind.steep, one.silent, mean, width]
    shares = [_share(one.held, 0.95), _share(one.alarms, 0.05), f"{plain_mean:+.3f}", _share(plain.held, 0.95)]
    cells = [*about, *shares]
    return f"| {' | '.join(map(str, cells))} |"


def wins(judges: int) -> list[str]:
    """What the pairs say of judges without a preference whose family is better, and is not."""
    rows = []
    for better in BETTER:
        kind = Kind(40, better, 1.0, 3)
        cards = [simulated(kind, seed).card(("position",)) for seed in range(0, judges, 2)]
        values = [one.value for card in cards for one in card.of("preference", "wins") if one.value is not None]
        rows.append(f"| {better} | {len(values)} | {100 * sum(values) / len(values):+.1f} |")
    return rows


def with_noise(judges: int) -> list[str]:
    """What least squares would say of judges without a preference, were the noise left in."""
    rows = []
    for better, raters in product(BETTER, RATERS):
        found = [simulated(Kind(40, better, 1.0, raters), seed).with_noise() for seed in range(0, judges, 2)]
        rows.append(f"| {better} | {raters} | {sum(found) / len(found):+.3f} |")
    return rows


def page(judges: int) -> str:
    """The whole page in Markdown."""
    start = time.process_time()
    rows = [_row(kind, found) for kind, found in tallies(judges)]
    of_pairs, noisy = wins(judges), with_noise(judges)
    seconds = time.process_time() - start
    short = sum("**" in row for row in rows)
    return "\n".join(
        [
            "# Does a judge favour its own family? Judges with a planted preference",
            "",
            "Made by `python benchmarks/judge_preference.py --write docs/benchmarks/judge_preference.md`.",
            "",
            f"* Machine: {machine('numpy', 'scipy')}; {seconds:.0f} CPU seconds.",
            f"* {judges} judges a row, seeds 0 to {judges - 1}: every second has a preference of up to {MOST} steps to",
            "  either side, the others none. Half the replies are by the own family, two to each prompt (a cluster).",
            f"* Quality differs by {OF_PROMPT} (prompts) and {OF_REPLY} (replies); a judge sees {JUDGES_OWN} of each",
            f"  otherwise; raters' severity differs by {SEVERITY}, one rating by {RATING}; whole steps are drawn.",
            "* Better: steps by which the own family's replies are truly better. Steep: the judge's steps for one of",
            "  quality. Untold: cards that said it cannot be told (one rater, or people agree too little).",
            "  Brackets are 95 % intervals (Wilson).",
            "* Held: 95 % intervals that hold the planted preference. Alarms: judges without one whose interval leaves",
            "  out 0; 5 % are promised. Bold is what surely breaks its promise.",
            "",
            "| replies | raters | better | steep | untold | mean error | width | held | alarms "
            "| plain difference: error | held |",
            "|---:|---:|---:|---:|---:|---:|---:|---|---|---:|---|",
            *rows,
            "",
            f"Rows with something that falls short: {short} of {len(rows)}.",
            "",
            "Wins of the own family by the judge less by people's means; 40 replies, three raters, nothing planted:",
            "",
            "| better | cards | mean, percentage points |",
            "|---:|---:|---:|",
            *of_pairs,
            "",
            "Why noise is taken out: the same regression with the noise of people's means left in, 40 replies, nothing",
            "planted. What the family is better by counts as preference, the more so the fewer rate a reply:",
            "",
            "| better | raters | mean of what it calls preference, steps |",
            "|---:|---:|---:|",
            *noisy,
            "",
        ]
    )


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="judges with a planted preference for their own family")
    parser.add_argument("--judges", type=int, default=JUDGES, help="of each kind (default %(default)s)")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    if options.judges < 2:
        parser.error("--judges: at least 2")
    give(page(options.judges), options.write)


if __name__ == "__main__":
    main()
