"""A training batch as the model saw it, token by token: what it read, what it was taught to say, what was padding.

The rows of a train step are encoded again and put into the order of training (`train.rows.bucketed`, by seed and
epoch), so that the batch of any step can be looked at long after it. That it is the very batch is checked, not hoped:
the hash of the examples must be the one that the run wrote into plan.json before it began, and the counts of the step
are held against its line in log.jsonl.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq import chat, targets
from mashq.fertility import fertility, texts_of, tokenizer_of
from mashq.make import find_rows
from mashq.record import find_record
from mashq.rows import MashqError, expected_got, nearest
from mashq.run import manifest_of, read_rows
from mashq.train.rows import Example, examples, hash_of, table_of
from mashq.train.rows import bucketed as ordered
from mashq.train.settings import TrainSettings

__all__ = [
    "Asked",
    "Batch",
    "Training",
    "batch_at",
    "fertility_lines",
    "find_training",
    "lines",
    "row_lines",
    "shown",
    "summary",
    "token_text",
    "training_of",
    "view",
    "visible",
    "where_seen",
]

FSI, PDI = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
SIGNS = {" ": "\N{SYMBOL FOR SPACE}", "\n": "\N{RETURN SYMBOL}", "\t": "\N{RIGHTWARDS ARROW TO BAR}"}
GREEN, GREY, PLAIN = "\x1b[32m", "\x1b[90m", "\x1b[0m"


# --- what a run was trained on ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A train step read back: its settings, its examples in the order of its rows, its tokenizer and its log."""

    folder: Path
    settings: TrainSettings
    learn: Sequence[Example]
    tokenizer: Any
    processes: int
    log: Mapping[int, Mapping[str, Any]]  # step -> its line

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(one.ids) for one in self.learn]

    @property
    def steps_an_epoch(self) -> int:
        """Optimiser steps of one pass over the rows."""
        batches = math.ceil(len(self.learn) / self.settings.rows_per_batch)
        return math.ceil(batches / (self.settings.accumulate * self.processes))

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training, as planned."""
        return self.settings.steps if self.settings.steps > 0 else math.ceil(self.settings.epochs * self.steps_an_epoch)


def find_training(runs: Path, name: str, step: str | None = None) -> Path:
    """The folder of the train step that is meant: a folder, a run (RECIPE, RECIPE/NAME, its file), or a step's name.

    `step`: which one, where a run trains more than one. Raises MashqError where there is none, or several.
    """
    path = Path(name)
    if (path / "plan.json").is_file():
        return path
    try:
        record = find_record(runs, name)
    except MashqError:
        found = [folder for folder in find_rows(runs, name) if (folder / "plan.json").is_file()]
        if not found:
            raise MashqError(
                expected_got(f"tokens: {name}", "a train step's folder or a run with one", "no plan.json in it")
            ) from None
        return found[0]
    from mashq.record import read_run

    trained = {one.name: one.folder for one in read_run(record).steps if (one.folder / "plan.json").is_file()}
    if step is not None:
        if step not in trained:
            known = ", ".join(trained) or "none"
            raise MashqError(
                expected_got("tokens: --step", f"one of {known}", f"'{step}'", nearest(step, trained).strip())
            )
        return trained[step]
    if len(trained) != 1:
        got = f"{len(trained)} ({', '.join(trained)})" if trained else "none"
        raise MashqError(expected_got(f"tokens: {name}", "a run with one train step", got, "Name one with --step."))
    return next(iter(trained.values()))


def training_of(folder: Path, rows: Path | None = None) -> Training:
    """Read a train step back, from its plan.json and the rows of its inputs (or of `rows`, a file or folder).

    Raises MashqError where the rows are gone, and where what they give today is not what was learnt.
    """
    plan = _plan(folder)
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    settings = TrainSettings(**{name: value for name, value in plan["settings"].items() if name in names})
    tokenizer = _tokenizer(folder, settings)
    frame = chat.frame_for(tokenizer, settings.frame)
    table = table_of(rows) if rows is not None else _rows_learnt(folder)
    learn, _ = examples(table, tokenizer, frame, max_tokens=settings.max_tokens, supervise=settings.supervise)
    if hash_of(learn) != plan["rows"]:
        raise MashqError(
            f"tokens: {folder}: these rows and this tokenizer do not give what was learnt: expected examples with hash"
            f" {plan['rows']}, got {len(learn)} with {hash_of(learn)}. The rows, the tokenizer or the code changed"
            " since: give the rows of that run, or train again."
        )
    card = folder / "card.json"
    run = json.loads(card.read_text("utf-8"))["run"] if card.is_file() else {}
    processes = int(run.get("processes") or settings.processes)
    return Training(folder, settings, learn, tokenizer, processes, _log(folder))


def _plan(folder: Path) -> dict[str, Any]:
    path = folder / "plan.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise MashqError(expected_got(f"tokens: {folder}", "a train step's folder", "no plan.json in it")) from error
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise MashqError(f"tokens: {path}: expected JSON, got something else ({error}). Train again.") from error


def _tokenizer(folder: Path, settings: TrainSettings) -> Any:
    """The one that the run left, where it left one, else its base model's."""
    left = [folder / name for name in ("adapter", "model") if (folder / name / "tokenizer_config.json").is_file()]
    return tokenizer_of(str(left[0]) if left else settings.model, remote_code=settings.remote_code)


