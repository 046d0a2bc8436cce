"""Malformed replies of judges: how many are read right, and how many were when they were new.

    python benchmarks/judge_replies.py                                            # prints the page
    python benchmarks/judge_replies.py --write docs/benchmarks/judge_replies.md

The corpora are the tests'. judge_replies.txt is ours; judge_replies_of_others.txt is ten corpora, each written by a
language model that had seen neither the parser nor another corpus. Each was read once by the parser of the day
(`FIRST_SIGHT`, noted then), and the parser was mended for it afterwards. A reply is right where every criterion has its
score, or none where none can be known; what is read otherwise is listed, invented numbers apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from sheet import give
from test_judge_reply import Sample, corpus

from mashq.metrics.resample import wilson

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
# How kinds of the last two corpora, and of what was written for each, begin.
NINTH, AFTER_NINTH, TENTH, AFTER_TENTH = "ninth,", "after reading,", "tenth,", "after the tenth,"
LAST = (NINTH, AFTER_NINTH, TENTH, AFTER_TENTH)
# Of each corpus of others: kinds, replies, read right at first sight, with a number that was not said.
FIRST_SIGHT = (
    (40, 110, 95, 0),
    (174, 354, 296, 2),
    (161, 401, 372, 0),
    (108, 252, 241, 0),
    (152, 400, 354, 5),
    (133, 347, 333, 0),
    (142, 368, 362, 0),
    (148, 384, 374, 0),
    (307, 307, 256, 9),
    (250, 250, 224, 5),
)


def told(name: str, samples: Sequence[Sample]) -> tuple[str, list[str]]:
    """A line of the table, and a line for every kind that is not read right."""
    wrong: dict[str, list[str]] = {}
    invented = 0
    for one in samples:
        if faults := one.faults():
            made_up = any(found is not None for found, _ in faults.values())
            invented += made_up
            wrong.setdefault(one.kind, []).append("another number" if made_up else "none, though it can be known")
    right = len(samples) - sum(map(len, wrong.values()))
    low, high = wilson(right / len(samples), len(samples))
    kinds = len({one.kind for one in samples})
    line = f"| {name} | {kinds} | {len(samples)} | {right} | {100 * right / len(samples):.1f} % | "
    line += f"{100 * low:.1f} to {100 * high:.1f} | {invented} |"
    return line, [f"* {name}: {kind}: {', '.join(sorted(set(how)))} ({len(how)})" for kind, how in wrong.items()]


def known() -> dict[str, list[Sample]]:
    """The replies that the parser knows by now, by where they come from."""
    others = corpus(TESTS / "judge_replies_of_others.txt")
    return {
        "known: ours": corpus(TESTS / "judge_replies.txt"),
        "known: of others, 1 to 8": [one for one in others if not one.kind.startswith(LAST)],
        "known: of others, 9": [one for one in others if one.kind.startswith(NINTH)],
        "known: written for the faults of 9": [one for one in others if one.kind.startswith(AFTER_NINTH)],
        "known: of others, 10": [one for one in others if one.kind.startswith(TENTH)],
        "known: written for the faults of 10": [one for one in others if one.kind.startswith(AFTER_TENTH)],
    }


def first_sight() -> str:
    """The table of what was read right at first sight."""
    lines = []
    for number, (kinds, replies, right, invented) in enumerate(FIRST_SIGHT, 1):
        low, high = wilson(right / replies, replies)
        share = f"{100 * right / replies:.1f} % | {100 * low:.1f} to {100 * high:.1f}"
        lines.append(f"| {number} | {kinds} | {replies} | {right} | {share} | {invented} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    lines, faults = zip(*(told(name, samples) for name, samples in known().items()), strict=True)
    listed = [one for some in faults for one in some]
    page = f"""# What judges reply, read

Made by `python benchmarks/judge_replies.py --write docs/benchmarks/judge_replies.md`.

A judge is asked for JSON and replies as it likes: in Arabic digits, in a table, with the scale before it, twice, cut
off. Most replies stand with three sets of scores, in western, Arabic-Indic and Persian digits. Right: every criterion
has its score, and none where none can be known. Intervals are Wilson's over replies, though replies of one kind stand
and fall together.

| replies | kinds | replies | read right | share | 95 % | with a number or side that was not said |
|---|---:|---:|---:|---:|---:|---:|
{chr(10).join(lines)}

What is not read right has no score, with the reason, in the table of judgements; it is counted in every summary and
never dropped.

{chr(10).join(listed) or "Every reply was read right."}

## At first sight

Each corpus of others was written by a language model that was told what a judge is asked and knew nothing of the
parser or of the other corpora: from what judges of many families are known to reply. Each was read once when it came,
and the parser was mended for it before the next one was written. So the last lines are what to expect of replies that
nobody thought of. The fifth prefers the odd to the frequent. The ninth is harder than those before it: each of its
replies stands once, a fifth of them compare two replies, and it looks for scales said once for all, corrections and
doubts in words, deductions and suppositions. Nine of its replies were given a number or a side that was not said. The
tenth is as hard, and five of its replies were; one quoted scores that the judged text demanded, and refused them.

| corpus | kinds | replies | read right | share | 95 % | with a number or side that was not said |
|---:|---:|---:|---:|---:|---:|---:|
{first_sight()}
"""
    give(page, options.write)


if __name__ == "__main__":
    main()
