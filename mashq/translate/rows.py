"""Prompt rows in one language -> prompt rows in another: every text of a row, its choices and answers alike.

Equal texts have equal translations, so an answer that was among the choices is among them afterwards. Tasks of
Super-NaturalInstructions keep their structure: definition, examples and input are translated where the reader kept
them, and the prompt is put together anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mashq import arabic
from mashq.rows import SCORES, child_ids, children, drop, id_words, replace
from mashq.sources.natural_instructions import EXAMPLES, examples_shown, faults_of, first_text, prompt, texts_of
from mashq.translate import Cut, Judge, Rule, Translator, cut, verdicts

__all__ = ["Shown", "sentences_of", "translated", "work_of"]

LISTS = ("messages", "references", "choices")


@dataclass(frozen=True)
class Shown:
    """What a translated row says of itself."""

    step: str
    variety: str
    lost_choices: bool = True  # drop a row whose prompt showed a choice that its translation does not show


def work_of(rows: pa.Table, step: str) -> bytes:
    """16 bytes that name the translating of these rows in this step: with them its batches are told from others'."""
    salted = child_ids(rows.column("id").slice(0, 1), step=step, template="translate")
    return id_words(salted).tobytes()


def sentences_of(rows: pa.Table) -> list[str]:
    """The different sentences of English rows in reading order, those of tasks that no prompt shows left out."""
    found = _Texts(rows)
    return [found.cut.sentences[place] for place in dict.fromkeys(found.incidence()[1].tolist())]


def translated(rows: pa.Table, with_: Translator, rule: Rule, shown: Shown, made: bytes) -> tuple[pa.Table, Judge]:
    """English rows -> for each, in order, its translation (a child row) or the row itself, dropped with the reason.

    Also the judge, whose `spent` says what was done anew. `made` is `work_of` these rows.
    """
    found = _Texts(rows)
    judge = Judge(with_, found.cut.sentences, made)
    foreign = found.not_english()
    of_rows, sentences = found.incidence()
    english = np.array([reason is None for reason in foreign], dtype=bool)
    judged = verdicts(judge, of_rows[english[of_rows]], sentences[english[of_rows]], rows.num_rows, rule)
    reasons = pc.coalesce(pa.array(foreign, pa.string()), pa.array(judged.reasons, pa.string()))
    alive = pc.is_null(reasons)
    parents = rows.filter(alive)
    kept = found.put_back(judge, alive.to_numpy(zero_copy_only=False), rule)
    scores = judged.scores[alive.to_numpy(zero_copy_only=False)]
    kept = _as_children(kept, scores, shown, with_.bar.scorer.column if with_.bar else "")
    # A row that is dropped after all is the prompt itself, like every other dropped row.
    reasons = pc.replace_with_mask(
        reasons, alive, pa.array(_choices_lost(parents, kept, shown.lost_choices), pa.string())
    )
    return _in_place(rows, kept.filter(pc.is_null(reasons.filter(alive))), reasons), judge


def _in_place(rows: pa.Table, kept: pa.Table, reasons: pa.Array) -> pa.Table:
    """The kept children and the dropped rows in the order of `rows`."""
    lost = pc.is_valid(reasons).to_numpy(zero_copy_only=False)
    dropped = drop(rows.filter(pa.array(lost)), reasons.filter(pa.array(lost)))
    places = np.concatenate([np.flatnonzero(~lost), np.flatnonzero(lost)])
    return pa.concat_tables([kept, dropped]).take(pa.array(np.argsort(places)))


