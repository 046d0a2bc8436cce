"""What a plan says of further systems, students, a judge and its card, held against what is really sent."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from loopback import Act, completion, serving
from test_contamination_step import prompts, raw
from test_proof import DECODING, LABELS, proven_run
from test_proof_budget import proof
from transformers import AutoTokenizer

from mashq import steps as shared
from mashq.judge import JudgeSettings
from mashq.lm import weights
from mashq.lm.budget import BudgetSettings
from mashq.lm.transformers import InProcess
from mashq.plan import Prices
from mashq.plan_asked import evaluations
from mashq.proof import ProofSettings, compared
from mashq.rows import MashqError, children
from mashq.run import Step, Store, needed
from mashq.steps import StudentSettings

CASES = ("least", "expected", "most")
TEXTS = {"big": "ذهب الولد إلى المدرسة مع أخته الصغيرة. قرأ كتابًا جديدًا عن البحر."}


@pytest.fixture(scope="module")
def tokens():
    """How many tokens a text has for a real tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(weights("gemma3-270m"))
    return lambda text: len(tokenizer(text)["input_ids"])


def counting(tokens):
    """A server whose judge answers by the schema, whose `big` tells a story, and which says what both cost."""

    def plan(number, body):
        asked = "\n".join(one["content"] for one in body["messages"])
        if body["model"] == "judge":
            wanted = body["response_format"]["json_schema"]["schema"]["required"]
            text = json.dumps(dict.fromkeys(wanted, "first" if "overall" in wanted else 1 + number % 5))
        else:
            text = f"{TEXTS['big']} {number}"
        usage = {"prompt_tokens": tokens(asked) + 8, "completion_tokens": tokens(text)}
        return Act(body=completion(text, usage=usage))

    return serving(plan, models=("big", "judge"))


def planned(root, steps, **prices):
    """The plan as lines, and its tables: step -> case -> (requests, tokens in, tokens out)."""
    lines = list(evaluations(Store(root), steps, Prices(**prices), "recipe"))
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in lines:
        words = line.replace(",", "").split()
        if line[:2] != "  ":
            step = re.split(r"[:,]", line)[0]
        elif words[0] in CASES:
            found.setdefault(step, {})[words[0]] = tuple(int(word) for word in words[1:4])
    return lines, found


def sent(server):
    return Counter(body["model"] for body in server.asked)


def spent(root):
    """Model -> (requests, tokens in, tokens out), by the ledger."""
    found: dict[str, tuple[int, ...]] = {}
    for line in (root / "ledger" / "replies").read_text("utf-8").splitlines():
        one = json.loads(line)
        had = found.get(one["model"], (0, 0, 0))
        found[one["model"]] = (had[0] + 1, had[1] + one["prompt_tokens"], had[2] + one["new_tokens"])
    return found


def make(root, steps, *names):
    """Make the steps of these names, or before these; all, where none is named."""
    store = Store(root)
    for step in needed(steps) if names else steps:
        if not names or step.name in names:
            store.make(step)


def test_what_is_planned_is_what_is_sent(tokens, tmp_path):
    with counting(tokens) as server:
        steps = proven_run(proof(server, card=6))
        make(tmp_path, steps, "asked")
        _, plan = planned(tmp_path, steps)
        assert {plan["other-big-0"][case][0] for case in CASES} == {6}
        assert {plan["other-big-0-judged"][case][0] for case in CASES} == {6}  # the replies are still to come
        early = plan["other-big-0-judged"]
        make(tmp_path, steps, "other-big-0", "before-judged", "after-judged")
        assert sent(server) == {"big": 6, "judge": 12}
        lines, exact = planned(tmp_path, steps)
        assert "made already, and ask nothing: other-big-0, before-judged, after-judged" in lines
        assert set(exact) == {"other-big-0-judged", "judge-card", "proof.judge"}
        assert any(re.search(r"have their reply in the ledger", line) for line in lines)
        before = spent(tmp_path)
        make(tmp_path, steps)
        after = spent(tmp_path)
        total = exact["proof.judge"]
        assert {total[case][0] for case in CASES} == {sent(server)["judge"] - 12}
        (judge,) = (model for model in after if model.endswith("#judge"))
        (big,) = (model for model in after if model.endswith("#big"))
        cost = [late - early for late, early in zip(after[judge], before[judge], strict=True)]
        assert cost[0] == total["least"][0] == total["most"][0] > 100
        for place in (1, 2):
            assert total["least"][place] < cost[place] < total["most"][place]
            assert plan["other-big-0"]["least"][place] <= after[big][place] <= plan["other-big-0"]["most"][place]
        for case, one in exact["other-big-0-judged"].items():  # known replies lie between what was said without them
            assert early["least"][1] <= one[1] <= early["most"][1], case
        assert [line for line in planned(tmp_path, steps)[0] if "requests" in line] == []


def test_before_anything_is_made_no_number_is_told_and_nothing_is_sent_or_made(tokens, tmp_path):
    with counting(tokens) as server:
        lines, plan = planned(tmp_path, proven_run(proof(server, card=6)))
        assert not server.asked
    assert plan == {} and list(tmp_path.iterdir()) == []
    told = {line.split(":")[0]: line for line in lines}
    assert told["other-big-0"].endswith("for each row of asked: not known until asked is made")
    assert "one request to http://127.0.0.1" in told["before-judged"]
    assert told["judge-card"].endswith("not known until before, after, other-big-0 are made")
    assert re.search(r"on 6 packaged texts in their place a card takes \d+ requests", "\n".join(lines))


