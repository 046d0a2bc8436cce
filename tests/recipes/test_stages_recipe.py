"""Training in stages: arms share what they have in common, and forgetting is measured on every stage's own rows."""

import json
from pathlib import Path

import pytest

from mashq.make import Wish, make_recipe
from mashq.recipes import stages
from mashq.rows import MashqError
from mashq.run import manifest_of, read_rows

pytest.importorskip("transformers")

TEXT = (
    "في صباح يوم مشمس خرج الصياد إلى البحر ومعه شبكته القديمة وقاربه الصغير وجلس ينتظر السمك طويلًا حتى غابت الشمس خلف "
    "الجبال البعيدة ثم عاد إلى بيته مسرورًا بما رزقه الله في ذلك اليوم"
)


def texts(path: Path, shift: int) -> Path:
    words = TEXT.split()
    lines = [{"body": " ".join(words[(k + shift) % 7 :] + words[: k % 9 + 3])} for k in range(16)]
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    first, second = texts(folder / "first.jsonl", 0), texts(folder / "second.jsonl", 3)
    wanted = [
        {"name": name, "files": [{"file": str(file), "text": "body", "licence": "CC0-1.0", "variety": "msa"}]}
        for name, file in (("first", first), ("second", second))
    ]
    assignments = (
        f"stages={json.dumps(wanted)}",
        "student.model=toy-llama",
        "student.dtype=float32",
        "split.test=3",
        "metrics=[bits_per_byte]",
        "decoding.max_new_tokens=4",
    )
    runs = folder / "runs"
    make_recipe(Wish("stages", runs, assignments=assignments, workers=1), lambda line: None)
    return {folder.name.split("@")[0]: folder for folder in runs.rglob("*@*") if manifest_of(folder)}


def scores(made, name):
    return json.loads((made[name] / "scores.json").read_text("utf-8"))


def test_arms_share_their_first_stage(made):
    cards = {
        name: json.loads((folder / "card.json").read_text("utf-8"))
        for name, folder in made.items()
        if _is_model(folder)
    }
    assert set(cards) == {"first", "second", "first-then-second", "second-then-first", "first-and-second"}
    lineage = [[one["data"][0]["name"] for one in cards[name]["lineage"]] for name in ("first-then-second", "second")]
    assert lineage == [["first", "second"], ["second"]]
    tokens = {name: sum(one["tokens"]["tokens"] for one in card["lineage"]) for name, card in cards.items()}
    assert tokens["first-then-second"] == tokens["second-then-first"] == tokens["first-and-second"]  # equal tokens


def _is_model(folder):
    return (folder / "card.json").exists()


def test_every_arm_is_asked_the_rows_of_every_stage(made):
    found = scores(made, "arms")
    assert [one["label"] for one in found["systems"]] == [
        "second",
        "first, then second",
        "second, then first",
        "first and second",
    ]
    assert found["items"] == 6
    assert {one["slice"]["value"] for one in found["scores"] if one["slice"]["by"] == "source"} == {"first", "second"}


def test_forgetting_is_measured_after_each_stage(made):
    found = scores(made, "forgetting-second-first")
    assert [one["label"] for one in found["systems"]] == ["second", "second, then first"]
    told = [one for one in found["comparisons"] if one["slice"] == {"by": "source", "value": "second"}]
    assert told and told[0]["metric"] == "bits_per_byte"


def test_texts_are_shown_their_beginning_and_stand_once(made):
    rows = [row for table in read_rows(made["rows-first"]) for row in table.to_pylist()]
    for row in rows:
        opening = row["messages"][0]["content"].removeprefix(f"{stages.ASKED}\n")
        assert len(opening.split()) == stages.OPENING and row["references"][0]
    told = [f"{row['messages'][0]['content']} {row['references'][0]}" for row in rows]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"stages": (stages.Stage("a"),)}, "files of 'a': expected at least one, got none"),
        ({"stages": (stages.Stage("a"), stages.Stage("a"))}, "names: expected one for each, all different"),
        ({"arms": ("humann",)}, "arms: expected names of stages .* got 'humann'"),
    ],
)
def test_what_cannot_be_is_told(changes, text, tmp_path, monkeypatch):
    for name in ("ntrex_en_ar.tsv", "xquad.ar.json", *(f"arastories_{one}.csv" for one in stages.STORIES)):
        (tmp_path / name).write_text("", "utf-8")
    monkeypatch.setenv("MASHQ_DATA", str(tmp_path))
    with pytest.raises(MashqError, match=text):
        stages.steps(stages.Settings(**changes))