def _as_children(kept: pa.Table, scores: np.ndarray, shown: Shown, column: str) -> pa.Table:
    own = {"scores": _with_score(kept.column("scores"), column, scores)} if column else {}
    return children(kept, shown.step, variety=shown.variety, **own)


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

    def __init__(self, rows: pa.Table):
        self.rows = rows
        self.tasks = _Tasks(rows)
        slots = {name: _listed(rows, name) for name in ("text", *LISTS)} | self.tasks.slots()
        every = pa.concat_arrays([strings for strings, _ in slots.values()]).dictionary_encode()
        indices = every.indices.to_numpy(zero_copy_only=False)
        ends = np.cumsum([len(strings) for strings, _ in slots.values()])
        self.slots = dict(zip(slots, np.split(indices, ends[:-1]), strict=True))  # slot -> which text stands there
        self.owners = {name: owners for name, (_, owners) in slots.items()}  # slot -> whose row
        self.cut: Cut = cut(every.dictionary.to_pylist())

    def _sentences(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) texts -> for each of their sentences in order: the place in `texts`, the sentence."""
        starts, ends = self.cut.offsets[texts], self.cut.offsets[texts + 1]
        lengths = ends - starts
        whose = np.repeat(np.arange(len(texts)), lengths)
        within = np.arange(len(whose)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found = self.cut.sentence[self.cut.places[starts[whose] + within]]
        return whose[found >= 0], found[found >= 0]

    def not_english(self) -> list[str | None]:
        """Of each row why it is none to translate: a task of another language, or text mostly of other scripts."""
        letters = np.zeros((self.rows.num_rows, 2), dtype=np.int64)  # of sentences, of what is left for its script
        weights = self.cut.letters()
        for name, texts in self.slots.items():
            if name != _Tasks.SPARE:
                np.add.at(letters, self.owners[name], weights[texts])
        foreign = (letters[:, 1] / np.maximum(letters.sum(axis=1), 1)).tolist()
        mostly = [
            f"language: {n:.2f} of it in another script > {FOREIGN_SHARE}" if n > FOREIGN_SHARE else None
            for n in foreign
        ]
        told = self.tasks.other_language(self.rows.num_rows)
        return [said or script for said, script in zip(told, mostly, strict=True)]

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

    def put_back(self, judge: Judge, alive: np.ndarray, rule: Rule) -> pa.Table:
        """The rows that are alive, with their texts translated."""
        abouts = self.tasks.abouts_of(alive)
        spare = self.slots.get(_Tasks.SPARE, np.zeros(0, dtype=np.int64))
        wanted = np.isin(self.owners.get(_Tasks.SPARE, np.zeros(0, dtype=np.int64)), list(abouts))
        judge.judge(np.unique(self._sentences(np.unique(spare[wanted]))[1]).tolist())
        joined = self.cut.joined(judge.translations)
        kept = self.rows.filter(pa.array(alive, pa.bool_()))
        own = {
            name: joined.take(pa.array(texts[alive[self.owners[name]]]))
            for name, texts in self.slots.items()
            if name != _Tasks.SPARE
        }
        columns = {name: _relisted(kept, name, own[name]) for name in LISTS}
        old = kept.column("text").combine_chunks()
        columns["text"] = pc.replace_with_mask(old, pc.is_valid(old), own["text"])
        if abouts:
            bad, lasting = self._bad(judge, rule), joined.take(pa.array(spare)).to_pylist()
            texts = [None if lost else text for lost, text in zip(bad[spare].tolist(), lasting, strict=True)]
            columns |= self.tasks.put_back(columns["messages"], own[_Tasks.INPUT].to_pylist(), texts, alive)
        return replace(kept, **columns)

    def _bad(self, judge: Judge, rule: Rule) -> np.ndarray:
        """(t,) whether a text that no prompt need show is left out: for a fault, and under `every` for a low score."""
        bad = judge.failed() | ~judge.judged | (judge.low() if rule.keep == "every" else False)
        count = len(self.cut.offsets) - 1
        whose, sentences = self._sentences(np.arange(count))
        return np.bincount(whose, bad[sentences], count) > 0


FOREIGN_SHARE = 0.5  # of a row's letters outside English sentences and known pieces: from here on it is no English row


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
    values = strings
    if name == "messages":
        roles = pc.struct_field(pc.list_flatten(column), "role")
        values = pa.StructArray.from_arrays([roles, strings], names=["role", "content"])
    return pa.ListArray.from_arrays(_offsets(column), values, mask=pc.is_null(column))


def _offsets(column: pa.ListArray) -> pa.Array:
    """Where the lists of a column begin and end in what they hold together; a null list holds nothing."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())


# --- choices ---------------------------------------------------------------------------------------------------------


def _choices_lost(before: pa.Table, after: pa.Table, look: bool) -> list[str | None]:
    """Of each row why its choices no longer serve: two became one, or (`look`) one that was shown is shown no more."""
    found: list[str | None] = [None] * before.num_rows
    has = pc.fill_null(pc.greater(pc.list_value_length(before.column("choices")), 0), False).combine_chunks()
    places = np.flatnonzero(has.to_numpy(zero_copy_only=False)).tolist()
    before, after = before.filter(has), after.filter(has)
    shown = [_shown(table) for table in (before, after)] if look else [[""] * len(places)] * 2
    one: dict[tuple[tuple[str, ...], tuple[str, ...]], str | None] = {}  # templates repeat their choices
    pairs = zip(_choices(before), _choices(after), strict=True)
    for place, pair, was, now in zip(places, pairs, *shown, strict=True):
        if pair not in one:
            one[pair] = _became_one(*pair)
        found[place] = one[pair]
        if look and one[pair] is None:
            found[place] = _not_shown(pair[0], pair[1], was, now)
    return found


