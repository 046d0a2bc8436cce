"""Facts of the Unicode CLDR as raw rows: countries, languages, months, weekdays, dates and counted units, in Arabic.

The texts are those of Babel's locale data (licence Unicode-3.0); what was corrected or left out, and why, is in
`data/cldr.yaml`. Nothing is read from the network.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from babel import Locale
from babel.core import get_global
from babel.dates import format_date
from babel.languages import get_territory_language_info
from babel.numbers import get_territory_currencies

from mashq import rows
from mashq.rows import MashqError, nearest

__all__ = ["KINDS", "LICENCE", "Fact", "facts", "read", "version"]

LICENCE = "Unicode-3.0"
CORRECTIONS = Path(__file__).parent.parent / "data" / "cldr.yaml"
RIGHT_TO_LEFT, LEFT_TO_RIGHT = "من اليمين إلى اليسار", "من اليسار إلى اليمين"
# First part of a time zone's name -> continent; the others are in data/cldr.yaml.
ZONES = {"Africa": "أفريقيا", "Asia": "آسيا", "Europe": "أوروبا", "Pacific": "أوقيانوسيا", "America": "أمريكا الشمالية"}


@dataclass(frozen=True)
class Fact:
    """One record. A field that its kind does not have, or that CLDR does not know, is None, a list of choices empty.

    kind country: country, code (ISO 3166-1), english, currency, currency_code (ISO 4217), currency_sole (no other state
    has it), continent, languages (official, joined by "و"), language (where there is one alone), *_choices (four texts,
    the right one among them). kind language: language, code (ISO 639), own_name, english, script, direction.
    kind unit: unit (singular), number, counted ("3 أيام"). kind month: country, position (1 to 12), ordinal, month (as
    that country names it), egyptian, previous, next. kind weekday: day, previous, next, english. kind date: country,
    iso, written ("5 آذار 2021").
    """

    kind: str
    key: str
    group: str
    country: str | None = None
    code: str | None = None
    english: str | None = None
    currency: str | None = None
    currency_code: str | None = None
    currency_sole: bool | None = None
    currency_choices: Sequence[str] = ()
    continent: str | None = None
    continent_choices: Sequence[str] = ()
    languages: str | None = None
    language: str | None = None
    language_choices: Sequence[str] = ()
    own_name: str | None = None
    script: str | None = None
    script_choices: Sequence[str] = ()
    direction: str | None = None
    unit: str | None = None
    number: int | None = None
    counted: str | None = None
    counted_choices: Sequence[str] = ()
    month: str | None = None
    egyptian: str | None = None
    position: int | None = None
    ordinal: str | None = None
    day: str | None = None
    previous: str | None = None
    next: str | None = None
    iso: str | None = None
    written: str | None = None


# --- what is read ----------------------------------------------------------------------------------------------------


def version() -> str:
    """The version of the facts: Babel's, each of which carries one CLDR, and the hash of our corrections."""
    digest = hashlib.blake2b(CORRECTIONS.read_bytes(), digest_size=4).hexdigest()
    return f"babel-{package_version('babel')}+{digest}"


@functools.cache
def _corrections() -> Mapping[str, Any]:
    return yaml.safe_load(CORRECTIONS.read_text("utf-8"))


@functools.cache
def _arabic() -> Locale:
    return Locale("ar")


def _trim(name: str) -> str:
    """A name without its qualifier: "ميانمار (بورما)" -> "ميانمار"."""
    return re.sub(r"\s*\([^)]*\)", "", name).strip()


