"""How far raters agree."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mashq import __version__
from mashq.metrics.agreed import KRIPPENDORFF, LANDIS_KOCH, Agreement
from mashq.metrics.agreement import (
    LEVELS,
    WEIGHTS,
    alpha,
    exact,
    kappa,
    measures,
    pairwise,
    severity,
    spearman,
)
from mashq.metrics.ratings import Ratings
from mashq.metrics.resample import wilson
from mashq.rows import MashqError

NAN = float("nan")
# Twelve units, four observers, with missing values: the worked example of Krippendorff's "Computing Krippendorff's
# Alpha-Reliability" (2011), section D, where nominal alpha is .743, ordinal .815 and interval .849.
WORKED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
FEW = 40  # resamples, where the test is not about the interval


def matrices(raters=(2, 5), items=(1, 25), scores=(1, 5)):
    """(raters, items), each number from a range, with up to a third missing."""
    shape = st.tuples(st.integers(*raters), st.integers(*items))
    return st.builds(drawn, shape, st.just(scores), st.sampled_from([0, 0.1, 0.3]), st.integers(0, 2**32 - 1))


def drawn(shape, scores, missing, seed):
    generator = np.random.default_rng(seed)
    low, high = scores
    high = generator.integers(low, high + 1)  # often few different scores
    matrix = generator.integers(low, high + 1, size=shape).astype(float)
    matrix[generator.random(shape) < missing] = NAN
    return matrix


def full(raters, items, seed=0, noise=1):
    """Scores 1-5 of raters who differ by up to `noise`."""
    generator = np.random.default_rng(seed)
    true = generator.integers(1, 6, size=items)
    return np.clip(true + generator.integers(-noise, noise + 1, size=(raters, items)), 1, 5).astype(float)


def made(value, low=None, high=None, yardstick=LANDIS_KOCH, **more):
    return Agreement("kappa", value, low, high, 40, "kappa", 2, yardstick=yardstick, **more)


# --- equal to the peers ---


@settings(max_examples=100, deadline=None)
@given(matrices(), st.sampled_from(LEVELS))
def test_alpha_equals_krippendorff(matrix, level):
    peer = pytest.importorskip("krippendorff", reason="krippendorff is not installed")
    ours = alpha(Ratings.of_matrix(matrix), level=level, rounds=FEW)
    pairable = matrix[:, (~np.isnan(matrix)).sum(axis=0) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        assert ours.value is None
    else:
        theirs = peer.alpha(reliability_data=matrix, level_of_measurement=level)
        assert ours.value == pytest.approx(theirs, abs=1e-10)


@settings(max_examples=100, deadline=None)
@given(matrices(raters=(2, 2)), st.sampled_from(WEIGHTS))
def test_kappa_equals_scikit_learn(matrix, weights):
    peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    both = ~np.isnan(matrix).any(axis=0)
    ours = kappa(Ratings.of_matrix(matrix), weights=weights, rounds=FEW)
    if ours.value is None:
        assert not both.any() or len(np.unique(matrix[:, both])) == 1
    else:
        first, second = matrix[:, both].astype(int)
        theirs = peer.cohen_kappa_score(
            first, second, labels=range(1, 6), weights=None if weights == "plain" else weights
        )
        assert ours.value == pytest.approx(theirs, abs=1e-10)


@settings(max_examples=100, deadline=None)
@given(matrices(raters=(2, 2)))
def test_spearman_equals_scipy(matrix):
    from scipy.stats import spearmanr

    both = ~np.isnan(matrix).any(axis=0)
    ours = spearman(Ratings.of_matrix(matrix), rounds=FEW).value
    if ours is None:
        assert any(len(np.unique(row)) < 2 for row in matrix[:, both])
    else:
        assert ours == pytest.approx(spearmanr(*matrix[:, both]).statistic, abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(matrices(items=(2, 20), scores=(-30, 70)))
def test_wide_scales_equal_the_peers_too(matrix):
    peer = pytest.importorskip("krippendorff", reason="krippendorff is not installed")
    ratings = Ratings.of_matrix(matrix, scale=(-30, 70))
    for level in LEVELS:
        ours = alpha(ratings, level=level, rounds=FEW).value
        assume(ours is not None)
        assert ours == pytest.approx(peer.alpha(reliability_data=matrix, level_of_measurement=level), abs=1e-10)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level, published):
    found = alpha(Ratings.of_matrix(WORKED), level=level)
    assert found.value == pytest.approx(published, abs=0.0005)
    assert found.n == 11  # the twelfth unit has one rating
    assert found.low < found.value < found.high


def test_kappa_by_hand():
    # 50 items: both yes 20, first only 5, second only 10, both no 15. Observed 0.7, by chance 0.5*0.6 + 0.5*0.4 = 0.5.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert kappa(Ratings.of_matrix([first, second], scale=(0, 1))).value == pytest.approx(0.4)


def test_the_distance_is_that_of_the_scores_not_of_their_ranks():
    # Nobody gave 2 or 3. Distance 4-5 is 1 of 16 beside 1-5: numbered by rank it would be 1 of 4.
    ratings = Ratings.of_matrix([[1, 4, 5, 5, 1], [1, 5, 5, 4, 1]])
    squared = sum((a - b) ** 2 for a in [1, 4, 5, 5, 1] for b in [1, 5, 5, 4, 1]) / 25
    assert kappa(ratings, weights="quadratic").value == pytest.approx(1 - (2 / 5) / squared)


# --- several raters ---


def test_kappa_of_several_raters_who_rate_all_is_the_mean_over_pairs():
    ratings = Ratings.of_matrix(full(4, 40))
    found = kappa(ratings, weights="linear")
    pairs = pairwise(ratings, partial(kappa, weights="linear"))
    assert len(pairs) == 6
    assert (found.name, found.value) == (
        "linear kappa",
        pytest.approx(np.mean([pair.value for pair in pairs.values()])),
    )
    assert spearman(ratings).value == pytest.approx(
        np.mean([pair.value for pair in pairwise(ratings, spearman).values()])
    )


def test_a_pair_weighs_as_much_as_it_shares():
    matrix = full(3, 30)
    matrix[2, 10:] = NAN
    ratings = Ratings.of_matrix(matrix)
    pairs = pairwise(ratings, kappa)
    assert [pair.n for pair in pairs.values()] == [30, 10, 10]
    assert kappa(ratings).value == pytest.approx(
        sum(pair.n * pair.value for pair in pairs.values()) / sum(pair.n for pair in pairs.values())
    )


def test_pairs_without_a_value_are_counted():
    matrix = full(3, 20)
    matrix[2] = NAN
    found = kappa(Ratings.of_matrix(matrix))
    assert (found.left_out, found.raters, found.n) == (2, 3, 20)
    assert found.value == kappa(Ratings.of_matrix(matrix[:2])).value


def test_a_rater_who_always_gives_4_has_no_rho_and_is_left_out():
    matrix = full(3, 20)
    matrix[2] = 4
    assert spearman(Ratings.of_matrix(matrix)).left_out == 2
    alone = spearman(Ratings.of_matrix(matrix[1:]))
    assert (alone.value, alone.low, alone.high) == (None, None, None)
    assert alone.reason == "in every pair of raters that shares items one gave them all the same score"
    assert kappa(Ratings.of_matrix(matrix[1:])).value == pytest.approx(0)


def test_exact_share_counts_pairs_of_ratings():
    # Item by item: 3 of 3 pairs, 1 of 3, 0 of 1, and an item with one rating.
    ratings = Ratings.of_matrix([[4, 4, 2, 5], [4, 4, 3, NAN], [4, 5, NAN, NAN]])
    assert exact(ratings).value == pytest.approx(4 / 7)
    assert exact(ratings).n == 3


def test_exact_share_of_two_raters_has_wilsons_interval():
    found = exact(Ratings.of_matrix([[1] * 10, [1] * 8 + [2] * 2]))
    assert (found.low, found.high) == pytest.approx(wilson(0.8, 10))
    assert "|ci:wilson|" in found.signature


# --- intervals ---


def test_kappa_beside_a_rater_of_one_score_is_0_and_says_nothing_about_how_sure_that_is():
    matrix = [[1, 2, 3, 4, 5, 3] * 10, [3] * 60]
    for weights in WEIGHTS:
        found = kappa(Ratings.of_matrix(matrix), weights=weights)
        assert (found.value, found.low, found.high, found.trouble) == (0.0, None, None, "low")
        assert "no interval" in found.warning


def test_items_in_agreement_leave_room_below():
    matrix = np.tile(full(1, 20), (2, 1))
    for found in measures(Ratings.of_matrix(matrix)):
        assert found.value == pytest.approx(1)
        assert (found.low, found.high) == pytest.approx((wilson(1.0, 20)[0], 1.0))


def test_one_cluster_has_no_interval():
    found = alpha(Ratings.of_matrix(full(3, 10), groups=["a"] * 10))
    assert found.value is not None
    assert (found.low, found.high, found.trouble) == (None, None, "no interval")
    assert "Rate items of more than one group" in found.warning


def test_whole_groups_are_drawn():
    once = full(2, 30, noise=2)
    repeated = np.repeat(once, 6, axis=1)
    groups = [str(item // 6) for item in range(180)]
    told = kappa(Ratings.of_matrix(repeated, groups=groups), weights="quadratic")
    untold = kappa(Ratings.of_matrix(repeated), weights="quadratic")
    single = kappa(Ratings.of_matrix(once), weights="quadratic")
    assert told.value == pytest.approx(untold.value) == pytest.approx(single.value)
    # Six copies of a rating say nothing new.
    assert told.high - told.low == pytest.approx(single.high - single.low, rel=0.1)
    assert untold.high - untold.low < 0.6 * (told.high - told.low)


def test_intervals_of_five_groups_hold_the_true_agreement():
    generator, held = np.random.default_rng(40), 0
    groups, cuts = [str(item // 4) for item in range(20)], (-1.2, -0.4, 0.4, 1.2)

    def rated(clusters):
        quality = 0.6 * np.repeat(generator.normal(size=clusters), 4) + 0.6 * generator.normal(size=4 * clusters)
        return 1.0 + np.searchsorted(cuts, quality + 0.5 * generator.normal(size=(3, 4 * clusters)))

    true = alpha(Ratings.of_matrix(rated(20_000)), rounds=2).value
    for _ in range(300):
        found = alpha(Ratings.of_matrix(rated(5), groups=groups), rounds=300)
        held += found.low <= true <= found.high
    assert held >= 0.93 * 300  # the bootstrap alone held it in 89 %


def test_the_share_of_equal_ratings_is_never_below_none():
    found = exact(Ratings.of_matrix([[1, 2, 3, 4, 5], [2, 3, 4, 5, 5], [3, 4, 5, 1, 5]]))
    assert found.low == 0.0 < found.value < found.high < 1


def test_resamples_without_a_value_reach_both_ends():
    first = [1] * 19 + [2]
    found = kappa(Ratings.of_matrix([first, first]))
    assert found.undefined == pytest.approx(0.95**20, abs=0.05)  # the item that differs is not drawn
    assert (found.value, found.low, found.high, found.trouble) == (1.0, -1.0, 1.0, "unsure")


def test_the_same_seed_gives_the_same_interval_and_the_order_of_triples_does_not_matter():
    triples = [(str(item), str(rater), int(score)) for (rater, item), score in np.ndenumerate(full(3, 25))]
    groups = {str(item): f"g{item // 2}" for item in range(25)}
    one, other = Ratings.of(triples, groups=groups), Ratings.of(triples[::-1], groups=groups)
    first, second = measures(one, seed=3), measures(other, seed=3)
    assert first == second
    assert measures(one, seed=4) != first


@settings(max_examples=50, deadline=None)
@given(matrices(items=(1, 12)), st.booleans())
def test_an_interval_holds_its_value_and_stays_in_range(matrix, grouped):
    groups = [f"g{item // 2}" for item in range(matrix.shape[1])] if grouped else None
    for found in measures(Ratings.of_matrix(matrix, groups=groups), rounds=FEW):
        assert (found.value is None) == bool(found.reason)
        if found.low is not None:
            assert -1 <= found.low <= found.value <= found.high <= 1


# --- no value ---


def test_one_score_used_by_all_has_no_alpha_and_no_kappa():
    ratings = Ratings.of_matrix([[4, 4, 4], [4, 4, 4]])
    found = alpha(ratings)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.reason == "all ratings are 4, so no disagreement is to be expected by chance"
    assert found.warning == f"ordinal alpha has no value: {found.reason}."
    assert kappa(ratings).reason == "every pair of raters that shares items used one and the same score on them"
    assert exact(ratings).value == 1


def test_no_shared_item_has_no_value():
    ratings = Ratings.of_matrix([[4, NAN], [NAN, 3]])
    for found in measures(ratings):
        assert (found.value, found.n, found.reason) == (None, 0, "no item was rated by two raters")
    assert severity(ratings) == {"1": None, "2": None}


def test_a_study_in_which_nobody_has_rated_yet_has_no_value():
    ratings = Ratings.of([("a", "Mona", None), ("a", "Ali", None)])
    assert {found.value for found in measures(ratings)} == {None}


# --- severity ---


def test_severity_is_the_mean_difference_from_the_others_on_the_same_items():
    ratings = Ratings.of_matrix([[3, 2, NAN, 1], [4, 4, 5, NAN], [5, 3, NAN, NAN]], raters=["Sara", "Omar", "Huda"])
    found = severity(ratings)
    # Sara: 3 - 4.5, 2 - 3.5. Omar: 4 - 4, 4 - 2.5. Huda: 5 - 3.5, 3 - 3. The third and fourth item have one rating.
    assert {name: (score.value, score.n) for name, score in found.items()} == {
        "Sara": (-1.5, 2),
        "Omar": (0.75, 2),
        "Huda": (0.75, 2),
    }
    assert found["Sara"].name == "severity of Sara"
    assert found["Sara"].signature.startswith("severity|scale:1..5|from:mean-of-others|agg:mean|ci:bootstrap")


def test_a_planted_severity_lies_in_its_interval():
    matrix = np.clip(full(4, 120, seed=8) + 1, 2, 5)
    matrix[1] -= 1
    score = severity(Ratings.of_matrix(matrix))["2"]
    assert score.low < -1 < score.high < -0.5


# --- words and warnings ---


@pytest.mark.parametrize(
    ("value", "word"),
    [(-0.2, "poor"), (0, "slight"), (0.2, "slight"), (0.21, "fair"), (0.4, "fair"), (0.41, "moderate"),
     (0.61, "substantial"), (0.81, "almost perfect"), (1, "almost perfect")],
)  # fmt: skip
def test_words_for_kappa_are_those_of_landis_and_koch(value, word):
    assert made(value).word == word


@pytest.mark.parametrize(("value", "word"), [(0.5, "unreliable"), (0.667, "tentative"), (0.8, "reliable")])
def test_words_for_alpha_are_those_of_krippendorff(value, word):
    assert made(value, yardstick=KRIPPENDORFF).word == word


def test_only_fair_agreement_is_warned_of():
    found = made(0.33, 0.2, 0.45)
    assert found.trouble == "low"
    assert found.warning == (
        "Agreement is only fair: kappa 0.33, 95 % interval 0.20 to 0.45, n = 40. Make the guidelines clearer, look at "
        "where the raters differ, and do not rest a claim on these scores (the limit is 0.41, 'moderate' in Landis and "
        "Koch 1977, table on page 165)."
    )


def test_the_lower_end_is_warned_of_too():
    found = made(0.55, 0.3, 0.75)
    assert found.trouble == "unsure"
    assert found.warning.startswith(
        "Agreement may be only fair: kappa 0.55, 95 % interval 0.30 to 0.75, n = 40. Have more items rated"
    )


def test_good_agreement_has_no_warning():
    assert (made(0.8, 0.7, 0.9).trouble, made(0.8, 0.7, 0.9).warning) == ("", "")
    assert made(0.1, 0.0, 0.2, yardstick=None).warning == ""


def test_real_ratings_are_warned_of_by_their_number():
    noisy = full(2, 400, noise=2)
    assert kappa(Ratings.of_matrix(noisy)).trouble == "low"
    assert kappa(Ratings.of_matrix(full(2, 400)), weights="quadratic").trouble == ""
    assert kappa(Ratings.of_matrix(full(2, 30, noise=2)), weights="quadratic").trouble == "unsure"


def test_signature_names_the_recipe():
    ratings = Ratings.of_matrix(WORKED, groups=[str(item // 2) for item in range(12)])
    assert alpha(ratings, seed=7).signature == (
        f"alpha|level:ordinal|scale:1..5|ci:bootstrap1000+jackknife-z|by:group|seed:7|mashq:{__version__}"
    )
    assert kappa(ratings, weights="linear", rounds=99).signature.startswith(
        "kappa|weights:linear|scale:1..5|agg:pairs|ci:bootstrap99+jackknife-z|by:group|"
    )


# --- what is refused ---


@pytest.mark.parametrize("score", [0, 6, 2.5, NAN, float("inf"), "4"])
def test_a_score_off_the_scale_is_refused(score):
    with pytest.raises(MashqError, match=r"ratings: item 'a', rater 'Ali': expected an integer from 1 to 5, got "):
        Ratings.of([("a", "Mona", 3), ("a", "Ali", score)])


def test_a_matrix_with_a_score_off_the_scale_is_refused():
    with pytest.raises(MashqError, match=r"item 1, rater '2': expected an integer from 1 to 5, got 7\..*scale="):
        Ratings.of_matrix([[1, 2], [1, 7]])


def test_two_scores_of_one_rater_for_one_item_are_refused():
    with pytest.raises(MashqError, match=r"item 'a', rater 'Ali': expected one score, got two\. Keep the rater's last"):
        Ratings.of([("a", "Ali", 3), ("a", "Ali", 3)])


def test_an_item_without_a_name_is_refused():
    with pytest.raises(MashqError, match="expected names of item and rater as text, got None, 'Ali'"):
        Ratings.of([("a", "Mona", 3), (None, "Ali", 3)])


def test_one_rater_is_refused():
    with pytest.raises(MashqError, match=r"ratings: expected at least two raters, got 1\. Agreement is between raters"):
        Ratings.of([("a", "Ali", 3), ("b", "Ali", 3)])
    with pytest.raises(MashqError, match="at least one item, got none"):
        Ratings.of([])
    with pytest.raises(MashqError, match="at least one item, got none"):
        Ratings.of_matrix(np.zeros((2, 0)))


@pytest.mark.parametrize("matrix", [[[1, 2], [1]], [1, 2], [["جيد", 2], [1, 2]]])
def test_a_matrix_of_another_shape_is_refused(matrix):
    with pytest.raises(MashqError, match="ratings: expected"):
        Ratings.of_matrix(matrix)


def test_names_and_groups_of_another_length_are_refused():
    with pytest.raises(MashqError, match="ratings: groups: expected 2, one per item, got 1"):
        Ratings.of_matrix([[1, 2], [1, 2]], groups=["a"])
    with pytest.raises(MashqError, match="ratings: raters: expected 2 different names"):
        Ratings.of_matrix([[1, 2], [1, 2]], raters=["Ali", "Ali"])


def test_unknown_names_say_what_there_is():
    ratings = Ratings.of_matrix([[1, 2], [1, 2]], raters=["Mona", "Ali"])
    with pytest.raises(MashqError, match=r"kappa: weights: .* got 'quadratik'\. Did you mean 'quadratic'"):
        kappa(ratings, weights="quadratik")
    with pytest.raises(MashqError, match="alpha: level: expected one of nominal, ordinal, interval, got 'ratio'"):
        alpha(ratings, level="ratio")
    with pytest.raises(MashqError, match=r"rater: expected one of Mona, Ali, got 'Muna'\. Did you mean 'Mona'"):
        ratings.pair("Muna", "Ali")
    with pytest.raises(MashqError, match="two different raters, got 'Ali' twice"):
        ratings.pair("Ali", "Ali")
    with pytest.raises(MashqError, match="scale: expected a lowest below a highest score, got 5 to 1"):
        Ratings.of_matrix([[], []], scale=(5, 1))
