"""The step that measures a judge on the replies it judges: `judge_card.json`, and the same in words.

What it is measured on is drawn by seed, item by item in turn from each variety, with the replies of all systems to an
item: so systems and varieties stand in it evenly, and there are pairs for the place probe. The requests go through the
run's ledger, where those that a judged step made already are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.judge.asking import Case, Judge, JudgeSettings, open_judge
from mashq.judge.card import judge_card
from mashq.judge.card_page import card_json, card_markdown
from mashq.judge.family import Kinship
from mashq.judge.measures import People
from mashq.judge.rows import cases_of
from mashq.lm import Ledger
from mashq.lm.purse import Purse
from mashq.rating.answered import read_answers
from mashq.rating.study import sample_id
from mashq.rows import MashqError, expected_got, id_hex
from mashq.run import Job, Step, read_rows
from mashq.shards import write_json

__all__ = ["Drawn", "draw_replies", "judge_card_step", "own_of", "people_in"]


@dataclass(frozen=True)
class Drawn:
    """One reply on which a judge is measured."""

    case: Case
    system: str
    item: str  # id of its prompt row
    group: str  # its cluster

    @property
    def sample(self) -> str:
        """Its id in a study of people (`mashq.rating.study`)."""
        return sample_id("absolute", self.item, (self.system,), (self.case.reply,))


@dataclass(frozen=True)
class _Asking:
    """What the step is handed and what does not decide its result, or stands in its identity."""

    settings: JudgeSettings
    systems: Mapping[str, str]
    budget: Purse | None


def judge_card_step(
    name: str,
    replies: Mapping[str, Step],
    settings: JudgeSettings,
    systems: Mapping[str, str],
    most: int,
    seed: int,
    ratings: str = "",
    budget: Purse | None = None,
) -> Step:
    """The card of a judge on at most `most` replies of several systems (name -> its step of replies).

    `systems`: name -> the model that replied. With `ratings`, a file of people's answers as `mashq rate` exports them,
    replies that people rated are drawn first, and the judge is held against people. Raises MashqError where the judge
    would judge its own family, and for `most` below the number of systems.
    """
    if not replies or most < len(replies):
        expected = "at least one system, and `most` no less than their number"
        raise MashqError(expected_got(f"{name}: replies", expected, f"{len(replies)} systems, {most}"))
    judge = open_judge(settings, systems)
    told = {"rubric": judge.rubric.name, "language": settings.language, "apart": settings.apart}
    told |= {"max_new_tokens": settings.max_new_tokens, "own_family": settings.own_family}
    return Step(
        name,
        _carded,
        {**told, "systems": list(replies), "most": most, "seed": seed},
        replies,
        files={"ratings": Path(ratings)} if ratings else {},
        identity={"judge": judge.model.identity, "asks": judge.fingerprint, "about": judge.about()},
        kind="folder",
        produces="judge_card",
        aside=_Asking(settings, systems, budget),
        private=any(step.private for step in replies.values()),
        version=4,  # what would have been seen, by the corrected test; nothing is clear that could not be
    )


def _carded(job: Job) -> Mapping[str, Any]:
    asking: _Asking = job.aside
    rated = _rated(job.files["ratings"]) if "ratings" in job.files else {}
    known = {name: _replies(job.inputs[name], name) for name in job.settings["systems"]}
    drawn = draw_replies(known, job.settings["most"], job.settings["seed"], {sample for _, sample, _ in rated})
    if not drawn:
        raise MashqError(f"{job.name}: expected replies to be judged, got none: all were dropped.")
    with Ledger(job.root / "ledger" / "replies") as ledger:
        judge = open_judge(asking.settings, asking.systems, ledger=ledger, budget=asking.budget, progress=True)
        return _measured(job, judge, drawn, rated)


def _measured(job: Job, judge: Judge, drawn: Sequence[Drawn], rated: Mapping[Any, int]) -> Mapping[str, Any]:
    """Ask, measure and write; the step's facts."""
    seed, about = job.settings["seed"], judge.about()
    people = people_in(rated, drawn, judge.criteria)
    cases, groups = [one.case for one in drawn], [one.group for one in drawn]
    own = own_of(judge.kinship, drawn) if judge.kinship else None
    card = judge_card(judge, cases, groups=groups, people=people or None, own=own, name=str(about["model"]), seed=seed)
    facts = {
        "about": {**about, "kin": sorted(judge.kinship.own) if judge.kinship else []},
        "drawn": {
            "most": job.settings["most"],
            "systems": dict(Counter(one.system for one in drawn)),
            "varieties": dict(Counter(one.case.variety for one in drawn)),
        },
        "people": _about_people(job, rated, drawn) if "ratings" in job.files else None,
    }
    write_json(job.folder / "judge_card.json", {**facts, **json.loads(card_json(card))})
    for name, language in (("judge_card.md", "en"), ("judge_card.ar.md", "ar")):
        (job.folder / name).write_text(card_markdown(card, language), encoding="utf-8")
    return {"replies": len(drawn), "requests": card.requests}


