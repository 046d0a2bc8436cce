"""Replies that are JSON: asked for by a schema where the server can, found in the reply's words where it cannot."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from mashq.rows import MashqError, expected_got

__all__ = ["canonical", "parsed", "response_format"]

THOUGHT, THOUGHT_ENDS = "<think>", "</think>"
OPENING = re.compile(r'\{\s*["}]|\[\s*(?:["{\[\]]|-?\d|true\b|false\b|null\b)')
MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.S)  # a string that never ends is one mark too
MOST_CHARACTERS = 4 << 20  # of a reply that is looked through
MOST_OPENINGS = 64  # where a value could begin that are tried
MOST_DEPTH = 200  # of a schema; servers and JSON libraries give up not far above


def canonical(schema: Any) -> str:
    """A JSON schema (a mapping, or its text) as the one text that `Request.schema` takes: no spaces, the order kept,
    because a model writes its fields in the order of the schema. Raises MashqError for what is no JSON object, and for
    one nested deeper than 200."""
    if isinstance(schema, str):
        return _canonical_text(schema)
    try:
        return _canonical_text(json.dumps(schema, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise MashqError(expected_got("schema", "a JSON schema", f"{type(schema).__name__} ({error})")) from error


@functools.lru_cache(maxsize=256)
def _canonical_text(text: str) -> str:
    try:
        loaded = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MashqError(expected_got("schema", "a JSON schema", f"{text[:60]!r} ({error})")) from error
    if not isinstance(loaded, dict):
        raise MashqError(expected_got("schema", 'a JSON object, like {"type": "object"}', repr(text[:60])))
    if (depth := sum(1 for _ in _levels(loaded))) > MOST_DEPTH:
        raise MashqError(expected_got("schema", f"a JSON schema of at most {MOST_DEPTH} levels", f"{depth} levels"))
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


def _levels(value: Any) -> Iterator[list[Any]]:
    """The objects and arrays of a value, level by level. By a loop: a stranger's schema may be nested to any depth."""
    level = [value]
    while level := [node for node in level if isinstance(node, dict | list)]:
        yield level
        level = [inner for node in level for inner in (node.values() if isinstance(node, dict) else node)]


def _is_strict(schema: Any) -> bool:
    return all(_lists_all(node) for level in _levels(schema) for node in level if isinstance(node, dict))


def _lists_all(node: dict[str, Any]) -> bool:
    """Whether an object of a schema requires all its properties and allows no others."""
    properties, required = node.get("properties"), node.get("required", [])
    if not isinstance(properties, dict):
        return True
    if node.get("additionalProperties") is not False or not isinstance(required, list):  # `true` in draft 3
        return False
    return all(isinstance(name, str) for name in required) and set(required) == set(properties)


def parsed(text: str) -> Any | None:
    """The JSON value in a reply, or None: the whole reply, or the longest object or array in it, inside a fence, with
    words around it. What a model thought is no reply: all up to the last `</think>` (some servers send it without its
    opening) and all behind a `<think>` that never ends. What was cut off is none, nor is a piece of it. The time it
    takes grows with the length of the reply and no faster."""
    text = text[:MOST_CHARACTERS]
    for whole in (text, text := text.rpartition(THOUGHT_ENDS)[2].strip()):  # first as it is: a string may hold the mark
        if (value := _load(whole)) is not None:
            return value
    best, length, at = None, 0, 0
    for _ in range(MOST_OPENINGS):
        opening = OPENING.search(text, at)
        if not opening or text.find(THOUGHT, at, opening.start()) >= 0:
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
