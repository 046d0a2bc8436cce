"""A batch of training looked at again is the very batch, and its tokens are shown as they are."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from verbs import run

from mashq import steps, train_view
from mashq.rows import MashqError, id_hex
from mashq.run import Step as RunStep
from mashq.run import Store
from mashq.steps import StudentSettings
from mashq.train.settings import TrainSettings

pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning"),
]


def tiny_rows(job: Any) -> Any:
    split = ["train"] * 11 + ["validation", "test"]
    yield tiny_models.rows(13, split=split, variety=["msa", "egyptian"] * 6 + ["msa"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished training of 11 rows (3 a batch, 2 batches a step, 2 epochs of 2 steps) and its record."""
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("view")
    student = tiny_models.folder(root / "student")
    rows = RunStep("learnt", tiny_rows, kind="stream")
    settings = TrainSettings(rows_per_batch=3, accumulate=2, epochs=2, rank=2, precision="fp32", max_tokens=88, seed=3)
    tuned = steps.train("tuned", {"learnt": rows}, StudentSettings(model=str(student)), settings)
    store = Store(root / "runs")
    made = [store.make(rows), store.make(tuned)]
    record = {"recipe": "tiny", "name": "one", "steps": []}
    for one in made:
        record["steps"].append({"name": one.step.name, "folder": f"steps/{one.folder.name}"})
    (root / "runs" / "tiny").mkdir()
    (root / "runs" / "tiny" / "one.json").write_text(json.dumps(record))
    return root / "runs"


@pytest.fixture(scope="module")
def training(runs: Path) -> train_view.Training:
    return train_view.training_of(train_view.find_training(runs, "tiny"))


# --- the very batch --------------------------------------------------------------------------------------------------


def test_every_step_has_the_counts_that_training_logged(training: train_view.Training) -> None:
    assert training.steps == len(training.log) == 4
    for step, line in training.log.items():
        batch = train_view.batch_at(training, step)
        counted = {"supervised_tokens": batch.supervised, "tokens": batch.total, "padded_tokens": batch.padded}
        assert counted == {name: line[name] for name in counted}
        assert batch.disagrees(line) == ""


