"""What a page leaves out and says so: for want of room, and what may name people. Both languages, damaged files."""

import copy
import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from mashq.cli import verbs
from mashq.record import Run, Step, read_run
from mashq.report import page, write
from mashq.report.lines import closed, code, safe, seen
from mashq.report.page import render
from mashq.report.room import FULL, SMALLER
from mashq.report.samples import draw_rows, flat
from mashq.report.words import Words
from mashq.rows import MashqError


@pytest.fixture
def own(record, tmp_path) -> Path:
    """The record of a copy of the run, to be spoilt."""
    shutil.copytree(record.parents[1], tmp_path / "runs")
    return tmp_path / "runs" / record.parent.name / record.name


def folder_of(record: Path, name: str) -> Path:
    (found,) = (record.parents[1] / "steps").glob(f"{name}@*")
    return found


def say_of(record: Path, step: str, **values: object) -> None:
    path = folder_of(record, step) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}, ensure_ascii=False), "utf-8")


# --- room ------------------------------------------------------------------------------------------------------------


def sizes(content) -> list[int]:
    """Bytes of the whole page and of every smaller one."""
    found = []
    for room in (FULL, *SMALLER):
        found.append(len(page._rendered(content, Words("ar"), content["runs"], room).encode()))
    return found


def test_every_smaller_page_is_smaller(content):
    found = sizes(content)
    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] / 2


def test_a_page_too_large_shows_less_and_says_how_much(content, monkeypatch):
    before = copy.deepcopy(content)
    whole = render(content, Words("en"))
    room = SMALLER[1]
    monkeypatch.setattr(
        page, "MOST_BYTES", len(page._rendered(content, Words("en"), content["runs"], room).encode()) + 1
    )
    less = render(content, Words("en"))
    assert len(less.encode()) < page.MOST_BYTES
    told = re.sub("<[^>]+>", "", less)
    assert "It shows at most 12 slices of a slicing, 3 drawn items of an evaluation" in told
    assert "Tables by slice are there for the first metrics alone, 3 of them." in told
    assert less.count('<article class="item">') == 3 < whole.count('<article class="item">')
    assert "It shows at most" not in whole
    assert content == before  # report.json has all


def test_a_page_that_fits_in_no_room_is_an_error(content, monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 1000)
    with pytest.raises(MashqError, match=r"expected less than 1,000\. Report fewer runs at once"):
        render(content, Words("ar"))


def test_drawn_rows_are_folded_under_their_step_with_its_counts(content):
    html = render(content, Words("en"))
    data = html[html.index('id="r1-data"') : html.index('id="r1-training"')]
    steps = [one for one in content["runs"][0]["data"] if not one["scored"] or one["reasons"]]
    summaries = re.findall(r'<details class="step"><summary>(.*?)</summary>', data)
    assert len(summaries) == len(steps)
    for step, summary in zip(steps, summaries, strict=True):
        told = re.sub("<[^>]+>", "", summary)
        assert told.startswith(f"{step['step']} kept {step['counts']['kept']} · dropped {step['counts']['dropped']}")
    outside = re.sub(r'<details class="step">.*?</details>', "", data, flags=re.DOTALL)
    assert 'class="sample' not in outside and 'class="sample' in data


# --- what may name people --------------------------------------------------------------------------------------------


def texts_of(evaluation) -> str:
    return json.dumps([evaluation["replies"]["items"], [one["text"] for one in evaluation["copied"]]])


@pytest.mark.parametrize("step", ["evaluate", "replies-tuned", "stories"])
def test_no_reply_of_a_private_evaluation_is_shown(own, tmp_path, step):
    say_of(own, step, private=True)
    path = write([own], tmp_path / "out", lang="both")
    (evaluation,) = json.loads((path.parent / "report.json").read_text("utf-8"))["runs"][0]["evaluations"]
    assert evaluation["private"]
    assert texts_of(evaluation) == json.dumps([[], [""] * len(evaluation["copied"])])
    for name, told in (("report.html", "فلا يُعرض منها شيء"), ("report.en.html", "These replies, or what they answer,")):
        text = path.with_name(name).read_text("utf-8")
        assert told in text and '<article class="item">' not in text
    assert evaluation["scores"]  # the numbers stay


def test_replies_of_an_evaluation_that_is_not_private_are_shown(content):
    (evaluation,) = content["runs"][0]["evaluations"]
    assert not evaluation["private"] and evaluation["replies"]["items"]
    assert any(one["text"] for one in evaluation["copied"])


def step(name: str, produces: str = "rows", **manifest: object) -> Step:
    return Step(name, Path(name), name, False, 0.0, {"produces": produces, **manifest})


def test_replies_to_private_rows_are_hidden_and_what_was_made_of_them_before_is_not():
    raw = step("raw", private=True)
    asked = step("asked", inputs={"rows": "raw"}, settings={})
    private = step("replies", inputs={"rows": "raw"}, settings={"student": {}})
    open_ = step("other", inputs={"rows": "asked"}, settings={"student": {}})
    judged = step("judged", inputs={"replies": "replies"}, settings={})
    one = step("one", "evaluation", inputs={"base": "other"})
    two = step("two", "evaluation", inputs={"base": "other", "tuned": "judged"})
    run = Run(Path("x"), "x", "y", {}, (raw, asked, private, open_, judged, one, two))
    assert [each.name for each in run.steps if run.hides(each)] == ["raw", "replies", "judged", "two"]


