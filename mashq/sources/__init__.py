"""Published data of any shape -> raw rows: one module a shape, one function to read them all.

for table in read("arcd_train.json", SourceSettings(licence="MIT")):
    ...
"""

from __future__ import annotations

from mashq.sources.columnar import Columns, column_slices, read_columns
from mashq.sources.layout import hash_files, sniff
from mashq.sources.read import ROWS, lookup, read
from mashq.sources.registry import SHAPES, Shape, register
from mashq.sources.settings import Fault, Record, SourceSettings, Told, Where

__all__ = [
    "ROWS",
    "SHAPES",
    "Columns",
    "Fault",
    "Record",
    "Shape",
    "SourceSettings",
    "Told",
    "Where",
    "column_slices",
    "hash_files",
    "lookup",
    "read",
    "read_columns",
    "register",
    "sniff",
]