def test_a_packed_training_has_no_padding_and_the_same_counts_as_its_log(runs: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from mashq.train import train

    rows = tmp_path / "rows.parquet"
    pq.write_table(tiny_models.rows(5), rows)
    model = str(runs.parent / "student")
    settings = TrainSettings(model=model, rows_per_batch=2, steps=4, rank=2, precision="fp32", packing=True)
    found = train_view.training_of(train(settings, rows, tmp_path / "out"), rows)
    assert found.steps == 4  # more than one epoch of 3
    for step, line in found.log.items():
        batch = train_view.batch_at(found, step)
        assert batch.disagrees(line) == ""
        assert batch.padded == batch.total
    assert train_view.batch_at(found, 4).epoch == 2


def test_a_log_that_says_otherwise_is_told(training: train_view.Training) -> None:
    batch = train_view.batch_at(training, 1)
    line = {**training.log[1], "tokens": batch.total + 1}
    assert batch.disagrees(line) == f"tokens {batch.total + 1}"


def test_the_longest_row_comes_first_and_an_epoch_learns_each_row_once(training: train_view.Training) -> None:
    first, second = (train_view.batch_at(training, number, epoch=2) for number in (1, 2))
    assert (first.step, second.step) == (3, 4)
    assert max(training.lengths) in [len(one.ids) for one in first.batches[0]]
    learnt = [one.row for batch in (first, second) for each in batch.batches for one in each]
    assert sorted(learnt) == sorted(one.row for one in training.learn)


def test_a_row_is_found_in_each_epoch_once(training: train_view.Training) -> None:
    one, seen = train_view.where_seen(training, training.learn[4].row[:10])
    assert one == training.learn[4]
    assert [epoch for _, epoch in seen] == [1, 2]
    for step, _ in seen:
        assert one in [row for each in train_view.batch_at(training, step).batches for row in each]


@pytest.mark.parametrize(
    ("number", "epoch", "said"),
    [
        (0, None, "a step from 1 to 4, got 0"),
        (5, None, "a step from 1 to 4, got 5"),
        (3, 1, "a step from 1 to 2 of epoch 1, got 3"),
        (1, 3, "--epoch: expected one from 1 to 2, got 3"),
        (1, 0, "--epoch: expected one from 1 to 2, got 0"),
    ],
)
def test_a_step_that_was_never_taken_is_refused(
    training: train_view.Training, number: int, epoch: int | None, said: str
) -> None:
    with pytest.raises(MashqError, match=re.escape(said)):
        train_view.batch_at(training, number, epoch)


def test_rows_that_are_not_those_learnt_are_refused(runs: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = train_view.find_training(runs, "tuned")
    other = tmp_path / "other.parquet"
    pq.write_table(tiny_models.rows(5), other)
    with pytest.raises(MashqError, match="do not give what was learnt: expected examples with hash"):
        train_view.training_of(folder, other)


def test_rows_that_are_gone_are_named_and_rows_given_stand_for_them(runs: Path, tmp_path: Path) -> None:
    import shutil

    import pyarrow.parquet as pq

    folder = shutil.copytree(train_view.find_training(runs, "tuned"), tmp_path / "tuned")
    with pytest.raises(MashqError, match=r"its rows 'learnt' are gone.*--rows FILE\.parquet"):
        train_view.training_of(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(MashqError, match=r"no manifest\.json says where its rows lie"):
        train_view.training_of(folder)
    kept = tmp_path / "kept.parquet"
    pq.write_table(tiny_models.rows(13).slice(0, 11), kept)
    assert train_view.training_of(folder, kept).steps == 4


def test_a_folder_without_a_training_is_refused(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(MashqError, match=r"expected a train step's folder, got no plan\.json"):
        train_view.training_of(tmp_path)
    with pytest.raises(MashqError, match=r"expected a train step's folder or a run with one"):
        train_view.find_training(runs, "learnt")
    with pytest.raises(MashqError, match=r"--step: expected one of tuned, got 'tunde'\. Did you mean 'tuned'"):
        train_view.find_training(runs, "tiny", "tunde")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(MashqError, match=r"plan\.json: expected JSON"):
        train_view.training_of(tmp_path)


def test_a_row_that_was_refused_says_why(training: train_view.Training) -> None:
    refused = [json.loads(text) for text in (training.folder / "refused.jsonl").read_text().splitlines()]
    assert refused == []
    (training.folder / "refused.jsonl").write_text('{"row": "feed00", "reason": "long: 99 tokens > 88"}\n')
    with pytest.raises(MashqError, match="row feed00 was not learnt: long: 99 tokens > 88"):
        train_view.where_seen(training, "feed")
    with pytest.raises(MashqError, match="'zz', which none of 11 is"):
        train_view.where_seen(training, "zz")
    with pytest.raises(MashqError, match="'', which none of 11 is"):
        train_view.where_seen(training, "")
    (training.folder / "refused.jsonl").write_text("")


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_labels_are_on_the_reply_and_its_end_alone(training: train_view.Training) -> None:
    shown = train_view.view(training, train_view.batch_at(training, 1))
    for each in shown["batches"]:
        width = max(len(one["tokens"]) for one in each)
        for one in each:
            assert len(one["tokens"]) + one["padding"] == width
            taught = [token["text"] for token in one["tokens"] if token["supervised"]]
            assert taught[-1] == "<end_of_turn>"
            assert "<start_of_turn>" not in taught
            assert [token["position"] for token in one["tokens"]] == list(range(len(one["tokens"])))


def test_the_verb_prints_every_token_and_no_colour_into_a_pipe(capsys: Any, runs: Path) -> None:
    code, out, err = run(capsys, "tokens", "tiny/one", "--batch", "2", "--runs", str(runs))
    assert (code, err) == (0, "")
    assert "step 2 of 4, epoch 1" in out
    assert "batch 2 of 2 of this step" in out
    assert "log.jsonl has the same counts for this step" in out
    assert "\x1b" not in out
    assert train_view.FSI not in out


def test_a_row_of_the_verb_leads_on_to_show(capsys: Any, runs: Path, training: train_view.Training) -> None:
    code, out, _ = run(capsys, "tokens", "tuned", "--row", training.learn[0].row, "--runs", str(runs))
    assert code == 0
    (told,) = re.findall(r"mashq show ([0-9a-f]+)", out)
    assert re.search(r"learnt in steps: \d \(epoch 1\), \d \(epoch 2\)", out)
    code, out, _ = run(capsys, "show", told, "--runs", str(runs))
    assert (code, "learnt@" in out) == (0, True)


def test_json_of_the_verb_is_the_view(capsys: Any, runs: Path, training: train_view.Training) -> None:
    _, out, _ = run(capsys, "tokens", str(training.folder), "--batch", "1", "--epoch", "2", "--format", "json")
    assert json.loads(out) == json.loads(json.dumps(train_view.view(training, train_view.batch_at(training, 3))))


def test_on_a_terminal_tokens_stand_in_isolates(training: train_view.Training) -> None:
    lines = list(train_view.lines(training, train_view.batch_at(training, 1), terminal=True))
    tokens = [line for line in lines if train_view.FSI in line]
    assert len(tokens) == train_view.batch_at(training, 1).total
    assert all(line.endswith(train_view.PDI + train_view.PLAIN) for line in tokens)


def test_wrong_words_of_the_verb_are_explained(capsys: Any, runs: Path) -> None:
    root = str(runs)
    assert "expected a run, a step or files, got nothing. Runs here: tiny" in run(capsys, "tokens", "--runs", root)[2]
    assert "expected one run, got 2" in run(capsys, "tokens", "tiny", "tiny", "--runs", root)[2]
    assert "there is no" in run(capsys, "tokens", "tyni", "--runs", root)[2]
    said = run(capsys, "tokens", "tiny", "--row", "a", "--batch", "1", "--runs", root)[2]
    assert "expected no --batch and --epoch beside it" in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" مدرسة", "␠مدرسة"),
        ("\n\n", "⏎⏎"),
        ("\N{ARABIC FATHA}ب", "\N{DOTTED CIRCLE}\N{ARABIC FATHA}ب"),
        ("ب\N{ARABIC FATHA}", "ب\N{ARABIC FATHA}"),
        ("\N{RIGHT-TO-LEFT MARK}\N{ZERO WIDTH NON-JOINER}", "<U+200F><U+200C>"),
        ("\x1b[31m", "<U+001B>[31m"),
        (b"\xd9".decode("utf-8", "surrogateescape"), "<D9>"),
        ("\ud800", "<U+D800>"),
        ("", ""),
    ],
)
def test_every_character_can_be_seen(text: str, shown: str) -> None:
    assert train_view.visible(text) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = train_view.visible(text)
    assert not [mark for mark in shown if unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")]
    shown.encode()


def test_a_letter_cut_in_two_is_shown_as_its_bytes() -> None:
    tokenizer = tiny_models.tokenizer()
    ids = tokenizer("🙂", add_special_tokens=False)["input_ids"]
    assert "".join(train_view.token_text(tokenizer, one) for one in ids) == "<F0><9F><99><82>"
    ids = tokenizer(" كان يا ما كان", add_special_tokens=False)["input_ids"]
    assert "".join(train_view.token_text(tokenizer, one) for one in ids) == "␠كان␠يا␠ما␠كان"
    assert train_view.token_text(tokenizer, 10_000) == "?"


def test_fertility_of_a_step_and_of_a_text_file(capsys: Any, runs: Path, tmp_path: Path) -> None:
    student = str(runs.parent / "student")
    code, out, _ = run(capsys, "tokens", "learnt", "--fertility", student, "--runs", str(runs))
    assert code == 0
    assert "msa" in out
    assert "egyptian" in out
    lines = tmp_path / "lines.txt"
    lines.write_text("كان يا ما كان\n\nOnce upon a time\n", "utf-8")
    _, out, _ = run(capsys, "tokens", str(lines), "--fertility", student, "--format", "json")
    found = json.loads(out)
    assert {name: cost["words"] for name, cost in found["by"].items()} == {"arabic": 4, "english": 4}
    said = run(capsys, "tokens", str(tmp_path / "none.txt"), "--fertility", student)[2]
    assert "expected a text file in UTF-8" in said


def test_ids_of_rows_are_those_of_the_table(training: train_view.Training) -> None:
    table = tiny_models.rows(13)
    assert [one.row for one in training.learn] == [id_hex(value) for value in table["id"].to_pylist()[:11]]
