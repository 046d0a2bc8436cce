"""Exports are whole or not there, the same bytes for the same rows, and read back as the rows that they were."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mashq import cli
from mashq.export import export, hub, natural_instructions, take
from mashq.export.card import size_category
from mashq.export.known import file_names
from mashq.rows import SCHEMA, MashqError, conform, source_ids
from mashq.sources import SourceSettings, read, sniff
from mashq.templates import library

FORMATS = ("ni", "messages", "hub")  # lm-eval: tests/test_lm_eval.py
TASK = {
    "Contributors": ["ليلى"],
    "Source": ["mctaco"],
    "URL": ["https://example.org"],
    "Categories": ["Question Answering"],
    "Reasoning": [],
    "Definition": ["أجب عن السؤال بكلمة واحدة."],
    "Input_language": ["English"],
    "Output_language": ["Arabic"],
    "Instruction_language": ["Arabic"],
    "Domains": ["Wikipedia"],
    "Positive Examples": [{"input": "ما عاصمة مصر؟", "output": "القاهرة", "explanation": "هي العاصمة."}],
    "Negative Examples": [{"input": "ما عاصمة اليمن؟", "output": "عدن", "explanation": "هي صنعاء."}],
    "Instances": [
        {"id": "task9-a", "input": "ما عاصمة الأردن؟", "output": ["عمّان"]},
        {"id": "task9-b", "input": "ما عاصمة عُمان؟", "output": ["مسقط", "مدينة مسقط"], "level": 10**30},
        {"input": "ما عاصمة المغرب؟", "output": ["الرباط"]},
    ],
    "Instance License": ["CC BY-SA 4.0"],
}


def user(*texts):
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def table_of(rows, name="made"):
    """Rows as dicts -> a table with ids."""
    columns = {name for row in rows for name in row}
    ids = source_ids(name, "", n=len(rows))
    groups = {"group": [row.get("group", f"g{place}") for place, row in enumerate(rows)]}
    return conform({"id": ids, **{name: [row.get(name) for row in rows] for name in columns}, **groups})


def row(n, **changes):
    context = f"نص رقم {n}\n\nوفقرة ثانية"
    made = {
        "source": "arcd",
        "licence": "MIT",
        "split": "train",
        "task": "extractive-question-answering",
        "template": "arcd/answer",
        "variety": "msa",
        "messages": user(f"أجب من النص.\n\nالنص: {context}\n\nالسؤال: كم؟"),
        "references": [str(n)],
    }
    return made | changes


def mixed():
    """Rows of every kind that an export meets."""
    return table_of(
        [
            row(0, references=["صفر", "لا شيء"], choices=["صفر", "واحد"], scores={"qe": 0.75}),
            row(1, split="test", parents=[b"p" * 16]),
            row(
                2,
                source="ajgt",
                licence="AFL-3.0",
                template="ajgt/tone",
                task="sentiment-analysis",
                variety="levantine",
            ),
            row(3, dropped="qe: 0.61 < 0.70"),
            row(4, split=None, messages=[{"role": "system", "content": "كن دقيقًا."}, *user("كم؟")], template="mine/a"),
            row(5, split="validation", licence=None, template="mine/b", source="mine", meta='{"a": 1.0}'),
            row(6, dropped="short: 3 words < 5", source="ajgt"),
        ]
    )


def kept(table):
    return [one for one in table.to_pylist() if one["dropped"] is None]


@pytest.fixture
def write(tmp_path):
    def write(table, name="rows.parquet", **options):
        pq.write_table(table, tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.fixture
def task(tmp_path):
    def task(value=TASK, name="task9_mctaco.json"):
        (tmp_path / name).write_text(json.dumps(value, ensure_ascii=False), "utf-8")
        return tmp_path / name

    return task


def rows_of(place, **settings):
    return [one for table in read(place, SourceSettings(**settings)) for one in table.to_pylist()]


def front(folder):
    head, _, rest = (folder / "README.md").read_text("utf-8").removeprefix("---\n").partition("\n---\n")
    return yaml.safe_load(head), rest


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- hub -------------------------------------------------------------------------------------------------------------


def test_a_hub_folder_reads_back_as_the_rows_it_was_made_from(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "hub")
    assert sniff(tmp_path / "out") == "parquet"
    back = {one["id"]: one for one in rows_of(tmp_path / "out")}
    assert back == {one["id"]: one for one in kept(mixed())}


def test_a_hub_row_is_a_conversation_that_trainers_take(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "hub")
    made = pq.read_table(tmp_path / "out/data/train-00000-of-00001.parquet").to_pylist()
    assert made[0]["messages"][-1] == {"role": "assistant", "content": "صفر"}
    assert made[0]["prompt_turns"] == 1
    assert made[0]["id"] == mixed().column("id")[0].as_py().hex()
    assert {one["split"] for one in made} == {"train", None}  # a row without a split is train's


def test_a_conversation_with_its_own_reply_stays_as_it_is(write, tmp_path):
    told = table_of([row(0, messages=user("احك قصة", "كان يا ما كان"), references=None)])
    export(write(told), tmp_path / "out", "hub")
    assert rows_of(tmp_path / "out") == told.to_pylist()
    assert pq.read_table(tmp_path / "out/data").column("messages").to_pylist()[0] == user("احك قصة", "كان يا ما كان")


def test_files_hold_a_fixed_number_of_rows_and_say_how_many_there_are(tmp_path):
    writer = hub.HubWriter(tmp_path, rows_per_file=3)
    for start in range(0, 8, 2):
        writer.write(table_of([row(n) for n in range(start, start + 2)], f"s{start}"))
    assert writer.close() == {"train": "data/train-*"}
    names = [f"data/train-0000{n}-of-00003.parquet" for n in range(3)]
    assert sorted(files_of(tmp_path)) == names
    assert [pq.read_metadata(tmp_path / name).num_rows for name in names] == [3, 3, 2]


def test_a_named_field_makes_an_exported_file_a_table_like_others(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "hub")
    one = rows_of(tmp_path / "out", key_field="id")[0]
    assert json.loads(one["meta"])["prompt_turns"] == 1


def changed(folder, **columns):
    path = next(folder.glob("data/train*"))
    table = pq.read_table(path)
    for name, values in columns.items():
        place = table.schema.names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"id": ["xyz", "ab" * 16]}, "wrong id: row 1: expected 32 hexadecimal digits, got 'xyz'"),
        ({"id": ["ab" * 16, "ab" * 16]}, "duplicate id: row 2: abababab"),
        ({"prompt_turns": [9, 1]}, "wrong prompt_turns: row 1: 9, expected 0 to 2"),
        ({"prompt_turns": [None, 1]}, "wrong prompt_turns: row 1: None"),
        ({"parents": [["ff"], None]}, "wrong id: row 1"),
    ],
)
def test_an_exported_row_that_was_changed_to_nonsense_is_dropped_with_a_reason(write, tmp_path, columns, reason):
    export(write(table_of([row(0), row(1)])), tmp_path / "out", "hub")
    reasons = [one["dropped"] for one in rows_of(changed(tmp_path / "out", **columns)) if one["dropped"]]
    assert [one.startswith(reason) for one in reasons] == [True]


def test_an_exported_file_with_other_columns_says_what_it_lacks(write, tmp_path):
    export(write(table_of([row(0)])), tmp_path / "out", "hub")
    path = next(tmp_path.glob("out/data/*"))
    pq.write_table(pq.read_table(path).drop_columns(["task"]), path)
    with pytest.raises(MashqError, match=r"train-00000-of-00001.parquet: expected the columns of mashq's export.*task"):
        rows_of(path)


def test_the_datasets_package_loads_hub_and_messages(write, tmp_path):
    datasets = pytest.importorskip("datasets")
    for to in ("hub", "messages"):
        export(write(table_of([row(0), row(1, split="test")])), tmp_path / to, to)
        loaded = datasets.load_dataset(str(tmp_path / to), cache_dir=str(tmp_path / "cache"))
        assert {name: len(split) for name, split in loaded.items()} == {"train": 1, "test": 1}
        assert loaded["train"][0]["messages"][-1] == {"role": "assistant", "content": "0"}


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_messages_read_back_equal_with_the_reference_as_the_assistants_turn(write, tmp_path, packed):
    survey = export(write(mixed()), tmp_path / "out", "messages", gzip=packed)
    ending = ".jsonl.gz" if packed else ".jsonl"
    assert sorted(path.name for path in tmp_path.glob("out/*.jsonl*")) == [
        f"{name}{ending}" for name in ("test", "train", "validation")
    ]
    back = rows_of(tmp_path / "out", split_field=None)
    wanted = [[*one["messages"], {"role": "assistant", "content": one["references"][0]}] for one in kept(mixed())]
    assert sorted(map(str, (one["messages"] for one in back))) == sorted(map(str, wanted))
    assert survey.rows == len(back) == 5


def test_each_line_names_its_source_licence_and_all_right_answers(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "messages")
    first = json.loads((tmp_path / "out/train.jsonl").read_text("utf-8").splitlines()[0])
    assert {name: first[name] for name in ("source", "licence", "template", "references")} == {
        "source": "arcd",
        "licence": "MIT",
        "template": "arcd/answer",
        "references": ["صفر", "لا شيء"],
    }


def test_a_row_with_nothing_to_teach_is_left_out_and_counted(write, tmp_path):
    rows = [
        row(0),
        row(1, references=[]),
        row(2, references=None),
        row(3, messages=None, text="نص"),
        row(4, references=[""]),
    ]
    survey = export(write(table_of(rows)), tmp_path / "out", "messages")
    assert survey.left_out_reasons() == {"no reference": 3, "no messages": 1}
    assert "| this export | no reference | 3 |" in (tmp_path / "out/README.md").read_text("utf-8")


# --- Super-NaturalInstructions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [{}, {"examples": 1}, {"examples": 1, "examples_as": "prompt"}])
def test_a_task_that_was_read_is_written_back_equal(write, task, tmp_path, shown):
    table = pa.concat_tables(read(task(), SourceSettings(**shown)))
    export(write(table), tmp_path / "out", "ni")
    back = json.loads((tmp_path / "out/tasks/task9_mctaco.json").read_text("utf-8"))
    assert back == TASK


def test_one_output_as_text_comes_back_as_a_list_of_one(write, task, tmp_path):
    text = TASK | {"Instances": [{"input": "أ", "output": "ب"}], "Definition": "عرّف."}
    export(write(pa.concat_tables(read(task(text)))), tmp_path / "out", "ni")
    back = json.loads((tmp_path / "out/tasks/task9_mctaco.json").read_text("utf-8"))
    assert back == text | {"Instances": [{"input": "أ", "output": ["ب"]}]}


def test_rows_that_changed_since_they_were_read_are_written_as_they_are_now(write, task, tmp_path):
    rows = pa.concat_tables(read(task())).to_pylist()
    for one in rows:
        one["messages"] = user(f"مترجم.\n\n{one['references'][0]}؟")
    export(write(table_of(rows)), tmp_path / "out", "ni")
    back = json.loads((tmp_path / "out/tasks/task9_mctaco.json").read_text("utf-8"))
    assert back["Definition"] == ["مترجم."]
    assert [one["input"] for one in back["Instances"]] == ["عمّان؟", "مسقط؟", "الرباط؟"]


def test_prompts_of_templates_become_a_definition_and_inputs_that_give_them_again(write, tmp_path):
    rows = [row(n) for n in range(5)]
    export(write(table_of(rows)), tmp_path / "out", "ni")
    back = json.loads((tmp_path / "out/tasks/train/arcd__answer.json").read_text("utf-8"))
    assert back["Definition"] == ["أجب من النص."]
    assert back["Instances"][1]["input"] == "النص: نص رقم 1\n\nوفقرة ثانية\n\nالسؤال: كم؟"
    assert back["Categories"] == ["extractive-question-answering"]
    assert back["URL"] == [library("arcd")[0].dataset.address]
    again = rows_of(tmp_path / "out")
    assert [one["messages"] for one in again] == [one["messages"] for one in rows]
    assert [one["references"] for one in again] == [one["references"] for one in rows]
    assert {(one["licence"], one["split"], one["task"]) for one in again} == {
        ("MIT", "train", "extractive-question-answering")
    }


@pytest.mark.parametrize(
    "texts",
    [
        ["كم؟"],
        ["كم؟", "كم\n\nكم؟"],
        ["أ\n\nب", "أ\n\nب"],
        ["أ\n\n\n\n", "أ\n\n\n\nب"],
        ["\n\nأ", "\n\nب"],
        ["أ\n\n \n\n"],
    ],
)
def test_whatever_the_prompts_share_nothing_of_them_is_lost_and_no_input_is_empty(write, tmp_path, texts):
    export(write(table_of([row(n, messages=user(text)) for n, text in enumerate(texts)])), tmp_path / "out", "ni")
    back = json.loads((tmp_path / "out/tasks/train/arcd__answer.json").read_text("utf-8"))
    opening = back["Definition"][0]
    assert [opening + "\n\n" * bool(opening) + one["input"] for one in back["Instances"]] == texts
    assert all(one["input"].strip() for one in back["Instances"])


def test_a_template_has_one_file_for_each_licence_and_split(write, tmp_path):
    rows = [row(0), row(1, licence="CC-BY-SA-4.0"), row(2, split="test"), row(3, licence=None, split=None)]
    export(write(table_of(rows)), tmp_path / "out", "ni")
    made = {
        str(path.relative_to(tmp_path / "out/tasks")): json.loads(path.read_text("utf-8"))["Instance License"]
        for path in tmp_path.glob("out/tasks/**/*.json")
    }
    assert made == {
        "train/arcd__answer.MIT.json": ["MIT"],
        "train/arcd__answer.CC-BY-SA-4.0.json": ["CC-BY-SA-4.0"],
        "test/arcd__answer.json": ["MIT"],
        "arcd__answer.json": ["Unknown"],
    }
    assert sorted(str(one["licence"]) for one in rows_of(tmp_path / "out")) == ["CC-BY-SA-4.0", "MIT", "MIT", "None"]


def test_several_turns_are_left_out_because_an_instance_has_one_input(write, tmp_path):
    rows = [row(0), row(1, messages=user("أ", "ب", "ج"))]
    survey = export(write(table_of(rows)), tmp_path / "out", "ni")
    assert survey.left_out_reasons() == {"several turns: an instance has one input": 1}


@pytest.mark.parametrize(
    "meta",
    ['{"about": 3, "input": "x"}', '{"about": {}}', '{"about": ', '{"about":{"Positive Examples": [1]}, "input": ""}'],
)
def test_a_meta_that_only_looks_like_a_tasks_is_no_task(write, tmp_path, meta):
    export(write(table_of([row(0, meta=meta)])), tmp_path / "out", "ni")
    assert (tmp_path / "out/tasks/train/arcd__answer.json").is_file()


def test_thousands_of_tasks_wait_on_disk_and_not_in_open_files(write, tmp_path, monkeypatch):
    monkeypatch.setattr(natural_instructions, "BUFFER_BYTES", 2_000)
    rows = [row(n, template=f"many/t{n % 50}") for n in range(200)]
    export(write(table_of(rows)), tmp_path / "out", "ni")
    assert len(list(tmp_path.glob("out/tasks/train/*.json"))) == 50
    assert sorted(one["references"][0] for one in rows_of(tmp_path / "out")) == sorted(str(n) for n in range(200))
    assert not list(tmp_path.glob("out/.*"))


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_from_data_never_leave_the_folder_and_never_meet(write, tmp_path):
    templates = [
        "../../escape",
        "/etc/passwd",
        "a/b",
        "a__b",
        "A/B",
        "..",
        "",
        "ا" * 300,
        "ا" * 299 + "ب",
        "a\0b\nc",
        "con:*?",
    ]
    rows = [row(n, template=name, source=name, task=None) for n, name in enumerate(templates)]
    export(write(table_of(rows)), tmp_path / "in" / "out", "ni")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "rows.parquet"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]
    assert len({path.name.lower() for path in tmp_path.glob("in/out/tasks/train/*.json")}) == len(templates)
    assert len({path.name.lower() for path in tmp_path.glob("in/out/cards/*.md")}) == len(templates)


def test_names_are_readable_where_they_can_be():
    made = file_names(
        [("1", "train/arcd/answer", "MIT"), ("2", "train/قصص/عنوان طويل", ""), ("3", "test/arcd/answer", "MIT")]
    )
    assert made == {"1": "arcd__answer", "2": "قصص__عنوان_طويل", "3": "arcd__answer"}


# --- cards -----------------------------------------------------------------------------------------------------------


def test_the_front_matter_is_what_the_hub_sorts_and_loads_by(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "hub")
    head, _ = front(tmp_path / "out")
    assert head["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*"},
                {"split": "validation", "path": "data/validation-*"},
                {"split": "test", "path": "data/test-*"},
            ],
        }
    ]
    assert head["license"] == ["mit", "other", "afl-3.0"]
    assert head["license_name"] == "MIT; unknown; AFL-3.0"
    assert head["language"] == ["ar", "apc"]
    assert head["size_categories"] == ["n<1K"]
    assert head["task_categories"] == ["text-generation", "question-answering", "text-classification"]
    assert head["pretty_name"] == "out"


def test_languages_are_those_that_the_tasks_name(write, task, tmp_path):
    named = TASK | {"Input_language": ["English", "Central Kurdish", "SELFIES"]}
    export(write(pa.concat_tables(read(task(named)))), tmp_path / "out", "ni")
    assert sorted(front(tmp_path / "out")[0]["language"]) == ["ar", "ckb", "en"]


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (999_999, "100K<n<1M"),
        (67_488_303, "10M<n<100M"),
        (10**10, "1B<n<10B"),
    ],
)
def test_size_categories(rows, name):
    assert size_category(rows) == name


def test_a_card_for_each_data_set_with_counts_licence_citation_reasons_and_rows(write, tmp_path):
    export(write(mixed()), tmp_path / "out", "hub")
    card = (tmp_path / "out/cards/arcd.md").read_text("utf-8")
    assert card.startswith("# Arabic Reading Comprehension Dataset")
    assert "- rows: 3\n- licence: MIT\n" in card
    assert library("arcd")[0].dataset.citation.split(".")[0] in card
    assert "| `rows.parquet` | qe | 1 |" in card
    assert "short" not in card  # that row was another data set's
    assert "| arcd/answer | 2 |" in card
    assert card.count("*assistant*") == 3
    assert "- citation: mine: no template file says whom to cite" in (tmp_path / "out/cards/mine.md").read_text("utf-8")


def test_what_a_licence_allows_stands_beside_it(write, tmp_path, capsys):
    path = write(table_of([row(0), row(1, licence="CC-BY-NC-ND-4.0"), row(2, licence=None)]))
    cli.main(["export", str(path), "--to", "hub", str(tmp_path / "out")])
    assert "  licence CC-BY-NC-ND-4.0: 1, whose terms forbid passing this on\n" in capsys.readouterr().out
    _, text = front(tmp_path / "out")
    assert "| CC-BY-NC-ND-4.0 | 1 | yes | no | no |  |" in text
    assert "| unknown | 1 | unknown | unknown | unknown |  |" in text


def test_own_template_files_say_whom_to_cite(write, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        'dataset: {name: mine, citation: "ليلى (2026)"}\ntemplates: {a: {prompt: "{{ x }}", target: "{{ y }}"}}',
        "utf-8",
    )
    export(write(mixed()), tmp_path / "out", "messages", templates=[tmp_path / "mine.yaml"])
    assert "- citation: ليلى (2026)" in (tmp_path / "out/cards/mine.md").read_text("utf-8")


def test_text_from_data_is_no_markup_in_a_card(write, tmp_path):
    name = "<script>alert(1)</script>|[x](y)\n---\n# z"
    export(write(table_of([row(0, source=name, task=name, licence=name, variety=name)])), tmp_path / "out", "hub")
    head, rest = front(tmp_path / "out")
    assert head["license_name"] == name
    assert "<script>" not in rest
    assert "\n# z" not in rest


def test_counts_of_a_step_and_of_what_it_was_made_from_are_in_the_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text("question,answer\nكم؟,1\nمتى؟,\nأين؟,هنا\n", "utf-8")
    Path("mine.yaml").write_text(
        "templates:\n  a: {prompt: '{{ question }}', target: '{{ answer }}'}\n"
        "  b: {prompt: 'أجب: {{ question }}', target: '{{ answer }}'}\n",
        "utf-8",
    )
    cli.main(["make", "tune/split", "--data", "my.csv", "--template", "mine.yaml", "--workers", "1"])
    cli.main(["export", "split", "--to", "messages", "out", "--template", "mine.yaml"])
    assert "out: 4 rows, data sets: 1" in capsys.readouterr().out
    _, text = front(Path("out"))
    (made,) = Path("runs/steps").glob("prompts@*")
    assert f"| `{made.name}` | 3 | 3 | 4 | 2 | 0 | 0 |" in text
    assert f"| `{made.name}` | skip | 2 |" in text


# --- whole or not there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_rows_give_the_same_bytes_however_they_lie_in_their_file(write, tmp_path, to):
    table = table_of([row(n, template=f"arcd/t{n % 7}", split=("train", "test", None)[n % 3]) for n in range(500)])
    once = write(table, row_group_size=500)
    export(once, tmp_path / "a" / "out", to, gzip=True)
    write(table, row_group_size=3)
    export(once, tmp_path / "b" / "out", to, gzip=True)
    first, second = files_of(tmp_path / "a" / "out"), files_of(tmp_path / "b" / "out")
    assert list(first) == list(second) or sorted(first) == sorted(second)
    assert first == second


def test_a_gzip_file_carries_no_time(write, tmp_path):
    export(write(table_of([row(0)])), tmp_path / "out", "messages", gzip=True)
    data = (tmp_path / "out/train.jsonl.gz").read_bytes()
    assert data[3:8] == bytes(5)  # no name, no time
    assert json.loads(gzip.decompress(data))["references"] == ["0"]


def test_a_killed_export_leaves_nothing_that_looks_whole_and_the_next_one_clears_it(write, tmp_path):
    path = write(table_of([row(n) for n in range(60_000)]))
    code = f"from pathlib import Path; from mashq.export import export; export(Path({str(path)!r}), Path('out'), 'hub')"
    running = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    end = time.monotonic() + 60
    while not list(tmp_path.glob(".out.partial/data/train-00000")):
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "out").exists()
    with pytest.raises(MashqError, match="holds no data file"):
        rows_of(tmp_path / ".out.partial")
    export(path, tmp_path / "out", "messages")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "rows.parquet"]
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["README.md", "cards", "train.jsonl"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_fault_half_way_leaves_nothing(tmp_path, to):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pq.write_table(table_of([row(n) for n in range(3)]), good)
    data = bytearray(good.read_bytes())
    place = data.index(b"PAR1", 4) if b"PAR1" in data[4:] else len(data)
    bad.write_bytes(bytes(data[: place // 2]))
    with pytest.raises(MashqError, match=r"bad.parquet: expected a whole Parquet file of rows, got"):
        export(take(good).__class__("both", (good, bad)), tmp_path / "out", to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.parquet", "good.parquet"]


def test_what_is_there_is_never_written_over(write, tmp_path):
    path = write(table_of([row(0)]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "file", "link"):
        with pytest.raises(MashqError, match=f"{name} is there already. Name another folder, or remove it"):
            export(path, tmp_path / name, "hub")
    (tmp_path / "empty").mkdir()
    assert export(path, tmp_path / "empty", "hub").rows == 1


def test_two_exports_to_one_folder_at_once_are_refused(write, tmp_path):
    path = write(table_of([row(0)]))
    (tmp_path / ".out.partial").mkdir()
    with (
        filelock.FileLock(tmp_path / ".out.partial" / ".lock"),
        pytest.raises(MashqError, match="another mashq is writing"),
    ):
        export(path, tmp_path / "out", "hub")
    assert export(path, tmp_path / "out", "hub").rows == 1


@pytest.mark.parametrize("to", FORMATS)
def test_memory_stays_flat(write, tmp_path, monkeypatch, to):
    monkeypatch.setattr(natural_instructions, "BUFFER_BYTES", 1 << 20)

    def peak(n):
        path = write(table_of([row(i, messages=user(f"نص {i} " * 40)) for i in range(n)]), f"{n}.parquet")
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        try:
            export(path, tmp_path / f"{to}{n}", to)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert pa.total_allocated_bytes() - before < 1 << 24

    assert peak(24_000) < 1.3 * peak(8_000)


# --- hostile rows ----------------------------------------------------------------------------------------------------


def not_utf8():
    table = table_of([row(0)])
    data = pa.array([[b"\xff\xfe"]], pa.list_(pa.binary()))
    bad = pa.ListArray.from_arrays(data.offsets, pa.Array.from_buffers(pa.string(), 1, data.values.buffers()))
    return table.set_column(SCHEMA.names.index("references"), "references", bad)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (lambda: pa.table({"a": [1]}), r"expected rows of mashq \(columns id, parents, .*\), got a. Read it first"),
        (lambda: table_of([row(0)]).drop_columns(["id"]), r"expected rows of mashq"),
        (
            lambda: table_of([row(0, split="../../x")]),
            r"split: expected train, validation, test or none, got '../../x'",
        ),
        (not_utf8, "expected a whole Parquet file of rows, got: .*UTF"),
        (lambda: table_of([row(0, dropped="bad: x")]), "expected rows that hub can hold, got no row"),
        (lambda: pa.table({"id": np.arange(3)}), "column 'id' does not hold|expected a whole Parquet file of rows"),
    ],
)
def test_what_are_no_rows_is_one_error_and_leaves_nothing(write, tmp_path, table, message):
    path = write(table())
    with pytest.raises(MashqError, match=message):
        export(path, tmp_path / "out", "hub")
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.parquet"]


def test_raw_rows_have_nothing_for_messages_and_the_error_says_so(write, tmp_path):
    raw = table_of([{"source": "a", "text": "نص"}] * 3)
    with pytest.raises(MashqError, match=r"expected rows that messages can hold, got no messages: 3. Prompt rows have"):
        export(write(raw), tmp_path / "out", "messages")


def test_an_unknown_format_lists_the_known(write, tmp_path):
    with pytest.raises(MashqError, match=r"expected one of ni, messages, hub, lm-eval, got 'hubb'. Did you mean 'hub'"):
        export(write(mixed()), tmp_path / "out", "hubb")


# --- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with a run of an own recipe that ends in prompts, and its step."""
    monkeypatch.chdir(tmp_path)
    cli.main(["new", "recipe", "mine"])
    cli.main(["make", "./mine.py", "--workers", "1", "--name", "first"])
    (step,) = Path("runs/steps").glob("filtered@*")
    return step


