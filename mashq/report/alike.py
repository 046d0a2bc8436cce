"""What an evaluation was made from, step by step, and in what two such makings differ besides the training seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.record import Run, Step
from mashq.rows import MashqError

__all__ = ["Making", "differences", "making"]

SEED = "settings.train.seed"  # of a step that trains; it alone may differ between runs that are put together
ABSENT = "\N{EN DASH}"


@dataclass(frozen=True)
class Making:
    """Every step behind an evaluation, the evaluation among them, without the seeds of the trainings."""

    steps: dict[str, dict[str, str]]  # step -> dotted name of a setting, input, file or identity -> its value
    seeds: dict[str, int]  # training step -> its seed
    code: dict[str, str]  # package or module that a training ran with -> its version or hash

    @property
    def seed(self) -> str:
        """The seeds of its trainings in one text: `1`, or `0/1` where they differ."""
        return "/".join(str(one) for one in sorted(set(self.seeds.values())))


def making(run: Run, evaluation: Step) -> Making:
    """What stands behind an evaluation of a run: read from its manifest and those of the steps before it.

    An input that is no step of the record, and of which no manifest lies beside them, stands as its fingerprint.
    Raises MashqError for a manifest that is no JSON.
    """
    steps: dict[str, dict[str, str]] = {}
    seeds: dict[str, int] = {}
    code: dict[str, str] = {}
    known = {step.fingerprint: (step.name, step.manifest) for step in run.steps}
    labels: dict[str, str] = {}  # fingerprint -> the step's name, with a number where another has the same

    def label(fingerprint: str, name: str) -> str:
        taken = sum(one.partition("#")[0] == name for one in labels.values())
        return labels.setdefault(fingerprint, f"{name}#{taken + 1}" if taken else name)

    waiting = [(label(evaluation.fingerprint, evaluation.name), evaluation.manifest)]
    while waiting:
        name, manifest = waiting.pop()
        inputs = {}
        for role, fingerprint in sorted((manifest.get("inputs") or {}).items()):
            found = known.get(str(fingerprint)) or _beside(evaluation.folder.parent, str(fingerprint))
            seen = str(fingerprint) in labels
            inputs[role] = label(str(fingerprint), found[0]) if found else str(fingerprint)
            waiting += [(inputs[role], found[1])] if found and not seen else []
        steps[name] = _own(manifest, inputs)
        if manifest.get("produces") == "model" and SEED in steps[name]:
            seeds[name] = int(steps[name].pop(SEED))
            code |= {**(manifest.get("packages") or {}), **((manifest.get("code") or {}).get("modules") or {})}
    return Making(steps, seeds, code)


def _own(manifest: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, str]:
    told = {key: manifest.get(key) or {} for key in ("settings", "identity", "files")}
    return dict(_leaves({"version": manifest.get("version"), "inputs": inputs, **told}))


def _beside(folder: Path, fingerprint: str) -> tuple[str, dict[str, Any]] | None:
    """Name and manifest of a step that the record does not list, where it lies beside those that it lists."""
    for path in sorted(folder.glob(f"*@{fingerprint}/manifest.json")):
        try:
            return path.parent.name.partition("@")[0], json.loads(path.read_text("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise MashqError(f"report: {path}: expected a step's manifest in JSON, got {error}.") from error
    return None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value in whole): unlike what a page shows, no value is cut, for a difference may stand behind."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def differences(one: Making, other: Making) -> list[dict[str, Any]]:
    """Every setting, input, file or identity in which two makings differ: `step`, `name`, `values` (of both).

    A step that one of them lacks is one difference, without a name.
    """
    found: list[dict[str, Any]] = []
    for step in dict.fromkeys([*one.steps, *other.steps]):
        a, b = one.steps.get(step), other.steps.get(step)
        if a is None or b is None:
            found.append(
                {"step": step, "name": "", "values": [ABSENT if a is None else step, ABSENT if b is None else step]}
            )
            continue
        names: Sequence[str] = list(dict.fromkeys([*a, *b]))
        found += [
            {"step": step, "name": name.removeprefix("settings."), "values": [a.get(name, ABSENT), b.get(name, ABSENT)]}
            for name in names
            if a.get(name) != b.get(name)
        ]
    return found
