"""Templates beside PromptSource, Jinja compiled once, and minijinja: equal texts first, then prompts a second.

    python -m venv peers
    peers/bin/pip install --no-deps --ignore-requires-python promptsource==0.2.3
    peers/bin/pip install jinja2 pyyaml pandas requests minijinja 'setuptools<80' .
    peers/bin/python benchmarks/templates.py --write docs/benchmarks/templates.md

Every contender renders the same templates (PromptSource's format, our Arabic) on the same seeded rows to the same
texts, prompt and target of every row compared first. Then they take turns; a rate is rows rendered a CPU second of this
process, one thread, median of the repeats. mashq is timed three ways: Jinja in its sandbox row by row; columns, to the
texts; and columns to whole prompt rows (ids, parents, messages, references, choices and the other columns). To
Parquet, the others write the two texts and mashq its whole rows, all with zstd. Last: the share of templates with
columns, in the library and, where PromptSource is installed, in its own 2,085.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from sheet import give

from mashq.rows import PartWriter, source_ids
from mashq.templates import Template, apply_columns, library, library_names, load, path_of
from mashq.templates.compiler import columnar, field_column, render_columns
from mashq.templates.rendering import compiled, render_row

TEMPLATES = {
    "fields": "اقرأ الخبر الآتي، ثم اكتب له عنوانًا مناسبًا.\n\n{{ text }}\n|||\n{{ title }}",
    "choices": (
        "ما الشعور الذي يعبّر عنه هذا الكلام: {{ answer_choices | join('، ') }}؟\n\n«{{ text }}»\n|||\n"
        "{{ answer_choices[label] }}"
    ),
    "condition": (
        "{% if label == 1 %}أكمل الكلام الآتي بجملة واحدة.{% elif label == 2 %}لخّص الكلام الآتي.{% else %}"
        "ما موضوع الكلام الآتي؟{% endif %}\n\n{{ text }}\n|||\n{{ title }}"
    ),
    "join": "رتّب هذه الكلمات في جملة: {{ words | join(' / ') }}\n|||\n{{ title }}",
    "loop": (
        "أيُّ هذه الجمل عنوان النص؟\n{% for word in words %}{{ loop.index }}. {{ word }}\n{% endfor %}\n{{ text }}\n|||\n"
        "{{ words[0] }}"
    ),
    "question": "{{ context }}\n\nالسؤال: {{ title }}؟\n|||\n{{ answers.text[0] }}",
}
CHOICES = {"choices": "إيجابي ||| سلبي ||| محايد"}
LETTERS = "بتثجحخدذرزسشصضطعغفقكلمنهوي"
PATTERNS = ("{}{}{}", "{}ا{}{}", "م{}{}و{}", "{}{}ي{}", "ت{}{}ي{}", "ا{}ت{}ا{}", "است{}{}ا{}", "م{}{}{}ة")
ROWS = 16_384  # of a repeat
SLOW = 400  # rows of a repeat for PromptSource, which compiles the template for each
REPEATS = 7


@dataclass
class Contender:
    """A way to render: `run(template name, rows)` gives [prompt, target] of each row."""

    name: str
    run: Callable[[str, list[dict[str, Any]]], list[list[str]]]
    rows: int = ROWS


def lexicon() -> tuple[list[str], list[float]]:
    """20,000 word forms from roots in patterns, and their cumulated Zipf weights."""
    dice = random.Random(0)
    forms: dict[str, None] = {}
    while len(forms) < 20_000:
        forms[dice.choice(PATTERNS).format(*dice.sample(LETTERS, 3))] = None
    return list(forms), list(accumulate(1 / (rank + 2.7) for rank in range(len(forms))))


def made_rows(n: int) -> list[dict[str, Any]]:
    """Rows of 40-word texts, 6-word titles, lists of 4 and contexts of 90 words; seeded, none equal to another."""
    dice = random.Random(1)
    forms, weights = lexicon()

    def said(words: int) -> str:
        return " ".join(dice.choices(forms, cum_weights=weights, k=words))

    return [
        {
            "text": said(40),
            "title": said(6),
            "label": dice.randrange(3),
            "words": [said(1) for _ in range(4)],
            "context": said(90),
            "answers": {"text": [said(2), said(3)], "answer_start": [1, 2]},
        }
        for _ in range(n)
    ]


def our_templates(folder: Path) -> dict[str, Template]:
    """The templates as a PromptSource file, read by mashq."""
    entries = {
        f"uuid-{name}": {"name": name, "jinja": text, "answer_choices": CHOICES.get(name), "metadata": {}}
        for name, text in TEMPLATES.items()
    }
    file = folder / "templates.yaml"
    file.write_text(yaml.safe_dump({"dataset": "bench", "templates": entries}, allow_unicode=True), "utf-8")
    return {template.name.split("/")[1]: template for template in load(file)}


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: [row[name] for row in rows] for name in rows[0]})


def contenders(templates: dict[str, Template]) -> list[Contender]:
    """Those that are installed here."""
    found = [Contender("mashq, Jinja in the sandbox", lambda name, rows: by_sandbox(templates[name], rows))]
    found.append(Contender("jinja2, compiled once", by_jinja()))
    try:
        import minijinja
    except ImportError:
        print("minijinja is not installed")
    else:
        found.append(Contender(f"minijinja {metadata.version('minijinja')}", by_minijinja(minijinja)))
    try:
        from promptsource.templates import Template as Theirs
    except ImportError:
        print("promptsource is not installed")
    else:
        version = metadata.version("promptsource")
        found.append(
            Contender(f"PromptSource {version}, `apply(truncate=False)`", by_promptsource(Theirs, False), SLOW)
        )
        found.append(Contender(f"PromptSource {version}, `apply`", by_promptsource(Theirs, True), SLOW))
    return found


def by_sandbox(template: Template, rows: list[dict[str, Any]]) -> list[list[str]]:
    ready = compiled(template)
    made = [render_row(ready, row, bytes(16)) for row in rows]
    return [[one.prompt, *one.references] for one in made]  # type: ignore[union-attr]  # every row renders


def by_jinja() -> Callable[[str, list[dict[str, Any]]], list[list[str]]]:
    env = jinja2.Environment()
    ready = {name: env.from_string(text) for name, text in TEMPLATES.items()}

    def run(name: str, rows: list[dict[str, Any]]) -> list[list[str]]:
        template, choices = ready[name], split(CHOICES.get(name, ""))
        return [split(template.render(**row, answer_choices=choices)) for row in rows]

    return run


def by_minijinja(minijinja: Any) -> Callable[[str, list[dict[str, Any]]], list[list[str]]]:
    env = minijinja.Environment(templates=TEMPLATES)

    def run(name: str, rows: list[dict[str, Any]]) -> list[list[str]]:
        choices = split(CHOICES.get(name, ""))
        return [split(env.render_template(name, **row, answer_choices=choices)) for row in rows]

    return run


def by_promptsource(kind: Any, truncate: bool) -> Callable[[str, list[dict[str, Any]]], list[list[str]]]:
    ready = {name: kind(name, text, "bench", None, CHOICES.get(name)) for name, text in TEMPLATES.items()}
    return lambda name, rows: [ready[name].apply(row, truncate=truncate) for row in rows]


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split("|||")]


def by_columns(template: Template, table: pa.Table, ids: pa.Array) -> list[list[str]]:
    batch = render_columns(columnar(compiled(template)), fields_of(table), ids)
    assert not batch.odd.any() and batch.reasons is None
    return [list(pair) for pair in zip(batch.contents[0].to_pylist(), batch.references.to_pylist(), strict=True)]


def fields_of(table: pa.Table) -> dict[str, Any]:
    return {name: field_column(table[name]) for name in table.column_names}


def cpu(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def spread(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def times(slow: Sequence[float], fast: Sequence[float]) -> str:
    ratios = sorted(b / a for a, b in zip(slow, fast, strict=True))
    return f"{statistics.median(ratios):,.0f} ({ratios[0]:,.0f} to {ratios[-1]:,.0f})"


def measured(templates: dict[str, Template], repeats: int) -> list[str]:
    """Equality, then rates in memory and to Parquet."""
    rows = made_rows(ROWS)
    table, ids = table_of(rows), source_ids("bench", "1", n=ROWS)
    others = contenders(templates)
    equal = 0
    for name, template in templates.items():
        ours = by_columns(template, table, ids)
        for other in others:
            theirs = other.run(name, rows[: min(other.rows, 2_000)])
            if "`apply`" in other.name and "False" not in other.name:
                continue  # it cuts values at 2,048 characters by default; timed, and none here is that long
            if theirs != ours[: len(theirs)]:
                place = next(i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1])
                raise SystemExit(f"{other.name}, {name}, row {place}: {theirs[place]!r} is not {ours[place]!r}")
            equal += len(theirs)
    out = [
        f"* Equality, checked first: {equal:,} pairs of prompt and target, all byte for byte those of mashq's columns."
    ]
    rates: dict[str, dict[str, list[float]]] = {}
    whole = list(templates.values())

    def add(kind: str, name: str, rows_made: int, seconds: float) -> None:
        rates.setdefault(kind, {}).setdefault(name, []).append(rows_made / seconds)

    fields = fields_of(table)
    programs = [columnar(compiled(template)) for template in whole]
    prompts = ROWS * len(whole)
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(repeats):
            for other in others:
                part = rows[: other.rows]
                add(
                    "memory",
                    other.name,
                    other.rows * len(whole),
                    cpu(lambda o=other, p=part: [o.run(n, p) for n in templates]),
                )
            seconds = cpu(lambda: [render_columns(program, fields, ids) for program in programs])
            add("memory", "mashq, columns: texts", prompts, seconds)
            seconds = cpu(lambda: apply_columns(table, ids, whole, step="prompts"))
            add("memory", "mashq, columns: whole prompt rows", prompts, seconds)
            for other in others:
                part = rows[: other.rows]
                seconds = cpu(
                    lambda o=other, p=part: pairs_to_parquet(o, p, templates, Path(scratch) / "pairs.parquet")
                )
                add("parquet", other.name, other.rows * len(whole), seconds)
            seconds = cpu(lambda: rows_to_parquet(table, ids, whole, Path(scratch) / "rows.parquet"))
            add("parquet", "mashq, columns: whole prompt rows", prompts, seconds)
    for kind, title in (("memory", "To memory"), ("parquet", "To Parquet (zstd)")):
        base = next((name for name in rates[kind] if "truncate=False" in name), None)
        out += ["", f"## {title}", "", "| | prompts a CPU second | times PromptSource |", "|---|---:|---:|"]
        for name, found in sorted(rates[kind].items(), key=lambda item: statistics.median(item[1])):
            out.append(f"| {name} | {spread(found)} | {times(rates[kind][base], found) if base else 'not installed'} |")
    return out


def pairs_to_parquet(other: Contender, rows: list[dict[str, Any]], templates: dict[str, Template], path: Path) -> None:
    pairs = [pair for name in templates for pair in other.run(name, rows)]
    columns = {"prompt": [pair[0] for pair in pairs], "target": [pair[1] for pair in pairs]}
    pq.write_table(pa.table(columns), path, compression="zstd")


def rows_to_parquet(table: pa.Table, ids: pa.Array, templates: Sequence[Template], path: Path) -> None:
    writer = PartWriter(path)
    writer.write(apply_columns(table, ids, templates, step="prompts"))
    writer.close()


def shares(promptsource: Path | None) -> list[str]:
    """How many templates go by columns, and why the others do not."""
    out = ["", "## Which templates go by columns", ""]
    paths: Counter[str] = Counter()
    for name in library_names():
        sample = library(name)[0].dataset.sample
        for template in library(name) if sample else ():
            paths[path_of(template, table_of([dict(row) for row in sample]))] += 1
    total, good = paths.total(), paths["columns"]
    out.append(f"* The library, on its sample rows: {good} of {total} ({good / total:.1%}).")
    others = [(why.removeprefix("jinja: "), n) for why, n in paths.most_common() if why != "columns"]
    out.append(
        "  The rest goes through Jinja, most often for: " + "; ".join(f"{why} ({n})" for why, n in others[:6]) + "."
    )
    if promptsource is not None:
        out.append(theirs(promptsource))
    return out


def theirs(folder: Path) -> str:
    """PromptSource's own templates, on rows invented from how each uses its fields."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "templates"))
    from promptsource_rows import typed_rows

    templates = load(folder / "templates")
    good = 0
    for template in templates:
        good += any(path_of(template, table) == "columns" for table in typed_rows(template, 30))
    share = f"{good:,} of {len(templates):,} ({good / len(templates):.1%})"
    return f"* PromptSource's own: {share} on rows invented from how a template uses its fields."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="write the page here instead of printing it")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--promptsource", type=Path, help="folder promptsource-0.2.3/promptsource of its source")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as scratch:
        body = measured(our_templates(Path(scratch)), given.repeats)
    head = [
        "# Templates beside PromptSource",
        "",
        "Made by `python benchmarks/templates.py --write docs/benchmarks/templates.md`; its docstring says how the "
        "peers are installed.",
        "",
        f"* Machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread used; Python "
        f"{platform.python_version()}; jinja2 {metadata.version('jinja2')}, pyarrow {pa.__version__}.",
        f"* Six templates (fields, choices, a condition, a join, a loop, a question over a text) on {ROWS:,} rows of "
        f"seeded Arabic-like text; PromptSource on {SLOW} of them, since it compiles the template for every row. "
        f"{given.repeats} interleaved repeats; a rate is the median, with least and most; a ratio is that of one "
        "repeat, likewise.",
    ]
    text = "\n".join([*head, *body, *shares(given.promptsource), ""])
    give(text, given.write)


if __name__ == "__main__":
    main()
