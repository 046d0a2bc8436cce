"""XLSX through calamine: the values of one sheet, formulas as the values that were saved with them."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mashq.rows import MashqError, nearest
from mashq.sources.files import open_binary
from mashq.sources.header import Header, plan_columns
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["records"]

LARGEST_GRID = 64_000_000  # cells from the first to the last used one; calamine holds 24 bytes for each
BOMB_RATIO = 500  # times that a member may grow; the sheets of real workbooks grow 5 to 30 times
BOMB_BYTES = 64 << 20  # bytes below which no ratio is looked at
BLOCK = 1 << 20
# A cell (`B7`) or row (`7`) reference in a sheet's XML.
_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{0,3})([0-9]{1,9})[\"']")
_TAG = re.compile(rb"<(?:\w+:)?(row|c)\b")


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """The rows of a sheet with their number as the spreadsheet shows it; empty rows are no records.

    Whole numbers are integers (a workbook stores 1 as 1.0), empty cells null, dates ISO text.
    Raises MashqError where the file is not a workbook, is locked, is a bomb, or the sheet cannot be told.
    """
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    _refuse_bombs(path, settings)
    try:
        with CalamineWorkbook.from_path(path) as book:
            lines, first_row = _sheet(path, book, settings)
    except (CalamineError, WorksheetNotFound, OSError) as error:
        raise MashqError(
            f"{path}: expected a workbook (.xlsx), got: {error}. Open it in a spreadsheet program and save it anew."
        ) from error
    filled = [(number, [_value(cell) for cell in cells]) for number, cells in enumerate(lines, first_row)]
    filled = [(number, cells) for number, cells in filled if any(cell is not None for cell in cells)]
    if not filled:
        raise MashqError(f"{path}: the sheet holds no cells. Fetch the file again, or name another sheet with sheet=….")
    number, first = filled[0]
    header, is_header = plan_columns(f"{path}, row {number}", first, [cells for _, cells in filled[1:21]], settings)
    for number, cells in islice(filled, int(is_header), None):
        yield number, _judge(number, cells, header)


def _judge(number: int, cells: list[Any], header: Header) -> Record | Fault:
    record = header.record(cells)
    if isinstance(record, str):
        return Fault(f"ragged: row {number}: {record}", msgspec.json.encode(cells).decode())
    return record


def _sheet(path: Path, book: Any, settings: SourceSettings) -> tuple[list[list[Any]], int]:
    """The cells of the one sheet that is meant, and the number of its first row."""
    names = book.sheet_names
    if settings.sheet is not None and settings.sheet not in names:
        raise MashqError(
            f"{path}: no sheet named '{settings.sheet}' ({', '.join(names)}).{nearest(settings.sheet, names)}"
        )
    sheets = [book.get_sheet_by_name(name) for name in ([settings.sheet] if settings.sheet is not None else names)]
    filled = [sheet for sheet in sheets if sheet.total_height]
    if len(filled) > 1:
        raise MashqError(
            f"{path}: several sheets hold cells ({', '.join(sheet.name for sheet in filled)}). Choose one with"
            f" sheet='{filled[0].name}'."
        )
    if not filled:
        return [], 1
    sheet = filled[0]
    return sheet.to_python(skip_empty_area=True), (sheet.start or (0, 0))[0] + 1


def _value(cell: Any) -> Any:
    if cell == "" or cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, (datetime, date, time)):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return cell


# --- bombs -----------------------------------------------------------------------------------------------------------


def _refuse_bombs(path: Path, settings: SourceSettings) -> None:
    """Unpack every member once, block by block, before the reader may hold it: sizes in a zip's headers may lie."""
    with open_binary(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error) as error:
            raise MashqError(
                f"{path}: expected a workbook (.xlsx is a zip archive), got: {error}. The file is truncated or of"
                " another kind: fetch it again."
            ) from error
        budget = settings.largest_file_mb << 20
        for member in archive.infolist():
            budget -= _unpacked_size(path, file, member, budget)


def _unpacked_size(path: Path, file: BinaryIO, member: zipfile.ZipInfo, budget: int) -> int:
    file.seek(max(0, member.header_offset))  # broken archives have negative ones
    head = file.read(30)
    if (
        member.header_offset < 0
        or head[:4] != b"PK\x03\x04"
        or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ):
        raise MashqError(
            f"{path}: the part '{member.filename}' of the workbook cannot be unpacked. Save the file anew as .xlsx."
        )
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    is_sheet = "worksheets/" in member.filename.lower()
    size, grid = 0, _Grid()
    try:
        for block in _blocks(file, member):
            size += len(block)
            if size > budget or (size > BOMB_BYTES and size > BOMB_RATIO * member.compress_size):
                raise MashqError(
                    f"{path}: '{member.filename}' unpacks from {member.compress_size:,} bytes to more than"
                    f" {size >> 20} MB,"
                    f" expected at most {budget >> 20} MB and {BOMB_RATIO} times its size: it looks like a"
                    " decompression bomb."
                )
            if is_sheet:
                grid.grow(block)
    except zlib.error as error:
        raise MashqError(
            f"{path}: the part '{member.filename}' of the workbook is broken ({error}). Fetch it again."
        ) from error
    if grid.rows * grid.columns > LARGEST_GRID:
        raise MashqError(
            f"{path}: '{member.filename}' spreads over {grid.rows:,} rows x {grid.columns:,} columns, expected at most"
            f" {LARGEST_GRID:,} cells."
            " Delete stray cells far out, or export the sheet as CSV."
        )
    return size


def _blocks(file: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    left = member.compress_size
    unpack = zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    while left > 0 and (packed := file.read(min(BLOCK, left))):
        left -= len(packed)
        if unpack is None:
            yield packed
            continue
        while packed and not unpack.eof:
            yield unpack.decompress(packed, BLOCK)
            packed = unpack.unconsumed_tail


class _Grid:
    """How far a sheet reaches, told from its XML: by references, and by counting where there are none."""

    def __init__(self) -> None:
        self.rows = self.columns = self.counted_rows = self.counted_cells = 0
        self.rest = b""

    def grow(self, block: bytes) -> None:
        """Take the next block of the sheet's XML."""
        xml = self.rest + block
        cut = xml.rfind(b"<") if b"<" in xml else 0  # the last tag may go on in the next block
        xml, self.rest = xml[:cut], xml[cut:][-BLOCK:]
        for letters, digits in set(_REFERENCE.findall(xml)):
            column = 0
            for letter in letters.upper():
                column = column * 26 + letter - 64
            self.rows, self.columns = max(self.rows, int(digits)), max(self.columns, column)
        for tag in _TAG.findall(xml):
            self.counted_cells = self.counted_cells + 1 if tag == b"c" else 0
            self.counted_rows += tag == b"row"
            self.columns = max(self.columns, self.counted_cells)
        self.rows = max(self.rows, self.counted_rows)
