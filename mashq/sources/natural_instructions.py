"""Super-NaturalInstructions: a JSON file a task, with its definition, examples and instances (Wang et al. 2022)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mashq.licences import named
from mashq.rows import MashqError, expected_got
from mashq.sources.files import read_whole
from mashq.sources.json_document import decoded
from mashq.sources.jsonl import decode, kind_of, undecoded
from mashq.sources.settings import Fault, Record, SourceSettings, Told, Where

__all__ = [
    "EXAMPLES", "examples_shown", "faults_of", "first_text", "licence_of", "prompt", "records", "task_name", "texts_of",
]  # fmt: skip

TEXTS = ("Categories", "Input_language", "Output_language", "Instruction_language", "Instance License", "License")
EXAMPLES = ("Positive Examples", "Negative Examples")
LABELS = {"Arabic": ("المدخل", "المخرج")}  # of examples inside a prompt: Instruction_language -> input, output
OTHER_LABELS = ("Input", "Output")
UNSAID = frozenset({"", "unknown", "none", "n/a", "unspecified", "not specified"})


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Told | Fault]]:
    """One row an instance: the definition and the input as the user's turn, the outputs as references.

    The first definition is the one asked with, as its authors do. `settings.examples` positive examples go before the
    input, never one with the same input. The task is the first category, the template the file's name, the group the
    task and its input; the licence is the one that the file states. `meta` keeps all else that the file says: `id`,
    `input`, further fields of the instance in `more`, every field of the task in `about`, how examples were shown.

    Raises MashqError that names every field of the file that is absent or of another type, and where no instance is.
    """
    about, instances = _parsed(path, settings)
    _check(path, about, instances)
    assert isinstance(instances, list)
    told = {"task": first_text(about, "Categories"), "template": task_name(path)}
    licence = licence_of(about)
    if licence:
        told["licence"] = licence
    shown = {"examples": settings.examples, "examples_as": settings.examples_as} if settings.examples else {}
    for number, item in enumerate(instances, 1):
        where = f"instance {number}"
        instance = _instance(where, item)
        if isinstance(instance, Fault):
            yield where, instance
            continue
        text, outputs = instance["input"], instance["output"]
        more = {name: value for name, value in instance.items() if name not in ("id", "input", "output")}
        meta = {"id": instance.get("id"), "input": text, "more": more, **shown, "about": about}
        kept = {name: value for name, value in meta.items() if value not in (None, {})}
        key = f"{told['template']}:{meta['id']}" if isinstance(meta["id"], (str, int)) and meta["id"] != "" else None
        yield (
            where,
            Told(
                kept,
                {
                    **told,
                    "group": f"{told['template']}:{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}",
                    "messages": prompt(about, text, settings.examples, settings.examples_as),
                    "references": [outputs] if isinstance(outputs, str) else outputs,
                },
                key,
            ),
        )


def task_name(path: Path) -> str:
    """The name of a task: its file's, without the endings."""
    return re.sub(r"\.json(\.gz)?$", "", path.name, flags=re.IGNORECASE) or path.name


# --- what a task says ------------------------------------------------------------------------------------------------


