"""A judge's reply in one normal form, and the names that are looked for in it.

Thoughts, invisible marks and the judged text said again are gone, letters are folded, every script's digits western.
"""

from __future__ import annotations

import functools
import html
import json
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import OSA

from mashq import arabic
from mashq.judge.rubrics import LEVELS, Criterion

__all__ = [
    "SCORE",
    "SCORING",
    "Claim",
    "Fault",
    "Pairs",
    "Plain",
    "Vocabulary",
    "objects",
    "of_object",
    "plain_of",
    "said_in",
    "vocabulary",
]

MOST_CHARACTERS = 100_000  # of a reply that is read; a judge that writes more has lost its way
MOST_THOUGHTS = 50  # that are looked for one by one
MOST_IN_KEY = 120  # characters of a key or a cell that names a criterion
LEAST_MISSPELT = 6  # letters of a key that may be misspelt
MOST_OPENINGS = 200  # where an object could begin that are tried
FOLDS: tuple[str, ...] = ("nfc", "presentation", "bidi", "zero_width", "tatweel", "tashkeel")
FOLDS += ("alef", "hamza", "persian", "ya", "ta_marbuta", "digits")

THOUGHTS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
THOUGHT = re.compile(rf"<({THOUGHTS})>.*?</\1>|\[think\].*?\[/think\]", re.S | re.I)
THOUGHT_ENDS = re.compile(rf"</(?:{THOUGHTS})>|\[/think\]", re.I)
THOUGHT_OPENS = re.compile(rf"<(?:{THOUGHTS})>|\[think\]", re.I)
ECHOED = re.compile(r"BEGIN ([0-9a-f]{16})\b.*?(?:END \1|\Z)", re.S)  # what was judged, said again
SIGNS = str.maketrans({"：": ":", "／": "/", "①": "1", "②": "2", "③": "3", "④": "4", "⑤": "5", "−": "-", "\u200b": ""})
SIGNS |= {0xFF01 + place: chr(0x21 + place) for place in range(94)}  # the full-width signs of East Asian keyboards
SIGNS |= str.maketrans(dict.fromkeys("←⇐⇒⟵⟶➜➔➡", "→"))
TAKEN_BACK = re.compile(
    r"~~[^~\n]{1,60}~~|<(s|del|strike)>[^<>\n]{1,60}</\1>|(?<!\w)was \d(?:\.\d)?,? (?:but )?(?=(?:is|now)(?!\w))", re.I
)
ESCAPED = re.compile(r"\\u([0-9a-f]{4})", re.I)
TRAILING = re.compile(r",(?=\s*[}\]])")  # a comma before what closes: no JSON, and meant as one
TEMPLATE = re.compile(r"\{[^{}]{0,800}?:\s*(?:\.{3}|…)[^{}]{0,800}\}")  # the form that was asked for, said again
QUOTED_KEY = re.compile(r"(?<=[\"'“])([a-z_][a-z_ ]{4,40})(?=[\"'”]\s*[:=])")
COMMENT = re.compile(
    r"/\*(?:[^*]|\*(?!/)){0,300}\*/|(?<=[\d,\"}\]])[ \t]*//[^\n]*|(?<=[\d,\"}\]])[ \t]+#[^\n]*|[ \t]*\\\\[ \t]*$", re.M
)  # or LaTeX's row end
DECIMAL_COMMA = re.compile(r"(?<=[:=|* \t–—→-])([1-5]),([05])(?![\d,\]])")  # as Arabic and French write 4.5
# "5 - 1 (a slip) = 4": what a reckoning ends with holds.
RECKONED = re.compile(
    r"(?<![\d.])\d(?:[ \t]*[-+–][ \t]*\d(?:\.\d)?(?:[ \t]*\([^()\n]{0,80}\))?){1,5}[ \t]*=[ \t]*(?=\d)"
)
KEYCAP = re.compile("[\N{VARIATION SELECTOR-16}\N{COMBINING ENCLOSING KEYCAP}]")
HALF = re.compile(r"(?<=\d)\s?(?:½|and a half(?!\w)|و\s?نصف(?!\w))", re.I)
NULLS = {"none", "null", "nil", "n/a", "nan"}  # values that say nothing, though a level may be called so

