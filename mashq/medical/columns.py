"""Which columns of a published medical set are the question, the answer and the choices.

Layouts looked at: MedArabiQ (`Question_description`, `Answer_details`; `Question`, `Answer`, `Category` with the
lettered choices inside the question), MAQA (`q_body`, `a_body`, `category`), AHQAD (an unnamed index, `Question`,
`Answer`, `Category`), AraMed (`Question`, `Answer`), Shifaa (`Question Title`, `Question`, `Answer`,
`Hierarchical Diagnosis`),
the Arabic MedMCQA and MedQA of BiMediX (`question`, `opa` to `opd`, `cop`), CIDAR and Alpaca (`instruction`, `input`,
`output`), conversations (`messages`). Files are read by `mashq.sources`, which knows byte order marks and quotes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mashq.rows import nearest
from mashq.word_patterns import folded_lower

__all__ = ["Layout", "columns_of", "record_pair"]

# The first name that a set has is taken. Names are compared folded, without byte order mark, spaces, _ and -.
_NAMES: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation"),
    "question": (
        "question", "questions", "q_body", "question_description", "question_text", "question_body", "query",
        "complaint", "patient", "patient_question", "prompt", "instruction", "سؤال", "السؤال", "الشكوى", "نص السؤال",
        "الاستشارة",
        "q",
        "ar_question", "question_ar", "description", "input",
    ),
    "answer": (
        "answer", "answers", "a_body", "answer_details", "answer_text", "answer_body", "response", "doctor",
        "reply",
        "doctor_answer", "completion", "output", "جواب", "الجواب", "إجابة", "الإجابة", "الرد", "نص الإجابة", "a",
        "advice",
        "ar_answer", "answer_ar", "target", "correct answer", "correct_answer",
    ),
    "title": ("question title", "title", "subject", "q_title", "question_title", "العنوان", "عنوان السؤال"),
    "context": ("input", "context"),
    "specialty": (
        "category", "specialty", "speciality", "department", "label", "topic", "hierarchical diagnosis", "التخصص",
        "القسم",
        "التصنيف", "category_ar", "subject_name",
    ),
    "correct": ("cop", "answer_idx", "correct_option", "correct", "label_idx", "الإجابة الصحيحة", "answer_index"),
    "choices": ("choices", "options", "الخيارات"),
}  # fmt: skip
_CHOICE = re.compile(r"^(?:op|option|choice|خيار|الخيار)?([a-f]|[1-6]|[أابجده])$")


@dataclass(frozen=True)
class Layout:
    """The columns of a set by what they hold, under their own names; None where it has none such.

    `missing` says what a pair needs and the set lacks, each with the column that comes nearest. `ignored` are columns
    that hold nothing of a pair: an index without a name, empty names, and all others.
    """

    question: str | None = None
    answer: str | None = None
    title: str | None = None
    context: str | None = None
    specialty: str | None = None
    messages: str | None = None
    choices: tuple[str, ...] = ()  # a column each, in order; or one column that holds a list
    correct: str | None = None
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def _plain(name: object) -> str:
    """A column's name for comparing: no byte order mark, no case, no separators."""
    return re.sub(r"[\s_\-.:؟?]+", "", folded_lower(str(name)))


@functools.cache
def _known() -> dict[str, tuple[str, ...]]:
    return {what: tuple(_plain(name) for name in names) for what, names in _NAMES.items()}


def columns_of(names: Iterable[str]) -> Layout:
    """Names of columns -> what they hold. Never raises: what is missing stands in `missing`."""
    given = [str(name) for name in names]
    plain: dict[str, str] = {}
    for name in given:
        key = _plain(name)
        if key and not key.startswith("unnamed"):
            plain.setdefault(key, name)
    found: dict[str, str] = {}
    for what, known in _known().items():
        hit = next((plain[name] for name in known if name in plain and plain[name] not in found.values()), None)
        if hit is not None:
            found[what] = hit
    lettered = _lettered(plain, set(found.values()))
    choices = tuple(lettered) or ((found["choices"],) if "choices" in found else ())
    if "context" in found and not _is(found.get("question"), "instruction"):
        del found["context"]  # `input` is more of an instruction, not of a question
    if "correct" in found and "answer" not in found and not choices:
        found["answer"] = found.pop("correct")
    missing = _missing(found, choices, list(plain.values()))
    used = {*found.values(), *choices}
    found.pop("choices", None)
    ignored = tuple(name for name in given if name not in used)
    return Layout(**found, choices=choices, ignored=ignored, missing=missing)


