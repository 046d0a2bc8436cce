"""The identity of a run's models: what was noted is shown, what was not is said, a hostile template does nothing."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from browser import BROWSER, FLAGS

from mashq import steps
from mashq.lm import Decoding
from mashq.model_identity import NOTE, tokenizer_hash
from mashq.record import read_run
from mashq.report import write
from mashq.report.identity import read
from mashq.report.identity_view import visible
from mashq.report.words import LANGUAGES
from mashq.rows import MashqError, file_hash
from mashq.run import Made, Step, Store
from mashq.shards import write_json
from mashq.train.settings import TrainSettings

pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")
ATTACK = '</div></pre><script>document.title="run"</script><img src=x onerror="alert(1)">'
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
DECODING = Decoding(max_new_tokens=4)
SETTINGS = {"writer": {"budget": {"price_in": 0.5, "price_out": 2.0}}, "proof": {"budget": {"price_in": 3.0}}}


def rows(job):
    yield tiny_models.rows(6)


def record_of(root: Path, made: list[Made], settings: dict) -> Path:
    """The record of a run of these steps."""
    names = [(one.step.name, f"steps/{one.folder.name}", one.step.fingerprint) for one in made]
    entries = [{"name": name, "folder": folder, "fingerprint": fingerprint} for name, folder, fingerprint in names]
    path = root / "made" / "1.json"
    write_json(path, {"recipe": "made", "name": "1", "steps": entries, "settings": settings})
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A model whose tokenizer brings a template that would run, turn a line round and end what it stands in."""
    template = ATTACK + OVERRIDE + tiny_models.CHATML
    return tiny_models.folder(tmp_path_factory.mktemp("hostile"), template=template)


@pytest.fixture(scope="module")
def record(tmp_path_factory, hostile) -> Path:
    """A training and one after it, replies of the base, of the last, of a toy, of a script and of a server's like."""
    root = tmp_path_factory.mktemp("identity") / "runs"
    script = root.parent / "said.jsonl"
    script.write_text('"نعم"\n' * 6, "utf-8")
    learnt = Step("learnt", rows, kind="stream")
    student, toy = (steps.StudentSettings(model=name, dtype="float32") for name in (str(hostile), "toy-llama3"))
    quick = replace(tiny_models.quick(hostile, steps=2), model=TrainSettings.model)
    first = steps.train("first", {"learnt": learnt}, student, quick)
    second = steps.train("second", {"learnt": learnt}, student, quick, after=first)
    replies = [
        steps.replies("before", learnt, student, DECODING),
        steps.replies("after", learnt, student, DECODING, trained=second),
        steps.replies("other", learnt, toy, DECODING),
        steps.replies("said", learnt, steps.StudentSettings(model=f"scripted:{script}"), DECODING),
    ]
    store = Store(root)
    return record_of(root, [store.make(step) for step in (learnt, first, second, *replies)], SETTINGS)


@pytest.fixture(scope="module")
def told(record) -> dict:
    return read(read_run(record), [])


@pytest.fixture(scope="module")
def written(record, tmp_path_factory) -> dict[str, Path]:
    return {lang: write([record], tmp_path_factory.mktemp(lang), lang=lang).parent for lang in LANGUAGES}


def by_step(told: dict) -> dict[str, dict]:
    return {one["step"]: one for one in told["models"]}


def test_every_training_and_every_asked_model_names_tokenizer_frame_stage_and_data(told, hostile):
    models = by_step(told)
    assert list(models) == ["first", "second", "before", "after", "other", "said"]
    own = tokenizer_hash(tiny_models.tokenizer())
    assert [models[name]["tokenizer"] for name in ("first", "second", "before", "after")] == [own] * 4
    assert [models[name]["frame"] for name in models] == ["template"] * 4 + ["llama3", None]
    assert models["first"]["stage"] is None
    assert models["second"]["stage"]["step"] == "first" and models["after"]["stage"]["step"] == "second"
    assert models["after"]["adapter"] == models["second"]["adapter"] != models["first"]["adapter"]
    assert models["before"]["adapter"] == {}
    of_base = {models[name]["weights"] for name in ("first", "second", "before", "after")}
    assert len(of_base) == 1 and None not in of_base
    assert {one["data"][0]["step"] for one in models.values()} == {"learnt"}
    assert all("tokenizers" in models[name]["packages"] for name in ("first", "second"))
    computed = ("first", "second", "before", "after", "other")
    assert all("device" in [fact["name"] for fact in models[name]["machine"]] for name in computed)
    assert len({one["data"][0]["hash"] for one in models.values()}) == 1


