"""Near-duplicates: the estimate is Jaccard's measure, what is alike is found, what is not is kept."""

import random

import pytest

from mashq.near import Near, alike
from mashq.rows import MashqError

WORDS = [f"كلمة{chr(0x0628 + i % 20)}{i}" for i in range(4000)]


def text(draw: random.Random, n: int) -> list[str]:
    return [draw.choice(WORDS) for _ in range(n)]


def jaccard(one: list[str], other: list[str], run: int = 5) -> float:
    a, b = ({tuple(t[i : i + run]) for i in range(len(t) - run + 1)} for t in (one, other))
    return len(a & b) / len(a | b)


def test_the_estimate_is_jaccards_measure():
    draw = random.Random(1)
    errors = []
    for changed in (1, 2, 3, 5, 8):
        for _ in range(20):
            one = text(draw, 200)
            other = list(one)
            for place in draw.sample(range(200), changed):
                other[place] = draw.choice(WORDS)
            near = Near(least=0.01)
            near.add(" ".join(one), "one")
            found = near.find(" ".join(other))
            assert found is not None and found[0] == "one"
            errors.append(found[1] - jaccard(one, other))
    assert abs(sum(errors) / len(errors)) < 0.01
    assert max(map(abs, errors)) < 0.17  # four standard errors at 0.5


def test_spelling_marks_and_punctuation_do_not_make_a_text_new():
    near = Near()
    assert near.add("ذهبَ الولدُ إلى المدرسةِ في الصباحِ، وعاد في المساء.", "a") is None
    assert near.add("ذهب الولد الى المدرسه في الصباح وعاد في المساء", "b") == ("a", 1.0)
    assert len(near) == 1


def test_different_texts_are_all_kept():
    draw = random.Random(2)
    near = Near()
    assert all(near.add(" ".join(text(draw, 60)), str(i)) is None for i in range(500))
    assert len(near) == 500


def test_short_and_empty_texts():
    near = Near()
    assert near.add("", "empty") is None and near.add(" … ", "marks") is None and len(near) == 0
    assert near.add("نعم", "yes") is None
    assert near.add("لا", "no") is None
    assert near.add("نعم!", "again") == ("yes", 1.0)


@pytest.mark.parametrize("settings", [{"least": 0.0}, {"least": 1.1}, {"run": 0}])
def test_values_out_of_range(settings):
    with pytest.raises(MashqError, match=r"near-duplicates: expected least in \(0, 1\] and run >= 1"):
        Near(**settings)


@pytest.mark.parametrize(("least", "run"), [(0.7, 5), (0.8, 2), (1.0, 1)])
def test_a_column_at_once_is_one_after_the_other(least, run):
    draw = random.Random(3)
    texts = [text(draw, draw.choice([0, 1, 3, 12, 40])) for _ in range(300)]
    texts += [[*one[:-1], draw.choice(WORDS)] for one in texts[:120] if one] + texts[40:90]
    draw.shuffle(texts)
    column = [" ".join(one) for one in texts] + ["", "؟", "؟"]
    near = Near(least, run)
    one_by_one = [near.add(one, str(place)) for place, one in enumerate(column)]
    found = alike(column, least, run)
    assert [one and (str(one[0]), one[1]) for one in found] == one_by_one
    assert 30 < sum(one is not None for one in found) < 200


def test_an_empty_column_and_one_without_words_have_no_copies():
    assert alike([]) == [] and alike(["", "؟", "؟"]) == [None] * 3
    with pytest.raises(MashqError, match=r"expected least in \(0, 1\]"):
        alike(["نص"], least=0)
