"""The size `paper` of each recipe, offline: it is planned and its steps are named; what is missing is said."""

import re
from pathlib import Path

import pytest

from mashq import recipes
from mashq.make import Wish, make_recipe
from mashq.plan import Prices, planned, trainings, writing_steps
from mashq.proof import ProofSettings
from mashq.rows import MashqError
from mashq.run import Store
from mashq.settings import builtins, override

PROVEN = ("stories", "stages", "medical", "prompts", "dialogue", "tune", "translate_prompts", "quickstart")
# recipe -> models that its trainings name; their configuration is not here, so that no memory is known
STUDENTS = {
    "stories": {"UBC-NLP/AraLLaMA-2-base"},
    "stages": {"UBC-NLP/AraLLaMA-2-base"},
    "medical": {
        "mistralai/Mistral-7B-Instruct-v0.2",
        "meta-llama/Llama-2-7b-hf",
        "aubmindlab/aragpt2-base",
        "bigscience/bloom-560m",
        "openai-community/gpt2-medium",
    },
    "prompts": {"Qwen/Qwen2-7B"},
    "dialogue": {"riotu-lab/ArabianGPT-08B-V2"},
}


@pytest.mark.parametrize("name", STUDENTS)
def test_paper_size_is_planned_and_resolved_without_network(name, data, monkeypatch, tmp_path):
    monkeypatch.setenv("MASHQ_DATA", str(data))
    recipe = recipes.load(name)
    steps = recipe.steps(recipe.settings("paper"))
    lines = list(trainings(Store(tmp_path), steps))
    unknown = [line for line in lines if "memory not known" in line]
    told = {model for line in unknown for model in re.findall(r"model '([^']+)'", line)}
    assert told <= STUDENTS[name]
    assert {line.split(":")[0] for line in lines if not line.startswith(" ")} == {
        step.name for step in steps if step.produces == "model"
    }
    assert not any(str(Path.home()) in line for line in lines)
    said: list[str] = []
    assert make_recipe(Wish(name, tmp_path, size="paper", workers=1), said.append, dry_run=True) is None
    assert {line.split("@")[0] for line in said} >= {step.name for step in steps}
    assert not (tmp_path / "steps").exists()


def test_the_papers_dialogues_are_counted_before_any_is_asked_for(tmp_path):
    recipe = recipes.load("dialogue")
    few = override(recipe.settings("paper"), ("grid.n=60",))
    (step,) = writing_steps(recipe.steps(few))
    plan = planned(Store(tmp_path), step, Prices(price_in=1.0, price_out=2.0))
    assert (plan.wanted, plan.model) == (60, "http://localhost:8000/v1#jais-13b-chat")
    least, expected, most = plan.cases
    assert least.requests == 60 < expected.requests < most.requests
    assert all(one.money > 0 for one in plan.cases)


def test_a_first_stage_says_which_translator_and_scorer_have_to_be_named(data, monkeypatch, tmp_path):
    monkeypatch.setenv("MASHQ_DATA", str(data))
    english = tmp_path / "english.json"
    english.write_text('[{"story": "Tom had a red boat. He was happy."}]\n', "utf-8")
    given = (f"english={english}",)
    for more, said in (
        ((), r"no engine is named"),
        (("translation.engine=transliterate",), r"threshold 0.92 belongs to a scorer, and none is named"),
    ):
        wish = Wish("stories", tmp_path, size="paper", assignments=(*given, *more))
        with pytest.raises(MashqError, match=said):
            make_recipe(wish, lambda line: None, dry_run=True)


@pytest.mark.parametrize("name", PROVEN)
def test_every_recipe_that_evaluates_takes_a_proof_and_asks_for_none_by_itself(name):
    for settings in recipes.load(name).sizes.values():
        assert isinstance(settings.proof, ProofSettings)
        told = builtins(settings.proof)
        assert (told["others"], told["judge"]["model"], told["card"], told["ratings"]) == ({}, "", 0, "")


def test_the_rubric_is_that_of_the_task():
    rubrics = {name: next(iter(recipes.load(name).sizes.values())).proof.judge.rubric for name in PROVEN}
    assert {name: rubrics[name] for name in ("stories", "stages", "medical", "dialogue")} == {
        "stories": "stories",
        "stages": "stories",
        "medical": "medical",
        "dialogue": "dialogue",
    }
    assert {rubrics[name] for name in ("prompts", "tune", "translate_prompts", "quickstart")} == {"prompts"}


def test_the_papers_five_systems_are_a_setting(data, monkeypatch):
    monkeypatch.setenv("MASHQ_DATA", str(data))
    recipe = recipes.load("stories")
    others = "{One: http://localhost:8000/v1#one, Two: /no/such/folder, Three: echo}"
    settings = override(recipe.settings("paper"), (f"proof.others={others}", "split.test=20", "shuffled_arm=false"))
    steps = {step.name: step for step in recipe.steps(settings)}
    gain = steps["gain"]
    assert gain.settings["systems"] == ["untuned", "tuned-replies", "other-one", "other-three"]
    assert [one["label"] for one in gain.settings["absent"]] == ["Two"]
    asked = {steps[name].inputs["rows"].fingerprint for name in gain.settings["systems"]}
    assert asked == {steps["asked"].fingerprint}
