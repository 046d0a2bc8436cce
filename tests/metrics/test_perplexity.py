"""Perplexity and bits per byte from summed nats."""

import math

import numpy as np
import pytest

from mashq.metrics.perplexity import bits_per_byte, compare_bits_per_byte, item_bits_per_byte, perplexity
from mashq.rows import MashqError


def test_a_uniform_choice_of_8_has_perplexity_8():
    score = perplexity([10 * math.log(8), 5 * math.log(8)], [10, 5], tokenizer="toy")
    assert score.value == pytest.approx(8.0)
    # Two equal items show no spread, and a perplexity has no greatest value: nothing tells how far off it is.
    assert (score.low, score.high, score.interval_by) == (None, None, "none: no spread and no known range")
    assert "|tokenizer:toy|agg:ratio|ci:bootstrap1000|" in score.signature


def test_bits_per_byte_of_a_random_byte_is_8():
    text = "سلام"
    nats = len(text.encode()) * math.log(256)
    assert bits_per_byte([nats, nats], [8, 8]).value == pytest.approx(8.0)


def test_the_set_is_scored_by_sums_and_not_by_the_mean_of_items():
    nats = [math.log(2) * 10, math.log(2) * 10]
    assert item_bits_per_byte(nats, [10, 40]) == pytest.approx([1.0, 0.25])
    assert bits_per_byte(nats, [10, 40]).value == pytest.approx(20 / 50)


def test_interval_holds_the_value_and_groups_are_named():
    generator = np.random.default_rng(0)
    sizes = generator.integers(50, 500, size=60)
    nats = sizes * generator.gamma(9, 0.1, size=60)
    score = bits_per_byte(nats, sizes, groups=[str(index // 3) for index in range(60)])
    assert score.low < score.value < score.high
    assert "|by:group|" in score.signature


def test_an_empty_reference_is_refused():
    with pytest.raises(MashqError, match="bits_per_byte: item 1: expected nats of at least 0 and bytes above 0"):
        bits_per_byte([1.0, 1.0], [4, 0])
    with pytest.raises(MashqError, match=r"perplexity: item 0: .* got -1 nats over 4 tokens"):
        perplexity([-1.0], [4], tokenizer="toy")
    with pytest.raises(MashqError, match="An empty set has no score"):
        bits_per_byte([], [])
    with pytest.raises(MashqError, match="bits_per_byte: bytes: expected 2, one per item, got 1"):
        bits_per_byte([1.0, 1.0], [4])


def test_comparison_is_the_difference_of_the_scores():
    generator = np.random.default_rng(1)
    sizes = generator.integers(50, 500, size=40)
    base = sizes * generator.gamma(9, 0.1, size=40)
    tuned = base * generator.uniform(0.7, 0.95, size=40)
    result = compare_bits_per_byte(tuned, base, sizes)
    expected = bits_per_byte(tuned, sizes).value - bits_per_byte(base, sizes).value
    assert result.difference == pytest.approx(expected)
    assert result.difference < 0
    assert (result.wins, result.losses) == (40, 0)
    assert result.p < 0.001


def test_a_perplexity_beyond_all_numbers_is_refused_without_a_warning():
    with pytest.raises(MashqError, match="perplexity: expected a ratio whose value is a number, got a ratio of 500000"):
        perplexity([1e6, 1], [1, 1], tokenizer="toy")


def test_an_interval_beyond_all_numbers_is_left_out_and_said():
    score = perplexity([700.0, 650.0], [1, 1], tokenizer="toy")
    assert score.value == pytest.approx(math.exp(675))
    assert (score.low, score.high, score.interval_by) == (None, None, "none: beyond all numbers")


def test_bits_of_few_texts_are_never_below_0():
    assert bits_per_byte([0.5, 6.0], [10, 10]).low == 0.0