# --- what is drawn ---------------------------------------------------------------------------------------------------


def _replies(folder: Path, system: str) -> list[Drawn]:
    """The replies of a step, without those that were dropped."""
    found = []
    for table in read_rows(folder):
        rows = table.select(["id", "parents", "group"]).to_pylist()
        for row, case in zip(rows, cases_of(table), strict=True):
            if case is not None:
                item = id_hex(row["parents"][0]) if row["parents"] else id_hex(row["id"])
                found.append(Drawn(case, system, item, row["group"] or item))
    return found


def draw_replies(
    known: Mapping[str, Sequence[Drawn]], most: int, seed: int, rated: frozenset[str] | set[str] = frozenset()
) -> list[Drawn]:
    """At most `most` replies: whole items, in turn from each variety, with all systems' replies to them.

    Of a variety those items come first of which people rated a reply (`rated`: their samples), then those that more
    systems answered, then by a draw that depends on the seed and the item alone.
    """
    items: dict[str, list[Drawn]] = defaultdict(list)
    for several in known.values():
        for one in several:
            items[one.item].append(one)
    by_variety: dict[str, list[str]] = defaultdict(list)
    for item, several in items.items():
        by_variety[several[0].case.variety].append(item)

    def order(item: str) -> tuple[bool, int, bytes]:
        several = items[item]
        chance = hashlib.blake2b(f"{seed}\0{item}".encode(), digest_size=8).digest()
        return not any(one.sample in rated for one in several), -len(several), chance

    queues = [sorted(by_variety[variety], key=order) for variety in sorted(by_variety)]
    turns = [
        queue[place] for place in range(max(map(len, queues), default=0)) for queue in queues if place < len(queue)
    ]
    drawn: list[Drawn] = []
    for item in turns:
        if len(drawn) + len(items[item]) > most:
            break
        drawn += items[item]
    return drawn


# --- people ----------------------------------------------------------------------------------------------------------

Rated = Mapping[tuple[str, str, str], int]  # rater, sample, criterion -> 1 to 5


def _rated(path: Path) -> dict[tuple[str, str, str], int]:
    """What people who stayed said of single replies that are no practice and no attention check."""
    rows = read_answers(path).to_pylist()
    return {
        (row["rater"], row["item"], row["criterion"]): int(row["value"])
        for row in rows
        if (row["kind"], row["role"]) == ("absolute", "item") and row["value"] is not None and not row["withdrawn"]
    }


def people_in(rated: Rated, drawn: Sequence[Drawn], criteria: Sequence[str]) -> People:
    """Criterion -> one row a rater of one score a drawn reply, None where there is none; criteria that nobody rated
    are left out.
    """
    raters = sorted({rater for rater, _, _ in rated})
    found = {}
    for criterion in criteria:
        rows = [[rated.get((rater, one.sample, criterion)) for one in drawn] for rater in raters]
        if said := [row for row in rows if any(score is not None for score in row)]:
            found[criterion] = said
    return found


def own_of(kinship: Kinship, drawn: Sequence[Drawn]) -> list[bool | None]:
    """Of each drawn reply whether a model of the judge's family wrote it; None where a family is not known."""
    known = {name for name, families in kinship.systems.items() if families and kinship.judge}
    return [one.system in kinship.own or (False if one.system in known else None) for one in drawn]


def _about_people(job: Job, rated: Rated, drawn: Sequence[Drawn]) -> dict[str, Any]:
    samples = {one.sample for one in drawn}
    here = [key for key in rated if key[1] in samples]
    if rated and not here:
        do = "Give the ratings of these very replies: their ids are made of the replies' texts."
        raise MashqError(expected_got(f"{job.name}: ratings", "some of the replies judged", "none of them", do))
    return {
        "raters": len({rater for rater, _, _ in here}),
        "replies": len({sample for _, sample, _ in here}),
        "simulated": any(read_answers(job.files["ratings"])["simulated"].to_pylist()),
    }
