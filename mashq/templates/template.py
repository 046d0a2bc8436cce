"""What a template is: a data set, a prompt with targets, and what is known about both. Plain values, no behaviour.

Every value here is text, a number or a tuple of them, so that a template can be pickled to a worker, hashed into a
fingerprint, linted and compiled without being rendered first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["MOST_SHOTS", "SCALARS", "Dataset", "Dialect", "Rendered", "Template", "Turn"]

# The types a field may have; a list of T is written [T], a record {name: T}.
SCALARS = ("string", "integer", "float", "boolean", "any")
UNVERIFIED = "unverified"
ASKED = frozenset({"test", "validation", "dev", "val", "eval", "devtest", "dev_test"})  # splits that nobody trains on
MOST_SHOTS = 32  # examples before a prompt
# What is said about a template or its data and decides nothing that is made: no part of the fingerprint.
UNMADE = frozenset(
    {
        "path",
        "notes",
        "accepted",
        "tasks",
        "title",
        "address",
        "citation",
        "schema",
        "splits",
        "size",
        "sample",
        "reference",
        "shots",
    }
)


class Dialect:
    """How Jinja is read: `PLAIN` is ours, `PROMPTSOURCE` renders as PromptSource's `apply(truncate=False)` does.

    PLAIN: a tag alone on its line leaves no empty line, null is empty text, `record.name` is the field before the
    method, lists cannot be changed. PROMPTSOURCE: Jinja's defaults, null is "None", lists may be appended to.
    """

    PLAIN = "plain"
    PROMPTSOURCE = "promptsource"


@dataclass(frozen=True)
class Dataset:
    """What is known about the data a template was written for. Empty text means unknown, never a guess."""

    name: str
    title: str = ""
    address: str = ""  # hub name or repository
    licence: str = ""  # SPDX where there is one
    citation: str = ""
    shape: str = ""  # of the published file: csv, tsv, xlsx, jsonl, squad, ...
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)  # name -> type; see SCALARS
    schema: str = ""  # where the fields were read; begins with UNVERIFIED where they could not be
    splits: Mapping[str, int] = field(default_factory=dict, hash=False)  # name -> rows as published
    size: str = ""  # as published, in the words of its card or paper
    sample: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)  # rows we wrote in its exact fields
    language: str = ""
    variety: str = ""  # of the data
    domain: str = ""
    notes: str = ""
    tasks: tuple[str, ...] = ()  # of its own, which are not in tasks.yaml
    accepted: Mapping[str, str] = field(default_factory=dict, hash=False)  # rule of the linter -> why it may be broken

    @property
    def unverified(self) -> bool:
        """Whether the fields were written down without having been read at the source."""
        return self.schema.lower().startswith(UNVERIFIED)

    @property
    def asked_only(self) -> bool:
        """Whether it was published to be asked: every split is one that nobody trains on."""
        return bool(self.splits) and ASKED.issuperset(self.splits)


@dataclass(frozen=True)
class Turn:
    """One earlier turn of a conversation: who speaks ("user" or "assistant"), and Jinja."""

    role: str
    content: str


@dataclass(frozen=True)
class Template:
    """One way to ask something of a row, as Jinja source. `name` is stable: it is part of every row id made with it."""

    name: str  # "arcd/answer"
    dataset: Dataset
    prompt: str  # in PROMPTSOURCE the whole of `prompt ||| target`
    targets: tuple[str, ...] = ()
    choices: str | None = None  # Jinja that renders to a `|||`-separated list
    system: str | None = None
    turns: tuple[Turn, ...] = ()
    shots: int = 0  # examples that `shots.with_examples` sets before the prompt; rendering leaves them out
    when: str | None = None  # a Jinja expression: which rows this template is for
    task: str | None = None
    variety: str | None = None  # of the prompt, e.g. "egyptian"
    language: str | None = None  # of the prompt, ISO 639
    metrics: tuple[str, ...] = ()
    choices_in_prompt: bool | None = None
    original_task: bool | None = None
    reference: str = ""  # who wrote it, or the paper
    notes: str = ""
    accepted: Mapping[str, str] = field(default_factory=dict, hash=False)  # as the data set's, for this template
    uuid: str = ""  # PromptSource's own
    dialect: str = Dialect.PLAIN
    path: str = ""  # the file it was read from, for error texts; no part of the fingerprint

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over everything that decides what is rendered and what a row carries."""
        content = {key: value for key, value in asdict(self).items() if key not in UNMADE}
        content["dataset"] = {key: value for key, value in content["dataset"].items() if key not in UNMADE}
        data = json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
        return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Rendered:
    """A row as a prompt: `messages` ends with the user's turn, `references` holds at least one target."""

    messages: tuple[tuple[str, str], ...]  # (role, content)
    references: tuple[str, ...]
    choices: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The last user turn."""
        return self.messages[-1][1]