def _rows_learnt(folder: Path) -> pa.Table:
    """The rows of split train of the step's inputs, found beside it."""
    manifest = manifest_of(folder)
    if manifest is None:
        raise MashqError(
            f"tokens: {folder}: no manifest.json says where its rows lie. Give them: --rows FILE.parquet or a folder."
        )
    tables = []
    for name, fingerprint in manifest["inputs"].items():
        if name == "after":
            continue
        found = [path for path in folder.resolve().parent.glob(f"*@{fingerprint}") if manifest_of(path) is not None]
        if not found:
            raise MashqError(
                f"tokens: {folder}: its rows '{name}' are gone: expected a folder *@{fingerprint} beside it, got none."
                " Run the recipe again (what is there is not made twice), or give the rows: --rows FILE.parquet."
            )
        tables += list(read_rows(found[0]))
    if not tables:
        raise MashqError(expected_got(f"tokens: {folder}", "rows that it was trained on", "none"))
    table = pa.concat_tables(tables)
    return table.filter(pc.equal(pc.fill_null(table["split"], "train"), "train"))


def _log(folder: Path) -> dict[int, dict[str, Any]]:
    path = folder / "log.jsonl"
    taken = {}
    for text in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # a line that is being written
        if "loss" in line:
            taken[int(line["step"])] = line
    return taken


# --- batches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learnt from: batches of examples, one after another."""

    step: int  # of the whole training, from 1, as in log.jsonl
    epoch: int  # from 1
    batches: Sequence[Sequence[Example]]
    packed: bool

    @property
    def supervised(self) -> int:
        """Tokens that the loss was computed at."""
        return sum(label != targets.IGNORED for each in self.batches for one in each for label in one.labels[1:])

    @property
    def total(self) -> int:
        """Tokens without padding."""
        return sum(len(one.ids) for each in self.batches for one in each)

    @property
    def padded(self) -> int:
        """Positions, with padding."""
        return sum(len(each) * self.width(each) for each in self.batches) if not self.packed else self.total

    def width(self, members: Sequence[Example]) -> int:
        """Positions of each row of one batch."""
        return max(len(one.ids) for one in members)

    def disagrees(self, line: Mapping[str, Any] | None) -> str:
        """What the log says otherwise; "" where it says the same or nothing."""
        mine = {"supervised_tokens": self.supervised, "tokens": self.total, "padded_tokens": self.padded}
        other = [f"{name} {line[name]}" for name, n in mine.items() if line and name in line and line[name] != n]
        return ", ".join(other)


def batch_at(training: Training, number: int, epoch: int | None = None) -> Batch:
    """The batch of one optimiser step: the `number`-th of the whole training, or of epoch `epoch` (both from 1).

    Raises MashqError for a step or epoch that the training has not.
    """
    each, steps = training.steps_an_epoch, training.steps
    epochs = math.ceil(steps / each)
    if epoch is None:
        if not 1 <= number <= steps:
            raise MashqError(expected_got("tokens: --batch", f"a step from 1 to {steps}", str(number)))
        epoch, number = (number - 1) // each + 1, (number - 1) % each + 1
    elif not 1 <= epoch <= epochs:
        raise MashqError(expected_got("tokens: --epoch", f"one from 1 to {epochs}", str(epoch)))
    last = min(each, steps - (epoch - 1) * each)
    if not 1 <= number <= last:
        raise MashqError(expected_got("tokens: --batch", f"a step from 1 to {last} of epoch {epoch}", str(number)))
    members = [[training.learn[place] for place in batch] for batch in _steps(training, epoch)[number - 1]]
    return Batch((epoch - 1) * each + number, epoch, members, training.settings.packing)


def _steps(training: Training, epoch: int) -> list[list[list[int]]]:
    """An epoch (from 1) as steps of batches of places in `learn`; of several processes, all their batches together."""
    size, together = training.settings.rows_per_batch, training.settings.accumulate * training.processes
    order = ordered(training.lengths, size, training.settings.seed, epoch - 1)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[start : start + together] for start in range(0, len(batches), together)]


