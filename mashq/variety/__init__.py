"""Which Arabic is this: the standard, Egyptian, Gulf, Levantine, Iraqi, Moroccan, or other Maghrebi.

teller = open_teller()
teller.tell(["عايزين نروح السينما النهارده", "ذهبنا إلى السوق صباحا"]).labels
"""

from __future__ import annotations

from mashq.variety.teller import LABELS, MIXED, SHIPPED, UNSURE, Marker, Teller, Told, open_teller

__all__ = ["LABELS", "MIXED", "SHIPPED", "UNSURE", "Marker", "Teller", "Told", "open_teller"]
