import csv
from collections import Counter
from pathlib import Path

import pytest
import yaml

from mashq import rows, stories, story_checks
from mashq.rows import MashqError
from mashq.stories import RELEASED, Slots
from mashq.story_checks import Limits, read_verdict
from mashq.word_patterns import fold, word_pattern

VARIETIES = stories.varieties()
SENTENCES = yaml.safe_load((Path(__file__).parent / "varieties.yaml").read_text("utf-8"))
# Three stories of our own, each what its prompt asks for.
SLOTS = {
    "msa": Slots("msa", "5-8", "happy", "2", "JO", dialogue=True, place="library", season="winter"),
    "egyptian": Slots("egyptian", "5-8", "happy", "2", "EG", dialogue=True, place="market", season="summer"),
    "moroccan": Slots("moroccan", "5-8", "happy", "2", "MA", dialogue=True, place="home", season="spring"),
}
STORIES = {
    "msa": "في صباح بارد من فصل الشتاء في الأردن، دخلت هند إلى المكتبة وهي تبحث عن كتاب جديد. كانت معها صديقتها سعاد "
    "التي تحب القصص. قالت هند: «هل قرأتِ هذا الكتاب؟» فأجابت سعاد: «لم أقرأه بعد، لكنه يبدو جميلًا». جلستا قرب "
    "النافذة، وبدأت هند تقرأ بصوت هادئ، بينما كان المطر يضرب الزجاج. عندما انتهت القصة ابتسمت سعاد وشكرت صديقتها، "
    "ثم وعدتها بأن تقرأ لها في الأسبوع القادم قصة أخرى. وهكذا عادت الصديقتان إلى البيت سعيدتين بذلك اليوم الجميل.",
    "egyptian": "كان يا ما كان، في يوم صيف حر في مصر، نزلت منى السوق مع أخوها كريم عشان يشتروا مانجا. السوق كان "
    "زحمة أوي، وكريم كان مش عايز يسيب إيد منى. قال لها: «هو إحنا هنلاقي مانجا حلوة النهارده؟» ردت منى: «أيوه، بس "
    "خليك جنبي كده وما تبعدش». لفوا السوق كله لحد ما لقوا راجل طيب بيبيع مانجا زي العسل. كريم فرح خالص، وقعدوا "
    "تحت شجرة ياكلوا ويضحكوا. ولما رجعوا البيت، قالوا لأمهم كل حاجة حصلت، وهي كمان ضحكت وفرحت بيهم أوي.",
    "moroccan": "واحد النهار ديال الربيع في المغرب، كانت سلمى جالسة في الدار مع خوها ياسين. الشمس كانت طالعة وكلشي "
    "زوين برا. قالت سلمى: «واش بغيتي نغرسو شي وردة حدا الباب؟» جاوبها ياسين: «واخا، غير قولي ليا شنو خاصنا ندير». "
    "جابو التراب والما وبداو كايخدمو بزاف ديال الوقت حتى عياو. من بعد شي أيام، خرجات الوردة وكانت زوينة بزاف. فرحو "
    "بيها الوالدين ديالهم، وقالو ليهم بلي هاد الجردة غادي تولي أحسن جردة في الحومة كاملة.",
}


