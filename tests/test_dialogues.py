import itertools
import json
import re
import time
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import dialogues
from mashq.conversation_checks import CHECKS, Limits
from mashq.dialogues import PARTS, Conversations, Grid, grid, part_of
from mashq.rows import MashqError
from mashq.sources import cldr
from mashq.synthesis import Wanted, Writer
from mashq.word_patterns import folded_lower

PAPER = Grid()  # 43,316 conversations over 93 topics x 151 countries
EGYPT = Wanted("dialogue/msa/coffee_and_tea/EG/0", {"topic": "coffee_and_tea", "country": "EG"}, variety="msa")
TALK = """المستخدم: صباح الخير، أسكن في القاهرة وأريد قهوة أقل مرارة. هل السبب نوع البن؟
المساعد: صباح النور. السبب غالبًا حرارة الماء؛ ارفع القهوة عن النار قبل أن تغلي، وجرّب بنًّا أفتح لونًا.
المستخدم: جرّبت ذلك، وصار طعمها ألطف. هل أضيف السكر قبل الغلي أم بعده؟
المساعد: قبل الغلي أفضل في القهوة المصرية، لأن السكر يذوب ببطء فيها ويبقى وجهها متماسكًا."""
WRITERS = {
    "chat": Conversations(),
    "jais-13b": Conversations(style="completion", frame="jais-13b"),
    "jais-family": Conversations(style="completion", frame="jais-family"),
    "base": Conversations(style="completion"),
}


def text_of(asked):
    return asked if isinstance(asked, str) else "\n".join(content for _, content in asked)


# --- the taxonomy ----------------------------------------------------------------------------------------------------


def test_there_are_93_topics_in_10_to_14_fields_and_none_weighs_more_than_15_percent():
    topics = dialogues.topics()
    fields = Counter(topic.field for topic in topics.values())
    assert len(topics) == 93
    assert 10 <= len(fields) <= 14
    assert max(fields.values()) / len(topics) <= 0.15


def test_topics_are_unique_in_key_name_and_words():
    topics = dialogues.topics().values()
    assert len({topic.name for topic in topics}) == len(topics)
    assert len({hint for topic in topics for hint in topic.hints}) == sum(len(topic.hints) for topic in topics)
    for topic in topics:
        assert re.fullmatch("[a-z_]+", topic.key)
        assert 1 <= len(topic.hints) <= 2
        assert 6 <= len(topic.words) <= 15, topic.key
        assert len(set(topic.words)) == len(topic.words), topic.key


def test_a_topics_words_stand_in_its_name_or_each_of_its_hints():
    for topic in dialogues.topics().values():
        for hint in topic.hints:
            assert topic.pattern.search(folded_lower(hint)), (topic.key, hint)


def test_the_words_of_a_topic_rarely_fit_the_hints_of_another():
    """By two words, as `Limits.least_topic_words` asks: 0.3 % of pairs when this was written."""
    topics = dialogues.topics().values()
    texts = {topic.key: folded_lower(" . ".join(topic.hints)) for topic in topics}
    pairs = [(one, other) for one, other in itertools.product(topics, topics) if one is not other]
    fits = sum(len(one.pattern.findall(texts[other.key])) >= 2 for one, other in pairs)
    assert fits / len(pairs) < 0.01


def test_sensitive_fields_carry_their_caution():
    cautions = {topic.field: topic.caution for topic in dialogues.topics().values()}
    assert (cautions["health"], cautions["occasions"]) == ("medical", "customs")
    known = yaml.safe_load((dialogues.DATA / "prompts.yaml").read_text("utf-8"))["cautions"]
    assert {topic.caution for topic in dialogues.topics().values()} - {""} == set(known)


def test_the_151_countries_follow_their_rule():
    league = {
        *("DZ", "BH", "KM", "DJ", "EG", "IQ", "JO", "KW", "LB", "LY", "MR"),
        *("MA", "OM", "PS", "QA", "SA", "SO"),
    }
    league |= {"SD", "SY", "TN", "AE", "YE"}
    default = dialogues.default_countries()
    assert len(dialogues.countries()) == 195
    assert len(default) == len(set(default)) == 151
    assert league <= set(default)


