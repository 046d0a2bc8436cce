"""Obedience by rule: what a story prompt asks for, read from prompt and reply."""

import json
import math

import pytest

from mashq import stories, story_checks
from mashq.evaluate import evaluate
from mashq.obedience import ASKED, LIMITS, METRICS, own_words
from mashq.rows import MashqError, conform, source_ids
from mashq.stories import Slots

SLOTS = Slots("msa", "5-8", "happy", "1", "MA", dialogue=True, season="winter")
OPENING = "في شتاء بارد في المغرب، خرج سليم وحده إلى السوق. "
FILLER = "كان الطريق طويلا والمطر يهطل على البيوت القديمة والناس يمشون مسرعين نحو دكاكينهم الصغيرة. " * 6
OBEYING = OPENING + FILLER + 'قال له البائع: "تعال واشرب كأسا من الشاي معي".'


def turns(reply, slots=SLOTS):
    return [{"role": "user", "content": stories.prompt(slots)}, {"role": "assistant", "content": reply}]


def value(name, reply, slots=SLOTS):
    return METRICS[name].of_turns(turns(reply, slots))


def test_names_are_those_of_the_checks():
    assert ASKED == story_checks.CHECKS
    assert list(METRICS) == ["obeys", *(f"obeys_{check}" for check in story_checks.CHECKS)]
    limits = story_checks.Limits()
    assert f"words:{limits.least_words}-{limits.most_words}" == LIMITS


def test_share_is_that_of_the_checks_on_the_same_story():
    assert value("obeys", OBEYING) == story_checks.obedience(OBEYING, SLOTS) == 1.0
    short = "كان الصيف حارا في مصر."
    failed = [name for name, reason in story_checks.check(short, SLOTS).items() if reason]
    assert {"length", "country", "season", "dialogue"} <= set(failed)
    assert value("obeys", short) == pytest.approx(1 - len(failed) / len(story_checks.check(short, SLOTS)))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("country", "المغرب", "بعيد"), ("season", "شتاء", "يوم"), ("dialogue", '"', ""), ("length", FILLER, "")],
)
def test_one_broken_rule_is_seen_by_its_own_metric_alone(name, before, after):
    story = OBEYING.replace(before, after)
    if name == "dialogue":
        story = story.replace("قال له البائع: ", "")
    for check in ("length", "country", "season", "dialogue"):
        assert value(f"obeys_{check}", story) == float(check != name)


def test_what_is_not_asked_for_has_no_score():
    assert math.isnan(value("obeys_emotion", OBEYING))
    assert math.isnan(METRICS["obeys"].of_turns([{"role": "user", "content": "ما عاصمة مصر؟"}, *turns("القاهرة")[1:]]))


def test_an_empty_reply_obeys_nothing():
    assert value("obeys", "") == value("obeys", " …") == value("obeys_characters", "") == 0.0


def test_replies_without_their_prompts_are_refused():
    with pytest.raises(MashqError, match="obeys: expected the prompt of every reply"):
        METRICS["obeys"].per_item(["رد"], [["مرجع"]])


def test_an_evaluation_takes_them_by_name(tmp_path):
    """Eight prompts, one system that obeys and one that says nothing: n is the prompts that ask for it."""
    asked = [SLOTS if item % 2 else Slots("msa", "5-8", "happy", "1", "MA") for item in range(8)]

    def replies(text):
        return conform(
            {
                "id": source_ids(text, "1", n=8),
                "parents": [[one] for one in source_ids("prompts", "1", n=8).to_pylist()],
                "messages": [turns(text, slots) for slots in asked],
                "references": [[OBEYING]] * 8,
                "group": [str(item) for item in range(8)],
            }
        )

    systems = {"obeys": [replies(OBEYING)], "mute": [replies("لا.")]}
    evaluate(systems, baseline="mute", metrics=("obeys", "obeys_season", "rougeL"), out=tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    whole = {(one["system"], one["metric"]): one for one in scores["scores"] if one["slice"]["by"] == "all"}
    assert whole["obeys", "obeys"]["value"] == 1.0 and whole["obeys", "obeys"]["n"] == 8
    assert (whole["obeys", "obeys_season"]["value"], whole["mute", "obeys_season"]["value"]) == (1.0, 0.0)
    assert whole["obeys", "obeys_season"]["n"] == 4
    assert "|ci:wilson|" in whole["obeys", "obeys_season"]["signature"]
    assert f"|{LIMITS}|" in whole["obeys", "obeys"]["signature"]


def test_what_a_reply_takes_from_its_prompt_does_not_count():
    prompt = stories.prompt(SLOTS)
    assert value("obeys", prompt) == value("obeys", f"{prompt}\n{prompt}") == 0.0
    assert value("obeys_country", prompt) == 0.0
    assert value("obeys", f"{prompt}\n\n{OBEYING}") == value("obeys", OBEYING) == 1.0
    assert own_words(prompt, f"{prompt}\n\n{OBEYING}") == OBEYING
    assert own_words(prompt, "سطر أول\n\n\tسطر ثان") == "سطر أول\n\n\tسطر ثان"
