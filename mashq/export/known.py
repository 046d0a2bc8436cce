"""What template files know of a row's data set, and names of files made from names of rows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from babel import Locale

from mashq import templates
from mashq.templates import Dataset

__all__ = ["Known", "file_names", "language_code", "language_name"]

LONGEST_NAME = 100  # characters of a file's name; file systems take 255 bytes, an Arabic letter is two


class Known:
    """The data sets of the user's own template files and of the library, by name; the user's own come first."""

    def __init__(self, files: Sequence[Path] = ()):
        loaded = [one.dataset for path in files for one in templates.load(path)]
        self._own = {dataset.name: dataset for dataset in loaded}
        self._library = frozenset(templates.library_names())

    def of(self, template: str, source: str) -> Dataset | None:
        """The data set of a template's name (`arcd/answer`), or else of a source; None where none is known."""
        for name in (template.partition("/")[0], source):
            if name in self._own:
                return self._own[name]
            if name in self._library:
                return templates.library(name)[0].dataset
        return None


@cache
def _languages() -> dict[str, str]:
    """ISO 639 code -> English name, of the Unicode CLDR."""
    return {code: name for code, name in Locale("en").languages.items() if "_" not in code}


def language_name(code: str) -> str:
    """`ar` -> `Arabic`; a code that CLDR does not know stays as it is."""
    return _languages().get(code, code)


def language_code(name: str) -> str | None:
    """`Arabic` -> `ar`; None where CLDR has no language of that name."""
    return next((code for code, known in _languages().items() if known.lower() == name.lower()), None)


def file_names(wanted: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """(key, `folder/name` wanted, what tells equal names apart) -> for each key a name for a file in that folder.

    Letters, digits, `_`, `-` and `.` stay; two that come out alike get what tells them apart, or else a hash.
    """
    plain = {key: (_plain(name.partition("/")[2]), name.partition("/")[0]) for key, name, _ in wanted}
    often = Counter((name.lower(), folder) for name, folder in plain.values())
    made, used = {}, set()
    for key, _, apart in wanted:
        name, folder = plain[key]
        if often[name.lower(), folder] > 1 and apart:
            name = f"{name}.{_plain(apart)}"
        if (name.lower(), folder) in used or len(name) > 2 * LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}.{hashlib.blake2b(key.encode(), digest_size=4).hexdigest()}"
        used.add((name.lower(), folder))
        made[key] = name
    return made


def _plain(text: str) -> str:
    name = re.sub(r"[^\w.-]+", "_", text.replace("/", "__")).strip("._")
    if len(name) > LONGEST_NAME:
        return f"{name[:LONGEST_NAME]}.{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    return name or "unnamed"
