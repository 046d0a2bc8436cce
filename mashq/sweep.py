"""A sweep: one recipe made many times, with one factor or a grid of them changed, each time with several seeds.

What a sweep asks stands in a YAML file (`data/sweeps/*.yaml`, or one of the user's own): the question, the recipe it
rests on, the factors with their values, the seeds, and which evaluation is read. This module reads such a file and
says which cells it has; `mashq.recipes.sweeps` turns cells into steps, `mashq.sweep_results` reads what they left.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "LAYOUTS",
    "Cell",
    "Factor",
    "Read",
    "Sweep",
    "number_of",
    "open_sweep",
    "placed",
    "read_of",
    "ready_made",
    "summary",
]

LAYOUTS = ("grid", "one_at_a_time")
LANGUAGES = ("en", "ar")
PACKAGED = "package:"  # before the name of a file of `mashq/data`, in a setting's value
TEXTS = ("question", "source", "answer", "note")
KEYS = (*TEXTS, "base", "factors", "layout", "seeds", "seed_settings", "read", "comparable", "sizes")
SIZE_KEYS = ("size", "settings", "factors", "seeds", "read", "note")
READ_KEYS = ("evaluation", "system", "minus", "metrics", "slices")


@dataclass(frozen=True)
class Read:
    """Which numbers of a made cell are its result."""

    evaluation: str  # the evaluation step
    system: str  # the system in it
    minus: str = ""  # a system of the same evaluation whose scores are taken away, item by item; "" = none
    metrics: tuple[str, ...] = ()  # the first is the one that the sweep is about
    slices: tuple[str, ...] = ()  # also by the values of these columns: variety, task, template, source


@dataclass(frozen=True)
class Factor:
    """What is changed: a name, its title for people, and its values."""

    name: str
    title: Mapping[str, str]  # language -> title
    values: Mapping[str, Mapping[str, Any]]  # label of a value -> the settings that it sets, by dotted name
    reads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # label -> what is read instead

    @property
    def numbers(self) -> list[float] | None:
        """The labels as numbers, in their order; None where one is none."""
        found = [number_of(label) for label in self.values]
        return None if any(one is None for one in found) else [one for one in found if one is not None]


@dataclass(frozen=True)
class Cell:
    """One point of the sweep: a label for each factor, and what the recipe is made with."""

    labels: Mapping[str, str]  # factor -> label of its value
    settings: Mapping[str, Any]  # dotted name -> value, without the seed
    read: Read

    @property
    def name(self) -> str:
        """`rows=10, train.lr_peak=0.0001`."""
        return ", ".join(f"{factor}={label}" for factor, label in self.labels.items())


@dataclass(frozen=True)
class Sweep:
    """One sweep at one of its sizes, ready to be made."""

    name: str
    base: str  # recipe, or path of the user's own
    size: str | None  # of the recipe; None: its first
    factors: tuple[Factor, ...]
    read: Read
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the recipe, in every cell
    layout: str = "grid"
    seeds: tuple[int, ...] = (0, 1, 2)
    seed_settings: tuple[str, ...] = ("train.seed",)  # what a seed sets
    comparable: bool = True  # false: the values' numbers have different scales, so no test is made between them
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # question, source, answer, note, by language

    @property
    def runs(self) -> int:
        """How many times the recipe is made: cells times seeds."""
        return len(self.cells()) * len(self.seeds)

    def cells(self) -> list[Cell]:
        """Every cell, the first value of every factor first.

        A grid has each value of each factor with each of the others. One at a time, a cell differs from the first in
        one factor at most.
        """
        combinations = itertools.product(*(factor.values for factor in self.factors))
        if self.layout == "one_at_a_time":
            first = tuple(next(iter(factor.values)) for factor in self.factors)
            combinations = (one for one in combinations if sum(map(str.__ne__, one, first)) <= 1)  # type: ignore[assignment]
        return [self._cell(labels) for labels in combinations]

    def _cell(self, labels: Sequence[str]) -> Cell:
        settings, read = dict(self.settings), self.read
        for factor, label in zip(self.factors, labels, strict=True):
            settings |= factor.values[label]
            if changed := factor.reads.get(label):
                read = replace(read, **changed)
        return Cell({one.name: label for one, label in zip(self.factors, labels, strict=True)}, settings, read)

    def neighbours(self) -> list[tuple[int, int]]:
        """Pairs of cells (a, b) that differ in one factor: b has its first value or, of numbers, the one before a's."""
        cells = self.cells()
        place = {tuple(cell.labels.values()): index for index, cell in enumerate(cells)}
        pairs: list[tuple[int, int]] = []
        for index, cell in enumerate(cells):
            for position, factor in enumerate(self.factors):
                labels, own = list(factor.values), list(cell.labels.values())
                at = labels.index(own[position])
                for other in dict.fromkeys((0, at - 1) if factor.numbers else (0,)) if at else ():
                    against = place.get((*own[:position], labels[other], *own[position + 1 :]))
                    pairs += [(index, against)] if against is not None else []
        return pairs


