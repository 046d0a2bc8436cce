"""Label Studio both ways: a study as its tasks and labelling configuration, its export as rows of answers.

A project of Label Studio has one configuration, so a study with items of several kinds is several projects. Tasks name
no system; which text of a pair stands first is drawn for each item. Formats: labelstud.io, "Label Studio JSON format of
annotated tasks" and the tags Text, Rating, Choices and TextArea.
"""

from __future__ import annotations

import datetime
import json
import warnings
import xml.etree.ElementTree as xml
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mashq import packaged
from mashq.rating import dealing
from mashq.rating.answers import MOST_TEXT, PREFERENCES, SCALE, VERDICTS, changes_nothing, checked, spent, turned
from mashq.rating.store import Store
from mashq.rating.study import KINDS, Criterion, Item, Study
from mashq.rating.table import COLUMNS, answer_rows
from mashq.rows import MashqError, expected_got

__all__ = ["from_label_studio", "label_studio_config", "label_studio_tasks", "to_label_studio"]

EVERYONE = "label studio"  # in place of a rater's name where sides are drawn: everybody sees the same
TEXTS = {"absolute": ("reply",), "pairwise": ("first", "second"), "check": ("source", "proposed")}
STYLE = ".htx-text { white-space: pre-wrap; unicode-bidi: plaintext; text-align: start; }"
CRITERION = "rate_"  # before a criterion's name, which could be that of another part of the page


# --- out -------------------------------------------------------------------------------------------------------------


def label_studio_tasks(of: Study | Store, kind: str = "") -> list[dict[str, Any]]:
    """Tasks to import, one for each item and attention item of a kind (of the only kind, where it is not given).

    Practice items are left out: Label Studio has no place for the answer that follows them. Tasks of a store name their
    items by its key, which nobody can guess; those of a study alone can be told apart by who knows its items' ids.
    """
    study, key = _of(of)
    kind = _kind(study, kind)
    return [_task(study, item, key) for item in study.items if item.kind == kind and item.role != "practice"]


def _of(of: Study | Store) -> tuple[Study, str]:
    """The study, and the key of its store's draws; "" of a study without one."""
    return (of.study, of.key) if isinstance(of, Store) else (of, "")


def _kind(study: Study, kind: str) -> str:
    kinds = [one for one in KINDS if any(item.kind == one and item.role != "practice" for item in study.items)]
    if kind and kind not in kinds:
        raise MashqError(expected_got(f"Label Studio: kind of study '{study.name}'", " or ".join(kinds), f"'{kind}'"))
    if not kind and len(kinds) > 1:
        do = "Name one: a Label Studio project has one configuration."
        raise MashqError(expected_got(f"Label Studio: study '{study.name}'", "items of one kind", ", ".join(kinds), do))
    return kind or kinds[0]


def _task(study: Study, item: Item, key: str) -> dict[str, Any]:
    shown = item.shown[::-1] if dealing.flipped(study, EVERYONE, item, key) else item.shown
    name = dealing.public_id(study, EVERYONE, item, key)
    data = {"study": study.name, "simulated": study.simulated, "mashq_item": name}
    return {"data": {**data, "prompt": item.prompt, **dict(zip(TEXTS[item.kind], shown, strict=True))}}


