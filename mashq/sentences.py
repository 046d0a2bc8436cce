"""Texts -> pieces: sentences to translate one by one, and everything between them, which is put back as it is.

Made for prompts: templated text with labels, lists, choices, code, addresses, placeholders and Jinja, in English and
Arabic. Three rules decide what a piece is.

* Nothing is lost: the pieces joined are the text, character for character.
* Equal sentences are equal strings wherever they stand, because each is translated once: white space, list marks, tags
  and emoji at a sentence's edges are pieces of their own. So is a label ("Premise:", "السؤال:"), which is translated,
  but apart from the value after it: the label repeats in every prompt of a template and the value in every template of
  a data set, while the two together hardly ever do. A lone letter ("B", "Q:") names a choice and stays.
* When in doubt two sentences stay one: an engine translates two at once better than a half.

`mask` hides what must not be translated inside a sentence, and `unmask` puts it back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import regex

from mashq.arabic import BIDI, BOM, COMMA, FULL_STOP, QUESTION, SEMICOLON, TASHKEEL, TATWEEL, WAW, ZWJ, ZWNJ
from mashq.rows import MashqError, expected_got, nearest

__all__ = ["LEFT", "Masked", "Piece", "Source", "mask", "parts", "sentences", "split", "unmask"]

Source = Literal["en", "ar"]

LEFT: dict[str, str] = {
    "space": "white space, line ends, and marks without a glyph at a sentence's edge",
    "list mark": 'what numbers or marks an item ("- ", "1.", "(b)", "أ-"), and a lone letter, which names a choice',
    "code": "code between backticks or in a code-like line, JSON",
    "template": "Jinja: {{ x }}, {% if x %}, {# x #}",
    "tag": "HTML and XML tags and entities",
    "address": "URLs, e-mail addresses, handles, hashtags, paths, file names",
    "math": "LaTeX",
    "placeholder": "{name}, %s, $VAR, <NAME>, [MASK], ____",
    "emoji": "pictures",
    "number": "no letter, but a digit",
    "punctuation": "neither a letter nor a digit",
    "target language": "Arabic in an English text",
    "other script": "letters, but none of the source language's script",
}


class Piece(NamedTuple):
    """A part of a text. `left` is None for a sentence to translate, else a key of `LEFT`: why it stays as it is."""

    text: str
    left: str | None = None


class Masked(NamedTuple):
    """A sentence with marks for what must not be translated, and what stood there: `kept[0]` is that of mark [1]."""

    text: str
    kept: tuple[str, ...]


# --- what is never translated and never cut -------------------------------------------------------------------------

_LINE_ENDS = "\n\v\f\r\N{NEXT LINE}\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"
_HIDDEN = f"{BIDI}{BOM}\N{ZERO WIDTH SPACE}\N{WORD JOINER}"
_LATIN = "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_ARABIC = "\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06fa-\u06fc\u06ff\u0750-\u077f\u0870-\u0887"
_ARABIC += "\u08a0-\u08c8\ufb50-\ufbb1\ufbd3-\ufd3d\ufd50-\ufdfb\ufe70-\ufefc"
_PICTURE = "[\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_INLINE = "a|abbr|b|cite|code|em|font|i|kbd|mark|q|s|small|span|strong|sub|sup|u"
_ATTRIBUTES = (
    r"(?:\s{1,9}[\w:@.-]{1,60}\s{0,9}=\s{0,9}(?:\"[^\"\n]{0,2000}\"|'[^'\n]{0,2000}'|[^\s\"'<>=]{1,2000})"
    r"|\s{1,9}(?:async|checked|controls|defer|disabled|hidden|multiple|readonly|required|selected)){0,30}\s{0,9}"
)
_END_OF_URL = r"[^\s<>\"«»{}|`.,;:!?'”’)\]،؛؟]"
_IN_URL = r"[^\s<>\"«»{}|`،؛؟]"
_FILES = (
    "avi|bmp|cfg|cpp|css|csv|docx?|exe|gif|gz|html?|ini|ipynb|java|jpe?g|js|json|jsonl|log|md|mp[34]|parquet|pdf|png"
)
_FILES += "|pptx?|py|rar|rb|rs|sh|sql|svg|tar|tex|toml|ts|tsv|txt|wav|xlsx?|xml|ya?ml|zip"

# Kind -> its pattern; the first that matches wins. Every repetition is bounded, so that a long line of openers without
# an end costs a fixed amount each. `control`, `block`, `close`, `inline` and `note` differ in how they end a sentence.
_ATOMS = {
    "code": r"(?<!`)(?P<tick>`{1,3})(?!`)(?:(?!'')[^`\n]){1,2000}(?P=tick)(?!`)"
    r"|<(?P<verbatim>code|pre|kbd)\b[^<>\n]{0,200}>[^\n]{0,2000}?</(?P=verbatim)>"
    r"|\{\s{0,9}[\"'][^{}\n]{0,2000}(?:\{[^{}\n]{0,500}\}[^{}\n]{0,500}){0,20}\}"
    r"|\\[ntr](?![a-z])",
    "template": r"\{\{(?:\"[^\"\n]{0,500}\"|'[^'\n]{0,500}'|[^\"'}\n]|\}(?!\})){0,500}+\}\}|\{\{[^\n]{0,500}?\}\}",
    "control": r"\{%[^\n]{0,500}?%\}|\{\#[^\n]{0,500}?\#\}",
    "placeholder": r"\{[A-Za-z_][\w .\[\]'-]{0,40}\}|\{\d{0,3}\}|<\|[^|<>\n]{1,40}\|>|<[A-Z][A-Z0-9_ -]{0,40}>"
    r"|<extra_id_\d{1,3}>|</?s>|\[/?[A-Z][A-Z0-9_]{1,30}\]|_{2,}|\$\{\w{1,40}\}|\$[A-Za-z_]\w{0,60}+(?![\w$^+={}\\])"
    r"|%\(\w{1,40}\)[sdfr]|(?<![\w%])%(?:\.\d{1,2})?[sdfi](?!\w)",
    "close": rf"</(?:{_INLINE})\s{{0,9}}>",
    "inline": rf"<(?:{_INLINE}){_ATTRIBUTES}>|&(?:[A-Za-z]{{2,8}}|\#\d{{1,6}});",
    "block": rf"<!--[^\n]{{0,2000}}?-->|</?[A-Za-z][\w:.-]{{0,40}}{_ATTRIBUTES}/?>|<[!?][A-Za-z][^<>\n]{{0,200}}>",
    "address": rf"(?:https?|ftp)://{_IN_URL}*{_END_OF_URL}|(?<!\w)www\.{_IN_URL}*{_END_OF_URL}"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"
    r"|(?<![\w@])@(?=\w{0,40}[^\W\d_])\w{2,60}|(?<![\w\#&])\#(?=\w{0,40}[^\W\d_])\w{2,100}"
    r"|(?<![\w/.<])(?:~|\.{1,2})?/(?=[\w.+-]{0,60}[A-Za-z])(?:[A-Za-z0-9_.+-]{1,60}/){0,20}[A-Za-z0-9_+-]{1,60}"
    r"(?:\.[A-Za-z0-9_+-]{1,20}){0,3}/?|(?<!\w)[A-Za-z]:\\(?:[\w.+-]{1,60}\\){0,20}[\w.+-]{0,60}\w"
    r"|(?<![\w/.-])(?:[A-Za-z0-9_-]{1,60}/){1,20}[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9]{1,5}(?!\w)"
    rf"|(?<![\w/.-])[A-Za-z0-9_-]{{1,60}}\.(?:{_FILES})(?!\w)"
    rf"|(?<![\w@.-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,4}}(?:com|org|net|edu|gov|io|info)(?![\w-])(?:/(?:{_IN_URL}*{_END_OF_URL})?)?",
    "math": r"\$\$[^$\n]{1,2000}\$\$|\\\([^\n]{1,500}?\\\)|\\\[[^\n]{1,500}?\\\]"
    r"|(?<![\\$\w])\$(?![\s$])(?=[^$\n]{0,300}[\\^_=+<>{}/*-]|[A-Za-z]'?\$|[A-Za-z]\()[^$\n]{1,300}(?<!\s)\$(?![\w$])"
    r"|\\begin\{(?P<env>\w{1,20}\*?)\}[^\n]{0,2000}?\\end\{(?P=env)\}|\\[A-Za-z]{2,30}(?:\{[^{}\n]{0,200}\}){0,4}",
    "note": r"\[\s*\d+\s*\]",
    "emoji": rf"(?:{_PICTURE}|[0-9\#*]\ufe0f?\u20e3)(?:{_PICTURE}|[\ufe0e\ufe0f\U000e0020-\U000e007f]"
    rf"|{ZWJ}{_PICTURE}|[0-9\#*]\ufe0f?\u20e3)*",
}
_REASONS = {kind: kind if kind in LEFT else "tag" for kind in _ATOMS} | {"control": "template", "note": "number"}
# An atom begins with a sign or at the beginning of a word: looked at first, which makes the search twice as fast.
_MAY_BEGIN = rf"(?=[`{{<$\\@\#%\[&/~._*]|(?<!\w)\w|(?<![A-Za-z0-9])[A-Za-z0-9]|{_PICTURE})"
_ATOM = re.compile(f"{_MAY_BEGIN}(?:{'|'.join(f'(?P<{kind}>{pattern})' for kind, pattern in _ATOMS.items())})")
_TRIGGER = re.compile(rf"\.[a-z]|\u20e3|{_PICTURE}")

# While a line is cut, an atom is a run of one private letter of its kind: every place in this shadow is that of the
# line, and no pattern below looks into an atom.
_FILLERS = {kind: chr(0xE000 + place) for place, kind in enumerate(_ATOMS)}
_REASON_OF = {filler: _REASONS[kind] for kind, filler in _FILLERS.items()}
_ANY_FILLER = "".join(_FILLERS.values())
_BAR = chr(0xE000 + len(_ATOMS))  # a bar between two cells of a table
_REASON_OF[_BAR] = "punctuation"
_PEELED = _FILLERS["control"] + _FILLERS["block"] + _FILLERS["emoji"] + _BAR


_FREE_BAR = re.compile(rf"(?<![^\s{_ANY_FILLER}{_HIDDEN}])\|+|\|+(?![^\s{_ANY_FILLER}{_HIDDEN}])")  # not that of P(A|B)


def _may_hold_atom(text: str) -> bool:
    """Whether a text holds a sign that every atom holds one of. One test a sign is faster than one pattern."""
    return (
        "/" in text or "{" in text or "<" in text or "`" in text or "@" in text or "[" in text or "$" in text
        or "#" in text or "%" in text or "\\" in text or "__" in text or "&" in text
        or ((not text.isascii() or text.find(".", 0, -1) >= 0) and _TRIGGER.search(text) is not None)
    )  # fmt: skip


def _shadow(line: str) -> str:
    """The line with every atom, and every bar of a table's row, replaced by fillers of equal length."""
    shadow = _ATOM.sub(_filled, line) if _may_hold_atom(line) else line
    if "|" in shadow:
        is_row = shadow[0] == shadow[-1] == "|" and len(shadow) > 1
        shadow = shadow.replace("|", _BAR) if is_row else _FREE_BAR.sub(lambda match: _BAR * len(match[0]), shadow)
    return shadow


