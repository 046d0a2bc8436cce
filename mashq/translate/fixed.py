"""What people said of translations: sentences with a translation of theirs, and translations that they rejected.

A file of fixed translations maps a variety (or `all`) to sentences and their translations. Beside the varieties it may
hold `rejected`: variety -> sentence -> a list of translations that are not to be served (`mashq rate … --corrections`
writes it). Sources are compared in the plain form that engines are given (`mt.plain`): quotes of any shape are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mashq.mt import plain, varieties
from mashq.rows import MashqError, expected_got, nearest
from mashq.sentences import split

__all__ = [
    "ALL",
    "FIXED",
    "KEY",
    "REJECTED",
    "by_sentence",
    "check_varieties",
    "fixed_for",
    "fixed_translations",
    "is_rejected",
    "rejected_translations",
]

FIXED = Path(__file__).parent.parent / "data" / "fixed_translations.yaml"
ALL = "all"  # in a file: for every variety
REJECTED = "rejected: people rejected this translation"  # why a sentence has none
KEY = "rejected"  # in a file, beside the varieties


# --- one text --------------------------------------------------------------------------------------------------------


def by_sentence(source: str, translation: str) -> list[tuple[str, str]] | None:
    """A source and its translation as pairs of sentences, cut as translation cuts texts.

    A source of one sentence is one pair, whatever its translation is cut into. None where the source has several
    sentences, or something around its one, and the translation does not have as many.
    """
    sources = _sentences(source, "en")
    if not sources or sources == [source.strip()]:
        return [(source.strip(), translation.strip())]
    translations = _sentences(translation, "ar")
    return list(zip(sources, translations, strict=True)) if len(sources) == len(translations) else None


def _sentences(text: str, language: Any) -> list[str]:
    return [piece.text for piece in split(text, language) if piece.left is None]


def fixed_for(fixed: Mapping[str, str], sentence: str) -> str | None:
    """The translation that people gave for a sentence, or for what stands before its full stop; else None.

    `fixed` is as `fixed_translations` reads it: a sentence with other quotes than the file's is the same sentence.
    """
    for form in dict.fromkeys((sentence, plain(sentence))):
        if form in fixed:
            return fixed[form]
        if form.endswith(".") and form[:-1] in fixed:
            return f"{fixed[form[:-1]]}."
    return None


def is_rejected(rejected: Mapping[str, frozenset[str]], sentence: str, translation: str) -> bool:
    """Whether people rejected this translation of a sentence; another translation of it is none of their business.

    `rejected`: plain source -> the rejected translations, white space made single (`rejected_translations`).
    """
    return bool(rejected) and _single(translation) in rejected.get(plain(sentence), ())


def _single(text: str) -> str:
    return " ".join(text.split())


# --- files -----------------------------------------------------------------------------------------------------------


def fixed_translations(variety: str, own: Path | None = None) -> Mapping[str, str]:
    """Sentence -> its translation into a variety, of the user's file before ours.

    A file maps a variety (or `all`) to sentences and their translations; a variety takes over what MSA has, where
    neither file says it in the variety itself. A source of several sentences is cut as translation cuts it. A source
    that is written small also stands for its capitalised forms, and one with curly quotes for the straight ones,
    unless these are there themselves. Raises MashqError for a file of another shape, an unknown variety, an empty text,
    and a source of several sentences whose translation does not have as many.
    """
    found: dict[str, str] = {}
    contents = [_cut(_read(path)[0], path) for path in (FIXED, own) if path is not None]
    for part in dict.fromkeys((ALL, "msa", variety)):
        for content in contents:
            given = content.get(part, {})
            found |= {form: text for source, text in given.items() for form in _forms(source)} | given
    return found


def rejected_translations(variety: str, own: Path | None = None) -> Mapping[str, frozenset[str]]:
    """Plain source -> the translations into a variety that people rejected, of the user's file; see `is_rejected`.

    Unlike fixed translations, those of MSA do not go for other varieties: each engine says its own thing there.
    """
    found: dict[str, set[str]] = {}
    table = _read(own)[1] if own is not None else {}
    for part in (ALL, variety):
        for source, translations in table.get(part, {}).items():
            found.setdefault(plain(source.strip()), set()).update(map(_single, translations))
    return {source: frozenset(translations) for source, translations in found.items()}


def _forms(source: str) -> tuple[str, ...]:
    """A source that is written small as it may stand at a beginning or on a label; each also with plain quotes."""
    forms = (source, source[:1].upper() + source[1:], source.upper()) if source.islower() else (source,)
    return tuple(dict.fromkeys((*forms, *map(plain, forms))))


def _cut(content: Mapping[str, Mapping[str, str]], path: Path) -> dict[str, dict[str, str]]:
    """A file's texts by sentence, so that none is read that no sentence ever asks for."""
    made: dict[str, dict[str, str]] = {}
    for part, table in content.items():
        made[part] = {}
        for source, text in table.items():
            pairs = by_sentence(source, text)
            if pairs is None:
                counts = [len(_sentences(*one)) for one in ((source, "en"), (text, "ar"))]
                do = "Texts are translated by sentence: write one line for each sentence."
                told = f"{counts[1]} of them for {counts[0]} in the source"
                what = f"fixed translations {path}: {part}: '{source}'"
                raise MashqError(expected_got(what, "as many sentences in the translation", told, do))
            made[part].update((one, other) for one, other in pairs if len(pairs) == 1 or one not in table)
    return made


def _read(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, list[str]]]]:
    """What a file has people say: translations, and rejected translations, by variety and source."""
    try:
        content = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # every value a text: `no` is a word here
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise MashqError(f"fixed translations {path}: cannot be read ({error}).") from error
    content = dict(content) if isinstance(content, dict) else {None: None}
    rejected = _rejected(content.pop(KEY, {}), path)
    tables = content.values()
    if not all(isinstance(table, dict) and all(isinstance(text, str) for text in table.values()) for table in tables):
        raise MashqError(
            f"fixed translations {path}: expected varieties (or all) -> sentences -> translations, such as\n"
            "  msa:\n    yes: نعم"
        )
    check_varieties(content, f"fixed translations {path}")
    for part, table in content.items():
        for source, text in table.items():
            if not source.strip() or not text.strip():
                raise MashqError(
                    f"fixed translations {path}: {part}: '{source}': expected two texts, got an empty one."
                )
    texts = {part: {source.strip(): text.strip() for source, text in table.items()} for part, table in content.items()}
    return texts, rejected


def _rejected(content: Any, path: Path) -> dict[str, dict[str, list[str]]]:
    """The part `rejected` of a file. Raises MashqError for another shape."""
    tables = list(content.values()) if isinstance(content, dict) else [None]
    lists = [one for table in tables for one in (table.values() if isinstance(table, dict) else [None])]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise MashqError(
            f"fixed translations {path}: {KEY}: expected varieties (or all) -> sentences -> lists of translations, "
            'such as\n  rejected:\n    msa:\n      "It rained.": ["سقط مطر."]'
        )
    check_varieties(content, f"fixed translations {path}")
    return dict(content)


def check_varieties(parts: Iterable[str], where: str) -> None:
    """Raise MashqError for what is no variety, nor `all`."""
    known = (ALL, *varieties())
    for part in parts:
        if part not in known:
            raise MashqError(f"{where}: no variety '{part}' ({', '.join(known)}).{nearest(part, varieties())}")