def test_a_dropped_row_does_not_bring_its_text_from_a_private_step(own):
    run = read_run(own)
    stories = next(one for one in run.steps if one.name == "stories")
    assert any(row["texts"] for row in draw_rows(run, stories, dropped=True, seed=0, n=500))
    say_of(own, "prompts", private=True)
    say_of(own, "facts", private=True)
    run = read_run(own)
    stories = next(one for one in run.steps if one.name == "stories")
    shown = draw_rows(run, stories, dropped=True, seed=0, n=500)
    assert shown and not any(row["texts"] for row in shown if not row["references"])


# --- paths and marks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/user/full/ratings.parquet", "ratings.parquet"),
        ("~/data/x.csv", "x.csv"),
        ("C:\\Users\\user\\d.csv", "d.csv"),
        ("file:///home/user/b.csv", "b.csv"),
        ("peft:/home/user/m/", "peft:m"),
        (Path("/home/user/a.csv"), "a.csv"),
        (["/home/user/a.csv", "b/c.csv"], '["a.csv", "b/c.csv"]'),
        ("http://127.0.0.1:40189/v1#x", "http://127.0.0.1:40189/v1#x"),
        ("org/model", "org/model"),
        ("نعم/لا", "نعم/لا"),
        ("/نعم أو لا", "/نعم أو لا"),
    ],
)
def test_of_a_path_only_the_files_name_is_shown(value, shown):
    assert flat({"ratings": value}) == [{"name": "ratings", "text": shown, "cut": 0}]


def test_control_characters_are_seen_and_directions_end():
    assert seen("a\x00b\x1b[31m\x7f\x9b\ud800\n\t") == "a␀b␛[31m␡��\n\t"
    override, end, isolate, pop = "\u202e", "\u202c", "\u2066", "\u2069"
    assert closed(f"a{override}b") == f"a{override}b{end}"
    assert closed(f"{isolate}a{override}b{pop}c") == f"{isolate}a{override}b{pop}c"
    assert closed(f"a{pop}b{end}") == "ab"
    assert safe(f"a{override}b\x00 <i>") == f"a{override}b␀ &#60;i&#62;{end}"
    assert code(f"a{override}\x1b") == f"`a{override}␛{end}`"


def test_no_control_character_of_a_record_reaches_page_or_markdown(own, tmp_path):
    loaded = json.loads(own.read_text("utf-8"))
    loaded["settings"]["note"] = loaded["caption"] = "a\x00b\x1b[31m\u202ec \ud800"
    own.write_text(json.dumps(loaded), "utf-8")
    path = write([own], tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = path.with_name(name).read_text("utf-8")
        assert "a␀b␛" in text
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text)
    line = next(one for one in path.with_name("report.md").read_text("utf-8").splitlines() if "␀" in one)
    assert line.count("\u202e") == line.count("\u202c")


# --- languages, places, damage ---------------------------------------------------------------------------------------


def test_both_languages_stand_beside_each_other_and_are_each_what_one_gives(record, tmp_path):
    both = write([record], tmp_path / "both", lang="both").parent
    names = {"report.html", "report.md", "report.en.html", "report.en.md", "report.json", "data_card.md"}
    assert {path.name for path in both.iterdir()} == names
    for lang, end in (("ar", ""), ("en", ".en")):
        one = write([record], tmp_path / lang, lang=lang).parent
        for kind in ("html", "md"):
            assert (one / f"report.{kind}").read_bytes() == (both / f"report{end}.{kind}").read_bytes()
        assert (one / "report.json").read_bytes() == (both / "report.json").read_bytes()


@pytest.mark.parametrize(("lang", "starts"), [("ar", "# تقرير مَشْق"), ("en", "# mashq report")])
def test_the_verb_writes_in_the_language_that_is_asked_for(record, tmp_path, lang, starts):
    out = tmp_path / "out"
    done = CliRunner().invoke(verbs, ["report", str(record), "--out", str(out), "--lang", lang])
    assert done.exit_code == 0, done.output
    assert (out / "report.md").read_text("utf-8").startswith(starts)
    assert f'<html lang="{lang}"' in (out / "report.html").read_text("utf-8")


def test_a_folder_that_cannot_be_made_is_told(record, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(
        MashqError, match=r"report: .*file/out: expected a folder that can be written to, got 'Not a dir"
    ):
        write([record], tmp_path / "file" / "out")


@pytest.mark.parametrize(("step_name", "name"), [("evaluate", "samples.parquet"), ("stories", "part-00000.parquet")])
def test_a_damaged_table_is_named(own, tmp_path, step_name, name):
    path = folder_of(own, step_name) / name
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(
        MashqError, match=rf"report: .*{name}: expected a Parquet file that can be read, got Parquet magic"
    ):
        write([own], tmp_path / "out")


def test_samples_without_a_column_are_told(own, tmp_path):
    import pyarrow.parquet as pq

    path = folder_of(own, "evaluate") / "samples.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["reply"]), path)
    with pytest.raises(
        MashqError, match=r"samples.parquet: expected the columns item, system.*got none of the name reply"
    ):
        write([own], tmp_path / "out")


def test_rooms_only_shrink():
    for before, after in zip((FULL, *SMALLER), SMALLER, strict=False):
        pairs = zip(dataclasses.astuple(before), dataclasses.astuple(after), strict=True)
        assert all(one >= other for one, other in pairs) and before != after
