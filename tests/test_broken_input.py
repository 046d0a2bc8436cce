"""Broken input through the command line: one clear error or a dropped row each, nothing that looks whole."""

import gzip
import json
from pathlib import Path

import pytest

from mashq import cli
from mashq.run import manifest_of, read_rows

TEMPLATE = """
dataset: {name: mine, licence: CC0-1.0, fields: {question: string, answer: string}, language: ar}
templates:
  ask: {task: qa, variety: msa, prompt: "أجب: {{ question }}", target: "{{ answer }}"}
"""
GOOD = [{"question": f"ما حاصل {i} + 1؟", "answer": str(i + 1)} for i in range(30)]


def lines(records) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()


def table(records) -> bytes:
    return ("question,answer\n" + "".join(f"{one['question']},{one['answer']}\n" for one in records)).encode()


WHOLE = {"question": "ما حاصل 1 + 1؟", "answer": "2"}
# name of the file, its bytes, what the error says
REFUSED = {
    "no such file": ("none.csv", None, "there is no file"),
    "empty file": ("a.csv", b"", "empty"),
    "header without rows": ("a.csv", b"question,answer\n", "holds no record"),
    "truncated gzip": ("a.jsonl.gz", gzip.compress(lines(GOOD))[:-20], "gzip"),
    "not gzip": ("a.jsonl.gz", lines(GOOD), "gzip"),
    "no utf-8 at all": ("a.csv", "سؤال,جواب\n".encode("utf-16-be") * 20, "UTF-8"),
    "xlsx that is no zip": ("a.xlsx", b"this is not a workbook", "expected"),
    "parquet cut short": ("a.parquet", b"PAR1" + b"\0" * 40, "Parquet"),
    "json cut short": ("a.json", json.dumps(GOOD).encode()[:-30], "JSON"),
    "unknown ending": ("a.docx", b"x" * 100, "no reader for the ending '.docx'"),
    "wrong column names": ("a.csv", b"soal,jawab\n1,2\n", "names field 'question'"),
    "a file that is all noise": ("a.jsonl", b"\x00\x01\x02\xff" * 200, "expected"),
}
# name of the file, its bytes, reason of the one dropped row among 30 whole ones
DROPPED = {
    "a line that is no json": ("a.jsonl", lines(GOOD) + b"{not json\n", "unparsable"),
    "bad utf-8 in one line": ("a.jsonl", lines(GOOD) + b'{"question": "\xff\xfe", "answer": "x"}\n', "bad UTF-8"),
    "a list where a record is due": ("a.jsonl", lines(GOOD) + b"[1, 2]\n", "wrong type"),
    "a ragged row": ("a.csv", table(GOOD) + b"only one cell\n", "ragged"),
    "a line that ends in the middle": ("a.jsonl", lines(GOOD) + lines([WHOLE])[:-9], "unparsable"),
    "an answer that is empty": ("a.jsonl", lines([*GOOD, {**WHOLE, "answer": " "}]), "skip"),
    "a field that is not there": ("a.jsonl", lines([*GOOD, {"question": "ما هذا؟"}]), "skip"),
    "a record of nothing": ("a.jsonl", lines([*GOOD, {}]), "skip"),
}


def make(tmp_path: Path, monkeypatch, capsys, name: str, content: bytes | None, template: str, *more: str):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    Path("t.yaml").write_text(template, "utf-8")
    code = 0
    try:
        cli.main(["make", "tune/prompts", "--data", name, "--template", "t.yaml", "--workers", "1", *more])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert not list(tmp_path.glob("mashq-error-*"))
    return code, err


def prompts(tmp_path: Path):
    folders = [path for path in tmp_path.glob("runs/steps/prompts@*") if manifest_of(path)]
    return folders[0] if folders else None


@pytest.mark.parametrize("kind", REFUSED)
def test_a_broken_file_is_one_clear_error(tmp_path, monkeypatch, capsys, kind):
    name, content, said = REFUSED[kind]
    code, err = make(tmp_path, monkeypatch, capsys, name, content, TEMPLATE)
    assert code == 1
    assert said in err
    assert prompts(tmp_path) is None


@pytest.mark.parametrize("kind", DROPPED)
def test_a_broken_record_is_a_dropped_row(tmp_path, monkeypatch, capsys, kind):
    name, content, reason = DROPPED[kind]
    code, err = make(tmp_path, monkeypatch, capsys, name, content, TEMPLATE)
    assert (code, err) == (0, "")
    assert sum(rows.num_rows for rows in read_rows(prompts(tmp_path))) == 30
    dropped = [manifest_of(folder)["reasons"] for folder in tmp_path.glob("runs/steps/*@*")]
    assert [reasons for reasons in dropped if reasons] == [{reason: 1}]


def test_a_key_that_stands_twice_drops_the_second_row(tmp_path, monkeypatch, capsys):
    content = lines([{**one, "id": f"q{i}"} for i, one in enumerate(GOOD)] + [{**WHOLE, "id": "q3"}])
    code, _ = make(tmp_path, monkeypatch, capsys, "a.jsonl", content, TEMPLATE, "--set", "source.key_field=id")
    assert code == 0
    assert manifest_of(next(tmp_path.glob("runs/steps/raw@*")))["reasons"] == {"duplicate id": 1}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (TEMPLATE.replace("{{ question }}", "{{ qestion }}"), "names field 'qestion'"),
        (TEMPLATE.replace("{{ question }}", "{% if question %}"), "t.yaml"),
        (TEMPLATE.replace("{{ question }}", "{{ ''.__class__.__mro__ }}"), "__class__"),
        (TEMPLATE.replace("{{ question }}", "{{ 'ا' * 10 ** 10 }}"), "mine/ask"),
        ("- just\n- a list\n", "t.yaml"),
        ("a: [unclosed\n", "t.yaml"),
        ("!!python/object/apply:os.system ['touch hacked']\n", "t.yaml"),
    ],
)
def test_a_broken_or_hostile_template_is_one_clear_error(tmp_path, monkeypatch, capsys, template, said):
    code, err = make(tmp_path, monkeypatch, capsys, "a.jsonl", lines(GOOD), template)
    assert code == 1
    assert said in err
    assert prompts(tmp_path) is None
    assert not (tmp_path / "hacked").exists()
