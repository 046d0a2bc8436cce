"""What a run left on disk, read back: its record, the manifests of its steps, models and evaluations.

Nothing here judges or formats. A file that is absent where its step says it must be is an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "COUNTS",
    "Evaluation",
    "Model",
    "Run",
    "Step",
    "evaluation_of",
    "find_evaluation",
    "find_record",
    "read_card",
    "read_contamination",
    "read_evaluation",
    "read_model",
    "read_run",
    "read_survey",
    "read_tables",
    "steps_named",
]

GAIN = "gain"  # the evaluation that a run is made for: the student before and after
COUNTS = ("in", "made", "kept", "dropped", "merged", "unsampled")


@dataclass(frozen=True)
class Step:
    """One step of a run: where it lies and what its manifest says of it."""

    name: str
    folder: Path
    fingerprint: str
    reused: bool  # made by an earlier run with the same fingerprint
    seconds: float  # in this run; near 0 where the step was reused
    manifest: dict[str, Any] = field(repr=False)
    drift: tuple[str, ...] = ()  # modules whose code changed since it was made

    @property
    def private(self) -> bool:
        """Whether its rows may name people, so that none is shown."""
        return bool(self.manifest.get("private"))

    @property
    def produces(self) -> str:
        """`rows`, `model`, `evaluation`, `survey`, `tables` or `report`."""
        return str(self.manifest.get("produces", "rows"))

    @property
    def judges(self) -> list[dict[str, Any]]:
        """Models that translated or judged the rows of this step, with their licences; checks are no models."""
        return [one for one in (self.manifest.get("identity") or {}).get("models") or [] if one.get("licence")]

    @property
    def counts(self) -> dict[str, int] | None:
        """The six counts of a step that makes rows (one that is absent is 0); None for a step that makes files."""
        counts = self.manifest.get("counts")
        return {name: int(counts.get(name, 0)) for name in COUNTS} if counts else None

    def parts(self, dropped: bool = False) -> list[tuple[Path, int]]:
        """The files of kept (or dropped) rows with their numbers of rows, in order; empty files are left out."""
        folder, key = (self.folder / "dropped", "dropped_rows") if dropped else (self.folder, "rows")
        found = [(folder / part["name"], int(part.get(key) or 0)) for part in self.manifest.get("parts") or []]
        return [(path, rows) for path, rows in found if rows]


@dataclass(frozen=True)
class Run:
    """One run of a recipe: its record and its steps in the order they happened."""

    path: Path
    recipe: str
    name: str
    record: dict[str, Any] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)

    def of(self, produces: str) -> Iterator[Step]:
        """The steps that produce `rows`, `model`, `evaluation` or `survey`."""
        return (step for step in self.steps if step.produces == produces)

    def hides(self, step: Step) -> bool:
        """Whether no text of a step may be shown: it is private, or its replies answer rows of a private step.

        Of an evaluation this holds where it holds of a step that it reads, its training text among them.
        """
        inputs = step.manifest.get("inputs") or {}
        if step.produces == "evaluation":
            read = list(inputs.values())
        elif "student" in (step.manifest.get("settings") or {}):
            read = [inputs.get("rows")]
        else:
            read = [inputs.get("replies")]  # a judge reads replies
        return step.private or any(self.hides(other) for other in self.steps if other.fingerprint in read)

    def upstream(self, step: Step) -> list[Step]:
        """The steps of this run that `step` takes rows from, nearest first."""
        found: list[Step] = []
        waiting = [step]
        while waiting:
            wanted = set(map(str, (waiting.pop(0).manifest.get("inputs") or {}).values()))
            for other in self.steps:
                if other.fingerprint in wanted and other not in found:
                    found.append(other)
                    waiting.append(other)
        return found


@dataclass(frozen=True)
class Model:
    """What a training step left: its card and its log, one object a step."""

    card: dict[str, Any]
    log: tuple[dict[str, Any], ...] = field(repr=False)
    readme: Path | None  # the model card, where there is one


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation step left: the scores, and where the samples lie."""

    scores: dict[str, Any] = field(repr=False)
    samples: Path


