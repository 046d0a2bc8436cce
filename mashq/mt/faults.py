"""What is wrong with a finished translation, told from the two texts alone: no model, no words to learn.

English into Arabic. Each fault is one that true translations do not show: of the first 1,000 professional translations
of NTREX-128 (Federmann et al. 2022), by which the limits were set, 1 is called faulty, and of XQuAD's 1,190 questions,
by which nothing was set, 1, with a bracket typed into a word. What no text tells is a fluent translation that says
something else: that is what the scorers of `mashq.quality` are for.

What stands in both texts as a mark (addresses, code, placeholders; `mashq.sentences.mask`) is no part of either here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mashq.sentences import mask

__all__ = ["fault"]

COPIED_LETTERS = (
    4  # of a source's word in small letters, that its copy counts; shorter ones are units, particles, codes
)
COPIED_SHARE = 0.4  # of such words: a title or a quoted phrase may stay English, a sentence may not
ARABIC_SHARE = 0.5  # of a translation's letters, names and codes that it kept from its source apart
LOOP_WORDS = 8  # the longest group of words that is looked for again at its own end
LOOP_TIMES = 3  # one after the other; unless the source says something as often
LOOP_LETTERS = 24  # of a word that is one group of letters again and again
SHORT_RATIO, SHORT_SLACK = 0.45, 10  # characters: a translation has at least 0.45 of its source's, less 10
LONG_RATIO, LONG_SLACK = 2.2, 30  # and at most 2.2 of them, and 30

LATIN_WORD = re.compile(r"[A-Za-z\u00C0-\u024F]+(?:['’.\-_@/&+][A-Za-z\u00C0-\u024F\d]+)*\d*")
# Letters of other scripts than Arabic: Latin, Greek, Cyrillic, Hebrew; then what follows Arabic in Unicode.
FOREIGN = re.compile(r"[A-Za-z\u00AA-\u02AF\u0370-\u05FF\u0900-\u1FFF\u2C00-\uA95F\uAC00-\uD7FF\uF900-\uFAFF]")
ARABIC = re.compile("[\u0621-\u064a\u066e-\u06d3\u0750-\u077f]")
SMALL_WORD = re.compile(rf"(?<![\w'’.\-/@])[a-z]{{{COPIED_LETTERS},}}(?![\w/@])")
LETTER = re.compile(r"[^\W\d_]")
CODE = re.compile(r"[\W\d_]*(?:[A-Z][A-Z\d]*s?[\W\d_]*)*")  # nothing but capitals, digits and signs
WORD_LOOP = re.compile(r"\A([^\W\d_]{1,8}?)\1{3,}[^\W\d_]{0,8}\Z")
EDGES = ".,;:!?\"'()[]«»“”…-–\N{ARABIC COMMA}\N{ARABIC SEMICOLON}\N{ARABIC QUESTION MARK}"
ENDS = (".", "!", "?", "…")
ARABIC_ENDS = (*ENDS, "\N{ARABIC QUESTION MARK}", "\N{ARABIC FULL STOP}")
UNFINISHED_SIGNS = (",", "\N{ARABIC COMMA}", "(", "[", "«", "“")
# A sentence goes on after these: and, or, in, from, to, on, about, that, which, then, between.
UNFINISHED_WORDS = frozenset(
    ("و", "أو", "في", "من", "إلى", "على", "عن", "أن", "أنّ", "التي", "الذي", "الذين", "ثم", "بين")
)
BRACKETS = (("(", ")"), ("[", "]"), ("«", "»"), ("“", "”"))


def fault(source: str, translation: str) -> str | None:
    """Why a translation cannot be one, with the measured value and the limit, or None.

    The kinds are empty, untranslated, script, loop, truncated and long; the first that is found is told. A source
    without letters has no faulty translation but an empty one. A source of capitals and digits alone (`IBM`, `B2`) may
    stand as it is.
    """
    said = translation.strip()
    given = source.strip()
    if not said:
        return "empty: 0 characters" if given else None
    if FOREIGN.search(said) or not ARABIC.search(said):
        found = _script(given, said)
        if found is not None:
            return found
    words = said.split()
    return _loop(given, words) or _length(given, said) or _unfinished(given, said, words)


def _script(source: str, said: str) -> str | None:
    """Source copied, or another script than Arabic."""
    kept = mask(source)
    for mark in kept.kept:
        said = said.replace(mark, " ", 1)
    source = kept.text
    if not LETTER.search(source) or CODE.fullmatch(source):
        return None
    arabic = len(ARABIC.findall(said))
    words = set(SMALL_WORD.findall(source))
    copied = words.intersection(SMALL_WORD.findall(said))
    if len(copied) > COPIED_SHARE * len(words):
        return f"untranslated: {len(copied)} of {len(words)} words ({', '.join(sorted(copied)[:3])}) > {COPIED_SHARE}"
    if not arabic:
        letters = len(LETTER.findall(said))
        return f"script: 0 of {letters} letters are Arabic" if letters else "empty: 0 letters"
    names = set(LATIN_WORD.findall(source)) - words
    foreign = len(LETTER.findall(LATIN_WORD.sub(lambda word: "" if word[0] in names else word[0], said))) - arabic
    share = arabic / (arabic + max(foreign, 0))
    return f"script: {share:.2f} of the letters Arabic < {ARABIC_SHARE}" if share < ARABIC_SHARE else None


def _loop(source: str, words: Sequence[str]) -> str | None:
    """A group of words, or of letters in a word, said again and again; not where the source does so too."""
    bare = _bare(words)
    if len(bare) - len(set(bare)) >= LOOP_TIMES - 1 and max(Counter(bare).values()) >= LOOP_TIMES:
        group, times = _repeated(bare)
        if times >= LOOP_TIMES and times > _repeated(_bare(source.split()))[1]:
            return f"loop: {times} times '{group}' > {LOOP_TIMES - 1}"
    longest = max(words, key=len)
    again = len(longest) > LOOP_LETTERS and WORD_LOOP.match(longest.strip(EDGES))
    if again and not any(_laughs(word) for word in source.lower().split()):
        return f"loop: {longest.count(again[1])} times '{again[1]}' in one word of {len(longest)} letters"
    return None


def _laughs(word: str) -> bool:
    """Whether a source's word is itself letters again and again: hahahahahaha."""
    return 2 * len(word) >= LOOP_LETTERS and WORD_LOOP.match(word.strip(EDGES)) is not None


