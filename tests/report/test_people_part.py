"""The section on people's ratings: what it says of simulated raters, poor agreement, hostile names and a judge."""

import copy
import json

import pytest

from mashq.record import Step
from mashq.report import people
from mashq.report.page import environment_of
from mashq.report.parts import PARTS
from mashq.report.words import Words
from mashq.rows import MashqError

ATTACK = "<script>alert(1)</script>|`x`"


def score(value, n=12, **more):
    return {"value": value, "low": value - 0.25, "high": value + 0.25, "n": n, "signature": "people|x", **more}


def compared(difference, p, **more):
    counts = {"n": 12, "groups": 6, "effect": 1.0, "wins": 8, "ties": 4, "losses": 0, "smallest": 0.5}
    told = {"difference": difference, "low": difference - 0.3, "high": difference + 0.3, "p": p, "p_holm": p}
    about = {"criterion": "fluency", "a": "tuned", "b": "base", "variety": "all"}
    return {**about, **told, **counts, "signature": "people|y", "least_p": 2**-5, **more}


def coefficient(name, value, word="", trouble="", **more):
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    told = {"name": name, "value": value, "low": low, "high": high, "n": 24, "reason": "", "word": word}
    return {**told, "trouble": trouble, "signature": f"{name}|z", **more}


def agreement(alpha=0.4, kappa=0.5):
    measures = [
        coefficient("ordinal alpha", alpha, "unreliable", "low"),
        coefficient("kappa", 0.2, "slight", "low"),
        coefficient("linear kappa", 0.35, "fair", "low"),
        coefficient("quadratic kappa", kappa, "moderate", ""),
        coefficient("spearman", 0.6),
        coefficient("exact", 0.31),
    ]
    return {"criterion": "fluency", "kind": "absolute", "variety": "all", "items": 24, "measures": measures}


def rater(number, failed=0):
    seconds = {"median": 12.5, "low": 9.0, "high": 20.0, "total": 300.0}
    severity = [score(-0.5, criterion="fluency")]
    about = {"rater": str(number), "dialect": "egyptian", "items": 24, "seconds": seconds, "remarks": 0}
    return {**about, "attention": {"items": 3, "failed": failed}, "severity": severity}


def judged(judge, ceiling):
    """A judge's coefficients beside people's; their difference is known to 0.1."""
    apart = judge - ceiling
    difference = {"value": apart, "low": apart - 0.1, "high": apart + 0.1, "n": 24, "below": apart + 0.1 < 0}
    measures = [
        {
            "name": name,
            "judge": coefficient(name, judge, "fair", pairs=72),
            "people": coefficient(name, ceiling, pairs=72),
            "difference": {**difference, "signature": f"{name}|d"},
        }
        for name in ("quadratic kappa", "spearman", "ordinal alpha")
    ]
    criteria = [{"criterion": "fluency", "replies": 24, "shared": 24, "higher": 0.4, "measures": measures}]
    return {"model": ATTACK, "criteria": criteria}


FACTS = {
    "kind": "people", "step": "people", "study": ATTACK, "simulated": False, "baseline": "base",
    "systems": ["base", "tuned"], "criteria": ["fluency"], "varieties": ["egyptian", "msa"], "replies": 24,
    "replies_of": 30, "pairs": 0, "answers": 72, "withdrawn": 0, "raters": [rater(1), rater(2), rater(3)],
    "ratings_an_item": {"least": 3, "most": 3, "items": {"3": 24}, "missing": 0},
    "seconds": {"median": 12.5, "low": 9.0, "high": 20.0, "total": 900.0},
    "means": [
        score(value, system=system, criterion="fluency", variety=variety, ratings=36)
        for system, value in (("base", 2.31), ("tuned", 3.07)) for variety in ("all", "egyptian", "msa")
    ],
    "comparisons": [compared(0.76, 0.03), compared(0.7, 0.2, variety="msa")],
    "preferences": [], "agreement": [agreement()], "judge": None, "seed": 0,
}  # fmt: skip
RUN = {"evaluations": [{"labels": {"base": "الأساس", "tuned": ATTACK}}]}
MACROS = """{% macro heading(key) %}<h2>{{ t(key) }}</h2>{% endmacro %}
{% macro th(key) %}<th scope="col">{{ t(key) }}</th>{% endmacro %}
{% macro code(text) %}<code dir="ltr">{{ text }}</code>{% endmacro %}
{% include "people.html" %}"""


def facts(**more):
    return {**copy.deepcopy(FACTS), **more}


def page(words, found):
    shown = people.view(words, found, RUN)
    return environment_of(words).from_string(MACROS).render(part=shown, run=RUN)


@pytest.fixture(params=["ar", "en"])
def words(request):
    return Words(request.param)


def test_the_section_is_known_by_what_its_step_produces():
    assert PARTS["people"] is people


