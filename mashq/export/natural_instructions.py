"""Super-NaturalInstructions JSON, one file a task: what was read in that shape is written back, templates become tasks.

A template's prompts are one text each, where this shape wants a definition and an input: the definition is the
paragraphs that all prompts of the task begin with, the input is the rest. Definition, an empty line and input, which
is how `mashq.sources` reads the shape, give the prompt again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from mashq.export.known import Known, file_names, language_name
from mashq.export.survey import reply_of
from mashq.rows import id_hex
from mashq.sources.jsonl import decode
from mashq.sources.natural_instructions import licence_of, prompt

__all__ = ["TaskWriter"]

BUFFER_BYTES = 16 << 20  # of instances that wait in memory; thousands of tasks cannot all be open files


@dataclass
class _Task:
    """One file to be: which rows it is for, and what its fields say."""

    name: str
    split: str
    licence: str | None
    about: Mapping[str, Any] | None  # of a task that was read; None: made of a template's rows
    task: str | None = None
    source: str = ""
    variety: str | None = None  # of Arabic: what was translated is Arabic whatever its templates were written in
    opening: list[str] | None = None  # paragraphs that all prompts so far begin with
    waiting: list[bytes] = field(default_factory=list)


class TaskWriter:
    """Instances are put aside task by task as they come; `close` writes the files."""

    def __init__(self, folder: Path, known: Known | None = None):
        self.folder, self.aside, self.known = folder / "tasks", folder / ".aside", known or Known()
        self.folder.mkdir()
        self.aside.mkdir()
        self._tasks: dict[str, _Task] = {}
        self._waiting_bytes = 0

    def why_not(self, table: pa.Table) -> list[str | None]:
        """Of each row, why it cannot be an instance, or None."""
        columns = (table.column(name).to_pylist() for name in ("messages", "references", "meta"))
        return [_why_not(*row) for row in zip(*columns, strict=True)]

    def write(self, table: pa.Table) -> None:
        """Put the rows aside."""
        for row in table.to_pylist():
            read = _read_from(row["messages"], row["meta"])
            about = read["about"] if read else None
            said = msgspec.json.encode([row["template"], row["split"], row["licence"]]) + _digest(about)
            key = hashlib.blake2b(said, digest_size=16).hexdigest()
            if key not in self._tasks:
                name = row["template"] or row["task"] or row["source"] or "rows"
                self._tasks[key] = _Task(
                    name, row["split"] or "", row["licence"], about, row["task"], row["source"] or "", row["variety"]
                )
            task = self._tasks[key]
            line = _instance(row, read) if read else _text_instance(row, task)
            task.waiting.append(line)
            self._waiting_bytes += len(line)
        if self._waiting_bytes > BUFFER_BYTES:
            self._put_aside()

    def _put_aside(self) -> None:
        for key, task in self._tasks.items():
            if task.waiting:
                with (self.aside / key).open("ab") as file:
                    file.writelines(task.waiting)
                task.waiting = []
        self._waiting_bytes = 0

    def abandon(self) -> None:
        """Nothing is open between two calls."""

    def close(self) -> dict[str, str]:
        """Write a file for each task; split -> the pattern of its files."""
        self._put_aside()
        places = [(key, f"{task.split}/{task.name}") for key, task in self._tasks.items()]
        names = file_names([(key, place, self._tasks[key].licence or "") for key, place in places])
        for key, task in self._tasks.items():
            path = self.folder / task.split / f"{names[key]}.json"
            path.parent.mkdir(exist_ok=True)
            with (self.aside / key).open("rb") as instances, path.open("wb") as file:
                file.writelines(_document(task, instances, self.known))
            (self.aside / key).unlink()
        self.aside.rmdir()
        return {task.split: f"tasks/{task.split}/*.json".replace("//", "/") for task in self._tasks.values()}


# --- one row ---------------------------------------------------------------------------------------------------------


def _why_not(
    messages: Sequence[dict[str, str]] | None, references: Sequence[str] | None, meta: str | None
) -> str | None:
    if not messages:
        return "no messages"
    if not reply_of(messages, references):
        return "no reference"
    roles = [turn["role"] for turn in _asked(messages)]
    if roles in (["user"], ["system", "user"]) or _read_from(messages, meta):
        return None
    return "several turns: an instance has one input"


def _asked(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return list(messages[:-1] if messages[-1]["role"] == "assistant" else messages)


def _read_from(messages: Sequence[dict[str, str]], meta: str | None) -> dict[str, Any] | None:
    """What the reader kept of the instance, where these messages are still those that it made of it."""
    if not meta or '"about":' not in meta:
        return None
    try:
        kept = decode(meta.encode())
        made = prompt(kept["about"], kept["input"], kept.get("examples", 0), kept.get("examples_as", "turns"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None  # an `about` that is none of the reader's
    return kept if made == list(messages) and isinstance(kept.get("more", {}), dict) else None


def _digest(about: Mapping[str, Any] | None) -> bytes:
    if about is None:
        return b""
    try:
        return msgspec.json.encode(about)
    except OverflowError:  # whole numbers beyond 64 bits
        return json.dumps(about, ensure_ascii=False).encode()


def _instance(row: Mapping[str, Any], read: Mapping[str, Any]) -> bytes:
    own = {"id": read["id"]} if "id" in read else {}
    value = {**own, "input": read["input"], "output": _outputs(row), **read.get("more", {})}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"  # whole numbers of any size, which msgspec refuses


def _text_instance(row: Mapping[str, Any], task: _Task) -> bytes:
    """The instance with its whole prompt as input; the task's opening shrinks to what this prompt shares."""
    text = "\n\n".join(turn["content"] for turn in _asked(row["messages"]))
    parts = text.split("\n\n")
    if task.opening is None:
        task.opening = parts[:-1]
    shared = next(
        (place for place, pair in enumerate(zip(task.opening, parts[:-1], strict=False)) if pair[0] != pair[1]),
        min(len(task.opening), len(parts) - 1),
    )
    while shared and not "".join(parts[shared:]).strip():
        shared -= 1  # an instance has an input
    del task.opening[shared:]
    return msgspec.json.encode({"id": id_hex(row["id"]), "input": text, "output": _outputs(row)}) + b"\n"


