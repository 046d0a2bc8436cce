import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import stories, story_checks, story_writer
from mashq.rows import MashqError
from mashq.stories import Slots
from mashq.story_checks import Limits
from mashq.story_writer import Stories, cleaned, wanted
from mashq.synthesis import Judging, Wanted

SLOTS = Slots("msa", "5-8", "happy", "2", "JO", dialogue=True, place="library", season="winter")
ONE = Wanted(key="one", about=stories.asked_of(SLOTS), variety="msa")
STORY = (
    "في صباح بارد من فصل الشتاء في الأردن، دخلت هند إلى المكتبة وهي تبحث عن كتاب جديد. كانت معها صديقتها سعاد التي "
    "تحب القصص. قالت هند: «هل قرأتِ هذا الكتاب؟» فأجابت سعاد: «لم أقرأه بعد، لكنه يبدو جميلًا». ثم جلستا قرب النافذة "
    "حيث كان المطر يضرب الزجاج."
)
SHORT = Limits(least_words=20)
WRITER = Stories(limits=SHORT)


def test_the_writer_is_one_whose_drafts_can_be_judged():
    assert isinstance(WRITER, Judging)
    draft = WRITER.read(ONE, 0, STORY)
    questions = WRITER.questions(ONE, draft)
    assert len(questions) == 2 and all(STORY in question[0][1] for question in questions)
    assert questions[0][0][1].endswith("السؤال: هل نهاية القصة سعيدة؟ أجب بكلمة واحدة، نعم أو لا.")
    assert WRITER.questions(ONE, WRITER.read(ONE, 0, "")) == []
    assert WRITER.verdict("نعم") is True


# --- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variety", stories.varieties())
def test_what_is_asked_parses_back_into_what_is_wanted(variety):
    for one in wanted(20, variety, 4):
        ((role, text),) = WRITER.ask(one, 0, ())
        assert role == "user" and stories.parse_prompt(text) == Slots(**one.about)
        assert one.variety == one.cell == variety and one.key.endswith(one.group)


def test_the_first_wanted_do_not_depend_on_how_many_and_keys_are_different():
    many = wanted(50, "gulf", 1)
    assert wanted(10, "gulf", 1) == many[:10]
    assert len({one.key for one in many}) == 50


def test_a_further_attempt_is_another_wording():
    assert len({WRITER.ask(ONE, attempt, ()) for attempt in range(6)}) >= 4


@pytest.mark.parametrize("variety", stories.varieties())
def test_openings_that_are_used_up_are_named_in_the_variety(variety):
    for one in wanted(12, variety, 0):
        plain, told = WRITER.ask(one, 0, ())[0][1], WRITER.ask(one, 0, ["كان يا ما", "في يوم من"])[0][1]
        assert told.startswith(plain) and "«كان يا ما» أو «في يوم من»" in told
        as_list = "\n- " in plain
        assert told[len(plain) :].startswith("\n- " if as_list else " ") and told.endswith("." if not as_list else "»")


def test_a_model_without_a_chat_template_goes_on_from_an_opening_that_becomes_the_story_s():
    writer = Stories(limits=SHORT, style="completion")
    prompts = [writer.ask(ONE, attempt, ["كان"]) for attempt in range(3)]
    begun = [prompt.rpartition("\n\n")[2] for prompt in prompts]
    assert set(begun) == set(stories.openings_of(SLOTS))
    for attempt, opening in enumerate(begun):
        story = writer.read(ONE, attempt, " " + STORY).fields["references"][0]
        assert story.startswith(opening) and story.endswith(STORY)
        assert ("و " + STORY) not in story
        glued = writer.read(ONE, attempt, f"ت{STORY}").fields["references"][0]
        assert glued == f"{opening}ت{STORY}"  # "عاش" goes on as "عاشت"


def test_an_opening_that_was_given_is_not_the_model_s():
    assert Stories(limits=SHORT, style="completion").read(ONE, 0, f" {STORY}").opening == ""
    assert WRITER.read(ONE, 0, STORY).opening == "في صباح بارد"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_good_story_is_kept_under_the_prompt_without_what_was_said_besides():
    draft = WRITER.read(ONE, 1, STORY)
    assert draft.reason is None and draft.score == 1.0 and draft.mend is None
    assert draft.fields == {
        "messages": [{"role": "user", "content": stories.prompt(SLOTS, 1)}],
        "references": [STORY],
        "task": "story",
    }
    assert draft.opening == "في صباح بارد" and draft.alike == STORY


