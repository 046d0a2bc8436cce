"""What a page or an app put around the words: HTML, Markdown, BBCode, emoji."""

from __future__ import annotations

import functools
import html as html_entities
import re
from typing import Any

import regex

from mashq.rows import MashqError

__all__ = ["emoji", "emoji_version", "html", "markup"]

# --- HTML ------------------------------------------------------------------------------------------------------------

# &amp;amp;lt; is taken at one stroke; without a semicolon only the five that old software forgets it on.
_ENTITY = re.compile(
    r"&(?:amp;)*(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|&(?:nbsp|quot|amp|lt|gt)(?![A-Za-z0-9;=])"
)
_LEVELS = re.compile(r"&(?:amp;)+(?=[#A-Za-z])")
_INLINE = "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|img|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u|wbr"
_BLOCK = (
    "article|blockquote|body|br|center|dd|div|dl|dt|figure|footer|form|h[1-6]|head|header|hr|html|iframe|input|label|li|"
    "link|meta|nav|object|ol|option|p|pre|section|select|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
_HIDDEN = re.compile(
    r"<(script|style)\b[^<>]*>.{0,8000}?</\1\s*>|<!--.{0,4000}?-->|<!DOCTYPE[^<>]*>", re.IGNORECASE | re.DOTALL
)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK}|script|style)(?:\s[^<>]*)?/?>", re.IGNORECASE)


def html(text: str) -> tuple[str, int]:
    """Entities as the characters they stand for, tags of HTML removed, a line end for those that begin a line.

    A <blockquote> becomes lines that begin with >. Only names that HTML has are tags, so `5 < 7 > 3`, `<3` and
    `<كلمة>` stay.
    """
    text, entities = _ENTITY.subn(_character, text) if "&" in text else (text, 0)
    if "<" not in text:
        return text, entities
    text, hidden = _HIDDEN.subn(" ", text)
    text, quoted = _as_quotations(text) if "blockquote" in text.lower() else (text, 0)
    text, inline = _INLINE_TAG.subn("", text)
    text, block = _BLOCK_TAG.subn("\n", text)
    return text, entities + hidden + quoted + inline + block


_QUOTATION = re.compile(r"<blockquote(?:\s[^<>]*)?>((?:(?!<blockquote)[\s\S]){0,8000}?)</blockquote\s*>", re.IGNORECASE)
MOST_NESTED = 8


def _as_quotations(text: str) -> tuple[str, int]:
    """Block quotations as lines that begin with >, as mail shows them."""
    found = 0
    for _ in range(MOST_NESTED):
        text, n = _QUOTATION.subn(_as_lines, text)
        found += n
        if not n:
            break
    return text, found


def _as_lines(match: re.Match[str]) -> str:
    lines = [line.strip() for line in _BLOCK_TAG.sub("\n", match[1]).split("\n")]
    return "".join(f"\n> {line}" for line in lines if line) + "\n"


def _character(match: re.Match[str]) -> str:
    return html_entities.unescape(_LEVELS.sub("&", match[0]))


# --- Markdown and BBCode ---------------------------------------------------------------------------------------------

_LINK = re.compile(r"!?\[([^\[\]\n]{1,300})\]\((?:https?://|www\.|/|#)[^()\s]*(?:\s+\"[^\"\n]*\")?\)")
_BBCODE = re.compile(
    r"\[/?(?:b|i|u|s|url|img|size|color|font|center|right|left|align|list|code|quote|youtube|media|email|spoiler|\*)"
    r"(?:=[^\[\]\n]{0,200})?\]",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$\n?", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(?=\S)", re.MULTILINE)
_RULED = tuple(re.compile(rf"^[ \t]*(?:{mark}[ \t]*){{3,}}$\n?", re.MULTILINE) for mark in (r"\*", "-", "_", "="))


def _hugging(mark: str, outer: str) -> re.Pattern[str]:
    """Words between two marks that touch them."""
    return re.compile(rf"(?<![\w{outer}]){mark}(?=\S)([^\n{outer}]{{1,400}}?)(?<=\S){mark}(?![\w{outer}])")


