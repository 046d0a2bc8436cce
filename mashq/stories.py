"""Story prompts from twelve slots in several varieties of Arabic: drawn, written, and read back.

The slots, their probabilities and the released sentences are those of AraStories (arXiv 2407.07551, repository
UBC-NLP/arastories); the wordings of our own prompts are ours. Everything a linguist would edit is in `data/stories/`:
`slots.yaml` holds values and contradictions, `<variety>.yaml` the sentences and the marker words of a variety. Whether
a story obeys its prompt is the business of `mashq.story_checks`.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mashq import rows
from mashq.packaged import parsed
from mashq.rows import MashqError, nearest
from mashq.word_patterns import fold, word_pattern

__all__ = [
    "DATA",
    "RELEASED",
    "SLOT_NAMES",
    "Slots",
    "asked_of",
    "contradictions",
    "draw",
    "group",
    "list_lines",
    "openings_of",
    "parse_prompt",
    "probability",
    "prompt",
    "prompts",
    "released",
    "said_to_writers",
    "text_of",
    "values_of",
    "varieties",
    "variety_name",
]

DATA = Path(__file__).parent / "data" / "stories"
RELEASED = ("msa", "egyptian", "moroccan")  # the varieties of the released stories
SLOT_NAMES = (  # in the order of the released prompts
    *("age", "place", "ending", "dialogue", "characters", "moral"),
    *("topic", "country", "season", "activity", "emotion", "twist"),
)
ALWAYS = ("age", "ending", "characters", "country")
# Sentences that say something else than a slot.
EXTRA = ("variety", "closing", "heading")
# What stands before a verb in the present; ب, ك and ه before it again are prefixes of any word.
PERSONS = [tense + person for tense in ("", "س", "كا", "ح") for person in "يتنا"]
LIST_SHARE = 0.25  # of our prompts are written as a list of slots, not as sentences


@dataclass(frozen=True)
class Slots:
    """What a story prompt asks for. Values are keys of `slots.yaml`; a value it does not know is its own text."""

    variety: str
    age: str
    ending: str
    characters: str
    country: str
    dialogue: bool = False
    place: str | None = None
    moral: str | None = None
    topic: str | None = None
    season: str | None = None
    activity: str | None = None
    emotion: str | None = None
    twist: str | None = None

    def values(self) -> dict[str, str]:
        """The slots that are asked for, in the order of the released prompts; dialogue is `yes`."""
        asked: dict[str, str] = {}
        for name in SLOT_NAMES:
            value = getattr(self, name)
            if value is True:
                asked[name] = "yes"
            elif value:
                asked[name] = value
        return asked


# --- the data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Language:
    """One variety: its sentences, ours and the released ones, and the words that mark it."""

    name: str
    sentences: Mapping[str, tuple[str, ...]]  # of a slot, or of EXTRA: the wordings of our prompts
    lines: Mapping[str, tuple[str, ...]]  # the same for prompts written as a list
    patterns: Mapping[str, re.Pattern[str]]  # of a slot: every wording, ours and released, with group `value`
    markers: re.Pattern[str]
    openings: tuple[str, ...]  # how a story may begin; {} is the country
    said: Mapping[str, str]  # what a writer is told besides: mend, length, avoid


@functools.cache
def varieties() -> tuple[str, ...]:
    """The varieties that stories can be asked for: those of the released stories, then the others by name."""
    names = sorted(path.stem for path in DATA.glob("*.yaml") if path.stem != "slots")
    return (*RELEASED, *(name for name in names if name not in RELEASED))


def _read(name: str) -> Any:
    return parsed(f"stories/{name}")


@functools.cache
def _language(variety: str) -> _Language:
    if variety not in varieties():
        known = ", ".join(varieties())
        raise MashqError(f"stories: no variety '{variety}' (there are {known}).{nearest(variety, varieties())}")
    data = _read(variety)
    lines = {name: tuple(_several(value)) for name, value in data["list"].items()}
    sentences = {name: tuple(_several(value)) for name, value in data["sentences"].items()}
    wordings: dict[str, list[str]] = collections.defaultdict(list)
    published = {name: (value,) for name, value in data.get("released", {}).items()}
    for part in (sentences, lines, published):
        for name, texts in part.items():
            wordings[name].extend(texts)
    patterns = {name: re.compile("|".join(_pattern(text) for text in texts)) for name, texts in wordings.items()}
    markers = word_pattern(data["markers"], prefixes=False)
    said = {name: data[name] for name in ("mend", "length", "avoid")}
    return _Language(data["name"], sentences, lines, patterns, markers, tuple(data["opening"]), said)


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _pattern(wording: str) -> str:
    """A wording with `{}` -> a regular expression with one group, over the cleaned and folded sentence."""
    before, _, after = _clean(wording).partition("{}")
    return f"(?:{re.escape(before)}(.+){re.escape(after)})" if "{}" in wording else re.escape(before)


@dataclass(frozen=True)
class _Table:
    """The slots' values: their texts by variety, their keys by text, and the words that show them."""

    probability: Mapping[str, float]
    order: tuple[str, ...]
    contradictions: tuple[Mapping[str, Sequence[str]], ...]
    texts: Mapping[str, Mapping[str, Mapping[str, str]]]  # slot -> key -> variety -> text
    keys: Mapping[tuple[str, str], Mapping[str, str]]  # (slot, variety, or "" for any) -> folded text -> key
    words: Mapping[tuple[str, str], re.Pattern[str]]  # (slot, key) -> what shows that a story obeys
    introduces: re.Pattern[str]
    people: re.Pattern[str]
    numbers: Mapping[str, int]


