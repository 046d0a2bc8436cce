"""E-mail addresses, handles and links to a person's profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from mashq.privacy.found import Found
from mashq.privacy.lexicon import any_of, data
from mashq.privacy.page import Page

__all__ = ["Contacts"]

_AT = r"(?:@|\s?[\[(]\s?(?:at|@|ات)\s?[\])]\s?|\s@\s|\sat\s)"
_DOT = r"(?:\.|\sdot\s|\s?[\[(]\s?(?:dot|دوت)\s?[\])]\s?)"
_EMAIL = re.compile(
    rf"(?<![a-z0-9.])[a-z0-9][a-z0-9._%+-]{{0,63}}{_AT}[a-z0-9-]{{1,63}}(?:{_DOT}[a-z0-9-]{{1,63}}){{0,4}}{_DOT}[a-z]{{2,24}}"
)
_HANDLE = re.compile(r"(?<![\w@./])@[a-z0-9_\u0621-\u064a][a-z0-9_.\u0621-\u064a-]{1,40}")
_PROFILE = re.compile(
    r"(?<![\w.])(?:https?://)?(?:[a-z]{1,4}\.)?"
    r"(?:twitter\.com|x\.com|instagram\.com|facebook\.com|fb\.com|fb\.me|tiktok\.com|snapchat\.com|youtube\.com|"
    r"linkedin\.com|t\.me|wa\.me|telegram\.me|threads\.net)/(?!hashtag|search|explore|watch|home|login)[\w@.?=&%/+-]{2,120}"
)
_USER = re.compile(r"[a-z0-9_.-]{3,40}")


@cache
def _network() -> re.Pattern[str]:
    words = any_of(data("numbers")["networks"])
    return re.compile(
        rf"(?<!\w)(?:[وبفع]|[وف]?[بعك]?ال)?(?:{words})(?:\s(?:هو|باسم|عندي))?(\s?[:=/-]\s?|\s)(@?[a-z0-9_.-]{{3,40}})(?![\w@])"
    )


class Contacts:
    """E-mails, handles after @ or after a network's name, links to profiles."""

    name = "contacts"
    version = "1"
    kinds = ("email", "handle")

    def find(self, page: Page) -> Iterator[Found]:
        if not page.has_latin and "@" not in page.flat:
            return
        text = page.lower
        if "@" in text or "at" in text or "ات" in text:
            for match in _EMAIL.finditer(text):
                yield Found("email", match.start(), match.end(), 0.97, self.name)
        if "@" in text:
            for match in _HANDLE.finditer(text):
                yield Found("handle", match.start(), _trimmed(text, match), 0.9, self.name)
        if "/" in text:
            for match in _PROFILE.finditer(text):
                yield Found("handle", match.start(), _trimmed(text, match), 0.9, self.name)
        for match in _network().finditer(text):
            start, end = match.start(2), match.start(2) + len(match.group(2).rstrip(".-"))
            if _is_user(text[start:end], match.group(1)):
                yield Found("handle", start, end, 0.75, self.name)


def _trimmed(text: str, match: re.Match[str]) -> int:
    """The end of a match without the stop of the sentence."""
    return match.start() + len(match.group().rstrip(".-?/"))


def _is_user(name: str, gap: str) -> bool:
    """Whether a Latin word after a network's name is an account: marked by a colon, or no plain word."""
    has_letter = re.search("[a-z]", name) is not None
    marked = re.search("[0-9_.]", name) is not None or gap.strip() != ""
    return has_letter and marked and not name.startswith(("http", "www")) and not name.endswith((".com", ".net", ".me"))