def test_two_systems_with_different_tokenizers_have_different_hashes(told):
    models = by_step(told)
    assert models["before"]["tokenizer"] != models["other"]["tokenizer"]
    assert models["other"]["frame"] == "llama3"


def test_a_frame_that_steps_share_stands_once(told):
    assert [frame["steps"] for frame in told["frames"]] == [["first", "second", "before", "after"], ["other"]]
    assert [one["seen"] for one in told["models"]] == [0, 0, 0, 0, 1, None]


def test_notes_change_neither_fingerprints_nor_hashes(record):
    """The numbers stand here as they were before anything was noted."""
    made = {step.name: step for step in read_run(record).steps}
    student = steps.StudentSettings(model="toy-llama3", dtype="float32")
    learnt = Step("learnt", rows, kind="stream")
    assert steps.replies("other", learnt, student, DECODING).fingerprint == "d1f6e05aa0e94bc2"
    assert made["other"].fingerprint == "d1f6e05aa0e94bc2"
    assert (made["other"].folder / NOTE).is_file()
    assert NOTE not in json.dumps(made["other"].manifest)


def test_tokens_are_summed_over_kept_and_dropped_replies(told):
    asked = {line["step"]: line for line in told["asked"]}
    assert set(asked) == {"before", "after", "other", "said"}
    assert asked["before"]["new_tokens"] > 0 and asked["before"]["prompt_tokens"] > 6 * 10
    assert all(line["money"] is None and not line["far"] for line in asked.values())