def read_run(path: Path) -> Run:
    """The run recorded in `runs/<recipe>/<name>.json`; step folders are found from the folder `runs`.

    Raises MashqError where the record or a manifest is absent or is not what it should be.
    """
    record = _read_json(path, "a run record (runs/<recipe>/<name>.json)")
    for key in ("recipe", "name", "steps"):
        if key not in record:
            raise MashqError(f"report: {path}: expected a run record with '{key}', got the keys {', '.join(record)}.")
    root = path.resolve().parent.parent
    steps = tuple(_read_step(root, entry, path) for entry in record["steps"])
    return Run(path, str(record["recipe"]), str(record["name"]), record, steps)


def find_record(runs: Path, name: str) -> Path:
    """The run record that `name` means: a path, RECIPE/NAME, or a recipe's latest run."""
    if name.endswith(".json") and Path(name).exists():
        return Path(name)
    if (exact := runs / f"{name}.json").exists():
        return exact
    records = sorted((runs / name).glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not records:
        known = sorted({path.parent.name for path in runs.glob("*/*.json")})
        raise MashqError(f"there is no run '{name}' in {runs} ({', '.join(known) or 'none'}).{nearest(name, known)}")
    return records[-1]


def evaluation_of(path: Path, name: str = "") -> tuple[Step, tuple[str, ...]]:
    """The evaluation `name` of a run's record, and the names of the run's others.

    Without a name the only one, or of several the one that is called `gain`. Raises MashqError where that is none.
    """
    found = {step.name: step for step in read_run(path).of("evaluation")}
    chosen = name or (next(iter(found)) if len(found) == 1 else GAIN)
    if chosen in found:
        return found[chosen], tuple(other for other in found if other != chosen)
    expected = f"the evaluation '{name}'" if name else "one evaluation, or one called 'gain'"
    do = "Choose one with --evaluation NAME." if found else "It evaluates nothing: name another run."
    raise MashqError(expected_got(f"run {path}", expected, ", ".join(found) or "none", do))


def find_evaluation(runs: Path, named: str, evaluation: str = "", say: Callable[[str], None] = print) -> Path:
    """The `samples.parquet` of the evaluation that `named` means: that file, its folder, the step's name, or a run.

    A step is named as STEP (the latest) or STEP@FINGERPRINT; a run as for `find_record`, or by the folder of its
    report. `say` is told which evaluation was taken of which run or step; nothing where a path says it. `evaluation`
    chooses among those of a run (`evaluation_of`). Raises MashqError where none is meant.
    """
    path = Path(named).expanduser()
    record = path.with_name(f"{path.name}.json")
    samples = path / "samples.parquet" if path.is_dir() else path
    if samples.suffix == ".parquet" and samples.is_file():
        if evaluation:
            raise MashqError(expected_got(f"--evaluation {evaluation}", "a run to choose it from", f"samples, {path}"))
        return samples
    if not (path.is_dir() and record.is_file()):
        record = path if path.suffix == ".json" and path.is_file() else _record_of(runs, named)
    if record.suffix == ".json":
        step, others = evaluation_of(record, evaluation)
        also = f"; others: {', '.join(others)} (--evaluation NAME)" if others else ""
        say(f"evaluation '{step.name}' of {record}{also}")
        return read_evaluation(step).samples
    say(f"evaluation {record.parent.name}")
    return record


def steps_named(runs: Path, name: str) -> list[Path]:
    """The folders of the steps of a name, or of the one that NAME@FINGERPRINT means; finished or not, in no order."""
    return [one for one in (runs / "steps").glob("*@*") if name in (one.name, one.name.partition("@")[0])]


def _record_of(runs: Path, named: str) -> Path:
    """The record of a run, or the samples of the latest evaluation step, of that name."""
    try:
        return find_record(runs, named)
    except MashqError as error:
        found = [one / "samples.parquet" for one in (steps_named(runs, named) if named else ())]
        found = [samples for samples in found if samples.is_file()]
        if found:
            return max(found, key=lambda samples: samples.stat().st_mtime)
        expected = "a run or the name, folder or samples.parquet of an evaluation"
        raise MashqError(expected_got(f"'{named}'", expected, f"none: {str(error).rstrip('.')}")) from error


def _read_step(root: Path, entry: dict[str, Any], record: Path) -> Step:
    folder = root / entry["folder"]
    if not (folder / "manifest.json").is_file():
        raise MashqError(
            f"report: {record}: step '{entry['name']}' has no {folder / 'manifest.json'}. It is not finished, or its "
            f"folder was moved: run the recipe again, finished steps are not made twice."
        )
    manifest = _read_json(folder / "manifest.json", "a step's manifest")
    fingerprint = str(entry.get("fingerprint") or manifest.get("fingerprint", ""))
    seconds = float(entry.get("seconds") or 0.0)
    drift = tuple(map(str, entry.get("drift") or ()))
    return Step(str(entry["name"]), folder, fingerprint, bool(entry.get("reused")), seconds, manifest, drift)


def read_card(step: Step) -> dict[str, Any]:
    """`card.json` of a training step; one that was not written is empty."""
    path = step.folder / "card.json"
    return _read_json(path, "a model's card") if path.is_file() else {}


def read_model(step: Step) -> Model:
    """Card and log of a training step; a log or card that was not written is empty."""
    log_path, readme = step.folder / "log.jsonl", step.folder / "README.md"
    log = tuple(_read_lines(log_path)) if log_path.is_file() else ()
    return Model(read_card(step), log, readme if readme.is_file() else None)


def read_survey(step: Step) -> dict[str, Any]:
    """`survey.json` of a writing step's survey. Raises MashqError where it is absent."""
    return _read_json(step.folder / "survey.json", "a survey of what was written")


def read_tables(step: Step) -> dict[str, Any]:
    """`tables.json`: tables of counts. Raises MashqError where it is absent."""
    return _read_json(step.folder / "tables.json", "tables of counts")


def read_contamination(step: Step) -> dict[str, Any]:
    """`contamination.json`: what of the test items stands in the training stages. Raises MashqError where absent."""
    return _read_json(step.folder / "contamination.json", "what of the test items was learnt")


def read_evaluation(step: Step) -> Evaluation:
    """Scores of an evaluation step. Raises MashqError where `scores.json` or `samples.parquet` is absent."""
    samples = step.folder / "samples.parquet"
    if not samples.is_file():
        raise MashqError(f"report: step '{step.name}' produces an evaluation, but {samples} is absent.")
    scores = _read_json(step.folder / "scores.json", "an evaluation's scores")
    known = {system["name"] for system in scores.get("systems", [])}
    for key in ("systems", "baseline", "scores"):
        if key not in scores:
            where = step.folder / "scores.json"
            raise MashqError(f"report: {where}: expected the key '{key}', got {', '.join(scores)}.")
    if scores["baseline"] not in known:
        raise MashqError(f"report: {step.folder}: the baseline '{scores['baseline']}' is none of the systems {known}.")
    return Evaluation(scores, samples)


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MashqError(f"report: {path}: expected {what}, but there is no such file.") from error
    except OSError as error:
        raise MashqError(
            expected_got(f"report: {path}", what, f"'{error.strerror}' where it was to be read")
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MashqError(f"report: {path}: expected {what} in JSON, got something else: {error}.") from error
    if not isinstance(value, dict):
        raise MashqError(f"report: {path}: expected {what} (a JSON object), got a {type(value).__name__}.")
    return value


def _read_lines(path: Path) -> Sequence[dict[str, Any]]:
    """One object a line. A last line cut short by a kill is left out; a broken line before it is an error."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise MashqError(f"report: {path}, line {number}: expected a JSON object, got {line[:60]!r}.") from error
    return found
