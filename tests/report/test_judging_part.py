"""The section on the judge: warnings first, conclusions, every measure, and nothing from data that runs."""

from __future__ import annotations

import json
import subprocess

import pytest
from browser import BROWSER, FLAGS
from scripted_judges import KnownTexts, ScriptedJudge, example_cases

from mashq.judge.card import judge_card
from mashq.judge.card_page import card_json
from mashq.record import Step
from mashq.report import write
from mashq.report.judging import markdown, read, view
from mashq.report.words import LANGUAGES, Words
from mashq.rows import MashqError

CASES = example_cases(14)
KNOWN = KnownTexts(CASES)
CRITERIA = ("fluency", "coherence", "variety")
ATTACK = '<script>document.title="run"</script>|<b>x'
ABOUT = {
    "model": "judge-7b",
    "identity": "http:judge-7b",
    "rubric": "stories",
    "language": "ar",
    "apart": False,
    "family": ["Qwen"],
    "kin": [],
}
RUN = {"evaluations": [{"labels": {"after": "tuned"}, "metrics": {}}]}


def card_facts(judge=None, people=None, **about):
    """What `judge_card.json` holds of a scripted judge with faults."""
    judge = judge or ScriptedJudge(KNOWN, place=0.9, dialect=-1.0, per_doubling=1.0, malformed=0.1, criteria=CRITERIA)
    said = people and {"fluency": [[1 + place % 5 for place in range(14)]] * 2}
    card = json.loads(card_json(judge_card(judge, CASES, people=said, name="judge-7b")))
    told = None if people is None else {"raters": 2, "replies": 14, **people}
    drawn = {"most": 14, "systems": {"after": 14}, "varieties": {"msa": 14}}
    return {"kind": "judge_card", "step": "card", "about": {**ABOUT, **about}, "drawn": drawn, "people": told, **card}


