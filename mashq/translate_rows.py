"""Prompt rows in one language -> prompt rows in another: every text of a row, its choices and answers alike.

Equal texts have equal translations, so an answer that was among the choices is among them afterwards. Tasks of
Super-NaturalInstructions keep their structure: definition, examples and input are translated where the reader kept
them, and the prompt is put together anew.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import arabic
from mashq.rows import SCORES, child_ids, drop, id_words, replace
from mashq.sentences import Source
from mashq.sources.natural_instructions import prompt
from mashq.translate import Cut, Judge, Judged, Rule, Translator, cut, verdicts

__all__ = ["Shown", "sentences_of", "translated", "work_of"]

LISTS = ("messages", "references", "choices")


@dataclass(frozen=True)
class Shown:
    """What a translated row says of itself."""

    step: str
    variety: str
    language: Source = "en"  # of the rows that come in
    lost_choices: bool = True  # drop a row whose prompt showed a choice that its translation does not show


def work_of(rows: pa.Table, step: str) -> bytes:
    """16 bytes that name the translating of these rows in this step: with them its batches are told from others'."""
    salted = child_ids(rows.column("id").slice(0, 1), step=step, template="translate")
    return id_words(salted).tobytes()


def sentences_of(rows: pa.Table, language: Source = "en") -> list[str]:
    """The different sentences of rows in reading order, those of tasks that no prompt shows left out."""
    found = _Texts(rows, language)
    return [found.cut.sentences[place] for place in dict.fromkeys(found.incidence()[1].tolist())]


def translated(rows: pa.Table, with_: Translator, rule: Rule, shown: Shown, made: bytes) -> tuple[pa.Table, Judge]:
    """Rows -> for each, in order, its translation (a child row) or the row itself, dropped with the reason.

    Also the judge, whose `spent` says what was done anew.
    """
    found = _Texts(rows, shown.language)
    judge = Judge(with_, found.cut.sentences, made)
    judged = verdicts(judge, *found.incidence(), rows.num_rows, rule)
    alive = pa.array([reason is None for reason in judged.reasons])
    kept = found.put_back(judge, alive.to_numpy(zero_copy_only=False))
    kept = _as_children(kept, rows.filter(alive), judged, shown, with_.bar.scorer.column if with_.bar else "")
    kept = drop(kept, _choices_lost(rows.filter(alive), kept, shown.lost_choices))
    # A row that is dropped after all is the prompt itself, like every other dropped row.
    lost = kept.column("dropped").combine_chunks()
    reasons = pa.array(judged.reasons, pa.string())
    reasons = pc.replace_with_mask(reasons, alive, lost)
    return _in_place(rows, kept, reasons), judge


def _in_place(rows: pa.Table, kept: pa.Table, reasons: pa.Array) -> pa.Table:
    """The kept children and the dropped rows in the order of `rows`; `kept` may hold dropped rows, left out here."""
    lost = pc.is_valid(reasons).to_numpy(zero_copy_only=False)
    kept = kept.filter(pc.is_null(kept.column("dropped")))
    dropped = drop(rows.filter(pa.array(lost)), reasons.filter(pa.array(lost)))
    places = np.concatenate([np.flatnonzero(~lost), np.flatnonzero(lost)])
    return pa.concat_tables([kept, dropped]).take(pa.array(np.argsort(places)))


def _as_children(kept: pa.Table, parents: pa.Table, judged: Judged, shown: Shown, column: str) -> pa.Table:
    ids = parents.column("id")
    alive = [place for place, reason in enumerate(judged.reasons) if reason is None]
    own = {"id": child_ids(ids, step=shown.step), "parents": [[one] for one in ids.to_pylist()]}
    if column:
        own["scores"] = _with_score(kept.column("scores"), column, judged.scores[alive])
    return replace(kept, **own, variety=shown.variety)


