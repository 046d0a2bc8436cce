"""Noise with a record of itself, for `mashq.medical.posts`: a post is a list of pieces, and noise is a piece.

A piece knows its raw text and what the clean post has in its place, so offsets are sums of lengths and never searched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

from mashq.medical.posts_identifiers import make

__all__ = ["NOISE", "SPELLINGS", "Piece", "distort", "misspell", "shaped"]

SPELLINGS = ("spelling", "dialect_spelling")
TATWEEL = "\N{ARABIC TATWEEL}"
# Letters that join to the next one: tatweel stands only after these.
JOINING = "بتثجحخسشصضطظعغفقكلمنهي"
LONG = "اويه"  # letters that writers stretch
INVISIBLE = (
    "\N{ZERO WIDTH NON-JOINER}", "\N{ZERO WIDTH SPACE}", "\N{RIGHT-TO-LEFT MARK}", "\N{LEFT-TO-RIGHT MARK}",
    "\N{ZERO WIDTH NO-BREAK SPACE}", "\N{WORD JOINER}", "\N{ARABIC LETTER MARK}",
)  # fmt: skip
WORD = re.compile("[\N{ARABIC LETTER HAMZA}-\N{ARABIC LETTER YEH}]{3,}")
ARABIC = re.compile(
    "[\N{ARABIC LETTER HAMZA}-\N{ARABIC LETTER GHAIN}\N{ARABIC LETTER FEH}-\N{ARABIC SUKUN}"
    "0-9 :.\N{ARABIC COMMA}\N{ARABIC QUESTION MARK}]+"
)
MARK = re.compile("[\N{ARABIC QUESTION MARK}!.\N{ARABIC COMMA}]")
# The Arabic (101) keyboard: what the same keys write when the layout is left on US English.
KEYS = dict(zip("ضصثقفغعهخحجدشسيبلاتنمكطئءؤرىةوزظذأإآ", "qwertyuiop[]asdfghjkl;'zxcvnm,./`HYN", strict=True)) | {
    " ": " "
}
KEYS["لا"] = "b"
SITE = 0.8  # of the places where a habit of spelling could show
LETTER = "[\N{ARABIC LETTER HAMZA}-\N{ARABIC LETTER YEH}]"
HABITS = {
    "ta_marbuta": (re.compile(f"(?<={LETTER})ة(?!{LETTER})"), ("ه",)),
    "alef_maksura": (re.compile(f"(?<={LETTER})ى(?!{LETTER})"), ("ي",)),
    "ya": (re.compile(f"(?<={LETTER}{{2}})ي(?!{LETTER})"), ("ى",)),
    "alef": (re.compile("[أإآ]"), ("ا",)),
}


class Piece(NamedTuple):
    """A stretch of a post: raw text, the clean text in its place, and what is planted ("" where nothing is)."""

    text: str
    gold: str
    kind: str = ""
    form: str = ""


# --- spelling --------------------------------------------------------------------------------------------------------


def misspell(pieces: list[Piece], rng: Random, said: Mapping[str, Any]) -> list[Piece]:
    """One or two habits of spelling, each at most of its places; the same pieces where there is no place."""
    table = {word: tuple(forms) for word, forms in said["spellings"].items()}
    sites = [
        () if piece.kind or piece.gold != piece.text else _sites(piece.text, said["name"], tuple(table.items()))
        for piece in pieces
    ]
    present = sorted({habit for found in sites for _, _, habit, _ in found})
    if not present:
        return pieces
    habits = set(rng.sample(present, min(len(present), 1 + (rng.random() < 0.5))))
    made: list[Piece] = []
    must = True  # the first place always shows the habit, so that a post chosen for it has it
    for piece, found in zip(pieces, sites, strict=True):
        at = 0
        for start, end, habit, forms in found:
            if habit not in habits or start < at or not (must or rng.random() < SITE):
                continue
            must = False
            made += [_bare(piece.text[at:start])] if start > at else []
            gold = piece.text[start:end]
            kind, form = ("dialect_spelling", gold) if habit == "variants" else ("spelling", habit)
            made.append(Piece(forms[int(rng.random() * len(forms))], gold, kind, form))
            at = end
        made.append(_bare(piece.text[at:]) if at else piece)
    return made


@cache
def _table(variety: str, table: tuple[tuple[str, tuple[str, ...]], ...]) -> re.Pattern[str]:
    longest = sorted((word for word, _ in table), key=len, reverse=True)
    return re.compile(
        f"(?<!{LETTER})(?:{'|'.join(map(re.escape, longest))})(?![{LETTER[1:-1]}\N{ARABIC FATHATAN}-\N{ARABIC SUKUN}])"
    )


@cache
def _sites(text: str, variety: str, table: Any) -> tuple[tuple[int, int, str, tuple[str, ...]], ...]:
    """Where a text can be misspelt: start, end, habit, the forms to choose from. Grows with the phrases, not the posts,
    but for a few numbers in them."""
    forms = dict(table)
    found = [(m.start(), m.end(), "variants", forms[m[0]]) for m in _table(variety, table).finditer(text)]
    for habit, (pattern, to) in HABITS.items():
        if habit == "ya" and variety != "المصرية":  # final ya without dots is a habit of Egypt
            continue
        found += [(m.start(), m.end(), habit, to) for m in pattern.finditer(text)]
    return tuple(sorted(found))


def _bare(text: str) -> Piece:
    return Piece(text, text)


# --- noise -----------------------------------------------------------------------------------------------------------


class Scene(NamedTuple):
    """What the kinds of noise draw from."""

    rng: Random
    said: Mapping[str, Any]
    noise: Mapping[str, Any]
    names: Mapping[str, Any]


def distort(pieces: list[Piece], rng: Random, said: Any, noise: Any, names: Any) -> list[Piece]:
    """One to three kinds of noise; a kind that finds no place in this post gives way to an emoji."""
    scene = Scene(rng, said, noise, names)
    for kind in rng.sample(NOISE, rng.choice((1, 1, 2, 3))):
        pieces = MAKERS[kind](pieces, scene) or MAKERS["emoji"](pieces, scene) or pieces
    return pieces


def _insert(pieces: list[Piece], rng: Random, noise: Piece, gap: str = " ", ends: bool = False) -> list[Piece]:
    """A piece between words, with a gap that the clean post does not have; with ends, only first or last."""
    space = Piece(gap, "")
    places = [at for at in range(1, len(pieces)) if pieces[at - 1].text[-1:].isspace() and pieces[at - 1].gold]
    places = [0, len(pieces)] if ends or not places else [*places, len(pieces)]
    at = places[int(rng.random() * len(places))]
    new = [space, noise] if at == len(pieces) else [noise, space]
    return [*pieces[:at], *new, *pieces[at:]]


def _swap(pieces: list[Piece], at: int, start: int, end: int, new: Sequence[Piece]) -> list[Piece]:
    """text[start:end] of one bare piece replaced."""
    text = pieces[at].text
    sides = [_bare(part) for part in (text[:start], text[end:])]
    middle = [*sides[:1], *new, *sides[1:]]
    return [*pieces[:at], *(piece for piece in middle if piece.text), *pieces[at + 1 :]]


def _word(pieces: list[Piece], rng: Random, fits: Callable[[str], bool]) -> tuple[int, int, str] | None:
    """A word of a bare piece: the piece's place, where the word begins in it, the word."""
    found = [
        (at, match.start(), match[0])
        for at, piece in enumerate(pieces)
        if not piece.kind and piece.gold == piece.text
        for match in WORD.finditer(piece.text)
        if fits(match[0])
    ]
    return found[int(rng.random() * len(found))] if found else None


