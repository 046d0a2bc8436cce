"""Every recipe, small, from data to report, with a random student of two layers; and killed at random moments."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_models
from test_proof import answering

from mashq import recipes, stories
from mashq.engine import Engine
from mashq.make import Wish, make_recipe
from mashq.rows import MashqError, file_hash
from mashq.run import Store, manifest_of, read_rows

ROOT = Path(__file__).parent.parent.parent
SHORT = ("train.steps=6", "train.max_tokens=500", "train.precision=fp32", "train.save_every=2", "student.dtype=float32")
QUICK = ("facts=[weekday, language]", "learnt_a_task=6", "asked_a_task=2", "stories_a_variety=1", "writer=echo")


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    tiny_models.tokenizer().save_pretrained(folder)
    tiny_models.model(max_position_embeddings=2048).save_pretrained(folder)
    return folder


def make(target: str, runs: Path, *assignments: str) -> tuple[Path | None, list[str]]:
    said: list[str] = []
    return make_recipe(Wish(target, runs, assignments=assignments, workers=1), said.append), said


def steps_of(runs: Path) -> dict[str, dict]:
    found = [manifest_of(folder) for folder in (runs / "steps").glob("*@*")]
    return {manifest["step"]: manifest for manifest in found if manifest}


def check_report(page: Path, *words: str) -> None:
    text = page.read_text("utf-8")
    assert 'dir="rtl"' in text
    assert "http-equiv" in text  # the policy that forbids the network
    assert [word for word in words if word not in text] == []
    for name in ("report.md", "report.json"):
        assert (page.parent / name).stat().st_size > 0


@pytest.fixture(scope="module")
def quick(student, tmp_path_factory) -> Path:
    """The quickstart with a random student and stories that are echoes."""
    runs = tmp_path_factory.mktemp("quick")
    subprocess.run(quick_command(student, runs), check=True, capture_output=True, timeout=300)
    check_report(next(runs.glob("quickstart/*/report.html")), "quickstart", "rougeL")
    return runs


def quick_command(student: Path, runs: Path) -> list[str]:
    """In a process of its own: equal bytes need equal threads, and other tests here change this process's."""
    sets = [part for one in (f"student.model={student}", *SHORT, *QUICK) for part in ("--set", one)]
    return [sys.executable, "-m", "mashq.cli", "make", "quickstart", *sets, "--runs", str(runs), "--workers", "1"]


def test_quickstart_makes_every_step_and_its_counts_close(quick):
    made = steps_of(quick)
    assert set(made) >= {
        "facts",
        "prompts",
        "held-out",
        "learnt",
        "asked",
        "stories-told",
        "stories-kept",
        "tuned",
        "gain",
    }
    for manifest in made.values():
        if manifest["counts"]:
            counts = manifest["counts"]
            right = sum(counts[name] for name in ("kept", "dropped", "merged", "unsampled"))
            assert counts["in"] + counts["made"] == right
    assert made["stories-kept"]["counts"]["dropped"] == 3
    assert sum(made["stories-kept"]["reasons"].values()) == 3


def test_quickstart_never_trains_on_what_it_asks(quick):
    folders = {
        manifest["step"]: quick / "steps" / f"{manifest['step']}@{manifest['fingerprint']}"
        for manifest in steps_of(quick).values()
    }
    learnt = [row for table in read_rows(folders["learnt"]) for row in table.to_pylist()]
    asked = [row for table in read_rows(folders["asked"]) for row in table.to_pylist()]
    assert {row["split"] for row in learnt} == {"train"}
    assert {row["split"] for row in asked} == {"test"}
    assert not any("_heldout_" in row["template"] for row in learnt)
    seen = {row["group"] for row in learnt}
    assert all("_heldout_" in row["template"] for row in asked if row["group"] in seen)


