"""What a recipe's evaluations would ask: further systems, students, a judge and its card. Nothing is sent.

Requests are counted, not guessed: they are written from what is made already, and those that the ledger has or that a
step before asks are left out, so that the tables of all steps add up to what will be sent. Where replies are still to
come, the rows that will be asked are counted and the replies stand open between nothing and their limit; where not even
those rows are made, the plan says which step to make first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mashq.judge.asking import Case as Text
from mashq.judge.asking import Judge, open_judge
from mashq.judge.card_step import Drawn
from mashq.judge.foreseen import card_requests, folders_of, requests_of
from mashq.judge.probes import packaged_parallel
from mashq.judge.rows import Asking, flattened
from mashq.lm import Ledger, Request, key_of, public_name
from mashq.lm.at_hand import has_door
from mashq.lm.budget import CHARACTERS_PER_TOKEN, FRAME, Guess
from mashq.lm.purse import Asked, Purse
from mashq.plan import Case, Prices, table
from mashq.run import Step, Store, before, manifest_of, needed, read_rows
from mashq.steps import asked_for_replies
from mashq.steps.models import SCRIPT
from mashq.synthesis_step import Writing

__all__ = ["evaluations"]

NAMES = ("least", "expected", "most")
CHARACTERS = (6.0, CHARACTERS_PER_TOKEN, 1.0)  # a token of a prompt, in each case: tokenizers differ as much on Arabic


class Load(NamedTuple):
    """What is to be sent in one case: requests, characters of their prompts, tokens of their replies."""

    requests: int
    characters: float
    tokens_out: int


@dataclass
class _Planning:
    """The plan in the making: what steps before ask, what each model is asked in all, and what has to be made first."""

    store: Store
    prices: Prices
    ledger: Ledger | None
    seen: set[bytes] = field(default_factory=set)
    totals: dict[int, tuple[Purse, list[tuple[Case, ...]]]] = field(default_factory=dict)
    unknown: dict[int, list[str]] = field(default_factory=dict)  # id of a purse -> its steps that are not in `totals`
    first: dict[str, Step] = field(default_factory=dict)
    free: dict[str, list[str]] = field(default_factory=dict)  # rows not made yet -> replies to them in this process

    def is_made(self, step: Step) -> bool:
        return manifest_of(self.store.folder(step)) is not None

    def not_known(self, step: Step, purse: Purse | None, missing: Step | None = None) -> None:
        """Note that a step's requests are not known, and what has to be made before they are."""
        self.unknown.setdefault(id(purse), []).append(step.name)
        if missing is not None:
            self.first[missing.fingerprint] = missing

    def to_send(self, asked: Sequence[Asked]) -> tuple[list[Request], int, int, Guess]:
        """Requests that will be sent; how many have their reply, how many a step before asks; what replies taught."""
        kept, paid, shared, guess = [], 0, 0, Guess()
        for key, request in {key_of(identity, one): one for identity, one in asked}.items():
            reply = self.ledger.get(key) if self.ledger is not None else None
            if reply is not None:
                guess.learn(request, reply)
            if reply is None and key not in self.seen:
                kept.append(request)
            paid, shared = paid + (reply is not None), shared + (reply is None and key in self.seen)
            self.seen.add(key)
        return kept, paid, shared, guess

    def cases(self, loads: Sequence[Load], purse: Purse | None, learnt: float = 0.0) -> tuple[Case, ...]:
        """Loads as cases, at the prices of the purse where none are given."""
        prices = self.prices.or_of(purse.settings if purse else None)
        made = []
        for name, per_token, load in zip(NAMES[-len(loads) :], CHARACTERS[-len(loads) :], loads, strict=True):
            per_token = learnt if learnt and name == "expected" else per_token
            tokens_in = round(load.characters / per_token) + FRAME * load.requests
            made.append(prices.case(name, load.requests, tokens_in, load.tokens_out))
        if purse is not None and len(made) == len(NAMES):
            self.totals.setdefault(id(purse), (purse, []))[1].append(tuple(made))
        return tuple(made)


def evaluations(store: Store, steps: Sequence[Step], prices: Prices, recipe: str) -> Iterator[str]:
    """What the further systems, students, judges and judge cards among these steps would ask, for a terminal.

    Nothing is made. `recipe`: as the user named it, for the command that makes what is not made yet.
    """
    found = [(step, _kind(step)) for step in needed(steps)]
    asking = [(step, kind) for step, kind in found if kind]
    path = store.root / "ledger" / "replies"
    with Ledger(path) if path.exists() else nullcontext() as ledger:
        planning = _Planning(store, prices, ledger)
        for step, kind in asking:
            if not planning.is_made(step):
                yield from {"replies": _replies, "judged": _judged, "card": _card}[kind](planning, step)
    for rows, names in planning.free.items():
        yield f"{', '.join(names)}: by models in this process, no money: how many replies is not known until " + (
            f"{rows} is made"
        )
    if made := [step.name for step, _ in asking if planning.is_made(step)]:
        yield f"made already, and ask nothing: {', '.join(made)}"
    for purse, cases in planning.totals.values():
        yield from _in_all(purse, cases, planning.unknown.get(id(purse), []), path)
    named, known = _recipe(recipe), {step.name for step in steps}
    for step in planning.first.values():
        if step.name in known and not any(map(_asks, [step, *before(step)])):
            yield f"{step.name} asks no model: mashq make {named}/{step.name} with these settings, then plan again"


