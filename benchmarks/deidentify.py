"""De-identification: precision and recall by kind beside two baselines, hard negatives, speed; and rows for review.

    python benchmarks/deidentify.py                                  # the dev part, printed
    python benchmarks/deidentify.py --part test --write docs/benchmarks/deidentify.md
    python benchmarks/deidentify.py --file ANOTHER.jsonl             # another labelled file, both parts
    python benchmarks/deidentify.py --tweets FILE.csv --sample 200 --seed 0 --review /tmp/review.tsv

The dev part was looked at while the rules were written, so only the test part measures. A text whose row has spans is
counted by its spans; in one without, everything found is a false alarm. A row names the kinds of hard negatives in it
(`negatives`); a row is counted under each kind that it names, with spans or without, as soon as anything is found that
touches none of its spans. Public persons (`note`) are names like others; their recall is also told apart. Intervals are
Wilson's at 95 %. Baselines: Presidio's own pattern recognisers without a model, and the plain regular expressions that
such a filter usually is. The file for review holds the text it is about: keep it out of the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from sheet import give, machine

from mashq.privacy import KINDS, Deidentifier, Found

Finder = Callable[[str], list[tuple[str, int, int]]]
LEASTS = (0.3, 0.5, 0.7)
WINDOW = 40  # characters shown on either side of a decision
REGEXES = {
    "email": r"[\w.+-]+@[\w-]+\.[\w.]+",
    "phone": r"\+?\d[\d\s-]{7,14}\d",
    "handle": r"@\w+",
    "birth_date": r"\d{1,2}[/-]\d{1,2}[/-]\d{2,4}",
    "doctor": r"(?<=د\. )\w+(?: \w+)?|(?<=الدكتور )\w+|(?<=الدكتورة )\w+",
}
PRESIDIO_KINDS = {"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IBAN_CODE": "iban", "DATE_TIME": "birth_date"}


class Row(NamedTuple):
    text: str
    spans: frozenset[tuple[str, int, int]]
    note: str = ""
    negatives: tuple[str, ...] = ()  # kinds of what looks like an identifier in it and is none


class Tally(NamedTuple):
    """Of one kind: how many were right, found in all, and wanted in all."""

    right_found: int
    found: int
    right_wanted: int
    wanted: int


def labelled(part: str, file: Path | None = None) -> list[Row]:
    """The rows of one part of the labelled set, or all of another file of its shape."""
    rows = []
    path = file or resources.files("mashq.data") / "privacy" / "labelled.jsonl"
    for line in path.read_text("utf-8").split("\n"):  # no splitlines(): a text may hold a line separator
        record = json.loads(line) if line.strip() else {"part": None}
        if record["part"] == part or (file and record["part"]):
            spans = frozenset((span["kind"], span["start"], span["end"]) for span in record["spans"])
            rows.append(Row(record["text"], spans, record.get("note", ""), tuple(record.get("negatives", ()))))
    return rows


def wilson(right: int, n: int) -> str:
    """A share with its 95 % interval (Wilson 1927), or a dash for none of nothing."""
    if not n:
        return "–"
    z, share = 1.959964, right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return f"{share:.3f} [{max(0.0, middle - half):.3f}, {min(1.0, middle + half):.3f}]"


def tally(rows: Sequence[Row], finder: Finder, overlap: bool) -> dict[str, Tally]:
    """Counts by kind, and under "any kind" with kinds ignored; `overlap`: one common character is enough."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        found = set(finder(row.text))
        for place, (ours, theirs) in enumerate(((found, row.spans), (row.spans, found))):
            for kind, start, end in ours:
                pairs = [
                    (other, a, b)
                    for other, a, b in theirs
                    if (a < end and start < b if overlap else (a, b) == (start, end))
                ]
                counts[kind][2 * place] += any(other == kind for other, _, _ in pairs)
                counts[kind][2 * place + 1] += 1
                counts["any kind"][2 * place] += bool(pairs)
                counts["any kind"][2 * place + 1] += 1
    return {kind: Tally(*values) for kind, values in counts.items()}


def false_alarms(rows: Sequence[Row], finder: Finder) -> Counter[str]:
    """By kind of hard negative, the rows that hold one and in which something is found beside their spans."""
    alarms: Counter[str] = Counter()
    for row in rows:
        beside = any(all(end <= a or b <= start for _, a, b in row.spans) for _, start, end in finder(row.text))
        alarms.update(set(row.negatives) if beside else ())
    return alarms


