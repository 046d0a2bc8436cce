"""README.md with the front matter that hubs read, and a card for each data set in cards/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashq import __version__
from mashq.export.known import Known, file_names, language_code
from mashq.export.survey import Survey, whole
from mashq.export.taken import Taken
from mashq.licences import uses
from mashq.record import COUNTS
from mashq.report.markdown import cell, code, safe, table, yaml_text
from mashq.report.plots import number
from mashq.templates import Dataset

__all__ = ["Content", "front_matter", "size_category", "write_cards"]

# SPDX -> the hub's name, where that is not the same in lower case.
HUB_LICENCES = {"LicenseRef-Gemma": "gemma", "ODC-By-1.0": "odc-by", "PDDL-1.0": "pddl"}
# What the hub knows of those that data come under: https://huggingface.co/docs/hub/repositories-licenses
ON_HUB = re.compile(
    r"(afl|agpl|lgpl)-3\.0|gpl-[23]\.0|apache-2\.0|bsd-[23]-clause|mit|unlicense|gfdl|gemma|odc-by|pddl|cc0-1\.0"
    r"|cc-by(-nc|-nc-sa)?-[234]\.0|cc-by(-sa|-nc-nd)-[34]\.0|cc-by-nd-4\.0|cdla-permissive-[12]\.0"
)
# Words in a task's name -> the hub's category; every export is also text-generation.
CATEGORIES = (
    (r"multiple-choice", "multiple-choice"),
    (r"question-answering|reading-comprehension|answer-selection|answerability", "question-answering"),
    (r"translation|dialect-to|to-dialect|transliteration", "translation"),
    (r"summar|headline|title-generation", "summarization"),
    (r"named-entity|part-of-speech|slot-filling|segmentation|keyphrase", "token-classification"),
    (r"similarity|paraphrase-identification|duplicate", "sentence-similarity"),
    (r"classification|detection|analysis|identification|inference|prediction", "text-classification"),
)
VARIETY_CODES = {
    "egyptian": "arz",
    "moroccan": "ary",
    "levantine": "apc",
    "gulf": "afb",
    "iraqi": "acm",
    "algerian": "arq",
    "tunisian": "aeb",
    "sudanese": "apd",
    "yemeni": "ayn",
    "libyan": "ayl",
}
ABOUT = {
    "ni": "Super-NaturalInstructions JSON: one file a template, licence and split, in `tasks/`. The definition is what"
    " all prompts of the file begin with, the input is the rest; an empty line stood between them.",
    "messages": "Chat JSON lines: a conversation a line in `messages`, with the reply as its last turn; all right"
    " answers in `references`; each line names its source and licence.",
    "lm-eval": "Tasks for lm-evaluation-harness: a YAML and JSON lines for each template. Run from inside the folder:"
    " `lm_eval --tasks mashq --include_path .`",
    "hub": "Parquet: `messages` is the conversation with its reply, of which the first `prompt_turns` turns are the"
    " prompt; `references` are all right answers; each row names its source and licence.",
}


@dataclass(frozen=True)
class Content:
    """What the cards of an export are written from."""

    title: str
    taken: Taken
    survey: Survey
    known: Known
    to: str  # the format
    files: Mapping[str, str]  # split -> the pattern of its files

    def dataset(self, source: str) -> Dataset | None:
        """What is known of a source, from the names of its templates or its own."""
        templates = self.survey.by("template", source)
        found = (self.known.of(name, source) for name in templates)
        return next((dataset for dataset in found if dataset), None)


def write_cards(folder: Path, content: Content) -> None:
    """README.md and cards/SOURCE.md."""
    survey = content.survey
    sources = list(survey.by("source"))
    names = file_names([(source, f"cards/{source}", "") for source in sources])
    (folder / "cards").mkdir()
    for source in sources:
        card = _dataset_card(content, source)
        (folder / "cards" / f"{names[source]}.md").write_text("\n".join(card) + "\n", "utf-8")
    lines = [*front_matter(content), *_readme(content, names)]
    (folder / "README.md").write_text("\n".join(lines) + "\n", "utf-8")


# --- the front matter ------------------------------------------------------------------------------------------------


def front_matter(content: Content) -> list[str]:
    """The YAML at the head of README.md, by which hubs sort, size and load a data set."""
    survey, files = content.survey, content.files
    licences = [name or "unknown" for name in survey.by("licence")]
    on_hub = list(dict.fromkeys(_hub_licence(name) for name in licences))
    lines = ["---", "language:", *(f"- {one}" for one in _languages(survey))]
    lines += ["license:", *(f"- {one}" for one in on_hub)]
    if "other" in on_hub:
        lines.append(f"license_name: {yaml_text('; '.join(licences))}")
    lines += [f"pretty_name: {yaml_text(content.title)}", "size_categories:", f"- {size_category(survey.rows)}"]
    lines += ["task_categories:", *(f"- {one}" for one in _categories(survey.by("task")))]
    lines += ["tags:", "- mashq", *(f"- {yaml_text(name)}" for name in survey.by("variety") if name)]
    if content.to in ("ni", "lm-eval"):
        return [*lines, "viewer: false", "---", ""]  # a task a file, each of its own fields: no one table
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in sorted(files, key=("train", "validation", "test").index):
        lines += [f"  - split: {split}", f"    path: {yaml_text(files[split])}"]
    return [*lines, "---", ""]


def size_category(rows: int) -> str:
    """The hub's name for a number of rows: `1K<n<10K`."""
    marks = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
    place = next((place for place, mark in enumerate(marks) if rows < mark), len(marks))
    if place == 0:
        return "n<1K"
    return f"{names[place - 1]}<n<{names[place]}" if place < len(marks) else "1B<n<10B"


