"""Files as they come: byte order marks, gzip, foreign encodings, lines without end; and the hash of what was read."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mashq.rows import MashqError
from mashq.sources.settings import SourceSettings

__all__ = ["SAMPLE", "as_text", "byte_lines", "content_of", "open_binary", "open_utf8", "read_whole"]

SAMPLE = 1 << 20  # bytes looked at before a file is believed to be text
# A stream that grows beyond both is a bomb: deflate packs at most 1032:1, real JSON and CSV 4 to 30:1.
BOMB_BYTES = 1 << 30
BOMB_RATIO = 300
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MAGIC = (
    (b"PAR1", "Parquet", ".parquet"),
    (b"ARROW1", "Arrow", ".arrow"),
    (b"PK\x03\x04", "a zip archive or XLSX", ".xlsx"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", ".xlsx (save it anew)"),
    (b"BZh", "bzip2", ".gz (pack it anew)"),
    (b"\xfd7zXZ", "xz", ".gz (pack it anew)"),
    (b"\x28\xb5\x2f\xfd", "zstd", ".gz (pack it anew)"),
    (b"%PDF", "PDF", "text"),
)


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked if it is gzip.

    Raises MashqError where the file is missing, not readable, empty, or named .gz without being gzip; while reading,
    where gzip is broken or a bomb.
    """
    try:
        raw = path.open("rb", buffering=SAMPLE)
    except OSError as error:
        raise MashqError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    head = raw.peek(2)[:2]  # type: ignore[attr-defined]
    if not head:
        raw.close()
        raise MashqError(f"{path}: the file is empty (0 bytes). Fetch it again.")
    if head == b"\x1f\x8b":
        return io.BufferedReader(_Unpacked(path, raw), SAMPLE)
    if path.suffix.lower() == ".gz":
        raw.close()
        raise MashqError(
            f"{path}: expected gzip data because of the ending .gz, got bytes {head.hex(' ')}. Fetch it again, or"
            " rename it."
        )
    return raw


