"""A rating study: its criteria, its items and its guidelines, from a file or from evaluation samples.

A study never changes once raters have begun: the store keeps it whole. Which system wrote a text is in `Item.systems`
and is never part of what a rater is given (`store.Shown`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mashq import packaged
from mashq.rating.answers import PREFERENCES, SCALE, VERDICTS
from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "KINDS",
    "ROLES",
    "Criterion",
    "Item",
    "Study",
    "draw",
    "read_study",
    "rubric",
    "sample_id",
    "study_of",
    "study_of_samples",
]

KINDS = {"absolute": 1, "pairwise": 2, "check": 2}  # kind of item -> how many texts it shows
ROLES = ("item", "practice", "attention")
LANGUAGES = ("ar", "en")  # of titles, questions and labels
RUBRICS = "data/rubrics"  # in the package
FAULTS_SHOWN = 10  # of a study that has more, so that the message fits a screen


@dataclass(frozen=True)
class Criterion:
    """One question that is asked of every reply; its scale is 1 (worst) to 5 (best)."""

    name: str  # of letters, digits and underscores: it names a form field and a column
    title: Mapping[str, str] = field(default_factory=dict)  # "ar" | "en" -> a word or two
    ask: Mapping[str, str] = field(default_factory=dict)  # "ar" | "en" -> the question
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # five texts from 1 up; (): numbers alone


@dataclass(frozen=True)
class Item:
    """What a rater answers at once. `shown` is in the study's own order; a rater may see a pair the other way round.

    `right` is what an answer to a practice or attention item must say: {"scores": {criterion: 4 or [4, 5]}},
    {"prefer": {criterion: "first"}} in the order of `shown`, or {"verdict": "reject"}. It may leave criteria out.
    """

    id: str
    kind: str  # absolute: one text; pairwise: two; check: a source and what was proposed for it
    prompt: str
    shown: tuple[str, ...]
    systems: tuple[str, ...] = ()  # who wrote each of `shown`; of a check one name, of the proposal
    variety: str = ""
    role: str = "item"  # item | practice | attention
    right: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)  # "ar" | "en": shown after a practice item
    group: str = ""  # items of one source: the cluster of every interval
    template: str = ""  # of a check of a render: NAME/TEMPLATE, whose file a correction is for; "": of a translation
    part: str = ""  # of a render: the template's `prompt` or `target`


@dataclass(frozen=True)
class Study:
    """A whole study. Raises MashqError that names every fault (the first ten) when its parts do not fit."""

    name: str
    title: Mapping[str, str] = field(default_factory=dict)
    guidelines: Mapping[str, str] = field(default_factory=dict)  # plain text, blank lines between paragraphs
    criteria: tuple[Criterion, ...] = ()
    items: tuple[Item, ...] = ()
    raters_per_item: int = 0  # 0: every rater rates every item
    attention_every: int = 0  # one attention item after this many others; 0: all of them, spread evenly
    seed: int = 0
    simulated: bool = False  # the raters are programs: every export says so

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            more = [f"... and {len(faults) - FAULTS_SHOWN} more."] if len(faults) > FAULTS_SHOWN else []
            raise MashqError(
                "\n".join([f"rating study '{self.name}': {fault}" for fault in faults[:FAULTS_SHOWN]] + more)
            )

    def item(self, name: str) -> Item:
        """The item of this id."""
        found = [one for one in self.items if one.id == name]
        if not found:
            raise MashqError(f"rating study '{self.name}': there is no item '{name[:80]}'.")
        return found[0]

    def of_role(self, role: str) -> list[Item]:
        """Its items of one role, in the study's order."""
        return [item for item in self.items if item.role == role]


def draw(*names: object) -> int:
    """64 bits drawn from names by hashing: the same on any machine, in any process, in any version of Python."""
    data = json.dumps([str(name) for name in names]).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


# --- what must hold --------------------------------------------------------------------------------------------------


