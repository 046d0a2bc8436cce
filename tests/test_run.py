import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq import lineage, recipes, steps
from mashq.engine import Engine
from mashq.rows import MashqError, child_ids
from mashq.rows import replace as with_columns
from mashq.run import Step, Store, manifest_of, read_rows
from mashq.sources import SourceSettings
from mashq.sources.columnar import raw_row

RECIPE = str(Path(__file__).parent / "data" / "counting.py")


@pytest.fixture(scope="module")
def recipe():
    return recipes.load(RECIPE)


def make(recipe, root, engine=None, **settings):
    store = Store(root, engine or Engine("local", 1))
    return [store.make(step) for step in recipe.steps(replace(recipe.settings(None), **settings))]


def part_hashes(made):
    return {one.step.name: [(part["hash"], part["dropped_hash"]) for part in one.manifest["parts"]] for one in made}


def test_counts_close_and_are_what_was_done(recipe, tmp_path):
    counts = {one.step.name: one.manifest["counts"] for one in make(recipe, tmp_path)}
    zero = {"merged": 0, "unsampled": 0}
    assert counts["numbers"] == {"in": 0, "made": 3500, "kept": 3500, "dropped": 0, **zero}
    assert counts["twice"] == {"in": 3500, "made": 3500, "kept": 7000, "dropped": 0, **zero}
    assert counts["even"] == {"in": 7000, "made": 0, "kept": 3500, "dropped": 3500, **zero}
    assert counts["pairs"] == {"in": 3500, "made": 0, "kept": 1575, "dropped": 0, "merged": 1575, "unsampled": 350}


def test_one_and_two_workers_give_equal_shards(recipe, tmp_path):
    one = part_hashes(make(recipe, tmp_path / "one", Engine("local", 1)))
    assert part_hashes(make(recipe, tmp_path / "two", Engine("local", 2))) == one
    assert [len(parts) for parts in one.values()] == [4, 4, 4, 4]


