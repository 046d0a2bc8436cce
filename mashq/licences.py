"""What a licence lets people do with data: train on it, pass on what is made of it, earn money with it.

A reading of the licences' own texts, for sorting data and for warning; no legal advice. Names are those of the SPDX
list (https://spdx.org/licenses/); a licence that is not on it is written `LicenseRef-…`, one that nobody stated
`unknown`, and terms of the authors' own `custom: …` with their gist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["LICENCES", "Uses", "named", "uses"]

YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True)
class Uses:
    """For each use "yes", "no" or "unknown"; `share_alike` where what is made of the data must be under its licence."""

    train: str  # a model on it
    redistribute: str  # what is made of it, such as prompts
    commercial: str
    share_alike: bool = False
    source: str = ""  # where it is said


_CC = "https://creativecommons.org/licenses/"
_FREE = Uses(YES, YES, YES)
_NOTHING_KNOWN = Uses(UNKNOWN, UNKNOWN, UNKNOWN)


def _creative_commons() -> dict[str, Uses]:
    """BY with its conditions. ND: what is adapted may be made and used, not shared (4.0, section 2(a)(1)(B))."""
    versions = ("2.0", "2.5", "3.0", "4.0")
    kinds = ("BY", "BY-SA", "BY-NC", "BY-NC-SA", "BY-ND", "BY-NC-ND")
    return {
        f"CC-{kind}-{version}": Uses(
            train=YES,
            redistribute=NO if "ND" in kind else YES,
            commercial=NO if "NC" in kind else YES,
            share_alike="SA" in kind,
            source=f"{_CC}{kind.lower()}/{version}/legalcode",
        )
        for kind in kinds
        for version in versions
    }


def _spdx(names: str, uses_: Uses = _FREE) -> dict[str, Uses]:
    return {
        name: Uses(
            uses_.train, uses_.redistribute, uses_.commercial, uses_.share_alike, f"https://spdx.org/licenses/{name}"
        )
        for name in names.split()
    }


_SHARED_ALIKE = Uses(YES, YES, YES, share_alike=True)
LICENCES: dict[str, Uses] = {
    **_creative_commons(),
    **_spdx(
        "CC0-1.0 PDDL-1.0 Unlicense MIT MIT-0 Apache-1.0 Apache-1.1 Apache-2.0 AFL-3.0 BSD-2-Clause BSD-3-Clause ISC "
        "ODC-By-1.0 Unicode-3.0 Unicode-DFS-2016 CDLA-Permissive-1.0 CDLA-Permissive-2.0 OGL-UK-3.0 ECL-2.0 0BSD"
    ),
    **_spdx(
        "ODbL-1.0 GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later "
        "LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later AGPL-3.0-only AGPL-3.0-or-later "
        "GFDL-1.3-or-later CDLA-Sharing-1.0 MPL-2.0",
        _SHARED_ALIKE,
    ),
    "LicenseRef-research-only": Uses(YES, UNKNOWN, NO, source="the data set's own terms"),
    "LicenseRef-no-redistribution": Uses(YES, NO, UNKNOWN, source="the data set's own terms"),
    "LicenseRef-LDC": Uses(YES, NO, NO, source="https://www.ldc.upenn.edu/data-management/using/licensing"),
    "LicenseRef-ELRA-End-User-NC": Uses(
        YES, NO, NO, source="https://www.elra.info/en/services-around-lrs/distribution/"
    ),
    "LicenseRef-Gemma": Uses(YES, YES, YES, source="https://ai.google.dev/gemma/terms"),
}
# What catalogues and cards write -> its name. A name without a version is no licence: CC-BY was written five times.
_ALSO = {
    "cc0": "CC0-1.0",
    "mit-license": "MIT",
    "the-unlicense": "Unlicense",
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    **{f"{name.lower()}-{version}": f"{name}-{version}-only" for name, version in (
        ("GPL", "1.0"), ("GPL", "2.0"), ("GPL", "3.0"), ("LGPL", "2.1"), ("LGPL", "3.0"), ("AGPL", "3.0"),
    )},
    "ldc-user-agreement": "LicenseRef-LDC",
    "non-commercial-use---elra-end-user": "LicenseRef-ELRA-End-User-NC",
    "gemma": "LicenseRef-Gemma",
}  # fmt: skip
_BY_LOWER = {name.lower(): name for name in LICENCES}


def named(licence: str) -> str | None:
    """The name in `LICENCES` of one licence however it is spelt (`cc by-nc 4.0` -> `CC-BY-NC-4.0`), or None."""
    key = re.sub(r"\s+", "-", licence.strip().lower())
    return _BY_LOWER.get(key) or _ALSO.get(key)


def uses(licence: str) -> Uses:
    """What this licence allows: of `A AND B` what both do, of `A OR B` what either does.

    Another name is read as words (`custom: research purposes only`); "unknown" where they say nothing.
    """
    for word, best in ((" OR ", True), (" AND ", False)):
        if word in licence:
            return _joined([uses(part.strip("() ")) for part in licence.split(word)], best)
    name = named(licence)
    return LICENCES[name] if name else _said(licence)


# What authors write in place of a licence -> (use, what it says of it).
_SAID = (
    (re.compile(r"non-?\s?commercial|research|academic"), "train", YES),
    (re.compile(r"non-?\s?commercial|research (?:purposes )?only|for research|academic use"), "commercial", NO),
    (re.compile(r"(?:not|no) (?:be )?(?:\w+ )?(?:redistribut|passed on|shared|sharing|published)"), "redistribute", NO),
    (re.compile(r"(?<!no )(?<!not )redistribution with|may be (?:redistributed|shared)"), "redistribute", YES),
)


def _said(text: str) -> Uses:
    """Of `custom: research purposes only` what its words say; the first one counts."""
    found: dict[str, Any] = {}
    for pattern, use, value in _SAID:
        if pattern.search(text.lower()):
            found.setdefault(use, value)
    return replace(_NOTHING_KNOWN, **found, source="the data set's own terms" if found else "")


def _joined(all_of: list[Uses], best: bool) -> Uses:
    def one(values: list[str]) -> str:
        order = (YES, UNKNOWN, NO) if best else (NO, UNKNOWN, YES)
        return next(value for value in order if value in values)

    every = all if best else any
    return Uses(
        one([each.train for each in all_of]),
        one([each.redistribute for each in all_of]),
        one([each.commercial for each in all_of]),
        every(each.share_alike for each in all_of),
        " ".join(each.source for each in all_of if each.source),
    )