def _faults(study: Study) -> Iterator[str]:
    """Everything that keeps these parts from being a study."""
    if not study.name.strip() or not study.name.isprintable():
        yield "its name must be a printable text that is not empty."
    for name in ("raters_per_item", "attention_every"):
        if getattr(study, name) < 0:
            yield expected_got(name, "0 or more", str(getattr(study, name)))
    if not any(item.role == "item" for item in study.items):
        yield "it has no item to be rated (an item whose role is 'item')."
    if not study.criteria and any(item.kind != "check" for item in study.items):
        yield "it has no criterion. Name a rubric, or list criteria."
    yield from _twice("criterion", [one.name for one in study.criteria])
    yield from _twice("item", [one.id for one in study.items])
    for criterion in study.criteria:
        yield from _criterion_faults(criterion)
    names = [one.name for one in study.criteria]
    for item in study.items:
        yield from (f"item '{item.id}': {fault}" for fault in _item_faults(item, names))


def _twice(what: str, names: Sequence[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} '{name}' stands in it {count} times; a name is for one."


def _criterion_faults(criterion: Criterion) -> Iterator[str]:
    if not criterion.name.isidentifier():
        yield expected_got("criterion name", "letters, digits and underscores", f"'{criterion.name}'")
    for language, labels in criterion.labels.items():
        if len(labels) not in (0, len(SCALE)):
            what = f"criterion '{criterion.name}': labels in '{language}'"
            yield expected_got(what, f"{len(SCALE)} texts, one for each of {SCALE[0]} to {SCALE[-1]}", str(len(labels)))
    for texts in (criterion.title, criterion.ask, criterion.labels):
        for language in texts:
            if language not in LANGUAGES:
                yield expected_got(f"criterion '{criterion.name}': language", " or ".join(LANGUAGES), f"'{language}'")


def _item_faults(item: Item, criteria: Sequence[str]) -> Iterator[str]:
    if not item.id.strip():
        yield "its id is empty."
    if item.kind not in KINDS:
        yield expected_got("kind", " or ".join(KINDS), f"'{item.kind}'") + nearest(item.kind, KINDS)
        return
    if item.role not in ROLES:
        yield expected_got("role", " or ".join(ROLES), f"'{item.role}'") + nearest(item.role, ROLES)
    if len(item.shown) != KINDS[item.kind]:
        yield expected_got(f"shown, of an item of kind {item.kind}", f"{KINDS[item.kind]} texts", str(len(item.shown)))
    if len(item.systems) not in (0, 1 if item.kind == "check" else len(item.shown)):
        yield expected_got("systems", "one name for each text that was written", str(len(item.systems)))
    if item.kind == "pairwise" and len(set(item.systems)) == 1:
        yield f"both sides are of system '{item.systems[0]}'; a pair is of two systems."
    if item.role != "item" and not item.right:
        yield f"an item of role {item.role} needs `right`, the answer that is known to be right."
    yield from _right_faults(item, criteria)


def _right_faults(item: Item, criteria: Sequence[str]) -> Iterator[str]:
    """Why `right` cannot be compared with an answer."""
    wanted = {"absolute": "scores", "pairwise": "prefer", "check": "verdict"}[item.kind]
    for key in item.right:
        if key != wanted:
            yield expected_got("right", f"'{wanted}' alone, of an item of kind {item.kind}", f"'{key}'")
            return
    said = item.right.get(wanted, {})
    if item.kind == "check":
        if item.right and said not in VERDICTS:
            yield expected_got("right: verdict", " or ".join(VERDICTS), repr(said))
        return
    if not isinstance(said, Mapping):
        yield expected_got(f"right: {wanted}", "criteria and what is right", type(said).__name__)
        return
    allowed: tuple[Any, ...] = SCALE if item.kind == "absolute" else PREFERENCES
    for name, value in said.items():
        if name not in criteria:
            yield f"right: there is no criterion '{name}' ({', '.join(criteria)}).{nearest(str(name), criteria)}"
        values = value if isinstance(value, (list, tuple)) else [value]
        if not values or any(isinstance(one, bool) or one not in allowed for one in values):
            yield expected_got(f"right: {name}", ", ".join(map(str, allowed)), repr(value))


# --- from a file -----------------------------------------------------------------------------------------------------


def read_study(path: Path | str) -> Study:
    """The study of a YAML or JSON file.

    Its keys are the fields of `Study`; besides, `rubric: NAME` takes the criteria of a rubric that mashq carries, and
    `criteria` may then be a list of names to choose from it; without one, a criterion that needs a variety is left out
    where an item names none. Raises MashqError for what is no such file.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
        loaded = json.loads(text) if path.suffix == ".json" else yaml.load(text, packaged.LOADER)
    except FileNotFoundError as error:
        raise MashqError(f"rating study: there is no file {path}.") from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:  # a wrong encoding is a ValueError
        raise MashqError(f"rating study {path}: cannot be read as {path.suffix or 'YAML'} ({error}).") from error
    return study_of(loaded, str(path))


def study_of(content: Any, where: str = "rating study") -> Study:
    """Plain values, as a file holds them, -> the study. Raises MashqError that names the place of the fault."""
    if not isinstance(content, Mapping):
        raise MashqError(expected_got(where, "the fields of a study", type(content).__name__))
    content = dict(content)
    if "rubric" in content:
        content["criteria"] = _chosen(content.pop("rubric"), content.get("criteria"), content.get("items"), where)
    _check_keys(content, Study, where)
    for name, kind in (("criteria", Criterion), ("items", Item)):
        listed = content.get(name)
        for place, one in enumerate(listed if isinstance(listed, list) else ()):  # another type is told of below
            if isinstance(one, Mapping):
                _check_keys(one, kind, f"{where}: {name}[{place}]")
    if isinstance(content.get("items"), list):
        content["items"] = [_with_prompt(one, f"{where}: items[{n}]") for n, one in enumerate(content["items"])]
    try:
        json.dumps(content, ensure_ascii=False).encode()
        return msgspec.convert(content, Study)
    except UnicodeEncodeError as error:
        raise MashqError(f"{where}: holds a lone surrogate, which is no character ({error.reason}).") from error
    except (TypeError, RecursionError) as error:
        raise MashqError(f"{where}: holds what is no plain value ({error}).") from error
    except msgspec.ValidationError as error:
        raise MashqError(f"{where}: {error}.") from error


def _with_prompt(item: Any, where: str) -> Any:
    """An item of a file; of a check without a prompt, which need not ask anything, with an empty one.

    Raises MashqError for a wrong kind: what else is lacking depends on it.
    """
    if not isinstance(item, Mapping) or not isinstance(kind := item.get("kind"), str):
        return item  # told of by what reads the whole
    if kind not in KINDS:
        raise MashqError(expected_got(f"{where}: kind", " or ".join(KINDS), f"'{kind[:40]}'") + nearest(kind, KINDS))
    return {"prompt": "", **item} if kind == "check" else item


def _check_keys(content: Mapping[Any, Any], kind: type, where: str) -> None:
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    for key in content:
        if key not in known:
            raise MashqError(f"{where}: there is no '{key}' here ({', '.join(known)}).{nearest(str(key), known)}")


def _chosen(name: Any, wanted: Any, items: Any, where: str) -> list[dict[str, Any]]:
    """The criteria of a rubric as plain values: those that are named, or all that can be asked of every item."""
    criteria = {one["name"]: one for one in _rubric(str(name))}
    if wanted is None:
        rated = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        lacking = {"variety"} if any(not item.get("variety") for item in rated) else set()
        return [_plain_criterion(one) for one in criteria.values() if not lacking & set(one.get("needs", ()))]
    names = wanted if isinstance(wanted, list) else [wanted]
    for one in names:
        if one not in list(criteria):
            known = ", ".join(criteria)
            hint = nearest(str(one), criteria)
            raise MashqError(f"{where}: rubric '{name}' has no criterion {one!r} ({known}).{hint}")
    return [_plain_criterion(criteria[one]) for one in names]


def rubric(name: str) -> tuple[Criterion, ...]:
    """The criteria of a rubric that mashq carries (`mashq/data/rubrics/NAME.yaml`), in its order."""
    return msgspec.convert([_plain_criterion(one) for one in _rubric(name)], tuple[Criterion, ...])


def _plain_criterion(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only a judge reads."""
    return {key: value for key, value in content.items() if key in Criterion.__dataclass_fields__}


def _rubric(name: str) -> list[dict[str, Any]]:
    try:
        content = packaged.parsed(f"rubrics/{name}")
    except OSError as error:
        known = sorted(file.name.removesuffix(".yaml") for file in resources.files("mashq").joinpath(RUBRICS).iterdir())
        do = f"List the study's own criteria, or take one of these.{nearest(name, known)}"
        raise MashqError(expected_got("rubric", " or ".join(known), f"'{name[:80]}'", do)) from error
    if not isinstance(content, Mapping) or not isinstance(content.get("criteria"), list):
        raise MashqError(expected_got(f"rubric '{name}'", "a mapping with a list `criteria`", type(content).__name__))
    return list(content["criteria"])


# --- from what an evaluation wrote -----------------------------------------------------------------------------------

SAMPLES = ("item", "system", "task", "variety", "group", "prompt", "reply")  # the columns that are read


def study_of_samples(
    path: Path | str, study: Mapping[str, Any], *, kind: str = "absolute", n: int = 0, systems: Sequence[str] = ()
) -> Study:
    """The study of an evaluation's `samples.parquet`: the replies of every system to `n` of its items (0: to all).

    `study` holds the study's other fields (name, rubric or criteria, seed, practice and attention items ...). The n
    items are drawn by its seed, equally many of each task and variety as far as there are. absolute: one item for each
    reply; pairwise: one for each two of the systems (in the order given; default: that of the file). Ids are hashes
    (`sample_id`), so that they do not name a system.
    """
    samples = _samples(Path(path))
    names = list(dict.fromkeys(samples["system"].to_pylist()))
    for name in systems:
        if name not in names:
            raise MashqError(f"{path}: there is no system '{name}' ({', '.join(names)}).{nearest(name, names)}")
    names = list(systems) or names
    if kind not in ("absolute", "pairwise") or (kind == "pairwise" and len(names) < 2):
        raise MashqError(expected_got("kind", "absolute, or pairwise with two systems", f"{kind} with {len(names)}"))
    replies: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in samples.to_pylist():
        replies[row["item"]][row["system"]] = row
    seed = study.get("seed", 0)
    whole = {item: rows for item, rows in replies.items() if all(name in rows for name in names)}
    sides = itertools.combinations(names, 2) if kind == "pairwise" else ((name,) for name in names)
    made = [_plain(item, whole[item], pair, kind) for pair in sides for item in _drawn(whole, n, seed)]
    return study_of({**study, "items": [*study.get("items", ()), *made]}, str(path))


def _samples(path: Path) -> pa.Table:
    if not path.is_file():
        what = f"the samples of an evaluation ({path.name})"
        raise MashqError(expected_got(str(path.parent), what, "no such file", "Name an evaluation's folder."))
    try:
        return pq.read_table(path, columns=list(SAMPLES))
    except (OSError, pa.ArrowException) as error:
        raise MashqError(f"{path}: expected an evaluation's samples.parquet ({error}).") from error


def _drawn(replies: Mapping[str, Mapping[str, Mapping[str, Any]]], n: int, seed: int) -> list[str]:
    """n items by turns of task and variety, each one's own in a drawn order."""
    turns: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in sorted(replies, key=lambda item: draw(seed, "sample", item)):
        row = next(iter(replies[item].values()))
        turns[row["task"] or "", row["variety"] or ""].append(item)
    if n < 0 or n > len(replies):
        raise MashqError(expected_got("n", f"0 to {len(replies)}, the items that every system answered", str(n)))
    by_turns = [one for turn in itertools.zip_longest(*(turns[key] for key in sorted(turns))) for one in turn]
    return [one for one in by_turns if one is not None][: n or None]


def sample_id(kind: str, item: str, systems: Sequence[str], replies: Sequence[str]) -> str:
    """The id of a study's item made from samples: it tells these replies from later ones of the same systems."""
    return f"{draw(kind, item, *systems, *replies):016x}"


def _plain(item: str, rows: Mapping[str, Mapping[str, Any]], systems: Sequence[str], kind: str) -> dict[str, Any]:
    row = rows[systems[0]]
    return {
        "id": sample_id(kind, item, systems, [rows[name]["reply"] or "" for name in systems]),
        "kind": kind,
        "prompt": row["prompt"] or "",
        "shown": [rows[name]["reply"] or "" for name in systems],
        "systems": list(systems),
        "variety": row["variety"] or "",
        "group": row["group"] or item,
    }