def _choices(right: str, others: Sequence[str], key: str) -> list[str]:
    """Four different texts (or all there are), the right one among them, in an order that depends on `key` alone."""
    random = np.random.default_rng(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little"))
    wrong = sorted(set(others) - {right})
    picked = [wrong[i] for i in random.permutation(len(wrong))[:3]]
    return [[right, *picked][i] for i in random.permutation(len(picked) + 1)]


# --- countries -------------------------------------------------------------------------------------------------------


def _states() -> list[str]:
    """ISO 3166-1 codes of the member and observer states of the United Nations, sorted."""
    known = {code for code in get_global("territory_zones") if code.isalpha() and code != "ZZ"}
    return sorted(known - set(_corrections()["not_states"]))


def _country_name(code: str) -> str:
    return _corrections()["country_names"].get(code) or _trim(_arabic().territories[code])


def _tender(code: str) -> list[str]:
    """Codes of the currencies in use in a state today."""
    changed = _corrections()["country_currencies"].get(code)
    return [changed] if changed else get_territory_currencies(code)


def _english_name(code: str) -> str:
    return _corrections()["english_names"].get(code) or _trim(Locale("en").territories[code])


def _currency_name(code: str) -> str:
    return _corrections()["currency_names"].get(code) or _arabic().currencies[code]


def _language_name(code: str) -> str:
    base = code.split("_")[0]
    return _corrections()["language_names"].get(base) or _arabic().languages[base]


def _official(code: str) -> list[str]:
    """Codes of the official languages, the most spoken first; none where that is contested."""
    corrections = _corrections()
    if code in corrections["official_languages"]:
        return list(corrections["official_languages"][code])
    if code in corrections["official_unclear"]:
        return []
    known = get_territory_language_info(code)
    status = {tag: info["official_status"] for tag, info in known.items()}
    if "de_facto_official" in status.values():
        return []
    return list(dict.fromkeys(tag.split("_")[0] for tag, value in status.items() if value == "official"))


def _continent(code: str) -> str | None:
    corrections = _corrections()
    if code in corrections["continent_unclear"]:
        return None
    for name, codes in corrections["continents"].items():
        if code in codes:
            return str(name)
    parts = {zone.split("/")[0] for zone in get_global("territory_zones")[code]}
    return ZONES.get(parts.pop()) if len(parts) == 1 else None


def _countries() -> Iterator[Fact]:
    states = _states()
    users = collections.Counter(code for state in states for code in _tender(state))
    # A state with two currencies has no one answer.
    currencies = {state: tender[0] for state in states if len(tender := _tender(state)) == 1}
    names = [_currency_name(code) for code in currencies.values()]
    officials = {state: _official(state) for state in states}
    single = [_language_name(codes[0]) for codes in officials.values() if len(codes) == 1]
    continents = [*ZONES.values(), *_corrections()["continents"]]
    for state in states:
        code, languages, continent = currencies.get(state), officials[state], _continent(state)
        currency = _currency_name(code) if code else None
        spoken = [_language_name(language) for language in languages]
        alone = spoken[0] if len(spoken) == 1 else None
        yield Fact(
            kind="country",
            key=f"country:{state}",
            group=f"country:{state}",
            country=_country_name(state),
            code=state,
            english=_english_name(state),
            currency=currency,
            currency_code=code,
            currency_sole=users[code] == 1 if code else None,
            currency_choices=_choices(currency, names, f"currency:{state}") if currency else (),
            continent=continent,
            continent_choices=_choices(continent, continents, f"continent:{state}") if continent else (),
            languages=" و".join(spoken) or None,
            language=alone,
            language_choices=_choices(alone, single, f"language:{state}") if alone else (),
        )


# --- languages -------------------------------------------------------------------------------------------------------


def _script(code: str) -> str | None:
    """The script a language is written in, None where it has several."""
    corrections = _corrections()
    if code in corrections["several_scripts"]:
        return None
    tag = get_global("likely_subtags")[code].split("_")[1]
    return corrections["script_names"].get(tag) or _trim(_arabic().scripts[tag])


def _languages() -> Iterator[Fact]:
    codes = _corrections()["languages"]
    english = Locale("en").languages
    scripts = [script for code in codes if (script := _script(code))]
    for code in codes:
        own = Locale.parse(code)
        script = _script(code)
        own_name = None if code in _corrections()["own_name_unclear"] else _trim(own.languages.get(code) or "")
        directions = {"rtl": RIGHT_TO_LEFT, "ltr": LEFT_TO_RIGHT}
        yield Fact(
            kind="language",
            key=f"language:{code}",
            group=f"language:{code}",
            language=_language_name(code),
            code=code,
            own_name=own_name or None,
            english=_trim(english[code]),
            script=script,
            script_choices=_choices(script, scripts, f"script:{code}") if script else (),
            direction=directions[own.text_direction] if script else None,
        )


# --- the calendar ----------------------------------------------------------------------------------------------------


def _month_names(country: str) -> list[str]:
    months = Locale.parse(f"ar_{country}").months["format"]["wide"]
    return [months[number] for number in range(1, 13)]


def _months() -> Iterator[Fact]:
    egyptian = _month_names("EG")
    for country in _corrections()["calendar_countries"]:
        names = _month_names(country)
        for index, name in enumerate(names):
            yield Fact(
                kind="month",
                key=f"month:{country}:{index + 1}",
                group=f"country:{country}",
                country=_country_name(country),
                code=country,
                position=index + 1,
                ordinal=_corrections()["ordinals"][index],
                month=name,
                egyptian=egyptian[index],
                previous=names[index - 1],
                next=names[(index + 1) % 12],
            )


def _weekdays() -> Iterator[Fact]:
    names, english = _arabic().days["stand-alone"]["wide"], Locale("en").days["stand-alone"]["wide"]
    for number in range(7):
        yield Fact(
            kind="weekday",
            key=f"weekday:{number}",
            group=f"weekday:{number}",
            day=names[number],
            previous=names[(number - 1) % 7],
            next=names[(number + 1) % 7],
            english=english[number],
        )


def _dates() -> Iterator[Fact]:
    """One date in each month, as each country writes it; the days and years are fixed by hash."""
    for country in _corrections()["calendar_countries"]:
        for month in range(1, 13):
            digest = hashlib.blake2b(f"{country}:{month}".encode(), digest_size=2).digest()
            date = datetime.date(1950 + digest[0] % 76, month, 1 + digest[1] % 28)
            yield Fact(
                kind="date",
                key=f"date:{country}:{date.isoformat()}",
                group=f"country:{country}",
                country=_country_name(country),
                code=country,
                iso=date.isoformat(),
                written=format_date(date, "d MMMM y", locale=f"ar_{country}"),
            )


# --- counting --------------------------------------------------------------------------------------------------------


def _units() -> Iterator[Fact]:
    corrections = _corrections()
    patterns: Any = _arabic()._data["unit_patterns"]  # Babel has no public way to the plural forms
    for name, length in corrections["units"].items():
        forms = {**patterns[name][length], **corrections["unit_forms"].get(name, {})}
        texts = {form: pattern.replace("{0}", "").strip() for form, pattern in forms.items()}
        for number in corrections["numbers"]:
            counted = forms[_arabic().plural_form(number)].replace("{0}", str(number))
            wrong = [f"{number} {text}" for form, text in texts.items() if form != "per"]
            yield Fact(
                kind="unit",
                key=f"unit:{name}:{number}",
                group=f"unit:{name}",
                unit=texts["one"],
                number=number,
                counted=counted,
                counted_choices=_choices(counted, wrong, f"{name}:{number}"),
            )


_MAKERS = {
    "country": _countries,
    "language": _languages,
    "month": _months,
    "weekday": _weekdays,
    "date": _dates,
    "unit": _units,
}
KINDS = tuple(_MAKERS)


def facts(kinds: Sequence[str] = KINDS) -> Iterator[Fact]:
    """The facts of these kinds, in a fixed order. Raises MashqError for a kind that is none."""
    for kind in kinds:
        if kind not in _MAKERS:
            raise MashqError(f"cldr: no facts of kind '{kind}' ({', '.join(KINDS)}).{nearest(kind, KINDS)}")
        yield from _MAKERS[kind]()


def read(kinds: Sequence[str] = KINDS) -> pa.Table:
    """The facts as raw rows: the record as JSON in `meta`, the country, language, unit or day as `group`."""
    made = list(facts(kinds))
    return rows.conform(
        {
            "id": rows.source_ids("cldr", version(), [fact.key for fact in made]),
            "source": "cldr",
            "licence": LICENCE,
            "group": [fact.group for fact in made],
            "meta": [json.dumps(_record(fact), ensure_ascii=False) for fact in made],
        },
        "cldr",
    )


def _record(fact: Fact) -> dict[str, Any]:
    """Every field but those of the row itself; None stays, so that all records have the same fields."""
    return {name: value for name, value in dataclasses.asdict(fact).items() if name not in ("key", "group")}
