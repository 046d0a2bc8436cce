"""The replies on which judge and people, or people among themselves, differ most, among the drawn samples.

Judge and people give points of one scale by one rubric, so they are held against each other in points. Ranks, as of a
judge and a metric, would hide that a judge is mild, and would tear apart a scale of five steps on which most replies
share a rank. That a judge is milder or harsher on all replies is told beside the reply, for it is no news of this one.

A reply's gap is the mean over criteria, each without its sign, so that a point too much and a point too little do not
make a sound reply. People's is of each two raters of the reply, which does not grow with their number as a range does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from mashq.record import Run
from mashq.report.lines import cell, left_to_right, safe, table
from mashq.report.plots import number
from mashq.report.samples import Pick, replies_to
from mashq.report.words import Words

__all__ = ["furthest_from_judge", "furthest_from_people", "markdown", "with_people"]

Reply = Mapping[str, Any]  # a member of `scored` in people.json: item, system, people, judge
WHY = ("people", "raters")  # the two reasons, as `pick_` and `told_` in the words
LEAST_REPLIES = 2  # of fewer none is the furthest


def with_people(
    run: Run, evaluations: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The facts of the run's evaluations, with what people said in their samples and two samples more.

    An evaluation that nobody rated, one whose people.json is older than `scored`, and one of private rows stay as they
    are. Where several studies are of one evaluation, the first is shown.
    """
    told = {part["step"]: part for part in parts if part["kind"] == "people" and part.get("scored")}
    studies: dict[str, Mapping[str, Any]] = {}
    for step in run.of("people"):
        if step.name in told and not step.private:
            studies.setdefault(str(step.manifest["inputs"]["evaluation"]), told[step.name])
    found = []
    for step, facts in zip(run.of("evaluation"), evaluations, strict=True):
        study = None if run.hides(step) else studies.get(step.fingerprint)
        drawn = facts["replies"]["items"]
        if study:
            order = [facts["baseline"], *(name for name in facts["systems"] if name != facts["baseline"])]
            picks = _picks(study["scored"])
            metric = facts["replies"]["metric"]
            more = replies_to(step.folder / "samples.parquet", picks, systems=order, metric=metric)
            drawn = [_beside(item, study) for item in _joined(drawn, more)]
        found.append({**facts, "replies": {**facts["replies"], "items": drawn}})
    return found


def _picks(scored: Sequence[Reply]) -> list[Pick]:
    found = (("people", furthest_from_judge(scored)), ("raters", furthest_from_people(scored)))
    return [Pick(why, told["item"], None, {why: told}) for why, told in found if told]


