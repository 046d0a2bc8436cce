"""Several runs side by side: each row has the name, the evaluation and the items of its own numbers."""

import re

import fake_run
import pytest

from mashq.record import read_run
from mashq.report.content import build
from mashq.report.evaluated import board_beside
from mashq.report.markdown import report_markdown
from mashq.report.page import render
from mashq.report.words import Words

OTHER = {"base": "النموذج الأساس", "tuned": "طالب آخر", "shuffled": "مدرَّب على طلبات مخلوطة"}


@pytest.fixture(scope="module")
def two(record, tmp_path_factory):
    """Two runs of one recipe in which the step `tuned` belongs to different students."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_run, "LABELS", OTHER)
        other = fake_run.make(tmp_path_factory.mktemp("other") / "runs", fake_run.Size(rows=80, seed=9), name="other")
    return build([read_run(record), read_run(other)], seed=0)


def scored(value, n, metric="rougeL"):
    return {
        "system": "s",
        "metric": metric,
        "signature": f"{metric}|x",
        "slice": {"by": "all", "value": ""},
        "value": value,
        "low": value,
        "high": value,
        "n": n,
    }


def evaluation(step, items, *scores, label="system", unit="0..1", better=True):
    facts = {"higher_is_better": better, "unit": unit}
    metrics = {one["metric"]: facts for one in scores}
    return {
        "step": step,
        "labels": {"s": label},
        "systems": ["s"],
        "items": items,
        "scores": scores,
        "metrics": metrics,
    }


def run(name, *evaluations):
    return {"recipe": "r", "name": name, "evaluations": list(evaluations)}


def rows_of(text):
    """The cells of each row of the first table with runs in it, without their tags."""
    table = re.search(r'<table class="board">(.*?)</table>', text, re.DOTALL).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", table.split("</thead>")[1], re.DOTALL)
    return [
        [
            " ".join(re.sub("<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_every_row_has_the_name_that_its_own_run_gave(two):
    names = [*fake_run.LABELS.values(), *OTHER.values()]
    assert [row["label"] for row in two["board"]["rows"]] == names
    shown = rows_of(render(two, Words("ar")))
    assert [row[1] for row in shown] == names
    assert [row[0] for row in shown] == ["quickstart/3f2a91c0"] * 3 + ["quickstart/other"] * 3
    lines = re.findall(r"^\| `quickstart/[^`]+` \| ([^|]+) \|", report_markdown(two, Words("ar")), re.M)
    assert lines == names


def test_facts_of_a_metric_are_those_of_the_rows_own_evaluation():
    """One bare name with other units in two runs makes two columns."""
    runs = [
        run("1", evaluation("gain", 2, scored(4.0, 2), unit="1..5")),
        run("2", evaluation("gain", 2, scored(0.4, 2))),
    ]
    found = board_beside(runs)
    assert [column["unit"] for column in found["columns"]] == ["1..5", "0..1"]
    assert [[bool(cell) for cell in row["cells"]] for row in found["rows"]] == [[True, False], [False, True]]


def test_rows_tell_their_evaluation_and_items_and_stand_once(two):
    twice = [evaluation(step, 100, scored(0.5, 100), scored(0.3, 60, "obeys")) for step in ("gain", "arms")]
    runs = [
        run("1", *twice, evaluation("part", 60, scored(0.5, 60))),
        run("2", evaluation("gain", 100, scored(0.5, 100))),
    ]
    found = board_beside(runs)
    told = [(row["run"], row["evaluations"], row["items"]) for row in found["rows"]]
    assert told == [("r/1", ["gain", "arms"], 100), ("r/1", ["part"], 60), ("r/2", ["gain"], 100)]
    content = {**two, "board": found}
    assert [row[:6] for row in rows_of(render(content, Words("en")))] == [
        ["r/1", "system", "gain arms", "100", "0.500 [0.500, 0.500]", "0.300 [0.300, 0.300] n = 60"],
        ["r/1", "system", "part", "60", "0.500 [0.500, 0.500]", "–"],
        ["r/2", "system", "gain", "100", "0.500 [0.500, 0.500]", "–"],
    ]
    markdown = report_markdown(content, Words("en"))
    numbers = "0.500 [0.500, 0.500] | 0.300 [0.300, 0.300] (n = 60)"
    assert f"| `r/1` | system | `gain`, `arms` | 100 | {numbers} |" in markdown
    assert "from row to row" in markdown


def test_the_head_names_evaluation_and_items(two):
    head = re.search(r'<table class="board">\s*<thead>(.*?)</thead>', render(two, Words("ar")), re.DOTALL).group(1)
    assert re.findall(r'<th scope="col">([^<]+)</th>', head)[:4] == ["التشغيل", "النظام", "التقييم", "العناصر"]
    assert "| التشغيل | النظام | التقييم | العناصر |" in report_markdown(two, Words("ar"))


def test_equal_numbers_on_other_items_stay_two_rows():
    both = (evaluation("gain", 100, scored(0.3, 60, "obeys")), evaluation("part", 60, scored(0.3, 60, "obeys")))
    found = board_beside([run("1", *both), run("2", evaluation("gain", 100, scored(0.5, 100)))])
    assert [(row["evaluations"], row["items"]) for row in found["rows"]][:2] == [(["gain"], 100), (["part"], 60)]


def test_one_run_alone_has_no_board_beside():
    assert (
        board_beside([run("1", evaluation("gain", 2, scored(0.4, 2)), evaluation("arms", 3, scored(0.4, 3)))]) is None
    )
