"""What `mashq rate` is given -> the study: a study's file, a run, an evaluation, a translation, renders, or pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq import packaged
from mashq.rating.checks import (
    FILES,
    pairs_of_file,
    pairs_of_renders,
    pairs_of_translation,
    renders,
    study_of_checks,
    translates,
)
from mashq.rating.study import Study, read_study, study_of_samples
from mashq.record import find_evaluation, find_record, read_run, steps_named
from mashq.rows import MashqError, expected_got

__all__ = ["Wanted", "study_at"]

CHECKS = 100  # of a translation or of renders, where no number is asked for: an hour or so


@dataclass(frozen=True)
class Wanted:
    """What to have rated of what `mashq rate` is given."""

    kind: str = ""  # replies: absolute or pairwise; translated sentences: check; render; "": what is there
    rubric: str = "dialogue"  # of replies: the criteria
    items: int = 0  # 0: all of an evaluation or a file, 100 of a translation or of renders
    evaluation: str = ""  # of a run: which one; "" = the only one, or gain


def study_at(place: str, runs: Path, wanted: Wanted) -> Study:
    """The study of a file (.yaml, .json), an evaluation, a translation, renders of templates, or a file of pairs.

    `place` is a path (a study, the folder of a step, a run's record, a .tsv, .csv or .jsonl of pairs), a run in `runs`
    (RECIPE, RECIPE/NAME) or a step there (STEP: its latest, STEP@FINGERPRINT). Raises MashqError for what is none of
    these, or holds nothing of the kind.
    """
    path = Path(place)
    if path.is_dir():
        record = path.with_name(f"{path.name}.json")  # beside the folder of a run's report
        return _of_run(record, wanted) if record.is_file() and _is_record(record) else _of_step(path, wanted)
    if path.suffix in FILES and path.is_file():
        return _of_pairs(pairs_of_file(path, wanted.items), path.stem)
    if path.is_file() and (path.suffix != ".json" or not _is_record(path)):
        return read_study(path)
    if path.suffix in (".yaml", ".yml", ".sqlite", *FILES):
        raise MashqError(f"rate: there is no file {path}.")
    made = steps_named(runs, place)
    if made and not (runs / place).exists():
        return _of_step(max(made, key=lambda folder: folder.stat().st_mtime), wanted)
    return _of_run(find_record(runs, place), wanted)


def _is_record(path: Path) -> bool:
    """Whether a JSON file is a run's record and no study."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # `read_study` tells what is wrong with it
        return False
    return isinstance(content, dict) and {"recipe", "steps"} <= set(content)


def _of_run(record: Path, wanted: Wanted) -> Study:
    kind, run = wanted.kind, read_run(record)
    folders = [step.folder for step in run.steps]
    if kind == "check" or not (kind or any(run.of("evaluation"))):
        if translated := [folder for folder in folders if translates(folder)]:
            return _of_pairs(pairs_of_translation(translated[-1], wanted.items or CHECKS), translated[-1].name)
        if kind:
            do = "Renders of templates are --kind render."
            raise MashqError(expected_got(f"{record}: --kind check", "a run that translates", "one that does not", do))
    if kind == "render":
        rendered = [folder for folder in folders if renders(folder)]
        return _of_pairs(pairs_of_renders(rendered, wanted.items or CHECKS), record.parent.name, "renders")
    return _of_step(find_evaluation(record.parent.parent, str(record), wanted.evaluation).parent, wanted)


def _of_step(folder: Path, wanted: Wanted) -> Study:
    found: Mapping[str, Callable[[Path], bool]] = {"check": translates, "render": renders}
    kind = wanted.kind or next((name for name, fits in found.items() if fits(folder)), "absolute")
    if kind in found and not found[kind](folder):
        what = "a step that translates" if kind == "check" else "a step that renders templates"
        raise MashqError(expected_got(f"{folder}: --kind {kind}", what, "another one"))
    if kind == "check":
        return _of_pairs(pairs_of_translation(folder, wanted.items or CHECKS), folder.name)
    if kind == "render":
        return _of_pairs(pairs_of_renders([folder], wanted.items or CHECKS), folder.name, "renders")
    fields = {"name": folder.name, "rubric": wanted.rubric}
    return study_of_samples(folder / "samples.parquet", fields, kind=kind, n=wanted.items)


def _of_pairs(pairs: list[dict[str, str]], name: str, what: str = "translations") -> Study:
    own: dict[str, Any] = packaged.parsed("rating/checks")[what]
    return study_of_checks(pairs, {"name": name, **own})