def _filled(match: re.Match[str]) -> str:
    return _FILLERS[match.lastgroup or ""] * len(match[0])


# --- blocks of several lines -----------------------------------------------------------------------------------------

_BLOCK_KINDS = {
    "code": r"(?<![`\w])(?P<fence>`{3,}|~~~+)[^`\n]*\n[\s\S]*?(?P=fence)`*|^[ ]{0,9}`{3}[^`\n]*(?:\n[\s\S]*)?\Z"
    r"|<(?P<verbatim>code|pre|script|style)\b[^<>]{0,200}>[\s\S]{0,4000}?</(?P=verbatim)>"
    r"|^(?P<indent>[ \t]{0,40})(?:(?:async )?def \w+\(|class \w+)[^\n]*:[^\n]*"
    r"(?:\n(?P=indent)[ \t]+\S[^\n]*|\n[ \t]*(?=\n))+",
    "template": r"\{\{[^{}]{0,2000}\}\}|\{%[\s\S]{0,2000}?%\}|\{\#[\s\S]{0,2000}?\#\}",
    "tag": r"<!--[\s\S]{0,4000}?-->",
    "math": r"\$\$[^$]{1,3000}\$\$|\\\[[\s\S]{1,2000}?\\\]"
    r"|\\begin\{(?P<env>\w{1,20}\*?)\}[\s\S]{0,4000}?\\end\{(?P=env)\}",
    "json": r"^[ \t]{0,40}[\[{](?=\s*[\[{\"\]}])",
}
_BLOCK = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _BLOCK_KINDS.items()), re.MULTILINE)
_JSON = json.JSONDecoder()