class _Unpacked(io.RawIOBase):
    """Gzip as a stream whose faults are told in our words, and which stops at a bomb."""

    def __init__(self, path: Path, raw: BinaryIO):
        self.path, self.raw = path, raw
        self.stream = gzip.GzipFile(fileobj=raw)
        self.size = 0
        self.packed = path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        n = 0
        try:
            while n < len(buffer) and (more := self.stream.readinto(memoryview(buffer)[n:])):
                n += more
        except EOFError as error:
            raise MashqError(
                f"{self.path}: the gzip data ends too early, after {self.size:,} unpacked bytes: the file is"
                " truncated. Fetch it again."
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise MashqError(
                f"{self.path}: the gzip data is broken after {self.size:,} unpacked bytes ({error}). Fetch it again."
            ) from error
        self.size += n
        if self.size > BOMB_BYTES and self.size > BOMB_RATIO * self.packed:
            raise MashqError(
                f"{self.path}: unpacks to more than {BOMB_RATIO} times its size, expected at most that of real text:"
                " it looks like"
                " a decompression bomb. Unpack it yourself if you trust it."
            )
        return n

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
            self.raw.close()
        super().close()


class _Recoded(io.RawIOBase):
    """Text in another encoding, or with lone carriage returns, as UTF-8 with line feeds."""

    def __init__(self, path: Path, raw: BinaryIO, encoding: str, *, lone_returns: bool):
        self.path, self.raw, self.encoding = path, raw, encoding
        self.decoder = codecs.getincrementaldecoder(encoding)()
        self.lone_returns = lone_returns
        self.waiting = b""
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while len(self.waiting) < len(buffer):
            block = self.raw.read(SAMPLE)
            try:
                text = self.decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise MashqError(
                    f"{self.path}: byte {self.read_bytes + error.start:,} is not {self.encoding} ({error.reason})."
                    " Give the file's encoding, or convert it to UTF-8."
                ) from error
            self.read_bytes += len(block)
            self.waiting += (text.replace("\r", "\n") if self.lone_returns else text).encode("utf-8", "replace")
            if not block:
                break
        n = min(len(buffer), len(self.waiting))
        buffer[:n] = self.waiting[:n]
        self.waiting = self.waiting[n:]
        return n

    def close(self) -> None:
        if not self.closed:
            self.raw.close()
        super().close()


def open_utf8(path: Path, settings: SourceSettings) -> BinaryIO:
    """The bytes of a text file: unpacked, in UTF-8, without byte order mark, lines ending in a line feed.

    Single lines may still hold bytes that are not UTF-8. Raises MashqError as `open_binary` does, and where the file is
    another kind of file or mostly not UTF-8.
    """
    stream = open_binary(path)
    try:
        return _text_stream(path, stream, settings)
    except BaseException:
        stream.close()
        raise


def _text_stream(path: Path, stream: BinaryIO, settings: SourceSettings) -> BinaryIO:
    sample = stream.peek(SAMPLE)  # type: ignore[attr-defined]
    _refuse_other_kinds(path, sample)
    encoding = settings.encoding
    for mark, name in BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            encoding = name
            if name == "utf-8":
                stream.read(len(mark))
            break
    plain = codecs.lookup(encoding).name == "utf-8"
    if plain:
        _refuse_foreign_encodings(path, sample)
    lone_returns = plain and b"\r" in sample and b"\n" not in sample
    if plain and not lone_returns:
        return stream
    return io.BufferedReader(_Recoded(path, stream, encoding, lone_returns=lone_returns), SAMPLE)


def _refuse_other_kinds(path: Path, sample: bytes) -> None:
    if not sample:
        raise MashqError(f"{path}: the file is empty once unpacked. Fetch it again.")
    for magic, kind, ending in MAGIC:
        if sample.startswith(magic):
            raise MashqError(f"{path}: expected text, got {kind}. Name it with the ending {ending}.")


def _refuse_foreign_encodings(path: Path, sample: bytes) -> None:
    """A file is not UTF-8 when more than half of its lines are not; fewer are single bad records."""
    if b"\n\0" in sample or b"\0\n" in sample:
        name = "utf-16-le" if b"\n\0" in sample else "utf-16-be"
        raise MashqError(f"{path}: expected UTF-8, got UTF-16 without a byte order mark. Give encoding='{name}'.")
    lines = [line for line in sample.split(b"\n")[: -1 if len(sample) >= SAMPLE - 4 else None] if line.strip()]
    bad = sum(1 for line in lines if not _is_utf8(line))
    if 2 * bad > len(lines):
        raise MashqError(
            f"{path}: expected UTF-8, but {bad} of the first {len(lines)} lines are not. Arabic files are then most"
            " often"
            " Windows-1256: give encoding='cp1256', or convert the file."
        )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def byte_lines(stream: BinaryIO, largest: int) -> Iterator[bytes]:
    """The lines of a stream with their ends. Of a line above `largest` bytes only the first `largest` + 1 are given."""
    while line := stream.readline(largest + 1):
        yield line
        if len(line) > largest and not line.endswith(b"\n"):
            while (rest := stream.readline(SAMPLE)) and not rest.endswith(b"\n"):
                pass


def as_text(data: bytes) -> str:
    """Bytes as a person may see them: what is not UTF-8 is written `\\xNN`."""
    return data.decode("utf-8", "backslashreplace")


def read_whole(path: Path, settings: SourceSettings) -> bytes:
    """The whole of a text file as UTF-8. Raises MashqError above `largest_file_mb` and as `open_utf8` does."""
    with open_utf8(path, settings) as stream:
        data = stream.read((settings.largest_file_mb << 20) + 1)
    if len(data) > settings.largest_file_mb << 20:
        raise MashqError(
            f"{path}: a JSON document is read whole and this one is larger than"
            f" largest_file_mb={settings.largest_file_mb}."
            " Write it as JSON lines, which are read as a stream, or raise the limit."
        )
    return data


def _has_keys(head: bytes, *groups: tuple[bytes, ...]) -> bool:
    """Whether of each group of names one stands in the text as a key."""
    return all(any(re.search(b'"%b"\\s*:' % name, head) for name in group) for group in groups)


_OBJECT_LINE = re.compile(rb"\A\s*\{.*\}\s*\Z", re.DOTALL)


def content_of(path: Path, one_line: str = "json") -> str:
    """What a file's first bytes look like: a shape's name, '' for other binaries.

    `one_line` is what an object that fills the only line is called: a document, or the one line of JSON lines.
    """
    with open_binary(path) as stream:
        head = stream.read(1 << 16)
    for magic, kind in (
        (b"PAR1", "parquet"),
        (b"ARROW1", "arrow"),
        (b"\xff\xff\xff\xff", "arrow"),
        (b"PK\x03\x04", "xlsx"),
    ):
        if head.startswith(magic):
            return kind
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        lines = [line for line in text.split(b"\n") if line.strip()]
        if len(lines) > 1 and _OBJECT_LINE.match(lines[0]):
            return "jsonl"
        if re.search(rb'"paragraphs"\s*:\s*\[', head):
            return "squad"
        if _has_keys(head, (b"Definition",), (b"Instances", b"Positive Examples", b"Negative Examples")):
            return "natural_instructions"
        return one_line if len(lines) == 1 and len(text) > 1 else "json"
    return "" if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "text"
