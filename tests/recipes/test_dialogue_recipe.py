"""The dialogue recipe whole, against a server that writes conversations and errs: quotas, parts, a gain, the page."""

import json
from pathlib import Path

import pytest
from bench import bench
from click.testing import CliRunner
from tiny_models import folder as tiny_student

from mashq.cli import verbs
from mashq.rows import MashqError
from mashq.run import read_rows


@pytest.fixture(scope="module")
def server():
    loopback = bench("llm_server").Loopback

    class Writer(loopback):
        script = Path(__file__).parents[2] / "benchmarks" / "dialogue_writer.py"

    with Writer() as running:
        yield running


def run(*arguments):
    result = CliRunner().invoke(verbs, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def sets(server, *more):
    own = [
        "style=messages",
        "frame=",
        "exchanges=[]",
        "writer.licence=CC0-1.0",
        "writer.asked.tries=6",
        "writer.asked.repair=true",
    ]
    own += [
        "grid.n=60",
        "grid.topics=[football, gardening, markets, music, banking]",
        "grid.countries=[EG, MA, SA, JO]",
    ]
    own += [f"writer.model={server.url}#loopback", "writer.asked.decoding.max_new_tokens=900", *more]
    return [part for one in own for part in ("--set", one)]


def made(runs, name):
    (folder,) = (runs / "steps").glob(f"{name}@*")
    return folder


def test_every_cell_has_its_share_and_every_other_reply_its_reason(server, tmp_path):
    server.reset()
    run("make", "dialogue/survey", *sets(server), "--runs", tmp_path)
    survey = json.loads((made(tmp_path, "survey") / "survey.json").read_text("utf-8"))
    assert (survey["wanted"], survey["kept"]) == (60, 60)
    assert survey["grid"]["wanted"] == survey["grid"]["kept"] == [[3] * 4] * 5
    assert {one["name"] for one in survey["grid"]["columns"]} == {"مصر", "المغرب", "السعودية", "الأردن"} or len(
        survey["grid"]["columns"]
    ) == 4
    assert survey["short"] == {"cells": 0, "texts": 0, "first": []}
    counts = json.loads((made(tmp_path, "conversations") / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["kept"] == 60 and counts["dropped"] == survey["replies"] - 60 > 0
    for table in read_rows(made(tmp_path, "conversations")):
        for messages in table["messages"].to_pylist():
            assert [one["role"] for one in messages[:2]] == ["user", "assistant"]
            assert messages[-1]["role"] == "assistant"
    assert server.counts()["requests"] == survey["replies"]


def test_a_plan_says_what_would_be_asked_and_sends_nothing(server, tmp_path):
    server.reset()
    out = run("plan", "dialogue", *sets(server), "--price-in", "1", "--price-out", "2", "--runs", tmp_path)
    assert "60 texts by http://127.0.0.1" in out
    least, expected, most = (line.split() for line in out.splitlines()[-3:])
    assert (least[0], least[1]) == ("least", "60")
    assert int(most[1]) == 60 * 6 * 2
    assert float(least[4]) < float(expected[4]) < float(most[4].replace(",", ""))
    assert server.counts()["requests"] == 0
    run("make", "dialogue/survey", *sets(server), "--runs", tmp_path)
    assert "60 first prompts have their reply in the ledger" in run(
        "plan", "dialogue", *sets(server), "--runs", tmp_path
    )


def test_from_grid_to_a_gain_on_what_was_not_seen(server, tmp_path):
    server.reset()
    student = tiny_student(tmp_path / "student")
    held = ["grid.test_topics=0.2", "grid.test_countries=0.25", "grid.test_cells=0.2", "train=true", "asked=6"]
    short = ["training.epochs=1", "training.rows_per_batch=4", "decoding.max_new_tokens=8", f"student.model={student}"]
    run("make", "dialogue", *sets(server, *held, *short, "training.max_tokens=2048"), "--runs", tmp_path)
    kinds = {kind for table in read_rows(made(tmp_path, "asked")) for kind in table["task"].to_pylist()}
    assert {"test-topic", "test-country"} <= kinds <= {"test-topic", "test-country", "test-cell"}
    learnt = {cell for table in read_rows(made(tmp_path, "learnt")) for cell in table["group"].to_pylist()}
    asked = {cell for table in read_rows(made(tmp_path, "asked")) for cell in table["group"].to_pylist()}
    assert learnt and asked and not learnt & asked
    for table in read_rows(made(tmp_path, "turns")):
        for messages, references in zip(table["messages"].to_pylist(), table["references"].to_pylist(), strict=True):
            assert messages[-1]["role"] == "user" and len(references) == 1
    (page,) = (tmp_path / "dialogue").glob("*/report.html")
    html = page.read_text("utf-8")
    text = page.with_name("report.md").read_text("utf-8")
    assert "### ما كُتب: survey" in text and "| البلد |" in text
    assert "ما كُتب" in html and 'class="heat"' in html and "كرة القدم" in html


def test_plan_of_a_recipe_that_writes_nothing(tmp_path):
    assert "asks no language model to write" in run("plan", "quickstart", "--runs", tmp_path)


def test_what_a_text_takes_by_hand():
    from mashq.lm import Decoding
    from mashq.plan import _per_text
    from mashq.synthesis import Asked

    asked = Asked(decoding=Decoding(max_new_tokens=9, temperature=1.0), samples=2, tries=3)
    assert _per_text(1.0, asked, True) == (2.0, 0.0)
    assert _per_text(0.0, asked, True) == (6.0, 3.0)
    assert _per_text(0.0, asked, False) == (6.0, 0.0)
    first, repairs = _per_text(0.5, asked, True)  # a try fails at 1/4, its repair at 1/2: another follows at 1/8
    assert (first, repairs) == (2 * (1 + 1 / 8 + 1 / 64), (1 + 1 / 8 + 1 / 64) / 4)


def test_the_plan_counts_a_judge_and_no_repairs_that_cannot_be(data, tmp_path):
    def rows(*more):
        out = run("plan", "stories", "--size", "paper", "--set", "written=20", *more, "--runs", tmp_path)
        told = [line.replace(",", "").split() for line in out.splitlines()]
        return {words[0]: words for words in told if words and words[0] in ("least", "expected", "most")}

    server = ("--set", "writing.writer.model=http://127.0.0.1:9/v1#m")
    plain, judged = rows(*server), rows(*server, "--set", "writing.writer.judge=http://127.0.0.1:9/v1#j")
    assert int(judged["least"][1]) > int(plain["least"][1]) == 60
    assert int(plain["most"][1]) == 60 * 3 * 2
    out = run("plan", "dialogue", "--size", "paper", "--set", "grid.n=100", "--runs", tmp_path)
    most = next(line.split() for line in out.splitlines() if line.split()[:1] == ["most"])
    assert int(most[1].replace(",", "")) == 100 * 8  # a model that goes on from a text is not asked to mend


def test_a_share_that_is_none():
    from mashq.plan import Prices

    with pytest.raises(MashqError, match=r"plan: kept: expected a share above 0 and at most 1, got 1.2"):
        Prices(kept=1.2)
