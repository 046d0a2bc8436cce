"""What made a result and what it cost: code, package versions, commit, machine, seconds, memory."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["Meter", "code_hashes", "commit", "lasting_hash", "machine", "package_versions"]

PACKAGES = ("daft", "pyarrow", "numpy", "jinja2", "torch", "transformers", "peft", "xllamacpp", "babel", "sacrebleu")
BYTES = (".safetensors", ".parquet")  # lasting byte for byte, whatever step left them
TOLD = (".json", ".csv", ".tsv")  # what a step found, told as data; pages and plots are drawn from it
DATED = ("model", "sweep")  # beside weights and cells these tell of times, machines and paths
ADDRESS = re.compile(r"((?:\w+:)?)https?://[^/#\s]+([/#]\S*)?")  # where a model is asked


def code_hashes(work: Callable[..., Any]) -> dict[str, str]:
    """Module -> hash of the code that `work` uses of it; comments, docstrings and annotations apart.

    Of the module that defines `work`, what it reaches counts; of mashq's modules that it uses, the whole, and theirs.
    """
    own, waiting = _reached(work.__module__, work.__name__)
    found = {work.__module__: own}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name], imports = _whole(name)
            waiting += imports
    return dict(sorted(found.items()))


@functools.cache
def _parsed(name: str) -> ast.Module:
    """A module's syntax tree without docstrings and annotations."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None) or getattr(importlib.util.find_spec(name), "origin", None)
    tree = ast.parse(Path(path).read_text("utf-8") if path else "")
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@functools.cache
def _whole(name: str) -> tuple[str, list[str]]:
    tree = _parsed(name)
    return _digest([tree]), [module for modules in _imports(tree).values() for module in modules]


def _reached(name: str, function: str) -> tuple[str, list[str]]:
    """Hash of the top-level pieces of a module that a function reaches, and the mashq modules that these use."""
    tree = _parsed(name)
    pieces = {known: node for node in tree.body for known in _defines(node)}
    imports = _imports(tree)
    reached: dict[str, ast.stmt] = {}
    waiting, used = [function], set()
    while waiting:
        known = waiting.pop()
        used.add(known)
        if known in pieces and known not in reached:
            reached[known] = pieces[known]
            waiting += [node.id for node in ast.walk(pieces[known]) if isinstance(node, ast.Name)]
            for inner in _imports(pieces[known]).values():
                imports[f"in {known}"] = [*imports.get(f"in {known}", []), *inner]
            used.add(f"in {known}")
    return _digest([reached[known] for known in sorted(reached)]), [one for key in used for one in imports.get(key, [])]


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _imports(tree: ast.AST) -> dict[str, list[str]]:
    """Name as it is used -> the mashq modules behind it."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mashq":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found[alias.asname or alias.name] = [inner if _is_module(inner) else str(node.module)]
        if isinstance(node, ast.Import):
            ours = [alias.name for alias in node.names if alias.name.startswith("mashq.")]
            found.update({one: [one] for one in ours})
    return found


def _digest(nodes: list[Any]) -> str:
    return hashlib.blake2b("\n".join(ast.dump(node) for node in nodes).encode(), digest_size=8).hexdigest()


@functools.cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a result, as far as they are installed; and Python's and mashq's."""
    versions = {"python": sys.version.split()[0]}
    for name in ("mashq", *PACKAGES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that runs, `+` where it has changes; None outside a checkout."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "."], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+" if changed.strip() else "")


class Meter:
    """Wall seconds, CPU seconds (children included) and peak resident memory (this process and its children, MB)."""

    def __enter__(self) -> Meter:
        import psutil

        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.seconds = self.cpu_seconds = self.peak_mb = 0.0
        self._wall, self._cpu, self._process = time.perf_counter(), _cpu(), psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            self._sample()

    def _sample(self) -> None:
        import psutil

        held = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                held += process.memory_info().rss
            except psutil.Error:  # it ended between being listed and being read
                held += 0
        self.peak_mb = max(self.peak_mb, held / 2**20)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._sample()
        self.seconds, self.cpu_seconds = time.perf_counter() - self._wall, _cpu() - self._cpu


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def machine() -> dict[str, Any]:
    """Processor, cores and memory of this machine, for manifests and reports; no names of people or hosts."""
    import psutil

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def lasting_hash(path: Path, produces: str, whole: str) -> str | None:
    """Hash of what a file of a folder step says whenever and wherever the step is made; None where nothing is lasting.

    `produces` is the step's kind of result, `whole` the hash of the file's bytes. Of JSON the content counts, without
    the hosts of models' addresses: a judge that is served elsewhere says the same.
    """
    if path.suffix in BYTES or path.name == "scores.json":
        return whole
    if produces in DATED or path.suffix not in TOLD:
        return None
    if path.suffix != ".json":
        return whole
    content = json.dumps(_without_hosts(json.loads(path.read_text("utf-8"))), sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _without_hosts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_hosts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_hosts(one) for one in value]
    if isinstance(value, str) and (found := ADDRESS.fullmatch(value)):
        return f"{found[1]}{found[2] or ''}"
    return value
