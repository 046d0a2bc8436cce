"""A judge's preference for its own family: told from quality by people's scores of the same replies."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scripted_judges import ScriptedJudge

from mashq.judge import Case
from mashq.judge.card import judge_card
from mashq.judge.card_page import card_json, card_markdown
from mashq.judge.card_rules import conclusions
from mashq.judge.card_step import Drawn, own_of
from mashq.judge.family import Kinship
from mashq.judge.preference import _settled
from mashq.rows import MashqError

ITEMS = 20
OWN = [True, False] * ITEMS


def replies(better=0.0, seed=0):
    """Two replies to each of 20 prompts, the first by the own family, and how good each is in steps from the middle."""
    draw = random.Random(seed)
    cases, worth = [], {}
    for item in range(ITEMS):
        of_prompt = draw.uniform(-0.8, 0.8)
        for is_own in (True, False):
            case = Case(f"اكتب قصة رقم {item}", f"{'رد' if is_own else 'جواب'} على الطلب {item}", "msa")
            cases.append(case)
            worth[case.reply] = of_prompt + draw.uniform(-0.5, 0.5) + (better / 2 if is_own else -better / 2)
    return cases, worth


def judge_of(cases, worth, favours=0.0, **more):
    family = frozenset(case.reply for case, own in zip(cases, OWN, strict=True) if own)
    told = {"worth": worth, "family": family, "favours": favours, "dithered": True, "criteria": ("fluency",)}
    return ScriptedJudge(**told, **more)


def raters(cases, worth, count=3, noise=0.4):
    draw = random.Random("raters")
    return {
        "fluency": [
            [min(5, max(1, round(3 + worth[case.reply] + draw.gauss(0, noise)))) for case in cases]
            for _ in range(count)
        ]
    }


def card_of(favours=0.0, better=0.0, count=3, own=OWN, **more):
    cases, worth = replies(better)
    people = raters(cases, worth, count) if count else None
    return judge_card(judge_of(cases, worth, favours, **more), cases, people=people, own=own, probes=("position",))


def the(card, what):
    (found,) = card.of("preference", what)
    return found


def said(card):
    return [(one.status, one.key) for one in conclusions(card) if one.probe == "preference"]


def test_a_planted_preference_is_found_whether_the_family_is_better_or_not():
    for better in (0.0, 0.8):
        one = the(card_of(favours=1.0, better=better), "adjusted")
        assert one.low <= 1.0 <= one.high
        assert one.low > 0.0
        assert (one.n, one.unparsed) == (40, 0)
        assert one.p < 0.01
        assert said(card_of(favours=1.0, better=better)) == [("concern", "favours_own")]
    assert said(card_of(favours=-1.0)) == [("concern", "harsher_on_own")]


def test_a_family_that_is_better_is_not_taken_for_a_favoured_one():
    card = card_of(better=1.2)
    scores = [judge_of(*replies(1.2)).scores([case])[0]["fluency"] for case in replies(1.2)[0]]
    assert np.mean(scores[::2]) - np.mean(scores[1::2]) > 0.8  # what a plain mean would call a preference
    one = the(card, "adjusted")
    assert one.low <= 0.0 <= one.high
    assert said(card) == [("open", "no_preference")]  # less than 1.8 steps would not have been seen


def test_the_difference_is_judge_minus_people_by_hand():
    cases, worth = replies()
    people = {"fluency": [[1 + at % 3 for at in range(40)], [2 + at % 3 for at in range(40)]]}
    judge = judge_of(cases, worth)
    card = judge_card(judge, cases, people=people, own=OWN, probes=())
    moves = [one["fluency"] - (1.5 + at % 3) for at, one in enumerate(judge.scores(cases))]
    assert the(card, "difference").value == pytest.approx(np.mean(moves[::2]) - np.mean(moves[1::2]))
    assert the(card, "difference").p is None


def test_without_people_others_or_a_second_rater_the_card_says_why_it_cannot_tell():
    assert said(card_of(count=0)) == [("open", "preference_no_people")]
    assert said(card_of(own=[True] * 40)) == [("open", "preference_no_others")]
    assert said(card_of(own=[True, None] * ITEMS)) == [("open", "preference_no_others")]
    assert said(card_of(count=1)) == [("open", "preference_one_rater")]
    assert said(card_of(own=[True, False] * 4 + [None] * 32)) == [("open", "preference_few")]
    cases, worth = replies()
    draw = random.Random(0)
    noise = {"fluency": [[draw.randint(1, 5) for _ in cases] for _ in range(3)]}
    found = judge_card(judge_of(cases, worth), cases, people=noise, own=OWN, probes=())
    assert said(found) == [("open", "preference_noisy")]
    assert card_of(own=[False] * 40).of("preference") == []
    assert card_of(own=None).of("preference") == []


def test_replies_that_the_judge_says_unreadably_are_counted_and_left_out():
    one = the(card_of(malformed=0.2), "adjusted")
    assert one.n + one.unparsed == 40
    assert one.unparsed > 2


def test_equal_scores_everywhere_leave_an_interval_with_a_width():
    cases, worth = replies()
    whole = {reply: float(round(value)) for reply, value in worth.items()}
    people = {"fluency": [[3 + int(whole[case.reply]) for case in cases]] * 3}
    one = the(judge_card(judge_of(cases, whole), cases, people=people, own=OWN, probes=()), "adjusted")
    assert one.value == pytest.approx(0.0)
    assert one.high > 0.1 and one.low < -0.1


def test_a_raters_severity_and_noise_are_told_from_replies():
    draw = np.random.default_rng(0)
    true = draw.normal(3, 1, 300)
    scores = true[:, None] + np.array([-1.0, 0.0, 1.0]) + draw.normal(0, 0.5, (300, 3))
    means, noise = _settled(scores.tolist())
    assert noise == pytest.approx(0.25, abs=0.03)
    assert np.allclose(means, scores.mean(axis=1))
    holes = scores.tolist()
    for at, one in enumerate(holes):
        one[at % 3] = None  # each reply lacks another rater: a plain mean would carry who it was
    means, noise = _settled(holes)
    assert noise == pytest.approx(0.25, abs=0.04)
    assert np.std(means - true) < 0.45
    assert _settled([[3, None], [None, 4], [2, None]])[1] is None


def test_pairs_count_wins_of_the_own_family_less_those_by_people():
    card = card_of(favours=3.0, better=-0.4)
    one = the(card, "wins")
    assert one.n == ITEMS
    cases, worth = replies(-0.4)
    scores = np.mean(raters(cases, worth)["fluency"], axis=0)
    people = np.mean(np.sign(scores[::2] - scores[1::2]))
    assert one.value == pytest.approx((1.0 - people) / 2)  # its own wins every time
    assert one.p is None
    assert card_of(count=0).of("preference", "wins") == []


def test_own_must_be_as_many_as_the_cases():
    with pytest.raises(MashqError, match="own: expected 40, one for each asked, got 3"):
        card_of(own=[True, False, None])


def test_families_that_are_not_known_are_on_neither_side():
    drawn = [Drawn(Case("س", name), name, "i", "g") for name in ("near", "far", "unknown")]
    systems = {"near": ("Google",), "far": ("Meta",), "unknown": ()}
    assert own_of(Kinship(("Google",), systems, ("near",)), drawn) == [True, False, None]
    assert own_of(Kinship((), systems), drawn) == [None, None, None]


@pytest.mark.parametrize(("language", "title"), [("en", "Its own family"), ("ar", "محاباة عائلته")])
def test_the_card_says_it_in_both_languages_and_in_json(language, title):
    card = card_of(favours=1.0)
    text = card_markdown(card, language)
    assert f"## {title}" in text
    (concluded,) = (one for one in conclusions(card) if one.key == "favours_own")
    assert getattr(concluded, language).replace("|", "&#124;") in text
    assert '"probe": "preference"' in card_json(card)
    assert "{" not in concluded.en + concluded.ar
