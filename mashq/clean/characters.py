"""Single characters that do not belong: invisible marks, stretching, letters of another keyboard, white space."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import regex

from mashq import arabic
from mashq.clean.columns import matching
from mashq.clean.rule import data

__all__ = ["invisible", "lookalikes", "may_be_spaced", "spaces", "tatweel"]

_FORMS = ("nfc", "presentation", "bidi", "zero_width")
# What no form of `arabic` removes: controls but tab and line ends, lone surrogates, private use, unassigned characters,
# the replacement character, and vowel marks beyond the three that a letter of Arabic may carry.
_LOST = regex.compile(r"(?V1)[[\p{Cc}--[\t\n\r]]\p{Cs}\p{Co}\p{Cn}\ufffc\ufffd]+")
_FLOOD = regex.compile(r"(?V1)([[\p{M}--[\ufe0e\ufe0f\u20e3]]]{3})[[\p{M}--[\ufe0e\ufe0f\u20e3]]]+")
_SEEN = regex.compile(r"(?V1)[\p{Cf}\ufb50-\ufdff\ufe70-\ufeff]")


def invisible(text: str) -> tuple[str, int]:
    """What nobody sees, and glyphs in place of letters: the form of `arabic` that loses no letter, and controls.

    Vowel marks stay, three on a letter at most. Joiners inside an emoji stay.
    """
    made, lost = _LOST.subn("", text)
    made, floods = _FLOOD.subn(r"\1", arabic.normalise(made, _FORMS))
    if made == text:
        return text, 0
    gone = len(_SEEN.findall(text)) - len(_SEEN.findall(made))
    return made, max(lost + floods + gone, 1)


_DASH = re.compile(rf"(?<=\s){arabic.TATWEEL}(?=\s)")
_STRETCHED = re.compile(
    rf"(?<![{arabic.HA}]){arabic.TATWEEL}+|(?<=[\u0621-\u064a]{arabic.HA}){arabic.TATWEEL}+"
    rf"|(?<={arabic.HA}){arabic.TATWEEL}+(?=[\u0621-\u064a])|(?<={arabic.HA}{arabic.TATWEEL}){arabic.TATWEEL}+"
)


def tatweel(text: str) -> tuple[str, int]:
    """Stretching inside words, and lines drawn with it. One alone is a dash; the هـ of a Hijri year stays."""
    text, dashes = _DASH.subn("-", text)
    text, stretched = _STRETCHED.subn("", text)
    return text, dashes + stretched


_LINE_END = re.compile(r"[\r\n]")


def spaces(text: str, lines: str = "keep") -> tuple[str, int]:
    """White space as single spaces, none at the ends; line ends as single \\n, or as spaces too (lines: "join")."""
    if lines == "join" or ("\n" not in text and "\r" not in text):
        made = " ".join(text.split())
    else:
        made = "\n".join(filter(None, (" ".join(line.split()) for line in _LINE_END.split(text))))
    return made, int(made != text)


_UNEVEN = r"\A | \z|  |[\t-\r\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"


def may_be_spaced(texts: Sequence[str], settings: Mapping[str, Any]) -> Sequence[bool]:
    """For each text whether white space other than single spaces between words is in it."""
    return matching(texts, _UNEVEN)


# --- letters of other scripts and keyboards --------------------------------------------------------------------------

_ARABIC = r"[\u0621-\u063a\u0641-\u064a]"
_OWN = re.compile(r"[كيةىأإؤئ]")  # letters that Persian and Urdu keyboards do not offer, or not in this place
_FOREIGN = re.compile(r"[پژٹڈڑںۓ]|\b(?:است|این|کہ|ہے|میں|نیست|برای)\b")
_GLUED = regex.compile(rf"(?=[A-Za-z])(?<={_ARABIC}\p{{M}}*)|(?<=[A-Za-z])(?={_ARABIC})|(?<=[A-Za-z])(?=[0-9]*[٠-٩])")
_PREFIX = re.compile(r"(?:^|[^\w])(?:[وف]?(?:[بك]?ال|لل|[بلك])|[وف])$")


@functools.cache
def _letters() -> tuple[dict[str, str], dict[str, str]]:
    letters = data("letters")
    return letters["keyboards"], letters["strokes"]


@functools.cache
def _stroke() -> regex.Pattern[str]:
    """One letter that stands for a stroke, between two letters of Arabic."""
    return regex.compile(rf"(?<={_ARABIC}\p{{M}}*)[{''.join(_letters()[1])}](?=\p{{M}}*{_ARABIC})")


def lookalikes(text: str, glued: str = "apart") -> tuple[str, int]:
    """Letters that look like Arabic ones inside Arabic words, and Latin words stuck to Arabic ones.

    Persian and Urdu letters become Arabic ones where the writer uses letters that only Arabic has, and none that only
    Persian or Urdu has. A space goes between Arabic and Latin letters (glued: "apart"), but not after a prefix (الGPS).
    """
    keyboards, strokes = _letters()
    count = 0
    if _OWN.search(text) and not _FOREIGN.search(text):
        for letter, to in keyboards.items():
            if letter in text:
                count += text.count(letter)
                text = text.replace(letter, to)

    text, drawn = _stroke().subn(lambda match: strokes[match[0]], text)
    text, parted = _apart(text) if glued == "apart" else (text, 0)
    return text, count + drawn + parted


def _apart(text: str) -> tuple[str, int]:
    """Spaces where Arabic and Latin letters meet, but behind a prefix of one word."""
    pieces, at = [], 0
    for match in _GLUED.finditer(text):
        place = match.start()
        if not text[place].isascii() or not _PREFIX.search(text, max(0, place - 6), place):
            pieces.append(text[at:place])
            at = place
    return " ".join([*pieces, text[at:]]), len(pieces)
