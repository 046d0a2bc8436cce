"""Where shards run: Daft on this machine, or the same plan on Ray.

mashq writes no scheduler: a shard is a row of a Daft DataFrame and making it is a Daft function, so the native runner
spreads shards over processes and the Ray runner over a cluster. What a shard does is Arrow batches in, Arrow batches
out (`mashq.run.make_shard`).
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mashq.rows import MashqError

__all__ = ["Engine", "give_back_memory"]

Shard = Mapping[str, str]
Make = Callable[[Shard], str]


@dataclass(frozen=True)
class Engine:
    """`local`, `ray` (a Ray started here) or `ray://host:port`; workers are processes, by default one a core."""

    where: str = "local"
    workers: int = field(
        default_factory=lambda: len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    )

    def map(self, make: Make, shards: Sequence[Shard], here: bool) -> Iterator[str]:
        """Make every shard; gives their names as they finish. The first fault stops the rest and is raised."""
        if here or (self.where == "local" and (self.workers == 1 or len(shards) == 1)):
            yield from (make(shard) for shard in shards)
        elif shards:
            yield from self._map_daft(make, shards)

    def _map_daft(self, make: Make, shards: Sequence[Shard]) -> Iterator[str]:
        import daft

        self._set_runner(daft)
        _ship_by_value(make)
        maker = _maker(daft, min(self.workers, len(shards)), here=os.getpid())(make)
        frame = daft.from_pydict({"shard": [json.dumps(shard) for shard in shards]})
        if self.where != "local":
            frame = frame.into_partitions(len(shards))
        for row in frame.select(maker(frame["shard"]).alias("made")).iter_rows():
            made = json.loads(row["made"])
            if "fault" in made:
                raise MashqError(made["fault"])
            if "bug" in made:
                raise RuntimeError(f"a shard failed in a worker:\n{made['bug']}")
            yield made["name"]

    def _set_runner(self, daft: Any) -> None:
        if self.where == "local":
            return
        try:
            import ray
        except ImportError as error:
            raise MashqError("--engine ray: Ray is not installed. Install it: pip install 'mashq[ray]'.") from error
        if not ray.is_initialized():
            address = self.where if self.where.startswith("ray://") else None
            local: dict[str, Any] = {} if address else {"include_dashboard": False, "num_cpus": max(2, self.workers)}
            ray.init(address=address, log_to_driver=False, configure_logging=False, **local)
        daft.set_runner_ray(noop_if_initialized=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _maker(daft: Any, workers: int, here: int) -> Any:
    """The Daft class that makes shards, one a call, in `workers` processes."""

    class Maker:
        def __init__(self, make: Make):
            self.make = make
            if os.getpid() != here:
                _end_with(os.getppid())
                # What a worker made lies on disk: taking its memory apart would only keep the next step waiting.
                atexit.register(os._exit, 0)

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=1)
        def __call__(self, shards: Any) -> Any:
            return daft.Series.from_pylist([_attempt(self.make, json.loads(shard)) for shard in shards.to_pylist()])

    return daft.cls(Maker, use_process=True, max_concurrency=workers)


def _attempt(make: Make, shard: Shard) -> str:
    """One shard's name, or what went wrong, as JSON: Daft would wrap an exception beyond recognition."""
    try:
        return json.dumps({"name": make(shard)})
    except MashqError as error:
        return json.dumps({"fault": str(error)})
    except Exception:
        return json.dumps({"bug": traceback.format_exc()})


def _end_with(parent: int) -> None:
    """A worker whose parent was killed ends itself, so that nothing goes on writing behind the next run's back."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ship_by_value(make: Callable[..., Any]) -> None:
    """A user's own recipe file is no installed module: send its code along with the work."""
    from daft.pickle import cloudpickle

    work = make.args[0] if hasattr(make, "args") else make
    module = sys.modules.get(getattr(work, "__module__", ""))
    if module is not None and getattr(module, "__mashq_recipe_file__", None):
        cloudpickle.register_pickle_by_value(module)  # type: ignore[attr-defined]  # Daft's copy has no stubs


def give_back_memory() -> None:
    """Let the machine have what a finished step held.

    The C library keeps freed blocks for itself: after training Gemma 3 270M a process held 2.7 GB, 2.0 after the
    collector and 0.7 after this, and a sweep in one process grew from cell to cell. Elsewhere than with glibc only the
    collector runs.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)
