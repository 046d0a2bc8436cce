"""What an evaluation with a judge, an absent system, rules and few groups adds to the page."""

import json
import re
from html import unescape

import proof_run
import pytest

from mashq.report import write
from mashq.report.cells import slice_text
from mashq.report.words import Words


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("proof")
    record = proof_run.make(root / "runs")
    return {lang: write([record], root / lang, lang=lang).parent for lang in ("ar", "en")}


@pytest.fixture(scope="module")
def evaluation(made):
    return json.loads((made["en"] / "report.json").read_text("utf-8"))["runs"][0]["evaluations"][0]


def plain(text):
    return " ".join(re.sub("<[^>]+>", " ", text).split())


def test_absent_system_is_a_row_of_the_board_with_why(made):
    arabic, english = ((made[lang] / "report.html").read_text("utf-8") for lang in ("ar", "en"))
    row = re.search('<tr class="absent">(.*?)</tr>', arabic, re.DOTALL).group(1)
    assert plain(row) == "AceGPT FreedomIntelligence/AceGPT-7B لم يُشغَّل: النموذج غير متوفّر"
    assert "not run: no model at hand" in plain(english)
    assert "AceGPT (`FreedomIntelligence/AceGPT-7B`): not run: no model at hand" in (
        made["en"] / "report.md"
    ).read_text("utf-8")


def test_four_groups_say_that_nothing_could_be_significant(made, evaluation):
    family = sum(one["slice"]["by"] == "all" for one in evaluation["comparisons"])
    assert evaluation["powerless"]["all"] == {"groups": 4, "p": 0.125, "p_holm": min(1.0, 0.125 * family)}
    for name in ("report.html", "report.md"):
        text = plain((made["en"] / name).read_text("utf-8"))
        assert re.search(r"With 4 groups the smallest p that the test can give is 0\.125", text)
    assert (made["en"] / "report.html").read_text("utf-8").count('class="mark"') == sum(
        one["powerless"] for one in evaluation["comparisons"] if one["slice"]["by"] in ("all", "variety", "length")
    )


def test_slices_without_power_are_told_beside_the_headline_and_marked_at_the_corrected_p(made, evaluation):
    told = "Slices with too few groups for any difference to be significant after Holm's correction: "
    assert evaluation["powerless"]["slices"] and evaluation["unproven_slices"] == []
    page, markdown = (unescape((made["en"] / name).read_text("utf-8")) for name in ("report.html", "report.md"))
    caution = plain(re.search('<div class="caution">(.*?)</div>', page, re.DOTALL).group(1))
    assert told in caution
    assert "Slices in which no improvement" not in caution
    assert told in markdown[: markdown.index("### What was made")]
    note = "† marks lines with so few groups that p cannot fall below 5% after Holm's correction"
    assert note in plain(page) and note in markdown
    assert re.search(r'<td><bdi dir="ltr" class="num">1\.000</bdi><span class="mark"', page)
    assert re.search(r"^\| [^|]+\| [^|]+\| [^|]+\| [^|]+\| 1\.000 † \| .* \| – \|$", markdown, re.M)
    assert "without Holm's correction" in page and "without Holm's correction" in markdown


def test_enough_groups_do_not_say_so(written):
    assert "†" not in (written / "report.html").read_text("utf-8")


def test_rankings_are_shown_under_each_profile_with_the_verdict(made, evaluation):
    found = evaluation["sensitivity"]
    assert [one["key"] for one in found["verdicts"]] == ["same", "same"]
    text = plain((made["en"] / "report.html").read_text("utf-8"))
    assert "The ranking is the same under every profile (Kendall's tau at least 1.00)." in text.replace(
        "&#39;", "'"
    ).replace("at least 1.00 )", "at least 1.00)")
    assert text.count("rank 1") == len(found["profiles"]) * len(found["metrics"])


def test_tokens_stand_beside_perplexity(made, evaluation):
    whole = evaluation["fertility"][0]
    assert (whole["tokenizer"], whole["variety"], whole["n"]) == ("gemma3", "", proof_run.ITEMS)
    assert whole["tokens_per_word"] == pytest.approx(whole["tokens"] / whole["words"])
    assert [one["variety"] for one in evaluation["fertility"][1:]] == ["egyptian", "msa"]
    assert sum(one["words"] for one in evaluation["fertility"][1:]) == whole["words"]
    assert f"| gemma3 | All items | {whole['n']} |" in (made["en"] / "report.md").read_text("utf-8")


def test_rules_of_the_prompt_are_counted_over_the_prompts_that_ask(made, evaluation):
    text = plain((made["en"] / "report.html").read_text("utf-8"))
    assert "Does the story follow its prompt?" in text and "condition met: season" in text
    whole = {(one["system"], one["metric"]): one for one in evaluation["scores"] if one["slice"]["by"] == "all"}
    assert whole["tuned", "obeys_season"]["n"] == sum(item % 3 == 0 for item in range(proof_run.ITEMS))
    assert whole["tuned", "obeys_dialogue"]["value"] > whole["base", "obeys_dialogue"]["value"] == 0


def test_reply_that_judge_and_metric_see_differently_is_drawn(evaluation):
    (item,) = [one for one in evaluation["replies"]["items"] if "judge" in one["told"]]
    assert item["told"] == {"system": "tuned", "value": 0.0, "judge": 5.0}


def test_judged_replies_are_not_called_unjudged(made, evaluation):
    assert evaluation["not_shown"][:2] == ["not_truth_judged", "not_people_judged"]
    limits = json.loads((made["en"] / "report.json").read_text("utf-8"))["runs"][0]["limits"]
    (unread,) = [one for one in limits if one["limit"] == "unjudged"]
    assert (unread["n"], unread["system"], unread["metric"]) == (1, "base", "judge_coherence")
    assert unread["reasons"] == "unreadable: 1"


def test_every_step_tells_its_seed(made):
    seeds = json.loads((made["en"] / "report.json").read_text("utf-8"))["runs"][0]["seeds"]
    assert seeds == [{"step": "gain", "name": "seed", "seed": "3"}, {"step": "report", "name": "samples", "seed": "0"}]


@pytest.mark.parametrize(
    ("by", "value", "text"),
    [
        ("length", "4-12 words", "words: 4 to 12"),
        ("length", "1 word", "words: 1"),
        ("origin", "translated", "translated"),
        ("origin", "", "(unnamed)"),
        ("task", "4-12 words", "4-12 words"),
    ],
)
def test_slices_have_names_for_readers(by, value, text):
    assert slice_text(Words("en"), by, value) == text