def _with_score(scores: pa.ChunkedArray, column: str, values: np.ndarray) -> pa.Array:
    """The rows' scores with one of them set; nan stands for none."""
    old = scores.combine_chunks()
    fields = [
        pa.array(values, pa.float32(), from_pandas=True) if name == column else pc.struct_field(old, name)
        for name in SCORES
    ]
    return pa.StructArray.from_arrays(fields, names=list(SCORES))


# --- every text of a table -------------------------------------------------------------------------------------------


class _Texts:
    """The texts of rows: where each stands, and what they are cut into. Equal texts are cut once."""

    def __init__(self, rows: pa.Table, language: Source):
        self.rows = rows
        self.tasks = _Tasks(rows)
        slots = {name: _listed(rows, name) for name in ("text", *LISTS)} | self.tasks.slots()
        every = pa.concat_arrays([strings for strings, _ in slots.values()]).dictionary_encode()
        indices = every.indices.to_numpy(zero_copy_only=False)
        ends = np.cumsum([len(strings) for strings, _ in slots.values()])
        self.slots = dict(zip(slots, np.split(indices, ends[:-1]), strict=True))  # slot -> which text stands there
        self.owners = {name: owners for name, (_, owners) in slots.items()}  # slot -> whose row
        self.cut: Cut = cut(every.dictionary.to_pylist(), language)

    def _sentences(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) texts -> for each of their sentences in order: the place in `texts`, the sentence."""
        starts, ends = self.cut.offsets[texts], self.cut.offsets[texts + 1]
        lengths = ends - starts
        whose = np.repeat(np.arange(len(texts)), lengths)
        within = np.arange(len(whose)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found = self.cut.sentence[self.cut.places[starts[whose] + within]]
        return whose[found >= 0], found[found >= 0]

    def incidence(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) which row holds which sentence, each pair once, in reading order; what is not asked for is left out."""
        slots = [name for name in self.slots if name != _Tasks.SPARE]
        texts = np.concatenate([self.slots[name] for name in slots])
        owners = np.concatenate([self.owners[name] for name in slots])
        order = np.argsort(owners, kind="stable")
        whose, sentences = self._sentences(texts[order])
        rows = owners[order][whose]
        _, first = np.unique(rows * np.int64(len(self.cut.sentences) + 1) + sentences, return_index=True)
        first.sort()
        return rows[first], sentences[first]

    def put_back(self, judge: Judge, alive: np.ndarray) -> pa.Table:
        """The rows that are alive, with their texts translated."""
        spare = self.slots.get(_Tasks.SPARE)
        if spare is not None:
            wanted = alive[self.owners[_Tasks.SPARE]]
            judge.judge(np.unique(self._sentences(np.unique(spare[wanted]))[1]).tolist())
        joined = self.cut.joined(judge.translations)
        kept = self.rows.filter(pa.array(alive))
        own = {name: joined.take(pa.array(texts[alive[self.owners[name]]])) for name, texts in self.slots.items()}
        columns = {name: _relisted(kept, name, own[name]) for name in LISTS}
        texts = pc.replace_with_mask(
            kept.column("text").combine_chunks(), pc.is_valid(kept.column("text").combine_chunks()), own["text"]
        )
        kept_of_tasks = self.tasks.put_back(own, self._bad(judge), self.slots, alive)
        return replace(kept, **{**columns, "text": texts, **kept_of_tasks(columns["messages"])})

    def _bad(self, judge: Judge) -> np.ndarray:
        """(t,) whether any sentence of a text failed, or was not judged."""
        ok = judge.judged & np.array([judge.reason(place) is None for place in range(len(judge.sentences))], dtype=bool)
        count = len(self.cut.offsets) - 1
        whose, sentences = self._sentences(np.arange(count))
        return np.bincount(whose, ~ok[sentences], count) > 0