def test_a_country_is_shown_by_its_name_and_only_neighbours_in_name_share_it():
    countries = dialogues.countries()
    for code, country in countries.items():
        assert country.pattern.search(folded_lower(f"سافرت إلى {country.name}.")), code
    pairs = itertools.permutations(countries.values(), 2)
    shared = {(one.code, other.code) for one, other in pairs if other.pattern.search(folded_lower(one.name))}
    # Both Congos, the Guineas, the Koreas, Sudan in South Sudan; Oman is spelled like Amman, the capital of Jordan.
    congo, guinea, korea = (
        {("CD", "CG"), ("CG", "CD")},
        {("GQ", "GN"), ("GW", "GN"), ("PG", "GN")},
        {("KP", "KR"), ("KR", "KP")},
    )
    assert shared == congo | guinea | korea | {("SS", "SD"), ("OM", "JO")}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("TN", "صديق تونسي"),
        ("TN", "بتونس"),
        ("EG", "وبالقاهرة"),
        ("SA", "أعيش في جدة"),
        ("MA", "للمغاربة"),
        ("JO", "والأردنيّون"),
    ],
)
def test_people_and_cities_show_a_country(code, said):
    assert dialogues.countries()[code].pattern.search(folded_lower(said))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("TR", "تركيب الأثاث"),
        ("IN", "هندسة البناء"),
        ("ML", "وضع مالي جيد"),
        ("CN", "صينية البطاطا"),
        ("KW", "من حولي"),
        ("SA", "جدة الأطفال"),
    ],
)
def test_words_that_only_look_like_a_country_do_not_show_it(code, said):
    assert not dialogues.countries()[code].pattern.search(folded_lower(said))


def test_there_are_thirty_personas_and_more_of_every_age():
    found = dialogues.personas()
    assert len(found) >= 30
    assert len({persona.key for persona in found}) == len({persona.who for persona in found}) == len(found)
    decades = Counter(persona.age // 10 for persona in found)
    assert set(decades) == {1, 2, 3, 4, 5, 6, 7}
    assert all(len(persona.moods) >= 2 for persona in found)


# --- the grid --------------------------------------------------------------------------------------------------------


def test_the_papers_grid_is_exact_and_fast():
    start = time.process_time()
    wanted = grid(PAPER)
    assert time.process_time() - start < 2.0
    assert len(wanted) == len({one.key for one in wanted}) == 43_316
    assert Counter(Counter(one.cell for one in wanted).values()) == {3: 12_856, 4: 1_187}
    for axis, values in (("topic", 93), ("country", 151)):
        counts = Counter(one.about[axis] for one in wanted)
        assert len(counts) == values
        assert max(counts.values()) - min(counts.values()) <= 1


some_topics = st.lists(st.sampled_from(list(dialogues.topics())), min_size=1, max_size=12, unique=True)
some_countries = st.lists(st.sampled_from(list(dialogues.countries())), min_size=1, max_size=12, unique=True)


@given(st.integers(1, 400), some_topics, some_countries, st.integers(0, 3))
@settings(deadline=None)
def test_every_grid_is_even_by_cell_topic_and_country(n, topics, countries, seed):
    wanted = grid(Grid(n=n, topics=topics, countries=countries, seed=seed))
    cells = {f"{topic}/{country}": 0 for topic in topics for country in countries}
    for names in (cells, dict.fromkeys(topics, 0), dict.fromkeys(countries, 0)):
        counts = dict(names)
        for one in wanted:
            for name in (one.cell, one.about["topic"], one.about["country"]):
                if name in counts:
                    counts[name] += 1
        assert sum(counts.values()) == n
        assert max(counts.values()) - min(counts.values()) <= 1


def test_a_grid_depends_on_seed_and_names_and_the_first_of_it_not_on_n():
    few = ("football", "poetry", "weather"), ("EG", "MA", "FR", "JP")
    made = grid(Grid(n=30, topics=few[0], countries=few[1]))
    assert made == grid(Grid(n=30, topics=few[0][::-1], countries=few[1][::-1]))
    assert made[:17] == grid(Grid(n=17, topics=few[0], countries=few[1]))
    assert made != grid(Grid(n=30, topics=few[0], countries=few[1], seed=1))
    assert {one.variety for one in grid(Grid(n=3, variety="egyptian"))} == {"egyptian"}


def test_parts_are_disjoint_and_of_their_shares():
    cells = {one.cell for one in grid(Grid(n=93 * 151))}
    parts = {cell: part_of(cell, PAPER) for cell in cells}
    axes = {part: [set(), set()] for part in PARTS}
    for cell, part in parts.items():
        for names, name in zip(axes[part], cell.split("/"), strict=True):
            names.add(name)
    topics, countries = zip(*axes.values(), strict=True)
    train, test_topic, test_country, test_cell = range(4)
    assert len(topics[test_topic]) == 9 and not topics[test_topic] & (topics[train] | topics[test_country])
    assert len(countries[test_country]) == 15 and not countries[test_country] & countries[train]
    assert topics[test_cell] <= topics[train] and countries[test_cell] <= countries[train]
    share = Counter(parts.values())["test-cell"] / (84 * 136)
    assert 0.04 < share < 0.06


def test_parts_need_no_list_and_zero_shares_hold_nothing_out():
    nothing = Grid(n=10, test_topics=0, test_countries=0, test_cells=0)
    assert {part_of(one.cell, nothing) for one in grid(nothing)} == {"train"}
    assert len({part_of("football/EG", Grid(seed=seed, test_topics=0.5)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"topics": ["footbal"]}, "there is no topic 'footbal' .*93 in all.*Did you mean 'football'"),
        ({"countries": ["XX"]}, "there is no country 'XX'"),
        ({"countries": ["EG", "EG"]}, "country: expected each once, got 'EG' twice"),
        ({"variety": "klingon"}, r"there is no variety 'klingon' \(msa, egyptian"),
        ({"test_topics": 1.0}, "test_topics"),
        ({"n": -1}, "n"),
    ],
)
def test_wrong_grids_are_refused(settings, text):
    with pytest.raises(MashqError, match=text):
        Grid(**settings)