@pytest.mark.slow
def test_ray_gives_equal_shards(recipe, tmp_path):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    one = part_hashes(make(recipe, tmp_path / "one", Engine("local", 1)))
    command = [sys.executable, "-m", "mashq.cli", "make", f"{RECIPE}/pairs", "--engine", "ray"]
    command += ["--runs", str(tmp_path / "ray")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    made = [manifest_of(path) for path in (tmp_path / "ray" / "steps").glob("*@*")]
    assert {m["step"]: [(p["hash"], p["dropped_hash"]) for p in m["parts"]] for m in made} == one


def test_a_killed_run_goes_on_and_gives_the_same_shards(recipe, tmp_path):
    whole = part_hashes(make(recipe, tmp_path / "whole", pause_s=0.3))
    command = [sys.executable, "-m", "mashq.cli", "make", f"{RECIPE}/even", "--set", "pause_s=0.3", "--workers", "1"]
    command += ["--runs", str(tmp_path / "cut")]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: list(tmp_path.glob("cut/steps/twice@*/.progress/part-00001*.json")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.glob("cut/steps/twice@*/manifest.json"))
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "resuming twice@" in again.stdout
    made = {m["step"]: [(p["hash"], p["dropped_hash"]) for p in m["parts"]] for m in manifests(tmp_path / "cut")}
    assert made == {name: whole[name] for name in ("numbers", "twice", "even")}


def wait_for(there, seconds=30):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def manifests(root):
    return [manifest_of(path) for path in (root / "steps").glob("*@*")]


def test_a_finished_step_is_reused_and_a_changed_setting_is_a_new_folder(recipe, tmp_path):
    assert [one.reused for one in make(recipe, tmp_path)] == [False] * 4
    assert [one.reused for one in make(recipe, tmp_path)] == [True] * 4
    assert [one.reused for one in make(recipe, tmp_path, pause_s=0.001)] == [True, False, False, False]
    assert len(list(tmp_path.glob("steps/twice@*"))) == 2


def test_fingerprint_holds_settings_inputs_files_identity_and_version(tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("one")
    step = Step("s", print, {"a": 1}, files={"data": data}, identity={"model": "m"})
    other = Step("t", print)
    prints = {step.fingerprint}
    for change in (
        {"settings": {"a": 2}},
        {"inputs": {"x": other}},
        {"version": 2},
        {"identity": {"model": "n"}},
        {"name": "t"},
    ):
        prints.add(replace(step, **change).fingerprint)
    data.write_text("two")
    prints.add(replace(step).fingerprint)
    assert len(prints) == 7


def test_the_same_file_elsewhere_is_the_same_step(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).write_text("same")
    one, two = (Step("s", print, files={"data": tmp_path / name}) for name in ("here", "there"))
    assert one.fingerprint == two.fingerprint


def test_a_row_that_vanishes_is_an_error_that_names_it(recipe, tmp_path):
    with pytest.raises(MashqError, match=r"twice: expected every row taken in .* got 1 rows in none of these"):
        make(recipe, tmp_path, fault="vanish")
    assert not list(tmp_path.glob("steps/twice@*/manifest.json"))


def test_two_rows_with_one_id_are_an_error(recipe, tmp_path):
    with pytest.raises(MashqError, match="two rows of its output have one id"):
        make(recipe, tmp_path, fault="same id")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_a_worker_reaches_the_user_as_it_was_said(recipe, tmp_path, workers):
    with pytest.raises(MashqError, match=r"^numbers: expected a number, got 'seven'\.$"):
        make(recipe, tmp_path, Engine("local", workers), fault="clear")


def test_a_dropped_row_keeps_its_reason_and_not_a_second_copy_of_its_text(recipe, tmp_path):
    even = make(recipe, tmp_path)[2]
    dropped = next(read_rows(even.folder, dropped=True)).to_pylist()
    assert {row["text"] for row in dropped} == {None}
    assert dropped[0]["dropped"] == "odd: 1 % 2 = 1"
    assert even.manifest["reasons"] == {"odd": 3500}


def test_a_rows_whole_life(recipe, tmp_path):
    made = make(recipe, tmp_path)
    middle = next(read_rows(made[2].folder))["id"][0].as_py()
    told = lineage.life(tmp_path, middle.hex()[:10])
    assert [one.step.split("@")[0] for one in told] == ["numbers", "twice", "even", "pairs"]
    assert told[-1].row["parents"][0] == middle or told[-1].row["parents"][1] == middle
    with pytest.raises(MashqError, match=r"no row in .* has an id that starts with 'ffffffffff'"):
        lineage.life(tmp_path, "ffffffffff")


def tweets(folder, n=30):
    """A published set of two files, in the columns that the library's templates name."""
    folder.mkdir(parents=True)
    columns = {"sarcasm": ["TRUE"] * n, "sentiment": ["POS"] * n, "dialect": ["gulf"] * n}
    for split in ("test", "train"):
        table = pa.table({"tweet": [f"تغريدة {split} {i}" for i in range(n)], **columns})
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=10)
    return folder


def halves(rows: pa.Table, job) -> pa.Table:
    """Each row of the first half merged with one of the second, which was made from another record."""
    half = rows.num_rows // 2
    ids = rows["id"].to_pylist()
    parents = [list(pair) for pair in zip(ids[:half], ids[half:], strict=True)]
    return with_columns(rows.slice(0, half), id=child_ids(rows["id"].slice(0, half), step=job.name), parents=parents)


def test_the_manifest_names_the_slice_of_each_part_and_no_hash_holds_its_path(tmp_path):
    made = []
    for place in ("here", "there"):
        step = steps.prompts_of_columns("prompts", {"arsarcasm_v2": tweets(tmp_path / place / "arsarcasm_v2")})
        made.append(Store(tmp_path / place / "runs", Engine("local", 1)).make(step))
    here, there = (one.manifest for one in made)
    assert (here["fingerprint"], here["hash"]) == (there["fingerprint"], there["hash"])
    files = [str(tmp_path / "here" / "arsarcasm_v2" / name) for name in ("test.parquet", "train.parquet")]
    assert [one["path"] for one in here["slices"]] == files
    assert [one["split"] for one in here["slices"]] == ["test", "train"]
    for part, one in zip(here["parts"], here["slices"], strict=True):
        splits = pq.read_table(made[0].folder / part["name"])["split"]
        assert set(splits.to_pylist()) == {one["split"]}
        assert (one["dataset"], one["first"], one["last"], one["start"]) == ("arsarcasm_v2", "0", "3", "0")


def test_a_step_without_slices_names_none(recipe, tmp_path):
    assert [one.manifest["slices"] for one in make(recipe, tmp_path)] == [[]] * 4


def test_a_prompts_raw_record_is_read_in_its_file(tmp_path):
    folder = tweets(tmp_path / "arsarcasm_v2")
    store = Store(tmp_path / "runs", Engine("local", 1))
    made = store.make(steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder}))
    raw = store.make(steps.read("raw", folder, SourceSettings(source="arsarcasm_v2")))
    written = {row["id"]: row for table in read_rows(raw.folder) for row in table.to_pylist()}
    prompts = [row for table in read_rows(made.folder) for row in table.to_pylist()]
    (raw.folder / "manifest.json").unlink()
    for prompt in (prompts[0], prompts[-1]):
        record, itself = lineage.life(tmp_path / "runs", prompt["id"].hex(), raw_row)
        assert record.row == written[prompt["parents"][0]]
        assert (itself.row, itself.step) == (prompt, made.folder.name)
        number = 1 if prompt is prompts[0] else 30
        assert record.step == f"{made.folder.name} < {prompt['split']}.parquet row {number}"
        told = list(lineage.lines(record))
        assert told[0].endswith("  read in its file")
        assert told[-1] == f"  fields     {record.row['meta']}"
    siblings = lineage.life(tmp_path / "runs", prompts[0]["parents"][0].hex()[:20], raw_row)
    assert len(siblings) == 1 + sum(row["parents"] == prompts[0]["parents"] for row in prompts)
    assert siblings[0].row["id"] == prompts[0]["parents"][0]


