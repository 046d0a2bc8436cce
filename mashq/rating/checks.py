"""Pairs that people accept, correct or reject: of a file, of a translation step, of a step that renders templates.

A pair holds `source` and `proposed`, and may hold `system`, `variety`, `prompt`, `group`, `template` and `part`. The
fewer that are asked for are drawn by hashing their texts: the same on any machine.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashq.memory import FILE, Memory
from mashq.rating.study import Study, draw, study_of
from mashq.rows import ID, SCHEMA, MashqError, expected_got, id_hex
from mashq.run import manifest_of, read_rows
from mashq.templates.applying import fields_of
from mashq.translate.rows import sentences_of
from mashq.translate.show import remembered

__all__ = [
    "FILES",
    "pairs_of_file",
    "pairs_of_renders",
    "pairs_of_translation",
    "renders",
    "study_of_checks",
    "translates",
]

Pair = dict[str, str]
FILES = (".tsv", ".csv", ".jsonl")
NAMES = {"source": ("source", "en"), "proposed": ("proposed", "ar", "translation")}  # columns of a file
OPTIONAL = ("system", "variety", "prompt", "group", "template", "part")
ROWS_DRAWN = 2_000  # translated rows, or rows of each template, of which the pairs are: drawn by their ids
LONGEST = 2_000  # characters of one field of a record that a rater is shown


def study_of_checks(pairs: Iterable[Mapping[str, str]], study: Mapping[str, Any]) -> Study:
    """A study in which people accept, correct or reject what was proposed for a source.

    A pair holds `source` and `proposed` (a sentence and its translation, a record and its render), and may hold
    `system` (the engine), `variety`, `prompt` (what is asked of the rater), `group`, and of a render `template` and
    `part`. Equal pairs are one item.
    """
    made: dict[str, dict[str, Any]] = {}
    for place, pair in enumerate(pairs):
        if not isinstance(pair.get("source"), str) or not isinstance(pair.get("proposed"), str):
            raise MashqError(
                expected_got(f"pairs[{place}]", "the texts 'source' and 'proposed'", ", ".join(pair) or "none")
            )
        system, variety = pair.get("system", ""), pair.get("variety", "")
        render = [pair.get("template", ""), pair.get("part", "")]
        own = render if any(render) else []  # translations keep the names that they always had
        name = f"{draw('check', pair['source'], pair['proposed'], system, variety, *own):016x}"
        made[name] = {
            **{"id": name, "kind": "check", "shown": [pair["source"], pair["proposed"]], "variety": variety},
            **{"systems": [system] if system else []},
            **{key: pair.get(key, "") for key in ("prompt", "group", "template", "part")},
        }
    return study_of({**study, "items": [*study.get("items", ()), *made.values()]})


# --- a file ----------------------------------------------------------------------------------------------------------


def pairs_of_file(path: Path, n: int = 0) -> list[Pair]:
    """The pairs of a file of lines: .tsv or .csv with a header, or .jsonl; `n` of them (0: all).

    Columns `source` (or `en`) and `proposed` (or `ar`, `translation`), as in `to_judge.tsv` of a translation's survey.
    Raises MashqError for a file of another shape, and for one without pairs.
    """
    made = []
    for number, row in enumerate(_rows(path), 1):
        found = {name: _first(row, names) for name, names in NAMES.items()}
        if None in found.values():
            wanted = " and ".join(" or ".join(names) for names in NAMES.values())
            got = ", ".join(str(name) for name in row)[:200] or "none"
            raise MashqError(expected_got(f"{path}: pair {number}", f"the texts {wanted}", got))
        more = {name: row[name] for name in OPTIONAL if isinstance(row.get(name), str)}
        made.append({**{name: text for name, text in found.items() if text is not None}, **more})
    if not made:
        raise MashqError(expected_got(str(path), "pairs of a source and what was proposed for it", "none"))
    return _drawn(made, n)


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((row[name] for name in names if isinstance(row.get(name), str)), None)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            # Of tabs no cell holds one, and a quote is a quote (`to_judge.tsv`); a CSV is as spreadsheets write it.
            tabs: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {}
            rows = list(csv.DictReader(text.splitlines(keepends=True) if not tabs else text.split("\n"), **tabs))
    except (OSError, ValueError, csv.Error) as error:
        raise MashqError(f"{path}: cannot be read as {path.suffix[1:]} ({error}).") from error
    if not all(isinstance(row, Mapping) for row in rows):
        raise MashqError(expected_got(str(path), "an object on each line", "another value"))
    yield from rows


def _drawn(pairs: list[Pair], n: int) -> list[Pair]:
    """`n` different pairs in a drawn order; all in their own order for 0."""
    unique = list({(pair["source"], pair["proposed"], pair.get("part", "")): pair for pair in pairs}.values())
    return sorted(unique, key=lambda pair: draw("check", pair["source"], pair["proposed"]))[:n] if n else unique


# --- a translation ---------------------------------------------------------------------------------------------------


def translates(folder: Path) -> bool:
    """Whether a step's folder holds translated rows."""
    models = ((manifest_of(folder) or {}).get("identity") or {}).get("models") or []
    return any(model.get("role") == "translated" for model in models)