@functools.cache
def _table() -> _Table:
    data = _read("slots")
    texts: dict[str, dict[str, dict[str, str]]] = {}
    keys: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    words: dict[tuple[str, str], re.Pattern[str]] = {}
    for slot, values in data["values"].items():
        texts[slot] = {}
        for key, value in values.items():
            entry = {"msa": value} if isinstance(value, str) else value
            texts[slot][key] = {variety: _text(entry, slot, key, variety) for variety in varieties()}
            for text in entry.get("released", ()):
                keys[slot, ""].setdefault(fold(text), key)
            for variety, text in texts[slot][key].items():
                keys[slot, variety][fold(text)] = key
                keys[slot, ""].setdefault(fold(text), key)
            if "words" in entry:
                words[slot, key] = word_pattern([*entry["words"], *_persons(entry.get("verbs", ()))])
    return _Table(
        probability=data["probability"],
        order=tuple(data["order"]),
        contradictions=tuple(data["contradictions"]),
        texts=texts,
        keys=dict(keys),
        words=words,
        introduces=re.compile(rf"(?<!\w)[وفك]?(?:{'|'.join(map(fold, data['introduces']))})[\s\"«:]+(\w+)"),
        people=_counted(data["numbers"], data["people"]),
        numbers={fold(word): int(n) for n, forms in data["numbers"].items() for word in forms},
    )


def _persons(verbs: Sequence[str]) -> list[str]:
    """Verbs without a person's letter -> their forms in the present: يحزن, كيحزن, سيحزن; with any ending."""
    return [f"{before}{verb}*" for verb in verbs for before in PERSONS]


def _text(entry: Mapping[str, Any], slot: str, key: str, variety: str) -> str:
    """A value's text: of `slots.yaml`, else of the variety's own file, else as the standard says it."""
    own = _read(variety).get("values", {}).get(slot, {})
    return str(entry.get(variety) or own.get(key) or entry["msa"])


def _counted(numbers: Mapping[int, Sequence[str]], people: Sequence[str]) -> re.Pattern[str]:
    """`three friends` and the like, the number as group 1."""
    forms = "|".join(fold(word) for words in numbers.values() for word in words)
    who = "|".join(map(fold, people))
    return re.compile(rf"(?<!\w)[وفب]?({forms})\s+(?:ديال\s+|د\s+)?(?:ال)?(?:{who})(?!\w)")


