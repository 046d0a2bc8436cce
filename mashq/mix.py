"""Which rows go where: splits by whole groups, seeded, the same on every machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from mashq.rows import MashqError

__all__ = ["splits"]


def splits(
    groups: Sequence[str], strata: Sequence[str], *, test: float, validation: float = 0.0, seed: int = 0
) -> list[str]:
    """`train`, `validation` or `test` for each row, so that no group straddles two and each stratum has its share.

    `test` and `validation` are numbers of rows a stratum where >= 1, else shares of it in 0..1. Within a stratum whole
    groups are taken in the order of a hash of seed and group until there are at least so many rows; a group that lies
    in two strata goes where its first stratum (in sorted order) put it. Raises MashqError where a stratum would be left
    without a training row.
    """
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group, stratum in zip(groups, strata, strict=True):
        rows[stratum][group] += 1
    chosen: dict[str, str] = {}
    for stratum in sorted(rows):
        sizes = rows[stratum]
        total = sum(sizes.values())
        wanted = {"test": _rows(test, total), "validation": _rows(validation, total)}
        if sum(wanted.values()) >= total:
            raise MashqError(
                f"split: stratum '{stratum}': expected more than {sum(wanted.values())} rows (test {wanted['test']}, "
                f"validation {wanted['validation']}), got {total}. Ask for fewer, or bring more data."
            )
        have = {name: sum(n for group, n in sizes.items() if chosen.get(group) == name) for name in wanted}
        for group in sorted((group for group in sizes if group not in chosen), key=lambda group: _order(seed, group)):
            chosen[group] = next((name for name in wanted if have[name] < wanted[name]), "train")
            have[chosen[group]] = have.get(chosen[group], 0) + sizes[group]
        if not any(chosen[group] == "train" for group in sizes):
            raise MashqError(
                f"split: stratum '{stratum}': its groups are too few and too large to leave one for training."
            )
    return [chosen[group] for group in groups]


def _rows(wanted: float, total: int) -> int:
    return round(wanted) if wanted >= 1 else round(wanted * total)


def _order(seed: int, group: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{group}".encode(), digest_size=8).digest()
