"""The steps for rows of any number: held_out, deduplicated, mixture, over rows cut into few parts or many."""

import csv
from pathlib import Path

import pytest

from mashq import generate, rows, steps, templates
from mashq.engine import Engine
from mashq.holdout import HeldOut
from mashq.lm import Decoding
from mashq.mix import MixtureSettings
from mashq.rows import MashqError
from mashq.run import Made, Step, Store, read_rows
from mashq.steps import rows as step_rows

HELD = HeldOut(test=0.1, validation=0.05, datasets=("held",), templates=("one/2",))
MIXTURE = MixtureSettings(mode="temperature", total=300)


def population(job):
    """2,000 prompts of one data set, many of them twice, under four templates and three licences."""
    n, name = 2_000, job.settings["source"]
    ids = rows.source_ids(name, "1", n=n)
    yield rows.conform(
        {
            "id": ids,
            "source": name,
            "licence": "CC-BY-ND-4.0" if name == "closed" else "MIT",
            "task": [f"task{i % 3}" for i in range(n)],
            "template": [f"{name}/{i % 4}" for i in range(n)],
            "group": [f"{name}:{i // 4 % 300}" for i in range(n)],
            "split": ["test" if i % 100 == 0 else None for i in range(n)],
            "messages": [[{"role": "user", "content": f"{name if i % 5 else ''} {i % 1_700}"}] for i in range(n)],
            "references": [[str(i % 1_700)] for i in range(n)],
        }
    )


def made(root: Path, rows_per_part: int, workers: int = 1, mixture: MixtureSettings = MIXTURE) -> dict[str, Made]:
    raw = {
        name: Step(f"raw-{name}", population, {"source": name}, kind="stream", rows_per_part=rows_per_part)
        for name in ("one", "two", "held", "closed")
    }
    divided = steps.held_out("split", raw, HELD)
    unique = steps.deduplicated("unique", divided)
    store = Store(root, Engine("local", workers))
    return {step.name: store.make(step) for step in (divided, unique, steps.mixture("learnt", unique, mixture))}


def kept(one: Made) -> list[dict]:
    return [row for table in read_rows(one.folder) for row in table.to_pylist()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Made]:
    return made(tmp_path_factory.mktemp("whole"), rows_per_part=50_000)


def test_counts_close_and_say_what_became_of_each_row(whole):
    counts = {name: one.manifest["counts"] for name, one in whole.items()}
    assert counts["split"]["in"] == 8_000
    assert set(whole["unique"].manifest["reasons"]) == {"duplicate", "contaminated"}
    learnt = counts["learnt"]
    assert learnt["kept"] == 300
    assert learnt["in"] == counts["unique"]["kept"] == 300 + learnt["dropped"] + learnt["unsampled"]
    assert set(whole["learnt"].manifest["reasons"]) == {"licence"}


def test_nothing_held_out_is_learnt(whole):
    learnt, unique = kept(whole["learnt"]), kept(whole["unique"])
    assert {row["source"] for row in learnt} == {"one", "two"}
    assert "one/2" not in {row["template"] for row in learnt}
    assert {row["split"] for row in learnt} == {"train"}
    tests = [row for row in unique if row["split"] == "test"]
    assert not {str(row["messages"]) for row in learnt} & {str(row["messages"]) for row in tests}
    of_whole_groups = {row["group"] for row in tests if row["template"] != "one/2"}
    assert not {row["group"] for row in learnt} & of_whole_groups
    assert {row["source"] for row in tests} == {"one", "two", "held", "closed"}


@pytest.mark.parametrize(("rows_per_part", "workers"), [(170, 1), (900, 2)])
def test_the_same_rows_from_other_shards_and_workers(whole, tmp_path, rows_per_part, workers):
    other = made(tmp_path, rows_per_part, workers)
    for name, one in whole.items():
        assert [row["id"] for row in kept(other[name])] == [row["id"] for row in kept(one)], name
        assert other[name].manifest["reasons"] == one.manifest["reasons"]


def test_a_further_mixture_reuses_what_is_made_and_tells_its_cells(whole):
    root = whole["split"].folder.parent.parent
    again = made(root, rows_per_part=50_000, mixture=MixtureSettings(mode="equal", total=301))
    assert [one.reused for one in again.values()] == [True, True, False]
    plan = next(root.glob(f"steps/learnt-plan@{again['learnt'].manifest['inputs']['plan']}/cells.csv"))
    with plan.open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert sum(int(cell["taken"]) for cell in cells) == 301
    assert sum(int(cell["rows"]) for cell in cells) == again["learnt"].manifest["counts"]["in"]
    refused = sum(int(cell["refused"]) for cell in cells)
    assert refused == again["learnt"].manifest["counts"]["dropped"]


def test_a_mixture_of_nothing_says_what_there_was(tmp_path):
    with pytest.raises(MashqError, match=r"got none of 5,780 rows, 2,738 of them of other splits and 1,092 of"):
        made(tmp_path, 50_000, mixture=MixtureSettings(most_a_dataset=1, most={"one": 0, "two": 0}))


def answering(root: Path, script: Path) -> Step:
    raw = Step("raw", population, {"source": "one"}, kind="stream", rows_per_part=4_000)
    few = steps.take("few", raw, None, most=1, by="task")
    student = steps.StudentSettings(model=f"scripted:{script}")
    return steps.replies("said", few, student, Decoding(max_new_tokens=5))


def test_a_script_is_told_by_what_it_says_and_not_by_where_it_lies(tmp_path):
    here, there = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for file in (here, there):
        file.write_text('"نعم"\n"لا"\n"ربما"\n', "utf-8")
    said = answering(tmp_path, here)
    assert said.fingerprint == answering(tmp_path, there).fingerprint
    folder = Store(tmp_path, Engine("local", 1)).make(said).folder
    (table,) = read_rows(folder)
    assert {turns[-1]["content"] for turns in table["messages"].to_pylist()} == {"نعم", "لا", "ربما"}
    assert all('"nats": null' in meta for meta in table["meta"].to_pylist())
    there.write_text('"نعم"\n', "utf-8")
    assert said.fingerprint != answering(tmp_path, there).fingerprint


def test_a_door_takes_no_adapter(tmp_path):
    with pytest.raises(MashqError, match=r"model 'echo': expected weights for an adapter, got none here"):
        generate.opened("echo", tmp_path)


def test_templates_left_out_make_no_prompts():
    raw = Step("raw", population, {"source": "arcd"}, kind="stream")
    some = steps.prompts("prompts", raw, library=["arcd"], leave=["arcd/answer"])
    every = steps.prompts("prompts", raw, library=["arcd"])
    assert some.fingerprint != every.fingerprint
    assert set(every.settings["templates"]) - set(some.settings["templates"]) == {"arcd/answer"}
    used = step_rows._templates(("arcd",), (), tuple(some.settings["templates"].items()))
    assert [one.name for one in used] == [one.name for one in templates.library("arcd") if one.name != "arcd/answer"]