def _joined(drawn: Sequence[dict[str, Any]], more: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The drawn samples and those more, each item once; random ones last, and none that is there for a reason."""
    found: dict[str, dict[str, Any]] = {item["item"]: item for item in drawn if item["pick"] != "random"}
    for item in more:
        known = found.setdefault(item["item"], item)
        found[item["item"]] = {**known, "told": {**known["told"], **item["told"]}}
    return [*found.values(), *(item for item in drawn if item["pick"] == "random" and item["item"] not in found)]


def _beside(item: dict[str, Any], study: Mapping[str, Any]) -> dict[str, Any]:
    """The sample with `rated` on each reply that people rated: their scores by criterion, and the judge's.

    `raters` are the numbers of all who rated one of its replies, `rated_in` names the step of the study.
    """
    said = {one["system"]: one for one in study["scored"] if one["item"] == item["item"]}
    replies = [
        {**reply, "rated": {key: said[reply["system"]][key] for key in ("people", "judge")}}
        if reply["system"] in said
        else reply
        for reply in item["replies"]
    ]
    if not said:
        return item
    raters = {int(rater) for one in said.values() for scores in one["people"].values() for rater in scores["raters"]}
    about = {"rated_in": study["step"], "simulated": bool(study["simulated"]), "raters": sorted(raters)}
    return {**item, "replies": replies, **about}


# --- what differs most ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Apart:
    """How far a reply's scores lie apart, in points."""

    reply: Reply
    gaps: Mapping[str, float]  # criterion -> without a sign

    @property
    def gap(self) -> float:
        return fmean(self.gaps.values())

    @property
    def order(self) -> tuple[float, str, str]:
        """Largest gap first, then by ids; a gap to nine decimals, so that the order of a sum makes no difference."""
        return -round(self.gap, 9), self.reply["item"], self.reply["system"]

    def told(self) -> dict[str, Any]:
        criterion = min(self.gaps, key=lambda name: (-self.gaps[name], name))
        about = {"item": self.reply["item"], "system": self.reply["system"], "gap": self.gap}
        return {**about, "criteria": len(self.gaps), "criterion": criterion, "widest": self.gaps[criterion]}


def furthest_from_judge(scored: Sequence[Reply]) -> dict[str, Any] | None:
    """The reply on which the judge's scores and the means of people's lie furthest apart; ties go to the first item.

    `higher` is how much higher the judge is than people over all replies. None where fewer than two replies have scores
    of both under one criterion, and where they never differ.
    """
    apart = [
        _Apart(one, {name: abs(one["judge"][name] - one["people"][name]["mean"]) for name in one["judge"]})
        for one in scored
        if one["judge"]
    ]
    first = _first(apart)
    if first is None:
        return None
    criterion = (told := first.told())["criterion"]
    both = {"judge": first.reply["judge"][criterion], "people": first.reply["people"][criterion]["mean"]}
    signed = (one["judge"][name] - one["people"][name]["mean"] for one in scored for name in one["judge"])
    return {**told, **both, "higher": fmean(signed), "replies": len(apart)}


def furthest_from_people(scored: Sequence[Reply]) -> dict[str, Any] | None:
    """The reply on which each two of its raters lie furthest apart; ties go to the first item.

    None where fewer than two replies have two raters under one criterion, and where raters never differ.
    """
    apart = []
    for one in scored:
        several = {name: said["raters"].values() for name, said in one["people"].items() if len(said["raters"]) > 1}
        gaps = {name: fmean(abs(a - b) for a, b in combinations(scores, 2)) for name, scores in several.items()}
        if gaps:
            apart.append(_Apart(one, gaps))
    first = _first(apart)
    return {**first.told(), "replies": len(apart)} if first else None


def _first(apart: Sequence[_Apart]) -> _Apart | None:
    if len(apart) < LEAST_REPLIES:
        return None
    first = min(apart, key=lambda one: one.order)
    return first if first.gap > 0 else None


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(words: Words, step: str, run: Mapping[str, Any]) -> list[str]:
    """The two samples of a study's step: what differs, the prompt, all systems' replies, and every score."""
    lines: list[str] = []
    for evaluation in run["evaluations"]:
        labels = {name: words.term("system_name", label) for name, label in evaluation["labels"].items()}
        drawn = [item for item in evaluation.get("replies", {}).get("items", ()) if item.get("rated_in") == step]
        for why, item in ((why, item) for why in WHY for item in drawn if why in item["told"]):
            mark = f" ({words.plain('people_simulated')})" if item["simulated"] else ""
            lines += [f"**{words.plain(f'pick_{why}')}**{mark}", "", _sentence(words, why, item["told"][why], labels)]
            lines += ["", f"> {words.plain('prompt')}: {cell(item['prompt']['text'])}", ""]
            lines += [f"* {safe(labels[one['system']])}: {cell(one['text'])}" for one in item["replies"]]
            lines += _scores(words, item, labels)
    return lines


def _sentence(words: Words, why: str, told: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    numbers = {name: number(told[name], 2) for name in ("gap", "widest", "judge", "people") if name in told}
    numbers |= {"higher": number(told["higher"], 2, signed=True)} if "higher" in told else {}
    counts = {name: number(told[name]) for name in ("criteria", "replies")}
    criterion = safe(words.term("people_criterion_name", told["criterion"]))
    values = {name: left_to_right(words, text) for name, text in {**numbers, **counts}.items()}
    return words.plain(f"told_{why}", system=safe(labels[told["system"]]), criterion=criterion, **values)


def _scores(words: Words, item: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """One line for each reply and criterion: every rater's score by number, their mean, the judge's."""
    raters = [str(rater) for rater in item["raters"]]
    rows = [
        [
            safe(labels[reply["system"]]),
            safe(words.term("people_criterion_name", criterion)),
            *(number(said["raters"].get(rater), 0) for rater in raters),
            number(said["mean"], 2),
            number(reply["rated"]["judge"].get(criterion), 2),
        ]
        for reply in item["replies"]
        if "rated" in reply
        for criterion, said in reply["rated"]["people"].items()
    ]
    named = [f"{words.plain('people_rater')} {rater}" for rater in raters]
    head = [words.plain("system"), words.plain("people_criterion"), *named]
    return table([*head, words.plain("rated_mean"), words.plain("rated_judge")], rows)
