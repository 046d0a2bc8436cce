"""Empty, cut, looping, another script."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq.metrics.health import Health, check, is_looping, summary, word_loop
from mashq.rows import MashqError

STORY = (
    "خرج أحمد إلى السوق صباح الجمعة واشترى خبزا وزيتونا، ثم عاد إلى البيت فوجد جدته في انتظاره. "
    "قالت له: خرجت إلى السوق ولم تخبرني، فضحك أحمد وقال: أردت أن أفاجئك يا جدتي."
)


def test_a_story_is_well():
    assert check([STORY], ["stop"]) == [Health(empty=False, cut=False, looping=False, non_arabic=0.0)]


def test_an_empty_reply_has_no_script():
    assert check(["", "؟!"], ["stop", "length"]) == [
        Health(empty=True, cut=False, looping=False, non_arabic=None),
        Health(empty=True, cut=True, looping=False, non_arabic=None),
    ]


def test_the_share_of_other_letters_is_measured():
    (item,) = check(["سلام abcd"], ["stop"])
    assert item.non_arabic == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text",
    [
        "قال " * 12,
        f"{STORY} ثم ذهب إلى البيت ثم ذهب إلى البيت ثم ذهب إلى البيت ثم ذهب إلى البيت",
        f"{STORY} {STORY} {STORY}",
        "هه" * 30,
        "كان الولد يقول " + "لا، " * 10,
    ],
    ids=["word", "clause", "paragraph", "letters", "with commas"],
)
def test_a_loop_is_seen(text):
    assert is_looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "نعم",
        "يا رب يا رب يا رب ارحمنا",
        "-" * 80,
        "لا لا لا لا، لن أذهب",
        f"{STORY} {STORY}",
        "يا ليل يا عين غنى الفتى للقمر يا ليل يا عين وصفق له الناس يا ليل يا عين حتى طلع الفجر",
    ],
    ids=["empty", "one word", "prayer", "ruler", "emphasis", "said twice", "refrain"],
)
def test_emphasis_and_refrains_are_no_loops(text):
    assert not is_looping(text)


def test_summary_counts_shares_with_intervals():
    items = check([STORY, "", "قال " * 20, "abc"], ["stop", "stop", "length", "stop"])
    scores = summary(items, groups=["a", "b", "c", "d"])
    assert {name: score.value for name, score in scores.items()} == {
        "empty": 0.25,
        "cut": 0.25,
        "looping": 0.25,
        "refused": 0.0,
        "non_arabic": pytest.approx(1 / 3),
        "wrong_script": pytest.approx(1 / 3),
    }
    assert (scores["empty"].n, scores["non_arabic"].n) == (4, 3)
    assert "|ci:wilson|by:group|" in scores["cut"].signature


def test_nothing_but_empty_replies_has_no_script():
    assert set(summary(check(["", ""], ["stop", "stop"]))) == {"empty", "cut", "looping", "refused"}


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [("", None), ("نعم yes", False), ("نعم، yes it is", True), ("да", True), ("123 نعم", False)],
    ids=["empty", "half", "most", "none", "digits are no letters"],
)
def test_more_than_half_of_other_letters_is_the_wrong_script(reply, wrong):
    (found,) = check([reply], ["stop"])
    assert found.wrong_script is wrong


EGYPTIAN = "يا عم إزيك، إنت رايح فين دلوقتي؟ أنا عايز أروح السوق عشان أجيب شوية حاجات للبيت، ومش عارف أعمل إيه."


def test_a_reply_in_another_variety_than_asked_for_is_seen():
    replies, asked = [EGYPTIAN, EGYPTIAN, STORY, STORY, "", EGYPTIAN], ["egyptian", "msa", "msa", "", "msa", None]
    found = check(replies, ["stop"] * 6, asked)
    assert [item.wrong_variety for item in found] == [False, True, False, None, None, None]
    scores = summary(found)
    assert (scores["wrong_variety"].value, scores["wrong_variety"].n) == (pytest.approx(1 / 3), 3)
    assert scores["wrong_variety"].signature.startswith("wrong_variety|teller:shipped|replies:told|values:01|")


def test_a_variety_that_the_teller_does_not_know_is_not_judged():
    (found,) = check([STORY], ["stop"], ["klingon"])
    assert found.wrong_variety is None
    assert "wrong_variety" not in summary([found])


def test_an_empty_set_has_no_health():
    with pytest.raises(MashqError, match="An empty set has no score"):
        summary([])
    with pytest.raises(MashqError, match="health: finishes: expected 1, one per reply, got 0"):
        check(["نص"], [])
    with pytest.raises(MashqError, match="health: varieties: expected 1, one per reply, got 2"):
        check(["نص"], ["stop"], ["msa", "msa"])


def said_in_a_row(words, period):
    """By the definition: the most words in a row that are each the one a period before."""
    most = run = 0
    for place in range(period, len(words)):
        run = run + 1 if words[place] == words[place - period] else 0
        most = max(most, run)
    return most


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ا", "ب", "ج", "د", "ه", "و"]), max_size=60), st.integers(1, 12), st.integers(1, 6))
def test_a_loop_is_found_where_the_definition_has_one(words, period, times):
    said = words[:20] + words[:period] * times + words[20:]
    found = [
        (again, unit)
        for unit in range(1, min(100, len(said) // 3) + 1)
        if (again := said_in_a_row(said, unit)) >= max(8, 2 * unit)
    ]
    assert word_loop(said) == (found[0] if found else None)


def test_refusals_are_told_by_the_phrases_that_models_say():
    replies = ["كنموذج لغوي، لا يمكنني الإجابة عن هذا السؤال.", "القاهرة عاصمة مصر.", ""]
    found = check(replies, ["stop"] * 3)
    assert [one.refused for one in found] == [True, False, False]
    assert summary(found)["refused"].value == pytest.approx(1 / 3)
