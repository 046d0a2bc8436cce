"""The judge card on judges whose faults are known: what is planted is found, at its size, and what is not is not."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from scripted_judges import KnownTexts, ScriptedJudge, example_cases, variety_of

from mashq.arabic import TATWEEL, words
from mashq.judge import Case, Judge, JudgeSettings, Judging
from mashq.judge.card import PROBES, JudgeCard, Measure, judge_card, needs
from mashq.judge.card_page import card_json, card_markdown
from mashq.judge.card_rules import conclusions
from mashq.judge.card_words import meaning
from mashq.judge.probes import (
    DEFECTS,
    HARMLESS,
    SPELLINGS,
    case_groups,
    packaged_parallel,
    packaged_vocalised,
    target,
    trials_of,
    untouched,
)
from mashq.lm.echo import Scripted
from mashq.packaged import parsed
from mashq.rows import MashqError

CASES = example_cases(40)
PAIRED = example_cases(80, of_a_prompt=2)
KNOWN = KnownTexts(CASES)
ONE = ("fluency",)
STORY = "خرج كريم من البيت صباحًا. ثم قابل كريم صديقه في السوق. وبعد ساعة رجع كريم إلى أمه."


def the(card: JudgeCard, probe: str, what: str, criterion: str = "", about: str = "") -> Measure:
    """The one measure of that name."""
    (found,) = (one for one in card.of(probe, what) if (one.criterion, one.about) == (criterion, about))
    return found


def keys(card: JudgeCard, status: str) -> set[tuple[str, str]]:
    """The conclusions of a status: what and about what."""
    return {(one.key, one.about) for one in conclusions(card) if one.status == status}


def changed(probe: str, kind: str, case: Case) -> str:
    """A reply after one change."""
    trials = trials_of([case], ["g"], probes=[probe], criteria=ScriptedJudge().criteria).of(probe, kind)
    (after,) = (trial.after.reply for trial in trials if trial.before == case)
    return after


# --- what is planted is found ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_planted_place_is_recovered(seed):
    judge = ScriptedJudge(place=0.3, seed=seed, malformed=0.05)
    card = judge_card(judge, PAIRED, probes=["position"])
    advantage, flip = the(card, "position", "advantage"), the(card, "position", "flip")
    assert card.pairs == "given"
    assert advantage.low <= 0.3 <= advantage.high
    assert flip.low <= 0.3 <= flip.high  # one order goes to the better reply, the other with a chance of 0.3 not
    assert ("prefers_first", "") in keys(card, "concern")
    assert 0 < the(card, "unparsed", "share", about="position").value < 0.15
    assert advantage.n + advantage.unparsed == 40


def test_second_place_and_no_place_are_told_apart():
    second = judge_card(ScriptedJudge(place=-0.4), PAIRED, probes=["position"])
    assert the(second, "position", "advantage").value < -0.2
    assert ("prefers_second", "") in keys(second, "concern")
    fair = judge_card(ScriptedJudge(), PAIRED, probes=["position"])
    assert the(fair, "position", "flip").value == 0
    assert keys(fair, "concern") == set()
    assert ("no_place", "") in keys(fair, "clear")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slope", [0.4, -0.4])
def test_planted_length_is_recovered(seed, slope):
    judge = ScriptedJudge(known=KNOWN, per_doubling=slope, unlike=0.2, dithered=True, criteria=ONE, seed=seed)
    card = judge_card(judge, CASES, probes=["length"])
    found = the(card, "length", "slope", "fluency", "padded")
    assert found.low <= slope <= found.high
    assert ("pays_length" if slope > 0 else "minds_filler", "padded") in keys(card, "concern") | keys(card, "open")


def test_association_with_length_is_apart_from_the_slope_on_equal_content():
    # Longer replies are better here, and filler gains nothing.
    class Longer(ScriptedJudge):
        def true_score(self, case, criterion):
            return 1.5 + 0.5 * len(set(words(self.known.replies.get(case.prompt, case.reply)))) ** 0.4

    card = judge_card(Longer(known=KNOWN, criteria=ONE), CASES, probes=["length"])
    assert the(card, "length", "slope", "fluency", "padded").value == 0
    assert the(card, "length", "association", "fluency").low > 0
    assert "association" in meaning("length", "association", "en")


@pytest.mark.parametrize("seed", range(3))
def test_planted_dialect_gap_is_recovered(seed):
    judge = ScriptedJudge(known=KNOWN, dialect=-0.5, dithered=True, criteria=ONE, seed=seed)
    card = judge_card(judge, CASES[:5], probes=["dialect"])
    for dialect in ("egyptian", "moroccan"):
        gap = the(card, "dialect", "gap", "fluency", dialect)
        assert gap.n == 24
        assert gap.low <= -0.5 <= gap.high
    assert keys(card, "concern") == {("dialect_less", "egyptian"), ("dialect_less", "moroccan")}


def test_own_parallel_sets_join_the_packaged_ones():
    mine = {"msa": Case("اكتب", "ذهبت إلى البيت.", "msa"), "gulf": Case("اكتب", "رحت البيت.", "gulf")}
    card = judge_card(ScriptedJudge(criteria=ONE), CASES[:5], parallel=[mine], probes=["dialect"])
    assert the(card, "dialect", "gap", "fluency", "gulf").n == 1
    assert the(card, "dialect", "gap", "fluency", "gulf").low is None  # one set leaves nothing to draw from
    with pytest.raises(MashqError, match=r"parallel set 0: expected a case for 'msa', got gulf"):
        judge_card(ScriptedJudge(), CASES[:5], parallel=[{"gulf": mine["gulf"]}], probes=["dialect"])


def test_planted_marks_and_rubric_language_are_recovered():
    judge = ScriptedJudge(known=KNOWN, marks=1.0, arabic=-1.0, criteria=ONE)
    card = judge_card(judge, CASES, probes=["spelling", "rubric"])
    assert the(card, "spelling", "change", "fluency", "unmarked").value == -1.0
    assert the(card, "spelling", "change", "fluency", "tatweel").value == 0.0
    assert the(card, "rubric", "gap", "fluency").value == -1.0
    assert the(card, "rubric", "equal", "fluency").value == 0.0
    arabic_first = judge_card(judge.in_language("ar"), CASES, probes=["rubric"])
    assert the(arabic_first, "rubric", "gap", "fluency").value == -1.0


@pytest.mark.parametrize("seed", range(3))
def test_planted_unsteadiness_is_recovered(seed):
    card = judge_card(ScriptedJudge(unstable=0.25, seed=seed, criteria=ONE), CASES, probes=["retest"])
    equal, moved = the(card, "retest", "equal", "fluency"), the(card, "retest", "moved", "fluency")
    assert equal.low <= 0.75 <= equal.high
    assert moved.value == pytest.approx(1 - equal.value)
    assert ("repeats", "") in keys(card, "concern")


def test_a_right_judge_sees_every_defect_and_a_blind_one_is_called_blind():
    card = judge_card(ScriptedJudge(known=KNOWN), CASES, probes=["defects"])
    for defect in DEFECTS:
        criterion = target(defect, card.criteria)
        # Two words of a dialect are less than the scripted judge needs to tell it.
        least = 0.5 if defect == "wrong_variety" else 1.0
        assert the(card, "defects", "detection", criterion, defect).value >= least, defect
    assert {one.value for one in card.of("defects", "false_alarm")} == {0.0}
    assert keys(card, "concern") == set()
    half = ScriptedJudge(
        known=KNOWN, blind=("truncation", "shuffled"), criteria=("coherence", "consistency", "variety")
    )
    blind = judge_card(half, CASES, probes=["defects"])
    assert {("blind", "truncation"), ("blind", "shuffled")} == keys(blind, "concern")
    assert "Does not see truncation: in 0% of cases" in card_markdown(blind)


@pytest.mark.parametrize("seed", range(3))
def test_planted_detection_and_false_alarms_are_recovered(seed):
    sees, alarm = 0.6, 0.15
    judge = ScriptedJudge(known=KNOWN, sees=sees, alarm=alarm, seed=seed, criteria=("coherence",))
    card = judge_card(judge, CASES, probes=["defects"])
    false = alarm * (1 - alarm)  # the score falls where the changed text raises an alarm and the first did not
    detection = the(card, "defects", "detection", "coherence", "truncation")
    assert detection.low <= sees + (1 - sees) * false <= detection.high
    alarms = the(card, "defects", "false_alarm", "coherence")
    assert alarms.low <= false <= alarms.high


def test_halo_of_a_defect_and_between_criteria_is_found():
    three = ("fluency", "coherence", "following_instructions")
    haloed = judge_card(ScriptedJudge(known=KNOWN, halo=1.0, criteria=three), CASES, probes=["defects"])
    assert the(haloed, "defects", "spill", about="shuffled").value == -1.0
    assert ("spills", "shuffled") in keys(haloed, "concern")
    plain = judge_card(ScriptedJudge(known=KNOWN, criteria=three), CASES, probes=["defects"])
    assert the(plain, "defects", "spill", about="shuffled").value == 0.0
    alike = judge_card(ScriptedJudge(per_doubling=1.0), CASES, probes=["halo"])
    assert the(alike, "halo", "correlation", "fluency", "coherence").value == pytest.approx(1.0)
    assert any(one.key == "one_opinion" for one in conclusions(alike))


def test_malformed_answers_are_counted_and_left_out():
    judge = ScriptedJudge(known=KNOWN, malformed=0.2, dialect=-1.0, criteria=ONE)
    card = judge_card(judge, CASES, probes=["dialect", "retest"])
    share = the(card, "unparsed", "share", about="dialect")
    assert share.low <= 0.2 <= share.high
    gap = the(card, "dialect", "gap", "fluency", "egyptian")
    assert (gap.value, gap.n + gap.unparsed) == (-1.0, 24)
    assert gap.unparsed > 0
    assert ("unreadable", "retest") in keys(card, "concern") or ("unreadable", "dialect") in keys(card, "concern")
    assert sum(card.distribution["fluency"].values()) == len(CASES)


def test_a_judge_that_is_never_readable_has_a_card_and_no_numbers():
    card = judge_card(ScriptedJudge(malformed=1.0, criteria=("fluency", "coherence")), CASES[:13])
    assert {one.value for one in card.measures if one.probe not in ("unparsed",)} == {None}
    assert all(one.reason for one in card.measures if one.value is None)
    assert {one.value for one in card.of("unparsed")} == {1.0}
    assert "100%" in card_markdown(card)
    json.loads(card_json(card))


def test_a_saturated_judge_is_told():
    class Generous(ScriptedJudge):
        def true_score(self, case, criterion):
            return 5.0

    card = judge_card(Generous(criteria=ONE), CASES, probes=["dialect"])
    assert ("at_top", "") in keys(card, "concern")


@dataclass(frozen=True)
class Always(ScriptedJudge):
    """Says the same of every reply and of every pair."""

    level: float = 3.0
    moves: tuple[str, ...] = ()  # criteria by which it judges all the same

    def scores(self, cases, *, repeat=0):
        told = super().scores(cases, repeat=repeat)
        return [{name: one[name] if name in self.moves else self.level for name in one} for one in told]

    def prefer(self, pairs, *, repeat=0):
        return ["tie"] * len(pairs)


NONE_FOUND = ("no_dialect", "no_length", "no_spelling", "no_rubric", "no_place", "repeats", "seldom_flips", "sees")


@pytest.mark.parametrize("level", [1.0, 2.0, 3.0, 4.0, 5.0])
def test_a_constant_judge_is_called_constant_at_any_level_and_clear_of_nothing(level):
    found = conclusions(judge_card(Always(known=KNOWN, level=level), CASES))
    assert (found[0].status, found[0].key) == ("concern", "constant_everywhere")
    assert f"the same score, {level:g}, on every criterion (40 replies)" in found[0].en
    assert f"الدرجة نفسها، وهي \u2066{level:g}\u2069، في كل معيار" in found[0].ar
    assert [one.key for one in found if one.status == "clear"] == ["all_read"]
    assert {one.about for one in found if one.key == "hidden"} == {"dialect", "length", "spelling", "rubric"}
    assert "all_tied" in {one.key for one in found if one.status == "open"}


def test_criteria_that_never_move_are_named_and_left_out_of_what_was_not_found():
    found = conclusions(judge_card(Always(known=KNOWN, moves=("coherence",)), CASES))
    constant = {one.criterion for one in found if one.key == "constant"}
    assert constant == {"following_instructions", "consistency", "variety"}
    (dialect,) = [one for one in found if one.key == "no_dialect"]
    assert "seen on each. Not so on 3 of 5 criteria, where nearly all scores are the same" in dialect.en


def test_a_right_judge_of_equally_good_replies_is_not_called_constant():
    card = judge_card(ScriptedJudge(known=KNOWN), CASES)
    assert card.distribution["fluency"] == {"3": len(CASES)}
    assert keys(card, "concern") == set()
    assert set(NONE_FOUND) == {one.key for one in conclusions(card)} - {"all_read"}


def test_what_only_a_huge_effect_would_have_shown_is_open():
    judge = ScriptedJudge(known=KNOWN, criteria=("fluency",), unlike=3.0, dithered=True, seed=3)
    card = judge_card(judge, CASES[:6], probes=["rubric", "retest"])
    (gap,) = card.of("rubric", "gap")
    coarse = replace(gap, detectable=1.2)
    fine = replace(gap, detectable=0.9)
    for one, status in ((coarse, "open"), (fine, "clear")):
        told = conclusions(replace(card, measures=(one,)))
        assert [(two.status, two.key) for two in told if two.key == "no_rubric"] == [(status, "no_rubric")]


@dataclass(frozen=True)
class MindsTatweel(ScriptedJudge):
    """Takes so many steps off every reply with tatweel, and is right otherwise."""

    steps: float = 1.0

    def scores(self, cases, *, repeat=0):
        told = super().scores(cases, repeat=repeat)
        taken = [self.steps if TATWEEL in case.reply else 0.0 for case in cases]
        return [dict.fromkeys(one, 5.0 - less) for one, less in zip(told, taken, strict=True)]


@pytest.mark.parametrize("steps", [1.0, 4.0])
def test_an_effect_that_no_test_could_make_sure_of_is_open_and_says_how_many_groups_it_takes(steps):
    groups = [f"g{place % 8}" for place in range(24)]
    card = judge_card(MindsTatweel(known=KNOWN, steps=steps), CASES[:24], groups=groups, probes=["spelling"])
    one = the(card, "spelling", "change", "fluency", "tatweel")
    assert (one.value, one.family, one.noise.groups) == (-steps, 20, 8)
    assert one.high < 0  # the interval leaves out 0
    assert one.p == pytest.approx(20 * 2 / 2**8)
    assert one.detectable is None
    (said,) = [told for told in conclusions(card) if told.probe == "spelling"]
    assert (said.status, said.key, said.about) == ("open", "hint_few_groups", "tatweel")
    assert "with 8 groups" in said.en
    assert "(20); that takes at least 10 groups" in said.en
    assert "\u206620\u2069" in said.ar
    assert "\u206610\u2069" in said.ar


@pytest.mark.parametrize("steps", [1.0, 4.0])
@pytest.mark.parametrize("many", [10, 20, 40])
def test_the_same_effect_is_found_with_groups_enough_and_called_visible(steps, many):
    groups = [f"g{place % many}" for place in range(40)]
    card = judge_card(MindsTatweel(known=KNOWN, steps=steps), CASES, groups=groups, probes=["spelling"])
    assert keys(card, "concern") - {("at_top", "")} == {("spelling_less", "tatweel")}
    assert the(card, "spelling", "change", "fluency", "tatweel").p < 0.05


def test_where_nothing_could_be_found_nothing_is_clear():
    groups = [f"g{place % 5}" for place in range(24)]
    card = judge_card(ScriptedJudge(known=KNOWN), CASES[:24], groups=groups)
    told = {one.probe: one for one in conclusions(card) if one.key == "few_groups"}
    assert {name: one.status for name, one in told.items()} == dict.fromkeys(
        ("position", "length", "spelling", "rubric"), "open"
    )
    assert "So it is in 15 of 20 comparisons." in told["spelling"].en  # vowel marks are changed in packaged texts
    clear = {one.key for one in conclusions(card) if one.status == "clear"}
    assert not clear & {"no_length", "no_spelling", "no_rubric", "no_place"}
    untold = [one.en for one in conclusions(card) if one.key == "cannot_tell"]
    assert untold
    assert all("With 5 groups no test can be significant" in one for one in untold)
    assert "{" not in card_markdown(card) + card_markdown(card, "ar")


def test_an_interval_that_leaves_out_0_is_never_clear():
    card = judge_card(ScriptedJudge(known=KNOWN, criteria=ONE), CASES, probes=["rubric"])
    (gap,) = card.of("rubric", "gap")
    for one, key in (
        (replace(gap, value=-0.2, low=-0.3, high=-0.1, p=0.06), "hint"),
        (replace(gap, value=0.0, low=-0.1, high=0.1), "no_rubric"),
        (replace(gap, value=0.0, low=-0.1, high=0.1, detectable=None), "too_noisy"),
    ):
        (told,) = [said for said in conclusions(replace(card, measures=(one,))) if said.probe == "rubric"]
        assert (told.status, told.key) == ("clear" if key == "no_rubric" else "open", key)
    points = judge_card(ScriptedJudge(known=KNOWN), PAIRED, probes=["position"])
    (place,) = points.of("position", "advantage")
    shifted = replace(place, value=0.2, low=0.05, high=0.35, p=0.06)
    told = [said for said in conclusions(replace(points, measures=(shifted,))) if said.probe == "position"]
    assert [(said.status, said.key) for said in told] == [("open", "hint_points")]
    assert "20 points [5, 35]" in told[0].en


# --- people ----------------------------------------------------------------------------------------------------------


def test_agreement_with_people_stands_beside_their_own():
    judge = ScriptedJudge(per_doubling=1.0, criteria=ONE)
    said = [int(one["fluency"]) for one in judge.scores(CASES)]
    off = [min(5, score + number % 2) for number, score in enumerate(said)]
    card = judge_card(judge, CASES, people={"fluency": [said, said, off]}, probes=["halo"])
    with_judge, among = (the(card, "people", f"kappa_{side}", "fluency") for side in ("judge", "people"))
    assert with_judge.n == among.n == len(CASES)
    assert 0.5 < among.value < with_judge.value < 1  # the judge is as the two who agree
    assert ("with_people", "") in keys(card, "clear")
    apart = the(card, "people", "kappa_difference", "fluency")
    assert apart.value == pytest.approx(with_judge.value - among.value)
    assert apart.low < apart.value < apart.high
    upside = judge_card(judge, CASES, people={"fluency": [[6 - score for score in said]] * 2}, probes=["halo"])
    assert the(upside, "people", "spearman_judge", "fluency").value == pytest.approx(-1.0)
    assert ("below_people", "") in keys(upside, "concern")


def test_a_judge_that_copies_one_person_is_held_against_the_other_as_that_person_is():
    judge = ScriptedJudge(per_doubling=1.0, criteria=ONE)
    copied = [int(one["fluency"]) for one in judge.scores(CASES)]
    mild = [min(5, score + 1 + number % 2) for number, score in enumerate(copied)]
    both = judge_card(judge, CASES, people={"fluency": [copied, mild]}, probes=["halo"])
    other = judge_card(judge, CASES, people={"fluency": [mild]}, probes=["halo"])
    for name in ("kappa", "spearman", "alpha"):
        among, alone = (
            the(both, "people", f"{name}_people", "fluency"),
            the(other, "people", f"{name}_judge", "fluency"),
        )
        assert among.value == pytest.approx(alone.value)
    assert the(both, "people", "spearman_people", "fluency").value == pytest.approx(spearmanr(copied, mild).statistic)


def test_people_may_leave_cases_out_but_not_rate_another_number_of_them():
    judge = ScriptedJudge(per_doubling=1.0, criteria=ONE)
    said = [int(one["fluency"]) for one in judge.scores(CASES)]
    some = [score if number % 4 else None for number, score in enumerate(said)]
    card = judge_card(judge, CASES, people={"fluency": [some]}, probes=["halo"])
    assert the(card, "people", "kappa_judge", "fluency").n == 30
    assert card.of("people", "kappa_people") == []
    with pytest.raises(MashqError, match="people's scores of 'fluency': expected 40 a rater, one per case, got 3"):
        judge_card(judge, CASES, people={"fluency": [[1, 2, 3]]})
    with pytest.raises(MashqError, match="people's scores of 'style'"):
        judge_card(judge, CASES, people={"style": [said]})


# --- what is asked ---------------------------------------------------------------------------------------------------


class Counting(ScriptedJudge):
    """Counts what it is asked."""

    asked: ClassVar[list] = []

    def scores(self, cases, *, repeat=0):
        self.asked.extend((self.language, repeat, case) for case in cases)
        return super().scores(cases, repeat=repeat)

    def prefer(self, pairs, *, repeat=0):
        self.asked.extend(("pair", repeat, pair) for pair in pairs)
        return super().prefer(pairs, repeat=repeat)


@pytest.mark.parametrize("probes", [PROBES, ("retest",), ("position",), ("dialect", "halo")], ids=str)
def test_needs_are_what_is_asked_and_nothing_is_asked_twice(probes):
    Counting.asked = []
    judge = Counting(known=KNOWN, criteria=("fluency", "variety"))
    told = needs(judge, CASES[:14], probes=probes)
    assert Counting.asked == []
    card = judge_card(judge, CASES[:14], probes=probes)
    assert len(Counting.asked) == len(set(Counting.asked)) == told["total"] == card.requests
    assert set(told) == {*probes, "total"}


def test_equal_input_makes_an_equal_card():
    judge = ScriptedJudge(known=KNOWN, dithered=True, place=0.2, criteria=ONE)
    first, second = (card_json(judge_card(judge, CASES[:13])) for _ in range(2))
    assert first == second
    other = judge_card(judge, CASES[:13], seed=1)  # other draws of filler, places and resamples
    assert card_json(other) != first


def test_without_two_replies_to_a_prompt_pairs_are_made_with_filler():
    card = judge_card(ScriptedJudge(known=KNOWN, per_doubling=0.5), CASES, probes=["position"])
    assert card.pairs == "filler"
    assert the(card, "position", "longer").value == 1.0
    assert the(card, "position", "advantage").value == 0.0


def test_a_pair_given_twice_and_turned_round_is_asked_once():
    one, two = PAIRED[:2]
    Counting.asked = []
    judge = Counting(criteria=ONE)
    card = judge_card(judge, CASES[:2], pairs=[(one, two), (two, one), (one, two)], probes=["position"])
    assert sum(kind == "pair" for kind, _, _ in Counting.asked) == 2
    assert the(card, "position", "flip").n == 3
    assert card.requests == needs(judge, CASES[:2], pairs=[(one, two)], probes=["position"])["total"] == 4


def test_the_judge_of_models_has_a_card():
    def said(request):
        names = json.loads(request.schema)["required"]
        first = "overall" in names  # a pair: this model always takes the first place
        return json.dumps(dict.fromkeys(names, "first" if first else 4))

    judge = Judge(Scripted(said, name="test"), JudgeSettings())
    assert isinstance(judge, Judging)
    assert isinstance(ScriptedJudge(), Judging)
    cases = [*PAIRED[:26], replace(PAIRED[0], prompt="x", variety="")]
    card = judge_card(judge, cases, probes=["position", "dialect", "rubric"])
    assert the(card, "position", "advantage").value == 1.0
    assert {one.value for one in card.of("dialect")} == {0.0}
    assert {one.value for one in card.of("unparsed")} == {0.0}
    assert card.distribution["variety"] == {"4": 26, "not asked": 1}
    assert card.language == judge.language


def test_a_criterion_that_is_not_asked_is_not_unparsed():
    bare = [replace(case, variety="") for case in CASES[:14]]

    class Asking(ScriptedJudge):
        def _scores(self, case, repeat):
            said = super()._scores(case, repeat)
            return {name: score for name, score in said.items() if case.variety or name != "variety"}

    card = judge_card(Asking(known=KNOWN), bare, probes=["retest", "defects"])
    assert card.distribution["variety"] == {"not asked": 14}
    assert {one.unparsed for one in card.measures} == {0}
    assert {one.criterion for one in card.of("defects", "detection") if one.about == "code_switch"} == {"fluency"}


def test_groups_are_clusters():
    judge = ScriptedJudge(known=KNOWN, unstable=0.3, criteria=ONE)
    apart = judge_card(judge, CASES, probes=["retest"])
    together = judge_card(judge, CASES, groups=[str(at // 10) for at in range(40)], probes=["retest"])
    assert (apart.groups, together.groups) == (40, 4)
    narrow, wide = (the(card, "retest", "equal", "fluency") for card in (apart, together))
    assert wide.high - wide.low > narrow.high - narrow.low
    with pytest.raises(MashqError, match="groups: expected 40, one per case, got 1"):
        judge_card(judge, CASES, groups=["a"])


def test_holm_is_over_the_measures_of_one_kind():
    judge = ScriptedJudge(known=KNOWN, dialect=-0.5, dithered=True)
    five = judge_card(judge, CASES[:5], probes=["dialect"])
    one = judge_card(replace(judge, criteria=ONE), CASES[:5], probes=["dialect"])
    assert the(five, "dialect", "gap", "fluency", "egyptian").p > the(one, "dialect", "gap", "fluency", "egyptian").p


# --- a judge that breaks its word ------------------------------------------------------------------------------------


def test_no_cases_and_unknown_probes_are_refused():
    with pytest.raises(MashqError, match="cases: expected at least one case, got none"):
        judge_card(ScriptedJudge(), [])
    with pytest.raises(MashqError, match=r"probe 'postion': there is none .* Did you mean 'position'\?"):
        needs(ScriptedJudge(), CASES, probes=["postion"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([{"fluency": 6.0}], "score of 'fluency': expected 1 to 5, or None, got 6"),
        ([{"fluency": float("nan")}], "score of 'fluency': expected 1 to 5, or None, got nan"),
        ([{"style": 3.0}], "score of 'style': expected one of fluency, got another criterion"),
        ([], "scores: expected 1, one for each asked, got 0"),
    ],
    ids=["range", "nan", "criterion", "count"],
)
def test_scores_out_of_range_are_refused(said, told):
    class Wrong(ScriptedJudge):
        def scores(self, cases, *, repeat=0):
            return said

    with pytest.raises(MashqError, match=told):
        judge_card(Wrong(criteria=ONE), CASES[:1], probes=["halo"])


def test_a_verdict_of_another_word_is_refused():
    class Wrong(ScriptedJudge):
        def prefer(self, pairs, *, repeat=0):
            return ["A"] * len(pairs)

    with pytest.raises(MashqError, match="a verdict: expected first, tie, second or None, got 'A'"):
        judge_card(Wrong(), PAIRED, probes=["position"])


# --- the changes -----------------------------------------------------------------------------------------------------


def test_wrong_name_changes_one_name_in_the_middle():
    after = changed("defects", "wrong_name", Case("اكتب قصة", STORY, "msa"))
    before = words(STORY)
    other = [(one, two) for one, two in zip(before, words(after), strict=True) if one != two]
    assert [one for one, _ in other] == ["كريم"]
    assert after.count("كريم") == 2
    assert after.startswith("خرج كريم")
    assert other[0][1] in parsed("judge/probes")["names"][1]


def test_truncation_ends_inside_a_sentence():
    after = changed("defects", "truncation", Case("اكتب قصة", STORY, "msa"))
    assert STORY.startswith(after)
    assert after[-1].isalpha()
    assert STORY[len(after)] == " "


def test_shuffled_keeps_every_sentence_and_repeated_has_one_twice():
    case = Case("اكتب قصة", STORY, "msa")
    shuffled, repeated = changed("defects", "shuffled", case), changed("defects", "repeated", case)
    assert sorted(words(shuffled)) == sorted(words(STORY))
    assert not shuffled.startswith("خرج")
    assert len(words(repeated)) == len(words(STORY)) + 6
    assert repeated.count("ثم قابل كريم صديقه في السوق.") == 2


def test_spellings_change_what_they_name_and_nothing_else():
    case = Case("اكتب", "أحبت القِطة إلى فتاة في مدرستي، ورأى آدم بيتًا كبيرًا.", "msa")
    vocalised = Case("اكتب", "ذَهَبَ الطِّفْلُ إِلَى بَيْتِهِ.", "msa")
    assert changed("spelling", "unmarked", vocalised) == "ذهب الطفل إلى بيته."
    few = trials_of([case], ["g"], probes=["spelling"], criteria=())
    assert few.left_out["spelling/unmarked"] == {"not vocalised": 1}
    assert changed("spelling", "alef", case) == "احبت القِطة الى فتاة في مدرستي، وراى ادم بيتًا كبيرًا."
    assert changed("spelling", "endings", case) == "أحبت القِطه إلى فتاه فى مدرستى، ورأى آدم بيتًا كبيرًا."
    stretched = changed("spelling", "tatweel", case)
    assert TATWEEL in stretched
    assert stretched.replace(TATWEEL, "") == case.reply


def test_filler_about_doubles_the_length_and_repeats_nothing():
    cases = [case for texts in packaged_parallel() for case in texts.values()]
    made = trials_of(cases, ["g"] * len(cases), probes=["length"], criteria=()).made
    assert len(made) == len(cases)
    for trial in made:
        after = trial.after.reply
        assert after.startswith(trial.before.reply)
        assert 1.8 <= len(words(after)) / len(words(trial.before.reply)) <= 2.6, after
        assert trial.amount == pytest.approx(math.log2(len(words(after)) / len(words(trial.before.reply))))
        sentences = [one for one in after.split(". ") if one]
        assert len(sentences) == len(set(sentences))


def test_a_variety_without_filler_and_an_empty_reply_are_left_out_with_their_reason():
    cases = [Case("اكتب", STORY, "sudanese"), Case("اكتب", "", "msa"), Case("اكتب", "!!!", "msa")]
    found = trials_of(cases, ["a", "b", "c"], probes=["length"], criteria=())
    assert found.left_out == {"length/padded": {"no filler in sudanese": 1, "an empty reply": 2}}
    assert all(trial.group.startswith("packaged") for trial in found.made)


def test_a_defect_without_a_criterion_is_left_out():
    found = trials_of(CASES, case_groups(CASES, None), probes=["defects"], criteria=["safety"])
    assert found.of("defects") == []
    assert found.left_out["defects/shuffled"] == {"the rubric has no criterion for it": 40}


def test_every_rubric_can_see_some_defect():
    for name in ("stories", "dialogue", "prompts", "medical"):
        criteria = [one["name"] for one in parsed(f"rubrics/{name}")["criteria"]]
        aimed = [defect for defect in DEFECTS if target(defect, criteria) is not None]
        assert len(aimed) >= 6, name


def test_every_defect_has_a_rule_and_a_name_in_both_languages():
    data, said = parsed("judge/probes"), parsed("judge/words")
    assert set(data["defects"]) == set(DEFECTS)
    for name in (*DEFECTS, *SPELLINGS, *PROBES):
        assert {"en", "ar"} <= set(said["names"][name]), name
    for defect, rule in data["defects"].items():
        assert not set(untouched(defect, ["fluency", *rule["falls"]])) & set(rule["may"])


def test_packaged_texts_are_three_varieties_of_the_same_content():
    sets = packaged_parallel()
    assert len(sets) == 24
    for texts in sets:
        for variety, case in texts.items():
            assert variety_of(case.reply) == variety, case.reply
            assert len(case.reply.split(". ")) == 3, case.reply
        lengths = [len(words(case.reply)) for case in texts.values()]
        assert max(lengths) <= 1.5 * min(lengths), texts["msa"].reply


def test_packaged_vocalised_texts_carry_marks_on_nearly_every_word():
    for case in packaged_vocalised():
        marks = sum("\N{ARABIC FATHATAN}" <= char <= "\N{ARABIC SUKUN}" for char in case.reply)
        assert marks >= 2 * len(words(case.reply)), case.reply


def test_packaged_dialect_texts_read_as_their_dialect():
    from mashq.variety import open_teller

    sets = packaged_parallel()
    for variety in ("msa", "egyptian", "moroccan"):
        told = open_teller().tell([texts[variety].reply for texts in sets]).best
        assert sum(label == variety for label in told) >= 22, (variety, told)


# --- the pages -------------------------------------------------------------------------------------------------------


def test_the_page_begins_with_what_to_conclude():
    judge = ScriptedJudge(known=KNOWN, place=0.5, blind=("truncation",), criteria=("coherence",))
    card = judge_card(judge, CASES, probes=["position", "defects"])
    lines = [line for line in card_markdown(card).splitlines() if line]
    assert lines[:3] == ["# Judge card", "## What to conclude", "**Beware**"]
    assert lines[3].startswith("* Prefers the first place by ")
    assert "points [" in lines[3]
    arabic = card_markdown(card, "ar")
    assert "يفضّل الموضع الأول" in arabic
    assert "لا يرى البتر" in arabic
    with pytest.raises(MashqError, match="language: expected en or ar, got 'fr'"):
        card_markdown(card, "fr")


def test_json_holds_every_measure_with_its_meaning():
    card = judge_card(ScriptedJudge(known=KNOWN, criteria=("fluency", "coherence")), CASES[:13])
    content = json.loads(card_json(card))
    assert len(content["measures"]) == len(card.measures)
    assert all(one["meaning"] for one in content["measures"])
    assert {"en", "ar", "status"} <= set(content["conclusions"][0])


def test_names_from_data_cannot_forge_the_page():
    criteria = ("flu|ency", "<b>x</b>\n# forged")
    card = judge_card(ScriptedJudge(known=KNOWN, criteria=criteria, dialect=-1.0), CASES, name="a\n# judge | *b*")
    for language in ("en", "ar"):
        page = card_markdown(card, language)
        assert not [line for line in page.splitlines() if line.startswith(("# forged", "# judge"))]
        assert "<b>" not in page
        tables = [line.count("|") for line in page.splitlines() if line.startswith("|")]
        assert set(tables) <= {10, 4, *(range(3, 12))}


ODD = st.text(
    st.characters(codec=None, exclude_categories=()) | st.sampled_from("ابتثمن وي.؟!\n،أإةى\u064e"), max_size=80
)


@settings(max_examples=60, deadline=None)
@given(ODD, ODD, st.sampled_from(["", "msa", "egyptian", "gulf"]))
def test_any_text_can_be_changed(prompt, reply, variety):
    case = Case(prompt, reply, variety)
    for change, _ in [*DEFECTS.values(), *SPELLINGS.values(), *HARMLESS.values()]:
        once, again = (change(case, Random(7)) for _ in range(2))
        assert once == again


def test_a_long_reply_is_probed():
    case = Case("اكتب", STORY * 100, "msa")
    card = judge_card(ScriptedJudge(criteria=ONE), [case, *CASES[:13]], probes=["length", "spelling", "defects"])
    assert card.left_out["length/padded"] == {"too long to be stretched by filler": 1}
