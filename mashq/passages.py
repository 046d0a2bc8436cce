"""Questions on passages: the answer is a span of the passage, or is not in it; every span is exact.

The shape is that of extractive question answering (SQuAD: Rajpurkar et al. 2016, arXiv 1606.05250; questions without
an answer: Rajpurkar et al. 2018, arXiv 1806.03822). `span_of` finds an answer whatever marks, alef forms and spaces a
model wrote; offsets count characters of the passage as it stands.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import regex

from mashq import arabic, rows
from mashq.labelled import Unreadable, fields_of
from mashq.lm import Messages
from mashq.rows import MashqError, expected_got
from mashq.synthesis import Draft, Wanted
from mashq.tasks import (
    StyledWriter,
    asked_in_chat,
    at_least,
    at_most,
    avoided,
    draft,
    drawn,
    rule,
    text_faults,
    wordings,
)
from mashq.word_patterns import FOLD
from mashq.word_patterns import folded_lower as fold

__all__ = [
    "Passage",
    "PassageLimits",
    "PassageQuestions",
    "passages_of",
    "question_faults",
    "span_of",
    "wanted_questions",
    "with_spans",
]

NEAR = 120  # characters on each side of a span in which the question's words are looked for
QUOTES = "\"'“”«»„‘’()[] \t\n"
ENDS = ".،؛:,;!"
# A clitic before a word, folded: "وبالقاهرة" holds the answer "القاهرة".
CLITIC = regex.compile(r"(?:[وف]?[بلك]?|[وف])\Z")
CLUSTER = regex.compile(r"\X", regex.S)


@dataclass(frozen=True)
class PassageLimits:
    """What passages, questions and answers must keep to. Words, unless it says otherwise."""

    least_passage: int = 20
    most_passage: int = 400
    least_question: int = 3
    most_question: int = 30
    most_answer: int = 20
    most_of_passage: float = 0.5  # share of the passage's words that an answer may be
    least_shared: int = 1  # content words of the question that stand in the passage
    most_copied: float = 0.8  # share of the question's words that are one run of the passage


@dataclass(frozen=True)
class Passage:
    """A text that is asked about, and the rows it stands in."""

    text: str
    title: str = ""
    group: str = ""
    ids: tuple[bytes, ...] = ()
    licence: str | None = None
    variety: str | None = None


# --- spans -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1 << 16)
def _folded(cluster: str) -> str:
    """One character with its marks in the spelling in which texts are compared; white space is one space."""
    return " " if cluster.isspace() else arabic.normalise(cluster, FOLD).lower()


@functools.lru_cache(maxsize=64)
def _mapped(text: str) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """A text folded; and of each character that is left the start and end of what it stands for in the text."""
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in CLUSTER.finditer(text):
        for letter in _folded(match[0]):
            if letter == " " and (not letters or letters[-1] == " "):
                continue
            letters.append(letter)
            starts.append(match.start())
            ends.append(match.end())
    return "".join(letters), tuple(starts), tuple(ends)


def span_of(answer: str, passage: str, question: str = "") -> tuple[int, int] | None:
    """Where an answer stands in a passage: (start, end) in characters; None where it does not.

    Words are compared folded (no marks, one alef, one ya, ta marbuta as ha, one kind of digits, any white space), whole
    words only, save that a clitic (و ف ب ل ك) may stand before the first. Quotation marks around the answer and a mark
    at its end do not count. Of several places the one with most of the question's words around it, then the first. The
    span folded is the answer folded.
    """
    sought = "".join(_mapped(_stripped(answer))[0]).strip()
    text, starts, ends = _mapped(passage)
    if not sought:
        return None
    found = []
    place = text.find(sought)
    while place >= 0:
        if _whole(text, place, place + len(sought)) and _clean(starts, ends, place, place + len(sought)):
            found.append((starts[place], ends[place + len(sought) - 1]))
        place = text.find(sought, place + 1)
    if not found:
        return None
    asked = set(_content(question))
    return max(found, key=lambda span: (_around(passage, span, asked), -span[0]))


def _stripped(answer: str) -> str:
    return answer.strip(QUOTES).rstrip(ENDS).strip(QUOTES)


def _whole(text: str, start: int, end: int) -> bool:
    """Whether the run begins a word, or follows a clitic, and ends one."""
    if end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
        return False
    before = regex.search(r"\w*\Z", text[max(0, start - 4) : start])
    if not text[start].isalnum() or before is None or not before[0]:
        return True
    letters = before[0]
    return len(letters) < 3 and CLITIC.fullmatch(letters) is not None


def _clean(starts: Sequence[int], ends: Sequence[int], start: int, end: int) -> bool:
    """Whether the run begins and ends between characters: a ligature may hold two letters of which one is sought."""
    begins = start == 0 or starts[start - 1] != starts[start]
    return begins and (end == len(starts) or ends[end] != ends[end - 1])


def _around(passage: str, span: tuple[int, int], asked: set[str]) -> int:
    near = passage[max(0, span[0] - NEAR) : span[1] + NEAR]
    return len(asked.intersection(_content(near))) if asked else 0


@functools.lru_cache(maxsize=1024)
def _content(text: str) -> tuple[str, ...]:
    """The folded words of three letters and more, without the article and what stands before it."""
    bare = (regex.sub(r"\A[وف]?(?:[بك]?ال|لل)(?=\w{2})", "", word) for word in arabic.words(fold(text)))
    return tuple(word for word in bare if len(word) > 2 or word.isdigit())


# --- faults ----------------------------------------------------------------------------------------------------------


@functools.cache
def _question_word() -> regex.Pattern[str]:
    """A question word, with a preposition or without: a clear one anywhere, another where a clause begins."""
    clear, first = ("|".join(wordings()["rules"][name]) for name in ("question_words", "question_words_first"))
    before = r"(?:[وف]|(?:و|ف)?(?:في|من|الي|علي|عن|ب|ل|ك|مع|منذ|بعد|قبل|حتي|تحت|عند|لدي|بين) ?)?"
    return regex.compile(rf"(?:(?<!\w){before}(?:{clear})|(?:\A\W*|[،,:؛.] ?){before}(?:{first}))(?!\w)")


def question_faults(
    question: str, answer: str, passage: str, span: tuple[int, int] | None, limits: PassageLimits
) -> dict[str, str | None]:
    """Of each check of a question and its answer None or why not, the worst first. All but `span` hold for questions
    without an answer in the passage too: `answer` is then the wrong answer that a hasty reader gives."""
    words, said = len(arabic.words(question)), len(arabic.words(answer))
    about = len(arabic.words(passage))
    folded = fold(question)
    return {
        "span": None if span else f"not in the passage: «{answer[:60]}»",
        "given_away": _given_away(folded, fold(_stripped(answer))),
        "shared": _unshared(question, passage, limits.least_shared),
        "whole": _copied(question, passage, limits.most_copied),
        "word": _no_question_word(folded),
        "mark": None if folded.endswith(("؟", "?")) else f"no question mark: ends with {question[-12:]!r}",
        "points_at": _points_at(folded),
        "question": _between("question", words, limits.least_question, limits.most_question),
        "long_answer": _answer_length(said, about, limits),
    }


def _no_question_word(folded: str) -> str | None:
    return None if _question_word().search(folded) else f"no question word: «{folded[:60]}»"


def _points_at(folded: str) -> str | None:
    match = rule("points_at").search(folded)
    return f"points at the passage: «{match[0].strip()}»" if match else None


def _given_away(question: str, answer: str) -> str | None:
    stands = answer and regex.search(rf"(?<!\w){regex.escape(answer)}(?!\w)", question)
    return f"given away: «{answer[:60]}» stands in the question" if stands else None


def _unshared(question: str, passage: str, least: int) -> str | None:
    shared = len(set(_content(question)) & set(_content(passage)))
    return (
        f"not of the passage: {shared} content words of the question stand in it < {least}" if shared < least else None
    )


def _copied(question: str, passage: str, most: float) -> str | None:
    """The longest run of the question's words that stands in the passage."""
    words = arabic.words(fold(question))
    text = f" {' '.join(arabic.words(fold(passage)))} "
    longest = 0
    for start in range(len(words)):
        while start + longest < len(words) and f" {' '.join(words[start : start + longest + 1])} " in text:
            longest += 1
    share = longest / len(words) if words else 0.0
    return f"copied: {share:.2f} of the question is one run of the passage > {most}" if share > most else None


