"""Which family a model comes from, and the rule that no model judges its own unless it is told to.

Models favour what they or their relatives wrote. A family is told by words in a model's name, in its config.json and
in the base model that its card or adapter names (`mashq/data/judge.yaml`); where none is known, that is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mashq import packaged
from mashq.rows import MashqError

__all__ = ["Kinship", "families_of", "kinship"]

NO_MODEL = ("echo", "scripted")  # specs of `mashq.lm` behind which there are no weights
PREFIXES = ("llamacpp", "transformers")  # of specs that name weights in this process
DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK = ("127.0.0.1", "::1", "0.0.0.0")  # as "localhost"
SMALL_FILES = ("config.json", "model/config.json", "adapter_config.json", "adapter/adapter_config.json", "card.json")


@dataclass(frozen=True)
class Kinship:
    """The families of a judge and of each system that it judges; none where they are not known."""

    judge: tuple[str, ...]
    systems: Mapping[str, tuple[str, ...]]
    own: tuple[str, ...] = ()  # systems of the judge's own family, judged because it was told to

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the scores; nothing where every family is known and another."""
        said = [] if self.judge else ["unknown family: the judge's; it cannot be told whether it judges its own."]
        said += [f"unknown family: of system '{name}'." for name, found in self.systems.items() if not found]
        said += [f"own family: system '{name}' is of the judge's ({', '.join(self.judge)})." for name in self.own]
        return tuple(said)


def families_of(spec: str) -> tuple[str, ...]:
    """The families of a model by its spec in `mashq.lm` or its folder, in order of the alphabet; () for none known."""
    told = " ".join(_told(spec)).lower()
    found = {
        family
        for family, words in packaged.parsed("judge")["families"].items()
        if any(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z])", told) for word in words)
    }
    return tuple(sorted(found))


def kinship(judge: str, systems: Mapping[str, str], *, own_family: bool = False) -> Kinship:
    """The families of a judge's spec and of the specs of what it judges.

    A spec "" is a system whose model is not known. Raises MashqError, naming the systems and the family, where a system
    is of the judge's family or is the judge itself, unless `own_family` allows that.
    """
    own_families = families_of(judge)
    found = {name: families_of(spec) for name, spec in systems.items()}
    near = {name: sorted(set(own_families) & set(several)) for name, several in found.items()}
    own = tuple(name for name, spec in systems.items() if near[name] or (spec and _same(spec, judge)))
    if own and not own_family:
        name = own[0]
        why = f"of its own family, {' and '.join(near[name])}" if near[name] else "the same model"
        others = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
        raise MashqError(
            f"judge '{_shown(judge)}': expected a model of another family than it judges, got system '{name}'{others} "
            f"({_shown(systems[name])}), {why}. Models favour their own: take another judge, "
            "or set own_family (--own-family)."
        )
    return Kinship(own_families, found, own)


def _same(one: str, two: str) -> bool:
    return one.partition(":")[0] not in NO_MODEL and _place(one) == _place(two)


def _place(spec: str) -> tuple[str, ...]:
    """Where a model is: two specs of one place are one model, however they are written."""
    kind, _, rest = spec.partition(":")
    if kind not in ("http", "https"):
        name = rest if kind in PREFIXES and rest else spec
        path = Path(name).expanduser()
        return (str(path.resolve()) if path.exists() else name,)
    try:
        parts = urlsplit(spec)
        port = parts.port or DEFAULT_PORTS[kind]
    except ValueError:  # no address: the model that is opened says so
        return (spec,)
    host = "localhost" if parts.hostname in LOOPBACK else parts.hostname or ""
    return host, str(port), parts.path.rstrip("/"), parts.fragment


def _shown(spec: str) -> str:
    """A spec without what could be a password: of an address its model's name."""
    return spec.partition("#")[2] or "a server" if spec.startswith(("http://", "https://")) else spec


def _told(spec: str) -> Iterator[str]:
    """Everything that may name a model's family."""
    kind, _, rest = spec.partition(":")
    if kind in NO_MODEL:
        return
    if kind in ("http", "https"):
        yield spec.partition("#")[2]
        return
    name = rest if kind in PREFIXES and rest else spec
    path = Path(name).expanduser()
    if not path.exists():
        yield name
        return
    yield path.resolve().name
    for file in SMALL_FILES if path.is_dir() else ():
        yield from _names_in(path / file)


def _names_in(file: Path) -> Iterator[str]:
    """Names of models in a small JSON file of a model folder: its type, what it was made from, the base in a card."""
    try:
        loaded: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    for of in (loaded, loaded.get("base") if isinstance(loaded, dict) else None):
        if isinstance(of, dict):
            keys = ("model_type", "_name_or_path", "base_model_name_or_path", "name")
            yield from (of[key] for key in keys if isinstance(of.get(key), str))