@pytest.fixture(scope="module")
def facts():
    return card_facts(people={"simulated": True})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's record with a judge card beside a hostile name."""
    root = tmp_path_factory.mktemp("judged") / "runs"
    folder = root / "steps" / "card@0123456789abcdef"
    folder.mkdir(parents=True)
    made = card_facts(kin=["after"], model=ATTACK, family=["Google"])
    (folder / "judge_card.json").write_text(json.dumps(made, ensure_ascii=False), "utf-8")
    manifest = {"step": "card", "produces": "judge_card", "fingerprint": "0123456789abcdef", "inputs": {}, "parts": []}
    manifest |= {"settings": {}, "identity": {}, "counts": None, "outputs": [], "facts": {}, "hash": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    entry = {"name": "card", "folder": "steps/card@0123456789abcdef", "fingerprint": "0123456789abcdef"}
    record = root / "stories" / "default.json"
    record.parent.mkdir()
    whole = {"recipe": "stories", "name": "default", "steps": [{**entry, "seconds": 1.0, "reused": False, "drift": []}]}
    record.write_text(json.dumps(whole), "utf-8")
    return record


def test_a_judge_of_the_family_a_judge_without_a_model_and_simulated_raters_are_loud():
    plain = card_facts()
    for lang in LANGUAGES:
        words = Words(lang)
        assert view(words, plain, RUN)["warnings"] == []
        (kin,) = view(words, card_facts(kin=["after"], family=["Google"]), RUN)["warnings"]
        assert "Google" in kin
        assert words.term("system_name", "tuned") in kin
        (scripted,) = view(words, card_facts(model="scripted:x.jsonl", family=[]), RUN)["warnings"]
        assert "scripted:x.jsonl" in scripted
        assert len(view(words, card_facts(family=[]), RUN)["warnings"]) == 1
        assert len(view(words, card_facts(people={"simulated": True}), RUN)["warnings"]) == 1


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_measure_is_shown_with_biases_first(facts, lang):
    shown = view(Words(lang), facts, RUN)
    assert sum(len(probe["rows"]) for probe in shown["probes"]) == len(facts["measures"])
    titles = [probe["title"] for probe in shown["probes"]]
    assert titles[0] == {"ar": "الموضع في المقارنة", "en": "Place in a pair"}[lang]
    assert titles[-1] == {"ar": "أجوبة لا تُقرأ", "en": "Answers that cannot be read"}[lang]
    assert [probe["open"] for probe in shown["probes"]][:4] == [True, True, True, False]
    said = [line for group in shown["concluded"] for line in group["lines"]]
    assert len(said) == len(facts["conclusions"])
    assert shown["concluded"][0]["kind"] == "worse"
    assert shown["concluded"][0]["lines"][0].startswith({"ar": "يفضّل الموضع الأول", "en": "Prefers the first"}[lang])


def test_scores_are_counted_and_their_bars_say_so_in_words(facts):
    (fluency, *_) = view(Words("en"), facts, RUN)["scores"]
    counts = facts["distribution"]["fluency"]
    assert [one["count"] for one in fluency["cells"]] == [counts.get(level, 0) for level in "12345"]
    assert fluency["asked"] == sum(counts.values()) == 14
    assert fluency["unread"] == counts.get("unparsed", 0)
    assert f"of 14: score 3 was given {counts.get('3', 0)} times".split(":")[1].strip() in str(
        fluency["cells"][2]["bar"]
    )


def test_matrix_is_the_same_on_both_sides_of_its_diagonal(facts):
    lines = view(Words("en"), facts, RUN)["matrix"]["lines"]
    for one in range(3):
        assert lines[one]["cells"][one] is None
        for other in range(3):
            assert lines[one]["cells"][other] == lines[other]["cells"][one]
    (rho,) = (o for o in facts["measures"] if (o["probe"], o["criterion"], o["about"]) == ("halo", *CRITERIA[:2]))
    assert lines[0]["cells"][1]["value"] == ("–" if rho["value"] is None else f"{rho['value']:.2f}")


def test_people_stand_beside_the_judge(facts):
    lines = view(Words("en"), facts, RUN)["beside_people"]
    assert [line["of"] for line in lines] == [
        "quadratic weighted kappa",
        "Spearman's rho",
        "Krippendorff's ordinal alpha",
    ]
    assert lines[0]["cells"][1]["value"] == "1.00"  # both raters say the same
    assert view(Words("en"), card_facts(), RUN)["beside_people"] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_preference_for_its_own_family_stands_among_the_first_biases(lang):
    cases = example_cases(24, of_a_prompt=2)
    own = [True, False] * 12
    worth = {case.reply: (at % 5 - 2) * 0.5 for at, case in enumerate(cases)}
    family = frozenset(case.reply for case in cases[::2])
    judge = ScriptedJudge(worth=worth, family=family, favours=1.0, criteria=("fluency",))
    said = {"fluency": [[3 + round(worth[case.reply]) for case in cases] for _ in range(3)]}
    told = judge_card(judge, cases, people=said, own=own, probes=("position",), name="judge-7b")
    facts = {**card_facts(kin=["after"], family=["Google"]), **json.loads(card_json(told))}
    words = Words(lang)
    shown = view(words, facts, RUN)
    probe = shown["probes"][1]
    assert probe["title"] == {"ar": "محاباة عائلته", "en": "Its own family"}[lang]
    assert probe["open"]
    assert len(probe["meanings"]) == len(probe["rows"]) == 3
    first = {"ar": "يحابي عائلته", "en": "Favours its own family"}[lang]
    assert any(line.startswith(first) for line in shown["concluded"][0]["lines"])
    assert any(first in line for line in markdown(words, facts, RUN))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_judge_that_is_never_readable_has_a_section(lang):
    silent = card_facts(ScriptedJudge(malformed=1.0, criteria=CRITERIA))
    shown = view(Words(lang), silent, RUN)
    assert shown["matrix"] is None
    assert any("100%" in value for _, value in shown["figures"])
    assert any("100%" in line for line in markdown(Words(lang), silent, RUN))


def test_markdown_holds_all_and_no_table_is_broken(facts):
    hostile = {**facts, "about": {**facts["about"], "model": ATTACK, "kin": ["after"]}}
    for lang in LANGUAGES:
        lines = markdown(Words(lang), hostile, RUN)
        assert lines[0].startswith("**⚠ ")
        assert not any("<b>" in line or "<script" in line for line in lines)
        tables = [line for line in lines if line.startswith("|")]
        assert len(tables) >= len(facts["measures"])
        assert {line.count("|") for line in tables} <= {8, 7, 5, 4}


def test_absent_and_broken_cards_are_named(tmp_path):
    step = Step("card", tmp_path, "f", False, 0.0, {})
    with pytest.raises(MashqError, match=r"step 'card' produces a judge card, but .*judge_card\.json is absent"):
        read(step)
    (tmp_path / "judge_card.json").write_text('{"judge": "x"}')
    with pytest.raises(MashqError, match="expected the key 'about', got judge"):
        read(step)
    (tmp_path / "judge_card.json").write_text("{")
    with pytest.raises(MashqError, match="expected a judge card in JSON"):
        read(step)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_has_the_section_and_escapes_names(run, tmp_path, lang):
    folder = write([run], tmp_path / lang, lang=lang).parent
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="r1-judge_card"' in page
    assert ATTACK not in page
    assert "&lt;script&gt;document.title" in page
    assert str(Words(lang).html("judging_note")) in page
    told = (folder / "report.md").read_text("utf-8")
    assert Words(lang).plain("judge_card") in told
    assert "<script" not in told
    stored = json.loads((folder / "report.json").read_text("utf-8"))
    (part,) = (one for one in stored["runs"][0]["parts"] if one["kind"] == "judge_card")
    assert part["about"]["kin"] == ["after"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_section_fits_a_phone(run, tmp_path):
    page = (write([run], tmp_path).parent / "report.html").read_text("utf-8")
    policy = page[page.index('<meta http-equiv="Content-Security-Policy"') :].split(">")[0] + ">"
    measure = "<script>parent.postMessage(innerWidth + ':' + document.documentElement.scrollWidth, '*')</script></body>"
    listen = "<script>onmessage = e => { document.title = e.data }</script>"
    framed = f'<body>{listen}<iframe src="copy.html" width="390" height="900"></iframe></body>'
    (tmp_path / "copy.html").write_text(page.replace(policy, "").replace("</body>", measure), "utf-8")
    (tmp_path / "frame.html").write_text(framed, "utf-8")
    flags = (
        *FLAGS,
        "--hide-scrollbars",
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    )
    command = [str(BROWSER), *flags, "--dump-dom", (tmp_path / "frame.html").as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout
    assert "<title>390:390</title>" in told