SCORE = "score|rating|grade|mark|points?|الدرجه|درجه|درجتها|درجته|التقييم|تقييم|تقييمها|تقييمه|النتيجه|القيمه"
NAMING = {
    "criterion",
    "criteria",
    "name",
    "aspect",
    "metric",
    "dimension",
    "category",
    "المعيار",
    "معيار",
    "البند",
    "الاسم",
}
SCORING = {"score", "rating", "value", "grade", "level", "points", "mark", "answer"}
SCORING |= {"الدرجه", "درجه", "التقييم", "تقييم", "النتيجه", "القيمه", "الجواب"}


class Fault(str):
    """A claim that is no score, and why: it spoils the others for its criterion."""


Claim = float | str | Fault


# --- the normal form -------------------------------------------------------------------------------------------------


def folded(text: str) -> str:
    text = ESCAPED.sub(lambda found: chr(int(found[1], 16)), html.unescape(text))
    text = re.sub(r"(?<=\s)&(?=\s)", "|", text)  # LaTeX's columns
    text = HALF.sub(".5", KEYCAP.sub("", TAKEN_BACK.sub(" ", text.translate(SIGNS))))
    text = arabic.normalise(text, FOLDS).lower().replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"\d", lambda found: str(unicodedata.decimal(found[0])), text)
    text = TEMPLATE.sub(" ", TRAILING.sub("", COMMENT.sub(" ", text)))
    text = RECKONED.sub("", DECIMAL_COMMA.sub(r"\1.\2", text))
    # Long runs of space say nothing, and patterns with several spaces in them would take their square in time.
    return re.sub(r"(?:\n[^\S\n]*){3,}", "\n\n", re.sub(r"[^\S\n]{3,}", "  ", text))


def said_in(reply: str) -> str | Fault:
    """A reply folded and without its thoughts, or why it cannot be read."""
    if len(reply) > MOST_CHARACTERS:
        return Fault(f"too long: {len(reply)} characters > {MOST_CHARACTERS}")
    text = ECHOED.sub("\n", reply)
    if len(THOUGHT_OPENS.findall(text)) <= MOST_THOUGHTS:
        text = THOUGHT.sub("\n", text)
    ends = [found.end() for found in THOUGHT_ENDS.finditer(text)]
    text = text[ends[-1] :] if ends else text  # some servers send a thought without its opening
    if opens := THOUGHT_OPENS.search(text):
        text = text[: opens.start()]
        if not text.strip():
            return Fault("no answer: its thoughts never end")
    return folded(text) if text.strip() else Fault("no answer: the reply is empty")


# --- names and labels ------------------------------------------------------------------------------------------------

Plain = tuple[tuple[str, tuple[str, ...], tuple[tuple[str, int], ...]], ...]


def plain_of(criteria: Sequence[Criterion]) -> Plain:
    """What reading needs of criteria, hashable: name, all names, labels with their levels."""
    return tuple(
        (
            one.name,
            one.names,
            tuple((text, level) for texts in one.labels.values() for level, text in zip(LEVELS, texts, strict=True)),
        )
        for one in criteria
    )


@dataclass(frozen=True)
class Vocabulary:
    """Names of criteria and of levels as patterns over folded text."""

    names: tuple[str, ...]
    aliases: Mapping[str, str]  # folded, without article and joints -> criterion
    mention: re.Pattern[str]
    labels: Mapping[str, Mapping[str, int]]  # criterion -> folded label -> level
    label: Mapping[str, re.Pattern[str]]

    def criterion(self, text: str) -> str | None:
        """The criterion that a key or a cell names and nothing else."""
        if len(text) > MOST_IN_KEY:
            return None
        if not (found := list(self.mention.finditer(text))):
            return self._misspelt(_bare(text.strip()))
        rest = self.mention.sub(" ", re.sub(r"\([^()]*\)", " ", text))
        rest = re.sub(rf"(?:{SCORE})(?![a-z])|(?<!\d)\d+[.)_-]|[\W_]", " ", rest)
        kinds = {self.of(one) for one in found}
        return kinds.pop() if len(kinds) == 1 and not rest.strip() else self._misspelt(_bare(text.strip()))

    def of(self, mention: re.Match[str]) -> str:
        return self.aliases[_bare(mention["name"])]

    def respelt(self, text: str) -> str:
        """The text with misspelt keys put right, where what holds them is no whole object."""

        def right(found: re.Match[str]) -> str:
            known = None if self.mention.search(found[0]) else self._misspelt(_bare(found[0]))
            return known or found[0]

        return QUOTED_KEY.sub(right, text)

    def _misspelt(self, key: str) -> str | None:
        """The one criterion whose name a long key misses by a letter or two, as small models write them."""
        if len(key) < LEAST_MISSPELT:
            return None
        most = 1 if len(key) < 2 * LEAST_MISSPELT else 2
        near = {
            name
            for alias, name in self.aliases.items()
            if len(alias) >= LEAST_MISSPELT and OSA.distance(alias, key, score_cutoff=most) <= most
        }
        return near.pop() if len(near) == 1 else None


