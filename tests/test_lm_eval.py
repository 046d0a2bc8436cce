"""Test sets for lm-evaluation-harness: what is written, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from mashq.export.lm_eval import LmEvalWriter, tasks_in
from mashq.rows import conform, id_hex, source_ids

CAPITALS = {"choices": ["الرباط", "فاس"], "references": ["الرباط"]}


def rows(*given: dict[str, Any]) -> pa.Table:
    filled = [
        {
            "messages": [{"role": "user", "content": "ما عاصمة المغرب؟"}],
            "references": ["الرباط"],
            "choices": None,
            "template": "capitals/ask",
            "split": "test",
            "source": "quiz",
            "licence": "CC0-1.0",
            **one,
        }
        for one in given
    ]
    columns: dict[str, Any] = {name: [one.get(name) for one in filled] for name in filled[0]} if filled else {}
    return conform({"id": source_ids("quiz", "1", n=len(given)), **columns})


def written(folder: Path, *tables: pa.Table, **settings: Any) -> dict[str, str]:
    folder.mkdir()
    writer = LmEvalWriter(folder, **settings)
    for table in tables:
        assert writer.why_not(table) == [None] * table.num_rows
        writer.write(table)
    return writer.close()


def test_a_choice_becomes_a_task_and_a_line(tmp_path: Path) -> None:
    table = rows(CAPITALS)
    assert written(tmp_path / "out", table) == {"test": "data/*.jsonl"}
    (line,) = (tmp_path / "out/data/mashq_capitals_ask.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line) == {
        "prompt": "ما عاصمة المغرب؟",
        "options": ["الرباط", "فاس"],
        "right": 0,
        "id": id_hex(table["id"][0].as_py()),
        "source": "quiz",
        "licence": "CC0-1.0",
        "task": "",
        "template": "capitals/ask",
        "variety": "",
        "group": "",
    }
    told = yaml.safe_load((tmp_path / "out/mashq_capitals_ask.yaml").read_text("utf-8"))
    assert told["output_type"] == "multiple_choice"
    assert told["dataset_kwargs"] == {"data_files": {"test": "data/mashq_capitals_ask.jsonl"}}
    assert (told["doc_to_text"], told["doc_to_choice"], told["doc_to_target"]) == ("prompt", "options", "right")
    assert (told["target_delimiter"], told["num_fewshot"]) == (" ", 0)
    assert [one["metric"] for one in told["metric_list"]] == ["acc", "acc_norm"]


def test_a_reference_becomes_a_task_of_replies(tmp_path: Path) -> None:
    written(tmp_path / "out", rows({}, {"references": ["الرباط", "مدينة الرباط"], "template": "capitals/two"}))
    one, two = (yaml.safe_load((tmp_path / f"out/mashq_capitals_{n}.yaml").read_text("utf-8")) for n in ("ask", "two"))
    assert (one["output_type"], one["doc_to_target"], two["doc_to_target"]) == ("generate_until", "reply", "replies")
    assert one["generation_kwargs"]["do_sample"] is False
    line = json.loads((tmp_path / "out/data/mashq_capitals_two.jsonl").read_text("utf-8"))
    assert (line["reply"], line["replies"]) == ("الرباط", ["الرباط", "مدينة الرباط"])


def test_kinds_and_names_are_kept_apart(tmp_path: Path) -> None:
    table = rows(CAPITALS, {}, {"split": None}, {"template": "capitals_ask"}, {"template": "عواصم"})
    written(tmp_path / "out", table, group="my set")
    names = tasks_in(tmp_path / "out")
    assert len(names) == len(set(names)) == 4
    assert "my_set_عواصم" in names
    assert yaml.safe_load((tmp_path / "out/my_set.yaml").read_text("utf-8")) == {"group": "my_set", "task": names}
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in (tmp_path / "out/data").glob("*.jsonl"))
    assert lines == 5
    assert not (tmp_path / "out/data/.waiting").exists()


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, rows(CAPITALS, {}), rows({"template": "x"}))
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 7
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"messages": []}, "no messages"),
        ({"split": "train"}, "split: train is no test set"),
        ({"references": []}, "no reference"),
        ({"messages": [{"role": "assistant", "content": "نعم"}]}, "no prompt"),
        ({"choices": ["الرباط"]}, "choices: 1 < 2"),
        ({"choices": ["فاس", "مراكش"]}, "choices: the reference «الرباط» is none of them"),
        ({"choices": ["فاس", "الرباط"], "references": ["الرباط", "فاس"]}, "choices: several are right"),
    ],
)
def test_what_the_format_cannot_hold_says_why(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    assert LmEvalWriter(tmp_path).why_not(rows(given)) == [reason]


def test_a_conversation_is_one_prompt_without_its_reply(tmp_path: Path) -> None:
    turns = [("system", "أجب بكلمة."), ("user", "٢+٢؟"), ("assistant", "أربعة"), ("user", "٣+٣؟"), ("assistant", "ستة")]
    messages = [{"role": role, "content": content} for role, content in turns]
    written(tmp_path / "out", rows({"messages": messages, "references": None}))
    line = json.loads((tmp_path / "out/data/mashq_capitals_ask.jsonl").read_text("utf-8"))
    assert (line["prompt"], line["reply"]) == ("أجب بكلمة.\n\n٢+٢؟\n\nأربعة\n\n٣+٣؟", "ستة")


def test_templates_in_a_text_stay_text(tmp_path: Path) -> None:
    """The harness fills in Jinja in a task's own words, not in the fields that are named bare."""
    turn = [{"role": "user", "content": "ما معنى {{ prompt }} و{% raw %}؟"}]
    written(tmp_path / "out", rows({"messages": turn}))
    line = json.loads((tmp_path / "out/data/mashq_capitals_ask.jsonl").read_text("utf-8"))
    assert line["prompt"] == turn[0]["content"]
