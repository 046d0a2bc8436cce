"""Multiple choice by likelihood as steps: rows that offer choices, what a student picks, what is right most often."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq.rows import MashqError, children, expected_got
from mashq.run import Job, Step, read_rows
from mashq.steps.models import StudentSettings, _spec, _student, _told_by_content, evaluation, note_asked

if TYPE_CHECKING:
    from mashq.choices import ChoiceSettings

__all__ = ["Frequent", "accuracies", "frequent_choices", "offered", "picked"]

FREQUENT = "frequent"  # system that picks without looking at the question


def offered(name: str, rows: Step) -> Step:
    """The rows that offer at least two choices; the others are left out and counted."""
    return Step(name, _offered, {"least": 2}, {"rows": rows})


def _offered(rows: pa.Table, job: Job) -> pa.Table:
    many = pc.greater_equal(pc.fill_null(pc.list_value_length(rows["choices"]), 0), job.settings["least"])
    kept = rows.filter(many)
    job.unsampled += rows.num_rows - kept.num_rows
    return kept


def picked(
    name: str,
    rows: Step,
    student: StudentSettings,
    settings: ChoiceSettings | None = None,
    trained: Step | None = None,
) -> Step:
    """The choice of each row that a student finds likeliest, as its reply; `trained` is what a train step left."""
    from mashq.choices import ChoiceSettings

    told, files = _told_by_content("student", student)
    return Step(
        name,
        _picked,
        {"student": told, "choices": settings or ChoiceSettings(), "decoding": None},  # nothing is written
        {"rows": rows, **({"trained": trained} if trained else {})},
        files=files,
        here=True,
    )


def _picked(rows: pa.Table, job: Job) -> pa.Table:
    from mashq import choices
    from mashq.generate import Student

    student: StudentSettings = job.settings["student"]
    opened = _student(_spec("student", student, job), job.inputs.get("trained"), student)
    if not isinstance(opened, Student):
        do = "A server gives no likelihood of a given text: leave choices=0."
        raise MashqError(expected_got(f"{job.name}: student", "a model with weights at hand", student.model, do))
    note_asked(opened, job)
    ledger = job.root / "ledger" / "replies"
    return choices.answers(opened, rows, job.settings["choices"], system=job.name, ledger=ledger)


def accuracies(
    systems: Mapping[str, Step],
    labels: Mapping[str, str],
    frequent: Step,
    student: StudentSettings,
    settings: ChoiceSettings | None = None,
    seed: int = 0,
) -> list[Step]:
    """`choices`: every system against `frequent`; where there are several, `choices-gain`: against the first of them.

    Each has the accuracy with its interval, and a paired test on the same rows.
    """
    from mashq.choices import ChoiceSettings, metric

    found = [metric(settings or ChoiceSettings(), student.frame or "own")]
    known = {**labels, FREQUENT: "most frequent right choice"}
    compared = {"choices": {FREQUENT: frequent, **systems}}
    if len(systems) > 1:
        compared["choices-gain"] = dict(systems)
    return [
        evaluation(name, some, {one: known[one] for one in some}, found, seed=seed) for name, some in compared.items()
    ]


# --- without a model -------------------------------------------------------------------------------------------------


class Frequent:
    """How often each choice, and each place among the choices, was right in training.

    Of a row's choices it picks the one that was right most often under the row's template; where none of them ever was,
    the one in the place that was right most often there, then in all templates with so many choices, else the first.
    """

    def __init__(self, learnt: Iterable[pa.Table]):
        from mashq.choices import right_choices, why_not

        self.texts: dict[str, Counter[str]] = defaultdict(Counter)
        self.places: dict[tuple[str | None, int], Counter[int]] = defaultdict(Counter)  # template or None, choices
        for table in learnt:
            for row in table.select(["template", "references", "choices"]).to_pylist():
                if why_not(row):
                    continue
                for place in right_choices(row):
                    self.texts[row["template"] or ""][row["choices"][place].strip()] += 1
                    for template in (row["template"] or "", None):
                        self.places[template, len(row["choices"])][place] += 1

    def pick(self, template: str, choices: Sequence[str]) -> int:
        """The place that it picks; of equal ones the first."""
        texts = self.texts.get(template, Counter())
        counts = [texts[choice.strip()] for choice in choices]
        for key in ((template, len(choices)), (None, len(choices))):
            if not any(counts):
                counts = [self.places.get(key, Counter())[place] for place in range(len(choices))]
        return counts.index(max(counts))


def frequent_choices(name: str, rows: Step, learnt: Step) -> Step:
    """The choice of each row that `Frequent` picks from what the rows of `learnt` tell: the majority class."""
    return Step(name, _frequent_choices, {"picks": "most frequent"}, {"rows": rows, "learnt": learnt}, here=True)


def _frequent_choices(rows: pa.Table, job: Job) -> pa.Table:
    from mashq.choices import right_choices, why_not

    frequent = Frequent(read_rows(job.inputs["learnt"], ["template", "references", "choices"]))
    rows = rows.filter(pc.is_null(rows["dropped"]))
    messages, meta, dropped = [], [], []
    for row in rows.select(["template", "messages", "references", "choices"]).to_pylist():
        why = why_not(row)
        place = None if why else frequent.pick(row["template"] or "", row["choices"])
        reply = [] if place is None else [{"role": "assistant", "content": row["choices"][place]}]
        facts: dict[str, Any] = {"system": job.name, "finish": "error" if why else "stop"}
        if not why:
            facts["choices"] = {"picked": place, "right": right_choices(row)}
        messages.append([*row["messages"], *reply])
        meta.append(json.dumps(facts, ensure_ascii=False))
        dropped.append(why)
    return children(rows, job.name, messages=messages, meta=meta, dropped=pa.array(dropped, pa.string()))
