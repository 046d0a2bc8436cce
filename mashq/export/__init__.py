"""Prompt rows -> what others read: Super-NaturalInstructions, chat JSON lines, lm-evaluation-harness, the hub.

Rows pass through once, some thousands at a time. The folder appears under its name when all of it is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import pyarrow as pa

from mashq.export.card import Content, write_cards
from mashq.export.hub import HubWriter
from mashq.export.known import Known
from mashq.export.lm_eval import LmEvalWriter
from mashq.export.messages import MessagesWriter
from mashq.export.natural_instructions import TaskWriter
from mashq.export.survey import Survey
from mashq.export.taken import Taken, take
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["FORMATS", "Survey", "Taken", "export", "take"]

FORMATS = ("ni", "messages", "hub", "lm-eval")


def export(
    rows: Taken | Path | Sequence[Path],
    out: Path,
    to: str,
    *,
    gzip: bool = False,
    templates: Sequence[Path] = (),
) -> Survey:
    """Write rows (a step's folder or several, or one Parquet file of rows) into the new folder `out`; says what it is.

    `to` is one of `FORMATS`. `out` gets README.md, a card for each data set in cards/, and
    * ni: tasks/[SPLIT/]TEMPLATE.json, one file a template, licence and split (a task that was read is written back);
    * messages: SPLIT.jsonl (`gzip`: .jsonl.gz), a conversation a line that ends with the first reference;
    * lm-eval: a task YAML and JSON lines for each template, and `mashq.yaml`, the group of all of them;
    * hub: data/SPLIT-00000-of-0000N.parquet with the columns of `sources.exported.HUB_SCHEMA`.
    Cards cite as the library's templates say, and those in the files `templates`.
    The same rows give the same bytes. Dropped rows are counted and not written; a row that the format cannot hold is
    left out with a reason, and counted. Rows without a split are train's, except in ni, where they have no folder.

    Raises MashqError for an `out` that holds something, a file that is none of mashq's, and where no row is left.
    """
    if to not in FORMATS:
        raise MashqError(f"export: expected one of {', '.join(FORMATS)}, got '{to}'.{nearest(to, FORMATS)}")
    out = out.expanduser().absolute()
    taken, known = rows if isinstance(rows, Taken) else take(rows), Known(templates)
    with _new_folder(out) as folder:
        survey = Survey()
        writer = _writer(folder, to, known, gzip)
        try:
            for table in taken.tables():
                kept = _without(table, writer.why_not(table), survey)
                survey.add(kept)
                writer.write(kept)
        except BaseException:
            writer.abandon()
            raise
        files = writer.close()
        if survey.rows == 0:
            got = "; ".join(f"{reason}: {n:,}" for reason, n in survey.left_out_reasons().items()) or "no row"
            raise MashqError(expected_got(f"export: {taken.name}", f"rows that {to} can hold", got, _HINT))
        write_cards(folder, Content(out.name, taken, survey, known, to, files))
    return survey


def _writer(folder: Path, to: str, known: Known, gzip: bool) -> TaskWriter | MessagesWriter | HubWriter | LmEvalWriter:
    if to == "ni":
        return TaskWriter(folder, known)
    if to == "lm-eval":
        return LmEvalWriter(folder)
    return HubWriter(folder) if to == "hub" else MessagesWriter(folder, gzip=gzip)


_HINT = "Prompt rows have messages and references: `mashq make` a step that ends with templates."


def _without(table: pa.Table, reasons: Sequence[str | None], survey: Survey) -> pa.Table:
    """The rows that the format holds; the others are counted."""
    survey.leave_out(table, reasons)
    if not any(reasons):
        return table
    return table.filter(pa.array([reason is None for reason in reasons], pa.bool_()))


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its name at the end; what a killed export left in it is cleared.

    Raises MashqError where `out` holds something, or another export to it is under way.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise MashqError(f"export: {out} is there already. Name another folder, or remove it.")
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(partial / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise MashqError(f"export: another mashq is writing {out}. Wait for it, or name another folder.") from error
    except OSError as error:
        raise MashqError(f"export: {out}: cannot be written: {error.strerror}.") from error
    try:
        _clear(partial)
        yield partial
        (partial / ".lock").unlink()
        partial.replace(out)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise MashqError(f"export: {out}: cannot be written: {error.strerror or error}.") from error
        raise
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()
