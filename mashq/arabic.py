"""Arabic text: letters and marks by name, normal forms over strings and columns, words, share of script.

A normal form is a set of names from `FORMS`. The names are applied in the order of `FORMS` whatever order they are
given in, so a set of names names one function and can stand in the signature of a number. `normalise` works on one
string, `normalise_column` on an Arrow column; they agree on every string.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from mashq.rows import MashqError, expected_got, nearest

__all__ = [
    "BIDI",
    "DIGITS",
    "FORMS",
    "LETTERS",
    "PROFILES",
    "TASHKEEL",
    "TATWEEL",
    "ZERO_WIDTH",
    "arabic_share",
    "normalise",
    "normalise_column",
    "resolve",
    "whole",
    "word_spans",
    "words",
]

# --- letters and marks by name ---------------------------------------------------------------------------------------


def _span(*ranges: tuple[int, int]) -> str:
    """Inclusive ranges of code points -> their characters."""
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))


ALEF = "\N{ARABIC LETTER ALEF}"
WAW = "\N{ARABIC LETTER WAW}"
YA = "\N{ARABIC LETTER YEH}"
HA = "\N{ARABIC LETTER HEH}"
KAF = "\N{ARABIC LETTER KAF}"
TA_MARBUTA = "\N{ARABIC LETTER TEH MARBUTA}"
ALEF_MAKSURA = "\N{ARABIC LETTER ALEF MAKSURA}"
ALEF_SEATS = (
    "\N{ARABIC LETTER ALEF WITH HAMZA ABOVE}\N{ARABIC LETTER ALEF WITH HAMZA BELOW}"
    "\N{ARABIC LETTER ALEF WITH MADDA ABOVE}\N{ARABIC LETTER ALEF WASLA}"
)
WAW_HAMZA = "\N{ARABIC LETTER WAW WITH HAMZA ABOVE}"
YA_HAMZA = "\N{ARABIC LETTER YEH WITH HAMZA ABOVE}"
TATWEEL = "\N{ARABIC TATWEEL}"

LETTERS = _span(
    (0x0621, 0x063A), (0x0641, 0x064A)
)  # the letters of Arabic proper, hamza seats and alef maksura included
# Marks that make a letter another letter: not tashkeel. NFC joins them to alef, waw and ya. A madda that no alef takes
# up (عَلَىٰٓ, قَالُوٓا۟) is the madd of recitation; only after NFC can the two be told apart.
MADDA = "\N{ARABIC MADDAH ABOVE}"
SEAT_MARKS = f"{MADDA}\N{ARABIC HAMZA ABOVE}\N{ARABIC HAMZA BELOW}"
# Short vowels, tanwin, shadda, sukun, dagger alef, and the marks of Quranic recitation (Mn of the Arabic blocks without
# SEAT_MARKS; small waw and small ya, which are letters to Unicode, are written in vocalised text only).
TASHKEEL = _span(
    (0x0610, 0x061A),  # honorifics, small high marks
    (0x064B, 0x0652),  # fathatan .. sukun
    (0x0656, 0x065F),  # subscript alef .. wavy hamza below
    (0x0670, 0x0670),  # dagger alef
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E8),  # small waw and small ya among them
    (0x06EA, 0x06ED),
    (0x0898, 0x089F),
    (0x08CA, 0x08E1),
    (0x08E3, 0x08FF),
)
BIDI = (
    "\N{ARABIC LETTER MARK}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{LEFT-TO-RIGHT EMBEDDING}\N{RIGHT-TO-LEFT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}"
    "\N{LEFT-TO-RIGHT OVERRIDE}\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}\N{RIGHT-TO-LEFT ISOLATE}\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
)
ZWNJ = "\N{ZERO WIDTH NON-JOINER}"
ZWJ = "\N{ZERO WIDTH JOINER}"
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
ZERO_WIDTH = (
    f"{ZWNJ}{ZWJ}{BOM}\N{ZERO WIDTH SPACE}\N{WORD JOINER}\N{SOFT HYPHEN}\N{MONGOLIAN VOWEL SEPARATOR}"
    "\N{COMBINING GRAPHEME JOINER}"
)
DIGITS = _span((0x0660, 0x0669))  # Arabic-Indic zero .. nine
PERSIAN_DIGITS = _span((0x06F0, 0x06F9))
WESTERN_DIGITS = "0123456789"
DECIMAL_MARK = "\N{ARABIC DECIMAL SEPARATOR}"
THOUSANDS_MARK = "\N{ARABIC THOUSANDS SEPARATOR}"
COMMA = "\N{ARABIC COMMA}"
SEMICOLON = "\N{ARABIC SEMICOLON}"
QUESTION = "\N{ARABIC QUESTION MARK}"
FULL_STOP = "\N{ARABIC FULL STOP}"
PERCENT = "\N{ARABIC PERCENT SIGN}"

_SPACES = "\t\N{NO-BREAK SPACE}\N{OGHAM SPACE MARK}\N{NARROW NO-BREAK SPACE}" + _span((0x2000, 0x200A))
_SPACES += "\N{MEDIUM MATHEMATICAL SPACE}\N{IDEOGRAPHIC SPACE}"
_LINE_ENDS = "\n\v\f\r\N{NEXT LINE}\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"
# Letters that elongation shortens: Arabic script only, because Roman numerals (VIII) and "www" are not stretched.
_STRETCHED = _span(
    (0x0620, 0x063F), (0x0641, 0x064A), (0x066E, 0x066F), (0x0671, 0x06D3), (0x06D5, 0x06D5), (0x06EE, 0x06EF),
    (0x06FA, 0x06FC), (0x06FF, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08C8),
)  # fmt: skip
_LIGATURES = _span((0xFB50, 0xFDFF), (0xFE70, 0xFEFE))  # presentation forms A and B, without the byte order mark
_PHRASES = {
    "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}": "صلى الله عليه وسلم",
    "\N{ARABIC LIGATURE JALLAJALALOUHOU}": "جل جلاله",
    "\N{ARABIC LIGATURE BISMILLAH AR-RAHMAN AR-RAHEEM}": "بسم الله الرحمن الرحيم",
    "\N{RIAL SIGN}": "ريال",
}

# --- normal forms ----------------------------------------------------------------------------------------------------

FORMS: dict[str, str] = {
    "nfkc": "Unicode NFKC: canonical composition and compatibility folding (ﷺ becomes 18 characters)",
    "nfc": "Unicode NFC: canonical composition, marks in canonical order",
    "phrases": "the ligatures ﷺ ﷻ ﷽ ﷼ written out as words",
    "presentation": "presentation forms to letters (ﻻ to لا), without the four of 'phrases'",
    "bidi": "bidirectional controls removed",
    "zero_width": "zero-width marks, soft hyphens and byte order marks removed; joiners inside an emoji are kept",
    "tatweel": "tatweel removed",
    "tashkeel": "vowel and recitation marks removed; combining hamza is kept, and madda but where nfc leaves it loose",
    "alef": "أ إ آ ٱ to ا",
    "hamza": "ؤ to و, ئ to ي, loose combining hamza and madda removed; ء is kept",
    "persian": "letters of Persian and Urdu keyboards to Arabic: ک ی ے ہ ھ ە ۀ ۃ to ك ي ي ه ه ه ه ة",
    "ya": "ى to ي",
    "ta_marbuta": "ة to ه",
    "digits": "Arabic-Indic and Persian digits to 0-9, Arabic decimal and thousands marks to . and ,",
    "digits_arabic": "Western and Persian digits to Arabic-Indic; decimal marks are kept",
    "punctuation": "Arabic and typographic punctuation to ASCII (؟ to ?, « to \", … to ...)",
    "unpunctuated": "every punctuation mark of the Basic Multilingual Plane (categories P*) to a space",
    "one_line": "every line end to a space",
    "elongation": "an Arabic letter repeated more than twice to two (تتتبع suffers, جميييل gains)",
    "spaces": "horizontal white space to single spaces, none at either end of a line",
}  # fmt: skip

PROFILES: dict[str, tuple[str, ...]] = {
    # Invisible or mechanical differences only; every letter that a reader sees stays. For training text.
    "clean": ("nfc", "presentation", "bidi", "zero_width", "spaces"),
    # For comparing a reply with a reference: what may differ between two spellings of what a reader takes for one word.
    # Vowel marks, stretching, glyph forms and invisible marks do not tell words apart in running text; alef, ya and ta
    # marbuta do (كرة / كره, على / علي), and folding them would forgive spelling mistakes, so they stay.
    "rouge": ("nfc", "presentation", "bidi", "zero_width", "tatweel", "tashkeel"),
    # For finding: every spelling that a writer may have used falls together. Never for measuring.
    "search": (
        "nfc", "phrases", "presentation", "bidi", "zero_width", "tatweel", "tashkeel", "alef", "hamza", "persian", "ya",
        "ta_marbuta", "digits", "punctuation", "one_line", "elongation", "spaces",
    ),
}  # fmt: skip

_CLASHES = (("digits", "digits_arabic"),)


def resolve(forms: str | Sequence[str]) -> tuple[str, ...]:
    """The name of a profile, or names of forms -> names of forms, each once, in the order in which they are applied.

    The result belongs in the signature of every number made with it. Raises MashqError for an unknown name, and for two
    forms that contradict each other.
    """
    if isinstance(forms, str):
        if forms not in PROFILES:
            known = ", ".join(PROFILES)
            raise MashqError(f"arabic: there is no profile '{forms}' ({known}).{nearest(forms, PROFILES)}")
        return PROFILES[forms]
    return _resolve(tuple(forms))


@lru_cache(maxsize=1024)
def _resolve(forms: tuple[str, ...]) -> tuple[str, ...]:
    for name in forms:
        if name not in FORMS:
            raise MashqError(f"arabic: there is no form '{name}' ({', '.join(FORMS)}).{nearest(str(name), FORMS)}")
    for one, other in _CLASHES:
        if one in forms and other in forms:
            raise MashqError(f"arabic: the forms '{one}' and '{other}' undo each other. Give one of them.")
    return tuple(name for name in FORMS if name in forms)


def _presentation() -> dict[str, str]:
    """Presentation form -> its letters by Unicode's own mapping; an isolated mark without the space NFKC adds."""
    shapes = {shape: unicodedata.normalize("NFKC", shape).lstrip(" ") for shape in _LIGATURES if shape not in _PHRASES}
    return {shape: letters for shape, letters in shapes.items() if letters != shape}


