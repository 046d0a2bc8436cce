"""Rubrics: what a reply is rated on, as data that people and a judging model read alike.

A rubric is a YAML file: `mashq/data/rubrics/NAME.yaml`, or one's own by its path. Every criterion has a title, a
question and five labels in Arabic and in English; a label is a word, a colon and what it means.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mashq import packaged
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["LANGUAGES", "LEVELS", "RUBRICS", "Criterion", "Rubric", "read_rubric"]

RUBRICS = ("stories", "medical", "dialogue", "prompts")  # those that mashq carries
LANGUAGES = ("ar", "en")
LEVELS = (1, 2, 3, 4, 5)  # 5 is best
SHOWN = ("variety", "reference")  # what of a case can be shown beside prompt and reply


@dataclass(frozen=True)
class Criterion:
    """One thing that replies are rated on. Texts are by language, "ar" and "en"."""

    name: str
    title: Mapping[str, str]
    ask: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]  # of levels 1 to 5
    needs: tuple[str, ...] = ()  # of SHOWN: without it the criterion is not asked
    uses: tuple[str, ...] = ()  # of SHOWN: shown where there is one
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # further names that a judge may write

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which a reply may speak of it."""
        several = [self.name, *self.title.values(), *(name for names in self.also.values() for name in names)]
        return tuple(dict.fromkeys(several))


@dataclass(frozen=True)
class Rubric:
    """Criteria in their order. `warning` is what must stand beside its scores; empty where nothing must."""

    name: str
    title: Mapping[str, str]
    criteria: tuple[Criterion, ...]
    warning: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that a judge is told by it."""
        told = [
            [one.name, dict(one.title), dict(one.ask), {k: list(v) for k, v in one.labels.items()}, one.needs, one.uses]
            for one in self.criteria
        ]
        text = json.dumps([self.name, told], sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_rubric(name: str | Path) -> Rubric:
    """A rubric that mashq carries, by name, or one's own, by the path of its YAML file.

    Raises MashqError for an unknown name, and for a file that is no rubric, with all its faults at once.
    """
    if str(name) in RUBRICS:
        return _packaged(str(name))
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(RUBRICS)
        do = f"It is one of {known}, or the path of a YAML file.{nearest(str(name), RUBRICS)}"
        raise MashqError(expected_got("rubric", "a known name or a file", f"'{name}'", do))
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise MashqError(f"rubric {path}: not readable as YAML: {error}") from error
    return _rubric(loaded, f"rubric {path}")


@functools.cache
def _packaged(name: str) -> Rubric:
    return _rubric(packaged.parsed(f"rubrics/{name}"), f"rubric '{name}'")


def _rubric(loaded: Any, where: str) -> Rubric:
    faults = list(_faults(loaded))
    if faults:
        raise MashqError("\n".join(f"{where}: {fault}" for fault in faults))
    criteria = tuple(_criterion(one) for one in loaded["criteria"])
    return Rubric(loaded["name"], loaded["title"], criteria, loaded.get("warning") or {})


def _criterion(one: Mapping[str, Any]) -> Criterion:
    return Criterion(
        one["name"],
        one["title"],
        one["ask"],
        {language: tuple(texts) for language, texts in one["labels"].items()},
        tuple(one.get("needs") or ()),
        tuple(one.get("uses") or ()),
        {language: tuple(texts) for language, texts in (one.get("also") or {}).items()},
    )


def _faults(loaded: Any) -> Iterator[str]:
    if not isinstance(loaded, dict) or not isinstance(loaded.get("criteria"), list) or not loaded["criteria"]:
        yield expected_got("it", "name, title and a list of criteria", f"{loaded!s:.60}")
        return
    if not isinstance(loaded.get("name"), str) or not loaded["name"]:
        yield expected_got("name", "a word", f"{loaded.get('name')!r}")
    yield from _texts_faults(loaded, "title", "the rubric")
    if "warning" in loaded:
        yield from _texts_faults(loaded, "warning", "the rubric")
    names = [one.get("name") if isinstance(one, dict) else None for one in loaded["criteria"]]
    for place, one in enumerate(loaded["criteria"]):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or not one["name"].isidentifier():
            got = f"{one.get('name')!r}" if isinstance(one, dict) else f"{one!s:.40}"
            yield expected_got(f"criterion {place + 1}: name", "letters, digits and _", got)
            continue
        if names.index(one["name"]) < place:
            yield f"criterion '{one['name']}' stands there twice."
        if one["name"] == "overall":
            yield "a criterion may not be called 'overall': pairs are asked for it besides the criteria."
        yield from _criterion_faults(one)


def _criterion_faults(one: Mapping[str, Any]) -> Iterator[str]:
    where = f"criterion '{one['name']}'"
    yield from _texts_faults(one, "title", where)
    yield from _texts_faults(one, "ask", where)
    labels = one.get("labels")
    for language in LANGUAGES:
        texts = labels.get(language) if isinstance(labels, dict) else None
        if not isinstance(texts, list) or len(texts) != len(LEVELS) or not all(isinstance(t, str) and t for t in texts):
            got = f"{len(texts)} entries" if isinstance(texts, list) else "no list"
            yield expected_got(f"{where}: labels.{language}", "five texts, of levels 1 to 5", got)
    for key in ("needs", "uses"):
        if not set(found := one.get(key) or []) <= set(SHOWN):
            yield expected_got(f"{where}: {key}", f"a list of {' and '.join(SHOWN)}", f"{found}")


def _texts_faults(of: Mapping[str, Any], key: str, where: str) -> Iterator[str]:
    texts = of.get(key)
    lacking = [one for one in LANGUAGES if not (isinstance(texts, dict) and isinstance(texts.get(one), str))]
    if lacking:
        yield expected_got(f"{where}: {key}", "a text in ar and in en", f"none in {', '.join(lacking)}")
