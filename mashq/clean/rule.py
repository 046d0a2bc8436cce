"""What a cleaning rule is, and the data that rules read."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from mashq.packaged import parsed, raw

__all__ = ["DATA", "Count", "Rule", "data", "data_hash"]

DATA = ("arclean", "letter_pairs", "letters", "profiles", "words")  # files of mashq/data/clean


@dataclass(frozen=True)
class Rule:
    """One thing that is mended in a text, or for which a text is dropped.

    An edit's `apply` takes a text and the settings and gives the text and how many things it changed, 0 exactly where
    the text came back as it was. A drop's gives None or the reason; that of a rule over a column takes all texts and
    gives one of these for each. No rule raises on any string.
    """

    name: str
    does: str  # in one line
    kind: Literal["edit", "drop"]
    apply: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # name -> default
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # of a setting
    signs: tuple[str, ...] = ()  # of `signs.SIGNS`: a text that shows none of them passes; () means that any may not
    # The same for many texts and the settings, for what no sign tells: False only where `apply` has nothing to do.
    likely: Callable[[Sequence[str], Mapping[str, Any]], Sequence[bool]] | None = None
    # The same as `apply` over many texts: the texts made, and how many things changed in each.
    bulk: Callable[..., tuple[list[str], list[int]]] | None = None
    column: bool = False
    came: bool = (
        False  # whether `apply` takes the text before any rule too, as `came`; `likely` sees it behind the text
    )


@dataclass(frozen=True)
class Count:
    """What a rule did: in how many texts, and to how many things in them (a dropped text is one thing)."""

    texts: int = 0
    things: int = 0


def data(name: str) -> dict[str, Any]:
    """One of the files `DATA`, parsed."""
    return parsed(f"clean/{name}")


@functools.cache
def data_hash(name: str) -> str:
    """BLAKE2b of one of the files `DATA`, 8 bytes in hexadecimal."""
    return hashlib.blake2b(raw(f"clean/{name}"), digest_size=8).hexdigest()