def number_of(label: str) -> float | None:
    """A label as a number, or None: `10`, `1e-4`, `25%`."""
    text, share = (label[:-1], 0.01) if label.endswith("%") else (label, 1.0)
    try:
        value = float(text) * share
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- reading ---------------------------------------------------------------------------------------------------------


def ready_made() -> dict[str, Mapping[str, Any]]:
    """Name -> content of the sweeps that mashq ships."""
    folder = resources.files("mashq").joinpath("data", "sweeps")
    found = sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))
    return {name: parsed(f"sweeps/{name}") for name in found}


def summary() -> dict[str, str]:
    """Name -> where it comes from and what it asks, of the sweeps that mashq ships."""
    return {name: f"{content['source']}: {_text(content['question'])['en']}" for name, content in ready_made().items()}


def open_sweep(name: str, scale: str) -> Sweep:
    """A ready-made sweep by name, or the user's own by path (`./mine.yaml`), at one of its sizes.

    Raises MashqError for an unknown name or size, and for a file that is no sweep, with everything that is wrong in it.
    """
    if name.endswith((".yaml", ".yml")):
        return _sweep(Path(name).stem, _content(Path(name)), scale)
    known = ready_made()
    if name not in known:
        own = " Your own sweep is given by its path: --set name=./mine.yaml."
        raise MashqError(f"there is no sweep '{name}' ({', '.join(known)}).{nearest(name, known)}{own}")
    return _sweep(name, known[name], scale)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MashqError(f"sweep: there is no file {path}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise MashqError(f"sweep {path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise MashqError(expected_got(f"sweep {path}", "base, factors, read and sizes", type(content).__name__))
    return content


def _sweep(name: str, content: Mapping[str, Any], scale: str) -> Sweep:
    faults = [
        *_unknown("", content, KEYS),
        *(f"lacks '{key}'" for key in ("base", "read", "sizes") if key not in content),
    ]
    sizes = content.get("sizes")
    if not isinstance(sizes, dict) or not all(isinstance(one, dict) for one in sizes.values()):
        faults.append("sizes: expected names and what each sets")
    elif scale not in sizes:
        raise MashqError(f"sweep '{name}' has no size '{scale}' ({', '.join(sizes)}).{nearest(scale, sizes)}")
    else:
        faults += _unknown(f"sizes.{scale}.", sizes[scale], SIZE_KEYS)
    if faults:
        raise MashqError(f"sweep '{name}': {'; '.join(faults)}.")
    own: Mapping[str, Any] = sizes[scale]  # type: ignore[index]
    layout, seeds = content.get("layout", "grid"), tuple(own.get("seeds", content.get("seeds", (0, 1, 2))))
    made = Sweep(
        name=name,
        base=str(content["base"]),
        size=own.get("size"),
        factors=factors_of(name, own.get("factors") or {}, content.get("factors") or {}),
        read=_read(name, {**content["read"], **own.get("read", {})}),
        settings=placed(own.get("settings") or {}),
        layout=layout,
        seeds=seeds,
        seed_settings=tuple(content.get("seed_settings", ("train.seed",))),
        comparable=bool(content.get("comparable", True)),
        texts={key: _text(own.get(key, content.get(key))) for key in TEXTS},
    )
    check(made)
    return made


def check(sweep: Sweep) -> None:
    """Raises MashqError for a sweep that cannot be made, whatever its recipe."""
    what = f"sweep '{sweep.name}'"
    if sweep.layout not in LAYOUTS:
        raise MashqError(expected_got(f"{what}: layout", " or ".join(LAYOUTS), f"'{sweep.layout}'"))
    if not sweep.seeds or len(set(sweep.seeds)) < len(sweep.seeds):
        raise MashqError(expected_got(f"{what}: seeds", "different numbers, at least one", f"{list(sweep.seeds)}"))
    if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in sweep.seeds):
        raise MashqError(expected_got(f"{what}: seeds", "whole numbers", f"{list(sweep.seeds)}"))
    if not sweep.factors:
        raise MashqError(expected_got(f"{what}: factors", "at least one, a setting with its values", "none"))
    if not sweep.read.metrics:
        raise MashqError(expected_got(f"{what}: read.metrics", "at least one", "none"))
    both = set(sweep.seed_settings) & {name for one in sweep.factors for value in one.values.values() for name in value}
    if both:
        raise MashqError(
            f"{what}: {', '.join(sorted(both))}: set by a factor and by the seed. Leave it to one of them."
        )


def _unknown(where: str, given: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    odd = [key for key in given if key not in known]
    return [f"unknown key '{where}{key}' ({', '.join(known)}).{nearest(str(key), known)}".rstrip(".") for key in odd]


def _text(value: Any) -> dict[str, str]:
    """A text of the file in every language: one that is given once goes for all."""
    if isinstance(value, Mapping):
        first = str(next(iter(value.values()), ""))
        return {lang: str(value.get(lang, first)).strip() for lang in LANGUAGES}
    return dict.fromkeys(LANGUAGES, str(value or "").strip())


def _read(name: str, given: Mapping[str, Any]) -> Read:
    faults = _unknown("read.", given, READ_KEYS)
    faults += [f"lacks 'read.{key}'" for key in ("evaluation", "system") if not given.get(key)]
    if faults:
        raise MashqError(f"sweep '{name}': {'; '.join(faults)}.")
    return read_of(given)


def read_of(given: Mapping[str, Any]) -> Read:
    """A `Read` from plain values."""
    lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return Read(**lists)


def factors_of(sweep: str, given: Mapping[str, Any], titles: Mapping[str, Any]) -> tuple[Factor, ...]:
    """Factors as a file or `--set factors=…` writes them: a setting -> its values, or labels -> what each sets.

    `rows: [10, 30]` sets `rows`; `stages: {direct: {english: ""}, two: {english: stories.json}}` sets several, and may
    say `read: {system: …}` where the value is read elsewhere.
    """
    return tuple(_factor(sweep, name, values, _text(titles.get(name, name))) for name, values in given.items())


def _factor(sweep: str, name: str, values: Any, title: Mapping[str, str]) -> Factor:
    what = f"sweep '{sweep}': factor '{name}'"
    if isinstance(values, list):
        labelled: Iterable[tuple[str, Any]] = [(_label(value), value) for value in values]
    elif isinstance(values, dict):
        labelled = [(_label(label), value) for label, value in values.items()]
    else:
        raise MashqError(expected_got(what, "a list of values, or labels and what each sets", repr(values)))
    settings: dict[str, dict[str, Any]] = {}
    reads: dict[str, Mapping[str, Any]] = {}
    for label, value in labelled:
        if not label.isprintable():  # also a lone surrogate, which no file could hold
            raise MashqError(expected_got(what, "values that can be printed", ascii(label[:40])))
        if label in settings:
            raise MashqError(f"{what}: two values are named '{label}'. Give them labels: {name}: {{label: value, …}}.")
        own = dict(value) if isinstance(values, dict) and isinstance(value, dict) else {name: value}
        if "read" in own:
            reads[label] = own.pop("read")
            if faults := _unknown(f"{name}.{label}.read.", reads[label], READ_KEYS):
                raise MashqError(f"{what}: {'; '.join(faults)}.")
        settings[label] = placed(own)
    if len(settings) < 2:
        raise MashqError(expected_got(what, "at least two values", str(len(settings))))
    return Factor(name, title, settings, reads)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def placed(settings: Any) -> Any:
    """Settings with `package:NAME` turned into the path of that file or folder of `mashq/data`."""
    if isinstance(settings, Mapping):
        return {key: placed(value) for key, value in settings.items()}
    if isinstance(settings, str) and settings.startswith(PACKAGED):
        path = resources.files("mashq").joinpath("data", *settings.removeprefix(PACKAGED).split("/"))
        if not path.is_file() and not path.is_dir():
            raise MashqError(f"sweep: the package holds no '{settings.removeprefix(PACKAGED)}' in its data.")
        return str(path)
    return settings
