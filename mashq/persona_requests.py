"""Requests that different people would make, and their answers: two writers, one after the other.

A persona steers what is asked (Persona Hub: Ge et al. 2024, arXiv 2406.20094): `PersonaRequests` writes a request with
no answer, and `Answers` writes the answer to rows of any requests. Personas are data: `data/instructions/personas.yaml`
names no person that exists, and neither may a request.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from mashq import arabic
from mashq.labelled import Unreadable, fields_of, sound_text
from mashq.lm import Messages
from mashq.rows import MashqError, expected_got, nearest
from mashq.synthesis import Draft, Wanted
from mashq.tasks import (
    DATA,
    StyledWriter,
    TaskLimits,
    asked_in_chat,
    at_least,
    at_most,
    avoided,
    draft,
    drawn,
    fault_words,
    like,
    listed,
    opening_of,
    paired,
    rule,
    text_faults,
    variety_words,
    wordings,
)
from mashq.word_patterns import folded_lower as fold

__all__ = ["Answers", "PersonaRequests", "personas", "wanted_answers", "wanted_requests"]

LEAST_REQUEST, MOST_REQUEST = 4, 120  # words
MOST_OF_PERSONA = 0.7  # ROUGE-L F from which on a request only says who the person is
LEAST_ANSWER = 3  # words
MOST_SAME = 0.8  # ROUGE-L F from which on an answer only says the request again


@functools.cache
def personas(path: Path | None = None) -> tuple[Mapping[str, str], ...]:
    """People of a file like personas.yaml (ours where none is named): who, and where they are known country, variety.

    Raises MashqError for a file that is not readable, a person without `who`, and an unknown variety.
    """
    path = path or DATA / "personas.yaml"
    people = listed("personas", path, "personas", "a list")
    for number, one in enumerate(people, 1):
        where = f"personas {path}, person {number}"
        if not isinstance(one, dict) or not isinstance(one.get("who"), str):
            raise MashqError(expected_got(where, "an object with `who`, a text", repr(one)[:80]))
        variety_words(one.get("variety"))
    return tuple(people)


# --- requests --------------------------------------------------------------------------------------------------------


def wanted_requests(
    n: int, people: Sequence[Mapping[str, str]] | None = None, *, kinds: Sequence[str] = (), seed: int = 0
) -> list[Wanted]:
    """n requests, each of another pair of person and kind, people and kinds evenly; the first do not depend on n.

    Raises MashqError for an unknown kind and where there are fewer pairs than n.
    """
    people = personas() if people is None else people
    known = wordings()["personas"]["kinds"]
    for name in kinds:
        if name not in known:
            raise MashqError(f"persona requests: no kind '{name}' ({', '.join(known)}).{nearest(name, known)}")
    names = tuple(kinds or known)
    most = len(people) * len(names)
    if not 1 <= n <= most:
        do = "Write more personas, or use another seed in a second run."
        raise MashqError(expected_got("persona requests: n", f"1 to {most} requests", str(n), do))
    order = list(range(len(people)))
    drawn("people", seed).shuffle(order)
    wanted = []
    for place, kind in paired(n, len(order), names):
        person = people[order[place]]
        key = f"request/{seed}/{order[place]:04}/{kind}"
        about = {"persona": dict(person), "kind": kind}
        group = f"persona/{fold(person['who'])}"
        wanted.append(Wanted(key, about, kind, group, person.get("variety", "msa")))
    return wanted


@dataclass(frozen=True)
class PersonaRequests(StyledWriter):
    """Writes what a person would ask an assistant, without an answer. about: persona, kind."""

    style: str = "messages"
    limits: TaskLimits = field(default_factory=TaskLimits)
    name = "persona-requests"

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        told, label = wordings()["personas"], wordings()["labels"]["request"][0]
        who, variety = wanted.about["persona"]["who"], variety_words(wanted.variety)
        kind = told["kinds"][wanted.about["kind"]]
        if self.style == "completion":
            example = f"({told['example']['who']})\n{label}: {told['example']['request']}"
            return f"{told['completion'].format(variety=variety)}\n\n{example}\n\n---\n\n({who}، {kind})\n{label}:"
        asked = drawn(self.name, wanted.key, attempt).choice(told["asks"])
        user = [asked.format(who=who, variety=variety, kind=kind), told["rules"], avoided(avoid), told["form"]]
        return asked_in_chat(told["system"], user)

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        labels = {name: wordings()["labels"][name] for name in ("request", "answer")}
        try:
            # Some models leave out a label that the prompt ends with.
            found = fields_of(reply, labels, ("request",), first="request")
        except Unreadable as error:
            return Draft(reason=str(error))
        request = found["request"]
        faults = _request_faults(request, wanted.about["persona"]["who"], self.limits)
        fields = {"task": "request", "messages": [{"role": "user", "content": request}]}
        return draft(fields, faults, opening=opening_of(request), alike=request)


def _request_faults(request: str, who: str, limits: TaskLimits) -> dict[str, str | None]:
    folded = fold(request)
    words = len(arabic.words(request))
    ratio = like(request, [who])
    faults = {name: fault for name, fault in text_faults(request).items() if name != "caution"}
    return {
        **faults,
        "unseen": fault_words("cannot be seen", rule("unseen"), folded),
        "leaked": fault_words("leaked", rule("leaked"), folded),
        "persona": f"says only who asks: {ratio:.2f} >= {MOST_OF_PERSONA}" if ratio >= MOST_OF_PERSONA else None,
        "arabic": _not_arabic(request, limits.least_arabic),
        "short_instruction": at_least("request", words, LEAST_REQUEST),
        "long_instruction": at_most("request", words, MOST_REQUEST),
    }


def _not_arabic(text: str, least: float) -> str | None:
    share = arabic.arabic_share(text)
    return f"not Arabic: {share:.2f} of the letters < {least}" if share < least else None


# --- answers ---------------------------------------------------------------------------------------------------------


def wanted_answers(table: pa.Table) -> list[Wanted]:
    """One answer to each row that ends with a user's turn: of `PersonaRequests`, or of any other step.

    Raises MashqError for a row whose last turn is not the user's.
    """
    wanted = []
    for row in table.select(["id", "licence", "group", "task", "variety", "messages"]).to_pylist():
        turns = row["messages"] or []
        if not turns or turns[-1]["role"] != "user":
            got = f"'{turns[-1]['role']}'" if turns else "no messages"
            raise MashqError(expected_got(f"answers: row {row['id'].hex()}", "a last turn of the user", got))
        key, about = f"answer/{row['id'].hex()}", {"turns": turns, "task": row["task"]}
        cell, group = row["task"] or "", row["group"] or key
        variety = row["variety"] if row["variety"] in wordings()["varieties"] else "msa"
        wanted.append(Wanted(key, about, cell, group, variety, (row["id"],), row["licence"]))
    return wanted


@dataclass(frozen=True)
class Answers(StyledWriter):
    """Writes the answer to a conversation that ends with the user's turn. about: turns (role, content), task."""

    style: str = "messages"
    limits: TaskLimits = field(default_factory=TaskLimits)
    name = "answers"

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        told, labels = wordings()["answer"], wordings()["labels"]
        system = told["system"].format(variety=variety_words(wanted.variety))
        turns = [(turn["role"], turn["content"]) for turn in wanted.about["turns"]]
        if self.style == "completion":
            names = {"user": labels["request"][0], "assistant": labels["answer"][0]}
            said = [f"{names.get(role, names['user'])}: {content}" for role, content in turns]
            return "\n\n".join([system, *said, f"{names['assistant']}:"])
        nudge = told["nudges"][attempt % len(told["nudges"])]
        role, content = turns[-1]
        last = f"{content}\n\n{nudge}" if nudge else content
        return (("system", system), *turns[:-1], (role, last))

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        """The whole reply is the answer; one that goes on with a further request ends before it."""
        try:
            answer = self._answer(reply)
        except Unreadable as error:
            return Draft(reason=str(error))
        turns = wanted.about["turns"]
        fields = {"task": wanted.about["task"], "messages": turns, "references": [answer]}
        return draft(fields, _answer_faults(answer, turns[-1]["content"], self.limits), alike=answer)

    def _answer(self, reply: str) -> str:
        labels = {name: wordings()["labels"][name] for name in ("request", "answer")}
        if self.style == "completion":
            return fields_of(reply, labels, ("answer",), first="answer")["answer"]
        text = sound_text(reply)
        for label in labels["answer"]:
            text = text.removeprefix(f"{label}:").strip()
        if not text:
            raise Unreadable("empty")
        return text


def _answer_faults(answer: str, request: str, limits: TaskLimits) -> dict[str, str | None]:
    folded = fold(answer)
    words = len(arabic.words(answer))
    return {
        **text_faults("", answer),
        "leaked": fault_words("leaked", rule("leaked"), folded),
        "same": "same: the answer is the request" if like(answer, [request]) >= MOST_SAME else None,
        "arabic": _not_arabic(answer, limits.least_arabic) if any(map(str.isalpha, answer)) else None,
        "short": at_least("answer", words, LEAST_ANSWER),
        "output": at_most("answer", words, limits.most_output),
    }
