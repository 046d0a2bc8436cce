"""Profiles: which rules run, in which order, with which settings, and a hash of all that decides an output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mashq.clean.catalogue import RULES
from mashq.clean.markup import emoji_version
from mashq.clean.rule import DATA, data, data_hash
from mashq.rows import MashqError, nearest

__all__ = ["ON", "VERSION", "Profile", "open_profile"]

VERSION = 3  # of the rules' code: raised when a rule gives another output, so that what was cleaned before is made anew
ON = "on"  # the setting that every rule has: whether it runs


@dataclass(frozen=True)
class Profile:
    """Rules in the order in which they run, each with all its settings; `identity` is equal where every output is."""

    name: str
    rules: tuple[tuple[str, Mapping[str, Any]], ...]
    identity: str  # 16 hexadecimal digits


def open_profile(given: str | Path, changed: Mapping[str, Mapping[str, Any]] | None = None) -> Profile:
    """A profile by name ("social", "minimal", "arabert", "arclean"), or of a YAML file with `rules` and maybe `order`.

    changed: rule -> settings put over the profile's own; a rule that the profile lacks is added at its place in the
    order, `on: false` takes one out. Raises MashqError, with the nearest known name, for an unknown profile, rule or
    setting, and for a value that does not fit.
    """
    name, order, own = _read(given)
    wanted = {rule: dict(settings or {}) for rule, settings in own.items()}
    for rule, settings in (changed or {}).items():
        if not isinstance(settings, Mapping):
            raise MashqError(f"clean: rule '{rule}' is changed by {settings!r}: expected a mapping of its settings.")
        wanted[rule] = wanted.get(rule, {}) | dict(settings)
    faults = [
        fault for rule, settings in wanted.items() for fault in _faults(f"clean: profile '{name}'", rule, settings)
    ]
    if faults:
        raise MashqError("\n".join(faults))
    kept = [rule for rule in order if rule in wanted and wanted[rule].get(ON, True)]
    rules = tuple((rule, MappingProxyType({**RULES[rule].settings, **_without_on(wanted[rule])})) for rule in kept)
    return Profile(name, rules, _identity(rules))


def _without_on(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != ON}


def _read(given: str | Path) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    """(name, order of rules, rule -> settings) of a profile that ships, or of a file."""
    shipped = data("profiles")
    if str(given) in shipped["profiles"]:
        return str(given), shipped["order"], shipped["profiles"][str(given)]
    path = Path(given)
    if path.suffix not in (".yaml", ".yml"):
        known = ", ".join(shipped["profiles"])
        raise MashqError(
            f"clean: there is no profile '{given}' ({known}).{nearest(str(given), shipped['profiles'])} "
            "A profile of your own is a .yaml file."
        )
    loaded = _loaded(path)
    order = loaded.get("order") or _merged(list(loaded["rules"]), shipped["order"])
    _check_order(path, order, loaded["rules"])
    return path.stem, order, loaded["rules"]


def _loaded(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise MashqError(f"clean: cannot read the profile {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MashqError(f"clean: the profile {path} is not readable as YAML: {error}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("rules"), dict):
        raise MashqError(f"clean: the profile {path}: expected 'rules', a mapping of rules to settings.")
    for key in loaded:
        if key not in ("rules", "order"):
            raise MashqError(
                f"clean: the profile {path} has a key '{key}' (rules, order).{nearest(str(key), ['rules', 'order'])}"
            )
    wrong = [rule for rule, settings in loaded["rules"].items() if not isinstance(settings, (dict, type(None)))]
    if wrong:
        raise MashqError(
            f"clean: the profile {path}: rule '{wrong[0]}': expected a mapping of settings, {{}} for none."
        )
    return loaded


def _merged(rules: list[str], order: Sequence[str]) -> Sequence[str]:
    return [*order, *(rule for rule in rules if rule not in order)]  # an unknown one is told later, with the nearest


def _check_order(path: Path, order: Any, rules: Mapping[str, Any]) -> None:
    if not isinstance(order, list) or len(set(map(str, order))) != len(order):
        raise MashqError(f"clean: the profile {path}: 'order' is a list of rules, each once.")
    missing = [str(rule) for rule in rules if rule not in order]
    if missing:
        raise MashqError(f"clean: the profile {path}: 'order' lacks {', '.join(missing)}.")


def _faults(where: str, name: Any, settings: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one rule of a profile."""
    if name not in RULES:
        yield f"{where}: there is no rule '{name}' ({', '.join(RULES)}).{nearest(str(name), RULES)}"
        return
    rule = RULES[name]
    for setting, value in settings.items():
        if setting == ON and not isinstance(value, bool):
            yield f"{where}: {name}.{ON}: expected true or false, got {value!r}."
        elif setting != ON and setting not in rule.settings:
            known = [*rule.settings, ON]
            near = nearest(str(setting), known)
            yield f"{where}: rule '{name}' has no setting '{setting}' ({', '.join(known)}).{near}"
        elif setting != ON:
            yield from _misfit(f"{where}: {name}.{setting}", rule.settings[setting], value, rule.choices.get(setting))


def _misfit(where: str, default: Any, value: Any, choices: Sequence[str] | None) -> Iterator[str]:
    """Why a value does not fit: a choice, a text, a share or measure above 0, or a whole number above 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if choices:
        if value not in choices:
            yield f"{where}: expected {' or '.join(choices)}, got {value!r}.{nearest(str(value), choices)}"
    elif isinstance(default, str):
        if not isinstance(value, str):
            yield f"{where}: expected text, got {value!r}."
    elif isinstance(default, int) and not (number and value == int(value) and value >= 1):
        yield f"{where}: expected a whole number of at least 1, got {value!r}."
    elif isinstance(default, float) and not (number and (0 < value <= 1 or (default >= 1 and 0 < value <= 100))):
        yield f"{where}: expected a number in (0, {1 if default < 1 else 100}], got {value!r}."


def _identity(rules: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A hash of rules, settings, data files, the code's version, and of the names of emoji where they are written."""
    told: list[Any] = [
        VERSION,
        [[name, dict(settings)] for name, settings in rules],
        [data_hash(name) for name in _read_by(rules)],
    ]
    if any(name == "emoji" and settings["do"] == "name" for name, settings in rules):
        told.append(emoji_version())
    return hashlib.blake2b(json.dumps(told, ensure_ascii=False, sort_keys=True).encode(), digest_size=8).hexdigest()


_READERS = {
    "arclean": ("arclean",),
    "letter_pairs": ("mojibake", "layout"),
    "letters": ("layout", "transliterate", "arabizi", "lookalikes"),
    "words": ("spam", "boilerplate"),
}


def _read_by(rules: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The data files that some rule of a profile reads; the order of `profiles.yaml` stands in the rules themselves."""
    names = {name for name, _ in rules}
    return [file for file in DATA if names.intersection(_READERS.get(file, ()))]