def _punctuation() -> dict[str, str]:
    ascii_of = {",": COMMA, ";": SEMICOLON, "?": QUESTION, ".": FULL_STOP, "%": PERCENT, "-": "‐‑‒–—―−", "...": "…"}
    ascii_of |= {'"': "«»“”„‟", "'": "‘’‚‛‹›", "*": "\N{ARABIC FIVE POINTED STAR}"}
    # In right-to-left text the glyph that Unicode calls the right ornate parenthesis opens.
    ascii_of |= {"(": "\N{ORNATE RIGHT PARENTHESIS}", ")": "\N{ORNATE LEFT PARENTHESIS}"}
    return {mark: to for to, marks in ascii_of.items() for mark in marks}


def _unpunctuated() -> dict[str, str]:
    return {chr(code): " " for code in range(0x10000) if unicodedata.category(chr(code)).startswith("P")}


# One character -> its replacement. What needs its neighbours (nfc, elongation, spaces, ...) is written in `_Plan`.
_MAPS: dict[str, Callable[[], dict[str, str]]] = {
    "phrases": lambda: dict(_PHRASES),
    "presentation": _presentation,
    "bidi": lambda: dict.fromkeys(BIDI, ""),
    "zero_width": lambda: dict.fromkeys(ZERO_WIDTH.replace(ZWJ, ""), ""),
    "tatweel": lambda: {TATWEEL: ""},
    "tashkeel": lambda: dict.fromkeys(TASHKEEL, ""),
    "alef": lambda: dict.fromkeys(ALEF_SEATS, ALEF),
    "hamza": lambda: {WAW_HAMZA: WAW, YA_HAMZA: YA, **dict.fromkeys(SEAT_MARKS, "")},
    "persian": lambda: dict(zip("کیےہھەۀۃ", "كييههههة", strict=True)),
    "ya": lambda: {ALEF_MAKSURA: YA},
    "ta_marbuta": lambda: {TA_MARBUTA: HA},
    "digits": lambda: dict(
        zip(DIGITS + PERSIAN_DIGITS + DECIMAL_MARK + THOUSANDS_MARK, WESTERN_DIGITS * 2 + ".,", strict=True)
    ),
    "digits_arabic": lambda: dict(zip(WESTERN_DIGITS + PERSIAN_DIGITS, DIGITS * 2, strict=True)),
    "punctuation": _punctuation,
    "unpunctuated": _unpunctuated,
    "one_line": lambda: dict.fromkeys(_LINE_ENDS, " "),
    "spaces": lambda: dict.fromkeys(_SPACES, " "),
}
_EXPANDING = ("phrases", "presentation")
_REMOVING = ("bidi", "zero_width", "tatweel", "tashkeel")
_LETTERS = ("alef", "hamza", "persian", "ya", "ta_marbuta")
_SIGNS = ("digits", "digits_arabic", "punctuation", "unpunctuated", "one_line", "spaces")

