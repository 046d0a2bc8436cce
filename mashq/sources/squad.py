"""SQuAD nesting: articles, paragraphs, questions, answers with their offsets into the paragraph (1.1 and 2.0)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mashq.rows import MashqError
from mashq.sources.json_document import document
from mashq.sources.jsonl import kind_of
from mashq.sources.settings import Fault, Record, SourceSettings, Where

__all__ = ["records"]


def records(path: Path, settings: SourceSettings) -> Iterator[tuple[Where, Record | Fault]]:
    """One record a question: id, title, context, question, answers {text: [...], answer_start: [...]}, further fields.

    An answer whose text does not stand at its offset is taken out and kept, with its reason, in `dropped_answers`; a
    question that had answers and has none left is a fault. Offsets count characters. An article without a title is
    called `article N`, because its questions must not straddle splits.

    Raises MashqError where the document has no list of articles with paragraphs.
    """
    value = document(path, settings)
    articles = value.get("data") if isinstance(value, dict) else value
    if not isinstance(articles, list) or not any(isinstance(item, dict) and "paragraphs" in item for item in articles):
        got = ", ".join(value) if isinstance(value, dict) else kind_of(value)
        raise MashqError(f"{path}: expected SQuAD ('data' with a list of articles that have 'paragraphs'), got {got}.")
    for a, article in enumerate(articles, 1):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            yield f"article {a}", _missing(f"article {a}", "paragraphs", "a list", article)
            continue
        title = article.get("title") or f"article {a}"
        for p, paragraph in enumerate(paragraphs, 1):
            yield from _questions(f"article {a}, paragraph {p}", title, paragraph)


def _missing(where: str, name: str, expected: str, item: Any) -> Fault:
    raw = msgspec.json.encode(item).decode()
    if not isinstance(item, dict):
        return Fault(f"wrong type: {where}: expected an object, got {kind_of(item)}", raw)
    if name not in item:
        return Fault(f"missing field: {where} has no '{name}'", raw)
    return Fault(f"wrong type: {where}: '{name}' is {kind_of(item[name])}, expected {expected}", raw)


def _questions(where: str, title: Any, paragraph: Any) -> Iterator[tuple[str, Record | Fault]]:
    context = paragraph.get("context") if isinstance(paragraph, dict) else None
    if not isinstance(context, str):
        yield where, _missing(where, "context", "a string", paragraph)
        return
    if not isinstance(paragraph.get("qas"), list):
        yield where, _missing(where, "qas", "a list", paragraph)
        return
    for q, question in enumerate(paragraph["qas"], 1):
        place = f"{where}, question {q}"
        if not isinstance(question, dict) or not isinstance(question.get("question"), str):
            yield place, _missing(place, "question", "a string", question)
        else:
            yield place, _question(place, title, context, question)


def _question(where: str, title: Any, context: str, question: dict[str, Any]) -> Record | Fault:
    answers = question.get("answers", [])
    if not isinstance(answers, list):
        return _missing(where, "answers", "a list", question)
    good: dict[str, list[Any]] = {"text": [], "answer_start": []}
    wrong: list[dict[str, Any]] = []
    for answer in answers:
        reason = _why_not(answer, context)
        if reason:
            wrong.append({"answer": answer, "reason": reason})
        else:
            good["text"].append(answer["text"])
            good["answer_start"].append(answer["answer_start"])
    record: Record = {"id": question.get("id"), "title": title, "context": context, "question": question["question"]}
    record["answers"] = good
    record |= {name: value for name, value in question.items() if name not in record}
    if record["id"] is None:
        del record["id"]
    if wrong:
        record["dropped_answers"] = wrong
    if answers and not good["text"]:
        return Fault(wrong[0]["reason"], record=record)
    return record


def _why_not(answer: Any, context: str) -> str | None:
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        return "wrong type: an answer has no 'text' that is a string"
    text, start = answer["text"], answer.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool):
        return f"wrong type: 'answer_start' is {kind_of(start)}, expected a number"
    if not text:
        return "empty answer"
    found = context[start : start + len(text)] if start >= 0 else ""
    if found == text:
        return None
    same = next((i for i, pair in enumerate(zip(found, text, strict=False)) if pair[0] != pair[1]), len(found))
    view = slice(max(0, same - 10), same + 20)
    return (
        f"answer offset: {start}: the context has {found[view]!r}, expected {text[view]!r}, unequal at character {same}"
    )
