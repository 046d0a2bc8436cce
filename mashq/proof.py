"""What proves a gain beside the metrics: further systems that were asked the same, a judge, and people.

`proven` is the end of a recipe that evaluates: the replies of the further systems, every reply judged, the evaluation
of all, what of the questions was learnt, a card on the judge itself, and what people said of the same replies.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mashq import steps as shared
from mashq.contamination import contamination
from mashq.judge import foreseen
from mashq.judge.asking import JudgeSettings
from mashq.judge.card_step import judge_card_step
from mashq.judge.rows import judged, metrics_in
from mashq.judge.rubrics import read_rubric
from mashq.lm import public_name
from mashq.lm.at_hand import at_hand
from mashq.lm.budget import BudgetSettings
from mashq.lm.purse import Purse
from mashq.rating.people import people
from mashq.rows import MashqError, expected_got
from mashq.run import Step
from mashq.steps import EncoderSettings, StudentSettings

if TYPE_CHECKING:
    from mashq.lm import Decoding
    from mashq.metrics import Metric
    from mashq.train import TrainSettings

__all__ = ["NO_MODEL", "ProofSettings", "compared", "model_of", "once", "proven", "tuned_and_asked"]

NO_MODEL = "no model at hand"  # why a further system was not run


@dataclass(frozen=True)
class ProofSettings:
    """What proves a gain beside the metrics."""

    others: dict[str, str] = field(default_factory=dict)  # name in the report -> further model that is asked the same
    others_budget: BudgetSettings = field(default_factory=BudgetSettings)  # of these further models, all together
    judge: JudgeSettings = field(default_factory=JudgeSettings)  # a model that judges every reply; model "" = none
    card: int = 0  # replies on which the judge itself is measured; 0 = no judge card
    ratings: str = ""  # people's ratings of these replies, as `mashq rate` exports them; "" = none

    # What a recipe's evaluations spend together. It stands here because a recipe makes them one by one, of one proof.

    @functools.cached_property
    def judge_purse(self) -> Purse:
        """What every reply's judge and the judge card spend from."""
        return Purse(self.judge.budget, "proof.judge.budget", foreseen.asked_of)

    @functools.cached_property
    def others_purse(self) -> Purse:
        """What the further systems spend from."""
        return Purse(self.others_budget, "proof.others_budget", shared.asked_for_replies)


def proven(
    name: str,
    systems: Mapping[str, Step],
    labels: Mapping[str, str],
    metrics: Sequence[str | Metric],
    settings: ProofSettings,
    *,
    asked: Step,
    student: StudentSettings,
    decoding: Decoding,
    training: Step | None = None,
    seed: int = 0,
    encoder: EncoderSettings | None = None,
    scored: Callable[[str, Step], Step] | None = None,
) -> list[Step]:
    """The evaluation `name` of these systems and of the further ones, with all that stands behind it and beside it.

    `systems`: name -> its replies, the baseline first; the further ones reply to `asked` in this decoding, their
    weights held in the numbers of `student`. Gives their replies, the judged rows, the evaluation, its contamination,
    the judge card and what people said, in the order in which they are made. A further model that cannot be had stands
    in the evaluation as absent. `scored` makes of a further system's name and replies what the recipe made of those of
    its own, such as rows with a score that a metric reads. Raises MashqError for settings that need each other, a
    further system with the label of another, and a judge of its own family.
    """
    _check(settings, labels)
    there = {label: model for label, model in settings.others.items() if at_hand(model)}
    absent = [
        {"label": label, "model": public_name(model), "why": NO_MODEL}
        for label, model in settings.others.items()
        if label not in there
    ]
    more = {label: _other(label, model, asked, settings, student, decoding) for label, model in there.items()}
    ready = {one.name: scored(one.name, one) if scored else one for one in more.values()}
    everyone = {**systems, **ready}
    called = {**labels, **{one.name: label for label, one in more.items()}}
    *said, evaluation = compared(
        name, everyone, called, metrics, settings, training=training, seed=seed, encoder=encoder, absent=absent
    )
    own = "" if name == "gain" else f"-{name}"
    made = once([*more.values(), *ready.values(), *said, evaluation])
    made.append(contamination(f"contamination{own}", evaluation))
    if settings.card:
        made.append(_card(f"judge-card{own}", everyone, settings, seed))
    if settings.ratings:
        of_judge = dict(zip(everyone, said, strict=True)) if said else None
        made.append(people(f"people{own}", evaluation, settings.ratings, of_judge))
    return made