def _recipe(target: str) -> str:
    """RECIPE of RECIPE/STEP, which may be a path of its own."""
    path, ends, _ = target.partition(".py")
    return path + ends if ends else target.split("/")[0]


def _kind(step: Step) -> str:
    """What a step is here: replies, judged, card, or "" for one that asks nothing of these."""
    if isinstance(step.aside, Asking):
        return "judged"
    if step.produces == "judge_card":
        return "card"
    known = step.settings
    writes = isinstance(known, Mapping) and "student" in known and known.get("decoding") is not None
    return "replies" if writes else ""


def _asks(step: Step) -> bool:
    """Whether a step asks a model or trains one."""
    return bool(_kind(step)) or step.produces == "model" or step.here or isinstance(step.aside, Writing)


def _in_all(purse: Purse, cases: Sequence[tuple[Case, ...]], unknown: Sequence[str], ledger: Path) -> Iterator[str]:
    """The sum of what steps ask together, and whether their budget holds it."""
    sums = [
        Case(one[0].name, *(sum(getattr(case, part) for case in one) for part in Case._fields[1:]))
        for one in zip(*cases, strict=True)
    ]
    without = f", without {', '.join(unknown)}" if unknown else ""
    if len(cases) > 1:
        yield f"{purse.name.removesuffix('.budget').removesuffix('_budget')}, {len(cases)} steps in all{without}:"
        yield from table(sums)
    budget = purse.open(ledger, [])
    if budget is not None:
        over = [case.name for case in sums if not budget.fits(case.tokens_in, case.tokens_out, case.requests)]
        held = f"it does not hold the case: {', '.join(over)}" if over else f"it holds all of this{without}"
        yield f"{purse.name}: {budget.spent} are spent; {held}"


def _sent(
    planning: _Planning,
    step: Step,
    asked: Sequence[Asked],
    whom: str,
    purse: Purse | None,
    out: Sequence[int],
    note: str = "",
) -> Iterator[str]:
    """The requests of a step that are known, and their cases; `out`: tokens of a reply in each."""
    kept, paid, shared, guess = planning.to_send(asked)
    yield f"{step.name}: {len(kept) + paid + shared:,} requests to {whom}"
    if paid:
        yield f"  {paid:,} have their reply in the ledger and cost nothing again"
    if shared:
        yield f"  {shared:,} are asked by a step above"
    if note:
        yield note
    size = sum(one.characters for one in kept)
    loads = [Load(len(kept), size, len(kept) * tokens) for tokens in out]
    yield from table(planning.cases(loads, purse, guess.per_token))


# --- replies ---------------------------------------------------------------------------------------------------------


def _replies(planning: _Planning, step: Step) -> Iterator[str]:
    """Of a further system or a student: what an endpoint is asked, or how much a model in this process writes."""
    student, limit = step.settings["student"], step.settings["decoding"].max_new_tokens
    spec = str(step.files.get("student", student.model)) if student.model != SCRIPT else student.model.rstrip(":")
    rows = step.inputs["rows"]
    local = not spec.startswith(("http:", "https:"))
    if not planning.is_made(rows):
        planning.not_known(step, step.aside, rows)
        if local:
            planning.free.setdefault(rows.name, []).append(step.name)
        else:
            yield f"{step.name}: one request to {public_name(spec)} for each row of {rows.name}: not known until " + (
                f"{rows.name} is made"
            )
    elif local:
        number = sum(one.num_rows for one in read_rows(planning.store.folder(rows), ["id"]))
        speed = planning.prices.local_tokens_per_second
        time = f", {number * limit / speed / 3600:,.1f} hours at the most" if speed else ""
        yield f"{step.name}: {number:,} replies of {public_name(spec)} in this process: no money, at most " + (
            f"{number * limit:,} tokens{time}"
        )
    else:
        usual = planning.prices.reply_tokens or limit // 2
        asked = asked_for_replies(step, planning.store.root)
        yield from _sent(planning, step, asked, public_name(spec), step.aside, (1, usual, limit))


# --- a judge ---------------------------------------------------------------------------------------------------------


