"""Topics x countries -> what is asked of a model -> conversations of several turns, read and checked.

Structured prompting after "Fine-Tuning Arabic Large Language Models for improved multi-turn dialogue" (PLoS ONE 21(2)
e0341905): 43,316 conversations over 93 topics x 151 countries. Its topics, countries, prompts and rules are not public;
those here are ours and stand in `data/dialogues/`: `topics.yaml`, `countries.yaml`, `personas.yaml`, `prompts.yaml`,
`varieties.yaml`, and for reading `replies.yaml`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashq.conversation import LAYOUTS, Turns, read_turns
from mashq.conversation_checks import Expected, Limits, faults, varieties
from mashq.lm import Messages
from mashq.packaged import parsed
from mashq.rows import MashqError, expected_got, nearest
from mashq.settings import check_limits
from mashq.sources import cldr
from mashq.synthesis import Draft, Wanted
from mashq.word_patterns import folded_lower, word_pattern

__all__ = [
    "PARTS",
    "Conversations",
    "Country",
    "Grid",
    "Persona",
    "Plan",
    "Topic",
    "countries",
    "default_countries",
    "grid",
    "part_of",
    "personas",
    "topics",
    "varieties",
]

DATA = Path(__file__).parent / "data" / "dialogues"
VERSION = 1  # raise it when what is asked or kept changes otherwise than by the data files
ADULT = 18  # years


# --- the data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Topic:
    """What conversations of a cell are about."""

    key: str
    field: str
    name: str  # Arabic, can stand after "عن"
    hints: tuple[str, ...]
    words: tuple[str, ...]
    pattern: re.Pattern[str]  # finds its words in folded text
    caution: str  # name of a line of prompts.yaml, or ""
    adults: bool  # the user is of age


@dataclass(frozen=True)
class Country:
    """Where conversations of a cell take place."""

    code: str  # ISO 3166-1
    name: str  # Arabic, of CLDR
    pattern: re.Pattern[str]  # finds its name, people and cities in folded text


@dataclass(frozen=True)
class Persona:
    """Who asks."""

    key: str
    age: int  # years
    who: str
    moods: tuple[str, ...]


@functools.cache
def topics() -> Mapping[str, Topic]:
    """All topics by key, in the order of the file."""
    found: dict[str, Topic] = {}
    for name, entry in parsed("dialogues/topics").items():
        for key, topic in entry["topics"].items():
            found[key] = Topic(
                key=key,
                field=name,
                name=topic["ar"],
                hints=tuple(topic["hints"]),
                words=tuple(topic["words"]),
                pattern=word_pattern(topic["words"]),
                caution=topic.get("caution", entry.get("caution", "")),
                adults=topic.get("adults", False),
            )
    return found


@functools.cache
def countries() -> Mapping[str, Country]:
    """The 195 member and observer states of the United Nations by code, sorted."""
    data = parsed("dialogues/countries")
    found = {}
    for fact in cldr.facts(["country"]):
        code, name = str(fact.code), str(fact.country)
        words = data["words"].get(code, [])
        names = [] if code in data["name_unclear"] else [name.removeprefix("ال")]
        found[code] = Country(code, name, word_pattern([*names, *words]))
    return found


@functools.cache
def default_countries() -> tuple[str, ...]:
    """The 151 countries of the grid: `countries.yaml` states the rule."""
    return tuple(code for code in countries() if code not in parsed("dialogues/countries")["smaller"])


@functools.cache
def personas() -> tuple[Persona, ...]:
    """All personas, in the order of the file."""
    return tuple(
        Persona(entry["key"], entry["age"], entry["who"], tuple(entry["mood"]))
        for entry in parsed("dialogues/personas")
    )


# --- the grid --------------------------------------------------------------------------------------------------------

PARTS = ("train", "test-topic", "test-country", "test-cell")


@dataclass(frozen=True)
class Grid:
    """How many conversations are wanted, and of which cells. The defaults are the paper's size."""

    n: int = 43_316  # conversations
    topics: tuple[str, ...] = ()  # keys of topics.yaml; empty: all 93
    countries: tuple[str, ...] = ()  # ISO 3166-1 codes; empty: the 151 of countries.yaml
    variety: str = "msa"  # of data/dialogues/varieties.yaml
    seed: int = 0  # decides which cells get one more, and what is held out
    test_topics: float = 0.1  # share of the topics held out whole
    test_countries: float = 0.1  # share of the countries held out whole
    test_cells: float = 0.05  # share held out of the cells whose topic and country are both seen

    def __post_init__(self) -> None:
        for name in ("topics", "countries"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        shares = ("test_topics", "test_countries", "test_cells")
        limits = {name: (0 <= getattr(self, name) < 1, "at least 0 and below 1") for name in shares}
        check_limits("dialogues", self, {"n": (self.n >= 1, "1 or more"), **limits})
        _known("topic", self.topics, topics())
        _known("country", self.countries, countries())
        _known("variety", [self.variety], varieties())


def _known(what: str, names: Sequence[str], known: Any) -> None:
    for name in names:
        if name not in known:
            raise MashqError(f"dialogues: there is no {what} '{name}' ({_some(list(known))}).{nearest(name, known)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise MashqError(expected_got(f"dialogues: {what}", "each once", f"'{twice}' twice"))


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) < 12 else [*names[:10], f"... {len(names)} in all"])


