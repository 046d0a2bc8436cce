"""A judge beside people: the peers' coefficients of two raters, averaged; severity between people; the difference."""

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from scipy.stats import spearmanr

from mashq.metrics.agreement import kappa, spearman
from mashq.metrics.beside import COEFFICIENTS, beside
from mashq.metrics.ratings import Ratings
from mashq.rows import MashqError

FEW = 40  # resamples, where the test is not about the interval
# Twenty replies; the second person is about a point more severe. scikit-learn's cohen_kappa_score(weights="quadratic")
# of the two is 0.5515, scipy's spearmanr 0.7361, krippendorff's ordinal alpha 0.5325.
MILD = [4, 3, 4, 4, 3, 4, 5, 5, 3, 2, 3, 4, 1, 3, 2, 3, 3, 3, 4, 5]
SEVERE = [3, 1, 2, 2, 1, 4, 4, 4, 1, 1, 3, 3, 1, 3, 2, 3, 2, 3, 4, 4]
BETWEEN = [4, 2, 3, 3, 2, 4, 5, 4, 2, 1, 3, 4, 1, 3, 2, 3, 3, 3, 4, 4]
OF_TWO = {"quadratic kappa": 0.5515, "spearman": 0.7361, "ordinal alpha": 0.5325}


def by_hand(one, two):
    """Cohen's quadratic kappa from its definition: 1 - mean squared distance over that of all with all."""
    one, two = np.array(one, dtype=float), np.array(two, dtype=float)
    return 1 - np.mean((one - two) ** 2) / np.mean((one[:, None] - two) ** 2)


PEERS = {
    "quadratic kappa": by_hand,
    "spearman": lambda one, two: spearmanr(one, two).statistic,
    "ordinal alpha": lambda one, two: krippendorff.alpha([one, two], level_of_measurement="ordinal"),
}


def both(one, two):
    """The scores of items that both raters scored."""
    return zip(*[pair for pair in zip(one, two, strict=True) if None not in pair], strict=True)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_of_two_people_the_ceiling_is_their_coefficient_as_it_is(name):
    found = beside(BETWEEN, [MILD, SEVERE], name, rounds=FEW)
    assert found.people.value == pytest.approx(OF_TWO[name], abs=5e-5)
    assert found.people.value == pytest.approx(PEERS[name](MILD, SEVERE))
    of_each = [PEERS[name](BETWEEN, one) for one in (MILD, SEVERE)]
    assert found.judge.value == pytest.approx(np.mean(of_each))
    assert found.difference.value == pytest.approx(np.mean(of_each) - OF_TWO[name], abs=5e-5)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_a_judge_that_copies_one_person_stands_with_the_other_where_that_person_does(name):
    people = beside(BETWEEN, [MILD, SEVERE], name, rounds=FEW).people
    assert beside(SEVERE, [MILD], name, rounds=FEW).judge.value == pytest.approx(people.value)
    assert beside(MILD, [SEVERE], name, rounds=FEW).judge.value == pytest.approx(people.value)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_gap_in_severity_does_not_lower_the_ceiling_of_order(gap):
    plain = [3 + place % 3 for place in range(30)]
    other = [score if place % 7 else 3 + (score - 2) % 3 for place, score in enumerate(plain)]
    severe = [score - gap for score in other]
    level, apart = (beside(plain, [plain, people], "spearman", rounds=FEW).people.value for people in (other, severe))
    assert apart == pytest.approx(level)
    assert apart == pytest.approx(spearmanr(plain, severe).statistic)


def test_means_are_weighted_by_the_items_that_a_pair_shares():
    gone = [None if place < 12 else score for place, score in enumerate(BETWEEN)]
    judge = [min(5, score + place % 2) for place, score in enumerate(MILD)]
    people = [MILD, SEVERE, gone]
    for name, peer in PEERS.items():
        found = beside(judge, people, name, rounds=FEW)
        for value, pairs in (
            (found.people.value, list(combinations(people, 2))),
            (found.judge.value, [(judge, one) for one in people]),
        ):
            shared = [list(zip(*both(one, two), strict=True)) for one, two in pairs]
            of_each = [peer(*zip(*rows, strict=True)) for rows in shared]
            assert value == pytest.approx(np.average(of_each, weights=[len(rows) for rows in shared]))


