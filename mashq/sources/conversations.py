"""Published conversations -> messages: OpenAI's role/content, ShareGPT's from/value, either also as JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mashq.sources.jsonl import decode, kind_of
from mashq.sources.settings import Record

__all__ = ["FIELDS", "ROLES", "conversation_field", "messages_of"]

FIELDS = ("messages", "conversations", "conversation")
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "[|human|]": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "[|ai|]": "assistant",
}
_ROLE_KEYS = ("role", "from")
_CONTENT_KEYS = ("content", "value")


def conversation_field(record: Record) -> str | None:
    """The field of a record that is plainly a conversation: a known name, and a list of turns (or JSON text of one)."""
    for name in FIELDS:
        if name not in record:
            continue
        value = record[name]
        if isinstance(value, str) and value.lstrip().startswith("[") and any(f'"{key}"' in value for key in _ROLE_KEYS):
            return name
        if (
            isinstance(value, list)
            and value
            and isinstance(value[0], dict)
            and any(key in value[0] for key in _ROLE_KEYS)
        ):
            return name
    return None


def messages_of(value: Any) -> list[dict[str, str]] | str:
    """A published conversation -> messages with the roles system, user and assistant, or the reason why not."""
    if isinstance(value, str):
        try:
            value = decode(value.encode())
        except (ValueError, RecursionError) as error:
            return f"unparsable: the conversation is text, expected JSON: {error}"
    if not isinstance(value, list):
        return f"wrong type: the conversation is {kind_of(value)}, expected a list of turns"
    if not value:
        return "empty conversation"
    messages = []
    for number, turn in enumerate(value, 1):
        message = _message(number, turn)
        if isinstance(message, str):
            return message
        messages.append(message)
    return messages


def _message(number: int, turn: Any) -> dict[str, str] | str:
    if not isinstance(turn, Mapping):
        return f"wrong type: turn {number} is {kind_of(turn)}, expected an object"
    role_key = next((key for key in _ROLE_KEYS if key in turn), None)
    content_key = next((key for key in _CONTENT_KEYS if key in turn), None)
    if role_key is None or content_key is None:
        has = ", ".join(map(str, turn)) or "nothing"
        return f"missing field: turn {number} has {has}, expected role and content, or from and value"
    role = turn[role_key]
    name = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if name is None:
        return f"unknown role: turn {number} is by {role!r}, expected one of {', '.join(ROLES)}"
    content = _text(turn[content_key])
    if content is None:
        return f"wrong type: the '{content_key}' of turn {number} is no text"
    return {"role": name, "content": content}


def _text(content: Any) -> str | None:
    """Text, or OpenAI's list of parts if all are text."""
    if isinstance(content, str):
        return content
    if (
        isinstance(content, list)
        and content
        and all(isinstance(part, dict) and part.get("type") == "text" for part in content)
    ):
        texts = [part.get("text") for part in content]
        return "".join(texts) if all(isinstance(text, str) for text in texts) else None
    return None