def _listed(rows: pa.Table, name: str) -> tuple[pa.Array, np.ndarray]:
    """The strings of a column in row order, and the row of each."""
    column = rows.column(name).combine_chunks()
    if name == "text":
        valid = pc.is_valid(column)
        return column.filter(valid), np.flatnonzero(valid.to_numpy(zero_copy_only=False))
    owners = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(column)
    return pc.fill_null(pc.struct_field(flat, "content") if name == "messages" else flat, ""), owners


def _relisted(rows: pa.Table, name: str, strings: pa.Array) -> pa.Array:
    """The lists of a column with these strings in place of theirs."""
    column = rows.column(name).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    values = strings
    if name == "messages":
        roles = pc.struct_field(pc.list_flatten(column), "role")
        values = pa.StructArray.from_arrays([roles, strings], names=["role", "content"])
    return pa.ListArray.from_arrays(offsets, values, mask=pc.is_null(column))


# --- choices ---------------------------------------------------------------------------------------------------------


def _choices_lost(before: pa.Table, after: pa.Table, look: bool) -> list[str | None]:
    """Of each row why its choices no longer serve: two became one, or (`look`) one that was shown is shown no more."""
    old, new = before.column("choices").to_pylist(), after.column("choices").to_pylist()
    has = pc.fill_null(pc.greater(pc.list_value_length(before.column("choices")), 0), False)
    shown = [iter(_shown(table.filter(has)) if look else ()) for table in (before, after)]
    return [
        _became_one(was, now) or (_not_shown(was, now, *map(next, shown)) if look else None) if was else None
        for was, now in zip(old, new, strict=True)
    ]


def _shown(rows: pa.Table) -> list[str]:
    """What each prompt shows: the text of its turns."""
    column = rows.column("messages").combine_chunks()
    offsets = pa.array(np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(column), 0))]), pa.int32())
    contents = pc.fill_null(pc.struct_field(pc.list_flatten(column), "content"), "")
    return pc.binary_join(pa.ListArray.from_arrays(offsets, contents), "\n").to_pylist()


def _became_one(old: Sequence[str], new: Sequence[str]) -> str | None:
    first: dict[str, str] = {}
    for was, now in zip(old, new, strict=True):
        other = first.setdefault(now.strip(), was)
        if other != was:
            return f"choices: «{other}» and «{was}» both became «{now.strip()}»"
    return None


def _not_shown(old: Sequence[str], new: Sequence[str], before: str, after: str) -> str | None:
    for was, now in zip(old, new, strict=True):
        choice = now.strip()
        if choice in after or not _word(was).search(before):
            continue
        if arabic.normalise(choice, FOLDED) not in arabic.normalise(after, FOLDED):
            return f"choices: the prompt shows «{was}», its translation does not show «{choice}»"
    return None


@functools.lru_cache(maxsize=10_000)
def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


FOLDED = ("tashkeel", "tatweel", "alef")  # in these forms a choice is looked for in the prompt


# --- tasks of Super-NaturalInstructions ------------------------------------------------------------------------------