# What must be in the text, the pattern, what takes its place; in this order: three stars before two before one.
_MARKUP = (
    ("](", _LINK, r"\1"),
    ("[", _BBCODE, ""),
    ("```", _FENCE, ""),
    ("~~~", _FENCE, ""),
    *zip(("***", "---", "___", "==="), _RULED, ("", "", "", ""), strict=True),
    ("* *", _RULED[0], ""),
    ("- -", _RULED[1], ""),
    ("# ", _HEADING, ""),
    ("#\t", _HEADING, ""),
    ("***", _hugging(r"\*\*\*", "*"), r"\1"),
    ("**", _hugging(r"\*\*", "*"), r"\1"),
    ("*", _hugging(r"\*", "*"), r"\1"),
    ("__", _hugging("__", "_#@"), r"\1"),
    ("_", _hugging("_", "_#@"), r"\1"),
    ("~~", _hugging("~~", "~"), r"\1"),
    ("`", _hugging("`", "`"), r"\1"),
)


def markup(text: str) -> tuple[str, int]:
    """Marks of Markdown and BBCode removed, the words in them kept; a link's words without its address.

    Stars and underscores count only in pairs that hug words, so 3 * 4, #وسم_آخر and a list stay.
    """
    found = 0
    for mark, pattern, to in _MARKUP:
        if mark in text:
            text, n = pattern.subn(to, text)
            found += n
    return text, found


# --- emoji -----------------------------------------------------------------------------------------------------------

_ZWJ, _SHOWN = "\N{ZERO WIDTH JOINER}", "\N{VARIATION SELECTOR-16}"
_EMOJI = regex.compile(
    rf"""(?V1x)
    (?: \p{{Regional_Indicator}}{{2}}
      | [#*0-9]{_SHOWN}?\u20e3
      | [\p{{Emoji_Presentation}}[\p{{Extended_Pictographic}}--[\x00-\u25ff\u3030\u303d]]]
          [{_SHOWN}\p{{Emoji_Modifier}}]* [\U000E0020-\U000E007F]*
        (?: {_ZWJ} \p{{Extended_Pictographic}} [{_SHOWN}\p{{Emoji_Modifier}}]* )*
      | \p{{Extended_Pictographic}}{_SHOWN}
      )
    """
)
_LOOSE = regex.compile(r"(?V1)[\ufe0e\ufe0f\u20e3\p{Emoji_Modifier}\p{Regional_Indicator}\U000E0020-\U000E007F]+")


def emoji(text: str, do: str = "drop") -> tuple[str, int]:
    """Emoji dropped, kept, or named in Arabic in brackets; of kept ones nothing changes.

    Names are those of Unicode's CLDR, by the package `emoji`; an emoji that it does not know is dropped. Raises
    MashqError where names are asked for and the package is absent.
    """
    if do == "keep":
        return text, 0
    if do == "name":
        names = _names()
        text, found = _EMOJI.subn(lambda match: f" {_name(match[0], names)} ", text)
    else:
        text, found = _EMOJI.subn(" ", text)
    text, loose = _LOOSE.subn("", text)
    return text, found + loose


def _name(char: str, names: dict[str, str]) -> str:
    name = (
        names.get(char) or names.get(char.replace(_SHOWN, "")) or names.get(regex.sub(r"\p{Emoji_Modifier}", "", char))
    )
    return f"[{name}]" if name else ""


def _package() -> Any:
    try:
        import emoji as package
    except ImportError as error:
        raise MashqError(
            "emoji: naming emoji in Arabic needs the package 'emoji', which is not installed: "
            "pip install 'mashq[clean]' (or pip install emoji)."
        ) from error
    return package


def emoji_version() -> str:
    """The version of the package whose names are used; it decides an output, so it is part of a profile's identity."""
    return str(_package().__version__)


@functools.cache
def _names() -> dict[str, str]:
    """Emoji -> its Arabic name."""
    package = _package()
    package.config.load_language("ar")
    known = ((char, entry.get("ar", "")) for char, entry in package.EMOJI_DATA.items())
    return {char: " ".join(name.strip(":").replace("_", " ").replace("-", " ").split()) for char, name in known if name}