def _hub_licence(name: str) -> str:
    found = HUB_LICENCES.get(name, name.lower().removesuffix("-only").removesuffix("-or-later"))
    return found if ON_HUB.fullmatch(found) else "other"


def _languages(survey: Survey) -> list[str]:
    """ISO 639 codes: of rows that do not say, Arabic; a variety adds its own code."""
    codes = [language_code(name) if name else "ar" for name, _ in survey.languages.most_common()]
    codes += [VARIETY_CODES[name] for name in survey.by("variety") if name in VARIETY_CODES]
    return list(dict.fromkeys(code for code in codes if code)) or ["ar"]


def _categories(tasks: Iterable[str]) -> list[str]:
    plain = [re.sub(r"\W+", "-", task.lower()) for task in tasks]
    found = [next((name for words, name in CATEGORIES if re.search(words, task)), None) for task in plain]
    return ["text-generation", *sorted({name for name in found if name})]


# --- the texts -------------------------------------------------------------------------------------------------------


def _readme(content: Content, cards: Mapping[str, str]) -> list[str]:
    survey = content.survey
    rows, licences = survey.by("source"), survey.by("licence")
    splits = ", ".join(f"{name or 'no split'} {number(n)}" for name, n in survey.by("split").items())
    return [
        f"# {safe(content.title)}",
        "",
        f"{number(survey.rows)} rows from {number(len(rows))} data set{'s' * (len(rows) > 1)} ({splits}), made and "
        f"exported by mashq {__version__}.",
        "",
        ABOUT[content.to],
        "",
        "## Data sets",
        *table(
            ["data set", "rows", "licence", "card"],
            [
                [safe(name or "unnamed"), number(n), _names(survey, name), f"[card](cards/{cards[name]}.md)"]
                for name, n in rows.items()
            ],
        ),
        "## Licences",
        "",
        "Each row is under the licence that it names; all of them together may be used as all of these allow.",
        *table(["licence", "rows", "train", "pass on", "earn with", "share alike"], _licences(licences)),
        "A reading of the licences for sorting, no legal advice.",
        "",
        *_made(content.taken),
        *_models(content.taken),
        *_dropped(content, None),
        *_counted(survey, None),
        "## Citations",
        "",
        *(f"- {_citation(name, content.dataset(name))}" for name in rows),
        "",
        "## Limits",
        "",
        "- Prompts made by templates are regular where people are not: do not take their variety for that of written"
        " Arabic.",
        "- What the steps above check is what they name. They do not check facts, and nobody has read every row.",
        "- Names and other personal content are as the sources have them unless a step above removed them.",
        "",
    ]


