"""The digest of a step: of all that lasts of its result, of nothing that changes from run to run, and none of nothing.

The digests of contamination, the judge's card and people stand beside their steps' own tests.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq.report import identity_view
from mashq.report.words import Words
from mashq.run import Made, Step, Store, manifest_of

HERE = "openai:http://127.0.0.1:41605/v1#judge"
ELSEWHERE = "openai:https://judge.example:8000/v1#judge"


def left(job: Any) -> dict[str, Any]:
    for name, content in job.aside.items():
        path = job.folder / name
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"n": content}), path)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return {}


def made(root: Any, produces: str, **files: Any) -> Made:
    """A folder step that leaves the files; `_` in a name stands for the point before its suffix."""
    named = {".".join(name.rsplit("_", 1)): content for name, content in files.items()}
    return Store(root).make(Step("left", left, kind="folder", produces=produces, aside=named))


def digest(root: Any, produces: str, **files: Any) -> str | None:
    value: str | None = made(root / str(len(list(root.iterdir()))), produces, **files).manifest["hash"]
    return value


@pytest.mark.parametrize(
    ("produces", "name"),
    [
        ("judge_card", "judge_card_json"),
        ("people", "people_json"),
        ("contamination", "contamination_json"),
        ("survey", "survey_json"),
        ("tables", "tables_json"),
        ("evaluation", "scores_json"),
        ("rows", "verdict_json"),
    ],
)
def test_what_a_step_found_is_in_its_digest(tmp_path, produces, name):
    one, same, other = (digest(tmp_path, produces, **{name: {"n": n, "seed": 0}}) for n in (1, 1, 2))
    assert one is not None and one == same != other


@pytest.mark.parametrize("name", ["failures_csv", "to_judge_tsv", "plan_parquet", "weights_safetensors"])
def test_tables_and_weights_are_in_the_digest(tmp_path, name):
    contents = ([1], [1], [2]) if name.endswith("parquet") else ("a,b\n1,2\n", "a,b\n1,2\n", "a,b\n1,3\n")
    one, same, other = (digest(tmp_path, "plan", **{name: content}) for content in contents)
    assert one is not None and one == same != other


def test_a_judge_that_is_served_elsewhere_says_the_same(tmp_path):
    cards = [{"about": {"model": at, "cases": [at]}, "n": 3} for at in (HERE, ELSEWHERE)]
    one, other = (digest(tmp_path, "judge_card", judge_card_json=card) for card in cards)
    assert one == other
    named = digest(tmp_path, "judge_card", judge_card_json={"about": {"model": f"{HERE}-2", "cases": [HERE]}, "n": 3})
    told = digest(tmp_path, "judge_card", judge_card_json={"text": f"اقرأ {HERE}"})
    assert named != one
    assert told != digest(tmp_path, "judge_card", judge_card_json={"text": f"اقرأ {ELSEWHERE}"})  # a text, no address


def test_a_models_card_and_log_hold_times_and_its_weights_do_not(tmp_path):
    one, other = (
        digest(tmp_path, "model", weights_safetensors="1", card_json={"seconds": n}, log_jsonl=f"{n}", page_md=f"{n}")
        for n in (1, 2)
    )
    assert one is not None and one == other
    assert one != digest(tmp_path, "model", weights_safetensors="2", card_json={"seconds": 1})


def test_a_step_with_nothing_lasting_says_none_and_the_report_a_dash(tmp_path):
    nothing = made(tmp_path, "model", card_json={"seconds": 1}, loss_svg="<svg/>")
    assert nothing.manifest["hash"] is None
    assert [one["lasting"] for one in nothing.manifest["outputs"]] == [False, False]
    assert Store(tmp_path).make(nothing.step).reused
    told = {"name": "left", "fingerprint": "f" * 16, "hash": nothing.manifest["hash"], "commit": "c" * 12}
    texts = dict.fromkeys(("recipe", "name", "made_with", "started"), "x")
    run = {**texts, "machine": [], "packages": {}, "seeds": [], "steps": [told]}
    lines = identity_view.markdown(Words("en"), {**run, "identity": {"models": [], "frames": [], "asked": []}})
    (line,) = [one for one in lines if "left" in one]
    assert [cell.strip(" `") for cell in line.strip("|").split("|")] == ["left", "f" * 16, "–", "c" * 12]


def test_a_step_made_before_keeps_its_digest_and_what_rests_on_it_is_not_made_again(tmp_path):
    """The digest of nothing, as manifests had it."""
    first = Step("first", left, kind="folder", produces="survey", aside={"survey.json": {"n": 1}})
    second = Step("second", left, None, {"first": first}, kind="folder", produces="survey", aside={})
    Store(tmp_path).make(second)
    store = Store(tmp_path)
    old = "7ebb3c7c2a87b1a2f8a7ed729ecb040d"
    for step, changes in ((first, {"hash": old}), (second, {"hash": old, "input_hashes": {"first": old}})):
        folder = store.folder(step)
        (folder / "manifest.json").write_text(json.dumps({**(manifest_of(folder) or {}), **changes}), "utf-8")
    again = store.make(second)
    assert again.reused and again.manifest["hash"] == store.make(first).manifest["hash"] == old


def test_weights_that_were_not_in_place_when_a_run_was_killed_are_cleared_away(tmp_path):
    """`adapter.partial` is a folder."""

    def step(aside: Any) -> Step:
        return Step("killed", broken, kind="folder", produces="model", aside=aside)

    with pytest.raises(RuntimeError):
        Store(tmp_path).make(step({"end": False}))
    again = Store(tmp_path).make(step({"end": True}))
    assert [one["name"] for one in again.manifest["outputs"]] == ["done.txt"]


def broken(job: Any) -> dict[str, Any]:
    if not job.aside["end"]:
        (job.folder / "adapter.partial").mkdir()
        (job.folder / "adapter.partial" / "some.partial").write_text("x")
        (job.folder / "one.partial").write_text("x")
        raise RuntimeError
    (job.folder / "done.txt").write_text("x")
    return {}
