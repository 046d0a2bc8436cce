"""The samples on which judge and people, or people among themselves, differ most."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import fake_run
import pyarrow.parquet as pq
import pytest
from markupsafe import escape
from test_people_part import FACTS

from mashq.record import Step, read_run
from mashq.report import write
from mashq.report.disagreements import furthest_from_judge, furthest_from_people, markdown, with_people
from mashq.report.samples import draw_replies
from mashq.report.words import LANGUAGES, Words

ATTACK = "<script>alert(1)</script>|`x`"


def reply(item, raters, judge=None, system="base"):
    """A reply with these raters' scores under each criterion: {"fluency": (3, 4)}."""
    people = {
        name: {"mean": sum(scores) / len(scores), "raters": {str(n): float(s) for n, s in enumerate(scores, 1)}}
        for name, scores in raters.items()
    }
    return {"item": item, "system": system, "people": people, "judge": judge or {}}


def test_the_judge_is_furthest_by_points_without_a_sign_over_criteria():
    scored = [
        reply("a", {"f": (3,), "c": (3,)}, {"f": 5.0, "c": 1.0}),  # +2 and -2: two apart, though means agree
        reply("b", {"f": (2,), "c": (3,)}, {"f": 5.0, "c": 3.0}),  # 3 and 0
        reply("c", {"f": (3,)}, {"f": 3.0}),
        reply("d", {"f": (1,)}),  # the judge said nothing
    ]
    told = furthest_from_judge(scored)
    assert (told["item"], told["gap"], told["criteria"], told["replies"]) == ("a", 2.0, 2, 3)
    assert (told["criterion"], told["widest"], told["judge"], told["people"]) == ("c", 2.0, 1.0, 3.0)
    assert told["higher"] == pytest.approx((2 - 2 + 3 + 0 + 0) / 5)


def test_raters_are_furthest_by_each_two_of_them_so_that_many_do_not_count_more():
    scored = [
        reply("a", {"f": (1, 3, 3, 3, 3)}),  # range 2, each two of them 0.8
        reply("b", {"f": (2, 3), "c": (3, 3)}),  # 0.5 over two criteria
        reply("c", {"f": (2, 3)}, system="tuned"),
        reply("d", {"f": (5,)}),  # one rater differs from nobody
    ]
    told = furthest_from_people(scored)
    assert (told["item"], told["system"], told["gap"], told["replies"]) == ("c", "tuned", 1.0, 3)


def test_ties_go_to_the_first_item_whatever_the_order():
    scored = [reply(item, {"f": (2, 4)}, {"f": 5.0}, system) for item in "cab" for system in ("tuned", "base")]
    for order in (scored, scored[::-1]):
        for told in (furthest_from_judge(order), furthest_from_people(order)):
            assert (told["item"], told["system"]) == ("a", "base")


def test_nothing_is_furthest_where_nothing_differs_or_is_alone():
    same = [reply(item, {"f": (3, 3)}, {"f": 3.0}) for item in "ab"]
    assert furthest_from_judge(same) is None
    assert furthest_from_people(same) is None
    assert furthest_from_judge([reply("a", {"f": (1, 5)}, {"f": 5.0})]) is None
    assert furthest_from_people([reply("a", {"f": (1, 5)})]) is None
    assert furthest_from_judge([]) is None


# --- in a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A small run, its record, and what people said of ten of its items; item 3 and item 7 stand out."""
    record = fake_run.make(tmp_path_factory.mktemp("rated") / "runs")
    run = read_run(record)
    step = next(run.of("evaluation"))
    items = sorted(set(pq.read_table(step.folder / "samples.parquet")["item"].to_pylist()))[:10]
    scored = []
    for place, item in enumerate(items):
        for system in ("base", "tuned"):
            scores = (1, 3, 5) if (place, system) == (7, "base") else (3, 3, 4)
            judge = {"fluency": 5.0 if (place, system) == (3, "tuned") else 3.0}
            scored.append(reply(item, {"fluency": scores}, judge, system))
    return SimpleNamespace(record=record, run=run, step=step, items=items, scored=scored)


def studied(rated, **more):
    """The run with a step of people beside it, and the facts that `with_people` takes."""
    manifest = {"produces": "people", "inputs": {"evaluation": rated.step.fingerprint}}
    step = Step("people", rated.record.parent, "0" * 16, False, 1.0, {**manifest, **more.pop("manifest", {})})
    run = replace(rated.run, steps=(*rated.run.steps, step))
    part = {"kind": "people", "step": "people", "simulated": False, "scored": rated.scored, **more}
    samples = rated.step.folder / "samples.parquet"
    order = ["base", "tuned"]
    drawn = draw_replies(samples, systems=order, metric="rougeL", higher_is_better=True, seed=0)
    labels = {"base": ATTACK, "tuned": "tuned"}
    facts = {"baseline": "base", "systems": order, "labels": labels, "replies": {"metric": "rougeL", "items": drawn}}
    return run, [facts], [part]