@pytest.mark.parametrize(("name", "measure"), [("quadratic kappa", kappa), ("spearman", spearman)])
def test_people_among_themselves_are_those_of_the_section_on_agreement(name, measure):
    more = {"weights": "quadratic"} if measure is kappa else {}
    people = [MILD, SEVERE, [*BETWEEN[:15], *[None] * 5]]
    groups = [f"g{place // 2}" for place in range(20)]
    there = measure(Ratings.of_matrix(people, groups=groups), **more)
    here = beside(BETWEEN, people, name, groups=groups).people
    assert (here.value, here.low, here.high, here.n) == pytest.approx((there.value, there.low, there.high, there.n))
    assert (here.word, here.trouble, here.signature) == (there.word, there.trouble, there.signature)


def test_the_difference_is_on_the_items_that_the_judge_and_two_people_scored():
    judge = [None, None, *BETWEEN[2:]]
    second = [*SEVERE[:14], *[None] * 6]
    found = beside(judge, [MILD, second], "quadratic kappa", rounds=FEW)
    here = slice(2, 14)
    of_each = [by_hand(BETWEEN[here], one[here]) for one in (MILD, SEVERE)]
    assert found.difference.n == 12
    assert found.difference.value == pytest.approx(np.mean(of_each) - by_hand(MILD[here], SEVERE[here]))
    assert found.people.n == 14
    assert found.judge.n == 18


def test_a_worse_judge_is_below_and_one_as_good_is_not():
    generator = np.random.default_rng(0)
    truth = generator.normal(3.2, 1, 120)

    def scored(noise, severity=0.0):
        return np.clip(np.round(truth + severity + generator.normal(0, noise, 120)), 1, 5).astype(int).tolist()

    people = [scored(0.5, 0.2), scored(0.5, -0.2)]
    for name in COEFFICIENTS:
        worse, good = (beside(scored(noise), people, name).difference for noise in (2.0, 0.5))
        assert worse.below
        assert worse.low < worse.value < worse.high < 0
        assert not good.below


def test_where_there_is_nothing_to_hold_against_it_is_said():
    alone = beside([1, 2, 3], [[1, 2, 2]], "quadratic kappa")
    assert (alone.people, alone.difference) == (None, None)
    unshared = beside([1, 2, 3, 4], [[1, 2, None, None], [None, None, 3, 4]], "quadratic kappa")
    assert unshared.judge.value == pytest.approx(1.0)
    assert (unshared.people, unshared.difference) == (None, None)
    silent = beside([None, None], [[1, 2], [1, 2]], "quadratic kappa")
    assert (silent.judge.value, silent.judge.reason) == (None, "no item was rated by two raters")
    assert silent.people.value == pytest.approx(1.0)
    assert silent.difference is None
    flat = beside([3, 3, 3], [[1, 2, 3], [1, 2, 3]], "spearman")
    assert flat.judge.value is None
    assert flat.judge.reason == "in every pair of raters that shares items one gave them all the same score"
    assert flat.difference is None


def test_one_cluster_gives_a_difference_without_an_interval():
    found = beside(BETWEEN, [MILD, SEVERE], "spearman", groups=["g"] * 20)
    assert (found.difference.low, found.difference.high, found.difference.below) == (None, None, False)


def test_all_alike_is_a_difference_of_nothing():
    found = beside(MILD, [MILD, MILD], "ordinal alpha", rounds=FEW).difference
    assert (found.value, found.low, found.high, found.below) == (0.0, 0.0, 0.0, False)


def test_an_unknown_coefficient_is_refused():
    with pytest.raises(MashqError, match="beside: name: expected one of quadratic kappa, spearman, ordinal alpha"):
        beside(MILD, [SEVERE], "quadratic kapa")