def _between(name: str, words: int, least: int, most: int) -> str | None:
    return at_least(name, words, least) or at_most(name, words, most)


def _answer_length(words: int, about: int, limits: PassageLimits) -> str | None:
    if words > limits.most_of_passage * about:
        return f"long: the answer is {words} of {about} words of the passage > {limits.most_of_passage}"
    return _between("answer", words, 1, limits.most_answer)


# --- what is wanted --------------------------------------------------------------------------------------------------


def passages_of(table: pa.Table, limits: PassageLimits | None = None) -> tuple[list[Passage], list[str | None]]:
    """Raw rows (a record with `context`, or a text) -> their distinct passages, and of each row why it gives none.

    Rows with equal passages are one passage with all their ids; the reasons name rows without a passage, and rows whose
    passage has too few or too many words.
    """
    limits = limits or PassageLimits()
    found: dict[str, Passage] = {}
    reasons: list[str | None] = []
    for row in table.select(["id", "licence", "group", "variety", "text", "meta"]).to_pylist():
        record = json.loads(row["meta"] or "{}")
        text = _text(record.get("context")) or _text(row["text"])
        words = len(arabic.words(text))
        fault = _between("passage", words, limits.least_passage, limits.most_passage) if text else "no passage"
        reasons.append(fault)
        if fault is None:
            group = row["group"] or f"passage/{_short(text)}"
            fresh = Passage(text, _text(record.get("title")), group, (), row["licence"], row["variety"])
            before = found.setdefault(text, fresh)
            found[text] = dataclasses.replace(before, ids=(*before.ids, row["id"]))
    return list(found.values()), reasons


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def wanted_questions(
    passages: Sequence[Passage], each: int = 2, *, unanswerable: float = 0.0, seed: int = 0
) -> list[Wanted]:
    """`each` questions on every passage, each about something else; a share of them without an answer in the passage.

    Raises MashqError where `each` or the share is out of range.
    """
    kinds = list(wordings()["passages"]["about"])
    if not 1 <= each <= len(kinds):
        raise MashqError(expected_got("passages: each", f"1 to {len(kinds)} questions", str(each)))
    if not 0 <= unanswerable <= 1:
        raise MashqError(expected_got("passages: unanswerable", "a share, 0 to 1", str(unanswerable)))
    wanted = []
    for passage in passages:
        random = drawn("passage", seed, passage.text)
        for number, kind in enumerate(random.sample(kinds, each)):
            answerable = random.random() >= unanswerable
            wanted.append(_wanted(passage, kind, answerable, f"passage/{seed}/{_short(passage.text)}/{number}"))
    return wanted