def test_the_report_says_what_of_the_test_was_learnt(quick):
    folder = next(quick.glob("quickstart/*/report.html")).parent
    run = json.loads((folder / "report.json").read_text("utf-8"))["runs"][0]
    (found,) = [part for part in run["parts"] if part["kind"] == "contamination"]
    assert [stage["stage"] for stage in found["stages"]] == ["learnt"] and found["stages"][0]["rows"] > 0
    # A fact that is asked under a held-out template may have been learnt under another one: the page must not hide it.
    learnt = found["stages"][0]["kinds"]["twin"]["n"]
    assert 0 < learnt < found["items"] and found["verdict"] == "contaminated"
    assert run["evaluations"][0]["learnt_items"] == {"n": found["contaminated"]["n"], "items": found["items"]}
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="r1-contamination"' in page and 'href="#r1-contamination"' in page
    assert "تلوّث الاختبار" in (folder / "report.md").read_text("utf-8")


def test_a_second_make_makes_nothing(quick, student):
    _, said = make("quickstart", quick, f"student.model={student}", *SHORT, *QUICK)
    assert not [line for line in said if line.startswith(("making", "resuming"))]


def test_a_changed_training_setting_keeps_the_data(quick, student):
    _, said = make("quickstart", quick, f"student.model={student}", *SHORT, *QUICK, "train.lr_peak=0.001")
    anew = {line.split()[1].split("@")[0] for line in said if line.startswith("making")}
    assert anew == {"tuned", "after", "gain", "contamination"}


def shards(runs: Path) -> dict[str, str]:
    """Step -> hash of its rows or weights; the evaluation is of both."""
    return {name: manifest["hash"] for name, manifest in steps_of(runs).items()}


def test_quickstart_killed_five_times_ends_as_the_unbroken_run(quick, student, tmp_path):
    """Kill -9 at five random moments while data and training steps are under way, then the same command to its end."""
    command = quick_command(student, tmp_path)
    moments = random.Random(11)
    for watched in ("prompts@*", "learnt@*", "tuned@*/log.jsonl", "tuned@*/checkpoints/*", "before@*"):
        running = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + 90
        while not list(tmp_path.glob(f"steps/{watched}")) and running.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.15))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    whole = {
        name: value for name, value in shards(quick).items() if name not in ("after", "gain", "tuned", "contamination")
    }
    assert {name: value for name, value in shards(tmp_path).items() if name in whole} == whole
    assert adapter(tmp_path, 0.0007) == adapter(quick, 0.0007)


def adapter(runs: Path, lr_peak: float) -> str:
    """Hash of the bytes of the adapter that was tuned with this learning rate."""
    for folder in (runs / "steps").glob("tuned@*"):
        if manifest_of(folder)["settings"]["train"]["lr_peak"] == lr_peak:
            return file_hash(folder / "adapter" / "adapter_model.safetensors")
    raise AssertionError("no adapter")


def test_tune_goes_from_an_own_file_to_a_report(student, tmp_path):
    own = (
        f"data={ROOT / 'examples' / 'amthal.csv'}",
        f"template={ROOT / 'examples' / 'amthal.yaml'}",
        "split.test=0.2",
    )
    page, _ = make("tune", tmp_path, *own, f"student.model={student}", *SHORT, "decoding.max_new_tokens=4")
    check_report(page, "شرح الأمثال", "CC0-1.0")
    assert steps_of(tmp_path)["asked"]["counts"]["kept"] == 36


def test_tune_without_data_or_template_says_what_to_give():
    with pytest.raises(MashqError, match=r"expected your own data and template, got no --data FILE"):
        make("tune", Path("unused"))


