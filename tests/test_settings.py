from dataclasses import dataclass, field

import pytest

from mashq.rows import MashqError
from mashq.settings import builtins, describe, override, read_config


@dataclass(frozen=True)
class Train:
    epochs: int = 1  # passes over the data
    lr_peak: float = 1e-4


@dataclass(frozen=True)
class Settings:
    train: Train = field(default_factory=Train)
    varieties: tuple[str, ...] = ("msa",)
    data: str | None = None


def test_assignments_reach_nested_fields_and_keep_types():
    changed = override(Settings(), ["train.epochs=3", "varieties=[msa, egyptian]", "data=my.csv"])
    assert changed == Settings(Train(3, 1e-4), ("msa", "egyptian"), "my.csv")


def test_a_config_file_comes_before_assignments(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: {epochs: 5, lr_peak: 0.001}\nvarieties: [moroccan]\n", "utf-8")
    changed = override(Settings(), ["train.epochs=7"], read_config(path))
    assert changed == Settings(Train(7, 0.001), ("moroccan",), None)


def test_a_setting_that_is_a_mapping_comes_whole_from_a_config(tmp_path):
    @dataclass(frozen=True)
    class Named:
        others: dict[str, str] = field(default_factory=dict)  # name -> model
        train: Train = field(default_factory=Train)

    path = tmp_path / "c.yaml"
    path.write_text("others: {GPT-3.5: here, a: there}\ntrain: {epochs: 2}\n", "utf-8")
    assert override(Named(), (), read_config(path)) == Named({"GPT-3.5": "here", "a": "there"}, Train(2))


def test_all_faults_are_told_at_once_with_the_nearest_name():
    with pytest.raises(MashqError) as caught:
        override(Settings(), ["train.epoch=3", "train.lr_peak=fast", "nonsense"])
    text = str(caught.value)
    assert "unknown setting 'train.epoch'. Did you mean 'train.epochs'? Known: train.epochs, train.lr_peak" in text
    assert "--set train.lr_peak=fast: expected `float`, got `str`. It is now 0.0001." in text
    assert "--set nonsense: expected name=value" in text


def test_a_config_that_is_no_mapping_or_not_there(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(MashqError, match="expected names and values, got list"):
        read_config(tmp_path / "list.yaml")
    with pytest.raises(MashqError, match="there is no file"):
        read_config(tmp_path / "none.yaml")


def test_describe_gives_dotted_names_and_meanings():
    assert next(iter(describe(Settings()))) == ("train.epochs", 1, "passes over the data")


def test_a_path_is_no_setting(tmp_path):
    with pytest.raises(MashqError, match="a path belongs in a step's files"):
        builtins({"data": tmp_path})
