"""What templates there are, in the library or in one's own files: found, filtered, and tried on their sample rows.

For whoever shows templates: the terminal (`terminal`), the gallery page (`mashq.report.gallery`), the docs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq import arabic
from mashq.licences import LICENCES, named
from mashq.rows import MashqError, nearest, source_ids
from mashq.templates.applying import path_of
from mashq.templates.files import library_file, library_names, read_file
from mashq.templates.lint import files_named, tasks
from mashq.templates.rendering import Fault, compiled, render_row, used_fields
from mashq.templates.template import Dataset, Rendered, Template

__all__ = [
    "COLUMNS",
    "ERROR",
    "NO_SAMPLE",
    "Entry",
    "Example",
    "Wanted",
    "chosen",
    "examples",
    "find",
    "folded",
    "licence_names",
    "path_on_sample",
    "row_count",
    "short_name",
    "sources",
    "texts_of",
]

COLUMNS, ERROR, NO_SAMPLE = "columns", "error: ", "unknown: the data set has no sample rows"
CUSTOM, UNKNOWN = "custom", "unknown"  # what a licence without a name of its own is filtered by
ABOUT = ("name", "title", "address", "citation", "domain", "variety", "notes")  # of a data set, what is searched


@dataclass(frozen=True)
class Entry:
    """One file: a data set and those of its templates that are meant; `faults` are what could not be read of it."""

    dataset: Dataset
    templates: tuple[Template, ...]
    count: int  # templates of the data set, meant or not
    faults: tuple[str, ...] = ()
    by_name: bool = False  # one template was asked for by its name

    @property
    def tasks(self) -> tuple[str, ...]:
        """Of the templates that are meant, each once, in their order."""
        return _each_once(template.task for template in self.templates)

    @property
    def varieties(self) -> tuple[str, ...]:
        """Of the prompts, likewise."""
        return _each_once(template.variety for template in self.templates)


@dataclass(frozen=True)
class Wanted:
    """Which templates are meant; None takes all. `variety` is that of the prompt."""

    task: str | None = None
    variety: str | None = None
    licence: str | None = None  # a name however it is spelt, "unknown" or "custom"
    search: str | None = None  # words that all stand in data set or template

    def __str__(self) -> str:
        return " ".join(f"--{name} {value}" for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Example:
    """A template on one sample row: what it made, or why it made nothing; `failed` where the template is at fault."""

    row: int  # from 1
    fields: Mapping[str, Any]
    made: Rendered | None
    why: str = ""
    failed: bool = False


def _each_once(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def short_name(template: Template) -> str:
    """The name without that of its data set: `answer` of `arcd/answer`."""
    return template.name.removeprefix(f"{template.dataset.name}/")


# --- find ------------------------------------------------------------------------------------------------------------


def find(what: str | None = None) -> list[Entry]:
    """The library, one of its data sets (`arcd`) or templates (`arcd/ask`); or a file, a folder, a template of a file
    (`mine.yaml/ask`).

    What cannot be read of a file stands in `faults`. Raises MashqError for a name that there is not, with the nearest.
    """
    known = library_names()
    if what is None:
        return _entries([library_file(name) for name in known])
    dataset, _, name = what.partition("/")
    if dataset in known:
        files, location = [library_file(dataset)], dataset
    else:
        location, name = _file_and_name(what)
        files = files_named([location])
    entries = _entries(files)
    return [_with_template(entries, name, location)] if name else entries


def _file_and_name(what: str) -> tuple[str, str]:
    """`./own/mine.yaml/ask` -> ("./own/mine.yaml", "ask"); of a folder, the folder and "". Raises MashqError."""
    path = Path(what)
    if path.exists():
        return what, ""
    for file in path.parents:
        if file.is_file():
            return str(file), str(path.relative_to(file))
    if path.suffix in (".yaml", ".yml") or what.startswith((".", "/", "~")):
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MashqError(f"templates: {what}: no such template file or folder.{nearest(path.name, beside)}")
    known = library_names()
    dataset = what.partition("/")[0]
    like = [name for name in known if dataset.lower() in name]
    listed = f" ({', '.join(like)})" if like else ""
    text = f"templates: no data set '{dataset}' in the library{listed}, and no such file.{nearest(dataset, known)}"
    raise MashqError(f"{text} `mashq templates` lists all {len(known)}.")


def _entries(files: Sequence[Path]) -> list[Entry]:
    """One a file; a file that cannot be read at all is an entry without templates, unless it is the only one."""
    entries = []
    for file in files:
        try:
            templates, faults = read_file(file)
        except MashqError as error:
            if len(files) == 1:
                raise
            templates, faults = (), [str(error)]
        dataset = templates[0].dataset if templates else Dataset(file.stem)
        entries.append(Entry(dataset, tuple(templates), len(templates), tuple(faults)))
    return entries


def _with_template(entries: Sequence[Entry], name: str, location: str) -> Entry:
    for entry in entries:
        for template in entry.templates:
            if name in (template.name, short_name(template)):
                return replace(entry, templates=(template,), by_name=True)
    faults = [fault for entry in entries for fault in entry.faults]
    if faults:
        raise MashqError("\n".join(faults))
    known = [short_name(template) for entry in entries for template in entry.templates]
    raise MashqError(f"templates: {location} has no template '{name}' ({', '.join(known)}).{nearest(name, known)}")


# --- filter ----------------------------------------------------------------------------------------------------------


def chosen(entries: Sequence[Entry], wanted: Wanted) -> list[Entry]:
    """The entries with those templates that fit; an entry without one is left out.

    Raises MashqError for a task, variety or licence that none of them has, and where nothing fits.
    """
    _known(entries, wanted)
    if wanted == Wanted():
        return list(entries)
    licence = wanted.licence and _licence_name(wanted.licence)
    words = folded(wanted.search or "").split()
    found = []
    for entry in entries:
        if licence and licence not in licence_names(entry.dataset.licence):
            continue
        about = folded("\n".join(texts_of(entry.dataset))) if words else ""
        fitting = tuple(template for template in entry.templates if _fits(template, wanted, words, about))
        if fitting:
            found.append(replace(entry, templates=fitting))
    if not found:
        total = sum(entry.count for entry in entries)
        raise MashqError(f"templates: none of {total:,} templates fits {wanted}.")
    return found


def _fits(template: Template, wanted: Wanted, words: Sequence[str], about: str) -> bool:
    if wanted.task not in (None, template.task) or wanted.variety not in (None, template.variety):
        return False
    if not words:
        return True
    text = folded("\n".join(texts_of(template)))
    return all(word in about or word in text for word in words)


def _known(entries: Sequence[Entry], wanted: Wanted) -> None:
    for kind, asked, known in (
        ("task", wanted.task, {task for entry in entries for task in entry.tasks}),
        ("variety", wanted.variety, {variety for entry in entries for variety in entry.varieties}),
        ("licence", wanted.licence, {name for entry in entries for name in licence_names(entry.dataset.licence)}),
    ):
        if asked is None or asked in known or (kind == "licence" and _licence_name(asked) in known):
            continue
        like = sorted(name for name in known if asked.lower() in name.lower()) or sorted(known)
        listed = ", ".join(like[:12]) + (" …" if len(like) > 12 else "")
        raise MashqError(f"templates: no template here has the {kind} '{asked}' ({listed}).{nearest(asked, known)}")


def _licence_name(licence: str) -> str:
    return named(licence) or (licence.lower() if licence.lower() in (CUSTOM, UNKNOWN) else licence)


def licence_names(licence: str) -> tuple[str, ...]:
    """What a licence is filtered by: its names, `unknown`, or `custom` for terms in the words of the authors."""
    parts = [part.strip("() ") for piece in licence.split(" OR ") for part in piece.split(" AND ")]
    names = [named(part) or (UNKNOWN if part.lower() in ("", UNKNOWN) else CUSTOM) for part in parts]
    return tuple(dict.fromkeys(name if name in LICENCES or name == UNKNOWN else CUSTOM for name in names))


def folded(text: str) -> str:
    """For finding: without vowel marks, one alef, one ya, small letters."""
    return arabic.normalise(text, "search").casefold()


def sources(template: Template) -> list[tuple[str, str]]:
    """(part, Jinja) of a template in reading order: when, choices, system, turns, prompt, targets."""
    parts = [("when", template.when), ("choices", template.choices), ("system", template.system)]
    parts += [(f"turns[{i}] {turn.role}", turn.content) for i, turn in enumerate(template.turns)]
    parts += [("prompt", template.prompt), *(("target", target) for target in template.targets)]
    return [(part, source) for part, source in parts if source is not None]


def texts_of(one: Dataset | Template) -> list[str]:
    """What a search looks at: of a data set what is known and its sample rows; of a template name, task and text."""
    if isinstance(one, Dataset):
        return [*(str(getattr(one, name)) for name in ABOUT), *(text for row in one.sample for text in _texts(row))]
    named_task = [one.task or "", tasks().get(one.task or "", "")]
    return [one.name, *named_task, *(source for _, source in sources(one)), one.notes, one.reference]


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def row_count(dataset: Dataset) -> int | None:
    """Rows of all published splits, where they are known."""
    counts = [count for count in dataset.splits.values() if isinstance(count, int) and not isinstance(count, bool)]
    return sum(counts) if counts else None


# --- try -------------------------------------------------------------------------------------------------------------


def examples(template: Template) -> list[Example]:
    """The template on every sample row of its data set. A template that fails is a value here, never an error."""
    sample = template.dataset.sample
    ids = source_ids(template.dataset.name, "sample", n=len(sample))
    return [_example(template, i + 1, fields, ids[i].as_py()) for i, fields in enumerate(sample)]


def _example(template: Template, row: int, fields: Mapping[str, Any], row_id: bytes) -> Example:
    try:
        made = render_row(compiled(template), fields, row_id)
    except MashqError as error:
        return Example(row, fields, None, str(error), True)
    if isinstance(made, Fault):
        return Example(row, fields, None, made.error, True)
    return Example(row, fields, None, made) if isinstance(made, str) else Example(row, fields, made)


def path_on_sample(template: Template) -> str:
    """`path_of` on the sample rows: "columns", "jinja: why", "error: why" where it fails on all, or NO_SAMPLE."""
    sample = template.dataset.sample
    if not sample:
        return NO_SAMPLE
    tried = examples(template)
    if all(example.failed for example in tried):
        return f"{ERROR}{tried[0].why}"
    arrays, mixed = {}, set()
    for name in sample[0]:
        try:
            arrays[str(name)] = pa.array([row.get(name) for row in sample])
        except (pa.ArrowException, OverflowError, UnicodeError):
            mixed.add(str(name))
    try:
        if named_here := sorted(mixed & used_fields(template)):
            return f"jinja: the field '{named_here[0]}' has values of several types"
        return path_of(template, pa.table(arrays))
    except (MashqError, UnicodeError) as error:
        return f"{ERROR}{error}"
