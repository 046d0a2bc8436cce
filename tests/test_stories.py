import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mashq import rows, stories, story_checks
from mashq.rows import MashqError
from mashq.stories import RELEASED, Slots
from mashq.word_patterns import fold

VARIETIES = stories.varieties()
SLOTS = Slots("egyptian", "5-8", "happy", "2", "EG", dialogue=True, place="market", season="summer")
STORY = "في يوم صيف حر في مصر، نزلت منى السوق مع أخوها كريم. قال لها: «هو إحنا هنلاقي مانجا حلوة النهارده؟»"


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


@pytest.mark.parametrize("variety", VARIETIES)
def test_every_value_of_a_variety_shows_itself_to_its_check(variety):
    for slot in ("country", "season", "place", "activity", "emotion"):
        for key in stories.values_of(slot):
            text = stories.text_of(slot, key, variety)
            assert story_checks._shown(fold(text), slot, key, variety) is None, (slot, key, text)


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_variety_s_own_values_are_values_of_the_table(variety):
    own = yaml.safe_load((stories.DATA / f"{variety}.yaml").read_text("utf-8")).get("values", {})
    for slot, values in own.items():
        assert set(values) <= set(stories.values_of(slot)), (variety, slot)


@pytest.mark.parametrize("variety", VARIETIES)
def test_prompts_of_a_variety_other_than_the_standard_say_which(variety):
    known = yaml.safe_load((stories.DATA / f"{variety}.yaml").read_text("utf-8"))
    said = (*known["sentences"]["variety"], known["list"]["variety"])
    for slots in stories.draw(60, variety, 2):
        assert variety == "msa" or any(sentence in stories.prompt(slots) for sentence in said)


def test_the_released_varieties_come_first():
    assert VARIETIES[:3] == RELEASED == ("msa", "egyptian", "moroccan")
    assert set(VARIETIES[3:]) == {"algerian", "gulf", "iraqi", "levantine", "sudanese", "tunisian"}


def test_a_slot_as_a_line_and_an_opening_are_in_the_variety():
    lines = stories.list_lines(SLOTS, ["country", "variety", "moral", "dialogue"])
    assert lines == ["البلد: مصر", "اللهجة: المصرية", "الحوار: لازم يكون موجود"]
    assert stories.openings_of(SLOTS)[0] == "كان ياما كان، كان فيه ولد صغير عايش في مصر، و"
    assert stories.variety_name("sudanese") == "السودانية"


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
def test_slots_are_present_at_their_probability_and_free_values_are_drawn_evenly(variety):
    drawn = stories.draw(20_000, variety, 0)
    counts = Counter((name, value) for slots in drawn for name, value in slots.values().items())
    present: Counter[str] = Counter()
    for (name, _), n in counts.items():
        present[name] += n
    assert {name for name, n in present.items() if n == 20_000} == {"age", "ending", "characters", "country"}
    optional = {name: n / 20_000 for name, n in present.items() if n < 20_000}
    assert len(optional) == 8
    # Four standard errors of a share of 0.45 in 20,000.
    assert all(abs(share - 0.45) < 0.0141 for share in optional.values()), optional
    for name in ("age", "ending", "country", "season"):  # no rule bends these
        values = [counts[name, key] for key in stories.values_of(name)]
        assert stats.chisquare(values).pvalue > 0.0001, (name, values)


def test_where_a_season_is_asked_for_the_place_is_not_in_space():
    drawn = stories.draw(5000, "msa", 1)
    assert any(slots.place in ("space", "space_station") for slots in drawn)
    assert not any(slots.place in ("space", "space_station") and slots.season for slots in drawn)


def test_no_draw_contradicts_itself():
    for slots in stories.draw(2000, "msa", 3):
        asked = slots.values()
        for rule in stories.contradictions():
            assert not all(asked.get(slot) in values for slot, values in rule.items()), (rule, asked)
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
    assert story_checks.check("في ماليزيا عاش ولد.", slots)["country"] is None


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
    other = Slots("moroccan", **{k: v for k, v in stories.asked_of(SLOTS).items() if k != "variety"})
    assert stories.group(SLOTS) == stories.group(other)
    assert stories.group(SLOTS) != stories.group(Slots("msa", "5-8", "sad", "2", "JO"))


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


def raw(records: list[dict[str, str]]) -> pa.Table:
    ids = rows.source_ids("arastories", "1", n=len(records))
    meta = [json.dumps(record, ensure_ascii=False) for record in records]
    return rows.conform({"id": ids, "source": "arastories", "licence": "MIT", "meta": meta})


def test_released_rows_become_prompt_rows_and_bad_ones_are_dropped():
    good = stories.prompt(SLOTS)
    table = stories.released(
        raw(
            [
                {"Prompt": good, "Story": STORY},
                {"Prompt": "ما عاصمة مصر؟", "Story": "القاهرة"},
                {"Prompt": good, "Story": " "},
            ]
        )
    )
    first, foreign, empty = table.to_pylist()
    assert first["references"] == [STORY] and first["dropped"] is None
    assert first["group"] == stories.group(SLOTS) and first["variety"] == "egyptian"
    assert len(first["parents"]) == 1
    assert foreign["dropped"].startswith("story prompt: expected")
    assert empty["dropped"] == "no story: field 'Story' is empty"


# --- real rows -------------------------------------------------------------------------------------------------------


def real(data: Path, variety: str) -> list[dict[str, str]]:
    with (data / f"arastories_{variety}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("variety", RELEASED)
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