def compared(
    name: str,
    systems: Mapping[str, Step],
    labels: Mapping[str, str],
    metrics: Sequence[str | Metric],
    settings: ProofSettings,
    *,
    training: Step | None = None,
    seed: int = 0,
    encoder: EncoderSettings | None = None,
    absent: Sequence[Mapping[str, str]] = (),
) -> list[Step]:
    """The judged rows of these systems, where there is a judge, and the evaluation `name` of them alone.

    A system judged for one evaluation is not judged anew for another.
    """
    said: dict[str, Step] = {}
    scored: list[str | Metric] = list(metrics)
    if settings.judge.model:
        said = {
            one: judged(
                f"{one}-judged", step, settings.judge, {labels.get(one, one): model_of(step)}, settings.judge_purse
            )
            for one, step in systems.items()
        }
        about = next(iter(said.values())).identity["about"]
        criteria = [one.name for one in read_rubric(settings.judge.rubric).criteria]
        scored += metrics_in(about, criteria).values()
    evaluation = shared.evaluation(
        name, said or systems, labels, scored, training=training, seed=seed, encoder=encoder, absent=absent
    )
    return [*said.values(), evaluation]


def once(steps: Sequence[Step]) -> list[Step]:
    """Each step where it first stands: evaluations of one recipe share judged rows."""
    return list({step.fingerprint: step for step in steps}.values())


def _check(settings: ProofSettings, labels: Mapping[str, str]) -> None:
    for purse in (settings.judge_purse, settings.others_purse):
        purse.settings.open(purse.name)  # refuses before anything is made
    if settings.card < 0:
        raise MashqError(expected_got("proof.card", "0 or more replies", str(settings.card)))
    if settings.card and not settings.judge.model:
        raise MashqError(expected_got("proof.card", "a judge that it is about", "none", "Name proof.judge.model."))
    for label, model in settings.others.items():
        if label in labels.values():
            do = "Give the further system another name."
            raise MashqError(expected_got("proof.others", "names of their own", f"'{label}' again", do))
        if not label or not model:
            raise MashqError(expected_got("proof.others", "name: model", f"'{label}': '{model}'"))


def _other(
    label: str, model: str, asked: Step, settings: ProofSettings, student: StudentSettings, decoding: Decoding
) -> Step:
    """A further system's replies, in its own frame; what it is called in the report names its step."""
    own = replace(student, model=model, frame="", remote_code=False)
    made = replace(shared.replies(f"other-{_slug(label)}", asked, own, decoding), aside=settings.others_purse)
    settings.others_purse.join(made)
    return made


def _slug(label: str) -> str:
    """A label as a part of a file's name; what Latin letters and digits cannot tell apart is told by a hash."""
    plain = re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-.")
    same = re.fullmatch(r"[A-Za-z0-9.\- ]+", label) is not None
    return plain if plain and same else "-".join(filter(None, (plain, _digest(label))))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=3).hexdigest()


def model_of(replies: Step) -> str:
    """The spec or folder of the model whose replies these are, "" for replies without a model."""
    step: Step | None = replies
    while step is not None:
        known: Any = step.settings
        if isinstance(known, Mapping) and "student" in known:
            return str(step.files.get("student", known["student"].model))
        step = step.inputs.get("replies")
    return ""


def _card(name: str, systems: Mapping[str, Step], settings: ProofSettings, seed: int) -> Step:
    models = {one: model_of(step) for one, step in systems.items()}
    purse = settings.judge_purse
    made = judge_card_step(name, systems, settings.judge, models, settings.card, seed, settings.ratings, purse)
    purse.join(made)
    return made


def tuned_and_asked(
    learnt: Step,
    asked: Step,
    student: StudentSettings,
    training: TrainSettings,
    decoding: Decoding,
    metrics: Sequence[str | Metric],
    proof: ProofSettings,
    seed: int = 0,
) -> list[Step]:
    """The student tuned on `learnt`, its replies to `asked` before and after, and what proves its gain (`proven`)."""
    tuned = shared.train("tuned", {"learnt": learnt}, student, training)
    systems = {
        "before": shared.replies("before", asked, student, decoding),
        "after": shared.replies("after", asked, student, decoding, tuned),
    }
    labels = {"before": "untuned", "after": "tuned"}
    found = proven(
        "gain",
        systems,
        labels,
        metrics,
        proof,
        asked=asked,
        student=student,
        decoding=decoding,
        training=learnt,
        seed=seed,
    )
    return [tuned, *systems.values(), *found]
