"""Sweeps whole: shared steps made once, kill -9 and resume, the null sweep, the page; and toys end to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from markupsafe import Markup

from mashq.make import Wish, chosen_steps, make_recipe
from mashq.recipes import sweeps
from mashq.report import write
from mashq.rows import MashqError
from mashq.run import manifest_of
from mashq.sweep import ready_made
from mashq.sweep_stop import stopped_at, training_of

# A recipe without a model: a level makes answers likelier, a seed shakes them, a name decides nothing.
RECIPE = '''
"""Answers that a level makes likelier."""
import json
import time
from dataclasses import dataclass

import numpy as np

from mashq import rows
from mashq import steps as shared
from mashq.run import Step


@dataclass(frozen=True)
class Settings:
    level: float = 0.0
    name: str = "a"
    wait: float = 0.0
    seed: int = 0


SIZES = {"small": Settings()}


def questions(job):
    n = job.settings["n"]
    yield rows.conform({
        "id": rows.source_ids("own", "1", n=n), "group": [f"g{i}" for i in range(n)], "source": "own",
        "variety": [("msa", "gulf")[i % 2] for i in range(n)],
        "messages": [[{"role": "user", "content": f"\u0645\u0627 {i}\u061f"}] for i in range(n)],
        "references": [["\u0646\u0639\u0645"]] * n, "split": "test", "task": "own",
    })


def answers(table, job):
    asked = job.settings
    time.sleep(asked["wait"])
    n = table.num_rows
    hard = np.random.default_rng(0).normal(size=n)
    noise = np.random.default_rng([1, asked["seed"]]).normal(size=n + 1)
    nats = 20 + hard - asked["level"] + 0.1 * noise[0] + 0.3 * noise[1:]
    about = [json.dumps({"finish": "stop", "nats": float(x), "target_tokens": 3, "target_bytes": 6}) for x in nats]
    said = [[*turns, {"role": "assistant", "content": "\u0646\u0639\u0645"}] for turns in table["messages"].to_pylist()]
    return rows.children(table, job.name, messages=said, meta=about)


def steps(settings):
    asked = Step("asked", questions, {"n": 20}, kind="stream")
    told = {"student": {"model": STUDENT}, "decoding": None, "wait": 0.0, "level": 0.0, "seed": 0}
    before = Step("before", answers, told, {"rows": asked}, here=True)
    own = {**told, "level": settings.level, "seed": settings.seed, "wait": settings.wait}
    after = Step("after", answers, own, {"rows": asked}, here=True)
    systems = {"before": before, "after": after}
    return [asked, before, after, shared.evaluation("gain", systems, {}, ["bits_per_byte"])]
'''
SWEEP = {
    "question": {"en": "Does the level help?", "ar": "هل ينفع المستوى؟"},
    "source": "Nobody, Open Question 1",
    "answer": {"en": "A curve.", "ar": "منحنى."},
    "seed_settings": ["seed"],
    "read": {"evaluation": "gain", "system": "after", "metrics": ["bits_per_byte"], "slices": ["variety"]},
}


def own_sweep(folder: Path, factors, student="our-own", settings=None) -> str:
    (folder / "own.py").write_text(RECIPE.replace("STUDENT", repr(student)), "utf-8")
    sizes = {"toy": {"factors": factors, "settings": settings or {}}}
    content = {**SWEEP, "base": str(folder / "own.py"), "sizes": sizes}
    (folder / "own.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    return str(folder / "own.yaml")


def made(folder: Path, runs: Path, *sets: str) -> Path:
    page = make_recipe(
        Wish("sweeps", runs, assignments=(f"name={folder / 'own.yaml'}", *sets), workers=1), lambda _: None
    )
    assert page is not None
    return page


def found_in(page: Path) -> dict:
    return json.loads((page.parent / "report.json").read_text("utf-8"))


def folders(runs: Path) -> dict[str, int]:
    names = [path.name.split("@")[0] for path in (runs / "steps").glob("*@*")]
    return {name: names.count(name) for name in set(names)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Path]:
    """A sweep of three levels and three seeds, and its page."""
    folder = tmp_path_factory.mktemp("sweep")
    own_sweep(folder, {"level": [0, 1, 10]})
    return folder, made(folder, folder / "runs")


def test_cells_that_share_work_share_its_folder(whole):
    folder, _ = whole
    assert folders(folder / "runs") == {"asked": 1, "before": 1, "after": 9, "gain": 9, "sweep": 1}


def test_a_sweep_made_again_makes_nothing(whole):
    folder, _ = whole
    said: list[str] = []
    make_recipe(Wish("sweeps", folder / "runs", assignments=(f"name={folder / 'own.yaml'}",), workers=1), said.append)
    assert not [line for line in said if line.startswith("making")]


def test_one_more_value_makes_only_its_own_cells(whole):
    folder, _ = whole
    said: list[str] = []
    sets = (f"name={folder / 'own.yaml'}", "factors={level: [0, 1, 10, 15]}")
    make_recipe(Wish("sweeps", folder / "runs", assignments=sets, workers=1), said.append)
    assert sum(line.startswith("making after@") for line in said) == 3


def test_the_levels_come_out_in_order_with_a_better_verdict(whole):
    _, page = whole
    found = found_in(page)
    assert [one["state"] for one in found["cells"]] == ["made"] * 3 and found["items"] == found["groups"] == 20
    means = [one["value"] for one in found["scores"] if one["slice"]["by"] == "all"]
    assert means == sorted(means, reverse=True)
    whole_family = [one for one in found["comparisons"] if one["slice"]["by"] == "all"]
    assert [(one["a"], one["b"], one["verdict"]) for one in whole_family] == [
        (1, 0, "better"),
        (2, 0, "better"),
        (2, 1, "better"),
    ]
    assert found["leaders"] == [{"metric": "bits_per_byte", "cell": 2, "level_with": []}]


def test_the_page_says_what_came_out_in_both_languages(whole):
    _, page = whole
    html = page.read_text("utf-8")
    text = Markup(html.split("</style>")[1]).striptags()
    assert "هل ينفع المستوى؟" in text and '<html lang="ar" dir="rtl">' in html
    assert "أفضل القيم في البتّات لكل بايت هي level: 10" in text
    assert "أوزان عشوائية" not in text and "<script" not in html and "http" not in html.split("</style>")[1]
    assert text.count("أفضل") >= 4
    record = page.parent.with_suffix(".json")
    english = write([record], page.parent.parent / "en", lang="en").read_text("utf-8")
    said = Markup(english.split("</style>")[1]).striptags()
    assert "The best value in bits per byte is level: 10" in said
    assert "بحسب" not in said and "Does the level help?" in said


def test_the_same_as_markdown_and_csv(whole):
    folder, page = whole
    told = (page.parent / "report.md").read_text("utf-8")
    assert "| level: 10 |" in told and "< 0.001" in told
    csvs = [path / "sweep.csv" for path in (folder / "runs" / "steps").glob("sweep@*")]
    assert all(path.read_text("utf-8").startswith("cell,level,state,metric") for path in csvs)


def test_toys_are_marked_and_no_value_is_called_the_best(tmp_path):
    own_sweep(tmp_path, {"level": [0, 10]}, student="toy-gpt2")
    page = made(tmp_path, tmp_path / "runs")
    text = Markup(page.read_text("utf-8").split("</style>")[1]).striptags()
    assert "أوزان عشوائية" in text and "toy-gpt2" in text and "بلا حكم" in text
    assert "أفضل القيم" not in text and "أعلى المتوسطات" not in text
    assert 'class="dot leader"' not in page.read_text("utf-8")


def test_the_same_value_under_two_names_is_one_piece_of_work_and_no_difference(tmp_path):
    own_sweep(tmp_path, {"name": ["one", "two"]})
    found = found_in(made(tmp_path, tmp_path / "runs"))
    assert folders(tmp_path / "runs")["gain"] == 3  # a seed each
    assert {(one["difference"], one["p"], one["verdict"]) for one in found["comparisons"]} == {(0.0, 1.0, "unclear")}
    text = Markup((tmp_path / "runs" / "sweeps").glob("*/report.html").__next__().read_text("utf-8")).striptags()
    assert "ولا تتميز إحصائيًّا عن" in text and "أفضل القيم" not in text


def test_fewer_than_three_seeds_are_said(tmp_path):
    own_sweep(tmp_path, {"level": [0, 10]})
    for seeds, words in (("[0]", "بذرة واحدة"), ("[0, 1]", "أقل من ثلاث")):
        page = made(tmp_path, tmp_path / "runs", f"seeds={seeds}")
        text = Markup(page.read_text("utf-8")).striptags()
        assert words in text and "أفضل القيم" not in text


def test_names_from_a_file_cannot_reach_the_page_as_markup(tmp_path):
    own_sweep(tmp_path, {"<b>x</b>": {"<script>alert(1)</script>": {"level": 0}, "y&z": {"level": 1}}})
    html = made(tmp_path, tmp_path / "runs").read_text("utf-8")
    assert "<script" not in html and "<b>x" not in html and "&lt;script&gt;" in html


def test_killed_with_9_it_goes_on_and_comes_to_the_same(tmp_path):
    own_sweep(tmp_path, {"level": [0, 1]}, settings={"wait": 0.3})
    runs = tmp_path / "runs"
    asked = [sys.executable, "-m", "mashq.cli", "make", "sweeps", "--set", f"name={tmp_path / 'own.yaml'}", "--runs"]
    process = subprocess.Popen([*asked, str(runs)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while len(list(runs.glob("steps/gain@*/manifest.json"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in runs.glob("steps/*@*/manifest.json")}
    assert 2 <= sum("gain@" in str(path) for path in before) < 6
    resumed = found_in(made(tmp_path, runs))
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing is made twice
    fresh = found_in(made(tmp_path, tmp_path / "fresh"))
    assert resumed == fresh
    tables = [next((root / "steps").glob("sweep@*")) for root in (runs, tmp_path / "fresh")]
    assert manifest_of(tables[0])["hash"] == manifest_of(tables[1])["hash"]
    assert pq.read_table(tables[0] / "cells.parquet").num_rows == 6


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("most_runs=5",), "2 cells with 3 seeds are 6 runs, expected at most 5"),
        (("factors={levl: [0, 1]}",), "unknown setting 'levl'.*Did you mean 'level'"),
        (("factors={level: [0, x]}",), "cell level=x, recipe.*level=x: expected `float`"),
        (("fixed={seed: 3}", "seed_settings=[sed]"), "unknown setting 'sed'"),
        (("scale=huge",), "has no size 'huge'"),
        (("layout=row",), "layout: expected grid or one_at_a_time"),
    ],
)
def test_a_sweep_that_cannot_be_made(tmp_path, sets, message):
    own_sweep(tmp_path, {"level": [0, 1]})
    with pytest.raises(MashqError, match=message):
        chosen_steps(Wish("sweeps", tmp_path, assignments=(f"name={tmp_path / 'own.yaml'}", *sets)))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"evaluation": "gian"}, "has no evaluation 'gian'.*Did you mean 'gain'"),
        ({"system": "aftr"}, "evaluation 'gain' has no system 'aftr'.*Did you mean 'after'"),
        ({"minus": "befor"}, "evaluation 'gain' has no system 'befor'"),
        ({"metrics": ["rougeL"]}, "evaluation 'gain' has no metric 'rougeL' to read .bits_per_byte"),
        ({"metrics": ["perplexity"]}, "has no metric 'perplexity' to read"),
    ],
)
def test_reading_what_the_recipe_does_not_make(tmp_path, read, message):
    path = Path(own_sweep(tmp_path, {"level": [0, 1]}))
    content = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump({**content, "read": {**content["read"], **read}}), "utf-8")
    with pytest.raises(MashqError, match=message):
        chosen_steps(Wish("sweeps", tmp_path, assignments=(f"name={path}",)))


def test_what_is_not_trained_cannot_be_stopped_early(tmp_path):
    own_sweep(tmp_path, {"level": [0, 1]})
    with pytest.raises(MashqError, match="'after' of 'gain' is not trained"):
        chosen_steps(Wish("sweeps", tmp_path, assignments=(f"name={tmp_path / 'own.yaml'}", "early.rule=asha")))


def test_a_sweep_of_sweeps_is_refused(tmp_path):
    path = Path(own_sweep(tmp_path, {"level": [0, 1]}))
    content = {**yaml.safe_load(path.read_text("utf-8")), "base": "sweeps"}
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(MashqError, match="a sweep of sweeps is not made"):
        chosen_steps(Wish("sweeps", tmp_path, assignments=(f"name={path}",)))


# --- ready-made ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ready_made()))
def test_every_ready_made_sweep_builds_its_steps_on_toys(name, monkeypatch):
    monkeypatch.delenv("MASHQ_DATA", raising=False)
    sweep = sweeps.asked_for(sweeps.Settings(name=name))
    (step,) = sweeps.steps(sweeps.Settings(name=name))
    assert len(step.inputs) == sweep.runs and step.produces == "sweep"


def test_medical_normalisation_reads_both_arms_out_of_the_same_work():
    (step,) = sweeps.steps(sweeps.Settings(name="medical-normalisation"))
    assert len(step.inputs) == 6 and len({one.fingerprint for one in step.inputs.values()}) == 3


def test_bertscore_settings_train_each_student_once():
    (step,) = sweeps.steps(sweeps.Settings(name="medical-bertscore"))
    trained = {training_of(one, "items-0-normalised").fingerprint for one in step.inputs.values()}
    assert len(step.inputs) == 12 and len(trained) == 3


def test_real_data_that_are_absent_are_asked_for(monkeypatch):
    monkeypatch.delenv("MASHQ_DATA", raising=False)
    with pytest.raises(MashqError, match=r"story-data-size.*expected arastories_msa.csv.*MASHQ_DATA"):
        sweeps.steps(sweeps.Settings(name="story-data-size", scale="small"))


def test_the_real_sweep_builds_where_the_data_are(data):
    (step,) = sweeps.steps(sweeps.Settings(name="story-data-size", scale="small"))
    assert len(step.inputs) == 9


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ready_made()))
def test_every_ready_made_sweep_runs_on_toys(name, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.delenv("MASHQ_DATA", raising=False)
    page = make_recipe(Wish("sweeps", tmp_path, assignments=(f"name={name}",), workers=1), lambda _: None)
    assert "أوزان عشوائية" in page.read_text("utf-8")


EARLY = ("name=story-data-size", "factors={rows: [8, 2, 4]}", "early.rule=asha", "early.first_step=2", "early.factor=2")


@pytest.mark.slow
def test_a_stopped_cell_stands_in_the_table_and_gets_no_other_seed(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    pytest.importorskip("optuna")
    page = make_recipe(Wish("sweeps", tmp_path, assignments=(*EARLY, "seeds=[0, 1]"), workers=1), lambda _: None)
    found = found_in(page)
    stopped = [one for one in found["cells"] if one["state"] == "stopped"]
    assert found["cells"][0]["state"] == "made"
    for one in stopped:
        assert stopped_at(tmp_path / "steps" / one["folders"][0])["step"] == one["step"]
    text = Markup(page.read_text("utf-8")).striptags()
    assert ("أُوقف عند الخطوة" in text) == bool(stopped)
    again = make_recipe(
        Wish("sweeps", tmp_path, assignments=(*EARLY, "seeds=[0, 1]"), workers=1, force=True), lambda _: None
    )
    assert found_in(again) == found
