"""Near-duplicates among texts that come one after the other: MinHash (Broder 1997) with bands to look them up.

Two texts are alike where the sets of their runs of five words overlap: by Jaccard's measure, estimated from 128 least
hash values (standard error at 0.7: 0.04). 32 bands of four values find a pair of 0.7 with a chance of 0.9998 and one
of 0.3 in one case of four, which the estimate then refuses.
"""

from __future__ import annotations

import numpy as np
import xxhash

from mashq.arabic import normalise, words
from mashq.rows import MashqError, expected_got, scramble
from mashq.word_patterns import FOLD

__all__ = ["Near"]

VALUES, BANDS = 128, 32
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SALTS = scramble(np.arange(1, VALUES + 1, dtype=np.uint64))


class Near:
    """The texts of a run so far. least: estimated Jaccard's measure, 0 to 1, from which on two texts are alike; run:
    words in a run. A text of fewer words is one run.

    Holds 1 KB and 32 entries of a dictionary a text. Raises MashqError for values out of range.
    """

    def __init__(self, least: float = 0.7, run: int = 5):
        if not 0 < least <= 1 or run < 1:
            raise MashqError(expected_got("near-duplicates", "least in (0, 1] and run >= 1", f"{least} and {run}"))
        self.least, self.run = least, run
        self._names: list[str] = []
        self._values: list[np.ndarray] = []
        self._bands: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def find(self, text: str) -> tuple[str, float] | None:
        """The text that is most like this one, by name, and how alike; None where none is or the text has no word."""
        return self._find(self._signature(text))

    def add(self, text: str, name: str) -> tuple[str, float] | None:
        """Look a text up, and keep it under its name where nothing is like it."""
        values = self._signature(text)
        found = self._find(values)
        if found is None and values is not None:
            for band in _bands_of(values):
                self._bands.setdefault(band, []).append(len(self._names))
            self._names.append(name)
            self._values.append(values)
        return found

    def _find(self, values: np.ndarray | None) -> tuple[str, float] | None:
        if values is None:
            return None
        places = {place for band in _bands_of(values) for place in self._bands.get(band, ())}
        alike = [(float(np.mean(self._values[place] == values)), -place) for place in places]
        most, place = max(alike, default=(0.0, 0))
        return (self._names[-place], most) if most >= self.least else None

    def _signature(self, text: str) -> np.ndarray | None:
        """(VALUES,) the least hash of the text's runs under each salt; None where it has no word."""
        hashes = [xxhash.xxh3_64_intdigest(word.encode()) for word in words(normalise(text.lower(), FOLD))]
        if not hashes:
            return None
        alone = np.array(hashes, dtype=np.uint64)
        size = min(self.run, len(alone))
        runs = alone[: len(alone) - size + 1].copy()
        with np.errstate(over="ignore"):
            for offset in range(1, size):
                runs = runs * _STEP + alone[offset : len(alone) - size + 1 + offset]
            mixed = scramble(runs)[:, None] * (_SALTS | np.uint64(1)) + _SALTS
        return np.asarray((mixed >> np.uint64(32)).min(axis=0), dtype=np.uint32)


def _bands_of(values: np.ndarray) -> list[bytes]:
    """The keys under which a signature is found: a band's number and its values."""
    size = VALUES // BANDS
    return [bytes([band]) + values[band * size : (band + 1) * size].tobytes() for band in range(BANDS)]
