"""Crossed slices on the page and in the Markdown: whole in the JSON, named by rule, never told by colour alone."""

import copy
import html
import json
import re

import fake_run
import pytest

from mashq.report import crossings, evaluated
from mashq.report.markdown import report_markdown
from mashq.report.page import render
from mashq.report.words import Words

METRICS = {
    "rougeL": {"higher_is_better": True, "unit": "0..1", "of": "reply"},
    "bits_per_byte": {"higher_is_better": False, "unit": "bits/byte", "of": "reference"},
}


@pytest.fixture(scope="module")
def scores(record):
    return json.loads(next((record.parent.parent / "steps").glob("evaluate@*/scores.json")).read_text("utf-8"))


def crossed(content):
    return content["runs"][0]["evaluations"][0]["crossings"]


def changed(content, **more):
    """The content with other crossings."""
    other = copy.deepcopy(content)
    other["runs"][0]["evaluations"][0]["crossings"].update(more)
    return other


def cells(page: str) -> list[str]:
    return re.findall(r'<td class="(?:better|worse|same)[^"]*">.*?</td>', page, re.DOTALL)


# --- what is read ----------------------------------------------------------------------------------------------------


def told(n: int = 20, **more):
    return {"metric": "rougeL", "a": "tuned", "b": "base", "row": "qa", "column": "arcd", "n": n, "groups": n, **more}


def facts(*comparisons, values=()):
    made = {"rows": "task", "columns": "source", "row_values": ["qa"], "column_values": ["arcd"]}
    whole = {**made, "scores": list(values), "comparisons": list(comparisons)}
    found = {"least_items": 10, "made": [whole], "left_out": []}
    names = [{"name": "base"}, {"name": "tuned"}]
    read = crossings.read({"systems": names, "baseline": "base", "crossings": found}, METRICS, least_groups=20)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("entry", "lean", "sure"),
    [
        ({"difference": 0.2, "low": 0.1, "high": 0.3}, "better", True),
        ({"difference": 0.2, "low": -0.1, "high": 0.3}, "better", False),
        ({"difference": 0.2, "low": 0.1, "high": 0.3, "n": 9}, "better", False),  # too few items to be sure
        ({"difference": 0.2, "low": None, "high": None}, "better", False),
        ({"difference": -0.2, "low": -0.3, "high": -0.1}, "worse", True),
        ({"difference": -0.2, "low": -0.3, "high": -0.1, "metric": "bits_per_byte"}, "better", True),
        ({"difference": 0.0, "low": None, "high": None}, "same", False),
    ],
)
def test_what_a_cell_leans_to(entry, lean, sure):
    one = facts(told(**entry))["made"][0]["comparisons"][0]
    assert (one["lean"], one["sure"]) == (lean, sure)


def test_the_worst_cell_has_enough_items():
    def value(row, number, n):
        return {**told(n), "system": "tuned", "row": row, "value": number, "low": None, "high": None, "signature": ""}

    values = [value("qa", 0.5, 30), value("title", 0.1, 9), value("cloze", 0.4, 10)]
    found = facts(told(difference=0.1, low=0.0, high=0.2), values=values)
    worst = found["worst"]["rougeL"]
    assert (worst["rows"], worst["row"], worst["value"], worst["rough"]) == ("task", "cloze", 0.4, True)
    assert found["made"][0]["worst"] == found["worst"]
    assert found["least_gain"]["rougeL"]["difference"] == 0.1


def test_an_evaluation_made_before_there_were_crossings_has_none(content):
    assert crossings.read({"systems": [], "baseline": "base"}, METRICS, least_groups=20) is None
    other = copy.deepcopy(content)
    other["runs"][0]["evaluations"][0]["crossings"] = None
    words = Words("en")
    assert 'class="crossing"' not in render(other, words)
    assert words.plain("crossings") not in report_markdown(other, words)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_json_has_every_cell(content, scores):
    made = crossed(content)["made"]
    assert (made[0]["rows"], made[0]["columns"]) == ("task", "variety")
    for ours, theirs in zip(made, scores["crossings"]["made"], strict=True):
        for kind in ("scores", "comparisons"):
            assert [{name: one[name] for name in theirs[kind][0]} for one in ours[kind]] == theirs[kind]
        assert len(ours["scores"]) > 0


def test_every_coloured_cell_says_in_words_what_its_colour_says(content):
    for lang, more in (("ar", ("أفضل", "أسوأ", "سواء")), ("en", ("better", "worse", "same"))):
        page = render(content, Words(lang))
        found = cells(page)
        assert len(found) >= 6 * 4  # task x variety, in four metrics that are compared
        kinds = dict(zip(("better", "worse", "same"), more, strict=True))
        for one in found:
            kind, sure = re.match(r'<td class="(\w+)( sure)?"', one).groups()
            lean = re.search(r'<span class="lean">(.*?)</span>', one).group(1)
            assert lean.rstrip("؟?") == kinds[kind]
            assert (lean[-1] in "؟?") == (kind != "same" and not sure)
            assert re.search(r"n = .*?\d", one)