def message(slots: Slots, story: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": stories.prompt(slots)}, {"role": "assistant", "content": story}]


# --- checks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", RELEASED)
def test_a_story_that_obeys_passes_every_check(variety):
    found = story_checks.check(STORIES[variety], SLOTS[variety])
    expected = {"length", "variety", "characters", "country", "season", "place", "dialogue"}
    assert found == dict.fromkeys(expected)
    assert story_checks.obedience(STORIES[variety], SLOTS[variety]) == 1.0


@pytest.mark.parametrize("variety", RELEASED)
def test_variety_is_told_by_its_words(variety):
    assert story_checks.variety_of(STORIES[variety]) == variety


def test_a_text_without_marker_words_has_no_variety():
    assert story_checks.variety_of("قطة صغيرة") is None


def test_each_check_says_what_is_missing():
    slots = Slots("msa", "5-8", "happy", "1", "TN", season="summer", place="circus", dialogue=True)
    story = "في الأردن ثلاثة أصدقاء في المكتبة، وهذا الشتاء بارد لم يره أحد من قبل."
    assert story_checks.check(story, slots) == {
        "length": "short: 14 words < 60",
        "variety": None,
        "characters": "characters: 3 counted > 1 asked for",
        "country": "country: تونس is not in the story",
        "season": "season: الصيف is not in the story",
        "place": "place: السيرك is not in the story",
        "dialogue": "dialogue: no quotation marks and no lines with a dash",
    }


def test_a_prefix_is_read_and_a_longer_word_is_not():
    slots = Slots("msa", "5-8", "happy", "1", "QA")
    assert story_checks.check("وصل إلى الدوحة بقطر.", slots)["country"] is None
    assert story_checks.check("سقطت قطرات المطر.", slots)["country"] == "country: قطر is not in the story"


def test_characters_are_counted_by_their_introductions():
    slots = Slots("egyptian", "5-8", "happy", "1", "EG")
    story = "كان فيه ولد اسمه كريم، وعنده قطة اسمها مشمش."
    assert story_checks.check(story, slots)["characters"] == "characters: 2 named > 1 asked for"
    assert story_checks.check("كان فيه ولد اسمه كريم، والولد ده اسمه كريم بجد.", slots)["characters"] is None


# --- keep or drop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", RELEASED)
def test_a_good_story_is_kept(variety):
    must = story_checks.CHECKS
    assert story_checks.reasons(STORIES[variety], SLOTS[variety], must=must) is None


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (" \n", "empty"),
        ("Once upon a time " * 30, "not Arabic: 0.00 of letters < 0.95"),
        ("كان يا ما كان.", "short: 4 words < 60"),
        (STORIES["msa"] * 8, "long: "),
        ("ذهب الولد إلى السوق ثم عاد. " * 15, "loops: "),
        (STORIES["msa"][:-1], "cut: ends with 'الجميل', not with a sentence"),
        (STORIES["msa"] + " ثم خرجت", "cut: ends with 'خرجت'"),
    ],
)
def test_a_bad_story_is_dropped_with_the_reason(story, reason):
    found = story_checks.reasons(story, SLOTS["msa"])
    assert found is not None and found.startswith(reason)


def test_a_copy_of_the_prompt_is_dropped():
    slots = stories.draw(1, "msa", 5)[0]
    prompt = stories.prompt(slots)
    limits = Limits(least_words=5)
    found = story_checks.reasons(prompt, slots, asked=prompt, limits=limits)
    assert found == "copies the prompt: 1.00 of 5-word runs > 0.2"


def test_must_names_checks_that_a_story_has_to_pass():
    slots = Slots("msa", "5-8", "happy", "2", "TN")
    assert story_checks.reasons(STORIES["msa"], slots) is None
    assert (
        story_checks.reasons(STORIES["msa"], slots, must=("variety", "country")) == "country: تونس is not in the story"
    )
    with pytest.raises(MashqError, match=r"no check 'contry'.*Did you mean 'country'"):
        story_checks.reasons(STORIES["msa"], slots, must=("contry",))


def test_replies_are_kept_or_dropped_by_the_prompt_in_them():
    table = rows.conform(
        {
            "id": rows.source_ids("test", "1", n=4),
            "messages": [
                message(SLOTS["msa"], STORIES["msa"]),
                message(SLOTS["egyptian"], STORIES["msa"]),
                [{"role": "user", "content": "ما عاصمة مصر؟"}, {"role": "assistant", "content": "القاهرة"}],
                message(SLOTS["msa"], "")[:1],
            ],
        }
    )
    kept, wrong, foreign, none = story_checks.reasons_column(table, must=("variety",)).to_pylist()
    assert kept is None
    assert wrong == "variety: reads as msa, asked for egyptian"
    assert foreign.startswith("story prompt: expected sentences of")
    assert none == "no reply: the last turn is not the assistant's"


# --- varieties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", VARIETIES)
def test_the_words_of_a_variety_tell_its_sentences_from_all_others(variety):
    assert len(SENTENCES[variety]) >= 5
    for sentence in SENTENCES[variety]:
        assert story_checks.variety_of(sentence, VARIETIES) == variety, story_checks.marker_counts(sentence)


@pytest.mark.parametrize("variety", VARIETIES[1:])  # the standard's words are everybody's
def test_the_words_of_one_variety_alone_do_not_mark_the_others(variety):
    """Words that no other variety's list has stand in no sentence of another variety."""
    lists = {name: set(stories._read(name)["markers"]) for name in VARIETIES}
    alone = lists[variety] - set().union(*(words for name, words in lists.items() if name != variety))
    pattern = word_pattern(sorted(alone), prefixes=False)
    fired = {
        name: found
        for name, sentences in SENTENCES.items()
        if name != variety and (found := [word for one in sentences for word in pattern.findall(fold(one))])
    }
    assert not fired