def _phrase(pieces: list[Piece], rng: Random, fits: Callable[[str], object]) -> int | None:
    """A bare piece that holds more than a separator."""
    found = [
        at for at, p in enumerate(pieces) if not p.kind and p.gold == p.text and WORD.search(p.text) and fits(p.text)
    ]
    return found[int(rng.random() * len(found))] if found else None


def _listed(kind: str, key: str, gap: str = " ", ends: bool = False, before: str = "") -> Callable[..., list[Piece]]:
    """A kind of noise that is a line of noise.yaml."""

    def plant(pieces: list[Piece], scene: Scene) -> list[Piece]:
        text = before + scene.rng.choice(scene.noise[key])
        form = "line" if len(text) > 30 else text
        return _insert(pieces, scene.rng, Piece(text, "", kind, form), gap, ends)

    return plant


def _url(pieces: list[Piece], scene: Scene) -> list[Piece]:
    text, form = make("url", scene.rng, "msa", scene.names, {"latin": scene.names["latin"].split()})
    return _insert(pieces, scene.rng, Piece(text, "", "url", form))


def _mention(pieces: list[Piece], scene: Scene) -> list[Piece]:
    nick = scene.rng.choice(scene.names["latin"].split()).replace(".", "_")
    return _insert(pieces, scene.rng, Piece(f"@{nick}_{scene.rng.randrange(10, 999)}", "", "mention", "at"))


def _arabizi(pieces: list[Piece], scene: Scene) -> list[Piece]:
    return _insert(
        pieces, scene.rng, Piece(scene.rng.choice(scene.said["arabizi"]), "", "arabizi", "sentence"), "\n", True
    )