# A joiner belongs to an emoji when pictographs stand on both sides: arrows and symbols to U+2BFF, and U+1F000-1FAFF.
_PICTOGRAPH = "\u2190-\u2bff\U0001f000-\U0001faff"
_LOOSE_JOINER = re.compile(f"{ZWJ}(?![{_PICTOGRAPH}])|(?<![\ufe0f{_PICTOGRAPH}]){ZWJ}")
_SEATED_ALEF = re.compile(f"([{ALEF}{ALEF_SEATS}])[{SEAT_MARKS}]+")
_STRETCH = re.compile(f"([{_STRETCHED}])\\1\\1+")
_TRIPLE = re.compile(r"(.)\1\1")  # twice as fast as _STRETCH where there is none
_SPACE_RUN = re.compile("  +")
_LINE_EDGE = re.compile(" ?([\r\n]) ?")


class _Fold:
    """One character -> its replacement, anywhere in a string."""

    def __init__(self, table: Mapping[str, str]):
        self.table = dict(table)
        self.pattern = re.compile("[" + "".join(map(re.escape, self.table)) + "]")
        # One str.replace a letter beats a pattern that calls back at every hit, while the letters are few.
        self.one_by_one = len(self.table) <= 24 and self.table.keys().isdisjoint("".join(self.table.values()))

    def __call__(self, text: str) -> str:
        if not self.one_by_one:
            return self.pattern.sub(self._replacement, text)
        for char, to in self.table.items():
            text = text.replace(char, to)
        return text

    def _replacement(self, match: re.Match[str]) -> str:
        return self.table[match[0]]


