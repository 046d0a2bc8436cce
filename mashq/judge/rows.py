"""Reply rows -> the same rows with what a judge said of each; and the table, the step and the metrics of it.

A judged row keeps its id, parents and messages. Its `meta` gains "judge": the scores by criterion, why one is null, and
the judge's replies as they came; `scores.judge` is the mean of the criteria asked, null where one cannot be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq.judge.asking import Case, Judge, Judged, JudgeSettings, open_judge
from mashq.lm import Ledger
from mashq.lm.purse import Purse
from mashq.metrics import Metric
from mashq.metrics.score import sign
from mashq.rows import SCORES, MashqError, expected_got, id_hex, replace
from mashq.run import Job, Step

__all__ = [
    "TABLE",
    "Asking",
    "cases_of",
    "flattened",
    "judge_rows",
    "judged",
    "lines_of",
    "metrics_in",
    "metrics_of",
    "score_in",
    "scores_table",
    "storable",
]

TABLE = pa.schema(
    [
        pa.field("row", pa.string()),  # id of the judged row
        pa.field("item", pa.string()),  # its prompt row
        pa.field("system", pa.string()),
        *(pa.field(name, pa.string()) for name in ("variety", "task", "source", "group")),
        pa.field("criterion", pa.string()),
        pa.field("score", pa.float64()),  # 1 to 5, null where it cannot be read
        pa.field("why", pa.string()),  # null where there is a score
        pa.field("reply", pa.string()),  # the judge's, as it came
    ]
)


def flattened(turns: Sequence[Mapping[str, str]]) -> str:
    """A prompt as one text, as `evaluate` writes it: a single turn as it is, several with the role before each."""
    if len(turns) == 1:
        return turns[0]["content"] or ""
    return "\n\n".join(f"[{turn['role']}]\n{turn['content'] or ''}" for turn in turns)


def cases_of(rows: pa.Table) -> list[Case | None]:
    """Reply rows -> cases, in order; None for a row that was dropped before.

    Raises MashqError for a row whose last turn is not the assistant's.
    """
    return [_case(row) for row in rows.select(["id", "messages", "references", "variety", "dropped"]).to_pylist()]


def _case(row: Mapping[str, Any]) -> Case | None:
    if row["dropped"] is not None:
        return None
    turns = row["messages"] or []
    if not turns or turns[-1]["role"] != "assistant":
        got = f"a last turn of '{turns[-1]['role']}'" if turns else "no messages"
        raise MashqError(expected_got(f"judge: row {id_hex(row['id'])}", "an assistant's turn last", got))
    reference = (row["references"] or [None])[0] or ""
    return Case(flattened(turns[:-1]), turns[-1]["content"] or "", row["variety"] or "", reference)


def judge_rows(judge: Judge, rows: pa.Table) -> pa.Table:
    """Reply rows with what the judge says of each in `meta` and `scores.judge`; rows dropped before stay as they are.

    An empty reply is judged like any other. Raises MashqError as `cases_of` and `Judge.judged` do.
    """
    cases = cases_of(rows)
    said = iter(judge.judged([case for case in cases if case is not None]))
    found = [None if case is None else next(said) for case in cases]
    metas, scores = rows.column("meta").to_pylist(), rows.column("scores").to_pylist()
    about = {"rubric": judge.rubric.name, "language": judge.language, "model": judge.model.identity}
    return replace(
        rows,
        meta=[_with_judged(meta, one, about) for meta, one in zip(metas, found, strict=True)],
        scores=[_with_mean(had, one) for had, one in zip(scores, found, strict=True)],
    )


def _with_judged(meta: str | None, one: Judged | None, about: Mapping[str, str]) -> str | None:
    if one is None:
        return meta
    told = {**about, "scores": dict(one.scores), "why": dict(one.why), "replies": [storable(r) for r in one.replies]}
    return json.dumps({**json.loads(meta or "{}"), "judge": told}, ensure_ascii=False)


def storable(text: str) -> str:
    """A text without lone surrogates, which no file can hold: a judge's JSON may spell half an emoji."""
    return text if text.isprintable() else text.encode("utf-8", "replace").decode()


def _with_mean(had: Mapping[str, Any] | None, one: Judged | None) -> Mapping[str, Any] | None:
    if one is None:
        return had
    known = [value for value in one.scores.values() if value is not None]
    mean = sum(known) / len(known) if known and len(known) == len(one.scores) else None
    return {**(had or dict.fromkeys(SCORES)), "judge": mean}


def scores_table(tables: Iterable[pa.Table]) -> pa.Table:
    """Judged rows -> one row of `TABLE` for each reply and criterion asked; rows that no judge saw are left out."""
    lines = [line for table in tables for row in table.to_pylist() for line in _lines(row)]
    return pa.Table.from_pylist(lines, TABLE)


