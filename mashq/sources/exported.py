"""Rows that mashq exported to Parquet for the hub, read back as the rows they were."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from mashq.rows import SCHEMA, MashqError
from mashq.sources.settings import Fault, Record, Told, Where

__all__ = ["HUB_SCHEMA", "is_exported", "told"]

MARK = b"mashq"  # in the metadata of the file's schema
VERSION = b"rows 1"
SAME = ("task", "template", "variety", "source", "licence", "split", "group", "text", "references", "choices", "meta")

# Types that `datasets` and the hub's viewer show as they are: ids are text, the reply stands in the conversation.
HUB_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hexadecimal digits
        pa.field("messages", SCHEMA.field("messages").type),  # whole: with the reply, as a trainer takes it
        pa.field("prompt_turns", pa.int32()),  # how many of them the row had; what follows is its first reference
        pa.field("references", pa.list_(pa.string())),
        pa.field("choices", pa.list_(pa.string())),
        *(SCHEMA.field(name) for name in ("task", "template", "variety", "source", "licence", "split", "group")),
        pa.field("parents", pa.list_(pa.string())),
        *(SCHEMA.field(name) for name in ("text", "meta", "scores")),
    ],
    metadata={MARK: VERSION},
)


def is_exported(schema: pa.Schema) -> bool:
    """Whether a Parquet file says that mashq wrote it. Raises MashqError where it says so and has other columns."""
    said = (schema.metadata or {}).get(MARK)
    if said is None:
        return False
    if said != VERSION or not schema.equals(HUB_SCHEMA):
        other = [name for name in HUB_SCHEMA.names if name not in schema.names] or ["other types"]
        raise MashqError(
            f"expected the columns of mashq's export ({VERSION.decode()}), got {said.decode('utf-8', 'replace')[:40]}"
            f" and: {', '.join(other)} not as written. Name a field (text_field=…, key_field=…) to read it as any table"
        )
    return True


def told(number: Where, record: Record) -> Told | Fault:
    """A row of an exported file -> the row it was, with its id; a fault where it was changed since."""
    try:
        ids = [bytes.fromhex(one) for one in (record["id"], *(record["parents"] or ()))]
    except (ValueError, TypeError):
        ids = []
    if not ids or any(len(one) != 16 for one in ids):
        return Fault(f"wrong id: row {number}: expected 32 hexadecimal digits, got {record['id']!r:.50}", record=record)
    messages, turns = record["messages"], record["prompt_turns"]
    if messages is not None and not 0 <= (turns if turns is not None else -1) <= len(messages):
        reason = f"wrong prompt_turns: row {number}: {turns}, expected 0 to {len(messages)}"
        return Fault(reason, record=record)
    columns: dict[str, Any] = {name: record[name] for name in SAME}
    return Told(
        {},
        {
            **columns,
            "id": ids[0],
            "parents": ids[1:] if record["parents"] is not None else None,
            "messages": None if messages is None else messages[:turns],
            "scores": record["scores"],
        },
    )