def _choices(rows: pa.Table) -> list[tuple[str, ...]]:
    """The choices of each row; rows of one template share theirs, so most are looked up and not made."""
    column = rows.column("choices").combine_chunks()
    if pc.any(pc.match_substring(pc.list_flatten(column), BETWEEN)).as_py():
        return [tuple(one) for one in column.to_pylist()]
    joined = pc.binary_join(column, BETWEEN).dictionary_encode()
    known = [tuple(text.split(BETWEEN)) for text in joined.dictionary.to_pylist()]
    return [known[place] for place in joined.indices.to_pylist()]


BETWEEN = "\x1f"  # ASCII's own sign between units


def _shown(rows: pa.Table) -> list[str]:
    """What each prompt shows: the text of its turns."""
    column = rows.column("messages").combine_chunks()
    contents = pc.fill_null(pc.struct_field(pc.list_flatten(column), "content"), "")
    return pc.binary_join(pa.ListArray.from_arrays(_offsets(column), contents), "\n").to_pylist()


def _became_one(old: Sequence[str], new: Sequence[str]) -> str | None:
    first: dict[str, str] = {}
    for was, now in zip(old, new, strict=True):
        other = first.setdefault(now.strip(), was)
        if other != was:
            return f"choices: «{other}» and «{was}» both became «{now.strip()}»"
    return None


def _not_shown(old: Sequence[str], new: Sequence[str], before: str, after: str) -> str | None:
    """A prompt shows its choices where at least two of them stand in it as words of their own."""
    small = before.lower()
    shown = [place for place, was in enumerate(old) if _stands(was.strip().lower(), small)]
    if len(shown) < 2:
        return None
    folded = None
    for place in shown:
        choice = new[place].strip()
        if _stands(choice, after, PARTICLES):
            continue
        folded = folded if folded is not None else arabic.normalise(after, FOLDED)
        if not _stands(arabic.normalise(choice, FOLDED), folded, PARTICLES):
            return f"choices: the prompt shows «{old[place]}», its translation does not show «{choice}»"
    return None


def _stands(word: str, text: str, particles: frozenset[str] = frozenset()) -> bool:
    """Whether a text holds a word as a word of its own, or after particles that are written together with it."""
    at = text.find(word) if word else -1
    while at >= 0:
        end = at + len(word)
        if end == len(text) or not (text[end].isalnum() or text[end] == "_"):
            start = at
            while start and (text[start - 1].isalnum() or text[start - 1] == "_") and at - start <= 4:
                start -= 1
            if start == at or text[start:at] in particles:
                return True
        at = text.find(word, at + 1)
    return False


# What Arabic writes together with the word after it: conjunction, preposition, article.
PARTICLES = frozenset(
    f"{first}{second}{article}"
    for first in ("", "و", "ف")
    for second, articles in (("", ("", "ال")), ("ب", ("", "ال")), ("ك", ("", "ال")), ("ل", ("", "ل")))
    for article in articles
) - {""}
FOLDED = ("tashkeel", "tatweel", "alef")  # in these forms a choice is looked for in the prompt


# --- tasks of Super-NaturalInstructions ------------------------------------------------------------------------------


