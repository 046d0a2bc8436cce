"""The sentences of the report in Arabic or English, from `words*.yaml`; what is filled in is isolated from its line."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from markupsafe import Markup, escape

from mashq.rows import MashqError, expected_got

__all__ = ["LANGUAGES", "Lang", "Words", "apart"]

Lang = Literal["ar", "en"]
LANGUAGES: tuple[Lang, ...] = ("ar", "en")
JUDGE = "judge_"  # how the metrics of a judge begin; what follows is a rubric's criterion
TERMS = (
    "metric",
    "variety_name",
    "system_name",
    "system_arm",
    "origin_name",
    "absent_why",
    "profile_name",
    "check_name",
    "counted_table",
    "counted_row",
    "evidence_kind",
    "wording_kind",
    "drop_reason",
    "task_name",
    "recipe_caption",
)


class Words:
    """Sentences and terms in one language, and their counterparts in the other."""

    def __init__(self, lang: Lang):
        if lang not in LANGUAGES:
            raise MashqError(expected_got("report: lang", " or ".join(LANGUAGES), f"'{lang}'"))
        self.lang = lang
        self.other_lang: Lang = "en" if lang == "ar" else "ar"
        self.direction = "rtl" if lang == "ar" else "ltr"
        self.other_direction = "ltr" if lang == "ar" else "rtl"

    def plain(self, key: str, **values: Any) -> str:
        """The sentence with its values put in, as plain text."""
        return str(_entries()[key][self.lang]).format_map(values)

    def html(self, key: str, **values: Any) -> Markup:
        """The sentence as HTML: every value is escaped and isolated, so that its direction cannot reach the line."""
        isolated = {name: value if isinstance(value, Markup) else isolate(value) for name, value in values.items()}
        return Markup(str(escape(_entries()[key][self.lang])).format_map(isolated))

    def other(self, key: str) -> str:
        """The entry in the other language."""
        return str(_entries()[key][self.other_lang])

    @property
    def comma(self) -> str:
        """What stands between the members of a list."""
        return "\N{ARABIC COMMA} " if self.lang == "ar" else ", "

    @property
    def semicolon(self) -> str:
        """What stands between lists."""
        return "\N{ARABIC SEMICOLON} " if self.lang == "ar" else "; "

    def term(self, kind: str, name: str) -> str:
        """The name by which a thing found in data is known to readers; its own name where there is none.

        A number in it stands as `{n}` in the entries.
        """
        if kind == "metric" and name.startswith(JUDGE):
            return self.plain("judge_metric", criterion=self.term("people_criterion_name", name.removeprefix(JUDGE)))
        if entry := _entries()[kind].get(name):
            return str(entry[self.lang])
        head, _, tail = name.rpartition(", ")
        if kind == "system_name" and head and (entry := _entries()["system_arm"].get(tail)):
            return f"{head}{self.comma}{entry[self.lang]}"
        numbers = re.findall(r"\d[\d,]*", name)
        entry = _entries()[kind].get(name.replace(numbers[0], "{n}")) if len(numbers) == 1 else None
        return str(entry[self.lang]).replace("{n}", numbers[0]) if entry else name


def apart(text: object) -> str:
    """A name inside a plain sentence, with a direction of its own, so that brackets beside it stay in place."""
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def isolate(value: object) -> Markup:
    """A value from data inside a line of the page: escaped, with a direction of its own."""
    return Markup(f"<bdi>{escape(value)}</bdi>")


@functools.cache
def _entries() -> dict[str, Any]:
    """Of `words.yaml` and of the sections' own `words_*.yaml`; a term's kind may have names in several of them."""
    found: dict[str, Any] = {}
    for path in sorted(Path(__file__).parent.glob("words*.yaml")):
        for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            if key in TERMS:
                found[key] = {**found.get(key, {}), **value}
            elif key in found:
                raise ValueError(f"{path}: '{key}' stands in another file of words too.")
            else:
                found[key] = value
    return found