def pairs_of_translation(folder: Path, n: int) -> list[Pair]:
    """`n` sentences of the rows that a translation step kept, beside what its engine made of them.

    Sentences that people had fixed before are left out: nothing was proposed for them. Raises MashqError where the rows
    that were translated, or the store's memory, are not there any more.
    """
    manifest, root = manifest_of(folder) or {}, folder.parent.parent
    (engine,) = (model for model in manifest["identity"]["models"] if model["role"] == "translated")
    if not (root / FILE).is_file():
        raise MashqError(expected_got(str(folder), f"its translation memory {root / FILE}", "no file"))
    wanted = _lowest(pc.list_element(rows.column("parents"), 0) for rows in read_rows(folder, ["parents"]))
    found: dict[str, str] = {}  # sentence -> the row that it stands in, which other sentences share
    for rows in _of_inputs(folder, manifest, wanted):
        for place in range(rows.num_rows):
            row = rows.slice(place, 1)
            for sentence in sentences_of(row):
                found.setdefault(sentence, id_hex(row.column("id")[0].as_py()))
    about = {"system": engine["name"], "variety": manifest["settings"]["variety"]}
    with Memory(root / FILE) as memory:
        pairs = [
            {"source": sentence, "proposed": text, **about, "group": found[sentence]}
            for sentence, text, why in remembered(memory, engine, list(found))
            if text is not None and not why
        ]
    if not pairs:
        raise MashqError(expected_got(str(folder), "sentences that an engine translated", "none in its kept rows"))
    return _drawn(pairs, n)


def _lowest(ids: Iterable[pa.Array]) -> pa.Array:
    """The lowest ids: ids are hashes, so these are drawn."""
    least: list[bytes] = []
    for some in ids:
        least = sorted({*least, *(one for one in some.to_pylist() if one is not None)})[:ROWS_DRAWN]
    return pa.array(least, ID)


def _of_inputs(folder: Path, manifest: Mapping[str, Any], wanted: pa.Array) -> Iterator[pa.Table]:
    """The rows with these ids in the steps that a step took rows from. Raises MashqError where one is gone."""
    for name, fingerprint in (manifest.get("inputs") or {}).items():
        source = next(iter(folder.parent.glob(f"*@{fingerprint}")), None)
        if source is None or manifest_of(source) is None:
            do = "Run the recipe again: steps that are finished are not made twice."
            raise MashqError(expected_got(str(folder), f"its input '{name}' ({fingerprint})", "no finished step", do))
        for rows in read_rows(source):
            yield rows.filter(pc.is_in(rows.column("id"), value_set=wanted))


