"""Is a reply well at all: not empty, cut off or caught in a loop, not in another script or variety than asked for?"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mashq import arabic
from mashq.metrics.score import BINARY, Score, mean_score, sign
from mashq.phrases import refusal
from mashq.rows import MashqError, expected_got

__all__ = ["LETTER_LOOP", "Health", "check", "is_looping", "summary", "word_loop"]

LONGEST_PERIOD = 100  # words in the unit of a loop: a repeated paragraph
LEAST_TURNS = 3  # a unit said three times over, without anything between
RUN = 4  # words in the runs by which loops are found
LEAST_REPEATED = 8  # words said again; "يا رب يا رب يا رب" says four again and is no loop
# One to four characters repeated twenty times without a space, a letter among them: "ههههههه...", "هـهـهـ...". Rulers
# of dashes, blanks of a form (___), a stretched word (الحمـــد) and long numbers (0.333..., 10000...) are no loops.
LETTER_LOOP = re.compile(rf"((?=[\d_{arabic.TATWEEL}]{{0,3}}[^\W\d_{arabic.TATWEEL}])\w{{1,4}}?)\1{{19,}}")
# What `arabic.words` takes for a word though nothing is written there: tatweel alone, whatever marks it bears.
_STROKE = re.compile(f"[{arabic.TATWEEL}{arabic.TASHKEEL}{arabic.MADDA}{arabic.BIDI}{arabic.ZERO_WIDTH}_]+")
MOST_FOREIGN = 0.5  # share of letters of other scripts above which a reply is in the wrong script


@dataclass(frozen=True)
class Health:
    """The state of one reply."""

    empty: bool  # not one word; a stroke of tatweel is none
    cut: bool  # ended by the limit of new tokens
    looping: bool  # see `is_looping`
    non_arabic: float | None  # share of its letters that are not Arabic script, 0..1; None where it has no letter
    wrong_variety: bool | None = None  # surely in another than asked for; None: none asked for, or it cannot be told
    refused: bool = False  # has, not as another's speech, a phrase by which models refuse (`mashq.phrases`)

    @property
    def wrong_script(self) -> bool | None:
        """Whether more than half of its letters are not Arabic script; None where it has no letter."""
        return None if self.non_arabic is None else self.non_arabic > MOST_FOREIGN


def check(
    replies: Sequence[str], finishes: Sequence[str], varieties: Sequence[str | None] | None = None
) -> list[Health]:
    """One `Health` per reply; `finishes` says why each one ended, and "length" means that it was cut.

    `varieties`: the Arabic each was asked for ("" or None = not asked for), told as `variety_asked.is_other` does.
    Raises MashqError for unequal lengths.
    """
    for name, given in (("finishes", finishes), ("varieties", varieties)):
        if given is not None and len(replies) != len(given):
            raise MashqError(expected_got(f"health: {name}", f"{len(replies)}, one per reply", str(len(given))))
    asked = varieties or [None] * len(replies)
    return [_one(*given) for given in zip(replies, finishes, asked, strict=True)]


def _one(reply: str, finish: str, asked: str | None) -> Health:
    from mashq.variety_asked import is_other  # brings SciPy, which a report does without

    words = _written(reply)
    has_letters = any(mark.isalpha() for mark in reply if mark != arabic.TATWEEL)  # "1945" is in no script
    return Health(
        not words,
        finish == "length",
        is_looping(reply, words),
        1.0 - arabic.arabic_share(reply) if words and has_letters else None,
        is_other(reply, asked) if asked and words else None,
        refusal(reply) is not None,
    )


def _written(text: str) -> list[str]:
    return [word for word in arabic.words(text) if not _STROKE.fullmatch(word)]


def is_looping(text: str, words: Sequence[str] | None = None) -> bool:
    """Whether some unit of 1 to 100 words is said at least 3 times in a row, 8 words or more of it again.

    Also true for 1 to 4 characters, a letter among them, repeated 20 times in a row. A refrain with other words between
    is no loop; nor are strokes, blanks and long numbers, of which no letter is repeated.
    """
    if LETTER_LOOP.search(text):
        return True
    said = _written(text) if words is None else words
    return word_loop(said) is not None


def word_loop(words: Sequence[str]) -> tuple[int, int] | None:
    """(words said again, words in the unit) of the loop with the shortest unit, as `is_looping` has it; None for none.

    Words that are said again are runs that are said again, so that few distances have to be looked at.
    """
    runs = list(zip(*(words[start:] for start in range(RUN)), strict=False))
    least = LEAST_REPEATED - RUN + 1  # runs said again, in a loop
    if len(set(runs)) > len(runs) - least:
        return None
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    distances: Counter[int] = Counter()
    for place, run in enumerate(runs):
        before = places[run]
        near = before[-LONGEST_PERIOD:]
        distances.update(place - other for other in near if place - other <= LONGEST_PERIOD)
        before.append(place)
    for period, count in sorted(distances.items()):
        if count >= least and (again := _again(words, period)) >= max(LEAST_REPEATED, (LEAST_TURNS - 1) * period):
            return again, period
    return None


def _again(words: Sequence[str], period: int) -> int:
    """The longest run of words each equal to the one `period` words before."""
    longest = run = 0
    for one, other in zip(words, words[period:], strict=False):
        run = run + 1 if one == other else 0
        longest = max(longest, run)
    return longest


def summary(items: Sequence[Health], *, groups: Sequence[str | None] | None = None, seed: int = 0) -> dict[str, Score]:
    """`empty`, `cut`, `looping`, `refused` as shares of the replies, `non_arabic` as the mean over those with letters.

    `wrong_script` is a share of the replies with letters, `wrong_variety` of those whose variety could be told.
    A score is absent where no reply has its value. Raises MashqError where there is no reply.
    """
    recipes: dict[str, tuple[str, ...]] = dict.fromkeys(("empty", "cut", "looping", "refused"), (BINARY,))
    recipes |= {"non_arabic": ("replies:with-letters",), "wrong_script": ("replies:with-letters", BINARY)}
    recipes |= {"wrong_variety": ("teller:shipped", "replies:told-of-5-words", BINARY)}
    if not items:
        recipes = {"empty": (BINARY,)}  # whose error says that an empty set has no score
    scores = {}
    for name, recipe in recipes.items():
        known = [place for place, item in enumerate(items) if getattr(item, name) is not None]
        if known or not items:
            scores[name] = mean_score(
                [float(getattr(items[place], name)) for place in known],
                name=name,
                signature=sign(name, *recipe),
                groups=None if groups is None else [groups[place] for place in known],
                seed=seed,
            )
    return scores
