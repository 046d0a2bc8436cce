"""A budget that steps share: what the ledger holds of them counts once, and what is asked now is left to the engine."""

from dataclasses import dataclass

import pytest

from mashq.lm import Budget, Decoding, Ledger, Request, generate, open_model
from mashq.lm.budget import BudgetSettings
from mashq.lm.purse import Purse
from mashq.rows import MashqError

DECODING = Decoding(max_new_tokens=5)


@dataclass(frozen=True)
class Asking:
    """A step of which it is known what it asks."""

    fingerprint: str
    requests: tuple[Request, ...]


def asking(name: str, *texts: str) -> Asking:
    return Asking(name, tuple(Request(messages=(("user", text),), decoding=DECODING) for text in texts))


def purse_of(limit: BudgetSettings, *steps: Asking) -> Purse:
    purse = Purse(limit, "a.budget", lambda step, root, who: [("echo", one) for one in step.requests])
    for step in steps:
        purse.join(step)
        purse.join(step)
    return purse


def test_what_other_steps_were_asked_is_spent_and_each_request_once(tmp_path):
    one, two = asking("one", "أ ب", "ج"), asking("two", "ج", "د ه و")
    ledger = tmp_path / "ledger" / "replies"
    generate(open_model("echo"), [*one.requests, *two.requests], ledger=ledger, budget=None)
    purse = purse_of(BudgetSettings(requests=9, tokens=90), one, two)
    idle = purse.open(ledger, [])
    assert idle is not None and (idle.spent_requests, idle.spent_in, idle.spent_out) == (3, 6, 6)
    with Ledger(ledger) as book:
        now = purse.open(book, [("echo", request) for request in two.requests])
    assert now is not None and (now.spent_requests, now.spent_in) == (1, 2)  # the engine counts those of `two`
    assert str(idle) == "12 of 90 tokens and 3 of 9 requests (a.budget)"


def test_without_a_ledger_nothing_is_spent_and_without_a_limit_there_is_no_budget(tmp_path):
    limited = purse_of(BudgetSettings(requests=1), asking("one", "أ"))
    for ledger in (None, tmp_path / "ledger" / "replies"):
        budget = limited.open(ledger, [])
        assert budget is not None and budget.spent_requests == 0
    assert not (tmp_path / "ledger").exists()
    assert purse_of(BudgetSettings(price_in=1.0)).open(None, []) is None


def test_requests_are_a_limit_of_every_budget(tmp_path):
    step = asking("one", "أ", "ب", "ج")
    with pytest.raises(MashqError, match=r"budget: spent 2 of 2 requests; 1 of 3 requests were not sent\. 2 replies"):
        generate(open_model("echo"), step.requests, ledger=tmp_path / "l", budget=Budget(requests=2))
    assert len(generate(open_model("echo"), step.requests, ledger=tmp_path / "l", budget=Budget(requests=3))) == 3
    with pytest.raises(MashqError, match="requests are 0 or more"):
        Budget(requests=-1)
