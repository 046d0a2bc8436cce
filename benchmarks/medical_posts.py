"""What the data steps of the medical recipe do to synthetic posts, against what was planted in them.

    python benchmarks/medical_posts.py --threads 2000 --write docs/benchmarks/medical_posts.md

The posts (`mashq/medical/posts.py`) and the parts that clean them were written apart: neither saw the other's lists.
Kept threads are looked through for the planted characters; pairs are compared with what the writer of a thread meant.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mashq.make import Wish, make_recipe
from mashq.medical.posts import IDENTIFIERS, NO_PAIR, NOISE, SPELLINGS
from mashq.metrics.resample import wilson
from mashq.posts import RED_FLAG
from mashq.run import manifest_of, read_rows

COMMAND = "python benchmarks/medical_posts.py --threads 2000 --write docs/benchmarks/medical_posts.md"
# Boards of the writer under the names of mashq.medical; "emergency" is a red flag, whatever its specialty.
BOARDS = {"ear_nose_throat": "ent", "chest": "respiratory", "gynaecology": "obstetrics_gynaecology"}


def step(runs: Path, name: str) -> Path:
    (folder,) = (runs / "steps").glob(f"{name}@*")
    return folder


def records(runs: Path) -> dict[str, dict[str, Any]]:
    """Key -> raw record."""
    found = (json.loads(meta) for table in read_rows(step(runs, "raw")) for meta in table["meta"].to_pylist())
    return {one["key"]: one for one in found}


def rows(runs: Path, name: str, dropped: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key of the record, row with its meta opened)."""
    for table in read_rows(step(runs, name), dropped=dropped):
        for row in table.to_pylist():
            meta = json.loads(row["meta"] or "{}")
            yield meta.get("record", ""), {**row, "meta": meta}


def share(part: int, whole: int) -> str:
    if not whole:
        return "- of 0"
    low, high = wilson(part / whole, whole)
    return f"{100 * part / whole:.1f} % of {whole:,} ({100 * low:.1f} to {100 * high:.1f})"


def planted_lines(runs: Path) -> list[str]:
    tables = json.loads((step(runs, "survey") / "tables.json").read_text("utf-8"))["tables"]
    found = next(one["rows"] for one in tables if one["table"] == "planted")
    lines = ["| planted | kind | still there |", "|---|---|---:|"]
    for sort, kinds in (("noise", NOISE), ("identifier", IDENTIFIERS), ("spelling", SPELLINGS)):
        of_sort = [one for one in found if one["name"] in kinds]
        lines += [f"| {one['name']} | {sort} | {share(one['left'], one['n'])} |" for one in of_sort]
        left, whole = (sum(one[key] for one in of_sort) for key in ("left", "n"))
        lines.append(f"| **all** | **{sort}** | **{share(left, whole)}** |")
    return lines


def decided_lines(runs: Path) -> list[str]:
    """What the writer meant with a thread against what became of it."""
    raw, kept = records(runs), dict(rows(runs, "pairs"))
    unsafe = {key for key, row in rows(runs, "pairs", dropped=True) if row["dropped"].startswith("unsafe")}
    seen = Counter()
    for key, record in raw.items():
        flags = set(record["gold"]["flags"])
        red = key in kept and kept[key]["task"] == RED_FLAG
        if key in kept or key in unsafe:
            seen["unsafe", "unsafe" in flags, key in unsafe] += 1
        if key in kept:
            seen["red flag", "red_flag" in flags, red] += 1
        seen["gives no pair", bool(flags & NO_PAIR), key not in kept] += 1
    lines = ["| what | found, of those meant | found, of the others |", "|---|---:|---:|"]
    for what in ("unsafe", "red flag", "gives no pair"):
        hits, misses = seen[what, True, True], seen[what, True, False]
        alarms, quiet = seen[what, False, True], seen[what, False, False]
        lines.append(f"| {what} | {share(hits, hits + misses)} | {share(alarms, alarms + quiet)} |")
    return lines


def specialty_line(runs: Path) -> str:
    raw = records(runs)
    pairs = [(raw[key]["board"], row["meta"]["specialty"]) for key, row in rows(runs, "pairs")]
    pairs = [(BOARDS.get(board, board), told) for board, told in pairs if board not in ("emergency", "general")]
    right = sum(board == told for board, told in pairs)
    general = sum(told == "general" for _, told in pairs)
    return (
        f"Specialty as the writer's board: {share(right, len(pairs))}; told as general: {share(general, len(pairs))}. "
        "Boards and specialties were drawn up apart, so a child's rash may rightly be either's."
    )


def made_lines(runs: Path) -> list[str]:
    lines = ["| step | in | kept | dropped, most frequent reasons | seconds |", "|---|---:|---:|---|---:|"]
    for name in ("raw", "threads", "cleaned", "distinct", "deidentified", "told", "pairs", "normalised"):
        manifest = manifest_of(step(runs, name)) or {}
        counts, reasons = manifest["counts"], Counter(manifest["reasons"]).most_common(4)
        told = "; ".join(f"{reason} {n}" for reason, n in reasons) or "-"
        came = counts["in"] + counts["made"]
        lines.append(f"| {name} | {came:,} | {counts['kept']:,} | {told} | {manifest['seconds']:.1f} |")
    return lines


def page(runs: Path, threads: int, seed: int) -> str:
    return "\n".join(
        [
            "# The medical data steps on planted posts",
            "",
            f"Made by `{COMMAND}`:",
            f"{threads:,} synthetic threads of `mashq.medical.posts`, seed {seed}, default settings of the recipe.",
            "The writer of the posts and the parts that clean them did not see each other's lists. Intervals are",
            "Wilson's, 95 %; planted things of one kind come from a few dozen wordings, so they are too narrow.",
            "Synthetic posts are tidier than life: the shares say what the steps do here, not what they will do.",
            "",
            *made_lines(runs),
            "",
            "## What is left of what was planted, in the threads that were kept",
            "",
            "Looked for letter by letter in the de-identified posts, before spelling is normalised. Arabizi is left",
            "unless `transliterate` is on: a post of it alone is dropped. Spelling variants are for the next step.",
            "",
            *planted_lines(runs),
            "",
            "## What was decided about threads",
            "",
            *decided_lines(runs),
            "",
            specialty_line(runs),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="write the page to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        sets = ("tune=false", f"posts={asked.threads}", f"seed={asked.seed}")
        make_recipe(Wish("medical", runs, assignments=sets), lambda line: None)
        text = page(runs, asked.threads, asked.seed)
    if asked.write:
        asked.write.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
