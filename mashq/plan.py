"""What a recipe would ask of language models, before anything is sent: requests, tokens, money, time; and of memory.

What is wanted is made for it (that asks nobody), prompts are written for a sample of it, and the rest is arithmetic
over three cases: every first reply is kept; a stated share of replies is; nothing is and every try is used up. A model
named without `#model` is asked for its name. What memory a training needs is foreseen from its model's configuration
(`mashq.train.memory`). What a judge, further systems and students would be asked is in `mashq.plan_asked`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq.lm import Ledger, Request, key_of, open_model
from mashq.lm.budget import CHARACTERS_PER_TOKEN, BudgetSettings
from mashq.rows import MashqError, expected_got
from mashq.run import Step, Store, manifest_of, needed, read_rows
from mashq.synthesis import Asked, Draft, Judging, Wanted, request_of
from mashq.synthesis_step import Writing, wanted_of

if TYPE_CHECKING:
    from mashq.train.settings import TrainSettings

__all__ = ["Case", "Plan", "Prices", "planned", "table", "trainings", "writing_steps"]

SAMPLE = 400  # texts whose prompts are written to know their length
MENDING, VERDICT = 60, 8  # tokens of what is said of a near miss, or asked of a judge; of a judge's yes or no


@dataclass(frozen=True)
class Prices:
    """What is assumed. price_in and price_out: for a million tokens; kept: share of replies that are worth keeping."""

    price_in: float = 0.0  # 0: that of the step's own budget
    price_out: float = 0.0
    kept: float = 0.7
    reply_tokens: int = 0  # of a usual reply; 0: half of what a reply may have
    tokens_per_second: float = 0.0  # of replies, all in flight together; 0: no time is told
    local_tokens_per_second: float = 0.0  # of replies of a model in this process; 0: no time is told

    def __post_init__(self) -> None:
        if not 0 < self.kept <= 1:
            raise MashqError(expected_got("plan: kept", "a share above 0 and at most 1", f"{self.kept:g}"))
        for name in ("price_in", "price_out", "tokens_per_second", "local_tokens_per_second"):
            if not 0 <= getattr(self, name) < math.inf:
                raise MashqError(expected_got(f"plan: {name}", "0 or more", f"{getattr(self, name):g}"))

    def or_of(self, budget: BudgetSettings | None) -> Prices:
        """These, and the budget's for tokens where none are given."""
        if budget is None:
            return self
        return replace(self, price_in=self.price_in or budget.price_in, price_out=self.price_out or budget.price_out)

    def case(self, name: str, requests: float, tokens_in: float, tokens_out: float) -> Case:
        """What so much costs and takes."""
        money = (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6
        seconds = tokens_out / self.tokens_per_second if self.tokens_per_second else 0.0
        return Case(name, round(requests), round(tokens_in), round(tokens_out), money, seconds)


class Case(NamedTuple):
    """One case: requests, tokens, money, seconds (0: not known)."""

    name: str
    requests: int
    tokens_in: int
    tokens_out: int
    money: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What one writing step would ask. prompt_tokens: of a usual first prompt; paid: first prompts whose reply the
    ledger has."""

    step: str
    model: str
    wanted: int
    prompt_tokens: int
    paid: int
    cases: tuple[Case, ...]

    def lines(self) -> Iterator[str]:
        """The plan as a table for a terminal."""
        yield f"{self.step}: {self.wanted:,} texts by {self.model}, prompts of about {self.prompt_tokens:,} tokens"
        if self.paid:
            yield f"  {self.paid:,} first prompts have their reply in the ledger and cost nothing again"
        yield from table(self.cases)


def table(cases: Sequence[Case]) -> Iterator[str]:
    """Cases as a table for a terminal."""
    yield f"  {'':<9} {'requests':>10} {'tokens in':>15} {'tokens out':>15} {'money':>12} {'hours':>8}"
    for one in cases:
        money = f"{one.money:,.2f}" if one.money else "-"
        hours = f"{one.seconds / 3600:,.1f}" if one.seconds else "-"
        yield f"  {one.name:<9} {one.requests:>10,} {one.tokens_in:>15,} {one.tokens_out:>15,} {money:>12} {hours:>8}"


def writing_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps of a recipe that write with a model, and what they need, each once, in order."""
    return [step for step in needed(steps) if isinstance(step.aside, Writing)]


def planned(store: Store, step: Step, prices: Prices) -> Plan:
    """The plan of one writing step. Makes what is wanted in the store.

    Raises MashqError where that itself waits for replies of another writing step that is not made.
    """
    needed = step.inputs["wanted"]
    if before := [one.name for one in writing_steps([needed]) if not (store.folder(one) / "manifest.json").exists()]:
        raise MashqError(f"plan: {step.name} writes from what {', '.join(before)} will have written: make that first.")
    wanted = [one for table in read_rows(store.make(needed).folder) for one in wanted_of(table)]
    writing: Writing = step.aside
    asked, model = writing.settings.asked, open_model(writing.settings.model, **writing.settings.options)
    first = [request_of(writing.writer.ask(one, 0, ()), asked.decoding) for one in wanted]
    every = max(1, len(first) // SAMPLE)
    some, some_wanted = first[::every], wanted[::every]
    prompt = sum(one.characters for one in some) / max(len(some), 1) / CHARACTERS_PER_TOKEN
    reply = prices.reply_tokens or asked.decoding.max_new_tokens // 2
    prices = prices.or_of(writing.settings.budget)
    mends = asked.repair and getattr(writing.writer, "mends", True)
    questions = _questions(writing, some_wanted) if writing.settings.judge else 0.0
    cases = []
    for kept, name in ((1.0, "least"), (prices.kept, "expected"), (0.0, "most")):
        limit = asked.decoding.max_new_tokens if not kept else reply
        cases.append(_case(name, len(wanted), _per_text(kept, asked, mends), prompt, limit, questions, prices))
    paid = _paid(store.root / "ledger" / "replies", model.identity, first)
    return Plan(step.name, writing.settings.model, len(wanted), round(prompt), paid, tuple(cases))


def _questions(writing: Writing, wanted: Sequence[Wanted]) -> float:
    """How many questions a judge is asked of one sound text, on average."""
    if not isinstance(writing.writer, Judging) or not wanted:
        return 0.0
    drafts = ((one, Draft({"references": ["نص"]})) for one in wanted)
    return sum(len(writing.writer.questions(one, draft)) for one, draft in drafts) / len(wanted)


def _per_text(kept: float, asked: Asked, mends: bool) -> tuple[float, float]:
    """First prompts and repairs that a text takes, where a reply is kept with this chance and a repair likewise."""
    fails = (1 - kept) ** asked.samples
    repairs = fails if mends else 0.0
    on = fails * (1 - kept) if mends else fails  # the chance that another attempt follows
    attempts = sum(on**number for number in range(asked.tries))
    return attempts * asked.samples, attempts * repairs


def _case(
    name: str, texts: int, per_text: tuple[float, float], prompt: float, reply: int, questions: float, prices: Prices
) -> Case:
    first, repairs = (texts * each for each in per_text)
    judged = questions * (first + repairs if name == "most" else texts)  # at most every reply is sound and judged
    # A repair repeats the prompt and the reply and says what is wrong; a question repeats the text.
    tokens_in = first * prompt + repairs * (prompt + reply + MENDING) + judged * (reply + MENDING)
    tokens_out = (first + repairs) * reply + judged * VERDICT
    return prices.case(name, first + repairs + judged, tokens_in, tokens_out)


def _paid(ledger: Path, identity: str, requests: Sequence[Request]) -> int:
    if not ledger.exists():
        return 0
    with Ledger(ledger) as book:
        return sum(book.get(key_of(identity, one)) is not None for one in requests)


# --- training --------------------------------------------------------------------------------------------------------

LONGEST = 256  # rows with most characters, whose tokens are counted: the longest row is among them


def trainings(store: Store, steps: Sequence[Step]) -> Iterator[str]:
    """What memory each train step would need, for a terminal; a step whose need is not known says why.

    Rows that are made already are measured; else every row is taken to be as long as a row may be. Nothing is made.
    """
    for step in needed(steps):
        settings = step.settings.get("train") if isinstance(step.settings, Mapping) else None
        if step.produces != "model" or settings is None:
            continue
        student = step.settings["student"]
        settings = replace(settings, model=str(step.files.get("student", student.model)), frame=student.frame)
        try:
            yield from _training(store, step, settings)
        except MashqError as error:
            yield f"{step.name}: memory not known: {error}"


def _training(store: Store, step: Step, settings: TrainSettings) -> Iterator[str]:
    from mashq.train.memory import plan_memory

    folders = [store.folder(one) for name, one in step.inputs.items() if name != "after"]
    made = all(manifest_of(folder) is not None for folder in folders)
    memory = plan_memory(settings, _lengths(folders, settings) if made else None)
    first, *others = memory.lines()
    yield f"{step.name}: {first}"
    yield from (f"  {line}" for line in others)
    if not made:
        yield "  its rows are not made yet: the longest that a row may be (max_tokens) stands for them"


def _lengths(folders: Sequence[Path], settings: TrainSettings) -> list[int]:
    """Tokens of the rows with most characters, of those that are trained on."""
    from mashq import chat
    from mashq.fertility import tokenizer_of
    from mashq.train.rows import examples

    table = pa.concat_tables([table for folder in folders for table in read_rows(folder)])
    table = table.filter(pc.not_equal(pc.fill_null(table["split"], "train"), "test"))
    sizes = np.array([_characters(row) for row in table.select(["messages", "references"]).to_pylist()])
    some = table.take(np.argsort(-sizes, kind="stable")[: max(LONGEST, settings.rows_per_batch)])
    tokenizer = tokenizer_of(settings.model, remote_code=settings.remote_code)
    frame = chat.frame_for(tokenizer, settings.frame)
    made, _ = examples(some, tokenizer, frame, max_tokens=settings.max_tokens, supervise=settings.supervise)
    return [len(one.ids) for one in made]


def _characters(row: Mapping[str, Any]) -> int:
    turns = row["messages"] or []
    reply = (row["references"] or [""])[0] if turns and turns[-1]["role"] != "assistant" else ""
    return sum(len(turn["content"] or "") for turn in turns) + len(reply or "")