class _Tasks:
    """What the reader kept of tasks in `meta`: the fields `about` and `input` of its rows, where rows have them.

    Rows of one task share its `about`, which is parsed, translated and written once.
    """

    INPUT, SPARE = "input", "about"  # slots: an instance's input (of a row); the texts of an `about` (of that `about`)

    def __init__(self, rows: pa.Table):
        self.metas = rows.column("meta").combine_chunks()
        self.messages = rows.column("messages").combine_chunks()
        self.kept: dict[int, dict[str, Any]] = {}  # row -> what its meta keeps beside `about`
        self.about: dict[int, int] = {}  # row -> place of its `about`
        self.abouts: list[dict[str, Any]] = []
        known: dict[bytes, int] = {}
        has = pc.fill_null(pc.match_substring(self.metas, '"about":'), False).to_numpy(zero_copy_only=False)
        for place in np.flatnonzero(has).tolist():
            kept = _task(self.metas[place].as_py())
            if kept is None:
                continue
            about = kept.pop("about")
            key = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).digest()
            self.about[place] = known.setdefault(key, len(known))
            self.kept[place] = kept
            if len(self.abouts) < len(known):
                self.abouts.append(about)

    def slots(self) -> dict[str, tuple[pa.Array, np.ndarray]]:
        if not self.kept:
            return {}
        inputs = pa.array([kept["input"] for kept in self.kept.values()], pa.string())
        texts = [list(_texts_of(about)) for about in self.abouts]
        owners = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
        flat = pa.array([text for some in texts for text in some], pa.string())
        return {self.INPUT: (inputs, np.array(list(self.kept))), self.SPARE: (flat, owners)}

    def abouts_of(self, alive: np.ndarray) -> set[int]:
        """The abouts of rows that are alive."""
        return {about for place, about in self.about.items() if alive[place]}

    def other_language(self, count: int) -> list[str | None]:
        """Of each row why it is no English one, as its task says; None where it says nothing."""
        told = [_other_language(about) for about in self.abouts]
        return [told[self.about[place]] if place in self.about else None for place in range(count)]

    def put_back(
        self, messages: pa.Array, inputs: Sequence[str], texts: Sequence[str | None], alive: np.ndarray
    ) -> dict[str, Any]:
        """The columns messages and meta of the rows that are alive; `texts` are those of all abouts, None where lost.

        A prompt that stands as the reader made it is put together anew, with labels in Arabic, unless it would lose
        something: then its turns are those that were translated.
        """
        spare = iter(texts)
        made = [_translated_about(about, spare) for about in self.abouts]
        encoded = [json.dumps(about, ensure_ascii=False, separators=(",", ":")) for about in made]
        turns = messages.to_pylist()
        metas = self.metas.filter(pa.array(alive, pa.bool_())).to_pylist()
        rank = np.cumsum(alive) - 1
        places = [place for place in self.kept if alive[place]]
        for place, text in zip(places, inputs, strict=True):
            kept, about, number = self.kept[place], self.about[place], int(rank[place])
            how = kept.get("examples", 0), kept.get("examples_as", "turns")
            before, after = (self.abouts[about], kept["input"]), (made[about], text)
            if prompt(*before, *how) == self.messages[place].as_py() and _shows(*before, how[0]) == _shows(
                *after, how[0]
            ):
                turns[number] = prompt(*after, *how)
            rest = json.dumps({**kept, "input": text}, ensure_ascii=False, separators=(",", ":"))
            metas[number] = f'{rest[:-1]},"about":{encoded[about]}}}'
        return {"messages": turns, "meta": metas}


def _shows(about: Mapping[str, Any], text: str, examples: int) -> tuple[bool, int]:
    """Whether a prompt of the task has a definition, and how many examples."""
    return bool(first_text(about, "Definition")), len(examples_shown(about, text, examples))


def _task(meta: str) -> dict[str, Any] | None:
    """What the reader of tasks keeps in `meta`; None for any other JSON that happens to have an `about`."""
    try:
        kept = json.loads(meta)
    except (ValueError, RecursionError):
        return None
    about = kept.get("about") if isinstance(kept, dict) else None
    return kept if isinstance(about, dict) and isinstance(kept.get("input"), str) and not faults_of(about) else None


def _other_language(about: Mapping[str, Any]) -> str | None:
    for name in LANGUAGES:
        said = texts_of(about, name)
        if said and "English" not in said:
            return f"language: {name} {', '.join(said)}, not English"
    return None


def _texts_of(about: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a task that people read, in a fixed order."""
    yield from texts_of(about, "Definition")
    for name in EXAMPLES:
        for one in about.get(name) or []:
            yield from _of_example(one)


def _of_example(one: Mapping[str, Any]) -> Iterator[str]:
    yield one["input"]
    yield from texts_of(one, "output")
    if isinstance(one.get("explanation"), str):
        yield one["explanation"]


LANGUAGES = ("Input_language", "Output_language", "Instruction_language")


def _translated_about(about: Mapping[str, Any], texts: Iterator[str | None]) -> dict[str, Any]:
    """The task with its texts replaced in the order of `_texts_of`; None for one that failed: its example goes."""
    definition = [text for text in [next(texts) for _ in texts_of(about, "Definition")] if text is not None]
    plain = isinstance(about.get("Definition"), str)
    made: dict[str, Any] = {**about, "Definition": "".join(definition) if plain else definition}
    for name in EXAMPLES:
        found = []
        for one in about.get(name) or []:
            asked, *rest = [next(texts) for _ in _of_example(one)]
            answers = rest[: len(texts_of(one, "output"))]
            why = {"explanation": rest[-1] or ""} if len(rest) > len(answers) else {}
            if asked is not None and None not in answers:
                output = answers[0] if isinstance(one["output"], str) else answers
                found.append({**one, "input": asked, "output": output, **why})
        made[name] = found
    for name in LANGUAGES:  # also where the task is silent: the labels around examples follow the instruction's
        made[name] = "Arabic" if isinstance(about.get(name), str) else ["Arabic"]
    return made