def where_seen(training: Training, row: str) -> tuple[Example, list[tuple[int, int]]]:
    """The example of a row by its id (its first digits are enough), and (step, epoch) of each time it is learnt.

    Raises MashqError where no row, or more than one, begins so; for a row that was refused, with the reason.
    """
    wanted = row.lower()
    found = [place for place, one in enumerate(training.learn) if one.row.startswith(wanted)] if wanted else []
    if len(found) != 1:
        raise MashqError(_no_row(training, row, len(found)))
    each, steps, seen = training.steps_an_epoch, training.steps, []
    for epoch in range(1, math.ceil(steps / each) + 1):
        for number, batches in enumerate(_steps(training, epoch), 1):
            if any(found[0] in batch for batch in batches) and (epoch - 1) * each + number <= steps:
                seen.append(((epoch - 1) * each + number, epoch))
    return training.learn[found[0]], seen


def _no_row(training: Training, row: str, count: int) -> str:
    if count:
        return expected_got("tokens: --row", "an id that one row has", f"'{row}', which {count} begin with")
    path = training.folder / "refused.jsonl"
    for text in path.read_text("utf-8").splitlines() if path.is_file() else ():
        refused = json.loads(text)
        if row and refused["row"].startswith(row.lower()):
            return f"tokens: row {refused['row']} was not learnt: {refused['reason']}."
    return expected_got("tokens: --row", "a row that was learnt", f"'{row}', which none of {len(training.learn)} is")


# --- tokens as people see them ---------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """A token's text with every character to be seen: spaces and line ends as signs, a leading mark on a dotted circle,
    what has no form as its number (`<U+200F>`), a byte that is no whole character as `<D9>`."""
    return "".join(_shown(mark, place == 0) for place, mark in enumerate(text))


def _shown(mark: str, first: bool) -> str:
    kind = unicodedata.category(mark)
    if mark in SIGNS:
        return SIGNS[mark]
    if 0xDC80 <= ord(mark) <= 0xDCFF:  # as Python keeps a byte that is no text (surrogateescape)
        return f"<{ord(mark) - 0xDC00:02X}>"
    if kind[0] == "C" or kind in ("Zl", "Zp", "Zs"):
        return f"<U+{ord(mark):04X}>"
    return "\N{DOTTED CIRCLE}" + mark if first and kind[0] == "M" else mark


def token_text(tokenizer: Any, token: int) -> str:
    """What one token stands for, as `visible` shows it; a special or added token as it is spelled."""
    spelt = tokenizer.convert_ids_to_tokens(int(token))
    if spelt is None:
        return "?"  # the model has more places than its tokenizer has tokens
    if int(token) in tokenizer.added_tokens_decoder:
        return visible(str(spelt))
    if _of_bytes(tokenizer):
        letters = _bytes_of_letters()
        return visible(bytes(letters.get(letter, 0x3F) for letter in spelt).decode("utf-8", "surrogateescape"))
    if len(spelt) == 6 and spelt.startswith("<0x"):
        return visible(bytes([int(spelt[3:5], 16)]).decode("utf-8", "surrogateescape"))
    return visible(str(spelt).replace("\N{LOWER ONE EIGHTH BLOCK}", " "))


def _of_bytes(tokenizer: Any) -> bool:
    """Whether its tokens are spelled in GPT-2's letters, one for each byte."""
    return "ByteLevel" in str(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", ""))


@functools.cache
def _bytes_of_letters() -> dict[str, int]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}


def view(training: Training, batch: Batch) -> dict[str, Any]:
    """A batch as data, for JSON: its counts, and every row with its tokens (position, id, text, supervised)."""
    line = training.log.get(batch.step)
    return {
        "step": batch.step,
        "epoch": batch.epoch,
        "packed": batch.packed,
        "supervised": batch.supervised,
        "total": batch.total,
        "padded": batch.padded,
        "loss": None if line is None else line["loss"],
        "batches": [
            [
                {**_row(training, one), "padding": 0 if batch.packed else batch.width(each) - len(one.ids)}
                for one in each
            ]
            for each in batch.batches
        ],
    }


def _row(training: Training, one: Example) -> dict[str, Any]:
    said = [False, *(label != targets.IGNORED for label in one.labels[1:])]
    names = ("position", "id", "text", "supervised")
    told = zip(one.ids, said, strict=True)
    tokens = [(place, i, token_text(training.tokenizer, i), taught) for place, (i, taught) in enumerate(told)]
    return {"row": one.row, "tokens": [dict(zip(names, token, strict=True)) for token in tokens]}


def lines(training: Training, batch: Batch, *, terminal: bool = False) -> Iterator[str]:
    """A batch for people, a line a token. `terminal`: with colours, and each token in a Unicode isolate, so that Arabic
    stands right and cannot move what stands beside it."""
    found = view(training, batch)
    yield f"step {batch.step} of {training.steps}, epoch {batch.epoch}, {training.folder.name}"
    for number, each in enumerate(found["batches"], 1):
        if len(found["batches"]) > 1:
            yield f"batch {number} of {len(found['batches'])} of this step"
        for place, one in enumerate(each, 1):
            yield from row_lines(one, f"row {place} of {len(each)}", terminal=terminal)
    yield summary(batch)
    yield _beside_the_log(batch, training.log.get(batch.step))


