"""Settings of a recipe: frozen dataclasses whose fields carry a comment, changed by `--set` and `--config`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from mashq.rows import MashqError, nearest

__all__ = ["builtins", "check_limits", "describe", "override", "read_config", "taken"]

S = TypeVar("S")


def builtins(settings: Any) -> Any:
    """Settings -> plain JSON values, which is what a fingerprint and a manifest hold."""
    return msgspec.to_builtins(settings, enc_hook=_refuse)


def _refuse(value: object) -> Any:
    raise MashqError(
        f"settings hold {value!r} ({type(value).__name__}): expected plain values; a path belongs in a step's files."
    )


def describe(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted name, value, what it means) of every setting; the meaning is the comment behind the field."""
    meanings = _comments(type(settings))
    for field in dataclasses.fields(settings):
        name, value = prefix + field.name, getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from describe(value, name + ".")
        else:
            yield name, value, meanings.get(field.name, "")


def _comments(kind: type) -> dict[str, str]:
    """Field -> the comment on the line where it is declared."""
    lines = inspect.getsource(kind).splitlines()
    found = (re.match(r"\s+(\w+)\s*:.*?#\s*(.+)$", line) for line in lines)
    return {match[1]: match[2].strip() for match in found if match}


def read_config(path: Path) -> dict[str, Any]:
    """A YAML file of settings, nested or by dotted names, as it is; `override` puts it in."""
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MashqError(f"--config: there is no file {path}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MashqError(f"--config {path}: not readable as YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise MashqError(f"--config {path}: expected names and values, got {type(loaded).__name__}.")
    return loaded


def _flatten(tree: Mapping[str, Any], known: Collection[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested names -> dotted ones; what stands below a setting that is itself a mapping, as `students`, stays whole."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" not in known:
            yield from _flatten(value, known, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def override(settings: S, assignments: Sequence[str] = (), config: Mapping[str, Any] | None = None) -> S:
    """The settings with the config's values and then the assignments `name=value` put in.

    A value is read as YAML (`3`, `true`, `[a, b]`, `null`) and must fit the field's type. All faults are collected and
    raised at once; an unknown name lists the known ones with the nearest.
    """
    known = {name: value for name, value, _ in describe(settings)}
    changes = dict(_flatten(config or {}, known))
    faults = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            faults.append(f"--set {assignment}: expected name=value, got no '='.")
            continue
        try:
            changes[name.strip()] = yaml.safe_load(text) if text.strip() else text
        except yaml.YAMLError:
            changes[name.strip()] = text
    for name in changes:
        if name not in known:
            faults.append(f"unknown setting '{name}'.{nearest(name, known)} Known: {', '.join(known)}.")
    tree = builtins(settings)
    for name, value in changes.items():
        if name in known:
            fault = _put(tree, name, value, type(settings))
            faults += [fault] if fault else []
    if faults:
        raise MashqError("\n".join(faults))
    return msgspec.convert(tree, type(settings))


def _put(tree: dict[str, Any], name: str, value: Any, kind: type) -> str | None:
    """Put one value into the tree; the fault, where the value does not fit."""
    *folders, leaf = name.split(".")
    node = tree
    for folder in folders:
        node = node[folder]
    before, node[leaf] = node[leaf], value
    try:
        msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        node[leaf] = before
        expected = str(error).split(" - at")[0]
        now = json.dumps(before, ensure_ascii=False)
        return f"--set {name}={value}: {expected[0].lower() + expected[1:]}. It is now {now}."
    return None


def taken(what: str, make: Callable[..., Any], settings: dict[str, Any], apart: Sequence[str] = ()) -> dict[str, Any]:
    """The settings themselves, where `make` takes each by keyword; those named in `apart` are the caller's to give.

    Raises MashqError for any other, with the nearest.
    """
    parameters = inspect.signature(make).parameters.values()
    keywords = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    known = [name for name in keywords if name not in apart]
    for name in settings:
        if name not in known:
            has = ", ".join(known) or "none"
            raise MashqError(f"{what} has no setting '{name}' (it has {has}).{nearest(name, known)}")
    return settings


def check_limits(what: str, settings: object, limits: Mapping[str, tuple[bool, str]]) -> None:
    """Raises MashqError that names every setting whose value is wrong; `limits`: name -> (is it right, what it is)."""
    wrong = [f"{name} is {wanted}, got {getattr(settings, name)!r}" for name, (ok, wanted) in limits.items() if not ok]
    if wrong:
        raise MashqError(f"{what}: {'; '.join(wrong)}.")
