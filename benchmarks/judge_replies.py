"""Malformed replies of judges: how many are read right, in the shapes known to the parser and in others.

    python benchmarks/judge_replies.py                                            # prints the page
    python benchmarks/judge_replies.py --write docs/benchmarks/judge_replies.md

The corpora of the tests are known: the parser was mended until it read every one. judge_replies_unseen.txt was written
by somebody who had seen neither the parser nor those corpora, and is not tuned to. A reply is right where every
criterion has its score, or none where none can be known; what is read otherwise is listed, invented numbers apart.
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
FILES = {
    "known: ours": TESTS / "judge_replies.txt",
    "known: of others": TESTS / "judge_replies_of_others.txt",
    "unseen": HERE / "judge_replies_unseen.txt",
}


def told(name: str, samples: Sequence[Sample]) -> tuple[str, list[str]]:
    """A line of the table, and a line for every kind that is not read right."""
    wrong: dict[str, list[str]] = {}
    invented = 0
    for one in samples:
        found = dict(one.read().values)
        made_up = any(found.get(key) not in (None, right) for key, right in one.scores.items())
        if any(found.get(key) != right for key, right in one.scores.items()):
            invented += made_up
            wrong.setdefault(one.kind, []).append("another number" if made_up else "none, though it can be known")
    right = len(samples) - sum(map(len, wrong.values()))
    low, high = wilson(right / len(samples), len(samples))
    kinds = len({one.kind for one in samples})
    line = f"| {name} | {kinds} | {len(samples)} | {right} | {100 * right / len(samples):.1f} % | "
    line += f"{100 * low:.1f} to {100 * high:.1f} | {invented} |"
    return line, [f"* {name}: {kind}: {', '.join(sorted(set(how)))} ({len(how)})" for kind, how in wrong.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    options = parser.parse_args()
    lines, faults = zip(*(told(name, corpus(path)) for name, path in FILES.items()), strict=True)
    listed = [one for some in faults for one in some]
    page = f"""# What judges reply, read

Made by `python benchmarks/judge_replies.py --write docs/benchmarks/judge_replies.md`.

A judge is asked for JSON and replies as it likes: in Arabic digits, in a table, with the scale before it, twice, cut
off. Most replies stand with three sets of scores, in western, Arabic-Indic and Persian digits. Right: every criterion
has its score, and none where none can be known. Intervals are Wilson's over replies, though replies of one kind stand
and fall together.

The parser was mended until it read every known shape. The unseen ones were written by a reader who had seen neither
parser nor corpora, from what judges of twelve families are known to reply; they were read once for this page and
nothing was changed for them. So the last line is what to expect of replies that nobody thought of.

| replies | kinds | replies | read right | share | 95 % | with a number that was not said |
|---|---:|---:|---:|---:|---:|---:|
{chr(10).join(lines)}

What is not read right has no score, with the reason, in the table of judgements; it is counted in every summary and
never dropped.

The corpora of others were unseen once. What the parser of the day read right at first sight: 95 of 110 replies
(86.4 %), then 296 of 354 (83.6 %, two invented numbers), then, mended in between, 372 of 401 (92.8 %, none invented).

{chr(10).join(listed) or "Every reply was read right."}
"""
    give(page, options.write)


if __name__ == "__main__":
    main()