class _Tasks:
    """What the reader kept of a task in `meta`: the fields `about` and `input` of its rows, where rows have them."""

    INPUT, SPARE = "input", "about"  # slots: the instance's input; texts of the task that its prompt may not show

    def __init__(self, rows: pa.Table):
        self.metas = metas = rows.column("meta").combine_chunks()
        has = pc.fill_null(pc.match_substring(metas, '"about":'), False).to_numpy(zero_copy_only=False)
        self.kept: dict[int, dict[str, Any]] = {}
        for place in np.flatnonzero(has).tolist():
            kept = json.loads(metas[place].as_py())
            if isinstance(kept.get("about"), dict) and isinstance(kept.get("input"), str):
                self.kept[place] = kept
        self.messages = rows.column("messages")

    def slots(self) -> dict[str, tuple[pa.Array, np.ndarray]]:
        if not self.kept:
            return {}
        inputs = pa.array([kept["input"] for kept in self.kept.values()], pa.string())
        spare = {place: list(_texts_of(kept["about"])) for place, kept in self.kept.items()}
        owners = np.repeat(np.array(list(spare)), [len(texts) for texts in spare.values()])
        flat = pa.array([text for texts in spare.values() for text in texts], pa.string())
        return {self.INPUT: (inputs, np.array(list(self.kept))), self.SPARE: (flat, owners)}

    def put_back(
        self, own: Mapping[str, pa.Array], bad: np.ndarray, slots: Mapping[str, np.ndarray], alive: np.ndarray
    ) -> Callable[[pa.Array], dict[str, Any]]:
        """A function of the translated messages that gives the columns of tasks, translated; none without tasks."""
        places = [place for place in self.kept if alive[place]]
        if not places:
            return lambda messages: {}
        inputs = dict(zip(places, own[self.INPUT].to_pylist(), strict=True))
        owners = np.repeat(list(self.kept), [len(list(_texts_of(kept["about"]))) for kept in self.kept.values()])
        lost = bad[slots[self.SPARE][alive[owners]]].tolist()
        spare = iter([None if gone else text for gone, text in zip(lost, own[self.SPARE].to_pylist(), strict=True)])
        abouts = {place: _translated_about(self.kept[place]["about"], spare) for place in places}

        def columns(messages: pa.Array) -> dict[str, Any]:
            turns, metas = messages.to_pylist(), {}
            rank = {place: number for number, place in enumerate(np.flatnonzero(alive).tolist())}
            for place in places:
                kept, how = self.kept[place], _how(self.kept[place])
                whole = prompt(kept["about"], kept["input"], *how) == self.messages[place].as_py()
                if whole:  # as the reader made it: put together anew, with labels in Arabic
                    turns[rank[place]] = prompt(abouts[place], inputs[place], *how)
                metas[rank[place]] = json.dumps(
                    {**kept, "input": inputs[place], "about": abouts[place]}, ensure_ascii=False
                )
            others = self.metas.filter(pa.array(alive)).to_pylist()
            return {"messages": turns, "meta": [metas.get(number, other) for number, other in enumerate(others)]}

        return columns


def _how(kept: Mapping[str, Any]) -> tuple[int, str]:
    return kept.get("examples", 0), kept.get("examples_as", "turns")


def _texts_of(about: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a task that people read, in a fixed order."""
    definition = about.get("Definition") or []
    yield from [definition] if isinstance(definition, str) else definition
    for one in _examples(about):
        yield from _of_example(one)


def _examples(about: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("Positive Examples", "Negative Examples"):
        yield from about.get(name) or []


def _of_example(one: Mapping[str, Any]) -> Iterator[str]:
    yield one["input"]
    yield from [one["output"]] if isinstance(one["output"], str) else one["output"]
    yield one.get("explanation") or ""


LANGUAGES = ("Input_language", "Output_language", "Instruction_language")


def _translated_about(about: Mapping[str, Any], texts: Iterator[str | None]) -> dict[str, Any]:
    """The task with its texts replaced in the order of `_texts_of`; None for one that failed: its example goes."""
    made = dict(about)
    definition = about.get("Definition") or []
    if isinstance(definition, str):
        made["Definition"] = next(texts) or ""
    else:
        made["Definition"] = [text for text in [next(texts) for _ in definition] if text is not None]
    for name in ("Positive Examples", "Negative Examples"):
        found = []
        for one in about.get(name) or []:
            asked, *answers, why = [next(texts) for _ in _of_example(one)]
            if asked is None or None in answers:
                continue
            output = answers[0] if isinstance(one["output"], str) else answers
            found.append({**one, "input": asked, "output": output, "explanation": why or ""})
        made[name] = found
    for name in LANGUAGES:
        if name in about:
            made[name] = "Arabic" if isinstance(about[name], str) else ["Arabic"]
    return made