def label_studio_config(study: Study, kind: str = "", language: str = "ar") -> str:
    """The labelling configuration (XML) of a project for the tasks of `label_studio_tasks`, in "ar" or "en"."""
    words = packaged.parsed("rating/label_studio")
    if language not in words:
        raise MashqError(expected_got("Label Studio: language", " or ".join(words), f"'{language}'"))
    kind, said = _kind(study, kind), words[language]
    page = xml.Element("View", style=f"direction: {said['direction']}")
    xml.SubElement(page, "Style").text = STYLE
    for name in ("prompt", *TEXTS[kind]):
        xml.SubElement(page, "Header", value=said[name])
        xml.SubElement(page, "Text", name=name, value=f"${name}")
    if kind == "check":
        _add_choices(page, "verdict", "proposed", said["verdict"], {name: said[name] for name in VERDICTS})
        xml.SubElement(page, "Header", value=said["text"])
        area = xml.SubElement(page, "TextArea", name="text", toName="proposed", value="$proposed", rows="3")
        area.attrib |= {"maxSubmissions": "1", "editable": "true", "required": "true"}  # of who chose to correct, alone
        area.attrib |= {"visibleWhen": "choice-selected", "whenTagName": "verdict", "whenChoiceValue": "correct"}
    for criterion in study.criteria if kind != "check" else ():
        _add_criterion(page, criterion, kind, language, {name: said[name] for name in PREFERENCES})
    xml.SubElement(page, "Header", value=said["note"])
    xml.SubElement(page, "TextArea", name="note", toName=TEXTS[kind][0], maxSubmissions="1", editable="true")
    xml.indent(page)
    return xml.tostring(page, encoding="unicode") + "\n"


def _add_criterion(
    page: xml.Element, criterion: Criterion, kind: str, language: str, preferences: Mapping[str, str]
) -> None:
    title = _in(criterion.title, language) or criterion.name
    question = ". ".join(part for part in (title, _in(criterion.ask, language)) if part)
    if kind == "pairwise":
        _add_choices(page, CRITERION + criterion.name, "first", question, preferences)
        return
    xml.SubElement(page, "Header", value=question)
    for number, label in zip(SCALE, _in(criterion.labels, language) or (), strict=False):
        xml.SubElement(page, "Header", value=f"{number} = {label}", size="6")
    name = CRITERION + criterion.name
    xml.SubElement(page, "Rating", name=name, toName="reply", maxRating=str(SCALE[-1]), required="true")


def _add_choices(page: xml.Element, name: str, of: str, question: str, choices: Mapping[str, str]) -> None:
    xml.SubElement(page, "Header", value=question)
    group = xml.SubElement(page, "Choices", name=name, toName=of, choice="single", required="true")
    for value, text in choices.items():
        xml.SubElement(group, "Choice", value=text, alias=value)  # the alias is what the export holds


def _in(texts: Mapping[str, Any], language: str) -> Any:
    """A text in the language; in the other where there is none."""
    return texts.get(language) or next((text for text in texts.values() if text), None)


def to_label_studio(store: Store, kind: str = "") -> list[dict[str, Any]]:
    """The tasks with the answers in a store as annotations, in the form of Label Studio's own export.

    Label Studio imports such a file too; as it knows none of the raters, it takes who imports it for the author and the
    present for the time. Who rated, and which side stood where, stays in the `meta` of each result.
    """
    study, key = _of(store)
    kind = _kind(study, kind)
    items = {item.id: item for item in study.items if item.kind == kind and item.role != "practice"}
    tasks = {name: {**_task(study, item, key), "annotations": []} for name, item in items.items()}
    answered: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in store.answers().to_pylist():
        if row["item"] in tasks:
            answered.setdefault((row["rater"], row["item"]), []).append(row)
    for (_, name), rows in answered.items():
        tasks[name]["annotations"].append(_annotation(study, items[name], rows, key))
    return list(tasks.values())


