"""A task (instruction, input, output): the seed tasks, how a task stands in a prompt, and why one is not worth keeping.

Seed tasks and wordings are data: `data/instructions/seeds.yaml` and `wordings.yaml`. The checks are those of
Self-Instruct (Wang et al. 2023, arXiv 2212.10560, section 3.1) with Arabic words, and some of our own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from rapidfuzz import process
from rapidfuzz.distance import Indel

from mashq import arabic
from mashq.conversation import Turns
from mashq.conversation_checks import faults
from mashq.labelled import fields_of
from mashq.lm import Messages
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import builtins
from mashq.synthesis import Draft
from mashq.word_patterns import folded_lower as fold

__all__ = [
    "STYLES",
    "Known",
    "StyledWriter",
    "Task",
    "TaskLimits",
    "asked_in_chat",
    "at_least",
    "at_most",
    "avoided",
    "draft",
    "drawn",
    "fault_words",
    "like",
    "listed",
    "opening_of",
    "paired",
    "read_task",
    "rule",
    "seeds",
    "shown",
    "task_faults",
    "text_faults",
    "variety_words",
    "wordings",
]

DATA = Path(__file__).parent / "data" / "instructions"
STYLES = ("messages", "completion")  # for a model with, and for one without a chat template
FIELDS = ("instruction", "input", "output")
VERSION = 1  # raise it when a check of this module or of a writer changes
# Of the checks of conversations those that hold for any text.
COMMON = ("refusal", "scripture", "personal_data", "dose", "loops")


@dataclass(frozen=True)
class Task:
    """One task with its answer. category: a key of `categories` in wordings.yaml, or "" where nobody said."""

    instruction: str
    output: str
    input: str = ""
    category: str = ""
    variety: str = "msa"

    @property
    def prompt(self) -> str:
        """What the user says: the instruction, and after an empty line its input."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


@dataclass(frozen=True)
class TaskLimits:
    """What a task must keep to. Self-Instruct's own: instructions of 4 to 150 words, likeness below 0.7."""

    least_instruction: int = 3  # words; an Arabic word carries what English says in two
    most_instruction: int = 150  # words
    most_input: int = 400  # words
    most_output: int = 600  # words
    least_arabic: float = 0.6  # share of the letters of instruction and output; of `terms`: of the instruction alone
    most_like: float = 0.7  # ROUGE-L F of an instruction to a seed's


# --- data ------------------------------------------------------------------------------------------------------------


def wordings() -> dict[str, Any]:
    """All of wordings.yaml."""
    return parsed("instructions/wordings")


@functools.cache
def seeds(path: Path | None = None) -> tuple[Task, ...]:
    """The seed tasks of a file of that form, ours where none is named.

    Raises MashqError for a file that is not readable, a task with unknown or absent fields, and an unknown category.
    """
    path = path or DATA / "seeds.yaml"
    tasks = listed("seeds", path, "tasks", "a list of tasks")
    return tuple(_seed(f"seeds {path}, task {number}", task) for number, task in enumerate(tasks, 1))


def listed(what: str, path: Path, key: str, wanted: str) -> list[Any]:
    """The list under a key of a YAML file, with at least one entry. Raises MashqError where there is none."""
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MashqError(f"{what} {path}: not readable as YAML: {error}") from error
    found = loaded.get(key) if isinstance(loaded, dict) else None
    if not isinstance(found, list) or not found:
        raise MashqError(expected_got(f"{what} {path}", f"`{key}:` with {wanted}", type(found).__name__))
    return found


def _seed(where: str, task: Any) -> Task:
    known = tuple(Task.__dataclass_fields__)
    if not isinstance(task, dict):
        raise MashqError(expected_got(where, f"an object of {', '.join(known)}", type(task).__name__))
    for name, value in task.items():
        if name not in known:
            raise MashqError(f"{where}: there is no field '{name}' ({', '.join(known)}).{nearest(str(name), known)}")
        if not isinstance(value, str) or not value.strip():
            got = repr(value) if not isinstance(value, str) else "an empty text"
            raise MashqError(expected_got(f"{where}: {name}", "a text", got, "Put numbers in quotes."))
    for name in ("instruction", "output"):
        if name not in task:
            raise MashqError(expected_got(where, f"the field '{name}'", f"only {', '.join(task) or 'nothing'}"))
    for name, names in (("category", "categories"), ("variety", "varieties")):
        if (value := task.get(name)) and value not in (some := wordings()[names]):
            raise MashqError(f"{where}: there is no {name} '{value}' ({', '.join(some)}).{nearest(value, some)}")
    return Task(**{name: value.strip() for name, value in task.items()})


