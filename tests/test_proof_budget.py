"""What a judge and further systems may cost: one purse for the steps of a run; stopped, raised, nothing asked twice."""

from __future__ import annotations

import json
import re

import pytest
import verbs
from loopback import Act, serving
from test_judge import samples
from test_proof import answering, made, proven_run

from mashq.judge import JudgeSettings
from mashq.lm.budget import BudgetSettings
from mashq.proof import ProofSettings
from mashq.rows import MashqError
from mashq.run import needed

JUDGED = 6  # replies of each system


def proof(server, card=0, judge=None, others=None, systems=1):
    """A proof with a judge, and with so many further systems."""
    asked = JudgeSettings(
        model=f"{server.url}#judge", rubric="prompts", options={"concurrency": 1}, budget=judge or BudgetSettings()
    )
    more = {f"Big {number}": f"{server.url}#big" for number in range(systems)}
    return ProofSettings(others=more, judge=asked, card=card, others_budget=others or BudgetSettings())


def asked_of(server, model):
    return [body["messages"][-1]["content"] for body in server.asked if body["model"] == model]


def test_a_judges_budget_is_over_all_its_steps_and_a_larger_one_goes_on(tmp_path):
    with answering() as server:
        few = proof(server, judge=BudgetSettings(requests=JUDGED + 2))
        said = r"budget: spent 8 of 8 requests \(proof.judge.budget\); 4 of 6 requests were not sent\. 2 replies are in"
        for _ in range(2):  # the same command again spends nothing more: what the finished step cost counts
            with pytest.raises(MashqError, match=said):
                made(tmp_path, few)
            assert len(asked_of(server, "judge")) == JUDGED + 2
        folders = made(tmp_path, proof(server))
        assert len(asked_of(server, "judge")) == len(set(asked_of(server, "judge"))) == 3 * JUDGED
        whole = made(tmp_path / "whole", proof(server))
    assert {name: folder.name for name, folder in folders.items()} == {
        name: folder.name for name, folder in whole.items()
    }
    files = [(root["gain"] / "scores.json").read_text("utf-8") for root in (folders, whole)]
    assert files[0] == files[1]


def test_a_request_that_the_card_shares_with_a_judged_step_counts_once(tmp_path):
    with answering() as server:
        folders = made(tmp_path, proof(server, card=6, systems=0))
        card = json.loads((folders["judge-card"] / "judge_card.json").read_text("utf-8"))
        whole = len(asked_of(server, "judge"))
        assert whole == 2 * JUDGED + card["requests"] - card["cases"]
        made(tmp_path / "enough", proof(server, 6, BudgetSettings(requests=whole), systems=0))
        assert len(asked_of(server, "judge")) == 2 * whole
        with pytest.raises(MashqError, match=rf"spent {whole - 1:,} of {whole - 1:,} requests .* 1 of \d+ requests"):
            made(tmp_path / "short", proof(server, 6, BudgetSettings(requests=whole - 1), systems=0))
        assert len(asked_of(server, "judge")) == 3 * whole - 1
        made(tmp_path / "short", proof(server, 6, systems=0))
        assert len(asked_of(server, "judge")) == 3 * whole


def test_further_systems_spend_together(tmp_path):
    with serving(lambda number, body: Act(), models=("big", "other")) as server:

        def others(requests, *names):
            named = {name.title(): f"{server.url}#{name}" for name in names}
            return ProofSettings(others=named, others_budget=BudgetSettings(requests=requests))

        with pytest.raises(MashqError, match=r"spent 4 of 4 requests \(proof.others_budget\); 2 of 6 requests"):
            made(tmp_path, others(4, "big"))
        assert len(asked_of(server, "big")) == 4
        made(tmp_path, others(6, "big"))
        assert len(asked_of(server, "big")) == len(set(asked_of(server, "big"))) == JUDGED
        with pytest.raises(MashqError, match=r"spent 7 of 7 requests \(proof.others_budget\); 5 of 6 requests"):
            made(tmp_path, others(7, "big", "other"))
        made(tmp_path, others(None, "big", "other"))
        assert (len(asked_of(server, "big")), len(asked_of(server, "other"))) == (JUDGED, JUDGED)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (BudgetSettings(tokens=9_000), r"[\d,]+ of 9,000 tokens \(proof.judge.budget\)"),
        (BudgetSettings(money=0.01, price_in=1.0, price_out=4.0), r"0\.0\d of 0\.01 in money \(proof.judge.budget\)"),
    ],
)
def test_tokens_and_money_are_limits_too(limit, said, tmp_path):
    with answering() as server:
        with pytest.raises(MashqError, match=said) as error:
            made(tmp_path, proof(server, judge=limit))
        first = len(asked_of(server, "judge"))
        assert 0 < first < 3 * JUDGED
        left = int(re.search(r"([\d,]+) of [\d,]+ requests were not sent", str(error.value))[1])
        assert left == JUDGED - first % JUDGED
        made(tmp_path, proof(server))
        assert len(asked_of(server, "judge")) == 3 * JUDGED


def test_a_budget_is_in_no_fingerprint():
    def names(**more):
        asked = JudgeSettings(model="http://localhost:1/v1#judge", rubric="prompts", budget=more.pop("judge"))
        settings = ProofSettings(others={"Big": "http://localhost:1/v1#big"}, judge=asked, card=4, **more)
        return [step.folder_name for step in needed(proven_run(settings))]

    tight = BudgetSettings(requests=1, tokens=2, money=3.0, price_in=1.0)
    assert names(judge=tight, others_budget=tight) == names(judge=BudgetSettings())


@pytest.mark.parametrize("where", ["judge", "others"])
def test_a_budget_that_cannot_be_meant_is_refused_before_anything_is_made(where):
    wrong = BudgetSettings(money=1.0)
    judge = JudgeSettings(model="echo", rubric="prompts", budget=wrong if where == "judge" else BudgetSettings())
    with pytest.raises(MashqError, match="budget: money needs prices"):
        proven_run(ProofSettings(judge=judge, others_budget=wrong if where == "others" else BudgetSettings()))


def test_the_command_has_the_same_limits_and_goes_on(tmp_path, capsys):
    out = tmp_path / "judged"
    with answering() as server:
        asked = ("judge", str(samples(tmp_path)), "--model", f"{server.url}#judge", "--out", str(out))
        code, _, error = verbs.run(capsys, *asked, "--budget-requests", "5")
        assert code == 1, error
        assert "spent 5 of 5 requests (--budget-requests); 3 of 8 requests were not sent" in " ".join(error.split())
        assert len(server.asked) == 5 and not (out / "judged.json").exists()
        assert verbs.run(capsys, *asked, "--budget-requests", "8")[0] == 0
        assert len(server.asked) == 8
        code, _, error = verbs.run(capsys, *asked, "--budget-money", "1")
        assert code == 1 and "money needs prices" in error
        code, _, _ = verbs.run(capsys, *asked, "--card", "--budget-requests", "9", "--out", str(tmp_path / "card"))
        assert code == 1 and len(server.asked) == 8 + 9
