"""The first line of a table: names of columns, the unnamed index column of pandas, the fields that must be there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mashq.rows import MashqError, nearest
from mashq.sources.settings import SourceSettings

__all__ = ["Header", "plan_columns", "require"]

_UNNAMED = re.compile(r"(Unnamed: \d+)?", re.ASCII)
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+\s*")
LONGEST_NAME = 120  # characters; a longer "name" is a record, in a file that has no header


class Header:
    """The columns of a table: `names` as they stand in the file, `skipped` the place of the index column or None."""

    def __init__(self, names: Sequence[str], skipped: int | None):
        self.width = len(names)
        self.skipped = skipped
        self.names = [name for place, name in enumerate(names) if place != skipped]

    def record(self, cells: list[Any]) -> dict[str, Any] | str:
        """Cells of one line -> the record, or why not: lines may only be longer by empty cells."""
        if len(cells) != self.width:
            if len(cells) < self.width or any(cell not in ("", None) for cell in cells[self.width :]):
                return f"{len(cells)} fields, expected {self.width}"
            cells = cells[: self.width]
        if self.skipped is not None:
            cells = cells[: self.skipped] + cells[self.skipped + 1 :]
        return dict(zip(self.names, cells, strict=True))


def plan_columns(
    where: str, first: Sequence[Any], sample: Sequence[Sequence[Any]], settings: SourceSettings
) -> tuple[Header, bool]:
    """First line and some further lines -> (the header, whether the first line is it and no record).

    Raises MashqError where the first line looks like a record, a name stands twice, or a named field is not there.
    """
    names = ["" if cell is None else str(cell).strip() for cell in first]
    is_header = True
    if settings.columns is not None:
        is_header = tuple(names) == settings.columns
        if len(names) != len(settings.columns):
            raise MashqError(
                f"{where}: columns names {len(settings.columns)} columns ({', '.join(settings.columns)}), the first"
                " line"
                f" has {len(names)}. Name every column of the file."
            )
        names = list(settings.columns)
    else:
        _refuse_record_as_header(where, names)
    skipped = _index_column(names, sample if is_header else [first, *sample], settings)
    names = [name or f"column {place}" for place, name in enumerate(names, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MashqError(
            f"{where}: the column '{twice[0]}' stands twice in the header. Give other names with columns=…."
        )
    header = Header(names, skipped)
    require(where, header.names, settings)
    return header, is_header


def _refuse_record_as_header(where: str, names: list[str]) -> None:
    numbers = sum(1 for name in names if _NUMBER.fullmatch(name))
    long = next((name for name in names if len(name) > LONGEST_NAME or "\n" in name), None)
    if long is not None or 2 * numbers > len(names):
        shown = long[:40] + "…" if long is not None else ", ".join(names)[:80]
        raise MashqError(
            f"{where}: expected names of columns in the first line, got what looks like a record ({shown}). For a file"
            " without a header name its columns with columns=…."
        )


def _index_column(names: list[str], sample: Iterable[Sequence[Any]], settings: SourceSettings) -> int | None:
    """The place of a nameless first column of whole numbers, as pandas writes it, unless a setting asks for it."""
    if not names or len(names) == 1 or not _UNNAMED.fullmatch(names[0]) or names[0] in settings.named_fields():
        return None
    cells = [line[0] for line in sample if line]
    return 0 if all(re.fullmatch(r"\d+(\.0)?", str(cell).strip()) for cell in cells) else None


def require(where: str, names: Iterable[str], settings: SourceSettings) -> None:
    """Raise MashqError where a field that the settings name is no column of the table."""
    known = list(names)
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise MashqError(f"{where}: the column '{twice}' stands twice. Give the columns different names.")
    for name, setting in settings.named_fields().items():
        if name not in known and name.split(".")[0] not in known:
            raise MashqError(
                f"{where}: {setting} names the column '{name}', which the file does not have ({', '.join(known)})."
                f"{nearest(name, known)}"
            )