def test_apart_every_criterion_is_a_request(tokens, tmp_path):
    with counting(tokens) as server:
        settings = proof(server, systems=0)
        judge = JudgeSettings(**{**vars(settings.judge), "apart": True})
        steps = proven_run(ProofSettings(judge=judge))
        assert "up to 3 requests" in planned(tmp_path, steps)[0][0]
        make(tmp_path, steps, "before-judged", "after")
        _, plan = planned(tmp_path, steps)
        assert set(plan) == {"after-judged"} and sent(server)["judge"] == 18
        make(tmp_path, steps, "after-judged")
        assert plan["after-judged"]["most"][0] == sent(server)["judge"] - 18 == 18


def test_a_run_that_a_budget_stopped_is_planned_from_there(tokens, tmp_path):
    with counting(tokens) as server:
        steps = proven_run(proof(server, judge=BudgetSettings(requests=8), systems=0))
        with pytest.raises(MashqError, match="8 of 8 requests"):
            make(tmp_path, steps)
        lines, plan = planned(tmp_path, steps)
        assert {plan["after-judged"][case][0] for case in CASES} == {4}
        assert "  2 have their reply in the ledger and cost nothing again" in lines
        said = "proof.judge.budget: 8 of 8 requests are spent; it does not hold the case: least, expected, most"
        assert said in lines
        more = proven_run(proof(server, judge=BudgetSettings(requests=12), systems=0))
        assert "proof.judge.budget: 8 of 12 requests are spent; it holds all of this" in planned(tmp_path, more)[0]
        make(tmp_path, more)
        assert sent(server)["judge"] == 12


def test_money_is_at_the_prices_of_the_budget_unless_others_are_given(tokens, tmp_path):
    with counting(tokens) as server:
        limit = BudgetSettings(money=100.0, price_in=10.0, price_out=40.0)
        steps = proven_run(proof(server, judge=limit, systems=0))
        make(tmp_path, steps, "before")
        row = next(line.split() for line in planned(tmp_path, steps)[0] if line.strip().startswith("most"))
        tokens_in, tokens_out = (int(word.replace(",", "")) for word in row[2:4])
        assert row[4] == f"{(tokens_in * 10 + tokens_out * 40) / 1e6:,.2f}"
        lines = planned(tmp_path, steps, price_in=20.0, price_out=80.0, tokens_per_second=10.0)[0]
        row = next(line.split() for line in lines if line.strip().startswith("most"))
        assert row[4] == f"{(tokens_in * 20 + tokens_out * 80) / 1e6:,.2f}"
        assert row[5] == f"{tokens_out / 10 / 3600:,.1f}"


# --- students, and what stands between replies and judge -------------------------------------------------------------


def kept(rows, job):
    """The rows as they are, under another step: what a recipe may make of replies."""
    return children(rows, job.name)


def students(judge, scored=None):
    """Two students' replies, judged; nothing of it is made."""
    asked = Step("asked", prompts, (0, 6, "test"), {"raw": Step("raw", raw, kind="stream")}, kind="stream")
    student = StudentSettings(model="gemma3-270m")
    systems = {name: shared.replies(name, asked, student, DECODING) for name in ("before", "after")}
    systems = {name: scored(name, step) if scored else step for name, step in systems.items()}
    return [asked, *compared("gain", systems, LABELS, ("rougeL",), ProofSettings(judge=judge))]


def test_a_student_costs_tokens_and_no_money(tmp_path):
    judge = JudgeSettings(model="http://127.0.0.1:9/v1#judge", rubric="prompts")
    steps = students(judge)
    lines, _ = planned(tmp_path, steps)
    assert "before, after: by models in this process, no money: how many replies is not known until asked is made" in (
        lines
    )
    assert "asked asks no model: mashq make recipe/asked with these settings, then plan again" in lines
    make(tmp_path, steps, "asked")
    lines, plan = planned(tmp_path, steps, local_tokens_per_second=0.1)
    assert "before: 6 replies of gemma3-270m in this process: no money, at most 240 tokens, 0.7 hours at the most" in (
        lines
    )
    assert {plan["before-judged"][case][0] for case in CASES} == {6}
    least, _, most = (plan["before-judged"][case] for case in CASES)
    assert least[2] < most[2] == 6 * 512
    assert not [line for line in lines if "asks no model" in line]


def test_where_a_step_may_leave_replies_out_only_the_most_is_told(tmp_path):
    judge = JudgeSettings(model="http://127.0.0.1:9/v1#judge", rubric="prompts")
    steps = students(judge, lambda name, step: Step(f"{name}-kept", kept, None, {"replies": step}))
    make(tmp_path, steps, "asked")
    lines, plan = planned(tmp_path, steps)
    assert plan["before-judged"].keys() == {"most"} and plan["before-judged"]["most"][0] == 6
    assert "  before-kept is not made yet and may leave out some of what is replied to asked" in lines
    assert "before-judged: at most 6 requests to" in "\n".join(lines)


def test_a_judge_in_this_process_is_planned_without_its_weights(monkeypatch, tmp_path):
    def loaded(self):
        raise AssertionError("weights were read")

    steps = proven_run(ProofSettings(judge=JudgeSettings(model="toy-llama", rubric="prompts"), card=4))
    make(tmp_path, steps, "before", "after")
    monkeypatch.setattr(InProcess, "loaded", loaded)
    lines, plan = planned(tmp_path, steps)
    assert plan["before-judged"]["most"][0] == 6 and plan["judge-card"]["most"][0] > 100
    assert any("its weights are in this process" in line for line in lines)