def test_a_near_miss_is_told_exactly_which_slots_it_missed():
    draft = WRITER.read(ONE, 0, STORY.replace("الأردن", "تونس").replace("الشتاء", "الصيف"))
    assert draft.reason == "country: الأردن is not in the story"
    assert draft.mend == "القصة التي كتبتها لا تراعي ما يلي، فأعد كتابتها كاملة:\n- البلد: الأردن\n- الفصل: الشتاء"
    assert draft.score == pytest.approx(5 / 7)
    assert [name for name, why in draft.checks.items() if why] == ["country", "season"]


def test_a_short_story_is_told_how_long_it_should_be():
    draft = Stories().read(ONE, 0, STORY)
    assert draft.reason is not None and draft.reason.startswith("short: ")
    assert draft.mend is not None and draft.mend.endswith("- الطول: من 60 إلى 600 كلمة")


@pytest.mark.parametrize(
    "reply",
    ["", "Once upon a time " * 30, "ذهب الولد إلى السوق ثم عاد. " * 15, STORY + " ثم خرجت", "قطة " * 30 + "."],
)
def test_what_is_hopeless_is_not_mended(reply):
    draft = WRITER.read(ONE, 0, reply)
    assert draft.reason and draft.mend is None


def test_a_slot_that_must_not_hold_a_story_back_only_lowers_its_score():
    draft = Stories(limits=SHORT, must=()).read(ONE, 0, STORY.replace("الأردن", "تونس"))
    assert draft.reason is None and draft.score == pytest.approx(6 / 7)


def test_what_a_judge_denied_can_be_mended_too():
    slots = Slots("gulf", "5-8", "sad", "2", "KW", moral="greed")
    text = story_writer.mend_text(slots, ["ending", "moral"])
    assert text.splitlines()[1:] == ["- النهاية: حزينة", "- الحكمة: الطمع يطيّح راعيه"]
    with pytest.raises(MashqError, match="stories: mend: expected at least one slot, got none"):
        story_writer.mend_text(slots, [])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("\x00" + STORY, "not text: control character U+0000"),
        (STORY + "\ud800", "not text: control character U+D800"),
        ("ا" * 1_000_000, "long: 1000000 characters > 50000"),
        (" \n\t", "empty"),
    ],
)
def test_what_no_file_could_hold_is_dropped_with_its_reason(reply, reason):
    for style in ("messages", "completion"):
        assert Stories(style=style).read(ONE, 0, reply).reason == reason


@settings(max_examples=120, deadline=None)
@given(st.text(max_size=300), st.integers(0, 3))
def test_reading_never_raises_and_is_the_same_again(reply, attempt):
    for writer in (WRITER, Stories(style="completion")):
        draft = writer.read(ONE, attempt, reply)
        assert draft == writer.read(ONE, attempt, reply)
        assert 0.0 <= draft.score <= 1.0 and (draft.reason is None or draft.reason)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("بالتأكيد! إليك قصة قصيرة للأطفال:\n\n", ""),
        ("**حكاية هند**\n\n", "\n\n---\n\nهل تريد أن أكتب قصة أخرى؟"),
        ("# المكتبة\n", "\n\nأتمنى أن تعجبك القصة!"),
        ("العنوان: في المكتبة\n\n", ""),
        ("القصة: ", ""),
        ("<think>أفكر في قصة</think>\n", ""),
        ("```\n", "\n```"),
        ("Here is a story:\n", "\n\nWould you like another one?"),
    ],
)
def test_what_stands_around_a_story_is_taken_off(before, after):
    assert cleaned(before + STORY + after) == STORY


def test_a_story_that_ends_with_a_question_keeps_it():
    story = STORY + "\nقالت سعاد: «هل تريد أن أقرأ لك؟»"
    assert cleaned(story) == story


# --- settings --------------------------------------------------------------------------------------------------------


def test_the_identity_holds_the_settings():
    assert WRITER.identity == Stories(limits=SHORT).identity
    others = {Stories().identity, Stories(must=()).identity, Stories(style="completion").identity, WRITER.identity}
    assert len(others) == 4


def test_unknown_checks_styles_and_slots_are_errors():
    with pytest.raises(MashqError, match=r"stories: must: expected .*, got 'contry'\. Did you mean 'country'"):
        Stories(must=("contry",))
    with pytest.raises(MashqError, match="stories: style: expected messages or completion, got 'chat'"):
        Stories(style="chat")
    with pytest.raises(MashqError, match="story 'x': expected slots"):
        WRITER.read(Wanted(key="x", about={"topic": "travel"}), 0, STORY)
    assert set(WRITER.must) <= set(story_checks.CHECKS)
