"""The dialogue score in a recipe: only where it was validated, carried by rows, in the evaluation beside the others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from word_encoder import TALKS, Words, many

from mashq import steps as shared
from mashq.dialogues import Grid
from mashq.engine import Engine
from mashq.metrics import dialogue_score
from mashq.metrics.dialogue_score import dialogue_items
from mashq.metrics.dialogue_validation import validate
from mashq.recipes import dialogue
from mashq.rows import MashqError, children, conform, source_ids
from mashq.run import Step, Store, read_rows
from mashq.steps import dialogue_scores
from mashq.steps.dialogue_scores import DialogueScoreSettings, metric_of, scored
from mashq.synthesis_step import WriterSettings

ECHO = WriterSettings(model="echo")
ASKED = DialogueScoreSettings(encoder="words")


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """An encoder whose vectors are words, validated on Modern Standard alone, as the package's own."""
    file = tmp_path / "validated.json"
    file.write_text(validate(many(40), ["msa"] * 40, encoder=Words()).to_json(), "utf-8")
    monkeypatch.setattr(dialogue_scores, "_encoder", lambda spec: Words())
    monkeypatch.setattr(dialogue_score, "VALIDATED", file)


def questions(job):
    messages = [[{"role": "user", "content": question}] for question, _ in TALKS]
    references = [[reply] for _, reply in TALKS]
    yield conform(
        {"id": source_ids("talk", "1", n=4), "messages": messages, "references": references, "variety": "msa"}
    )


def said(rows: pa.Table, job) -> pa.Table:
    """Replies of the right question, or of the next one; the last is lost."""
    listed = rows.select(["messages", "references"]).to_pylist()
    texts = [listed[(place + job.settings["shift"]) % 4]["references"][0] for place in range(4)]
    turns = [{"role": "assistant", "content": text} for text in texts]
    messages = [[*one["messages"], turn] for one, turn in zip(listed, turns, strict=True)]
    dropped = pa.array([None, None, None, "lost: no reply"], pa.string())
    return children(rows, job.name, messages=messages, meta=json.dumps({"finish": "stop"}), dropped=dropped)


QUESTIONS = Step("asked", questions, kind="stream")


def replies(name: str, shift: int) -> Step:
    return Step(name, said, {"shift": shift, "student": {"model": "m"}, "decoding": None}, {"rows": QUESTIONS})


def test_true_replies_gain_over_those_to_other_questions(tmp_path) -> None:
    store = Store(tmp_path / "runs", Engine("local", 1))
    systems = {
        name: scored(f"{name}-scored", replies(name, shift), ASKED) for name, shift in (("before", 1), ("after", 0))
    }
    gain = shared.evaluation(
        "gain", systems, {"before": "untuned", "after": "tuned"}, ("exact", metric_of(ASKED, ["msa"]))
    )
    scores = json.loads((store.make(gain).folder / "scores.json").read_text("utf-8"))
    (table,) = read_rows(store.make(systems["after"]).folder)
    carried = [json.loads(text)["dialogue_score"] for text in table["meta"].to_pylist()]
    by_hand = dialogue_items(table["messages"].to_pylist(), Words())
    assert [one["whole"] for one in carried] == [one.whole for one in by_hand]
    assert carried[0]["relevance"] == by_hand[0].relevance
    found = {one["system"]: one for one in scores["scores"] if one["metric"] == "dialogue_score"}
    assert found["after"]["value"] == pytest.approx(np.mean([one.whole for one in by_hand]))
    assert found["after"]["value"] > found["before"]["value"]
    assert found["after"]["n"] == 3 and "|encoder:words,test|" in found["after"]["signature"]
    assert scores["metrics"]["dialogue_score"] == {"unit": "0..1", "higher_is_better": True, "of": "reply"}
    assert [one["model"] for one in scores["systems"]] == ["m", "m"]


def test_a_variety_that_was_not_validated_is_refused_unless_told_to() -> None:
    assert "|validated:auc>0.6|" in metric_of(ASKED, ["msa"]).signature
    with pytest.raises(MashqError, match=r"dialogue_score: validation: none for variety 'gulf'\. .*unvalidated=true"):
        metric_of(ASKED, ["msa", "gulf"])
    told = DialogueScoreSettings(encoder="words", unvalidated=True)
    assert "|validated:no|" in metric_of(told, ["gulf"]).signature


def test_a_validation_of_another_encoder_does_not_count(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Others(Words):
        identity = "others|test"

    monkeypatch.setattr(dialogue_scores, "_encoder", lambda spec: Others())
    with pytest.raises(MashqError, match="dialogue_score: not validated"):
        metric_of(ASKED, ["msa"])
    named = DialogueScoreSettings(encoder="others", validation=str(dialogue_score.VALIDATED), unvalidated=True)
    with pytest.raises(MashqError, match=r"expected the validation of encoder 'others\|test' in version 1"):
        metric_of(named, ["msa"])


def test_the_recipe_refuses_before_anything_is_written() -> None:
    gulf = dialogue.Settings(train=True, writer=ECHO, grid=Grid(variety="gulf"), dialogue_score=ASKED)
    with pytest.raises(MashqError, match="none for variety 'gulf'"):
        dialogue.steps(gulf)


def test_the_recipe_scores_both_replies_and_still_looks_for_copies() -> None:
    made = {
        step.name: step for step in dialogue.steps(dialogue.Settings(train=True, writer=ECHO, dialogue_score=ASKED))
    }
    gain = made["gain"]
    assert gain.settings["metrics"][-1] == "dialogue_score"
    assert {name: one.name for name, one in gain.inputs.items()} == {
        "before": "before-scored",
        "after": "after-scored",
        "training": "learnt",  # novelty and the longest copied span are looked for in these
    }
    assert made["asked"] in made["contamination"].inputs.values()
    plain = {step.name: step for step in dialogue.steps(dialogue.Settings(train=True, writer=ECHO))}
    assert "before-scored" not in plain and "dialogue_score" not in plain["gain"].settings["metrics"]
    assert plain["gain"].inputs["training"].name == "learnt"
    assert {name: made[name].fingerprint for name in ("before", "tuned", "after")} == {
        name: plain[name].fingerprint for name in ("before", "tuned", "after")
    }


def test_a_student_does_not_learn_from_the_embedded_writer():
    with pytest.raises(MashqError, match=r"train=true.*llamacpp:gemma3-270m.*writer\.model=http"):
        dialogue.steps(replace(dialogue.EMBEDDED, train=True))