def _lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    meta = json.loads(row["meta"] or "{}")
    told = meta.get("judge")
    if not told or row["dropped"] is not None:
        return []
    same = {name: row[name] for name in ("variety", "task", "source", "group")}
    same |= {"row": id_hex(row["id"]), "item": id_hex(row["parents"][0]) if row["parents"] else None}
    return lines_of({**same, "system": meta.get("system")}, told["scores"], told["why"], told["replies"])


def lines_of(
    same: Mapping[str, Any], scores: Mapping[str, float | None], why: Mapping[str, str], replies: Sequence[str]
) -> list[dict[str, Any]]:
    """One judged reply as lines of `TABLE`; `same` holds what is the same in all of them."""
    each = replies if len(replies) == len(scores) else [*replies] * len(scores)
    return [
        {**same, "criterion": name, "score": score, "why": why.get(name), "reply": reply}
        for (name, score), reply in zip(scores.items(), each, strict=True)
    ]


# --- as metrics ------------------------------------------------------------------------------------------------------


def score_in(meta: Mapping[str, Any], criterion: str) -> float:
    """What the judge gave a row for a criterion, by the row's `meta`; NaN where that is not known."""
    value = meta.get("judge", {}).get("scores", {}).get(criterion)
    return math.nan if value is None else float(value)


def metrics_of(judge: Judge) -> dict[str, Metric]:
    """Criterion -> a metric of `evaluate`. Its values stand in the judged rows (`score_in`), not in the reply."""
    return {name: _metric(judge.about(), name) for name in judge.criteria}


def metrics_in(about: Mapping[str, Any], criteria: Sequence[str]) -> dict[str, Metric]:
    """The metrics of a judged step by their names (`judge_fluency`), without its model.

    `about` is what the identity in the step's manifest says under "about". Raises MashqError where it lacks a part of
    the signature, for then it is not of a judge.
    """
    return {one.name: one for one in (_metric(about, criterion) for criterion in criteria)}


def _metric(about: Mapping[str, Any], criterion: str) -> Metric:
    if lacking := [key for key in ("model", "rubric", "rubric_fingerprint", "language") if key not in about]:
        raise MashqError(expected_got("judge: about", "what a judged step says of its judge", f"no {lacking[0]}"))
    parts = [f"model:{about['model']}", f"rubric:{about['rubric']}:{about['rubric_fingerprint']}"]
    parts += [f"lang:{about['language']}", "temp:0", "apart" if about.get("apart") else ""]

    def per_item(replies: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        raise MashqError(f"judge_{criterion}: its values are read from judged rows (judge_rows), not from replies.")

    def of_meta(meta: Mapping[str, Any]) -> float:
        return score_in(meta, criterion)

    return Metric(f"judge_{criterion}", per_item, sign(f"judge_{criterion}", *parts), True, "1..5", of_meta)


# --- the step --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asking:
    """What the step is handed: its settings, the models of what it judges, and from what it spends."""

    settings: JudgeSettings
    systems: Mapping[str, str]
    budget: Purse


def judged(
    name: str, replies: Step, settings: JudgeSettings, systems: Mapping[str, str], budget: Purse | None = None
) -> Step:
    """The rows of a step of replies with what a judge says of them; `systems`: name -> the model that replied.

    In the fingerprint are the model, the rubric, the language and what is asked; the judge's own settings that change
    no reply (concurrency, timeouts) and its budget are not. A request that fails leaves scores null with the reason;
    `--force` asks again. `budget`: what it shares with other steps; None: the settings' budget is its own. Raises
    MashqError where the judge would judge its own family.
    """
    from mashq.judge.foreseen import asked_of

    judge = open_judge(settings, systems)
    told = {"rubric": judge.rubric.name, "language": settings.language, "apart": settings.apart}
    purse = budget or Purse(settings.budget, "proof.judge.budget", asked_of)
    made = Step(
        name,
        _judged,
        {**told, "max_new_tokens": settings.max_new_tokens, "own_family": settings.own_family},
        {"replies": replies},
        version=2,  # a criterion that was not asked has no score, where it was null
        identity={"judge": judge.model.identity, "asks": judge.fingerprint, "about": judge.about()},
        here=True,
        aside=Asking(settings, systems, purse),
    )
    purse.join(made)
    return made


def _judged(rows: pa.Table, job: Job) -> pa.Table:
    asking: Asking = job.aside
    with Ledger(Path(job.root) / "ledger" / "replies") as ledger:
        judge = open_judge(asking.settings, asking.systems, ledger=ledger, budget=asking.budget, progress=True)
        return judge_rows(judge, rows)
