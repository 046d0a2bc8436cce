"""Near-duplicates among texts: MinHash (Broder 1997) with bands to look them up; one by one, or a column at once.

Two texts are alike where the sets of their runs of five words overlap: by Jaccard's measure, estimated from 128 least
hash values (standard error at 0.7: 0.04). 32 bands of four values find a pair of 0.7 with a chance of 0.9998 and one
of 0.3 in one case of four, which the estimate then refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xxhash

from mashq.arabic import normalise, words
from mashq.rows import MashqError, expected_got, scramble
from mashq.word_patterns import FOLD

__all__ = ["Near", "alike"]

VALUES, BANDS = 128, 32
RUNS_AT_A_TIME = 8_192  # whose hash values under every salt are held: 8 MB
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SALTS = scramble(np.arange(1, VALUES + 1, dtype=np.uint64))


class Near:
    """The texts of a run so far. least: estimated Jaccard's measure, 0 to 1, from which on two texts are alike; run:
    words in a run. A text of fewer words is one run.

    Holds 1 KB and 32 entries of a dictionary a text. Raises MashqError for values out of range.
    """

    def __init__(self, least: float = 0.7, run: int = 5):
        _check(least, run)
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
        hashes = _hashes(text)
        if not hashes:
            return None
        runs = _runs(np.array(hashes, dtype=np.uint64), min(self.run, len(hashes)))
        return np.asarray(_values(runs).min(axis=0), dtype=np.uint32)


def _check(least: float, run: int) -> None:
    if not 0 < least <= 1 or run < 1:
        raise MashqError(expected_got("near-duplicates", "least in (0, 1] and run >= 1", f"{least} and {run}"))


def _hashes(text: str) -> list[int]:
    return [xxhash.xxh3_64_intdigest(word.encode()) for word in words(normalise(text.lower(), FOLD))]


def _runs(alone: np.ndarray, size: int) -> np.ndarray:
    """(n,) hashes of words -> (n - size + 1,) hashes of each `size` of them in a row."""
    runs = alone[: len(alone) - size + 1].copy()
    with np.errstate(over="ignore"):
        for offset in range(1, size):
            runs = runs * _STEP + alone[offset : len(alone) - size + 1 + offset]
    return runs


def _values(runs: np.ndarray) -> np.ndarray:
    """(n,) hashes of runs -> (n, VALUES) uint32, each under every salt."""
    with np.errstate(over="ignore"):
        mixed = scramble(runs)[:, None] * (_SALTS | np.uint64(1)) + _SALTS
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _bands_of(values: np.ndarray) -> list[bytes]:
    """The keys under which a signature is found: a band's number and its values."""
    size = VALUES // BANDS
    return [bytes([band]) + values[band * size : (band + 1) * size].tobytes() for band in range(BANDS)]


# --- a column at once ------------------------------------------------------------------------------------------------


def alike(texts: Sequence[str], least: float = 0.7, run: int = 5) -> list[tuple[int, float] | None]:
    """For each text the place of the earlier one that it repeats, and how alike they are; None where it repeats none.

    What `Near.add` gives for one after the other, so a text is compared with those alone that repeat nothing; 512 bytes
    and 32 numbers of 8 bytes a text. Raises MashqError for values out of range.
    """
    _check(least, run)
    values, filled = _signatures(texts, run)
    found: list[tuple[int, float] | None] = [None] * len(texts)
    kept: dict[int, list[int]] = {}  # group -> places of texts in it that repeat nothing
    for place, groups in _shared(values, filled):
        places = sorted({other for group in groups for other in kept.get(group, ())})
        if places:
            shares = np.mean(values[places] == values[place], axis=1)
            best = int(shares.argmax())  # of equals the first
            if shares[best] >= least:
                found[place] = (places[best], float(shares[best]))
                continue
        for group in groups:
            kept.setdefault(group, []).append(place)
    return found


def _signatures(texts: Sequence[str], run: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, VALUES) uint32 signatures, and (n,) whether a text has a word."""
    made = np.zeros((len(texts), VALUES), np.uint32)
    filled = np.zeros(len(texts), bool)
    waiting: list[np.ndarray] = []
    places: list[int] = []
    held = 0
    for place, text in enumerate(texts):
        if hashes := _hashes(text):
            filled[place] = True
            places.append(place)
            waiting.append(_runs(np.array(hashes, dtype=np.uint64), min(run, len(hashes))))
            held += len(waiting[-1])
        if held > RUNS_AT_A_TIME:
            made[places] = _least(waiting)
            waiting, places, held = [], [], 0
    if waiting:
        made[places] = _least(waiting)
    return made, filled


def _least(runs: Sequence[np.ndarray]) -> np.ndarray:
    """Runs of k texts -> (k, VALUES) the least of each text's values."""
    starts = np.cumsum([0, *map(len, runs[:-1])])
    return np.minimum.reduceat(_values(np.concatenate(runs)), starts, axis=0)


def _shared(values: np.ndarray, filled: np.ndarray) -> Iterator[tuple[int, list[int]]]:
    """Places of texts that share a band with another, in order, each with the groups of equal bands that it is in."""
    rows = np.flatnonzero(filled)
    size = VALUES // BANDS
    members: list[np.ndarray] = []
    names: list[np.ndarray] = []
    number = 0
    for band in range(BANDS):
        keys = _band_keys(values[rows, band * size : (band + 1) * size])
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        several = counts[group] > 1
        members.append(rows[several])
        names.append(group[several] + number)
        number += len(counts)
    place, group = np.concatenate(members), np.concatenate(names)
    order = np.argsort(place, kind="stable")
    place, group = place[order], group[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    for start, end in zip(starts, np.append(starts, len(place))[1:], strict=True):
        yield int(place[start]), group[start:end].tolist()


def _band_keys(values: np.ndarray) -> np.ndarray:
    """(n, size) values of one band -> (n,) one number each; unequal bands have equal ones once in 2**64."""
    keys = np.zeros(len(values), np.uint64)
    with np.errstate(over="ignore"):
        for column in values.T:
            keys = scramble(keys * _STEP + column.astype(np.uint64) + np.uint64(1))
    return keys