def test_both_stand_among_the_samples_with_all_systems_and_every_score(rated):
    run, before, parts = studied(rated)
    (after,) = with_people(run, copy.deepcopy(before), parts)
    found = {why: item for item in after["replies"]["items"] for why in item["told"] if why in ("people", "raters")}
    assert found["people"]["item"] == rated.items[3]
    assert found["people"]["told"]["people"]["system"] == "tuned"
    assert found["raters"]["item"] == rated.items[7]
    assert found["raters"]["raters"] == [1, 2, 3]
    for item in found.values():
        assert [one["system"] for one in item["replies"]] == ["base", "tuned"]
        assert all(one["rated"]["people"]["fluency"]["raters"] for one in item["replies"])
    ids = [item["item"] for item in after["replies"]["items"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {item["item"] for item in before[0]["replies"]["items"]} | {rated.items[3], rated.items[7]}
    assert with_people(run, copy.deepcopy(before), parts) == [after]


def test_without_people_with_an_older_study_or_private_rows_nothing_changes(rated):
    run, before, parts = studied(rated)
    older = [{key: value for key, value in parts[0].items() if key != "scored"}]
    assert with_people(rated.run, before, []) == before
    assert with_people(run, before, older) == before
    run, before, parts = studied(rated, manifest={"private": True})
    assert with_people(run, before, parts) == before
    run, before, parts = studied(rated, manifest={"inputs": {"evaluation": "another"}})
    assert with_people(run, before, parts) == before


@pytest.mark.parametrize("lang", LANGUAGES)
def test_markdown_says_what_differs_and_that_raters_are_programs(rated, lang):
    words = Words(lang)
    run, before, parts = studied(rated, simulated=True)
    shown = {"evaluations": with_people(run, before, parts)}
    text = "\n".join(markdown(words, "people", shown))
    for key in ("pick_people", "pick_raters"):
        assert f"**{words.plain(key)}** ({words.plain('people_simulated')})" in text
    assert "<script" not in text
    assert any(line.endswith("| 1 | 3 | 5 | 3.00 | 3.00 |") for line in text.splitlines())
    assert markdown(words, "another study", shown) == []


@pytest.fixture(scope="module")
def recorded(rated, tmp_path_factory):
    """The same run with the study's step written out, so that a whole report can be made of it."""
    root = rated.record.parent.parent
    folder = root / "steps" / "people@1111111111111111"
    folder.mkdir()
    whole = {**FACTS, "simulated": True, "scored": rated.scored}
    (folder / "people.json").write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
    manifest = {"step": "people", "produces": "people", "fingerprint": "1111111111111111", "parts": []}
    manifest |= {"inputs": {"evaluation": rated.step.fingerprint}, "settings": {}, "identity": {}, "counts": None}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "outputs": [], "facts": {}, "hash": "0"}), "utf-8")
    record = json.loads(rated.record.read_text("utf-8"))
    entry = {"name": "people", "folder": "steps/people@1111111111111111", "fingerprint": "1111111111111111"}
    record["steps"].append({**entry, "seconds": 1.0, "reused": False, "drift": []})
    path = rated.record.with_name("rated.json")
    path.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    return path


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_the_markdown_and_the_json_hold_both(recorded, tmp_path, lang):
    words = Words(lang)
    page = write([recorded], tmp_path, lang=lang).read_text("utf-8")
    for why in ("people", "raters"):
        article = next(one for one in page.split('<article class="item">') if f'class="pick {why}"' in one)
        article = article.split("</article>")[0]
        assert article.count(words.plain("people_simulated")) == 2  # over the sample, and at its scores
        assert "<details open>" in article
        assert escape(words.plain("rated_mean")) in article
        assert escape(words.plain("rated_judge")) in article
        assert words.plain(f"pick_{why}") in (tmp_path / "report.md").read_text("utf-8")
    assert "<script>alert" not in page
    items = json.loads((tmp_path / "report.json").read_text("utf-8"))["runs"][0]["evaluations"][0]["replies"]["items"]
    assert {"people", "raters"} <= {why for item in items for why in item["told"]}