def text_of(slot: str, key: str, variety: str) -> str:
    """A slot's value as a prompt in that variety says it; a key that `slots.yaml` does not know is its own text."""
    _language(variety)
    return _table().texts.get(slot, {}).get(key, {}).get(variety, key)


def values_of(slot: str) -> tuple[str, ...]:
    """The keys that a slot can be drawn with; of dialogue, `yes`."""
    return ("yes",) if slot == "dialogue" else tuple(_table().texts[slot])


def probability(slot: str) -> float:
    """How likely a prompt asks for the slot."""
    return _table().probability[slot]


def variety_name(variety: str) -> str:
    """What the variety is called in Arabic."""
    return _language(variety).name


def openings_of(slots: Slots) -> tuple[str, ...]:
    """How a story of these slots may begin, in its variety: what a model without a chat template goes on from."""
    country = text_of("country", slots.country, slots.variety)
    return tuple(opening.replace("{}", country) for opening in _language(slots.variety).openings)


def said_to_writers(variety: str) -> Mapping[str, str]:
    """What a writer is told besides its prompt: `mend`, `length` (two numbers) and `avoid` (openings)."""
    return _language(variety).said


def list_lines(slots: Slots, names: Sequence[str]) -> list[str]:
    """Some slots (or "variety") as lines of a list, in the order of the names; what is not asked for is left out."""
    asked, lines = slots.values(), _language(slots.variety).lines
    return [
        lines[name][0].replace("{}", text_of(name, asked.get(name, ""), slots.variety))
        for name in names
        if name in asked or name == "variety"
    ]


# --- drawing ---------------------------------------------------------------------------------------------------------


