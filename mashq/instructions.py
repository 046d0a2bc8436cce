"""Instruction data from seed tasks: new tasks in their manner, and tasks evolved from given ones.

`SelfInstruct` shows a few seeds and asks for one task more (Wang et al. 2023, arXiv 2212.10560). `Evolve` makes another
task of a given one (Evol-Instruct: Xu et al. 2023, arXiv 2304.12244, sections 2.2 and 2.3). Both are writers of
`mashq.synthesis`; their answers come with the task, and `persona_requests.Answers` writes others.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from mashq import arabic
from mashq.labelled import Unreadable
from mashq.lm import Messages
from mashq.rows import MashqError, expected_got, nearest
from mashq.synthesis import Draft, Wanted
from mashq.tasks import (
    Known,
    StyledWriter,
    Task,
    TaskLimits,
    asked_in_chat,
    avoided,
    draft,
    drawn,
    fault_words,
    like,
    opening_of,
    paired,
    read_task,
    rule,
    seeds,
    shown,
    task_faults,
    variety_words,
    wordings,
)
from mashq.word_patterns import folded_lower as fold

__all__ = ["Evolve", "Parent", "SelfInstruct", "parents_of", "seed_parents", "wanted_evolved", "wanted_tasks"]

MOST_GROWTH = 60  # words that evolving may add to a task: WizardLM asks for 10 to 20, Arabic replies run longer
MOST_SAME = 0.9  # ROUGE-L F of prompt to its parent's from which on nothing was evolved
BETWEEN = "\n\n---\n\n"  # records in a prompt that is gone on from


def _record(task: Task) -> Mapping[str, Any]:
    """Columns of a task's row."""
    return {
        "task": task.category or None,
        "messages": [{"role": "user", "content": task.prompt}],
        "references": [task.output],
    }


def _read(style: str, wanted: Wanted, reply: str) -> Task | Draft:
    """The task in a reply, or a draft that says why there is none."""
    try:
        first = "instruction" if style == "completion" else ""
        return read_task(reply, wanted.about["category"], wanted.variety, first=first)
    except Unreadable as error:
        return Draft(reason=str(error))


def _draft(task: Task, found: Mapping[str, str | None]) -> Draft:
    return draft(_record(task), found, opening=opening_of(task.instruction), alike=task.prompt)


# --- new tasks in the manner of seeds --------------------------------------------------------------------------------


def wanted_tasks(
    n: int, *, categories: Sequence[str] = (), varieties: Sequence[str] = ("msa",), seed: int = 0
) -> list[Wanted]:
    """n tasks, evenly over categories (all where none is named) and varieties; the first of them do not depend on n.

    Raises MashqError for an unknown category or variety, and for n below 1.
    """
    known = wordings()["categories"]
    if n < 1:
        raise MashqError(expected_got("instructions: n", "1 or more tasks", str(n)))
    for name in categories:
        if name not in known:
            raise MashqError(f"instructions: no category '{name}' ({', '.join(known)}).{nearest(name, known)}")
    for variety in varieties:
        variety_words(variety)
    cells = [(category, variety) for variety in varieties for category in categories or known]
    drawn("cells", seed).shuffle(cells)
    wanted = []
    for number in range(n):
        category, variety = cells[number % len(cells)]
        key = f"task/{seed}/{number:06}"
        about = {"category": category, "variety": variety}
        wanted.append(Wanted(key, about, f"{category}/{variety}", group=key, variety=variety))
    return wanted