def _composed(forms: Iterable[str]) -> dict[str, str]:
    """The maps of several forms, applied one after another, as one map."""
    whole: dict[str, str] = {}
    for form in forms:
        step = _MAPS[form]()
        whole = {char: "".join(step.get(each, each) for each in to) for char, to in whole.items()}
        whole = step | whole
    return whole


@dataclass(frozen=True)
class _Plan:
    """What `normalise` does for one set of forms, in the order of the fields."""

    forms: tuple[str, ...]
    compatibility: bool
    expand: _Fold | None
    joiners: bool
    remove: re.Pattern[str] | None
    compose: bool
    madda: bool
    seats: bool
    folds: tuple[_Fold, ...]
    shorten: bool
    space: bool

    def characters(self, text: str) -> str:
        """Expand, remove, compose, fold: all but the two forms that look at runs."""
        if self.compatibility:
            text = unicodedata.normalize("NFKC", text)
        if self.expand:
            text = self.expand(text)
        if self.joiners and ZWJ in text:
            text = _LOOSE_JOINER.sub("", text)
        if self.remove:
            text = self.remove.sub("", text)
        if self.compose:
            text = unicodedata.normalize("NFC", text)
        if self.madda and MADDA in text:  # a hamza behind it then comes to stand on the letter
            text = unicodedata.normalize("NFC", text.replace(MADDA, ""))
        if self.seats and any(mark in text for mark in SEAT_MARKS):
            text = _SEATED_ALEF.sub(r"\1", text)
        for fold in self.folds:
            text = fold(text)
        return unicodedata.normalize("NFC", text) if self.compose and self.folds else text

    def __call__(self, text: str) -> str:
        text = self.characters(text)
        if self.shorten and _TRIPLE.search(text):
            text = _STRETCH.sub(r"\1\1", text)
        return _single_spaced(text) if self.space else text


def _single_spaced(text: str) -> str:
    """`spaces` after its characters are mapped: runs of spaces, and spaces at the ends of lines."""
    if "  " in text:
        text = _SPACE_RUN.sub(" ", text)
    if "\n" in text or "\r" in text:
        text = _LINE_EDGE.sub(r"\1", text)
    return text.strip(" ")


@lru_cache(maxsize=1024)
def _plan(given: str | tuple[str, ...]) -> _Plan:
    forms = resolve(given)
    tables = [_composed(name for name in group if name in forms) for group in (_EXPANDING, _REMOVING, _LETTERS, _SIGNS)]
    expand, remove, *folds = tables
    return _Plan(
        forms=forms,
        compatibility="nfkc" in forms,
        expand=_Fold(expand) if expand else None,
        joiners="zero_width" in forms,
        remove=re.compile(f"[{''.join(remove)}]") if remove else None,
        compose="nfc" in forms or "nfkc" in forms,
        madda="tashkeel" in forms and ("nfc" in forms or "nfkc" in forms),
        seats="alef" in forms,
        folds=tuple(_Fold(fold) for fold in folds if fold),
        shorten="elongation" in forms,
        space="spaces" in forms,
    )


def normalise(text: str, forms: str | Sequence[str]) -> str:
    """The text in a normal form: `forms` is the name of a profile, or names from `FORMS` in any order.

    An empty string stays empty, no forms leave the text as it is. With "nfc" or "nfkc" the result is in NFC. Raises
    MashqError as `resolve` does.
    """
    return _plan(forms if isinstance(forms, str) else tuple(forms))(text)


# --- the same over columns -------------------------------------------------------------------------------------------
#
# A column is one long run of UTF-8. Letters and marks of Arabic are two bytes, so one table of 65,536 byte pairs maps
# or removes every one of them in two passes (pairs at even and at odd positions), without decoding. Bytes that never
# occur in UTF-8 stand for what is left to do: 0xFF is removed, 0xFE begins a three-byte character to look up, 0xFD says
# that the row needs its neighbours looked at and goes through `normalise`. The tables are read off `normalise` itself.
# Measured against UTF-16 code units, which must be decoded and encoded: docs/benchmarks/arabic_forms.md.

_GONE, _WIDE, _HARD = 0xFF, 0xFE, 0xFD
_CHUNK_BYTES = 1 << 19  # stays in a core's own cache; 128 KiB to 4 MiB were tried
_EMOJI_PAIR = 0x9FF0  # bytes F0 9F: U+1F000-1FFFF
_SEPARATOR = "\x01"  # a character that no form touches
_BMP = [chr(code) for code in range(1 << 16) if not 0xD800 <= code < 0xE000]


@dataclass(frozen=True)
class _Tables:
    """What the column path does for one set of forms."""

    plan: _Plan
    pairs: pa.Array  # (65536,) two bytes -> two bytes, little-endian
    wide: np.ndarray  # (65536, 3) code point of a three-byte character -> three bytes
    ascii: bytes | None  # 256 bytes for bytes.translate, where ASCII changes
    widen: bool  # ASCII digits become two bytes
    order: (
        np.ndarray | None
    )  # (65536,) two bytes -> canonical combining class, where the order of marks must be checked
    stretched: np.ndarray | None  # (65536,) two bytes -> is a letter that elongation shortens
    spaces: bool