def test_a_story_in_a_further_variety_is_told_from_all_and_a_released_one_from_the_released():
    levantine = " ".join(SENTENCES["levantine"])
    asked = {name: Slots(name, "5-8", "happy", "2", "SY") for name in ("levantine", "gulf", "egyptian")}
    assert story_checks.check(levantine, asked["levantine"])["variety"] is None
    assert story_checks.check(levantine, asked["gulf"])["variety"] == "variety: reads as levantine, asked for gulf"
    assert story_checks.variety_of(levantine) in (*RELEASED, None)


# --- what a judge is asked -------------------------------------------------------------------------------------------


def test_a_judge_is_asked_for_what_words_cannot_tell():
    slots = Slots("egyptian", "3-5", "sad", "2", "EG", moral="greed", topic="travel", twist="it_was_a_play")
    asked = story_checks.judge_questions(slots)
    assert [name for name, _ in asked] == ["ending", "moral", "topic", "twist", "age"]
    assert dict(asked)["ending"] == "هل نهاية القصة حزينة؟ أجب بكلمة واحدة، نعم أو لا."
    assert "الطمع يقود صاحبه إلى السقوط" in dict(asked)["moral"]
    assert "الطمع بيوقّع صاحبه" in dict(story_checks.judge_questions(slots, "egyptian"))["moral"]
    assert [name for name, _ in story_checks.judge_questions(Slots("msa", "3-5", "sad", "2", "EG"))] == [
        "ending",
        "age",
    ]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("نعم", True),
        ("نَعَم.", True),
        ("**لا**", False),
        ("لا، لأن البطل عاد إلى بيته.\nنعم", False),
        ("الإجابة: نعم، النهاية سعيدة", True),
        ("Answer: No.", False),
        ("Yes", True),
        ("غير صحيح", False),
        ("ليست حزينة", False),
        ("أيوه طبعًا", True),
        ("أجب بكلمة واحدة، نعم أو لا. لا", False),
        ("<think>لا أظن، لا</think>نعم", True),
        ("لا شك في ذلك، نعم", True),
        ("نعم أو لا", None),
        ("نعم ولا", None),
        ("لا أعرف", None),
        ("لا يمكن الحكم", None),
        ("I'm not sure", None),
        ("ربما", None),
        ("", None),
        ("\x00" * 10 + "\ud800", None),
        ("القصة جميلة " * 20 + "نعم", None),
    ],
)
def test_a_verdict_is_read_from_what_a_judge_says(said, verdict):
    assert read_verdict(said) is verdict


# --- real rows -------------------------------------------------------------------------------------------------------


def real(data: Path, variety: str) -> list[dict[str, str]]:
    with (data / f"arastories_{variety}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# Reference rates (AraStories, all rows): country 97-98 %, season 91-98 %, dialogue 97-99.6 %; variety by a lexicon of
# 15 words 99.9, 95.7 and 84.9 %.
@pytest.mark.parametrize(
    ("variety", "least"),
    [
        ("msa", {"country": 0.97, "season": 0.97, "dialogue": 0.97, "variety": 0.999, "characters": 0.94}),
        ("egyptian", {"country": 0.97, "season": 0.97, "dialogue": 0.97, "variety": 0.957, "characters": 0.92}),
        ("moroccan", {"country": 0.97, "season": 0.97, "dialogue": 0.96, "variety": 0.849, "characters": 0.95}),
    ],
)
def test_real_stories_pass_the_checks_as_often_as_the_reference(data, variety, least):
    passed: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    kept = 0
    records = real(data, variety)
    for record in records:
        slots = stories.parse_prompt(record["Prompt"])
        for name, reason in story_checks.check(record["Story"], slots).items():
            asked[name] += 1
            passed[name] += reason is None
        kept += story_checks.reasons(record["Story"], slots, asked=record["Prompt"]) is None
    rates = {name: passed[name] / asked[name] for name in asked}
    assert all(rates[name] >= bound for name, bound in least.items()), rates
    assert rates["length"] == 1.0
    assert kept / len(records) >= 0.99
