"""What docs/how-to/connect-a-translator.md shows, runs; what it names, exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from mashq.mt import faults, varieties
from mashq.mt.ctranslate import CTranslate

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-translator.md").read_text("utf-8")


def test_the_python_on_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(code, {})
    assert capsys.readouterr().out.count("no fault") == 2


def test_the_varieties_on_the_page_are_the_varieties() -> None:
    sentence = PAGE.split("`variety` is one of ")[1].split(".")[0]
    assert tuple(re.findall(r"`(\w+)`", sentence)) == varieties()


def test_the_settings_on_the_page_are_the_settings() -> None:
    table = PAGE.split("| setting | default |")[1].split("\n\n")[0]
    named = {line.split("`")[1] for line in table.splitlines()[2:]}
    parameters = inspect.signature(CTranslate).parameters.values()
    real = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert named == real - {"variety"}


def test_the_faults_on_the_page_are_the_faults() -> None:
    table = PAGE.split("| fault | what it means |")[1].split("\n\n")[0]
    named = {line.split("`")[1] for line in table.splitlines()[2:]}
    source = Path(faults.__file__).read_text("utf-8")
    assert named == set(re.findall(r'f?"(\w+): [\d{]', source))
    numbers = (faults.COPIED_SHARE, faults.SHORT_RATIO, faults.SHORT_SLACK, faults.LONG_RATIO, faults.LONG_SLACK)
    assert all(str(number) in table for number in numbers)
