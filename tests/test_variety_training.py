from pathlib import Path

import numpy as np
import pytest
import yaml

from mashq.rows import MashqError
from mashq.variety import open_teller
from mashq.variety.features import folded_text
from mashq.variety_training import (
    PLAN,
    LabelledFile,
    TrainingSettings,
    labelled,
    read_plan,
    read_rows,
    train,
    without_names,
)
from mashq.variety_validation import calibration_error, confusion, folds, gain, length_band, macro_f1, measured

STANDARD = ["ذهبت إلى السوق صباحا", "لم يصل القطار حتى الآن", "سوف نلتقي في المكتبة غدا", "ماذا قرأت هذا الأسبوع"]
EGYPTIAN = ["رحت السوق الصبح بدري", "القطر لسه ماجاش لحد دلوقتي", "هنتقابل في المكتبة بكره", "قريت إيه الأسبوع ده"]
SMALL = TrainingSettings(bits=12, folds=2, passes=3, date="2026-01-01")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    lines = [f"{text} {number},{label}" for number in ("واحد", "اثنان", "ثلاثة") for label, texts in
             (("s", STANDARD), ("e", EGYPTIAN)) for text in texts]  # fmt: skip
    path.write_text("text,variety\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def table_of(path: Path, **changes: object) -> LabelledFile:
    given = {"text_field": "text", "label_field": "variety", "labels": {"s": "msa", "e": "egyptian"}} | changes
    return LabelledFile(path, source=str(given.pop("source", "table")), **given)  # type: ignore[arg-type]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_rows_of_a_table_have_our_labels(table: Path) -> None:
    rows = read_rows(table_of(table))
    assert [row.label for row in rows[:8]] == ["msa"] * 4 + ["egyptian"] * 4
    assert rows[0].text == "ذهبت إلى السوق صباحا واحد"
    assert len({row.group for row in rows}) == 24


def test_a_label_mapped_to_null_is_left_out(table: Path) -> None:
    assert {row.label for row in read_rows(table_of(table, labels={"s": "msa", "e": None}))} == {"msa"}


def test_an_unknown_label_names_row_and_column(table: Path) -> None:
    with pytest.raises(MashqError, match=r"rows\.csv, row 5, column 'variety': expected one of msa, .*got 'e'"):
        read_rows(table_of(table, labels={"s": "msa"}))


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "مرحبا", "variety": "s"}\n{"variety": "s"}\n', "utf-8")
    with pytest.raises(MashqError, match=r"rows\.jsonl, row 2: .*text"):
        read_rows(table_of(path))


def test_plain_text_by_its_own_label(tmp_path: Path) -> None:
    path = tmp_path / "egyptian.txt"
    path.write_text("\n".join(EGYPTIAN) + "\n123\n", "utf-8")
    rows = read_rows(LabelledFile(path, "mine", label="egyptian"))
    assert [row.text for row in rows] == EGYPTIAN


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"nowhere\.csv: expected a file, got none"):
        read_rows(table_of(tmp_path / "nowhere.csv"))


def test_written_sentences_are_grouped_by_genre(tmp_path: Path) -> None:
    path = tmp_path / "gulf.yaml"
    path.write_text('- {text: "شلونك اليوم", genre: chat}\n- {text: "وين رحت", genre: travel}\n', "utf-8")
    rows = read_rows(LabelledFile(path, "written", label="gulf", written=True))
    assert [(row.label, row.group) for row in rows] == [("gulf", "genre:chat"), ("gulf", "genre:travel")]
    path.write_text("- {genre: chat}\n", "utf-8")
    with pytest.raises(MashqError, match=r"gulf\.yaml, row 1: expected text and genre"):
        read_rows(LabelledFile(path, "written", label="gulf"))


def test_a_story_is_cut_and_stays_one_group(tmp_path: Path) -> None:
    path = tmp_path / "stories.csv"
    story = "ذهب الولد إلى البيت. ثم نام الولد مبكرا. واستيقظ الولد صباحا. وذهب الولد إلى المدرسة."
    path.write_text(f'Story\n"{story}"\n"{story}"\n', "utf-8")
    rows = read_rows(LabelledFile(path, "stories", text_field="Story", label="msa", cut=True))
    assert " ".join(row.text for row in rows) == f"{story} {story}"
    assert {row.group for row in rows} == {"stories.csv:1", "stories.csv:2"}


def test_names_are_left_out_with_what_is_joined_to_them() -> None:
    assert without_names("والمصريين في القاهرة وبلبنان هيك").split() == ["في", "هيك"]


