"""What proves a gain: further systems behind a door, a judge, what cannot be had; on a run of steps without weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import Act, completion, serving
from test_contamination_step import TEXTS, prompts, raw, trained

from mashq import proof, steps
from mashq.judge import JudgeSettings
from mashq.lm import Decoding
from mashq.proof import ProofSettings, proven
from mashq.rows import MashqError, children
from mashq.run import Step, Store, read_rows
from mashq.steps import StudentSettings

DECODING = Decoding(max_new_tokens=40)
METRICS = ("rougeL", "bits_per_byte")
LABELS = {"before": "untuned", "after": "tuned"}
CRITERIA = ("following_instructions", "correctness", "fluency")


def answering(delay_s=0.0):
    """A server with two models: `big` answers what it is asked, `judge` by the schema, with a 4 for all."""

    def plan(number, body):
        if body["model"] == "big":
            return Act(delay_s=delay_s)
        schema = body["response_format"]["json_schema"]["schema"]
        return Act(body=completion(json.dumps(dict.fromkeys(schema["required"], 4))))

    return serving(plan, models=("big", "judge"))


def replied(rows, job):
    """One reply to every prompt, and a likelihood of the reference."""
    turns = [[*one, {"role": "assistant", "content": job.settings}] for one in rows["messages"].to_pylist()]
    sizes = [len(one[0].encode()) for one in rows["references"].to_pylist()]
    told = [{"finish": "stop", "nats": 50.0, "target_tokens": 40, "target_bytes": size} for size in sizes]
    return children(rows, job.name, messages=turns, meta=[json.dumps(one) for one in told])


def proven_run(settings, name="gain"):
    source = Step("raw", raw, kind="stream")
    asked = Step("asked", prompts, (0, 6, "test"), {"raw": source}, kind="stream")
    learnt = Step("learnt", prompts, (4, 10, "train"), {"raw": source}, kind="stream")
    model = Step("tuned", trained, None, {"learnt": learnt}, kind="folder", produces="model")
    systems = {
        "before": Step("before", replied, "لا أعرف", {"rows": asked}, here=True),
        "after": Step("after", replied, TEXTS[0], {"rows": asked, "trained": model}, here=True),
    }
    student = StudentSettings(model="gemma3-270m")
    return proven(name, systems, LABELS, METRICS, settings, asked=asked, student=student, decoding=DECODING)


def made(root, settings):
    store = Store(root)
    return {step.name: store.make(step).folder for step in proven_run(settings)}


def scores_of(folder):
    return json.loads((folder / "scores.json").read_text("utf-8"))


def test_with_nothing_asked_for_a_proof_is_the_evaluation_as_it_was():
    found = {step.name: step for step in proven_run(ProofSettings())}
    assert list(found) == ["gain", "contamination"]
    plain = steps.evaluation("gain", found["gain"].inputs, LABELS, METRICS)
    assert found["gain"].fingerprint == plain.fingerprint
    assert [step.name for step in proven_run(ProofSettings(), "students")] == ["students", "contamination-students"]


def test_a_further_system_is_asked_the_same_and_one_that_cannot_be_had_is_absent(tmp_path):
    with answering() as server:
        others = {"كبير": f"{server.url}#big", "Echo": "echo", "Gone": "/no/such/folder"}
        folders = made(tmp_path, ProofSettings(others=others))
        asked = [body["messages"][-1]["content"] for body in server.asked]
    scores = scores_of(folders["gain"])
    assert sorted(asked) == sorted(set(asked)) and len(asked) == scores["items"] == 6
    assert [one["label"] for one in scores["systems"]] == ["untuned", "tuned", "كبير", "Echo"]
    assert scores["absent"] == [{"label": "Gone", "model": "/no/such/folder", "why": "no model at hand"}]
    (replies,) = read_rows(folders["other-echo"])
    assert [row[-1]["content"] for row in replies["messages"].to_pylist()] == [
        row[0]["content"] for row in replies["messages"].to_pylist()
    ]


def test_a_system_without_likelihoods_has_none_and_takes_no_one_elses(tmp_path):
    scores = scores_of(made(tmp_path, ProofSettings(others={"Echo": "echo"}))["gain"])
    whole = [one for one in scores["scores"] if one["slice"]["by"] == "all"]
    has = {metric: {one["system"] for one in whole if one["metric"] == metric and one["value"]} for metric in METRICS}
    assert has["bits_per_byte"] == {"before", "after"}
    assert "other-echo" in {one["system"] for one in whole if one["metric"] == "rougeL"}
    against = {one["a"] for one in scores["comparisons"] if one["metric"] == "bits_per_byte"}
    assert against == {"after"}
    assert {"code": "no_likelihood", "n": 6} in scores["notes"]


def test_every_reply_is_judged_and_the_judges_scores_are_metrics_of_the_evaluation(tmp_path):
    with answering() as server:
        judge = JudgeSettings(model=f"{server.url}#judge", rubric="prompts")
        settings = ProofSettings(others={"Big": f"{server.url}#big"}, judge=judge)
        folders = made(tmp_path, settings)
        number = len(server.asked)
        made(tmp_path, settings)
        assert len(server.asked) == number == 6 + 3 * 6
    assert list(folders) == [
        *("other-big", "before-judged", "after-judged", "other-big-judged", "gain", "contamination")
    ]
    scores = scores_of(folders["gain"])
    assert [one for one in scores["metrics"] if one.startswith("judge_")] == [f"judge_{one}" for one in CRITERIA]
    values = {
        (one["system"], one["metric"]): one["value"]
        for one in scores["scores"]
        if one["slice"]["by"] == "all" and one["metric"].startswith("judge_")
    }
    assert values == {(system, f"judge_{one}"): 4.0 for system in ("before", "after", "other-big") for one in CRITERIA}
    told = {one["name"]: one["model"] for one in scores["systems"]}
    assert told["other-big"] == f"{server.url}#big"
    found = json.loads((folders["contamination"] / "contamination.json").read_text("utf-8"))
    assert (found["items"], found["contaminated"]["n"]) == (6, 2)  # through the judged rows, to what was asked


RUN = """
import sys
sys.path.insert(0, {here!r})
import test_proof
from pathlib import Path
test_proof.made(Path(sys.argv[1]), test_proof.ProofSettings(others={{"Big": sys.argv[2] + "#big"}}))
"""


def test_killed_while_a_further_system_is_asked_nothing_is_asked_twice(tmp_path):
    command = [sys.executable, "-c", RUN.format(here=str(Path(__file__).parent)), str(tmp_path)]
    with serving(lambda number, body: Act(delay_s=0.0 if number < 3 else 30.0), ("big",)) as server:
        process = subprocess.Popen([*command, server.url])
        end = time.monotonic() + 400
        while len(server.asked) < 4 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)  # the three replies reach the ledger
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        lines = [json.loads(line) for line in (tmp_path / "ledger" / "replies").read_text("utf-8").splitlines() if line]
        kept = len(lines)
        assert kept == 3
        first = len(server.asked)
        server.plan = lambda number, body: Act()
        folders = made(tmp_path, ProofSettings(others={"Big": f"{server.url}#big"}))
        assert len(server.asked) - first == 6 - kept
    assert scores_of(folders["gain"])["items"] == 6


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ProofSettings(card=4), r"proof.card: expected a judge that it is about, got none"),
        (ProofSettings(card=-1), r"proof.card: expected 0 or more"),
        (ProofSettings(others={"tuned": "echo"}), r"proof.others: expected names of their own, got 'tuned' again"),
        (ProofSettings(others={"x": ""}), r"proof.others: expected name: model"),
        (ProofSettings(others={"x": "http://me:secret@host/v1#m"}), r"an address holds no password"),
        (ProofSettings(judge=JudgeSettings(model="gemma3-270m"), others={"x": "gemma3-270m"}), r"of its own family"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_is_made(settings, said):
    with pytest.raises(MashqError, match=said):
        proven_run(settings)


def test_a_card_and_people_stand_behind_the_evaluation(tmp_path):
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("rater\n", "utf-8")
    judge = JudgeSettings(model="http://localhost:1/v1#judge", rubric="prompts")
    found = {step.name: step for step in proven_run(ProofSettings(judge=judge, card=4, ratings=str(ratings)))}
    assert list(found)[-3:] == ["contamination", "judge-card", "people"]
    assert (found["judge-card"].produces, found["people"].produces) == ("judge_card", "people")
    assert found["people"].inputs["evaluation"] is found["gain"]


def test_labels_that_look_alike_name_different_steps():
    labels = ("GPT-4", "gpt 4!", "جيس", "علام", "Command R", "Command R+")
    names = [proof._slug(one) for one in labels]
    assert names[0] == "gpt-4" and len(set(names)) == len(labels)
    assert all(name.isascii() and "/" not in name for name in names)


def test_a_model_is_told_through_what_was_made_of_its_replies(tmp_path):
    rows = Step("asked", prompts, (0, 6, "test"), {"raw": Step("raw", raw, kind="stream")}, kind="stream")
    (tmp_path / "config.json").write_text("{}", "utf-8")
    said = steps.replies("said", rows, StudentSettings(model=str(tmp_path)), DECODING)
    passed = Step("passed", replied, "", {"replies": said}, here=True)
    assert proof.model_of(passed) == str(tmp_path)
    assert proof.model_of(rows) == ""