def public_figures(rows: Sequence[Row], finder: Finder) -> tuple[int, int]:
    """(found, wanted) of the names of public persons, which a row's note gives; a common character is enough."""
    found = wanted = 0
    for row in rows:
        named = row.note.partition("public figure:")[2].split(",")
        public = {name.strip() for name in named if name.strip()}
        spans = finder(row.text) if public else []
        for _, start, end in row.spans:
            if row.text[start:end] in public:
                wanted += 1
                found += any(a < end and start < b for _, a, b in spans)
    return found, wanted


def scores(rows: Sequence[Row]) -> list[str]:
    """Precision and recall of any kind at three values of `least`."""
    lines = ["| least | precision, overlap | recall, overlap | names: precision | names: recall | alarms |"]
    lines += ["|--:|---|---|---|---|--:|"]
    empty = [row for row in rows if not row.spans]
    for least in LEASTS:
        finder = ours(least)
        counts = tally(rows, finder, True)
        shares = []
        for kind in ("any kind", "name"):
            one = counts.get(kind, Tally(0, 0, 0, 0))
            shares += [wilson(one.right_found, one.found), wilson(one.right_wanted, one.wanted)]
        lines.append(
            f"| {least} | {' | '.join(shares)} | {sum(bool(finder(row.text)) for row in empty)} of {len(empty)} |"
        )
    return lines


# --- finders ---------------------------------------------------------------------------------------------------------


def ours(least: float = Deidentifier.least) -> Finder:
    settings = Deidentifier(least=least)
    return lambda text: [(found.kind, found.start, found.end) for found in settings.find(text)]


def plain_regexes() -> Finder:
    patterns = {kind: re.compile(pattern) for kind, pattern in REGEXES.items()}
    return lambda text: [
        (kind, *match.span()) for kind, pattern in patterns.items() for match in pattern.finditer(text)
    ]


def presidio_patterns() -> Finder:
    """Presidio's default recognisers that need no model and no network, in English as they come, context words off."""
    from presidio_analyzer.predefined_recognizers import DateRecognizer, IbanRecognizer, PhoneRecognizer
    from presidio_analyzer.predefined_recognizers import EmailRecognizer as Email

    class Offline(Email):
        def validate_result(self, pattern_text: str) -> bool:
            return True  # the original asks tldextract, which fetches a list from the network

    recognisers = [Offline(), PhoneRecognizer(), IbanRecognizer(), DateRecognizer()]

    def find(text: str) -> list[tuple[str, int, int]]:
        results = [one for each in recognisers for one in each.analyze(text, each.supported_entities, None) or []]
        return [(PRESIDIO_KINDS[one.entity_type], one.start, one.end) for one in results if one.score > 0]

    return find


# --- the page --------------------------------------------------------------------------------------------------------


def page(part: str, file: Path | None = None) -> str:
    rows = labelled(part, file)
    finders = {
        "mashq": ours(),
        "Presidio's patterns": presidio_patterns(),
        "plain regular expressions": plain_regexes(),
    }
    empty = [row for row in rows if not row.spans]
    negatives = Counter(kind for row in rows for kind in set(row.negatives))
    lines = [
        f"# De-identification, {file.name if file else f'{part} part'}",
        "",
        f"{len(rows)} texts, {sum(len(row.spans) for row in rows)} spans, {len(empty)} texts without any.",
        machine("phonenumbers", "presidio-analyzer") + ".",
    ]
    for name, finder in finders.items():
        lines += ["", f"## {name}", ""]
        lines += table(tally(rows, finder, False), tally(rows, finder, True))
        alarms, (right, n_public) = false_alarms(rows, finder), public_figures(rows, finder)
        lines += [
            "",
            f"Texts without identifiers in which something is found: {sum(bool(finder(row.text)) for row in empty)} of "
            f"{len(empty)}. Hard negatives, texts with something found beside their spans:",
            "",
        ]
        lines += [f"* {kind}: {alarms[kind]} of {n}" for kind, n in sorted(negatives.items())]
        lines += ["", f"Names of public persons, recall by overlap: {wilson(right, n_public)} of {n_public}."]
        lines += ["", f"Speed: {speed(finder, [row.text for row in rows]):,.0f} texts a CPU second (median of 5)."]
    lines += ["", "## mashq at other values of `least`", "", *scores(rows)]
    return "\n".join(lines) + "\n"


