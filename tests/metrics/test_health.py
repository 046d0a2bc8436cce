"""Empty, cut, looping, another script."""

import csv

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


@pytest.mark.parametrize("text", ["_" * 40, "ـ" * 40, "ـــ", "ـَـ", "ـ\u0653ـ ـ\u200cـ", "__ـ ___"])
def test_strokes_alone_are_an_empty_reply_and_no_loop(text):
    assert check([text], ["stop"]) == [Health(empty=True, cut=False, looping=False, non_arabic=None)]


def test_a_hamza_on_a_stroke_and_a_stretched_word_are_written():
    assert not any(item.empty for item in check(["ـ\u0654", "هـ", "ـ5"], ["stop"] * 3))


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
        "1 2 3 " * 6,
        "1. نعم\n" * 9,
        "هـ" * 20,
        "أ1" * 20,
        "ـه" * 20 + "ـ",
    ],
    ids=["word", "clause", "paragraph", "letters", "with commas", "numbers", "lines", "stretched", "digits", "tatweel"],
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
        f"الاسم: {'_' * 25} العمر: {'_' * 25}",
        "العدد 1" + "0" * 25,
        "يساوي 0." + "3" * 23 + " أو ٠٫" + "١٢" * 20,
        f"الح{'ـ' * 25}مد لله",
        ("ـ" * 25 + "\n") * 12,
    ],
    ids=[
        "empty",
        "one word",
        "prayer",
        "ruler",
        "emphasis",
        "said twice",
        "refrain",
        "form",
        "long number",
        "decimals",
        "stretched word",
        "rulers of tatweel",
    ],
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
    [
        ("", None),
        ("نعم yes", False),
        ("نعم، yes it is", True),
        ("да", True),
        ("123 نعم", False),
        ("1945", None),
        ("١٩٤٥", None),
        ("5 %", None),
        ("👍", None),
    ],
    ids=["empty", "half", "most", "none", "digits are no letters", "year", "Arabic digits", "percent", "emoji"],
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
    assert scores["wrong_variety"].signature.startswith(
        "wrong_variety|teller:shipped|replies:told-of-5-words|values:01|"
    )


def test_a_variety_that_the_teller_does_not_know_is_not_judged():
    (found,) = check([STORY], ["stop"], ["klingon"])
    assert found.wrong_variety is None
    assert "wrong_variety" not in summary([found])


def test_a_number_has_no_share_of_arabic_letters():
    items = check(["1945", "القاهرة"], ["stop"] * 2)
    assert [item.non_arabic for item in items] == [None, 0.0]
    assert (summary(items)["wrong_script"].n, summary(items)["non_arabic"].value) == (1, 0.0)


@pytest.mark.parametrize("asked", ["egyptian", "moroccan", "msa"])
@pytest.mark.parametrize("reply", ["نعم", "لا", "القاهرة", "سلبي", "أكل", "بنت", "طيب", "فيه", "بنت في البيت"])
def test_a_short_reply_is_in_no_wrong_variety(reply, asked):
    (found,) = check([reply], ["stop"], [asked])
    assert found.wrong_variety is None


def test_short_replies_do_not_count_among_those_told():
    scores = summary(check(["نعم", EGYPTIAN], ["stop"] * 2, ["msa", "msa"]))
    assert (scores["wrong_variety"].value, scores["wrong_variety"].n) == (1.0, 1)


def test_words_of_other_scripts_do_not_make_a_reply_long_enough_to_be_told():
    (found,) = check(["عايز Python a language model for training"], ["stop"], ["msa"])
    assert found.wrong_variety is None


def test_a_short_standard_sentence_is_told_where_it_is_sure():
    sure = "يعتقد أن هذه السفينة قد غرقت في المحيط بسبب خلل تقني."
    found = check([sure, "الراجل ده طيب خالص وعايز يروح"], ["stop"] * 2, ["egyptian", "msa"])
    assert [item.wrong_variety for item in found] == [True, True]


def openings(texts, words):
    return [" ".join(text.split()[:words]) for text in texts if len(text.split()) >= words]


def false_alarms(texts, asked):
    found = check(texts, ["stop"] * len(texts), [asked] * len(texts))
    return sum(item.wrong_variety is True for item in found) / len(found)


@pytest.mark.parametrize(("words", "most"), [(1, 0.0), (3, 0.0), (4, 0.0), (5, 0.005), (8, 0.002), (15, 0.0)])
def test_openings_of_real_standard_sentences_are_hardly_called_dialect(data, words, most):
    with (data / "ntrex_en_ar.tsv").open(encoding="utf-8") as file:
        texts = [row["ar"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert false_alarms(openings(texts, words), "msa") <= most


@pytest.mark.parametrize(
    ("words", "most"), [(1, 0.0), (3, 0.0), (4, 0.0), (5, 0.02), (10, 0.02), (20, 0.02), (40, 0.04)]
)
def test_openings_of_real_egyptian_stories_are_hardly_called_another_variety(data, words, most):
    with (data / "arastories_egyptian.csv").open(encoding="utf-8") as file:
        texts = [row["Story"] for row in csv.DictReader(file)]
    assert false_alarms(openings(texts, words), "egyptian") <= most


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


@pytest.mark.parametrize(
    "reply",
    [
        "قال البطل: لا أستطيع مساعدتك يا صديقي في الهروب.",
        "فقالت له الجدة بحزن: «لا أستطيع مساعدتك»، ثم بكت.",
        "خرجت مريم وقالت: “أعتذر، لا أستطيع” ومضت.",
        'طرق الباب فسمع صوتا: "لا يمكنني مساعدتك الآن',
        "كان يا ما كان.\n- لا أستطيع مساعدتك.\n- لماذا؟",
    ],
    ids=["he said", "guillemets", "curly marks", "open quotation", "lines of dialogue"],
)
def test_a_character_who_cannot_help_is_no_refusal(reply):
    (found,) = check([reply], ["stop"])
    assert not found.refused


@pytest.mark.parametrize(
    "reply",
    [
        "آسف، لا يمكنني المساعدة في هذا الطلب.",
        "«لا أستطيع مساعدتك.»",
        "- لا أستطيع المساعدة في ذلك.",
        "المساعد: لا يمكنني المساعدة.",
        "رد المساعد: لا يمكنني المساعدة.",
        "أقول لك: لا أستطيع المساعدة.",
        'عذرا، لا أستطيع كتابة قصة عن "العنف".',
        "As an AI language model, I can't.",
    ],
)
def test_a_refusal_is_seen_in_the_replys_own_voice(reply):
    (found,) = check([reply], ["stop"])
    assert found.refused
