"""The folder of a training or of a merged model, read back: its card, its weights, the steps before it.

Where the folder lies among the steps of a run, the steps that its rows went through are found by their fingerprints,
and so are the evaluations that asked it. A folder that was moved away has its card alone, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashq.record import steps_named
from mashq.rows import MashqError, expected_got

__all__ = ["Before", "Trained", "named", "read", "steps_before"]


@dataclass(frozen=True)
class Before:
    """A step that the training's rows went through, as its manifest tells."""

    name: str
    fingerprint: str
    counts: Mapping[str, int]
    licences: Mapping[str, int]
    models: Sequence[Mapping[str, Any]] = ()  # that wrote, translated or judged: name, licence, role
    notices: Sequence[str] = ()  # what must be said of the rows
    private: bool = False  # its rows may name people
    near: bool = False  # its rows were learnt as they are


@dataclass(frozen=True)
class Trained:
    """A model or adapter on disk. `kind` is "adapter" (PEFT files in `weights`), "model" or "merged"."""

    folder: Path
    kind: str
    weights: Path
    card: Mapping[str, Any] = field(repr=False)

    @property
    def base(self) -> str:
        """What the model was trained from, as the training named it."""
        return str(self.card["settings"]["model"])

    @property
    def frame(self) -> str:
        """The chat frame of the training."""
        return str(self.card["frame"])


def read(folder: Path) -> Trained:
    """What `train` left, or what `merged` made of it. Raises MashqError for any other folder."""
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text("utf-8"))
        settings, frame, base = card["settings"], card["frame"], card["base"]
    except FileNotFoundError as error:
        raise MashqError(
            expected_got(f"ship: {folder}", "the folder of a finished training (card.json)", _what_is_there(folder))
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise MashqError(
            expected_got(f"ship: {path}", "the card of a training", f"something else ({error})")
        ) from error
    if not (isinstance(settings, dict) and isinstance(frame, str) and isinstance(base, dict) and "model" in settings):
        raise MashqError(expected_got(f"ship: {path}", "the card of a training", "one without settings or base"))
    for kind, place, needed in (
        ("adapter", folder / "adapter", "adapter_config.json"),
        ("model", folder / "model", "config.json"),
        ("merged", folder, "config.json"),
    ):
        if (place / needed).is_file():
            return Trained(folder, kind, place, card)
    raise MashqError(
        expected_got(f"ship: {folder}", "adapter/, model/ or config.json", _what_is_there(folder), "Is it finished?")
    )


def _what_is_there(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    return (", ".join(names[:8]) + (" …" if len(names) > 8 else "")) or "an empty folder"


def named(runs: Path, name: str) -> Path | None:
    """The folder of a training step by its name (the latest) or NAME@FINGERPRINT; None where `name` is no such step.

    A path of that name goes first.
    """
    if not name or Path(name).expanduser().exists() or set(name) & set("/*?[:"):
        return None
    cards = [one / "card.json" for one in steps_named(runs, name) if (one / "card.json").is_file()]
    return max(cards, key=lambda card: card.stat().st_mtime).parent if cards else None


def steps_before(trained: Trained) -> list[Before]:
    """The steps that the rows went through, the first one first; of a merged model those that its card remembers."""
    if "steps" in trained.card:
        return [Before(**one) for one in trained.card["steps"]]
    found: dict[str, Before] = {}
    manifest = _manifest(trained.folder)
    if manifest:
        stage = [name for name, fingerprint in _inputs(manifest) if name == "after"]
        for name, fingerprint in _inputs(manifest):
            _trace(trained.folder.parent, fingerprint, found, near=name not in stage)
    return list(found.values())


def _trace(steps: Path, fingerprint: str, found: dict[str, Before], near: bool = False) -> None:
    """Add what lies before a step, then the step itself."""
    folder = next(iter(sorted(steps.glob(f"*@{fingerprint}"))), None)
    manifest = _manifest(folder) if folder else {}
    if folder is None or not manifest or fingerprint in found:
        return
    later = manifest.get("produces") == "model"  # an earlier stage: what it learnt was learnt
    for name, before in _inputs(manifest):
        _trace(steps, before, found, near=later and name != "after")
    identity = manifest.get("identity") or {}
    if not later:
        found[fingerprint] = Before(
            name=folder.name.split("@")[0],
            fingerprint=fingerprint,
            counts=dict(manifest.get("counts") or {}),
            licences=dict(manifest.get("licences") or {}),
            models=[one for one in identity.get("models") or [] if one.get("licence")],
            notices=[str(identity["notice"])] if identity.get("notice") else [],
            private=bool(manifest.get("private")),
            near=near,
        )


def _inputs(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(name), str(fingerprint)) for name, fingerprint in (manifest.get("inputs") or {}).items()]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MashqError(expected_got(f"ship: {path}", "a step's manifest", f"something else ({error})")) from error
    return found if isinstance(found, dict) else {}