def variety_words(variety: str | None) -> str:
    """`in Egyptian Arabic` and the like, in Arabic. Raises MashqError for a variety that wordings.yaml lacks."""
    known = wordings()["varieties"]
    if (variety or "msa") not in known:
        raise MashqError(f"instructions: no variety '{variety}' ({', '.join(known)}).{nearest(str(variety), known)}")
    return str(known[variety or "msa"])


def _check_style(name: str, style: str) -> None:
    """Raises MashqError for a style that there is not."""
    if style not in STYLES:
        raise MashqError(expected_got(f"{name}: style", " or ".join(STYLES), f"'{style}'"))


class StyledWriter:
    """What the writers of instructions share: dataclasses with a `name` of their own and the field `style`. All their
    fields decide what is asked and kept, so all are in the identity."""

    name: ClassVar[str]
    style: str

    def __post_init__(self) -> None:
        _check_style(self.name, self.style)

    @functools.cached_property
    def identity(self) -> str:
        """All that decides what is asked and kept, for fingerprints."""
        return _identity_of(self.name, *(getattr(self, one.name) for one in dataclasses.fields(self)))  # type: ignore[arg-type]


# --- what writers share ----------------------------------------------------------------------------------------------


def drawn(*names: object) -> random.Random:
    """A generator of random numbers that the names alone decide."""
    data = json.dumps([str(name) for name in names], ensure_ascii=False).encode()
    return random.Random(hashlib.blake2b(data, digest_size=8).digest())


def _identity_of(name: str, *parts: Any) -> str:
    """The name and 16 hexadecimal digits for all that decides what a writer asks and keeps, wordings.yaml included."""
    data = json.dumps(builtins([*parts, wordings()]), sort_keys=True, ensure_ascii=False)
    return f"{name}:{VERSION}:{hashlib.blake2b(data.encode(), digest_size=8).hexdigest()}"


def asked_in_chat(system: str, parts: Iterable[str]) -> Messages:
    """The messages of a prompt; parts that are empty are left out."""
    return (("system", system), ("user", "\n\n".join(part for part in parts if part)))


