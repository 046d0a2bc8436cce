"""A recipe from settings to a finished run: its steps made in order, its record and its report written."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mashq import __version__, recipes
from mashq.engine import Engine
from mashq.lineage import Found
from mashq.places import folder_place
from mashq.provenance import machine
from mashq.rows import MashqError, nearest
from mashq.run import Made, Step, Store, manifest_of, needed, read_rows
from mashq.settings import builtins, override, read_config
from mashq.shards import write_json

__all__ = ["Wish", "chosen_steps", "find_rows", "first_rows", "make_recipe"]


@dataclass(frozen=True)
class Wish:
    """What the user asked for: RECIPE[/STEP], changes to its settings, and how to run it."""

    target: str
    runs: Path = Path("runs")
    size: str | None = None
    assignments: tuple[str, ...] = ()
    config: Path | None = None
    engine: str = "local"
    workers: int | None = None
    force: bool = False
    name: str | None = None


def chosen_steps(wish: Wish) -> tuple[recipes.Recipe, Any, list[Step], str | None]:
    """The recipe that is meant, its settings, its steps (of RECIPE/STEP that one), and the step's name or None."""
    recipe, target = _split(wish.target)
    settings = recipe.settings(wish.size)
    settings = override(settings, wish.assignments, read_config(wish.config) if wish.config else None)
    steps = recipe.steps(settings)
    _check_names(recipe.name, steps)
    return recipe, settings, steps if target is None else [_step(recipe.name, steps, target)], target


def make_recipe(wish: Wish, say: Callable[[str], None] = print, dry_run: bool = False) -> Path | None:
    """Make a recipe, or one step of it; gives the report page, or None where only a step (or nothing) was made."""
    recipe, settings, chosen, target = chosen_steps(wish)
    engine = Engine(wish.engine, wish.workers) if wish.workers else Engine(wish.engine)
    store = Store(wish.runs, engine, say)
    if dry_run:
        for line in _plan(store, chosen):
            say(line)
        return None
    folder_place(wish.runs, "make", "--runs")
    force = frozenset(step.name for step in chosen) if wish.force else frozenset()
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    made = [store.make(step, force) for step in chosen]
    if target is not None:
        say(f"{made[0].step.name} lies in {made[0].folder}")
        return None
    name = wish.name or _run_name(chosen, settings)
    record = wish.runs / recipe.name / f"{name}.json"
    about = {"recipe": recipe.name, "name": name, "caption": recipe.caption, "settings": builtins(settings)}
    write_json(
        record,
        {
            **about,
            "steps": [_entry(one) for one in made],
            "mashq": __version__,
            "engine": engine.where,
            "started": started,
            "seconds": round(time.perf_counter() - clock, 3),
            "machine": machine(),
        },
    )
    from mashq.report import write

    return write([record], record.with_suffix(""))


def _split(target: str) -> tuple[recipes.Recipe, str | None]:
    if target.endswith(".py"):
        return recipes.load(target), None
    path, slash, step = target.rpartition("/")
    if slash and path.endswith(".py"):
        return recipes.load(path), step
    name, slash, step = target.partition("/")
    return recipes.load(name), step if slash else None


def _check_names(recipe: str, steps: list[Step]) -> None:
    seen: dict[str, Step] = {}
    for step in steps:
        if step.name in seen and seen[step.name].fingerprint != step.fingerprint:
            raise MashqError(f"recipe '{recipe}': two different steps are named '{step.name}'. Name them apart.")
        seen[step.name] = step


def _step(recipe: str, steps: list[Step], name: str) -> Step:
    known = {step.name: step for step in steps}
    if name not in known:
        raise MashqError(f"recipe '{recipe}' has no step '{name}' ({', '.join(known)}).{nearest(name, known)}")
    return known[name]


def _plan(store: Store, steps: list[Step]) -> Iterator[str]:
    """What each step and what it needs would be: made already, to be resumed, or to be made."""
    for step in needed(steps):
        folder = store.folder(step)
        state = "is made" if manifest_of(folder) else "would be resumed" if folder.exists() else "would be made"
        yield f"{step.folder_name:<44} {step.kind:<7} {state}"


def _run_name(steps: list[Step], settings: Any) -> str:
    text = json.dumps([[step.fingerprint for step in steps], builtins(settings)], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _entry(made: Made) -> dict[str, Any]:
    return {
        "name": made.step.name,
        "folder": f"steps/{made.folder.name}",
        "fingerprint": made.step.fingerprint,
        "seconds": made.manifest["seconds"],
        "reused": made.reused,
        "drift": list(made.drift),
    }


def first_rows(runs: Path, step: str, count: int, dropped: bool) -> list[Found]:
    """The first rows of a step given by name (its latest) or by name@fingerprint."""
    folder = _find_step(runs, step)
    found: list[Found] = []
    for table in read_rows(folder, dropped=dropped):
        found += [Found(folder.name, row) for row in table.slice(0, count - len(found)).to_pylist()]
        if len(found) >= count:
            break
    return found


def find_rows(runs: Path, name: str) -> list[Path]:
    """Where the rows lie that `name` means: a Parquet file, a step's folder or name, or the rows that a run ends in.

    A run is given as for `find_record`, or by the folder of its report.
    """
    from mashq.record import find_record, read_run

    path = Path(name)
    record = path.with_name(f"{path.name}.json") if path.is_dir() else path
    if path.suffix == ".parquet" or manifest_of(path) is not None:
        return [path]
    if not (record.suffix == ".json" and record.is_file()):
        try:
            record = find_record(runs, name)
        except MashqError:
            return [path] if path.exists() else [_find_step(runs, name)]
    from mashq.report.card import final_steps

    return [step.folder for step in final_steps(read_run(record))]


def _find_step(runs: Path, step: str) -> Path:
    """The folder of a step given by name (its latest) or by name@fingerprint."""
    from mashq.record import steps_named

    folders = [path for path in steps_named(runs, step) if manifest_of(path) is not None]
    if not folders:
        finished = [path for path in (runs / "steps").glob("*@*") if manifest_of(path) is not None]
        known = sorted({path.name.split("@")[0] for path in finished})
        raise MashqError(f"there is no step '{step}' in {runs} ({', '.join(known) or 'none'}).{nearest(step, known)}")
    return max(folders, key=lambda path: (path / "manifest.json").stat().st_mtime)
