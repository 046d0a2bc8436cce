"""Template files: our one-file-per-data-set YAML, PromptSource's `templates.yaml`, and the library that ships.

Our file has two keys. `dataset` says what is known about the data (`name`, `licence`, `fields` …), `templates` holds
one entry per name, with `prompt` and `target` and whatever else `KEYS` lists. A file's faults are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mashq.rows import MashqError, nearest
from mashq.templates import promptsource
from mashq.templates.rendering import check
from mashq.templates.template import MOST_SHOTS, SCALARS, Dataset, Template, Turn

__all__ = ["DATASET_KEYS", "KEYS", "library", "library_file", "library_names", "load", "read_file"]

DATASET_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "address": str,
    "licence": str,
    "citation": str,
    "shape": str,
    "fields": dict,
    "schema": str,
    "splits": dict,
    "size": str,
    "sample": list,
    "language": str,
    "variety": str,
    "domain": str,
    "notes": str,
    "tasks": list,
    "accepted": dict,
}
KEYS: dict[str, type | tuple[type, ...]] = {
    "task": str,
    "variety": str,
    "language": str,
    "metrics": list,
    "when": str,
    "system": str,
    "turns": list,
    "shots": int,
    "prompt": str,
    "target": str,
    "targets": list,
    "choices": (str, list),
    "choices_in_prompt": bool,
    "original_task": bool,
    "reference": str,
    "notes": str,
    "accepted": dict,
}
FILE_BYTES = 10_000_000  # a template file is text that people write; PromptSource's largest has 100 KB
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """YAML's safe loader: the two tags of PromptSource are plain records, no merge keys, no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key_node.start_mark)
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))

    def flatten_mapping(self, node: Any) -> None:
        """Merge keys are refused above: they can grow a small file without end."""


_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))
for _tag in promptsource.TAGS:
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_mapping(node, deep=True))


def load(path: Path | str) -> tuple[Template, ...]:
    """The templates of one file, or of every `*.yaml` under a folder, in the order of their paths; each one compiled.

    Raises MashqError that names the file and every fault in it: unknown keys with the nearest known one, wrong types,
    Jinja that does not parse, fields that the data set does not have.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml") and file.is_file())
        if not files:
            raise MashqError(f"{path}: expected template files (*.yaml) in this folder, got none.")
        templates = tuple(template for file in files for template in load(file))
        _all_different(templates, path)
        return templates
    templates, faults = read_file(path)
    faults += list(_check_all(templates))
    if faults:
        raise MashqError("\n".join(faults))
    return templates


def read_file(path: Path) -> tuple[tuple[Template, ...], list[str]]:
    """The templates of one file that could be read, not compiled yet, and every fault of the others.

    Raises MashqError for a file that is none of templates.
    """
    content = _content(path)
    if promptsource.is_promptsource(content):
        return promptsource.templates_of(content, str(path)), []
    faults: list[str] = []
    return _templates_of(content, path, faults), faults


def library_file(name: str) -> Path:
    """The library's file for one data set. Raises MashqError with the known names for an unknown one."""
    known = library_names()
    if name not in known:
        raise MashqError(f"no templates for '{name}' in the library ({', '.join(known)}).{nearest(name, known)}")
    return Path(str(_library() / f"{name}.yaml"))


def library_names() -> tuple[str, ...]:
    """The data sets that the library has templates for: `arcd`, `xquad_ar` …"""
    return tuple(sorted(Path(entry.name).stem for entry in _library().iterdir() if entry.name.endswith(".yaml")))


@cache
def library(name: str) -> tuple[Template, ...]:
    """The library's templates for one data set. Raises MashqError with the known names for an unknown one.

    They are checked by the tests (`load` and `mashq lint` on every file), and compiled when they are first used.
    """
    templates, faults = read_file(library_file(name))
    if faults:
        raise MashqError("\n".join(faults))
    return templates


def _library() -> Any:
    return resources.files("mashq.templates") / "library"