def _blocks(text: str) -> Iterator[tuple[int, int, str]]:
    """Blocks that span a line end, in order: (start, end, reason)."""
    at = 0
    while match := _BLOCK.search(text, at):
        start, end, kind = match.start(), match.end(), match.lastgroup or ""
        if kind == "json":
            start = end - 1
            end, read = _json_end(text, start)
            at = max(read, start + 1)
        else:
            at = max(end, start + 1)
        lead = len(text[start:end]) - len(text[start:end].lstrip())
        body = text[start:end].strip()
        if "\n" in body or "\r" in body:
            yield start + lead, start + lead + len(body), "code" if kind == "json" else kind
        elif kind != "json":  # one line: the line's own patterns know it better
            at = end


def _may_hold_block(text: str) -> bool:
    """Whether a text holds a sign that every block holds one of; written out, because every text is asked."""
    return (
        "{" in text or "[" in text or "<" in text or "\\" in text or "```" in text or "~~~" in text or "$$" in text
        or "def " in text or "class " in text
    )  # fmt: skip


def _json_end(text: str, start: int) -> tuple[int, int]:
    """Where a JSON value that begins at `start` ends (`start` where there is none), and how far it was read."""
    try:
        end = _JSON.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        return start, error.pos
    except RecursionError:
        return start, len(text)
    return end, end


# --- sentences in a line ---------------------------------------------------------------------------------------------

