"""Splits that are published as files of row indices, one file a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mashq.rows import MashqError
from mashq.sources.files import read_whole
from mashq.sources.jsonl import decode
from mashq.sources.settings import SourceSettings

__all__ = ["SplitFiles"]


class SplitFiles:
    """Which split each record of a file belongs to, told by its position.

    Raises MashqError where a split file is not a list of whole numbers, or two splits claim one record.
    """

    def __init__(self, settings: SourceSettings):
        self.files = {split: Path(name).expanduser() for split, name in settings.split_files.items()}
        self.first = settings.first_index
        self.indices = {split: _indices(path, settings) - self.first for split, path in self.files.items()}
        splits = list(self.indices)
        for place, split in enumerate(splits):
            if len(self.indices[split]) and self.indices[split][0] < 0:
                raise MashqError(
                    f"{self.files[split]}: holds an index below first_index={self.first}. Set first_index to 0 or 1 as"
                    " the data set counts."
                )
            for other in splits[place + 1 :]:
                both = np.intersect1d(self.indices[split], self.indices[other])
                if len(both):
                    raise MashqError(
                        f"{self.files[split]}: {len(both)} rows are also in the split '{other}', the first is row"
                        f" {both[0] + self.first}. A row may be in one split only."
                    )

    def of(self, start: int, n: int) -> list[str | None]:
        """The splits of n records from position `start` on; None for a record that no file names."""
        found: list[str | None] = [None] * n
        for split, indices in self.indices.items():
            low, high = np.searchsorted(indices, (start, start + n))
            for index in indices[low:high]:
                found[index - start] = split
        return found

    def check_end(self, n: int) -> None:
        """Raise MashqError where a split file names a record behind the last of n."""
        for split, indices in self.indices.items():
            if len(indices) and indices[-1] >= n:
                raise MashqError(
                    f"{self.files[split]}: names row {indices[-1] + self.first}, but the data has {n} rows counted"
                    f" from {self.first}."
                    " The split files belong to another version of the data, or first_index is wrong."
                )


def _indices(path: Path, settings: SourceSettings) -> np.ndarray:
    """A file of whole numbers, one a line or as a JSON list -> them sorted, each once."""
    data = read_whole(path, settings)
    try:
        values = decode(data) if data.lstrip()[:1] == b"[" else [int(word) for word in data.split()]
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise ValueError("a value is no whole number")
        return np.unique(np.array(values, dtype=np.int64))
    except (ValueError, TypeError, OverflowError) as error:
        raise MashqError(
            f"{path}: expected row indices, one whole number a line or a JSON list of them, got: {error}."
        ) from error