@cache
def _not_inert() -> frozenset[str]:
    """Characters of the BMP that NFC may change, compose with what stands before them, or move."""
    chars = [char for char in _BMP if char != _SEPARATOR]
    composed = unicodedata.normalize("NFC", _SEPARATOR.join(chars)).split(_SEPARATOR)
    changed = {char for char, now in zip(chars, composed, strict=True) if char != now}
    seconds = {chr(code) for code in range(0x1160, 0x1200)}  # Hangul vowels and finals
    for parts in filter(None, map(unicodedata.decomposition, chars)):
        if not parts.startswith("<"):
            seconds.update(chr(int(part, 16)) for part in parts.split()[1:])
    return frozenset(changed | seconds | {char for char in chars if unicodedata.combining(char)})


def _needs_neighbours(forms: Sequence[str]) -> set[str]:
    """Characters of the BMP whose replacement depends on what stands beside them."""
    hard: set[str] = set()
    if "zero_width" in forms:
        hard.add(ZWJ)
    if "alef" in forms:
        hard.update(SEAT_MARKS)
    if "elongation" in forms:
        hard.update(char for char in _STRETCHED if len(char.encode()) == 3)
    if "nfc" in forms or "nfkc" in forms:  # removed marks do not matter, two-byte marks are put in order by `_ordered`
        easy = TASHKEEL if "tashkeel" in forms else [char for char in TASHKEEL if len(char.encode()) == 2]
        hard |= _not_inert().difference(easy)
    return hard


def _pair(data: bytes) -> int:
    return data[0] | data[1] << 8


def _pair_table(values: Mapping[str, int]) -> np.ndarray:
    """Two-byte character -> a small number, 0 for every other pair; characters of other lengths are left out."""
    table = np.zeros(1 << 16, dtype=np.uint8)
    for char, value in values.items():
        if len(char.encode()) == 2:
            table[_pair(char.encode())] = value
    return table


def _images(plan: _Plan) -> dict[str, str | None]:
    """Characters of the BMP that `plan` changes -> what it makes of each, None where that depends on its neighbours."""
    chars = [char for char in _BMP if char != _SEPARATOR]
    alone = plan.characters(_SEPARATOR.join(chars)).split(_SEPARATOR)
    hard = _needs_neighbours(plan.forms)
    images: dict[str, str | None] = dict.fromkeys(hard)
    for char, image in zip(chars, alone, strict=True):
        if image != char and char not in hard:
            images[char] = image if hard.isdisjoint(image) else None
    return images