def _outputs(row: Mapping[str, Any]) -> list[str]:
    messages = row["messages"]
    return [messages[-1]["content"]] if messages[-1]["role"] == "assistant" else row["references"]


# --- one file --------------------------------------------------------------------------------------------------------


def _document(task: _Task, instances: Iterable[bytes], known: Known) -> Iterator[bytes]:
    """The file's bytes: a field a line, an instance a line."""
    definition = "\n\n".join(task.opening or ())
    about = dict(task.about) if task.about is not None else _about(task, definition, known)
    if task.licence != licence_of(about):
        about.pop("License", None)
        about["Instance License"] = [task.licence or "Unknown"]
    yield b"{\n"
    for name, value in about.items():
        yield f" {json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)},\n".encode()
    yield b' "Instances": [\n'
    cut = len(definition) + 2 if definition and task.about is None else 0
    previous = None
    for line in instances:
        if previous is not None:
            yield b"  " + previous + b",\n"
        previous = _cut(line, cut) if cut else line.rstrip(b"\n")
    yield b"  " + (previous or b"") + b"\n ]\n}\n"


def _cut(line: bytes, characters: int) -> bytes:
    instance = msgspec.json.decode(line)
    instance["input"] = instance["input"][characters:]
    encoded: bytes = msgspec.json.encode(instance)
    return encoded


def _about(task: _Task, definition: str, known: Known) -> dict[str, Any]:
    """The fields of a task that a template made. The shape's own order."""
    dataset = known.of(task.name, task.source)
    written = dataset.language if dataset and not task.variety else ""
    language = [language_name(written or "ar")]
    return {
        "Contributors": ["mashq"],
        "Source": [(dataset.title or dataset.name) if dataset else task.source or "unknown"],
        "URL": [dataset.address] if dataset and dataset.address else [],
        "Categories": [task.task] if task.task else [],
        "Reasoning": [],
        "Definition": [definition],
        "Input_language": language,
        "Output_language": language,
        "Instruction_language": language,
        "Domains": [dataset.domain] if dataset and dataset.domain else [],
        "Positive Examples": [],
        "Negative Examples": [],
        "Instance License": [task.licence or "Unknown"],
    }
