"""A step: settings and inputs -> a folder and its manifest; made once, resumed by shard, told when its code changed.

A step's folder is named by its fingerprint: a hash of its name, version, resolved settings, the fingerprints of its
inputs and the content of its files. A changed setting is a new folder, never an overwrite, and two recipes that share
work share the folder. The manifest is written last: a folder without one is unfinished, whatever lies in it.

Row work is cut into shards whose borders depend on the input alone. Each is written under a fixed name with its rows
in a fixed order (`mashq.shards`), so the hashes of the shards are the same after kill -9, on 1 or 16 workers, here or
on Ray (`mashq.engine`).
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import filelock
import pyarrow as pa

from mashq.engine import Engine, give_back_memory
from mashq.provenance import Meter, code_hashes, commit, lasting_hash, machine, package_versions
from mashq.rows import MashqError, file_hash, read_part
from mashq.settings import builtins
from mashq.shards import (
    counts_line,
    make_shard,
    make_slice,
    read_receipt,
    receipt_path,
    stream_parts,
    sum_parts,
    write_json,
)

__all__ = ["Job", "Made", "Step", "Store", "before", "manifest_of", "needed", "parts_of", "read_rows"]


@dataclass(frozen=True)
class Step:
    """One piece of work and everything that decides its result.

    `kind` says how `work` is called:
    * map: `work(rows, job) -> rows` on each row group of the first input (of all in `over`, one after the other), in
      parallel, one part in and one part out; what it leaves out on purpose it adds to `job.unsampled`;
    * slices: `work(slice, job) -> iterator of tables` for each of `slices(job)`, in parallel, a part each; a slice is a
      record of texts that says what to read, and their list depends on the files alone; the manifest keeps it;
    * stream: `work(job) -> iterator of tables`, once, in order, cut into parts of `rows_per_part` rows;
    * folder: `work(job) -> facts` fills `job.folder` with files (a model, an evaluation, a report) and may find there
      what an interrupted run left.
    """

    name: str
    work: Callable[..., Any]
    settings: Any = None
    inputs: Mapping[str, Step] = field(default_factory=dict)
    files: Mapping[str, str | Path] = field(default_factory=dict)  # name -> path; the content is in the fingerprint
    identity: Mapping[str, Any] = field(default_factory=dict)  # what else decides the result, e.g. the model
    kind: Literal["map", "slices", "stream", "folder"] = "map"
    produces: str = "rows"
    version: int = 1
    rows_per_part: int = 50_000
    here: bool = False  # run in this process, one part after the other: for work that holds a model
    over: tuple[str, ...] = ()  # inputs whose rows a map step takes, in this order; () = the first
    slices: Callable[[Job], list[dict[str, str]]] | None = None  # of a slices step
    aside: Any = None  # what the work needs and what does not decide its result (prices, limits), or stands in identity
    private: bool = False  # its rows may name people: no report or card shows any of them

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the result; workers, engine, paths and machine are not in it."""
        recipe = {
            "step": self.name,
            "version": self.version,
            "settings": builtins(self.settings),
            "inputs": {name: step.fingerprint for name, step in self.inputs.items()},
            "files": self.file_hashes,
            "identity": builtins(dict(self.identity)),
            "rows_per_part": self.rows_per_part if self.kind == "stream" else None,
            **({"over": self.over} if self.over else {}),
        }
        text = json.dumps(recipe, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @functools.cached_property
    def file_hashes(self) -> dict[str, str]:
        """Name -> hash of the content of each file (of a folder: of all its files)."""
        return {name: _content_hash(self.name, name, Path(path)) for name, path in self.files.items()}

    @property
    def folder_name(self) -> str:
        """`<step>@<fingerprint>`."""
        return f"{self.name}@{self.fingerprint}"


def needed(steps: Iterable[Step]) -> list[Step]:
    """The steps and all that they need, each once, in the order in which they are made."""
    found: dict[str, Step] = {}

    def visit(step: Step) -> None:
        for one in step.inputs.values():
            visit(one)
        found.setdefault(step.fingerprint, step)

    for step in steps:
        visit(step)
    return list(found.values())


def before(step: Step) -> list[Step]:
    """All steps that this one is made from, each once, nearest first."""
    found: dict[str, Step] = {}
    waiting = list(step.inputs.values())
    while waiting:
        one = waiting.pop(0)
        if one.fingerprint not in found:
            found[one.fingerprint] = one
            waiting += one.inputs.values()
    return list(found.values())


@dataclass
class Job:
    """What a step's work is handed: its settings, where its inputs lie, and where its own files go."""

    name: str
    settings: Any
    folder: Path
    inputs: dict[str, Path]
    files: dict[str, Path]
    root: Path  # of the store: where the ledger of model replies lies
    aside: Any = None
    unsampled: int = 0  # map and stream work add here the rows that they left out on purpose
    _seen: list[pa.ChunkedArray] = field(default_factory=list, repr=False)

    def read(self, name: str) -> Iterator[pa.Table]:
        """The kept rows of one input, in their order; they count as taken in."""
        for table in read_rows(self.inputs[name]):
            self._seen.append(table.column("id"))
            yield table

    def table(self, name: str) -> pa.Table:
        """All kept rows of one input together. Raises MashqError where there is none."""
        tables = list(self.read(name))
        if not tables:
            raise MashqError(
                f"{self.name}: expected rows of '{name}', got none: all were dropped. Their reasons: "
                f"mashq show {self.inputs[name].name.split('@')[0]} --dropped"
            )
        return pa.concat_tables(tables)


@dataclass(frozen=True)
class Made:
    """A finished step: where it lies, what its manifest says, and whether it was there already."""

    step: Step
    folder: Path
    manifest: dict[str, Any]
    reused: bool
    drift: tuple[str, ...] = ()  # modules whose code is not the code that made the folder


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished step's folder, or None where the step is not finished."""
    path = folder / "manifest.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def parts_of(folder: Path, dropped: bool = False) -> list[Path]:
    """The Parquet parts of a finished step, of its kept or of its dropped rows, in their order."""
    manifest = manifest_of(folder)
    if manifest is None:
        raise MashqError(f"{folder}: expected a finished step, got no manifest.json. Run `mashq make` again.")
    if dropped:
        return [folder / "dropped" / part["name"] for part in manifest["parts"] if part["dropped_rows"]]
    return [folder / part["name"] for part in manifest["parts"]]


def read_rows(folder: Path, columns: list[str] | None = None, dropped: bool = False) -> Iterator[pa.Table]:
    """The kept (or the dropped) rows of a finished step, a row group at a time, in their order."""
    for part in parts_of(folder, dropped):
        yield from read_part(part, columns)


class Store:
    """The folder `runs/`: makes steps, or finds them made."""

    def __init__(self, root: Path, engine: Engine | None = None, say: Callable[[str], None] = lambda line: None):
        self.root = root
        self.engine = engine or Engine()
        self.say = say
        self._made: dict[str, Made] = {}

    def folder(self, step: Step) -> Path:
        """Where the step lies or will lie."""
        return self.root / "steps" / step.folder_name

    def make(self, step: Step, force: frozenset[str] = frozenset()) -> Made:
        """Make a step and what it needs; a finished one is reused unless its name is in `force`."""
        if step.fingerprint not in self._made:
            inputs = {name: self.make(needed, force) for name, needed in step.inputs.items()}
            with _locked(self.folder(step)):
                self._made[step.fingerprint] = self._reuse(step, inputs, force) or self._anew(step, inputs, force)
        return self._made[step.fingerprint]

    def _reuse(self, step: Step, inputs: dict[str, Made], force: frozenset[str]) -> Made | None:
        """The step as it lies, where it is whole and was made from the inputs as they are now."""
        folder = self.folder(step)
        manifest = None if step.name in force else manifest_of(folder)
        if manifest is None or manifest["input_hashes"] != _hashes(inputs):
            return None
        _check_sizes(folder, manifest)
        then, now = manifest["code"]["modules"], code_hashes(step.work)
        drift = tuple(name for name, value in now.items() if then.get(name, value) != value)
        if drift:
            self.say(f"drift {step.folder_name}: {', '.join(drift)} changed since it was made; --force makes it anew")
        return Made(step, folder, manifest, reused=True, drift=drift)

    def _anew(self, step: Step, inputs: dict[str, Made], force: frozenset[str]) -> Made:
        folder = self.folder(step)
        code = code_hashes(step.work)
        resumed = _prepare(folder, {"code": code, "inputs": _hashes(inputs)}, step.name in force)
        self.say(f"{'resuming' if resumed else 'making'} {step.folder_name}")
        job = Job(
            name=step.name,
            settings=step.settings,
            folder=folder,
            inputs={name: made.folder for name, made in inputs.items()},
            files={name: Path(path) for name, path in step.files.items()},
            root=self.root,
            aside=step.aside,
        )
        with Meter() as meter:
            result = self._work(step, job)
        if step.here or step.kind == "folder":  # where models are held
            give_back_memory()
        manifest = _manifest(step, result, meter, code, inputs)
        write_json(folder / "manifest.json", manifest)
        shutil.rmtree(folder / ".progress")
        cost = f"{meter.seconds:.1f} s, {meter.peak_mb:,.0f} MB"
        self.say(f"made {step.folder_name}: {counts_line(manifest['counts'])} ({cost})")
        return Made(step, folder, manifest, reused=False)

    def _work(self, step: Step, job: Job) -> dict[str, Any]:
        if step.kind == "folder":
            facts = step.work(job) or {}
            return {"facts": facts, "parts": [], "counts": None, **_outputs(job.folder, step.produces)}
        slices = [] if step.kind == "stream" else self._slices(step, job)
        if step.kind == "stream":
            parts = stream_parts(step.work(job), job, step.rows_per_part, job._seen)
        else:
            parts = self._in_parallel(step, job, slices)
        cut = {"slices": slices} if step.slices is not None else {}
        return {"facts": {}, "outputs": [], **cut, **sum_parts(step.name, parts)}

    def _slices(self, step: Step, job: Job) -> list[dict[str, str]]:
        if step.slices is not None:
            return step.slices(job)
        parts = [path for name in step.over or list(job.inputs)[:1] for path in parts_of(job.inputs[name])]
        return [{"source": str(path)} for path in parts]

    def _in_parallel(self, step: Step, job: Job, slices: list[dict[str, str]]) -> list[dict[str, Any]]:
        shards = [{**one, "part": f"part-{place:05}.parquet"} for place, one in enumerate(slices)]
        waiting = [shard for shard in shards if not receipt_path(job.folder, shard["part"]).exists()]
        make = functools.partial(make_shard if step.slices is None else make_slice, step.work, job)
        for done, name in enumerate(self.engine.map(make, waiting, here=step.here), 1):
            if len(waiting) > 1:
                self.say(f"  {step.name} {name} ({done} of {len(waiting)})")
        return [read_receipt(job.folder, shard["part"]) for shard in shards]


# --- manifests -------------------------------------------------------------------------------------------------------


def _manifest(
    step: Step, result: dict[str, Any], meter: Meter, code: dict[str, str], inputs: dict[str, Made]
) -> dict[str, Any]:
    content = [(part["name"], part["hash"], part["dropped_hash"]) for part in result["parts"]]
    content += [(name, value, None) for name, value in result.get("lasting", {}).items()]
    return {
        "step": step.name,
        "version": step.version,
        "fingerprint": step.fingerprint,
        "produces": step.produces,
        "private": step.private,
        # Of all that is the same whenever and wherever it is made; None where nothing is.
        "hash": hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest() if content else None,
        "settings": builtins(step.settings),
        "identity": builtins(dict(step.identity)),
        "inputs": {name: made.step.fingerprint for name, made in inputs.items()},
        "input_hashes": _hashes(inputs),
        "files": step.file_hashes,
        "parts": result["parts"],
        "slices": result.get("slices", []),  # of a slices step: one a part, in order; their paths are in no hash
        "outputs": result["outputs"],
        "counts": result["counts"],
        "reasons": result.get("reasons", {}),
        "tally": result.get("tally", {}),
        "licences": result.get("tally", {}).get("licence", {}),
        "facts": result["facts"],
        "seconds": round(meter.seconds, 3),
        "cpu_seconds": round(meter.cpu_seconds, 3),
        "peak_memory_mb": round(meter.peak_mb, 1),
        "packages": package_versions(),
        "code": {"modules": code, "commit": commit()},
        "machine": machine(),
        "started": meter.started,
    }


def _hashes(inputs: Mapping[str, Made]) -> dict[str, str]:
    return {name: made.manifest["hash"] for name, made in inputs.items()}


def _outputs(folder: Path, produces: str) -> dict[str, Any]:
    """The files of a folder step, and name -> hash of what of them is `lasting`, which enters the step's hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in files}
    kept = {name: path for name, path in names.items() if Path(name).parts[0] not in (".progress", "manifest.json")}
    hashes = {name: file_hash(path) for name, path in kept.items()}
    told = {name: lasting_hash(path, produces, hashes[name]) for name, path in kept.items()}
    lasting = {name: value for name, value in told.items() if value is not None}
    outputs = [
        {"name": name, "bytes": path.stat().st_size, "hash": hashes[name], "lasting": name in lasting}
        for name, path in kept.items()
    ]
    return {"outputs": outputs, "lasting": lasting}


def _check_sizes(folder: Path, manifest: Mapping[str, Any]) -> None:
    for entry in manifest["parts"] + manifest["outputs"]:
        path = folder / entry["name"]
        got = f"{path.stat().st_size:,} bytes" if path.exists() else "no file"
        if got != (expected := f"{entry['bytes']:,} bytes"):
            raise MashqError(f"{path}: expected {expected}, got {got}: it changed after it was made. Use --force.")


def _prepare(folder: Path, made_by: dict[str, Any], force: bool) -> bool:
    """Leave in the folder only what this code, on these inputs, finished before; True where there is such work."""
    note = folder / ".progress" / "made_by.json"
    same = note.exists() and json.loads(note.read_text("utf-8")) == made_by
    if folder.exists() and (force or not same or (folder / "manifest.json").exists()):
        shutil.rmtree(folder)
    resumed = note.exists()
    for partial in list(folder.rglob("*.partial")):
        if partial.is_dir():  # weights that were not in place yet
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)  # it may have lain in such a folder
    write_json(note, made_by)
    return resumed


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer a folder; the system frees the lock of a process that dies."""
    locks = folder.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(locks / (folder.name + ".lock"), timeout=0):
            yield
    except filelock.Timeout as error:
        raise MashqError(
            f"{folder.name}: another mashq is making it. Wait for it, or stop it and run again."
        ) from error


def _content_hash(step: str, name: str, path: Path) -> str:
    if not path.exists():
        raise MashqError(f"{step}: {name}: there is no file or folder {path}.")
    if path.is_file():
        return file_hash(path)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file())
    listing = [(str(entry.relative_to(path)), file_hash(entry)) for entry in files]
    return hashlib.blake2b(json.dumps(listing).encode(), digest_size=16).hexdigest()
