"""What is wrong with a conversation: reasons, not booleans, each with the value that was measured and its limit.

Every check is a rule that a reader can follow; the phrases stand in `data/dialogues/replies.yaml`, the marker words of
the varieties in `data/dialogues/varieties.yaml`. What is private in a text is found by `personal_data`.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mashq import arabic
from mashq.conversation import Turns
from mashq.metrics.health import LETTER_LOOP, word_loop
from mashq.packaged import parsed
from mashq.phrases import WORD, phrase_in
from mashq.variety_asked import reads_as
from mashq.word_patterns import folded_lower

__all__ = ["CHECKS", "Expected", "Limits", "faults", "marker_counts", "personal_data", "varieties"]


@dataclass(frozen=True)
class Limits:
    """What a conversation must keep to: first cuts of ours."""

    off_by: int = 1  # exchanges more or less than asked for
    least_exchanges: int = 2
    most_exchanges: int = 10
    least_words: int = 24  # of the whole conversation
    most_turn_words: int = 300  # of one message
    least_answer_words: int = 3  # of one message of the assistant
    least_arabic: float = 0.85  # share of letters that are Arabic; talk about software has names in Latin
    most_copied: float = 0.15  # share of runs of 5 words that stand in the prompt
    most_chatter: int = 200  # characters before the first message, all of them cut
    least_topic_words: int = 2  # words of the topic's list, counted each time
    names_country: bool = True  # the country's name, people or a city stands in it
    whole_end: bool = True  # the last message ends with a mark of the end
    most_foreign: float = 0.03  # share of words that mark another variety than the standard, where that is asked for
    least_markers: int = 2  # words that mark the variety asked for, where it is not the standard


@dataclass(frozen=True)
class Expected:
    """What was asked for; None or "" where nothing was."""

    exchanges: int | None = None
    topic: str = ""
    topic_words: re.Pattern[str] | None = None  # over folded text (`mashq.word_patterns`)
    country: str = ""
    country_words: re.Pattern[str] | None = None
    variety: str | None = None
    prompt: str = ""  # whose words must not come back
    finish: str = ""  # "length": the reply was cut by its limit


CHECKS = (
    *("turns", "roles", "empty", "chatter", "refusal", "arabic", "loops", "length", "end", "repeated", "copied"),
    *("about_prompt", "placeholders", "personal_data", "dose", "scripture", "variety", "country", "topic"),
)


@dataclass(frozen=True)
class _Said:
    """A conversation in the forms that checks look at, made once."""

    turns: Turns
    contents: tuple[str, ...]
    text: str  # the contents, a line each
    folded: str
    words: tuple[tuple[str, ...], ...] = field(repr=False)  # folded words of each message
    all_words: tuple[str, ...] = field(repr=False)
    joined: str = field(repr=False)  # all words with single spaces between and around


def _said(turns: Turns) -> _Said:
    contents = tuple(content for _, content in turns.messages)
    folds = folded_lower(f" {_SPLIT} ".join(contents)).split(_SPLIT)  # one call for all: half of the time is the call's
    if len(folds) != len(contents):
        folds = [folded_lower(content) for content in contents]
    words = tuple(tuple(WORD.findall(text)) for text in folds)
    flat = tuple(itertools.chain.from_iterable(words))
    return _Said(turns, contents, "\n".join(contents), "\n".join(folds), words, flat, f" {' '.join(flat)} ")


_SPLIT = "\x01"  # a character that no form touches and no message holds


def faults(turns: Turns, expected: Expected | None = None, limits: Limits | None = None) -> dict[str, str | None]:
    """Of every check that applies: None where the conversation passes, else the reason with value and limit.

    The keys are CHECKS in their order, the gravest first, without `variety`, `country` and `topic` where none is
    expected. Never raises for any conversation; a variety that `varieties.yaml` does not know is not checked.
    """
    expected, limits = expected or Expected(), limits or Limits()
    said = _said(turns)
    found = {
        "turns": _turn_count(said, expected, limits),
        "roles": _roles(turns),
        "empty": next((f"empty: message {i + 1} has no word" for i, words in enumerate(said.words) if not words), None),
        "chatter": _at_most("chatter", len(turns.before), limits.most_chatter, "characters before the conversation"),
        "refusal": _phrase(said, "refusal"),
        "arabic": _share_arabic(said.text, limits.least_arabic),
        "loops": _loop(said.all_words),
        "length": _length(said, limits),
        "end": _end(said, expected, limits),
        "repeated": _repeated(said.words),
        "copied": _copied(said.all_words, expected.prompt, limits.most_copied),
        "about_prompt": _phrase(said, "about_prompt"),
        "placeholders": _placeholder(said.text),
        "personal_data": _personal(said.text),
        "dose": _dose(said.folded),
        "scripture": "scripture: a verse in ornate brackets" if "﴿" in said.text else _phrase(said, "scripture"),
    }
    if expected.variety in varieties():
        found["variety"] = _variety(said, str(expected.variety), limits)
    if expected.country_words is not None and limits.names_country:
        seen = expected.country_words.search(said.folded)
        found["country"] = None if seen else f"country: {expected.country} is not in the conversation"
    if expected.topic_words is not None and limits.least_topic_words:
        found["topic"] = _topic(said.folded, expected, limits.least_topic_words)
    return found


def _turn_count(said: _Said, expected: Expected, limits: Limits) -> str | None:
    count = len(said.contents)
    asked = expected.exchanges
    least = max(limits.least_exchanges, (asked - limits.off_by) if asked else 0)
    most = min(limits.most_exchanges, (asked + limits.off_by) if asked else limits.most_exchanges)
    # One message too many or too few is a fault of roles.
    if (count + 1) // 2 < least:
        return f"turns: {count} messages < {2 * least}"
    return f"turns: {count} messages > {2 * most}" if count // 2 > most else None


def _roles(turns: Turns) -> str | None:
    roles = [role for role, _ in turns.messages]
    if not roles or roles[0] != "user":
        return "roles: the first message is not the user's"
    for place, (one, other) in enumerate(itertools.pairwise(roles), 2):
        if one == other:
            return f"roles: messages {place - 1} and {place} are both the {one}'s"
    return None if roles[-1] == "assistant" else "roles: the last message is not the assistant's"


def _at_most(name: str, value: int, limit: int, what: str) -> str | None:
    return f"{name}: {value} {what} > {limit}" if value > limit else None


def _phrase(said: _Said, kind: str) -> str | None:
    found = phrase_in(said.all_words, kind, said.joined)
    return f"{kind.replace('_', ' ')}: '{found}'" if found else None


def _share_arabic(text: str, least: float) -> str | None:
    if not _FOREIGN.search(text):
        return None  # most conversations; where there is no letter at all, another check says so
    share = arabic.arabic_share(text)
    return f"not Arabic: {share:.2f} of letters < {least}" if share < least else None


_FOREIGN = re.compile(r"[^\W\d_\u0600-\u06ff]")


def _loop(words: Sequence[str]) -> str | None:
    """A loop as `mashq.metrics.health.is_looping` has it, with its size."""
    if max(map(len, words), default=0) >= 20 and any(map(LETTER_LOOP.search, words)):
        return "loops: letters repeated 20 times"
    found = word_loop(words)
    return f"loops: {found[0]} words repeat those {found[1]} before them" if found else None


def _length(said: _Said, limits: Limits) -> str | None:
    total = len(said.all_words)
    if total < limits.least_words:
        return f"short: {total} words < {limits.least_words}"
    for (role, _), words in zip(said.turns.messages, said.words, strict=True):
        if len(words) > limits.most_turn_words:
            return f"long: a message of {len(words)} words > {limits.most_turn_words}"
        if role == "assistant" and len(words) < limits.least_answer_words:
            return f"short: an answer of {len(words)} words < {limits.least_answer_words}"
    return None


_ENDS = re.compile(r"[.!?؟…][^\w\n]{0,20}$")


def _end(said: _Said, expected: Expected, limits: Limits) -> str | None:
    if expected.finish == "length":
        return "cut: the reply ended at its limit of new tokens"
    last = said.contents[-1] if said.contents else ""
    if not limits.whole_end or not last or _ENDS.search(last[-40:]):
        return None
    return f"cut: ends with {last.split()[-1][-20:]!r}, not with a sentence"


def _repeated(words: Sequence[Sequence[str]]) -> str | None:
    """A message of three words or more that stood before, whoever said it."""
    places: dict[tuple[str, ...], int] = {}
    for place, said in enumerate(words, 1):
        if len(said) >= 3 and (first := places.setdefault(tuple(said), place)) != place:
            return f"repeated: message {place} says what message {first} said"
    return None


def _copied(words: Sequence[str], prompt: str, most: float) -> str | None:
    if not prompt or len(words) < 5:
        return None
    known = _prompt_runs(prompt)
    runs = list(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))
    share = sum(map(known.__contains__, runs)) / len(runs)
    return f"copies the prompt: {share:.2f} of 5-word runs > {most}" if share > most else None


@functools.lru_cache(maxsize=256)
def _prompt_runs(prompt: str) -> frozenset[tuple[str, ...]]:
    words = list(itertools.chain.from_iterable(map(_line_words, prompt.split("\n"))))
    return frozenset(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))


@functools.lru_cache(maxsize=4096)
def _line_words(line: str) -> tuple[str, ...]:
    """The words of one line; prompts share most of their lines."""
    return tuple(WORD.findall(folded_lower(line)))


_PLACEHOLDER = re.compile(r"[\[{<](?=[^\]}>\n]{0,40}[\u0621-\u064a])[^\[\]{}<>\n]{1,40}[\]}>]")


def _placeholder(text: str) -> str | None:
    match = _PLACEHOLDER.search(text)
    return f"placeholders: {match[0]!r}" if match else None


_AMOUNT = re.compile(r"\d ?(?:mg|ملغ|ملجم|مجم|مغ|مليغرام|ملليغرام|ميليغرام|ملغرام|ملي غرام)(?!\w)")
_TABLETS = ("قرص", "اقراص", "كبسول", "حبه", "حبت", "حبات")
_TAKEN = re.compile(
    r"(?:قرص|قرصين|اقراص|كبسوله|كبسولات|حبه|حبتين|حبات)[^.\n]{0,20}كل \d{1,2} ساع"
    r"|(?:قرصا?|قرصين|اقراص|كبسوله|كبسولتين|كبسولات) (?:\w+ )?(?:يوميا|في اليوم|قبل النوم|بعد الاكل)"
)


def _dose(folded: str) -> str | None:
    taken = any(word in folded for word in _TABLETS) and _TAKEN.search(folded)
    return "dose: an amount of a medicine is named" if taken or _AMOUNT.search(folded) else None


# --- personal data ---------------------------------------------------------------------------------------------------

_PRIVATE = re.compile(r"[@\d]|www|http|\.[a-z]")
_HOSTS = "com|net|org|edu|gov|info|io|co|me|app|sa|eg|ae|ma|jo|kw|qa|bh|om|lb|sy|iq|tn|dz|ly|sd|ps|ye|uk|fr|de"
_PATTERNS = {
    "an e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.\w"),
    "a URL": re.compile(rf"https?://|(?<!\w)www\.|(?<![\w.@-])[a-z0-9-]{{2,63}}\.(?:{_HOSTS})(?![\w-])"),
    "an IBAN": re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
    "a user name": re.compile(r"(?<![\w.])@\w{3}"),
}
_DIGITS = re.compile(r"(?<![\w.,+])\+?\(?\d[\d \-()]{5,24}\d(?!\w|[.,]\d)")


def personal_data(text: str) -> tuple[str, ...]:
    """Kinds of private data in a text, in a fixed order: e-mail, URL, IBAN, user name, phone and identity numbers.

    Phone: 8 to 15 digits after + or 00, or 9 to 11 after 0, with single spaces, hyphens or brackets between.
    Identity number: 10 to 18 digits in one piece otherwise. Local numbers of 8 digits without a 0 are not told from
    years and amounts. The data themselves are not given back.
    """
    if not _PRIVATE.search(text):
        return ()
    digits = arabic.normalise(text, ("digits",))
    found = [kind for kind, pattern in _PATTERNS.items() if pattern.search(digits)]
    numbers = {kind for match in _DIGITS.finditer(digits) if (kind := _number_kind(match[0]))}
    return (*found, *sorted(numbers, reverse=True))


def _number_kind(written: str) -> str | None:
    digits = re.sub(r"\D", "", written)
    if written.startswith(("+", "(+")) or digits.startswith("00"):
        return "a phone number" if 8 <= len(digits) <= 17 else None
    if digits.startswith("0") and 9 <= len(digits) <= 11:
        return "a phone number"
    longest = max(map(len, re.findall(r"\d+", written)))
    grouped = re.fullmatch(r"784-?\d{4}-?\d{7}-?\d", written) or re.fullmatch(
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}", written
    )
    return "an identity or card number" if 10 <= longest <= 18 or grouped else None


def _personal(text: str) -> str | None:
    found = personal_data(text)
    return f"personal data: {', '.join(found)}" if found else None


# --- the variety -----------------------------------------------------------------------------------------------------


@functools.cache
def varieties() -> tuple[str, ...]:
    """The varieties that conversations can be asked for, the standard first."""
    return tuple(parsed("dialogues/varieties"))


@functools.cache
def _markers() -> Mapping[str, tuple[str, ...]]:
    """Folded word -> the varieties that it marks."""
    data = parsed("dialogues/varieties")
    marks: dict[str, tuple[str, ...]] = {}
    for variety, entry in data.items():
        for word in dict.fromkeys(map(folded_lower, entry["markers"])):
            for form in (word, f"و{word}"):
                marks[form] = (*marks.get(form, ()), variety)
    return marks


def marker_counts(words: Iterable[str]) -> dict[str, int]:
    """How many of the folded words mark each variety; a word that several dialects share counts for each."""
    counts = dict.fromkeys(varieties(), 0)
    known = _markers()
    for word in words:
        for variety in known.get(word, ()):
            counts[variety] += 1
    return counts


def _variety(said: _Said, asked: str, limits: Limits) -> str | None:
    if asked == "msa":
        share = sum(map(_dialectal().__contains__, said.all_words)) / max(1, len(said.all_words))
        most = limits.most_foreign
        return f"variety: {share:.2f} of words are dialect > {most}" if share > most else None
    told = reads_as(said.text, asked)
    if told is not None:
        return None if told == asked else f"variety: reads as {told}, asked for {asked}"
    counts = marker_counts(said.all_words)
    others = {variety: count for variety, count in counts.items() if variety != asked}
    if counts[asked] < limits.least_markers:
        return f"variety: {counts[asked]} words of {asked} < {limits.least_markers}"
    nearest = max(others, key=lambda variety: others[variety])
    if others[nearest] > counts[asked]:
        return f"variety: reads as {nearest} ({others[nearest]} words), asked for {asked} ({counts[asked]})"
    return None


@functools.cache
def _dialectal() -> frozenset[str]:
    return frozenset(word for word, marked in _markers().items() if "msa" not in marked)


def _topic(folded: str, expected: Expected, least: int) -> str | None:
    assert expected.topic_words is not None
    count = sum(1 for _ in zip(expected.topic_words.finditer(folded), range(least), strict=False))
    return None if count >= least else f"topic: {count} words about {expected.topic} < {least}"
