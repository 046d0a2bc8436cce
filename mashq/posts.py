"""Threads of posts as rows: read, cleaned, de-identified, normalised, paired; and what was done, as counts.

A row is a thread: `messages` are its posts in order, "user" where its asker wrote and "assistant" where anybody else
did; `meta` holds who wrote each (a number and a role, never a name) and what the steps did to it. Steps up to
`deidentified` are private: no report or card shows their rows.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mashq import clean, dialect, medical, rows
from mashq.near import Near, alike
from mashq.rows import MashqError
from mashq.run import Job, Step, read_rows

__all__ = [
    "CleanSettings",
    "NormaliseSettings",
    "PairSettings",
    "PrivacySettings",
    "VarietySettings",
    "cleaned",
    "deidentified",
    "distinct",
    "normalised",
    "pairs",
    "threads",
    "unlike",
    "varieties_told",
]

ASKER, OTHER = "user", "assistant"


# --- raw records -> threads ------------------------------------------------------------------------------------------


def threads(name: str, raw: Step) -> Step:
    """Raw records -> threads: a record with a list of posts, or the question and answer that its columns hold."""
    return Step(name, _threads, {"layout": "posts, or columns as medical.columns_of tells"}, {"raw": raw}, private=True)


def _threads(table: pa.Table, job: Job) -> pa.Table:
    records = [json.loads(meta or "{}") for meta in table["meta"].to_pylist()]
    told = [_thread(record) for record in records]
    found = [[] if isinstance(one, str) else one for one in told]
    written = [_writers(posts) for posts in found]
    made = rows.children(
        table,
        job.name,
        group=[str(record.get("group") or "") or None for record in records],
        variety=[str(record.get("variety") or "") or None for record in records],
        text=pa.nulls(table.num_rows, pa.string()),
        messages=[_messages(posts, who["writers"]) for posts, who in zip(found, written, strict=True)],
        meta=[_meta(_record(record), who) for record, who in zip(records, written, strict=True)],
    )
    return rows.drop(made, [one if isinstance(one, str) else None for one in told])


def _thread(record: Mapping[str, Any]) -> list[medical.Post] | str:
    posts = record.get("posts")
    if isinstance(posts, list):
        return [medical.post_of(post) for post in posts] or "no posts: the list is empty"
    layout = medical.columns_of(list(record))
    if layout.missing:
        return f"layout: {'; '.join(layout.missing)}"
    found = medical.record_pair(record, layout)
    if isinstance(found, str):
        return found
    question, answer = found
    return [medical.Post(question, "asker", "asker"), medical.Post(answer, "doctor", "doctor")]


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's own key, where it has one."""
    return {"record": str(record["key"])} if record.get("key") is not None else {}


def _writers(posts: Sequence[medical.Post]) -> dict[str, Any]:
    """Who wrote each post: 0 is the asker, others are numbered as they come; and as what."""
    names = list(dict.fromkeys(post.author or f"\0{place}" for place, post in enumerate(posts)))
    writers = [names.index(post.author or f"\0{place}") for place, post in enumerate(posts)]
    doctors = [medical.is_doctor(post) for post in posts]
    roles = ["doctor" if doctor else "asker" if not own else "" for doctor, own in zip(doctors, writers, strict=True)]
    return {"writers": writers, "roles": roles}


def _messages(posts: Sequence[medical.Post], writers: Sequence[int]) -> list[dict[str, str]]:
    return [{"role": OTHER if own else ASKER, "content": post.text} for own, post in zip(writers, posts, strict=True)]


def _meta(*parts: Mapping[str, Any]) -> str:
    return json.dumps({name: value for part in parts for name, value in part.items()}, ensure_ascii=False)


# --- cleaning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CleanSettings:
    """What is taken for noise. Contacts and handles are left to de-identification, which says what stood there."""

    profile: str = "social"  # a profile of data/clean/profiles.yaml, or a YAML file
    changed: dict[str, dict[str, Any]] = field(  # rule -> settings that differ from the profile's
        default_factory=lambda: {
            "email": {"on": False},
            "mention": {"on": False},
            "phone": {"on": False},
            "near_duplicate": {"on": False},
        }
    )


def cleaned(name: str, thread: Step, settings: CleanSettings) -> Step:
    """Threads with clean posts. A post that is noise leaves its thread; a thread without its question is dropped."""
    identity = {"profile": clean.open_profile(settings.profile, settings.changed).identity}
    return Step(name, _cleaned, settings, {"threads": thread}, identity=identity, private=True)


@functools.lru_cache(maxsize=4)
def _profile(name: str, changed: str) -> clean.Profile:
    return clean.open_profile(name, json.loads(changed))


