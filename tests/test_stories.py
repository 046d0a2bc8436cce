import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import rows, stories
from mashq.rows import MashqError
from mashq.stories import Limits, Slots

VARIETIES = ("msa", "egyptian", "moroccan")
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


# --- the data --------------------------------------------------------------------------------------------------------


def test_every_slot_of_the_paper_has_its_probability():
    table = yaml.safe_load((stories.DATA / "slots.yaml").read_text("utf-8"))
    always = {name for name, p in table["probability"].items() if p == 1.0}
    assert always == {"age", "ending", "characters", "country"}
    assert {p for name, p in table["probability"].items() if name not in always} == {0.45}
    assert len(table["probability"]) == len(table["order"]) == 12


@pytest.mark.parametrize("variety", VARIETIES)
def test_no_text_of_ours_has_double_spaces_or_a_full_stop_inside(variety):
    for seed in range(3):
        for slots in stories.draw(100, variety, seed):
            text = stories.prompt(slots)
            assert "  " not in text and " ." not in text and ".." not in text and "{" not in text
            assert text == text.strip()


def test_two_values_of_a_slot_never_share_a_text():
    for slot, values in stories._table().texts.items():
        for variety in VARIETIES:
            texts = [entry[variety] for entry in values.values()]
            assert len(set(texts)) == len(texts), (slot, variety)


def test_an_unknown_variety_names_the_nearest():
    with pytest.raises(MashqError, match=r"no variety 'egyptain'.*Did you mean 'egyptian'"):
        stories.draw(1, "egyptain", 0)


# --- drawing ---------------------------------------------------------------------------------------------------------


def test_draws_are_different_repeatable_and_do_not_depend_on_how_many():
    many = stories.draw(300, "msa", 7)
    assert len(set(many)) == 300
    assert stories.draw(100, "msa", 7) == many[:100]
    assert stories.draw(100, "msa", 8) != many[:100]


@pytest.mark.parametrize("variety", VARIETIES)
def test_optional_slots_are_present_at_their_probability(variety):
    drawn = stories.draw(3000, variety, 0)
    share = {name: n / 3000 for name, n in Counter(name for slots in drawn for name in slots.values()).items()}
    for name in ("age", "ending", "characters", "country"):
        assert share.pop(name) == 1.0
    assert len(share) == 8
    # Four standard errors of a share of 0.45 in 3,000.
    assert all(abs(value - 0.45) < 0.037 for value in share.values()), share


def test_no_draw_contradicts_itself():
    for slots in stories.draw(2000, "msa", 3):
        assert not stories._contradicts(slots.values())
        assert not (slots.dialogue and slots.characters == "1")
        assert not (slots.ending == "sad" and slots.emotion == "happiness")


def test_more_prompts_than_there_are_is_an_error(monkeypatch):
    one = stories.draw(1, "msa", 0)[0]
    monkeypatch.setattr(stories, "_draw_one", lambda random, variety: one)
    with pytest.raises(MashqError, match="only 1 different prompts found, 2 asked for"):
        stories.draw(2, "msa", 0)


# --- prompts ---------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VARIETIES), st.integers(0, 10_000), st.integers(0, 5))
def test_our_prompts_parse_back_into_their_slots(variety, seed, wording):
    for slots in stories.draw(3, variety, seed):
        assert stories.parse_prompt(stories.prompt(slots, wording)) == slots


def test_both_ways_of_writing_and_several_wordings_occur():
    texts = [stories.prompt(slots) for slots in stories.draw(200, "egyptian", 0)]
    as_list = sum("\n- " in text for text in texts)
    assert 20 < as_list < 90
    assert len({text.split(".")[0].split(" سنهم")[0] for text in texts if "\n" not in text}) == 3


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        (
            "أكتب قصة قصيرة تكون مفهومة للأطفال في عمر 5-8. نهاية القصة يجب أن تكون سعيدة. يجب أن يكون هناك حوار. "
            "عدد الشخصيات في القصة يجب أن يكون 2. الدرس المستفاد من القصة هو برور الوالدين. بلد الأحداث هي  قطر. "
            " أكتب القصة مباشرة.",
            Slots("msa", "5-8", "happy", "2", "QA", dialogue=True, moral="parents"),
        ),
        (
            "كتب شي قصة قصيرة باش يفهموها الدراري في عمر 3-5. لازم الأحداث ديال القصة تكون في السبيطار. النهاية ديال "
            "القصة خاصها تكون حزينة. عدد الأشخاص في القصة لازم يكون 3. بلاد الأحداث هي  عمان. زيد شي تحول ماشي متوقع "
            "ف الأحداث: تحول الصديق المقرب إلى خصم.القصة خاصها تكون بالدارجة المغربية. اكتب القصة مباشرة.",
            Slots("moroccan", "3-5", "sad", "3", "OM", place="hospital", twist="friend_to_foe"),
        ),
    ],
)
def test_released_sentences_parse(text, slots):
    assert stories.parse_prompt(text) == slots


