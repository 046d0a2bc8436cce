"""Replies that are JSON: asked for by a schema where the server can, found in the reply's words where it cannot."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import msgspec

from mashq.rows import MashqError, expected_got

__all__ = ["canonical", "parsed", "response_format"]

THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.S)
OPENING = re.compile(r'\{\s*["}]|\[\s*(?:["{\[\]]|-?\d|true\b|false\b|null\b)')
MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.S)  # a string that never ends is one mark too
MOST_CHARACTERS = 4 << 20  # of a reply that is looked through
MOST_OPENINGS = 64  # where a value could begin that are tried


def canonical(schema: Any) -> str:
    """A JSON schema (a mapping, or its text) as the one text that `Request.schema` takes: no spaces, the order kept,
    because a model writes its fields in the order of the schema. Raises MashqError for what is no JSON object."""
    if isinstance(schema, str):
        return _canonical_text(schema)
    try:
        return _canonical_text(json.dumps(schema, ensure_ascii=False))
    except (TypeError, ValueError) as error:
        raise MashqError(expected_got("schema", "a JSON schema", f"{type(schema).__name__} ({error})")) from error


@functools.lru_cache(maxsize=256)
def _canonical_text(text: str) -> str:
    try:
        loaded = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MashqError(expected_got("schema", "a JSON schema", f"{text[:60]!r} ({error})")) from error
    if not isinstance(loaded, dict):
        raise MashqError(expected_got("schema", 'a JSON object, like {"type": "object"}', repr(text[:60])))
    return msgspec.json.encode(loaded).decode()


@functools.lru_cache(maxsize=256)
def response_format(schema: str) -> dict[str, Any]:
    """The field `response_format` that OpenAI, vLLM and llama.cpp take for a schema in canonical text.

    `strict` where the schema meets what OpenAI demands for it: every object lists all its properties as required and
    allows no others. Do not change what comes back.
    """
    loaded = msgspec.json.decode(schema)
    said = {"name": "reply", "schema": msgspec.Raw(schema.encode()), "strict": _is_strict(loaded)}
    return {"type": "json_schema", "json_schema": said}


def _is_strict(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_is_strict, node))
    if not isinstance(node, dict):
        return True
    if isinstance(node.get("properties"), dict) and (
        node.get("additionalProperties") is not False or set(node.get("required", ())) != set(node["properties"])
    ):
        return False
    return all(map(_is_strict, node.values()))


def parsed(text: str) -> Any | None:
    """The JSON value in a reply, or None: the whole reply, or the longest object or array in it, behind a model's
    thoughts, inside a fence, with words around it. What was cut off is none, nor is a piece of it. The time it takes
    grows with the length of the reply and no faster."""
    text = THOUGHT.sub("", text[:MOST_CHARACTERS], count=1).strip()
    whole = _load(text)
    if whole is not None:
        return whole
    best, length, at = None, 0, 0
    for _ in range(MOST_OPENINGS):
        opening = OPENING.search(text, at)
        if not opening:
            break
        if (end := _closing(text, opening.start())) is None:  # cut off
            return best if length > len(text) - opening.start() else None
        at = end
        if end - opening.start() > length and (value := _load(text[opening.start() : end])) is not None:
            best, length = value, end - opening.start()
    return best


def _load(text: str) -> Any | None:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _closing(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at `start`; None where none does."""
    depth = 0
    for mark in MARK.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return None