def _bare(words: Sequence[str]) -> list[str]:
    """Words without the signs at their edges, in small letters."""
    return [stripped for word in words if (stripped := word.strip(EDGES).lower())]


def _repeated(bare: Sequence[str]) -> tuple[str, int]:
    """The group of up to `LOOP_WORDS` words that stands most often one after the other, and how often."""
    best, most = "", 1
    for size in range(1, min(LOOP_WORDS, len(bare) // 2) + 1):
        run = 0
        for place, (word, later) in enumerate(zip(bare, bare[size:], strict=False)):
            run = run + 1 if word == later else 0
            if run // size + 1 > most:
                group = " ".join(bare[place - size + 1 : place + 1])
                if LETTER.search(group):
                    best, most = group, run // size + 1
    return best, most


def _length(source: str, said: str) -> str | None:
    """Far too short or far too long for its source, in characters."""
    least, most = SHORT_RATIO * len(source) - SHORT_SLACK, LONG_RATIO * len(source) + LONG_SLACK
    if len(said) < least:
        return f"truncated: {len(said)} characters for {len(source)} < {least:.0f}"
    return f"long: {len(said)} characters for {len(source)} > {most:.0f}" if len(said) > most else None


def _unfinished(source: str, said: str, words: Sequence[str]) -> str | None:
    """A bracket or quotation that is never closed, or an end in the middle of a phrase."""
    for opening, closing in BRACKETS:
        opened = said.count(opening)
        if opened and opened - said.count(closing) > max(0, source.count(opening) - source.count(closing)):
            return f"truncated: '{opening}' opened {opened} times, closed {said.count(closing)}"
    if source.rstrip("\"'”’»)]").endswith(ENDS):
        if said.endswith(UNFINISHED_SIGNS):
            return f"truncated: ends with '{said[-1]}' where its source ends with a full stop"
        if words[-1] in UNFINISHED_WORDS:
            return f"truncated: ends with '{words[-1]}' where its source ends with a full stop"
        # Alone neither tells anything: quotations go on over sentences, and titles lose their full stops.
        if said.count('"') % 2 and not source.count('"') % 2 and not said.rstrip('"»”)').endswith(ARABIC_ENDS):
            return f"truncated: {said.count(chr(34))} quotation marks and no end mark"
    return None
