"""A translated row beside what it was made from: each sentence, its translation, its score or what is wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mashq.lineage import Found
from mashq.memory import FILE, Memory
from mashq.mt.faults import fault
from mashq.quality import open_scorer
from mashq.quality.checks import CHECKS
from mashq.rows import SCHEMA
from mashq.run import manifest_of
from mashq.sentences import mask, unmask
from mashq.translate import Bar, Judge, Translator, below, cut, fixed_for
from mashq.translate.fixed import fixed_translations
from mashq.translate.rows import sentences_of

__all__ = ["Side", "failures", "lines", "of_text", "remembered", "sides"]


@dataclass(frozen=True)
class Side:
    """One sentence beside its translation; None where it was never asked for, because the row had failed before."""

    source: str
    translation: str | None
    said: str  # "fixed", "similarity 0.912", "loop: …"


def sides(root: Path, one: Found, found: Sequence[Found]) -> list[Side]:
    """The sentences of a row that a translation step of the store kept or dropped, with what its memory knows of them.

    `found` are the rows on its line of life. Empty for a row of any other step, and where its prompt is not among them.
    """
    manifest = manifest_of(root / "steps" / one.step) or {}
    models = manifest.get("identity", {}).get("models", [])
    source = _source(one, found)
    if source is None or not any(model["role"] == "translated" for model in models):
        return []
    settings = manifest["settings"]
    fixed = fixed_translations(settings["variety"])
    sentences = sentences_of(pa.Table.from_pylist([source], SCHEMA))
    with Memory(root / FILE) as memory:
        unknown = "not asked: the row had failed" if one.row["dropped"] else "fixed by your file"
        if not one.row["dropped"]:  # your own file goes before ours, and is not kept
            texts = "\n".join(_texts(one.row))
            fixed = {source: text for source, text in fixed.items() if text in texts}
        return list(_judged(memory, sentences, models, fixed, unknown))


def _source(one: Found, found: Sequence[Found]) -> dict[str, Any] | None:
    """The row that went in: the same row where it was dropped, else the parent."""
    wanted = one.row["id"] if one.row["dropped"] else (one.row["parents"] or [None])[0]
    whole = (other.row for other in found if other.row["id"] == wanted and other.step != one.step)
    return next((row for row in whole if row["messages"] or row["text"]), None)


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    yield row["text"] or ""
    yield from (turn["content"] for turn in row["messages"] or ())
    yield from (text for name in ("references", "choices") for text in row[name] or ())


def _failed_check(models: Sequence[Mapping[str, Any]], sentence: str, text: str) -> str | None:
    """The first check of the step that a pair fails; checks are not kept, they are made again."""
    for model in models:
        if model["role"] == "judged" and model["name"] in CHECKS:
            bar = Bar(open_scorer(model["name"]), model["least"])
            if (why := below(bar, bar.scorer.score([(sentence, text)])[0])) is not None:
                return why
    return None


def remembered(
    memory: Memory, engine: Mapping[str, Any], sentences: Sequence[str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Each sentence, what the engine made of it (None: it was not asked), and what was wrong with that, if anything.

    `engine` is what a step's manifest says of it.
    """
    masked = [mask(sentence) for sentence in sentences]
    known = memory.translations(engine["identity"], [one.text for one in masked])
    for sentence, hidden, entry in zip(sentences, masked, known, strict=True):
        if entry is None:
            yield sentence, None, None
        else:
            text, lost = unmask(entry.text, hidden.kept)
            yield sentence, text, entry.fault or lost


def _judged(
    memory: Memory,
    sentences: Sequence[str],
    models: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, str],
    unknown: str,
) -> Iterator[Side]:
    (engine,) = (model for model in models if model["role"] == "translated")
    scorer = next((model for model in models if model.get("column")), None)
    for sentence, text, why in remembered(memory, engine, sentences):
        given = fixed_for(fixed, sentence)
        if given is not None or text is None:
            yield Side(sentence, given, unknown if given is None else "fixed")
            continue
        said = why or fault(sentence, text) or _failed_check(models, sentence, text)
        if scorer and not said:
            (score,) = memory.scores(scorer["identity"], [(sentence, text)])
            said = f"{scorer['column']} {score[0]:.3f}" if score else "no score"
        yield Side(sentence, text, said or "")


FAILED = re.compile(
    r"(?s)(?P<reason>.*?)(?:, sentence \d+ of \d+.*?|, lowest): «(?P<sentence>.*)» -> «(?P<translation>.*)»"
)


def failures(dropped: Iterable[pa.Table]) -> pa.Table:
    """Dropped rows -> the sentences that they were dropped for, those first that cost most rows.

    Columns: rows, kind (what stands before a reason's colon), sentence, translation, reason (that of the first row). A
    reason that names no sentence, such as a choice that is lost, stands with empty texts.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], str] = {}
    for table in dropped:
        for reason in table.column("dropped").to_pylist():
            found = FAILED.fullmatch(reason)
            said, sentence, translation = found.groups() if found else (reason, "", "")
            key = (reason.split(":")[0], sentence, translation)
            counts[key] += 1
            first.setdefault(key, said)
    order = sorted(counts, key=lambda key: (-counts[key], key))
    named = ("kind", "sentence", "translation")
    texts = {name: pa.array([key[place] for key in order], pa.string()) for place, name in enumerate(named)}
    reasons = pa.array([first[key] for key in order], pa.string())
    return pa.table({"rows": pa.array([counts[key] for key in order], pa.int64()), **texts, "reason": reasons})


def of_text(text: str, opened: Translator) -> Iterator[str]:
    """A text's sentences for the terminal, each translated and judged; then the text, and whether it would be kept."""
    found = cut([text])
    judge = Judge(opened, found.sentences, b"by hand")
    judge.judge(range(len(found.sentences)))
    failed = [place for place in range(len(found.sentences)) if judge.reason(place)]
    scored = [f"{opened.bar.name} {score:.3f}" if opened.bar and score == score else "" for score in judge.scores]
    rows = zip(found.sentences, judge.translations, scored, strict=True)
    yield from lines([Side(*row[:2], judge.reason(place) or row[2]) for place, row in enumerate(rows)])
    yield ""
    yield found.joined(judge.translations)[0].as_py()
    yield ""
    bar = f" {opened.bar.name} >= {opened.bar.least:.3f} ({opened.bar.why})" if opened.bar else ""
    verdict = f"{len(failed)} of {len(found.sentences)} sentences fail" if failed else "every sentence passes"
    yield f"{verdict}.{bar}"


def lines(found: Sequence[Side]) -> Iterator[str]:
    """Sentences for the terminal; each text on its own line, so that its direction is its own."""
    for place, side in enumerate(found, 1):
        yield f"  sentence {place} of {len(found)}  {side.said}"
        yield f"    {side.source}"
        if side.translation is not None:
            yield f"    {side.translation}"
