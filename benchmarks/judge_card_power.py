"""What the judge card finds and what it says it would have found: fair judges, and judges that mind stretched words.

Imported by benchmarks/judge_card.py, which writes the page.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from scripted_judges import KnownTexts, ScriptedJudge, example_cases

from mashq.arabic import TATWEEL
from mashq.judge import Case
from mashq.judge.card import JudgeCard, judge_card
from mashq.judge.card_rules import conclusions
from mashq.judge.intervals import groups_needed
from mashq.metrics.detectable import ALPHA
from mashq.metrics.paired import least_p
from mashq.metrics.resample import wilson

# Replies, and how many of them to a prompt: a small run of three systems, and what `mashq judge --card` draws of three.
DRAWN = ((24, 3), (60, 3))
SEEN = ((24, 3), (30, 3), (12, 1), (15, 1), (20, 1), (60, 3), (30, 1), (40, 1), (60, 1))
FAIR = (  # what a fair judge does not do: family -> probe, measure
    ("place", "position", "advantage"),
    ("length", "length", "slope"),
    ("dialect", "dialect", "gap"),
    ("marks and spelling", "spelling", "change"),
    ("language of the rubric", "rubric", "gap"),
    ("halo of defects", "defects", "spill"),
)


@dataclass(frozen=True)
class MindsTatweel(ScriptedJudge):
    """Takes so many steps off a text with tatweel; whole steps are drawn by chance."""

    steps: float = 0.0
    minded: tuple[str, ...] = ("fluency",)
    noisy: bool = False
    dithered: bool = True

    def true_score(self, case: Case, criterion: str) -> float:
        """4, or in noisy judges a little around it."""
        score = 4.0 + (self.chance("taste", case.prompt, criterion) - 0.5 if self.noisy else 0.0)
        return score - self.steps * (TATWEEL in case.reply and criterion in self.minded)


def of_population(seed: int, cases: Sequence[Case]) -> list[Case]:
    """The cases as those of another population of prompts."""
    return [Case(f"{case.prompt} للقارئ {seed}", case.reply, case.variety) for case in cases]


# --- fair judges -----------------------------------------------------------------------------------------------------


def fair(judges: int) -> Iterator[str]:
    """A table: how often the card of a fair judge with noise finds a fault, family by family."""
    yield "| replies | groups | family | tests | fair judges charged | 95 % | interval leaves out 0, open |"
    yield "|---:|---:|---|---:|---:|---|---:|"
    for replies, of_a_prompt in DRAWN:
        charged, hinted, sizes, groups = Counter[str](), Counter[str](), dict[str, int](), 0
        for seed in range(judges):
            cases = of_population(seed, example_cases(replies, of_a_prompt))
            judge = ScriptedJudge(known=KnownTexts(cases), dithered=True, seed=seed)
            card = judge_card(judge, cases, probes=[probe for _, probe, _ in FAIR], seed=seed)
            groups = card.groups
            for name, count in _tested(card):
                sizes[name] = max(count, sizes.get(name, 0))
            charged.update(_charged(card))
            if seed % 50 == 49:
                print(replies, seed + 1, dict(charged), file=sys.stderr, flush=True)
            hinted.update({one.probe for one in conclusions(card) if one.key.startswith("hint")})
        for name, probe, _ in FAIR:
            low, high = wilson(charged[name] / judges, judges)
            yield (
                f"| {replies} | {groups} | {name} | {sizes[name]} | **{100 * charged[name] / judges:.1f} %** "
                f"| {100 * low:.1f} to {100 * high:.1f} | {100 * hinted[probe] / judges:.0f} % |"
            )
        low, high = wilson(charged["any"] / judges, judges)
        yield (
            f"| {replies} | {groups} | any of the six | | {100 * charged['any'] / judges:.1f} % "
            f"| {100 * low:.1f} to {100 * high:.1f} | |"
        )


def _tested(card: JudgeCard) -> Iterator[tuple[str, int]]:
    for name, probe, what in FAIR:
        yield name, sum(one.p is not None for one in card.of(probe, what))


def _charged(card: JudgeCard) -> set[str]:
    found = {
        name for name, probe, what in FAIR if any(one.p is not None and one.p < ALPHA for one in card.of(probe, what))
    }
    return found | ({"any"} if found else set())


# --- what would have been seen ---------------------------------------------------------------------------------------


def seen(judges: int) -> Iterator[str]:
    """A table: the effect of tatweel that the card says it would see, and how often it does."""
    yield "| replies | groups | 20 x least p | quiet: from | found | noisy: from | found | 1 off all | 4 off all |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---|---|"
    for drawn in SEEN:
        groups = drawn[0] // drawn[1]
        cells = [str(drawn[0]), str(groups), f"{20 * least_p(groups):.4f}"]
        for noisy in (False, True):
            sizes = [_tatweel(seed, drawn, 0.0, noisy)[0] for seed in range(20)]
            if None in sizes:
                cells += ["none", "–"]
                continue
            size = fmean(one for one in sizes if one is not None)
            found = sum(_tatweel(1000 + seed, drawn, size, noisy)[1] for seed in range(judges))
            low, high = wilson(found / judges, judges)
            cells += [f"{size:.2f}", f"{100 * found / judges:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"]
        print(cells, file=sys.stderr, flush=True)
        yield f"| {' | '.join([*cells, *(_said(drawn, steps) for steps in (1.0, 4.0))])} |"


def _tatweel(seed: int, drawn: tuple[int, int], steps: float, noisy: bool) -> tuple[float | None, bool]:
    """What the card would have seen of tatweel on fluency, and whether it was found."""
    judge = MindsTatweel(steps=steps, noisy=noisy, seed=seed)
    card = judge_card(judge, of_population(seed, example_cases(*drawn)), probes=["spelling"], seed=seed)
    (one,) = (one for one in card.of("spelling") if (one.criterion, one.about) == ("fluency", "tatweel"))
    assert one.p is not None
    return one.detectable, one.p < ALPHA


def _said(drawn: tuple[int, int], steps: float) -> str:
    """The status of the conclusion on a judge that takes so many steps off on every criterion."""
    judge = MindsTatweel(steps=steps, minded=ScriptedJudge().criteria)
    card = judge_card(judge, example_cases(*drawn), probes=["spelling"])
    return " ".join(sorted({one.status for one in conclusions(card) if one.about == "tatweel"}))


def section(judges: int) -> list[str]:
    """Both tables with what they mean, in Markdown."""
    needed = ", ".join(f"{groups_needed(tests)} groups for {tests}" for tests in (1, 5, 10, 20))
    return [
        "## Fair judges: how often a fault is found that is not there",
        "",
        f"{judges} judges whose scores are drawn anew for every text (whole steps by chance), with five criteria.",
        "p is Holm's within one probe and kind of measure: at most 5 % of fair judges should be charged in each such",
        "family. The last column is of cards on which an interval leaves out 0 and the test finds nothing: intervals",
        "are of 95 % each, not corrected for their number. That is open then, never clear.",
        "Verdicts of these judges do not depend on place at all.",
        "",
        *fair(judges),
        "",
        "## What would have been seen",
        "",
        f"A swap test over g groups gives no p below 2^(1-g). Corrected for its family it takes {needed} tests.",
        "With fewer groups the card calls nothing visible, and what shows in an interval is open. With more it says",
        "the smallest effect that is found four times in five at 5 % over the number of tests (Holm asks that of the",
        f"first alone). Here: 20 tests, {judges} judges that take so many steps off fluency for tatweel, on average;",
        "else all scores are 4 (quiet) or drawn anew for every text (noisy). The last two columns are of judges that",
        "take exactly 1 or 4 steps off every text with tatweel on every criterion: found (concern), or open.",
        "",
        *seen(judges),
        "",
    ]
