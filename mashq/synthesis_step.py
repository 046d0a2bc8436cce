"""The steps that write with a language model: what is wanted as rows, and every reply as a row, kept or dropped."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from mashq import arabic, rows
from mashq.lm import Budget, Ledger, Model, Reply, Request, generate, key_of, licence, open_model, public_name
from mashq.lm.budget import BudgetSettings
from mashq.rows import MashqError
from mashq.run import Job, Step
from mashq.synthesis import Asked, Judging, Synthesis, Wanted, Writer, Written

__all__ = ["WriterSettings", "Writing", "synthesised", "wanted_of", "wanted_rows"]


@dataclass(frozen=True)
class WriterSettings:
    """Who writes, how much is asked, and what it may cost."""

    model: str = "llamacpp:gemma3-270m"  # who writes: any model of `mashq.lm`
    options: dict[str, Any] = field(default_factory=dict)  # its own settings: concurrency, requests_per_minute ...
    licence: str = ""  # of what the model writes, SPDX; "" = the model's own
    asked: Asked = field(default_factory=Asked)
    judge: str = ""  # a model that judges drafts; "" = nobody
    judge_options: dict[str, Any] = field(default_factory=dict)  # the judge's own
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    trial: int = 100  # first replies; if none of them is worth keeping the run stops there; 0 = go on all the same


@dataclass(frozen=True)
class Writing:
    """What a writing step is handed beside what is wanted."""

    writer: Writer
    settings: WriterSettings


# --- what is wanted, as rows -----------------------------------------------------------------------------------------


def wanted_rows(wanted: Sequence[Wanted], source: str, version: str = "1") -> pa.Table:
    """One row for each text wanted; `meta` holds all that the writer is told. `wanted_of` reads them back."""
    meta = [{"key": one.key, "cell": one.cell, "about": dict(one.about)} for one in wanted]
    return rows.conform(
        {
            "id": rows.source_ids(source, version, [one.key for one in wanted]),
            "parents": [list(one.parents) for one in wanted],
            "source": source,
            "licence": [one.licence for one in wanted],
            "group": [one.group or None for one in wanted],
            "variety": [one.variety for one in wanted],
            "meta": [json.dumps(one, ensure_ascii=False) for one in meta],
        },
        "wanted",
    )


def wanted_of(table: pa.Table) -> list[Wanted]:
    """Rows of `wanted_rows` -> what is wanted."""
    columns = ["parents", "licence", "group", "variety", "meta"]
    return [_wanted(**row) for row in table.select(columns).to_pylist()]


def _wanted(
    parents: list[bytes] | None, licence: str | None, group: str | None, variety: str | None, meta: str
) -> Wanted:
    told = json.loads(meta)
    return Wanted(told["key"], told["about"], told["cell"], group or "", variety, tuple(parents or ()), licence)


# --- the step --------------------------------------------------------------------------------------------------------


def synthesised(name: str, wanted: Step, writer: Writer, settings: WriterSettings) -> Step:
    """Every reply to what is wanted: at most one kept for each, the others dropped with the reason.

    In the fingerprint are the writer, the model and what is asked; prices, limits and the model's own settings that
    change no reply (concurrency, timeouts) are not.
    """
    if settings.judge and not isinstance(writer, Judging):
        raise MashqError(f"{name}: judge '{settings.judge}': {writer.name} texts come without questions for a judge.")
    models = [_model("wrote", settings.model, settings.options, settings.licence)]
    if settings.judge:
        models.append(_model("judged", settings.judge, settings.judge_options, ""))
    return Step(
        name,
        _synthesised,
        {"asked": settings.asked, "licence": settings.licence},
        {"wanted": wanted},
        identity={"writer": writer.identity, "models": models},
        kind="stream",
        rows_per_part=20_000,
        aside=Writing(writer, settings),
    )


def _model(role: str, spec: str, options: Mapping[str, Any], stated: str) -> dict[str, Any]:
    """What wrote or judged, with its licence: for manifests and cards."""
    own = {"role": role, "name": public_name(spec), "licence": stated or licence(spec)}
    return {**own, "identity": open_model(spec, **options).identity, "column": "", "least": None, "why": ""}


def _synthesised(job: Job) -> Iterator[pa.Table]:
    with Ledger(job.root / "ledger" / "replies") as ledger:
        yield from _written(job, ledger)


def _written(job: Job, ledger: Ledger) -> Iterator[pa.Table]:
    writer, settings = job.aside.writer, job.aside.settings
    budget = settings.budget.open()
    asking = _Asking(
        open_model(settings.model, **settings.options), ledger, budget, job.folder / ".progress" / "errors.jsonl"
    )
    judging = None
    if settings.judge:
        judge = open_model(settings.judge, **settings.judge_options)
        judging = _Asking(judge, ledger, budget, job.folder / ".progress" / "judge-errors.jsonl")
    engine = Synthesis(writer, settings.asked, asking, judging, settings.trial)
    licensed = settings.licence or licence(settings.model)
    about = _About(job.name, writer.name, public_name(settings.model), asking.identity, licensed)
    known: dict[str, tuple[bytes, str | None]] = {}  # of texts that are open: id and source of the row that wants it

    def wanted() -> Iterator[Wanted]:
        for table in job.read("wanted"):
            ids, sources = table["id"].to_pylist(), table["source"].to_pylist()
            for one, id_, source in zip(wanted_of(table), ids, sources, strict=True):
                known[one.key] = (id_, source)
                yield one

    for several in _gathered(engine.write(wanted()), 2_000):
        yield _as_rows(several, known, about)


def _gathered(written: Iterable[Sequence[Written]], most: int) -> Iterator[list[Written]]:
    """Texts' replies -> lists of about so many replies, those of one text together."""
    waiting: list[Written] = []
    for several in written:
        waiting += several
        if len(waiting) >= most:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