def _bare(name: str) -> str:
    """A folded name without what joins its words: `following_instructions` and `following instructions` are one."""
    return re.sub(r"[\s_-]+", "", name)


def _stem(alias: str) -> str:
    """A folded name without the article of its first word."""
    name = folded(alias).strip()
    return name[2:] if name.startswith("ال") and len(name) > 4 else name


@functools.lru_cache(maxsize=64)
def vocabulary(plain: Plain) -> Vocabulary:
    stems = {_stem(alias): name for name, aliases, _ in reversed(plain) for alias in aliases}
    stems |= {bare: name for stem, name in stems.items() if (bare := re.sub(r"(?<=\s)ال", "", stem)) not in stems}
    spelled = sorted(stems, key=len, reverse=True)
    patterns = (r"[\s_-]*".join(map(re.escape, re.split(r"[\s_-]+", stem))) for stem in spelled)
    joints = r"(?:و|ف)?(?:ال|لل|بال|ب|ل|كال)?"
    mention = re.compile(rf"(?<![^\W_]){joints}(?P<name>{'|'.join(patterns)})(?:[\s_-]?(?:score|rating))?(?![^\W_])")
    labels = {name: _labels(texts) for name, _, texts in plain}
    label = {
        name: re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))) or "(?!)")
        for name, found in labels.items()
    }
    aliases = {_bare(stem): name for stem, name in stems.items()}
    return Vocabulary(tuple(name for name, _, _ in plain), aliases, mention, labels, label)


def _labels(texts: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Labels -> levels: each before its colon, in either gender; one that stands for two levels for none."""
    found: dict[str, set[int]] = {}
    for text, level in texts:
        short = folded(text.partition(":")[0]).strip()
        for form in (short, re.sub(r"ه(?= |$)", "", short)):
            if form and not form.isdigit() and form not in NULLS:
                found.setdefault(form, set()).add(level)
    return {form: levels.pop() for form, levels in found.items() if len(levels) == 1}


# --- JSON ------------------------------------------------------------------------------------------------------------


class Pairs(list[tuple[str, Any]]):
    """A JSON object with all its pairs: a key that stands there twice has two values."""


_decoder = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_constant=str, parse_int=lambda digits: int(digits[:20]), strict=False
)


def objects(text: str) -> Iterator[tuple[int, int, Pairs]]:
    """The JSON objects of a text that are whole: start, end, value."""
    at = 0
    for _ in range(MOST_OPENINGS):
        if (at := text.find("{", at)) < 0:
            return
        try:
            value, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        yield at, end, value
        at = end


def of_object(
    pairs: Pairs, known: Vocabulary, read: Callable[[str, Any], list[Any]], claims: dict[str, list[Any]]
) -> None:
    """Add what an object claims, at any depth. By a loop: a reply may be nested to any depth."""
    waiting: deque[Any] = deque([pairs])
    while waiting:
        one = waiting.popleft()
        if isinstance(one, list) and not isinstance(one, Pairs):
            waiting += [inner for inner in one if isinstance(inner, list)]
            continue
        if found := _in_lists(one, known):
            for own, value in found:
                claims[own] += read(own, value)
            continue
        named = {known.criterion(v) for k, v in one if k.strip() in NAMING and isinstance(v, str)} - {None}
        if len(named) == 1:
            claims[named.pop() or ""] += read("", one)
            continue
        for key, value in one:
            if name := known.criterion(key):
                claims[name] += read(name, value)
            elif isinstance(value, list):
                waiting.append(value)
            elif isinstance(value, str) and value.lstrip().startswith("{"):
                waiting += [inner for _, _, inner in objects(value)]  # JSON in a string of JSON


def _in_lists(pairs: Pairs, known: Vocabulary) -> list[tuple[str, Any]]:
    """Names and scores of an object that holds them in two lists of one length; none where it does not."""
    lists = [value for _, value in pairs if isinstance(value, list) and not isinstance(value, Pairs) and len(value) > 1]
    if len(lists) != 2 or len(lists[0]) != len(lists[1]):
        return []
    names = [known.criterion(one) or "" if isinstance(one, str) else "" for one in lists[0]]
    return list(zip(names, lists[1], strict=True)) if all(names) else []