def _content(path: Path) -> Any:
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MashqError(f"{path}: no such template file or folder.{nearest(path.name, beside)}")
    if path.stat().st_size > FILE_BYTES:
        raise MashqError(f"{path}: {path.stat().st_size:,} bytes; a template file has at most {FILE_BYTES:,}.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MashqError(
            f"{path}: expected UTF-8, got other bytes at byte {error.start:,}. Save it as UTF-8."
        ) from error
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise MashqError(f"{path}: no YAML that mashq reads: {_where(error)}") from error
    except RecursionError as error:
        raise MashqError(f"{path}: nested too deeply.") from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark else ""
    return f"{line}{getattr(error, 'problem', None) or error}."


def _check_all(templates: Sequence[Template]) -> Iterator[str]:
    for template in templates:
        try:
            check(template)
        except MashqError as error:
            yield str(error)


def _all_different(templates: Sequence[Template], path: Path) -> None:
    seen: dict[str, str] = {}
    for template in templates:
        if template.name in seen:
            raise MashqError(
                f"{path}: two templates are named '{template.name}', in {seen[template.name]} and {template.path}. "
                "The name is part of every row id made with it; give one of the data sets another name."
            )
        seen[template.name] = template.path


# --- our own format --------------------------------------------------------------------------------------------------


def _templates_of(content: Any, path: Path, faults: list[str]) -> tuple[Template, ...]:
    if (
        not isinstance(content, Mapping)
        or not isinstance(content.get("templates"), Mapping)
        or not content["templates"]
    ):
        raise MashqError(
            f"{path}: expected a record with the keys 'dataset' and 'templates', and at least one template, "
            f"got {_kind(content)}. `mashq new template NAME` writes a file to start from."
        )
    _known(content, {"dataset": (dict,), "templates": (dict,)}, str(path), faults)
    dataset = _dataset(content.get("dataset") or {}, path, faults)
    made = (_template(str(name), entry, dataset, path, faults) for name, entry in content["templates"].items())
    return tuple(template for template in made if template is not None)


def _kind(value: Any) -> str:
    names = {dict: "a record", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _known(entry: Mapping[Any, Any], keys: Mapping[str, Any], where: str, faults: list[str]) -> None:
    """Every key is known and holds its type."""
    for key, value in entry.items():
        if key not in keys:
            faults.append(f"{where}: unknown key '{key}' ({', '.join(keys)}).{nearest(str(key), keys)}")
        elif not isinstance(value, keys[key]) or (keys[key] is int and isinstance(value, bool)):
            kinds = keys[key] if isinstance(keys[key], tuple) else (keys[key],)
            expected = " or ".join(_kind(kind()) for kind in kinds)
            quote = " Put quotes around it." if kinds == (str,) and not isinstance(value, (dict, list)) else ""
            faults.append(f"{where}: '{key}': expected {expected}, got {_kind(value)} ({value!r:.60}).{quote}")


def _dataset(entry: Mapping[str, Any], path: Path, faults: list[str]) -> Dataset:
    where = f"{path}: dataset"
    before = len(faults)
    _known(entry, DATASET_KEYS, where, faults)
    fields = entry.get("fields", {})
    faults += [f"{where}: {fault}" for fault in _field_faults(fields, "fields")]
    for name, rows in (entry["splits"] if isinstance(entry.get("splits"), Mapping) else {}).items():
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0:
            faults.append(
                f"{where}: splits.{name}: expected a number of rows, got {rows!r:.60}. Leave unknown ones out."
            )
    if len(faults) == before:
        for i, record in enumerate(entry.get("sample", [])):
            faults += [f"{where}: {fault}" for fault in _value_faults(record, fields, f"sample[{i}]")]
    kept: dict[str, Any] = {"name": path.stem, **entry}
    if len(faults) > before:  # reported, and nothing is made of it
        kept = {"name": str(kept["name"])}
    stripped: dict[str, Any] = {key: text.strip() if isinstance(text, str) else text for key, text in kept.items()}
    for key in ("sample", "tasks"):
        stripped[key] = tuple(stripped.get(key, ()))
    return Dataset(**stripped)


def _field_faults(kind: Any, at: str) -> Iterator[str]:
    if isinstance(kind, Mapping):
        for name, inner in kind.items():
            yield from _field_faults(inner, f"{at}.{name}")
    elif isinstance(kind, list):
        if len(kind) != 1:
            yield f"'{at}': a list of one type is written [type], got {kind!r}."
        else:
            yield from _field_faults(kind[0], f"{at}[]")
    elif kind not in SCALARS:
        yield f"'{at}': unknown type {kind!r} ({', '.join(SCALARS)}).{nearest(str(kind), SCALARS)}"


_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "float": (int, float), "boolean": (bool,)}