def texts_of(about: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a field, which may be one text, a list, null or absent."""
    value = about.get(name)
    return [value] if isinstance(value, str) else list(value or [])


def first_text(about: Mapping[str, Any], name: str) -> str | None:
    """The first text of a field, without white space around it; None where there is none."""
    return next((text.strip() for text in texts_of(about, name) if text.strip()), None)


def licence_of(about: Mapping[str, Any]) -> str | None:
    """What the file says of its licence, as SPDX where that can be told; None where it says nothing or unknown."""
    said = [*texts_of(about, "Instance License"), *texts_of(about, "License")]
    names = dict.fromkeys(named(text) or text.strip() for text in said if text.strip().lower() not in UNSAID)
    return " AND ".join(names) or None


def prompt(about: Mapping[str, Any], text: str, examples: int = 0, examples_as: str = "turns") -> list[dict[str, str]]:
    """The turns that ask for the output of `text`: the definition, positive examples, the input."""
    definition = first_text(about, "Definition") or ""
    shown = [(one["input"], _answer(one)) for one in examples_shown(about, text, examples)]
    if examples_as == "prompt" and shown:
        into, out = LABELS.get(first_text(about, "Instruction_language") or "", OTHER_LABELS)
        pieces = [f"{into}: {asked}\n{out}: {answer}" for asked, answer in shown] + [f"{into}: {text}\n{out}:"]
        return [_turn("user", _joined(definition, *pieces))]
    asked = [one for one, _ in shown] + [text]
    asked[0] = _joined(definition, asked[0])
    turns = [_turn("user", asked[0])]
    for (_, answer), following in zip(shown, asked[1:], strict=True):
        turns += [_turn("assistant", answer), _turn("user", following)]
    return turns


def examples_shown(about: Mapping[str, Any], text: str, examples: int) -> list[Mapping[str, Any]]:
    """The positive examples before the input `text`: the first ones, never one with the same input."""
    return [one for one in about.get("Positive Examples") or [] if one["input"] != text][:examples]


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _answer(example: Mapping[str, Any]) -> str:
    output = example["output"]
    return output if isinstance(output, str) else output[0]


# --- reading and checking --------------------------------------------------------------------------------------------


def _parsed(path: Path, settings: SourceSettings) -> tuple[dict[str, Any], Any]:
    """(every field but the instances, the instances: each still undecoded where the file allows it)."""
    data = read_whole(path, settings)
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        instances = msgspec.json.decode(fields.pop("Instances"), type=list[msgspec.Raw])
        return {name: decode(bytes(value)) for name, value in fields.items()}, instances
    except (ValueError, KeyError, RecursionError):  # NaN, no instances, or no JSON: the whole decoder tells which
        value = decoded(path, data)
    if not isinstance(value, dict):
        raise MashqError(expected_got(str(path), "an object with Definition and Instances", kind_of(value), _DO))
    return value, value.pop("Instances", None)


_DO = "Super-NaturalInstructions has one task a file."


def faults_of(about: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(field, expected, got) of every field of a task that is absent or of another type."""
    faults = []
    definition = about.get("Definition")
    if definition is None:
        faults.append(("Definition", "text or a list of texts", f"no such field ({', '.join(about)})"))
    elif definition == [] or not _is_texts(definition):
        faults.append(("Definition", "text or a list of texts", _got(definition)))
    faults += [
        (name, "text or a list of texts", _got(about[name]))
        for name in TEXTS
        if name in about and about[name] is not None and not _is_texts(about[name])
    ]
    return [*faults, *(fault for name in EXAMPLES for fault in _example_faults(name, about.get(name)))]


def _check(path: Path, about: Mapping[str, Any], instances: Any) -> None:
    """Raise MashqError with every fault of the task's own fields."""
    faults = faults_of(about)
    if not isinstance(instances, list):
        faults.append(("Instances", "a list of objects", "no such field" if instances is None else kind_of(instances)))
    elif not instances:
        faults.append(("Instances", "at least one instance", "an empty array"))
    if faults:
        raise MashqError("\n".join(expected_got(f"{path}: '{name}'", wanted, got) for name, wanted, got in faults))


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _got(value: Any) -> str:
    if not isinstance(value, list):
        return kind_of(value)
    other = next((kind_of(one) for one in value if not isinstance(one, str)), None)
    return f"an array with {other}" if other else "an empty array"


def _example_faults(name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """Examples are objects with an input and an output, of which a list counts by its first."""
    if value is None:
        return
    if not isinstance(value, list):
        yield name, "a list of objects", kind_of(value)
        return
    for number, one in enumerate(value, 1):
        place = f"{name}, example {number}"
        if not isinstance(one, dict):
            yield place, "an object", kind_of(one)
        elif not isinstance(one.get("input"), str):
            yield place, "a text 'input'", kind_of(one["input"]) if "input" in one else "none"
        elif not _is_texts(one.get("output")) or one["output"] == []:
            yield place, "a text 'output'", kind_of(one["output"]) if "output" in one else "none"


def _instance(where: str, item: Any) -> dict[str, Any] | Fault:
    """An instance with an input and at least one output, or why it is none."""
    if isinstance(item, msgspec.Raw):
        data = bytes(item)
        try:
            item = decode(data)
        except (ValueError, RecursionError) as error:
            return undecoded(where, data, error)
    if not isinstance(item, dict):
        return Fault(
            f"wrong type: {where}: expected an object, got {kind_of(item)}", msgspec.json.encode(item).decode()
        )
    reason = _why_not(where, item)
    return Fault(reason, record=item) if reason else item


def _why_not(where: str, item: Mapping[str, Any]) -> str | None:
    for name in ("input", "output"):
        if name not in item:
            return f"missing field: {where} has no '{name}'"
    if not isinstance(item["input"], str):
        return f"wrong type: {where}: 'input' is {kind_of(item['input'])}, expected text"
    if not item["input"].strip():
        return f"empty input: {where}"
    outputs = [item["output"]] if isinstance(item["output"], str) else item["output"]
    if not isinstance(outputs, list):
        return f"wrong type: {where}: 'output' is {kind_of(outputs)}, expected text or a list of texts"
    for number, output in enumerate(outputs, 1):
        if not isinstance(output, str):
            return f"wrong type: {where}: output {number} is {kind_of(output)}, expected text"
        if not output.strip():
            return f"empty output: {where}: output {number}"
    return None if outputs else f"empty output: {where} has none"