def test_a_value_that_is_not_in_the_list_stays_its_own_text():
    text = (
        "اكتب قصة قصيرة لأطفال أعمارهم بين 5 و8 سنوات. تقع القصة في ماليزيا. في القصة شخصيتان فقط. اجعل نهايتها سعيدة."
    )
    slots = stories.parse_prompt(text)
    assert slots.country == "ماليزيا"
    assert stories.text_of("country", slots.country, "msa") == "ماليزيا"
    assert stories.check("في ماليزيا عاش ولد.", slots)["country"] is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ما عاصمة مصر؟", "got 'ما عاصمه مصر؟'"),
        ("اكتب قصة قصيرة لأطفال أعمارهم بين 5 و8 سنوات. اجعل نهايتها سعيدة. تقع القصة في مصر.", "slot 'characters'"),
        ("", "no sentence for the slot|empty"),
    ],
)
def test_what_is_no_story_prompt_is_an_error(text, says):
    with pytest.raises(MashqError, match=says):
        stories.parse_prompt(text)


def test_the_same_story_in_another_variety_or_wording_shares_the_group():
    msa = SLOTS["msa"]
    other = Slots("moroccan", **{k: v for k, v in stories._asked(msa).items() if k != "variety"})
    assert stories.group(msa) == stories.group(other)
    assert stories.group(msa) != stories.group(Slots("msa", "5-8", "sad", "2", "JO"))


# --- checks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_story_that_obeys_passes_every_check(variety):
    found = stories.check(STORIES[variety], SLOTS[variety])
    expected = {"length", "variety", "characters", "country", "season", "place", "dialogue"}
    assert found == dict.fromkeys(expected)
    assert stories.obedience(STORIES[variety], SLOTS[variety]) == 1.0


@pytest.mark.parametrize("variety", VARIETIES)
def test_variety_is_told_by_its_words(variety):
    assert stories.variety_of(STORIES[variety]) == variety


def test_a_text_without_marker_words_has_no_variety():
    assert stories.variety_of("قطة صغيرة") is None