def _wanted(passage: Passage, kind: str, answerable: bool, key: str) -> Wanted:
    about = {"passage": passage.text, "title": passage.title, "asks": kind, "answerable": answerable}
    cell = kind if answerable else "unanswerable"
    return Wanted(key, about, cell, passage.group, passage.variety or "msa", passage.ids, passage.licence)


# --- the writer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PassageQuestions(StyledWriter):
    """Writes one question on a passage. about: passage, title, asks (a key of `about` in wordings.yaml), answerable.

    A row's prompt is passage and question, its reference the span of the passage as it stands there, or the sentence
    that says there is none. `with_spans` adds the offsets.
    """

    style: str = "messages"
    limits: PassageLimits = field(default_factory=PassageLimits)
    name = "passage-questions"

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        """A further attempt asks about something else."""
        told, about = wordings()["passages"], wanted.about
        random = drawn(self.name, wanted.key, attempt)
        kinds = told["about"]
        kind = kinds[about["asks"] if attempt == 0 else random.choice(list(kinds))]
        own = told["span" if about["answerable"] else "unanswerable"]
        asked = random.choice(own["asks"]).format(about=kind)
        passage = f"{told['passage']}\n{about['passage']}"
        if self.style == "completion":
            return self._completion(passage, asked, random.choice(told["examples"]))
        user = [passage, asked, own["rules"], avoided(avoid), own["form"]]
        return asked_in_chat(told["system"], user)

    def _completion(self, passage: str, asked: str, example: Mapping[str, str]) -> str:
        told, labels = wordings()["passages"], wordings()["labels"]
        question, answer = labels["question"][0], labels["answer"][0]
        first = f"{told['passage']}\n{example['passage']}\n\n{question}: {example['question']}"
        first += f"\n{answer}: {example['answer']}"
        return f"{told['completion']}\n\n{first}\n\n---\n\n{passage}\n\n{asked}\n{question}:"

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        labels = {name: wordings()["labels"][name] for name in ("question", "answer")}
        first = "question" if self.style == "completion" else ""
        try:
            found = fields_of(reply, labels, ("question", "answer"), first=first)
        except Unreadable as error:
            return Draft(reason=str(error))
        question, answer = " ".join(found["question"].split()), found["answer"].split("\n")[0]
        return self._draft(wanted, question, answer)

    def _draft(self, wanted: Wanted, question: str, answer: str) -> Draft:
        passage = wanted.about["passage"]
        span = span_of(answer, passage, question)
        faults = question_faults(question, answer, passage, span, self.limits)
        faults |= text_faults(question, answer)
        exact = passage[span[0] : span[1]] if span else answer
        said = exact if wanted.about["answerable"] else wordings()["passages"]["no_answer"]
        prompt = wordings()["passages"]["row"].format(passage=passage, question=question)
        fields = {
            "task": "extractive-question-answering",
            "messages": [{"role": "user", "content": prompt}],
            "references": [said],
        }
        return draft(fields, faults, alike=f"{question} {answer}")


def with_spans(table: pa.Table) -> pa.Table:
    """Rows of `PassageQuestions` with `question`, `answers` (text, answer_start, as SQuAD has them) and `span` in meta.

    `span` is [start, end] in characters of `meta.passage`; null, and `answers` empty, where there is no answer.
    """
    metas = []
    for row in table.select(["messages", "references", "meta"]).to_pylist():
        meta = json.loads(row["meta"])
        question = row["messages"][0]["content"].removeprefix(meta["passage"]).strip()
        span = span_of(row["references"][0], meta["passage"], question) if meta["answerable"] else None
        texts = [meta["passage"][span[0] : span[1]]] if span else []
        starts = [span[0]] if span else []
        meta |= {"question": question, "answers": {"text": texts, "answer_start": starts}, "span": span}
        metas.append(json.dumps(meta, ensure_ascii=False))
    return rows.replace(table, meta=metas)
