"""Every template that ships: complete, and rendered on the real file where $MASHQ_DATA has it."""

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from mashq.metrics import CATALOGUE
from mashq.sources import read
from mashq.templates import Rendered, Template, apply, library, library_names, load, render
from mashq.templates.files import library_file
from mashq.templates.lint import files_named, lint_files

DATA = os.environ.get("MASHQ_DATA")
# Bidi marks, zero-width spaces, presentation forms: nothing a reader of the file could see.
HIDDEN = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufb50-\ufdff\ufe70-\ufeff]")


def squad(path: Path) -> list[dict[str, Any]]:
    """One record a question, answers as `{text: [...], answer_start: [...]}`."""
    articles = json.loads(path.read_text("utf-8"))["data"]
    return [
        {
            "id": question["id"],
            "title": article["title"],
            "context": paragraph["context"],
            "question": question["question"],
            "answers": {key: [answer[key] for answer in question["answers"]] for key in ("text", "answer_start")},
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def tabbed(path: Path) -> list[dict[str, Any]]:
    head, *rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def sheet(path: Path) -> list[dict[str, Any]]:
    head, *rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


FILES = {
    "arcd": (squad, ["arcd_train.json"]),
    "xquad_ar": (squad, ["xquad.ar.json"]),
    "arsarcasm_v2": (table, ["arsarcasm_v2_train.csv"]),
    "ajgt": (sheet, ["ajgt.xlsx"]),
    "exams_ar": (lines, ["exams_ar.jsonl"]),
    "ntrex_ar": (tabbed, ["ntrex_en_ar.tsv"]),
    "arastories": (table, ["arastories_msa.csv", "arastories_egyptian.csv", "arastories_moroccan.csv"]),
}
TEMPLATES = [template for name in FILES for template in library(name)]
# Pairs of a row and a template that give no prompt, measured on the real files: (not for this row, any other reason).
SKIPPED = {
    "arsarcasm_v2/sentiment_egyptian": (9873, 0),
    "arsarcasm_v2/sentiment_gulf": (11904, 0),
    "arsarcasm_v2/sentiment_levantine": (11924, 0),
    "arsarcasm_v2/sarcasm_egyptian": (9873, 0),
    "exams_ar/complete": (52, 0),
    "ntrex_ar/finish_translation": (204, 0),
    "arastories/continue": (1800, 0),
    "arastories/continue_egyptian": (1800, 0),
    "arastories/continue_moroccan": (1801, 0),  # one story has no second paragraph
}


def by_name(template: Template) -> str:
    return template.name


@pytest.mark.parametrize("template", TEMPLATES, ids=by_name)
def test_a_template_of_the_library_is_complete(template: Template) -> None:
    data = template.dataset
    for value in (data.title, data.address, data.licence, data.citation, data.shape, data.schema, data.fields):
        assert value
    assert data.splits
    assert template.task
    assert template.metrics
    assert template.language in ("ar", "ar-en")
    assert not HIDDEN.search(template.prompt + "".join(template.targets))
    assert "?" not in re.sub(r"{[{%].*?[%}]}", "", template.prompt + "".join(template.targets), flags=re.DOTALL)


@pytest.mark.parametrize("name", FILES)
def test_each_data_set_has_several_ways_to_ask(name: str) -> None:
    templates = library(name)
    assert 2 <= len([one for one in templates if not one.shots]) <= 8
    assert len({template.prompt for template in templates}) == len(templates)


@pytest.fixture(scope="module")
def records() -> dict[str, list[dict[str, Any]]]:
    if not DATA:
        pytest.skip("needs the real data: set MASHQ_DATA to its folder")
    found = {}
    for name, (records_of, files) in FILES.items():
        if all((Path(DATA) / file).exists() for file in files):
            found[name] = [record for file in files for record in records_of(Path(DATA) / file)]
    return found


def test_every_file_of_the_library_loads() -> None:
    assert set(FILES) <= set(library_names())
    assert all(load(library_file(name)) == library(name) for name in library_names())


def test_the_library_is_as_large_as_the_papers() -> None:
    """78 data sets with a schema that was read, 67 tasks, 500 templates; facts of the CLDR are not counted."""
    sets = [library(name) for name in library_names() if name != "cldr"]
    read_ones = [each for each in sets if not each[0].dataset.unverified]
    assert len(read_ones) >= 78
    assert len({template.task for each in read_ones for template in each}) >= 67
    assert sum(map(len, read_ones)) >= 500
    assert {template.variety for each in sets for template in each} >= {"egyptian", "moroccan", "gulf", "levantine"}


@pytest.mark.parametrize("name", [name for name in library_names() if name != "cldr"])
def test_a_library_file_is_complete_and_clean(name: str) -> None:
    """All that is said of a data set is there, its sample renders, and the linter finds no error."""
    report = lint_files(files_named([name]), metrics=tuple(CATALOGUE))
    assert [finding.text for finding in report.findings if finding.level == "error"] == []
    assert 2 <= len(library(name)[0].dataset.sample) <= 3


@pytest.mark.parametrize("template", TEMPLATES, ids=by_name)
def test_it_renders_the_real_file(template: Template, records: dict[str, list[dict[str, Any]]]) -> None:
    rows = records.get(template.dataset.name)
    if rows is None:
        pytest.skip(f"{template.dataset.name} is not in MASHQ_DATA")
    made = [render(template, row, i.to_bytes(16, "big")) for i, row in enumerate(rows)]
    kept = [one for one in made if isinstance(one, Rendered)]
    reasons = [one for one in made if isinstance(one, str)]
    other = [reason for reason in reasons if not reason.startswith("skip: not for this row")]
    assert (len(reasons) - len(other), len(other)) == SKIPPED.get(template.name, (0, 0))
    for one in kept:
        assert not one.choices or one.references[0] in one.choices
        assert "{{" not in one.prompt
        assert not template.choices_in_prompt or all(choice in one.prompt for choice in one.choices)


@pytest.mark.parametrize("name", FILES)
def test_the_linter_finds_no_error_on_the_real_file(name: str, records: dict[str, list[dict[str, Any]]]) -> None:
    if name not in records:
        pytest.skip(f"{name} is not in MASHQ_DATA")
    some = records[name][:: max(1, len(records[name]) // 200)]
    report = lint_files(files_named([name]), some, metrics=tuple(CATALOGUE))
    assert [finding.text for finding in report.findings if finding.level == "error"] == []


@pytest.mark.parametrize("name", FILES)
def test_what_the_reader_gives_the_templates_take(name: str) -> None:
    """From the published file through `sources.read` to prompt rows."""
    for file in FILES[name][1]:
        if not DATA or not (Path(DATA) / file).exists():
            pytest.skip(f"needs {file}: set MASHQ_DATA to the folder that has it")
        rows = next(read(Path(DATA) / file)).slice(0, 100)
        live = [row["id"] for row in rows.to_pylist() if row["dropped"] is None]
        made = apply(rows, library(name), step="prompts")
        times = Counter(parent for parents in made.column("parents").to_pylist() for parent in parents or [])
        assert set(times) == set(live)
        assert max(times.values()) <= len(library(name))
        assert set(made.column("licence").to_pylist()) - {library(name)[0].dataset.licence, None} == set()
        reasons = [reason for reason in made.column("dropped").to_pylist() if reason and reason.startswith("skip")]
        assert [reason for reason in reasons if "not for this row" not in reason] == []