def test_simulated_raters_are_called_so_first_of_all(words):
    banner = words.plain("people_simulated")
    assert page(words, facts(simulated=True)).index(banner) < page(words, facts(simulated=True)).index("2.31")
    assert people.markdown(words, facts(simulated=True), RUN)[0].startswith(f"**{banner}")
    assert banner not in page(words, facts())
    assert not any(banner in line for line in people.markdown(words, facts(), RUN))


def test_numbers_stand_on_the_page_and_in_the_markdown(words):
    text, lines = page(words, facts()), "\n".join(people.markdown(words, facts(), RUN))
    for found in ("2.31", "3.07", "+0.76", "0.030", "8 / 4 / 0", "[2.06, 2.56]", "12.5"):
        assert found in text, found
        assert found in lines, found
    assert words.plain("verdict_better") in text
    assert words.plain("people_word_fair") in text


def test_texts_from_data_cannot_become_markup(words):
    found = facts(judge=judged(0.2, 0.5))
    text, lines = page(words, found), "\n".join(people.markdown(words, found, RUN))
    assert "<script>" not in text
    assert "<script>" not in lines
    assert "&lt;script&gt;" in text


def test_poor_agreement_is_warned_of_once_for_a_criterion(words):
    shown = people.view(words, facts(), RUN)
    (warning,) = shown["warnings"]
    assert "0.40" in warning
    fine = agreement()
    fine["measures"][0] |= {"trouble": ""}
    assert people.view(words, facts(agreement=[fine]), RUN)["warnings"] == []


@pytest.mark.parametrize(("value", "trouble"), [(None, "undefined"), (0.7, "no interval"), (0.7, "unsure")])
def test_every_trouble_has_its_sentence(words, value, trouble):
    one = agreement()
    one["measures"][0] = coefficient("ordinal alpha", value, "tentative" if value else "", trouble)
    (warning,) = people.view(words, facts(agreement=[one]), RUN)["warnings"]
    assert words.plain("people_ordinal_alpha") in warning


def test_raters_who_fail_attention_items_are_pointed_at(words):
    shown = people.view(words, facts(agreement=[], raters=[rater(1), rater(2, failed=2)]), RUN)
    (warning,) = shown["warnings"]
    assert "<bdi>2</bdi>" in warning
    assert [row["failed"] for row in shown["severe"]["rows"]] == ["0 / 3", "2 / 3"]


def test_a_judge_stands_beside_peoples_own_agreement(words):
    text = page(words, facts(judge=judged(0.2, 0.5)))
    assert text.index("0.20") < text.index("0.50", text.index("0.20"))
    assert any("0.20" in line for line in people.view(words, facts(judge=judged(0.2, 0.5)), RUN)["warnings"])
    assert "\N{MINUS SIGN}0.30" in "".join(people.view(words, facts(judge=judged(0.2, 0.5)), RUN)["warnings"])
    assert "\N{MINUS SIGN}0.30" in "\n".join(people.markdown(words, facts(judge=judged(0.2, 0.5)), RUN))
    close = people.view(words, facts(judge=judged(0.45, 0.5)), RUN)  # within the interval of the difference
    assert not any("0.45" in line for line in close["warnings"])
    assert words.plain("people_judge") not in page(words, facts())


def test_a_judge_measured_before_there_was_a_difference_is_shown_and_called_nothing(words):
    old = judged(0.2, 0.5)
    for measure in old["criteria"][0]["measures"]:
        del measure["difference"]
    assert "0.20" in page(words, facts(judge=old))
    assert not any("0.20" in line for line in people.view(words, facts(judge=old), RUN)["warnings"])


def test_so_few_groups_that_nothing_could_be_significant_are_told(words):
    few = facts(comparisons=[compared(1.0, 0.25, groups=3, least_p=0.25)])
    (line,) = people.view(words, few, RUN)["few"]
    assert "0.250" in line
    assert str(line) in page(words, few)


def test_one_rater_has_no_agreement(words):
    assert words.plain("people_one_rater") in page(words, facts(agreement=[], raters=[rater(1)]))


def test_pairs_alone_are_shown(words):
    preferred = [compared(-0.6, 0.01, least_p=0.001)]
    found = facts(means=[], comparisons=[], preferences=preferred, replies=0, pairs=12)
    assert words.plain("people_preferences") in page(words, found)
    assert "−0.60" in "\n".join(people.markdown(words, found, RUN))


def test_a_file_that_is_absent_or_something_else_is_told(tmp_path):
    step = Step("people", tmp_path, "0", False, 0.0, {"produces": "people"})
    with pytest.raises(MashqError, match=r"expected what people said, got none"):
        people.read(step)
    (tmp_path / "people.json").write_text(json.dumps({"rows": 1}), "utf-8")
    with pytest.raises(MashqError, match=r"expected what people said, with 'raters'"):
        people.read(step)
