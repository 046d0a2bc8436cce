"""Invented names, numbers and addresses in the forms of the Arab countries, for `mashq.medical.posts`.

Nothing here is anybody's: digits are drawn, domains are those of RFC 2606, hospitals and streets are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

__all__ = ["make"]

ARABIC_DIGITS = str.maketrans("0123456789", "".join(chr(code) for code in range(0x0660, 0x066A)))
# Trunk prefix 0 before the national number; Kuwait, Qatar and Lebanon's mobiles have none.
NO_TRUNK = ("KW", "QA", "LB")
ID_OF = {"egyptian": "EG", "iraqi": "IQ", "moroccan": "MA"}
MONTHS_OF = {"levantine": "east", "iraqi": "east", "moroccan": "maghreb"}
COMMA = "\N{ARABIC COMMA} "


def make(kind: str, rng: Random, variety: str, lists: Mapping[str, Any], people: Mapping[str, Sequence[str]],
         sex: str = "male") -> tuple[str, str]:  # fmt: skip
    """One identifier of a kind, or a "url" -> its text and the name of its form. lists: names.yaml; people: its lists
    of words. MSA borrows places and numbers from any country."""
    homes = list(lists["phones"])
    home = variety if variety in homes else rng.choice(homes)
    return MAKERS[kind](rng, home, lists, people, sex)


def _digits(rng: Random, n: int) -> str:
    return "".join(str(int(rng.random() * 10)) for _ in range(n))


def _fill(rng: Random, pattern: str) -> str:
    return "".join(str(int(rng.random() * 10)) if mark == "#" else mark for mark in pattern)


def _either(rng: Random, text: str, form: str) -> tuple[str, str]:
    """One in five in Arabic-Indic digits."""
    return (text.translate(ARABIC_DIGITS), f"{form} arabic_digits") if rng.random() < 0.2 else (text, form)


def _name(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    given, family = rng.choice(people[sex]), rng.choice(people["family"])
    draw = rng.random()
    if draw < 0.15:
        return given, "given"
    if draw < 0.35:
        return f"{given} {rng.choice(people['male'])} {family}", "three"
    return f"{given} {family}", "two"


def _doctor(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    given, family = rng.choice(people["male"]), rng.choice(people["family"])
    return (given, "given") if rng.random() < 0.2 else (f"{given} {family}", "two")


def _phone(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    countries = lists["phones"][home]
    country = rng.choice(list(countries))
    code, *patterns = countries[country]
    number = _fill(rng, rng.choice(patterns))
    groups = _grouped(number, country)
    trunk = "" if country in NO_TRUNK else "0"
    form, text = rng.choice((
        ("national", trunk + number), ("national", trunk + number), ("spaced", trunk + " ".join(groups)),
        ("plus", f"+{code}{number}"), ("zeros", f"00{code}{number}"), ("plus_spaced", f"+{code} {' '.join(groups)}"),
        ("plus_dashed", f"+{code}-{'-'.join(groups)}"),
    ))  # fmt: skip
    return _either(rng, text, f"{country} {form}")


def _grouped(number: str, country: str) -> list[str]:
    """The groups in which people of a country write a number: 6 12 34 56 78 in Morocco, 5123 4567 in Kuwait."""
    if country == "MA":
        return [number[0], *(number[at : at + 2] for at in range(1, len(number), 2))]
    cuts = (4, 4) if country in ("KW", "QA") else (2, 5) if country == "LB" else (len(number) - 7, len(number) - 4)
    return [part for part in (number[: cuts[0]], number[cuts[0] : cuts[1]], number[cuts[1] :]) if part]


def _luhn(body: str) -> str:
    """The check digit of the Saudi and the Emirati number (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _national_id(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    country = ID_OF.get(home) or rng.choice(("SA", "AE") if home == "gulf" else ("JO", "SY"))
    year, month, day = rng.randrange(60, 100), rng.randrange(1, 13), rng.randrange(1, 29)
    if country == "EG":
        text = f"2{year:02}{month:02}{day:02}{rng.choice(('01', '02', '12', '21', '25'))}{_digits(rng, 5)}"
    elif country == "SA":
        body = rng.choice("12") + _digits(rng, 8)
        text = body + _luhn(body)
    elif country == "AE":
        body = f"78419{year:02}{_digits(rng, 7)}"
        text = f"784-19{year:02}-{body[7:]}-{_luhn(body)}"
    elif country == "IQ":
        text = f"19{year:02}{_digits(rng, 8)}"
    elif country == "MA":
        text = rng.choice(("BK", "BE", "K", "JA", "CD")) + _digits(rng, 6)
    elif country == "JO":
        text = f"9{year:02}{rng.choice('12')}{_digits(rng, 6)}"
    else:
        text = f"0{rng.randrange(1, 10)}{_digits(rng, 9)}"
    return (text, country) if country in ("AE", "MA") else _either(rng, text, country)


def _nick(rng: Random, people: Any) -> str:
    return f"{rng.choice(people['latin'])}{rng.randrange(1, 999) if rng.random() < 0.6 else ''}"


def _email(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    nick, domain = _nick(rng, people), rng.choice(lists["domains"])
    form, at = rng.choice((("plain", "@"),) * 4 + (("spaced", " @ "), ("bracketed", "[at]")))
    return f"{nick}{at}{domain}", form


def _handle(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    nick = _nick(rng, people).replace(".", "_")
    return (f"@{nick}", "at") if rng.random() < 0.75 else (f"{nick}_{rng.randrange(10, 99)}", "bare")


def _url(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    site = rng.choice(lists["sites"])
    if site.startswith("www.") and rng.random() < 0.5:
        return site, "www"
    tail = rng.choice(("", f"?id={rng.randrange(100, 9999)}", f"/{_nick(rng, people)}", "?utm_source=forum&p=2"))
    return f"{rng.choice(('https', 'https', 'http'))}://{site}{tail}", "scheme"


def _address(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    city, street, quarter = (rng.choice(lists[key]) for key in ("streets", "streets", "quarters"))
    city = rng.choice(lists["cities"][home])
    house, flat = rng.randrange(1, 240), rng.randrange(1, 40)
    draw = rng.random()
    if draw < 0.4:
        return f"{street}{COMMA}عمارة {house}{COMMA}شقة {flat}{COMMA}{city}", "flat"
    if draw < 0.7:
        return f"{quarter}{COMMA}{street}{COMMA}{city}", "quarter"
    return f"{house} {street}{COMMA}{city}", "number_first"


def _birth_date(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    year, month, day = rng.randrange(1960, 2006), rng.randrange(1, 13), rng.randrange(1, 29)
    draw = rng.random()
    if draw < 0.4:
        return _either(rng, f"{day}/{month}/{year}", "day_first")
    if draw < 0.6:
        return _either(rng, f"{year}-{month:02}-{day:02}", "iso")
    months = lists["months"][MONTHS_OF.get(home, "west")]
    return _either(rng, f"{day} {months[month - 1]} {year}", "month_name")


def _record_number(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    form, text = rng.choice((("digits", _digits(rng, 6)), ("letters", f"MR-{_digits(rng, 5)}"),
                             ("slash", f"{_digits(rng, 4)}/{rng.randrange(2010, 2026)}")))  # fmt: skip
    return _either(rng, text, form)


def _hospital(rng: Random, home: str, lists: Any, people: Any, sex: str) -> tuple[str, str]:
    return rng.choice(lists["hospitals"]), "listed"


MAKERS: dict[str, Callable[[Random, str, Any, Any, str], tuple[str, str]]] = {
    "name": _name, "doctor": _doctor, "phone": _phone, "national_id": _national_id, "email": _email, "handle": _handle,
    "url": _url, "address": _address, "birth_date": _birth_date, "record_number": _record_number,
    "hospital": _hospital,
}  # fmt: skip