def row_lines(one: Mapping[str, Any], name: str, *, terminal: bool = False) -> Iterator[str]:
    """One row of `view` for people."""
    taught = sum(token["supervised"] for token in one["tokens"])
    yield ""
    yield f"{name}: {len(one['tokens'])} tokens, {taught} supervised; where it comes from: mashq show {one['row'][:12]}"
    yield f"{'position':>8} {'id':>8}  {'':<10} token"
    for token in one["tokens"]:
        text = f"{FSI}{token['text']}{PDI}" if terminal else token["text"]
        line = f"{token['position']:>8} {token['id']:>8}  {'supervised' if token['supervised'] else '':<10} {text}"
        colour = GREEN if token["supervised"] else GREY
        yield f"{colour}{line}{PLAIN}" if terminal else line
    if one.get("padding"):
        first = len(one["tokens"])
        yield f"{first:>8} ...       padding    positions: {one['padding']}"


def summary(batch: Batch) -> str:
    """Supervised, total and padded tokens of a step."""
    waste = 1 - batch.total / batch.padded
    return (
        f"\n{batch.supervised:,} supervised of {batch.total:,} tokens ({batch.supervised / batch.total:.0%});"
        f" {batch.padded:,} positions with padding ({waste:.0%} of them padding)"
    )


def _beside_the_log(batch: Batch, line: Mapping[str, Any] | None) -> str:
    if line is None:
        return "log.jsonl has no line of this step: the run stopped before it, or has not come to it."
    if other := batch.disagrees(line):
        return f"warning: log.jsonl says otherwise of this step ({other}): this is not the batch that was learnt."
    return f"log.jsonl has the same counts for this step; its loss was {line['loss']:.4f}."


# --- the verb --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What of a training is to be shown; see `mashq tokens --help`."""

    step: str | None = None
    batch: int | None = None
    epoch: int | None = None
    row: str | None = None
    rows: Path | None = None


def shown(runs: Path, name: str, asked: Asked, format_: str = "text", terminal: bool = False) -> Iterator[str]:
    """What `mashq tokens` prints of a training: a batch, or one row; as text or JSON."""
    if asked.row is not None and (asked.batch is not None or asked.epoch is not None):
        raise MashqError(
            "tokens: --row shows one row wherever it is learnt; expected no --batch and --epoch beside it."
        )
    training = training_of(find_training(runs, name, asked.step), asked.rows)
    if asked.row is not None:
        one, seen = where_seen(training, asked.row)
        told = {**_row(training, one), "seen": [{"step": step, "epoch": epoch} for step, epoch in seen]}
        if format_ == "json":
            yield json.dumps(told, ensure_ascii=False)
            return
        yield from row_lines(told, f"row {one.row}", terminal=terminal)
        steps = ", ".join(f"{step} (epoch {epoch})" for step, epoch in seen) or "none: training ends before it"
        yield f"\nlearnt in steps: {steps}"
        return
    batch = batch_at(training, 1 if asked.batch is None else asked.batch, asked.epoch)
    if format_ == "json":
        yield json.dumps(view(training, batch), ensure_ascii=False)
        return
    yield from lines(training, batch, terminal=terminal)


def fertility_lines(runs: Path, names: Sequence[str], models: Sequence[str], format_: str = "text") -> Iterator[str]:
    """What `mashq tokens --fertility` prints: each tokenizer's table for the texts of rows (`.parquet`, steps, runs) or
    of text files (`.txt`, a text a line)."""
    texts: list[str] = []
    varieties: list[str | None] = []
    for name in names:
        some, told = _texts(runs, name)
        texts += some
        varieties += told
    for model in models:
        found = fertility(texts, tokenizer_of(model), name=model, varieties=varieties)
        if format_ == "json":
            yield json.dumps(found.as_dict(), ensure_ascii=False)
        else:
            yield from found.lines()


def _texts(runs: Path, name: str) -> tuple[list[str], list[str | None]]:
    path = Path(name)
    if path.is_file() and path.suffix not in (".txt", ".parquet", ".json"):
        known = "rows (.parquet, a step, a run) or a text file (.txt)"
        raise MashqError(
            expected_got(f"tokens: {name}", known, f"a file '{path.suffix}'", "mashq make reads it to rows.")
        )
    if path.suffix != ".txt":
        return texts_of(table_of(find_rows(runs, name)))
    try:
        listed = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MashqError(expected_got(f"tokens: {name}", "a text file in UTF-8", str(error))) from error
    return listed, [None] * len(listed)
