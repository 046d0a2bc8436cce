import json
from collections import Counter, defaultdict
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mashq import rows, templates
from mashq.rows import MashqError
from mashq.sources import cldr


@pytest.fixture(scope="module")
def facts() -> dict[str, cldr.Fact]:
    return {fact.key: fact for fact in cldr.facts()}


@pytest.fixture(scope="module")
def prompts() -> pa.Table:
    """Every kind of record rendered with the templates of its kind."""
    made = []
    for kind in cldr.KINDS:
        mine = [one for one in templates.library("cldr") if one.name.startswith(f"cldr/{kind}_")]
        made.append(templates.apply(cldr.read([kind]), mine, step="facts"))
    return pa.concat_tables(made)


def of(facts: dict[str, cldr.Fact], kind: str) -> list[cldr.Fact]:
    return [fact for fact in facts.values() if fact.kind == kind]


# --- facts -----------------------------------------------------------------------------------------------------------


def test_there_are_195_states_and_no_key_twice(facts):
    assert len(of(facts, "country")) == 195  # 193 members and 2 observers of the United Nations
    assert len(facts) == len(list(cldr.facts()))
    assert Counter(fact.kind for fact in facts.values()).keys() == set(cldr.KINDS)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("EG", ("مصر", "جنيه مصري", "EGP", "أفريقيا", "العربية")),
        ("LB", ("لبنان", "ليرة لبنانية", "LBP", "آسيا", "العربية")),
        ("MA", ("المغرب", "درهم مغربي", "MAD", "أفريقيا", "العربية والأمازيغية")),
        ("IN", ("الهند", "روبية هندية", "INR", "آسيا", "الهندية والإنجليزية")),
        ("BR", ("البرازيل", "ريال برازيلي", "BRL", "أمريكا الجنوبية", "البرتغالية")),
        ("BG", ("بلغاريا", "يورو", "EUR", "أوروبا", "البلغارية")),
        ("MM", ("ميانمار", "كيات ميانمار", "MMK", "آسيا", "البورمية")),
        ("PS", ("فلسطين", None, None, "آسيا", "العربية")),  # two currencies are no one answer
        ("TR", ("تركيا", "ليرة تركية", "TRY", None, "التركية")),
        ("ZW", ("زيمبابوي", None, None, "أفريقيا", None)),
    ],
)
def test_facts_of_a_country(facts, code, expected):
    fact = facts[f"country:{code}"]
    assert (fact.country, fact.currency, fact.currency_code, fact.continent, fact.languages) == expected


def test_names_have_no_qualifier_and_differ(facts):
    for kind, field in (("country", "country"), ("country", "english"), ("language", "language")):
        names = [getattr(fact, field) for fact in of(facts, kind)]
        assert len(set(names)) == len(names)
        assert not any("(" in name or " - " in name for name in names)


def test_dependent_territories_are_left_out(facts):
    assert not {"country:GF", "country:HK", "country:AQ", "country:ZZ", "country:001"} & facts.keys()


def test_a_currency_has_one_name_and_one_code(facts):
    names = defaultdict(set)
    for fact in of(facts, "country"):
        if fact.currency:
            names[fact.currency_code].add(fact.currency)
            assert len(fact.currency_code) == 3
    assert all(len(found) == 1 for found in names.values())
    assert len({next(iter(found)) for found in names.values()}) == len(names)


def test_a_sole_currency_is_in_use_in_no_other_state(facts):
    users = Counter(fact.currency_code for fact in of(facts, "country") if fact.currency_code)
    for fact in of(facts, "country"):
        if fact.currency_sole:
            assert users[fact.currency_code] == 1
    assert facts["country:JO"].currency_sole is False  # in use in Palestine too
    assert facts["country:US"].currency_sole is False


def test_choices_hold_the_answer_once_among_different_texts(facts):
    pairs = ("currency", "continent", "language", "script", "counted")
    for fact in facts.values():
        for name in pairs:
            choices, answer = getattr(fact, f"{name}_choices"), getattr(fact, name)
            if choices:
                assert answer in choices and len(set(choices)) == len(choices) <= 4
    places = Counter(fact.currency_choices.index(fact.currency) for fact in of(facts, "country") if fact.currency)
    assert min(places.values()) > 30  # the answer has no favourite place


def test_direction_follows_the_script(facts):
    right = {fact.script for fact in of(facts, "language") if fact.direction == cldr.RIGHT_TO_LEFT}
    assert right == {"العربية", "العبرية", "السريانية", "الثانا"}
    assert facts["language:de"].own_name == "Deutsch" and facts["language:de"].script == "اللاتينية"
    assert facts["language:sr"].script is None  # two scripts


@pytest.mark.parametrize(
    ("unit", "number", "counted"),
    [
        ("duration-day", 2, "يومان"),
        ("duration-day", 3, "3 أيام"),
        ("duration-day", 10, "10 أيام"),
        ("duration-day", 11, "11 يومًا"),
        ("duration-day", 99, "99 يومًا"),
        ("duration-day", 100, "100 يوم"),
        ("duration-day", 103, "103 أيام"),
        ("duration-day", 111, "111 يومًا"),
        ("duration-year", 5, "5 سنوات"),
        ("duration-second", 3, "3 ثوانٍ"),
        ("duration-night", 11, "11 ليلة"),
        ("length-mile", 23, "23 ميلًا"),
        ("length-light-year", 2, "سنتان ضوئيتان"),
        ("mass-gram", 2, "غرامان"),
        ("length-meter", 45, "45 مترًا"),
    ],
)
def test_a_counted_noun_takes_its_form(facts, unit, number, counted):
    assert facts[f"unit:{unit}:{number}"].counted == counted


