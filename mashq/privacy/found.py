"""What a recogniser finds, and what a recogniser is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from mashq.privacy.page import Page

__all__ = ["KINDS", "Found", "Recogniser"]

# In order of precedence: of two spans with equal scores that overlap, the earlier kind names the whole.
KINDS = (
    "email",
    "iban",
    "national_id",
    "passport",
    "phone",
    "record_number",
    "birth_date",
    "handle",
    "hospital",
    "address",
    "doctor",
    "name",
    "plate",
)


class Found(NamedTuple):
    """One identifier: `text[start:end]` in characters of the original text; score in 0..1."""

    kind: str
    start: int
    end: int
    score: float
    recogniser: str


class Recogniser(Protocol):
    """Finds identifiers of its kinds in a page; places are those of `Page.flat`, not of the original text.

    `name` and `version` are part of what a `Deidentifier` is known by: a recogniser that finds other things is another
    version.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def kinds(self) -> tuple[str, ...]: ...

    def find(self, page: Page) -> Iterable[Found]:
        """Every candidate, weak ones too: the score says how sure, and the `Deidentifier` what is enough."""
        ...