_STRONG = f"!?…{QUESTION}{SEMICOLON}{FULL_STOP}"
_OPENERS = "([{«“‘"
_CLOSERS = "\"'”’»›)]}\N{ORNATE LEFT PARENTHESIS}*" + _FILLERS["close"] + _FILLERS["note"] + _HIDDEN + ZWNJ
_NO_START = f",;:{COMMA}{SEMICOLON}…)]}}»”"  # what follows a mark inside a sentence: "(؟)،"
_END = re.compile(
    rf"((?:\.[ ]){{2,9}}\.|[.{_STRONG}]+)"
    rf"((?:[{re.escape(_CLOSERS)}]|[ ][»\N{{ORNATE LEFT PARENTHESIS}}])*)([\s{_HIDDEN}]*)"
)
_GAP = re.compile(rf"[\s{_HIDDEN}]*")
_EDGE = "".join(char for char in map(chr, range(0x3001)) if char.isspace()) + _HIDDEN
_WORD_CHAR = re.compile(rf"[^\W_]|[{_ANY_FILLER}]")
_DASHED = re.compile(r"[-–—]\s*[a-z]")
_TAIL = 24  # characters before a mark that its meaning depends on


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# English abbreviations. Before a name or a thing they never end a sentence; before a number they are short for a
# place in a book; the others end one where the next word is one that begins sentences.
_BEFORE_NAMES = _names(
    "adm attn brig capt cf cmdr col cpl det dr e.g fr gen gov hon i.e lt maj messrs mlle mme mr mrs ms mt "
    "pres prof rep rev sen sgt st supt viz vs v"
)
_BEFORE_NUMBERS = _names("approx art c ca ch chap ed eq eqs fig figs n no nos p para pp pt sec sect tab vol vols")
_AT_ENDS = _names("a.m am al etc p.m pm")
_ANYWHERE = _names(
    "apt assn ave avg blvd bros co corp dept dist div esp est ext ft gal govt hr hrs inc intl jr lb lbs ltd "
    "max min misc oz ph.d rd sq sr tel temp univ jan feb mar apr jun jul aug sep sept oct nov dec mon tue "
    "tues wed thu thurs fri sat sun"
)
_STARTER = re.compile(
    r"(?:A|After|All|Also|Although|An|And|Another|Any|Are|As|At|Because|Before|Both|But|By|Can|Could|Did|Do|Does|Each|Even|Every|"
    r"Few|For|From|Had|Has|Have|He|Her|Here|His|How|However|I|If|In|Is|It|Its|Leave|Let|Many|Maybe|Most|My|Nevertheless|No|"
    r"Nobody|None|Not|Nothing|Now|Of|On|Once|One|Only|Or|Other|Our|Perhaps|Please|She|Should|Since|So|Some|Somebody|Someone|Soon|"
    r"Still|Such|That|The|Their|Then|There|Therefore|These|They|This|Those|Though|Thus|To|Today|Tomorrow|Was|We|Were|What|When|"
    r"Where|Which|While|Who|Whose|Why|Will|With|Would|Yes|Yesterday|Yet|You|Your)(?![\w.])"
)
_NO_SENTENCE = re.compile(  # what follows a time of day inside a sentence
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|(?:Jan|Febr)uary|March|April|May|June|July|August|September|October|"
    r"November|December|[A-Z]{2,4}\b|Eastern|Pacific|Central"
)
_GLUED_WORD = re.compile(r"[A-Z](?:[a-z]+|(?= ))(?=[\s,'’])")
# "د.", "ق.م.", "أ. د.", "وأ.د.": single letters. After a number م and هـ are "AD" and "AH": _YEAR_MARK.
_INITIALS = regex.compile(
    rf"""(?V1x)
    (?: ^ | [^\p{{L}}\p{{M}}\p{{N}}{TATWEEL}.] ) (?: و (?=[أتجدشصطقم]) )?
    (?: \p{{L}}\p{{M}}*{TATWEEL}? \.\s? )* \p{{L}}\p{{M}}*{TATWEEL}? $
    """
)
_YEAR_MARK = regex.compile(rf"\p{{Nd}}\s*(?:م|ه{TATWEEL}?)$")
_JOINED = regex.compile(r"(?V1)[\p{Arabic}&&\p{L}]\p{M}*[\p{Arabic}&&\p{L}]\p{M}*\s*$")  # two letters before a stop
_ARABIC_LETTER = re.compile(f"[{_ARABIC}]")
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")


def _sentence_end(shadow: str, start: int) -> int:
    """Where the sentence that begins at `start` ends, its closing quotes with it."""
    for match in _END.finditer(shadow, start):
        if match.end() == len(shadow) or _ends(shadow, start, match):
            return match.end(2)
    return len(shadow)


def _ends(shadow: str, start: int, match: re.Match[str]) -> bool:
    """Whether the mark at `match`, which something follows, ends the sentence that began at `start`."""
    mark, closed, gap = match.groups()
    dot, after = match.start(), match.end()
    follower = shadow[after]
    if follower in _NO_START or not _WORD_CHAR.search(shadow, start, dot) or shadow[dot - 1] in _OPENERS:
        return False
    if follower.islower():
        return bool(gap) and mark != "…" and _label_end(shadow, after) > 0 and not _is_short(shadow, start, dot, after)
    if follower in "-–—" and _DASHED.match(shadow, after):
        return False
    if not gap.strip(_HIDDEN):
        return follower in _PEELED or _ends_glued(shadow, start, match)
    if mark[0] not in ".…" and ")" in closed and _ARABIC_LETTER.match(follower):  # "فاز (أخيرا!) بالكأس"
        return shadow[start] == "("
    return mark != "." or not _is_short(shadow, start, dot, after)


def _ends_glued(shadow: str, start: int, match: re.Match[str]) -> bool:
    """Whether a mark without a space after it ends a sentence: "انتهى.ثم", "the end.Then", but "3.5", "Node.js"."""
    mark, after = match[1], match.end()
    before = shadow[max(start, match.start() - _TAIL) : match.start()]
    if _ARABIC_LETTER.match(shadow, after):
        if mark.strip(".…"):
            return True
        return mark == "." and bool(_JOINED.search(before)) and not _INITIALS.search(before)
    if not _GLUED_WORD.match(shadow, after) or not before[-1:].isalnum():
        return False
    word = re.split(r"[^A-Za-z]", before)[-1]
    return mark.strip(".") != "" or (len(word) > 1 and word.islower()) or bool(_STARTER.match(shadow, after))


