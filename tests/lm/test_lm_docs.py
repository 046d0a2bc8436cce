"""What docs/how-to/connect-a-model.md shows, runs; what it names, exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from loopback import Act, completion, serving

from mashq.lm.llamacpp import LlamaCpp
from mashq.lm.openai import OpenAI
from mashq.lm.transformers import InProcess
from mashq.lm.trouble import AGAIN, MAY_PASS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-model.md").read_text("utf-8")


def test_the_python_on_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asking, in_json = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    said = completion('الجواب:\n```json\n{"city": "الرباط"}\n```')

    def plan(_: int, body: dict[str, Any]) -> Act:
        return Act(body=said) if "response_format" in body else Act()

    with serving(plan) as server:
        exec(asking.replace("http://localhost:8000/v1", server.url), {})
        assert "ما عاصمة المغرب؟" in capsys.readouterr().out
        exec(in_json.replace("http://localhost:8000/v1", server.url), {})
        assert capsys.readouterr().out == "{'city': 'الرباط'}\n"
    assert (tmp_path / "runs" / "ledger.jsonl").read_text("utf-8").count("\n") == 3


def test_the_settings_on_the_page_are_the_settings() -> None:
    table = PAGE.split("| setting | of |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    real = {
        name
        for kind in (InProcess, LlamaCpp, OpenAI)
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert named == real


def test_the_page_tells_how_often_each_kind_of_failure_is_tried_again() -> None:
    table = PAGE.split("| kind | what it is | tried again |")[1].split("\n\n")[0]
    told = dict(re.findall(r"^\| `([\w ]+)` \|.*\| (\d+) \|$", table, re.M))
    assert {kind: int(times) for kind, times in told.items()} == AGAIN
    assert {str(status) for status in MAY_PASS} <= set(re.findall(r"\b\d{3}\b", table))