def _judged(planning: _Planning, step: Step) -> Iterator[str]:
    """What a judge is asked of the replies of one system."""
    judge, replies = open_judge(step.aside.settings, step.aside.systems), step.inputs["replies"]
    who = public_name(step.aside.settings.model)
    folders = folders_of(step, planning.store.root)
    if folders is not None:
        yield from _counted(planning, step, judge, folders, f"about the replies of {replies.name}")
        return
    asked, sure = _asked_behind(replies)
    rows = asked.inputs["rows"] if asked else None
    if asked is None or rows is None or not planning.is_made(rows):
        missing = rows or replies
        planning.not_known(step, step.aside.budget, missing)
        calls = f"up to {len(judge.criteria)} requests" if judge.settings.apart else "one request"
        yield f"{step.name}: {calls} to {who} for each reply of {replies.name}: not known until {missing.name} is made"
        return
    yield from _from_rows(planning, step, judge, asked, sure)


def _from_rows(planning: _Planning, step: Step, judge: Judge, asked: Step, sure: bool) -> Iterator[str]:
    """The judge's requests where what will be replied to by `asked` is made and the replies are not."""
    rows = asked.inputs["rows"]
    texts = [text for part in read_rows(planning.store.folder(rows)) for text in _without_reply(part)]
    requests = judge.requests(texts, framed=False)
    size, least = sum(one.characters for one in requests), {key_of("", one): one.characters for one in requests}
    number, limit = len(requests), int(asked.settings["decoding"].max_new_tokens)
    usual, longest = limit / 2 * CHARACTERS[1], limit * CHARACTERS[0]  # characters of a reply
    by_case = (
        Load(len(least), sum(least.values()), len(least) * _said(judge, CHARACTERS[0])),
        Load(number, size + number * usual, number * _said(judge, CHARACTERS[1])),
        Load(number, size + number * longest, number * judge.settings.max_new_tokens),
    )
    who, replies = public_name(step.aside.settings.model), step.inputs["replies"].name
    most = "" if sure else "at most "
    yield f"{step.name}: {most}{number:,} requests to {who} about the replies of {replies}, still to come"
    yield "  a reply that is judged already, of another system or to a prompt that repeats, is not judged again"
    if not sure:
        planning.not_known(step, step.aside.budget)
        yield f"  {replies} is not made yet and may leave out some of what is replied to {rows.name}"
    yield from table(planning.cases(by_case if sure else by_case[-1:], step.aside.budget))


def _without_reply(rows: Any) -> Iterator[Text]:
    columns = rows.select(["messages", "variety", "references"]).to_pylist()
    for row in columns:
        yield Text(flattened(row["messages"]), "", row["variety"] or "", (row["references"] or [None])[0] or "")


def _asked_behind(replies: Step) -> tuple[Step | None, bool]:
    """The step in which a system is asked; and whether each of its replies is judged, or some may be left out."""
    step, sure = replies, True
    while _kind(step) != "replies":
        if "replies" not in step.inputs:
            return None, False
        step, sure = step.inputs["replies"], False
    return step, sure


def _said(judge: Judge, characters: float) -> int:
    """Tokens of a verdict that says what is asked and no more."""
    names = judge.criteria[:1] if judge.settings.apart else judge.criteria
    return max(1, round(sum(len(name) + len('"": 4, ') for name in names) / characters))


def _card(planning: _Planning, step: Step) -> Iterator[str]:
    """What a judge is asked for its card: exact where the replies are made."""
    judge = open_judge(step.aside.settings, step.aside.systems)
    folders = folders_of(step, planning.store.root)
    if folders is not None:
        yield from _counted(planning, step, judge, folders, f"on at most {step.settings['most']:,} replies")
        return
    planning.not_known(step, step.aside.budget)
    missing = [one for one in step.inputs.values() if not planning.is_made(one)]
    texts = [text for several in packaged_parallel() for text in several.values()][: step.settings["most"]]
    drawn = [Drawn(text, "", text.prompt, text.prompt) for text in texts]
    number = len({key_of("", one) for one in card_requests(judge, drawn, step.settings["seed"], framed=False)})
    yield f"{step.name}: probes of {public_name(step.aside.settings.model)} on at most {step.settings['most']:,} " + (
        f"replies: not known until {', '.join(one.name for one in missing)} are made"
    )
    yield f"  for comparison: on {len(drawn):,} packaged texts in their place a card takes {number:,} requests"


def _counted(planning: _Planning, step: Step, judge: Judge, folders: Mapping[str, Path], about: str) -> Iterator[str]:
    """The judge's requests where all that it is asked about is made."""
    spec = step.aside.settings.model
    framed = has_door(spec)  # weights in this process would have to be loaded to frame what they are asked
    requests = requests_of(step, folders, judge, framed=framed)
    asked = [(judge.model.identity, one) for one in requests]
    out = (_said(judge, CHARACTERS[0]), _said(judge, CHARACTERS[1]), judge.settings.max_new_tokens)
    note = "  its weights are in this process and were not read: what the ledger has is not known, and is counted"
    whom = f"{public_name(spec)} {about}"
    yield from _sent(planning, step, asked, whom, step.aside.budget, out, "" if framed else note)
