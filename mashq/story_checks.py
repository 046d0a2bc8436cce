"""Does a story obey its prompt, and is it worth keeping: reasons, not booleans.

What can be seen in the words is checked here: length, variety, characters, country, season, place, activity, emotion,
dialogue. Ending, moral, topic, twist and age need a reader: `judge_questions` puts them to a language model, and
`read_verdict` reads its answer. How often real stories pass, and stories that were asked for something else, stands in
docs/benchmarks/story_checks.md.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mashq import arabic
from mashq.lm import without_thoughts
from mashq.rows import MashqError, nearest
from mashq.stories import (
    RELEASED,
    Slots,
    _language,
    _read,
    _table,
    parse_prompt,
    prompt,
    text_of,
    varieties,
)
from mashq.variety_asked import reads_as
from mashq.word_patterns import fold, word_pattern

__all__ = [
    "CHECKS",
    "JUDGED",
    "Limits",
    "check",
    "judge_questions",
    "marker_counts",
    "obedience",
    "read_verdict",
    "reasons",
    "reasons_column",
    "variety_of",
    "weigh",
]

CHECKS = ("length", "variety", "characters", "country", "season", "place", "activity", "emotion", "dialogue")
JUDGED = ("ending", "moral", "topic", "twist", "age")  # what no list of words can tell
SHOWN = ("country", "season", "place", "activity", "emotion")  # by words of `slots.yaml`
# A quotation of at least two letters, a line that begins with a dash, or a verb of saying with a colon.
DIALOGUE = re.compile(
    r"[\"“”«»„][^\"“”«»„]{2,}[\"“”«»„]|^[^\S\n]*[-–—]\s*\S|(?:قال|سأل|رد|صاح|هتف|أجاب|قالت|ردت)[^.\n]{0,40}:",
    re.MULTILINE,
)
ENDS = re.compile(r"[.!?؟…]['\"”»’)\]*\s]*$")
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Limits:
    """What a story must keep to. The released stories have 134 to 383 words and end with a mark in 99.8 % of rows."""

    least_words: int = 60
    most_words: int = 600
    least_arabic: float = 0.95  # share of letters that are Arabic
    most_repeated: float = 0.2  # share of runs of 4 words that stood in the story before
    most_copied: float = 0.2  # share of the story's runs of 5 words that stand in the prompt
    whole_end: bool = True  # the last character ends a sentence


# --- does a story obey its prompt ------------------------------------------------------------------------------------


def check(story: str, slots: Slots, limits: Limits | None = None) -> dict[str, str | None]:
    """Of each slot that can be seen in the words: None where the story obeys, else why not.

    Keys: length, variety, characters, country always; season, place, activity, emotion, dialogue where asked for.
    `JUDGED` is absent. A check errs both ways: a story may show a feeling without a word for it, and a word for it may
    stand in a story on something else.
    """
    folded = fold(story)
    return _checked(story, folded, len(WORD.findall(folded)), slots, limits or Limits())


def _checked(story: str, folded: str, words: int, slots: Slots, limits: Limits) -> dict[str, str | None]:
    asked = slots.values()
    found = {
        "length": _length(words, limits),
        "variety": _variety_reason(story, folded, slots.variety),
        "characters": _characters(folded, slots.characters),
    }
    for name in SHOWN:
        if name in asked:
            found[name] = _shown(folded, name, asked[name], slots.variety)
    if slots.dialogue:
        found["dialogue"] = None if DIALOGUE.search(story) else "dialogue: no quotation marks and no lines with a dash"
    return found


def obedience(story: str, slots: Slots, limits: Limits | None = None) -> float:
    """Share of the checks that the story passes, 0 to 1."""
    found = check(story, slots, limits)
    return sum(reason is None for reason in found.values()) / len(found)


def _length(words: int, limits: Limits) -> str | None:
    if words < limits.least_words:
        return f"short: {words} words < {limits.least_words}"
    return f"long: {words} words > {limits.most_words}" if words > limits.most_words else None


def _shown(folded: str, slot: str, key: str, variety: str) -> str | None:
    text = text_of(slot, key, variety)
    pattern = _table().words.get((slot, key)) or _of_text(text)
    return None if pattern.search(folded) else f"{slot}: {text} is not in the story"


@functools.lru_cache(4096)
def _of_text(text: str) -> re.Pattern[str]:
    """A value that `slots.yaml` does not know: its own words show it."""
    return word_pattern([text])


def _characters(folded: str, key: str) -> str | None:
    """More characters than asked for, as far as the story names or counts them."""
    if not key.isdigit():
        return None
    table = _table()
    asked = int(key)
    named = len(set(table.introduces.findall(folded)))
    if named > asked:
        return f"characters: {named} named > {asked} asked for"
    counted = max((table.numbers[number] for number in table.people.findall(folded)), default=0)
    return f"characters: {counted} counted > {asked} asked for" if counted > asked else None


def marker_counts(text: str, among: Sequence[str] | None = None) -> dict[str, int]:
    """How many marker words of each variety (of all without `among`) stand in a text."""
    folded = fold(text)
    return {variety: len(_language(variety).markers.findall(folded)) for variety in among or varieties()}


def variety_of(text: str, among: Sequence[str] | None = None) -> str | None:
    """The variety whose marker words are most, None where there is none; the first of equals in `among`.

    Without `among` it is one of the varieties of the released stories: neighbours share most of their words (Algiers
    and Morocco, Khartoum and Cairo), so whoever asks for more kinds gets less certain answers.
    """
    counts = marker_counts(text, among or RELEASED)
    best = max(counts, key=lambda variety: counts[variety])
    return best if counts[best] else None


def _variety_reason(story: str, folded: str, asked: str) -> str | None:
    """What the teller of varieties is sure of; where it is not, the marker words: a story in a released variety is told
    from the other released ones by them, one in another variety from all."""
    told = reads_as(story, asked)
    if told is not None:
        return None if told == asked else f"variety: reads as {told}, asked for {asked}"
    found = variety_of(folded, RELEASED if asked in RELEASED else varieties())
    return None if found == asked else f"variety: reads as {found or 'none'}, asked for {asked}"


# --- keep or drop ----------------------------------------------------------------------------------------------------


def reasons(
    story: str, slots: Slots, *, asked: str = "", limits: Limits | None = None, must: Sequence[str] = ()
) -> str | None:
    """Why a story is not worth keeping, or None. `asked` is the prompt's own text, which a story must not repeat.

    `must` names checks of `check` that a story has to pass too, for example ("country", "variety").
    Raises MashqError for a name in `must` that is no check.
    """
    limits = limits or Limits()
    for name in must:
        if name not in CHECKS:
            raise MashqError(f"stories: no check '{name}' ({', '.join(CHECKS)}).{nearest(name, CHECKS)}")
    folded = fold(story)
    words = WORD.findall(folded)
    reason = _fault(story, words, asked or prompt(slots), limits)
    if reason or not must:
        return reason
    found = _checked(story, folded, len(words), slots, limits)
    return next((found[name] for name in must if found.get(name)), None)


def weigh(story: str, slots: Slots, asked: str, limits: Limits) -> tuple[str | None, dict[str, str | None]]:
    """What is wrong with the story as a text, or None, and what `check` says of it, in one reading."""
    folded = fold(story)
    words = WORD.findall(folded)
    return _fault(story, words, asked, limits), _checked(story, folded, len(words), slots, limits)


def _fault(story: str, words: Sequence[str], asked: str, limits: Limits) -> str | None:
    """What is wrong with the text as a text, the cheapest fault first."""
    if not words:
        return "empty"
    share = arabic.arabic_share(story)
    if share < limits.least_arabic:
        return f"not Arabic: {share:.2f} of letters < {limits.least_arabic}"
    if reason := _length(len(words), limits):
        return reason
    repeated = _repeated(words, 4)
    if repeated > limits.most_repeated:
        return f"loops: {repeated:.2f} of 4-word runs repeat > {limits.most_repeated}"
    known = set(_runs(WORD.findall(fold(asked)), 5))
    runs = _runs(words, 5)
    copied = sum(run in known for run in runs) / len(runs) if runs else 0.0
    if copied > limits.most_copied:
        return f"copies the prompt: {copied:.2f} of 5-word runs > {limits.most_copied}"
    if limits.whole_end and not ENDS.search(story):
        return f"cut: ends with {story.split()[-1]!r}, not with a sentence"
    return None


def _runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _repeated(words: Sequence[str], n: int) -> float:
    """Share of runs of n words that stood before, 0 where there is none."""
    runs = _runs(words, n)
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def reasons_column(replies: pa.Table, *, limits: Limits | None = None, must: Sequence[str] = ()) -> pa.Array:
    """Reply rows (a prompt of `mashq.stories`, then the story as the assistant's turn) -> a reason or null for each."""
    return pa.array(list(_reply_reasons(replies, limits, must)), pa.string())


def _reply_reasons(replies: pa.Table, limits: Limits | None, must: Sequence[str]) -> Iterator[str | None]:
    for messages in replies.column("messages").to_pylist():
        if not messages or messages[-1]["role"] != "assistant":
            yield "no reply: the last turn is not the assistant's"
            continue
        asked = next((turn["content"] for turn in reversed(messages) if turn["role"] == "user"), "")
        try:
            slots = parse_prompt(asked)
        except MashqError as error:
            yield str(error)
            continue
        yield reasons(messages[-1]["content"], slots, asked=asked, limits=limits, must=must)


# --- what a judge is asked -------------------------------------------------------------------------------------------


def judge_questions(slots: Slots, variety: str = "msa") -> list[tuple[str, str]]:
    """(slot, question) for each of `JUDGED` that is asked for: a yes or no question in Arabic about a story.

    The question is in the standard, which models judge best; `variety` is the one in which the value is named. Values
    that `slots.yaml` does not know are put in as they are.
    """
    asked, questions = slots.values(), _read("slots")["judge"]
    return [
        (name, questions[name].replace("{}", text_of(name, asked[name], variety))) for name in JUDGED if name in asked
    ]


YES = frozenset(("نعم", "اجل", "ايوه", "ايوا", "اي", "بلي", "صحيح", "yes", "true", "correct"))
NO = frozenset(("لا", "كلا", "ليس", "ليست", "لم", "خطا", "no", "not", "false", "incorrect"))
OPEN = frozenset(  # after a no: it is not the verdict, or there is none
    ("اعرف", "ادري", "اعلم", "يمكن", "يمكنني", "استطيع", "اقدر", "يتضح", "sure", "clear", "enough", "idea")
)
CERTAIN = frozenset(("شك", "ريب", "doubt"))  # "لا شك"
FAR = 12  # words into the reply that its verdict may stand


def read_verdict(text: str) -> bool | None:
    """A judge's answer to a yes or no question in Arabic or English; None where it gives none.

    The first yes or no among the first words decides. What a model thought in <think> is left out, the question's own
    "نعم أو لا" is no answer, and "لا أعرف" is none either. Never raises.
    """
    folded = fold(without_thoughts(text[:20_000]) or "").casefold()
    words = [word.removeprefix("و") if word.removeprefix("و") in NO else word for word in WORD.findall(folded)[:FAR]]
    skip = 0
    for place, word in enumerate(words):
        after = words[place + 1 : place + 3]
        if place < skip or word not in YES | NO:
            continue
        if word in YES and NO & set(after[-1:] if after[:1] in (["او"], ["or"], ["and"]) else after[:1]):
            skip = place + 1 + len(after)  # "yes or no"
        elif word in NO and OPEN & set(after):
            return None
        elif not (word in NO and CERTAIN & set(after)):
            return word in YES and words[place - 1 : place] != ["غير"]
    return None