def draw(n: int, variety: str, seed: int) -> list[Slots]:
    """n different sets of slots; the first of them do not depend on n.

    An optional slot is present with its probability, whatever the others hold; a value is drawn evenly from those that
    contradict nothing drawn before it. So one character is rarer than in the released data, where it meets dialogue,
    and so is space, which has no season: where one is asked for, the place is drawn again.
    Raises MashqError where n different sets cannot be found.
    """
    _language(variety)
    digest = hashlib.blake2b(f"stories/{variety}/{seed}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    found: dict[Slots, None] = {}
    fruitless = 0
    while len(found) < n:
        before = len(found)
        found[_draw_one(random, variety)] = None
        fruitless = fruitless + 1 if len(found) == before else 0
        if fruitless > 1000:
            raise MashqError(f"stories: only {len(found)} different prompts found, {n} asked for. Ask for fewer.")
    return list(found)


def _draw_one(random: np.random.Generator, variety: str) -> Slots:
    table = _table()
    # Dialogue first: its presence is a coin, and the others bend to it.
    order = ("dialogue", "ending", *(name for name in table.order if name not in ("dialogue", "ending")))
    chosen: dict[str, str] = {}
    for name in order:
        if random.random() >= table.probability[name]:
            continue
        allowed = _allowed(chosen, name)
        if not allowed:
            _make_room(random, chosen, name)
            allowed = _allowed(chosen, name)
        if allowed:
            chosen[name] = allowed[random.integers(len(allowed))]
    return _slots(variety, chosen)


def _allowed(chosen: Mapping[str, str], name: str) -> list[str]:
    """The values of a slot that contradict nothing chosen."""
    rules = _rules_of(name)
    barred: set[str] = set()
    for values, others in rules:
        if all(chosen.get(slot) in held for slot, held in others.items()):
            barred.update(values)
    return [value for value in values_of(name) if value not in barred]


@functools.cache
def _rules_of(name: str) -> tuple[tuple[Sequence[str], Mapping[str, Sequence[str]]], ...]:
    """The contradictions that a slot is part of: its values, and those of the other slots."""
    return tuple(
        (rule[name], {slot: held for slot, held in rule.items() if slot != name})
        for rule in contradictions()
        if name in rule
    )


def _make_room(random: np.random.Generator, chosen: dict[str, str], name: str) -> None:
    """Draw a chosen optional slot again so that `name`, which no value fits, has one: in space there is no season."""
    aside = random.spawn(1)[0]  # the draws that follow stay what they are
    for other in [slot for slot in chosen if _table().probability[slot] < 1 and slot != "dialogue"]:
        rest = {slot: value for slot, value in chosen.items() if slot != other}
        fitting = [value for value in _allowed(rest, other) if _allowed({**rest, other: value}, name)]
        if fitting:
            chosen[other] = fitting[aside.integers(len(fitting))]
            return


def contradictions() -> tuple[Mapping[str, Sequence[str]], ...]:
    """What never meets in one prompt: each rule names slots and their values that are not drawn together."""
    return _table().contradictions


def _slots(variety: str, chosen: Mapping[str, str]) -> Slots:
    values: dict[str, Any] = {**chosen, "dialogue": "dialogue" in chosen}
    return Slots(variety=variety, **values)


def group(slots: Slots) -> str:
    """The key of a split: rows that ask for the same story share it, whatever the variety and the wording."""
    return "story/" + "/".join(f"{name}={value}" for name, value in slots.values().items())


# --- writing and reading prompts -------------------------------------------------------------------------------------


def prompt(slots: Slots, wording: int = 0) -> str:
    """The prompt of these slots in their variety; `wording` picks another one. `parse_prompt` reads it back."""
    language = _language(slots.variety)
    digest = hashlib.blake2b(f"{slots.variety}/{group(slots)}/{wording}".encode(), digest_size=8).digest()
    random = np.random.default_rng(int.from_bytes(digest, "little"))
    as_list = random.random() < LIST_SHARE
    wordings = language.lines if as_list else language.sentences
    asked = slots.values()

    def say(name: str) -> str:
        texts = wordings[name]
        value = text_of(name, asked[name], slots.variety) if name in asked else ""
        return texts[random.integers(len(texts))].replace("{}", value)

    said = [say(name) for name in _table().order if name in asked]
    # Modern Standard Arabic goes without saying in most prompts.
    if slots.variety != "msa" or random.random() < 0.25:
        said.append(say("variety"))
    if as_list:
        return say("heading") + "\n" + "\n".join(f"- {line}" for line in said)
    if random.random() < 0.5:
        said.append(say("closing"))
    return " ".join(f"{sentence}." for sentence in said)


def _clean(sentence: str) -> str:
    """One sentence or line without bullets, stray colons and spaces, folded."""
    return fold(sentence).strip(" :-•*").strip()


def parse_prompt(text: str, variety: str | None = None) -> Slots:
    """A prompt, ours or a released one -> its slots. The variety is the one whose sentences it is made of.

    Raises MashqError for a sentence that no variety has, and where one of the four constant slots is absent.
    """
    sentences = [cleaned for part in re.split(r"[.\n]", text) if (cleaned := _clean(part))]
    closest: list[str] = sentences or ["(empty)"]
    for name in [variety] if variety else varieties():
        values, unread = _read_sentences(sentences, name)
        if not unread and all(slot in values for slot in ALWAYS):
            return _slots(name, values)
        missing = [f"no sentence for the slot '{slot}'" for slot in ALWAYS if slot not in values]
        closest = min(closest, unread + missing, key=len)
    raise MashqError(
        f"story prompt: expected sentences of {' or '.join([variety] if variety else varieties())} as in "
        f"data/stories/*.yaml, got {closest[0]!r}. Add its wording under `released` of the variety's file."
    )


def _read_sentences(sentences: Sequence[str], variety: str) -> tuple[dict[str, str], list[str]]:
    """Cleaned sentences -> values by slot, and the sentences that this variety does not have."""
    values: dict[str, str] = {}
    unread: list[str] = []
    for sentence in sentences:
        name, value = _read_sentence(sentence, variety)
        if not name or name in values:
            unread.append(sentence)
        elif name not in EXTRA:
            values[name] = value
    return values, unread


def _read_sentence(sentence: str, variety: str) -> tuple[str, str]:
    """A cleaned sentence -> (slot or extra, key or text); known values are tried before unknown ones."""
    unknown = ("", "")
    for name, pattern in _language(variety).patterns.items():
        match = pattern.fullmatch(sentence)
        if not match:
            continue
        if name in EXTRA or name == "dialogue":
            return name, "yes"
        text = next(value for value in match.groups() if value is not None).strip()
        key = _key(name, text, variety)
        if key is not None:
            return name, key
        unknown = (name, text)
    return unknown


def _key(slot: str, text: str, variety: str) -> str | None:
    """The key of a value's folded text: as this variety says it, else as any does."""
    keys = _table().keys
    return keys.get((slot, variety), {}).get(text) or keys.get((slot, ""), {}).get(text)


# --- tables ----------------------------------------------------------------------------------------------------------


def prompts(n: int, variety: str, seed: int, *, wording: int = 0) -> pa.Table:
    """n prompt rows without targets: the user's turn, the slots as JSON in `meta`, the group of the split."""
    drawn = draw(n, variety, seed)
    keys = [f"{variety}/{group(slots)}/{wording}" for slots in drawn]
    return rows.conform(
        {
            "id": rows.source_ids("stories", "1", keys),
            "source": "stories",
            "licence": "Apache-2.0",
            "group": [group(slots) for slots in drawn],
            "task": "story",
            "template": f"stories/{variety}",
            "variety": variety,
            "messages": [[{"role": "user", "content": prompt(slots, wording)}] for slots in drawn],
            "references": pa.array([[]] * n, pa.list_(pa.string())),
            "meta": [json.dumps(asked_of(slots), ensure_ascii=False) for slots in drawn],
        },
        "stories",
    )


def asked_of(slots: Slots) -> dict[str, Any]:
    """Slots as a JSON object without the absent ones; `Slots(**asked_of(slots)) == slots`."""
    return {name: value for name, value in dataclasses.asdict(slots).items() if value is not None}


def released(
    raw: pa.Table, *, rewrite: bool = False, prompt_field: str = "Prompt", story_field: str = "Story"
) -> pa.Table:
    """Raw rows of AraStories (fields as JSON in `meta`) -> prompt rows with the story as target.

    The prompt stays as released, or is written afresh from its slots with `rewrite`. A row whose prompt does not parse,
    or that has no story, is kept as a dropped row.
    """
    made = [_released_row(meta, prompt_field, story_field, rewrite) for meta in raw.column("meta").to_pylist()]
    before = raw.column("dropped").to_pylist()
    return rows.conform(
        {
            "id": rows.child_ids(raw.column("id"), step="stories", template=f"rewrite={rewrite}"),
            "parents": [[id_] for id_ in raw.column("id").to_pylist()],
            "source": raw.column("source"),
            "licence": raw.column("licence"),
            "split": raw.column("split"),
            "task": "story",
            **{name: [row.get(name) for row in made] for name in RELEASED_COLUMNS},
            "dropped": [old or row.get("dropped") for old, row in zip(before, made, strict=True)],
        },
        "stories",
    )


RELEASED_COLUMNS = ("group", "template", "variety", "messages", "references", "meta")


def _released_row(meta: str | None, prompt_field: str, story_field: str, rewrite: bool) -> dict[str, Any]:
    record = json.loads(meta or "{}")
    asked, story = record.get(prompt_field) or "", (record.get(story_field) or "").strip()
    try:
        slots = parse_prompt(asked)
    except MashqError as error:
        return {"dropped": str(error)}
    return {
        "group": group(slots),
        "template": f"stories/{slots.variety}" if rewrite else f"arastories/{slots.variety}",
        "variety": slots.variety,
        "messages": [{"role": "user", "content": prompt(slots) if rewrite else asked}],
        "references": [story] if story else [],
        "meta": json.dumps(asked_of(slots), ensure_ascii=False),
        "dropped": None if story else f"no story: field '{story_field}' is empty",
    }
