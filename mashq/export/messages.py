"""OpenAI's `messages`, a conversation a line with the reply as the last turn: what trainers and services take."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from mashq.export.survey import reply_of, whole
from mashq.rows import id_hex

__all__ = ["MessagesWriter"]

CARRIED = ("source", "licence", "task", "template", "variety", "group")


class MessagesWriter:
    """`SPLIT.jsonl`, or `SPLIT.jsonl.gz`: `messages`, the id, where the row comes from, its licence, all references."""

    def __init__(self, folder: Path, gzip: bool = False):
        self.folder, self.gzip = folder, gzip
        self._files: dict[str, BinaryIO] = {}
        self._raw: list[BinaryIO] = []
        self._names: dict[str, str] = {}

    def why_not(self, table: pa.Table) -> list[str | None]:
        """Of each row, why it cannot be written, or None."""
        pairs = zip(table.column("messages").to_pylist(), table.column("references").to_pylist(), strict=True)
        return [_why_not(messages, references) for messages, references in pairs]

    def write(self, table: pa.Table) -> None:
        """Write rows, each into the file of its split."""
        for row in table.to_pylist():
            line = {
                "messages": whole(row["messages"], row["references"]),
                "id": id_hex(row["id"]),
                **{name: row[name] for name in CARRIED},
                "references": row["references"] or [],
            }
            self._file(row["split"] or "train").write(msgspec.json.encode(line) + b"\n")

    def _file(self, split: str) -> BinaryIO:
        if split not in self._files:
            name = f"{split}.jsonl.gz" if self.gzip else f"{split}.jsonl"
            raw = (self.folder / name).open("wb")
            self._names[split], self._files[split] = name, raw
            if self.gzip:  # without name and time, so that equal rows give equal bytes
                self._raw.append(raw)
                self._files[split] = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)  # type: ignore[assignment]
        return self._files[split]

    def close(self) -> dict[str, str]:
        """Finish the files; split -> the pattern of its files."""
        self.abandon()
        return self._names

    def abandon(self) -> None:
        """Let go of the files as they are."""
        for file in (*self._files.values(), *self._raw):
            file.close()


def _why_not(messages: Sequence[dict[str, str]] | None, references: Sequence[str] | None) -> str | None:
    if not messages:
        return "no messages"
    return None if reply_of(messages, references) else "no reference"