def test_a_plan_with_an_unknown_field(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("- {path: a.csv, source: a, lable: msa}\n", "utf-8")
    with pytest.raises(MashqError, match=r"entry 1: there is no field 'lable'.*Did you mean 'label'"):
        read_plan(path)
    path.write_text("- {data: a.csv, source: a}\n", "utf-8")
    with pytest.raises(MashqError, match="entry 1: expected the folder of the published files, got none"):
        read_plan(path)
    assert read_plan(path, tmp_path)[0].path == tmp_path / "a.csv"


def test_values_of_a_plan_are_text_and_its_labels_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("- {path: a.csv, source: a, labels: {1: gulf, 2: null}}\n", "utf-8")
    assert read_plan(path)[0].labels == {"1": "gulf", "2": None}
    path.write_text("- {path: a.csv, source: a, labels: [gulf]}\n", "utf-8")
    with pytest.raises(MashqError, match="entry 1, labels: expected values and our labels, got list"):
        read_plan(path)


def test_a_file_of_the_command_line(table: Path) -> None:
    file = labelled(table, label_field="variety", labels=["s=msa", "e="], licence="MIT")
    assert (file.source, file.licence, file.labels) == ("rows", "MIT", {"s": "msa", "e": None})
    assert [row.label for row in read_rows(file)] == ["msa"] * 12


def test_a_value_with_an_equals_sign_in_it() -> None:
    assert labelled(Path("a.csv"), labels=["x=y = gulf"]).labels == {"x=y": "gulf"}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (["egyptian"], r"the label 'egyptian' of a\.csv: expected value=label, as egypt=egyptian, got 'egyptian'"),
        (["=gulf"], "expected value=label, as egypt=egyptian, got '=gulf'"),
        (["eg=egiptian"], "expected one of msa, .* after '=', got 'egiptian'.*'eg='.*Did you mean 'egyptian'"),
        (["a=gulf", "a=iraqi"], "'a' already stands for 'gulf'"),
        (["a=", "a=iraqi"], "'a' already stands for nothing"),
    ],
)
def test_a_wrong_label_of_the_command_line(said: list[str], fault: str) -> None:
    with pytest.raises(MashqError, match=fault):
        labelled(Path("a.csv"), labels=said)


def test_plain_text_has_no_column_of_labels() -> None:
    with pytest.raises(MashqError, match=r"talk\.txt: expected a table .*got \.txt.*source: talk, label: gulf"):
        labelled(Path("talk.txt"))


def test_the_shipped_plan_names_files_that_are_there(tmp_path: Path) -> None:
    files = read_plan(PLAN, tmp_path)
    assert [file.path.name for file in files if file.path.parent != tmp_path and not file.path.is_file()] == []
    assert {file.source for file in files} == {"tweets", "stories", "written", "lexicon"}


def test_elevated_sentences_share_no_run_of_four_words_with_the_old_texts_that_guard() -> None:
    folder = PLAN.parent
    ours = [folded_text(one["text"]) for one in yaml.safe_load((folder / "elevated.yaml").read_text("utf-8"))]
    old = yaml.safe_load((folder / "sentences" / "classical.yaml").read_text("utf-8"))
    guarded = {run for one in old for run in runs_of_four(folded_text(one["text"]))}
    assert len(guarded) > 300
    assert [text for text in ours if guarded & runs_of_four(text)] == []
    assert len(set(ours)) == len(ours) >= 150


def runs_of_four(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[start : start + 4]) for start in range(len(words) - 3)}


# --- training --------------------------------------------------------------------------------------------------------


