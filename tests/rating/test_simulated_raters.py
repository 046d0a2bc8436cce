"""The benchmark's simulated raters: what they give follows from the reply and from their habits; nothing is lost."""

import json

import people_examples as example
import pytest
from bench import bench

from mashq.rating.answered import read_answers
from mashq.rating.exports import to_parquet
from mashq.rating.people import said_by_people
from mashq.rating.store import Store
from mashq.rating.study import Item

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
script = bench("simulated_raters")

GOOD = " ".join(f"كلمة{place}" for place in range(50))


def item(text, **more):
    return Item("i1", "absolute", "سؤال", (text,), ("tuned",), **more)


def test_what_can_be_counted_in_a_reply_is_what_is_given():
    assert script.measured(item(GOOD), "fluency") == 5.0
    assert script.measured(item(""), "fluency") == 1.0
    assert script.measured(item("مرحبا " * 40), "fluency") == pytest.approx(1 + 4 * 1.2 / 3)  # a loop has no length
    half = script.measured(item("كلمة word واحدة here"), "fluency")
    assert script.measured(item("four English words here"), "fluency") < half < 5.0


def test_habits_are_severity_noise_and_not_looking():
    first, second, last = (script.Habits(number, 3, seed=0) for number in range(3))
    assert [one.severity for one in (first, second, last)] == [-0.5, 0.0, 0.5]
    assert [round(one.noise, 1) for one in (first, second, last)] == [0.4, 0.6, 0.8]
    names = [f"c{place}" for place in range(200)]  # each is drawn in turn
    middling = item(" ".join(GOOD.split()[:20]))  # measures 4.33
    given = [rater.scores(middling, 1, names).values() for rater in (first, second, last)]
    means = [sum(scores) / len(names) for scores in given]
    assert means[1] - means[0] == pytest.approx(0.4, abs=0.15)  # the scale ends at 5
    assert means[0] < means[1] < 4.5
    assert last.scores(middling, 3, ["fluency", "variety"]) == {"fluency": 3, "variety": 3}
    assert first.scores(item(script.ATTENTION, role="attention"), 4, ["fluency"])["fluency"] <= 2
    assert last.scores(item(script.ATTENTION, role="attention"), 4, ["fluency"])["fluency"] == 3


def test_raters_over_the_pages_lose_nothing_though_the_server_is_killed(tmp_path):
    samples = example.samples(tmp_path / "evaluation")
    study = script.study(samples, "stories", 4, 0)
    assert study.simulated
    told = script.rated(tmp_path / "ratings.sqlite", study, 3, seed=0)
    assert told["answers"] == 3 * 9  # 4 items of two systems, one attention item
    assert told["known_at_kill"] >= told["answers"] / 2
    with Store.open(tmp_path / "ratings.sqlite") as store:
        answers = read_answers(to_parquet(store, tmp_path / "ratings.parquet"))
    assert set(answers["simulated"].to_pylist()) == {True}
    found = said_by_people(answers, samples, baseline="base")
    assert found["simulated"]
    assert [one["attention"]["failed"] for one in found["raters"]] == [0, 0, 1]
    assert json.loads(json.dumps(found)) == found