# --- renders of templates --------------------------------------------------------------------------------------------


def renders(folder: Path) -> bool:
    """Whether a step's folder holds prompts that templates made of records."""
    manifest = manifest_of(folder) or {}
    if manifest.get("produces") != "rows" or not (set(manifest.get("inputs") or {}) == {"raw"} or manifest["slices"]):
        return False
    first = next((rows for rows in read_rows(folder, ["template", "parents"]) if rows.num_rows), None)
    return first is not None and all(first.slice(0, 1).to_pylist()[0].values())


def pairs_of_renders(folders: Iterable[Path], n: int) -> list[Pair]:
    """`n` renders of the templates in these steps, of each template and part by turns, beside the record of each.

    A prompt is a pair and its target another one, shown under its prompt. Raises MashqError where a record is not there
    any more.
    """
    turns: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for folder in folders:
        for pair in _renders_of(folder):
            turns[pair["template"], pair["part"]].append(pair)
    drawn = [_drawn(turns[key], len(turns[key])) for key in sorted(turns, key=lambda key: draw("turn", *key))]
    by_turns = [one for turn in itertools.zip_longest(*drawn) for one in turn if one is not None]
    if not by_turns:
        raise MashqError(expected_got("rate --kind render", "prompts that templates made of records", "none"))
    return by_turns[: n or None]


A_TEMPLATE = 40  # renders of each, of which those that are asked for are drawn


def _renders_of(folder: Path) -> Iterator[Pair]:
    rows = _few_of_each(folder)
    wanted = pa.array(sorted({row["parents"][0] for row in rows}), ID)
    manifest = manifest_of(folder) or {}
    records = {one["id"]: one for table in _of_inputs(folder, manifest, wanted) for one in table.to_pylist()}
    for row in rows:
        raw = row["parents"][0]
        record = records.get(raw) or _raw(manifest, raw)
        if record is None:
            raise MashqError(expected_got(str(folder), f"the record {id_hex(raw)} of a render", "none in its input"))
        shown = _record(fields_of(record["meta"], record["text"], record["messages"]))
        prompt = next((turn["content"] for turn in reversed(row["messages"]) if turn["role"] == "user"), "")
        about = {"template": row["template"], "variety": row["variety"] or "", "group": id_hex(raw)}
        yield {"source": shown, "proposed": prompt, "part": "prompt", **about}
        if row["references"]:
            yield {"source": shown, "proposed": row["references"][0], "part": "target", "prompt": prompt, **about}


def _few_of_each(folder: Path) -> list[dict[str, Any]]:
    """Rows of each template, those with the lowest ids."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for rows in read_rows(folder):
        for name in pc.unique(rows.column("template")).drop_null().to_pylist():
            own = rows.filter(pc.equal(rows.column("template"), name))
            least = pa.array(sorted(own.column("id").to_pylist())[:A_TEMPLATE], ID)
            found[name] += own.filter(pc.is_in(own.column("id"), value_set=least)).to_pylist()
            found[name] = sorted(found[name], key=lambda row: row["id"])[:A_TEMPLATE]
    return [row for rows in found.values() for row in rows]


def _raw(manifest: Mapping[str, Any], raw: bytes) -> dict[str, Any] | None:
    """A record that was rendered straight from its file, as a row."""
    from mashq.sources.columnar import raw_row

    for one in manifest.get("slices") or ():
        if found := raw_row(one, raw):
            return {**dict.fromkeys(SCHEMA.names), **found[1]}
    return None


def _record(fields: Mapping[str, Any]) -> str:
    """A record as a rater reads it: a paragraph for each field, what is longer than `LONGEST` cut with a mark."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in fields.items()
        if value not in (None, "")
    }
    short = {name: text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for name, text in texts.items()}
    return "\n\n".join(f"{name}:\n{text}" for name, text in short.items())