def paired(n: int, rows: int, columns: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The first n of all pairs of a place below `rows` and a column, each once and both evenly: along diagonals."""
    for number in range(n):
        lap, place = divmod(number, rows)
        yield place, columns[(place + lap) % len(columns)]


def avoided(openings: Sequence[str]) -> str:
    """A line that asks not to begin with these words; nothing where there are none."""
    listed = "، ".join(f"«{opening}»" for opening in openings)
    return wordings()["avoid"].format(openings=listed) if listed else ""


def opening_of(text: str) -> str:
    """The first two words, by which texts that begin alike are counted."""
    return " ".join(arabic.words(text)[:2])


def shown(task: Task) -> str:
    """A task as prompts show it: labelled lines."""
    labels, none = wordings()["labels"], wordings()["no_input"][0]
    values = (task.instruction, task.input or none, task.output)
    return "\n".join(f"{labels[name][0]}: {value}" for name, value in zip(FIELDS, values, strict=True))


def read_task(reply: str, category: str, variety: str | None, *, first: str = "") -> Task:
    """The task in a reply. Raises Unreadable as `labelled.fields_of` does."""
    labels = {name: wordings()["labels"][name] for name in FIELDS}
    found = fields_of(reply, labels, ("instruction", "output"), first=first)
    given = found.get("input", "")
    bare = given.strip("()[]<>«»\"'. ").lower()
    given = "" if bare in wordings()["no_input"] or not bare else given
    return Task(found["instruction"], found["output"], given, category, variety or "msa")


def draft(fields: Mapping[str, Any], found: Mapping[str, str | None], *, opening: str = "", alike: str = "") -> Draft:
    """The draft of a text: `found` holds of each check None or why not, the worst first.

    It can be mended where wordings.yaml says for each fault what to tell the model.
    """
    faulty = [name for name, reason in found.items() if reason]
    said = wordings()["mend"]
    told = [said[name] for name in faulty if name in said]
    return Draft(
        fields,
        reason=found[faulty[0]] if faulty else None,
        score=1 - len(faulty) / len(found),
        checks=found,
        mend=" ".join([*told, said["closing"]]) if faulty and len(told) == len(faulty) else None,
        opening=opening,
        alike=alike,
    )


class Known:
    """Tasks that a new one must not repeat, encoded once."""

    def __init__(self, tasks: Iterable[Task]):
        self.tasks = tuple(tasks)
        self.instructions = [_words(task.instruction) for task in self.tasks]
        self.outputs = frozenset(fold(task.output) for task in self.tasks)


# --- faults ----------------------------------------------------------------------------------------------------------


@functools.cache
def rule(name: str) -> re.Pattern[str]:
    """A list of `rules` as one pattern over folded text."""
    return re.compile("|".join(f"(?:{one})" for one in wordings()["rules"][name]))


def text_faults(asked: str, said: str = "") -> dict[str, str | None]:
    """Faults that any text written here may have: refusal, scripture, personal data, doses, loops (as
    `conversation_checks.faults` finds them), blanks to be filled in, talk of medicines without a word of caution."""
    found = faults(Turns((("user", asked), ("assistant", said)), "labelled"))
    folded = fold(f"{asked}\n{said}")
    return {
        **{name: found[name] for name in COMMON},
        "leftovers": fault_words("blank", rule("leftovers"), folded),
        "caution": _careless(folded),
    }


def task_faults(task: Task, limits: TaskLimits, known: Known) -> dict[str, str | None]:
    """Of each check None or why not, the worst first."""
    output = fold(task.output)
    words = len(arabic.words(task.instruction))
    return {
        "unseen": fault_words("cannot be seen", rule("unseen"), fold(task.prompt)),
        **text_faults(task.prompt, task.output),
        "same": _same(task),
        "copied": _copied(output, known),
        "like": _like_known(task.instruction, known, limits.most_like),
        "arabic": _not_arabic(task, limits.least_arabic),
        "short_instruction": at_least("instruction", words, limits.least_instruction),
        "long_instruction": at_most("instruction", words, limits.most_instruction),
        "input_length": at_most("input", len(arabic.words(task.input)), limits.most_input),
        "output": _output(task.output, limits.most_output),
    }


def fault_words(name: str, pattern: re.Pattern[str], folded: str) -> str | None:
    """The words of a folded text that the pattern finds, as a reason; None where it finds none."""
    match = pattern.search(folded)
    return f"{name}: «{match[0].strip()[:60]}»" if match else None


def _careless(folded: str) -> str | None:
    match = rule("medical").search(folded)
    if not match or rule("caution").search(folded):
        return None
    return f"medical: «{match[0].strip()}» without a word on asking a doctor"


def _same(task: Task) -> str | None:
    """Letter by letter, because a corrected or vocalised text differs in little."""
    instruction, given, output = (" ".join(text.split()) for text in (task.instruction, task.input, task.output))
    if output in (instruction, f"{instruction} {given}"):
        return "same: the output is the instruction"
    return "same: the output is the input" if given and output == given else None


def _copied(output: str, known: Known) -> str | None:
    long = len(output.split()) >= 6  # a label or a number may be right twice
    return "copied: the output is an example's" if long and output in known.outputs else None


def _words(text: str) -> tuple[str, ...]:
    return tuple(arabic.words(fold(text)))


def like(text: str, others: Iterable[str]) -> float:
    """ROUGE-L F of a text to the nearest of the others, 0 to 1, over folded words; 0 where there is none."""
    return _nearest(_words(text), [_words(other) for other in others], 0.0)[0]


def _nearest(words: Sequence[str], others: Sequence[Sequence[str]], least: float) -> tuple[float, int]:
    """The likeness to the nearest of the others and its place; (0.0, -1) below `least`."""
    # Indel similarity over words, 2 LCS / (m + n), is the F of ROUGE-L.
    found = process.extractOne(words, others, scorer=Indel.normalized_similarity, score_cutoff=least) if words else None
    return (found[1], found[2]) if found else (0.0, -1)


def _like_known(instruction: str, known: Known, most: float) -> str | None:
    ratio, place = _nearest(_words(instruction), known.instructions, most)
    return f"like a seed: {ratio:.2f} >= {most} to «{known.tasks[place].instruction}»" if place >= 0 else None


def _not_arabic(task: Task, least: float) -> str | None:
    parts = {"instruction": task.instruction} if task.category == "terms" else {}
    parts = parts or {"instruction": task.instruction, "output": task.output}
    for name, text in parts.items():
        letters = any(character.isalpha() for character in text)
        share = arabic.arabic_share(text)
        if letters and share < least:
            return f"not Arabic: {share:.2f} of the letters of the {name} < {least}"
    return None


def at_least(name: str, words: int, least: int) -> str | None:
    return f"short: {words} words of the {name} < {least}" if words < least else None


def at_most(name: str, words: int, most: int) -> str | None:
    return f"long: {words} words of the {name} > {most}" if words > most else None


def _output(text: str, most: int) -> str | None:
    words = len(arabic.words(text))
    if not words:
        return "empty: the output has no word"
    return at_most("output", words, most)