def _elongation(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    def runs(word: str) -> list[int]:
        return [i for i in range(1, len(word)) if word[i] in LONG and word[i] not in word[i - 1] + word[i + 1 : i + 2]]

    if (found := _word(pieces, scene.rng, lambda word: bool(runs(word)))) is None:
        return None
    at, start, word = found
    place, times = scene.rng.choice(runs(word)), scene.rng.randrange(3, 8)
    new = Piece(word[place] * times, word[place], "elongation", f"x{times}")
    return _swap(pieces, at, start + place, start + place + 1, [new])


def _punctuation(pieces: list[Piece], scene: Scene) -> list[Piece]:
    rng, times = scene.rng, scene.rng.randrange(3, 7)
    marks = [(at, m.start(), m[0]) for at, p in enumerate(pieces) if not p.kind and p.gold == p.text
             for m in MARK.finditer(p.text)]  # fmt: skip
    if not marks:
        return [*pieces, Piece("!" * times, "", "punctuation", f"x{times}")]
    at, start, mark = rng.choice(marks)
    return _swap(pieces, at, start, start + 1, [Piece(mark * times, mark, "punctuation", f"x{times}")])


def _tatweel(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    found = _word(pieces, scene.rng, lambda word: any(letter in JOINING for letter in word[:-1]))
    if found is None:
        return None
    at, start, word = found
    place = scene.rng.choice([i + 1 for i, letter in enumerate(word[:-1]) if letter in JOINING])
    times = scene.rng.randrange(1, 7)
    return _swap(pieces, at, start + place, start + place, [Piece(TATWEEL * times, "", "tatweel", f"x{times}")])


def _zero_width(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    found = _word(pieces, scene.rng, lambda word: True)
    if found is None:
        return None
    at, start, word = found
    place, mark = scene.rng.randrange(len(word) + 1), scene.rng.choice(INVISIBLE)
    return _swap(pieces, at, start + place, start + place, [Piece(mark, "", "zero_width", unicodedata.name(mark))])


def _mojibake(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    if (at := _phrase(pieces, scene.rng, lambda text: True)) is None:
        return None
    text, encoding = pieces[at].text, scene.rng.choice(("cp1256", "cp1256", "latin-1"))
    return _swap(pieces, at, 0, len(text), [Piece(text.encode().decode(encoding), text, "mojibake", encoding)])


def _keyboard(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    at = _phrase(pieces, scene.rng, lambda text: all(letter in KEYS for letter in text))
    if at is None:
        return None
    text = pieces[at].text
    keys = "".join(KEYS[part] for part in re.findall("لا|.", text))
    return _swap(pieces, at, 0, len(text), [Piece(keys, text, "keyboard", "arabic101_us")])


@cache
def _forms() -> dict[tuple[str, str], str]:
    """(letters, isolated | final | initial | medial) -> presentation form B, by Unicode's own decompositions."""
    forms = {}
    for code in range(0xFE80, 0xFEFD):
        tag, *letters = unicodedata.decomposition(chr(code)).split()
        forms["".join(chr(int(letter, 16)) for letter in letters), tag.strip("<>")] = chr(code)
    return forms


def shaped(text: str) -> str:
    """Arabic letters as presentation forms (lam-alef as one); NFKC gives back a text without tatweel and with its marks
    in place. Characters without a form are kept and end a join, vowel marks do not."""
    forms, made, joined = _forms(), "", False
    units = re.findall("ل[اأإآ]|.", text, re.DOTALL)
    letters = [unit for unit in units if not unicodedata.combining(unit[0])]
    after = iter([*letters[1:], ""])
    for unit in units:
        if unicodedata.combining(unit[0]):
            made += unit
            continue
        follows = next(after)
        onward = (unit, "initial") in forms and (follows, "final") in forms
        shape = ("medial" if onward else "final") if joined else ("initial" if onward else "isolated")
        made += forms.get((unit, shape)) or forms.get((unit, "isolated"), unit)
        joined = onward
    return made


def _presentation(pieces: list[Piece], scene: Scene) -> list[Piece] | None:
    if (at := _phrase(pieces, scene.rng, ARABIC.fullmatch)) is None:
        return None
    text = pieces[at].text
    return _swap(pieces, at, 0, len(text), [Piece(shaped(text), text, "presentation", "forms_b")])


MAKERS: dict[str, Callable[[list[Piece], Scene], list[Piece] | None]] = {
    "url": _url,
    "mention": _mention,
    "hashtag": _listed("hashtag", "hashtags", before="#"),
    "emoji": _listed("emoji", "emoji"),
    "html_entity": _listed("html_entity", "entities"),
    "html_tag": _listed("html_tag", "tags"),
    "boilerplate": _listed("boilerplate", "boilerplate", "\n", ends=True),
    "quote": _listed("quote", "quotes", "\n", ends=True),
    "arabizi": _arabizi,
    "elongation": _elongation,
    "punctuation": _punctuation,
    "tatweel": _tatweel,
    "zero_width": _zero_width,
    "mojibake": _mojibake,
    "keyboard": _keyboard,
    "presentation": _presentation,
}
NOISE = tuple(MAKERS)
