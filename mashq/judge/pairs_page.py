"""The results of pairs for readers: Markdown in English and Arabic, and lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mashq.judge.card_page import safe, table
from mashq.judge.card_words import interval_text, isolated, name_of, number_text
from mashq.judge.verdict import OVERALL
from mashq.packaged import parsed

__all__ = ["pair_lines", "pairs_markdown"]

ALPHA = 0.05  # after Holm
FIRST, POP = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"  # a note is English, or in the rubric's language
COUNTS = ("wins", "ties", "losses", "flips", "unread")

Entry = Mapping[str, Any]  # of `pairs.pair_results`


def pair_lines(summary: Mapping[str, Any]) -> list[str]:
    """What `pairs.json` holds, for the terminal, in English: what to conclude, then a line for each row."""
    said = []
    for system, entries in _by_system(summary["pairs"]).items():
        names = {"system": _one_line(system), "baseline": _one_line(summary["baseline"])}
        said += [_concluded(entries, names, "en"), *map(_line, entries)]
        said += [_line(one) for one in summary["varieties"] if (one["system"], one["criterion"]) == (system, OVERALL)]
    return said


def pairs_markdown(summary: Mapping[str, Any], language: str = "en") -> str:
    """`pairs.md`: for each system what to conclude, its criteria, and its criteria by variety."""
    facts = [("judge", summary["model"]), ("rubric", summary["rubric"]), ("baseline", summary["baseline"])]
    lines = [f"# {_word('title', language)}", ""]
    lines += [f"* {_word(key, language)}: {isolated(safe(value), language)}" for key, value in facts]
    lines += ["", *(f"* {note[language]}" for note in parsed("judge/pairs")["notes"]), ""]
    lines += [f"**{FIRST}{safe(note)}{POP}**\n" for note in summary["notes"]]
    for system, entries in _by_system(summary["pairs"]).items():
        names = {"system": isolated(safe(system), language), "baseline": isolated(safe(summary["baseline"]), language)}
        lines += [f"## {_word('beside', language).format_map(names)}", "", _concluded(entries, names, language)]
        lines += _table(entries, language)
        if apart := _by_system(summary["varieties"]).get(system):
            lines += [f"### {_word('by_variety', language)}", *_table(apart, language)]
    return "\n".join(lines) + "\n"


def _word(key: str, language: str) -> str:
    return str(parsed("judge/pairs")[key][language])


def _by_system(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """System -> its entries, as a whole first."""
    found: dict[str, list[Entry]] = {}
    for one in sorted(entries, key=lambda one: one["criterion"] != OVERALL):
        found.setdefault(one["system"], []).append(one)
    return found


def _named(criterion: str, language: str) -> str:
    return _word("overall", language) if criterion == OVERALL else name_of(criterion, language)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _concluded(entries: Sequence[Entry], names: Mapping[str, str], language: str) -> str:
    """Which of the two is better as a whole, or that this cannot be told."""
    (one,) = [entry for entry in entries if entry["criterion"] == OVERALL]
    found = one["p_holm"] is not None and one["p_holm"] < ALPHA
    key = "unclear" if not found else "better" if one["share"] > 0.5 else "worse"
    return _word(key, language).format_map(names)


def _p(one: Entry) -> str:
    p = one["p_holm"]
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _interval(one: Entry) -> str:
    return interval_text(one["low"], one["high"], "share")


def _line(one: Entry) -> str:
    where = _named(one["criterion"], "en") + (f", {name_of(one['variety'], 'en')}" if "variety" in one else "")
    counts = ", ".join(f"{_word(name, 'en')} {one[name]}" for name in COUNTS)
    share = f"wins {number_text(one['share'], 'share')} {_interval(one)}, {_word('p', 'en')} {_p(one)}"
    return f"  {where}: {share} ({_word('asked', 'en')} {one['asked']}: {counts})"


def _table(entries: Sequence[Entry], language: str) -> list[str]:
    apart = "variety" in entries[0]
    keys = ["criterion", *(["variety"] if apart else []), "share", "interval", "p", "asked", *COUNTS, "flip"]
    rows = []
    for one in entries:
        names = [_named(one["criterion"], language), *([name_of(one["variety"], language)] if apart else [])]
        flip = one["flip"] or dict.fromkeys(("value", "low", "high"))
        changed = f"{number_text(flip['value'], 'share')} {interval_text(flip['low'], flip['high'], 'share')}"
        numbers = [number_text(one["share"], "share"), _interval(one), _p(one), one["asked"]]
        shown = [safe(cell) for cell in [*numbers, *(one[name] for name in COUNTS), changed]]
        rows.append([*map(safe, names), *(isolated(cell, language) for cell in shown)])
    return table([_word(key, language) for key in keys], rows)