def _is_short(shadow: str, start: int, dot: int, after: int) -> bool:
    """Whether the full stop at `dot` marks an abbreviation and not the end of the sentence."""
    before = shadow[max(start, dot - _TAIL) : dot]
    last = before[-1:]
    if not last.isascii():
        if last.isalpha() and last != TATWEEL and before[-2:-1].isalpha() and before[-2] != WAW:
            return False  # two letters: no initial, as after most sentences
        return not _YEAR_MARK.search(before) and bool(_INITIALS.search(before))
    if not last.isalpha():
        return False
    word = before.split()[-1].lstrip("([{\"'")
    short, follower = word.lower(), shadow[after]
    if short in _BEFORE_NUMBERS and (follower.isdigit() or follower in _ANY_FILLER):
        return True
    if short in _BEFORE_NAMES:
        return short != "st" or not _STARTER.match(shadow, after)
    if short in _AT_ENDS:
        return not follower.isupper() or bool(_NO_SENTENCE.match(shadow, after))
    if short in _ANYWHERE or _DOTTED.fullmatch(word) or (len(word) == 1 and word.isupper() and word != "I"):
        return not _STARTER.match(shadow, after)
    return False


# --- what stands before a sentence -----------------------------------------------------------------------------------

_ABJAD = "أبجدهوزحطيكلمن"
_LIST_MARK = re.compile(
    "|".join(
        [
            r"(?:[-*•‣◦▪●○■□–—·▶►→]+|\#{1,6}|>+)(?=\s)|[•‣◦▪●■□▶►]",
            rf"[-–](?=[{_ARABIC}])",
            r"\[(?:[ xX]|[A-Za-z])\](?=\s)",
            r"\(\d{1,3}\)(?=\s|[^\W\d_])|\d{1,3}[)\]](?=\s|[^\W\d_])|\d{1,3}\.(?=\s|[^\W\d_]{2})|\d{1,3}:(?=\s)",
            rf"\d{{1,3}}\s?[-–](?=\s\D|[{_ARABIC}])",
            rf"(?:\d{{1,2}}\.){{1,4}}\d{{1,2}}\.?(?=\s+[A-Z])|(?:\d{{1,2}}\.){{2,4}}\d{{1,2}}\.?(?=\s+[{_ARABIC}])",
            r"\((?:[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})\)(?=\s|[^\W\d_])|(?:[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})\)(?=\s|[^\W\d_])",
            r"(?:[A-Ha-h]|[ivx]{2,5}|[IVX]{2,5}|I)\.(?=\s(?!\s*[A-Z]\.))",
            r"[A-Z]\d{1,3}[.):](?=\s)|[A-Za-z]\s?:(?=\s|$)",
            rf"\([{_ABJAD}ا]{TATWEEL}?\)(?=\s|[{_ARABIC}])|[{_ABJAD}ا]{TATWEEL}?\s?[-–)](?=\s|[{_ARABIC}])",
            rf"[أابج]\.(?=\s(?!\s*[{_ARABIC}]{TATWEEL}?\.))|[{_ARABIC}]\s?:(?=\s|$)",
            rf"{_FILLERS['note']}+(?=\s)",
        ]
    )
)
_MAY_LEAD = re.compile(rf"[^\w{_ANY_FILLER}]|\d|[{_FILLERS['note']}]|\w\d?\d?[.):\-–{TATWEEL} ]|[ivxIVX]{{2,5}}[.)]")
_SERIES = ("ABCDEFGHIJ", "abcdefghij", _ABJAD[:9], "ابجدهوزحط")
_ITEM_CHARACTERS = 500  # longest item of a series in a line
_NAMED = re.compile(rf"([(\[]?)(\d+|[^\W\d_]{TATWEEL}?)([.):\]-])")

_LABEL_WORD = rf"[\w{TASHKEEL}'’/\#-]{{1,30}}"
_LABEL = re.compile(
    rf"(\*\*|__)?(?=[^\W\d_])({_LABEL_WORD})((?: (?:{_LABEL_WORD}|\({_LABEL_WORD}\))){{0,2}})"
    rf"(?: ?:(?(1)\1)|(?(1)\1:|(?!)))(?=[\s{_HIDDEN}]|$)"
)
_NOT_A_LABEL = _names("he here i it she that there these they this those we who you")
_SAYING = _names(
    "added answered asked cried declared explained goes noted replied reports said say says shouted states "
    "thought told warned whispered wrote"
)
_SAYING_ARABIC = re.compile(
    r"[وف]?(?:قال|قلت|قلنا|[يتنأ]قول|أضاف|[يت]ضيف|سأل|[يت]سأل|أجاب|[يت]جيب|كتب|[يت]كتب|صاح|[يت]صيح|صرخ|رد|همس|هتف|أعلن|ذكر|"
    r"أكد|أوضح|تابع|صرح|نادى)(?:ت|وا|ا|ون|ان|ه|ها|هم|ني|نا)?$"
)


def _label_end(shadow: str, at: int) -> int:
    """Where a label that begins at `at` ends, its colon with it; 0 where there is none.

    Up to three words and a colon before a space: "Premise:", "السؤال الأول:". In small letters up to two ("question:").
    Not "She said:" or "قال الطبيب:", which belong to what is said.
    """
    match = _LABEL.match(shadow, at)
    if match is None:
        return 0
    words = [match[2], *match[3].split()]
    if words[0].lower() in _NOT_A_LABEL or words[-1].lower() in _SAYING or _SAYING_ARABIC.match(words[0]):
        return 0
    return 0 if words[0][0].islower() and len(words) > 2 else match.end()