@dataclass(frozen=True)
class SelfInstruct(StyledWriter):
    """Writes one task from seeds shown; which, the key and the attempt decide. about: category, variety.

    Half of the shown seeds are of the category that is wanted. Raises MashqError for fewer seeds than are shown.
    """

    known: tuple[Task, ...] = field(default_factory=seeds)
    shown: int = 6  # seeds in a prompt; the paper shows 6 of people and 2 of the model
    style: str = "messages"
    limits: TaskLimits = field(default_factory=TaskLimits)
    name = "self-instruct"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.shown <= len(self.known):
            raise MashqError(expected_got(f"{self.name}: shown", f"1 to {len(self.known)} seeds", str(self.shown)))

    @cached_property
    def _known(self) -> Known:
        return Known(self.known)

    def examples(self, wanted: Wanted, attempt: int) -> list[Task]:
        """The seeds that a prompt shows, those of the wanted category and variety last."""
        random = drawn(self.name, wanted.key, attempt)
        category, variety = wanted.about["category"], wanted.variety or "msa"
        order = random.sample(self.known, len(self.known))
        usable = [one for one in order if one.category == category and one.variety in ("msa", variety)]
        of_kind = usable[: self.shown // 2]
        others = [one for one in order if one not in of_kind]
        spoken = [one for one in others if variety != "msa" and one.variety == variety][:2]
        rest = [one for one in others if one.variety == "msa"]
        chosen = [*of_kind, *spoken]
        return [*rest[: self.shown - len(chosen)], *chosen][-self.shown :]

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        told = wordings()["self_instruct"]
        names = {
            "category": wordings()["categories"][wanted.about["category"]],
            "variety": variety_words(wanted.variety),
        }
        blocks = [shown(task) for task in self.examples(wanted, attempt)]
        if self.style == "completion":
            label = wordings()["labels"]["instruction"][0]
            return BETWEEN.join([told["completion"].format(**names), *blocks, f"{label}:"])
        asked = drawn("asks", wanted.key, attempt).choice(told["asks"]).format(**names)
        user = [told["examples"], *blocks, asked, avoided(avoid), told["form"]]
        return asked_in_chat(told["system"], user)

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        task = _read(self.style, wanted, reply)
        if isinstance(task, Draft):
            return task
        return _draft(task, task_faults(task, self.limits, self._known))


# --- evolved tasks ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parent:
    """A task to evolve from, and where it stands: ids of its rows, their group and licence."""

    task: Task
    group: str
    ids: tuple[bytes, ...] = ()
    licence: str | None = None


def seed_parents(tasks: Sequence[Task] | None = None) -> list[Parent]:
    """The seed tasks as parents."""
    return [Parent(task, f"seed/{_short(task.prompt)}") for task in (seeds() if tasks is None else tasks)]


def parents_of(table: pa.Table) -> list[Parent]:
    """Rows of tasks (user's turn, a reference) as parents, for a further round; what is no such row is left out."""
    columns = ["id", "licence", "group", "task", "variety", "messages", "references"]
    found = []
    for row in table.select(columns).to_pylist():
        turns, answers = row["messages"] or [], row["references"] or []
        if len(turns) != 1 or not answers:
            continue
        known = row["task"] if row["task"] in wordings()["categories"] else ""
        variety = row["variety"] if row["variety"] in wordings()["varieties"] else "msa"
        task = Task(turns[0]["content"], answers[0], "", known or "", variety)
        group = row["group"] or f"row/{row['id'].hex()}"
        found.append(Parent(task, group, (row["id"],), row["licence"]))
    return found


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def wanted_evolved(
    parents: Sequence[Parent], n: int = 0, *, operations: Sequence[str] = (), seed: int = 0
) -> list[Wanted]:
    """n tasks to be evolved, each from another pair of parent and operation; 0: one from each parent.

    Pairs are in an order that the seed decides, so that the first n hold every operation about equally often.
    Raises MashqError for an unknown operation and where there are fewer pairs than n.
    """
    known = wordings()["evolve"]["operations"]
    for name in operations:
        if name not in known:
            raise MashqError(f"instructions: no operation '{name}' ({', '.join(known)}).{nearest(name, known)}")
    names, n = tuple(operations or known), n or len(parents)
    if n > len(parents) * len(names):
        got = f"{n} of {len(parents)} parents and {len(names)} operations"
        raise MashqError(expected_got("instructions: n", f"at most {len(parents) * len(names)} tasks", got))
    order = list(parents)
    drawn("parents", seed).shuffle(order)
    return [_evolved(order[place], operation, seed) for place, operation in paired(n, len(order), names)]


def _evolved(parent: Parent, operation: str, seed: int) -> Wanted:
    about = {"operation": operation, "parent": dataclasses.asdict(parent.task), "category": parent.task.category}
    made_from = parent.ids[0].hex() if parent.ids else _short(parent.task.prompt)
    key = f"evolve/{seed}/{operation}/{made_from}"
    return Wanted(
        key, about, operation, parent.group, parent.task.variety, parent.ids, parent.licence if parent.ids else None
    )


@dataclass(frozen=True)
class Evolve(StyledWriter):
    """Writes a task made of another by one operation. about: operation, parent (a task's fields), category."""

    style: str = "messages"
    limits: TaskLimits = field(default_factory=TaskLimits)
    name = "evolve"

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        """Further attempts say the same and are further draws: what is asked for is the operation."""
        told = wordings()["evolve"]
        operation = told["operations"][wanted.about["operation"]]
        given = shown(Task(**wanted.about["parent"]))
        if self.style == "completion":
            label = wordings()["labels"]["instruction"][0]
            head = told["completion"].format(ask=operation["ask"])
            return f"{head}\n\n{told['given']}\n{given}\n\n{told['second']}\n{label}:"
        form = wordings()["self_instruct"]["form"]
        asked = f"{operation['ask']} {told['rules']} ({variety_words(wanted.variety)})"
        user = [told["given"], given, asked, avoided(avoid), form]
        return asked_in_chat(told["system"], user)

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        task = _read(self.style, wanted, reply)
        if isinstance(task, Draft):
            return task
        parent = Task(**wanted.about["parent"])
        found = _eliminated(task, parent, wanted.about["operation"], self.limits)
        return _draft(task, found | task_faults(task, self.limits, Known(())))


def _eliminated(task: Task, parent: Task, operation: str, limits: TaskLimits) -> dict[str, str | None]:
    """Evol-Instruct's elimination (section 2.3), what can be seen without a reader: nothing new, words of the prompt
    repeated, no answer; and whether the operation shows at all."""
    rules = wordings()["evolve"]["operations"][operation]
    ratio = like(task.prompt, [parent.prompt])
    most = limits.most_like if rules.get("other") else MOST_SAME
    said = fold(task.output)
    repeated = len(said.split()) > 3 and said == fold(parent.output)
    grown = len(arabic.words(task.prompt)) - len(arabic.words(parent.prompt))
    return {
        "parent": f"like its parent: {ratio:.2f} >= {most}" if ratio >= most else None,
        "same_answer": "same: the output is its parent's" if repeated else None,
        "leaked": fault_words("leaked", rule("leaked"), fold(f"{task.prompt}\n{task.output}")),
        "longer": f"short: {grown} words added < 1" if rules.get("longer") and grown < 1 else None,
        "grown": f"long: {grown} words added > {MOST_GROWTH}" if grown > MOST_GROWTH else None,
        "input": "no input: the operation asks for one" if rules.get("input") and not task.input else None,
    }