def _cleaned(table: pa.Table, job: Job) -> pa.Table:
    profile = _profile(job.settings.profile, json.dumps(job.settings.changed))
    every = table["messages"].to_pylist()
    done = clean.clean([post["content"] for posts in every for post in posts], profile)
    made, reasons, metas, at = [], [], [], 0
    for posts, meta in zip(every, table["meta"].to_pylist(), strict=True):
        places = range(at, at + len(posts))
        at += len(posts)
        told = json.loads(meta)
        kept = [(place, place - places.start) for place in places if done.reasons[place] is None]
        made.append([{**posts[own], "content": done.texts[place]} for place, own in kept])
        metas.append(_meta(told, _kept_writers(told, [own for _, own in kept]), _noted(done, places)))
        reasons.append(_question_lost(done.reasons[places.start : places.stop]))
    return rows.drop(rows.children(table, job.name, messages=made, meta=metas), reasons)


def _kept_writers(told: Mapping[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    return {name: [told[name][own] for own in kept] for name in ("writers", "roles")}


def _noted(done: clean.Cleaned, places: range) -> dict[str, Any]:
    """Posts of a thread that each rule changed, and posts that were dropped by the name of the reason."""
    changed = Counter(rule for place in places if done.reasons[place] is None for rule in done.applied[place])
    lost = Counter(reason.split(":")[0] for place in places if (reason := done.reasons[place]))
    return {"cleaned": dict(changed), "posts_dropped": dict(lost)}


def _question_lost(reasons: Sequence[str | None]) -> str | None:
    if not reasons:
        return "no posts: the thread is empty"
    return f"question {reasons[0]}" if reasons[0] else None


def distinct(name: str, thread: Step, least: float = 0.8) -> Step:
    """Threads whose first post is like no earlier one's (Jaccard of runs of five words below `least`)."""
    return Step(name, _distinct, {"least": least}, {"threads": thread}, kind="stream", private=True)


def _distinct(job: Job) -> Iterator[pa.Table]:
    tables = list(job.read("threads"))
    firsts = [posts[0]["content"] for table in tables for posts in table["messages"].to_pylist()]
    ids = [one for table in tables for one in table["id"].to_pylist()]
    found = [
        f"near duplicate: {one[1]:.2f} like {rows.id_hex(ids[one[0]])[:8]}" if one else None
        for one in alike(firsts, job.settings["least"])
    ]
    at = 0
    for table in tables:
        yield rows.drop(table, found[at : at + table.num_rows])
        at += table.num_rows


def unlike(name: str, pair: Step, held: Step, least: float = 0.8) -> Step:
    """Pairs whose question is like none of `held` that is kept for tests or validation, as `distinct` has it."""
    return Step(name, _unlike, {"least": least}, {"pairs": pair, "held": held}, kind="stream")


def _unlike(job: Job) -> Iterator[pa.Table]:
    unseen = Near(job.settings["least"])
    for table in read_rows(job.inputs["held"], ["id", "split", "messages"]):
        for row in table.to_pylist():
            if row["split"] != "train":
                unseen.add(row["messages"][0]["content"], rows.id_hex(row["id"]))
    for table in job.read("pairs"):
        like = [unseen.find(posts[0]["content"]) for posts in table["messages"].to_pylist()]
        yield rows.drop(table, [f"held out: {one[1]:.2f} like {one[0][:8]}" if one else None for one in like])


# --- de-identification -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PrivacySettings:
    """Which identifiers are replaced by placeholders."""

    kinds: tuple[str, ...] = ()  # of privacy.KINDS; () = all
    least: float = 0.5  # score from which on a finding is replaced, 0 to 1; lower finds more, and more by mistake


def deidentified(name: str, thread: Step, settings: PrivacySettings) -> Step:
    """Threads with placeholders where they named people; one person has one placeholder in a thread."""
    identity = {"deidentifier": _deidentifier(settings.kinds, settings.least).identity}
    return Step(name, _deidentified, settings, {"threads": thread}, identity=identity)


@functools.lru_cache(maxsize=2)
def _deidentifier(kinds: tuple[str, ...], least: float) -> Any:
    from mashq.privacy import KINDS, Deidentifier

    return Deidentifier(kinds=kinds or KINDS, least=least)


def _deidentified(table: pa.Table, job: Job) -> pa.Table:
    from mashq.privacy import Names

    finder = _deidentifier(tuple(job.settings.kinds), job.settings.least)
    made, metas = [], []
    for posts, meta in zip(table["messages"].to_pylist(), table["meta"].to_pylist(), strict=True):
        names = Names()
        replaced = [finder.replace(post["content"], names) for post in posts]
        made.append([{**post, "content": one.text} for post, one in zip(posts, replaced, strict=True)])
        kinds = Counter(found.kind for one in replaced for found in one.found)
        metas.append(_meta(json.loads(meta), {"removed": dict(kinds)}))
    return rows.children(table, job.name, messages=made, meta=metas)


# --- pairs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are kept."""

    most_unsafe: float = 0.3  # safety score of an answer, 0 (safe) to 1, from which on its pair is dropped
    doctors_only: bool = False  # only answers of those who say that they are doctors


def pairs(name: str, thread: Step, settings: PairSettings) -> Step:
    """Threads -> one question with its answer each; a question that must not wait has the task of red flags."""
    notice = {"notice": f"{medical.DISCLAIMER} {medical.DISCLAIMER_ARABIC}"}
    return Step(name, _pairs, settings, {"threads": thread}, files={"words": medical.DATA}, identity=notice)


TASK, RED_FLAG = "medical-answer", "medical-red-flag"


def _pairs(table: pa.Table, job: Job) -> pa.Table:
    told = [_pair(row, job.settings) for row in table.select(["messages", "meta"]).to_pylist()]
    found = [None if isinstance(one, str) else one for one in told]
    made = rows.children(
        table,
        job.name,
        task=[RED_FLAG if one and one["meta"]["red_flags"] else TASK for one in found],
        messages=[[{"role": "user", "content": one["question"]}] if one else None for one in found],
        references=[[one["answer"]] if one else None for one in found],
        meta=[_meta(one["meta"]) if one else meta for one, meta in zip(found, table["meta"].to_pylist(), strict=True)],
    )
    reasons = [one if isinstance(one, str) else one["reason"] for one in told]
    return rows.drop(made, reasons)


def _pair(row: Mapping[str, Any], settings: PairSettings) -> dict[str, Any] | str:
    meta = json.loads(row["meta"])
    posts = [
        medical.Post(post["content"], str(writer), role)
        for post, writer, role in zip(row["messages"], meta["writers"], meta["roles"], strict=True)
    ]
    found = medical.pair(posts)
    if isinstance(found, str):
        return found
    if settings.doctors_only and not found.by_doctor:
        return "no answer: none by a doctor"
    patient = medical.patient(found.question)
    safety = medical.safety(found.question, found.answer)
    signs = [sign.name for sign in safety.signs]
    facts = {
        "specialty": medical.specialty(found.question),
        "age_years": patient.age_years,
        "sex": patient.sex,
        "by_doctor": found.by_doctor,
        "unsafe": round(safety.score, 3),
        "signs": signs,
        "red_flags": [flag.name for flag in medical.red_flags(found.question)],
    }
    unsafe = safety.score >= settings.most_unsafe
    reason = f"unsafe: {safety.score:.2f} >= {settings.most_unsafe:g} ({', '.join(signs)})" if unsafe else None
    return {"question": found.question, "answer": found.answer, "meta": {**meta, **facts}, "reason": reason}


# --- which Arabic, and its spelling ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class VarietySettings:
    """Who tells the variety of a text that does not state one."""

    teller: str = "shipped"  # the model of `mashq.variety`: shipped, a file, a folder or a hub name
    anew: bool = False  # tell it for rows that state one too


def varieties_told(name: str, thread: Step, settings: VarietySettings) -> Step:
    """Rows with the variety of the user's first message; what is told as unsure or mixed says so."""
    identity = {"teller": _teller(settings.teller).identity}
    return Step(name, _varieties, settings, {"rows": thread}, identity=identity)


@functools.lru_cache(maxsize=1)
def _teller(spec: str) -> Any:
    from mashq.variety import open_teller

    return open_teller(spec)


def _varieties(table: pa.Table, job: Job) -> pa.Table:
    stated = table["variety"].to_pylist()
    if all(stated) and not job.settings.anew:
        return table
    told = _teller(job.settings.teller).tell([posts[0]["content"] for posts in table["messages"].to_pylist()])
    both = zip(stated, told.labels, strict=True)
    return rows.replace(table, variety=[new if job.settings.anew or not old else old for old, new in both])


@dataclass(frozen=True)
class NormaliseSettings:
    """How far dialect words are brought to one spelling, or to the standard."""

    strength: str = "spelling"  # spelling | function_words | towards_msa
    references: bool = True  # the answers too; false: the user's words alone


def normalised(name: str, pair: Step, settings: NormaliseSettings) -> Step:
    """Pairs with dialect words as the strength has them, by each row's variety."""
    if settings.strength not in dialect.STRENGTHS:
        known = ", ".join(dialect.STRENGTHS)
        raise MashqError(rows.expected_got(f"{name}: strength", f"one of {known}", f"'{settings.strength}'"))
    identity = {"normaliser": _normaliser(None, settings.strength).identity}
    return Step(name, _normalised, settings, {"pairs": pair}, identity=identity)


@functools.lru_cache(maxsize=16)
def _normaliser(variety: str | None, strength: str) -> dialect.Normaliser:
    return dialect.Normaliser(variety if variety in dialect.VARIETIES else None, strength)


def _normalised(table: pa.Table, job: Job) -> pa.Table:
    made, targets, metas = [], [], []
    for row in table.select(["variety", "messages", "references", "meta"]).to_pylist():
        normaliser = _normaliser(row["variety"], job.settings.strength)
        asked = [normaliser.normalise(post["content"]) for post in row["messages"]]
        told = [normaliser.normalise(text) for text in row["references"] or []] if job.settings.references else []
        made.append([{**post, "content": one.text} for post, one in zip(row["messages"], asked, strict=True)])
        targets.append([one.text for one in told] if job.settings.references else row["references"])
        edits = sum(len(one.edits) for one in (*asked, *told))
        metas.append(_meta(json.loads(row["meta"] or "{}"), {"normalised": edits}))
    return rows.children(table, job.name, messages=made, references=targets, meta=metas)