@pytest.fixture
def released(tmp_path) -> Path:
    """Files in the shape of AraStories, with stories of our own that say little."""
    for variety in ("msa", "egyptian", "moroccan"):
        with (tmp_path / f"arastories_{variety}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["Unnamed: 0", "Prompt", "Story"])
            for i, slots in enumerate(stories.draw(14, variety, seed=1)):
                writer.writerow([i, stories.prompt(slots), f"في {i} يومًا مشى الولد إلى البحر.\nثم عاد."])
    return tmp_path


def test_stories_with_a_shuffled_arm_beside_a_server_and_a_folder(student, released, tmp_path):
    sets = (f"data={released}", f"student.model={student}", *SHORT, "split.test=4", "split.validation=2")
    with answering() as server:
        others = f"proof.others={{Server: {server.url}#big, Folder: {student}, Away: nobody/no-model}}"
        page, _ = make("stories", tmp_path / "runs", *sets, "decoding.max_new_tokens=8", "rows=4", others)
        asked = [body["messages"][-1]["content"] for body in server.asked]
    check_report(page, "egyptian", "moroccan", "Server", "Folder")
    made = steps_of(tmp_path / "runs")
    gain = json.loads(next((tmp_path / "runs").glob("steps/gain@*/scores.json")).read_text("utf-8"))
    assert len(asked) == len(set(asked)) == gain["items"]
    assert [one["label"] for one in gain["absent"]] == ["Away"]
    likely = {one["system"] for one in gain["scores"] if one["metric"] == "bits_per_byte" and one["value"]}
    assert likely == {"untuned", "tuned-replies", "shuffled-replies", "other-folder"}
    assert {"untuned", "tuned-replies", "shuffled-replies", "gain"} <= set(made)
    folder = tmp_path / "runs" / "steps" / f"shuffled@{made['shuffled']['fingerprint']}"
    rows = [row for table in read_rows(folder) for row in table.to_pylist()]
    source = tmp_path / "runs" / "steps" / f"learnt@{made['learnt']['fingerprint']}"
    own = {row["references"][0]: row["messages"] for table in read_rows(source) for row in table.to_pylist()}
    assert all(row["messages"] != own[row["references"][0]] for row in rows)
    scores = json.loads(next((tmp_path / "runs").glob("steps/gain@*/scores.json")).read_text("utf-8"))
    assert {one["slice"]["value"] for one in scores["comparisons"] if one["slice"]["by"] == "variety"} == {
        *stories.RELEASED
    }


def test_stories_with_a_first_stage_of_translated_stories(student, released, tmp_path):
    told = [
        {
            "story": f"Once there was a boat number {i}. It was red. It sailed to the island and came home.",
            "instruction": {"prompt:": f"Write a short story with {i} words.\n\nPossible story:", "words": ["red"]},
        }
        for i in range(8)
    ]
    english = tmp_path / "english.json"
    english.write_text(json.dumps([*told, {"summary": "nothing is told here"}]), "utf-8")
    dry = ("translation.engine=transliterate", "translation.scorer=", "first.steps=2", "first.precision=fp32")
    sets = (f"data={released}", f"student.model={student}", *SHORT, "split.test=4", "split.validation=2", *dry)
    small = ("decoding.max_new_tokens=8", "rows=4", "shuffled_arm=false", "first.max_tokens=500")
    page, _ = make("stories", tmp_path / "runs", *sets, *small, f"english={english}")
    check_report(page, "translated")
    made = steps_of(tmp_path / "runs")
    assert made["english"]["reasons"] == {"story": 1}
    assert made["translated"]["counts"]["kept"] == 8
    assert made["tuned"]["inputs"]["after"] == made["first"]["fingerprint"]
    folder = tmp_path / "runs" / "steps" / f"translated@{made['translated']['fingerprint']}"
    row = next(read_rows(folder)).to_pylist()[0]
    assert row["variety"] == "msa" and "boat" not in row["references"][0]
    assert "Possible story" not in row["messages"][0]["content"]


ENGLISH = """
dataset:
  name: visits
  licence: CC0-1.0
  language: en
  fields:
    text: string
    label: string
templates:
  pleased:
    task: sentiment-analysis
    prompt: |-
      Was this visitor pleased?

      {{ text }}

      - positive
      - negative
    target: "{{ label }}"
    choices: [positive, negative]
    metrics: [exact]
"""


def test_translate_prompts_from_rows_and_english_templates_to_a_gain(student, tmp_path):
    rows = [
        {"text": f"I came on day {i}. The garden {'was lovely' if i % 2 else 'was closed'}!", "label": label}
        for i in range(30)
        for label in [("negative", "positive")[i % 2]]
    ]
    (tmp_path / "visits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "visits.yaml").write_text(ENGLISH, "utf-8")
    dry = ("translation.engine=transliterate", "translation.scorer=", f"student.model={student}")
    short = tuple(one.replace("train.", "training.") for one in SHORT)
    sets = (f"data={tmp_path}/visits.jsonl", f"template={tmp_path}/visits.yaml", "decoding.max_new_tokens=8")
    page, _ = make("translate_prompts", tmp_path / "runs", *sets, *dry, *short, "train=true", "split.test=5", "most=24")
    check_report(page, "translate_prompts", "arabic")
    made = steps_of(tmp_path / "runs")
    assert made["english-prompts"]["counts"]["kept"] == 30
    assert made["arabic"]["counts"]["in"] == made["arabic"]["counts"]["kept"] == 24
    folder = tmp_path / "runs" / "steps" / f"arabic@{made['arabic']['fingerprint']}"
    found = [row for table in read_rows(folder) for row in table.to_pylist()]
    assert {row["references"][0] for row in found} == {"إيجابي", "سلبي"}
    assert all(row["references"][0] in row["choices"] for row in found)
    assert all(row["references"][0] in row["messages"][0]["content"] for row in found)


def test_translate_prompts_without_data_or_engine_says_what_to_give(tmp_path):
    with pytest.raises(MashqError, match=r"translate_prompts: expected English data, got no --data FILE"):
        make("translate_prompts", tmp_path)
    (tmp_path / "a.jsonl").write_text('{"messages": [{"role": "user", "content": "Hello there."}]}\n', "utf-8")
    with pytest.raises(MashqError, match=r"translation: no engine is named"):
        make("translate_prompts", tmp_path, f"data={tmp_path}/a.jsonl", "translation.engine=")


def test_stories_without_data_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("MASHQ_DATA", raising=False)
    with pytest.raises(
        MashqError, match=r"expected arastories_msa.csv \(from UBC-NLP/arastories\): no folder is named"
    ):
        make("stories", tmp_path)


def test_prompts_of_every_real_data_set(data, tmp_path):
    page, _ = make("prompts", tmp_path, f"data={data}")
    made = steps_of(tmp_path)
    assert {name: made[name]["counts"]["kept"] for name in made if name.startswith("raw-")} == {
        "raw-arcd": 690,
        "raw-xquad_ar": 1190,
        "raw-arsarcasm_v2": 12_548,
        "raw-ajgt": 1800,
        "raw-exams_ar": 281,
    }
    assert all(made[name]["counts"]["kept"] > 500 for name in made if name.startswith("prompts-"))
    assert made["unique"]["counts"]["in"] == sum(
        made[name]["counts"]["kept"] for name in made if name.startswith("prompts-")
    )
    assert made["learnt"]["tally"]["split"] == {"train": made["learnt"]["counts"]["kept"]}
    assert "xquad_ar" not in made["learnt"]["tally"]["source"]
    assert made["asked"]["tally"]["source"].keys() == {"arcd", "xquad_ar", "arsarcasm_v2", "ajgt", "exams_ar"}
    assert "gain" not in made
    check_report(page, "arcd", "CC-BY-SA-4.0")


def test_prompts_of_the_librarys_own_rows(tmp_path):
    page, _ = make(
        "prompts",
        tmp_path,
        "data=samples",
        "datasets=[arcd, ajgt, flores200_ar]",
        "leave=[ajgt/yes_no]",
        "split.validation=0.3",
    )
    made = steps_of(tmp_path)
    assert set(made["prompts-samples"]["tally"]["source"]) == {"arcd", "ajgt", "flores200_ar"}
    rows = [
        row
        for folder in tmp_path.glob("steps/prompts-samples@*")
        for table in read_rows(folder)
        for row in table.to_pylist()
    ]
    assert {row["template"] for row in rows if row["source"] == "ajgt"} == {
        "ajgt/sentiment",
        "ajgt/sentiment_levantine",
        "ajgt/sentiment_after_examples",
    }
    assert made["learnt"]["counts"]["in"] == made["unique"]["counts"]["kept"]
    check_report(page, "arcd")


def test_prompts_of_parquet_go_by_columns_and_show_examples(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    tweets = {
        "Feed": [f"تغريدة رقم {i} عن {'الفرح' if i % 2 else 'الحزن'}" for i in range(400)],
        "Sentiment": [("Negative", "Positive")[i % 2] for i in range(400)],
    }
    pq.write_table(pa.table(tweets), folder / "ajgt.parquet")
    cities = ["BEI", "CAI", "DOH", "RAB", "TUN"]
    lines = [
        {"sentID.BTEC": i, "splits": "train", "dialect": cities[i % 5], "raw": f"جملة {i}", "CODA": f"الجملة {i}"}
        for i in range(100)
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (folder / "madar_coda.jsonl").write_text(text, "utf-8")
    make("prompts", tmp_path, f"data={folder}", "mixture.cap=0")
    made = steps_of(tmp_path)
    assert made["prompts-columns"]["tally"]["source"] == {"ajgt": 1600}
    assert set(made["prompts-madar_coda"]["tally"]["source"]) == {"madar_coda"}
    assert made["learnt-shots"]["counts"]["kept"] == made["learnt"]["counts"]["kept"]
    shown = {
        row["template"]: len(row["messages"])
        for folder in tmp_path.glob("steps/asked-shots@*")
        for table in read_rows(folder)
        for row in table.to_pylist()
    }
    assert shown["ajgt/sentiment"] == 1
    assert shown["ajgt/sentiment_after_examples"] == 9
    assert shown["madar_coda/correct_after_examples"] == 9


def test_prompts_without_a_data_set_says_what_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("MASHQ_DATA", raising=False)
    with pytest.raises(MashqError, match="expected data sets of the library, got none in no folder"):
        make("prompts", tmp_path)
    with pytest.raises(MashqError, match=r"expected hard.parquet .* \(from https://.*\) in"):
        make("prompts", tmp_path, f"data={tmp_path}", "datasets=[hard]")
    for name in ("hard.csv", "hard.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(MashqError, match=r"expected one file or folder of 'hard', got hard.csv, hard.parquet"):
        make("prompts", tmp_path, f"data={tmp_path}")


def test_prompts_trained_on_two_totals(data, student, tmp_path):
    short = [one.replace("train.", "training.") for one in SHORT]
    sets = ("datasets=[ajgt, exams_ar]", "train=true", "mixture.mode=temperature", "totals=[24, 48]", "asked_a_task=3")
    page, _ = make("prompts", tmp_path, f"data={data}", f"student.model={student}", *short, *sets)
    made = steps_of(tmp_path)
    assert {"tuned-24", "tuned-48", "before", "after-24", "after-48", "gain", "more", "frequent", "beyond"} <= set(made)
    assert [made[f"learnt-{total}"]["counts"]["kept"] for total in (24, 48)] == [24, 48]
    ids = [
        {row["id"] for table in read_rows(folder, ["id"]) for row in table.to_pylist()}
        for total in (24, 48)
        for folder in tmp_path.glob(f"steps/learnt-{total}@*")
    ]
    assert ids[0] < ids[1]
    scores = json.loads(next(tmp_path.glob("steps/gain@*/scores.json")).read_text("utf-8"))["scores"]
    rouge = [one["slice"] for one in scores if one["metric"] == "rougeL" and one["system"] == "after-48"]
    assert {"by": "all", "value": ""} in rouge  # each item with one weight
    assert {"by": "macro", "value": "task"} in rouge  # each task with one weight
    assert {one["value"] for one in rouge if one["by"] == "source"} == {"ajgt", "exams_ar"}
    check_report(page, "tuned on 48 prompts")


def test_prompts_held_out_names_are_checked(data):
    with pytest.raises(
        MashqError, match=r"split holds out 'arcd/answr', which is not used. Did you mean 'arcd/answer'"
    ):
        make("prompts", Path("unused"), f"data={data}", "split.templates=[arcd/answr]")


@pytest.mark.parametrize("name", recipes.names())
def test_each_size_resolves_to_steps(name, data, monkeypatch, student):
    monkeypatch.setenv("MASHQ_DATA", str(data))
    recipe = recipes.load(name)
    for size, settings in recipe.sizes.items():
        if name in ("tune", "translate_prompts"):  # these need data of one's own, and models
            continue
        steps = recipe.steps(settings)
        assert len({step.folder_name for step in steps}) == len(steps), size
        Store(Path("unused"), Engine("local", 1)).folder(steps[-1])