def test_a_cell_outside_the_grid_has_no_part():
    with pytest.raises(MashqError, match="there is no country 'FR'"):
        part_of("football/FR", Grid(countries=("EG",)))


# --- what is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_a_prompt_names_all_that_is_wanted(name):
    writer = WRITERS[name]
    data = yaml.safe_load((dialogues.DATA / "prompts.yaml").read_text("utf-8"))
    for variety in dialogues.varieties():
        for wanted, attempt in itertools.product(grid(Grid(n=40, variety=variety)), range(3)):
            plan, text = writer.plan(wanted, attempt), text_of(writer.ask(wanted, attempt, ()))
            topic, country = dialogues.topics()[plan.topic], dialogues.countries()[plan.country]
            persona = next(one for one in dialogues.personas() if one.key == plan.persona)
            register = data["registers"][plan.register]["text"]
            for said in (topic.name, plan.hint, country.name, persona.who, plan.mood, register):
                assert said in text, (said, text)
            assert data["counts"][plan.exchanges] in text
            assert {
                "msa": "الفصحى",
                "egyptian": "المصرية",
                "moroccan": "المغربية",
                "gulf": "الخليجية",
                "levantine": "الشامية",
            }[variety] in text
            assert data["cautions"].get(topic.caution, "") in text
            assert name == "base" or data["layouts"][plan.layout] in text
            assert not re.search(r"\{[a-z_]+\}", text), text


def test_every_wording_layout_and_number_of_turns_is_used_about_evenly():
    plans = [WRITERS["chat"].plan(wanted, 0) for wanted in grid(Grid(n=8_000))]
    wordings = Counter(plan.wording for plan in plans)
    assert len(wordings) == 8 and min(wordings.values()) > 0.8 * 1_000
    layouts = Counter(plan.layout for plan in plans)
    assert set(layouts) == {"labelled", "numbered", "json"} and min(layouts.values()) > 0.9 * 8_000 / 3
    shares = {2: 0.20, 3: 0.30, 4: 0.25, 5: 0.15, 6: 0.10}
    counts = Counter(plan.exchanges for plan in plans)
    assert all(abs(counts[number] / 8_000 - share) < 0.02 for number, share in shares.items())
    assert {plan.register for plan in plans} == {"formal", "neutral", "casual"}