def _value_faults(value: Any, kind: Any, at: str) -> Iterator[str]:
    """Where a sample row is not of the types in `fields`; null fits every type."""
    if value is None or kind == "any":
        return
    if isinstance(kind, Mapping):
        if not isinstance(value, Mapping):
            yield f"'{at}': expected a record, got {_kind(value)} ({value!r:.60})."
            return
        for name in dict.fromkeys([*kind, *value]):
            if name not in kind:
                yield f"'{at}': has the field '{name}', which 'fields' has not.{nearest(str(name), kind)}"
            elif name not in value:
                yield f"'{at}': the field '{name}' is missing; write null where it is empty."
            else:
                yield from _value_faults(value[name], kind[name], f"{at}.{name}")
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"'{at}': expected a list, got {_kind(value)} ({value!r:.60})."
            return
        for i, item in enumerate(value):
            yield from _value_faults(item, kind[0], f"{at}[{i}]")
    elif not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"'{at}': expected {kind}, got {_kind(value)} ({value!r:.60})."


def _template(name: str, entry: Any, dataset: Dataset, path: Path, faults: list[str]) -> Template | None:
    where = f"{path}: template '{dataset.name}/{name}'"
    if not isinstance(entry, Mapping):
        faults.append(f"{where}: expected a record with 'prompt' and 'target', got {_kind(entry)}.")
        return None
    before = len(faults)
    _known(entry, KEYS, where, faults)
    targets = _targets(entry, where, faults)
    turns = _turns(entry.get("turns", []), where, faults)
    shots = entry.get("shots", 0)
    if isinstance(shots, int) and not 0 <= shots <= MOST_SHOTS:
        faults.append(f"{where}: 'shots': expected 0 to {MOST_SHOTS} examples, got {shots}.")
    for key in ("targets", "metrics", "choices"):
        value = entry.get(key)
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            faults.append(f"{where}: '{key}' is a list of texts, got {value!r:.80}. Put quotes around each.")
    if len(faults) > before:
        return None
    choices = entry.get("choices")
    kept = {key: entry[key] for key in KEYS if key in entry and key not in ("target", "targets", "turns", "choices")}
    return Template(
        name=f"{dataset.name}/{name}",
        dataset=dataset,
        **{"language": dataset.language or None, **kept, "metrics": tuple(kept.get("metrics", ()))},
        targets=targets,
        turns=turns,
        choices=" ||| ".join(choices) if isinstance(choices, list) else choices,
        path=str(path),
    )


def _targets(entry: Mapping[str, Any], where: str, faults: list[str]) -> tuple[str, ...]:
    """`target`, `targets` or what follows `|||` in the prompt: exactly one of them."""
    if not isinstance(entry.get("prompt"), str):
        if "prompt" not in entry:
            faults.append(f"{where}: 'prompt' is missing.")
        return ()
    ways = [key for key in ("target", "targets") if key in entry] + ["|||"] * ("|||" in entry["prompt"])
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        faults.append(f"{where}: expected one of 'target', 'targets', or a ||| in the prompt, got {got}.")
        return ()
    if ways == ["|||"]:
        return ()
    return tuple(entry["targets"]) if ways == ["targets"] and isinstance(entry["targets"], list) else (entry[ways[0]],)


def _turns(entries: Any, where: str, faults: list[str]) -> tuple[Turn, ...]:
    """`- user: …` and `- assistant: …` in turn, ending with the assistant: the prompt is the user's next turn."""
    turns: list[Turn] = []
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        role = ("user", "assistant")[i % 2]
        if not (isinstance(entry, Mapping) and list(entry) == [role] and isinstance(entry[role], str)):
            faults.append(f"{where}: turns[{i}]: expected `{role}: text`, got {entry!r:.80}.")
            return ()
        turns.append(Turn(role, entry[role]))
    if len(turns) % 2:
        faults.append(f"{where}: turns end with the user; expected the assistant's answer last, the prompt comes next.")
    return tuple(turns)
