"""Pairs to be checked: of a file, of a translation that was made, of templates that were rendered."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq import cli
from mashq.rating.begin import Wanted, study_at
from mashq.rating.checks import pairs_of_file
from mashq.rows import MashqError

ROOT = Path(__file__).parents[2]
PAIRS = 'source\tproposed\tvariety\nA "door".\tباب.\tmsa\nA gate.\tبوابة.\tegyptian\nA gate.\tبوابة.\tegyptian\n'


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A dry translation of the example's tasks, and prompts that the example's templates made."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    files = ["--data", str(ROOT / "examples/amthal.csv"), "--template", str(ROOT / "examples/amthal.yaml")]
    tasks = ["--data", str(ROOT / "examples" / "english_tasks")]
    for asked in (["translate_prompts", "--size", "dry", *tasks], ["tune/prompts", *files]):
        cli.main(["make", *asked, "--runs", str(folder)])
    return folder


def test_pairs_of_a_file(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS, "utf-8")
    assert [pair["source"] for pair in pairs_of_file(path)] == ['A "door".', "A gate."]
    made = study_at(str(path), tmp_path, Wanted(items=1))
    assert len(made.items) == 1 and made.items[0].kind == "check" and made.guidelines["ar"]
    lines = [json.dumps({"en": "A door.", "translation": "باب."}), json.dumps({"source": "B", "proposed": "ب"})]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), "utf-8")
    assert [pair["proposed"] for pair in pairs_of_file(tmp_path / "pairs.jsonl")] == ["باب.", "ب"]
    (tmp_path / "pairs.csv").write_text('en,ar\n"A door, a gate.",باب\n', "utf-8")
    assert pairs_of_file(tmp_path / "pairs.csv") == [{"source": "A door, a gate.", "proposed": "باب"}]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "p.tsv",
            "a\tb\nx\ty\n",
            "pair 1: expected the texts source or en and proposed or ar or translation, got a, b",
        ),
        ("p.tsv", "en\tar\n", "expected pairs of a source"),
        ("p.jsonl", "[1]\n", "expected an object on each line"),
        ("p.jsonl", "{\n", "cannot be read as jsonl"),
    ],
)
def test_a_file_without_pairs_is_told(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(MashqError, match=said):
        pairs_of_file(tmp_path / name)


def test_sentences_of_a_translation_beside_what_the_engine_made(runs):
    made = study_at("translate_prompts", runs, Wanted("check", items=10))
    assert len(made.items) == 10 == len({item.shown for item in made.items})
    assert {(item.kind, item.systems, item.variety, item.template) for item in made.items} == {
        ("check", ("transliterate",), "msa", "")
    }
    assert made == study_at(str(next((runs / "translate_prompts").glob("*.json"))), runs, Wanted("check", items=10))
    whole = study_at(str(next((runs / "steps").glob("arabic@*"))), runs, Wanted())
    assert {item.shown for item in made.items} <= {item.shown for item in whole.items}
    assert "pleased" not in {item.shown[0] for item in whole.items} or len(whole.items) > 10


def test_a_translation_whose_memory_is_gone_is_told(runs, tmp_path):
    (tmp_path / "steps").mkdir()
    for folder in (runs / "steps").glob("arabic@*"):
        (tmp_path / "steps" / folder.name).symlink_to(folder)
    with pytest.raises(MashqError, match=r"expected its translation memory .*, got no file"):
        study_at(str(next((tmp_path / "steps").glob("arabic@*"))), tmp_path, Wanted())


def test_renders_stand_beside_their_records(runs):
    made = study_at("prompts", runs, Wanted("render", items=8))
    assert {(item.kind, item.part) for item in made.items} == {("check", "prompt"), ("check", "target")}
    assert {item.template for item in made.items} <= {
        f"amthal/{name}" for name in ("explain", "when_said", "which_proverb")
    }
    for item in made.items:
        assert item.shown[0].startswith("proverb:\n") and "\n\nmeaning:\n" in item.shown[0]
        assert bool(item.prompt) is (item.part == "target")  # an answer is judged under its prompt
    assert made == study_at("prompts", runs, Wanted("render", items=8))


def test_replies_of_a_run_are_those_of_its_evaluation(tmp_path):
    gain = tmp_path / "steps" / "gain@ab"
    gain.mkdir(parents=True)
    (gain / "manifest.json").write_text('{"produces": "evaluation", "parts": [], "inputs": {}}', "utf-8")
    lines = [{"item": "1", "system": name, "reply": name, **dict.fromkeys(("task", "variety", "group", "prompt"), "")}
             for name in ("before", "after")]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(lines), gain / "samples.parquet")
    scores = {"systems": [{"name": "before"}, {"name": "after"}], "baseline": "before", "scores": []}
    (gain / "scores.json").write_text(json.dumps(scores), "utf-8")
    (tmp_path / "tune" / "x").mkdir(parents=True)
    record = {"recipe": "tune", "name": "x", "steps": [{"name": "gain", "folder": "steps/gain@ab"}]}
    (tmp_path / "tune" / "x.json").write_text(json.dumps(record), "utf-8")
    made = study_at(str(tmp_path / "tune" / "x.json"), tmp_path, Wanted(rubric="stories"))
    assert {(item.kind, *item.shown) for item in made.items} == {("absolute", "before"), ("absolute", "after")}
    for place in ("tune", "tune/x", "gain", str(gain), str(tmp_path / "tune" / "x")):
        (pair,) = study_at(place, tmp_path, Wanted("pairwise", "stories")).items
        assert pair.shown == ("before", "after")


def test_what_holds_nothing_of_the_kind_is_told(runs, tmp_path):
    with pytest.raises(MashqError, match="--kind check: expected a step that translates"):
        study_at("prompts", runs, Wanted("check"))
    with pytest.raises(MashqError, match="--kind render: expected a step that renders templates"):
        study_at(str(next((runs / "steps").glob("arabic@*"))), runs, Wanted("render"))
    with pytest.raises(MashqError, match="there is no run 'tun'"):
        study_at("tun", runs, Wanted())
    with pytest.raises(MashqError, match=r"there is no file none\.yaml"):
        study_at("none.yaml", runs, Wanted())