def test_equal_files_give_equal_bytes_and_a_model_that_tells(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    lexicon = tmp_path / "lexicon.yaml"
    lexicon.write_text("msa: سوف لم\negyptian: دلوقتي لسه إيه\n", "utf-8")
    files = [table_of(table), LabelledFile(lexicon, "lexicon", lexicon=True)]
    made = train(files, tmp_path / "one.npz", SMALL)
    train(files, tmp_path / "two.npz", SMALL)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    train(files, tmp_path / "three.model", SMALL)  # a name is taken as it is given
    assert (tmp_path / "three.model").read_bytes() == (tmp_path / "one.npz").read_bytes()
    teller = open_teller(tmp_path / "one.npz")
    assert teller.labels == ("msa", "egyptian")
    assert teller.experimental == {"msa", "egyptian"}  # fewer than 200 rows each
    assert teller.tell(["لسه ماشفتش حاجة دلوقتي", "لم أقرأ شيئا حتى الآن"]).best == ["egyptian", "msa"]
    assert "| table, 24 | groups | " in (tmp_path / "one.md").read_text("utf-8")
    assert made.by_fold.shape == (24, 2)
    assert made.model.about["date"] == "2026-01-01"
    assert made.model.about["data"][0]["file"] == "rows.csv"


def test_one_label_is_no_training_set(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(MashqError, match="expected at least two labels, got msa"):
        train([table_of(table, labels={"s": "msa", "e": None})], tmp_path / "model.npz", SMALL)
    assert not (tmp_path / "model.npz").exists()


def test_each_source_is_left_out_by_a_model_of_the_others(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    other = tmp_path / "egyptian.txt"
    other.write_text("\n".join(EGYPTIAN), "utf-8")
    files = [table_of(table), LabelledFile(other, "talk", label="egyptian")]
    made = train(files, tmp_path / "one.npz", SMALL)
    assert sorted(made.without) == ["table", "talk"]
    assert made.without["talk"].about["name"] == "variety without talk"
    at = [place for place, row in enumerate(made.rows) if row.source == "talk"]
    odds, _ = made.without["talk"].probabilities([made.rows[place].text for place in at])
    assert np.allclose(odds, made.by_source[at], atol=0.02)  # but for the rounding to whole numbers
    alone, _ = made.without["table"].probabilities(STANDARD)  # it has seen Egyptian only
    assert alone.argmax(axis=1).tolist() == [1] * 4


def test_rows_of_one_group_leave_nothing_to_train_a_fold_on(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    files = []
    for name, texts in (("msa", STANDARD), ("egyptian", EGYPTIAN)):
        path = tmp_path / f"{name}.yaml"
        path.write_text("".join(f'- {{text: "{text}", genre: chat}}\n' for text in texts), "utf-8")
        files.append(LabelledFile(path, "written", label=name))
    made = train(files, tmp_path / "one.npz", SMALL)
    assert made.without == {}
    assert np.allclose(made.by_fold, 0.5)


# --- measures --------------------------------------------------------------------------------------------------------


def test_macro_f1_is_the_mean_over_the_labels_that_have_rows() -> None:
    truth, told = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    table = confusion(truth, told, 3)
    assert table.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert macro_f1(table) == pytest.approx((2 / 3 + 1 / 2) / 2)
    with pytest.raises(MashqError, match="expected at least one row"):
        macro_f1(np.zeros((2, 2)))


def test_macro_f1_equals_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    truth, told = random.integers(0, 4, 200), random.integers(0, 5, 200)
    expected = metrics.f1_score(truth, told, average="macro", labels=range(4))
    assert macro_f1(confusion(truth, told, 5)) == pytest.approx(expected)


def test_an_interval_holds_its_value_and_knows_groups() -> None:
    truth = np.arange(200) % 2
    told = np.where(np.arange(200) < 160, truth, 1 - truth)
    alone = measured(truth, told, [str(at) for at in range(200)], 2)
    grouped = measured(truth, told, [str(at // 20) for at in range(200)], 2)
    assert alone.accuracy == grouped.accuracy == 0.8
    assert alone.accuracy_interval[0] < 0.8 < alone.accuracy_interval[1]
    wide = grouped.accuracy_interval[1] - grouped.accuracy_interval[0]
    assert wide > alone.accuracy_interval[1] - alone.accuracy_interval[0]
    assert grouped.groups == 10


def test_gain_is_paired() -> None:
    truth = np.arange(200) % 2
    worse = np.where(np.arange(200) < 160, truth, 1 - truth)
    better = np.where(np.arange(200) < 180, truth, 1 - truth)
    groups = [str(at) for at in range(200)]
    value, (low, high) = gain(truth, better, worse, groups, 2)
    assert value == pytest.approx(0.1)
    assert 0.05 < low < 0.1 < high < 0.15
    assert gain(truth, worse, worse, groups, 2) == (0.0, (0.0, 0.0))


def test_calibration_error_of_a_boaster() -> None:
    odds = np.tile([0.95, 0.05], (10, 1))
    error, bins = calibration_error(odds, np.array([0] * 5 + [1] * 5))
    assert error == pytest.approx(0.45)
    assert bins == [(pytest.approx(0.95), 0.5, 10)]


def test_folds_are_a_function_of_the_group_and_bands_cover_all_lengths() -> None:
    assert folds(["a", "b", "a"], 5)[0] == folds(["a"], 5)[0] == folds(["b", "a"], 5)[1]
    assert [length_band(count) for count in (0, 1, 3, 4, 8, 16, 31, 5000)] == [
        None, "1-3", "1-3", "4-7", "8-15", "16-30", "31+", "31+",
    ]  # fmt: skip
