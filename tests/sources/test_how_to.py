"""The code in docs/how-to/add-a-source.md runs."""

import re
from dataclasses import fields
from pathlib import Path

import pyarrow as pa

from mashq.sources import SourceSettings, read, registry

PAGE = (Path(__file__).parents[2] / "docs/how-to/add-a-source.md").read_text()


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("tweets.csv").write_text("tweet,sarcasm\nمرحبا,TRUE\n")
    Path("diwan.poems").write_text("عنوان\nبيت أول\n***\n\n***\nآخر\nبيت ثان\n")
    reading, adding = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(reading, {})
    assert capsys.readouterr().out == "1 مرحبا 1\n"
    try:
        exec(adding, {})
        rows = pa.concat_tables(read("diwan.poems", SourceSettings(text_field="verses"))).to_pylist()
    finally:
        registry._SHAPES.pop("poems", None)
    assert [(row["text"], row["dropped"]) for row in rows] == [
        ("بيت أول", None),
        ("\n\n", "empty poem: poem 2"),
        ("بيت ثان", None),
    ]


def test_every_setting_and_shape_of_the_page_exists():
    known = {field.name for field in fields(SourceSettings)}
    named = set(re.findall(r"`(\w+)=|, (\w+)=", PAGE))
    assert {name for pair in named for name in pair if name} - known <= {"endings", "unit"}
    assert all(f"`{shape}`" in PAGE for shape in registry.SHAPES)
