"""Rows -> examples: ids, labels, batches and their order; what cannot be trained on is refused with a reason."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mashq import chat, targets
from mashq.rows import MashqError, expected_got, id_hex, read_part

if TYPE_CHECKING:
    import torch

__all__ = ["Example", "Refused", "batch_of", "bucketed", "examples", "hash_of", "packed", "reasons", "table_of"]


@dataclass(frozen=True)
class Example:
    """One row ready to train on."""

    row: str  # the row's id, hexadecimal
    ids: list[int]
    labels: list[int]  # the id where supervised, else targets.IGNORED


@dataclass(frozen=True)
class Refused:
    """A row that is not trained on, and why: `long: 1205 tokens > 1024`."""

    row: str
    reason: str


def examples(
    rows: pa.Table, tokenizer: Any, frame: chat.Frame, *, max_tokens: int, supervise: str = "all"
) -> tuple[list[Example], list[Refused]]:
    """Rows -> examples in row order, and the refused. Rows dropped before are passed over.

    A row is a conversation in `messages`; where it does not end with the assistant, `references[0]` is the reply.
    Raises MashqError for a row of a test split and for a conversation that the frame cannot encode.
    """
    made: list[Example] = []
    refused: list[Refused] = []
    for batch in rows.select(["id", "split", "messages", "references", "dropped"]).to_batches(max_chunksize=1024):
        waiting: list[tuple[str, list[dict[str, str]]]] = []
        for row in batch.to_pylist():
            if row["dropped"] is not None:
                continue
            name = id_hex(row["id"])
            if row["split"] == "test":
                raise MashqError(
                    expected_got(f"train: row {name}", "a row of split train or validation", "split 'test'")
                    + " Test splits are for reports: leave them out of the training rows."
                )
            conversation = _conversation(row, tokenizer, frame)
            if isinstance(conversation, str):
                refused.append(Refused(name, conversation))
            else:
                waiting.append((name, conversation))
        encoded = chat.encode_many([conversation for _, conversation in waiting], tokenizer, frame)
        for (name, _), tokens in zip(waiting, encoded, strict=True):
            if len(tokens) > max_tokens:
                refused.append(Refused(name, f"long: {len(tokens)} tokens > {max_tokens}"))
            else:
                taught = tokens if supervise == "all" else chat.last_turn(tokens)
                made.append(Example(name, tokens.ids, targets.labels_of(taught)))
    return made, refused


def _conversation(row: Mapping[str, Any], tokenizer: Any, frame: chat.Frame) -> list[dict[str, str]] | str:
    """The turns to learn, or the reason why there are none."""
    messages = [dict(m) for m in row["messages"] or []]
    if not messages:
        return "empty: no messages"
    if messages[-1]["role"] != "assistant":
        references = row["references"] or []
        if not references or references[0] is None:
            return "no target: no assistant turn at the end and no reference"
        messages.append({"role": "assistant", "content": references[0]})
    return chat.why_not(messages, tokenizer, frame) or messages


def batch_of(members: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Examples -> {"input_ids", "labels"}: (rows, longest), padded on the right, padding unlabelled."""
    ids, labels = targets.padded([e.ids for e in members], [e.labels for e in members], pad)
    return {"input_ids": ids, "labels": labels}


def packed(members: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Examples -> {"input_ids", "labels", "position_ids"}: (1, all their tokens), positions from 0 in each row.

    A model that reads positions lets no row see another (`loop` checks it on the model itself). `pad` is unused.
    """
    import torch

    def joined(parts: Iterable[Iterable[int]]) -> torch.Tensor:
        return torch.tensor([[one for part in parts for one in part]], dtype=torch.long)

    return {
        "input_ids": joined(e.ids for e in members),
        "labels": joined([targets.IGNORED, *e.labels[1:]] for e in members),
        "position_ids": joined(range(len(e.ids)) for e in members),
    }


def bucketed(lengths: Sequence[int], rows_per_batch: int, seed: int, epoch: int) -> list[int]:
    """An order of rows in which each run of `rows_per_batch` has like lengths, the longest row in the first.

    Shuffled by seed and epoch alone: rows, then sorted within pools of 50 batches, then whole batches shuffled.
    """
    draw = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    draw.shuffle(order)
    pool = 50 * rows_per_batch
    order = [
        i
        for start in range(0, len(order), pool)
        for i in sorted(order[start : start + pool], key=lambda i: -lengths[i])
    ]
    cut = len(order) - len(order) % rows_per_batch
    batches = [order[i : i + rows_per_batch] for i in range(0, cut, rows_per_batch)]
    draw.shuffle(batches)
    if batches and order:
        longest = max(range(len(batches)), key=lambda b: max(lengths[i] for i in batches[b]))
        batches[0], batches[longest] = batches[longest], batches[0]
    return [i for batch in batches for i in batch] + order[cut:]


def table_of(rows: pa.Table | Path | Sequence[Path]) -> pa.Table:
    """A table as it is; Parquet files, or folders of `part-*.parquet`, read in order."""
    if isinstance(rows, pa.Table):
        return rows
    paths = [rows] if isinstance(rows, Path) else list(rows)
    files = [f for path in paths for f in (sorted(path.glob("part-*.parquet")) if path.is_dir() else [path])]
    if not files:
        raise MashqError(
            expected_got(
                "train: rows", "Parquet parts of rows", f"none in {', '.join(map(str, paths)) or 'an empty list'}"
            )
        )
    return pa.concat_tables([table for file in files for table in read_part(file)])


def hash_of(members: Sequence[Example]) -> str:
    """What a run is trained on, ids and labels, as 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for example in members:
        digest.update(json.dumps([example.row, example.ids, example.labels]).encode())
    return digest.hexdigest()


def reasons(refused: Sequence[Refused]) -> dict[str, int]:
    """How many rows each kind of reason refused."""
    return dict(sorted(Counter(r.reason.split(":")[0] for r in refused).items()))