def _byte_tables(images: Mapping[str, str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Images -> (pairs, wide) of `_Tables`. What grows does not fit in its place and goes through `normalise`."""
    pairs = np.arange(1 << 16, dtype="<u2")
    codes = np.arange(1 << 16)
    wide = np.stack([0xE0 | codes >> 12, 0x80 | codes >> 6 & 0x3F, 0x80 | codes & 0x3F], axis=1).astype(np.uint8)
    for char, to in images.items():
        data = char.encode()
        image = to.encode() if to is not None else bytes([_HARD])
        image = (image if len(image) <= len(data) else bytes([_HARD])).ljust(len(data), bytes([_GONE]))
        if len(data) == 2:
            pairs[_pair(data)] = _pair(image)
        elif len(data) == 3:
            wide[ord(char)] = tuple(image)
            pairs[_pair(data)] = _pair(bytes([_WIDE, data[1]]))
    return pairs, wide


@lru_cache(maxsize=64)
def _tables(forms: tuple[str, ...]) -> _Tables:
    plan = _plan(forms)
    images = _images(plan)
    pairs, wide = _byte_tables(images)
    first = np.arange(1 << 16) & 0xFF
    emoji = pairs[_EMOJI_PAIR]
    pairs[(first >= 0xF0) & (first <= 0xF4)] = _pair(bytes([_HARD, _GONE]))  # other planes are rare, emoji are not
    if "nfkc" not in forms:
        pairs[_EMOJI_PAIR] = emoji
    single = [images.get(chr(code)) or chr(code) for code in range(128)]
    low = bytes(ord(to) if to.isascii() and len(to) == 1 else code for code, to in enumerate(single))
    loose_marks = plan.compose and "tashkeel" not in forms
    return _Tables(
        plan=plan,
        pairs=_arrow(pairs),
        wide=wide,
        ascii=low + bytes(range(128, 256)) if low != bytes(range(128)) else None,
        widen="digits_arabic" in forms,
        order=_pair_table({char: unicodedata.combining(char) for char in TASHKEEL}) if loose_marks else None,
        stretched=_pair_table(dict.fromkeys(_STRETCHED, 1)) if "elongation" in forms else None,
        spaces="spaces" in forms,
    )


_Run = tuple[
    np.ndarray, np.ndarray
]  # (bytes) of n rows joined, (n + 1) where each row begins, first 0, last the length


def _pairs_at(data: np.ndarray, shift: int) -> np.ndarray:
    """The bytes as pairs, from an even (0) or odd (1) place on; the latter a copy, because it must be aligned."""
    part = data[shift : shift + (len(data) - shift) // 2 * 2]
    return (part.copy() if shift else part).view("<u2")


def _arrow(numbers: np.ndarray) -> pa.Array:
    """Numbers as an Arrow array over the same memory; `pa.array` would import pandas first, where it is installed."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [None, pa.py_buffer(numbers)])


def _look_up(table: pa.Array, pairs: np.ndarray) -> np.ndarray:
    """A table of whole numbers at the places that the pairs name."""
    found = pc.take(table, _arrow(pairs), boundscheck=False)
    return np.frombuffer(found.buffers()[1], dtype=f"<u{found.type.bit_width // 8}")[: len(found)]


def _rows_of(places: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.searchsorted(starts, places, side="right") - 1


def _widened(data: np.ndarray, starts: np.ndarray) -> _Run:
    """ASCII digits as Arabic-Indic digits, which take two bytes."""
    at = np.flatnonzero(data - ord("0") < 10)  # unsigned: what is below "0" is far above 10
    first, zero = DIGITS[0].encode()
    data = data.copy()
    data[at] += zero - ord("0")
    return np.insert(data, at, first), starts + np.searchsorted(at, starts)


def _mapped(data: np.ndarray, starts: np.ndarray, tables: _Tables) -> tuple[np.ndarray, np.ndarray]:
    """Every character looked up in place; and the rows that need `normalise`, which are wiped."""
    mapped = data.copy()
    for shift in (0, 1):  # a pair that is no character maps to itself, so the second pass cannot touch the first's
        image = _look_up(tables.pairs, _pairs_at(mapped, shift)).view(np.uint8)
        mapped[shift : shift + len(image)] = image
    at = np.flatnonzero(mapped == _WIDE)
    if len(at):
        lead, middle, last = (data[at + step].astype(np.intp) for step in range(3))
        codes = (lead & 0x0F) << 12 | (middle & 0x3F) << 6 | last & 0x3F
        mapped[at[:, None] + np.arange(3)] = tables.wide[codes]
    hard = np.unique(_rows_of(np.flatnonzero(mapped == _HARD), starts))
    for row in hard:
        mapped[starts[row] : starts[row + 1]] = _GONE
    return mapped, hard


def _ones(words: np.ndarray) -> np.ndarray:
    """How many bits are set in each 64-bit word, by adding neighbours: numpy 1 has no function for it."""
    odd, pairs, halves, bytes_ = (np.uint64(mask * (2**64 // (2**8 - 1))) for mask in (0x55, 0x33, 0x0F, 0x01))
    words = words - (words >> np.uint64(1) & odd)
    words = (words & pairs) + (words >> np.uint64(2) & pairs)
    words = (words + (words >> np.uint64(4))) & halves
    return (words * bytes_ >> np.uint64(56)).astype(np.intp)


def _squeezed(data: np.ndarray, starts: np.ndarray, ascii_table: bytes | None = None) -> _Run:
    """The bytes marked as gone taken out."""
    gone = np.packbits(data == _GONE, bitorder="little")
    words = np.frombuffer(
        gone.tobytes().ljust(len(data) // 64 * 8 + 8, b"\0"), dtype="<u8"
    )  # at least one bit to spare
    before = np.concatenate([[0], np.cumsum(_ones(words))])
    if ascii_table is None and not before[-1]:
        return data, starts
    word, bit = starts >> 6, (starts & 63).astype(np.uint64)
    shorter = before[word] + _ones(words[word] & ((np.uint64(1) << bit) - np.uint64(1)))
    raw = data.tobytes()
    sparse = ascii_table is None and before[-1] * 24 < len(data)
    raw = raw.replace(b"\xff", b"") if sparse else raw.translate(ascii_table, b"\xff")
    return np.frombuffer(raw, dtype=np.uint8), starts - shorter


def _without(places: np.ndarray, data: np.ndarray, starts: np.ndarray) -> _Run:
    if not len(places):
        return data, starts
    data = data.copy()
    data[places] = _GONE
    return _squeezed(data, starts)


def _ordered(data: np.ndarray, starts: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring marks exchanged where they are out of order; and the rows where one exchange is not enough."""
    places = np.concatenate([_misplaced(data, starts, shift, order) for shift in (0, 1)])
    if not len(places):
        return data, places
    data = data.copy()
    first, second = places[:, None] + np.arange(2), places[:, None] + np.arange(2, 4)
    data[first], data[second] = data[second], data[first]
    near = np.concatenate([places - 2, places + 2])
    near = near[(near >= 0) & (near + 3 < len(data))]
    ranks = [order[data[at] | data[at + 1].astype(np.intp) << 8] for at in (near, near + 2)]
    near = near[(ranks[0] > ranks[1]) & (ranks[1] > 0)]
    return data, np.unique(_rows_of(near + 2, starts))


def _misplaced(data: np.ndarray, starts: np.ndarray, shift: int, order: np.ndarray) -> np.ndarray:
    """Where a mark stands before one of a lower combining class; of places that overlap only the first."""
    rank = _look_up(_arrow(order), _pairs_at(data, shift))
    places = np.flatnonzero((rank[:-1] > rank[1:]) & (rank[1:] > 0)) * 2 + shift
    places = places[starts[_rows_of(places + 2, starts)] <= places]  # both marks in one row
    return places[np.diff(places, prepend=-9) > 2]


def _shortened(data: np.ndarray, starts: np.ndarray, stretched: np.ndarray) -> _Run:
    """The third and later letters of a run taken out."""
    places = []
    for shift in (0, 1):
        pairs = _pairs_at(data, shift)
        third = np.flatnonzero((pairs[2:] == pairs[1:-1]) & (pairs[2:] == pairs[:-2])) + 2
        third = third[stretched[pairs[third]] > 0] * 2 + shift
        places.append(third[starts[_rows_of(third, starts)] <= third - 4])
    at = np.concatenate(places)
    return _without(np.concatenate([at, at + 1]), data, starts)


def _evenly_spaced(data: np.ndarray, starts: np.ndarray) -> _Run:
    """`_single_spaced` for every row."""
    space = data == ord(" ")
    blank = space | (data == ord("\n")) | (data == ord("\r"))
    after_blank = np.empty(len(data), dtype=bool)
    after_blank[1:] = blank[:-1]
    after_blank[starts[starts < len(data)]] = True
    data, starts = _without(np.flatnonzero(space & after_blank), data, starts)
    ends = starts[1:][np.diff(starts) > 0]
    before_end = np.concatenate([ends, np.flatnonzero((data == ord("\n")) | (data == ord("\r")))]) - 1
    before_end = before_end[before_end >= 0]
    return _without(before_end[data[before_end] == ord(" ")], data, starts)


def _normalise_rows(data: np.ndarray, starts: np.ndarray, tables: _Tables) -> pa.Array:
    """n rows of UTF-8, one after another -> n strings."""
    run = _widened(data, starts) if tables.widen else (data, starts)
    mapped, hard = _mapped(*run, tables)
    run = _squeezed(mapped, run[1], tables.ascii)
    if tables.order is not None:
        ordered, unordered = _ordered(*run, tables.order)
        run, hard = (ordered, run[1]), np.union1d(hard, unordered)
    if tables.stretched is not None:
        run = _shortened(*run, tables.stretched)
    if tables.spaces:
        run = _evenly_spaced(*run)
    raw, offsets = run
    rows = len(starts) - 1
    buffers = [None, pa.py_buffer(offsets.astype("<i8")), pa.py_buffer(raw)]
    result = pa.Array.from_buffers(pa.large_string(), rows, buffers)
    if not len(hard):
        return result
    mask = np.zeros(rows, dtype=bool)
    mask[hard] = True
    bits = pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(np.packbits(mask, bitorder="little"))])
    texts = [tables.plan(data[starts[row] : starts[row + 1]].tobytes().decode()) for row in hard]
    return pc.replace_with_mask(result, bits, pa.array(texts, pa.large_string()))


def _blocks(column: pa.Array) -> Iterator[_Run]:
    """A string array without nulls, cut into runs of whole rows of about `_CHUNK_BYTES`."""
    wide = pa.types.is_large_string(column.type)
    _, places, content = column.buffers()
    offsets = np.frombuffer(places, dtype="<i8" if wide else "<i4")[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(content or b"", dtype=np.uint8)
    row = 0
    while row < len(column):
        reach = np.searchsorted(offsets, offsets[row] + _CHUNK_BYTES, side="right") - 1
        end = min(max(int(reach), row + 1), len(column))
        starts = offsets[row : end + 1].astype(np.intp)
        yield data[starts[0] : starts[-1]], starts - starts[0]
        row = end


def normalise_column(column: pa.Array | pa.ChunkedArray, forms: str | Sequence[str]) -> pa.Array:
    """A column of strings in a normal form, row by row equal to `normalise`.

    Nulls stay null. Takes strings of any Arrow layout, sliced, chunked or dictionary-encoded; the result is one array
    of `string` (`large_string` where the column is that, or where the result is longer than 2 GiB). Raises MashqError
    for a column of another type, and as `resolve` does.
    """
    tables = _tables(resolve(forms))
    kind = pa.large_string() if pa.types.is_large_string(column.type) else pa.string()
    pieces = []
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        texts = _strings(chunk, kind)
        filled = texts.fill_null("") if texts.null_count else texts
        made = [_normalise_rows(*block, tables) for block in _blocks(filled)] if len(filled) else []
        whole = pa.concat_arrays(made) if made else pa.array([], pa.large_string())
        pieces.append(pc.if_else(texts.is_valid(), whole, None) if texts.null_count else whole)
    result = pa.concat_arrays(pieces) if pieces else pa.array([], pa.large_string())
    too_long = sum(piece.nbytes for piece in pieces) >= 1 << 31
    return result if too_long else result.cast(kind)


def _strings(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    held = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(
        check(held)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    ):
        raise MashqError(expected_got("arabic: a column to normalise", "strings", str(column.type)))
    return column.cast(kind)


# --- words -----------------------------------------------------------------------------------------------------------

# Word boundaries of Unicode UAX #29, tailored; `words` says how. A full stop joins Latin letters and digits only,
# because a space is often missing after an Arabic sentence. Signatures name this tailoring `uax29-ar1`: who changes
# which words the pattern finds gives it the next number (`mashq.metrics.profile`) and changes the page that lists them,
# docs/how-to/read-a-signature.md.
_JOINING = "\u00ad\u061c\u180e\u200c-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"  # Format and Extend without a glyph
_BODY = r"[\p{L}\p{N}--[\p{Han}\p{Hiragana}]]"
_REST = r"[\p{L}\p{N}\p{M}_--[\p{Han}\p{Hiragana}]]"
_WORD = regex.compile(
    rf"""(?V1x)
    [#*0-9]\uFE0F?\u20E3                                                  # keycap
    | {_BODY} {_REST}*+
      (?: (?: [{_JOINING}]++
            | (?<=\p{{Nd}}) [.,{DECIMAL_MARK}{THOUSANDS_MARK}'’] (?=\p{{Nd}})
            | (?<=[\p{{L}}\p{{M}}]) ['’] (?=\p{{L}})
            | (?<=\p{{Latin}}) \. (?=\p{{Latin}})
          ) {_REST}++ )*+
    | [\p{{Han}}\p{{Hiragana}}]\p{{M}}*
    | \p{{Regional_Indicator}}{{2}}
    | [\p{{Extended_Pictographic}}--[\x00-\u25ff]] [\uFE0F\p{{Emoji_Modifier}}]? [\U000E0020-\U000E007F]*
      (?: {ZWJ} \p{{Extended_Pictographic}} [\uFE0F\p{{Emoji_Modifier}}]? )*
    """
)


def whole(text: str) -> str:
    """The text without lone surrogates: two halves that belong together become their character, a half alone U+FFFD.

    No file and no request can hold a half; a model's JSON may spell one, of an emoji.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def words(text: str) -> list[str]:
    """The words of a text in order: a vocalised word is one word, punctuation is none. No words give an empty list.

    Numbers keep their decimal marks (٣٫٥, 1,000.5). They are the words of Unicode UAX #29 but for this (`uax29-ar1`,
    with an example of each in docs/how-to/read-a-signature.md):

    * A full stop joins Latin letters, and digits, only: ساعدني.setModel is two words, example.com and 3.5 are one.
    * Colon, middle dot and the rest of MidLetter join nothing (ي·ت is two words); nor do an opening quotation mark ‘
      and the full stops and apostrophes of other widths.
    * Of the signs in numbers, comma, ٬ and ٫ join digits, and ٫ joins nothing else (ا٫ة is two words); ، ; ⁄ and the
      rest of MidNum join nothing: ١،٢ is two words.
    * An end of ayah and the other signs before numbers are no part of a word; nor is a low line at its beginning. Other
      connectors and the narrow no-break space part words.
    * A mark on a joining sign parts a word; a digit with a mark is to an apostrophe what a letter is.
    * Joiners, soft hyphens and bidi marks stay inside a word and are dropped at its end; other invisible format
      characters and colours of skin part it.
    * Superscripts, fractions and circled numbers join like digits (م² is one word); Katakana and the letters that UAX
      #29 leaves to dictionaries (Thai, Lao, Khmer, Burmese ...) join like letters.
    * A Han or Hiragana character is a word, also 々. 进制 is two words, as in UAX #29 without a dictionary.
    * Hebrew has no rules of its own; letter-like signs (Ⓐ, ˂) and the punctuation that Armenian and Syriac write inside
      a word part it.
    * An emoji is a word, with its joiners, flags and keycaps; pictures from U+2600 on are emoji.
    """
    return _WORD.findall(text)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each of `words` stands: (start, end) in characters."""
    return [match.span() for match in _WORD.finditer(text)]


# --- script ----------------------------------------------------------------------------------------------------------

_LETTER_RUN = regex.compile(rf"(?V1)[\p{{L}}--{TATWEEL}]+")
_ARABIC_RUN = regex.compile(r"(?V1)[\p{Arabic}&&\p{L}]+")


def arabic_share(text: str) -> float:
    """The share of a text's letters that are of the Arabic script, 0..1; 0.0 where there is no letter.

    Marks, digits, punctuation, tatweel and emoji are no letters. Persian and Urdu letters are Arabic script.
    """
    letters = sum(map(len, _LETTER_RUN.findall(text)))
    return sum(map(len, _ARABIC_RUN.findall(text))) / letters if letters else 0.0