def _series(shadow: str, mark: str, at: int) -> list[int]:
    """Places in the line where the marks that follow `mark` in its series stand: of "(A) tea (B) milk" that of (B).

    A letter or number with a full stop is often something else, so that shape needs three in a row.
    """
    named = _NAMED.fullmatch(mark)
    if named is None:
        return []
    found: list[int] = []
    for name in _names_after(named[2]):
        place = shadow.find(f" {named[1]}{name}{named[3]} ", at, at + _ITEM_CHARACTERS)
        if place < 0:
            break
        found.append(place + 1)
        at = place + 2
    return found if named[3] != "." or len(found) > 1 else []


def _names_after(name: str) -> Iterator[str]:
    if name.isdecimal():
        zero = chr(ord(name[-1]) - int(name[-1]))
        for value in range(int(name) + 1, int(name) + 50):
            yield "".join(chr(ord(zero) + int(digit)) for digit in str(value))
        return
    for letters in _SERIES:
        if name[0] in letters:
            yield from ("هـ" if letter == "ه" else letter for letter in letters[letters.index(name[0]) + 1 :])
            return


# --- pieces ----------------------------------------------------------------------------------------------------------

_SOURCE_LETTER = {"en": re.compile(f"[{_LATIN}]"), "ar": _ARABIC_LETTER, "": re.compile(r"[^\W\d_]")}
_LONE_LETTER = re.compile(rf"[^\w{_ANY_FILLER}]*[{_LATIN}{_ARABIC}]{TATWEEL}?[^\w{_ANY_FILLER}]*")
_CODE_LINE = re.compile(
    r"(?:async )?def \w+\(.*|class \w+(?:\(.*\))?:|import [a-z][\w.]*(?: as \w+)?(?:, [\w.]+)*|from [\w.]+ import \S.*"
    r"|\#include\b.*|[{}\[\]();,]+|.*(?:\w\(|=).*;|.*\S\s*(?<![\w.!?{] )\{|\"[\w -]+\"\s*:\s.*"
    r"|SELECT\b.+\bFROM\b.*|>>> .*"
    r"|(?:print|len|range|input|[a-z_]\w*\.\w+|[a-z]+_\w+)\(.*\);?"
    r"|[A-Za-z_][\w.\[\]]*\s?[-+*/]?=\s?(?:[\d\"'\[{(-]|\w+[.(\[]).*"
)
_CODE_BEGINS = ("import ", "from ", "#inc", ">>> ", "SELECT ", "def ", "async ", "class ")
_JSON_LINE = re.compile(r"(?!\{\{)[{\[]\s*[\"'{\[].*[}\]],?")  # not "{{ premise }} means {{ hypothesis }}"
_CODE_CHARACTERS = 400  # longest line that may be code
_CACHED_CHARACTERS = 512  # longest line that is remembered; 2**15 of them with their pieces stay under 0.1 GB


def _why_left(shadow: str, source: str) -> str | None:
    """None for a sentence, else the reason for which a piece of a shadow is left."""
    if _SOURCE_LETTER[source].search(shadow):
        return "list mark" if len(shadow) < 6 and _LONE_LETTER.fullmatch(shadow) else None
    if any(char.isalpha() for char in shadow):
        return "target language" if source == "en" and _ARABIC_LETTER.search(shadow) else "other script"
    fillers = [char for char in shadow if char in _REASON_OF]
    if fillers:
        return _REASON_OF[fillers[0]]
    return "number" if any(char.isnumeric() for char in shadow) else "punctuation"


def _line(line: str, source: str) -> tuple[Piece, ...]:
    """The pieces of a line without its end."""
    core = line.strip(_EDGE)
    if len(core) == len(line):
        return _core(line, source)
    lead = line[: len(line) - len(line.lstrip(_EDGE))]
    around = [lead, line[len(lead) + len(core) :]]
    before, after = ([Piece(space, "space")] if space else [] for space in around)
    return (*before, *_core(core, source), *after) if core else tuple(before)


_remembered_line = lru_cache(maxsize=1 << 15)(_line)


def _core(line: str, source: str) -> tuple[Piece, ...]:
    """The pieces of a line that has no white space around it, and something between."""
    shadow = _shadow(line)
    left = _why_left(shadow, source)
    if left is not None:
        return (Piece(line, left),)
    if _is_code(line):
        return (Piece(line, "code"),)
    if shadow is line and _is_one_sentence(line):
        return (Piece(line),)
    return (shadow is line and source == "en" and _prose(line)) or tuple(_cut(line, shadow, source))


# Plain English sentences side by side, as most paragraphs are, also after a label; anything else `_cut` looks at.
_PROSE = re.compile(r"(?:[A-Z][A-Za-z0-9 ,'-]*[.!?] )*[A-Z][A-Za-z0-9 ,'-]*[.!?]")
_PROSE_GAP = re.compile(r"(?<=[.!?]) ")
_PLAIN_LABEL = re.compile(r"[A-Z][a-z]{1,20}: (?=[A-Z])")
_ANY_SHORT = _BEFORE_NAMES | _BEFORE_NUMBERS | _AT_ENDS | _ANYWHERE


