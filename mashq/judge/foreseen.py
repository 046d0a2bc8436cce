"""What a judged step or a judge card asks its judge, known from the replies before anything is asked.

`mashq plan` counts these requests, and a purse what the ledger says that they cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mashq.judge.asking import Judge, open_judge
from mashq.judge.card import PROBES, _plan
from mashq.judge.card_step import Drawn, _rated, _replies, draw_replies
from mashq.judge.rows import Asking, cases_of
from mashq.lm.at_hand import has_door
from mashq.lm.purse import Asked
from mashq.lm.request import Request
from mashq.run import Step, Store, manifest_of, read_rows

__all__ = ["asked_of", "card_requests", "drawn_of", "requests_of"]


def asked_of(step: Step, root: Path, who: Judge | None = None) -> list[Asked]:
    """What a judged step or a judge card asks, with the judge's identity; none where the replies are not made in the
    store `root`. `who`: the judge, where it is open already.
    """
    folders = folders_of(step, root)
    if folders is None:
        return []
    judge = who or open_judge(step.aside.settings, step.aside.systems)
    framed = who is not None or has_door(step.aside.settings.model)  # else weights would be loaded for it
    return [(judge.model.identity, one) for one in requests_of(step, folders, judge, framed=framed)]


def folders_of(step: Step, root: Path) -> dict[str, Path] | None:
    """Where a step's inputs lie in a store; None where one of them is not made."""
    folders = {name: Store(root).folder(one) for name, one in step.inputs.items()}
    return folders if all(manifest_of(folder) is not None for folder in folders.values()) else None


def requests_of(step: Step, folders: Mapping[str, Path], judge: Judge, *, framed: bool = True) -> list[Request]:
    """What the step asks of this judge, in the language of the step's own settings; equal requests may repeat."""
    judge = judge.in_language(step.aside.settings.language)
    if isinstance(step.aside, Asking):
        cases = [case for table in read_rows(folders["replies"]) for case in cases_of(table) if case is not None]
        return judge.requests(cases, framed=framed)
    return list(card_requests(judge, drawn_of(step, folders), step.settings["seed"], framed=framed))


def drawn_of(step: Step, folders: Mapping[str, Path]) -> list[Drawn]:
    """The replies on which a judge card measures."""
    rated = _rated(Path(step.files["ratings"])) if "ratings" in step.files else {}
    known = {name: _replies(folders[name], name) for name in step.settings["systems"]}
    return draw_replies(known, step.settings["most"], step.settings["seed"], {sample for _, sample, _ in rated})


def card_requests(judge: Judge, drawn: list[Drawn], seed: int, *, framed: bool = True) -> Iterator[Request]:
    """What a judge card on these replies asks: every probe's cases, then the pairs."""
    if not drawn:
        return
    plan = _plan(judge, [one.case for one in drawn], [one.group for one in drawn], (), (), PROBES, seed)
    for language, repeat, case in plan.all_keys():
        asked = judge if language == judge.language else judge.in_language(language)
        yield from asked.requests([case], repeat=repeat, framed=framed)
    yield from judge.pair_requests(list(dict.fromkeys(plan.shown())), framed=framed)
