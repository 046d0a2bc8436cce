"""Keys and private paths in what would be sent: reasons, by file, never the secret itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["found_in", "visible"]

LEAST_VALUE = 12  # characters of an environment variable's value that is no word of everyday text
HEADER = 8 << 20  # bytes at the beginning of a weight file: its metadata, no numbers
WEIGHTS = (".safetensors", ".gguf", ".bin")
# Kind -> its shape, as each maker writes it; the digits and letters of a real key are drawn, see `_drawn`.
SHAPES = {
    "a Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,}",
    "an API key (sk-...)": rb"\bsk-[A-Za-z0-9_-]{20,}",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    "an AWS key": rb"\bA(?:KIA|SIA)[A-Z0-9]{16}\b",
    "a Google key": rb"\bAIza[A-Za-z0-9_-]{35}",
    "a Slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": rb"\bhttps?://[^\s/:@\"'<>]{1,64}:[^\s/@\"'<>]{3,64}@[A-Za-z0-9.-]+",
    "a bearer token": rb"[Bb]earer [A-Za-z0-9._~+/-]{20,}",
}
_SHAPES = {kind: re.compile(shape) for kind, shape in SHAPES.items()}
SURE = ("a private key", "a password in an address")  # whatever characters they hold
# Variables of the environment whose value is a secret, by the end of the name.
SECRET_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.I)


def visible(path: Path) -> bytes:
    """The bytes of a file that people can read: all of it, of weights the beginning, where their metadata stand."""
    with path.open("rb") as file:
        return file.read(HEADER) if path.suffix in WEIGHTS else file.read()


def found_in(content: bytes) -> Iterator[str]:
    """What in a file's content must not leave this machine, as reasons. A secret is named by kind and line."""
    for kind, shape in _SHAPES.items():
        hit = next((one for one in shape.finditer(content) if kind in SURE or _drawn(one.group())), None)
        if hit:
            yield f"secret: {kind} in line {_line(content, hit.start())}"
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) >= LEAST_VALUE:
            place = content.find(value.encode("utf-8", "surrogateescape"))
            if place >= 0:
                yield f"secret: the value of {name} in line {_line(content, place)}"
    home = str(Path.home()).rstrip("/")
    places = [home] if home.count("/") >= 1 and home != "" else []
    for place_name in places:
        hit = re.search(re.escape(place_name.encode()) + rb"/[\w.~-]", content)
        if hit:
            yield f"private path: this user's home in line {_line(content, hit.start())}"


def _drawn(text: bytes) -> bool:
    """Whether a string looks drawn and not written: three digits and more, and letters of its own beside them."""
    body = text.split(b"_", 1)[-1].split(b"-", 1)[-1]
    return sum(48 <= one <= 57 for one in body) >= 2 and len(set(body)) >= 10


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1