def _annotation(study: Study, item: Item, rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    first = rows[0]
    turn = dealing.flipped(study, EVERYONE, item, key)
    said = {row["criterion"]: row["said"] for row in rows}
    if item.kind == "pairwise" and turn:
        said = turned({"prefer": said})["prefer"]
    results = [_result(item, name, value) for name, value in said.items()]
    for name in ("text", "note"):
        if first[name]:
            of = "proposed" if name == "text" else TEXTS[item.kind][0]
            results.append({"from_name": name, "to_name": of, "type": "textarea", "value": {"text": [first[name]]}})
    meta = {name: first[name] for name in ("rater", "dialect", "side", "withdrawn")}
    return {
        "was_cancelled": False,
        "lead_time": first["seconds"],
        "created_at": first["when"].isoformat(),
        "result": [{"id": f"r{place}", "meta": meta, **one} for place, one in enumerate(results)],
    }


def _result(item: Item, criterion: str, said: str) -> dict[str, Any]:
    if item.kind == "absolute":
        value: dict[str, Any] = {"rating": int(said)}
        return {"from_name": CRITERION + criterion, "to_name": "reply", "type": "rating", "value": value}
    name, of = (CRITERION + criterion, "first") if item.kind == "pairwise" else (criterion, "proposed")
    return {"from_name": name, "to_name": of, "type": "choices", "value": {"choices": [said]}}


# --- back ------------------------------------------------------------------------------------------------------------


def from_label_studio(of: Study | Store, exported: Any, raters: Mapping[Any, str] | None = None) -> pa.Table:
    """The answers in an export of Label Studio (format "JSON", loaded or as text) as rows like `Store.answers`.

    `of`: the store from which the tasks came, or the study for tasks that no store made. `raters` names the annotators
    by what `completed_by` holds (a number, or an e-mail address); without it that is the name. What `to_label_studio`
    wrote names them itself. Annotations that were skipped count for nothing, and so do those that chose to correct and
    hold no corrected text (a warning tells how many); of several by one rater to one task the last stands. Raises
    MashqError for another format, a task of another study and any other annotation that is no whole answer.
    """
    tasks = _tasks(exported)
    study, own = _of(of)
    items = {dealing.public_id(study, EVERYONE, item, key): (item, key) for key in ("", own) for item in study.items}
    rows: list[dict[str, Any]] = []
    unsaid: list[str] = []
    for place, task in enumerate(tasks):
        where = f"Label Studio export: task {place}"
        name = task["data"].get("mashq_item")
        if not isinstance(name, str) or name not in items:
            do = "" if isinstance(of, Store) else "Where the tasks are a store's, give the store: it has their key."
            raise MashqError(expected_got(where, f"an item of study '{study.name}'", f"mashq_item {name!r}"[:80], do))
        latest = {_rater(one, raters or {}, where): one for one in _in_time(task["annotations"], where)}
        for rater, annotation in latest.items():
            whose = f"{where}, annotation of '{rater}'"
            values = _values(annotation, whose)
            if _is_unsaid(items[name][0], values):
                unsaid.append(whose)
            else:
                rows += _rows(study, *items[name], rater, annotation, values, whose)
    if unsaid:
        said = "corrections without a text of their own, which count as no answer"
        warnings.warn(f"Label Studio export: {len(unsaid)} {said}. The first: {unsaid[0]}.", stacklevel=2)
    return pa.Table.from_pylist(rows, COLUMNS)


def _is_unsaid(item: Item, values: Mapping[str, Any]) -> bool:
    """Whether somebody chose to correct and left it at that: no text was added, or the one that was proposed."""
    if item.kind != "check" or values.get("verdict") != "correct":
        return False
    text = values.get("text") or ""
    return isinstance(text, str) and len(text) <= MOST_TEXT and changes_nothing(item, text)


def _tasks(exported: Any) -> list[Any]:
    if isinstance(exported, (str, bytes)):
        try:
            exported = json.loads(exported)
        except ValueError as error:
            raise MashqError(f"Label Studio export: cannot be read as JSON ({error}).") from error
    fits = isinstance(exported, list) and all(
        isinstance(task, Mapping)
        and isinstance(task.get("data"), Mapping)
        and isinstance(task.get("annotations"), list)
        and all(isinstance(one, Mapping) for one in task["annotations"])
        for task in exported
    )
    if not fits:
        do = "Export the project in the format JSON (JSON-MIN and CSV leave out what is needed)."
        raise MashqError(
            expected_got("Label Studio export", "a list of tasks with data and annotations", "another shape", do)
        )
    return list(exported)


def _in_time(annotations: Iterable[Mapping[str, Any]], where: str) -> list[Mapping[str, Any]]:
    """Those that were not skipped, the oldest first."""
    kept = [one for one in annotations if not one.get("was_cancelled")]
    return sorted(kept, key=lambda one: _when(one, where))


def _when(annotation: Mapping[str, Any], where: str) -> int:
    """When it was made, in microseconds."""
    text = annotation.get("updated_at") or annotation.get("created_at")
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError as error:
        raise MashqError(expected_got(f"{where}: created_at", "a time in ISO 8601", repr(text)[:80])) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _rater(annotation: Mapping[str, Any], raters: Mapping[Any, str], where: str) -> str:
    by = annotation.get("completed_by")
    if ours := _meta(annotation).get("rater"):
        return str(ours)
    keys = [by.get(key) for key in ("email", "id")] if isinstance(by, Mapping) else [by]
    keys = [key for key in keys if isinstance(key, (str, int)) and key != ""]
    if not keys:
        raise MashqError(expected_got(f"{where}: completed_by", "who made the annotation", repr(by)[:80]))
    return next((raters[key] for key in keys if key in raters), str(keys[0]))


def _rows(
    study: Study,
    item: Item,
    key: str,
    rater: str,
    annotation: Mapping[str, Any],
    values: dict[str, Any],
    where: str,
) -> Iterator[dict[str, Any]]:
    meta = _meta(annotation)
    said: dict[str, Any] = {"note": values.pop("note", "")}
    rated = {name.removeprefix(CRITERION): value for name, value in values.items() if name.startswith(CRITERION)}
    if item.kind == "check":
        said |= {name: values[name] for name in ("verdict", "text") if name in values}
    else:
        said["scores" if item.kind == "absolute" else "prefer"] = rated
    try:
        answer = checked(item, [one.name for one in study.criteria], said)
        seconds = spent(annotation.get("lead_time") or 0.0)
    except MashqError as error:
        raise MashqError(f"{where}: {error}") from error
    turn = dealing.flipped(study, EVERYONE, item, key)
    answer = turned(answer) if turn else answer
    dialect, withdrawn = str(meta.get("dialect", "")), meta.get("withdrawn") is True
    when = _when(annotation, where)
    for row in answer_rows(
        study, rater, item, answer, dialect=dialect, withdrawn=withdrawn, seconds=seconds, when=when
    ):
        side = str(meta.get("side", "")) or ("second" if turn else "first")
        yield {**row, "side": side if item.kind == "pairwise" else ""}


def _meta(annotation: Mapping[str, Any]) -> Mapping[str, Any]:
    """What mashq itself wrote beside the results; empty for an annotation that was made in Label Studio."""
    results = annotation.get("result")
    found = (one.get("meta") for one in results if isinstance(one, Mapping)) if isinstance(results, list) else ()
    return next((meta for meta in found if isinstance(meta, Mapping)), {})


def _values(annotation: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Control -> its value."""
    values: dict[str, Any] = {}
    results = annotation.get("result")
    for one in results if isinstance(results, list) else ():
        kind = one.get("type") if isinstance(one, Mapping) else None
        found = one.get("value") if isinstance(one, Mapping) else None
        if not isinstance(kind, str) or kind not in KEYS or not isinstance(found, Mapping) or KEYS[kind] not in found:
            raise MashqError(expected_got(f"{where}: result", f"one of {', '.join(KEYS)}", repr(kind)[:80]))
        value = found[KEYS[kind]]
        if kind == "rating" and isinstance(value, float) and value.is_integer():  # some exports write 4 as 4.0
            value = int(value)
        values[str(one.get("from_name"))] = value[0] if isinstance(value, list) and len(value) == 1 else value
    return values


KEYS = {"rating": "rating", "choices": "choices", "textarea": "text"}  # type of a result -> where its value stands