def _is(name: str | None, plain: str) -> bool:
    return name is not None and _plain(name) == plain


def _lettered(plain: Mapping[str, str], used: set[str]) -> list[str]:
    """Columns of single choices (opa, A, option1, ...), at least two, in their order."""
    hits = [(match[1], name) for key, name in plain.items() if (match := _CHOICE.match(key)) and name not in used]
    return [name for _, name in hits] if len(hits) > 1 else []


def _missing(found: Mapping[str, str], choices: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    if "messages" in found:
        return ()
    lacks = []
    for what in ("question", "answer"):
        if what in found or (what == "answer" and choices and "correct" in found):
            continue
        known = ", ".join(_NAMES[what][:4])
        lacks.append(f"{what}: no column such as {known} among {', '.join(names) or 'none'}.{nearest(what, names)}")
    return tuple(lacks)


def record_pair(record: Mapping[str, Any], layout: Layout) -> tuple[str, str] | str:
    """A record of that layout -> (question, answer), or the reason why it gives none.

    A title stands before its question unless the question begins with it, choices after it as "1. ...". An answer that
    is the number or the letter of a choice becomes the choice: `correct` counts from 0 where it is a number, as
    MedMCQA's. Never raises.
    """
    if layout.missing:
        return f"columns: {layout.missing[0]}"
    if layout.messages is not None:
        return _of_messages(record.get(layout.messages))
    question = _joined(record, layout)
    if not question:
        return "no question: an empty column"
    choices = _choices(record, layout)
    answer = _text(record.get(layout.answer)) if layout.answer else ""
    if choices:
        said = record.get(layout.correct) if layout.correct else None
        answer = _chosen(said, choices) or _chosen(answer, choices) or answer
        question += "\n" + "\n".join(f"{number}. {choice}" for number, choice in enumerate(choices, 1))
    return (question, answer) if answer else "no answer: an empty column"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = next((one for one in value if one), "")
    text = "" if value is None or value != value else str(value).strip()  # NaN is not itself
    return "" if text.lower() in ("nan", "none", "null") else text


def _joined(record: Mapping[str, Any], layout: Layout) -> str:
    question = _text(record.get(layout.question or ""))
    title = _text(record.get(layout.title or ""))
    context = _text(record.get(layout.context or ""))
    if title and question and not question.startswith(title):
        question = f"{title}\n{question}"
    return "\n".join(part for part in (question or title, context) if part)


def _choices(record: Mapping[str, Any], layout: Layout) -> list[str]:
    if len(layout.choices) == 1:
        value = record.get(layout.choices[0])
        if isinstance(value, Mapping):
            value = list(value.values())
        return [_text(one) for one in value if _text(one)] if isinstance(value, list | tuple) else []
    return [text for name in layout.choices if (text := _text(record.get(name)))]


_LETTERS = {letter: place for letters in ("abcdef", "ابجدهو") for place, letter in enumerate(letters)}


def _chosen(said: Any, choices: list[str]) -> str:
    """The choice that a number (from 0) or a letter names, else nothing."""
    if isinstance(said, bool) or said is None:
        return ""
    if isinstance(said, int | float) and said == said:
        return choices[int(said)] if 0 <= said < len(choices) else ""
    text = folded_lower(str(said)).strip(" .)(:-")
    if text.isascii() and text.isdigit():
        return choices[int(text)] if int(text) < len(choices) else ""
    place = _LETTERS.get(text)
    return choices[place] if place is not None and place < len(choices) else ""


_ASKS = ("user", "human", "patient", "prompter")
_ANSWERS = ("assistant", "gpt", "doctor", "model", "bot")


def _of_messages(value: Any) -> tuple[str, str] | str:
    """The first question of a conversation, and the reply to it."""
    question = ""
    for turn in value if isinstance(value, list | tuple) else ():
        if not isinstance(turn, Mapping):
            continue
        role = str(turn.get("role") or turn.get("from") or "").lower()
        text = _text(turn.get("content") or turn.get("value"))
        if role in _ASKS and not question:
            question = text
        elif role in _ANSWERS and question and text:
            return question, text
    return "no answer: no reply in the conversation" if question else "no question: none in the conversation"