def _prose(line: str) -> tuple[Piece, ...] | None:
    """What `_cut` says of a line of plain sentences, in a third of the time; None where it must be asked."""
    label = _PLAIN_LABEL.match(line)
    start = label.end() if label else 0
    if not _PROSE.fullmatch(line, start) or (label and not _is_label(line[: start - 1])):
        return None
    made = [Piece(line[: start - 1]), _SPACE] if label else []
    for sentence in _PROSE_GAP.split(line[start:]):
        word = sentence[sentence.rfind(" ") + 1 : -1]
        if not (word.islower() and word.isalpha()) or len(word) < 2 or word in _ANY_SHORT:
            return None
        if _LIST_MARK.match(sentence) or sentence.startswith(_CODE_BEGINS):
            return None
        made += (Piece(sentence), _SPACE)
    return tuple(made[:-1])


@lru_cache(maxsize=1_000)
def _is_label(text: str) -> bool:
    return _label_end(text, 0) == len(text) and not _is_code(text) and not _LIST_MARK.match(text)


_SPACE = Piece(" ", "space")


def _is_one_sentence(line: str) -> bool:
    """Whether a line is surely one sentence, as most are: what `_cut` would say, sooner."""
    if ":" in line or "\t" in line or not line[0].isalpha() or _MAY_LEAD.match(line):
        return False
    match = _END.search(line)
    return (match is None or match.end() == len(line)) and line[-1] not in _PEELED


def _is_code(line: str) -> bool:
    if line[0] in "{[" and line[-1] in "}],":
        return _JSON_LINE.fullmatch(line) is not None
    may_be = line[-1] in ";{}])\":,'" or "=" in line or line.startswith(_CODE_BEGINS)
    return may_be and len(line) <= _CODE_CHARACTERS and _CODE_LINE.fullmatch(line) is not None


def _cut(line: str, shadow: str, source: str) -> list[Piece]:
    """The pieces of a line that holds a sentence."""
    made: list[Piece] = []
    series: list[int] = []
    at = 0
    while at < len(line):
        end, left = _before_a_sentence(shadow, at)
        if end == at:
            stop = _stop(shadow, at, series)
            end = _label_end(shadow, at) if ":" in shadow else 0
            if not 0 < end <= stop:
                end = _sentence_end(shadow, at) if stop == len(line) else at + _sentence_end(shadow[at:stop], 0)
            end = _without_edge(shadow, at, end)
            left = _why_left(shadow[at:end], source) or ("code" if _is_code(line[at:end]) else None)
        elif left == "list mark" and at not in series:
            series = _series(shadow, shadow[at:end], end)
        _add(made, line[at:end], left)
        at = end
    return made


def _before_a_sentence(shadow: str, at: int) -> tuple[int, str | None]:
    """Where what stands at `at` and is no part of a sentence ends, and its reason; `at` where a sentence begins."""
    first = shadow[at]
    if first in _EDGE:
        return _GAP.match(shadow, at).end(), "space"  # type: ignore[union-attr]
    if first in _PEELED:
        end = at + 1
        while end < len(shadow) and shadow[end] == first:
            end += 1
        return end, _REASON_OF[first]
    if _MAY_LEAD.match(shadow, at) and (match := _LIST_MARK.match(shadow, at)):
        return match.end(), "list mark"
    return at, None


def _stop(shadow: str, at: int, series: Sequence[int]) -> int:
    """Where a sentence that begins at `at` ends at the latest: a tab, a cell's bar, the next mark of a series."""
    stop = next((place for place in series if place > at), len(shadow))
    for char in ("\t", _BAR):
        if char in shadow and (place := shadow.find(char, at, stop)) >= 0:
            stop = place
    return stop


def _without_edge(shadow: str, start: int, end: int) -> int:
    """`end` moved before the white space, tags and emoji that stand there; at least one character stays."""
    while end > start + 1 and (shadow[end - 1] in _PEELED or shadow[end - 1] in _EDGE):
        end -= 1
    return end


def _add(made: list[Piece], text: str, left: str | None) -> None:
    """One more piece, joined to the one before it where both are left for one reason."""
    if left is not None and made and made[-1].left == left:
        made[-1] = Piece(made[-1].text + text, left)
    else:
        made.append(Piece(text, left))


_LINE_BREAK = re.compile(f"([{_LINE_ENDS}]+)")


def split(text: str, source: Source = "en") -> list[Piece]:
    """The pieces of a text, in order: joined they are the text, character for character. An empty text has none.

    A line end always ends a piece, and so does a tab; soft wraps are not undone. A sentence piece holds a letter of the
    source language's script and has no white space around it, and splitting it again gives itself. Pieces of other
    scripts are left; with source "en" Arabic is left as "target language".

    A label ("Premise: ") is a sentence piece of its own, colon included, so that neither it nor the value after it is
    translated once for every pair of the two. List marks, tags, Jinja statements and emoji at a sentence's edges are
    left; inside a sentence tags, code, placeholders and addresses stay, for `mask`.

    Raises MashqError for an unknown source.
    """
    if source not in get_args(Source):
        raise MashqError(
            expected_got("sentences: source", "'en' or 'ar'", f"'{source}'", nearest(source, get_args(Source)).strip())
        )
    return _pieces(text, source)