def test_a_grid_shows_the_numbers_of_its_cells(content):
    page, first = render(content, Words("en")), crossed(content)["made"][0]
    table = re.search(r'<table class="crossing">.*?</table>', page, re.DOTALL).group(0)
    shown = re.findall(r'class="value"><bdi dir="ltr" class="num">(.*?)</bdi>', table)
    mine = [one for one in first["scores"] if one["system"] == "tuned" and one["metric"] == "bits_per_byte"]
    assert sorted(shown) == sorted(f"{one['value']:.3f}" for one in mine) and len(shown) == 6
    assert table in re.search(r'<div class="scroll">(.*?)</div>', page[page.index(table) - 25 :], re.DOTALL).group(0)


def test_the_summary_names_the_worst_cell_beside_the_worst_slice(content):
    evaluation = content["runs"][0]["evaluations"][0]
    metric = evaluation["worst"]["metric"]
    worst = crossed(content)["worst"][metric]
    sign = 1 if evaluation["metrics"][metric]["higher_is_better"] else -1
    every = [
        one["value"] * sign
        for crossing in crossed(content)["made"]
        for one in crossing["scores"]
        if (one["system"], one["metric"]) == ("tuned", metric) and one["n"] >= 10
    ]
    assert worst["value"] * sign == min(every)
    summary = render(content, Words("en")).split('id="r1-summary"')[1].split("</section>")[0]
    assert summary.lower().index("weakest slice") < summary.index("The weakest cell where two slices cross")
    assert "Only slices and cells of at least" in summary


def test_a_small_slice_is_not_named_the_worst_beside_larger_ones():
    large, small = {"n": 30, "value": 0.5}, {"n": 2, "value": 0.0}
    assert evaluated._enough([large, small]) == [large]
    assert evaluated._enough([small]) == [small]


def test_crossings_that_say_nothing_new_are_named_with_the_reason(content):
    left_out = [
        {"rows": "task", "columns": "source", "why": "repeats", "of": "source"},
        {"rows": "source", "columns": "origin", "why": "one value", "of": "origin"},
        {"rows": "variety", "columns": "length", "why": "thin", "of": ""},
    ]
    page = html.unescape(re.sub("<[^>]*>", "", render(changed(content, made=[], left_out=left_out), Words("en"))))
    assert "Task × Source is not shown: every value of “Source” occurs with one value of the other only" in page
    assert "Variety × Length of the reference is not shown: fewer than two of its cells have 10 items." in page
    assert "Source × Origin" not in page


def test_the_markdown_has_the_same_grids(content):
    text = report_markdown(content, Words("en"))
    part = text.split("### Slices crossed")[1].split("\n### ")[0]
    mine = [
        one
        for one in crossed(content)["made"][0]["comparisons"]
        if (one["a"], one["metric"]) == ("tuned", "bits_per_byte")
    ]
    assert len(mine) == 6
    for one in mine:
        assert f"n = {one['n']}" in part
        assert f"{abs(one['difference']):.3f} [" in part and "better" in part


def test_hostile_names_stay_text(content):
    made = copy.deepcopy(crossed(content)["made"][:1])
    hostile = f"{fake_run.ATTACK}| {fake_run.OVERRIDE}`x`"
    for side, entries in (("row_values", "row"), ("column_values", "column")):
        old = made[0][side][0]
        made[0][side][0] = hostile
        named = [
            *made[0]["scores"],
            *made[0]["comparisons"],
            *made[0]["worst"].values(),
            *made[0]["least_gain"].values(),
        ]
        for one in named:
            one[entries] = hostile if one[entries] == old else one[entries]
    worst = {metric: {**one, "row": hostile} for metric, one in crossed(content)["worst"].items()}
    other = changed(content, made=made, worst=worst)
    for lang in ("ar", "en"):
        page = render(other, Words(lang))
        assert "<script" not in page and "<img" not in page
        assert page.count("&lt;script&gt;document.title") > 10
        text = report_markdown(other, Words(lang))
        assert "<script" not in text and "<img" not in text
        lines = [line for line in text.splitlines() if "document.title" in line and line.startswith("| ")]
        assert lines and all(re.search(r"(?<!\\)\|.*`", line) is None for line in lines)


def test_wide_grids_show_the_fullest_and_say_how_many_are_left(content):
    names = [f"t{place:02d}" for place in range(40)]
    numbers = {"low": None, "high": None, "groups": 3, "signature": "s", "rough": True}
    values = [
        {
            "system": "tuned",
            "metric": "bits_per_byte",
            "row": row,
            "column": row,
            "value": 1.0,
            "n": place + 1,
            **numbers,
        }
        for place, row in enumerate(names)
    ]
    made = {"rows": "task", "columns": "source", "row_values": names, "column_values": names, "scores": values}
    whole = {**made, "comparisons": [], "worst": {}, "least_gain": {}}
    page = render(changed(content, made=[whole]), Words("en"))
    table = re.search(r'<table class="crossing">.*?</table>', page, re.DOTALL).group(0)
    columns, rows = (re.findall(rf'<th scope="{kind}"><bdi>(.*?)</bdi>', table) for kind in ("col", "row"))
    assert columns == [f"t{place}" for place in range(39, 27, -1)]
    assert rows == names[10:]
    assert "Rows and columns with fewer items that are not shown here: " in page
    assert re.search(r'not shown here: <bdi dir="ltr" class="num">38</bdi>', page)
