"""PromptSource's own `templates.yaml`, unchanged (bigscience-workshop/promptsource 0.2.3, Apache-2.0).

A row renders to the text of PromptSource's `Template.apply(example, truncate=False)`, except, by name:
* nested `|||`: a `|||` inside a list or record of the row, or inside an answer choice, divides there and not here;
* undefined: a value the row does not have is empty there, an error or a skipped row here;
* choice: `choice` and `random` draw unseeded there, by the row's id here;
* limits: what `sandbox.Limits` and the list of filters refuse;
* changes: a template that appends to a list of the row changes it for the next template there, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mashq.rows import MashqError
from mashq.templates.template import Dataset, Dialect, Template

__all__ = ["TAGS", "is_promptsource", "templates_of"]

TAGS = ("!Template", "!TemplateMetadata")


def is_promptsource(content: Any) -> bool:
    """Whether a loaded YAML file is PromptSource's: `dataset` is a name there and a record in ours."""
    return isinstance(content, Mapping) and isinstance(content.get("dataset"), str)


def templates_of(content: Mapping[str, Any], path: str) -> tuple[Template, ...]:
    """The templates of a loaded file, in its order, named `dataset[/subset]/name`.

    Raises MashqError that names file and template for a template without `jinja` or `name`.
    """
    name = "/".join(str(content[key]) for key in ("dataset", "subset") if content.get(key))
    dataset = Dataset(name=name, address=str(content["dataset"]))
    entries = content.get("templates") or {}
    if not isinstance(entries, Mapping):
        raise MashqError(f"{path}: 'templates' is {type(entries).__name__}; PromptSource has a record of ids there.")
    return tuple(_template(str(uuid), entry, dataset, path) for uuid, entry in entries.items())


def _template(uuid: str, entry: Any, dataset: Dataset, path: str) -> Template:
    if not isinstance(entry, Mapping):
        raise MashqError(f"{path}: template {uuid}: expected the tag !Template with its keys, got {entry!r}.")
    for key in ("name", "jinja"):
        if not isinstance(entry.get(key), str):
            raise MashqError(f"{path}: template {uuid}: '{key}' must be text, got {entry.get(key)!r}.")
    about = entry.get("metadata") or {}
    languages = list(about.get("languages") or [])
    choices = entry.get("answer_choices")
    return Template(
        name=f"{dataset.name}/{entry['name']}",
        dataset=dataset,
        prompt=entry["jinja"],
        choices=None if choices is None else str(choices),
        language=str(languages[0]) if len(languages) == 1 else None,
        metrics=tuple(map(str, about.get("metrics") or ())),
        choices_in_prompt=about.get("choices_in_prompt"),
        original_task=about.get("original_task"),
        reference=str(entry.get("reference") or ""),
        uuid=uuid,
        dialect=Dialect.PROMPTSOURCE,
        path=path,
    )