def _dataset_card(content: Content, source: str) -> list[str]:
    survey, dataset = content.survey, content.dataset(source)
    title = dataset.title if dataset and dataset.title else source or "unnamed"
    facts = [("rows", number(sum(survey.by("split", source).values()))), ("licence", _names(survey, source))]
    if dataset:
        said = (("address", dataset.address), ("language", dataset.language), ("domain", dataset.domain))
        facts += [(name, safe(text)) for name, text in (*said, ("notes", dataset.notes)) if text]
    return [
        f"# {safe(title)}",
        "",
        *(f"- {name}: {text}" for name, text in facts),
        f"- citation: {_citation(source, dataset)}",
        "",
        *_dropped(content, source),
        *_counted(survey, source),
        "## Rows, drawn by the hashes of their ids",
        "",
        *_samples(survey, source),
    ]


def _licences(licences: Mapping[str, int]) -> list[list[str]]:
    allowed = [(name, n, uses(name or "unknown")) for name, n in licences.items()]
    return [
        [
            *(safe(name or "unknown"), number(n), one.train, one.redistribute, one.commercial),
            "yes" if one.share_alike else "",
        ]
        for name, n, one in allowed
    ]


def _names(survey: Survey, source: str) -> str:
    found = survey.by("licence", source)
    return ", ".join(
        f"{safe(name or 'unknown')}" + (f" ({number(n)})" if len(found) > 1 else "") for name, n in found.items()
    )


def _citation(source: str, dataset: Dataset | None) -> str:
    if dataset and dataset.citation:
        return safe(dataset.citation)
    return f"{safe(source or 'unnamed')}: no template file says whom to cite; cite it as its authors ask."


def _made(taken: Taken) -> list[str]:
    rows = [
        [code(one.step, in_table=True), *(number(one.counts.get(kind, 0)) for kind in COUNTS)] for one in taken.origins
    ]
    note = "Counts close at every step: in + made = kept + dropped + merged + unsampled."
    return ["## How it was made", *table(["step", *COUNTS], rows), note, ""] if rows else []


def _models(taken: Taken) -> list[str]:
    """The models behind the rows: terms that forbid to earn money with a model bind those who choose rows with it."""
    rows = [
        [
            *(code(origin.step, in_table=True), safe(one["role"]), safe(one["name"])),
            "" if one["least"] is None else f"{one['least']:.3f}",
            *(safe(one["why"]), safe(one["licence"] or "no model")),
            uses(one["licence"]).commercial if one["licence"] else "yes",
        ]
        for origin in taken.origins
        for one in origin.models
    ]
    if not rows:
        return []
    head = ["step", "it", "what", "least score", "why so much", "licence", "earn with"]
    return ["## What translated and judged", *table(head, rows), ""]


def _dropped(content: Content, source: str | None) -> list[str]:
    """Why rows are not here: dropped by the steps, or left out of this export."""
    body = [
        [code(one.step, in_table=True), safe(kind), number(n)]
        for one in content.taken.origins
        for kind, n in _kinds(one.dropped, source).items()
    ]
    body += [["this export", safe(reason), number(n)] for reason, n in content.survey.left_out_reasons(source).items()]
    told = table(["where", "reason", "rows"], body) if body else ["", "No row was dropped.", ""]
    return ["## Why rows were dropped", *told]


def _kinds(dropped: Mapping[tuple[str, str], int], source: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for (of, kind), rows in dropped.items():
        if source in (None, of):
            found[kind] = found.get(kind, 0) + rows
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _counted(survey: Survey, source: str | None) -> list[str]:
    lines = []
    for column in ("split", "task", "variety", "template"):
        rows = [[safe(name or "not stated"), number(n)] for name, n in survey.by(column, source).items()]
        lines += [f"## Rows by {column}", *table([column, "rows"], rows)]
    return lines


def _samples(survey: Survey, source: str) -> Sequence[str]:
    lines = []
    for row in survey.samples(source):
        turns = whole(row["messages"], row["references"]) if row["messages"] else []
        texts = [(turn["role"], turn["content"]) for turn in turns] or [("text", row["text"] or row["meta"] or "")]
        lines += [f"- *{safe(role)}*: {cell(text)}" for role, text in texts]
        lines += [f"- {code(row['id'].hex())}", ""]
    return lines
