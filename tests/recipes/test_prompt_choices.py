"""The prompts recipe with `choices`: untuned and tuned by likelihood, beside the majority class, in the report."""

import json

import tiny_models

from mashq.make import Wish, make_recipe
from mashq.recipes import prompts
from mashq.run import manifest_of


def test_without_choices_no_step_of_theirs(data):
    names = {step.name for step in prompts.steps(prompts.Settings(data=str(data), datasets=("exams_ar",), train=True))}
    assert not {"offered", "multiple", "choices"} & names


def test_answers_by_likelihood_before_and_after_in_the_report(data, tmp_path):
    student = tiny_models.folder(tmp_path / "student")
    sets = ["datasets=[exams_ar]", "choices=4", "asked_a_task=1", "checked_a_task=1", "mixture.total=8", "train=true"]
    sets += ["training.steps=2", "training.max_tokens=500", "training.precision=fp32", "student.dtype=float32"]
    sets += [f"data={data}", f"student.model={student}", "decoding.max_new_tokens=4", "metrics=[exact]"]
    page = make_recipe(Wish("prompts", tmp_path / "runs", assignments=tuple(sets), workers=1), lambda line: None)
    made = {one["step"]: one for one in map(manifest_of, (tmp_path / "runs" / "steps").glob("*@*")) if one}
    asked = made["multiple"]["counts"]["kept"]
    assert asked >= 4 == made["multiple"]["settings"]["cap"]
    for name in ("choices-before", "choices-after", "choices-frequent"):
        assert made[name]["counts"]["kept"] + made[name]["counts"]["dropped"] == asked
    assert made["choices-after"]["inputs"]["trained"] == made["tuned"]["fingerprint"]
    for name, baseline, others in (("choices", "frequent", {"before", "after"}), ("choices-gain", "before", {"after"})):
        (file,) = (tmp_path / "runs" / "steps").glob(f"{name}@*/scores.json")
        scores = json.loads(file.read_text("utf-8"))
        assert scores["baseline"] == baseline and list(scores["metrics"]) == ["choice_accuracy"]
        assert {one["a"] for one in scores["comparisons"]} == others
        assert all("|values:01|" in one["signature"] for one in scores["scores"])
    assert page is not None and "choice_accuracy" in page.with_name("report.json").read_text("utf-8")