def _pieces(text: str, source: str) -> list[Piece]:
    """`split` by the letters of one source language, or by letters of any script for the source ""."""
    if text.isprintable():  # one line: no line end, and no tab or mark without a glyph, which would be slower here
        return list(_pieces_of_line(text, source)) if text else []
    made: list[Piece] = []
    for part, left in parts(text):
        first, *others = _pieces_of_line(part, source) if left is None else [Piece(part, left)]
        _add(made, *first)  # white space around a line end is one piece with it
        made += others
    return made


def parts(text: str) -> Iterator[tuple[str, str | None]]:
    """What a text is cut into before anything else: its lines, its line ends, and blocks of several lines.

    Joined they are the text. Each is split by itself, so an equal line needs splitting once; a block comes with its
    reason (a key of `LEFT`) and stays whole.
    """
    at = 0
    for start, end, reason in _blocks(text) if _may_hold_block(text) else ():
        for part in _LINE_BREAK.split(text[at:start]):
            if part:
                yield part, None
        yield text[start:end], reason
        at = end
    for part in _LINE_BREAK.split(text[at:] if at else text):
        if part:
            yield part, None


def _pieces_of_line(line: str, source: str) -> tuple[Piece, ...]:
    return (_remembered_line if len(line) <= _CACHED_CHARACTERS else _line)(line, source)


# --- masks -----------------------------------------------------------------------------------------------------------

_MARK = re.compile(r"\[\s*(\d+)\s*\]")


def mask(sentence: str) -> Masked:
    """The sentence with what must not be translated replaced by the marks [1], [2], ... in order.

    Replaced are the things that `split` keeps whole: code, Jinja, placeholders, tags, addresses, LaTeX, emoji; and
    every number in square brackets that the sentence holds already, so that in the masked text such a number is always
    a mark, and nothing is ambiguous. Things that touch share a mark. A sentence without any comes back as it is.

    Why "[1]": a mark must survive a SentencePiece vocabulary, copying and the change of script. Rare signs (⟦1⟧, ␟) are
    unknown tokens to Marian and vanish; Latin codes (XURL1, __1__) are words, which a model writes in Arabic letters or
    inflects; digits are what translation models copy best, brackets and digits are in every vocabulary, and references
    in brackets stand in the parallel texts that these models learnt from. Numbers count from 1, as references do.
    """
    if not _may_hold_atom(sentence):
        return Masked(sentence, ())
    kept: list[str] = []
    made: list[str] = []
    at = 0
    for start, end in _hidden_spans(sentence):
        kept.append(sentence[start:end])
        made += (sentence[at:start], f"[{len(kept)}]")
        at = end
    return Masked("".join(made) + sentence[at:], tuple(kept))


def _hidden_spans(sentence: str) -> Iterator[tuple[int, int]]:
    """Where things that must not be translated stand, those that touch as one."""
    begin = end = -1
    for match in _ATOM.finditer(sentence):
        if match.start() != end:
            if end > 0:
                yield begin, end
            begin = match.start()
        end = match.end()
    if end > 0:
        yield begin, end


def unmask(text: str, kept: Sequence[str]) -> tuple[str, str | None]:
    """A translation with its marks replaced by what `mask` kept, and what is wrong with the marks, None for nothing.

    Digits of any script and white space inside the brackets are read too ("[ ١ ]"). A mark that is lost, doubled (each
    is replaced) or unknown (it stays) is told with its content: "mask lost: [2] 'https://…'". For every text
    `unmask(*mask(text)) == (text, None)`.
    """
    if not kept and "[" not in text:  # as nearly every sentence: nothing hidden, nothing to look for
        return text, None
    seen = [0] * len(kept)
    unknown: list[str] = []

    def put_back(match: re.Match[str]) -> str:
        number = int(match[1])
        if not 0 < number <= len(kept):
            unknown.append(match[0])
            return match[0]
        seen[number - 1] += 1
        return kept[number - 1]

    restored = _MARK.sub(put_back, text)
    return restored, _mask_fault(kept, seen, unknown)


def _mask_fault(kept: Sequence[str], seen: Sequence[int], unknown: Sequence[str]) -> str | None:
    """What is wrong with the marks: those lost, then those doubled, then those that nobody set."""
    named = [f"[{place}] '{_shortened(what)}'" for place, what in enumerate(kept, 1)]
    lost = [name for name, times in zip(named, seen, strict=True) if times == 0]
    twice = [f"{name} {times} times" for name, times in zip(named, seen, strict=True) if times > 1]
    faults = [("lost", lost), ("doubled", twice), ("unknown", unknown)]
    return "; ".join(f"mask {fault}: {', '.join(names)}" for fault, names in faults if names) or None


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


# --- sentences of running text ---------------------------------------------------------------------------------------

_BACKWARD = ("space", "punctuation", "emoji", "tag")  # what goes with the sentence before it


def sentences(text: str) -> list[str]:
    """The sentences of a text, white space after each kept with it: "".join(sentences(text)) == text.

    Boundaries are those of `split`; a list mark goes with the item after it, what has neither letters nor digits with
    the sentence before it (at the beginning with the one after it). An empty text has none.
    """
    joined: list[str] = []
    held, open_ = "", False
    for piece, left in _pieces(text, ""):
        if left == "list mark" or (left in _BACKWARD and (open_ or not joined)):
            held += piece
            open_ = True
        elif left in _BACKWARD:
            joined[-1] += piece
        else:
            joined.append(held + piece)
            held, open_ = "", False
    return [*joined, held] if held else joined