def test_every_raw_record_of_a_row_made_from_several_is_read(tmp_path):
    folder = tweets(tmp_path / "arsarcasm_v2", 4)
    store = Store(tmp_path / "runs", Engine("local", 1))
    prompts = steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    made = store.make(Step("halves", halves, inputs={"rows": prompts}))
    parents = {one["id"]: one["parents"][0] for table in read_rows(store.folder(prompts)) for one in table.to_pylist()}
    for row in (row for table in read_rows(made.folder) for row in table.to_pylist()):
        told = lineage.life(tmp_path / "runs", row["id"].hex(), raw_row)
        records = [one.row["id"] for one in told if one.state]
        assert records == sorted({parents[one] for one in row["parents"]})
        assert len(records) == 2
        assert [one.step.split("@")[0] for one in told[len(records) :]] == ["prompts", "prompts", "halves"]


def test_the_rest_of_a_life_is_told_where_the_raw_file_is_gone_or_other(tmp_path):
    folder = tweets(tmp_path / "arsarcasm_v2")
    made = Store(tmp_path / "runs", Engine("local", 1)).make(
        steps.prompts_of_columns("prompts", {"arsarcasm_v2": folder})
    )
    prompt = next(read_rows(made.folder)).to_pylist()[0]
    (folder / "test.parquet").rename(folder / "moved.parquet")
    gone, itself = lineage.life(tmp_path / "runs", prompt["id"].hex(), raw_row)
    assert itself.row == prompt
    (line, *_) = lineage.lines(gone)
    assert line.startswith(f"{made.folder.name} < test.parquet  {prompt['parents'][0].hex()}  lacking: ")
    assert line.endswith("got no file. Put it back, or go to the folder in which the step was made.")
    (folder / "train.parquet").rename(folder / "test.parquet")
    other, _ = lineage.life(tmp_path / "runs", prompt["id"].hex(), raw_row)
    assert "It changed since the step read it" in next(lineage.lines(other))
    assert other.row["meta"] is None


def test_a_manifest_of_before_there_were_slices_is_read(tmp_path):
    step = steps.prompts_of_columns("prompts", {"arsarcasm_v2": tweets(tmp_path / "arsarcasm_v2")})
    made = Store(tmp_path / "runs", Engine("local", 1)).make(step)
    manifest = manifest_of(made.folder)
    del manifest["slices"]
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    assert Store(tmp_path / "runs", Engine("local", 1)).make(step).reused
    prompt = next(read_rows(made.folder)).to_pylist()[0]
    (itself,) = lineage.life(tmp_path / "runs", prompt["id"].hex(), raw_row)
    assert itself.row == prompt


def test_a_part_changed_by_hand_is_noticed(recipe, tmp_path):
    made = make(recipe, tmp_path)
    part = made[1].folder / "part-00000.parquet"
    part.write_bytes(part.read_bytes() + b"x")
    with pytest.raises(MashqError, match=r"part-00000.parquet: expected .* bytes, got .* Use --force"):
        make(recipe, tmp_path)


def test_changed_code_is_told_as_drift(recipe, tmp_path):
    made = make(recipe, tmp_path)[1]
    manifest = manifest_of(made.folder)
    module = next(name for name in manifest["code"]["modules"] if name.startswith("counting"))
    manifest["code"]["modules"][module] = "0" * 16
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    said = []
    store = Store(tmp_path, Engine("local", 1), said.append)
    again = [store.make(step) for step in recipe.steps(recipe.settings(None))][1]
    assert again.drift == (module,)
    assert any(line.startswith("drift twice@") and "--force" in line for line in said)


def test_a_step_whose_input_was_made_anew_with_another_result_is_made_anew(recipe, tmp_path):
    made = make(recipe, tmp_path)[1]
    manifest = manifest_of(made.folder)
    manifest["hash"] = "another"
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    assert [one.reused for one in make(recipe, tmp_path)] == [True, True, False, True]


def test_two_writers_of_one_step_exclude_each_other(recipe, tmp_path):
    command = [sys.executable, "-m", "mashq.cli", "make", f"{RECIPE}/twice", "--set", "pause_s=2", "--workers", "1"]
    command += ["--runs", str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: list(tmp_path.glob("steps/twice@*/.progress/made_by.json")))
    second = subprocess.run(command, capture_output=True, text=True)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert second.returncode == 1
    assert "another mashq is making it" in second.stderr


def test_the_manifest_says_what_it_cost_and_what_made_it(recipe, tmp_path):
    manifest = make(recipe, tmp_path)[1].manifest
    assert manifest["seconds"] > 0
    assert manifest["peak_memory_mb"] > 20
    assert {"mashq", "python", "pyarrow", "daft"} <= set(manifest["packages"])
    assert manifest["licences"] == {"CC0-1.0": 7000}
    assert manifest["machine"]["cores"] == os.cpu_count()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give memory back by themselves")
def test_what_a_step_held_is_given_back():
    import psutil

    from mashq.engine import give_back_memory

    own = psutil.Process()
    kept = [bytes(4_000) for _ in range(50_000)]  # 200 MB in blocks that the C library keeps when they are freed
    kept = [*kept[::500]]  # and some of them in between stay in use
    held = own.memory_info().rss
    give_back_memory()
    assert len(kept) == 100 and own.memory_info().rss < held - 100e6
