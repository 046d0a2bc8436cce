"""Samples of an evaluation as logs of inspect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mashq.evaluate import evaluate
from mashq.export.inspect_log import inspect_logs
from mashq.rows import MashqError, child_ids, conform, source_ids


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = source_ids("quiz", "1", n=3)
    asked = ["ما عاصمة المغرب؟", "٢+٢؟", "من؟"]

    def replies(system: str, said: list[str], finishes: list[str]) -> Any:
        return conform(
            {
                "id": child_ids(ids, step="generate", template=system),
                "parents": [[one] for one in ids.to_pylist()],
                "messages": [
                    [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
                    for q, a in zip(asked, said, strict=True)
                ],
                "references": [["الرباط"], ["أربعة"], None],
                "meta": [json.dumps({"finish": finish}) for finish in finishes],
                "variety": "msa",
            }
        )

    out = tmp_path_factory.mktemp("evaluation")
    systems = {
        "base": [replies("base", ["فاس", "أربعة", "لا أدري"], ["stop", "length", "stop"])],
        "after / 1": [replies("after / 1", ["الرباط", "أربعة", ""], ["stop", "stop", "stop"])],
    }
    evaluate(systems, baseline="base", metrics=["exact", "rougeL"], out=out)
    return out


def test_a_log_a_system_and_a_sample_an_item(evaluation: Path, tmp_path: Path) -> None:
    files = inspect_logs(evaluation, tmp_path / "logs")
    assert [path.name for path in files] == ["1970-01-01T00-00-00_base.json", "1970-01-01T00-00-00_after_1.json"]
    log = json.loads(files[0].read_text("utf-8"))
    assert (log["version"], log["status"], len(log["samples"])) == (2, "success", 3)
    by_input = {one["input"]: one for one in log["samples"]}
    one = by_input["٢+٢؟"]
    assert (one["target"], one["output"]["completion"]) == ("أربعة", "أربعة")
    assert one["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert one["scores"]["exact"] == {"value": 1.0, "answer": "أربعة"}
    assert [turn["role"] for turn in one["messages"]] == ["user", "assistant"]
    assert log["eval"]["dataset"]["sample_ids"] == [sample["id"] for sample in log["samples"]]


def test_what_was_not_measured_is_absent(evaluation: Path, tmp_path: Path) -> None:
    log = json.loads(inspect_logs(evaluation, tmp_path)[0].read_text("utf-8"))
    (bare,) = [one for one in log["samples"] if one["input"] == "من؟"]
    assert bare["scores"] == {} and bare["target"] == ""


def test_scores_carry_signature_and_interval(evaluation: Path, tmp_path: Path) -> None:
    log = json.loads(inspect_logs(evaluation, tmp_path)[1].read_text("utf-8"))
    exact = next(one for one in log["results"]["scores"] if one["name"] == "exact")
    value = exact["metrics"]["value"]
    assert (value["value"], exact["scored_samples"]) == (1.0, 2)
    assert value["metadata"]["signature"].startswith("exact|") and value["metadata"]["n"] == 2


def test_equal_evaluations_give_equal_bytes(evaluation: Path, tmp_path: Path) -> None:
    one, two = (inspect_logs(evaluation, tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_nothing_is_written_over(evaluation: Path, tmp_path: Path) -> None:
    inspect_logs(evaluation, tmp_path)
    with pytest.raises(MashqError, match=r"inspect log: .*_base\.json is there already"):
        inspect_logs(evaluation, tmp_path)


@pytest.mark.parametrize("created", ["", "gestern", "2026-01-31T09:30:00"], ids=["none", "no time", "no offset"])
def test_a_time_has_its_offset(evaluation: Path, tmp_path: Path, created: str) -> None:
    with pytest.raises(MashqError, match=r"inspect log: created: expected a time as 2026-01-31T09:30:00\+00:00, got '"):
        inspect_logs(evaluation, tmp_path, created=created)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"inspect log: .* expected scores\.json and samples\.parquet"):
        inspect_logs(tmp_path, tmp_path / "logs")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(MashqError, match="inspect log"):
        inspect_logs(tmp_path, tmp_path / "logs")


def test_the_log_opens_in_inspect(evaluation: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    read = log.read_eval_log(str(inspect_logs(evaluation, tmp_path)[0]))
    assert (read.status, len(read.samples)) == ("success", 3)