def test_a_further_attempt_takes_another_persona_wording_and_layout():
    plans = [WRITERS["chat"].plan(EGYPT, attempt) for attempt in range(8)]
    assert len({plan.persona for plan in plans}) == 8
    assert len({plan.wording for plan in plans}) == 8
    assert all(one.layout != other.layout for one, other in itertools.pairwise(plans))
    assert len({plan.exchanges for plan in plans}) >= 4
    assert plans[3] == WRITERS["chat"].plan(EGYPT, 3)


def test_the_young_are_not_asked_about_matters_of_adults():
    wanted = grid(Grid(n=3_000, topics=[key for key, topic in dialogues.topics().items() if topic.adults]))
    ages = {persona.key: persona.age for persona in dialogues.personas()}
    assert min(ages[WRITERS["chat"].plan(one, 0).persona] for one in wanted) >= 18


def test_chat_models_get_messages_and_others_a_text_that_ends_where_they_go_on():
    asked = [WRITERS["chat"].ask(EGYPT, attempt, ()) for attempt in range(8)]
    assert {tuple(role for role, _ in messages) for messages in asked} == {("user",), ("system", "user")}
    jais = WRITERS["jais-13b"].ask(EGYPT, 0, ())
    assert jais.startswith("### Instruction: ") and "\n### Input: [|Human|] " in jais
    assert jais.endswith("\n### Response: [|AI|]")
    assert WRITERS["jais-family"].ask(EGYPT, 0, ()).endswith("\n[|AI|]\n### Response :")
    assert WRITERS["base"].ask(EGYPT, 0, ()).endswith("\nالمستخدم:")


def test_openings_to_avoid_stand_in_the_prompt_and_the_most_frequent_only():
    openings = [f"عبارة رقم {number}\nثانية" for number in range(30)]
    text = text_of(WRITERS["chat"].ask(EGYPT, 0, openings))
    assert "لا تبدأ المحادثة بأي عبارة من هذه العبارات: «عبارة رقم 0 ثانية»، " in text
    assert "رقم 7 " in text and "رقم 8 " not in text
    assert "لا تبدأ" not in text_of(WRITERS["chat"].ask(EGYPT, 0, ()))


def test_the_examples_of_base_models_pass_their_own_checks():
    data = yaml.safe_load((dialogues.DATA / "prompts.yaml").read_text("utf-8"))
    for variety in dialogues.varieties():
        wanted = Wanted("key", {"topic": "coffee_and_tea", "country": "JO"}, variety=variety)
        draft = Conversations(exchanges=[2]).read(wanted, 0, data["examples"][variety])
        assert draft.reason is None, (variety, draft.reason)


def test_a_base_model_may_not_copy_its_example():
    data = yaml.safe_load((dialogues.DATA / "prompts.yaml").read_text("utf-8"))
    wanted = Wanted("key", {"topic": "coffee_and_tea", "country": "JO"}, variety="msa")
    reply = data["examples"]["msa"].removeprefix("المستخدم:")
    reason = Conversations(style="completion", exchanges=[2]).read(wanted, 0, reply).reason
    assert re.fullmatch(r"copies the prompt: 0\.8\d of 5-word runs > 0\.15", reason)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"style": "mesages"}, "style: expected messages or completion, got 'mesages'.*Did you mean 'messages'"),
        ({"frame": "jais-13b"}, "frame: expected style 'completion' and one of jais-13b"),
        ({"style": "completion", "frame": "jais"}, "frame: expected one of jais-13b, jais-family, example, got 'jais'"),
        ({"layouts": ["xml"]}, "there is no layout 'xml'"),
        ({"style": "completion", "layouts": ["json"]}, "its layout is 'labelled'"),
        ({"exchanges": [11]}, "exchanges: expected 1 to 10, got 11"),
    ],
)
def test_wrong_writers_are_refused(settings, text):
    with pytest.raises(MashqError, match=text):
        Conversations(**settings)


def test_a_writer_has_a_name_and_an_identity_that_follows_its_settings():
    writer: Writer = Conversations()
    assert writer.name == "dialogue"
    assert writer.identity == Conversations().identity
    others = [Conversations(layouts=["json"]), Conversations(limits=Limits(off_by=0)), WRITERS["base"]]
    assert len({one.identity for one in (writer, *others)}) == 4


# --- what is read ----------------------------------------------------------------------------------------------------


