"""Whatever bytes lie in a file: rows, or one MashqError; never another exception, never a row without an id."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbook import sheet_xml, write_xlsx

from mashq.rows import SCHEMA, MashqError
from mashq.sources import SourceSettings, read


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["مرحبا", "b"]}), sink)
    return sink.getvalue()


def _arrow() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"id": ["1", "2"], "text": ["مرحبا", "b"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _xlsx(folder: Path) -> bytes:
    return write_xlsx(folder / "seed.xlsx", {"1": sheet_xml([["id", "text"], [1, "مرحبا"], [2, "b"]])}).read_bytes()


SQUAD = {
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {"context": "abc", "qas": [{"id": "1", "question": "?", "answers": [{"text": "b", "answer_start": 1}]}]}
            ],
        }
    ]
}
CHAT = {"id": "1", "messages": [{"role": "user", "content": "مرحبا"}, {"role": "assistant", "content": "أهلا"}]}
LINES = (json.dumps(CHAT) + "\n" + '{"id": "2", "text": "b"}\n').encode()
SEEDS = {
    "a.csv": 'id,text\n1,"مرحبا, ""يا"" صديقي"\n2,"b\nc"\n'.encode(),
    "a.tsv": 'id\ttext\n1\t"مرحبا" قال\n2\tb\n'.encode(),
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.json": json.dumps(SQUAD).encode(),
    "b.json": json.dumps([CHAT, {"id": "2"}]).encode(),
    "a.txt": "سطر\nآخر\n".encode(),
    "a.parquet": _parquet(),
    "a.arrow": _arrow(),
}
PIECES = st.sampled_from(
    [
        b"",
        b'"',
        b"\n",
        b"\r",
        b",",
        b"\t",
        b"\0",
        b"\xff",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"1e999",
        b"\\ud800",
        b"NaN",
        b":",
    ]
)


@pytest.mark.parametrize("name", [*SEEDS, "a.xlsx"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_give_rows_or_one_error(tmp_path_factory, name, data):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    content = bytearray(SEEDS[name] if name in SEEDS else _xlsx(folder))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 6))
        content[at : at + cut] = data.draw(PIECES | st.binary(max_size=4))
    path = folder / name
    path.write_bytes(content)
    chosen = data.draw(
        st.sampled_from([SourceSettings(), SourceSettings(key_field="id"), SourceSettings(text_field="text")])
    )
    try:
        for table in read(path, chosen):
            assert table.schema == SCHEMA
            table.validate(full=True)
            assert table.column("id").null_count == 0
    except MashqError as error:
        assert name in str(error)
