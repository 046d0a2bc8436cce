"""What one process does of a training: load, encode the rows, train to the end, leave weights in a partial folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mashq import model_identity
from mashq.fertility import fertility, texts_of
from mashq.rows import MashqError, expected_got
from mashq.shards import write_whole
from mashq.train.rows import Example, Refused, examples, hash_of, reasons, table_of
from mashq.train.settings import TrainSettings, kept_as

if TYPE_CHECKING:
    from mashq.train.loop import Run

__all__ = ["Rows", "Tell", "fit"]

MOST_MEASURED = 5_000  # texts whose cost in tokens the card tells
FIRST = os.environ.get("RANK", "0") == "0"  # of several processes, the one that writes
Rows: TypeAlias = pa.Table | Path | Sequence[Path]
Tell: TypeAlias = Callable[[Mapping[str, float | int]], None]


def fit(
    settings: TrainSettings,
    rows: Rows,
    out: Path,
    *,
    validation: Rows | None = None,
    init: Path | None = None,
    on_step: Tell | None = None,
) -> dict[str, Any] | None:
    """The training in this process, the only one or one of several; the weights then stand in a partial folder.

    -> what the card says of it: frame, base, previous, rows, run, through; None where the folder holds this very run,
    finished.
    """
    with _quiet():
        from mashq.train.loop import Run
        from mashq.train.start import Start

        table = table_of(rows)
        start = Start.of(settings, init, texts_of(table)[0] if settings.new_tokens else ())
        made = functools.partial(
            examples,
            tokenizer=start.tokenizer,
            frame=start.frame,
            max_tokens=settings.max_tokens,
            supervise=settings.supervise,
        )
        learn, refused = made(table)
        held: list[Example] = []
        if validation is not None:
            held, more = made(table_of(validation))
            refused += more
        _check_rows(settings, learn, held, refused)
        plan = {
            "settings": dataclasses.asdict(settings),
            "rows": hash_of(learn),
            "validation": hash_of(held),
            "init": start.name,
        }
        if _finished(out, plan, settings.method):
            return None
        if FIRST:
            _write_lines(out / "refused.jsonl", [dataclasses.asdict(one) for one in refused])
        run = Run(settings, start, learn, held, out, on_step)
        told = {**run.go(), "speed": _speed(run, learn)}
        run.save()
        some = table.filter(pc.is_null(table["dropped"])).slice(0, MOST_MEASURED)
        texts, varieties = texts_of(some)
        first = slice(MOST_MEASURED)
        cost = fertility(texts[first], start.tokenizer, name=settings.model, varieties=varieties[first])
    counts = {"train": len(learn), "validation": len(held), "refused": len(refused), "reasons": reasons(refused)}
    return {
        "frame": start.frame.name,
        "base": start.base,
        "previous": start.card,
        "rows": counts,
        "run": told,
        "fertility": cost.as_dict(),
        "through": model_identity.through(start.tokenizer, start.frame),
    }


def _speed(run: Run, learn: Sequence[Example]) -> dict[str, Any]:
    """How fast it went, with padding and without, and the share of the machine's peak."""
    import torch

    from mashq.train.cost import measured_peak, model_facts, peak_of, speed

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    try:
        facts = model_facts(run.model)
    except MashqError as error:  # a mixture of experts, whose work depends on the text
        return {"not_counted": str(error)}
    peak = peak_of(device, run.precision) or measured_peak(run.precision)
    lengths = [len(one.ids) for one in learn]
    return dataclasses.asdict(speed(run.lines(), facts, lengths=lengths, peak=peak, recompute=run.settings.recompute))


def _check_rows(
    settings: TrainSettings, learn: Sequence[Example], held: Sequence[Example], refused: Sequence[Refused]
) -> None:
    if not learn:
        counts = ", ".join(f"{n} {kind}" for kind, n in reasons(refused).items()) or "there were none"
        do = "See max_tokens and references."
        raise MashqError(expected_got("train: rows", "at least one to train on", f"none ({counts})", do))
    if settings.keep_best and not held:
        raise MashqError(expected_got("train: keep_best", "rows of split validation", "none"))


def _write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _finished(out: Path, plan: Mapping[str, Any], method: str) -> bool:
    """Whether the folder holds this very run, finished; a folder of another run is refused."""
    path = out / "plan.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != plan:
            changed = ", ".join(sorted(k for k in plan if found.get(k) != plan[k]))
            raise MashqError(
                expected_got(f"train: folder {out}", "the run asked for", f"another run (different {changed})")
                + " Choose another folder, or delete this one."
            )
        return (out / kept_as(method)).is_dir()
    if not FIRST:
        return False
    with write_whole(path) as partial:
        partial.write_text(json.dumps(plan, ensure_ascii=False, indent=1), encoding="utf-8")
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the libraries below say of each other; none of it is about the user's run."""
    from mashq.lm.weights import quiet

    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")  # peft sets it right for GPT-2 by itself
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|accelerate|torch).*")
        yield