def _number(*names: object) -> int:
    """Names -> 64 bits, the same on every machine."""
    said = json.dumps([str(name) for name in names], ensure_ascii=False).encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "little")


def _numbers(name: str) -> list[int]:
    """Seven times 64 bits of one name."""
    digest = hashlib.blake2b(name.encode(), digest_size=56).digest()
    return [int.from_bytes(digest[place : place + 8], "little") for place in range(0, 56, 8)]


def _shuffled(kind: str, names: Sequence[str], seed: int) -> list[str]:
    """Names in an order that seed and names alone decide; `names` in another order give the same."""
    return sorted(names, key=lambda name: (_number(kind, seed, name), name))


def _axes(settings: Grid) -> tuple[list[str], list[str]]:
    rows = _shuffled("topic", settings.topics or tuple(topics()), settings.seed)
    return rows, _shuffled("country", settings.countries or default_countries(), settings.seed)


def grid(settings: Grid) -> list[Wanted]:
    """n conversations over all cells topic/COUNTRY, as even as n allows; the first of them do not depend on n.

    Each of the T x C cells gets n // TC conversations, and n % TC of them one more (the paper's numbers: 43,316 over
    14,043 cells are 3 each and 1,187 with a fourth). Cells are visited along diagonals, so that after any number of
    conversations every topic has as many as any other, or one more, and so has every country; the seed decides the
    order on both axes. The group of a conversation is its cell.
    """
    rows, columns = _axes(settings)
    lines, width = len(rows), len(columns)
    block = math.lcm(lines, width)  # after as many steps the diagonal would close: it goes on one column further
    steps = range(min(settings.n, lines * width))
    cells = [(rows[step % lines], columns[(step + step // block) % width]) for step in steps]
    return [_wanted(*cells[place % len(cells)], place // len(cells), settings.variety) for place in range(settings.n)]


def _wanted(topic: str, country: str, number: int, variety: str) -> Wanted:
    cell = f"{topic}/{country}"
    return Wanted(
        key=f"dialogue/{variety}/{cell}/{number}",
        about={"topic": topic, "country": country},
        cell=cell,
        group=f"dialogue/{cell}",
        variety=variety,
    )


@functools.lru_cache(maxsize=16)
def _held_out(settings: Grid) -> tuple[frozenset[str], frozenset[str]]:
    """The held-out topics and countries: exactly their share, rounded half up."""
    rows, columns = _axes(dataclasses.replace(settings, seed=settings.seed + 1))  # not the order of the quotas
    return (
        frozenset(rows[: math.floor(len(rows) * settings.test_topics + 0.5)]),
        frozenset(columns[: math.floor(len(columns) * settings.test_countries + 0.5)]),
    )


def part_of(cell: str, settings: Grid) -> str:
    """Which of PARTS a cell "topic/COUNTRY" belongs to.

    test-topic: its topic is held out in every country, whether the country is or not. test-country: its country is held
    out, its topic is not. test-cell: both are seen in train, but not together. Topics and countries are held out by
    exactly their shares, cells each with its probability; the seed and the names decide. Raises MashqError for a cell
    that is not in the grid.
    """
    topic, _, country = cell.partition("/")
    _known("topic", [topic], settings.topics or topics())
    _known("country", [country], settings.countries or countries())
    test_topics, test_countries = _held_out(settings)
    if topic in test_topics:
        return "test-topic"
    if country in test_countries:
        return "test-country"
    return "test-cell" if _number("cell", settings.seed, cell) < settings.test_cells * 2**64 else "train"


# --- what is asked ---------------------------------------------------------------------------------------------------

STYLES = ("messages", "completion")
# What each frame may be asked for: a model from before JSON was common is not asked for it, the example has one layout.
FRAME_LAYOUTS = {
    "": ("labelled", "numbered", "json"),
    "jais-13b": ("labelled", "numbered", "marks"),
    "jais-family": ("labelled", "numbered", "marks"),
    "example": ("labelled",),
}
FRAMES = tuple(name for name in FRAME_LAYOUTS if name)
MOST_AVOIDED = 8  # openings that a prompt asks to avoid, the first: the most frequent
# Attempts move through the personas by a step without a common factor with their number, so that all come up.
PERSONA_STEP = 7


@dataclass(frozen=True)
class Plan:
    """All that one prompt asks for, decided by the key and the attempt alone."""

    topic: str
    country: str
    variety: str
    hint: str
    persona: str  # its key
    mood: str
    exchanges: int
    register: str
    wording: str
    layout: str


class Conversations:
    """The writer of conversations: `mashq.synthesis.Writer`.

    style: "messages" for chat models, "completion" for models that go on from a text. frame, for completions: "example"
    (base models: one conversation, then the head of the next), "jais-13b" or "jais-family" (their own prompt formats).
    layouts: some of `conversation.LAYOUTS`, drawn evenly; empty: those that suit the frame. exchanges: numbers drawn
    evenly; empty: the distribution of prompts.yaml. limits: what is kept.

    Raises MashqError for an unknown style, frame or layout, and for more exchanges than prompts.yaml has words for.
    """

    def __init__(
        self,
        *,
        style: str = "messages",
        frame: str = "",
        layouts: Sequence[str] = (),
        exchanges: Sequence[int] = (),
        limits: Limits | None = None,
    ):
        if style not in STYLES:
            raise MashqError(
                expected_got("dialogues: style", " or ".join(STYLES), f"'{style}'", nearest(style, STYLES))
            )
        frame = frame or ("example" if style == "completion" else "")
        if frame and (style == "messages" or frame not in FRAMES):
            where = "style 'completion' and " if style == "messages" else ""
            raise MashqError(expected_got("dialogues: frame", f"{where}one of {', '.join(FRAMES)}", f"'{frame}'"))
        _known("layout", layouts, LAYOUTS)
        if frame == "example" and set(layouts) - {"labelled"}:
            raise MashqError(
                "dialogues: the frame 'example' shows one labelled conversation: its layout is 'labelled'."
            )
        for number in exchanges:
            if number not in parsed("dialogues/prompts")["counts"]:
                raise MashqError(expected_got("dialogues: exchanges", "1 to 10", str(number)))
        self.name = "dialogue"
        self.style = style
        self.frame = frame
        self.layouts = tuple(layouts) or FRAME_LAYOUTS[frame]
        self.exchanges = tuple(exchanges)
        self.limits = limits or Limits()
        self.mends = style == "messages"  # a model that goes on from a text is not told what was wrong
        self.identity = self._identity()

    def _identity(self) -> str:
        files = sorted(DATA.glob("*.yaml"))
        settings = [VERSION, self.style, self.frame, self.layouts, self.exchanges, dataclasses.astuple(self.limits)]
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=8)
        for file in files:
            digest.update(file.read_bytes())
        digest.update(cldr.version().encode())  # the countries' names
        return f"dialogue:{digest.hexdigest()}"

    def plan(self, wanted: Wanted, attempt: int) -> Plan:
        """What is asked for at an attempt. Every further attempt takes another persona, wording, hint and layout."""
        topic, country = _about(wanted)
        prompts = parsed("dialogues/prompts")
        start = _numbers(wanted.key)
        able = [persona for persona in personas() if persona.age >= ADULT or not topic.adults]
        persona = able[(start[0] + attempt * PERSONA_STEP) % len(able)]
        wording = prompts["wordings"][(start[1] + attempt) % len(prompts["wordings"])]
        even = {number: 1 / len(self.exchanges) for number in self.exchanges}
        registers = {name: entry["share"] for name, entry in prompts["registers"].items()}
        return Plan(
            topic=topic.key,
            country=country.code,
            variety=wanted.variety or "msa",
            hint=topic.hints[(start[2] + attempt) % len(topic.hints)],
            persona=persona.key,
            mood=persona.moods[(start[3] + attempt) % len(persona.moods)],
            exchanges=int(_drawn(even or prompts["exchanges"], start[4], attempt)),
            register=str(_drawn(registers, start[5], 0)),
            wording=wording["key"],
            layout=self.layouts[(start[6] + attempt) % len(self.layouts)],
        )

    def ask(self, wanted: Wanted, attempt: int, avoid: Sequence[str]) -> Messages | str:
        """The messages, or the text to go on from. A base model that follows an example is not told what to avoid."""
        return self._prompt(self.plan(wanted, attempt), avoid)

    def _prompt(self, plan: Plan, avoid: Sequence[str]) -> Messages | str:
        if self.frame == "example":
            example = parsed("dialogues/prompts")["examples"][plan.variety]
            return _filled(parsed("dialogues/prompts")["frames"]["example"], {**_values(plan), "example": example})
        wording = _wordings()[plan.wording]
        user = _filled(wording["user"], {**_values(plan), "avoid": _avoid(avoid)})
        if self.frame:
            request = f"{wording['system']}\n{user}" if "system" in wording else user
            return _filled(parsed("dialogues/prompts")["frames"][self.frame], {"request": request})
        system = (("system", wording["system"]),) if "system" in wording else ()
        return (*system, ("user", user))

    def read(self, wanted: Wanted, attempt: int, reply: str) -> Draft:
        """The conversation in a reply with the first of its faults, or the reason why none can be read."""
        plan = self.plan(wanted, attempt)
        completion = self.frame == "example"
        turns = read_turns(reply, starts="user" if completion else "", most=2 * plan.exchanges if completion else None)
        if isinstance(turns, str):
            near = len(reply.split()) >= self.limits.least_words and turns.startswith(("no turns", "JSON"))
            return Draft(reason=turns, mend=self._mend(plan, ["layout"]) if near else None)
        found = faults(turns, self._expected(plan), self.limits)
        failed = [name for name, reason in found.items() if reason]
        return Draft(
            fields={"messages": [{"role": role, "content": content} for role, content in turns.messages]},
            reason=found[failed[0]] if failed else None,
            score=1 - len(failed) / len(found),
            checks=found,
            mend=self._mend(plan, failed),
            opening=_opening(turns),
            alike="\n".join(content for _, content in turns.messages),
        )

    def _expected(self, plan: Plan) -> Expected:
        asked = self._prompt(plan, ())
        topic, country = topics()[plan.topic], countries()[plan.country]
        return Expected(
            exchanges=plan.exchanges,
            topic=topic.name,
            topic_words=topic.pattern,
            country=country.name,
            country_words=country.pattern,
            variety=plan.variety,
            prompt=asked if isinstance(asked, str) else asked[-1][1],
        )

    def _mend(self, plan: Plan, failed: Sequence[str]) -> str | None:
        """What a chat model is told to mend; None where nothing is to be, or where another attempt is worth more."""
        told = parsed("dialogues/prompts")["mend"]
        if self.style != "messages" or not failed or len(failed) > 3 or any(name not in told for name in failed):
            return None
        lines = [f"- {told[name]}" for name in failed]
        return _filled("\n".join([told["heading"], *lines, told["closing"]]), _values(plan))


def _about(wanted: Wanted) -> tuple[Topic, Country]:
    """The topic and country wanted. Raises MashqError where they are not known."""
    topic, country = wanted.about.get("topic", ""), wanted.about.get("country", "")
    _known("topic", [topic], topics())
    _known("country", [country], countries())
    _known("variety", [wanted.variety or "msa"], varieties())
    return topics()[topic], countries()[country]


def _drawn(shares: Mapping[Any, float], start: int, attempt: int) -> Any:
    """A name by its share. Attempts move by the golden ratio, which spreads few draws evenly over the shares."""
    place = (start / 2**64 + attempt * 0.618034) % 1 * sum(shares.values())
    for name, share in shares.items():
        place -= share
        if place < 0:
            return name
    return name


@functools.cache
def _wordings() -> Mapping[str, Mapping[str, str]]:
    return {wording["key"]: wording for wording in parsed("dialogues/prompts")["wordings"]}


def _values(plan: Plan) -> dict[str, str]:
    """What stands in the place of each {name}."""
    prompts, topic = parsed("dialogues/prompts"), topics()[plan.topic]
    variety = parsed("dialogues/varieties")[plan.variety]
    return {
        "topic": topic.name,
        "hint": plan.hint,
        "country": countries()[plan.country].name,
        "persona": _persona(plan.persona).who,
        "mood": plan.mood,
        "count": prompts["counts"][plan.exchanges],
        "register": prompts["registers"][plan.register]["text"],
        "variety": variety["name"],
        "in_variety": variety["in"],
        "layout": prompts["layouts"][plan.layout],
        "rules": prompts["rules"],
        "caution": prompts["cautions"].get(topic.caution, ""),
    }


@functools.cache
def _persona(key: str) -> Persona:
    return next(persona for persona in personas() if persona.key == key)


_PLACE = re.compile(r"\{(\w+)\}")


def _filled(text: str, values: Mapping[str, str]) -> str:
    """A wording with its values; a line of one name whose value is empty is left out."""
    lines = [line for line in text.split("\n") if not ((one := _PLACE.fullmatch(line)) and values.get(one[1]) == "")]
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), "\n".join(lines))


def _avoid(openings: Sequence[str]) -> str:
    """The line that asks not to begin as others did; "" where there is none."""
    said = [" ".join(opening.split())[:60] for opening in openings]
    most = [f"«{opening}»" for opening in said if opening][:MOST_AVOIDED]
    return parsed("dialogues/prompts")["avoid"].replace("{openings}", "، ".join(most)) if most else ""


def _opening(turns: Turns) -> str:
    """The first four words of the first message, folded."""
    return " ".join(re.findall(r"\w+", folded_lower(turns.messages[0][1][:200]))[:4])