def test_rows_are_named_by_run_step_folder_record_or_file(made, capsys):
    part = next(made.glob("part-*.parquet"))
    names = [
        "mine",
        "mine/first",
        "filtered",
        made.name,
        str(made),
        "runs/mine/first",
        "runs/mine/first.json",
        str(part),
    ]
    data = set()
    for place, name in enumerate(names):
        cli.main(["export", name, "--to", "hub", f"out{place}"])
        data.add(next(Path(f"out{place}/data").iterdir()).read_bytes())
    assert len(data) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch", "--to", "hub", "out"], "there is no step 'nosuch'"),
        (["nosuch.parquet", "--to", "hub", "out"], "there is no step, run or file 'nosuch.parquet'"),
        (["runs", "--to", "hub", "out"], "expected a finished step, got no manifest.json"),
        (["mine", "--to", "hub", "mine.py"], "is there already"),
    ],
)
def test_a_wrong_name_is_one_clear_line(made, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", *arguments])
    assert stop.value.code == 1
    assert message in capsys.readouterr().err


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_in_an_exported_file_give_rows_or_one_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    path = folder / "out/data/train-00000-of-00001.parquet"
    if not path.exists():
        folder.mkdir()
        pq.write_table(table_of([row(n) for n in range(5)]), folder / "rows.parquet", compression="none")
        export(folder / "rows.parquet", folder / "out", "hub")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    broken = folder / "broken.parquet"
    broken.write_bytes(content)
    try:
        for table in read(broken):
            assert table.schema == SCHEMA
            assert table.column("id").null_count == 0
    except MashqError as error:
        assert "broken.parquet" in str(error)
    try:
        export(broken, folder / "again", "hub")
    except MashqError as error:
        assert "broken.parquet" in str(error)