def test_money_is_tokens_times_the_prices_of_those_who_were_asked(record, tmp_path):
    """The same replies under an address: a systems' price is no writer's price."""
    run = json.loads(record.read_text("utf-8"))
    step = next(one for one in run["steps"] if one["name"] == "before")
    folder, moved = record.parent.parent / step["folder"], tmp_path / "runs" / step["folder"]
    moved.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file():
            (moved / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["settings"]["student"]["model"] = "https://far.example/v1#big"
    write_json(moved / "manifest.json", manifest)
    write_json(moved / NOTE, {"door": "http"})
    path = tmp_path / "runs" / "made" / "1.json"
    write_json(path, {**run, "steps": [step]})
    (line,) = read(read_run(path), [])["asked"]
    assert line["far"] and line["money"] == pytest.approx(line["prompt_tokens"] * 3.0 / 1e6)
    page = write([path], tmp_path / "out", lang="en").read_text("utf-8")
    assert "the server&#39;s own, not known" in page
    write_json(path, {**run, "steps": [step], "settings": {}})
    (line,) = read(read_run(path), [])["asked"]
    assert line["money"] is None
    assert "no price named" in write([path], tmp_path / "out", lang="en").read_text("utf-8")


def test_steps_made_before_it_was_noted_say_so_and_nothing_is_guessed(record, tmp_path):
    root = tmp_path / "runs"
    for path in sorted(record.parent.parent.rglob("*")):
        if path.is_file() and path.name != NOTE:
            copy = root / path.relative_to(record.parent.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for path in root.rglob("card.json"):
        card = json.loads(path.read_text("utf-8"))
        del card["through"], card["base"]["hash"]
        write_json(path, card)
    old = root / "made" / "1.json"
    models = by_step(read(read_run(old), []))
    assert [one["frame"] for one in models.values()] == ["template", "template", None, "template", None, None]
    assert {one["tokenizer"] for one in models.values()} == {one["seen"] for one in models.values()} == {None}
    for lang, words in (("ar", "غير مسجَّل"), ("en", "not recorded")):
        page = write([old], tmp_path / lang, lang=lang)
        assert words in page.read_text("utf-8") and words in page.with_name("report.md").read_text("utf-8")


def test_a_tokenizer_that_lies_in_a_trained_models_folder_is_hashed_where_no_card_says_it(tmp_path):
    folder = tiny_models.folder(tmp_path / "student")
    learnt = Step("learnt", rows, kind="stream")
    student = steps.StudentSettings(model=str(folder), dtype="float32")
    whole = steps.train(
        "whole",
        {"learnt": learnt},
        student,
        replace(tiny_models.quick(folder, steps=1, method="full"), model=TrainSettings.model),
    )
    store = Store(tmp_path / "runs")
    made = [store.make(learnt), store.make(whole)]
    card = json.loads((made[1].folder / "card.json").read_text("utf-8"))
    known = card.pop("through")["tokenizer"]
    write_json(made[1].folder / "card.json", card)
    (model,) = read(read_run(record_of(tmp_path / "runs", made, {})), [])["models"]
    assert model["tokenizer"] == known == tokenizer_hash(tiny_models.tokenizer())


def test_a_broken_note_is_named(record, tmp_path):
    run = json.loads(record.read_text("utf-8"))
    step = next(one for one in run["steps"] if one["name"] == "said")
    folder = tmp_path / "runs" / step["folder"]
    folder.mkdir(parents=True)
    manifest = record.parent.parent / step["folder"] / "manifest.json"
    (folder / "manifest.json").write_bytes(manifest.read_bytes())
    (folder / NOTE).write_text("[", "utf-8")
    write_json(tmp_path / "runs" / "made" / "1.json", {**run, "steps": [step]})
    with pytest.raises(MashqError, match=r"asked\.json: expected JSON, got"):
        read(read_run(tmp_path / "runs" / "made" / "1.json"), [])


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_hostile_template_is_text_on_the_page_and_in_markdown(written, lang):
    page = (written[lang] / "report.html").read_text("utf-8")
    text = (written[lang] / "report.md").read_text("utf-8")
    for one in (page, text):
        assert "<script" not in one and "<img" not in one and OVERRIDE not in one
        assert "&lt;script&gt;document.title=" in one and "⟨U+202E⟩" in one
    assert text.count("<pre ") == text.count("</pre>") == 3  # two frames and the source of one
    assert page.count('class="seen"') == 3


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_markdown_and_json_name_the_hashes(written, told, lang):
    for model in told["models"]:
        for name in ("report.html", "report.md", "report.json"):
            text = (written[lang] / name).read_text("utf-8")
            known = [model[key] for key in ("tokenizer", "weights") if model[key]]
            assert all(one in text for one in [*known, *model["adapter"].values(), model["data"][0]["hash"]]), name


def test_special_tokens_stand_in_boxes_and_ends_of_lines_are_seen(written):
    page = (written["en"] / "report.html").read_text("utf-8")
    seen = re.findall(r'<div class="seen" dir="ltr">(.*?)</div>', page, re.DOTALL)[1]
    assert seen.startswith('<code class="token">&lt;|begin_of_text|&gt;</code><code class="token">&lt;|start_header_id')
    assert '<bdi>user</bdi><code class="token">&lt;|end_header_id|&gt;</code><span class="quiet">↵</span>\n' in seen
    assert "<bdi>ما عاصمة مصر؟</bdi>" in seen


def test_json_holds_the_text_to_the_letter(written):
    told = json.loads((written["ar"] / "report.json").read_text("utf-8"))["runs"][0]["identity"]
    text = "".join(piece["text"] for piece in told["frames"][0]["pieces"])
    assert text.startswith(ATTACK + OVERRIDE + "<|im_start|>user\n")


def test_the_same_run_gives_the_same_bytes(record, written, tmp_path):
    again = write([record], tmp_path).parent
    for name in ("report.html", "report.md", "report.json"):
        assert file_hash(again / name) == file_hash(written["ar"] / name)


def test_what_cannot_be_seen_is_made_seen():
    assert visible("a b  c \n d") == "a b␣␣c␣\n␣d"
    assert visible("أ\N{ZERO WIDTH NON-JOINER}ب\t\x07") == "أ⟨U+200C⟩ب\t⟨U+0007⟩"
    assert visible("كَتَبَ") == "كَتَبَ"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_script_of_a_template_runs_in_a_browser(written, lang):
    page = written[lang] / "report.html"
    command = [str(BROWSER), *FLAGS, "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    title = re.search(r"<title>(.*?)</title>", shown)
    assert title is not None and title.group(1) != "run" and "made/1" in title.group(1)