def test_each_check_says_what_is_missing():
    slots = Slots("msa", "5-8", "happy", "1", "TN", season="summer", place="circus", dialogue=True)
    story = "في الأردن ثلاثة أصدقاء في المكتبة، وهذا الشتاء بارد لم يره أحد من قبل."
    assert stories.check(story, slots) == {
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
    assert stories.check("وصل إلى الدوحة بقطر.", slots)["country"] is None
    assert stories.check("سقطت قطرات المطر.", slots)["country"] == "country: قطر is not in the story"


def test_characters_are_counted_by_their_introductions():
    slots = Slots("egyptian", "5-8", "happy", "1", "EG")
    story = "كان فيه ولد اسمه كريم، وعنده قطة اسمها مشمش."
    assert stories.check(story, slots)["characters"] == "characters: 2 named > 1 asked for"
    assert stories.check("كان فيه ولد اسمه كريم، والولد ده اسمه كريم بجد.", slots)["characters"] is None


# --- keep or drop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_good_story_is_kept(variety):
    must = stories.CHECKS
    assert stories.reasons(STORIES[variety], SLOTS[variety], must=must) is None


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
    found = stories.reasons(story, SLOTS["msa"])
    assert found is not None and found.startswith(reason)


def test_a_copy_of_the_prompt_is_dropped():
    slots = stories.draw(1, "msa", 5)[0]
    prompt = stories.prompt(slots)
    limits = Limits(least_words=5)
    found = stories.reasons(prompt, slots, asked=prompt, limits=limits)
    assert found == "copies the prompt: 1.00 of 5-word runs > 0.2"


def test_must_names_checks_that_a_story_has_to_pass():
    slots = Slots("msa", "5-8", "happy", "2", "TN")
    assert stories.reasons(STORIES["msa"], slots) is None
    assert stories.reasons(STORIES["msa"], slots, must=("variety", "country")) == "country: تونس is not in the story"
    with pytest.raises(MashqError, match=r"no check 'contry'.*Did you mean 'country'"):
        stories.reasons(STORIES["msa"], slots, must=("contry",))


# --- tables ----------------------------------------------------------------------------------------------------------


def test_prompt_rows_carry_slots_group_and_variety():
    table = stories.prompts(50, "moroccan", 0)
    assert table.schema == rows.SCHEMA and table.num_rows == 50
    assert len(set(table["id"].to_pylist())) == 50
    for row in table.to_pylist():
        slots = Slots(**json.loads(row["meta"]))
        assert row["messages"] == [{"role": "user", "content": stories.prompt(slots)}]
        assert row["group"] == stories.group(slots) and row["variety"] == slots.variety == "moroccan"
    assert stories.prompts(20, "moroccan", 0)["id"].to_pylist() == table["id"].to_pylist()[:20]
    assert set(stories.prompts(50, "moroccan", 0, wording=1)["id"].to_pylist()).isdisjoint(table["id"].to_pylist())


def test_no_prompt_asked_for_is_an_empty_table():
    assert stories.prompts(0, "msa", 0).num_rows == 0


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
    kept, wrong, foreign, none = stories.reasons_column(table, must=("variety",)).to_pylist()
    assert kept is None
    assert wrong == "variety: reads as msa, asked for egyptian"
    assert foreign.startswith("story prompt: expected sentences of")
    assert none == "no reply: the last turn is not the assistant's"


def raw(records: list[dict[str, str]]) -> pa.Table:
    ids = rows.source_ids("arastories", "1", n=len(records))
    meta = [json.dumps(record, ensure_ascii=False) for record in records]
    return rows.conform({"id": ids, "source": "arastories", "licence": "MIT", "meta": meta})


def test_released_rows_become_prompt_rows_and_bad_ones_are_dropped():
    good = stories.prompt(SLOTS["egyptian"])
    table = stories.released(
        raw(
            [
                {"Prompt": good, "Story": STORIES["egyptian"]},
                {"Prompt": "ما عاصمة مصر؟", "Story": "القاهرة"},
                {"Prompt": good, "Story": " "},
            ]
        )
    )
    first, foreign, empty = table.to_pylist()
    assert first["references"] == [STORIES["egyptian"]] and first["dropped"] is None
    assert first["group"] == stories.group(SLOTS["egyptian"]) and first["variety"] == "egyptian"
    assert len(first["parents"]) == 1
    assert foreign["dropped"].startswith("story prompt: expected")
    assert empty["dropped"] == "no story: field 'Story' is empty"


# --- diversity -------------------------------------------------------------------------------------------------------


def test_openings_are_counted_without_punctuation():
    assert stories.openings(["كان يا ما كان، ولد", "كان يا ما نام", "في يوم"]) == [("كان يا ما", 2), ("في يوم", 1)]


def test_distinct_is_one_for_no_repetition_and_raises_on_nothing():
    assert stories.distinct(["ولد وبنت", "قطة وكلب"], 2) == 1.0
    assert stories.distinct(["ولد وبنت", "ولد وبنت"], 1) == 0.5
    with pytest.raises(MashqError, match="distinct-2 of 1 stories"):
        stories.distinct(["ولد"], 2)


# --- real rows -------------------------------------------------------------------------------------------------------


def real(data: Path, variety: str) -> list[dict[str, str]]:
    with (data / f"arastories_{variety}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("variety", VARIETIES)
def test_every_released_prompt_parses_into_known_values(data, variety):
    table = stories._table()
    records = real(data, variety)
    parsed = [stories.parse_prompt(record["Prompt"]) for record in records]
    assert len(parsed) == 900 and {slots.variety for slots in parsed} == {variety}
    unknown = [
        (name, value)
        for slots in parsed
        for name, value in slots.values().items()
        if name != "dialogue" and value not in table.texts[name]
    ]
    assert unknown == []
    # Written afresh, the same slots come back.
    assert all(stories.parse_prompt(stories.prompt(slots)) == slots for slots in parsed)


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
        for name, reason in stories.check(record["Story"], slots).items():
            asked[name] += 1
            passed[name] += reason is None
        kept += stories.reasons(record["Story"], slots, asked=record["Prompt"]) is None
    rates = {name: passed[name] / asked[name] for name in asked}
    assert all(rates[name] >= bound for name, bound in least.items()), rates
    assert rates["length"] == 1.0
    assert kept / len(records) >= 0.99
