"""The words and numbers of a judge card: names, labels, meanings and reasons from `mashq/data/judge/words.yaml`."""

from __future__ import annotations

from mashq.packaged import parsed

__all__ = ["interval_text", "isolated", "label_of", "meaning", "name_of", "number_text", "reason_of", "unit_of"]

MOST_NAME = 200  # characters of a name from data
LEFT, POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def isolated(text: str, language: str) -> str:
    """A number in an Arabic line keeps its own direction."""
    return f"{LEFT}{text}{POP}" if language == "ar" else text


def meaning(probe: str, what: str, language: str) -> str:
    """What a measure means, in one sentence."""
    return str(parsed("judge/words")["measures"][probe][what][language])


def name_of(text: str, language: str) -> str:
    """A criterion, defect, variety or measure as readers know it; its own name where it has no other."""
    entry = parsed("judge/words")["names"].get(text)
    return str(entry[language]) if entry else " ".join(text.split())[:MOST_NAME]


def label_of(key: str, language: str) -> str:
    """A word of the card itself, such as the head of a column."""
    return str(parsed("judge/words")["labels"][key][language])


def reason_of(text: str, language: str) -> str:
    """Why a reply could not be changed, in words: `left_out` of a card says it in English, which stays where it has no
    other.
    """
    reasons = parsed("judge/words")["reasons"]
    start, _, rest = text.rpartition(" ")
    pattern, filled = (text, "") if text in reasons else (f"{start} {{x}}", rest)
    said = reasons.get(pattern, {}).get(language) if language != "en" else None
    return str(said).replace("{x}", name_of(filled, language)) if said else text


def number_text(value: float | None, unit: str) -> str:
    """A value in its unit (share, points, steps, coefficient); a dash for None."""
    if value is None:
        return "–"
    if unit in ("share", "points"):
        return f"{_whole(100 * value)}%" if unit == "share" else _whole(100 * value)
    return _signed(f"{value:.2f}", "0.00")


def _whole(value: float) -> str:
    """A number without decimals, and 0 without a sign."""
    return _signed(f"{value:.0f}", "0")


def _signed(text: str, zero: str) -> str:
    """With the minus sign of print, as on the rest of the page; zero has none."""
    return zero if text == f"-{zero}" else text.replace("-", "\N{MINUS SIGN}")


def interval_text(low: float | None, high: float | None, unit: str) -> str:
    """`[low, high]` in that unit."""
    if low is None or high is None:
        return "[–]"
    return f"[{number_text(low, unit)}, {number_text(high, unit)}]"


def unit_of(probe: str, what: str) -> str:
    """The unit of a measure: share, points, steps or coefficient."""
    return str(parsed("judge/words")["measures"][probe][what]["unit"])