@dataclass(frozen=True)
class _About:
    """What every row of a run says of itself."""

    step: str
    template: str
    model: str
    identity: str  # of the model
    licence: str


def _as_rows(several: Sequence[Written], known: dict[str, tuple[bytes, str | None]], about: _About) -> pa.Table:
    ids = pa.array([known[one.wanted.key][0] for one in several], rows.ID)
    numbers = np.array([one.number for one in several], dtype=np.uint64)
    made: dict[str, Any] = {
        "id": rows.child_ids(ids, step=about.step, template=about.identity, repetition=numbers),
        "parents": [[known[one.wanted.key][0]] for one in several],
        "source": [known[one.wanted.key][1] for one in several],
        "licence": [_licence(one.wanted.licence, about.licence) for one in several],
        "group": [one.wanted.group or None for one in several],
        "template": about.template,
        "variety": [one.wanted.variety for one in several],
        "meta": [json.dumps(_meta(one, about), ensure_ascii=False) for one in several],
        "dropped": pa.array([_storable(one.draft.reason) for one in several], pa.string()),
    }
    fields = [one.draft.fields or {"text": one.reply.text} for one in several]  # what cannot be read stays to be seen
    for name in sorted({name for own in fields for name in own}):
        made[name] = [_storable(own.get(name)) for own in fields]
    for key in {one.wanted.key for one in several}:
        del known[key]
    return rows.conform(made, about.step)


def _storable(value: Any) -> Any:
    """A field without lone surrogates, which no file can hold: a model's JSON may spell half an emoji."""
    if isinstance(value, str):
        return value if value.isprintable() else arabic.whole(value)
    if isinstance(value, Mapping):
        return {key: _storable(one) for key, one in value.items()}
    return [_storable(one) for one in value] if isinstance(value, list | tuple) else value


def _licence(of_rows: str | None, of_model: str) -> str:
    """What holds for a text made from rows by a model: both licences."""
    parts = [part for part in dict.fromkeys(re.split(r" AND (?![^(]*\))", of_rows or "")) if part]
    parts = [f"({part})" if " OR " in part and not part.startswith("(") else part for part in parts]
    return " AND ".join(dict.fromkeys([*parts, of_model] if of_model else parts))


def _meta(one: Written, about: _About) -> dict[str, Any]:
    """What is asked, of whom, and how it went; `asked` is the prompt as it was sent."""
    asked = one.prompt if isinstance(one.prompt, str) else [list(turn) for turn in one.prompt]
    told = {**one.wanted.about, "cell": one.wanted.cell, "model": about.model, "attempt": one.attempt}
    told |= {"mended": one.mended, "score": round(one.draft.score, 4), "finish": one.reply.finish}
    if one.draft.checks:
        told["checks"] = {name: reason is None for name, reason in one.draft.checks.items()}
    told |= {"prompt_tokens": one.reply.prompt_tokens, "new_tokens": one.reply.new_tokens, "asked": asked}
    return told


# --- asking ----------------------------------------------------------------------------------------------------------


class _Asking:
    """Requests through a model and the ledger. A request that failed for good stays failed while the step is made: the
    rounds after it depend on it, and a run taken up again must go the same way. `--force` asks it anew."""

    def __init__(self, model: Model, ledger: Ledger, budget: Budget | None, errors: Path):
        self._model, self._ledger, self._budget, self._errors = model, ledger, budget, errors
        self._failed: dict[bytes, str] = {}
        if errors.exists():
            whole, _, torn = errors.read_bytes().rpartition(b"\n")
            if torn:  # a kill cut the last line off
                os.truncate(errors, len(whole) + bool(whole))
            for line in whole.splitlines():
                key, why = msgspec.json.decode(line, type=tuple[str, str])
                self._failed[bytes.fromhex(key)] = why

    @property
    def identity(self) -> str:
        """The model's."""
        return self._model.identity

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        keys = [key_of(self._model.identity, request) for request in requests]
        open_ = [place for place, key in enumerate(keys) if key not in self._failed]
        found = [Reply.failed(self._failed[key]) if key in self._failed else None for key in keys]
        said = generate(
            self._model,
            [requests[place] for place in open_],
            ledger=self._ledger,
            budget=self._budget,
            progress=True,
        )
        replies = dict(zip(open_, said, strict=True))
        self._note({keys[place]: reply.error or "" for place, reply in replies.items() if reply.finish == "error"})
        return [one if one is not None else replies[place] for place, one in enumerate(found)]

    def _note(self, failed: Mapping[bytes, str]) -> None:
        if not failed:
            return
        self._failed |= failed
        lines = b"".join(msgspec.json.encode((key.hex(), why)) + b"\n" for key, why in failed.items())
        with self._errors.open("ab") as file:
            file.write(lines)