def table(exact: dict[str, Tally], overlap: dict[str, Tally]) -> list[str]:
    lines = ["| kind | wanted | found | precision, exact | recall, exact | precision, overlap | recall, overlap |"]
    lines += ["|---|--:|--:|---|---|---|---|"]
    for kind in ("any kind", *KINDS):
        if kind in exact:
            one, other = exact[kind], overlap[kind]
            shares = [wilson(one.right_found, one.found), wilson(one.right_wanted, one.wanted)]
            shares += [wilson(other.right_found, other.found), wilson(other.right_wanted, other.wanted)]
            lines.append(f"| {kind} | {one.wanted} | {one.found} | {' | '.join(shares)} |")
    return lines


def speed(finder: Finder, texts: Sequence[str]) -> float:
    """Texts a CPU second: the median of five rounds after one to warm up."""
    rates = []
    for _ in range(6):
        begun = time.process_time()
        for text in texts:
            finder(text)
        rates.append(len(texts) / max(time.process_time() - begun, 1e-9))
    return sorted(rates[1:])[2]


# --- rows for a person's review --------------------------------------------------------------------------------------


def texts_of(path: Path) -> list[str]:
    """The texts of a CSV file's first column of text (named tweet, text or post), or the lines of another file."""
    if path.suffix.lower() != ".csv":
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        named = next((name for name in ("tweet", "text", "post") if name in (reader.fieldnames or ())), None)
        column = named or (reader.fieldnames or [""])[0]
        return [row[column] for row in reader if row[column]]


def review(texts: Iterable[str], sample: int, seed: int) -> list[dict[str, str]]:
    """Decisions to be judged: half found and half let through, each half by turns from every kind."""
    settings = Deidentifier()
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    passed: dict[str, list[dict[str, str]]] = defaultdict(list)
    for text in texts:
        taken = settings.find(text)
        for one in taken:
            found[one.kind].append(_decision(text, one, "found"))
        for one in settings.candidates(text):
            apart = all(one.end <= other.start or other.end <= one.start for other in taken)
            if one.score < settings.least and apart:
                passed[one.kind].append(_decision(text, one, "let through"))
    chance = random.Random(seed)
    return _by_turns(found, sample - sample // 2, chance) + _by_turns(passed, sample // 2, chance)


def _decision(text: str, found: Found, decision: str) -> dict[str, str]:
    before, after = text[max(0, found.start - WINDOW) : found.start], text[found.end : found.end + WINDOW]
    shown = f"{before}⟦{text[found.start : found.end]}⟧{after}"
    line = " ".join(shown.split())
    return {"decision": decision, "kind": found.kind, "score": f"{found.score:.2f}", "text": line, "verdict": ""}


def _by_turns(groups: dict[str, list[dict[str, str]]], n: int, chance: random.Random) -> list[dict[str, str]]:
    """n rows, one of each kind in turn, so that rare kinds are seen."""
    piles = {kind: chance.sample(rows, len(rows)) for kind, rows in sorted(groups.items())}
    taken: list[dict[str, str]] = []
    while len(taken) < n and any(piles.values()):
        for rows in piles.values():
            if rows and len(taken) < n:
                taken.append(rows.pop())
    return taken


def write_review(rows: Sequence[dict[str, str]], path: Path) -> None:
    """A table for a person. Refuses a place inside the repository, because the rows hold what is to be removed."""
    root = Path(__file__).resolve().parents[1]
    if path.resolve().is_relative_to(root):
        raise SystemExit(f"--review: {path} is inside the repository; it holds people's texts. Name a place outside.")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["decision", "kind", "score", "text", "verdict"], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("dev", "test"), default="dev", help="of the labelled set (default dev)")
    parser.add_argument("--file", type=Path, help="another labelled file (JSON lines), all of it")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    parser.add_argument("--tweets", type=Path, help="a CSV or text file of real posts, for a person's review")
    parser.add_argument("--sample", type=int, default=200, help="decisions to review (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--review", type=Path, help="where the decisions go: a place outside the repository")
    asked = parser.parse_args()
    if not asked.tweets:
        give(page(asked.part, asked.file), asked.write)
        return
    if not asked.review:
        parser.error("--tweets needs --review PATH, outside the repository")
    write_review(review(texts_of(asked.tweets), asked.sample, asked.seed), asked.review)
    print(f"{asked.review}: fill in the column 'verdict'")


if __name__ == "__main__":
    main()