def test_units_are_counted_in_four_ways(facts):
    """The dual alone, a plural after 3 to 10, an accusative singular after 11 to 99, a singular after 100."""
    for unit in {fact.group for fact in of(facts, "unit")}:
        by_number = {fact.number: fact.counted for fact in of(facts, "unit") if fact.group == unit}
        singular = next(fact.unit for fact in of(facts, "unit") if fact.group == unit)
        assert not any(letter.isdigit() for letter in by_number[2])
        assert by_number[3].removeprefix("3 ") == by_number[103].removeprefix("103 ") != singular
        assert by_number[100] == f"100 {singular}"
        accusative = by_number[11].removeprefix("11 ")
        feminine = singular.split()[0].endswith("\N{ARABIC LETTER TEH MARBUTA}")
        assert accusative == (singular if feminine else accusative)
        assert feminine or accusative.endswith("\N{ARABIC FATHATAN}\N{ARABIC LETTER ALEF}")


def test_months_have_the_names_of_their_country(facts):
    names = {fact.code: fact.month for fact in of(facts, "month") if fact.position == 8}
    assert (names["EG"], names["SY"], names["MA"], names["TN"], names["MR"]) == ("أغسطس", "آب", "غشت", "أوت", "أغشت")
    january = facts["month:SY:1"]
    assert (january.month, january.previous, january.next) == ("كانون الثاني", "كانون الأول", "شباط")
    assert january.egyptian == "يناير" and january.ordinal == "الأول"


def test_weekdays_follow_each_other(facts):
    days = {fact.day: fact for fact in of(facts, "weekday")}
    assert days["الجمعة"].next == "السبت" and days["السبت"].previous == "الجمعة"
    assert all(days[fact.next].previous == fact.day for fact in days.values())
    assert days["الأحد"].english == "Sunday"


def test_dates_are_written_with_the_month_of_the_country(facts):
    for fact in of(facts, "date"):
        day = date.fromisoformat(fact.iso)
        month = facts[f"month:{fact.code}:{day.month}"].month
        assert fact.written == f"{day.day} {month} {day.year}"


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_raw_rows_with_the_same_fields():
    table = cldr.read()
    assert table.schema == rows.SCHEMA
    assert set(table["licence"].to_pylist()) == {"Unicode-3.0"}
    records = [json.loads(meta) for meta in table["meta"].to_pylist()]
    assert len({tuple(record) for record in records}) == 1
    assert len(set(table["id"].to_pylist())) == table.num_rows == len(records)
    assert cldr.read().equals(table)


def test_all_that_is_said_of_a_country_shares_its_group(facts):
    syria = {fact.kind for fact in facts.values() if fact.group == "country:SY"}
    assert syria == {"country", "month", "date"}
    assert all(fact.group.split(":")[0] in ("country", "language", "unit", "weekday") for fact in facts.values())


def test_one_kind_can_be_read_alone_and_an_unknown_kind_names_the_nearest():
    assert cldr.read(["weekday"]).num_rows == 7
    with pytest.raises(MashqError, match=r"no facts of kind 'weekdays'.*Did you mean 'weekday'"):
        cldr.read(["weekdays"])


def test_the_version_names_babel_and_our_corrections():
    assert cldr.version().startswith("babel-2.") and "+" in cldr.version()


# --- templates -------------------------------------------------------------------------------------------------------


def test_the_library_asks_in_many_ways():
    library = templates.library("cldr")
    tasks = Counter(template.task for template in library)
    assert len(library) == 100 and len(tasks) == 25 and min(tasks.values()) >= 3
    varieties = Counter(template.variety for template in library)
    assert varieties.keys() == {"msa", "egyptian", "moroccan"} and min(varieties.values()) >= 10
    # One wording of every task is never trained on.
    held_out = Counter(template.task for template in library if "_heldout_" in template.name)
    assert held_out == dict.fromkeys(tasks, 1)
    assert all(template.name.split("/")[1].split("_")[0] in cldr.KINDS for template in library)


def test_every_template_renders_thousands_of_prompts_and_none_with_an_error(prompts):
    reasons = {(reason or "kept").split(" (")[0] for reason in prompts["dropped"].to_pylist()}
    assert reasons == {"kept"}
    kept = prompts.filter(pc.is_null(prompts["dropped"]))
    assert kept.num_rows > 15_000
    assert len(set(kept["template"].to_pylist())) == 100


def test_every_prompt_is_clean_has_one_short_answer_and_shows_its_choices(prompts):
    kept = prompts.filter(pc.is_null(prompts["dropped"])).to_pylist()
    answers = defaultdict(set)
    for row in kept:
        asked, answer = row["messages"][-1]["content"], row["references"][0]
        answers[asked].add(answer)
        assert "  " not in asked and "None" not in asked and "{" not in asked and asked.strip() == asked
        assert 0 < len(answer) <= 60
        if row["choices"]:
            assert answer in row["choices"] and all(choice in asked for choice in row["choices"])
    assert len(answers) == len(kept) and all(len(found) == 1 for found in answers.values())
