"""De-identification of Arabic text: find names, numbers, addresses and other identifiers, and put placeholders there.

No tool guarantees anonymity; docs/how-to/de-identify.md says what is found, what is not, and what a person must check.
"""

from mashq.privacy.deidentify import Deidentifier, Replaced, survey
from mashq.privacy.found import KINDS, Found, Recogniser
from mashq.privacy.page import Page
from mashq.privacy.placeholders import Names, Style

__all__ = ["KINDS", "Deidentifier", "Found", "Names", "Page", "Recogniser", "Replaced", "Style", "survey"]