def test_a_good_reply_is_a_draft_without_reason():
    draft = Conversations(exchanges=[2]).read(EGYPT, 0, "إليك المحادثة:\n" + TALK)
    assert (draft.reason, draft.score, draft.mend) == (None, 1.0, None)
    assert [turn["role"] for turn in draft.fields["messages"]] == ["user", "assistant"] * 2
    assert draft.opening == "صباح الخير اسكن في"
    assert draft.alike.startswith("صباح الخير، أسكن في القاهرة") and draft.alike.count("\n") == 3


def test_a_base_models_reply_is_cut_at_the_turns_asked_for():
    writer = Conversations(style="completion", exchanges=[2])
    reply = TALK.removeprefix("المستخدم:") + "\n###\n\nالموضوع: الشعر (كلام)\nالمستخدم: ما معنى"
    draft = writer.read(EGYPT, 0, reply)
    assert draft.reason is None
    assert len(draft.fields["messages"]) == 4
    assert draft.fields["messages"][-1]["content"].endswith("متماسكًا.")


def test_a_near_miss_is_told_in_arabic_what_to_mend():
    writer = Conversations(exchanges=[2])
    draft = writer.read(EGYPT, 0, TALK.replace("القاهرة", "المدينة").replace("المصرية", "الجيدة"))
    assert draft.reason == "country: مصر is not in the conversation"
    assert draft.score == 1 - 1 / len(CHECKS)
    assert draft.mend.splitlines() == [
        "في المحادثة التي كتبتها ما يجب إصلاحه:",
        "- لم يظهر في الكلام البلد المطلوب (مصر) ولا مدينة فيه.",
        "أعد كتابة المحادثة كاملة بعد الإصلاح، بالشكل المطلوب نفسه، من غير مقدمة ولا تعليق.",
    ]
    assert WRITERS["jais-13b"].read(EGYPT, 0, TALK).mend is None


def test_a_reply_that_cannot_be_read_is_asked_for_its_layout_where_it_has_something_to_mend():
    writer = Conversations()
    long = writer.read(EGYPT, 0, "كلام عن القهوة المصرية في القاهرة. " * 10)
    assert long.fields == {} and long.reason.startswith("no turns") and "التزم بالشكل المطلوب" in long.mend
    assert writer.read(EGYPT, 0, "لا.").mend is None
    assert writer.read(EGYPT, 0, "").reason == "empty: no character that shows"


def test_refusals_and_loops_are_not_mended():
    writer = Conversations(exchanges=[2])
    for bad in ("كنموذج لغوي لا أشرب القهوة.", "القهوة " * 15 + "طيبة."):
        draft = writer.read(EGYPT, 0, re.sub("صباح النور.*", bad, TALK))
        assert draft.reason.startswith(("refusal", "loops")) and draft.mend is None


def test_every_check_that_can_be_mended_has_its_words():
    told = yaml.safe_load((dialogues.DATA / "prompts.yaml").read_text("utf-8"))["mend"]
    hopeless = {"refusal", "arabic", "loops"}
    assert set(told) - {"heading", "closing", "layout"} == set(CHECKS) - hopeless


@given(st.text(), st.integers(0, 5), st.sampled_from(list(WRITERS)))
@settings(deadline=None)
def test_no_reply_raises_and_reading_is_pure(reply, attempt, name):
    draft = WRITERS[name].read(EGYPT, attempt, reply)
    assert draft == WRITERS[name].read(EGYPT, attempt, reply)
    assert draft.reason


def test_a_wanted_text_of_another_kind_is_an_error():
    with pytest.raises(MashqError, match="there is no topic 'cofee'"):
        WRITERS["chat"].ask(Wanted("key", {"topic": "cofee", "country": "EG"}), 0, ())
    with pytest.raises(MashqError, match="there is no country ''"):
        WRITERS["chat"].ask(Wanted("key", {"topic": "poetry"}), 0, ())


def test_a_plan_can_stand_in_a_rows_meta():
    plan = WRITERS["chat"].plan(EGYPT, 0)
    assert json.loads(json.dumps(vars(plan), ensure_ascii=False))["country"] == "EG"


def test_countries_are_named_as_cldr_does():
    names = {fact.code: fact.country for fact in cldr.facts(["country"])}
    assert {code: country.name for code, country in dialogues.countries().items()} == names
